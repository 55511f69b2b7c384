//! The mirror of a CRM's records, and the match keys by which they are found (IM-1, IM-2, IM-4).
//!
//! It holds millions of items, so the calls are few and the items are built by hand. A record that is
//! unchanged in the mirror costs no write: its hash shows it. A changed one is written together with its
//! match and reference keys, on the condition that nobody has changed it since it was read.

use std::collections::{BTreeSet, HashMap, HashSet};

use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_types::Blob;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use sha2::{Digest as _, Sha256};

use super::batch::{Projection, READ_BATCH, READS_AT_ONCE, WRITES_AT_ONCE, Write, back_off, count};
use super::transaction::{Action, Assumption, Unit};
use super::{Item, Page, Store, StoreError, keys, lists, number, page_of, read_each, text};
use domain::clock::Millis;
use domain::environment::Environment;
use domain::ids::ContractId;
use domain::match_keys::{self, MatchKey};
use domain::mirror::{Change, Record, Values};
use domain::references;
use domain::schema::CrmKind;

pub use keys::MIRROR_SHARDS;

const ENTITY: &str = "mirrored record";
/// Maximum number of times that a record is read again because it changed between our read and our write.
const ROUNDS: u32 = 3;
/// Bytes of ids in one item, under DynamoDB's limit of 400 KB.
const SEEN_BYTES: usize = 300_000;

/// An object of an environment's CRM, whose records are mirrored.
#[derive(Debug, Clone, Copy)]
pub struct Mirror<'a> {
    /// The contract.
    pub contract: &'a ContractId,
    /// The environment.
    pub environment: Environment,
    /// The environment's CRM.
    pub crm: CrmKind,
    /// The CRM's name for the object.
    pub object: &'a str,
    /// The region of phone numbers without a country code, if the record names no country.
    pub default_region: Option<&'a str>,
}

/// Counts of the outcomes of changes. A record that came twice counts once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// Records that are new in the mirror.
    pub inserted: u64,
    /// Records whose stored values were different.
    pub changed: u64,
    /// Records that were stored with the same values.
    pub unchanged: u64,
    /// Records that are no longer there.
    pub removed: u64,
}

impl std::ops::AddAssign for Written {
    fn add_assign(&mut self, other: Self) {
        self.inserted += other.inserted;
        self.changed += other.changed;
        self.unchanged += other.unchanged;
        self.removed += other.removed;
    }
}

/// The result of sweeping a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Records that the pass did not see, and that were removed.
    pub removed: u64,
    /// Records that stay.
    pub kept: u64,
}

/// A record as the mirror has it.
#[derive(Debug, Clone, PartialEq)]
pub struct MirrorRecord {
    /// The CRM's id.
    pub id: String,
    /// Its values; `None` if the record is gone and only its survivor is known.
    pub values: Option<serde_json::Map<String, serde_json::Value>>,
    /// Time of the CRM's last change to the stored version.
    pub modified: Option<Millis>,
    /// The record that it was merged into.
    pub merged_into: Option<String>,
    /// The text of its match and reference keys.
    pub keys: BTreeSet<String>,
}

type Hash = [u8; 16];

/// The attributes that a write depends on.
const STORED: Projection = Projection(&["SK", "hash", "keys", "merged_into"]);

/// A record prepared for writing.
struct Prepared {
    data: String,
    hash: Hash,
    keys: Vec<MatchKey>,
}

/// A record's state in the mirror, as far as a write depends on it.
#[derive(Debug, Default)]
struct Stored {
    /// `None` if only the survivor of a merge is known.
    hash: Option<Hash>,
    keys: Vec<String>,
    merged_into: Option<String>,
}

/// The intended state of a record.
enum Target<'c> {
    Present(&'c Record, Prepared),
    Gone {
        merged_into: Option<&'c str>,
    },
    /// Gone, if it has not changed since a sweep read it.
    Unseen(Stored),
}

struct Intent<'c> {
    id: &'c str,
    target: Target<'c>,
}

/// The writes that bring a record to its target, with their counts.
type Step<'i, 'c> = Unit<(&'i Intent<'c>, Written)>;

