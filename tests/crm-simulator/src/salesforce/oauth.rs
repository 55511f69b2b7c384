//! Sign-in: authorization codes with PKCE, sessions, refresh tokens, identity.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use rcgen::KeyPair;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Salesforce, ids};
use crate::clock::salesforce_time;
use crate::http::{Call, Form, Reply, account_page, secure, with_query};
use crate::jwt::{access_token_hash, signed};
use crate::record::Record;

/// The one client there is.
pub(crate) const CLIENT_ID: &str = "leadbridge-salesforce";
/// Its secret.
pub(crate) const CLIENT_SECRET: &str = "salesforce-app-secret";

const CODE_LIFE_MS: i64 = 15 * 60 * 1000;
/// Seconds an identity token is good: its use is at once.
const ID_TOKEN_LIFE_S: i64 = 120;

/// The scopes an app can ask for; those of products that are not here are left out.
const SCOPES: &[&str] = &[
    "id",
    "api",
    "web",
    "full",
    "chatter_api",
    "visualforce",
    "lightning",
    "content",
    "refresh_token",
    "offline_access",
    "openid",
    "profile",
    "email",
    "address",
    "phone",
    "custom_permissions",
];

/// The claims that the real `/.well-known/openid-configuration` lists.
const CLAIMS: &[&str] = &[
    "active",
    "email",
    "email_verified",
    "family_name",
    "given_name",
    "is_app_installed",
    "language",
    "locale",
    "name",
    "nickname",
    "organization_id",
    "preferred_username",
    "profile",
    "sub",
    "updated_at",
    "urls",
    "user_id",
    "user_type",
    "zoneinfo",
];

/// The administrator's decision on the app. Anything but `allowed` also ends sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AppAccess {
    #[default]
    Allowed,
    /// *Block* in *Connected Apps OAuth Usage*.
    Blocked,
    /// Not installed, and the user may not approve uninstalled apps.
    NotInstalled,
    /// Only pre-authorised users may use it, and this one is none.
    NotApproved,
    /// Salesforce names no reason.
    Unexplained,
}

impl AppAccess {
    /// `error` and `error_description` of the redirect. `blocked` and `not_approved` are as
    /// Microsoft's guides to Copilot for Sales show them; `not_installed` as several apps' own.
    fn refusal(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Allowed => None,
            Self::Blocked => Some(("OAUTH_APP_BLOCKED", "this app is blocked by admin")),
            Self::NotInstalled => Some(("invalid_client", "app must be installed into org")),
            Self::NotApproved => Some((
                "OAUTH_APP_ACCESS_DENIED",
                "user is not admin approved to access this app",
            )),
            Self::Unexplained => Some((
                "OAUTH_APPROVAL_ERROR_GENERIC",
                "An unexpected error has occurred during authentication. Please try again.",
            )),
        }
    }

    /// The same at the token endpoint.
    fn token_refusal(self) -> Option<Reply> {
        let (error, text) = match self {
            Self::Allowed => return None,
            Self::NotInstalled => ("invalid_client", "app must be installed into org"),
            Self::NotApproved => (
                "invalid_app_access",
                "user is not admin approved to access this app",
            ),
            Self::Blocked | Self::Unexplained => ("invalid_grant", "expired access/refresh token"),
        };
        Some(refuse(400, error, text))
    }
}

/// An authorization code, not yet used.
#[derive(Debug, Serialize, Deserialize)]
struct Code {
    sandbox: bool,
    user: String,
    redirect_uri: String,
    challenge: Option<String>,
    scope: String,
    #[serde(default)]
    nonce: Option<String>,
    issued_ms: i64,
    used_by: Option<u64>,
}

/// A valid or past access token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) sandbox: bool,
    pub(crate) user: String,
    pub(crate) expires_ms: i64,
    pub(crate) scope: String,
    grant: u64,
}

impl Session {
    /// True if the scope goes beyond the user's identity.
    pub(crate) fn may_call_api(&self) -> bool {
        has_scope(&self.scope, &["api", "full"])
    }
}

/// One approval: a chain of refresh tokens and the sessions they gave.
#[derive(Debug, Serialize, Deserialize)]
struct Grant {
    sandbox: bool,
    user: String,
    scope: String,
    /// The refresh token that is good now; `None` without the scope.
    current: Option<String>,
    revoked: bool,
}

