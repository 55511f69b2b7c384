//! What a link pass has found so far, kept between two of its steps: candidates in pieces.

use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_types::Blob;

use super::mirror::{delete_request, put_request};
use super::{Item, Store, StoreError, keys, text};
use domain::environment::Environment;
use domain::ids::ContractId;

/// Pieces that are written at once: each is some hundred kilobytes, and a call takes 16 MB.
const WRITES_AT_ONCE: usize = 2;
/// Most pieces of a part.
const MOST_PIECES: usize = 100_000;

/// The first number of a part's pieces.
const fn first(part: u32) -> usize {
    part as usize * MOST_PIECES
}

impl Store {
    /// Keeps pieces of a part in place of those that were kept of it before. A piece is at most 350,000
    /// bytes.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the table did not take all of it; what is kept is then no use.
    pub async fn put_link_drafts(
        &self,
        contract: &ContractId,
        part: u32,
        pieces: Vec<Vec<u8>>,
    ) -> Result<(), StoreError> {
        let partition = keys::link_drafts(contract, Environment::Production);
        let mut writes = Vec::with_capacity(pieces.len());
        let end = first(part) + pieces.len();
        for (index, piece) in (first(part)..).zip(pieces) {
            let mut item = keys::link_draft(&partition, index).attributes();
            item.insert("entity_type".to_owned(), text("link draft"));
            item.insert("piece".to_owned(), AttributeValue::B(Blob::new(piece)));
            writes.push(put_request(item)?);
        }
        let left = end..first(part + 1);
        for (number, key) in self.draft_keys(&partition).await? {
            if left.contains(&number) {
                writes.push(delete_request(key)?);
            }
        }
        self.write_all(writes, WRITES_AT_ONCE).await
    }

    /// Keeps none any more.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the table did not take all of it.
    pub async fn delete_link_drafts(&self, contract: &ContractId) -> Result<(), StoreError> {
        let partition = keys::link_drafts(contract, Environment::Production);
        let keys = self.draft_keys(&partition).await?.into_iter();
        let deletes: Result<_, _> = keys.map(|(_, key)| delete_request(key)).collect();
        self.write_all(deletes?, WRITES_AT_ONCE).await
    }

    async fn draft_keys(&self, partition: &str) -> Result<Vec<(usize, Item)>, StoreError> {
        let query = self
            .query_partition(partition.to_owned())
            .projection_expression("PK, SK");
        let keys = super::all_pages(&query).await?.into_iter();
        Ok(keys
            .map(|key| (number_of(&key).unwrap_or(usize::MAX), key))
            .collect())
    }

    /// The pieces that are kept of the first so many parts.
    pub async fn link_drafts(
        &self,
        contract: &ContractId,
        parts: u32,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let partition = keys::link_drafts(contract, Environment::Production);
        let items = self.query_all(partition, "").await?.into_iter();
        let kept = items.filter(|item| number_of(item).is_some_and(|number| number < first(parts)));
        let pieces = kept.filter_map(|mut item| match item.remove("piece") {
            Some(AttributeValue::B(piece)) => Some(piece.into_inner()),
            _ => None,
        });
        Ok(pieces.collect())
    }
}

/// The number of a piece.
fn number_of(item: &Item) -> Option<usize> {
    item.get("SK")?.as_s().ok()?.parse().ok()
}
