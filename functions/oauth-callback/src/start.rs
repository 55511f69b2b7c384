//! Starting a connection: an attempt is kept, and the browser is told where to go.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shared::api_auth::Caller;
use shared::domain::ids::ContractId;
use shared::oauth::{Authorization, sign_in_address};
use shared::outbound::{AllowList, Endpoints, Provider};
use shared::problem::Problem;
use shared::signature::sha256_hex;
use shared::store::OAuthAttempt;
use shared::vault::Purpose;
use url::Url;

use crate::problems::BadTarget;
use crate::{App, browser, permission, problems, provider_named};

const SALESFORCE_LOGIN: &str = "https://login.salesforce.com";

pub(crate) async fn start(
    State(app): State<Arc<App>>,
    Path(provider): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let provider = provider_named(&provider).ok_or_else(|| Problem::not_found("provider"))?;
    let remote = &app.remote;
    let now = remote.clock.now();
    let needs = Some(permission(provider));
    let caller = Caller::authenticate(&headers, needs, &remote.store, now).await?;
    let body = body.map_err(|_| BadTarget::Body(provider))?;
    let target = Target::read(
        provider,
        &body,
        &remote.endpoints,
        remote.outbound.allow_list(),
    )?;
    app.check_crm(&caller.contract, provider).await?;

    let state = format!("{}.{}", caller.contract, remote.random.secret(32));
    let verifier = remote.random.secret(32);
    let cookie = remote.random.secret(32);
    let authorize_url = Authorization {
        provider,
        auth_url: &target.auth_url,
        app: &app.client(provider).await?,
        redirect_uri: &app.redirect_uri(),
        state: &state,
        verifier: &verifier,
        resource: target.resource.as_ref(),
    }
    .url()
    .ok_or_else(Problem::internal)?;
    let sealed = remote
        .vault
        .seal(verifier_purpose(&caller.contract), &verifier)
        .await
        .map_err(|error| problems::vault(&error))?;
    let attempt = OAuthAttempt {
        provider,
        started_by: caller.actor,
        sealed_verifier: sealed,
        browser_hash: browser::hash(&cookie),
        auth_url: target.auth_url,
        resource: target.resource,
        valid_until: now.plus_seconds(browser::ATTEMPT_SECONDS),
    };
    remote
        .store
        .put_oauth_attempt(&caller.contract, &state_hash(&state), &attempt)
        .await
        .map_err(|error| problems::store(&error))?;

    let mut response = axum::Json(json!({ "authorize_url": authorize_url })).into_response();
    let answer = response.headers_mut();
    answer.insert(header::SET_COOKIE, browser::cookie(&cookie));
    answer.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// What an attempt is kept under.
pub(crate) fn state_hash(state: &str) -> String {
    sha256_hex(&[state.as_bytes()])
}

/// The vault's purpose of an attempt's verifier.
pub(crate) fn verifier_purpose(contract: &ContractId) -> Purpose<'_> {
    Purpose {
        contract,
        name: "oauth/verifier",
    }
}

