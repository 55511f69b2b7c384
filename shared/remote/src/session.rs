//! Authenticated calls of a connection: opens and refreshes tokens, and respects the shared pause.
//!
//! One refresh at a time for a connection, over all workers: a conditional lease in the table; the
//! others wait and read the new tokens. New tokens are stored before they are used, so that a
//! rotated refresh token is never lost to a crash after its first use.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use tokio::sync::Mutex;
use url::Url;

use crate::oauth::{self, Access, Grant, OAuthApps, OAuthError, Tokens};
use crate::outbound::{Answer, Call, Meter, Outbound, OutboundError, Pace, Provider, Reply};
use crate::random::Random;
use crate::vault::{Purpose, Vault, VaultError};
use domain::clock::{Clock, Millis};
use domain::contract::AuditEntry;
use domain::ids::ContractId;
use domain::sync::ApiUsage;
use store::{
    Connection, ConnectionKind, ConnectionState, RefreshLease, Revocation, SignInReason, Store,
    StoreError,
};

/// Time for which a connection is used as it was read, in seconds. A pause set by another worker is noticed
/// after this time at the latest.
const REREAD_AFTER_SECONDS: i64 = 5;
/// Maximum time for one worker to refresh the tokens, in seconds.
const REFRESH_LEASE_SECONDS: i64 = 30;
/// Time before a token's end at which it is renewed, in seconds.
const RENEW_BEFORE_SECONDS: i64 = 60;

/// The reason why a call could not be made, or has no answer.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The contract has no such connection.
    #[error("not connected")]
    NotConnected,
    /// The user has to sign in again.
    #[error("sign-in needed: {}", .0.as_str())]
    SignInNeeded(SignInReason),
    /// Our client is refused: the operator has to correct its credentials, or the CRM's administrator has to
    /// allow the app.
    #[error("the OAuth app is not accepted")]
    AppRefused(#[source] OAuthError),
    /// The sign-in server did not renew the tokens, for a reason that may pass or stay.
    #[error("the tokens were not renewed")]
    NotRenewed(#[source] OAuthError),
    /// A part of Leadbridge does not work until the operator corrects it: the key, the secret of the apps, or
    /// a stored connection that cannot be read.
    #[error("a part of ours does not work")]
    Ours(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The remote requested a pause until that time.
    #[error("paused")]
    Paused(Millis),
    /// The address is not the provider's.
    #[error("forbidden address")]
    Forbidden,
    /// Nothing was sent.
    #[error("the call was not made")]
    NotSent(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No answer: the call may have taken effect.
    #[error("no answer")]
    Unknown(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<StoreError> for SessionError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) | StoreError::Conflict => Self::NotSent(Box::new(error)),
            other => Self::Ours(Box::new(other)),
        }
    }
}

impl From<VaultError> for SessionError {
    fn from(error: VaultError) -> Self {
        match error {
            // Tokens that cannot be opened are as good as none.
            VaultError::DoesNotOpen => Self::SignInNeeded(SignInReason::Ended),
            VaultError::Unavailable(_) => Self::NotSent(Box::new(error)),
            VaultError::Refused(_) | VaultError::KeyFile(_) => Self::Ours(Box::new(error)),
        }
    }
}

impl From<OAuthError> for SessionError {
    fn from(error: OAuthError) -> Self {
        match error {
            OAuthError::SignInNeeded { reason, .. } => Self::SignInNeeded(reason),
            OAuthError::AppNotAllowed(_) | OAuthError::Client { .. } | OAuthError::NoApp(_) => {
                Self::AppRefused(error)
            }
            OAuthError::AppsUnusable(_) => Self::Ours(Box::new(error)),
            OAuthError::Unclear(_) => Self::NotRenewed(error),
            // The caller, who knows the connection, stores the pause.
            OAuthError::Throttled(_)
            | OAuthError::Passing(_)
            | OAuthError::Apps(_)
            | OAuthError::Unavailable(_) => Self::NotSent(Box::new(error)),
        }
    }
}

impl From<OutboundError> for SessionError {
    fn from(error: OutboundError) -> Self {
        match error {
            OutboundError::Forbidden(_) => Self::Forbidden,
            OutboundError::NotSent(_) => Self::NotSent(Box::new(error)),
            OutboundError::Unknown(_) => Self::Unknown(Box::new(error)),
        }
    }
}

/// Use of a connection since this process began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Number of calls, every attempt included.
    pub calls: u64,
    /// Bytes of the answers' bodies, as received.
    pub bytes: u64,
    /// The organisation's API calls, as last reported by the CRM (Salesforce).
    pub api: Option<ApiUsage>,
}

