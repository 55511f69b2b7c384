//! Our OAuth and `OpenID` Connect client against an authorization server that is not ours (CN-3).
//!
//! The server is oidc-provider, a certified one, under the paths that a CRM's sign-in has;
//! headless Chromium signs in and consents there, as a person would. See
//! `tests/browser/README.md`. Where the server's packages or the browser are missing the tests
//! say so and check nothing, unless `LEADBRIDGE_SIGN_IN_TESTS` is `required`.

mod server;

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use e2e::browser::{Browser, DRIVER};
use futures::future::join_all;
use http::{Method, StatusCode};
use local::seed::{Made, Maker, NewContract};
use local::{Apps, Options, Stack};
use reqwest::Client;
use serde_json::{Value, json};
use shared::clock::{Clock as _, SystemClock};
use shared::config::Source;
use shared::domain::environment::Environment;
use shared::domain::ids::SeatId;
use shared::domain::schema::CrmKind;
use shared::oauth::{App, Tokens};
use shared::outbound::Call;
use shared::problem::Problem;
use shared::queue::ImportMessage;
use shared::random::{Random as _, SystemRandom};
use shared::session::{SessionError, Sessions};
use shared::signature::sha256_hex;
use shared::store::{Connection, ConnectionKind, ConnectionState, WorkKind};
use shared::vault::Purpose;
use shared::wiring::{Remote, RemoteConfig};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use url::Url;

use self::server::{Server, Shape, named};

/// The person who signs in.
const LOGIN: &str = "ada@acme.example";
/// Another person of the same organisation.
const OTHER_LOGIN: &str = "grace@acme.example";
/// The cookie of a signed-in browser.
const SESSION_COOKIE: &str = "__Host-lb_session";
/// The connection that the tests make.
const KIND: ConnectionKind = ConnectionKind::PRODUCTION;
/// A PKCE verifier with its challenge: RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// The functions, the certified server as their CRM's sign-in, and a contract that uses it.
struct World {
    shape: Shape,
    server: Server,
    stack: Stack,
    /// The environment that the functions run with.
    variables: BTreeMap<String, String>,
    apps: Apps,
    made: Made,
    /// Our client at the server.
    client: App,
    /// The address of the functions for a browser. It is another site than the server's: `localhost` is not
    /// `127.0.0.1`.
    public_url: Url,
    gateway: JoinHandle<()>,
}

/// A browser that calls the API from any of its answers. Their own policy lets them load nothing, which
/// `edge.rs` tests.
async fn api_browser() -> Browser {
    let browser = Browser::start().await;
    browser.bypass_policies().await;
    browser
}

impl World {
    /// The world, or nothing if it cannot be made and is not required.
    async fn start(shape: Shape) -> Option<Self> {
        Self::start_with(shape, |client| client.client_secret.clone()).await
    }

    /// The same, with a server that knows this secret of our client.
    async fn start_with(shape: Shape, secret: impl Fn(&App) -> String) -> Option<Self> {
        if !installed() {
            return None;
        }
        let stack = Stack::start(Options::default()).await.unwrap();
        let gateway = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = gateway.local_addr().unwrap().port();
        let public_url: Url = format!("http://localhost:{port}").parse().unwrap();

        let mut variables = stack.variables.clone();
        let (provider, crm) = match shape {
            Shape::Salesforce => ("salesforce", CrmKind::Salesforce),
            Shape::Entra => ("dataverse", CrmKind::Dynamics365),
        };
        let file = variables["LEADBRIDGE_OAUTH_APPS"]
            .strip_prefix("file:")
            .unwrap();
        let clients = std::fs::read_to_string(file).unwrap();
        let mut clients: BTreeMap<String, App> = serde_json::from_str(&clients).unwrap();
        let client = clients.remove(provider).unwrap();
        let redirect_uris =
            ["oauth/callback", "elsewhere"].map(|path| format!("{public_url}{path}"));
        let server =
            Server::start(shape, &client.client_id, &secret(&client), &redirect_uris).await;
        for (name, value) in [
            ("LEADBRIDGE_OUTBOUND_ALLOW", &server.url),
            ("LEADBRIDGE_ENTRA_URL", &server.url),
            ("LEADBRIDGE_PUBLIC_URL", &public_url),
        ] {
            variables.insert(
                name.to_owned(),
                value.as_str().trim_end_matches('/').to_owned(),
            );
        }
        let apps = Apps::build(&variables, &stack.aws).unwrap();
        let remote = &apps.oauth.remote;
        let new = NewContract {
            id: "acme".parse().unwrap(),
            name: "Acme".to_owned(),
            crm,
            fixed: None,
            linkedin_owners: Vec::new(),
        };
        let maker = Maker {
            store: &remote.store,
            vault: &remote.vault,
            random: &SystemRandom,
            now: SystemClock.now(),
        };
        let made = maker.make(new).await.unwrap();
        let router = apps.router();
        Some(Self {
            shape,
            server,
            stack,
            variables,
            made,
            client,
            public_url,
            gateway: tokio::spawn(async move { axum::serve(gateway, router).await.unwrap() }),
            apps,
        })
    }

