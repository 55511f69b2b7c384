//! Errors of a CRM, in one form for both CRMs. Texts for users are chosen where the errors are shown.

use std::fmt;

use domain::clock::Millis;

use http::StatusCode;

use remote::session::SessionError;

/// Maximum number of characters kept of the organisation's own text.
const MAX_TOLD: usize = 300;

/// A record that a call is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record {
    /// A lead.
    Lead,
    /// A contact.
    Contact,
    /// An account.
    Account,
    /// An activity.
    Task,
    /// The part of a contact in an opportunity.
    Part,
}

impl Record {
    /// The name that people know.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lead => "lead",
            Self::Contact => "contact",
            Self::Account => "account",
            Self::Task => "activity",
            Self::Part => "contact’s role",
        }
    }
}

/// The reason why a CRM refuses a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Values do not fit, or a required one is missing.
    Values,
    /// A validation rule of the organisation.
    ValidationRule,
    /// Automation of the organisation failed or refused: a trigger, a flow, a plug-in.
    Automation,
    /// A duplicate rule that blocks.
    DuplicateRule,
    /// Another record has a value that has to be unique in the organisation.
    UniqueValue,
    /// The user may not write such records, or these fields.
    Permission,
    /// The record is locked, as by an approval that is under way.
    Locked,
    /// The owner or another record that it is tied to is inactive, or cannot be used.
    Reference,
    /// The organisation has no storage left.
    Storage,
    /// The object cannot be seen.
    ObjectHidden,
    /// The user may not use the API at all.
    NoApi,
    /// The organisation lacks our identity field, which prevents duplicate records.
    NoIdentityField,
}

/// A refusal of a CRM: it persists until a person changes something.
#[derive(Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The record.
    pub record: Record,
    /// The reason.
    pub reason: Reason,
    /// The CRM's code, an identifier.
    pub code: String,
    /// The fields that the CRM names: without them it might accept the rest.
    pub fields: Vec<String>,
    /// The organisation's own words, on one line and bounded. They may hold personal data: they are shown to
    /// the organisation's people, and never logged.
    pub told: Option<String>,
}

impl Refusal {
    /// A refusal of a record.
    #[must_use]
    pub fn new(record: Record, reason: Reason, code: &str) -> Self {
        Self {
            record,
            reason,
            code: shown(code),
            fields: Vec::new(),
            told: None,
        }
    }

    /// Adds the fields that the CRM names.
    #[must_use]
    pub fn naming(mut self, fields: Vec<String>) -> Self {
        self.fields = fields;
        self
    }

    /// Adds the organisation's own words.
    #[must_use]
    pub fn saying(mut self, text: &str) -> Self {
        let line = text
            .split(|c: char| c.is_whitespace() || c.is_control())
            .filter(|word| !word.is_empty())
            .collect::<Vec<_>>()
            .join(" ");
        let mut told: String = line.chars().take(MAX_TOLD).collect();
        if told.len() < line.len() {
            told.push('…');
        }
        self.told = Some(told).filter(|told| !told.is_empty());
        self
    }
}

impl fmt::Debug for Refusal {
    /// Formats the refusal without the organisation's own words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (record, reason) = (self.record.name(), self.reason);
        write!(f, "the {record} is refused: {reason:?} ({})", self.code)?;
        if !self.fields.is_empty() {
            write!(f, " of {}", self.fields.join(", "))?;
        }
        Ok(())
    }
}

/// The reason why a CRM did not carry out a request.
#[derive(Debug, thiserror::Error)]
pub enum CrmError {
    /// The connection cannot be used, requested a pause, or did not answer.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// A record with this identity already exists.
    #[error("a record of this identity exists")]
    Exists,
    /// There is no such record.
    #[error("no such record")]
    Missing,
    /// The record was changed since it was read.
    #[error("the record was changed meanwhile")]
    Changed,
    /// Another record of the same request failed, and this one with it.
    #[error("rolled back with another record")]
    RolledBack,
    /// It stays refused until a person changes something.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// Trouble on its side that passes; a write may have taken effect.
    #[error("the CRM answered {0}")]
    Unavailable(StatusCode),
    /// Trouble that may pass or stay; a write had no effect.
    #[error("the CRM failed ({0})")]
    Unclear(String),
}

impl CrmError {
    /// True if the user may not use the API at all: then the CRM cannot report anything else either.
    #[must_use]
    pub fn is_about_the_api(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.reason == Reason::NoApi)
    }
}

