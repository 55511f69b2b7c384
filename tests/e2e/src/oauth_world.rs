//! The world of the sign-in tests: all functions behind one router over the embedded stack's table, a clock
//! that the tests move together with the simulator's, browsers with cookies of their own, and the attackers'
//! means: an address that must not be called, and identity tokens of their own making.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on stops, saying why"
)]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aws_lc_rs::rand::SystemRandom as KeyRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use aws_sdk_dynamodb::types::AttributeValue;
use axum::Router;
use axum::body::{Body, to_bytes};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, Method, Request, StatusCode, header};
use local::seed::{Made, Maker, NewContract};
use local::{Apps, Options, Stack};
use reqwest::Client;
use serde_json::{Map, Value, json};
use shared::clock::{Clock as _, SystemClock};
use shared::config::Source;
use shared::domain::environment::Environment;
use shared::domain::ids::ContractId;
use shared::domain::schema::CrmKind;
use shared::random::SystemRandom;
use shared::signature::hmac_sha256;
use shared::store::{Connection, ConnectionKind, Store};
use shared::testing::FixedClock;
use shared::wiring::{Remote, RemoteConfig};
use tokio::net::TcpListener;
use tower::ServiceExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use url::Url;

/// The address that people and providers find the functions at.
pub const PUBLIC_URL: &str = "https://leads.example";
/// The cookie of a session.
pub const SESSION_COOKIE: &str = "__Host-lb_session";

/// The functions over an embedded stack, and a contract for each CRM.
pub struct World {
    /// The stack.
    pub stack: Stack,
    /// The functions' time.
    pub clock: Arc<FixedClock>,
    /// The functions' parts.
    pub remote: Remote,
    /// All functions.
    pub router: Router,
    /// Trusts the simulator's certificates; follows no redirects.
    pub http: Client,
    /// A contract that uses Salesforce.
    pub salesforce: Made,
    /// A contract that uses Dynamics 365.
    pub dynamics: Made,
}

/// An answer of a function.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub text: String,
}

impl Answer {
    /// The body as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    /// Asserts that it is a problem in its one shape, and returns its status and code.
    #[must_use]
    pub fn problem(&self) -> (u16, String) {
        let problem: Value = serde_json::from_str(&self.text).unwrap_or_default();
        let kind = self.headers.get(header::CONTENT_TYPE);
        assert_eq!(
            kind.and_then(|kind| kind.to_str().ok()),
            Some("application/problem+json"),
            "{self:?}"
        );
        assert_eq!(problem["status"], self.status.as_u16());
        for part in ["detail", "next_step", "title", "type"] {
            assert_ne!(problem[part].as_str().unwrap(), "", "{problem}");
        }
        let code = problem["code"].as_str().unwrap().to_owned();
        (self.status.as_u16(), code)
    }

    /// The cookies that it sets: name, value, attributes. A value is empty if the cookie is to be deleted.
    #[must_use]
    pub fn cookies(&self) -> Vec<(String, String, String)> {
        let set = self.headers.get_all(header::SET_COOKIE).iter();
        set.map(|cookie| {
            let (pair, attributes) = cookie.to_str().unwrap().split_once("; ").unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            (name.to_owned(), value.to_owned(), attributes.to_owned())
        })
        .collect()
    }

    /// True if it gives the browser a session.
    #[must_use]
    pub fn opens_session(&self) -> bool {
        let mut cookies = self.cookies().into_iter();
        cookies.any(|(name, value, _)| name == SESSION_COOKIE && !value.is_empty())
    }
}

/// A connection attempt that was started.
pub struct Started {
    /// The page that the browser is sent to.
    pub authorize_url: Url,
    /// The cookie that it has to bring back.
    pub cookie: String,
}

impl Started {
    /// A parameter of the address that the browser is sent to.
    #[must_use]
    pub fn parameter(&self, name: &str) -> String {
        parameter(&self.authorize_url, name)
    }
}

/// A seat that waits for its holder.
#[derive(Debug, Clone)]
pub struct Invited {
    /// Its id.
    pub seat: String,
    /// The invitation: `{seat}.{secret}`.
    pub invitation: String,
}

