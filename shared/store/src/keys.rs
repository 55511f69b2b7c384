//! Every key string of the table, and the names of its indexes. Nothing else writes one.
//!
//! `PK` starts with the contract in every item: one contract cannot reach another's. What comes from
//! outside is encoded, and hashed where it is long (the function `part`), so that no text makes a key that
//! the table does not take, and no two make the same.
//!
//! Whether the items of a partition hold what tells of a person is said by [`PARTITIONS`].
//!
//! | item | PK | SK | read by |
//! | --- | --- | --- | --- |
//! | contract | `C#{c}` | `CONTRACT` | one query of `C#{c}` gives the whole configuration |
//! | strategy | `C#{c}` | `STRATEGY#{id}` | |
//! | mapping | `C#{c}` | `MAPPING#{name}` | |
//! | form | `C#{c}` | `FORM#{id}` | also alone, by form-intake |
//! | scoring rule | `C#{c}` | `SCORING` | |
//! | LinkedIn settings | `C#{c}` | `LINKEDIN` | also alone, by form-intake |
//! | CRM settings | `C#{c}` | `CRMSETTINGS#{environment}` | |
//! | connection | `C#{c}#CONNECTION#{kind}` | `CONNECTION` | get; GSI2 while it is being ended |
//! | seat holder's connection | `C#{c}#CONNECTION#USERS` | `{environment}#{seat}` | get, query; GSI2 while it is being ended |
//! | connection guide | `C#{c}#CRM#{environment}` | `GUIDE` | get |
//! | sync | `C#{c}#CRM#{environment}` | `SYNC` | get; GSI2 while it has work to do |
//! | run that ended | `C#{c}#CRM#{environment}` | `RUN#{time}#{run}` | query, newest first; its time to live removes it |
//! | object and its import | `C#{c}#IMPORTED#{environment}` | `OBJECT#{object}` | query; counted and emptied by a clean-up |
//! | mirrored record | `C#{c}#MIRROR#{environment}#{object}#{shard}` | `{id}` | batch get, paged query; counted and emptied by a clean-up |
//! | match or reference key of mirrored records | `C#{c}#MATCHKEY#{environment}#{shard}` | `{key}#{object}#{id}` | query; counted and emptied by a clean-up |
//! | ids that a pass saw | `C#{c}#SEEN#{environment}#{object}` | `{shard}#{generation}#{part}#{piece}` | query; the sweep deletes them; counted and emptied by a clean-up |
//! | access report, options | `C#{c}#IMPORTED#{environment}` | `ACCESS`, `OPTIONS` | get; counted and emptied by a clean-up |
//! | entry of the directory | `C#{c}#DIRECTORY#{kind}#{shard}` | `{id}` | get, batch get, paged query |
//! | match of an entry | `C#{c}#MATCH#{environment}#{kind}#{shard}` | `{id}` | get, batch get, paged query beside the entries of its shard; counted and emptied by a clean-up |
//! | record that is an entry's link | `C#{c}#LINKED#{environment}#{shard}` | `{object}#{id}` | get, batch get; one record, one entry; counted and emptied by a clean-up |
//! | entry that waits for a record | `C#{c}#LINKED#{environment}#{shard}` | `{object}#{id}#WAITING#{kind}:{entry}` | query when the record's entry lets go of it; counted and emptied by a clean-up |
//! | entry whose record is out of date | `C#{c}#OUTDATED#{environment}` | `{owner}#{entry}` | paged query, whole or of an owner; counted and emptied by a clean-up |
//! | flag of an outdated record that was written to the CRM | `C#{c}#IMPORTED#{environment}` | `FLAG#{object}#{id}` | batch get, paged query; counted and emptied by a clean-up |
//! | candidates that a link pass found so far | `C#{c}#LINKDRAFT#{environment}` | `{part}#{piece}` | query; the pass deletes them; counted and emptied by a clean-up |
//! | save pass | `C#{c}#CRM#production` | `SAVE` | get; GSI2 while it has work to do |
//! | what save passes have applied | `C#{c}#IMPORTED#{environment}` | `SAVES` | get; counted and emptied by a clean-up |
//! | mark of a changed opportunity | `C#{c}#TOUCHED#{environment}#{shard}` | `{opportunity}#{object}#{id}` | query; the save pass deletes it; counted and emptied by a clean-up |
//! | record that was saved for a seat holder | `C#{c}#SAVED#{environment}#{shard}` | `{seat}#{kind}#{object}#{id}` | get, batch get, query; counted and emptied by a clean-up |
//! | champion of a seat holder | `C#{c}#CHAMPION#{environment}#{shard}` | `{seat}#{object}#{id}` | get, query; counted and emptied by a clean-up |
//! | attribution of an opportunity | `C#{c}#ROI#{environment}#{shard}` | `{month it was opened}#{opportunity}` | batch get, query by months; counted and emptied by a clean-up |
//! | report that was kept | `C#{c}#ROI#{environment}#REPORTS` | `{time}#{id}` | get, query, newest first; counted and emptied by a clean-up |
//! | what the last attribution used | `C#{c}#IMPORTED#{environment}` | `ROI` | get; counted and emptied by a clean-up |
//! | act of a seat holder towards a person of the directory | `C#{c}#REACH#{shard}` | `{entry}#{kind}#{id}` | query |
//! | lists that a seat holder made | `C#{c}#LISTS#{seat}` | `LISTS` | get |
//! | entry that a seat holder saved | `C#{c}#LISTS#{seat}` | `ENTRY#{list}#{entry}` | batch get, query |
//! | link pass | `C#{c}#CRM#production` | `LINK` | get; GSI2 while it has work to do |
//! | model | `C#{c}#MODEL` | `{kind}`; `{kind}#{version}` | get of the current one; query of the last 20; counted and emptied by a clean-up of production |
//! | match rates | `C#{c}#RATES` | `{time}` | query, newest first; its time to live removes it |
//! | seat | `C#{c}#SEAT#{seat}` | `SEAT` | one query with its sessions; GSI1 by e-mail address |
//! | session | `C#{c}#SEAT#{seat}` | `SESSION#{id}` | with its seat; its time to live removes it |
//! | seat's e-mail address | `C#{c}#SEATEMAIL#{email}` | `EMAIL` | create-only: one seat for each |
//! | seat's user of the CRM who was chosen by hand | `C#{c}#SEATUSER` | `{organization}#{user}` | get; create-only: one seat for each |
//! | seat's identity | `C#{c}#IDENTITY#{identity}` | `IDENTITY` | get at sign-in; create-only |
//! | member of a seat's LinkedIn archives | `C#{c}#ARCHIVE#{seat}` | `MEMBER` | get; create-only |
//! | key that signs sessions | `C#{c}#SESSIONKEY` | `KEY` | get |
//! | API token | `C#{c}#TOKEN#{id}` | `TOKEN` | get; GSI1 by id |
//! | submission | `C#{c}#SUBMISSION#{id}` | `SUBMISSION` | get; GSI1 by time; GSI2 by due time |
//! | activity | `C#{c}#ACTIVITY#{seat}` | `{id}` | get, batch get; GSI1 by its seat and time; GSI2 by due time, by the time it happened where it waits behind newer ones, by the seat that has to sign in or whose activity failed, or by the entry that is not matched or whose match is asked for |
//! | open activity in its thread | `C#{c}#THREAD#{seat}#{hash}` | `{time}#{id}` | query, the earliest first; there until the activity is in the CRM, has failed, or waits for a match |
//! | seat holder's choice to log a thread | `C#{c}#THREADLOG#{seat}` | `{hash of the thread}` | batch get, query |
//! | month of a seat holder's creates, or of the updates | `C#{c}#USERWRITES#{seat}` | `MONTH#{month}#{kind}` | query; its time to live removes it |
//! | seat holder's create or update | `C#{c}#USERWRITES#{seat}` | `{kind}#{id}` | get; its time to live removes it |
//! | claim of a match key | `C#{c}#CLAIM#{hash}` | `CLAIM` | get |
//! | attachment to a lead | `C#{c}#LEAD#{lead}` | `SUBMISSION#{id}` | query |
//! | names discovered on a form | `C#{c}#DISCOVERED` | `FORM#{form}` | get, query; its time to live removes it |
//! | lead schema | `C#{c}#SCHEMA` | `LEAD` | get |
//! | LinkedIn form | `C#{c}#LINKEDINFORM#{id}` | `FORM` | get |
//! | pull cursor | `C#{c}#CURSOR` | `LINKEDIN#{owner}` | get |
//! | audit entry | `C#{c}#AUDIT` | `{time}#{id}` | query, newest first |
//! | run of another kind | `C#{c}#RUN` | `{kind}` | get; query; GSI2 while it has work to do; that of a deletion is the contract's last item |
//! | its history | `C#{c}#RUN` | `{kind}#{number}` | get; query; its time to live removes it |
//! | posts of a minute | `C#{c}#POSTS` | `{minute}` | counted by form-intake; its time to live removes it |
//! | erasure of a person's data | `C#{c}#ERASURE` | `{id}` | get, query; GSI2 while it has work to do |
//! | tombstone of an erased person | `C#{c}#ERASED` | `HASH#{hash}` | one query with the key of the hashes |
//! | key of the hashes | `C#{c}#ERASED` | `KEY` | with the tombstones |
//! | OAuth attempt | `C#{c}#OAUTH#{hash}` | `ATTEMPT` | taken once; its time to live removes it |
//!
//! Two index partitions are without a contract, for schedules: `GSI1PK` = `CONTRACTS`, and `GSI2PK` =
//! `WORK`, the open work on CRM connections by the time it is due.

