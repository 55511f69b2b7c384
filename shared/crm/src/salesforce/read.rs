//! Salesforce's records: REST queries for small numbers, query jobs of the Bulk API 2.0 for large ones.
//!
//! Sources: REST API developer guide (Query, `QueryAll`, Record Count), Bulk API 2.0 developer guide (query
//! jobs, their states and results). `queryAll` also returns the records in the recycle bin, with `IsDeleted`,
//! and the survivor of a merge in `MasterRecordId`.
//!
//! Queries go in a URL: they contain names of fields, ids and times, never personal data.
//!
//! If a worker dies between making a job and storing its id, no worker reads that job; Salesforce deletes it
//! after seven days.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::client::{API, Salesforce};
use super::errors::ApiError;
use super::soql::{Condition, Select};
use crate::import::page::{JsonPage, malformed, not_as_documented, report_unreadable};
use crate::import::{ImportError, Page, Reading, Source, Turn};
use crate::query::encode;
use crate::{CrmError, Failure, failure, shown};
use domain::clock::Millis;
use domain::inventory::ObjectSpec;
use domain::mirror::Change;
use domain::rows::csv::{BATCH, CsvRows};
use domain::rows::{self, Layout, Malformed};
use domain::schema::CrmKind;
use domain::sync::{Cursor, Resume};
use domain::vocabulary::Role;
use remote::outbound::{Answer, Call, Provider, Reply, Streamed};
use remote::session::{Session, SessionError};

/// Number of records from which on a job is made without asking REST first.
const BULK_FROM: u64 = 2_000;
/// Maximum number of rows read by REST, 2,000 with a call (its default, and the most).
const REST_UP_TO: u64 = 10_000;
/// Rows of a page of a job's results.
const BULK_PAGE_ROWS: u64 = 100_000;
/// The instant of a record's last change.
const CHANGED: &str = "SystemModstamp";
/// Objects that the Bulk API does not serve, all of them small.
const NOT_BULK: &[&str] = &["OpportunityStage", "CurrencyType"];
/// Maximum number of times that a window of time is halved before the import gives up.
const MOST_SPLITS: usize = 24;
/// The shortest window of time that is halved, in milliseconds.
const SHORTEST_WINDOW: i64 = 2_000;
/// A time before Salesforce existed: 1999-01-01.
const BEFORE_ALL: Millis = Millis(915_148_800_000);
/// Wait when the organisation's jobs of the day are used up, in seconds.
const JOBS_USED_UP_SECONDS: i64 = 900;

/// The records of a Salesforce organisation.
pub(crate) struct SalesforceSource {
    crm: Salesforce,
    session: Arc<Session>,
    /// The page whose number of rows differed from Salesforce's count, the last time.
    miscounted: Arc<std::sync::Mutex<Option<String>>>,
}

/// Progress of a reading.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    at: At,
    /// The Bulk API does not serve the object.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    rest_only: bool,
    #[serde(default)]
    window: Window,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum At {
    /// No request was made yet.
    Start,
    /// The REST page to read next.
    Page(String),
    /// A job is to be made for the window.
    Create,
    /// The time of the oldest record is to be looked up.
    Oldest,
    /// A job is being done.
    Job { id: String, polls: u32 },
    /// A job's results are read, from a locator on; so many rows are read of so many.
    Results {
        id: String,
        locator: Option<String>,
        read: u64,
        of: u64,
    },
}

/// The range of a job: records by the time of their last change. Windows are read one after the other, from
/// the oldest on, and the last has no end: a record that is changed meanwhile moves to a later one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Window {
    /// Start of the window; `None`: from the beginning.
    from: Option<Millis>,
    /// Time of the oldest record, if it was looked up.
    #[serde(default)]
    oldest: Option<Millis>,
    /// Ends of this window and those after it, the next one last. Empty: no end.
    #[serde(default)]
    ends: Vec<Millis>,
}

impl Window {
    /// Halves the window. Returns `false` if it is too short for that, or was halved too often.
    fn halve(&mut self, now: Millis) -> bool {
        let from = self.from.or(self.oldest).unwrap_or(BEFORE_ALL);
        let end = self.ends.last().copied().unwrap_or(now);
        let length = end.since(from);
        if length < SHORTEST_WINDOW || self.ends.len() >= MOST_SPLITS {
            return false;
        }
        let middle = Millis((from.0 + length / 2).div_euclid(1000) * 1000);
        self.ends.push(middle);
        true
    }

