//! The directory: the people and companies that the contract knows, and what each is in its CRM
//! (MA-1 to MA-5, SV-3).
//!
//! An *entry* is what was submitted, added by API or uploaded, with what people decided of it. Its
//! *match* is what was computed from the CRM's records. At most one record is an entry's link, and a
//! record is the link of at most one entry. What a person decided is never undone by what is computed.

mod added;
mod outdated;
mod pass;
mod rates;
mod search;

use std::fmt;
use std::str::FromStr;

use matching::{Bits, Record};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ids::{InvalidId, SubmissionId};
use crate::clock::Millis;
use crate::problem::Problem;

pub use added::{
    MAX_CONTACTS, MAX_EXTERNAL_ID, MAX_ORIGINS, MAX_TEXT, NewEntry, Withdrawal, registered_domain,
};
pub use outdated::{Dismissal, Finding, OutdatedEntry, ValidatedField, findings, has_left_company};
pub use pass::{LinkPass, LinkProgress, PassState};
pub use rates::{EntryRates, ObjectRates, Rates};
pub use search::{DirectoryCursor, Filter};

/// Most candidates that are kept of an entry.
pub const MAX_CANDIDATES: usize = 10;
/// Most records that people can refuse for an entry.
pub const MAX_REFUSED: usize = 100;

/// What an entry of the directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// A person.
    Profile,
    /// A company.
    Company,
}

impl EntryKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Profile, Self::Company];

    /// The name in keys, identities and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Profile => "profile",
            Self::Company => "company",
        }
    }

    /// What its records are to the engine.
    #[must_use]
    pub const fn matching(self) -> matching::Kind {
        match self {
            Self::Profile => matching::Kind::Person,
            Self::Company => matching::Kind::Company,
        }
    }
}

impl fmt::Display for EntryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for EntryKind {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let mut all = Self::ALL.into_iter();
        all.find(|kind| kind.as_str() == text)
            .ok_or(InvalidId("kind of entry"))
    }
}

/// An entry's id: a function of contract, kind and what identifies the person or company, so that who
/// is added again is the same entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(transparent)]
pub struct EntryId(pub Uuid);

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for EntryId {
    type Err = InvalidId;

    /// Accepts the hyphenated lowercase form only, so that one id has one spelling in keys.
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        match Uuid::try_parse(text) {
            Ok(id) if id.hyphenated().to_string() == text => Ok(Self(id)),
            _ => Err(InvalidId("entry id")),
        }
    }
}

/// An entry, by kind and id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct EntryRef {
    /// What it is.
    pub kind: EntryKind,
    /// Its id.
    pub id: EntryId,
}

impl fmt::Display for EntryRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.id)
    }
}

/// A record of the CRM, by object and id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct RecordRef {
    /// The CRM's name for the object.
    pub object: String,
    /// The CRM's id of the record.
    pub id: String,
}

impl RecordRef {
    /// The record of that object and id.
    #[must_use]
    pub fn new(object: impl Into<String>, id: impl Into<String>) -> Self {
        Self {
            object: object.into(),
            id: id.into(),
        }
    }
}

impl fmt::Display for RecordRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.object, self.id)
    }
}

/// By whom an entry was made, or made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema), schema(as = EntryOrigin))]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A form response.
    Submission(SubmissionId),
    /// A call of the API.
    Api,
    /// A file that was uploaded.
    Csv,
}

/// What people decided of an entry; it holds for everybody in the contract.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Decision {
    /// Nothing: it is linked by score.
    #[default]
    None,
    /// It is this record.
    Matched {
        /// The record; after a merge in the CRM its survivor.
        record: RecordRef,
        /// When.
        #[cfg_attr(feature = "http-api", schema(value_type = i64))]
        at: Millis,
        /// Who.
        by: String,
    },
    /// It is not the record that it was linked to, and is not linked until somebody says so.
    Unmatched {
        /// When.
        #[cfg_attr(feature = "http-api", schema(value_type = i64))]
        at: Millis,
        /// Who.
        by: String,
    },
}

/// A person or company that the contract knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What it is.
    pub kind: EntryKind,
    /// Its id.
    pub id: EntryId,
    /// The id that the contract's own system has for it.
    #[serde(default)]
    pub external_id: Option<String>,
    /// What is known of it.
    #[serde(default)]
    pub record: Record,
    /// By whom it was made, the first one first; at most [`MAX_ORIGINS`].
    #[serde(default)]
    pub origins: Vec<Origin>,
    /// When it was made.
    pub created_at: Millis,
    /// When what is known of it last changed.
    pub updated_at: Millis,
    /// Time at which its company was last given; `None` where that was not noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub company_at: Option<Millis>,
    /// Time at which its job title was last given; `None` where that was not noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title_at: Option<Millis>,
    /// What people decided.
    #[serde(default)]
    pub decision: Decision,
    /// Records that people said it is not: never linked by score. At most [`MAX_REFUSED`].
    #[serde(default)]
    pub refused: Vec<RecordRef>,
    /// Counts its writes; 1 is the first.
    pub version: u64,
}