impl World {
    /// The world with its two contracts, connected to nothing.
    pub async fn start() -> Self {
        let stack = Stack::start(Options::default()).await.unwrap();
        let source = Source::fixed(stack.variables.clone());
        let config = RemoteConfig::from_source(&source).unwrap();
        let clock = FixedClock::at(SystemClock.now());
        let outbound = local::outbound(&config, stack.simulator.ca_file()).unwrap();
        let store = stack.store().clone();
        let remote = Remote::with(&config, &stack.aws, store, outbound, clock.clone()).unwrap();
        let console = &stack.apps().console;
        let (queue, import_queue) = (console.queue.clone(), console.import_queue.clone());
        let public_url = PUBLIC_URL.parse().unwrap();
        let apps = Apps::over(remote.clone(), queue, import_queue, public_url);
        let ca = std::fs::read(stack.simulator.ca_file()).unwrap();
        let http = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .tls_certs_only([reqwest::Certificate::from_pem(&ca).unwrap()])
            .build()
            .unwrap();
        let maker = Maker {
            store: &remote.store,
            vault: &remote.vault,
            random: &SystemRandom,
            now: clock.now(),
        };
        let make = async |id: &str, crm| {
            let new = NewContract {
                id: id.parse().unwrap(),
                name: "Test".to_owned(),
                crm,
                fixed: None,
                linkedin_owners: Vec::new(),
            };
            maker.make(new).await.unwrap()
        };
        let world = Self {
            salesforce: make("acme-salesforce", CrmKind::Salesforce).await,
            dynamics: make("acme-dynamics", CrmKind::Dynamics365).await,
            router: apps.router(),
            stack,
            clock,
            remote,
            http,
        };
        world.advance(0).await;
        world
    }

    /// Moves the functions' and the simulator's time by `seconds`.
    pub async fn advance(&self, seconds: i64) {
        self.clock.advance(seconds);
        let now = self.clock.now().0;
        self.control(Method::POST, "/clock", json!({ "now_ms": now }))
            .await;
    }

    /// A call to the simulator's control API.
    pub async fn control(&self, method: Method, path: &str, body: Value) -> Value {
        let url = format!("{}{path}", self.stack.simulator.control_url());
        let answer = self.http.request(method, url).json(&body).send().await;
        let answer = answer.unwrap();
        assert!(answer.status().is_success(), "{path}: {answer:?}");
        let text = answer.text().await.unwrap();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Makes the simulator give these answers, one for each path, the next time it is called there.
    pub async fn answer_once(&self, system: &str, answers: &[(&str, &Value)]) {
        for (path, body) in answers {
            let fault = json!({
                "system": system, "path_contains": path, "kind": "status", "status": 200, "body": body,
            });
            self.control(Method::POST, "/faults", fault).await;
        }
    }

    /// The functions' calls since the mark, as `system METHOD template status`: all but the pages that people
    /// sign in on.
    pub async fn calls(&self, mark: u64) -> Vec<String> {
        let path = format!("/ledger?since={mark}");
        let entries = self.control(Method::GET, &path, Value::Null).await;
        let shown = |entry: &Value| {
            let text = |name: &str| entry[name].as_str().unwrap().to_owned();
            let (system, method) = (text("system"), text("method"));
            format!("{system} {method} {} {}", text("template"), entry["status"])
        };
        let calls = entries.as_array().unwrap().iter().map(shown);
        calls.filter(|call| !call.contains("authoriz")).collect()
    }

    /// The end of the simulator's ledger: later calls have higher numbers.
    pub async fn mark(&self) -> u64 {
        let path = "/ledger/summary";
        let summary = self.control(Method::GET, path, Value::Null).await;
        summary["last_seq"].as_u64().unwrap()
    }

    /// The table.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.remote.store
    }

    /// The contract that a provider is connected to in these tests.
    #[must_use]
    pub fn contract(&self, provider: &str) -> &Made {
        if matches!(provider, "dataverse" | "entra") {
            &self.dynamics
        } else {
            &self.salesforce
        }
    }

    /// The sign-in target that a start request names.
    #[must_use]
    pub fn target(&self, provider: &str) -> Value {
        match provider {
            "salesforce" => json!({ "login_url": self.stack.simulator.salesforce_url() }),
            "dataverse" => json!({ "organization_url": self.stack.simulator.dataverse_url() }),
            _ => json!({}),
        }
    }

    /// Hands a request to the functions.
    pub async fn call(&self, request: Request<Body>) -> Answer {
        call(&self.router, request).await
    }

