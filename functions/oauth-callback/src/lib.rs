//! Starts and completes every authorization-code flow (CN-3), with PKCE.
//!
//! `POST /oauth/{provider}/start` keeps an attempt and gives the address to send the browser to;
//! `GET /oauth/callback` is where the provider sends it back. An attempt is completed once, in
//! time, in the browser that started it, or not at all; until the last write nothing is changed
//! but the attempt itself.
//!
//! The browser is known by the cookie `__Host-lb_oauth`, which holds for one attempt: a second
//! start replaces it. That prefix asks for `Secure`. Over plain http a browser keeps such a cookie
//! only where it counts the address as trustworthy, and browsers differ on `localhost` and more so
//! on `127.0.0.1`; one that refuses it ends in `oauth_other_browser`. There is no weaker cookie to
//! fall back to: such a browser needs an https address.

pub mod config;

mod browser;
mod callback;
mod organization;
mod problems;
mod start;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use shared::domain::ids::ContractId;
use shared::domain::role::Permission;
use shared::domain::schema::CrmKind;
use shared::oauth;
use shared::outbound::Provider;
use shared::problem::Problem;
use shared::store::ConnectionKind;
use shared::wiring::{Remote, WiringError};
use url::Url;

/// Largest body of a start request, in bytes.
const MAX_BODY_BYTES: usize = 4 * 1024;

/// What the function works with.
pub struct App {
    /// Table, vault, providers.
    pub remote: Remote,
    /// The address that providers send the browser back to.
    pub public_url: Url,
}

impl App {
    /// The app over these parts.
    #[must_use]
    pub fn new(remote: Remote, public_url: Url) -> Self {
        Self { remote, public_url }
    }

    /// The app with real adapters.
    ///
    /// # Errors
    /// When the key file cannot be used.
    pub fn build(
        config: &config::Config,
        aws: &shared::aws::SdkConfig,
    ) -> Result<Self, WiringError> {
        let remote = Remote::build(&config.remote, aws)?;
        Ok(Self::new(remote, config.public_url.clone()))
    }

    /// Where a provider sends the browser back to: what its OAuth client has to list.
    fn redirect_uri(&self) -> String {
        let base = self.public_url.as_str().trim_end_matches('/');
        format!("{base}/oauth/callback")
    }

    /// Our OAuth client at a provider.
    async fn client(&self, provider: Provider) -> Result<oauth::App, Problem> {
        let client = self.remote.apps.app(provider).await;
        client.map_err(|error| problems::client(&error, provider))
    }

    /// A contract connects the CRM that it uses, and no other.
    async fn check_crm(&self, contract: &ContractId, provider: Provider) -> Result<(), Problem> {
        let found = self.remote.store.contract(contract).await;
        let crm = found
            .map_err(|error| problems::store(&error))?
            .ok_or_else(|| Problem::not_found("contract"))?
            .crm;
        let fits = match provider {
            Provider::Salesforce => crm == CrmKind::Salesforce,
            Provider::Dataverse => crm == CrmKind::Dynamics365,
            Provider::LinkedIn => true,
            Provider::Entra => false,
        };
        if fits {
            Ok(())
        } else {
            Err(problems::other_crm(crm, provider))
        }
    }
}

/// The function's routes.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/oauth/{provider}/start", post(start::start))
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
        .with_state(app)
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

/// The name people know.
const fn label(provider: Provider) -> &'static str {
    match provider {
        Provider::Salesforce => CrmKind::Salesforce.label(),
        Provider::Dataverse | Provider::Entra => CrmKind::Dynamics365.label(),
        Provider::LinkedIn => "LinkedIn",
    }
}

/// The connection that a provider serves.
const fn kind(provider: Provider) -> ConnectionKind {
    match provider {
        Provider::LinkedIn => ConnectionKind::LinkedIn,
        Provider::Salesforce | Provider::Dataverse | Provider::Entra => ConnectionKind::Crm,
    }
}

/// What connecting a provider asks of a role.
const fn permission(provider: Provider) -> Permission {
    match kind(provider) {
        ConnectionKind::Crm => Permission::ConnectCrm,
        ConnectionKind::LinkedIn => Permission::AuthorizeLinkedIn,
    }
}

#[cfg(test)]
mod tests {
    use shared::domain::role::Role;
    use shared::outbound::Provider;

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
    fn a_salesperson_authorises_linkedin_only_and_the_service_nothing() {
        let may = |role: Role, provider| role.may(permission(provider));
        for provider in [
            Provider::Salesforce,
            Provider::Dataverse,
            Provider::LinkedIn,
        ] {
            assert!(may(Role::Administrator, provider));
            assert_eq!(
                may(Role::Salesperson, provider),
                provider == Provider::LinkedIn
            );
            assert!(!may(Role::Service, provider));
        }
    }
}
