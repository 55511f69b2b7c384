//! Set-up, test, bench and deploy helpers, run as `cargo xtask <command>`.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a command-line tool talks to its user and reads its environment"
)]

mod api;
mod aws;
mod browser;
mod clients;
mod deploy;
mod events;
mod fuzz;
mod phones;
mod process;
mod product;
mod screenshots;
mod setup;
mod soak;
mod stack;
mod test;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Set-up, test, bench and deploy helpers.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

/// One helper each.
#[derive(Subcommand)]
enum Task {
    /// Install the tools the other commands need into .leadbridge
    Setup,
    /// Run every check and test, and print the number that passed
    Test(test::Options),
    /// Deploy the template with its functions on an emulator of AWS on this machine
    Stack {
        #[command(subcommand)]
        action: stack::Action,
    },
    /// Run the end-to-end suite against a deployed stack
    StackTest(stack::Ports),
    /// Invoke the functions with every payload in events/ through `cargo lambda`
    Events(events::Options),
    /// Serve the functions by `cargo lambda watch`, on the emulators of the `cargo dev` that runs
    Watch {
        /// Arguments of `cargo lambda watch`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Hold the API to its description with schemathesis
    Api,
    /// Run the third-party clients against the simulator
    Clients,
    /// Read 100,000 phone numbers beside the reference implementation
    Phones,
    /// Fuzz the parsers of external input
    Fuzz(fuzz::Options),
    /// Run random histories (`--minutes`, `--histories`, `--from`, `--model`, `--jobs`)
    Soak {
        /// Arguments of the soak program
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Take pictures of every page, as each role sees it: light and dark, narrow and wide
    Screenshots(screenshots::Options),
    /// Measure; arguments go to the bench program
    Bench {
        /// Arguments of the bench program
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Build the functions and deploy the template
    Deploy(deploy::Options),
}

fn main() -> ExitCode {
    match dispatch(Cli::parse().task) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a task; `false` means that it ran and something in it failed.
fn dispatch(task: Task) -> Result<bool> {
    match task {
        Task::Setup => setup::run().map(|()| true),
        Task::Test(options) => Ok(test::run(&options)),
        Task::Stack { action } => stack::run(&action).map(|()| true),
        Task::StackTest(ports) => stack::test(&ports).map(|counts| counts.failed == 0),
        Task::Events(options) => events::run(&options).map(|counts| counts.failed == 0),
        Task::Watch { arguments } => events::serve(&arguments).map(|()| true),
        Task::Api => api::run().map(|counts| counts.failed == 0),
        Task::Clients => clients::run().map(|counts| counts.failed == 0),
        Task::Phones => phones::run().map(|counts| counts.failed == 0),
        Task::Fuzz(options) => fuzz::run(&options).map(|counts| counts.failed == 0),
        Task::Soak { arguments } => soak::run(&arguments).map(|counts| counts.failed == 0),
        Task::Screenshots(options) => screenshots::run(&options),
        Task::Bench { arguments } => {
            let mut command = process::cargo(["run", "--release", "-p", "bench", "--"]);
            process::succeed(command.args(arguments)).map(|()| true)
        }
        Task::Deploy(options) => deploy::run(&options).map(|()| true),
    }
}