use std::borrow::Cow;
use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use super::Item;
use super::schema::Index;
use domain::activity::Thread;
use domain::clock::Millis;
use domain::connection_kind::ConnectionKind;
use domain::directory::{EntryId, EntryKind, EntryRef, RecordRef};
use domain::environment::Environment;
use domain::ids::{ActivityId, ContractId, FormId, SeatId, StrategyId, SubmissionId, TokenId};
use domain::inventory::objects;
use domain::lists::ListRef;
use domain::match_keys::MatchKey;
use domain::run::{RunId, RunKind};
use domain::schema::CrmKind;
use domain::seat::{ChosenUser, Identity};
use domain::user_writes::WriteKind;

/// Names come from outside; encoded, they can hold no separator of ours.
const NAME: &AsciiSet = &CONTROLS.add(b'#').add(b'%').add(b' ');

/// Longest encoded part of a key, in bytes, where it is the only one from outside. A partition key has at
/// most 2,048 bytes and a sort key 1,024, with what comes before the part.
const MAX_PART: usize = 960;
/// Longest encoded part of a sort key that has two of them.
const MAX_HALF: usize = 480;
/// Longest encoded part of a sort key that has three of them.
const MAX_THIRD: usize = 300;

/// Longest encoded match key: an object and an id follow it in the sort key.
const MAX_MATCH_KEY: usize = 700;

/// Text from outside as a part of a key: encoded, or its hash where it is empty or too long for that. A
/// percent sign before anything but two digits is in no encoded text, so none is taken for a hash.
fn part(text: &str, longest: usize) -> String {
    let encoded = utf8_percent_encode(text, NAME).to_string();
    if (1..=longest).contains(&encoded.len()) {
        encoded
    } else {
        format!("%~{}", domain::signature::sha256_hex(&[text.as_bytes()]))
    }
}

/// Lists: a contract's submissions by time with what the list filters by, its seats and its tokens; all
/// contracts, for the schedules.
pub(super) const LISTS: Index = Index {
    name: "GSI1",
    partition: "GSI1PK",
    sort: "GSI1SK",
    includes: &["origin", "search", "source", "state"],
};
/// Open work, by the time it is due: submissions that go on by themselves or need a person, and runs.
pub(super) const OPEN_WORK: Index = Index {
    name: "GSI2",
    partition: "GSI2PK",
    sort: "GSI2SK",
    includes: &["work", "work_contract"],
};

impl Index {
    /// Puts an item into the index.
    pub(super) fn enter(
        &self,
        item: &mut Item,
        partition: impl Into<String>,
        sort: impl Into<String>,
    ) {
        let values = [(self.partition, partition.into()), (self.sort, sort.into())];
        for (name, value) in values {
            item.insert(name.to_owned(), AttributeValue::S(value));
        }
    }

    /// The place in the index from which on a query reads: behind an item of that key.
    pub(super) fn start(&self, key: &Key, partition: &str, sort: &str) -> Item {
        let mut start = key.attributes();
        self.enter(&mut start, partition, sort);
        start
    }
}

/// The sort key that an item has in an index.
pub(super) fn sort_key_of(item: &Item, index: &Index) -> Option<String> {
    item.get(index.sort)?.as_s().ok().cloned()
}

/// The keys of items that an index gave.
pub(super) fn of_items(items: &[Item]) -> Vec<Item> {
    let key = |item: &Item| {
        let part = |name: &str| Some((name.to_owned(), item.get(name)?.clone()));
        Some(Item::from([part("PK")?, part("SK")?]))
    };
    items.iter().filter_map(key).collect()
}

/// An item's key for a log: without what tells of a person.
pub(super) fn shown(item: &Item) -> String {
    let part = |name: &str| item.get(name).and_then(|value| value.as_s().ok());
    match (part("PK"), part("SK")) {
        // Of these the key itself holds an address or a name.
        (Some(pk), _)
            if ["SEATEMAIL", "IDENTITY", "MATCHKEY"].contains(&segment(pk).unwrap_or_default()) =>
        {
            pk.split('#').take(3).collect::<Vec<_>>().join("#")
        }
        (Some(pk), Some(sk)) => format!("{pk} {sk}"),
        _ => String::new(),
    }
}

/// The partitions of a contract, by what follows its id in the partition key (the configuration has
/// nothing), and whether their items, or their keys, hold what tells of a person: a name, an address, a
/// number, an answer, an account that somebody signs in with. Ids of ours and of the CRM do not count.
///
/// A model keeps only hashes of values, the member of an archive is a keyed hash, and a pass's candidates are
/// ids. An erasure has the person sealed while
/// it runs; tombstones are keyed hashes. Of a partition that is not marked no item is looked at for a person's
/// data (OP-3).
pub(super) const PARTITIONS: &[(&str, bool)] = &[
    ("", false),
    ("ACTIVITY", true),
    ("ARCHIVE", false),
    ("AUDIT", true),
    ("CHAMPION", false),
    ("CLAIM", false),
    ("CONNECTION", true),
    ("CRM", false),
    ("CURSOR", false),
    ("DIRECTORY", true),
    ("DISCOVERED", false),
    ("ERASED", false),
    ("ERASURE", false),
    ("IDENTITY", true),
    ("IMPORTED", false),
    ("LEAD", false),
    ("LINKDRAFT", false),
    ("LINKED", false),
    ("LINKEDINFORM", false),
    ("LISTS", true),
    ("MATCH", false),
    ("MATCHKEY", true),
    ("MIRROR", true),
    ("MODEL", false),
    ("OAUTH", false),
    ("OUTDATED", false),
    ("POSTS", false),
    ("RATES", false),
    ("REACH", false),
    ("ROI", false),
    ("RUN", false),
    ("SAVED", true),
    ("SCHEMA", false),
    ("SEAT", true),
    ("SEATEMAIL", true),
    ("SEATUSER", false),
    ("SEEN", false),
    ("SESSIONKEY", false),
    ("SUBMISSION", true),
    ("THREAD", false),
    ("THREADLOG", false),
    ("TOKEN", false),
    ("TOUCHED", false),
    ("USERWRITES", true),
];

/// What follows the contract in a partition key.
pub(super) fn segment(partition_key: &str) -> Option<&str> {
    let mut parts = partition_key.strip_prefix("C#")?.split('#').skip(1);
    Some(parts.next().unwrap_or_default())
}

/// Whether items of that partition hold what tells of a person. `None`: there is no such partition.
#[must_use]
pub fn holds_person(partition_key: &str) -> Option<bool> {
    let of = segment(partition_key)?;
    let known = PARTITIONS.iter().find(|(name, _)| *name == of);
    known.map(|(_, holds)| *holds)
}

/// The beginnings of a contract's partition keys, all but that of its configuration.
pub(super) fn partitions_of(contract: &ContractId) -> String {
    format!("C#{contract}#")
}

/// A partition of a kind that has one for each seat.
pub(super) fn of_seat(contract: &ContractId, kind: &str, seat: SeatId) -> String {
    format!("C#{contract}#{kind}#{seat}")
}

/// A primary key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) pk: String,
    pub(super) sk: String,
}

impl Key {
    pub(super) fn attributes(&self) -> HashMap<String, AttributeValue> {
        HashMap::from([
            ("PK".to_owned(), AttributeValue::S(self.pk.clone())),
            ("SK".to_owned(), AttributeValue::S(self.sk.clone())),
        ])
    }
}

fn key(pk: String, sk: impl Into<String>) -> Key {
    Key { pk, sk: sk.into() }
}

/// The last time that keys tell from others: in the year 2286.
const LAST_TIME: i64 = 9_999_999_999_999;

/// Zero-padded to 13 digits, so that text order is time order. What lies before 1970 or after 2286 counts
/// as those.
fn padded(at: Millis) -> String {
    format!("{:013}", at.0.clamp(0, LAST_TIME))
}

