//! Claims of match keys: two submissions of one person make one lead.
//!
//! A claim gives the lead of a match key its identity in the CRM. Whoever creates the lead does so
//! under the claim's identity, which the CRM keeps unique, so that two workers cannot make two
//! leads even if both believe to hold the claim; the lease only decides who may call the lead
//! *created* and who waits to attach. A claim outlives the lead it was made for: when that lead no
//! longer matches (edited, closed, deleted), the next generation gets an identity of its own.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::transaction::{Action, Assumption};
use super::{Store, StoreError, keys, write};
use domain::clock::Millis;
use domain::ids::{ContractId, SubmissionId, identity};
use domain::submission::ClaimRef;

const ENTITY: &str = "claim";
/// Claims are kept this long after their last use. A claim that is gone costs one more look into
/// the CRM, nothing else.
pub(super) const KEEP_SECONDS: i64 = 90 * 24 * 3600;

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
        // The version alone says that nobody else has written it, its owner included.
        let assumption = expected.map_or_else(Assumption::absent, Assumption::version);
        let item = write(ENTITY, claim, &keys::claim(contract, &claim.key))?;
        self.put_action(item, Some(assumption))
    }
}
