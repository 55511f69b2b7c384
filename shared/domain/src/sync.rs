//! The import of an environment's CRM: the run as people see it (CN-5, CN-7), its progress object by object,
//! and the history of runs (IM-2 to IM-5).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::environment::Environment;
use super::inventory::ObjectSpec;
use crate::clock::Millis;
use crate::problem::Problem;

/// Interval between imports, in seconds: 12 hours (IM-2).
pub const SYNC_EVERY_SECONDS: i64 = 12 * 3600;
/// Default share of the organisation's daily API calls that imports may use, in percent.
pub const DEFAULT_API_SHARE_PERCENT: u8 = 25;

/// The state of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SyncState {
    /// It waits for a worker, or for the CRM.
    Queued,
    /// It is running.
    Running,
    /// The last one succeeded.
    Succeeded,
    /// The last one needs a person.
    Failed,
    /// The last one was stopped by a user.
    Cancelled,
}

/// The phase of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It checks the readable objects and fields, and plans.
    #[default]
    Preparing,
    /// It reads the objects.
    Reading,
}

/// Calls to the CRM's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct ApiUsage {
    /// Calls that the organisation has used in the last 24 hours, by all applications together.
    pub used: u64,
    /// Maximum number of calls in 24 hours.
    pub limit: u64,
}

/// The import of an environment: the one that waits or runs, or the last one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sync {
    /// The environment.
    pub environment: Environment,
    /// Its state.
    pub state: SyncState,
    /// Counts the environment's runs.
    #[serde(default)]
    pub run: u64,
    /// Its current phase.
    #[serde(default)]
    pub phase: Phase,
    /// The requester: a person, or the schedule.
    pub requested_by: String,
    /// Time of the request.
    pub requested_at: Millis,
    /// Time from which a worker may take it: it was requested, its pause ended, or its worker died.
    pub due_at: Millis,
    /// End of the lease by which one worker holds it alone; `None` between two steps.
    #[serde(default)]
    pub lease_until: Option<Millis>,
    /// True while the worker that holds it, or held it last, has not confirmed that all its work is stored.
    #[serde(default)]
    pub unclean: bool,
    /// Consecutive attempts that failed because of the CRM.
    #[serde(default)]
    pub attempts: u32,
    /// Time when a worker first took it.
    #[serde(default)]
    pub started_at: Option<Millis>,
    /// Time when it ended.
    #[serde(default)]
    pub finished_at: Option<Millis>,
    /// The person who stopped it.
    #[serde(default)]
    pub stopped_by: Option<String>,
    /// Time when a run last succeeded.
    #[serde(default)]
    pub last_success_at: Option<Millis>,
    /// The reason for waiting or failure, with the next step.
    #[serde(default)]
    pub problem: Option<Problem>,
    /// Number of steps that workers carried out.
    #[serde(default)]
    pub steps: u64,
    /// Number of calls to the CRM.
    #[serde(default)]
    pub calls: u64,
    /// Number of bytes in the CRM's answers.
    #[serde(default)]
    pub bytes: u64,
    /// The organisation's API calls, as last reported by the CRM; Dataverse does not report them.
    #[serde(default)]
    pub api: Option<ApiUsage>,
    /// Counts its changes.
    pub version: u64,
}

impl Sync {
    /// Creates a requested import that follows `before`. Returns `None` if one already waits or runs: that
    /// one serves the request.
    #[must_use]
    pub fn requested(
        environment: Environment,
        before: Option<&Self>,
        by: &str,
        now: Millis,
    ) -> Option<Self> {
        if before.is_some_and(Self::is_open) {
            return None;
        }
        let lease = before.and_then(|before| before.lease_until);
        Some(Self {
            environment,
            state: SyncState::Queued,
            run: before.map_or(1, |before| before.run + 1),
            phase: Phase::Preparing,
            requested_by: by.to_owned(),
            requested_at: now,
            // The worker of a stopped run may still be working.
            due_at: lease.map_or(now, |until| until.max(now)),
            lease_until: lease,
            unclean: before.is_some_and(|before| before.unclean),
            attempts: 0,
            started_at: None,
            finished_at: None,
            stopped_by: None,
            last_success_at: before.and_then(|before| before.last_success_at),
            problem: None,
            steps: 0,
            calls: 0,
            bytes: 0,
            api: before.and_then(|before| before.api),
            version: before.map_or(1, |before| before.version + 1),
        })
    }

    /// True if it still has work to do.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, SyncState::Queued | SyncState::Running)
    }

    /// True if a worker holds it at `now`, including a worker that has not yet noticed that the run was
    /// stopped.
    #[must_use]
    pub fn is_leased(&self, now: Millis) -> bool {
        self.lease_until.is_some_and(|until| until > now)
    }

    /// Time when the next one starts automatically.
    #[must_use]
    pub fn next_at(&self) -> Option<Millis> {
        let last = self.finished_at.filter(|_| !self.is_open())?;
        Some(last.plus_seconds(SYNC_EVERY_SECONDS))
    }
}

