//! `cargo xtask screenshots`: pictures of every page of a product that runs, as each role sees it, light and
//! dark, narrow and wide, and an `index.html` that shows them side by side.
//!
//! The pages are those of the pages' own table. A page that does not settle, logs an error, leads elsewhere or
//! is wider than the screen is named, and the command fails at its end.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a command-line tool talks to its user, and stops where it cannot go on"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use e2e::browser::Browser;
use serde::Deserialize;
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

/// Takes pictures of every page of a product that runs.
#[derive(Parser)]
#[command(name = "screenshots")]
struct Options {
    /// The product's `dev.json`
    #[arg(long)]
    product: PathBuf,
    /// Folder for the pictures and index.html
    #[arg(long)]
    folder: PathBuf,
    /// Folder for the pictures of the walk through the pages (docs/console.md); none are taken without
    #[arg(long)]
    walk: Option<PathBuf>,
}

/// The pictures of a page: colour scheme, shape, width in pixels.
const VIEWS: [(&str, &str, u32); 4] = [
    ("light", "wide", WIDE),
    ("dark", "wide", WIDE),
    ("light", "narrow", NARROW),
    ("dark", "narrow", NARROW),
];
const WIDE: u32 = 1600;
const NARROW: u32 = 360;
const HEIGHT: u32 = 900;
/// The time limit for a page to show all its parts.
const PATIENCE: Duration = Duration::from_secs(30);
/// The time limit for the work that a new product begins with: imports, links, submissions.
const WORK: Duration = Duration::from_mins(3);

/// The pages of the walk, as an administrator sees them, with the list whose first entry is shown.
const WALK: [(&str, Option<&str>); 6] = [
    ("home", None),
    ("forms", None),
    ("submission", Some("/submissions?state=created")),
    ("mapping", None),
    ("person", Some("/profiles?in_crm=true")),
    ("roi", None),
];
/// The window that the walk's pictures show, and the most bytes of a picture.
const WINDOW: (u32, u32) = (1280, 800);
const MOST_BYTES: usize = 150_000;

const STYLE: &str = "body { font: 1rem/1.5 system-ui, sans-serif; margin: 1rem } \
     .views { display: flex; gap: 1rem; align-items: flex-start } \
     figure { margin: 0; flex: 4 } figure.narrow { flex: 1 } \
     figure a { display: block; max-height: 45rem; overflow: auto; border: 1px solid #888 } \
     img { display: block; width: 100% } .faults { color: #a11a1a }";

/// A product as its `dev.json` describes it.
#[derive(Deserialize)]
struct Product {
    functions: Functions,
    contracts: Vec<Contract>,
}

#[derive(Deserialize)]
struct Functions {
    console: Url,
}

#[derive(Deserialize)]
struct Contract {
    id: String,
    seats: Vec<Seat>,
}

#[derive(Deserialize)]
struct Seat {
    email: String,
    role: String,
    sign_in: Url,
}

/// A line of the pages' table.
#[derive(Deserialize)]
struct Page {
    name: String,
    title: String,
    #[serde(default)]
    administrators: bool,
    /// The list of the API with the entries that the page shows, one by its `id`.
    entries: Option<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let text = fs::read_to_string(&options.product).expect("the product's dev.json");
    let product: Product = serde_json::from_str(&text).expect("a description of the product");
    let contract = product.contracts.first().expect("a demo contract");
    let at = |page: &str| {
        let address = product.functions.console.join(&format!("/app/{page}"));
        address.expect("the address of a page")
    };
    fs::create_dir_all(&options.folder).expect("a folder for the pictures");
    let mut album = Album {
        folder: options.folder,
        role: String::new(),
        body: String::new(),
        pages: 0,
        failed: 0,
    };

    let browser = Browser::start().await;
    let mut sign_in = at("sign-in");
    sign_in
        .query_pairs_mut()
        .append_pair("contract", &contract.id);
    album.chapter("nobody");
    album.add(&browser, "sign-in", "Sign in", &sign_in).await;

