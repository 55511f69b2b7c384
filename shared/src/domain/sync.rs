//! The import of an environment's CRM as people see it (CN-5, CN-7).

use serde::{Deserialize, Serialize};

use super::environment::Environment;
use crate::clock::Millis;
use crate::problem::Problem;

/// How often an import runs, in seconds: every 12 hours (IM-2).
pub const SYNC_EVERY_SECONDS: i64 = 12 * 3600;

/// What an import is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SyncState {
    /// It waits for a worker, or for the CRM.
    Queued,
    /// A worker has it.
    Running,
    /// The last one reached its end.
    Succeeded,
    /// The last one needs a person.
    Failed,
}

/// The import of an environment: the one that waits or runs, or the last one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sync {
    /// The environment.
    pub environment: Environment,
    /// What it is doing.
    pub state: SyncState,
    /// Who asked for it: a person, or the schedule.
    pub requested_by: String,
    /// When.
    pub requested_at: Millis,
    /// From then on a worker may take it: it was asked for, its pause ended, or its worker died.
    pub due_at: Millis,
    /// How often a worker took it.
    #[serde(default)]
    pub attempts: u32,
    /// When a worker first took it.
    #[serde(default)]
    pub started_at: Option<Millis>,
    /// When it ended.
    #[serde(default)]
    pub finished_at: Option<Millis>,
    /// When one last reached its end.
    #[serde(default)]
    pub last_success_at: Option<Millis>,
    /// Why it waits or failed, with the next step.
    #[serde(default)]
    pub problem: Option<Problem>,
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
        Some(Self {
            environment,
            state: SyncState::Queued,
            requested_by: by.to_owned(),
            requested_at: now,
            due_at: now,
            attempts: 0,
            started_at: None,
            finished_at: None,
            last_success_at: before.and_then(|before| before.last_success_at),
            problem: None,
            version: before.map_or(1, |before| before.version + 1),
        })
    }

    /// Whether it still has work to do.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, SyncState::Queued | SyncState::Running)
    }

    /// When the next one starts by itself.
    #[must_use]
    pub fn next_at(&self) -> Option<Millis> {
        let last = self.finished_at.filter(|_| !self.is_open())?;
        Some(last.plus_seconds(SYNC_EVERY_SECONDS))
    }
}

#[cfg(test)]
mod tests {
    use super::{Sync, SyncState};
    use crate::clock::Millis;
    use crate::domain::environment::Environment;

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
