//! The whole product in one process: the functions' own routers and handlers, driven as API
//! Gateway, SQS and EventBridge drive them, on embedded emulators, with the simulator as the CRM.
//!
//! Only this crate and `tests/` know that emulators and the simulator exist.

pub mod company;
pub mod demo;
pub mod door;
pub mod people;
pub mod seed;

mod emulators;
mod table;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use axum::Router;
use axum::extract::{ConnectInfo, Request};
use crm_simulator::{Ports, SimConfig, Simulator};
use serde_json::json;
use shared::aws::SdkConfig;
use shared::clock::{Clock, SystemClock};
use shared::config::Source;
use shared::edge::{self, Edge, guarded};
use shared::problem::Problem;
use shared::queue::{ImportQueue, WritebackQueue};
use shared::random::{Random as _, SystemRandom};
use shared::store::Store;
use shared::vault::Vault;
use shared::wiring::{Remote, RemoteConfig};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tower::ServiceExt as _;

/// The table's name on the embedded emulator.
pub const TABLE: &str = "leadbridge";
/// The time that a message taken from the queue stays hidden, in seconds. The template's is longer; here a
/// test kills a worker and should not wait.
const VISIBILITY_SECONDS: u32 = 20;

/// Options for starting the stack.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// First of six ports; any free ones without.
    pub port: Option<u16>,
    /// The folder that keeps the state; in memory without.
    pub state: Option<PathBuf>,
    /// Drive the queues and the schedules from the start. Tests that do it themselves leave it
    /// off; [`Stack::drive`] does it later.
    pub drive: bool,
}

/// The stack while it runs.
pub struct Stack {
    /// Base URL of the functions.
    pub url: String,
    /// The AWS endpoint.
    pub aws_endpoint: String,
    /// The writeback queue.
    pub queue_url: String,
    /// Its dead-letter queue.
    pub dead_letter_queue_url: String,
    /// The import queue.
    pub import_queue_url: String,
    /// The environment that the functions run with.
    pub variables: BTreeMap<String, String>,
    /// The simulator.
    pub simulator: Simulator,
    /// AWS as the functions see it.
    pub aws: SdkConfig,
    apps: Apps,
    door: Arc<door::Door>,
    database: dynoxide::Database,
    folder: Folder,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

/// The functions' apps, as they run in the stack.
#[derive(Clone)]
pub struct Apps {
    /// form-intake.
    pub intake: Arc<form_intake::App>,
    /// crm-writeback.
    pub writeback: Arc<crm_writeback::App>,
    /// lead-resync.
    pub resync: Arc<lead_resync::App>,
    /// crm-import.
    pub import: Arc<crm_import::App>,
    /// console.
    pub console: Arc<console::App>,
    /// oauth-callback.
    pub oauth: Arc<oauth_callback::App>,
}

enum Folder {
    Kept(PathBuf),
    Temporary(tempfile::TempDir),
}

impl Folder {
    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(folder) => folder.path(),
        }
    }
}

async fn listen(port: Option<u16>, offset: u16) -> Result<TcpListener> {
    let port = match port {
        Some(base) => base.checked_add(offset).context("the port is too high")?,
        None => 0,
    };
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            bail!(
                "port {port} is taken by another program; choose other ports with --port (six in a row are used)"
            )
        }
        Err(error) => Err(error).with_context(|| format!("cannot listen on port {port}")),
    }
}

/// An AWS configuration for an endpoint on this machine.
pub async fn aws_config(endpoint: &str) -> SdkConfig {
    aws_config::defaults(aws_config::BehaviorVersion::v2026_01_12())
        .endpoint_url(endpoint)
        .region(aws_config::Region::new("us-east-1"))
        .credentials_provider(aws_credential_types::Credentials::new(
            "local", "local", None, None, "local",
        ))
        .load()
        .await
}

