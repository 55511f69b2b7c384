//! The CRM connections of the two environments: the guide, permissions, settings, import, end; and a
//! seat holder's own sign-in (CN-1 to CN-11).

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::clock::Millis;
use shared::crm_setup;
use shared::domain::crm_settings::{RoiReporting, SyncSettings};
use shared::domain::environment::Environment;
use shared::domain::guide::{CrmChoice, Guide, LastProblem, Step};
use shared::domain::ids::ContractId;
use shared::domain::inventory::{AccessReport, CrmOptions};
use shared::domain::run::RunKind;
use shared::domain::sync::{Sync, SyncState};
use shared::outbound::Provider;
use shared::problem::Problem;
use shared::runs;
use shared::store::{
    Connection, ConnectionKind, ConnectionState, Disconnect, RemoteUser, StoreError, WorkKind,
};
use shared::texts::{self, Audience, SYNC_IN_PROGRESS};
use utoipa::{IntoParams, ToSchema};

use super::sync::stopped;
use crate::App;
use crate::auth::{
    AuthorizeLinkedIn, Caller, ChangeConfiguration, ConnectCrm, ConnectOwnUser, ReadConfiguration,
};
use crate::described::{Routes, routes};
use crate::extract::{Json, Path, Query};

/// Lead time of the warning before an authorisation ends, in seconds: 14 days.
pub(crate) const WARN_SECONDS: i64 = 14 * 24 * 3600;
/// The number of attempts at a change before it gives up because of concurrent ones.
const MAX_TRIES: u32 = 8;

pub(super) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(choose))
        .routes(routes!(permissions))
        .routes(routes!(check_permissions))
        .routes(routes!(options))
        .routes(routes!(get_sync_settings, set_sync_settings))
        .routes(routes!(get_roi, set_roi))
        .routes(routes!(advanced))
        .routes(routes!(finish))
        .routes(routes!(sync_now))
        .routes(routes!(disconnect))
        .routes(routes!(disconnect_linkedin))
        .routes(routes!(own, disconnect_own))
        .routes(routes!(notices))
}

/// The state of a connection, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    /// The CRM was never connected, or the connection was ended.
    NotConnected,
    /// It works, as far as the last call showed.
    Connected,
    /// A user has to sign in again.
    SignInNeeded,
    /// It is being ended.
    Disconnecting,
}

pub(crate) fn status(connection: Option<&Connection>, now: Millis) -> Status {
    match connection {
        Some(connection) if connection.state == ConnectionState::Disconnecting => {
            Status::Disconnecting
        }
        Some(connection) if connection.stands() && connection.needs_sign_in(now) => {
            Status::SignInNeeded
        }
        Some(connection) if connection.stands() => Status::Connected,
        Some(_) | None => Status::NotConnected,
    }
}

#[derive(Serialize, ToSchema)]
struct ConnectionView {
    environment: Environment,
    status: Status,
    /// The message for people: `Successfully connected, sync in progress` until the first import has ended.
    message: String,
    /// The current problem, with its next step.
    problem: Option<Problem>,
    #[schema(value_type = Option<String>)]
    provider: Option<Provider>,
    /// The CRM's id of the connected organisation.
    organization: Option<String>,
    /// The organisation's address, which identifies the instance.
    instance_url: Option<String>,
    /// The CRM user of the connection: calls are made as this user.
    user: Option<RemoteUser>,
    connected_by: Option<String>,
    #[schema(value_type = Option<i64>)]
    connected_at: Option<Millis>,
    /// No calls before this: the CRM asked for a pause.
    #[schema(value_type = Option<i64>)]
    paused_until: Option<Millis>,
    guide: GuideView,
    sync: SyncView,
    /// Objects that the connected user cannot read well enough, as of the last check.
    missing_permissions: Vec<String>,
    #[schema(value_type = Option<i64>)]
    permissions_checked_at: Option<Millis>,
    /// The last request to end the connection: the outcome for the tokens, and for the imported data.
    disconnect: Option<Disconnect>,
}

#[derive(Serialize, ToSchema)]
struct GuideView {
    /// The step to go on with.
    step: Step,
    /// 1 to 4; 5 once finished.
    step_number: u8,
    /// The CRM that was chosen.
    choice: Option<CrmChoice>,
    /// The reason for the failure of the last attempt to connect.
    last_problem: Option<LastProblem>,
}

#[derive(Serialize, ToSchema)]
struct SyncView {
    /// `null` before the first one.
    state: Option<SyncState>,
    #[schema(value_type = Option<i64>)]
    requested_at: Option<Millis>,
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
    /// The reason for waiting or failure, with the next step.
    problem: Option<Problem>,
}

