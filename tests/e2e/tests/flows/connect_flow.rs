//! The first administrator's way, over HTTP, on either stack (see the harness): accepts the invitation from
//! the deployment, signs in, connects the CRM, and disconnects it with a clean-up.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use e2e::Harness;
use local::demo::{self, Demo, Place};
use local::seed::{Made, Maker, NewContract};
use reqwest::{Client, Method, StatusCode, header};
use serde_json::{Value, json};
use shared::clock::{Clock as _, SystemClock};
use shared::domain::role::Role;
use shared::domain::schema::CrmKind;
use shared::domain::seat::SeatInput;
use shared::invitation::{InvitationLinks, NewInvitation};
use shared::random::{Random as _, SystemRandom};
use url::Url;

/// The account that the simulated organisations sign in without further ado.
const ADMINISTRATOR: &str = "admin@leadbridge.example";
/// The time limit for an import to begin and end: the schedule that makes up for a lost announcement runs
/// every minute.
const PATIENCE: Duration = Duration::from_secs(150);

/// A browser: stores our cookies, sends its accepted types, and follows a redirect when asked.
struct Browser<'a> {
    harness: &'a Harness,
    client: Client,
    cookies: BTreeMap<String, String>,
    csrf: Option<String>,
}

struct Page {
    status: StatusCode,
    location: Option<Url>,
    body: Value,
}

impl<'a> Browser<'a> {
    fn new(harness: &'a Harness) -> Self {
        let ca = std::fs::read(&harness.simulator.ca_file).unwrap();
        let client = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .tls_certs_only([reqwest::Certificate::from_pem(&ca).unwrap()])
            .build()
            .unwrap();
        Self {
            harness,
            client,
            cookies: BTreeMap::new(),
            csrf: None,
        }
    }

