//! The export of a whole contract, page by page, straight from the table.

use std::collections::{BTreeSet, VecDeque};

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::Value;

use super::{Item, Store, StoreError, all_pages, keys, page_of, schema, size_of_item, text};
use domain::connection_kind::ConnectionKind;
use domain::directory::EntryKind;
use domain::environment::Environment;
use domain::ids::{ContractId, SeatId};

/// The partitions whose items are exported, in order, by what follows the contract in their keys; the empty
/// one is the configuration.
const EXPORTED: &[&str] = &[
    "",
    "SEAT",
    "CONNECTION",
    "CRM",
    "RUN",
    "ERASURE",
    "AUDIT",
    "DISCOVERED",
    "RATES",
    "SCHEMA",
    "MODEL",
    "DIRECTORY",
    "MATCH",
    "LINKED",
    "MIRROR",
    "SAVED",
    "CHAMPION",
    "ROI",
    "IMPORTED",
    "SUBMISSION",
    "ACTIVITY",
    "LISTS",
    "ARCHIVE",
    "THREADLOG",
    "USERWRITES",
];

/// Those of them with a partition for each seat, in the order in which those of a seat are exported.
const OF_SEATS: &[&str] = &["ACTIVITY", "LISTS", "ARCHIVE", "THREADLOG", "USERWRITES"];

/// The partitions that are left out, with the reason.
#[cfg(test)]
const LEFT_OUT: &[(&str, &str)] = &[
    ("TOKEN", "secret: hashes of API tokens"),
    ("SESSIONKEY", "secret: the key that signs sessions"),
    ("OAUTH", "secret: sign-ins under way"),
    ("ERASED", "secret: hashes of erased people, and their key"),
    ("SEATEMAIL", "a seat's address is in the seat"),
    ("SEATUSER", "a seat's chosen user is in the seat"),
    ("IDENTITY", "a seat's identity is in the seat"),
    ("CLAIM", "a hash of values that are in the submission"),
    ("LEAD", "the lead and its points are in the submission"),
    ("MATCHKEY", "computed from the mirrored records"),
    ("OUTDATED", "the findings are in the match"),
    ("SEEN", "work in progress of an import"),
    ("LINKDRAFT", "work in progress of a link pass"),
    ("LINKEDINFORM", "a copy of LinkedIn's form"),
    ("CURSOR", "the place where the next pull begins"),
    ("POSTS", "counts of a minute"),
    ("THREAD", "the order of activities that are exported"),
    ("TOUCHED", "work in progress of a save pass"),
    ("REACH", "acts that are in activities and lists"),
];

/// Calls for one page: partitions are often empty.
const CALLS: usize = 60;
/// Bytes after which a page ends. With one more answer of the table a page is smaller than an answer of a
/// function may be.
const BYTES: usize = 1 << 20;
/// Longest sort key that the table takes, in bytes.
const SORT_KEY: usize = 1024;
/// Submissions listed in one call.
const LISTED: i32 = 100;
/// Submissions read in one call: five of the largest size fit into an answer beside what a page has, also in
/// base64, as which a function gives it.
const READ_AT_ONCE: usize = 5;
/// Seats read in one call.
const SEATS_AT_ONCE: usize = 100;

/// An item of an export.
#[derive(Debug, Clone, PartialEq)]
pub struct ExportedItem {
    /// Its kind.
    pub kind: String,
    /// Its content, without keys of the table and without secrets.
    pub item: Value,
}

/// A page of an export.
#[derive(Debug, Default)]
pub struct ExportPage {
    /// Its items.
    pub items: Vec<ExportedItem>,
    /// The start of the next page; `None` after the last.
    pub next: Option<String>,
    bytes: usize,
    /// The seats that the contract has, once they were read.
    seats: Option<BTreeSet<SeatId>>,
    /// What a call found of the audit log and is not exported yet.
    removed: Option<Removed>,
}

/// The seats that were removed, by a part of the audit log.
#[derive(Debug, Default)]
struct Removed {
    /// Each with the sort key of its audit entry.
    seats: VecDeque<(String, SeatId)>,
    /// The sort key behind which the log goes on; `None` at its end.
    next: Option<String>,
}

