//! Texts for errors of the CRM, of sessions and of OAuth, with their codes and next steps.
//!
//! An error says what happened; the words depend on the [`Audience`]. Failures that occur while a user
//! connects a CRM read as in the documents that people know from LinkedIn's CRM Sync (CN-6).

use crate::clock::Millis;
use crate::crm::{CrmError, Failure, Reason, Refusal, failure};
use crate::domain::schema::CrmKind;
use crate::linkedin::{LinkedInError, VERSION};
use crate::oauth::{ClientFault, OAuthError};
use crate::problem::Problem;
use crate::session::SessionError;
use crate::store::SignInReason;
use crate::writing::Omission;

/// Status text of a connection from its success until the first import has ended (CN-5).
pub const SYNC_IN_PROGRESS: &str = "Successfully connected, sync in progress";

/// The code of a value that the CRM refuses.
const REJECTED: &str = "crm_rejected_value";

/// The reader of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// An administrator who sets up a connection, or looks at it: nothing waits to be sent again.
    Setup,
    /// A user who is signing in at a provider.
    SignIn,
    /// A seller who creates a record.
    Seller,
    /// A user who looks at a submission that is not in the CRM yet.
    Trail,
    /// A seller whose activity is not in the CRM yet.
    Activity,
    /// A client of the API, whose request needed the CRM.
    Client,
}

impl Audience {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Setup,
        Self::SignIn,
        Self::Seller,
        Self::Trail,
        Self::Activity,
        Self::Client,
    ];

    /// The step that follows once the cause is removed.
    const fn again(self) -> &'static str {
        match self {
            Self::Setup => "try again",
            Self::SignIn => "start the connection again",
            Self::Seller => "create the record again",
            Self::Trail => "send the submission again",
            Self::Activity => "send the activity again",
            Self::Client => "send the request again",
        }
    }

    /// A next step for the reader: the remedy, and the step that follows it.
    pub(crate) fn after(self, remedy: impl std::fmt::Display) -> String {
        format!("{remedy}; then {}.", self.again())
    }

    /// A next step for the person who looks after the connection. Sellers are referred to an administrator.
    fn in_settings(self, remedy: &str) -> String {
        match self {
            Self::Setup | Self::SignIn => format!("{}.", capital(remedy)),
            Self::Seller | Self::Activity => {
                self.after(format_args!("Ask an administrator to {remedy}"))
            }
            Self::Trail | Self::Client => self.after(capital(remedy)),
        }
    }

    /// A next step for a failure that may pass a little later.
    fn later(self, setup: String) -> String {
        match self {
            Self::Setup | Self::SignIn => setup,
            Self::Seller => {
                "Create the record again in a few minutes: nothing is created twice.".to_owned()
            }
            Self::Trail | Self::Activity => {
                "Nothing to do: it is tried again by itself.".to_owned()
            }
            Self::Client => "Send the request again in a few minutes.".to_owned(),
        }
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(chars).collect()
    })
}

/// The problem that no connection could be made.
#[must_use]
pub fn could_not_connect(crm: &str) -> Problem {
    not_reached(crm, Audience::Setup)
}

fn not_reached(crm: &str, audience: Audience) -> Problem {
    Problem::new(
        503,
        "could_not_connect",
        "Could not connect to CRM. Please try again later.",
        audience.later(format!(
            "There is a connection error with {crm}. Try again in a few minutes."
        )),
    )
}

/// The problem that the CRM's API reported an error.
#[must_use]
pub fn api_error(crm: &str) -> Problem {
    api(crm, Audience::Setup)
}

fn api(crm: &str, audience: Audience) -> Problem {
    Problem::new(
        502,
        "crm_api_error",
        "The CRM API reported an error. Please try again later.",
        audience.later(format!(
            "Check {crm}'s status page and your API access, or ask your CRM representative; then try again."
        )),
    )
}

/// The user lacks a permission. `what` adds detail, if the CRM gave any.
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

/// The problem that required objects cannot be read.
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