    fn remote(&self) -> &Remote {
        &self.apps.oauth.remote
    }

    fn at(&self, path: &str) -> Url {
        self.public_url.join(path).unwrap()
    }

    /// Starts a connection in the browser, as the administrator's page does, and returns the
    /// address to go to.
    async fn start_connecting(&self, browser: &Browser) -> Url {
        let (provider, target) = match self.shape {
            Shape::Salesforce => ("salesforce", json!({ "login_url": self.server.url })),
            Shape::Entra => ("dataverse", json!({ "organization_url": self.server.url })),
        };
        // A browser forgets it where it opens another site in between.
        browser.bypass_policies().await;
        browser.go(&self.at("/api/v1/health")).await;
        let token = format!("Bearer {}", self.made.tokens.administrator);
        let request = json!({
            "method": "POST", "headers": { "authorization": token }, "body": target.to_string(),
        });
        let path = format!("/oauth/{provider}/start");
        let (status, answer) = browser.fetch(&path, &request).await;
        assert_eq!(status, 200, "{answer}");
        answer["authorize_url"].as_str().unwrap().parse().unwrap()
    }

    /// Connects, with login and consent, and returns the text of the last page.
    async fn connect(&self, browser: &Browser) -> String {
        let url = self.start_connecting(browser).await;
        browser.go(&url).await;
        log_in(browser, LOGIN).await;
        consent(browser).await;
        self.came_back(browser).await
    }

