//! Connections to a CRM and to LinkedIn: where, as whom, sealed tokens, and the throttle that all
//! workers of a connection share.

use aws_sdk_dynamodb::types::{Put, ReturnValue, TransactWriteItem};
use serde::{Deserialize, Serialize};
use url::Url;

use super::submissions::built;
use super::{Store, StoreError, keys, number, read, text, write};
use crate::clock::Millis;
use crate::domain::contract::AuditEntry;
use crate::domain::ids::ContractId;
use crate::outbound::Provider;

const ENTITY: &str = "connection";

/// Which of a contract's connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionKind {
    /// Its CRM.
    Crm,
    /// LinkedIn lead sync.
    #[serde(rename = "linkedin")]
    LinkedIn,
}

impl ConnectionKind {
    /// The name in keys and in the vault's purpose.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Crm => "CRM",
            Self::LinkedIn => "LINKEDIN",
        }
    }

    /// The vault's purpose of its tokens.
    #[must_use]
    pub const fn purpose(self) -> &'static str {
        match self {
            Self::Crm => "connection/crm",
            Self::LinkedIn => "connection/linkedin",
        }
    }
}

/// Whether a connection can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionState {
    /// It works, as far as the last call showed.
    Connected,
    /// The provider no longer accepts its tokens: somebody has to sign in again.
    SignInNeeded,
}

/// A connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// The contract it belongs to.
    pub contract: ContractId,
    /// Which of its connections.
    pub kind: ConnectionKind,
    /// Whose API it is.
    pub provider: Provider,
    /// The API's address: `instance_url`, the organisation's URL, or LinkedIn's.
    pub base_url: Url,
    /// The sign-in server that refreshes its tokens.
    pub auth_url: Url,
    /// The provider's id of the organisation.
    pub organization: String,
    /// Sealed [`crate::oauth::Tokens`].
    pub sealed_tokens: String,
    /// Whether it can be used.
    pub state: ConnectionState,
    /// No call before this: the remote asked for a pause.
    #[serde(default)]
    pub not_before: Option<Millis>,
    /// Until when one worker refreshes the tokens; the others wait for it.
    #[serde(default)]
    pub refresh_until: Option<Millis>,
    /// Who connected it.
    pub connected_by: String,
    /// When.
    pub connected_at: Millis,
    /// Counts changes of its tokens and state.
    pub version: u64,
}

/// What became of an attempt to be the one that refreshes.
#[derive(Debug)]
pub enum RefreshLease {
    /// The caller refreshes.
    Mine,
    /// Another does, or did: read the connection again.
    Others,
}

impl Store {
    /// A connection.
    pub async fn connection(
        &self,
        contract: &ContractId,
        kind: ConnectionKind,
    ) -> Result<Option<Connection>, StoreError> {
        self.get(ENTITY, keys::connection(contract, kind.as_str()), true)
            .await
    }

    /// Stores a connection as new, over whatever was there.
    pub async fn put_connection(&self, connection: &Connection) -> Result<(), StoreError> {
        let key = keys::connection(&connection.contract, connection.kind.as_str());
        self.client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(write(ENTITY, connection, &key)?))
            .send()
            .await?;
        Ok(())
    }

    /// Stores a connection that somebody signed in to, with its audit entry, both or neither.
    /// `replaces` is the version that stands there now; `None` when there is no connection.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when something else stands there: read it again and decide anew.
    pub async fn connect(
        &self,
        connection: &Connection,
        replaces: Option<u64>,
        audit: &AuditEntry,
        unique: uuid::Uuid,
    ) -> Result<(), StoreError> {
        let key = keys::connection(&connection.contract, connection.kind.as_str());
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(write(ENTITY, connection, &key)?));
        let put = match replaces {
            None => put.condition_expression("attribute_not_exists(PK)"),
            Some(version) => put
                .condition_expression("version = :version")
                .expression_attribute_values(":version", number(version)),
        };
        self.client
            .transact_write_items()
            .transact_items(
                TransactWriteItem::builder()
                    .put(built(put.build())?)
                    .build(),
            )
            .transact_items(self.audit_item(&connection.contract, audit, unique)?)
            .send()
            .await?;
        Ok(())
    }

    /// Asks every worker of a connection to pause until `not_before`; an earlier pause never
    /// shortens a later one.
    pub async fn pause_connection(
        &self,
        contract: &ContractId,
        kind: ConnectionKind,
        not_before: Millis,
    ) -> Result<(), StoreError> {
        let result = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(keys::connection(contract, kind.as_str()).attributes()))
            .update_expression("SET not_before = :until")
            .condition_expression(
                "attribute_exists(PK) AND (attribute_not_exists(not_before) OR not_before < :until)",
            )
            .expression_attribute_values(":until", number(not_before.0))
            .send()
            .await;
        match result.map_err(StoreError::from) {
            Ok(_) | Err(StoreError::Conflict) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Becomes the one that refreshes the tokens of `version`, unless another is.
    pub async fn lease_refresh(
        &self,
        connection: &Connection,
        now: Millis,
        until: Millis,
    ) -> Result<RefreshLease, StoreError> {
        let key = keys::connection(&connection.contract, connection.kind.as_str());
        let result = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key.attributes()))
            .update_expression("SET refresh_until = :until")
            .condition_expression(
                "version = :version AND (attribute_not_exists(refresh_until) OR refresh_until < :now)",
            )
            .expression_attribute_values(":until", number(until.0))
            .expression_attribute_values(":now", number(now.0))
            .expression_attribute_values(":version", number(connection.version))
            .send()
            .await;
        match result.map_err(StoreError::from) {
            Ok(_) => Ok(RefreshLease::Mine),
            Err(StoreError::Conflict) => Ok(RefreshLease::Others),
            Err(error) => Err(error),
        }
    }

    /// Stores refreshed tokens, or that they no longer work, over the version they were read at,
    /// and ends the lease.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the connection was made anew meanwhile.
    pub async fn settle_refresh(
        &self,
        connection: &Connection,
        sealed_tokens: &str,
        state: ConnectionState,
    ) -> Result<Connection, StoreError> {
        let key = keys::connection(&connection.contract, connection.kind.as_str());
        let state = match state {
            ConnectionState::Connected => "connected",
            ConnectionState::SignInNeeded => "sign_in_needed",
        };
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key.attributes()))
            .update_expression(
                "SET sealed_tokens = :tokens, #state = :state REMOVE refresh_until ADD version :one",
            )
            .condition_expression("version = :version")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":tokens", text(sealed_tokens))
            .expression_attribute_values(":state", text(state))
            .expression_attribute_values(":version", number(connection.version))
            .expression_attribute_values(":one", number(1))
            .return_values(ReturnValue::AllNew)
            .send()
            .await?;
        read(ENTITY, answer.attributes.unwrap_or_default())
    }
}
