//! Seat holders' lists (SV-4), the passes that save for them, and the marks of changed opportunities that a
//! pass reads.
//!
//! Items saved by hand belong to their seat holders. Items saved because of opportunities are made of the CRM's
//! records: a clean-up empties them, after the pass that writes them has ended.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::transaction::{Action, Assumption, Unit};
use super::work::WorkKind;
use super::{Item, Page, Store, StoreError, keys, page_of, read, read_each, text, write};
use domain::directory::{EntryId, EntryKind, LinkPass, RecordRef};
use domain::environment::Environment;
use domain::ids::{ContractId, SeatId};
use domain::lists::{ListRef, OwnLists, Reason, Saved, SavedByHand};

const OWN_LISTS: &str = "lists of a seat";
const BY_HAND: &str = "saved entry";
const SAVED: &str = "saved record";
const PASS: &str = "save pass";
const STATE: &str = "state of saving";
const MARK: &str = "mark of a change";
/// Maximum number of times that a change is recomputed after a concurrent change.
const ROUNDS: u32 = 8;

pub use keys::TOUCHED_SHARDS;

/// The settings and seats that save passes have applied so far.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SaveState {
    /// The settings by which all open opportunities were looked at.
    pub applied: String,
    /// The users of the CRM and the seats that their opportunities were saved for.
    pub seats: BTreeMap<String, SeatId>,
    /// Counts its changes.
    pub version: u64,
}

/// A mark: a record that bears on an opportunity was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    /// The CRM's id of the opportunity.
    pub opportunity: String,
    sort_key: String,
    stamp: String,
}

/// The mark of a write of a record that bears on an opportunity. Its stamp is that of the version of the
/// record that was written, so that a pass removes a mark only if nothing was written since it read it.
pub(super) fn mark(
    contract: &ContractId,
    environment: Environment,
    opportunity: &str,
    record: (&str, &str),
    stamp: String,
) -> Item {
    let mut item = keys::touched(contract, environment, opportunity, record).attributes();
    item.insert("entity_type".to_owned(), text(MARK));
    item.insert("opportunity".to_owned(), text(opportunity));
    item.insert("stamp".to_owned(), text(stamp));
    item
}

impl Store {
    /// The lists that a seat holder made.
    pub async fn own_lists(
        &self,
        contract: &ContractId,
        seat: SeatId,
    ) -> Result<OwnLists, StoreError> {
        let found = self.get(OWN_LISTS, keys::own_lists(contract, seat), true);
        Ok(found.await?.unwrap_or_default())
    }

    /// Stores a seat holder's lists over the version before.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if they were changed meanwhile.
    pub async fn put_own_lists(
        &self,
        contract: &ContractId,
        seat: SeatId,
        lists: &OwnLists,
    ) -> Result<(), StoreError> {
        let item = write(OWN_LISTS, lists, &keys::own_lists(contract, seat))?;
        self.put_version(item, lists.version).await
    }

    /// Saves an entry in a list; returns it as it was saved before, if it was.
    pub async fn save_by_hand(
        &self,
        contract: &ContractId,
        seat: SeatId,
        list: ListRef,
        saved: &SavedByHand,
    ) -> Result<Option<SavedByHand>, StoreError> {
        let key = keys::by_hand(contract, seat, list, saved.entry);
        self.put_new(BY_HAND, write(BY_HAND, saved, &key)?).await
    }

