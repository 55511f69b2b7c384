//! Seats: the people of the contract, their roles, invitations and sessions.

mod crm_users;
mod in_crm;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::clock::Millis;
use shared::domain::contract::Contract;
use shared::domain::environment::Environment;
use shared::domain::ids::SeatId;
use shared::domain::role::Role;
use shared::domain::seat::{Identity, Seat, SeatInput, SeatStatus, normal_email};
use shared::invitation::{InvitationLinks, NewInvitation};
use shared::problem::Problem;
use shared::store::{ConnectionKind, SeatChange, StoreError};
use utoipa::{IntoParams, ToSchema};

use super::submissions::invalid_cursor;
use crate::App;
use crate::auth::{Caller, ManageSeats};
use crate::described::{Routes, routes};
use crate::extract::{Json, Path, Query};

/// The number of attempts at a change before it gives up because of concurrent ones.
const MAX_TRIES: u32 = 8;

pub(super) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list, create))
        .routes(routes!(get, edit, delete))
        .routes(routes!(invite))
        .routes(routes!(end_sessions))
        .merge(crm_users::routes())
        .merge(in_crm::routes())
}

#[derive(Serialize, ToSchema)]
struct SeatView {
    id: SeatId,
    name: String,
    email: String,
    role: Role,
    status: SeatStatus,
    /// The account that its holder signs in with, after the first sign-in.
    identity: Option<Identity>,
    /// The end of the open invitation.
    #[schema(value_type = Option<i64>)]
    invitation_valid_until: Option<Millis>,
    #[schema(value_type = i64)]
    created_at: Millis,
    #[schema(value_type = Option<i64>)]
    last_sign_in_at: Option<Millis>,
}