/// The source of items of one section of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Section {
    /// A partition.
    Partition(String),
    /// The seats, by their list.
    Seats,
    /// The submissions, by their list.
    Submissions,
    /// The partitions of each seat that the contract has. A place is `{seat}|{segment}|{sort key}`.
    OfSeats,
    /// The partitions of each seat that was removed, on a walk through the audit log: an export reads it once,
    /// however many pages it has. A place is `{sort key of the audit entry}|{seat}|{segment}|{sort key}`.
    OfRemovedSeats,
}

impl Section {
    /// The name in a cursor.
    fn name(&self, contract: &ContractId) -> String {
        match self {
            Self::Partition(pk) => {
                let begin = keys::partitions_of(contract);
                pk.strip_prefix(&begin).unwrap_or_default().to_owned()
            }
            Self::Seats => "SEATS".to_owned(),
            Self::Submissions => "SUBMISSIONS".to_owned(),
            Self::OfSeats => "OFSEATS".to_owned(),
            Self::OfRemovedSeats => "OFREMOVEDSEATS".to_owned(),
        }
    }

    /// True if a place can be one of the section.
    fn takes(&self, place: &str) -> bool {
        let parts = match self {
            Self::OfSeats => 3,
            Self::OfRemovedSeats => 4,
            Self::Partition(_) | Self::Seats | Self::Submissions => 1,
        };
        place.splitn(parts, '|').all(|part| part.len() <= SORT_KEY)
    }
}

fn sections(contract: &ContractId) -> Vec<Section> {
    let kinds = [
        ConnectionKind::Crm(Environment::Production),
        ConnectionKind::Crm(Environment::Sandbox),
        ConnectionKind::LinkedIn,
    ];
    let mut partitions = vec![
        keys::config_partition(contract),
        keys::user_connections(contract, Environment::Production).0,
        keys::other_runs(contract),
        keys::erasures(contract),
        keys::audit_partition(contract),
        keys::discovered_partition(contract),
        keys::rates_before(contract, None).0,
    ];
    partitions.extend(kinds.map(|kind| keys::connection(contract, kind).pk));
    for kind in EntryKind::ALL {
        let shards = 0..keys::DIRECTORY_SHARDS;
        partitions.extend(shards.map(|shard| keys::entry_partition(contract, kind, shard)));
    }
    for environment in Environment::ALL {
        partitions.push(keys::guide(contract, environment).pk);
        partitions.extend(keys::imported_partitions(contract, environment));
    }
    let mut sections = Vec::new();
    for segment in EXPORTED {
        match *segment {
            "SEAT" => sections.push(Section::Seats),
            "SUBMISSION" => sections.push(Section::Submissions),
            // They come last, seat by seat.
            segment if OF_SEATS.contains(&segment) => {}
            segment => {
                let of = |pk: &&String| keys::segment(pk) == Some(segment);
                let own = partitions.iter().filter(of).cloned();
                sections.extend(own.map(Section::Partition));
            }
        }
    }
    sections.extend([Section::OfSeats, Section::OfRemovedSeats]);
    sections
}

impl Store {
    /// A page of the export of a contract. `cursor` is the `next` of the page before. Returns `None` if the
    /// cursor is none of this contract's export.
    ///
    /// Partitions are read as they are at the moment of the call; each item is in one page, as it was then.
    pub async fn export_page(
        &self,
        contract: &ContractId,
        cursor: Option<&str>,
    ) -> Result<Option<ExportPage>, StoreError> {
        let sections = sections(contract);
        let (mut at, mut place) = match cursor {
            None => (0, String::new()),
            Some(cursor) => {
                let parts = cursor.split_once('|');
                let Some((name, place)) = parts else {
                    return Ok(None);
                };
                let mut all = sections.iter();
                let is_it =
                    |section: &Section| section.name(contract) == name && section.takes(place);
                match all.position(is_it) {
                    Some(at) => (at, place.to_owned()),
                    None => return Ok(None),
                }
            }
        };
        let mut page = ExportPage::default();
        for _ in 0..CALLS {
            let Some(section) = sections.get(at) else {
                return Ok(Some(page));
            };
            let part = self.export_part(contract, section, &place, &mut page);
            if let Some(next) = part.await? {
                place = next;
            } else {
                (at, place) = (at + 1, String::new());
            }
            if page.bytes >= BYTES {
                break;
            }
        }
        page.next = sections
            .get(at)
            .map(|section| format!("{}|{place}", section.name(contract)));
        Ok(Some(page))
    }