impl Mirror<'_> {
    fn record_key(&self, id: &str) -> keys::Key {
        keys::mirrored(self.contract, self.environment, self.object, id)
    }

    fn match_key(&self, key: &MatchKey, id: &str) -> Item {
        let object = Some(self.object);
        let (pk, mut sk) = keys::match_key(self.contract, self.environment, key, object);
        sk.push_str(id);
        keys::Key { pk, sk }.attributes()
    }

    /// The mark that a write of the record makes of its opportunity, for the save pass (SV-4), which reads the
    /// production environment's.
    fn mark(&self, record: &Record, prepared: &Prepared) -> Option<Item> {
        if self.environment != Environment::Production {
            return None;
        }
        let (object, id) = (self.object, record.id.as_str());
        let opportunity = references::opportunity_of(self.crm, object, id, &record.values)?;
        let (contract, environment) = (self.contract, self.environment);
        // A calculated field can change without a new time.
        let hash = u128::from_be_bytes(prepared.hash);
        let stamp = format!("{}#{hash:032x}", record.modified.0);
        Some(lists::mark(
            contract,
            environment,
            opportunity,
            (object, id),
            stamp,
        ))
    }

    fn prepare(&self, record: &Record) -> Result<Prepared, StoreError> {
        let data = serde_json::to_string(&record.values).map_err(StoreError::malformed)?;
        let region = self.default_region;
        let mut keys = match_keys::keys(self.crm, self.object, &record.values, region);
        keys.extend(references::keys(self.crm, self.object, &record.values));
        let mut hash = Sha256::new_with_prefix([match_keys::VERSION]);
        // No part of a key and no JSON text holds a zero byte.
        let merged_into = record.merged_into.as_deref().unwrap_or_default();
        for part in [data.as_str(), merged_into]
            .into_iter()
            .chain(keys.iter().map(MatchKey::as_str))
        {
            hash.update(part);
            hash.update([0]);
        }
        let mut short = Hash::default();
        for (to, from) in short.iter_mut().zip(hash.finalize()) {
            *to = from;
        }
        Ok(Prepared {
            data,
            hash: short,
            keys,
        })
    }

    fn record_item(&self, record: &Record, prepared: &Prepared) -> Item {
        let key = self.record_key(&record.id);
        let mut item = Item::with_capacity(8);
        item.insert("PK".to_owned(), text(key.pk));
        item.insert("SK".to_owned(), text(key.sk));
        item.insert("entity_type".to_owned(), text(ENTITY));
        item.insert("data".to_owned(), text(&prepared.data));
        item.insert("hash".to_owned(), bytes(&prepared.hash));
        item.insert("modified".to_owned(), number(record.modified.0));
        if let Some(survivor) = &record.merged_into {
            item.insert("merged_into".to_owned(), text(survivor));
        }
        if !prepared.keys.is_empty() {
            let keys = prepared.keys.iter().map(ToString::to_string).collect();
            item.insert("keys".to_owned(), AttributeValue::Ss(keys));
        }
        item
    }

    /// The item that remains of the loser of a merge: manual matches follow it to its survivor.
    fn pointer_item(&self, id: &str, survivor: &str) -> Item {
        let mut item = self.record_key(id).attributes();
        item.insert("entity_type".to_owned(), text(ENTITY));
        item.insert("merged_into".to_owned(), text(survivor));
        item
    }

    /// Writes records into an empty mirror, without reading it. Records that are gone are left out, except
    /// for the pointers of merged ones to their survivors. Repeating it with the same changes is harmless.
    /// With other values of the same record, match keys of the first ones stay; they find a record that is no
    /// match.
    ///
    /// # Errors
    /// Returns [`StoreError::Unavailable`] if the table did not take all of it.
    pub async fn put_new(&self, store: &Store, changes: &[Change]) -> Result<Written, StoreError> {
        let mut writes = Vec::with_capacity(changes.len() * 3);
        // A save pass that met a mark before its record would forget it.
        let mut marks = Vec::new();
        let mut written = Written::default();
        for change in latest(changes) {
            match change {
                Change::Present(record) => {
                    let prepared = self.prepare(record)?;
                    writes.push(Write::put(self.record_item(record, &prepared))?);
                    for key in &prepared.keys {
                        writes.push(Write::put(self.match_key(key, &record.id))?);
                    }
                    if let Some(mark) = self.mark(record, &prepared) {
                        marks.push(Write::put(mark)?);
                    }
                    written.inserted += 1;
                }
                Change::Gone {
                    id,
                    merged_into: Some(survivor),
                    ..
                } => writes.push(Write::put(self.pointer_item(id, survivor))?),
                Change::Gone { .. } => {}
            }
        }
        store.write_all(writes, WRITES_AT_ONCE).await?;
        store.write_all(marks, WRITES_AT_ONCE).await?;
        Ok(written)
    }

    /// Applies the CRM's changes to the mirror. An unchanged record costs a part of a read and no write. Of
    /// several changes of one record the last counts.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if other writers keep changing the same records. Changes written
    /// until then stay, and applying the same changes again completes the rest.
    pub async fn apply(&self, store: &Store, changes: &[Change]) -> Result<Written, StoreError> {
        let mut intents = Vec::with_capacity(changes.len());
        for change in latest(changes) {
            let target = match change {
                Change::Present(record) => Target::Present(record, self.prepare(record)?),
                Change::Gone { merged_into, .. } => Target::Gone {
                    merged_into: merged_into.as_deref(),
                },
            };
            intents.push(Intent {
                id: change.id(),
                target,
            });
        }
        self.settle(store, &intents).await
    }

    /// Brings records to their targets: reads the stored items, writes the differences, and repeats for the
    /// records that were changed in between.
    async fn settle(&self, store: &Store, intents: &[Intent<'_>]) -> Result<Written, StoreError> {
        let mut written = Written::default();
        let mut open: Vec<&Intent<'_>> = intents.iter().collect();
        for round in 0..=ROUNDS {
            if open.is_empty() {
                return Ok(written);
            }
            if round > 0 {
                tokio::time::sleep(back_off(round)).await;
            }
            let stored = self.read_stored(store, &open).await?;
            let mut steps = Vec::new();
            for intent in open {
                let step = self.step(store, intent, stored.get(intent.id))?;
                if step.actions.is_empty() {
                    written += step.of.1;
                } else {
                    steps.push(step);
                }
            }
            let (done, lost) = store.run_units(steps).await?;
            for (_, counts) in done {
                written += counts;
            }
            open = lost.into_iter().map(|(intent, _)| intent).collect();
        }
        if open.is_empty() {
            Ok(written)
        } else {
            Err(StoreError::Conflict)
        }
    }

    async fn read_stored(
        &self,
        store: &Store,
        intents: &[&Intent<'_>],
    ) -> Result<HashMap<String, Stored>, StoreError> {
        let batches: Vec<Vec<Item>> = intents
            .chunks(READ_BATCH)
            .map(|chunk| {
                let keys = chunk.iter().map(|intent| self.record_key(intent.id));
                keys.map(|key| key.attributes()).collect()
            })
            .collect();
        let read = stream::iter(batches)
            .map(|keys| store.read_batch(keys, Some(STORED)))
            .buffer_unordered(READS_AT_ONCE)
            .try_collect::<Vec<_>>()
            .await?;
        let mut stored = HashMap::with_capacity(intents.len());
        for mut item in read.into_iter().flatten() {
            if let Some(AttributeValue::S(id)) = item.remove("SK") {
                stored.insert(id, Stored::of(item));
            }
        }
        Ok(stored)
    }

    /// Computes the writes for a record's target from its stored state.
    fn step<'i, 'c>(
        &self,
        store: &Store,
        intent: &'i Intent<'c>,
        stored: Option<&Stored>,
    ) -> Result<Step<'i, 'c>, StoreError> {
        let mut step = Step {
            of: (intent, Written::default()),
            actions: Vec::new(),
            bytes: 0,
        };
        let counts = &mut step.of.1;
        let hash = stored.and_then(|stored| stored.hash);
        let there = hash.is_some();
        // It has not changed since it was read.
        let as_read = Assumption::attribute("hash", hash.as_ref().map(|hash| bytes(hash)));
        let old_keys = stored.map_or(&[][..], |stored| &stored.keys);
        let mut survivor = stored.and_then(|stored| stored.merged_into.as_deref());
        match &intent.target {
            Target::Present(record, prepared) => {
                if hash == Some(prepared.hash) {
                    counts.unchanged = 1;
                    return Ok(step);
                }
                let counter = if there {
                    &mut counts.changed
                } else {
                    &mut counts.inserted
                };
                *counter = 1;
                step.bytes = prepared.data.len();
                let item = self.record_item(record, prepared);
                step.actions.push(store.put_action(item, Some(as_read))?);
                for key in &prepared.keys {
                    if !old_keys.iter().any(|old| old == key.as_str()) {
                        let item = self.match_key(key, intent.id);
                        step.actions.push(store.put_action(item, None)?);
                    }
                }
                if let Some(mark) = self.mark(record, prepared) {
                    step.actions.push(store.put_action(mark, None)?);
                }
                let kept: HashSet<&str> = prepared.keys.iter().map(MatchKey::as_str).collect();
                let gone = old_keys.iter().filter(|old| !kept.contains(old.as_str()));
                self.delete_keys(store, intent.id, gone, &mut step.actions)?;
                return Ok(step);
            }
            Target::Gone { merged_into } => {
                if merged_into.is_some() && *merged_into != survivor {
                    survivor = *merged_into;
                } else if !there {
                    return Ok(step);
                }
            }
            Target::Unseen(seen) => {
                // Written since: then the CRM has it.
                if hash.is_none() || hash != seen.hash {
                    return Ok(step);
                }
            }
        }
        counts.removed = u64::from(there);
        step.actions.push(match survivor {
            Some(survivor) => {
                store.put_action(self.pointer_item(intent.id, survivor), Some(as_read))?
            }
            None => store.delete_action(self.record_key(intent.id).attributes(), Some(as_read))?,
        });
        self.delete_keys(store, intent.id, old_keys.iter(), &mut step.actions)?;
        Ok(step)
    }

    /// The writes that take a record's values and match keys out of the mirror (OP-3): it stays, without
    /// anything that tells of a person, so that counts and references are as in the CRM. Returns the number of
    /// match keys too; `None` if it has no values, or there is no such record.
    pub(super) async fn emptying(
        &self,
        store: &Store,
        id: &str,
    ) -> Result<Option<(Vec<Action>, u64)>, StoreError> {
        let stored = store
            .read_many(vec![self.record_key(id).attributes()])
            .await?;
        let Some(item) = stored.into_iter().next() else {
            return Ok(None);
        };
        let modified = number_of(&item, "modified").map(Millis);
        let stored = Stored::of(item);
        let record = Record {
            id: id.to_owned(),
            modified: modified.unwrap_or_default(),
            merged_into: stored.merged_into.clone(),
            values: Values::default(),
        };
        let prepared = self.prepare(&record)?;
        if stored.hash.is_none() || stored.hash == Some(prepared.hash) {
            return Ok(None);
        }
        let keys = stored.keys.len() as u64;
        let intent = Intent {
            id,
            target: Target::Present(&record, prepared),
        };
        let step = self.step(store, &intent, Some(&stored))?;
        Ok(Some((step.actions, keys)))
    }

    fn delete_keys<'k>(
        &self,
        store: &Store,
        id: &str,
        gone: impl Iterator<Item = &'k String>,
        actions: &mut Vec<Action>,
    ) -> Result<(), StoreError> {
        for key in gone {
            let key = self.match_key(&MatchKey::stored(key), id);
            actions.push(store.delete_action(key, None)?);
        }
        Ok(())
    }

    /// Stores which records a part of a pass over the whole object saw. Repeating a part replaces its stored
    /// list.
    ///
    /// # Errors
    /// Returns [`StoreError::Unavailable`] if the table did not take all of it.
    pub async fn mark_seen(
        &self,
        store: &Store,
        generation: u64,
        part: u64,
        ids: impl IntoIterator<Item = &str>,
    ) -> Result<(), StoreError> {
        let mut shards: HashMap<u32, Vec<PackedId>> = HashMap::new();
        for id in ids {
            let shard = shards.entry(keys::mirror_shard(id)).or_default();
            shard.push(PackedId::of(id));
        }
        let pk = keys::seen_partition(self.contract, self.environment, self.object);
        let key = |shard, piece| keys::Key {
            pk: pk.clone(),
            sk: keys::seen(shard, generation, part, piece),
        };
        let mut writes = Vec::new();
        for shard in 0..MIRROR_SHARDS {
            let Some(ids) = shards.get_mut(&shard) else {
                // An earlier attempt at the part may have seen some of this shard.
                writes.push(Write::delete(key(shard, 0).attributes())?);
                continue;
            };
            let pieces = pack(ids);
            for (index, piece) in pieces.iter().enumerate() {
                let mut item = key(shard, index).attributes();
                item.insert("entity_type".to_owned(), text("seen ids"));
                item.insert("ids".to_owned(), bytes(piece));
                // Pieces behind these are from an earlier attempt.
                item.insert("pieces".to_owned(), number(pieces.len()));
                writes.push(Write::put(item)?);
            }
        }
        store.write_all(writes, WRITES_AT_ONCE).await
    }

    /// Removes the records of a shard that no part of the pass saw, and then the lists of records seen by
    /// this pass and by older ones. Safe to repeat: the result of a sweep is stored, and a repetition returns
    /// it. Pointers from merged records to their survivors stay.
    ///
    /// Only for a pass that read everything, and while no other worker writes the object.
    ///
    /// # Errors
    /// Returns a [`StoreError`]; repeating the sweep continues it.
    pub async fn sweep(
        &self,
        store: &Store,
        generation: u64,
        shard: u32,
    ) -> Result<Swept, StoreError> {
        let seen_pk = keys::seen_partition(self.contract, self.environment, self.object);
        let end = keys::Key {
            pk: seen_pk.clone(),
            sk: keys::swept(shard, generation),
        };
        let swept = if let Some(swept) = store.swept(&end).await? {
            swept
        } else {
            let seen = self.seen(store, generation, shard).await?;
            let swept = self.remove_unseen(store, shard, &seen).await?;
            let mut item = end.attributes();
            item.insert("entity_type".to_owned(), text("sweep"));
            item.insert("removed".to_owned(), number(swept.removed));
            item.insert("kept".to_owned(), number(swept.kept));
            store.put(item).await?;
            swept
        };
        // The result itself stays until the next pass's sweep.
        store
            .delete_range(&seen_pk, &keys::seen_shard(shard), &end.sk)
            .await?;
        Ok(swept)
    }

    /// The ids of a shard that a pass saw, sorted.
    async fn seen(
        &self,
        store: &Store,
        generation: u64,
        shard: u32,
    ) -> Result<Vec<PackedId>, StoreError> {
        let mut seen = Vec::new();
        let pk = keys::seen_partition(self.contract, self.environment, self.object);
        let query = store.query_prefix(pk, keys::seen_prefix(shard, generation));
        let mut start = None;
        // Pieces of the part that is being read.
        let (mut part, mut pieces) = (String::new(), 0_usize);
        loop {
            let page = page_of(&query, start).await?;
            for item in page.items {
                let Some((of_part, piece)) = item
                    .get("SK")
                    .and_then(|key| key.as_s().ok())
                    .and_then(|key| key.rsplit_once('#'))
                else {
                    continue;
                };
                let piece: usize = piece.parse().unwrap_or(0);
                if piece == 0 {
                    of_part.clone_into(&mut part);
                    pieces = number_of(&item, "pieces").unwrap_or(1);
                }
                if part != of_part || piece >= pieces {
                    continue;
                }
                if let Some(Ok(ids)) = item.get("ids").map(AttributeValue::as_b) {
                    unpack(ids.as_ref(), &mut seen)
                        .ok_or_else(|| StoreError::corrupt("list of seen ids"))?;
                }
            }
            start = page.next;
            if start.is_none() {
                break;
            }
        }
        seen.sort_unstable();
        Ok(seen)
    }

    async fn remove_unseen(
        &self,
        store: &Store,
        shard: u32,
        seen: &[PackedId],
    ) -> Result<Swept, StoreError> {
        let mut swept = Swept::default();
        let (expression, names) = STORED.expression();
        let query = store
            .query_partition(self.partition(shard))
            .projection_expression(expression)
            .set_expression_attribute_names(Some(names));
        let mut start = None;
        loop {
            let page = page_of(&query, start).await?;
            let mut unseen = Vec::new();
            for mut item in page.items {
                let Some(AttributeValue::S(id)) = item.remove("SK") else {
                    continue;
                };
                if !item.contains_key("hash") {
                    continue;
                }
                if seen.binary_search(&PackedId::of(&id)).is_ok() {
                    swept.kept += 1;
                } else {
                    unseen.push((id, Stored::of(item)));
                }
            }
            let intents: Vec<Intent<'_>> = unseen
                .iter_mut()
                .map(|(id, stored)| Intent {
                    id,
                    target: Target::Unseen(std::mem::take(stored)),
                })
                .collect();
            let removed = self.remove(store, &intents).await?;
            swept.removed += removed;
            swept.kept += intents.len() as u64 - removed;
            start = page.next;
            if start.is_none() {
                return Ok(swept);
            }
        }
    }

    /// Removes records that were just read; they are read again only if that fails.
    async fn remove(&self, store: &Store, intents: &[Intent<'_>]) -> Result<u64, StoreError> {
        let mut steps = Vec::with_capacity(intents.len());
        for intent in intents {
            if let Target::Unseen(stored) = &intent.target {
                steps.push(self.step(store, intent, Some(stored))?);
            }
        }
        let (done, lost) = store.run_units(steps).await?;
        let mut removed = done.iter().map(|(_, counts)| counts.removed).sum();
        for (intent, _) in lost {
            removed += self
                .settle(store, std::slice::from_ref(intent))
                .await?
                .removed;
        }
        Ok(removed)
    }

    fn partition(&self, shard: u32) -> String {
        keys::mirror_partition(self.contract, self.environment, self.object, shard)
    }

    /// Counts the records, without the pointers of merged ones.
    pub async fn count_records(&self, store: &Store) -> Result<u64, StoreError> {
        let counts = (0..MIRROR_SHARDS).map(|shard| {
            // The pointer of a merge's loser has no hash.
            let records = store
                .query_partition(self.partition(shard))
                .filter_expression("attribute_exists(#hash)")
                .expression_attribute_names("#hash", "hash");
            count(records)
        });
        stream::iter(counts)
            .buffer_unordered(READS_AT_ONCE)
            .try_fold(0, |sum, count| async move { Ok(sum + count) })
            .await
    }

    /// A record.
    pub async fn record(
        &self,
        store: &Store,
        id: &str,
    ) -> Result<Option<MirrorRecord>, StoreError> {
        let answer = store
            .client
            .get_item()
            .table_name(&store.table)
            .set_key(Some(self.record_key(id).attributes()))
            .consistent_read(true)
            .send()
            .await?;
        answer.item.map(MirrorRecord::of).transpose()
    }

    /// The stored records of those ids, in no particular order, including pointers of merged ones.
    pub async fn records(
        &self,
        store: &Store,
        ids: &[&str],
    ) -> Result<Vec<MirrorRecord>, StoreError> {
        let ids: HashSet<&str> = ids.iter().copied().collect();
        let keys = ids.into_iter().map(|id| self.record_key(id).attributes());
        let items = store.read_many(keys.collect()).await?;
        Ok(read_each(ENTITY, items, MirrorRecord::of))
    }

    /// A page of the object's records and of the pointers of merged ones, in no particular order, from the
    /// beginning or from the position that the page before it returned.
    pub async fn page(
        &self,
        store: &Store,
        from: Option<&str>,
        limit: i32,
    ) -> Result<Page<MirrorRecord>, StoreError> {
        let (first, after) = match from.and_then(|from| from.split_once('#')) {
            None => (0, None),
            Some((shard, id)) => (
                shard.parse().unwrap_or(MIRROR_SHARDS),
                Some(id).filter(|id| !id.is_empty()),
            ),
        };
        let mut after = after.map(str::to_owned);
        for shard in first..MIRROR_SHARDS {
            let start = after.take().map(|id| {
                let pk = self.partition(shard);
                keys::Key { pk, sk: id }.attributes()
            });
            let query = store.query_partition(self.partition(shard)).limit(limit);
            let page = page_of(&query, start).await?;
            let items = read_each(ENTITY, page.items, MirrorRecord::of);
            let goes_on = page.next.is_some();
            let next = match page.next.as_ref().and_then(|key| key.get("SK")) {
                Some(AttributeValue::S(id)) => Some(format!("{shard}#{id}")),
                _ => (shard + 1 < MIRROR_SHARDS).then(|| format!("{}#", shard + 1)),
            };
            if !items.is_empty() || goes_on || next.is_none() {
                return Ok(Page { items, next });
            }
        }
        Ok(Page {
            items: Vec::new(),
            next: None,
        })
    }
}

impl Mirror<'_> {
    /// A page of a shard's records and of the pointers of merged ones, in the order of their ids, from the
    /// beginning or after an id; `next` is the id to continue after.
    pub async fn shard_page(
        &self,
        store: &Store,
        shard: u32,
        after: Option<&str>,
        limit: i32,
    ) -> Result<Page<MirrorRecord>, StoreError> {
        let start = after.map(|id| {
            let (pk, sk) = (self.partition(shard), id.to_owned());
            keys::Key { pk, sk }.attributes()
        });
        let query = store.query_partition(self.partition(shard)).limit(limit);
        let page = page_of(&query, start).await?;
        Ok(Page {
            items: read_each(ENTITY, page.items, MirrorRecord::of),
            next: page.next.as_ref().and_then(|key| match key.get("SK") {
                Some(AttributeValue::S(id)) => Some(id.clone()),
                _ => None,
            }),
        })
    }
}

