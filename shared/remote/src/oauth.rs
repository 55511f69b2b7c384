//! OAuth at the providers: app credentials, authorize URLs with PKCE, and the token endpoint.
//!
//! Sources: `help.salesforce.com` `remoteaccess_oauth_web_server_flow`; Microsoft's
//! `v2-oauth2-auth-code-flow`; LinkedIn's programmatic refresh tokens.

pub mod id_token;
mod refusal;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use aws_sdk_secretsmanager::error::ProvideErrorMetadata as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use url::Url;

use crate::outbound::{Call, Endpoints, Outbound, OutboundError, Provider};
use domain::clock::Millis;
use domain::signature::sha256;
use store::{Revocation, SignInReason};

pub use self::refusal::ClientFault;
use self::refusal::{Exchange, Refusal};

/// An OAuth client of ours at one provider.
#[derive(Clone, Deserialize)]
pub struct App {
    /// Its public id.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "App({}, …)", self.client_id)
    }
}

/// Errors of `GetSecretValue` that persist until the operator acts; all others pass.
const SECRET_FAULTS: [&str; 7] = [
    "AccessDeniedException",
    "DecryptionFailure",
    "InvalidParameterException",
    "InvalidRequestException",
    "ResourceNotFoundException",
    "UnrecognizedClientException",
    "ValidationException",
];

/// The place where the OAuth clients' credentials are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppsSpec {
    /// A secret in Secrets Manager, by name or ARN.
    SecretsManager(String),
    /// A file.
    File(PathBuf),
}

impl std::str::FromStr for AppsSpec {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some(("secretsmanager", name)) if !name.is_empty() => {
                Ok(Self::SecretsManager(name.to_owned()))
            }
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            _ => Err("is neither secretsmanager:<name> nor file:<path>"),
        }
    }
}

/// The OAuth clients, read when first needed: one invocation in many refreshes a token.
pub struct OAuthApps {
    spec: AppsSpec,
    aws: aws_config::SdkConfig,
    apps: Mutex<BTreeMap<String, App>>,
}

impl OAuthApps {
    /// The clients kept at `spec`.
    #[must_use]
    pub fn new(spec: AppsSpec, aws: &aws_config::SdkConfig) -> Self {
        Self {
            spec,
            aws: aws.clone(),
            apps: Mutex::default(),
        }
    }

    /// Our client at a provider. Dataverse and its sign-in share one.
    ///
    /// An unknown client is looked up again each time, because the secret may have been filled in since.
    ///
    /// # Errors
    /// Returns [`OAuthError::NoApp`] if the secret names no such client, [`OAuthError::Apps`] if it could not
    /// be read this time, and [`OAuthError::AppsUnusable`] if it cannot be used.
    pub async fn app(&self, provider: Provider) -> Result<App, OAuthError> {
        let name = match provider {
            Provider::Entra => Provider::Dataverse.as_str(),
            other => other.as_str(),
        };
        let mut apps = self.apps.lock().await;
        if let Some(app) = apps.get(name) {
            return Ok(app.clone());
        }
        *apps = self.load().await?;
        apps.get(name).cloned().ok_or(OAuthError::NoApp(provider))
    }

    /// Forgets the clients after one was refused, because its secret may have been changed.
    pub async fn forget(&self) {
        self.apps.lock().await.clear();
    }

    async fn load(&self) -> Result<BTreeMap<String, App>, OAuthError> {
        let text = match &self.spec {
            AppsSpec::File(path) => std::fs::read_to_string(path)
                .map_err(|error| OAuthError::AppsUnusable(Box::new(error)))?,
            AppsSpec::SecretsManager(name) => aws_sdk_secretsmanager::Client::new(&self.aws)
                .get_secret_value()
                .secret_id(name)
                .send()
                .await
                .map_err(|error| match error.code() {
                    Some(code) if SECRET_FAULTS.contains(&code) => {
                        OAuthError::AppsUnusable(Box::new(error))
                    }
                    _ => OAuthError::Apps(Box::new(error)),
                })?
                .secret_string
                .unwrap_or_default(),
        };
        serde_json::from_str(&text).map_err(|_| {
            OAuthError::AppsUnusable("the OAuth apps are no JSON object of clients".into())
        })
    }
}

