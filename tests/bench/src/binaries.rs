//! The release binaries: their size, their time to be ready, and the memory they need.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use local::demo::{self, Place, SimulatorAddresses};
use local::seed::Made;
use serde_json::{Value, json};

use crate::lambda;
use crate::meter::ms;
use crate::report::{Row, Samples, Section, Target};
use crate::rig::{self, Rig};

/// The functions, whether they are behind HTTP, and the event that each answers.
const FUNCTIONS: &[(&str, bool, &str)] = &[
    ("form-intake", true, "website-form-json"),
    ("console", true, "submissions"),
    ("oauth-callback", true, "callback-unknown-state"),
    ("crm-writeback", false, ""),
    ("crm-import", false, "resume"),
    ("lead-resync", false, "sweep"),
];
const HELLO: &str = "hello-function";
const HELLO_HTTP: &str = "hello-http-function";
const RUNS: usize = 11;
/// The files in which distributions list the certificate authorities they trust.
const BUNDLES: &[&str] = &[
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/certs/ca-certificates.crt",
];

#[derive(Default)]
struct Taken {
    init: Samples,
    cpu: Samples,
    memory: Samples,
}

/// Measures.
pub(crate) fn run(quick: bool) -> Result<Section> {
    let mut section = Section::new("binaries");
    let mut binaries = build(&[], &mut section)?;
    binaries.extend(build(
        &["-p", "bench", "--bin", HELLO, "--bin", HELLO_HTTP],
        &mut section,
    )?);
    let rig = Rig::start()?;
    let addresses = SimulatorAddresses::of(&rig.stack)?;
    let import = &rig.stack.apps().import;
    let place = Place {
        remote: &import.remote,
        queue: &import.queue,
        public_url: &rig.stack.url.parse()?,
        simulator: &addresses,
    };
    let contracts = rig.behind(demo::contracts(&place))?;
    let made = &contracts.first().context("no demo contract")?.made;
    let mut variables = rig.stack.variables.clone();
    let trusted = rig.stack.folder().join("trusted.pem");
    section.note(trust(&trusted, rig.stack.simulator.ca_file())?);
    variables.insert("SSL_CERT_FILE".to_owned(), trusted.display().to_string());
    let runs = if quick { 3 } else { RUNS };
    let mut taken: BTreeMap<&str, Taken> = BTreeMap::new();
    let hellos = [(HELLO, false), (HELLO_HTTP, true)];
    let functions = FUNCTIONS.iter().map(|(name, http, _)| (*name, *http));
    let all: Vec<(&str, bool)> = hellos.into_iter().chain(functions).collect();
    // The first run finds the files on the disk; later ones in memory, as all of them should be.
    for run in 0..=runs {
        for (name, http) in &all {
            let event = event(&rig, made, name, run)?;
            let binary = binaries
                .get(*name)
                .with_context(|| format!("cargo made no {name}"))?;
            let life = rig.behind(lambda::live(binary, &variables, &event))?;
            check(name, *http, &life.answer)?;
            if run > 0 {
                let taken = taken.entry(name).or_default();
                taken.init.push(ms(life.init));
                taken.cpu.push(ms(life.init_cpu));
                taken.memory.push(life.peak_memory);
            }
        }
    }
    for (name, http) in &all {
        let hello = if *http { HELLO_HTTP } else { HELLO };
        if hello == *name {
            continue;
        }
        let (Some(ours), Some(bare)) = (taken.get(name), taken.get(hello)) else {
            continue;
        };
        let sizes = (megabytes(&binaries, name)?, megabytes(&binaries, hello)?);
        section.row(
            Row::new(format!("{name}, size"), "MB", sizes.0)
                .beside(sizes.1)
                .target(Target::AtMost(15.0)),
        );
        section.row(
            Row::new(format!("{name}, init"), "ms", ours.init.median())
                .beside(bare.init.median())
                .target(Target::Ratio(3.0)),
        );
        section.row(
            Row::new(
                format!("{name}, init, processor time"),
                "ms",
                ours.cpu.median(),
            )
            .beside(bare.cpu.median()),
        );
        section.row(
            Row::new(format!("{name}, peak memory"), "MB", ours.memory.median())
                .beside(bare.memory.median()),
        );
    }
    section.note(format!(
        "Init: from the start of the process to its first request for an event; medians of {runs} runs, in turns.",
    ));
    section.note("Baseline: a hello-world function, behind HTTP for those that are.");
    rig.stop();
    Ok(section)
}

