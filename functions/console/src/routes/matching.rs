//! The share of the directory that is linked to the CRM's records, the passes that link it, and their models
//! (MA-1, MA-3, MA-5).

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use shared::clock::Millis;
use shared::domain::directory::{EntryKind, LinkPass, PassState, Rates};
use shared::linking;
use shared::problem::Problem;
use shared::store::ConnectionKind;
use utoipa::{IntoParams, ToSchema};

use super::submissions::page_size;
use crate::App;
use crate::auth::{Caller, ConnectCrm, ReadConfiguration};
use crate::described::{Routes, routes};
use crate::extract::{Json, Path, Query};

pub(super) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(overview))
        .routes(routes!(run))
        .routes(routes!(model))
}

/// The share of the CRM's records of an object that are linked to an entry.
#[derive(Serialize, ToSchema)]
struct ObjectShare {
    /// The CRM's name for the object.
    object: String,
    /// Records that were imported.
    records: u64,
    /// Records that an entry is linked to.
    matched: u64,
    /// Matched records that a person chose or confirmed.
    manual: u64,
    /// Records that no entry is linked to.
    unmatched: u64,
    /// `matched` of `records`, in thousandths; `null` where there are none.
    matched_permille: Option<u64>,
}

/// The share of the directory's entries that are linked to a record.
#[derive(Serialize, ToSchema)]
struct EntryShare {
    kind: EntryKind,
    entries: u64,
    /// Entries that are linked to a record.
    matched: u64,
    /// Matched entries that a person matched or confirmed.
    manual: u64,
    /// Entries that a person unmatched.
    refused: u64,
    /// Entries that are linked to no record.
    unmatched: u64,
    /// `matched` of `entries`, in thousandths; `null` where there are none.
    matched_permille: Option<u64>,
}

/// The linked shares at the end of a pass (MA-5).
#[derive(Serialize, ToSchema)]
struct RatesView {
    #[schema(value_type = i64)]
    at: Millis,
    /// Counts the passes.
    pass: u64,
    /// Object by object.
    objects: Vec<ObjectShare>,
    /// Kind by kind.
    entries: Vec<EntryShare>,
}

impl From<Rates> for RatesView {
    fn from(rates: Rates) -> Self {
        let objects = rates.objects.into_iter().map(|rates| ObjectShare {
            matched_permille: rates.share_permille(),
            object: rates.object,
            records: rates.records,
            matched: rates.matched,
            manual: rates.manual,
            unmatched: rates.unmatched,
        });
        let entries = rates.entries.into_iter().map(|rates| EntryShare {
            matched_permille: rates.share_permille(),
            kind: rates.kind,
            entries: rates.entries,
            matched: rates.matched,
            manual: rates.manual,
            refused: rates.refused,
            unmatched: rates.unmatched,
        });
        Self {
            at: rates.at,
            pass: rates.pass,
            objects: objects.collect(),
            entries: entries.collect(),
        }
    }
}

/// The pass that waits or runs, or the last one.
#[derive(Serialize, ToSchema)]
struct PassView {
    /// Counts the passes.
    pass: u64,
    state: PassState,
    /// The message for people.
    message: String,
    /// The current stage of the pass.
    stage: String,
    /// The number of items of the stage that are done.
    done: u64,
    /// The number of items of the stage in all, where that is known.
    of: Option<u64>,
    /// Links that it has changed.
    written: u64,
    /// Another one follows: something was added while it ran.
    again: bool,
    /// A seat, an API token, or the event that the pass follows.
    requested_by: String,
    /// The name of the seat, while there is that seat.
    requested_by_name: Option<String>,
    #[schema(value_type = i64)]
    requested_at: Millis,
    #[schema(value_type = Option<i64>)]
    started_at: Option<Millis>,
    #[schema(value_type = Option<i64>)]
    finished_at: Option<Millis>,
    /// The time at which a pass last reached its end.
    #[schema(value_type = Option<i64>)]
    last_success_at: Option<Millis>,
    /// The reason for waiting or failure, with the next step.
    problem: Option<Problem>,
}

impl PassView {
    fn of(pass: LinkPass, requested_by_name: Option<String>) -> Self {
        Self {
            message: message(&pass),
            pass: pass.pass,
            state: pass.state,
            stage: pass.progress.stage,
            done: pass.progress.done,
            of: pass.progress.of,
            written: pass.progress.written,
            again: pass.again.is_some(),
            requested_by: pass.requested_by,
            requested_by_name,
            requested_at: pass.requested_at,
            started_at: pass.started_at,
            finished_at: pass.finished_at,
            last_success_at: pass.last_success_at,
            problem: pass.problem,
        }
    }
}

