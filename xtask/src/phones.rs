//! `cargo xtask phones`: our reading of phone numbers beside the reference implementation's
//! (`libphonenumber`, `phonenumbers` on `PyPI`), over generated numbers of all countries.

use std::{
    fs,
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::Result;

use crate::{
    process::{cargo, read, root, scratch, watch},
    test::Counts,
};

/// The number of phone numbers to read.
const NUMBERS: &str = "100000";

/// Other numbers each time; the seed is printed.
pub(crate) fn run() -> Result<Counts> {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let seed = seed.to_string();
    println!("{NUMBERS} phone numbers, seed {seed}");
    let answers = read(
        Command::new(scratch().join("venv/bin/python"))
            .arg(root().join("shared/domain/tests/phones.py"))
            .args([NUMBERS, &seed]),
    )?;
    let file = scratch().join("phones.tsv");
    fs::write(&file, answers)?;
    let mut command = cargo(["test", "--workspace", "--test", "phone_reference"]);
    let (passed, output) = watch(command.env("LEADBRIDGE_PHONE_REFERENCE", &file))?;
    let mut counts = Counts::from_output(passed, &output);
    if counts.passed + counts.failed == 0 {
        // One that counts nothing checked nothing.
        counts.add(false);
    }
    Ok(counts)
}
