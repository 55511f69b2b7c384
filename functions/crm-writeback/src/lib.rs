//! Writes submissions to the CRM: map, match, claim, create or attach, record; and then their people to
//! the directory. And seat holders' activities: look, create or attach, record.
//!
//! A message says that something has work to do; the table says what. Each message ends in a
//! state that a person can see: done, waiting (it goes on by itself), or in need of a person. Only
//! trouble with the table itself, or a message that cannot be read, is given back to the queue,
//! and by it to the dead-letter queue.

mod activity;
pub mod config;
mod decide;
mod directory;
mod discovered;
mod lead;
mod order;
mod setback;

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};
use serde_json::json;
use shared::cached::Cached;
use shared::clock::{Clock, Millis};
use shared::domain::ids::{ActivityId, ContractId, SeatId, SubmissionId};
use shared::domain::submission::{Failure, State, Submission};
use shared::queue::{SubmissionWork, WritebackMessage, WritebackQueue};
use shared::store::{StoreError, Taken};
use shared::telemetry;
use shared::texts::{self, Audience};
use shared::wiring::{Remote, WiringError};

use tokio::time::{Instant, timeout_at};

use crate::activity::RulesCache;
use crate::discovered::Discoveries;
use crate::setback::{FEW_TRIES, Fate, MAX_TRIES, Setback};

/// A worker's lease of a submission, in seconds: longer than the function's time-out, so
/// that a lease ends only after its worker has.
const LEASE_SECONDS: i64 = 90;
/// Longest back-off between two tries, in seconds.
const MAX_BACK_OFF_SECONDS: i64 = 900;
/// Delay after the end of a wait before the sweep steps in, in seconds.
const SWEEP_GRACE_SECONDS: i64 = 60;

/// Maximum working time of a batch. Submissions that are not done by then wait, with the cause of the delay in
/// their trail: otherwise one CRM that does not answer would take nine other submissions and the function's
/// time-out with it.
const DEADLINE: Duration = Duration::from_secs(45);
/// Extra time for the directory's part of a batch.
const GRACE: Duration = Duration::from_secs(5);

/// The function's dependencies and settings.
pub struct App {
    /// Table, vault, sessions.
    pub remote: Remote,
    /// The queue for submissions that wait.
    pub queue: WritebackQueue,
    /// Maximum working time of a batch.
    pub deadline: Duration,
    pub(crate) cached: Cached,
    pub(crate) discoveries: Discoveries,
    pub(crate) rules: RulesCache,
    pub(crate) clock: Arc<dyn Clock>,
}

impl App {
    /// The app over these parts.
    #[must_use]
    pub fn new(remote: Remote, queue: WritebackQueue) -> Self {
        Self {
            cached: Cached::new(remote.store.clone()),
            discoveries: Discoveries::default(),
            rules: activity::rules_cache(),
            clock: remote.clock.clone(),
            deadline: DEADLINE,
            remote,
            queue,
        }
    }

    /// The app with real adapters.
    ///
    /// # Errors
    /// Returns an error if the key file cannot be used.
    pub fn build(
        config: &config::Config,
        aws: &shared::aws::SdkConfig,
    ) -> Result<Self, WiringError> {
        let queue = WritebackQueue::new(shared::aws::sqs(aws), config.writeback_queue_url.clone());
        Ok(Self::new(Remote::build(&config.remote, aws)?, queue))
    }
}

/// Works through a batch of messages, all at once; names those that the queue must deliver again.
/// Activities of one seat holder are written together, whichever messages name them.
pub async fn handle(app: &App, event: SqsEvent) -> SqsBatchResponse {
    let deadline = Instant::now() + app.deadline;
    let mut again: Vec<Option<String>> = Vec::new();
    let mut submissions = Vec::new();
    let mut activities: BTreeMap<(ContractId, SeatId), Activities> = BTreeMap::new();
    for record in event.records {
        let body = record.body.as_deref().unwrap_or_default();
        match serde_json::from_str(body) {
            Ok(WritebackMessage::Submission(work)) => submissions.push((work, record.message_id)),
            Ok(WritebackMessage::Activities(work)) => {
                let of = activities.entry((work.contract, work.seat)).or_default();
                of.ids.extend(work.activities);
                of.then = of.then.max(work.then);
                of.messages.push(record.message_id);
            }
            Err(_) => {
                tracing::error!("a message that is none of ours: it goes to the dead-letter queue");
                again.push(record.message_id);
            }
        }
    }
    let submissions = submissions.into_iter().map(|(work, message)| async move {
        let done = process(app, &work, deadline).await;
        if done { Vec::new() } else { vec![message] }
    });
    let activities = activities
        .into_iter()
        .map(|((contract, seat), of)| async move {
            let turn = app
                .write_activities(&contract, seat, of.ids, deadline)
                .await;
            // Where nothing was taken, as many more would be announced without end.
            if let Some(limit) = of.then.filter(|_| turn.took) {
                app.announce_due(&contract, limit).await;
            }
            if turn.done { Vec::new() } else { of.messages }
        });
    let (submissions, activities) = tokio::join!(
        futures::future::join_all(submissions),
        futures::future::join_all(activities)
    );
    again.extend(submissions.into_iter().chain(activities).flatten());
    let mut response = SqsBatchResponse::default();
    for id in again.into_iter().flatten() {
        let mut failure = BatchItemFailure::default();
        failure.item_identifier = id;
        response.batch_item_failures.push(failure);
    }
    response
}

