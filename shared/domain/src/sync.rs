//! The import of an environment's CRM: the run as people see it (CN-5, CN-7), what it is doing object
//! by object, and the history of runs (IM-2 to IM-5).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::environment::Environment;
use super::inventory::ObjectSpec;
use crate::clock::Millis;
use crate::problem::Problem;

/// How often an import runs, in seconds: every 12 hours (IM-2).
pub const SYNC_EVERY_SECONDS: i64 = 12 * 3600;
/// The share of the organisation's daily API calls that imports may use, in percent, where nobody
/// set another.
pub const DEFAULT_API_SHARE_PERCENT: u8 = 25;

/// What an import is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SyncState {
    /// It waits for a worker, or for the CRM.
    Queued,
    /// It is being done.
    Running,
    /// The last one reached its end.
    Succeeded,
    /// The last one needs a person.
    Failed,
    /// Somebody stopped the last one.
    Cancelled,
}

/// What a run does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It checks what can be read, and plans.
    #[default]
    Preparing,
    /// It reads the objects.
    Reading,
}

/// Calls to the CRM's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct ApiUsage {
    /// Calls that the organisation has used in the last 24 hours, all applications together.
    pub used: u64,
    /// Calls that it may use in 24 hours.
    pub limit: u64,
}

/// The import of an environment: the one that waits or runs, or the last one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sync {
    /// The environment.
    pub environment: Environment,
    /// What it is doing.
    pub state: SyncState,
    /// Counts the environment's runs.
    #[serde(default)]
    pub run: u64,
    /// What it does now.
    #[serde(default)]
    pub phase: Phase,
    /// Who asked for it: a person, or the schedule.
    pub requested_by: String,
    /// When.
    pub requested_at: Millis,
    /// From then on a worker may take it: it was asked for, its pause ended, or its worker died.
    pub due_at: Millis,
    /// Until then one worker has it alone; none between two steps.
    #[serde(default)]
    pub lease_until: Option<Millis>,
    /// The worker that has it, or had it last, has not said that it kept all it did.
    #[serde(default)]
    pub unclean: bool,
    /// Tries in a row that failed for the CRM's own trouble.
    #[serde(default)]
    pub attempts: u32,
    /// When a worker first took it.
    #[serde(default)]
    pub started_at: Option<Millis>,
    /// When it ended.
    #[serde(default)]
    pub finished_at: Option<Millis>,
    /// Who stopped it.
    #[serde(default)]
    pub stopped_by: Option<String>,
    /// When one last reached its end.
    #[serde(default)]
    pub last_success_at: Option<Millis>,
    /// Why it waits or failed, with the next step.
    #[serde(default)]
    pub problem: Option<Problem>,
    /// Steps that workers did for it.
    #[serde(default)]
    pub steps: u64,
    /// Calls that it made to the CRM.
    #[serde(default)]
    pub calls: u64,
    /// Bytes that the CRM answered.
    #[serde(default)]
    pub bytes: u64,
    /// The organisation's API calls, as the CRM last told; Dataverse does not.
    #[serde(default)]
    pub api: Option<ApiUsage>,
    /// Counts its changes.
    pub version: u64,
}

impl Sync {
    /// An import that somebody asked for, after `before`. One that waits or runs already is the
    /// one asked for: `None`.
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
            // The worker of a run that was stopped may still be at it.
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

    /// Whether it still has work to do.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, SyncState::Queued | SyncState::Running)
    }

    /// Whether a worker has it at `now`, be it one that has not noticed yet that the run was
    /// stopped.
    #[must_use]
    pub fn is_leased(&self, now: Millis) -> bool {
        self.lease_until.is_some_and(|until| until > now)
    }

    /// When the next one starts by itself.
    #[must_use]
    pub fn next_at(&self) -> Option<Millis> {
        let last = self.finished_at.filter(|_| !self.is_open())?;
        Some(last.plus_seconds(SYNC_EVERY_SECONDS))
    }
}

/// What a run does with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ObjectState {
    /// Its turn has not come, or it waits for the CRM.
    Waiting,
    /// It is being read.
    Reading,
    /// The mirror has it as the CRM had it.
    Done,
    /// It needs a person.
    Failed,
    /// The connected user cannot read it.
    NotReadable,
}

/// Where an object's next changes are read from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resume {
    /// Records that the CRM changed at or after this.
    Since(Millis),
    /// Dataverse's delta link.
    Delta(String),
}

/// Where a source has come in what it reads: a text of its own making, empty at the beginning.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(pub String);

/// How an object is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum PassKind {
    /// All of it, into an empty mirror.
    First,
    /// All of it, compared with the mirror; what was not seen is swept out of it.
    Compare,
    /// What changed since the last time.
    Changes,
}

/// A reading of an object that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pass {
    /// How it is read.
    pub kind: PassKind,
    /// Counts the passes over the object: what a pass saw is kept under it.
    pub generation: u64,
    /// When it began.
    pub started_at: Millis,
    /// The page to read next.
    #[serde(default)]
    pub cursor: Cursor,
    /// Rows of that page that are in the mirror already.
    #[serde(default)]
    pub skip: u64,
    /// Rows that the run had read of the object before it.
    #[serde(default)]
    pub before: u64,
    /// Parts of what was seen that are kept ([`PassKind::Compare`]).
    #[serde(default)]
    pub parts: u64,
    /// Records that it found present.
    #[serde(default)]
    pub present: u64,
    /// The latest change that it found.
    #[serde(default)]
    pub newest: Option<Millis>,
    /// A worker may have written rows of the next page without keeping that it did.
    #[serde(default)]
    pub careful: bool,
    /// Everything is read: the next shard to sweep.
    #[serde(default)]
    pub sweep: Option<u32>,
    /// Everything is read and swept; where the next changes are read from.
    #[serde(default)]
    pub delta: Option<String>,
}

