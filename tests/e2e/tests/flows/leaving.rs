//! A contract as a whole: exported, deleted, and how long its answers are kept (OP-3).

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use e2e::worker::{
    ask_for_import, clock, drain_imports, id_of, messages, post, process, spoil, stored,
};
use e2e::{Harness, Tenant};
use local::{Apps, Stack};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use shared::clock::{Clock as _, Millis};
use shared::domain::activity::{Activity, Draft, Given};
use shared::domain::directory::{EntryId, EntryKind, EntryRef};
use shared::domain::environment::Environment;
use shared::domain::ids::ContractId;
use shared::domain::run::{Run, RunKind, RunState};
use shared::domain::schema::CrmKind;
use shared::queue::ImportMessage;
use shared::store::{ConnectionKind, WorkKind};
use shared::testing::{Cut, FixedClock, Tripwire};

type Item = std::collections::HashMap<String, AttributeValue>;

const DAY: i64 = 24 * 3600;

/// All items whose key is the contract's.
async fn dump(stack: &Stack, contract: &ContractId) -> Vec<Item> {
    let client = shared::aws::dynamodb(&stack.aws);
    let (own, inside) = (format!("C#{contract}"), format!("C#{contract}#"));
    let (mut items, mut start) = (Vec::new(), None);
    loop {
        let scan = client.scan().table_name(local::TABLE).consistent_read(true);
        let page = scan.set_exclusive_start_key(start).send().await.unwrap();
        items.extend(page.items.unwrap_or_default());
        start = page.last_evaluated_key.filter(|key| !key.is_empty());
        if start.is_none() {
            break;
        }
    }
    items.retain(|item| {
        let mut texts = item.values().filter_map(|value| value.as_s().ok());
        texts.any(|text| *text == own || text.starts_with(&inside))
    });
    items
}

fn text<'i>(item: &'i Item, name: &str) -> &'i str {
    item[name].as_s().unwrap()
}

async fn work(apps: &Apps, contract: &ContractId, work: WorkKind) -> bool {
    let contract = contract.clone();
    crm_import::work(&apps.import, &ImportMessage { contract, work }).await
}

/// Lets time pass and works on all that is due for the contract, until its deletion has ended.
async fn settle(stack: &Stack, apps: &Apps, clock: &FixedClock, contract: &ContractId) -> Run {
    for _ in 0..60 {
        let due = stack.store().due_work(clock.now(), 100).await.unwrap();
        for (of, kind) in due {
            if of == *contract {
                work(apps, contract, kind).await;
            }
        }
        let run = deletion(stack, contract).await;
        if !run.is_open() {
            return run;
        }
        // Longer than any lease.
        clock.advance(200);
    }
    panic!("not ended: {:?}", deletion(stack, contract).await);
}

async fn deletion(stack: &Stack, contract: &ContractId) -> Run {
    let run = stack.store().last_run(contract, RunKind::DeleteContract);
    run.await.unwrap().unwrap()
}

async fn ask_for_deletion(tenant: &Tenant<'_>) -> Value {
    let name = json!({ "name": "Test" });
    let (status, run) = tenant
        .api(Method::POST, "/contract/deletion", Some(name))
        .await;
    assert_eq!(status, StatusCode::ACCEPTED, "{run}");
    run
}

/// Posts a form of each of those people and brings it to the CRM.
async fn submit(apps: &Apps, tenant: &Tenant<'_>, names: &[&str]) -> Vec<String> {
    let mut ids = Vec::new();
    for name in names {
        let (status, answer) = post(apps, tenant, &tenant.person(name), name).await;
        assert_eq!(status, 202, "{answer}");
        let id = id_of(&answer);
        crm_writeback::handle(&apps.writeback, messages(&tenant.made.id, &[&id])).await;
        ids.push(id);
    }
    ids
}

/// The number of items of each kind, as the receipt counts them.
fn by_kind(items: &[Item]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for item in items {
        let kind = match item.get("entity_type") {
            Some(kind) => kind.as_s().unwrap().to_lowercase(),
            None => text(item, "PK").split('#').nth(2).unwrap().to_lowercase(),
        };
        *counts.entry(kind).or_default() += 1;
    }
    counts
}

