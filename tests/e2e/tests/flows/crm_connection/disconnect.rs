//! The end of a connection, with and without a clean-up: counted, revoked, and killed at every step (CN-8).

use std::time::Duration;

use axum::http::Method;
use futures::future::join_all;
use serde_json::{Value, json};
use shared::domain::mirror::{Change, Record, Value as MirrorValue, Values};
use shared::domain::schema::CrmKind;
use shared::domain::sync::{Sync, SyncState};
use shared::session::SessionError;
use shared::store::{ConnectionKind, ConnectionState, Mirror, Purge, Revocation, WorkKind};
use shared::testing::{Cut, Tripwire};

use super::world::{PRODUCTION, SANDBOX, SELLER, Who, World, for_both};

const CRM: ConnectionKind = ConnectionKind::PRODUCTION;
const END: WorkKind = WorkKind::Disconnect(CRM);
/// The partitions of imported data.
const IMPORTED: [&str; 4] = ["IMPORTED", "MIRROR", "MATCHKEY", "SEEN"];

impl World {
    /// The number of items imported from production.
    async fn imported(&self) -> usize {
        let items = self.items().await;
        let of = |name: &str| items.get(name).copied().unwrap_or(0);
        let kinds = IMPORTED.map(|kind| of(&format!("{kind}#production")));
        kinds.iter().sum::<usize>() + of("SCHEMA")
    }

    /// Mirrors `count` contacts of production, each with three match keys.
    async fn mirror(&self, count: usize) {
        let text = |text: String| MirrorValue::Text(text);
        let changes: Vec<Change> = (0..count)
            .map(|number| {
                Change::Present(Record {
                    id: format!("{number:08x}-0000-4000-8000-000000000000"),
                    modified: self.now(),
                    merged_into: None,
                    values: Values(vec![
                        ("Email", text(format!("a{number}@example.com"))),
                        ("FirstName", text("Ada".to_owned())),
                        ("LastName", text(format!("Number{number}"))),
                    ]),
                })
            })
            .collect();
        let mirror = Mirror {
            contract: &self.made.id,
            environment: PRODUCTION,
            crm: CrmKind::Salesforce,
            object: "Contact",
            default_region: None,
        };
        mirror.put_new(self.store(), &changes).await.unwrap();
    }

    /// A seat whose holder is signed in to the CRM too; returns that connection.
    async fn own_connection(&self) -> ConnectionKind {
        let seat = self.seat(SELLER).await;
        let started = self.begin_own(&seat, SELLER).await;
        self.complete(&self.apps, &started).await.is(200);
        ConnectionKind::User(seat.seat.parse().unwrap(), PRODUCTION)
    }

    /// Asserts that a connection has ended for good, and returns the outcome for its tokens.
    async fn is_over(&self, kind: ConnectionKind) -> Revocation {
        let connection = self.connection(kind).await.unwrap();
        assert_eq!(connection.state, ConnectionState::Disconnected);
        assert_eq!(connection.sealed_tokens, None);
        let end = connection.disconnect.unwrap();
        assert!(end.finished_at.is_some());
        end.revocation.unwrap()
    }

    fn revoked(&self) -> Revocation {
        match self.crm {
            CrmKind::Salesforce => Revocation::Revoked,
            // Entra lets no app revoke tokens.
            CrmKind::Dynamics365 => Revocation::NotOffered,
        }
    }
}

for_both!(a_disconnect_without_a_clean_up_keeps_what_was_imported);
async fn a_disconnect_without_a_clean_up_keeps_what_was_imported(crm: CrmKind) {
    end_and_count(crm, false).await;
}

for_both!(a_disconnect_with_a_clean_up_counts_what_it_deletes);
async fn a_disconnect_with_a_clean_up_counts_what_it_deletes(crm: CrmKind) {
    end_and_count(crm, true).await;
}

