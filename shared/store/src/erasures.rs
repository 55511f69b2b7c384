//! A person's data in the table (OP-3): where it can be, page by page, and its erasure with a checkpoint for
//! each item.
//!
//! The partitions marked in `keys.rs` are looked through in a fixed order of places. Copies of the CRM's records
//! are found by their match keys; of the other items no index leads to a person, so they are read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::submissions::SubmissionFilter;
use super::transaction::{Action, Assumption, Change};
use super::{
    DIRECTORY_SHARDS, Item, Mirror, MirrorRecord, Store, StoreError, ThreadChoice, WorkKind, keys,
    page_of, read, read_each, write,
};
use domain::activity::{Activity, ActivityState};
use domain::clock::Millis;
use domain::contract::AuditEntry;
use domain::directory::{Entry, EntryId, EntryKind, EntryRef, How, Match, RecordRef};
use domain::environment::Environment;
use domain::ids::ContractId;
use domain::linked_record::{kind_of, linked_objects};
use domain::match_keys::MatchKey;
use domain::privacy::{ERASED, Erasure, MAX_RECORDS, Person, Position, Tombstone};
use domain::roi::TouchKind;
use domain::schema::CrmKind;
use domain::seat::Seat;
use domain::submission::{State, Submission};
use domain::user_writes::UserWrite;

const ENTITY: &str = "erasure";
/// Records that a match key lists at once; where it has more, the records are read one by one.
const KEY_LIMIT: i32 = 1000;
/// Submissions of a page.
const SUBMISSIONS: usize = 100;
/// Other items of a page.
const ITEMS: i32 = 500;
/// The attributes of an item with a person's address that hold the person's name.
const NAMES: [&str; 3] = ["first_name", "last_name", "name"];

// The places, in their order. Entries of the directory come before activities, which name these.
const KEYS: u32 = 0;
const RECORDS: u32 = 1;
const PROFILES: u32 = 2;
const SUBMITTED: u32 = PROFILES + DIRECTORY_SHARDS;
const ACTIVITIES: u32 = SUBMITTED + 1;
const NOTED: u32 = ACTIVITIES + 1;
const SEATS: u32 = NOTED + 1;
const AUDIT: u32 = SEATS + 1;
const END: u32 = AUDIT + 1;

/// An item that is about a person.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// The copy of a record of the CRM.
    Record {
        /// The environment.
        environment: Environment,
        /// The CRM's name for the object.
        object: String,
        /// The copy.
        record: MirrorRecord,
    },
    /// An entry of the directory, with its match.
    Profile(Box<Entry>, Option<Box<Match>>),
    /// A form response.
    Submission(Box<Submission>),
    /// An activity with the person.
    Activity(Box<Activity>),
    /// An item of a seat holder's lists, or of their writes to the CRM.
    Noted {
        /// What it is.
        kind: Noted,
        /// The partition key.
        pk: String,
        /// The sort key.
        sk: String,
        /// The item.
        data: Value,
    },
    /// The person's own seat: it is no item of the erasure, and is deleted as a seat.
    Seat(Box<Seat>),
    /// An audit entry that names the person.
    Audit {
        /// The sort key.
        key: String,
        /// The entry.
        entry: Box<AuditEntry>,
    },
}

/// The kind of an item that a seat holder's work left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noted {
    /// The person is saved in a list, maybe with a note, or is a champion, or a thread with them was chosen to be
    /// logged or not.
    Listed,
    /// A record of the person was changed; the values before that are kept for a repeated request.
    Written,
}

/// A page of the look-through.
#[derive(Debug)]
pub struct FoundPage {
    /// Items about the person, possibly none.
    pub found: Vec<Found>,
    /// The position to continue from; `None` at the end.
    pub next: Option<Position>,
}

/// A person who is looked for in a contract.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// The contract.
    pub contract: &'a ContractId,
    /// Its CRM.
    pub crm: CrmKind,
    /// The region of phone numbers without a country code.
    pub region: Option<&'a str>,
    /// The person.
    pub person: &'a Person,
}

#[derive(Debug, Serialize, Deserialize)]
struct SealedKey {
    sealed: String,
}

