//! The contract as a whole: its export, its deletion, and how long what it holds is kept.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::clock::Millis;
use shared::crm_setup;
use shared::domain::contract::{
    Contract, KEEP_ACTIVITIES_DAYS, KEEP_ANSWERS_DAYS, KEEP_MIRROR_DAYS,
};
use shared::domain::run::{Run, RunKind, RunState};
use shared::problem::Problem;
use shared::store::{StoreError, WorkKind};
use utoipa::{IntoParams, ToSchema};

use super::runs::ContractRun;
use crate::App;
use crate::auth::{Caller, ManageContract};
use crate::described::{Routes, routes};
use crate::extract::{Json, Query};

/// The time between the request for a deletion and its beginning, in days. Until then it can be stopped.
const WAIT_DAYS: i64 = 7;
/// The time between a change of the setting and the run that applies it, in seconds: longer than a worker holds
/// a submission that it took under the setting before.
const APPLY_AFTER_SECONDS: i64 = 120;
/// Maximum number of times that a request is decided anew after a change by somebody else.
const MAX_TRIES: u32 = 8;

pub(super) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(privacy))
        .routes(routes!(set_retention))
        .routes(routes!(export))
        .routes(routes!(delete))
}

/// The contract as a whole.
#[derive(Serialize, ToSchema)]
struct PrivacyView {
    /// The contract's name, which its deletion asks for.
    name: String,
    /// Number of days for which answers are kept; 0: for ever.
    keep_answers_days: u32,
    /// Number of days for which the content of activities is kept after they were written to the CRM; 0: for
    /// ever.
    keep_activities_days: u32,
    /// Number of days for which what was imported is kept after its CRM was disconnected; 0: for ever.
    keep_mirror_days: u32,
    /// The last run that applied a change of how long answers are kept.
    retention_run: Option<ContractRun>,
    /// The last run that erased the content of old activities. While these are kept for some days, one is asked
    /// for each day.
    activities_run: Option<ContractRun>,
    /// The last deletion that was asked for.
    deletion: Option<ContractRun>,
    /// Number of days between a request for deletion and its beginning.
    deletion_wait_days: i64,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RetentionInput {
    /// Number of days for which answers are kept after they were received: 30 to 3650, or 0 for ever. As it was
    /// if left out. A submission that waits for something keeps them.
    #[serde(default, rename = "keep_answers_days")]
    answers: Option<u32>,
    /// Number of days for which the content of an activity is kept after it was written to the CRM: 30 to 3650, or
    /// 0 for ever. As it was if left out. One that waits for something keeps its content.
    #[serde(default, rename = "keep_activities_days")]
    activities: Option<u32>,
    /// Number of days for which what was imported is kept after its CRM was disconnected: 7 to 3650, or 0 for
    /// ever. As it was if left out.
    #[serde(default, rename = "keep_mirror_days")]
    mirror: Option<u32>,
}

/// The range of days of a setting, by its field, and what it is about.
const RANGES: [(&str, &str, RangeInclusive<u32>); 3] = [
    ("keep_answers_days", "Answers are", KEEP_ANSWERS_DAYS),
    (
        "keep_activities_days",
        "The content of activities is",
        KEEP_ACTIVITIES_DAYS,
    ),
    ("keep_mirror_days", "Imported data is", KEEP_MIRROR_DAYS),
];

impl RetentionInput {
    /// Checks the numbers of days.
    ///
    /// # Errors
    /// 422 `invalid_value` with the field.
    fn check(&self) -> Result<(), Problem> {
        let given = [self.answers, self.activities, self.mirror];
        for (days, (field, what, range)) in given.into_iter().zip(RANGES) {
            if days.is_some_and(|days| days != 0 && !range.contains(&days)) {
                let (least, most) = (*range.start(), *range.end());
                return Err(Problem::new(
                    422,
                    "invalid_value",
                    format!("{what} kept for {least} to {most} days, or for ever."),
                    "Send a number of days in that range, or 0 for ever.",
                )
                .with_field(field));
            }
        }
        Ok(())
    }

    /// Changes what is given.
    fn apply(&self, contract: &mut Contract) {
        let settings = [
            (self.answers, &mut contract.keep_answers_days),
            (self.activities, &mut contract.keep_activities_days),
            (self.mirror, &mut contract.keep_mirror_days),
        ];
        for (given, stored) in settings {
            *stored = given.unwrap_or(*stored);
        }
    }

