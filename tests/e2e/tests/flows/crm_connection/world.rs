//! The ground of these tests: the functions over the embedded stack's table, a contract, a clock that moves
//! for the functions and the simulator together, and a look at both sides.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use aws_sdk_dynamodb::types::{AttributeValue, DeleteRequest, PutRequest, WriteRequest};
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, header};
use e2e::worker::{self, drain_imports};
use local::seed::{Made, Maker, NewContract};
use local::{Apps, Options, Stack};
use reqwest::Client;
use serde_json::{Value, json};
use shared::clock::{Clock as _, Millis};
use shared::domain::contract::AuditEntry;
use shared::domain::environment::Environment;
use shared::domain::schema::CrmKind;
use shared::oauth::Tokens;
use shared::outbound::Call;
use shared::queue::ImportMessage;
use shared::random::SystemRandom;
use shared::session::{SessionError, seal_tokens};
use shared::store::{Connection, ConnectionKind, Store, WorkKind};
use shared::testing::{FixedClock, Tripwire};
use shared::vault::Purpose;
use shared::wiring::Remote;
use tower::ServiceExt as _;
use url::Url;

pub(crate) const PRODUCTION: Environment = Environment::Production;
pub(crate) const SANDBOX: Environment = Environment::Sandbox;
/// A test of either CRM, by the name of an async function of the CRM.
macro_rules! for_both {
    (several_threads $name:ident) => {
        for_both!(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            $name
        );
    };
    ($name:ident) => {
        for_both!(
            #[tokio::test]
            $name
        );
    };
    (#[$test:meta] $name:ident) => {
        mod $name {
            use shared::domain::schema::CrmKind;

            #[$test]
            async fn salesforce() {
                super::$name(CrmKind::Salesforce).await;
            }

            #[$test]
            async fn dynamics() {
                super::$name(CrmKind::Dynamics365).await;
            }
        }
    };
}
pub(crate) use for_both;

/// The default user of a sign-in.
pub(crate) const ADMIN: &str = "admin@leadbridge.example";
/// Another user of the organisation.
pub(crate) const SELLER: &str = "seller@leadbridge.example";
/// Longer than the pause between two tries of the schedule.
const ROUND_SECONDS: i64 = 61;
/// Far beyond any due time.
const FAR: Millis = Millis(9_000_000_000_000);

/// An item of the table as it is stored.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// The functions over an embedded stack, and a contract.
pub(crate) struct World {
    pub(crate) stack: Stack,
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) crm: CrmKind,
    pub(crate) made: Made,
    /// A process that nothing happens to.
    pub(crate) apps: Apps,
    http: Client,
}

/// An answer of a function.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) json: Value,
}

impl Answer {
    /// The code of a problem.
    pub(crate) fn code(&self) -> &str {
        self.json["code"].as_str().unwrap_or_default()
    }

    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.json);
        self
    }

    /// The value of the first cookie that it sets, as a browser sends it back.
    pub(crate) fn cookie(&self, prefix: &str) -> String {
        let cookies = self.headers.get_all(header::SET_COOKIE).iter();
        let cookies = cookies.map(|cookie| cookie.to_str().unwrap());
        let mut found = cookies.filter(|cookie| cookie.starts_with(prefix));
        let cookie = found.next().unwrap().split_once(';').unwrap().0;
        cookie.to_owned()
    }
}

/// A sign-in that was started.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) authorize_url: Url,
    pub(crate) cookie: String,
}

/// A seat holder who is signed in.
#[derive(Debug, Clone)]
pub(crate) struct SignedIn {
    pub(crate) seat: String,
    cookie: String,
    csrf: String,
}

