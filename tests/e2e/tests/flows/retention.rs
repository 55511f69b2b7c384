//! Retention of activities by the contract's setting: what is old loses its content once, and stays known (OP-3).

use axum::http::Method;
use serde_json::{Value, json};
use shared::domain::activity::ActivityState;
use shared::domain::run::{Run, RunKind, RunState};
use shared::domain::schema::CrmKind;
use shared::store::WorkKind;
use shared::testing::{Cut, Tripwire};

use super::activities::Desk;
use super::crm_connection::world::SELLER;

const DAY: i64 = 24 * 3600;
/// Longer than a lease, and than the time between a change of the setting and its run.
const ROUND: i64 = 200;
const ERASE: WorkKind = WorkKind::Run(RunKind::KeepActivities);

impl Desk {
    async fn keep(&self, settings: Value) -> (u16, Value) {
        let path = "/contract/retention";
        let answer = self.world.api(Method::PUT, path, settings).await;
        (answer.status, answer.json)
    }

    async fn last_erasure(&self) -> Option<Run> {
        let (store, contract) = (self.world.store(), &self.world.made.id);
        let run = store.last_run(contract, RunKind::KeepActivities).await;
        run.unwrap()
    }

    /// The numbers of activities and of acts towards people in the table.
    async fn kept(&self) -> (usize, usize) {
        let items = self.world.items().await;
        let of = |kind: &str| items.get(kind).copied().unwrap_or(0);
        (of("ACTIVITY"), of("REACH"))
    }

    async fn listed(&self) -> Vec<String> {
        let page = self.call(Method::GET, "", Value::Null).await.is(200).json;
        let items = page["items"].as_array().unwrap().iter();
        let ids = items.map(|item| item["id"].as_str().unwrap().to_owned());
        ids.collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_activities_lose_their_content_once_and_are_not_logged_again() {
    let mut desk = Desk::open(CrmKind::Salesforce).await;
    let mut threaded = Desk::message(&desk.ada, "old-2");
    threaded["thread"] = json!("t-1");
    let sent = [Desk::message(&desk.ada, "old-1"), threaded];
    let mut old = Vec::new();
    for item in &sent {
        old.push(desk.accepted(item.clone()).await);
    }
    // Nobody has matched the person: it waits, open and unassigned in the CRM.
    let mut unmatched = Desk::message("", "waits");
    let item = unmatched.as_object_mut().unwrap();
    item.remove("profile");
    let person =
        json!({"first_name": "Una", "last_name": "Nowhere", "emails": ["una@nowhere.example"]});
    item.insert("person".to_owned(), person);
    let waits = desk.accepted(unmatched).await;
    desk.drain().await;
    for id in &old {
        assert_eq!(desk.stored(id).await.state, ActivityState::Written);
    }
    assert_eq!(desk.stored(&waits).await.state, ActivityState::Unresolved);

    for (field, days) in [
        ("keep_activities_days", 29),
        ("keep_activities_days", 3651),
        ("keep_mirror_days", 6),
    ] {
        let (status, problem) = desk.keep(json!({ field: days })).await;
        assert_eq!((status, &problem["field"]), (422, &json!(field)));
        assert_eq!(problem["code"], "invalid_value");
    }
    let (status, view) = desk.keep(json!({ "keep_activities_days": 30 })).await;
    assert_eq!((status, &view["keep_activities_days"]), (200, &json!(30)));
    assert_eq!(view["activities_run"]["id"], "keep-activities-1");
    assert_eq!(view["retention_run"], Value::Null, "answers are as before");
    let changes = desk.world.audit("contract.retention").await;
    assert_eq!(changes[0].before["keep_activities_days"], 0);
    assert_eq!(changes[0].after["keep_activities_days"], 30);
    // Nothing is old yet.
    desk.world.advance(ROUND).await;
    assert!(desk.world.work(&desk.world.apps, ERASE).await);
    let run = desk.last_erasure().await.unwrap();
    assert_eq!(run.state, RunState::Done);
    assert!(run.counts.is_empty(), "{run:?}");
    assert_eq!(desk.kept().await, (3, 3));

    desk.world.advance(31 * DAY).await;
    desk.seat = desk.world.again(SELLER).await;
    let new = desk.accepted(Desk::message(&desk.ada, "new")).await;
    assert_eq!(desk.kept().await, (4, 4));
    desk.world.start_syncs().await;
    let run = desk.last_erasure().await.unwrap();
    assert_eq!((run.number, run.state), (2, RunState::Waiting));
    assert_eq!(run.requested_by, "schedule");
    // Its worker dies at each call in turn, and the next goes on.
    for cut in Cut::each() {
        let wire = Tripwire::cutting(cut);
        desk.world.work(&desk.world.over(&wire), ERASE).await;
        if !desk.last_erasure().await.unwrap().is_open() {
            break;
        }
        assert!(wire.has_cut());
        desk.world.advance(ROUND).await;
    }
    let run = desk.last_erasure().await.unwrap();
    assert_eq!((run.state, run.counts["activity"]), (RunState::Done, 2));
    // What stays of each identifies it; the acts towards its person are gone.
    assert_eq!(desk.kept().await, (4, 2));
    for id in &old {
        let left = desk.stored(id).await;
        assert!(left.is_erased() && left.text.is_empty() && left.key.is_empty());
        assert!(left.target.id.0.is_nil() && left.thread.is_none());
        let path = format!("/{id}");
        desk.call(Method::GET, &path, Value::Null).await.is(404);
    }
    for (id, text) in [(&waits, "text of waits."), (&new, "text of new.")] {
        assert_eq!(desk.stored(id).await.text, text);
    }
    let listed = desk.listed().await;
    assert!(listed.len() == 2 && listed.contains(&waits) && listed.contains(&new));

    // The message delivered again, and the schedule in the same day, do nothing.
    assert!(desk.world.work(&desk.world.apps, ERASE).await);
    desk.world.start_syncs().await;
    assert_eq!(desk.last_erasure().await.unwrap(), run);
    // Sent again each is the one that is in the CRM, and nobody is told of once more.
    let results = desk.send(sent.to_vec()).await;
    for (result, id) in results.iter().zip(&old) {
        assert_eq!(
            (&result["outcome"], &result["id"], &result["state"]),
            (&json!("repeated"), &json!(id), &json!("written"))
        );
        assert!(desk.stored(id).await.is_erased());
    }
    assert_eq!(desk.kept().await, (4, 2));
    assert_eq!(desk.records("text of old-1.").await.len(), 1);
    desk.stop().await;
}
