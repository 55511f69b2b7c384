//! The caller of a route, and whether its role may (LG-1). A handler gets its caller only together
//! with the permission it needs, so no route can forget to ask.

use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use shared::api_auth::{self, SignedIn};
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
    StartSync,
    AuthorizeLinkedIn,
    ConnectCrm,
    ConnectOwnUser,
    ReadDirectory,
    ChangeDirectory,
    DecideMatches,
    LogActivities,
    KeepLists,
    ReadRoi,
    ManageSeats,
    ManageTokens,
    ManageContract,
    HandlePersonalData
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
    /// Its token's id, or `seat:` and its seat's id, for the audit log.
    pub(crate) actor: String,
    /// Its role.
    pub(crate) role: Role,
    signed_in: Option<Box<SignedIn>>,
    permission: PhantomData<P>,
}

impl<P> Caller<P> {
    /// The signed-in seat holder.
    ///
    /// # Errors
    /// `sign_in_required` for an API token.
    pub(crate) fn signed_in(&self) -> Result<&SignedIn, Problem> {
        api_auth::signed_in(self.signed_in.as_deref())
    }
}

impl<P: Needs> FromRequestParts<Arc<App>> for Caller<P> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let gate = api_auth::Gate {
            store: &app.remote.store,
            web_sessions: &app.remote.web_sessions,
            public_url: &app.public_url,
            now: app.remote.clock.now(),
        };
        let caller =
            api_auth::Caller::authenticate(&parts.method, &parts.headers, P::PERMISSION, gate)
                .await?;
        Ok(Self {
            contract: caller.contract,
            actor: caller.actor,
            role: caller.role,
            signed_in: caller.signed_in,
            permission: PhantomData,
        })
    }
}
