//! A seat holder's own settings (WB-6), and the activities that wait for their sign-in to the CRM (WB-9).

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::clock::Millis;
use shared::domain::activity::ActivityKind;
use shared::domain::contract::ContractConfig;
use shared::domain::ids::{ContractId, SeatId};
use shared::domain::log_choice::{LogChoices, LogDecider, LogDecision, LogToCrm};
use shared::domain::schema::CrmKind;
use shared::domain::seat::SeatCrm;
use shared::problem::Problem;
use shared::store::{Connection, ConnectionKind, SignInReason, StoreError};
use shared::texts;
use utoipa::ToSchema;

use super::crm::{Status, status};
use super::directory::ENVIRONMENT;
use crate::App;
use crate::auth::{Caller, LogActivities};
use crate::described::{Routes, routes};
use crate::extract::Json;

/// The number of attempts at a change before it gives up because of concurrent ones.
const MAX_TRIES: u32 = 8;
/// Activities waiting for a sign-in that are counted.
const MAX_COUNTED: i32 = 1000;

pub(super) fn routes() -> Routes {
    Routes::new().routes(routes!(show, change))
}

/// A signed-in user's own settings.
#[derive(Serialize, ToSchema)]
struct OwnSettings {
    /// Your choices to log activities to the CRM, for each kind. `default` follows the administrator.
    log_to_crm: LogChoices,
    /// The consequence for each kind, for an activity that says neither yes nor no itself.
    kinds: Vec<KindLogging>,
}

#[derive(Serialize, ToSchema)]
struct KindLogging {
    kind: ActivityKind,
    /// The administrator has switched on logging of the kind, and the sync of your seat. Nothing is logged of a
    /// kind that is off.
    switched_on: bool,
    /// Activities of the kind are logged to the CRM.
    logged: bool,
    /// The level that decides it.
    decided_by: LogDecider,
}

impl OwnSettings {
    fn new(
        log_to_crm: LogChoices,
        crm: &SeatCrm,
        config: &ContractConfig,
    ) -> Result<Self, Problem> {
        let sync = config.crm_settings(ENVIRONMENT).sync.unwrap_or_default();
        let synced = crm.syncs(&sync);
        let of = |kind: ActivityKind| {
            let decided =
                LogToCrm::Default.decide(LogToCrm::Default, log_to_crm.of(kind), kind, &sync)?;
            let LogDecision { logged, by } = decided;
            Ok(KindLogging {
                kind,
                switched_on: synced && kind.is_logged(&sync),
                logged: synced && logged,
                decided_by: if synced {
                    by
                } else {
                    LogDecider::Administrator
                },
            })
        };
        let kinds = ActivityKind::ALL.into_iter().map(of);
        Ok(Self {
            log_to_crm,
            kinds: kinds.collect::<Result<_, Problem>>()?,
        })
    }
}

/// A change of your settings. What it does not name stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SettingsChange {
    /// Choices to log activities to the CRM, by kind of activity.
    #[serde(default)]
    log_to_crm: HashMap<ActivityKind, LogToCrm>,
}

/// Your own settings: what is logged to the CRM of what you do, for each kind of activity.
#[utoipa::path(get, path = "/me/settings", operation_id = "own_settings_show", responses((status = 200, body = OwnSettings), (status = 403, body = Problem)))]
async fn show(
    State(app): State<Arc<App>>,
    caller: Caller<LogActivities>,
) -> Result<Json<OwnSettings>, Problem> {
    let seat = &caller.signed_in()?.seat;
    let config = app.config(&caller.contract).await?;
    Ok(Json(OwnSettings::new(seat.log_to_crm, &seat.crm, &config)?))
}

/// Changes your own settings. Counts for what you log from then on.
#[utoipa::path(patch, path = "/me/settings", operation_id = "own_settings_change", request_body = SettingsChange, responses((status = 200, body = OwnSettings), (status = 403, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn change(
    State(app): State<Arc<App>>,
    caller: Caller<LogActivities>,
    Json(change): Json<SettingsChange>,
) -> Result<Json<OwnSettings>, Problem> {
    let id = caller.signed_in()?.seat.id;
    let contract = &caller.contract;
    let config = app.config(contract).await?;
    let store = &app.remote.store;
    for _ in 0..MAX_TRIES {
        let seat = store.seat(contract, id).await;
        let seat = seat
            .map_err(|error| error.problem())?
            .ok_or_else(|| Problem::not_found("seat"))?;
        let before = seat.log_to_crm;
        let mut after = before;
        for (kind, choice) in &change.log_to_crm {
            after.set(*kind, *choice);
        }
        if after == before {
            return Ok(Json(OwnSettings::new(after, &seat.crm, &config)?));
        }
        let audit = app.audit(
            &caller.actor,
            "seat.log_to_crm",
            id.to_string(),
            json!(before),
            json!(after),
        );
        let unique = app.remote.random.uuid();
        let stored = store.choose_logging(contract, &seat, &after, &audit, unique);
        match stored.await {
            Ok(()) => return Ok(Json(OwnSettings::new(after, &seat.crm, &config)?)),
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.problem()),
        }
    }
    Err(StoreError::Conflict.problem())
}

/// Activities of a seat holder that wait for their sign-in to the CRM.
pub(super) struct Awaited {
    /// Their number, as far as it is counted.
    pub(super) count: u64,
    /// There are at least that many.
    more: bool,
}

impl App {
    /// The activities that wait for a seat holder's sign-in to production; none while that is good, as they
    /// are on their way then.
    pub(super) async fn awaiting_sign_in(
        &self,
        contract: &ContractId,
        kind: ConnectionKind,
        own: Option<&Connection>,
        now: Millis,
    ) -> Result<Awaited, Problem> {
        let (ConnectionKind::User(seat, ENVIRONMENT), false) =
            (kind, status(own, now) == Status::Connected)
        else {
            return Ok(Awaited {
                count: 0,
                more: false,
            });
        };
        let store = &self.remote.store;
        let count = store.count_without_sign_in(contract, seat, MAX_COUNTED);
        let count = count.await.map_err(|error| error.problem())?;
        Ok(Awaited {
            count,
            more: i64::from(MAX_COUNTED).unsigned_abs() <= count,
        })
    }

    /// The problem that what a seat holder logs now waits for their sign-in to the CRM. None where it does not:
    /// Dynamics 365 takes activities over the contract's connection, and without that one an administrator has
    /// to act first.
    pub(super) async fn missing_sign_in(
        &self,
        config: &ContractConfig,
        seat: SeatId,
        now: Millis,
    ) -> Result<Option<Problem>, Problem> {
        let contract = &config.contract;
        if contract.crm != CrmKind::Salesforce {
            return Ok(None);
        }
        let kind = ConnectionKind::User(seat, ENVIRONMENT);
        let own = self.connection(&contract.id, kind).await?;
        let before = match status(own.as_ref(), now) {
            Status::Connected => return Ok(None),
            Status::SignInNeeded => own.as_ref().map(Connection::reason),
            Status::NotConnected | Status::Disconnecting => {
                let connected = self.connection(&contract.id, ConnectionKind::PRODUCTION);
                if !connected.await?.is_some_and(|found| found.stands()) {
                    return Ok(None);
                }
                None
            }
        };
        Ok(Some(texts::own_sign_in(contract.crm.label(), before)))
    }
}

impl Awaited {
    /// The problem of the missing sign-in that they wait for; `before` is its reason if there was one before.
    pub(super) fn problem(&self, label: &str, before: Option<SignInReason>) -> Problem {
        texts::own_sign_in_awaited(label, before, self.count, self.more)
    }
}
