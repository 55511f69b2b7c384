//! `cargo xtask test`: every check, one after the other, with a table at the end.

use std::{
    fs,
    num::NonZero,
    path::PathBuf,
    process::Command,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};

use crate::{
    api, aws, browser, clients, events, fuzz,
    process::{cargo, path_with_tools, read, root, scratch, target, tool, watch},
    setup, soak, stack,
};

/// The parts to run.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only the parts that need nothing but the Rust toolchain: format, lints, documentation, tests
    #[arg(long)]
    fast: bool,
    /// Only these parts, by the names the table shows
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// All but these parts
    #[arg(long, value_delimiter = ',')]
    skip: Vec<String>,
    /// Seconds for each fuzz target
    #[arg(long, default_value_t = 12)]
    fuzz_seconds: u64,
}

/// The numbers of a part's tests that passed and failed.
#[derive(Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
}

impl Counts {
    pub(crate) fn one(passed: bool) -> Self {
        Self {
            passed: usize::from(passed),
            failed: usize::from(!passed),
        }
    }

    pub(crate) fn add(&mut self, passed: bool) {
        self.join(Self::one(passed));
    }

    pub(crate) fn join(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }

    /// Adds up the closing lines of test runners: cargo's, nextest's, or the plain
    /// `N passed, N failed`. A run that failed without a counted failure has one.
    pub(crate) fn from_output(succeeded: bool, output: &str) -> Self {
        let mut counts = Self::default();
        let lines: Vec<String> = output
            .lines()
            .map(|line| plain(line).trim().to_owned())
            .collect();
        // nextest repeats the closing lines of the programs it ran.
        let nextest = lines.iter().any(|line| line.starts_with("Summary ["));
        for line in &lines {
            let closing = if nextest {
                line.starts_with("Summary [")
            } else {
                line.starts_with("test result: ") || is_plain_closing(line)
            };
            if closing {
                counts.passed += number_before(line, "passed");
                counts.failed += number_before(line, "failed") + number_before(line, "timed out");
            }
        }
        if !succeeded && counts.failed == 0 {
            counts.failed = 1;
        }
        counts
    }
}

/// True if a line is `N passed, N failed`, perhaps with `, N skipped`, and nothing else.
fn is_plain_closing(line: &str) -> bool {
    line.split([',', ' ']).all(|word| {
        word.is_empty()
            || word.parse::<usize>().is_ok()
            || matches!(word, "passed" | "failed" | "skipped")
    })
}

/// A line without terminal colours.
fn plain(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some((before, code)) = rest.split_once("\u{1b}[") {
        text.push_str(before);
        rest = code.split_once('m').map_or("", |(_, after)| after);
    }
    text + rest
}

fn number_before(line: &str, word: &str) -> usize {
    line.split_once(word)
        .and_then(|(before, _)| {
            before
                .trim_end()
                .rsplit(|c: char| !c.is_ascii_digit())
                .next()
        })
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(0)
}

