//! Completing a connection: the attempt is taken and checked, its code exchanged, the organisation
//! asked for, and the connection stored.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, header};
use serde::Deserialize;
use serde_json::{Value, json};
use shared::domain::contract::AuditEntry;
use shared::domain::ids::ContractId;
use shared::oauth::{self, Grant, TokenAnswer, sign_in_provider};
use shared::outbound::Provider;
use shared::problem::Problem;
use shared::session::seal_tokens;
use shared::store::{Connection, ConnectionState, Consumed, OAuthAttempt, StoreError};
use shared::vault::Purpose;
use url::Url;

use crate::organization::{Organization, same_organization};
use crate::problems::{self, BadAttempt};
use crate::start::{state_hash, verifier_purpose};
use crate::{App, browser, kind, label};

/// How often storing is decided anew because the connection was changed meanwhile.
const MAX_TRIES: u32 = 5;

/// What the provider sends the browser back with.
#[derive(Deserialize)]
pub(crate) struct ProviderAnswer {
    code: Option<String>,
    state: Option<String>,
    /// RFC 9207.
    iss: Option<String>,
    error: Option<String>,
}

pub(crate) async fn callback(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    answer: Result<Query<ProviderAnswer>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(answer) = answer.map_err(|_| BadAttempt::Unknown)?;
    let (contract, attempt) = app.take_attempt(&answer, &headers).await?;
    let connection = app
        .complete(&contract, &attempt, &answer)
        .await
        .inspect_err(|problem| {
            tracing::warn!(
                %contract,
                provider = attempt.provider.as_str(),
                code = problem.code,
                "not connected"
            );
        })?;
    tracing::info!(%contract, provider = attempt.provider.as_str(), "connected");
    Ok(connected(&connection, &headers))
}

impl App {
    /// Takes the attempt that a state belongs to out of the table, and checks that it may be
    /// completed now and here.
    async fn take_attempt(
        &self,
        answer: &ProviderAnswer,
        headers: &HeaderMap,
    ) -> Result<(ContractId, OAuthAttempt), Problem> {
        let now = self.remote.clock.now();
        let state = answer.state.as_deref().unwrap_or_default();
        let contract: ContractId = state
            .split_once('.')
            .and_then(|(contract, _)| contract.parse().ok())
            .ok_or(BadAttempt::Unknown)?;
        let consumed = self
            .remote
            .store
            .consume_oauth_attempt(&contract, &state_hash(state), now)
            .await
            .map_err(|error| problems::store(&error))?;
        let attempt = match consumed {
            Consumed::Now(attempt) => *attempt,
            Consumed::Before => return Err(BadAttempt::Used.into()),
            Consumed::Unknown => return Err(BadAttempt::Unknown.into()),
        };
        if attempt.valid_until <= now {
            return Err(BadAttempt::Expired.into());
        }
        if !browser::is(headers, &attempt.browser_hash) {
            return Err(BadAttempt::OtherBrowser.into());
        }
        if !self.issued_by(attempt.provider, answer.iss.as_deref()) {
            return Err(BadAttempt::OtherIssuer.into());
        }
        Ok((contract, attempt))
    }

    /// Whether an issuer, where one is named, is on the provider's domains. It need not be the
    /// address that was asked: a generic sign-in answers in the name of the tenant's own.
    fn issued_by(&self, provider: Provider, issuer: Option<&str>) -> bool {
        issuer.is_none_or(|issuer| {
            let allow = self.remote.outbound.allow_list();
            let owner = sign_in_provider(provider);
            Url::parse(issuer).is_ok_and(|url| allow.check(owner, &url).is_ok())
        })
    }

    async fn complete(
        &self,
        contract: &ContractId,
        attempt: &OAuthAttempt,
        answer: &ProviderAnswer,
    ) -> Result<Connection, Problem> {
        let given = |value: &'_ Option<String>| value.clone().filter(|text| !text.is_empty());
        if let Some(error) = given(&answer.error) {
            return Err(problems::provider_refused(attempt.provider, &error));
        }
        let code = given(&answer.code).ok_or_else(problems::no_code)?;
        self.check_crm(contract, attempt.provider).await?;
        let tokens = self.exchange(contract, attempt, &code).await?;
        let organization = self.organization(attempt, &tokens).await?;
        self.store_connection(contract, attempt, &tokens, organization)
            .await
    }

