//! Headless Chromium, driven by the protocol `www.w3.org/TR/webdriver2` and Debian's chromedriver.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on stops, saying why"
)]

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use url::Url;

/// The program that starts the browser and drives it.
pub const DRIVER: &str = "chromedriver";
/// The time limit for an element to appear, in milliseconds, on a busy machine.
const PATIENCE_MS: u64 = 30_000;
/// The key of an element's reference, fixed by the standard.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// The arguments for a machine without display, graphics card, or way to the internet. No name but this
/// machine's is looked up: pages that ask for fonts elsewhere go without.
const ARGUMENTS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
];

/// A browser of its own profile: no cookie is there at first.
pub struct Browser {
    http: Client,
    session: String,
    // Ended before the profile's folder is removed.
    _driver: Group,
    _profile: TempDir,
}

/// A process group, ended with all that was started in it.
struct Group(u32);

impl Drop for Group {
    fn drop(&mut self) {
        let group = format!("-{}", self.0);
        let _ = Command::new("kill")
            .args(["-s", "KILL", "--", &group])
            .status();
    }
}

/// The number of starts of a driver that ends before it listens.
const STARTS: usize = 5;

/// Starts a driver; returns its process, and the port that it listens on. The driver looks for a port that is
/// free by IPv4, and ends if another process has the same one by IPv6.
async fn driver() -> (Group, String) {
    for _ in 0..STARTS {
        let mut command = Command::new(DRIVER);
        command
            .arg("--port=0")
            // The pages' language is the browser's.
            .env("LANGUAGE", "en_US")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0);
        let mut child = tokio::process::Command::from(command).spawn().unwrap();
        let driver = Group(child.id().unwrap());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        while let Some(line) = lines.next_line().await.unwrap() {
            let Some((_, port)) = line.split_once("successfully on port ") else {
                continue;
            };
            let port = port.trim_end_matches('.').to_owned();
            // Read on, or the driver would stop at a full pipe; and waited for, so that it ends.
            tokio::spawn(async move {
                while let Ok(Some(_)) = lines.next_line().await {}
                child.wait().await
            });
            return (driver, port);
        }
    }
    panic!("the driver did not say where it listens, {STARTS} times");
}

