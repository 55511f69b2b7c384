//! Dataverse's rows: pages of a table, then the changes since.
//!
//! Sources: Microsoft's pages "Page results", "Use change tracking to synchronize data with external
//! systems", "Web service error codes" (`ExpiredVersionStamp`, `ChangeTrackingNotEnabledForEntity`),
//! `RetrieveTotalRecordCount`; `OData` 4.0, 11.3 (requesting changes).
//!
//! The delta link of the first page that has one is kept, because it is the earliest, and a change that is
//! reported twice does no harm. Dataverse sends it with the last page only, other servers with each.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use http::{HeaderName, Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::client::read_call;
use super::errors::error_code;
use super::odata::{API, Filter, Query};
use crate::import::page::{JsonPage, malformed};
use crate::import::{ImportError, Reading, Source, Turn};
use crate::{CrmError, no_api_access, shown};
use domain::inventory::ObjectSpec;
use domain::rows::{self, Layout};
use domain::schema::CrmKind;
use domain::sync::{Cursor, Resume};
use domain::vocabulary::Role;
use remote::outbound::Answer;
use remote::session::{Session, SessionError};

/// Rows of a page: Dataverse's maximum.
const PAGE_ROWS: u32 = 5_000;

/// The rows of a Dataverse organisation.
pub(crate) struct DataverseSource {
    session: Arc<Session>,
}

/// Progress of a reading.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
struct State {
    /// The next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<String>,
    /// The delta link of the first page that had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<String>,
    /// The table does not track its changes.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    untracked: bool,
    /// The table does not know the survivors of merges.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    no_survivor: bool,
}

impl State {
    fn cursor(&self) -> Cursor {
        Cursor(serde_json::to_string(self).unwrap_or_default())
    }
}

/// The kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    /// The first page of a table whose changes are tracked.
    Tracked,
    /// The first page of a table without change tracking.
    Plain,
    /// Changes since a delta link.
    Delta,
    /// A page that another page links to.
    Next,
}

#[derive(Deserialize)]
struct TotalCounts {
    #[serde(rename = "EntityRecordCountCollection")]
    counts: CountCollection,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CountCollection {
    keys: Vec<String>,
    values: Vec<u64>,
}

/// The name of a table's entity set. Those of the inventory follow the rule of English plurals;
/// table metadata names them too (`EntitySetName`).
fn entity_set(table: &str) -> String {
    match table.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None => format!("{table}s"),
    }
}

/// The meaning of a reading's error.
#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    ChangesExpired,
    PagesGone,
    SchemaChanged,
    /// The table does not track its changes.
    Untracked,
    /// The table does not know the survivors of merges.
    NoSurvivor,
    /// The user may not use the API at all.
    NoAccess,
    /// The query itself is refused.
    Refused,
    Trouble,
}

fn meaning(ask: Ask, since_delta: bool, status: StatusCode, body: &Value) -> Meaning {
    let code = error_code(body);
    let message = body
        .pointer("/error/message")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_lowercase();
    let says = |texts: &[&str]| texts.iter().any(|text| message.contains(text));
    let client_error = status.is_client_error();
    let expired = code.eq_ignore_ascii_case("0x80044352") || says(&["version stamp"]);
    if expired || (client_error && says(&["delta token", "deltatoken"])) {
        return if since_delta {
            Meaning::ChangesExpired
        } else {
            Meaning::PagesGone
        };
    }
    if status == StatusCode::FORBIDDEN {
        let privilege = ["0x80040220", "0x80048306"]
            .iter()
            .any(|known| code.eq_ignore_ascii_case(known));
        return if privilege || says(&["privilege"]) {
            Meaning::SchemaChanged
        } else {
            Meaning::NoAccess
        };
    }
    let not_enabled = code.eq_ignore_ascii_case("0x80072491") || says(&["track"]);
    if ask == Ask::Tracked && not_enabled && (client_error || status == StatusCode::NOT_IMPLEMENTED)
    {
        return Meaning::Untracked;
    }
    if !client_error {
        return Meaning::Trouble;
    }
    match ask {
        // Links contain the columns of the time when they were made.
        Ask::Delta => Meaning::ChangesExpired,
        Ask::Next => Meaning::PagesGone,
        Ask::Tracked | Ask::Plain => {
            if says(&["masterid"]) {
                Meaning::NoSurvivor
            } else if status == StatusCode::NOT_FOUND
                || says(&["could not find a property", "doesn't contain attribute"])
            {
                Meaning::SchemaChanged
            } else {
                Meaning::Refused
            }
        }
    }
}

