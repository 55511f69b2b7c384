//! Entra ID: authorization codes with PKCE, refresh, client credentials, signed identity tokens.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::KeyPair;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Dataverse;
use crate::clock::format_ms;
use crate::http::{Call, Form, Reply, account_page, secure, with_query};
use crate::jwt::{key_set, signed};
use crate::salesforce::oauth::{challenge, opaque, same};

/// The one client there is.
pub(crate) const CLIENT_ID: &str = "leadbridge-dataverse";
/// Its secret.
pub(crate) const CLIENT_SECRET: &str = "dataverse-app-secret";

const CODE_LIFE_MS: i64 = 10 * 60 * 1000;
/// The tenant of users that are not the organisation's.
const FOREIGN_TENANT: &str = "5f1d0000-0000-4000-8000-00000000c002";

/// The state of consent to the app.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Consent {
    #[default]
    Granted,
    /// Consent is missing: no user or administrator has given it yet.
    Required,
    /// The tenant lets only its administrators consent.
    AdminRequired,
}

impl Consent {
    /// Error, code and description while it is missing.
    fn missing(self) -> Option<(&'static str, u32, String)> {
        match self {
            Self::Granted => None,
            Self::Required => Some((
                "consent_required",
                65_001,
                format!(
                    "The user or administrator has not consented to use the application with ID \
                     '{CLIENT_ID}' named 'Leadbridge'. Send an interactive authorization request \
                     for this user and resource."
                ),
            )),
            Self::AdminRequired => Some((
                "access_denied",
                90_094,
                "The grant requires admin permission.".into(),
            )),
        }
    }
}

/// A user who can sign in.
struct Account {
    /// The object id: the same for every app.
    oid: String,
    tenant: String,
    username: String,
    email: Value,
    name: Value,
}

impl Account {
    /// An account without a row in the organisation.
    fn outside(username: &str, tenant: &str) -> Self {
        let name = username.split('@').next().unwrap_or(username);
        Self {
            oid: outside_id(username),
            tenant: tenant.to_owned(),
            username: username.to_owned(),
            email: json!(username),
            name: json!(name),
        }
    }
}

fn outside_id(username: &str) -> String {
    let name = username.to_lowercase();
    uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, name.as_bytes()).to_string()
}

#[derive(Debug, Serialize, Deserialize)]
struct Code {
    /// The account's object id.
    user: String,
    redirect_uri: String,
    challenge: Option<String>,
    nonce: Option<String>,
    scope: String,
    issued_ms: i64,
    used: bool,
}

/// A signed-in caller.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Session {
    /// The account's object id; an application's is empty while it is no user here.
    pub(crate) user: String,
    expires_ms: i64,
    chain: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Refresh {
    user: String,
    scope: String,
    chain: u64,
    #[serde(default)]
    used: bool,
}

/// Everything sign-in remembers.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Auth {
    counter: u64,
    codes: BTreeMap<String, Code>,
    sessions: BTreeMap<String, Session>,
    refresh: BTreeMap<String, Refresh>,
    revoked: Vec<u64>,
}

impl Auth {
    pub(crate) fn session(&self, token: &str, now_ms: i64) -> Option<Session> {
        let session = self.sessions.get(token)?;
        (session.expires_ms > now_ms && !self.revoked.contains(&session.chain))
            .then(|| session.clone())
    }

    pub(crate) fn expire(&mut self, token: Option<&str>) -> usize {
        let mut count = 0;
        for (name, session) in &mut self.sessions {
            if token.is_none_or(|token| token == name) {
                session.expires_ms = 0;
                count += 1;
            }
        }
        count
    }

    /// Revokes a chain by any token of it; all without one.
    pub(crate) fn revoke(&mut self, token: Option<&str>) -> usize {
        let all = self
            .refresh
            .values()
            .map(|r| r.chain)
            .chain(self.sessions.values().map(|s| s.chain));
        let chains: Vec<u64> = match token {
            None => all.collect(),
            Some(token) => {
                let refresh = self.refresh.get(token).map(|r| r.chain);
                refresh
                    .or_else(|| self.sessions.get(token).map(|s| s.chain))
                    .into_iter()
                    .collect()
            }
        };
        let count = chains.len();
        self.revoked.extend(chains);
        self.revoked.sort_unstable();
        self.revoked.dedup();
        count
    }

