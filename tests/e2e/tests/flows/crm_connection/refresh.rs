//! Tokens are renewed by one worker of many, and a worker that dies doing it loses no connection
//! unless the provider has taken the old token back (CN-3).

use std::time::{Duration, Instant};

use axum::http::Method;
use futures::future::join_all;
use serde_json::json;
use shared::domain::schema::CrmKind;
use shared::session::SessionError;
use shared::store::{ConnectionKind, ConnectionState};
use shared::testing::{Cut, Tripwire};

use super::world::{PRODUCTION, World, for_both};

const CRM: ConnectionKind = ConnectionKind::PRODUCTION;
/// Longer than one worker may take to renew tokens.
const LEASE_SECONDS: i64 = 31;

impl World {
    async fn expire(&self) {
        let tokens = json!({ "provider": self.system() });
        self.control(Method::POST, "/tokens/expire", tokens).await;
    }
}

for_both!(several_threads fifty_workers_at_the_moment_of_expiry_renew_once);
async fn fifty_workers_at_the_moment_of_expiry_renew_once(crm: CrmKind) {
    let world = World::start(crm).await;
    world.settings(json!({ "refresh_rotation": true })).await;
    world.connect_and_import(PRODUCTION).await;
    let version = world.connection(CRM).await.unwrap().version;
    let workers: Vec<_> = (0..50).map(|_| world.fresh()).collect();
    // Dynamics 365 says when a token ends, Salesforce does not: its answer does.
    world.advance(3 * 3600).await;
    world.forget_calls().await;
    let calls = workers.iter().map(|apps| world.use_connection(apps, CRM));
    for (worker, status) in join_all(calls).await.into_iter().enumerate() {
        assert_eq!(status.unwrap(), 200, "{crm:?}: worker {worker}");
    }
    assert_eq!(world.count_calls("/token").await, 1, "{crm:?}");
    let connection = world.connection(CRM).await.unwrap();
    assert_eq!(connection.state, ConnectionState::Connected);
    assert_eq!(
        (connection.version, connection.refresh_until),
        (version + 1, None)
    );
    // The chain lives: it renews again.
    world.advance(3 * 3600).await;
    assert_eq!(
        world.use_connection(&world.fresh(), CRM).await.unwrap(),
        200
    );
    world.stop().await;
}

for_both!(a_worker_that_dies_while_it_renews_is_followed_by_another);
async fn a_worker_that_dies_while_it_renews_is_followed_by_another(crm: CrmKind) {
    die_renewing(crm, false).await;
}

for_both!(a_token_that_was_replaced_and_not_kept_asks_for_a_sign_in_once);
async fn a_token_that_was_replaced_and_not_kept_asks_for_a_sign_in_once(crm: CrmKind) {
    die_renewing(crm, true).await;
}

async fn die_renewing(crm: CrmKind, rotation: bool) {
    let world = World::start(crm).await;
    world
        .settings(json!({ "refresh_rotation": rotation }))
        .await;
    world.connect(PRODUCTION).await.is(200);
    world.drain().await;
    let snapshot = world.snapshot().await;
    let (mut lost, mut deaths) = (0, 0);
    for n in 0.. {
        let mut reached = false;
        for cut in [Cut::Before(n), Cut::After(n)] {
            world.reset(&snapshot).await;
            world.new_tokens(CRM).await;
            world.expire().await;
            world.forget_calls().await;
            let before = world.audit("connection.sign_in_needed").await.len();
            let version = world.connection(CRM).await.unwrap().version;
            let wire = Tripwire::cutting(cut);
            let _ = world.use_connection(&world.over(&wire), CRM).await;
            reached |= wire.has_cut();
            deaths += 1;
            let renewed = world.count_calls("/token").await;
            let stored = world.connection(CRM).await.unwrap().version > version;

            // The next one, once the lease of the dead one is over.
            world.advance(LEASE_SECONDS).await;
            let used = world.use_connection(&world.fresh(), CRM).await;
            let about = format!("{crm:?}, rotation {rotation}, {cut:?}: {used:?}");
            let connection = world.connection(CRM).await.unwrap();
            let noted = world.audit("connection.sign_in_needed").await.len() - before;
            if rotation && renewed == 1 && !stored {
                // The provider has replaced a token, and the new one was not stored: no renewal is possible.
                assert!(
                    matches!(used, Err(SessionError::SignInNeeded(_))),
                    "{about}"
                );
                assert_eq!(connection.state, ConnectionState::SignInNeeded, "{about}");
                assert_eq!(noted, 1, "{about}");
                lost += 1;
            } else {
                assert_eq!(used.unwrap(), 200);
                assert_eq!(
                    (connection.state, noted),
                    (ConnectionState::Connected, 0),
                    "{cut:?}"
                );
            }
            // The provider is not asked again at every use.
            for _ in 0..2 {
                let _ = world.use_connection(&world.fresh(), CRM).await;
            }
            assert!(world.count_calls("/token").await <= 2, "{cut:?}");
        }
        if !reached {
            break;
        }
    }
    assert!(deaths >= 12, "{deaths}");
    assert_eq!(lost > 0, rotation);
    world.connect_and_import(PRODUCTION).await;
    world.stop().await;
}