/// The error of a reading, or the way to continue without a feature that the table lacks.
fn refused(
    reading: &Reading<'_>,
    ask: Ask,
    mut state: State,
    answer: &Answer,
) -> Result<Turn, ImportError> {
    let body: Value = answer.json().unwrap_or_default();
    let since_delta = matches!(reading.since, Some(Resume::Delta(_)));
    Err(match meaning(ask, since_delta, answer.status, &body) {
        Meaning::Untracked if !state.untracked => {
            state.untracked = true;
            return Ok(Turn::Next(state.cursor()));
        }
        Meaning::NoSurvivor if !state.no_survivor => {
            state.no_survivor = true;
            return Ok(Turn::Next(state.cursor()));
        }
        Meaning::ChangesExpired => ImportError::ChangesExpired,
        Meaning::PagesGone => ImportError::PagesGone,
        Meaning::SchemaChanged => ImportError::SchemaChanged,
        Meaning::NoAccess => no_api_access(error_code(&body)).into(),
        Meaning::Trouble => CrmError::Unavailable(answer.status).into(),
        Meaning::Refused | Meaning::Untracked | Meaning::NoSurvivor => ImportError::Refused {
            object: reading.object.name.to_owned(),
            code: shown(error_code(&body)),
        },
    })
}

impl DataverseSource {
    pub(crate) fn new(session: Arc<Session>) -> Self {
        Self { session }
    }

    /// A link from the server, which has to lead to our organisation's API.
    fn link(&self, link: &str) -> Result<Url, ImportError> {
        let url = self.session.url(link)?;
        let inside = url
            .path()
            .strip_prefix(API)
            .is_some_and(|rest| rest.starts_with('/'));
        inside
            .then_some(url)
            .ok_or_else(|| SessionError::Forbidden.into())
    }

    async fn get(&self, url: Url, prefer: Option<String>) -> Result<Answer, ImportError> {
        let mut call = read_call(Method::GET, url);
        if let Some(prefer) = prefer {
            call = call.header(HeaderName::from_static("prefer"), prefer);
        }
        let reply = self.session.stream(call).await?;
        Ok(reply.collect().await.map_err(SessionError::from)?)
    }

    /// The first page's address.
    fn first(&self, reading: &Reading<'_>, layout: &Layout) -> Result<Url, ImportError> {
        let mut query = Query::of(&entity_set(reading.object.name)).select(layout.names());
        if let Some(Resume::Since(at)) = reading.since {
            let changed = reading.object.named(Role::Modified);
            query = query
                .filter(Filter::since(changed, *at))
                .order([changed, reading.object.key()]);
        }
        Ok(self.session.url(&query.to_string())?)
    }
}

#[async_trait]
impl Source for DataverseSource {
    /// Counts as of some time in the last 24 hours; tables without a count are left out.
    async fn sizes(
        &self,
        objects: &[&'static ObjectSpec],
    ) -> Result<BTreeMap<&'static str, u64>, ImportError> {
        let names: Vec<&str> = objects.iter().map(|spec| spec.name).collect();
        let query = Query::function("RetrieveTotalRecordCount", "EntityNames", &names);
        let answer = self
            .get(self.session.url(&query.to_string())?, None)
            .await?;
        if !answer.status.is_success() {
            let body = answer.json().unwrap_or_default();
            return match meaning(Ask::Plain, false, answer.status, &body) {
                Meaning::NoAccess => Err(no_api_access(error_code(&body)).into()),
                _ => Ok(BTreeMap::new()),
            };
        }
        let found = answer.json::<TotalCounts>().map(|found| found.counts);
        let pairs = found
            .into_iter()
            .flat_map(|found| found.keys.into_iter().zip(found.values));
        Ok(pairs
            .filter_map(|(name, count)| {
                let spec = objects
                    .iter()
                    .find(|spec| spec.name.eq_ignore_ascii_case(&name))?;
                Some((spec.name, count))
            })
            .collect())
    }

    async fn count(&self, _object: &'static ObjectSpec) -> Result<Option<u64>, ImportError> {
        // `$count` stops at 5,000.
        Ok(None)
    }

    fn tells_deletions(&self, _object: &'static ObjectSpec, since: &Resume) -> bool {
        matches!(since, Resume::Delta(_))
    }

