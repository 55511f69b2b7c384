//! The worker process of the import's bench: crm-import's own handler, or the bare loop.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use aws_sdk_dynamodb::Client as DynamoDb;
use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use futures::future::try_join_all;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use shared::clock::{Clock as _, SystemClock};
use shared::config::Source;
use shared::domain::environment::Environment;
use shared::domain::inventory::{ObjectSpec, objects};
use shared::domain::match_keys;
use shared::domain::mirror::{self, Values};
use shared::domain::references;
use shared::domain::schema::CrmKind;
use shared::domain::sync::SyncState;
use shared::queue::{ImportMessage, ImportQueue};
use shared::store::{Store, WorkKind};
use shared::testing::{OnAws, Tripwire};
use shared::wiring::{Remote, RemoteConfig};

use crate::import::{Done, Task};
use crate::meter::{peak_memory, process_cpu};

/// Salesforce's API as crm-import calls it.
const SALESFORCE_API: &str = "/services/data/v62.0";
/// Rows of a job's page, as crm-import asks for them.
const JOB_ROWS: usize = 100_000;
/// Below this an object is read by REST, as crm-import does.
const FEW: u64 = 2_000;

/// Reads the task from standard input and writes the results to standard output.
pub(crate) fn run() -> Result<()> {
    let task: Task = serde_json::from_reader(std::io::stdin())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let done = runtime.block_on(async {
        if task.bare {
            Ok::<_, anyhow::Error>(vec![bare(&task).await?])
        } else {
            ours(&task).await
        }
    })?;
    println!("{}", serde_json::to_string(&done)?);
    Ok(())
}

/// The elapsed and processor time of a process since the start of the watch.
struct Watch {
    began: Instant,
    processor: Duration,
}

impl Watch {
    fn start() -> Self {
        Self {
            began: Instant::now(),
            processor: process_cpu(std::process::id()),
        }
    }

    fn done(&self) -> Done {
        let processor = process_cpu(std::process::id()).saturating_sub(self.processor);
        Done {
            seconds: self.began.elapsed().as_secs_f64(),
            processor_seconds: processor.as_secs_f64(),
            peak_megabytes: peak_memory(std::process::id()).unwrap_or_default(),
            ..Done::default()
        }
    }
}

/// A whole import, and one after it that finds nothing changed.
async fn ours(task: &Task) -> Result<Vec<Done>> {
    let source = Source::fixed(task.variables.clone());
    let config = RemoteConfig::from_source(&source)?;
    let aws = local::aws_config(&task.aws_endpoint).await;
    let wire = Tripwire::new();
    let dynamodb = aws_sdk_dynamodb::config::Builder::from(&aws)
        .interceptor(OnAws(wire.clone()))
        .build();
    let sqs = aws_sdk_sqs::config::Builder::from(&aws)
        .interceptor(OnAws(wire.clone()))
        .build();
    let ca_file = source.required("SSL_CERT_FILE")?;
    let outbound = local::outbound(&config, Path::new(&ca_file))?.with_hook(wire.clone());
    let store = Store::new(DynamoDb::from_conf(dynamodb), config.table.clone());
    let remote = Remote::with(&config, &aws, store, outbound, Arc::new(SystemClock))?;
    let queue_url = source.required("LEADBRIDGE_IMPORT_QUEUE_URL")?;
    let queue = ImportQueue::new(aws_sdk_sqs::Client::from_conf(sqs), queue_url);
    let app = crm_import::App::new(remote, queue);
    let store = app.remote.store.clone();
    let message = ImportMessage {
        contract: task.contract.clone(),
        work: WorkKind::Sync(Environment::Production),
    };
    let mut all = Vec::new();
    for _ in 0..2 {
        let watch = Watch::start();
        wire.reset();
        let start = crm_import::Task::StartSyncs {
            contract: Some(task.contract.clone()),
        };
        crm_import::run(&app, start).await?;
        let sync = loop {
            ensure!(
                crm_import::work(&app, &message).await,
                "a message was given back"
            );
            let sync = store.sync(&task.contract, Environment::Production).await?;
            let sync = sync.context("no import")?;
            if !sync.is_open() {
                break sync;
            }
            // As long as the queue would keep the message back.
            let wait = sync.due_at.since(SystemClock.now()).max(0);
            tokio::time::sleep(Duration::from_millis(wait.unsigned_abs())).await;
        };
        ensure!(
            sync.state == SyncState::Succeeded,
            "the import failed: {:?}",
            sync.problem
        );
        let objects = store
            .object_syncs(&task.contract, Environment::Production)
            .await?;
        let mut done = watch.done();
        done.rows = objects.iter().map(|object| object.read).sum();
        done.crm_calls = sync.calls;
        done.bytes = sync.bytes;
        done.steps = sync.steps;
        done.aws_calls = wire.aws_calls() as u64;
        if all.is_empty() {
            let counted =
                store.count_imported(&task.contract, Environment::Production, 0, Duration::MAX);
            done.items = counted.await?.items;
        }
        all.push(done);
    }
    Ok(all)
}

