//! The four steps, the choice of the CRM, and the first import (CN-1, CN-2, CN-5, CN-7).

use axum::http::Method;
use serde_json::{Value, json};
use shared::domain::environment::Environment;
use shared::domain::schema::CrmKind;
use shared::domain::sync::SYNC_EVERY_SECONDS;
use shared::store::{ConnectionKind, ConnectionState};

use super::world::{Answer, PRODUCTION, SANDBOX, Who, World, for_both};

const IN_PROGRESS: &str = "Successfully connected, sync in progress";

/// The steps after the first, by their actions.
const STEPS: [(&str, Method, &str, &str); 3] = [
    (
        "sync_settings",
        Method::PUT,
        "/sync-settings",
        "roi_reporting",
    ),
    (
        "roi_reporting",
        Method::PUT,
        "/roi-reporting",
        "advanced_features",
    ),
    (
        "advanced_features",
        Method::POST,
        "/guide/finish",
        "finished",
    ),
];

fn body(path: &str) -> Value {
    match path {
        "/sync-settings" => json!({ "create_leads": true }),
        "/roi-reporting" => json!({ "enabled": false }),
        _ => Value::Null,
    }
}

fn step(view: &Value) -> (&str, u64) {
    let guide = &view["guide"];
    (
        guide["step"].as_str().unwrap(),
        guide["step_number"].as_u64().unwrap(),
    )
}

for_both!(the_guide_is_resumed_where_it_was_left_in_both_environments);
async fn the_guide_is_resumed_where_it_was_left_in_both_environments(crm: CrmKind) {
    let world = World::start(crm).await;
    for environment in [PRODUCTION, SANDBOX] {
        let view = world.view(environment).await;
        assert_eq!(step(&view), ("connect", 1));
        assert_eq!(view["guide"]["choice"], Value::Null);
        assert_eq!(view["status"], "not_connected");
        assert_eq!(view["message"], "Not connected.");
        assert_eq!(view["sync"]["state"], Value::Null);
    }

    // Later steps move nothing before the first is done, and are not done by it.
    for (_, method, path, _) in STEPS {
        let answer = world.of(PRODUCTION, method, path, body(path)).await;
        if path == "/guide/finish" {
            assert_eq!((answer.status, answer.code()), (409, "guide_not_there_yet"));
            assert_eq!(answer.json["detail"], "The guide is at step 1.");
        } else {
            answer.is(200);
        }
        assert_eq!(step(&world.view(PRODUCTION).await), ("connect", 1));
    }

    let answer = world.connect(PRODUCTION).await.is(200);
    assert_eq!(answer.json["message"], IN_PROGRESS);
    assert_eq!(answer.json["missing"], Value::Null);
    assert_eq!(step(&world.view(SANDBOX).await), ("connect", 1));
    assert_eq!(
        world.connect(SANDBOX).await.is(200).json["message"],
        IN_PROGRESS
    );

    // Production is a step ahead of the sandbox; each view is read by a fresh process.
    for (at, (name, method, path, next)) in STEPS.into_iter().enumerate() {
        let view = world.view_by(&world.fresh(), PRODUCTION).await;
        assert_eq!(step(&view), (name, at as u64 + 2));
        let done = world.of(PRODUCTION, method.clone(), path, body(path)).await;
        done.is(200);
        assert_eq!(step(&world.view(PRODUCTION).await).0, next);
        let sandbox = world.view(SANDBOX).await;
        assert_eq!(step(&sandbox), (name, at as u64 + 2));
        world.of(SANDBOX, method, path, body(path)).await.is(200);
    }
    for environment in [PRODUCTION, SANDBOX] {
        // A step that is done again, from the settings, moves nothing.
        let path = "/sync-settings";
        let again = world.of(environment, Method::PUT, path, body(path)).await;
        again.is(200);
        assert_eq!(step(&world.view(environment).await), ("finished", 5));
    }
    let list = world.get("/crm-connections").await;
    let organizations: Vec<&Value> = (0..2).map(|n| &list["items"][n]["organization"]).collect();
    assert_ne!(organizations[0], organizations[1]);
    world.stop().await;
}