/// The problem that the CRM's administrator has blocked the app, or not installed or approved it (CN-11).
#[must_use]
pub fn app_blocked(crm: &str, audience: Audience) -> Problem {
    let again = match audience {
        // Nothing of the sign-in was stored: the button is still there.
        Audience::SignIn => Audience::Setup,
        other => other,
    };
    Problem::new(
        403,
        "app_blocked",
        format!("{crm} does not let this user use the app: its administrator has to allow it."),
        again.after(format_args!(
            "Ask the administrator of {crm} to install or approve the app"
        )),
    )
}

/// The problem that nothing is connected.
#[must_use]
pub fn not_connected(remote: &str, audience: Audience) -> Problem {
    Problem::new(
        409,
        "not_connected",
        format!("{remote} is not connected."),
        audience.in_settings("connect it in the settings"),
    )
}

/// The problem that the provider no longer accepts the connection's sign-in.
#[must_use]
pub fn sign_in_needed(remote: &str, reason: SignInReason, audience: Audience) -> Problem {
    let again = format!("sign in to {remote} again in the settings");
    let (detail, remedy) = match reason {
        SignInReason::Ended => (
            format!("{remote} no longer accepts the connection's sign-in."),
            again,
        ),
        SignInReason::UserInactive => (
            format!(
                "The user that Leadbridge is connected as is disabled, locked or deleted in {remote}."
            ),
            format!("{again}, as a user who is active there"),
        ),
        SignInReason::OrganizationInactive => (
            format!("{remote} says that the organisation is locked, closed or gone."),
            format!("have the organisation unlocked by {remote}, and {again}"),
        ),
        SignInReason::Restricted => (
            format!(
                "A rule of the organisation keeps the connection's user from signing in to {remote}: network addresses, hours, a second factor, or a password that has to be changed."
            ),
            format!(
                "have the administrator of {remote} look into the user's sign-in history, and {again}"
            ),
        ),
        SignInReason::NotApproved => (
            format!(
                "The access of the app is not approved in {remote} for the connection's user, or no longer."
            ),
            format!(
                "{again} and allow the access, as an administrator where only they may allow it"
            ),
        ),
    };
    Problem::new(409, "sign_in_needed", detail, audience.in_settings(&remedy))
}

/// The problem for a user who has to sign in to the CRM with their own user there (CN-11); `before` is the
/// reason if they had signed in before.
#[must_use]
pub fn own_sign_in(crm: &str, before: Option<SignInReason>) -> Problem {
    let again = format!("Sign in to {crm} again in your settings.");
    let (detail, next_step) = match before {
        None => (
            format!(
                "What you write to {crm} is written as you, and you have not signed in there yet."
            ),
            format!("Sign in to {crm} in your settings."),
        ),
        Some(SignInReason::Ended) => (
            format!("Your sign-in to {crm} has ended: it is asked for every 90 days."),
            again,
        ),
        Some(SignInReason::UserInactive) => (
            format!("Your user is disabled, locked or deleted in {crm}."),
            format!("Have the administrator of {crm} activate your user. {again}"),
        ),
        Some(SignInReason::OrganizationInactive) => (
            format!("{crm} says that the organisation is locked, closed or gone."),
            format!("Tell an administrator. {again}"),
        ),
        Some(SignInReason::Restricted) => (
            format!(
                "A rule of the organisation keeps you from signing in to {crm}: network addresses, hours, a second factor, or a password that has to be changed."
            ),
            again,
        ),
        Some(SignInReason::NotApproved) => (
            format!("The access of the app is not approved in {crm} for you, or no longer."),
            format!("{again} Allow the access there, or have the administrator of {crm} allow it."),
        ),
    };
    Problem::new(409, "user_sign_in_needed", detail, next_step)
}

