//! API tokens: list, make, revoke.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::clock::Millis;
use shared::domain::ids::{ApiToken, TokenId};
use shared::domain::role::Role;
use shared::problem::Problem;
use shared::signature::sha256_hex;
use shared::store::{ApiTokenRecord, StoreError};
use utoipa::ToSchema;

use crate::App;
use crate::auth::{Caller, ManageTokens};
use crate::described::{Routes, routes};
use crate::extract::{Json, Path};

/// Longest life of a token, in days.
const MAX_DAYS: i64 = 3650;
/// Longest name of a token, in characters.
const MAX_NAME: usize = 100;

pub(super) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list, create))
        .routes(routes!(revoke))
}

#[derive(Serialize, ToSchema)]
struct TokenView {
    /// Its public half: its name in the audit log.
    id: TokenId,
    name: String,
    role: Role,
    #[schema(value_type = i64)]
    created_at: Millis,
    /// After this it opens nothing; none: it does not end.
    #[schema(value_type = Option<i64>)]
    valid_until: Option<Millis>,
}

impl From<ApiTokenRecord> for TokenView {
    fn from(record: ApiTokenRecord) -> Self {
        Self {
            id: record.id,
            name: record.name,
            role: record.role,
            created_at: record.created_at,
            valid_until: record.valid_until,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct TokenList {
    items: Vec<TokenView>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TokenInput {
    /// The token's name, for people: 1 to 100 characters.
    name: String,
    /// The role of its holder.
    role: Role,
    /// Days until it ends, 1 to 3650; left out: it does not end.
    #[serde(default)]
    valid_days: Option<i64>,
}

#[derive(Serialize, ToSchema)]
struct NewToken {
    #[serde(flatten)]
    token: TokenView,
    /// The token itself. It is not shown again.
    bearer: String,
}

/// The contract's API tokens, without their secrets.
#[utoipa::path(get, path = "/api-tokens", responses((status = 200, body = TokenList)))]
async fn list(
    State(app): State<Arc<App>>,
    caller: Caller<ManageTokens>,
) -> Result<Json<TokenList>, Problem> {
    let tokens = app.remote.store.api_tokens(&caller.contract).await;
    let tokens = tokens.map_err(|error| error.problem())?;
    Ok(Json(TokenList {
        items: tokens.into_iter().map(TokenView::from).collect(),
    }))
}

/// Makes an API token. Its secret is in this answer only.
#[utoipa::path(post, path = "/api-tokens", request_body = TokenInput, responses((status = 201, body = NewToken), (status = 422, body = Problem)))]
async fn create(
    State(app): State<Arc<App>>,
    caller: Caller<ManageTokens>,
    Json(input): Json<TokenInput>,
) -> Result<(http::StatusCode, Json<NewToken>), Problem> {
    let name = input.name.trim().to_owned();
    if name.is_empty() || name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
        return Err(Problem::new(
            422,
            "invalid_name",
            format!("A token's name has 1 to {MAX_NAME} characters."),
            "Say what the token is for.",
        )
        .with_field("name"));
    }
    if input
        .valid_days
        .is_some_and(|days| !(1..=MAX_DAYS).contains(&days))
    {
        return Err(Problem::new(
            422,
            "invalid_value",
            format!("A token is valid for 1 to {MAX_DAYS} days."),
            "Send a number of days, or leave it out for a token without an end.",
        )
        .with_field("valid_days"));
    }
    let now = app.remote.clock.now();
    let random = &app.remote.random;
    let id: TokenId = format!("t-{}", random.uuid().simple())
        .parse()
        .map_err(|_| Problem::internal())?;
    let token = ApiToken {
        contract: caller.contract.clone(),
        id: id.clone(),
        secret: random.secret(32),
    };
    let record = ApiTokenRecord {
        id: id.clone(),
        name,
        role: input.role,
        secret_hash: sha256_hex(&[token.secret.as_bytes()]),
        created_at: now,
        valid_until: input
            .valid_days
            .map(|days| now.plus_seconds(days * 24 * 3600)),
    };
    let after =
        json!({ "name": record.name, "role": record.role, "valid_until": record.valid_until });
    let audit = app.audit(
        &caller.actor,
        "api_token.create",
        id.to_string(),
        Value::Null,
        after,
    );
    app.remote
        .store
        .change_api_token(&caller.contract, &id, Some(&record), &audit, random.uuid())
        .await
        .map_err(|error| error.problem())?;
    Ok((
        http::StatusCode::CREATED,
        Json(NewToken {
            token: record.into(),
            bearer: token.expose(),
        }),
    ))
}

/// Revokes an API token: it opens nothing from now on.
#[utoipa::path(delete, path = "/api-tokens/{id}", params(("id" = String, Path)), responses((status = 204), (status = 404, body = Problem)))]
async fn revoke(
    State(app): State<Arc<App>>,
    caller: Caller<ManageTokens>,
    Path(id): Path<String>,
) -> Result<http::StatusCode, Problem> {
    let id: TokenId = id.parse().map_err(|_| Problem::not_found("API token"))?;
    let store = &app.remote.store;
    let record = store.api_token(&caller.contract, &id).await;
    let record = record
        .map_err(|error| error.problem())?
        .ok_or_else(|| Problem::not_found("API token"))?;
    let before = json!({ "name": record.name, "role": record.role });
    let audit = app.audit(
        &caller.actor,
        "api_token.revoke",
        id.to_string(),
        before,
        Value::Null,
    );
    match store
        .change_api_token(
            &caller.contract,
            &id,
            None,
            &audit,
            app.remote.random.uuid(),
        )
        .await
    {
        Ok(()) => Ok(http::StatusCode::NO_CONTENT),
        Err(StoreError::Conflict) => Err(Problem::not_found("API token")),
        Err(error) => Err(error.problem()),
    }
}
