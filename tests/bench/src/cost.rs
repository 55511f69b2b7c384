//! The cost of a million submissions, imported records and links at list prices: each flow is measured on
//! a sample, with every call and capacity unit counted, and scaled.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use axum::Router;
use local::demo::SimulatorAddresses;
use local::people::people;
use local::seed::Made;
use serde_json::{Value, json};
use shared::clock::{Clock as _, SystemClock};
use shared::domain::environment::Environment;
use shared::domain::schema::CrmKind;
use shared::domain::submission::State;
use shared::domain::sync::SyncState;
use shared::queue::{ImportMessage, ImportQueue};
use shared::store::WorkKind;

use crate::import::{DATAVERSE, SALESFORCE};
use crate::matching::write;
use crate::matching_paths::{Way, of_one_crm};
use crate::meter::thread_cpu;
use crate::prices::{Assumed, Prices, SERVICES, memory};
use crate::report::{Row, Section, Target};
use crate::rig::{self, Rig, Watch};
use crate::usage::Usage;

const MILLION: f64 = 1e6;
/// Messages of a batch, as the template has them.
const BATCH: usize = 10;
/// Seed of the people who fill in forms.
const SEED: u64 = 51;
/// One record in so many changes in a night.
const CHANGED: usize = 100;
/// Requests to a queue for a batch that a function gets: it is received and deleted.
const BATCH_REQUESTS: f64 = 2.0;

/// The cost of a million of something.
struct Flow {
    name: String,
    /// The use of AWS for a million.
    usage: Usage,
    /// Most dollars that it is to cost.
    most: Option<f64>,
}

impl Flow {
    fn new(name: String, usage: Usage, most: Option<f64>) -> Self {
        Self { name, usage, most }
    }
}

/// Measures.
pub(crate) fn run(quick: bool) -> Result<Section> {
    let prices = Prices::list()?;
    let mut flows = Vec::new();
    for (name, crm) in [
        ("Salesforce", CrmKind::Salesforce),
        ("Dataverse", CrmKind::Dynamics365),
    ] {
        flows.extend(submissions(name, crm, quick, prices.assumed)?);
        flows.extend(imports(name, crm, quick, prices.assumed)?);
    }
    flows.extend(links(quick, prices.assumed)?);
    let mut section = Section::new("cost");
    for flow in &flows {
        let total: f64 = prices.bill(&flow.usage).iter().sum();
        let row = Row::new(format!("a million: {}", flow.name), "USD", total);
        section.row(match flow.most {
            Some(most) => row.target(Target::AtMost(most)),
            None => row,
        });
    }
    let bills = flows.iter().map(|flow| bill(&prices, flow));
    let head = ["a million", "USD"].into_iter().chain(SERVICES);
    let head: Vec<String> = head.map(str::to_owned).collect();
    for line in columns(std::iter::once(head).chain(bills).collect()) {
        section.note(line);
    }
    for flow in &flows {
        section.note(calls(flow));
    }
    section.note(format!(
        "List prices of {} of {}, with no free tier; storage, backups and traffic to CRMs are left out. “writes” and “indexes” are write units of the table and of its indexes, “calls” invocations of functions.",
        prices.region, prices.as_of,
    ));
    section.note(format!(
        "Functions take as long as here, with the processor's share of the time stretched to that of their memory, and a CRM that takes {} ms for each answer.",
        prices.assumed.crm_answer_ms,
    ));
    section.note("Imports and passes are measured at two sizes, and drawn on to a million in a straight line; the others are scaled.");
    Ok(section)
}

/// The line of a flow: dollars, and of each service its dollars and share.
fn bill(prices: &Prices, flow: &Flow) -> Vec<String> {
    let bill = prices.bill(&flow.usage);
    let total: f64 = bill.iter().sum();
    let mut cells = vec![flow.name.clone(), format!("{total:.2}")];
    cells.extend(bill.iter().map(|dollars| {
        let share = dollars / total.max(f64::EPSILON) * 100.0;
        format!("{dollars:.2} ({share:.0} %)")
    }));
    cells
}

/// The calls and units of one of a flow's million.
fn calls(flow: &Flow) -> String {
    let usage = flow.usage.times(1.0 / MILLION);
    let calls = usage.calls.iter().filter(|(_, count)| **count >= 0.005);
    let calls: Vec<_> = calls
        .map(|(action, count)| format!("{action} {count:.2}"))
        .collect();
    format!(
        "{}, each: {}; {:.2} write units, {:.2} of indexes, {:.2} read units, {:.0} bytes of logs, {:.1} ms of a GB",
        flow.name,
        calls.join(", "),
        usage.write_units,
        usage.index_units,
        usage.read_units,
        usage.log_bytes,
        usage.gb_seconds * 1e3,
    )
}