/// Something about an object or one of its fields that a person should know; it stops nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema), schema(as = ImportNotice))]
pub struct Notice {
    /// Stable code: `field_not_readable`, `new_choice`, `counts_differ`, `not_all_records`.
    pub code: String,
    /// The field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What was found.
    pub detail: String,
    /// What to do.
    pub next_step: String,
}

/// An object of a CRM and its import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectSync {
    /// The CRM's name for the object.
    pub object: String,
    /// What people call it.
    pub label: String,
    /// The CRM's id of the organisation it was read from.
    pub organization: String,
    /// The run that it was last part of.
    pub run: u64,
    /// What the run does with it.
    pub state: ObjectState,
    /// The fields that are read.
    #[serde(default)]
    pub fields: Vec<String>,
    /// Where the next changes are read from; none before it was read in full.
    #[serde(default)]
    pub resume: Option<Resume>,
    /// What is being read.
    #[serde(default)]
    pub pass: Option<Pass>,
    /// Where changes are read from once the pass that is under way has caught up with what changed
    /// during the one before it.
    #[serde(default)]
    pub after: Option<Resume>,
    /// Counts the passes.
    #[serde(default)]
    pub generation: u64,
    /// Records in the mirror.
    #[serde(default)]
    pub records: u64,
    /// A worker died before it could count: [`Self::records`] is counted anew before it is relied on.
    #[serde(default)]
    pub recount: bool,
    /// Records that the CRM counted last, where it can.
    #[serde(default)]
    pub crm_records: Option<u64>,
    /// By how much the CRM's count was larger than the mirror's when a run had done all it can about
    /// it; none where they were the same.
    #[serde(default)]
    pub difference: Option<i64>,
    /// This run: rows read.
    #[serde(default)]
    pub read: u64,
    /// This run: rows that there are to read, about.
    #[serde(default)]
    pub of: Option<u64>,
    /// This run: records written.
    #[serde(default)]
    pub written: u64,
    /// This run: records removed.
    #[serde(default)]
    pub removed: u64,
    /// This run: passes that were needed.
    #[serde(default)]
    pub passes: u32,
    /// Not before this; none when it can go on at once.
    #[serde(default)]
    pub due_at: Option<Millis>,
    /// Tries in a row that failed.
    #[serde(default)]
    pub attempts: u32,
    /// This run: when its reading began.
    #[serde(default)]
    pub started_at: Option<Millis>,
    /// This run: when it ended.
    #[serde(default)]
    pub finished_at: Option<Millis>,
    /// When it was last brought to the CRM's state.
    #[serde(default)]
    pub last_success_at: Option<Millis>,
    /// When all of it was last read.
    #[serde(default)]
    pub last_full_at: Option<Millis>,
    /// What people should know.
    #[serde(default)]
    pub notices: Vec<Notice>,
    /// Why it waits or failed.
    #[serde(default)]
    pub problem: Option<Problem>,
    /// The options of its choices that the CRM lists, or that were met, so far, by field (IM-5).
    #[serde(default)]
    pub choices: BTreeMap<String, BTreeSet<String>>,
    /// The CRM's own lists of options are among them.
    #[serde(default)]
    pub choices_described: bool,
    /// Counts its changes.
    pub version: u64,
}

impl ObjectSync {
    /// An object that was never read.
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

    /// Whether the run has more to do with it.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, ObjectState::Waiting | ObjectState::Reading)
    }

    /// Rows read in a second, over the time of this run.
    #[must_use]
    pub fn rate_per_second(&self, now: Millis) -> Option<u64> {
        let until = self.finished_at.unwrap_or(now);
        let millis = u64::try_from(until.since(self.started_at?)).ok()?;
        (self.read * 1000).checked_div(millis)
    }

    /// Seconds until it is read at that rate, where the CRM told how much there is.
    #[must_use]
    pub fn seconds_left(&self, now: Millis) -> Option<u64> {
        let left = self.of?.saturating_sub(self.read);
        let rate = self.rate_per_second(now).filter(|rate| *rate > 0)?;
        self.is_open().then(|| left.div_ceil(rate))
    }
}

/// A run that ended, as the history keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The environment.
    pub environment: Environment,
    /// Counts the environment's runs.
    pub run: u64,
    /// How it ended.
    pub state: SyncState,
    /// Who asked for it.
    pub requested_by: String,
    /// When.
    pub requested_at: Millis,
    /// When a worker first took it.
    #[serde(default)]
    pub started_at: Option<Millis>,
    /// When it ended.
    pub finished_at: Millis,
    /// Steps that workers did for it.
    pub steps: u64,
    /// Calls that it made to the CRM.
    pub calls: u64,
    /// Bytes that the CRM answered.
    pub bytes: u64,
    /// What it did, object by object.
    pub objects: Vec<ObjectRecord>,
    /// Why it failed.
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

/// What a run did with an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct ObjectRecord {
    /// The CRM's name for the object.
    pub object: String,
    /// How it ended.
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
