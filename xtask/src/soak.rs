//! `cargo xtask soak`: random histories, by the program of that name in tests/e2e.

use std::process::Command;

use anyhow::Result;

use crate::{
    process::{build, target, watch},
    test::Counts,
};

/// The program.
const PROGRAM: &str = "soak";

/// Builds the program and runs it with these arguments.
pub(crate) fn run(arguments: &[String]) -> Result<Counts> {
    build()?;
    let mut command = Command::new(target().join("debug").join(PROGRAM));
    let (passed, output) = watch(command.args(arguments))?;
    Ok(Counts::from_output(passed, &output))
}

/// Runs a few histories that were never run before. Their seeds are printed.
pub(crate) fn some_new() -> Result<Counts> {
    run(&["--histories", "1"].map(str::to_owned))
}