impl SyncView {
    /// The import of an environment; without a connection none follows by itself.
    fn of(sync: Option<Sync>, connected: bool) -> Self {
        Self {
            state: sync.as_ref().map(|sync| sync.state),
            requested_at: sync.as_ref().map(|sync| sync.requested_at),
            started_at: sync.as_ref().and_then(|sync| sync.started_at),
            finished_at: sync.as_ref().and_then(|sync| sync.finished_at),
            last_success_at: sync.as_ref().and_then(|sync| sync.last_success_at),
            next_at: sync.as_ref().filter(|_| connected).and_then(Sync::next_at),
            problem: sync.and_then(|sync| sync.problem),
        }
    }
}

#[derive(Serialize, ToSchema)]
struct ConnectionList {
    items: Vec<ConnectionView>,
}

impl App {
    /// Asks for the run that brings the flags of outdated records in the CRM after a change, if they are kept
    /// there.
    pub(super) async fn ask_for_flags(
        &self,
        contract: &ContractId,
        settings: &SyncSettings,
        by: &str,
    ) -> Result<(), Problem> {
        if !settings.validate_crm_data {
            return Ok(());
        }
        let (store, queue) = (&self.remote.store, &self.import_queue);
        let now = self.remote.clock.now();
        // Workers keep the settings before for a few seconds.
        let asked = runs::request(store, queue, contract, RunKind::Flags, by, now, 10).await;
        asked.map_err(|error| error.problem())
    }

    pub(super) async fn connection(
        &self,
        contract: &ContractId,
        kind: ConnectionKind,
    ) -> Result<Option<Connection>, Problem> {
        let found = self.remote.store.connection(contract, kind).await;
        found.map_err(|error| error.problem())
    }

    /// The connection, if it stands.
    pub(super) async fn standing(
        &self,
        contract: &ContractId,
        kind: ConnectionKind,
    ) -> Result<Connection, Problem> {
        let found = self.connection(contract, kind).await?;
        let found = found.filter(Connection::stands);
        found.ok_or_else(|| texts::not_connected("The CRM", Audience::Setup))
    }

    async fn view(
        &self,
        contract: &ContractId,
        environment: Environment,
    ) -> Result<ConnectionView, Problem> {
        let store = &self.remote.store;
        let now = self.remote.clock.now();
        let kind = ConnectionKind::Crm(environment);
        let connection = self.connection(contract, kind).await?;
        let guide = store.guide(contract, environment).await;
        let guide = guide.map_err(|error| error.problem())?;
        let sync = store.sync(contract, environment).await;
        let sync = sync.map_err(|error| error.problem())?;
        let report = store.access_report(contract, environment).await;
        let report = report.map_err(|error| error.problem())?;
        let status = status(connection.as_ref(), now);
        let problem = problem(status, connection.as_ref(), &guide, sync.as_ref());
        let stopper = match &sync {
            Some(sync) => self.stopper(contract, sync).await?,
            None => None,
        };
        let standing = connection.as_ref().filter(|found| found.stands());
        Ok(ConnectionView {
            environment,
            status,
            message: message(status, problem.as_ref(), sync.as_ref(), stopper.as_deref()),
            problem,
            provider: standing.map(|found| found.provider),
            organization: standing.map(|found| found.organization.clone()),
            instance_url: standing.map(|found| found.base_url.to_string()),
            user: standing.and_then(|found| found.user.clone()),
            connected_by: standing.map(|found| found.connected_by.clone()),
            connected_at: standing.map(|found| found.connected_at),
            paused_until: standing
                .and_then(|found| found.not_before)
                .filter(|until| *until > now),
            guide: GuideView {
                step: guide.step,
                step_number: guide.step.number(),
                choice: guide.choice,
                last_problem: guide.last_problem,
            },
            sync: SyncView::of(sync, standing.is_some()),
            missing_permissions: report.as_ref().map_or_else(Vec::new, |report| {
                let incomplete = report.objects.iter().filter(|object| !object.is_complete());
                incomplete.map(|object| object.label.clone()).collect()
            }),
            permissions_checked_at: report.map(|report| report.checked_at),
            disconnect: connection.and_then(|found| found.disconnect),
        })
    }

    /// The CRM's options: as kept, or from the CRM where they were never read or are asked for.
    async fn options(
        &self,
        contract: &ContractId,
        environment: Environment,
        refresh: bool,
    ) -> Result<CrmOptions, Problem> {
        let kind = ConnectionKind::Crm(environment);
        self.standing(contract, kind).await?;
        let kept = self.remote.store.crm_options(contract, environment).await;
        let kept = kept.map_err(|error| error.problem())?;
        match kept {
            Some(options) if !refresh => Ok(options),
            _ => crm_setup::refresh_options(&self.remote, contract, environment)
                .await
                .map_err(crm_setup::SetupError::problem),
        }
    }

