//! A whole import of a million records: a worker in a process of its own, as in Lambda, beside a bare loop in
//! another process that downloads and parses the same pages and writes the same items.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use local::demo::SimulatorAddresses;
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::domain::ids::ContractId;
use shared::domain::schema::CrmKind;

use crate::report::{Row, Section, Target};
use crate::rig::Rig;

/// Records of each object for each million.
pub(crate) const SALESFORCE: &[(&str, u64)] = &[
    ("UserRole", 1_000),
    ("User", 9_000),
    ("Account", 150_000),
    ("Contact", 400_000),
    ("Lead", 300_000),
    ("Opportunity", 100_000),
    ("OpportunityContactRole", 40_000),
];
pub(crate) const DATAVERSE: &[(&str, u64)] = &[
    ("position", 1_000),
    ("systemuser", 9_000),
    ("account", 150_000),
    ("contact", 400_000),
    ("lead", 300_000),
    ("opportunity", 140_000),
];

/// The task of a worker process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Task {
    /// The import, or the bare loop.
    pub(crate) bare: bool,
    pub(crate) crm: CrmKind,
    pub(crate) contract: ContractId,
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) aws_endpoint: String,
    /// The CRM's address and a token for it.
    pub(crate) crm_url: String,
    pub(crate) token: String,
}

/// The worker's answer: the measurements of one run.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) seconds: f64,
    pub(crate) processor_seconds: f64,
    pub(crate) peak_megabytes: f64,
    pub(crate) rows: u64,
    pub(crate) items: u64,
    pub(crate) aws_calls: u64,
    pub(crate) table_writes: u64,
    pub(crate) crm_calls: u64,
    pub(crate) bytes: u64,
    pub(crate) steps: u64,
}

/// Measures.
pub(crate) fn run(records: u64) -> Result<Section> {
    let mut section = Section::new("import");
    for crm in [CrmKind::Salesforce, CrmKind::Dynamics365] {
        one_crm(crm, records, &mut section)?;
    }
    section.note("Each in a process of its own, warm from step to step as in Lambda, against emulators and a simulator that share the machine.");
    section.note("Baseline: the same pages, all objects side by side, parsed with general means, the same items written 25 a call with as many calls in flight; it keeps no checkpoints and compares nothing.");
    section.note("“Nothing changed”: the run after it. It reads what changed since, counts, and checks what can be read.");
    Ok(section)
}

fn one_crm(crm: CrmKind, wanted: u64, section: &mut Section) -> Result<()> {
    let (records, bare) = measure(crm, wanted, true)?;
    let (_, ours) = measure(crm, wanted, false)?;
    let (Some(bare), [first, again]) = (bare.first(), ours.as_slice()) else {
        anyhow::bail!("a worker told something else");
    };
    for done in [bare, first] {
        ensure!(
            done.rows >= records,
            "{} of {records} records were read",
            done.rows
        );
    }
    rows(crm, bare, first, again, section);
    Ok(())
}

