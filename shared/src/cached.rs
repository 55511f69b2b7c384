//! Configuration and metadata as the workers see them: read from the table, kept for a short time.

use std::sync::Arc;

use matching::Model;

use crate::cache::TtlCache;
use crate::clock::Millis;
use crate::crm::{Crm, CrmError};
use crate::domain::contract::ContractConfig;
use crate::domain::directory::EntryKind;
use crate::domain::environment::Environment;
use crate::domain::ids::ContractId;
use crate::domain::schema::LeadSchema;
use crate::store::{Store, StoreError};

/// Maximum delay until a changed strategy or mapping takes effect, in seconds.
const CONFIG_FRESH_SECONDS: i64 = 5;
/// Maximum delay until changed metadata in the table takes effect, in seconds.
const SCHEMA_FRESH_SECONDS: i64 = 60;
/// Age at which metadata is read from the CRM again, in seconds.
const SCHEMA_STALE_SECONDS: i64 = 24 * 3600;
/// Maximum time for which entries may still be linked by the model before the last learned one, in seconds.
/// The pass that learned a model has linked all entries by it.
const MODEL_FRESH_SECONDS: i64 = 300;
/// Maximum number of cached models: one takes up to a megabyte.
const MOST_MODELS: usize = 16;

/// Caches over the table.
pub struct Cached {
    store: Store,
    configs: TtlCache<ContractId, Arc<ContractConfig>>,
    schemas: TtlCache<ContractId, Arc<LeadSchema>>,
    organizations: TtlCache<ContractId, Option<String>>,
    models: TtlCache<(ContractId, EntryKind), Arc<Model>>,
}

/// The reason why metadata could not be obtained.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The table did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The CRM did not return it.
    #[error(transparent)]
    Crm(#[from] CrmError),
}

impl Cached {
    /// Caches over this table.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self {
            store,
            configs: TtlCache::new(CONFIG_FRESH_SECONDS),
            schemas: TtlCache::new(SCHEMA_FRESH_SECONDS),
            organizations: TtlCache::new(CONFIG_FRESH_SECONDS),
            models: TtlCache::of_at_most(MOST_MODELS, MODEL_FRESH_SECONDS),
        }
    }

    /// A contract's configuration; `None` when there is no such contract.
    pub async fn config(
        &self,
        contract: &ContractId,
        now: Millis,
    ) -> Result<Option<Arc<ContractConfig>>, StoreError> {
        if let Some((config, _)) = self.configs.get(contract, now) {
            return Ok(Some(config));
        }
        let config = self.store.config(contract).await?.map(Arc::new);
        if let Some(config) = &config {
            self.configs.put(contract.clone(), config.clone(), now);
        }
        Ok(config)
    }

    /// The organisation that production is connected to; `None` if it is not connected.
    pub async fn organization(
        &self,
        contract: &ContractId,
        now: Millis,
    ) -> Result<Option<String>, StoreError> {
        if let Some((organization, _)) = self.organizations.get(contract, now) {
            return Ok(organization);
        }
        let environment = Environment::Production;
        let organization = self.store.organization(contract, environment).await?;
        self.organizations
            .put(contract.clone(), organization.clone(), now);
        Ok(organization)
    }

    /// Forgets the cached organisation, so that the next request checks whether production is still
    /// connected.
    pub fn forget_organization(&self, contract: &ContractId) {
        self.organizations.forget(contract);
    }

    /// The model that links a kind of entries: the learned one, or the shipped one.
    pub async fn model(
        &self,
        contract: &ContractId,
        kind: EntryKind,
        now: Millis,
    ) -> Result<Arc<Model>, StoreError> {
        let key = (contract.clone(), kind);
        if let Some((model, _)) = self.models.get(&key, now) {
            return Ok(model);
        }
        let learned = self.store.model(contract, kind).await?;
        let model = Arc::new(learned.unwrap_or_else(|| Model::shipped(kind.matching())));
        self.models.put(key, model.clone(), now);
        Ok(model)
    }

    /// The CRM's lead fields: from memory, from the table, or from the CRM if the table's are older than a
    /// day.
    pub async fn schema(
        &self,
        contract: &ContractId,
        crm: &dyn Crm,
        now: Millis,
    ) -> Result<Arc<LeadSchema>, SchemaError> {
        if let Some((schema, _)) = self.schemas.get(contract, now) {
            return Ok(schema);
        }
        if let Some(schema) = self.store.lead_schema(contract).await?
            && now.since(schema.fetched_at) < SCHEMA_STALE_SECONDS * 1000
        {
            let schema = Arc::new(schema);
            self.schemas.put(contract.clone(), schema.clone(), now);
            return Ok(schema);
        }
        self.refresh_schema(contract, crm, now).await
    }

    /// Reads the CRM's lead fields from the CRM now, and stores them.
    pub async fn refresh_schema(
        &self,
        contract: &ContractId,
        crm: &dyn Crm,
        now: Millis,
    ) -> Result<Arc<LeadSchema>, SchemaError> {
        let schema = Arc::new(crm.lead_schema(now).await?);
        let organization = crm.organization();
        let kept = self.store.put_lead_schema(contract, organization, &schema);
        match kept.await {
            // Larger than the table accepts: it is read again when it is next needed.
            Err(error) if !error.passes() => error.log(),
            kept => kept?,
        }
        self.schemas.put(contract.clone(), schema.clone(), now);
        Ok(schema)
    }
}