#[derive(Default)]
struct UsageMeter(std::sync::Mutex<Usage>);

impl UsageMeter {
    fn with<T>(&self, change: impl FnOnce(&mut Usage) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Meter for UsageMeter {
    fn called(&self) {
        self.with(|usage| usage.calls += 1);
    }

    fn answered(&self, headers: &HeaderMap) {
        let told = headers.get("sforce-limit-info");
        if let Some(api) = told.and_then(|told| api_usage(told.to_str().ok()?)) {
            self.with(|usage| usage.api = Some(api));
        }
    }

    fn received(&self, bytes: usize) {
        self.with(|usage| usage.bytes += u64::try_from(bytes).unwrap_or(u64::MAX));
    }
}

/// Reads `Sforce-Limit-Info`: `api-usage=18/5000`, and further items after a semicolon or a comma (REST API
/// developer guide, "Limit Info Header").
fn api_usage(text: &str) -> Option<ApiUsage> {
    text.split([';', ',']).find_map(|part| {
        let (name, value) = part.split_once('=')?;
        let (used, limit) = value.split_once('/')?;
        (name.trim() == "api-usage").then_some(ApiUsage {
            used: used.trim().parse().ok()?,
            limit: limit.trim().parse().ok()?,
        })
    })
}

type ConnectionKey = (ContractId, ConnectionKind);
type OpenSessions = Arc<Mutex<HashMap<ConnectionKey, Arc<Session>>>>;
type Meters = Arc<Mutex<HashMap<ConnectionKey, Arc<UsageMeter>>>>;

/// The dependencies of sessions.
#[derive(Clone)]
pub struct Sessions {
    store: Store,
    vault: Arc<Vault>,
    outbound: Outbound,
    apps: Arc<OAuthApps>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    open: OpenSessions,
    /// Kept apart from the sessions, so that a reopened session continues its counts.
    meters: Meters,
}

impl Sessions {
    /// Creates sessions with these dependencies.
    #[must_use]
    pub fn new(
        store: Store,
        vault: Arc<Vault>,
        outbound: Outbound,
        apps: Arc<OAuthApps>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        Self {
            store,
            vault,
            outbound,
            apps,
            clock,
            random,
            open: Arc::default(),
            meters: Arc::default(),
        }
    }

    /// Opens the session of a contract's connection.
    pub async fn open(
        &self,
        contract: &ContractId,
        kind: ConnectionKind,
    ) -> Result<Arc<Session>, SessionError> {
        let now = self.clock.now();
        let key = (contract.clone(), kind);
        let known = self.open.lock().await.get(&key).cloned();
        if let Some(session) = known
            && now.since(session.read_at) < REREAD_AFTER_SECONDS * 1000
        {
            return Ok(session);
        }
        let connection = self
            .store
            .connection(contract, kind)
            .await?
            .ok_or(SessionError::NotConnected)?;
        let live = self.live(connection).await?;
        let meter = self
            .meters
            .lock()
            .await
            .entry(key.clone())
            .or_default()
            .clone();
        let session = Arc::new(Session {
            contract: contract.clone(),
            kind,
            provider: live.connection.provider,
            base_url: live.connection.base_url.clone(),
            organization: live.connection.organization.clone(),
            read_at: now,
            parts: self.clone(),
            meter,
            live: Mutex::new(live),
        });
        self.open.lock().await.insert(key, session.clone());
        Ok(session)
    }

    /// Forgets a session, so that the next use reads the connection anew.
    pub async fn forget(&self, contract: &ContractId, kind: ConnectionKind) {
        self.open.lock().await.remove(&(contract.clone(), kind));
    }

    async fn live(&self, connection: Connection) -> Result<Live, SessionError> {
        if !connection.stands() {
            return Err(SessionError::NotConnected);
        }
        if connection.needs_sign_in(self.clock.now()) {
            return Err(SessionError::SignInNeeded(connection.reason()));
        }
        let tokens = self.tokens(&connection).await?;
        Ok(Live { connection, tokens })
    }

    /// The opened tokens of a connection.
    async fn tokens(&self, connection: &Connection) -> Result<Tokens, SessionError> {
        let purpose = Purpose {
            contract: &connection.contract,
            name: &connection.kind.purpose(),
        };
        let none = || SessionError::SignInNeeded(SignInReason::Ended);
        let sealed = connection.sealed_tokens.as_deref().ok_or_else(none)?;
        let sealed = self.vault.open(purpose, sealed).await?;
        serde_json::from_str(&sealed).map_err(|_| none())
    }

    /// Revokes the tokens of a connection that is being ended, at its provider.
    ///
    /// # Errors
    /// Returns an error if the provider could not be asked this time; asking again does no harm.
    pub async fn revoke(&self, connection: &Connection) -> Result<Revocation, SessionError> {
        let tokens = match self.tokens(connection).await {
            Ok(tokens) => tokens,
            // Tokens that cannot be opened cannot be revoked.
            Err(SessionError::SignInNeeded(_)) => return Ok(Revocation::AlreadyEnded),
            Err(error) => return Err(error),
        };
        let app = self.apps.app(connection.provider).await?;
        // Revoking a refresh token ends its access tokens too.
        let token = tokens
            .refresh_token
            .as_deref()
            .unwrap_or(&tokens.access_token);
        let revoked = oauth::revoke(
            &self.outbound,
            connection.provider,
            &connection.auth_url,
            &app,
            token,
        );
        Ok(revoked.await?)
    }
}

struct Live {
    connection: Connection,
    tokens: Tokens,
}

/// A connection in use.
pub struct Session {
    contract: ContractId,
    kind: ConnectionKind,
    /// The provider of the API.
    pub provider: Provider,
    /// The API's address.
    pub base_url: Url,
    /// The provider's id of the organisation.
    pub organization: String,
    read_at: Millis,
    parts: Sessions,
    meter: Arc<UsageMeter>,
    live: Mutex<Live>,
}

impl Session {
    /// A URL under the connection's address.
    ///
    /// # Errors
    /// Returns [`SessionError::Forbidden`] for a path that leads elsewhere.
    pub fn url(&self, path: &str) -> Result<Url, SessionError> {
        let url = self
            .base_url
            .join(path)
            .map_err(|_| SessionError::Forbidden)?;
        if url.origin() == self.base_url.origin() {
            Ok(url)
        } else {
            Err(SessionError::Forbidden)
        }
    }

    /// Use of the connection by all its sessions in this process.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.meter.with(|usage| *usage)
    }

    /// Makes a call with the connection's token and reads the whole answer. An expired token is refreshed
    /// once and the call is repeated; `429` and `503` with `Retry-After` pause the connection for all
    /// workers.
    pub async fn send(&self, call: Call) -> Result<Answer, SessionError> {
        Ok(self.reply(call, Pace::Short).await?.collect().await?)
    }

    /// As [`Self::send`], for a large or slow answer: the caller reads its body.
    pub async fn stream(&self, call: Call) -> Result<Reply, SessionError> {
        self.reply(call, Pace::Long).await
    }

    async fn reply(&self, call: Call, pace: Pace) -> Result<Reply, SessionError> {
        let now = self.parts.clock.now();
        let (mut token, mut version) = {
            let live = self.live.lock().await;
            if let Some(until) = live.connection.not_before.filter(|until| *until > now) {
                return Err(SessionError::Paused(until));
            }
            (live.tokens.clone(), live.connection.version)
        };
        if token.refresh_token.is_some()
            && token
                .expires_at
                .is_some_and(|end| end < now.plus_seconds(RENEW_BEFORE_SECONDS))
        {
            (token, version) = self.refresh(version).await?;
        }
        let mut reply = self.attempt(&call, &token, pace).await?;
        if reply.status() == StatusCode::UNAUTHORIZED {
            (token, _) = self.refresh(version).await?;
            reply = self.attempt(&call, &token, pace).await?;
            if reply.status() == StatusCode::UNAUTHORIZED {
                return Err(SessionError::SignInNeeded(SignInReason::Ended));
            }
        }
        if let Reply::Refused(answer) = &reply {
            let throttled = answer.status == StatusCode::TOO_MANY_REQUESTS
                || (answer.status == StatusCode::SERVICE_UNAVAILABLE
                    && answer.retry_after_seconds().is_some());
            if throttled {
                let until = self
                    .parts
                    .clock
                    .now()
                    .plus_seconds(answer.retry_after_seconds().unwrap_or(30).max(1));
                return Err(SessionError::Paused(self.pause(until).await?));
            }
        }
        Ok(reply)
    }

    /// The current time of the session's clock.
    #[must_use]
    pub fn now(&self) -> Millis {
        self.parts.clock.now()
    }

    /// Pauses the connection for all workers.
    pub async fn pause(&self, until: Millis) -> Result<Millis, SessionError> {
        self.live.lock().await.connection.not_before = Some(until);
        self.parts
            .store
            .pause_connection(&self.contract, self.kind, until)
            .await?;
        Ok(until)
    }

    async fn attempt(
        &self,
        call: &Call,
        tokens: &Tokens,
        pace: Pace,
    ) -> Result<Reply, SessionError> {
        let bearer = Some(tokens.access_token.as_str());
        let meter: Arc<dyn Meter> = self.meter.clone();
        let parts = &self.parts;
        let reply = parts
            .outbound
            .stream(call.clone(), bearer, pace, Some(meter));
        Ok(reply.await?)
    }

    /// Tokens newer than those of `used_version`: from another worker, or refreshed here.
    async fn refresh(&self, used_version: u64) -> Result<(Tokens, u64), SessionError> {
        // This lock is also where the process's other workers wait for the one that refreshes.
        let mut live = self.live.lock().await;
        for _ in 0..REFRESH_LEASE_SECONDS * 4 {
            if live.connection.version > used_version {
                return Ok((live.tokens.clone(), live.connection.version));
            }
            let connection = self
                .parts
                .store
                .connection(&self.contract, self.kind)
                .await?
                .ok_or(SessionError::NotConnected)?;
            *live = self.parts.live(connection).await?;
            if live.connection.version > used_version {
                continue;
            }
            let now = self.parts.clock.now();
            let until = now.plus_seconds(REFRESH_LEASE_SECONDS);
            match self
                .parts
                .store
                .lease_refresh(&live.connection, now, until)
                .await?
            {
                RefreshLease::Mine => {
                    match self.renew(&live).await {
                        Ok(renewed) => *live = renewed,
                        Err(error) => {
                            // No worker waits for a refresh that has failed. A lease that is not released
                            // expires.
                            let store = &self.parts.store;
                            let _ = store.release_refresh(&live.connection, until).await;
                            let seconds = match error {
                                Renewal::Throttled(seconds) => seconds,
                                Renewal::Failed(error) => return Err(error),
                            };
                            // All workers of the connection ask the sign-in server too.
                            let until = self.parts.clock.now().plus_seconds(seconds);
                            live.connection.not_before = Some(until);
                            let (contract, kind) = (&self.contract, self.kind);
                            store.pause_connection(contract, kind, until).await?;
                            return Err(SessionError::Paused(until));
                        }
                    }
                    return Ok((live.tokens.clone(), live.connection.version));
                }
                RefreshLease::Others => tokio::time::sleep(Duration::from_millis(250)).await,
            }
        }
        Err(SessionError::NotSent(
            "the tokens are being refreshed elsewhere".into(),
        ))
    }

    async fn renew(&self, live: &Live) -> Result<Live, Renewal> {
        let connection = &live.connection;
        let name = self.kind.purpose();
        let purpose = Purpose {
            contract: &self.contract,
            name: &name,
        };
        let Some(refresh_token) = &live.tokens.refresh_token else {
            return Err(self.over(connection, SignInReason::Ended).await);
        };
        let app = self.parts.apps.app(connection.provider).await?;
        let resource = (connection.provider == Provider::Dataverse).then_some(&connection.base_url);
        let answer = oauth::exchange(
            &self.parts.outbound,
            connection.provider,
            &connection.auth_url,
            &app,
            Grant::Refresh(refresh_token),
            Access::Api,
            resource,
        )
        .await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(OAuthError::SignInNeeded { reason, code }) => {
                tracing::warn!(contract = %self.contract, provider = connection.provider.as_str(),
                    reason = reason.as_str(), code, "the sign-in server ended a connection");
                return Err(self.over(connection, reason).await);
            }
            Err(error) => {
                // A refused client may have a new secret since it was read.
                if matches!(error, OAuthError::Client { .. }) {
                    self.parts.apps.forget().await;
                }
                return Err(error.into());
            }
        };
        let tokens = answer.tokens(Some(refresh_token), self.parts.clock.now());
        let sealed = seal_tokens(&self.parts.vault, purpose, &tokens).await;
        let sealed = sealed.map_err(SessionError::from)?;
        // LinkedIn states the end of its authorisation anew; a seat holder's ninety days continue.
        let valid_until = match self.kind {
            ConnectionKind::LinkedIn => answer.authorization_end(self.parts.clock.now()),
            ConnectionKind::Crm(_) | ConnectionKind::User(..) => None,
        };
        let stored = self
            .parts
            .store
            .store_refreshed(connection, &sealed, valid_until)
            .await;
        let connection = match stored {
            Ok(connection) => connection,
            Err(error) => {
                if matches!(error, StoreError::Conflict) {
                    self.give_back(connection, &app, &tokens).await;
                }
                return Err(SessionError::from(error).into());
            }
        };
        tracing::info!(contract = %self.contract, provider = connection.provider.as_str(), "tokens refreshed");
        Ok(Live { connection, tokens })
    }
}

