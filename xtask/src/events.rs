//! `cargo xtask events`: every payload in events/ goes through `cargo lambda invoke`, to functions
//! that `cargo lambda watch` serves.
//!
//! Left to itself, `cargo lambda watch` builds each function alone, and so all its dependencies
//! with other features than the tests'. Here it serves the Lambda APIs only, and the functions
//! are the binaries that are there already.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{
    aws::functions,
    process::{
        Daemon, build, http, listens, port_is_free, read, root, scratch, succeed, target, tool,
    },
    product::{self, Data},
    test::Counts,
};

/// The ports of the functions, and the payloads to send.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Port of `cargo lambda watch`
    #[arg(long, default_value_t = Options::default().port)]
    port: u16,
    /// Port of the embedded stack, if this starts one
    #[arg(long, default_value_t = Options::default().dev_port)]
    dev_port: u16,
    /// Only payloads whose path contains this
    #[arg(long)]
    only: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 4790,
            dev_port: 4700,
            only: None,
        }
    }
}

const WATCH: &str = "cargo-lambda-watch";

/// Serves the functions, sends the payloads, checks the answers, and ends its programs.
pub(crate) fn run(options: &Options) -> Result<Counts> {
    // Remains of an earlier run, if it was interrupted.
    Daemon::stop(WATCH)?;
    port_is_free(options.port, "--port")?;
    let names = functions()?;
    build()?;
    // With an endpoint given, the caller's environment is the functions'.
    let embedded = match std::env::var_os("AWS_ENDPOINT_URL") {
        Some(_) => None,
        None => Some(product::start(
            "events",
            options.dev_port,
            "--dev-port",
            Data::Bare,
        )?),
    };
    let variables = embedded
        .as_ref()
        .map(|(_, description)| variables(description))
        .transpose()?
        .unwrap_or_default();

    let address = [
        "--invoke-address",
        "127.0.0.1",
        "--invoke-port",
        &options.port.to_string(),
    ]
    .map(str::to_owned);
    let mut command = tool("cargo-lambda")?;
    // The functions answer preflight requests themselves.
    command
        .args(["lambda", "watch", "--only-lambda-apis", "--disable-cors"])
        .args(&address);
    let watch = Daemon::start(WATCH, &mut command)?;
    let base = format!("http://127.0.0.1:{}", options.port);
    watch.wait(30, || listens(options.port).then_some(()))?;
    let _functions = names
        .iter()
        .map(|name| serve_binary(name, &base, &variables))
        .collect::<Result<Vec<_>>>()?;

    let mut counts = Counts::default();
    for name in &names {
        for payload in payloads(&root().join("events").join(name))? {
            let shown = payload
                .strip_prefix(root())
                .unwrap_or(&payload)
                .display()
                .to_string();
            if options
                .only
                .as_ref()
                .is_some_and(|part| !shown.contains(part.as_str()))
            {
                continue;
            }
            let outcome = invoke(name, &payload, &address);
            println!(
                "{} {shown}",
                if outcome.is_ok() { "ok    " } else { "FAILED" }
            );
            if let Err(error) = &outcome {
                println!("{error:#}");
            }
            counts.add(outcome.is_ok());
        }
    }
    for (function, method, path, body, expected) in ROUTED {
        if options
            .only
            .as_ref()
            .is_some_and(|part| !path.contains(part.as_str()))
        {
            continue;
        }
        let body = match body {
            Some(file) => fs::read(
                root()
                    .join("events")
                    .join(function)
                    .join("bodies")
                    .join(file),
            )?,
            None => Vec::new(),
        };
        let answer = http(
            method,
            &format!("{base}{path}"),
            &[("content-type", "application/json")],
            &body,
        );
        let passed = matches!(&answer, Ok((status, _)) if status == expected);
        println!(
            "{} {method} {path} by the router to {function}",
            if passed { "ok    " } else { "FAILED" }
        );
        if !passed {
            println!("expected {expected}, got {answer:?}");
        }
        counts.add(passed);
    }
    if counts.failed > 0 {
        println!(
            "the functions' logs are {}",
            Daemon::log("function-*").display()
        );
    }
    Ok(counts)
}

