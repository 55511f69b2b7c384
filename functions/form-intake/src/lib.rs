//! Accepts form submissions: LinkedIn webhooks, website forms, other lead-form webhooks (LG-9).
//!
//! A request is authenticated and parsed by its source, stored by one conditional write, and
//! announced by one message. Stored means accepted: if the message cannot be sent, the sweep of
//! lead-resync sends it later. A repeat is one conditional write that fails, and the same answer.

pub mod config;
mod secrets;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::json;
use shared::cache::TtlCache;
use shared::clock::{Clock, SystemClock};
use shared::domain::form::{Form, FormKind, MAX_BODY_BYTES};
use shared::domain::ids::{ContractId, FormKey};
use shared::domain::submission::{NewSubmission, SourceKind, Submission};
use shared::problem::Problem;
use shared::queue::{WritebackMessage, WritebackQueue};
use shared::random::{Random, SystemRandom};
use shared::source::google_ads::GoogleAds;
use shared::source::linkedin::{self, LinkedIn};
use shared::source::website::{self, Encoding, Syntax, Website};
use shared::source::{Delivery, Inbound, LeadSource};
use shared::store::{Accepted, Store, StoreError};
use shared::vault::{Vault, VaultError};

use crate::secrets::{OpenForm, Secrets};

/// How long a form's rules and secrets are used as they were read, in seconds. A changed secret
/// counts at once all the same: a signature that does not fit makes them be read again.
const FRESH_SECONDS: i64 = 60;

/// What the function works with.
pub struct App {
    /// The table.
    pub store: Store,
    /// The queue that submissions are announced on.
    pub queue: WritebackQueue,
    /// Opens sealed secrets.
    pub vault: Arc<Vault>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids for responses that bring none.
    pub random: Arc<dyn Random>,
    forms: TtlCache<FormKey, OpenForm>,
    linkedin: TtlCache<ContractId, Secrets>,
}

impl App {
    /// The app over these parts.
    #[must_use]
    pub fn new(
        store: Store,
        queue: WritebackQueue,
        vault: Arc<Vault>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        Self {
            store,
            queue,
            vault,
            clock,
            random,
            forms: TtlCache::new(FRESH_SECONDS),
            linkedin: TtlCache::new(FRESH_SECONDS),
        }
    }

    /// The app with real adapters.
    ///
    /// # Errors
    /// When the key file cannot be used.
    pub fn build(
        config: &config::Config,
        aws: &shared::aws::SdkConfig,
    ) -> Result<Self, VaultError> {
        let random: Arc<dyn Random> = Arc::new(SystemRandom);
        Ok(Self::new(
            Store::new(shared::aws::dynamodb(aws), config.table.clone()),
            WritebackQueue::new(shared::aws::sqs(aws), config.writeback_queue_url.clone()),
            Arc::new(Vault::from_spec(&config.vault, aws, random.clone())?),
            Arc::new(SystemClock),
            random,
        ))
    }
}

/// The function's routes.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route(
            "/webhooks/linkedin/{contract}",
            get(linkedin_challenge).post(linkedin_notification),
        )
        .route("/webhooks/google-ads/{form_key}", post(google_ads))
        .route("/forms/{form_key}", post(website_form).options(preflight))
        .fallback(async || Problem::not_found("address"))
        .method_not_allowed_fallback(async || {
            Problem::new(
                405,
                "method_not_allowed",
                "This address does not take this method.",
                "Use POST to send a submission.",
            )
        })
        .with_state(app)
}

#[derive(Deserialize)]
struct Challenge {
    #[serde(rename = "challengeCode", default)]
    challenge_code: String,
}

async fn linkedin_challenge(
    State(app): State<Arc<App>>,
    Path(contract): Path<String>,
    query: Result<Query<Challenge>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Problem> {
    let contract = contract
        .parse()
        .map_err(|_| Problem::not_found("contract"))?;
    let (secrets, _) = app.linkedin_secrets(&contract, false).await?;
    let challenge = query
        .map(|Query(query)| query.challenge_code)
        .unwrap_or_default();
    let current = secrets.current();
    let response = linkedin::challenge_response(&challenge, current)?;
    Ok(
        axum::Json(json!({"challengeCode": challenge, "challengeResponse": response}))
            .into_response(),
    )
}

async fn linkedin_notification(
    State(app): State<Arc<App>>,
    Path(contract): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let contract: ContractId = contract
        .parse()
        .map_err(|_| Problem::not_found("contract"))?;
    let body = read_body(&headers, body, MAX_BODY_BYTES).await?;
    let fresh_id = app.random.uuid().to_string();
    let mut reread = false;
    let delivery = loop {
        let (secrets, age) = app.linkedin_secrets(&contract, reread).await?;
        let inbound = Inbound {
            contract: &contract,
            form: None,
            headers: &headers,
            body: &body,
            secrets: &secrets.both(),
            fresh_id: &fresh_id,
        };
        match LinkedIn.read(inbound) {
            Err(problem) if problem.status == 401 && age > 0 && !reread => reread = true,
            other => break other?,
        }
    };
    let accepted = app.accept(delivery).await?;
    Ok((StatusCode::OK, axum::Json(accepted)).into_response())
}

async fn google_ads(
    State(app): State<Arc<App>>,
    Path(form_key): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (_, delivery, _) = app
        .read_form(&GoogleAds, FormKind::GoogleAds, &form_key, &headers, body)
        .await?;
    let accepted = app.accept(delivery).await?;
    Ok((StatusCode::OK, axum::Json(accepted)).into_response())
}

async fn website_form(
    State(app): State<Arc<App>>,
    Path(form_key): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let origin = headers.get(header::ORIGIN).cloned();
    let mut response = match app.post_website_form(&form_key, &headers, body).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    };
    // An answer to a page that may post can also be read by it, errors included.
    if let Some(origin) = origin
        && let Ok(form) = app.form(&form_key, false).await
        && origin
            .to_str()
            .is_ok_and(|origin| form.0.form.allows_origin(origin))
    {
        allow_origin(response.headers_mut(), origin);
    }
    response
}

