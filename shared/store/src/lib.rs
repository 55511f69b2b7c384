//! The table: one DynamoDB table for everything, tenant first.
//!
//! Every write is conditional on its assumptions, and a submission's writes name the version they replace.
//! The access patterns are listed beside the keys, in `keys.rs`.

pub mod schema;

mod activities;
mod archives;
mod attachments;
mod batch;
mod champions;
mod claims;
mod configuration;
mod connections;
mod crm;
mod directory;
mod discovered;
mod drafts;
mod erasures;
mod error;
mod export;
mod flags;
mod keys;
mod leaving;
mod linkedin;
mod lists;
mod mirror;
mod oauth_attempts;
mod old_activities;
mod plans;
mod posts;
mod retention;
mod roi;
mod runs;
mod seats;
mod submissions;
mod sync;
mod thread_choices;
mod tokens;
mod traffic;
mod transaction;
mod user_writes;
mod work;

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use serde::Serialize;
use serde::de::DeserializeOwned;

use domain::clock::Millis;

pub use activities::{TakenActivity, Unresolved};
pub use archives::ArchiveMember;
pub use attachments::Attachment;
pub use claims::{Claim, ClaimWrite};
pub use configuration::ChangeError;
pub use connections::{
    Connection, ConnectionState, Disconnect, Purge, RefreshLease, RemoteUser, Revocation,
    SignInReason,
};
pub use crm::Alongside;
pub use directory::{
    Act, ActError, Acted, Added, Chosen, CountLimits, DIRECTORY_SHARDS, Dismissed, EntryAs,
    EntryWithMatch, Holder, LinkWrite, OutdatedOwner, OutdatedOwners, OutdatedPage, ShardPage,
    StoredModel, WaitsFor,
};
pub use discovered::{Discovered, MAX_DISCOVERED};
pub use domain::connection_kind::ConnectionKind;
pub use erasures::{Found, FoundPage, Look, Noted};
pub use error::StoreError;
pub use export::{ExportPage, ExportedItem};
pub use flags::{FlagChange, RecordFlag};
pub use keys::holds_person;
pub use leaving::LeavingPage;
pub use linkedin::{PullCursor, PullWindow};
pub use lists::{SaveState, TOUCHED_SHARDS, Touched};
pub use mirror::{MIRROR_SHARDS, Mirror, MirrorRecord, Swept, Written};
pub use oauth_attempts::{AttemptPurpose, Consumed, OAuthAttempt};
pub use old_activities::MAX_ERASED;
pub use plans::Claimed;
pub use posts::PostCounts;
pub use retention::RetentionPage;
pub use roi::{KeptReport, ROI_SHARDS, Reach, RoiState};
pub use seats::{SeatChange, SeatSessions, SessionKeys, SessionRecord};
pub use submissions::{Accepted, Finish, Page, SubmissionFilter, Taken};
pub use thread_choices::ThreadChoice;
pub use tokens::ApiTokenRecord;
pub use traffic::Arrival;
pub use user_writes::UserWriteKey;
pub use work::{Counted, Deleted, WorkKind};

/// An item as DynamoDB holds it.
type Item = HashMap<String, AttributeValue>;

/// The table.
#[derive(Clone)]
pub struct Store {
    client: Client,
    table: String,
}

impl Store {
    /// The table of that name.
    #[must_use]
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    async fn get<T: DeserializeOwned>(
        &self,
        entity: &'static str,
        key: keys::Key,
        consistent: bool,
    ) -> Result<Option<T>, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key.attributes()))
            .consistent_read(consistent)
            .send()
            .await?;
        answer.item.map(|item| read(entity, item)).transpose()
    }

    /// Puts an item unless its key exists, and returns the stored item if it does. One call.
    async fn put_new<T: DeserializeOwned>(
        &self,
        entity: &'static str,
        item: Item,
    ) -> Result<Option<T>, StoreError> {
        use aws_sdk_dynamodb::operation::put_item::PutItemError;
        let part = |name: &str| item.get(name).and_then(|part| part.as_s().ok()).cloned();
        let key = part("PK").zip(part("SK"));
        let result = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(PK)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(error) = result else {
            return Ok(None);
        };
        let Some(PutItemError::ConditionalCheckFailedException(failed)) = error.as_service_error()
        else {
            return Err(error.into());
        };
        if let Some(item) = failed.item.clone().filter(|item| !item.is_empty()) {
            return read(entity, item).map(Some);
        }
        // An endpoint that does not return the old item costs one more call.
        let (pk, sk) = key.ok_or(StoreError::Conflict)?;
        let stored = self.get(entity, keys::Key { pk, sk }, true).await?;
        stored.map(Some).ok_or(StoreError::Conflict)
    }

    /// A query of a partition, as of now.
    fn query_partition(&self, pk: impl Into<String>) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("PK = :pk")
            .expression_attribute_values(":pk", text(pk))
    }

    /// A query of the items of a partition whose sort key starts with `prefix`.
    fn query_prefix(&self, pk: impl Into<String>, prefix: impl Into<String>) -> QueryFluentBuilder {
        self.query_partition(pk)
            .key_condition_expression("PK = :pk AND begins_with(SK, :prefix)")
            .expression_attribute_values(":prefix", text(prefix))
    }

    /// A query of the items of a partition whose sort key is from `from` to `to`, both included.
    fn query_range(
        &self,
        pk: impl Into<String>,
        from: impl Into<String>,
        to: impl Into<String>,
    ) -> QueryFluentBuilder {
        self.query_partition(pk)
            .key_condition_expression("PK = :pk AND SK BETWEEN :from AND :to")
            .expression_attribute_values(":from", text(from))
            .expression_attribute_values(":to", text(to))
    }

    /// A query of a partition of an index. It returns keys, and the attributes that the index includes.
    fn query_index(&self, index: &schema::Index, pk: impl Into<String>) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(&self.table)
            .index_name(index.name)
            .key_condition_expression("#partition = :pk")
            .expression_attribute_names("#partition", index.partition)
            .expression_attribute_values(":pk", text(pk))
    }

    /// A query of the items of an index's partition whose sort key is before `before`.
    fn query_index_before(
        &self,
        index: &schema::Index,
        pk: impl Into<String>,
        before: impl Into<String>,
    ) -> QueryFluentBuilder {
        self.query_index(index, pk)
            .key_condition_expression("#partition = :pk AND #sort < :before")
            .expression_attribute_names("#sort", index.sort)
            .expression_attribute_values(":before", text(before))
    }

    /// Reads every item of a partition whose sort key starts with `prefix`.
    async fn query_all(&self, pk: String, prefix: &str) -> Result<Vec<Item>, StoreError> {
        let query = if prefix.is_empty() {
            self.query_partition(pk)
        } else {
            self.query_prefix(pk, prefix)
        };
        all_pages(&query).await
    }
}