/// Measures a worker that reads an organisation of its own into a table of its own, so that leftovers of
/// other runs slow nothing down.
fn measure(crm: CrmKind, wanted: u64, bare: bool) -> Result<(u64, Vec<Done>)> {
    let rig = Rig::start()?;
    let (system, objects, url) = match crm {
        CrmKind::Salesforce => (
            "salesforce",
            SALESFORCE,
            rig.stack.simulator.salesforce_url(),
        ),
        CrmKind::Dynamics365 => ("dataverse", DATAVERSE, rig.stack.simulator.dataverse_url()),
    };
    let control = |path: &str, body: serde_json::Value| {
        let address = rig.stack.simulator.control_url().trim_end_matches('/');
        let url = format!("{address}{path}");
        rig.behind(async {
            let request = reqwest::Client::new().post(url).json(&body);
            let answer = request.timeout(Duration::from_mins(10)).send().await?;
            let answer = answer.error_for_status()?.json().await;
            Ok::<serde_json::Value, anyhow::Error>(answer.unwrap_or_default())
        })
    };
    let mut records = 0;
    for (object, count) in objects {
        let count = (count * wanted / 1_000_000).max(10);
        let order = json!({"system": system, "object": object, "count": count, "seed": 7});
        control("/generate", order)?;
        records += count;
    }
    let token = control("/tokens", json!({"provider": system}))?;
    let token = token
        .get("access_token")
        .and_then(serde_json::Value::as_str);
    let task = Task {
        bare,
        crm,
        contract: rig.tenant(crm, &SimulatorAddresses::of(&rig.stack)?)?.id,
        variables: rig.stack.variables.clone(),
        aws_endpoint: rig.stack.aws_endpoint.clone(),
        crm_url: url.to_owned(),
        token: token.context("a token")?.to_owned(),
    };
    let done = worker(&rig, &task)?;
    rig.stop();
    Ok((records, done))
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn rows(crm: CrmKind, bare: &Done, first: &Done, again: &Done, section: &mut Section) {
    let name = match crm {
        CrmKind::Salesforce => "Salesforce",
        CrmKind::Dynamics365 => "Dataverse",
    };
    let records = first.rows as f64;
    let thousand = |count: u64| count as f64 / (records / 1e3);
    let row = |what: &str, unit, ours| Row::new(format!("{name}, {what}"), unit, ours);
    section.row(
        row("time", "s", first.seconds)
            .beside(bare.seconds)
            .target(Target::Ratio(1.3)),
    );
    section.row(
        row("rate", "records/s", records / first.seconds).beside(bare.rows as f64 / bare.seconds),
    );
    section.row(row("processor time", "s", first.processor_seconds).beside(bare.processor_seconds));
    section.row(
        row("peak memory", "MB", first.peak_megabytes)
            .beside(bare.peak_megabytes)
            .target(Target::AtMost(128.0)),
    );
    let calls = match crm {
        // 60 for a million; fewer records need nearly as many, for there are as many objects.
        CrmKind::Salesforce => 60.0_f64.max(records / 1e6 * 60.0),
        CrmKind::Dynamics365 => (records / 5_000.0).ceil() + 20.0,
    };
    section.row(
        row("calls to the CRM", "", first.crm_calls as f64)
            .beside(bare.crm_calls as f64)
            .target(Target::AtMost(calls)),
    );
    section.row(
        row("bytes for a record", "B", first.bytes as f64 / records)
            .beside(bare.bytes as f64 / bare.rows as f64),
    );
    section.row(
        row("AWS calls for 1,000 records", "", thousand(first.aws_calls))
            .beside(thousand(bare.aws_calls)),
    );
    section.row(
        row("items for a record", "", first.items as f64 / records)
            .beside(bare.items as f64 / bare.rows as f64),
    );
    section.row(row("steps", "", first.steps as f64));
    section.row(row("nothing changed, time", "s", again.seconds));
    section.row(row(
        "nothing changed, calls to the CRM",
        "",
        again.crm_calls as f64,
    ));
    section.row(row(
        "nothing changed, AWS calls",
        "",
        again.aws_calls as f64,
    ));
}

/// Runs a worker in a process of its own, on one processor's worth of threads.
fn worker(rig: &Rig, task: &Task) -> Result<Vec<Done>> {
    let input = serde_json::to_string(task)?;
    let child = Command::new(std::env::current_exe()?)
        .args(["--worker", "import"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let output = rig.behind(async {
        tokio::task::spawn_blocking(move || {
            use std::io::Write as _;
            let mut child = child;
            if let Some(mut stdin) = child.stdin.take() {
                stdin.write_all(input.as_bytes())?;
            }
            child.wait_with_output()
        })
        .await
    })??;
    ensure!(
        output.status.success(),
        "the worker failed: {}",
        output.status
    );
    Ok(serde_json::from_slice(&output.stdout)?)
}