    /// Advances to the next window, if there is one.
    fn advance(&mut self) -> bool {
        let next = self.ends.pop();
        self.from = next.or(self.from);
        next.is_some()
    }

    fn condition(&self) -> Condition {
        let from = self.from.map(|from| Condition::since(CHANGED, from));
        let end = self.ends.last().map(|end| Condition::before(CHANGED, *end));
        Condition::All([from, end].into_iter().flatten().collect())
    }
}

impl State {
    fn of(reading: &Reading<'_>) -> Result<Self, ImportError> {
        if !reading.cursor.0.is_empty() {
            // A cursor of another version, which this one cannot read.
            return serde_json::from_str(&reading.cursor.0).map_err(|_| ImportError::PagesGone);
        }
        let from = match reading.since {
            None => None,
            Some(Resume::Since(at)) => Some(*at),
            Some(Resume::Delta(_)) => return Err(ImportError::ChangesExpired),
        };
        Ok(Self {
            at: At::Start,
            rest_only: NOT_BULK.contains(&reading.object.name),
            window: Window {
                from,
                ..Window::default()
            },
        })
    }

    fn at(&self, at: At) -> Self {
        Self { at, ..self.clone() }
    }

    fn cursor(&self) -> Cursor {
        Cursor(serde_json::to_string(self).unwrap_or_default())
    }

    fn next(&self, at: At) -> Turn {
        Turn::Next(self.at(at).cursor())
    }

    /// The turn after the window is read.
    fn after_window(mut self) -> Turn {
        if self.window.advance() {
            self.next(At::Create)
        } else {
            Turn::End(None)
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JobInfo {
    id: String,
    state: String,
    #[serde(default)]
    number_records_processed: u64,
    #[serde(default)]
    error_message: Option<String>,
}

#[derive(Deserialize)]
struct RecordCounts {
    #[serde(rename = "sObjects")]
    objects: Vec<RecordCount>,
}

#[derive(Deserialize)]
struct RecordCount {
    name: String,
    count: u64,
}

#[derive(Deserialize)]
struct Oldest {
    records: Vec<OldestRecord>,
}

#[derive(Deserialize)]
struct OldestRecord {
    #[serde(rename = "SystemModstamp")]
    modified: String,
}

#[derive(Deserialize)]
struct Counted {
    #[serde(rename = "totalSize")]
    total: u64,
}

/// Seconds until a job is checked again: 2, 4, 8, 16, then 30.
fn wait(polls: u32) -> i64 {
    2_i64.checked_pow(polls + 1).map_or(30, |s| s.min(30))
}

fn layout(reading: &Reading<'_>) -> Layout {
    Layout::new(CrmKind::Salesforce, reading.object, reading.fields, None)
}

/// All records of the window.
fn select<'r>(reading: &Reading<'r>, layout: &Layout, window: &Window) -> Select<'r> {
    Select::new(reading.object.name, layout.names()).filter(window.condition())
}

fn query(resource: &str, query: &Select<'_>) -> String {
    format!("{API}/{}", query.path(resource))
}

/// True if an error is about columns or an object that are no longer there.
fn is_schema(error: &ApiError) -> bool {
    matches!(
        error.error_code.as_str(),
        "INVALID_FIELD"
            | "INVALID_TYPE"
            | "INSUFFICIENT_ACCESS"
            | "INSUFFICIENT_ACCESS_OR_READONLY"
    ) || names_no_column(&error.message)
}

fn names_no_column(message: &str) -> bool {
    message.contains("INVALID_FIELD")
        || message.contains("INVALID_TYPE")
        || message.contains("No such column")
}

impl SalesforceSource {
    pub(crate) fn new(session: Arc<Session>) -> Self {
        Self {
            crm: Salesforce::new(session.clone()),
            session,
            miscounted: Arc::default(),
        }
    }

    fn call(&self, method: Method, path: &str) -> Result<Call, ImportError> {
        let url = self.session.url(path)?;
        // Only the API's own paths, whatever a link or a locator says.
        if !url.path().starts_with(API) {
            return Err(SessionError::Forbidden.into());
        }
        Ok(Call::new(Provider::Salesforce, method, url)
            .header(http::header::ACCEPT, "application/json"))
    }