impl Store {
    /// Object and id of the records that have a match key, at most `limit`; with an object, of that object
    /// only. One query. For an open key with an object, the first `4 * limit` records of any object are looked
    /// through. A key can outlive its record, so the caller has to read the records.
    pub async fn by_match_key(
        &self,
        contract: &ContractId,
        environment: Environment,
        key: &MatchKey,
        object: Option<&str>,
        limit: i32,
    ) -> Result<Vec<(String, String)>, StoreError> {
        // Keys that begin alike are of several objects.
        let listed = if key.is_open() && object.is_some() {
            limit.saturating_mul(4)
        } else {
            limit
        };
        let found = self.listed_by_match_key(contract, environment, key, object, listed);
        let found = found.await?.into_iter();
        let of_object = |found: &str| object.is_none_or(|object| object == found);
        Ok(found
            .filter(|(_, found, _)| of_object(found))
            .map(|(_, object, id)| (object, id))
            .take(usize::try_from(limit).unwrap_or_default())
            .collect())
    }

    /// Text of the key, object and id of the records that have a match key, at most `limit`. One query. For an
    /// open key, those of all keys that begin with its text, of any object.
    pub async fn listed_by_match_key(
        &self,
        contract: &ContractId,
        environment: Environment,
        key: &MatchKey,
        object: Option<&str>,
        limit: i32,
    ) -> Result<Vec<(String, String, String)>, StoreError> {
        let (pk, prefix) = keys::match_key(contract, environment, key, object);
        let query = self
            .query_prefix(pk, prefix)
            .consistent_read(false)
            .projection_expression("SK")
            .limit(limit);
        let found = page_of(&query, None).await?.items;
        Ok(found
            .iter()
            .filter_map(|item| {
                let sort_key = item.get("SK")?.as_s().ok()?;
                let (object, id) = keys::of_match_key(sort_key)?;
                let text = keys::text_of_match_key(sort_key).into_owned();
                Some((text, object.to_owned(), id.to_owned()))
            })
            .collect())
    }