    /// Runs `check` against the options as kept; a choice that they do not have may be new in the
    /// CRM, so the CRM is asked before it is refused.
    async fn change_with_options(
        &self,
        caller: &Caller<ChangeConfiguration>,
        environment: Environment,
        needs_options: bool,
        change: impl Fn(
            &mut shared::domain::contract::ContractConfig,
            Option<&CrmOptions>,
        ) -> Result<shared::domain::contract::Effect, Problem>,
    ) -> Result<shared::domain::contract::ContractConfig, Problem> {
        let contract = &caller.contract;
        if !needs_options {
            return self
                .change(contract, &caller.actor, |config| change(config, None))
                .await;
        }
        let kept = self.options(contract, environment, false).await?;
        let first = self
            .change(contract, &caller.actor, |config| {
                change(config, Some(&kept))
            })
            .await;
        match first {
            Err(problem) if problem.status == 422 => {
                let fresh = self.options(contract, environment, true).await?;
                self.change(contract, &caller.actor, |config| {
                    change(config, Some(&fresh))
                })
                .await
            }
            other => other,
        }
    }

    /// Refuses with `crm_connected` if one of these environments is connected.
    async fn refuse_connected(
        &self,
        contract: &ContractId,
        environments: &[Environment],
    ) -> Result<(), Problem> {
        for environment in environments {
            let kind = ConnectionKind::Crm(*environment);
            let found = self.connection(contract, kind).await?;
            if let Some(found) = found.filter(|found| found.state != ConnectionState::Disconnected)
            {
                return Err(Problem::new(
                    409,
                    "crm_connected",
                    format!(
                        "{} is connected as {environment}; a contract uses one CRM.",
                        found.provider.label()
                    ),
                    "Disconnect it first, then choose another CRM.",
                )
                .with_field("crm"));
            }
        }
        Ok(())
    }

    async fn step_done(
        &self,
        contract: &ContractId,
        environment: Environment,
        step: Step,
    ) -> Result<Guide, Problem> {
        let now = self.remote.clock.now();
        let changed = self
            .remote
            .store
            .change_guide(contract, environment, now, |guide| guide.done(step))
            .await;
        changed.map_err(|error| error.problem())
    }

    /// Asks for an import of a connection that can be used.
    pub(super) async fn request_sync(
        &self,
        contract: &ContractId,
        environment: Environment,
        actor: &str,
    ) -> Result<(), Problem> {
        let kind = ConnectionKind::Crm(environment);
        let connection = self.standing(contract, kind).await?;
        if connection.needs_sign_in(self.remote.clock.now()) {
            let label = connection.provider.label();
            let reason = connection.reason();
            return Err(texts::sign_in_needed(label, reason, Audience::Setup));
        }
        let (remote, queue) = (&self.remote, &self.import_queue);
        crm_setup::request_sync(remote, queue, contract, environment, actor)
            .await
            .map_err(|error| error.problem())?;
        Ok(())
    }

    /// Asks for the end of a connection, if there is one to end.
    pub(crate) async fn end_if_any(
        &self,
        contract: &ContractId,
        actor: &str,
        kind: ConnectionKind,
    ) -> Result<(), Problem> {
        let found = self.connection(contract, kind).await?;
        if found.is_some_and(|found| found.state != ConnectionState::Disconnected) {
            self.end(contract, actor, kind, false).await?;
        }
        Ok(())
    }

    /// Asks for the end of a connection; asked for again, it is the same end.
    async fn end(
        &self,
        contract: &ContractId,
        actor: &str,
        kind: ConnectionKind,
        clean_up: bool,
    ) -> Result<Disconnect, Problem> {
        for _ in 0..MAX_TRIES {
            let before = self.connection(contract, kind).await?;
            let before = before
                .filter(|found| found.state != ConnectionState::Disconnected)
                .ok_or_else(|| {
                    let label = match kind {
                        ConnectionKind::LinkedIn => "LinkedIn",
                        ConnectionKind::Crm(_) | ConnectionKind::User(..) => "The CRM",
                    };
                    texts::not_connected(label, Audience::Setup)
                })?;
            if before.state == ConnectionState::Disconnecting {
                crm_setup::announce(&self.import_queue, contract, WorkKind::Disconnect(kind)).await;
                return before.disconnect.ok_or_else(Problem::internal);
            }
            match crm_setup::begin_disconnect(&self.remote, &before, actor, clean_up).await {
                Ok(after) => {
                    self.remote.sessions.forget(contract, kind).await;
                    crm_setup::announce(&self.import_queue, contract, WorkKind::Disconnect(kind))
                        .await;
                    return after.disconnect.ok_or_else(Problem::internal);
                }
                Err(StoreError::Conflict) => {
                    // A refresh that is under way ends within seconds.
                    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
                }
                Err(error) => return Err(error.problem()),
            }
        }
        Err(StoreError::Conflict.problem())
    }
}

fn problem(
    status: Status,
    connection: Option<&Connection>,
    guide: &Guide,
    sync: Option<&Sync>,
) -> Option<Problem> {
    let label = connection.map_or("The CRM", |found| found.provider.label());
    match status {
        Status::SignInNeeded => {
            let reason = connection.map(Connection::reason).unwrap_or_default();
            Some(texts::sign_in_needed(label, reason, Audience::Setup))
        }
        Status::Disconnecting => None,
        Status::NotConnected | Status::Connected => guide
            .last_problem
            .as_ref()
            .map(|last| last.problem.clone())
            .or_else(|| {
                sync.filter(|_| status == Status::Connected)
                    .and_then(|sync| sync.problem.clone())
            }),
    }
}

