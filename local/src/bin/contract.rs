//! `cargo contract`: makes a contract in a deployed table and shows its keys, tokens and its first
//! administrator's invitation, once; invites people to contracts without a working administrator.

#![expect(clippy::print_stdout, reason = "a command-line tool talks to its user")]

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use clap::{Args, Parser, Subcommand, ValueEnum};
use local::seed::{self, Maker, NewContract};
use shared::clock::{Clock as _, SystemClock};
use shared::domain::ids::{ContractId, SeatId};
use shared::domain::role::Role;
use shared::domain::schema::CrmKind;
use shared::domain::seat::SeatInput;
use shared::invitation::NewInvitation;
use shared::random::{Random, SystemRandom};
use shared::store::Store;
use shared::vault::{Vault, VaultSpec};
use url::Url;

/// Contracts of a deployment. Uses the AWS credentials and region of the environment.
#[derive(Parser)]
#[command(name = "cargo contract", bin_name = "cargo contract")]
struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Makes a contract, with a strategy, mappings, forms, a token for each role, and its first
    /// administrator
    Create(Create),
    /// Invites a person, anew where a seat has that e-mail address; for operators: people of the
    /// contract do this themselves
    Invite(Invite),
}

#[derive(Args)]
struct Create {
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
    /// The key of sealed secrets: kms: and the ARN of the key (an output of the deployment)
    #[arg(long)]
    vault: VaultSpec,
    /// The first administrator's name
    #[arg(long, requires = "admin_email")]
    admin_name: Option<String>,
    /// The address that the first administrator signs in to the CRM, or to Microsoft, with
    #[arg(long, requires = "admin_name", requires = "public_url")]
    admin_email: Option<String>,
    /// The address that people use (an output of the deployment: `ApiUrl`)
    #[arg(long, requires = "admin_email")]
    public_url: Option<Url>,
}

#[derive(Args)]
struct Invite {
    /// The contract
    #[arg(long)]
    id: ContractId,
    /// The person's name
    #[arg(long)]
    name: String,
    /// The address that the person signs in with
    #[arg(long)]
    email: String,
    /// The person's role
    #[arg(long, default_value = "administrator")]
    role: SeatRole,
    /// The table (an output of the deployment)
    #[arg(long)]
    table: String,
    /// The address that people use (an output of the deployment: `ApiUrl`)
    #[arg(long)]
    public_url: Url,
}

#[derive(Clone, Copy, ValueEnum)]
enum Crm {
    Salesforce,
    Dynamics365,
}

#[derive(Clone, Copy, ValueEnum)]
enum SeatRole {
    Administrator,
    Salesperson,
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Arguments::parse().action {
        Action::Create(create) => run_create(create).await,
        Action::Invite(invite) => run_invite(invite).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // The message alone: a backtrace would hide it.
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run_create(create: Create) -> Result<()> {
    // Checked before anything is made.
    let administrator = match (create.admin_name, create.admin_email, create.public_url) {
        (Some(name), Some(email), Some(public_url)) => {
            let role = Role::Administrator;
            let person = SeatInput { name, email, role }.checked();
            Some((person.map_err(|problem| seed::told(&problem))?, public_url))
        }
        _ => None,
    };
    let aws = shared::aws::sdk_config().await;
    let random: Arc<dyn Random> = Arc::new(SystemRandom);
    let store = Store::new(shared::aws::dynamodb(&aws), create.table);
    let vault = Vault::from_spec(&create.vault, &aws, random.clone())?;
    let maker = Maker {
        store: &store,
        vault: &vault,
        random: random.as_ref(),
        now: SystemClock.now(),
    };
    let new = NewContract {
        id: create.id,
        name: create.name,
        crm: match create.crm {
            Crm::Salesforce => CrmKind::Salesforce,
            Crm::Dynamics365 => CrmKind::Dynamics365,
        },
        fixed: None,
        linkedin_owners: Vec::new(),
    };
    let made = maker.make(new).await?;
    println!("{}", serde_json::to_string_pretty(&made)?);
    println!("\nKeep the tokens: they are not shown again.");
    if let Some((person, public_url)) = administrator {
        let invitation = NewInvitation::new(random.as_ref(), maker.now);
        let email = person.email.clone();
        let seat = maker.invite(&made.id, person, &invitation).await?;
        show(&invitation, &public_url, &made.id, seat, &email);
    } else {
        println!(
            "\nNobody can sign in yet. Invite the first administrator:\n  cargo contract invite --id {} --name 'Ada Lovelace' --email ada@example.com --table … --public-url https://…",
            made.id
        );
    }
    Ok(())
}

async fn run_invite(invite: Invite) -> Result<()> {
    let aws = shared::aws::sdk_config().await;
    let store = Store::new(shared::aws::dynamodb(&aws), invite.table);
    let now = SystemClock.now();
    let invitation = NewInvitation::new(&SystemRandom, now);
    let person = SeatInput {
        name: invite.name,
        email: invite.email.clone(),
        role: match invite.role {
            SeatRole::Administrator => Role::Administrator,
            SeatRole::Salesperson => Role::Salesperson,
        },
    };
    let seat = seed::invite(&store, &SystemRandom, now, &invite.id, person, &invitation).await?;
    show(
        &invitation,
        &invite.public_url,
        &invite.id,
        seat,
        &invite.email,
    );
    Ok(())
}

/// Shows the links of an invitation, once.
fn show(
    invitation: &NewInvitation,
    public_url: &Url,
    contract: &ContractId,
    seat: SeatId,
    email: &str,
) {
    let links = invitation.links(public_url, contract, seat);
    println!(
        "\nSend one of these links to {email}. It works once, for seven days, for whom the provider\nknows by that address, and is not shown again.\n  who signs in with Salesforce: {}\n  who signs in with Microsoft:  {}",
        links.salesforce, links.entra
    );
}
