//! The embedded stack with a front of its own: the functions' code runs on the calling thread alone, the
//! emulators and the simulator on others, so that processor time can be measured apart.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, ensure};
use aws_sdk_dynamodb::config::interceptors::{
    AfterDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_smithy_types::config_bag::{Storable, StoreReplace};
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::{StatusCode, header};
use local::demo::{self, Org, SimulatorAddresses};
use local::seed::{Made, Maker, NewContract};
use local::{Options, Stack};
use serde_json::{Value, json};
use shared::aws::SdkConfig;
use shared::clock::{Clock, SystemClock};
use shared::config::Source;
use shared::domain::schema::CrmKind;
use shared::queue::WritebackQueue;
use shared::random::{Random as _, SystemRandom};
use shared::store::Store;
use shared::testing::{OnAws, Tripwire};
use shared::wiring::{Remote, RemoteConfig};
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt as _;

/// The stack, and the two runtimes.
pub(crate) struct Rig {
    /// The runtime of the measured code, on the calling thread.
    pub(crate) front: Runtime,
    /// Emulators and simulator.
    pub(crate) stack: Stack,
    backend: Runtime,
}

impl Rig {
    /// Starts an embedded stack that keeps nothing.
    pub(crate) fn start() -> Result<Self> {
        let backend = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let front = Builder::new_current_thread().enable_all().build()?;
        let options = Options {
            port: None,
            state: None,
            drive: false,
        };
        let stack = backend.block_on(Stack::start(options))?;
        Ok(Self {
            front,
            stack,
            backend,
        })
    }

    /// Runs code that is not measured, beside the emulators.
    pub(crate) fn behind<T>(&self, work: impl Future<Output = T>) -> T {
        self.backend.block_on(work)
    }

    /// Ends everything.
    pub(crate) fn stop(self) {
        self.backend.block_on(self.stack.stop());
    }

    /// Clients of the front; with a watch, every call is counted.
    pub(crate) fn clients(&self, watch: Option<&Watch>) -> Clients {
        let aws = self
            .front
            .block_on(local::aws_config(&self.stack.aws_endpoint));
        let mut dynamodb = aws_sdk_dynamodb::config::Builder::from(&aws);
        let mut sqs = aws_sdk_sqs::config::Builder::from(&aws);
        if let Some(watch) = watch {
            let (wire, writes) = (OnAws(watch.wire.clone()), Writes(watch.writes.clone()));
            let costs = Costs(watch.units.clone());
            dynamodb = dynamodb
                .interceptor(wire.clone())
                .interceptor(writes)
                .interceptor(costs);
            sqs = sqs.interceptor(wire);
        }
        Clients {
            dynamodb: aws_sdk_dynamodb::Client::from_conf(dynamodb.build()),
            sqs: aws_sdk_sqs::Client::from_conf(sqs.build()),
            queue_url: self.stack.queue_url.clone(),
            aws,
        }
    }

    /// A new contract, connected to the simulator's CRM at these addresses.
    pub(crate) fn tenant(&self, crm: CrmKind, addresses: &SimulatorAddresses) -> Result<Made> {
        let name = SystemRandom.uuid().simple().to_string();
        let new = NewContract {
            id: format!("b-{}", name.get(..12).unwrap_or_default()).parse()?,
            name: "Bench".to_owned(),
            crm,
            fixed: None,
            linkedin_owners: Vec::new(),
        };
        let (store, vault) = (self.stack.store(), self.stack.vault());
        let maker = Maker {
            store,
            vault,
            random: &SystemRandom,
            now: SystemClock.now(),
        };
        self.behind(async {
            let made = maker.make(new).await?;
            demo::connect(&maker, &made, addresses, Org::Production).await?;
            Ok(made)
        })
    }
}

/// Counts the calls of the clients that it was given to.
#[derive(Default)]
pub(crate) struct Watch {
    /// Calls to AWS and to CRMs.
    pub(crate) wire: Arc<Tripwire>,
    writes: Arc<Mutex<usize>>,
    units: Arc<Mutex<Units>>,
}

/// Calls to a table and their capacity in units, as DynamoDB counts them on demand: 4 KB
/// for a read (half a unit where the read may be a little behind), 1 KB for a write (two in a
/// transaction). By the sizes of the answers and requests, which are a little above those of the items.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Units {
    pub(crate) reads: u64,
    pub(crate) read_capacity: f64,
    pub(crate) writes: u64,
    pub(crate) write_capacity: f64,
}

