//! Imports as the API shows and stops them (CN-7, IM-3, IM-4), on the embedded stack: runs are put into
//! the table as a worker leaves them.

use e2e::{Harness, Tenant};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use shared::clock::{Clock as _, Millis, SystemClock};
use shared::domain::environment::Environment;
use shared::domain::inventory;
use shared::domain::schema::CrmKind;
use shared::domain::sync::{ApiUsage, Notice, ObjectState, ObjectSync, Phase, Sync, SyncState};
use shared::problem::Problem;
use shared::store::{ConnectionKind, Store};

const PRODUCTION: Environment = Environment::Production;

/// A worker's side of a contract's production CRM.
struct Worker<'a> {
    store: &'a Store,
    tenant: &'a Tenant<'a>,
    organization: String,
}

impl<'a> Worker<'a> {
    async fn of(tenant: &'a Tenant<'a>) -> Self {
        let store = &tenant.harness.store;
        let found = store.connection(&tenant.made.id, ConnectionKind::PRODUCTION);
        Self {
            store,
            tenant,
            organization: found.await.unwrap().unwrap().organization,
        }
    }

    fn object(&self, name: &str, run: u64) -> ObjectSync {
        let specs = inventory::objects(self.tenant.made.crm);
        let spec = specs.iter().find(|spec| spec.name == name).unwrap();
        let mut object = ObjectSync::new(spec, &self.organization);
        object.run = run;
        object.version = 1;
        object
    }

    /// Changes the run that is there, or a first one, with objects that are new.
    async fn checkpoint(&self, objects: &[ObjectSync], change: impl FnOnce(&mut Sync)) -> Sync {
        let contract = &self.tenant.made.id;
        let before = self.store.sync(contract, PRODUCTION).await.unwrap();
        let mut sync = match before {
            Some(mut open) if open.is_open() => {
                open.version += 1;
                open
            }
            other => Sync::requested(PRODUCTION, other.as_ref(), "schedule", now()).unwrap(),
        };
        change(&mut sync);
        let kept = self
            .store
            .checkpoint(contract, &self.organization, &sync, objects);
        kept.await.unwrap();
        sync
    }
}

fn now() -> Millis {
    SystemClock.now()
}

async fn get(tenant: &Tenant<'_>, path: &str) -> Value {
    let (status, answer) = tenant.api(Method::GET, path, None).await;
    assert_eq!(status, StatusCode::OK, "{path}: {answer}");
    answer
}

async fn refused(tenant: &Tenant<'_>, method: Method, path: &str) -> (u16, String) {
    let (status, answer) = tenant.api(method, path, None).await;
    assert_ne!(answer["next_step"], "", "{answer}");
    let code = answer["code"].as_str().unwrap_or_default();
    (status.as_u16(), code.to_owned())
}

