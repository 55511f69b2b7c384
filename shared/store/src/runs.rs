//! Runs that are neither imports nor link passes, in the table: the last of each kind, and the history.

use super::transaction::Action;
use super::work::WorkKind;
use super::{Store, StoreError, expire, keys, read, read_each, write};
use domain::contract::AuditEntry;
use domain::ids::ContractId;
use domain::run::{Run, RunId, RunKind};

/// Retention of a run in the history, in days.
const KEEP_RUNS_DAYS: i64 = 180;
const ENTITY: &str = "run";

impl Store {
    /// The last run of a kind, open or ended.
    pub async fn last_run(
        &self,
        contract: &ContractId,
        kind: RunKind,
    ) -> Result<Option<Run>, StoreError> {
        self.get(ENTITY, keys::last_run(contract, kind), true).await
    }

    /// A run, open, last or of the history.
    pub async fn run(&self, contract: &ContractId, id: RunId) -> Result<Option<Run>, StoreError> {
        let last = self.last_run(contract, id.kind).await?;
        if let Some(last) = last.filter(|last| last.number == id.number) {
            return Ok(Some(last));
        }
        self.get(ENTITY, keys::ended_run(contract, id), true).await
    }

    /// A contract's runs, newest first: the last of each kind, and those of the history.
    pub async fn all_runs(&self, contract: &ContractId) -> Result<Vec<Run>, StoreError> {
        let items = self.query_all(keys::other_runs(contract), "").await?;
        let mut runs: Vec<Run> = read_each(ENTITY, items, |item| read(ENTITY, item));
        runs.sort_by_key(|run| (std::cmp::Reverse(run.requested_at), run.kind, run.number));
        // One that ended is stored twice until the next of its kind.
        runs.dedup_by_key(|run| (run.kind, run.number));
        Ok(runs)
    }

    /// A write of a run over the version before it. One that has work to do is in the index.
    pub(super) fn run_put_action(
        &self,
        contract: &ContractId,
        run: &Run,
    ) -> Result<Action, StoreError> {
        let mut item = write(ENTITY, run, &keys::last_run(contract, run.kind))?;
        if run.is_open() {
            WorkKind::Run(run.kind).index(&mut item, contract, run.due_at);
        }
        self.versioned_put(item, run.version)
    }

    /// Stores a run over the version before it.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if another worker has taken it, or it was stopped: the caller must stop
    /// working on it.
    pub async fn put_run(&self, contract: &ContractId, run: &Run) -> Result<(), StoreError> {
        self.transact(vec![self.run_put_action(contract, run)?])
            .await
    }

    /// Stores a run that was asked for or stopped by a user, with its audit entry. One that ended goes into the
    /// history.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if it was changed meanwhile.
    pub async fn put_run_of_user(
        &self,
        contract: &ContractId,
        run: &Run,
        audit: &AuditEntry,
        unique: uuid::Uuid,
    ) -> Result<(), StoreError> {
        let mut actions = self.run_actions(contract, run)?;
        actions.push(self.audit_item(contract, audit, unique)?);
        self.transact(actions).await
    }

    /// Stores the end of a run, with its record in the history.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if another worker has taken it, or it was stopped.
    pub async fn end_run(&self, contract: &ContractId, run: &Run) -> Result<(), StoreError> {
        self.transact(self.run_actions(contract, run)?).await
    }

    fn run_actions(&self, contract: &ContractId, run: &Run) -> Result<Vec<Action>, StoreError> {
        let mut actions = vec![self.run_put_action(contract, run)?];
        if let Some(ended) = run.finished_at {
            let mut item = write(ENTITY, run, &keys::ended_run(contract, run.id()))?;
            expire(&mut item, ended.plus_seconds(KEEP_RUNS_DAYS * 24 * 3600));
            actions.push(self.put_action(item, None)?);
        }
        Ok(actions)
    }
}
