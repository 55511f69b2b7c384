//! API tokens.

use serde::{Deserialize, Serialize};

use super::transaction::Assumption;
use super::{Item, Store, StoreError, all_pages, keys, read, read_each, write};
use domain::clock::Millis;
use domain::contract::AuditEntry;
use domain::ids::{ContractId, TokenId};
use domain::role::Role;

/// An API token. Only a hash of its secret is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ApiTokenRecord {
    /// Its public half.
    pub id: TokenId,
    /// Display name.
    #[serde(default)]
    pub name: String,
    /// The role that decides its holder's permissions.
    pub role: Role,
    /// SHA-256 of its secret, in hexadecimal.
    pub secret_hash: String,
    /// Time of creation.
    pub created_at: Millis,
    /// End of its validity.
    #[serde(default)]
    pub valid_until: Option<Millis>,
}

impl Store {
    /// An API token's record.
    pub async fn api_token(
        &self,
        contract: &ContractId,
        id: &TokenId,
    ) -> Result<Option<ApiTokenRecord>, StoreError> {
        self.get("API token", keys::token(contract, id), false)
            .await
    }

    /// Stores an API token's record.
    pub async fn put_api_token(
        &self,
        contract: &ContractId,
        token: &ApiTokenRecord,
    ) -> Result<(), StoreError> {
        self.put(Self::api_token_item(contract, token)?).await
    }

    fn api_token_item(contract: &ContractId, token: &ApiTokenRecord) -> Result<Item, StoreError> {
        let mut item = write("API token", token, &keys::token(contract, &token.id))?;
        let partition = keys::tokens_index(contract);
        keys::LISTS.enter(&mut item, partition, token.id.as_str());
        Ok(item)
    }

    /// A contract's API tokens by id.
    pub async fn api_tokens(
        &self,
        contract: &ContractId,
    ) -> Result<Vec<ApiTokenRecord>, StoreError> {
        let query = self.query_index(&keys::LISTS, keys::tokens_index(contract));
        let listed = keys::of_items(&all_pages(&query).await?);
        let items = self.read_in_order(listed).await?;
        Ok(read_each("API token", items, |item| {
            read("API token", item)
        }))
    }

    /// Creates an API token, or, without a record, revokes it, with its audit entry.
    pub async fn change_api_token(
        &self,
        contract: &ContractId,
        id: &TokenId,
        token: Option<&ApiTokenRecord>,
        audit: &AuditEntry,
        unique: uuid::Uuid,
    ) -> Result<(), StoreError> {
        let change = if let Some(token) = token {
            let item = Self::api_token_item(contract, token)?;
            self.put_action(item, Some(Assumption::absent()))?
        } else {
            let key = keys::token(contract, id).attributes();
            self.delete_action(key, Some(Assumption::present()))?
        };
        self.transact(vec![change, self.audit_item(contract, audit, unique)?])
            .await
    }
}
