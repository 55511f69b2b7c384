//! Limits on the posts of one form, and of one contract, in a minute (OP-4).
//!
//! A flood on one form must cost neither the other forms nor the other contracts. Posts over the form's limit
//! are refused before anything is written. Posts over the contract's share of the queue are stored and left
//! to the sweep, so that they delay nobody else.
//!
//! Counting costs nothing for ordinary traffic: each process counts in its memory, and reports to the table
//! at each eighth of the form's limit that is not reported yet. So over all processes a form takes at most
//! its limit and an eighth of it for each process, whatever their number, and a refused post costs no call at
//! all.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use shared::clock::Millis;
use shared::domain::form::Form;
use shared::domain::ids::{ContractId, FormId};
use shared::problem::Problem;
use shared::store::PostCounts;
use shared::throttle::{minute, seconds_left};

/// The size of one unit, in bytes: a post counts one unit for each started block of this size, because the
/// table's writes cost by size.
const UNIT_BYTES: usize = 4096;
/// The limit of all forms of a contract together, in units a minute.
const CONTRACT_PER_MINUTE: u64 = 6_000;
/// Submissions of one contract that are put on the queue at once in a minute. The rest are found by the
/// sweep, up to 500 a minute: at no time are there more of one contract before another's.
pub const ANNOUNCED_PER_MINUTE: u64 = 1_000;
/// The number of reports to the table in which a process uses up a form's limit.
const TOLD_EACH: u64 = 8;

/// The posts taken by the function's processes in the current minute.
#[derive(Default)]
pub struct Limits {
    off: bool,
    announced: Option<u64>,
    minute: Mutex<(i64, HashMap<ContractId, Window>)>,
}

#[derive(Default)]
struct Window {
    all: Count,
    forms: HashMap<FormId, Count>,
}

/// The number of units taken: those reported to the table, and those not reported yet.
#[derive(Default)]
struct Count {
    told: u64,
    untold: u64,
}

impl Count {
    const fn total(&self) -> u64 {
        self.told + self.untold
    }
}

/// A post that may be stored.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// True if the submission is put on the queue at once.
    pub(crate) announce: bool,
    /// The report on this form that is due to the table.
    pub(crate) tell: Option<Tell>,
}

/// The units of a form that a process took and has not reported to the table yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tell {
    pub(crate) minute: i64,
    pub(crate) units: u64,
}

impl Limits {
    /// No limits: for measurements of everything else.
    #[must_use]
    pub fn none() -> Self {
        Self {
            off: true,
            ..Self::default()
        }
    }

    /// The limits, with another number of submissions that are put on the queue at once.
    #[must_use]
    pub fn announcing(announced: u64) -> Self {
        Self {
            announced: Some(announced),
            ..Self::default()
        }
    }

    /// Takes a place for a post of `bytes` bytes.
    ///
    /// # Errors
    /// 429 with the seconds until there is room again.
    pub(crate) fn take(
        &self,
        contract: &ContractId,
        form: &Form,
        bytes: usize,
        now: Millis,
    ) -> Result<Place, Problem> {
        if self.off {
            return Ok(Place {
                announce: true,
                tell: None,
            });
        }
        let minute = minute(now);
        let units = u64::try_from(bytes.div_ceil(UNIT_BYTES))
            .unwrap_or(1)
            .max(1);
        let limit = u64::from(form.posts_per_minute).max(1);
        let mut windows = self.minute.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.0 != minute {
            *windows = (minute, HashMap::new());
        }
        let window = windows.1.entry(contract.clone()).or_default();
        let of_form = window.forms.entry(form.id.clone()).or_default();
        if of_form.total() >= limit {
            return Err(full("form", limit, now));
        }
        if window.all.total() >= CONTRACT_PER_MINUTE {
            return Err(full("contract", CONTRACT_PER_MINUTE, now));
        }
        let announced = self.announced.unwrap_or(ANNOUNCED_PER_MINUTE);
        let announce = window.all.total() < announced;
        of_form.untold += units;
        window.all.untold += units;
        let tell = (of_form.untold >= (limit / TOLD_EACH).max(1)).then(|| {
            // Counted as reported from now on: even if the report to the table is lost, this process knows.
            let units = std::mem::take(&mut of_form.untold);
            of_form.told += units;
            window.all.untold = window.all.untold.saturating_sub(units);
            window.all.told += units;
            Tell { minute, units }
        });
        Ok(Place { announce, tell })
    }