    /// A call to the API with the administrator's token.
    async fn api(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let mut call = Client::new().request(method, self.at(&format!("/api/v1{path}")));
        if !body.is_null() {
            call = call.json(&body);
        }
        let token = &self.made.tokens.administrator;
        let answer = call.bearer_auth(token).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap())
    }

    /// The connection as the administrator's page shows it.
    async fn shown(&self) -> Value {
        let path = "/crm-connections/production";
        let (status, shown) = self.api(Method::GET, path, Value::Null).await;
        assert_eq!(status, 200, "{shown}");
        shown
    }

    /// Makes a seat for a person and returns the link to send to them, and the seat's id.
    async fn invite(&self, email: &str) -> (Url, SeatId) {
        let seat = json!({ "name": "Ada Example", "email": email, "role": "salesperson" });
        let (status, invited) = self.api(Method::POST, "/seats", seat).await;
        assert_eq!(status, 201, "{invited}");
        let link = match self.shape {
            Shape::Salesforce => &invited["invitation"]["salesforce"],
            Shape::Entra => &invited["invitation"]["entra"],
        };
        let link = link.as_str().unwrap().parse().unwrap();
        let id = invited["id"].as_str().unwrap().parse().unwrap();
        (self.sign_in_link(&link), id)
    }

    /// The sign-in page for people who signed in before.
    fn sign_in_page(&self) -> Url {
        let provider = match self.shape {
            Shape::Salesforce => "salesforce",
            Shape::Entra => "entra",
        };
        let mut link = self.at(&format!("/oauth/sign-in/{provider}"));
        let contract = self.made.id.as_str();
        link.query_pairs_mut()
            .append_pair("contract", contract)
            .append_pair("return_to", "/api/v1/me");
        self.sign_in_link(&link)
    }

    /// A link to sign in by, with the address of this Salesforce: it need not be connected.
    fn sign_in_link(&self, link: &Url) -> Url {
        let mut link = link.clone();
        if self.shape == Shape::Salesforce {
            let server = self.server.url.as_str();
            link.query_pairs_mut().append_pair("login_url", server);
        }
        link
    }

    /// Waits until the browser is at the link's final address, and returns its session.
    async fn signed_in(&self, browser: &Browser, link: &Url) -> Value {
        let mut pairs = link.query_pairs();
        let (_, back) = pairs.find(|(name, _)| name == "return_to").unwrap();
        browser.arrive(&self.at(&back)).await;
        self.session(browser).await
    }

    /// The session that the browser shows when it is sent to look at it.
    async fn session(&self, browser: &Browser) -> Value {
        browser.go(&self.at("/api/v1/session")).await;
        let text = browser.text().await;
        serde_json::from_str(&text).expect(&text)
    }

    /// Runs crm-import's work of ending connections, and then the work that it announced.
    async fn end(&self, kinds: &[ConnectionKind]) {
        for kind in kinds {
            let message = ImportMessage {
                contract: self.made.id.clone(),
                work: WorkKind::Disconnect(*kind),
            };
            assert!(crm_import::work(&self.apps.import, &message).await);
        }
    }

    /// The text of the page that the server sends the browser back to.
    async fn came_back(&self, browser: &Browser) -> String {
        browser.arrive(&self.at("/oauth/callback")).await;
        browser.text().await
    }

    async fn connection(&self) -> Option<Connection> {
        self.connection_of(KIND).await
    }

    async fn connection_of(&self, kind: ConnectionKind) -> Option<Connection> {
        let store = &self.remote().store;
        store.connection(&self.made.id, kind).await.unwrap()
    }

    /// The connection's tokens as they are stored.
    async fn tokens(&self) -> Tokens {
        self.tokens_of(KIND).await
    }

    async fn tokens_of(&self, kind: ConnectionKind) -> Tokens {
        let name = kind.purpose();
        let purpose = Purpose {
            contract: &self.made.id,
            name: &name,
        };
        let connection = self.connection_of(kind).await.unwrap();
        let sealed = connection.sealed_tokens.unwrap();
        let text = self.remote().vault.open(purpose, &sealed).await.unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// A worker of a process of its own: it shares nothing with others but the table.
    fn worker(&self) -> Sessions {
        let source = Source::fixed(self.variables.clone());
        let config = RemoteConfig::from_source(&source).unwrap();
        let Remote {
            store,
            outbound,
            clock,
            ..
        } = self.remote().clone();
        let remote = Remote::with(&config, &self.stack.aws, store, outbound, clock);
        remote.unwrap().sessions
    }

    /// A call to the CRM's API with the connection's tokens.
    async fn call(&self, sessions: &Sessions) -> Result<StatusCode, SessionError> {
        let session = sessions.open(&self.made.id, KIND).await?;
        let path = match self.shape {
            Shape::Salesforce => "/services/data/v67.0/limits",
            Shape::Entra => "/api/data/v9.2/WhoAmI",
        };
        let call = Call::new(session.provider, Method::GET, session.url(path)?);
        session.send(call).await.map(|answer| answer.status)
    }

    /// The server's token endpoint.
    fn token_path(&self) -> &'static str {
        match self.shape {
            Shape::Salesforce => "/services/oauth2/token",
            Shape::Entra => "/organizations/oauth2/v2.0/token",
        }
    }

    /// True if the server says that a token still works.
    async fn is_active(&self, token: &str) -> bool {
        let path = self.token_path().replace("/token", "/introspect");
        let form = [
            ("token", token),
            ("client_id", &self.client.client_id),
            ("client_secret", &self.client.client_secret),
        ];
        let (status, answer) = self.server.post(&path, &form).await;
        assert_eq!(status, 200, "{answer}");
        answer["active"].as_bool().unwrap()
    }

    async fn stop(self) {
        self.gateway.abort();
        self.stack.stop().await;
    }
}