/// The problem of a missing sign-in of a seat holder's own, with the number of activities that wait for it
/// (WB-9). `more`: at least that number waits.
#[must_use]
pub fn own_sign_in_awaited(
    crm: &str,
    before: Option<SignInReason>,
    waiting: u64,
    more: bool,
) -> Problem {
    let mut problem = own_sign_in(crm, before);
    let waits = match waiting {
        0 => return problem,
        1 => "1 activity waits".to_owned(),
        many if more => format!("{many} or more activities wait"),
        many => format!("{many} activities wait"),
    };
    problem.detail.push_str(&format!(" {waits} for it."));
    let then = if waiting == 1 {
        "It goes on by itself"
    } else {
        "They go on by themselves"
    };
    problem.next_step.push_str(&format!(" {then} then."));
    problem
}

/// The problem that the CRM requested a pause.
#[must_use]
pub fn paused(remote: &str, until: Millis, audience: Audience) -> Problem {
    Problem::new(
        429,
        "throttled",
        format!("{remote} asked for a pause until {until}."),
        match audience {
            Audience::Setup | Audience::Trail | Audience::Activity => {
                "Nothing to do: it goes on by itself.".to_owned()
            }
            Audience::SignIn | Audience::Seller | Audience::Client => {
                format!("{} after that time.", capital(audience.again()))
            }
        },
    )
}

/// The code of failures on our side.
pub const OURS: &str = "internal_error";

/// The problem that a part of Leadbridge does not work until its operator corrects it.
#[must_use]
pub fn ours(audience: Audience) -> Problem {
    Problem::new(
        500,
        OURS,
        "Something failed on our side.",
        audience.after("Tell the operator the time of this message"),
    )
}

/// The problem that the table did not answer while a submission was processed.
#[must_use]
pub fn table_unavailable() -> Problem {
    Problem::new(
        503,
        "temporarily_unavailable",
        "Leadbridge's own table did not answer.",
        Audience::Trail.later(String::new()),
    )
}

/// The problem that the CRM did not answer within the time for one attempt.
#[must_use]
pub fn too_slow() -> Problem {
    Problem::new(
        503,
        "crm_too_slow",
        "The CRM did not answer in the time that there is for one try.",
        Audience::Trail.later(String::new()),
    )
}

/// The problem of a submission whose data was changed at every attempt.
#[must_use]
pub fn always_in_motion() -> Problem {
    Problem::new(
        409,
        "changed_meanwhile",
        "The lead, or what Leadbridge knows of it, was changed at the same moment by somebody else.",
        Audience::Trail.later(String::new()),
    )
}

/// A problem that was expected to pass but did not, in so many attempts: from now on a person has to act.
#[must_use]
pub fn given_up(problem: Problem, tries: u32, audience: Audience) -> Problem {
    let passing = problem.next_step.starts_with("Nothing to do");
    let next_step = if passing {
        format!(
            "It was tried {tries} times, and is not tried any more. Look into what is said here; then {}.",
            audience.again()
        )
    } else {
        problem.next_step
    };
    Problem {
        next_step,
        ..problem
    }
}

/// The problem that our own OAuth client at a provider is missing, or is refused.
fn client(remote: &str, which: &str, audience: Audience) -> Problem {
    Problem::new(
        502,
        "oauth_app_refused",
        format!("{remote} does not accept Leadbridge's own OAuth client{which}."),
        audience.after(
            "The operator has to correct the client's id and secret in the OAuth apps secret",
        ),
    )
}

/// The problem for an error of OAuth.
#[must_use]
pub fn oauth(error: &OAuthError, remote: &str, audience: Audience) -> Problem {
    match error {
        OAuthError::SignInNeeded { reason, .. } => sign_in_needed(remote, *reason, audience),
        OAuthError::AppNotAllowed(_) => app_blocked(remote, audience),
        OAuthError::Client { fault, code } => {
            let which = match fault {
                ClientFault::Secret => "its secret is wrong or has expired",
                ClientFault::Unknown => "it does not know it, or not for this use",
                ClientFault::Settings => {
                    "its redirect address, scope or flow is not what is set there"
                }
            };
            client(remote, &format!(": {which} ({code})"), audience)
        }
        OAuthError::NoApp(_) => client(remote, ": none is set up", audience),
        OAuthError::AppsUnusable(_) => ours(audience),
        OAuthError::Unclear(code) => Problem::new(
            502,
            "sign_in_refused",
            format!("The sign-in server of {remote} refuses to renew the connection ({code})."),
            audience.in_settings(&format!(
                "sign in to {remote} again in the settings; if it fails the same way, tell the operator the code"
            )),
        ),
        OAuthError::Throttled(_)
        | OAuthError::Passing(_)
        | OAuthError::Apps(_)
        | OAuthError::Unavailable(_) => unreachable(remote, audience),
    }
}