impl Units {
    /// Counts a call; `answer` is the size of its answer in bytes.
    fn count(&mut self, action: &str, request: &Value, answer: f64) {
        let size =
            |value: &Value| f64::from(u32::try_from(value.to_string().len()).unwrap_or(u32::MAX));
        let of = |actions: &Value| -> f64 {
            let actions = actions.as_array().into_iter().flatten();
            actions.map(|action| (size(action) / 1024.0).ceil()).sum()
        };
        match action {
            "Query" | "GetItem" => {
                let consistent = request.get("ConsistentRead") == Some(&Value::Bool(true));
                self.reads += 1;
                self.read_capacity += (answer / 4096.0).ceil() * if consistent { 1.0 } else { 0.5 };
            }
            "BatchGetItem" => {
                let tables = request.get("RequestItems").and_then(Value::as_object);
                let keys = tables
                    .into_iter()
                    .flatten()
                    .filter_map(|(_, table)| table.get("Keys")?.as_array());
                let keys: usize = keys.map(Vec::len).sum();
                self.reads += 1;
                self.read_capacity += f64::from(u32::try_from(keys).unwrap_or(u32::MAX))
                    .max((answer / 4096.0).ceil());
            }
            "PutItem" | "UpdateItem" | "DeleteItem" => {
                self.writes += 1;
                self.write_capacity += (size(request) / 1024.0).ceil();
            }
            "TransactWriteItems" => {
                self.writes += 1;
                self.write_capacity += 2.0 * request.get("TransactItems").map_or(0.0, of);
            }
            "BatchWriteItem" => {
                let tables = request.get("RequestItems").and_then(Value::as_object);
                self.writes += 1;
                self.write_capacity += tables
                    .into_iter()
                    .flatten()
                    .map(|(_, items)| of(items))
                    .sum::<f64>();
            }
            _ => {}
        }
    }
}

impl Watch {
    /// Resets the counts.
    pub(crate) fn reset(&self) {
        self.wire.reset();
        *self.writes.lock().unwrap_or_else(PoisonError::into_inner) = 0;
        *self.units.lock().unwrap_or_else(PoisonError::into_inner) = Units::default();
    }

    /// Calls and capacity so far.
    pub(crate) fn units(&self) -> Units {
        *self.units.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls so far that wrote to the table.
    pub(crate) fn table_writes(&self) -> usize {
        *self.writes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts the calls that write.
#[derive(Debug)]
struct Writes(Arc<Mutex<usize>>);

impl Intercept for Writes {
    fn name(&self) -> &'static str {
        "Writes"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let target = context
            .request()
            .headers()
            .get("x-amz-target")
            .unwrap_or_default();
        let action = target.rsplit('.').next().unwrap_or_default();
        if matches!(
            action,
            "PutItem" | "UpdateItem" | "DeleteItem" | "TransactWriteItems"
        ) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        }
        Ok(())
    }
}

/// Counts what calls cost.
#[derive(Debug)]
struct Costs(Arc<Mutex<Units>>);

/// The action and body of a request. Once it is sent, the client has it no more.
#[derive(Debug)]
struct Asked {
    action: String,
    request: Value,
}

impl Storable for Asked {
    type Storer = StoreReplace<Self>;
}

impl Intercept for Costs {
    fn name(&self) -> &'static str {
        "Costs"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request();
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let action = target.rsplit('.').next().unwrap_or_default().to_owned();
        let body = request.body().bytes().unwrap_or_default();
        let request = serde_json::from_slice(body).unwrap_or_default();
        config
            .interceptor_state()
            .store_put(Asked { action, request });
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Some(asked) = config.load::<Asked>() else {
            return Ok(());
        };
        let answer = context.response().body().bytes().map_or(0, <[u8]>::len);
        let answer = f64::from(u32::try_from(answer).unwrap_or(u32::MAX));
        let mut units = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        units.count(&asked.action, &asked.request, answer);
        Ok(())
    }
}

/// AWS as the front sees it.
pub(crate) struct Clients {
    pub(crate) dynamodb: aws_sdk_dynamodb::Client,
    pub(crate) sqs: aws_sdk_sqs::Client,
    pub(crate) queue_url: String,
    aws: SdkConfig,
}

impl Clients {
    fn store(&self) -> Store {
        Store::new(self.dynamodb.clone(), local::TABLE.to_owned())
    }

    fn queue(&self) -> WritebackQueue {
        WritebackQueue::new(self.sqs.clone(), self.queue_url.clone())
    }