/// How an entry came by its link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema), schema(as = LinkedBy))]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// It is the best candidate by score.
    Score,
    /// A person said so.
    Person,
    /// The record was created for it.
    Created,
}

/// The record that an entry is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema), schema(as = RecordLink))]
pub struct Link {
    /// The record.
    pub record: RecordRef,
    /// How that was found.
    pub how: How,
    /// The model's score of the two, in thousandths of a bit.
    pub score: Bits,
    /// The score from which on the model links, then.
    pub threshold: Bits,
    /// Since when.
    #[cfg_attr(feature = "http-api", schema(value_type = i64))]
    pub since: Millis,
    /// The CRM's id of the record's owner.
    #[serde(default)]
    pub owner: Option<String>,
    /// The CRM no longer has the record.
    #[serde(default)]
    pub record_gone: bool,
}

/// A record that an entry could be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema), schema(as = MatchCandidate))]
pub struct Candidate {
    /// The record.
    pub record: RecordRef,
    /// The model's score of the two, in thousandths of a bit.
    pub score: Bits,
}

/// What was computed of an entry from the CRM's records.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Match {
    /// The record that it is.
    #[serde(default)]
    pub link: Option<Link>,
    /// The records that it could be, the best first; at most [`MAX_CANDIDATES`].
    #[serde(default)]
    pub candidates: Vec<Candidate>,
    /// Values of the record that are out of date (SV-8).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// When it was computed.
    pub at: Millis,
    /// The version of the model that it was computed with; 0 for none.
    pub model: u32,
    /// The version of the entry that it was computed for; 0 where that is still to be done.
    pub entry_version: u64,
    /// Counts its writes; 0 before the first. The table counts.
    #[serde(default)]
    pub version: u64,
}

impl Match {
    /// No link and no candidates.
    #[must_use]
    pub fn nothing(at: Millis) -> Self {
        Self {
            at,
            ..Self::default()
        }
    }

    /// Compares with another match of the same entry; true if both are the same, so that there is nothing to
    /// write.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        self.links_as(other) && self.candidates == other.candidates
    }

    /// Compares with another match of the same entry; true if both have the same link and findings, whatever
    /// their candidates.
    #[must_use]
    pub fn links_as(&self, other: &Self) -> bool {
        self.link == other.link
            && self.findings == other.findings
            && self.model == other.model
            && self.entry_version == other.entry_version
    }

    /// True if a value of its record is out of date, and nobody dismissed that (SV-8).
    #[must_use]
    pub fn is_out_of_date(&self) -> bool {
        self.findings.iter().any(Finding::is_open)
    }

    /// The record that it links to.
    #[must_use]
    pub fn record(&self) -> Option<&RecordRef> {
        self.link.as_ref().map(|link| &link.record)
    }

    /// Without its link, which another entry takes over or a person refused. What it is instead is not
    /// decided by that: whoever comes upon the entry next does, should the worker die before it has.
    #[must_use]
    pub fn unlinked(&self, at: Millis) -> Self {
        Self {
            link: None,
            findings: Vec::new(),
            at,
            entry_version: 0,
            ..self.clone()
        }
    }
}

/// How an entry stands to the CRM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum MatchState {
    /// It is linked by score.
    Matched,
    /// A person said which record it is.
    Confirmed,
    /// Its record was created for it.
    Created,
    /// It is no record of the CRM, as far as the scores tell.
    Unmatched,
    /// A person said that it is not what it was linked to; it is not linked by itself.
    Refused,
    /// A person said which record it is, and that record is no longer among those that were imported.
    Gone,
}

impl MatchState {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Matched,
        Self::Confirmed,
        Self::Created,
        Self::Unmatched,
        Self::Refused,
        Self::Gone,
    ];

    /// The state of an entry with its match.
    #[must_use]
    pub fn of(entry: &Entry, matched: Option<&Match>) -> Self {
        let link = matched.and_then(|matched| matched.link.as_ref());
        let link = link.filter(|link| !link.record_gone);
        match (&entry.decision, link) {
            (Decision::Unmatched { .. }, _) => Self::Refused,
            (Decision::Matched { .. }, None) => Self::Gone,
            (Decision::None, None) => Self::Unmatched,
            // What a person had created is both; that it was created says more.
            (_, Some(link)) if link.how == How::Created => Self::Created,
            (Decision::Matched { .. }, Some(_)) => Self::Confirmed,
            (Decision::None, Some(_)) => Self::Matched,
        }
    }

    /// Whether the entry is a record of the CRM.
    #[must_use]
    pub const fn in_crm(self) -> bool {
        matches!(self, Self::Matched | Self::Confirmed | Self::Created)
    }

    /// The name in answers and filters.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Matched => "matched",
            Self::Confirmed => "confirmed",
            Self::Created => "created",
            Self::Unmatched => "unmatched",
            Self::Refused => "refused",
            Self::Gone => "gone",
        }
    }
}