/// Cells in columns, the first to the left.
fn columns(lines: Vec<Vec<String>>) -> Vec<String> {
    let mut widths: Vec<usize> = Vec::new();
    for line in &lines {
        widths.resize(widths.len().max(line.len()), 0);
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let shown = lines.into_iter().map(|line| {
        let cells = line.into_iter().zip(&widths).enumerate();
        let cells: Vec<_> = cells
            .map(|(at, (cell, width))| match at {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            })
            .collect();
        cells.join("  ").trim_end().to_owned()
    });
    shown.collect()
}

/// The caller of a function.
#[derive(Clone, Copy)]
enum Caller {
    Http,
    Queue,
}

/// A deployed function whose work is watched.
struct Function<'w> {
    megabytes: f64,
    caller: Caller,
    assumed: Assumed,
    watch: &'w Watch,
}

impl Function<'_> {
    /// Does work of so many invocations, and gives what is billed for it.
    async fn billed<T>(
        &self,
        invocations: usize,
        work: impl Future<Output = Result<T>>,
    ) -> Result<(T, Usage)> {
        self.watch.reset();
        let (start, before) = (Instant::now(), thread_cpu());
        let done = work.await?;
        let processor = thread_cpu().saturating_sub(before).as_secs_f64();
        let seconds = start.elapsed().as_secs_f64();
        let usage = self.watch.meter.usage();
        Ok((done, self.bill(usage, invocations, seconds, processor)))
    }

    fn bill(&self, mut usage: Usage, invocations: usize, seconds: f64, processor: f64) -> Usage {
        let invocations = decimal(invocations);
        usage.invocations = invocations;
        usage.gb_seconds = self.assumed.gb_seconds(self.megabytes, seconds, processor);
        usage.log_bytes += invocations * self.assumed.platform_log_bytes;
        match self.caller {
            Caller::Http => usage.http_requests = invocations,
            Caller::Queue => usage.queue_requests += BATCH_REQUESTS * invocations,
        }
        usage
    }
}

/// Lets the CRM take its time for each answer.
fn slow_down(rig: &Rig, crm: CrmKind, assumed: Assumed) -> Result<()> {
    let fault = json!({"system": system(crm), "kind": "slow", "times": -1, "delay_ms": assumed.crm_answer_ms});
    control(rig, reqwest::Method::POST, "/faults", &fault)?;
    Ok(())
}

const fn system(crm: CrmKind) -> &'static str {
    match crm {
        CrmKind::Salesforce => "salesforce",
        CrmKind::Dynamics365 => "dataverse",
    }
}

/// Asks the simulator something.
fn control(rig: &Rig, method: reqwest::Method, path: &str, body: &Value) -> Result<Value> {
    let address = rig.stack.simulator.control_url().trim_end_matches('/');
    let url = format!("{address}{path}");
    rig.behind(async {
        let request = reqwest::Client::new().request(method, url);
        let request = request.timeout(Duration::from_mins(5)).json(body);
        let answer = request.send().await?.error_for_status()?;
        Ok(answer.json().await.unwrap_or_default())
    })
}

/// The functions that submissions pass, of one contract.
struct Submissions<'w> {
    made: Made,
    router: Router,
    app: crm_writeback::App,
    intake: Function<'w>,
    writeback: Function<'w>,
}

