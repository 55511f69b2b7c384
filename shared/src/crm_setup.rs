//! Calls to the CRM for setting it up, shared by all callers: the permission check (CN-4), the options of the
//! settings (CN-9, CN-10), and an import (CN-5, CN-7). Results are stored for an environment of a contract,
//! and repeating a call does no harm.

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

/// The reason why the CRM was not asked, or did not answer.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The table did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The CRM did not give the data; the problem has the next step.
    #[error("the CRM did not tell")]
    Crm(Box<Problem>),
    /// The CRM requested a pause until that time.
    #[error("paused")]
    Paused(crate::clock::Millis),
}

impl SetupError {
    /// The problem for the caller of an API.
    #[must_use]
    pub fn problem(self) -> Problem {
        match self {
            Self::Store(error) => error.problem(),
            Self::Crm(problem) => *problem,
            Self::Paused(until) => texts::paused("The CRM", until, Audience::Setup),
        }
    }

    /// An error of the CRM, which users know as `label`.
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

/// Opens the session of a connection to the CRM; an error names that CRM if it is known.
///
/// # Errors
/// Returns [`SetupError`] if the connection cannot be used.
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

/// Checks the connected user's access, stores the report, and advances the guide: its first step is done once
/// every required object can be read.
///
/// # Errors
/// Returns [`SetupError`]; the guide then shows the reason.
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
        // The current connection, if any, is not the one that was asked about.
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

/// Reads the CRM's options for the settings, and stores them.
///
/// # Errors
/// Returns [`SetupError`]; the options read before stay.
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

/// Converts a conflict, which means that the connection was ended meanwhile.
fn keep(stored: Result<(), StoreError>) -> Result<(), SetupError> {
    match stored {
        Err(StoreError::Conflict) => Err(SetupError::Crm(Box::new(texts::not_connected(
            "The CRM",
            Audience::Setup,
        )))),
        other => Ok(other?),
    }
}

/// Requests an import and announces it. If one already waits or runs, it serves the request, and is announced
/// again.
///
/// # Errors
/// Returns an error if the table does not answer. If the queue does not take the message, the schedule sends
/// it later.
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

/// Stops the import that waits or runs, with its audit entry. A worker that holds it notices at its next
/// checkpoint and writes nothing more. Returns `None` if there was none to stop.
///
/// # Errors
/// Returns an error if the table does not answer.
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

/// Announces work that is stored in the table.
pub async fn announce(queue: &ImportQueue, contract: &ContractId, work: WorkKind) {
    announce_in(queue, contract, work, 0).await;
}

/// Announces work that is stored in the table and is due in so many seconds. Work that is due later than the
/// maximum delay of a message is announced by the schedule.
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

/// Begins to end a connection, with its audit entry; a worker of the queue does the rest. One that was ended
/// before can be ended once more with a clean-up of what was left then.
///
/// # Errors
/// Returns [`StoreError::Conflict`] if it was changed meanwhile, or is being refreshed at this moment.
pub async fn begin_disconnect(
    remote: &Remote,
    before: &Connection,
    by: &str,
    clean_up: bool,
) -> Result<Connection, StoreError> {
    let now = remote.clock.now();
    let mut after = before.clone();
    // There are no tokens to revoke any more.
    let ended = before
        .disconnect
        .as_ref()
        .filter(|_| before.state == ConnectionState::Disconnected);
    let revocation = ended.and_then(|end| end.revocation);
    after.state = ConnectionState::Disconnecting;
    after.refresh_until = None;
    after.version += 1;
    after.disconnect = Some(Disconnect {
        requested_by: by.to_owned(),
        requested_at: now,
        clean_up,
        attempts: 0,
        revocation,
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
