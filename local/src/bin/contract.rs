//! `cargo contract create`: makes a contract in a deployed table and shows its keys and tokens, once.

#![expect(clippy::print_stdout, reason = "a command-line tool talks to its user")]

use std::sync::Arc;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};
use local::seed::{Maker, NewContract};
use shared::clock::{Clock as _, SystemClock};
use shared::domain::ids::ContractId;
use shared::domain::schema::CrmKind;
use shared::random::{Random, SystemRandom};
use shared::store::Store;
use shared::vault::{Vault, VaultSpec};

/// Contracts of a deployment. Uses the AWS credentials and region of the environment.
#[derive(Parser)]
#[command(name = "cargo contract", bin_name = "cargo contract")]
struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Makes a contract, with a strategy, mappings, forms, and a token for each role
    Create {
        /// Its id: 3 to 40 lowercase letters, digits and hyphens
        #[arg(long)]
        id: ContractId,
        /// The customer's name
        #[arg(long)]
        name: String,
        /// The CRM it uses
        #[arg(long)]
        crm: Crm,
        /// The table (an output of the deployment)
        #[arg(long)]
        table: String,
        /// Where the key of sealed secrets is: kms:<key arn> (an output of the deployment)
        #[arg(long)]
        vault: VaultSpec,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Crm {
    Salesforce,
    Dynamics365,
}

#[tokio::main]
async fn main() -> Result<()> {
    let Action::Create {
        id,
        name,
        crm,
        table,
        vault,
    } = Arguments::parse().action;
    let aws = shared::aws::sdk_config().await;
    let random: Arc<dyn Random> = Arc::new(SystemRandom);
    let store = Store::new(shared::aws::dynamodb(&aws), table);
    let vault = Vault::from_spec(&vault, &aws, random.clone())?;
    let crm = match crm {
        Crm::Salesforce => CrmKind::Salesforce,
        Crm::Dynamics365 => CrmKind::Dynamics365,
    };
    let maker = Maker {
        store: &store,
        vault: &vault,
        random: random.as_ref(),
        now: SystemClock.now(),
    };
    let new = NewContract {
        id,
        name,
        crm,
        fixed: None,
        linkedin_owners: Vec::new(),
    };
    let made = maker.make(new).await?;
    println!("{}", serde_json::to_string_pretty(&made)?);
    println!(
        "\nKeep the tokens: they are not shown again. Connect the CRM next: POST /oauth/…/start."
    );
    Ok(())
}
