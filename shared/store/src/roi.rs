//! The attributions of opportunities, the reports that were kept of them, and the acts of seat holders towards
//! people that they are made of (RO-1).
//!
//! Attributions and reports are computed from the CRM's records: each is written on the condition that the
//! connection stands, and a clean-up empties them. An act holds ids and a time, and belongs to the contract.

use std::collections::{BTreeMap, HashMap};

use futures::future::BoxFuture;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::batch::{WRITES_AT_ONCE, Write};
use super::{Page, Store, StoreError, all_pages, keys, page_of, read, read_each, write};
use domain::clock::Millis;
use domain::directory::{EntryId, RecordRef};
use domain::environment::Environment;
use domain::ids::{ContractId, SeatId};
use domain::roi::{Attribution, Facts, Rates, RoiQuestion, RoiRow, Touch, TouchKind, month_of};

pub use keys::ROI_SHARDS;

const ATTRIBUTION: &str = "attribution of an opportunity";
const STATE: &str = "state of attributions";
const REPORT: &str = "kept report";
const REACH: &str = "act towards a person";
const PRODUCTION: Environment = Environment::Production;
/// Attributions of one transaction, with the condition on the connection.
const WRITE_TOGETHER: usize = 50;

/// The settings and rates that the last run used.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RoiState {
    /// The settings and rules by which all opportunities were looked at.
    pub applied: String,
    /// The imported rates.
    pub rates: Rates,
    /// Time of the end of the run; `None` before the first.
    pub at: Option<Millis>,
}

/// An act of a seat holder towards a person of the directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    /// Time of it.
    pub at: Millis,
    /// Its kind.
    pub kind: TouchKind,
    /// Its id: of the activity, or of the list.
    pub id: String,
    /// The seat holder.
    pub seat: SeatId,
}

impl Reach {
    /// The touch of a record's person.
    #[must_use]
    pub fn touch(self, record: &RecordRef) -> Touch {
        Touch {
            at: self.at,
            kind: self.kind,
            id: self.id,
            record: record.clone(),
            seat: Some(self.seat),
            source: None,
            form: None,
            campaign: None,
        }
    }
}

/// A report as it was when it was kept, with its definitions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptReport {
    /// Its id; empty before it is stored.
    #[serde(default)]
    pub id: String,
    /// Its name.
    pub name: String,
    /// Time of keeping.
    pub at: Millis,
    /// The keeper: a token's id, or `seat:` and a seat's id.
    pub by: String,
    /// The definitions.
    pub question: RoiQuestion,
    /// The field with the value of won opportunities; `None` for the CRM's usual one.
    #[serde(default)]
    pub value_field: Option<String>,
    /// The rates.
    pub rates: Rates,
    /// Time of the attributions.
    #[serde(default)]
    pub as_of: Option<Millis>,
    /// The figures of all.
    pub total: RoiRow,
    /// The figures of each period and group.
    pub rows: Vec<RoiRow>,
}

fn key_of(contract: &ContractId, facts: &Facts) -> keys::Key {
    let month = month_of(facts.opened);
    keys::attribution(contract, PRODUCTION, &month, &facts.id)
}

fn attribution(item: super::Item) -> Result<Attribution, StoreError> {
    read(ATTRIBUTION, item)
}

impl Store {
    /// Stores acts of seat holders towards people; one that is stored stays as it is, or gets the same again.
    pub async fn put_reaches(
        &self,
        contract: &ContractId,
        reaches: &[(EntryId, Reach)],
    ) -> Result<(), StoreError> {
        let mut items = BTreeMap::new();
        for (entry, reach) in reaches {
            let key = keys::reach(contract, *entry, reach.kind.as_str(), &reach.id);
            let item = write(REACH, reach, &key)?;
            items.insert((key.pk, key.sk), item);
        }
        let writes: Result<Vec<Write>, StoreError> = items.into_values().map(Write::put).collect();
        self.write_all(writes?, WRITES_AT_ONCE).await
    }

    /// The acts of seat holders towards a person.
    pub async fn reaches(
        &self,
        contract: &ContractId,
        entry: EntryId,
    ) -> Result<Vec<Reach>, StoreError> {
        let (partition, prefix) = keys::reaches(contract, entry);
        let items = self.query_all(partition, &prefix).await?;
        Ok(read_each(REACH, items, |item| read(REACH, item)))
    }

    /// Deletes the acts of seat holders towards a person who is taken out of the directory.
    pub(super) async fn forget_reaches(
        &self,
        contract: &ContractId,
        entry: EntryId,
    ) -> Result<(), StoreError> {
        let (partition, prefix) = keys::reaches(contract, entry);
        // No kind sorts behind it.
        let end = format!("{prefix}~");
        self.delete_range(&partition, &prefix, &end).await
    }

    /// The settings and rates that the last run used.
    pub async fn roi_state(&self, contract: &ContractId) -> Result<RoiState, StoreError> {
        let found = self.get(STATE, keys::roi_state(contract), true);
        Ok(found.await?.unwrap_or_default())
    }

    /// Stores the settings and rates that a run used, while the connection to that organisation stands.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if it does not.
    pub async fn put_roi_state(
        &self,
        contract: &ContractId,
        organization: &str,
        state: &RoiState,
    ) -> Result<(), StoreError> {
        let item = write(STATE, state, &keys::roi_state(contract))?;
        self.transact(vec![
            self.assume_connected(contract, PRODUCTION, organization)?,
            self.put_action(item, None)?,
        ])
        .await
    }