    /// A call to the API with a token.
    pub async fn api(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.map_or_else(String::new, Value::to_string)))
            .unwrap();
        self.call(request).await
    }

    /// Makes a seat, and returns its invitation.
    pub async fn invite(&self, made: &Made, email: &str, role: &str) -> Invited {
        let seat = json!({ "name": "Somebody", "email": email, "role": role });
        let token = &made.tokens.administrator;
        let answer = self.api(token, Method::POST, "/seats", Some(&seat)).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
        invited(&answer)
    }

    /// Asks for the start of a connection with a token.
    pub async fn post_start(&self, token: &str, provider: &str, body: &Value) -> Answer {
        let request = Request::post(format!("/oauth/{provider}/start"))
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_string()))
            .unwrap();
        self.call(request).await
    }

    /// Starts connecting as an administrator of the contract that the provider fits.
    pub async fn start_sign_in(&self, provider: &str) -> Started {
        let token = &self.contract(provider).tokens.administrator;
        let target = self.target(provider);
        self.started(token, provider, &target).await
    }

    /// Starts connecting with a token.
    pub async fn started(&self, token: &str, provider: &str, body: &Value) -> Started {
        let answer = self.post_start(token, provider, body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
        let [(name, value, attributes)] = answer.cookies().try_into().unwrap();
        assert_eq!(
            attributes,
            "Secure; HttpOnly; SameSite=Lax; Path=/; Max-Age=600"
        );
        let authorize_url = answer.json()["authorize_url"].as_str().unwrap().to_owned();
        Started {
            authorize_url: authorize_url.parse().unwrap(),
            cookie: format!("{name}={value}"),
        }
    }

    /// Signs in at the provider, as a browser would, and returns the address that it is sent back to.
    pub async fn sign_in(&self, authorize_url: &Url) -> Url {
        let answer = self.http.get(authorize_url.clone()).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::FOUND);
        let back = answer.headers()[header::LOCATION].to_str().unwrap();
        let ours = [PUBLIC_URL, self.stack.url.as_str()]
            .map(|public_url| format!("{public_url}/oauth/callback?"));
        assert!(ours.iter().any(|own| back.starts_with(own)), "{back}");
        back.parse().unwrap()
    }

    /// The way back from the provider.
    pub async fn get_callback(&self, back: &Url, cookie: Option<&str>, accept: &str) -> Answer {
        let mut request = Request::get(path_of(back)).header(header::ACCEPT, accept);
        if let Some(cookie) = cookie {
            request = request.header(header::COOKIE, format!("theme=dark; {cookie}"));
        }
        self.call(request.body(Body::empty()).unwrap()).await
    }

    /// The way back in the browser with that cookie, asking for JSON.
    pub async fn come_back(&self, back: &Url, cookie: &str) -> Answer {
        self.get_callback(back, Some(cookie), "application/json")
            .await
    }

    /// The whole way, from start to the callback's answer.
    pub async fn connect(&self, provider: &str) -> Answer {
        let started = self.start_sign_in(provider).await;
        let back = self.sign_in(&started.authorize_url).await;
        self.come_back(&back, &started.cookie).await
    }

    /// The stored connection of the contract that the provider fits.
    pub async fn connection(&self, provider: &str) -> Option<Connection> {
        let contract = &self.contract(provider).id;
        let kind = connection_kind(provider);
        self.store().connection(contract, kind).await.unwrap()
    }

    /// A browser without cookies.
    #[must_use]
    pub fn browser(&self) -> Browser<'_> {
        self.browser_on(&self.router)
    }

    /// A browser of other processes of the same functions.
    #[must_use]
    pub fn browser_on(&self, router: &Router) -> Browser<'_> {
        Browser {
            world: self,
            router: router.clone(),
            cookies: BTreeMap::new(),
        }
    }

    /// Everything that is stored of a contract but attempts, as plain JSON by key. Of the guides, what
    /// is not the note of the last failure: an attack on a connection may leave that.
    pub async fn items(&self, contract: &ContractId) -> BTreeMap<String, Value> {
        self.items_of(&[contract]).await
    }

    /// The stored items of both contracts.
    pub async fn all_items(&self) -> BTreeMap<String, Value> {
        self.items_of(&[&self.salesforce.id, &self.dynamics.id])
            .await
    }

    async fn items_of(&self, contracts: &[&ContractId]) -> BTreeMap<String, Value> {
        let client = aws_sdk_dynamodb::Client::new(&self.stack.aws);
        let scan = client.scan().table_name(local::TABLE).consistent_read(true);
        let is_of = |partition: &str, contract: &ContractId| {
            let rest = partition.strip_prefix(&format!("C#{contract}"));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('#'))
        };
        let mut items = BTreeMap::new();
        let mut start = None;
        loop {
            let page = scan.clone().set_exclusive_start_key(start).send().await;
            let page = page.unwrap();
            for item in page.items.unwrap_or_default() {
                let text = |name: &str| item[name].as_s().unwrap().clone();
                let (partition, sort) = (text("PK"), text("SK"));
                let ours = contracts.iter().any(|contract| is_of(&partition, contract));
                if ours && !partition.contains("#OAUTH#") && sort != "GUIDE" {
                    items.insert(format!("{partition} {sort}"), plain(&item));
                }
            }
            start = page.last_evaluated_key.filter(|key| !key.is_empty());
            if start.is_none() {
                break;
            }
        }
        for contract in contracts {
            for environment in Environment::ALL {
                let guide = self.store().guide(contract, environment).await.unwrap();
                let mut guide = serde_json::to_value(guide).unwrap();
                for noted in ["last_problem", "updated_at", "version"] {
                    guide.as_object_mut().unwrap().remove(noted);
                }
                items.insert(format!("C#{contract} guide {environment}"), guide);
            }
        }
        items
    }

    /// Ends the stack.
    pub async fn stop(self) {
        self.stack.stop().await;
    }
}