    async fn turn(&self, reading: &Reading<'_>) -> Result<Turn, ImportError> {
        let mut state: State = if reading.cursor.0.is_empty() {
            State::default()
        } else {
            serde_json::from_str(&reading.cursor.0).map_err(|_| ImportError::PagesGone)?
        };
        let survivor = reading.object.survivor_if_there();
        let layout = Layout::new(
            CrmKind::Dynamics365,
            reading.object,
            reading.fields,
            survivor.filter(|_| !state.no_survivor),
        );
        let tracked = reading.since.is_none() && !state.untracked;
        let (ask, url) = match (&state.link, reading.since) {
            (Some(link), _) => (Ask::Next, self.link(link)?),
            (None, Some(Resume::Delta(link))) => (Ask::Delta, self.link(link)?),
            (None, _) if tracked => (Ask::Tracked, self.first(reading, &layout)?),
            (None, _) => (Ask::Plain, self.first(reading, &layout)?),
        };
        let track = if tracked { "odata.track-changes," } else { "" };
        let prefer = format!("{track}odata.maxpagesize={PAGE_ROWS}");
        let answer = self.get(url, Some(prefer)).await?;
        if !answer.status.is_success() {
            return refused(reading, ask, state, &answer);
        }
        let page = rows::json::table_page(&answer.body).map_err(malformed)?;
        // Links are checked before they are stored for later.
        for link in page.next.iter().chain(&page.delta) {
            self.link(link)?;
        }
        state.delta = state.delta.or(page.delta);
        let after = match page.next {
            Some(next) if state.link.as_ref() == Some(&next) => {
                return Err(malformed(rows::Malformed(
                    "a page names itself as the next",
                )));
            }
            Some(next) => {
                state.link = Some(next);
                Turn::Next(state.cursor())
            }
            None => Turn::End(state.delta),
        };
        let page = JsonPage {
            object: reading.object.name,
            layout,
            body: answer.body,
            rows: page.rows.into_iter(),
            of: None,
            after,
        };
        Ok(Turn::Page(Box::new(page)))
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use serde_json::json;

    use super::{Ask, Meaning, State, entity_set, meaning};
    use domain::inventory::objects;
    use domain::schema::CrmKind;

    #[test]
    fn every_table_has_its_entity_set() {
        let sets: Vec<_> = objects(CrmKind::Dynamics365)
            .iter()
            .map(|spec| entity_set(spec.name))
            .collect();
        assert_eq!(
            sets,
            [
                "accounts",
                "contacts",
                "leads",
                "opportunities",
                "systemusers",
                "positions",
                "connections",
                "connectionroles",
                "transactioncurrencies"
            ]
        );
    }

    #[test]
    fn errors_are_told_apart() {
        let of = |ask, since_delta, status: u16, code: &str, message: &str| {
            let body = json!({"error": {"code": code, "message": message}});
            meaning(
                ask,
                since_delta,
                StatusCode::from_u16(status).unwrap(),
                &body,
            )
        };
        let expired =
            "Version stamp associated with the client has expired. Please perform a full sync.";
        for (ask, delta, status, code, message, expected) in [
            (
                Ask::Delta,
                true,
                400,
                "0x80044352",
                "",
                Meaning::ChangesExpired,
            ),
            (Ask::Next, true, 400, "", expired, Meaning::ChangesExpired),
            (Ask::Delta, true, 410, "", "", Meaning::ChangesExpired),
            (
                Ask::Next,
                false,
                400,
                "0x80060888",
                "Skip token is malformed.",
                Meaning::PagesGone,
            ),
            (
                Ask::Tracked,
                false,
                400,
                "0x80072491",
                "Entity x isn't enabled for change tracking.",
                Meaning::Untracked,
            ),
            (
                Ask::Tracked,
                false,
                403,
                "0x80040220",
                "Tracking changes needs read privilege.",
                Meaning::SchemaChanged,
            ),
            (
                Ask::Plain,
                false,
                403,
                "0x80072560",
                "The user is not a member of the organization.",
                Meaning::NoAccess,
            ),
            (
                Ask::Tracked,
                false,
                400,
                "0x80060888",
                "Could not find a property named 'masterid' on type 'x'.",
                Meaning::NoSurvivor,
            ),
            (
                Ask::Plain,
                false,
                400,
                "0x80060888",
                "Could not find a property named 'fax' on type 'x'.",
                Meaning::SchemaChanged,
            ),
            (
                Ask::Plain,
                false,
                404,
                "",
                "Resource not found for the segment 'positions'.",
                Meaning::SchemaChanged,
            ),
            (
                Ask::Plain,
                false,
                400,
                "",
                "Something else.",
                Meaning::Refused,
            ),
            (Ask::Delta, true, 503, "", "", Meaning::Trouble),
        ] {
            assert_eq!(
                of(ask, delta, status, code, message),
                expected,
                "{code} {message}"
            );
        }
    }

    #[test]
    fn a_state_is_kept_and_found_again() {
        let state = State {
            link: Some("https://a.example/x".to_owned()),
            delta: Some("https://a.example/y".to_owned()),
            untracked: true,
            no_survivor: true,
        };
        assert_eq!(
            serde_json::from_str::<State>(&state.cursor().0).unwrap(),
            state
        );
        assert_eq!(State::default().cursor().0, "{}");
    }
}
