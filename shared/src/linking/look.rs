//! Records of the mirror, with their accounts and the survivors of merges; and the look-ups by match key that
//! find the records an entry may be.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures::future::{try_join, try_join_all};
use matching::Clean;

use super::Linking;
use crate::domain::directory::{Entry, EntryKind, RecordRef};
use crate::domain::environment::Environment;
use crate::domain::linked_record::{self, Account, Values, kind_of, linked_objects};
use crate::domain::match_keys::{self, Lookup};
use crate::store::{Mirror, MirrorRecord, StoreError};

/// Maximum number of accounts whose contacts are looked up for one entry. Contacts of further accounts with the
/// name or domain of its employer are found by their other keys, or by the next link pass.
const MAX_ACCOUNTS: usize = 10;
/// Maximum number of merges in a row that are followed.
const MAX_MERGES: usize = 10;

/// A record as the mirror has it.
#[derive(Debug, Clone)]
pub struct CrmRecord {
    /// The record.
    pub record: RecordRef,
    /// The record in the form that the engine compares.
    pub shown: matching::Record,
    /// Its values, by the CRM's field names.
    pub values: Values,
    /// The CRM's id of its owner.
    pub owner: Option<String>,
    /// A contact's account.
    pub account: Option<RecordRef>,
    /// The contact that a lead was converted to.
    pub converted_to: Option<RecordRef>,
    /// Time of its last change in the CRM.
    pub modified: Option<crate::clock::Millis>,
}

/// A record with its normal form.
pub struct Seen {
    /// The record.
    pub crm: CrmRecord,
    /// The record in the engine's normal form.
    pub clean: Clean,
}

/// Records that were read, and the survivors of those that were merged.
#[derive(Default)]
pub struct Records {
    seen: BTreeMap<RecordRef, Seen>,
    survivors: HashMap<RecordRef, RecordRef>,
}

impl Records {
    /// The survivor of a record that was merged.
    #[must_use]
    pub fn survivor(&self, record: &RecordRef) -> Option<RecordRef> {
        self.survivors.get(record).cloned()
    }

    /// Every record that was merged, with its survivor.
    pub fn survivors(&self) -> impl Iterator<Item = (&RecordRef, &RecordRef)> {
        self.survivors.iter()
    }

    /// The record, or the survivor of its merge.
    #[must_use]
    pub fn get(&self, record: &RecordRef) -> Option<&Seen> {
        self.seen.get(self.survivors.get(record).unwrap_or(record))
    }

    /// All that are there, each once.
    pub fn iter(&self) -> impl Iterator<Item = &Seen> {
        self.seen.values()
    }
}