/// All texts in a value.
fn texts(value: &Value) -> Vec<&str> {
    let (mut found, mut open) = (Vec::new(), vec![value]);
    while let Some(value) = open.pop() {
        match value {
            Value::String(text) => found.push(text.as_str()),
            Value::Array(values) => open.extend(values),
            Value::Object(values) => open.extend(values.values()),
            _ => {}
        }
    }
    found
}

fn record_mirror<'a>(
    contract: &'a ContractId,
    environment: Environment,
    crm: CrmKind,
    object: &'a str,
) -> Mirror<'a> {
    Mirror {
        contract,
        environment,
        crm,
        object,
        default_region: None,
    }
}

impl Look<'_> {
    fn has(&self, value: &Value) -> bool {
        self.person.is_in(texts(value).into_iter(), self.region)
    }

    fn has_record(&self, record: &MirrorRecord) -> bool {
        let values = record
            .values
            .as_ref()
            .into_iter()
            .flat_map(|values| values.values());
        let texts = values.filter_map(Value::as_str);
        self.person.is_in(texts, self.region)
    }

    fn has_entry(&self, entry: &Entry) -> bool {
        let record = serde_json::to_value(&entry.record).unwrap_or_default();
        let mut all = texts(&record);
        all.extend(entry.external_id.as_deref());
        self.person.is_in(all.into_iter(), self.region)
    }

    fn has_submission(&self, submission: &Submission) -> bool {
        let answers = submission.answers.iter().flatten();
        let details = submission.origin.details.values().map(String::as_str);
        let all = answers
            .map(|field| field.value.as_str())
            .chain(details)
            .chain([submission.response_id.as_str()]);
        self.person.is_in(all, self.region)
    }

    /// True if an audit entry is of a write of the person's own record in the CRM: each of its values is theirs.
    fn is_own_write(&self, entry: &AuditEntry, position: &Position) -> bool {
        let Some(profile) = written_profile(entry) else {
            return false;
        };
        let is_theirs = |value: &Value| {
            let record = value.get("record").cloned();
            let record = record.and_then(|record| serde_json::from_value::<RecordRef>(record).ok());
            // An address among other words can be in a record of somebody else.
            let values = value.get("values").map(texts).unwrap_or_default();
            let mut alone = values
                .into_iter()
                .filter(|text| !text.trim().contains(char::is_whitespace));
            record.is_some_and(|record| position.records.contains(&record))
                || alone.any(|text| self.person.is_in(std::iter::once(text), self.region))
        };
        position.profiles.contains(&profile) || is_theirs(&entry.before) || is_theirs(&entry.after)
    }

    fn has_audit(&self, entry: &AuditEntry, position: &Position) -> bool {
        let is_own = self.is_own_write(entry, position);
        (is_own && self.redacted_entry(entry, position) != *entry)
            || self.has(&entry.before)
            || self.has(&entry.after)
            || self.has(&entry.target.clone().into())
    }

    /// An audit entry without what it tells of the person.
    fn redacted_entry(&self, entry: &AuditEntry, position: &Position) -> AuditEntry {
        let is_own = self.is_own_write(entry, position);
        let redacted = |value: &Value| {
            let mut value = self.redacted(value);
            if let Some(values) = value.get_mut("values").filter(|_| is_own) {
                erase_texts(values);
            }
            value
        };
        AuditEntry {
            target: match self.redacted(&entry.target.clone().into()) {
                Value::String(target) => target,
                _ => ERASED.to_owned(),
            },
            before: redacted(&entry.before),
            after: redacted(&entry.after),
            ..entry.clone()
        }
    }

    /// Takes what names the person out of a value; beside an address of theirs, the parts of a name too.
    fn redacted(&self, value: &Value) -> Value {
        match value {
            Value::String(text) if self.person.is_named_by(text, self.region) => ERASED.into(),
            Value::Array(values) => values.iter().map(|value| self.redacted(value)).collect(),
            Value::Object(values) => {
                let own = values.values().filter_map(Value::as_str);
                let is_theirs = self.person.is_in(own, self.region);
                let redacted = |(name, value): (&String, &Value)| {
                    let is_name = is_theirs && value.is_string() && NAMES.contains(&name.as_str());
                    let value = if is_name {
                        Value::from(ERASED)
                    } else {
                        self.redacted(value)
                    };
                    (name.clone(), value)
                };
                values.iter().map(redacted).collect()
            }
            other => other.clone(),
        }
    }
}

