//! The contract as a whole: its export, its deletion, and how long its answers are kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::clock::Millis;
use shared::crm_setup;
use shared::domain::contract::{Contract, KEEP_ANSWERS_DAYS};
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
    /// The last run that applied a change of that setting.
    retention_run: Option<ContractRun>,
    /// The last deletion that was asked for.
    deletion: Option<ContractRun>,
    /// Number of days between a request for deletion and its beginning.
    deletion_wait_days: i64,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RetentionInput {
    /// Number of days for which answers are kept after they were received: 30 to 3650, or 0 for ever.
    keep_answers_days: u32,
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

/// Sets how long answers are kept. New submissions get the time at which they expire with their next step; a run
/// gives it to those that are stored. The table deletes what has expired within a few days.
#[utoipa::path(put, path = "/contract/retention", operation_id = "set_retention", request_body = RetentionInput, responses((status = 200, body = PrivacyView), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn set_retention(
    State(app): State<Arc<App>>,
    caller: Caller<ManageContract>,
    Json(input): Json<RetentionInput>,
) -> Result<Json<PrivacyView>, Problem> {
    let days = input.keep_answers_days;
    if days != 0 && !KEEP_ANSWERS_DAYS.contains(&days) {
        let (least, most) = (*KEEP_ANSWERS_DAYS.start(), *KEEP_ANSWERS_DAYS.end());
        return Err(Problem::new(
            422,
            "invalid_value",
            format!("Answers are kept for {least} to {most} days, or for ever."),
            "Send a number of days in that range, or 0 for ever.",
        )
        .with_field("keep_answers_days"));
    }
    let (store, kind) = (&app.remote.store, RunKind::KeepAnswers);
    for _ in 0..MAX_TRIES {
        let mut contract = app.contract(&caller).await?;
        let last = store.last_run(&contract.id, kind).await;
        let last = last.map_err(|error| error.problem())?;
        // One that was stopped has applied the setting to a part of the submissions only.
        let stopped = last
            .as_ref()
            .is_some_and(|last| last.state == RunState::Stopped);
        if contract.keep_answers_days == days && !stopped {
            return app.privacy_view(contract).await.map(Json);
        }
        let now = app.remote.clock.now();
        let begins = now.plus_seconds(APPLY_AFTER_SECONDS);
        let new = Run::requested(kind, last.as_ref(), &caller.actor, now, begins);
        let run = new.or_else(|| {
            let mut open = last?;
            open.restart(begins);
            Some(open)
        });
        let run = run.ok_or_else(Problem::internal)?;
        let before = json!({ "keep_answers_days": contract.keep_answers_days });
        contract.keep_answers_days = days;
        contract.config_version += 1;
        let after = json!({ "keep_answers_days": days });
        let audit = app.audit(
            &caller.actor,
            "contract.retention",
            contract.id.to_string(),
            before,
            after,
        );
        let unique = app.remote.random.uuid();
        match store
            .change_retention(&contract, &run, &audit, unique)
            .await
        {
            Ok(()) => {
                let work = WorkKind::Run(kind);
                crm_setup::announce_in(&app.import_queue, &contract.id, work, APPLY_AFTER_SECONDS)
                    .await;
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

    async fn privacy_view(&self, contract: Contract) -> Result<PrivacyView, Problem> {
        let store = &self.remote.store;
        let kept = store.last_run(&contract.id, RunKind::KeepAnswers).await;
        let deleted = store.last_run(&contract.id, RunKind::DeleteContract).await;
        Ok(PrivacyView {
            retention_run: kept
                .map_err(|error| error.problem())?
                .map(ContractRun::from),
            deletion: deleted
                .map_err(|error| error.problem())?
                .map(ContractRun::from),
            name: contract.name,
            keep_answers_days: contract.keep_answers_days,
            deletion_wait_days: WAIT_DAYS,
        })
    }
}