/// The problem that the remote could not be reached: nothing was sent.
fn unreachable(remote: &str, audience: Audience) -> Problem {
    match audience {
        Audience::Trail | Audience::Activity | Audience::Client => Problem::new(
            503,
            "unreachable",
            format!("{remote} could not be reached."),
            audience.later(String::new()),
        ),
        Audience::Setup | Audience::SignIn | Audience::Seller => not_reached(remote, audience),
    }
}

/// The problem for an error of a session.
#[must_use]
pub fn session(error: &SessionError, remote: &str, audience: Audience) -> Problem {
    match error {
        SessionError::NotConnected => not_connected(remote, audience),
        SessionError::SignInNeeded(reason) => sign_in_needed(remote, *reason, audience),
        SessionError::AppRefused(error) | SessionError::NotRenewed(error) => {
            oauth(error, remote, audience)
        }
        SessionError::Ours(_) => ours(audience),
        SessionError::Paused(until) => paused(remote, *until, audience),
        SessionError::Forbidden => Problem::new(
            502,
            "address_not_allowed",
            format!("The connection's address is not on {remote}'s domains; nothing was sent."),
            audience.in_settings(&format!("connect {remote} anew in the settings")),
        ),
        SessionError::NotSent(_) => unreachable(remote, audience),
        SessionError::Unknown(_) => {
            let detail = match audience {
                Audience::Setup | Audience::SignIn | Audience::Seller => {
                    return not_reached(remote, audience);
                }
                Audience::Trail | Audience::Activity => format!(
                    "{remote} did not answer; whether the last write took effect is checked before it is tried again."
                ),
                Audience::Client => format!("{remote} did not answer."),
            };
            Problem::new(504, "no_answer", detail, audience.later(String::new()))
        }
    }
}

/// The problem for an error of the CRM.
#[must_use]
pub fn crm(error: &CrmError, crm: &str, audience: Audience) -> Problem {
    match (error, audience) {
        (CrmError::Session(error), _) => session(error, crm, audience),
        (CrmError::Refused(found), Audience::Setup | Audience::SignIn) => match failure(error) {
            Failure::InsufficientAccess => {
                insufficient_access(Some(&refusal(found, crm, audience)))
            }
            _ => api(crm, audience),
        },
        (CrmError::Refused(found), _) => refusal(found, crm, audience),
        (_, Audience::Setup | Audience::SignIn | Audience::Seller) => api(crm, audience),
        (CrmError::Unavailable(status), _) => unavailable(
            format!("{crm} answered {status}, or in a form that cannot be read."),
            audience,
        ),
        (CrmError::Unclear(code), _) => unavailable(
            format!("{crm} failed without saying why ({code})."),
            audience,
        ),
        (
            CrmError::Exists | CrmError::Missing | CrmError::Changed | CrmError::RolledBack,
            Audience::Trail | Audience::Activity,
        ) => always_in_motion(),
        (
            CrmError::Exists | CrmError::Missing | CrmError::Changed | CrmError::RolledBack,
            Audience::Client,
        ) => unavailable(
            format!("{crm} answered something else than was asked."),
            audience,
        ),
    }
}

fn unavailable(detail: String, audience: Audience) -> Problem {
    Problem::new(
        503,
        "crm_unavailable",
        detail,
        audience.later(String::new()),
    )
}

/// Dataverse's code for calls of a user who is disabled in the environment.
const DISABLED_IN_DATAVERSE: &str = "0x80041d1f";

