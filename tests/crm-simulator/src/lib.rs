//! A simulator of Salesforce, Dataverse with its sign-in, and LinkedIn Lead Sync.
//!
//! It holds state in memory, keeps its own time, misbehaves on request and writes down every
//! call. Tests and the local demo run against it; the crate's README lists the control API.
//!
//! * [`Simulator`] starts the ports; `server` serves them, each https and plain http alike.
//! * `salesforce`, `dataverse` and `linkedin` answer calls; they know no sockets.
//! * `control` is the API that tests steer it with; `fault` and `ledger` are its tools.
//! * `state` ties it together and saves it.

mod clock;
mod control;
mod dataverse;
mod fault;
mod generate;
mod http;
mod jwt;
mod ledger;
mod linkedin;
mod record;
mod salesforce;
mod server;
mod state;
mod store;
mod tls;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::server::System;
use crate::state::World;

/// The ports to listen on; 0 is any free one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ports {
    /// Salesforce.
    pub salesforce: u16,
    /// Dataverse and its sign-in.
    pub dataverse: u16,
    /// `LinkedIn`.
    pub linkedin: u16,
    /// The control API.
    pub control: u16,
}

/// The configuration of a simulator.
#[derive(Clone, Debug)]
pub struct SimConfig {
    /// The address to listen on.
    pub bind: IpAddr,
    /// The ports.
    pub ports: Ports,
    /// Loaded at start when it exists, saved shortly after each change and on shutdown.
    pub state_file: Option<PathBuf>,
    /// The folder of the certificates, so that they stay the same; a temporary folder without.
    pub tls_dir: Option<PathBuf>,
    /// True if a simulator without a saved state starts with accounts, people and opportunities.
    pub samples: bool,
}

impl Default for SimConfig {
    fn default() -> Self {
        Self {
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            ports: Ports::default(),
            state_file: None,
            tls_dir: None,
            samples: false,
        }
    }
}

/// A running simulator.
pub struct Simulator {
    salesforce_url: String,
    dataverse_url: String,
    linkedin_url: String,
    control_url: String,
    ca_file: PathBuf,
    temporary: Option<PathBuf>,
    state_file: Option<PathBuf>,
    world: Arc<World>,
    /// True while nothing is saved by itself.
    resting: Arc<AtomicBool>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Simulator {
    /// Starts listening.
    pub async fn start(config: SimConfig) -> anyhow::Result<Self> {
        let temporary = config.tls_dir.is_none().then(temporary_folder);
        let tls_dir = config
            .tls_dir
            .or_else(|| temporary.clone())
            .unwrap_or_default();
        let tls = tls::prepare(&tls_dir).context("preparing certificates")?;
        let is_new = config.state_file.as_ref().is_none_or(|file| !file.exists());
        let world = World::load(config.state_file.as_deref(), tls.signer)?;
        if is_new && config.samples {
            world.add_samples();
        }
        let world = Arc::new(world);
        let (stop, stopped) = watch::channel(false);
        let mut tasks = Vec::new();
        let mut open = async |system: System, port: u16| -> anyhow::Result<SocketAddr> {
            let listener = TcpListener::bind((config.bind, port))
                .await
                .with_context(|| format!("listening on port {port}"))?;
            let address = listener.local_addr()?;
            let (world, acceptor) = (Arc::clone(&world), tls.acceptor.clone());
            tasks.push(tokio::spawn(server::listen(
                world,
                system,
                listener,
                acceptor,
                stopped.clone(),
            )));
            Ok(address)
        };
        let salesforce = open(System::Salesforce, config.ports.salesforce).await?;
        let dataverse = open(System::Dataverse, config.ports.dataverse).await?;
        let linkedin = open(System::LinkedIn, config.ports.linkedin).await?;
        let control = open(System::Control, config.ports.control).await?;
        world.set_urls(&state::Urls {
            salesforce: format!("https://{salesforce}"),
            dataverse: format!("https://{dataverse}"),
            linkedin: format!("https://{linkedin}"),
        });
        let resting = Arc::new(AtomicBool::new(false));
        if let Some(file) = config.state_file.clone() {
            tasks.push(tokio::spawn(keep(
                Arc::clone(&world),
                file,
                Arc::clone(&resting),
                stopped.clone(),
            )));
        }
        Ok(Self {
            salesforce_url: format!("https://{salesforce}"),
            dataverse_url: format!("https://{dataverse}"),
            linkedin_url: format!("https://{linkedin}"),
            control_url: format!("http://{control}"),
            ca_file: tls.ca_file,
            temporary,
            state_file: config.state_file,
            world,
            resting,
            stop,
            tasks,
        })
    }

    /// Salesforce's address; answers https and plain http.
    #[must_use]
    pub fn salesforce_url(&self) -> &str {
        &self.salesforce_url
    }

    /// Dataverse's address and that of its sign-in; answers https and plain http.
    #[must_use]
    pub fn dataverse_url(&self) -> &str {
        &self.dataverse_url
    }

    /// `LinkedIn`'s address; answers https and plain http.
    #[must_use]
    pub fn linkedin_url(&self) -> &str {
        &self.linkedin_url
    }

    /// The control API's address.
    #[must_use]
    pub fn control_url(&self) -> &str {
        &self.control_url
    }

    /// The certificate authority to trust.
    #[must_use]
    pub fn ca_file(&self) -> &Path {
        &self.ca_file
    }

    /// Saves the state to its file now. Does nothing without a file.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written.
    pub fn save(&self) -> anyhow::Result<()> {
        match &self.state_file {
            Some(file) => self.world.save(file),
            None => Ok(()),
        }
    }

    /// Saves nothing by itself from now on, or again after each change.
    pub fn rest(&self, rest: bool) {
        self.resting.store(rest, Ordering::Relaxed);
    }

    /// Stops listening, lets calls in flight end, and saves.
    pub async fn shutdown(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            task.await.ok();
        }
        if let Some(file) = &self.state_file
            && let Err(error) = self.world.save(file)
        {
            tracing::error!(%error, "saving the state failed");
        }
        if let Some(dir) = &self.temporary {
            std::fs::remove_dir_all(dir).ok();
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "two simulators must not share a folder"
)]
fn temporary_folder() -> PathBuf {
    std::env::temp_dir().join(format!("crm-simulator-{}", uuid::Uuid::new_v4()))
}

/// Saves a little after each change; rarer when saving takes long.
async fn keep(
    world: Arc<World>,
    file: PathBuf,
    resting: Arc<AtomicBool>,
    mut stop: watch::Receiver<bool>,
) {
    let mut pause = Duration::from_millis(200);
    loop {
        tokio::select! {
            () = world.changed.notified() => {}
            _ = stop.changed() => return,
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stop.changed() => return,
        }
        if resting.load(Ordering::Relaxed) {
            continue;
        }
        let (own, file) = (Arc::clone(&world), file.clone());
        let started = Instant::now();
        match tokio::task::spawn_blocking(move || own.save(&file)).await {
            Ok(Err(error)) => tracing::error!(%error, "saving the state failed"),
            Err(error) => tracing::error!(%error, "saving the state failed"),
            Ok(Ok(())) => {}
        }
        pause = Duration::from_millis(200).max(started.elapsed() * 5);
    }
}