impl From<Seat> for SeatView {
    fn from(seat: Seat) -> Self {
        Self {
            id: seat.id,
            name: seat.name,
            email: seat.email,
            role: seat.role,
            status: seat.status,
            identity: seat.identity,
            invitation_valid_until: seat.invitation.map(|invitation| invitation.valid_until),
            created_at: seat.created_at,
            last_sign_in_at: seat.last_sign_in_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct SeatList {
    items: Vec<SeatView>,
    /// Give it as `cursor` for the next page; none after the last.
    next: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct InvitedSeat {
    #[serde(flatten)]
    seat: SeatView,
    /// Send one to the person.
    invitation: InvitationLinks,
}

/// The input for editing a seat.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EditInput {
    /// The holder's name: 1 to 100 characters.
    name: String,
    /// The holder's e-mail address.
    email: String,
    /// `administrator` or `salesperson`.
    role: Role,
    /// `false`: the holder cannot sign in, and every session ends.
    #[serde(default = "yes")]
    enabled: bool,
}

const fn yes() -> bool {
    true
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct SeatQuery {
    /// A page's `next`.
    cursor: Option<String>,
}

fn seat_id(text: &str) -> Result<SeatId, Problem> {
    text.parse().map_err(|_| Problem::not_found("seat"))
}

impl App {
    async fn seat_of(&self, caller: &Caller<ManageSeats>, id: SeatId) -> Result<Seat, Problem> {
        let seat = self.remote.store.seat(&caller.contract, id).await;
        seat.map_err(|error| error.problem())?
            .ok_or_else(|| Problem::not_found("seat"))
    }

    fn new_invitation(&self) -> NewInvitation {
        NewInvitation::new(self.remote.random.as_ref(), self.remote.clock.now())
    }

    fn invited(
        &self,
        caller: &Caller<ManageSeats>,
        seat: Seat,
        invitation: &NewInvitation,
    ) -> InvitedSeat {
        InvitedSeat {
            invitation: invitation.links(&self.public_url, &caller.contract, seat.id),
            seat: seat.into(),
        }
    }

    /// Ends the holder's own sign-ins to the CRM.
    async fn end_own_sign_ins(
        &self,
        caller: &Caller<ManageSeats>,
        id: SeatId,
    ) -> Result<(), Problem> {
        for environment in Environment::ALL {
            let kind = ConnectionKind::User(id, environment);
            self.end_if_any(&caller.contract, &caller.actor, kind)
                .await?;
        }
        Ok(())
    }

    /// Makes a seat of checked input, with an invitation for its holder.
    async fn create_seat(
        &self,
        caller: &Caller<ManageSeats>,
        input: SeatInput,
    ) -> Result<InvitedSeat, Problem> {
        let id = SeatId(self.remote.random.uuid());
        let invitation = self.new_invitation();
        let seat = Seat::invited(id, input, invitation.kept(), self.remote.clock.now());
        let made = self
            .change_seat(caller, id, "seat.create", |_| Ok(Some(seat.clone())))
            .await?
            .ok_or_else(Problem::internal)?;
        Ok(self.invited(caller, made, &invitation))
    }

    /// Changes a seat by `decide`, which returns the seat's new state (none: it is deleted). Decides anew if
    /// the seat or the set of administrators was changed concurrently. The last administrator who can act
    /// stays.
    async fn change_seat(
        &self,
        caller: &Caller<ManageSeats>,
        id: SeatId,
        action: &str,
        mut decide: impl FnMut(Option<&Seat>) -> Result<Option<Seat>, Problem>,
    ) -> Result<Option<Seat>, Problem> {
        let store = &self.remote.store;
        for _ in 0..MAX_TRIES {
            let before = store.seat(&caller.contract, id).await;
            let before = before.map_err(|error| error.problem())?;
            let mut after = decide(before.as_ref())?;
            if let Some(after) = &mut after {
                after.version = before.as_ref().map_or(1, |before| before.version + 1);
                after.updated_at = self.remote.clock.now();
            }
            let acts = |seat: Option<&Seat>| seat.is_some_and(Seat::is_acting_administrator);
            let mut of_contract = None;
            if acts(before.as_ref()) != acts(after.as_ref()) {
                of_contract = Some(
                    self.administrators(caller, id, acts(after.as_ref()))
                        .await?,
                );
            }
            let logged = |seat: Option<&Seat>| seat.map_or(Value::Null, Seat::logged);
            let audit = self.audit(
                &caller.actor,
                action,
                id.to_string(),
                logged(before.as_ref()),
                logged(after.as_ref()),
            );
            let change = SeatChange {
                before: before.as_ref(),
                after: after.as_ref(),
                contract: of_contract
                    .as_ref()
                    .map(|(contract, expected)| (contract, *expected)),
                audit: &audit,
            };
            let unique = self.remote.random.uuid();
            match store.change_seat(&caller.contract, change, unique).await {
                Ok(()) => return Ok(after),
                Err(StoreError::Conflict) => {
                    self.check_user(caller, before.as_ref(), after.as_ref())
                        .await?;
                    self.check_email(caller, before, after).await?;
                }
                Err(error) => return Err(error.problem()),
            }
        }
        Err(StoreError::Conflict.problem())
    }

    /// The contract with the seat among its administrators, or not.
    async fn administrators(
        &self,
        caller: &Caller<ManageSeats>,
        id: SeatId,
        acts: bool,
    ) -> Result<(Contract, u64), Problem> {
        let contract = self.remote.store.contract(&caller.contract).await;
        let mut contract = contract
            .map_err(|error| error.problem())?
            .ok_or_else(|| Problem::not_found("contract"))?;
        let expected = contract.config_version;
        contract.config_version += 1;
        if acts {
            contract.administrators.insert(id);
        } else {
            contract.administrators.remove(&id);
            if contract.administrators.is_empty() {
                return Err(Problem::new(
                    409,
                    "last_administrator",
                    "This is the last administrator who can sign in.",
                    "Make somebody else an administrator first, and let them sign in once.",
                ));
            }
        }
        Ok((contract, expected))
    }

    /// Refuses an e-mail address that another seat has. Distinguishes that from a concurrent change.
    async fn check_email(
        &self,
        caller: &Caller<ManageSeats>,
        before: Option<Seat>,
        after: Option<Seat>,
    ) -> Result<(), Problem> {
        let Some(after) = after else {
            return Ok(());
        };
        if before.is_some_and(|before| before.email == after.email) {
            return Ok(());
        }
        let taken = self
            .remote
            .store
            .seat_email_taken(&caller.contract, &after.email)
            .await
            .map_err(|error| error.problem())?;
        if taken {
            return Err(Problem::new(
                409,
                "email_taken",
                "Another seat has this e-mail address.",
                "Edit that seat, or send another address.",
            )
            .with_field("email"));
        }
        Ok(())
    }
}

/// The contract's seats by e-mail address.
#[utoipa::path(get, path = "/seats", params(SeatQuery), responses((status = 200, body = SeatList)))]
async fn list(
    State(app): State<Arc<App>>,
    caller: Caller<ManageSeats>,
    Query(query): Query<SeatQuery>,
) -> Result<Json<SeatList>, Problem> {
    let is_ours = |cursor: &str| {
        cursor.rsplit_once('#').is_some_and(|(email, id)| {
            normal_email(email).as_deref() == Some(email) && id.parse::<SeatId>().is_ok()
        })
    };
    if query
        .cursor
        .as_deref()
        .is_some_and(|cursor| !is_ours(cursor))
    {
        return Err(invalid_cursor());
    }
    let page = app
        .remote
        .store
        .seats(&caller.contract, 100, query.cursor.as_deref())
        .await
        .map_err(|error| error.problem())?;
    Ok(Json(SeatList {
        items: page.items.into_iter().map(SeatView::from).collect(),
        next: page.next,
    }))
}

/// Makes a seat, with an invitation for its holder.
#[utoipa::path(post, path = "/seats", request_body = SeatInput, responses((status = 201, body = InvitedSeat), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn create(
    State(app): State<Arc<App>>,
    caller: Caller<ManageSeats>,
    Json(input): Json<SeatInput>,
) -> Result<(http::StatusCode, Json<InvitedSeat>), Problem> {
    let made = app.create_seat(&caller, input.checked()?).await?;
    Ok((http::StatusCode::CREATED, Json(made)))
}

/// A seat.
#[utoipa::path(get, path = "/seats/{id}", params(("id" = String, Path)), responses((status = 200, body = SeatView), (status = 404, body = Problem)))]
async fn get(
    State(app): State<Arc<App>>,
    caller: Caller<ManageSeats>,
    Path(id): Path<String>,
) -> Result<Json<SeatView>, Problem> {
    Ok(Json(app.seat_of(&caller, seat_id(&id)?).await?.into()))
}

/// Edits a seat: name, address, role, and whether it is enabled. Counts at once, in sessions that
/// are open too.
#[utoipa::path(put, path = "/seats/{id}", params(("id" = String, Path)), request_body = EditInput, responses((status = 200, body = SeatView), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn edit(
    State(app): State<Arc<App>>,
    caller: Caller<ManageSeats>,
    Path(id): Path<String>,
    Json(input): Json<EditInput>,
) -> Result<Json<SeatView>, Problem> {
    let id = seat_id(&id)?;
    let enabled = input.enabled;
    let input = SeatInput {
        name: input.name,
        email: input.email,
        role: input.role,
    }
    .checked()?;
    let seat = app
        .change_seat(&caller, id, "seat.edit", |before| {
            let mut seat = before.cloned().ok_or_else(|| Problem::not_found("seat"))?;
            seat.name.clone_from(&input.name);
            seat.email.clone_from(&input.email);
            seat.role = input.role;
            if !enabled {
                seat.end_sessions();
            }
            seat.status = match (enabled, &seat.identity) {
                (false, _) => SeatStatus::Disabled,
                (true, Some(_)) => SeatStatus::Active,
                (true, None) => SeatStatus::Invited,
            };
            Ok(Some(seat))
        })
        .await?
        .ok_or_else(Problem::internal)?;
    Ok(Json(seat.into()))
}

/// Deletes a seat. Its sessions end, and the account it was tied to can accept another invitation.
#[utoipa::path(delete, path = "/seats/{id}", params(("id" = String, Path)), responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller<ManageSeats>,
    Path(id): Path<String>,
) -> Result<http::StatusCode, Problem> {
    let id = seat_id(&id)?;
    if app.seat_of(&caller, id).await?.is_acting_administrator() {
        // The last administrator stays, with their sign-ins.
        app.administrators(&caller, id, false).await?;
    }
    // Their own sign-ins to the CRM first: afterwards they could not be found.
    app.end_own_sign_ins(&caller, id).await?;
    app.change_seat(&caller, id, "seat.delete", |before| match before {
        Some(_) => Ok(None),
        None => Err(Problem::not_found("seat")),
    })
    .await?;
    Ok(http::StatusCode::NO_CONTENT)
}

/// A new invitation. The one before no longer works, the account that the seat was tied to no longer
/// opens it, and its holder's own sign-ins to the CRM end.
#[utoipa::path(post, path = "/seats/{id}/invite", params(("id" = String, Path)), responses((status = 200, body = InvitedSeat), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn invite(
    State(app): State<Arc<App>>,
    caller: Caller<ManageSeats>,
    Path(id): Path<String>,
) -> Result<Json<InvitedSeat>, Problem> {
    let id = seat_id(&id)?;
    let invitation = app.new_invitation();
    let seat = app
        .change_seat(&caller, id, "seat.invite", |before| {
            let mut seat = before.cloned().ok_or_else(|| Problem::not_found("seat"))?;
            if seat.status == SeatStatus::Disabled {
                return Err(Problem::new(
                    409,
                    "seat_disabled",
                    "The seat is disabled.",
                    "Enable it first.",
                ));
            }
            seat.status = SeatStatus::Invited;
            seat.identity = None;
            seat.end_sessions();
            seat.invitation = Some(invitation.kept());
            Ok(Some(seat))
        })
        .await?
        .ok_or_else(Problem::internal)?;
    // Whoever accepts can be another person, who must not act in the CRM as this one. Without an answer nobody
    // has the invitation, and it is asked for again.
    app.end_own_sign_ins(&caller, id).await?;
    Ok(Json(app.invited(&caller, seat, &invitation)))
}

/// Ends every session of a seat.
#[utoipa::path(delete, path = "/seats/{id}/sessions", params(("id" = String, Path)), responses((status = 204), (status = 404, body = Problem)))]
async fn end_sessions(
    State(app): State<Arc<App>>,
    caller: Caller<ManageSeats>,
    Path(id): Path<String>,
) -> Result<http::StatusCode, Problem> {
    let id = seat_id(&id)?;
    let store = &app.remote.store;
    let found = store.seat_sessions(&caller.contract, id).await;
    let found = found
        .map_err(|error| error.problem())?
        .ok_or_else(|| Problem::not_found("seat"))?;
    let ids: BTreeSet<String> = found.sessions.into_iter().map(|s| s.id).collect();
    app.end_sessions(&caller.contract, &caller.actor, id, &ids)
        .await?;
    Ok(http::StatusCode::NO_CONTENT)
}
