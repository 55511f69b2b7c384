//! Learned models, version by version, and match rates over time (MA-3, MA-5).

use matching::Model;
use serde::{Deserialize, Serialize};

use super::super::{Store, StoreError, expire, keys, page_of, read, read_each, write};
use domain::clock::Millis;
use domain::directory::{EntryKind, Rates};
use domain::ids::ContractId;

const MODEL: &str = "model";
const RATES: &str = "match rates";
/// Number of versions of a model that are kept.
const KEEP_MODELS: u32 = 20;
/// Retention of match rates, in days: two years.
const KEEP_RATES_DAYS: i64 = 731;

/// A stored model: its document as JSON text.
#[derive(Serialize, Deserialize)]
struct Document {
    version: u32,
    at: Millis,
    json: String,
}

/// A stored version of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct StoredModel {
    /// The version.
    pub version: u32,
    /// Time of learning.
    #[cfg_attr(feature = "http-api", schema(value_type = i64))]
    pub at: Millis,
}

impl Store {
    /// The model that the contract uses for a kind; `None` before the first one was learned.
    pub async fn model(
        &self,
        contract: &ContractId,
        kind: EntryKind,
    ) -> Result<Option<Model>, StoreError> {
        self.model_at(keys::current_model(contract, kind)).await
    }

    /// A version of a kind's model, if it is still stored.
    pub async fn model_version(
        &self,
        contract: &ContractId,
        kind: EntryKind,
        version: u32,
    ) -> Result<Option<Model>, StoreError> {
        self.model_at(keys::model(contract, kind, version)).await
    }

    async fn model_at(&self, key: keys::Key) -> Result<Option<Model>, StoreError> {
        let found: Option<Document> = self.get(MODEL, key, true).await?;
        let model = found.map(|found| serde_json::from_str(&found.json));
        model.transpose().map_err(|error| StoreError::Corrupt {
            entity: MODEL,
            source: Box::new(serde::de::Error::custom(error)),
        })
    }

    /// The stored versions of a kind's model, newest first.
    pub async fn model_versions(
        &self,
        contract: &ContractId,
        kind: EntryKind,
    ) -> Result<Vec<StoredModel>, StoreError> {
        let (partition, prefix) = keys::models(contract, kind);
        let query = self
            .query_prefix(partition, prefix)
            .projection_expression("PK, SK, #version, #at")
            .expression_attribute_names("#version", "version")
            .expression_attribute_names("#at", "at")
            .scan_index_forward(false);
        let items = super::super::all_pages(&query).await?;
        Ok(read_each(MODEL, items, |item| read(MODEL, item)))
    }

    /// Stores a model as the one in use, and deletes the twentieth before it.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if its version does not follow that of the one in use (1 is the
    /// first).
    pub async fn put_model(
        &self,
        contract: &ContractId,
        kind: EntryKind,
        model: &Model,
        now: Millis,
    ) -> Result<(), StoreError> {
        let document = Document {
            version: model.version,
            at: now,
            json: serde_json::to_string(model).map_err(StoreError::malformed)?,
        };
        let current = write(MODEL, &document, &keys::current_model(contract, kind))?;
        let kept = write(
            MODEL,
            &document,
            &keys::model(contract, kind, model.version),
        )?;
        let mut actions = vec![
            self.versioned_put(current, u64::from(model.version))?,
            self.put_action(kept, None)?,
        ];
        if let Some(old) = model
            .version
            .checked_sub(KEEP_MODELS)
            .filter(|old| *old > 0)
        {
            let key = keys::model(contract, kind, old);
            actions.push(self.delete_action(key.attributes(), None)?);
        }
        self.transact(actions).await
    }

    /// Stores the match rates of a link pass, for two years.
    pub async fn put_rates(&self, contract: &ContractId, rates: &Rates) -> Result<(), StoreError> {
        self.put(rates_item(contract, rates)?).await
    }

    /// Match rates of link passes, newest first, at most `limit`; only those before `before`.
    pub async fn rates(
        &self,
        contract: &ContractId,
        limit: i32,
        before: Option<Millis>,
    ) -> Result<Vec<Rates>, StoreError> {
        let (partition, from, to) = keys::rates_before(contract, before);
        let newest_first = self.query_range(partition, from, to);
        let query = newest_first.scan_index_forward(false).limit(limit);
        let items = page_of(&query, None).await?.items;
        Ok(read_each(RATES, items, |item| read(RATES, item)))
    }
}

pub(super) fn rates_item(
    contract: &ContractId,
    rates: &Rates,
) -> Result<super::super::Item, StoreError> {
    let mut item = write(RATES, rates, &keys::rates(contract, rates.at))?;
    expire(
        &mut item,
        rates.at.plus_seconds(KEEP_RATES_DAYS * 24 * 3600),
    );
    Ok(item)
}