/// The entry of the directory whose record in the CRM an audit entry says was written.
fn written_profile(entry: &AuditEntry) -> Option<EntryId> {
    let target = entry.target.strip_prefix("profile/")?;
    let id = entry.action.starts_with("crm.").then_some(target)?;
    id.parse().ok()
}

/// Puts the mark of an erased value in the place of everything in a value.
fn erase_texts(value: &mut Value) {
    match value {
        Value::Null => {}
        Value::Array(values) => values.iter_mut().for_each(erase_texts),
        Value::Object(values) => values.values_mut().for_each(erase_texts),
        other => *other = ERASED.into(),
    }
}

/// The submission without anything of the person. It stays under its id, so that a delivery of the same
/// response meets it, as one that was withdrawn.
fn emptied(submission: &Submission, now: Millis) -> Submission {
    Submission {
        response_id: String::new(),
        origin: domain::submission::Origin {
            form_id: submission.origin.form_id.clone(),
            form_name: submission.origin.form_name.clone(),
            ..domain::submission::Origin::default()
        },
        digest: String::new(),
        withdrawn_at: Some(submission.withdrawn_at.unwrap_or(now)),
        answers: None,
        state: State::Withdrawn,
        version: submission.version + 1,
        plan: None,
        decision: None,
        lead: None,
        mapping: Vec::new(),
        writes: Vec::new(),
        failures: Vec::new(),
        finished_at: Some(now),
        directory: None,
        ..submission.clone()
    }
}

impl Store {
    /// The sealed key of a contract's tombstones, if there is one, and the tombstones. One query.
    pub async fn tombstones(
        &self,
        contract: &ContractId,
    ) -> Result<(Option<String>, Vec<Tombstone>), StoreError> {
        let items = self.query_all(keys::erased_partition(contract), "").await?;
        let mut key = None;
        let mut found = Vec::with_capacity(items.len());
        for item in items {
            // Nothing may be left out here: an erased person would come back.
            if item.contains_key("sealed") {
                let stored: SealedKey = read("key of tombstones", item)?;
                key = Some(stored.sealed);
            } else {
                found.push(read("tombstone", item)?);
            }
        }
        Ok((key, found))
    }

    /// Stores the sealed key of a contract's tombstones, unless there is one. Returns the one that is stored.
    pub async fn tombstone_key(
        &self,
        contract: &ContractId,
        sealed: String,
    ) -> Result<String, StoreError> {
        let new = SealedKey { sealed };
        let item = write("key of tombstones", &new, &keys::erased_key(contract))?;
        let stored: Option<SealedKey> = self.put_new("key of tombstones", item).await?;
        Ok(stored.unwrap_or(new).sealed)
    }

    /// An erasure.
    pub async fn erasure(
        &self,
        contract: &ContractId,
        id: uuid::Uuid,
    ) -> Result<Option<Erasure>, StoreError> {
        self.get(ENTITY, keys::erasure(contract, id), true).await
    }

    /// A contract's erasures, in no particular order.
    pub async fn erasures(&self, contract: &ContractId) -> Result<Vec<Erasure>, StoreError> {
        let items = self.query_all(keys::erasures(contract), "").await?;
        Ok(read_each(ENTITY, items, |item| read(ENTITY, item)))
    }

    /// Stores a new erasure, or the next run of one, with its tombstones and its audit entry, all or nothing.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if it was asked for meanwhile.
    pub async fn begin_erasure(
        &self,
        erasure: &Erasure,
        tombstones: &[Tombstone],
        audit: &AuditEntry,
        unique: uuid::Uuid,
    ) -> Result<(), StoreError> {
        let contract = &erasure.contract;
        let mut actions = vec![
            self.erasure_put(erasure)?,
            self.audit_item(contract, audit, unique)?,
        ];
        for tombstone in tombstones {
            actions.push(self.tombstone_put(contract, tombstone)?);
        }
        self.transact(actions).await
    }