fn message(
    status: Status,
    problem: Option<&Problem>,
    sync: Option<&Sync>,
    stopper: Option<&str>,
) -> String {
    if let Some(problem) = problem {
        return problem.detail.clone();
    }
    match status {
        Status::Disconnecting => "Disconnecting.".to_owned(),
        Status::NotConnected => "Not connected.".to_owned(),
        Status::SignInNeeded | Status::Connected => {
            if let Some(sync) = sync.filter(|sync| sync.state == SyncState::Cancelled) {
                return stopped(stopper, sync.next_at());
            }
            let first = sync.is_none_or(|sync| sync.last_success_at.is_none());
            if first || sync.is_some_and(Sync::is_open) {
                SYNC_IN_PROGRESS.to_owned()
            } else {
                "Connected.".to_owned()
            }
        }
    }
}

pub(super) fn environment(text: &str) -> Result<Environment, Problem> {
    text.parse().map_err(|_| Problem::not_found("environment"))
}

/// Both environments' connections.
#[utoipa::path(get, path = "/crm-connections", responses((status = 200, body = ConnectionList)))]
async fn list(
    State(app): State<Arc<App>>,
    caller: Caller<ReadConfiguration>,
) -> Result<Json<ConnectionList>, Problem> {
    let mut items = Vec::new();
    for environment in Environment::ALL {
        items.push(app.view(&caller.contract, environment).await?);
    }
    Ok(Json(ConnectionList { items }))
}

/// An environment's connection: state, guide, import, permissions.
#[utoipa::path(get, path = "/crm-connections/{environment}", params(("environment" = String, Path, description = "`production` or `sandbox`")), responses((status = 200, body = ConnectionView), (status = 404, body = Problem)))]
async fn show(
    State(app): State<Arc<App>>,
    caller: Caller<ReadConfiguration>,
    Path(name): Path<String>,
) -> Result<Json<ConnectionView>, Problem> {
    let environment = environment(&name)?;
    Ok(Json(app.view(&caller.contract, environment).await?))
}

/// Step 1: chooses the CRM. Another one than the contract uses can be chosen while neither
/// environment is connected: mappings and strategies then go over to its lead fields where those
/// have a usual counterpart. A different CRM is recorded while the environment is not connected; it
/// cannot be connected yet.
#[utoipa::path(put, path = "/crm-connections/{environment}/crm", params(("environment" = String, Path)), request_body = CrmChoice, responses((status = 200, body = ConnectionView), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn choose(
    State(app): State<Arc<App>>,
    caller: Caller<ConnectCrm>,
    Path(name): Path<String>,
    Json(choice): Json<CrmChoice>,
) -> Result<Json<ConnectionView>, Problem> {
    let environment = environment(&name)?;
    let contract = &caller.contract;
    let choice = choice.checked()?;
    let now = app.remote.clock.now();
    let config = app.config(contract).await?;
    let other = choice.kind().filter(|kind| *kind != config.contract.crm);
    // While an environment is connected, only its CRM can be chosen; a contract uses one CRM.
    let connected: &[Environment] = match (other, &choice) {
        (Some(_), _) => &Environment::ALL,
        (None, CrmChoice::Other { .. }) => &[environment],
        (None, _) => &[],
    };
    app.refuse_connected(contract, connected).await?;
    if let Some(kind) = other {
        let changed = app
            .change(contract, &caller.actor, |config| {
                config.choose_crm(kind, now)
            })
            .await;
        if let Err(problem) = changed {
            // Another process connected it in the meantime.
            app.refuse_connected(contract, connected).await?;
            return Err(problem);
        }
    }
    let before = app.remote.store.guide(contract, environment).await;
    let before = before.map_err(|error| error.problem())?.choice;
    if before.as_ref() != Some(&choice) {
        let audit = app.audit(
            &caller.actor,
            "crm.choice",
            environment.to_string(),
            json!(before),
            json!(choice),
        );
        app.remote
            .store
            .put_audit(contract, &audit, app.remote.random.uuid())
            .await
            .map_err(|error| error.problem())?;
    }
    app.remote
        .store
        .change_guide(contract, environment, now, |guide| {
            guide.choice = Some(choice.clone());
        })
        .await
        .map_err(|error| error.problem())?;
    Ok(Json(app.view(contract, environment).await?))
}