impl Browser {
    /// Starts a browser.
    pub async fn start() -> Self {
        let (driver, port) = driver().await;
        let http = Client::builder()
            .no_proxy()
            .timeout(Duration::from_mins(2))
            .build()
            .unwrap();
        let profile = TempDir::new().unwrap();
        let folder = format!("--user-data-dir={}", profile.path().display());
        let arguments: Vec<&str> = ARGUMENTS.iter().copied().chain([&*folder]).collect();
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            // The simulator's certificate is of its own authority; other names are not looked up.
            "acceptInsecureCerts": true,
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": { "args": arguments },
            "timeouts": { "implicit": PATIENCE_MS, "pageLoad": PATIENCE_MS, "script": PATIENCE_MS },
        } } });
        let base = format!("http://127.0.0.1:{port}/session");
        let made = command_at(&http, Method::POST, &base, &wanted).await;
        let id = made["sessionId"].as_str().unwrap();
        Self {
            session: format!("{base}/{id}"),
            http,
            _driver: driver,
            _profile: profile,
        }
    }

    /// Goes to an address, as if it had been typed.
    pub async fn go(&self, url: &Url) {
        self.post("/url", &json!({ "url": url })).await;
    }

    /// Waits until the browser is at this address, with any query, and returns the whole address. A click
    /// that leads through redirects returns before their end.
    pub async fn arrive(&self, at: &Url) -> Url {
        let deadline = Instant::now() + Duration::from_millis(PATIENCE_MS);
        loop {
            let url: Url = self.get("/url").await.as_str().unwrap().parse().unwrap();
            if (url.origin(), url.path()) == (at.origin(), at.path()) {
                return url;
            }
            let late = Instant::now() >= deadline;
            let text = if late {
                self.text().await
            } else {
                String::new()
            };
            assert!(!late, "it is at {}:\n{text}", url.path());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The text a person sees.
    pub async fn text(&self) -> String {
        let body = self.find("body").await;
        let text = self.get(&format!("{body}/text")).await;
        text.as_str().unwrap().to_owned()
    }

    /// Waits for an element and clicks it.
    pub async fn click(&self, selector: &str) {
        let element = self.find(selector).await;
        self.post(&format!("{element}/click"), &json!({})).await;
    }

    /// Clicks the element that a script finds, without waiting for one. Returns `false` if it finds none, or if
    /// the page has drawn another one since.
    pub async fn click_found(&self, script: &str, arguments: &Value) -> bool {
        let found = self.script(script, arguments).await;
        let Some(element) = found[ELEMENT].as_str() else {
            return false;
        };
        let url = format!("{}/element/{element}/click", self.session);
        answer_at(&self.http, Method::POST, &url, &json!({}))
            .await
            .is_ok()
    }

    /// Waits for a field and types into it.
    pub async fn fill(&self, selector: &str, text: &str) {
        let element = self.find(selector).await;
        self.post(&format!("{element}/value"), &json!({ "text": text }))
            .await;
    }

    /// Waits for an element.
    pub async fn find(&self, selector: &str) -> String {
        let by = json!({ "using": "css selector", "value": selector });
        let found = self.post("/element", &by).await;
        format!("/element/{}", found[ELEMENT].as_str().unwrap())
    }

    /// Calls `fetch` in the page; returns the status and the JSON body.
    pub async fn fetch(&self, path: &str, options: &Value) -> (u64, Value) {
        const SCRIPT: &str = "const [path, options, done] = arguments; \
             fetch(path, options).then(async answer => done([answer.status, await answer.text()]), \
             error => done([0, String(error)]));";
        let call = json!({ "script": SCRIPT, "args": [path, options] });
        let answer = self.post("/execute/async", &call).await;
        let text = answer[1].as_str().unwrap();
        let body = serde_json::from_str(text).unwrap_or_else(|_| json!(text));
        (answer[0].as_u64().unwrap(), body)
    }

    /// Makes the browser ignore the content security policies of the pages that it opens from now on.
    pub async fn bypass_policies(&self) {
        let call = json!({ "cmd": "Page.setBypassCSP", "params": { "enabled": true } });
        self.post("/goog/cdp/execute", &call).await;
    }

    /// Runs a script in the page and returns its result.
    pub async fn script(&self, script: &str, arguments: &Value) -> Value {
        let call = json!({ "script": script, "args": arguments });
        self.post("/execute/sync", &call).await
    }

    /// The value that a script passes to the callback that is its last argument.
    pub async fn script_async(&self, script: &str, arguments: &Value) -> Value {
        let call = json!({ "script": script, "args": arguments });
        self.post("/execute/async", &call).await
    }

    /// Loads the page again.
    pub async fn reload(&self) {
        self.post("/refresh", &json!({})).await;
    }

    /// Lets pages be as wide as a window or a telephone.
    pub async fn resize(&self, width: u32, height: u32) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics)
            .await;
    }

    /// Shows pages as for people who have chosen `dark` or `light`.
    pub async fn prefer(&self, scheme: &str) {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", &features).await;
    }

    /// Keeps a picture of the whole page in a file, as PNG.
    pub async fn picture(&self, file: &Path) {
        let wish = json!({ "format": "png", "captureBeyondViewport": true });
        fs::write(file, self.captured(&wish).await).unwrap();
    }

    /// Keeps a small picture of what the window shows in a file, as WebP; returns its size in bytes.
    pub async fn view(&self, file: &Path) -> usize {
        let wish = json!({ "format": "webp", "quality": 80 });
        let picture = self.captured(&wish).await;
        fs::write(file, &picture).unwrap();
        picture.len()
    }

    async fn captured(&self, wish: &Value) -> Vec<u8> {
        let picture = self.devtools("Page.captureScreenshot", wish).await;
        STANDARD.decode(picture["data"].as_str().unwrap()).unwrap()
    }

    /// The browser's complaints since the last call: errors of scripts, violations of policies, failed
    /// requests.
    pub async fn complaints(&self) -> Vec<String> {
        let log = self.post("/se/log", &json!({ "type": "browser" })).await;
        let entries = log.as_array().unwrap().iter();
        entries
            .map(|entry| entry["message"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Gives the page's site a cookie as a server would.
    pub async fn give_cookie(&self, name: &str, value: &str) {
        let cookie = json!({ "name": name, "value": value, "path": "/", "secure": true, "httpOnly": true, "sameSite": "Lax" });
        self.post("/cookie", &json!({ "cookie": cookie })).await;
    }

    /// Takes all of the site's cookies away.
    pub async fn forget_cookies(&self) {
        let url = format!("{}/cookie", self.session);
        command_at(&self.http, Method::DELETE, &url, &Value::Null).await;
    }

    async fn devtools(&self, command: &str, parameters: &Value) -> Value {
        let call = json!({ "cmd": command, "params": parameters });
        self.post("/goog/cdp/execute", &call).await
    }

    /// The page's cookie of that name, with its attributes, those hidden from scripts too.
    pub async fn cookie(&self, name: &str) -> Option<Value> {
        let cookies = self.get("/cookie").await;
        let mut cookies = cookies.as_array().unwrap().iter();
        cookies.find(|cookie| cookie["name"] == name).cloned()
    }

    async fn get(&self, path: &str) -> Value {
        let url = format!("{}{path}", self.session);
        command_at(&self.http, Method::GET, &url, &Value::Null).await
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let url = format!("{}{path}", self.session);
        command_at(&self.http, Method::POST, &url, body).await
    }
}

/// A command of the protocol. If the browser refuses it, the test ends with the browser's reason.
async fn command_at(http: &Client, method: Method, url: &str, body: &Value) -> Value {
    let answer = answer_at(http, method, url, body).await;
    answer.unwrap_or_else(|refusal| {
        panic!("{body}: {}: {}", refusal["error"], refusal["message"]);
    })
}

/// The browser's answer to a command, or why it refuses it.
async fn answer_at(http: &Client, method: Method, url: &str, body: &Value) -> Result<Value, Value> {
    let mut request = http.request(method, url);
    if !body.is_null() {
        request = request.json(body);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status();
    let answer: Value = answer.json().await.unwrap();
    let value = answer["value"].clone();
    if status.is_success() {
        Ok(value)
    } else {
        Err(value)
    }
}