/// Everything sign-in remembers.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Auth {
    counter: u64,
    codes: BTreeMap<String, Code>,
    sessions: BTreeMap<String, Session>,
    /// Every refresh token ever given, and its grant.
    refresh: BTreeMap<String, u64>,
    grants: BTreeMap<u64, Grant>,
}

/// Text that looks random and is a function of its seed.
pub(crate) fn opaque(seed: &str, length: usize) -> String {
    let mut out = String::new();
    let mut round = 0;
    while out.len() < length {
        let digest = Sha256::digest(format!("{seed}/{round}"));
        out.push_str(&URL_SAFE_NO_PAD.encode(digest).replace(['-', '_'], "x"));
        round += 1;
    }
    out.truncate(length);
    out
}

/// The S256 challenge of a verifier.
pub(crate) fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}

fn has_scope(scope: &str, wanted: &[&str]) -> bool {
    scope.split_whitespace().any(|one| wanted.contains(&one))
}

/// Compares secrets without telling where they differ.
pub(crate) fn same(left: &str, right: &str) -> bool {
    use subtle::ConstantTimeEq as _;
    left.as_bytes().ct_eq(right.as_bytes()).into()
}

fn refuse(status: u16, error: &str, description: &str) -> Reply {
    let body = json!({ "error": error, "error_description": description });
    Reply::json(status, &body).with("cache-control", "no-cache, no-store")
}

impl Auth {
    /// The session of a token that is still good.
    pub(crate) fn session(&self, token: &str, now_ms: i64) -> Option<Session> {
        let session = self.sessions.get(token)?;
        let revoked = self
            .grants
            .get(&session.grant)
            .is_some_and(|grant| grant.revoked);
        (session.expires_ms > now_ms && !revoked).then(|| session.clone())
    }

    /// Ends one session, or all.
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

    /// Revokes a token of either kind; `false` when it is unknown.
    pub(crate) fn revoke(&mut self, token: &str) -> bool {
        if let Some(grant) = self
            .refresh
            .get(token)
            .and_then(|id| self.grants.get_mut(id))
        {
            let known = !grant.revoked;
            grant.revoked = true;
            return known;
        }
        self.sessions.remove(token).is_some()
    }

    pub(crate) fn revoke_all(&mut self) -> usize {
        let mut count = 0;
        for grant in self.grants.values_mut() {
            count += usize::from(!grant.revoked);
            grant.revoked = true;
        }
        count
    }

    fn next(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// Makes room before a sign-in creates a grant; minted tokens do not count.
    fn make_room(&mut self, sandbox: bool, user: &str) {
        // A user has five approvals of an app: a sixth silently revokes the oldest.
        let live: Vec<u64> = self
            .grants
            .iter()
            .filter(|(_, g)| {
                !g.revoked && g.sandbox == sandbox && g.user == user && g.current.is_some()
            })
            .map(|(id, _)| *id)
            .collect();
        if live.len() >= 5
            && let Some(oldest) = live.first().and_then(|id| self.grants.get_mut(id))
        {
            oldest.revoked = true;
        }
    }

    fn new_grant(&mut self, org: &str, sandbox: bool, user: &str, scope: &str) -> u64 {
        let id = self.next();
        let grant = Grant {
            sandbox,
            user: user.into(),
            scope: scope.into(),
            current: None,
            revoked: false,
        };
        self.grants.insert(id, grant);
        if has_scope(scope, &["refresh_token", "offline_access"]) {
            self.new_refresh(id, org);
        }
        id
    }

    fn new_refresh(&mut self, grant: u64, org: &str) -> Option<String> {
        let number = self.next();
        let token = format!("5Aep861{}", opaque(&format!("{org}/refresh/{number}"), 80));
        self.refresh.insert(token.clone(), grant);
        let grant = self.grants.get_mut(&grant)?;
        grant.current = Some(token.clone());
        Some(token)
    }

    fn new_session(&mut self, grant: u64, org: &str, expires_ms: i64) -> Option<String> {
        let number = self.next();
        let found = self.grants.get(&grant)?;
        let session = Session {
            sandbox: found.sandbox,
            user: found.user.clone(),
            expires_ms,
            scope: found.scope.clone(),
            grant,
        };
        let short = org.get(..15).unwrap_or(org);
        let token = format!(
            "{short}!AQ{}",
            opaque(&format!("{org}/session/{number}"), 94)
        );
        self.sessions.insert(token.clone(), session);
        Some(token)
    }
}

/// The parts of a token answer.
struct Issue<'a> {
    base: &'a str,
    grant: u64,
    /// The refresh token to tell.
    refresh: Option<&'a str>,
    /// The lifetime of the session; without, as the organisation sets it.
    life_ms: Option<i64>,
    nonce: Option<&'a str>,
    now_ms: i64,
}

