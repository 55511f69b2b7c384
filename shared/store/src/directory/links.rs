//! Links between entries and records: an entry has at most one record, and a record at most one entry.
//!
//! Each change of a link is one transaction that asserts everything it relies on: the match as it was read,
//! the entry's version at the time of the decision, and the record's owner, which must be nobody, the same
//! entry, or the entry that loses the record. So a user's decision in the meantime wins, and no record has
//! two entries.

use std::collections::HashMap;

use super::super::transaction::{Action, Assumption, Unit};
use super::super::{Item, Store, StoreError, keys, read_each, text, write};
use super::{MATCH, entry_item};
use domain::directory::{Entry, EntryId, EntryKind, EntryRef, MAX_CANDIDATES, Match, RecordRef};
use domain::environment::Environment;
use domain::ids::ContractId;

const LINKED: &str = "linked record";
const WAITING: &str = "waiting entry";
/// The attribute of a linked record that names its entry.
const OWNER: &str = "entry";
/// The approximate size of a match with its candidates, in bytes.
const MATCH_BYTES: usize = 2_000;

/// An entry whose match is written: unchanged, or written in the same transaction.
#[derive(Debug, Clone, PartialEq)]
pub enum EntryAs {
    /// The entry is unchanged and must have the version that the match was decided from.
    Is {
        /// The kind of entry.
        kind: EntryKind,
        /// The id of the entry.
        id: EntryId,
        /// The required version.
        version: u64,
    },
    /// The entry is written too, replacing the version before its own.
    Becomes(Box<Entry>),
}

impl EntryAs {
    /// The unchanged entry, as it was read.
    #[must_use]
    pub const fn is(entry: &Entry) -> Self {
        Self::Is {
            kind: entry.kind,
            id: entry.id,
            version: entry.version,
        }
    }

    /// The reference to the entry.
    #[must_use]
    pub const fn reference(&self) -> EntryRef {
        match self {
            Self::Is { kind, id, .. } => EntryRef {
                kind: *kind,
                id: *id,
            },
            Self::Becomes(entry) => entry.reference(),
        }
    }
}

/// The entry that a record is taken from.
#[derive(Debug, Clone, PartialEq)]
pub struct Holder {
    /// The entry.
    pub entry: EntryRef,
    /// The required version of the entry.
    pub version: u64,
    /// The entry's match as it was read. It loses its link and keeps its candidates.
    pub before: Match,
}

/// A change of an entry's match, and of its link.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkWrite {
    /// The entry.
    pub entry: EntryAs,
    /// The match as it was read.
    pub before: Option<Match>,
    /// The new match. The store sets its `version` and drops candidates beyond the tenth.
    pub after: Match,
    /// The entry that has the new link's record now and loses it.
    pub from: Option<Holder>,
    /// A record that a user chose for the entry but that another entry has.
    pub waits_for: Option<WaitsFor>,
}

/// A record that users chose for two entries, because the records that they chose were merged in the CRM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitsFor {
    /// The record.
    pub record: RecordRef,
    /// The entry that has it.
    pub by: EntryRef,
}

impl Store {
    /// Returns the entries that are linked to these records, by record.
    pub async fn linked(
        &self,
        contract: &ContractId,
        environment: Environment,
        records: &[RecordRef],
    ) -> Result<HashMap<RecordRef, EntryRef>, StoreError> {
        let mut by_key: HashMap<String, &RecordRef> = HashMap::with_capacity(records.len());
        let mut keys = Vec::with_capacity(records.len());
        for record in records {
            let key = keys::linked(contract, environment, record);
            let attributes = key.attributes();
            if by_key.insert(key.sk, record).is_none() {
                keys.push(attributes);
            }
        }
        let items = self.read_many(keys).await?;
        let read = |item: &Item| {
            let record = by_key.get(item.get("SK")?.as_s().ok()?)?;
            Some(((*record).clone(), entry_of(item)?))
        };
        let found = read_each(LINKED, items, |item| {
            read(&item).ok_or_else(|| StoreError::corrupt(LINKED))
        });
        Ok(found.into_iter().collect())
    }

    /// Returns the entries that began to wait for a record while another entry had it. Some of them may have
    /// stopped waiting since.
    pub async fn waiting(
        &self,
        contract: &ContractId,
        environment: Environment,
        record: &RecordRef,
    ) -> Result<Vec<EntryRef>, StoreError> {
        let (partition, prefix) = keys::all_waiting(contract, environment, record);
        let items = self.query_all(partition, &prefix).await?;
        Ok(read_each(WAITING, items, |item| {
            entry_of(&item).ok_or_else(|| StoreError::corrupt(WAITING))
        }))
    }

    /// Changes a match if the environment is connected to that organisation.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if the entry, its match or the record's link has changed meanwhile,
    /// or if that connection has ended. The caller has to read again and decide anew.
    pub async fn write_link(
        &self,
        contract: &ContractId,
        environment: Environment,
        organization: &str,
        change: &LinkWrite,
    ) -> Result<(), StoreError> {
        let mut actions = self.link_actions(contract, environment, change)?;
        actions.push(self.assume_connected(contract, environment, organization)?);
        self.transact(actions).await
    }