/// Where to sign in, and to what.
#[derive(Debug, PartialEq)]
struct Target {
    auth_url: Url,
    resource: Option<Url>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SalesforceTarget {
    #[serde(default)]
    login_url: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DataverseTarget {
    organization_url: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LinkedInTarget {}

impl Target {
    fn read(
        provider: Provider,
        body: &[u8],
        endpoints: &Endpoints,
        allow: &AllowList,
    ) -> Result<Self, BadTarget> {
        let mut target = Self {
            auth_url: sign_in_address(provider, endpoints, &endpoints.entra),
            resource: None,
        };
        match provider {
            Provider::Salesforce => {
                let given = json::<SalesforceTarget>(provider, body)?.login_url;
                let login = given.as_deref().unwrap_or(SALESFORCE_LOGIN);
                target.auth_url =
                    address(allow, provider, login).ok_or(BadTarget::LoginUrl(provider))?;
            }
            Provider::Dataverse | Provider::Entra => {
                let given = json::<DataverseTarget>(provider, body)?.organization_url;
                let organization = address(allow, provider, &given);
                target.resource = Some(organization.ok_or(BadTarget::OrganizationUrl(provider))?);
            }
            Provider::LinkedIn => {
                let LinkedInTarget {} = json(provider, body)?;
            }
        }
        Ok(target)
    }
}

/// An address of the provider, cut to its origin.
fn address(allow: &AllowList, provider: Provider, text: &str) -> Option<Url> {
    let mut url = Url::parse(text.trim()).ok()?;
    allow.check(provider, &url).ok()?;
    url.set_path("/");
    url.set_query(None);
    url.set_fragment(None);
    Some(url)
}

/// An object's fields; no body is an empty object, and a list is none.
fn json<T: DeserializeOwned>(provider: Provider, body: &[u8]) -> Result<T, BadTarget> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body)
        .and_then(|object| serde_json::from_value(Value::Object(object)))
        .map_err(|_| BadTarget::Body(provider))
}

#[cfg(test)]
mod tests {
    use shared::outbound::{AllowList, Endpoints, Provider};

    use super::Target;

    fn read(provider: Provider, body: &str) -> Result<Target, String> {
        let endpoints = Endpoints {
            linkedin_api: "https://api.linkedin.com".parse().unwrap(),
            linkedin_auth: "https://www.linkedin.com".parse().unwrap(),
            entra: "https://login.microsoftonline.com".parse().unwrap(),
        };
        Target::read(provider, body.as_bytes(), &endpoints, &AllowList::default())
            .map_err(|bad| shared::problem::Problem::from(bad).code)
    }

    #[test]
    fn salesforce_signs_in_where_it_is_told_and_at_login_otherwise() {
        fn at(body: &str) -> Result<String, String> {
            read(Provider::Salesforce, body).map(|target| target.auth_url.to_string())
        }
        assert_eq!(at("").unwrap(), "https://login.salesforce.com/");
        assert_eq!(at("{}").unwrap(), "https://login.salesforce.com/");
        assert_eq!(
            at(r#"{"login_url":" https://acme.my.salesforce.com/home?x=1#y"}"#).unwrap(),
            "https://acme.my.salesforce.com/"
        );
        for bad in [
            "http://login.salesforce.com",
            "https://login.salesforce.com.evil.example",
            "https://a:b@login.salesforce.com",
            "https://169.254.169.254",
            "mailto:a@salesforce.com",
            "nonsense",
            "",
        ] {
            let body = serde_json::json!({ "login_url": bad }).to_string();
            assert_eq!(at(&body).unwrap_err(), "address_not_allowed", "{bad}");
        }
    }

    #[test]
    fn dataverse_needs_its_organisation() {
        let target = read(
            Provider::Dataverse,
            r#"{"organization_url":"https://acme.crm4.dynamics.com/main.aspx"}"#,
        )
        .unwrap();
        assert_eq!(
            target.auth_url.as_str(),
            "https://login.microsoftonline.com/"
        );
        assert_eq!(
            target.resource.unwrap().as_str(),
            "https://acme.crm4.dynamics.com/"
        );
        assert_eq!(read(Provider::Dataverse, "{}").unwrap_err(), "invalid_body");
        assert_eq!(
            read(
                Provider::Dataverse,
                r#"{"organization_url":"https://acme.example"}"#
            )
            .unwrap_err(),
            "address_not_allowed"
        );
    }

    #[test]
    fn linkedin_takes_nothing() {
        assert!(read(Provider::LinkedIn, "").is_ok());
        assert!(read(Provider::LinkedIn, "{}").is_ok());
        for bad in [
            r#"{"login_url":"https://www.linkedin.com"}"#,
            "[",
            "[]",
            "null",
        ] {
            assert_eq!(
                read(Provider::LinkedIn, bad).unwrap_err(),
                "invalid_body",
                "{bad}"
            );
        }
    }
}