    async fn get(&self, path: &str) -> Result<Answer, ImportError> {
        let reply = self.session.stream(self.call(Method::GET, path)?).await?;
        Ok(reply.collect().await.map_err(SessionError::from)?)
    }

    /// The error of a call.
    async fn refused(&self, object: &str, answer: &Answer) -> ImportError {
        let errors = ApiError::all(answer);
        if errors.iter().any(is_schema) {
            return ImportError::SchemaChanged;
        }
        let code = errors
            .first()
            .map(|error| error.error_code.as_str())
            .unwrap_or_default();
        if code == "INVALID_QUERY_LOCATOR" {
            return ImportError::PagesGone;
        }
        match self.crm.failure(answer).await {
            error @ CrmError::Refused(_) if failure(&error) == Failure::ApiError => {
                ImportError::Refused {
                    object: object.to_owned(),
                    code: shown(code),
                }
            }
            error @ (CrmError::Session(_) | CrmError::Refused(_)) => error.into(),
            _ => CrmError::Unavailable(answer.status).into(),
        }
    }

    /// A page of a REST query.
    async fn rest(
        &self,
        reading: &Reading<'_>,
        state: State,
        path: &str,
        first: bool,
    ) -> Result<Turn, ImportError> {
        let answer = self.get(path).await?;
        if !answer.status.is_success() {
            let timed_out = ApiError::all(&answer)
                .iter()
                .any(|error| error.error_code == "QUERY_TIMEOUT");
            if timed_out && first && !state.rest_only {
                return Ok(state.next(At::Create));
            }
            return Err(self.refused(reading.object.name, &answer).await);
        }
        let page = rows::json::query_page(&answer.body).map_err(malformed)?;
        if first && !state.rest_only && page.total > Some(REST_UP_TO) {
            return Ok(state.next(At::Create));
        }
        let after = match page.next {
            Some(next) => state.next(At::Page(next)),
            None => Turn::End(None),
        };
        let page = JsonPage {
            object: reading.object.name,
            layout: layout(reading),
            body: answer.body,
            rows: page.rows.into_iter(),
            of: page.total,
            after,
        };
        Ok(Turn::Page(Box::new(page)))
    }

    async fn start(&self, reading: &Reading<'_>, state: State) -> Result<Turn, ImportError> {
        let many = reading.since.is_none() && reading.about.is_some_and(|n| n >= BULK_FROM);
        if many && !state.rest_only {
            return self.create(reading, state).await;
        }
        let mut soql = select(reading, &layout(reading), &state.window);
        if reading.since.is_some() {
            soql = soql.order([CHANGED, reading.object.key()]);
        }
        self.rest(reading, state, &query("queryAll", &soql), true)
            .await
    }

    /// Makes a job for the window.
    async fn create(&self, reading: &Reading<'_>, state: State) -> Result<Turn, ImportError> {
        let soql = select(reading, &layout(reading), &state.window).to_string();
        let body = json!({
            "operation": "queryAll",
            "query": soql,
            "contentType": "CSV",
            "columnDelimiter": "COMMA",
            "lineEnding": "LF",
        });
        let call = self
            .call(Method::POST, &format!("{API}/jobs/query"))?
            .json(&body);
        let answer = self.session.send(call).await?;
        if answer.status.is_success() {
            let job: JobInfo = answer.json().ok_or_else(not_as_documented)?;
            let cursor = state
                .at(At::Job {
                    id: job.id,
                    polls: 0,
                })
                .cursor();
            return Ok(Turn::Wait(cursor, wait(0)));
        }
        let errors = ApiError::all(&answer);
        let says = |text: &str| errors.iter().any(|error| error.message.contains(text));
        if says("not supported by the Bulk API") {
            return Ok(Turn::Next(
                State {
                    rest_only: true,
                    ..state.at(At::Start)
                }
                .cursor(),
            ));
        }
        // "Max bulk v2 query jobs (10000) per 24 hrs has been reached", and the same for result sizes.
        if says("per 24 hrs") {
            let cursor = state.at(At::Create).cursor();
            return Ok(Turn::Wait(cursor, JOBS_USED_UP_SECONDS));
        }
        Err(self.refused(reading.object.name, &answer).await)
    }

