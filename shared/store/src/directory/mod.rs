//! The directory in the table: entries, their matches, and the links between entries and records (MA-1 to
//! MA-5, SV-3).
//!
//! An entry holds the data that people entered and decided; its match is computed from the CRM's records and
//! is deleted with them in a clean-up. Both lie in shards of one number, in the same order, so that they are
//! read side by side.

mod links;
mod models;
mod outdated;
mod pass;
mod people;
mod search;

use std::collections::HashMap;

use futures::{StreamExt as _, stream};

use super::transaction::{Action, Assumption};
use super::{Item, Store, StoreError, keys, read, read_each, write};
use domain::clock::Millis;
use domain::directory::{
    Entry, EntryId, EntryKind, EntryRef, Match, NewEntry, RecordRef, Withdrawal,
};
use domain::environment::Environment;
use domain::ids::{ContractId, SubmissionId};

pub use keys::DIRECTORY_SHARDS;
pub use links::{EntryAs, Holder, LinkWrite, WaitsFor};
pub use models::StoredModel;
pub use outdated::{CountLimits, Dismissed, OutdatedOwner, OutdatedOwners, OutdatedPage};
pub use people::{Act, ActError, Acted, Chosen};
pub use search::ShardPage;

const ENTITY: &str = "directory entry";
const MATCH: &str = "directory match";
/// Maximum number of times that a change is recomputed after a concurrent change.
const ROUNDS: u32 = 8;
/// Entries that are written at once.
const WRITES_AT_ONCE: usize = 16;

/// An entry with its match, if one was computed.
pub type EntryWithMatch = (Entry, Option<Match>);

/// The outcome of adding a person or company.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// It is a new entry.
    New,
    /// The entry existed, and has new values now, or new times of the same.
    Updated,
    /// Nothing about it was new.
    Unchanged,
}

fn entry_item(contract: &ContractId, entry: &Entry) -> Result<Item, StoreError> {
    write(ENTITY, entry, &keys::entry(contract, entry.kind, entry.id))
}

/// Merges additions into an entry, in the order given.
fn together(stored: Option<Entry>, new: &[&NewEntry], now: Millis) -> (Option<Entry>, Vec<Added>) {
    let before = stored.as_ref().map(|entry| entry.version);
    let mut entry = stored;
    let mut added = Vec::with_capacity(new.len());
    for new in new {
        let (next, what) = Added::to(entry, new, now);
        entry = Some(next);
        added.push(what);
    }
    // One write, however many additions were merged.
    if let Some(entry) = &mut entry
        && added.iter().any(|added| *added != Added::Unchanged)
    {
        entry.version = before.map_or(1, |version| version + 1);
    }
    (entry, added)
}

impl Added {
    /// Merges an addition into the entry, without writing it.
    #[must_use]
    pub fn to(stored: Option<Entry>, new: &NewEntry, now: Millis) -> (Entry, Self) {
        match stored {
            None => (Entry::added(new, now), Self::New),
            Some(entry) => match entry.merged(new, now) {
                Some(merged) => (merged, Self::Updated),
                None => (entry, Self::Unchanged),
            },
        }
    }
}