fn denied(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn an_import_is_shown_object_by_object_while_it_runs() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let status = get(&tenant, "/sync").await;
    assert_eq!(status["items"].as_array().unwrap().len(), 1, "{status}");
    assert_eq!(status["items"][0]["objects"], json!([]));

    let worker = Worker::of(&tenant).await;
    // Out of the inventory's order: the table has an order of its own.
    let mut contacts = worker.object("Contact", 1);
    contacts.state = ObjectState::Reading;
    contacts.read = 41_000;
    contacts.of = Some(100_000);
    contacts.written = 40_500;
    contacts.records = 40_500;
    contacts.crm_records = Some(99_900);
    contacts.started_at = Some(now().plus_seconds(-100));
    let pass = json!({ "kind": "first", "generation": 1, "started_at": now() });
    contacts.pass = Some(serde_json::from_value(pass).unwrap());
    contacts.notices = vec![Notice {
        code: "field_not_readable".to_owned(),
        field: Some("Fax".to_owned()),
        detail: "It cannot be read.".to_owned(),
        next_step: "Give access to it.".to_owned(),
    }];
    let mut accounts = worker.object("Account", 1);
    accounts.state = ObjectState::Done;
    accounts.last_success_at = Some(now());
    let mut users = worker.object("User", 1);
    users.state = ObjectState::Failed;
    users.problem = Some(Problem::new(502, "crm_api_error", "It failed.", "Look."));
    // Remains of another organisation are not shown.
    let mut foreign = worker.object("Lead", 1);
    foreign.organization = "00D000000000000".to_owned();
    worker
        .checkpoint(&[users, contacts, accounts, foreign], |sync| {
            sync.run = 1;
            sync.state = SyncState::Running;
            sync.phase = Phase::Reading;
            sync.started_at = Some(now());
            sync.steps = 3;
            sync.calls = 10;
            sync.bytes = 12_345;
            sync.api = Some(ApiUsage {
                used: 600,
                limit: 1000,
            });
        })
        .await;

    let status = get(&tenant, "/sync?environment=production").await;
    let sync = &status["items"][0];
    assert_eq!(
        (&sync["state"], &sync["phase"], &sync["message"]),
        (
            &json!("running"),
            &json!("reading"),
            &json!("Reading contacts: 41 %, about 2 minutes left")
        )
    );
    assert_eq!(
        (&sync["steps"], &sync["calls"], &sync["bytes"]),
        (&json!(3), &json!(10), &json!(12_345))
    );
    assert_eq!(sync["next_at"], Value::Null);
    assert_eq!(
        sync["api"],
        json!({ "used": 600, "limit": 1000, "share_percent": 25, "imports_used": 10, "share_used_percent": 4 })
    );
    let objects = sync["objects"].as_array().unwrap();
    let names: Vec<&str> = objects
        .iter()
        .map(|object| object["object"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["Account", "Contact", "User"]);
    assert_eq!(
        (&objects[0]["state"], &objects[0]["percent"]),
        (&json!("done"), &json!(100))
    );
    let contacts = &objects[1];
    for (name, value) in [
        ("label", json!("Contact")),
        ("state", json!("reading")),
        ("pass", json!("first")),
        ("percent", json!(41)),
        ("read", json!(41_000)),
        ("of", json!(100_000)),
        ("records", json!(40_500)),
        ("crm_records", json!(99_900)),
        ("written", json!(40_500)),
        ("removed", json!(0)),
    ] {
        assert_eq!(contacts[name], value, "{name}");
    }
    let rate = contacts["rate_per_second"].as_u64().unwrap();
    assert!((300..=410).contains(&rate), "{rate}");
    let left = contacts["seconds_left"].as_u64().unwrap();
    assert!((140..=200).contains(&left), "{left}");
    assert_eq!(contacts["notices"][0]["field"], "Fax");
    assert_eq!(objects[2]["problem"]["next_step"], "Look.");

    // It waits: for the CRM, for its share.
    for (code, detail, message) in [
        (
            "throttled",
            "Salesforce asked for a pause until then.",
            "Waiting: Salesforce asked for a pause until then.",
        ),
        (
            "api_share_used",
            "Imports have used 250 of 250 calls.",
            "Waiting: the share of API calls is used up until 2100-01-01T00:00:00.000Z.",
        ),
    ] {
        worker
            .checkpoint(&[], |sync| {
                sync.state = SyncState::Queued;
                sync.due_at = Millis(4_102_444_800_000);
                sync.problem = Some(Problem::new(429, code, detail, "Wait."));
            })
            .await;
        let status = get(&tenant, "/sync").await;
        assert_eq!(status["items"][0]["message"], message);
        assert_eq!(status["items"][0]["problem"]["code"], code);
    }
    harness.stop().await;
}

#[tokio::test]
async fn an_import_is_started_and_stopped_and_says_by_whom() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let post = async |path: &str| tenant.api(Method::POST, path, None).await;
    let cancel = "/sync/production/cancel";
    // An import may have started with the connection.
    post(cancel).await;
    let nothing = denied(409, "no_import_runs");
    assert_eq!(refused(&tenant, Method::POST, cancel).await, nothing);
    let sandbox = "/sync/sandbox/cancel";
    assert_eq!(refused(&tenant, Method::POST, sandbox).await, nothing);

    let (status, asked) = post("/sync/production").await;
    assert_eq!(status, StatusCode::ACCEPTED);
    assert_eq!(
        (&asked["state"], &asked["message"]),
        (&json!("queued"), &json!("Waiting to start."))
    );
    let (_, again) = post("/crm-connections/production/sync").await;
    assert_eq!(again["sync"]["requested_at"], asked["requested_at"]);

    let (status, stopped) = post(cancel).await;
    assert_eq!(status, StatusCode::OK, "{stopped}");
    let by = asked["requested_by"].as_str().unwrap();
    let next = stopped["next_at"].as_i64().map(Millis).unwrap();
    let message = format!("The import was stopped by {by}; the next one starts at {next}.");
    assert_eq!(
        (&stopped["state"], &stopped["message"]),
        (&json!("cancelled"), &json!(message))
    );
    let connection = get(&tenant, "/crm-connections/production").await;
    assert_eq!(
        (&connection["message"], &connection["problem"]),
        (&json!(message), &Value::Null)
    );
    assert_eq!(connection["sync"]["state"], "cancelled");
    assert_eq!(refused(&tenant, Method::POST, cancel).await, nothing);
    let logged = get(&tenant, "/audit-log").await;
    let entry = &logged["items"][0];
    assert_eq!(
        (&entry["action"], &entry["target"], &entry["actor"]),
        (&json!("sync.cancel"), &json!("production"), &json!(by))
    );
    let history = get(&tenant, "/sync/runs").await;
    assert_eq!(
        (&history["items"][0]["run"], &history["items"][0]["state"]),
        (&asked["run"], &json!("cancelled"))
    );

    let (status, asked) = post("/sync/production").await;
    assert_eq!(status, StatusCode::ACCEPTED);
    assert_eq!(
        (&asked["state"], &asked["run"]),
        (
            &json!("queued"),
            &json!(stopped["run"].as_u64().unwrap() + 1)
        )
    );
    let not_connected = denied(409, "not_connected");
    let sandbox = "/sync/sandbox";
    assert_eq!(refused(&tenant, Method::POST, sandbox).await, not_connected);
    harness.stop().await;
}

