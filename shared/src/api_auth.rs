//! Who calls, by the API token of the request, and what its role lets it do (LG-1).

use http::{HeaderMap, header};

use crate::clock::Millis;
use crate::domain::ids::{ApiToken, ContractId};
use crate::domain::role::{Permission, Role};
use crate::problem::Problem;
use crate::signature::{secrets_equal, sha256_hex};
use crate::store::Store;

/// An authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The contract that its token opens: everything it sees and changes is of this contract.
    pub contract: ContractId,
    /// Its token's id, for the audit log.
    pub actor: String,
    /// Its role.
    pub role: Role,
}

impl Caller {
    /// The caller that `Authorization: Bearer` proves, if its role has the permission it needs;
    /// `None` lets every role in.
    ///
    /// # Errors
    /// 401 for a token that is missing, malformed, unknown, wrong or past its end: they read the
    /// same. 403 for a role without the permission. 503 when the table does not answer.
    pub async fn authenticate(
        headers: &HeaderMap,
        needs: Option<Permission>,
        store: &Store,
        now: Millis,
    ) -> Result<Self, Problem> {
        let token = bearer(headers).ok_or_else(unauthenticated)?;
        let record = store
            .api_token(&token.contract, &token.id)
            .await
            .map_err(|error| error.problem())?
            .ok_or_else(unauthenticated)?;
        let right = secrets_equal(&record.secret_hash, &sha256_hex(&[token.secret.as_bytes()]));
        let alive = record.valid_until.is_none_or(|until| until > now);
        if !right || !alive {
            return Err(unauthenticated());
        }
        if !needs.is_none_or(|permission| record.role.may(permission)) {
            return Err(role_not_allowed());
        }
        Ok(Self {
            contract: token.contract,
            actor: token.id.to_string(),
            role: record.role,
        })
    }
}

fn role_not_allowed() -> Problem {
    Problem::new(
        403,
        "role_not_allowed",
        "The token's role may not do this.",
        "Use a token of an administrator, or ask one.",
    )
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
        "The request has no valid API token.",
        "Send the header Authorization: Bearer with a token of this contract.",
    )
    .with_field("authorization")
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};

    use super::bearer;

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
}
