//! Writes submissions to the CRM: map, match, claim, create or attach, record; and then their people to
//! the directory.
//!
//! A message says that a submission has work to do; the table says what. Each message ends in a
//! state that a person can see: done, waiting (it goes on by itself), or in need of a person. Only
//! trouble with the table itself, or a message that cannot be read, is given back to the queue,
//! and by it to the dead-letter queue.

pub mod config;
mod decide;
mod directory;
mod discovered;
mod lead;
mod setback;

use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};
use serde_json::json;
use shared::cached::Cached;
use shared::clock::{Clock, Millis};
use shared::domain::submission::{State, Submission};
use shared::problem::Problem;
use shared::queue::{WritebackMessage, WritebackQueue};
use shared::store::{StoreError, Taken};
use shared::telemetry;
use shared::wiring::{Remote, WiringError};

use tokio::time::{Instant, timeout_at};

use crate::discovered::Discoveries;
use crate::setback::Setback;

/// How long a worker may hold a submission, in seconds: longer than the function's time-out, so
/// that a lease ends only after its worker has.
const LEASE_SECONDS: i64 = 90;
/// After so many tries in a row a person is asked to look. With the longest back-off that is
/// about two days.
const MAX_ATTEMPTS: u32 = 200;
/// Longest back-off between two tries, in seconds.
const MAX_BACK_OFF_SECONDS: i64 = 900;
/// How long after a wait should have ended the sweep steps in, in seconds.
const SWEEP_GRACE_SECONDS: i64 = 60;

/// How long a batch may be worked on. What is not done then waits, with what was too slow on its record:
/// one CRM that does not answer takes nine other submissions and the function's time-out with it
/// otherwise.
const DEADLINE: Duration = Duration::from_secs(45);
/// How long the directory's part of a batch may take beyond that.
const GRACE: Duration = Duration::from_secs(5);

/// What the function works with.
pub struct App {
    /// Table, vault, sessions.
    pub remote: Remote,
    /// Where submissions that wait are sent again.
    pub queue: WritebackQueue,
    /// How long a batch may be worked on.
    pub deadline: Duration,
    pub(crate) cached: Cached,
    pub(crate) discoveries: Discoveries,
    pub(crate) clock: Arc<dyn Clock>,
}

impl App {
    /// The app over these parts.
    #[must_use]
    pub fn new(remote: Remote, queue: WritebackQueue) -> Self {
        Self {
            cached: Cached::new(remote.store.clone()),
            discoveries: Discoveries::default(),
            clock: remote.clock.clone(),
            deadline: DEADLINE,
            remote,
            queue,
        }
    }

    /// The app with real adapters.
    ///
    /// # Errors
    /// When the key file cannot be used.
    pub fn build(
        config: &config::Config,
        aws: &shared::aws::SdkConfig,
    ) -> Result<Self, WiringError> {
        let queue = WritebackQueue::new(shared::aws::sqs(aws), config.writeback_queue_url.clone());
        Ok(Self::new(Remote::build(&config.remote, aws)?, queue))
    }
}

/// Works through a batch of messages, all at once; names those that the queue must deliver again.
pub async fn handle(app: &App, event: SqsEvent) -> SqsBatchResponse {
    let deadline = Instant::now() + app.deadline;
    let work = event.records.iter().map(|record| async {
        let body = record.body.as_deref().unwrap_or_default();
        let done = if let Ok(message) = serde_json::from_str::<WritebackMessage>(body) {
            process(app, &message, deadline).await
        } else {
            tracing::error!("a message that is none of ours: it goes to the dead-letter queue");
            false
        };
        (done, record.message_id.clone())
    });
    let mut response = SqsBatchResponse::default();
    for (done, id) in futures::future::join_all(work).await {
        if let (false, Some(id)) = (done, id) {
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = id;
            response.batch_item_failures.push(failure);
        }
    }
    response
}

