//! An import: taken under a lease, done, and its end kept.

use shared::cached::SchemaError;
use shared::clock::Millis;
use shared::crm::{self, failure};
use shared::crm_setup::{self, SetupError};
use shared::domain::environment::Environment;
use shared::domain::ids::ContractId;
use shared::domain::sync::{Sync, SyncState};
use shared::problem::Problem;
use shared::store::{ConnectionKind, StoreError};

use crate::App;

/// How long a worker may hold an import, in seconds: longer than the function's time-out.
const LEASE_SECONDS: i64 = 180;
/// After so many tries in a row that failed for the CRM's own trouble, a person is asked to look.
/// With the longest back-off that is about five hours.
const MAX_ATTEMPTS: u32 = 12;
/// Longest back-off between two tries, in seconds.
const MAX_BACK_OFF_SECONDS: i64 = 1800;

impl App {
    /// Brings an import to its end, or to where it has to wait.
    pub(crate) async fn sync(
        &self,
        contract: &ContractId,
        environment: Environment,
    ) -> Result<(), StoreError> {
        let Some(mut sync) = self.take(contract, environment).await? else {
            return Ok(());
        };
        let end = match self.import(contract, environment).await {
            Ok(()) => Ok(()),
            Err(SetupError::Store(error)) => return Err(error),
            Err(SetupError::Paused(until)) => {
                let problem = SetupError::Paused(until).problem();
                self.wait(contract, &mut sync, until, problem).await?;
                return Ok(());
            }
            Err(SetupError::Crm(problem)) => Err(*problem),
        };
        let now = self.now();
        match end {
            Ok(()) => {
                sync.state = SyncState::Succeeded;
                sync.last_success_at = Some(now);
                sync.problem = None;
            }
            Err(problem) if passes(&problem) && sync.attempts < MAX_ATTEMPTS => {
                let back_off = 30_i64
                    .saturating_mul(1 << sync.attempts.min(8))
                    .min(MAX_BACK_OFF_SECONDS);
                return self
                    .wait(contract, &mut sync, now.plus_seconds(back_off), problem)
                    .await;
            }
            Err(problem) => {
                tracing::warn!(%contract, %environment, code = problem.code, "the import needs a person");
                sync.state = SyncState::Failed;
                sync.problem = Some(problem);
            }
        }
        sync.finished_at = Some(now);
        sync.version += 1;
        self.remote.store.put_sync(contract, &sync).await
    }

    /// Takes an import that waits, or whose worker died.
    async fn take(
        &self,
        contract: &ContractId,
        environment: Environment,
    ) -> Result<Option<Sync>, StoreError> {
        let now = self.now();
        let Some(mut sync) = self.remote.store.sync(contract, environment).await? else {
            return Ok(None);
        };
        let free = match sync.state {
            SyncState::Queued => true,
            SyncState::Running => sync.due_at <= now,
            SyncState::Succeeded | SyncState::Failed | SyncState::Cancelled => false,
        };
        if !free {
            return Ok(None);
        }
        sync.state = SyncState::Running;
        sync.attempts += 1;
        sync.started_at = sync.started_at.or(Some(now));
        sync.due_at = now.plus_seconds(LEASE_SECONDS);
        sync.version += 1;
        self.remote.store.put_sync(contract, &sync).await?;
        Ok(Some(sync))
    }

    async fn wait(
        &self,
        contract: &ContractId,
        sync: &mut Sync,
        until: Millis,
        problem: Problem,
    ) -> Result<(), StoreError> {
        sync.state = SyncState::Queued;
        sync.due_at = until;
        sync.problem = Some(problem);
        sync.version += 1;
        self.remote.store.put_sync(contract, sync).await
    }

    async fn import(
        &self,
        contract: &ContractId,
        environment: Environment,
    ) -> Result<(), SetupError> {
        let report = crm_setup::check_access(&self.remote, contract, environment).await?;
        if !report.is_sufficient() {
            let missing = failure::unreadable_objects(&report.unreadable_required());
            return Err(SetupError::Crm(Box::new(missing)));
        }
        crm_setup::refresh_options(&self.remote, contract, environment).await?;
        if environment == Environment::Production {
            self.read_lead_fields(contract).await?;
        }
        Ok(())
    }

    /// Leads are written to production, so its lead fields are the ones that mappings offer.
    async fn read_lead_fields(&self, contract: &ContractId) -> Result<(), SetupError> {
        let session =
            crm_setup::open_session(&self.remote, contract, ConnectionKind::PRODUCTION).await?;
        let label = session.provider.label();
        let crm = crm::open(session);
        let read = self
            .cached
            .refresh_schema(contract, crm.as_ref(), self.now())
            .await;
        match read {
            Ok(_) => Ok(()),
            Err(SchemaError::Store(error)) => Err(error.into()),
            Err(SchemaError::Crm(error)) => Err(SetupError::of(&error, label)),
        }
    }
}

/// Whether a failure may pass by itself.
fn passes(problem: &Problem) -> bool {
    matches!(
        problem.code.as_str(),
        "could_not_connect" | "crm_api_error" | "oauth_app_refused"
    )
}
