//! Our reading of Dataverse against an `OData` server that is not ours (odatapy): every page, then what
//! changed, with its deviations from Dataverse: a delta link on each page, a deleted row named by its
//! address, no property for survivors (IM-2).
//!
//! Without the Python packages of tests/crm-simulator/clients the test says so and checks nothing, unless
//! `LEADBRIDGE_ODATA_TESTS` is `required`.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a test says what it skips; its switch is a variable"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use e2e::Harness;
use local::seed::{Maker, Remote};
use reqwest::Method;
use serde_json::json;
use shared::clock::{Clock as _, Millis, SystemClock};
use shared::crm::import::{self, Reading, Source, Turn};
use shared::domain::inventory::{ObjectSpec, objects};
use shared::domain::mirror::{Change, Value};
use shared::domain::schema::CrmKind;
use shared::domain::sync::{Cursor, Resume};
use shared::oauth::Tokens;
use shared::outbound::{AllowList, Outbound, Provider};
use shared::random::SystemRandom;
use shared::session::Sessions;
use shared::store::ConnectionKind;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use url::Url;

const ROWS: u64 = 3_200;

/// The Python of the third-party clients, if the server is installed there.
async fn python() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = folder.join("../../.leadbridge/venv/bin/python");
    let found = Command::new(&python)
        .args(["-c", "import odatapy"])
        .stderr(Stdio::null())
        .status()
        .await
        .is_ok_and(|status| status.success());
    if found {
        return Some(python);
    }
    let text = "odatapy is not installed; run `cargo xtask setup` first";
    assert_ne!(
        std::env::var("LEADBRIDGE_ODATA_TESTS").as_deref(),
        Ok("required"),
        "{text}"
    );
    eprintln!("skipped: {text}");
    None
}

/// The server; it ends with its input, which ends with this.
async fn serve(python: &Path, spec: &ObjectSpec) -> (Child, Url) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("odata/server.py");
    let mut child = Command::new(python)
        .arg(script)
        .arg(ROWS.to_string())
        .args(spec.fields(false))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let port = lines.next_line().await.unwrap().unwrap();
    let url = format!("http://127.0.0.1:{port}").parse().unwrap();
    (child, url)
}

/// A source of a contract that is connected to the server.
async fn source(harness: &Harness, server: &Url) -> Box<dyn Source> {
    let tenant = harness.tenant(CrmKind::Dynamics365).await;
    let maker = Maker {
        store: &harness.store,
        vault: &harness.vault,
        random: &SystemRandom,
        now: SystemClock.now(),
    };
    let tokens = Tokens {
        access_token: "none is asked for".to_owned(),
        refresh_token: None,
        expires_at: None,
    };
    let remote = Remote {
        kind: ConnectionKind::PRODUCTION,
        provider: Provider::Dataverse,
        base_url: server,
        auth_url: server,
        organization: "odata",
        tenant: None,
        user: None,
        valid_until: None,
        tokens: &tokens,
    };
    maker.connect(&tenant.made.id, remote).await.unwrap();
    let parts = &harness.embedded_stack().apps().writeback.remote;
    let sessions = Sessions::new(
        parts.store.clone(),
        parts.vault.clone(),
        Outbound::new(AllowList::new(vec![server.origin()])),
        parts.apps.clone(),
        parts.clock.clone(),
        parts.random.clone(),
    );
    let session = sessions.open(&tenant.made.id, ConnectionKind::PRODUCTION);
    import::open(session.await.unwrap())
}

/// A pass from its beginning to its end: the last change reported of each record, pages, the delta link.
async fn pass(
    source: &dyn Source,
    spec: &'static ObjectSpec,
    since: Option<&Resume>,
) -> (BTreeMap<String, Change>, usize, Resume) {
    let fields: Vec<&'static str> = spec.fields(false).collect();
    let (mut rows, mut pages, mut cursor) = (BTreeMap::new(), 0, Cursor::default());
    loop {
        let reading = Reading {
            object: spec,
            fields: &fields,
            since,
            about: None,
            cursor: &cursor,
            skip: 0,
        };
        let mut turn = source.turn(&reading).await.unwrap();
        if let Turn::Page(mut page) = turn {
            while let Some(changes) = page.rows().await.unwrap() {
                for change in changes {
                    rows.insert(change.id().to_owned(), change);
                }
            }
            pages += 1;
            turn = page.next();
        }
        match turn {
            Turn::Next(next) => cursor = next,
            Turn::End(Some(delta)) => return (rows, pages, Resume::Delta(delta)),
            Turn::End(None) => panic!("it tracks changes"),
            Turn::Wait(..) | Turn::Page(_) => panic!("nothing is to be waited for"),
        }
    }
}

#[tokio::test]
async fn an_independent_server_is_read_in_full_and_by_its_changes() {
    let Some(python) = python().await else {
        return;
    };
    let spec = objects(CrmKind::Dynamics365)
        .iter()
        .find(|spec| spec.name == "contact")
        .unwrap();
    let (_server, url) = serve(&python, spec).await;
    let harness = Harness::embedded(false).await;
    let source = source(&harness, &url).await;

    let (rows, pages, delta) = pass(source.as_ref(), spec, None).await;
    assert_eq!(
        (rows.len() as u64, pages as u64),
        (ROWS, ROWS.div_ceil(500))
    );
    for (number, (id, change)) in rows.iter().enumerate() {
        let Change::Present(record) = change else {
            panic!("{change:?}");
        };
        assert_eq!(*id, format!("00000000-0000-0000-0000-{:012x}", number + 1));
        let start = Millis(1_767_225_600_250);
        assert_eq!(
            record.modified.since(start),
            i64::try_from(number).unwrap() * 1000
        );
        // As the server's script makes them.
        let given = |field: &str| number % 7 != field.len() % 7;
        let text = given("lastname").then(|| format!("lastname {number} \"Ångström\"\n株"));
        assert_eq!(record.values.text("lastname"), text.as_deref());
        let code = given("leadsourcecode")
            .then(|| Value::Number(f64::from(u32::try_from(number).unwrap())));
        assert_eq!(record.values.get("leadsourcecode"), code.as_ref());
        assert_eq!(record.merged_into, None);
    }

    let (nothing, _, delta) = pass(source.as_ref(), spec, Some(&delta)).await;
    assert_eq!(nothing.len(), 0);
    let write = async |method: Method, number: u32, body: serde_json::Value| {
        let path = format!("/api/data/v9.2/contacts(00000000-0000-0000-0000-{number:012x})");
        let url = url.join(&path).unwrap();
        let answer = harness.http.request(method, url).json(&body).send().await;
        assert!(answer.unwrap().status().is_success());
    };
    let written = json!({"lastname": "Lovelace", "modifiedon": "2026-06-01T00:00:00Z"});
    for number in 10..20 {
        write(Method::PATCH, number, written.clone()).await;
    }
    for number in 18..24 {
        write(Method::DELETE, number, json!({})).await;
    }
    let (changes, _, delta) = pass(source.as_ref(), spec, Some(&delta)).await;
    assert_eq!(changes.len(), 14);
    for (index, change) in changes.values().enumerate() {
        match change {
            Change::Present(record) => {
                assert_eq!(record.values.text("lastname"), Some("Lovelace"));
                assert!(index < 8);
            }
            Change::Gone { merged_into, .. } => {
                assert_eq!(merged_into, &None);
                assert!(index >= 8);
            }
        }
    }
    let (nothing, _, _) = pass(source.as_ref(), spec, Some(&delta)).await;
    assert_eq!(nothing.len(), 0);
    harness.stop().await;
}