fn message(pass: &LinkPass) -> String {
    if let Some(problem) = &pass.problem {
        return problem.detail.clone();
    }
    match pass.state {
        PassState::Queued => "Waiting to start.".to_owned(),
        PassState::Running => match pass.progress.of.filter(|of| *of > 0) {
            // Nothing is complete before the next stage.
            Some(of) => {
                let percent = pass.progress.done.saturating_mul(100) / of;
                format!("Linking: {}, {} %", pass.progress.stage, percent.min(99))
            }
            None => format!("Linking: {}", pass.progress.stage),
        },
        PassState::Succeeded => "The last pass reached its end.".to_owned(),
        PassState::Failed => "The last pass failed.".to_owned(),
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct HistoryQuery {
    /// Items of the history, 1 to 200; 50 unless given.
    limit: Option<usize>,
    /// Rates before this (milliseconds): a history's `next`.
    before: Option<i64>,
}

#[derive(Serialize, ToSchema)]
struct MatchingOverview {
    /// The newest rates; `null` before the first pass.
    rates: Option<RatesView>,
    /// The pass that waits or runs, or the last one; `null` before the first.
    pass: Option<PassView>,
    /// Rates from pass to pass, newest first, for two years.
    history: Vec<RatesView>,
    /// Give it as `before` for older passes; none after the last.
    #[schema(value_type = Option<i64>)]
    next: Option<Millis>,
}

impl App {
    async fn pass_view(
        &self,
        contract: &shared::domain::ids::ContractId,
        pass: LinkPass,
    ) -> Result<PassView, Problem> {
        let by = std::iter::once(pass.requested_by.as_str());
        let mut names = self.names_of(contract, by).await?;
        let name = names.remove(&pass.requested_by);
        Ok(PassView::of(pass, name))
    }
}

/// The share of the directory that is linked to the CRM's records, now and from pass to pass.
#[utoipa::path(get, path = "/matching", operation_id = "matching_overview", params(HistoryQuery), responses((status = 200, body = MatchingOverview), (status = 400, body = Problem)))]
async fn overview(
    State(app): State<Arc<App>>,
    caller: Caller<ReadConfiguration>,
    Query(query): Query<HistoryQuery>,
) -> Result<Json<MatchingOverview>, Problem> {
    let limit = page_size(query.limit)?;
    let contract = &caller.contract;
    let store = &app.remote.store;
    // Before the rates: a pass that has ended wrote them together with its end.
    let pass = store.link_pass(contract).await;
    let pass = match pass.map_err(|error| error.problem())? {
        Some(pass) => Some(app.pass_view(contract, pass).await?),
        None => None,
    };
    // One more shows whether there is another page.
    let enough = i32::try_from(limit + 1).map_err(|_| Problem::internal())?;
    let before = query.before.map(Millis);
    let history = store.rates(contract, enough, before).await;
    let mut history = history.map_err(|error| error.problem())?;
    let more = history.len() > limit;
    history.truncate(limit);
    let next = history.last().map(|rates| rates.at).filter(|_| more);
    let newest = if before.is_none() {
        history.first().cloned()
    } else {
        let newest = store.rates(contract, 1, None).await;
        newest.map_err(|error| error.problem())?.into_iter().next()
    };
    Ok(Json(MatchingOverview {
        rates: newest.map(RatesView::from),
        pass,
        history: history.into_iter().map(RatesView::from).collect(),
        next,
    }))
}

/// Asks for a pass over the directory now. One that waits already is that one; one that runs is followed
/// by another.
#[utoipa::path(post, path = "/matching/run", operation_id = "matching_run", responses((status = 202, body = PassView), (status = 409, body = Problem)))]
async fn run(
    State(app): State<Arc<App>>,
    caller: Caller<ConnectCrm>,
) -> Result<(http::StatusCode, Json<PassView>), Problem> {
    let contract = &caller.contract;
    app.standing(contract, ConnectionKind::PRODUCTION).await?;
    let (store, queue) = (&app.remote.store, &app.import_queue);
    let now = app.remote.clock.now();
    let pass = linking::request_link_pass(store, queue, contract, &caller.actor, now).await;
    let pass = pass.map_err(|error| error.problem())?;
    let view = app.pass_view(contract, pass).await?;
    Ok((http::StatusCode::ACCEPTED, Json(view)))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ModelQuery {
    /// A version that is kept; left out, the one in use.
    version: Option<u32>,
}

/// A version of a model that is kept.
#[derive(Serialize, ToSchema)]
struct ModelVersion {
    version: u32,
    /// The time at which the model was learned.
    #[schema(value_type = i64)]
    at: Millis,
}

/// The model by which entries of a kind are linked.
#[derive(Serialize, ToSchema)]
struct ModelView {
    kind: EntryKind,
    /// The number of the learned model; 0 is the one that comes with Leadbridge.
    version: u32,
    /// The score from which two records are taken for one, in thousandths of a bit.
    threshold: i32,
    /// The lead in score that the best candidate needs over the second, in thousandths of a bit.
    margin: i32,
    /// Versions that are kept, newest first.
    versions: Vec<ModelVersion>,
    /// The whole model: each field's levels with their weights.
    #[schema(value_type = Object)]
    model: matching::Model,
}

/// The model by which people or companies are linked: each field's learned weights.
#[utoipa::path(get, path = "/matching/models/{kind}", operation_id = "matching_model", params(("kind" = String, Path, description = "`profile` or `company`"), ModelQuery), responses((status = 200, body = ModelView), (status = 404, body = Problem)))]
async fn model(
    State(app): State<Arc<App>>,
    caller: Caller<ReadConfiguration>,
    Path(kind): Path<String>,
    Query(query): Query<ModelQuery>,
) -> Result<Json<ModelView>, Problem> {
    let kind: EntryKind = kind.parse().map_err(|_| Problem::not_found("model"))?;
    let contract = &caller.contract;
    let store = &app.remote.store;
    let model = match query.version {
        None => store.model(contract, kind).await,
        Some(0) => Ok(None),
        Some(version) => store.model_version(contract, kind, version).await,
    };
    let shipped = || matching::Model::shipped(kind.matching());
    let model = match (model.map_err(|error| error.problem())?, query.version) {
        (Some(model), _) => model,
        (None, None | Some(0)) => shipped(),
        (None, Some(_)) => return Err(Problem::not_found("model")),
    };
    let versions = store.model_versions(contract, kind).await;
    let versions = versions.map_err(|error| error.problem())?.into_iter();
    Ok(Json(ModelView {
        kind,
        version: model.version,
        threshold: model.threshold,
        margin: model.margin,
        versions: versions
            .map(|stored| ModelVersion {
                version: stored.version,
                at: stored.at,
            })
            .collect(),
        model,
    }))
}
