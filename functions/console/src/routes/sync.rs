//! The imports of the two environments: their progress object by object, their history, sync now and stop
//! (CN-7, IM-3, IM-4).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use shared::clock::Millis;
use shared::crm_setup;
use shared::domain::environment::Environment;
use shared::domain::ids::ContractId;
use shared::domain::inventory;
use shared::domain::sync::{
    ApiUsage, Notice, ObjectRecord, ObjectState, ObjectSync, PassKind, Phase, RunRecord, Sync,
    SyncState,
};
use shared::problem::Problem;
use shared::store::{Connection, ConnectionKind};
use utoipa::{IntoParams, ToSchema};

use super::crm::environment;
use super::submissions::page_size;
use crate::App;
use crate::auth::{Caller, ConnectCrm, ReadConfiguration};
use crate::described::{Routes, routes};
use crate::extract::{Json, Path, Query};

/// Organisations' limits of API calls hold for any 24 hours.
const API_SECONDS: i64 = 24 * 3600;
/// The limit of runs of the last 24 hours whose calls are counted: more than are ever started in that time.
const MAX_RUNS_A_DAY: i32 = 100;

pub(super) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list))
        .routes(routes!(runs))
        .routes(routes!(sync_now))
        .routes(routes!(cancel))
}

/// The import of an environment: the one that waits or runs, or the last one.
#[derive(Serialize, ToSchema)]
struct SyncStatus {
    environment: Environment,
    /// `null` before the first one.
    state: Option<SyncState>,
    /// Counts the environment's runs.
    run: u64,
    /// The phase of the run; `null` when none is open.
    phase: Option<Phase>,
    /// The message for people: `Reading contacts: 41 %, about 3 minutes left`.
    message: String,
    /// The reason for waiting or failure, with the next step.
    problem: Option<Problem>,
    /// A seat, an API token, or `schedule`.
    requested_by: Option<String>,
    /// The name of the seat that asked for it, while there is that seat.
    requested_by_name: Option<String>,
    #[schema(value_type = Option<i64>)]
    requested_at: Option<Millis>,
    /// The time at which a worker first took it.
    #[schema(value_type = Option<i64>)]
    started_at: Option<Millis>,
    #[schema(value_type = Option<i64>)]
    finished_at: Option<Millis>,
    /// The time at which an import last reached its end.
    #[schema(value_type = Option<i64>)]
    last_success_at: Option<Millis>,
    /// The time at which the next scheduled import starts.
    #[schema(value_type = Option<i64>)]
    next_at: Option<Millis>,
    /// Steps of the run.
    steps: u64,
    /// The run's calls to the CRM.
    calls: u64,
    /// Bytes that the CRM answered in the run.
    bytes: u64,
    api: ApiShare,
    /// Object by object, in the order of the import. Empty before the first run plans them.
    objects: Vec<ObjectProgress>,
}

/// The organisation's API calls, and the share of them that imports may use. Where the CRM gives no daily
/// number, as Dataverse, all but the setting is `null`.
#[derive(Serialize, ToSchema)]
struct ApiShare {
    /// Calls that the organisation has used in 24 hours, all applications together, by the CRM's last answer.
    used: Option<u64>,
    /// Calls that it may use in 24 hours.
    limit: Option<u64>,
    /// The setting `api_share_percent`.
    share_percent: u8,
    /// Calls of imports that ended in the last 24 hours, and of the one that is open.
    imports_used: Option<u64>,
    /// The same, in percent of the share.
    share_used_percent: Option<u64>,
}

