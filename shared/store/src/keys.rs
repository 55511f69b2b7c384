//! Every key string of the table. Nothing else writes one.
//!
//! `PK` starts with the contract in every item: one contract cannot reach another's.
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
//! | match key of mirrored records | `C#{c}#MATCHKEY#{environment}#{shard}` | `{key}#{object}#{id}` | query; counted and emptied by a clean-up |
//! | ids that a pass saw | `C#{c}#SEEN#{environment}#{object}` | `{shard}#{generation}#{part}#{piece}` | query; the sweep deletes them; counted and emptied by a clean-up |
//! | access report, options | `C#{c}#IMPORTED#{environment}` | `ACCESS`, `OPTIONS` | get; counted and emptied by a clean-up |
//! | entry of the directory | `C#{c}#DIRECTORY#{kind}#{shard}` | `{id}` | get, batch get, paged query |
//! | match of an entry | `C#{c}#MATCH#{environment}#{kind}#{shard}` | `{id}` | get, batch get, paged query beside the entries of its shard; counted and emptied by a clean-up |
//! | record that is an entry's link | `C#{c}#LINKED#{environment}#{shard}` | `{object}#{id}` | get, batch get; one record, one entry; counted and emptied by a clean-up |
//! | candidates that a link pass found so far | `C#{c}#LINKDRAFT#{environment}` | `{piece}` | query; the pass deletes them; counted and emptied by a clean-up |
//! | link pass | `C#{c}#CRM#production` | `LINK` | get; GSI2 while it has work to do |
//! | model | `C#{c}#MODEL` | `{kind}`; `{kind}#{version}` | get of the current one; query of the last 20; counted and emptied by a clean-up of production |
//! | match rates | `C#{c}#RATES` | `{time}` | query, newest first; its time to live removes it |
//! | seat | `C#{c}#SEAT#{seat}` | `SEAT` | one query with its sessions; GSI1 by e-mail address |
//! | session | `C#{c}#SEAT#{seat}` | `SESSION#{id}` | with its seat; its time to live removes it |
//! | seat's e-mail address | `C#{c}#SEATEMAIL#{email}` | `EMAIL` | create-only: one seat for each |
//! | seat's identity | `C#{c}#IDENTITY#{identity}` | `IDENTITY` | get at sign-in; create-only |
//! | key that signs sessions | `C#{c}#SESSIONKEY` | `KEY` | get |
//! | API token | `C#{c}#TOKEN#{id}` | `TOKEN` | get; GSI1 by id |
//! | submission | `C#{c}#SUBMISSION#{id}` | `SUBMISSION` | get; GSI1 by time; GSI2 by due time |
//! | claim of a match key | `C#{c}#CLAIM#{hash}` | `CLAIM` | get |
//! | attachment to a lead | `C#{c}#LEAD#{lead}` | `SUBMISSION#{id}` | query |
//! | discovered name | `C#{c}#DISCOVERED` | `NAME#{name}` | query |
//! | lead schema | `C#{c}#SCHEMA` | `LEAD` | get |
//! | LinkedIn form | `C#{c}#LINKEDINFORM#{id}` | `FORM` | get |
//! | pull cursor | `C#{c}#CURSOR` | `LINKEDIN#{owner}` | get |
//! | audit entry | `C#{c}#AUDIT` | `{time}#{id}` | query, newest first |
//! | posts of a minute | `C#{c}#POSTS` | `{minute}` | counted by form-intake; its time to live removes it |
//! | OAuth attempt | `C#{c}#OAUTH#{hash}` | `ATTEMPT` | taken once; its time to live removes it |
//!
//! Two index partitions are without a contract, for schedules: `GSI1PK` = `CONTRACTS`, and `GSI2PK` =
//! `WORK`, the open work on CRM connections by the time it is due.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::connections::ConnectionKind;
use domain::clock::Millis;
use domain::directory::{EntryId, EntryKind, RecordRef};
use domain::environment::Environment;
use domain::ids::{ContractId, FormId, SeatId, StrategyId, SubmissionId, TokenId};
use domain::inventory::objects;
use domain::match_keys::MatchKey;
use domain::schema::CrmKind;
use domain::seat::Identity;

/// Names come from outside; encoded, they can hold no separator of ours.
const NAME: &AsciiSet = &CONTROLS.add(b'#').add(b'%').add(b' ');

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

