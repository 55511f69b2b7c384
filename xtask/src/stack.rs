//! `cargo xtask stack`: the template, with the real binaries, on an emulator of AWS, and the
//! simulator of the CRMs beside it. Everything is on this machine and in .leadbridge/stack.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::{
    aws::Emulator,
    process::{Daemon, build, cargo, http, port_is_free, scratch, target, tool, watch},
    test::Counts,
};

/// The actions on the stack.
#[derive(clap::Subcommand)]
pub(crate) enum Action {
    /// Build, start and deploy; write .leadbridge/stack.json
    Up(Ports),
    /// End it and forget its state
    Down,
    /// Show the running programs
    Status,
}

/// The ports of the stack.
#[derive(clap::Args, Clone)]
pub(crate) struct Ports {
    /// Port of the AWS emulator
    #[arg(long, default_value_t = Ports::default().port)]
    port: u16,
    /// First of the simulator's ports
    #[arg(long, default_value_t = Ports::default().simulator_port)]
    simulator_port: u16,
}

impl Default for Ports {
    fn default() -> Self {
        Self {
            port: 4570,
            simulator_port: 4580,
        }
    }
}

const EMULATOR: &str = "ministack";
const SIMULATOR: &str = "crm-simulator";
const REGION: &str = "us-east-1";

/// The apps the simulator knows.
fn oauth_apps() -> Value {
    let app = |name: &str| json!({ "client_id": format!("leadbridge-{name}"), "client_secret": format!("{name}-app-secret") });
    json!({ "salesforce": app("salesforce"), "dataverse": app("dataverse"), "linkedin": app("linkedin") })
}

pub(crate) fn run(action: &Action) -> Result<()> {
    match action {
        Action::Up(ports) => {
            up(ports)?;
            println!(
                "the stack runs; {} tells where, `cargo xtask stack down` ends it",
                description().display()
            );
            Ok(())
        }
        Action::Down => down(),
        Action::Status => {
            for name in [EMULATOR, SIMULATOR] {
                match Daemon::running(name) {
                    Some(id) => println!(
                        "{name} runs as process {id}, log in {}",
                        Daemon::log(name).display()
                    ),
                    None => println!("{name} does not run"),
                }
            }
            Ok(())
        }
    }
}

/// Deploys, runs the end-to-end suite against the deployment, and ends it in any case.
pub(crate) fn test(ports: &Ports) -> Result<Counts> {
    let result = up(ports).and_then(|()| {
        // With the whole workspace, so that what `cargo test --workspace` built is used again.
        let mut command = cargo(["test", "--workspace", "--no-fail-fast", "--test", "flows"]);
        // The modules of that program which run on either stack.
        command.args(["--", "submissions::", "connect_flow::"]);
        watch(command.env("LEADBRIDGE_STACK", description()))
    });
    if !matches!(result, Ok((true, _))) {
        println!("the emulator's log is {}", Daemon::log(EMULATOR).display());
    }
    down()?;
    let (passed, output) = result?;
    Ok(Counts::from_output(passed, &output))
}

fn folder() -> PathBuf {
    scratch().join("stack")
}

fn description() -> PathBuf {
    scratch().join("stack.json")
}

