//! `cargo xtask screenshots`: pictures of every page, by the program of that name in tests/e2e, on a product of
//! its own with the company of the demo data.

use std::{path::PathBuf, process::Command};

use anyhow::{Result, ensure};

use crate::{
    process::{build, root, target, watch},
    product::{self, Data},
    setup,
};

/// The pictures' folder, and the product's ports.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Folder for the pictures and their index.html; target/screenshots where none is given
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Also take the pictures of docs/console.md and the README, into docs/pictures
    #[arg(long)]
    walk: bool,
    /// First of the six ports of the product
    #[arg(long, default_value_t = 4890)]
    port: u16,
}

/// The program. The product has the same name.
const PROGRAM: &str = "screenshots";

/// Starts the product, takes the pictures, and ends it; `false` if a page is not as it should be.
pub(crate) fn run(options: &Options) -> Result<bool> {
    ensure!(
        setup::works(&["chromedriver", "--version"]),
        "Chromium with its driver is not installed; run `cargo xtask setup` first"
    );
    build()?;
    let (_product, _) = product::start(PROGRAM, options.port, "--port", Data::Company)?;
    let folder = options.folder.clone();
    let folder = folder.unwrap_or_else(|| target().join("screenshots"));
    let mut command = Command::new(target().join("debug").join(PROGRAM));
    command
        .arg("--product")
        .arg(product::folder(PROGRAM).join("dev.json"))
        .arg("--folder")
        .arg(folder);
    if options.walk {
        command.arg("--walk").arg(root().join("docs/pictures"));
    }
    let (passed, _) = watch(&mut command)?;
    Ok(passed)
}
