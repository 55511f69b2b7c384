//! The embedded stack with a front of its own: the functions' code runs on the calling thread alone, the
//! emulators and the simulator on others, so that processor time can be measured apart.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
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

use crate::usage::{Meter, READS, Usage, WRITES};

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
            let wire = OnAws(watch.wire.clone());
            dynamodb = dynamodb
                .interceptor(wire.clone())
                .interceptor(watch.meter.clone());
            sqs = sqs.interceptor(wire).interceptor(watch.meter.clone());
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
    /// Calls to AWS by action, with their capacity units.
    pub(crate) meter: Meter,
}

/// Calls to a table and their capacity in units, as the table tells them.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Units {
    pub(crate) reads: f64,
    pub(crate) read_capacity: f64,
    pub(crate) writes: f64,
    pub(crate) write_capacity: f64,
}

impl Units {
    /// The table's part of the use of AWS.
    pub(crate) fn of(usage: &Usage) -> Self {
        Self {
            reads: usage.calls_of(&READS),
            read_capacity: usage.read_units,
            writes: usage.calls_of(&WRITES),
            write_capacity: usage.write_units + usage.index_units,
        }
    }
}

impl Watch {
    /// Resets the counts.
    pub(crate) fn reset(&self) {
        self.wire.reset();
        self.meter.reset();
    }

    /// Calls so far that wrote to the table.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count"
    )]
    pub(crate) fn table_writes(&self) -> usize {
        self.meter.usage().calls_of(&WRITES) as usize
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
