//! Activities of seat holders (WB): sent one by one or in batches, listed, told in full, sent again.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use axum::extract::State;
use futures::{StreamExt as _, stream};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shared::api_auth::role_not_allowed;
use shared::clock::Millis;
use shared::domain::activity::{
    self, Activity, ActivityKind, ActivityState, CrmActivity, Draft, Given, Thread,
};
use shared::domain::contract::ContractConfig;
use shared::domain::directory::{EntryId, EntryKind, EntryRef, NewEntry, Origin, RecordRef};
use shared::domain::ids::{ActivityId, ContractId, SeatId};
use shared::domain::log_choice::{LogChoices, LogDecider, LogToCrm};
use shared::domain::privacy::erased_person;
use shared::domain::roi::TouchKind;
use shared::domain::role::Permission;
use shared::domain::submission::{CrmWrite, Failure, SWEEP_AFTER_SECONDS};
use shared::erasure::is_erased;
use shared::linking::Linking;
use shared::problem::Problem;
use shared::queue::WritebackMessage;
use shared::store::{Accepted, ConnectionKind, Reach, StoreError};
use utoipa::{IntoParams, ToSchema};

use super::directory::{
    self, ENVIRONMENT, EntryHolder, EntryInput, MatchQuestion, RecordInput, questions,
};
use super::submissions::{check_cursor, invalid_cursor, page_size};
use super::threads::Threads;
use crate::App;
use crate::auth::{Caller, DecideMatches, LogActivities};
use crate::described::{Routes, routes};
use crate::extract::{Json, Path, Query, check_batch, item};

/// Most activities of a request.
const MAX_BATCH: usize = 100;
/// People and companies that are found or made at once.
const TARGETS_AT_ONCE: usize = 8;
/// Unresolved activities that are announced at once where their person is matched; the sweep announces
/// those that are left.
const MAX_RESOLVED: i32 = 500;
/// Failed activities that one request sends again, and waiting ones of each kind.
const MAX_RETRY: i32 = 200;
/// Longest cursor of a list of the whole contract, in bytes.
const MAX_CURSOR: usize = 200;

pub(super) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list, send))
        .routes(routes!(retry))
        .routes(routes!(detail))
        .routes(routes!(send_again))
        .routes(routes!(answer))
}

/// An activity of a seat holder. Exactly one of `profile`, `company`, `person` and `organization` names its
/// target.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ActivityInput {
    /// Your own key of the activity, 1 to 200 characters. An activity sent again with the same key is the
    /// same activity.
    idempotency_key: String,
    /// `inmail`, `message`, `note`, `call`, `smart_link_view` or `connection_request`. Companies take notes
    /// only.
    kind: String,
    /// The id of a person in the directory.
    #[serde(default)]
    profile: Option<String>,
    /// The id of a company in the directory.
    #[serde(default)]
    company: Option<String>,
    /// The known details of the person, who is found in the directory or added to it.
    #[serde(default)]
    person: Option<EntryInput>,
    /// The known details of the company, which is found in the directory or added to it.
    #[serde(default)]
    organization: Option<EntryInput>,
    /// Its time in milliseconds since 1970: not before 2021-06-23, and not in the future.
    occurred_at: i64,
    /// The thread that it belongs to, up to 200 characters.
    #[serde(default)]
    thread: Option<String>,
    /// The subject of an `InMail`, the title of a smart link; up to 500 characters.
    #[serde(default)]
    title: String,
    /// Its text, up to 30,000 characters. Required for `InMails`, messages and notes.
    #[serde(default)]
    text: String,
    /// The choice to log it to the CRM or not. With `default` your choice for its thread decides
    /// (`/me/threads`), then your own settings (`/me/settings`), and where these say nothing, the
    /// administrator.
    #[serde(default)]
    log_to_crm: LogToCrm,
    /// With `yes` or `no` in `log_to_crm`: the choice counts for the later activities of its `thread` too, until
    /// you change it.
    #[serde(default)]
    whole_thread: bool,
}

/// Activities to log.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ActivityBatch {
    /// 1 to 100 of them.
    #[schema(value_type = Vec<ActivityInput>)]
    items: Vec<serde_json::Value>,
}

/// The outcome of an activity in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ActivityOutcome {
    /// It is stored, and goes to the CRM by itself, unless it is `waiting_for_answer`.
    Accepted,
    /// It was already stored with the same content.
    Repeated,
    /// It is not logged to the CRM, and not stored.
    NotLogged,
    /// It is not stored; the problem names the cause.
    Refused,
}

