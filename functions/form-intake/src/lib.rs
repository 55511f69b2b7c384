//! Accepts form submissions: LinkedIn webhooks, website forms, other lead-form webhooks (LG-9).
//!
//! A request is authenticated and parsed by its source, stored by one conditional write, and
//! announced by one message. Stored means accepted: if the message cannot be sent, the sweep of
//! lead-resync sends it later. A repeat is one conditional write that fails, and the same answer.

pub mod config;
pub mod limits;
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
use shared::clock::{Clock, Millis, SystemClock};
use shared::domain::form::{Form, FormKind, MAX_BODY_BYTES};
use shared::domain::ids::{ContractId, FormId, FormKey};
use shared::domain::submission::{NewSubmission, SourceKind, Submission};
use shared::edge::{Edge, guarded};
use shared::problem::{Code, Problem};
use shared::queue::{WritebackMessage, WritebackQueue};
use shared::random::{Random, SystemRandom};
use shared::source::google_ads::GoogleAds;
use shared::source::linkedin::{self, LinkedIn};
use shared::source::website::{self, Encoding, SIGNATURE_EXPIRED, Syntax, Website};
use shared::source::{Delivery, Inbound, LeadSource};
use shared::store::{Accepted, Store, StoreError};
use shared::telemetry;
use shared::throttle::Throttle;
use shared::vault::{Vault, VaultError};

use crate::limits::{Limits, Place};
use crate::secrets::{OpenForm, Sealed, Secrets};

/// The time that a form's rules are used from memory before they are read again, in seconds.
const FRESH_SECONDS: i64 = 60;
/// The time that secrets are used from memory before they are read again, in seconds. Only the current secret
/// in memory proves a post; any other post is checked against the secrets as they are in the table now. So a
/// new secret counts at once. A secret that dropped out is refused at once, or after this time where no post
/// has shown the process that there was a change.
const SECRETS_FRESH_SECONDS: i64 = 5;
/// The number of times in a minute that a process reads a form's secrets again for posts that do not fit
/// them. Guessing secrets costs no more reads than that.
const REREADS_PER_MINUTE: u32 = 60;

/// The function's name.
const NAME: &str = "form-intake";

/// The function's dependencies: the table, the write-back queue, the vault and the limits.
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
    /// The limits on posts of forms and contracts in a minute.
    pub limits: Limits,
    /// The layer around the routes.
    pub edge: Arc<Edge>,
    forms: TtlCache<FormKey, OpenForm>,
    linkedin: TtlCache<ContractId, Secrets>,
    rereads: Throttle<String>,
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
            limits: Limits::default(),
            edge: Arc::new(Edge::new(NAME)),
            forms: TtlCache::new(FRESH_SECONDS),
            linkedin: TtlCache::new(FRESH_SECONDS),
            rereads: Throttle::new(REREADS_PER_MINUTE),
        }
    }

    /// The app with real adapters.
    ///
    /// # Errors
    /// Returns an error if the key file cannot be read or used.
    pub fn build(
        config: &config::Config,
        aws: &shared::aws::SdkConfig,
    ) -> Result<Self, VaultError> {
        let random: Arc<dyn Random> = Arc::new(SystemRandom);
        let app = Self::new(
            Store::new(shared::aws::dynamodb(aws), config.table.clone()),
            WritebackQueue::new(shared::aws::sqs(aws), config.writeback_queue_url.clone()),
            Arc::new(Vault::from_spec(&config.vault, aws, random.clone())?),
            Arc::new(SystemClock),
            random,
        );
        Ok(Self {
            edge: config.edge.clone(),
            ..app
        })
    }
}