    /// Ids of an object's records that have a key, in their order, from the beginning or after an id; `next` is
    /// the id to continue after. One query. A key can outlive its record, so the caller has to read the records.
    pub async fn ids_by_key(
        &self,
        contract: &ContractId,
        environment: Environment,
        key: &MatchKey,
        object: &str,
        after: Option<&str>,
        limit: i32,
    ) -> Result<Page<String>, StoreError> {
        let (pk, prefix) = keys::match_key(contract, environment, key, Some(object));
        let start = after.map(|id| {
            let (pk, sk) = (pk.clone(), format!("{prefix}{id}"));
            keys::Key { pk, sk }.attributes()
        });
        let query = self.query_prefix(pk, prefix).projection_expression("SK");
        let page = page_of(&query.limit(limit), start).await?;
        let id = |item: &Item| {
            let (_, id) = keys::of_match_key(item.get("SK")?.as_s().ok()?)?;
            Some(id.to_owned())
        };
        Ok(Page {
            next: page.next.as_ref().and_then(id),
            items: page.items.iter().filter_map(id).collect(),
        })
    }

    async fn swept(&self, key: &keys::Key) -> Result<Option<Swept>, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key.attributes()))
            .consistent_read(true)
            .send()
            .await?;
        Ok(answer.item.map(|item| Swept {
            removed: number_of(&item, "removed").unwrap_or(0),
            kept: number_of(&item, "kept").unwrap_or(0),
        }))
    }
}