/// The connected user's read and write access at the last check, object by object.
#[utoipa::path(get, path = "/crm-connections/{environment}/permissions", params(("environment" = String, Path)), responses((status = 200, body = AccessReport), (status = 404, body = Problem)))]
async fn permissions(
    State(app): State<Arc<App>>,
    caller: Caller<ReadConfiguration>,
    Path(name): Path<String>,
) -> Result<Json<AccessReport>, Problem> {
    let environment = environment(&name)?;
    let report = app
        .remote
        .store
        .access_report(&caller.contract, environment)
        .await
        .map_err(|error| error.problem())?;
    report.map(Json).ok_or_else(|| {
        Problem::new(
            404,
            "not_checked",
            "The permissions were not checked yet.",
            "Connect the CRM, or check them now.",
        )
    })
}

/// Checks the permissions now. Once every required object can be read, the first import starts.
#[utoipa::path(post, path = "/crm-connections/{environment}/permissions/check", params(("environment" = String, Path)), responses((status = 200, body = AccessReport), (status = 409, body = Problem), (status = 502, body = Problem), (status = 503, body = Problem)))]
async fn check_permissions(
    State(app): State<Arc<App>>,
    caller: Caller<ConnectCrm>,
    Path(name): Path<String>,
) -> Result<Json<AccessReport>, Problem> {
    let environment = environment(&name)?;
    let contract = &caller.contract;
    let report = crm_setup::check_access(&app.remote, contract, environment)
        .await
        .map_err(crm_setup::SetupError::problem)?;
    let sync = app.remote.store.sync(contract, environment).await;
    let sync = sync.map_err(|error| error.problem())?;
    // An import that a person stopped stays stopped.
    let never = sync.is_none_or(|sync| {
        sync.state != SyncState::Cancelled
            && (sync.last_success_at.is_none() || sync.problem.is_some())
    });
    if report.is_sufficient() && never {
        let (remote, queue) = (&app.remote, &app.import_queue);
        crm_setup::request_sync(remote, queue, contract, environment, &caller.actor)
            .await
            .map_err(|error| error.problem())?;
    }
    Ok(Json(report))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct OptionsQuery {
    /// Asks the CRM now, in place of returning the last answer.
    #[serde(default)]
    refresh: bool,
}

/// The CRM's choices for the settings: stages, value fields, lead sources, currencies.
#[utoipa::path(get, path = "/crm-connections/{environment}/options", params(("environment" = String, Path), OptionsQuery), responses((status = 200, body = CrmOptions), (status = 409, body = Problem)))]
async fn options(
    State(app): State<Arc<App>>,
    caller: Caller<ReadConfiguration>,
    Path(name): Path<String>,
    Query(query): Query<OptionsQuery>,
) -> Result<Json<CrmOptions>, Problem> {
    let environment = environment(&name)?;
    let options = app
        .options(&caller.contract, environment, query.refresh)
        .await?;
    Ok(Json(options))
}

/// Step 2: the sync settings (CN-9).
#[utoipa::path(get, path = "/crm-connections/{environment}/sync-settings", params(("environment" = String, Path)), responses((status = 200, body = SyncSettings)))]
async fn get_sync_settings(
    State(app): State<Arc<App>>,
    caller: Caller<ReadConfiguration>,
    Path(name): Path<String>,
) -> Result<Json<SyncSettings>, Problem> {
    let config = app.config(&caller.contract).await?;
    let settings = config.crm_settings(environment(&name)?);
    Ok(Json(settings.sync.unwrap_or_default()))
}

/// Saves the sync settings. The stage and the lead source have to be the CRM's own.
#[utoipa::path(put, path = "/crm-connections/{environment}/sync-settings", params(("environment" = String, Path)), request_body = SyncSettings, responses((status = 200, body = SyncSettings), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn set_sync_settings(
    State(app): State<Arc<App>>,
    caller: Caller<ChangeConfiguration>,
    Path(name): Path<String>,
    Json(settings): Json<SyncSettings>,
) -> Result<Json<SyncSettings>, Problem> {
    let environment = environment(&name)?;
    let needs_options = settings.pipeline_stage.is_some() || settings.lead_source.is_some();
    let config = app
        .change_with_options(&caller, environment, needs_options, |config, options| {
            config.set_sync_settings(environment, settings.clone(), options)
        })
        .await?;
    app.step_done(&caller.contract, environment, Step::SyncSettings)
        .await?;
    let settings = config.crm_settings(environment).sync.unwrap_or_default();
    if environment == Environment::Production {
        let (contract, by) = (&caller.contract, &caller.actor);
        app.ask_for_flags(contract, &settings, by).await?;
    }
    Ok(Json(settings))
}

/// Step 3: ROI reporting (CN-10).
#[utoipa::path(get, path = "/crm-connections/{environment}/roi-reporting", params(("environment" = String, Path)), responses((status = 200, body = RoiReporting)))]
async fn get_roi(
    State(app): State<Arc<App>>,
    caller: Caller<ReadConfiguration>,
    Path(name): Path<String>,
) -> Result<Json<RoiReporting>, Problem> {
    let config = app.config(&caller.contract).await?;
    let settings = config.crm_settings(environment(&name)?);
    Ok(Json(settings.roi.unwrap_or_default()))
}

