//! Imports from the connected CRMs, links the directory to the imported records, and ends connections.
//!
//! A schedule asks for an import of every connected environment twice a day; another, every minute, announces
//! the work that has no worker. The queue's messages name the connection that has work to do; the table holds
//! the details. Every step is stored before the next begins and does no harm when it is done twice, so a
//! worker may die anywhere.
//!
//! An import first looks up what the connected user can read (CN-4), the options of the settings (CN-9,
//! CN-10) and the lead fields that mappings offer (LG-7); then it brings the mirror of the CRM's
//! records (IM-1) to the CRM's state.

pub mod config;

mod budget;
mod champions;
mod disconnect;
mod erase;
mod flags;
mod leaving;
mod link;
mod object;
mod old_activities;
mod plan;
mod retention;
mod roi;
mod runs;
mod save;
mod sync;

use std::time::Duration;

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::cached::Cached;
use shared::clock::Millis;
use shared::crm_setup;
use shared::domain::environment::Environment;
use shared::domain::ids::ContractId;
use shared::domain::run::RunKind;
use shared::queue::{ImportMessage, ImportQueue};
use shared::store::{Connection, ConnectionKind, StoreError, WorkKind};
use shared::telemetry;
use shared::wiring::{Remote, WiringError};

/// Work announced in one go; the rest follows a minute later.
const RESUME_LIMIT: i32 = 100;
/// Contracts in a row for which the table does not answer before a task is given up.
const GIVE_UP_AFTER: u32 = 3;
/// Lead time of the warning before an authorisation ends, in days.
pub const WARN_DAYS: i64 = 14;

/// The function's event: a schedule's task, or a batch of messages.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Event {
    /// A schedule's payload.
    Task(Task),
    /// Messages of the import queue.
    Messages(SqsEvent),
}

/// A schedule's payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Task {
    /// Ask for an import of every connected environment, and warn of authorisations that end.
    StartSyncs {
        /// Of this contract only.
        #[serde(default)]
        contract: Option<ContractId>,
    },
    /// Announce the work that is due and has no worker.
    Resume,
}

/// The results of a task.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Imports asked for.
    pub requested: usize,
    /// Contracts that were stepped over.
    #[serde(default)]
    pub failed: usize,
    /// Authorisations that end soon.
    pub ending: usize,
    /// Work announced.
    pub announced: usize,
    /// The longest time since an import of a connection ended well, in seconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lag_seconds: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_zero(seconds: &i64) -> bool {
    *seconds == 0
}

/// The age of the last good import from which a connection is named in the log, in seconds: two rounds and
/// more.
const LATE_SECONDS: i64 = 26 * 3600;

/// The function's answer.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// To a schedule.
    Task(Outcome),
    /// To the queue: the messages to deliver again.
    Messages(SqsBatchResponse),
}

/// The function's dependencies: the table, the vault, the sessions and the import queue.
pub struct App {
    /// Table, vault, sessions.
    pub remote: Remote,
    /// The import queue: work is announced on it.
    pub queue: ImportQueue,
    /// After this a worker of an import begins nothing new and hands over.
    pub import_time: Duration,
    /// After this a worker of a link pass begins nothing new and hands over.
    pub link_time: Duration,
    /// Maximum number of entries and records that a link pass links at a time.
    pub link_most: u64,
    cached: Cached,
}

impl App {
    /// The app over these parts.
    #[must_use]
    pub fn new(remote: Remote, queue: ImportQueue) -> Self {
        Self {
            cached: Cached::new(remote.store.clone()),
            remote,
            queue,
            import_time: sync::WORK_TIME,
            link_time: link::WORK_TIME,
            link_most: link::most_at_once(link::MEGABYTES),
        }
    }

    /// The app with real adapters.
    ///
    /// # Errors
    /// Returns an error if the key file cannot be read or used.
    pub fn build(
        config: &config::Config,
        aws: &shared::aws::SdkConfig,
    ) -> Result<Self, WiringError> {
        let queue = ImportQueue::new(shared::aws::sqs(aws), config.import_queue_url.clone());
        let mut app = Self::new(Remote::build(&config.remote, aws)?, queue);
        if let Some(megabytes) = config.megabytes {
            app.link_most = link::most_at_once(megabytes);
        }
        Ok(app)
    }

    fn now(&self) -> Millis {
        self.remote.clock.now()
    }
}

/// Answers an invocation.
///
/// # Errors
/// Returns an error if the table does not answer a schedule's task; the schedule then runs it again.
pub async fn handle(app: &App, event: Event) -> Result<Answer, StoreError> {
    match event {
        Event::Task(task) => run(app, task).await.map(Answer::Task),
        Event::Messages(batch) => Ok(Answer::Messages(work_batch(app, batch).await)),
    }
}

/// Runs a schedule's task.
///
/// # Errors
/// Returns an error if the table does not answer.
pub async fn run(app: &App, task: Task) -> Result<Outcome, StoreError> {
    let mut outcome = Outcome::default();
    match task {
        Task::StartSyncs { contract } => {
            let contracts = match contract {
                Some(contract) => vec![contract],
                None => app.remote.store.contracts().await?,
            };
            let mut unanswered = 0;
            for contract in contracts {
                let Err(error) = app.start_syncs(&contract, &mut outcome).await else {
                    unanswered = 0;
                    continue;
                };
                // Trouble with one contract, or with its partition, does not stop the others.
                outcome.failed += 1;
                // An alarm of the template counts these lines.
                tracing::error!(%contract, error = &error as &dyn std::error::Error,
                    notice = "contract_skipped", "no import was asked for");
                if matches!(error, StoreError::Unavailable(_)) {
                    unanswered += 1;
                    if unanswered == GIVE_UP_AFTER {
                        return Err(error);
                    }
                } else {
                    unanswered = 0;
                }
            }
            let lag = outcome.lag_seconds;
            telemetry::count(app.now(), "ImportLagSeconds", lag, &[], Value::Null);
        }
        Task::Resume => {
            for (contract, work) in app.remote.store.due_work(app.now(), RESUME_LIMIT).await? {
                crm_setup::announce(&app.queue, &contract, work).await;
                outcome.announced += 1;
            }
        }
    }
    tracing::info!(?outcome, "task ended");
    Ok(outcome)
}

