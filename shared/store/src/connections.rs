//! Connections to a CRM and to LinkedIn: where, as whom, sealed tokens, and the throttle that all
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

/// Whether a connection can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ConnectionState {
    /// It works, as far as the last call showed.
    Connected,
    /// The provider no longer accepts its tokens: somebody has to sign in again.
    SignInNeeded,
    /// Somebody asked to end it; it is used for nothing but that.
    Disconnecting,
    /// It was ended: there are no tokens.
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

/// The reason for which somebody has to sign in again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SignInReason {
    /// The tokens expired, were revoked or replaced, or the time of the authorisation is over.
    #[default]
    Ended,
    /// The user is disabled, locked or deleted at the provider.
    UserInactive,
    /// The organisation is locked, closed or gone.
    OrganizationInactive,
    /// A rule of the organisation stands against it: network addresses, hours, a second factor, a
    /// password that has to be changed.
    Restricted,
    /// The access of the app is not approved, or no longer.
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

/// Whom a connection acts as at the provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct RemoteUser {
    /// The provider's id of the user.
    pub id: String,
    /// The name that the user signs in with, where the provider says it.
    #[serde(default)]
    pub username: Option<String>,
}

/// What became of the tokens at the provider when a connection was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Revocation {
    /// The provider revoked them.
    Revoked,
    /// The provider no longer knew them.
    AlreadyEnded,
    /// The provider lets no app revoke tokens: the user or an administrator ends the app's access
    /// there. Ours are deleted.
    NotOffered,
    /// The provider did not answer, however often it was asked. Ours are deleted.
    NotReached,
}

/// What the clean-up of imported data did (CN-8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct Purge {
    /// Items there were when it began.
    pub found: u64,
    /// Items deleted so far.
    pub deleted: u64,
    /// Items that are left: none were, when each partition was read once more; absent while it runs.
    #[serde(default)]
    pub left: Option<u64>,
    /// While items are counted: from which partition on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<usize>,
}

/// The end of a connection: asked for, under way, or done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct Disconnect {
    /// Who asked.
    pub requested_by: String,
    /// When.
    #[cfg_attr(feature = "http-api", schema(value_type = i64))]
    pub requested_at: Millis,
    /// Whether everything imported goes too.
    pub clean_up: bool,
    /// How often the provider was asked to revoke.
    #[serde(default)]
    pub attempts: u32,
    /// What became of the tokens at the provider.
    #[serde(default)]
    pub revocation: Option<Revocation>,
    /// What the clean-up did.
    #[serde(default)]
    pub purge: Option<Purge>,
    /// It goes on then: an import's worker may still be writing until that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "http-api", schema(value_type = Option<i64>))]
    pub due_at: Option<Millis>,
    /// When all of it was done.
    #[serde(default)]
    #[cfg_attr(feature = "http-api", schema(value_type = Option<i64>))]
    pub finished_at: Option<Millis>,
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
    /// Entra: the tenant that the user is of.
    #[serde(default)]
    pub tenant: Option<String>,
    /// Whom it acts as.
    #[serde(default)]
    pub user: Option<RemoteUser>,
    /// Sealed tokens of a session; none once it is disconnected.
    #[serde(default)]
    pub sealed_tokens: Option<String>,
    /// Whether it can be used.
    pub state: ConnectionState,
    /// The reason for which a sign-in is needed, where the provider said one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign_in_reason: Option<SignInReason>,
    /// From then on a person has to sign in again, whatever the tokens say: a seat holder's
    /// sign-in counts for 90 days (CN-11), and LinkedIn's authorisation ends.
    #[serde(default)]
    pub valid_until: Option<Millis>,
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
    /// The end that was asked for.
    #[serde(default)]
    pub disconnect: Option<Disconnect>,
    /// Counts changes of its tokens and state.
    pub version: u64,
}

impl Connection {
    /// Whether somebody has to sign in before it can be used at `now`.
    #[must_use]
    pub fn needs_sign_in(&self, now: Millis) -> bool {
        self.state == ConnectionState::SignInNeeded
            || self.valid_until.is_some_and(|until| until <= now)
    }

    /// The reason for which somebody has to sign in; meant for a connection that
    /// [needs it](Self::needs_sign_in).
    #[must_use]
    pub fn reason(&self) -> SignInReason {
        self.sign_in_reason.unwrap_or_default()
    }

    /// Whether there is a connection to speak of: one that was ended is as good as none.
    #[must_use]
    pub fn stands(&self) -> bool {
        matches!(
            self.state,
            ConnectionState::Connected | ConnectionState::SignInNeeded
        )
    }

    /// What the audit log keeps of it.
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
        self.get(ENTITY, keys::connection(contract, kind), true)
            .await
    }

    /// The organisation that an environment is connected to; none where no connection stands.
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

    /// Stores a connection as new, over whatever was there.
    pub async fn put_connection(&self, connection: &Connection) -> Result<(), StoreError> {
        self.put(Self::connection_item(connection)?).await
    }

    /// A write of a connection over the version that stands there; `None` when there is none.
    pub(super) fn connection_put(
        &self,
        connection: &Connection,
        replaces: Option<u64>,
    ) -> Result<Action, StoreError> {
        let assumption = replaces.map_or_else(Assumption::absent, Assumption::version);
        self.put_action(Self::connection_item(connection)?, Some(assumption))
    }

    /// Stores a connection with its audit entry, and what else has to come with it, all or nothing.
    /// `replaces` is the version that stands there now; `None` when there is no connection.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when something else stands there: read it again and decide anew.
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

    /// Becomes the one that refreshes the tokens of `version`, unless another is.
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

    /// Ends a lease that gave no new tokens: the next one may try at once.
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
    /// [`StoreError::Conflict`] when the connection was made anew or ended meanwhile.
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

    /// Notes, with an audit entry, that the provider no longer accepts a connection's tokens, and for
    /// which reason, over the version they were read at, and ends the lease.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the connection was made anew or ended meanwhile.
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