    for seat in &contract.seats {
        let browser = signed_in(seat, &at("home")).await;
        until_idle(&browser).await;
        // The simulator's sign-in is not ours.
        browser.complaints().await;
        album.chapter(&seat.role);
        for page in table(&browser).await {
            if page.administrators && seat.role != "administrator" {
                continue;
            }
            let mut address = at(&page.name);
            if let Some(list) = &page.entries {
                let Some(id) = first_of(&browser, list).await else {
                    album.missing(&page, &format!("{list} has no entry to show"));
                    continue;
                };
                address.query_pairs_mut().append_pair("id", &id);
            }
            album.add(&browser, &page.name, &page.title, &address).await;
        }
        if let Some(folder) = options.walk.as_deref()
            && seat.role == "administrator"
        {
            walk(&browser, folder, at).await;
        }
    }
    album.finish()
}

/// Takes the pictures of the walk.
async fn walk(browser: &Browser, folder: &Path, at: impl Fn(&str) -> Url) {
    fs::create_dir_all(folder).expect("a folder for the walk");
    browser.resize(WINDOW.0, WINDOW.1).await;
    browser.prefer("light").await;
    for (page, list) in WALK {
        let mut address = at(page);
        if let Some(list) = list {
            let id = first_of(browser, list).await.expect("an entry to show");
            address.query_pairs_mut().append_pair("id", &id);
        }
        browser.go(&address).await;
        assert!(settles(browser).await, "{page} does not settle");
        let size = browser.view(&folder.join(format!("{page}.webp"))).await;
        assert!(size <= MOST_BYTES, "the picture of {page} has {size} bytes");
    }
}

/// A browser in which a person has signed in at the simulated CRM.
async fn signed_in(seat: &Seat, home: &Url) -> Browser {
    let browser = Browser::start().await;
    browser.go(&seat.sign_in).await;
    let user: String = form_urlencoded::byte_serialize(seat.email.as_bytes()).collect();
    browser
        .click(&format!("a[href$='login_hint={user}']"))
        .await;
    browser.arrive(home).await;
    browser
}

/// The pages' table, of the very module that runs the page.
async fn table(browser: &Browser) -> Vec<Page> {
    const READ: &str = "const done = arguments[0]; \
         import(document.querySelector('script[type=module]').src) \
             .then(({ PAGES }) => done(JSON.stringify(PAGES)), (error) => done(String(error)));";
    let found = browser.script_async(READ, &json!([])).await;
    let text = found.as_str().unwrap_or_default();
    serde_json::from_str(text).expect("the table of the pages")
}

/// The id of the first entry of a list in the API.
async fn first_of(browser: &Browser, list: &str) -> Option<String> {
    let path = format!("/api/v1{list}");
    let (_, answer) = browser.fetch(&path, &json!({})).await;
    let id = answer.pointer("/items/0/id").and_then(Value::as_str)?;
    Some(id.to_owned())
}