/// The function's routes.
pub fn router(app: Arc<App>) -> Router {
    let edge = app.edge.clone();
    let routes = Router::new()
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
        .with_state(app);
    guarded(routes, edge)
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
    let challenge = query
        .map(|Query(query)| query.challenge_code)
        .unwrap_or_default();
    linkedin::check_challenge(&challenge)?;
    let kept = app.linkedin_secrets(&contract, Read::Kept).await?;
    let current = kept.value.current(app.linkedin_sealed(&contract)).await?;
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
    let now = app.clock.now();
    let sealed = app.linkedin_sealed(&contract);
    let read = |secrets: &[&str]| {
        LinkedIn.read(Inbound {
            contract: &contract,
            form: None,
            headers: &headers,
            body: &body,
            secrets,
            fresh_id: &fresh_id,
            now,
        })
    };
    let mut kept = app.linkedin_secrets(&contract, Read::Kept).await?;
    let delivery = loop {
        match proved(&kept.value, kept.is_now, sealed, read).await? {
            Err(problem)
                if is_unproved(&problem) && !kept.is_now && app.may_reread(&contract, now) =>
            {
                kept = app.linkedin_secrets(&contract, Read::Now).await?;
            }
            other => break other?,
        }
    };
    // Its sender is proved, and the pull would bring it anyway: it is not counted.
    let place = Place {
        announce: true,
        tell: None,
    };
    let accepted = app.accept(delivery, place).await?;
    Ok((StatusCode::OK, axum::Json(accepted)).into_response())
}