    async fn poll(
        &self,
        reading: &Reading<'_>,
        state: State,
        id: String,
        polls: u32,
    ) -> Result<Turn, ImportError> {
        let answer = self.get(&job_path(&id, "")?).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(state.next(At::Create));
        }
        if !answer.status.is_success() {
            return Err(self.refused(reading.object.name, &answer).await);
        }
        let job: JobInfo = answer.json().ok_or_else(not_as_documented)?;
        match job.state.as_str() {
            "JobComplete" if job.number_records_processed == 0 => Ok(state.after_window()),
            "JobComplete" => Ok(state.next(At::Results {
                id,
                locator: None,
                read: 0,
                of: job.number_records_processed,
            })),
            "Failed" | "Aborted" => {
                let message = job.error_message.unwrap_or_default();
                if names_no_column(&message) {
                    return Err(ImportError::SchemaChanged);
                }
                tracing::warn!(
                    object = reading.object.name,
                    job_state = job.state,
                    splits = state.window.ends.len(),
                    "a query job did not complete; its window is halved"
                );
                if state.window.from.is_none() && state.window.oldest.is_none() {
                    Ok(state.next(At::Oldest))
                } else {
                    self.halve(reading, state)
                }
            }
            _ => {
                let polls = polls.saturating_add(1);
                let cursor = state.at(At::Job { id, polls }).cursor();
                Ok(Turn::Wait(cursor, wait(polls)))
            }
        }
    }

    /// Looks up the oldest record, so that the first window can be halved.
    async fn oldest(&self, reading: &Reading<'_>, mut state: State) -> Result<Turn, ImportError> {
        let soql = Select::new(reading.object.name, [CHANGED])
            .order([CHANGED])
            .limit(1);
        let answer = self.get(&query("queryAll", &soql)).await?;
        let oldest = if answer.status.is_success() {
            let found: Oldest = answer.json().ok_or_else(not_as_documented)?;
            match found.records.first() {
                Some(record) => rows::instant::instant(&record.modified)
                    .ok_or(Malformed("the oldest record has no time"))
                    .map_err(malformed)?,
                None => BEFORE_ALL,
            }
        } else if ApiError::all(&answer)
            .iter()
            .any(|error| error.error_code == "QUERY_TIMEOUT")
        {
            BEFORE_ALL
        } else {
            return Err(self.refused(reading.object.name, &answer).await);
        };
        state.window.oldest = Some(oldest);
        self.halve(reading, state)
    }

    fn halve(&self, reading: &Reading<'_>, mut state: State) -> Result<Turn, ImportError> {
        if state.window.halve(self.session.now()) {
            return Ok(state.next(At::Create));
        }
        Err(ImportError::JobsFail {
            object: reading.object.name.to_owned(),
        })
    }

    async fn results(
        &self,
        reading: &Reading<'_>,
        state: State,
        id: &str,
        locator: Option<&str>,
        (read, of): (u64, u64),
    ) -> Result<Turn, ImportError> {
        let locator = locator
            .map(|locator| format!("&locator={}", encode(locator)))
            .unwrap_or_default();
        let rest = format!("/results?maxRecords={BULK_PAGE_ROWS}{locator}");
        let mut call = self.call(Method::GET, &job_path(id, &rest)?)?;
        call.headers = vec![(http::header::ACCEPT, "text/csv".to_owned())];
        let body = match self.session.stream(call).await? {
            Reply::Body(body) => body,
            Reply::Refused(answer) if answer.status == StatusCode::NOT_FOUND => {
                return Ok(state.next(At::Create));
            }
            Reply::Refused(answer) => {
                return Err(self.refused(reading.object.name, &answer).await);
            }
        };
        let told = |name| body.header(name).map(str::trim);
        let rows: u64 = told("sforce-numberofrecords")
            .and_then(|text| text.parse().ok())
            .ok_or(Malformed("the page does not say how many rows it has"))
            .map_err(malformed)?;
        let next = told("sforce-locator")
            .ok_or(Malformed("the page does not say which is next"))
            .map_err(malformed)?;
        let next = (next != "null" && !next.is_empty()).then(|| next.to_owned());
        let since = match reading.since {
            Some(Resume::Since(at)) => Some(*at),
            _ => None,
        };
        let whole = state.window.ends.is_empty() && state.window.from == since;
        let after = match next.clone() {
            Some(locator) => state.next(At::Results {
                id: id.to_owned(),
                locator: Some(locator),
                read: read + rows,
                of,
            }),
            None => state.after_window(),
        };
        Ok(Turn::Page(Box::new(CsvPage {
            object: reading.object.name,
            rows: CsvRows::new(layout(reading)),
            body,
            chunk: Bytes::new(),
            ended: false,
            skip: reading.skip,
            told: rows,
            job_left: next.is_none().then(|| of.saturating_sub(read)),
            of: whole.then_some(of),
            after,
            cursor: reading.cursor.0.clone(),
            miscounted: self.miscounted.clone(),
        })))
    }
}