/// `/.well-known/openid-configuration`
pub(super) fn discovery(base: &str) -> Reply {
    let issuer = secure(base);
    let oauth = format!("{base}/services/oauth2");
    Reply::json(
        200,
        &json!({
            "issuer": issuer, "authorization_endpoint": format!("{oauth}/authorize"),
            "token_endpoint": format!("{oauth}/token"),
            "revocation_endpoint": format!("{oauth}/revoke"),
            "userinfo_endpoint": format!("{oauth}/userinfo"),
            "jwks_uri": format!("{base}/id/keys"), "scopes_supported": SCOPES,
            "response_types_supported": ["code"], "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "display_values_supported": ["page", "popup", "touch"],
            "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
            "claims_supported": CLAIMS, "code_challenge_methods_supported": ["S256"],
        }),
    )
}

/// The sign-in page again, with its reason: the browser stays there.
fn sign_in_failed() -> Reply {
    Reply::text(
        200,
        "text/html;charset=UTF-8",
        "<!DOCTYPE html><html><head><title>Login | Salesforce</title></head><body><div id=\"error\" \
         role=\"alert\">Please check your username and password. If you still can't log in, contact \
         your Salesforce administrator.</div></body></html>",
    )
}

impl Salesforce {
    /// Answers `/services/oauth2/…`.
    pub(super) fn oauth(
        &mut self,
        call: &Call,
        tail: &[&str],
        now_ms: i64,
        signer: &KeyPair,
    ) -> Reply {
        match (call.method.as_str(), tail) {
            ("GET" | "POST", ["authorize"]) => self.authorize(call, now_ms),
            ("POST", ["token"]) => self.token(call, now_ms, signer),
            ("GET" | "POST", ["revoke"]) => {
                let token = call
                    .form()
                    .get("token")
                    .map(str::to_owned)
                    .or_else(|| call.param("token"))
                    .unwrap_or_default();
                if self.auth.revoke(&token) {
                    Reply::empty(200)
                } else if token.starts_with("00D") || token.starts_with("5Aep") {
                    refuse(400, "invalid_token", "invalid token")
                } else {
                    let text = "this token type is not supported";
                    refuse(400, "unsupported_token_type", text)
                }
            }
            ("GET" | "POST", ["userinfo"]) => self.userinfo(call, now_ms),
            _ => Reply::text(
                404,
                "text/html;charset=UTF-8",
                "<html>URL No Longer Exists</html>",
            ),
        }
    }