impl Stack {
    /// Starts everything.
    ///
    /// # Errors
    /// Returns an error if a port is taken, or the state folder cannot be used.
    pub async fn start(options: Options) -> Result<Self> {
        let folder = match options.state {
            Some(path) => {
                std::fs::create_dir_all(&path)
                    .with_context(|| format!("cannot make the folder {}", path.display()))?;
                Folder::Kept(path)
            }
            None => Folder::Temporary(tempfile::tempdir()?),
        };
        let state = folder.path().to_owned();
        let persistent = matches!(folder, Folder::Kept(_));
        // All ports first: a taken one is reported before anything is started.
        let gateway = listen(options.port, 0).await?;
        let aws_listener = listen(options.port, 5).await?;
        let ports = match options.port {
            None => Ports::default(),
            Some(base) => {
                let mut found = [0; 4];
                for (offset, port) in (1..).zip(&mut found) {
                    *port = listen(Some(base), offset).await?.local_addr()?.port();
                }
                let [salesforce, dataverse, linkedin, control] = found;
                Ports {
                    salesforce,
                    dataverse,
                    linkedin,
                    control,
                }
            }
        };
        let simulator = Simulator::start(SimConfig {
            ports,
            state_file: persistent.then(|| state.join("simulator.json")),
            tls_dir: Some(state.join("tls")),
            samples: persistent,
            ..SimConfig::default()
        })
        .await?;
        let (stop, stopping) = watch::channel(false);
        let file = state.join("table.sqlite");
        let emulators = emulators::Emulators::start(
            aws_listener,
            persistent.then_some(file.as_path()),
            stopping.clone(),
        )
        .await?;
        let aws = aws_config(&emulators.endpoint).await;
        table::create(&shared::aws::dynamodb(&aws), TABLE).await?;
        let sqs = shared::aws::sqs(&aws);
        let (queue_url, dead_letter_queue_url) =
            table::create_queue(&sqs, "leadbridge-writeback", VISIBILITY_SECONDS).await?;
        let (import_queue_url, _) =
            table::create_queue(&sqs, "leadbridge-import", VISIBILITY_SECONDS).await?;
        let url = format!("http://{}", gateway.local_addr()?);
        let queues = [queue_url.as_str(), import_queue_url.as_str()];
        let endpoints = [emulators.endpoint.as_str(), emulators.table.as_str()];
        let variables = variables(&state, &url, queues, endpoints, &simulator)?;
        let apps = Apps::build(&variables, &aws)?;
        let mut tasks = emulators.tasks;
        let door = Arc::new(door::Door::default());
        tasks.push(serve(gateway, door.before(apps.router()), stopping));
        let mut stack = Self {
            url,
            aws_endpoint: emulators.endpoint,
            queue_url,
            dead_letter_queue_url,
            import_queue_url,
            variables,
            simulator,
            aws,
            database: emulators.database,
            apps,
            door,
            folder,
            stop,
            tasks,
        };
        if options.drive {
            stack.drive();
        }
        Ok(stack)
    }

    /// Drives the queues and the schedules from now on.
    pub fn drive(&mut self) {
        let (writeback, import) = (self.apps.writeback.clone(), self.apps.import.clone());
        let stop = || self.stop.subscribe();
        let writeback = drive_queue(&self.aws, &self.queue_url, stop(), move |batch| {
            let app = writeback.clone();
            async move { crm_writeback::handle(&app, batch).await }
        });
        let import = drive_queue(&self.aws, &self.import_queue_url, stop(), move |batch| {
            let app = import.clone();
            async move { crm_import::work_batch(&app, batch).await }
        });
        let schedules = drive_schedules(&self.apps, self.database.clone(), stop());
        self.tasks.extend([writeback, import, schedules]);
    }

    /// Makes keeping the state faster, for much that is written at once: the table's file may be broken if the
    /// machine fails meanwhile, and the simulator's state is not saved by itself. With `false` as usual again.
    ///
    /// # Errors
    /// Returns an error if the table's file cannot be used.
    pub fn hurry(&self, hurry: bool) -> Result<()> {
        let set = if hurry {
            self.database.enable_bulk_loading()
        } else {
            self.database.disable_bulk_loading()
        };
        set.map_err(|error| anyhow::anyhow!("the table's file cannot be used: {error}"))?;
        self.simulator.rest(hurry);
        Ok(())
    }

