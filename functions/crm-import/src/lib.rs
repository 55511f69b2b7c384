//! Reads the CRM's own metadata into the table: the lead fields that mappings offer and that
//! every value is checked against (LG-7).

pub mod config;

use serde::{Deserialize, Serialize};
use shared::cached::{Cached, SchemaError};
use shared::crm;
use shared::domain::ids::ContractId;
use shared::session::SessionError;
use shared::store::{ConnectionKind, StoreError};
use shared::wiring::{Remote, WiringError};

/// The schedule's payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Task {
    /// Read every connected CRM's lead fields anew.
    RefreshMetadata {
        /// Of this contract only.
        #[serde(default)]
        contract: Option<ContractId>,
    },
}

/// What a task did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Contracts whose lead fields were read.
    pub refreshed: usize,
    /// Contracts that have no CRM connected.
    pub not_connected: usize,
    /// Contracts whose CRM did not answer; what was read before stays.
    pub failed: usize,
}

/// What the function works with.
pub struct App {
    /// Table, vault, sessions.
    pub remote: Remote,
    cached: Cached,
}

impl App {
    /// The app over these parts.
    #[must_use]
    pub fn new(remote: Remote) -> Self {
        Self {
            cached: Cached::new(remote.store.clone()),
            remote,
        }
    }

    /// The app with real adapters.
    ///
    /// # Errors
    /// When the key file cannot be used.
    pub fn build(
        config: &config::Config,
        aws: &shared::aws::SdkConfig,
    ) -> Result<Self, WiringError> {
        Ok(Self::new(Remote::build(&config.remote, aws)?))
    }
}

/// Runs one task. One contract's trouble does not stop the others.
///
/// # Errors
/// When the table does not answer; the schedule then runs the task again.
pub async fn handle(app: &App, task: Task) -> Result<Outcome, StoreError> {
    let Task::RefreshMetadata { contract } = task;
    let contracts = match contract {
        Some(contract) => vec![contract],
        None => app.remote.store.contracts().await?,
    };
    let mut outcome = Outcome::default();
    for contract in contracts {
        let session = match app
            .remote
            .sessions
            .open(&contract, ConnectionKind::Crm)
            .await
        {
            Ok(session) => session,
            Err(SessionError::NotConnected) => {
                outcome.not_connected += 1;
                continue;
            }
            Err(error) => {
                outcome.failed += 1;
                tracing::warn!(%contract, error = &error as &dyn std::error::Error, "metadata not read this time");
                continue;
            }
        };
        let crm = crm::open(session);
        match app
            .cached
            .refresh_schema(&contract, crm.as_ref(), app.remote.clock.now())
            .await
        {
            Ok(_) => outcome.refreshed += 1,
            Err(SchemaError::Store(error)) => return Err(error),
            Err(SchemaError::Crm(error)) => {
                outcome.failed += 1;
                tracing::warn!(%contract, error = &error as &dyn std::error::Error, "metadata not read this time");
            }
        }
    }
    tracing::info!(?outcome, "metadata refresh ended");
    Ok(outcome)
}