/// Fills in the server's login page.
async fn log_in(browser: &Browser, login: &str) {
    browser.fill("input[name=login]", login).await;
    browser.fill("input[name=password]", "a password").await;
    browser.click("form:has([value=login]) button").await;
}

/// The server's page that asks whether we may.
async fn consent(browser: &Browser) {
    browser.click("form:has([value=consent]) button").await;
}

/// The name of the cookie that ties an attempt to its browser.
fn attempt_cookie(authorize_url: &Url) -> String {
    let mut pairs = authorize_url.query_pairs();
    let (_, state) = pairs.find(|(name, _)| name == "state").unwrap();
    format!("__Host-lb_oauth_{}", &sha256_hex(&[state.as_bytes()])[..12])
}

/// Asserts that a page shows a problem.
fn assert_told(page: &str, code: &str) {
    let title = Problem::new(400, code, "", "").title;
    assert!(page.contains(&title), "{page}");
}

/// True if the server and the browser are installed.
#[expect(clippy::disallowed_methods, reason = "the suite's one switch")]
fn installed() -> bool {
    let package = server::folder().join("node_modules/oidc-provider/package.json");
    let starts = |program: &str| {
        Command::new(program)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    let missing = if !package.exists() || !starts("node") {
        "oidc-provider, or Node.js"
    } else if !starts(DRIVER) {
        "chromedriver"
    } else {
        return true;
    };
    let text = format!("{missing} is not installed; run `cargo xtask setup` first");
    assert_ne!(
        std::env::var("LEADBRIDGE_SIGN_IN_TESTS").as_deref(),
        Ok("required"),
        "{text}"
    );
    eprintln!("skipped: {text}");
    false
}

/// CN-3: the whole way, in the browser that started it, with the cookie that only it has.
#[tokio::test]
async fn a_crm_is_connected_in_a_browser() {
    for shape in [Shape::Salesforce, Shape::Entra] {
        let Some(world) = World::start(shape).await else {
            return;
        };
        let browser = api_browser().await;
        let url = world.start_connecting(&browser).await;
        let name = attempt_cookie(&url);
        let cookie = browser.cookie(&name).await.unwrap();
        assert_eq!(
            (&cookie["secure"], &cookie["httpOnly"], &cookie["sameSite"]),
            (&json!(true), &json!(true), &json!("Lax"))
        );
        browser.go(&url).await;
        log_in(&browser, LOGIN).await;
        consent(&browser).await;
        let page = world.came_back(&browser).await;
        assert!(page.contains("Connected"), "{page}");
        assert_eq!(browser.cookie(&name).await, None);

        let connection = world.connection().await.unwrap();
        assert_eq!(connection.state, ConnectionState::Connected);
        assert_eq!(connection.organization, world.server.organization);
        assert_eq!(connection.base_url, world.server.url);
        let status = world.call(&world.worker()).await.unwrap();
        assert_eq!(status, StatusCode::OK, "{shape:?}");
        let events = world.server.events().await;
        let asked: Vec<_> = named(&events, "asked");
        assert_eq!(
            (&asked[0]["prompt"], &asked[1]["prompt"]),
            (&json!("login"), &json!("consent"))
        );
        assert_eq!(named(&events, "tokens_issued").len(), 1, "{events:?}");
        world.stop().await;
    }
}

/// Another browser that gets hold of the way back ends nowhere: it lacks the cookie.
#[tokio::test]
async fn the_way_back_works_in_the_browser_that_started_only() {
    let Some(world) = World::start(Shape::Salesforce).await else {
        return;
    };
    let (mine, other) = tokio::join!(Browser::start(), Browser::start());
    let url = world.start_connecting(&mine).await;
    other.go(&url).await;
    log_in(&other, LOGIN).await;
    consent(&other).await;
    let page = world.came_back(&other).await;
    assert_told(&page, "oauth_other_browser");
    assert!(world.connection().await.is_none());
    let events = world.server.events().await;
    assert_eq!(named(&events, "tokens_issued").len(), 0, "{events:?}");
    world.stop().await;
}

/// A rotated refresh token is the next one used, and fifty workers at once rotate it once.
#[tokio::test]
async fn many_workers_refresh_once_and_the_grant_survives() {
    for shape in [Shape::Salesforce, Shape::Entra] {
        let Some(world) = World::start(shape).await else {
            return;
        };
        world.connect(&api_browser().await).await;
        let mut refresh_tokens = vec![world.tokens().await.refresh_token.unwrap()];
        world.server.events().await;
        for round in 0..2 {
            let workers: Vec<Sessions> = (0..50).map(|_| world.worker()).collect();
            // All of them know the token that is about to end.
            for worker in &workers {
                worker.open(&world.made.id, KIND).await.unwrap();
            }
            world.server.end_access_tokens().await;
            let calls = workers.iter().map(|worker| world.call(worker));
            for answer in join_all(calls).await {
                assert_eq!(answer.unwrap(), StatusCode::OK, "round {round}");
            }
            let events = world.server.events().await;
            let issued = named(&events, "tokens_issued");
            assert_eq!(issued.len(), 1, "round {round}: {events:?}");
            assert_eq!(issued[0]["grant_type"], "refresh_token");
            assert_eq!(named(&events, "tokens_refused").len(), 0, "{events:?}");
            assert_eq!(named(&events, "grant_revoked").len(), 0, "{events:?}");
            let token = world.tokens().await.refresh_token.unwrap();
            assert!(!refresh_tokens.contains(&token), "the token was rotated");
            refresh_tokens.push(token);
        }
        let state = world.connection().await.unwrap().state;
        assert_eq!(state, ConnectionState::Connected);
        world.stop().await;
    }
}

/// A replay of a used refresh token ends the whole chain; a person is then asked to sign in (CN-3).
#[tokio::test]
async fn a_replayed_refresh_token_ends_the_connection() {
    let Some(world) = World::start(Shape::Salesforce).await else {
        return;
    };
    world.connect(&api_browser().await).await;
    let old = world.tokens().await.refresh_token.unwrap();
    world.server.end_access_tokens().await;
    world.call(&world.worker()).await.unwrap();
    let new = world.tokens().await;
    let newest = new.refresh_token.unwrap();
    assert!(world.is_active(&newest).await && world.is_active(&new.access_token).await);
    world.server.events().await;

    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &*old),
        ("client_id", &world.client.client_id),
        ("client_secret", &world.client.client_secret),
    ];
    let (status, answer) = world.server.post(world.token_path(), &form).await;
    assert_eq!((status, &answer["error"]), (400, &json!("invalid_grant")));
    let events = world.server.events().await;
    assert_eq!(
        named(&events, "tokens_refused")[0]["why"],
        "refresh token already used"
    );
    assert_eq!(named(&events, "grant_revoked")[0]["by"], "token");
    assert!(!world.is_active(&newest).await && !world.is_active(&new.access_token).await);

    let refused = world.call(&world.worker()).await;
    assert!(
        matches!(refused, Err(SessionError::SignInNeeded(_))),
        "{refused:?}"
    );
    let state = world.connection().await.unwrap().state;
    assert_eq!(state, ConnectionState::SignInNeeded);
    let shown = world.shown().await;
    assert_eq!(
        (&shown["status"], &shown["problem"]["code"]),
        (&json!("sign_in_needed"), &json!("sign_in_needed"))
    );
    let next_step = shown["problem"]["next_step"].as_str().unwrap();
    assert!(
        next_step.starts_with("Sign in to Salesforce again"),
        "{next_step}"
    );

    // Signing in again mends it.
    world.connect(&api_browser().await).await;
    let status = world.call(&world.worker()).await.unwrap();
    assert_eq!(status, StatusCode::OK);
    let shown = world.shown().await;
    assert_eq!(shown["status"], "connected", "{shown}");
    world.stop().await;
}