    /// Adds items of a section from a place on; returns the place where it continues.
    async fn export_part(
        &self,
        contract: &ContractId,
        section: &Section,
        place: &str,
        page: &mut ExportPage,
    ) -> Result<Option<String>, StoreError> {
        match section {
            Section::Partition(pk) => self.export_partition(pk, place, page).await,
            Section::Seats => self.export_seats(contract, place, page).await,
            Section::Submissions => self.export_submissions(contract, place, page).await,
            Section::OfSeats => self.export_of_seats(contract, place, page).await,
            Section::OfRemovedSeats => self.export_of_removed(contract, place, page).await,
        }
    }

    async fn export_of_seats(
        &self,
        contract: &ContractId,
        place: &str,
        page: &mut ExportPage,
    ) -> Result<Option<String>, StoreError> {
        if page.seats.is_none() {
            page.seats = Some(self.listed_seats(contract).await?);
        }
        let (of, rest) = place.split_once('|').unwrap_or((place, ""));
        let (seat, next) = {
            let seats = page.seats.iter().flatten().copied();
            let mut left = seats.skip_while(|seat| seat.to_string().as_str() < of);
            (left.next(), left.next())
        };
        let Some(seat) = seat else {
            return Ok(None);
        };
        // The place may be in a seat that was removed meanwhile.
        let rest = if seat.to_string() == of { rest } else { "" };
        let more = self.export_of_seat(contract, seat, rest, page).await?;
        let here = more.map(|more| format!("{seat}|{more}"));
        Ok(here.or_else(|| next.map(|next| format!("{next}|"))))
    }

    async fn export_of_removed(
        &self,
        contract: &ContractId,
        place: &str,
        page: &mut ExportPage,
    ) -> Result<Option<String>, StoreError> {
        let (entry, rest) = place.split_once('|').unwrap_or((place, ""));
        let (seat, rest) = rest.split_once('|').unwrap_or((rest, ""));
        if let Ok(seat) = seat.parse::<SeatId>()
            && let Some(more) = self.export_of_seat(contract, seat, rest, page).await?
        {
            return Ok(Some(format!("{entry}|{seat}|{more}")));
        }
        let mut removed = match page.removed.take() {
            Some(removed) => removed,
            None => self.removed_seats(contract, entry).await?,
        };
        let Some((entry, seat)) = removed.seats.pop_front() else {
            return Ok(removed.next.map(|next| format!("{next}||")));
        };
        page.removed = Some(removed);
        Ok(Some(format!("{entry}|{seat}|")))
    }

    /// Adds items of a seat's partitions from a place on, `{segment}|{sort key}`; returns the place where it
    /// continues.
    async fn export_of_seat(
        &self,
        contract: &ContractId,
        seat: SeatId,
        place: &str,
        page: &mut ExportPage,
    ) -> Result<Option<String>, StoreError> {
        let (of, sort_key) = place.split_once('|').unwrap_or((place, ""));
        let (segment, next) = {
            let segments = OF_SEATS.iter().copied();
            let mut left = segments.skip_while(|segment| !of.is_empty() && *segment != of);
            (left.next(), left.next())
        };
        let Some(segment) = segment else {
            return Ok(None);
        };
        let partition = keys::of_seat(contract, segment, seat);
        let more = self.export_partition(&partition, sort_key, page).await?;
        let here = more.map(|more| format!("{segment}|{more}"));
        Ok(here.or_else(|| next.map(|next| format!("{next}|"))))
    }

