//! LinkedIn: sign-in, forms, leads, subscriptions, and signed notifications.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::http::{At as _, Call, Form, Reply, Row, decode, with_query};
use crate::salesforce::oauth::{opaque, same};

/// The one client there is.
pub(crate) const CLIENT_ID: &str = "leadbridge-linkedin";
/// Its secret; also signs notifications.
pub(crate) const CLIENT_SECRET: &str = "linkedin-app-secret";

const ACCESS_LIFE_S: i64 = 5_184_000;
const REFRESH_LIFE_S: i64 = 31_536_000;
const DAY_MS: i64 = 86_400_000;

/// The switches of the system.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) deny_consent: bool,
    /// True if the app gets refresh tokens: only approved partners do.
    pub(crate) refresh_tokens: bool,
    /// Versions that are served.
    pub(crate) first_version: u32,
    pub(crate) last_version: u32,
    /// The age up to which leads can be read, in days.
    pub(crate) retention_days: i64,
    /// Accounts on which the member has no role.
    pub(crate) forbidden_accounts: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            deny_consent: false,
            refresh_tokens: true,
            first_version: 202_507,
            last_version: 202_611,
            retention_days: 90,
            forbidden_accounts: Vec::new(),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Session {
    expires_ms: i64,
    chain: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Refresh {
    expires_ms: i64,
    chain: u64,
    scope: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Code {
    redirect_uri: String,
    scope: String,
    issued_ms: i64,
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
    fn next(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    fn is_good(&self, token: &str, now_ms: i64) -> Result<(), &'static str> {
        let session = self.sessions.get(token).ok_or("INVALID_ACCESS_TOKEN")?;
        if self.revoked.contains(&session.chain) {
            return Err("REVOKED_ACCESS_TOKEN");
        }
        if session.expires_ms <= now_ms {
            Err("EXPIRED_ACCESS_TOKEN")
        } else {
            Ok(())
        }
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

    pub(crate) fn revoke(&mut self, token: Option<&str>) -> usize {
        let chains: Vec<u64> = match token {
            None => self
                .sessions
                .values()
                .map(|s| s.chain)
                .chain(self.refresh.values().map(|r| r.chain))
                .collect(),
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
}

/// A lead, as it is read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Lead {
    pub(crate) id: String,
    pub(crate) account: String,
    pub(crate) form: String,
    pub(crate) submitted_ms: i64,
    pub(crate) test: bool,
    pub(crate) value: Value,
    pub(crate) deleted: bool,
}

/// The service.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LinkedIn {
    pub(crate) settings: Settings,
    pub(crate) auth: Auth,
    /// Name by id.
    pub(crate) accounts: BTreeMap<String, String>,
    /// Forms by id; each knows its owner.
    pub(crate) forms: BTreeMap<String, Value>,
    pub(crate) leads: BTreeMap<String, Lead>,
    subscriptions: BTreeMap<u64, Value>,
    counter: u64,
}

fn fail(status: u16, code: &str, service: u32, message: &str) -> Reply {
    Reply::json(
        status,
        &json!({
            "status": status, "code": code, "serviceErrorCode": service, "message": message,
        }),
    )
}

/// Signs text with the app's secret, lower-case hex.
pub(crate) fn sign(secret: &str, text: &[u8]) -> String {
    Hmac::<Sha256>::new_from_slice(secret.as_bytes())
        .map(|mut mac| {
            mac.update(text);
            hex::encode(mac.finalize().into_bytes())
        })
        .unwrap_or_default()
}

/// The signature header of a notification.
pub(crate) fn signature(secret: &str, body: &[u8]) -> String {
    sign(secret, &[b"hmacsha256=".as_slice(), body].concat())
}

fn question(id: u64, name: &str, predefined: Option<&str>, options: &[&str]) -> Value {
    let details = if options.is_empty() {
        json!({ "textQuestionDetails": { "maxResponseLength": 300 } })
    } else {
        let options: Vec<Value> = options
            .iter()
            .enumerate()
            .map(|(at, text)| json!({ "id": at, "text": { "localized": { "en_US": text } } }))
            .collect();
        json!({ "multipleChoiceQuestionDetails": { "options": options } })
    };
    let mut out = json!({
        "questionId": id, "name": name, "question": { "localized": { "en_US": name } },
        "responseRequired": predefined.is_some(), "responseEditable": true, "questionDetails": details,
    });
    if let (Value::Object(out), Some(field)) = (&mut out, predefined) {
        out.insert("predefinedField".into(), json!(field));
    }
    out
}

fn form(
    account: &str,
    id: u64,
    name: &str,
    questions: &[Value],
    consents: &Value,
    hidden: &Value,
    now_ms: i64,
) -> Value {
    json!({
        "id": id, "name": name, "state": "PUBLISHED", "versionId": 1, "created": now_ms,
        "lastModified": now_ms, "owner": { "sponsoredAccount": format!("urn:li:sponsoredAccount:{account}") },
        "creationLocale": { "country": "US", "language": "en" }, "hiddenFields": hidden,
        "content": {
            "headline": { "localized": { "en_US": name } },
            "description": { "localized": { "en_US": "" } },
            "questions": questions,
            "legalInfo": { "privacyPolicyUrl": "https://leadbridge.example/privacy", "consents": consents },
        },
    })
}

impl LinkedIn {
    pub(crate) fn new(now_ms: i64) -> Self {
        let demo = [
            question(1, "First name", Some("FIRST_NAME"), &[]),
            question(2, "Last name", Some("LAST_NAME"), &[]),
            question(3, "Email address", Some("EMAIL"), &[]),
            question(4, "Phone number", Some("PHONE_NUMBER"), &[]),
            question(5, "Company name", Some("COMPANY_NAME"), &[]),
            question(6, "Job title", Some("JOB_TITLE"), &[]),
            question(7, "What is your budget?", None, &[]),
            question(8, "Team size", None, &["1-10", "11-50", "51+"]),
        ];
        let news = [
            question(1, "Email address", Some("EMAIL"), &[]),
            question(2, "First name", Some("FIRST_NAME"), &[]),
            question(3, "Last name", Some("LAST_NAME"), &[]),
        ];
        let consents = json!([{
            "id": 0, "checkRequired": false,
            "consent": { "localized": { "en_US": "I agree to be contacted about my request." } },
        }]);
        let hidden = json!([{ "name": "utm_campaign", "value": "autumn" }]);
        let forms = [
            form(
                "123",
                7_234_246,
                "Demo request",
                &demo,
                &consents,
                &hidden,
                now_ms,
            ),
            form(
                "123",
                7_234_247,
                "Newsletter",
                &news,
                &json!([]),
                &json!([]),
                now_ms,
            ),
        ];
        Self {
            settings: Settings::default(),
            auth: Auth::default(),
            accounts: [("123".to_owned(), "Leadbridge Demo Ads".to_owned())].into(),
            forms: forms
                .into_iter()
                .map(|form| (form.at("id").to_string(), form))
                .collect(),
            leads: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            counter: 0,
        }
    }

    /// Answers one call.
    pub(crate) fn handle(&mut self, call: &Call, now_ms: i64) -> Reply {
        let segments = call.segments();
        let names: Vec<&str> = segments.iter().map(String::as_str).collect();
        match (call.method.as_str(), names.as_slice()) {
            ("GET", ["oauth", "v2", "authorization"]) => self.authorize(call, now_ms),
            ("POST", ["oauth", "v2", "accessToken"]) => self.token(call, now_ms),
            (_, ["rest", tail @ ..]) => self.rest(call, tail, now_ms),
            _ => fail(
                404,
                "RESOURCE_NOT_FOUND",
                0,
                &format!("No virtual resource found for path {}", call.path),
            ),
        }
    }

    fn authorize(&mut self, call: &Call, now_ms: i64) -> Reply {
        let params = Form(call.params());
        let get = |name: &str| params.get(name).unwrap_or_default().to_owned();
        let redirect_uri = get("redirect_uri");
        if get("client_id") != CLIENT_ID
            || redirect_uri.is_empty()
            || get("response_type") != "code"
        {
            return Reply::text(
                400,
                "text/html",
                "<html>Bummer, something went wrong.</html>",
            );
        }
        let state = get("state");
        if self.settings.deny_consent {
            return Reply::redirect(&with_query(
                &redirect_uri,
                &[
                    ("error", "user_cancelled_authorize"),
                    (
                        "error_description",
                        "The user cancelled LinkedIn authorization",
                    ),
                    ("state", &state),
                ],
            ));
        }
        let number = self.auth.next();
        let code = format!("AQ{}", opaque(&format!("linkedin/code/{number}"), 80));
        let issued = Code {
            redirect_uri: redirect_uri.clone(),
            scope: get("scope"),
            issued_ms: now_ms,
            used: false,
        };
        self.auth.codes.insert(code.clone(), issued);
        Reply::redirect(&with_query(
            &redirect_uri,
            &[("code", &code), ("state", &state)],
        ))
    }

    fn token(&mut self, call: &Call, now_ms: i64) -> Reply {
        let form = call.form();
        let refuse = |status: u16, error: &str, text: &str| {
            Reply::json(
                status,
                &json!({ "error": error, "error_description": text }),
            )
        };
        let (client, secret) = call.client(&form);
        if client != CLIENT_ID || !same(secret.as_deref().unwrap_or_default(), CLIENT_SECRET) {
            return refuse(401, "invalid_client", "Client authentication failed");
        }
        match form.get("grant_type") {
            Some("authorization_code") => {
                let code = self
                    .auth
                    .codes
                    .get_mut(form.get("code").unwrap_or_default());
                let Some(code) =
                    code.filter(|code| !code.used && now_ms - code.issued_ms < 30 * 60_000)
                else {
                    return refuse(
                        400,
                        "invalid_request",
                        "Unable to retrieve access token: appid/redirect uri/code verifier does not match authorization code. Or authorization code expired. Or external member binding exists",
                    );
                };
                if form.get("redirect_uri") != Some(code.redirect_uri.as_str()) {
                    return refuse(
                        400,
                        "invalid_redirect_uri",
                        "Unable to retrieve access token: appid/redirect uri/code verifier does not match authorization code.",
                    );
                }
                code.used = true;
                let scope = code.scope.clone();
                let chain = self.auth.next();
                let expires = now_ms + REFRESH_LIFE_S * 1000;
                Reply::json(
                    200,
                    &self.tokens(chain, &scope, None, expires, None, now_ms),
                )
            }
            Some("refresh_token") => {
                let token = form.get("refresh_token").unwrap_or_default().to_owned();
                let found = self.auth.refresh.get(&token).filter(|found| {
                    found.expires_ms > now_ms && !self.auth.revoked.contains(&found.chain)
                });
                let Some(found) = found else {
                    return refuse(
                        400,
                        "invalid_request",
                        "The provided authorization grant or refresh token is invalid, expired or revoked.",
                    );
                };
                // The refresh token's end does not move: it counts from the first consent.
                let (chain, scope, expires) = (found.chain, found.scope.clone(), found.expires_ms);
                Reply::json(
                    200,
                    &self.tokens(chain, &scope, Some(token), expires, None, now_ms),
                )
            }
            _ => refuse(400, "unsupported_grant_type", "grant_type is not supported"),
        }
    }

    fn tokens(
        &mut self,
        chain: u64,
        scope: &str,
        refresh: Option<String>,
        refresh_ms: i64,
        life_s: Option<i64>,
        now_ms: i64,
    ) -> Value {
        let number = self.auth.next();
        let life = life_s
            .unwrap_or(ACCESS_LIFE_S)
            .min((refresh_ms - now_ms) / 1000);
        let access = format!("AQV{}", opaque(&format!("linkedin/access/{number}"), 150));
        self.auth.sessions.insert(
            access.clone(),
            Session {
                expires_ms: now_ms + life * 1000,
                chain,
            },
        );
        let mut out =
            json!({ "access_token": access, "expires_in": life, "scope": scope.replace(' ', ",") });
        if !self.settings.refresh_tokens {
            return out;
        }
        let refresh = refresh.unwrap_or_else(|| {
            let token = format!("AQX{}", opaque(&format!("linkedin/refresh/{number}"), 150));
            let kept = Refresh {
                expires_ms: refresh_ms,
                chain,
                scope: scope.to_owned(),
            };
            self.auth.refresh.insert(token.clone(), kept);
            token
        });
        if let Value::Object(out) = &mut out {
            out.insert("refresh_token".into(), json!(refresh));
            out.insert(
                "refresh_token_expires_in".into(),
                json!((refresh_ms - now_ms) / 1000),
            );
        }
        out
    }

    /// Issues tokens without a sign-in: for tests.
    pub(crate) fn mint(&mut self, base: &str, life_s: Option<i64>, now_ms: i64) -> Value {
        let chain = self.auth.next();
        let scope = "r_marketing_leadgen_automation r_ads r_organization_admin";
        let mut out = self.tokens(
            chain,
            scope,
            None,
            now_ms + REFRESH_LIFE_S * 1000,
            life_s,
            now_ms,
        );
        if let Value::Object(out) = &mut out {
            out.insert("instance_url".into(), json!(base));
        }
        out
    }

    fn rest(&mut self, call: &Call, tail: &[&str], now_ms: i64) -> Reply {
        let Some(token) = call.bearer() else {
            return fail(
                401,
                "EMPTY_ACCESS_TOKEN",
                65_604,
                "Empty oauth2 access token",
            );
        };
        if let Err(code) = self.auth.is_good(token, now_ms) {
            let (service, text) = match code {
                "EXPIRED_ACCESS_TOKEN" => (65_602, "The token used in the request has expired"),
                "REVOKED_ACCESS_TOKEN" => (
                    65_601,
                    "The token used in the request has been revoked by the user",
                ),
                _ => (65_600, "Invalid access token"),
            };
            return fail(401, code, service, text);
        }
        let Some(version) = call.header("linkedin-version") else {
            return fail(
                400,
                "VERSION_MISSING",
                0,
                "A version must be present. Please specify a version by adding the LinkedIn-Version header.",
            );
        };
        let number = version
            .split('.')
            .next()
            .and_then(|text| text.parse::<u32>().ok());
        let served = number.is_some_and(|number| {
            (self.settings.first_version..=self.settings.last_version).contains(&number)
                && (1..=12).contains(&(number % 100))
        });
        if !served {
            return fail(
                426,
                "NONEXISTENT_VERSION",
                0,
                &format!("Requested version {version} is not active"),
            );
        }
        // Lists, records and keys of several parts are written otherwise in the protocol's first version.
        let needs_decoding = [&call.path, &call.query]
            .iter()
            .any(|text| text.contains('('));
        if needs_decoding && call.header("x-restli-protocol-version") != Some("2.0.0") {
            return fail(
                400,
                "ILLEGAL_ARGUMENT",
                0,
                "Header X-RestLi-Protocol-Version: 2.0.0 is required to decode the query parameters",
            );
        }
        let params = raw_params(&call.query);
        match (call.method.as_str(), tail) {
            ("GET", ["adAccounts"]) => {
                let rows = self.accounts.iter().map(|(id, name)| json!({
                    "id": id.parse::<u64>().ok(), "name": name, "status": "ACTIVE", "test": false,
                    "type": "BUSINESS", "currency": "EUR",
                    "reference": "urn:li:organization:5001", "referenceInfo": { "urn": "urn:li:organization:5001" },
                }));
                paged(rows.collect(), &params, 10)
            }
            ("GET", ["leadForms"]) => self.owned(&params, |own, owner, params| {
                let rows = own
                    .forms
                    .values()
                    .filter(|form| *form.at("owner").at("sponsoredAccount") == *owner);
                paged(rows.cloned().collect(), params, 10)
            }),
            ("GET", ["leadForms", id]) => match self.forms.get(*id) {
                Some(form) => Reply::json(200, form),
                None => fail(
                    404,
                    "NOT_FOUND",
                    0,
                    &format!("Lead gen form {id} is not found"),
                ),
            },
            ("GET", ["leadFormResponses"]) => self.find_leads(&params, now_ms),
            ("GET", ["leadFormResponses", id]) => self.lead(id, &params, now_ms),
            (_, ["leadNotifications", rest @ ..]) => self.notifications(call, rest, &params),
            _ => fail(
                404,
                "RESOURCE_NOT_FOUND",
                0,
                &format!("No virtual resource found for path {}", call.path),
            ),
        }
    }

    /// Reads the owner, and refuses accounts the member has no role on.
    fn owned(
        &self,
        params: &[(String, String)],
        run: impl Fn(&Self, &str, &[(String, String)]) -> Reply,
    ) -> Reply {
        let owner = param(params, "owner").and_then(record).and_then(|fields| {
            let (_, value) = fields
                .into_iter()
                .find(|(name, _)| name == "sponsoredAccount")?;
            Some(value)
        });
        if param(params, "q") != Some("owner") || owner.is_none() {
            return fail(
                400,
                "PARAM_INVALID",
                100,
                "Invalid query parameters passed to request",
            );
        }
        let owner = owner.unwrap_or_default();
        let account = owner.rsplit(':').next().unwrap_or_default();
        if !self.accounts.contains_key(account)
            || self
                .settings
                .forbidden_accounts
                .iter()
                .any(|a| a == account)
        {
            return fail(
                403,
                "ACCESS_DENIED",
                100,
                "Member does not have permission to access leads of this account",
            );
        }
        run(self, &owner, params)
    }

    fn find_leads(&self, params: &[(String, String)], now_ms: i64) -> Reply {
        self.owned(params, |own, owner, params| {
            let kind = param(params, "leadType")
                .and_then(record)
                .and_then(|fields| fields.into_iter().next());
            if kind != Some(("leadType".into(), "SPONSORED".into())) {
                return fail(
                    400,
                    "PARAM_INVALID",
                    100,
                    "leadType must be SPONSORED for a sponsored account",
                );
            }
            let range = param(params, "submittedAtTimeRange").map(|text| {
                let fields = record(text).unwrap_or_default();
                let get = |name: &str| {
                    fields
                        .iter()
                        .find(|(key, _)| key == name)
                        .and_then(|(_, v)| v.parse::<i64>().ok())
                };
                (get("start"), get("end"))
            });
            if range.is_some_and(|(start, end)| {
                start.is_none() || end.is_some_and(|end| Some(end) < start)
            }) {
                return fail(
                    400,
                    "PARAM_INVALID",
                    100,
                    "submittedAtTimeRange is not valid",
                );
            }
            let test = param(params, "limitedToTestLeads") == Some("true");
            let form = param(params, "versionedLeadGenFormUrn").map(decode);
            let oldest = now_ms - own.settings.retention_days * DAY_MS;
            let account = owner.rsplit(':').next().unwrap_or_default();
            let mut found: Vec<&Lead> = own
                .leads
                .values()
                .filter(|lead| {
                    lead.account == account && !lead.deleted && lead.submitted_ms >= oldest
                })
                .filter(|lead| !test || lead.test)
                .filter(|lead| {
                    form.as_ref()
                        .is_none_or(|form| *lead.value.at("versionedLeadGenFormUrn") == **form)
                })
                .filter(|lead| {
                    range.is_none_or(|(start, end)| {
                        lead.submitted_ms >= start.unwrap_or(0)
                            && lead.submitted_ms < end.unwrap_or(i64::MAX)
                    })
                })
                .collect();
            found.sort_by(|a, b| (b.submitted_ms, &b.id).cmp(&(a.submitted_ms, &a.id)));
            let fields = param(params, "fields");
            let rows = found
                .into_iter()
                .map(|lead| own.projected(lead, fields))
                .collect();
            paged(rows, params, 10)
        })
    }

    fn lead(&self, id: &str, params: &[(String, String)], now_ms: i64) -> Reply {
        let oldest = now_ms - self.settings.retention_days * DAY_MS;
        let found = self
            .leads
            .get(id)
            .filter(|lead| !lead.deleted && lead.submitted_ms >= oldest);
        match found {
            Some(lead) if self.settings.forbidden_accounts.contains(&lead.account) => fail(
                403,
                "ACCESS_DENIED",
                100,
                "Member does not have permission to access leads of this account",
            ),
            Some(lead) => Reply::json(200, &self.projected(lead, param(params, "fields"))),
            None => fail(
                404,
                "NOT_FOUND",
                0,
                &format!("Lead form response {id} is not found"),
            ),
        }
    }

    /// A lead with the fields asked for; `form:(…)` brings parts of its form along.
    fn projected(&self, lead: &Lead, fields: Option<&str>) -> Value {
        let Some(fields) = fields else {
            return lead.value.clone();
        };
        let fields = decode(fields);
        let mut out = Row::new();
        for item in crate::dataverse::odata::split(&fields, ',') {
            let (name, inner) = item
                .split_once(":(")
                .map_or((item.as_str(), None), |(n, i)| (n, Some(i)));
            let value = match name {
                "form" => {
                    let form = self.forms.get(&lead.form).cloned().unwrap_or_default();
                    match inner {
                        Some(inner) => {
                            let names =
                                crate::dataverse::odata::split(inner.trim_end_matches(')'), ',');
                            let picked = names
                                .iter()
                                .filter_map(|n| Some((n.clone(), form.get(n)?.clone())));
                            Value::Object(picked.collect())
                        }
                        None => form,
                    }
                }
                "leadMetadataInfo" => lead.value.at("leadMetadata").clone(),
                "ownerInfo" | "associatedEntityInfo" => Value::Null,
                name => lead.value.get(name).cloned().unwrap_or_default(),
            };
            if !value.is_null() {
                out.insert(name.to_owned(), value);
            }
        }
        Value::Object(out)
    }

    fn notifications(&mut self, call: &Call, rest: &[&str], params: &[(String, String)]) -> Reply {
        match (call.method.as_str(), rest) {
            ("POST", []) => {
                let Ok(Value::Object(mut body)) = serde_json::from_slice::<Value>(&call.body)
                else {
                    return fail(400, "PARAM_INVALID", 100, "The body is not a JSON object");
                };
                let hook = body
                    .get("webhook")
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                if !hook.starts_with("http")
                    || !body.contains_key("owner")
                    || !body.contains_key("leadType")
                {
                    return fail(
                        422,
                        "MISSING_FIELD",
                        100,
                        "webhook, owner and leadType are required",
                    );
                }
                self.counter += 1;
                let id = self.counter;
                body.insert("id".into(), json!(id));
                self.subscriptions.insert(id, Value::Object(body));
                Reply::empty(201)
                    .with("x-restli-id", id.to_string())
                    .with("location", format!("/leadNotifications/{id}"))
            }
            ("GET", []) => {
                let owner = param(params, "owner").map(decode).unwrap_or_default();
                let rows = self.subscriptions.values().filter(|row| {
                    row.at("owner").as_object().is_some_and(|fields| {
                        fields.values().any(|urn| {
                            urn.as_str()
                                .is_some_and(|urn| owner.contains(&format!("{urn})")))
                        })
                    })
                });
                paged(rows.cloned().collect(), params, 10)
            }
            (method, [id]) => {
                let id = id.parse().unwrap_or(0);
                match (method, self.subscriptions.get(&id)) {
                    ("GET", Some(row)) => Reply::json(200, row),
                    ("DELETE", Some(_)) => {
                        self.subscriptions.remove(&id);
                        Reply::empty(204)
                    }
                    _ => fail(404, "NOT_FOUND", 0, "Lead notification is not found"),
                }
            }
            _ => fail(405, "METHOD_NOT_ALLOWED", 0, "Method not allowed"),
        }
    }

    /// Every account's lead forms and leads in short, for the control API.
    pub(crate) fn add_form(&mut self, mut form: Value, now_ms: i64) -> Option<String> {
        let id = form
            .at("id")
            .as_u64()
            .unwrap_or(8_000_000 + self.forms.len() as u64);
        let row = form.as_object_mut()?;
        row.insert("id".into(), json!(id));
        for (name, value) in [
            ("state", json!("PUBLISHED")),
            ("versionId", json!(1)),
            ("created", json!(now_ms)),
            ("hiddenFields", json!([])),
        ] {
            row.entry(name).or_insert(value);
        }
        self.forms.insert(id.to_string(), form);
        Some(id.to_string())
    }

    /// A person answers a form.
    #[expect(
        clippy::single_match_else,
        reason = "both kinds of answer weigh the same"
    )]
    pub(crate) fn submit(&mut self, order: &Submission, now_ms: i64) -> Result<Lead, String> {
        let form = self.forms.get(&order.form).ok_or("no such form")?;
        if !self.accounts.contains_key(&order.account) {
            return Err("no such account".into());
        }
        let questions = form
            .at("content")
            .at("questions")
            .as_array()
            .cloned()
            .unwrap_or_default();
        let version = form.at("versionId").as_u64().unwrap_or(1);
        let mut answers = Vec::new();
        for (key, answer) in &order.answers {
            let matches = |q: &&Value| {
                *q.at("predefinedField") == **key
                    || *q.at("name") == **key
                    || q.at("questionId").as_u64() == key.parse().ok()
            };
            let question = questions
                .iter()
                .find(matches)
                .ok_or(format!("no question {key}"))?;
            let options = &question
                .at("questionDetails")
                .at("multipleChoiceQuestionDetails")
                .at("options");
            let details = match options.as_array() {
                Some(options) => {
                    let wanted: Vec<&Value> = answer
                        .as_array()
                        .map_or_else(|| vec![answer], |all| all.iter().collect());
                    let chosen: Vec<&Value> = options
                        .iter()
                        .filter(|o| {
                            wanted.iter().any(|w| {
                                **w == *o.at("id")
                                    || **w == *o.at("text").at("localized").at("en_US")
                            })
                        })
                        .map(|o| o.at("id"))
                        .collect();
                    json!({ "multipleChoiceAnswer": { "options": chosen } })
                }
                None => {
                    let text = answer
                        .as_str()
                        .map_or_else(|| answer.to_string(), str::to_owned);
                    json!({ "textQuestionAnswer": { "answer": text } })
                }
            };
            answers
                .push(json!({ "questionId": question.at("questionId"), "answerDetails": details }));
        }
        answers.sort_by_key(|answer| answer.at("questionId").as_u64());
        let consents: Vec<Value> = form
            .at("content")
            .at("legalInfo")
            .at("consents")
            .as_array()
            .into_iter()
            .flatten()
            .map(|c| json!({ "accepted": order.consent, "consentId": c.at("id") }))
            .collect();
        self.counter += 1;
        let number = self.counter;
        let id = order.id.clone().unwrap_or_else(|| {
            let seed = format!("lead/{number}");
            format!(
                "{}-{}",
                uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, seed.as_bytes()),
                number % 10
            )
        });
        let submitted = order.submitted_at.unwrap_or(now_ms);
        let campaign = order.campaign.clone().unwrap_or_else(|| "198".into());
        let creative = order.creative.clone().unwrap_or_else(|| "241".into());
        let value = json!({
            "owner": { "sponsoredAccount": format!("urn:li:sponsoredAccount:{}", order.account) },
            "submitter": format!("urn:li:person:sim{number}"), "leadType": "SPONSORED",
            "leadMetadata": { "sponsoredLeadMetadata": { "campaign": format!("urn:li:sponsoredCampaign:{campaign}") } },
            "versionedLeadGenFormUrn": format!("urn:li:versionedLeadGenForm:(urn:li:leadGenForm:{},{version})", order.form),
            "id": id, "submittedAt": submitted, "testLead": order.test,
            "associatedEntity": { "associatedCreative": format!("urn:li:sponsoredCreative:{creative}") },
            "formResponse": { "consentResponses": consents, "answers": answers },
        });
        let lead = Lead {
            id: id.clone(),
            account: order.account.clone(),
            form: order.form.clone(),
            submitted_ms: submitted,
            test: order.test,
            value,
            deleted: false,
        };
        self.leads.insert(id, lead.clone());
        Ok(lead)
    }
}

