//! Many items in few calls: batches of reads and writes, and ranges to count or delete.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{DeleteRequest, KeysAndAttributes, PutRequest, Select, WriteRequest};
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::{Item, Store, StoreError, page_of};

/// Maximum number of writes in a `BatchWriteItem`, by DynamoDB's limit.
const WRITE_BATCH: usize = 25;
/// Maximum number of keys in a `BatchGetItem`, by DynamoDB's limit.
pub(super) const READ_BATCH: usize = 100;
/// Writes in flight.
pub(super) const WRITES_AT_ONCE: usize = 16;
/// Reads in flight: each answers up to 100 items.
pub(super) const READS_AT_ONCE: usize = 8;
/// Maximum number of times that unprocessed items of a batch are sent again.
const RESENDS: u32 = 8;

/// A write of a batch.
#[derive(Debug, Clone)]
pub(super) struct Write(WriteRequest);

impl Write {
    /// Puts an item, replacing any that is stored.
    pub(super) fn put(item: Item) -> Result<Self, StoreError> {
        let put = built(PutRequest::builder().set_item(Some(item)).build())?;
        Ok(Self(WriteRequest::builder().put_request(put).build()))
    }

    /// Deletes the item with that key, if there is one.
    pub(super) fn delete(key: Item) -> Result<Self, StoreError> {
        let delete = built(DeleteRequest::builder().set_key(Some(key)).build())?;
        Ok(Self(WriteRequest::builder().delete_request(delete).build()))
    }
}

/// Unwraps a part of a request. A part that cannot be built lacks a value that this program has to provide.
pub(super) fn built<T>(result: Result<T, BuildError>) -> Result<T, StoreError> {
    result.map_err(StoreError::malformed)
}

/// The attributes that a read returns; some of their names are reserved words.
#[derive(Clone, Copy)]
pub(super) struct Projection(pub(super) &'static [&'static str]);

impl Projection {
    pub(super) fn expression(self) -> (String, HashMap<String, String>) {
        let places = self.0.iter().map(|name| format!("#{name}"));
        let names = self
            .0
            .iter()
            .map(|name| (format!("#{name}"), (*name).to_owned()));
        (places.collect::<Vec<_>>().join(", "), names.collect())
    }
}

impl Store {
    /// Writes everything, in as few calls as possible, several at once. No two writes may have the same key.
    pub(super) async fn write_all(
        &self,
        writes: Vec<Write>,
        at_once: usize,
    ) -> Result<(), StoreError> {
        let mut batches = Vec::with_capacity(writes.len().div_ceil(WRITE_BATCH));
        let mut writes = writes.into_iter().map(|write| write.0).peekable();
        while writes.peek().is_some() {
            batches.push(writes.by_ref().take(WRITE_BATCH).collect::<Vec<_>>());
        }
        stream::iter(batches)
            .map(|batch| self.write_batch(batch))
            .buffer_unordered(at_once)
            .try_collect::<Vec<()>>()
            .await?;
        Ok(())
    }

    /// Writes a batch, and sends again the items that the table did not process.
    async fn write_batch(&self, mut batch: Vec<WriteRequest>) -> Result<(), StoreError> {
        for resend in 0..RESENDS {
            if resend > 0 {
                tokio::time::sleep(back_off(resend)).await;
            }
            let answer = self
                .client
                .batch_write_item()
                .request_items(&self.table, batch)
                .send()
                .await?;
            let left = answer
                .unprocessed_items
                .and_then(|mut items| items.remove(&self.table));
            batch = left.unwrap_or_default();
            if batch.is_empty() {
                return Ok(());
            }
        }
        Err(StoreError::throttled())
    }

