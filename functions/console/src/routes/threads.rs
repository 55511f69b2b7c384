//! A seat holder's choices to log whole threads to the CRM (WB-6).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::clock::Millis;
use shared::domain::activity::Thread;
use shared::domain::directory::EntryRef;
use shared::domain::ids::SeatId;
use shared::domain::log_choice::LogToCrm;
use shared::problem::Problem;
use shared::store::ThreadChoice;
use utoipa::{IntoParams, ToSchema};

use super::activities::{find, names_of};
use super::directory::EntryHolder;
use super::submissions::{invalid_cursor, page_size};
use crate::App;
use crate::auth::{Caller, LogActivities};
use crate::described::{Routes, routes};
use crate::extract::{Json, Path, Query};

/// Characters of the id of a choice: a hash in hexadecimal.
const ID: usize = 64;

pub(super) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list, choose))
        .routes(routes!(forget))
}

/// A choice to log a thread.
#[derive(Serialize, ToSchema)]
struct ThreadView {
    /// Its id.
    id: String,
    /// The person or company of the thread.
    target: EntryHolder,
    /// `yes` or `no`.
    log_to_crm: LogToCrm,
    /// The time at which you chose it.
    #[schema(value_type = i64)]
    since: Millis,
}

#[derive(Serialize, ToSchema)]
struct ThreadList {
    items: Vec<ThreadView>,
    /// Give it as `cursor` for the next page; none after the last.
    next: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ThreadQuery {
    /// Items of a page, 1 to 200; 50 unless given.
    limit: Option<usize>,
    /// A page's `next`.
    cursor: Option<String>,
}

/// A choice for the thread of an activity.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ThreadInput {
    /// The id of an activity of yours, which names its thread.
    activity: String,
    /// `yes` or `no` for what is logged of the thread from now on. `default` forgets the choice.
    log_to_crm: LogToCrm,
}

fn is_id(text: &str) -> bool {
    text.len() == ID && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The threads that you have chosen to log, or not to log, as a whole.
#[utoipa::path(get, path = "/me/threads", operation_id = "threads_list", params(ThreadQuery),
    description = "A thread is kept as a hash with its person or company: its name and its messages are not.",
    responses((status = 200, body = ThreadList), (status = 403, body = Problem)))]
async fn list(
    State(app): State<Arc<App>>,
    caller: Caller<LogActivities>,
    Query(query): Query<ThreadQuery>,
) -> Result<Json<ThreadList>, Problem> {
    let seat = caller.signed_in()?.seat.id;
    let limit = i32::try_from(page_size(query.limit)?).unwrap_or(i32::MAX);
    let after = query.cursor.as_deref();
    if !after.is_none_or(is_id) {
        return Err(invalid_cursor());
    }
    let (store, contract) = (&app.remote.store, &caller.contract);
    let page = store
        .list_thread_choices(contract, seat, after, limit)
        .await;
    let page = page.map_err(|error| error.problem())?;
    let targets: BTreeSet<EntryRef> = page.items.iter().map(|choice| choice.target).collect();
    let targets: Vec<EntryRef> = targets.into_iter().collect();
    let names = names_of(&app, contract, &targets).await?;
    let view = |choice: ThreadChoice| ThreadView {
        target: EntryHolder {
            kind: choice.target.kind,
            id: choice.target.id,
            name: names.get(&choice.target).cloned(),
        },
        id: choice.id,
        log_to_crm: choice.choice,
        since: choice.since,
    };
    Ok(Json(ThreadList {
        items: page.items.into_iter().map(view).collect(),
        next: page.next,
    }))
}