/// The caller of a request.
#[derive(Clone, Copy)]
pub(crate) enum Who<'a> {
    Administrator,
    Seat(&'a SignedIn),
    /// A program with this token, of whatever contract.
    Token(&'a str),
}

impl World {
    pub(crate) async fn start(crm: CrmKind) -> Self {
        let _ = tracing_subscriber::fmt()
            .with_env_filter("off")
            .with_test_writer()
            .try_init();
        let stack = Stack::start(Options::default()).await.unwrap();
        let clock = worker::clock();
        let apps = worker::process(&stack, &Tripwire::new(), &clock);
        let ca = std::fs::read(stack.simulator.ca_file()).unwrap();
        let http = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .tls_certs_only([reqwest::Certificate::from_pem(&ca).unwrap()])
            .build()
            .unwrap();
        let made = make(&apps.oauth.remote, "acme", crm).await;
        let world = Self {
            stack,
            clock,
            crm,
            made,
            apps,
            http,
        };
        world.advance(0).await;
        world
    }

    pub(crate) async fn stop(self) {
        self.stack.stop().await;
    }

    /// Another contract in the same stack.
    pub(crate) async fn another(&self, id: &str, crm: CrmKind) -> Made {
        make(&self.apps.oauth.remote, id, crm).await
    }

    /// The functions as a process that starts now: nothing is remembered.
    pub(crate) fn fresh(&self) -> Apps {
        worker::process(&self.stack, &Tripwire::new(), &self.clock)
    }

    /// A process of its own over a wire.
    pub(crate) fn over(&self, wire: &Arc<Tripwire>) -> Apps {
        worker::process(&self.stack, wire, &self.clock)
    }

    pub(crate) fn store(&self) -> &Store {
        &self.apps.oauth.remote.store
    }

    pub(crate) fn now(&self) -> Millis {
        self.clock.now()
    }

    /// Moves the functions' and the simulator's time.
    pub(crate) async fn advance(&self, seconds: i64) {
        self.clock.advance(seconds);
        let now = self.now().0;
        self.control(Method::POST, "/clock", json!({ "now_ms": now }))
            .await;
    }

    pub(crate) async fn control(&self, method: Method, path: &str, body: Value) -> Value {
        let url = format!("{}{path}", self.stack.simulator.control_url());
        let mut request = self.http.request(method, url);
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// The CRM's name in the simulator's control API, and in tokens' there.
    pub(crate) fn system(&self) -> &'static str {
        match self.crm {
            CrmKind::Salesforce => "salesforce",
            CrmKind::Dynamics365 => "dataverse",
        }
    }

    /// The name that people know the CRM by.
    pub(crate) fn label(&self) -> &'static str {
        self.crm.label()
    }

    /// Changes the CRM's behaviour.
    pub(crate) async fn settings(&self, settings: Value) {
        self.control(
            Method::PATCH,
            "/settings",
            json!({ self.system(): settings }),
        )
        .await;
    }

    /// Adds a fault to the simulator.
    pub(crate) async fn fault(&self, fault: Value) {
        self.control(Method::POST, "/faults", fault).await;
    }

    pub(crate) async fn no_faults(&self) {
        self.control(Method::DELETE, "/faults", Value::Null).await;
    }

    /// The calls that arrived at the simulator, as `METHOD path`.
    pub(crate) async fn calls(&self) -> Vec<String> {
        let ledger = self.control(Method::GET, "/ledger", Value::Null).await;
        let entries = ledger.as_array().unwrap().iter();
        let text = |entry: &Value, name: &str| entry[name].as_str().unwrap().to_owned();
        entries
            .map(|entry| format!("{} {}", text(entry, "method"), text(entry, "path")))
            .collect()
    }

    pub(crate) async fn forget_calls(&self) {
        self.control(Method::DELETE, "/ledger", Value::Null).await;
    }

    /// The number of calls whose `METHOD path` contains `part`.
    pub(crate) async fn count_calls(&self, part: &str) -> usize {
        let calls = self.calls().await;
        calls.iter().filter(|call| call.contains(part)).count()
    }

    // Actions of people and browsers.

    async fn request(apps: &Apps, request: Request<Body>) -> Answer {
        let answer = apps.router().oneshot(request).await.unwrap();
        let (parts, body) = answer.into_parts();
        let body = to_bytes(body, 1 << 20).await.unwrap();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            json: serde_json::from_slice(&body).unwrap_or_default(),
        }
    }

    /// Sends a request to a process, as a caller.
    pub(crate) async fn call(
        &self,
        apps: &Apps,
        who: Who<'_>,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Answer {
        let request = Request::builder().method(method).uri(path);
        let request = match who {
            Who::Administrator => {
                let token = &self.made.tokens.administrator;
                request.header(header::AUTHORIZATION, format!("Bearer {token}"))
            }
            Who::Token(token) => request.header(header::AUTHORIZATION, format!("Bearer {token}")),
            Who::Seat(seat) => request
                .header(header::COOKIE, &seat.cookie)
                .header("x-csrf-token", &seat.csrf),
        };
        let body = if body.is_null() {
            Body::empty()
        } else {
            Body::from(body.to_string())
        };
        let request = request.header(header::CONTENT_TYPE, "application/json");
        Self::request(apps, request.body(body).unwrap()).await
    }

    /// A request to the API as an administrator.
    pub(crate) async fn api(&self, method: Method, path: &str, body: Value) -> Answer {
        let path = format!("/api/v1{path}");
        self.call(&self.apps, Who::Administrator, method, &path, &body)
            .await
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.api(Method::GET, path, Value::Null).await.is(200).json
    }

    /// A request about an environment.
    pub(crate) async fn of(
        &self,
        environment: Environment,
        method: Method,
        path: &str,
        body: Value,
    ) -> Answer {
        let path = format!("/crm-connections/{environment}{path}");
        self.api(method, &path, body).await
    }

    /// *Check permission status*.
    pub(crate) async fn check(&self, environment: Environment) -> Answer {
        let path = "/permissions/check";
        self.of(environment, Method::POST, path, Value::Null).await
    }

    /// *Sync now*.
    pub(crate) async fn sync_now(&self, environment: Environment) -> Answer {
        self.of(environment, Method::POST, "/sync", Value::Null)
            .await
    }

    /// Asks for the end of an environment's connection.
    pub(crate) async fn disconnect(&self, environment: Environment, clean_up: bool) -> Answer {
        let body = json!({ "clean_up": clean_up });
        self.of(environment, Method::POST, "/disconnect", body)
            .await
    }

    /// The connection of an environment as people see it.
    pub(crate) async fn view(&self, environment: Environment) -> Value {
        self.view_by(&self.apps, environment).await
    }

    /// The same, by a process.
    pub(crate) async fn view_by(&self, apps: &Apps, environment: Environment) -> Value {
        let path = format!("/api/v1/crm-connections/{environment}");
        let none = Value::Null;
        let answer = self.call(apps, Who::Administrator, Method::GET, &path, &none);
        answer.await.is(200).json
    }

    /// The notices about a connection.
    pub(crate) async fn notices(&self, who: Who<'_>, about: &str) -> Vec<Value> {
        let none = Value::Null;
        let answer = self.call(&self.apps, who, Method::GET, "/api/v1/notices", &none);
        let notices = answer.await.is(200).json;
        let items = notices["items"].as_array().unwrap().iter();
        items
            .filter(|item| item["about"] == about)
            .cloned()
            .collect()
    }

    pub(crate) fn provider(&self) -> &'static str {
        self.system()
    }

    /// Starts to connect, in a process.
    pub(crate) async fn begin(
        &self,
        apps: &Apps,
        who: Who<'_>,
        provider: &str,
        body: &Value,
    ) -> Answer {
        let path = format!("/oauth/{provider}/start");
        self.call(apps, who, Method::POST, &path, body).await
    }

    fn target(&self, environment: Environment) -> Value {
        let simulator = &self.stack.simulator;
        match self.crm {
            CrmKind::Salesforce => {
                json!({ "environment": environment, "login_url": simulator.salesforce_url() })
            }
            CrmKind::Dynamics365 => {
                json!({ "environment": environment, "organization_url": simulator.dataverse_url() })
            }
        }
    }

    /// Starts to connect an environment. The sandbox is another organisation.
    pub(crate) async fn begin_crm(&self, apps: &Apps, environment: Environment) -> Started {
        let body = self.target(environment);
        let answer = self
            .begin(apps, Who::Administrator, self.provider(), &body)
            .await
            .is(200);
        let mut started = started(&answer);
        if environment == SANDBOX {
            self.in_the_other_organization(&mut started).await;
        }
        started
    }

    /// Makes a sign-in lead into another organisation than the usual one.
    pub(crate) async fn in_the_other_organization(&self, started: &mut Started) {
        match self.crm {
            CrmKind::Salesforce => {
                let mut pairs = started.authorize_url.query_pairs_mut();
                pairs.append_pair("org", "sandbox");
            }
            CrmKind::Dynamics365 => {
                let who = json!({
                    "OrganizationId": "5f1d0000-0000-4000-8000-0000000000aa",
                    "UserId": "5f1d0000-0000-4000-8000-0000000000ab",
                    "BusinessUnitId": "5f1d0000-0000-4000-8000-0000000000ac",
                });
                self.fault(
                    json!({ "system": "dataverse", "method": "GET", "path_contains": "WhoAmI",
                    "kind": "status", "status": 200, "body": who }),
                )
                .await;
            }
        }
    }

    /// Signs in at the provider, as a browser would, and returns the address that it is sent back to.
    pub(crate) async fn sign_in(&self, started: &Started) -> Url {
        let answer = self.http.get(started.authorize_url.clone()).send().await;
        let answer = answer.unwrap();
        let back = answer.headers().get(header::LOCATION);
        let back = back.unwrap_or_else(|| panic!("{}", started.authorize_url));
        back.to_str().unwrap().parse().unwrap()
    }

    /// Comes back from the provider, into a process.
    pub(crate) async fn come_back(&self, apps: &Apps, back: &Url, cookie: &str) -> Answer {
        let path = format!("{}?{}", back.path(), back.query().unwrap_or_default());
        let request = Request::get(path)
            .header(header::ACCEPT, "application/json")
            .header(header::COOKIE, cookie);
        Self::request(apps, request.body(Body::empty()).unwrap()).await
    }

    /// The rest of the way, once started.
    pub(crate) async fn complete(&self, apps: &Apps, started: &Started) -> Answer {
        let back = self.sign_in(started).await;
        self.come_back(apps, &back, &started.cookie).await
    }

    /// The whole way, from start to the callback's answer.
    pub(crate) async fn connect(&self, environment: Environment) -> Answer {
        let started = self.begin_crm(&self.apps, environment).await;
        self.complete(&self.apps, &started).await
    }

    /// The same, as a user of the CRM.
    pub(crate) async fn connect_as(&self, environment: Environment, user: &str) -> Answer {
        let mut started = self.begin_crm(&self.apps, environment).await;
        started.hint(user);
        self.complete(&self.apps, &started).await
    }

    /// Connects, and imports for the first time.
    pub(crate) async fn connect_and_import(&self, environment: Environment) {
        self.connect(environment).await.is(200);
        self.drain().await;
        assert_eq!(self.view(environment).await["sync"]["state"], "succeeded");
    }

    /// A new seat whose holder has accepted the invitation.
    pub(crate) async fn seat(&self, user: &str) -> SignedIn {
        let body = json!({ "name": "Somebody", "email": user, "role": "salesperson" });
        let made = self.api(Method::POST, "/seats", body).await.is(201).json;
        let provider = match self.crm {
            CrmKind::Salesforce => "salesforce",
            CrmKind::Dynamics365 => "entra",
        };
        let link: Url = made["invitation"][provider]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        let query = link.query().unwrap().to_owned();
        self.sign_in_seat(user, &query).await
    }

    /// A seat holder signs in again.
    pub(crate) async fn again(&self, user: &str) -> SignedIn {
        let query = format!("contract={}", self.made.id);
        self.sign_in_seat(user, &query).await
    }

    async fn sign_in_seat(&self, user: &str, query: &str) -> SignedIn {
        let (provider, login) = match self.crm {
            CrmKind::Salesforce => (
                "salesforce",
                format!("&login_url={}", self.stack.simulator.salesforce_url()),
            ),
            CrmKind::Dynamics365 => ("entra", String::new()),
        };
        let path = format!("/oauth/sign-in/{provider}?{query}{login}");
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = Self::request(&self.apps, request).await.is(303);
        let mut started = Started {
            authorize_url: answer.headers[header::LOCATION]
                .to_str()
                .unwrap()
                .parse()
                .unwrap(),
            cookie: answer.cookie("__Host-lb_oauth_"),
        };
        started.hint(user);
        let answer = self.complete(&self.apps, &started).await.is(200);
        let mut seat = SignedIn {
            seat: answer.json["seat"].as_str().unwrap().to_owned(),
            cookie: answer.cookie("__Host-lb_session="),
            csrf: String::new(),
        };
        let none = Value::Null;
        let session = self
            .call(
                &self.apps,
                Who::Seat(&seat),
                Method::GET,
                "/api/v1/session",
                &none,
            )
            .await
            .is(200);
        session.json["csrf_token"]
            .as_str()
            .unwrap()
            .clone_into(&mut seat.csrf);
        seat
    }

    /// A seat holder starts to sign in to the CRM.
    pub(crate) async fn begin_own(&self, seat: &SignedIn, user: &str) -> Started {
        let answer = self
            .begin(&self.apps, Who::Seat(seat), "user", &json!({}))
            .await;
        let mut started = started(&answer.is(200));
        started.hint(user);
        started
    }

    /// A seat holder's own connection, as they see it.
    pub(crate) async fn own(&self, seat: &SignedIn) -> Value {
        let path = "/api/v1/me/crm-connections/production";
        let none = Value::Null;
        let answer = self.call(&self.apps, Who::Seat(seat), Method::GET, path, &none);
        answer.await.is(200).json
    }

    /// Signs a seat holder in to the CRM as one of its users.
    pub(crate) async fn sign_in_own(&self, seat: &SignedIn, user: &str) -> Answer {
        let started = self.begin_own(seat, user).await;
        self.complete(&self.apps, &started).await
    }

    // Actions of the schedules and queues.

    /// Works on all announced messages; returns their number.
    pub(crate) async fn drain(&self) -> usize {
        drain_imports(&self.stack, &self.apps).await
    }

    /// The open work, due now or later.
    pub(crate) async fn open_work(&self) -> Vec<WorkKind> {
        let due = self.store().due_work(FAR, 100).await.unwrap();
        due.into_iter().map(|(_, work)| work).collect()
    }

    /// Lets minutes pass, with a healthy worker, until there is nothing left to do. Returns the number of
    /// minutes.
    pub(crate) async fn settle(&self) -> usize {
        for minutes in 0..60 {
            self.drain().await;
            if self.open_work().await.is_empty() {
                return minutes;
            }
            self.advance(ROUND_SECONDS).await;
            crm_import::run(&self.apps.import, crm_import::Task::Resume)
                .await
                .unwrap();
        }
        panic!("still to do: {:?}", self.open_work().await);
    }

    /// Runs the schedule's task of every 12 hours.
    pub(crate) async fn start_syncs(&self) -> crm_import::Outcome {
        let task = crm_import::Task::StartSyncs { contract: None };
        crm_import::run(&self.apps.import, task).await.unwrap()
    }

    /// One message, to one process.
    pub(crate) async fn work(&self, apps: &Apps, work: WorkKind) -> bool {
        let contract = self.made.id.clone();
        crm_import::work(&apps.import, &ImportMessage { contract, work }).await
    }

    // The stored items, and the provider's answers.

    pub(crate) async fn connection(&self, kind: ConnectionKind) -> Option<Connection> {
        self.store().connection(&self.made.id, kind).await.unwrap()
    }

    /// The audit entries of an action, newest first.
    pub(crate) async fn audit(&self, action: &str) -> Vec<AuditEntry> {
        let log = self.store().audit_log(&self.made.id, 500, None).await;
        let entries = log.unwrap().items.into_iter();
        entries.filter(|entry| entry.action == action).collect()
    }

    /// The number of the contract's items, by kind: the part of the partition key that follows the contract,
    /// with the environment or connection where there is one.
    pub(crate) async fn items(&self) -> BTreeMap<String, usize> {
        let prefix = format!("C#{}", self.made.id);
        let mut count = BTreeMap::new();
        for item in self.scan().await {
            let Some(AttributeValue::S(pk)) = item.get("PK") else {
                panic!("an item without a key");
            };
            let Some(rest) = pk.strip_prefix(&prefix) else {
                continue;
            };
            let parts: Vec<&str> = rest.trim_start_matches('#').split('#').collect();
            let kept = match parts[0] {
                "IMPORTED" | "MIRROR" | "MATCHKEY" | "SEEN" | "CRM" | "CONNECTION" => 2,
                _ => 1,
            };
            let name = parts
                .iter()
                .take(kept)
                .copied()
                .collect::<Vec<_>>()
                .join("#");
            *count.entry(name).or_default() += 1;
        }
        count
    }

    async fn scan(&self) -> Vec<Item> {
        let client = shared::aws::dynamodb(&self.stack.aws);
        let mut items = Vec::new();
        let mut start = None;
        loop {
            let page = client
                .scan()
                .table_name(local::TABLE)
                .set_exclusive_start_key(start)
                .send()
                .await
                .unwrap();
            items.extend(page.items.unwrap_or_default());
            start = page.last_evaluated_key.filter(|key| !key.is_empty());
            if start.is_none() {
                return items;
            }
        }
    }

    /// Everything that is stored, but for the audit log.
    pub(crate) async fn snapshot(&self) -> Vec<Item> {
        let mut items = self.scan().await;
        items.retain(|item| item["PK"].as_s().is_ok_and(|pk| !pk.ends_with("#AUDIT")));
        items
    }

    /// Resets the table to an earlier snapshot, but for the audit log, which goes on.
    pub(crate) async fn reset(&self, then: &[Item]) {
        let key = |item: &Item| {
            Item::from(["PK", "SK"].map(|name| (name.to_owned(), item[name].clone())))
        };
        let known: Vec<Item> = then.iter().map(key).collect();
        let now = self.snapshot().await;
        let new = now.iter().map(key).filter(|key| !known.contains(key));
        let deletes = new.map(|key| {
            let delete = DeleteRequest::builder().set_key(Some(key)).build();
            WriteRequest::builder()
                .delete_request(delete.unwrap())
                .build()
        });
        let requests = deletes.chain(then.iter().map(put));
        self.write(requests.collect()).await;
    }

    async fn write(&self, requests: Vec<WriteRequest>) {
        let client = shared::aws::dynamodb(&self.stack.aws);
        for chunk in requests.chunks(25) {
            let write = client.batch_write_item();
            let write = write.request_items(local::TABLE, chunk.to_vec());
            write.send().await.unwrap();
        }
    }

    /// Puts `count` items into an imported partition, as an import of many records would.
    pub(crate) async fn fill(&self, environment: Environment, count: usize) {
        let pk = format!("C#{}#IMPORTED#{environment}", self.made.id);
        let items = (0..count).map(|number| {
            Item::from([
                ("PK".to_owned(), AttributeValue::S(pk.clone())),
                (
                    "SK".to_owned(),
                    AttributeValue::S(format!("RECORD#{number:06}")),
                ),
            ])
        });
        self.write(items.map(|item| put(&item)).collect()).await;
    }

    /// Gives a connection valid tokens, without a sign-in.
    pub(crate) async fn new_tokens(&self, kind: ConnectionKind) -> Tokens {
        let provider = json!({ "provider": self.system() });
        let minted = self.control(Method::POST, "/tokens", provider).await;
        let text = |name: &str| minted[name].as_str().map(str::to_owned);
        let tokens = Tokens {
            access_token: text("access_token").unwrap(),
            refresh_token: text("refresh_token"),
            expires_at: None,
        };
        let mut connection = self.connection(kind).await.unwrap();
        let purpose = Purpose {
            contract: &self.made.id,
            name: &kind.purpose(),
        };
        let sealed = seal_tokens(&self.apps.oauth.remote.vault, purpose, &tokens).await;
        connection.sealed_tokens = Some(sealed.unwrap());
        self.store().put_connection(&connection).await.unwrap();
        tokens
    }

    /// A connection's tokens, opened.
    pub(crate) async fn tokens(&self, kind: ConnectionKind) -> Tokens {
        let connection = self.connection(kind).await.unwrap();
        let purpose = Purpose {
            contract: &self.made.id,
            name: &kind.purpose(),
        };
        let sealed = connection.sealed_tokens.unwrap();
        let opened = self.apps.oauth.remote.vault.open(purpose, &sealed).await;
        serde_json::from_str(&opened.unwrap()).unwrap()
    }

    /// A path that every user of the CRM can read.
    pub(crate) fn ping(&self) -> &'static str {
        match self.crm {
            CrmKind::Salesforce => "/services/data/v67.0/limits",
            CrmKind::Dynamics365 => "/api/data/v9.2/WhoAmI",
        }
    }

    fn base(&self) -> &str {
        match self.crm {
            CrmKind::Salesforce => self.stack.simulator.salesforce_url(),
            CrmKind::Dynamics365 => self.stack.simulator.dataverse_url(),
        }
    }

    /// True if the CRM still accepts an access token.
    pub(crate) async fn lets_in(&self, tokens: &Tokens) -> bool {
        let url = format!("{}{}", self.base(), self.ping());
        let request = self.http.get(url).bearer_auth(&tokens.access_token);
        request.send().await.unwrap().status() == 200
    }

    /// True if the sign-in server still renews a refresh token.
    pub(crate) async fn renews(&self, tokens: &Tokens) -> bool {
        let (path, name) = match self.crm {
            CrmKind::Salesforce => ("/services/oauth2/token", "salesforce"),
            CrmKind::Dynamics365 => ("/organizations/oauth2/v2.0/token", "dataverse"),
        };
        let (client_id, client_secret) =
            (format!("leadbridge-{name}"), format!("{name}-app-secret"));
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", client_id.as_str()),
            ("client_secret", client_secret.as_str()),
            ("refresh_token", tokens.refresh_token.as_deref().unwrap()),
        ];
        let form = form.map(|(name, value)| format!("{name}={}", encoded(value)));
        let request = self
            .http
            .post(format!("{}{path}", self.base()))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form.join("&"));
        request.send().await.unwrap().status() == 200
    }

    /// A call with a connection's tokens, by a process that has not opened it yet.
    pub(crate) async fn use_connection(
        &self,
        apps: &Apps,
        kind: ConnectionKind,
    ) -> Result<u16, SessionError> {
        let sessions = &apps.import.remote.sessions;
        sessions.forget(&self.made.id, kind).await;
        let session = sessions.open(&self.made.id, kind).await?;
        let url = session.url(self.ping())?;
        let answer = session.send(Call::new(session.provider, Method::GET, url));
        Ok(answer.await?.status.as_u16())
    }
}

impl Started {
    /// Sets the user who is going to sign in.
    pub(crate) fn hint(&mut self, user: &str) {
        let mut pairs = self.authorize_url.query_pairs_mut();
        pairs.append_pair("login_hint", user);
    }
}

fn put(item: &Item) -> WriteRequest {
    let put = PutRequest::builder().set_item(Some(item.clone())).build();
    WriteRequest::builder().put_request(put.unwrap()).build()
}

/// The flow in the answer to a start request.
pub(crate) fn started(answer: &Answer) -> Started {
    let url = answer.json["authorize_url"].as_str().unwrap();
    Started {
        authorize_url: url.parse().unwrap(),
        cookie: answer.cookie("__Host-lb_oauth_"),
    }
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

async fn make(remote: &Remote, id: &str, crm: CrmKind) -> Made {
    let maker = Maker {
        store: &remote.store,
        vault: &remote.vault,
        random: &SystemRandom,
        now: remote.clock.now(),
    };
    let new = NewContract {
        id: id.parse().unwrap(),
        name: "Acme".to_owned(),
        crm,
        fixed: None,
        linkedin_owners: Vec::new(),
    };
    maker.make(new).await.unwrap()
}
