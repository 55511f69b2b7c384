//! Fills gaps: pulls responses that LinkedIn's webhook missed, and sweeps submissions that were stored but
//! not processed (LG-9, LG-10).
//!
//! Both tasks are safe to run twice, at once, and to stop midway: a response is stored by the same
//! conditional write as a notification, a message that is sent twice does its work once, and the pull's
//! cursor moves only past responses that were read.

pub mod config;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::clock::Millis;
use shared::domain::directory::EntryKind;
use shared::domain::environment::Environment;
use shared::domain::ids::{ActivityId, ContractId, SeatId};
use shared::domain::submission::{NewSubmission, Origin, SourceKind, Submission};
use shared::linkedin::{FormError, LinkedInApi, LinkedInError, PAGE_SIZE};
use shared::linking::Linking;
use shared::queue::{WritebackMessage, WritebackQueue};
use shared::session::SessionError;
use shared::source::linkedin::LeadFormResponse;
use shared::store::{Accepted, ConnectionKind, PullCursor, PullWindow, StoreError};
use shared::telemetry;
use shared::wiring::{Remote, WiringError};
use uuid::Uuid;

/// The overlap of each pull with the one before, in seconds: responses appear in LinkedIn's finder a while
/// after they were submitted.
const OVERLAP_SECONDS: i64 = 3600;
/// The reach of the first pull of an owner into the past, in seconds. LinkedIn keeps leads for 90 days.
const FIRST_PULL_SECONDS: i64 = 90 * 24 * 3600;
/// Submissions swept of one contract in one go; the rest follows a minute later.
const SWEEP_LIMIT: i32 = 500;
/// Activities of one contract that are due and are announced at once.
pub const ACTIVITIES_AT_ONCE: u16 = 500;
/// Old activities of one contract that a sweep announces.
const BACKLOG_LIMIT: i32 = 500;
/// Maximum number of unresolved activities of one contract that a sweep checks.
const UNRESOLVED_LIMIT: usize = 200;
/// Maximum number of seat holders of one contract whose sign-in a sweep checks.
const SEATS_LIMIT: usize = 50;
/// Contracts in a row for which the table does not answer before a task is given up.
const GIVE_UP_AFTER: u32 = 3;
/// Most pages of one owner in one go; the cursor keeps the place.
const MAX_PAGES: u32 = 200;

/// The schedule's payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Task {
    /// Announce submissions that are due and have no worker.
    Sweep,
    /// Pull responses from LinkedIn.
    #[serde(rename = "linkedin-pull")]
    LinkedInPull {
        /// Of this contract only.
        #[serde(default)]
        contract: Option<ContractId>,
    },
}

/// The results of a task.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Contracts looked at.
    pub contracts: usize,
    /// Submissions announced by the sweep.
    pub swept: usize,
    /// Activities announced by the sweep.
    #[serde(default)]
    pub activities: usize,
    /// Responses read from LinkedIn.
    pub read: usize,
    /// Of those, the ones that were not stored before.
    pub new: usize,
    /// Contracts whose connection or owner could not be read this time.
    pub failed: usize,
    /// The delay of the submission or activity that is most overdue, in seconds.
    #[serde(default)]
    pub oldest_seconds: i64,
    /// The delay of the activity that is most overdue, in seconds.
    #[serde(default)]
    pub oldest_activity_seconds: i64,
}

/// The function's dependencies: the table, the vault, the sessions and the write-back queue.
pub struct App {
    /// Table, vault, sessions.
    pub remote: Remote,
    /// The write-back queue: submissions are announced on it.
    pub queue: WritebackQueue,
    /// The number of one contract's activities that are announced at once, [`ACTIVITIES_AT_ONCE`]. The worker
    /// that has written them announces as many more.
    pub activities_at_once: u16,
}