for_both!(several_threads whoever_waits_for_a_dead_worker_goes_on_after_its_lease);
async fn whoever_waits_for_a_dead_worker_goes_on_after_its_lease(crm: CrmKind) {
    let world = World::start(crm).await;
    world.connect_and_import(PRODUCTION).await;
    world.advance(6).await;
    world.expire().await;
    // It holds the lease, and dies before the provider is asked.
    let connection = world.connection(CRM).await.unwrap();
    let (now, until) = (world.now(), world.now().plus_seconds(30));
    world
        .store()
        .lease_refresh(&connection, now, until)
        .await
        .unwrap();
    world.forget_calls().await;
    let (waiting, other) = (world.fresh(), world.fresh());
    let wait = async {
        tokio::join!(
            world.use_connection(&waiting, CRM),
            world.use_connection(&other, CRM)
        )
    };
    let time = async {
        tokio::time::sleep(Duration::from_millis(600)).await;
        let early = world.count_calls("/token").await;
        world.advance(LEASE_SECONDS).await;
        early
    };
    let ((used, also), early) = tokio::join!(wait, time);
    assert_eq!((used.unwrap(), also.unwrap(), early), (200, 200, 0));
    assert_eq!(world.count_calls("/token").await, 1);
    world.stop().await;
}

for_both!(a_refresh_that_fails_makes_nobody_wait);
async fn a_refresh_that_fails_makes_nobody_wait(crm: CrmKind) {
    let world = World::start(crm).await;
    world.connect_and_import(PRODUCTION).await;
    world.advance(6).await;
    world.expire().await;
    let server = if crm == CrmKind::Salesforce {
        "salesforce"
    } else {
        "entra"
    };
    for fault in [
        json!({ "kind": "drop" }),
        json!({ "kind": "garbage" }),
        json!({ "kind": "status", "status": 503 }),
        json!({ "kind": "status", "status": 400, "body": { "error": "invalid_client" } }),
    ] {
        let mut fault = fault;
        fault["system"] = json!(server);
        fault["path_contains"] = json!("/token");
        world.fault(fault.clone()).await;
        let since = Instant::now();
        let refused = world.use_connection(&world.fresh(), CRM).await.unwrap_err();
        let told = matches!(
            refused,
            SessionError::NotSent(_) | SessionError::AppRefused(_)
        );
        assert!(told, "{fault}: {refused:?}");
        assert_eq!(
            world.connection(CRM).await.unwrap().refresh_until,
            None,
            "{fault}"
        );
        assert_eq!(
            world.use_connection(&world.fresh(), CRM).await.unwrap(),
            200,
            "{fault}"
        );
        assert!(since.elapsed() < Duration::from_secs(5), "{fault}");
        world.expire().await;
    }
    // Nor does it prevent the end of the connection.
    world
        .fault(json!({ "system": server, "path_contains": "/token", "kind": "drop" }))
        .await;
    world.use_connection(&world.fresh(), CRM).await.unwrap_err();
    world.disconnect(PRODUCTION, false).await.is(202);
    world.stop().await;
}
