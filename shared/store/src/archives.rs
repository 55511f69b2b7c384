//! LinkedIn archives of seat holders (WB-10): the member that a seat logs from, and which of an archive's
//! activities are stored.

use std::collections::HashSet;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};

use super::batch::{Projection, READ_BATCH, READS_AT_ONCE};
use super::{Item, Store, StoreError, keys, write};
use domain::clock::Millis;
use domain::contract::AuditEntry;
use domain::ids::{ActivityId, ContractId, SeatId};

const ENTITY: &str = "archive member";

/// The LinkedIn member whose archives a seat holder logs from. The member's address is kept as a keyed hash
/// alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveMember {
    /// The key of the hash, sealed.
    pub sealed_key: String,
    /// HMAC-SHA256 of the member's address, in hexadecimal.
    pub member_hash: String,
    /// The time at which it was remembered.
    pub since: Millis,
}

impl Store {
    /// The member of a seat's archives, once one is remembered.
    pub async fn archive_member(
        &self,
        contract: &ContractId,
        seat: SeatId,
    ) -> Result<Option<ArchiveMember>, StoreError> {
        let key = keys::archive_member(contract, seat);
        self.get(ENTITY, key, true).await
    }

    /// Remembers a member, unless one is remembered already: that one is returned then.
    pub async fn remember_archive_member(
        &self,
        contract: &ContractId,
        seat: SeatId,
        member: &ArchiveMember,
    ) -> Result<Option<ArchiveMember>, StoreError> {
        let item = write(ENTITY, member, &keys::archive_member(contract, seat))?;
        self.put_new(ENTITY, item).await
    }

    /// Forgets the member of a seat's archives, with a line in the audit log.
    pub async fn forget_archive_member(
        &self,
        contract: &ContractId,
        seat: SeatId,
        audit: &AuditEntry,
        unique: uuid::Uuid,
    ) -> Result<(), StoreError> {
        let key = keys::archive_member(contract, seat).attributes();
        self.transact(vec![
            self.delete_action(key, None)?,
            self.audit_item(contract, audit, unique)?,
        ])
        .await
    }

    /// Those of a seat holder's activities that are stored. One call for every hundred.
    pub async fn stored_activities(
        &self,
        contract: &ContractId,
        seat: SeatId,
        ids: HashSet<ActivityId>,
    ) -> Result<HashSet<ActivityId>, StoreError> {
        const KEY: Projection = Projection(&["PK", "SK"]);
        let keys: Vec<Item> = ids
            .into_iter()
            .map(|id| keys::activity(contract, seat, id).attributes())
            .collect();
        let batches: Vec<Vec<Item>> = keys.chunks(READ_BATCH).map(<[Item]>::to_vec).collect();
        let found = stream::iter(batches)
            .map(|batch| self.read_batch(batch, Some(KEY)))
            .buffer_unordered(READS_AT_ONCE)
            .try_collect::<Vec<_>>()
            .await?;
        let id = |item: &Item| {
            let part = |name: &str| item.get(name)?.as_s().ok();
            let (_, id) = keys::of_activity(part("PK")?, part("SK")?)?;
            Some(id)
        };
        Ok(found.iter().flatten().filter_map(id).collect())
    }
}