#[tokio::test]
async fn a_different_crm_is_recorded_by_its_name() {
    let world = World::start(CrmKind::Salesforce).await;
    let choose = async |choice: Value| world.of(SANDBOX, Method::PUT, "/crm", choice).await;
    for (bad, code) in [
        (json!({ "crm": "other" }), "invalid_body"),
        (json!({ "crm": "other", "name": " " }), "invalid_crm_name"),
        (
            json!({ "crm": "other", "name": "x".repeat(101) }),
            "invalid_crm_name",
        ),
        (json!({ "crm": "hubspot" }), "invalid_body"),
    ] {
        let answer = choose(bad).await;
        assert_eq!(
            (answer.status, answer.code()),
            (422, code),
            "{}",
            answer.json
        );
    }
    let other = json!({ "crm": "other", "name": "HubSpot" });
    choose(json!({ "crm": "other", "name": " HubSpot " }))
        .await
        .is(200);
    assert_eq!(world.view(SANDBOX).await["guide"]["choice"], other);
    assert_eq!(world.view(PRODUCTION).await["guide"]["choice"], Value::Null);
    let logged = world.audit("crm.choice").await;
    assert_eq!(logged.len(), 1);
    assert_eq!(
        (&logged[0].before, &logged[0].after),
        (&Value::Null, &other)
    );
    assert_eq!(logged[0].target, "sandbox");

    // The contract's own CRM can still be connected; the choice is then changed to it.
    world.connect(SANDBOX).await.is(200);
    let view = world.view(SANDBOX).await;
    assert_eq!(view["guide"]["choice"], json!({ "crm": "salesforce" }));
    // While it is connected, nothing else can be.
    let answer = choose(other).await;
    assert_eq!((answer.status, answer.code()), (409, "crm_connected"));
    let view = world.view(SANDBOX).await;
    assert_eq!(view["guide"]["choice"], json!({ "crm": "salesforce" }));
    world.stop().await;
}

async fn dynamics(world: &World, environment: Environment) -> Answer {
    let choice = json!({ "crm": "dynamics365" });
    world.of(environment, Method::PUT, "/crm", choice).await
}