type Part = (&'static str, Box<dyn Fn() -> Result<Counts>>);

/// Runs the parts and prints the table; `false` when anything failed.
pub(crate) fn run(options: &Options) -> bool {
    let fuzz = fuzz::Options {
        seconds: options.fuzz_seconds,
        target: None,
    };
    let mut parts: Vec<Part> = vec![
        (
            "format",
            Box::new(|| checked(cargo(["fmt", "--all", "--check"]))),
        ),
        (
            "clippy",
            Box::new(|| {
                checked(cargo([
                    "clippy",
                    "--workspace",
                    "--all-targets",
                    "--keep-going",
                    "--quiet",
                    "--",
                    "-Dwarnings",
                ]))
            }),
        ),
        ("docs", Box::new(documentation)),
        ("tests", Box::new(tests)),
        ("soak", Box::new(soak::some_new)),
    ];
    if !options.fast {
        // Packages come over the network while the lints, which need none of them, keep the processor busy.
        let packages = Arc::new(Mutex::new(None::<thread::JoinHandle<Result<()>>>));
        let started = Arc::clone(&packages);
        let setup = move || {
            setup::system_packages()?;
            *started.lock().unwrap_or_else(PoisonError::into_inner) =
                Some(thread::spawn(setup::packages));
            Ok(Counts::one(true))
        };
        let arrived = move || match packages
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
        {
            Some(thread) => thread
                .join()
                .map_err(|_| anyhow!("the installation of packages panicked"))?
                .map(|()| Counts::one(true)),
            None => setup::packages().map(|()| Counts::one(true)),
        };
        let before_tests = parts
            .iter()
            .position(|(name, _)| *name == "tests")
            .unwrap_or(parts.len());
        parts.insert(before_tests, ("packages", Box::new(arrived)));
        parts.insert(0, ("setup", Box::new(setup)));
        parts.push(("sign-in", Box::new(browser::run)));
        parts.push(("pages", Box::new(pages)));
        parts.push(("template", Box::new(template)));
        parts.push(("deny", Box::new(deny)));
        parts.push(("sizes", Box::new(sizes)));
        parts.push(("fuzz", Box::new(move || fuzz::run(&fuzz))));
        parts.push((
            "events",
            Box::new(|| events::run(&events::Options::default())),
        ));
        parts.push(("api", Box::new(api::run)));
        parts.push(("clients", Box::new(clients::run)));
        parts.push(("stack", Box::new(|| stack::test(&stack::Ports::default()))));
    }
    parts.retain(|(name, _)| {
        let named = |list: &[String]| list.iter().any(|item| item == name);
        (options.only.is_empty() || named(&options.only)) && !named(&options.skip)
    });

    let started = Instant::now();
    let mut rows: Vec<(&str, Counts, Duration)> = Vec::new();
    for (name, part) in parts {
        println!("\n==== {name}");
        let since = Instant::now();
        let counts = part().unwrap_or_else(|error| {
            println!("{name}: {error:#}");
            Counts::one(false)
        });
        rows.push((name, counts, since.elapsed()));
        println!(
            "==== {name}: {} in {:.0?}",
            verdict(counts),
            since.elapsed()
        );
        if matches!(name, "setup" | "packages") && counts.failed > 0 {
            // Nothing after it could tell its own failure from a missing tool.
            break;
        }
    }

    println!(
        "\n{:<10} {:>7} {:>7} {:>8}",
        "part", "passed", "failed", "time"
    );
    let mut total = Counts::default();
    for (name, counts, time) in &rows {
        total.join(*counts);
        println!(
            "{name:<10} {:>7} {:>7} {:>7.0?}",
            counts.passed, counts.failed, time
        );
    }
    println!("all in {:.0?}\n", started.elapsed());
    println!("{} passed, {} failed", total.passed, total.failed);
    total.failed == 0
}

fn verdict(counts: Counts) -> &'static str {
    if counts.failed == 0 { "ok" } else { "FAILED" }
}

/// One check that passes or fails as a whole.
fn checked(mut command: Command) -> Result<Counts> {
    watch(&mut command).map(|(passed, _)| Counts::one(passed))
}

/// True if nextest is installed, which runs all test programs side by side.
pub(crate) fn has_nextest() -> bool {
    read(Command::new("cargo").args(["nextest", "--version"])).is_ok()
}

/// `cargo nextest run` over the workspace, with the output of failed tests only.
pub(crate) fn nextest() -> Command {
    let mut command = cargo([
        "nextest",
        "run",
        "--workspace",
        "--no-fail-fast",
        "--no-tests",
        "pass",
    ]);
    command.args(["--status-level", "fail", "--final-status-level", "slow"]);
    command
}

/// The workspace's tests, but for those in a browser, which are a part of their own. nextest
/// knows no documentation tests.
fn tests() -> Result<Counts> {
    if !has_nextest() {
        let (passed, output) = watch(&mut cargo(["test", "--workspace", "--no-fail-fast"]))?;
        return Ok(Counts::from_output(passed, &output));
    }
    let others = format!("not binary({})", browser::TESTS);
    // One more than there are cores, as each test waits for its table now and then.
    let threads = thread::available_parallelism().map_or(1, NonZero::get) + 1;
    let mut command = nextest();
    command.args(["--filterset", &others]);
    command.args(["--test-threads", &threads.to_string()]);
    let (passed, output) = watch(&mut command)?;
    let mut counts = Counts::from_output(passed, &output);
    let (passed, output) = watch(&mut cargo(["test", "--workspace", "--doc", "--quiet"]))?;
    counts.join(Counts::from_output(passed, &output));
    Ok(counts)
}