/// Tokens of a connection. Stored sealed only.
#[derive(Clone, Serialize, Deserialize)]
pub struct Tokens {
    /// The bearer token of calls.
    pub access_token: String,
    /// The token for renewing the access token, if the provider issued one.
    #[serde(default)]
    pub refresh_token: Option<String>,
    /// End of the access token's validity, if the provider states it.
    #[serde(default)]
    pub expires_at: Option<Millis>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokens(…, expires_at: {:?})", self.expires_at)
    }
}

/// The reason why a token endpoint issued no tokens. `code` is the server's own, made safe to show.
#[derive(Debug, thiserror::Error)]
pub enum OAuthError {
    /// The clients' credentials could not be read this time.
    #[error("the OAuth apps cannot be read")]
    Apps(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The secret with the clients' credentials is missing or invalid: the operator has to correct it.
    #[error("the OAuth apps cannot be used")]
    AppsUnusable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// There is no client for this provider.
    #[error("no OAuth app is configured for {}", .0.as_str())]
    NoApp(Provider),
    /// The code or the refresh token is no longer valid: the user has to sign in.
    #[error("the sign-in server asks for a sign-in: {} ({code})", .reason.as_str())]
    SignInNeeded {
        /// The reason.
        reason: SignInReason,
        /// The server's code.
        code: String,
    },
    /// The organisation does not let the app in: its administrator has to install or approve it.
    #[error("the organisation does not allow the app ({0})")]
    AppNotAllowed(String),
    /// The provider refuses our client: the operator has to correct it.
    #[error("the sign-in server refuses the client ({code})")]
    Client {
        /// The refused part of it.
        fault: ClientFault,
        /// The server's code.
        code: String,
    },
    /// Too many requests: a pause of so many seconds.
    #[error("the sign-in server asks for a pause of {0} seconds")]
    Throttled(i64),
    /// A refusal that passes without action.
    #[error("the sign-in server refuses for the moment ({0})")]
    Passing(String),
    /// A refusal that may pass or stay.
    #[error("the sign-in server refuses ({0})")]
    Unclear(String),
    /// It did not answer, or not in a readable form.
    #[error("the sign-in server did not answer")]
    Unavailable(#[source] Option<OutboundError>),
}

/// The answer of a token endpoint.
#[derive(Deserialize)]
pub struct TokenAnswer {
    /// The bearer token.
    pub access_token: String,
    /// The token for renewing the access token.
    #[serde(default)]
    pub refresh_token: Option<String>,
    /// Seconds until it ends; Salesforce does not state it.
    #[serde(default)]
    pub expires_in: Option<i64>,
    /// Salesforce: the organisation's address.
    #[serde(default)]
    pub instance_url: Option<Url>,
    /// Salesforce: `…/id/{organization}/{user}`.
    #[serde(default)]
    pub id: Option<Url>,
    /// The identity token, if `openid` was requested.
    #[serde(default)]
    pub id_token: Option<String>,
    /// LinkedIn: seconds until the refresh token ends; renewing does not move that end.
    #[serde(default)]
    pub refresh_token_expires_in: Option<i64>,
}

/// The kind of access that is requested from a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Its API, now and later, as the user who signs in.
    Api,
    /// The user's identity.
    SignIn,
}

/// The credential that is exchanged at a token endpoint.
pub enum Grant<'a> {
    /// An authorization code with its PKCE verifier.
    Code {
        /// The code.
        code: &'a str,
        /// The verifier behind the challenge.
        verifier: &'a str,
        /// The redirect URI that the code was sent to.
        redirect_uri: &'a str,
    },
    /// A refresh token.
    Refresh(&'a str),
}

/// The scope to request from a provider.
fn scope(provider: Provider, access: Access, resource: Option<&Url>) -> String {
    match (provider, access) {
        (Provider::Salesforce, Access::Api) => "api refresh_token openid".to_owned(),
        (_, Access::SignIn) => "openid profile email".to_owned(),
        (Provider::Dataverse | Provider::Entra, Access::Api) => {
            let resource = resource
                .map(|url| url.as_str().trim_end_matches('/').to_owned())
                .unwrap_or_default();
            format!("{resource}/user_impersonation offline_access openid profile")
        }
        (Provider::LinkedIn, Access::Api) => {
            "r_marketing_leadgen_automation r_ads r_organization_admin".to_owned()
        }
    }
}

/// An address of a provider's sign-in server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    Authorize,
    Token,
    Revoke,
    Keys,
}

