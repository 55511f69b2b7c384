//! One unit of crm-writeback's work: calls, bytes and time, beside the same CRM calls and as many
//! writes to the table with nothing around them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use axum::Router;
use local::demo::SimulatorAddresses;
use local::seed::Made;
use serde_json::{Value, json};
use shared::domain::schema::CrmKind;
use shared::domain::submission::State;

use crate::activities;
use crate::bare::Bare;
use crate::meter::{ms, thread_cpu};
use crate::proxy::{Proxy, Recorded};
use crate::report::{Row, Samples, Section, Target};
use crate::rig::{self, Rig, Watch};

/// Rounds that open connections and are not counted.
const WARM_UP: usize = 2;
/// The person whose units are counted: far from the numbers that are timed.
const COUNTED_PERSON: usize = 50_000;

/// The case of a submission to process.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Created,
    Matched,
    Repeated,
}

impl Unit {
    const ALL: [Self; 3] = [Self::Created, Self::Matched, Self::Repeated];

    const fn label(self) -> &'static str {
        match self {
            Self::Created => "new lead with contact",
            Self::Matched => "matched",
            Self::Repeated => "repeat delivery",
        }
    }
}

/// The calls and bytes that one unit needs.
struct Counted {
    aws_calls: usize,
    table_writes: usize,
    crm_calls: usize,
    bytes_to: usize,
    bytes_from: usize,
    requests: Vec<Recorded>,
}

/// A contract with the two functions in front of it.
struct Worker {
    made: Made,
    intake: Router,
    writeback: crm_writeback::App,
}

impl Worker {
    async fn submit(&self, answers: &Value) -> Result<String> {
        rig::submit(&self.intake, &self.made, answers).await
    }

    async fn deliver(&self, submission: &str) -> Result<()> {
        let event = serde_json::from_value(rig::queue_event(&self.made, submission))?;
        let answer = crm_writeback::handle(&self.writeback, event).await;
        ensure!(
            answer.batch_item_failures.is_empty(),
            "a message was given back"
        );
        Ok(())
    }

    async fn expect(&self, submission: &str, wanted: State) -> Result<()> {
        let store = &self.writeback.remote.store;
        let found = store.submission(&self.made.id, submission.parse()?).await?;
        let found = found.context("no such submission")?;
        ensure!(
            found.state == wanted,
            "a submission is {} rather than {}",
            found.state.as_str(),
            wanted.as_str()
        );
        Ok(())
    }
}

/// The same person once more, with an answer that the lead has not.
fn again(number: usize) -> Value {
    let mut answers = rig::person(number);
    if let Some(answers) = answers.as_object_mut() {
        answers.insert("city".to_owned(), json!("London"));
    }
    answers
}

/// Measures.
pub(crate) fn run(quick: bool) -> Result<Section> {
    let mut section = Section::new("writeback");
    let rig = Rig::start()?;
    let _logs = rig::log_to_nowhere()?;
    for (name, crm) in [
        ("Salesforce", CrmKind::Salesforce),
        ("Dataverse", CrmKind::Dynamics365),
    ] {
        one_crm(&rig, name, crm, quick, &mut section)?;
        activities::one_crm(&rig, name, crm, quick, &mut section)?;
    }
    section.note("Calls and bytes are those of a process that knows the contract already; bytes are those of bodies, as the CRM saw them.");
    section.note("Baseline: the recorded CRM calls made again, and as many conditional writes to the table, one after the other.");
    section.note("Activities of one seat holder with somebody whom nobody has matched. Baseline: the same writes, with as many side by side and in a transaction, and the same CRM calls.");
    rig.stop();
    Ok(section)
}

/// Milliseconds of one unit: ours, the baseline's, and the processor time of both.
#[derive(Default)]
struct Times([Samples; 4]);

fn one_crm(rig: &Rig, name: &str, crm: CrmKind, quick: bool, section: &mut Section) -> Result<()> {
    let counted = count(rig, crm)?;
    let times = time(rig, crm, &counted, if quick { 5 } else { 60 })?;
    for ((unit, counted), times) in Unit::ALL.into_iter().zip(&counted).zip(&times) {
        rows(
            &format!("{name}, {}", unit.label()),
            unit,
            counted,
            times,
            section,
        )?;
    }
    Ok(())
}

