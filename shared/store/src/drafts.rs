//! Drafts of a link pass: candidates found so far, stored in pieces between two of its steps.

use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_types::Blob;

use super::batch::Write;
use super::{Store, StoreError, keys, text};
use domain::environment::Environment;
use domain::ids::ContractId;

/// Pieces that are written at once: each is some hundred kilobytes, and a call takes 16 MB.
const WRITES_AT_ONCE: usize = 2;

impl Store {
    /// Replaces the stored pieces of a link pass; an empty list deletes them. A piece is at most 350,000
    /// bytes.
    ///
    /// # Errors
    /// Returns [`StoreError::Unavailable`] if the table did not take all of them; the stored pieces are then
    /// unusable.
    pub async fn put_link_drafts(
        &self,
        contract: &ContractId,
        pieces: Vec<Vec<u8>>,
    ) -> Result<(), StoreError> {
        let partition = keys::link_drafts(contract, Environment::Production);
        let mut writes = Vec::with_capacity(pieces.len());
        let count = pieces.len();
        for (index, piece) in pieces.into_iter().enumerate() {
            let mut item = keys::link_draft(&partition, index).attributes();
            item.insert("entity_type".to_owned(), text("link draft"));
            item.insert("piece".to_owned(), AttributeValue::B(Blob::new(piece)));
            writes.push(Write::put(item)?);
        }
        let query = self
            .query_partition(partition)
            .projection_expression("PK, SK");
        for key in super::all_pages(&query).await? {
            let number = key.get("SK").and_then(|key| key.as_s().ok()?.parse().ok());
            if number.is_none_or(|number: usize| number >= count) {
                writes.push(Write::delete(key)?);
            }
        }
        self.write_all(writes, WRITES_AT_ONCE).await
    }

    /// The stored pieces.
    pub async fn link_drafts(&self, contract: &ContractId) -> Result<Vec<Vec<u8>>, StoreError> {
        let partition = keys::link_drafts(contract, Environment::Production);
        let items = self.query_all(partition, "").await?.into_iter();
        let pieces = items.filter_map(|mut item| match item.remove("piece") {
            Some(AttributeValue::B(piece)) => Some(piece.into_inner()),
            _ => None,
        });
        Ok(pieces.collect())
    }
}