    /// Stores another note of a saved entry; returns `false` if it is not in the list.
    pub async fn note_by_hand(
        &self,
        contract: &ContractId,
        seat: SeatId,
        list: ListRef,
        entry: EntryId,
        note: Option<String>,
    ) -> Result<bool, StoreError> {
        let key = || keys::by_hand(contract, seat, list, entry);
        let stored: Option<SavedByHand> = self.get(BY_HAND, key(), true).await?;
        let Some(stored) = stored else {
            return Ok(false);
        };
        let item = write(BY_HAND, &SavedByHand { note, ..stored }, &key())?;
        match self.put_assuming(item, Some(Assumption::present())).await {
            Ok(()) => Ok(true),
            Err(StoreError::Conflict) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes an entry from a list; returns `false` if it was not there.
    pub async fn unsave_by_hand(
        &self,
        contract: &ContractId,
        seat: SeatId,
        list: ListRef,
        entry: EntryId,
    ) -> Result<bool, StoreError> {
        let key = keys::by_hand(contract, seat, list, entry).attributes();
        let delete = self.delete_action(key, Some(Assumption::present()))?;
        match self.transact(vec![delete]).await {
            Ok(()) => Ok(true),
            Err(StoreError::Conflict) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The lists of these in which an entry was saved by hand.
    pub async fn lists_with(
        &self,
        contract: &ContractId,
        seat: SeatId,
        lists: &[ListRef],
        entry: EntryId,
    ) -> Result<Vec<ListRef>, StoreError> {
        let key = |list: ListRef| keys::by_hand(contract, seat, list, entry);
        let wanted = lists.iter().map(|list| key(*list).attributes());
        let found = self.read_many(wanted.collect()).await?;
        let found: Vec<&str> = found
            .iter()
            .filter_map(|item| Some(item.get("SK")?.as_s().ok()?.as_str()))
            .collect();
        let lists = lists.iter().copied();
        Ok(lists
            .filter(|list| found.contains(&key(*list).sk.as_str()))
            .collect())
    }

    /// A page of the entries that were saved in a list by hand, in the order of their ids, from the beginning
    /// or after one.
    pub async fn saved_by_hand(
        &self,
        contract: &ContractId,
        seat: SeatId,
        list: ListRef,
        after: Option<EntryId>,
        limit: i32,
    ) -> Result<Page<SavedByHand>, StoreError> {
        let (partition, prefix) = keys::by_hand_in(contract, seat, list);
        let start = after.map(|entry| keys::by_hand(contract, seat, list, entry).attributes());
        let query = self.query_prefix(partition, prefix).limit(limit);
        let page = page_of(&query, start).await?;
        let items: Vec<SavedByHand> = read_each(BY_HAND, page.items, |item| read(BY_HAND, item));
        let id = |item: &Item| Some(item.get("SK")?.as_s().ok()?.rsplit_once('#')?.1.to_owned());
        Ok(Page {
            next: page.next.as_ref().and_then(id),
            items,
        })
    }

    /// Deletes what was saved in a list by hand.
    pub async fn empty_list(
        &self,
        contract: &ContractId,
        seat: SeatId,
        list: Uuid,
    ) -> Result<(), StoreError> {
        let (partition, prefix) = keys::by_hand_in(contract, seat, ListRef::Own(list));
        // No id sorts behind it.
        let end = format!("{prefix}~");
        self.delete_range(&partition, &prefix, &end).await
    }

    /// Saves a record for a seat holder because of an opportunity. Returns `false` if it was saved because of
    /// it before. Only for the worker that has the save pass: a clean-up waits for it.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if other writers keep changing the same record of the list.
    pub async fn save_because(
        &self,
        contract: &ContractId,
        seat: SeatId,
        record: (EntryKind, &RecordRef),
        reason: &Reason,
    ) -> Result<bool, StoreError> {
        let environment = Environment::Production;
        let (kind, record) = record;
        for _ in 0..ROUNDS {
            let key = keys::saved(contract, environment, seat, kind, record);
            let before: Option<Saved> = self.get(SAVED, key.clone(), true).await?;
            let Some(after) = Saved::because(before.as_ref(), record, reason.clone()) else {
                return Ok(false);
            };
            let item = write(SAVED, &after, &key)?;
            match self.put_version(item, after.version).await {
                Ok(()) => return Ok(true),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::Conflict)
    }

    /// Changes a record that was saved for a seat holder. Returns `false` if it is not in the list, or `change`
    /// has no change.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if other writers keep changing it.
    pub async fn change_saved(
        &self,
        contract: &ContractId,
        seat: SeatId,
        kind: EntryKind,
        record: &RecordRef,
        change: impl Fn(&Saved) -> Option<Saved>,
    ) -> Result<bool, StoreError> {
        for _ in 0..ROUNDS {
            let key = keys::saved(contract, Environment::Production, seat, kind, record);
            let before: Option<Saved> = self.get(SAVED, key.clone(), true).await?;
            let before = before.filter(|saved| saved.removed_at.is_none());
            let Some(after) = before.as_ref().and_then(&change) else {
                return Ok(false);
            };
            let item = write(SAVED, &after, &key)?;
            match self.put_version(item, after.version).await {
                Ok(()) => return Ok(true),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::Conflict)
    }

    /// A page of the records that were saved for a seat holder, in the order of objects and ids, from the
    /// beginning or after one; `next` is the last one's text. Those that the seat holder removed are left out,
    /// so a page can be short.
    pub async fn saved_page(
        &self,
        contract: &ContractId,
        seat: SeatId,
        kind: EntryKind,
        after: Option<&RecordRef>,
        limit: i32,
    ) -> Result<Page<Saved>, StoreError> {
        let environment = Environment::Production;
        let (partition, prefix) = keys::saved_for(contract, environment, seat, kind);
        let start =
            after.map(|record| keys::saved(contract, environment, seat, kind, record).attributes());
        let query = self.query_prefix(partition, prefix).limit(limit);
        let page = page_of(&query, start).await?;
        // The key of the last one is made of it again.
        let last = page.next.as_ref().and_then(keys::record_at_end);
        let mut items: Vec<Saved> = read_each(SAVED, page.items, |item| read(SAVED, item));
        items.retain(|saved| saved.removed_at.is_none());
        Ok(Page {
            items,
            next: last.map(|record| record.to_string()),
        })
    }

    /// Those of these records that are saved for a seat holder and were not removed.
    pub async fn saved_records(
        &self,
        contract: &ContractId,
        seat: SeatId,
        kind: EntryKind,
        records: &[RecordRef],
    ) -> Result<HashMap<RecordRef, Saved>, StoreError> {
        let key = |record| keys::saved(contract, Environment::Production, seat, kind, record);
        let wanted: BTreeSet<&RecordRef> = records.iter().collect();
        let wanted: Vec<Item> = wanted
            .into_iter()
            .map(|record| key(record).attributes())
            .collect();
        let found = self.read_many(wanted).await?;
        let found: Vec<Saved> = read_each(SAVED, found, |item| read(SAVED, item));
        let there = found.into_iter().filter(|saved| saved.removed_at.is_none());
        Ok(there.map(|saved| (saved.record.clone(), saved)).collect())
    }

    /// The save pass that waits or runs, or the last one. It is kept as a link pass is.
    pub async fn save_pass(&self, contract: &ContractId) -> Result<Option<LinkPass>, StoreError> {
        self.get(PASS, keys::save_pass(contract), true).await
    }

    /// A write of a save pass over the version before it. One that has work to do is in the index.
    fn save_pass_put(&self, contract: &ContractId, pass: &LinkPass) -> Result<Action, StoreError> {
        let mut item = write(PASS, pass, &keys::save_pass(contract))?;
        if pass.is_open() {
            WorkKind::Save.index(&mut item, contract, pass.due_at);
        }
        self.versioned_put(item, pass.version)
    }

    /// Stores a save pass over the version before it.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if it was changed meanwhile.
    pub async fn put_save_pass(
        &self,
        contract: &ContractId,
        pass: &LinkPass,
    ) -> Result<(), StoreError> {
        self.transact(vec![self.save_pass_put(contract, pass)?])
            .await
    }

    /// The settings and seats that save passes have applied so far.
    pub async fn save_state(&self, contract: &ContractId) -> Result<SaveState, StoreError> {
        let found = self.get(STATE, keys::save_state(contract), true);
        Ok(found.await?.unwrap_or_default())
    }

    /// Takes a save pass, or stores its progress, with what it has applied: each over the version before it,
    /// and only while the production environment's connection to that organisation stands.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if another worker has taken the pass, or the connection is being
    /// ended: the caller must stop working on it.
    pub async fn checkpoint_save_pass(
        &self,
        contract: &ContractId,
        organization: &str,
        pass: &LinkPass,
        applied: Option<&SaveState>,
    ) -> Result<(), StoreError> {
        let environment = Environment::Production;
        let mut actions = vec![
            self.assume_connected(contract, environment, organization)?,
            self.save_pass_put(contract, pass)?,
        ];
        if let Some(state) = applied {
            let item = write(STATE, state, &keys::save_state(contract))?;
            actions.push(self.versioned_put(item, state.version)?);
        }
        self.transact(actions).await
    }

    /// A page of a shard's marks, those of one opportunity one after the other, from the beginning or after
    /// one.
    pub async fn touched(
        &self,
        contract: &ContractId,
        environment: Environment,
        shard: u32,
        after: Option<&Touched>,
        limit: i32,
    ) -> Result<Vec<Touched>, StoreError> {
        let pk = keys::touched_partition(contract, environment, shard);
        let start = after.map(|mark| {
            let (pk, sk) = (pk.clone(), mark.sort_key.clone());
            keys::Key { pk, sk }.attributes()
        });
        let query = self.query_partition(&pk).limit(limit);
        let found = page_of(&query, start).await?.items;
        Ok(read_each(MARK, found, |mut item| {
            let mut part = |name: &str| match item.remove(name) {
                Some(aws_sdk_dynamodb::types::AttributeValue::S(text)) => Ok(text),
                _ => Err(StoreError::corrupt(MARK)),
            };
            Ok(Touched {
                opportunity: part("opportunity")?,
                sort_key: part("SK")?,
                stamp: part("stamp")?,
            })
        }))
    }

    /// Removes marks that a pass has looked at. Those that were written anew since they were read stay: another
    /// pass looks at them.
    pub async fn settle_touched(
        &self,
        contract: &ContractId,
        marks: &[Touched],
    ) -> Result<(), StoreError> {
        let mut units = Vec::with_capacity(marks.len());
        for mark in marks {
            let (pk, sk) = (
                keys::touched_shard_of(contract, Environment::Production, &mark.opportunity),
                mark.sort_key.clone(),
            );
            let as_read = Assumption::attribute("stamp", Some(text(&mark.stamp)));
            let key = keys::Key { pk, sk }.attributes();
            units.push(Unit {
                of: (),
                actions: vec![self.delete_action(key, Some(as_read))?],
                bytes: 0,
            });
        }
        self.run_units(units).await?;
        Ok(())
    }
}