fn time(rig: &Rig, crm: CrmKind, counted: &[Counted], rounds: usize) -> Result<[Times; 3]> {
    let clients = rig.clients(None);
    let worker = Worker {
        made: rig.tenant(crm, &SimulatorAddresses::of(&rig.stack)?)?,
        intake: clients.intake(&rig.stack),
        writeback: clients.writeback(clients.remote(&rig.stack, None, None)?),
    };
    let address = match crm {
        CrmKind::Salesforce => rig.stack.simulator.salesforce_url(),
        CrmKind::Dynamics365 => rig.stack.simulator.dataverse_url(),
    };
    let certificate = std::fs::read(rig.stack.simulator.ca_file())?;
    let certificate = reqwest::Certificate::from_pem(&certificate)?;
    let client = shared::outbound::Outbound::builder()
        .tls_certs_merge([certificate])
        .build()?;
    let mut times: [Times; 3] = Default::default();
    rig.front.block_on(async {
        let first = worker.submit(&rig::person(0)).await?;
        let bare = Bare::copy(&clients, &worker.made, &first).await?;
        worker.deliver(&first).await?;
        for round in 1..=rounds + WARM_UP {
            let created = worker.submit(&rig::person(round)).await?;
            let matched = worker.submit(&again(round)).await?;
            for ((unit, counted), times) in Unit::ALL.into_iter().zip(counted).zip(&mut times) {
                let submission = if unit == Unit::Matched {
                    &matched
                } else {
                    &created
                };
                let replay = replay(unit, counted, round)?;
                let ours = timed(worker.deliver(submission));
                let bare = timed(async {
                    for _ in 0..counted.table_writes {
                        bare.put().await?;
                    }
                    for request in replay {
                        request.send(&client, address).await?;
                    }
                    Ok(())
                });
                // Each goes first every other time.
                let taken = if round % 2 == 0 {
                    let ours = ours.await?;
                    [ours, bare.await?]
                } else {
                    let bare = bare.await?;
                    [ours.await?, bare]
                };
                if round > WARM_UP {
                    let [ours, bare] = taken;
                    let taken = [ours.0, bare.0, ours.1, bare.1];
                    for (samples, taken) in times.0.iter_mut().zip(taken) {
                        samples.push(ms(taken));
                    }
                }
            }
            worker.expect(&created, State::Created).await?;
            worker.expect(&matched, State::Attached).await?;
        }
        Ok::<_, anyhow::Error>(())
    })?;
    Ok(times)
}

/// The time that work takes, and the processor time.
pub(crate) async fn timed(work: impl Future<Output = Result<()>>) -> Result<(Duration, Duration)> {
    let (start, cpu) = (Instant::now(), thread_cpu());
    work.await?;
    Ok((start.elapsed(), thread_cpu().saturating_sub(cpu)))
}

fn rows(
    name: &str,
    unit: Unit,
    counted: &Counted,
    times: &Times,
    section: &mut Section,
) -> Result<()> {
    let count = |what: &str, unit: &'static str, count: usize| -> Result<Row> {
        Ok(Row::new(
            format!("{name}: {what}"),
            unit,
            f64::from(u32::try_from(count)?),
        ))
    };
    let calls = count("CRM calls", "", counted.crm_calls)?;
    section.row(match unit {
        Unit::Created => calls.target(Target::AtMost(3.0)),
        Unit::Matched => calls,
        Unit::Repeated => calls.target(Target::AtMost(0.0)),
    });
    section.row(count("AWS calls", "", counted.aws_calls)?);
    section.row(count("AWS calls that write", "", counted.table_writes)?);
    if counted.crm_calls > 0 {
        section.row(count("to the CRM", "B", counted.bytes_to)?);
        section.row(count("from the CRM", "B", counted.bytes_from)?);
    }
    let [ours, bare, our_cpu, bare_cpu] = &times.0;
    let time = Row::new(format!("{name}: time, p50"), "ms", ours.median());
    section.row(time.beside(bare.median()));
    let cpu = Row::new(
        format!("{name}: processor time, p50"),
        "ms",
        our_cpu.median(),
    );
    section.row(cpu.beside(bare_cpu.median()));
    Ok(())
}