/// The receipt counts what was there; what the end of the connections wrote meanwhile does not matter here.
fn is_receipt_of(run: &Run, before: &BTreeMap<String, u64>, about: &str) {
    assert_eq!(run.state, RunState::Done, "{about}");
    assert_eq!(run.requested_by, "administrator", "{about}");
    for (kind, count) in before {
        if !["audit", "run", "sync", "import run", "guide"].contains(&kind.as_str()) {
            assert_eq!(run.counts.get(kind), Some(count), "{about}: {kind}");
        }
    }
}

/// Nothing of the contract is left but the receipt, which expires.
async fn is_gone(stack: &Stack, contract: &ContractId, about: &str) {
    let left = dump(stack, contract).await;
    let keys: Vec<_> = left
        .iter()
        .map(|item| (text(item, "PK"), text(item, "SK")))
        .collect();
    let receipt = format!("C#{contract}#RUN");
    assert_eq!(keys, [(receipt.as_str(), "delete-contract")], "{about}");
    assert!(left[0].contains_key("expires_at"), "{about}");
    assert!(!left[0].contains_key("GSI2PK"), "{about}");
    let listed = stack.store().contracts().await.unwrap();
    assert!(!listed.contains(contract), "{about}");
}

/// A connection that cannot be read keeps no contract from its deletion.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contract_with_a_connection_that_cannot_be_read_is_deleted_whole() {
    let harness = Harness::embedded(false).await;
    let stack = harness.embedded_stack();
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let id = &tenant.made.id;
    let clock = clock();
    let apps = process(stack, &Tripwire::new(), &clock);
    let partition = "CONNECTION#LINKEDIN";
    let spoilt = spoil(&tenant, partition, "CONNECTION", "state").await;
    assert_eq!(spoilt, 1);
    ask_for_deletion(&tenant).await;
    clock.advance(8 * DAY);
    let receipt = settle(stack, &apps, &clock, id).await;
    assert_eq!(receipt.state, RunState::Done);
    is_gone(stack, id, "an unreadable connection").await;
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contract_is_deleted_whole_and_its_late_posts_and_messages_do_nothing() {
    let harness = Harness::embedded(false).await;
    let stack = harness.embedded_stack();
    let (leaves, stays) = (
        harness.tenant(CrmKind::Salesforce).await,
        harness.tenant(CrmKind::Dynamics365).await,
    );
    let id = &leaves.made.id;
    let clock = clock();
    let apps = process(stack, &Tripwire::new(), &clock);
    let ids = submit(&apps, &leaves, &["Ada", "Grace", "Kay"]).await;
    submit(&apps, &stays, &["Alan"]).await;
    ask_for_import(&apps, id).await;
    drain_imports(stack, &apps).await;
    let seat = json!({ "name": "Ann", "email": leaves.email("ann"), "role": "administrator" });
    let (status, _) = leaves.api(Method::POST, "/seats", Some(seat)).await;
    assert_eq!(status, StatusCode::CREATED);
    let others = dump(stack, &stays.made.id).await;

    // Asked for by the exact name only, once, and stopped.
    let wrong = Some(json!({ "name": "test" }));
    let (status, problem) = leaves.api(Method::POST, "/contract/deletion", wrong).await;
    assert_eq!(
        (status.as_u16(), &problem["code"]),
        (422, &json!("name_mismatch"))
    );
    assert_eq!(problem["field"], "name");
    let run = ask_for_deletion(&leaves).await;
    assert_eq!(run["id"], "delete-contract-1");
    assert_eq!(ask_for_deletion(&leaves).await["id"], run["id"]);
    work(&apps, id, WorkKind::Run(RunKind::DeleteContract)).await;
    let (_, shown) = leaves
        .api(Method::GET, "/runs/delete-contract-1", None)
        .await;
    assert_eq!(
        (&shown["state"], &shown["can_stop"]),
        (&json!("waiting"), &json!(true))
    );
    let stop = "/runs/delete-contract-1/stop";
    let (status, stopped) = leaves.api(Method::POST, stop, None).await;
    assert_eq!(
        (status.as_u16(), &stopped["state"]),
        (200, &json!("stopped"))
    );
    let (status, problem) = leaves.api(Method::POST, stop, None).await;
    assert_eq!(
        (status.as_u16(), &problem["code"]),
        (409, &json!("run_not_stoppable"))
    );
    clock.advance(8 * DAY);
    work(&apps, id, WorkKind::Run(RunKind::DeleteContract)).await;
    assert_eq!(leaves.submission(&ids[0]).await["state"], "created");

    // Asked for again. It begins while an import waits, and a process still knows the form.
    assert_eq!(ask_for_deletion(&leaves).await["id"], "delete-contract-2");
    let (_, listed) = leaves.api(Method::GET, "/runs", None).await;
    let listed: Vec<_> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| &run["id"])
        .collect();
    assert_eq!(listed, ["delete-contract-2", "delete-contract-1"]);
    ask_for_import(&apps, id).await;
    clock.advance(8 * DAY);
    submit(&apps, &leaves, &["Joan"]).await;
    let before = by_kind(&dump(stack, id).await);
    assert!(
        before["submission"] == 4 && before["seat"] == 1,
        "{before:?}"
    );
    work(&apps, id, WorkKind::Run(RunKind::DeleteContract)).await;
    let (status, late) = post(&apps, &leaves, &leaves.person("Late"), "late").await;
    assert_eq!(status, 202, "{late}");
    assert_eq!(deletion(stack, id).await.state, RunState::Running);
    // Nobody else finds it any more, and it can no longer be stopped.
    assert!(harness.store.contract(id).await.unwrap().is_none());
    assert!(harness.store.config(id).await.unwrap().is_none());
    let (status, _) = leaves.api(Method::POST, stop, None).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let cold = process(stack, &Tripwire::new(), &clock);
    let (status, problem) = post(&cold, &leaves, &leaves.person("Later"), "later").await;
    assert_eq!((status, &problem["code"]), (404, &json!("not_found")));

    let receipt = settle(stack, &apps, &clock, id).await;
    let mut expected = before;
    // The late post came before anything was deleted.
    *expected.get_mut("submission").unwrap() += 1;
    is_receipt_of(&receipt, &expected, "no death");
    assert_eq!(receipt.counts["contract"], 1);
    is_gone(stack, id, "no death").await;
    assert_eq!(dump(stack, &stays.made.id).await.len(), others.len());

    // Whatever comes late does nothing, and is acknowledged.
    for kind in [
        WorkKind::Run(RunKind::DeleteContract),
        WorkKind::Run(RunKind::KeepAnswers),
        WorkKind::Sync(Environment::Production),
        WorkKind::Disconnect(ConnectionKind::PRODUCTION),
        WorkKind::Link,
    ] {
        assert!(work(&apps, id, kind).await, "{kind:?}");
    }
    let again = messages(id, &[&ids[0], &id_of(&late)]);
    let answer = crm_writeback::handle(&apps.writeback, again).await;
    assert!(answer.batch_item_failures.is_empty());
    let (status, _) = post(&apps, &leaves, &leaves.person("Last"), "last").await;
    assert_eq!(status, 404);
    is_gone(stack, id, "late").await;
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_that_dies_at_any_call_ends_with_the_same_receipt() {
    let harness = Harness::embedded(false).await;
    let stack = harness.embedded_stack();
    let clock = clock();
    let healthy = process(stack, &Tripwire::new(), &clock);
    clock.advance(8 * DAY);
    for cut in Cut::each() {
        let tenant = harness.tenant(CrmKind::Salesforce).await;
        let id = &tenant.made.id;
        let (status, answer) = post(&healthy, &tenant, &tenant.person("Ada"), "ada").await;
        assert_eq!(status, 202, "{answer}");
        ask_for_deletion(&tenant).await;
        let before = by_kind(&dump(stack, id).await);
        let about = format!("{cut:?}");

        // The worker works on everything of the deletion until it dies.
        let wire: Arc<Tripwire> = Tripwire::cutting(cut);
        let dying = process(stack, &wire, &clock);
        for _ in 0..20 {
            work(&dying, id, WorkKind::Run(RunKind::DeleteContract)).await;
            if wire.has_cut() || !deletion(stack, id).await.is_open() {
                break;
            }
            let ends = ConnectionKind::PRODUCTION;
            work(&healthy, id, WorkKind::Disconnect(ends)).await;
            work(&healthy, id, WorkKind::Disconnect(ConnectionKind::LinkedIn)).await;
            clock.advance(1000);
        }
        let run = settle(stack, &healthy, &clock, id).await;
        is_receipt_of(&run, &before, &about);
        is_gone(stack, id, &about).await;
        if !wire.has_cut() {
            break;
        }
    }
    harness.stop().await;
}

