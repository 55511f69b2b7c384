//! Query jobs of Bulk API 2.0: `jobs/query` and below.
//!
//! Requests, answers and the CSV follow Salesforce's *Bulk API 2.0 and Bulk API Developer Guide*
//! (`query_create_job`, `query_get_one_job`, `query_get_job_results`, `bulk-api-2-job-states`).
//! Points that the guide leaves open follow public recordings and issues, named in each place.
//!
//! A job reads its rows when it completes; from then on its results are those rows, for every read and every
//! page size.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::rest::Request;
use super::schema::{Field, Kind};
use super::soql::{self, Column, Query};
use super::{Caller, Error, Org, ids};
use crate::clock::salesforce_time;
use crate::http::{At as _, Reply};
use crate::record::Record;

/// The first version with query jobs.
const FIRST_VERSION: u32 = 47;

/// Ended jobs are deleted after seven days.
const KEPT_MS: i64 = 7 * 24 * 3600 * 1000;

/// Jobs on a page of the list.
const LIST_PAGE: usize = 1000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    UploadComplete,
    InProgress,
    JobComplete,
    Failed,
    Aborted,
}

impl State {
    fn is_ended(self) -> bool {
        matches!(self, Self::JobComplete | Self::Failed | Self::Aborted)
    }
}

/// A column of the result.
#[derive(Debug)]
struct Cell {
    header: String,
    field: Field,
    /// Read through a lookup: kept as text beside the rows.
    related: bool,
}

/// The rows of a job that is complete.
#[derive(Debug, Default)]
struct Snapshot {
    columns: Vec<Cell>,
    rows: Vec<Arc<Record>>,
    /// The related columns of each row, one row after the other.
    related: Vec<Box<str>>,
}

/// One job. Jobs are not saved.
#[derive(Debug)]
pub(super) struct Job {
    id: String,
    all: bool,
    query: Query,
    object: String,
    user: String,
    created_ms: i64,
    changed_ms: i64,
    version: u32,
    state: State,
    polls: u32,
    delimiter: (&'static str, char),
    line_ending: (&'static str, &'static str),
    result: Snapshot,
    retries: u32,
    error: Option<&'static str>,
}

const DELIMITERS: &[(&str, char)] = &[
    ("COMMA", ','),
    ("BACKQUOTE", '`'),
    ("CARET", '^'),
    ("PIPE", '|'),
    ("SEMICOLON", ';'),
    ("TAB", '\t'),
];

const LINE_ENDINGS: &[(&str, &str)] = &[("LF", "\n"), ("CRLF", "\r\n")];

impl Job {
    /// The job's description of itself; with numbers only once it was looked at, as in the guide's examples.
    fn info(&self, created: bool) -> Value {
        let mut out = json!({
            "id": self.id, "operation": if self.all { "queryAll" } else { "query" },
            "object": self.object, "createdById": self.user,
            "createdDate": salesforce_time(self.created_ms),
            "systemModstamp": salesforce_time(self.changed_ms), "state": format!("{:?}", self.state),
            "concurrencyMode": "Parallel", "contentType": "CSV", "apiVersion": f64::from(self.version),
            "lineEnding": self.line_ending.0, "columnDelimiter": self.delimiter.0,
        });
        let Value::Object(row) = &mut out else {
            return out;
        };
        if !created {
            let rows = self.result.rows.len();
            row.insert("jobType".into(), json!("V2Query"));
            row.insert("numberRecordsProcessed".into(), json!(rows));
            row.insert("retries".into(), json!(self.retries));
            let spent = if self.state.is_ended() {
                100 + rows / 100
            } else {
                0
            };
            row.insert("totalProcessingTime".into(), json!(spent));
            // ORDER BY and LIMIT turn the chunking off, but the object goes on to support it.
            let chunked = !super::schema::is_kept(&self.object);
            row.insert("isPkChunkingSupported".into(), json!(chunked));
        }
        if let Some(error) = self.error {
            row.insert("errorMessage".into(), json!(error));
        }
        out
    }

