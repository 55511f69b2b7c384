//! Forms and LinkedIn lead sync: where submissions come from (LG-9).

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use shared::clock::Millis;
use shared::domain::contract::LinkedInSettings;
use shared::domain::form::{DEFAULT_POSTS_PER_MINUTE, Form, FormKind};
use shared::domain::ids::{ContractId, FormId, FormKey};
use shared::problem::Problem;
use shared::signature::secrets_equal;
use shared::store::{Connection, ConnectionKind};
use shared::texts::{self, Audience};
use shared::vault::{Purpose, VaultError};
use utoipa::ToSchema;

use super::crm::Status;
use crate::App;
use crate::auth::{AuthorizeLinkedIn, Caller, ChangeConfiguration, ReadConfiguration};
use crate::described::{Routes, routes};
use crate::extract::{Json, Path};

/// Shortest secret that a form or a webhook is signed with, in characters.
const MIN_SECRET_CHARS: usize = 12;

pub(super) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list, create))
        .routes(routes!(get, edit, delete))
        .routes(routes!(get_linkedin, set_linkedin))
}

#[derive(Deserialize, ToSchema, Clone)]
#[serde(deny_unknown_fields)]
struct FormInput {
    /// The form's name, for people.
    name: String,
    /// The source of its responses; it cannot be changed later.
    kind: FormKind,
    /// Off: posts are answered as if the form did not exist.
    #[serde(default = "yes")]
    enabled: bool,
    /// The campaign that its submissions belong to.
    #[serde(default)]
    campaign: Option<String>,
    /// Origins of pages that may post it from a browser; `*` allows all.
    #[serde(default)]
    allowed_origins: Vec<String>,
    /// The addresses that a plain HTML post may be redirected to; the first is the default.
    #[serde(default)]
    redirect_urls: Vec<String>,
    /// Fields without which a post is refused.
    #[serde(default)]
    required_fields: Vec<String>,
    /// Fields that may be sent several times.
    #[serde(default)]
    multi_value_fields: Vec<String>,
    /// A field that people never see; a post that fills it is ignored.
    #[serde(default)]
    honeypot_field: Option<String>,
    /// Largest body, in bytes.
    #[serde(default = "default_body")]
    max_body_bytes: usize,
    /// Most fields in one post.
    #[serde(default = "default_fields")]
    max_fields: usize,
    /// The secret that posts are signed with (website), or the `google_key` (Google Ads, where it is
    /// required). Left out or unchanged, the current secret stays. Empty, the secrets are removed. Beside a
    /// new secret the one before it stays valid; older ones do not.
    #[serde(default)]
    secret: Option<String>,
    /// The end of the time in which signatures over the body alone are accepted beside those over time, form
    /// and body (milliseconds; at most 90 days ahead). None: they are refused.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    body_signatures_until: Option<Millis>,
    /// Posts taken in a minute, a large one counting once for each 4,096 bytes; more are answered with
    /// 429. 1 to 60,000.
    #[serde(default = "default_posts")]
    posts_per_minute: u32,
}

const fn default_posts() -> u32 {
    DEFAULT_POSTS_PER_MINUTE
}

const fn yes() -> bool {
    true
}

const fn default_body() -> usize {
    64 * 1024
}

const fn default_fields() -> usize {
    100
}

#[derive(Serialize, ToSchema)]
struct FormView {
    id: FormId,
    /// The form's public key: `<contract>.<id>`.
    form_key: String,
    /// The address for posts to this form.
    post_url: String,
    name: String,
    kind: FormKind,
    enabled: bool,
    campaign: Option<String>,
    allowed_origins: Vec<String>,
    redirect_urls: Vec<String>,
    required_fields: Vec<String>,
    multi_value_fields: Vec<String>,
    honeypot_field: Option<String>,
    max_body_bytes: usize,
    max_fields: usize,
    /// A secret is set; it is never shown.
    has_secret: bool,
    /// The secret before the last change is still accepted.
    has_previous_secret: bool,
    #[schema(value_type = Option<i64>)]
    body_signatures_until: Option<Millis>,
    posts_per_minute: u32,
    #[schema(value_type = i64)]
    created_at: Millis,
    #[schema(value_type = i64)]
    updated_at: Millis,
}

#[derive(Serialize, ToSchema)]
struct FormList {
    items: Vec<FormView>,
}

