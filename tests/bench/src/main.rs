//! Counts and times each unit of work beside a bare baseline that runs in the same minute.
//!
//! Numbers of one machine compare with nothing but each other: the meaningful ones are the ratio to the
//! baseline, and the counts of calls and bytes. Ours and the baseline take turns in short rounds, so that
//! other load on the machine meets both.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool"
)]

mod activities;
mod bare;
mod binaries;
mod cost;
mod import;
mod import_worker;
mod intake;
mod lambda;
mod mapping;
mod matching;
mod matching_paths;
mod matching_sets;
mod matching_worker;
mod meter;
mod prices;
mod proxy;
mod report;
mod rig;
mod usage;
mod validation;
mod writeback;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};
use serde_json::json;

/// Measure Leadbridge on this machine.
#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
struct Cli {
    /// Sections to measure; all without
    #[arg(value_enum)]
    sections: Vec<Name>,
    /// Few rounds: shows that it runs rather than how fast
    #[arg(long)]
    quick: bool,
    /// Fail when a target is missed
    #[arg(long)]
    check: bool,
    /// File for the JSON (.leadbridge/bench.json in the workspace)
    #[arg(long, value_name = "PATH")]
    json: Option<PathBuf>,
    /// Records that an import has
    #[arg(long, default_value_t = 1_000_000)]
    records: u64,
    /// Folder of the labelled sets to link: folders with left.csv, right.csv and truth.csv
    #[arg(long, value_name = "DIR")]
    sets: Option<PathBuf>,
    /// Folder for the pairs and links of each set as CSV
    #[arg(long, value_name = "DIR")]
    dump: Option<PathBuf>,
    /// Number of wrong links and of missed links to show for each set
    #[arg(long, value_name = "N", default_value_t = 0)]
    errors: usize,
    /// Do a part of a measurement, which is read from standard input
    #[arg(long, hide = true)]
    worker: Option<Worker>,
}

/// The measurements that run in a process of their own.
#[derive(Clone, Copy, ValueEnum)]
enum Worker {
    Import,
    Matching,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    /// Size, init time and memory of the release binaries
    Binaries,
    /// Accepting a submission
    Intake,
    /// Writing a submission to a CRM
    Writeback,
    /// Parsing and mapping, without any calls
    Mapping,
    /// Importing from each CRM
    Import,
    /// Finding which records are one
    Matching,
    /// Finding who moved to another employer
    Validation,
    /// What a million submissions, imported records and links cost at list prices
    Cost,
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(success) if success => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<bool> {
    if let Some(worker) = cli.worker {
        let done = match worker {
            Worker::Import => import_worker::run(),
            Worker::Matching => matching_worker::run(),
        };
        return done.map(|()| true);
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!("{cores} cores, load {}\n", load());
    let mut sections = Vec::new();
    for name in Name::value_variants() {
        if !cli.sections.is_empty() && !cli.sections.contains(name) {
            continue;
        }
        let section = match name {
            Name::Binaries => binaries::run(cli.quick),
            Name::Intake => intake::run(cli.quick),
            Name::Writeback => writeback::run(cli.quick),
            Name::Mapping => mapping::run(cli.quick),
            Name::Validation => validation::run(cli.quick),
            Name::Cost => cost::run(cli.quick),
            Name::Import => import::run(if cli.quick { 20_000 } else { cli.records }),
            Name::Matching => matching::run(&matching::Options {
                quick: cli.quick,
                sets: cli.sets.clone(),
                dump: cli.dump.clone(),
                errors: cli.errors,
            }),
        }?;
        println!("{}", section.table());
        sections.push(section);
    }
    let path = cli
        .json
        .clone()
        .unwrap_or_else(|| root().join(".leadbridge/bench.json"));
    let shown: Vec<_> = sections.iter().map(report::Section::json).collect();
    let json = json!({"cores": cores, "load": load(), "quick": cli.quick, "sections": shown});
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&path, format!("{json:#}\n"))
        .with_context(|| format!("cannot write {}", path.display()))?;
    let missed: usize = sections.iter().map(report::Section::missed).sum();
    println!("{missed} targets missed; written to {}", path.display());
    Ok(missed == 0 || !cli.check)
}

/// The workspace's folder.
fn root() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).unwrap_or(manifest)
}

/// The load of the machine in the last minute.
fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}