async fn end_and_count(crm: CrmKind, clean_up: bool) {
    let world = World::start(crm).await;
    world.connect_and_import(PRODUCTION).await;
    world.connect(SANDBOX).await.is(200);
    world.drain().await;
    let own = world.own_connection().await;
    world.fill(PRODUCTION, 20).await;
    world.fill(SANDBOX, 5).await;
    let before = world.items().await;
    let found = world.imported().await;
    // With the report, the options and the lead fields.
    assert!(found >= 23, "{found}");
    let (tokens, own_tokens) = (world.tokens(CRM).await, world.tokens(own).await);

    let asked = world.disconnect(PRODUCTION, clean_up).await.is(202).json;
    assert_eq!(asked["clean_up"], clean_up);
    assert_eq!(asked["finished_at"], Value::Null);
    let view = world.view(PRODUCTION).await;
    assert_eq!(
        (&view["status"], &view["message"]),
        (&json!("disconnecting"), &json!("Disconnecting."))
    );
    // From now on it is used for nothing else, and asked for again it is the same end.
    let refused = world.use_connection(&world.apps, CRM).await.unwrap_err();
    assert!(matches!(refused, SessionError::NotConnected), "{refused:?}");
    assert_eq!(
        world.connect(PRODUCTION).await.code(),
        "disconnect_in_progress"
    );
    assert_eq!(world.sync_now(PRODUCTION).await.code(), "not_connected");
    world.advance(1).await;
    let again = world.disconnect(PRODUCTION, !clean_up).await.is(202).json;
    assert_eq!(again, asked);

    assert_eq!(world.settle().await, 0, "the messages are enough");
    assert_eq!(world.is_over(CRM).await, world.revoked());
    assert_eq!(world.is_over(own).await, world.revoked());
    if crm == CrmKind::Salesforce {
        for tokens in [&tokens, &own_tokens] {
            assert!(!world.lets_in(tokens).await && !world.renews(tokens).await);
        }
    }
    let view = world.view(PRODUCTION).await;
    assert_eq!(
        (&view["status"], &view["message"]),
        (&json!("not_connected"), &json!("Not connected."))
    );
    assert_eq!(view["guide"]["step_number"], 1);
    assert_eq!(view["guide"]["choice"]["crm"], json!(crm));
    assert_eq!(view["disconnect"]["revocation"], json!(world.revoked()));
    let purge = json!({ "found": found, "deleted": found, "left": 0 });
    assert_eq!(
        view["disconnect"]["purge"],
        if clean_up { purge } else { Value::Null }
    );

    // Only the data asked for is gone.
    let mut expected = before;
    if clean_up {
        assert_eq!(world.imported().await, 0);
        for kind in IMPORTED {
            expected.remove(&format!("{kind}#production"));
        }
        expected.remove("SCHEMA");
        assert_eq!(view["missing_permissions"], json!([]));
        assert_eq!(view["sync"]["last_success_at"], Value::Null);
    }
    let mut after = world.items().await;
    for changing in ["AUDIT", "OAUTH"] {
        expected.remove(changing);
        after.remove(changing);
    }
    assert_eq!(after, expected, "{crm:?}, clean-up: {clean_up}");
    assert_eq!(world.view(SANDBOX).await["message"], "Connected.");
    let sandbox = ConnectionKind::Crm(SANDBOX);
    assert_eq!(
        world.use_connection(&world.apps, sandbox).await.unwrap(),
        200
    );

    for action in ["connection.disconnect", "connection.disconnected"] {
        let targets: Vec<String> = world
            .audit(action)
            .await
            .into_iter()
            .map(|entry| entry.target)
            .collect();
        assert_eq!(targets.len(), 2, "{targets:?}");
        assert!(targets.contains(&CRM.to_string()) && targets.contains(&own.to_string()));
    }
    let gone = world.disconnect(PRODUCTION, clean_up).await;
    assert_eq!((gone.status, gone.code()), (409, "not_connected"));
    world.stop().await;
}