/// The path of a job, after checking its id.
fn job_path(id: &str, rest: &str) -> Result<String, ImportError> {
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(not_as_documented());
    }
    Ok(format!("{API}/jobs/query/{id}{rest}"))
}

#[async_trait]
impl Source for SalesforceSource {
    async fn sizes(
        &self,
        objects: &[&'static ObjectSpec],
    ) -> Result<BTreeMap<&'static str, u64>, ImportError> {
        let names: Vec<&str> = objects.iter().map(|spec| spec.name).collect();
        let path = format!("{API}/limits/recordCount?sObjects={}", names.join(","));
        let answer = self.get(&path).await?;
        if !answer.status.is_success() {
            return match self.refused("record counts", &answer).await {
                ImportError::Crm(error @ (CrmError::Session(_) | CrmError::Refused(_))) => {
                    Err(error.into())
                }
                _ => Ok(BTreeMap::new()),
            };
        }
        let counts = answer
            .json::<RecordCounts>()
            .map(|counts| counts.objects)
            .unwrap_or_default();
        Ok(counts
            .into_iter()
            .filter_map(|found| {
                let spec = objects.iter().find(|spec| spec.name == found.name)?;
                Some((spec.name, found.count))
            })
            .collect())
    }

    async fn count(&self, object: &'static ObjectSpec) -> Result<Option<u64>, ImportError> {
        let soql = Select::count(object.name);
        let answer = self.get(&query("query", &soql)).await?;
        if answer.status.is_success() {
            let counted: Counted = answer.json().ok_or_else(not_as_documented)?;
            return Ok(Some(counted.total));
        }
        let timed_out = ApiError::all(&answer)
            .iter()
            .any(|error| error.error_code == "QUERY_TIMEOUT");
        if timed_out {
            return Ok(None);
        }
        Err(self.refused(object.name, &answer).await)
    }

    fn tells_deletions(&self, object: &'static ObjectSpec, _since: &Resume) -> bool {
        object.of_role(Role::Deleted).is_some()
    }

    async fn turn(&self, reading: &Reading<'_>) -> Result<Turn, ImportError> {
        let state = State::of(reading)?;
        match state.at.clone() {
            At::Start => self.start(reading, state).await,
            At::Page(next) => self.rest(reading, state, &next, false).await,
            At::Create => self.create(reading, state).await,
            At::Oldest => self.oldest(reading, state).await,
            At::Job { id, polls } => self.poll(reading, state, id, polls).await,
            At::Results {
                id,
                locator,
                read,
                of,
            } => {
                self.results(reading, state, &id, locator.as_deref(), (read, of))
                    .await
            }
        }
    }
}

/// A page of a job's results, read as it arrives.
struct CsvPage {
    object: &'static str,
    rows: CsvRows,
    body: Streamed,
    /// The rest of the last chunk.
    chunk: Bytes,
    ended: bool,
    skip: u64,
    /// Number of rows of the page, as reported by Salesforce.
    told: u64,
    /// Rows of the job from this page on, if it is the last one.
    job_left: Option<u64>,
    of: Option<u64>,
    after: Turn,
    cursor: String,
    miscounted: Arc<std::sync::Mutex<Option<String>>>,
}

impl CsvPage {
    /// Ends the page.
    fn finish(&mut self, out: &mut Vec<Change>) -> Result<(), ImportError> {
        let rows = self.rows.finish(out).map_err(malformed)?;
        let mut miscounted = self
            .miscounted
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if rows == self.told && self.job_left.is_none_or(|left| left == rows) {
            *miscounted = None;
            report_unreadable(self.object, self.rows.layout());
            return Ok(());
        }
        tracing::warn!(
            object = self.object,
            rows,
            told = self.told,
            left_of_job = self.job_left,
            "a page has not as many rows as was told"
        );
        // Twice in a row, the job is at fault, and it begins again with the pass.
        let again = miscounted.replace(self.cursor.clone());
        if again.as_ref() == Some(&self.cursor) {
            *miscounted = None;
            return Err(ImportError::PagesGone);
        }
        Err(not_as_documented())
    }
}

