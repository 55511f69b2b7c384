//! Data validation (SV-8): a person's company or job title in the directory is another one than in the CRM's
//! record, and newer.
//!
//! A finding is part of the entry's match, so it is computed, stored and dropped with the link. It holds
//! hashes of the two values and no value: both are shown from where they are.

use std::str::FromStr;

use matching::Record;
use matching::employer::{Certainty, same_title};
use serde::{Deserialize, Serialize};

use super::{Entry, EntryId, EntryKind, How, Link, Match, RecordRef};
use crate::clock::Millis;
use crate::employer::employer;
use crate::ids::InvalidId;
use crate::signature::sha256_hex;

/// Maximum difference of the CRM's clock from ours, in seconds. A record that was changed no later than this
/// after the entry does not count as newer: a submission writes both.
const SAME_TIME_SECONDS: i64 = 900;
/// Distance of a score from the threshold below which a link is too weak for a sure finding, in thousandths of
/// a bit.
const WEAK_LINK: i32 = 3_000;
/// Length of a value's hash, in characters.
const HASH_LENGTH: usize = 16;

/// A value of people that is validated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ValidatedField {
    /// The employer.
    Company,
    /// The job title.
    Title,
}

impl ValidatedField {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Company, Self::Title];

    /// The name in answers and filters.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Company => "company",
            Self::Title => "title",
        }
    }

    /// The value in a record.
    #[must_use]
    pub fn of(self, record: &Record) -> &str {
        match self {
            Self::Company => &record.company,
            Self::Title => &record.title,
        }
    }
}

impl FromStr for ValidatedField {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let mut all = Self::ALL.into_iter();
        all.find(|field| field.as_str() == text)
            .ok_or(InvalidId("validated field"))
    }
}

/// A user's decision that a difference is none. It holds until one of the two values changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dismissal {
    /// Time of the decision.
    pub at: Millis,
    /// The user, as the audit log names them.
    pub by: String,
}

/// A value of the CRM that is out of date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The value.
    pub field: ValidatedField,
    /// The certainty that the two values differ in meaning.
    pub certainty: Certainty,
    /// Hash of the directory's value.
    pub ours: String,
    /// Hash of the CRM's value.
    pub theirs: String,
    /// Time at which the two values were first seen to differ.
    pub since: Millis,
    /// The user's decision that it is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dismissed: Option<Dismissal>,
}

impl Finding {
    /// Names the two values: a user decides on these.
    #[must_use]
    pub fn values(&self) -> String {
        format!("{}.{}", self.ours, self.theirs)
    }

    /// True if it is of these two records, and not of values that one of them had before.
    #[must_use]
    pub fn is_of(&self, ours: &Record, theirs: &Record) -> bool {
        let has = |record: &Record, hash: &str| hash_of(self.field.of(record)) == hash;
        has(ours, &self.ours) && has(theirs, &self.theirs)
    }

    /// True unless a user dismissed it.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.dismissed.is_none()
    }

    fn same_values(&self, other: &Self) -> bool {
        self.field == other.field && self.ours == other.ours && self.theirs == other.theirs
    }
}

/// An entry with findings, as lists of them have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutdatedEntry {
    /// The entry: a profile.
    pub entry: EntryId,
    /// The record that it is linked to.
    pub record: RecordRef,
    /// The CRM's id of the record's owner.
    #[serde(default)]
    pub owner: Option<String>,
    /// The findings, at most one for each field.
    pub findings: Vec<Finding>,
}

impl OutdatedEntry {
    /// The entry as lists have it; `None` for one without findings.
    #[must_use]
    pub fn of(entry: EntryId, matched: &Match) -> Option<Self> {
        let link = matched.link.as_ref()?;
        (!matched.findings.is_empty()).then(|| Self {
            entry,
            record: link.record.clone(),
            owner: link.owner.clone(),
            findings: matched.findings.clone(),
        })
    }
}

/// True if the company is out of date, and nobody dismissed that: what the flag in the CRM says.
#[must_use]
pub fn has_left_company(findings: &[Finding]) -> bool {
    let mut findings = findings.iter();
    findings.any(|finding| finding.field == ValidatedField::Company && finding.is_open())
}

/// Hash of a value as it is compared by users: without regard to case and signs.
fn hash_of(text: &str) -> String {
    let mut hash = sha256_hex(&[matching::text::fold(text).as_bytes()]);
    hash.truncate(HASH_LENGTH);
    hash
}