    /// Takes over the table's answer to a report: the sums over all processes.
    pub(crate) fn told(&self, contract: &ContractId, form: &FormId, tell: Tell, sums: PostCounts) {
        let mut windows = self.minute.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.0 != tell.minute {
            return;
        }
        let window = windows.1.entry(contract.clone()).or_default();
        window.all.told = window.all.told.max(sums.contract);
        let of_form = window.forms.entry(form.clone()).or_default();
        of_form.told = of_form.told.max(sums.form);
    }
}

fn full(what: &str, limit: u64, now: Millis) -> Problem {
    let seconds = seconds_left(now);
    Problem::new(
        429,
        "too_many_posts",
        format!(
            "This {what} takes {limit} posts a minute, a large one counting once for each {UNIT_BYTES} bytes. They are used up."
        ),
        format!("Nothing was stored. Send it again in {seconds} seconds."),
    )
    .with_retry_after(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::domain::form::FormKind;

    fn form(id: &str, limit: u32) -> Form {
        serde_json::from_value(serde_json::json!({
            "id": id, "kind": FormKind::Website, "name": "F", "enabled": true, "max_body_bytes": 65536,
            "max_fields": 100, "created_at": 0, "updated_at": 0, "posts_per_minute": limit,
        }))
        .unwrap()
    }

    #[test]
    fn a_form_takes_its_limit_in_each_minute_and_others_are_untouched() {
        let limits = Limits::default();
        let (acme, other): (ContractId, ContractId) =
            ("acme".parse().unwrap(), "other".parse().unwrap());
        let (flooded, quiet) = (form("flooded-form-1", 10), form("quiet-form-001", 10));
        let at = Millis(60_000 * 7 + 15_000);
        let taken = (0..100).filter(|_| limits.take(&acme, &flooded, 100, at).is_ok());
        assert_eq!(taken.count(), 10);
        let refused = limits.take(&acme, &flooded, 100, at).unwrap_err();
        assert_eq!((refused.status, refused.retry_after), (429, Some(45)));
        assert!(limits.take(&acme, &quiet, 100, at).is_ok());
        assert!(limits.take(&other, &flooded, 100, at).is_ok());
        let next = at.plus_seconds(45);
        assert!(limits.take(&acme, &flooded, 100, next).is_ok());
    }

    #[test]
    fn a_large_post_counts_by_its_size() {
        let limits = Limits::default();
        let acme: ContractId = "acme".parse().unwrap();
        let form = form("large-form-0001", 32);
        let taken = (0..100).filter(|_| limits.take(&acme, &form, 64 * 1024, Millis(0)).is_ok());
        assert_eq!(taken.count(), 2);
    }

    #[test]
    fn processes_share_a_limit_by_what_they_tell_the_table() {
        let acme: ContractId = "acme".parse().unwrap();
        let form = form("shared-form-001", 80);
        let processes: Vec<Limits> = (0..5).map(|_| Limits::default()).collect();
        let (mut table, mut taken, mut calls) = (0, 0, 0);
        for round in 0..1000 {
            let process = &processes[round % processes.len()];
            let Ok(place) = process.take(&acme, &form, 100, Millis(0)) else {
                continue;
            };
            taken += 1;
            if let Some(tell) = place.tell {
                calls += 1;
                table += tell.units;
                let sums = PostCounts {
                    contract: table,
                    form: table,
                };
                process.told(&acme, &form.id, tell, sums);
            }
        }
        assert!((80..=80 + 5 * 10).contains(&taken), "{taken}");
        assert!(calls <= taken / 10, "{calls} calls for {taken} posts");
    }

    #[test]
    fn the_queue_gets_a_share_of_a_contract_and_the_sweep_the_rest() {
        let limits = Limits::default();
        let acme: ContractId = "acme".parse().unwrap();
        let form = form("busy-form-0001", 5_000);
        let places: Vec<Place> = (0..3_000)
            .map(|_| limits.take(&acme, &form, 100, Millis(0)).unwrap())
            .collect();
        let announced = places.iter().filter(|place| place.announce).count();
        assert_eq!(announced as u64, ANNOUNCED_PER_MINUTE);
    }
}
