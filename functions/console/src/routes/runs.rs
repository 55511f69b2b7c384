//! Runs that are neither imports nor link passes: list, show, stop.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;
use serde_json::json;
use shared::clock::Millis;
use shared::domain::run::{Run, RunId, RunKind, RunState};
use shared::problem::Problem;
use shared::store::StoreError;
use utoipa::ToSchema;

use crate::App;
use crate::auth::{Caller, ManageContract};
use crate::described::{Routes, routes};
use crate::extract::{Json, Path};

pub(super) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(stop))
}

/// A run.
#[derive(Serialize, ToSchema)]
pub(super) struct ContractRun {
    /// Its id: its kind and number.
    id: String,
    kind: RunKind,
    /// Its kind, for people.
    title: &'static str,
    state: RunState,
    /// The one who asked for it: a token's id, `seat:` and a seat's id, or a role.
    requested_by: String,
    #[schema(value_type = i64)]
    requested_at: Millis,
    /// While it waits: when it begins or continues.
    #[schema(value_type = Option<i64>)]
    due_at: Option<Millis>,
    #[schema(value_type = Option<i64>)]
    started_at: Option<Millis>,
    #[schema(value_type = Option<i64>)]
    finished_at: Option<Millis>,
    /// The one who stopped it.
    stopped_by: Option<String>,
    /// Items handled so far, by kind.
    counts: BTreeMap<String, u64>,
    /// True if it can be stopped.
    can_stop: bool,
}

impl From<Run> for ContractRun {
    fn from(run: Run) -> Self {
        let waits = run.is_open() && run.lease_until.is_none();
        Self {
            id: run.id().to_string(),
            kind: run.kind,
            title: run.kind.title(),
            state: run.state,
            can_stop: run.can_stop(),
            requested_by: run.requested_by,
            requested_at: run.requested_at,
            due_at: waits.then_some(run.due_at),
            started_at: run.started_at,
            finished_at: run.finished_at,
            stopped_by: run.stopped_by,
            counts: run.counts,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct ContractRuns {
    items: Vec<ContractRun>,
}

/// The contract's runs, newest first; those that ended for 180 days. Imports and link passes have lists of their
/// own.
#[utoipa::path(get, path = "/runs", operation_id = "list_runs", responses((status = 200, body = ContractRuns)))]
async fn list(
    State(app): State<Arc<App>>,
    caller: Caller<ManageContract>,
) -> Result<Json<ContractRuns>, Problem> {
    let runs = app.remote.store.all_runs(&caller.contract).await;
    let runs = runs.map_err(|error| error.problem())?;
    Ok(Json(ContractRuns {
        items: runs.into_iter().map(ContractRun::from).collect(),
    }))
}

/// A run.
#[utoipa::path(get, path = "/runs/{id}", operation_id = "show_run", params(("id" = String, Path)), responses((status = 200, body = ContractRun), (status = 404, body = Problem)))]
async fn show(
    State(app): State<Arc<App>>,
    caller: Caller<ManageContract>,
    Path(id): Path<String>,
) -> Result<Json<ContractRun>, Problem> {
    let id: RunId = id.parse().map_err(|_| Problem::not_found("run"))?;
    let run = app.remote.store.run(&caller.contract, id).await;
    let run = run.map_err(|error| error.problem())?;
    let run = run.ok_or_else(|| Problem::not_found("run"))?;
    Ok(Json(run.into()))
}

/// Stops a run. A deletion of the contract can be stopped until it begins.
#[utoipa::path(post, path = "/runs/{id}/stop", operation_id = "stop_run", params(("id" = String, Path)), responses((status = 200, body = ContractRun), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn stop(
    State(app): State<Arc<App>>,
    caller: Caller<ManageContract>,
    Path(id): Path<String>,
) -> Result<Json<ContractRun>, Problem> {
    let id: RunId = id.parse().map_err(|_| Problem::not_found("run"))?;
    let store = &app.remote.store;
    loop {
        let run = store.run(&caller.contract, id).await;
        let run = run.map_err(|error| error.problem())?;
        let mut run = run.ok_or_else(|| Problem::not_found("run"))?;
        if !run.can_stop() {
            return Err(Problem::new(
                409,
                "run_not_stoppable",
                "This run has ended, or has gone too far to be stopped.",
                "See its state in GET /api/v1/runs.",
            ));
        }
        let before = json!({ "state": run.state });
        run.stopped_by = Some(caller.actor.clone());
        run.end(RunState::Stopped, app.remote.clock.now());
        let after = json!({ "state": run.state, "counts": run.counts });
        let audit = app.audit(&caller.actor, "run.stop", id.to_string(), before, after);
        let unique = app.remote.random.uuid();
        match store
            .put_run_of_user(&caller.contract, &run, &audit, unique)
            .await
        {
            Ok(()) => return Ok(Json(run.into())),
            // A worker has taken or stored it: looked at again.
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.problem()),
        }
    }
}