#[derive(Serialize, ToSchema)]
struct ActivityResult {
    /// The key that it was sent with.
    idempotency_key: Option<String>,
    outcome: ActivityOutcome,
    /// Its id, where it is stored.
    id: Option<ActivityId>,
    /// Its state.
    state: Option<ActivityState>,
    /// The person or company that it was with.
    target: Option<EntryRef>,
    /// The level that decided whether it is logged to the CRM; none where it is refused.
    decided_by: Option<LogDecider>,
    /// The cause of a refusal.
    problem: Option<Problem>,
}

impl ActivityResult {
    const fn refused(problem: Problem) -> Self {
        Self {
            idempotency_key: None,
            outcome: ActivityOutcome::Refused,
            id: None,
            state: None,
            target: None,
            decided_by: None,
            problem: Some(problem),
        }
    }

    const fn not_logged(key: String, decided_by: LogDecider) -> Self {
        Self {
            idempotency_key: Some(key),
            outcome: ActivityOutcome::NotLogged,
            id: None,
            state: None,
            target: None,
            decided_by: Some(decided_by),
            problem: None,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct ActivityResults {
    /// One for each item, in their order.
    results: Vec<ActivityResult>,
    /// Your own sign-in to the CRM is missing or has ended: what you log waits for it (WB-9).
    sign_in: Option<Problem>,
    /// *Is this the right CRM match?* One question for each person and company whose match is in doubt. The
    /// activities with them are stored in the state `waiting_for_answer`.
    questions: Vec<MatchQuestion>,
}

/// The target of an activity as a client names it.
enum Target {
    Id(EntryRef),
    Known(Box<NewEntry>),
}

impl Target {
    const fn reference(&self) -> EntryRef {
        match self {
            Self::Id(entry) => *entry,
            Self::Known(new) => EntryRef {
                kind: new.kind,
                id: new.id,
            },
        }
    }
}

/// A checked item of a request, with its target.
struct Item {
    key: String,
    draft: Draft,
    target: Target,
    decided_by: LogDecider,
}

/// A checked item of a request before it is decided whether it is logged.
struct Asked {
    key: String,
    draft: Draft,
    target: Target,
    choice: LogToCrm,
    whole_thread: bool,
}

impl Asked {
    fn thread(&self) -> Option<Thread> {
        self.draft.thread_with(self.target.reference())
    }
}

/// A refused item, with its key if that can be read.
type RefusedItem = (Option<String>, Problem);

/// The outcome of the check of an item, before anything is stored.
enum Checked {
    Log(Box<Item>),
    NotLogged(String, LogDecider),
}

fn target(
    input: &mut ActivityInput,
    contract: &ContractId,
    config: &ContractConfig,
) -> Result<Target, Problem> {
    let by_id = |kind: EntryKind, id: &str| {
        let id: EntryId = id
            .parse()
            .map_err(|_| Problem::not_found(kind.as_str()).with_field(kind.as_str()))?;
        Ok(Target::Id(EntryRef { kind, id }))
    };
    let region = config.contract.settings.default_region.as_deref();
    let known = |kind: EntryKind, input: EntryInput| {
        let (external_id, record) = input.into_parts();
        let external_id = external_id.as_deref();
        let new = NewEntry::new(contract, kind, external_id, record, Origin::Api, region)?;
        Ok(Target::Known(Box::new(new)))
    };
    let given = (
        input.profile.take(),
        input.company.take(),
        input.person.take(),
        input.organization.take(),
    );
    match given {
        (Some(id), None, None, None) => by_id(EntryKind::Profile, &id),
        (None, Some(id), None, None) => by_id(EntryKind::Company, &id),
        (None, None, Some(person), None) => known(EntryKind::Profile, person),
        (None, None, None, Some(company)) => known(EntryKind::Company, company),
        _ => Err(Problem::new(
            422,
            "one_target_needed",
            "An activity is with exactly one person or company.",
            "Send one of profile, company, person and organization.",
        )
        .with_field("profile")),
    }
}

fn check(
    value: serde_json::Value,
    contract: &ContractId,
    config: &ContractConfig,
    now: Millis,
) -> Result<Asked, RefusedItem> {
    let input: ActivityInput = item(value).map_err(|problem| (None, problem))?;
    let key = input.idempotency_key.clone();
    read(input, contract, config, now).map_err(|problem| (Some(key), problem))
}

fn read(
    mut input: ActivityInput,
    contract: &ContractId,
    config: &ContractConfig,
    now: Millis,
) -> Result<Asked, Problem> {
    let target = target(&mut input, contract, config)?;
    let key = input.idempotency_key;
    let given = Given {
        key: key.clone(),
        kind: input.kind,
        occurred_at: Millis(input.occurred_at),
        thread: input.thread,
        title: input.title,
        text: input.text,
    };
    let draft = Draft::check(given, target.reference().kind, now)?;
    let asked = Asked {
        key,
        draft,
        target,
        choice: input.log_to_crm,
        whole_thread: input.whole_thread,
    };
    let unsaid = asked.choice == LogToCrm::Default || asked.thread().is_none();
    if asked.whole_thread && unsaid {
        return Err(Problem::new(
            422,
            "thread_needed",
            "A choice for a whole thread says yes or no, and names the thread.",
            "Send thread and log_to_crm, or leave whole_thread out.",
        )
        .with_field("whole_thread"));
    }
    Ok(asked)
}

/// Decides whether an item is logged. A choice for its whole thread counts from the next item on, unless the
/// item is refused.
fn decide(
    asked: Asked,
    threads: &mut Threads,
    config: &ContractConfig,
    own: LogChoices,
    synced: bool,
) -> Result<Checked, RefusedItem> {
    let thread = asked.thread();
    let Asked {
        key,
        draft,
        target,
        choice,
        whole_thread,
    } = asked;
    let settings = config.crm_settings(ENVIRONMENT).sync.unwrap_or_default();
    let (kind, of_thread) = (draft.kind(), threads.of(thread.as_ref()));
    let decided = match choice.decide(of_thread, own.of(kind), kind, &settings) {
        Ok(decided) => decided,
        Err(problem) => return Err((Some(key), problem)),
    };
    let refused = decided.logged && !synced;
    if let Some(thread) = thread.filter(|_| whole_thread && !refused) {
        threads.choose(thread, choice);
    }
    let decided_by = decided.by;
    Ok(if decided.logged {
        Checked::Log(Box::new(Item {
            key,
            draft,
            target,
            decided_by,
        }))
    } else {
        Checked::NotLogged(key, decided_by)
    })
}

/// The targets, each with a problem if it is not in the directory. Targets given by their details are found
/// or added.
async fn targets(
    app: &App,
    contract: &ContractId,
    config: &ContractConfig,
    items: &[(usize, Box<Item>)],
    now: Millis,
) -> Result<HashMap<EntryRef, Option<Problem>>, Problem> {
    let store = &app.remote.store;
    let mut found: HashMap<EntryRef, Option<Problem>> = HashMap::new();
    for kind in EntryKind::ALL {
        let of_kind = items.iter().filter_map(|(_, item)| match &item.target {
            Target::Id(entry) if entry.kind == kind => Some(entry.id),
            _ => None,
        });
        let ids: Vec<EntryId> = of_kind.collect();
        if ids.is_empty() {
            continue;
        }
        let there = store.entries(contract, kind, &ids).await;
        let there = there.map_err(|error| error.problem())?;
        for id in ids {
            let missing = || Problem::not_found(kind.as_str()).with_field(kind.as_str());
            let problem = (!there.contains_key(&id)).then(missing);
            found.insert(EntryRef { kind, id }, problem);
        }
    }
    let mut known: HashMap<EntryRef, &NewEntry> = HashMap::new();
    for (_, item) in items {
        if let Target::Known(new) = &item.target {
            known.insert(item.target.reference(), new);
        }
    }
    if !known.is_empty() {
        let tombstones = app.tombstones(contract).await?;
        let region = config.contract.settings.default_region.as_deref();
        known.retain(|entry, new| {
            let erased = is_erased(&tombstones, new, region);
            if erased {
                found.insert(*entry, Some(erased_person()));
            }
            !erased
        });
    }
    let linking = Linking::new(store, &config.contract, now).with(&app.cached);
    let linking = &linking;
    let adding: Vec<_> = known
        .into_iter()
        .map(|(entry, new)| async move {
            let added = linking.add(new, None).await;
            (entry, added.err().map(|error| error.problem()))
        })
        .collect();
    let added: Vec<_> = stream::iter(adding)
        .buffer_unordered(TARGETS_AT_ONCE)
        .collect()
        .await;
    for (entry, problem) in added {
        found.insert(entry, problem);
    }
    Ok(found)
}

/// The result of an activity of a seat that is not synced with the CRM (SV-6). It is refused if it says itself
/// that it is to be logged.
fn not_synced(item: Item) -> ActivityResult {
    if item.decided_by != LogDecider::Activity {
        return ActivityResult::not_logged(item.key, LogDecider::Administrator);
    }
    let problem = Problem::new(
        409,
        "seat_not_synced",
        "Your seat is not synced with the CRM.",
        "Have an administrator switch the sync on for your seat.",
    );
    ActivityResult {
        idempotency_key: Some(item.key),
        ..ActivityResult::refused(problem.with_field("log_to_crm"))
    }
}

/// Decides the items of a request. Returns a result for each, and those that are logged with their places.
fn decide_all(
    asked: Vec<Result<Asked, RefusedItem>>,
    threads: &mut Threads,
    config: &ContractConfig,
    own: LogChoices,
    synced: bool,
) -> (Vec<ActivityResult>, Vec<(usize, Box<Item>)>) {
    let mut results: Vec<ActivityResult> = Vec::with_capacity(asked.len());
    let mut items: Vec<(usize, Box<Item>)> = Vec::new();
    for asked in asked {
        let place = results.len();
        let checked = asked.and_then(|asked| decide(asked, threads, config, own, synced));
        results.push(match checked {
            Ok(Checked::Log(item)) if !synced => not_synced(*item),
            Ok(Checked::Log(item)) => {
                let result = ActivityResult {
                    idempotency_key: Some(item.key.clone()),
                    outcome: ActivityOutcome::Refused,
                    target: Some(item.target.reference()),
                    decided_by: Some(item.decided_by),
                    ..ActivityResult::refused(Problem::unavailable())
                };
                items.push((place, item));
                result
            }
            Ok(Checked::NotLogged(key, by)) => ActivityResult::not_logged(key, by),
            Err((key, problem)) => ActivityResult {
                idempotency_key: key,
                ..ActivityResult::refused(problem)
            },
        });
    }
    (results, items)
}

/// Stores up to 100 activities and logs them to the CRM. Each is accepted or refused on its own.
#[utoipa::path(post, path = "/activities", operation_id = "activities_send",
    description = "An activity is stored before it is answered, and written to the CRM within minutes, once, whatever is sent again. With somebody whom nobody has matched it is open and unassigned in the CRM until somebody matches them. Seat holders only: in Salesforce they write with their own sign-in.",
    request_body = ActivityBatch, responses((status = 200, body = ActivityResults), (status = 403, body = Problem), (status = 422, body = Problem)))]
async fn send(
    State(app): State<Arc<App>>,
    caller: Caller<LogActivities>,
    Json(batch): Json<ActivityBatch>,
) -> Result<Json<ActivityResults>, Problem> {
    let own = &caller.signed_in()?.seat;
    let seat = own.id;
    check_batch(batch.items.len(), MAX_BATCH, "Send it in parts.")?;
    let contract = &caller.contract;
    let config = app.config(contract).await?;
    let now = app.remote.clock.now();
    let settings = config.crm_settings(ENVIRONMENT).sync.unwrap_or_default();
    let synced = own.crm.syncs(&settings);
    let checked = |value| check(value, contract, &config, now);
    let asked: Vec<_> = batch.items.into_iter().map(checked).collect();
    let named = asked
        .iter()
        .filter_map(|asked| asked.as_ref().ok()?.thread());
    let named: BTreeSet<Thread> = named.collect();
    let mut threads = Threads::read(&app, &caller, seat, &named).await?;
    let (mut results, items) = decide_all(asked, &mut threads, &config, own.log_to_crm, synced);
    let targets = targets(&app, contract, &config, &items, now).await?;
    for (target, _) in targets.iter().filter(|(_, problem)| problem.is_some()) {
        threads.leave_out(*target);
    }
    let known = targets.iter().filter(|(_, problem)| problem.is_none());
    let known: Vec<EntryRef> = known.map(|(entry, _)| *entry).collect();
    let questions = questions(&app, &config, &known).await?;
    let product = &settings.product_name;
    let mut places = Vec::new();
    let mut activities = Vec::new();
    let mut announced = HashSet::new();
    for (place, item) in items {
        let target = item.target.reference();
        if let Some(Some(problem)) = targets.get(&target) {
            if let Some(result) = results.get_mut(place) {
                result.problem = Some(problem.clone());
                result.target = None;
                result.decided_by = None;
            }
        } else {
            places.push(place);
            let mut activity = Activity {
                decided_by: Some(item.decided_by),
                ..item.draft.with(contract, seat, target, product, now)
            };
            if questions.iter().any(|question| question.is_about(target)) {
                activity.state = ActivityState::WaitingForAnswer;
            } else if app.activity_share.take(&activity, now) {
                announced.insert(activity.id);
            } else {
                activity.leave_to_the_sweep();
            }
            activities.push(activity);
        }
    }
    // Before anything is stored: whoever gets no answer sends all of it again.
    let sign_in = if activities.is_empty() {
        None
    } else {
        app.missing_sign_in(&config, seat, now).await?
    };
    threads.keep(&app, &caller, seat).await?;
    let accepted = app.remote.store.accept_activities(&activities).await;
    // A client that gets no answer sends all of it again.
    let reached = reached(&activities, &accepted);
    let stored = app.remote.store.put_reaches(contract, &reached).await;
    stored.map_err(|error| error.problem())?;
    let mut new = Vec::new();
    for ((place, activity), accepted) in places.into_iter().zip(&activities).zip(accepted) {
        let Some(result) = results.get_mut(place) else {
            continue;
        };
        if matches!(accepted, Ok(Accepted::New)) && announced.contains(&activity.id) {
            new.push((seat, activity.id));
        }
        tell(result, activity, &accepted);
    }
    announce(&app, contract, new).await;
    Ok(Json(ActivityResults {
        results,
        sign_in,
        questions,
    }))
}

fn is_stored(activity: &Activity, accepted: &Result<Accepted<Activity>, StoreError>) -> bool {
    match accepted {
        Ok(Accepted::New) => true,
        // One whose content was erased no longer tells whom it was with.
        Ok(Accepted::Repeat(stored)) => !stored.is_erased() && activity.same_as(stored),
        Err(_) => false,
    }
}

/// The people whom the activities that are stored were with (RO-1).
fn reached(
    activities: &[Activity],
    accepted: &[Result<Accepted<Activity>, StoreError>],
) -> Vec<(EntryId, Reach)> {
    let all = activities.iter().zip(accepted);
    all.filter(|(activity, accepted)| is_stored(activity, accepted))
        .map(|(activity, _)| activity)
        .filter(|activity| activity.target.kind == EntryKind::Profile)
        .map(|activity| {
            let reach = Reach {
                at: activity.occurred_at,
                kind: TouchKind::Activity,
                id: activity.id.to_string(),
                seat: activity.seat,
            };
            (activity.target.id, reach)
        })
        .collect()
}

/// Puts the outcome of storing an activity into its result.
fn tell(
    result: &mut ActivityResult,
    activity: &Activity,
    accepted: &Result<Accepted<Activity>, StoreError>,
) {
    let (outcome, stored) = match accepted {
        Ok(Accepted::New) => (ActivityOutcome::Accepted, activity),
        Ok(Accepted::Repeat(stored)) if stored.same_as(activity) => {
            (ActivityOutcome::Repeated, &**stored)
        }
        Ok(Accepted::Repeat(_)) => {
            result.problem = Some(activity::key_reused());
            result.decided_by = None;
            return;
        }
        Err(error) => {
            error.log();
            result.problem = Some(error.problem());
            result.decided_by = None;
            return;
        }
    };
    result.outcome = outcome;
    result.state = Some(stored.state);
    result.decided_by = stored.decided_by;
    result.id = Some(activity.id);
    result.problem = None;
}

/// Announces activities to the workers.
async fn announce(app: &App, contract: &ContractId, ids: Vec<(SeatId, ActivityId)>) {
    for message in WritebackMessage::activities(contract, ids) {
        if let Err(error) = app.queue.send(&message, 0).await {
            tracing::warn!(%contract, error = &error as &dyn std::error::Error,
                "activities are stored, but not announced: the sweep will");
        }
    }
}

/// Announces the activities that waited for a decision about an entry: those whose match was asked for, and,
/// where it is linked now, the unresolved ones. The sweep finds any that this misses.
pub(super) async fn announce_decided(
    app: &App,
    contract: &ContractId,
    entry: EntryRef,
    linked: bool,
) {
    let store = &app.remote.store;
    let mut found = vec![store.unanswered_of(contract, entry, MAX_RESOLVED).await];
    if linked {
        found.push(store.unresolved_of(contract, entry, MAX_RESOLVED).await);
    }
    for found in found {
        match found {
            Ok(waiting) => {
                let ids = waiting.iter().map(|one| (one.seat, one.id)).collect();
                announce(app, contract, ids).await;
            }
            Err(error) => {
                tracing::warn!(%contract, error = &error as &dyn std::error::Error,
                    "activities that can go on are not announced: the sweep will");
            }
        }
    }
}

#[derive(Serialize, ToSchema)]
struct ActivitySummary {
    id: ActivityId,
    kind: ActivityKind,
    /// Its seat holder.
    seat: SeatId,
    /// Its state.
    state: ActivityState,
    /// The person or company that it was with.
    target: EntryHolder,
    #[schema(value_type = i64)]
    occurred_at: Millis,
    #[schema(value_type = i64)]
    received_at: Millis,
    /// The time at which it reached its final state.
    #[schema(value_type = Option<i64>)]
    finished_at: Option<Millis>,
    /// The code of the last error, while it is not in the CRM.
    error: Option<String>,
    /// The next step, if a person has to act.
    next_step: Option<String>,
}

impl ActivitySummary {
    fn of(activity: &Activity, names: &HashMap<EntryRef, String>) -> Self {
        let told = !matches!(
            activity.state,
            ActivityState::Written | ActivityState::Unresolved | ActivityState::WaitingForAnswer
        );
        let failure = activity.failures.last().filter(|_| told);
        let next_step = match activity.state {
            ActivityState::Unresolved => Some(format!(
                "Match the {} with its record in the CRM.",
                activity.target.kind
            )),
            ActivityState::WaitingForAnswer => Some(format!(
                "Say which record of the CRM the {} is, or that it is none.",
                activity.target.kind
            )),
            _ => failure.map(|failure| failure.problem.next_step.clone()),
        };
        Self {
            id: activity.id,
            kind: activity.kind,
            seat: activity.seat,
            state: activity.state,
            target: EntryHolder {
                kind: activity.target.kind,
                id: activity.target.id,
                name: names.get(&activity.target).cloned(),
            },
            occurred_at: activity.occurred_at,
            received_at: activity.received_at,
            finished_at: activity.finished_at,
            error: failure.map(|failure| failure.problem.code.clone()),
            next_step,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct ActivityDetail {
    #[serde(flatten)]
    summary: ActivitySummary,
    idempotency_key: String,
    thread: Option<String>,
    title: String,
    text: String,
    /// The level that decided that it is logged to the CRM; none for one that was logged before that was kept.
    decided_by: Option<LogDecider>,
    /// Its counterpart in the CRM.
    record: Option<CrmActivity>,
    /// A link to its counterpart.
    url: Option<String>,
    /// The record of the CRM that it belongs to.
    regarding: Option<RecordRef>,
    /// The writes to the CRM, with their times.
    writes: Vec<CrmWrite>,
    attempts: u32,
    /// The time of its next attempt, if it continues by itself.
    #[schema(value_type = Option<i64>)]
    due_at: Option<Millis>,
    /// Every error with its next step, the newest last.
    failures: Vec<Failure>,
    /// *Is this the right CRM match?*, while it waits for the answer.
    question: Option<MatchQuestion>,
}

/// The display names of the activities' people and companies, as far as they are in the directory.
async fn target_names(
    app: &App,
    contract: &ContractId,
    activities: &[Activity],
) -> Result<HashMap<EntryRef, String>, Problem> {
    let targets: Vec<EntryRef> = activities.iter().map(|activity| activity.target).collect();
    names_of(app, contract, &targets).await
}

/// The display names of people and companies, as far as they are in the directory.
pub(super) async fn names_of(
    app: &App,
    contract: &ContractId,
    targets: &[EntryRef],
) -> Result<HashMap<EntryRef, String>, Problem> {
    let mut names = HashMap::new();
    for kind in EntryKind::ALL {
        let of_kind = targets.iter().filter(|target| target.kind == kind);
        let ids: Vec<EntryId> = of_kind.map(|target| target.id).collect();
        if ids.is_empty() {
            continue;
        }
        let entries = app.remote.store.entries(contract, kind, &ids).await;
        let entries = entries.map_err(|error| error.problem())?;
        let entries = entries.into_iter();
        names.extend(entries.map(|(id, entry)| (EntryRef { kind, id }, entry.name())));
    }
    Ok(names)
}

async fn shown(app: &App, activity: Activity) -> Result<ActivityDetail, Problem> {
    let names = target_names(app, &activity.contract, std::slice::from_ref(&activity)).await?;
    let mut url = None;
    if let Some(record) = &activity.record {
        let contract = &activity.contract;
        let connection = app
            .remote
            .store
            .connection(contract, ConnectionKind::PRODUCTION)
            .await
            .map_err(|error| error.problem())?;
        let crm = app.config(contract).await?.contract.crm;
        url = connection.map(|connection| {
            crm.record_url(&connection.base_url, &record.object, &record.id)
                .to_string()
        });
    }
    let question = if activity.state == ActivityState::WaitingForAnswer {
        let config = app.config(&activity.contract).await?;
        questions(app, &config, &[activity.target]).await?.pop()
    } else {
        None
    };
    let goes_on = matches!(
        activity.state,
        ActivityState::Planned | ActivityState::Writing | ActivityState::Waiting
    );
    Ok(ActivityDetail {
        summary: ActivitySummary::of(&activity, &names),
        idempotency_key: activity.key,
        thread: activity.thread,
        title: activity.title,
        text: activity.text,
        decided_by: activity.decided_by,
        record: activity.record,
        url,
        regarding: activity.regarding,
        writes: activity.writes,
        attempts: activity.attempts,
        due_at: goes_on.then_some(activity.due_at),
        failures: activity.failures,
        question,
    })
}

/// The seat holders whose activities a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Scope {
    /// The caller.
    #[default]
    Mine,
    /// All of the contract: administrators only.
    Contract,
}

/// The seat holder of a scope; none for all of the contract.
fn seat_of(
    caller: &Caller<LogActivities>,
    scope: Option<Scope>,
) -> Result<Option<SeatId>, Problem> {
    match scope.unwrap_or_default() {
        Scope::Mine => Ok(Some(caller.signed_in()?.seat.id)),
        Scope::Contract if caller.role.may(Permission::SendAgain) => Ok(None),
        Scope::Contract => Err(role_not_allowed()),
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// `mine` unless given. With `contract`, which takes an administrator, the state is `unresolved`,
    /// `failed`, `waiting_for_sign_in` or `waiting_for_answer`.
    #[param(inline)]
    scope: Option<Scope>,
    /// In this state only.
    state: Option<ActivityState>,
    /// Items of a page, 1 to 200; 50 unless given.
    limit: Option<usize>,
    /// A page's `next`.
    cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct ActivityList {
    items: Vec<ActivitySummary>,
    /// Give it as `cursor` for the next page; none after the last.
    next: Option<String>,
}

/// Your activities, newest first; or those of the contract that wait for people.
#[utoipa::path(get, path = "/activities", operation_id = "activities_list", params(ListQuery), responses((status = 200, body = ActivityList), (status = 403, body = Problem)))]
async fn list(
    State(app): State<Arc<App>>,
    caller: Caller<LogActivities>,
    Query(query): Query<ListQuery>,
) -> Result<Json<ActivityList>, Problem> {
    let seat = seat_of(&caller, query.scope)?;
    let limit = page_size(query.limit)?;
    let cursor = query.cursor.as_deref();
    let (store, contract) = (&app.remote.store, &caller.contract);
    let page = if let Some(seat) = seat {
        check_cursor(cursor)?;
        store
            .list_activities(contract, seat, query.state, limit, cursor)
            .await
    } else {
        if cursor.is_some_and(|cursor| cursor.is_empty() || cursor.len() > MAX_CURSOR) {
            return Err(invalid_cursor());
        }
        let state = state_for_people(query.state)?;
        store
            .activities_for_people(contract, state, limit, cursor)
            .await
    };
    let page = page.map_err(|error| error.problem())?;
    let names = target_names(&app, &caller.contract, &page.items).await?;
    let items = page.items.iter();
    Ok(Json(ActivityList {
        items: items
            .map(|activity| ActivitySummary::of(activity, &names))
            .collect(),
        next: page.next,
    }))
}

/// The state of a list of the whole contract.
fn state_for_people(state: Option<ActivityState>) -> Result<ActivityState, Problem> {
    let listed = [
        ActivityState::Unresolved,
        ActivityState::Failed,
        ActivityState::WaitingForSignIn,
        ActivityState::WaitingForAnswer,
    ];
    state.filter(|state| listed.contains(state)).ok_or_else(|| {
        let names = listed.map(ActivityState::as_str).join(", ");
        Problem::new(
            400,
            "invalid_state",
            "The activities of the whole contract are listed by what they wait for.",
            format!("Send as state one of {names}."),
        )
        .with_field("state")
    })
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RetryQuery {
    /// `mine` unless given; `contract` takes an administrator.
    #[param(inline)]
    scope: Option<Scope>,
}

#[derive(Serialize, ToSchema)]
struct ActivitiesRetried {
    /// Activities that are tried again now.
    count: usize,
    /// There may be more: call again.
    more: bool,
}

/// Sends again all of your activities that failed or wait, or all of the contract's, up to 200 of each kind in
/// one go. An activity whose last call had no outcome is first tried when that call has ended.
#[utoipa::path(post, path = "/activities/retry", operation_id = "activities_retry", params(RetryQuery), responses((status = 202, body = ActivitiesRetried), (status = 403, body = Problem)))]
async fn retry(
    State(app): State<Arc<App>>,
    caller: Caller<LogActivities>,
    Query(query): Query<RetryQuery>,
) -> Result<(StatusCode, Json<ActivitiesRetried>), Problem> {
    let seat = seat_of(&caller, query.scope)?;
    let (store, contract) = (&app.remote.store, &caller.contract);
    let now = app.remote.clock.now();
    let failed = store.failed_activities(contract, seat, MAX_RETRY).await;
    let failed = failed.map_err(|error| error.problem())?;
    let waiting = store
        .waiting_activities(contract, seat, now, MAX_RETRY)
        .await
        .map_err(|error| error.problem())?;
    let most = usize::try_from(MAX_RETRY).unwrap_or(usize::MAX);
    let more = failed.len() >= most;
    let mut again = Vec::new();
    for (seat, id) in failed {
        match store.activity(contract, seat, id).await {
            Ok(Some(mut activity)) if activity.state == ActivityState::Failed => {
                plan_again(&mut activity, now);
                again.push(activity);
            }
            // Another request has sent it.
            Ok(_) => {}
            // An activity that cannot be read stops no other.
            Err(error) if !error.passes() => error.log(),
            Err(error) => return Err(error.problem()),
        }
    }
    let mut ids: Vec<_> = again.iter().map(|one| (one.seat, one.id)).collect();
    let lost = store.save_activities(again).await;
    let lost = lost.map_err(|error| error.problem())?;
    ids.retain(|(_, id)| lost.iter().all(|one| one.id != *id));
    ids.extend(waiting);
    let count = ids.len();
    announce(&app, contract, ids).await;
    Ok((
        StatusCode::ACCEPTED,
        Json(ActivitiesRetried { count, more }),
    ))
}

/// Makes an activity one that is tried again, with all attempts left.
fn plan_again(activity: &mut Activity, now: Millis) {
    activity.state = ActivityState::Planned;
    activity.attempts = 0;
    activity.backlog = false;
    activity.due_at = now.plus_seconds(SWEEP_AFTER_SECONDS);
    activity.finished_at = None;
}

pub(super) async fn find<P>(app: &App, caller: &Caller<P>, id: &str) -> Result<Activity, Problem> {
    let seat = caller.signed_in()?.seat.id;
    let id: ActivityId = id.parse().map_err(|_| Problem::not_found("activity"))?;
    let found = app
        .remote
        .store
        .activity(&caller.contract, seat, id)
        .await
        .map_err(|error| error.problem())?;
    found
        .filter(|activity| !activity.is_erased())
        .ok_or_else(|| Problem::not_found("activity"))
}

/// One of your activities in full: its content, its state and its writes to the CRM.
#[utoipa::path(get, path = "/activities/{id}", operation_id = "activities_show", params(("id" = String, Path)), responses((status = 200, body = ActivityDetail), (status = 404, body = Problem)))]
async fn detail(
    State(app): State<Arc<App>>,
    caller: Caller<LogActivities>,
    Path(id): Path<String>,
) -> Result<Json<ActivityDetail>, Problem> {
    let activity = find(&app, &caller, &id).await?;
    Ok(Json(shown(&app, activity).await?))
}

/// Sends one of your activities again if it waits or has failed. An activity that is already in the CRM is
/// refused.
#[utoipa::path(post, path = "/activities/{id}/send", operation_id = "activities_send_again", params(("id" = String, Path)), responses((status = 202, body = ActivityDetail), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn send_again(
    State(app): State<Arc<App>>,
    caller: Caller<LogActivities>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<ActivityDetail>), Problem> {
    let mut activity = find(&app, &caller, &id).await?;
    match activity.state {
        ActivityState::Written => {
            return Err(Problem::new(
                409,
                "already_in_crm",
                "The activity is in the CRM already.",
                "Nothing to do. Its link is in the activity's detail.",
            ));
        }
        // A worker has it, so nothing is to be sent.
        ActivityState::Writing => {}
        ActivityState::Planned
        | ActivityState::Waiting
        | ActivityState::WaitingForSignIn
        | ActivityState::WaitingForAnswer
        | ActivityState::Unresolved
        | ActivityState::Failed => {
            plan_again(&mut activity, app.remote.clock.now());
            let saved = app.remote.store.save_activities(vec![activity.clone()]);
            let lost = saved.await.map_err(|error| error.problem())?;
            if !lost.is_empty() {
                return Err(StoreError::Conflict.problem());
            }
            let ids = vec![(activity.seat, activity.id)];
            announce(&app, &caller.contract, ids).await;
        }
    }
    Ok((StatusCode::ACCEPTED, Json(shown(&app, activity).await?)))
}

/// An answer to *Is this the right CRM match?*
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AnswerInput {
    /// The record that the person or company is; `null`: none of those that were named.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required = true)]
    record: Option<RecordInput>,
}

/// Answers *Is this the right CRM match?* for the person or company of one of your activities. The answer holds
/// for everybody in the contract, as a match or unmatch of the person or company does, and all activities that
/// wait for it go on: attached to the record, or open and unassigned.
#[utoipa::path(post, path = "/activities/{id}/answer", operation_id = "activities_answer", params(("id" = String, Path)), request_body = AnswerInput, responses((status = 202, body = ActivityDetail), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn answer(
    State(app): State<Arc<App>>,
    caller: Caller<DecideMatches>,
    Path(id): Path<String>,
    Json(input): Json<AnswerInput>,
) -> Result<(StatusCode, Json<ActivityDetail>), Problem> {
    let activity = find(&app, &caller, &id).await?;
    if activity.state != ActivityState::WaitingForAnswer {
        return Err(Problem::new(
            409,
            "no_question",
            "The activity waits for no answer.",
            "Nothing to do. To change the match, open the person or company.",
        ));
    }
    let record = input.record.map(RecordInput::into_record);
    directory::answer(&app, &caller, activity.target, record).await?;
    // A worker may have it already; then that is shown.
    let mut activity = find(&app, &caller, &id).await?;
    if activity.state == ActivityState::WaitingForAnswer {
        plan_again(&mut activity, app.remote.clock.now());
        let saved = app.remote.store.save_activities(vec![activity.clone()]);
        let lost = saved.await.map_err(|error| error.problem())?;
        if lost.is_empty() {
            announce(&app, &caller.contract, vec![(activity.seat, activity.id)]).await;
        }
    }
    Ok((StatusCode::ACCEPTED, Json(shown(&app, activity).await?)))
}
