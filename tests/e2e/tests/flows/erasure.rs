//! A person's data, found and erased, and kept from coming back (OP-3): with both CRMs, over everything that
//! the product stores about people, and by workers that die at any call.

#![expect(clippy::too_many_lines, reason = "a flow reads top to bottom")]

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use e2e::directory_world::DirectoryWorld;
use e2e::worker::{id_of, messages, post, process};
use e2e::{Harness, Tenant};
use local::Apps;
use matching::Record;
use reqwest::Method;
use serde_json::{Value, json};
use shared::clock::Clock as _;
use shared::domain::activity::{Draft, Given, Thread};
use shared::domain::contract::AuditEntry;
use shared::domain::directory::{EntryId, EntryKind, EntryRef, RecordRef};
use shared::domain::environment::Environment;
use shared::domain::ids::{ActivityId, SeatId};
use shared::domain::lists::{ListRef, SavedByHand};
use shared::domain::log_choice::LogToCrm;
use shared::domain::mirror::{self, Change, Values};
use shared::domain::privacy::{self, Erasure, ErasureState, Person};
use shared::domain::roi::TouchKind;
use shared::domain::schema::CrmKind;
use shared::domain::submission::{ClaimRef, Plan};
use shared::domain::user_writes::{TakenWrite, WriteKind};
use shared::erasure;
use shared::queue::ImportMessage;
use shared::store::{Mirror, Reach, ThreadChoice, UserWriteKey, WorkKind, holds_person};
use shared::testing::{Cut, Tripwire};

const BOTH: [CrmKind; 2] = [CrmKind::Salesforce, CrmKind::Dynamics365];
/// More calls than an erasure makes.
const MANY_CALLS: usize = 200;
const PHONE: &str = "+49 30 901820";
const PROFILE: &str = "https://www.linkedin.com/in/zerlina-quastenfloss-7";
/// The texts that tell of the person, in lower case.
const TELLS: [&str; 3] = ["zerlina", "quastenfloss", "30901820"];

/// The texts of a value as it is stored, raw bytes included, one after the other.
fn text_of(value: &AttributeValue, into: &mut String) {
    match value {
        AttributeValue::S(text) | AttributeValue::N(text) => into.push_str(text),
        AttributeValue::B(bytes) => into.push_str(&String::from_utf8_lossy(bytes.as_ref())),
        AttributeValue::Ss(texts) => into.push_str(&texts.join("\n")),
        AttributeValue::L(values) => values.iter().for_each(|value| text_of(value, into)),
        AttributeValue::M(item) => {
            let sorted: BTreeMap<_, _> = item.iter().collect();
            for (name, value) in sorted {
                into.push_str(name);
                into.push('=');
                text_of(value, into);
            }
        }
        other => into.push_str(&format!("{other:?}")),
    }
    into.push('\n');
}

/// Every item of a contract as text, by its key.
pub(crate) async fn dump(tenant: &Tenant<'_>) -> BTreeMap<(String, String), String> {
    let client = aws_sdk_dynamodb::Client::new(&tenant.harness.embedded_stack().aws);
    let scan = client.scan().table_name(local::TABLE).consistent_read(true);
    let own = format!("C#{}", tenant.made.id);
    let (mut items, mut start) = (BTreeMap::new(), None);
    loop {
        let page = scan.clone().set_exclusive_start_key(start).send().await;
        let page = page.unwrap();
        for item in page.items.unwrap_or_default() {
            let part = |item: &HashMap<String, AttributeValue>, name: &str| {
                item[name].as_s().unwrap().clone()
            };
            let key = (part(&item, "PK"), part(&item, "SK"));
            let mut text = String::new();
            text_of(&AttributeValue::M(item), &mut text);
            if key.0.starts_with(&own) {
                items.insert(key, text);
            }
        }
        start = page.last_evaluated_key.filter(|key| !key.is_empty());
        if start.is_none() {
            return items;
        }
    }
}

