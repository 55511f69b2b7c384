//! The company that a new state of `cargo dev` begins with.

use std::collections::BTreeMap;
use std::path::Path;

use local::demo::{self, Demo, Place, SimulatorAddresses};
use local::{Options, Stack, company};
use reqwest::Client;
use serde_json::Value;
use shared::domain::directory::EntryKind;
use url::Url;

/// Numbers of things, by name.
type Counts = BTreeMap<String, usize>;

/// Starts as `cargo dev` does, but for the queues and schedules, which would change what is counted.
async fn started(state: &Path, made: bool) -> Counts {
    assert_eq!(company::begin(state, true).unwrap(), made);
    let stack = Stack::start(Options {
        port: None,
        state: Some(state.to_owned()),
        drive: false,
    })
    .await
    .unwrap();
    let simulator = SimulatorAddresses::of(&stack).unwrap();
    if made {
        company::make(&stack, &simulator, &|_, _| ()).await.unwrap();
    }
    let import = stack.apps().import.clone();
    let place = Place {
        remote: &import.remote,
        queue: &import.queue,
        public_url: &stack.url.parse().unwrap(),
        simulator: &simulator,
    };
    let mut counts = Counts::new();
    for demo in demo::contracts(&place).await.unwrap() {
        let counted = counted(&stack, &simulator, &demo).await;
        let id = demo.made.id.as_str();
        counts.extend(
            counted
                .into_iter()
                .map(|(name, count)| (format!("{id} {name}"), count)),
        );
    }
    stack.stop().await;
    counts
}

/// All items of a list of the API.
async fn all(stack: &Stack, demo: &Demo, path: &str) -> Vec<Value> {
    let http = Client::new();
    let (mut items, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let mut url: Url = format!("{}/api/v1{path}", stack.url).parse().unwrap();
        if let Some(cursor) = &cursor {
            url.query_pairs_mut().append_pair("cursor", cursor);
        }
        let request = http.get(url).bearer_auth(&demo.made.tokens.administrator);
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let page: Value = answer.json().await.unwrap();
        assert!(status.is_success(), "{path}: {page}");
        items.extend(page["items"].as_array().unwrap().iter().cloned());
        cursor = page["next"].as_str().map(str::to_owned);
        if cursor.is_none() {
            return items;
        }
    }
}

async fn counted(stack: &Stack, simulator: &SimulatorAddresses, demo: &Demo) -> Counts {
    let mut counts = Counts::new();
    for submission in all(stack, demo, "/submissions?limit=200").await {
        let state = submission["state"].as_str().unwrap();
        *counts.entry(format!("submission {state}")).or_default() += 1;
    }
    for error in all(stack, demo, "/submissions?limit=200&state=needs_attention").await {
        let code = error["error"].as_str().unwrap();
        counts.insert(format!("reason {code}"), 1);
    }
    for (name, path) in [
        ("forms", "/forms"),
        ("people in the CRM", "/profiles?limit=200&in_crm=true"),
        ("other people", "/profiles?limit=200&in_crm=false"),
        ("companies in the CRM", "/companies?limit=200&in_crm=true"),
        ("other companies", "/companies?limit=200&in_crm=false"),
    ] {
        let found = all(stack, demo, path).await.len();
        counts.insert(name.to_owned(), found);
    }
    for seat in all(stack, demo, "/seats").await {
        let status = seat["status"].as_str().unwrap();
        *counts.entry(format!("seat {status}")).or_default() += 1;
    }
    for run in all(stack, demo, "/sync/runs?limit=200").await {
        let state = run["state"].as_str().unwrap();
        *counts.entry(format!("import {state}")).or_default() += 1;
    }
    for state in ["unresolved", "waiting_for_sign_in", "failed"] {
        let path = format!("/activities?limit=200&scope=contract&state={state}");
        let found = all(stack, demo, &path).await.len();
        counts.insert(format!("activity {state}"), found);
    }
    let store = stack.store();
    let (contract, mut saved) = (&demo.made.id, 0);
    for seat in store.seats(contract, 100, None).await.unwrap().items {
        let own = store.own_lists(contract, seat.id).await.unwrap();
        *counts.entry("lists by hand".to_owned()).or_default() += own.lists.len();
        for kind in EntryKind::ALL {
            let page = store.saved_page(contract, seat.id, kind, None, 100);
            saved += page.await.unwrap().items.len();
        }
    }
    counts.insert("saved by itself".to_owned(), saved);
    let objects = match demo.made.id.as_str() {
        "acme-salesforce" => [
            "salesforce/Account",
            "salesforce/Contact",
            "salesforce/Lead",
            "salesforce/Opportunity",
            "salesforce/Task",
            "salesforce/OpportunityContactRole",
            "salesforce/User",
        ],
        _ => [
            "dataverse/account",
            "dataverse/contact",
            "dataverse/lead",
            "dataverse/opportunity",
            "dataverse/task",
            "dataverse/connection",
            "dataverse/systemuser",
        ],
    };
    let names = [
        "accounts",
        "contacts",
        "leads",
        "opportunities",
        "tasks",
        "parts in opportunities",
        "users",
    ];
    for (name, object) in names.into_iter().zip(objects) {
        let url = simulator.control.join(&format!("/records/{object}"));
        let answer = Client::new().get(url.unwrap()).send().await.unwrap();
        let records: Value = answer.json().await.unwrap();
        counts.insert(format!("CRM {name}"), records.as_array().unwrap().len());
    }
    counts
}

