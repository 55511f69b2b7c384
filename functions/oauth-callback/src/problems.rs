//! Why a connection was not made, each with its next step (CN-6).

use shared::domain::schema::CrmKind;
use shared::oauth::OAuthError;
use shared::outbound::{OutboundError, Provider};
use shared::problem::Problem;
use shared::store::{Connection, StoreError};
use shared::vault::VaultError;

use crate::label;

const START_AGAIN: &str = "Start the connection again in the settings.";

/// Why an attempt cannot be completed. One shape, so that a stranger learns nothing from it.
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

/// Why a start request cannot be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadTarget {
    /// The body is not what connecting the provider takes.
    Body(Provider),
    /// No password will be typed in there.
    LoginUrl(Provider),
    /// No token will be sent there.
    OrganizationUrl(Provider),
}

impl From<BadTarget> for Problem {
    fn from(bad: BadTarget) -> Self {
        let address = |provider, field: &str, example: &str| {
            Problem::new(
                422,
                "address_not_allowed",
                format!("That is not an https address of {}.", label(provider)),
                format!("Send one like {example}."),
            )
            .with_field(field)
        };
        match bad {
            BadTarget::LoginUrl(provider) => {
                address(provider, "login_url", "https://login.salesforce.com")
            }
            BadTarget::OrganizationUrl(provider) => address(
                provider,
                "organization_url",
                "https://org.crm4.dynamics.com",
            ),
            BadTarget::Body(provider) => {
                let example = match provider {
                    Provider::Salesforce => r#"{"login_url": "https://login.salesforce.com"}"#,
                    Provider::Dataverse | Provider::Entra => {
                        r#"{"organization_url": "https://org.crm4.dynamics.com"}"#
                    }
                    Provider::LinkedIn => "{}",
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

/// The contract uses another CRM.
pub(crate) fn other_crm(crm: CrmKind, provider: Provider) -> Problem {
    Problem::new(
        409,
        "other_crm",
        format!(
            "This contract uses {}, not {}.",
            crm.label(),
            label(provider)
        ),
        format!("Connect {} instead.", crm.label()),
    )
}

/// The sign-in led into another organisation than the one that is connected (CN-11).
pub(crate) fn other_organization(connected: &Connection) -> Problem {
    let name = label(connected.provider);
    Problem::new(
        409,
        "other_organization",
        format!(
            "The sign-in led into another organisation than the connected one, {name} {}.",
            connected.organization
        ),
        format!(
            "Sign in to the organisation {}; to change to another, disconnect this one first.",
            connected.organization
        ),
    )
}

/// The provider sent the browser back with an error instead of a code.
pub(crate) fn provider_refused(provider: Provider, error: &str) -> Problem {
    let name = label(provider);
    match error {
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
        | "unauthorized_client" => Problem::new(
            403,
            "app_blocked",
            format!(
                "{name} does not let this user use the app: its administrator has to allow it."
            ),
            format!(
                "Ask the administrator of {name} to install or approve the app; then start the connection again."
            ),
        ),
        "temporarily_unavailable" | "server_error" => unreachable(provider),
        other => Problem::new(
            502,
            "sign_in_failed",
            format!(
                "{name} ended the sign-in with the error {}.",
                identifier(other)
            ),
            START_AGAIN,
        ),
    }
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
        _ => Problem::new(
            502,
            "oauth_app_refused",
            format!(
                "Leadbridge's own OAuth client is not set up for {}, or not accepted there.",
                label(provider)
            ),
            "The operator has to correct the client's id and secret in the OAuth apps secret; then start the connection again.",
        ),
    }
}

/// The code was not exchanged for tokens.
pub(crate) fn exchange(error: &OAuthError, provider: Provider) -> Problem {
    match error {
        // Salesforce says `invalid_request` of a verifier, LinkedIn of a code, that does not fit.
        OAuthError::InvalidGrant => code_refused(provider),
        OAuthError::Refused(code) if code == "invalid_request" => code_refused(provider),
        OAuthError::Apps(_) | OAuthError::NoApp(_) | OAuthError::Refused(_) => {
            client(error, provider)
        }
        OAuthError::Unavailable(Some(error)) => outbound(error, provider),
        OAuthError::Unavailable(None) => unreachable(provider),
    }
}

fn code_refused(provider: Provider) -> Problem {
    Problem::new(
        400,
        "oauth_code_refused",
        format!("{} no longer accepts this sign-in.", label(provider)),
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
    let name = label(provider);
    Problem::new(
        502,
        "address_not_allowed",
        format!("{name} named an address that is not on its own domains; nothing was sent there."),
        "Tell the operator; nothing was connected.",
    )
}

fn unreachable(provider: Provider) -> Problem {
    Problem::new(
        503,
        "could_not_connect",
        format!(
            "{} could not be reached; nothing was connected.",
            label(provider)
        ),
        "Start the connection again in a minute.",
    )
}

/// The provider gave no refresh token: the connection would end within hours.
pub(crate) fn no_refresh_token(provider: Provider) -> Problem {
    Problem::new(
        502,
        "no_refresh_token",
        format!("{} lets the app in for this session only.", label(provider)),
        "Its administrator has to allow the app offline access (refresh tokens); then start the connection again.",
    )
}

/// The provider's API does not let the signed-in user in.
pub(crate) fn insufficient_access(provider: Provider) -> Problem {
    let name = label(provider);
    Problem::new(
        403,
        "insufficient_access",
        format!("The user who signed in has no access to this organisation of {name}."),
        "Sign in as a user of the organisation with a licence and a security role.",
    )
}

/// The provider's API answered with an error.
pub(crate) fn api_error(provider: Provider) -> Problem {
    Problem::new(
        502,
        "crm_api_error",
        format!(
            "{} reported an error, or answered in a form that cannot be read; nothing was connected.",
            label(provider)
        ),
        START_AGAIN,
    )
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
        VaultError::DoesNotOpen | VaultError::KeyFile(_) => Problem::internal(),
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
        let code = |error| provider_refused(Provider::Salesforce, error).code;
        assert_eq!(code("access_denied"), "access_denied");
        assert_eq!(code("OAUTH_APP_BLOCKED"), "app_blocked");
        assert_eq!(code("temporarily_unavailable"), "could_not_connect");
        let odd = provider_refused(Provider::LinkedIn, "<script>alert(1)</script>");
        assert_eq!(odd.code, "sign_in_failed");
        assert!(!odd.detail.contains('<'));
    }
}