/// The keys of items that tell of the person.
async fn telling(tenant: &Tenant<'_>) -> Vec<(String, String)> {
    let items = dump(tenant).await.into_iter();
    let tells = |text: &str| {
        let text = text.to_lowercase().replace([' ', '-'], "");
        TELLS.iter().any(|tell| text.contains(tell))
    };
    items
        .filter(|(_, text)| tells(text))
        .map(|(key, _)| key)
        .collect()
}

fn person(tenant: &Tenant<'_>) -> Value {
    json!({
        "emails": [tenant.email("zerlina")], "phones": [PHONE], "profile_urls": [PROFILE],
        "name": "Zerlina Quastenfloss",
    })
}

async fn work(apps: &Apps, tenant: &Tenant<'_>) -> bool {
    let message = ImportMessage {
        contract: tenant.made.id.clone(),
        work: WorkKind::Erase,
    };
    crm_import::work(&apps.import, &message).await
}

async fn upload(tenant: &Tenant<'_>, csv: String) -> Value {
    let url = format!("{}/api/v1/profiles/csv", tenant.harness.console);
    let request = tenant.harness.http.post(url).body(csv);
    let request = request.bearer_auth(&tenant.made.tokens.administrator);
    let answer = request.header("content-type", "text/csv").send().await;
    answer.unwrap().json().await.unwrap()
}

/// Everything that a search finds, by kind.
async fn search(tenant: &Tenant<'_>, person: &Value) -> BTreeMap<String, usize> {
    let (mut kinds, mut cursor) = (BTreeMap::new(), Value::Null);
    loop {
        let body = json!({ "person": person, "cursor": cursor });
        let answer = tenant
            .api(Method::POST, "/privacy/search", Some(body))
            .await;
        assert_eq!(answer.0, 200, "{}", answer.1);
        for item in answer.1["items"].as_array().unwrap() {
            let texts = ["reason", "kept", "on_erasure"].map(|name| item[name].as_str().unwrap());
            assert!(texts.iter().all(|text| !text.is_empty()), "{item}");
            let kind = item["kind"].as_str().unwrap().to_owned();
            *kinds.entry(kind).or_default() += 1;
        }
        cursor = answer.1["next"].clone();
        if cursor.is_null() {
            return kinds;
        }
    }
}

/// An activity with an entry.
async fn logged(world: &DirectoryWorld<'_>, seat: SeatId, id: EntryId, key: &str) {
    let now = world.clock.now();
    let given = Given {
        key: key.to_owned(),
        kind: "note".to_owned(),
        occurred_at: now,
        thread: Some("t".to_owned()),
        text: "Spoke with Zerlina Quastenfloss.".to_owned(),
        ..Given::default()
    };
    let kind = EntryKind::Profile;
    let draft = Draft::check(given, kind, now).unwrap();
    let activity = draft.with(world.id(), seat, EntryRef { kind, id }, "Leadbridge", now);
    for accepted in world.store().accept_activities(&[activity]).await {
        accepted.unwrap();
    }
}

/// A note on an entry in a seat holder's list.
async fn noted(world: &DirectoryWorld<'_>, seat: SeatId, entry: EntryId) {
    let saved = SavedByHand {
        entry,
        since: world.clock.now(),
        note: Some("Zerlina calls back".to_owned()),
    };
    let before = world
        .store()
        .save_by_hand(world.id(), seat, ListRef::People, &saved);
    assert_eq!(before.await.unwrap(), None);
}

/// A seat holder's choice to log a thread with an entry.
async fn chosen(world: &DirectoryWorld<'_>, seat: SeatId, entry: EntryId) {
    let now = world.clock.now();
    let (kind, name) = (EntryKind::Profile, "t".to_owned());
    let target = EntryRef { kind, id: entry };
    let choice = ThreadChoice::new(&Thread { target, name }, LogToCrm::Yes, now);
    let audit = AuditEntry {
        at: now,
        actor: format!("seat:{seat}"),
        action: "seat.log_thread".to_owned(),
        target: target.to_string(),
        before: Value::Null,
        after: json!(LogToCrm::Yes),
    };
    let store = world.store();
    let kept = store.choose_thread(world.id(), seat, &choice, &audit, entry.0);
    kept.await.unwrap();
}

