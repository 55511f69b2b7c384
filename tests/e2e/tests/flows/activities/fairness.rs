//! Fairness: an archive delays neither today's activities nor those of another contract (OP-4, WB-7).

use std::sync::Arc;

use console::ActivityShare;
use shared::domain::activity::{Draft, Given};
use shared::domain::directory::{EntryId, EntryKind, EntryRef};

use super::*;

/// The share of the queue in this test. The real one is 1,000: of a hundred times as many activities, the
/// same number are on the queue.
const SHARE: usize = 10;
/// Old activities that are sent.
const OLD: usize = 40;

/// Has a worker take one batch of the queue.
async fn one_batch(desk: &Desk) {
    let sqs = shared::aws::sqs(&desk.world.stack.aws);
    let (queue, app) = (&desk.world.stack.queue_url, &desk.world.apps.writeback);
    let batch = local::poll_queue(&sqs, queue, |batch| crm_writeback::handle(app, batch));
    assert!(batch.await.unwrap() > 0);
}

#[tokio::test]
async fn an_archive_delays_neither_todays_activity_nor_another_contract_by_more_than_a_batch() {
    let desk = Desk::open(CrmKind::Salesforce).await;
    let mut apps = desk.world.fresh();
    let mut console = console::App::new(
        apps.console.remote.clone(),
        apps.console.queue.clone(),
        apps.console.import_queue.clone(),
        apps.console.public_url.clone(),
    );
    console.activity_share = ActivityShare::announcing(u32::try_from(SHARE).unwrap());
    apps.console = Arc::new(console);
    let send = async |items: Vec<Value>| {
        let body = json!({ "items": items });
        let answer = desk.by(&apps, Method::POST, "", body).await.is(200);
        let results = answer.json["results"].as_array().unwrap().clone();
        let id = |result: &Value| result["id"].as_str().unwrap().to_owned();
        results.iter().map(id).collect::<Vec<_>>()
    };
    // A message of each thread; THEN is long ago.
    let archive = (0..OLD).map(|n| {
        let mut message = Desk::message(&desk.ada, &format!("old-{n}"));
        message["thread"] = json!(format!("t{n}"));
        message
    });
    let old = send(archive.collect()).await;
    let today = |key: &str, thread: usize| {
        let mut message = Desk::message(&desk.leo, key);
        message["occurred_at"] = json!(desk.world.now().0);
        message["thread"] = json!(format!("t{thread}"));
        message
    };
    let mut answer = today("answer", OLD - 1);
    answer["profile"] = json!(desk.ada);
    let new = send(vec![today("today", OLD + 1), answer]).await;
    // Another contract's activity stands behind all of them.
    let other = desk.world.another("elsewhere", CrmKind::Salesforce).await;
    let given = Given {
        key: "other".to_owned(),
        kind: "message".to_owned(),
        occurred_at: desk.world.now(),
        text: "Hello".to_owned(),
        ..Given::default()
    };
    let target = EntryRef {
        kind: EntryKind::Profile,
        id: EntryId(uuid::Uuid::nil()),
    };
    let draft = Draft::check(given, target.kind, desk.world.now()).unwrap();
    let other = draft.with(&other.id, desk.seat_id(), target, "P", desk.world.now());
    let store = desk.world.store();
    store.accept_activities(std::slice::from_ref(&other)).await;
    let ids = [(other.seat, other.id)];
    for message in WritebackMessage::activities(&other.contract, ids) {
        apps.console.queue.send(&message, 0).await.unwrap();
    }
    one_batch(&desk).await;
    assert_eq!(desk.stored(&new[0]).await.state, ActivityState::Written);
    let stored = store.activity(&other.contract, other.seat, other.id).await;
    let stored = stored.unwrap().unwrap();
    assert_ne!(stored.state, ActivityState::Planned);
    let written = async || {
        let mut written = 0;
        for id in &old {
            written += usize::from(desk.stored(id).await.state == ActivityState::Written);
        }
        written
    };
    assert_eq!(written().await, SHARE);
    // What an activity of today waits for in its thread does not wait for its turn.
    desk.drain().await;
    assert_eq!(written().await, SHARE + 1);
    assert_eq!(
        desk.stored(&old[OLD - 1]).await.state,
        ActivityState::Written
    );
    // The sweep goes on with the rest.
    desk.world.advance(61).await;
    desk.sweep().await;
    assert_eq!(written().await, OLD);
    desk.settle(&[&new[1]], ActivityState::Written, "answer")
        .await;
    assert_eq!(desk.records("text of old-").await.len(), OLD);
    desk.stop().await;
}

/// WB-7: one sweep is enough for a flood of today's activities, of which each part is announced when the one
/// before is written.
#[tokio::test]
async fn a_flood_of_activities_waits_for_no_further_sweep() {
    let desk = Desk::open(CrmKind::Salesforce).await;
    let flood = (0..OLD).map(|n| {
        let mut message = Desk::message(&desk.ada, &format!("flood-{n}"));
        message["occurred_at"] = json!(desk.world.now().0);
        message
    });
    let sent = desk.send(flood.collect()).await;
    desk.lose_messages().await;
    desk.world.advance(300).await;
    let resync = &desk.world.apps.resync;
    let few = lead_resync::App {
        remote: resync.remote.clone(),
        queue: resync.queue.clone(),
        activities_at_once: 7,
    };
    let swept = lead_resync::handle(&few, lead_resync::Task::Sweep).await;
    assert_eq!(swept.unwrap().activities, 7);
    desk.drain().await;
    for result in sent {
        let stored = desk.stored(result["id"].as_str().unwrap()).await;
        assert_eq!(stored.state, ActivityState::Written, "{}", stored.key);
    }
    assert_eq!(desk.records("text of flood-").await.len(), OLD);
    desk.stop().await;
}

#[tokio::test]
async fn a_seat_holders_waiting_activities_are_found_behind_those_of_others() {
    let world = World::start(CrmKind::Salesforce).await;
    let (contract, store, now) = (&world.made.id, world.store(), world.now());
    let target = EntryRef {
        kind: EntryKind::Profile,
        id: EntryId(uuid::Uuid::nil()),
    };
    let message = |key: u128, seat: SeatId| {
        let given = Given {
            key: key.to_string(),
            kind: "note".to_owned(),
            occurred_at: now,
            text: "Hello".to_owned(),
            ..Given::default()
        };
        let draft = Draft::check(given, target.kind, now).unwrap();
        draft.with(contract, seat, target, "P", now)
    };
    let [own, other] = [1, 2].map(|number| SeatId(uuid::Uuid::from_u128(number)));
    let mut all: Vec<Activity> = (0..3).map(|key| message(key, other)).collect();
    let mut last = message(7, own);
    last.due_at = now.plus_seconds(600);
    let expected = vec![(own, last.id)];
    all.push(last);
    for accepted in store.accept_activities(&all).await {
        accepted.unwrap();
    }
    let found = store.waiting_activities(contract, Some(own), now, 2).await;
    assert_eq!(found.unwrap(), expected);
    let found = store.waiting_activities(contract, None, now, 2).await;
    assert_eq!(found.unwrap().len(), 2);
    world.stop().await;
}