/// Zero-padded, so that text order is time order (13 digits last until the year 2286).
fn padded(at: Millis) -> String {
    format!("{:013}", at.0.max(0))
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
        format!("{MAPPING_PREFIX}{}", utf8_percent_encode(name, NAME)),
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

/// The contract's link pass.
pub(super) fn link_pass(contract: &ContractId) -> Key {
    key(crm(contract, Environment::Production), "LINK")
}

/// Partition of what a link pass keeps between two of its steps.
pub(super) fn link_drafts(contract: &ContractId, environment: Environment) -> String {
    format!("C#{contract}#LINKDRAFT#{environment}")
}

/// A piece of it.
pub(super) fn link_draft(partition: &str, piece: usize) -> Key {
    key(partition.to_owned(), format!("{piece:06}"))
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
    partitions.push(link_drafts(contract, environment));
    for shard in 0..DIRECTORY_SHARDS {
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
    let object = utf8_percent_encode(&record.object, NAME);
    let sort_key = format!("{object}#{}", utf8_percent_encode(&record.id, NAME));
    let shard = shard(&sort_key, DIRECTORY_SHARDS);
    key(linked_shard(contract, environment, shard), sort_key)
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
    let last = before.map_or(9_999_999_999_999, |at| at.0.saturating_sub(1));
    (
        rates_partition(contract),
        padded(Millis(0)),
        padded(Millis(last)),
    )
}

fn match_key_shard(contract: &ContractId, environment: Environment, shard: u32) -> String {
    format!("C#{contract}#MATCHKEY#{environment}#{shard:02x}")
}

/// Partition of a match key, and what the sort keys of its records begin with; with an object, of that
/// object's records.
pub(super) fn match_key(
    contract: &ContractId,
    environment: Environment,
    match_key: &MatchKey,
    object: Option<&str>,
) -> (String, String) {
    let name = match_key.as_str();
    let mut prefix = format!("{}#", utf8_percent_encode(name, NAME));
    if let Some(object) = object {
        prefix.push_str(object);
        prefix.push('#');
    }
    let shard = shard(name, MATCH_KEY_SHARDS);
    (match_key_shard(contract, environment, shard), prefix)
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
    key(partition, format!("{prefix}{object}"))
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
        format!("{SESSION_PREFIX}{id}"),
    )
}

/// GSI1 partition of a contract's seats.
pub(super) fn seats_index(contract: &ContractId) -> String {
    format!("C#{contract}#SEATS")
}

/// Keeps an e-mail address to one seat.
pub(super) fn seat_email(contract: &ContractId, email: &str) -> Key {
    key(
        format!(
            "C#{contract}#SEATEMAIL#{}",
            utf8_percent_encode(email, NAME)
        ),
        "EMAIL",
    )
}

/// Keeps an identity at a sign-in provider to one seat.
pub(super) fn identity(contract: &ContractId, identity: &Identity) -> Key {
    key(
        format!(
            "C#{contract}#IDENTITY#{}",
            utf8_percent_encode(&identity.to_string(), NAME)
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

pub(super) fn claim(contract: &ContractId, hash: &str) -> Key {
    key(format!("C#{contract}#CLAIM#{hash}"), "CLAIM")
}

pub(super) fn lead_partition(contract: &ContractId, lead_id: &str) -> String {
    format!("C#{contract}#LEAD#{}", utf8_percent_encode(lead_id, NAME))
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

pub(super) fn discovered(contract: &ContractId, name: &str) -> Key {
    key(
        discovered_partition(contract),
        format!("NAME#{}", utf8_percent_encode(name, NAME)),
    )
}

fn schema_partition(contract: &ContractId) -> String {
    format!("C#{contract}#SCHEMA")
}

pub(super) fn lead_schema(contract: &ContractId) -> Key {
    key(schema_partition(contract), "LEAD")
}

pub(super) fn linkedin_form(contract: &ContractId, id: &str) -> Key {
    key(
        format!(
            "C#{contract}#LINKEDINFORM#{}",
            utf8_percent_encode(id, NAME)
        ),
        "FORM",
    )
}

pub(super) fn cursor(contract: &ContractId, owner: &str) -> Key {
    key(
        format!("C#{contract}#CURSOR"),
        format!("LINKEDIN#{}", utf8_percent_encode(owner, NAME)),
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

pub(super) fn oauth_attempt(contract: &ContractId, state_hash: &str) -> Key {
    key(format!("C#{contract}#OAUTH#{state_hash}"), "ATTEMPT")
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

    proptest! {
        #[test]
        fn every_key_starts_with_its_contract_and_only_its_own(a in "[a-z][a-z0-9-]{1,20}[a-z0-9]", b in "[a-z][a-z0-9-]{1,20}[a-z0-9]", name in "\\PC{1,30}") {
            prop_assume!(a != b);
            let id = SubmissionId(uuid::Uuid::nil());
            let seat_id = SeatId(uuid::Uuid::nil());
            let entry_id = EntryId(uuid::Uuid::nil());
            let record = RecordRef::new(name.clone(), name.clone());
            let user = Identity::Entra { tenant: name.clone(), object_id: name.clone() };
            let keys = |contract: &str| {
                let c: ContractId = contract.parse().unwrap();
                vec![
                    super::contract(&c), mapping(&c, &name), connection(&c, ConnectionKind::PRODUCTION), submission(&c, id), claim(&c, &name),
                    connection(&c, ConnectionKind::User(seat_id, Environment::Sandbox)), guide(&c, Environment::Sandbox), sync(&c, Environment::Production),
                    access_report(&c, Environment::Production), crm_options(&c, Environment::Production), object_sync(&c, Environment::Production, &name), run(&c, Environment::Production, Millis(1), 1), seat(&c, seat_id), session(&c, seat_id, &name),
                    entry(&c, EntryKind::Profile, entry_id), entry_match(&c, Environment::Production, EntryKind::Company, entry_id), linked(&c, Environment::Sandbox, &record), link_pass(&c),
                    model(&c, EntryKind::Profile, 1), current_model(&c, EntryKind::Profile), rates(&c, Millis(1)),
                    seat_email(&c, &name), identity(&c, &user), session_key(&c),
                    attachment(&c, &name, id), discovered(&c, &name), lead_schema(&c), linkedin_form(&c, &name),
                    cursor(&c, &name), audit(&c, Millis(1), uuid::Uuid::nil()), oauth_attempt(&c, "h"), posts(&c, 7),
                ]
            };
            for (of_a, of_b) in keys(&a).into_iter().zip(keys(&b)) {
                let own = format!("C#{a}");
                let inside = of_a.pk == own || of_a.pk.starts_with(&format!("{own}#"));
                prop_assert!(inside);
                prop_assert_ne!(of_a, of_b);
            }
        }

        #[test]
        fn a_clean_up_reaches_everything_that_is_imported(name in "\\PC{1,30}", id in "[0-9a-zA-Z-]{1,40}", shard in 0..MIRROR_SHARDS, unique: u128) {
            let c: ContractId = "acme".parse().unwrap();
            for environment in Environment::ALL {
                let partitions = imported_partitions(&c, environment);
                let match_key = MatchKey::company(&name);
                let link = linked(&c, environment, &RecordRef::new(name.clone(), id.clone()));
                prop_assert!(partitions.contains(&link.pk) && link.sk.len() <= 1024);
                for kind in EntryKind::ALL {
                    let entry_id = EntryId(uuid::Uuid::from_u128(unique));
                    let (own, matched) = (entry(&c, kind, entry_id), entry_match(&c, environment, kind, entry_id));
                    // What people entered stays; and a match is in the shard of its entry.
                    prop_assert!(partitions.contains(&matched.pk) && !partitions.contains(&own.pk));
                    prop_assert!((0..DIRECTORY_SHARDS).any(|shard| own.pk == entry_partition(&c, kind, shard) && matched.pk == match_partition(&c, environment, kind, shard)));
                }
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

        #[test]
        fn different_names_have_different_keys(x in "\\PC{1,20}", y in "\\PC{1,20}") {
            let c: ContractId = "acme".parse().unwrap();
            prop_assert_eq!(x == y, mapping(&c, &x) == mapping(&c, &y));
            let record = |object: &str, id: &str| linked(&c, Environment::Production, &RecordRef::new(object, id));
            prop_assert_eq!(x == y, record(&x, "1") == record(&y, "1"));
            prop_assert_eq!(x == y, record(&x, &y) == record(&y, &x));
        }
    }
}