/// Builds release binaries if cargo finds them missing or stale; returns their paths.
fn build(arguments: &[&str], section: &mut Section) -> Result<BTreeMap<String, PathBuf>> {
    eprintln!("cargo build --release {}", arguments.join(" "));
    let mut command = Command::new("cargo");
    command
        .current_dir(crate::root())
        .args([
            "build",
            "--release",
            "--message-format=json-render-diagnostics",
        ])
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    // The environment of the outer `cargo run` would make the inner one build anew.
    for (name, _) in std::env::vars_os() {
        let inherited =
            |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST");
        if name.to_str().is_some_and(inherited) {
            command.env_remove(name);
        }
    }
    let output = command.output().context("cannot start cargo")?;
    ensure!(
        output.status.success(),
        "the release binaries cannot be built"
    );
    let mut found = BTreeMap::new();
    let mut built = Vec::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Ok(message) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        let Some(path) = message.get("executable").and_then(Value::as_str) else {
            continue;
        };
        let path = PathBuf::from(path);
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if message.get("fresh") == Some(&Value::Bool(false)) {
            built.push(name.clone());
        }
        found.insert(name, path);
    }
    if !built.is_empty() {
        section.note(format!("Built before measuring: {}.", built.join(", ")));
    }
    Ok(found)
}

/// Trusts this machine's authorities beside the simulator's: reading them is a part of init, which a single
/// certificate would hide.
fn trust(file: &Path, simulator: &Path) -> Result<String> {
    let mut text = std::fs::read_to_string(simulator)?;
    let own = BUNDLES
        .iter()
        .find_map(|path| std::fs::read_to_string(path).ok());
    text.push_str(own.as_deref().unwrap_or_default());
    std::fs::write(file, &text)?;
    let count = text.matches("BEGIN CERTIFICATE").count();
    Ok(format!(
        "The functions trust {count} certificates, in the one file that SSL_CERT_FILE names. Without it they would read the machine's whole folder besides."
    ))
}

fn megabytes(binaries: &BTreeMap<String, PathBuf>, name: &str) -> Result<f64> {
    let path = binaries
        .get(name)
        .with_context(|| format!("cargo made no {name}"))?;
    let bytes = u32::try_from(std::fs::metadata(path)?.len())?;
    Ok(f64::from(bytes) / 1e6)
}

fn event(rig: &Rig, made: &Made, name: &str, run: usize) -> Result<Value> {
    let read = |folder: &str, file: &str| -> Result<Value> {
        let path = crate::root()
            .join("events")
            .join(folder)
            .join(format!("{file}.json"));
        Ok(serde_json::from_str(&std::fs::read_to_string(&path)?)?)
    };
    match name {
        HELLO => Ok(json!({"name": "world"})),
        HELLO_HTTP => read("form-intake", "website-form-json"),
        // Real work rather than a repeat: another key, another submission each time.
        "form-intake" => {
            let mut event = read(name, "website-form-json")?;
            if let Some(headers) = event.get_mut("headers") {
                let key = format!("bench-{run}");
                headers["idempotency-key"] = Value::from(key);
            }
            Ok(event)
        }
        "crm-writeback" => {
            let router = form_intake::router(rig.stack.apps().intake.clone());
            let submission = rig.behind(rig::submit(&router, made, &rig::person(run)))?;
            Ok(rig::queue_event(made, &submission))
        }
        name => {
            let (.., file) = FUNCTIONS
                .iter()
                .find(|(known, ..)| *known == name)
                .context("a function without an event")?;
            read(name, file)
        }
    }
}

/// A function that fails fast would look good.
fn check(name: &str, http: bool, answer: &Value) -> Result<()> {
    let status = answer.get("statusCode").and_then(Value::as_u64);
    let fine = match name {
        "form-intake" => status == Some(202),
        // The sign-in that it returns from was never started.
        "oauth-callback" => status.is_some_and(|status| status < 500),
        "crm-writeback" => answer.pointer("/batchItemFailures/0").is_none(),
        _ => !http || status == Some(200),
    };
    ensure!(fine, "{name} did not do its work: {answer}");
    Ok(())
}
