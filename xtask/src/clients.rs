//! `cargo xtask clients`: third-party clients against the simulator, and our client against a
//! third party's server.
//!
//! Each program in tests/crm-simulator/clients (`*.py`, `*.mjs`) takes a file with the
//! simulator's addresses and closes with `N passed, N failed`, with a non-zero status if any
//! failed. See the README there.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Result, ensure};
use serde_json::json;

use crate::{
    process::{cargo, root, scratch, watch},
    stack,
    test::Counts,
};

/// Ports of the simulator these tests start: beside those of `stack` and of `cargo dev`.
const PORT: u16 = 4680;

/// The module shared by the programs; it is no program itself.
const HELPER: &str = "check.mjs";

/// The folder of the programs and their packages' lists.
pub(crate) fn folder() -> PathBuf {
    root().join("tests/crm-simulator/clients")
}

pub(crate) fn run() -> Result<Counts> {
    let state = scratch().join("clients");
    if state.exists() {
        fs::remove_dir_all(&state)?;
    }
    fs::create_dir_all(&state)?;
    let (_simulator, urls) = stack::simulator(PORT, &state)?;
    let addresses = state.join("addresses.json");
    fs::write(&addresses, json!({ "simulator": urls }).to_string())?;

    let mut names: Vec<String> = fs::read_dir(folder())?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name != HELPER)
        .collect();
    names.sort();
    let mut counts = Counts::default();
    for name in names {
        let mut command = match name.rsplit_once('.') {
            Some((_, "py")) => Command::new(scratch().join("venv/bin/python")),
            Some((_, "mjs")) => Command::new("node"),
            _ => continue,
        };
        println!("client {name}");
        let (passed, output) = watch(command.current_dir(folder()).arg(&name).arg(&addresses))?;
        let mut found = Counts::from_output(passed, &output);
        if found.passed + found.failed == 0 {
            // One that counts nothing checked nothing.
            found.add(false);
        }
        counts.join(found);
    }
    ensure!(counts.passed + counts.failed > 0, "no client was found");
    counts.join(suite("import_odata", "LEADBRIDGE_ODATA_TESTS")?);
    counts.join(suite("import_clients", "LEADBRIDGE_CLIENT_TESTS")?);
    Ok(counts)
}

/// Our import beside third parties' servers and clients, which are required here: on its own the suite skips
/// without them.
fn suite(name: &str, switch: &str) -> Result<Counts> {
    let module = format!("{name}::");
    let mut command = cargo(["test", "--workspace", "--test", "flows", "--", &module]);
    let (passed, output) = watch(command.env(switch, "required"))?;
    let mut counts = Counts::from_output(passed, &output);
    if counts.passed + counts.failed == 0 {
        counts.add(false);
    }
    Ok(counts)
}