    /// Stores an erasure over the version before its own; with an audit entry at its end.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if another worker stored it meanwhile.
    pub async fn save_erasure(
        &self,
        erasure: &Erasure,
        audit: Option<(&AuditEntry, uuid::Uuid)>,
    ) -> Result<(), StoreError> {
        let mut actions = vec![self.erasure_put(erasure)?];
        if let Some((audit, unique)) = audit {
            actions.push(self.audit_item(&erasure.contract, audit, unique)?);
        }
        self.transact(actions).await
    }

    fn erasure_put(&self, erasure: &Erasure) -> Result<Action, StoreError> {
        let contract = &erasure.contract;
        let mut item = write(ENTITY, erasure, &keys::erasure(contract, erasure.id))?;
        if erasure.is_open() {
            WorkKind::Erase.index(&mut item, contract, erasure.due_at);
        }
        self.versioned_put(item, erasure.version)
    }

    fn tombstone_put(
        &self,
        contract: &ContractId,
        tombstone: &Tombstone,
    ) -> Result<Action, StoreError> {
        let key = keys::tombstone(contract, &tombstone.hash);
        self.put_action(write("tombstone", tombstone, &key)?, None)
    }

    /// A page of everything about a person, from a position on: at most about a megabyte of the table is read,
    /// and possibly nothing found.
    pub async fn find_person(
        &self,
        look: &Look<'_>,
        position: &Position,
    ) -> Result<FoundPage, StoreError> {
        let Look {
            contract,
            region,
            person,
            ..
        } = *look;
        let mut next = position.clone();
        next.after = None;
        if (ACTIVITIES..=NOTED).contains(&position.place) {
            // Read once for all pages of these places: it is read from the audit log.
            if next.seats.is_empty() {
                next.seats = self.all_seats_ever(contract).await?.into_iter().collect();
            }
        } else {
            next.seats.clear();
        }
        let found = match position.place {
            KEYS => {
                for entry in person.entries(contract) {
                    if !next.profiles.contains(&entry) {
                        next.profiles.push(entry);
                    }
                }
                // Only the key of an e-mail address finds all: a number's has the extension too, and none leads
                // from a profile address or a name alone to a record.
                next.every_record = person.emails.is_empty()
                    || !person.phones.is_empty()
                    || !person.profiles.is_empty();
                if next.every_record {
                    Vec::new()
                } else {
                    let (found, complete) = self.found_by_keys(look).await?;
                    next.every_record = !complete;
                    if complete { found } else { Vec::new() }
                }
            }
            RECORDS if !position.every_record => Vec::new(),
            RECORDS => {
                let (found, after) = self.found_records(look, position.after.as_deref()).await?;
                next.after = after;
                found
            }
            PROFILES..SUBMITTED => {
                let shard = position.place - PROFILES;
                let (found, after) = self
                    .found_profiles(look, shard, position.after.as_deref(), &mut next)
                    .await?;
                next.after = after;
                found
            }
            SUBMITTED => {
                let filter = SubmissionFilter::default();
                let after = position.after.as_deref();
                let page = self.list_submissions(contract, &filter, SUBMISSIONS, after);
                let page = page.await?;
                next.after = page.next;
                let items = page.items.into_iter();
                let about = items.filter(|submission| look.has_submission(submission));
                about
                    .map(|found| Found::Submission(Box::new(found)))
                    .collect()
            }
            ACTIVITIES if position.profiles.is_empty() => Vec::new(),
            ACTIVITIES => {
                let after = position.after.as_deref();
                let (found, after) = self.found_activities(look, &next, after).await?;
                next.after = after;
                found
            }
            NOTED => {
                let (found, after) = self
                    .found_noted(look, &next, position.after.as_deref())
                    .await?;
                next.after = after;
                found
            }
            SEATS => {
                let page = self
                    .seats(contract, ITEMS, position.after.as_deref())
                    .await?;
                next.after = page.next;
                let items = page.items.into_iter();
                let about = items.filter(|seat| {
                    let texts = [seat.email.as_str(), seat.name.as_str()];
                    person.is_in(texts.into_iter(), region)
                });
                about.map(|found| Found::Seat(Box::new(found))).collect()
            }
            AUDIT => {
                let (found, after) = self.found_audit(look, position).await?;
                next.after = after;
                found
            }
            _ => Vec::new(),
        };
        for found in &found {
            if let Found::Record { object, record, .. } = found {
                let record = RecordRef::new(object.as_str(), record.id.as_str());
                if !next.records.contains(&record) {
                    next.records.push(record);
                }
            }
        }
        if next.after.is_none() {
            next.place = next.place.saturating_add(1);
        }
        Ok(FoundPage {
            found,
            next: (next.place < END).then_some(next),
        })
    }

