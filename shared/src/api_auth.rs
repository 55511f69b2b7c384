//! Authentication of callers, by the API token of the request or by a signed-in user's session, and the
//! permissions of their role (LG-1).

use http::{HeaderMap, Method, header};
use url::Url;

use crate::clock::Millis;
use crate::domain::ids::{ApiToken, ContractId};
use crate::domain::role::{Permission, Role};
use crate::domain::seat::{Seat, SeatStatus};
use crate::problem::Problem;
use crate::signature::{secrets_equal, sha256_hex};
use crate::store::{SessionRecord, Store};
use crate::web_session::{CSRF_HEADER, SessionToken, WebSessions, cookie_of};

/// The dependencies for identifying callers.
#[derive(Clone, Copy)]
pub struct Gate<'a> {
    /// The table.
    pub store: &'a Store,
    /// Checks session tokens.
    pub web_sessions: &'a WebSessions,
    /// The address that our own pages are at.
    pub public_url: &'a Url,
    /// The time.
    pub now: Millis,
}

/// A signed-in user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// The seat.
    pub seat: Seat,
    /// The session.
    pub session: SessionRecord,
    /// The token of the request.
    pub token: SessionToken,
}

/// An authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The contract that its token opens: everything it sees and changes is of this contract.
    pub contract: ContractId,
    /// Its token's id, or `seat:` and its seat's id, for the audit log.
    pub actor: String,
    /// Its role.
    pub role: Role,
    /// The signed-in user; `None` for an API token.
    pub signed_in: Option<Box<SignedIn>>,
}

impl Caller {
    /// Authenticates the caller of a request, and checks that its role has the required permission; `None`
    /// accepts every role. `Authorization: Bearer` takes precedence over the session's cookie. A request that
    /// changes something and comes with the cookie has to come from our own page.
    ///
    /// # Errors
    /// Returns 401 for a token or session that is missing, malformed, unknown, wrong or expired, all with the
    /// same text; 403 for a role without the permission, and `csrf_token_needed`; 503 if the table does not
    /// answer.
    /// table does not answer.
    pub async fn authenticate(
        method: &Method,
        headers: &HeaderMap,
        needs: Option<Permission>,
        gate: Gate<'_>,
    ) -> Result<Self, Problem> {
        let caller = if headers.contains_key(header::AUTHORIZATION) {
            Self::by_token(headers, gate).await?
        } else if let Some(text) = cookie_of(headers) {
            Self::by_session(text, method, headers, gate).await?
        } else {
            return Err(unauthenticated());
        };
        if !needs.is_none_or(|permission| caller.role.may(permission)) {
            return Err(role_not_allowed());
        }
        Ok(caller)
    }

    async fn by_token(headers: &HeaderMap, gate: Gate<'_>) -> Result<Self, Problem> {
        let token = bearer(headers).ok_or_else(unauthenticated)?;
        let record = gate
            .store
            .api_token(&token.contract, &token.id)
            .await
            .map_err(|error| error.problem())?
            .ok_or_else(unauthenticated)?;
        let right = secrets_equal(&record.secret_hash, &sha256_hex(&[token.secret.as_bytes()]));
        let alive = record.valid_until.is_none_or(|until| until > gate.now);
        if !right || !alive {
            return Err(unauthenticated());
        }
        Ok(Self {
            contract: token.contract,
            actor: token.id.to_string(),
            role: record.role,
            signed_in: None,
        })
    }

    async fn by_session(
        text: &str,
        method: &Method,
        headers: &HeaderMap,
        gate: Gate<'_>,
    ) -> Result<Self, Problem> {
        let Gate {
            store,
            web_sessions,
            public_url,
            now,
        } = gate;
        let token = web_sessions
            .check(text, now)
            .await
            .map_err(|error| error.problem())?
            .ok_or_else(unauthenticated)?;
        if !method.is_safe() {
            let given = headers
                .get(CSRF_HEADER)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default();
            let right = web_sessions
                .is_csrf(&token, given, now)
                .await
                .map_err(|error| error.problem())?;
            if !right || !is_own_page(headers, public_url) {
                return Err(csrf_token_needed());
            }
        }
        let found = store
            .seat_sessions(&token.contract, token.seat)
            .await
            .map_err(|error| error.problem())?
            .ok_or_else(unauthenticated)?;
        let session = found
            .sessions
            .into_iter()
            .find(|session| session.id == token.id && session.valid_until > now)
            .filter(|session| session.generation == found.seat.session_generation)
            .ok_or_else(unauthenticated)?;
        if found.seat.status != SeatStatus::Active {
            return Err(unauthenticated());
        }
        Ok(Self {
            contract: token.contract.clone(),
            actor: format!("seat:{}", found.seat.id),
            role: found.seat.role,
            signed_in: Some(Box::new(SignedIn {
                seat: found.seat,
                session,
                token,
            })),
        })
    }