/// Works on one submission. `false`: deliver the message again.
async fn process(app: &App, message: &WritebackMessage, deadline: Instant) -> bool {
    let now = app.clock.now();
    let (contract, id) = (&message.contract, message.submission);
    let taken = app
        .remote
        .store
        .take_submission(contract, id, now, now.plus_seconds(LEASE_SECONDS))
        .await;
    let mut submission = match taken {
        Ok(Taken::Mine(submission)) => *submission,
        // The other delivery does the work; should it die, the sweep finds the lease ended.
        Ok(Taken::Settled(State::Created | State::Attached)) => {
            let entered = Box::pin(app.enter_settled(contract, id));
            // Not in time: it stays due, and the sweep comes back to it.
            return timeout_at(deadline + GRACE, entered)
                .await
                .is_ok_and(|entered| entered.is_ok());
        }
        Ok(Taken::Busy(_) | Taken::Settled(_)) => return true,
        Ok(Taken::Missing) => {
            tracing::error!(%contract, submission.id = %id, "a message for a submission that is not there");
            return true;
        }
        // Delivered again it would fail again. The sweep announces it until somebody has mended it.
        Err(error) if !error.passes() => {
            tracing::error!(%contract, submission.id = %id, "a submission that cannot be read");
            error.log();
            return true;
        }
        Err(error) => {
            tracing::error!(%contract, submission.id = %id, error = &error as &dyn std::error::Error, "the table did not answer");
            return false;
        }
    };
    let setback = match timeout_at(deadline, app.work(&mut submission)).await {
        Ok(Ok(())) => {
            written(app, &submission);
            let entered = Box::pin(app.enter(&mut submission));
            let _ = timeout_at(deadline + GRACE, entered).await;
            return true;
        }
        Ok(Err(setback)) => setback,
        // Cut off like a worker that dies: what it did is in the table, or planned there. Its lease is
        // ours still.
        Err(_) => match app.remote.store.submission(contract, id).await {
            Ok(Some(stored)) if stored.state == State::Processing => {
                submission = stored;
                Setback::too_slow()
            }
            Ok(_) => return true,
            Err(error) => Setback::Store(error),
        },
    };
    match app.settle(&mut submission, setback).await {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(%contract, submission.id = %id, error = &error as &dyn std::error::Error, "not settled: delivered again");
            false
        }
    }
}

/// Tells what became of a submission: a line of the log, and its metric.
fn written(app: &App, submission: &Submission) {
    let now = app.clock.now();
    telemetry::count(
        now,
        "Written",
        1,
        &[("outcome", submission.state.as_str())],
        json!({
            "message": "submission processed",
            "contract": submission.contract,
            "submission.id": submission.id,
            "duration_ms": now.since(submission.received_at),
        }),
    );
}

impl App {
    /// Writes down why a submission is not finished and when, or by whom, it goes on.
    async fn settle(
        &self,
        submission: &mut Submission,
        setback: Setback,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let (until, problem) = match setback {
            // Somebody else wrote the submission: the message comes again and sees what.
            Setback::Store(error @ (StoreError::Conflict | StoreError::Corrupt { .. })) => {
                return Err(error);
            }
            // Sent again it would fail the same way: a person has to know.
            Setback::Store(error @ StoreError::Malformed(_)) => {
                error.log();
                submission.fail(now, Problem::internal());
                submission.state = State::NeedsAttention;
                submission.due_at = now;
                return self.remote.store.save_submission(submission).await;
            }
            Setback::Store(error @ StoreError::Unavailable(_)) => {
                tracing::warn!(contract = %submission.contract, submission.id = %submission.id,
                    error = &error as &dyn std::error::Error, "the table did not answer");
                (back_off(now, submission.attempts), None)
            }
            Setback::Person(problem) => {
                tracing::warn!(contract = %submission.contract, submission.id = %submission.id, code = problem.code, "needs a person");
                submission.fail(now, problem);
                submission.state = State::NeedsAttention;
                submission.due_at = now;
                written(self, submission);
                return self.remote.store.save_submission(submission).await;
            }
            Setback::Wait { until, problem } => (
                until.unwrap_or_else(|| back_off(now, submission.attempts)),
                problem,
            ),
        };
        if let Some(problem) = problem {
            tracing::info!(contract = %submission.contract, submission.id = %submission.id, code = problem.code, %until, "waits");
            submission.fail(now, problem);
        }
        if submission.attempts >= MAX_ATTEMPTS {
            submission.state = State::NeedsAttention;
            submission.due_at = now;
            return self.remote.store.save_submission(submission).await;
        }
        submission.state = State::Waiting;
        submission.due_at = until.plus_seconds(SWEEP_GRACE_SECONDS);
        self.remote.store.save_submission(submission).await?;
        let message = WritebackMessage {
            contract: submission.contract.clone(),
            submission: submission.id,
        };
        let delay = (until.since(now).max(0) + 999) / 1000;
        if let Err(error) = self.queue.send(&message, delay).await {
            tracing::warn!(contract = %submission.contract, submission.id = %submission.id,
                error = &error as &dyn std::error::Error, "waits, but is not announced: the sweep will");
        }
        Ok(())
    }
}

/// 2, 4, 8, … seconds, at most [`MAX_BACK_OFF_SECONDS`].
fn back_off(now: Millis, attempts: u32) -> Millis {
    now.plus_seconds(
        2_i64
            .saturating_pow(attempts.clamp(1, 20))
            .min(MAX_BACK_OFF_SECONDS),
    )
}