pub(super) fn config_partition(contract: &ContractId) -> String {
    format!("C#{contract}")
}

pub(super) fn contract(contract: &ContractId) -> Key {
    key(config_partition(contract), "CONTRACT")
}

pub(super) const STRATEGY_PREFIX: &str = "STRATEGY#";
pub(super) const MAPPING_PREFIX: &str = "MAPPING#";
pub(super) const FORM_PREFIX: &str = "FORM#";
pub(super) const CRM_SETTINGS_PREFIX: &str = "CRMSETTINGS#";

pub(super) fn crm_settings(contract: &ContractId, environment: Environment) -> Key {
    key(
        config_partition(contract),
        format!("{CRM_SETTINGS_PREFIX}{environment}"),
    )
}

pub(super) fn strategy(contract: &ContractId, id: StrategyId) -> Key {
    key(config_partition(contract), format!("{STRATEGY_PREFIX}{id}"))
}

pub(super) fn mapping(contract: &ContractId, name: &str) -> Key {
    key(
        config_partition(contract),
        format!("{MAPPING_PREFIX}{}", part(name, MAX_PART)),
    )
}

pub(super) fn form(contract: &ContractId, id: &FormId) -> Key {
    key(config_partition(contract), format!("{FORM_PREFIX}{id}"))
}

pub(super) fn scoring(contract: &ContractId) -> Key {
    key(config_partition(contract), "SCORING")
}

pub(super) fn linkedin_settings(contract: &ContractId) -> Key {
    key(config_partition(contract), "LINKEDIN")
}

pub(super) fn connection(contract: &ContractId, kind: ConnectionKind) -> Key {
    let own = |name: &str| key(format!("C#{contract}#CONNECTION#{name}"), "CONNECTION");
    match kind {
        ConnectionKind::Crm(Environment::Production) => own("CRM"),
        ConnectionKind::Crm(Environment::Sandbox) => own("CRM-SANDBOX"),
        ConnectionKind::LinkedIn => own("LINKEDIN"),
        ConnectionKind::User(seat, environment) => {
            let (pk, prefix) = user_connections(contract, environment);
            key(pk, format!("{prefix}{seat}"))
        }
    }
}

/// Partition and sort key prefix of the seat holders' connections to an environment.
pub(super) fn user_connections(
    contract: &ContractId,
    environment: Environment,
) -> (String, String) {
    (
        format!("C#{contract}#CONNECTION#USERS"),
        format!("{environment}#"),
    )
}

/// Partition of what is kept of a CRM environment and is ours: guide and sync.
fn crm(contract: &ContractId, environment: Environment) -> String {
    format!("C#{contract}#CRM#{environment}")
}

pub(super) fn guide(contract: &ContractId, environment: Environment) -> Key {
    key(crm(contract, environment), "GUIDE")
}

pub(super) fn sync(contract: &ContractId, environment: Environment) -> Key {
    key(crm(contract, environment), "SYNC")
}

pub(super) fn run(contract: &ContractId, environment: Environment, ended: Millis, run: u64) -> Key {
    key(
        crm(contract, environment),
        format!("RUN#{}#{run}", padded(ended)),
    )
}

/// Partition of the runs that ended, and the range of sort keys of those that ended before `before`.
pub(super) fn runs(
    contract: &ContractId,
    environment: Environment,
    before: Option<Millis>,
) -> (String, String, String) {
    // A run's own key goes on after the time, so that it sorts behind the bare time.
    let to = before.map_or_else(|| "RUN$".to_owned(), |at| format!("RUN#{}", padded(at)));
    (crm(contract, environment), "RUN#".to_owned(), to)
}

/// Partition of the runs that are neither imports nor link passes.
pub(super) fn other_runs(contract: &ContractId) -> String {
    format!("C#{contract}#RUN")
}

/// The last run of a kind.
pub(super) fn last_run(contract: &ContractId, kind: RunKind) -> Key {
    key(other_runs(contract), kind.as_str())
}

/// A run in the history.
pub(super) fn ended_run(contract: &ContractId, id: RunId) -> Key {
    let RunId { kind, number } = id;
    key(other_runs(contract), format!("{kind}#{number:010}"))
}

/// The contract's link pass.
pub(super) fn link_pass(contract: &ContractId) -> Key {
    key(crm(contract, Environment::Production), "LINK")
}

fn link_drafts_partition(contract: &ContractId, environment: Environment) -> String {
    format!("C#{contract}#LINKDRAFT#{environment}")
}

/// Partition of the drafts of a link pass, and the beginning of the sort keys of one part's; empty for those
/// of all parts.
pub(super) fn link_drafts(
    contract: &ContractId,
    environment: Environment,
    part: Option<u32>,
) -> (String, String) {
    let prefix = part.map_or_else(String::new, |part| format!("{part:04}#"));
    (link_drafts_partition(contract, environment), prefix)
}

/// A piece of the drafts of a part.
pub(super) fn link_draft(
    contract: &ContractId,
    environment: Environment,
    part: u32,
    piece: usize,
) -> Key {
    let (partition, prefix) = link_drafts(contract, environment, Some(part));
    key(partition, format!("{prefix}{piece:06}"))
}

/// The contract's save pass.
pub(super) fn save_pass(contract: &ContractId) -> Key {
    key(crm(contract, Environment::Production), "SAVE")
}

/// The state of the contract's saving: beside what it is made of.
pub(super) fn save_state(contract: &ContractId) -> Key {
    key(imported(contract, Environment::Production), "SAVES")
}

pub(super) fn touched_partition(
    contract: &ContractId,
    environment: Environment,
    shard: u32,
) -> String {
    format!("C#{contract}#TOUCHED#{environment}#{shard:02x}")
}

/// The partition with the marks of an opportunity.
pub(super) fn touched_shard_of(
    contract: &ContractId,
    environment: Environment,
    opportunity: &str,
) -> String {
    touched_partition(contract, environment, shard(opportunity, TOUCHED_SHARDS))
}

/// The mark that a write of a record, by object and id, makes of its opportunity.
pub(super) fn touched(
    contract: &ContractId,
    environment: Environment,
    opportunity: &str,
    (object, id): (&str, &str),
) -> Key {
    let mut sort_key = part(opportunity, MAX_THIRD);
    for text in [object, id] {
        sort_key.push('#');
        sort_key.push_str(&part(text, MAX_THIRD));
    }
    key(
        touched_shard_of(contract, environment, opportunity),
        sort_key,
    )
}

fn saved_partition(contract: &ContractId, environment: Environment, shard: u32) -> String {
    format!("C#{contract}#SAVED#{environment}#{shard:02x}")
}

/// Partition of the records that were saved for a seat holder, and the beginning of the sort keys of those of
/// a kind.
pub(super) fn saved_for(
    contract: &ContractId,
    environment: Environment,
    seat: SeatId,
    kind: EntryKind,
) -> (String, String) {
    let shard = shard(&seat.to_string(), DIRECTORY_SHARDS);
    (
        saved_partition(contract, environment, shard),
        format!("{seat}#{kind}#"),
    )
}

/// A record that was saved for a seat holder.
pub(super) fn saved(
    contract: &ContractId,
    environment: Environment,
    seat: SeatId,
    kind: EntryKind,
    record: &RecordRef,
) -> Key {
    let (partition, prefix) = saved_for(contract, environment, seat, kind);
    let object = part(&record.object, MAX_THIRD);
    let id = part(&record.id, MAX_THIRD);
    key(partition, format!("{prefix}{object}#{id}"))
}

fn champion_partition(contract: &ContractId, environment: Environment, shard: u32) -> String {
    format!("C#{contract}#CHAMPION#{environment}#{shard:02x}")
}

/// Partition of a seat holder's champions, and the beginning of their sort keys.
pub(super) fn champions_of(
    contract: &ContractId,
    environment: Environment,
    seat: SeatId,
) -> (String, String) {
    let shard = shard(&seat.to_string(), DIRECTORY_SHARDS);
    (
        champion_partition(contract, environment, shard),
        format!("{seat}#"),
    )
}

/// A seat holder's champion, by the contact.
pub(super) fn champion(
    contract: &ContractId,
    environment: Environment,
    seat: SeatId,
    record: &RecordRef,
) -> Key {
    let (partition, prefix) = champions_of(contract, environment, seat);
    let object = part(&record.object, MAX_THIRD);
    let id = part(&record.id, MAX_THIRD);
    key(partition, format!("{prefix}{object}#{id}"))
}

