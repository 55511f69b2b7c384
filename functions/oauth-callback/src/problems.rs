//! The problems of making a connection, each with its next step (CN-6).

use shared::domain::environment::Environment;
use shared::domain::schema::CrmKind;
use shared::oauth::OAuthError;
use shared::oauth::id_token::IdTokenError;
use shared::outbound::{OutboundError, Provider};
use shared::problem::Problem;
use shared::store::{Connection, SignInReason, StoreError};
use shared::texts::{self, Audience};
use shared::vault::VaultError;

const START_AGAIN: &str = "Start the connection again in the settings.";

/// The reasons for refusing to complete an attempt. All have one shape, so that a stranger learns nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadAttempt {
    /// There is no such attempt.
    Unknown,
    /// It was completed, or given up, before.
    Used,
    /// It took too long.
    Expired,
    /// It was started in another browser.
    OtherBrowser,
    /// The answer claims to come from another sign-in server.
    OtherIssuer,
}

impl From<BadAttempt> for Problem {
    fn from(bad: BadAttempt) -> Self {
        let (code, field, detail) = match bad {
            BadAttempt::Unknown => (
                "oauth_state_unknown",
                "state",
                "This sign-in was not started here.",
            ),
            BadAttempt::Used => (
                "oauth_state_used",
                "state",
                "This sign-in was completed or given up before; it works once.",
            ),
            BadAttempt::Expired => (
                "oauth_state_expired",
                "state",
                "This sign-in took longer than ten minutes.",
            ),
            BadAttempt::OtherBrowser => (
                "oauth_other_browser",
                "cookie",
                "This sign-in was started in another browser, or another one was started after it.",
            ),
            BadAttempt::OtherIssuer => (
                "oauth_other_issuer",
                "iss",
                "The answer comes from another sign-in server than the one asked.",
            ),
        };
        Problem::new(400, code, detail, START_AGAIN).with_field(field)
    }
}

/// The reasons for refusing a start request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadTarget {
    /// The body does not fit the provider.
    Body(Option<Provider>),
    /// No password will be typed in there.
    LoginUrl,
    /// No token will be sent there.
    OrganizationUrl,
}

impl From<BadTarget> for Problem {
    fn from(bad: BadTarget) -> Self {
        match bad {
            BadTarget::LoginUrl => bad_login_url(),
            BadTarget::OrganizationUrl => address(
                Provider::Dataverse,
                "organization_url",
                "https://org.crm4.dynamics.com",
            ),
            BadTarget::Body(provider) => {
                let example = match provider {
                    Some(Provider::Salesforce) => {
                        r#"{"environment": "production", "login_url": "https://login.salesforce.com"}"#
                    }
                    Some(Provider::Dataverse | Provider::Entra) => {
                        r#"{"organization_url": "https://org.crm4.dynamics.com"}"#
                    }
                    Some(Provider::LinkedIn) => "{}",
                    None => r#"{"environment": "production"}"#,
                };
                Problem::new(
                    422,
                    "invalid_body",
                    "The body is not what connecting this provider takes.",
                    format!("Send a JSON object like {example}."),
                )
            }
        }
    }
}

fn address(provider: Provider, field: &str, example: &str) -> Problem {
    Problem::new(
        422,
        "address_not_allowed",
        format!("That is not an https address of {}.", provider.label()),
        format!("Send one like {example}."),
    )
    .with_field(field)
}

/// No password will be typed in there.
pub(crate) fn bad_login_url() -> Problem {
    address(
        Provider::Salesforce,
        "login_url",
        "https://login.salesforce.com or https://acme.my.salesforce.com",
    )
}

/// A sign-in that names no contract, or something unknown.
pub(crate) fn bad_sign_in() -> Problem {
    Problem::new(
        400,
        "invalid_query",
        "A sign-in names the contract.",
        "Use an address like /oauth/sign-in/salesforce?contract=acme&return_to=/.",
    )
    .with_field("contract")
}