impl Linking<'_> {
    /// The mirror of an object in production.
    #[must_use]
    pub const fn mirror<'m>(&'m self, object: &'m str) -> Mirror<'m> {
        Mirror {
            contract: self.contract,
            environment: Environment::Production,
            crm: self.crm,
            object,
            default_region: self.region,
        }
    }

    /// Finds the records that an entry may be by their keys.
    pub(super) async fn found_by_key(
        &self,
        entry: &Entry,
    ) -> Result<BTreeSet<RecordRef>, StoreError> {
        let kind = entry.kind.matching();
        let objects = linked_objects(self.crm, entry.kind);
        // A key of companies leads to accounts alone.
        let one = Some(objects).filter(|objects| objects.len() == 1);
        let object = one.and_then(|objects| objects.first()).copied();
        let lookups = match_keys::lookups(kind, &entry.record, self.region);
        let lookups = lookups.iter().map(|lookup| self.found(lookup, object));
        let by_keys = Box::pin(try_join_all(lookups));
        let of_account = Box::pin(self.colleagues(entry));
        let (by_keys, of_account) = both(by_keys, of_account).await?;
        let mut found: BTreeSet<RecordRef> = by_keys.into_iter().flatten().collect();
        found.extend(of_account);
        found.retain(|record| objects.contains(&record.object.as_str()));
        Ok(found)
    }

    /// Finds the contacts of a person's employers that may be that person.
    async fn colleagues(&self, entry: &Entry) -> Result<Vec<RecordRef>, StoreError> {
        if entry.kind != EntryKind::Profile {
            return Ok(Vec::new());
        }
        let object = Some(linked_record::account_object(self.crm));
        let employers = match_keys::employers(&entry.record);
        let accounts = employers.iter().map(|lookup| self.found(lookup, object));
        let accounts = try_join_all(accounts).await?.into_iter().flatten();
        let accounts: BTreeSet<String> = accounts.map(|account| account.id).collect();
        let lookups: Vec<Lookup> = accounts
            .iter()
            .take(MAX_ACCOUNTS)
            .filter_map(|account| match_keys::colleagues(&entry.record, account))
            .collect();
        let found = lookups.iter().map(|lookup| self.found(lookup, None));
        Ok(try_join_all(found).await?.into_iter().flatten().collect())
    }

    /// Finds the records of a look-up: by its widest key that leads to few enough, or none.
    async fn found(
        &self,
        lookup: &Lookup,
        object: Option<&str>,
    ) -> Result<Vec<RecordRef>, StoreError> {
        for (key, most) in lookup.keys() {
            let limit = i32::try_from(most + 1).unwrap_or(i32::MAX);
            let found = self.store.listed_by_match_key(
                self.contract,
                Environment::Production,
                key,
                object,
                limit,
            );
            let mut found = found.await?;
            if found.len() <= most {
                found.retain(|(key, ..)| lookup.fits(key));
                let found = found.into_iter();
                return Ok(found
                    .map(|(_, object, id)| RecordRef { object, id })
                    .collect());
            }
        }
        Ok(Vec::new())
    }

    /// Reads records of a kind, with the accounts of contacts, and follows merges and conversions.
    ///
    /// # Errors
    /// Returns [`StoreError::Unavailable`] if the table does not answer.
    pub async fn look(
        &self,
        kind: EntryKind,
        mut wanted: BTreeSet<RecordRef>,
    ) -> Result<Records, StoreError> {
        let mut present: BTreeMap<RecordRef, MirrorRecord> = BTreeMap::new();
        let mut merged: HashMap<RecordRef, RecordRef> = HashMap::new();
        wanted.retain(|record| kind_of(self.crm, &record.object) == Some(kind));
        for _ in 0..=MAX_MERGES {
            let mut next = BTreeSet::new();
            for (record, found) in self.read(&wanted).await? {
                if let Some(survivor) = &found.merged_into {
                    let survivor = RecordRef::new(record.object.clone(), survivor.clone());
                    if !present.contains_key(&survivor) && !merged.contains_key(&survivor) {
                        next.insert(survivor.clone());
                    }
                    merged.insert(record, survivor);
                } else if let Some(values) = &found.values {
                    next.extend(linked_record::converted_to(
                        self.crm,
                        &record.object,
                        values,
                    ));
                    present.insert(record, found);
                }
            }
            next.retain(|record| !present.contains_key(record) && !merged.contains_key(record));
            wanted = next;
            if wanted.is_empty() {
                break;
            }
        }
        let accounts = self.accounts(&present).await?;
        let mut records = Records::default();
        for record in merged.keys() {
            let mut survivor = record;
            for _ in 0..=MAX_MERGES {
                match merged.get(survivor) {
                    Some(next) => survivor = next,
                    None => break,
                }
            }
            if survivor != record && !merged.contains_key(survivor) {
                records.survivors.insert(record.clone(), survivor.clone());
            }
        }
        for (record, found) in present {
            if let Some(seen) = self.seen(kind, record.clone(), found, &accounts) {
                records.seen.insert(record, seen);
            }
        }
        Ok(records)
    }

    async fn read(
        &self,
        wanted: &BTreeSet<RecordRef>,
    ) -> Result<Vec<(RecordRef, MirrorRecord)>, StoreError> {
        let mut by_object: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for record in wanted {
            by_object
                .entry(&record.object)
                .or_default()
                .push(&record.id);
        }
        let reads = by_object.into_iter().map(async |(object, ids)| {
            let found = self.mirror(object).records(self.store, &ids).await?;
            let named = found.into_iter().map(|record| {
                let reference = RecordRef::new(object, record.id.clone());
                (reference, record)
            });
            Ok::<Vec<_>, StoreError>(named.collect())
        });
        Ok(try_join_all(reads).await?.into_iter().flatten().collect())
    }

    async fn accounts(
        &self,
        records: &BTreeMap<RecordRef, MirrorRecord>,
    ) -> Result<HashMap<String, Account>, StoreError> {
        let ids: BTreeSet<&str> = records
            .iter()
            .filter_map(|(record, found)| {
                linked_record::account_of(self.crm, &record.object, found.values.as_ref()?)
            })
            .collect();
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let ids: Vec<&str> = ids.into_iter().collect();
        let object = linked_record::account_object(self.crm);
        let found = self.mirror(object).records(self.store, &ids).await?;
        Ok(found
            .into_iter()
            .filter_map(|record| {
                let account = linked_record::account(self.crm, record.values.as_ref()?)?;
                Some((record.id, account))
            })
            .collect())
    }

    fn seen(
        &self,
        kind: EntryKind,
        record: RecordRef,
        found: MirrorRecord,
        accounts: &HashMap<String, Account>,
    ) -> Option<Seen> {
        let (crm, object, values) = (self.crm, record.object.as_str(), found.values?);
        let account = linked_record::account_of(crm, object, &values);
        let shown = linked_record::record(
            crm,
            object,
            &values,
            account.and_then(|id| accounts.get(id)),
            self.placeholder,
        )?;
        Some(Seen {
            clean: Clean::new(kind.matching(), &shown, self.region),
            crm: CrmRecord {
                owner: linked_record::owner_of(crm, object, &values).map(str::to_owned),
                account: account
                    .filter(|id| accounts.contains_key(*id))
                    .map(|id| RecordRef::new(linked_record::account_object(crm), id)),
                converted_to: linked_record::converted_to(crm, object, &values),
                modified: found.modified,
                shown,
                values,
                record,
            },
        })
    }

    /// Reads a record from the mirror; of one that was merged in the CRM, its survivor. `None`: it has
    /// none, as the CRM deleted it or has not been imported since it was made.
    ///
    /// # Errors
    /// Returns [`StoreError::Unavailable`] if the table does not answer.
    pub async fn record_of(&self, record: &RecordRef) -> Result<Option<CrmRecord>, StoreError> {
        let Some(kind) = kind_of(self.crm, &record.object) else {
            return Ok(None);
        };
        let mut records = self.look(kind, BTreeSet::from([record.clone()])).await?;
        let survivor = records.survivor(record).unwrap_or_else(|| record.clone());
        Ok(records.seen.remove(&survivor).map(|seen| seen.crm))
    }
}

/// Waits for two reads of the table at once.
pub(super) async fn both<A, B>(
    a: impl Future<Output = Result<A, StoreError>>,
    b: impl Future<Output = Result<B, StoreError>>,
) -> Result<(A, B), StoreError> {
    try_join(a, b).await
}