    /// Records by the match keys of e-mail addresses. `false` if a key has too many.
    async fn found_by_keys(&self, look: &Look<'_>) -> Result<(Vec<Found>, bool), StoreError> {
        let emails = look.person.emails.iter();
        let match_keys: Vec<MatchKey> = emails.filter_map(|email| MatchKey::email(email)).collect();
        let (mut found, mut complete) = (Vec::new(), true);
        for environment in Environment::ALL {
            let mut of_object: BTreeMap<String, Vec<String>> = BTreeMap::new();
            for key in &match_keys {
                let listed = self
                    .by_match_key(look.contract, environment, key, None, KEY_LIMIT)
                    .await?;
                complete &= listed.len() < usize::try_from(KEY_LIMIT).unwrap_or_default();
                for (object, id) in listed {
                    of_object.entry(object).or_default().push(id);
                }
            }
            for (object, ids) in of_object {
                if kind_of(look.crm, &object) != Some(EntryKind::Profile) {
                    continue;
                }
                let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
                let mirror = record_mirror(look.contract, environment, look.crm, &object);
                let records = mirror.records(self, &ids).await?.into_iter();
                let about = records.filter(|record| look.has_record(record));
                found.extend(about.map(|record| Found::Record {
                    environment,
                    object: object.clone(),
                    record,
                }));
            }
        }
        Ok((found, complete))
    }

    /// A page of the records of people, of one object after the other.
    async fn found_records(
        &self,
        look: &Look<'_>,
        after: Option<&str>,
    ) -> Result<(Vec<Found>, Option<String>), StoreError> {
        let objects = linked_objects(look.crm, EntryKind::Profile);
        let mut all = Vec::new();
        for environment in Environment::ALL {
            all.extend(objects.iter().map(|object| (environment, *object)));
        }
        let (at, from) = after
            .and_then(|after| after.split_once('|'))
            .unwrap_or(("0", ""));
        let at: usize = at.parse().unwrap_or(all.len());
        let Some((environment, object)) = all.get(at).copied() else {
            return Ok((Vec::new(), None));
        };
        let mirror = record_mirror(look.contract, environment, look.crm, object);
        let from = Some(from).filter(|from| !from.is_empty());
        let page = mirror.page(self, from, ITEMS).await?;
        let next = match page.next {
            Some(next) => Some(format!("{at}|{next}")),
            None => (at + 1 < all.len()).then(|| format!("{}|", at + 1)),
        };
        let records = page.items.into_iter();
        let about = records.filter(|record| look.has_record(record));
        let found = about.map(|record| Found::Record {
            environment,
            object: object.to_owned(),
            record,
        });
        Ok((found.collect(), next))
    }

    /// A page of a shard's people, each with its match and the record that a user chose for it.
    async fn found_profiles(
        &self,
        look: &Look<'_>,
        shard: u32,
        after: Option<&str>,
        position: &mut Position,
    ) -> Result<(Vec<Found>, Option<String>), StoreError> {
        let after = after.and_then(|after| after.parse().ok());
        let (contract, kind) = (look.contract, EntryKind::Profile);
        let page = self
            .directory_shard(contract, Environment::Production, kind, shard, after)
            .await?;
        let mut found = Vec::new();
        for (entry, matched) in page.rows {
            if !look.has_entry(&entry) {
                continue;
            }
            if !position.profiles.contains(&entry.id) {
                position.profiles.push(entry.id);
            }
            if let Some(record) = matched.as_ref().and_then(chosen) {
                // Lists and writes name it, also one that no import has brought.
                if !position.records.contains(record) {
                    position.records.push(record.clone());
                }
                let (environment, object) = (Environment::Production, record.object.as_str());
                let mirror = record_mirror(contract, environment, look.crm, object);
                let copy = mirror.record(self, &record.id).await?;
                let copy =
                    copy.filter(|copy| copy.values.as_ref().is_some_and(|of| !of.is_empty()));
                // One with the person's addresses was found by these.
                found.extend(copy.filter(|copy| !look.has_record(copy)).map(|record| {
                    Found::Record {
                        environment,
                        object: object.to_owned(),
                        record,
                    }
                }));
            }
            found.push(Found::Profile(Box::new(entry), matched.map(Box::new)));
        }
        Ok((found, page.next.map(|next| next.to_string())))
    }

