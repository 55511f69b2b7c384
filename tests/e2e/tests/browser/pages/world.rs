//! A stack with a contract, a browser, and a person's actions in it.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use e2e::Harness;
use e2e::browser::{Browser, DRIVER};
use local::demo::{self, Org};
use local::seed::{Made, Maker, NewContract};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use shared::clock::{Clock as _, SystemClock};
use shared::domain::environment::Environment;
use shared::domain::guide::Step;
use shared::domain::inventory;
use shared::domain::schema::CrmKind;
use shared::domain::sync::{ApiUsage, Notice, ObjectState, ObjectSync, Phase, Sync, SyncState};
use shared::problem::Problem;
use shared::random::SystemRandom;
use shared::store::ConnectionKind;
use url::Url;

/// The time limit for a page to show something, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
pub(crate) const PRODUCTION: Environment = Environment::Production;
/// The default user of the simulator's sign-in.
pub(crate) const ADMIN: &str = "admin@leadbridge.example";
pub(crate) const SELLER: &str = "seller@leadbridge.example";

/// A stack with a contract that nothing is connected to, and a browser.
pub(crate) struct World {
    pub(crate) harness: Harness,
    pub(crate) made: Made,
    pub(crate) browser: Browser,
}

impl World {
    /// The world, or nothing where there is no browser and need not be one.
    pub(crate) async fn start(crm: CrmKind) -> Option<Self> {
        if !installed() {
            return None;
        }
        let harness = Harness::embedded(true).await;
        let maker = Maker {
            store: &harness.store,
            vault: &harness.vault,
            random: &SystemRandom,
            now: SystemClock.now(),
        };
        let new = NewContract {
            id: "acme".parse().unwrap(),
            name: "Acme".to_owned(),
            crm,
            fixed: None,
            linkedin_owners: Vec::new(),
        };
        let made = maker.make(new).await.unwrap();
        Some(Self {
            harness,
            made,
            browser: Browser::start().await,
        })
    }

    pub(crate) async fn stop(self) {
        drop(self.browser);
        self.harness.stop().await;
    }

    pub(crate) fn at(&self, path: &str) -> Url {
        Url::parse(&self.harness.console)
            .unwrap()
            .join(path)
            .unwrap()
    }