async fn preflight(
    State(app): State<Arc<App>>,
    Path(form_key): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (form, _) = app.form(&form_key, false).await?;
    check_origin(&form.form, &headers)?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    let answer = response.headers_mut();
    if let Some(origin) = headers.get(header::ORIGIN) {
        allow_origin(answer, origin.clone());
    }
    answer.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("POST"),
    );
    answer.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("content-type, idempotency-key, x-leadbridge-signature"),
    );
    answer.insert(
        header::ACCESS_CONTROL_MAX_AGE,
        HeaderValue::from_static("600"),
    );
    Ok(response)
}

fn allow_origin(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
}

/// A browser names the page's origin; whoever names none is no browser on a foreign page.
fn check_origin(form: &Form, headers: &HeaderMap) -> Result<(), Problem> {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return Ok(());
    };
    if origin
        .to_str()
        .is_ok_and(|origin| form.allows_origin(origin))
    {
        return Ok(());
    }
    let (detail, next_step) = if origin == "null" {
        (
            "The page hides its origin (Origin: null), so it cannot be told whether it may post this form.",
            "A browser hides it where the page's Referrer-Policy is no-referrer, in a sandboxed frame, and for a file that is opened from disk or a data: address. Set the page's Referrer-Policy to strict-origin-when-cross-origin, add allow-same-origin to the frame's sandbox, or serve the page over HTTPS; then add its origin to the form's allowed origins.",
        )
    } else {
        (
            "Pages of this origin may not post this form.",
            "Add the page's origin to the form's allowed origins.",
        )
    };
    Err(Problem::new(403, "origin_not_allowed", detail, next_step).with_field("origin"))
}

/// The body, up to `limit` bytes.
async fn read_body(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<axum::body::Bytes, Problem> {
    let too_large = || {
        Problem::new(
            413,
            "body_too_large",
            format!("The body is larger than {limit} bytes."),
            "Send less, or raise the form's limit.",
        )
    };
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: usize| length > limit) {
        return Err(too_large());
    }
    axum::body::to_bytes(body, limit)
        .await
        .map_err(|_| too_large())
}

