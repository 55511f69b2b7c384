//! Claims of match keys: two submissions of one person make one lead.
//!
//! A claim gives the lead of a match key its identity in the CRM. Whoever creates the lead does so
//! under the claim's identity, which the CRM keeps unique, so that two workers cannot make two
//! leads even if both believe to hold the claim; the lease only decides who may call the lead
//! *created* and who waits to attach. A claim outlives the lead it was made for: when that lead no
//! longer matches (edited, closed, deleted), the next generation gets an identity of its own.

use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::submissions::{Finish, built};
use super::{Store, StoreError, keys, number, write};
use domain::clock::Millis;
use domain::ids::{ContractId, SubmissionId, identity};
use domain::submission::{ClaimRef, Plan, Submission};

const ENTITY: &str = "claim";
/// Claims are kept this long after their last use. A claim that is gone costs one more look into
/// the CRM, nothing else.
const KEEP_SECONDS: i64 = 90 * 24 * 3600;

/// A stored claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Hash of the match key.
    pub key: String,
    /// Counts leads made for this key.
    pub generation: u32,
    /// The submission that may create the lead.
    pub owner: SubmissionId,
    /// Until when it may; then another takes over.
    pub lease_until: Millis,
    /// The lead that came of it.
    #[serde(default)]
    pub lead_id: Option<String>,
    /// Counts writes.
    pub version: u64,
    /// For the table's time to live.
    pub expires_at: i64,
}

impl Claim {
    /// The identity of this generation's lead in the CRM.
    #[must_use]
    pub fn identity(&self, contract: &ContractId) -> Uuid {
        claim_identity(
            contract,
            &ClaimRef {
                key: self.key.clone(),
                generation: self.generation,
            },
        )
    }
}

/// The identity of a claim's lead in the CRM.
#[must_use]
fn claim_identity(contract: &ContractId, claim: &ClaimRef) -> Uuid {
    identity(
        contract,
        "lead/match",
        &[&claim.key, &claim.generation.to_string()],
    )
}

/// What became of an attempt to claim a match key.
#[derive(Debug)]
pub enum Claimed {
    /// It is the caller's, and the submission's plan is stored with it.
    Mine(Box<Claim>),
    /// Another submission of the same person is being written; look again after this.
    Busy(Millis),
}

/// A claim to write, with the version it replaces.
#[derive(Debug, Clone)]
pub struct ClaimWrite {
    /// The claim as it shall be.
    pub claim: Claim,
    /// The version it replaces; none for a new one.
    pub expected: Option<u64>,
}

impl ClaimWrite {
    /// The owner is done: `lead_id` came of it.
    #[must_use]
    pub fn done(claim: &Claim, lead_id: &str, now: Millis) -> Self {
        let expected = Some(claim.version);
        let claim = Claim {
            lead_id: Some(lead_id.to_owned()),
            lease_until: now,
            version: claim.version + 1,
            expires_at: now.plus_seconds(KEEP_SECONDS).epoch_seconds(),
            ..claim.clone()
        };
        Self { claim, expected }
    }

    /// The owner gives up without a lead: the next one may go ahead at once.
    #[must_use]
    pub fn released(claim: &Claim, now: Millis) -> Self {
        let expected = Some(claim.version);
        let claim = Claim {
            lease_until: now,
            version: claim.version + 1,
            ..claim.clone()
        };
        Self { claim, expected }
    }

    pub(super) fn into_item(
        self,
        table: &str,
        contract: &ContractId,
    ) -> Result<TransactWriteItem, StoreError> {
        let key = keys::claim(contract, &self.claim.key);
        let put =
            Put::builder()
                .table_name(table)
                .set_item(Some(write(ENTITY, &self.claim, &key)?));
        let put = match self.expected {
            None => put.condition_expression("attribute_not_exists(PK)"),
            // The version alone says that nobody else has written it, its owner included.
            Some(version) => put
                .condition_expression("version = :expected")
                .expression_attribute_values(":expected", number(version)),
        };
        Ok(TransactWriteItem::builder()
            .put(built(put.build())?)
            .build())
    }
}

impl Store {
    /// A claim.
    pub async fn claim(
        &self,
        contract: &ContractId,
        key: &str,
    ) -> Result<Option<Claim>, StoreError> {
        self.get(ENTITY, keys::claim(contract, key), true).await
    }

    /// Claims `key` for `submission` and stores its plan in the same transaction. `min_generation`
    /// is above 0 after an older generation's lead was found not to match any more.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the submission or the claim was written meanwhile.
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
            // Of two at once one comes second: it looks at the claim again, unless it was its
            // own submission that was changed. Each round means that another has got its claim.
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