/// The state of an object in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ObjectState {
    /// It waits for its turn, or for the CRM.
    Waiting,
    /// It is being read.
    Reading,
    /// The mirror matches the CRM.
    Done,
    /// A person has to act.
    Failed,
    /// The connected user cannot read it.
    NotReadable,
}

/// The position from which an object's next changes are read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resume {
    /// Records that the CRM changed at or after this.
    Since(Millis),
    /// Dataverse's delta link.
    Delta(String),
}

/// A source's reading position: a text that the source defines, empty at the beginning.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(pub String);

/// The way an object is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum PassKind {
    /// All of it, into an empty mirror.
    First,
    /// All of it, compared with the mirror; records that were not seen are removed from the mirror.
    Compare,
    /// Only the changes since the last pass.
    Changes,
}

/// A reading of an object that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pass {
    /// The way it is read.
    pub kind: PassKind,
    /// Counts the passes over the object: the records that a pass saw are stored under this number.
    pub generation: u64,
    /// Time when it began.
    pub started_at: Millis,
    /// The next page.
    #[serde(default)]
    pub cursor: Cursor,
    /// Rows of that page that are already in the mirror.
    #[serde(default)]
    pub skip: u64,
    /// Rows that the run had read of the object before it.
    #[serde(default)]
    pub before: u64,
    /// Number of stored parts of the list of records seen ([`PassKind::Compare`]).
    #[serde(default)]
    pub parts: u64,
    /// Records that it found present.
    #[serde(default)]
    pub present: u64,
    /// The latest change that it found.
    #[serde(default)]
    pub newest: Option<Millis>,
    /// True if a worker may have written rows of the next page without recording it.
    #[serde(default)]
    pub careful: bool,
    /// The next shard to sweep, once everything is read.
    #[serde(default)]
    pub sweep: Option<u32>,
    /// The position from which the next changes are read, once everything is read and swept.
    #[serde(default)]
    pub delta: Option<String>,
}

/// A notice about an object or one of its fields for users; it stops nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema), schema(as = ImportNotice))]
pub struct Notice {
    /// Stable code: `field_not_readable`, `new_choice`, `counts_differ`, `not_all_records`.
    pub code: String,
    /// The field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Description of the finding.
    pub detail: String,
    /// The next step.
    pub next_step: String,
}

/// An object of a CRM and its import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectSync {
    /// The CRM's name for the object.
    pub object: String,
    /// Display name.
    pub label: String,
    /// The CRM's id of the organisation it was read from.
    pub organization: String,
    /// The last run that included it.
    pub run: u64,
    /// Its state in the run.
    pub state: ObjectState,
    /// The fields that are read.
    #[serde(default)]
    pub fields: Vec<String>,
    /// The position from which the next changes are read; `None` until it has been read in full.
    #[serde(default)]
    pub resume: Option<Resume>,
    /// The pass that is under way.
    #[serde(default)]
    pub pass: Option<Pass>,
    /// The position from which changes are read after the pass under way, which catches up with the changes
    /// made during the one before it.
    #[serde(default)]
    pub after: Option<Resume>,
    /// Counts the passes.
    #[serde(default)]
    pub generation: u64,
    /// Records in the mirror.
    #[serde(default)]
    pub records: u64,
    /// True if a worker died before it could count: [`Self::records`] is counted again before it is used.
    #[serde(default)]
    pub recount: bool,
    /// The CRM's last count of records, if it can count them.
    #[serde(default)]
    pub crm_records: Option<u64>,
    /// The number of records by which the CRM's count exceeded the mirror's after a run had done all it
    /// could; `None` if they were equal.
    #[serde(default)]
    pub difference: Option<i64>,
    /// Rows read in this run.
    #[serde(default)]
    pub read: u64,
    /// Approximate number of rows to read in this run.
    #[serde(default)]
    pub of: Option<u64>,
    /// Records written in this run.
    #[serde(default)]
    pub written: u64,
    /// Records removed in this run.
    #[serde(default)]
    pub removed: u64,
    /// Passes needed in this run.
    #[serde(default)]
    pub passes: u32,
    /// Earliest time to continue; `None` if it can continue at once.
    #[serde(default)]
    pub due_at: Option<Millis>,
    /// Consecutive failed attempts.
    #[serde(default)]
    pub attempts: u32,
    /// Time when its reading began in this run.
    #[serde(default)]
    pub started_at: Option<Millis>,
    /// Time when it ended in this run.
    #[serde(default)]
    pub finished_at: Option<Millis>,
    /// Time when it last reached the CRM's state.
    #[serde(default)]
    pub last_success_at: Option<Millis>,
    /// Time when all of it was last read.
    #[serde(default)]
    pub last_full_at: Option<Millis>,
    /// Notices for users.
    #[serde(default)]
    pub notices: Vec<Notice>,
    /// The reason for waiting or failure.
    #[serde(default)]
    pub problem: Option<Problem>,
    /// The options of its choices known so far, from the CRM's lists or from records, by field (IM-5).
    #[serde(default)]
    pub choices: BTreeMap<String, BTreeSet<String>>,
    /// True if the CRM's own lists of options are among them.
    #[serde(default)]
    pub choices_described: bool,
    /// Counts its changes.
    pub version: u64,
}

