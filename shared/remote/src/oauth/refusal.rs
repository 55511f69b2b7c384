//! The refusals of token endpoints, each with its meaning: one table for Salesforce, Microsoft Entra
//! and LinkedIn.
//!
//! A passing refusal must not end a connection, and a permanent one must not be repeated for days. A refusal
//! that is not in the table is [`Meaning::Unclear`]: it is tried again a few times, and then reported by its
//! code.
//!
//! Sources: RFC 6749, 5.2; `help.salesforce.com` `remoteaccess_oauth_flow_errors` and its release notes
//! on simultaneous token requests; Microsoft's `reference-error-codes`; LinkedIn's programmatic refresh
//! tokens.

use http::StatusCode;
use serde::Deserialize;

use super::OAuthError;
use crate::outbound::{Answer, Provider};
use store::SignInReason;

/// Length of a pause if the sign-in server does not state it, in seconds.
pub(super) const DEFAULT_PAUSE_SECONDS: i64 = 30;

/// The part of our own OAuth client that the provider does not accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientFault {
    /// Its secret is wrong or has expired.
    Secret,
    /// Its id is not known, or it may not use this flow.
    Unknown,
    /// Its settings do not fit the request: redirect address, scope, flow.
    Settings,
}

/// The meaning of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It passes without action.
    Passing,
    /// Too many requests: no worker asks again before a pause is over.
    Throttled,
    /// The authorization code or refresh token is no longer valid: the user has to sign in.
    SignIn(SignInReason),
    /// The organisation's administrator does not let the app in.
    AppNotAllowed,
    /// The provider refuses our client.
    Client(ClientFault),
    /// It may pass or stay.
    Unclear,
}

use Meaning::{AppNotAllowed, Client, Passing, SignIn, Throttled, Unclear};
use SignInReason::{Ended, NotApproved, OrganizationInactive, Restricted, UserInactive};

/// The exchange that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exchange {
    /// Of an authorization code.
    Code,
    /// Of a refresh token.
    Refresh,
}

/// A row of the table: the first that fits applies.
struct Row {
    /// The provider's sign-in server that the row is limited to.
    of: Option<Provider>,
    /// The exchange that the row is limited to.
    exchange: Option<Exchange>,
    /// The error code; empty: any.
    error: &'static str,
    /// Part of the description in lower case; empty: any. Only where one code has several meanings.
    says: &'static str,
    meaning: Meaning,
}

const fn row(error: &'static str, says: &'static str, meaning: Meaning) -> Row {
    Row {
        of: None,
        exchange: None,
        error,
        says,
        meaning,
    }
}

impl Row {
    const fn of(self, provider: Provider) -> Self {
        Self {
            of: Some(provider),
            ..self
        }
    }

    const fn at(self, exchange: Exchange) -> Self {
        Self {
            exchange: Some(exchange),
            ..self
        }
    }

    fn fits(&self, provider: Provider, exchange: Exchange, refusal: &Refusal) -> bool {
        self.of.is_none_or(|of| of == provider)
            && self.exchange.is_none_or(|at| at == exchange)
            && (self.error.is_empty() || self.error == refusal.error)
            && (self.says.is_empty() || refusal.description.contains(self.says))
    }
}