impl FromStr for MatchState {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let mut all = Self::ALL.into_iter();
        all.find(|state| state.as_str() == text)
            .ok_or(InvalidId("match state"))
    }
}

impl Entry {
    /// The entry, by kind and id.
    #[must_use]
    pub const fn reference(&self) -> EntryRef {
        EntryRef {
            kind: self.kind,
            id: self.id,
        }
    }

    /// What people call it: its name, or else an e-mail address or website.
    #[must_use]
    pub fn name(&self) -> String {
        let record = &self.record;
        if !record.name.is_empty() {
            return record.name.clone();
        }
        let parts = format!("{} {}", record.first_name, record.last_name);
        let name = parts.trim();
        if !name.is_empty() {
            return name.to_owned();
        }
        let emails = record.emails.iter();
        let mut others = emails.chain([&record.website]).chain(&record.phones);
        others
            .find(|text| !text.is_empty())
            .cloned()
            .unwrap_or_default()
    }

    /// Time at which a value was last given; `None` where that was not noted.
    #[must_use]
    pub const fn given_at(&self, field: ValidatedField) -> Option<Millis> {
        match field {
            ValidatedField::Company => self.company_at,
            ValidatedField::Title => self.title_at,
        }
    }

    /// Whether a person decided what it is or is not.
    #[must_use]
    pub const fn is_manual(&self) -> bool {
        !matches!(self.decision, Decision::None)
    }

    /// The record that a person said it is.
    #[must_use]
    pub const fn decided(&self) -> Option<&RecordRef> {
        match &self.decision {
            Decision::Matched { record, .. } => Some(record),
            Decision::None | Decision::Unmatched { .. } => None,
        }
    }

    /// Whether people said that it is not that record.
    #[must_use]
    pub fn refuses(&self, record: &RecordRef) -> bool {
        self.refused.contains(record)
    }

    /// After a person said that it is that record; what was refused of it before counts no more.
    #[must_use]
    pub fn matched_by(&self, record: &RecordRef, by: &str, now: Millis) -> Self {
        let mut entry = self.clone();
        entry.refused.retain(|refused| refused != record);
        entry.decision = Decision::Matched {
            record: record.clone(),
            at: now,
            by: by.to_owned(),
        };
        entry.version += 1;
        entry
    }

    /// After a person said that it is not what it is linked to, `record`, nor what they had said it is.
    ///
    /// # Errors
    /// `too_many_refusals` when more than [`MAX_REFUSED`] records would be refused.
    pub fn unmatched_by(
        &self,
        record: Option<&RecordRef>,
        by: &str,
        now: Millis,
    ) -> Result<Self, Problem> {
        let mut entry = self.clone();
        for refused in record.into_iter().chain(self.decided()) {
            if !entry.refused.contains(refused) {
                entry.refused.push(refused.clone());
            }
        }
        if entry.refused.len() > MAX_REFUSED {
            return Err(Problem::new(
                409,
                "too_many_refusals",
                format!("{MAX_REFUSED} records were refused for this entry already."),
                "Choose the right record, or delete the entry and add it again.",
            ));
        }
        entry.decision = Decision::Unmatched {
            at: now,
            by: by.to_owned(),
        };
        entry.version += 1;
        Ok(entry)
    }

    /// After a person asked that it be linked by score again. What was refused stays refused.
    #[must_use]
    pub fn automatic(&self) -> Self {
        let mut entry = self.clone();
        entry.decision = Decision::None;
        entry.version += 1;
        entry
    }

    /// After records that people decided on were merged in the CRM: their survivors take their place.
    /// `survivor` gives a record's, if it has one. What an entry is decided to be is not refused too.
    /// None where nothing was merged.
    #[must_use]
    pub fn followed(&self, survivor: impl Fn(&RecordRef) -> Option<RecordRef>) -> Option<Self> {
        let mut entry = self.clone();
        if let Decision::Matched { record, .. } = &mut entry.decision
            && let Some(survivor) = survivor(record)
        {
            *record = survivor;
        }
        let mut refused = Vec::with_capacity(entry.refused.len());
        for record in entry.refused {
            let record = survivor(&record).unwrap_or(record);
            if !refused.contains(&record) {
                refused.push(record);
            }
        }
        if let Decision::Matched { record, .. } = &entry.decision {
            refused.retain(|refused| refused != record);
        }
        entry.refused = refused;
        if entry == *self {
            return None;
        }
        entry.version += 1;
        Some(entry)
    }
}

#[cfg(test)]
mod tests;