impl ObjectSync {
    /// Creates an object that was never read.
    #[must_use]
    pub fn new(spec: &ObjectSpec, organization: &str) -> Self {
        Self {
            object: spec.name.to_owned(),
            label: spec.label.to_owned(),
            organization: organization.to_owned(),
            run: 0,
            state: ObjectState::Waiting,
            fields: Vec::new(),
            resume: None,
            pass: None,
            after: None,
            generation: 0,
            records: 0,
            recount: false,
            crm_records: None,
            difference: None,
            read: 0,
            of: None,
            written: 0,
            removed: 0,
            passes: 0,
            due_at: None,
            attempts: 0,
            started_at: None,
            finished_at: None,
            last_success_at: None,
            last_full_at: None,
            notices: Vec::new(),
            problem: None,
            choices: BTreeMap::new(),
            choices_described: false,
            version: 0,
        }
    }

    /// True if the run has more work to do on it.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, ObjectState::Waiting | ObjectState::Reading)
    }

    /// Rows read per second, over the time of this run.
    #[must_use]
    pub fn rate_per_second(&self, now: Millis) -> Option<u64> {
        let until = self.finished_at.unwrap_or(now);
        let millis = u64::try_from(until.since(self.started_at?)).ok()?;
        (self.read * 1000).checked_div(millis)
    }

    /// Seconds until it is read at that rate, if the CRM reported the number of rows.
    #[must_use]
    pub fn seconds_left(&self, now: Millis) -> Option<u64> {
        let left = self.of?.saturating_sub(self.read);
        let rate = self.rate_per_second(now).filter(|rate| *rate > 0)?;
        self.is_open().then(|| left.div_ceil(rate))
    }
}

/// A finished run, as the history stores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The environment.
    pub environment: Environment,
    /// Counts the environment's runs.
    pub run: u64,
    /// Its final state.
    pub state: SyncState,
    /// The requester.
    pub requested_by: String,
    /// Time of the request.
    pub requested_at: Millis,
    /// Time when a worker first took it.
    #[serde(default)]
    pub started_at: Option<Millis>,
    /// Time when it ended.
    pub finished_at: Millis,
    /// Number of steps that workers carried out.
    pub steps: u64,
    /// Number of calls to the CRM.
    pub calls: u64,
    /// Number of bytes in the CRM's answers.
    pub bytes: u64,
    /// The results, object by object.
    pub objects: Vec<ObjectRecord>,
    /// The reason for failure.
    #[serde(default)]
    pub problem: Option<Problem>,
}

impl RunRecord {
    /// The record of a run that has ended.
    #[must_use]
    pub fn of(sync: &Sync, objects: &[ObjectSync], finished_at: Millis) -> Self {
        let objects = objects.iter().filter(|object| object.run == sync.run);
        Self {
            environment: sync.environment,
            run: sync.run,
            state: sync.state,
            requested_by: sync.requested_by.clone(),
            requested_at: sync.requested_at,
            started_at: sync.started_at,
            finished_at,
            steps: sync.steps,
            calls: sync.calls,
            bytes: sync.bytes,
            objects: objects
                .map(|object| ObjectRecord {
                    object: object.object.clone(),
                    state: object.state,
                    read: object.read,
                    written: object.written,
                    removed: object.removed,
                    records: object.records,
                    codes: (object.notices.iter().map(|notice| notice.code.clone()))
                        .chain(object.problem.iter().map(|problem| problem.code.clone()))
                        .collect(),
                })
                .collect(),
            problem: sync.problem.clone(),
        }
    }
}

/// The result of a run for one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct ObjectRecord {
    /// The CRM's name for the object.
    pub object: String,
    /// Its final state.
    pub state: ObjectState,
    /// Rows read.
    pub read: u64,
    /// Records written.
    pub written: u64,
    /// Records removed.
    pub removed: u64,
    /// Records in the mirror afterwards.
    pub records: u64,
    /// Codes of its notices and its problem.
    #[serde(default)]
    pub codes: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::{Sync, SyncState};
    use crate::clock::Millis;
    use crate::environment::Environment;

    #[test]
    fn an_import_that_waits_or_runs_is_not_asked_for_twice() {
        let asked = |before: Option<&Sync>| {
            Sync::requested(Environment::Production, before, "someone", Millis(5))
        };
        let mut sync = asked(None).unwrap();
        assert!(asked(Some(&sync)).is_none());
        assert_eq!(sync.next_at(), None);
        sync.state = SyncState::Succeeded;
        sync.finished_at = Some(Millis(7));
        sync.last_success_at = Some(Millis(7));
        assert_eq!(sync.next_at(), Some(Millis(7 + 12 * 3600 * 1000)));
        let next = asked(Some(&sync)).unwrap();
        assert_eq!((next.version, next.last_success_at), (2, Some(Millis(7))));
    }
}