/// Saves ROI reporting. The value's field and the currency have to be the CRM's own.
#[utoipa::path(put, path = "/crm-connections/{environment}/roi-reporting", params(("environment" = String, Path)), request_body = RoiReporting, responses((status = 200, body = RoiReporting), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn set_roi(
    State(app): State<Arc<App>>,
    caller: Caller<ChangeConfiguration>,
    Path(name): Path<String>,
    Json(roi): Json<RoiReporting>,
) -> Result<Json<RoiReporting>, Problem> {
    let environment = environment(&name)?;
    let needs_options = roi.won_value_field.is_some() || roi.currency.is_some();
    let config = app
        .change_with_options(&caller, environment, needs_options, |config, options| {
            config.set_roi_reporting(environment, roi.clone(), options)
        })
        .await?;
    app.step_done(&caller.contract, environment, Step::RoiReporting)
        .await?;
    let settings = config.crm_settings(environment).roi.unwrap_or_default();
    if environment == Environment::Production && settings.enabled {
        let (store, queue) = (&app.remote.store, &app.import_queue);
        let (now, contract) = (app.remote.clock.now(), &caller.contract);
        // Workers keep the settings before for a few seconds.
        let asked =
            runs::request(store, queue, contract, RunKind::Roi, &caller.actor, now, 10).await;
        asked.map_err(|error| error.problem())?;
    }
    Ok(Json(settings))
}

#[derive(Serialize, ToSchema)]
struct AdvancedFeatures {
    items: Vec<AdvancedFeature>,
}

#[derive(Serialize, ToSchema)]
struct AdvancedFeature {
    name: &'static str,
    /// The feature's benefit.
    description: &'static str,
    /// True if the feature works in this organisation; `null` where that is not known yet.
    enabled: Option<bool>,
    /// The instructions for turning it on.
    next_step: Option<String>,
}

/// Step 4: features that need something in the CRM or another setting.
#[utoipa::path(get, path = "/crm-connections/{environment}/advanced-features", params(("environment" = String, Path)), responses((status = 200, body = AdvancedFeatures)))]
async fn advanced(
    State(app): State<Arc<App>>,
    caller: Caller<ReadConfiguration>,
    Path(name): Path<String>,
) -> Result<Json<AdvancedFeatures>, Problem> {
    let environment = environment(&name)?;
    let config = app.config(&caller.contract).await?;
    let sync = config.crm_settings(environment).sync.unwrap_or_default();
    // Leads are written to production, so its lead fields are the ones that are read.
    let identity = if environment == Environment::Production {
        let schema = app.remote.store.lead_schema(&caller.contract).await;
        let schema = schema.map_err(|error| error.problem())?;
        schema.map(|schema| schema.has_identity)
    } else {
        None
    };
    let mut items = vec![AdvancedFeature {
        name: "data_validation",
        description: "Flags leads and contacts whose company is out of date, in the CRM too where it has the package's field.",
        enabled: Some(sync.validate_crm_data),
        next_step: (!sync.validate_crm_data)
            .then(|| "Turn on validate_crm_data in the sync settings.".to_owned()),
    }];
    if config.contract.crm == shared::domain::schema::CrmKind::Salesforce {
        items.insert(0, AdvancedFeature {
            name: "exactly_once_fields",
            description: "Fields in Salesforce that keep a lead from being created twice, whatever fails in between.",
            enabled: identity,
            next_step: (identity != Some(true)).then(|| {
                "Install the package in the folder salesforce/ and give the connected user access to its fields; then refresh the lead fields.".to_owned()
            }),
        });
    }
    Ok(Json(AdvancedFeatures { items }))
}

/// Step 4 is done: the guide is finished.
#[utoipa::path(post, path = "/crm-connections/{environment}/guide/finish", params(("environment" = String, Path)), responses((status = 200, body = ConnectionView), (status = 409, body = Problem)))]
async fn finish(
    State(app): State<Arc<App>>,
    caller: Caller<ChangeConfiguration>,
    Path(name): Path<String>,
) -> Result<Json<ConnectionView>, Problem> {
    let environment = environment(&name)?;
    let guide = app
        .step_done(&caller.contract, environment, Step::AdvancedFeatures)
        .await?;
    if guide.step != Step::Finished {
        return Err(Problem::new(
            409,
            "guide_not_there_yet",
            format!("The guide is at step {}.", guide.step.number()),
            "Do the steps before this one first.",
        ));
    }
    Ok(Json(app.view(&caller.contract, environment).await?))
}