fn view(app: &App, contract: &ContractId, form: Form) -> FormView {
    let key = FormKey {
        contract: contract.clone(),
        form: form.id.clone(),
    }
    .to_string();
    let path = match form.kind {
        FormKind::Website => format!("/forms/{key}"),
        FormKind::GoogleAds => format!("/webhooks/google-ads/{key}"),
    };
    FormView {
        post_url: app.public_url.join(&path).map_or(path, String::from),
        form_key: key,
        id: form.id,
        name: form.name,
        kind: form.kind,
        enabled: form.enabled,
        campaign: form.campaign,
        allowed_origins: form.allowed_origins,
        redirect_urls: form.redirect_urls,
        required_fields: form.required_fields,
        multi_value_fields: form.multi_value_fields,
        honeypot_field: form.honeypot_field,
        max_body_bytes: form.max_body_bytes,
        max_fields: form.max_fields,
        has_secret: form.sealed_secret.is_some(),
        has_previous_secret: form.sealed_previous_secret.is_some(),
        body_signatures_until: form.body_signatures_until,
        posts_per_minute: form.posts_per_minute,
        created_at: form.created_at,
        updated_at: form.updated_at,
    }
}

/// Characters that take no room, and come along with a copied text.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
}

/// Checks a secret for mistakes of copying: a blank at its end, or a character that no screen shows.
fn check_secret(field: &str, secret: &str) -> Result<(), Problem> {
    let length = secret.chars().count();
    if length < MIN_SECRET_CHARS
        || secret.len() > 256
        || secret.trim() != secret
        || secret.chars().any(|c| c.is_control() || is_invisible(c))
    {
        return Err(Problem::new(
            422,
            "invalid_secret",
            format!(
                "A secret has {MIN_SECRET_CHARS} to 256 characters, all visible, and no blanks around it."
            ),
            "Send a long random text.",
        )
        .with_field(field));
    }
    Ok(())
}

async fn seal(app: &App, purpose: Purpose<'_>, secret: &str) -> Result<String, Problem> {
    app.remote
        .vault
        .seal(purpose, secret)
        .await
        .map_err(|error| no_key_service(&error))
}

fn no_key_service(error: &VaultError) -> Problem {
    tracing::error!(
        error = error as &dyn std::error::Error,
        "the key service did not answer"
    );
    Problem::unavailable()
}

/// A change of a secret as sent in a request.
enum Given {
    /// The secret stays.
    Kept,
    /// None from now on.
    Removed,
    /// A new one, sealed, in the place of this sealed one.
    New {
        sealed: String,
        replaces: Option<String>,
    },
}

impl Given {
    /// Seals a given secret. The current secret counts as unchanged: taken as new, it would push out the one
    /// before it.
    async fn read(
        app: &App,
        purpose: Purpose<'_>,
        field: &str,
        given: Option<&str>,
        current: Option<&str>,
    ) -> Result<Self, Problem> {
        let secret = match given {
            None => return Ok(Self::Kept),
            Some("") => return Ok(Self::Removed),
            Some(secret) => secret,
        };
        check_secret(field, secret)?;
        if let Some(current) = current {
            match app.remote.vault.open(purpose, current).await {
                Ok(open) if secrets_equal(&open, secret) => return Ok(Self::Kept),
                // A secret that does not open is replaced.
                Ok(_) | Err(VaultError::DoesNotOpen) => {}
                Err(error) => return Err(no_key_service(&error)),
            }
        }
        Ok(Self::New {
            sealed: seal(app, purpose, secret).await?,
            replaces: current.map(str::to_owned),
        })
    }

    /// Applies the change to the sealed secrets stored now: current and previous.
    ///
    /// # Errors
    /// `configuration_busy` if the secret was changed concurrently: of three secrets, only two stay valid.
    fn over(
        &self,
        now: (Option<String>, Option<String>),
    ) -> Result<(Option<String>, Option<String>), Problem> {
        match self {
            Self::Kept => Ok(now),
            Self::Removed => Ok((None, None)),
            Self::New { sealed, replaces } if *replaces == now.0 => {
                Ok((Some(sealed.clone()), now.0))
            }
            Self::New { .. } => Err(Problem::new(
                409,
                "configuration_busy",
                "Somebody else changed the secret at this moment.",
                "Read it again and repeat the change.",
            )),
        }
    }
}