/// An activity of a seat holder with somebody.
fn activity_of(contract: &ContractId, seat: &str, text: &str) -> Activity {
    let now = Millis(1_790_000_000_000);
    let given = Given {
        key: "k".to_owned(),
        kind: "call".to_owned(),
        occurred_at: now,
        text: text.to_owned(),
        ..Given::default()
    };
    let target = EntryRef {
        kind: EntryKind::Profile,
        id: EntryId(uuid::Uuid::from_u128(1)),
    };
    let draft = Draft::check(given, EntryKind::Profile, now).unwrap();
    draft.with(contract, seat.parse().unwrap(), target, "Product", now)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contract_is_exported_whole_and_without_secrets() {
    let harness = Harness::embedded(false).await;
    let stack = harness.embedded_stack();
    let (own, other) = (
        harness.tenant(CrmKind::Salesforce).await,
        harness.tenant(CrmKind::Salesforce).await,
    );
    let clock = clock();
    let apps = process(stack, &Tripwire::new(), &clock);
    let ids = submit(&apps, &own, &["Ada", "Grace"]).await;
    // It stays out of the CRM, which the two share: an import would bring it to the other.
    let (status, answer) = post(&apps, &other, &other.person("Alan"), "alan").await;
    assert_eq!(status, 202, "{answer}");
    ask_for_import(&apps, &own.made.id).await;
    drain_imports(stack, &apps).await;
    let seat = json!({ "name": "Ann", "email": own.email("ann"), "role": "administrator" });
    let (status, seat) = own.api(Method::POST, "/seats", Some(seat)).await;
    assert_eq!(status, StatusCode::CREATED);
    // What seats that were removed have left is exported too.
    let mut removed = Vec::new();
    for name in ["bob", "eve"] {
        let seat = json!({ "name": name, "email": own.email(name), "role": "salesperson" });
        let (_, seat) = own.api(Method::POST, "/seats", Some(seat)).await;
        let id = seat["id"].as_str().unwrap().to_owned();
        let activity = activity_of(&own.made.id, &id, &format!("Call of {name}."));
        let stored = harness.store.accept_activities(&[activity]).await;
        assert!(stored.iter().all(Result::is_ok));
        removed.push(id);
    }
    for id in &removed {
        let path = format!("/seats/{id}");
        let (status, answer) = own.api(Method::DELETE, &path, None).await;
        assert!(status.is_success(), "{answer}");
    }

    let (mut lines, mut counts, mut next, mut pages) = (Vec::new(), BTreeMap::new(), None, 0);
    loop {
        let query = next.map_or_else(String::new, |cursor: String| {
            let cursor = url::form_urlencoded::byte_serialize(cursor.as_bytes());
            format!("?cursor={}", cursor.collect::<String>())
        });
        let path = format!("/contract/export{query}");
        let (status, answer) = own.api(Method::GET, &path, None).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        // A page of one line is read as JSON by the helper.
        let answer = answer
            .as_str()
            .map_or_else(|| answer.to_string(), str::to_owned);
        let mut page: Vec<Value> = answer
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let end = page.pop().unwrap()["page"].take();
        assert!(end["read_at"].is_i64(), "{end}");
        for (kind, count) in end["counts"].as_object().unwrap() {
            *counts.entry(kind.clone()).or_insert(0) += count.as_u64().unwrap();
        }
        lines.append(&mut page);
        pages += 1;
        match end["next"].as_str() {
            Some(cursor) => next = Some(cursor.to_owned()),
            None => break,
        }
    }
    assert!(pages > 1, "empty partitions end a page too");
    let mut found: BTreeMap<String, u64> = BTreeMap::new();
    for line in &lines {
        *found
            .entry(line["kind"].as_str().unwrap().to_owned())
            .or_default() += 1;
    }
    assert_eq!(found, counts);
    let kinds = [
        "contract",
        "form",
        "strategy",
        "mapping",
        "seat",
        "connection",
        "submission",
        "directory entry",
    ];
    let stored_kinds = by_kind(&dump(stack, &own.made.id).await);
    for kind in kinds {
        assert_eq!(
            found.get(kind),
            stored_kinds.get(kind),
            "{kind}: {stored_kinds:?}"
        );
    }
    assert_eq!((found["submission"], found["activity"]), (2, 2));
    let all = lines.iter().map(Value::to_string).collect::<String>();
    assert!(all.contains(&ids[0]) && all.contains(&own.email("ada")));
    assert!(all.contains("Call of bob.") && all.contains("Call of eve."));
    assert!(!all.contains(&other.domain) && !all.contains(other.made.id.as_str()));
    // No value that is sealed, or that is a secret or its hash, in any item.
    for item in dump(stack, &own.made.id).await {
        for (name, value) in &item {
            if name.starts_with("sealed") || name == "secret_hash" {
                assert!(!all.contains(value.as_s().unwrap().as_str()), "{name}");
            }
        }
    }
    for secret in [&own.made.google_key, &own.made.linkedin_client_secret] {
        assert!(!all.contains(secret.as_str()));
    }
    // A place that was made up is refused, also where it would be right: it has left no entry in the audit log.
    let seats = format!("SEATS|{}", seat["id"].as_str().unwrap());
    let submissions = format!("SUBMISSIONS|9999#{}", ids[0]);
    let long = format!("AUDIT|{}", "x".repeat(1025));
    let signed = format!("{seats}.{}", "0".repeat(64));
    for cursor in [
        "x",
        "x|y",
        "SUBMISSIONS",
        &long,
        &seats,
        &submissions,
        &signed,
    ] {
        let cursor: String = url::form_urlencoded::byte_serialize(cursor.as_bytes()).collect();
        let path = format!("/contract/export?cursor={cursor}");
        let (status, problem) = own.api(Method::GET, &path, None).await;
        assert_eq!(
            (status.as_u16(), &problem["code"]),
            (400, &json!("invalid_cursor"))
        );
    }
    let export = async |place: &str| {
        let page = harness.store.export_page(&own.made.id, Some(place)).await;
        page.unwrap()
    };
    for cursor in ["x", "x|y", "SUBMISSIONS", &long] {
        assert!(export(cursor).await.is_none(), "{cursor}");
    }
    // A page of seats continues behind the last one, which it names by its id.
    let page = export(&seats).await.expect("a place");
    let kinds: Vec<&str> = page.items.iter().map(|found| found.kind.as_str()).collect();
    assert!(kinds.contains(&"connection") && !kinds.contains(&"seat"));
    // A place that is none of this contract's leads nowhere else.
    let page = export(&format!("SUBMISSIONS|9999#{}", ids[0])).await;
    let page = page.expect("a place");
    let all: Vec<String> = page
        .items
        .iter()
        .map(|found| found.item.to_string())
        .collect();
    assert!(!all.concat().contains(&other.domain));
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_expire_by_the_setting_whenever_they_came() {
    let harness = Harness::embedded(false).await;
    let stack = harness.embedded_stack();
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let id = &tenant.made.id;
    let clock = clock();
    let apps = process(stack, &Tripwire::new(), &clock);
    let expires = async |submission: &str| {
        let items = dump(stack, id).await;
        let pk = format!("C#{id}#SUBMISSION#{submission}");
        let item = items.into_iter().find(|item| text(item, "PK") == pk);
        let expires = item.unwrap().get("expires_at").cloned();
        expires.map(|at| at.as_n().unwrap().parse::<i64>().unwrap())
    };
    let keep = async |days: u32| {
        let wanted = Some(json!({ "keep_answers_days": days }));
        tenant.api(Method::PUT, "/contract/retention", wanted).await
    };
    let apply = async || {
        clock.advance(200);
        work(&apps, id, WorkKind::Run(RunKind::KeepAnswers)).await;
        let run = harness.store.last_run(id, RunKind::KeepAnswers).await;
        let run = run.unwrap().unwrap();
        assert_eq!(run.state, RunState::Done);
        run
    };
    let ids = submit(&apps, &tenant, &["Ada", "Grace"]).await;
    assert_eq!(expires(&ids[0]).await, None, "for ever unless set");
    // No worker has taken this one.
    let (status, answer) = post(&apps, &tenant, &tenant.person("Lea"), "Lea").await;
    assert_eq!(status, 202, "{answer}");
    let waits = id_of(&answer);
    for days in [1, 29, 3651] {
        let (status, problem) = keep(days).await;
        assert_eq!(
            (status.as_u16(), &problem["field"]),
            (422, &json!("keep_answers_days"))
        );
    }
    // Changed twice before the run begins: one run, by the last.
    assert_eq!(keep(30).await.0, StatusCode::OK);
    let (_, view) = keep(60).await;
    assert_eq!(view["retention_run"]["id"], "keep-answers-1");
    assert_eq!(view["keep_answers_days"], 60);
    let run = apply().await;
    assert_eq!(run.counts["submission"], 2);
    for submission in &ids {
        let received = stored(stack, id, submission).await.received_at;
        let until = received.plus_seconds(60 * DAY);
        assert_eq!(expires(submission).await, Some(until.epoch_seconds()));
    }
    // A new one gets its time with its first step, and keeps it when it is written again.
    let new = submit(&apps, &tenant, &["Kay"]).await.remove(0);
    let until = stored(stack, id, &new).await.kept_until.unwrap();
    assert_eq!(expires(&new).await, Some(until.epoch_seconds()));
    // One that waits for something does not expire; it gets its time when its lead is final.
    assert_eq!(expires(&waits).await, None);
    crm_writeback::handle(&apps.writeback, messages(id, &[&waits])).await;
    let until = stored(stack, id, &waits).await.kept_until.unwrap();
    assert_eq!(expires(&waits).await, Some(until.epoch_seconds()));
    // A run that dies at any call is continued.
    assert_eq!(keep(90).await.0, StatusCode::OK);
    for cut in Cut::each() {
        let wire = Tripwire::cutting(cut);
        let dying = process(stack, &wire, &clock);
        clock.advance(200);
        work(&dying, id, WorkKind::Run(RunKind::KeepAnswers)).await;
        let run = harness.store.last_run(id, RunKind::KeepAnswers).await;
        if !run.unwrap().unwrap().is_open() {
            break;
        }
        assert!(wire.has_cut());
    }
    let received = stored(stack, id, &new).await.received_at;
    let until = received.plus_seconds(90 * DAY).epoch_seconds();
    assert_eq!(expires(&new).await, Some(until));
    assert_eq!(keep(0).await.0, StatusCode::OK);
    assert_eq!(apply().await.counts["submission"], 4);
    assert_eq!(expires(&ids[0]).await, None);
    assert_eq!(expires(&new).await, None);
    // One that was stopped is asked for anew by the same setting.
    let (_, view) = keep(30).await;
    let stopped = view["retention_run"]["id"].as_str().unwrap();
    let stop = format!("/runs/{stopped}/stop");
    assert_eq!(
        tenant.api(Method::POST, &stop, None).await.0,
        StatusCode::OK
    );
    let (_, view) = keep(30).await;
    assert_eq!(view["retention_run"]["state"], "waiting", "{view}");
    assert_eq!(apply().await.counts["submission"], 4);
    assert!(expires(&ids[0]).await.is_some());
    // Withdrawn, it waits until a worker has looked at its lead.
    let withdrawn = ids[0].parse().unwrap();
    let store = &harness.store;
    let known = store.withdraw_submission(id, withdrawn, clock.now()).await;
    assert!(known.unwrap());
    assert_eq!(expires(&ids[0]).await, None);
    harness.stop().await;
}