/// An object of the CRM in the import.
#[derive(Serialize, ToSchema)]
struct ObjectProgress {
    /// The CRM's name for the object.
    object: String,
    /// The object's label for people.
    label: String,
    state: ObjectState,
    /// The way of reading in progress; `null` when it is not being read.
    pass: Option<PassKind>,
    /// Rows that the run has read.
    read: u64,
    /// The approximate number of rows to read.
    of: Option<u64>,
    /// The progress from 0 to 100; below 100 until it is done. `null` where the CRM did not give a total.
    percent: Option<u64>,
    rate_per_second: Option<u64>,
    seconds_left: Option<u64>,
    /// Records in Leadbridge.
    records: u64,
    /// The number of records by the CRM's last count, where it has one.
    crm_records: Option<u64>,
    /// Records that the run has written.
    written: u64,
    /// Records that the run has removed.
    removed: u64,
    /// The time at which it goes on: the CRM asked for a pause.
    #[schema(value_type = Option<i64>)]
    due_at: Option<Millis>,
    /// The time at which it last matched the CRM's state.
    #[schema(value_type = Option<i64>)]
    last_success_at: Option<Millis>,
    /// The time of the last full read.
    #[schema(value_type = Option<i64>)]
    last_full_at: Option<Millis>,
    /// Notices for people; they stop nothing.
    notices: Vec<Notice>,
    /// The reason for waiting or failure, with the next step.
    problem: Option<Problem>,
}

impl ObjectProgress {
    /// The progress of an object. `open` is true while the run goes on.
    fn of(object: ObjectSync, open: bool, now: Millis) -> Self {
        let ended = object.finished_at.is_some();
        Self {
            percent: percent(&object),
            // The duration of a stopped read is not known.
            rate_per_second: object.rate_per_second(now).filter(|_| open || ended),
            seconds_left: object.seconds_left(now).filter(|_| open),
            pass: object.pass.as_ref().map(|pass| pass.kind),
            due_at: object
                .due_at
                .filter(|at| open && object.is_open() && *at > now),
            object: object.object,
            label: object.label,
            state: object.state,
            read: object.read,
            of: object.of,
            records: object.records,
            crm_records: object.crm_records,
            written: object.written,
            removed: object.removed,
            last_success_at: object.last_success_at,
            last_full_at: object.last_full_at,
            notices: object.notices,
            problem: object.problem,
        }
    }
}

fn percent(object: &ObjectSync) -> Option<u64> {
    match object.state {
        ObjectState::Done => Some(100),
        ObjectState::NotReadable => None,
        // The number of rows to read is an estimate: nothing is complete before it is done.
        ObjectState::Waiting | ObjectState::Reading | ObjectState::Failed => {
            let read = object.read.saturating_mul(100).checked_div(object.of?)?;
            Some(read.min(99))
        }
    }
}

/// The plural of an object's label: `opportunities`.
fn plural(label: &str) -> String {
    let label = label.to_lowercase();
    match label.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None => format!("{label}s"),
    }
}