    /// form-intake over these clients.
    pub(crate) fn intake(&self, stack: &Stack) -> Router {
        let mut app = form_intake::App::new(
            self.store(),
            self.queue(),
            stack.apps().intake.vault.clone(),
            Arc::new(SystemClock),
            Arc::new(SystemRandom),
        );
        // One form gets more here than any form takes.
        app.limits = form_intake::limits::Limits::none();
        form_intake::router(Arc::new(app))
    }

    /// The clients that crm-writeback calls providers with; `also` is a further address that it may call.
    pub(crate) fn remote(
        &self,
        stack: &Stack,
        watch: Option<&Watch>,
        also: Option<&str>,
    ) -> Result<Remote> {
        let mut variables: BTreeMap<String, String> = stack.variables.clone();
        if let (Some(also), Some(allow)) = (also, variables.get_mut("LEADBRIDGE_OUTBOUND_ALLOW")) {
            allow.push(',');
            allow.push_str(also);
        }
        let source = Source::fixed(variables);
        let config = RemoteConfig::from_source(&source)?;
        let ca_file = source.required("SSL_CERT_FILE")?;
        let mut outbound = local::outbound(&config, Path::new(&ca_file))?;
        if let Some(watch) = watch {
            outbound = outbound.with_hook(watch.wire.clone());
        }
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        Ok(Remote::with(
            &config,
            &self.aws,
            self.store(),
            outbound,
            clock,
        )?)
    }

    /// crm-writeback over these clients.
    pub(crate) fn writeback(&self, remote: Remote) -> crm_writeback::App {
        crm_writeback::App::new(remote, self.queue())
    }
}

/// A person's answers to the usual website form; every number is another person.
pub(crate) fn person(number: usize) -> Value {
    json!({
        "email": email(number), "first_name": "Ada", "last_name": "Lovelace",
        "company": "Analytical Engines Ltd", "phone": "+44 20 7946 0958", "country": "GB",
        "message": "Please call me back about the engine.", "consent": "yes",
    })
}

/// The e-mail address of a person; all are of the same length.
pub(crate) fn email(number: usize) -> String {
    format!("person-{number:08}@bench.example")
}

/// A post of the website form.
pub(crate) fn post(made: &Made, answers: &Value, idempotency_key: Option<&str>) -> Result<Request> {
    let mut request = Request::post(format!("/forms/{}", made.form_key))
        .header(header::CONTENT_TYPE, "application/json");
    if let Some(key) = idempotency_key {
        request = request.header("idempotency-key", key);
    }
    Ok(request.body(Body::from(answers.to_string()))?)
}

/// Answers a request as the function does behind Lambda; anything but 202 is an error.
pub(crate) async fn accepted(router: &Router, request: Request) -> Result<Response> {
    let Ok(response) = router.clone().oneshot(request).await;
    ensure!(
        response.status() == StatusCode::ACCEPTED,
        "refused: {}",
        response.status()
    );
    Ok(response)
}

/// Posts a person's answers and returns the submission's id.
pub(crate) async fn submit(router: &Router, made: &Made, answers: &Value) -> Result<String> {
    let response = accepted(router, post(made, answers, None)?).await?;
    let body = axum::body::to_bytes(response.into_body(), 10_000).await?;
    let answer: Value = serde_json::from_slice(&body)?;
    let id = answer.get("submission_id").and_then(Value::as_str);
    Ok(id.context("an answer without an id")?.to_owned())
}

/// The queue's event for one submission.
pub(crate) fn queue_event(made: &Made, submission: &str) -> Value {
    let body = json!({"contract": made.id, "submission": submission});
    json!({"Records": [{
        "messageId": "19dd0b57-b21e-4ac1-bd88-01bbb068cb00", "receiptHandle": "handle",
        "body": body.to_string(), "attributes": {}, "messageAttributes": {},
        "eventSource": "aws:sqs", "awsRegion": "us-east-1",
    }]})
}

/// Logs as the functions do, to nowhere: writing a log line is part of their work.
pub(crate) fn log_to_nowhere() -> Result<tracing::subscriber::DefaultGuard> {
    let nowhere = std::fs::File::options().write(true).open("/dev/null")?;
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_env_filter(tracing_subscriber::EnvFilter::new("info"))
        .without_time()
        .with_target(false)
        .with_current_span(false)
        .with_writer(nowhere)
        .finish();
    Ok(tracing::subscriber::set_default(subscriber))
}
