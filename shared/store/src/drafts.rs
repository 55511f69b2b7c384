//! Drafts of a link pass: candidates found so far, stored in pieces between two of its steps.

use std::collections::HashSet;

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_types::Blob;

use super::batch::Write;
use super::{Item, Store, StoreError, keys, text};
use domain::environment::Environment;
use domain::ids::ContractId;

/// Pieces that are written at once: each is some hundred kilobytes, and a call takes 16 MB.
const WRITES_AT_ONCE: usize = 2;

impl Store {
    /// Replaces the stored pieces of a part of a link pass. A piece is at most 350,000 bytes.
    ///
    /// # Errors
    /// Returns [`StoreError::Unavailable`] if the table did not take all of them; the stored pieces are then
    /// unusable.
    pub async fn put_link_drafts(
        &self,
        contract: &ContractId,
        part: u32,
        pieces: Vec<Vec<u8>>,
    ) -> Result<(), StoreError> {
        let mut writes = Vec::with_capacity(pieces.len());
        let mut kept = HashSet::with_capacity(pieces.len());
        for (number, piece) in pieces.into_iter().enumerate() {
            let key = keys::link_draft(contract, Environment::Production, part, number);
            kept.insert(key.sk.clone());
            let mut item = key.attributes();
            item.insert("entity_type".to_owned(), text("link draft"));
            item.insert("piece".to_owned(), AttributeValue::B(Blob::new(piece)));
            writes.push(Write::put(item)?);
        }
        for key in self.draft_keys(contract, Some(part)).await? {
            let sort_key = key.get("SK").and_then(|key| key.as_s().ok());
            if sort_key.is_none_or(|key| !kept.contains(key)) {
                writes.push(Write::delete(key)?);
            }
        }
        self.write_all(writes, WRITES_AT_ONCE).await
    }

    /// Deletes all stored pieces.
    ///
    /// # Errors
    /// Returns [`StoreError::Unavailable`] if the table did not take all of it.
    pub async fn delete_link_drafts(&self, contract: &ContractId) -> Result<(), StoreError> {
        let keys = self.draft_keys(contract, None).await?.into_iter();
        let deletes: Result<Vec<Write>, StoreError> = keys.map(Write::delete).collect();
        self.write_all(deletes?, WRITES_AT_ONCE).await
    }

    async fn draft_keys(
        &self,
        contract: &ContractId,
        part: Option<u32>,
    ) -> Result<Vec<Item>, StoreError> {
        let query = self
            .drafts_of(contract, part)
            .projection_expression("PK, SK");
        super::all_pages(&query).await
    }

    fn drafts_of(&self, contract: &ContractId, part: Option<u32>) -> QueryFluentBuilder {
        let (partition, prefix) = keys::link_drafts(contract, Environment::Production, part);
        if prefix.is_empty() {
            self.query_partition(partition)
        } else {
            self.query_prefix(partition, prefix)
        }
    }

    /// The stored pieces of a part, or of all parts, in no particular order.
    ///
    /// # Errors
    /// Returns [`StoreError::Unavailable`] if the table does not answer.
    pub async fn link_drafts(
        &self,
        contract: &ContractId,
        part: Option<u32>,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let query = self.drafts_of(contract, part);
        let items = super::all_pages(&query).await?.into_iter();
        let pieces = items.filter_map(|mut item| match item.remove("piece") {
            Some(AttributeValue::B(piece)) => Some(piece.into_inner()),
            _ => None,
        });
        Ok(pieces.collect())
    }
}
