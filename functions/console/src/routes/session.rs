//! The session of a signed-in user: the seat, its end, the CSRF token, renewal, sign-out.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde::Serialize;
use serde_json::Value;
use shared::api_auth::SignedIn;
use shared::clock::Millis;
use shared::domain::ids::{ContractId, SeatId};
use shared::domain::role::Role;
use shared::problem::Problem;
use shared::web_session::{forget_cookie, set_cookie};
use utoipa::ToSchema;

use crate::App;
use crate::auth::{AnyRole, Caller};
use crate::described::{Routes, routes};
use crate::extract::Json;

pub(super) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(show, sign_out))
        .routes(routes!(renew))
        .routes(routes!(sign_out_everywhere))
}

#[derive(Serialize, ToSchema)]
struct SessionView {
    contract: String,
    seat: SeatId,
    name: String,
    email: String,
    role: Role,
    /// Send it as `X-CSRF-Token` with everything but GET.
    csrf_token: String,
    /// The time at which the session's token ends unless it is renewed.
    #[schema(value_type = i64)]
    valid_until: Millis,
    /// The time at which the session ends, regardless of renewals.
    #[schema(value_type = i64)]
    session_ends_at: Millis,
}

async fn view(
    app: &App,
    caller: &Caller<AnyRole>,
    valid_until: Millis,
) -> Result<SessionView, Problem> {
    let SignedIn {
        seat,
        session,
        token,
    } = caller.signed_in()?;
    let csrf_token = app
        .remote
        .web_sessions
        .csrf(token, app.remote.clock.now())
        .await
        .map_err(|error| error.problem())?
        .ok_or_else(Problem::internal)?;
    Ok(SessionView {
        contract: caller.contract.to_string(),
        seat: seat.id,
        name: seat.name.clone(),
        email: seat.email.clone(),
        role: seat.role,
        csrf_token,
        valid_until,
        session_ends_at: session.valid_until,
    })
}

/// The seat holder signed in in this browser, and the token that changes need.
#[utoipa::path(get, path = "/session", responses((status = 200, body = SessionView), (status = 403, body = Problem)))]
async fn show(
    State(app): State<Arc<App>>,
    caller: Caller<AnyRole>,
) -> Result<Json<SessionView>, Problem> {
    let valid_until = caller.signed_in()?.token.valid_until;
    Ok(Json(view(&app, &caller, valid_until).await?))
}

/// Renews the session's token. A page does that while its user works; 30 minutes without a renewal end the
/// session.
#[utoipa::path(post, path = "/session/renew", responses((status = 200, body = SessionView), (status = 403, body = Problem)))]
async fn renew(State(app): State<Arc<App>>, caller: Caller<AnyRole>) -> Result<Response, Problem> {
    let SignedIn { seat, session, .. } = caller.signed_in()?;
    let now = app.remote.clock.now();
    let sessions = &app.remote.web_sessions;
    let token = sessions
        .token(
            &caller.contract,
            seat.id,
            &session.id,
            session.valid_until,
            now,
        )
        .await
        .map_err(|error| error.problem())?;
    let valid_until = now
        .plus_seconds(shared::web_session::TOKEN_SECONDS)
        .min(session.valid_until);
    let mut response = Json(view(&app, &caller, valid_until).await?).into_response();
    response
        .headers_mut()
        .append(header::SET_COOKIE, set_cookie(&token));
    Ok(response)
}

/// Signs out: the session ends here, in every copy of its cookie.
#[utoipa::path(delete, path = "/session", responses((status = 204), (status = 403, body = Problem)))]
async fn sign_out(
    State(app): State<Arc<App>>,
    caller: Caller<AnyRole>,
) -> Result<Response, Problem> {
    let id = caller.signed_in()?.session.id.clone();
    end(&app, &caller, BTreeSet::from([id])).await
}

/// Signs out in all browsers.
#[utoipa::path(delete, path = "/sessions", responses((status = 204), (status = 403, body = Problem)))]
async fn sign_out_everywhere(
    State(app): State<Arc<App>>,
    caller: Caller<AnyRole>,
) -> Result<Response, Problem> {
    let seat = caller.signed_in()?.seat.id;
    let found = app
        .remote
        .store
        .seat_sessions(&caller.contract, seat)
        .await
        .map_err(|error| error.problem())?;
    let ids = found.map_or_else(BTreeSet::new, |found| {
        found.sessions.into_iter().map(|s| s.id).collect()
    });
    end(&app, &caller, ids).await
}

async fn end(
    app: &App,
    caller: &Caller<AnyRole>,
    ids: BTreeSet<String>,
) -> Result<Response, Problem> {
    let seat = caller.signed_in()?.seat.id;
    app.end_sessions(&caller.contract, &caller.actor, seat, &ids)
        .await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    response
        .headers_mut()
        .append(header::SET_COOKIE, forget_cookie());
    Ok(response)
}

impl App {
    /// Ends sessions of a seat. The audit log is written first, so that no end is without its line; if the
    /// end fails after that, the line is followed by another attempt.
    pub(super) async fn end_sessions(
        &self,
        contract: &ContractId,
        actor: &str,
        seat: SeatId,
        ids: &BTreeSet<String>,
    ) -> Result<(), Problem> {
        let store = &self.remote.store;
        let audit = self.audit(
            actor,
            "session.end",
            seat.to_string(),
            Value::Null,
            Value::from(ids.len()),
        );
        store
            .put_audit(contract, &audit, self.remote.random.uuid())
            .await
            .map_err(|error| error.problem())?;
        let closed = store.close_sessions(contract, seat, ids).await;
        closed.map_err(|error| error.problem())
    }
}
