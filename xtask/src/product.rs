//! The product, as `cargo dev` starts it, for commands that need one of their own.

use std::{fs, path::PathBuf, process::Command};

use anyhow::Result;
use serde_json::Value;

use crate::process::{Daemon, build, port_is_free, scratch, target};

/// The program.
pub(crate) const PROGRAM: &str = "local";

/// The folder of a product's state and its `dev.json`. The state of the user's `cargo dev` is left alone.
pub(crate) fn folder(name: &str) -> PathBuf {
    scratch().join(name)
}

/// The data of a new product.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Data {
    /// The demo contracts alone.
    Bare,
    /// The demo contracts with the company's two months.
    Company,
}

/// Starts a product on the six ports from `port` on, with new state, and returns its `dev.json` too. `option`
/// names the way to choose other ports.
pub(crate) fn start(name: &str, port: u16, option: &str, data: Data) -> Result<(Daemon, Value)> {
    // The remains of an earlier run, if it was interrupted.
    Daemon::stop(name)?;
    port_is_free(port, option)?;
    build()?;
    let folder = folder(name);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let mut command = Command::new(target().join("debug").join(PROGRAM));
    command
        .args(["--port", &port.to_string(), "--folder"])
        .arg(&folder);
    if data == Data::Bare {
        command.arg("--bare");
    }
    let daemon = Daemon::start(name, &mut command)?;
    // Written last of all: if it exists, everything runs. Two months take a while on a busy machine.
    let seconds = match data {
        Data::Bare => 120,
        Data::Company => 600,
    };
    let description = daemon.wait(seconds, || {
        let text = fs::read_to_string(folder.join("dev.json")).ok()?;
        serde_json::from_str(&text).ok()
    })?;
    Ok((daemon, description))
}