/// Activities of a seat holder, and the messages that name them.
#[derive(Default)]
struct Activities {
    ids: Vec<ActivityId>,
    messages: Vec<Option<String>>,
    /// The number of the contract's activities to announce afterwards.
    then: Option<u16>,
}

/// Works on one submission. `false`: deliver the message again.
async fn process(app: &App, message: &SubmissionWork, deadline: Instant) -> bool {
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
            Err(error) => error.into(),
        },
    };
    match app.settle(&mut submission, setback).await {
        Ok(done) => done,
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
    /// Writes down why a submission is not finished and when, or by whom, it goes on. `false`: the
    /// message is to be delivered again.
    async fn settle(
        &self,
        submission: &mut Submission,
        setback: Setback,
    ) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let tries = Tries {
            contract: &submission.contract,
            submission: Some(submission.id),
            activity: None,
            attempts: submission.attempts,
            failures: &submission.failures,
        };
        let Some((until, left)) = weigh(&tries, &setback, now) else {
            return Ok(false);
        };
        let Setback {
            fate,
            problem,
            told,
            ..
        } = setback;
        let tries = submission.attempts;
        if !left {
            let problem = match fate {
                Fate::Person => problem,
                _ => texts::given_up(problem, tries, Audience::Trail),
            };
            submission.fail(now, problem);
            submission.state = State::NeedsAttention;
            submission.due_at = now;
            written(self, submission);
            self.keep(submission).await?;
            return Ok(true);
        }
        if told {
            submission.fail(now, problem);
        }
        submission.state = State::Waiting;
        submission.due_at = until.plus_seconds(SWEEP_GRACE_SECONDS);
        self.keep(submission).await?;
        if submission.state != State::Waiting {
            return Ok(true);
        }
        let message = WritebackMessage::submission(&submission.contract, submission.id);
        let delay = (until.since(now).max(0) + 999) / 1000;
        if let Err(error) = self.queue.send(&message, delay).await {
            tracing::warn!(contract = %submission.contract, submission.id = %submission.id,
                error = &error as &dyn Error, "waits, but is not announced: the sweep will");
        }
        Ok(true)
    }

    /// Saves a submission that is not finished. One that cannot be written as it has become is marked
    /// as it is stored, so that a person sees it.
    async fn keep(&self, submission: &mut Submission) -> Result<(), StoreError> {
        let error = match self.remote.store.save_submission(submission).await {
            Err(error) if !matches!(error, StoreError::Unavailable(_) | StoreError::Conflict) => {
                error
            }
            saved => return saved,
        };
        let (contract, id) = (&submission.contract, submission.id);
        tracing::error!(%contract, submission.id = %id, error = &error as &dyn Error,
            "a submission cannot be written as it has become");
        let Some(mut stored) = self.remote.store.submission(contract, id).await? else {
            return Err(error);
        };
        let now = self.clock.now();
        stored.fail(now, texts::ours(Audience::Trail));
        stored.state = State::NeedsAttention;
        stored.due_at = now;
        self.remote.store.save_submission(&mut stored).await?;
        *submission = stored;
        Ok(())
    }
}

/// The attempts so far to write a submission or an activity.
struct Tries<'a> {
    contract: &'a ContractId,
    /// The submission, if it is one; else `activity` is set.
    submission: Option<SubmissionId>,
    activity: Option<ActivityId>,
    attempts: u32,
    failures: &'a [Failure],
}

/// Until when something waits, and whether a try is left to it; none where its message is to be
/// delivered again. Logs the setback: it is handled here.
fn weigh(about: &Tries<'_>, setback: &Setback, now: Millis) -> Option<(Millis, bool)> {
    let Setback {
        fate,
        problem,
        cause,
        ..
    } = setback;
    let (contract, tries) = (about.contract, about.attempts);
    let submission = about.submission.map(tracing::field::display);
    let activity = about.activity.map(tracing::field::display);
    let cause = cause.as_deref().map(|cause| cause as &dyn Error);
    let (until, left) = match *fate {
        Fate::Redeliver if tries < MAX_TRIES => {
            tracing::info!(%contract, submission.id = submission, activity.id = activity, error = cause, "changed meanwhile: delivered again");
            return None;
        }
        Fate::Person | Fate::Redeliver => (now, false),
        Fate::Wait(until) => (
            until.unwrap_or_else(|| back_off(now, tries)),
            tries < MAX_TRIES,
        ),
        Fate::WaitBriefly => {
            let before = about.failures.iter().rev();
            let same = before.take_while(|failure| failure.problem.code == problem.code);
            let few = (FEW_TRIES - 1) as usize;
            (
                back_off(now, tries),
                tries < FEW_TRIES || same.count() < few,
            )
        }
    };
    if problem.code == texts::OURS {
        tracing::error!(%contract, submission.id = submission, activity.id = activity, error = cause, tries, "a fault of ours keeps something from the CRM");
    } else if left {
        tracing::info!(%contract, submission.id = submission, activity.id = activity, code = problem.code, error = cause, %until, "waits");
    } else {
        tracing::warn!(%contract, submission.id = submission, activity.id = activity, code = problem.code, error = cause, "needs a person");
    }
    Some((until, left))
}

/// 2, 4, 8, … seconds, at most [`MAX_BACK_OFF_SECONDS`].
fn back_off(now: Millis, attempts: u32) -> Millis {
    now.plus_seconds(
        2_i64
            .saturating_pow(attempts.clamp(1, 20))
            .min(MAX_BACK_OFF_SECONDS),
    )
}