    /// True if the settings, as they were and as they are, take a run of that kind. One that was stopped has
    /// applied its setting to a part only, and is asked for again by the same setting.
    fn takes_run(
        &self,
        kind: RunKind,
        before: &Contract,
        after: &Contract,
        last: Option<&Run>,
    ) -> bool {
        let stopped = last.is_some_and(|last| last.state == RunState::Stopped);
        if kind == RunKind::KeepAnswers {
            let changed = before.keep_answers_days != after.keep_answers_days;
            return changed || stopped && self.answers.is_some();
        }
        let days = after.keep_activities_days;
        let changed = before.keep_activities_days != days;
        // With no limit there is nothing to erase, and one that is under way ends by itself.
        days != 0 && (changed || stopped && self.activities.is_some())
    }
}

/// The settings as the audit log shows them.
fn logged(contract: &Contract) -> serde_json::Value {
    json!({
        "keep_answers_days": contract.keep_answers_days,
        "keep_activities_days": contract.keep_activities_days,
        "keep_mirror_days": contract.keep_mirror_days,
    })
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DeletionInput {
    /// The contract's name, exactly.
    name: String,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ExportQuery {
    /// The `next` of the page before; left out for the first page.
    #[serde(default)]
    cursor: Option<String>,
}

/// The last line of a page of the export.
#[derive(Serialize)]
struct PageEnd {
    /// Time at which the page was read. Pages of one export are read one after the other, each as of its time.
    read_at: Millis,
    /// Number of items of the page, by kind.
    counts: BTreeMap<String, u64>,
    /// The start of the next page; null after the last.
    next: Option<String>,
}

/// The retention of answers, and the contract's deletion if one was asked for.
#[utoipa::path(get, path = "/contract/privacy", operation_id = "contract_privacy", responses((status = 200, body = PrivacyView)))]
async fn privacy(
    State(app): State<Arc<App>>,
    caller: Caller<ManageContract>,
) -> Result<Json<PrivacyView>, Problem> {
    let contract = app.contract(&caller).await?;
    app.privacy_view(contract).await.map(Json)
}

/// Sets how long things are kept. New submissions get the time at which they expire with their next step; a run
/// gives it to those that are stored, and the table deletes what has expired within a few days. Another run erases
/// the content of activities, at once and then each day. What was imported of a CRM is deleted, within a day, when
/// the CRM has been disconnected for that long.
#[utoipa::path(put, path = "/contract/retention", operation_id = "set_retention", request_body = RetentionInput, responses((status = 200, body = PrivacyView), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn set_retention(
    State(app): State<Arc<App>>,
    caller: Caller<ManageContract>,
    Json(input): Json<RetentionInput>,
) -> Result<Json<PrivacyView>, Problem> {
    input.check()?;
    let store = &app.remote.store;
    for _ in 0..MAX_TRIES {
        let before = app.contract(&caller).await?;
        let mut contract = before.clone();
        input.apply(&mut contract);
        let now = app.remote.clock.now();
        let begins = now.plus_seconds(APPLY_AFTER_SECONDS);
        let mut runs = Vec::new();
        for kind in [RunKind::KeepAnswers, RunKind::KeepActivities] {
            let last = store.last_run(&contract.id, kind).await;
            let last = last.map_err(|error| error.problem())?;
            if !input.takes_run(kind, &before, &contract, last.as_ref()) {
                continue;
            }
            let new = Run::requested(kind, last.as_ref(), &caller.actor, now, begins);
            let run = new.or_else(|| {
                let mut open = last?;
                open.restart(begins);
                Some(open)
            });
            runs.push(run.ok_or_else(Problem::internal)?);
        }
        if contract == before && runs.is_empty() {
            return app.privacy_view(contract).await.map(Json);
        }
        contract.config_version += 1;
        let audit = app.audit(
            &caller.actor,
            "contract.retention",
            contract.id.to_string(),
            logged(&before),
            logged(&contract),
        );
        let unique = app.remote.random.uuid();
        match store
            .change_retention(&contract, &runs, &audit, unique)
            .await
        {
            Ok(()) => {
                for run in &runs {
                    let work = WorkKind::Run(run.kind);
                    let queue = &app.import_queue;
                    crm_setup::announce_in(queue, &contract.id, work, APPLY_AFTER_SECONDS).await;
                }
                return app.privacy_view(contract).await.map(Json);
            }
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.problem()),
        }
    }
    Err(busy())
}

/// A page of the export of the whole contract, as JSON lines: a line `{"kind", "item"}` for each item, and a last
/// line `{"page"}` with the time at which it was read, the number of items of each kind, and the `cursor` of the
/// next page. Passwords, tokens, keys and hashes of secrets are left out.
#[utoipa::path(get, path = "/contract/export", operation_id = "export_contract", params(ExportQuery), responses((status = 200, content_type = "application/x-ndjson", body = String), (status = 400, body = Problem)))]
async fn export(
    State(app): State<Arc<App>>,
    caller: Caller<ManageContract>,
    Query(query): Query<ExportQuery>,
) -> Result<Response, Problem> {
    let read_at = app.remote.clock.now();
    let (contract, sessions) = (&caller.contract, &app.remote.web_sessions);
    // A place is signed for its reader: nobody reads on without the entry in the audit log that the first page makes.
    let purpose = format!("export|{}", caller.actor);
    let cursor = match query.cursor.as_deref() {
        None => None,
        Some(given) => {
            let place = sessions.unsigned(contract, &purpose, given, read_at).await;
            let place = place.map_err(|error| error.problem())?;
            Some(place.ok_or_else(invalid_cursor)?)
        }
    };
    let page = app.remote.store.export_page(contract, cursor).await;
    let page = page.map_err(|error| error.problem())?;
    let page = page.ok_or_else(invalid_cursor)?;
    if cursor.is_none() {
        let audit = app.audit(
            &caller.actor,
            "contract.export",
            caller.contract.to_string(),
            serde_json::Value::Null,
            json!({ "begun_at": read_at }),
        );
        let unique = app.remote.random.uuid();
        let kept = app.remote.store.put_audit(&caller.contract, &audit, unique);
        kept.await.map_err(|error| error.problem())?;
    }
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let mut lines = String::new();
    for exported in page.items {
        lines.push_str(&json!({ "kind": exported.kind, "item": exported.item }).to_string());
        lines.push('\n');
        *counts.entry(exported.kind).or_default() += 1;
    }
    let next = match page.next {
        None => None,
        Some(place) => {
            let signed = sessions.signed(contract, &purpose, &place, read_at).await;
            Some(signed.map_err(|error| error.problem())?)
        }
    };
    let end = PageEnd {
        read_at,
        counts,
        next,
    };
    lines.push_str(&json!({ "page": end }).to_string());
    lines.push('\n');
    let headers = [
        (http::header::CONTENT_TYPE, "application/x-ndjson"),
        (http::header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, lines).into_response())
}

/// Asks for the deletion of the whole contract. It begins after a waiting period and can be stopped until then;
/// afterwards it cannot, and nobody can sign in to the contract any more. Asked for again it is the same run.
#[utoipa::path(post, path = "/contract/deletion", operation_id = "delete_contract", request_body = DeletionInput, responses((status = 202, body = ContractRun), (status = 422, body = Problem)))]
async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller<ManageContract>,
    Json(input): Json<DeletionInput>,
) -> Result<(http::StatusCode, Json<ContractRun>), Problem> {
    let contract = app.contract(&caller).await?;
    if input.name != contract.name {
        return Err(Problem::new(
            422,
            "name_mismatch",
            "This is not the contract's name.",
            "Send the contract's name exactly as it is shown, capital letters included.",
        )
        .with_field("name"));
    }
    let (store, kind) = (&app.remote.store, RunKind::DeleteContract);
    for _ in 0..MAX_TRIES {
        let now = app.remote.clock.now();
        let begins = now.plus_seconds(WAIT_DAYS * 24 * 3600);
        let last = store.last_run(&contract.id, kind).await;
        let last = last.map_err(|error| error.problem())?;
        let Some(run) = Run::requested(kind, last.as_ref(), &caller.actor, now, begins) else {
            let open = last.ok_or_else(Problem::internal)?;
            return Ok((http::StatusCode::ACCEPTED, Json(open.into())));
        };
        let audit = app.audit(
            &caller.actor,
            "contract.delete",
            contract.id.to_string(),
            serde_json::Value::Null,
            json!({ "run": run.id().to_string(), "begins_at": begins }),
        );
        let unique = app.remote.random.uuid();
        match store
            .put_run_of_user(&contract.id, &run, &audit, unique)
            .await
        {
            Ok(()) => {
                tracing::warn!(contract = %contract.id, %begins, "the deletion of a contract was asked for");
                return Ok((http::StatusCode::ACCEPTED, Json(run.into())));
            }
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.problem()),
        }
    }
    Err(busy())
}