/// People sign in by `OpenID` Connect: by an invitation at first, by their identity from then on.
#[tokio::test]
async fn an_invited_person_signs_in_and_out_in_a_browser() {
    for shape in [Shape::Salesforce, Shape::Entra] {
        let Some(world) = World::start(shape).await else {
            return;
        };
        let (invitation, seat) = world.invite(LOGIN).await;
        let browser = api_browser().await;
        browser.go(&invitation).await;
        log_in(&browser, LOGIN).await;
        consent(&browser).await;
        let session = world.signed_in(&browser, &invitation).await;
        assert_eq!(
            (&session["seat"], &session["email"], &session["role"]),
            (&json!(seat), &json!(LOGIN), &json!("salesperson"))
        );
        let events = world.server.events().await;
        let asked: Vec<_> = named(&events, "asked");
        assert_eq!(
            (&asked[0]["prompt"], &asked[1]["prompt"]),
            (&json!("login"), &json!("consent"))
        );
        // Only the person's identity is asked for: no permission to act without them.
        assert_eq!(
            named(&events, "authorized")[0]["scope"],
            "openid profile email"
        );

        let cookie = browser.cookie(SESSION_COOKIE).await.unwrap();
        assert_eq!(
            (&cookie["secure"], &cookie["httpOnly"], &cookie["sameSite"]),
            (&json!(true), &json!(true), &json!("Lax"))
        );
        let (status, me) = browser.fetch("/api/v1/me", &json!({})).await;
        assert_eq!((status, &me["role"]), (200, &json!("salesperson")), "{me}");

        sign_out(&world, &browser, &session).await;

        // The invitation is used up, and not needed any more. The server still knows the browser.
        let page = world.sign_in_page();
        browser.go(&page).await;
        let again = world.signed_in(&browser, &page).await;
        assert_eq!(again["seat"], json!(seat));
        assert_ne!(again["csrf_token"], session["csrf_token"]);
        let events = world.server.events().await;
        assert_eq!(named(&events, "asked").len(), 0, "{events:?}");
        world.stop().await;
    }
}

