//! Wiring of the functions that call providers: the same parts, made once per process.

use std::sync::Arc;

use crate::aws::SdkConfig;
use crate::clock::{Clock, SystemClock};
use crate::config::{ConfigError, Source};
use crate::oauth::id_token::IdTokens;
use crate::oauth::{AppsSpec, OAuthApps};
use crate::outbound::{AllowList, Endpoints, Outbound};
use crate::random::{Random, SystemRandom};
use crate::session::Sessions;
use crate::store::Store;
use crate::vault::{Vault, VaultError, VaultSpec};
use crate::web_session::WebSessions;

/// The configuration for calling providers.
#[derive(Debug, Clone)]
pub struct RemoteConfig {
    /// `LEADBRIDGE_TABLE`: the table's name.
    pub table: String,
    /// `LEADBRIDGE_VAULT`: the place of the key that seals secrets.
    pub vault: VaultSpec,
    /// `LEADBRIDGE_OAUTH_APPS`: the place of our OAuth clients' credentials.
    pub oauth_apps: AppsSpec,
    /// `LEADBRIDGE_OUTBOUND_ALLOW`: origins that may be called beside the providers' own.
    pub allow: AllowList,
    /// The providers' fixed addresses.
    pub endpoints: Endpoints,
}

impl RemoteConfig {
    /// Reads the configuration.
    ///
    /// # Errors
    /// Returns an error that names the missing or malformed variable.
    pub fn from_source(source: &Source) -> Result<Self, ConfigError> {
        Ok(Self {
            table: source.required("LEADBRIDGE_TABLE")?,
            vault: source.parsed("LEADBRIDGE_VAULT")?,
            oauth_apps: source.parsed("LEADBRIDGE_OAUTH_APPS")?,
            allow: source.allow_list()?,
            endpoints: source.endpoints()?,
        })
    }
}

/// The parts themselves. Tests replace those that they watch.
#[derive(Clone)]
pub struct Remote {
    /// The table.
    pub store: Store,
    /// Seals and opens secrets.
    pub vault: Arc<Vault>,
    /// Calls to the outside.
    pub outbound: Outbound,
    /// Our OAuth clients.
    pub apps: Arc<OAuthApps>,
    /// Authenticated calls.
    pub sessions: Sessions,
    /// Verifies identity tokens.
    pub id_tokens: Arc<IdTokens>,
    /// Sessions of signed-in people.
    pub web_sessions: Arc<WebSessions>,
    /// The providers' fixed addresses.
    pub endpoints: Endpoints,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
}

/// The reason why the parts could not be made.
#[derive(Debug, thiserror::Error)]
pub enum WiringError {
    /// The vault's key cannot be used.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl Remote {
    /// Creates the parts with real adapters.
    pub fn build(config: &RemoteConfig, aws: &SdkConfig) -> Result<Self, WiringError> {
        let outbound = Outbound::new(config.allow.clone());
        let store = Store::new(crate::aws::dynamodb(aws), config.table.clone());
        Self::with(config, aws, store, outbound, Arc::new(SystemClock))
    }

    /// Creates the parts with a given table, outbound client and clock.
    pub fn with(
        config: &RemoteConfig,
        aws: &SdkConfig,
        store: Store,
        outbound: Outbound,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, WiringError> {
        let random: Arc<dyn Random> = Arc::new(SystemRandom);
        let vault = Arc::new(Vault::from_spec(&config.vault, aws, random.clone())?);
        let apps = Arc::new(OAuthApps::new(config.oauth_apps.clone(), aws));
        let sessions = Sessions::new(
            store.clone(),
            vault.clone(),
            outbound.clone(),
            apps.clone(),
            clock.clone(),
            random.clone(),
        );
        let web_sessions = WebSessions::new(store.clone(), vault.clone(), random.clone());
        Ok(Self {
            store,
            vault,
            outbound,
            apps,
            sessions,
            id_tokens: Arc::default(),
            web_sessions: Arc::new(web_sessions),
            endpoints: config.endpoints.clone(),
            clock,
            random,
        })
    }
}
