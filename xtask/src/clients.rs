//! `cargo xtask clients`: third-party clients against the simulator.
//!
//! Each program in tests/clients (`*.py`, `*.mjs`, not those that begin with `_`) gets the
//! simulator's addresses as the JSON file that `LEADBRIDGE_SIMULATOR` names, and its
//! certificate authority by the variables the clients' own libraries read. It closes with
//! `N passed, N failed` and a non-zero status if any failed.

use std::{fs, process::Command};

use anyhow::Result;
use serde_json::Value;

use crate::{
    process::{root, scratch, watch},
    stack,
    test::Counts,
};

/// Ports of the simulator these tests start: beside those of `stack` and of `cargo dev`.
const PORT: u16 = 4680;

pub(crate) fn run() -> Result<Counts> {
    let programs = root().join("tests/clients");
    let folder = scratch().join("clients");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let (_simulator, urls) = stack::simulator(PORT, &folder)?;
    let certificates = stack::certificates(&urls, &folder)?;
    let addresses = folder.join("addresses.json");
    fs::write(&addresses, serde_json::to_string_pretty(&urls)?)?;
    let authority = urls
        .get("ca_file")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();

    let mut names: Vec<String> = fs::read_dir(&programs)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    let mut counts = Counts::default();
    for name in names.iter().filter(|name| !name.starts_with('_')) {
        let mut command = match name.rsplit_once('.') {
            Some((_, "py")) => Command::new(scratch().join("venv/bin/python")),
            Some((_, "mjs")) => Command::new("node"),
            _ => continue,
        };
        println!("client {name}");
        let (passed, output) = watch(
            command
                .current_dir(&programs)
                .arg(name)
                .env("LEADBRIDGE_SIMULATOR", &addresses)
                .env("REQUESTS_CA_BUNDLE", &certificates)
                .env("SSL_CERT_FILE", &certificates)
                .env("NODE_EXTRA_CA_CERTS", &authority),
        )?;
        let mut found = Counts::from_output(passed, &output);
        if found.passed + found.failed == 0 {
            found.add(passed);
        }
        counts.join(found);
    }
    Ok(counts)
}