#[async_trait]
impl Page for CsvPage {
    async fn rows(&mut self) -> Result<Option<Vec<Change>>, ImportError> {
        let mut out = Vec::new();
        while out.len() < BATCH && !self.ended {
            if self.chunk.is_empty() {
                let chunk = self.body.chunk().await.map_err(SessionError::from)?;
                self.ended = chunk.is_none();
                self.chunk = chunk.unwrap_or_default();
                if self.ended {
                    self.finish(&mut out)?;
                }
            }
            let used = self.rows.feed(&self.chunk, &mut out).map_err(malformed)?;
            let _used = self.chunk.split_to(used);
            if self.skip > 0 {
                let skipped = usize::try_from(self.skip)
                    .unwrap_or(usize::MAX)
                    .min(out.len());
                out.drain(..skipped);
                self.skip -= u64::try_from(skipped).unwrap_or(self.skip);
            }
        }
        Ok((!out.is_empty()).then_some(out))
    }

    fn of(&self) -> Option<u64> {
        self.of
    }

    /// Salesforce stores a job's results unchanged.
    fn stable(&self) -> bool {
        true
    }

    fn next(self: Box<Self>) -> Turn {
        self.after
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{At, MOST_SPLITS, Millis, Select, State, Window, wait};

    #[test]
    fn a_job_is_looked_at_less_and_less_often() {
        let waits: Vec<_> = (0..6).map(wait).collect();
        assert_eq!(waits, [2, 4, 8, 16, 30, 30]);
        assert_eq!(wait(u32::MAX - 1), 30);
    }

    #[test]
    fn a_window_is_a_condition() {
        let condition = |window: &Window| {
            let query = Select::count("Lead").filter(window.condition());
            query.to_string().replace("SELECT COUNT() FROM Lead", "")
        };
        let mut window = Window::default();
        assert_eq!(condition(&window), "");
        window.oldest = Some(Millis(0));
        assert!(window.halve(Millis(8_000)));
        assert_eq!(
            condition(&window),
            " WHERE SystemModstamp < 1970-01-01T00:00:04.000Z"
        );
        assert!(window.advance());
        assert_eq!(
            condition(&window),
            " WHERE SystemModstamp >= 1970-01-01T00:00:04.000Z"
        );
        assert!(!window.advance());
    }

    #[test]
    fn a_state_is_kept_and_found_again() {
        let state = State {
            at: At::Results {
                id: "750000000000001AAA".to_owned(),
                locator: Some("MTAw".to_owned()),
                read: 7,
                of: 9,
            },
            rest_only: false,
            window: Window {
                from: Some(Millis(1)),
                oldest: None,
                ends: vec![Millis(9), Millis(5)],
            },
        };
        let kept: State = serde_json::from_str(&state.cursor().0).unwrap();
        assert_eq!(kept, state);
    }

    proptest! {
        /// Whichever jobs fail, the windows that succeed cover all of time exactly once, in order.
        #[test]
        fn windows_cover_all_of_time(
            fails in prop::collection::vec(any::<bool>(), 0..200),
            oldest in 0_i64..1_000_000_000,
            length in 0_i64..1_000_000_000,
        ) {
            let now = Millis(oldest + length);
            let mut window = Window { oldest: Some(Millis(oldest)), ..Window::default() };
            let mut fails = fails.into_iter();
            let mut covered: Option<Millis> = None;
            for _ in 0..100_000 {
                prop_assert_eq!(window.from, covered);
                if fails.next().unwrap_or(false) {
                    let before = window.ends.len();
                    if window.halve(now) {
                        prop_assert_eq!(window.ends.len(), before + 1);
                        prop_assert!(window.ends.len() <= MOST_SPLITS);
                        prop_assert!(window.ends.is_sorted_by(|a, b| a > b));
                        prop_assert!(window.from.is_none_or(|from| window.ends.iter().all(|end| *end > from)));
                        continue;
                    }
                    break;
                }
                covered = window.ends.last().copied();
                if !window.advance() {
                    prop_assert_eq!(covered, None, "the last window has no end");
                    break;
                }
            }
        }
    }
}