/// A contract can set how long what a CRM has left is kept (OP-3).
#[tokio::test]
async fn what_a_disconnected_crm_left_is_deleted_when_its_time_is_over() {
    const DAY: i64 = 24 * 3600;
    let world = World::start(CrmKind::Salesforce).await;
    world.connect_and_import(PRODUCTION).await;
    world.fill(PRODUCTION, 20).await;
    let days = json!({ "keep_mirror_days": 30 });
    let put = world.api(Method::PUT, "/contract/retention", days).await;
    assert_eq!(put.is(200).json["keep_mirror_days"], 30);
    world.disconnect(PRODUCTION, false).await.is(202);
    world.settle().await;
    let found = world.imported().await;
    assert!(found >= 20, "{found}");

    world.advance(29 * DAY).await;
    world.start_syncs().await;
    assert!(world.open_work().await.is_empty());
    world.advance(2 * DAY).await;
    // The schedule runs once more before anybody has done the work.
    world.start_syncs().await;
    world.start_syncs().await;
    assert_eq!(world.open_work().await, [END]);
    assert_eq!(world.imported().await, found);
    world.settle().await;
    assert_eq!(world.imported().await, 0);
    // The tokens were revoked at the first end.
    assert_eq!(world.is_over(CRM).await, world.revoked());
    let purge = json!({ "found": found, "deleted": found, "left": 0 });
    let view = world.view(PRODUCTION).await;
    assert_eq!(view["disconnect"]["purge"], purge);
    let ends = world.audit("connection.disconnected").await;
    assert_eq!((ends.len(), ends[0].actor.as_str()), (2, "schedule"));

    // Nothing is left to delete, and a new connection is as any.
    world.start_syncs().await;
    assert!(world.open_work().await.is_empty());
    world.connect_and_import(PRODUCTION).await;
    world.stop().await;
}

