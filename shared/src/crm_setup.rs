//! What setting up a CRM asks of it, whoever asks: the permission check (CN-4), the options of the
//! settings (CN-9, CN-10), and an import (CN-5, CN-7). Everything is kept for an environment of a
//! contract, and doing it again does no harm.

use std::sync::Arc;

use serde_json::json;

use crate::crm;
use crate::domain::contract::AuditEntry;
use crate::domain::environment::Environment;
use crate::domain::guide::{LastProblem, Step};
use crate::domain::ids::ContractId;
use crate::domain::inventory::{AccessReport, CrmOptions};
use crate::domain::sync::{RunRecord, Sync, SyncState};
use crate::problem::Problem;
use crate::queue::{ImportMessage, ImportQueue, MAX_DELAY_SECONDS};
use crate::session::{Session, SessionError};
use crate::store::{Connection, ConnectionKind, ConnectionState, Disconnect, StoreError, WorkKind};
use crate::texts::{self, Audience};
use crate::wiring::Remote;

/// Why the CRM was not asked, or did not tell.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The table did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The CRM did not tell; what somebody is to do.
    #[error("the CRM did not tell")]
    Crm(Box<Problem>),
    /// The CRM asked for a pause until then.
    #[error("paused")]
    Paused(crate::clock::Millis),
}

impl SetupError {
    /// What the caller of an API is told.
    #[must_use]
    pub fn problem(self) -> Problem {
        match self {
            Self::Store(error) => error.problem(),
            Self::Crm(problem) => *problem,
            Self::Paused(until) => texts::paused("The CRM", until, Audience::Setup),
        }
    }

    /// An error of the CRM that people know as `label`.
    #[must_use]
    pub fn of(error: &crm::CrmError, label: &str) -> Self {
        match error {
            crm::CrmError::Session(SessionError::Paused(until)) => Self::Paused(*until),
            error => {
                tracing::warn!(
                    error = error as &dyn std::error::Error,
                    "the CRM did not tell"
                );
                Self::Crm(Box::new(texts::crm(error, label, Audience::Setup)))
            }
        }
    }
}

async fn open(
    remote: &Remote,
    contract: &ContractId,
    environment: Environment,
) -> Result<(Box<dyn crm::Crm>, &'static str), SetupError> {
    let kind = ConnectionKind::Crm(environment);
    let session = open_session(remote, contract, kind).await?;
    let label = session.provider.label();
    Ok((crm::open(session), label))
}

/// The session of a connection to the CRM; an error names that CRM where it is known.
///
/// # Errors
/// [`SetupError`] when it cannot be used.
pub async fn open_session(
    remote: &Remote,
    contract: &ContractId,
    kind: ConnectionKind,
) -> Result<Arc<Session>, SetupError> {
    match remote.sessions.open(contract, kind).await {
        Ok(session) => Ok(session),
        Err(error) => {
            let known = remote.store.connection(contract, kind).await?;
            let label = known.map_or("The CRM", |known| known.provider.label());
            Err(SetupError::of(&error.into(), label))
        }
    }
}

/// Checks what the connected user can read and write, keeps the report, and brings the guide on:
/// its first step is done once every required object can be read.
///
/// # Errors
/// [`SetupError`]; the guide then shows why.
pub async fn check_access(
    remote: &Remote,
    contract: &ContractId,
    environment: Environment,
) -> Result<AccessReport, SetupError> {
    let result = read_access(remote, contract, environment).await;
    let now = remote.clock.now();
    let problem = match &result {
        Ok(report) if report.is_sufficient() => None,
        Ok(report) => Some(texts::unreadable_objects(&report.unreadable_required())),
        // Whatever is connected now, it is not what was asked.
        Err(SetupError::Crm(problem)) if problem.code == "not_connected" => return result,
        Err(SetupError::Crm(problem)) => Some(*problem.clone()),
        Err(SetupError::Store(_) | SetupError::Paused(_)) => return result,
    };
    remote
        .store
        .change_guide(contract, environment, now, |guide| {
            if problem.is_none() {
                guide.done(Step::Connect);
            }
            guide.last_problem = problem
                .clone()
                .map(|problem| LastProblem { at: now, problem });
        })
        .await?;
    result
}

async fn read_access(
    remote: &Remote,
    contract: &ContractId,
    environment: Environment,
) -> Result<AccessReport, SetupError> {
    let (crm, label) = open(remote, contract, environment).await?;
    let report = crm
        .access(remote.clock.now())
        .await
        .map_err(|error| SetupError::of(&error, label))?;
    keep(
        remote
            .store
            .put_access_report(contract, environment, crm.organization(), &report)
            .await,
    )?;
    Ok(report)
}