async fn google_ads(
    State(app): State<Arc<App>>,
    Path(form_key): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let post = app
        .read_form(&GoogleAds, FormKind::GoogleAds, &form_key, &headers, body)
        .await?;
    let place = app.place(&post)?;
    let accepted = app.accept(post.delivery, place).await?;
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
        && let Ok(form) = app.form(&form_key, Read::Kept).await
        && origin
            .to_str()
            .is_ok_and(|origin| form.value.form.allows_origin(origin))
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
    let form = app.form(&form_key, Read::Kept).await?;
    check_origin(&form.value.form, &headers)?;
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

/// Checks the page's origin, which a browser names; a request without one does not come from a foreign page.
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
        let post = self
            .read_form(&Website, FormKind::Website, form_key, headers, body)
            .await?;
        let place = self.place(&post)?;
        let Post {
            form,
            delivery,
            body,
            ..
        } = post;
        let is_bot = delivery == Delivery::Ignored;
        let accepted = self.accept(delivery, place).await?;
        let encoding = Encoding::of(headers)
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
            return Ok(traced(
                (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response(),
                is_bot,
            ));
        }
        Ok(traced(
            (StatusCode::ACCEPTED, axum::Json(accepted)).into_response(),
            is_bot,
        ))
    }

    /// Reads a post to a form; secrets that do not fit are read again once before it is refused.
    async fn read_form(
        &self,
        source: &dyn LeadSource,
        kind: FormKind,
        form_key: &str,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Post, Problem> {
        let mut kept = self.form(form_key, Read::Kept).await?;
        if kept.value.form.kind != kind {
            return Err(Problem::not_found("form"));
        }
        check_origin(&kept.value.form, headers)?;
        let body = read_body(headers, body, kept.value.form.max_body_bytes).await?;
        let fresh_id = self.random.uuid().to_string();
        let now = self.clock.now();
        loop {
            let OpenForm {
                contract,
                form,
                secrets,
            } = &kept.value;
            let purpose = purpose(form);
            let sealed = Sealed {
                vault: &self.vault,
                contract,
                purpose: &purpose,
            };
            let read = |secrets: &[&str]| {
                source.read(Inbound {
                    contract,
                    form: Some(form),
                    headers,
                    body: &body,
                    secrets,
                    fresh_id: &fresh_id,
                    now,
                })
            };
            match proved(secrets, kept.is_now, sealed, read).await? {
                Err(problem)
                    if is_unproved(&problem) && !kept.is_now && self.may_reread(&form_key, now) =>
                {
                    kept = self.form(form_key, Read::Now).await?;
                }
                Err(problem) => return Err(problem),
                Ok(delivery) => {
                    return Ok(Post {
                        contract: contract.clone(),
                        form: form.clone(),
                        delivery,
                        body,
                    });
                }
            }
        }
    }

    /// True if secrets may be read again for a request that they did not prove.
    fn may_reread(&self, of: &impl ToString, now: Millis) -> bool {
        self.rereads.take(of.to_string(), now).is_ok()
    }

    /// Reserves a place in this minute's limits of the form and the contract. A bot's post needs none.
    fn place(&self, post: &Post) -> Result<Place, Problem> {
        if post.delivery == Delivery::Ignored {
            return Ok(Place {
                announce: false,
                tell: None,
            });
        }
        self.limits.take(
            &post.contract,
            &post.form,
            post.body.len(),
            self.clock.now(),
        )
    }

    /// Reports the posts of a form since the last report to the table. A lost report makes the limit looser,
    /// and has no other effect.
    async fn tell(&self, contract: &ContractId, form: &FormId, place: &Place) {
        let Some(tell) = place.tell else { return };
        let counted = self
            .store
            .count_posts(contract, form, tell.minute, tell.units)
            .await;
        match counted {
            Ok(sums) => self.limits.told(contract, form, tell, sums),
            Err(error) => {
                tracing::warn!(%contract, error = &error as &dyn std::error::Error, "posts were not counted in the table");
            }
        }
    }

    /// Stores a delivery once and announces it.
    async fn accept(&self, delivery: Delivery, place: Place) -> Result<serde_json::Value, Problem> {
        let Delivery::Submission(new) = delivery else {
            // A bot learns nothing; a notice of another kind needs nothing.
            return Ok(json!({"status": "accepted", "submission_id": self.random.uuid()}));
        };
        let new = *new;
        let id = new.id();
        let contract = new.contract.clone();
        let (source, withdrawn) = (new.source, new.withdrawn);
        let announce = match new.origin.form_id.parse() {
            Ok(form) if place.tell.is_some() => {
                let store = self.store_submission(new);
                let tell = self.tell(&contract, &form, &place);
                tokio::join!(store, tell).0?
            }
            _ => self.store_submission(new).await?,
        };
        if !announce {
            tracing::info!(%contract, submission.id = %id, source = source.as_str(), withdrawn, repeat = true, "submission accepted");
            return Ok(json!({"status": "accepted", "submission_id": id}));
        }
        if place.announce {
            let message = WritebackMessage::submission(&contract, id);
            if let Err(error) = self.queue.send(&message, 0).await {
                tracing::warn!(%contract, submission.id = %id, error = &error as &dyn std::error::Error,
                    "stored, but not announced: the sweep will");
            }
        }
        telemetry::count(
            self.clock.now(),
            "Accepted",
            1,
            &[("source", source.as_str())],
            json!({ "message": "submission accepted", "contract": contract, "submission.id": id,
                    "announced": place.announce }),
        );
        Ok(json!({"status": "accepted", "submission_id": id}))
    }

    /// Stores a submission. Returns true if it has to be announced.
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

    /// A form with its secrets.
    async fn form(&self, form_key: &str, read: Read) -> Result<Kept<OpenForm>, Problem> {
        let key: FormKey = form_key.parse().map_err(|_| Problem::not_found("form"))?;
        let now = self.clock.now();
        let known = self.forms.get(&key, now);
        if read == Read::Kept
            && let Some((open, age)) = &known
            && (open.form.sealed_secret.is_none() || *age < SECRETS_FRESH_SECONDS * 1000)
        {
            return Ok(Kept {
                value: open.clone(),
                is_now: false,
            });
        }
        let form = self
            .store
            .form(&key.contract, &key.form)
            .await
            .map_err(|error| failed(&error))?;
        let form = form
            .filter(|form| form.enabled)
            .ok_or_else(|| Problem::not_found("form"))?;
        let sealed = [
            form.sealed_secret.as_deref(),
            form.sealed_previous_secret.as_deref(),
        ];
        let secrets = Secrets::new(sealed, known.as_ref().map(|(open, _)| &open.secrets));
        let value = OpenForm {
            contract: key.contract.clone(),
            form: Arc::new(form),
            secrets,
        };
        self.forms.put(key, value.clone(), now);
        Ok(Kept {
            value,
            is_now: true,
        })
    }

    /// The secrets of a contract's LinkedIn app. A contract that is not there has none: it reads the
    /// same as one without LinkedIn.
    async fn linkedin_secrets(
        &self,
        contract: &ContractId,
        read: Read,
    ) -> Result<Kept<Secrets>, Problem> {
        let now = self.clock.now();
        let known = self.linkedin.get(contract, now);
        if read == Read::Kept
            && let Some((secrets, age)) = &known
            && *age < SECRETS_FRESH_SECONDS * 1000
        {
            return Ok(Kept {
                value: secrets.clone(),
                is_now: false,
            });
        }
        let settings = self
            .store
            .linkedin_settings(contract)
            .await
            .map_err(|error| failed(&error))?
            .unwrap_or_default();
        let sealed = [
            settings.sealed_client_secret.as_deref(),
            settings.sealed_previous_client_secret.as_deref(),
        ];
        let value = Secrets::new(sealed, known.as_ref().map(|(secrets, _)| secrets));
        self.linkedin.put(contract.clone(), value.clone(), now);
        Ok(Kept {
            value,
            is_now: true,
        })
    }

    fn linkedin_sealed<'a>(&'a self, contract: &'a ContractId) -> Sealed<'a> {
        Sealed {
            vault: &self.vault,
            contract,
            purpose: "linkedin/client-secret",
        }
    }
}