    /// A page of a seat holder's activities with the people of a position.
    async fn found_activities(
        &self,
        look: &Look<'_>,
        position: &Position,
        after: Option<&str>,
    ) -> Result<(Vec<Found>, Option<String>), StoreError> {
        let (contract, seats) = (look.contract, &position.seats);
        let profiles = &position.profiles;
        let (seat, from) = match after.and_then(|after| after.split_once('|')) {
            Some((seat, from)) => (
                seat.parse().ok(),
                Some(from).filter(|from| !from.is_empty()),
            ),
            None => (seats.first().copied(), None),
        };
        let Some(seat) = seat else {
            return Ok((Vec::new(), None));
        };
        let pk = keys::activities_of(contract, seat);
        let start = from.map(|sk| {
            let (pk, sk) = (pk.clone(), sk.to_owned());
            keys::Key { pk, sk }.attributes()
        });
        let page = page_of(&self.query_partition(pk).limit(ITEMS), start).await?;
        let last = page
            .next
            .as_ref()
            .and_then(|key| key.get("SK")?.as_s().ok());
        let next = if let Some(last) = last {
            Some(format!("{seat}|{last}"))
        } else {
            let next = seats.iter().find(|next| **next > seat);
            next.map(|next| format!("{next}|"))
        };
        let activities = read_each("activity", page.items, |item| {
            read::<Activity>("activity", item)
        });
        let with = |activity: &Activity| {
            let EntryRef { kind, id } = activity.target;
            kind == EntryKind::Profile && profiles.contains(&id)
        };
        let found = activities.into_iter().filter(with);
        Ok((
            found
                .map(|found| Found::Activity(Box::new(found)))
                .collect(),
            next,
        ))
    }

    /// A seat holder's items about the person in lists and in writes to the CRM, one seat after the other.
    async fn found_noted(
        &self,
        look: &Look<'_>,
        position: &Position,
        after: Option<&str>,
    ) -> Result<(Vec<Found>, Option<String>), StoreError> {
        let (contract, seats) = (look.contract, &position.seats);
        let seat = match after {
            Some(after) => after.parse().ok(),
            None => seats.first().copied(),
        };
        let Some(seat) = seat else {
            return Ok((Vec::new(), None));
        };
        let next = seats.iter().find(|next| **next > seat);
        let next = next.map(ToString::to_string);
        let mut found = Vec::new();
        if !position.profiles.is_empty() {
            let entries: Vec<String> = position.profiles.iter().map(ToString::to_string).collect();
            let partition = keys::lists_partition(contract, seat);
            for item in self.query_all(partition, "ENTRY#").await? {
                let sort_key = item.get("SK").and_then(|sk| sk.as_s().ok());
                let entry = sort_key.and_then(|sk| sk.rsplit('#').next());
                if entry.is_some_and(|entry| entries.iter().any(|of| of == entry)) {
                    found.extend(noted(Noted::Listed, item));
                }
            }
            let partition = keys::thread_choices(contract, seat);
            for item in self.query_all(partition, "").await? {
                let choice: Option<ThreadChoice> = serde_dynamo::from_item(item.clone()).ok();
                let target = choice.map(|choice| choice.target);
                let profile = target.filter(|target| target.kind == EntryKind::Profile);
                if profile.is_some_and(|profile| position.profiles.contains(&profile.id)) {
                    found.extend(noted(Noted::Listed, item));
                }
            }
        }
        let saved = position.records.iter().flat_map(|record| {
            let (environment, kind) = (Environment::Production, EntryKind::Profile);
            let saved = keys::saved(contract, environment, seat, kind, record);
            let champion = keys::champion(contract, environment, seat, record);
            [saved.attributes(), champion.attributes()]
        });
        let saved = self.read_many(saved.collect()).await?;
        found.extend(
            saved
                .into_iter()
                .filter_map(|item| noted(Noted::Listed, item)),
        );
        for item in self
            .query_all(keys::user_writes(contract, seat), "")
            .await?
        {
            // The counter of a month is none.
            let write: Option<UserWrite> = serde_dynamo::from_item(item.clone()).ok();
            let Some(write) = write.filter(|write| !write.before.is_empty()) else {
                continue;
            };
            let before: Option<Value> = serde_json::from_str(&write.before).ok();
            // The values need not name the person whose record they are of.
            let done = write.done.as_ref();
            if done.is_some_and(|record| position.records.contains(record))
                || before.is_some_and(|before| look.has(&before))
            {
                found.extend(noted(Noted::Written, item));
            }
        }
        Ok((found, next))
    }

