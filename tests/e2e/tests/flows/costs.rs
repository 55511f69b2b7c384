//! The costs of callers and sign-ins: calls to AWS and to providers, counted.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use e2e::worker::{clock, process};
use e2e::{Harness, Tenant};
use local::Apps;
use serde_json::{Value, json};
use shared::clock::Clock as _;
use shared::domain::contract::AuditEntry;
use shared::domain::ids::SeatId;
use shared::domain::role::Role;
use shared::domain::schema::CrmKind;
use shared::domain::seat::{Invitation, Seat, SeatInput, SeatStatus};
use shared::random::{Random as _, SystemRandom};
use shared::store::{SeatChange, SessionRecord};
use shared::testing::{FixedClock, Tripwire};
use tower::ServiceExt as _;

/// A seat that is signed in: its cookie, and its CSRF token.
async fn signed_in(tenant: &Tenant<'_>, apps: &Apps, clock: &FixedClock) -> (String, String) {
    let (contract, remote) = (&tenant.made.id, &apps.console.remote);
    let now = clock.now();
    let input = SeatInput {
        name: "Ada".to_owned(),
        email: tenant.email("ada"),
        role: Role::Administrator,
    };
    let invitation = Invitation {
        secret_hash: "unused".to_owned(),
        valid_until: now,
    };
    let mut seat = Seat::invited(SeatId(SystemRandom.uuid()), input, invitation, now);
    seat.status = SeatStatus::Active;
    let session = SessionRecord {
        id: SystemRandom.secret(16),
        created_at: now,
        valid_until: now.plus_seconds(3600),
        generation: seat.session_generation,
    };
    let audit = AuditEntry {
        at: now,
        actor: "test".to_owned(),
        action: "test".to_owned(),
        target: String::new(),
        before: Value::Null,
        after: Value::Null,
    };
    let change = SeatChange {
        before: None,
        after: Some(&seat),
        contract: None,
        audit: &audit,
    };
    let store = &remote.store;
    let unique = SystemRandom.uuid();
    store.change_seat(contract, change, unique).await.unwrap();
    let unique = SystemRandom.uuid();
    store
        .open_session(contract, &seat, &session, &audit, unique)
        .await
        .unwrap();
    let sessions = &remote.web_sessions;
    let token = sessions
        .token(contract, seat.id, &session.id, session.valid_until, now)
        .await
        .unwrap();
    let cookie = format!("__Host-lb_session={token}");
    let (_, session) = call(apps, Method::GET, "/session", &[("cookie", &cookie)]).await;
    let csrf = session["csrf_token"].as_str().unwrap().to_owned();
    (cookie, csrf)
}

async fn call(
    apps: &Apps,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
) -> (StatusCode, Value) {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("/api/v1{path}"))
        .header(header::CONTENT_TYPE, "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = Body::from(json!({ "name": "counted", "role": "service" }).to_string());
    let answer = apps
        .router()
        .oneshot(request.body(body).unwrap())
        .await
        .unwrap();
    let status = answer.status();
    let bytes = axum::body::to_bytes(answer.into_body(), 1 << 20)
        .await
        .unwrap();
    (
        status,
        serde_json::from_slice(&bytes).unwrap_or(Value::Null),
    )
}

/// A person's request costs one AWS call more than the work itself, like an API token's; a forged
/// cookie costs none.
#[tokio::test]
async fn telling_a_caller_costs_one_call_and_a_forger_none() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let clock = clock();
    let wire = Tripwire::new();
    let apps = process(harness.embedded_stack(), &wire, &clock);
    let (cookie, csrf) = signed_in(&tenant, &apps, &clock).await;
    let bearer = format!("Bearer {}", tenant.made.tokens.administrator);
    let mut forged = cookie.clone();
    forged.pop();
    forged.push(if cookie.ends_with('0') { '1' } else { '0' });
    for (what, headers, status, calls) in [
        (
            "an API token",
            vec![("authorization", bearer.as_str())],
            200,
            1,
        ),
        ("a session", vec![("cookie", cookie.as_str())], 200, 1),
        (
            "a forged session",
            vec![("cookie", forged.as_str())],
            401,
            0,
        ),
        ("nobody", vec![], 401, 0),
    ] {
        wire.reset();
        let (answered, body) = call(&apps, Method::GET, "/me", &headers).await;
        assert_eq!(answered.as_u16(), status, "{what}: {body}");
        assert_eq!(
            (wire.aws_calls(), wire.outside_calls()),
            (calls, 0),
            "{what}"
        );
    }
    for (what, headers, status, calls) in [
        (
            "a change with the CSRF token",
            vec![("cookie", cookie.as_str()), ("x-csrf-token", csrf.as_str())],
            201,
            // The caller's authentication, and one transaction with the audit entry.
            2,
        ),
        (
            "a change without it",
            vec![("cookie", cookie.as_str())],
            403,
            0,
        ),
    ] {
        wire.reset();
        let (answered, body) = call(&apps, Method::POST, "/api-tokens", &headers).await;
        assert_eq!(answered.as_u16(), status, "{what}: {body}");
        assert_eq!(
            (wire.aws_calls(), wire.outside_calls()),
            (calls, 0),
            "{what}"
        );
    }
    // A cold process reads the keys of sessions once.
    let wire = Tripwire::new();
    let apps = process(harness.embedded_stack(), &wire, &clock);
    for calls in [2, 3] {
        let (status, _) = call(&apps, Method::GET, "/me", &[("cookie", &cookie)]).await;
        assert_eq!((status.as_u16(), wire.aws_calls()), (200, calls));
    }
    harness.stop().await;
}

/// Renewing a connection's tokens: the lease and the new tokens in the table, one call to the provider.
#[tokio::test]
async fn a_refresh_costs_three_calls_to_aws_and_one_to_the_provider() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let clock = clock();
    let wire = Tripwire::new();
    let apps = process(harness.embedded_stack(), &wire, &clock);
    let sessions = &apps.writeback.remote.sessions;
    let kind = shared::store::ConnectionKind::PRODUCTION;
    let limits = async || {
        let session = sessions.open(&tenant.made.id, kind).await.unwrap();
        let url = session.url("/services/data/v67.0/limits").unwrap();
        let call = shared::outbound::Call::new(session.provider, Method::GET, url);
        session.send(call).await.unwrap().status
    };
    assert_eq!(limits().await, StatusCode::OK);
    harness
        .control(
            reqwest::Method::POST,
            "/tokens/expire",
            Some(json!({ "provider": "salesforce" })),
        )
        .await;
    wire.reset();
    assert_eq!(limits().await, StatusCode::OK);
    // The refused call, the refresh, the call again; the connection read anew, the lease, the tokens.
    assert_eq!((wire.aws_calls(), wire.outside_calls()), (3, 3));
    wire.reset();
    assert_eq!(limits().await, StatusCode::OK);
    assert_eq!((wire.aws_calls(), wire.outside_calls()), (0, 1));
    harness.stop().await;
}