impl App {
    async fn start_syncs(
        &self,
        contract: &ContractId,
        outcome: &mut Outcome,
    ) -> Result<(), StoreError> {
        let mut asked = Ok(());
        for environment in Environment::ALL {
            let started = self.start_sync(contract, environment, outcome).await;
            // Of the two environments each is for itself.
            if started.is_err() {
                asked = started;
            }
        }
        let kept = self.apply_retention(contract).await;
        self.warn_of_end(contract, outcome).await?;
        asked.and(kept)
    }

    /// Asks for an import of an environment, if it is connected.
    async fn start_sync(
        &self,
        contract: &ContractId,
        environment: Environment,
        outcome: &mut Outcome,
    ) -> Result<(), StoreError> {
        let (remote, queue) = (&self.remote, &self.queue);
        let kind = ConnectionKind::Crm(environment);
        let connection = remote.store.connection(contract, kind).await?;
        let Some(connection) = connection.filter(Connection::stands) else {
            return Ok(());
        };
        let last = remote.store.sync(contract, environment).await?;
        let last = last.and_then(|sync| sync.last_success_at);
        let lag = self.now().since(last.unwrap_or(connection.connected_at)) / 1000;
        outcome.lag_seconds = outcome.lag_seconds.max(lag);
        if lag > LATE_SECONDS {
            tracing::warn!(%contract, %environment, lag_seconds = lag,
                notice = "import_lag", "no import ended well for more than a day");
        }
        crm_setup::request_sync(remote, queue, contract, environment, "schedule").await?;
        outcome.requested += 1;
        Ok(())
    }

    async fn warn_of_end(
        &self,
        contract: &ContractId,
        outcome: &mut Outcome,
    ) -> Result<(), StoreError> {
        let store = &self.remote.store;
        let linkedin = store.connection(contract, ConnectionKind::LinkedIn).await?;
        let warn_from = self.now().plus_seconds(WARN_DAYS * 24 * 3600);
        if let Some(connection) = linkedin.filter(Connection::stands)
            && connection.valid_until.is_some_and(|end| end < warn_from)
        {
            outcome.ending += 1;
            // An alarm of the template counts these lines.
            tracing::warn!(%contract, provider = connection.provider.as_str(),
                notice = "authorization_ends_soon", "somebody has to authorise the provider again");
        }
        Ok(())
    }
}

/// Works on a batch of messages, one after the other; names those to deliver again.
pub async fn work_batch(app: &App, event: SqsEvent) -> SqsBatchResponse {
    let mut response = SqsBatchResponse::default();
    for record in event.records {
        let body = record.body.as_deref().unwrap_or_default();
        let done = if let Ok(message) = serde_json::from_str::<ImportMessage>(body) {
            work(app, &message).await
        } else {
            tracing::error!("a message that is none of ours: it goes to the dead-letter queue");
            false
        };
        if let (false, Some(id)) = (done, record.message_id) {
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = id;
            response.batch_item_failures.push(failure);
        }
    }
    response
}

/// Does the work of a connection. Returns `false` if the message has to be delivered again.
pub async fn work(app: &App, message: &ImportMessage) -> bool {
    let ImportMessage { contract, work } = message;
    let result = match work {
        WorkKind::Sync(environment) => app.sync(contract, *environment).await,
        WorkKind::Disconnect(kind) => app.disconnect(contract, *kind).await,
        WorkKind::Link => app.link(contract).await,
        WorkKind::Run(RunKind::Champions) => {
            Box::pin(app.run::<champions::Finding>(contract)).await
        }
        WorkKind::Run(RunKind::DeleteContract) => app.run::<leaving::Leaving>(contract).await,
        WorkKind::Run(RunKind::Flags) => Box::pin(app.run::<flags::Flagging>(contract)).await,
        WorkKind::Run(RunKind::KeepActivities) => {
            Box::pin(app.run::<old_activities::Forgetting>(contract)).await
        }
        WorkKind::Run(RunKind::KeepAnswers) => app.run::<retention::Retention>(contract).await,
        WorkKind::Run(RunKind::Roi) => Box::pin(app.run::<roi::Attributing>(contract)).await,
        WorkKind::Erase => Box::pin(app.erase(contract)).await,
        WorkKind::Save => app.save(contract).await,
    };
    match result {
        // On a conflict another worker has it, or something was changed: the remaining work is in the table,
        // and is announced again when it is due.
        Ok(()) | Err(StoreError::Conflict) => true,
        // Delivered again it would fail again. The schedule announces it once a minute, until it is mended.
        Err(error) if !error.passes() => {
            tracing::error!(%contract, ?work, "work that cannot go on");
            error.log();
            true
        }
        Err(error) => {
            tracing::error!(%contract, ?work, error = &error as &dyn std::error::Error,
                "the table did not answer: the message comes again");
            false
        }
    }
}