/// The differences between two states of the stored items, by key.
#[must_use]
pub fn changes(
    before: &BTreeMap<String, Value>,
    after: &BTreeMap<String, Value>,
) -> BTreeMap<String, (Value, Value)> {
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let of =
        |items: &BTreeMap<String, Value>, key: &str| items.get(key).cloned().unwrap_or_default();
    keys.into_iter()
        .filter(|key| before.get(*key) != after.get(*key))
        .map(|key| (key.clone(), (of(before, key), of(after, key))))
        .collect()
}

/// The seat and the invitation of an answer that makes one.
#[must_use]
pub fn invited(answer: &Answer) -> Invited {
    let shown = answer.json();
    let link: Url = shown["invitation"]["entra"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    Invited {
        seat: shown["id"].as_str().unwrap().to_owned(),
        invitation: parameter(&link, "invitation"),
    }
}

/// The kind of a provider's connection in these tests.
#[must_use]
pub fn connection_kind(provider: &str) -> ConnectionKind {
    if provider == "linkedin" {
        ConnectionKind::LinkedIn
    } else {
        ConnectionKind::PRODUCTION
    }
}

fn plain(item: &HashMap<String, AttributeValue>) -> Value {
    fn value(attribute: &AttributeValue) -> Value {
        match attribute {
            AttributeValue::S(text) => json!(text),
            AttributeValue::N(number) => json!({ "N": number }),
            AttributeValue::Bool(value) => json!(value),
            AttributeValue::L(list) => list.iter().map(value).collect(),
            AttributeValue::M(map) => plain(map),
            AttributeValue::Null(_) => Value::Null,
            other => json!(format!("{other:?}")),
        }
    }
    let pairs = item
        .iter()
        .map(|(name, found)| (name.clone(), value(found)));
    Value::Object(pairs.collect::<Map<_, _>>())
}

fn path_of(url: &Url) -> String {
    format!("{}?{}", url.path(), url.query().unwrap_or_default())
}

async fn call(router: &Router, request: Request<Body>) -> Answer {
    let answer = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = answer.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    Answer {
        status: parts.status,
        headers: parts.headers,
        text: String::from_utf8(body.to_vec()).unwrap(),
    }
}

/// A parameter of an address; empty if there is none of that name.
#[must_use]
pub fn parameter(url: &Url, name: &str) -> String {
    let mut pairs = url.query_pairs();
    pairs
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

/// An address with a parameter set or replaced.
#[must_use]
pub fn with(url: &Url, name: &str, value: &str) -> Url {
    let mut url = without(url, name);
    url.query_pairs_mut().append_pair(name, value);
    url
}

/// An address without a parameter.
#[must_use]
pub fn without(url: &Url, name: &str) -> Url {
    let mut changed = url.clone();
    let pairs = url.query_pairs().filter(|(key, _)| key != name);
    changed.query_pairs_mut().clear().extend_pairs(pairs);
    changed
}

/// A browser: it keeps cookies, and sends them back.
#[derive(Clone)]
pub struct Browser<'a> {
    world: &'a World,
    router: Router,
    /// Its cookies.
    pub cookies: BTreeMap<String, String>,
}

impl Browser<'_> {
    /// A request with the browser's cookies; those of the answer are kept.
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !self.cookies.is_empty() {
            let pairs: Vec<String> = self
                .cookies
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            request = request.header(header::COOKIE, pairs.join("; "));
        }
        let body = body.map_or_else(String::new, Value::to_string);
        let answer = call(&self.router, request.body(Body::from(body)).unwrap()).await;
        for (name, value, attributes) in answer.cookies() {
            if attributes.ends_with("Max-Age=0") {
                self.cookies.remove(&name);
            } else {
                self.cookies.insert(name, value);
            }
        }
        answer
    }

    /// Sends a request as a page of ours does, with all that a browser and the page add.
    pub async fn page(&mut self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let csrf = if method == Method::GET {
            String::new()
        } else {
            self.csrf().await
        };
        let headers = [
            ("content-type", "application/json"),
            ("origin", PUBLIC_URL),
            ("sec-fetch-site", "same-origin"),
            ("x-csrf-token", csrf.as_str()),
        ];
        self.send(method, path, &headers, body).await
    }

    /// A call of the API from a page of ours.
    pub async fn api(&mut self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        self.page(method, &format!("/api/v1{path}"), body).await
    }

    /// The CSRF token of the session; empty without one.
    pub async fn csrf(&mut self) -> String {
        let answer = self
            .send(Method::GET, "/api/v1/session", &[], None)
            .await
            .text;
        let session: Value = serde_json::from_str(&answer).unwrap_or_default();
        session["csrf_token"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// The session's cookie; empty without one.
    #[must_use]
    pub fn session(&self) -> String {
        self.cookies
            .get(SESSION_COOKIE)
            .cloned()
            .unwrap_or_default()
    }

    /// The status of `GET /session`: it shows whether the browser has a session.
    pub async fn session_status(&mut self) -> u16 {
        let answer = self.send(Method::GET, "/api/v1/session", &[], None).await;
        answer.status.as_u16()
    }

    /// Opens a link to sign in.
    pub async fn open(&mut self, provider: &str, made: &Made, more: &[(&str, &str)]) -> Answer {
        let mut url: Url = format!("{PUBLIC_URL}/oauth/sign-in/{provider}")
            .parse()
            .unwrap();
        url.query_pairs_mut()
            .append_pair("contract", made.id.as_str())
            .extend_pairs(more);
        let names_login = more.iter().any(|(name, _)| *name == "login_url");
        if provider == "salesforce" && !names_login {
            let login = self.world.stack.simulator.salesforce_url();
            url.query_pairs_mut().append_pair("login_url", login);
        }
        self.send(Method::GET, &path_of(&url), &[], None).await
    }

    /// Opens a link to sign in, and returns the address that the browser is sent to.
    pub async fn start(&mut self, provider: &str, made: &Made, more: &[(&str, &str)]) -> Url {
        let answer = self.open(provider, made, more).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
        let location = answer.headers[header::LOCATION].to_str().unwrap();
        location.parse().unwrap()
    }

    /// Asks for the start of a connection from a page of ours, and returns the address that the browser is
    /// sent to.
    pub async fn start_connecting(&mut self, provider: &str, body: &Value) -> Url {
        let path = format!("/oauth/{provider}/start");
        let answer = self.page(Method::POST, &path, Some(body)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        let url = answer.json()["authorize_url"].as_str().unwrap().to_owned();
        url.parse().unwrap()
    }

    /// Comes back from the provider, asking for JSON.
    pub async fn come_back(&mut self, back: &Url) -> Answer {
        let accept = [("accept", "application/json")];
        self.send(Method::GET, &path_of(back), &accept, None).await
    }

    /// Signs in at the provider as `who`, and comes back.
    pub async fn choose(&mut self, authorize_url: &Url, who: &str) -> Answer {
        let url = with(authorize_url, "login_hint", who);
        let back = self.world.sign_in(&url).await;
        self.come_back(&back).await
    }

    /// Signs in to Leadbridge as `who`, with an invitation or without.
    pub async fn sign_in(
        &mut self,
        provider: &str,
        made: &Made,
        invitation: Option<&str>,
        who: &str,
    ) -> Answer {
        let more: Vec<_> = invitation
            .map(|text| ("invitation", text))
            .into_iter()
            .collect();
        let url = self.start(provider, made, &more).await;
        self.choose(&url, who).await
    }
}

/// An address that nothing of ours may call.
pub struct Trap {
    /// Its port on this machine.
    pub port: u16,
    visits: Arc<AtomicUsize>,
}

impl Trap {
    /// Listens.
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let visits = Arc::new(AtomicUsize::new(0));
        let seen = visits.clone();
        tokio::spawn(async move {
            while listener.accept().await.is_ok() {
                seen.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { port, visits }
    }

    /// Asserts that nobody came by now, with a probe that shows that a visit would have been seen.
    pub async fn assert_unvisited(&self, why: &str) {
        let arrived = async |count: usize| {
            for _ in 0..1000 {
                if self.visits.load(Ordering::SeqCst) >= count {
                    return;
                }
                tokio::task::yield_now().await;
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        };
        let probe = tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await;
        drop(probe.unwrap());
        arrived(1).await;
        let visits = self.visits.swap(0, Ordering::SeqCst);
        assert_eq!(visits, 1, "{why}: somebody else than the probe came");
    }
}

/// Signs identity tokens with a key of its own: as a sign-in server whose claims a test chooses, or as a
/// forger, depending on whether the simulator is told to list its key.
pub struct Signer {
    key: RsaKeyPair,
}

impl Signer {
    /// The id of its key.
    pub const KEY_ID: &str = "of-the-test";

    /// With a new key.
    #[must_use]
    pub fn new() -> Self {
        Self {
            key: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
        }
    }

    /// Its key as a sign-in server lists it.
    #[must_use]
    pub fn key(&self) -> Value {
        let encoded = |number: &[u8]| URL_SAFE_NO_PAD.encode(number);
        let public = self.key.public_key();
        json!({
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": Self::KEY_ID,
            "n": encoded(public.modulus().big_endian_without_leading_zero()),
            "e": encoded(public.exponent().big_endian_without_leading_zero()),
        })
    }

    /// Its key set.
    #[must_use]
    pub fn keys(&self) -> Value {
        json!({ "keys": [self.key()] })
    }

    /// A token, signed RS256 with any head.
    #[must_use]
    pub fn token(&self, head: &Value, claims: &Value) -> String {
        let text = unsigned(head, claims);
        let mut signature = vec![0; self.key.public_modulus_len()];
        let random = KeyRandom::new();
        self.key
            .sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature)
            .unwrap();
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

impl Default for Signer {
    fn default() -> Self {
        Self::new()
    }
}

/// A token's head and claims, without a signature.
#[must_use]
pub fn unsigned(head: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(head), part(claims))
}

/// A token signed HS256.
#[must_use]
pub fn signed_hs256(secret: &[u8], head: &Value, claims: &Value) -> String {
    let text = unsigned(head, claims);
    let signature = hmac_sha256(secret, &[text.as_bytes()]);
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// The log of the functions in this thread, while it lives.
pub struct Logs {
    text: Arc<Mutex<Vec<u8>>>,
    _guard: tracing::subscriber::DefaultGuard,
}

#[derive(Clone)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Logs {
    /// Starts collecting the log, at all levels that are on in production, and below.
    #[must_use]
    pub fn keep() -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let sink = Sink(text.clone());
        let guard = tracing_subscriber::fmt()
            .with_env_filter("oauth_callback=trace,console=trace,shared=trace")
            .with_ansi(false)
            .with_writer(move || sink.clone())
            .finish()
            .set_default();
        Self {
            text,
            _guard: guard,
        }
    }

    /// The log since it was last taken.
    #[must_use]
    pub fn take(&self) -> String {
        let bytes = std::mem::take(&mut *self.text.lock().unwrap());
        String::from_utf8(bytes).unwrap()
    }
}
