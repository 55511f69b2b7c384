//! IM-2, IM-3: third-party clients read from the simulator exactly the rows that the import reads:
//! simple-salesforce by query jobs and by queryAll, dynamics-web-api page by page, and after changes
//! by its delta link.
//!
//! Without the packages of tests/crm-simulator/clients the tests say so and check nothing, unless
//! `LEADBRIDGE_CLIENT_TESTS` is `required`.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a test says what it skips; its switch is a variable"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use e2e::worker::{clock, import, process};
use e2e::{Harness, Tenant};
use reqwest::Method;
use serde_json::{Map, Value, json};
use shared::domain::environment::Environment;
use shared::domain::inventory::{ObjectSpec, objects};
use shared::domain::schema::CrmKind;
use shared::store::Mirror;
use tokio::process::Command;

type Rows = BTreeMap<String, Map<String, Value>>;

/// A program of the clients' folder with its interpreter, where its packages are installed.
async fn client(program: &str) -> Option<Command> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = workspace.join("tests/crm-simulator/clients");
    let python = Path::new(program)
        .extension()
        .is_some_and(|kind| kind == "py");
    let interpreter = if python {
        workspace.join(".leadbridge/venv/bin/python")
    } else {
        PathBuf::from("node")
    };
    let mut probe = Command::new(&interpreter);
    if python {
        probe.args(["-c", "import simple_salesforce"]);
    } else {
        probe.args(["--input-type=module", "-e", "import 'dynamics-web-api'"]);
    }
    let probe = probe.current_dir(&folder).stderr(Stdio::null()).status();
    if probe.await.is_ok_and(|status| status.success()) {
        let mut command = Command::new(interpreter);
        command.current_dir(folder).arg(program);
        return Some(command);
    }
    let text =
        format!("the packages of {program} are not installed; run `cargo xtask setup` first");
    let switch = std::env::var("LEADBRIDGE_CLIENT_TESTS");
    assert_ne!(switch.as_deref(), Ok("required"), "{text}");
    eprintln!("skipped: {text}");
    None
}

/// True if a field only tells of a record's fate.
fn is_control(name: &str) -> bool {
    let kinds = [CrmKind::Salesforce, CrmKind::Dynamics365].into_iter();
    let mut fields = kinds.flat_map(objects).filter_map(|spec| spec.field(name));
    fields.any(|field| field.control)
}

/// The output of a client: rows by id, without empty values; and the ids of deleted ones.
fn read(path: &Path, id: &str) -> (Rows, Vec<String>) {
    let (mut rows, mut gone) = (Rows::new(), Vec::new());
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let mut row: Map<String, Value> = serde_json::from_str(line).unwrap();
        if row.contains_key("reason") {
            gone.push(row["id"].as_str().unwrap().to_owned());
            continue;
        }
        if row.get("IsDeleted") == Some(&json!(true)) {
            continue;
        }
        let key = row[id].as_str().unwrap().to_owned();
        row.retain(|name, value| !value.is_null() && value != "" && !is_control(name));
        rows.insert(key, row);
    }
    (rows, gone)
}

/// The records that the import stored, with times as the clients write them.
async fn mirrored(tenant: &Tenant<'_>, spec: &'static ObjectSpec) -> Rows {
    let mirror = Mirror {
        contract: &tenant.made.id,
        environment: Environment::Production,
        crm: tenant.made.crm,
        object: spec.name,
        default_region: None,
    };
    let (mut rows, mut from) = (Rows::new(), None::<String>);
    loop {
        let page = mirror.page(&tenant.harness.store, from.as_deref(), 200);
        let page = page.await.unwrap();
        for record in page.items {
            let Some(mut values) = record.values else {
                continue;
            };
            for value in values.values_mut() {
                if let Some(text) = value.as_str().and_then(|text| text.strip_suffix(".000Z")) {
                    *value = json!(format!("{text}Z"));
                }
            }
            rows.insert(record.id, values);
        }
        from = page.next;
        if from.is_none() {
            return rows;
        }
    }
}

fn same(client: &Rows, ours: &Rows, what: &str) {
    let ids: Vec<_> = client.keys().collect();
    assert_eq!(ids, ours.keys().collect::<Vec<_>>(), "{what}");
    for (id, row) in client {
        assert_eq!(row, &ours[id], "{what} {id}");
    }
}

async fn run(command: &mut Command, what: &str) {
    let output = command.output().await.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {errors}");
}