impl Submissions<'_> {
    /// Takes in one submission for each of the answers.
    async fn submit(&self, all: &[Value]) -> Result<(Vec<String>, Usage)> {
        let work = async {
            let mut ids = Vec::new();
            for answers in all {
                ids.push(rig::submit(&self.router, &self.made, answers).await?);
            }
            Ok(ids)
        };
        self.intake.billed(all.len(), work).await
    }

    /// Posts each of the answers once more under the same key, and gives what the repeats use.
    async fn repeat(&self, all: &[Value]) -> Result<Usage> {
        let post = async || {
            for (number, answers) in all.iter().enumerate() {
                let key = format!("repeat-{number}");
                let request = rig::post(&self.made, answers, Some(&key))?;
                drop(rig::accepted(&self.router, request).await?);
            }
            Ok::<_, anyhow::Error>(())
        };
        post().await?;
        let ((), usage) = self.intake.billed(all.len(), post()).await?;
        Ok(usage)
    }

    /// Writes submissions to the CRM, so many in a batch, and holds that they end as wanted.
    async fn deliver(&self, ids: &[String], batch: usize, wanted: State) -> Result<Usage> {
        let batches = ids.chunks(batch);
        let count = batches.len();
        let work = async {
            for ids in batches {
                let mut records = Vec::new();
                for id in ids {
                    let event = rig::queue_event(&self.made, id);
                    let of = event.get("Records").and_then(Value::as_array);
                    records.extend(of.into_iter().flatten().cloned());
                }
                let event = serde_json::from_value(json!({ "Records": records }))?;
                let answer = Box::pin(crm_writeback::handle(&self.app, event)).await;
                ensure!(
                    answer.batch_item_failures.is_empty(),
                    "a message was given back"
                );
            }
            Ok(())
        };
        let ((), usage) = self.writeback.billed(count, work).await?;
        for id in ids {
            let found = self
                .app
                .remote
                .store
                .submission(&self.made.id, id.parse()?)
                .await?;
            let found = found.context("no such submission")?;
            ensure!(
                found.state == wanted,
                "a submission is {} rather than {}",
                found.state.as_str(),
                wanted.as_str()
            );
        }
        Ok(usage)
    }
}

/// Answers of so many people, no two of whom are alike; `first` is the number of the first.
fn answers(first: usize, count: usize) -> Vec<Value> {
    let tables = people(SEED, (first + count) * 2);
    let at = |name: &str| tables.left.header.iter().position(|column| *column == name);
    let columns = ["first_name", "last_name", "company"].map(|name| (name, at(name)));
    let rows = tables.left.rows.iter().enumerate().skip(first).take(count);
    let all = rows.map(|(number, row)| {
        let mut answers = rig::person(number);
        if let Some(answers) = answers.as_object_mut() {
            for (name, at) in columns {
                let cell = at
                    .and_then(|at| row.get(at))
                    .filter(|cell| !cell.is_empty());
                if let Some(cell) = cell {
                    answers.insert(name.to_owned(), json!(cell));
                }
            }
            let phone = format!(
                "+44 20 7{:03} {:04}",
                number / 10_000 % 1_000,
                number % 10_000
            );
            answers.insert("phone".to_owned(), json!(phone));
        }
        answers
    });
    all.collect()
}

/// Submissions of new people, of those who are in the CRM already, and repeats.
fn submissions(name: &str, crm: CrmKind, quick: bool, assumed: Assumed) -> Result<Vec<Flow>> {
    let (count, single) = if quick { (30, 5) } else { (300, 40) };
    let rig = Rig::start()?;
    let watch = Watch::default();
    let _logs = watch.meter.logs();
    let clients = rig.clients(Some(&watch));
    let remote = clients.remote(&rig.stack, None, None)?;
    let made = rig.tenant(crm, &SimulatorAddresses::of(&rig.stack)?)?;
    let function = |name: &str, caller| -> Result<Function<'_>> {
        Ok(Function {
            megabytes: memory(name)?,
            caller,
            assumed,
            watch: &watch,
        })
    };
    let worker = Submissions {
        made,
        router: clients.intake(&rig.stack),
        app: clients.writeback(remote),
        intake: function("form-intake", Caller::Http)?,
        writeback: function("crm-writeback", Caller::Queue)?,
    };
    slow_down(&rig, crm, assumed)?;
    let flows = rig.front.block_on(async {
        // Contract, connection, metadata and the names on the form are known after these.
        let (ids, _) = worker.submit(&answers(0, 2)).await?;
        worker.deliver(&ids, 1, State::Created).await?;
        let people = answers(2, count);
        let (ids, taken) = worker.submit(&people).await?;
        let written = worker.deliver(&ids, BATCH, State::Created).await?;
        let alone = answers(2 + count, single);
        let (ids, taken_alone) = worker.submit(&alone).await?;
        let written_alone = worker.deliver(&ids, 1, State::Created).await?;
        let mut again = people.clone();
        for answers in again.iter_mut().filter_map(Value::as_object_mut) {
            answers.insert("city".to_owned(), json!("London"));
        }
        let (ids, taken_again) = worker.submit(&again).await?;
        let joined = worker.deliver(&ids, BATCH, State::Attached).await?;
        let repeated = worker.repeat(&people).await?;
        let flow = |what: &str, usage: &Usage, of: usize, most| {
            let mut usage = usage.times(MILLION / decimal(of));
            usage.key_calls = assumed.key_calls(2.0);
            Flow::new(format!("{name}, {what}"), usage, most)
        };
        Ok::<_, anyhow::Error>(vec![
            flow("new leads", &taken.plus(&written), count, Some(10.0)),
            flow(
                "new leads, one in a batch",
                &taken_alone.plus(&written_alone),
                single,
                Some(10.0),
            ),
            flow("joined to a lead", &taken_again.plus(&joined), count, None),
            flow("repeats", &repeated, count, None),
        ])
    })?;
    rig.stop();
    Ok(flows)
}

