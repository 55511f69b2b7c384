//! Why a submission is not finished yet. Errors decide their own fate where they happen.

use shared::cached::SchemaError;
use shared::clock::Millis;
use shared::crm::{CrmError, session_problem};
use shared::linkedin::LinkedInError;
use shared::problem::Problem;
use shared::session::SessionError;
use shared::store::StoreError;

/// What stands between a submission and its lead.
#[derive(Debug)]
pub(crate) enum Setback {
    /// It goes on by itself: at that time, or after a growing back-off.
    Wait {
        until: Option<Millis>,
        problem: Option<Problem>,
    },
    /// A person has to do something first.
    Person(Problem),
    /// The table did not answer, or somebody else changed the submission: the message comes again.
    Store(StoreError),
}

impl Setback {
    /// Goes on shortly, with nothing that a person should read.
    pub(crate) const fn soon(until: Millis) -> Self {
        Self::Wait {
            until: Some(until),
            problem: None,
        }
    }

    /// A CRM, or the way to it, that took longer than a batch may.
    pub(crate) fn too_slow() -> Self {
        Self::Wait {
            until: None,
            problem: Some(Problem::new(
                503,
                "crm_too_slow",
                "The CRM did not answer in the time that there is for one try.",
                "Nothing to do: it is tried again by itself.",
            )),
        }
    }

    /// An error of a connection; `remote` is its name for people.
    pub(crate) fn session(error: &SessionError, remote: &str) -> Self {
        let problem = session_problem(error, remote);
        match error {
            SessionError::Paused(until) => Self::Wait {
                until: Some(*until),
                problem: Some(problem),
            },
            SessionError::NotSent(_) | SessionError::Unknown(_) => Self::Wait {
                until: None,
                problem: Some(problem),
            },
            SessionError::NotConnected
            | SessionError::SignInNeeded
            | SessionError::AppRefused(_)
            | SessionError::Forbidden => Self::Person(problem),
        }
    }

    /// An error of the CRM; `remote` is its name for people.
    pub(crate) fn crm(error: CrmError, remote: &str) -> Self {
        match error {
            CrmError::Session(error) => Self::session(&error, remote),
            CrmError::Rejected { problem, .. } | CrmError::Refused { problem, .. } => {
                Self::Person(problem)
            }
            CrmError::Unavailable(status) => Self::Wait {
                until: None,
                problem: Some(Problem::new(
                    503,
                    "crm_unavailable",
                    format!("{remote} answered {status}, or in a form that cannot be read."),
                    "Nothing to do: it is tried again by itself.",
                )),
            },
            // Decided anew from what the CRM has then.
            CrmError::Exists | CrmError::Missing | CrmError::Changed => Self::Wait {
                until: None,
                problem: None,
            },
        }
    }

    /// An error of LinkedIn.
    pub(crate) fn linkedin(error: LinkedInError, attempts: u32) -> Self {
        match error {
            LinkedInError::Session(error) => Self::session(&error, "LinkedIn"),
            LinkedInError::Refused(problem) => Self::Person(problem),
            // A notification can be ahead of the API; after some tries it is not.
            LinkedInError::NotFound if attempts >= 8 => Self::Person(Problem::new(
                404,
                "linkedin_lead_not_found",
                "LinkedIn has no such lead, or the connected member may not see it.",
                "Check the member's roles on the ad account; LinkedIn keeps leads for 90 days. Then send the submission again.",
            )),
            LinkedInError::NotFound => Self::Wait {
                until: None,
                problem: None,
            },
            LinkedInError::Unavailable(status) => Self::Wait {
                until: None,
                problem: Some(Problem::new(
                    503,
                    "linkedin_unavailable",
                    format!("LinkedIn answered {status}, or in a form that cannot be read."),
                    "Nothing to do: it is tried again by itself.",
                )),
            },
        }
    }

    /// An error of the metadata.
    pub(crate) fn schema(error: SchemaError, remote: &str) -> Self {
        match error {
            SchemaError::Store(error) => Self::Store(error),
            SchemaError::Crm(error) => Self::crm(error, remote),
        }
    }
}

impl From<StoreError> for Setback {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
