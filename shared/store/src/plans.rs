//! The plan of a submission: stored together with the claim under which its lead is created.

use super::claims::{Claim, ClaimWrite, KEEP_SECONDS};
use super::submissions::Finish;
use super::{Store, StoreError};
use domain::clock::Millis;
use domain::submission::{Plan, Submission};

/// The outcome of an attempt to claim a match key.
#[derive(Debug)]
pub enum Claimed {
    /// It is the caller's, and the submission's plan is stored with it.
    Mine(Box<Claim>),
    /// Another submission of the same person is being written; look again after this.
    Busy(Millis),
}

impl Store {
    /// Claims `key` for `submission` and stores its plan in the same transaction. `min_generation` is above 0
    /// after an older generation's lead was found not to match any more.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if the submission or the claim was written meanwhile.
    pub async fn claim_match_key(
        &self,
        submission: &mut Submission,
        key: &str,
        min_generation: u32,
        now: Millis,
        lease_until: Millis,
        plan: impl Fn(&Claim) -> Plan,
    ) -> Result<Claimed, StoreError> {
        loop {
            let claimed = self
                .try_claim(submission, key, min_generation, now, lease_until, &plan)
                .await;
            if !matches!(claimed, Err(StoreError::Conflict)) {
                return claimed;
            }
            // Of two concurrent writers the second one reads the claim again, unless its own submission was
            // changed. Each round means that another writer obtained its claim.
            let stored = self.submission(&submission.contract, submission.id).await?;
            if stored.is_none_or(|stored| stored.version != submission.version) {
                return Err(StoreError::Conflict);
            }
        }
    }

    async fn try_claim(
        &self,
        submission: &mut Submission,
        key: &str,
        min_generation: u32,
        now: Millis,
        lease_until: Millis,
        plan: &impl Fn(&Claim) -> Plan,
    ) -> Result<Claimed, StoreError> {
        let stored = self.claim(&submission.contract, key).await?;
        let expires_at = now.plus_seconds(KEEP_SECONDS).epoch_seconds();
        let (claim, expected) = match stored {
            None => (
                Claim {
                    key: key.to_owned(),
                    generation: min_generation,
                    owner: submission.id,
                    lease_until,
                    lead_id: None,
                    version: 1,
                    expires_at,
                },
                None,
            ),
            Some(held)
                if held.owner != submission.id
                    && held.lead_id.is_none()
                    && held.lease_until > now =>
            {
                return Ok(Claimed::Busy(held.lease_until));
            }
            Some(free) => {
                let expected = Some(free.version);
                let generation = free.generation.max(min_generation);
                let claim = Claim {
                    generation,
                    owner: submission.id,
                    lease_until,
                    lead_id: None,
                    version: free.version + 1,
                    expires_at,
                    ..free
                };
                (claim, expected)
            }
        };
        let before = submission.plan.replace(plan(&claim));
        let write = ClaimWrite {
            claim: claim.clone(),
            expected,
        };
        let finish = Finish {
            attachment: None,
            claim: Some(write),
        };
        if let Err(error) = self.finish_submission(submission, finish).await {
            submission.plan = before;
            return Err(error);
        }
        Ok(Claimed::Mine(Box::new(claim)))
    }
}