/// The control API's input for a new lead.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Submission {
    #[serde(default = "default_account")]
    pub(crate) account: String,
    #[serde(default = "default_form")]
    pub(crate) form: String,
    #[serde(default)]
    pub(crate) answers: BTreeMap<String, Value>,
    #[serde(default)]
    pub(crate) test: bool,
    #[serde(default)]
    pub(crate) submitted_at: Option<i64>,
    #[serde(default)]
    pub(crate) campaign: Option<String>,
    #[serde(default)]
    pub(crate) creative: Option<String>,
    #[serde(default)]
    pub(crate) id: Option<String>,
    #[serde(default = "yes")]
    pub(crate) consent: bool,
    #[serde(default)]
    pub(crate) deliver: Option<Value>,
}

fn default_account() -> String {
    "123".into()
}

fn default_form() -> String {
    "7234246".into()
}

fn yes() -> bool {
    true
}

/// The notification a lead's creation or withdrawal sends.
pub(crate) fn notification(lead: &Lead, action: &str, at_ms: i64) -> Value {
    let urn = lead
        .value
        .at("versionedLeadGenFormUrn")
        .as_str()
        .unwrap_or_default();
    let creative = &lead.value.at("associatedEntity").at("associatedCreative");
    json!({
        "type": "LEAD_ACTION", "leadGenFormResponse": format!("urn:li:leadGenFormResponse:{}", lead.id),
        // The blank after the comma is LinkedIn's.
        "leadGenForm": urn.replace(',', ", "), "owner": lead.value.at("owner"),
        "associatedEntity": { "sponsoredCreative": creative }, "leadType": "SPONSORED",
        "leadAction": action, "occurredAt": at_ms,
    })
}