    /// Invites a person by the API, and returns the link for them.
    pub(crate) async fn invite(&self, email: &str, role: &str, provider: &str) -> Url {
        let seat = json!({ "name": email.split('@').next(), "email": email, "role": role });
        let answer = self
            .harness
            .http
            .post(self.at("/api/v1/seats"))
            .bearer_auth(&self.made.tokens.administrator)
            .json(&seat)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::CREATED);
        let seat: Value = answer.json().await.unwrap();
        let link = seat["invitation"][provider].as_str().unwrap();
        let mut link: Url = link.parse().unwrap();
        if provider == "salesforce" {
            let login = self.harness.simulator.salesforce.as_str();
            link.query_pairs_mut().append_pair("login_url", login);
        }
        link
    }

    /// Accepts an invitation as `who`, who is not the default of the browser's sign-in, and gives the browser
    /// the session.
    pub(crate) async fn accept_as(&self, link: Url, who: &str) {
        let ca = std::fs::read(&self.harness.simulator.ca_file).unwrap();
        let http = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .tls_certs_only([reqwest::Certificate::from_pem(&ca).unwrap()])
            .build()
            .unwrap();
        let header = |answer: &reqwest::Response, name: &str| {
            let value = answer.headers()[name].to_str().unwrap();
            value.to_owned()
        };
        let answer = http.get(link).send().await.unwrap();
        let cookie = header(&answer, "set-cookie");
        let mut url: Url = header(&answer, "location").parse().unwrap();
        url.query_pairs_mut().append_pair("login_hint", who);
        let answer = http.get(url).send().await.unwrap();
        let back: Url = header(&answer, "location").parse().unwrap();
        let answer = http
            .get(back)
            .header("accept", "text/html")
            .header("cookie", cookie.split(';').next().unwrap())
            .send()
            .await
            .unwrap();
        assert_eq!(header(&answer, "location"), "/app/home?contract=acme");
        let session = header(&answer, "set-cookie");
        let (name, value) = session.split(';').next().unwrap().split_once('=').unwrap();
        self.browser.go(&self.at("/api/v1/health")).await;
        self.browser.give_cookie(name, value).await;
    }

    /// Connects production, with an import that no worker takes, and the guide finished.
    pub(crate) async fn connect_with_an_import(&self) -> Sync {
        let store = &self.harness.store;
        let contract = &self.made.id;
        let now = SystemClock.now();
        let mut run = Sync::requested(PRODUCTION, None, "schedule", now).unwrap();
        run.state = SyncState::Running;
        run.phase = Phase::Reading;
        run.started_at = Some(now);
        run.due_at = now.plus_seconds(24 * 3600);
        run.lease_until = Some(run.due_at);
        run.calls = 10;
        run.bytes = 12_345;
        run.api = Some(ApiUsage {
            used: 600,
            limit: 1000,
        });
        store.put_sync(contract, &run).await.unwrap();
        self.connect().await;
        run
    }

    /// Connects production, with the guide finished.
    pub(crate) async fn connect(&self) {
        let store = &self.harness.store;
        let now = SystemClock.now();
        let maker = Maker {
            store,
            vault: &self.harness.vault,
            random: &SystemRandom,
            now,
        };
        let simulator = &self.harness.simulator;
        demo::connect(&maker, &self.made, simulator, Org::Production)
            .await
            .unwrap();
        store
            .change_guide(&self.made.id, PRODUCTION, now, |guide| {
                guide.step = Step::Finished;
            })
            .await
            .unwrap();
    }

    /// A call of the API as an administrator's token makes it.
    pub(crate) async fn api(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let url = self.at(&format!("/api/v1{path}"));
        let mut request = self.harness.http.request(method, url);
        request = request.bearer_auth(&self.made.tokens.administrator);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let answer: Value = answer.json().await.unwrap_or_default();
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer
    }

    /// The simulator's name of the contract's CRM.
    const fn system(&self) -> &'static str {
        match self.made.crm {
            CrmKind::Salesforce => "salesforce",
            CrmKind::Dynamics365 => "dataverse",
        }
    }

    /// The records of an object in the CRM.
    pub(crate) async fn records_of(&self, object: &str) -> Vec<Value> {
        let path = format!("/records/{}/{object}", self.system());
        let records = self.harness.control(Method::GET, &path, None).await;
        records.as_array().unwrap().clone()
    }

    /// Makes a record in the CRM; returns its id.
    pub(crate) async fn record(&self, object: &str, values: Value) -> String {
        let path = format!("/records/{}/{object}", self.system());
        let made = self
            .harness
            .control(Method::POST, &path, Some(values))
            .await;
        let id = made.get("Id").or_else(|| made.get("id"));
        id.unwrap().as_str().unwrap().to_owned()
    }

    /// Imports, until the import has ended.
    pub(crate) async fn import(&self) {
        self.api(Method::POST, "/sync/production", None).await;
        self.until(
            "/sync?environment=production",
            "/items/0/state",
            "succeeded",
        )
        .await;
    }

    /// Waits until the API says this.
    pub(crate) async fn until(&self, path: &str, pointer: &str, expected: &str) {
        let since = Instant::now();
        loop {
            let answer = self.api(Method::GET, path, None).await;
            if answer.pointer(pointer) == Some(&json!(expected)) {
                return;
            }
            assert!(since.elapsed() < PATIENCE, "not {expected}: {answer}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Replaces the text of a field.
    pub(crate) async fn type_anew(&self, name: &str, text: &str) {
        const EMPTY: &str = "const top = [...document.querySelectorAll('dialog[open]')].pop() ?? document; \
             top.querySelector(`[name=${arguments[0]}]`).value = '';";
        self.browser.find(&format!("[name={name}]")).await;
        self.browser.script(EMPTY, &json!([name])).await;
        if !text.is_empty() {
            self.browser.fill(&format!("[name={name}]"), text).await;
        }
    }

    /// Three objects of a run: one done, one that is read, one that needs a person.
    pub(crate) async fn objects(&self, run: u64) -> Vec<ObjectSync> {
        let kind = ConnectionKind::PRODUCTION;
        let found = self.harness.store.connection(&self.made.id, kind).await;
        let organization = found.unwrap().unwrap().organization;
        let specs = inventory::objects(CrmKind::Salesforce).iter();
        let mut objects: Vec<ObjectSync> = specs
            .filter(|spec| ["Account", "Contact", "User"].contains(&spec.name))
            .map(|spec| ObjectSync::new(spec, &organization))
            .collect();
        for object in &mut objects {
            object.run = run;
        }
        let now = SystemClock.now();
        objects[0].state = ObjectState::Done;
        objects[0].last_success_at = Some(now);
        let contacts = &mut objects[1];
        contacts.state = ObjectState::Reading;
        contacts.started_at = Some(now.plus_seconds(-100));
        contacts.read = 41_000;
        contacts.of = Some(100_000);
        contacts.records = 40_500;
        contacts.crm_records = Some(99_900);
        contacts.notices = vec![Notice {
            code: "field_not_readable".to_owned(),
            field: Some("Fax".to_owned()),
            detail: "It cannot be read.".to_owned(),
            next_step: "Give access to it.".to_owned(),
        }];
        objects[2].state = ObjectState::Failed;
        objects[2].problem = Some(Problem::new(502, "crm_api_error", "It failed.", "Look."));
        objects
    }

    /// Keeps a run and its objects as a worker does.
    pub(crate) async fn checkpoint(&self, run: &mut Sync, objects: &mut [ObjectSync]) {
        run.version += 1;
        for object in objects.iter_mut() {
            object.version += 1;
        }
        let organization = &objects[0].organization;
        let store = &self.harness.store;
        let kept = store.checkpoint(&self.made.id, organization, run, objects);
        kept.await.unwrap();
    }

    pub(crate) async fn salesforce(&self, settings: Value) {
        let body = json!({ "salesforce": settings });
        self.harness
            .control(Method::PATCH, "/settings", Some(body))
            .await;
    }

    /// The text that the page shows now.
    pub(crate) async fn text(&self) -> String {
        let text = "return document.body?.innerText ?? ''";
        let text = self.browser.script(text, &json!([])).await;
        text.as_str().unwrap().to_owned()
    }

    /// Waits until the page shows this text.
    pub(crate) async fn sees(&self, text: &str) -> String {
        let since = Instant::now();
        loop {
            let shown = self.text().await;
            if shown.contains(text) {
                return shown;
            }
            assert!(since.elapsed() < PATIENCE, "no “{text}” in:\n{shown}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until the page no longer shows this text.
    pub(crate) async fn no_longer_sees(&self, text: &str) {
        let since = Instant::now();
        while self.text().await.contains(text) {
            assert!(since.elapsed() < PATIENCE, "“{text}” is still there");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Clicks the button, link or choice of that name, as soon as it appears.
    pub(crate) async fn press(&self, name: &str) {
        let since = Instant::now();
        let found = json!([name]);
        loop {
            const FIND: &str = "const shown = (node) => node.checkVisibility(); \
                 const top = [...document.querySelectorAll('dialog[open]')].pop() ?? document; \
                 const nodes = [...top.querySelectorAll('button, a, label, summary')].filter(shown); \
                 const named = (node) => (node.getAttribute('aria-label') ?? node.innerText).trim(); \
                 return nodes.find((node) => named(node) === arguments[0]) \
                     ?? nodes.find((node) => named(node).startsWith(arguments[0])) ?? null;";
            if self.browser.click_found(FIND, &found).await {
                return;
            }
            let shown = self.text().await;
            assert!(since.elapsed() < PATIENCE, "no “{name}” in:\n{shown}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Chooses an option of a list by its text.
    pub(crate) async fn choose(&self, name: &str, option: &str) {
        const CHOOSE: &str = "const list = document.querySelector(`select[name=${arguments[0]}]`); \
             const found = [...list.options].find((option) => option.text === arguments[1]); \
             if (found) { list.value = found.value; list.dispatchEvent(new Event('change', { bubbles: true })); } \
             return [...list.options].map((option) => option.text);";
        self.browser.find(&format!("select[name={name}]")).await;
        let options = self.browser.script(CHOOSE, &json!([name, option])).await;
        let texts = options.as_array().unwrap();
        assert!(texts.contains(&json!(option)), "{options}");
    }

    pub(crate) async fn value(&self, name: &str) -> Value {
        let script = "const node = document.querySelector(`[name=${arguments[0]}]`); \
             return node.type === 'checkbox' ? node.checked : node.selectedOptions?.[0].text ?? node.value;";
        self.browser.find(&format!("[name={name}]")).await;
        self.browser.script(script, &json!([name])).await
    }

    /// Keeps pictures of the page as a window, dark, and as a telephone shows it. On a telephone
    /// nothing is wider than the screen.
    pub(crate) async fn picture(&self, name: &str) {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("pages");
        std::fs::create_dir_all(&folder).unwrap();
        let browser = &self.browser;
        for (kind, width, scheme) in [
            ("narrow", 375, "light"),
            ("dark", 375, "dark"),
            ("wide", 1280, "light"),
        ] {
            browser.resize(width, 800).await;
            browser.prefer(scheme).await;
            let file = folder.join(format!("{name}-{kind}.png"));
            browser.picture(&file).await;
            let wide = "return document.documentElement.scrollWidth";
            let wide = browser.script(wide, &json!([])).await;
            assert!(wide.as_u64().unwrap() <= u64::from(width), "{name}: {wide}");
        }
    }

    /// Every control has a name, headings do not skip a level, and an id is there once.
    pub(crate) async fn is_readable(&self) {
        const LOOK: &str = "const faults = []; \
             for (const node of document.querySelectorAll('input, select, button, a')) { \
                 const name = node.getAttribute('aria-label') ?? (node.labels?.[0] ?? node).textContent; \
                 if (!name.trim()) faults.push(node.outerHTML); } \
             let level = 0; \
             for (const node of document.querySelectorAll('main h1, main h2, main h3')) { \
                 const now = Number(node.tagName[1]); \
                 if (now > level + 1) faults.push(`heading ${node.textContent}`); level = now; } \
             const ids = [...document.querySelectorAll('[id]')].map((node) => node.id); \
             if (new Set(ids).size !== ids.length) faults.push('ids'); \
             for (const node of document.querySelectorAll('[aria-describedby], [aria-labelledby]')) \
                 for (const id of `${node.getAttribute('aria-describedby') ?? ''} ${node.getAttribute('aria-labelledby') ?? ''}`.split(' ').filter(Boolean)) \
                     if (!document.getElementById(id)) faults.push(`no ${id}`); \
             return faults;";
        let faults = self.browser.script(LOOK, &json!([])).await;
        assert_eq!(faults, json!([]));
    }

    /// Checks that axe finds no violation of WCAG 2.2 up to AA.
    pub(crate) async fn passes_axe(&self) {
        const RUN: &str = "const done = arguments[0]; \
             window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }) \
                 .then(({ violations }) => done(violations.map(({ id, nodes }) => [id, nodes.slice(0, 3).map(({ html }) => html.slice(0, 300))])), \
                     (error) => done(String(error)));";
        let Some(axe) = axe() else {
            return;
        };
        // As a script of the driver's: the page's own policy lets no other in.
        self.browser.script(&axe, &json!([])).await;
        let found = self.browser.script_async(RUN, &json!([])).await;
        assert_eq!(found, json!([]), "{found:#}");
    }

    /// Checks that the page passes our own checks and those of axe.
    pub(crate) async fn is_accessible(&self) {
        self.is_readable().await;
        self.passes_axe().await;
    }

    /// A session that is half over is renewed after input; an unused one ends with a warning.
    pub(crate) async fn stays_signed_in_while_working(&self) {
        const NEAR: &str = "return import('/app/api.js').then(({ session }) => { \
             session.valid_until = Date.now() + arguments[0]; \
             document.dispatchEvent(new Event('visibilitychange')); })";
        const LEFT: &str =
            "return import('/app/api.js').then(({ session }) => session.valid_until - Date.now())";
        // Makes the functions' answers older, as after a time without input.
        const OLD: &str = "const real = window.fetch; window.fetch = async (url, options) => { \
             const answer = await real(url, options); \
             if (options?.method !== 'GET' || !String(url).endsWith('/session')) return answer; \
             const body = { ...await answer.json(), valid_until: Date.now() + 100000 }; \
             return new Response(JSON.stringify(body), { headers: answer.headers }); }";
        let browser = &self.browser;
        self.press("Before and after").await;
        browser.script(NEAR, &json!([14 * 60_000])).await;
        let since = Instant::now();
        while browser.script(LEFT, &json!([])).await.as_f64().unwrap() < 29.0 * 60_000.0 {
            assert!(since.elapsed() < PATIENCE, "the session is not renewed");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        browser.script(OLD, &json!([])).await;
        browser.script(NEAR, &json!([100_000])).await;
        self.sees("You will be signed out at").await;
        self.is_readable().await;
        self.press("Stay signed in").await;
        self.no_longer_sees("You will be signed out at").await;
        let left = browser.script(LEFT, &json!([])).await;
        assert!(left.as_f64().unwrap() > 29.0 * 60_000.0, "{left}");
    }

    /// The browser complained of nothing but answers that say no, which a page shows.
    pub(crate) async fn no_complaints(&self) {
        let complaints = self.browser.complaints().await;
        let ours: Vec<_> = complaints
            .iter()
            .filter(|text| !text.contains("Failed to load resource"))
            .collect();
        assert!(ours.is_empty(), "{ours:#?}");
    }
}

fn installed() -> bool {
    let starts = Command::new(DRIVER)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !starts {
        let text = format!("{DRIVER} is not installed; run `cargo xtask setup` first");
        assert!(!required(), "{text}");
        eprintln!("skipped: {text}");
    }
    starts
}

/// The script of axe, from the npm packages of the pages; `None` where it is not installed and not required.
fn axe() -> Option<String> {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../functions/console/node_modules/axe-core/axe.min.js"
    );
    let text = std::fs::read_to_string(file).ok();
    if text.is_none() {
        let text = "axe is not installed; run `npm ci` in functions/console first";
        assert!(!required(), "{text}");
        eprintln!("skipped: {text}");
    }
    text
}

#[expect(clippy::disallowed_methods, reason = "the tests' one switch")]
fn required() -> bool {
    std::env::var("LEADBRIDGE_SIGN_IN_TESTS").as_deref() == Ok("required")
}
