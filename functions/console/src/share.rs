//! The share of the queue that the activities of one contract have in a minute (OP-4, WB-7).
//!
//! A flood of activities must delay neither those of other contracts nor, if they happened long ago, those of
//! today. What is over the share is stored and left to the sweep, which announces a limited number a minute
//! and has a lane of its own for old ones. Each process counts in its memory.

use shared::clock::Millis;
use shared::domain::activity::Activity;
use shared::domain::ids::ContractId;
use shared::throttle::Throttle;

/// Activities of a contract that are announced at once in a minute, of old ones and of others each. It is what
/// one batch of a worker takes: ten messages of a hundred.
const ANNOUNCED_PER_MINUTE: u32 = 1_000;

/// Counts of the activities that were announced.
pub struct ActivityShare {
    old: Throttle<ContractId>,
    new: Throttle<ContractId>,
}

impl Default for ActivityShare {
    fn default() -> Self {
        Self::announcing(ANNOUNCED_PER_MINUTE)
    }
}

impl ActivityShare {
    /// A share of another size.
    #[must_use]
    pub fn announcing(activities: u32) -> Self {
        Self {
            old: Throttle::new(activities),
            new: Throttle::new(activities),
        }
    }

    /// True if an activity is to be announced at once.
    pub(crate) fn take(&self, activity: &Activity, now: Millis) -> bool {
        let counts = if activity.is_old() {
            &self.old
        } else {
            &self.new
        };
        counts.take(activity.contract.clone(), now).is_ok()
    }
}