/// Starts a function's binary, as `cargo lambda watch` would with the same Lambda APIs.
fn serve_binary(name: &str, base: &str, variables: &[(String, String)]) -> Result<Daemon> {
    let mut command = std::process::Command::new(target().join("debug").join(name));
    command
        .env("AWS_LAMBDA_RUNTIME_API", format!("{base}/.rt/{name}"))
        .env("AWS_LAMBDA_FUNCTION_NAME", name)
        .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
        .envs(variables.iter().map(|(name, value)| (name, value)));
    Daemon::start(&format!("function-{name}"), &mut command)
}

/// `cargo xtask watch`: `cargo lambda watch` with the variables of the `cargo dev` that runs.
pub(crate) fn serve(arguments: &[String]) -> Result<()> {
    let file = scratch().join("dev.json");
    let text = fs::read_to_string(&file)
        .with_context(|| format!("failed to read {}; start `cargo dev` first", file.display()))?;
    let mut command = tool("cargo-lambda")?;
    command
        .args(["lambda", "watch", "--disable-cors"])
        .args(arguments);
    // Variables that are set already stay: another endpoint, for one.
    let mut variables = variables(&serde_json::from_str(&text)?)?;
    variables.retain(|(name, _)| std::env::var_os(name).is_none());
    command.envs(variables);
    succeed(&mut command)
}

/// The variables that `cargo dev` says its functions run with.
fn variables(description: &Value) -> Result<Vec<(String, String)>> {
    let env = description
        .get("env")
        .and_then(Value::as_object)
        .context("dev.json names no env")?;
    Ok(env
        .iter()
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect())
}

/// Requests that the workspace's watch router has to bring to the right function.
const ROUTED: &[(&str, &str, &str, Option<&str>, u16)] = &[
    (
        "form-intake",
        "POST",
        "/forms/acme-salesforce.demo-form-000000000001",
        Some("website-form.json"),
        202,
    ),
    (
        "form-intake",
        "GET",
        "/webhooks/linkedin/acme-salesforce?challengeCode=no-uuid",
        None,
        400,
    ),
    (
        "oauth-callback",
        "GET",
        "/oauth/sign-in/salesforce?contract=acme-salesforce",
        None,
        303,
    ),
    ("console", "GET", "/api/v1/openapi.json", None, 200),
    ("console", "GET", "/api/v1/submissions", None, 401),
];

/// The payloads of one function.
fn payloads(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .with_context(|| format!("failed to list {}", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let is_expectation = path
                .with_extension("")
                .extension()
                .is_some_and(|part| part == "expect");
            path.extension().is_some_and(|part| part == "json") && !is_expectation
        })
        .collect();
    files.sort();
    Ok(files)
}

/// Invokes a function and compares its answer with `<name>.expect.json`, if there is one.
fn invoke(function: &str, payload: &Path, address: &[String]) -> Result<()> {
    let mut command = tool("cargo-lambda")?;
    command
        .args([
            "lambda",
            "invoke",
            function,
            "--output-format",
            "json",
            "--data-file",
        ])
        .arg(payload)
        .args(address);
    let text = read(&mut command)?;
    let answer: Value =
        serde_json::from_str(&text).with_context(|| format!("no JSON in the answer: {text}"))?;
    anyhow::ensure!(
        answer.get("errorType").is_none(),
        "the function failed: {answer}"
    );
    let expectation = payload.with_extension("expect.json");
    if expectation.exists() {
        let expected: Value = serde_json::from_str(&fs::read_to_string(&expectation)?)
            .with_context(|| format!("failed to read {}", expectation.display()))?;
        anyhow::ensure!(
            contains(&answer, &expected),
            "expected {expected}, got {answer}"
        );
    }
    Ok(())
}

/// True if `answer` has everything that `expected` names, with the same values.
fn contains(answer: &Value, expected: &Value) -> bool {
    match (answer, expected) {
        (Value::Object(answer), Value::Object(expected)) => expected
            .iter()
            .all(|(key, value)| answer.get(key).is_some_and(|found| contains(found, value))),
        // A body is JSON in a text: the order of its members means nothing.
        (Value::String(answer), Value::String(expected)) => {
            let parsed = |text: &String| serde_json::from_str::<Value>(text).ok();
            answer == expected
                || matches!((parsed(answer), parsed(expected)), (Some(a), Some(b)) if contains(&a, &b))
        }
        _ => answer == expected,
    }
}