    /// Returns the signed-in user.
    ///
    /// # Errors
    /// Returns `sign_in_required` for an API token.
    pub fn signed_in(&self) -> Result<&SignedIn, Problem> {
        signed_in(self.signed_in.as_deref())
    }
}

/// Returns the signed-in user of a caller.
///
/// # Errors
/// Returns `sign_in_required` for an API token: a person's own data needs the person.
pub fn signed_in(signed_in: Option<&SignedIn>) -> Result<&SignedIn, Problem> {
    signed_in.ok_or_else(|| {
        Problem::new(
            403,
            "sign_in_required",
            "This belongs to a person; an API token is none.",
            "Sign in to Leadbridge and use it in that browser.",
        )
    })
}

/// True if the browser's headers do not name a page other than ours as the origin of the request. A client
/// that is not a browser sends no such headers, and has to know the CSRF token nevertheless.
fn is_own_page(headers: &HeaderMap, public_url: &Url) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let own_origin = text("origin").is_none_or(|origin| {
        Url::parse(origin).is_ok_and(|origin| origin.origin() == public_url.origin())
    });
    own_origin && text("sec-fetch-site").is_none_or(|site| matches!(site, "same-origin" | "none"))
}

/// The problem of a caller whose role may not do this.
#[must_use]
pub fn role_not_allowed() -> Problem {
    Problem::new(
        403,
        "role_not_allowed",
        "Your role may not do this.",
        "Ask an administrator, or use an administrator's token.",
    )
}

fn csrf_token_needed() -> Problem {
    Problem::new(
        403,
        "csrf_token_needed",
        "A change that comes with a session's cookie has to come from Leadbridge's own page.",
        "Send the header X-CSRF-Token with the csrf_token of GET /api/v1/session.",
    )
    .with_field(CSRF_HEADER)
}

fn bearer(headers: &HeaderMap) -> Option<ApiToken> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    token.trim().parse().ok()
}

fn unauthenticated() -> Problem {
    Problem::new(
        401,
        "unauthenticated",
        "The request has no valid API token or session.",
        "Send the header Authorization: Bearer with a token of this contract, or sign in.",
    )
    .with_field("authorization")
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue, header};

    use super::{bearer, is_own_page};

    #[test]
    fn only_a_bearer_token_is_read() {
        let read = |value: &'static str| {
            let value = HeaderValue::from_static(value);
            bearer(&HeaderMap::from_iter([(header::AUTHORIZATION, value)])).is_some()
        };
        assert!(read("Bearer lbt.acme-1.main.0123456789abcdef"));
        assert!(read("bearer  lbt.acme-1.main.0123456789abcdef"));
        assert!(!read("Basic lbt.acme-1.main.0123456789abcdef"));
        assert!(!read("lbt.acme-1.main.0123456789abcdef"));
        assert!(!read("Bearer lbt.acme-1.main.short"));
        assert!(bearer(&HeaderMap::new()).is_none());
    }

    #[test]
    fn a_foreign_page_is_told_by_what_its_browser_says() {
        let own = |pairs: &[(&'static str, &'static str)]| {
            let headers = pairs.iter().map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            });
            is_own_page(
                &headers.collect(),
                &"https://leads.example/base".parse().unwrap(),
            )
        };
        assert!(own(&[]));
        assert!(own(&[
            ("origin", "https://leads.example"),
            ("sec-fetch-site", "same-origin")
        ]));
        assert!(!own(&[("origin", "https://evil.example")]));
        assert!(!own(&[("origin", "http://leads.example")]));
        assert!(!own(&[("origin", "null")]));
        assert!(!own(&[("sec-fetch-site", "cross-site")]));
        assert!(!own(&[("sec-fetch-site", "same-site")]));
    }
}