/// A provider's endpoint under its sign-in address; `None` if there is none.
fn endpoint(provider: Provider, auth_url: &Url, endpoint: Endpoint) -> Option<Url> {
    let path = match (provider, endpoint) {
        (Provider::Salesforce, Endpoint::Authorize) => "/services/oauth2/authorize",
        (Provider::Salesforce, Endpoint::Token) => "/services/oauth2/token",
        (Provider::Salesforce, Endpoint::Revoke) => "/services/oauth2/revoke",
        (Provider::Salesforce, Endpoint::Keys) => "/id/keys",
        (Provider::Dataverse | Provider::Entra, Endpoint::Authorize) => {
            "/organizations/oauth2/v2.0/authorize"
        }
        (Provider::Dataverse | Provider::Entra, Endpoint::Token) => {
            "/organizations/oauth2/v2.0/token"
        }
        (Provider::Dataverse | Provider::Entra, Endpoint::Keys) => {
            "/organizations/discovery/v2.0/keys"
        }
        (Provider::LinkedIn, Endpoint::Authorize) => "/oauth/v2/authorization",
        (Provider::LinkedIn, Endpoint::Token) => "/oauth/v2/accessToken",
        // In use by LinkedIn's clients; its documentation does not name it.
        (Provider::LinkedIn, Endpoint::Revoke) => "/oauth/v2/revoke",
        // Entra lets no app revoke a refresh token.
        (Provider::Dataverse | Provider::Entra, Endpoint::Revoke)
        | (Provider::LinkedIn, Endpoint::Keys) => return None,
    };
    auth_url.join(path).ok()
}

/// The sign-in address of a provider: fixed, or for Salesforce the one that the organisation uses.
#[must_use]
pub fn sign_in_address(provider: Provider, endpoints: &Endpoints, salesforce_login: &Url) -> Url {
    match provider {
        Provider::Salesforce => salesforce_login.clone(),
        Provider::Dataverse | Provider::Entra => endpoints.entra.clone(),
        Provider::LinkedIn => endpoints.linkedin_auth.clone(),
    }
}

/// The provider that a call to a provider's sign-in server is addressed to.
#[must_use]
pub fn sign_in_provider(provider: Provider) -> Provider {
    if provider == Provider::Dataverse {
        Provider::Entra
    } else {
        provider
    }
}

/// All parameters of one authorization request.
pub struct Authorization<'a> {
    /// The provider to sign in to.
    pub provider: Provider,
    /// Its sign-in address.
    pub auth_url: &'a Url,
    /// Our client there.
    pub app: &'a App,
    /// The address that the code is sent to.
    pub redirect_uri: &'a str,
    /// The state that ties the answer to the request.
    pub state: &'a str,
    /// The PKCE verifier; only its hash is sent.
    pub verifier: &'a str,
    /// Dataverse: the organisation's URL.
    pub resource: Option<&'a Url>,
    /// The requested access.
    pub access: Access,
    /// The nonce that ties an identity token to this request.
    pub nonce: &'a str,
    /// True if the user has to sign in anew, and so can choose another account.
    pub sign_in_anew: bool,
}

impl Authorization<'_> {
    /// The URL to send the browser to; `None` if the sign-in address cannot carry it.
    #[must_use]
    pub fn url(&self) -> Option<Url> {
        let challenge = URL_SAFE_NO_PAD.encode(sha256(&[self.verifier.as_bytes()]));
        let mut url = endpoint(self.provider, self.auth_url, Endpoint::Authorize)?;
        let scope = scope(self.provider, self.access, self.resource);
        let mut pairs = url.query_pairs_mut();
        pairs
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.app.client_id)
            .append_pair("redirect_uri", self.redirect_uri)
            .append_pair("scope", &scope)
            .append_pair("state", self.state)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        if scope.split(' ').any(|scope| scope == "openid") {
            pairs.append_pair("nonce", self.nonce);
        }
        if self.sign_in_anew {
            pairs.append_pair("prompt", "login");
        }
        drop(pairs);
        Some(url)
    }
}

