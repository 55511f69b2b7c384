//! A person's data (OP-3): what tells that an item is about a person, the state of an erasure, its receipt, and
//! the tombstones that keep an erased person from being brought back.
//!
//! A person is named by e-mail addresses, phone numbers and profile addresses, and by a name. An address alone
//! proves a person. A phone number does with the name, where one is given: a switchboard has many people. A
//! name alone finds, but erases nothing: people have namesakes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use matching::Record;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::Millis;
use crate::directory::{EntryId, EntryKind, NewEntry, Origin, RecordRef};
use crate::environment::Environment;
use crate::ids::{self, ContractId, SeatId};
use crate::normalize;
use crate::problem::Problem;
use crate::signature::hmac_sha256;

/// Most values of each kind that name a person.
pub const MAX_VALUES: usize = 10;
/// Longest given value, in characters.
const MAX_VALUE: usize = 500;
/// Longest text whose words can be a name, in bytes.
const MAX_NAME_TEXT: usize = 100;
/// Longest text that is read as a phone number, in bytes.
const MAX_PHONE_TEXT: usize = 60;
/// Words of a name that a phone number's tombstone has: all of an erasure fit into one transaction.
const MAX_NAME_WORDS: usize = 6;
/// Maximum number of copies of the CRM's records that an erasure names at once: it is one item of the table.
pub const MAX_RECORDS: usize = 500;
/// Receipts of earlier runs that an erasure keeps.
const MAX_EARLIER: usize = 20;
/// Time from an erasure's start until no worker runs that did not see its tombstones, in seconds: the longest
/// life of a function. Then everything is looked through once more.
pub const SETTLE_SECONDS: i64 = 900;

/// The text that takes the place of a person's value in an item that stays.
pub const ERASED: &str = "[erased]";

/// Names and addresses of a person, as they were given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Given {
    /// E-mail addresses.
    pub emails: Vec<String>,
    /// Phone numbers.
    pub phones: Vec<String>,
    /// Addresses of profiles.
    pub profile_urls: Vec<String>,
    /// The full name.
    pub name: Option<String>,
}

/// Names and addresses of a person, in normal form.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Person {
    /// E-mail addresses in lowercase.
    pub emails: BTreeSet<String>,
    /// Phone numbers in E.164, without extensions.
    pub phones: BTreeSet<String>,
    /// Addresses of profiles, without scheme and query.
    pub profiles: BTreeSet<String>,
    /// The words of the name, folded.
    pub name: BTreeSet<String>,
}

/// The people that an item's texts name.
#[derive(Debug, Default)]
struct Facts {
    emails: BTreeSet<String>,
    phones: BTreeSet<String>,
    profiles: BTreeSet<String>,
    words: BTreeSet<String>,
}

fn email(token: &str) -> Option<String> {
    token
        .contains('@')
        .then(|| normalize::email(token))
        .flatten()
}

fn profile(token: &str) -> Option<String> {
    let is_address = token.contains('.') && token.contains('/') && !token.contains('@');
    let normal = is_address.then(|| normalize::url(token)).flatten()?;
    // A host alone is a website of many.
    normal.contains('/').then(|| normal.to_lowercase())
}

fn phone(text: &str, region: Option<&str>) -> Option<String> {
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let is_number = |c: char| !c.is_alphabetic() || matches!(c, 'e' | 'x' | 't');
    let fits =
        (7..=20).contains(&digits) && text.len() <= MAX_PHONE_TEXT && text.chars().all(is_number);
    let normal = fits.then(|| normalize::phone(text, region)).flatten()?;
    let number = normal.split(';').next()?;
    Some(number.to_owned())
}

fn words(text: &str) -> BTreeSet<String> {
    let folded = normalize::fold(text);
    folded.split_whitespace().map(str::to_owned).collect()
}

impl Facts {
    fn of<'v>(texts: impl Iterator<Item = &'v str>, region: Option<&str>) -> Self {
        let mut facts = Self::default();
        for text in texts {
            let is_end = |c: char| c.is_whitespace() || ",;<>()\"".contains(c);
            for token in text.split(is_end) {
                facts.emails.extend(email(token));
                facts.profiles.extend(profile(token));
            }
            facts.phones.extend(phone(text, region));
            if text.len() <= MAX_NAME_TEXT {
                facts.words.extend(words(text));
            }
        }
        facts
    }
}