/// Signing out ends the session in this browser and in every copy of its cookie; a page that is
/// not ours cannot do it.
async fn sign_out(world: &World, browser: &Browser, session: &Value) {
    let cookie = browser.cookie(SESSION_COOKIE).await.unwrap();
    let cookie = format!("{SESSION_COOKIE}={}", cookie["value"].as_str().unwrap());
    let path = "/api/v1/session";
    let copied = async || {
        let call = Client::new().get(world.at(path)).header("cookie", &cookie);
        call.send().await.unwrap().status().as_u16()
    };
    let (status, refused) = browser.fetch(path, &json!({ "method": "DELETE" })).await;
    assert_eq!(
        (status, &refused["code"]),
        (403, &json!("csrf_token_needed"))
    );

    let ours = world.at(path);
    let headers = json!({ "x-csrf-token": session["csrf_token"] });
    let sign_out = json!({ "method": "DELETE", "headers": headers, "credentials": "include" });
    browser
        .go(&world
            .server
            .url
            .join("/.well-known/openid-configuration")
            .unwrap())
        .await;
    let (status, blocked) = browser.fetch(ours.as_str(), &sign_out).await;
    assert_eq!(status, 0, "{blocked}");
    assert_eq!(world.session(browser).await["seat"], session["seat"]);
    assert_eq!(copied().await, 200);

    let (status, _) = browser.fetch(path, &sign_out).await;
    assert_eq!(status, 204);
    assert_eq!(browser.cookie(SESSION_COOKIE).await, None);
    let (status, _) = browser.fetch(path, &json!({})).await;
    assert_eq!(status, 401);
    assert_eq!(copied().await, 401);
}

/// An invitation is for one person, and an account without an invitation opens nothing.
#[tokio::test]
async fn an_invitation_is_for_the_person_it_names() {
    for shape in [Shape::Salesforce, Shape::Entra] {
        let Some(world) = World::start(shape).await else {
            return;
        };
        let (invitation, _) = world.invite(LOGIN).await;
        let browser = api_browser().await;
        browser.go(&invitation).await;
        log_in(&browser, OTHER_LOGIN).await;
        consent(&browser).await;
        let page = world.came_back(&browser).await;
        assert_told(&page, "invitation_for_another");

        browser.go(&world.sign_in_page()).await;
        let page = world.came_back(&browser).await;
        assert_told(&page, "no_seat");
        assert_eq!(browser.cookie(SESSION_COOKIE).await, None);

        // Nothing was spoilt for the person it is for, in the same browser.
        let mut anew = invitation.clone();
        anew.query_pairs_mut().append_pair("switch_user", "true");
        browser.go(&anew).await;
        log_in(&browser, LOGIN).await;
        consent(&browser).await;
        let session = world.signed_in(&browser, &anew).await;
        assert_eq!(session["email"], LOGIN);
        world.stop().await;
    }
}