impl Stored {
    fn of(mut item: Item) -> Self {
        Self {
            hash: item.remove("hash").and_then(|hash| match hash {
                AttributeValue::B(hash) => hash.into_inner().try_into().ok(),
                _ => None,
            }),
            keys: match item.remove("keys") {
                Some(AttributeValue::Ss(keys)) => keys,
                _ => Vec::new(),
            },
            merged_into: string(&mut item, "merged_into"),
        }
    }
}

impl MirrorRecord {
    fn of(mut item: Item) -> Result<Self, StoreError> {
        let data = string(&mut item, "data");
        let values = data.map(|data| serde_json::from_str(&data));
        let modified = number_of(&item, "modified").map(Millis);
        let stored_keys = item.remove("keys");
        Ok(Self {
            id: string(&mut item, "SK").ok_or_else(|| StoreError::corrupt(ENTITY))?,
            values: values
                .transpose()
                .map_err(|_| StoreError::corrupt(ENTITY))?,
            modified,
            merged_into: string(&mut item, "merged_into"),
            keys: match stored_keys {
                Some(AttributeValue::Ss(keys)) => keys.into_iter().collect(),
                _ => BTreeSet::new(),
            },
        })
    }
}

/// Each record's last change.
fn latest(changes: &[Change]) -> impl Iterator<Item = &Change> {
    let mut last: HashMap<&str, usize> = HashMap::with_capacity(changes.len());
    for (index, change) in changes.iter().enumerate() {
        last.insert(change.id(), index);
    }
    let each = changes.iter().enumerate();
    each.filter_map(move |(index, change)| {
        (last.get(change.id()) == Some(&index)).then_some(change)
    })
}

