//! Connections to a CRM and to LinkedIn: addresses, remote user, sealed tokens, and the throttle that all
//! workers of a connection share.

use aws_sdk_dynamodb::types::ReturnValue;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use super::transaction::{Action, Assumption, Change};
use super::work::WorkKind;
use super::{Item, Store, StoreError, keys, number, read, read_each, text, write};
use domain::clock::Millis;
use domain::connection_kind::ConnectionKind;
use domain::contract::AuditEntry;
use domain::environment::Environment;
use domain::ids::ContractId;
use domain::provider::Provider;

const ENTITY: &str = "connection";

/// The state of a connection, which decides whether it can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ConnectionState {
    /// It works, according to the last call.
    Connected,
    /// The provider no longer accepts its tokens: a person has to sign in again.
    SignInNeeded,
    /// Its end was requested; it is used only for disconnecting.
    Disconnecting,
    /// It was ended: it has no tokens.
    Disconnected,
}

impl ConnectionState {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::SignInNeeded => "sign_in_needed",
            Self::Disconnecting => "disconnecting",
            Self::Disconnected => "disconnected",
        }
    }
}

/// The reason why a person has to sign in again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SignInReason {
    /// The tokens expired, were revoked or replaced, or the authorisation has ended.
    #[default]
    Ended,
    /// The user is disabled, locked or deleted at the provider.
    UserInactive,
    /// The organisation is locked, closed or gone.
    OrganizationInactive,
    /// A rule of the organisation prevents it: network addresses, hours, a second factor, a password that has
    /// to be changed.
    Restricted,
    /// The access of the app is not approved, or no longer approved.
    NotApproved,
}

impl SignInReason {
    /// The name in the table and in the audit log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::UserInactive => "user_inactive",
            Self::OrganizationInactive => "organization_inactive",
            Self::Restricted => "restricted",
            Self::NotApproved => "not_approved",
        }
    }
}

/// The provider's user that a connection acts as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct RemoteUser {
    /// The provider's id of the user.
    pub id: String,
    /// The name that the user signs in with, if the provider gives it.
    #[serde(default)]
    pub username: Option<String>,
}

/// The outcome of revoking the tokens at the provider when a connection was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Revocation {
    /// The provider revoked them.
    Revoked,
    /// The provider no longer knew them.
    AlreadyEnded,
    /// The provider does not allow apps to revoke tokens: the user or an administrator ends the app's access
    /// there. Our copies are deleted.
    NotOffered,
    /// The provider did not answer in any attempt. Our copies of the tokens are deleted.
    NotReached,
}

/// Progress and result of the clean-up of imported data (CN-8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct Purge {
    /// Number of items at the beginning.
    pub found: u64,
    /// Items deleted so far.
    pub deleted: u64,
    /// Number of remaining items: 0, after each partition was read once more; absent while it runs.
    #[serde(default)]
    pub left: Option<u64>,
    /// The partition from which the count of items continues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<usize>,
}

/// The end of a connection: requested, under way, or done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct Disconnect {
    /// The requester.
    pub requested_by: String,
    /// Time of the request.
    #[cfg_attr(feature = "http-api", schema(value_type = i64))]
    pub requested_at: Millis,
    /// True if all imported data is deleted too.
    pub clean_up: bool,
    /// Number of revocation requests to the provider.
    #[serde(default)]
    pub attempts: u32,
    /// The outcome of revoking the tokens at the provider.
    #[serde(default)]
    pub revocation: Option<Revocation>,
    /// Progress and result of the clean-up.
    #[serde(default)]
    pub purge: Option<Purge>,
    /// Time at which it continues: an import's worker may still be writing until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "http-api", schema(value_type = Option<i64>))]
    pub due_at: Option<Millis>,
    /// Time when all of it was done.
    #[serde(default)]
    #[cfg_attr(feature = "http-api", schema(value_type = Option<i64>))]
    pub finished_at: Option<Millis>,
}