/// A disconnect makes the server revoke everything it gave: the administrator's connection, and the sign-ins
/// of seat holders with it (CN-8, CN-11).
#[tokio::test]
async fn a_disconnected_crm_revokes_all_that_it_gave() {
    let Some(world) = World::start(Shape::Salesforce).await else {
        return;
    };
    let administrators = api_browser().await;
    world.connect(&administrators).await;

    // A seat holder signs in to the CRM, from a page of their own browser.
    let (invitation, seat) = world.invite(OTHER_LOGIN).await;
    let own = api_browser().await;
    own.go(&invitation).await;
    log_in(&own, OTHER_LOGIN).await;
    consent(&own).await;
    let session = world.signed_in(&own, &invitation).await;
    let start = json!({
        "method": "POST", "body": json!({ "return_to": "/api/v1/me/crm-connections/production" }).to_string(),
        "headers": { "content-type": "application/json", "x-csrf-token": session["csrf_token"] },
    });
    let (status, started) = own.fetch("/oauth/user/start", &start).await;
    assert_eq!(status, 200, "{started}");
    let url = started["authorize_url"].as_str().unwrap();
    own.go(&url.parse().unwrap()).await;
    // The server knows the person; the permission asked for is new.
    consent(&own).await;
    let path = "/api/v1/me/crm-connections/production";
    own.arrive(&world.at(path)).await;
    let (_, shown) = own.fetch(path, &json!({})).await;
    assert_eq!(
        (&shown["status"], &shown["user"]["username"]),
        (&json!("connected"), &json!(OTHER_LOGIN)),
        "{shown}"
    );
    let days = (shown["valid_until"].as_i64().unwrap() - SystemClock.now().0) / 86_400_000;
    assert_eq!(days, 89, "it counts for 90 days");

    let user = ConnectionKind::User(seat, Environment::Production);
    let mut given = Vec::new();
    for kind in [KIND, user] {
        let tokens = world.tokens_of(kind).await;
        given.extend([tokens.access_token, tokens.refresh_token.unwrap()]);
    }
    for token in &given {
        assert!(world.is_active(token).await);
    }
    world.server.events().await;

    let asked = json!({ "clean_up": false });
    let path = "/crm-connections/production/disconnect";
    let (status, end) = world.api(Method::POST, path, asked).await;
    assert_eq!(status, 202, "{end}");
    world.end(&[KIND, user]).await;

    let events = world.server.events().await;
    let revoked = named(&events, "grant_revoked");
    assert_eq!(revoked.len(), 2, "{events:?}");
    assert!(revoked.iter().all(|event| event["by"] == "revocation"));
    for token in &given {
        assert!(!world.is_active(token).await);
    }
    let shown = world.shown().await;
    assert_eq!(
        (&shown["status"], &shown["disconnect"]["revocation"]),
        (&json!("not_connected"), &json!("revoked")),
        "{shown}"
    );
    for kind in [KIND, user] {
        let connection = world.connection_of(kind).await.unwrap();
        assert_eq!(connection.state, ConnectionState::Disconnected);
        assert!(connection.sealed_tokens.is_none());
    }
    let refused = world.call(&world.worker()).await;
    assert!(
        matches!(refused, Err(SessionError::NotConnected)),
        "{refused:?}"
    );

    // The same browser may connect again; the server asks for consent anew.
    let url = world.start_connecting(&administrators).await;
    administrators.go(&url).await;
    consent(&administrators).await;
    world.came_back(&administrators).await;
    let status = world.call(&world.worker()).await.unwrap();
    assert_eq!(status, StatusCode::OK);
    world.stop().await;
}

