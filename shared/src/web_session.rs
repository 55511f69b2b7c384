//! Sessions of signed-in people: short-lived signed tokens in a cookie, over a record in the table that can
//! be withdrawn at any time.
//!
//! A token is `lbs.<contract>.<seat>.<session>.<end>.<signature>`. Its signature is checked before the table
//! is read, so a forged one costs nothing; then the session and the seat are read, so that an ended session,
//! a disabled seat or a changed role takes effect at once. The key is the contract's own, sealed by the
//! vault, and changes every thirty days.
//! read, so a session that was ended, a seat that was disabled and a role that was changed count at
//! once. The key is the contract's own, sealed by the vault, and changes every thirty days.

use std::collections::HashMap;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, header};
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use crate::clock::Millis;
use crate::domain::ids::{ContractId, SeatId};
use crate::problem::Problem;
use crate::random::Random;
use crate::signature::{hmac_sha256, secrets_equal, verify_hex};
use crate::store::{SessionKeys, Store, StoreError};
use crate::vault::{Purpose, Vault, VaultError};

/// Validity of a token, in seconds; then it is renewed, or the session is over.
pub const TOKEN_SECONDS: i64 = 30 * 60;
/// Maximum length of a session, regardless of renewals of its token, in seconds.
pub const SESSION_SECONDS: i64 = 12 * 3600;
/// The header that proves that a request comes from our own page.
pub const CSRF_HEADER: &str = "x-csrf-token";

const COOKIE: &str = "__Host-lb_session";
/// `Lax`: the way back from the sign-in server is a navigation from another site. Requests that
/// change something need the CSRF token too.
const ATTRIBUTES: &str = "Secure; HttpOnly; SameSite=Lax; Path=/";
/// Time for which a signing key signs, in seconds.
const KEY_SECONDS: i64 = 30 * 24 * 3600;
/// Time for which keys are used as they were read, in seconds.
const KEYS_FRESH_SECONDS: i64 = 300;
/// Maximum number of contracts whose keys are cached.
const MAX_OPEN: usize = 1000;

/// A session named by a token, with its signature checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionToken {
    /// The contract.
    pub contract: ContractId,
    /// The seat.
    pub seat: SeatId,
    /// The session's id.
    pub id: String,
    /// End of the token's validity.
    pub valid_until: Millis,
}

impl SessionToken {
    fn signed_text(&self) -> String {
        format!(
            "lbs.{}.{}.{}.{}",
            self.contract, self.seat, self.id, self.valid_until.0
        )
    }

    fn parse(text: &str) -> Option<(Self, &str)> {
        let mut parts = text.split('.');
        let mut next = || parts.next();
        let (Some("lbs"), Some(contract), Some(seat), Some(id), Some(end), Some(signature), None) =
            (next(), next(), next(), next(), next(), next(), next())
        else {
            return None;
        };
        let token = Self {
            contract: contract.parse().ok()?,
            seat: seat.parse().ok()?,
            id: id.to_owned(),
            valid_until: Millis(end.parse().ok()?),
        };
        // Only one spelling is accepted: the signed text must equal the received one.
        (token.signed_text().len() + 1 + signature.len() == text.len())
            .then_some((token, signature))
    }
}

/// The reason why a session cannot be made or checked.
#[derive(Debug, thiserror::Error)]
pub enum WebSessionError {
    /// The table did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key could not be sealed or opened.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl WebSessionError {
    /// The problem for the caller of an API. Logs the error: it is handled here.
    #[must_use]
    pub fn problem(&self) -> Problem {
        match self {
            Self::Store(error) => error.problem(),
            Self::Vault(error) => {
                tracing::error!(
                    error = error as &dyn std::error::Error,
                    "the key of sessions cannot be opened"
                );
                Problem::unavailable()
            }
        }
    }
}

#[derive(Clone)]
struct OpenKeys {
    current: Zeroizing<String>,
    previous: Option<Zeroizing<String>>,
    stored: SessionKeys,
    read_at: Millis,
}

impl OpenKeys {
    fn all(&self) -> Vec<&str> {
        let previous = self.previous.as_ref().map(|key| key.as_str());
        [Some(self.current.as_str()), previous]
            .into_iter()
            .flatten()
            .collect()
    }
}

/// Makes and checks session tokens.
pub struct WebSessions {
    store: Store,
    vault: Arc<Vault>,
    random: Arc<dyn Random>,
    keys: Mutex<HashMap<ContractId, OpenKeys>>,
}