/// The lead fields that the mappings lead to, with the names on the form.
fn fields(mappings: &Value) -> Vec<(String, String)> {
    let items = mappings["items"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    items
        .map(|item| (text(&item["name"]), text(&item["lead_field"])))
        .collect()
}

#[tokio::test]
async fn the_other_crm_takes_the_mappings_along_and_says_what_it_dropped() {
    let mut world = World::start(CrmKind::Salesforce).await;
    world.connect_and_import(PRODUCTION).await;
    let own = json!({ "name": "team", "lead_field": "Score__c" });
    world
        .api(Method::POST, "/field-mappings", own)
        .await
        .is(201);
    let settings = json!({ "lead_source": "Web", "pipeline_stage": "Prospecting" });
    world
        .of(PRODUCTION, Method::PUT, "/sync-settings", settings)
        .await
        .is(200);

    // While either environment is connected, in either environment's guide.
    for environment in [PRODUCTION, SANDBOX] {
        let answer = dynamics(&world, environment).await;
        assert_eq!((answer.status, answer.code()), (409, "crm_connected"));
        assert_eq!(
            answer.json["detail"],
            "Salesforce is connected as production; a contract uses one CRM."
        );
        assert_eq!(
            answer.json["next_step"],
            "Disconnect it first, then choose another CRM."
        );
        assert_eq!(answer.json["field"], "crm");
    }
    let end = json!({ "clean_up": false });
    world
        .of(PRODUCTION, Method::POST, "/disconnect", end)
        .await
        .is(202);
    assert_eq!(dynamics(&world, PRODUCTION).await.code(), "crm_connected");
    world.settle().await;

    let before = fields(&world.get("/field-mappings").await);
    dynamics(&world, PRODUCTION).await.is(200);
    let after = fields(&world.get("/field-mappings").await);
    assert_eq!(after.len() + 1, before.len());
    for (name, field) in [
        ("email", "emailaddress1"),
        ("JOB_TITLE", "jobtitle"),
        ("phone", "telephone1"),
    ] {
        assert!(
            after.contains(&(name.to_owned(), field.to_owned())),
            "{after:?}"
        );
    }
    let strategies = world.get("/matching-strategies").await;
    assert_eq!(
        strategies["items"][0]["matching_lead_fields"],
        json!(["emailaddress1"])
    );
    let logged = world.audit("crm.choose").await;
    assert_eq!(logged.len(), 1);
    assert_eq!(logged[0].before, "salesforce");
    assert_eq!(
        logged[0].after,
        json!({ "crm": "dynamics365", "dropped_mappings": ["team"] })
    );
    // A stage and a lead source of the other CRM mean nothing here.
    let settings = world
        .of(PRODUCTION, Method::GET, "/sync-settings", Value::Null)
        .await;
    assert_eq!(settings.json["lead_source"], Value::Null);

    // From now on it is the other CRM that connects, and only that.
    let target = json!({ "login_url": world.stack.simulator.salesforce_url() });
    let refused = world
        .begin(&world.apps, Who::Administrator, "salesforce", &target)
        .await;
    assert_eq!((refused.status, refused.code()), (409, "other_crm"));
    world.crm = CrmKind::Dynamics365;
    world.connect_and_import(PRODUCTION).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_choice_that_overtakes_a_connection_leaves_no_connection_to_the_wrong_crm() {
    let mut connected = 0;
    let mut world = World::start(CrmKind::Salesforce).await;
    // The duration of the code's exchange decides which is first, and the state of the other one then.
    for (round, delay) in [0, 1, 2, 4, 8, 12, 16, 24, 40, 80].into_iter().enumerate() {
        world.made = world
            .another(&format!("race-{round}"), CrmKind::Salesforce)
            .await;
        world.apps = world.fresh();
        let started = world.begin_crm(&world.apps, PRODUCTION).await;
        let back = world.sign_in(&started).await;
        world.fault(json!({ "system": "salesforce", "path_contains": "/token", "kind": "slow", "delay_ms": 20 })).await;
        let choice = async {
            tokio::time::sleep(std::time::Duration::from_millis(delay)).await;
            dynamics(&world, PRODUCTION).await
        };
        let (answer, chosen) =
            tokio::join!(world.come_back(&world.apps, &back, &started.cookie), choice);
        let contract = world
            .store()
            .contract(&world.made.id)
            .await
            .unwrap()
            .unwrap();
        let connection = world.connection(ConnectionKind::PRODUCTION).await;
        if chosen.status == 200 {
            assert_eq!(contract.crm, CrmKind::Dynamics365);
            assert_eq!(
                (answer.status, answer.code()),
                (409, "other_crm"),
                "{}",
                answer.json
            );
            assert_eq!(connection, None);
        } else {
            assert_eq!(
                (chosen.status, chosen.code()),
                (409, "crm_connected"),
                "{}",
                chosen.json
            );
            answer.is(200);
            assert_eq!(contract.crm, CrmKind::Salesforce);
            assert_eq!(connection.unwrap().state, ConnectionState::Connected);
            connected += 1;
        }
        world.no_faults().await;
    }
    assert!(connected > 0);
    world.stop().await;
}

for_both!(the_first_import_comes_with_the_connection_and_the_next_every_twelve_hours);
async fn the_first_import_comes_with_the_connection_and_the_next_every_twelve_hours(crm: CrmKind) {
    let world = World::start(crm).await;
    world.connect(PRODUCTION).await.is(200);
    let view = world.view(PRODUCTION).await;
    assert_eq!(
        (&view["status"], &view["message"]),
        (&json!("connected"), &json!(IN_PROGRESS))
    );
    assert_eq!(view["sync"]["state"], "queued");
    assert_eq!(view["sync"]["next_at"], Value::Null);

    // The import, and the link pass over the imported records.
    assert_eq!(world.drain().await, 2);
    let view = world.view(PRODUCTION).await;
    assert_eq!(
        (&view["message"], &view["problem"]),
        (&json!("Connected."), &Value::Null)
    );
    let sync = &view["sync"];
    assert_eq!(sync["state"], "succeeded");
    assert_eq!(sync["last_success_at"], sync["finished_at"]);
    let next = world.now().0 + SYNC_EVERY_SECONDS * 1000;
    assert_eq!(sync["next_at"], next);

    // Asked for twice, it is one import; a message too many finds nothing to do.
    for _ in 0..2 {
        let asked = world
            .of(PRODUCTION, Method::POST, "/sync", Value::Null)
            .await;
        let view = asked.is(202).json;
        assert_eq!(
            (&view["sync"]["state"], &view["message"]),
            (&json!("queued"), &json!(IN_PROGRESS))
        );
    }
    world.forget_calls().await;
    assert_eq!(world.drain().await, 2);
    let once = world.calls().await.len();
    assert!(once > 0);
    for _ in 0..2 {
        world
            .of(PRODUCTION, Method::POST, "/sync", Value::Null)
            .await
            .is(202);
    }
    world.forget_calls().await;
    world.drain().await;
    assert_eq!(world.calls().await.len(), once, "one import's calls");
    world.stop().await;
}

for_both!(the_schedule_asks_each_connected_environment_once);
async fn the_schedule_asks_each_connected_environment_once(crm: CrmKind) {
    let world = World::start(crm).await;
    let start = async || {
        let task = crm_import::Task::StartSyncs { contract: None };
        crm_import::run(&world.apps.import, task).await.unwrap()
    };
    assert_eq!(start().await.requested, 0);
    world.another("bystander", crm).await;
    world.connect_and_import(PRODUCTION).await;
    assert_eq!(start().await.requested, 1);
    world.connect(SANDBOX).await.is(200);
    world.drain().await;
    world.advance(SYNC_EVERY_SECONDS).await;
    assert_eq!(start().await.requested, 2);
    // A schedule that fires twice asks for no more.
    assert_eq!(start().await.requested, 2);
    assert_eq!(world.open_work().await.len(), 2);
    world.drain().await;
    for environment in [PRODUCTION, SANDBOX] {
        let sync = &world.view(environment).await["sync"];
        assert_eq!(sync["last_success_at"], world.now().0);
        let stored = world
            .store()
            .sync(&world.made.id, environment)
            .await
            .unwrap();
        assert_eq!(stored.unwrap().requested_by, "schedule");
    }
    assert!(world.open_work().await.is_empty());
    world.stop().await;
}