async fn put(
    app: &App,
    caller: &Caller<ChangeConfiguration>,
    id: FormId,
    input: FormInput,
    before: Option<Form>,
) -> Result<FormView, Problem> {
    let now = app.remote.clock.now();
    let contract = &caller.contract;
    if before
        .as_ref()
        .is_some_and(|before| before.kind != input.kind)
    {
        return Err(Problem::new(
            409,
            "form_kind_fixed",
            "A form's kind cannot be changed: its address would change with it.",
            "Create another form.",
        )
        .with_field("kind"));
    }
    let name = format!("form/{id}");
    let purpose = Purpose {
        contract,
        name: &name,
    };
    let current = before
        .as_ref()
        .and_then(|form| form.sealed_secret.as_deref());
    let secret = Given::read(app, purpose, "secret", input.secret.as_deref(), current).await?;
    let is_new = before.is_none();
    let changed = app
        .change(contract, &caller.actor, |config| {
            let before = config.forms.get(&id);
            if before.is_none() && !is_new {
                return Err(Problem::not_found("form"));
            }
            let sealed = before.map_or((None, None), |form| {
                (
                    form.sealed_secret.clone(),
                    form.sealed_previous_secret.clone(),
                )
            });
            let created_at = before.map_or(now, |form| form.created_at);
            let (sealed_secret, sealed_previous_secret) = secret.over(sealed)?;
            if input.kind == FormKind::GoogleAds && sealed_secret.is_none() {
                return Err(Problem::new(
                    422,
                    "secret_required",
                    "A Google Ads form needs the key that Google sends with each lead.",
                    "Send the google_key as secret.",
                )
                .with_field("secret"));
            }
            let input = input.clone();
            config.put_form(
                Form {
                    id: id.clone(),
                    kind: input.kind,
                    name: input.name,
                    enabled: input.enabled,
                    campaign: input.campaign,
                    allowed_origins: input.allowed_origins,
                    redirect_urls: input.redirect_urls,
                    required_fields: input.required_fields,
                    multi_value_fields: input.multi_value_fields,
                    honeypot_field: input.honeypot_field,
                    max_body_bytes: input.max_body_bytes,
                    max_fields: input.max_fields,
                    sealed_secret,
                    sealed_previous_secret,
                    body_signatures_until: input.body_signatures_until,
                    posts_per_minute: input.posts_per_minute,
                    created_at,
                    updated_at: now,
                },
                now,
            )
        })
        .await?;
    let form = changed.forms.get(&id).cloned();
    Ok(view(app, contract, form.ok_or_else(Problem::internal)?))
}

fn form_id(id: &str) -> Result<FormId, Problem> {
    id.parse().map_err(|_| Problem::not_found("form"))
}

/// The contract's forms.
#[utoipa::path(get, path = "/forms", responses((status = 200, body = FormList)))]
async fn list(
    State(app): State<Arc<App>>,
    caller: Caller<ReadConfiguration>,
) -> Result<Json<FormList>, Problem> {
    let config = app.config(&caller.contract).await?;
    let items = config
        .forms
        .into_values()
        .map(|form| view(&app, &caller.contract, form))
        .collect();
    Ok(Json(FormList { items }))
}

/// Creates a form; its key and address come back.
#[utoipa::path(post, path = "/forms", request_body = FormInput, responses((status = 201, body = FormView), (status = 422, body = Problem)))]
async fn create(
    State(app): State<Arc<App>>,
    caller: Caller<ChangeConfiguration>,
    Json(input): Json<FormInput>,
) -> Result<(http::StatusCode, Json<FormView>), Problem> {
    let id = app
        .remote
        .random
        .secret(15)
        .parse()
        .map_err(|_| Problem::internal())?;
    Ok((
        http::StatusCode::CREATED,
        Json(put(&app, &caller, id, input, None).await?),
    ))
}

/// A form.
#[utoipa::path(get, path = "/forms/{id}", params(("id" = String, Path)), responses((status = 200, body = FormView), (status = 404, body = Problem)))]
async fn get(
    State(app): State<Arc<App>>,
    caller: Caller<ReadConfiguration>,
    Path(id): Path<String>,
) -> Result<Json<FormView>, Problem> {
    let form = app
        .remote
        .store
        .form(&caller.contract, &form_id(&id)?)
        .await
        .map_err(|error| error.problem())?;
    let form = form.ok_or_else(|| Problem::not_found("form"))?;
    Ok(Json(view(&app, &caller.contract, form)))
}

/// Replaces a form's rules. They count within a minute.
#[utoipa::path(put, path = "/forms/{id}", params(("id" = String, Path)), request_body = FormInput, responses((status = 200, body = FormView), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn edit(
    State(app): State<Arc<App>>,
    caller: Caller<ChangeConfiguration>,
    Path(id): Path<String>,
    Json(input): Json<FormInput>,
) -> Result<Json<FormView>, Problem> {
    let id = form_id(&id)?;
    let before = app.config(&caller.contract).await?.forms.remove(&id);
    let before = before.ok_or_else(|| Problem::not_found("form"))?;
    Ok(Json(put(&app, &caller, id, input, Some(before)).await?))
}