/// The problem that the connected user may not use the CRM's API at all, for any object. `code` is the CRM's
/// own.
#[must_use]
pub fn api_access_missing(crm: &str, code: &str, audience: Audience) -> Problem {
    let (detail, remedy) = if crm == CrmKind::Salesforce.label() {
        (
            "Salesforce does not let the connected user use its API".to_owned(),
            "In Salesforce Setup, give the connected user a permission set with “API Enabled”; the edition has to include API access (Professional Edition: as an add-on).",
        )
    } else if code.eq_ignore_ascii_case(DISABLED_IN_DATAVERSE) {
        (
            format!("{crm} says that the user who signed in is disabled there"),
            "In the Power Platform admin centre, enable the user in the environment.",
        )
    } else {
        (
            format!("{crm} does not let the connected user use its Web API"),
            "In the Power Platform admin centre, add the connected user to the environment and give it a security role there.",
        )
    };
    Problem::new(
        403,
        "crm_api_access_missing",
        format!("{detail} ({}).", identifier(code)),
        format!("{remedy} Then {}.", audience.again()),
    )
}

/// A refusal of a record. The organisation's own words are shown as text, with their origin.
fn refusal(refusal: &Refusal, crm: &str, audience: Audience) -> Problem {
    let record = refusal.record.name();
    let seller = matches!(audience, Audience::Seller | Audience::Activity);
    let about = if refusal.fields.is_empty() {
        refusal.code.clone()
    } else {
        format!("{}: {}", refusal.code, refusal.fields.join(", "))
    };
    let told = match &refusal.told {
        Some(told) => format!(" It says: “{told}”"),
        None => String::new(),
    };
    let correct = if seller {
        format!("Correct the value here, or the rule in {crm} that refuses it.")
    } else {
        format!("Correct the field mapping, or the rule in {crm} that refuses it.")
    };
    let (status, code, detail, remedy) = match refusal.reason {
        Reason::Values => (
            422,
            REJECTED,
            format!("{crm} refuses a value of the {record} ({about})."),
            correct,
        ),
        Reason::ValidationRule => (
            422,
            REJECTED,
            format!("A validation rule of your organisation refuses the {record} ({about}).{told}"),
            correct,
        ),
        Reason::UniqueValue => (
            422,
            REJECTED,
            format!(
                "Another record in {crm} has a value of this {record} that has to be unique there ({about})."
            ),
            format!("Look for that record in {crm} and merge it, or correct the value."),
        ),
        Reason::Reference => (
            422,
            REJECTED,
            format!(
                "{crm} refuses the owner or another record that the {record} is tied to ({about})."
            ),
            format!(
                "In {crm}, correct the default owner, the assignment rule or the look-up that is inactive."
            ),
        ),
        Reason::Automation => (
            422,
            "crm_automation_refused",
            format!(
                "The {record} was not written: automation in your organisation refused it ({about}).{told}"
            ),
            format!(
                "Have whoever looks after {crm} correct the trigger, flow or plug-in that refuses it."
            ),
        ),
        Reason::DuplicateRule => (
            409,
            "crm_duplicate_rule",
            format!("A duplicate rule of the {crm} organisation blocks this {record}.{told}"),
            if seller {
                format!(
                    "Look for the record in {crm} and link it instead, or have the rule alert instead of block for you."
                )
            } else {
                "Let the rule alert instead of block for the connected user, or add a matching field to the strategy.".to_owned()
            },
        ),
        Reason::Permission if seller => (
            403,
            "crm_permission_missing",
            format!("{crm} does not let you write this {record} ({about})."),
            format!("Ask the administrator of {crm} for the permission."),
        ),
        Reason::Permission => (
            403,
            "crm_permission_missing",
            format!("{crm} does not let the connected user write this {record} ({about})."),
            "Give the connected user read, create and edit access to leads and contacts in the CRM."
                .to_owned(),
        ),
        Reason::Locked => (
            409,
            "crm_record_locked",
            format!("The {record} is locked in {crm} ({about})."),
            format!("End the approval or the lock in {crm}."),
        ),
        Reason::Storage => (
            409,
            "crm_storage_full",
            format!("The organisation has no storage left in {crm} ({about})."),
            format!("Free storage in {crm}, or get more."),
        ),
        Reason::ObjectHidden => (
            403,
            "crm_object_not_readable",
            format!("The connected user cannot see the {record} object in {crm}."),
            "Give the connected user read, create and edit access to leads and contacts in the CRM."
                .to_owned(),
        ),
        Reason::NoApi => return api_access_missing(crm, &refusal.code, audience),
        Reason::NoIdentityField => {
            return Problem::new(
                409,
                "crm_identity_field_missing",
                format!(
                    "The {crm} organisation has no field of ours on {record}s that would keep this {record} from being created twice."
                ),
                format!(
                    "Install the Leadbridge package in the organisation and give the connected user its permission set; or create the {record} in {crm} by hand."
                ),
            );
        }
    };
    let next_step = format!("{remedy} Then {}.", audience.again());
    Problem::new(status, code, detail, next_step)
}