    async fn exchange(
        &self,
        contract: &ContractId,
        attempt: &OAuthAttempt,
        code: &str,
    ) -> Result<TokenAnswer, Problem> {
        let remote = &self.remote;
        let verifier = remote
            .vault
            .open(verifier_purpose(contract), &attempt.sealed_verifier)
            .await
            .map_err(|error| problems::vault(&error))?;
        let grant = Grant::Code {
            code,
            verifier: &verifier,
            redirect_uri: &self.redirect_uri(),
        };
        let answer = oauth::exchange(
            &remote.outbound,
            attempt.provider,
            &attempt.auth_url,
            &self.client(attempt.provider).await?,
            grant,
            attempt.resource.as_ref(),
        )
        .await
        .map_err(|error| problems::exchange(&error, attempt.provider))?;
        // LinkedIn gives refresh tokens to some of its partners only, and two months without.
        if answer.refresh_token.is_none() && attempt.provider != Provider::LinkedIn {
            return Err(problems::no_refresh_token(attempt.provider));
        }
        Ok(answer)
    }

    /// Stores the connection over the one that stands there, if that is the same organisation's.
    async fn store_connection(
        &self,
        contract: &ContractId,
        attempt: &OAuthAttempt,
        answer: &TokenAnswer,
        organization: Organization,
    ) -> Result<Connection, Problem> {
        let remote = &self.remote;
        let (provider, kind) = (attempt.provider, kind(attempt.provider));
        let now = remote.clock.now();
        let purpose = Purpose {
            contract,
            name: kind.purpose(),
        };
        let sealed_tokens = seal_tokens(&remote.vault, purpose, &answer.tokens(None, now))
            .await
            .map_err(|error| problems::vault(&error))?;
        let mut connection = Connection {
            contract: contract.clone(),
            kind,
            provider,
            base_url: organization.base_url,
            auth_url: attempt.auth_url.clone(),
            organization: organization.id,
            sealed_tokens,
            state: ConnectionState::Connected,
            not_before: None,
            refresh_until: None,
            connected_by: attempt.started_by.clone(),
            connected_at: now,
            version: 1,
        };
        for _ in 0..MAX_TRIES {
            let before = remote
                .store
                .connection(contract, kind)
                .await
                .map_err(|error| problems::store(&error))?;
            if let Some(before) = &before {
                let same = before.provider == provider
                    && same_organization(provider, &before.organization, &connection.organization);
                if !same {
                    return Err(problems::other_organization(before));
                }
                // The pause that the organisation asked for holds for the new tokens too.
                connection.not_before = before.not_before;
            }
            connection.version = before.as_ref().map_or(1, |before| before.version + 1);
            let audit = AuditEntry {
                at: now,
                actor: attempt.started_by.clone(),
                action: "connection.connect".to_owned(),
                target: provider.as_str().to_owned(),
                before: before.as_ref().map_or(Value::Null, logged),
                after: logged(&connection),
            };
            let replaces = before.map(|before| before.version);
            let stored = remote
                .store
                .connect(&connection, replaces, &audit, remote.random.uuid())
                .await;
            match stored {
                Ok(()) => return Ok(connection),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(problems::store(&error)),
            }
        }
        Err(problems::store(&StoreError::Conflict))
    }
}

/// What the audit log keeps of a connection.
fn logged(connection: &Connection) -> Value {
    json!({
        "organization": connection.organization,
        "base_url": connection.base_url,
        "auth_url": connection.auth_url,
        "connected_by": connection.connected_by,
    })
}

/// A page for people, JSON for those who ask for it.
fn connected(connection: &Connection, headers: &HeaderMap) -> Response {
    let wants = |kind: &str| {
        headers
            .get_all(header::ACCEPT)
            .iter()
            .any(|value| value.to_str().is_ok_and(|text| text.contains(kind)))
    };
    let mut response = if wants("application/json") && !wants("text/html") {
        axum::Json(json!({
            "state": connection.state,
            "provider": connection.provider,
            "organization": connection.organization,
            "base_url": connection.base_url,
        }))
        .into_response()
    } else {
        let name = label(connection.provider);
        axum::response::Html(format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Connected</title></head>\n<body><h1>Connected</h1><p>{name} is connected. You can close this page.</p></body></html>\n"
        ))
        .into_response()
    };
    let answer = response.headers_mut();
    answer.insert(header::SET_COOKIE, browser::forget());
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        // The address holds the code.
        (header::REFERRER_POLICY, "no-referrer"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        answer.insert(name, HeaderValue::from_static(value));
    }
    response
}