    /// The attributions of opportunities of these facts, by the opportunity's id.
    pub async fn attributions_of(
        &self,
        contract: &ContractId,
        facts: &[&Facts],
    ) -> Result<HashMap<String, Attribution>, StoreError> {
        let wanted = facts.iter().map(|facts| key_of(contract, facts));
        let wanted: Vec<_> = wanted.map(|key| key.attributes()).collect();
        let found = read_each(ATTRIBUTION, self.read_many(wanted).await?, attribution);
        let found = found.into_iter();
        Ok(found.map(|one| (one.facts.id.clone(), one)).collect())
    }

    /// Stores attributions, while the connection to that organisation stands.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if it does not.
    pub async fn put_attributions(
        &self,
        contract: &ContractId,
        organization: &str,
        attributions: &[Attribution],
    ) -> Result<(), StoreError> {
        for together in attributions.chunks(WRITE_TOGETHER) {
            let mut actions = vec![self.assume_connected(contract, PRODUCTION, organization)?];
            for one in together {
                let item = write(ATTRIBUTION, one, &key_of(contract, &one.facts))?;
                actions.push(self.put_action(item, None)?);
            }
            self.transact(actions).await?;
        }
        Ok(())
    }

    /// Removes attributions.
    pub async fn remove_attributions(
        &self,
        contract: &ContractId,
        attributions: &[&Attribution],
    ) -> Result<(), StoreError> {
        let keys = attributions.iter().map(|one| key_of(contract, &one.facts));
        let deletes: Result<Vec<Write>, StoreError> =
            keys.map(|key| Write::delete(key.attributes())).collect();
        self.write_all(deletes?, WRITES_AT_ONCE).await
    }

    /// A page of a shard's attributions, from the beginning or after a page's `next`.
    pub async fn attribution_page(
        &self,
        contract: &ContractId,
        shard: u32,
        after: Option<&str>,
        limit: i32,
    ) -> Result<Page<Attribution>, StoreError> {
        let pk = keys::roi_partition(contract, PRODUCTION, shard);
        let start = after.map(|sk| {
            let (pk, sk) = (pk.clone(), sk.to_owned());
            keys::Key { pk, sk }.attributes()
        });
        let query = self.query_partition(&pk).limit(limit);
        let page = page_of(&query, start).await?;
        let last = page.next.as_ref().and_then(|key| key.get("SK"));
        Ok(Page {
            next: last.and_then(|sk| sk.as_s().ok()).cloned(),
            items: read_each(ATTRIBUTION, page.items, attribution),
        })
    }

    /// The attributions of the opportunities that were opened from one month to another, `YYYY-MM`, both
    /// included, in no particular order. One query of each shard.
    pub async fn attributions(
        &self,
        contract: &ContractId,
        from: &str,
        to: &str,
    ) -> Result<Vec<Attribution>, StoreError> {
        // Boxed one by one: a closure over them would be too general for a future that threads share.
        let mut readings: Vec<BoxFuture<'_, Result<Vec<Attribution>, StoreError>>> = Vec::new();
        for shard in 0..ROI_SHARDS {
            let pk = keys::roi_partition(contract, PRODUCTION, shard);
            // No id sorts behind it.
            let query = self.query_range(pk, format!("{from}#"), format!("{to}#~"));
            readings.push(Box::pin(async move {
                let items = all_pages(&query).await?;
                Ok(read_each(ATTRIBUTION, items, attribution))
            }));
        }
        let shards: Vec<Vec<Attribution>> = stream::iter(readings)
            .buffer_unordered(8)
            .try_collect()
            .await?;
        Ok(shards.into_iter().flatten().collect())
    }

    /// Keeps a report, while the connection to that organisation stands. Returns its id.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if it does not.
    pub async fn keep_report(
        &self,
        contract: &ContractId,
        organization: &str,
        report: &KeptReport,
        unique: Uuid,
    ) -> Result<String, StoreError> {
        let id = keys::roi_report_name(report.at, unique);
        let report = KeptReport {
            id: id.clone(),
            ..report.clone()
        };
        let key = keys::roi_report(contract, PRODUCTION, &id);
        self.transact(vec![
            self.assume_connected(contract, PRODUCTION, organization)?,
            self.put_action(write(REPORT, &report, &key)?, None)?,
        ])
        .await?;
        Ok(id)
    }

    /// A report that was kept.
    pub async fn kept_report(
        &self,
        contract: &ContractId,
        id: &str,
    ) -> Result<Option<KeptReport>, StoreError> {
        let key = keys::roi_report(contract, PRODUCTION, id);
        self.get(REPORT, key, true).await
    }

    /// A page of the reports that were kept, the newest first, from the beginning or after a page's `next`.
    pub async fn kept_reports(
        &self,
        contract: &ContractId,
        after: Option<&str>,
        limit: i32,
    ) -> Result<Page<KeptReport>, StoreError> {
        let pk = keys::roi_reports(contract, PRODUCTION);
        let start = after.map(|id| keys::roi_report(contract, PRODUCTION, id).attributes());
        let query = self.query_partition(&pk).scan_index_forward(false);
        let page = page_of(&query.limit(limit), start).await?;
        let last = page.next.as_ref().and_then(|key| key.get("SK"));
        Ok(Page {
            next: last.and_then(|sk| sk.as_s().ok()).cloned(),
            items: read_each(REPORT, page.items, |item| read(REPORT, item)),
        })
    }
}
