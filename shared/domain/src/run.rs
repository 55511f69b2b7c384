//! Runs: work of a contract that outlives an invocation. A run is asked for once, taken by one worker at a
//! time under a lease, done in steps with a checkpoint after each, counted, and kept in a history.
//!
//! Imports and link passes have records of their own ([`crate::sync`]); every other kind of run is one of
//! [`RunKind`], with this record.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ids::InvalidId;
use crate::clock::Millis;

/// The time for which a worker holds a run, in seconds. Longer than the time-out of the function that works on
/// runs, so that a worker whose lease has ended is dead.
pub const LEASE_SECONDS: i64 = 180;

/// The kind of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RunKind {
    /// Finds champions (SV-7).
    Champions,
    /// Deletes everything of the contract.
    DeleteContract,
    /// Keeps the flag of outdated records in the CRM (SV-8).
    Flags,
    /// Erases the content of activities that were kept for as long as the contract keeps them (OP-3).
    KeepActivities,
    /// Gives the stored submissions the time at which they expire.
    KeepAnswers,
    /// Attributes opportunities (RO-1).
    Roi,
}

impl RunKind {
    /// All kinds.
    pub const ALL: [Self; 6] = [
        Self::Champions,
        Self::DeleteContract,
        Self::Flags,
        Self::KeepActivities,
        Self::KeepAnswers,
        Self::Roi,
    ];

    /// The name in keys, addresses and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Champions => "champions",
            Self::DeleteContract => "delete-contract",
            Self::Flags => "flags",
            Self::KeepActivities => "keep-activities",
            Self::KeepAnswers => "keep-answers",
            Self::Roi => "roi",
        }
    }

    /// The name for users.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Champions => "Search for champions",
            Self::DeleteContract => "Deletion of the contract",
            Self::Flags => "Flags of outdated records",
            Self::KeepActivities => "Erasure of old activities",
            Self::KeepAnswers => "Change of how long answers are kept",
            Self::Roi => "Attribution of opportunities",
        }
    }

    /// True if a run of this kind can be stopped after a worker has begun it.
    const fn stops_midway(self) -> bool {
        match self {
            Self::DeleteContract => false,
            Self::Champions
            | Self::Flags
            | Self::KeepActivities
            | Self::KeepAnswers
            | Self::Roi => true,
        }
    }
}

impl fmt::Display for RunKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for RunKind {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let mut kinds = Self::ALL.into_iter();
        kinds
            .find(|kind| kind.as_str() == text)
            .ok_or(InvalidId("kind of run"))
    }
}

/// The state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// It was asked for; no worker has begun it.
    Waiting,
    /// A worker has begun it.
    Running,
    /// It is done.
    Done,
    /// It was stopped.
    Stopped,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its kind.
    pub kind: RunKind,
    /// Counts the contract's runs of this kind.
    pub number: u64,
    /// Its state.
    pub state: RunState,
    /// The requester: a token's id, `seat:` and a seat's id, or a role.
    pub requested_by: String,
    /// Time of the request.
    pub requested_at: Millis,
    /// Time from which a worker may take it.
    pub due_at: Millis,
    /// Time when a worker first took it.
    #[serde(default)]
    pub started_at: Option<Millis>,
    /// Time when it ended.
    #[serde(default)]
    pub finished_at: Option<Millis>,
    /// The person who stopped it.
    #[serde(default)]
    pub stopped_by: Option<String>,
    /// End of the lease by which one worker holds it alone; `None` between two steps.
    #[serde(default)]
    pub lease_until: Option<Millis>,
    /// The items handled so far, by kind.
    #[serde(default)]
    pub counts: BTreeMap<String, u64>,
    /// The state of its kind, from which the next step continues; null before the first.
    #[serde(default)]
    pub checkpoint: Value,
    /// Counts its changes.
    pub version: u64,
}

impl Run {
    /// Creates a requested run that follows `before` and begins at `begins`. Returns `None` if one of the kind
    /// already waits or runs.
    #[must_use]
    pub fn requested(
        kind: RunKind,
        before: Option<&Self>,
        by: &str,
        now: Millis,
        begins: Millis,
    ) -> Option<Self> {
        if before.is_some_and(Self::is_open) {
            return None;
        }
        Some(Self {
            kind,
            number: before.map_or(0, |before| before.number) + 1,
            state: RunState::Waiting,
            requested_by: by.to_owned(),
            requested_at: now,
            due_at: begins,
            started_at: None,
            finished_at: None,
            stopped_by: None,
            lease_until: None,
            counts: BTreeMap::new(),
            checkpoint: Value::Null,
            version: before.map_or(0, |before| before.version) + 1,
        })
    }