/// Deletes a form. Its submissions stay.
#[utoipa::path(delete, path = "/forms/{id}", params(("id" = String, Path)), responses((status = 204), (status = 404, body = Problem)))]
async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller<ChangeConfiguration>,
    Path(id): Path<String>,
) -> Result<http::StatusCode, Problem> {
    let id = form_id(&id)?;
    app.change(&caller.contract, &caller.actor, |config| {
        config.delete_form(&id)
    })
    .await?;
    Ok(http::StatusCode::NO_CONTENT)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LinkedInInput {
    /// Owners whose leads are synced: `urn:li:sponsoredAccount:123` or `urn:li:organization:123`.
    owners: Vec<String>,
    /// The client secret of the LinkedIn app, which signs notifications. Left out, the current secret stays.
    /// Empty, the secrets are removed. Beside a new secret the one before it stays valid.
    #[serde(default)]
    client_secret: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct LinkedInView {
    /// The address for LinkedIn's notifications.
    webhook_url: String,
    owners: Vec<String>,
    /// A client secret is set; it is never shown.
    has_client_secret: bool,
    /// The secret before the last change is still accepted.
    has_previous_client_secret: bool,
    /// The state of the authorisation of lead sync.
    connection: Status,
    /// The person who authorised it.
    authorized_by: Option<String>,
    /// The end of the authorisation: it has to be renewed by then. LinkedIn's lasts a year, or 60 days for an
    /// app without refresh tokens.
    #[schema(value_type = Option<i64>)]
    authorization_ends_at: Option<Millis>,
    /// The current problem, or the end within 14 days, with its next step.
    problem: Option<Problem>,
}

async fn linkedin_view(
    app: &App,
    contract: &ContractId,
    settings: LinkedInSettings,
) -> Result<LinkedInView, Problem> {
    let connection = app
        .remote
        .store
        .connection(contract, ConnectionKind::LinkedIn)
        .await
        .map_err(|error| error.problem())?;
    let now = app.remote.clock.now();
    let status = super::crm::status(connection.as_ref(), now);
    let connection = connection.filter(Connection::stands);
    let problem = match &connection {
        Some(connection) if status == Status::SignInNeeded => {
            let reason = connection.reason();
            Some(texts::sign_in_needed("LinkedIn", reason, Audience::Setup))
        }
        Some(connection) => super::crm::ending(connection, now),
        None => None,
    };
    let path = format!("/webhooks/linkedin/{contract}");
    Ok(LinkedInView {
        webhook_url: app.public_url.join(&path).map_or(path, String::from),
        owners: settings.owners,
        has_client_secret: settings.sealed_client_secret.is_some(),
        has_previous_client_secret: settings.sealed_previous_client_secret.is_some(),
        connection: status,
        authorized_by: connection.as_ref().map(|found| found.connected_by.clone()),
        authorization_ends_at: connection.and_then(|found| found.valid_until),
        problem,
    })
}

/// LinkedIn lead sync, for everybody who may authorise it.
#[utoipa::path(get, path = "/linkedin", responses((status = 200, body = LinkedInView)))]
async fn get_linkedin(
    State(app): State<Arc<App>>,
    caller: Caller<AuthorizeLinkedIn>,
) -> Result<Json<LinkedInView>, Problem> {
    let settings = app.config(&caller.contract).await?.linkedin;
    Ok(Json(linkedin_view(&app, &caller.contract, settings).await?))
}

/// Sets LinkedIn lead sync.
#[utoipa::path(put, path = "/linkedin", request_body = LinkedInInput, responses((status = 200, body = LinkedInView), (status = 422, body = Problem)))]
async fn set_linkedin(
    State(app): State<Arc<App>>,
    caller: Caller<ChangeConfiguration>,
    Json(input): Json<LinkedInInput>,
) -> Result<Json<LinkedInView>, Problem> {
    let before = app.config(&caller.contract).await?.linkedin;
    let purpose = Purpose {
        contract: &caller.contract,
        name: "linkedin/client-secret",
    };
    let given = input.client_secret.as_deref();
    let current = before.sealed_client_secret.as_deref();
    let secret = Given::read(&app, purpose, "client_secret", given, current).await?;
    let changed = app
        .change(&caller.contract, &caller.actor, |config| {
            let now = &config.linkedin;
            let (sealed_client_secret, sealed_previous_client_secret) = secret.over((
                now.sealed_client_secret.clone(),
                now.sealed_previous_client_secret.clone(),
            ))?;
            config.set_linkedin(LinkedInSettings {
                sealed_client_secret,
                sealed_previous_client_secret,
                owners: input.owners.clone(),
            })
        })
        .await?;
    let settings = changed.linkedin;
    Ok(Json(linkedin_view(&app, &caller.contract, settings).await?))
}
