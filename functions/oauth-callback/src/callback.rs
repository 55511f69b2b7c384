//! The way back from a provider: the attempt is taken and checked, and completed by its purpose.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use http::{HeaderMap, header};
use serde::Deserialize;
use shared::domain::ids::ContractId;
use shared::oauth::id_token::is_issuer;
use shared::oauth::{self, Access, Grant, TokenAnswer};
use shared::outbound::Provider;
use shared::problem::Problem;
use shared::store::{AttemptPurpose, Consumed, OAuthAttempt};

use crate::attempt::{Secrets, state_hash};
use crate::problems::{self, BadAttempt};
use crate::{App, browser, page};

/// The provider's answer, in the query that the browser brings back.
#[derive(Deserialize)]
pub(crate) struct ProviderAnswer {
    code: Option<String>,
    state: Option<String>,
    /// RFC 9207.
    iss: Option<String>,
    error: Option<String>,
    /// Entra: `cancel` when the user did not consent.
    error_subcode: Option<String>,
}

/// An attempt that may be completed now and here.
pub(crate) struct Taken {
    pub(crate) contract: ContractId,
    pub(crate) attempt: OAuthAttempt,
    pub(crate) secrets: Secrets,
}

pub(crate) async fn callback(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    answer: Result<Query<ProviderAnswer>, QueryRejection>,
) -> Response {
    let Ok(Query(answer)) = answer else {
        return failed(BadAttempt::Unknown.into(), &headers, None);
    };
    let state = state_hash(answer.state.as_deref().unwrap_or_default());
    let taken = match app.take_attempt(&answer, &state, &headers).await {
        Ok(taken) => taken,
        Err(problem) => return failed(problem, &headers, None),
    };
    let back = taken.attempt.return_to.clone();
    let provider = taken.attempt.provider.as_str();
    let contract = taken.contract.clone();
    let done = match taken.attempt.purpose {
        AttemptPurpose::Connect { kind } => {
            app.complete_connection(taken, kind, &answer, &headers)
                .await
        }
        AttemptPurpose::SignIn { .. } => app.complete_sign_in(taken, &answer, &headers).await,
    };
    let mut response = match done {
        Ok(response) => {
            tracing::info!(%contract, provider, "signed in");
            page::guarded(response)
        }
        Err(problem) => failed(problem, &headers, back.as_deref()),
    };
    // The attempt is over, however it ended.
    response
        .headers_mut()
        .append(header::SET_COOKIE, browser::forget(&state));
    response
}

fn failed(problem: Problem, headers: &HeaderMap, back: Option<&str>) -> Response {
    page::guarded(page::problem(problem, headers, back))
}

impl ProviderAnswer {
    /// The code, unless the provider says why there is none.
    pub(crate) fn code(&self, provider: Provider) -> Result<&str, Problem> {
        fn given(value: Option<&String>) -> Option<&str> {
            value.map(String::as_str).filter(|text| !text.is_empty())
        }
        if let Some(error) = given(self.error.as_ref()) {
            let cancelled = given(self.error_subcode.as_ref()) == Some("cancel");
            return Err(problems::provider_refused(provider, error, cancelled));
        }
        given(self.code.as_ref()).ok_or_else(problems::no_code)
    }
}

impl App {
    /// Takes the attempt that a state belongs to out of the table, and checks that it may be
    /// completed now and here.
    async fn take_attempt(
        &self,
        answer: &ProviderAnswer,
        state_hash: &str,
        headers: &HeaderMap,
    ) -> Result<Taken, Problem> {
        let now = self.remote.clock.now();
        let state = answer.state.as_deref().unwrap_or_default();
        let contract: ContractId = state
            .split_once('.')
            .and_then(|(contract, _)| contract.parse().ok())
            .ok_or(BadAttempt::Unknown)?;
        let consumed = self
            .remote
            .store
            .consume_oauth_attempt(&contract, state_hash, now)
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
        if !browser::is(headers, state_hash, &attempt.browser_hash) {
            return Err(BadAttempt::OtherBrowser.into());
        }
        // RFC 9207: where an issuer is named, it is the one that was asked.
        let named = answer.iss.as_deref();
        if named.is_some_and(|named| !is_issuer(attempt.provider, &attempt.auth_url, named, None)) {
            return Err(BadAttempt::OtherIssuer.into());
        }
        let secrets = self.secrets(&contract, &attempt).await?;
        Ok(Taken {
            contract,
            attempt,
            secrets,
        })
    }

    /// Exchanges the code of an attempt for tokens.
    pub(crate) async fn exchange(
        &self,
        taken: &Taken,
        code: &str,
        access: Access,
    ) -> Result<TokenAnswer, Problem> {
        let Taken {
            attempt, secrets, ..
        } = taken;
        let grant = Grant::Code {
            code,
            verifier: &secrets.verifier,
            redirect_uri: &self.redirect_uri(),
        };
        let client = self.client(attempt.provider).await?;
        let answer = oauth::exchange(
            &self.remote.outbound,
            attempt.provider,
            &attempt.auth_url,
            &client,
            grant,
            access,
            attempt.resource.as_ref(),
        )
        .await;
        match answer {
            Ok(answer) => Ok(answer),
            Err(error) => {
                // A client that was refused may have got a new secret since it was read.
                if matches!(error, oauth::OAuthError::Client { .. }) {
                    self.remote.apps.forget().await;
                }
                Err(problems::exchange(&error, attempt.provider))
            }
        }
    }
}