/// A connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// The contract it belongs to.
    pub contract: ContractId,
    /// Its kind.
    pub kind: ConnectionKind,
    /// The provider of the API.
    pub provider: Provider,
    /// The API's address: `instance_url`, the organisation's URL, or LinkedIn's.
    pub base_url: Url,
    /// The sign-in server that refreshes its tokens.
    pub auth_url: Url,
    /// The provider's id of the organisation.
    pub organization: String,
    /// Entra: the user's tenant.
    #[serde(default)]
    pub tenant: Option<String>,
    /// The user that it acts as.
    #[serde(default)]
    pub user: Option<RemoteUser>,
    /// Sealed tokens of a session; `None` once it is disconnected.
    #[serde(default)]
    pub sealed_tokens: Option<String>,
    /// Its state.
    pub state: ConnectionState,
    /// The reason why a sign-in is needed, if the provider gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign_in_reason: Option<SignInReason>,
    /// Time from which a person has to sign in again, regardless of the tokens: a seat holder's sign-in is
    /// valid for 90 days (CN-11), and LinkedIn's authorisation ends.
    #[serde(default)]
    pub valid_until: Option<Millis>,
    /// Earliest time of the next call: the remote requested a pause.
    #[serde(default)]
    pub not_before: Option<Millis>,
    /// End of the lease in which one worker refreshes the tokens; the others wait for it.
    #[serde(default)]
    pub refresh_until: Option<Millis>,
    /// The person who connected it.
    pub connected_by: String,
    /// Time of connecting.
    pub connected_at: Millis,
    /// The requested end.
    #[serde(default)]
    pub disconnect: Option<Disconnect>,
    /// Counts changes of its tokens and state.
    pub version: u64,
}

impl Connection {
    /// True if a person has to sign in before the connection can be used at `now`.
    #[must_use]
    pub fn needs_sign_in(&self, now: Millis) -> bool {
        self.state == ConnectionState::SignInNeeded
            || self.valid_until.is_some_and(|until| until <= now)
    }

    /// The reason why a person has to sign in; meaningful only for a connection that
    /// [needs it](Self::needs_sign_in).
    #[must_use]
    pub fn reason(&self) -> SignInReason {
        self.sign_in_reason.unwrap_or_default()
    }

    /// True if the connection exists for practical purposes: one that was ended, or is being ended, does not.
    #[must_use]
    pub fn stands(&self) -> bool {
        matches!(
            self.state,
            ConnectionState::Connected | ConnectionState::SignInNeeded
        )
    }

    /// The time at which the connection was ended, if what was imported through it was left in the table.
    #[must_use]
    pub fn left_data_at(&self) -> Option<Millis> {
        let end = self.disconnect.as_ref()?;
        let ended = self.state == ConnectionState::Disconnected && !end.clean_up;
        end.finished_at.filter(|_| ended)
    }

    /// The connection as the audit log shows it.
    #[must_use]
    pub fn logged(&self) -> Value {
        json!({
            "state": self.state,
            "sign_in_reason": self.sign_in_reason,
            "provider": self.provider,
            "organization": self.organization,
            "base_url": self.base_url,
            "auth_url": self.auth_url,
            "user_id": self.user.as_ref().map(|user| &user.id),
            "connected_by": self.connected_by,
        })
    }
}

/// The outcome of an attempt to take the refresh lease.
#[derive(Debug)]
pub enum RefreshLease {
    /// The caller refreshes.
    Mine,
    /// Another worker does, or did: read the connection again.
    Others,
}

impl Store {
    /// A connection.
    pub async fn connection(
        &self,
        contract: &ContractId,
        kind: ConnectionKind,
    ) -> Result<Option<Connection>, StoreError> {
        self.get(ENTITY, keys::connection(contract, kind), true)
            .await
    }

    /// The organisation that an environment is connected to; `None` if no connection stands.
    pub async fn organization(
        &self,
        contract: &ContractId,
        environment: Environment,
    ) -> Result<Option<String>, StoreError> {
        let kind = ConnectionKind::Crm(environment);
        let connection = self.connection(contract, kind).await?;
        Ok(connection
            .filter(Connection::stands)
            .map(|connection| connection.organization))
    }

    /// The connections of seat holders to an environment.
    pub async fn user_connections(
        &self,
        contract: &ContractId,
        environment: Environment,
    ) -> Result<Vec<Connection>, StoreError> {
        let (pk, prefix) = keys::user_connections(contract, environment);
        let items = self.query_all(pk, &prefix).await?;
        Ok(read_each(ENTITY, items, |item| read(ENTITY, item)))
    }

    /// A connection as an item. One that is being ended is open work.
    pub(super) fn connection_item(connection: &Connection) -> Result<Item, StoreError> {
        let key = keys::connection(&connection.contract, connection.kind);
        let mut item = write(ENTITY, connection, &key)?;
        if connection.state == ConnectionState::Disconnecting {
            let end = connection.disconnect.as_ref();
            let due = end.map(|end| end.due_at.unwrap_or(end.requested_at));
            let work = WorkKind::Disconnect(connection.kind);
            work.index(
                &mut item,
                &connection.contract,
                due.unwrap_or(connection.connected_at),
            );
        }
        Ok(item)
    }