fn bytes(of: &[u8]) -> AttributeValue {
    AttributeValue::B(Blob::new(of))
}

fn string(item: &mut Item, name: &str) -> Option<String> {
    match item.remove(name) {
        Some(AttributeValue::S(text)) => Some(text),
        _ => None,
    }
}

fn number_of<T: std::str::FromStr>(item: &Item, name: &str) -> Option<T> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

/// An id in the fewest bytes that restore it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum PackedId {
    /// A GUID in lowercase with hyphens: Dataverse's.
    Guid([u8; 16]),
    /// 15 letters and digits, and the three that follow from their case: Salesforce's.
    Salesforce([u8; 12]),
    Other(Box<str>),
}

const BASE_62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

impl PackedId {
    fn of(id: &str) -> Self {
        let packed = match id.len() {
            36 => uuid::Uuid::try_parse(id)
                .ok()
                .map(|id| Self::Guid(id.into_bytes())),
            18 => Self::salesforce(id),
            _ => None,
        };
        packed
            .filter(|packed| packed.to_id() == id)
            .unwrap_or_else(|| Self::Other(id.into()))
    }

    fn salesforce(id: &str) -> Option<Self> {
        let mut number = 0_u128;
        for byte in id.bytes().take(15) {
            let digit = BASE_62.iter().position(|digit| *digit == byte)?;
            number = number * 62 + digit as u128;
        }
        let [_, _, _, _, rest @ ..] = number.to_be_bytes();
        Some(Self::Salesforce(rest))
    }

