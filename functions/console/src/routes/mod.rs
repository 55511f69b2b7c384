//! The routes, by subject.

mod configuration;
mod forms;
mod submissions;

use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;
use shared::clock::Millis;
use shared::domain::role::Role;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::auth::{AnyRole, Caller};
use crate::extract::Json;

pub(crate) fn all() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(health))
        .routes(routes!(me))
        .merge(submissions::routes())
        .merge(configuration::routes())
        .merge(forms::routes())
}

#[derive(Serialize, ToSchema)]
struct Health {
    status: &'static str,
    #[schema(value_type = i64)]
    time: Millis,
}

/// Whether the function runs. Asks nothing of the table or the CRM.
#[utoipa::path(get, path = "/health", responses((status = 200, body = Health)), security(()))]
async fn health(State(app): State<Arc<App>>) -> Json<Health> {
    Json(Health {
        status: "ok",
        time: app.remote.clock.now(),
    })
}

#[derive(Serialize, ToSchema)]
struct Me {
    /// The contract that the token opens.
    contract: String,
    /// The token's id.
    token: String,
    /// What its role is.
    role: Role,
}

/// Who the token says you are.
#[utoipa::path(get, path = "/me", responses((status = 200, body = Me)))]
async fn me(caller: Caller<AnyRole>) -> Json<Me> {
    Json(Me {
        contract: caller.contract.to_string(),
        token: caller.actor,
        role: caller.role,
    })
}