/// A seat holder's update of a record in the CRM, none of whose values is an address.
async fn updated(
    world: &DirectoryWorld<'_>,
    seat: SeatId,
    entry: EntryId,
    record: &RecordRef,
    first_name: &str,
) {
    let (now, id) = (world.clock.now(), entry.0);
    let key = UserWriteKey {
        contract: world.id(),
        seat,
        kind: WriteKind::Update,
        id,
    };
    let values = json!({ "FirstName": first_name, "Title": format!("Aide of {first_name}") });
    let before = values.to_string();
    let taken = world
        .store()
        .take_user_write(key, "digest", &before, now, now.plus_seconds(60))
        .await
        .unwrap();
    let TakenWrite::Mine(taken) = taken else {
        panic!("taken by another: {taken:?}");
    };
    let entry = AuditEntry {
        at: now,
        actor: format!("seat:{seat}"),
        action: "crm.contact.update".to_owned(),
        target: format!("profile/{entry}"),
        before: json!({ "record": record, "values": &values }),
        after: json!({ "record": record, "values": &values }),
    };
    let done = world.store().finish_user_write(key, &taken, record, &entry);
    done.await.unwrap();
}

async fn new_seat(tenant: &Tenant<'_>, name: &str, email: &str) -> String {
    let body = json!({ "name": name, "email": email, "role": "salesperson" });
    let (status, seat) = tenant.api(Method::POST, "/seats", Some(body)).await;
    assert_eq!(status, 201, "{seat}");
    seat["id"].as_str().unwrap().to_owned()
}

