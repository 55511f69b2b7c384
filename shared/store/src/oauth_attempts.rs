//! Authorization-code flows under way: kept until they are completed, once.

use aws_sdk_dynamodb::types::ReturnValue;
use serde::{Deserialize, Serialize};

use super::{Store, StoreError, expire, keys, number, read, write};
use domain::clock::Millis;
use domain::connection_kind::ConnectionKind;
use domain::ids::{ContractId, SeatId};
use domain::provider::Provider;

/// The purpose of an authorization-code flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "for", rename_all = "snake_case")]
pub enum AttemptPurpose {
    /// Connect a CRM, LinkedIn, or a seat holder's own CRM user.
    Connect {
        /// The connection's kind.
        kind: ConnectionKind,
    },
    /// Sign in to Leadbridge.
    SignIn {
        /// The seat whose invitation is being accepted, with the hash of its secret.
        #[serde(default)]
        invitation: Option<(SeatId, String)>,
    },
}

/// An authorization-code flow that was started and not yet completed. Single use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OAuthAttempt {
    /// The provider of the sign-in.
    pub provider: Provider,
    /// Its purpose.
    pub purpose: AttemptPurpose,
    /// The person who started it; for a sign-in to Leadbridge, no known person.
    pub started_by: String,
    /// The sealed PKCE verifier and nonce.
    pub sealed_secrets: String,
    /// Hash of the cookie that binds it to the browser that started it.
    pub browser_hash: String,
    /// The sign-in server it was sent to.
    pub auth_url: url::Url,
    /// The organisation's URL, if it has to be known before (Dataverse).
    #[serde(default)]
    pub resource: Option<url::Url>,
    /// The path on our site to go to at the end.
    #[serde(default)]
    pub return_to: Option<String>,
    /// End of its validity.
    pub valid_until: Millis,
}

/// The outcome of an attempt to consume an OAuth attempt.
#[derive(Debug)]
pub enum Consumed {
    /// It now belongs to the caller alone.
    Now(Box<OAuthAttempt>),
    /// It was consumed before.
    Before,
    /// There is no such attempt.
    Unknown,
}

impl Store {
    /// Stores an OAuth attempt under the hash of its state.
    pub async fn put_oauth_attempt(
        &self,
        contract: &ContractId,
        state_hash: &str,
        attempt: &OAuthAttempt,
    ) -> Result<(), StoreError> {
        let mut item = write(
            "OAuth attempt",
            attempt,
            &keys::oauth_attempt(contract, state_hash),
        )?;
        expire(&mut item, attempt.valid_until);
        self.put(item).await
    }

    /// Removes an OAuth attempt, with its verifier, for the one caller that completes it. A mark of it stays
    /// until its time to live ends, so that a second caller learns that it was used.
    pub async fn consume_oauth_attempt(
        &self,
        contract: &ContractId,
        state_hash: &str,
        now: Millis,
    ) -> Result<Consumed, StoreError> {
        let result = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(keys::oauth_attempt(contract, state_hash).attributes()))
            .update_expression("SET used_at = :now REMOVE sealed_secrets")
            .condition_expression("attribute_exists(PK)")
            .expression_attribute_values(":now", number(now.0))
            .return_values(ReturnValue::AllOld)
            .send()
            .await;
        let before = match result.map_err(StoreError::from) {
            Ok(answer) => answer.attributes.unwrap_or_default(),
            Err(StoreError::Conflict) => return Ok(Consumed::Unknown),
            Err(error) => return Err(error),
        };
        if before.contains_key("used_at") {
            return Ok(Consumed::Before);
        }
        let attempt = read("OAuth attempt", before)?;
        Ok(Consumed::Now(Box::new(attempt)))
    }
}