/// The record of the CRM with whose object and id an item's sort key ends.
pub(super) fn record_at_end(item: &Item) -> Option<RecordRef> {
    let mut parts = item.get("SK")?.as_s().ok()?.rsplit('#');
    let text = |part| percent_decode_str(part).decode_utf8_lossy().into_owned();
    let (id, object) = (parts.next()?, parts.next()?);
    Some(RecordRef::new(text(object), text(id)))
}

/// A partition of the attributions of opportunities.
pub(super) fn roi_partition(contract: &ContractId, environment: Environment, shard: u32) -> String {
    format!("C#{contract}#ROI#{environment}#{shard:02x}")
}

/// The attribution of an opportunity that was opened in a month, `YYYY-MM`.
pub(super) fn attribution(
    contract: &ContractId,
    environment: Environment,
    month: &str,
    opportunity: &str,
) -> Key {
    let shard = shard(opportunity, ROI_SHARDS);
    key(
        roi_partition(contract, environment, shard),
        format!("{month}#{}", part(opportunity, MAX_HALF)),
    )
}

/// The state of the contract's attributions: beside what they are made of.
pub(super) fn roi_state(contract: &ContractId) -> Key {
    key(imported(contract, Environment::Production), "ROI")
}

/// Partition of the reports that were kept.
pub(super) fn roi_reports(contract: &ContractId, environment: Environment) -> String {
    format!("C#{contract}#ROI#{environment}#REPORTS")
}

/// A report that was kept; its name is of the time and a unique id.
pub(super) fn roi_report(contract: &ContractId, environment: Environment, name: &str) -> Key {
    key(roi_reports(contract, environment), part(name, MAX_PART))
}

/// The name of a report that is kept at a time.
pub(super) fn roi_report_name(at: Millis, unique: uuid::Uuid) -> String {
    format!("{}-{unique}", padded(at))
}

/// Partition of the acts of seat holders towards a person, and the beginning of their sort keys.
pub(super) fn reaches(contract: &ContractId, entry: EntryId) -> (String, String) {
    let shard = shard(&entry.to_string(), REACH_SHARDS);
    (
        format!("C#{contract}#REACH#{shard:02x}"),
        format!("{entry}#"),
    )
}

/// An act of a seat holder towards a person.
pub(super) fn reach(contract: &ContractId, entry: EntryId, kind: &str, id: &str) -> Key {
    let (partition, prefix) = reaches(contract, entry);
    key(partition, format!("{prefix}{kind}#{}", part(id, MAX_HALF)))
}

/// Partition of the lists that a seat holder made, and of what they saved by hand.
pub(super) fn lists_partition(contract: &ContractId, seat: SeatId) -> String {
    format!("C#{contract}#LISTS#{seat}")
}

/// The lists that a seat holder made.
pub(super) fn own_lists(contract: &ContractId, seat: SeatId) -> Key {
    key(lists_partition(contract, seat), "LISTS")
}

/// Partition of what a seat holder saved by hand, and the beginning of the sort keys of what is in a list.
pub(super) fn by_hand_in(contract: &ContractId, seat: SeatId, list: ListRef) -> (String, String) {
    (lists_partition(contract, seat), format!("ENTRY#{list}#"))
}

/// Partition of what a seat holder saved by hand, and the beginning of the sort keys of all of it.
pub(super) fn all_by_hand(contract: &ContractId, seat: SeatId) -> (String, &'static str) {
    (lists_partition(contract, seat), "ENTRY#")
}

/// An entry that a seat holder saved in a list.
pub(super) fn by_hand(contract: &ContractId, seat: SeatId, list: ListRef, entry: EntryId) -> Key {
    let (partition, prefix) = by_hand_in(contract, seat, list);
    key(partition, format!("{prefix}{entry}"))
}

/// Everything that was read from a CRM environment, or computed from it: the partitions that a clean-up
/// empties (CN-8).
pub(super) fn imported_partitions(contract: &ContractId, environment: Environment) -> Vec<String> {
    let mut partitions = Vec::new();
    if environment == Environment::Production {
        partitions.push(schema_partition(contract));
        // How rare values are is learned from the records.
        partitions.push(models_partition(contract));
    }
    // Of both CRMs: what was imported of the one may stay after the contract went over to the other.
    for spec in [CrmKind::Salesforce, CrmKind::Dynamics365]
        .into_iter()
        .flat_map(objects)
    {
        partitions.push(seen_partition(contract, environment, spec.name));
        partitions.extend(
            (0..MIRROR_SHARDS)
                .map(|shard| mirror_partition(contract, environment, spec.name, shard)),
        );
    }
    partitions
        .extend((0..MATCH_KEY_SHARDS).map(|shard| match_key_shard(contract, environment, shard)));
    partitions.push(link_drafts_partition(contract, environment));
    partitions.push(outdated_partition(contract, environment));
    partitions
        .extend((0..TOUCHED_SHARDS).map(|shard| touched_partition(contract, environment, shard)));
    partitions.extend((0..ROI_SHARDS).map(|shard| roi_partition(contract, environment, shard)));
    partitions.push(roi_reports(contract, environment));
    for shard in 0..DIRECTORY_SHARDS {
        partitions.push(saved_partition(contract, environment, shard));
        partitions.push(champion_partition(contract, environment, shard));
        for kind in EntryKind::ALL {
            partitions.push(match_partition(contract, environment, kind, shard));
        }
        partitions.push(linked_shard(contract, environment, shard));
    }
    // Last, as it says what was imported, and of which organisation.
    partitions.push(imported(contract, environment));
    partitions
}

/// Into how many partitions the records of an object are spread: a partition takes 1,000 writes a
/// second.
pub const MIRROR_SHARDS: u32 = 16;
/// Into how many partitions the entries of a kind are spread, their matches, and the records that they
/// are linked to.
pub const DIRECTORY_SHARDS: u32 = 16;
/// Into how many partitions the match keys of an environment are spread.
const MATCH_KEY_SHARDS: u32 = 64;
/// Number of partitions that the marks of changed opportunities are spread over.
pub const TOUCHED_SHARDS: u32 = 16;

/// Number of partitions that the attributions of opportunities are spread over.
pub const ROI_SHARDS: u32 = 16;
/// Number of partitions that the acts of seat holders towards people are spread over.
const REACH_SHARDS: u32 = 16;

/// The shard of a name, the same for ever (FNV-1a; the upper half folded in, as the low bits of
/// similar names alone are not spread well).
fn shard(name: &str, of: u32) -> u32 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in name.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash ^= hash >> 32;
    hash ^= hash >> 16;
    u32::try_from(hash % u64::from(of)).unwrap_or(0)
}

/// The shard of a mirrored record.
pub(super) fn mirror_shard(id: &str) -> u32 {
    shard(id, MIRROR_SHARDS)
}

pub(super) fn mirror_partition(
    contract: &ContractId,
    environment: Environment,
    object: &str,
    shard: u32,
) -> String {
    format!("C#{contract}#MIRROR#{environment}#{object}#{shard:02x}")
}

/// A mirrored record. Ids of the CRM are kept as they are, so that they can be read back from the key; text
/// that is no id of a CRM has a key too, under which nothing is.
pub(super) fn mirrored(
    contract: &ContractId,
    environment: Environment,
    object: &str,
    id: &str,
) -> Key {
    let plain = (1..=MAX_HALF).contains(&id.len());
    let object = part(object, MAX_HALF);
    let partition = mirror_partition(contract, environment, &object, mirror_shard(id));
    let id = if plain { id.to_owned() } else { part("", 0) };
    key(partition, id)
}

/// The shard of an entry and its match.
fn entry_shard(id: EntryId) -> u32 {
    shard(&id.to_string(), DIRECTORY_SHARDS)
}

pub(super) fn entry_partition(contract: &ContractId, kind: EntryKind, shard: u32) -> String {
    format!("C#{contract}#DIRECTORY#{kind}#{shard:02x}")
}

pub(super) fn entry(contract: &ContractId, kind: EntryKind, id: EntryId) -> Key {
    let partition = entry_partition(contract, kind, entry_shard(id));
    key(partition, id.to_string())
}

pub(super) fn match_partition(
    contract: &ContractId,
    environment: Environment,
    kind: EntryKind,
    shard: u32,
) -> String {
    format!("C#{contract}#MATCH#{environment}#{kind}#{shard:02x}")
}

pub(super) fn entry_match(
    contract: &ContractId,
    environment: Environment,
    kind: EntryKind,
    id: EntryId,
) -> Key {
    let partition = match_partition(contract, environment, kind, entry_shard(id));
    key(partition, id.to_string())
}

fn linked_shard(contract: &ContractId, environment: Environment, shard: u32) -> String {
    format!("C#{contract}#LINKED#{environment}#{shard:02x}")
}