fn down() -> Result<()> {
    Daemon::stop(EMULATOR)?;
    Daemon::stop(SIMULATOR)?;
    for gone in [fs::remove_file(description()), fs::remove_dir_all(folder())] {
        match gone {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

fn up(ports: &Ports) -> Result<()> {
    down()?;
    port_is_free(ports.port, "--port")?;
    fs::create_dir_all(folder())?;

    build()?;
    let started = Instant::now();
    let (simulator, urls) = simulator(ports.simulator_port, &folder())?;
    let bundle = certificates(&urls, &folder())?;
    let (emulator, aws) = emulator(ports.port, &bundle)?;

    let url = |key: &str| {
        urls.get(key)
            .and_then(Value::as_str)
            .with_context(|| format!("the simulator names no {key}"))
    };
    let linkedin = url("linkedin")?;
    let entra = url("entra").or_else(|_| url("dataverse"))?;
    let parameters = [
        (
            "OutboundAllow",
            origins(&urls).into_iter().collect::<Vec<_>>().join(","),
        ),
        ("LinkedInApiUrl", linkedin.to_owned()),
        ("LinkedInAuthUrl", linkedin.to_owned()),
        ("EntraUrl", entra.to_owned()),
        ("DeletionProtection", "false".to_owned()),
        ("LogLevel", "info".to_owned()),
    ];
    let binary = |name: &str| target().join("debug").join(name);
    let outputs = aws.deploy(&folder(), binary, &parameters, |outputs| {
        aws.api_address(outputs)
    })?;

    let secret = outputs.get("OAuthAppsSecret")?;
    let apps = oauth_apps().to_string();
    aws.ask(&[
        "secretsmanager",
        "put-secret-value",
        "--secret-id",
        secret,
        "--secret-string",
        &apps,
    ])?;
    // Six minutes is right for a deployment and too long for a test that waits for a second delivery.
    let queue = outputs.get("WritebackQueueUrl")?;
    aws.ask(&[
        "sqs",
        "set-queue-attributes",
        "--queue-url",
        queue,
        "--attributes",
        "VisibilityTimeout=5",
    ])?;

    let api = outputs.get("ApiUrl")?;
    let description_of_stack = json!({
        "aws_endpoint": aws.endpoint,
        "region": aws.region,
        "credentials": { "access_key_id": "test", "secret_access_key": "test" },
        "table": outputs.get("TableName")?,
        "writeback_queue_url": queue,
        "writeback_dlq_url": outputs.get("WritebackDeadLettersUrl")?,
        "import_queue_url": outputs.get("ImportQueueUrl")?,
        "import_dlq_url": outputs.get("ImportDeadLettersUrl")?,
        "kms_key": outputs.get("KeyArn")?,
        "oauth_apps_secret": secret,
        "functions": { "form_intake": api, "oauth_callback": api, "console": api },
        "simulator": urls,
    });
    fs::write(
        description(),
        serde_json::to_string_pretty(&description_of_stack)?,
    )?;
    println!(
        "deployed template.yaml at {api} in {:.1?}",
        started.elapsed()
    );
    simulator.keep();
    emulator.keep();
    Ok(())
}

/// Builds and starts the simulator; returns the addresses it prints.
pub(crate) fn simulator(port: u16, folder: &Path) -> Result<(Daemon, Value)> {
    port_is_free(port, "--simulator-port")?;
    build()?;
    let mut command = std::process::Command::new(target().join("debug").join(SIMULATOR));
    command
        .args(["--port-base", &port.to_string()])
        .arg("--state-file")
        .arg(folder.join("simulator.json"))
        .arg("--tls-dir")
        .arg(folder.join("tls"));
    let daemon = Daemon::start(SIMULATOR, &mut command)?;
    let urls = daemon.wait(30, || {
        let log = fs::read_to_string(Daemon::log(SIMULATOR)).ok()?;
        let printed = |line: &str| {
            serde_json::from_str::<Value>(line)
                .ok()?
                .get("simulator")
                .cloned()
        };
        log.lines().find_map(printed)
    })?;
    Ok((daemon, urls))
}

/// A file with the system's certificate authorities and the simulator's own.
pub(crate) fn certificates(urls: &Value, folder: &Path) -> Result<PathBuf> {
    let own = urls
        .get("ca_file")
        .and_then(Value::as_str)
        .context("the simulator names no ca_file")?;
    let mut bundle = fs::read_to_string(own).with_context(|| format!("failed to read {own}"))?;
    for system in [
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
    ] {
        if let Ok(text) = fs::read_to_string(system) {
            bundle.push_str(&text);
            break;
        }
    }
    let file = folder.join("certificates.pem");
    fs::write(&file, bundle)?;
    Ok(file)
}

/// The origins in the simulator's addresses, except for its controls. Each of its ports answers http and
/// https.
fn origins(urls: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    match urls {
        Value::String(text) => {
            if let Some((_, rest)) = text.split_once("://") {
                let host = rest.split('/').next().unwrap_or_default();
                found.extend(["http", "https"].map(|scheme| format!("{scheme}://{host}")));
            }
        }
        Value::Object(map) => {
            let systems = map.iter().filter(|(name, _)| *name != "control");
            found.extend(systems.flat_map(|(_, value)| origins(value)));
        }
        Value::Array(list) => found.extend(list.iter().flat_map(origins)),
        _ => {}
    }
    found
}

/// Starts the emulator. It holds the functions to their roles' policies, and they inherit its
/// environment, the certificates included.
fn emulator(port: u16, certificates: &Path) -> Result<(Daemon, Emulator)> {
    let endpoint = format!("http://127.0.0.1:{port}");
    let mut command = tool("ministack")?;
    command
        .current_dir(folder())
        .env("BIND_HOST", "127.0.0.1")
        .env("MINISTACK_HOST", "127.0.0.1")
        .env("MINISTACK_REGION", REGION)
        .env("GATEWAY_PORT", port.to_string())
        .env("AWS_ENDPOINT_URL", &endpoint)
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env_remove("AWS_SESSION_TOKEN")
        .env("AUTH", "true")
        .env("IOT_MTLS_ENABLED", "0")
        .env("PERSIST_STATE", "0")
        .env("S3_DATA_DIR", folder().join("s3"))
        .env("TMPDIR", folder())
        .env("SSL_CERT_FILE", certificates);
    let daemon = Daemon::start(EMULATOR, &mut command)?;
    daemon.wait(60, || {
        http("GET", &format!("{endpoint}/_ministack/health"), &[], b"")
            .ok()
            .filter(|(status, _)| *status == 200)
    })?;
    ensure!(Daemon::running(EMULATOR).is_some(), "{EMULATOR} ended");
    Ok((
        daemon,
        Emulator {
            endpoint,
            region: REGION.to_owned(),
        },
    ))
}