    async fn send(&mut self, method: Method, url: &str, accept: &str, body: Option<Value>) -> Page {
        let ours = url.starts_with(&self.harness.console);
        let mut request = self.client.request(method.clone(), url);
        request = request.header(header::ACCEPT, accept);
        if ours {
            let cookies: Vec<String> = self
                .cookies
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            if !cookies.is_empty() {
                request = request.header(header::COOKIE, cookies.join("; "));
            }
            if method != Method::GET {
                request = request.header("sec-fetch-site", "same-origin");
                if let Some(csrf) = &self.csrf {
                    request = request.header("x-csrf-token", csrf);
                }
            }
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        if ours {
            for cookie in answer.headers().get_all(header::SET_COOKIE) {
                let cookie = cookie.to_str().unwrap();
                let (pair, attributes) = cookie.split_once("; ").unwrap();
                assert!(attributes.contains("Secure; HttpOnly"), "{attributes}");
                let (name, value) = pair.split_once('=').unwrap();
                if value.is_empty() {
                    self.cookies.remove(name);
                } else {
                    self.cookies.insert(name.to_owned(), value.to_owned());
                }
            }
        }
        let location = answer.headers().get(header::LOCATION);
        let location = location.map(|to| answer.url().join(to.to_str().unwrap()).unwrap());
        let status = answer.status();
        let text = answer.text().await.unwrap();
        Page {
            status,
            location,
            body: serde_json::from_str(&text).unwrap_or(Value::String(text)),
        }
    }

    /// Opens a link to sign in, chooses the account at the provider, and comes back.
    async fn choose(&mut self, link: &str, account: &str) -> Page {
        let html = "text/html,application/xhtml+xml";
        let started = self.send(Method::GET, link, html, None).await;
        assert_eq!(started.status, StatusCode::SEE_OTHER, "{}", started.body);
        let provider = started.location.unwrap();
        let page = self.send(Method::GET, provider.as_str(), html, None).await;
        let choices = page.body.as_str().unwrap().replace("&amp;", "&");
        let hint = format!("&login_hint={}", account.replace('@', "%40"));
        let chosen = choices
            .split("href=\"")
            .filter_map(|rest| rest.split('"').next())
            .find(|address| address.ends_with(&hint));
        let chosen = provider.join(chosen.expect(&choices)).unwrap();
        self.through_the_provider(&chosen, html).await
    }

    /// A call of our pages to the API.
    async fn api(
        &mut self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let url = format!("{}{path}", self.harness.console);
        let page = self.send(method, &url, "application/json", body).await;
        (page.status, page.body)
    }

    /// Goes to the provider's sign-in and comes back to our callback.
    async fn through_the_provider(&mut self, authorize_url: &Url, accept: &str) -> Page {
        let provider = self
            .send(Method::GET, authorize_url.as_str(), "*/*", None)
            .await;
        assert_eq!(provider.status, StatusCode::FOUND, "{}", provider.body);
        let back = provider.location.unwrap();
        let callback = format!("{}/oauth/callback?", self.harness.console);
        assert!(back.as_str().starts_with(&callback), "{back}");
        self.send(Method::GET, back.as_str(), accept, None).await
    }

    /// Asks for the production connection until it is as wanted.
    async fn connection(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        let since = Instant::now();
        loop {
            let path = "/api/v1/crm-connections/production";
            let (status, view) = self.api(Method::GET, path, None).await;
            assert_eq!(status, StatusCode::OK, "{view}");
            if wanted(&view) {
                return view;
            }
            assert!(since.elapsed() < PATIENCE, "{view:#}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// A contract that nothing is connected to.
async fn contract(harness: &Harness, crm: CrmKind) -> Made {
    let unique = SystemRandom.uuid().simple().to_string();
    let new = NewContract {
        id: format!("c-{}", &unique[..12]).parse().unwrap(),
        name: "Test".to_owned(),
        crm,
        fixed: None,
        linkedin_owners: Vec::new(),
    };
    maker(harness).make(new).await.unwrap()
}

fn maker(harness: &Harness) -> Maker<'_> {
    Maker {
        store: &harness.store,
        vault: &harness.vault,
        random: &SystemRandom,
        now: SystemClock.now(),
    }
}

/// Invites the first administrator as the deployment does, and again for one who lost the link.
async fn invite(harness: &Harness, made: &Made, name: &str) -> InvitationLinks {
    let invitation = NewInvitation::new(&SystemRandom, SystemClock.now());
    let person = SeatInput {
        name: name.to_owned(),
        email: ADMINISTRATOR.to_uppercase(),
        role: Role::Administrator,
    };
    let seat = maker(harness).invite(&made.id, person, &invitation).await;
    let public_url: Url = harness.console.parse().unwrap();
    invitation.links(&public_url, &made.id, seat.unwrap())
}

/// Follows an invitation to a session, and reads its CSRF token.
async fn accept<'a>(harness: &'a Harness, made: &Made, links: &InvitationLinks) -> Browser<'a> {
    let mut browser = Browser::new(harness);
    let link = match made.crm {
        CrmKind::Salesforce => format!(
            "{}&login_url={}",
            links.salesforce, harness.simulator.salesforce
        ),
        CrmKind::Dynamics365 => links.entra.clone(),
    };
    let html = "text/html,application/xhtml+xml";
    let started = browser.send(Method::GET, &link, html, None).await;
    assert_eq!(started.status, StatusCode::SEE_OTHER, "{}", started.body);
    let authorize_url = started.location.unwrap();
    assert!(!authorize_url.as_str().contains("leadbridge.example"));
    let done = browser.through_the_provider(&authorize_url, html).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.body);
    let home = format!("{}/app/home?contract={}", harness.console, made.id);
    assert_eq!(done.location.unwrap().as_str(), home);
    let names: Vec<&String> = browser.cookies.keys().collect();
    assert_eq!(names, ["__Host-lb_session"], "the attempt's is forgotten");
    let (status, session) = browser.api(Method::GET, "/api/v1/session", None).await;
    assert_eq!(status, StatusCode::OK, "{session}");
    assert_eq!(
        (&session["role"], &session["email"]),
        (&json!("administrator"), &json!(ADMINISTRATOR))
    );
    browser.csrf = session["csrf_token"].as_str().map(str::to_owned);
    browser
}

/// CN-1, CN-3, CN-5, CN-7, CN-8: from the invitation to a counted clean-up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_administrator_signs_in_connects_and_disconnects() {
    let harness = Harness::start().await;
    for crm in [CrmKind::Salesforce, CrmKind::Dynamics365] {
        let made = contract(&harness, crm).await;
        let links = invite(&harness, &made, "Ada Admin").await;
        let mut browser = accept(&harness, &made, &links).await;

        // Step 1 of the guide: sign in to the CRM.
        let (provider, target) = match crm {
            CrmKind::Salesforce => (
                "salesforce",
                json!({ "login_url": harness.simulator.salesforce }),
            ),
            CrmKind::Dynamics365 => (
                "dataverse",
                json!({ "organization_url": harness.simulator.dataverse }),
            ),
        };
        let path = format!("/oauth/{provider}/start");
        let csrf = browser.csrf.take();
        let (status, problem) = browser.api(Method::POST, &path, Some(target.clone())).await;
        assert_eq!(
            (status, &problem["code"]),
            (StatusCode::FORBIDDEN, &json!("csrf_token_needed"))
        );
        browser.csrf = csrf;
        let (status, started) = browser.api(Method::POST, &path, Some(target)).await;
        assert_eq!(status, StatusCode::OK, "{started}");
        let authorize_url: Url = started["authorize_url"].as_str().unwrap().parse().unwrap();
        let connected = browser
            .through_the_provider(&authorize_url, "application/json")
            .await;
        assert_eq!(connected.status, StatusCode::OK, "{}", connected.body);
        assert_eq!(
            connected.body["message"],
            "Successfully connected, sync in progress"
        );
        assert_eq!(connected.body["missing"], Value::Null);

        // The first import runs by itself.
        let view = browser
            .connection(|view| view["sync"]["state"] == "succeeded")
            .await;
        assert_eq!(view["status"], "connected", "{view:#}");
        assert_eq!(view["guide"]["step_number"], 2);
        assert_eq!(view["user"]["username"], ADMINISTRATOR);
        assert_eq!(view["missing_permissions"], json!([]));

        let path = "/api/v1/crm-connections/production/disconnect";
        let clean_up = Some(json!({ "clean_up": true }));
        let (status, asked) = browser.api(Method::POST, path, clean_up).await;
        assert!(status.is_success(), "{status} {asked}");
        let view = browser
            .connection(|view| view["status"] == "not_connected")
            .await;
        let end = &view["disconnect"];
        assert!(end["purge"]["found"].as_u64().unwrap() > 0, "{end}");
        assert_eq!(end["purge"]["deleted"], end["purge"]["found"]);
        assert_eq!(end["purge"]["left"], 0);
        let revocation = match crm {
            CrmKind::Salesforce => "revoked",
            CrmKind::Dynamics365 => "not_offered",
        };
        assert_eq!(end["revocation"], revocation);
        assert_eq!(view["guide"]["step_number"], 1);

        let (status, _) = browser.api(Method::DELETE, "/api/v1/session", None).await;
        assert!(status.is_success(), "{status}");
        assert_eq!(browser.cookies.len(), 0);
        let (status, _) = browser.api(Method::GET, "/api/v1/session", None).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
    }
    harness.stop().await;
}

