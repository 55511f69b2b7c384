//! Retention: the contract's settings, and the time to live of the submissions that are stored.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::{Item, Store, StoreError, keys, number, page_of, schema, text};
use domain::clock::Millis;
use domain::contract::{AuditEntry, Contract};
use domain::ids::{ContractId, SubmissionId};
use domain::run::Run;
use domain::submission::State;

/// Submissions that a page changes.
const PAGE: i32 = 200;
/// Changes in flight.
const AT_ONCE: usize = 16;

/// The result of a page of changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionPage {
    /// Number of submissions that were changed.
    pub changed: u64,
    /// The start of the next page; `None` after the last.
    pub next: Option<String>,
}

impl Store {
    /// Stores the settings for how long things are kept, the runs that apply them to what is stored, and the
    /// audit entry: all or nothing. `contract` has the next version of the configuration.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if the configuration or a run was changed meanwhile.
    pub async fn change_retention(
        &self,
        contract: &Contract,
        runs: &[Run],
        audit: &AuditEntry,
        unique: uuid::Uuid,
    ) -> Result<(), StoreError> {
        let before = contract.config_version.saturating_sub(1);
        let mut actions = vec![
            self.contract_put(contract, before)?,
            self.audit_item(&contract.id, audit, unique)?,
        ];
        for run in runs {
            actions.push(self.run_put_action(&contract.id, run)?);
        }
        self.transact(actions).await
    }

    /// Sets the time to live of a page of submissions, the newest first, by the time at which each was
    /// received. `cursor` is the `next` of the page before.
    ///
    /// The version of a submission stays: a worker that has taken one since the setting was changed writes the
    /// same time itself.
    pub async fn set_retention(
        &self,
        contract: &Contract,
        cursor: Option<&str>,
    ) -> Result<RetentionPage, StoreError> {
        let id = &contract.id;
        let partition = keys::submissions_index(id);
        let start = cursor
            .and_then(submission_at)
            .map(|(_, submission)| submission)
            .zip(cursor)
            .map(|(submission, order)| {
                keys::LISTS.start(&keys::submission(id, submission), &partition, order)
            });
        let query = self
            .query_index(&keys::LISTS, &partition)
            .scan_index_forward(false)
            .limit(PAGE);
        let page = page_of(&query, start).await?;
        let listed: Vec<(Millis, SubmissionId)> = page
            .items
            .iter()
            .filter_map(|item| submission_at(&keys::sort_key_of(item, &keys::LISTS)?))
            .collect();
        let writes = listed.into_iter().map(|(received, submission)| {
            self.set_kept_until(id, submission, contract.kept_until(received))
        });
        let changed = stream::iter(writes)
            .buffer_unordered(AT_ONCE)
            .try_collect::<Vec<bool>>()
            .await?;
        let next: Option<&Item> = page.next.as_ref();
        Ok(RetentionPage {
            changed: changed.into_iter().map(u64::from).sum(),
            next: next.and_then(|item| keys::sort_key_of(item, &keys::LISTS)),
        })
    }

    /// Sets or removes the time to live of a submission. `false`: there is no such submission any more, or it waits
    /// for something; then it gets the time when its lead is final.
    async fn set_kept_until(
        &self,
        contract: &ContractId,
        id: SubmissionId,
        until: Option<Millis>,
    ) -> Result<bool, StoreError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(keys::submission(contract, id).attributes()))
            .expression_attribute_names("#expires", schema::TTL_ATTRIBUTE)
            .expression_attribute_names("#kept_until", "kept_until");
        let update = match until {
            Some(until) => {
                let mut values: HashMap<String, AttributeValue> = HashMap::from([
                    (":expires".to_owned(), number(until.epoch_seconds())),
                    (":kept_until".to_owned(), number(until.0)),
                ]);
                let places = State::EXPIRING.map(|state| format!(":{}", state.as_str()));
                let listed = places.join(", ");
                let states = State::EXPIRING.map(|state| text(state.as_str()));
                values.extend(places.into_iter().zip(states));
                update
                    .update_expression("SET #expires = :expires, #kept_until = :kept_until")
                    .condition_expression(format!("attribute_exists(PK) AND #state IN ({listed})"))
                    .expression_attribute_names("#state", "state")
                    .set_expression_attribute_values(Some(values))
            }
            None => update
                .update_expression("REMOVE #expires, #kept_until")
                .condition_expression("attribute_exists(PK)"),
        };
        match update.send().await.map_err(StoreError::from) {
            Ok(_) => Ok(true),
            Err(StoreError::Conflict) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The time of arrival and the id in a submission's place in the list.
fn submission_at(order: &str) -> Option<(Millis, SubmissionId)> {
    let (time, id) = order.split_once('#')?;
    Some((Millis(time.parse().ok()?), id.parse().ok()?))
}