async fn one_who_is_erased_is_nowhere_and_does_not_come_back(crm: CrmKind) {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(crm).await;
    let world = DirectoryWorld::of(&tenant).await;
    let (email, other) = (tenant.email("Zerlina"), tenant.email("bertram"));
    let owners = json!({"owners": ["urn:li:sponsoredAccount:123"]});
    let put = tenant.api(Method::PUT, "/linkedin", Some(owners)).await;
    assert_eq!(put.0, 200, "{}", put.1);

    // Every kind of item, of the person and of somebody else.
    let contact = world.contact("Zerlina", "Quastenfloss", &email, None).await;
    let theirs = world.contact("Bertram", "Ander", &other, None).await;
    let by_phone = json!({
        world.name("FirstName", "firstname"): "Zerlina", world.name("LastName", "lastname"): "Quastenfloss",
        world.name("Phone", "telephone1"): PHONE,
    });
    let contacts = world.name("Contact", "contact");
    world.create(contacts, by_phone).await;
    let form = |first: &str, last: &str, email: &str| {
        json!({
            "email": email, "first_name": first, "last_name": last, "company": "Test Works",
            "profile": PROFILE.replace("zerlina-quastenfloss", &format!("{first}-{last}").to_lowercase()),
        })
    };
    let hers = form("Zerlina", "Quastenfloss", &email);
    for (body, key) in [(&hers, "k1"), (&form("Bertram", "Ander", &other), "k2")] {
        let (status, answer) = post(&world.apps, &tenant, body, key).await;
        assert_eq!(status, 202, "{answer}");
        let id = id_of(&answer);
        crm_writeback::handle(&world.apps.writeback, messages(world.id(), &[&id])).await;
    }
    let answers = json!({
        "FIRST_NAME": "Zerlina", "LAST_NAME": "Quastenfloss", "EMAIL": email, "COMPANY_NAME": "Works",
    });
    let lead = tenant.linkedin_lead(answers, json!({}), 1).await;
    let linkedin = tenant.linkedin_submission(lead["id"].as_str().unwrap());
    crm_writeback::handle(&world.apps.writeback, messages(world.id(), &[&linkedin])).await;
    let csv = format!(
        "external_id,first_name,last_name,emails,phones\nz,Zerlina,Quastenfloss,{email},{PHONE}\nb,Bertram,Ander,{other},\n"
    );
    let report = upload(&tenant, csv.clone()).await;
    assert_eq!(report["added"], 2, "{report}");
    world.import().await;
    let seat = new_seat(&tenant, "Some Seller", &tenant.email("seller")).await;
    let seat: SeatId = seat.parse().unwrap();
    let entries = world.directory(EntryKind::Profile).await;
    for (id, (entry, _)) in &entries {
        if entry.record.first_name == "Zerlina" {
            logged(&world, seat, *id, &id.to_string()).await;
            noted(&world, seat, *id).await;
            updated(&world, seat, *id, &contact, "Zerlina").await;
        } else {
            updated(&world, seat, *id, &theirs, "Bertram").await;
        }
    }
    // The work of somebody whose seat was deleted is theirs no longer, and still of the person.
    let gone = new_seat(&tenant, "Zerlina Quastenfloss", &email).await;
    for (id, (entry, _)) in &entries {
        if entry.record.first_name == "Zerlina" {
            let gone: SeatId = gone.parse().unwrap();
            logged(&world, gone, *id, &format!("gone-{id}")).await;
            noted(&world, gone, *id).await;
        }
    }
    let deleted = tenant
        .api(Method::DELETE, &format!("/seats/{gone}"), None)
        .await;
    assert!(deleted.0.is_success(), "{}", deleted.1);

    // Only partitions that are marked hold a person, and the search finds all of it.
    let before = dump(&tenant).await;
    let marked: BTreeSet<String> = telling(&tenant)
        .await
        .into_iter()
        .map(|(pk, _)| pk)
        .collect();
    assert!(marked.len() >= 6, "{crm:?}: {marked:?}");
    for partition in &marked {
        assert_eq!(holds_person(partition), Some(true), "{crm:?}: {partition}");
    }
    let found = search(&tenant, &person(&tenant)).await;
    for kind in [
        "submission",
        "profile",
        "activity",
        "list_entry",
        "crm_write",
        "crm_copy",
        "audit_entry",
    ] {
        assert!(
            found.get(kind).is_some_and(|count| *count > 0),
            "{crm:?} {kind}: {found:?}"
        );
    }
    assert_eq!(found["submission"], 2, "{found:?}");
    let named = search(&tenant, &json!({ "name": "QUASTENFLOSS Zerlina" })).await;
    assert_eq!(named["profile"], found["profile"], "{named:?}");

    // A name alone, or no confirmation, erases nothing.
    for (person, confirm, code) in [
        (
            json!({ "name": "Zerlina Quastenfloss" }),
            "erase",
            "name_alone",
        ),
        (json!({ "phones": [PHONE] }), "erase", "number_alone"),
        (
            json!({ "emails": [email], "phones": [PHONE], "name": "" }),
            "erase",
            "number_alone",
        ),
        (person(&tenant), "yes", "not_confirmed"),
        (json!({ "emails": ["nobody"] }), "erase", "invalid_value"),
    ] {
        let body = json!({ "person": person, "confirm": confirm });
        let (status, answer) = tenant
            .api(Method::POST, "/privacy/erasures", Some(body))
            .await;
        assert_eq!(
            (status.as_u16(), &answer["code"]),
            (422, &json!(code)),
            "{answer}"
        );
    }

    let body = json!({ "person": person(&tenant), "confirm": "erase" });
    let (status, asked) = tenant
        .api(Method::POST, "/privacy/erasures", Some(body.clone()))
        .await;
    assert_eq!(status, 202, "{asked}");
    let (_, again) = tenant
        .api(Method::POST, "/privacy/erasures", Some(body))
        .await;
    assert_eq!(again["id"], asked["id"]);
    assert!(work(&world.apps, &tenant).await);
    assert_eq!(telling(&tenant).await, Vec::new(), "{crm:?}");
    world.advance(1000).await;
    assert!(work(&world.apps, &tenant).await);
    let path = format!("/privacy/erasures/{}", asked["id"].as_str().unwrap());
    let (_, done) = tenant.api(Method::GET, &path, None).await;
    assert_eq!(done["state"], "done", "{done}");
    let erased = &done["receipt"]["erased"];
    assert_eq!(erased["submissions"], 2, "{erased}");
    assert_eq!(erased["profiles"], found["profile"], "{erased}");
    assert_eq!(erased["activities"], found["activity"], "{erased}");
    assert_eq!(erased["crm_copies"], found["crm_copy"], "{erased}");
    assert_eq!(erased["list_entries"], found["list_entry"], "{erased}");
    assert_eq!(erased["crm_writes"], found["crm_write"], "{erased}");
    assert!(
        done["stays"].as_array().is_some_and(
            |stays| stays.len() > 2 && done["stays"].to_string().contains("The seat of")
        )
    );
    for (change, genuine) in [(None, true), (Some(json!(0)), false)] {
        let mut receipt = done["receipt"].clone();
        if let Some(count) = change {
            receipt["erased"]["submissions"] = count;
        }
        let path = "/privacy/receipts/check";
        let (_, checked) = tenant.api(Method::POST, path, Some(receipt)).await;
        assert_eq!(checked["genuine"], genuine, "{checked}");
    }

    // What is of others is as it was, byte for byte.
    let after = dump(&tenant).await;
    // An erased activity leaves no place in its thread.
    for (items, there) in [(&before, true), (&after, false)] {
        let in_thread = |(pk, _): &(String, String)| pk.contains("#THREAD#");
        assert_eq!(items.keys().any(in_thread), there, "{crm:?}");
    }
    let of_others = |key: &&(String, String)| {
        let text = before[*key].to_lowercase();
        text.contains("bertram") || text.contains("seller")
    };
    let others: Vec<_> = before.keys().filter(of_others).collect();
    assert!(others.len() >= 6, "{others:?}");
    for key in others {
        let is_update = before[key].contains("Aide of Bertram");
        if is_update || !key.0.ends_with("#AUDIT") {
            assert_eq!(after.get(key), before.get(key), "{crm:?}: {key:?}");
        }
    }

    // Nothing brings the person back.
    world
        .change(
            &contact,
            json!({ world.name("Title", "jobtitle"): "Mathematician" }),
        )
        .await;
    world.import().await;
    let (status, answer) = post(&world.apps, &tenant, &hers, "k1").await;
    assert_eq!(status, 202, "{answer}");
    crm_writeback::handle(
        &world.apps.writeback,
        messages(world.id(), &[&id_of(&answer), &linkedin]),
    )
    .await;
    let pull = lead_resync::Task::LinkedInPull {
        contract: Some(world.id().clone()),
    };
    let pulled = lead_resync::handle(&world.apps.resync, pull).await.unwrap();
    assert_eq!((pulled.read, pulled.new), (1, 0), "{pulled:?}");
    let report = upload(&tenant, csv).await;
    assert_eq!(
        (&report["added"], &report["refused"]),
        (&json!(0), &json!(1)),
        "{report}"
    );
    assert!(report.to_string().contains("person_erased"), "{report}");
    let alone = json!({ "first_name": "Z.", "last_name": "Q.", "emails": [email] });
    let (status, refused) = tenant.api(Method::POST, "/profiles", Some(alone)).await;
    assert_eq!(
        (status.as_u16(), &refused["code"]),
        (409, &json!("person_erased")),
        "{refused}"
    );
    assert_eq!(telling(&tenant).await, Vec::new(), "{crm:?}");
    assert_eq!(search(&tenant, &person(&tenant)).await, BTreeMap::new());

    // What the person sends anew is an act of their own.
    let (status, answer) = post(&world.apps, &tenant, &hers, "k3").await;
    assert_eq!(status, 202, "{answer}");
    assert_eq!(
        search(&tenant, &person(&tenant)).await.get("submission"),
        Some(&1)
    );
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_who_is_erased_is_nowhere_and_does_not_come_back_with_salesforce() {
    Box::pin(one_who_is_erased_is_nowhere_and_does_not_come_back(BOTH[0])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_who_is_erased_is_nowhere_and_does_not_come_back_with_dynamics() {
    Box::pin(one_who_is_erased_is_nowhere_and_does_not_come_back(BOTH[1])).await;
}

/// Each death has a person of its own, whose erasure ends with the same counts as every other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_whose_worker_dies_at_any_call_ends_as_one_that_does_not() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let world = DirectoryWorld::of(&tenant).await;
    let stack = harness.embedded_stack();
    let seat = new_seat(&tenant, "Some Seller", &tenant.email("seller")).await;
    let seat: SeatId = seat.parse().unwrap();
    let (mut ended, mut counts) = (false, BTreeSet::new());
    for call in 0..MANY_CALLS {
        let email = tenant.email(&format!("p{call}"));
        let record = Record {
            last_name: "Sterblich".to_owned(),
            emails: vec![email.clone()],
            ..Record::default()
        };
        let id = world.add(EntryKind::Profile, record).await;
        logged(&world, seat, id, &email).await;
        let body = json!({ "email": email, "last_name": "Sterblich" });
        assert_eq!(post(&world.apps, &tenant, &body, &email).await.0, 202);
        let given = privacy::Given {
            emails: vec![email.clone()],
            ..privacy::Given::default()
        };
        let person = Person::new(&given, None).unwrap();
        let remote = &world.apps.import.remote;
        let asked =
            erasure::begin(remote, &world.apps.import.queue, world.id(), &person, "t").await;
        let asked = asked.unwrap();
        // In one of the two rounds, with the call's effect and without its answer: the next death is the one
        // before the next call.
        let cut = Cut::After(call);
        let wire = Tripwire::cutting(cut);
        let dying = process(stack, &wire, &world.clock);
        for _ in 0..2 {
            work(&dying, &tenant).await;
            world.clock.advance(1000);
        }
        let mut erasure: Option<Erasure> = None;
        for _ in 0..3 {
            work(&world.apps, &tenant).await;
            world.clock.advance(1000);
            erasure = world.store().erasure(world.id(), asked.id).await.unwrap();
        }
        let erasure = erasure.unwrap();
        assert_eq!(erasure.state, ErasureState::Done, "{cut:?}");
        assert_eq!(
            (&erasure.sealed, &erasure.position.profiles),
            (&None, &Vec::new())
        );
        counts.insert(format!("{:?}", erasure.receipt.unwrap().erased));
        let left = dump(&tenant).await;
        assert!(left.values().all(|text| !text.contains(&email)), "{cut:?}");
        if !wire.has_cut() {
            ended = true;
            break;
        }
    }
    assert!(ended, "an erasure makes more than {MANY_CALLS} calls");
    assert_eq!(counts.len(), 1, "{counts:?}");
    harness.stop().await;
}

/// A person who is deleted from the directory leaves what seat holders logged and noted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_who_was_deleted_from_the_directory_is_found_and_erased_by_an_address() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let world = DirectoryWorld::of(&tenant).await;
    let seat = new_seat(&tenant, "Some Seller", &tenant.email("seller")).await;
    let seat: SeatId = seat.parse().unwrap();
    let email = tenant.email("zerlina");
    let id = world
        .profile("Zerlina", "Quastenfloss", &email, "Works")
        .await;
    logged(&world, seat, id, "k").await;
    noted(&world, seat, id).await;
    chosen(&world, seat, id).await;
    let path = format!("/profiles/{id}");
    let (status, answer) = tenant.api(Method::DELETE, &path, None).await;
    assert!(status.is_success(), "{answer}");
    // By a request that began before.
    let reach = Reach {
        at: world.clock.now(),
        kind: TouchKind::Activity,
        id: ActivityId::derive(world.id(), seat, "k").to_string(),
        seat,
    };
    let given = [(id, reach)];
    let stored = world.store().put_reaches(world.id(), &given);
    stored.await.unwrap();
    let person = json!({ "emails": [email] });
    let found = search(&tenant, &person).await;
    assert_eq!(
        (found["activity"], found["list_entry"]),
        (1, 2),
        "{found:?}"
    );
    let body = json!({ "person": person, "confirm": "erase" });
    let asked = tenant
        .api(Method::POST, "/privacy/erasures", Some(body))
        .await;
    assert_eq!(asked.0, 202, "{}", asked.1);
    world.advance(1000).await;
    assert!(work(&world.apps, &tenant).await);
    assert_eq!(telling(&tenant).await, Vec::new());
    assert_eq!(search(&tenant, &person).await, BTreeMap::new());
    let left = dump(&tenant).await;
    let is_left = |kind: &str| left.keys().any(|(pk, _)| pk.contains(kind));
    assert!(!is_left("#THREADLOG#") && !is_left("#REACH#"));
    // Sent again, by a client or with an archive, the activity is the one that was.
    logged(&world, seat, id, "k").await;
    assert_eq!(telling(&tenant).await, Vec::new());
    harness.stop().await;
}

/// A claim that somebody else's submission has taken over keeps that one to one lead.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_leaves_a_claim_that_another_submission_has_taken_over() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let world = DirectoryWorld::of(&tenant).await;
    let (store, contract, now) = (world.store(), world.id(), world.clock.now());
    let mut owner = None;
    for name in ["Zerlina", "Bertram"] {
        let (status, answer) = post(&world.apps, &tenant, &tenant.person(name), name).await;
        assert_eq!(status, 202, "{answer}");
        let id = id_of(&answer).parse().unwrap();
        let stored = store.submission(contract, id).await.unwrap();
        let mut submission = stored.unwrap();
        // The lease of the first has ended when the second comes.
        let claimed = store.claim_match_key(&mut submission, "hash", 0, now, now, |claim| Plan {
            identity: claim.identity(contract),
            planned_at: now,
            claim: Some(ClaimRef {
                key: claim.key.clone(),
                generation: claim.generation,
            }),
            strategy: world.contract.active_strategy,
        });
        claimed.await.unwrap();
        owner = Some(id);
    }
    let given = privacy::Given {
        emails: vec![tenant.email("zerlina")],
        ..privacy::Given::default()
    };
    let person = Person::new(&given, None).unwrap();
    let import = &world.apps.import;
    let asked = erasure::begin(&import.remote, &import.queue, contract, &person, "t").await;
    let id = asked.unwrap().id;
    assert!(work(&world.apps, &tenant).await);
    let erased = store.erasure(contract, id).await.unwrap().unwrap().erased;
    assert_eq!(erased.get("submissions"), Some(&1), "{erased:?}");
    assert_eq!(erased.get("claims"), None, "{erased:?}");
    let claim = store.claim(contract, "hash").await.unwrap();
    assert_eq!(claim.map(|claim| claim.owner), owner);
    harness.stop().await;
}