/// Keeps a record to one entry.
pub(super) fn linked(contract: &ContractId, environment: Environment, record: &RecordRef) -> Key {
    let object = part(&record.object, MAX_HALF);
    let sort_key = format!("{object}#{}", part(&record.id, MAX_HALF));
    let shard = shard(&sort_key, DIRECTORY_SHARDS);
    key(linked_shard(contract, environment, shard), sort_key)
}

/// Notes that an entry waits for a record that another entry has: beside the item that keeps the record to
/// one entry, and emptied with it.
pub(super) fn waiting(
    contract: &ContractId,
    environment: Environment,
    record: &RecordRef,
    entry: EntryRef,
) -> Key {
    let (partition, prefix) = all_waiting(contract, environment, record);
    key(partition, format!("{prefix}{entry}"))
}

/// Partition of the entries that wait for a record, and what their sort keys begin with.
pub(super) fn all_waiting(
    contract: &ContractId,
    environment: Environment,
    record: &RecordRef,
) -> (String, String) {
    let linked = linked(contract, environment, record);
    (linked.pk, format!("{}#WAITING#", linked.sk))
}

/// Partition of the entries whose records are out of date.
pub(super) fn outdated_partition(contract: &ContractId, environment: Environment) -> String {
    format!("C#{contract}#OUTDATED#{environment}")
}

/// The beginning of the sort keys of an owner's records. Of records without an owner it is that of no
/// text.
pub(super) fn outdated_of(owner: Option<&str>) -> String {
    format!("{}#", part(owner.unwrap_or_default(), MAX_HALF))
}

/// An entry whose record, of that owner, is out of date.
pub(super) fn outdated(
    contract: &ContractId,
    environment: Environment,
    owner: Option<&str>,
    entry: EntryId,
) -> Key {
    let sort_key = format!("{}{entry}", outdated_of(owner));
    key(outdated_partition(contract, environment), sort_key)
}

fn models_partition(contract: &ContractId) -> String {
    format!("C#{contract}#MODEL")
}

/// Partition of the models, and what the sort keys of a kind's versions begin with.
pub(super) fn models(contract: &ContractId, kind: EntryKind) -> (String, String) {
    (models_partition(contract), format!("{kind}#"))
}

/// A version of a model.
pub(super) fn model(contract: &ContractId, kind: EntryKind, version: u32) -> Key {
    let (partition, prefix) = models(contract, kind);
    key(partition, format!("{prefix}{version:010}"))
}

/// The model that is used.
pub(super) fn current_model(contract: &ContractId, kind: EntryKind) -> Key {
    key(models_partition(contract), kind.as_str())
}

fn rates_partition(contract: &ContractId) -> String {
    format!("C#{contract}#RATES")
}

pub(super) fn rates(contract: &ContractId, at: Millis) -> Key {
    key(rates_partition(contract), padded(at))
}

/// Partition of the match rates, and the range of sort keys of those before `before`.
pub(super) fn rates_before(
    contract: &ContractId,
    before: Option<Millis>,
) -> (String, String, String) {
    let last = before.map_or(LAST_TIME, |at| at.0.saturating_sub(1));
    (
        rates_partition(contract),
        padded(Millis(0)),
        padded(Millis(last)),
    )
}

fn match_key_shard(contract: &ContractId, environment: Environment, shard: u32) -> String {
    format!("C#{contract}#MATCHKEY#{environment}#{shard:02x}")
}

/// Partition of a match key, and the beginning of the sort keys of its records; with an object, of that
/// object's records, unless the key is open. Keys with one head are in one partition, in the order of the rest.
pub(super) fn match_key(
    contract: &ContractId,
    environment: Environment,
    match_key: &MatchKey,
    object: Option<&str>,
) -> (String, String) {
    let name = match_key.as_str();
    let mut prefix = if match_key.is_open() {
        // At most 600 bytes: no key that begins so is replaced by its hash.
        utf8_percent_encode(name, NAME).to_string()
    } else {
        part(name, MAX_MATCH_KEY)
    };
    if !match_key.is_open() {
        prefix.push('#');
        if let Some(object) = object {
            prefix.push_str(object);
            prefix.push('#');
        }
    }
    let shard = shard(match_key.head(), MATCH_KEY_SHARDS);
    (match_key_shard(contract, environment, shard), prefix)
}

/// The text of a match key, from the sort key of one of its records.
pub(super) fn text_of_match_key(sort_key: &str) -> Cow<'_, str> {
    let encoded = sort_key.split('#').next().unwrap_or_default();
    percent_decode_str(encoded).decode_utf8_lossy()
}

/// Object and id of a record, by the sort key of one of its match keys.
pub(super) fn of_match_key(sort_key: &str) -> Option<(&str, &str)> {
    sort_key.split_once('#')?.1.split_once('#')
}

/// Partition of what passes over an object saw.
pub(super) fn seen_partition(
    contract: &ContractId,
    environment: Environment,
    object: &str,
) -> String {
    format!("C#{contract}#SEEN#{environment}#{object}")
}

/// What the sort keys begin with of what passes saw of a shard.
pub(super) fn seen_shard(shard: u32) -> String {
    format!("{shard:02x}#")
}

/// Sort key of a piece of what a part of a pass saw of a shard.
pub(super) fn seen(shard: u32, generation: u64, part: u64, piece: usize) -> String {
    format!("{}{part:010}#{piece:03}", seen_prefix(shard, generation))
}

/// What the sort keys begin with of what a pass saw of a shard.
pub(super) fn seen_prefix(shard: u32, generation: u64) -> String {
    format!("{}{generation:010}#", seen_shard(shard))
}

/// Sort key of the end of a shard's sweep; behind those of what the pass saw.
pub(super) fn swept(shard: u32, generation: u64) -> String {
    format!("{}SWEPT", seen_prefix(shard, generation))
}

fn imported(contract: &ContractId, environment: Environment) -> String {
    format!("C#{contract}#IMPORTED#{environment}")
}

pub(super) fn access_report(contract: &ContractId, environment: Environment) -> Key {
    key(imported(contract, environment), "ACCESS")
}

/// Partition and sort key prefix of the objects of an environment's CRM and their imports.
pub(super) fn object_syncs(
    contract: &ContractId,
    environment: Environment,
) -> (String, &'static str) {
    (imported(contract, environment), "OBJECT#")
}

pub(super) fn object_sync(contract: &ContractId, environment: Environment, object: &str) -> Key {
    let (partition, prefix) = object_syncs(contract, environment);
    key(partition, format!("{prefix}{}", part(object, MAX_PART)))
}

/// Partition and sort key prefix of the flags of outdated records that were written to the CRM.
pub(super) fn flags(contract: &ContractId, environment: Environment) -> (String, &'static str) {
    (imported(contract, environment), "FLAG#")
}

/// The flag of a record.
pub(super) fn flag(contract: &ContractId, environment: Environment, record: &RecordRef) -> Key {
    let (partition, prefix) = flags(contract, environment);
    let object = part(&record.object, MAX_HALF);
    let id = part(&record.id, MAX_HALF);
    key(partition, format!("{prefix}{object}#{id}"))
}

pub(super) fn crm_options(contract: &ContractId, environment: Environment) -> Key {
    key(imported(contract, environment), "OPTIONS")
}

fn seat_partition(contract: &ContractId, seat: SeatId) -> String {
    format!("C#{contract}#SEAT#{seat}")
}

pub(super) fn seat(contract: &ContractId, id: SeatId) -> Key {
    key(seat_partition(contract, id), "SEAT")
}

pub(super) const SESSION_PREFIX: &str = "SESSION#";

pub(super) fn session(contract: &ContractId, seat: SeatId, id: &str) -> Key {
    key(
        seat_partition(contract, seat),
        format!("{SESSION_PREFIX}{}", part(id, MAX_PART)),
    )
}

/// GSI1 partition of a contract's seats.
pub(super) fn seats_index(contract: &ContractId) -> String {
    format!("C#{contract}#SEATS")
}

/// The member whose LinkedIn archives a seat holder logs from.
pub(super) fn archive_member(contract: &ContractId, seat: SeatId) -> Key {
    key(format!("C#{contract}#ARCHIVE#{seat}"), "MEMBER")
}

/// Keeps an e-mail address to one seat.
pub(super) fn seat_email(contract: &ContractId, email: &str) -> Key {
    key(
        format!("C#{contract}#SEATEMAIL#{}", part(email, MAX_PART)),
        "EMAIL",
    )
}

/// Keeps a user of the CRM whom an administrator chose to one seat.
pub(super) fn seat_user(contract: &ContractId, chosen: &ChosenUser) -> Key {
    let organization = part(&chosen.organization, MAX_HALF);
    key(
        format!("C#{contract}#SEATUSER"),
        format!("{organization}#{}", part(&chosen.user, MAX_HALF)),
    )
}

