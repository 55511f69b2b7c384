//! Who calls, and whether its role may (LG-1). A handler gets its caller only together with the
//! permission it needs, so no route can forget to ask.

use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::header;
use http::request::Parts;
use shared::domain::ids::{ApiToken, ContractId};
use shared::domain::role::{Permission, Role};
use shared::problem::Problem;
use shared::signature::{secrets_equal, sha256_hex};

use crate::App;

/// A permission as a type.
pub(crate) trait Needs: Send + Sync {
    /// The permission; none lets every role in.
    const PERMISSION: Option<Permission>;
}

macro_rules! needs {
    ($($name:ident),*) => {
        $(
            /// The permission of that name.
            pub(crate) struct $name;
            impl Needs for $name {
                const PERMISSION: Option<Permission> = Some(Permission::$name);
            }
        )*
    };
}

needs!(
    ReadSubmissions,
    ReadConfiguration,
    ChangeConfiguration,
    SendAgain,
    StartSync
);

/// Every role.
pub(crate) struct AnyRole;

impl Needs for AnyRole {
    const PERMISSION: Option<Permission> = None;
}

/// An authenticated caller whose role has the permission `P`.
pub(crate) struct Caller<P> {
    /// The contract that its token opens: everything it sees and changes is of this contract.
    pub(crate) contract: ContractId,
    /// Its token's id, for the audit log.
    pub(crate) actor: String,
    /// Its role.
    pub(crate) role: Role,
    permission: PhantomData<P>,
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

impl<P: Needs> FromRequestParts<Arc<App>> for Caller<P> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let value = parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let token: ApiToken = value
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .and_then(|(_, token)| token.trim().parse().ok())
            .ok_or_else(unauthenticated)?;
        let record = app
            .remote
            .store
            .api_token(&token.contract, &token.id)
            .await
            .map_err(|error| crate::failed(&error))?
            .ok_or_else(unauthenticated)?;
        let right = secrets_equal(&record.secret_hash, &sha256_hex(&[token.secret.as_bytes()]));
        let alive = record
            .valid_until
            .is_none_or(|until| until > app.remote.clock.now());
        if !right || !alive {
            return Err(unauthenticated());
        }
        if let Some(permission) = P::PERMISSION
            && !record.role.may(permission)
        {
            return Err(Problem::new(
                403,
                "role_not_allowed",
                "The token's role may not do this.",
                "Use a token of an administrator, or ask one.",
            ));
        }
        Ok(Self {
            contract: token.contract,
            actor: token.id.to_string(),
            role: record.role,
            permission: PhantomData,
        })
    }
}
