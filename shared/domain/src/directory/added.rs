//! Additions to the directory: checks, the identity of a new entry, and merging with the stored entry.

use matching::Record;
use matching::tables::free_mail;

use super::{Decision, Entry, EntryId, EntryKind, Origin, ValidatedField};
use crate::clock::Millis;
use crate::ids::{self, ContractId, SubmissionId};
use crate::normalize::email::{self, NoEmail};
use crate::normalize::invisible::{Form, clean, plain_digits};
use crate::normalize::phone::{self, NoPhone};
use crate::normalize::{self, stop_gap};
use crate::problem::Problem;

/// Longest text of a field, in characters. A website may have [`MAX_WEBSITE`].
pub const MAX_TEXT: usize = 200;
/// Longest website, in characters.
const MAX_WEBSITE: usize = 500;
/// Longest external id, in characters.
pub const MAX_EXTERNAL_ID: usize = 200;
/// Most e-mail addresses of an entry, and most phone numbers.
pub const MAX_CONTACTS: usize = 20;
/// Longest phone number, in characters: with extension and separators.
const MAX_PHONE: usize = 60;
/// Most origins that are kept of an entry.
pub const MAX_ORIGINS: usize = 50;

/// Time after which a value that is given again as it is counts as given anew, in seconds: once a day at most,
/// so that a program that sends everybody each hour makes no writes of it.
const RESTATED_AFTER: i64 = 24 * 3600;

/// Websites on which any company can have a page, so the domain does not identify a company.
const SHARED_DOMAINS: &[&str] = &[
    "behance.net",
    "bit.ly",
    "blogspot.com",
    "business.site",
    "etsy.com",
    "facebook.com",
    "fb.com",
    "github.com",
    "github.io",
    "godaddysites.com",
    "google.com",
    "instagram.com",
    "linkedin.com",
    "linktr.ee",
    "medium.com",
    "myshopify.com",
    "pinterest.com",
    "squarespace.com",
    "t.me",
    "tiktok.com",
    "tumblr.com",
    "twitter.com",
    "vimeo.com",
    "webflow.io",
    "weebly.com",
    "wixsite.com",
    "wordpress.com",
    "x.com",
    "xing.com",
    "yelp.com",
    "youtube.com",
];

/// A person or company to be added to the directory, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    /// The kind of entry.
    pub kind: EntryKind,
    /// The id, derived from the external id or else from the identifying values.
    pub id: EntryId,
    /// The id of the person or company in the contract's own system.
    pub external_id: Option<String>,
    /// The values, trimmed and within the limits.
    pub record: Record,
    /// The source of this addition.
    pub origin: Origin,
}

/// The effect on an entry of withdrawing a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Withdrawal {
    /// The entry did not come from that submission.
    Untouched,
    /// The entry came from nothing else and is removed.
    Remove,
    /// The entry came from elsewhere too and stays, without that origin.
    Keep(Box<Entry>),
}

impl NewEntry {
    /// Checks the values and derives the identity, which is the external id if there is one. Otherwise:
    ///
    /// - for a person, the first e-mail address that is not of a role such as `info@`, else the first phone
    ///   number with the full name, else the full name with the company;
    /// - for a company, the registered domain of its website, or of an e-mail address of its own, else the
    ///   name without its legal form, with the country.
    ///
    /// `region` (ISO 3166 alpha-2) is the default region for phone numbers without a country code.
    ///
    /// # Errors
    /// Returns a 422 problem: `nothing_given`, `no_identity`, `text_too_long`, `too_many_values`,
    /// `invalid_email`, `invalid_phone`, `not_of_a_company`, each with the field.
    pub fn new(
        contract: &ContractId,
        kind: EntryKind,
        external_id: Option<&str>,
        mut record: Record,
        origin: Origin,
        region: Option<&str>,
    ) -> Result<Self, Problem> {
        check_texts(&mut record)?;
        record.emails = checked(&record.emails, "emails", email)?;
        record.phones = checked(&record.phones, "phones", phone)?;
        let company_name = match kind {
            EntryKind::Profile => &mut record.company,
            EntryKind::Company => &mut record.name,
        };
        // "Self-employed" and "n/a" name no company, and people who give them have nothing in common.
        if stop_gap::of_company(company_name).is_some() {
            company_name.clear();
        }
        if kind == EntryKind::Company {
            refuse_personal(&record)?;
        }
        let external_id = external_id.map(tidy).filter(|id| !id.is_empty());
        if external_id
            .as_ref()
            .is_some_and(|id| id.chars().count() > MAX_EXTERNAL_ID)
        {
            return Err(too_long("external_id", MAX_EXTERNAL_ID));
        }
        if record == Record::default() {
            return Err(Problem::new(
                422,
                "nothing_given",
                format!("Nothing is said of this {kind}."),
                "Give at least a name.",
            ));
        }
        let parts = match (&external_id, kind) {
            (Some(external), _) => {
                Some(["external id".to_owned(), external.clone(), String::new()])
            }
            (None, EntryKind::Profile) => person(&record, region),
            (None, EntryKind::Company) => company(&record),
        };
        let parts = parts.ok_or_else(|| no_identity(kind))?;
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let id = EntryId(ids::identity(contract, &format!("entry/{kind}"), &parts));
        Ok(Self {
            kind,
            id,
            external_id,
            record,
            origin,
        })
    }
}

