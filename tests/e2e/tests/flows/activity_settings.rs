//! A seat holder's own choices to log activities, and the news that activities wait for their sign-in
//! (WB-6, WB-9).

use axum::http::Method;
use serde_json::{Value, json};
use shared::domain::activity::ActivityState;
use shared::domain::environment::Environment;
use shared::domain::schema::CrmKind;
use shared::store::ConnectionKind;

use super::activities::Desk;
use super::crm_connection::world::{ADMIN, Answer, PRODUCTION, SELLER, SignedIn, Who, for_both};

const PATH: &str = "/api/v1/me/settings";

impl Desk {
    async fn settings_by(&self, seat: &SignedIn, method: Method, body: Value) -> Answer {
        let (world, who) = (&self.world, Who::Seat(seat));
        world.call(&world.apps, who, method, PATH, &body).await
    }

    /// Changes the seat holder's settings; gives them.
    async fn choose(&self, choices: Value) -> Value {
        let change = json!({ "log_to_crm": choices });
        let answer = self.settings_by(&self.seat, Method::PATCH, change).await;
        answer.is(200).json
    }

    /// The seat holder's settings.
    async fn settings(&self) -> Value {
        let read = self.settings_by(&self.seat, Method::GET, Value::Null).await;
        read.is(200).json
    }

    /// An activity with Ada of a kind, with its own choice.
    fn item(&self, key: &str, kind: &str, choice: &str) -> Value {
        let mut item = Self::message(&self.ada, key);
        item["kind"] = json!(kind);
        item["log_to_crm"] = json!(choice);
        item
    }

    /// The notices about the seat holder's own sign-in.
    async fn own_notices(&self) -> Vec<Value> {
        let seat = self.seat.seat.parse().unwrap();
        let about = ConnectionKind::User(seat, Environment::Production).to_string();
        self.world.notices(Who::Seat(&self.seat), &about).await
    }
}

/// The consequence of the settings for a kind: switched on, logged, decided by.
fn consequence(settings: &Value, kind: &str) -> (Value, Value, Value) {
    let kinds = settings["kinds"].as_array().unwrap();
    let one = kinds.iter().find(|one| one["kind"] == kind).unwrap();
    let of = |name: &str| one[name].clone();
    (of("switched_on"), of("logged"), of("decided_by"))
}