/// Keeps an identity at a sign-in provider to one seat.
pub(super) fn identity(contract: &ContractId, identity: &Identity) -> Key {
    key(
        format!(
            "C#{contract}#IDENTITY#{}",
            part(&identity.to_string(), MAX_PART)
        ),
        "IDENTITY",
    )
}

pub(super) fn session_key(contract: &ContractId) -> Key {
    key(format!("C#{contract}#SESSIONKEY"), "KEY")
}

/// GSI1 partition of a contract's API tokens.
pub(super) fn tokens_index(contract: &ContractId) -> String {
    format!("C#{contract}#TOKENS")
}

/// GSI2 partition of open work on CRM connections, of all contracts.
pub(super) const WORK: &str = "WORK";

/// GSI2 sort key of open work: by the time it is due.
pub(super) fn work_order(due: Millis, contract: Option<&ContractId>) -> String {
    contract.map_or_else(
        || padded(due),
        |contract| format!("{}#{contract}", padded(due)),
    )
}

pub(super) fn token(contract: &ContractId, id: &TokenId) -> Key {
    key(format!("C#{contract}#TOKEN#{id}"), "TOKEN")
}

pub(super) fn submission(contract: &ContractId, id: SubmissionId) -> Key {
    key(format!("C#{contract}#SUBMISSION#{id}"), "SUBMISSION")
}

/// Partition of a seat holder's activities.
pub(super) fn activities_of(contract: &ContractId, seat: SeatId) -> String {
    format!("C#{contract}#ACTIVITY#{seat}")
}

pub(super) fn activity(contract: &ContractId, seat: SeatId, id: ActivityId) -> Key {
    key(activities_of(contract, seat), id.to_string())
}

/// Seat and id of an activity, by its key.
pub(super) fn of_activity(partition_key: &str, sort_key: &str) -> Option<(SeatId, ActivityId)> {
    let seat = last_of(partition_key, "ACTIVITY")?.parse().ok()?;
    Some((seat, sort_key.parse().ok()?))
}

/// The hash that stands for a thread.
pub(super) fn thread_hash(thread: &Thread) -> String {
    let Thread { target, name } = thread;
    domain::signature::sha256_hex(&[target.to_string().as_bytes(), b"#", name.as_bytes()])
}

/// Partition of the open activities of a seat holder's thread.
pub(super) fn thread_of(contract: &ContractId, seat: SeatId, thread: &Thread) -> String {
    format!("C#{contract}#THREAD#{seat}#{}", thread_hash(thread))
}

/// Partition of a seat holder's choices to log threads.
pub(super) fn thread_choices(contract: &ContractId, seat: SeatId) -> String {
    format!("C#{contract}#THREADLOG#{seat}")
}

/// A seat holder's choice to log a thread, by the thread's hash.
pub(super) fn thread_choice(contract: &ContractId, seat: SeatId, hash: &str) -> Key {
    key(thread_choices(contract, seat), part(hash, MAX_PART))
}

/// An open activity in its thread.
pub(super) fn in_thread(
    contract: &ContractId,
    seat: SeatId,
    thread: &Thread,
    (at, id): (Millis, ActivityId),
) -> Key {
    let order = activity_order(at, Some(id));
    key(thread_of(contract, seat, thread), order)
}

/// The activity in a sort key of that partition.
pub(super) fn of_thread_order(sort_key: &str) -> Option<ActivityId> {
    sort_key.split_once('#')?.1.parse().ok()
}

/// GSI1 partition of a seat holder's activities.
pub(super) fn activities_index(contract: &ContractId, seat: SeatId) -> String {
    format!("C#{contract}#ACTIVITIES#{seat}")
}

/// Sort key of an activity in indexes by time.
pub(super) fn activity_order(at: Millis, id: Option<ActivityId>) -> String {
    id.map_or_else(|| padded(at), |id| format!("{}#{id}", padded(at)))
}

/// GSI2 partition of activities that continue by themselves. It is separate from that of the submissions, so
/// that a backlog of one does not delay the other.
pub(super) fn open_activities_index(contract: &ContractId) -> String {
    format!("C#{contract}#OPENACTIVITIES")
}

/// GSI2 partition of old activities before their first attempt, by the time at which they happened: a lane of
/// their own, so that they do not delay newer ones.
pub(super) fn backlog_of_activities_index(contract: &ContractId) -> String {
    format!("C#{contract}#BACKLOGOFACTIVITIES")
}

/// GSI2 partition of activities whose seat holder has to sign in, by seat and time.
pub(super) fn unsigned_activities_index(contract: &ContractId) -> String {
    format!("C#{contract}#UNSIGNEDACTIVITIES")
}

/// GSI2 partition of failed activities, by seat and time.
pub(super) fn failed_activities_index(contract: &ContractId) -> String {
    format!("C#{contract}#FAILEDACTIVITIES")
}

/// The prefix of a seat holder's sort keys in those partitions.
pub(super) fn seat_activities_of(seat: SeatId) -> String {
    format!("{seat}#")
}

pub(super) fn seat_activity_order(seat: SeatId, at: Millis, id: ActivityId) -> String {
    format!("{}{}#{id}", seat_activities_of(seat), padded(at))
}

/// The seat in a sort key of those partitions.
pub(super) fn seat_of_activity_order(sort_key: &str) -> Option<SeatId> {
    sort_key.split_once('#')?.0.parse().ok()
}

/// GSI2 partition of activities with an unmatched person or company, by entry.
pub(super) fn unresolved_activities_index(contract: &ContractId) -> String {
    format!("C#{contract}#UNRESOLVEDACTIVITIES")
}

/// GSI2 partition of activities whose seat holder is asked for the record of their person or company, by
/// entry.
pub(super) fn unanswered_activities_index(contract: &ContractId) -> String {
    format!("C#{contract}#UNANSWEREDACTIVITIES")
}

/// The prefix of an entry's sort keys in those partitions. The id comes first, so that entries of both kinds
/// are spread evenly.
pub(super) fn unresolved_activities_of(entry: EntryRef) -> String {
    format!("{}:{}#", entry.id, entry.kind)
}

pub(super) fn unresolved_activity_order(entry: EntryRef, id: ActivityId) -> String {
    format!("{}{id}", unresolved_activities_of(entry))
}

/// The entry in a sort key of those partitions.
pub(super) fn entry_of_unresolved(sort_key: &str) -> Option<EntryRef> {
    let (id, kind) = sort_key.split_once('#')?.0.split_once(':')?;
    Some(EntryRef {
        kind: kind.parse().ok()?,
        id: id.parse().ok()?,
    })
}

/// The submission that a partition key is of.
pub(super) fn submission_of(partition_key: &str) -> Option<SubmissionId> {
    last_of(partition_key, "SUBMISSION")?.parse().ok()
}

/// The seat that a partition key is of.
pub(super) fn seat_of(partition_key: &str) -> Option<SeatId> {
    last_of(partition_key, "SEAT")?.parse().ok()
}

/// What follows a segment at the end of a partition key.
fn last_of<'k>(partition_key: &'k str, of: &str) -> Option<&'k str> {
    let (rest, id) = partition_key.rsplit_once('#')?;
    rest.ends_with(of).then_some(id)
}

pub(super) fn claim(contract: &ContractId, hash: &str) -> Key {
    key(
        format!("C#{contract}#CLAIM#{}", part(hash, MAX_PART)),
        "CLAIM",
    )
}

pub(super) fn lead_partition(contract: &ContractId, lead_id: &str) -> String {
    format!("C#{contract}#LEAD#{}", part(lead_id, MAX_PART))
}

pub(super) fn attachment(contract: &ContractId, lead_id: &str, id: SubmissionId) -> Key {
    key(
        lead_partition(contract, lead_id),
        format!("SUBMISSION#{id}"),
    )
}

pub(super) fn discovered_partition(contract: &ContractId) -> String {
    format!("C#{contract}#DISCOVERED")
}

pub(super) fn discovered(contract: &ContractId, form: &str) -> Key {
    key(
        discovered_partition(contract),
        format!("{DISCOVERED_PREFIX}{}", part(form, MAX_PART)),
    )
}

pub(super) const DISCOVERED_PREFIX: &str = "FORM#";

fn schema_partition(contract: &ContractId) -> String {
    format!("C#{contract}#SCHEMA")
}

pub(super) fn lead_schema(contract: &ContractId) -> Key {
    key(schema_partition(contract), "LEAD")
}

pub(super) fn linkedin_form(contract: &ContractId, id: &str) -> Key {
    key(
        format!("C#{contract}#LINKEDINFORM#{}", part(id, MAX_PART)),
        "FORM",
    )
}