/// A first import, and a night after which one record in a hundred has changed.
fn imports(name: &str, crm: CrmKind, quick: bool, assumed: Assumed) -> Result<Vec<Flow>> {
    let sizes = if quick {
        [1_000, 2_000]
    } else {
        [10_000, 40_000]
    };
    let [small, large] = sizes.map(|size| import(crm, size, assumed));
    let (small, large) = (small?, large?);
    let names = [("first import", 3.0), ("a night of 1 % changes", 0.1)];
    let flows = names.into_iter().enumerate().map(|(at, (what, most))| {
        let of = |(rows, usages): &(usize, [Usage; 2])| {
            let usage = usages.get(at).cloned().unwrap_or_default();
            (decimal(*rows), usage)
        };
        let ((few, small), (many, large)) = (of(&small), of(&large));
        let mut usage = Usage::on_a_line((few, &small), (many, &large), MILLION);
        usage.key_calls = assumed.key_calls(1.0);
        Flow::new(format!("{name}, {what}"), usage, Some(most))
    });
    Ok(flows.collect())
}

/// Imports an organisation of so many records; gives their exact number, and what is billed for the first
/// import and the next one.
fn import(crm: CrmKind, wanted: u64, assumed: Assumed) -> Result<(usize, [Usage; 2])> {
    let rig = Rig::start()?;
    let watch = Watch::default();
    let _logs = watch.meter.logs();
    let objects = match crm {
        CrmKind::Salesforce => SALESFORCE,
        CrmKind::Dynamics365 => DATAVERSE,
    };
    let mut rows = 0;
    for (object, count) in objects {
        let count = (count * wanted / 1_000_000).max(10);
        let order = json!({"system": system(crm), "object": object, "count": count, "seed": 7});
        control(&rig, reqwest::Method::POST, "/generate", &order)?;
        rows += usize::try_from(count)?;
    }
    let made = rig.tenant(crm, &SimulatorAddresses::of(&rig.stack)?)?;
    slow_down(&rig, crm, assumed)?;
    let clients = rig.clients(Some(&watch));
    let remote = clients.remote(&rig.stack, None, None)?;
    let queue = rig.stack.variables.get("LEADBRIDGE_IMPORT_QUEUE_URL");
    let queue = ImportQueue::new(clients.sqs.clone(), queue.context("a queue")?.clone());
    let app = crm_import::App::new(remote, queue);
    let function = Function {
        megabytes: memory("crm-import")?,
        caller: Caller::Queue,
        assumed,
        watch: &watch,
    };
    let first = rig.front.block_on(one_import(&app, &made, &function))?;
    change(&rig, crm)?;
    let next = rig.front.block_on(one_import(&app, &made, &function))?;
    rig.stop();
    Ok((rows, [first, next]))
}

/// Changes every hundredth record of a person or company.
fn change(rig: &Rig, crm: CrmKind) -> Result<()> {
    let (objects, id, field) = match crm {
        CrmKind::Salesforce => (["Account", "Contact", "Lead"], "Id", "Phone"),
        CrmKind::Dynamics365 => (["account", "contact", "lead"], "", "telephone1"),
    };
    for object in objects {
        let path = format!("/records/{}/{object}", system(crm));
        let rows = control(rig, reqwest::Method::GET, &path, &json!({}))?;
        let rows = rows.as_array().context("rows")?;
        let key = if id.is_empty() {
            format!("{object}id")
        } else {
            id.to_owned()
        };
        for row in rows.iter().step_by(CHANGED) {
            let id = row.get(&key).and_then(Value::as_str).context("an id")?;
            let given = json!({ field: "+44 20 7946 0999" });
            control(rig, reqwest::Method::PATCH, &format!("{path}/{id}"), &given)?;
        }
    }
    Ok(())
}