    /// Stores a connection as new, replacing any that is stored.
    pub async fn put_connection(&self, connection: &Connection) -> Result<(), StoreError> {
        self.put(Self::connection_item(connection)?).await
    }

    /// A write of a connection over its current version; `None` if there is none.
    pub(super) fn connection_put(
        &self,
        connection: &Connection,
        replaces: Option<u64>,
    ) -> Result<Action, StoreError> {
        let assumption = replaces.map_or_else(Assumption::absent, Assumption::version);
        self.put_action(Self::connection_item(connection)?, Some(assumption))
    }

    /// Stores a connection with its audit entry and the further actions `with`, all or nothing. `replaces` is
    /// the current version of the connection; `None` if there is no connection.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if a different version is stored: read it again and decide anew.
    pub(super) async fn change_connection(
        &self,
        connection: &Connection,
        replaces: Option<u64>,
        audit: &AuditEntry,
        unique: uuid::Uuid,
        with: Vec<Action>,
    ) -> Result<(), StoreError> {
        let mut items = vec![
            self.connection_put(connection, replaces)?,
            self.audit_item(&connection.contract, audit, unique)?,
        ];
        items.extend(with);
        self.transact(items).await
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
            .set_key(Some(keys::connection(contract, kind).attributes()))
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

    /// Takes the lease for refreshing the tokens of `version`, unless another worker holds it.
    pub async fn lease_refresh(
        &self,
        connection: &Connection,
        now: Millis,
        until: Millis,
    ) -> Result<RefreshLease, StoreError> {
        let key = keys::connection(&connection.contract, connection.kind);
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

    /// Ends a lease that gave no new tokens: the next worker may try at once.
    pub async fn release_refresh(
        &self,
        connection: &Connection,
        until: Millis,
    ) -> Result<(), StoreError> {
        let key = keys::connection(&connection.contract, connection.kind);
        let result = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key.attributes()))
            .update_expression("REMOVE refresh_until")
            .condition_expression("version = :version AND refresh_until = :until")
            .expression_attribute_values(":until", number(until.0))
            .expression_attribute_values(":version", number(connection.version))
            .send()
            .await;
        match result.map_err(StoreError::from) {
            Ok(_) | Err(StoreError::Conflict) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Stores refreshed tokens over the version they were read at, and ends the lease.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if the connection was replaced or ended meanwhile.
    pub async fn store_refreshed(
        &self,
        connection: &Connection,
        sealed_tokens: &str,
        valid_until: Option<Millis>,
    ) -> Result<Connection, StoreError> {
        let key = keys::connection(&connection.contract, connection.kind);
        let set_end = valid_until.map_or("", |_| ", valid_until = :end");
        let mut update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key.attributes()))
            .update_expression(format!(
                "SET sealed_tokens = :tokens{set_end} REMOVE refresh_until ADD version :one"
            ))
            .condition_expression("version = :version")
            .expression_attribute_values(":tokens", text(sealed_tokens))
            .expression_attribute_values(":version", number(connection.version))
            .expression_attribute_values(":one", number(1))
            .return_values(ReturnValue::AllNew);
        if let Some(end) = valid_until {
            update = update.expression_attribute_values(":end", number(end.0));
        }
        let answer = update.send().await?;
        read(ENTITY, answer.attributes.unwrap_or_default())
    }

    /// Records, with an audit entry, that the provider no longer accepts a connection's tokens, and the
    /// reason, over the version they were read at, and ends the lease.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if the connection was replaced or ended meanwhile.
    pub async fn store_sign_in_needed(
        &self,
        connection: &Connection,
        reason: SignInReason,
        audit: &AuditEntry,
        unique: uuid::Uuid,
    ) -> Result<(), StoreError> {
        let key = keys::connection(&connection.contract, connection.kind);
        let change = Change {
            expression: "SET #state = :state, sign_in_reason = :reason REMOVE refresh_until ADD version :one",
            names: &[("#state", "state")],
            values: vec![
                (":state", text(ConnectionState::SignInNeeded.as_str())),
                (":reason", text(reason.as_str())),
                (":one", number(1)),
            ],
        };
        let as_read = Assumption::version(connection.version);
        self.transact(vec![
            self.update_action(&key, change, as_read)?,
            self.audit_item(&connection.contract, audit, unique)?,
        ])
        .await
    }
}
