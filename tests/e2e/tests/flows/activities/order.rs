//! Order within a thread, whichever workers have its activities (WB-7).

use super::*;

/// A message of a thread, some minutes after the first.
fn in_thread(desk: &Desk, key: &str, thread: &str, minutes: i64) -> Value {
    let mut message = Desk::message(&desk.ada, key);
    message["thread"] = json!(thread);
    message["occurred_at"] = json!(THEN + 60_000 * minutes);
    message
}

for_both!(a_later_message_of_a_thread_waits_for_an_earlier_one_of_another_worker);
async fn a_later_message_of_a_thread_waits_for_an_earlier_one_of_another_worker(crm: CrmKind) {
    let mut desk = Desk::open(crm).await;
    let wire = Tripwire::cutting(Cut::After(1));
    // The CRM is busy, or the worker of the earlier one dies.
    for (case, worker) in [
        ("busy", desk.world.fresh()),
        ("dead", desk.world.over(&wire)),
    ] {
        desk.seat = desk.world.again(SELLER).await;
        let [early, late, other] = ["early", "late", "other"].map(|name| format!("{case}-{name}"));
        let send = async |key: &str, thread: &str, minutes: i64| {
            desk.accepted(in_thread(&desk, key, thread, minutes)).await
        };
        let first = send(&early, case, 0).await;
        let second = send(&late, case, 1).await;
        let third = send(&other, "another", 2).await;
        if case == "busy" {
            let busy = json!({
                "system": desk.world.system(), "method": "POST", "skip": 1, "kind": "status", "status": 503,
                "path_contains": desk.field("/composite", "$batch"),
            });
            desk.world.fault(busy).await;
        }
        desk.work(&worker, &[&first]).await;
        desk.world.no_faults().await;
        assert!(desk.stored(&first).await.goes_first(), "{case}");
        // Another worker has the later one, and one of another thread.
        desk.work(&desk.world.fresh(), &[&second, &third]).await;
        let held = desk.stored(&second).await;
        assert_eq!(
            (held.state, held.attempts, held.takes),
            (ActivityState::Waiting, 0, 0),
            "{case}"
        );
        assert_eq!(desk.records(&format!("text of {late}.")).await.len(), 0);
        desk.record(&format!("text of {other}."), case).await;
        desk.settle(&[&first, &second], ActivityState::Written, case)
            .await;
        for key in [&early, &late] {
            desk.record(&format!("text of {key}."), case).await;
        }
    }
    desk.stop().await;
}

#[tokio::test]
async fn a_message_that_failed_holds_up_none_of_its_thread() {
    let desk = Desk::open(CrmKind::Salesforce).await;
    let deny = json!({"denied": {"Task": ["create"]}});
    desk.world.settings(deny).await;
    let failed = desk.accepted(in_thread(&desk, "failed", "t", 0)).await;
    desk.drain().await;
    assert_eq!(desk.stored(&failed).await.state, ActivityState::Failed);
    desk.world.settings(json!({"denied": {}})).await;
    let later = desk.accepted(in_thread(&desk, "later", "t", 1)).await;
    desk.drain().await;
    assert_eq!(desk.stored(&later).await.state, ActivityState::Written);
    // Sent again it has its place in the thread again.
    let path = format!("/{failed}/send");
    desk.call(Method::POST, &path, Value::Null).await.is(202);
    desk.lose_messages().await;
    let last = desk.accepted(in_thread(&desk, "last", "t", 2)).await;
    desk.work(&desk.world.apps, &[&last]).await;
    assert_eq!(desk.stored(&last).await.state, ActivityState::Waiting);
    desk.settle(&[&failed, &last], ActivityState::Written, "again")
        .await;
    for text in ["text of failed.", "text of later.", "text of last."] {
        desk.record(text, text).await;
    }
    desk.stop().await;
}

#[tokio::test]
async fn a_message_whose_sign_in_is_there_is_announced_by_a_later_one_of_its_thread() {
    let desk = Desk::without_sign_in(CrmKind::Salesforce).await;
    let early = desk.accepted(in_thread(&desk, "early", "t", 0)).await;
    let late = desk.accepted(in_thread(&desk, "late", "t", 1)).await;
    desk.drain().await;
    for id in [&early, &late] {
        let stored = desk.stored(id).await;
        assert_eq!(stored.state, ActivityState::WaitingForSignIn);
    }
    desk.world.sign_in_own(&desk.seat, SELLER).await.is(200);
    desk.lose_messages().await;
    // A sweep that announces no more than it may has announced the later one only.
    desk.work(&desk.world.fresh(), &[&late]).await;
    assert_eq!(desk.stored(&late).await.state, ActivityState::Waiting);
    desk.drain().await;
    assert_eq!(desk.stored(&early).await.state, ActivityState::Written);
    desk.settle(&[&late], ActivityState::Written, "late").await;
    for text in ["text of early.", "text of late."] {
        desk.record(text, text).await;
    }
    desk.stop().await;
}