/// A response that comes while an erasure runs is a new act of the person, as one after its end is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_person_sends_after_an_erasure_was_asked_for_is_taken() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let world = DirectoryWorld::of(&tenant).await;
    let (store, contract) = (world.store(), world.id());
    let body = tenant.person("Zerlina");
    let (status, answer) = post(&world.apps, &tenant, &body, "before").await;
    assert_eq!(status, 202, "{answer}");
    let before = id_of(&answer).parse().unwrap();
    let given = privacy::Given {
        emails: vec![tenant.email("zerlina")],
        ..privacy::Given::default()
    };
    let person = Person::new(&given, None).unwrap();
    let import = &world.apps.import;
    let asked = erasure::begin(&import.remote, &import.queue, contract, &person, "t").await;
    asked.unwrap();
    world.clock.advance(10);
    let (status, answer) = post(&world.apps, &tenant, &body, "after").await;
    assert_eq!(status, 202, "{answer}");
    let after = id_of(&answer).parse().unwrap();
    for _ in 0..2 {
        assert!(work(&world.apps, &tenant).await);
        world.clock.advance(1000);
    }
    for (id, is_kept) in [(before, false), (after, true)] {
        let stored = store.submission(contract, id).await.unwrap().unwrap();
        assert_eq!(stored.answers.is_some(), is_kept, "{stored:?}");
    }
    harness.stop().await;
}