impl App {
    async fn post_website_form(
        &self,
        form_key: &str,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Response, Problem> {
        let (form, delivery, body) = self
            .read_form(&Website, FormKind::Website, form_key, headers, body)
            .await?;
        let accepted = self.accept(delivery).await?;
        let encoding = Encoding::of(headers);
        let encoding = encoding
            .ok()
            .filter(|encoding| encoding.syntax == Syntax::UrlEncoded);
        let plain_html = encoding.filter(|_| {
            headers
                .get(header::ACCEPT)
                .and_then(|accept| accept.to_str().ok())
                .is_some_and(|accept| accept.contains("text/html"))
        });
        if let Some(encoding) = plain_html
            && let Some(target) = website::redirect_target(&body, encoding, &form)
            && let Ok(location) = HeaderValue::from_str(target)
        {
            return Ok((StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response());
        }
        Ok((StatusCode::ACCEPTED, axum::Json(accepted)).into_response())
    }

    /// Reads a post to a form; secrets that do not fit are read again once before it is refused.
    async fn read_form(
        &self,
        source: &dyn LeadSource,
        kind: FormKind,
        form_key: &str,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<(Arc<Form>, Delivery, axum::body::Bytes), Problem> {
        let (mut open, age) = self.form(form_key, false).await?;
        if open.form.kind != kind {
            return Err(Problem::not_found("form"));
        }
        check_origin(&open.form, headers)?;
        let body = read_body(headers, body, open.form.max_body_bytes).await?;
        let fresh_id = self.random.uuid().to_string();
        let mut reread = age == 0;
        loop {
            let inbound = Inbound {
                contract: &open.contract,
                form: Some(&open.form),
                headers,
                body: &body,
                secrets: &open.secrets.both(),
                fresh_id: &fresh_id,
            };
            match source.read(inbound) {
                Err(problem) if problem.status == 401 && !reread => {
                    reread = true;
                    open = self.form(form_key, true).await?.0;
                }
                Err(problem) => return Err(problem),
                Ok(delivery) => return Ok((open.form.clone(), delivery, body)),
            }
        }
    }

    /// Stores a delivery once and announces it.
    async fn accept(&self, delivery: Delivery) -> Result<serde_json::Value, Problem> {
        let Delivery::Submission(new) = delivery else {
            // A bot learns nothing; a notice of another kind needs nothing.
            return Ok(json!({"status": "accepted", "submission_id": self.random.uuid()}));
        };
        let new = *new;
        let id = new.id();
        let contract = new.contract.clone();
        let (source, withdrawn) = (new.source, new.withdrawn);
        let announce = self.store_submission(new).await?;
        if announce {
            let message = WritebackMessage {
                contract: contract.clone(),
                submission: id,
            };
            if let Err(error) = self.queue.send(&message, 0).await {
                tracing::warn!(%contract, submission.id = %id, error = &error as &dyn std::error::Error,
                    "stored, but not announced: the sweep will");
            }
        }
        tracing::info!(%contract, submission.id = %id, source = source.as_str(), withdrawn, repeat = !announce, "submission accepted");
        Ok(json!({"status": "accepted", "submission_id": id}))
    }

    /// Whether there is something to announce.
    async fn store_submission(&self, new: NewSubmission) -> Result<bool, Problem> {
        let (source, withdrawn, digest) = (new.source, new.withdrawn, new.digest());
        let submission = Submission::receive(new, self.clock.now());
        match self
            .store
            .accept_submission(&submission)
            .await
            .map_err(|error| failed(&error))?
        {
            Accepted::New => Ok(!withdrawn),
            Accepted::Repeat(stored) if withdrawn && stored.withdrawn_at.is_none() => self
                .store
                .withdraw_submission(&stored.contract, stored.id, self.clock.now())
                .await
                .map_err(|error| failed(&error)),
            // The sender chose this id; another form under it would be lost silently.
            Accepted::Repeat(stored)
                if source == SourceKind::Website
                    && stored.digest != digest
                    && stored.answers.is_some() =>
            {
                Err(Problem::new(
                    422,
                    "idempotency_key_reused",
                    "This idempotency key was used for a submission with other values.",
                    "Use a new key for each submission, and the same key only to repeat it.",
                )
                .with_field(website::IDEMPOTENCY_KEY))
            }
            Accepted::Repeat(_) => Ok(false),
        }
    }

    /// A form with its opened secrets, and their age in milliseconds.
    async fn form(&self, form_key: &str, reread: bool) -> Result<(OpenForm, i64), Problem> {
        let key: FormKey = form_key.parse().map_err(|_| Problem::not_found("form"))?;
        let now = self.clock.now();
        if let Some((open, age)) = self.forms.get(&key, now).filter(|_| !reread) {
            return Ok((open, age));
        }
        let form = self
            .store
            .form(&key.contract, &key.form)
            .await
            .map_err(|error| failed(&error))?;
        let form = form
            .filter(|form| form.enabled)
            .ok_or_else(|| Problem::not_found("form"))?;
        let purpose = format!("form/{}", form.id);
        let secrets = Secrets::open(
            &self.vault,
            &key.contract,
            &purpose,
            [
                form.sealed_secret.as_deref(),
                form.sealed_previous_secret.as_deref(),
            ],
        )
        .await?;
        let open = OpenForm {
            contract: key.contract.clone(),
            form: Arc::new(form),
            secrets,
        };
        self.forms.put(key, open.clone(), now);
        Ok((open, 0))
    }

    async fn linkedin_secrets(
        &self,
        contract: &ContractId,
        reread: bool,
    ) -> Result<(Secrets, i64), Problem> {
        let now = self.clock.now();
        if let Some((secrets, age)) = self.linkedin.get(contract, now).filter(|_| !reread) {
            return Ok((secrets, age));
        }
        let settings = self
            .store
            .linkedin_settings(contract)
            .await
            .map_err(|error| failed(&error))?
            .ok_or_else(|| Problem::not_found("contract"))?;
        let secrets = Secrets::open(
            &self.vault,
            contract,
            "linkedin/client-secret",
            [
                settings.sealed_client_secret.as_deref(),
                settings.sealed_previous_client_secret.as_deref(),
            ],
        )
        .await?;
        self.linkedin.put(contract.clone(), secrets.clone(), now);
        Ok((secrets, 0))
    }
}

/// The table did not store it: the sender must send again.
fn failed(error: &StoreError) -> Problem {
    tracing::error!(
        error = error as &dyn std::error::Error,
        "the table did not answer as it should"
    );
    match error {
        StoreError::Corrupt { .. } => Problem::internal(),
        _ => Problem::unavailable(),
    }
}