/// An invitation that is not, or no longer, good.
pub(crate) fn invitation_invalid() -> Problem {
    Problem::new(
        403,
        "invitation_invalid",
        "This invitation is not valid, or no longer: it works once, for seven days.",
        "Ask an administrator for a new one. If you have accepted it before, sign in without it.",
    )
    .with_field("invitation")
}

/// The problem of a person without a seat.
pub(crate) fn no_seat() -> Problem {
    Problem::new(
        403,
        "no_seat",
        "You signed in, but nobody of this contract has invited this account.",
        "Ask an administrator to invite you, and open the link of the invitation.",
    )
}

/// A seat that was disabled.
pub(crate) fn seat_disabled() -> Problem {
    Problem::new(
        403,
        "seat_disabled",
        "Your seat is disabled.",
        "Ask an administrator to enable it.",
    )
}

/// The problem that the person who started the flow lost the permission for it meanwhile.
pub(crate) fn no_longer_allowed() -> Problem {
    Problem::new(
        403,
        "role_not_allowed",
        "Whoever started this sign-in may no longer do it.",
        "Ask an administrator.",
    )
}

/// The identity token proves nothing.
pub(crate) fn id_token(error: &IdTokenError, provider: Provider) -> Problem {
    match error {
        IdTokenError::Keys(Some(error)) => outbound(error, provider),
        IdTokenError::Keys(None) => unreachable(provider),
        IdTokenError::Refused(check) => {
            tracing::warn!(
                provider = provider.as_str(),
                check,
                "an identity token was refused"
            );
            Problem::new(
                400,
                "identity_token_refused",
                format!("{} did not prove who signed in.", provider.label()),
                START_AGAIN,
            )
        }
    }
}

/// The connection is being ended.
pub(crate) fn disconnecting(provider: Provider) -> Problem {
    Problem::new(
        409,
        "disconnect_in_progress",
        format!("{} is being disconnected.", provider.label()),
        "Wait until that has ended; then connect again.",
    )
}

/// A seat holder signs in to an environment that is not connected.
pub(crate) fn environment_not_connected(environment: Environment) -> Problem {
    Problem::new(
        409,
        "not_connected",
        format!("No CRM is connected in {environment}."),
        "Ask an administrator to connect the CRM first.",
    )
}

/// The other environment is connected to the same organisation.
pub(crate) fn connected_elsewhere(provider: Provider, environment: Environment) -> Problem {
    Problem::new(
        409,
        "connected_in_other_environment",
        format!(
            "This organisation of {} is connected as {environment} already.",
            provider.label()
        ),
        "Sign in to the other environment's organisation, or disconnect the one that is connected.",
    )
}

/// The sign-in was another user's.
pub(crate) fn other_user(provider: Provider) -> Problem {
    let name = provider.label();
    Problem::new(
        409,
        "other_user",
        format!("You signed in to {name} as another user than the one this seat belongs to."),
        format!(
            "Sign out of {name} in this browser, then sign in as yourself; to change to another user, disconnect first."
        ),
    )
}

/// The contract uses another CRM.
pub(crate) fn other_crm(crm: CrmKind, provider: Provider) -> Problem {
    Problem::new(
        409,
        "other_crm",
        format!(
            "This contract uses {}, not {}.",
            crm.label(),
            provider.label()
        ),
        format!("Connect {} instead.", crm.label()),
    )
}

/// The sign-in led into another organisation than the one that is connected (CN-11).
pub(crate) fn other_organization(connected: &Connection) -> Problem {
    let name = connected.provider.label();
    let environment = connected
        .kind
        .environment()
        .map_or_else(String::new, |environment| format!(" as {environment}"));
    Problem::new(
        409,
        "other_organization",
        format!(
            "You signed in to another organisation of {name} than the one connected{environment}: {} at {}.",
            connected.organization, connected.base_url
        ),
        format!(
            "Sign in to {}; an administrator who wants to change the organisation disconnects this one first.",
            connected.base_url
        ),
    )
}