    /// The seats that were removed, by a part of the audit log behind an entry, or from its beginning. One call.
    async fn removed_seats(
        &self,
        contract: &ContractId,
        after: &str,
    ) -> Result<Removed, StoreError> {
        let start = (!after.is_empty()).then(|| {
            let (pk, sk) = (keys::audit_partition(contract), after.to_owned());
            keys::Key { pk, sk }.attributes()
        });
        let string = |item: &Item, name: &str| item.get(name)?.as_s().ok().cloned();
        let page = page_of(&self.removals(contract), start).await?;
        let found = page.items.iter().filter_map(|item| {
            let seat = string(item, "target")?.parse().ok()?;
            Some((string(item, "SK")?, seat))
        });
        Ok(Removed {
            seats: found.collect(),
            next: page.next.as_ref().and_then(|next| string(next, "SK")),
        })
    }

    /// The query of the audit entries of seats that were removed.
    fn removals(&self, contract: &ContractId) -> QueryFluentBuilder {
        self.query_partition(keys::audit_partition(contract))
            .filter_expression("#action = :delete")
            .expression_attribute_names("#action", "action")
            .expression_attribute_values(":delete", text("seat.delete"))
    }

    /// The seats that a contract has.
    async fn listed_seats(&self, contract: &ContractId) -> Result<BTreeSet<SeatId>, StoreError> {
        let listed = self.query_index(&keys::LISTS, keys::seats_index(contract));
        let listed = all_pages(&listed).await?;
        let partition = |item: &Item| keys::seat_of(item.get("PK")?.as_s().ok()?);
        Ok(listed.iter().filter_map(partition).collect())
    }

    async fn export_partition(
        &self,
        pk: &str,
        place: &str,
        page: &mut ExportPage,
    ) -> Result<Option<String>, StoreError> {
        let start = (!place.is_empty()).then(|| {
            let (pk, sk) = (pk.to_owned(), place.to_owned());
            keys::Key { pk, sk }.attributes()
        });
        let found = page_of(&self.query_partition(pk), start).await?;
        page.add(found.items)?;
        let next = found.next.as_ref().and_then(|next| next.get("SK"));
        Ok(next.and_then(|sk| sk.as_s().ok().cloned()))
    }

    /// Adds seats in the order of their ids: the list is by e-mail address, and a place is part of an address
    /// of the API.
    async fn export_seats(
        &self,
        contract: &ContractId,
        place: &str,
        page: &mut ExportPage,
    ) -> Result<Option<String>, StoreError> {
        let after: Option<SeatId> = place.parse().ok();
        let listed = self.listed_seats(contract).await?.into_iter();
        let rest: Vec<SeatId> = listed
            .filter(|id| after.is_none_or(|after| *id > after))
            .collect();
        for chunk in rest.chunks(SEATS_AT_ONCE) {
            let seats = chunk
                .iter()
                .map(|id| keys::seat(contract, *id).attributes());
            page.add(self.read_in_order(seats.collect()).await?)?;
            if page.bytes >= BYTES {
                return Ok(chunk.last().map(ToString::to_string));
            }
        }
        Ok(None)
    }

    async fn export_submissions(
        &self,
        contract: &ContractId,
        place: &str,
        page: &mut ExportPage,
    ) -> Result<Option<String>, StoreError> {
        let partition = keys::submissions_index(contract);
        // The start is rebuilt inside the contract, so that a cursor cannot lead elsewhere.
        let start = place.split_once('#').and_then(|(_, id)| {
            let key = keys::submission(contract, id.parse().ok()?);
            Some(keys::LISTS.start(&key, &partition, place))
        });
        let query = self.query_index(&keys::LISTS, &partition).limit(LISTED);
        let listed = page_of(&query, start).await?;
        for chunk in listed.items.chunks(READ_AT_ONCE) {
            page.add(self.read_in_order(keys::of_items(chunk)).await?)?;
            if page.bytes >= BYTES {
                let last = chunk.last();
                return Ok(last.and_then(|item| keys::sort_key_of(item, &keys::LISTS)));
            }
        }
        let next = listed.next.as_ref();
        Ok(next.and_then(|item| keys::sort_key_of(item, &keys::LISTS)))
    }