impl Entry {
    /// The entry of a person or company that is added for the first time.
    #[must_use]
    pub fn added(new: &NewEntry, now: Millis) -> Self {
        Self {
            kind: new.kind,
            id: new.id,
            external_id: new.external_id.clone(),
            record: new.record.clone(),
            origins: vec![new.origin],
            created_at: now,
            updated_at: now,
            company_at: given_at(&new.record.company, now),
            title_at: given_at(&new.record.title, now),
            decision: Decision::None,
            refused: Vec::new(),
            version: 1,
        }
    }

    /// Returns the entry after the same person or company was added again, or `None` if nothing changes.
    /// Given values replace the stored ones, and values that are not given stay. E-mail addresses and phone
    /// numbers are added to the stored ones. A validated value that is given again as it is gets a new time,
    /// at most once a day.
    #[must_use]
    pub fn merged(&self, new: &NewEntry, now: Millis) -> Option<Self> {
        let mut entry = self.clone();
        let mut given = new.record.clone();
        for ((_, old, _), (_, text, _)) in
            texts(&mut entry.record).into_iter().zip(texts(&mut given))
        {
            if !text.is_empty() {
                std::mem::swap(old, text);
            }
        }
        entry.record.emails = united(&self.record.emails, &new.record.emails, email_key);
        entry.record.phones = united(&self.record.phones, &new.record.phones, phone_key);
        if new.external_id.is_some() {
            entry.external_id.clone_from(&new.external_id);
        }
        if entry.record != self.record || entry.external_id != self.external_id {
            entry.updated_at = now;
        }
        if !entry.origins.contains(&new.origin) {
            entry.origins.push(new.origin);
            if entry.origins.len() > MAX_ORIGINS {
                // The oldest submission is dropped: submissions are the only origins that can be many.
                let oldest = entry
                    .origins
                    .iter()
                    .position(|origin| matches!(origin, Origin::Submission(_)));
                entry.origins.remove(oldest.unwrap_or(0));
            }
        }
        if entry == *self && !self.is_restated_by(new, now) {
            return None;
        }
        // A value that stays keeps its time, or has none still: another change of the entry makes it no newer.
        entry.company_at = given_at(&new.record.company, now).or(self.company_at);
        entry.title_at = given_at(&new.record.title, now).or(self.title_at);
        entry.version += 1;
        Some(entry)
    }

    /// True if an addition gives a validated value whose time is unknown or a day old. A response that comes
    /// again restates nothing: it was given once.
    fn is_restated_by(&self, new: &NewEntry, now: Millis) -> bool {
        let comes_again =
            matches!(new.origin, Origin::Submission(_)) && self.origins.contains(&new.origin);
        let is_old = |field: ValidatedField| {
            let given = self.given_at(field);
            !field.of(&new.record).is_empty()
                && given.is_none_or(|given| given.plus_seconds(RESTATED_AFTER) <= now)
        };
        self.kind == EntryKind::Profile
            && !comes_again
            && ValidatedField::ALL.into_iter().any(is_old)
    }