/// The answer to one call of a query.
struct QueryPage {
    items: Vec<Item>,
    /// Number of items found, whether they were returned or only counted.
    count: u64,
    /// The start of the next call; `None` at the end.
    next: Option<Item>,
}

/// A page of a query, from its beginning or from the position that the page before it returned.
async fn page_of(query: &QueryFluentBuilder, start: Option<Item>) -> Result<QueryPage, StoreError> {
    let query = query.clone().set_exclusive_start_key(start);
    let answer = query.send().await?;
    Ok(QueryPage {
        items: answer.items.unwrap_or_default(),
        count: u64::try_from(answer.count).unwrap_or(0),
        next: answer.last_evaluated_key.filter(|key| !key.is_empty()),
    })
}

/// All items that a query finds.
async fn all_pages(query: &QueryFluentBuilder) -> Result<Vec<Item>, StoreError> {
    let mut items = Vec::new();
    let mut start = None;
    loop {
        let page = page_of(query, start).await?;
        items.extend(page.items);
        start = page.next;
        if start.is_none() {
            return Ok(items);
        }
    }
}

/// An entity as an item: its attributes and its key, without nulls, so that an absent value is an
/// absent attribute.
fn write<T: Serialize>(
    entity: &'static str,
    value: &T,
    key: &keys::Key,
) -> Result<Item, StoreError> {
    let mut item: Item = serde_dynamo::to_item(value).map_err(StoreError::malformed)?;
    item.retain(|_, value| !matches!(value, AttributeValue::Null(_)));
    item.extend(key.attributes());
    item.insert(
        "entity_type".to_owned(),
        AttributeValue::S(entity.to_owned()),
    );
    Ok(item)
}

fn read<T: DeserializeOwned>(entity: &'static str, mut item: Item) -> Result<T, StoreError> {
    // The table's own attributes are not part of the entity; some entities refuse unknown fields.
    let (pk, sk) = schema::TABLE_KEYS;
    let indexed = schema::INDEXES
        .iter()
        .flat_map(|index| [index.partition, index.sort]);
    for name in [pk, sk, "entity_type", "search"].into_iter().chain(indexed) {
        item.remove(name);
    }
    serde_dynamo::from_item(item).map_err(|error| StoreError::Corrupt {
        entity,
        source: Box::new(error),
    })
}

/// Reads items that do not depend on each other. An unreadable item is left out, and reported with its key:
/// it does not block the others.
fn read_each<T>(
    entity: &'static str,
    items: Vec<Item>,
    mut read: impl FnMut(Item) -> Result<T, StoreError>,
) -> Vec<T> {
    let mut found = Vec::with_capacity(items.len());
    for item in items {
        let key = keys::shown(&item);
        match read(item) {
            Ok(value) => found.push(value),
            Err(error) => {
                // An alarm of the template counts these lines.
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    notice = "item_unreadable",
                    entity,
                    key,
                    "an item cannot be read and is left out"
                );
            }
        }
    }
    found
}

/// Approximate size of an item in the table, in bytes.
fn size_of_item(item: &Item) -> usize {
    item.iter()
        .map(|(name, value)| name.len() + size_of(value))
        .sum()
}

/// Approximate size of a value in the table, in bytes.
fn size_of(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) | AttributeValue::N(text) => text.len(),
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::M(item) => 3 + size_of_item(item),
        AttributeValue::L(values) => {
            3 + values.iter().map(|value| 1 + size_of(value)).sum::<usize>()
        }
        AttributeValue::Ss(texts) | AttributeValue::Ns(texts) => {
            texts.iter().map(String::len).sum()
        }
        _ => 1,
    }
}

/// Sets an item's time to live: the table deletes it after `until`.
fn expire(item: &mut Item, until: Millis) {
    item.insert(
        schema::TTL_ATTRIBUTE.to_owned(),
        number(until.epoch_seconds()),
    );
}

fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

fn number<T: std::fmt::Display>(value: T) -> AttributeValue {
    AttributeValue::N(value.to_string())
}