/// The freshness that a form or secrets are wanted with: from memory, or as they are in the table now.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Read {
    Kept,
    Now,
}

/// A value that was read. `is_now` is true if it was read from the table just now.
struct Kept<T> {
    value: T,
    is_now: bool,
}

/// A post that its form's rules let in.
struct Post {
    contract: ContractId,
    form: Arc<Form>,
    delivery: Delivery,
    body: axum::body::Bytes,
}

fn purpose(form: &Form) -> String {
    format!("form/{}", form.id)
}

/// Reads a request by the current secret; where that does not prove it, and the secrets were read just
/// now, by the one before it too. Secrets that were kept may have been changed twice since: then the
/// one that was current is neither.
async fn proved(
    secrets: &Secrets,
    is_now: bool,
    sealed: Sealed<'_>,
    read: impl Fn(&[&str]) -> Result<Delivery, Problem>,
) -> Result<Result<Delivery, Problem>, Problem> {
    let current = secrets.current(sealed).await?;
    let current: Vec<&str> = current.into_iter().collect();
    match read(&current) {
        Err(problem) if is_now && is_unproved(&problem) => match secrets.previous(sealed).await? {
            Some(previous) => Ok(read(&[current, vec![previous]].concat())),
            None => Ok(Err(problem)),
        },
        other => Ok(other),
    }
}

/// True if another secret might prove a request that this one did not.
fn is_unproved(problem: &Problem) -> bool {
    problem.status == 401 && problem.code != SIGNATURE_EXPIRED
}

/// An answer that looks like any other, with a trace of the true outcome.
fn traced(mut response: Response, is_bot: bool) -> Response {
    if is_bot {
        response
            .extensions_mut()
            .insert(Code("honeypot_filled".to_owned()));
    }
    response
}

/// The problem of a failed write: the sender must send again, or send less if it is more than the table
/// takes.
fn failed(error: &StoreError) -> Problem {
    error.log();
    match error {
        StoreError::Corrupt { .. } => Problem::internal(),
        StoreError::Malformed(_) => Problem::new(
            413,
            "submission_too_large",
            "The submission is larger than what can be stored.",
            "Send fewer or shorter fields.",
        ),
        StoreError::Unavailable(_) | StoreError::Conflict => Problem::unavailable(),
    }
}