impl Store {
    /// Adds many people or companies, and returns the outcome of each; `None` if the table did not confirm
    /// the write. Additions of one identity are merged in the order given, and written once.
    pub async fn add_entries(
        &self,
        contract: &ContractId,
        new: &[NewEntry],
        now: Millis,
    ) -> Vec<Option<Added>> {
        let mut of: HashMap<(EntryKind, EntryId), Vec<usize>> = HashMap::new();
        for (index, new) in new.iter().enumerate() {
            of.entry((new.kind, new.id)).or_default().push(index);
        }
        let mut stored: HashMap<(EntryKind, EntryId), Entry> = HashMap::new();
        for kind in EntryKind::ALL {
            let ids: Vec<EntryId> = of
                .keys()
                .filter(|(of, _)| *of == kind)
                .map(|(_, id)| *id)
                .collect();
            match self.entries(contract, kind, &ids).await {
                Ok(entries) => {
                    let entries = entries.into_iter();
                    stored.extend(entries.map(|(id, entry)| ((kind, id), entry)));
                }
                Err(error) => {
                    tracing::error!(%contract, error = &error as &dyn std::error::Error, "rows were not added");
                    of.retain(|(of, _), _| *of != kind);
                }
            }
        }
        let writes = of.into_iter().map(|(id, rows)| {
            let entry = stored.remove(&id);
            async move {
                let of_entry: Vec<&NewEntry> =
                    rows.iter().filter_map(|row| new.get(*row)).collect();
                let added = self.add_to(contract, entry, &of_entry, now).await;
                (rows, added)
            }
        });
        let written: Vec<_> = stream::iter(writes)
            .buffer_unordered(WRITES_AT_ONCE)
            .collect()
            .await;
        let mut results = vec![None; new.len()];
        let mut first: Option<StoreError> = None;
        for (rows, added) in written {
            match added {
                Ok((_, added)) => {
                    for (row, added) in rows.into_iter().zip(added) {
                        if let Some(result) = results.get_mut(row) {
                            *result = Some(added);
                        }
                    }
                }
                Err(error) => first = first.or(Some(error)),
            }
        }
        if let Some(error) = first {
            let rows = results.iter().filter(|result| result.is_none()).count();
            tracing::error!(%contract, rows, error = &error as &dyn std::error::Error, "rows were not added");
        }
        results
    }

