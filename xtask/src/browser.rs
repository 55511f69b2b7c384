//! The tests in headless Chromium: the pages, and the sign-in at a certified server; see tests/browser.

use std::path::PathBuf;

use anyhow::Result;

use crate::{
    process::{cargo, root, watch},
    test::{self, Counts},
};

/// The test program.
pub(crate) const TESTS: &str = "browser";

/// The folder of the server and its packages' list.
pub(crate) fn folder() -> PathBuf {
    root().join("tests/browser")
}

/// Runs the tests with their programs required: on their own they skip without these.
pub(crate) fn run() -> Result<Counts> {
    let mut command = if test::has_nextest() {
        // A browser on a loaded machine misses a click now and then; nextest names such a test as flaky.
        let mut command = test::nextest();
        command.args(["--retries", "1"]);
        command
    } else {
        cargo(["test", "--workspace", "--no-fail-fast"])
    };
    command
        .args(["--test", TESTS])
        .env("LEADBRIDGE_SIGN_IN_TESTS", "required");
    let (passed, output) = watch(&mut command)?;
    let mut counts = Counts::from_output(passed, &output);
    if counts.passed + counts.failed == 0 {
        counts.add(false);
    }
    Ok(counts)
}
