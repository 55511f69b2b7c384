//! `cargo xtask soak`: random histories on all cores, for a time or a number of them.
//!
//! A failed history is printed with the command that runs it again. The last line is
//! `N passed, N failed`.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a command-line tool that runs tests talks to its user, and stops where it cannot go on"
)]

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use e2e::histories::{History, Model, Tally};

/// Runs random histories on all cores, and prints the commands that repeat failed ones.
#[derive(Parser)]
#[command(name = "cargo xtask soak", bin_name = "cargo xtask soak")]
struct Options {
    /// Stop after this many minutes
    #[arg(long)]
    minutes: Option<f64>,
    /// Stop after this many histories of each model; 10 if no time is given either
    #[arg(long)]
    histories: Option<u64>,
    /// The first seed; the others follow it. A random one where none is given
    #[arg(long)]
    from: Option<u64>,
    /// Only this model (again for another): submissions, imports, decisions, activities, lists, roi
    #[arg(long)]
    model: Vec<Model>,
    /// Histories at once; as many as there are cores where none is given
    #[arg(long)]
    jobs: Option<usize>,
}

thread_local! {
    /// The last panic of this thread.
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// The state that the threads share.
struct Soak {
    models: Vec<(Model, Tally)>,
    from: u64,
    histories: u64,
    deadline: Option<Instant>,
    next: AtomicU64,
    failed: Mutex<Vec<History>>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    // The functions log every fault that a history plants.
    let silent = tracing::subscriber::NoSubscriber::default();
    tracing::subscriber::set_global_default(silent).expect("the first subscriber");
    std::panic::set_hook(Box::new(|info| {
        PANIC.with_borrow_mut(|text| {
            // The first one is the cause of those that follow it.
            if text.is_empty() {
                *text = info.to_string();
            }
        });
    }));
    let models = if options.model.is_empty() {
        Model::ALL.to_vec()
    } else {
        options.model
    };
    let soak = Soak {
        models: models
            .into_iter()
            .map(|model| (model, Tally::default()))
            .collect(),
        from: options.from.unwrap_or_else(fresh_seed),
        histories: match (options.histories, options.minutes) {
            (Some(histories), _) => histories,
            (None, Some(_)) => u64::MAX,
            (None, None) => 10,
        },
        deadline: options
            .minutes
            .map(|minutes| Instant::now() + Duration::from_secs_f64(minutes * 60.0)),
        next: AtomicU64::new(0),
        failed: Mutex::default(),
    };
    println!("seeds from {} on", soak.from);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..options.jobs.unwrap_or(cores) {
            scope.spawn(|| soak.work());
        }
    });
    for (model, tally) in &soak.models {
        let last = soak.from + tally.histories().saturating_sub(1);
        println!("{} {} to {last}: {tally}", model.as_str(), soak.from);
    }
    let all: u64 = soak.models.iter().map(|(_, tally)| tally.histories()).sum();
    let failed = soak.failed.into_inner().unwrap_or_default();
    for history in &failed {
        println!("{history} failed; again: {}", history.command());
    }
    let count = failed.len() as u64;
    println!("{} passed, {count} failed", all - count);
    if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

impl Soak {
    /// Runs one history after the other, the models in turn, until time or number is used up.
    fn work(&self) {
        let models = self.models.len() as u64;
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let (round, turn) = (number / models, number % models);
            let in_time = self.deadline.is_none_or(|end| Instant::now() < end);
            if round >= self.histories || !in_time {
                return;
            }
            let mut models = self.models.iter().cycle();
            let Some((model, tally)) = models.nth(usize::try_from(turn).unwrap_or_default()) else {
                return;
            };
            let history = History {
                model: *model,
                seed: self.from.wrapping_add(round),
            };
            let since = Instant::now();
            PANIC.with_borrow_mut(String::clear);
            if catch_unwind(AssertUnwindSafe(|| run(history, tally))).is_err() {
                let text = PANIC.with_borrow(Clone::clone);
                println!("{history} FAILED: {text}\nagain: {}", history.command());
                if let Ok(mut failed) = self.failed.lock() {
                    failed.push(history);
                }
            } else if since.elapsed() > Duration::from_mins(2) {
                println!("{history} took {:.0?}", since.elapsed());
            }
        }
    }
}

/// Runs a history on this thread alone, so that the seed determines as much of it as possible.
fn run(history: History, tally: &Tally) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(history.run(tally));
}

/// A seed that was probably never tried.
fn fresh_seed() -> u64 {
    fastrand::u64(..1 << 40)
}