/// A person who is refused, or refuses consent, is told so, and nothing is connected (CN-6).
#[tokio::test]
async fn a_refused_consent_is_told_as_such() {
    for shape in [Shape::Salesforce, Shape::Entra] {
        let Some(world) = World::start(shape).await else {
            return;
        };
        let browser = api_browser().await;
        let url = world.start_connecting(&browser).await;
        browser.go(&url).await;
        log_in(&browser, LOGIN).await;
        browser.find("form:has([value=consent])").await;
        browser.click("a[href$='/abort']").await;
        let page = world.came_back(&browser).await;
        assert_told(&page, "access_denied");
        assert!(world.connection().await.is_none());
        let events = world.server.events().await;
        let refused = named(&events, "not_authorized");
        assert_eq!(refused[0]["error"], "access_denied");
        world.stop().await;
    }
}

#[tokio::test]
async fn a_wrong_client_secret_is_the_operators_to_correct() {
    let secret = |client: &App| format!("not {}", client.client_secret);
    let Some(world) = World::start_with(Shape::Salesforce, secret).await else {
        return;
    };
    let page = world.connect(&api_browser().await).await;
    assert_told(&page, "oauth_app_refused");
    assert!(!page.contains(&world.client.client_secret), "{page}");
    assert!(world.connection().await.is_none());
    let events = world.server.events().await;
    assert_eq!(
        named(&events, "tokens_refused")[0]["error"],
        "invalid_client"
    );
    world.stop().await;
}

/// The server really enforces PKCE: the flows of the other tests fail without it.
#[tokio::test]
async fn the_server_enforces_pkce() {
    let Some(world) = World::start(Shape::Salesforce).await else {
        return;
    };
    let browser = api_browser().await;
    let ours = world.start_connecting(&browser).await;
    let with = |changes: &[(&str, Option<&str>)]| {
        let mut url = ours.clone();
        let mut pairs: BTreeMap<String, String> = ours.query_pairs().into_owned().collect();
        for (name, value) in changes {
            pairs.remove(*name);
            pairs.extend(value.map(|value| ((*name).to_owned(), value.to_owned())));
        }
        url.query_pairs_mut().clear().extend_pairs(pairs);
        url
    };
    for changes in [
        &[("code_challenge", None), ("code_challenge_method", None)][..],
        &[("code_challenge_method", Some("plain"))],
        &[("code_challenge", None)],
    ] {
        let back = world.server.redirect(with(changes)).await;
        let answer: BTreeMap<_, _> = back.query_pairs().into_owned().collect();
        assert_eq!(answer["error"], "invalid_request", "{back}");
        assert!(!answer.contains_key("code"), "{back}");
    }

    let elsewhere = world.at("/elsewhere");
    let url = with(&[
        ("redirect_uri", Some(elsewhere.as_str())),
        ("code_challenge", Some(CHALLENGE)),
    ]);
    browser.go(&url).await;
    log_in(&browser, LOGIN).await;
    consent(&browser).await;
    let back = browser.arrive(&elsewhere).await;
    let back: BTreeMap<_, _> = back.query_pairs().into_owned().collect();
    let exchange = async |secret: &str, verifier: Option<&str>| {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", &back["code"]),
            ("redirect_uri", elsewhere.as_str()),
            ("client_id", &world.client.client_id),
            ("client_secret", secret),
        ];
        form.extend(verifier.map(|verifier| ("code_verifier", verifier)));
        let (status, answer) = world.server.post(world.token_path(), &form).await;
        let error = answer["error"].as_str().unwrap_or_default().to_owned();
        (status, error)
    };
    let secret = &world.client.client_secret;
    let other = SystemRandom.secret(32);
    let refused = |status: u16, error: &str| (status, error.to_owned());
    assert_eq!(exchange(secret, None).await, refused(400, "invalid_grant"));
    assert_eq!(
        exchange(secret, Some(&other)).await,
        refused(400, "invalid_grant")
    );
    assert_eq!(
        exchange(&other, Some(VERIFIER)).await,
        refused(401, "invalid_client")
    );
    assert_eq!(exchange(secret, Some(VERIFIER)).await, refused(200, ""));
    // A code is valid once; a second use ends its tokens.
    assert_eq!(
        exchange(secret, Some(VERIFIER)).await,
        refused(400, "invalid_grant")
    );
    let events: Vec<Value> = world.server.events().await;
    assert_eq!(named(&events, "grant_revoked").len(), 1, "{events:?}");
    world.stop().await;
}