    /// Changes many matches, each all or nothing, and returns those that conflicted or were throttled. Only
    /// the worker that holds the link pass may call this: these writes do not check the connection, and a
    /// clean-up waits only for that lease, so later writes would store data after the clean-up.
    pub async fn write_links(
        &self,
        contract: &ContractId,
        environment: Environment,
        changes: Vec<LinkWrite>,
    ) -> Result<Vec<LinkWrite>, StoreError> {
        let mut units = Vec::with_capacity(changes.len());
        for change in changes {
            let actions = self.link_actions(contract, environment, &change)?;
            units.push(Unit {
                bytes: actions.len() * MATCH_BYTES,
                actions,
                of: change,
            });
        }
        let (_, lost) = self.run_units(units).await?;
        Ok(lost)
    }

    /// Returns the writes of a change, with all its conditions.
    pub(super) fn link_actions(
        &self,
        contract: &ContractId,
        environment: Environment,
        change: &LinkWrite,
    ) -> Result<Vec<Action>, StoreError> {
        let entry = change.entry.reference();
        let mut actions = vec![
            self.entry_action(contract, &change.entry)?,
            self.match_put(
                contract,
                environment,
                entry,
                change.before.as_ref(),
                &change.after,
            )?,
        ];
        actions.extend(self.outdated_actions(
            contract,
            environment,
            entry,
            change.before.as_ref(),
            Some(&change.after),
        )?);
        let old = change.before.as_ref().and_then(Match::record);
        let new = change.after.record();
        if let Some(record) = new.filter(|new| old != Some(*new) || change.from.is_some()) {
            let holder = change.from.as_ref().map(|holder| holder.entry.to_string());
            let allowed: Vec<String> = [entry.to_string()].into_iter().chain(holder).collect();
            let mut item = keys::linked(contract, environment, record).attributes();
            item.insert("entity_type".to_owned(), text(LINKED));
            item.insert(OWNER.to_owned(), text(entry.to_string()));
            let assumption = Assumption::absent_or(OWNER, &allowed);
            actions.push(self.put_action(item, Some(assumption))?);
        }
        if let Some(record) = old.filter(|old| new != Some(*old)) {
            actions.push(self.free(contract, environment, record, entry)?);
        }
        if let Some(WaitsFor { record, by }) = &change.waits_for {
            // The transaction that frees a record reads the waiting entries afterwards: either it finds this
            // note, or the condition below fails.
            let holds = Assumption::attribute(OWNER, Some(text(by.to_string())));
            actions.push(self.check_action(&keys::linked(contract, environment, record), holds)?);
            let mut note = keys::waiting(contract, environment, record, entry).attributes();
            note.insert("entity_type".to_owned(), text(WAITING));
            note.insert(OWNER.to_owned(), text(entry.to_string()));
            actions.push(self.put_action(note, None)?);
        }
        if let Some(holder) = &change.from {
            let EntryRef { kind, id } = holder.entry;
            let version = holder.version;
            let stays = EntryAs::Is { kind, id, version };
            actions.push(self.entry_action(contract, &stays)?);
            // The holder may be linked to another record by now; that link stays.
            if holder.before.record() == new {
                let loses = holder.before.unlinked(change.after.at);
                let before = Some(&holder.before);
                actions.push(self.match_put(
                    contract,
                    environment,
                    holder.entry,
                    before,
                    &loses,
                )?);
                actions.extend(self.outdated_actions(
                    contract,
                    environment,
                    holder.entry,
                    before,
                    Some(&loses),
                )?);
            }
        }
        Ok(actions)
    }

    fn entry_action(&self, contract: &ContractId, entry: &EntryAs) -> Result<Action, StoreError> {
        match entry {
            EntryAs::Is { kind, id, version } => {
                let key = keys::entry(contract, *kind, *id);
                self.check_action(&key, Assumption::version(*version))
            }
            EntryAs::Becomes(entry) => {
                self.versioned_put(entry_item(contract, entry)?, entry.version)
            }
        }
    }

    fn match_put(
        &self,
        contract: &ContractId,
        environment: Environment,
        entry: EntryRef,
        before: Option<&Match>,
        after: &Match,
    ) -> Result<Action, StoreError> {
        let mut after = after.clone();
        after.candidates.truncate(MAX_CANDIDATES);
        after.version = before.map_or(1, |before| before.version + 1);
        let key = keys::entry_match(contract, environment, entry.kind, entry.id);
        self.versioned_put(write(MATCH, &after, &key)?, after.version)
    }

    /// Returns the deletion of the record's link, which fails if another entry has the record.
    pub(super) fn free(
        &self,
        contract: &ContractId,
        environment: Environment,
        record: &RecordRef,
        entry: EntryRef,
    ) -> Result<Action, StoreError> {
        let key = keys::linked(contract, environment, record);
        let own = Assumption::absent_or(OWNER, &[entry.to_string()]);
        self.delete_action(key.attributes(), Some(own))
    }
}

/// The entry that an item refers to; `None` if the attribute is missing or malformed.
fn entry_of(item: &Item) -> Option<EntryRef> {
    let (kind, id) = item.get(OWNER)?.as_s().ok()?.split_once(':')?;
    Some(EntryRef {
        kind: kind.parse().ok()?,
        id: id.parse().ok()?,
    })
}