pub(super) fn cursor(contract: &ContractId, owner: &str) -> Key {
    key(
        format!("C#{contract}#CURSOR"),
        format!("LINKEDIN#{}", part(owner, MAX_PART)),
    )
}

pub(super) fn audit_partition(contract: &ContractId) -> String {
    format!("C#{contract}#AUDIT")
}

pub(super) fn audit(contract: &ContractId, at: Millis, unique: uuid::Uuid) -> Key {
    key(
        audit_partition(contract),
        format!("{}#{unique}", padded(at)),
    )
}

pub(super) fn posts(contract: &ContractId, minute: i64) -> Key {
    key(format!("C#{contract}#POSTS"), format!("{minute:010}"))
}

/// Partition of the creates and updates of a seat holder in the CRM.
pub(super) fn user_writes(contract: &ContractId, seat: SeatId) -> String {
    format!("C#{contract}#USERWRITES#{seat}")
}

/// Partition and sort key prefix of the counters of a month.
pub(super) fn user_months(contract: &ContractId, seat: SeatId, month: &str) -> (String, String) {
    (user_writes(contract, seat), format!("MONTH#{month}#"))
}

pub(super) fn user_month(contract: &ContractId, seat: SeatId, month: &str, kind: WriteKind) -> Key {
    let (pk, prefix) = user_months(contract, seat, month);
    key(pk, format!("{prefix}{}", kind.as_str()))
}

pub(super) fn user_write(
    contract: &ContractId,
    seat: SeatId,
    kind: WriteKind,
    id: uuid::Uuid,
) -> Key {
    key(
        user_writes(contract, seat),
        format!("{}#{id}", kind.as_str()),
    )
}

pub(super) fn oauth_attempt(contract: &ContractId, state_hash: &str) -> Key {
    key(
        format!("C#{contract}#OAUTH#{}", part(state_hash, MAX_PART)),
        "ATTEMPT",
    )
}

/// Partition of a contract's erasures.
pub(super) fn erasures(contract: &ContractId) -> String {
    format!("C#{contract}#ERASURE")
}

/// The erasure of a person's data.
pub(super) fn erasure(contract: &ContractId, id: uuid::Uuid) -> Key {
    key(erasures(contract), id.to_string())
}

/// Partition of the tombstones of erased people, and of the key of their hashes.
pub(super) fn erased_partition(contract: &ContractId) -> String {
    format!("C#{contract}#ERASED")
}

/// The tombstone of an erased person. `hash` is of hexadecimal digits.
pub(super) fn tombstone(contract: &ContractId, hash: &str) -> Key {
    key(
        erased_partition(contract),
        format!("HASH#{}", part(hash, MAX_PART)),
    )
}

/// The key of the tombstones' hashes.
pub(super) fn erased_key(contract: &ContractId) -> Key {
    key(erased_partition(contract), "KEY")
}

/// GSI1 partition of all contracts.
pub(super) const CONTRACTS: &str = "CONTRACTS";

/// GSI1 partition of a contract's submissions.
pub(super) fn submissions_index(contract: &ContractId) -> String {
    format!("C#{contract}#SUBMISSIONS")
}

/// GSI1 sort key of a submission: by time of arrival.
pub(super) fn submission_order(at: Millis, id: Option<SubmissionId>) -> String {
    id.map_or_else(|| padded(at), |id| format!("{}#{id}", padded(at)))
}

/// The first and last GSI1 sort key of submissions received at or after `from` and before `to`.
pub(super) fn submission_period(from: Option<Millis>, to: Option<Millis>) -> (String, String) {
    (
        padded(from.unwrap_or_default()),
        padded(to.unwrap_or(Millis(LAST_TIME))),
    )
}

/// GSI2 partition of submissions that go on by themselves.
pub(super) fn open_index(contract: &ContractId) -> String {
    format!("C#{contract}#OPEN")
}