/// Compares a linked person with the CRM's record; returns the values of the record that are out of date.
///
/// `before` is the match as it was. A difference that was found before stands while both values and the link
/// stand, with what users decided of it. A new one has to be newer in the directory: the record was last
/// changed at `modified`, before the entry's value was given. Where a time is not known, nothing is newer.
#[must_use]
pub fn findings(
    entry: &Entry,
    link: &Link,
    (theirs, modified): (&Record, Option<Millis>),
    before: Option<&Match>,
    now: Millis,
) -> Vec<Finding> {
    if entry.kind != EntryKind::Profile || link.record_gone {
        return Vec::new();
    }
    let known = before
        .filter(|before| before.record() == Some(&link.record))
        .map_or(&[][..], |before| &before.findings);
    let weak = link.how == How::Score && link.score < link.threshold.saturating_add(WEAK_LINK);
    let ours = &entry.record;
    let mut found = Vec::new();
    for field in ValidatedField::ALL {
        let verdict = match field {
            ValidatedField::Company => employer(ours).compare(&employer(theirs)),
            ValidatedField::Title => same_title(&ours.title, &theirs.title),
        };
        let Some(certainty) = verdict.change() else {
            continue;
        };
        let new = Finding {
            field,
            certainty: if weak { Certainty::Likely } else { certainty },
            ours: hash_of(field.of(ours)),
            theirs: hash_of(field.of(theirs)),
            since: now,
            dismissed: None,
        };
        if let Some(known) = known.iter().find(|known| known.same_values(&new)) {
            found.push(Finding {
                since: known.since,
                dismissed: known.dismissed.clone(),
                ..new
            });
        } else if is_newer(entry, field, modified) {
            found.push(new);
        }
    }
    found
}

/// True if an entry's value is known to be no older than a record's last change. A value without a time was not
/// given before the entry was made.
fn is_newer(entry: &Entry, field: ValidatedField, modified: Option<Millis>) -> bool {
    let given = entry.given_at(field).unwrap_or(entry.created_at);
    modified.is_some_and(|modified| modified <= given.plus_seconds(SAME_TIME_SECONDS))
}

#[cfg(test)]
mod tests {
    use matching::Record;
    use matching::employer::Certainty;

    use super::{Dismissal, ValidatedField, findings};
    use crate::clock::Millis;
    use crate::directory::{
        Entry, EntryKind, How, Link, Match, NewEntry, Origin, OutdatedEntry, RecordRef,
    };

    const HOUR: i64 = 3_600_000;

    fn person(company: &str, title: &str) -> Record {
        Record {
            first_name: "Ann".to_owned(),
            last_name: "Meier".to_owned(),
            company: company.to_owned(),
            title: title.to_owned(),
            ..Record::default()
        }
    }

    fn entry(company: &str, title: &str, at: i64) -> Entry {
        let contract = "acme".parse().unwrap();
        let (kind, record) = (EntryKind::Profile, person(company, title));
        let new = NewEntry::new(&contract, kind, Some("7"), record, Origin::Api, None);
        Entry::added(&new.unwrap(), Millis(at))
    }

    fn link(how: How, score: i32) -> Link {
        Link {
            record: RecordRef::new("Contact", "1"),
            how,
            score,
            threshold: 10_000,
            since: Millis(0),
            owner: None,
            record_gone: false,
        }
    }

    #[test]
    fn a_newer_company_or_title_is_found_each_by_itself() {
        let theirs = (&person("Globex Inc", "CEO"), Some(Millis(HOUR)));
        let link = link(How::Person, 0);
        let find = |company: &str, title: &str| {
            let entry = entry(company, title, 2 * HOUR);
            let found = findings(&entry, &link, theirs, None, Millis(3 * HOUR));
            found.iter().map(|one| one.field).collect::<Vec<_>>()
        };
        assert!(find("Globex", "Chief Executive Officer").is_empty());
        assert_eq!(find("Initech", "CEO"), [ValidatedField::Company]);
        assert_eq!(find("Globex", "Accountant"), [ValidatedField::Title]);
        assert_eq!(find("Initech", "Accountant"), ValidatedField::ALL);
        assert!(find("", "").is_empty());
    }

    #[test]
    fn a_record_that_was_changed_later_is_not_out_of_date() {
        let (entry, link) = (entry("Initech", "", HOUR), link(How::Person, 0));
        let record = person("Globex", "");
        let find = |modified: i64, before: Option<&Match>| {
            let theirs = (&record, Some(Millis(modified)));
            findings(&entry, &link, theirs, before, Millis(3 * HOUR))
        };
        assert!(find(2 * HOUR, None).is_empty());
        let found = find(0, None);
        assert_eq!(found.len(), 1);
        // A finding stands while both values do, whatever else of the record is changed.
        let before = Match {
            link: Some(link.clone()),
            findings: found.clone(),
            ..Match::nothing(Millis(0))
        };
        assert_eq!(find(2 * HOUR, Some(&before)), found);
        // Another company in the CRM is newer than the directory's.
        let other = person("Umbrella", "");
        let theirs = (&other, Some(Millis(2 * HOUR)));
        assert!(findings(&entry, &link, theirs, Some(&before), Millis(3 * HOUR)).is_empty());
    }

