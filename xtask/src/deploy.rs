//! `cargo xtask deploy`: release binaries by cargo-lambda, then the template.

use std::process::Command;

use anyhow::{Context, Result};

use crate::{
    aws::Emulator,
    process::{http, path_with_tools, root, scratch, succeed, target, tool},
};

/// The target of a deployment, and its options.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Let sam ask for the stack's name, region and parameters, and keep the answers
    #[arg(long)]
    guided: bool,
    /// Deploy to `LocalStack` on this machine instead of AWS
    #[arg(long)]
    localstack: bool,
    /// Address of `LocalStack`
    #[arg(long, default_value = "http://127.0.0.1:4566")]
    endpoint: String,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    if options.localstack {
        to_localstack(&options.endpoint)
    } else {
        to_aws(options.guided)
    }
}

/// `sam build` calls cargo-lambda for each function; `sam deploy` packages and deploys.
fn to_aws(guided: bool) -> Result<()> {
    let sam = || {
        let mut command = Command::new(scratch().join("sam/bin/sam"));
        command
            .current_dir(root())
            .env("PATH", path_with_tools())
            .env("SAM_CLI_TELEMETRY", "0");
        command
    };
    succeed(sam().args(["build", "--template", "template.yaml"]))?;
    let mut deploy = sam();
    deploy.arg("deploy");
    if guided {
        deploy.arg("--guided");
    }
    succeed(&mut deploy)
}

/// `LocalStack` has HTTP APIs in its paid plans only. Without them the template deploys all the
/// same, and each HTTP function gets an address of its own.
fn to_localstack(endpoint: &str) -> Result<()> {
    let (_, health) = http("GET", &format!("{endpoint}/_localstack/health"), &[], b"")
        .context("LocalStack does not answer; start it with `docker compose up --detach`")?;
    let has_http_apis = health.contains("\"apigatewayv2\"");
    succeed(tool("cargo-lambda")?.args(["lambda", "build", "--release", "--compiler", "cargo"]))?;
    let emulator = Emulator {
        endpoint: endpoint.to_owned(),
        region: "us-east-1".to_owned(),
    };
    emulator.deploy(
        &scratch().join("localstack"),
        |name| target().join("lambda").join(name).join("bootstrap"),
        &[("DeletionProtection", "false".to_owned())],
        |outputs| {
            if has_http_apis {
                let address = emulator.api_address(outputs)?;
                println!("the HTTP API is at {address}");
                return Ok(address);
            }
            for function in ["form-intake", "console"] {
                println!("{function} is at {}", emulator.function_address(function)?);
            }
            let address = emulator.function_address("oauth-callback")?;
            println!("oauth-callback is at {address}");
            Ok(address)
        },
    )?;
    println!("deployed");
    Ok(())
}