    fn to_id(&self) -> String {
        match self {
            Self::Guid(bytes) => uuid::Uuid::from_bytes(*bytes).hyphenated().to_string(),
            Self::Salesforce(bytes) => {
                let mut number = bytes
                    .iter()
                    .fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
                let mut digits = ['0'; 15];
                for digit in digits.iter_mut().rev() {
                    let index = usize::try_from(number % 62).unwrap_or(0);
                    *digit = BASE_62.get(index).copied().map_or('0', char::from);
                    number /= 62;
                }
                let mut id: String = digits.iter().collect();
                // Each of the last three encodes which of five are capitals: the first is the lowest bit.
                for five in digits.chunks(5) {
                    let capitals = five.iter().rev().fold(0_usize, |bits, digit| {
                        bits << 1 | usize::from(digit.is_ascii_uppercase())
                    });
                    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";
                    id.push(alphabet.get(capitals).copied().map_or('A', char::from));
                }
                id
            }
            Self::Other(id) => id.to_string(),
        }
    }
}

/// Packs ids into bytes: for each kind of id its number, the count (4 bytes, the highest first), and the ids;
/// other ids each with their length. In pieces that fit into an item.
fn pack(ids: &mut [PackedId]) -> Vec<Vec<u8>> {
    ids.sort_unstable();
    let mut pieces = vec![Vec::new()];
    let kind = |id: &PackedId| match id {
        PackedId::Guid(_) => 0_u8,
        PackedId::Salesforce(_) => 1,
        PackedId::Other(_) => 2,
    };
    for run in ids.chunk_by(|a, b| kind(a) == kind(b)) {
        let width = |id: &PackedId| match id {
            PackedId::Guid(_) => 16,
            PackedId::Salesforce(_) => 12,
            PackedId::Other(id) => 2 + id.len(),
        };
        let mut rest = run;
        while let Some(first) = rest.first() {
            let mut room = SEEN_BYTES.saturating_sub(pieces.last().map_or(0, Vec::len) + 5);
            let fit = rest
                .iter()
                .take_while(|id| {
                    let fits = width(id) <= room;
                    room = room.saturating_sub(width(id));
                    fits
                })
                .count();
            if fit == 0 {
                pieces.push(Vec::new());
                continue;
            }
            let (now, later) = rest.split_at(fit);
            if let Some(piece) = pieces.last_mut() {
                piece.push(kind(first));
                piece.extend(u32::try_from(fit).unwrap_or(0).to_be_bytes());
                for id in now {
                    match id {
                        PackedId::Guid(bytes) => piece.extend(bytes),
                        PackedId::Salesforce(bytes) => piece.extend(bytes),
                        PackedId::Other(id) => {
                            piece.extend(u16::try_from(id.len()).unwrap_or(0).to_be_bytes());
                            piece.extend(id.as_bytes());
                        }
                    }
                }
            }
            rest = later;
        }
    }
    pieces
}