/// Waits until imports, links and submissions are done, so that two runs show the same.
async fn until_idle(browser: &Browser) {
    let deadline = Instant::now() + WORK;
    for list in [
        "/sync",
        "/matching",
        "/submissions?state=received",
        "/submissions?state=processing",
    ] {
        let path = format!("/api/v1{list}");
        while Instant::now() < deadline {
            let (_, answer) = browser.fetch(&path, &json!({})).await;
            if !is_at_work(&answer) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

/// True if anything in an answer is in a state that passes by itself in a moment.
fn is_at_work(answer: &Value) -> bool {
    let passes = |state: &Value| {
        let state = state.as_str().unwrap_or_default();
        ["queued", "running", "received", "processing"].contains(&state)
    };
    match answer {
        Value::Object(members) => members
            .iter()
            .any(|(name, value)| (name == "state" && passes(value)) || is_at_work(value)),
        Value::Array(items) => items.iter().any(is_at_work),
        _ => false,
    }
}

/// Waits until a page shows all its parts; `false` if it does not in time.
async fn settles(browser: &Browser) -> bool {
    const LOOK: &str = "return document.querySelector('h1') !== null \
         && document.querySelector('[aria-busy]:not([aria-busy=false])') === null;";
    let deadline = Instant::now() + PATIENCE;
    let mut calm = 0;
    while calm < 2 {
        if Instant::now() > deadline {
            return false;
        }
        let is_calm = browser.script(LOOK, &json!([])).await == true;
        calm = if is_calm { calm + 1 } else { 0 };
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    true
}

/// The pictures that were taken.
struct Album {
    folder: PathBuf,
    /// The role whose pages are shown, which names their folder.
    role: String,
    /// The HTML of the pages' pictures so far.
    body: String,
    pages: usize,
    failed: usize,
}

impl Album {
    /// Begins the pages as one role sees them.
    fn chapter(&mut self, role: &str) {
        println!("as {role}:");
        self.body.push_str(&format!("<h1>{}</h1>", escaped(role)));
        fs::create_dir_all(self.folder.join(role)).expect("a folder for the pictures");
        role.clone_into(&mut self.role);
    }

    /// Takes the pictures of a page.
    async fn add(&mut self, browser: &Browser, name: &str, title: &str, address: &Url) {
        const LOOK: &str = "const faults = []; \
             const { scrollWidth, clientWidth } = document.documentElement; \
             if (location.pathname !== arguments[0]) faults.push(`it leads to ${location.pathname}`); \
             if (scrollWidth > clientWidth) faults.push(`it is ${scrollWidth} pixels wide`); \
             return faults;";
        let mut faults = Vec::new();
        let mut figures = String::new();
        browser.resize(WIDE, HEIGHT).await;
        browser.go(address).await;
        for (scheme, shape, width) in VIEWS {
            browser.resize(width, HEIGHT).await;
            browser.prefer(scheme).await;
            if !settles(browser).await {
                faults.push(format!("{scheme}, {shape}: it does not settle"));
            }
            let file = format!("{name}-{scheme}-{shape}.png");
            browser
                .picture(&self.folder.join(&self.role).join(&file))
                .await;
            let found = browser.script(LOOK, &json!([address.path()])).await;
            let found = found.as_array().into_iter().flatten();
            faults.extend(
                found
                    .filter_map(Value::as_str)
                    .map(|fault| format!("{scheme}, {shape}: {fault}")),
            );
            figures.push_str(&format!(
                "<figure class=\"{shape}\"><figcaption>{scheme}, {width}</figcaption>\
                 <a href=\"{role}/{file}\"><img src=\"{role}/{file}\" alt=\"\" loading=\"lazy\"></a></figure>",
                role = self.role,
            ));
        }
        let logged = browser.complaints().await.into_iter();
        // Asked for by every page; the sign-in is there for those who have none.
        faults.extend(logged.filter(|text| !text.contains("/api/v1/session - ")));
        self.note(title, name, &faults, &figures);
    }

    /// Notes a page that cannot be shown.
    fn missing(&mut self, page: &Page, fault: &str) {
        self.note(&page.title, &page.name, &[fault.to_owned()], "");
    }

    fn note(&mut self, title: &str, name: &str, faults: &[String], figures: &str) {
        self.pages += 1;
        if faults.is_empty() {
            println!("ok     {name}");
        } else {
            self.failed += 1;
            println!("FAILED {name}");
        }
        let mut list = String::new();
        for fault in faults {
            println!("       {fault}");
            list.push_str(&format!("<li>{}</li>", escaped(fault)));
        }
        self.body.push_str(&format!(
            "<h2>{}</h2><ul class=\"faults\">{list}</ul><div class=\"views\">{figures}</div>",
            escaped(title)
        ));
    }

    /// Writes `index.html`, and says how it went.
    fn finish(self) -> ExitCode {
        let index = self.folder.join("index.html");
        let text = format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Pages of Leadbridge</title>\
             <style>{STYLE}</style>{}</html>\n",
            self.body
        );
        fs::write(&index, text).expect("index.html");
        println!("{}", index.display());
        println!(
            "{} passed, {} failed",
            self.pages - self.failed,
            self.failed
        );
        if self.failed == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

/// A text as it is written in HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}
