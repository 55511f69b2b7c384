//! A company one can believe in, for a new state of `cargo dev` without `--bare`: both demo contracts have two
//! months behind them, with records in their CRM, sellers and their activities, submissions of every kind,
//! people and companies, and imports.
//!
//! Everything is written by the product itself. Its functions run over a clock that goes through the two
//! months, and the simulator's clock goes along; people and companies are made up from fixed seeds. Nothing
//! else runs meanwhile.
//!
//! A state that was begun and not finished is thrown away at the next start: nobody has worked with it yet.

mod archive;
mod kept;
mod rows;
mod sales;
mod visits;

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use anyhow::{Context as _, Result, bail, ensure};
use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use futures::future::try_join_all;
use reqwest::{Client, Method, RequestBuilder, Response, header};
use serde_json::{Value, json};
use shared::clock::{Clock, Millis, SystemClock};
use shared::crm_setup;
use shared::domain::default_mappings::lead_field;
use shared::domain::environment::Environment;
use shared::domain::schema::CrmKind;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use url::Url;

use crate::demo::{self, Demo, DemoSeat, LINKEDIN_CLIENT_SECRET, SimulatorAddresses};
use crate::people::{self, Firm, Market, Member, Values};
use crate::seed::Made;
use crate::{Apps, Stack};
use rows::{COLLEAGUES, Making, Object, SELLERS, nth};

/// The file that marks a state whose company is not finished.
const UNFINISHED: &str = "company.unfinished";

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// Days that the company has used the product.
pub const DAYS: i64 = 61;
/// Days from one import to the next. The product's own schedule has two a day: too many to wait for.
const IMPORT_EVERY: i64 = 15;

/// Companies of a market, and the first of them that are accounts in the CRM.
const COMPANIES: usize = 100;
const ACCOUNTS: usize = 80;
/// People of a market: first the CRM's contacts, then its leads, then those that it does not know.
const CONTACTS: usize = 160;
const LEADS: usize = 110;
const STRANGERS: usize = 110;
/// Opportunities of a CRM.
const DEALS: usize = 90;

/// Responses that arrive while the CRM lets nobody create leads.
const DENIED: [usize; 2] = [23, 24];
/// A response of LinkedIn, and the one in whose place its withdrawal comes.
const WITHDRAWN: (usize, usize) = (35, 39);
/// A response of which no field is mapped.
const NOTHING_MAPPED: usize = 43;
/// A response of an ad account that is not the contract's.
const FOREIGN: usize = 52;
/// Responses that LinkedIn tells of and does not have: one was given up, one is waited for. That one is given up
/// too when the product has run for three quarters of an hour; then each kind of end is there.
const GONE: usize = 58;
const WAITING: usize = 9_999;

const MESSAGES: [&str; 4] = [
    "We are looking for a better way to get our leads into the CRM. Can somebody call me this week?",
    "Could you send us prices for 40 seats?",
    "We met at the trade fair and would like to see a demo.",
    "Does it work with our web forms in several languages?",
];
const TEAM_SIZES: [&str; 3] = ["1-10", "11-50", "51+"];

/// A way to tell a person about progress: the days that are made, and all of them.
pub type Progress<'a> = &'a (dyn Fn(i64, i64) + Sync);

/// Prepares a folder for a start: throws away a state whose company is not finished. Where a company is wanted, a
/// new state begins with the copy that [`keep`] made lately, or is marked. Returns true if [`make`] is to be
/// called.
///
/// # Errors
/// Returns an error if the folder cannot be used.
pub fn begin(state: &Path, wanted: bool) -> Result<bool> {
    ensure_own(state)?;
    let mark = state.join(UNFINISHED);
    if mark.exists() {
        std::fs::remove_dir_all(state).context("an unfinished state could not be removed")?;
    }
    if !wanted || state.join("table.sqlite").exists() {
        return Ok(false);
    }
    // Before the copy: half a copy is thrown away at the next start.
    set_mark(state)?;
    match kept::restore(state, SystemClock.now()) {
        Ok(true) => {
            std::fs::remove_file(&mark)
                .with_context(|| format!("cannot remove {}", mark.display()))?;
            return Ok(false);
        }
        Ok(false) => {}
        // Half a copy is no state.
        Err(_) => {
            std::fs::remove_dir_all(state)?;
            set_mark(state)?;
        }
    }
    Ok(true)
}

/// Throws a state away, for a new one.
///
/// # Errors
/// Returns an error if the folder is something else, or cannot be removed.
pub fn forget(state: &Path) -> Result<()> {
    ensure_own(state)?;
    if state.exists() {
        std::fs::remove_dir_all(state).context("the state could not be removed")?;
    }
    Ok(())
}

/// Marks a state as unfinished.
fn set_mark(state: &Path) -> Result<()> {
    std::fs::create_dir_all(state)
        .with_context(|| format!("cannot make the folder {}", state.display()))?;
    let mark = state.join(UNFINISHED);
    std::fs::write(&mark, "cargo dev makes a company here\n")
        .with_context(|| format!("cannot write {}", mark.display()))
}