for_both!(a_choice_for_a_kind_counts_unless_the_activity_or_the_administrator_says_otherwise);
async fn a_choice_for_a_kind_counts_unless_the_activity_or_the_administrator_says_otherwise(
    crm: CrmKind,
) {
    let mut desk = Desk::open(crm).await;
    let settings = desk.settings().await;
    assert_eq!(settings["kinds"].as_array().unwrap().len(), 6);
    let by_administrator = (json!(true), json!(true), json!("administrator"));
    assert_eq!(consequence(&settings, "message"), by_administrator);

    // A choice stays until it is changed, whatever else is.
    desk.choose(json!({"message": "no", "note": "yes"})).await;
    let settings = desk.choose(json!({"call": "no"})).await;
    let chosen = json!({
        "inmail": "default", "message": "no", "note": "yes", "call": "no", "smart_link_view": "default",
        "connection_request": "default",
    });
    assert_eq!(settings["log_to_crm"], chosen);
    let (on, off) = (json!(true), json!(false));
    let own = json!("seat_holder");
    assert_eq!(
        consequence(&settings, "message"),
        (on.clone(), off.clone(), own.clone())
    );
    assert_eq!(consequence(&settings, "note"), (on.clone(), on, own));
    desk.choose(json!({"call": "no"})).await;
    assert_eq!(desk.world.audit("seat.log_to_crm").await.len(), 2);
    for (bad, code) in [
        (json!({"log_to_crm": {"fax": "no"}}), "invalid_body"),
        (json!({"log_to_crm": {"message": "maybe"}}), "invalid_body"),
        (json!({"log_to_crm": ["yes"]}), "invalid_body"),
        (
            json!({"log_to_crm": {"message": "yes", "fax": "no"}}),
            "invalid_body",
        ),
        (json!({"surprise": 1}), "invalid_body"),
        (json!([]), "invalid_body"),
    ] {
        let refused = desk.settings_by(&desk.seat, Method::PATCH, bad.clone());
        let refused = refused.await;
        assert_eq!((refused.status, refused.code()), (422, code), "{bad}");
    }
    desk.seat = desk.world.again(SELLER).await;
    assert_eq!(desk.settings().await["log_to_crm"], chosen);

    let cases = [
        ("m-own", "message", "default", "not_logged", "seat_holder"),
        ("m-yes", "message", "yes", "accepted", "activity"),
        (
            "i-default",
            "inmail",
            "default",
            "accepted",
            "administrator",
        ),
        ("n-own", "note", "default", "accepted", "seat_holder"),
        ("n-no", "note", "no", "not_logged", "activity"),
    ];
    let items = cases.map(|(key, kind, choice, ..)| desk.item(key, kind, choice));
    for (result, (key, _, _, outcome, by)) in desk.send(items.to_vec()).await.iter().zip(cases) {
        let told = (&result["outcome"], &result["decided_by"]);
        assert_eq!(told, (&json!(outcome), &json!(by)), "{key}: {result}");
    }
    let again = desk.send(vec![desk.item("m-yes", "message", "yes")]).await;
    let told = (&again[0]["outcome"], &again[0]["decided_by"]);
    assert_eq!(told, (&json!("repeated"), &json!("activity")));
    let path = format!("/{}", again[0]["id"].as_str().unwrap());
    let story = desk.call(Method::GET, &path, Value::Null).await.is(200);
    assert_eq!(story.json["decided_by"], "activity");

    // What the administrator has switched off is not logged, whatever was chosen.
    let off = json!({ "log_messages_and_inmails": true, "log_notes": false });
    let put = desk
        .world
        .of(PRODUCTION, Method::PUT, "/sync-settings", off);
    put.await.is(200);
    let switched_off = (json!(false), json!(false), json!("administrator"));
    assert_eq!(consequence(&desk.settings().await, "note"), switched_off);
    let items = ["default", "yes"].map(|choice| desk.item(choice, "note", choice));
    let results = desk.send(items.to_vec()).await;
    let told = (&results[0]["outcome"], &results[0]["decided_by"]);
    assert_eq!(told, (&json!("not_logged"), &json!("administrator")));
    let told = (&results[1]["problem"]["code"], &results[1]["decided_by"]);
    assert_eq!(told, (&json!("logging_off"), &Value::Null));

    // Nor anything of a seat that is not synced (SV-6).
    let path = format!("/seats/{}/crm", desk.seat.seat);
    let sync = async |on: Value| {
        let body = json!({ "sync": on });
        desk.world.api(Method::PUT, &path, body).await.is(200)
    };
    sync(json!(false)).await;
    assert_eq!(consequence(&desk.settings().await, "message"), switched_off);
    let items = [("s-default", "default"), ("s-yes", "yes")];
    let mut items = items.map(|(key, choice)| desk.item(key, "inmail", choice));
    items[1]["thread"] = json!("t");
    items[1]["whole_thread"] = json!(true);
    let results = desk.send(items.to_vec()).await;
    let told = (&results[0]["outcome"], &results[0]["decided_by"]);
    assert_eq!(told, (&json!("not_logged"), &json!("administrator")));
    assert_eq!(results[1]["problem"]["code"], "seat_not_synced");
    // What is refused chooses nothing for its thread.
    let (world, who) = (&desk.world, Who::Seat(&desk.seat));
    let path = "/api/v1/me/threads";
    let list = world
        .call(&world.apps, who, Method::GET, path, &Value::Null)
        .await;
    assert_eq!(list.is(200).json["items"], json!([]));
    sync(Value::Null).await;

    desk.drain().await;
    assert!(desk.records("text of s-default.").await.is_empty());
    for (key, _, _, outcome, _) in cases {
        let found = desk.records(&format!("text of {key}.")).await.len();
        assert_eq!(found, usize::from(outcome == "accepted"), "{key}");
    }
    // Each has settings of their own, and a program has none.
    let other = desk.world.seat(ADMIN).await;
    let others = desk.settings_by(&other, Method::GET, Value::Null).await;
    assert_eq!(others.is(200).json["log_to_crm"]["message"], "default");
    let refused = desk
        .world
        .api(Method::GET, "/me/settings", Value::Null)
        .await;
    assert_eq!((refused.status, refused.code()), (403, "sign_in_required"));
    desk.stop().await;
}

