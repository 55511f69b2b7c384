//! The smaller entities: API tokens, attachments, discovered names, metadata, cursors, OAuth attempts.

use aws_sdk_dynamodb::types::{Delete, Put, ReturnValue, TransactWriteItem};
use serde::{Deserialize, Serialize};

use super::submissions::built;
use super::{
    ConnectionKind, Item, Store, StoreError, all_pages, expire, keys, number, read, text, write,
};
use domain::clock::Millis;
use domain::contract::AuditEntry;
use domain::environment::Environment;
use domain::ids::{ContractId, FormId, SeatId, SubmissionId, TokenId};
use domain::provider::Provider;
use domain::role::Role;
use domain::schema::LeadSchema;
use domain::source::linkedin::LeadForm;

/// Most discovered names kept for a contract: a public form must not fill the table with names.
const MAX_DISCOVERED: usize = 500;

/// An API token. Only a hash of its secret is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ApiTokenRecord {
    /// Its public half.
    pub id: TokenId,
    /// What people call it.
    #[serde(default)]
    pub name: String,
    /// What its holder may do.
    pub role: Role,
    /// SHA-256 of its secret, in hexadecimal.
    pub secret_hash: String,
    /// When it was made.
    pub created_at: Millis,
    /// After this it no longer opens anything.
    #[serde(default)]
    pub valid_until: Option<Millis>,
}

/// A submission's attachment to a lead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct Attachment {
    /// The CRM's id of the lead.
    pub lead_id: String,
    /// Points that the submission gives.
    pub points: u32,
    /// Whether the submission created the lead.
    pub created_lead: bool,
    /// When.
    #[cfg_attr(feature = "http-api", schema(value_type = i64))]
    pub at: Millis,
}

impl Attachment {
    pub(super) fn item(&self, contract: &ContractId, id: SubmissionId) -> Result<Item, StoreError> {
        let mut item = write(
            "attachment",
            self,
            &keys::attachment(contract, &self.lead_id, id),
        )?;
        item.insert("submission".to_owned(), text(id.to_string()));
        Ok(item)
    }
}

#[derive(Deserialize)]
struct StoredAttachment {
    submission: SubmissionId,
    #[serde(flatten)]
    attachment: Attachment,
}

#[derive(Serialize, Deserialize)]
struct Discovered {
    name: String,
    first_seen: Millis,
}

/// How far the scheduled pull has read an owner's responses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullCursor {
    /// Everything submitted before this has been read.
    pub read_until: Millis,
    /// When the last pull ended.
    pub pulled_at: Millis,
}

/// What an authorization-code flow is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "for", rename_all = "snake_case")]
pub enum AttemptPurpose {
    /// Connect a CRM, LinkedIn, or a seat holder's own CRM user.
    Connect {
        /// Which connection.
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
    /// Whom it signs in to.
    pub provider: Provider,
    /// What it is for.
    pub purpose: AttemptPurpose,
    /// Who started it; nobody known where it signs in.
    pub started_by: String,
    /// The sealed PKCE verifier and nonce.
    pub sealed_secrets: String,
    /// Hash of the cookie that binds it to the browser that started it.
    pub browser_hash: String,
    /// The sign-in server it was sent to.
    pub auth_url: url::Url,
    /// The organisation's URL, where it has to be known before (Dataverse).
    #[serde(default)]
    pub resource: Option<url::Url>,
    /// The path of ours to go to at the end.
    #[serde(default)]
    pub return_to: Option<String>,
    /// After this it can no longer be completed.
    pub valid_until: Millis,
}

/// How long the count of a minute is kept, in minutes.
const KEPT_MINUTES: i64 = 10;

/// What was counted of posts in one minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PostCounts {
    /// Of all forms of the contract.
    pub contract: u64,
    /// Of the form.
    pub form: u64,
}