fn refused(code: &str, field: &str, detail: impl Into<String>, next: &str) -> Problem {
    Problem::new(422, code, detail, next).with_field(field)
}

fn values(
    given: &[String],
    field: &str,
    normal: impl Fn(&str) -> Option<String>,
) -> Result<BTreeSet<String>, Problem> {
    let mut found = BTreeSet::new();
    for value in given
        .iter()
        .map(|value| value.trim())
        .filter(|value| !value.is_empty())
    {
        let fits = value.chars().count() <= MAX_VALUE;
        let Some(normal) = fits.then(|| normal(value)).flatten() else {
            let next = "Give e-mail addresses such as ada@example.com, phone numbers with their country code, and profile addresses with a path.";
            return Err(refused(
                "invalid_value",
                field,
                "A value is none of its kind.",
                next,
            ));
        };
        found.insert(normal);
    }
    if found.len() > MAX_VALUES {
        let detail = format!(
            "There are {} values; {MAX_VALUES} are the most.",
            found.len()
        );
        return Err(refused("too_many_values", field, detail, "Ask in parts."));
    }
    Ok(found)
}

impl Person {
    /// Checks what was given, and brings it into normal form. `region` (ISO 3166 alpha-2) is for phone numbers
    /// without a country code.
    ///
    /// # Errors
    /// Returns 422 `invalid_value`, `too_many_values` or `nothing_given`.
    pub fn new(given: &Given, region: Option<&str>) -> Result<Self, Problem> {
        let name = given.name.as_deref().unwrap_or_default();
        if name.chars().count() > MAX_VALUE {
            return Err(refused(
                "invalid_value",
                "name",
                "The name is too long.",
                "Shorten it.",
            ));
        }
        let person = Self {
            emails: values(&given.emails, "emails", email)?,
            phones: values(&given.phones, "phones", |text| phone(text, region))?,
            profiles: values(&given.profile_urls, "profile_urls", profile)?,
            name: words(name),
        };
        if person == Self::default() {
            return Err(refused(
                "nothing_given",
                "emails",
                "Nothing names a person.",
                "Give an e-mail address, a phone number, a profile address or a name.",
            ));
        }
        Ok(person)
    }

    /// True if it has more than a name: an address or a number.
    #[must_use]
    pub fn has_address(&self) -> bool {
        !(self.emails.is_empty() && self.phones.is_empty() && self.profiles.is_empty())
    }

    /// True if an item with these texts is about the person.
    #[must_use]
    pub fn is_in<'v>(&self, texts: impl Iterator<Item = &'v str>, region: Option<&str>) -> bool {
        let facts = Facts::of(texts, region);
        let named = || self.name.is_subset(&facts.words);
        if !self.has_address() {
            return !self.name.is_empty() && named();
        }
        !self.emails.is_disjoint(&facts.emails)
            || !self.profiles.is_disjoint(&facts.profiles)
            || (!self.phones.is_disjoint(&facts.phones) && named())
    }

    /// True if a text by itself names the person.
    #[must_use]
    pub fn is_named_by(&self, text: &str, region: Option<&str>) -> bool {
        let facts = Facts::of(std::iter::once(text), region);
        !self.emails.is_disjoint(&facts.emails)
            || !self.profiles.is_disjoint(&facts.profiles)
            || !self.phones.is_disjoint(&facts.phones)
            || (!self.name.is_empty() && facts.words == self.name)
    }

    /// The ids of the entries of the directory that the e-mail addresses identify, whether they are there or were
    /// deleted: activities, lists and the audit log go on naming them.
    #[must_use]
    pub fn entries(&self, contract: &ContractId) -> Vec<EntryId> {
        let identified = |address: &String| {
            let record = Record {
                emails: vec![address.clone()],
                ..Record::default()
            };
            let kind = EntryKind::Profile;
            let new = NewEntry::new(contract, kind, None, record, Origin::Api, None);
            new.ok().map(|new| new.id)
        };
        self.emails.iter().filter_map(identified).collect()
    }

    /// The tombstones of the person. No name is one by itself.
    #[must_use]
    pub fn tombstones(&self, key: &[u8]) -> Vec<Tombstone> {
        let mut all = Vec::new();
        let alone = |kind: &str, value: &str| Tombstone::new(key, &[kind, value], 0);
        all.extend(self.emails.iter().map(|value| alone("email", value)));
        all.extend(self.profiles.iter().map(|value| alone("profile", value)));
        // Two words of a name do: records lack middle names and have titles. The longest tell most.
        let needs = self.name.len().min(2);
        let mut words: Vec<&String> = self.name.iter().collect();
        words.sort_by_key(|word| std::cmp::Reverse(word.len()));
        words.truncate(MAX_NAME_WORDS);
        for phone in &self.phones {
            all.push(Tombstone::new(key, &["phone", phone], needs));
            let words = words.iter();
            all.extend(words.map(|word| Tombstone::new(key, &["name", phone, word], 0)));
        }
        all
    }

    /// The id of the contract's erasure of this person: asked for again, it is the same one.
    #[must_use]
    pub fn erasure_id(&self, contract: &ContractId, key: &[u8]) -> Uuid {
        let mut parts: Vec<&str> = Vec::new();
        for values in [&self.emails, &self.phones, &self.profiles, &self.name] {
            parts.push("|");
            parts.extend(values.iter().map(String::as_str));
        }
        ids::identity(contract, "erasure", &[&hash(key, &parts)])
    }
}