fn invalid_cursor() -> Problem {
    Problem::new(
        400,
        "invalid_cursor",
        "The cursor is none of this export.",
        "Send the `next` of the page before, or no cursor to begin anew.",
    )
    .with_field("cursor")
}

fn busy() -> Problem {
    Problem::new(
        409,
        "configuration_busy",
        "The contract is being changed by others at this moment.",
        "Repeat the request.",
    )
}

impl App {
    async fn contract(&self, caller: &Caller<ManageContract>) -> Result<Contract, Problem> {
        let found = self.remote.store.contract(&caller.contract).await;
        let found = found.map_err(|error| error.problem())?;
        found.ok_or_else(|| Problem::not_found("contract"))
    }

    /// The last run of a kind, as it is shown.
    async fn shown_run(
        &self,
        contract: &Contract,
        kind: RunKind,
    ) -> Result<Option<ContractRun>, Problem> {
        let last = self.remote.store.last_run(&contract.id, kind).await;
        let last = last.map_err(|error| error.problem())?;
        Ok(last.map(ContractRun::from))
    }

    async fn privacy_view(&self, contract: Contract) -> Result<PrivacyView, Problem> {
        Ok(PrivacyView {
            retention_run: self.shown_run(&contract, RunKind::KeepAnswers).await?,
            activities_run: self.shown_run(&contract, RunKind::KeepActivities).await?,
            deletion: self.shown_run(&contract, RunKind::DeleteContract).await?,
            name: contract.name,
            keep_answers_days: contract.keep_answers_days,
            keep_activities_days: contract.keep_activities_days,
            keep_mirror_days: contract.keep_mirror_days,
            deletion_wait_days: WAIT_DAYS,
        })
    }
}