/// What became of an attempt to take an OAuth attempt.
#[derive(Debug)]
pub enum Consumed {
    /// It is the caller's, and nobody else's from now on.
    Now(Box<OAuthAttempt>),
    /// Somebody took it before.
    Before,
    /// There is no such attempt.
    Unknown,
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
        item.insert("GSI1PK".to_owned(), text(keys::tokens_index(contract)));
        item.insert("GSI1SK".to_owned(), text(token.id.as_str()));
        Ok(item)
    }

    /// A contract's API tokens by id.
    pub async fn api_tokens(
        &self,
        contract: &ContractId,
    ) -> Result<Vec<ApiTokenRecord>, StoreError> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .index_name("GSI1")
            .key_condition_expression("GSI1PK = :pk")
            .expression_attribute_values(":pk", text(keys::tokens_index(contract)));
        let items = all_pages(&query).await?.into_iter();
        items.map(|item| read("API token", item)).collect()
    }

    /// Makes an API token, or, without a record, revokes it, with its audit entry.
    pub async fn change_api_token(
        &self,
        contract: &ContractId,
        id: &TokenId,
        token: Option<&ApiTokenRecord>,
        audit: &AuditEntry,
        unique: uuid::Uuid,
    ) -> Result<(), StoreError> {
        let key = keys::token(contract, id);
        let change = if let Some(token) = token {
            let put = Put::builder()
                .table_name(&self.table)
                .set_item(Some(Self::api_token_item(contract, token)?))
                .condition_expression("attribute_not_exists(PK)");
            TransactWriteItem::builder().put(built(put.build())?)
        } else {
            let delete = Delete::builder()
                .table_name(&self.table)
                .set_key(Some(key.attributes()))
                .condition_expression("attribute_exists(PK)");
            TransactWriteItem::builder().delete(built(delete.build())?)
        };
        self.client
            .transact_write_items()
            .transact_items(change.build())
            .transact_items(self.audit_item(contract, audit, unique)?)
            .send()
            .await?;
        Ok(())
    }

    /// Keeps a submission's attachment to a lead; kept again, nothing changes.
    pub async fn put_attachment(
        &self,
        contract: &ContractId,
        id: SubmissionId,
        attachment: &Attachment,
    ) -> Result<(), StoreError> {
        self.put(attachment.item(contract, id)?).await
    }

    /// Every submission attached to a lead.
    pub async fn attachments(
        &self,
        contract: &ContractId,
        lead_id: &str,
    ) -> Result<Vec<(SubmissionId, Attachment)>, StoreError> {
        self.query_all(keys::lead_partition(contract, lead_id), "SUBMISSION#")
            .await?
            .into_iter()
            .map(|item| read::<StoredAttachment>("attachment", item))
            .map(|stored| stored.map(|stored| (stored.submission, stored.attachment)))
            .collect()
    }

    /// Names seen on submissions, with when they were first seen.
    pub async fn discovered_names(
        &self,
        contract: &ContractId,
    ) -> Result<Vec<(String, Millis)>, StoreError> {
        self.query_all(keys::discovered_partition(contract), "")
            .await?
            .into_iter()
            .map(|item| read::<Discovered>("discovered name", item))
            .map(|found| found.map(|found| (found.name, found.first_seen)))
            .collect()
    }

    /// Keeps names seen on a submission. `known` are those kept already: a name is written once,
    /// and no more than [`MAX_DISCOVERED`] of a contract.
    pub async fn discover_names<'a>(
        &self,
        contract: &ContractId,
        known: usize,
        names: impl Iterator<Item = &'a str>,
        now: Millis,
    ) -> Result<(), StoreError> {
        for name in names.take(MAX_DISCOVERED.saturating_sub(known)) {
            let found = Discovered {
                name: name.to_owned(),
                first_seen: now,
            };
            self.put(write(
                "discovered name",
                &found,
                &keys::discovered(contract, name),
            )?)
            .await?;
        }
        Ok(())
    }

    /// The CRM's lead fields as last read.
    pub async fn lead_schema(
        &self,
        contract: &ContractId,
    ) -> Result<Option<LeadSchema>, StoreError> {
        self.get("lead schema", keys::lead_schema(contract), false)
            .await
    }

    /// Keeps the CRM's lead fields, while the connection that they were read with stands.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it does not.
    pub async fn put_lead_schema(
        &self,
        contract: &ContractId,
        organization: &str,
        schema: &LeadSchema,
    ) -> Result<(), StoreError> {
        let item = write("lead schema", schema, &keys::lead_schema(contract))?;
        self.put_imported(contract, Environment::Production, organization, item)
            .await
    }

    /// A LinkedIn form as last read.
    pub async fn linkedin_form(
        &self,
        contract: &ContractId,
        id: &str,
    ) -> Result<Option<LeadForm>, StoreError> {
        self.get("LinkedIn form", keys::linkedin_form(contract, id), false)
            .await
    }

    /// Keeps a LinkedIn form.
    pub async fn put_linkedin_form(
        &self,
        contract: &ContractId,
        id: &str,
        form: &LeadForm,
    ) -> Result<(), StoreError> {
        self.put(write(
            "LinkedIn form",
            form,
            &keys::linkedin_form(contract, id),
        )?)
        .await
    }

    /// How far an owner's responses have been read.
    pub async fn pull_cursor(
        &self,
        contract: &ContractId,
        owner: &str,
    ) -> Result<Option<PullCursor>, StoreError> {
        self.get("pull cursor", keys::cursor(contract, owner), true)
            .await
    }

    /// Keeps how far an owner's responses have been read. Never moves back: of two pulls at once
    /// the further one stands.
    pub async fn put_pull_cursor(
        &self,
        contract: &ContractId,
        owner: &str,
        cursor: &PullCursor,
    ) -> Result<(), StoreError> {
        let result = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(write(
                "pull cursor",
                cursor,
                &keys::cursor(contract, owner),
            )?))
            .condition_expression("attribute_not_exists(PK) OR read_until <= :until")
            .expression_attribute_values(":until", number(cursor.read_until.0))
            .send()
            .await;
        match result.map_err(StoreError::from) {
            Ok(_) | Err(StoreError::Conflict) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Adds to the posts that a form and its contract took in a minute, and gives the sums over all
    /// processes. One call; the count goes with its time to live.
    pub async fn count_posts(
        &self,
        contract: &ContractId,
        form: &FormId,
        minute: i64,
        units: u64,
    ) -> Result<PostCounts, StoreError> {
        let form = format!("form:{form}");
        let ends = (minute + KEPT_MINUTES) * 60;
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(keys::posts(contract, minute).attributes()))
            .update_expression("SET expires_at = :ends ADD #all :units, #form :units")
            .expression_attribute_names("#all", "all")
            .expression_attribute_names("#form", &form)
            .expression_attribute_values(":ends", number(ends))
            .expression_attribute_values(":units", number(units))
            .return_values(ReturnValue::UpdatedNew)
            .send()
            .await?;
        let sum = |name: &str| {
            let value = answer.attributes.as_ref()?.get(name)?;
            value.as_n().ok()?.parse().ok()
        };
        Ok(PostCounts {
            contract: sum("all").unwrap_or(units),
            form: sum(&form).unwrap_or(units),
        })
    }

    /// Keeps an OAuth attempt under the hash of its state.
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

    /// Takes an OAuth attempt, with its verifier, out for the one caller that completes it. A mark
    /// of it stays until its time to live ends, so that a second caller learns that it was used.
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

    pub(super) async fn put(&self, item: Item) -> Result<(), StoreError> {
        self.client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .send()
            .await?;
        Ok(())
    }
}