/// The bare loop's clients and counts.
struct Bare<'a> {
    task: &'a Task,
    crm: Client,
    table: DynamoDb,
    rows: AtomicU64,
    items: AtomicU64,
    aws_calls: AtomicU64,
    crm_calls: AtomicU64,
    bytes: AtomicU64,
}

async fn bare(task: &Task) -> Result<Done> {
    let source = Source::fixed(task.variables.clone());
    let certificate = std::fs::read(source.required("SSL_CERT_FILE")?)?;
    let aws = local::aws_config(&task.aws_endpoint).await;
    let bare = Bare {
        task,
        crm: shared::outbound::Outbound::builder()
            .tls_certs_merge([reqwest::Certificate::from_pem(&certificate)?])
            .timeout(Duration::from_mins(2))
            .build()?,
        table: DynamoDb::new(&aws),
        rows: AtomicU64::new(0),
        items: AtomicU64::new(0),
        aws_calls: AtomicU64::new(0),
        crm_calls: AtomicU64::new(0),
        bytes: AtomicU64::new(0),
    };
    let watch = Watch::start();
    let specs = objects(task.crm)
        .iter()
        .filter(|spec| !spec.several_currencies_only);
    try_join_all(specs.map(|spec| bare.object(spec))).await?;
    let mut done = watch.done();
    done.rows = bare.rows.into_inner();
    done.items = bare.items.into_inner();
    done.aws_calls = bare.aws_calls.into_inner();
    done.crm_calls = bare.crm_calls.into_inner();
    done.bytes = bare.bytes.into_inner();
    done.steps = 1;
    Ok(done)
}

/// A row: its id, its values as text.
type Cells<'a> = (String, Vec<(&'static str, String)>);