    fn authorize(&mut self, call: &Call, now_ms: i64) -> Reply {
        let params = Form(call.params());
        let get = |name: &str| params.get(name).unwrap_or_default().to_owned();
        let redirect_uri = get("redirect_uri");
        if get("client_id") != CLIENT_ID {
            return refuse(400, "invalid_client_id", "client identifier invalid");
        }
        if redirect_uri.is_empty() {
            return refuse(400, "redirect_uri_missing", "missing required redirect_uri");
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
                ("error_description", "response type not supported"),
            ]);
        }
        let org = self.org_ref(get("org") == "sandbox");
        if let Some(page) = account_page(call, org.accounts()) {
            return page;
        }
        let hint = params.get("login_hint").filter(|hint| !hint.is_empty());
        let Some((sandbox, user)) = self.signs_in(hint, get("org") == "sandbox") else {
            return sign_in_failed();
        };
        if let Some((error, text)) = self.app_access(sandbox).refusal() {
            return back(&[("error", error), ("error_description", text)]);
        }
        if self.org(sandbox).settings.deny_consent {
            return back(&[
                ("error", "access_denied"),
                ("error_description", "end-user denied authorization"),
            ]);
        }
        let challenge = params.get("code_challenge").map(str::to_owned);
        let method = params.get("code_challenge_method").unwrap_or("S256");
        let shape = |c: &String| (43..=128).contains(&c.len());
        if challenge.as_ref().is_some_and(|c| !shape(c)) || method != "S256" {
            return back(&[
                ("error", "invalid_request"),
                ("error_description", "invalid code challenge"),
            ]);
        }
        let scope = params
            .get("scope")
            .filter(|scope| !scope.trim().is_empty())
            .unwrap_or("api refresh_token")
            .to_owned();
        if !scope.split_whitespace().all(|one| SCOPES.contains(&one)) {
            return back(&[
                ("error", "invalid_scope"),
                ("error_description", "the requested scope is not allowed"),
            ]);
        }
        let number = self.auth.next();
        let code = format!("aPrx{}==", opaque(&format!("code/{number}"), 60));
        let issued = Code {
            sandbox,
            user,
            redirect_uri: redirect_uri.clone(),
            challenge,
            scope,
            nonce: params.get("nonce").map(str::to_owned),
            issued_ms: now_ms,
            used_by: None,
        };
        self.auth.codes.insert(code.clone(), issued);
        back(&[("code", &code)])
    }

    pub(super) fn app_access(&self, sandbox: bool) -> AppAccess {
        self.org_ref(sandbox).settings.app_access
    }

    /// The user who signs in, and true for the sandbox: the active user whom the hint names, of either
    /// organisation, or the chosen organisation's first one.
    fn signs_in(&self, hint: Option<&str>, sandbox: bool) -> Option<(bool, String)> {
        let Some(hint) = hint else {
            return Some((sandbox, self.org_ref(sandbox).user(None)?));
        };
        [sandbox, !sandbox].into_iter().find_map(|sandbox| {
            let org = self.org_ref(sandbox);
            let user = org.user_named(hint)?;
            let active = org.store.get("User", &user)?.get("IsActive") == Some(&json!(true));
            active.then_some((sandbox, user))
        })
    }

    fn token(&mut self, call: &Call, now_ms: i64, signer: &KeyPair) -> Reply {
        let form = call.form();
        let (client, secret) = call.client(&form);
        if client != CLIENT_ID {
            return refuse(400, "invalid_client_id", "client identifier invalid");
        }
        if !same(secret.as_deref().unwrap_or_default(), CLIENT_SECRET) {
            return refuse(400, "invalid_client", "invalid client credentials");
        }
        match form.get("grant_type") {
            Some("authorization_code") => self.redeem(call, &form, now_ms, signer),
            Some("refresh_token") => self.refresh(call, &form, now_ms, signer),
            _ => refuse(400, "unsupported_grant_type", "grant type not supported"),
        }
    }

    fn redeem(&mut self, call: &Call, form: &Form, now_ms: i64, signer: &KeyPair) -> Reply {
        let Some(code) = self.auth.codes.get(form.get("code").unwrap_or_default()) else {
            return refuse(400, "invalid_grant", "invalid authorization code");
        };
        if let Some(grant) = code.used_by {
            // A code seen twice may have been stolen: its grant is revoked.
            if let Some(grant) = self.auth.grants.get_mut(&grant) {
                grant.revoked = true;
            }
            return refuse(400, "invalid_grant", "expired authorization code");
        }
        if now_ms - code.issued_ms > CODE_LIFE_MS {
            return refuse(400, "invalid_grant", "expired authorization code");
        }
        if form.get("redirect_uri") != Some(code.redirect_uri.as_str()) {
            return refuse(
                400,
                "redirect_uri_mismatch",
                "redirect_uri must match configuration",
            );
        }
        match (&code.challenge, form.get("code_verifier")) {
            (Some(_), None | Some("")) => {
                return refuse(400, "invalid_grant", "missing required code verifier");
            }
            (Some(wanted), Some(verifier)) if !same(wanted, &challenge(verifier)) => {
                return refuse(400, "invalid_request", "invalid code verifier");
            }
            _ => {}
        }
        if let Some(refusal) = self.app_access(code.sandbox).token_refusal() {
            return refusal;
        }
        let (sandbox, user, scope) = (code.sandbox, code.user.clone(), code.scope.clone());
        let nonce = code.nonce.clone();
        let org = self.org(sandbox).id.clone();
        self.auth.make_room(sandbox, &user);
        let grant = self.auth.new_grant(&org, sandbox, &user, &scope);
        if let Some(code) = form
            .get("code")
            .and_then(|code| self.auth.codes.get_mut(code))
        {
            code.used_by = Some(grant);
        }
        let fresh = self
            .auth
            .grants
            .get(&grant)
            .and_then(|grant| grant.current.clone());
        let issue = Issue {
            base: &call.base,
            grant,
            refresh: fresh.as_deref(),
            life_ms: None,
            nonce: nonce.as_deref(),
            now_ms,
        };
        self.token_reply(&issue, signer)
    }

    fn refresh(&mut self, call: &Call, form: &Form, now_ms: i64, signer: &KeyPair) -> Reply {
        let token = form.get("refresh_token").unwrap_or_default().to_owned();
        let expired = || refuse(400, "invalid_grant", "expired access/refresh token");
        let Some(id) = self.auth.refresh.get(&token).copied() else {
            return expired();
        };
        let Some(grant) = self.auth.grants.get_mut(&id) else {
            return expired();
        };
        if grant.current.as_deref() != Some(token.as_str()) {
            // An old token of a rotating chain: the chain dies.
            grant.revoked = true;
        }
        if grant.revoked {
            return expired();
        }
        let sandbox = grant.sandbox;
        if let Some(refusal) = self.app_access(sandbox).token_refusal() {
            return refusal;
        }
        let org = self.org(sandbox);
        let (org_id, rotates) = (org.id.clone(), org.settings.refresh_rotation);
        let fresh = if rotates {
            self.auth.new_refresh(id, &org_id)
        } else {
            None
        };
        let issue = Issue {
            base: &call.base,
            grant: id,
            refresh: fresh.as_deref(),
            life_ms: None,
            nonce: None,
            now_ms,
        };
        self.token_reply(&issue, signer)
    }

    fn token_reply(&mut self, issue: &Issue<'_>, signer: &KeyPair) -> Reply {
        let (base, now_ms) = (issue.base, issue.now_ms);
        let Some(found) = self.auth.grants.get(&issue.grant) else {
            return Reply::empty(500);
        };
        let (sandbox, user, scope) = (found.sandbox, found.user.clone(), found.scope.clone());
        let org = self.org(sandbox);
        let org_id = org.id.clone();
        let life = issue.life_ms.unwrap_or(org.settings.session_seconds * 1000);
        let token = self
            .auth
            .new_session(issue.grant, &org_id, now_ms + life)
            .unwrap_or_default();
        let id = format!("{base}/id/{org_id}/{user}");
        let issued = now_ms.to_string();
        let signature = Hmac::<Sha256>::new_from_slice(CLIENT_SECRET.as_bytes())
            .map(|mut mac| {
                mac.update(format!("{id}{issued}").as_bytes());
                STANDARD.encode(mac.finalize().into_bytes())
            })
            .unwrap_or_default();
        let mut body = json!({
            "access_token": token, "signature": signature, "scope": scope, "instance_url": base,
            "id": id, "token_type": "Bearer", "issued_at": issued,
        });
        if let Value::Object(body) = &mut body {
            if let Some(refresh) = issue.refresh {
                body.insert("refresh_token".into(), json!(refresh));
            }
            if has_scope(&scope, &["openid"]) {
                let claims = self.id_claims(issue, sandbox, &user, &token);
                body.insert("id_token".into(), json!(signed(&claims, signer)));
            }
        }
        Reply::json(200, &body).with("cache-control", "no-cache, no-store")
    }

    /// The claims of an identity token; a refresh gives a new one, without the nonce.
    fn id_claims(&self, issue: &Issue<'_>, sandbox: bool, user: &str, token: &str) -> Value {
        let org = self.org_ref(sandbox);
        let row = org
            .store
            .get("User", user)
            .map(Record::to_row)
            .unwrap_or_default();
        let text = |field: &str| row.get(field).cloned().unwrap_or_default();
        let (issuer, now) = (secure(issue.base), issue.now_ms / 1000);
        let mut claims = json!({
            "iss": issuer, "sub": format!("{issuer}/id/{}/{user}", org.id), "aud": CLIENT_ID,
            "iat": now, "exp": now + ID_TOKEN_LIFE_S, "at_hash": access_token_hash(token),
        });
        if let Value::Object(claims) = &mut claims {
            if let Some(nonce) = issue.nonce {
                claims.insert("nonce".into(), json!(nonce));
            }
            if org.settings.standard_claims {
                for (claim, field) in [
                    ("preferred_username", "Username"),
                    ("email", "Email"),
                    ("name", "Name"),
                    ("given_name", "FirstName"),
                    ("family_name", "LastName"),
                    ("zoneinfo", "TimeZoneSidKey"),
                ] {
                    claims.insert(claim.into(), text(field));
                }
                claims.insert("email_verified".into(), json!(true));
            }
        }
        claims
    }

    /// Issues tokens without a sign-in: for tests.
    pub(crate) fn mint(
        &mut self,
        base: &str,
        sandbox: bool,
        user: Option<&str>,
        life_ms: Option<i64>,
        now_ms: i64,
        signer: &KeyPair,
    ) -> Value {
        let org = self.org(sandbox);
        let (org_id, user) = (org.id.clone(), org.user(user).unwrap_or_default());
        let grant = self
            .auth
            .new_grant(&org_id, sandbox, &user, "api refresh_token id");
        let fresh = self
            .auth
            .grants
            .get(&grant)
            .and_then(|grant| grant.current.clone());
        let issue = Issue {
            base,
            grant,
            refresh: fresh.as_deref(),
            life_ms,
            nonce: None,
            now_ms,
        };
        let mut body = self.token_reply(&issue, signer).value();
        if let Value::Object(body) = &mut body {
            let id = body.get("id").cloned().unwrap_or_default();
            body.insert("identity_url".into(), id);
            body.insert("organization_id".into(), json!(org_id));
            body.insert("user_id".into(), json!(user));
        }
        body
    }

    pub(super) fn identity(&mut self, call: &Call, org: &str, user: &str, now_ms: i64) -> Reply {
        let html = "text/html;charset=UTF-8";
        let token = call
            .bearer()
            .map(str::to_owned)
            .or_else(|| call.param("oauth_token"));
        let Some(token) = token else {
            return Reply::text(403, html, "Missing_OAuth_Token");
        };
        let Some(session) = self.auth.session(&token, now_ms) else {
            return Reply::text(403, html, "Bad_OAuth_Token");
        };
        let own = self.org(session.sandbox);
        let (org, user) = (ids::long(org), ids::long(user));
        if org.as_deref() != Some(own.id.as_str()) {
            return Reply::text(403, html, "Wrong_Org");
        }
        match user.and_then(|user| own.store.get("User", &user).map(Record::to_row)) {
            Some(row) => {
                let text = |field: &str| row.get(field).cloned().unwrap_or_default();
                let base = &call.base;
                Reply::json(
                    200,
                    &json!({
                        "id": format!("{base}/id/{}/{}", own.id, text("Id").as_str().unwrap_or_default()),
                        "asserted_user": true, "user_id": text("Id"), "organization_id": own.id,
                        "username": text("Username"), "nick_name": text("Alias"),
                        "display_name": text("Name"), "email": text("Email"), "email_verified": true,
                        "first_name": text("FirstName"), "last_name": text("LastName"),
                        "timezone": text("TimeZoneSidKey"), "active": text("IsActive"),
                        "user_type": "STANDARD", "language": "en_US", "locale": "en_US", "utcOffset": 0,
                        "is_app_installed": true, "urls": urls(base, &own.id),
                        "last_modified_date": salesforce_time(now_ms),
                    }),
                )
            }
            None => Reply::text(404, html, "Bad_Id"),
        }
    }

    fn userinfo(&mut self, call: &Call, now_ms: i64) -> Reply {
        let session = call
            .bearer()
            .and_then(|token| self.auth.session(token, now_ms));
        let Some(session) = session else {
            return Reply::text(403, "text/html;charset=UTF-8", "Bad_OAuth_Token");
        };
        let own = self.org(session.sandbox);
        let row = own
            .store
            .get("User", &session.user)
            .map(Record::to_row)
            .unwrap_or_default();
        let text = |field: &str| row.get(field).cloned().unwrap_or_default();
        Reply::json(
            200,
            &json!({
                "sub": format!("{}/id/{}/{}", call.base, own.id, session.user),
                "user_id": session.user, "organization_id": own.id,
                "preferred_username": text("Username"), "nickname": text("Alias"),
                "name": text("Name"), "email": text("Email"), "email_verified": true,
                "given_name": text("FirstName"), "family_name": text("LastName"),
                "zoneinfo": text("TimeZoneSidKey"), "active": text("IsActive"),
                "user_type": "STANDARD", "language": "en_US", "locale": "en_US", "utcOffset": 0,
                "urls": urls(&call.base, &own.id),
            }),
        )
    }
}

fn urls(base: &str, org: &str) -> Value {
    let short = org.get(..15).unwrap_or(org);
    json!({
        "enterprise": format!("{base}/services/Soap/c/{{version}}/{short}"),
        "metadata": format!("{base}/services/Soap/m/{{version}}/{short}"),
        "rest": format!("{base}/services/data/v{{version}}/"),
        "sobjects": format!("{base}/services/data/v{{version}}/sobjects/"),
        "query": format!("{base}/services/data/v{{version}}/query/"),
        "custom_domain": base,
    })
}