/// Refuses a folder with somebody's own files: a state is thrown away as a whole.
fn ensure_own(state: &Path) -> Result<()> {
    let marks = [UNFINISHED, "table.sqlite", "simulator.json", "vault.key"];
    if !state.exists() || marks.iter().any(|name| state.join(name).exists()) {
        return Ok(());
    }
    for entry in std::fs::read_dir(state)? {
        // The certificates are made first.
        ensure!(
            entry?.file_name() == "tls",
            "{} has files that are not of cargo dev: choose another folder with --folder",
            state.display()
        );
    }
    Ok(())
}

/// Makes the company in a new state that is not driven yet, and takes [`begin`]'s mark away.
///
/// # Errors
/// Returns an error if anything of it fails; the state is then of no use.
pub async fn make(
    stack: &Stack,
    simulator: &SimulatorAddresses,
    progress: Progress<'_>,
) -> Result<()> {
    // Should the machine fail now, the state is begun anew: nothing has to be on the disk.
    stack.hurry(true)?;
    let clock = Arc::new(StoryClock(AtomicI64::new(0)));
    let apps = Apps::at(&stack.variables, &stack.aws, clock.clone())?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let (stop, stopping) = watch::channel(false);
    let server = crate::serve(listener, apps.router(), stopping);
    let certificate = reqwest::Certificate::from_pem(&std::fs::read(&simulator.ca_file)?)?;
    let http = Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .tls_certs_only([certificate])
        .build()?;
    let story = Story {
        stack,
        simulator,
        clock,
        apps,
        url,
        http,
        sqs: shared::aws::sqs(&stack.aws),
        progress,
    };
    let told = Box::pin(story.tell(SystemClock.now())).await;
    let _ = stop.send(true);
    server.abort();
    told.context("the company could not be made (start with --bare to go on without it)")?;
    stack.hurry(false)?;
    stack.simulator.save()?;
    match std::fs::remove_file(stack.folder().join(UNFINISHED)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Keeps a copy of the state, whose company was just made and with which nobody has worked, for the next new
/// state.
///
/// # Errors
/// Returns an error if the copy cannot be written.
pub fn keep(stack: &Stack) -> Result<()> {
    kept::keep(stack, SystemClock.now())
}

/// The time in the story.
struct StoryClock(AtomicI64);

impl StoryClock {
    fn set(&self, now: Millis) {
        self.0.store(now.0, Ordering::SeqCst);
    }
}

impl Clock for StoryClock {
    fn now(&self) -> Millis {
        Millis(self.0.load(Ordering::SeqCst))
    }
}

/// A contract, and what its CRM was filled with.
struct Side {
    made: Made,
    /// The seats that the demo names.
    seats: Vec<DemoSeat>,
    /// LinkedIn's ad account, and its form.
    account: &'static str,
    form: &'static str,
    market: Market,
    /// The key of the form for white papers.
    paper_key: String,
    /// Ids in the CRM.
    sellers: Vec<String>,
    accounts: Vec<String>,
    contacts: Vec<String>,
    /// Open opportunities, with their amounts.
    deals: Vec<(String, u32)>,
    /// The same of opportunities that began since the last import.
    begun: Vec<(String, u32)>,
    /// Leads that came in by a form and are qualified.
    qualified: BTreeSet<String>,
    /// The contacts of won opportunities, by their numbers among the market's people.
    champions: Vec<usize>,
    /// Dataverse's ids of the currency, and of a contact's role in an opportunity.
    currency: Value,
    part_role: Value,
}

impl Side {
    fn new(demo: Demo, seed: u64) -> Self {
        let Demo { made, seats } = demo;
        let (account, form) = match made.crm {
            CrmKind::Salesforce => ("456", "7234300"),
            CrmKind::Dynamics365 => ("123", "7234246"),
        };
        Self {
            made,
            seats,
            account,
            form,
            market: people::market(seed, COMPANIES, CONTACTS + LEADS + STRANGERS),
            paper_key: String::new(),
            sellers: Vec::new(),
            accounts: Vec::new(),
            contacts: Vec::new(),
            deals: Vec::new(),
            begun: Vec::new(),
            qualified: BTreeSet::new(),
            champions: Vec::new(),
            currency: Value::Null,
            part_role: Value::Null,
        }
    }

    /// The people of the CRM's contacts, of its leads, and the others.
    fn groups(&self) -> [&[Member]; 3] {
        let people = self.market.people.as_slice();
        [
            people.get(..CONTACTS).unwrap_or_default(),
            people.get(CONTACTS..CONTACTS + LEADS).unwrap_or_default(),
            people.get(CONTACTS + LEADS..).unwrap_or_default(),
        ]
    }

    /// The sender of a response, and the address that they give.
    fn sender(&self, number: usize) -> Result<(&Member, &str)> {
        let [contacts, leads, strangers] = self.groups();
        let person = match number % 7 {
            1 | 4 => {
                let person = one(leads, number * 3)?;
                return Ok((person, crm_address(person)));
            }
            5 => one(contacts, Self::writer(number).unwrap_or(0))?,
            // Somebody who wrote before.
            6 => one(strangers, number - 3)?,
            _ => one(strangers, number)?,
        };
        let address = match person.typed.email.as_str() {
            "" => person.work_email.as_str(),
            address => address,
        };
        Ok((person, address))
    }

    /// The number among the market's people of the contact who sends a response; none if a contact does not.
    fn writer(number: usize) -> Option<usize> {
        (number % 7 == 5).then(|| number * 5 % CONTACTS)
    }

    /// The employer of a person, as these values name it.
    fn employer<'a>(&'a self, person: &Member, values: &'a Values) -> &'a str {
        let firm = self.market.companies.get(person.company);
        match firm.filter(|_| values.company.is_empty()) {
            Some(firm) => &firm.name,
            None => &values.company,
        }
    }

    /// LinkedIn's id of a response.
    fn response(&self, number: usize) -> String {
        format!("{}-{number:04}", self.account)
    }

    /// A lead of the contract's own ad account, as the simulator takes it.
    fn lead(&self, number: usize, time: Millis, test: bool) -> Result<Value> {
        let (person, email) = self.sender(number)?;
        let values = &person.typed;
        let mut answers = serde_json::Map::new();
        for (field, value) in [
            ("EMAIL", email),
            ("FIRST_NAME", values.first_name.as_str()),
            ("LAST_NAME", values.last_name.as_str()),
            ("COMPANY_NAME", self.employer(person, values)),
            ("JOB_TITLE", values.title.as_str()),
            ("PHONE_NUMBER", values.mobile.as_str()),
        ] {
            if !value.is_empty() {
                answers.insert(field.to_owned(), json!(value));
            }
        }
        Ok(json!({
            "account": self.account, "form": self.form, "id": self.response(number), "campaign": "198",
            "submitted_at": time.0, "test": test, "answers": answers,
        }))
    }
}

/// The address of a person in the CRM.
fn crm_address(person: &Member) -> &str {
    match person.kept.email.as_str() {
        "" => &person.work_email,
        address => address,
    }
}

/// One of a list, by a number that may be larger than the list is long.
fn one<T>(list: &[T], number: usize) -> Result<&T> {
    let at = number.checked_rem(list.len()).unwrap_or(0);
    list.get(at).context("there is none to choose from")
}

fn whole(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The number of responses of a day, counted from 1970: few at weekends, and more of late.
fn responses(day: i64, today: i64) -> i64 {
    let growth = i64::from(today - day < 21);
    match (day + 4).rem_euclid(7) {
        0 | 6 => i64::from(day.rem_euclid(3) == 0),
        _ => 1 + day.rem_euclid(2) + growth,
    }
}

/// The body of an answer, which has to be a good one.
async fn answer(request: RequestBuilder, about: &str) -> Result<Value> {
    let answer = request.send().await?;
    let status = answer.status();
    let text = answer.text().await?;
    ensure!(status.is_success(), "{about}: {status} {text}");
    Ok(serde_json::from_str(&text).unwrap_or_default())
}

fn text_at(value: &Value, pointer: &str) -> Result<String> {
    let text = value.pointer(pointer).and_then(Value::as_str);
    let text = text.with_context(|| format!("no {pointer} in {value}"))?;
    Ok(text.to_owned())
}

/// The cookies that an answer sets, as a browser sends them back.
fn cookies(answer: &Response) -> Vec<String> {
    let set = answer.headers().get_all(header::SET_COOKIE).iter();
    set.filter_map(|cookie| Some(cookie.to_str().ok()?.split(';').next()?.to_owned()))
        .collect()
}

/// The address that an answer redirects to.
fn redirected(answer: &Response) -> Result<Url> {
    let to = answer.headers().get(header::LOCATION);
    let to = to.with_context(|| format!("no redirect from {}", answer.url()))?;
    Ok(answer.url().join(to.to_str()?)?)
}

/// A file in CSV.
fn csv<'a, const N: usize>(header: &str, rows: impl Iterator<Item = [&'a str; N]>) -> String {
    let mut text = format!("{header}\n");
    for row in rows {
        let cells = row.map(|cell| format!("\"{}\"", cell.replace('"', "\"\"")));
        text.push_str(&cells.join(","));
        text.push('\n');
    }
    text
}

fn person_cells(person: &Member) -> [&str; 13] {
    let values = &person.typed;
    let place = &values.place;
    [
        values.first_name.as_str(),
        values.last_name.as_str(),
        values.email.as_str(),
        values.phone.as_str(),
        values.mobile.as_str(),
        values.title.as_str(),
        values.company.as_str(),
        values.website.as_str(),
        place.street.as_str(),
        place.city.as_str(),
        place.state.as_str(),
        place.postcode.as_str(),
        place.country.as_str(),
    ]
}

fn firm_cells(firm: &Firm) -> [&str; 8] {
    let place = &firm.place;
    [
        firm.name.as_str(),
        firm.website.as_str(),
        firm.phone.as_str(),
        place.street.as_str(),
        place.city.as_str(),
        place.state.as_str(),
        place.postcode.as_str(),
        place.country.as_str(),
    ]
}

/// The functions at a time in the past, and the ways to act in it.
struct Story<'a> {
    stack: &'a Stack,
    simulator: &'a SimulatorAddresses,
    clock: Arc<StoryClock>,
    apps: Apps,
    /// The address of those functions.
    url: String,
    http: Client,
    sqs: aws_sdk_sqs::Client,
    progress: Progress<'a>,
}