/// An erasure is one item of the table, however many records of the CRM have the person's address.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_of_more_records_than_it_can_name_ends_with_all_of_them() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let world = DirectoryWorld::of(&tenant).await;
    let email = tenant.email("zerlina");
    let copies = privacy::MAX_RECORDS + 7;
    let changes = (0..copies).map(|number| {
        Change::Present(mirror::Record {
            id: format!("{number:08x}-0000-4000-8000-000000000000"),
            modified: world.clock.now(),
            merged_into: None,
            values: Values(vec![("Email", mirror::Value::Text(email.clone()))]),
        })
    });
    let changes: Vec<Change> = changes.collect();
    let contacts = Mirror {
        contract: world.id(),
        environment: Environment::Production,
        crm: CrmKind::Salesforce,
        object: "Contact",
        default_region: None,
    };
    contacts.put_new(world.store(), &changes).await.unwrap();
    let given = privacy::Given {
        emails: vec![email.clone()],
        ..privacy::Given::default()
    };
    let person = Person::new(&given, None).unwrap();
    let import = &world.apps.import;
    let asked = erasure::begin(&import.remote, &import.queue, world.id(), &person, "t").await;
    let id = asked.unwrap().id;
    let mut erased = None;
    for _ in 0..20 {
        assert!(work(&world.apps, &tenant).await);
        let erasure = world.store().erasure(world.id(), id).await.unwrap();
        let erasure = erasure.unwrap();
        assert!(erasure.position.records.len() <= privacy::MAX_RECORDS);
        if let Some(receipt) = erasure.receipt {
            erased = receipt.erased.get("crm_copies").copied();
            break;
        }
        world.clock.advance(1000);
    }
    assert_eq!(erased, Some(copies as u64));
    let left = dump(&tenant).await;
    assert!(left.values().all(|text| !text.contains(&email)));
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_whose_person_cannot_be_read_stops_no_other() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let world = DirectoryWorld::of(&tenant).await;
    let (store, queue) = (world.store(), &world.apps.import.queue);
    let mut asked = Vec::new();
    for name in ["first", "second"] {
        let given = privacy::Given {
            emails: vec![tenant.email(name)],
            ..privacy::Given::default()
        };
        let person = Person::new(&given, None).unwrap();
        let remote = &world.apps.import.remote;
        let erasure = erasure::begin(remote, queue, world.id(), &person, "t").await;
        asked.push(erasure.unwrap());
    }
    // They are worked on in the order of their ids.
    asked.sort_by_key(|erasure| erasure.id);
    let [unreadable, other] = asked.as_slice() else {
        panic!("{asked:?}");
    };
    let unreadable = Erasure {
        sealed: Some("unreadable".to_owned()),
        version: unreadable.version + 1,
        ..unreadable.clone()
    };
    store.save_erasure(&unreadable, None).await.unwrap();
    assert!(!work(&world.apps, &tenant).await);
    let other = store.erasure(world.id(), other.id).await.unwrap().unwrap();
    assert_eq!(other.state, ErasureState::Confirming);
    harness.stop().await;
}