/// The reason why tokens were not renewed.
enum Renewal {
    /// The sign-in server requested a pause of so many seconds.
    Throttled(i64),
    /// Anything else.
    Failed(SessionError),
}

impl From<SessionError> for Renewal {
    fn from(error: SessionError) -> Self {
        Self::Failed(error)
    }
}

impl From<OAuthError> for Renewal {
    fn from(error: OAuthError) -> Self {
        match error {
            OAuthError::Throttled(seconds) => Self::Throttled(seconds),
            error => Self::Failed(error.into()),
        }
    }
}

impl Session {
    /// Records that the user has to sign in again, with its audit entry.
    async fn over(&self, connection: &Connection, reason: SignInReason) -> Renewal {
        let mut after = connection.clone();
        after.state = ConnectionState::SignInNeeded;
        after.sign_in_reason = Some(reason);
        let audit = AuditEntry {
            at: self.parts.clock.now(),
            actor: "system".to_owned(),
            action: "connection.sign_in_needed".to_owned(),
            target: self.kind.to_string(),
            before: connection.logged(),
            after: after.logged(),
        };
        let unique = self.parts.random.uuid();
        let store = &self.parts.store;
        let noted = store.store_sign_in_needed(connection, reason, &audit, unique);
        match noted.await {
            Ok(()) => SessionError::SignInNeeded(reason).into(),
            Err(error) => SessionError::from(error).into(),
        }
    }