    /// Writes a copy of the table into a new file.
    ///
    /// # Errors
    /// Returns an error if the file is there, or cannot be written.
    pub fn copy_table(&self, to: &Path) -> Result<()> {
        let copied = self.database.vacuum_into(&to.to_string_lossy());
        copied.map_err(|error| anyhow::anyhow!("the table cannot be copied: {error}"))
    }

    /// The functions' apps.
    #[must_use]
    pub fn apps(&self) -> &Apps {
        &self.apps
    }

    /// The door at the product's address.
    #[must_use]
    pub fn door(&self) -> &door::Door {
        &self.door
    }

    /// The folder with the state.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The table.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.apps.writeback.remote.store
    }

    /// Seals and opens secrets.
    #[must_use]
    pub fn vault(&self) -> &Vault {
        &self.apps.writeback.remote.vault
    }

    /// Ends everything; running work is finished first.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        for task in self.tasks {
            let _ = tokio::time::timeout(Duration::from_secs(5), task).await;
        }
        self.simulator.shutdown().await;
    }
}

fn variables(
    state: &Path,
    url: &str,
    [queue_url, import_queue_url]: [&str; 2],
    [aws_endpoint, table_endpoint]: [&str; 2],
    simulator: &Simulator,
) -> Result<BTreeMap<String, String>> {
    let key_file = state.join("vault.key");
    if !key_file.exists() {
        let mut key = [0; 32];
        SystemRandom.fill(&mut key);
        write_private(&key_file, &hex::encode(key))?;
    }
    let apps_file = state.join("oauth-apps.json");
    let app = |name: &str| json!({"client_id": format!("leadbridge-{name}"), "client_secret": format!("{name}-app-secret")});
    let apps = json!({"salesforce": app("salesforce"), "dataverse": app("dataverse"), "linkedin": app("linkedin")});
    write_private(&apps_file, &apps.to_string())?;
    let origins = [
        simulator.salesforce_url(),
        simulator.dataverse_url(),
        simulator.linkedin_url(),
    ]
    .join(",");
    let pairs = [
        ("LEADBRIDGE_TABLE", TABLE.to_owned()),
        ("LEADBRIDGE_VAULT", format!("file:{}", key_file.display())),
        ("LEADBRIDGE_WRITEBACK_QUEUE_URL", queue_url.to_owned()),
        ("LEADBRIDGE_IMPORT_QUEUE_URL", import_queue_url.to_owned()),
        (
            "LEADBRIDGE_OAUTH_APPS",
            format!("file:{}", apps_file.display()),
        ),
        ("LEADBRIDGE_OUTBOUND_ALLOW", origins),
        (
            "LEADBRIDGE_LINKEDIN_API_URL",
            simulator.linkedin_url().to_owned(),
        ),
        (
            "LEADBRIDGE_LINKEDIN_AUTH_URL",
            simulator.linkedin_url().to_owned(),
        ),
        ("LEADBRIDGE_ENTRA_URL", simulator.dataverse_url().to_owned()),
        ("LEADBRIDGE_PUBLIC_URL", url.to_owned()),
        ("AWS_ENDPOINT_URL", aws_endpoint.to_owned()),
        // As the SDKs have it: the table without the detour by the address of both services.
        ("AWS_ENDPOINT_URL_DYNAMODB", table_endpoint.to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "local".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "local".to_owned()),
        ("SSL_CERT_FILE", simulator.ca_file().display().to_string()),
    ];
    Ok(pairs
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect())
}

fn write_private(path: &Path, text: &str) -> Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(file.write_all(text.as_bytes())?)
}

/// An outbound client that trusts the simulator's certificate authority beside the usual ones.
///
/// # Errors
/// Returns an error if the certificate cannot be read.
pub fn outbound(config: &RemoteConfig, ca_file: &Path) -> Result<shared::outbound::Outbound> {
    let certificate = reqwest::Certificate::from_pem(&std::fs::read(ca_file)?)?;
    let client = shared::outbound::Outbound::builder()
        .tls_certs_merge([certificate])
        .build()?;
    Ok(shared::outbound::Outbound::with_client(
        client,
        config.allow.clone(),
    ))
}

