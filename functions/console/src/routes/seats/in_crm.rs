//! A seat in the CRM: the user who holds it, chosen by hand where the proposal is wrong, and the switches of the
//! sync (SV-4, SV-6).

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use shared::domain::crm_user::NoSeat;
use shared::domain::environment::Environment;
use shared::domain::rows::record_id;
use shared::domain::run::RunKind;
use shared::domain::seat::{ChosenUser, Seat, SeatCrm, SeatStatus};
use shared::problem::Problem;
use shared::runs;
use shared::store::{Connection, ConnectionKind};
use shared::texts::{self, Audience};
use utoipa::ToSchema;

use super::crm_users::{SeatCrmUser, View};
use super::seat_id;
use crate::App;
use crate::auth::{Caller, ManageSeats};
use crate::described::{Routes, routes};
use crate::extract::{Json, Path};

const ENVIRONMENT: Environment = Environment::Production;
/// Longest id of a record in a CRM, in bytes.
const MAX_ID: usize = 100;

pub(super) fn routes() -> Routes {
    Routes::new().routes(routes!(show, choose))
}

/// A seat in the production CRM.
#[derive(Serialize, ToSchema)]
struct SeatInCrm {
    /// The user who holds the seat now: the chosen one, else the one as whom the holder signed in, else one with
    /// the seat's e-mail address; `null` if there is none, or no CRM.
    user: Option<SeatCrmUser>,
    /// The CRM's id of the user who was chosen by hand.
    chosen: Option<String>,
    /// The switch of the sync; `null`: as `auto_sync_seat_holders` of the sync settings says.
    sync: Option<bool>,
    /// The consequence: lists and champions are kept up for the holder, and what they do is logged.
    synced: bool,
    /// The switch of auto-save: what open opportunities are about is saved to the holder's lists, if the seat is
    /// synced and the sync settings say so.
    auto_save: bool,
}

/// A seat in the production CRM, as it is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SeatInCrmInput {
    /// The CRM's id of the user who holds the seat; `null`: the one as whom the holder signs in, else the one with
    /// the seat's e-mail address.
    #[serde(default)]
    user: Option<String>,
    /// `true` or `false`: the seat is synced, or not; `null`: as `auto_sync_seat_holders` of the sync settings
    /// says.
    #[serde(default)]
    sync: Option<bool>,
    /// `false`: nothing is saved to the holder's lists automatically.
    #[serde(default = "yes")]
    auto_save: bool,
}

const fn yes() -> bool {
    true
}

fn refused(status: u16, code: &'static str, detail: &str, next_step: &str) -> Problem {
    Problem::new(status, code, detail, next_step).with_field("user")
}

fn taken() -> Problem {
    refused(
        409,
        "crm_user_taken",
        "Another seat has this user of the CRM.",
        "Choose another user, or change that seat first.",
    )
}

fn unknown() -> Problem {
    refused(
        422,
        "crm_user_unknown",
        "The CRM has no such user, or it was not imported yet.",
        "Choose one of the users of the CRM; a new one is there after the next import.",
    )
}

fn cannot_hold(reason: NoSeat) -> Problem {
    if reason == NoSeat::Disabled {
        return refused(
            422,
            "crm_user_disabled",
            "The user is disabled in the CRM.",
            "Choose another user, or have the user enabled in the CRM.",
        );
    }
    refused(
        422,
        "crm_user_cannot_hold_seat",
        "This user of the CRM is no person who can hold a seat.",
        "Choose another user.",
    )
}

impl App {
    async fn standing_crm(
        &self,
        caller: &Caller<ManageSeats>,
    ) -> Result<Option<Connection>, Problem> {
        let connection = self.connection(&caller.contract, ConnectionKind::PRODUCTION);
        Ok(connection.await?.filter(Connection::stands))
    }

    /// Refuses a user who was chosen for another seat. Distinguishes that from a concurrent change.
    pub(super) async fn check_user(
        &self,
        caller: &Caller<ManageSeats>,
        before: Option<&Seat>,
        after: Option<&Seat>,
    ) -> Result<(), Problem> {
        let Some(after) = after else {
            return Ok(());
        };
        let chosen = after.crm.user.as_ref();
        let changed =
            chosen.filter(|_| before.is_none_or(|before| before.crm.user != after.crm.user));
        let Some(chosen) = changed else {
            return Ok(());
        };
        let seat = self
            .remote
            .store
            .seat_of_user(&caller.contract, chosen)
            .await;
        let seat = seat.map_err(|error| error.problem())?;
        if seat.is_some_and(|seat| seat != after.id) {
            return Err(taken());
        }
        Ok(())
    }

    /// The user of the CRM whom an administrator gives for a seat. One who is chosen already stays, whatever
    /// became of them.
    async fn chosen(
        &self,
        caller: &Caller<ManageSeats>,
        seat: &Seat,
        given: &str,
    ) -> Result<ChosenUser, Problem> {
        let connection = self.standing_crm(caller).await?;
        let organization = connection
            .as_ref()
            .map(|connection| &connection.organization);
        let kept = seat.crm.user.as_ref().filter(|kept| {
            kept.user == given && organization.is_none_or(|own| *own == kept.organization)
        });
        if let Some(kept) = kept {
            return Ok(kept.clone());
        }
        let connection =
            connection.ok_or_else(|| texts::not_connected("The CRM", Audience::Setup))?;
        let view = Box::pin(View::of(self, caller, connection)).await?;
        let id = record_id(view.crm, given);
        // The table has no keys that are empty or very long.
        if !(1..=MAX_ID).contains(&id.len()) {
            return Err(unknown());
        }
        let found = view.some(&[id.as_str()]).await?;
        let user = found.into_iter().next().ok_or_else(unknown)?;
        if let Some(reason) = user.no_seat {
            return Err(cannot_hold(reason));
        }
        let known = view.known().await?;
        let others = view.seats.iter().filter(|other| other.id != seat.id);
        let mut others = others.filter(|other| other.status != SeatStatus::Disabled);
        if others.any(|other| known.get(&other.id) == Some(&user.id)) {
            return Err(taken());
        }
        Ok(ChosenUser {
            organization: view.organization.clone(),
            user: user.id,
        })
    }