impl From<Refusal> for CrmError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

/// An identifier from outside, made safe to show: letters, digits and underscores.
pub(crate) fn shown(code: &str) -> String {
    code.chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '_')
        .take(60)
        .collect()
}

/// The kind of a CRM's error, for a user who connects it (CN-6). Unreadable required objects are not an
/// error: the [`AccessReport`](domain::inventory::AccessReport) lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No connection was made, or no answer came.
    CouldNotConnect,
    /// The CRM's API answered with an error, or in an unknown form.
    ApiError,
    /// The connected user may not use the API, or not for this.
    InsufficientAccess,
    /// Nothing is connected.
    NotConnected,
    /// The CRM no longer accepts the sign-in.
    SignInNeeded,
    /// The CRM does not accept Leadbridge's own OAuth client: the operator has to act.
    AppRefused,
    /// The CRM requested a pause until that time.
    Throttled(Millis),
    /// A part of Leadbridge does not work: the operator has to act.
    Ours,
}

/// The kind of an error.
#[must_use]
pub fn failure(error: &CrmError) -> Failure {
    match error {
        CrmError::Session(error) => match error {
            SessionError::NotConnected => Failure::NotConnected,
            SessionError::SignInNeeded(_) => Failure::SignInNeeded,
            SessionError::AppRefused(_) => Failure::AppRefused,
            SessionError::Paused(until) => Failure::Throttled(*until),
            SessionError::Ours(_) => Failure::Ours,
            SessionError::Forbidden
            | SessionError::NotRenewed(_)
            | SessionError::NotSent(_)
            | SessionError::Unknown(_) => Failure::CouldNotConnect,
        },
        CrmError::Refused(refusal) => match refusal.reason {
            Reason::NoApi | Reason::ObjectHidden | Reason::Permission | Reason::NoIdentityField => {
                Failure::InsufficientAccess
            }
            _ => Failure::ApiError,
        },
        CrmError::Exists
        | CrmError::Missing
        | CrmError::Changed
        | CrmError::RolledBack
        | CrmError::Unclear(_)
        | CrmError::Unavailable(_) => Failure::ApiError,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::SignInReason;

    #[test]
    fn errors_come_down_to_what_the_connecting_person_is_told() {
        let lost = || Box::from("reset");
        let cases = [
            (SessionError::NotSent(lost()), Failure::CouldNotConnect),
            (SessionError::Unknown(lost()), Failure::CouldNotConnect),
            (
                SessionError::SignInNeeded(SignInReason::Ended),
                Failure::SignInNeeded,
            ),
            (SessionError::NotConnected, Failure::NotConnected),
            (SessionError::Ours(lost()), Failure::Ours),
            (
                SessionError::Paused(Millis(7)),
                Failure::Throttled(Millis(7)),
            ),
        ];
        for (error, expected) in cases {
            assert_eq!(failure(&error.into()), expected);
        }
        for status in [StatusCode::OK, StatusCode::INTERNAL_SERVER_ERROR] {
            assert_eq!(failure(&CrmError::Unavailable(status)), Failure::ApiError);
        }
        let refused = |reason| failure(&Refusal::new(Record::Lead, reason, "X").into());
        assert_eq!(refused(Reason::NoApi), Failure::InsufficientAccess);
        assert_eq!(refused(Reason::Permission), Failure::InsufficientAccess);
        assert_eq!(refused(Reason::Values), Failure::ApiError);
        assert_eq!(refused(Reason::Automation), Failure::ApiError);
    }

    #[test]
    fn the_organisations_words_are_bounded_and_in_no_log() {
        let text = format!(
            "trigger\r\n\tfailed for ann@example.com {}",
            "x".repeat(500)
        );
        let refusal =
            Refusal::new(Record::Lead, Reason::Automation, "0x80040265 <b>").saying(&text);
        let told = refusal.told.clone().unwrap();
        assert!(
            told.starts_with("trigger failed for ann@example.com x"),
            "{told}"
        );
        assert!(told.chars().count() <= MAX_TOLD + 1, "{told}");
        assert_eq!(refusal.code, "0x80040265b");
        let error = CrmError::from(refusal);
        for logged in [format!("{error}"), format!("{error:?}")] {
            assert!(!logged.contains("ann@"), "{logged}");
        }
        let nothing = Refusal::new(Record::Lead, Reason::Automation, "X").saying(" \n ");
        assert_eq!(nothing.told, None);
    }
}