    fn next(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }
}

fn refuse(status: u16, error: &str, code: u32, text: &str, now_ms: i64) -> Reply {
    Reply::json(status, &json!({
        "error": error, "error_description": format!("AADSTS{code}: {text} Trace ID: 00000000-0000-0000-0000-000000000000 Correlation ID: 00000000-0000-0000-0000-000000000000 Timestamp: {}", format_ms(now_ms, "%Y-%m-%d %H:%M:%SZ")),
        "error_codes": [code], "timestamp": format_ms(now_ms, "%Y-%m-%d %H:%M:%SZ"),
        "trace_id": "00000000-0000-0000-0000-000000000000",
        "correlation_id": "00000000-0000-0000-0000-000000000000",
        "error_uri": format!("https://login.microsoftonline.com/error?code={code}"),
    }))
    .with("cache-control", "no-store, no-cache")
}

/// The tokens of an answer.
struct Grant<'a> {
    user: String,
    scope: String,
    nonce: Option<String>,
    chain: u64,
    /// As the path names it; a user's own tenant counts more.
    tenant: &'a str,
    application: bool,
}

/// The sign-in page with its reason: the browser stays there.
fn stays(code: u32, text: &str) -> Reply {
    Reply::text(
        200,
        "text/html; charset=utf-8",
        format!(
            "<!DOCTYPE html><html><head><title>Sign in to your account</title></head><body><div \
             role=\"alert\">AADSTS{code}: {text}</div></body></html>"
        ),
    )
}

impl Dataverse {
    /// Answers everything that is not the Web API.
    pub(super) fn entra(&mut self, call: &Call, now_ms: i64, signer: &KeyPair) -> Reply {
        let segments = call.segments();
        let names: Vec<&str> = segments.iter().map(String::as_str).collect();
        match (call.method.as_str(), names.as_slice()) {
            (
                "GET",
                [tenant, "v2.0", ".well-known", "openid-configuration"]
                | [tenant, ".well-known", "openid-configuration"],
            ) => Self::discovery(&call.base, tenant),
            ("GET", [_, "discovery", "v2.0" | "instance", ..]) if names.contains(&"keys") => {
                Reply::json(200, &key_set(signer))
            }
            ("GET", ["common", "discovery", "instance"]) => {
                let tenant = call.param("authorization_endpoint").unwrap_or_default();
                let tenant = tenant
                    .rsplit("/oauth2")
                    .nth(1)
                    .and_then(|t| t.rsplit('/').next())
                    .unwrap_or("common")
                    .to_owned();
                Reply::json(
                    200,
                    &json!({
                        "tenant_discovery_endpoint": format!("{}/{tenant}/v2.0/.well-known/openid-configuration", call.base),
                        "api-version": "1.1", "metadata": [],
                    }),
                )
            }
            ("GET" | "POST", [tenant, "oauth2", "v2.0", "authorize"]) => {
                self.sign_in(call, tenant, now_ms)
            }
            ("POST", [tenant, "oauth2", "v2.0", "token"]) => {
                self.token(call, tenant, now_ms, signer)
            }
            _ => Reply::text(404, "text/html", "Not Found"),
        }
    }