for_both!(a_worker_that_dies_at_any_step_of_the_end_changes_nothing);
async fn a_worker_that_dies_at_any_step_of_the_end_changes_nothing(crm: CrmKind) {
    let world = World::start(crm).await;
    world.connect_and_import(PRODUCTION).await;
    let own = world.own_connection().await;
    world.fill(PRODUCTION, 27).await;
    world.disconnect(PRODUCTION, true).await.is(202);
    world.mirror(30).await;
    let found = world.imported().await as u64;
    assert!(found >= 120, "{found}");
    let snapshot = world.snapshot().await;
    // Hundreds of steps are looks at one partition each: of those some, and all around them.
    let wire = Tripwire::new();
    assert!(world.work(&world.over(&wire), END).await);
    let steps = wire.aws_calls() + wire.outside_calls();
    world.settle().await;
    let mut deaths = world.audit("connection.disconnected").await.len() / 2;
    let chosen = |n: usize| n < 14 || (n - 14).is_multiple_of(400) || n + 10 >= steps;
    for (n, cut) in Cut::each().enumerate().take(steps + 2) {
        if !chosen(n) {
            continue;
        }
        // As it was when the end was asked for, with tokens that are good.
        world.reset(&snapshot).await;
        let (tokens, own_tokens) = (world.new_tokens(CRM).await, world.new_tokens(own).await);

        let wire = Tripwire::cutting(cut);
        world.work(&world.over(&wire), END).await;
        world.settle().await;

        let about = format!("{crm:?} {cut:?}");
        let end = world.connection(CRM).await.unwrap().disconnect.unwrap();
        let purge = Purge {
            found,
            deleted: found,
            left: Some(0),
            counted: None,
        };
        assert_eq!(end.purge, Some(purge), "{about}");
        assert_eq!(world.imported().await, 0, "{about}");
        for (kind, tokens) in [(CRM, &tokens), (own, &own_tokens)] {
            let revocation = world.is_over(kind).await;
            if crm == CrmKind::Salesforce {
                // A second request after an unread reply is answered as done.
                let known = [Revocation::Revoked, Revocation::AlreadyEnded];
                assert!(known.contains(&revocation), "{about}");
                assert!(!world.renews(tokens).await, "{about}");
            } else {
                assert_eq!(revocation, Revocation::NotOffered, "{about}");
            }
        }
        deaths += 1;
        let entries = world.audit("connection.disconnected").await;
        for kind in [CRM, own].map(|kind| kind.to_string()) {
            let of = entries.iter().filter(|entry| entry.target == kind);
            assert_eq!(of.count(), deaths, "{about}: {kind}");
        }
        assert_eq!(world.view(PRODUCTION).await["guide"]["step_number"], 1);
        assert!(wire.has_cut() || n + 10 > steps, "{about} of {steps}");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_clean_up_begins_when_no_worker_has_the_import() {
    let world = World::start(CrmKind::Salesforce).await;
    world.connect_and_import(PRODUCTION).await;
    world.mirror(10).await;
    let found = world.imported().await;
    // A run that a worker has for another 100 seconds.
    let leased = async |lease: Option<i64>| {
        let before = world
            .store()
            .sync(&world.made.id, PRODUCTION)
            .await
            .unwrap();
        let mut sync = Sync::requested(PRODUCTION, before.as_ref(), "test", world.now()).unwrap();
        sync.lease_until = lease.map(|seconds| world.now().plus_seconds(seconds));
        world.store().put_sync(&world.made.id, &sync).await.unwrap();
    };
    leased(Some(100)).await;
    world.disconnect(PRODUCTION, true).await.is(202);
    assert!(world.work(&world.apps, END).await);
    let end = world.connection(CRM).await.unwrap().disconnect.unwrap();
    assert_eq!(end.revocation, Some(Revocation::Revoked));
    assert_eq!((end.purge, world.imported().await), (None, found));
    let due = async || {
        let due = world.store().due_work(world.now(), 100).await.unwrap();
        due.iter().any(|(_, work)| *work == END)
    };
    // No worker is sent there before the lease has ended.
    world.advance(90).await;
    assert!(!due().await);
    world.advance(11).await;
    assert!(due().await);
    world.settle().await;
    world.is_over(CRM).await;
    assert_eq!(world.imported().await, 0);
    let run = world
        .store()
        .sync(&world.made.id, PRODUCTION)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((run.state, run.last_success_at), (SyncState::Failed, None));

    // An import that only waits is ended at once, and its worker comes too late.
    world.connect_and_import(PRODUCTION).await;
    leased(None).await;
    world.disconnect(PRODUCTION, true).await.is(202);
    assert!(world.work(&world.apps, END).await);
    world.is_over(CRM).await;
    let run = world
        .store()
        .sync(&world.made.id, PRODUCTION)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(run.state, SyncState::Failed);
    world.stop().await;
}

#[tokio::test]
async fn hundreds_of_items_are_cleaned_up_by_workers_that_never_get_far() {
    let world = World::start(CrmKind::Salesforce).await;
    world.connect_and_import(PRODUCTION).await;
    world.fill(PRODUCTION, 330).await;
    world.mirror(300).await;
    world.disconnect(PRODUCTION, true).await.is(202);
    let found = world.imported().await;
    let mut left = vec![found];
    for steps in (60..).step_by(20).take(60) {
        let wire = Tripwire::cutting(Cut::Before(steps));
        world.work(&world.over(&wire), END).await;
        left.push(world.imported().await);
        let state = world.connection(CRM).await.unwrap().state;
        if state == ConnectionState::Disconnected {
            break;
        }
    }
    left.dedup();
    assert!(
        left.is_sorted_by(|before, after| before >= after),
        "{left:?}"
    );
    assert!(
        left.iter().filter(|left| **left > 0).count() >= 3,
        "several workers: {left:?}"
    );
    let purge = Purge {
        found: found as u64,
        deleted: found as u64,
        left: Some(0),
        counted: None,
    };
    let end = world.connection(CRM).await.unwrap().disconnect.unwrap();
    assert_eq!((end.purge, world.imported().await), (Some(purge), 0));
    world.is_over(CRM).await;
    world.stop().await;
}

for_both!(whoever_asks_for_the_end_and_dies_has_asked_or_has_not);
async fn whoever_asks_for_the_end_and_dies_has_asked_or_has_not(crm: CrmKind) {
    let world = World::start(crm).await;
    let mut asked = 0;
    for n in 0.. {
        let mut reached = false;
        for cut in [Cut::Before(n), Cut::After(n)] {
            world.connect(PRODUCTION).await.is(200);
            world.settle().await;
            let wire = Tripwire::cutting(cut);
            let body = json!({ "clean_up": false });
            let path = "/api/v1/crm-connections/production/disconnect";
            let dying = world.over(&wire);
            let answer = world
                .call(&dying, Who::Administrator, Method::POST, path, &body)
                .await;
            reached |= wire.has_cut();
            let state = world.connection(CRM).await.unwrap().state;
            if answer.status == 202 {
                assert_eq!(state, ConnectionState::Disconnecting, "{cut:?}");
            }
            if state == ConnectionState::Disconnecting {
                asked += 1;
                world.settle().await;
                world.is_over(CRM).await;
            } else {
                // It stands as if the end had never been asked for.
                assert_eq!(
                    world.use_connection(&world.fresh(), CRM).await.unwrap(),
                    200
                );
                world.disconnect(PRODUCTION, false).await.is(202);
                world.settle().await;
            }
        }
        if !reached {
            break;
        }
    }
    assert!(asked >= 3, "{asked}");
    world.stop().await;
}

for_both!(several_threads messages_at_once_and_again_make_one_end);
async fn messages_at_once_and_again_make_one_end(crm: CrmKind) {
    let world = World::start(crm).await;
    world.connect_and_import(PRODUCTION).await;
    world.fill(PRODUCTION, 60).await;
    let found = world.imported().await as u64;
    world.disconnect(PRODUCTION, true).await.is(202);
    let workers: Vec<_> = (0..6).map(|_| world.fresh()).collect();
    let done = join_all(workers.iter().map(|apps| world.work(apps, END))).await;
    assert!(done.into_iter().all(|done| done), "none is delivered again");
    world.settle().await;
    for apps in &workers {
        assert!(world.work(apps, END).await);
    }
    world.is_over(CRM).await;
    let purge = world
        .connection(CRM)
        .await
        .unwrap()
        .disconnect
        .unwrap()
        .purge
        .unwrap();
    assert_eq!(
        (purge.found, purge.deleted, purge.left),
        (found, found, Some(0))
    );
    assert_eq!(world.audit("connection.disconnected").await.len(), 1);
    world.stop().await;
}

#[tokio::test]
async fn a_provider_that_does_not_answer_is_asked_again_and_never_blocks_the_end() {
    let world = World::start(CrmKind::Salesforce).await;
    let revoke = |kind: Value, times: i32| {
        let mut fault = kind;
        fault["system"] = json!("salesforce");
        fault["path_contains"] = json!("/revoke");
        fault["times"] = json!(times);
        fault
    };
    for (fault, times, minutes, revocation) in [
        (json!({ "kind": "drop" }), 1, 1, Revocation::Revoked),
        (
            json!({ "kind": "status", "status": 503 }),
            3,
            3,
            Revocation::Revoked,
        ),
        // It was done, but the answer was lost.
        (
            json!({ "kind": "lost_reply" }),
            1,
            1,
            Revocation::AlreadyEnded,
        ),
        (
            json!({ "kind": "status", "status": 500 }),
            -1,
            29,
            Revocation::NotReached,
        ),
    ] {
        world.connect_and_import(PRODUCTION).await;
        let tokens = world.tokens(CRM).await;
        world.fault(revoke(fault.clone(), times)).await;
        world.disconnect(PRODUCTION, true).await.is(202);
        assert_eq!(world.settle().await, minutes, "{fault}");
        world.no_faults().await;
        assert_eq!(world.is_over(CRM).await, revocation, "{fault}");
        assert_eq!(world.imported().await, 0, "{fault}");
        let alive = world.renews(&tokens).await;
        assert_eq!(alive, revocation == Revocation::NotReached, "{fault}");
    }
    let view = world.view(PRODUCTION).await;
    assert_eq!(view["disconnect"]["revocation"], "not_reached");
    assert_eq!(view["disconnect"]["attempts"], 30);
    world.stop().await;
}

for_both!(several_threads what_an_import_reads_after_the_end_is_not_kept);
async fn what_an_import_reads_after_the_end_is_not_kept(crm: CrmKind) {
    let world = World::start(crm).await;
    let (system, path) = match crm {
        CrmKind::Salesforce => ("salesforce", "/composite"),
        CrmKind::Dynamics365 => ("dataverse", "$batch"),
    };
    let slow = json!({ "system": system, "path_contains": path, "kind": "slow", "delay_ms": 1500 });
    for reconnect in [false, true] {
        world.connect_and_import(PRODUCTION).await;
        world.sync_now(PRODUCTION).await.is(202);
        let late = world.fresh();
        world.fault(slow.clone()).await;
        let organization = world.view(PRODUCTION).await["organization"].clone();
        let import = world.work(&late, WorkKind::Sync(PRODUCTION));
        // A clean-up waits for the worker; without one the end, and another connection, do not.
        let end = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            world.disconnect(PRODUCTION, !reconnect).await.is(202);
            assert!(world.work(&world.apps, END).await);
            if reconnect {
                world.is_over(CRM).await;
                world.advance(5).await;
                let mut started = world.begin_crm(&world.apps, PRODUCTION).await;
                world.in_the_other_organization(&mut started).await;
                world.complete(&world.apps, &started).await.is(200);
            }
        };
        let (done, ()) = tokio::join!(import, end);
        assert!(done);
        world.no_faults().await;
        let view = world.view(PRODUCTION).await;
        if reconnect {
            // The late worker has not touched the new connection's import either.
            assert_ne!(view["organization"], organization);
            assert_eq!(view["sync"]["state"], "queued", "{}", view["sync"]);
            assert_eq!(view["permissions_checked_at"], world.now().0);
            assert_eq!(view["problem"], Value::Null);
            world.settle().await;
            assert_eq!(world.view(PRODUCTION).await["message"], "Connected.");
            assert!(world.imported().await >= 3);
        } else {
            world.settle().await;
            world.is_over(CRM).await;
            assert_eq!(world.imported().await, 0);
            assert_eq!(world.view(PRODUCTION).await["status"], "not_connected");
        }
    }
    world.stop().await;
}

for_both!(several_threads no_token_of_a_refresh_that_is_under_way_survives_the_end);
async fn no_token_of_a_refresh_that_is_under_way_survives_the_end(crm: CrmKind) {
    let world = World::start(crm).await;
    world.settings(json!({ "refresh_rotation": true })).await;
    let server = if crm == CrmKind::Salesforce {
        "salesforce"
    } else {
        "entra"
    };
    let slow =
        json!({ "system": server, "path_contains": "/token", "kind": "slow", "delay_ms": 700 });
    let expire = json!({ "provider": world.system() });
    // A refresh that ends in its time, and one that outlives its lease.
    for outlives in [false, true] {
        world.connect_and_import(PRODUCTION).await;
        let before = world.tokens(CRM).await;
        world
            .control(Method::POST, "/tokens/expire", expire.clone())
            .await;
        world.fault(slow.clone()).await;
        let late = world.fresh();
        world.forget_calls().await;
        let refresh = world.use_connection(&late, CRM);
        let end = async {
            tokio::time::sleep(Duration::from_millis(250)).await;
            if outlives {
                world.advance(31).await;
            }
            world.disconnect(PRODUCTION, false).await.is(202);
            world.tokens(CRM).await
        };
        let (used, kept) = tokio::join!(refresh, end);
        world.no_faults().await;
        world.settle().await;
        let revocation = world.is_over(CRM).await;
        if outlives {
            // The second of the two was answered as done.
            let known = [world.revoked(), Revocation::AlreadyEnded];
            assert!(known.contains(&revocation), "{revocation:?}");
            assert!(used.is_err());
            assert_eq!(kept.refresh_token, before.refresh_token);
        } else {
            assert_eq!(revocation, world.revoked());
            assert_ne!(
                kept.refresh_token, before.refresh_token,
                "the refreshed ones are ended"
            );
        }
        if crm == CrmKind::Salesforce {
            let revoked = world.count_calls("/revoke").await;
            assert_eq!(
                revoked,
                if outlives { 2 } else { 1 },
                "{:?}",
                world.calls().await
            );
            for tokens in [&before, &kept] {
                assert!(!world.renews(tokens).await && !world.lets_in(tokens).await);
            }
        }
    }
    world.stop().await;
}