impl App {
    /// The app with real adapters.
    ///
    /// # Errors
    /// Returns an error if the key file cannot be read or used.
    pub fn build(
        config: &config::Config,
        aws: &shared::aws::SdkConfig,
    ) -> Result<Self, WiringError> {
        let queue = WritebackQueue::new(shared::aws::sqs(aws), config.writeback_queue_url.clone());
        Ok(Self {
            remote: Remote::build(&config.remote, aws)?,
            queue,
            activities_at_once: ACTIVITIES_AT_ONCE,
        })
    }
}

/// Runs one task. Trouble with one contract does not stop the others: that contract is stepped over and
/// reported. A failure of the table is treated in the same way, as it may concern one contract's partition
/// alone. The task is given up only when the table does not answer for several contracts in a row.
///
/// # Errors
/// Returns an error if the table does not answer; the schedule then runs the task again.
pub async fn handle(app: &App, task: Task) -> Result<Outcome, StoreError> {
    let mut outcome = Outcome::default();
    let mut contracts = match &task {
        Task::LinkedInPull {
            contract: Some(contract),
        } => vec![contract.clone()],
        _ => app.remote.store.contracts().await?,
    };
    // Another contract is first each time, so that the last get their turn when time is too short for all.
    begin_elsewhere(&mut contracts, app.remote.clock.now());
    let mut unanswered = 0;
    for contract in contracts {
        outcome.contracts += 1;
        let result = match task {
            Task::Sweep => app.sweep_all(&contract, &mut outcome).await,
            Task::LinkedInPull { .. } => app.pull(&contract, &mut outcome).await,
        };
        let Err(error) = result else {
            unanswered = 0;
            continue;
        };
        outcome.failed += 1;
        // An alarm of the template counts these lines.
        tracing::error!(%contract, error = &error as &dyn std::error::Error, notice = "contract_skipped",
            "not re-synced this time");
        match error {
            PullError::Store(error @ StoreError::Unavailable(_)) => {
                unanswered += 1;
                if unanswered == GIVE_UP_AFTER {
                    return Err(error);
                }
            }
            _ => unanswered = 0,
        }
    }
    if task == Task::Sweep {
        let (now, late) = (app.remote.clock.now(), outcome.oldest_seconds);
        telemetry::count(now, "OldestWaitingSeconds", late, &[], Value::Null);
        let late = outcome.oldest_activity_seconds;
        telemetry::count(now, "OldestActivitySeconds", late, &[], Value::Null);
    }
    tracing::info!(?task, ?outcome, "re-sync ended");
    Ok(outcome)
}

/// Turns a list so that it begins with another item every minute.
fn begin_elsewhere<T>(items: &mut [T], now: Millis) {
    let minute = usize::try_from(now.0.max(0) / 60_000).unwrap_or(0);
    if let Some(first) = minute.checked_rem(items.len()) {
        items.rotate_left(first);
    }
}

/// A start among ids that changes every minute. The starts of successive minutes are far apart and together
/// cover all ids evenly.
fn elsewhere(now: Millis) -> Uuid {
    let minute = u64::try_from(now.0.max(0) / 60_000).unwrap_or(0);
    Uuid::from_u64_pair(minute.reverse_bits(), 0)
}

