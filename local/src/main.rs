//! `cargo dev`: starts the whole product with demo data, prints the addresses, and ends on Ctrl-C.

#![expect(clippy::print_stdout, reason = "a command-line tool talks to its user")]

use std::fs::File;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::Parser;
use local::demo::{self, Demo, Place, SimulatorAddresses};
use local::{Options, Stack, TABLE, company};
use serde_json::json;
use tracing_subscriber::EnvFilter;

/// Runs Leadbridge on this machine: all functions, the table, the queue, and simulated CRMs.
#[derive(Parser)]
#[command(name = "cargo dev", bin_name = "cargo dev")]
struct Arguments {
    /// First of six ports: the product, Salesforce, Dataverse, LinkedIn, their controls, AWS.
    #[arg(long, default_value_t = 8600)]
    port: u16,
    /// Forget everything and start anew.
    #[arg(long)]
    reset: bool,
    /// Begin a new state with the two contracts alone, without a company's two months.
    #[arg(long)]
    bare: bool,
    /// The folder for state and `dev.json`.
    #[arg(long, default_value = ".leadbridge")]
    folder: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        // The message alone: a backtrace would hide it.
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Shows the functions' log from now on.
fn show_log() {
    tracing_subscriber::fmt()
        .with_env_filter(
            EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| EnvFilter::new("warn,dynoxide=error,form_intake=info,crm_writeback=info,lead_resync=warn,console=info,oauth_callback=info,leadbridge::metrics=info")),
        )
        .with_writer(std::io::stderr)
        .init();
}

/// Takes a folder until the end: another start must not throw away a state that is in use.
fn occupy(folder: &Path) -> Result<File> {
    let lock = File::create(folder.join("dev.lock")).context("cannot write dev.lock")?;
    lock.try_lock().with_context(|| {
        format!(
            "cargo dev runs in {} already: end it first, or choose another --folder",
            folder.display()
        )
    })?;
    Ok(lock)
}

async fn run() -> Result<()> {
    let arguments = Arguments::parse();
    std::fs::create_dir_all(&arguments.folder)
        .with_context(|| format!("cannot make the folder {}", arguments.folder.display()))?;
    let folder = arguments.folder.canonicalize()?;
    let state = folder.join("dev");
    let description = folder.join("dev.json");
    let _lock = occupy(&folder)?;
    let _ = std::fs::remove_file(&description);
    if arguments.reset {
        company::forget(&state)?;
    }
    let new_company = company::begin(&state, !arguments.bare)?;
    // The log of a company's two months would fill the terminal; what fails in it is told.
    if !new_company {
        show_log();
    }
    let mut stack = Stack::start(Options {
        port: Some(arguments.port),
        state: Some(state),
        // The stored state has the CRMs' former addresses: these are corrected first.
        drive: false,
    })
    .await?;
    let simulator = SimulatorAddresses::of(&stack)?;
    if new_company {
        stack.door().close(0, company::DAYS);
        make_company(&stack, &simulator).await?;
        show_log();
    }
    let import = &stack.apps().import;
    let place = Place {
        remote: &import.remote,
        queue: &import.queue,
        public_url: &stack.url.parse()?,
        simulator: &simulator,
    };
    let contracts = demo::contracts(&place).await?;
    stack.drive();
    stack.door().open();
    describe(&description, &stack, &simulator, &contracts)?;
    welcome(&stack, &simulator, &contracts, &description);

    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result?,
        _ = terminate.recv() => {}
    }
    println!(
        "\nStopping; the state stays in {}.",
        stack.folder().display()
    );
    let _ = std::fs::remove_file(&description);
    stack.stop().await;
    Ok(())
}

/// Makes the company, and says how far it is where somebody looks on.
async fn make_company(stack: &Stack, simulator: &SimulatorAddresses) -> Result<()> {
    let (watched, started) = (std::io::stdout().is_terminal(), Instant::now());
    println!(
        "Making a company with two months behind it, for this new state, in the background: {}/app
  tells how far it is, and opens when it is there. (With --bare there is nothing to wait for.)",
        stack.url
    );
    let progress = |day: i64, of: i64| {
        stack.door().close(day, of);
        if watched {
            print!("\r  day {day} of {of} ");
            let _ = std::io::stdout().flush();
        }
    };
    Box::pin(company::make(stack, simulator, &progress)).await?;
    let end = if watched { "\r" } else { "" };
    println!("{end}  made in {} s.", started.elapsed().as_secs());
    if let Err(error) = company::keep(stack) {
        println!("  no copy of it is kept for the next --reset: {error:#}");
    }
    Ok(())
}