/// The baseline's requests: for a new lead those of another person, under other ids; otherwise the same ones
/// again, on the record's current state.
fn replay(unit: Unit, counted: &Counted, round: usize) -> Result<Vec<Recorded>> {
    if unit != Unit::Created {
        return Ok(counted
            .requests
            .iter()
            .map(Recorded::unconditional)
            .collect());
    }
    let name = |number: usize| {
        rig::email(number)
            .split('@')
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let names = [(name(COUNTED_PERSON), name(COUNTED_PERSON + round))];
    let mut ids = HashMap::new();
    counted
        .requests
        .iter()
        .map(|request| request.renamed(&names, &mut ids))
        .collect()
}

/// Does each unit once, watched on both sides.
fn count(rig: &Rig, crm: CrmKind) -> Result<Vec<Counted>> {
    let mut addresses = SimulatorAddresses::of(&rig.stack)?;
    let (system, address) = match crm {
        CrmKind::Salesforce => ("salesforce", &mut addresses.salesforce),
        CrmKind::Dynamics365 => ("dataverse", &mut addresses.dataverse),
    };
    let proxy = rig.behind(Proxy::start(address.as_str()))?;
    *address = proxy.url.parse()?;
    let watch = Watch::default();
    let clients = rig.clients(Some(&watch));
    let remote = clients.remote(&rig.stack, Some(&watch), Some(&proxy.url))?;
    let worker = Worker {
        made: rig.tenant(crm, &addresses)?,
        intake: clients.intake(&rig.stack),
        writeback: clients.writeback(remote),
    };
    let control = rig.stack.simulator.control_url();
    rig.front.block_on(async {
        // Contract, connection, metadata and the names on the form are known after these.
        for answers in [again(COUNTED_PERSON - 1), again(COUNTED_PERSON - 2)] {
            let submission = worker.submit(&answers).await?;
            worker.deliver(&submission).await?;
            worker.expect(&submission, State::Created).await?;
        }
        let created = worker.submit(&rig::person(COUNTED_PERSON)).await?;
        let matched = worker.submit(&again(COUNTED_PERSON)).await?;
        let mut all = Vec::new();
        for (unit, submission) in Unit::ALL.into_iter().zip([&created, &matched, &created]) {
            let since = ledger(control, system, 0).await?.last;
            watch.reset();
            proxy.take();
            worker.deliver(submission).await?;
            let (aws_calls, crm_calls) = (watch.wire.aws_calls(), watch.wire.outside_calls());
            let table_writes = watch.table_writes();
            let seen = ledger(control, system, since).await?;
            ensure!(
                seen.calls == crm_calls,
                "the CRM saw other calls than were counted"
            );
            let wanted = if unit == Unit::Matched {
                State::Attached
            } else {
                State::Created
            };
            worker.expect(submission, wanted).await?;
            all.push(Counted {
                aws_calls,
                table_writes,
                crm_calls,
                bytes_to: seen.bytes_in,
                bytes_from: seen.bytes_out,
                requests: proxy.take(),
            });
        }
        Ok(all)
    })
}

/// The sums of the simulator's ledger over the calls since one of them.
struct Seen {
    calls: usize,
    bytes_in: usize,
    bytes_out: usize,
    last: u64,
}

async fn ledger(control: &str, system: &str, since: u64) -> Result<Seen> {
    let url = format!("{control}/ledger?system={system}&since={since}");
    let entries: Vec<Value> = reqwest::get(url).await?.error_for_status()?.json().await?;
    let number = |entry: &Value, name: &str| entry.get(name).and_then(Value::as_u64).unwrap_or(0);
    let bytes = |name: &str| usize::try_from(entries.iter().map(|e| number(e, name)).sum::<u64>());
    Ok(Seen {
        calls: entries.len(),
        bytes_in: bytes("bytes_in")?,
        bytes_out: bytes("bytes_out")?,
        last: entries
            .iter()
            .map(|entry| number(entry, "seq"))
            .max()
            .unwrap_or(since),
    })
}