/// Exchanges a grant for tokens.
pub async fn exchange(
    outbound: &Outbound,
    provider: Provider,
    auth_url: &Url,
    app: &App,
    grant: Grant<'_>,
    access: Access,
    resource: Option<&Url>,
) -> Result<TokenAnswer, OAuthError> {
    let url = endpoint(provider, auth_url, Endpoint::Token).ok_or(OAuthError::Unavailable(None))?;
    let scope = scope(provider, access, resource);
    let mut pairs = vec![
        ("client_id", app.client_id.as_str()),
        ("client_secret", app.client_secret.as_str()),
    ];
    let exchanged = match grant {
        Grant::Code { .. } => Exchange::Code,
        Grant::Refresh(_) => Exchange::Refresh,
    };
    match grant {
        Grant::Code {
            code,
            verifier,
            redirect_uri,
        } => pairs.extend([
            ("grant_type", "authorization_code"),
            ("code", code),
            ("code_verifier", verifier),
            ("redirect_uri", redirect_uri),
        ]),
        Grant::Refresh(token) => {
            pairs.extend([("grant_type", "refresh_token"), ("refresh_token", token)]);
        }
    }
    if matches!(provider, Provider::Dataverse | Provider::Entra) {
        pairs.push(("scope", &scope));
    }
    let call = Call::new(sign_in_provider(provider), Method::POST, url)
        .header(http::header::ACCEPT, "application/json")
        .form(&pairs);
    let answer = outbound
        .send(call, None)
        .await
        .map_err(|error| OAuthError::Unavailable(Some(error)))?;
    if answer.status.is_success() {
        return answer.json().ok_or(OAuthError::Unavailable(None));
    }
    Err(refusal::error(&answer, provider, exchanged))
}

/// Revokes a token at its provider (RFC 7009). Revoking a refresh token also revokes its access tokens.
///
/// # Errors
/// Returns [`OAuthError`] if the provider did not revoke the token this time.
pub async fn revoke(
    outbound: &Outbound,
    provider: Provider,
    auth_url: &Url,
    app: &App,
    token: &str,
) -> Result<Revocation, OAuthError> {
    let Some(url) = endpoint(provider, auth_url, Endpoint::Revoke) else {
        return Ok(Revocation::NotOffered);
    };
    let pairs = [
        ("token", token),
        ("client_id", app.client_id.as_str()),
        ("client_secret", app.client_secret.as_str()),
    ];
    let call = Call::new(sign_in_provider(provider), Method::POST, url).form(&pairs);
    let answer = outbound
        .send(call, None)
        .await
        .map_err(|error| OAuthError::Unavailable(Some(error)))?;
    if answer.status.is_success() {
        return Ok(Revocation::Revoked);
    }
    match (answer.status, Refusal::of(&answer).error()) {
        (_, "invalid_token" | "unsupported_token_type" | "invalid_grant") => {
            Ok(Revocation::AlreadyEnded)
        }
        (StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED, _) => Ok(Revocation::NotOffered),
        _ => Err(refusal::error(&answer, provider, Exchange::Refresh)),
    }
}

impl TokenAnswer {
    /// End of the authorisation itself, regardless of renewals: LinkedIn's refresh token ends after a year,
    /// and its access token after 60 days if it issues no refresh token.
    #[must_use]
    pub fn authorization_end(&self, now: Millis) -> Option<Millis> {
        let seconds = match &self.refresh_token {
            Some(_) => self.refresh_token_expires_in,
            None => self.expires_in,
        };
        seconds.map(|seconds| now.plus_seconds(seconds))
    }

    /// The tokens to store. A provider that does not rotate refresh tokens sends none: the one used stays
    /// valid.
    #[must_use]
    pub fn tokens(&self, used_refresh_token: Option<&str>, now: Millis) -> Tokens {
        Tokens {
            access_token: self.access_token.clone(),
            refresh_token: self
                .refresh_token
                .clone()
                .or_else(|| used_refresh_token.map(str::to_owned)),
            expires_at: self.expires_in.map(|seconds| now.plus_seconds(seconds)),
        }
    }
}