/// Reads the CRM's options for the settings, and keeps them.
///
/// # Errors
/// [`SetupError`]; what was read before stays.
pub async fn refresh_options(
    remote: &Remote,
    contract: &ContractId,
    environment: Environment,
) -> Result<CrmOptions, SetupError> {
    let (crm, label) = open(remote, contract, environment).await?;
    let options = crm
        .options(remote.clock.now())
        .await
        .map_err(|error| SetupError::of(&error, label))?;
    keep(
        remote
            .store
            .put_crm_options(contract, environment, crm.organization(), &options)
            .await,
    )?;
    Ok(options)
}

/// A conflict means that the connection was ended meanwhile.
fn keep(stored: Result<(), StoreError>) -> Result<(), SetupError> {
    match stored {
        Err(StoreError::Conflict) => Err(SetupError::Crm(Box::new(texts::not_connected(
            "The CRM",
            Audience::Setup,
        )))),
        other => Ok(other?),
    }
}

/// Asks for an import and announces it. One that waits or runs already is the one asked for, and is
/// announced again.
///
/// # Errors
/// When the table does not answer. A message that the queue does not take is sent by the schedule.
pub async fn request_sync(
    remote: &Remote,
    queue: &ImportQueue,
    contract: &ContractId,
    environment: Environment,
    by: &str,
) -> Result<Sync, StoreError> {
    let sync = loop {
        let before = remote.store.sync(contract, environment).await?;
        let now = remote.clock.now();
        match Sync::requested(environment, before.as_ref(), by, now) {
            None => {
                if let Some(open) = before {
                    break open;
                }
            }
            Some(sync) => match remote.store.put_sync(contract, &sync).await {
                Ok(()) => break sync,
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error),
            },
        }
    };
    announce(queue, contract, WorkKind::Sync(environment)).await;
    Ok(sync)
}

/// Stops the import that waits or runs, with its audit entry. A worker that has it notices at its next
/// checkpoint and writes nothing more. `None`: there was none to stop.
///
/// # Errors
/// When the table does not answer.
pub async fn cancel_sync(
    remote: &Remote,
    contract: &ContractId,
    environment: Environment,
    by: &str,
) -> Result<Option<Sync>, StoreError> {
    loop {
        let Some(mut sync) = remote.store.sync(contract, environment).await? else {
            return Ok(None);
        };
        if !sync.is_open() {
            return Ok(None);
        }
        let objects = remote.store.object_syncs(contract, environment).await?;
        let now = remote.clock.now();
        let before = json!({ "state": sync.state, "run": sync.run });
        sync.state = SyncState::Cancelled;
        sync.finished_at = Some(now);
        sync.stopped_by = Some(by.to_owned());
        sync.problem = None;
        sync.version += 1;
        let audit = AuditEntry {
            at: now,
            actor: by.to_owned(),
            action: "sync.cancel".to_owned(),
            target: environment.to_string(),
            before,
            after: json!({ "state": sync.state, "run": sync.run }),
        };
        let ended = RunRecord::of(&sync, &objects, now);
        let unique = remote.random.uuid();
        match remote
            .store
            .stop_sync(contract, &sync, &ended, &audit, unique)
            .await
        {
            Ok(()) => return Ok(Some(sync)),
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Announces work that is in the table.
pub async fn announce(queue: &ImportQueue, contract: &ContractId, work: WorkKind) {
    announce_in(queue, contract, work, 0).await;
}

/// Announces work that is in the table and is due in so many seconds. What is due later than a
/// message can wait is announced by the schedule.
pub async fn announce_in(queue: &ImportQueue, contract: &ContractId, work: WorkKind, seconds: i64) {
    if seconds > MAX_DELAY_SECONDS {
        return;
    }
    let message = ImportMessage {
        contract: contract.clone(),
        work,
    };
    if let Err(error) = queue.send(&message, seconds).await {
        tracing::warn!(%contract, ?work, error = &error as &dyn std::error::Error,
            "stored, but not announced: the schedule will");
    }
}

/// Begins to end a connection, with its audit entry; whoever works on the queue does the rest.
///
/// # Errors
/// [`StoreError::Conflict`] when it was changed meanwhile, or is being refreshed at this moment.
pub async fn begin_disconnect(
    remote: &Remote,
    before: &Connection,
    by: &str,
    clean_up: bool,
) -> Result<Connection, StoreError> {
    let now = remote.clock.now();
    let mut after = before.clone();
    after.state = ConnectionState::Disconnecting;
    after.refresh_until = None;
    after.version += 1;
    after.disconnect = Some(Disconnect {
        requested_by: by.to_owned(),
        requested_at: now,
        clean_up,
        attempts: 0,
        revocation: None,
        purge: None,
        due_at: None,
        finished_at: None,
    });
    let audit = AuditEntry {
        at: now,
        actor: by.to_owned(),
        action: "connection.disconnect".to_owned(),
        target: before.kind.to_string(),
        before: before.logged(),
        after: json!({ "state": after.state, "clean_up": clean_up }),
    };
    let unique = remote.random.uuid();
    remote
        .store
        .begin_disconnect(&after, before.version, now, &audit, unique)
        .await?;
    Ok(after)
}