fn hash(key: &[u8], parts: &[&str]) -> String {
    let mut text = Vec::new();
    for part in parts {
        text.extend_from_slice(&(part.len() as u64).to_be_bytes());
        text.extend_from_slice(part.as_bytes());
    }
    hex::encode(hmac_sha256(key, &[&text]))
}

/// The keyed hash of a value of an erased person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// HMAC-SHA256 in hexadecimal digits.
    pub hash: String,
    /// Words of the name that an item must have beside this phone number; 0 for a value that proves the person.
    pub needs: usize,
}

impl Tombstone {
    fn new(key: &[u8], parts: &[&str], needs: usize) -> Self {
        Self {
            hash: hash(key, parts),
            needs,
        }
    }

    /// The tombstone of a CRM's record that a user said is the person.
    #[must_use]
    pub fn of_record(key: &[u8], environment: Environment, object: &str, id: &str) -> Self {
        Self::new(key, &["record", environment.as_str(), object, id], 0)
    }
}

/// The tombstones of a contract, with their key.
#[derive(Default)]
pub struct Tombstones {
    key: Vec<u8>,
    needs: HashMap<String, usize>,
}

impl Tombstones {
    /// The tombstones of a contract.
    #[must_use]
    pub fn new(key: &[u8], all: Vec<Tombstone>) -> Self {
        Self {
            key: key.to_vec(),
            needs: all
                .into_iter()
                .map(|tombstone| (tombstone.hash, tombstone.needs))
                .collect(),
        }
    }

    /// True if nobody was erased.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.needs.is_empty()
    }

    fn find(&self, parts: &[&str]) -> Option<usize> {
        self.needs.get(&hash(&self.key, parts)).copied()
    }

    /// True if an item with these texts is about a person who was erased.
    #[must_use]
    pub fn name<'v>(&self, texts: impl Iterator<Item = &'v str>, region: Option<&str>) -> bool {
        if self.is_empty() {
            return false;
        }
        let facts = Facts::of(texts, region);
        let is_erased = |kind: &str, values: &BTreeSet<String>| {
            values
                .iter()
                .any(|value| self.find(&[kind, value]).is_some())
        };
        is_erased("email", &facts.emails)
            || is_erased("profile", &facts.profiles)
            || facts.phones.iter().any(|phone| {
                self.find(&["phone", phone]).is_some_and(|needs| {
                    let words = facts.words.iter();
                    let named = words.filter(|word| self.find(&["name", phone, word]).is_some());
                    named.take(needs).count() == needs
                })
            })
    }

    /// True if a user said that a record of the CRM is a person who was erased.
    #[must_use]
    pub fn record(&self, environment: Environment, object: &str, id: &str) -> bool {
        let parts = ["record", environment.as_str(), object, id];
        !self.is_empty() && self.find(&parts).is_some()
    }
}