/// Adds the ids of a piece; returns `None` if it is not a valid piece.
fn unpack(piece: &[u8], ids: &mut Vec<PackedId>) -> Option<()> {
    let mut rest = piece;
    while let Some((kind, after)) = rest.split_first() {
        let (count, after) = after.split_first_chunk()?;
        rest = after;
        for _ in 0..u32::from_be_bytes(*count) {
            let id;
            (id, rest) = match kind {
                0 => {
                    let (bytes, rest) = rest.split_first_chunk()?;
                    (PackedId::Guid(*bytes), rest)
                }
                1 => {
                    let (bytes, rest) = rest.split_first_chunk()?;
                    (PackedId::Salesforce(*bytes), rest)
                }
                2 => {
                    let (length, rest) = rest.split_first_chunk()?;
                    let length = usize::from(u16::from_be_bytes(*length));
                    let (id, rest) = rest.split_at_checked(length)?;
                    (PackedId::Other(std::str::from_utf8(id).ok()?.into()), rest)
                }
                _ => return None,
            };
            ids.push(id);
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{PackedId, pack, unpack};

    #[test]
    fn ids_of_the_crms_take_few_bytes() {
        // An id and its longer form, from Salesforce's documentation of the two.
        let packed = PackedId::of("001A0000006Vm9uIAC");
        assert!(matches!(packed, PackedId::Salesforce(_)), "{packed:?}");
        assert_eq!(packed.to_id(), "001A0000006Vm9uIAC");
        let guid = "00aa00aa-bb11-cc22-dd33-44ee44ee44ee";
        assert!(matches!(PackedId::of(guid), PackedId::Guid(_)));
        for other in [
            "001A0000006Vm9uIAD",
            "001A0000006Vm9u",
            "00AA00AA-BB11-CC22-DD33-44EE44EE44EE",
            "",
        ] {
            assert!(matches!(PackedId::of(other), PackedId::Other(_)), "{other}");
        }
    }

    #[test]
    fn a_piece_that_was_cut_is_none() {
        let [piece] = pack(&mut [PackedId::of("a"), PackedId::of("b")])
            .try_into()
            .unwrap();
        for end in 1..piece.len() {
            assert_eq!(unpack(&piece[..end], &mut Vec::new()), None, "{end}");
        }
        assert_eq!(unpack(&[9, 0, 0, 0, 1, 1], &mut Vec::new()), None);
    }

    #[test]
    fn many_ids_are_split() {
        let id = |number: u32| format!("00000000-0000-4000-8000-{number:012x}");
        let mut ids: Vec<_> = (0..40_000)
            .map(|number| PackedId::of(&id(number)))
            .collect();
        let pieces = pack(&mut ids);
        assert_eq!(pieces.len(), 3);
        assert!(pieces.iter().all(|piece| piece.len() <= super::SEEN_BYTES));
        let mut back = Vec::new();
        for piece in &pieces {
            unpack(piece, &mut back).unwrap();
        }
        assert_eq!(back, ids);
    }

    proptest! {
        #[test]
        fn ids_come_back(ids in proptest::collection::vec(prop_oneof![
            "[0-9A-Za-z]{15}[A-Z0-5]{3}",
            "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
            "\\PC{0,40}",
        ], 0..40)) {
            let mut packed: Vec<_> = ids.iter().map(|id| PackedId::of(id)).collect();
            for (id, packed) in ids.iter().zip(&packed) {
                prop_assert_eq!(&packed.to_id(), id);
            }
            let mut back = Vec::new();
            for piece in pack(&mut packed) {
                unpack(&piece, &mut back).unwrap();
            }
            prop_assert_eq!(back, packed);
        }
    }
}
