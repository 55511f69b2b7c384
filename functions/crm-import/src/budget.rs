//! The share of the organisation's API calls that imports may use (IM-3).
//!
//! The CRM's calls belong to the whole organisation. An import uses no more than its share of them in 24
//! hours, and always leaves a last part to others.

use shared::clock::Millis;
use shared::domain::environment::Environment;
use shared::domain::ids::ContractId;
use shared::domain::sync::Sync;
use shared::problem::Problem;
use shared::store::{Store, StoreError};

/// The time over which the CRM counts, in seconds.
const WINDOW_SECONDS: i64 = 24 * 3600;
/// Above this part of the organisation's calls imports make none, in percent.
const LEAVE_ABOVE_PERCENT: u64 = 95;
/// The wait before imports look again after that, in seconds.
const LOOK_AGAIN_SECONDS: i64 = 900;
/// The number of past runs read: more would not fit into a day, one at a time.
const RUNS: i32 = 100;

/// The calls of earlier runs and the share that imports may use.
#[derive(Debug)]
pub(crate) struct Budget {
    share_percent: u8,
    /// End and calls of the runs that ended within the window, newest first.
    before: Vec<(Millis, u64)>,
}

impl Budget {
    /// Reads the calls of earlier runs.
    pub(crate) async fn read(
        store: &Store,
        contract: &ContractId,
        environment: Environment,
        share_percent: u8,
        now: Millis,
    ) -> Result<Self, StoreError> {
        let runs = store.runs(contract, environment, RUNS, None).await?;
        let from = now.plus_seconds(-WINDOW_SECONDS);
        Ok(Self {
            share_percent,
            before: runs
                .into_iter()
                .map(|run| (run.finished_at, run.calls))
                .take_while(|(at, _)| *at > from)
                .collect(),
        })
    }

    /// The time until which a run has to wait, and the reason; `None` if it may make its next call. `fresh`
    /// is true if the CRM gave its numbers in this step. Older numbers are no reason to wait on: the first
    /// call of a step asks anew.
    pub(crate) fn wait(
        &self,
        sync: &Sync,
        fresh: bool,
        crm: &str,
        now: Millis,
    ) -> Option<(Millis, Problem)> {
        let api = sync.api?;
        let share = (api.limit * u64::from(self.share_percent) / 100).max(1);
        let used = self.before.iter().map(|(_, calls)| calls).sum::<u64>() + sync.calls;
        if used >= share {
            // The run's own calls count from its start: after a day they are forgotten.
            let oldest = self.before.last().map(|(at, _)| *at).or(sync.started_at);
            let until = oldest.unwrap_or(now).plus_seconds(WINDOW_SECONDS);
            if until > now {
                return Some((
                    until,
                    share_used(crm, used, share, self.share_percent, until),
                ));
            }
        }
        if fresh && api.used * 100 >= api.limit * LEAVE_ABOVE_PERCENT {
            let until = now.plus_seconds(LOOK_AGAIN_SECONDS);
            return Some((until, nearly_used_up(crm, until)));
        }
        None
    }
}

fn share_used(crm: &str, used: u64, share: u64, percent: u8, until: Millis) -> Problem {
    Problem::new(
        429,
        "api_share_used",
        format!(
            "Imports have used {used} of the {share} calls to {crm}'s API that they may use in 24 hours ({percent} %)."
        ),
        format!(
            "Nothing to do: it goes on by itself at {until}. To let it go on sooner, raise the share in the sync settings."
        ),
    )
}

fn nearly_used_up(crm: &str, until: Millis) -> Problem {
    Problem::new(
        429,
        "api_limit_near",
        format!(
            "All applications together have nearly used up the organisation's calls to {crm}'s API; the import leaves the rest to others."
        ),
        format!(
            "Nothing to do: it looks again at {until}. To see who uses the calls, look at the API usage in {crm}."
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::domain::sync::ApiUsage;

    const NOW: Millis = Millis(1_790_000_000_000);

    fn sync(calls: u64, used: u64, limit: u64) -> Sync {
        let mut sync = Sync::requested(Environment::Production, None, "someone", NOW).unwrap();
        sync.started_at = Some(NOW);
        sync.calls = calls;
        sync.api = Some(ApiUsage { used, limit });
        sync
    }

    #[test]
    fn a_run_waits_when_imports_have_used_their_share_until_the_oldest_is_forgotten() {
        let hour = |hours: i64| NOW.plus_seconds(-hours * 3600);
        let budget = Budget {
            share_percent: 10,
            before: vec![(hour(2), 30), (hour(20), 40)],
        };
        assert_eq!(budget.wait(&sync(29, 500, 1000), true, "it", NOW), None);
        let (until, problem) = budget.wait(&sync(30, 500, 1000), true, "it", NOW).unwrap();
        assert_eq!(until, hour(20 - 24));
        assert_eq!(problem.code, "api_share_used");
        // A CRM that gives no limit sets none.
        let mut unlimited = sync(1_000_000, 0, 1);
        unlimited.api = None;
        assert_eq!(budget.wait(&unlimited, true, "it", NOW), None);
    }

    #[test]
    fn the_last_part_of_the_limit_is_left_to_others() {
        let budget = Budget {
            share_percent: 100,
            before: Vec::new(),
        };
        assert_eq!(budget.wait(&sync(1, 949, 1000), true, "it", NOW), None);
        assert_eq!(budget.wait(&sync(1, 950, 1000), false, "it", NOW), None);
        let (until, problem) = budget.wait(&sync(1, 950, 1000), true, "it", NOW).unwrap();
        assert_eq!(problem.code, "api_limit_near");
        assert_eq!(until, NOW.plus_seconds(LOOK_AGAIN_SECONDS));
    }
}