impl WebSessions {
    /// Creates the sessions over this table and vault.
    #[must_use]
    pub fn new(store: Store, vault: Arc<Vault>, random: Arc<dyn Random>) -> Self {
        Self {
            store,
            vault,
            random,
            keys: Mutex::default(),
        }
    }

    /// A signed token of a session, valid for [`TOKEN_SECONDS`] and no longer than `session_end`.
    pub async fn token(
        &self,
        contract: &ContractId,
        seat: SeatId,
        id: &str,
        session_end: Millis,
        now: Millis,
    ) -> Result<String, WebSessionError> {
        let keys = self.signing_keys(contract, now).await?;
        let token = SessionToken {
            contract: contract.clone(),
            seat,
            id: id.to_owned(),
            valid_until: now.plus_seconds(TOKEN_SECONDS).min(session_end),
        };
        let text = token.signed_text();
        let signature = hmac_sha256(keys.current.as_bytes(), &[b"session|", text.as_bytes()]);
        Ok(format!("{text}.{}", hex::encode(signature)))
    }

    /// The session that a token names, if we signed it and it has not ended.
    pub async fn check(
        &self,
        text: &str,
        now: Millis,
    ) -> Result<Option<SessionToken>, WebSessionError> {
        let Some((token, signature)) = SessionToken::parse(text) else {
            return Ok(None);
        };
        let Some(keys) = self.known_keys(&token.contract, now).await? else {
            return Ok(None);
        };
        let signed = token.signed_text();
        let ours = verify_hex(signature, &keys.all(), &[b"session|", signed.as_bytes()]);
        Ok((ours && token.valid_until > now).then_some(token))
    }

    /// The CSRF token of a session: only a page that can read our answers knows it.
    pub async fn csrf(
        &self,
        token: &SessionToken,
        now: Millis,
    ) -> Result<Option<String>, WebSessionError> {
        let keys = self.known_keys(&token.contract, now).await?;
        Ok(keys.map(|keys| csrf(keys.current.as_str(), token)))
    }

    /// True if `given` is the CSRF token of the session.
    pub async fn is_csrf(
        &self,
        token: &SessionToken,
        given: &str,
        now: Millis,
    ) -> Result<bool, WebSessionError> {
        let Some(keys) = self.known_keys(&token.contract, now).await? else {
            return Ok(false);
        };
        let mut right = false;
        for key in keys.all() {
            right |= secrets_equal(&csrf(key, token), given);
        }
        Ok(right)
    }

    /// Signs a text for one purpose: `text.signature`. Used for places that a caller gets and has to bring back.
    pub async fn signed(
        &self,
        contract: &ContractId,
        purpose: &str,
        text: &str,
        now: Millis,
    ) -> Result<String, WebSessionError> {
        let keys = self.signing_keys(contract, now).await?;
        let key = keys.current.as_bytes();
        let signature = hmac_sha256(key, &[purpose.as_bytes(), b"|", text.as_bytes()]);
        Ok(format!("{text}.{}", hex::encode(signature)))
    }