    fn is_over(&self, now_ms: i64) -> bool {
        self.state.is_ended() && now_ms - self.changed_ms > KEPT_MS
    }
}

/// A refusal with the code that bulk requests get where no better one is documented
/// (`API_ERROR`, as clients such as Airbyte's connector expect it).
fn refused(message: impl Into<String>) -> Error {
    Error::new(400, "API_ERROR", message)
}

fn wrong_state(message: impl Into<String>) -> Error {
    Error::new(400, "INVALIDJOBSTATE", message)
}

/// The choice of this name; the first one without.
fn choice<T: Copy>(
    body: &crate::http::Row,
    name: &str,
    choices: &[(&'static str, T)],
) -> Result<(&'static str, T), Error> {
    let given = body.get(name).filter(|value| !value.is_null());
    let wanted = given.and_then(Value::as_str);
    let found = match given {
        None => choices.first(),
        Some(_) => choices.iter().find(|(known, _)| Some(*known) == wanted),
    };
    found.copied().ok_or_else(|| {
        let known: Vec<&str> = choices.iter().map(|(known, _)| *known).collect();
        let value = given.cloned().unwrap_or_default();
        Error::new(
            400,
            "JSON_PARSER_ERROR",
            format!(
                "Cannot deserialize value of {name} from {value}: value not one of declared Enum \
                 instance names: [{}] at [line:1, column:1]",
                known.join(", ")
            ),
        )
    })
}

/// The words of a query in upper case, without the quoted texts; parentheses are words.
fn words(text: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let (mut quoted, mut escaped) = (false, false);
    for letter in text.chars() {
        match letter {
            '\'' if !escaped => quoted = !quoted,
            '(' | ')' if !quoted => out.extend([letter.to_string(), String::new()]),
            letter if quoted => {
                escaped = letter == '\\' && !escaped;
                continue;
            }
            letter if letter.is_whitespace() || letter == ',' => out.push(String::new()),
            letter => {
                if let Some(last) = out.last_mut() {
                    last.extend(letter.to_uppercase());
                }
            }
        }
        escaped = false;
    }
    out.retain(|word| !word.is_empty());
    out
}

/// Refuses features that bulk queries do not support. The text for subqueries and compound fields is the real
/// service's (`OpenFn/adaptors#395`, Airbyte's connector); the text for the others is not documented.
fn check_text(text: &str) -> Result<(), Error> {
    let words = words(text);
    let has = |wanted: &[&str]| words.windows(wanted.len()).any(|part| part == wanted);
    let from = words.iter().position(|word| word == "FROM");
    let nested = words
        .windows(2)
        .position(|part| part == ["(", "SELECT"])
        .is_some_and(|at| from.is_none_or(|from| at < from));
    if nested {
        return Err(refused(
            "Aggregate Relationships not supported in Bulk V2 Query with CSV content type",
        ));
    }
    for (clause, name) in [
        (["GROUP", "BY"].as_slice(), "GROUP BY"),
        (&["OFFSET"], "OFFSET"),
        (&["TYPEOF"], "TYPEOF"),
    ] {
        if has(clause) {
            return Err(refused(format!("{name} is not supported in Bulk Query")));
        }
    }
    let mut pairs = words.iter().zip(words.iter().skip(1));
    if pairs.any(|(word, next)| {
        next == "("
            && matches!(
                word.as_str(),
                "COUNT" | "COUNT_DISTINCT" | "SUM" | "AVG" | "MIN" | "MAX"
            )
    }) {
        return Err(refused(
            "Aggregate functions are not supported in Bulk Query",
        ));
    }
    Ok(())
}

impl Org {
    /// Answers `jobs/query` and below; `tail` is the rest of the path.
    pub(super) fn bulk(
        &mut self,
        caller: &Caller,
        request: &Request,
        tail: &[&str],
    ) -> Result<Reply, Error> {
        if request.number < FIRST_VERSION {
            return Err(Error::not_found());
        }
        self.jobs.retain(|_, job| !job.is_over(caller.now_ms));
        match (request.method.as_str(), tail) {
            ("POST", []) => self.create_job(caller, request),
            ("GET", []) => Ok(self.list_jobs(request)),
            ("GET", [id]) => self.poll(caller, &job_id(id)?),
            ("GET", [id, "results"]) => self.results(request, &job_id(id)?),
            ("PATCH", [id]) => self.change_job(caller, request, &job_id(id)?),
            ("DELETE", [id]) => self.delete_job(&job_id(id)?),
            (_, [] | [_] | [_, "results"]) => Err(Error::new(
                405,
                "METHOD_NOT_ALLOWED",
                format!(
                    "HTTP Method '{}' not allowed. Allowed are HEAD,GET,POST,PATCH,DELETE",
                    request.method
                ),
            )),
            _ => Err(Error::not_found()),
        }
    }

    fn create_job(&mut self, caller: &Caller, request: &Request) -> Result<Reply, Error> {
        let body = request.body.object()?;
        let (_, all) = match body.get("operation") {
            None => return Err(Error::new(400, "INVALIDJOB", "No operation specified")),
            Some(_) => choice(body, "operation", &[("query", false), ("queryAll", true)])?,
        };
        choice(body, "contentType", &[("CSV", ())])?;
        let delimiter = choice(body, "columnDelimiter", DELIMITERS)?;
        let line_ending = choice(body, "lineEnding", LINE_ENDINGS)?;
        let text = body.get("query").and_then(Value::as_str);
        let Some(text) = text.filter(|text| !text.trim().is_empty()) else {
            return Err(Error::new(400, "INVALIDJOB", "No query specified"));
        };
        check_text(text)?;
        let query = soql::parse(text, caller.now_ms)?;
        let ty = self.queried(&query)?;
        if self.settings.bulk_unsupported.contains(&ty.name) {
            // As in airbytehq/airbyte#13088.
            let message = format!("Entity '{}' is not supported by the Bulk API.", ty.name);
            return Err(Error::new(400, "INVALIDENTITY", message));
        }
        for column in self.columns(&query, &ty)? {
            if column.field.kind == Kind::Address {
                return Err(refused(
                    "Selecting compound data not supported in Bulk Query",
                ));
            }
        }
        let limit = self.settings.bulk_job_limit;
        if self.bulk_used >= limit {
            // As Airbyte's connector knows it.
            let message = format!("Max bulk v2 query jobs ({limit}) per 24 hrs has been reached");
            return Err(Error::new(400, "LIMIT_EXCEEDED", message));
        }
        self.bulk_used += 1;
        let number = self.counters.entry("job".into()).or_default();
        *number += 1;
        let id = ids::make("750", super::pod(self.sandbox), *number);
        let job = Job {
            id: id.clone(),
            all,
            query,
            object: ty.name.clone(),
            user: caller.user.clone(),
            created_ms: caller.now_ms,
            changed_ms: caller.now_ms,
            version: request.number,
            state: State::UploadComplete,
            polls: 0,
            delimiter,
            line_ending,
            result: Snapshot::default(),
            retries: 0,
            error: None,
        };
        let info = job.info(true);
        self.jobs.insert(id, job);
        Ok(Reply::json(200, &info))
    }

    fn list_jobs(&self, request: &Request) -> Reply {
        let start = request
            .param("queryLocator")
            .and_then(offset_of)
            .unwrap_or(0);
        // Every job here is of this type and mode; asking for another one finds none.
        let is = |name: &str, own: &str| {
            let wanted = request.param(name).filter(|wanted| !wanted.is_empty());
            wanted.is_none_or(|wanted| wanted.eq_ignore_ascii_case(own))
        };
        let listed = is("jobType", "V2Query")
            && is("concurrencyMode", "Parallel")
            && is("isPkChunkingEnabled", "false");
        let jobs: Vec<&Job> = self.jobs.values().filter(|_| listed).collect();
        let page: Vec<Value> = jobs
            .iter()
            .skip(start)
            .take(LIST_PAGE)
            .map(|job| job.info(false))
            .collect();
        let end = start + page.len();
        let next = (end < jobs.len()).then(|| {
            let version = &request.version;
            format!(
                "/services/data/{version}/jobs/query?queryLocator={}",
                locator(end)
            )
        });
        Reply::json(
            200,
            &json!({ "done": next.is_none(), "records": page, "nextRecordsUrl": next }),
        )
    }

    /// Each look at a job brings it nearer to its end.
    fn poll(&mut self, caller: &Caller, id: &str) -> Result<Reply, Error> {
        let wait = self.settings.bulk_polls;
        let job = self.jobs.get_mut(id).ok_or_else(Error::not_found)?;
        job.polls += 1;
        if job.state.is_ended() {
            return Ok(Reply::json(200, &job.info(false)));
        }
        job.changed_ms = caller.now_ms;
        if job.polls <= wait {
            job.state = State::InProgress;
            return Ok(Reply::json(200, &job.info(false)));
        }
        let (query, all) = (job.query.clone(), job.all);
        let outcome = self.run_job(&query, all);
        let job = self.jobs.get_mut(id).ok_or_else(Error::not_found)?;
        match outcome {
            Ok(result) => {
                job.state = State::JobComplete;
                job.result = result;
            }
            Err((error, retries)) => {
                job.state = State::Failed;
                (job.error, job.retries) = (Some(error), retries);
            }
        }
        Ok(Reply::json(200, &job.info(false)))
    }

    /// Takes the rows of a job; the error is the text its info carries, and the retries before.
    fn run_job(&mut self, query: &Query, all: bool) -> Result<Snapshot, (&'static str, u32)> {
        if self.settings.bulk_fail_jobs > 0 {
            self.settings.bulk_fail_jobs -= 1;
            // As in simple-salesforce#646.
            return Err(("InternalServerError : Retried more than 15 times", 15));
        }
        // Object and columns existed when the job was made; they may be gone now.
        let gone = ("INVALID_FIELD: The query names what is no longer there.", 0);
        let ty = self.queried(query).map_err(|_| gone)?;
        let columns = self.columns(query, &ty).map_err(|_| gone)?;
        let rows = self.run(query, &ty, all);
        let limit = self.settings.bulk_timeout_rows;
        if limit > 0 && rows.len() > limit {
            // The text of REST's QUERY_TIMEOUT; the guide only says that such jobs fail.
            return Err((
                "QUERY_TIMEOUT: Your query request was running for too long.",
                15,
            ));
        }
        let mut related = Vec::new();
        let paths: Vec<_> = query
            .columns
            .iter()
            .filter_map(|column| match column {
                Column::Field(path) if soql::own_field(&ty, path).is_none() => Some(path),
                _ => None,
            })
            .collect();
        let through: Vec<&Cell> = columns.iter().filter(|column| column.related).collect();
        for (_, row) in &rows {
            for (path, column) in paths.iter().zip(&through) {
                let mut text = String::new();
                write_value(&mut text, &column.field, &self.reach(&ty, path, row));
                related.push(text.into_boxed_str());
            }
        }
        let rows = rows.into_iter().map(|(_, row)| Arc::clone(row)).collect();
        Ok(Snapshot {
            columns,
            rows,
            related,
        })
    }

    fn columns(
        &self,
        query: &Query,
        ty: &Arc<super::schema::ObjectType>,
    ) -> Result<Vec<Cell>, Error> {
        self.check_query(query, ty)?;
        let fields = query.columns.iter().filter_map(|column| match column {
            Column::Field(path) => Some(path),
            _ => None,
        });
        fields
            .map(|path| {
                let (header, field) = self.column_of(&query.text, ty, path)?;
                let related = soql::own_field(ty, path).is_none();
                Ok(Cell {
                    header,
                    field,
                    related,
                })
            })
            .collect()
    }

    fn results(&self, request: &Request, id: &str) -> Result<Reply, Error> {
        let job = self.jobs.get(id).ok_or_else(Error::not_found)?;
        if job.version != request.number {
            // The guide gives the status, but not the code.
            let message = format!(
                "The job was created with API version {}.0; its results must be read with the same.",
                job.version
            );
            return Err(Error::new(409, "API_VERSION_MISMATCH", message));
        }
        if job.state != State::JobComplete {
            // The guide requires JobComplete; its rules for other states differ between its versions.
            return Err(wrong_state(format!(
                "The results of a job in state {:?} are not available.",
                job.state
            )));
        }
        let rows = &job.result.rows;
        let start = match request.param("locator") {
            None => 0,
            Some(text) => offset_of(text)
                .filter(|start| *start < rows.len())
                .ok_or_else(|| refused("Invalid locator"))?,
        };
        let cap = self.settings.bulk_page_rows.max(1);
        let wanted = match request.param("maxRecords") {
            None => cap,
            Some(text) => text
                .parse()
                .ok()
                .filter(|n: &usize| *n > 0)
                .ok_or_else(|| refused("maxRecords must be a number above 0"))?,
        };
        let end = (start + wanted.min(cap)).min(rows.len());
        let next = if end < rows.len() {
            locator(end)
        } else {
            "null".to_owned()
        };
        Ok(Reply::text(200, "text/csv", job.csv(start, end))
            .with("sforce-numberofrecords", (end - start).to_string())
            .with("sforce-locator", next))
    }

    fn change_job(&mut self, caller: &Caller, request: &Request, id: &str) -> Result<Reply, Error> {
        let body = request.body.value()?;
        let job = self.jobs.get_mut(id).ok_or_else(Error::not_found)?;
        if body.at("state") != "Aborted" {
            return Err(wrong_state(
                "A query job's state can only be set to Aborted",
            ));
        }
        if job.state.is_ended() {
            let message = format!("Aborting a job in state {:?} is not allowed", job.state);
            return Err(wrong_state(message));
        }
        job.state = State::Aborted;
        job.changed_ms = caller.now_ms;
        Ok(Reply::json(200, &job.info(true)))
    }

    /// A job can be deleted before it starts and after it ended.
    fn delete_job(&mut self, id: &str) -> Result<Reply, Error> {
        let job = self.jobs.get(id).ok_or_else(Error::not_found)?;
        if job.state == State::InProgress {
            return Err(wrong_state(
                "Deleting a job in state InProgress is not allowed",
            ));
        }
        self.jobs.remove(id);
        Ok(Reply::empty(204))
    }
}

fn job_id(id: &str) -> Result<String, Error> {
    ids::long(id).ok_or_else(Error::not_found)
}

/// Opaque to the caller; a number in base64, as the guide's examples look.
fn locator(offset: usize) -> String {
    STANDARD.encode(offset.to_string())
}

fn offset_of(text: &str) -> Option<usize> {
    let bytes = STANDARD.decode(text).ok()?;
    String::from_utf8(bytes).ok()?.parse().ok()
}

impl Job {
    /// A page: the header, then the rows, every value in quotes, null and empty alike `""`.
    fn csv(&self, start: usize, end: usize) -> String {
        let result = &self.result;
        let rows = result.rows.get(start..end).unwrap_or_default();
        let mut out = String::with_capacity(rows.len() * result.columns.len() * 16 + 256);
        let (_, delimiter) = self.delimiter;
        let (_, line_ending) = self.line_ending;
        for (at, column) in result.columns.iter().enumerate() {
            if at > 0 {
                out.push(delimiter);
            }
            out.push('"');
            out.push_str(&column.header);
            out.push('"');
        }
        out.push_str(line_ending);
        let width = result
            .columns
            .iter()
            .filter(|column| column.related)
            .count();
        let mut related = result.related.iter().skip(start * width);
        for row in rows {
            for (at, column) in result.columns.iter().enumerate() {
                if at > 0 {
                    out.push(delimiter);
                }
                out.push('"');
                if column.related {
                    push_escaped(&mut out, related.next().map_or("", |text| text));
                } else {
                    write_cell(&mut out, row, &column.field);
                }
                out.push('"');
            }
            out.push_str(line_ending);
        }
        out
    }
}

fn push_escaped(out: &mut String, text: &str) {
    let mut parts = text.split('"');
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        out.push_str("\"\"");
        out.push_str(part);
    }
}

fn write_cell(out: &mut String, row: &Record, field: &Field) {
    match row.get(&field.name) {
        None | Some(Value::Null) if field.kind == Kind::Boolean => out.push_str("false"),
        None | Some(Value::Null) => {}
        Some(Value::String(text)) if field.kind != Kind::Datetime => push_escaped(out, text),
        Some(value) => write_value(out, field, value),
    }
}

/// A value as CSV shows it: dates with time end in `Z` where JSON has `+0000`; doubles are as Java
/// writes them, large ones in scientific notation (the guide's *Valid CSV Record Rows*).
fn write_value(out: &mut String, field: &Field, value: &Value) {
    match value {
        Value::Null => {}
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) if field.kind == Kind::Int => out.push_str(&number.to_string()),
        Value::Number(number) => out.push_str(&double(number.as_f64().unwrap_or_default())),
        Value::String(text) if field.kind == Kind::Datetime => {
            let head = text.strip_suffix("+0000");
            out.push_str(head.unwrap_or(text));
            if head.is_some() {
                out.push('Z');
            }
        }
        Value::String(text) => out.push_str(text),
        other => out.push_str(&other.to_string()),
    }
}

/// `Double.toString` of Java: `12.0`, `1.25E7`, `5.0E-4`.
fn double(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || (1e-3..1e7).contains(&size) {
        return format!("{value:?}");
    }
    let text = format!("{value:E}");
    match text.split_once('E') {
        Some((digits, power)) if !digits.contains('.') => format!("{digits}.0E{power}"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::{check_text, double, locator, offset_of};

    #[test]
    fn doubles_look_as_in_java() {
        for (value, wanted) in [
            (0.0, "0.0"),
            (12.0, "12.0"),
            (-2.5, "-2.5"),
            (9_999_999.0, "9999999.0"),
            (12_500_000.0, "1.25E7"),
            (10_000_000.0, "1.0E7"),
            (-0.0005, "-5.0E-4"),
            (0.001, "0.001"),
        ] {
            assert_eq!(double(value), wanted);
        }
    }

    #[test]
    fn locators_are_read_back() {
        assert_eq!(locator(10_000), "MTAwMDA=");
        assert_eq!(offset_of("MTAwMDA="), Some(10_000));
        assert_eq!(offset_of("null"), None);
    }

    #[test]
    fn what_a_bulk_query_cannot_do_is_refused() {
        for text in [
            "SELECT Name, (SELECT Id FROM Contacts) FROM Account",
            "select count() from Lead",
            "SELECT Name, SUM(Amount) FROM Opportunity GROUP BY Name",
            "SELECT Id FROM Lead LIMIT 1 OFFSET 2",
            "SELECT TYPEOF What WHEN Account THEN Phone END FROM Task",
        ] {
            assert!(check_text(text).is_err(), "{text}");
        }
        for text in [
            "SELECT Id FROM Lead WHERE Company = 'it\\'s (SELECT a GROUP BY of OFFSET'",
            "SELECT Id FROM Contact WHERE AccountId IN (SELECT Id FROM Account)",
        ] {
            assert!(check_text(text).is_ok(), "{text}");
        }
    }
}