    /// Revokes tokens that arrived after the connection was ended, so that they do not stay valid at the
    /// provider. If a connection stands, nothing is revoked: its tokens may belong to the same grant.
    async fn give_back(&self, connection: &Connection, app: &oauth::App, tokens: &Tokens) {
        let parts = &self.parts;
        let now = parts.store.connection(&self.contract, self.kind).await;
        if !now.is_ok_and(|now| now.is_none_or(|now| !now.stands())) {
            return;
        }
        let token = tokens
            .refresh_token
            .as_deref()
            .unwrap_or(&tokens.access_token);
        let (provider, auth_url) = (connection.provider, &connection.auth_url);
        let revoked = oauth::revoke(&parts.outbound, provider, auth_url, app, token).await;
        if let Err(error) = revoked {
            tracing::warn!(contract = %self.contract, provider = provider.as_str(),
                error = &error as &dyn std::error::Error, "tokens that were not kept could not be revoked");
        }
    }
}

/// Seals tokens for the table.
pub async fn seal_tokens(
    vault: &Vault,
    purpose: Purpose<'_>,
    tokens: &Tokens,
) -> Result<String, VaultError> {
    let text = zeroize::Zeroizing::new(serde_json::to_string(tokens).unwrap_or_default());
    vault.seal(purpose, &text).await
}

#[cfg(test)]
mod tests {
    use super::api_usage;

    #[test]
    fn the_limit_header_is_read_in_every_form_that_was_seen() {
        let read = |text| api_usage(text).map(|api| (api.used, api.limit));
        assert_eq!(read("api-usage=18/5000"), Some((18, 5000)));
        assert_eq!(
            read("api-usage=25/5000; per-app-api-usage=17/250(appName=sample-app)"),
            Some((25, 5000))
        );
        assert_eq!(
            read("api-bursts=1/750; api-usage=10018/100000"),
            Some((10_018, 100_000))
        );
        for strange in [
            "",
            "per-app-api-usage=17/250",
            "api-usage=x/1",
            "api-usage=1",
        ] {
            assert_eq!(read(strange), None, "{strange}");
        }
    }
}