/// The reason why a field or a whole record was left out of a write.
#[must_use]
pub fn omission(omission: &Omission, crm: &str) -> Problem {
    let what = refusal(&omission.refusal, crm, Audience::Trail);
    let record = omission.record.name();
    match &omission.field {
        Some(field) => Problem::new(
            what.status,
            "field_left_out",
            format!("The {record} was written without {field}. {}", what.detail),
            format!(
                "Correct the value or the rule in {crm} for the next ones; the {record} can be completed there by hand."
            ),
        ),
        None => Problem::new(
            what.status,
            "contact_not_created",
            format!("The lead was created without a contact: {}", what.detail),
            "Create the contact in the CRM by hand, or correct what it refuses for the next ones.",
        ),
    }
}

/// The problem for an error of LinkedIn.
#[must_use]
pub fn linkedin(error: &LinkedInError, audience: Audience) -> Problem {
    let (status, code, detail, remedy) = match error {
        LinkedInError::Session(error) => return session(error, "LinkedIn", audience),
        LinkedInError::Unavailable(status) => {
            return Problem::new(
                503,
                "linkedin_unavailable",
                format!("LinkedIn answered {status}, or in a form that cannot be read."),
                audience.later("Try again in a few minutes.".to_owned()),
            );
        }
        LinkedInError::NotFound => (
            404,
            "linkedin_lead_not_found",
            "LinkedIn has no such lead, or the connected member may not see it.".to_owned(),
            "Check the member's roles on the ad account; LinkedIn keeps leads for 90 days.",
        ),
        LinkedInError::RoleMissing => (
            403,
            "linkedin_role_missing",
            "LinkedIn does not let the connected member read these leads.".to_owned(),
            "Give the member a role on the ad account and on the page, or authorise LinkedIn with another member.",
        ),
        LinkedInError::VersionSunset => (
            502,
            "linkedin_version_sunset",
            format!("LinkedIn no longer serves version {VERSION} of its API."),
            "The operator has to update Leadbridge.",
        ),
        LinkedInError::RequestRefused => (
            502,
            "linkedin_request_refused",
            "LinkedIn does not accept the request.".to_owned(),
            "Check the owner in the LinkedIn settings; if it is right, report this to the operator.",
        ),
    };
    Problem::new(
        status,
        code,
        detail,
        format!("{remedy} Then {}.", audience.again()),
    )
}

/// The problem that the CRM cannot give an object's records to an import.
#[must_use]
pub fn import_refused(crm: &str, object: &str, code: &str) -> Problem {
    Problem::new(
        502,
        "crm_query_refused",
        format!("{crm} refuses to read {object} ({code})."),
        "Start the import again; if it fails the same way, tell the operator the code.",
    )
}

/// The problem that Salesforce's query jobs for an object fail.
#[must_use]
pub fn jobs_fail(object: &str) -> Problem {
    Problem::new(
        502,
        "crm_job_failed",
        format!(
            "Salesforce's query jobs for {object} fail, however few records they are asked for."
        ),
        "In Salesforce Setup, look at Bulk Data Load Jobs for the reason, or ask Salesforce; then start the import again.",
    )
}