    fn discovery(base: &str, tenant: &str) -> Reply {
        Reply::json(
            200,
            &json!({
                "token_endpoint": format!("{base}/{tenant}/oauth2/v2.0/token"),
                "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
                "jwks_uri": format!("{base}/{tenant}/discovery/v2.0/keys"),
                "response_modes_supported": ["query", "fragment", "form_post"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
                "scopes_supported": ["openid", "profile", "email", "offline_access"],
                "issuer": format!("{}/{}/v2.0", secure(base), Self::issuer_of(tenant)),
                "request_uri_parameter_supported": false,
                "userinfo_endpoint": format!("{base}/oidc/userinfo"),
                "authorization_endpoint": format!("{base}/{tenant}/oauth2/v2.0/authorize"),
                "device_authorization_endpoint": format!("{base}/{tenant}/oauth2/v2.0/devicecode"),
                "end_session_endpoint": format!("{base}/{tenant}/oauth2/v2.0/logout"),
                "claims_supported": ["sub", "iss", "aud", "exp", "iat", "nonce", "preferred_username", "name", "tid", "oid", "ver", "email"],
                "tenant_region_scope": "EU", "cloud_instance_name": "microsoftonline.com",
            }),
        )
    }

    /// The issuer that discovery names: for tenants together it is a pattern.
    fn issuer_of(tenant: &str) -> &str {
        if matches!(tenant, "common" | "organizations") {
            "{tenantid}"
        } else {
            tenant
        }
    }

    /// The account of a user name, an address, an object id or a user's id.
    fn account(&self, key: &str) -> Option<Account> {
        if let Some(id) = self.user_named(key) {
            let row = self.store.get("systemuser", &id)?;
            let text = |name: &str| row.get(name).cloned().unwrap_or_default();
            let owned = |name: &str| text(name).as_str().map(str::to_owned);
            return Some(Account {
                oid: owned("azureactivedirectoryobjectid").unwrap_or(id),
                tenant: self.tenant.clone(),
                username: owned("domainname").unwrap_or_default(),
                email: text("internalemailaddress"),
                name: text("fullname"),
            });
        }
        let outside = |set: &BTreeSet<String>, tenant: &str| {
            let is = |name: &&String| name.eq_ignore_ascii_case(key) || outside_id(name) == key;
            set.iter()
                .find(is)
                .map(|name| Account::outside(name, tenant))
        };
        outside(&self.settings.not_members, &self.tenant)
            .or_else(|| outside(&self.settings.foreign_tenant_users, FOREIGN_TENANT))
    }

    /// User names and names of the directory's people.
    fn accounts(&self) -> impl Iterator<Item = (String, String)> {
        self.store.rows("systemuser").filter_map(|(_, row)| {
            let text = |field: &str| row.get(field).and_then(Value::as_str);
            let username = text("domainname").filter(|name| name.contains('@'))?;
            let name = text("fullname").unwrap_or_default();
            Some((username.to_owned(), name.to_owned()))
        })
    }

    /// The account that signs in, or the page on which it ends.
    fn signs_in(&self, hint: Option<&str>, tenant: &str) -> Result<Account, Reply> {
        let known = [self.tenant.as_str(), FOREIGN_TENANT].contains(&tenant);
        if !known && !matches!(tenant, "common" | "organizations") {
            let text = format!("Tenant '{tenant}' not found.");
            return Err(stays(90_002, &text));
        }
        let account = match hint.filter(|hint| !hint.is_empty()) {
            Some(hint) => self.account(hint),
            None => self.user(None).and_then(|user| self.account(&user)),
        };
        let Some(account) = account else {
            return Err(stays(
                50_034,
                "The user account does not exist in the directory. To sign into this application, \
                 the account must be added to the directory.",
            ));
        };
        if known && tenant != account.tenant {
            let text = format!(
                "User account from identity provider 'https://sts.windows.net/{}/' does not exist \
                 in tenant '{tenant}' and cannot access the application '{CLIENT_ID}' in that tenant.",
                account.tenant
            );
            return Err(stays(50_020, &text));
        }
        Ok(account)
    }

    /// `common` and `organizations` stand for the tenant the user is of.
    fn issuer_tenant<'a>(&'a self, tenant: &'a str) -> &'a str {
        if matches!(tenant, "common" | "organizations") {
            &self.tenant
        } else {
            tenant
        }
    }

    fn sign_in(&mut self, call: &Call, tenant: &str, now_ms: i64) -> Reply {
        let params = Form(call.params());
        let get = |name: &str| params.get(name).unwrap_or_default().to_owned();
        let redirect_uri = get("redirect_uri");
        if get("client_id") != CLIENT_ID || redirect_uri.is_empty() {
            return Reply::text(
                400,
                "text/html",
                "<html><body>AADSTS700016: Application was not found in the directory, or the redirect_uri is missing.</body></html>",
            );
        }
        let state = get("state");
        let back = |pairs: &[(&str, &str)]| {
            let mut pairs = pairs.to_vec();
            if !state.is_empty() {
                pairs.push(("state", &state));
            }
            Reply::redirect(&with_query(&redirect_uri, &pairs))
        };
        if get("response_type") != "code" {
            return back(&[
                ("error", "unsupported_response_type"),
                (
                    "error_description",
                    "AADSTS700054: response_type is not enabled for the application.",
                ),
            ]);
        }
        if let Some(page) = account_page(call, self.accounts()) {
            return page;
        }
        let account = match self.signs_in(params.get("login_hint"), tenant) {
            Ok(account) => account,
            Err(page) => return page,
        };
        if let Some((error, code, text)) = self.settings.consent.missing() {
            let text = format!("AADSTS{code}: {text}");
            return back(&[("error", error), ("error_description", &text)]);
        }
        if self.settings.deny_consent {
            return back(&[
                ("error", "access_denied"),
                ("error_subcode", "cancel"),
                (
                    "error_description",
                    "AADSTS65004: User declined to consent to access the app.",
                ),
            ]);
        }
        if params.get("code_challenge").is_some() && get("code_challenge_method") != "S256" {
            return back(&[
                ("error", "invalid_request"),
                (
                    "error_description",
                    "AADSTS501491: Invalid size or method of Code_Challenge parameter.",
                ),
            ]);
        }
        if get("scope").is_empty() {
            return back(&[
                ("error", "invalid_request"),
                (
                    "error_description",
                    "AADSTS900144: The request body must contain the following parameter: 'scope'.",
                ),
            ]);
        }
        let number = self.auth.next();
        let code = format!("1.AXoA{}", opaque(&format!("entra/code/{number}"), 120));
        self.auth.codes.insert(
            code.clone(),
            Code {
                user: account.oid,
                redirect_uri: redirect_uri.clone(),
                challenge: params.get("code_challenge").map(str::to_owned),
                nonce: params.get("nonce").map(str::to_owned),
                scope: get("scope"),
                issued_ms: now_ms,
                used: false,
            },
        );
        back(&[
            ("code", &code),
            ("session_state", "00000000-0000-4000-8000-000000000000"),
        ])
    }

    fn token(&mut self, call: &Call, tenant: &str, now_ms: i64, signer: &KeyPair) -> Reply {
        let form = call.form();
        let (client, secret) = call.client(&form);
        if client != CLIENT_ID {
            return refuse(
                400,
                "unauthorized_client",
                700_016,
                &format!("Application with identifier '{client}' was not found in the directory."),
                now_ms,
            );
        }
        if !same(secret.as_deref().unwrap_or_default(), CLIENT_SECRET) {
            return refuse(
                401,
                "invalid_client",
                7_000_215,
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app.",
                now_ms,
            );
        }
        let grant = match form.get("grant_type") {
            Some("authorization_code") => self.redeem(&form, tenant, now_ms),
            Some("refresh_token") => self.renew(&form, tenant, now_ms),
            Some("client_credentials") => {
                let scope = form.get("scope").unwrap_or_default().to_owned();
                if scope.split_whitespace().any(|s| s.ends_with("/.default")) {
                    let chain = self.auth.next();
                    let user = if self.settings.application_user {
                        self.user(None).unwrap_or_default()
                    } else {
                        String::new()
                    };
                    Ok(Grant {
                        user,
                        scope,
                        nonce: None,
                        chain,
                        tenant,
                        application: true,
                    })
                } else {
                    Err(refuse(
                        400,
                        "invalid_scope",
                        1_002_012,
                        "The provided value for scope is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier.",
                        now_ms,
                    ))
                }
            }
            _ => Err(refuse(
                400,
                "unsupported_grant_type",
                70_003,
                "The app requested an unsupported grant type.",
                now_ms,
            )),
        };
        match grant {
            Ok(grant) => Reply::json(200, &self.tokens(&call.base, &grant, None, now_ms, signer))
                .with("cache-control", "no-store, no-cache"),
            Err(reply) => reply,
        }
    }

    fn renew<'a>(&mut self, form: &Form, tenant: &'a str, now_ms: i64) -> Result<Grant<'a>, Reply> {
        let token = form.get("refresh_token").unwrap_or_default();
        let bad = |code, text| Err(refuse(400, "invalid_grant", code, text, now_ms));
        let Some(found) = self.auth.refresh.get_mut(token) else {
            return bad(
                70_000,
                "The provided value for the input parameter 'refresh_token' is not valid.",
            );
        };
        if self.settings.refresh_rotation && std::mem::replace(&mut found.used, true) {
            // Seen twice: it may have been stolen, so the chain ends.
            self.auth.revoked.push(found.chain);
        }
        if self.auth.revoked.contains(&found.chain) {
            return bad(
                50_173,
                "The provided grant has expired due to it being revoked, a fresh auth token is \
                 needed. The user might have changed or reset their password.",
            );
        }
        if let Some((_, code, text)) = self.settings.consent.missing() {
            return bad(code, &text);
        }
        Ok(Grant {
            user: found.user.clone(),
            scope: form.get("scope").unwrap_or(&found.scope).to_owned(),
            nonce: None,
            chain: found.chain,
            tenant,
            application: false,
        })
    }

    fn redeem<'a>(
        &mut self,
        form: &Form,
        tenant: &'a str,
        now_ms: i64,
    ) -> Result<Grant<'a>, Reply> {
        let chain = self.auth.next();
        let Some(code) = self
            .auth
            .codes
            .get_mut(form.get("code").unwrap_or_default())
        else {
            return Err(refuse(
                400,
                "invalid_grant",
                70_000,
                "The provided value for the 'code' parameter is not valid.",
                now_ms,
            ));
        };
        if code.used {
            return Err(refuse(
                400,
                "invalid_grant",
                54_005,
                "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an existing refresh token.",
                now_ms,
            ));
        }
        if now_ms - code.issued_ms > CODE_LIFE_MS {
            return Err(refuse(
                400,
                "invalid_grant",
                70_008,
                "The provided authorization code or refresh token has expired due to inactivity.",
                now_ms,
            ));
        }
        if form.get("redirect_uri") != Some(code.redirect_uri.as_str()) {
            return Err(refuse(
                400,
                "invalid_grant",
                500_112,
                "The reply address does not match the reply address provided when requesting Authorization code.",
                now_ms,
            ));
        }
        if let Some(wanted) = &code.challenge {
            let verifier = form.get("code_verifier").unwrap_or_default();
            if !same(wanted, &challenge(verifier)) {
                return Err(refuse(
                    400,
                    "invalid_grant",
                    501_481,
                    "The Code_Verifier does not match the code_challenge supplied in the authorization request.",
                    now_ms,
                ));
            }
        }
        code.used = true;
        Ok(Grant {
            user: code.user.clone(),
            scope: code.scope.clone(),
            nonce: code.nonce.clone(),
            chain,
            tenant,
            application: false,
        })
    }

    fn tokens(
        &mut self,
        base: &str,
        grant: &Grant<'_>,
        life_s: Option<i64>,
        now_ms: i64,
        signer: &KeyPair,
    ) -> Value {
        let life = life_s.unwrap_or(self.settings.session_seconds);
        let number = self.auth.next();
        let account = self.account(&grant.user);
        let tenant = match &account {
            Some(account) => account.tenant.clone(),
            None => self.issuer_tenant(grant.tenant).to_owned(),
        };
        let account = account.unwrap_or_else(|| Account::outside(CLIENT_ID, &tenant));
        // Pairwise: another one for each app.
        let subject = opaque(&format!("{CLIENT_ID}/{}", account.oid), 43);
        let now = now_ms / 1000;
        let mut access = json!({
            "aud": base, "iss": format!("https://sts.windows.net/{tenant}/"), "iat": now, "nbf": now,
            "exp": now + life, "tid": tenant, "appid": CLIENT_ID, "ver": "1.0",
            "uti": opaque(&format!("entra/access/{number}"), 22),
        });
        if let Value::Object(access) = &mut access {
            access.insert("oid".into(), json!(account.oid));
            access.insert("sub".into(), json!(subject));
            if !grant.application {
                access.insert("upn".into(), json!(account.username));
                access.insert("scp".into(), json!("user_impersonation"));
            }
        }
        let token = signed(&access, signer);
        let session = Session {
            user: grant.user.clone(),
            expires_ms: now_ms + life * 1000,
            chain: grant.chain,
        };
        self.auth.sessions.insert(token.clone(), session);
        let mut out = json!({
            "token_type": "Bearer", "expires_in": life, "ext_expires_in": life, "access_token": token,
        });
        let Value::Object(body) = &mut out else {
            return out;
        };
        if grant.application {
            return out;
        }
        let has = |wanted: &str| grant.scope.split_whitespace().any(|scope| scope == wanted);
        let granted: Vec<&str> = grant
            .scope
            .split_whitespace()
            .filter(|s| *s != "offline_access")
            .collect();
        body.insert("scope".into(), json!(granted.join(" ")));
        if has("offline_access") {
            let refresh = format!("1.AXoA{}", opaque(&format!("entra/refresh/{number}"), 200));
            self.auth.refresh.insert(
                refresh.clone(),
                Refresh {
                    user: grant.user.clone(),
                    scope: grant.scope.clone(),
                    chain: grant.chain,
                    used: false,
                },
            );
            body.insert("refresh_token".into(), json!(refresh));
        }
        if has("openid") {
            let mut claims = json!({
                "aud": CLIENT_ID, "iss": format!("{}/{tenant}/v2.0", secure(base)), "iat": now,
                "nbf": now, "exp": now + life, "tid": tenant, "ver": "2.0", "name": account.name,
                "preferred_username": account.username, "email": account.email,
                "oid": account.oid, "sub": subject,
                "uti": opaque(&format!("entra/id/{number}"), 22),
            });
            if let (Value::Object(claims), Some(nonce)) = (&mut claims, &grant.nonce) {
                claims.insert("nonce".into(), json!(nonce));
            }
            body.insert("id_token".into(), json!(signed(&claims, signer)));
            let info = json!({ "uid": account.oid, "utid": tenant });
            body.insert(
                "client_info".into(),
                json!(URL_SAFE_NO_PAD.encode(info.to_string())),
            );
        }
        out
    }

    /// Issues tokens without a sign-in: for tests.
    pub(crate) fn mint(
        &mut self,
        base: &str,
        user: Option<&str>,
        life_s: Option<i64>,
        now_ms: i64,
        signer: &KeyPair,
    ) -> Value {
        let chain = self.auth.next();
        let account = user.and_then(|user| self.account(user));
        let user = match account {
            Some(account) => account.oid,
            None => self.user(None).unwrap_or_default(),
        };
        let grant = Grant {
            user: user.clone(),
            scope: format!("{base}/.default offline_access openid"),
            nonce: None,
            chain,
            tenant: "organizations",
            application: false,
        };
        let mut out = self.tokens(base, &grant, life_s, now_ms, signer);
        if let Value::Object(out) = &mut out {
            out.insert("instance_url".into(), json!(base));
            out.insert("user_id".into(), json!(self.user_named(&user)));
            out.insert("organization_id".into(), json!(self.organization));
            out.insert("tenant".into(), json!(self.tenant));
        }
        out
    }
}