impl Apps {
    /// Builds the functions' apps from their variables, each through its own configuration.
    ///
    /// # Errors
    /// Returns an error if a variable is missing, or a file it names cannot be used.
    pub fn build(variables: &BTreeMap<String, String>, aws: &SdkConfig) -> Result<Self> {
        Self::at(variables, aws, Arc::new(SystemClock))
    }

    /// The same over another clock than the machine's.
    ///
    /// # Errors
    /// Returns an error if a variable is missing, or a file it names cannot be used.
    pub fn at(
        variables: &BTreeMap<String, String>,
        aws: &SdkConfig,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let source = Source::fixed(variables.clone());
        let config = RemoteConfig::from_source(&source)?;
        let table = match source.optional("AWS_ENDPOINT_URL_DYNAMODB") {
            Some(endpoint) => aws.to_builder().endpoint_url(endpoint).build(),
            None => aws.clone(),
        };
        let store = Store::new(shared::aws::dynamodb(&table), config.table.clone());
        let ca_file = source.required("SSL_CERT_FILE")?;
        let outbound = outbound(&config, Path::new(&ca_file))?;
        let remote = Remote::with(&config, aws, store, outbound, clock)?;
        let queue_url = source.required("LEADBRIDGE_WRITEBACK_QUEUE_URL")?;
        let queue = WritebackQueue::new(shared::aws::sqs(aws), queue_url);
        let import_queue_url = source.required("LEADBRIDGE_IMPORT_QUEUE_URL")?;
        let import_queue = ImportQueue::new(shared::aws::sqs(aws), import_queue_url);
        Ok(Self::over(
            remote,
            queue,
            import_queue,
            source.parsed("LEADBRIDGE_PUBLIC_URL")?,
        ))
    }

    /// The functions' apps over these parts.
    #[must_use]
    pub fn over(
        remote: Remote,
        queue: WritebackQueue,
        import_queue: ImportQueue,
        public_url: url::Url,
    ) -> Self {
        Self {
            intake: Arc::new(form_intake::App::new(
                remote.store.clone(),
                queue.clone(),
                remote.vault.clone(),
                remote.clock.clone(),
                remote.random.clone(),
            )),
            writeback: Arc::new(crm_writeback::App::new(remote.clone(), queue.clone())),
            resync: Arc::new(lead_resync::App {
                activities_at_once: lead_resync::ACTIVITIES_AT_ONCE,
                remote: remote.clone(),
                queue: queue.clone(),
            }),
            import: Arc::new(crm_import::App::new(remote.clone(), import_queue.clone())),
            console: Arc::new(console::App::new(
                remote.clone(),
                queue,
                import_queue.clone(),
                public_url.clone(),
            )),
            oauth: Arc::new(oauth_callback::App::new(remote, import_queue, public_url)),
        }
    }

    /// The HTTP functions behind one address, routed by path as the template's HTTP API does.
    pub fn router(&self) -> Router {
        let intake = form_intake::router(self.intake.clone());
        let console = console::router(self.console.clone());
        let oauth = oauth_callback::router(self.oauth.clone());
        // An HTTP API has no route to it; here it reads like everything else.
        let nowhere = Router::new().fallback(async || Problem::not_found("address"));
        let nowhere = guarded(nowhere, Arc::new(Edge::new("http-api")));
        Router::new().fallback(move |mut request: Request| {
            let caller = request.extensions().get::<ConnectInfo<SocketAddr>>();
            let source = caller.map(|ConnectInfo(address)| address.ip().to_string());
            edge::received(&mut request, source.as_deref(), None);
            let first = request.uri().path().split('/').nth(1).unwrap_or_default();
            let router = match first {
                "webhooks" | "forms" => intake.clone(),
                "oauth" => oauth.clone(),
                "api" | "app" | "" => console.clone(),
                _ => nowhere.clone(),
            };
            async move {
                let Ok(response) = router.oneshot(request).await;
                response
            }
        })
    }
}