/// A place in the look-through of everything that can hold a person's data.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Position {
    /// The place: a kind of item, or a part of it.
    #[serde(default)]
    pub place: u32,
    /// The position within the place; `None` for its beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// The person's entries of the directory that were found so far: activities name these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<EntryId>,
    /// The copies of the CRM's records that were found so far: lists name these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<RecordRef>,
    /// True if an erasure has left copies of records to its next look-through, since it names as many as fit.
    #[serde(default)]
    pub more_records: bool,
    /// The seats that the contract has and had, while their items are looked through.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seats: Vec<SeatId>,
    /// True if the copies of the CRM's records are read one by one, because the keys do not find them.
    #[serde(default)]
    pub every_record: bool,
}

/// The state of an erasure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ErasureState {
    /// It deletes what it finds.
    Running,
    /// It has deleted what it found, and looks once more when no earlier work can be under way.
    Confirming,
    /// It has ended; the receipt says what was erased.
    Done,
}

/// The signed receipt of an erasure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema), schema(as = ErasureReceipt))]
pub struct Receipt {
    /// The erasure's id. It tells nothing of the person.
    pub erasure: Uuid,
    /// The contract.
    pub contract: String,
    /// The seat or API token that asked for it.
    pub asked_by: String,
    /// The time at which it was asked for.
    #[cfg_attr(feature = "http-api", schema(value_type = i64))]
    pub asked_at: Millis,
    /// The time of its end.
    #[cfg_attr(feature = "http-api", schema(value_type = i64))]
    pub finished_at: Millis,
    /// Items that were erased, by kind.
    pub erased: BTreeMap<String, u64>,
    /// Keyed hashes that stay, so that the person is not brought back.
    pub tombstones: u64,
    /// HMAC-SHA256 of the other fields by the contract's key, in hexadecimal digits.
    pub signature: String,
}

impl Receipt {
    fn digest(&self, key: &[u8]) -> String {
        let erased: Vec<String> = self
            .erased
            .iter()
            .map(|(kind, count)| format!("{kind}={count}"))
            .collect();
        let parts = [
            "receipt",
            &self.erasure.to_string(),
            &self.contract,
            &self.asked_by,
            &self.asked_at.0.to_string(),
            &self.finished_at.0.to_string(),
            &erased.join(","),
            &self.tombstones.to_string(),
        ];
        hash(key, &parts)
    }

    /// The receipt with its signature.
    #[must_use]
    pub fn signed(mut self, key: &[u8]) -> Self {
        self.signature = self.digest(key);
        self
    }

    /// True if the signature is that of this receipt.
    #[must_use]
    pub fn is_genuine(&self, key: &[u8]) -> bool {
        crate::signature::secrets_equal(&self.signature, &self.digest(key))
    }
}

/// The erasure of a person's data. While it runs it has what names the person, sealed; then nothing of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasure {
    /// Its id.
    pub id: Uuid,
    /// The contract.
    pub contract: ContractId,
    /// The seat or API token that asked for it.
    pub asked_by: String,
    /// The time at which it was asked for.
    pub asked_at: Millis,
    /// The person's names and addresses, sealed by the vault; `None` at the end.
    #[serde(default)]
    pub sealed: Option<String>,
    /// Its state.
    pub state: ErasureState,
    /// The place that it has come to.
    #[serde(default)]
    pub position: Position,
    /// Items that it has erased, by kind.
    #[serde(default)]
    pub erased: BTreeMap<String, u64>,
    /// Tombstones that it has left.
    #[serde(default)]
    pub tombstones: u64,
    /// The time from which on a worker may take it: the end of a worker's lease, or of a wait.
    pub due_at: Millis,
    /// Counts its writes; 1 is the first.
    pub version: u64,
    /// The receipt; `None` before its end.
    #[serde(default)]
    pub receipt: Option<Receipt>,
    /// Receipts of its earlier runs, the latest last.
    #[serde(default)]
    pub earlier: Vec<Receipt>,
}

impl Erasure {
    /// The erasure that somebody asked for, or its next run.
    #[must_use]
    pub fn asked(
        before: Option<&Self>,
        contract: &ContractId,
        id: Uuid,
        by: &str,
        sealed: String,
        now: Millis,
    ) -> Self {
        let mut earlier = before.map_or_else(Vec::new, |before| before.earlier.clone());
        earlier.extend(before.and_then(|before| before.receipt.clone()));
        let more = earlier.len().saturating_sub(MAX_EARLIER);
        earlier.drain(..more);
        Self {
            id,
            contract: contract.clone(),
            asked_by: by.to_owned(),
            asked_at: now,
            sealed: Some(sealed),
            state: ErasureState::Running,
            position: Position::default(),
            erased: BTreeMap::new(),
            tombstones: 0,
            due_at: now,
            version: before.map_or(1, |before| before.version + 1),
            receipt: None,
            earlier,
        }
    }