/// Chooses for the thread of an activity whether its later activities are logged to the CRM.
#[utoipa::path(put, path = "/me/threads", operation_id = "threads_choose", request_body = ThreadInput,
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn choose(
    State(app): State<Arc<App>>,
    caller: Caller<LogActivities>,
    Json(input): Json<ThreadInput>,
) -> Result<StatusCode, Problem> {
    let seat = caller.signed_in()?.seat.id;
    let activity = find(&app, &caller, &input.activity).await?;
    let thread = activity.order_in().ok_or_else(|| {
        Problem::new(
            409,
            "no_thread",
            "The activity belongs to no thread.",
            "Choose for its kind in your settings.",
        )
        .with_field("activity")
    })?;
    let named = BTreeSet::from([thread.clone()]);
    let mut threads = Threads::read(&app, &caller, seat, &named).await?;
    threads.choose(thread, input.log_to_crm);
    threads.keep(&app, &caller, seat).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Forgets a choice: your settings decide again for its thread.
#[utoipa::path(delete, path = "/me/threads/{id}", operation_id = "threads_forget", params(("id" = String, Path)),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem)))]
async fn forget(
    State(app): State<Arc<App>>,
    caller: Caller<LogActivities>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let seat = caller.signed_in()?.seat.id;
    let (store, contract) = (&app.remote.store, &caller.contract);
    let missing = || Problem::not_found("thread");
    if !is_id(&id) {
        return Err(missing());
    }
    let found = store.thread_choice(contract, seat, &id).await;
    let found = found.map_err(|error| error.problem())?;
    let found = found.ok_or_else(missing)?;
    let audit = app.audit(
        &caller.actor,
        AUDITED,
        found.target.to_string(),
        json!(found.choice),
        Value::Null,
    );
    let unique = app.remote.random.uuid();
    let forgotten = store.forget_thread(contract, seat, &id, &audit, unique);
    forgotten.await.map_err(|error| error.problem())?;
    Ok(StatusCode::NO_CONTENT)
}

/// The action in the audit log.
const AUDITED: &str = "seat.log_thread";

/// A seat holder's choices for the threads of a request, and those that the request changes.
pub(super) struct Threads {
    known: HashMap<Thread, LogToCrm>,
    /// The choice before, and the new one.
    changed: BTreeMap<Thread, (LogToCrm, LogToCrm)>,
}

impl Threads {
    /// Reads the choices for some threads.
    pub(super) async fn read(
        app: &App,
        caller: &Caller<LogActivities>,
        seat: SeatId,
        threads: &BTreeSet<Thread>,
    ) -> Result<Self, Problem> {
        let known = if threads.is_empty() {
            HashMap::new()
        } else {
            let store = &app.remote.store;
            let known = store.thread_choices(&caller.contract, seat, threads);
            known.await.map_err(|error| error.problem())?
        };
        Ok(Self {
            known,
            changed: BTreeMap::new(),
        })
    }

    /// The choice for a thread.
    pub(super) fn of(&self, thread: Option<&Thread>) -> LogToCrm {
        let choice = thread.and_then(|thread| self.known.get(thread));
        choice.copied().unwrap_or_default()
    }

    /// Chooses for a thread, from the next activity of the request on.
    pub(super) fn choose(&mut self, thread: Thread, choice: LogToCrm) {
        let before = self.of(Some(&thread));
        if before != choice {
            let changed = self.changed.entry(thread.clone());
            changed.or_insert((before, choice)).1 = choice;
        }
        self.known.insert(thread, choice);
    }

    /// Leaves out choices about somebody.
    pub(super) fn leave_out(&mut self, target: EntryRef) {
        self.changed.retain(|thread, _| thread.target != target);
    }

    /// Keeps the changes, each with a line in the audit log.
    pub(super) async fn keep(
        &self,
        app: &App,
        caller: &Caller<LogActivities>,
        seat: SeatId,
    ) -> Result<(), Problem> {
        let (store, contract) = (&app.remote.store, &caller.contract);
        for (thread, (before, after)) in &self.changed {
            let target = thread.target.to_string();
            let audit = app.audit(&caller.actor, AUDITED, target, json!(before), json!(after));
            let choice = ThreadChoice::new(thread, *after, app.remote.clock.now());
            let unique = app.remote.random.uuid();
            let kept = if *after == LogToCrm::Default {
                let forgotten = store.forget_thread(contract, seat, &choice.id, &audit, unique);
                forgotten.await
            } else {
                let chosen = store.choose_thread(contract, seat, &choice, &audit, unique);
                chosen.await
            };
            kept.map_err(|error| error.problem())?;
        }
        Ok(())
    }
}
