//! The link pass: it matches all entries of the directory with all records of the mirror. One worker at a
//! time holds it by a lease, as with an import.

use serde::{Deserialize, Serialize};

use crate::clock::Millis;
use crate::problem::Problem;

/// Tolerance for a message that arrives before the pass is due, in milliseconds.
const EARLY_MILLIS: i64 = 1000;

/// What a link pass is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema), schema(as = LinkPassState))]
#[serde(rename_all = "snake_case")]
pub enum PassState {
    /// It waits for a worker.
    Queued,
    /// It is being done.
    Running,
    /// The last one reached its end.
    Succeeded,
    /// The last one did not.
    Failed,
}

/// The progress of a link pass.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct LinkProgress {
    /// The name of the present stage.
    pub stage: String,
    /// The items of the stage that are done.
    pub done: u64,
    /// The total items of the stage, if known.
    pub of: Option<u64>,
    /// Entries whose match was written.
    pub written: u64,
}

/// The link pass that waits or runs, or else the latest one that ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkPass {
    /// The state of the pass.
    pub state: PassState,
    /// The number of the pass among the contract's passes; 1 is the first.
    pub pass: u64,
    /// The requester of the pass: a user, or the part of the system that asked for it.
    pub requested_by: String,
    /// The time of the request.
    pub requested_at: Millis,
    /// The earliest time at which a worker may take the pass: the time of the request, the end of a wait, or
    /// the end of the lease of a worker that died.
    pub due_at: Millis,
    /// The end of the present worker's exclusive lease; `None` between two steps.
    #[serde(default)]
    pub lease_until: Option<Millis>,
    /// The number of consecutive times that a worker took the pass without making progress.
    #[serde(default)]
    pub attempts: u32,
    /// The time at which a worker first took the pass.
    #[serde(default)]
    pub started_at: Option<Millis>,
    /// The time at which the pass ended.
    #[serde(default)]
    pub finished_at: Option<Millis>,
    /// The time at which a pass of the contract last succeeded.
    #[serde(default)]
    pub last_success_at: Option<Millis>,
    /// The progress of the pass.
    #[serde(default)]
    pub progress: LinkProgress,
    /// The checkpoint from which the next worker continues: a text in the worker's own format, empty at the
    /// beginning.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kept: String,
    /// The requester of another pass while this one runs; that pass follows this one.
    #[serde(default)]
    pub again: Option<String>,
    /// The reason for waiting or failure, with the next step.
    #[serde(default)]
    pub problem: Option<Problem>,
    /// The number of writes of this item so far; 1 is the first.
    pub version: u64,
}

impl LinkPass {
    /// Returns the item to store for a request of a pass, given the stored item `before`. Returns `None` if a
    /// pass that has not started, or one that is to follow the present one, already meets the request. A pass
    /// under way may be past the change that led to the request, so another pass follows it.
    #[must_use]
    pub fn requested(before: Option<&Self>, by: &str, now: Millis) -> Option<Self> {
        if let Some(open) = before.filter(|before| before.is_open()) {
            if open.started_at.is_none() || open.again.is_some() {
                return None;
            }
            return Some(Self {
                again: Some(by.to_owned()),
                version: open.version + 1,
                ..open.clone()
            });
        }
        let lease = before.and_then(|before| before.lease_until);
        Some(Self {
            state: PassState::Queued,
            pass: before.map_or(1, |before| before.pass + 1),
            requested_by: by.to_owned(),
            requested_at: now,
            // The worker of a pass that was closed from outside may still be running.
            due_at: lease.map_or(now, |until| until.max(now)),
            lease_until: lease,
            attempts: 0,
            started_at: None,
            finished_at: None,
            last_success_at: before.and_then(|before| before.last_success_at),
            progress: LinkProgress::default(),
            kept: String::new(),
            again: None,
            problem: None,
            version: before.map_or(1, |before| before.version + 1),
        })
    }

