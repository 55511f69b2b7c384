//! `cargo xtask fuzz`: the fuzz targets on the stable toolchain, without cargo-fuzz.
//!
//! The flags are those of `cargo fuzz run --sanitizer none`: coverage counters are a pass of
//! LLVM's that stable rustc can be asked for; only the sanitizers themselves need nightly.

use std::{fs, num::NonZero, path::Path, process::Command, thread};

use anyhow::{Context, Result, anyhow, ensure};

use crate::{
    process::{root, succeed},
    test::Counts,
};

/// The targets to run, and their duration.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Seconds for each target
    #[arg(long, default_value_t = 20)]
    pub(crate) seconds: u64,
    /// One target only
    #[arg(long)]
    pub(crate) target: Option<String>,
}

const FLAGS: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
    "-Cdebug-assertions",
    "-Coverflow-checks",
    "--cfg=fuzzing",
];

/// Builds the targets and runs each for its time, from and into its corpus.
pub(crate) fn run(options: &Options) -> Result<Counts> {
    let folder = root().join("fuzz");
    let mut targets = targets(
        &fs::read_to_string(folder.join("Cargo.toml")).context("failed to read fuzz/Cargo.toml")?,
    );
    if let Some(only) = &options.target {
        targets.retain(|name| name == only);
    }
    ensure!(!targets.is_empty(), "fuzz/Cargo.toml names no such target");
    // With `--target`, build scripts and procedural macros are built without the counters.
    let triple = host_triple()?;
    succeed(
        Command::new("cargo")
            .current_dir(&folder)
            .args(["build", "--release", "--bins", "--target", &triple])
            .env("RUSTFLAGS", FLAGS.join(" "))
            .env("CARGO_TARGET_DIR", folder.join("target")),
    )?;

    // A target uses one processor.
    let at_once = thread::available_parallelism().map_or(1, NonZero::get);
    let mut counts = Counts::default();
    for few in targets.chunks(at_once) {
        let results: Vec<Result<bool>> = thread::scope(|scope| {
            let running: Vec<_> = few
                .iter()
                .map(|name| scope.spawn(|| run_one(&folder, &triple, name, options.seconds)))
                .collect();
            running
                .into_iter()
                .map(|target| {
                    target
                        .join()
                        .unwrap_or_else(|_| Err(anyhow!("a target's thread panicked")))
                })
                .collect()
        });
        for passed in results {
            counts.add(passed?);
        }
    }
    Ok(counts)
}

/// Runs a built target for its time; `false` if it found something.
fn run_one(folder: &Path, triple: &str, name: &str, seconds: u64) -> Result<bool> {
    let corpus = folder.join("corpus").join(name);
    let artifacts = folder.join("artifacts").join(name);
    fs::create_dir_all(&corpus)?;
    fs::create_dir_all(&artifacts)?;
    let program = folder
        .join("target")
        .join(triple)
        .join("release")
        .join(name);
    let mut command = Command::new(program);
    command
        .current_dir(folder)
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .args([
            "-print_final_stats=1",
            "-verbosity=0",
            "-timeout=10",
            "-rss_limit_mb=2048",
        ])
        .arg(&corpus);
    let seeds = folder.join("seeds").join(name);
    if seeds.is_dir() {
        command.arg(seeds);
    }
    // libFuzzer's output is of interest only if it ends badly.
    let output = command
        .output()
        .with_context(|| format!("failed to start {name}"))?;
    let passed = output.status.success();
    let output = String::from_utf8_lossy(&output.stderr);
    if !passed {
        println!("{output}");
    }
    let speed = output
        .lines()
        .find_map(|line| line.strip_prefix("stat::average_exec_per_sec:"));
    println!(
        "fuzz {name}, {seconds} seconds: {}, {} runs/s",
        if passed { "ok" } else { "FAILED" },
        speed.map_or("?", str::trim)
    );
    Ok(passed)
}

/// The names of the manifest's `[[bin]]`s.
fn targets(manifest: &str) -> Vec<String> {
    manifest
        .split("[[bin]]")
        .skip(1)
        .filter_map(|section| {
            section
                .lines()
                .find_map(|line| line.strip_prefix("name = "))
        })
        .map(|name| name.trim().trim_matches('"').to_owned())
        .collect()
}

fn host_triple() -> Result<String> {
    crate::process::read(Command::new("rustc").arg("-vV"))?
        .lines()
        .find_map(|line| line.strip_prefix("host: ").map(str::to_owned))
        .context("rustc did not name its host")
}
