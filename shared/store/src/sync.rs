//! Imports in the table: the run, its objects, and the history of runs.

use super::transaction::Action;
use super::work::WorkKind;
use super::{Store, StoreError, expire, keys, page_of, read, read_each, write};
use domain::clock::Millis;
use domain::contract::AuditEntry;
use domain::environment::Environment;
use domain::ids::ContractId;
use domain::sync::{ObjectSync, RunRecord, Sync};

/// Retention of a run in the history, in days.
const KEEP_RUNS_DAYS: i64 = 180;

impl Store {
    /// The import of an environment.
    pub async fn sync(
        &self,
        contract: &ContractId,
        environment: Environment,
    ) -> Result<Option<Sync>, StoreError> {
        self.get("sync", keys::sync(contract, environment), true)
            .await
    }

    /// A write of an import over the version before it. One that has work to do is in the index.
    pub(super) fn sync_put(
        &self,
        contract: &ContractId,
        sync: &Sync,
    ) -> Result<Action, StoreError> {
        let mut item = write("sync", sync, &keys::sync(contract, sync.environment))?;
        if sync.is_open() {
            WorkKind::Sync(sync.environment).index(&mut item, contract, sync.due_at);
        }
        self.versioned_put(item, sync.version)
    }

    /// Stores an import over the version before it.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if it was changed meanwhile.
    pub async fn put_sync(&self, contract: &ContractId, sync: &Sync) -> Result<(), StoreError> {
        self.transact(vec![self.sync_put(contract, sync)?]).await
    }

    /// The objects of an environment's CRM, as its imports have left them.
    pub async fn object_syncs(
        &self,
        contract: &ContractId,
        environment: Environment,
    ) -> Result<Vec<ObjectSync>, StoreError> {
        let (partition, prefix) = keys::object_syncs(contract, environment);
        let items = self.query_all(partition, prefix).await?.into_iter();
        items.map(|item| read("object sync", item)).collect()
    }

    /// Stores the progress of a run: the run, over the version before it, and objects of it, each over the
    /// version before it. All or nothing, and only while the connection to `organization` stands.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if another worker has taken the run or an object, or the connection
    /// is being ended: the caller must stop working on it.
    pub async fn checkpoint(
        &self,
        contract: &ContractId,
        organization: &str,
        sync: &Sync,
        objects: &[ObjectSync],
    ) -> Result<(), StoreError> {
        let environment = sync.environment;
        let mut items = vec![
            self.assume_connected(contract, environment, organization)?,
            self.sync_put(contract, sync)?,
        ];
        for object in objects {
            let key = keys::object_sync(contract, environment, &object.object);
            items.push(self.versioned_put(write("object sync", object, &key)?, object.version)?);
        }
        self.transact(items).await
    }

    /// Stores the end of a worker's step over the version before it, with the record of a run that ended with
    /// it. Independent of the connection's state.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if another worker has taken the run.
    pub async fn end_step(
        &self,
        contract: &ContractId,
        sync: &Sync,
        ended: Option<&RunRecord>,
    ) -> Result<(), StoreError> {
        let mut items = vec![self.sync_put(contract, sync)?];
        if let Some(ended) = ended {
            items.push(self.run_put(contract, ended)?);
        }
        self.transact(items).await
    }

    fn run_put(&self, contract: &ContractId, ended: &RunRecord) -> Result<Action, StoreError> {
        let key = keys::run(contract, ended.environment, ended.finished_at, ended.run);
        let mut item = write("import run", ended, &key)?;
        let keep = KEEP_RUNS_DAYS * 24 * 3600;
        expire(&mut item, ended.finished_at.plus_seconds(keep));
        self.put_action(item, None)
    }

    /// Stores the end of a run that a user stops, with the history's record and the audit entry.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if the run was changed meanwhile: read it again.
    pub async fn stop_sync(
        &self,
        contract: &ContractId,
        sync: &Sync,
        ended: &RunRecord,
        audit: &AuditEntry,
        unique: uuid::Uuid,
    ) -> Result<(), StoreError> {
        self.transact(vec![
            self.sync_put(contract, sync)?,
            self.run_put(contract, ended)?,
            self.audit_item(contract, audit, unique)?,
        ])
        .await
    }

    /// Finished runs, newest first, at most `limit`; only those that ended before `before`.
    pub async fn runs(
        &self,
        contract: &ContractId,
        environment: Environment,
        limit: i32,
        before: Option<Millis>,
    ) -> Result<Vec<RunRecord>, StoreError> {
        let (partition, from, to) = keys::runs(contract, environment, before);
        let newest_first = self.query_range(partition, from, to);
        let query = newest_first.scan_index_forward(false).limit(limit);
        let items = page_of(&query, None).await?.items;
        Ok(read_each("import run", items, |item| {
            read("import run", item)
        }))
    }
}