    async fn in_crm(
        &self,
        caller: &Caller<ManageSeats>,
        seat: &Seat,
    ) -> Result<SeatInCrm, Problem> {
        let config = self.config(&caller.contract).await?;
        let settings = config.crm_settings(ENVIRONMENT).sync.unwrap_or_default();
        let connection = self.standing_crm(caller).await?;
        // In another organisation the choice does not count.
        let chosen = match &connection {
            Some(connection) => seat.crm.user_of(&connection.organization),
            None => seat.crm.user.as_ref().map(|chosen| chosen.user.as_str()),
        };
        let chosen = chosen.map(str::to_owned);
        let user = match connection {
            Some(connection) => {
                let view = Box::pin(View::of(self, caller, connection)).await?;
                Box::pin(user_of(self, &view, seat)).await?
            }
            None => None,
        };
        Ok(SeatInCrm {
            user,
            chosen,
            sync: seat.crm.sync,
            synced: seat.crm.syncs(&settings),
            auto_save: seat.crm.auto_save,
        })
    }

    /// Asks for the lists and champions that a seat's user and switches decide about.
    async fn follow(&self, caller: &Caller<ManageSeats>) -> Result<(), Problem> {
        let config = self.config(&caller.contract).await?;
        let settings = config.crm_settings(ENVIRONMENT).sync.unwrap_or_default();
        if !settings.saves() || self.standing_crm(caller).await?.is_none() {
            return Ok(());
        }
        let (store, queue) = (&self.remote.store, &self.import_queue);
        let (contract, by, now) = (&caller.contract, &caller.actor, self.remote.clock.now());
        let import = store.sync(contract, ENVIRONMENT).await;
        let import = import.map_err(|error| error.problem())?;
        if import.is_some_and(|import| import.is_open()) {
            // Its end asks for both. A pass before that would be done with opportunities whose contacts are not
            // read yet.
            return Ok(());
        }
        let lists = runs::request_save(store, queue, contract, by, now);
        lists.await.map_err(|error| error.problem())?;
        let champions = runs::request(store, queue, contract, RunKind::Champions, by, now, 0);
        champions.await.map_err(|error| error.problem())
    }
}

/// The user of the CRM who holds a seat; of several with its address one who is active.
async fn user_of(app: &App, view: &View<'_>, seat: &Seat) -> Result<Option<SeatCrmUser>, Problem> {
    let store = &app.remote.store;
    let users = view.users();
    let ids = users.of_seat(store, seat).await;
    let ids = ids.map_err(|error| error.problem())?;
    let texts: Vec<&str> = ids.iter().map(String::as_str).collect();
    let users = view.some(&texts).await?;
    let known = view.known().await?;
    let user = |id: &String| users.iter().find(|user| user.id == *id);
    let is_active = |id: &&String| user(id).is_some_and(|user| user.active);
    let shown = ids.iter().find(is_active).or_else(|| ids.first());
    Ok(shown.map(|id| view.shown(seat, id, user(id), &known)))
}

/// A seat in the production CRM: the user who holds it, and the switches of the sync.
#[utoipa::path(get, path = "/seats/{id}/crm", operation_id = "seat_in_crm", params(("id" = String, Path)),
    responses((status = 200, body = SeatInCrm), (status = 404, body = Problem)))]
async fn show(
    State(app): State<Arc<App>>,
    caller: Caller<ManageSeats>,
    Path(id): Path<String>,
) -> Result<Json<SeatInCrm>, Problem> {
    let seat = app.seat_of(&caller, seat_id(&id)?).await?;
    Ok(Json(app.in_crm(&caller, &seat).await?))
}

/// Chooses the user of the production CRM who holds a seat, and sets the switches of the sync.
///
/// Lists, champions, figures and the owner of activities in Dynamics 365 follow. An activity that is not logged
/// because its seat is not synced is not logged later either.
#[utoipa::path(put, path = "/seats/{id}/crm", operation_id = "seat_in_crm_choose", params(("id" = String, Path)),
    request_body = SeatInCrmInput, responses((status = 200, body = SeatInCrm), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn choose(
    State(app): State<Arc<App>>,
    caller: Caller<ManageSeats>,
    Path(id): Path<String>,
    Json(input): Json<SeatInCrmInput>,
) -> Result<Json<SeatInCrm>, Problem> {
    let id = seat_id(&id)?;
    let mut seat = app.seat_of(&caller, id).await?;
    let user = match &input.user {
        Some(given) => Some(Box::pin(app.chosen(&caller, &seat, given)).await?),
        None => None,
    };
    let crm = SeatCrm {
        user,
        sync: input.sync,
        auto_save: input.auto_save,
    };
    if seat.crm != crm {
        let changed = app.change_seat(&caller, id, "seat.crm", |before| {
            let mut seat = before.cloned().ok_or_else(|| Problem::not_found("seat"))?;
            seat.crm = crm.clone();
            Ok(Some(seat))
        });
        seat = Box::pin(changed).await?.ok_or_else(Problem::internal)?;
    }
    // Also if nothing changed: the call before may have failed here.
    app.follow(&caller).await?;
    Ok(Json(app.in_crm(&caller, &seat).await?))
}