    /// True if it has not ended.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        !matches!(self.state, ErasureState::Done)
    }

    /// Counts erased items.
    pub fn count(&mut self, kind: &str, items: u64) {
        if items > 0 {
            *self.erased.entry(kind.to_owned()).or_default() += items;
        }
    }
}

/// The problem of adding a person whose data was erased.
#[must_use]
pub fn erased_person() -> Problem {
    Problem::new(
        409,
        "person_erased",
        "This person's data was erased; files, imports and programs do not bring it back.",
        "Leave the person out. What they send by a form themselves is taken.",
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn given(emails: &[&str], phones: &[&str], urls: &[&str], name: &str) -> Person {
        let list = |of: &[&str]| of.iter().map(|text| (*text).to_owned()).collect();
        let given = Given {
            emails: list(emails),
            phones: list(phones),
            profile_urls: list(urls),
            name: Some(name.to_owned()),
        };
        Person::new(&given, Some("DE")).unwrap()
    }

    fn is_in(person: &Person, texts: &[&str]) -> bool {
        person.is_in(texts.iter().copied(), Some("DE"))
    }

    #[test]
    fn an_address_proves_a_person_and_a_number_does_with_the_name() {
        let ada = given(
            &["Ada@Example.com"],
            &["+49 30 123456"],
            &["https://www.linkedin.com/in/ada/"],
            "Ada Byron",
        );
        assert!(is_in(&ada, &["write to ADA@example.com, please"]));
        assert!(is_in(&ada, &["http://linkedin.com/in/Ada"]));
        assert!(is_in(&ada, &["030 123456", "Byron", "Ada"]));
        assert!(!is_in(&ada, &["030 123456", "Bea"]), "a colleague");
        assert!(!is_in(&ada, &["Ada Byron"]), "a namesake");
        assert!(!is_in(
            &ada,
            &["ada@example.com.au", "https://linkedin.com/in/adam"]
        ));
        let named = given(&[], &[], &[], "Ada Byron");
        assert!(is_in(&named, &["Byron", "Ada"]) && !is_in(&named, &["Ada"]));
        assert!(!named.has_address());
        assert_eq!(
            Person::new(&Given::default(), None).unwrap_err().code,
            "nothing_given"
        );
    }

    proptest! {
        #[test]
        fn tombstones_know_whom_they_are_of_and_nobody_else(name in "[a-z]{2,8} [a-z]{2,8}", local in "[a-z]{3,9}") {
            let email = format!("{local}@example.com");
            let phone = "+4930123456";
            let person = given(&[&email], &[phone], &[], &name);
            let stones = Tombstones::new(b"key", person.tombstones(b"key"));
            let upper = email.to_uppercase();
            prop_assert!(stones.name([upper.as_str()].into_iter(), None));
            prop_assert!(stones.name([phone, name.as_str()].into_iter(), None));
            prop_assert!(!stones.name([phone, "Zoe0 Quux0"].into_iter(), None));
            prop_assert!(!stones.name([name.as_str(), "x@other.example"].into_iter(), None));
            let other = Tombstones::new(b"other", person.tombstones(b"key"));
            prop_assert!(!other.name([email.as_str()].into_iter(), None));
        }
    }

    #[test]
    fn a_receipt_is_genuine_as_it_was_signed() {
        let receipt = Receipt {
            erasure: Uuid::nil(),
            contract: "acme".to_owned(),
            asked_by: "t".to_owned(),
            asked_at: Millis(1),
            finished_at: Millis(2),
            erased: BTreeMap::from([("profiles".to_owned(), 1)]),
            tombstones: 3,
            signature: String::new(),
        }
        .signed(b"key");
        assert!(receipt.is_genuine(b"key") && !receipt.is_genuine(b"other"));
        let more = Receipt {
            tombstones: 4,
            ..receipt
        };
        assert!(!more.is_genuine(b"key"));
    }
}