/// The messages of a batch, each as a batch of its own.
fn apart(batch: SqsEvent) -> impl Iterator<Item = SqsEvent> {
    batch.records.into_iter().map(|record| {
        let mut one = SqsEvent::default();
        one.records.push(record);
        one
    })
}

/// The messages to deliver again, of works that run side by side.
async fn together(works: Vec<JoinHandle<SqsBatchResponse>>) -> SqsBatchResponse {
    let mut all = SqsBatchResponse::default();
    for work in works {
        // A work that panicked has said so.
        if let Ok(done) = work.await {
            all.batch_item_failures.extend(done.batch_item_failures);
        }
    }
    all
}

// The means.
impl Story<'_> {
    async fn control(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value> {
        let mut request = self
            .http
            .request(method, self.simulator.control.join(path)?);
        if let Some(body) = body {
            request = request.json(&body);
        }
        answer(request, path).await
    }

    async fn post(&self, path: &str, body: Value) -> Result<Value> {
        self.control(Method::POST, path, Some(body)).await
    }

    /// A call of the product's API.
    async fn api(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value> {
        let url = format!("{}/api/v1{path}", self.url);
        let mut request = self.http.request(method, url).bearer_auth(token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        answer(request, path).await
    }

    /// Goes to a time, with both CRMs and LinkedIn.
    async fn at(&self, time: Millis) -> Result<()> {
        self.clock.set(time);
        self.post("/clock", json!({ "now_ms": time.0 })).await?;
        Ok(())
    }

    /// Changes a setting of Salesforce and Dataverse.
    async fn set(&self, name: &str, [salesforce, dataverse]: [Value; 2]) -> Result<()> {
        let change =
            json!({ "salesforce": { name: salesforce }, "dataverse": { name: dataverse } });
        self.control(Method::PATCH, "/settings", Some(change))
            .await?;
        Ok(())
    }

    /// Adds a row to a CRM; returns its id.
    async fn add(&self, crm: CrmKind, object: Object, row: Value) -> Result<String> {
        let path = format!("/records/{}/{}", rows::system(crm), object.name(crm));
        text_at(&self.post(&path, row).await?, "/id")
    }

    /// A value of the first row of an object; null where it has none.
    async fn first_value(&self, crm: CrmKind, object: Object, name: &str) -> Result<Value> {
        let path = format!("/records/{}/{}", rows::system(crm), object.name(crm));
        let found = self.control(Method::GET, &path, None).await?;
        let value = found.pointer("/0").and_then(|row| row.get(name));
        Ok(value.cloned().unwrap_or_default())
    }

    async fn change(&self, crm: CrmKind, object: Object, id: &str, change: Value) -> Result<()> {
        let path = format!("/records/{}/{}/{id}", rows::system(crm), object.name(crm));
        self.control(Method::PATCH, &path, Some(change)).await?;
        Ok(())
    }

    /// Works on all messages about submissions and activities.
    async fn write_back(&self) -> Result<()> {
        loop {
            let taken = crate::poll_queue(&self.sqs, &self.stack.queue_url, |batch| {
                let works = apart(batch).map(|one| {
                    let app = self.apps.writeback.clone();
                    tokio::spawn(async move { crm_writeback::handle(&app, one).await })
                });
                together(works.collect())
            });
            if Box::pin(taken).await? == 0 {
                return Ok(());
            }
        }
    }

    /// Announces what is due, and works on it.
    async fn sweep(&self) -> Result<()> {
        let sweep = lead_resync::handle(&self.apps.resync, lead_resync::Task::Sweep);
        Box::pin(sweep).await?;
        self.write_back().await
    }

    /// Works on imports and link passes until none is open.
    async fn work_off(&self, sides: &[Side]) -> Result<()> {
        for _ in 0..40 {
            loop {
                let taken = crate::poll_queue(&self.sqs, &self.stack.import_queue_url, |batch| {
                    let works = apart(batch).map(|one| {
                        let app = self.apps.import.clone();
                        tokio::spawn(async move { crm_import::work_batch(&app, one).await })
                    });
                    together(works.collect())
                });
                if Box::pin(taken).await? == 0 {
                    break;
                }
            }
            let mut open = false;
            for side in sides {
                let (store, contract) = (&self.apps.import.remote.store, &side.made.id);
                let sync = store.sync(contract, Environment::Production).await?;
                let pass = store.link_pass(contract).await?;
                open |= sync.is_some_and(|sync| sync.is_open());
                open |= pass.is_some_and(|pass| pass.is_open());
            }
            if !open {
                return Ok(());
            }
            self.at(self.clock.now().plus_seconds(30)).await?;
            let resume = crm_import::run(&self.apps.import, crm_import::Task::Resume);
            Box::pin(resume).await?;
        }
        bail!("the imports do not end")
    }

    /// Imports both CRMs, as the schedule does.
    async fn import(&self, sides: &[Side]) -> Result<()> {
        let import = &self.apps.import;
        for side in sides {
            let asked = crm_setup::request_sync(
                &import.remote,
                &import.queue,
                &side.made.id,
                Environment::Production,
                "schedule",
            );
            Box::pin(asked).await?;
        }
        self.work_off(sides).await
    }
}

// The two months.
impl Story<'_> {
    async fn tell(&self, now: Millis) -> Result<()> {
        let begin = now.plus_seconds(-DAYS * DAY);
        // The CRMs' own rows are as old as this process. They have to be older than what follows, or imports
        // of changes would look for changes after them only.
        self.at(begin.plus_seconds(-HOUR)).await?;
        self.post("/reset", json!({})).await?;
        self.post("/samples", json!({})).await?;
        let settings = self.control(Method::GET, "/settings", None).await?;
        let usual = ["/salesforce/session_seconds", "/dataverse/session_seconds"]
            .map(|name| settings.pointer(name).cloned().unwrap_or_default());
        // Sign-ins last through the story: refreshing them at every step would be a third of its calls.
        let long = json!(2 * DAYS * DAY);
        self.set("session_seconds", [long.clone(), long]).await?;

        self.at(begin).await?;
        let mut sides = self.contracts().await?;
        let filled = sides.iter_mut().map(|side| self.fill(side, begin));
        try_join_all(filled).await?;
        self.work_off(&sides).await?;
        self.at(begin.plus_seconds(HOUR)).await?;
        let keys = try_join_all(sides.iter().map(|side| self.set_up(side))).await?;
        for (side, key) in sides.iter_mut().zip(keys) {
            side.paper_key = key;
        }
        self.at(begin.plus_seconds(3 * HOUR)).await?;
        try_join_all(sides.iter().map(|side| self.upload(side))).await?;
        self.work_off(&sides).await?;
        for side in &sides {
            self.correct(side).await?;
        }
        let end = now.plus_seconds(-HOUR);
        self.days(&mut sides, begin, end).await?;
        self.at(end).await?;
        self.invite_last(&sides).await?;
        self.import(&sides).await?;
        self.at(now.plus_seconds(-3 * MINUTE)).await?;
        for side in &sides {
            self.gone(side, WAITING).await?;
        }
        self.write_back().await?;
        let pull = lead_resync::Task::LinkedInPull { contract: None };
        Box::pin(lead_resync::handle(&self.apps.resync, pull)).await?;
        self.write_back().await?;

        if let [side, ..] = sides.as_slice() {
            archive::write(self.stack.folder(), side, now)?;
        }

        // The present.
        self.set("session_seconds", usual).await?;
        for provider in ["salesforce", "dataverse"] {
            let path = "/tokens/expire";
            self.post(path, json!({ "provider": provider })).await?;
        }
        self.control(Method::DELETE, "/ledger", None).await?;
        self.post("/clock", json!({ "system": true })).await?;
        Ok(())
    }

    /// The demo contracts, made and connected at this time.
    async fn contracts(&self) -> Result<Vec<Side>> {
        let import = &self.apps.import;
        let place = demo::Place {
            remote: &import.remote,
            queue: &import.queue,
            public_url: &self.stack.url.parse()?,
            simulator: self.simulator,
        };
        let demos = Box::pin(demo::contracts(&place)).await?;
        let seeded = demos.into_iter().zip(41..);
        Ok(seeded.map(|(demo, seed)| Side::new(demo, seed)).collect())
    }

    /// Fills a CRM with what it holds before the product comes.
    async fn fill(&self, side: &mut Side, begin: Millis) -> Result<()> {
        let crm = side.made.crm;
        let ago = |days: usize| begin.plus_seconds(-whole(days) * DAY);
        let unit = self.first_value(crm, Object::User, "_businessunitid_value");
        let unit = unit.await?;
        let users = SELLERS.iter().chain(&COLLEAGUES).enumerate();
        for (number, user) in users {
            let row = rows::user(crm, number, user, &unit);
            let id = self.add(crm, Object::User, row).await?;
            if number < SELLERS.len() {
                side.sellers.push(id);
            }
        }
        // The seller of the demo's seat has records too.
        let path = format!("/records/{}/{}", rows::system(crm), Object::User.name(crm));
        let users = self.control(Method::GET, &path, None).await?;
        side.sellers
            .extend(sales::user_id(&users, demo::SALESPERSON));
        let owners = side.sellers.clone();
        let making = |number: usize, days: usize| {
            one(&owners, number).map(|owner| Making {
                crm,
                number,
                owner,
                at: ago(days),
            })
        };
        for (number, firm) in side.market.companies.iter().take(ACCOUNTS).enumerate() {
            let row = rows::account(making(number, 90 + number * 7)?, firm);
            side.accounts
                .push(self.add(crm, Object::Account, row).await?);
        }
        for (number, person) in side.market.people.iter().take(CONTACTS).enumerate() {
            let account = side.accounts.get(person.company);
            let row = rows::contact(making(number, 60 + number * 2)?, person, account);
            let id = self.add(crm, Object::Contact, row).await?;
            side.contacts.push(id);
        }
        let [_, leads, _] = side.groups();
        for (number, person) in leads.iter().enumerate() {
            let making = making(number, 1 + number * 37 % 115)?;
            let company = side.employer(person, &person.kept);
            let row = rows::lead(making, person, crm_address(person), company);
            self.add(crm, Object::Lead, row).await?;
        }
        self.fill_sales(side, begin).await
    }

    /// The first day: the guide's other steps, a mapping, a form, and the team. Returns the form's key.
    async fn set_up(&self, side: &Side) -> Result<String> {
        let token = side.made.tokens.administrator.as_str();
        let environment = "/crm-connections/production";
        let path = format!("{environment}/options");
        let options = self.api(token, Method::GET, &path, None).await?;
        let sync = json!({
            "auto_save": { "leads": true, "contacts": true, "accounts": true },
            "create_leads": true, "update_leads": true, "create_contacts": true, "validate_crm_data": true,
            "log_messages_and_inmails": true, "log_smart_links": true, "log_notes": true, "log_calls": true,
        });
        let roi = json!({ "enabled": true, "currency": text_at(&options, "/currencies/0/code")? });
        for (path, body) in [("sync-settings", sync), ("roi-reporting", roi)] {
            let path = format!("{environment}/{path}");
            self.api(token, Method::PUT, &path, Some(body)).await?;
        }
        let path = format!("{environment}/guide/finish");
        self.api(token, Method::POST, &path, None).await?;
        let mapping =
            json!({ "name": "job_title", "lead_field": lead_field("title", side.made.crm) });
        self.api(token, Method::POST, "/field-mappings", Some(mapping))
            .await?;
        for seat in &side.seats {
            self.sign_in(&seat.sign_in.parse()?, &seat.email).await?;
        }
        for seller in SELLERS.iter().take(SELLERS.len() - 1) {
            let name = format!("{} {}", seller.first, seller.last);
            self.invite(side, &name, seller.email, true).await?;
        }
        let form = json!({
            "name": "White paper", "kind": "website", "campaign": "White paper: clean CRM data",
            "allowed_origins": ["https://www.example.com"], "required_fields": ["email"],
            "honeypot_field": "fax_number",
        });
        let form = self.api(token, Method::POST, "/forms", Some(form)).await?;
        text_at(&form, "/form_key")
    }

    /// Makes a seller's seat; they accept the invitation at once, or not yet.
    async fn invite(&self, side: &Side, name: &str, email: &str, accept: bool) -> Result<()> {
        let token = side.made.tokens.administrator.as_str();
        let seat = json!({ "name": name, "email": email, "role": "salesperson" });
        let seat = self.api(token, Method::POST, "/seats", Some(seat)).await?;
        if accept {
            let pointer = match side.made.crm {
                CrmKind::Salesforce => "/invitation/salesforce",
                CrmKind::Dynamics365 => "/invitation/entra",
            };
            let link: Url = text_at(&seat, pointer)?.parse()?;
            let link = self.at_simulator(side, link);
            self.sign_in(&link, email).await?;
        }
        Ok(())
    }

    /// The last of the sellers was invited lately.
    async fn invite_last(&self, sides: &[Side]) -> Result<()> {
        let [.., seller] = &SELLERS;
        let name = format!("{} {}", seller.first, seller.last);
        for side in sides {
            self.invite(side, &name, seller.email, false).await?;
        }
        Ok(())
    }

    /// An administrator uploads the people and companies that marketing knows.
    async fn upload(&self, side: &Side) -> Result<()> {
        let [contacts, leads, strangers] = side.groups();
        let people = contacts.iter().step_by(2);
        let people = people.chain(leads.iter().step_by(3));
        let people = people.chain(strangers.iter().rev().take(40));
        let header = "first_name,last_name,email,phone,mobile,job_title,company,website,street,city,state,postcode,country";
        let file = csv(header, people.map(person_cells));
        self.upload_file(side, "/profiles/csv", file).await?;
        let firms = side.market.companies.iter().skip(COMPANIES / 3);
        let header = "name,website,phone,street,city,state,postcode,country";
        let file = csv(header, firms.map(firm_cells));
        self.upload_file(side, "/companies/csv", file).await
    }

    async fn upload_file(&self, side: &Side, path: &str, file: String) -> Result<()> {
        let request = self
            .http
            .post(format!("{}/api/v1{path}", self.url))
            .bearer_auth(&side.made.tokens.administrator)
            .header(header::CONTENT_TYPE, "text/csv")
            .body(file);
        answer(request, path).await?;
        Ok(())
    }

    /// A seller sees that somebody is not the record that they were linked to.
    async fn correct(&self, side: &Side) -> Result<()> {
        let token = side.made.tokens.salesperson.as_str();
        let path = "/profiles?in_crm=true&limit=20";
        let found = self.api(token, Method::GET, path, None).await?;
        if let Ok(id) = text_at(&found, "/items/2/id") {
            let path = format!("/profiles/{id}/unmatch");
            self.api(token, Method::POST, &path, None).await?;
        }
        Ok(())
    }

    /// Day after day: responses, the CRM's own life, imports, activities.
    async fn days(&self, sides: &mut [Side], begin: Millis, end: Millis) -> Result<()> {
        let day_of = |time: Millis| time.0.div_euclid(DAY * 1000);
        let (first, today) = (day_of(begin) + 1, day_of(end));
        let mut number = 0;
        for day in first..=today {
            let morning = Millis(day * DAY * 1000);
            let since = day - first;
            (self.progress)(since, today - first);
            let early = morning.plus_seconds(5 * HOUR);
            if since > 0 && since % IMPORT_EVERY == 0 && early < end {
                self.at(early).await?;
                let round = usize::try_from(since / IMPORT_EVERY).unwrap_or(0);
                self.live(sides, round, number).await?;
                if round == 2 {
                    try_join_all(sides.iter().map(|side| self.upload_moved(side))).await?;
                }
                self.import(sides).await?;
                let visit = early.plus_seconds(HOUR + 30 * MINUTE);
                if visit < end {
                    self.at(visit).await?;
                    Box::pin(self.log_activities(sides, round)).await?;
                }
            }
            for slot in 0..responses(day, today) {
                let minutes = whole(number * 37 % 60);
                let time =
                    morning.plus_seconds((7 + slot * 4) * HOUR + minutes * MINUTE + slot * 11);
                if time >= end {
                    break;
                }
                self.at(time).await?;
                self.respond(sides, number, time).await?;
                number += 1;
            }
        }
        Ok(())
    }

    /// Both contracts get a response, and it is worked on.
    async fn respond(&self, sides: &[Side], number: usize, time: Millis) -> Result<()> {
        let denied = DENIED.contains(&number);
        if denied {
            let create = ["Lead", "lead"].map(|object| json!({ object: ["create"] }));
            self.set("denied", create).await?;
        }
        let sent = sides.iter().map(|side| self.send(side, number, time));
        try_join_all(sent).await?;
        self.clock.set(time.plus_seconds(2));
        self.write_back().await?;
        if denied {
            self.set("denied", [json!({}), json!({})]).await?;
        }
        if number == GONE {
            // As the sweep comes back to it until it is given up.
            for tries in 0..14 {
                let pause = 62 + 2_i64.pow(tries).min(900);
                self.at(self.clock.now().plus_seconds(pause)).await?;
                self.sweep().await?;
            }
        }
        Ok(())
    }

    /// Sends a response to a contract.
    async fn send(&self, side: &Side, number: usize, time: Millis) -> Result<()> {
        let test = number % 17 == 13;
        match (number, number % 10) {
            (NOTHING_MAPPED, _) => {
                let question = ("your_main_challenge", "Duplicates, most of all.");
                self.google(side, number, false, &[question]).await
            }
            (FOREIGN, _) => {
                let lead = json!({
                    "account": "520866471", "form": "3162", "id": side.response(number),
                    "submitted_at": time.0, "answers": {
                        "EMAIL": "sam.reed@mail.example", "FIRST_NAME": "Sam", "LAST_NAME": "Reed",
                        "COMPANY_NAME": "Reed Events",
                    },
                });
                self.linkedin(side, lead).await
            }
            (GONE, _) => self.gone(side, number).await,
            _ if number == WITHDRAWN.1 => {
                let path = format!("/linkedin/leads/{}/delete", side.response(WITHDRAWN.0));
                let deliver = json!({ "deliver": self.delivery(side) });
                self.post(&path, deliver).await?;
                Ok(())
            }
            (_, 0 | 2 | 5 | 8) => {
                let lead = side.lead(number, time, test)?;
                self.linkedin(side, lead).await
            }
            (_, 3 | 7) => {
                let (person, email) = side.sender(number)?;
                let values = &person.typed;
                let name = format!("{} {}", values.first_name, values.last_name);
                let columns = [
                    ("FULL_NAME", name.trim()),
                    ("EMAIL", email),
                    ("PHONE_NUMBER", values.mobile.as_str()),
                    ("COMPANY_NAME", side.employer(person, values)),
                ];
                self.google(side, number, test, &columns).await
            }
            (_, 1 | 6) => {
                let (person, email) = side.sender(number)?;
                let values = &person.typed;
                let body = json!({
                    "email": email, "first_name": values.first_name, "last_name": values.last_name,
                    "company": side.employer(person, values), "job_title": values.title,
                    "country": values.place.country, "team_size": nth(&TEAM_SIZES, number),
                    "utm_source": "newsletter",
                });
                self.website(&side.paper_key, &body).await
            }
            _ => {
                let (person, email) = side.sender(number)?;
                let values = &person.typed;
                let body = json!({
                    "email": email, "first_name": values.first_name, "last_name": values.last_name,
                    "company": side.employer(person, values), "phone": values.phone,
                    "city": values.place.city, "country": values.place.country,
                    "message": nth(&MESSAGES, number),
                });
                self.website(&side.made.form_key, &body).await
            }
        }
    }

    async fn website(&self, key: &str, body: &Value) -> Result<()> {
        let url = format!("{}/forms/{key}", self.url);
        answer(self.http.post(url).json(body), key).await?;
        Ok(())
    }

    async fn google(
        &self,
        side: &Side,
        number: usize,
        test: bool,
        columns: &[(&str, &str)],
    ) -> Result<()> {
        let columns: Vec<Value> = columns
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(id, value)| json!({ "column_id": id, "column_name": id, "string_value": value }))
            .collect();
        let body = json!({
            "lead_id": format!("demo-{number:04}"), "api_version": "1.0", "form_id": 40_000_000_000_u64,
            "campaign_id": 123_456_789, "google_key": side.made.google_key, "is_test": test,
            "gcl_id": format!("demo-click-{number}"), "user_column_data": columns,
        });
        let key = &side.made.google_form_key;
        let url = format!("{}/webhooks/google-ads/{key}", self.url);
        answer(self.http.post(url).json(&body), key).await?;
        Ok(())
    }

    /// The delivery of LinkedIn's notifications to a contract.
    fn delivery(&self, side: &Side) -> Value {
        json!({
            "url": format!("{}/webhooks/linkedin/{}", self.url, side.made.id),
            "client_secret": LINKEDIN_CLIENT_SECRET,
        })
    }

    /// Makes a lead at LinkedIn, which tells the contract of it.
    async fn linkedin(&self, side: &Side, mut lead: Value) -> Result<()> {
        if let Some(lead) = lead.as_object_mut() {
            lead.insert("deliver".to_owned(), self.delivery(side));
        }
        let made = self.post("/linkedin/leads", lead).await?;
        let told = made.pointer("/statuses/0").and_then(Value::as_u64);
        ensure!(told == Some(200), "a notification was answered {made}");
        Ok(())
    }

    /// LinkedIn tells of a lead that it no longer has when it is asked.
    async fn gone(&self, side: &Side, number: usize) -> Result<()> {
        let lead = side.lead(number, self.clock.now(), false)?;
        self.linkedin(side, lead).await?;
        let path = format!("/linkedin/leads/{}/delete", side.response(number));
        self.post(&path, json!({})).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{
        DENIED, FOREIGN, GONE, NOTHING_MAPPED, UNFINISHED, WITHDRAWN, begin, forget, responses,
    };

    #[test]
    fn a_folder_with_other_files_stays() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("dev");
        std::fs::create_dir(&state).unwrap();
        let note = state.join("thesis.txt");
        std::fs::write(&note, "mine").unwrap();
        assert!(begin(&state, true).is_err());
        assert!(forget(&state).is_err());
        assert!(note.exists() && !state.join(UNFINISHED).exists());
        std::fs::remove_file(&note).unwrap();
        assert!(begin(&state, true).unwrap());
        forget(&state).unwrap();
        assert!(!state.exists());
        forget(&state).unwrap();
    }

    #[test]
    fn an_unfinished_state_is_begun_anew_and_a_finished_one_stays() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("dev");
        let table = state.join("table.sqlite");
        assert!(begin(&state, true).unwrap());
        std::fs::write(&table, "half").unwrap();
        assert!(begin(&state, true).unwrap());
        assert!(!table.exists(), "the half is gone");
        std::fs::write(&table, "whole").unwrap();
        std::fs::remove_file(state.join(UNFINISHED)).unwrap();
        assert!(!begin(&state, true).unwrap());
        assert!(table.exists());
    }

    #[test]
    fn an_unfinished_state_is_no_state_for_others_either() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("dev");
        assert!(begin(&state, true).unwrap());
        assert!(!begin(&state, false).unwrap());
        assert!(!state.exists());
    }

    #[test]
    fn every_special_response_comes() {
        let numbers = [DENIED[0], DENIED[1], WITHDRAWN.0, WITHDRAWN.1];
        let last = numbers.into_iter().chain([NOTHING_MAPPED, FOREIGN, GONE]);
        let last = i64::try_from(last.max().unwrap()).unwrap();
        // Whatever weekday it is.
        for today in 20_000..20_014 {
            let sum: i64 = (today - 59..today).map(|day| responses(day, today)).sum();
            assert!((last + 2..110).contains(&sum), "{sum}");
        }
    }
}