    /// The seats that a contract has and those that it had, by the audit log.
    pub(super) async fn all_seats_ever(
        &self,
        contract: &ContractId,
    ) -> Result<BTreeSet<SeatId>, StoreError> {
        let mut seats = self.listed_seats(contract).await?;
        let removed = all_pages(&self.removals(contract)).await?;
        let target =
            |item: &Item| -> Option<SeatId> { item.get("target")?.as_s().ok()?.parse().ok() };
        seats.extend(removed.iter().filter_map(target));
        Ok(seats)
    }
}

impl ExportPage {
    fn add(&mut self, items: Vec<Item>) -> Result<(), StoreError> {
        for item in items {
            self.bytes += size_of_item(&item);
            self.items.push(exported(item)?);
        }
        Ok(())
    }
}

/// An item without keys of the table and without secrets.
fn exported(mut item: Item) -> Result<ExportedItem, StoreError> {
    let string = |name: &str| item.get(name).and_then(|value| value.as_s().ok());
    let partition = string("PK").and_then(|pk| keys::segment(pk));
    let kind = string("entity_type").map(String::as_str).or(partition);
    let kind = kind.unwrap_or_default().to_lowercase();
    // Some items have nothing of their own but a key: the id of a mirrored record, or a link's record.
    let key = string("SK").cloned().unwrap_or_default();
    let (pk, sk) = schema::TABLE_KEYS;
    let indexed = schema::INDEXES
        .iter()
        .flat_map(|index| [index.partition, index.sort]);
    let own = [pk, sk, "entity_type", "search", "checkpoint"];
    for name in own.into_iter().chain(indexed) {
        item.remove(name);
    }
    // Bytes are hashes of ours.
    item.retain(|_, value| !matches!(value, AttributeValue::B(_)));
    let mut value: Value =
        serde_dynamo::from_item(item).map_err(|_| StoreError::corrupt("exported item"))?;
    without_secrets(&mut value);
    if let Some(fields) = value.as_object_mut() {
        fields.insert("key".to_owned(), Value::String(key));
    }
    Ok(ExportedItem { kind, item: value })
}

/// Removes sealed secrets and hashes of secrets, at any depth: every such attribute is named `sealed…` or
/// `…secret_hash`.
fn without_secrets(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !name.starts_with("sealed") && !name.ends_with("secret_hash"));
            fields.values_mut().for_each(without_secrets);
        }
        Value::Array(values) => values.iter_mut().for_each(without_secrets),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_partition_is_exported_or_left_out_for_a_reason() {
        let left_out = LEFT_OUT.iter().map(|(name, _)| *name);
        let mut said: Vec<&str> = EXPORTED.iter().copied().chain(left_out).collect();
        said.sort_unstable();
        let all: Vec<&str> = keys::PARTITIONS.iter().map(|(name, _)| *name).collect();
        assert_eq!(said, all);
        let contract: ContractId = "acme".parse().unwrap();
        let sections = sections(&contract);
        for segment in EXPORTED {
            let has = |section: &Section| match section {
                Section::Partition(pk) => keys::segment(pk) == Some(segment),
                Section::Seats => *segment == "SEAT",
                Section::Submissions => *segment == "SUBMISSION",
                Section::OfSeats | Section::OfRemovedSeats => OF_SEATS.contains(segment),
            };
            assert!(sections.iter().any(has), "{segment}");
        }
        let names: BTreeSet<String> = sections
            .iter()
            .map(|section| section.name(&contract))
            .collect();
        assert_eq!(names.len(), sections.len(), "a cursor names one section");
    }

    #[test]
    fn secrets_are_left_out_at_any_depth() {
        let mut value = json!({
            "name": "Ada", "sealed_tokens": "x", "sealed": "x", "sealed_previous_secret": "x",
            "invitations": [{"secret_hash": "x", "until": 7}],
        });
        without_secrets(&mut value);
        assert_eq!(value, json!({"name": "Ada", "invitations": [{"until": 7}]}));
    }
}