const ROWS: &[Row] = &[
    // Salesforce serves one request with a refresh token at a time, and refuses the others by either
    // code.
    row("", "already being processed", Passing),
    row("", "concurrent", Passing),
    row("", "try again later", Passing),
    row("", "transient error", Passing),
    row("", "rate exceeded", Throttled),
    row("", "rate limit", Throttled),
    row("", "throttle", Throttled),
    row("unknown_error", "", Passing),
    row("server_error", "", Passing),
    row("temporarily_unavailable", "", Passing),
    row("service_unavailable", "", Passing),
    row("internal_server_error", "", Passing),
    row("system_error", "", Passing),
    row("rate_limit_exceeded", "", Throttled),
    row("login_rate_exceeded", "", Throttled),
    row("too_many_requests", "", Throttled),
    row("slow_down", "", Throttled),
    // The user and the organisation.
    row("inactive_user", "", SignIn(UserInactive)),
    row("inactive_org", "", SignIn(OrganizationInactive)),
    row("invalid_grant", "inactive user", SignIn(UserInactive)),
    row("invalid_grant", "user is inactive", SignIn(UserInactive)),
    row(
        "invalid_grant",
        "inactive org",
        SignIn(OrganizationInactive),
    ),
    row("invalid_grant", "ip restricted", SignIn(Restricted)),
    row("invalid_grant", "login hours", SignIn(Restricted)),
    row("invalid_grant", "approved", SignIn(NotApproved)),
    row("interaction_required", "", SignIn(Restricted)),
    row("login_required", "", SignIn(Ended)),
    row("consent_required", "", SignIn(NotApproved)),
    // This makes no sense for a refresh token: Salesforce answered so to simultaneous requests.
    row("invalid_grant", "authorization code", Unclear)
        .of(Provider::Salesforce)
        .at(Exchange::Refresh),
    row("invalid_grant", "", SignIn(Ended)),
    row("invalid_token", "", SignIn(Ended)),
    // LinkedIn's code for a refresh token that has ended.
    row("invalid_request", "", SignIn(Ended))
        .of(Provider::LinkedIn)
        .at(Exchange::Refresh),
    // The app in the organisation.
    row("invalid_client", "must be installed", AppNotAllowed),
    row("invalid_app_access", "", AppNotAllowed),
    row("app_not_found", "", AppNotAllowed),
    row("access_denied", "", AppNotAllowed),
    row("oauth_app_blocked", "", AppNotAllowed),
    row("oauth_app_access_denied", "", AppNotAllowed),
    row("oauth_authorization_blocked", "", AppNotAllowed),
    row("admin_consent_required", "", AppNotAllowed),
    // Our client.
    row(
        "invalid_client",
        "client identifier",
        Client(ClientFault::Unknown),
    ),
    row("invalid_client", "", Client(ClientFault::Secret)),
    row(
        "invalid_client_credentials",
        "",
        Client(ClientFault::Secret),
    ),
    row("invalid_client_id", "", Client(ClientFault::Unknown)),
    row("unauthorized_client", "", Client(ClientFault::Unknown)),
    row("unsupported_grant_type", "", Client(ClientFault::Settings)),
    row(
        "unsupported_response_type",
        "",
        Client(ClientFault::Settings),
    ),
    row("invalid_scope", "", Client(ClientFault::Settings)),
    row("redirect_uri_mismatch", "", Client(ClientFault::Settings)),
    row("redirect_uri_missing", "", Client(ClientFault::Settings)),
    row("invalid_redirect_uri", "", Client(ClientFault::Settings)),
    row("invalid_resource", "", SignIn(OrganizationInactive)),
];