/// OP-5: a new state begins with a company that has something on every page, and a second start adds nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_state_has_a_company_and_a_second_start_adds_nothing() {
    // The functions' log is shown if it fails.
    let _ = tracing_subscriber::fmt()
        .with_env_filter("warn,dynoxide=error")
        .with_test_writer()
        .try_init();
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("dev");
    let first = started(&state, true).await;
    for contract in ["acme-salesforce", "acme-dynamics"] {
        for (name, least) in [
            ("submission created", 20),
            ("submission attached", 10),
            ("submission held_test", 2),
            ("submission needs_attention", 5),
            ("submission waiting", 1),
            ("submission withdrawn", 1),
            ("reason nothing_mapped", 1),
            ("reason linkedin_owner_unknown", 1),
            ("reason linkedin_lead_not_found", 1),
            ("forms", 3),
            ("people in the CRM", 60),
            ("other people", 10),
            ("companies in the CRM", 30),
            ("other companies", 5),
            ("seat active", 5),
            ("seat invited", 1),
            ("import succeeded", 5),
            ("CRM accounts", 80),
            ("CRM contacts", 160),
            ("CRM leads", 120),
            ("CRM opportunities", 90),
            ("CRM tasks", 25),
            ("CRM parts in opportunities", 40),
            ("CRM users", 12),
            ("lists by hand", 4),
            ("saved by itself", 10),
            ("activity unresolved", 3),
            ("activity failed", 1),
        ] {
            let count = first.get(&format!("{contract} {name}"));
            let count = count.copied().unwrap_or(0);
            assert!(count >= least, "{contract}: {count} of {name}: {first:#?}");
        }
        for none in [
            "submission received",
            "submission processing",
            "import failed",
        ] {
            let count = first.get(&format!("{contract} {none}"));
            assert_eq!(count, None, "{contract}: {none}: {first:#?}");
        }
    }
    // In Dynamics 365 activities are not written with people's own sign-ins.
    for (contract, waiting) in [("acme-salesforce", true), ("acme-dynamics", false)] {
        let count = first[&format!("{contract} activity waiting_for_sign_in")];
        assert_eq!(count > 0, waiting, "{contract}: {first:#?}");
    }
    assert!(state.join("linkedin-archive.zip").exists());
    assert_eq!(started(&state, false).await, first);
}