/// rustdoc's lints, with private items: no link is broken, no markup is odd.
fn documentation() -> Result<Counts> {
    let mut command = cargo([
        "doc",
        "--workspace",
        "--no-deps",
        "--document-private-items",
    ]);
    command.args(["--keep-going", "--quiet"]);
    checked({
        command.env(
            "RUSTDOCFLAGS",
            "-Dwarnings -Arustdoc::private_intra_doc_links",
        );
        command
    })
}

/// The pages' JavaScript against the API's description, its format, and the tests of its readers of archives
/// (functions/console/package.json).
fn pages() -> Result<Counts> {
    let mut counts = Counts::default();
    for script in ["check", "test"] {
        let mut command = Command::new("npm");
        command.current_dir(setup::pages());
        command.args(["run", "--silent", script]);
        counts.join(checked(command)?);
    }
    Ok(counts)
}

/// Licences, sources and banned crates, from the data on this machine; advisories too where their database
/// was fetched (`cargo deny fetch`).
fn deny() -> Result<Counts> {
    // The tests need the crates of this machine's platform only; licences are those of all.
    if let Err(error) = read(&mut cargo(["fetch", "--locked", "--quiet"])) {
        println!("crates of other platforms: not fetched ({error:#})");
    }
    let mut command = tool("cargo-deny")?;
    command.args(["--offline", "check", "bans", "licenses", "sources"]);
    if advisories().is_some_and(|folder| folder.is_dir()) {
        command.arg("advisories");
    } else {
        println!("advisories: not checked, as `cargo deny fetch` has not been run here");
    }
    checked(command)
}

/// The folder of the advisories' database.
fn advisories() -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let default = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo"));
    Some(home.or_else(default)?.join("advisory-dbs"))
}

/// Bytes that a function's program may have, without debug information.
const MAX_BINARY: u64 = 15_000_000;

/// The sizes of the functions' release programs, where there are any: building them takes minutes, and
/// `cargo xtask bench` and `cargo xtask deploy` do.
fn sizes() -> Result<Counts> {
    let mut counts = Counts::default();
    for name in aws::functions()? {
        let program = target().join("release").join(&name);
        let Ok(found) = fs::metadata(&program) else {
            continue;
        };
        let small = found.len() <= MAX_BINARY;
        println!(
            "{name}: {} bytes of {MAX_BINARY}{}",
            found.len(),
            if small { "" } else { ": TOO LARGE" }
        );
        counts.add(small);
    }
    if counts.passed + counts.failed == 0 {
        println!("there are no release builds");
    }
    Ok(counts)
}

/// The linters of CloudFormation templates. Neither asks AWS anything.
fn template() -> Result<Counts> {
    let mut counts = checked({
        let mut command = tool("cfn-lint")?;
        command.arg("template.yaml");
        command
    })?;
    let mut sam = Command::new(scratch().join("sam/bin/sam"));
    sam.current_dir(root())
        .args(["validate", "--lint", "--template", "template.yaml"])
        .env("PATH", path_with_tools())
        .env("SAM_CLI_TELEMETRY", "0")
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test");
    counts.join(checked(sam)?);
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::Counts;

    fn check(succeeded: bool, output: &str, expected: (usize, usize)) {
        let counts = Counts::from_output(succeeded, output);
        assert_eq!((counts.passed, counts.failed), expected, "{output}");
    }

    #[test]
    fn closing_lines_of_runners_are_added_up() {
        check(
            true,
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured\n2 passed, 0 failed",
            (5, 0),
        );
        check(
            false,
            "     Summary [   0.021s] 12 tests run: 9 passed, 2 failed, 1 timed out, 4 skipped",
            (9, 3),
        );
        check(
            true,
            "\u{1b}[32m     Summary\u{1b}[0m [   0.1s] 4 tests run: \u{1b}[1m4\u{1b}[0m passed, 0 skipped",
            (4, 0),
        );
        check(
            false,
            "    test result: FAILED. 0 passed; 1 failed; 0 ignored\n Summary [ 0.083s] 4 tests run: 2 passed, 2 failed",
            (2, 2),
        );
        check(true, "a line that says 7 passed, in prose", (0, 0));
    }

    #[test]
    fn a_failed_run_without_a_count_is_one_failure() {
        check(false, "error: could not compile", (0, 1));
    }
}
