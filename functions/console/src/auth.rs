//! The caller of a route, and whether its role may (LG-1). A handler gets its caller only together
//! with the permission it needs, so no route can forget to ask.

use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use shared::api_auth;
use shared::domain::ids::ContractId;
use shared::domain::role::{Permission, Role};
use shared::problem::Problem;

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

impl<P: Needs> FromRequestParts<Arc<App>> for Caller<P> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let (store, now) = (&app.remote.store, app.remote.clock.now());
        let caller =
            api_auth::Caller::authenticate(&parts.headers, P::PERMISSION, store, now).await?;
        Ok(Self {
            contract: caller.contract,
            actor: caller.actor,
            role: caller.role,
            permission: PhantomData,
        })
    }
}