    /// Adds to an entry as it was read, or as it has become since.
    async fn add_to(
        &self,
        contract: &ContractId,
        mut stored: Option<Entry>,
        new: &[&NewEntry],
        now: Millis,
    ) -> Result<(Entry, Vec<Added>), StoreError> {
        for _ in 0..ROUNDS {
            let before = stored.as_ref().map(|entry| entry.version);
            let (entry, added) = together(stored, new, now);
            let entry = entry.ok_or(StoreError::Conflict)?;
            if before == Some(entry.version) {
                return Ok((entry, added));
            }
            match self.put_entry(contract, &entry).await {
                Ok(()) => return Ok((entry, added)),
                Err(StoreError::Conflict) => {
                    stored = self.entry(contract, entry.kind, entry.id).await?;
                }
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::Conflict)
    }

    /// Writes an entry over the version before it.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if the table has a different version.
    pub async fn put_entry(&self, contract: &ContractId, entry: &Entry) -> Result<(), StoreError> {
        self.put_version(entry_item(contract, entry)?, entry.version)
            .await
    }

    /// An entry.
    pub async fn entry(
        &self,
        contract: &ContractId,
        kind: EntryKind,
        id: EntryId,
    ) -> Result<Option<Entry>, StoreError> {
        self.get(ENTITY, keys::entry(contract, kind, id), true)
            .await
    }

    /// The match of an entry; `None` if none was computed, or a clean-up removed it.
    pub async fn entry_match(
        &self,
        contract: &ContractId,
        environment: Environment,
        kind: EntryKind,
        id: EntryId,
    ) -> Result<Option<Match>, StoreError> {
        let key = keys::entry_match(contract, environment, kind, id);
        self.get(MATCH, key, true).await
    }

    /// An entry with its match, read at once.
    pub async fn entry_with_match(
        &self,
        contract: &ContractId,
        environment: Environment,
        kind: EntryKind,
        id: EntryId,
    ) -> Result<Option<EntryWithMatch>, StoreError> {
        let entry = keys::entry(contract, kind, id);
        let matched = keys::entry_match(contract, environment, kind, id);
        let keys = [&entry, &matched].map(keys::Key::attributes).to_vec();
        let mut items = self.read_many(keys).await?;
        let mut take = |key: &keys::Key| {
            let is = |item: &Item| {
                let of = item.get("PK").and_then(|pk| pk.as_s().ok());
                of.is_some_and(|pk| *pk == key.pk)
            };
            let at = items.iter().position(is)?;
            Some(items.swap_remove(at))
        };
        let Some(item) = take(&entry) else {
            return Ok(None);
        };
        let matched = take(&matched).map(|item| read(MATCH, item)).transpose()?;
        Ok(Some((read(ENTITY, item)?, matched)))
    }

    /// The existing entries of those ids.
    pub async fn entries(
        &self,
        contract: &ContractId,
        kind: EntryKind,
        ids: &[EntryId],
    ) -> Result<HashMap<EntryId, Entry>, StoreError> {
        let items = self
            .read_ids(ids, |id| keys::entry(contract, kind, id))
            .await?;
        Ok(read_each(ENTITY, items, |item| {
            let id = id_of(&item).ok_or_else(|| StoreError::corrupt(ENTITY))?;
            Ok((id, read(ENTITY, item)?))
        })
        .into_iter()
        .collect())
    }

    /// The existing matches of those entries, by the entry's id.
    pub async fn entry_matches(
        &self,
        contract: &ContractId,
        environment: Environment,
        kind: EntryKind,
        ids: &[EntryId],
    ) -> Result<HashMap<EntryId, Match>, StoreError> {
        let key = |id| keys::entry_match(contract, environment, kind, id);
        let items = self.read_ids(ids, key).await?;
        Ok(read_each(MATCH, items, |item| {
            let id = id_of(&item).ok_or_else(|| StoreError::corrupt(MATCH))?;
            Ok((id, read(MATCH, item)?))
        })
        .into_iter()
        .collect())
    }

    async fn read_ids(
        &self,
        ids: &[EntryId],
        key: impl Fn(EntryId) -> keys::Key,
    ) -> Result<Vec<Item>, StoreError> {
        let mut once = ids.to_vec();
        once.sort_unstable();
        once.dedup();
        let keys = once.into_iter().map(|id| key(id).attributes());
        self.read_many(keys.collect()).await
    }

    /// Removes a submission that was withdrawn at its source from an entry's origins. An entry without
    /// another origin is deleted, with its match and its link. Returns the record that it was linked to: the
    /// caller links the entries that wait for it.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if other writers keep changing the entry.
    pub async fn withdraw_entry(
        &self,
        contract: &ContractId,
        environment: Environment,
        of: EntryRef,
        submission: SubmissionId,
    ) -> Result<Option<RecordRef>, StoreError> {
        for _ in 0..ROUNDS {
            let EntryRef { kind, id } = of;
            let found = self
                .entry_with_match(contract, environment, kind, id)
                .await?;
            let Some((entry, matched)) = found else {
                return Ok(None);
            };
            let mut freed = None;
            let withdrawal = entry.withdrawn(submission);
            let is_removed = matches!(withdrawal, Withdrawal::Remove);
            let done = match withdrawal {
                Withdrawal::Untouched => return Ok(None),
                Withdrawal::Keep(entry) => self.put_entry(contract, &entry).await,
                Withdrawal::Remove => {
                    freed = matched.as_ref().and_then(Match::record).cloned();
                    let actions = self.removal(contract, environment, &entry, matched.as_ref())?;
                    self.transact(actions).await
                }
            };
            match done {
                Err(StoreError::Conflict) => {}
                done => {
                    done?;
                    if is_removed {
                        self.forget_reaches(contract, id).await?;
                    }
                    return Ok(freed);
                }
            }
        }
        Err(StoreError::Conflict)
    }

    /// The writes that remove an entry in the version that was read, with its match and its link.
    pub(super) fn removal(
        &self,
        contract: &ContractId,
        environment: Environment,
        entry: &Entry,
        matched: Option<&Match>,
    ) -> Result<Vec<Action>, StoreError> {
        let as_read = Assumption::version(entry.version);
        let key = keys::entry(contract, entry.kind, entry.id);
        let mut actions = vec![self.delete_action(key.attributes(), Some(as_read))?];
        let key = keys::entry_match(contract, environment, entry.kind, entry.id);
        let as_read = matched.map_or_else(Assumption::absent, |matched| {
            Assumption::version(matched.version)
        });
        actions.push(self.delete_action(key.attributes(), Some(as_read))?);
        if let Some(record) = matched.and_then(Match::record) {
            actions.push(self.free(contract, environment, record, entry.reference())?);
        }
        actions.extend(self.outdated_actions(
            contract,
            environment,
            entry.reference(),
            matched,
            None,
        )?);
        Ok(actions)
    }
}

/// The id in the key of an entry's or match's item.
fn id_of(item: &Item) -> Option<EntryId> {
    item.get("SK")?.as_s().ok()?.parse().ok()
}
