//! Runs the simulator until it is interrupted.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Parser;
use crm_simulator::{Ports, SimConfig, Simulator};

/// Salesforce, Dataverse, LinkedIn and their sign-in, in memory.
#[derive(Parser)]
struct Arguments {
    /// First of four ports: Salesforce, Dataverse, LinkedIn, control. Without: any free ones.
    #[arg(long)]
    port_base: Option<u16>,
    /// Keep the state in this file.
    #[arg(long)]
    state_file: Option<PathBuf>,
    /// Keep the certificates in this folder.
    #[arg(long)]
    tls_dir: Option<PathBuf>,
    /// Start with accounts, people and opportunities, where no state was kept.
    #[arg(long)]
    samples: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let arguments = Arguments::parse();
    let ports = arguments
        .port_base
        .map_or_else(Ports::default, |base| Ports {
            salesforce: base,
            dataverse: base.saturating_add(1),
            linkedin: base.saturating_add(2),
            control: base.saturating_add(3),
        });
    let config = SimConfig {
        ports,
        state_file: arguments.state_file,
        tls_dir: arguments.tls_dir,
        samples: arguments.samples,
        ..SimConfig::default()
    };
    let simulator = Simulator::start(config).await?;
    let urls = serde_json::json!({ "simulator": {
        "salesforce": simulator.salesforce_url(), "dataverse": simulator.dataverse_url(),
        "linkedin": simulator.linkedin_url(), "control": simulator.control_url(),
        "ca_file": simulator.ca_file(),
    } });
    let mut out = std::io::stdout();
    writeln!(out, "{urls}")?;
    out.flush()?;
    tokio::signal::ctrl_c().await?;
    simulator.shutdown().await;
    Ok(())
}