#[derive(Debug, thiserror::Error)]
enum PullError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("LinkedIn did not answer")]
    LinkedIn(#[from] LinkedInError),
    #[error("the queue did not take the messages")]
    Queue(#[from] shared::queue::QueueError),
}

impl From<FormError> for PullError {
    fn from(error: FormError) -> Self {
        match error {
            FormError::Store(error) => Self::Store(error),
            FormError::LinkedIn(error) => Self::LinkedIn(error),
        }
    }
}

impl App {
    async fn sweep_all(
        &self,
        contract: &ContractId,
        outcome: &mut Outcome,
    ) -> Result<(), PullError> {
        // An error of one does not stop the other.
        let submissions = self.sweep(contract, outcome).await;
        let activities = self.sweep_activities(contract, outcome).await;
        submissions.and(activities)
    }

    /// Announces activities that are due, whose seat holder has signed in again, or whose target was matched or
    /// is in doubt no more.
    async fn sweep_activities(
        &self,
        contract: &ContractId,
        outcome: &mut Outcome,
    ) -> Result<(), PullError> {
        let now = self.remote.clock.now();
        // An error with some does not stop the others.
        let due = match self.overdue(contract, now, outcome).await {
            Ok(due) => {
                let limit = self.activities_at_once;
                let messages = WritebackMessage::due_activities(contract, due, limit);
                self.send(&messages, outcome).await
            }
            Err(error) => Err(error.into()),
        };
        let store = &self.remote.store;
        let old = store.backlog_of_activities(contract, BACKLOG_LIMIT).await;
        let old = self.announce(contract, old, outcome).await;
        let signed_in = self.signed_in_again(contract, now).await;
        let signed_in = self.announce(contract, signed_in, outcome).await;
        let matched = self.matched_since(contract, now).await;
        let matched = self.announce(contract, matched, outcome).await;
        let answered = self.answered_since(contract, now).await;
        let answered = self.announce(contract, answered, outcome).await;
        due.and(old).and(signed_in).and(matched).and(answered)
    }

    async fn announce(
        &self,
        contract: &ContractId,
        ready: Result<Vec<(SeatId, ActivityId)>, StoreError>,
        outcome: &mut Outcome,
    ) -> Result<(), PullError> {
        let messages = WritebackMessage::activities(contract, ready?);
        self.send(&messages, outcome).await
    }

    async fn send(
        &self,
        messages: &[WritebackMessage],
        outcome: &mut Outcome,
    ) -> Result<(), PullError> {
        for batch in messages.chunks(10) {
            // Messages that the queue refuses now are found again by the next sweep.
            self.queue.send_batch(batch).await?;
        }
        let count = |message: &WritebackMessage| match message {
            WritebackMessage::Activities(work) => work.activities.len(),
            WritebackMessage::Submission(_) => 0,
        };
        outcome.activities += messages.iter().map(count).sum::<usize>();
        Ok(())
    }

    /// Activities that should have continued by themselves.
    async fn overdue(
        &self,
        contract: &ContractId,
        now: Millis,
        outcome: &mut Outcome,
    ) -> Result<Vec<(SeatId, ActivityId)>, StoreError> {
        let store = &self.remote.store;
        let limit = i32::from(self.activities_at_once);
        let due = store.due_activities(contract, now, limit).await?;
        for (seat, id) in &due {
            match store.activity(contract, *seat, *id).await {
                Ok(Some(oldest)) => {
                    let late = now.since(oldest.due_at) / 1000;
                    outcome.oldest_seconds = outcome.oldest_seconds.max(late);
                    outcome.oldest_activity_seconds = outcome.oldest_activity_seconds.max(late);
                    break;
                }
                // An activity that cannot be read is reported by its worker, and stops no other.
                Ok(None) | Err(StoreError::Corrupt { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(due)
    }

    /// Activities whose seat holder has signed in since they began to wait (WB-9).
    async fn signed_in_again(
        &self,
        contract: &ContractId,
        now: Millis,
    ) -> Result<Vec<(SeatId, ActivityId)>, StoreError> {
        let store = &self.remote.store;
        let first = SeatId(elsewhere(now));
        let mut ready = Vec::new();
        let (mut after, mut around) = (Some(first), false);
        for _ in 0..SEATS_LIMIT {
            let Some(seat) = store.next_without_sign_in(contract, after).await? else {
                if around {
                    break;
                }
                (after, around) = (None, true);
                continue;
            };
            if around && seat > first {
                break;
            }
            after = Some(seat);
            let kind = ConnectionKind::User(seat, Environment::Production);
            let own = match store.connection(contract, kind).await {
                Ok(own) => own,
                // Its activities wait until it is repaired; those of other seat holders do not.
                Err(error @ StoreError::Corrupt { .. }) => {
                    error.log();
                    None
                }
                Err(error) => return Err(error),
            };
            if own.is_some_and(|own| own.stands() && !own.needs_sign_in(now)) {
                let ids = store.activities_without_sign_in(contract, seat, SWEEP_LIMIT);
                ready.extend(ids.await?.into_iter().map(|id| (seat, id)));
            }
        }
        Ok(ready)
    }

    /// Unresolved activities whose person or company was matched since (WB-3). Each sweep checks a part of
    /// them; a match that a user confirms is announced at once.
    async fn matched_since(
        &self,
        contract: &ContractId,
        now: Millis,
    ) -> Result<Vec<(SeatId, ActivityId)>, StoreError> {
        let store = &self.remote.store;
        let unresolved = store
            .unresolved_from(contract, elsewhere(now), UNRESOLVED_LIMIT)
            .await?;
        let mut ready = Vec::new();
        for kind in EntryKind::ALL {
            let of_kind: Vec<_> = unresolved
                .iter()
                .filter(|activity| activity.entry.kind == kind)
                .collect();
            if of_kind.is_empty() {
                continue;
            }
            let ids: Vec<_> = of_kind.iter().map(|activity| activity.entry.id).collect();
            let matches = store
                .entry_matches(contract, Environment::Production, kind, &ids)
                .await?;
            let linked = of_kind.into_iter().filter(|activity| {
                let link = matches.get(&activity.entry.id);
                let link = link.and_then(|matched| matched.link.as_ref());
                link.is_some_and(|link| !link.record_gone)
            });
            ready.extend(linked.map(|activity| (activity.seat, activity.id)));
        }
        Ok(ready)
    }

    /// Activities that wait for an answer and whose person or company is in doubt no more (MA-4). Each sweep
    /// checks a part of them; an answer is announced at once.
    async fn answered_since(
        &self,
        contract: &ContractId,
        now: Millis,
    ) -> Result<Vec<(SeatId, ActivityId)>, StoreError> {
        let store = &self.remote.store;
        let asked = store
            .unanswered_from(contract, elsewhere(now), UNRESOLVED_LIMIT)
            .await?;
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let Some(config) = store.config(contract).await? else {
            return Ok(Vec::new());
        };
        let linking = Linking::new(store, &config.contract, now);
        let mut ready = Vec::new();
        for kind in EntryKind::ALL {
            let of_kind = asked.iter().filter(|activity| activity.entry.kind == kind);
            let ids: Vec<_> = of_kind.clone().map(|activity| activity.entry.id).collect();
            if ids.is_empty() {
                continue;
            }
            let entries = store.entries(contract, kind, &ids).await?;
            let matches = store
                .entry_matches(contract, Environment::Production, kind, &ids)
                .await?;
            let pairs: Vec<_> = entries
                .iter()
                .filter_map(|(id, entry)| Some((entry, matches.get(id)?)))
                .collect();
            let doubtful = linking.in_doubt(kind, &pairs).await?;
            let answered = of_kind.filter(|activity| !doubtful.contains(&activity.entry.id));
            ready.extend(answered.map(|activity| (activity.seat, activity.id)));
        }
        Ok(ready)
    }

    /// Announces every open submission whose time has come: its message was never sent, was lost,
    /// or its worker died.
    async fn sweep(&self, contract: &ContractId, outcome: &mut Outcome) -> Result<(), PullError> {
        let due = self
            .remote
            .store
            .due_submissions(contract, self.remote.clock.now(), SWEEP_LIMIT)
            .await?;
        for id in &due {
            match self.remote.store.submission(contract, *id).await {
                Ok(Some(oldest)) => {
                    let late = self.remote.clock.now().since(oldest.due_at) / 1000;
                    outcome.oldest_seconds = outcome.oldest_seconds.max(late);
                    break;
                }
                // Withdrawn meanwhile; or unreadable, which its worker reports.
                Ok(None) | Err(StoreError::Corrupt { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let messages: Vec<WritebackMessage> = due
            .into_iter()
            .map(|submission| WritebackMessage::submission(contract, submission))
            .collect();
        for batch in messages.chunks(10) {
            // Messages that the queue refuses now are still due at the next sweep.
            let refused = self.queue.send_batch(batch).await?;
            outcome.swept += batch.len() - refused.len();
        }
        Ok(())
    }

    /// Pulls every owner's responses since the last pull, with an overlap.
    async fn pull(&self, contract: &ContractId, outcome: &mut Outcome) -> Result<(), PullError> {
        let Some(settings) = self.remote.store.linkedin_settings(contract).await? else {
            return Ok(());
        };
        if settings.owners.is_empty() {
            return Ok(());
        }
        let session = match self
            .remote
            .sessions
            .open(contract, ConnectionKind::LinkedIn)
            .await
        {
            Ok(session) => session,
            // Webhooks without a connected member: nothing to pull with.
            Err(SessionError::NotConnected) => return Ok(()),
            Err(error) => return Err(LinkedInError::Session(error).into()),
        };
        let api = LinkedInApi::new(session);
        let mut failed = None;
        for owner in &settings.owners {
            match self.pull_owner(contract, &api, owner, outcome).await {
                Ok(()) => {}
                // Of the connection or the table: the other owners would fare no better.
                Err(
                    error @ (PullError::LinkedIn(LinkedInError::Session(_))
                    | PullError::Store(StoreError::Unavailable(_))),
                ) => return Err(error),
                Err(error) => {
                    tracing::error!(%contract, owner, error = &error as &dyn std::error::Error,
                        "an owner's responses were not read this time");
                    failed = failed.or(Some(error));
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn pull_owner(
        &self,
        contract: &ContractId,
        api: &LinkedInApi,
        owner: &str,
        outcome: &mut Outcome,
    ) -> Result<(), PullError> {
        let store = &self.remote.store;
        let now = self.remote.clock.now();
        let cursor = store.pull_cursor(contract, owner).await?;
        let read_until = cursor.as_ref().map(|cursor| cursor.read_until);
        let from = match read_until {
            None => now.plus_seconds(-FIRST_PULL_SECONDS),
            Some(read_until) => read_until.plus_seconds(-OVERLAP_SECONDS),
        };
        let mut window = match cursor.and_then(|cursor| cursor.unfinished) {
            // What was deleted meanwhile moves those behind it forward.
            Some(window) => PullWindow {
                start: window.start.saturating_sub(PAGE_SIZE),
                ..window
            },
            None => PullWindow {
                from,
                until: now,
                start: 0,
            },
        };
        for _ in 0..MAX_PAGES {
            let PullWindow { from, until, start } = window;
            let page = api.responses(owner, from, until, start).await?;
            let count = u32::try_from(page.elements.len()).unwrap_or(u32::MAX);
            for response in &page.elements {
                outcome.read += 1;
                if !response.has_valid_id() {
                    // An alarm of the template counts these lines.
                    tracing::error!(%contract, owner, notice = "item_unreadable",
                        "a response has no id by which it could be stored");
                    continue;
                }
                if self.store_response(contract, api, response).await? {
                    outcome.new += 1;
                }
            }
            window.start = start.saturating_add(count);
            let more = match page.paging.total {
                Some(total) => window.start < total,
                None => count == PAGE_SIZE,
            };
            let is_over = count == 0 || !more;
            let cursor = PullCursor {
                read_until: if is_over {
                    until
                } else {
                    read_until.unwrap_or(from)
                },
                pulled_at: self.remote.clock.now(),
                unfinished: (!is_over).then_some(window),
            };
            store.put_pull_cursor(contract, owner, &cursor).await?;
            if is_over {
                return Ok(());
            }
        }
        // The next pull continues at this place.
        Ok(())
    }

    /// Stores a pulled response unless it is stored already, with its answers at once.
    async fn store_response(
        &self,
        contract: &ContractId,
        api: &LinkedInApi,
        response: &LeadFormResponse,
    ) -> Result<bool, PullError> {
        let new = NewSubmission {
            contract: contract.clone(),
            source: SourceKind::LinkedIn,
            response_id: response.id.clone(),
            origin: Origin {
                details: response
                    .owner
                    .iter()
                    .chain(&response.associated_entity)
                    .filter(|(name, _)| (1..=100).contains(&name.len()))
                    .filter_map(|(name, urn)| Some((name.clone(), urn.as_str()?.to_owned())))
                    .collect(),
                ..Origin::default()
            },
            answers: None,
            submitted_at: response.submitted_at.map(Millis),
            test: response.test_lead,
            withdrawn: false,
        };
        let mut submission = Submission::receive(new, self.remote.clock.now());
        let store = &self.remote.store;
        // Stored without its answers, a response is fetched by a worker, which reports the problem to people. The
        // responses behind it do not wait for that.
        if response.unreadable {
            // An alarm of the template counts these lines.
            tracing::error!(%contract, submission.id = %submission.id, notice = "item_unreadable",
                "a response is in a form that cannot be read");
        } else {
            match shared::linkedin::form_of(store, api, contract, response).await {
                Ok(form) => shared::linkedin::join(&mut submission, response, &form),
                Err(FormError::LinkedIn(
                    error @ (LinkedInError::NotFound
                    | LinkedInError::RoleMissing
                    | LinkedInError::VersionSunset
                    | LinkedInError::RequestRefused),
                )) => {
                    tracing::warn!(%contract, submission.id = %submission.id,
                        error = &error as &dyn std::error::Error, "the form of a response cannot be had");
                }
                Err(error) => return Err(error.into()),
            }
        }
        let accepted = match store.accept_submission(&submission).await {
            Err(error @ StoreError::Malformed(_)) if submission.answers.is_some() => {
                error.log();
                submission.answers = None;
                store.accept_submission(&submission).await
            }
            accepted => accepted,
        };
        match accepted {
            Ok(Accepted::Repeat(_)) => Ok(false),
            // It is stored, though its item cannot be read.
            Err(error @ StoreError::Corrupt { .. }) => {
                error.log();
                Ok(false)
            }
            Err(error) => Err(error.into()),
            Ok(Accepted::New) => {
                let message = WritebackMessage::submission(contract, submission.id);
                if let Err(error) = self.queue.send(&message, 0).await {
                    tracing::warn!(%contract, submission.id = %submission.id, error = &error as &dyn std::error::Error,
                        "stored, but not announced: the sweep will");
                }
                Ok(true)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use shared::clock::Millis;

    use super::{begin_elsewhere, elsewhere};

    #[test]
    fn every_part_of_the_ids_gets_its_turn() {
        let minutes = 28_000_000..28_000_016_i64;
        let mut parts: Vec<u8> = minutes
            .map(|minute| elsewhere(Millis(minute * 60_000)).as_bytes()[0] >> 4)
            .collect();
        parts.sort_unstable();
        assert_eq!(parts, (0..16).collect::<Vec<u8>>());
    }

    #[test]
    fn every_contract_is_first_at_some_time() {
        let mut firsts = Vec::new();
        for minute in 0..3 {
            let mut contracts = ["a", "b", "c"];
            begin_elsewhere(&mut contracts, Millis(minute * 60_000));
            firsts.push(contracts[0]);
        }
        firsts.sort_unstable();
        assert_eq!(firsts, ["a", "b", "c"]);
        begin_elsewhere::<u8>(&mut [], Millis(0));
    }
}