/// `about 3 minutes`
fn duration(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..60 => return "less than a minute".to_owned(),
        60..5400 => (seconds.saturating_add(30) / 60, "minute"),
        _ => (seconds.saturating_add(1800) / 3600, "hour"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("about {count} {unit}{plural}")
}

/// The message for an import that waits until `until`.
fn waiting(problem: &Problem, until: Millis) -> String {
    if problem.code == "api_share_used" {
        return format!("Waiting: the share of API calls is used up until {until}.");
    }
    match problem.detail.split_once(' ') {
        Some((first @ ("The" | "All"), rest)) => {
            format!("Waiting: {} {rest}", first.to_lowercase())
        }
        _ => format!("Waiting: {}", problem.detail),
    }
}

/// The message for an open run.
fn progress(sync: &Sync, objects: &[ObjectSync], now: Millis) -> String {
    if let Some(problem) = &sync.problem {
        return waiting(problem, sync.due_at);
    }
    if sync.started_at.is_none() {
        return "Waiting to start.".to_owned();
    }
    let of_run = || objects.iter().filter(|object| object.run == sync.run);
    let open = || of_run().filter(|object| object.is_open());
    if sync.phase == Phase::Preparing || of_run().next().is_none() {
        return "Checking what can be read.".to_owned();
    }
    let waits = |object: &&ObjectSync| object.due_at.is_some_and(|at| at > now);
    if open().all(|object| waits(&object) && object.problem.is_some())
        && let Some((problem, until)) =
            open().find_map(|object| Some((object.problem.as_ref()?, object.due_at?)))
    {
        return waiting(problem, until);
    }
    let mut reading = open().filter(|object| object.state == ObjectState::Reading);
    match reading.next() {
        Some(object) => {
            let mut text = format!("Reading {}", plural(&object.label));
            if let Some(percent) = percent(object) {
                text.push_str(&format!(": {percent} %"));
            }
            if let Some(seconds) = object.seconds_left(now) {
                text.push_str(&format!(", {} left", duration(seconds)));
            }
            text
        }
        None => format!(
            "{} of {} objects are read.",
            of_run().filter(|object| !object.is_open()).count(),
            of_run().count()
        ),
    }
}

/// The message for an import that was stopped. `by` is the name of the person who stopped it.
pub(super) fn stopped(by: Option<&str>, next_at: Option<Millis>) -> String {
    let by = by.map(|by| format!(" by {by}")).unwrap_or_default();
    let next = next_at.map(|at| format!("; the next one starts at {at}"));
    format!("The import was stopped{by}{}.", next.unwrap_or_default())
}

impl App {
    /// The name of an audit log's `actor`: that of the seat, while the seat exists.
    async fn name_of(&self, contract: &ContractId, actor: &str) -> Result<Option<String>, Problem> {
        let Some(seat) = actor.strip_prefix("seat:").and_then(|id| id.parse().ok()) else {
            return Ok(None);
        };
        let seat = self.remote.store.seat(contract, seat).await;
        let seat = seat.map_err(|error| error.problem())?;
        Ok(seat.map(|seat| seat.name))
    }

    /// The names of all of these that are seats.
    pub(super) async fn names_of(
        &self,
        contract: &ContractId,
        actors: impl Iterator<Item = &str>,
    ) -> Result<BTreeMap<String, String>, Problem> {
        let actors: BTreeSet<&str> = actors.collect();
        let mut names = BTreeMap::new();
        for actor in actors {
            if let Some(name) = self.name_of(contract, actor).await? {
                names.insert(actor.to_owned(), name);
            }
        }
        Ok(names)
    }

    /// The name of the person who stopped an import.
    pub(super) async fn stopper(
        &self,
        contract: &ContractId,
        sync: &Sync,
    ) -> Result<Option<String>, Problem> {
        let by = sync.stopped_by.as_ref();
        let Some(by) = by.filter(|_| sync.state == SyncState::Cancelled) else {
            return Ok(None);
        };
        let name = self.name_of(contract, by).await?;
        Ok(name.or_else(|| Some(by.clone())))
    }

    /// The import of an environment that has or had a connection.
    async fn sync_status(
        &self,
        contract: &ContractId,
        environment: Environment,
    ) -> Result<Option<SyncStatus>, Problem> {
        let store = &self.remote.store;
        let now = self.remote.clock.now();
        let kind = ConnectionKind::Crm(environment);
        let connection = self.connection(contract, kind).await?;
        let sync = store.sync(contract, environment).await;
        let sync = sync.map_err(|error| error.problem())?;
        if connection.is_none() && sync.is_none() {
            return Ok(None);
        }
        let objects = self
            .objects(contract, environment, connection.as_ref())
            .await?;
        let open = sync.as_ref().filter(|sync| sync.is_open());
        let next_at = sync
            .as_ref()
            .filter(|_| connection.as_ref().is_some_and(Connection::stands))
            .and_then(Sync::next_at);
        let message = match &sync {
            None => "There was no import yet.".to_owned(),
            Some(sync) => match sync.state {
                SyncState::Queued | SyncState::Running => progress(sync, &objects, now),
                SyncState::Cancelled => {
                    let by = self.stopper(contract, sync).await?;
                    stopped(by.as_deref(), next_at)
                }
                SyncState::Failed => sync.problem.as_ref().map_or_else(
                    || "The last import failed.".to_owned(),
                    |problem| problem.detail.clone(),
                ),
                SyncState::Succeeded => "The last import reached its end.".to_owned(),
            },
        };
        let requested_by = sync.as_ref().map(|sync| sync.requested_by.clone());
        let requested_by_name = match &requested_by {
            Some(by) => self.name_of(contract, by).await?,
            None => None,
        };
        Ok(Some(SyncStatus {
            environment,
            state: sync.as_ref().map(|sync| sync.state),
            run: sync.as_ref().map_or(0, |sync| sync.run),
            phase: open.map(|sync| sync.phase),
            message,
            requested_by,
            requested_by_name,
            requested_at: sync.as_ref().map(|sync| sync.requested_at),
            started_at: sync.as_ref().and_then(|sync| sync.started_at),
            finished_at: sync.as_ref().and_then(|sync| sync.finished_at),
            last_success_at: sync.as_ref().and_then(|sync| sync.last_success_at),
            next_at,
            steps: sync.as_ref().map_or(0, |sync| sync.steps),
            calls: sync.as_ref().map_or(0, |sync| sync.calls),
            bytes: sync.as_ref().map_or(0, |sync| sync.bytes),
            api: self
                .api_share(contract, environment, sync.as_ref(), now)
                .await?,
            objects: objects
                .into_iter()
                .map(|object| ObjectProgress::of(object, open.is_some(), now))
                .collect(),
            problem: sync.and_then(|sync| sync.problem),
        }))
    }

    /// The objects of the organisation that is or was connected, in the order of the import. Remains of
    /// another organisation are not shown.
    async fn objects(
        &self,
        contract: &ContractId,
        environment: Environment,
        connection: Option<&Connection>,
    ) -> Result<Vec<ObjectSync>, Problem> {
        let objects = self.remote.store.object_syncs(contract, environment).await;
        let mut objects = objects.map_err(|error| error.problem())?;
        if let Some(connection) = connection {
            objects.retain(|object| object.organization == connection.organization);
            let kind = connection.provider.crm();
            let order = kind.map_or(&[][..], |kind| inventory::objects(kind));
            objects.sort_by_key(|object| {
                let at = order.iter().position(|spec| spec.name == object.object);
                at.unwrap_or(order.len())
            });
        }
        Ok(objects)
    }

    async fn api_share(
        &self,
        contract: &ContractId,
        environment: Environment,
        sync: Option<&Sync>,
        now: Millis,
    ) -> Result<ApiShare, Problem> {
        let settings = self.config(contract).await?.crm_settings(environment);
        let share_percent = settings.sync.unwrap_or_default().api_share_percent;
        let Some((sync, ApiUsage { used, limit })) = sync.and_then(|sync| Some((sync, sync.api?)))
        else {
            return Ok(ApiShare {
                used: None,
                limit: None,
                share_percent,
                imports_used: None,
                share_used_percent: None,
            });
        };
        let runs = self
            .remote
            .store
            .runs(contract, environment, MAX_RUNS_A_DAY, None)
            .await
            .map_err(|error| error.problem())?;
        let since = now.plus_seconds(-API_SECONDS);
        let recent = runs.iter().filter(|run| run.finished_at > since);
        let open = if sync.is_open() { sync.calls } else { 0 };
        let imports_used = recent.map(|run| run.calls).sum::<u64>() + open;
        let share = limit.saturating_mul(u64::from(share_percent)) / 100;
        Ok(ApiShare {
            used: Some(used),
            limit: Some(limit),
            share_percent,
            imports_used: Some(imports_used),
            share_used_percent: imports_used.saturating_mul(100).checked_div(share),
        })
    }

    async fn status_of(
        &self,
        contract: &ContractId,
        environment: Environment,
    ) -> Result<SyncStatus, Problem> {
        let status = self.sync_status(contract, environment).await?;
        status.ok_or_else(Problem::internal)
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct SyncQuery {
    /// Limits the list to this environment.
    environment: Option<Environment>,
}

#[derive(Serialize, ToSchema)]
struct SyncList {
    items: Vec<SyncStatus>,
}

/// The import of each environment that has or had a connection, object by object.
#[utoipa::path(get, path = "/sync", params(SyncQuery), responses((status = 200, body = SyncList), (status = 400, body = Problem)))]
async fn list(
    State(app): State<Arc<App>>,
    caller: Caller<ReadConfiguration>,
    Query(query): Query<SyncQuery>,
) -> Result<Json<SyncList>, Problem> {
    let mut items = Vec::new();
    for environment in asked(query.environment) {
        items.extend(app.sync_status(&caller.contract, environment).await?);
    }
    Ok(Json(SyncList { items }))
}

/// The environment that was asked for, or all.
fn asked(environment: Option<Environment>) -> Vec<Environment> {
    environment.map_or_else(|| Environment::ALL.to_vec(), |one| vec![one])
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RunsQuery {
    /// Limits the list to runs of this environment.
    environment: Option<Environment>,
    /// Items of a page, 1 to 200; 50 unless given. Runs that ended in the same millisecond are on
    /// one page.
    limit: Option<usize>,
    /// Runs that ended before this (milliseconds): a page's `next`.
    before: Option<i64>,
}

#[derive(Serialize, ToSchema)]
struct RunList {
    items: Vec<RunView>,
    /// Give it as `before` for the next page; none after the last.
    #[schema(value_type = Option<i64>)]
    next: Option<Millis>,
}

/// An import that ended.
#[derive(Serialize, ToSchema)]
struct RunView {
    environment: Environment,
    /// Counts the environment's runs.
    run: u64,
    /// The outcome of the run.
    state: SyncState,
    /// A seat, an API token, or `schedule`.
    requested_by: String,
    /// The name of the seat that asked for it, while there is that seat.
    requested_by_name: Option<String>,
    #[schema(value_type = i64)]
    requested_at: Millis,
    #[schema(value_type = Option<i64>)]
    started_at: Option<Millis>,
    #[schema(value_type = i64)]
    finished_at: Millis,
    steps: u64,
    /// Its calls to the CRM.
    calls: u64,
    /// Bytes that the CRM answered.
    bytes: u64,
    /// The results of the run, object by object.
    objects: Vec<ObjectRecord>,
    /// The reason for the failure, with the next step.
    problem: Option<Problem>,
}

impl RunView {
    fn of(run: RunRecord, names: &BTreeMap<String, String>) -> Self {
        Self {
            environment: run.environment,
            run: run.run,
            state: run.state,
            requested_by_name: names.get(&run.requested_by).cloned(),
            requested_by: run.requested_by,
            requested_at: run.requested_at,
            started_at: run.started_at,
            finished_at: run.finished_at,
            steps: run.steps,
            calls: run.calls,
            bytes: run.bytes,
            objects: run.objects,
            problem: run.problem,
        }
    }
}

/// The history of imports, newest first, as far back as 180 days.
#[utoipa::path(get, path = "/sync/runs", params(RunsQuery), responses((status = 200, body = RunList), (status = 400, body = Problem)))]
async fn runs(
    State(app): State<Arc<App>>,
    caller: Caller<ReadConfiguration>,
    Query(query): Query<RunsQuery>,
) -> Result<Json<RunList>, Problem> {
    let limit = page_size(query.limit)?;
    let before = query.before.map(Millis);
    // One more shows whether there is another page.
    let enough = i32::try_from(limit + 1).map_err(|_| Problem::internal())?;
    let mut found = Vec::new();
    for environment in asked(query.environment) {
        let runs = app
            .remote
            .store
            .runs(&caller.contract, environment, enough, before)
            .await;
        found.extend(runs.map_err(|error| error.problem())?);
    }
    found.sort_by_key(|run| std::cmp::Reverse((run.finished_at, run.run)));
    let (items, next) = page(found, limit);
    let actors = items.iter().map(|run| run.requested_by.as_str());
    let names = app.names_of(&caller.contract, actors).await?;
    let items = items.into_iter().map(|run| RunView::of(run, &names));
    Ok(Json(RunList {
        items: items.collect(),
        next,
    }))
}

/// The first `limit` runs, and all others that ended in the same millisecond as the last of them, since the
/// next page continues by that time. Also returns that time, where there are more runs.
fn page(mut found: Vec<RunRecord>, limit: usize) -> (Vec<RunRecord>, Option<Millis>) {
    let Some(last) = found.get(limit - 1).map(|run| run.finished_at) else {
        return (found, None);
    };
    let count = found.partition_point(|run| run.finished_at >= last);
    let next = (count < found.len()).then_some(last);
    found.truncate(count);
    (found, next)
}

/// Starts an import now. One that waits or runs already is that one.
#[utoipa::path(post, path = "/sync/{environment}", params(("environment" = String, Path)), responses((status = 202, body = SyncStatus), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn sync_now(
    State(app): State<Arc<App>>,
    caller: Caller<ConnectCrm>,
    Path(name): Path<String>,
) -> Result<(http::StatusCode, Json<SyncStatus>), Problem> {
    let environment = environment(&name)?;
    let contract = &caller.contract;
    app.request_sync(contract, environment, &caller.actor)
        .await?;
    let status = app.status_of(contract, environment).await?;
    Ok((http::StatusCode::ACCEPTED, Json(status)))
}

/// Stops the import that waits or runs. The imported records stay, and the next import continues from there.
#[utoipa::path(post, path = "/sync/{environment}/cancel", params(("environment" = String, Path)), responses((status = 200, body = SyncStatus), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn cancel(
    State(app): State<Arc<App>>,
    caller: Caller<ConnectCrm>,
    Path(name): Path<String>,
) -> Result<Json<SyncStatus>, Problem> {
    let environment = environment(&name)?;
    let contract = &caller.contract;
    let stopped = crm_setup::cancel_sync(&app.remote, contract, environment, &caller.actor).await;
    if stopped.map_err(|error| error.problem())?.is_none() {
        return Err(Problem::new(
            409,
            "no_import_runs",
            format!("No import of the {environment} CRM waits or runs."),
            "Nothing to do: there is nothing to stop.",
        ));
    }
    Ok(Json(app.status_of(contract, environment).await?))
}

#[cfg(test)]
mod tests {
    use shared::clock::Millis;
    use shared::domain::environment::Environment;
    use shared::domain::inventory;
    use shared::domain::schema::CrmKind;
    use shared::domain::sync::{ObjectState, ObjectSync, Phase, RunRecord, Sync, SyncState};
    use shared::problem::Problem;

    use super::{duration, page, percent, plural, progress, stopped};

    const NOW: Millis = Millis(1_800_000_000_000);

    fn object(at: usize) -> ObjectSync {
        let spec = &inventory::objects(CrmKind::Salesforce)[at];
        let mut object = ObjectSync::new(spec, "00D");
        object.run = 1;
        object
    }

    fn run() -> Sync {
        Sync::requested(Environment::Production, None, "someone", NOW).unwrap()
    }

    #[test]
    fn a_run_says_what_it_does_and_how_long_it_takes() {
        let mut sync = run();
        let mut objects = vec![object(0), object(1), object(3)];
        let says = |sync: &Sync, objects: &[ObjectSync]| progress(sync, objects, NOW);
        assert_eq!(says(&sync, &objects), "Waiting to start.");
        sync.state = SyncState::Running;
        sync.started_at = Some(NOW);
        assert_eq!(says(&sync, &[]), "Checking what can be read.");
        assert_eq!(says(&sync, &objects), "Checking what can be read.");
        sync.phase = Phase::Reading;
        assert_eq!(says(&sync, &objects), "0 of 3 objects are read.");
        objects[0].state = ObjectState::Done;
        objects[1].state = ObjectState::Reading;
        assert_eq!(says(&sync, &objects), "Reading contacts");
        objects[1].read = 41_000;
        objects[1].of = Some(100_000);
        assert_eq!(says(&sync, &objects), "Reading contacts: 41 %");
        objects[1].started_at = Some(NOW.plus_seconds(-125));
        assert_eq!(
            says(&sync, &objects),
            "Reading contacts: 41 %, about 3 minutes left"
        );
        // Objects of another run are not of this one.
        objects[1].run = 0;
        assert_eq!(says(&sync, &objects), "1 of 2 objects are read.");
    }

    #[test]
    fn a_run_that_waits_says_why() {
        let mut sync = run();
        sync.started_at = Some(NOW);
        sync.phase = Phase::Reading;
        let pause = Problem::new(429, "throttled", "Salesforce asked for a pause.", "Wait.");
        let mut objects = vec![object(0), object(1)];
        objects[0].problem = Some(pause.clone());
        objects[0].due_at = Some(NOW.plus_seconds(60));
        // The other one goes on.
        assert_eq!(progress(&sync, &objects, NOW), "0 of 2 objects are read.");
        objects[1].state = ObjectState::Done;
        let told = "Waiting: Salesforce asked for a pause.";
        assert_eq!(progress(&sync, &objects, NOW), told);
        for (code, detail, told) in [
            (
                "crm_api_error",
                "The CRM API reported an error.",
                "Waiting: the CRM API reported an error.",
            ),
            (
                "api_share_used",
                "Imports have used 5 of the 5 calls.",
                "Waiting: the share of API calls is used up until 2027-01-15T08:00:00.000Z.",
            ),
        ] {
            sync.problem = Some(Problem::new(429, code, detail, "Wait."));
            assert_eq!(progress(&sync, &objects, NOW), told);
        }
    }

    #[test]
    fn nothing_is_complete_before_it_is_done() {
        let mut object = object(0);
        assert_eq!(percent(&object), None);
        object.of = Some(0);
        assert_eq!(percent(&object), None);
        object.of = Some(10);
        for (read, expected) in [(0, 0), (4, 40), (10, 99), (20, 99)] {
            object.read = read;
            assert_eq!(percent(&object), Some(expected));
        }
        object.state = ObjectState::Done;
        assert_eq!(percent(&object), Some(100));
        object.state = ObjectState::NotReadable;
        assert_eq!(percent(&object), None);
    }

    #[test]
    fn durations_and_names_read_as_people_say_them() {
        for (seconds, text) in [
            (0, "less than a minute"),
            (59, "less than a minute"),
            (60, "about 1 minute"),
            (100, "about 2 minutes"),
            (5399, "about 90 minutes"),
            (5400, "about 2 hours"),
            (u64::MAX, "about 5124095576030431 hours"),
        ] {
            assert_eq!(duration(seconds), text);
        }
        assert_eq!(plural("Opportunity"), "opportunities");
        assert_eq!(plural("User"), "users");
    }

    #[test]
    fn a_stopped_import_says_who_stopped_it_and_when_it_goes_on() {
        assert_eq!(stopped(None, None), "The import was stopped.");
        assert_eq!(
            stopped(Some("Ada"), Some(Millis(0))),
            "The import was stopped by Ada; the next one starts at 1970-01-01T00:00:00.000Z."
        );
    }

    #[test]
    fn runs_of_one_millisecond_are_on_one_page() {
        let ended = |at: i64| {
            let mut sync = run();
            sync.state = SyncState::Succeeded;
            RunRecord::of(&sync, &[], Millis(at))
        };
        let runs = |ends: &[i64]| ends.iter().map(|at| ended(*at)).collect::<Vec<_>>();
        for (ends, limit, count, next) in [
            (&[][..], 2, 0, None),
            (&[5, 4], 2, 2, None),
            (&[5, 4, 3], 2, 2, Some(4)),
            (&[5, 4, 4, 3], 2, 3, Some(4)),
            (&[5, 4, 4], 2, 3, None),
        ] {
            let (items, then) = page(runs(ends), limit);
            assert_eq!(
                (items.len(), then.map(|at| at.0)),
                (count, next),
                "{ends:?}"
            );
        }
    }
}