/// WB-6: a message, or its whole thread.
#[tokio::test]
async fn a_choice_for_a_thread_counts_for_its_later_messages_until_it_is_forgotten() {
    let desk = Desk::open(CrmKind::Salesforce).await;
    desk.choose(json!({"message": "no"})).await;
    let item = |key: &str, thread: &str, choice: &str, whole: bool| {
        let mut item = desk.item(key, "message", choice);
        item["thread"] = json!(thread);
        item["whole_thread"] = json!(whole);
        item
    };
    let told = async |items: Vec<Value>| -> Vec<(String, String)> {
        let results = desk.send(items).await;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let told = results
            .iter()
            .map(|result| (text(&result["outcome"]), text(&result["decided_by"])));
        told.collect()
    };
    let by = |outcome: &str, by: &str| (outcome.to_owned(), by.to_owned());
    let (not_logged, own) = ("not_logged", "seat_holder");
    // From the next message on, in the same request too; another thread has nothing to do with it.
    let first = told(vec![
        item("one", "t", "default", false),
        item("two", "t", "yes", true),
        item("three", "t", "default", false),
        item("four", "other", "default", false),
        item("five", "t", "no", false),
    ]);
    assert_eq!(
        first.await,
        [
            by(not_logged, own),
            by("accepted", "activity"),
            by("accepted", "thread"),
            by(not_logged, own),
            by(not_logged, "activity"),
        ]
    );
    let later = told(vec![item("six", "t", "default", false)]).await;
    assert_eq!(later, [by("accepted", "thread")]);
    // A choice has to say yes or no, and for which thread.
    let mut nowhere = item("seven", "t", "yes", true);
    nowhere["thread"] = Value::Null;
    for bad in [item("eight", "t", "default", true), nowhere] {
        let refused = desk.send(vec![bad]).await;
        assert_eq!(
            refused[0]["problem"]["code"], "thread_needed",
            "{refused:?}"
        );
    }

    let threads = async |method: Method, path: &str, body: Value| {
        let path = format!("/api/v1/me/threads{path}");
        let (world, who) = (&desk.world, Who::Seat(&desk.seat));
        world.call(&world.apps, who, method, &path, &body).await
    };
    let list = threads(Method::GET, "", Value::Null).await.is(200).json;
    let chosen = list["items"].as_array().unwrap();
    assert_eq!(chosen.len(), 1, "{list}");
    assert_eq!(
        (&chosen[0]["log_to_crm"], &chosen[0]["target"]["id"]),
        (&json!("yes"), &json!(desk.ada))
    );
    assert_eq!(chosen[0]["target"]["name"], "Ada Writeback");
    // By an activity of it, and undone.
    let six = desk.send(vec![item("six", "t", "default", false)]).await;
    let no = json!({ "activity": six[0]["id"], "log_to_crm": "no" });
    threads(Method::PUT, "", no).await.is(204);
    let later = told(vec![item("nine", "t", "default", false)]).await;
    assert_eq!(later, [by(not_logged, "thread")]);
    let path = format!("/{}", chosen[0]["id"].as_str().unwrap());
    threads(Method::DELETE, &path, Value::Null).await.is(204);
    threads(Method::DELETE, &path, Value::Null).await.is(404);
    let later = told(vec![item("ten", "t", "default", false)]).await;
    assert_eq!(later, [by(not_logged, own)]);
    let list = threads(Method::GET, "", Value::Null).await.is(200).json;
    assert_eq!(list["items"], json!([]));
    assert_eq!(desk.world.audit("seat.log_thread").await.len(), 3);
    let alone = desk.send(vec![desk.item("alone", "message", "yes")]).await;
    let of_none = json!({ "activity": alone[0]["id"], "log_to_crm": "no" });
    let refused = threads(Method::PUT, "", of_none).await.is(409);
    assert_eq!(refused.code(), "no_thread");
    desk.stop().await;
}