/// The provider sent the browser back with an error in place of a code. `cancelled` is true if the provider
/// says that the user cancelled.
pub(crate) fn provider_refused(provider: Provider, error: &str, cancelled: bool) -> Problem {
    let name = provider.label();
    match error {
        // Entra, where only an administrator may consent: the user could not have.
        "access_denied"
            if matches!(provider, Provider::Dataverse | Provider::Entra) && !cancelled =>
        {
            app_blocked(provider)
        }
        // Salesforce: "app must be installed into org". A client that it does not know is reported on its own
        // page, not here.
        "invalid_client" if provider == Provider::Salesforce => app_blocked(provider),
        "access_denied" | "user_cancelled_authorize" | "user_cancelled_login" => Problem::new(
            403,
            "access_denied",
            format!("Access to {name} was not granted."),
            "Start the connection again in the settings and allow the access.",
        ),
        "OAUTH_APP_BLOCKED"
        | "OAUTH_APP_ACCESS_DENIED"
        | "OAUTH_AUTHORIZATION_BLOCKED"
        | "admin_consent_required"
        | "consent_required"
        | "unauthorized_client" => app_blocked(provider),
        "temporarily_unavailable" | "server_error" | "unknown_error" | "rate_limit_exceeded" => {
            unreachable(provider)
        }
        other => failed(provider, other),
    }
}

/// The organisation does not let the app in.
fn app_blocked(provider: Provider) -> Problem {
    texts::app_blocked(provider.label(), Audience::SignIn)
}

/// The sign-in ended with an error that says nothing more.
fn failed(provider: Provider, code: &str) -> Problem {
    Problem::new(
        502,
        "sign_in_failed",
        format!(
            "{} ended the sign-in with the error {}.",
            provider.label(),
            identifier(code)
        ),
        START_AGAIN,
    )
}

/// Neither a code nor an error came back.
pub(crate) fn no_code() -> Problem {
    Problem::new(
        400,
        "oauth_code_missing",
        "The provider's answer holds no code.",
        START_AGAIN,
    )
    .with_field("code")
}

/// Our own client at the provider cannot be used.
pub(crate) fn client(error: &OAuthError, provider: Provider) -> Problem {
    tracing::error!(
        error = error as &dyn std::error::Error,
        provider = provider.as_str(),
        "the OAuth client cannot be used"
    );
    match error {
        OAuthError::Apps(_) => not_in_time(),
        error => texts::oauth(error, provider.label(), Audience::SignIn),
    }
}

/// The code was not exchanged for tokens.
pub(crate) fn exchange(error: &OAuthError, provider: Provider) -> Problem {
    match error {
        OAuthError::SignInNeeded {
            reason: SignInReason::Ended,
            ..
        } => code_refused(provider),
        OAuthError::SignInNeeded {
            reason: SignInReason::NotApproved,
            ..
        } => app_blocked(provider),
        // Salesforce says `invalid_request` of a verifier, LinkedIn of a code, that does not fit.
        OAuthError::Unclear(code) if code.starts_with("invalid_request") => code_refused(provider),
        OAuthError::Unclear(code) => failed(provider, code),
        OAuthError::Apps(_)
        | OAuthError::AppsUnusable(_)
        | OAuthError::NoApp(_)
        | OAuthError::Client { .. } => client(error, provider),
        OAuthError::Unavailable(Some(error)) => outbound(error, provider),
        OAuthError::SignInNeeded { .. }
        | OAuthError::AppNotAllowed(_)
        | OAuthError::Throttled(_)
        | OAuthError::Passing(_)
        | OAuthError::Unavailable(None) => texts::oauth(error, provider.label(), Audience::SignIn),
    }
}

fn code_refused(provider: Provider) -> Problem {
    Problem::new(
        400,
        "oauth_code_refused",
        format!("{} no longer accepts this sign-in.", provider.label()),
        START_AGAIN,
    )
}