/// One run of an import, invocation by invocation.
async fn one_import(app: &crm_import::App, made: &Made, function: &Function<'_>) -> Result<Usage> {
    let message = ImportMessage {
        contract: made.id.clone(),
        work: WorkKind::Sync(Environment::Production),
    };
    let start = crm_import::Task::StartSyncs {
        contract: Some(made.id.clone()),
    };
    let start = async { Ok(Box::pin(crm_import::run(app, start)).await?) };
    let (_, mut usage) = function.billed(1, start).await?;
    loop {
        let work = async { Ok(Box::pin(crm_import::work(app, &message)).await) };
        let (done, step) = function.billed(1, work).await?;
        ensure!(done, "a message was given back");
        usage = usage.plus(&step);
        let sync = app.remote.store.sync(&made.id, Environment::Production);
        let sync = sync.await?.context("no import")?;
        if !sync.is_open() {
            if sync.state != SyncState::Succeeded {
                bail!("the import failed: {:?}", sync.problem);
            }
            return Ok(usage);
        }
        // As long as the queue would keep the message back.
        let wait = sync.due_at.since(SystemClock.now()).max(0);
        tokio::time::sleep(Duration::from_millis(wait.unsigned_abs())).await;
    }
}

/// A full link pass of a million people by a million, and a million linked online.
fn links(quick: bool, assumed: Assumed) -> Result<Vec<Flow>> {
    let sizes = if quick { [200, 400] } else { [1_000, 4_000] };
    let [small, large] = sizes.map(|size| -> Result<[Way; 2]> {
        let folder = tempfile::tempdir()?;
        write(folder.path(), &people(SEED, size), true)?;
        of_one_crm(folder.path(), CrmKind::Salesforce)
    });
    let ([small, _], [large, online]) = (small?, large?);
    let watch = Watch::default();
    let function = |name: &str| -> Result<Function<'_>> {
        Ok(Function {
            megabytes: memory(name)?,
            caller: Caller::Queue,
            assumed,
            watch: &watch,
        })
    };
    let pass = function("crm-import")?;
    let of_pass = |way: &Way| {
        let usage = pass.bill(way.usage.clone(), 1, way.seconds, way.processor);
        (decimal(way.entries), usage)
    };
    let ((few, small), (many, large)) = (of_pass(&small), of_pass(&large));
    let mut whole = Usage::on_a_line((few, &small), (many, &large), MILLION);
    whole.key_calls = assumed.key_calls(1.0);
    // Where a submission makes the entry, crm-writeback is running already.
    let each = function("crm-writeback")?;
    let alone = each.bill(online.usage, 0, online.seconds, online.processor);
    let alone = alone.times(MILLION / decimal(online.entries));
    Ok(vec![
        Flow::new(
            "a link pass, a million by a million".to_owned(),
            whole,
            None,
        ),
        Flow::new("links online".to_owned(), alone, None),
    ])
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn decimal(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::{Flow, answers, bill, calls, columns};
    use crate::prices::Prices;
    use crate::usage::Usage;

    #[test]
    fn a_bill_shows_the_share_of_each_service() {
        let usage = Usage {
            write_units: 3e6,
            http_requests: 1e6,
            calls: [("PutItem".to_owned(), 2e6), ("Query".to_owned(), 1.0)].into(),
            ..Usage::default()
        };
        let flow = Flow::new("new leads".to_owned(), usage, None);
        let line = bill(&Prices::list().unwrap(), &flow);
        let cells: Vec<&str> = line.iter().map(String::as_str).collect();
        assert_eq!(cells[..3], ["new leads", "2.88", "1.88 (65 %)"]);
        assert_eq!(cells[9], "1.00 (35 %)");
        assert_eq!(
            calls(&flow),
            "new leads, each: PutItem 2.00; 3.00 write units, 0.00 of indexes, 0.00 read units, 0 bytes of logs, 0.0 ms of a GB"
        );
        let lines = columns(vec![
            vec!["a".into(), "10".into()],
            vec!["bcd".into(), "2".into()],
        ]);
        assert_eq!(lines, ["a    10", "bcd   2"]);
    }

    #[test]
    fn answers_are_those_of_different_people() {
        let all = answers(2, 50);
        let emails: std::collections::HashSet<_> = all.iter().map(|one| &one["email"]).collect();
        assert_eq!(emails.len(), 50);
    }
}