/// GSI2 partition of submissions that need a person.
pub(super) fn failed_index(contract: &ContractId) -> String {
    format!("C#{contract}#FAILED")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn shards_are_even() {
        for name in [
            "001A0000006Vm",
            "00000000-0000-4000-8000-00000000",
            "email:ada+",
        ] {
            let mut counts = [0_u32; MIRROR_SHARDS as usize];
            for number in 0..16_000 {
                counts[mirror_shard(&format!("{name}{number:05}")) as usize] += 1;
            }
            assert!(
                counts.iter().all(|count| (850..1150).contains(count)),
                "{name}: {counts:?}"
            );
        }
    }

    /// Every key that is made of text from outside, of that text.
    fn keys_of(contract: &str, name: &str) -> Vec<Key> {
        let c: ContractId = contract.parse().unwrap();
        let (production, sandbox) = (Environment::Production, Environment::Sandbox);
        let (id, seat_id) = (SubmissionId(uuid::Uuid::nil()), SeatId(uuid::Uuid::nil()));
        let record = RecordRef::new(name, name);
        let waits = EntryRef {
            kind: EntryKind::Profile,
            id: EntryId(uuid::Uuid::nil()),
        };
        let user = Identity::Entra {
            tenant: name.to_owned(),
            object_id: name.to_owned(),
        };
        let chosen = ChosenUser {
            organization: name.to_owned(),
            user: name.to_owned(),
        };
        let thread = Thread {
            target: waits,
            name: name.to_owned(),
        };
        let order = (Millis(7), ActivityId(uuid::Uuid::nil()));
        let match_key = MatchKey::stored(name);
        let (pk, sk) = super::match_key(&c, sandbox, &match_key, Some("Lead"));
        let (lead, submission) = (attachment(&c, name, id), claim(&c, name));
        vec![
            mapping(&c, name),
            object_sync(&c, production, name),
            session(&c, seat_id, name),
            linked(&c, sandbox, &record),
            waiting(&c, sandbox, &record, waits),
            outdated(&c, sandbox, Some(name), waits.id),
            flag(&c, sandbox, &record),
            saved(&c, sandbox, seat_id, EntryKind::Profile, &record),
            champion(&c, sandbox, seat_id, &record),
            touched(&c, sandbox, name, (name, name)),
            attribution(&c, sandbox, "2026-11", name),
            roi_report(&c, sandbox, name),
            reach(&c, waits.id, "activity", name),
            mirrored(&c, sandbox, "Lead", name),
            Key { pk, sk },
            seat_email(&c, name),
            seat_user(&c, &chosen),
            identity(&c, &user),
            lead,
            submission,
            in_thread(&c, seat_id, &thread, order),
            thread_choice(&c, seat_id, &thread_hash(&thread)),
            discovered(&c, name),
            linkedin_form(&c, name),
            cursor(&c, name),
            oauth_attempt(&c, name),
            tombstone(&c, name),
        ]
    }

    /// The keys that are made of nothing from outside.
    fn own_keys(contract: &str) -> Vec<Key> {
        let c: ContractId = contract.parse().unwrap();
        let (production, sandbox) = (Environment::Production, Environment::Sandbox);
        let nil = uuid::Uuid::nil();
        let (seat_id, entry_id) = (SeatId(nil), EntryId(nil));
        let form_id: FormId = "form-0001".parse().unwrap();
        let token_id: TokenId = "t-01".parse().unwrap();
        vec![
            super::contract(&c),
            strategy(&c, StrategyId(nil)),
            form(&c, &form_id),
            scoring(&c),
            linkedin_settings(&c),
            crm_settings(&c, sandbox),
            connection(&c, ConnectionKind::PRODUCTION),
            connection(&c, ConnectionKind::LinkedIn),
            connection(&c, ConnectionKind::User(seat_id, sandbox)),
            guide(&c, sandbox),
            sync(&c, production),
            run(&c, production, Millis(i64::MAX), u64::MAX),
            link_pass(&c),
            link_draft(&c, production, 1, 1),
            save_pass(&c),
            save_state(&c),
            roi_state(&c),
            own_lists(&c, seat_id),
            by_hand(&c, seat_id, ListRef::People, entry_id),
            access_report(&c, production),
            crm_options(&c, production),
            entry(&c, EntryKind::Profile, entry_id),
            entry_match(&c, production, EntryKind::Company, entry_id),
            model(&c, EntryKind::Profile, 1),
            current_model(&c, EntryKind::Profile),
            rates(&c, Millis(1)),
            seat(&c, seat_id),
            archive_member(&c, seat_id),
            session_key(&c),
            token(&c, &token_id),
            submission(&c, SubmissionId(nil)),
            activity(&c, seat_id, ActivityId(nil)),
            lead_schema(&c),
            audit(&c, Millis(1), nil),
            posts(&c, 7),
            last_run(&c, RunKind::KeepAnswers),
            ended_run(
                &c,
                RunId {
                    kind: RunKind::KeepAnswers,
                    number: 1,
                },
            ),
            erasure(&c, nil),
            erased_key(&c),
            user_month(&c, seat_id, "2026-11", WriteKind::Create),
            user_write(&c, seat_id, WriteKind::Update, nil),
            Key {
                pk: seen_partition(&c, production, "Lead"),
                sk: seen(1, 2, 3, 4),
            },
        ]
    }

    /// Text as people and programs send it, and worse.
    fn hostile() -> impl Strategy<Value = String> {
        prop_oneof![
            "\\PC{0,40}",
            "[#%~ ]{0,12}",
            "\\PC{200,400}",
            "[あ😀]{100,400}",
            "[\u{0}-\u{1f}]{1,300}",
            Just(String::new()),
            Just(part("x", 0)),
            "[a-z]{955,965}",
        ]
    }

    #[test]
    fn what_is_left_of_a_key_says_whose_it_is() {
        let id = SubmissionId(uuid::Uuid::from_u128(7));
        let c: ContractId = "acme".parse().unwrap();
        assert_eq!(submission_of(&submission(&c, id).pk), Some(id));
        let seat_id = SeatId(uuid::Uuid::from_u128(8));
        assert_eq!(seat_of(&seat(&c, seat_id).pk), Some(seat_id));
        assert_eq!(seat_of(&submission(&c, id).pk), None);
        assert_eq!(submission_of("C#acme#SUBMISSION#x"), None);
        let (activity_id, at) = (ActivityId(uuid::Uuid::from_u128(9)), Millis(7));
        let own = activity(&c, seat_id, activity_id);
        assert_eq!(of_activity(&own.pk, &own.sk), Some((seat_id, activity_id)));
        assert_eq!(of_activity(&seat(&c, seat_id).pk, &own.sk), None);
        let order = activity_order(at, Some(activity_id));
        assert_eq!(of_thread_order(&order), Some(activity_id));
        let unsigned = seat_activity_order(seat_id, at, activity_id);
        assert_eq!(seat_of_activity_order(&unsigned), Some(seat_id));
        let entry = EntryRef {
            kind: EntryKind::Company,
            id: EntryId(uuid::Uuid::from_u128(10)),
        };
        let unresolved = unresolved_activity_order(entry, activity_id);
        assert_eq!(entry_of_unresolved(&unresolved), Some(entry));
    }

    #[test]
    fn a_log_shows_no_key_that_holds_an_address() {
        let c: ContractId = "acme".parse().unwrap();
        let shown_of = |key: Key| shown(&key.attributes());
        assert_eq!(
            shown_of(seat_email(&c, "ada@example.com")),
            "C#acme#SEATEMAIL"
        );
        assert_eq!(shown_of(super::contract(&c)), "C#acme CONTRACT");
    }

    #[test]
    fn every_partition_says_once_whether_it_holds_a_person() {
        let mut names: Vec<&str> = PARTITIONS.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), PARTITIONS.len());
        let keys = own_keys("acme").into_iter().chain(keys_of("acme", "x"));
        let mut used: Vec<String> = keys
            .map(|key| {
                assert!(holds_person(&key.pk).is_some(), "{}", key.pk);
                segment(&key.pk).unwrap().to_owned()
            })
            .collect();
        used.sort_unstable();
        used.dedup();
        assert_eq!(
            used, names,
            "each partition has a key function, and none is missing"
        );
    }

    proptest! {
        #[test]
        fn every_key_starts_with_its_contract_and_only_its_own(a in "[a-z][a-z0-9-]{1,20}[a-z0-9]", b in "[a-z][a-z0-9-]{1,20}[a-z0-9]", name in hostile()) {
            prop_assume!(a != b);
            let keys = |contract: &str| keys_of(contract, &name).into_iter().chain(own_keys(contract));
            for (of_a, of_b) in keys(&a).zip(keys(&b)) {
                let own = format!("C#{a}");
                let inside = of_a.pk == own || of_a.pk.starts_with(&format!("{own}#"));
                prop_assert!(inside);
                prop_assert_ne!(of_a, of_b);
            }
        }

        #[test]
        fn no_text_makes_a_key_that_the_table_does_not_take(name in hostile()) {
            let contract = "a".repeat(40);
            for key in keys_of(&contract, &name) {
                prop_assert!(key.pk.len() <= 2048, "{}: {}", key.pk, key.pk.len());
                prop_assert!((1..=1024).contains(&key.sk.len()), "{}: {}", key.sk, key.sk.len());
            }
        }

        #[test]
        fn no_two_texts_make_one_key(x in hostile(), y in hostile()) {
            // Of a text that is no id of a CRM, and under which nothing can be, the mirror has one key.
            let plain = |text: &str| (1..=MAX_HALF).contains(&text.len());
            for (of_x, of_y) in keys_of("acme", &x).into_iter().zip(keys_of("acme", &y)) {
                if segment(&of_x.pk) != Some("MIRROR") || (plain(&x) && plain(&y)) {
                    prop_assert_eq!(x == y, of_x == of_y);
                }
            }
        }

        #[test]
        fn times_sort_as_they_follow(x: i64, y: i64) {
            let keys = [x, y].map(|at| padded(Millis(at)));
            prop_assert!(keys.iter().all(|key| key.len() == 13));
            prop_assert!(x > y || keys[0] <= keys[1]);
        }

        #[test]
        fn a_clean_up_reaches_everything_that_is_imported(name in "\\PC{1,30}", id in "[0-9a-zA-Z-]{1,40}", shard in 0..MIRROR_SHARDS, unique: u128) {
            let c: ContractId = "acme".parse().unwrap();
            for environment in Environment::ALL {
                let partitions = imported_partitions(&c, environment);
                let match_key = MatchKey::called(&name);
                let link = linked(&c, environment, &RecordRef::new(name.clone(), id.clone()));
                prop_assert!(partitions.contains(&link.pk) && link.sk.len() <= 1024);
                for kind in EntryKind::ALL {
                    let entry_id = EntryId(uuid::Uuid::from_u128(unique));
                    let (own, matched) = (entry(&c, kind, entry_id), entry_match(&c, environment, kind, entry_id));
                    // What people entered stays; and a match is in the shard of its entry.
                    prop_assert!(partitions.contains(&matched.pk) && !partitions.contains(&own.pk));
                    prop_assert!((0..DIRECTORY_SHARDS).any(|shard| own.pk == entry_partition(&c, kind, shard) && matched.pk == match_partition(&c, environment, kind, shard)));
                }
                let record = RecordRef::new(name.clone(), id.clone());
                let seat_id = SeatId(uuid::Uuid::from_u128(unique));
                let saved = saved(&c, environment, seat_id, EntryKind::Company, &record);
                let touched = touched(&c, environment, &id, (name.as_str(), id.as_str()));
                prop_assert!(partitions.contains(&saved.pk) && partitions.contains(&touched.pk));
                let champion = champion(&c, environment, seat_id, &record);
                prop_assert!(partitions.contains(&champion.pk));
                let attributed = attribution(&c, environment, "2026-11", &id);
                let report = roi_report(&c, environment, &name);
                prop_assert!(partitions.contains(&attributed.pk) && partitions.contains(&report.pk));
                let outdated = outdated(&c, environment, Some(&id), EntryId(uuid::Uuid::from_u128(unique)));
                prop_assert!(partitions.contains(&outdated.pk));
                prop_assert!(mirror_shard(&id) < MIRROR_SHARDS);
                for spec in [CrmKind::Salesforce, CrmKind::Dynamics365].into_iter().flat_map(objects) {
                    let (seen, record) = (seen_partition(&c, environment, spec.name), mirror_partition(&c, environment, spec.name, shard));
                    prop_assert!(partitions.contains(&seen) && partitions.contains(&record));
                    if let Some(match_key) = &match_key {
                        let (partition, prefix) = super::match_key(&c, environment, match_key, Some(spec.name));
                        prop_assert!(partitions.contains(&partition));
                        let sort_key = format!("{prefix}{id}");
                        prop_assert!(sort_key.len() <= 1024);
                        prop_assert_eq!(of_match_key(&sort_key), Some((spec.name, id.as_str())));
                    }
                }
                let own = format!("#{environment}");
                prop_assert!(partitions.iter().all(|partition| partition.starts_with("C#acme#") && (partition.contains(&own) || (environment == Environment::Production && ["C#acme#SCHEMA", "C#acme#MODEL"].contains(&partition.as_str())))));
                let model = model(&c, EntryKind::Profile, 1);
                prop_assert_eq!(partitions.contains(&model.pk), environment == Environment::Production);
            }
        }
    }
}
