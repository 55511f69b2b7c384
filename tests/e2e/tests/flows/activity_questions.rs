//! *Is this the right CRM match?*: activities with somebody whose match is in doubt wait for the answer, and
//! then go on (MA-4, WB-3).

use axum::http::Method;
use serde_json::{Value, json};
use shared::domain::activity::ActivityState;
use shared::domain::schema::CrmKind;

use super::activities::Desk;
use super::crm_connection::world::{PRODUCTION, for_both};

/// A person who is twice in the CRM, so that it is not known which of the two records they are.
struct Twice {
    /// The person's id in the directory.
    profile: String,
    /// The ids of the two contacts.
    contacts: Vec<String>,
}

impl Desk {
    const fn contact_object(&self) -> &'static str {
        match self.world.crm {
            CrmKind::Salesforce => "Contact",
            CrmKind::Dynamics365 => "contact",
        }
    }

    /// People who are twice in the CRM and once in the directory, by their first names.
    async fn twice(&self, names: &[&str]) -> Vec<Twice> {
        let path = format!("/records/{}/{}", self.world.system(), self.contact_object());
        let mut all = Vec::new();
        for name in names {
            let email = format!("{}@twice.example", name.to_lowercase());
            let contact = match self.world.crm {
                CrmKind::Salesforce => {
                    json!({"FirstName": name, "LastName": "Zabrowski", "Email": email})
                }
                CrmKind::Dynamics365 => {
                    json!({"firstname": name, "lastname": "Zabrowski", "emailaddress1": email})
                }
            };
            let mut contacts = Vec::new();
            for _ in 0..2 {
                let made = self
                    .world
                    .control(Method::POST, &path, contact.clone())
                    .await;
                let id = made.get("id").or_else(|| made.get("Id"));
                contacts.push(id.and_then(Value::as_str).unwrap().to_owned());
            }
            all.push((email, contacts));
        }
        self.world.advance(61).await;
        self.world.sync_now(PRODUCTION).await.is(202);
        self.world.drain().await;
        let mut found = Vec::new();
        for (name, (email, contacts)) in names.iter().zip(all) {
            let person = json!({"first_name": name, "last_name": "Zabrowski", "emails": [email]});
            let added = self.world.api(Method::POST, "/profiles", person).await;
            let profile = added.is(201).json["entry"]["id"]
                .as_str()
                .unwrap()
                .to_owned();
            found.push(Twice { profile, contacts });
        }
        found
    }

    async fn answer(&self, id: &str, answer: Value) -> (u16, String) {
        let path = format!("/{id}/answer");
        let answer = self.call(Method::POST, &path, answer).await;
        (answer.status, answer.code().to_owned())
    }
}