/// A code from outside, made safe to show: letters, digits and underscores.
fn identifier(code: &str) -> String {
    code.chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '_')
        .take(60)
        .collect()
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::crm::Record;
    use crate::outbound::Provider;

    const REASONS: [SignInReason; 5] = [
        SignInReason::Ended,
        SignInReason::UserInactive,
        SignInReason::OrganizationInactive,
        SignInReason::Restricted,
        SignInReason::NotApproved,
    ];

    fn lost() -> Box<dyn std::error::Error + Send + Sync> {
        Box::from("reset")
    }

    fn oauth_errors() -> Vec<OAuthError> {
        let code = || "some_code".to_owned();
        let faults = [
            ClientFault::Secret,
            ClientFault::Unknown,
            ClientFault::Settings,
        ];
        let mut errors = vec![
            OAuthError::Apps(lost()),
            OAuthError::AppsUnusable(lost()),
            OAuthError::NoApp(Provider::Salesforce),
            OAuthError::AppNotAllowed(code()),
            OAuthError::Throttled(7),
            OAuthError::Passing(code()),
            OAuthError::Unclear(code()),
            OAuthError::Unavailable(None),
        ];
        errors.extend(faults.map(|fault| OAuthError::Client {
            fault,
            code: code(),
        }));
        errors.extend(REASONS.map(|reason| OAuthError::SignInNeeded {
            reason,
            code: code(),
        }));
        errors
    }

    fn session_errors() -> Vec<SessionError> {
        let mut errors = vec![
            SessionError::NotConnected,
            SessionError::Ours(lost()),
            SessionError::Paused(Millis(7)),
            SessionError::Forbidden,
            SessionError::NotSent(lost()),
            SessionError::Unknown(lost()),
        ];
        errors.extend(REASONS.map(SessionError::SignInNeeded));
        errors.extend(oauth_errors().into_iter().map(SessionError::AppRefused));
        errors.extend(oauth_errors().into_iter().map(SessionError::NotRenewed));
        errors
    }

    fn refusals() -> Vec<Refusal> {
        let reasons = [
            Reason::Values,
            Reason::ValidationRule,
            Reason::Automation,
            Reason::DuplicateRule,
            Reason::UniqueValue,
            Reason::Permission,
            Reason::Locked,
            Reason::Reference,
            Reason::Storage,
            Reason::ObjectHidden,
            Reason::NoApi,
            Reason::NoIdentityField,
        ];
        let of = |record| reasons.map(|reason| Refusal::new(record, reason, "CODE"));
        let records = [
            Record::Lead,
            Record::Contact,
            Record::Account,
            Record::Task,
            Record::Part,
        ];
        records.into_iter().flat_map(of).collect()
    }

    fn crm_errors() -> Vec<CrmError> {
        let mut errors = vec![
            CrmError::Exists,
            CrmError::Missing,
            CrmError::Changed,
            CrmError::RolledBack,
            CrmError::Unavailable(StatusCode::BAD_GATEWAY),
            CrmError::Unclear("CODE".to_owned()),
        ];
        errors.extend(session_errors().into_iter().map(CrmError::Session));
        errors.extend(refusals().into_iter().map(CrmError::from));
        errors
    }

    fn linkedin_errors() -> Vec<LinkedInError> {
        let mut errors = vec![
            LinkedInError::NotFound,
            LinkedInError::RoleMissing,
            LinkedInError::VersionSunset,
            LinkedInError::RequestRefused,
            LinkedInError::Unavailable(StatusCode::BAD_GATEWAY),
        ];
        errors.extend(session_errors().into_iter().map(LinkedInError::Session));
        errors
    }

    /// Words that belong to certain audiences, with those audiences.
    const WORDS: [(&str, &[Audience]); 5] = [
        ("send the submission again", &[Audience::Trail]),
        ("send the activity again", &[Audience::Activity]),
        ("create the record again", &[Audience::Seller]),
        ("send the request again", &[Audience::Client]),
        ("start the connection again", &[Audience::SignIn]),
    ];

    #[test]
    fn every_error_has_a_text_for_every_audience_and_none_of_another() {
        let mut codes = std::collections::BTreeSet::new();
        for audience in Audience::ALL {
            let mut told: Vec<Problem> = Vec::new();
            told.extend(
                oauth_errors()
                    .iter()
                    .map(|error| oauth(error, "Salesforce", audience)),
            );
            told.extend(
                session_errors()
                    .iter()
                    .map(|error| session(error, "LinkedIn", audience)),
            );
            for label in ["Salesforce", "Dynamics 365"] {
                told.extend(crm_errors().iter().map(|error| crm(error, label, audience)));
            }
            told.extend(
                linkedin_errors()
                    .iter()
                    .map(|error| linkedin(error, audience)),
            );
            for problem in told {
                assert!(problem.status >= 400, "{problem:?}");
                assert!(
                    problem.detail.len() > 10 && problem.next_step.len() > 10,
                    "{problem:?}"
                );
                assert!(problem.next_step.ends_with('.'), "{problem:?}");
                let text = format!("{} {}", problem.detail, problem.next_step).to_lowercase();
                for (words, of) in WORDS {
                    assert!(
                        of.contains(&audience) || !text.contains(words),
                        "{audience:?} is told “{words}”: {problem:?}"
                    );
                }
                codes.insert(problem.code);
            }
        }
        // Clients branch on these.
        for code in [
            "not_connected",
            "sign_in_needed",
            "app_blocked",
            "oauth_app_refused",
            "throttled",
            "address_not_allowed",
            "unreachable",
            "no_answer",
            "could_not_connect",
            "crm_api_error",
            "crm_unavailable",
            "insufficient_access",
            "crm_api_access_missing",
            "crm_permission_missing",
            "crm_duplicate_rule",
            "crm_rejected_value",
            "crm_object_not_readable",
            "crm_identity_field_missing",
            "linkedin_unavailable",
            "linkedin_lead_not_found",
            "linkedin_role_missing",
            "linkedin_version_sunset",
            "linkedin_request_refused",
        ] {
            assert!(codes.contains(code), "{code} is told to nobody");
        }
    }

    #[test]
    fn each_failure_reads_as_in_the_documents() {
        let told = |error: &CrmError| crm(error, "Salesforce", Audience::Setup);
        assert_eq!(
            told(&SessionError::NotSent(lost()).into()).detail,
            "Could not connect to CRM. Please try again later."
        );
        assert_eq!(
            told(&CrmError::Unavailable(StatusCode::BAD_GATEWAY)).detail,
            "The CRM API reported an error. Please try again later."
        );
        let denied = told(&Refusal::new(Record::Lead, Reason::NoApi, "X").into());
        assert_eq!(denied.detail, insufficient_access(None).detail);
        assert!(denied.next_step.contains("“API Enabled”"), "{denied}");
        let disabled = api_access_missing("Dynamics 365", "0x80041D1F", Audience::Seller);
        assert!(disabled.detail.contains("is disabled there"), "{disabled}");
        assert!(
            unreadable_objects(&["Account", "Lead"])
                .detail
                .ends_with("from your org: Account, Lead.")
        );
        let ended = SessionError::SignInNeeded(SignInReason::Ended);
        assert_eq!(told(&ended.into()).code, "sign_in_needed");
    }

    #[test]
    fn what_was_to_pass_and_did_not_becomes_a_persons() {
        let given = given_up(table_unavailable(), 200, Audience::Trail);
        assert_eq!(given.code, "temporarily_unavailable");
        assert!(given.next_step.contains("200 times"), "{given:?}");
        assert!(given.next_step.contains("send the submission again"));
        let refused = oauth(
            &OAuthError::Unclear("x".to_owned()),
            "Salesforce",
            Audience::Trail,
        );
        assert_eq!(given_up(refused.clone(), 12, Audience::Trail), refused);
    }
}
