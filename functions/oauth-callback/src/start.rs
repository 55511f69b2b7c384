//! The start of a connection: stores an attempt, and tells the browser where to go.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shared::api_auth::Caller;
use shared::domain::environment::Environment;
use shared::domain::hosts;
use shared::domain::role::Permission;
use shared::oauth::sign_in_address;
use shared::outbound::{AllowList, Endpoints, Provider};
use shared::problem::Problem;
use shared::store::{AttemptPurpose, Connection, ConnectionKind};
use url::Url;

use crate::attempt::{Start, Target, own_path};
use crate::problems::BadTarget;
use crate::{App, permission, problems, provider_named};

/// The default sign-in page of Salesforce.
pub(crate) const SALESFORCE_LOGIN: &str = "https://login.salesforce.com";
const SALESFORCE_SANDBOX_LOGIN: &str = "https://test.salesforce.com";

pub(crate) async fn start(
    State(app): State<Arc<App>>,
    Path(provider): Path<String>,
    method: Method,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let started = if provider == "user" {
        let needs = Some(Permission::ConnectOwnUser);
        let caller = app.caller(&method, &headers, needs).await?;
        app.start_user(&caller, body).await?
    } else {
        let provider = provider_named(&provider).ok_or_else(|| Problem::not_found("provider"))?;
        let needs = Some(match provider {
            Provider::LinkedIn => Permission::AuthorizeLinkedIn,
            _ => Permission::ConnectCrm,
        });
        let caller = app.caller(&method, &headers, needs).await?;
        app.start_connection(&caller, provider, body).await?
    };
    let answer = json!({ "authorize_url": started.authorize_url });
    let mut response = axum::Json(answer).into_response();
    let answer = response.headers_mut();
    answer.insert(header::SET_COOKIE, started.cookie);
    answer.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

impl App {
    async fn start_connection(
        &self,
        caller: &Caller,
        provider: Provider,
        body: Result<Bytes, BytesRejection>,
    ) -> Result<crate::attempt::Started, Problem> {
        let body = body.map_err(|_| BadTarget::Body(Some(provider)))?;
        let asked = Asked::read(provider, &body)?;
        let remote = &self.remote;
        let target = asked.target(provider, &remote.endpoints, remote.outbound.allow_list())?;
        self.check_crm(&caller.contract, provider).await?;
        let kind = match provider {
            Provider::LinkedIn => ConnectionKind::LinkedIn,
            _ => ConnectionKind::Crm(asked.environment),
        };
        debug_assert!(caller.role.may(permission(kind)));
        self.begin(Start {
            contract: &caller.contract,
            actor: caller.actor.clone(),
            provider,
            purpose: AttemptPurpose::Connect { kind },
            target,
            return_to: asked.return_to.as_deref().map(own_path).transpose()?,
            sign_in_anew: asked.switch_user,
        })
        .await
    }

    /// A seat holder signs in to the CRM that the contract has connected (CN-11), at the address of
    /// that very organisation.
    async fn start_user(
        &self,
        caller: &Caller,
        body: Result<Bytes, BytesRejection>,
    ) -> Result<crate::attempt::Started, Problem> {
        let seat = caller.signed_in()?.seat.id;
        let body = body.map_err(|_| BadTarget::Body(None))?;
        let asked: UserTarget = json(None, &body)?;
        let connected = self
            .connected(&caller.contract, asked.environment)
            .await?
            .ok_or_else(|| problems::environment_not_connected(asked.environment))?;
        let allow = self.remote.outbound.allow_list();
        let auth_url = match connected.provider {
            Provider::Salesforce if is_salesforce_login(allow, &connected.base_url) => {
                connected.base_url.clone()
            }
            _ => connected.auth_url.clone(),
        };
        self.begin(Start {
            contract: &caller.contract,
            actor: caller.actor.clone(),
            provider: connected.provider,
            purpose: AttemptPurpose::Connect {
                kind: ConnectionKind::User(seat, asked.environment),
            },
            target: Target {
                auth_url,
                resource: (connected.provider == Provider::Dataverse).then_some(connected.base_url),
            },
            return_to: asked.return_to.as_deref().map(own_path).transpose()?,
            sign_in_anew: asked.switch_user,
        })
        .await
    }

    /// The connection of an environment, if it stands.
    pub(crate) async fn connected(
        &self,
        contract: &shared::domain::ids::ContractId,
        environment: Environment,
    ) -> Result<Option<Connection>, Problem> {
        let kind = ConnectionKind::Crm(environment);
        let found = self.remote.store.connection(contract, kind).await;
        let found = found.map_err(|error| problems::store(&error))?;
        Ok(found.filter(Connection::stands))
    }
}

/// The parameters of a request to connect.
#[derive(Debug, Default)]
struct Asked {
    environment: Environment,
    login_url: Option<String>,
    organization_url: Option<String>,
    return_to: Option<String>,
    switch_user: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SalesforceTarget {
    #[serde(default)]
    environment: Environment,
    #[serde(default)]
    login_url: Option<String>,
    #[serde(default)]
    return_to: Option<String>,
    #[serde(default)]
    switch_user: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DataverseTarget {
    #[serde(default)]
    environment: Environment,
    organization_url: String,
    #[serde(default)]
    return_to: Option<String>,
    #[serde(default)]
    switch_user: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LinkedInTarget {
    #[serde(default)]
    return_to: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserTarget {
    #[serde(default)]
    environment: Environment,
    #[serde(default)]
    return_to: Option<String>,
    #[serde(default)]
    switch_user: bool,
}

impl Asked {
    fn read(provider: Provider, body: &[u8]) -> Result<Self, BadTarget> {
        Ok(match provider {
            Provider::Salesforce => {
                let given: SalesforceTarget = json(Some(provider), body)?;
                Self {
                    environment: given.environment,
                    login_url: given.login_url,
                    return_to: given.return_to,
                    switch_user: given.switch_user,
                    ..Self::default()
                }
            }
            Provider::Dataverse | Provider::Entra => {
                let given: DataverseTarget = json(Some(provider), body)?;
                Self {
                    environment: given.environment,
                    organization_url: Some(given.organization_url),
                    return_to: given.return_to,
                    switch_user: given.switch_user,
                    ..Self::default()
                }
            }
            Provider::LinkedIn => {
                let given: LinkedInTarget = json(Some(provider), body)?;
                Self {
                    return_to: given.return_to,
                    ..Self::default()
                }
            }
        })
    }

    fn target(
        &self,
        provider: Provider,
        endpoints: &Endpoints,
        allow: &AllowList,
    ) -> Result<Target, BadTarget> {
        let mut target = Target {
            auth_url: sign_in_address(provider, endpoints, &endpoints.entra),
            resource: None,
        };
        match provider {
            Provider::Salesforce => {
                let usual = match self.environment {
                    Environment::Production => SALESFORCE_LOGIN,
                    Environment::Sandbox => SALESFORCE_SANDBOX_LOGIN,
                };
                let login = self.login_url.as_deref().unwrap_or(usual);
                target.auth_url = salesforce_login(allow, login).ok_or(BadTarget::LoginUrl)?;
            }
            Provider::Dataverse | Provider::Entra => {
                let given = self.organization_url.as_deref().unwrap_or_default();
                let organization = address(allow, provider, given);
                target.resource = Some(organization.ok_or(BadTarget::OrganizationUrl)?);
            }
            Provider::LinkedIn => {}
        }
        Ok(target)
    }
}

/// An address where people sign in to Salesforce, cut to its origin. Not every address on
/// Salesforce's domains is one: some show pages of customers' own making.
pub(crate) fn salesforce_login(allow: &AllowList, text: &str) -> Option<Url> {
    let url = address(allow, Provider::Salesforce, text)?;
    is_salesforce_login(allow, &url).then_some(url)
}

fn is_salesforce_login(allow: &AllowList, url: &Url) -> bool {
    allow.lists(url) || url.host_str().is_some_and(hosts::is_salesforce_login)
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
fn json<T: DeserializeOwned>(provider: Option<Provider>, body: &[u8]) -> Result<T, BadTarget> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body)
        .and_then(|object| serde_json::from_value(Value::Object(object)))
        .map_err(|_| BadTarget::Body(provider))
}

#[cfg(test)]
mod tests {
    use shared::outbound::{AllowList, Endpoints, Provider};

    use super::{Asked, Target};

    fn read(provider: Provider, body: &str) -> Result<Target, String> {
        let endpoints = Endpoints {
            linkedin_api: "https://api.linkedin.com".parse().unwrap(),
            linkedin_auth: "https://www.linkedin.com".parse().unwrap(),
            entra: "https://login.microsoftonline.com".parse().unwrap(),
        };
        Asked::read(provider, body.as_bytes())
            .and_then(|asked| asked.target(provider, &endpoints, &AllowList::default()))
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
        assert_eq!(
            at(r#"{"environment":"sandbox"}"#).unwrap(),
            "https://test.salesforce.com/"
        );
        for bad in [
            "https://acme.force.com",
            "https://na1.salesforce.com",
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