for_both!(a_seat_holder_is_told_how_many_activities_wait_for_their_sign_in);
async fn a_seat_holder_is_told_how_many_activities_wait_for_their_sign_in(crm: CrmKind) {
    let mut desk = Desk::without_sign_in(crm).await;
    let items = ["first", "second"].map(|key| Desk::message(&desk.ada, key));
    let sent = json!({ "items": items });
    let answer = desk.call(Method::POST, "", sent).await.is(200).json;
    desk.drain().await;
    let own = desk.world.own(&desk.seat).await;
    let notices = desk.own_notices().await;
    if !desk.is_salesforce() {
        // It takes activities over the contract's connection.
        assert_eq!(answer["sign_in"], Value::Null);
        assert_eq!(own["waiting_activities"], 0);
        assert!(notices.is_empty(), "{notices:?}");
        desk.stop().await;
        return;
    }
    assert_eq!(answer["sign_in"]["code"], "user_sign_in_needed");
    let detail = "What you write to Salesforce is written as you, and you have not signed in there yet. \
                  2 activities wait for it.";
    let next = "Sign in to Salesforce in your settings. They go on by themselves then.";
    for problem in [&own["problem"], &notices[0]["problem"]] {
        let told = (&problem["detail"], &problem["next_step"]);
        assert_eq!(told, (&json!(detail), &json!(next)));
    }
    assert_eq!((notices.len(), &own["waiting_activities"]), (1, &json!(2)));
    assert_eq!(notices[0]["severity"], "error");
    // Another seat holder has nothing to do with it.
    let other = desk.world.seat(ADMIN).await;
    assert_eq!(desk.world.own(&other).await["waiting_activities"], 0);

    desk.world.sign_in_own(&desk.seat, SELLER).await.is(200);
    assert!(desk.own_notices().await.is_empty());
    desk.world.advance(61).await;
    desk.sweep().await;
    for result in answer["results"].as_array().unwrap() {
        let stored = desk.stored(result["id"].as_str().unwrap()).await;
        assert_eq!(stored.state, ActivityState::Written);
    }
    let own = desk.world.own(&desk.seat).await;
    assert_eq!(
        (&own["waiting_activities"], &own["problem"]),
        (&json!(0), &Value::Null)
    );

    // After ninety days it is the same with another reason.
    desk.world.advance(90 * 24 * 3600).await;
    desk.seat = desk.world.again(SELLER).await;
    let late = desk.accepted(Desk::message(&desk.ada, "late")).await;
    desk.drain().await;
    let notices = desk.own_notices().await;
    let detail = "Your sign-in to Salesforce has ended: it is asked for every 90 days. 1 activity waits for it.";
    assert_eq!(notices[0]["problem"]["detail"], detail);
    assert_eq!(desk.world.own(&desk.seat).await["waiting_activities"], 1);
    desk.world.sign_in_own(&desk.seat, SELLER).await.is(200);
    desk.world.advance(61).await;
    desk.sweep().await;
    assert_eq!(desk.stored(&late).await.state, ActivityState::Written);
    assert!(desk.own_notices().await.is_empty());
    desk.stop().await;
}
