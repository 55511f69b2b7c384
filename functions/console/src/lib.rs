//! The administrators' and sellers' API, under `/api/v1`, and their pages, under `/app`.
//!
//! Reads what the other functions stored; changes configuration by pure rules in one transaction.
//! Described by `/api/v1/openapi.json`, a file that is made from this code.

pub mod config;

mod auth;
mod described;
mod extract;
mod pages;
mod routes;
mod share;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::get;
use serde_json::Value;
use shared::cached::{Cached, SchemaError};
use shared::crm;
use shared::domain::contract::{AuditEntry, ContractConfig, Effect};
use shared::domain::ids::ContractId;
use shared::domain::schema::LeadSchema;
use shared::edge::{Edge, guarded};
use shared::problem::Problem;
use shared::queue::{ImportQueue, WritebackQueue};
use shared::store::{ChangeError, ConnectionKind};
use shared::texts::{self, Audience};
use shared::wiring::{Remote, WiringError};
use url::Url;

pub use described::DESCRIPTION;
pub use share::ActivityShare;

/// Largest body of an API request, in bytes.
const MAX_BODY_BYTES: usize = 256 * 1024;

/// The function's dependencies: the table, the vault, the sessions and the queues.
pub struct App {
    /// Table, vault, sessions.
    pub remote: Remote,
    /// The write-back queue: submissions are sent again through it.
    pub queue: WritebackQueue,
    /// The import queue: imports and ends of connections are announced on it.
    pub import_queue: ImportQueue,
    /// The address used by people and forms.
    pub public_url: Url,
    /// The layer around the routes.
    pub edge: Arc<Edge>,
    /// Counts of the activities that were put on the queue.
    pub activity_share: ActivityShare,
    cached: Cached,
}

impl App {
    /// The app over these parts.
    #[must_use]
    pub fn new(
        remote: Remote,
        queue: WritebackQueue,
        import_queue: ImportQueue,
        public_url: Url,
    ) -> Self {
        Self {
            cached: Cached::new(remote.store.clone()),
            remote,
            queue,
            import_queue,
            public_url,
            edge: Arc::new(Edge::new("console")),
            activity_share: ActivityShare::default(),
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
        let sqs = shared::aws::sqs(aws);
        let queue = WritebackQueue::new(sqs.clone(), config.writeback_queue_url.clone());
        let import_queue = ImportQueue::new(sqs, config.import_queue_url.clone());
        let app = Self::new(
            Remote::build(&config.remote, aws)?,
            queue,
            import_queue,
            config.public_url.clone(),
        );
        Ok(Self {
            edge: config.edge.clone(),
            ..app
        })
    }

    /// A contract's configuration as it stands now.
    pub(crate) async fn config(&self, contract: &ContractId) -> Result<ContractConfig, Problem> {
        let config = self
            .remote
            .store
            .config(contract)
            .await
            .map_err(|error| error.problem())?;
        config.ok_or_else(|| Problem::not_found("contract"))
    }

    /// A line for the audit log.
    pub(crate) fn audit(
        &self,
        actor: &str,
        action: &str,
        target: String,
        before: Value,
        after: Value,
    ) -> AuditEntry {
        AuditEntry {
            at: self.remote.clock.now(),
            actor: actor.to_owned(),
            action: action.to_owned(),
            target,
            before,
            after,
        }
    }

    /// Changes a contract's configuration by one rule, with an audit entry.
    pub(crate) async fn change(
        &self,
        contract: &ContractId,
        actor: &str,
        decide: impl FnMut(&mut ContractConfig) -> Result<Effect, Problem>,
    ) -> Result<ContractConfig, Problem> {
        let (now, unique) = (self.remote.clock.now(), self.remote.random.uuid());
        let changed = self
            .remote
            .store
            .change_config(contract, actor, now, unique, decide)
            .await;
        changed.map_err(|error| match error {
            ChangeError::Refused(problem) => problem,
            ChangeError::Store(error) => error.problem(),
        })
    }

    /// The CRM's lead fields: as stored, or from the CRM if they were never read or a refresh is asked for.
    pub(crate) async fn lead_schema(
        &self,
        contract: &ContractId,
        refresh: bool,
    ) -> Result<Arc<LeadSchema>, Problem> {
        if !refresh
            && let Some(schema) = self
                .remote
                .store
                .lead_schema(contract)
                .await
                .map_err(|error| error.problem())?
        {
            return Ok(Arc::new(schema));
        }
        let remote = self.config(contract).await?.contract.crm.label();
        let session = self
            .remote
            .sessions
            .open(contract, ConnectionKind::PRODUCTION)
            .await
            .map_err(|error| texts::session(&error, remote, Audience::Client))?;
        let crm = crm::open(session);
        let now = self.remote.clock.now();
        self.cached
            .refresh_schema(contract, crm.as_ref(), now)
            .await
            .map_err(|error| match error {
                SchemaError::Store(error) => error.problem(),
                SchemaError::Crm(error) => texts::crm(&error, remote, Audience::Client),
            })
    }
}

/// The function's routes.
pub fn router(app: Arc<App>) -> Router {
    let edge = app.edge.clone();
    let routes = Router::new()
        .nest("/api/v1", routes::all().router())
        .route("/api/v1/openapi.json", get(described::serve))
        .merge(pages::routes())
        .fallback(async || Problem::not_found("address"))
        .method_not_allowed_fallback(async || {
            Problem::new(
                405,
                "method_not_allowed",
                "This address does not take this method.",
                "See /api/v1/openapi.json.",
            )
        })
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(app);
    guarded(routes, edge)
}
