//! The routes, by subject.

mod activities;
mod configuration;
mod crm;
mod directory;
mod forms;
mod matching;
mod personal_data;
mod previews;
mod privacy;
mod runs;
mod seats;
mod session;
mod settings;
mod submissions;
mod sync;
mod threads;
mod tokens;
mod traffic;

use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;
use shared::clock::Millis;
use shared::domain::ids::SeatId;
use shared::domain::role::Role;
use utoipa::ToSchema;

use crate::App;
use crate::auth::{AnyRole, Caller};
use crate::described::{Routes, routes};
use crate::extract::Json;

pub(crate) fn all() -> Routes {
    Routes::new()
        .routes(routes!(health))
        .routes(routes!(me))
        .merge(submissions::routes())
        .merge(configuration::routes())
        .merge(previews::routes())
        .merge(forms::routes())
        .merge(traffic::routes())
        .merge(crm::routes())
        .merge(sync::routes())
        .merge(directory::routes())
        .merge(matching::routes())
        .merge(activities::routes())
        .merge(session::routes())
        .merge(settings::routes())
        .merge(threads::routes())
        .merge(seats::routes())
        .merge(tokens::routes())
        .merge(runs::routes())
        .merge(privacy::routes())
        .merge(personal_data::routes())
}

#[derive(Serialize, ToSchema)]
struct Health {
    status: &'static str,
    #[schema(value_type = i64)]
    time: Millis,
}

/// The function's health. Makes no call to the table or the CRM.
#[utoipa::path(get, path = "/health", responses((status = 200, body = Health)), security(()))]
async fn health(State(app): State<Arc<App>>) -> Json<Health> {
    Json(Health {
        status: "ok",
        time: app.remote.clock.now(),
    })
}

#[derive(Serialize, ToSchema)]
struct Me {
    /// The contract that the token or session opens.
    contract: String,
    /// The token's id, or `seat:` and the seat's id: your name in the audit log.
    actor: String,
    /// Your seat, if you signed in.
    seat: Option<SeatId>,
    /// Your name, if you signed in.
    name: Option<String>,
    /// Your role.
    role: Role,
}

/// The caller: the contract, and the seat or API token.
#[utoipa::path(get, path = "/me", responses((status = 200, body = Me)))]
async fn me(caller: Caller<AnyRole>) -> Json<Me> {
    let seat = caller.signed_in().ok().map(|signed_in| &signed_in.seat);
    Json(Me {
        contract: caller.contract.to_string(),
        seat: seat.map(|seat| seat.id),
        name: seat.map(|seat| seat.name.clone()),
        role: caller.role,
        actor: caller.actor,
    })
}