    /// The text that was signed for this purpose; `None` if the contract's keys have not signed it.
    pub async fn unsigned<'a>(
        &self,
        contract: &ContractId,
        purpose: &str,
        given: &'a str,
        now: Millis,
    ) -> Result<Option<&'a str>, WebSessionError> {
        let Some((text, signature)) = given.rsplit_once('.') else {
            return Ok(None);
        };
        let Some(keys) = self.known_keys(contract, now).await? else {
            return Ok(None);
        };
        let parts: [&[u8]; 3] = [purpose.as_bytes(), b"|", text.as_bytes()];
        Ok(verify_hex(signature, &keys.all(), &parts).then_some(text))
    }

    /// The keys of a contract; `None` if it has none.
    async fn known_keys(
        &self,
        contract: &ContractId,
        now: Millis,
    ) -> Result<Option<OpenKeys>, WebSessionError> {
        if let Some(keys) = self.keys.lock().await.get(contract)
            && now.since(keys.read_at) < KEYS_FRESH_SECONDS * 1000
        {
            return Ok(Some(keys.clone()));
        }
        let Some(stored) = self.store.session_keys(contract).await? else {
            return Ok(None);
        };
        Ok(Some(self.open(contract, stored, now).await?))
    }

    /// The keys of a contract, with a current one that may sign.
    async fn signing_keys(
        &self,
        contract: &ContractId,
        now: Millis,
    ) -> Result<OpenKeys, WebSessionError> {
        loop {
            let known = self.known_keys(contract, now).await?;
            if let Some(keys) = &known
                && now.since(keys.stored.created_at) < KEY_SECONDS * 1000
            {
                return Ok(keys.clone());
            }
            let key = Zeroizing::new(self.random.secret(32));
            let before = known.map(|keys| keys.stored);
            let stored = SessionKeys {
                sealed: self.vault.seal(purpose(contract), &key).await?,
                version: before.as_ref().map_or(1, |before| before.version + 1),
                sealed_previous: before.map(|before| before.sealed),
                created_at: now,
            };
            match self.store.put_session_keys(contract, &stored).await {
                Ok(()) => return self.open(contract, stored, now).await,
                // Another worker stored new ones: those are used.
                Err(StoreError::Conflict) => {
                    self.keys.lock().await.remove(contract);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn open(
        &self,
        contract: &ContractId,
        stored: SessionKeys,
        now: Millis,
    ) -> Result<OpenKeys, WebSessionError> {
        let current = self.vault.open(purpose(contract), &stored.sealed).await?;
        let previous = match &stored.sealed_previous {
            Some(sealed) => Some(self.vault.open(purpose(contract), sealed).await?),
            None => None,
        };
        let keys = OpenKeys {
            current,
            previous,
            stored,
            read_at: now,
        };
        let mut open = self.keys.lock().await;
        if open.len() >= MAX_OPEN {
            open.clear();
        }
        open.insert(contract.clone(), keys.clone());
        Ok(keys)
    }
}

fn purpose(contract: &ContractId) -> Purpose<'_> {
    Purpose {
        contract,
        name: "session/key",
    }
}

fn csrf(key: &str, token: &SessionToken) -> String {
    let session = format!("{}.{}", token.seat, token.id);
    hex::encode(hmac_sha256(key.as_bytes(), &[b"csrf|", session.as_bytes()]))
}

/// The session token of a request's cookies, unchecked.
#[must_use]
pub fn cookie_of(headers: &HeaderMap) -> Option<&str> {
    cookies(headers, COOKIE).next()
}

/// The values of a request's cookies with a name.
pub fn cookies<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter_map(move |(found, value)| (found == name).then_some(value))
}

/// `Set-Cookie` for a session token.
#[must_use]
pub fn set_cookie(token: &str) -> HeaderValue {
    secret_header(&format!(
        "{COOKIE}={token}; {ATTRIBUTES}; Max-Age={SESSION_SECONDS}"
    ))
}

/// `Set-Cookie` that makes the browser forget its session.
#[must_use]
pub fn forget_cookie() -> HeaderValue {
    secret_header(&format!("{COOKIE}=; {ATTRIBUTES}; Max-Age=0"))
}

/// A header value that is not logged. Our own values are text that every header can hold.
#[must_use]
pub fn secret_header(text: &str) -> HeaderValue {
    let mut value = HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{SessionToken, set_cookie};
    use crate::clock::Millis;
    use crate::domain::ids::SeatId;

    proptest! {
        #[test]
        fn what_is_read_of_a_cookie_is_what_was_written(text in "(lbs\\.)?[a-z0-9.\\-]{0,80}|\\PC{0,60}", id in "[A-Za-z0-9_-]{1,24}", end in 0_i64..4_000_000_000_000) {
            if let Some((token, signature)) = SessionToken::parse(&text) {
                prop_assert_eq!(format!("{}.{signature}", token.signed_text()), text);
            }
            let token = SessionToken {
                contract: "acme".parse().unwrap(),
                seat: SeatId(uuid::Uuid::from_u128(7)),
                id,
                valid_until: Millis(end),
            };
            let text = format!("{}.ab", token.signed_text());
            prop_assert_eq!(SessionToken::parse(&text), Some((token, "ab")));
        }
    }

    #[test]
    fn a_token_has_one_spelling() {
        let token = SessionToken {
            contract: "acme".parse().unwrap(),
            seat: SeatId(uuid::Uuid::from_u128(7)),
            id: "abc".to_owned(),
            valid_until: Millis(12),
        };
        let text = format!("{}.ff", token.signed_text());
        assert_eq!(SessionToken::parse(&text), Some((token, "ff")));
        for bad in [
            text.replace(".12.", ".012."),
            text.replace(".12.", ".+12."),
            format!("{text}.x"),
            text.replace("lbs", "lbt"),
            String::new(),
        ] {
            assert_eq!(SessionToken::parse(&bad), None, "{bad}");
        }
    }

    #[test]
    fn the_cookie_stays_with_this_site_and_out_of_scripts_and_logs() {
        let cookie = set_cookie("t");
        assert_eq!(
            cookie.to_str().unwrap(),
            "__Host-lb_session=t; Secure; HttpOnly; SameSite=Lax; Path=/; Max-Age=43200"
        );
        assert!(!format!("{cookie:?}").contains("lb_session"));
    }
}
