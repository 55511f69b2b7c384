//! What somebody who connects a CRM is told when it fails (CN-6): the four failures in the words of
//! the documents that people know from LinkedIn's CRM Sync, each with its next step.

use super::{CrmError, Failure, session_problem};
use domain::problem::Problem;
use remote::session::SessionError;

/// CN-5: what a connection says from its success until the first import has ended.
pub const SYNC_IN_PROGRESS: &str = "Successfully connected, sync in progress";

/// Could not connect.
#[must_use]
pub fn could_not_connect(crm: &str) -> Problem {
    Problem::new(
        503,
        "could_not_connect",
        "Could not connect to CRM. Please try again later.",
        format!("There is a connection error with {crm}. Try again in a few minutes."),
    )
}

/// The CRM's API reported an error.
#[must_use]
pub fn api_error(crm: &str) -> Problem {
    Problem::new(
        502,
        "crm_api_error",
        "The CRM API reported an error. Please try again later.",
        format!(
            "Check {crm}'s status page and your API access, or ask your CRM representative; then try again."
        ),
    )
}

/// The user may not do what is needed. `what` says more, where the CRM does.
#[must_use]
pub fn insufficient_access(what: Option<&Problem>) -> Problem {
    Problem::new(
        403,
        "insufficient_access",
        "Your CRM account does not have sufficient access privileges. Please check with your CRM administrator.",
        match what {
            Some(problem) => format!("{} {}", problem.detail, problem.next_step),
            None => "Ask your CRM administrator for the access that the permission check lists, then check again.".to_owned(),
        },
    )
}

/// Required objects cannot be read.
#[must_use]
pub fn unreadable_objects(objects: &[&str]) -> Problem {
    Problem::new(
        403,
        "crm_objects_not_readable",
        format!(
            "Could not read the required CRM objects from your org: {}.",
            objects.join(", ")
        ),
        "Ask your CRM administrator for read access to these objects (the permission check says what is missing of each), then check the permissions again.",
    )
}

/// The CRM's administrator has blocked the app, or not installed or approved it (CN-11).
#[must_use]
pub fn app_blocked(crm: &str) -> Problem {
    Problem::new(
        403,
        "app_blocked",
        format!("{crm} does not let this user use the app: its administrator has to allow it."),
        format!("Ask the administrator of {crm} to install or approve the app; then try again."),
    )
}

/// What is wrong with a connection, for somebody who looks at the connection itself: nothing waits
/// there to be sent again.
#[must_use]
pub fn connection(error: &SessionError, crm: &str) -> Problem {
    match error {
        SessionError::NotConnected => Problem::new(
            409,
            "not_connected",
            format!("{crm} is not connected."),
            "Connect it in the settings.",
        ),
        SessionError::SignInNeeded => Problem::new(
            409,
            "sign_in_needed",
            format!("{crm} no longer accepts the connection's sign-in."),
            format!("Sign in to {crm} again in the settings."),
        ),
        other => session_problem(other, crm),
    }
}

/// What somebody is told who is to sign in to the CRM with their own user there (CN-11). `again`: they
/// did before.
#[must_use]
pub fn own_sign_in(crm: &str, again: bool) -> Problem {
    let (detail, next_step) = if again {
        (
            format!("Your sign-in to {crm} has ended: it is asked for every 90 days."),
            format!("Sign in to {crm} again in your settings."),
        )
    } else {
        (
            format!(
                "What you write to {crm} is written as you, and you have not signed in there yet."
            ),
            format!("Sign in to {crm} in your settings."),
        )
    };
    Problem::new(409, "user_sign_in_needed", detail, next_step)
}

/// An error of the CRM as somebody who connects it is told.
#[must_use]
pub fn problem(error: &CrmError, crm: &str) -> Problem {
    match (super::failure(error), error) {
        (Failure::CouldNotConnect, CrmError::Session(error @ SessionError::Forbidden)) => {
            connection(error, crm)
        }
        (Failure::CouldNotConnect, _) => could_not_connect(crm),
        (Failure::ApiError, _) => api_error(crm),
        (Failure::InsufficientAccess, CrmError::Refused { problem, .. }) => {
            insufficient_access(Some(problem))
        }
        (Failure::InsufficientAccess, _) => insufficient_access(None),
        (_, CrmError::Session(error)) => connection(error, crm),
        (
            Failure::NotConnected
            | Failure::SignInNeeded
            | Failure::AppRefused
            | Failure::Throttled(_),
            _,
        ) => api_error(crm),
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::{insufficient_access, problem, unreadable_objects};
    use crate::{CrmError, Record};
    use domain::problem::Problem;
    use remote::session::SessionError;

    #[test]
    fn each_failure_reads_as_in_the_documents() {
        let told = |error: &CrmError| problem(error, "Salesforce").detail;
        assert_eq!(
            told(&SessionError::NotSent("reset".into()).into()),
            "Could not connect to CRM. Please try again later."
        );
        assert_eq!(
            told(&CrmError::Unavailable(StatusCode::BAD_GATEWAY)),
            "The CRM API reported an error. Please try again later."
        );
        let refused = CrmError::Refused {
            record: Record::Lead,
            problem: Problem::new(403, "x", "No API.", "Enable it."),
        };
        let denied = problem(&refused, "Salesforce");
        assert_eq!(denied.detail, insufficient_access(None).detail);
        assert_eq!(denied.next_step, "No API. Enable it.");
        assert!(
            unreadable_objects(&["Account", "Lead"])
                .detail
                .ends_with("from your org: Account, Lead.")
        );
        assert_eq!(
            problem(&SessionError::SignInNeeded.into(), "Salesforce").code,
            "sign_in_needed"
        );
    }
}