/// Entra's own error numbers, which are more precise than its codes. Numbers that are not listed are
/// classified by the code: Microsoft adds new ones at any time.
const ENTRA: &[(u32, Meaning)] = &[
    // Passing trouble at Microsoft, by its own description.
    (40_010, Passing),
    (50_033, Passing),
    (50_087, Passing),
    (51_005, Passing),
    (70_012, Passing),
    (90_006, Passing),
    (90_012, Passing),
    (90_024, Passing),
    (90_033, Passing),
    (90_090, Passing),
    // A loop was seen, or the tenant is throttled.
    (50_196, Throttled),
    (90_055, Throttled),
    // May pass; reported after some attempts.
    (50_000, Unclear),
    (50_053, Unclear),
    (90_036, Unclear),
    (90_091, Unclear),
    // The user: deleted, disabled.
    (50_034, SignIn(UserInactive)),
    (50_057, SignIn(UserInactive)),
    (51_004, SignIn(UserInactive)),
    (53_011, SignIn(UserInactive)),
    // The tenant or the environment is gone.
    (50_001, SignIn(OrganizationInactive)),
    (90_002, SignIn(OrganizationInactive)),
    (500_011, SignIn(OrganizationInactive)),
    (650_057, SignIn(OrganizationInactive)),
    // Conditional access, a second factor, a password to change.
    (50_055, SignIn(Restricted)),
    (50_072, SignIn(Restricted)),
    (50_074, SignIn(Restricted)),
    (50_076, SignIn(Restricted)),
    (50_078, SignIn(Restricted)),
    (50_079, SignIn(Restricted)),
    (50_097, SignIn(Restricted)),
    (50_125, SignIn(Restricted)),
    (50_131, SignIn(Restricted)),
    (50_144, SignIn(Restricted)),
    (50_158, SignIn(Restricted)),
    (53_000, SignIn(Restricted)),
    (53_001, SignIn(Restricted)),
    (53_002, SignIn(Restricted)),
    (53_003, SignIn(Restricted)),
    (53_004, SignIn(Restricted)),
    (500_021, SignIn(Restricted)),
    (500_022, SignIn(Restricted)),
    (530_032, SignIn(Restricted)),
    (530_035, SignIn(Restricted)),
    // No consent was given, or it was withdrawn.
    (65_001, SignIn(NotApproved)),
    (65_004, SignIn(NotApproved)),
    (90_093, SignIn(NotApproved)),
    (90_094, SignIn(NotApproved)),
    // The tokens.
    (50_132, SignIn(Ended)),
    (50_133, SignIn(Ended)),
    (50_173, SignIn(Ended)),
    (70_000, SignIn(Ended)),
    (70_008, SignIn(Ended)),
    (70_043, SignIn(Ended)),
    (54_005, SignIn(Ended)),
    (700_082, SignIn(Ended)),
    (700_084, SignIn(Ended)),
    // The app in the tenant.
    (50_105, AppNotAllowed),
    (65_005, AppNotAllowed),
    (500_014, AppNotAllowed),
    (650_052, AppNotAllowed),
    (700_016, AppNotAllowed),
    (7_000_112, AppNotAllowed),
    // Our client.
    (50_012, Client(ClientFault::Secret)),
    (70_002, Client(ClientFault::Secret)),
    (700_027, Client(ClientFault::Secret)),
    (7_000_215, Client(ClientFault::Secret)),
    (7_000_218, Client(ClientFault::Secret)),
    (7_000_222, Client(ClientFault::Secret)),
    (70_001, Client(ClientFault::Unknown)),
    (50_011, Client(ClientFault::Settings)),
    (50_194, Client(ClientFault::Settings)),
    (70_003, Client(ClientFault::Settings)),
    (70_011, Client(ClientFault::Settings)),
];

/// A refusal as it is sent (RFC 6749, 5.2), with the fields that Entra adds.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Refusal {
    error: String,
    #[serde(rename = "error_description")]
    description: String,
    error_codes: Vec<u32>,
}

impl Refusal {
    /// Reads the refusal in an answer; empty if there is none.
    pub(super) fn of(answer: &Answer) -> Self {
        let mut refusal: Self = answer.json().unwrap_or_default();
        refusal.error.make_ascii_lowercase();
        refusal.description.make_ascii_lowercase();
        refusal
    }

    /// The error code.
    pub(super) fn error(&self) -> &str {
        &self.error
    }