#[tokio::test]
async fn the_history_is_paged_newest_first() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Dynamics365).await;
    let post = async |path: &str| {
        let (status, answer) = tenant.api(Method::POST, path, None).await;
        assert!(status.is_success(), "{answer}");
    };
    let before = get(&tenant, "/sync/runs").await["items"].clone();
    let before = before.as_array().unwrap().len();
    tenant
        .api(Method::POST, "/sync/production/cancel", None)
        .await;
    for _ in 0..5 {
        post("/sync/production").await;
        post("/sync/production/cancel").await;
        // Each ends in a millisecond of its own.
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    let all = get(&tenant, "/sync/runs?environment=production").await;
    assert_eq!(all["next"], Value::Null);
    let all = all["items"].as_array().unwrap();
    assert!(all.len() >= before + 5);
    assert!(all.is_sorted_by(|a, b| a["run"].as_u64() > b["run"].as_u64()));
    let mut paged = Vec::new();
    let mut at = String::new();
    loop {
        let page = get(&tenant, &format!("/sync/runs?limit=2{at}")).await;
        let items = page["items"].as_array().unwrap();
        assert!((1..=2).contains(&items.len()), "{page}");
        paged.extend(items.iter().cloned());
        let Some(next) = page["next"].as_i64() else {
            break;
        };
        at = format!("&before={next}");
    }
    assert_eq!(&paged, all);
    let sandbox = get(&tenant, "/sync/runs?environment=sandbox").await;
    assert_eq!(sandbox, json!({ "items": [], "next": null }));
    harness.stop().await;
}

#[tokio::test]
async fn imports_are_their_contracts_and_their_administrators_own() {
    let harness = Harness::embedded(false).await;
    let ours = harness.tenant(CrmKind::Salesforce).await;
    let theirs = harness.tenant(CrmKind::Salesforce).await;
    for (method, path) in [
        (Method::GET, "/sync"),
        (Method::GET, "/sync/runs"),
        (Method::POST, "/sync/production"),
        (Method::POST, "/sync/production/cancel"),
    ] {
        for token in [&ours.made.tokens.salesperson, &ours.made.tokens.service] {
            let (status, answer) = ours.api_as(token, method.clone(), path, None).await;
            assert_eq!(
                (status.as_u16(), &answer["code"]),
                (403, &json!("role_not_allowed")),
                "{method} {path}"
            );
        }
        let (status, _) = ours.api_as("nonsense", method.clone(), path, None).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{method} {path}");
    }
    for (method, path, expected) in [
        (
            Method::GET,
            "/sync?environment=nowhere",
            (400, "invalid_query"),
        ),
        (Method::GET, "/sync?limit=1", (400, "invalid_query")),
        (
            Method::GET,
            "/sync/runs?environment=nowhere",
            (400, "invalid_query"),
        ),
        (Method::GET, "/sync/runs?limit=0", (400, "invalid_limit")),
        (Method::GET, "/sync/runs?limit=201", (400, "invalid_limit")),
        (Method::GET, "/sync/runs?limit=x", (400, "invalid_query")),
        (Method::GET, "/sync/runs?before=x", (400, "invalid_query")),
        (Method::POST, "/sync/nowhere", (404, "not_found")),
        (Method::POST, "/sync/nowhere/cancel", (404, "not_found")),
    ] {
        let expected = denied(expected.0, expected.1);
        assert_eq!(refused(&ours, method, path).await, expected, "{path}");
    }
    // Negative times are before all runs.
    let none = get(&ours, "/sync/runs?before=-1").await;
    assert_eq!(none["items"], json!([]));

    let theirs_before = get(&theirs, "/sync").await;
    let worker = Worker::of(&ours).await;
    let accounts = worker.object("Account", 1);
    worker.checkpoint(&[accounts], |sync| sync.run = 1).await;
    let (status, _) = ours
        .api(Method::POST, "/sync/production/cancel", None)
        .await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(get(&theirs, "/sync").await, theirs_before);
    assert_eq!(get(&theirs, "/sync/runs").await["items"], json!([]));
    harness.stop().await;
}

#[tokio::test]
async fn the_share_of_api_calls_is_one_to_a_hundred_percent() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let path = "/crm-connections/production/sync-settings";
    let save = async |share: Value| {
        let body = json!({ "api_share_percent": share });
        tenant.api(Method::PUT, path, Some(body)).await
    };
    for bad in [0, 101, 300, -1, i64::MAX] {
        let (status, answer) = save(json!(bad)).await;
        assert_eq!(
            (status.as_u16(), &answer["code"], &answer["field"]),
            (
                422,
                &json!("invalid_api_share"),
                &json!("api_share_percent")
            ),
            "{bad}"
        );
    }
    let (status, _) = save(json!("a lot")).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(get(&tenant, path).await["api_share_percent"], 25);
    for good in [1, 100, 40] {
        let (status, answer) = save(json!(good)).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert_eq!(get(&tenant, path).await["api_share_percent"], good);
    }
    let status = get(&tenant, "/sync").await;
    assert_eq!(status["items"][0]["api"]["share_percent"], 40);
    harness.stop().await;
}
