//! Starts and completes every authorization-code flow, with PKCE: connecting a CRM or LinkedIn
//! (CN-3), a seat holder's own sign-in to the CRM (CN-11), and signing in to Leadbridge.
//!
//! `POST /oauth/{provider}/start` and `POST /oauth/user/start` keep an attempt and give the address
//! to send the browser to; `GET /oauth/sign-in/{provider}` sends it there itself. `GET
//! /oauth/callback` is where the provider sends it back. An attempt is completed once, in time, in
//! the browser that started it, or not at all; until the last write nothing is changed but the
//! attempt itself.
//!
//! The browser is known by a cookie `__Host-lb_oauth_…`, one for each attempt. That prefix asks for
//! `Secure`. Over plain http Chromium keeps such a cookie at `localhost` and at `127.0.0.1`, and
//! sends it (`tests/browser`); a browser that refuses it ends in `oauth_other_browser`. There is no
//! weaker cookie to fall back to: such a browser needs an https address.

pub mod config;

mod attempt;
mod browser;
mod callback;
mod connect;
mod organization;
mod page;
mod problems;
mod sign_in;
mod start;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use http::{HeaderMap, Method};
use shared::api_auth::{Caller, Gate};
use shared::domain::ids::ContractId;
use shared::domain::role::Permission;
use shared::domain::schema::CrmKind;
use shared::edge::{Edge, guarded};
use shared::oauth;
use shared::outbound::Provider;
use shared::problem::Problem;
use shared::queue::ImportQueue;
use shared::store::ConnectionKind;
use shared::throttle::Throttle;
use shared::wiring::{Remote, WiringError};
use url::Url;

/// Largest body of a start request, in bytes.
const MAX_BODY_BYTES: usize = 4 * 1024;
/// The limit of sign-ins to one contract that one source may start in a minute. A start needs no credentials,
/// and each one stores an item for ten minutes.
const SIGN_INS_OF_A_SOURCE: u32 = 30;
/// Sign-ins to one contract that all sources together may start in a minute.
const SIGN_INS_OF_A_CONTRACT: u32 = 300;

/// The function's dependencies: the table, the vault, the providers and the import queue.
pub struct App {
    /// Table, vault, providers.
    pub remote: Remote,
    /// The import queue: a first import is announced on it.
    pub queue: ImportQueue,
    /// The address that providers send the browser back to.
    pub public_url: Url,
    /// The layer around the routes.
    pub edge: Arc<Edge>,
    sources: Throttle<(ContractId, IpAddr)>,
    contracts: Throttle<ContractId>,
}

impl App {
    /// The app over these parts.
    #[must_use]
    pub fn new(remote: Remote, queue: ImportQueue, public_url: Url) -> Self {
        Self {
            remote,
            queue,
            public_url,
            edge: Arc::new(Edge::new("oauth-callback")),
            sources: Throttle::new(SIGN_INS_OF_A_SOURCE),
            contracts: Throttle::new(SIGN_INS_OF_A_CONTRACT),
        }
    }

    /// The app with real adapters.
    ///
    /// # Errors
    /// Returns an error if the key file cannot be read or used.
    pub fn build(
        config: &config::Config,
        aws: &shared::aws::SdkConfig,
    ) -> Result<Self, WiringError> {
        let remote = Remote::build(&config.remote, aws)?;
        let queue = ImportQueue::new(shared::aws::sqs(aws), config.import_queue_url.clone());
        Ok(Self {
            edge: config.edge.clone(),
            ..Self::new(remote, queue, config.public_url.clone())
        })
    }

    /// The redirect URI: the address that a provider sends the browser back to, as its OAuth client has to
    /// list it.
    fn redirect_uri(&self) -> String {
        let base = self.public_url.as_str().trim_end_matches('/');
        format!("{base}/oauth/callback")
    }