    /// The code, safe to show and log: it is an identifier, and all other characters are left out.
    fn shown(&self) -> String {
        let mut shown: String = self
            .error
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || *c == '_')
            .take(60)
            .collect();
        if let Some(number) = self.error_codes.first() {
            shown = format!("{shown}, AADSTS{number}");
        }
        shown
    }

    fn meaning(&self, status: StatusCode, provider: Provider, exchange: Exchange) -> Meaning {
        if status == StatusCode::TOO_MANY_REQUESTS {
            return Throttled;
        }
        // A server error says nothing about the grant or the client.
        if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT {
            return Passing;
        }
        let numbers = self.error_codes.iter();
        let numbered = numbers.filter_map(|number| {
            let known = ENTRA.iter().find(|(known, _)| known == number);
            known.map(|(_, meaning)| *meaning)
        });
        if let Some(meaning) = numbered.into_iter().next() {
            return meaning;
        }
        let known = ROWS.iter().find(|row| row.fits(provider, exchange, self));
        match known {
            Some(row) => row.meaning,
            // A page of a proxy, or of a server under maintenance.
            None if self.error.is_empty() => Passing,
            None => Unclear,
        }
    }
}

/// The error for a token endpoint's refusal.
pub(super) fn error(answer: &Answer, provider: Provider, exchange: Exchange) -> OAuthError {
    let refusal = Refusal::of(answer);
    let code = refusal.shown();
    let pause = answer.retry_after_seconds();
    match refusal.meaning(answer.status, provider, exchange) {
        Throttled => OAuthError::Throttled(pause.unwrap_or(DEFAULT_PAUSE_SECONDS).max(1)),
        Passing => match pause {
            Some(seconds) => OAuthError::Throttled(seconds.max(1)),
            None => OAuthError::Passing(code),
        },
        SignIn(reason) => OAuthError::SignInNeeded { reason, code },
        AppNotAllowed => OAuthError::AppNotAllowed(code),
        Client(fault) => OAuthError::Client { fault, code },
        Unclear => OAuthError::Unclear(code),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue};
    use serde_json::{Value, json};

    use super::*;

    const SALESFORCE: Provider = Provider::Salesforce;
    const ENTRA_SERVER: Provider = Provider::Dataverse;
    const LINKEDIN: Provider = Provider::LinkedIn;

    fn answer(status: u16, body: &Value) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: Bytes::from(body.to_string()),
        }
    }

    fn said(error: &str, description: &str) -> Value {
        json!({ "error": error, "error_description": description })
    }

    fn numbered(error: &str, number: u32) -> Value {
        json!({
            "error": error, "error_codes": [number],
            "error_description": format!("AADSTS{number}: Words that are not read. Trace ID: 0"),
        })
    }

    fn meaning(provider: Provider, exchange: Exchange, status: u16, body: &Value) -> Meaning {
        let answer = answer(status, body);
        Refusal::of(&answer).meaning(answer.status, provider, exchange)
    }

    /// Refusals of a refresh token, as observed or documented.
    #[expect(clippy::too_many_lines, reason = "a table: one row for each refusal")]
    fn of_refresh() -> Vec<(Provider, u16, Value, Meaning)> {
        let busy = "token request is already being processed";
        vec![
            // Salesforce: passing.
            (SALESFORCE, 400, said("invalid_request", busy), Passing),
            (SALESFORCE, 400, said("invalid_grant", busy), Passing),
            (
                SALESFORCE,
                400,
                said("invalid_grant", "Token request is already being processed."),
                Passing,
            ),
            (
                SALESFORCE,
                400,
                said("unknown_error", "retry your request"),
                Passing,
            ),
            (SALESFORCE, 400, said("server_error", ""), Passing),
            (
                SALESFORCE,
                400,
                said("temporarily_unavailable", ""),
                Passing,
            ),
            (
                SALESFORCE,
                400,
                said("rate_limit_exceeded", "number of logins exceeded"),
                Throttled,
            ),
            (
                SALESFORCE,
                400,
                said("invalid_grant", "login rate exceeded"),
                Throttled,
            ),
            (SALESFORCE, 503, said("server_error", ""), Passing),
            (
                SALESFORCE,
                500,
                said("invalid_client", "who knows"),
                Passing,
            ),
            (SALESFORCE, 502, json!("<html>Bad gateway</html>"), Passing),
            (
                SALESFORCE,
                404,
                json!("<html>We are down for maintenance.</html>"),
                Passing,
            ),
            (SALESFORCE, 429, said("invalid_grant", ""), Throttled),
            // Salesforce: cause unknown.
            (
                SALESFORCE,
                400,
                said("invalid_request", "must use HTTP POST"),
                Unclear,
            ),
            (SALESFORCE, 400, said("something_new", ""), Unclear),
            (
                SALESFORCE,
                400,
                said("invalid_grant", "expired authorization code"),
                Unclear,
            ),
            // Salesforce: over.
            (
                SALESFORCE,
                400,
                said("invalid_grant", "expired access/refresh token"),
                SignIn(Ended),
            ),
            (
                SALESFORCE,
                400,
                said("invalid_grant", "authentication failure"),
                SignIn(Ended),
            ),
            (
                SALESFORCE,
                400,
                said("invalid_grant", "inactive user"),
                SignIn(UserInactive),
            ),
            (
                SALESFORCE,
                400,
                said("inactive_user", "user is inactive"),
                SignIn(UserInactive),
            ),
            (
                SALESFORCE,
                400,
                said("invalid_grant", "inactive organization"),
                SignIn(OrganizationInactive),
            ),
            (
                SALESFORCE,
                400,
                said("inactive_org", "org is locked, closed or suspended"),
                SignIn(OrganizationInactive),
            ),
            (
                SALESFORCE,
                400,
                said("invalid_grant", "ip restricted"),
                SignIn(Restricted),
            ),
            (
                SALESFORCE,
                400,
                said("invalid_grant", "invalid login hours"),
                SignIn(Restricted),
            ),
            (
                SALESFORCE,
                400,
                said("invalid_grant", "user hasn't approved this consumer"),
                SignIn(NotApproved),
            ),
            // Salesforce: the app and the client.
            (
                SALESFORCE,
                400,
                said("invalid_client", "app must be installed into org"),
                AppNotAllowed,
            ),
            (
                SALESFORCE,
                400,
                said(
                    "invalid_app_access",
                    "user is not admin approved to access this app",
                ),
                AppNotAllowed,
            ),
            (
                SALESFORCE,
                400,
                said("app_not_found", "External client app is not found"),
                AppNotAllowed,
            ),
            (
                SALESFORCE,
                400,
                said("OAUTH_APP_BLOCKED", "this app is blocked by admin"),
                AppNotAllowed,
            ),
            (
                SALESFORCE,
                400,
                said("invalid_client", "invalid client credentials"),
                Client(ClientFault::Secret),
            ),
            (
                SALESFORCE,
                400,
                said("invalid_client_credentials", "client secret invalid"),
                Client(ClientFault::Secret),
            ),
            (
                SALESFORCE,
                400,
                said("invalid_client_id", "client identifier invalid"),
                Client(ClientFault::Unknown),
            ),
            (
                SALESFORCE,
                400,
                said("invalid_client", "client identifier invalid"),
                Client(ClientFault::Unknown),
            ),
            (
                SALESFORCE,
                400,
                said("unauthorized_client", ""),
                Client(ClientFault::Unknown),
            ),
            (
                SALESFORCE,
                400,
                said("unsupported_grant_type", "grant type not supported"),
                Client(ClientFault::Settings),
            ),
            (
                SALESFORCE,
                400,
                said("invalid_scope", ""),
                Client(ClientFault::Settings),
            ),
            // Entra, by the code alone and by the number.
            (
                ENTRA_SERVER,
                429,
                numbered("invalid_request", 90_055),
                Throttled,
            ),
            (
                ENTRA_SERVER,
                429,
                json!({ "error": { "code": "TooManyRequests" } }),
                Throttled,
            ),
            (
                ENTRA_SERVER,
                400,
                said("temporarily_unavailable", "AADSTS: busy"),
                Passing,
            ),
            (
                ENTRA_SERVER,
                400,
                numbered("invalid_grant", 90_033),
                Passing,
            ),
            (
                ENTRA_SERVER,
                400,
                said(
                    "invalid_request",
                    "AADSTS90033: A transient error has occurred. Please try again.",
                ),
                Passing,
            ),
            (
                ENTRA_SERVER,
                400,
                numbered("invalid_request", 90_006),
                Passing,
            ),
            (
                ENTRA_SERVER,
                400,
                numbered("invalid_request", 50_196),
                Throttled,
            ),
            (ENTRA_SERVER, 400, said("invalid_request", ""), Unclear),
            (
                ENTRA_SERVER,
                400,
                numbered("invalid_request", 900_144),
                Unclear,
            ),
            (
                ENTRA_SERVER,
                400,
                numbered("invalid_grant", 50_053),
                Unclear,
            ),
            (
                ENTRA_SERVER,
                400,
                numbered("invalid_grant", 70_008),
                SignIn(Ended),
            ),
            (
                ENTRA_SERVER,
                400,
                numbered("invalid_grant", 50_173),
                SignIn(Ended),
            ),
            (
                ENTRA_SERVER,
                400,
                numbered("invalid_grant", 700_082),
                SignIn(Ended),
            ),
            (
                ENTRA_SERVER,
                400,
                numbered("invalid_grant", 999_999),
                SignIn(Ended),
            ),
            (
                ENTRA_SERVER,
                400,
                numbered("invalid_grant", 50_057),
                SignIn(UserInactive),
            ),
            (
                ENTRA_SERVER,
                400,
                numbered("invalid_grant", 50_076),
                SignIn(Restricted),
            ),
            (
                ENTRA_SERVER,
                400,
                numbered("interaction_required", 53_003),
                SignIn(Restricted),
            ),
            (
                ENTRA_SERVER,
                400,
                said("interaction_required", ""),
                SignIn(Restricted),
            ),
            (
                ENTRA_SERVER,
                400,
                said("consent_required", ""),
                SignIn(NotApproved),
            ),
            (
                ENTRA_SERVER,
                400,
                numbered("invalid_grant", 65_001),
                SignIn(NotApproved),
            ),
            (
                ENTRA_SERVER,
                400,
                numbered("invalid_grant", 90_094),
                SignIn(NotApproved),
            ),
            (
                ENTRA_SERVER,
                400,
                numbered("invalid_request", 90_002),
                SignIn(OrganizationInactive),
            ),
            (
                ENTRA_SERVER,
                400,
                numbered("invalid_resource", 500_011),
                SignIn(OrganizationInactive),
            ),
            (
                ENTRA_SERVER,
                400,
                numbered("unauthorized_client", 700_016),
                AppNotAllowed,
            ),
            (
                ENTRA_SERVER,
                400,
                numbered("unauthorized_client", 7_000_112),
                AppNotAllowed,
            ),
            (
                ENTRA_SERVER,
                401,
                numbered("invalid_client", 7_000_215),
                Client(ClientFault::Secret),
            ),
            (
                ENTRA_SERVER,
                401,
                numbered("invalid_client", 7_000_222),
                Client(ClientFault::Secret),
            ),
            (
                ENTRA_SERVER,
                401,
                said("invalid_client", ""),
                Client(ClientFault::Secret),
            ),
            // LinkedIn.
            (
                LINKEDIN,
                400,
                said(
                    "invalid_request",
                    "The provided authorization grant or refresh token is invalid, expired or revoked.",
                ),
                SignIn(Ended),
            ),
            (LINKEDIN, 400, said("invalid_request", busy), Passing),
            (
                LINKEDIN,
                401,
                said("invalid_client", "Client authentication failed"),
                Client(ClientFault::Secret),
            ),
            (
                LINKEDIN,
                400,
                said("invalid_redirect_uri", ""),
                Client(ClientFault::Settings),
            ),
            (
                LINKEDIN,
                429,
                json!({ "status": 429, "serviceErrorCode": 101, "message": "throttled" }),
                Throttled,
            ),
            (
                LINKEDIN,
                500,
                json!({ "status": 500, "message": "Internal Server Error" }),
                Passing,
            ),
        ]
    }

    #[test]
    fn each_refusal_of_a_refresh_has_its_meaning() {
        for (provider, status, body, expected) in of_refresh() {
            let found = meaning(provider, Exchange::Refresh, status, &body);
            assert_eq!(found, expected, "{provider:?} {status} {body}");
        }
    }

    #[test]
    fn a_code_that_is_not_taken_asks_for_a_new_sign_in() {
        let code = |provider, body: Value| meaning(provider, Exchange::Code, 400, &body);
        let expired = said("invalid_grant", "expired authorization code");
        assert_eq!(code(SALESFORCE, expired), SignIn(Ended));
        let redeemed = numbered("invalid_grant", 54_005);
        assert_eq!(code(ENTRA_SERVER, redeemed), SignIn(Ended));
        // LinkedIn's word for a code that does not fit is every provider's word for a bad request.
        let unfit = said("invalid_request", "Unable to retrieve access token");
        assert_eq!(code(LINKEDIN, unfit), Unclear);
    }

    #[test]
    fn every_row_and_every_number_is_reached() {
        for row in ROWS.iter().filter(|row| !row.error.is_empty()) {
            let refusal = Refusal {
                error: row.error.to_owned(),
                description: row.says.to_owned(),
                error_codes: Vec::new(),
            };
            let (provider, exchange) = (
                row.of.unwrap_or(Provider::Salesforce),
                row.exchange.unwrap_or(Exchange::Code),
            );
            let first = ROWS
                .iter()
                .find(|row| row.fits(provider, exchange, &refusal));
            assert_eq!(
                first.map(|first| first.meaning),
                Some(row.meaning),
                "an earlier row hides {} {:?}",
                row.error,
                row.says
            );
        }
        let numbers: BTreeSet<u32> = ENTRA.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers.len(), ENTRA.len(), "a number is listed twice");
    }

    #[test]
    fn a_pause_is_as_long_as_the_server_says() {
        let pause = |status, seconds: Option<&'static str>, body: &Value| {
            let mut answer = answer(status, body);
            if let Some(seconds) = seconds {
                let value = HeaderValue::from_static(seconds);
                answer.headers.insert(http::header::RETRY_AFTER, value);
            }
            match error(&answer, SALESFORCE, Exchange::Refresh) {
                OAuthError::Throttled(seconds) => Some(seconds),
                _ => None,
            }
        };
        let unavailable = said("temporarily_unavailable", "");
        assert_eq!(pause(429, Some("120"), &json!({})), Some(120));
        assert_eq!(pause(429, None, &json!({})), Some(DEFAULT_PAUSE_SECONDS));
        assert_eq!(pause(429, Some("0"), &json!({})), Some(1));
        assert_eq!(pause(503, Some("7"), &unavailable), Some(7));
        assert_eq!(pause(503, None, &unavailable), None);
    }

    #[test]
    fn a_code_is_shown_as_an_identifier_only() {
        let refusal = said("<script>evil</script> a b", "secret text");
        let OAuthError::Unclear(code) =
            error(&answer(400, &refusal), SALESFORCE, Exchange::Refresh)
        else {
            unreachable!("nobody knows it");
        };
        assert_eq!(code, "scriptevilscriptab");
        let entra = error(
            &answer(400, &numbered("invalid_request", 900_144)),
            ENTRA_SERVER,
            Exchange::Refresh,
        );
        assert!(
            matches!(entra, OAuthError::Unclear(code) if code == "invalid_request, AADSTS900144")
        );
    }
}
