//! Claims of match keys: two submissions of one person make one lead.
//!
//! A claim gives the lead of a match key its identity in the CRM. The lead is created under the claim's
//! identity, which the CRM keeps unique, so that two workers cannot make two leads even if both believe to
//! hold the claim; the lease only decides which worker may call the lead *created* and which one waits to
//! attach. A claim outlives the lead it was made for: when that lead no longer matches (edited, closed,
//! deleted), the next generation gets an identity of its own.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::transaction::{Action, Assumption};
use super::{Store, StoreError, keys, write};
use domain::clock::Millis;
use domain::ids::{ContractId, SubmissionId, identity};
use domain::submission::ClaimRef;

const ENTITY: &str = "claim";
/// Time for which claims are kept after their last use, in seconds: 90 days. A missing claim only costs one
/// more query of the CRM.
pub(super) const KEEP_SECONDS: i64 = 90 * 24 * 3600;

/// A stored claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Hash of the match key.
    pub key: String,
    /// Counts the leads made for this key.
    pub generation: u32,
    /// The submission that may create the lead.
    pub owner: SubmissionId,
    /// End of the lease in which it may; then another takes over.
    pub lease_until: Millis,
    /// The resulting lead.
    #[serde(default)]
    pub lead_id: Option<String>,
    /// Counts writes.
    pub version: u64,
    /// Expiry for the table's time to live, in seconds since the epoch.
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

/// A claim to write, with the version it replaces.
#[derive(Debug, Clone)]
pub struct ClaimWrite {
    /// The new state of the claim.
    pub claim: Claim,
    /// The version it replaces; `None` for a new one.
    pub expected: Option<u64>,
}

impl ClaimWrite {
    /// The claim after its owner has made the lead `lead_id`.
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

    /// The claim after its owner gave up without a lead: the next one may proceed at once.
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

    /// A write of a claim over the version that it replaces.
    pub(super) fn claim_action(
        &self,
        contract: &ContractId,
        ClaimWrite { claim, expected }: &ClaimWrite,
    ) -> Result<Action, StoreError> {
        // The version alone proves that nobody else, its owner included, has written it.
        let assumption = expected.map_or_else(Assumption::absent, Assumption::version);
        let item = write(ENTITY, claim, &keys::claim(contract, &claim.key))?;
        self.put_action(item, Some(assumption))
    }
}