/// Query parameters with values as sent: parentheses and commas mean something.
fn raw_params(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decode(name), value.to_owned()))
        .collect()
}

fn param<'a>(params: &'a [(String, String)], name: &str) -> Option<&'a str> {
    params
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}

/// Reads `(key:value,key:value)`; values are decoded after the split.
fn record(text: &str) -> Option<Vec<(String, String)>> {
    let inner = text.strip_prefix('(')?.strip_suffix(')')?;
    inner
        .split(',')
        .map(|pair| {
            pair.split_once(':')
                .map(|(name, value)| (decode(name), decode(value)))
        })
        .collect()
}

/// One page by `start` and `count`.
fn paged(rows: Vec<Value>, params: &[(String, String)], default: usize) -> Reply {
    let number = |name: &str| param(params, name).map(str::parse::<usize>);
    let (start, count) = match (
        number("start").unwrap_or(Ok(0)),
        number("count").unwrap_or(Ok(default)),
    ) {
        (Ok(start), Ok(count)) => (start, count.min(100)),
        _ => return fail(400, "PARAM_INVALID", 100, "start and count must be numbers"),
    };
    let total = rows.len();
    let page: Vec<Value> = rows.into_iter().skip(start).take(count).collect();
    Reply::json(
        200,
        &json!({
            "paging": { "start": start, "count": count, "total": total, "links": [] }, "elements": page,
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::{record, signature};

    #[test]
    fn restli_records_are_split_before_they_are_decoded() {
        assert_eq!(
            record("(sponsoredAccount:urn%3Ali%3AsponsoredAccount%3A123)"),
            Some(vec![(
                "sponsoredAccount".into(),
                "urn:li:sponsoredAccount:123".into()
            )])
        );
        assert_eq!(
            record("(start:1,end:2)").map(|fields| fields.len()),
            Some(2)
        );
        assert_eq!(record("start:1"), None);
    }

    #[test]
    fn signs_with_the_prefix() {
        let expected = super::sign("secret", b"hmacsha256={}");
        assert_eq!(signature("secret", b"{}"), expected);
        assert_eq!(expected.len(), 64);
    }
}