/// CN-3: an operator invites the first administrator anew, under another name: one seat, whose
/// sessions end and whose earlier link opens nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_invites_an_administrator_anew() {
    let harness = Harness::start().await;
    let made = contract(&harness, CrmKind::Dynamics365).await;
    let lost = invite(&harness, &made, "Ada").await;
    let links = invite(&harness, &made, "Ada Admin").await;
    let mut stranger = Browser::new(&harness);
    let page = stranger
        .send(Method::GET, &lost.entra, "application/json", None)
        .await;
    assert_eq!(
        (page.status, &page.body["code"]),
        (StatusCode::FORBIDDEN, &json!("invitation_invalid"))
    );

    let mut browser = accept(&harness, &made, &links).await;
    let acting = async || {
        let contract = harness.store.contract(&made.id).await.unwrap();
        contract.unwrap().administrators.len()
    };
    assert_eq!(acting().await, 1);
    let links = invite(&harness, &made, "Ada Lovelace").await;
    let (status, _) = browser.api(Method::GET, "/api/v1/session", None).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(acting().await, 0);

    let mut browser = accept(&harness, &made, &links).await;
    assert_eq!(acting().await, 1);
    let (_, seats) = browser.api(Method::GET, "/api/v1/seats", None).await;
    let names: Vec<&Value> = seats["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|seat| &seat["name"])
        .collect();
    assert_eq!(names, ["Ada Lovelace"]);
    harness.stop().await;
}

/// OP-5: the demo contracts are connected like real ones, and their people sign in by the printed
/// addresses, before and after a restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_contracts_are_whole_and_their_people_sign_in() {
    let mut harness = Harness::embedded(false).await;
    let public_url: Url = harness.console.parse().unwrap();
    let import = harness.embedded_stack().apps().import.clone();
    let place = Place {
        remote: &import.remote,
        queue: &import.queue,
        public_url: &public_url,
        simulator: &harness.simulator,
    };
    let first = demo::contracts(&place).await.unwrap();
    let again = demo::contracts(&place).await.unwrap();
    harness.stack.as_mut().unwrap().drive();
    for (first, again) in first.iter().zip(&again) {
        let sign_ins = |demo: &Demo| -> Vec<String> {
            let seats = demo.seats.iter();
            seats.map(|seat| seat.sign_in.clone()).collect()
        };
        assert_eq!(sign_ins(first), sign_ins(again), "an invitation stays");
        for (seat, role) in again.seats.iter().zip(["administrator", "salesperson"]) {
            assert!(seat.sign_in.contains("&invitation="), "{}", seat.sign_in);
            let mut browser = Browser::new(&harness);
            let done = browser.choose(&seat.sign_in, &seat.email).await;
            assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.body);
            let (status, me) = browser.api(Method::GET, "/api/v1/me", None).await;
            assert_eq!((status, &me["role"]), (StatusCode::OK, &json!(role)));
            if role == "administrator" {
                let view = browser
                    .connection(|view| view["sync"]["state"] == "succeeded")
                    .await;
                assert_eq!(view["message"], "Connected.", "{view:#}");
                assert_eq!(view["guide"]["step_number"], 2);
                assert_eq!(view["user"]["username"], seat.email);
            }
        }
    }
    let import = harness.embedded_stack().apps().import.clone();
    let place = Place {
        remote: &import.remote,
        queue: &import.queue,
        public_url: &public_url,
        simulator: &harness.simulator,
    };
    for demo in demo::contracts(&place).await.unwrap() {
        for seat in &demo.seats {
            assert!(!seat.sign_in.contains("invitation"), "{}", seat.sign_in);
            let mut browser = Browser::new(&harness);
            let done = browser.choose(&seat.sign_in, &seat.email).await;
            assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.body);
            let (_, me) = browser.api(Method::GET, "/api/v1/me", None).await;
            assert_eq!(me["role"], json!(seat.role));
        }
    }
    harness.stop().await;
}