/// `dev.json`, written last and all at once: if it exists, everything runs.
fn describe(
    path: &Path,
    stack: &Stack,
    simulator: &SimulatorAddresses,
    contracts: &[Demo],
) -> Result<()> {
    let address = |url: &url::Url| url.as_str().trim_end_matches('/').to_owned();
    let text = serde_json::to_string_pretty(&json!({
        "functions": {"form_intake": stack.url, "oauth_callback": stack.url, "console": stack.url},
        "simulator": {
            "salesforce": address(&simulator.salesforce), "dataverse": address(&simulator.dataverse),
            "linkedin": address(&simulator.linkedin), "control": address(&simulator.control), "ca_file": simulator.ca_file,
        },
        "aws": {
            "endpoint": stack.aws_endpoint, "region": "us-east-1", "table": TABLE,
            "writeback_queue_url": stack.queue_url, "writeback_dlq_url": stack.dead_letter_queue_url,
            "import_queue_url": stack.import_queue_url,
        },
        "env": stack.variables,
        "contracts": contracts,
    }))?;
    let temporary = path.with_extension("json.new");
    std::fs::write(&temporary, text)?;
    Ok(std::fs::rename(&temporary, path)?)
}

fn welcome(stack: &Stack, simulator: &SimulatorAddresses, contracts: &[Demo], description: &Path) {
    let [salesforce_demo, dynamics_demo] = contracts else {
        return;
    };
    let (salesforce, dynamics) = (&salesforce_demo.made, &dynamics_demo.made);
    let people: Vec<String> = [salesforce_demo, dynamics_demo]
        .into_iter()
        .flat_map(|demo| demo.seats.iter().map(move |seat| (&demo.made.id, seat)))
        .map(|(contract, seat)| {
            format!(
                "     {contract}, as {}:\n       {}",
                seat.email, seat.sign_in
            )
        })
        .collect();
    let url = &stack.url;
    let control = simulator.control.as_str().trim_end_matches('/');
    println!(
        "Leadbridge runs. Ctrl-C ends it; the state is kept in {folder} (--reset starts anew).

  the product          {url}   /app  /forms  /webhooks  /oauth  /api/v1
  API description      {url}/api/v1/openapi.json
  Salesforce           {sf}   (simulated, https and http)
  Dynamics 365         {dv}   (simulated)
  LinkedIn             {li}   (simulated)
  simulator controls   {control}
  DynamoDB and SQS     {aws}
  all of this          {description}

Contracts: {sf_id} (Salesforce) and {dv_id} (Dynamics 365). Try:

  1. A website form becomes a lead in Salesforce:
     curl -s {url}/forms/{form} -H 'content-type: application/json' -H 'idempotency-key: 1' \\
       -d '{{\"email\":\"ada@example.com\",\"first_name\":\"Ada\",\"last_name\":\"Lovelace\",\"company\":\"Analytical Engines\",\"phone\":\"+442079460958\"}}'

  2. What became of it, and the lead in the CRM:
     curl -s {url}/api/v1/submissions -H 'authorization: Bearer {token}'
     curl -s {control}/records/salesforce/Lead

  3. A LinkedIn lead, delivered twice at once, becomes one lead in Dynamics 365:
     curl -s {control}/linkedin/leads -d '{{\"account\":\"123\",\"form\":\"7234246\",\"answers\":{{\"EMAIL\":\"grace@example.com\",\"FIRST_NAME\":\"Grace\",\"LAST_NAME\":\"Hopper\",\"COMPANY_NAME\":\"Compilers\"}},
       \"deliver\":{{\"url\":\"{url}/webhooks/linkedin/{dv_id}\",\"client_secret\":\"{secret}\",\"times\":2,\"concurrent\":true}}}}'
     curl -s {control}/records/dataverse/lead

  4. The connection to the CRM and its first import:
     curl -s {url}/api/v1/crm-connections/production -H 'authorization: Bearer {token}'

  5. Sign in, in a browser. The CRM's own sign-in page there is the simulator's, whose certificate
     ({ca_file}) a browser asks about once:
{people}
",
        folder = stack.folder().display(),
        sf = simulator.salesforce.as_str().trim_end_matches('/'),
        dv = simulator.dataverse.as_str().trim_end_matches('/'),
        li = simulator.linkedin.as_str().trim_end_matches('/'),
        aws = stack.aws_endpoint,
        description = description.display(),
        sf_id = salesforce.id,
        dv_id = dynamics.id,
        form = salesforce.form_key,
        token = salesforce.tokens.administrator,
        secret = dynamics.linkedin_client_secret,
        ca_file = simulator.ca_file.display(),
        people = people.join("\n"),
    );
}

#[cfg(test)]
mod tests {
    use super::occupy;

    #[test]
    fn a_folder_is_of_one_start_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = occupy(folder.path()).unwrap();
        assert!(occupy(folder.path()).is_err());
        drop(first);
        assert!(occupy(folder.path()).is_ok());
    }
}
