//! Random histories: long sequences of actions of users, CRMs and failing machines, each checked against a
//! reference model that is simple enough to be believed.
//!
//! A history is a [`Model`] and a seed. The seed decides everything in it: an even one plays with
//! Salesforce, an odd one with Dynamics 365. `cargo xtask soak` runs them by the thousand, and
//! `cargo xtask soak --model decisions --from 7 --histories 1` runs one again. The suite runs fixed seeds
//! (`tests/flows/histories.rs`), and some new ones each time.

mod activities;
mod decisions;
mod imports;
pub mod lists;
pub mod roi;
mod submissions;

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use shared::domain::schema::CrmKind;
use shared::testing::{Cut, Tripwire};

/// A subject with a reference model of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// Submissions of forms become leads, each person's once (LG-10).
    Submissions,
    /// The mirror ends as the CRM is (IM-2, IM-4, IM-5).
    Imports,
    /// Users' decisions on matches stay (MA-4).
    Decisions,
    /// Activities are in the CRM once, or wait for a reason (WB-7).
    Activities,
    /// Lists fill themselves (SV-4).
    Lists,
    /// Opportunities are attributed (RO-1).
    Roi,
}

impl Model {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Submissions,
        Self::Imports,
        Self::Decisions,
        Self::Activities,
        Self::Lists,
        Self::Roi,
    ];

    /// The name on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Submissions => "submissions",
            Self::Imports => "imports",
            Self::Decisions => "decisions",
            Self::Activities => "activities",
            Self::Lists => "lists",
            Self::Roi => "roi",
        }
    }
}

impl FromStr for Model {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut all = Self::ALL.into_iter();
        all.find(|model| model.as_str() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str).join(", ");
            format!("{text} is not one of {names}")
        })
    }
}

/// One history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct History {
    /// The model that it is checked against.
    pub model: Model,
    /// The number that decides everything in it.
    pub seed: u64,
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let crm = match self.crm() {
            CrmKind::Salesforce => "Salesforce",
            CrmKind::Dynamics365 => "Dynamics 365",
        };
        write!(f, "{} {} ({crm})", self.model.as_str(), self.seed)
    }
}

impl History {
    /// The CRM that it plays with.
    #[must_use]
    pub const fn crm(self) -> CrmKind {
        if self.seed.is_multiple_of(2) {
            CrmKind::Salesforce
        } else {
            CrmKind::Dynamics365
        }
    }

    /// The command that runs it again.
    #[must_use]
    pub fn command(self) -> String {
        let (model, seed) = (self.model.as_str(), self.seed);
        format!("cargo xtask soak --model {model} --from {seed} --histories 1")
    }

    /// Runs it on an embedded stack of its own, and adds its events to the tally.
    ///
    /// # Panics
    /// Panics if the product differs from the model; the message lists all events.
    pub async fn run(self, tally: &Tally) {
        tally.histories.fetch_add(1, Ordering::Relaxed);
        match self.model {
            Model::Submissions => Box::pin(submissions::run(self, tally)).await,
            Model::Imports => Box::pin(imports::run(self, tally)).await,
            Model::Decisions => Box::pin(decisions::run(self, tally)).await,
            Model::Activities => Box::pin(activities::run(self, tally)).await,
            Model::Lists => Box::pin(lists::run(self, tally)).await,
            Model::Roi => Box::pin(roi::run(self, tally)).await,
        }
    }

    fn dice(self) -> Dice {
        Dice::of(self.seed)
    }
}

/// The choices of a history.
struct Dice(fastrand::Rng);

impl Dice {
    fn of(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// The death of a process before or after one of its first calls.
    fn cut(&mut self, calls: usize) -> Cut {
        let (before, call) = (self.roll(2) == 0, self.roll(calls));
        if before {
            Cut::Before(call)
        } else {
            Cut::After(call)
        }
    }

    /// A number from 0 to below `sides`, which is at least 1.
    fn roll(&mut self, sides: usize) -> usize {
        self.0.usize(..sides.max(1))
    }

    /// One of them; `None` where there is none.
    fn one<T: Clone>(&mut self, of: &[T]) -> Option<T> {
        let at = self.roll(of.len());
        of.get(at).cloned()
    }
}

/// Counts over many histories.
#[derive(Debug, Default)]
pub struct Tally {
    histories: AtomicU64,
    steps: AtomicU64,
    cut: AtomicU64,
    lost_replies: AtomicU64,
    throttles: AtomicU64,
    other_faults: AtomicU64,
    lost: AtomicU64,
    doubled: AtomicU64,
}

impl Tally {
    /// The number of histories begun.
    #[must_use]
    pub fn histories(&self) -> u64 {
        self.histories.load(Ordering::Relaxed)
    }

    fn step(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a process that may have died.
    fn cut(&self, wire: &Tripwire) {
        let cut = u64::from(wire.has_cut());
        self.cut.fetch_add(cut, Ordering::Relaxed);
    }

    /// Counts the faults that the simulator's ledger says struck.
    fn faults(&self, ledger: &Value) {
        let faults = ledger["faults"].as_object().into_iter().flatten();
        for (kind, times) in faults {
            let counter = match kind.as_str() {
                "lost_reply" | "truncate" => &self.lost_replies,
                "status:429" | "status:503" => &self.throttles,
                _ => &self.other_faults,
            };
            counter.fetch_add(times.as_u64().unwrap_or_default(), Ordering::Relaxed);
        }
    }

    /// Counts records that the model has and the product has not.
    fn lost(&self, records: usize) {
        self.lost.fetch_add(records as u64, Ordering::Relaxed);
    }

    /// Counts records that the product has beyond those that the model has.
    fn doubled(&self, records: usize) {
        self.doubled.fetch_add(records as u64, Ordering::Relaxed);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        write!(
            f,
            "{} histories, {} steps, {} calls cut, {} replies lost, {} throttles, {} other faults, \
             {} records lost, {} doubled",
            of(&self.histories),
            of(&self.steps),
            of(&self.cut),
            of(&self.lost_replies),
            of(&self.throttles),
            of(&self.other_faults),
            of(&self.lost),
            of(&self.doubled),
        )
    }
}