fn serve(listener: TcpListener, router: Router, stop: watch::Receiver<bool>) -> JoinHandle<()> {
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move {
        let _ = axum::serve(listener, service)
            .with_graceful_shutdown(emulators::stopped(stop))
            .await;
    })
}

/// Polls a queue once, as Lambda's event source does: passes a batch to the handler and deletes the messages
/// that the handler did not name as failed. Returns the number of messages received.
///
/// # Errors
/// Returns an error if the queue does not answer.
pub async fn poll_queue<F: Future<Output = SqsBatchResponse>>(
    sqs: &aws_sdk_sqs::Client,
    queue_url: &str,
    handle: impl FnOnce(SqsEvent) -> F,
) -> Result<usize> {
    let received = sqs
        .receive_message()
        .queue_url(queue_url)
        .max_number_of_messages(10)
        .send()
        .await?;
    let messages = received.messages.unwrap_or_default();
    if messages.is_empty() {
        return Ok(0);
    }
    let records: Vec<_> = messages
        .iter()
        .map(|message| {
            json!({
                "messageId": message.message_id, "receiptHandle": message.receipt_handle, "body": message.body,
                "attributes": {}, "messageAttributes": {}, "eventSource": "aws:sqs", "awsRegion": "us-east-1",
            })
        })
        .collect();
    let event: SqsEvent = serde_json::from_value(json!({"Records": records}))?;
    let failed = handle(event).await.batch_item_failures;
    for message in &messages {
        let id = message.message_id.as_deref().unwrap_or_default();
        if failed.iter().all(|failure| failure.item_identifier != id) {
            sqs.delete_message()
                .queue_url(queue_url)
                .set_receipt_handle(message.receipt_handle.clone())
                .send()
                .await?;
        }
    }
    Ok(messages.len())
}

fn drive_queue<F: Future<Output = SqsBatchResponse> + Send + 'static>(
    aws: &SdkConfig,
    queue_url: &str,
    stop: watch::Receiver<bool>,
    handle: impl Fn(SqsEvent) -> F + Send + Sync + 'static,
) -> JoinHandle<()> {
    let (sqs, url) = (shared::aws::sqs(aws), queue_url.to_owned());
    tokio::spawn(async move {
        while !*stop.borrow() {
            // The emulator answers a long poll at once; a short nap keeps the process quiet.
            match poll_queue(&sqs, &url, &handle).await {
                Ok(0) => tokio::time::sleep(Duration::from_millis(100)).await,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "the queue was not polled");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    })
}

/// The template's schedules, faster: a sweep and the import's resume task every 10 seconds, a pull every
/// minute.
fn drive_schedules(
    apps: &Apps,
    database: dynoxide::Database,
    stop: watch::Receiver<bool>,
) -> JoinHandle<()> {
    let apps = apps.clone();
    tokio::spawn(async move {
        let mut round: u64 = 0;
        while !*stop.borrow() {
            if round.is_multiple_of(4320)
                && let Err(error) = crm_import::run(
                    &apps.import,
                    crm_import::Task::StartSyncs { contract: None },
                )
                .await
            {
                tracing::warn!(%error, "no imports were asked for");
            }
            if let Err(error) = crm_import::run(&apps.import, crm_import::Task::Resume).await {
                tracing::warn!(%error, "imports that wait were not announced");
            }
            if let Err(error) = lead_resync::handle(&apps.resync, lead_resync::Task::Sweep).await {
                tracing::warn!(%error, "the sweep failed");
            }
            if round.is_multiple_of(6) {
                let pull = lead_resync::Task::LinkedInPull { contract: None };
                if let Err(error) = lead_resync::handle(&apps.resync, pull).await {
                    tracing::warn!(%error, "the pull failed");
                }
                if let Err(error) = database.sweep_ttl() {
                    tracing::warn!(%error, "expired items were not removed");
                }
            }
            round += 1;
            let nap = tokio::time::sleep(Duration::from_secs(10));
            tokio::select! { () = nap => {}, () = emulators::stopped(stop.clone()) => {} }
        }
    })
}