    async fn found_audit(
        &self,
        look: &Look<'_>,
        position: &Position,
    ) -> Result<(Vec<Found>, Option<String>), StoreError> {
        let pk = keys::audit_partition(look.contract);
        let start = position.after.as_ref().map(|sk| {
            let (pk, sk) = (pk.clone(), sk.clone());
            keys::Key { pk, sk }.attributes()
        });
        let page = page_of(&self.query_partition(pk).limit(ITEMS), start).await?;
        let sort_key = |item: &Item| item.get("SK")?.as_s().ok().cloned();
        let next = page.next.as_ref().and_then(sort_key);
        let entries = read_each("audit entry", page.items, |item| {
            let key = sort_key(&item).ok_or_else(|| StoreError::corrupt("audit entry"))?;
            Ok((key, read::<AuditEntry>("audit entry", item)?))
        });
        let entries = entries.into_iter();
        let about = entries.filter(|(_, entry)| look.has_audit(entry, position));
        let found = about.map(|(key, entry)| Found::Audit {
            key,
            entry: Box::new(entry),
        });
        Ok((found.collect(), next))
    }

    /// Erases an item that was found, in one transaction with the erasure, whose counts are raised and whose
    /// version is one higher; a copy of a record beyond those that the erasure can name is left to its next
    /// look-through. `stone` makes the tombstone of a record that a user chose for the person.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if the item or the erasure was changed meanwhile: the page has to be
    /// found again.
    pub async fn erase_found(
        &self,
        erasure: &mut Erasure,
        look: &Look<'_>,
        found: &Found,
        stone: impl Fn(Environment, &str, &str) -> Tombstone,
        now: Millis,
    ) -> Result<(), StoreError> {
        let contract = look.contract;
        let mut next = erasure.clone();
        next.version += 1;
        let mut actions = Vec::new();
        match found {
            Found::Record {
                environment,
                object,
                record,
            } => {
                let of = RecordRef::new(object.as_str(), record.id.as_str());
                let is_new = !next.position.records.contains(&of);
                let is_full = next.position.records.len() >= MAX_RECORDS;
                // By its values it is found again, once lists and writes of the others were looked through.
                if is_new && is_full && look.has_record(record) {
                    erasure.position.more_records = true;
                    return Ok(());
                }
                let mirror = record_mirror(contract, *environment, look.crm, object);
                let Some((writes, keys)) = mirror.emptying(self, &record.id).await? else {
                    return Ok(());
                };
                actions.extend(writes);
                next.count("crm_copies", 1);
                if is_new {
                    next.position.records.push(of);
                }
                next.count("match_keys", keys);
                // By its values the next import would not know it.
                if !look.has_record(record) {
                    let stone = stone(*environment, object, &record.id);
                    actions.push(self.tombstone_put(contract, &stone)?);
                    next.tombstones += 1;
                }
            }
            Found::Profile(entry, matched) => {
                // Before the entry, by which they are found.
                self.forget_reaches(contract, entry.id).await?;
                let (environment, matched) = (Environment::Production, matched.as_deref());
                actions.extend(self.removal(contract, environment, entry, matched)?);
                next.count("profiles", 1);
                next.count("matches", u64::from(matched.is_some()));
                let linked = matched.and_then(Match::record).is_some();
                next.count("links", u64::from(linked));
                if !next.position.profiles.contains(&entry.id) {
                    next.position.profiles.push(entry.id);
                }
                if let Some(record) = matched.and_then(chosen)
                    && !next.position.records.contains(record)
                {
                    next.position.records.push(record.clone());
                }
            }
            // A new act of the person.
            Found::Submission(submission) if submission.sent_at() > erasure.asked_at => {
                return Ok(());
            }
            Found::Submission(submission) => {
                let shell = emptied(submission, now);
                let key = keys::submission(contract, submission.id);
                // In no index: it is not listed, and not found again.
                let item = write("submission", &shell, &key)?;
                let as_read = Assumption::version(submission.version);
                actions.push(self.put_action(item, Some(as_read))?);
                next.count("submissions", 1);
                if let Some(lead) = &submission.lead {
                    let key = keys::attachment(contract, &lead.id, submission.id);
                    actions.push(self.delete_action(key.attributes(), None)?);
                    next.count("attachments", 1);
                }
                let plan = submission.plan.as_ref();
                // One that another submission has taken over is that one's.
                if let Some(planned) = plan.and_then(|plan| plan.claim.as_ref())
                    && let Some(claim) = self.claim(contract, &planned.key).await?
                    && claim.owner == submission.id
                {
                    let key = keys::claim(contract, &claim.key);
                    let as_read = Assumption::version(claim.version);
                    actions.push(self.delete_action(key.attributes(), Some(as_read))?);
                    next.count("claims", 1);
                }
            }
            Found::Activity(activity) => {
                let key = keys::activity(contract, activity.seat, activity.id);
                // In no index, and nothing to do for a worker: sent again it is not logged again.
                let left = Activity {
                    state: ActivityState::Written,
                    ..activity.erased(now)
                };
                let as_read = Assumption::version(activity.version);
                actions.push(self.put_action(write("activity", &left, &key)?, Some(as_read))?);
                if let Some(thread) = activity.order_in() {
                    let place = activity.place();
                    let key = keys::in_thread(contract, activity.seat, &thread, place);
                    actions.push(self.delete_action(key.attributes(), None)?);
                }
                // One that was sent after its person was deleted from the directory.
                if activity.target.kind == EntryKind::Profile {
                    let (kind, id) = (TouchKind::Activity.as_str(), activity.id.to_string());
                    let key = keys::reach(contract, activity.target.id, kind, &id);
                    actions.push(self.delete_action(key.attributes(), None)?);
                }
                next.count("activities", 1);
            }
            Found::Noted { kind, pk, sk, .. } => {
                let (pk, sk) = (pk.clone(), sk.clone());
                let key = keys::Key { pk, sk };
                actions.push(match kind {
                    Noted::Listed => self.delete_action(key.attributes(), None)?,
                    Noted::Written => {
                        let change = Change {
                            expression: "REMOVE #before",
                            names: &[("#before", "before")],
                            values: Vec::new(),
                        };
                        self.update_action(&key, change, Assumption::present())?
                    }
                });
                let name = match kind {
                    Noted::Listed => "list_entries",
                    Noted::Written => "crm_writes",
                };
                next.count(name, 1);
            }
            Found::Seat(_) => return Ok(()),
            Found::Audit { key, entry } => {
                let redacted = look.redacted_entry(entry, &next.position);
                if redacted == **entry {
                    return Ok(());
                }
                let place = keys::Key {
                    pk: keys::audit_partition(contract),
                    sk: key.clone(),
                };
                let item = write("audit", &redacted, &place)?;
                actions.push(self.put_action(item, Some(Assumption::present()))?);
                next.count("audit_entries", 1);
            }
        }
        actions.push(self.erasure_put(&next)?);
        self.transact(actions).await?;
        *erasure = next;
        Ok(())
    }
}

/// An item that a seat holder's work left, as it is stored.
fn noted(kind: Noted, item: Item) -> Option<Found> {
    let part = |name: &str| item.get(name)?.as_s().ok().cloned();
    let (pk, sk) = (part("PK")?, part("SK")?);
    let data = serde_dynamo::from_item(item).unwrap_or_default();
    Some(Found::Noted { kind, pk, sk, data })
}

/// The record that a user chose for an entry, or had created for it.
fn chosen(matched: &Match) -> Option<&RecordRef> {
    let link = matched.link.as_ref()?;
    matches!(link.how, How::Person | How::Created).then_some(&link.record)
}