for_both!(what_is_logged_with_somebody_in_doubt_waits_for_the_answer);
async fn what_is_logged_with_somebody_in_doubt_waits_for_the_answer(crm: CrmKind) {
    let desk = Desk::open(crm).await;
    let people = desk.twice(&["Quentin", "Zora", "Ylva"]).await;
    let [quentin, zora, ylva] = people.as_slice() else {
        panic!("three people");
    };
    let keys = ["q-1", "q-2", "z-1", "y-1", "sure"];
    let whom = [quentin, quentin, zora, ylva].map(|person| &person.profile);
    let whom = whom.into_iter().chain([&desk.ada]);
    let items: Vec<Value> = whom
        .zip(keys)
        .map(|(profile, key)| Desk::message(profile, key))
        .collect();
    let sent = json!({ "items": items });
    let answer = desk.call(Method::POST, "", sent).await.is(200).json;
    let results = answer["results"].as_array().unwrap();
    let states: Vec<_> = results.iter().map(|result| &result["state"]).collect();
    let asked = json!("waiting_for_answer");
    assert_eq!(states, [&asked, &asked, &asked, &asked, &json!("planned")]);
    // One question for each person, with everything that helps to answer it.
    let questions = answer["questions"].as_array().unwrap();
    assert_eq!(questions.len(), 3, "{answer}");
    let about = |question: &&Value| question["target"]["id"] == json!(quentin.profile);
    let question = questions.iter().find(about).unwrap();
    assert_eq!(question["target"]["name"], "Quentin Zabrowski");
    // The others of the name come after those two.
    let candidates = &question["candidates"].as_array().unwrap()[..2];
    let mut ids: Vec<_> = candidates.iter().map(|one| &one["record"]["id"]).collect();
    ids.sort_unstable_by_key(ToString::to_string);
    let mut contacts = quentin.contacts.clone();
    contacts.sort_unstable();
    assert_eq!(json!(ids), json!(contacts));
    for candidate in candidates {
        assert_eq!(candidate["fields"]["first_name"], "Quentin");
        assert!(candidate["explanation"]["score"].is_i64(), "{candidate}");
        let reasons = candidate["explanation"]["fields"].as_array().unwrap();
        assert!(!reasons.is_empty(), "{candidate}");
    }

    // They wait visibly, and nothing is in the CRM, whatever is delivered, swept or sent again.
    let ids: Vec<&str> = results
        .iter()
        .map(|result| result["id"].as_str().unwrap())
        .collect();
    desk.drain().await;
    let again = format!("/{}/send", ids[0]);
    desk.call(Method::POST, &again, Value::Null).await.is(202);
    desk.drain().await;
    desk.world.advance(61).await;
    desk.sweep().await;
    for id in &ids[..4] {
        let state = desk.stored(id).await.state;
        assert_eq!(state, ActivityState::WaitingForAnswer);
    }
    assert_eq!(desk.stored(ids[4]).await.state, ActivityState::Written);
    let list = desk.call(Method::GET, "?state=waiting_for_answer", Value::Null);
    let list = list.await.is(200).json;
    assert_eq!(list["items"].as_array().unwrap().len(), 4);
    let next = "Say which record of the CRM the profile is, or that it is none.";
    assert_eq!(list["items"][0]["next_step"], next);
    let path = format!("/{}", ids[0]);
    let story = desk.call(Method::GET, &path, Value::Null).await;
    let story = story.is(200).json;
    assert_eq!(story["question"], *question);

    let object = desk.contact_object();
    let record = |object: &str, id: &str| json!({"record": {"object": object, "id": id}});
    let wrong = desk.answer(ids[0], json!({})).await;
    assert_eq!(wrong, (422, "invalid_body".to_owned()));
    let wrong = desk.answer(ids[0], record("Opportunity", "x")).await;
    assert_eq!(wrong, (422, "record_of_wrong_kind".to_owned()));
    let wrong = desk
        .answer(ids[0], record(object, "003000000000000AAA"))
        .await;
    assert_eq!(wrong, (404, "record_not_found".to_owned()));

    // This one: all that waits for the answer is attached to it.
    let chosen = &quentin.contacts[1];
    let answered = desk.answer(ids[0], record(object, chosen)).await;
    assert_eq!(answered.0, 202, "{answered:?}");
    desk.drain().await;
    for (id, key) in ids[..2].iter().zip(keys) {
        assert_eq!(desk.stored(id).await.state, ActivityState::Written, "{key}");
        let found = desk.record(&format!("text of {key}."), key).await;
        assert_eq!(desk.belongs(&found), (Some(chosen.clone()), true), "{key}");
    }
    let again = desk.answer(ids[0], json!({ "record": null })).await;
    assert_eq!(again, (409, "no_question".to_owned()));

    // None of these: it is open and belongs to nobody.
    let answered = desk.answer(ids[2], json!({ "record": null })).await;
    assert_eq!(answered.0, 202, "{answered:?}");
    desk.drain().await;
    assert_eq!(desk.stored(ids[2]).await.state, ActivityState::Unresolved);
    let found = desk.record("text of z-1.", "z-1").await;
    assert_eq!(desk.belongs(&found), (None, false));

    // A match of the person is an answer too, and the sweep finds what nobody announced.
    let path = format!("/profiles/{}/match", ylva.profile);
    let chosen = json!({"object": object, "id": ylva.contacts[0]});
    desk.world.api(Method::POST, &path, chosen).await.is(200);
    desk.lose_messages().await;
    desk.world.advance(61).await;
    desk.sweep().await;
    assert_eq!(desk.stored(ids[3]).await.state, ActivityState::Written);
    let found = desk.record("text of y-1.", "y-1").await;
    assert_eq!(desk.belongs(&found), (Some(ylva.contacts[0].clone()), true));
    desk.stop().await;
}