/// A call with the new token has no answer.
pub(crate) fn outbound(error: &OutboundError, provider: Provider) -> Problem {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        provider = provider.as_str(),
        "the provider could not be called"
    );
    match error {
        OutboundError::Forbidden(_) => foreign_address(provider),
        OutboundError::NotSent(_) | OutboundError::Unknown(_) => unreachable(provider),
    }
}

/// The provider names an address that is none of its own.
pub(crate) fn foreign_address(provider: Provider) -> Problem {
    let name = provider.label();
    Problem::new(
        502,
        "address_not_allowed",
        format!("{name} named an address that is not on its own domains; nothing was sent there."),
        "Tell the operator; nothing was connected.",
    )
}

fn unreachable(provider: Provider) -> Problem {
    texts::could_not_connect(provider.label())
}

/// The provider gave no refresh token: the connection would end within hours.
pub(crate) fn no_refresh_token(provider: Provider) -> Problem {
    Problem::new(
        502,
        "no_refresh_token",
        format!(
            "{} lets the app in for this session only.",
            provider.label()
        ),
        "Its administrator has to allow the app offline access (refresh tokens); then start the connection again.",
    )
}

/// The provider's API answered with an error, or in a form that cannot be read.
pub(crate) fn unreadable(provider: Provider) -> Problem {
    texts::api_error(provider.label())
}

/// The table failed. The same request cannot be sent again: its attempt may have been taken.
pub(crate) fn store(error: &StoreError) -> Problem {
    let mut problem = error.problem();
    if matches!(error, StoreError::Unavailable(_)) {
        problem = not_in_time();
    }
    START_AGAIN.clone_into(&mut problem.next_step);
    problem
}

/// The vault failed.
pub(crate) fn vault(error: &VaultError) -> Problem {
    tracing::error!(
        error = error as &dyn std::error::Error,
        "a sign-in's secrets could not be sealed or opened"
    );
    match error {
        VaultError::Unavailable(_) => not_in_time(),
        VaultError::DoesNotOpen | VaultError::Refused(_) | VaultError::KeyFile(_) => {
            Problem::internal()
        }
    }
}

/// Something of ours did not answer.
fn not_in_time() -> Problem {
    Problem::new(
        503,
        "temporarily_unavailable",
        "The service did not answer in time.",
        START_AGAIN,
    )
}

/// Error codes are identifiers; anything else is not repeated.
fn identifier(code: &str) -> String {
    code.chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '_')
        .take(60)
        .collect()
}

#[cfg(test)]
mod tests {
    use shared::outbound::Provider;
    use shared::problem::Problem;

    use super::{BadAttempt, provider_refused};

    #[test]
    fn bad_attempts_differ_by_code_only() {
        let bad = [
            BadAttempt::Unknown,
            BadAttempt::Used,
            BadAttempt::Expired,
            BadAttempt::OtherBrowser,
            BadAttempt::OtherIssuer,
        ];
        let problems = bad.map(Problem::from);
        let codes: std::collections::BTreeSet<_> = problems.iter().map(|p| &p.code).collect();
        assert_eq!(codes.len(), bad.len());
        assert!(problems.iter().all(|p| p.status == 400));
        assert!(problems.iter().all(|p| p.next_step == super::START_AGAIN));
    }

    #[test]
    fn a_providers_error_is_told_by_what_to_do_and_never_repeated_as_it_came() {
        let code = |error| provider_refused(Provider::Salesforce, error, false).code;
        assert_eq!(code("access_denied"), "access_denied");
        assert_eq!(code("OAUTH_APP_BLOCKED"), "app_blocked");
        assert_eq!(code("temporarily_unavailable"), "could_not_connect");
        let odd = provider_refused(Provider::LinkedIn, "<script>alert(1)</script>", false);
        assert_eq!(odd.code, "sign_in_failed");
        assert!(!odd.detail.contains('<'));
    }
}
