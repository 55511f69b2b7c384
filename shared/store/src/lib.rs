//! The table: one DynamoDB table for everything, tenant first.
//!
//! Every write is conditional on what it assumes, and a submission's writes name the version they
//! replace. The access patterns are listed beside the keys, in `keys.rs`.

pub mod schema;

mod claims;
mod configuration;
mod connections;
mod crm;
mod directory;
mod drafts;
mod keys;
mod mirror;
mod misc;
mod seats;
mod submissions;
mod sync;
mod transaction;
mod work;

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;
use serde::de::DeserializeOwned;

use domain::clock::Millis;
use domain::problem::Problem;

pub use claims::{Claim, ClaimWrite, Claimed};
pub use configuration::ChangeError;
pub use connections::{
    Connection, ConnectionKind, ConnectionState, Disconnect, Purge, RefreshLease, RemoteUser,
    Revocation,
};
pub use crm::Alongside;
pub use directory::{
    Act, ActError, Acted, Added, Chosen, DIRECTORY_SHARDS, EntryAs, EntryWithMatch, Holder,
    LinkWrite, ShardPage, StoredModel,
};
pub use mirror::{MIRROR_SHARDS, Mirror, MirrorRecord, Swept, Written};
pub use misc::{
    ApiTokenRecord, Attachment, AttemptPurpose, Consumed, OAuthAttempt, PostCounts, PullCursor,
};
pub use seats::{SeatChange, SeatSessions, SessionKeys, SessionRecord};
pub use submissions::{Accepted, Finish, Page, SubmissionFilter, Taken};
pub use work::{Counted, Deleted, WorkKind};

/// An item as DynamoDB holds it.
type Item = HashMap<String, AttributeValue>;

/// Why the table did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It did not answer, or not in time: the write may have taken effect.
    #[error("the table did not answer")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Something else was written meanwhile: read again and decide anew.
    #[error("the item was changed meanwhile")]
    Conflict,
    /// A stored item cannot be read back. Names the kind of item, not its content.
    #[error("a stored {entity} cannot be read")]
    Corrupt {
        /// The kind of item.
        entity: &'static str,
        /// Why.
        #[source]
        source: Box<serde_dynamo::Error>,
    },
}

impl StoreError {
    /// What the caller of an API is told. Logs the error: it is handled here.
    #[must_use]
    pub fn problem(&self) -> Problem {
        tracing::error!(
            error = self as &dyn std::error::Error,
            "the table did not answer as it should"
        );
        match self {
            Self::Corrupt { .. } => Problem::internal(),
            Self::Conflict => Problem::new(
                409,
                "changed_meanwhile",
                "Somebody else changed this at the same moment.",
                "Read it again and repeat the change.",
            ),
            Self::Unavailable(_) => Problem::unavailable(),
        }
    }
}

impl<E, R> From<SdkError<E, R>> for StoreError
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    fn from(error: SdkError<E, R>) -> Self {
        let conflict = error
            .as_service_error()
            .and_then(ProvideErrorMetadata::code)
            .is_some_and(|code| {
                // A cancelled transaction is a condition that failed or another transaction on the
                // same items: in both cases the caller reads again.
                matches!(
                    code,
                    "ConditionalCheckFailedException"
                        | "TransactionCanceledException"
                        | "TransactionConflictException"
                )
            });
        if conflict {
            Self::Conflict
        } else {
            Self::Unavailable(Box::new(error))
        }
    }
}

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

/// What a call of a query answers.
struct QueryPage {
    items: Vec<Item>,
    /// Items that it is about, whether they were asked for or only counted.
    count: u64,
    /// Where the next call begins; none at the end.
    next: Option<Item>,
}

/// A page of a query, from its beginning or from where the page before it said.
async fn page_of(query: &QueryFluentBuilder, start: Option<Item>) -> Result<QueryPage, StoreError> {
    let query = query.clone().set_exclusive_start_key(start);
    let answer = query.send().await?;
    Ok(QueryPage {
        items: answer.items.unwrap_or_default(),
        count: u64::try_from(answer.count).unwrap_or(0),
        next: answer.last_evaluated_key.filter(|key| !key.is_empty()),
    })
}

/// Everything that a query finds.
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
    let mut item: Item = serde_dynamo::to_item(value).map_err(|error| StoreError::Corrupt {
        entity,
        source: Box::new(error),
    })?;
    item.retain(|_, value| !matches!(value, AttributeValue::Null(_)));
    item.extend(key.attributes());
    item.insert(
        "entity_type".to_owned(),
        AttributeValue::S(entity.to_owned()),
    );
    Ok(item)
}

fn read<T: DeserializeOwned>(entity: &'static str, mut item: Item) -> Result<T, StoreError> {
    // The table's own attributes are no part of the entity; some entities refuse unknown fields.
    let (pk, sk) = schema::TABLE_KEYS;
    let indexed = schema::INDEXES.iter().flat_map(|(_, pk, sk)| [*pk, *sk]);
    for name in [pk, sk, "entity_type", "search"].into_iter().chain(indexed) {
        item.remove(name);
    }
    serde_dynamo::from_item(item).map_err(|error| StoreError::Corrupt {
        entity,
        source: Box::new(error),
    })
}

/// Has an item go by itself after `until`.
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