    /// Our OAuth client at a provider.
    async fn client(&self, provider: Provider) -> Result<oauth::App, Problem> {
        let client = self.remote.apps.app(provider).await;
        client.map_err(|error| problems::client(&error, provider))
    }

    /// The authenticated caller of a request.
    async fn caller(
        &self,
        method: &Method,
        headers: &HeaderMap,
        needs: Option<Permission>,
    ) -> Result<Caller, Problem> {
        let gate = Gate {
            store: &self.remote.store,
            web_sessions: &self.remote.web_sessions,
            public_url: &self.public_url,
            now: self.remote.clock.now(),
        };
        Caller::authenticate(method, headers, needs, gate).await
    }

    /// The CRM that a contract uses.
    async fn crm(&self, contract: &ContractId) -> Result<CrmKind, Problem> {
        let found = self.remote.store.contract(contract).await;
        let contract = found
            .map_err(|error| problems::store(&error))?
            .ok_or_else(|| Problem::not_found("contract"))?;
        Ok(contract.crm)
    }

    /// A contract connects the CRM that it uses, and no other.
    async fn check_crm(&self, contract: &ContractId, provider: Provider) -> Result<(), Problem> {
        let crm = self.crm(contract).await?;
        match provider.crm() {
            Some(named) if named != crm => Err(problems::other_crm(crm, provider)),
            Some(_) | None => Ok(()),
        }
    }
}

/// The function's routes.
pub fn router(app: Arc<App>) -> Router {
    let edge = app.edge.clone();
    let routes = Router::new()
        .route("/oauth/{provider}/start", post(start::start))
        .route("/oauth/sign-in/{provider}", get(sign_in::start))
        .route("/oauth/callback", get(callback::callback))
        .fallback(async || Problem::not_found("address"))
        .method_not_allowed_fallback(async || {
            Problem::new(
                405,
                "method_not_allowed",
                "This address does not take this method.",
                "POST to start a connection; the provider's answer arrives by GET.",
            )
        })
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(app);
    guarded(routes, edge)
}

/// The provider that an address names. Entra is no provider of its own: it signs in for Dataverse.
fn provider_named(name: &str) -> Option<Provider> {
    [
        Provider::Salesforce,
        Provider::Dataverse,
        Provider::LinkedIn,
    ]
    .into_iter()
    .find(|provider| provider.as_str() == name)
}

/// The permission needed for making a connection.
const fn permission(kind: ConnectionKind) -> Permission {
    match kind {
        ConnectionKind::Crm(_) => Permission::ConnectCrm,
        ConnectionKind::LinkedIn => Permission::AuthorizeLinkedIn,
        ConnectionKind::User(..) => Permission::ConnectOwnUser,
    }
}

#[cfg(test)]
mod tests {
    use shared::domain::environment::Environment;
    use shared::domain::ids::SeatId;
    use shared::domain::role::Role;
    use shared::outbound::Provider;
    use shared::store::ConnectionKind;

    use super::{permission, provider_named};

    #[test]
    fn an_address_names_what_can_be_connected() {
        assert_eq!(provider_named("dataverse"), Some(Provider::Dataverse));
        assert_eq!(provider_named("linkedin"), Some(Provider::LinkedIn));
        for other in ["entra", "Salesforce", "", "callback"] {
            assert_eq!(provider_named(other), None, "{other}");
        }
    }

    #[test]
    fn a_salesperson_connects_linkedin_and_their_own_user_and_the_service_nothing() {
        let seat = SeatId(uuid::Uuid::nil());
        for (kind, salesperson) in [
            (ConnectionKind::PRODUCTION, false),
            (ConnectionKind::Crm(Environment::Sandbox), false),
            (ConnectionKind::LinkedIn, true),
            (ConnectionKind::User(seat, Environment::Production), true),
        ] {
            let may = |role: Role| role.may(permission(kind));
            assert!(may(Role::Administrator));
            assert_eq!(may(Role::Salesperson), salesperson);
            assert!(!may(Role::Service));
        }
    }
}