    /// The run's id within its contract: its kind and number.
    #[must_use]
    pub fn id(&self) -> RunId {
        RunId {
            kind: self.kind,
            number: self.number,
        }
    }

    /// True if it waits or runs.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, RunState::Waiting | RunState::Running)
    }

    /// True if a worker may take it at `now`: it is due, and no other worker holds it.
    #[must_use]
    pub fn is_takeable(&self, now: Millis) -> bool {
        self.is_open() && self.due_at <= now && self.lease_until.is_none_or(|until| until <= now)
    }

    /// True if it can still be stopped.
    #[must_use]
    pub const fn can_stop(&self) -> bool {
        match self.state {
            RunState::Waiting => true,
            RunState::Running => self.kind.stops_midway(),
            RunState::Done | RunState::Stopped => false,
        }
    }

    /// Gives it to a worker, or extends the lease of the worker that holds it.
    pub fn take(&mut self, now: Millis) {
        self.state = RunState::Running;
        self.started_at.get_or_insert(now);
        let until = now.plus_seconds(LEASE_SECONDS);
        self.lease_until = Some(until);
        // If the worker dies, the schedule finds it when the lease has ended.
        self.due_at = until;
        self.version += 1;
    }

    /// Gives it back; it continues at `due`.
    pub fn give_back(&mut self, due: Millis) {
        self.lease_until = None;
        self.due_at = due;
        self.version += 1;
    }

    /// Starts it anew at `begins`, with nothing done. A worker that holds it loses it at its next checkpoint.
    pub fn restart(&mut self, begins: Millis) {
        self.counts.clear();
        self.checkpoint = Value::Null;
        self.give_back(begins);
    }

    /// Ends it.
    pub fn end(&mut self, state: RunState, now: Millis) {
        self.state = state;
        self.lease_until = None;
        self.finished_at = Some(now);
        self.checkpoint = Value::Null;
        self.version += 1;
    }

    /// Adds to a count.
    pub fn count(&mut self, kind: &str, items: u64) {
        if items > 0 {
            *self.counts.entry(kind.to_owned()).or_default() += items;
        }
    }
}

/// The id of a run within its contract, written as `keep-answers-3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunId {
    /// The kind.
    pub kind: RunKind,
    /// Counts the contract's runs of this kind.
    pub number: u64,
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.kind, self.number)
    }
}

impl FromStr for RunId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let (kind, digits) = text.rsplit_once('-').ok_or(InvalidId("run"))?;
        let number = digits.parse().map_err(|_| InvalidId("run"))?;
        let id = Self {
            kind: kind.parse()?,
            number,
        };
        // One spelling for each: no sign, no zeros before it.
        if id.to_string() == text {
            Ok(id)
        } else {
            Err(InvalidId("run"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_asked_for_once_and_taken_by_one_worker() {
        let (kind, now) = (RunKind::DeleteContract, Millis(1000));
        let begins = now.plus_seconds(60);
        let mut run = Run::requested(kind, None, "administrator", now, begins).unwrap();
        assert_eq!(Run::requested(kind, Some(&run), "x", now, now), None);
        assert!(!run.is_takeable(now) && run.is_takeable(begins) && run.can_stop());
        run.take(begins);
        assert!(!run.is_takeable(begins) && !run.can_stop());
        let over = begins.plus_seconds(LEASE_SECONDS);
        assert!(run.is_takeable(over), "its worker is dead");
        run.end(RunState::Done, over);
        assert!(!run.is_takeable(over));
        let next = Run::requested(kind, Some(&run), "x", over, over).unwrap();
        assert_eq!((next.number, next.version), (2, run.version + 1));
    }

    #[test]
    fn an_id_reads_back_and_has_one_spelling() {
        for kind in RunKind::ALL {
            let id = RunId { kind, number: 12 };
            assert_eq!(id.to_string().parse::<RunId>().unwrap(), id);
        }
        for bad in [
            "",
            "12",
            "keep-answers",
            "keep-answers-",
            "keep-answers-012",
            "x-1",
            "keep-answers-+1",
        ] {
            assert!(bad.parse::<RunId>().is_err(), "{bad}");
        }
    }
}