impl Bare<'_> {
    async fn object(&self, spec: &'static ObjectSpec) -> Result<()> {
        match self.task.crm {
            CrmKind::Salesforce => self.salesforce(spec).await,
            CrmKind::Dynamics365 => self.dataverse(spec).await,
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = if path.starts_with("http") {
            path.to_owned()
        } else {
            format!("{}{path}", self.task.crm_url.trim_end_matches('/'))
        };
        self.crm.request(method, url).bearer_auth(&self.task.token)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response> {
        self.crm_calls.fetch_add(1, Ordering::Relaxed);
        Ok(request.send().await?.error_for_status()?)
    }

    async fn json(&self, request: RequestBuilder) -> Result<Value> {
        let body = self.send(request).await?.bytes().await?;
        self.bytes.fetch_add(body.len() as u64, Ordering::Relaxed);
        Ok(serde_json::from_slice(&body)?)
    }

    async fn salesforce(&self, spec: &'static ObjectSpec) -> Result<()> {
        let fields: Vec<&'static str> = spec.fields(false).collect();
        let query = format!("SELECT {} FROM {}", fields.join(","), spec.name);
        let count = self
            .json(self.request(
                Method::GET,
                &format!("{SALESFORCE_API}/query?q=SELECT+COUNT()+FROM+{}", spec.name),
            ))
            .await?;
        if count
            .get("totalSize")
            .and_then(Value::as_u64)
            .unwrap_or_default()
            < FEW
        {
            let page = self.json(self.request(
                Method::GET,
                &format!("{SALESFORCE_API}/queryAll?q={}", query.replace(' ', "+")),
            ));
            let page = page.await?;
            let rows = page
                .get("records")
                .and_then(Value::as_array)
                .context("records")?;
            let rows = rows
                .iter()
                .map(|row| json_cells(row, "Id", &fields))
                .collect::<Result<Vec<_>>>()?;
            return self.write(spec, rows).await;
        }
        let job = json!({"operation": "queryAll", "query": query, "contentType": "CSV"});
        let job = self
            .json(
                self.request(Method::POST, &format!("{SALESFORCE_API}/jobs/query"))
                    .json(&job),
            )
            .await?;
        let id = job
            .get("id")
            .and_then(Value::as_str)
            .context("a job")?
            .to_owned();
        loop {
            tokio::time::sleep(Duration::from_secs(2)).await;
            let job = self
                .json(self.request(Method::GET, &format!("{SALESFORCE_API}/jobs/query/{id}")))
                .await?;
            match job.get("state").and_then(Value::as_str) {
                Some("JobComplete") => break,
                Some("Failed" | "Aborted") | None => bail!("the job failed"),
                Some(_) => {}
            }
        }
        let mut locator = String::new();
        loop {
            let page =
                format!("{SALESFORCE_API}/jobs/query/{id}/results?maxRecords={JOB_ROWS}{locator}");
            let answer = self.send(self.request(Method::GET, &page)).await?;
            let next = answer
                .headers()
                .get("sforce-locator")
                .context("a locator")?
                .to_str()?
                .to_owned();
            let body = answer.bytes().await?;
            self.bytes.fetch_add(body.len() as u64, Ordering::Relaxed);
            let mut reader = csv::Reader::from_reader(body.as_ref());
            let mut rows = Vec::new();
            for record in reader.records() {
                let record = record?;
                let id = record.get(0).context("an id")?.to_owned();
                let cells = fields
                    .iter()
                    .zip(record.iter())
                    .filter(|(_, cell)| !cell.is_empty());
                rows.push((
                    id,
                    cells
                        .map(|(field, cell)| (*field, cell.to_owned()))
                        .collect(),
                ));
                if rows.len() == 5_000 {
                    self.write(spec, std::mem::take(&mut rows)).await?;
                }
            }
            self.write(spec, rows).await?;
            if next == "null" {
                return Ok(());
            }
            locator = format!("&locator={next}");
        }
    }

    async fn dataverse(&self, spec: &'static ObjectSpec) -> Result<()> {
        let fields: Vec<&'static str> = spec.fields(false).collect();
        let id = *fields.first().context("a key")?;
        let set = match spec.name {
            "opportunity" => "opportunities".to_owned(),
            name => format!("{name}s"),
        };
        let mut url = format!("/api/data/v9.2/{set}?$select={}", fields.join(","));
        loop {
            let request = self
                .request(Method::GET, &url)
                .header("prefer", "odata.track-changes,odata.maxpagesize=5000");
            let page = self.json(request).await?;
            let rows = page
                .get("value")
                .and_then(Value::as_array)
                .context("rows")?;
            let rows = rows
                .iter()
                .map(|row| json_cells(row, id, &fields))
                .collect::<Result<Vec<_>>>()?;
            self.write(spec, rows).await?;
            match page.get("@odata.nextLink").and_then(Value::as_str) {
                Some(next) => next.clone_into(&mut url),
                None => return Ok(()),
            }
        }
    }

    /// Writes the items that crm-import writes for these rows.
    async fn write(&self, spec: &'static ObjectSpec, rows: Vec<Cells<'_>>) -> Result<()> {
        self.rows.fetch_add(rows.len() as u64, Ordering::Relaxed);
        let mut puts = Vec::with_capacity(rows.len() * 3);
        for (id, cells) in rows {
            let data = serde_json::to_string(
                &cells
                    .iter()
                    .map(|(name, cell)| (*name, cell))
                    .collect::<std::collections::BTreeMap<_, _>>(),
            )?;
            let values = Values(
                cells
                    .into_iter()
                    .map(|(name, cell)| (name, mirror::Value::Text(cell)))
                    .collect(),
            );
            let mut keys = match_keys::keys(self.task.crm, spec.name, &values, None);
            keys.extend(references::keys(self.task.crm, spec.name, &values));
            let opportunity = references::opportunity_of(self.task.crm, spec.name, &id, &values);
            let shard = id.bytes().fold(0_u32, |sum, byte| {
                sum.wrapping_mul(31).wrapping_add(u32::from(byte))
            });
            let contract = &self.task.contract;
            let mut record = WriteItem::new(
                format!(
                    "C#{contract}#MIRROR#production#{}#{:02x}",
                    spec.name,
                    shard % 16
                ),
                id.clone(),
            )
            .with(
                "entity_type",
                AttributeValue::S("mirrored record".to_owned()),
            )
            .with("data", AttributeValue::S(data))
            .with("hash", AttributeValue::B(vec![0; 16].into()))
            .with("modified", AttributeValue::N("1790000000000".to_owned()));
            if !keys.is_empty() {
                let names = keys.iter().map(ToString::to_string).collect();
                record = record.with("keys", AttributeValue::Ss(names));
            }
            puts.push(record.put()?);
            if let Some(opportunity) = opportunity {
                let partition = format!("C#{contract}#TOUCHED#production#{:02x}", shard % 16);
                let sort_key = format!("{opportunity}#{}#{id}", spec.name);
                puts.push(WriteItem::new(partition, sort_key).put()?);
            }
            for key in keys {
                let partition = format!("C#{contract}#MATCHKEY#production#{:02x}", shard % 64);
                puts.push(WriteItem::new(partition, format!("{key}#{}#{id}", spec.name)).put()?);
            }
        }
        self.items.fetch_add(puts.len() as u64, Ordering::Relaxed);
        let batches: Vec<Vec<WriteRequest>> =
            puts.chunks(25).map(<[WriteRequest]>::to_vec).collect();
        stream::iter(batches)
            .map(|batch| self.batch(batch))
            .buffer_unordered(16)
            .try_collect::<()>()
            .await
    }

    async fn batch(&self, mut batch: Vec<WriteRequest>) -> Result<()> {
        while !batch.is_empty() {
            self.aws_calls.fetch_add(1, Ordering::Relaxed);
            let answer = self
                .table
                .batch_write_item()
                .request_items(local::TABLE, batch)
                .send()
                .await?;
            batch = answer
                .unprocessed_items
                .and_then(|mut left| left.remove(local::TABLE))
                .unwrap_or_default();
        }
        Ok(())
    }
}

fn json_cells(row: &Value, id: &str, fields: &[&'static str]) -> Result<Cells<'static>> {
    let key = row
        .get(id)
        .and_then(Value::as_str)
        .context("an id")?
        .to_owned();
    let cells = fields.iter().filter_map(|field| {
        let text = match row.get(*field)? {
            Value::Null => return None,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        Some((*field, text))
    });
    Ok((key, cells.collect()))
}

/// An item of the table.
struct WriteItem(std::collections::HashMap<String, AttributeValue>);

impl WriteItem {
    fn new(partition: String, sort: String) -> Self {
        Self(std::collections::HashMap::from([
            ("PK".to_owned(), AttributeValue::S(partition)),
            ("SK".to_owned(), AttributeValue::S(sort)),
        ]))
    }

    fn with(mut self, name: &str, value: AttributeValue) -> Self {
        self.0.insert(name.to_owned(), value);
        self
    }

    fn put(self) -> Result<WriteRequest> {
        let put = PutRequest::builder().set_item(Some(self.0)).build()?;
        Ok(WriteRequest::builder().put_request(put).build())
    }
}