    /// Returns true if the pass is queued or running.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, PassState::Queued | PassState::Running)
    }

    /// Returns true if a worker holds the lease at `now`.
    #[must_use]
    pub fn is_leased(&self, now: Millis) -> bool {
        self.lease_until.is_some_and(|until| until > now)
    }

    /// Returns the item to store for taking the pass with a lease of `lease_seconds`, or `None` if the pass
    /// has ended, is not due yet, or is leased to another worker. The lease must be longer than the worker's
    /// time-out.
    #[must_use]
    pub fn taken(&self, now: Millis, lease_seconds: i64) -> Option<Self> {
        let due = self.due_at.since(now) <= EARLY_MILLIS;
        if !self.is_open() || !due || self.is_leased(now) {
            return None;
        }
        let until = now.plus_seconds(lease_seconds);
        Some(Self {
            state: PassState::Running,
            due_at: until,
            lease_until: Some(until),
            attempts: self.attempts + 1,
            started_at: self.started_at.or(Some(now)),
            version: self.version + 1,
            ..self.clone()
        })
    }

    /// Returns the item to store when the worker has made progress and continues under its lease.
    #[must_use]
    pub fn advanced(&self, progress: LinkProgress) -> Self {
        Self {
            attempts: 0,
            progress,
            problem: None,
            version: self.version + 1,
            ..self.clone()
        }
    }

    /// Returns the item to store when the worker gives the pass back: the next worker continues at `due`.
    /// After a setback, `problem` is the reason.
    #[must_use]
    pub fn handed_over(&self, due: Millis, problem: Option<Problem>) -> Self {
        Self {
            state: PassState::Queued,
            due_at: due,
            lease_until: None,
            problem,
            version: self.version + 1,
            ..self.clone()
        }
    }

    /// Returns the item to store at the end of the pass: succeeded without a `problem`, failed with one. If
    /// another pass was requested meanwhile, the item is that pass, queued.
    #[must_use]
    pub fn ended(&self, now: Millis, problem: Option<Problem>) -> Self {
        let succeeded = problem.is_none();
        let ended = Self {
            state: if succeeded {
                PassState::Succeeded
            } else {
                PassState::Failed
            },
            lease_until: None,
            attempts: 0,
            kept: String::new(),
            finished_at: Some(now),
            last_success_at: if succeeded {
                Some(now)
            } else {
                self.last_success_at
            },
            again: None,
            problem,
            version: self.version + 1,
            ..self.clone()
        };
        let next = self.again.as_deref();
        let next = next.and_then(|by| Self::requested(Some(&ended), by, now));
        next.map_or(ended, |next| Self {
            version: self.version + 1,
            ..next
        })
    }

    /// Returns the item to store when the pass is ended from outside because its data is gone. No requested
    /// pass follows. A worker that still holds the lease notices at its next write, which conflicts.
    #[must_use]
    pub fn closed(&self, now: Millis, problem: Problem) -> Self {
        let open = Self {
            again: None,
            ..self.clone()
        };
        let mut closed = open.ended(now, Some(problem));
        closed.lease_until = self.lease_until;
        closed
    }
}

#[cfg(test)]
mod tests {
    use super::{LinkPass, LinkProgress, PassState};
    use crate::clock::Millis;
    use crate::problem::Problem;

    fn asked(before: Option<&LinkPass>, now: i64) -> Option<LinkPass> {
        LinkPass::requested(before, "ada", Millis(now))
    }

    #[test]
    fn one_that_waits_is_the_one_asked_for_and_one_that_runs_is_followed() {
        let waits = asked(None, 0).unwrap();
        assert_eq!((waits.pass, waits.version), (1, 1));
        assert_eq!(asked(Some(&waits), 1), None);
        let runs = waits.taken(Millis(2), 60).unwrap();
        let followed = asked(Some(&runs), 3).unwrap();
        assert_eq!(followed.again.as_deref(), Some("ada"));
        assert_eq!(asked(Some(&followed), 4), None);
        // Between two of its steps it is under way too.
        let between = runs.handed_over(Millis(5), None);
        assert_eq!(
            asked(Some(&between), 6).unwrap().again.as_deref(),
            Some("ada")
        );

        let next = followed.ended(Millis(10_000), None);
        assert_eq!((next.state, next.pass), (PassState::Queued, 2));
        assert_eq!(next.version, followed.version + 1);
        assert_eq!(next.last_success_at, Some(Millis(10_000)));
        assert!(next.taken(Millis(10_000), 60).is_some());
        let ended = runs.ended(Millis(10_000), None);
        assert_eq!(ended.state, PassState::Succeeded);
        assert_eq!(asked(Some(&ended), 20_000).unwrap().pass, 2);
    }

    #[test]
    fn one_worker_has_it_until_its_lease_ends() {
        let waits = asked(None, 0).unwrap();
        let first = waits.taken(Millis(0), 60).unwrap();
        assert_eq!(first.taken(Millis(59_999), 60), None);
        let second = first.taken(Millis(60_000), 60).unwrap();
        assert_eq!((second.attempts, second.started_at), (2, Some(Millis(0))));
        let came_on = second.advanced(LinkProgress {
            done: 3,
            ..LinkProgress::default()
        });
        assert_eq!(
            (came_on.attempts, came_on.lease_until),
            (0, second.lease_until)
        );
        let later = came_on.handed_over(Millis(100_000), None);
        assert_eq!(later.taken(Millis(98_999), 60), None);
        assert!(later.taken(Millis(99_000), 60).is_some());
    }

    #[test]
    fn one_that_is_closed_keeps_its_lease_for_who_waits_for_its_worker() {
        let runs = asked(None, 0).unwrap().taken(Millis(0), 60).unwrap();
        let followed = asked(Some(&runs), 1).unwrap();
        let closed = followed.closed(Millis(2), Problem::internal());
        assert_eq!((closed.state, closed.is_open()), (PassState::Failed, false));
        assert!(closed.is_leased(Millis(59_999)));
        assert_eq!(closed.taken(Millis(70_000), 60), None);
        let next = asked(Some(&closed), 3).unwrap();
        assert_eq!(next.taken(Millis(4), 60), None);
        assert!(next.taken(Millis(60_000), 60).is_some());
    }
}