    #[test]
    fn a_value_that_stays_is_made_no_newer_by_another_change() {
        let mut entry = entry("Initech", "", HOUR);
        // From before times were noted.
        entry.company_at = None;
        let contract = "acme".parse().unwrap();
        let mut record = person("", "");
        record.phones = vec!["+44 20 7946 0958".to_owned()];
        let kind = EntryKind::Profile;
        let new = NewEntry::new(&contract, kind, Some("7"), record, Origin::Api, None).unwrap();
        let entry = entry.merged(&new, Millis(9 * HOUR)).unwrap();
        assert_eq!(entry.given_at(ValidatedField::Company), None);
        let theirs = (&person("Globex", ""), Some(Millis(5 * HOUR)));
        let link = link(How::Person, 0);
        assert!(findings(&entry, &link, theirs, None, Millis(9 * HOUR)).is_empty());
    }

    #[test]
    fn a_value_that_is_given_again_is_newer_and_a_response_that_comes_again_is_not() {
        let contract = "acme".parse().unwrap();
        let given = |origin: Origin| {
            let (kind, record) = (EntryKind::Profile, person("Initech", ""));
            NewEntry::new(&contract, kind, Some("7"), record, origin, None).unwrap()
        };
        let response = Origin::Submission("01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap());
        let theirs = person("Globex", "");
        let is_found = |entry: &Entry| {
            let theirs = (&theirs, Some(Millis(50 * HOUR)));
            let link = link(How::Person, 0);
            !findings(entry, &link, theirs, None, Millis(90 * HOUR)).is_empty()
        };
        let first = Entry::added(&given(response), Millis(HOUR));
        assert!(!is_found(&first));
        assert_eq!(first.merged(&given(response), Millis(80 * HOUR)), None);
        let by_program = first.merged(&given(Origin::Api), Millis(2 * HOUR)).unwrap();
        // The same again within a day is no news.
        assert_eq!(
            by_program.merged(&given(Origin::Api), Millis(20 * HOUR)),
            None
        );
        let again = by_program
            .merged(&given(Origin::Api), Millis(80 * HOUR))
            .unwrap();
        assert!(!is_found(&by_program) && is_found(&again));
        assert_eq!(again.updated_at, by_program.updated_at);
        assert_eq!(again.version, by_program.version + 1);
    }

    #[test]
    fn without_a_time_nothing_is_newer() {
        let (entry, record) = (entry("Initech", "", HOUR), person("Globex", ""));
        let link = link(How::Person, 0);
        let find = |entry: &Entry, modified: Option<Millis>| {
            findings(entry, &link, (&record, modified), None, Millis(HOUR)).len()
        };
        assert_eq!(find(&entry, Some(Millis(HOUR))), 1);
        assert_eq!(find(&entry, None), 0);
        // From before times were noted: given at some time since the entry was made, however late it changed.
        let untimed = Entry {
            company_at: None,
            updated_at: Millis(9 * HOUR),
            ..entry
        };
        assert_eq!(find(&untimed, Some(Millis(5 * HOUR))), 0);
        assert_eq!(find(&untimed, Some(Millis(HOUR))), 1);
    }

    #[test]
    fn a_dismissal_holds_until_a_value_changes() {
        let link = link(How::Person, 0);
        let record = person("Globex", "");
        let theirs = (&record, Some(Millis(0)));
        let first = entry("Initech", "", HOUR);
        let mut found = findings(&first, &link, theirs, None, Millis(HOUR));
        found[0].dismissed = Some(Dismissal {
            at: Millis(HOUR),
            by: "seat:1".to_owned(),
        });
        let before = Match {
            link: Some(link.clone()),
            findings: found.clone(),
            ..Match::nothing(Millis(0))
        };
        let again = |company: &str| {
            let entry = entry(company, "", 2 * HOUR);
            findings(&entry, &link, theirs, Some(&before), Millis(3 * HOUR))
        };
        assert_eq!(again("Initech"), found);
        assert!(again("Umbrella")[0].is_open());
        assert!(again("Globex Ltd").is_empty());
        let listed = OutdatedEntry::of(first.id, &before).unwrap();
        assert_eq!(listed.findings, found);
    }

    #[test]
    fn a_weak_link_is_never_sure() {
        let (entry, record) = (entry("Initech", "", HOUR), person("Globex", ""));
        let find = |link: &Link| {
            let theirs = (&record, Some(Millis(0)));
            findings(&entry, link, theirs, None, Millis(HOUR))[0].certainty
        };
        assert_eq!(find(&link(How::Score, 11_000)), Certainty::Likely);
        assert_eq!(find(&link(How::Score, 20_000)), Certainty::Sure);
        assert_eq!(find(&link(How::Person, 0)), Certainty::Sure);
    }
}