/// Changes of every kind to some records of an object.
async fn change(harness: &Harness, system: &str, object: &str, id: &str, name: &str) {
    let path = format!("/records/{system}/{object}");
    let rows = harness.control(Method::GET, &path, None).await;
    let ids: Vec<&str> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row[id].as_str().unwrap())
        .collect();
    for changed in &ids[..7] {
        harness
            .control(
                Method::PATCH,
                &format!("{path}/{changed}"),
                Some(json!({name: "Änderung \"2\"\n"})),
            )
            .await;
    }
    for gone in &ids[7..12] {
        harness
            .control(Method::DELETE, &format!("{path}/{gone}"), None)
            .await;
    }
    let into = json!({"into": ids[13]});
    harness
        .control(
            Method::POST,
            &format!("{path}/{}/merge", ids[12]),
            Some(into),
        )
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn simple_salesforce_reads_the_rows_that_the_import_reads() {
    let Some(_) = client("rows_salesforce.py").await else {
        return;
    };
    let harness = Harness::embedded(false).await;
    let stack = harness.embedded_stack();
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    for (object, count) in [
        ("Account", 300),
        ("Contact", 2_600),
        ("Lead", 400),
        ("Opportunity", 300),
        ("OpportunityContactRole", 100),
    ] {
        let order = json!({"system": "salesforce", "object": object, "count": count, "seed": 11});
        harness
            .control(Method::POST, "/generate", Some(order))
            .await;
    }
    let clock = clock();
    let apps = process(stack, &shared::testing::Tripwire::new(), &clock);
    let folder = tempfile::tempdir().unwrap();
    for round in ["first", "after changes"] {
        if round == "after changes" {
            for (object, name) in [
                ("Account", "Name"),
                ("Contact", "LastName"),
                ("Lead", "LastName"),
            ] {
                change(&harness, "salesforce", object, "Id", name).await;
            }
        }
        e2e::worker::import_to_end(&apps, &clock, &tenant.made.id).await;
        let order = json!({"provider": "salesforce"});
        let token = harness.control(Method::POST, "/tokens", Some(order)).await;
        for spec in objects(CrmKind::Salesforce)
            .iter()
            .filter(|spec| !spec.several_currencies_only)
        {
            let ours = mirrored(&tenant, spec).await;
            let fields: Vec<_> = spec.fields(false).collect();
            for how in ["bulk", "rest"] {
                if how == "bulk" && spec.name == "OpportunityStage" {
                    // No object of the Bulk API.
                    continue;
                }
                let out = folder.path().join("rows");
                let mut command = client("rows_salesforce.py").await.unwrap();
                command
                    .args(["--base", stack.simulator.salesforce_url()])
                    .args(["--ca", stack.simulator.ca_file().to_str().unwrap()])
                    .args(["--token", token["access_token"].as_str().unwrap()])
                    .args(["--object", spec.name, "--fields", &fields.join(",")])
                    .args(["--how", how, "--all", "--page", "900"])
                    .args(["--out", out.to_str().unwrap()]);
                let what = format!("{round}: {} by {how}", spec.name);
                run(&mut command, &what).await;
                same(&read(&out, "Id").0, &ours, &what);
            }
        }
    }
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dynamics_web_api_reads_the_rows_that_the_import_reads() {
    let Some(_) = client("rows_dataverse.mjs").await else {
        return;
    };
    let harness = Harness::embedded(false).await;
    let stack = harness.embedded_stack();
    let tenant = harness.tenant(CrmKind::Dynamics365).await;
    for (object, count) in [
        ("account", 300),
        ("contact", 1_300),
        ("lead", 400),
        ("opportunity", 300),
    ] {
        let order = json!({"system": "dataverse", "object": object, "count": count, "seed": 11});
        harness
            .control(Method::POST, "/generate", Some(order))
            .await;
    }
    let settings = json!({"dataverse": {"page_size": 500}});
    harness
        .control(Method::PATCH, "/settings", Some(settings))
        .await;
    let apps = process(stack, &shared::testing::Tripwire::new(), &clock());
    let folder = tempfile::tempdir().unwrap();
    let (out, link) = (folder.path().join("rows"), folder.path().join("link"));
    let order = json!({"provider": "dataverse"});
    let token = harness.control(Method::POST, "/tokens", Some(order)).await;
    let dwa = async |set: &str, fields: &str, more: &[&str]| {
        let mut command = client("rows_dataverse.mjs").await.unwrap();
        command
            .args(["--base", stack.simulator.dataverse_url()])
            .args(["--token", token["access_token"].as_str().unwrap()])
            .args(["--object", set, "--fields", fields, "--page", "500"])
            .args(["--out", out.to_str().unwrap()])
            .args(["--link-out", link.to_str().unwrap()])
            .args(more)
            .env("NODE_EXTRA_CA_CERTS", stack.simulator.ca_file());
        run(&mut command, set).await;
    };
    import(&apps, &tenant.made.id).await;
    let mut before = BTreeMap::new();
    for spec in objects(CrmKind::Dynamics365) {
        let set = set(spec);
        let fields = spec.fields(false).collect::<Vec<_>>().join(",");
        let id = format!("{}id", spec.name);
        let ours = mirrored(&tenant, spec).await;
        dwa(&set, &fields, &[]).await;
        same(&read(&out, &id).0, &ours, &format!("{set}, page by page"));
        dwa(&set, &fields, &["--track"]).await;
        let (rows, _) = read(&out, &id);
        same(&rows, &ours, &format!("{set}, tracked"));
        before.insert(spec.name, (rows, std::fs::read_to_string(&link).unwrap()));
    }
    for (object, name) in [
        ("account", "name"),
        ("contact", "lastname"),
        ("lead", "lastname"),
    ] {
        change(&harness, "dataverse", object, &format!("{object}id"), name).await;
    }
    import(&apps, &tenant.made.id).await;
    for spec in objects(CrmKind::Dynamics365) {
        let set = set(spec);
        let fields = spec.fields(false).collect::<Vec<_>>().join(",");
        let (mut rows, delta) = before.remove(spec.name).unwrap();
        dwa(&set, &fields, &["--delta", &delta]).await;
        let (changed, gone) = read(&out, &format!("{}id", spec.name));
        rows.extend(changed);
        rows.retain(|id, _| !gone.contains(id));
        same(
            &rows,
            &mirrored(&tenant, spec).await,
            &format!("{set}, by its delta"),
        );
    }
    harness.stop().await;
}

fn set(spec: &ObjectSpec) -> String {
    match spec.name {
        "opportunity" => "opportunities".to_owned(),
        "transactioncurrency" => "transactioncurrencies".to_owned(),
        name => format!("{name}s"),
    }
}