    /// The effect on this entry of withdrawing a submission at its source. If the entry has other origins,
    /// its values stay, since the submission's values cannot be told apart from those of the other origins.
    #[must_use]
    pub fn withdrawn(&self, submission: SubmissionId) -> Withdrawal {
        let mut entry = self.clone();
        entry
            .origins
            .retain(|origin| *origin != Origin::Submission(submission));
        if entry.origins.len() == self.origins.len() {
            return Withdrawal::Untouched;
        }
        if entry.origins.is_empty() {
            return Withdrawal::Remove;
        }
        entry.version += 1;
        Withdrawal::Keep(Box::new(entry))
    }
}

/// Time of a value that was given; `None` for one that was not.
fn given_at(text: &str, now: Millis) -> Option<Millis> {
    (!text.is_empty()).then_some(now)
}

/// The single values of a record, with their names and maximum lengths in characters.
fn texts(record: &mut Record) -> [(&'static str, &mut String, usize); 11] {
    [
        ("first_name", &mut record.first_name, MAX_TEXT),
        ("last_name", &mut record.last_name, MAX_TEXT),
        ("name", &mut record.name, MAX_TEXT),
        ("title", &mut record.title, MAX_TEXT),
        ("company", &mut record.company, MAX_TEXT),
        ("website", &mut record.website, MAX_WEBSITE),
        ("street", &mut record.street, MAX_TEXT),
        ("city", &mut record.city, MAX_TEXT),
        ("state", &mut record.state, MAX_TEXT),
        ("postcode", &mut record.postcode, MAX_TEXT),
        ("country", &mut record.country, MAX_TEXT),
    ]
}

fn check_texts(record: &mut Record) -> Result<(), Problem> {
    for (name, text, longest) in texts(record) {
        *text = tidy(text);
        if text.chars().count() > longest {
            return Err(too_long(name, longest));
        }
    }
    Ok(())
}

/// Puts a text on one line, without repeated spaces and invisible characters.
fn tidy(text: &str) -> String {
    clean(text, Form::Line).text
}

/// Checks the values of a field that may have several: drops empty ones and duplicates, and refuses more than
/// [`MAX_CONTACTS`].
fn checked(
    values: &[String],
    field: &str,
    check: fn(&str) -> Result<String, Problem>,
) -> Result<Vec<String>, Problem> {
    let mut good: Vec<String> = Vec::new();
    for value in values {
        let value = tidy(value);
        if value.is_empty() {
            continue;
        }
        let value = check(&value)?;
        if !good.contains(&value) {
            good.push(value);
        }
    }
    if good.len() > MAX_CONTACTS {
        return Err(Problem::new(
            422,
            "too_many_values",
            format!(
                "There are {} values; {MAX_CONTACTS} are the most.",
                good.len()
            ),
            "Give the most important ones.",
        )
        .with_field(field));
    }
    Ok(good)
}

fn email(text: &str) -> Result<String, Problem> {
    let found = email::read(text);
    found.map(|found| found.address).map_err(|why| {
        let detail = match why {
            NoEmail::NotOne => "This is no e-mail address.",
            NoEmail::Several => "This is more than one e-mail address.",
        };
        Problem::new(
            422,
            "invalid_email",
            detail,
            "Give an address such as ada@example.com, or leave it out.",
        )
        .with_field("emails")
    })
}

fn phone(text: &str) -> Result<String, Problem> {
    if text.chars().count() > MAX_PHONE {
        return Err(too_long("phones", MAX_PHONE));
    }
    let refused = |detail| {
        Problem::new(
            422,
            "invalid_phone",
            detail,
            "Give the number with its country code, such as +1 415 555 2671, or leave it out.",
        )
        .with_field("phones")
    };
    // Spreadsheets mark a number that is kept as text with a leading quote.
    let text = text.strip_prefix('\'').unwrap_or(text);
    match phone::read(text, None) {
        Err(NoPhone::Rounded) => Err(refused(
            "A spreadsheet rounded this number to a power of ten: its digits are lost.",
        )),
        _ if plain_digits(text).contains(|c: char| c.is_ascii_digit()) => Ok(text.to_owned()),
        _ => Err(refused("A phone number has digits.")),
    }
}

fn refuse_personal(record: &Record) -> Result<(), Problem> {
    let personal = [
        ("first_name", &record.first_name),
        ("last_name", &record.last_name),
        ("title", &record.title),
        ("company", &record.company),
    ];
    match personal.into_iter().find(|(_, text)| !text.is_empty()) {
        None => Ok(()),
        Some((field, _)) => Err(Problem::new(
            422,
            "not_of_a_company",
            "A company has no such field; its name goes into `name`.",
            "Leave the field out, or add the person as a profile.",
        )
        .with_field(field)),
    }
}

fn too_long(field: &str, longest: usize) -> Problem {
    Problem::new(
        422,
        "text_too_long",
        format!("At most {longest} characters fit here."),
        "Shorten it.",
    )
    .with_field(field)
}

fn no_identity(kind: EntryKind) -> Problem {
    let (field, step) = match kind {
        EntryKind::Profile => (
            "emails",
            "Give an e-mail address of the person's own, a name with a phone number or company, or an `external_id`.",
        ),
        EntryKind::Company => (
            "name",
            "Give the company's website or name, or an `external_id`.",
        ),
    };
    Problem::new(
        422,
        "no_identity",
        format!("Nothing tells this {kind} from others, so it could not be found again."),
        step,
    )
    .with_field(field)
}

/// The identity of a person: its type (`email`, `phone` or `name`) and two texts.
fn person(record: &Record, region: Option<&str>) -> Option<[String; 3]> {
    let own = record.emails.iter().find_map(|email| {
        let email = normalize::email(email)?;
        let (local, _) = email.rsplit_once('@')?;
        (!free_mail::is_role(local)).then_some(email)
    });
    if let Some(email) = own {
        return Some(["email".to_owned(), email, String::new()]);
    }
    let name = full_name(record);
    if name.is_empty() {
        return None;
    }
    let mut phones = record.phones.iter();
    if let Some(phone) = phones.find_map(|phone| normalize::phone(phone, region)) {
        return Some(["phone".to_owned(), phone, name]);
    }
    let company = matching::company::core(&record.company);
    (!company.is_empty()).then(|| ["name".to_owned(), name, company])
}

/// The first and last name, folded; empty if either is missing, since one of them is not a full name.
fn full_name(record: &Record) -> String {
    let (first, last) = if record.first_name.is_empty() && record.last_name.is_empty() {
        matching::person::split(&record.name)
    } else {
        (record.first_name.clone(), record.last_name.clone())
    };
    let (first, last) = (matching::text::fold(&first), matching::text::fold(&last));
    if first.is_empty() || last.is_empty() {
        return String::new();
    }
    format!("{first} {last}")
}

/// The identity of a company: its type (`domain` or `name`) and two texts.
fn company(record: &Record) -> Option<[String; 3]> {
    let mut hosts = record
        .emails
        .iter()
        .filter_map(|email| email.rsplit_once('@'));
    let domain = registered_domain(&record.website)
        .or_else(|| hosts.find_map(|(_, host)| registered_domain(host)));
    if let Some(domain) = domain {
        return Some(["domain".to_owned(), domain, String::new()]);
    }
    let name = matching::company::core(&record.name);
    let country = matching::text::fold(&record.country);
    (!name.is_empty()).then(|| ["name".to_owned(), name, country])
}

/// The registered domain of a website if it belongs to one company: `None` for mailbox providers and for
/// sites on which any company can have a page.
#[must_use]
pub fn registered_domain(website: &str) -> Option<String> {
    let domain = matching::contact::website(website)?;
    (!SHARED_DOMAINS.contains(&domain.as_str())).then_some(domain)
}

/// Unites the stored and the given values, each once by its `key`. Above [`MAX_CONTACTS`] values, the oldest
/// stored ones that are not given are dropped. Idempotent.
fn united(old: &[String], given: &[String], key: fn(&str) -> String) -> Vec<String> {
    let is_in = |list: &[String], value: &str| {
        let wanted = key(value);
        list.iter().any(|other| key(other) == wanted)
    };
    let new: Vec<&String> = given.iter().filter(|value| !is_in(old, value)).collect();
    let mut surplus = (old.len() + new.len()).saturating_sub(MAX_CONTACTS);
    let mut all: Vec<String> = Vec::with_capacity(old.len() + new.len());
    for value in old {
        if surplus > 0 && !is_in(given, value) {
            surplus -= 1;
        } else {
            all.push(value.clone());
        }
    }
    all.extend(new.into_iter().cloned());
    all
}

fn email_key(email: &str) -> String {
    email.to_lowercase()
}

/// The digits of a phone number, so that punctuation makes no difference.
fn phone_key(phone: &str) -> String {
    let plain = plain_digits(phone);
    plain.chars().filter(char::is_ascii_digit).collect()
}