    /// Reads the existing items of those keys, in no particular order. No key may occur twice.
    pub(super) async fn read_many(&self, keys: Vec<Item>) -> Result<Vec<Item>, StoreError> {
        let batches: Vec<Vec<Item>> = keys.chunks(READ_BATCH).map(<[Item]>::to_vec).collect();
        let read = stream::iter(batches)
            .map(|keys| self.read_batch(keys, None))
            .buffer_unordered(READS_AT_ONCE)
            .try_collect::<Vec<_>>()
            .await?;
        Ok(read.into_iter().flatten().collect())
    }

    pub(super) async fn read_batch(
        &self,
        mut batch: Vec<Item>,
        only: Option<Projection>,
    ) -> Result<Vec<Item>, StoreError> {
        let mut found = Vec::with_capacity(batch.len());
        let mut resend = 0;
        loop {
            let asked = batch.len();
            let mut keys = KeysAndAttributes::builder()
                .set_keys(Some(batch))
                .consistent_read(true);
            if let Some(only) = only {
                let (expression, names) = only.expression();
                keys = keys
                    .projection_expression(expression)
                    .set_expression_attribute_names(Some(names));
            }
            let answer = self
                .client
                .batch_get_item()
                .request_items(&self.table, built(keys.build())?)
                .send()
                .await?;
            if let Some(items) = answer
                .responses
                .and_then(|mut tables| tables.remove(&self.table))
            {
                found.extend(items);
            }
            let left = answer
                .unprocessed_keys
                .and_then(|mut tables| tables.remove(&self.table));
            batch = left.map(|left| left.keys).unwrap_or_default();
            if batch.is_empty() {
                return Ok(found);
            }
            // A full answer returns the rest at once; an empty one shows too much load.
            if batch.len() == asked {
                resend += 1;
                if resend == RESENDS {
                    return Err(StoreError::throttled());
                }
                tokio::time::sleep(back_off(resend)).await;
            }
        }
    }

    /// Deletes the items of a partition from a sort key on and before another.
    pub(super) async fn delete_range(
        &self,
        pk: &str,
        from: &str,
        before: &str,
    ) -> Result<(), StoreError> {
        loop {
            // From the start each time, because the items found are deleted.
            let query = self
                .query_range(pk, from, before)
                .projection_expression("PK, SK");
            let page = page_of(&query, None).await?;
            let mut deletes = Vec::new();
            for key in page.items {
                let is_end = key
                    .get("SK")
                    .and_then(|sk| sk.as_s().ok())
                    .is_some_and(|sk| sk == before);
                if !is_end {
                    deletes.push(Write::delete(key)?);
                }
            }
            self.write_all(deletes, WRITES_AT_ONCE).await?;
            if page.next.is_none() {
                return Ok(());
            }
        }
    }

    /// Reads the items of those keys, in their order; missing items are left out.
    pub(super) async fn read_in_order(&self, keys: Vec<Item>) -> Result<Vec<Item>, StoreError> {
        let place = |item: &Item| Some((text_of(item, "PK")?, text_of(item, "SK")?));
        let order: HashMap<_, usize> = keys
            .iter()
            .enumerate()
            .filter_map(|(at, key)| Some((place(key)?, at)))
            .collect();
        let mut items = self.read_many(keys).await?;
        items.sort_by_key(|item| place(item).and_then(|key| order.get(&key).copied()));
        Ok(items)
    }
}

fn text_of(item: &Item, name: &str) -> Option<String> {
    item.get(name)?.as_s().ok().cloned()
}

/// Counts the items that a query finds.
pub(super) async fn count(query: QueryFluentBuilder) -> Result<u64, StoreError> {
    let query = query.select(Select::Count);
    let mut count = 0;
    let mut start = None;
    loop {
        let page = page_of(&query, start).await?;
        count += page.count;
        start = page.next;
        if start.is_none() {
            return Ok(count);
        }
    }
}

/// 25, 50, 100, … milliseconds.
pub(super) fn back_off(round: u32) -> Duration {
    Duration::from_millis(25 << round.saturating_sub(1).min(6))
}