/// Starts an import now. One that waits or runs already is that one.
#[utoipa::path(post, path = "/crm-connections/{environment}/sync", params(("environment" = String, Path)), responses((status = 202, body = ConnectionView), (status = 409, body = Problem)))]
async fn sync_now(
    State(app): State<Arc<App>>,
    caller: Caller<ConnectCrm>,
    Path(name): Path<String>,
) -> Result<(http::StatusCode, Json<ConnectionView>), Problem> {
    let environment = environment(&name)?;
    let contract = &caller.contract;
    app.request_sync(contract, environment, &caller.actor)
        .await?;
    let view = app.view(contract, environment).await?;
    Ok((http::StatusCode::ACCEPTED, Json(view)))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DisconnectInput {
    /// Clean up all previously imported CRM data. Without, it stays for a later connection.
    clean_up: bool,
}

/// Disconnects the CRM: the provider revokes the tokens, seat holders' sign-ins end, and with
/// `clean_up` everything imported is deleted, with a count before and after.
#[utoipa::path(post, path = "/crm-connections/{environment}/disconnect", params(("environment" = String, Path)), request_body = DisconnectInput, responses((status = 202, body = Disconnect), (status = 409, body = Problem)))]
async fn disconnect(
    State(app): State<Arc<App>>,
    caller: Caller<ConnectCrm>,
    Path(name): Path<String>,
    Json(input): Json<DisconnectInput>,
) -> Result<(http::StatusCode, Json<Disconnect>), Problem> {
    let kind = ConnectionKind::Crm(environment(&name)?);
    let end = app
        .end(&caller.contract, &caller.actor, kind, input.clean_up)
        .await?;
    Ok((http::StatusCode::ACCEPTED, Json(end)))
}

/// Ends the authorisation of LinkedIn lead sync.
#[utoipa::path(post, path = "/linkedin/disconnect", responses((status = 202, body = Disconnect), (status = 409, body = Problem)))]
async fn disconnect_linkedin(
    State(app): State<Arc<App>>,
    caller: Caller<AuthorizeLinkedIn>,
) -> Result<(http::StatusCode, Json<Disconnect>), Problem> {
    let kind = ConnectionKind::LinkedIn;
    let end = app
        .end(&caller.contract, &caller.actor, kind, false)
        .await?;
    Ok((http::StatusCode::ACCEPTED, Json(end)))
}

#[derive(Serialize, ToSchema)]
struct OwnConnection {
    environment: Environment,
    /// `sign_in_needed` after 90 days, or when the CRM no longer accepts the sign-in.
    status: Status,
    /// The current problem, with its next step.
    problem: Option<Problem>,
    #[schema(value_type = Option<String>)]
    provider: Option<Provider>,
    /// The address of the instance that you are signed in to.
    instance_url: Option<String>,
    /// The CRM's id of that organisation.
    organization: Option<String>,
    /// The CRM user that you are signed in as.
    user: Option<RemoteUser>,
    #[schema(value_type = Option<i64>)]
    connected_at: Option<Millis>,
    /// The time from which you have to sign in again.
    #[schema(value_type = Option<i64>)]
    valid_until: Option<Millis>,
    /// The instance that the contract has connected: the only one you can sign in to.
    expected_instance_url: Option<String>,
    /// The number of your activities that wait for this sign-in, counted up to 1,000. None waits while it is
    /// good.
    waiting_activities: u64,
}

/// Your own sign-in to the CRM (CN-11): its instance, its user, and its end.
#[utoipa::path(get, path = "/me/crm-connections/{environment}", params(("environment" = String, Path)), responses((status = 200, body = OwnConnection), (status = 403, body = Problem)))]
async fn own(
    State(app): State<Arc<App>>,
    caller: Caller<ConnectOwnUser>,
    Path(name): Path<String>,
) -> Result<Json<OwnConnection>, Problem> {
    let environment = environment(&name)?;
    let contract = &caller.contract;
    let seat = caller.signed_in()?.seat.id;
    let connected = app
        .connection(contract, ConnectionKind::Crm(environment))
        .await?
        .filter(Connection::stands);
    let own = app
        .connection(contract, ConnectionKind::User(seat, environment))
        .await?;
    let now = app.remote.clock.now();
    let status = status(own.as_ref(), now);
    let kind = ConnectionKind::User(seat, environment);
    let awaited = app.awaiting_sign_in(contract, kind, own.as_ref(), now);
    let awaited = awaited.await?;
    let own = own.filter(Connection::stands);
    let label = connected
        .as_ref()
        .map_or("The CRM", |found| found.provider.label());
    let problem = match status {
        Status::SignInNeeded => {
            let reason = own.as_ref().map(Connection::reason).unwrap_or_default();
            Some(awaited.problem(label, Some(reason)))
        }
        Status::NotConnected if connected.is_none() => {
            Some(texts::not_connected("The CRM", Audience::Setup))
        }
        Status::NotConnected if awaited.count > 0 => Some(awaited.problem(label, None)),
        _ => None,
    };
    Ok(Json(OwnConnection {
        environment,
        status,
        problem,
        provider: own.as_ref().map(|own| own.provider),
        instance_url: own.as_ref().map(|own| own.base_url.to_string()),
        organization: own.as_ref().map(|own| own.organization.clone()),
        user: own.as_ref().and_then(|own| own.user.clone()),
        connected_at: own.as_ref().map(|own| own.connected_at),
        valid_until: own.and_then(|own| own.valid_until),
        expected_instance_url: connected.map(|found| found.base_url.to_string()),
        waiting_activities: awaited.count,
    }))
}

/// Ends your own sign-in to the CRM.
#[utoipa::path(delete, path = "/me/crm-connections/{environment}", params(("environment" = String, Path)), responses((status = 202, body = Disconnect), (status = 409, body = Problem)))]
async fn disconnect_own(
    State(app): State<Arc<App>>,
    caller: Caller<ConnectOwnUser>,
    Path(name): Path<String>,
) -> Result<(http::StatusCode, Json<Disconnect>), Problem> {
    let seat = caller.signed_in()?.seat.id;
    let kind = ConnectionKind::User(seat, environment(&name)?);
    let end = app
        .end(&caller.contract, &caller.actor, kind, false)
        .await?;
    Ok((http::StatusCode::ACCEPTED, Json(end)))
}

#[derive(Serialize, ToSchema)]
struct Notice {
    /// The subject of the notice: `crm`, `crm-sandbox`, `linkedin`, `user.…`.
    about: String,
    /// The severity: nothing is lost yet, or something waits already.
    severity: Severity,
    /// The deadline for acting on it.
    #[schema(value_type = Option<i64>)]
    by: Option<Millis>,
    problem: Problem,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Severity {
    Warning,
    Error,
}

#[derive(Serialize, ToSchema)]
struct NoticeList {
    items: Vec<Notice>,
}

/// The warning that an authorisation ends soon; none unless the end is within `WARN_SECONDS`.
pub(crate) fn ending(connection: &Connection, now: Millis) -> Option<Problem> {
    let end = connection.valid_until?;
    let label = connection.provider.label();
    (end <= now.plus_seconds(WARN_SECONDS) && end > now).then(|| {
        Problem::new(
            409,
            "authorization_ends_soon",
            format!("The authorisation of {label} ends at {end}."),
            format!(
                "Authorise {label} again before that: what arrives later waits until somebody does."
            ),
        )
    })
}

/// The notices that need attention: connections that need a sign-in, activities that wait for yours, missing
/// permissions, and authorisations that end within 14 days.
#[utoipa::path(get, path = "/notices", responses((status = 200, body = NoticeList)))]
async fn notices(
    State(app): State<Arc<App>>,
    caller: Caller<ConnectOwnUser>,
) -> Result<Json<NoticeList>, Problem> {
    let contract = &caller.contract;
    let now = app.remote.clock.now();
    let mut items = Vec::new();
    let mut kinds = vec![ConnectionKind::LinkedIn];
    if caller
        .role
        .may(shared::domain::role::Permission::ConnectCrm)
    {
        kinds.extend(Environment::ALL.map(ConnectionKind::Crm));
    }
    if let Ok(signed_in) = caller.signed_in() {
        kinds.extend(Environment::ALL.map(|e| ConnectionKind::User(signed_in.seat.id, e)));
    }
    for kind in kinds {
        let found = app.connection(contract, kind).await?;
        let status = status(found.as_ref(), now);
        let awaited = app.awaiting_sign_in(contract, kind, found.as_ref(), now);
        let awaited = awaited.await?;
        let mut notice = |severity, by, problem| {
            items.push(Notice {
                about: kind.to_string(),
                severity,
                by,
                problem,
            });
        };
        if status == Status::NotConnected && awaited.count > 0 {
            let label = app.config(contract).await?.contract.crm.label();
            notice(Severity::Error, None, awaited.problem(label, None));
        }
        let Some(connection) = found else {
            continue;
        };
        let label = connection.provider.label();
        if status == Status::SignInNeeded {
            let problem = match kind {
                ConnectionKind::User(..) => awaited.problem(label, Some(connection.reason())),
                _ => texts::sign_in_needed(label, connection.reason(), Audience::Setup),
            };
            notice(Severity::Error, None, problem);
        } else if connection.stands()
            && let Some(problem) = ending(&connection, now)
        {
            notice(Severity::Warning, connection.valid_until, problem);
        }
        if let (ConnectionKind::Crm(environment), true) = (kind, connection.stands()) {
            let report = app.remote.store.access_report(contract, environment).await;
            let report = report.map_err(|error| error.problem())?;
            if let Some(report) = report.filter(|report| !report.is_sufficient()) {
                let missing = report.unreadable_required();
                let problem = texts::unreadable_objects(&missing);
                notice(Severity::Error, None, problem);
            } else {
                let sync = app.remote.store.sync(contract, environment).await;
                let sync = sync.map_err(|error| error.problem())?;
                if let Some(problem) = sync
                    .filter(|sync| sync.state == SyncState::Failed)
                    .and_then(|sync| sync.problem)
                {
                    notice(Severity::Error, None, problem);
                }
            }
        }
    }
    Ok(Json(NoticeList { items }))
}
