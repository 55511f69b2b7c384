//! Notes of Salesforce: a `ContentNote` and its link, or a classic `Note`, each once (WB-2, WB-7).

use super::*;

/// A note with a text that others have too.
fn note(profile: &str, key: &str, text: &str) -> Value {
    let mut note = Desk::message(profile, key);
    note["kind"] = json!("note");
    note["text"] = json!(text);
    note
}

impl Desk {
    /// Plants a fault at the n-th call to Salesforce that writes or reads several rows.
    async fn at_call(&self, number: usize, kind: &str) {
        let fault = json!({
            "system": "salesforce", "method": "POST", "path_contains": "/composite", "skip": number,
            "kind": kind,
        });
        self.world.fault(fault).await;
    }

    async fn rows(&self, object: &str) -> Vec<Value> {
        let path = format!("/records/salesforce/{object}");
        let rows = self.world.control(Method::GET, &path, Value::Null).await;
        rows.as_array().unwrap().clone()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_note_is_there_once_whichever_reply_is_lost_or_worker_dies() {
    let mut desk = Desk::open(CrmKind::Salesforce).await;
    // Two notes of one text to one person: each is its own.
    let same = "Asks for an offer.";
    let first = desk.accepted(note(&desk.ada, "same-0", same)).await;
    desk.drain().await;
    assert_eq!(desk.stored(&first).await.state, ActivityState::Written);
    // The first call reads the rules, the second makes the note, the third links it.
    for number in [1, 2] {
        for kind in ["lost_reply", "drop"] {
            desk.seat = desk.world.again(SELLER).await;
            let about = format!("{kind} at {number}");
            let id = desk.accepted(note(&desk.ada, &about, same)).await;
            let before = desk.records(same).await.len();
            desk.at_call(number, kind).await;
            desk.work(&desk.world.fresh(), &[&id]).await;
            desk.world.no_faults().await;
            desk.settle(&[&id], ActivityState::Written, &about).await;
            assert_eq!(desk.records(same).await.len(), before + 1, "{about}");
        }
    }
    for cut in Cut::each() {
        desk.seat = desk.world.again(SELLER).await;
        let about = format!("{cut:?}");
        let id = desk.accepted(note(&desk.ada, &about, &about)).await;
        let wire = Tripwire::cutting(cut);
        desk.work(&desk.world.over(&wire), &[&id]).await;
        desk.settle(&[&id], ActivityState::Written, &about).await;
        let found = desk.record(&about, &about).await;
        let attached = (Some(desk.contact.clone()), true);
        assert_eq!(desk.belongs(&found), attached, "{about}");
        let stored = desk.stored(&id).await.record.unwrap();
        assert_eq!(json!(stored.id), found["Id"], "{about}");
        if !wire.has_cut() {
            break;
        }
    }
    desk.stop().await;
}

#[tokio::test]
async fn two_hundred_notes_take_two_calls_and_one_whose_record_is_gone_waits() {
    let desk = Desk::open(CrmKind::Salesforce).await;
    let mut ids = Vec::new();
    for part in 0..2 {
        let items = (0..100).map(|n| note(&desk.ada, &format!("{part}-{n}"), "Many of these."));
        for result in desk.send(items.collect()).await {
            ids.push(result["id"].as_str().unwrap().to_owned());
        }
    }
    let gone = desk
        .accepted(note(&desk.leo, "gone", "Nobody is here."))
        .await;
    let path = format!("/records/salesforce/Lead/{}", desk.lead);
    desk.world.control(Method::DELETE, &path, Value::Null).await;
    let before = desk.world.count_calls("/composite").await;
    let ids: Vec<&String> = ids.iter().collect();
    desk.work(&desk.world.fresh(), &ids).await;
    // The rules, the notes, their links.
    assert_eq!(desk.world.count_calls("/composite").await - before, 3);
    assert_eq!(desk.records("Many of these.").await.len(), 200);
    for id in ids {
        assert_eq!(desk.stored(id).await.state, ActivityState::Written);
    }
    desk.work(&desk.world.apps, &[&gone]).await;
    let waits = desk.stored(&gone).await;
    assert_eq!(waits.state, ActivityState::Unresolved);
    let found = desk.record("Nobody is here.", "gone").await;
    assert_eq!(desk.belongs(&found), (None, false));
    desk.stop().await;
}

#[tokio::test]
async fn a_form_of_notes_that_is_switched_between_two_attempts_doubles_none_and_stops_no_other() {
    let mut desk = Desk::open(CrmKind::Salesforce).await;
    let known = desk.accepted(note(&desk.ada, "known", "Known.")).await;
    desk.drain().await;
    assert_eq!(desk.stored(&known).await.state, ActivityState::Written);
    // The worker still knows the form of before, and looks for a note in an object that is there no more.
    let hidden = desk.accepted(note(&desk.ada, "hidden", "Hidden.")).await;
    let fault = json!({
        "system": "salesforce", "method": "POST", "path_contains": "/composite/sobjects", "kind": "drop",
        "times": 9,
    });
    desk.world.fault(fault).await;
    desk.work(&desk.world.apps, &[&hidden]).await;
    desk.world.no_faults().await;
    assert_eq!(desk.stored(&hidden).await.state, ActivityState::Waiting);
    let off = json!({ "enhanced_notes": false });
    desk.world.settings(off).await;
    let beside = desk.accepted(Desk::message(&desk.leo, "beside")).await;
    desk.world.advance(200).await;
    desk.work(&desk.world.apps, &[&hidden, &beside]).await;
    for id in [&hidden, &beside] {
        let stored = desk.stored(id).await;
        assert_eq!(
            stored.state,
            ActivityState::Written,
            "{:?}",
            stored.failures
        );
    }

    // The reply is lost, and what is made since has another form.
    desk.seat = desk.world.again(SELLER).await;
    let lost = desk.accepted(note(&desk.leo, "lost", "Lost.")).await;
    desk.at_call(1, "lost_reply").await;
    desk.work(&desk.world.fresh(), &[&lost]).await;
    desk.world.no_faults().await;
    let on = json!({ "enhanced_notes": true });
    desk.world.settings(on).await;
    desk.world.advance(200).await;
    desk.work(&desk.world.fresh(), &[&lost]).await;
    let stored = desk.stored(&lost).await;
    assert_eq!(stored.state, ActivityState::Written);
    assert_eq!(stored.record.unwrap().object, "Note");
    assert_eq!(stored.regarding.unwrap().id, desk.lead);
    assert!(desk.records("Lost.").await.is_empty());
    assert_eq!(desk.rows("Note").await.len(), 2);

    // Salesforce may refuse the call as a whole: with rules that are read anew it is tried once more.
    let refused = desk.accepted(note(&desk.leo, "refused", "Refused.")).await;
    let fault = json!({
        "system": "salesforce", "method": "POST", "path_contains": "/composite/sobjects",
        "kind": "status", "status": 400,
        "body": [{"errorCode": "INVALID_TYPE", "message": "sObject type 'ContentNote' is not supported."}],
    });
    desk.world.fault(fault).await;
    desk.work(&desk.world.fresh(), &[&refused]).await;
    desk.world.no_faults().await;
    assert_eq!(desk.stored(&refused).await.state, ActivityState::Waiting);
    desk.world.advance(200).await;
    desk.work(&desk.world.fresh(), &[&refused]).await;
    assert_eq!(desk.stored(&refused).await.state, ActivityState::Written);
    desk.record("Refused.", "refused").await;
    desk.stop().await;
}

#[tokio::test]
async fn where_enhanced_notes_are_off_a_note_is_a_classic_one_of_its_record() {
    let mut desk = Desk::open(CrmKind::Salesforce).await;
    let before = desk.accepted(note(&desk.ada, "before", "Before.")).await;
    desk.drain().await;
    assert_eq!(desk.stored(&before).await.state, ActivityState::Written);
    // The worker still knows the form of before.
    let off = json!({ "enhanced_notes": false });
    desk.world.settings(off).await;
    let cached = desk.accepted(note(&desk.ada, "cached", "Cached.")).await;
    desk.drain().await;
    desk.settle(&[&cached], ActivityState::Written, "cached")
        .await;
    desk.seat = desk.world.again(SELLER).await;
    let lost = desk
        .accepted(note(&desk.leo, "lost", "<Lost>\n& found"))
        .await;
    desk.at_call(1, "lost_reply").await;
    desk.work(&desk.world.fresh(), &[&lost]).await;
    desk.world.no_faults().await;
    desk.settle(&[&lost], ActivityState::Written, "lost").await;
    let notes = desk.rows("Note").await;
    assert_eq!(notes.len(), 2, "{notes:?}");
    for (id, parent, text) in [
        (&cached, &desk.contact, "Cached."),
        (&lost, &desk.lead, "<Lost>\n& found"),
    ] {
        let note = notes
            .iter()
            .find(|note| note["ParentId"] == json!(parent))
            .unwrap();
        assert_eq!(note["Title"], "Notes from Sales Navigator");
        let body = format!("2026-01-05 [Leadbridge {id}]\n\n{text}");
        assert_eq!(note["Body"], json!(body));
        let record = desk.stored(id).await.record.unwrap();
        assert_eq!(
            (record.object.as_str(), json!(record.id)),
            ("Note", note["Id"].clone())
        );
    }
    desk.stop().await;
}
