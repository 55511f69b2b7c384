//! `cargo xtask api`: the API held to its description by schemathesis, which makes requests of every
//! kind that `openapi.json` allows and forbids, and looks whether each answer is among those described.

use std::{fs, process::Command};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{
    process::{Daemon, build, port_is_free, scratch, target, tool, watch},
    test::Counts,
};

/// First of the six ports of the product under test: beside those of `stack`, `clients` and `cargo dev`.
const PORT: u16 = 4690;
const PRODUCT: &str = "local";
/// Most requests of each kind for one operation; about two minutes for all.
const EXAMPLES: &str = "12";

/// The checks that each answer has to pass. They do not include that every value admitted by the description
/// is accepted and every other refused: many refusals depend on the data in the CRM.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance,unsupported_method,ignored_auth,use_after_free";

pub(crate) fn run() -> Result<Counts> {
    port_is_free(PORT, "another port in xtask/src/api.rs")?;
    build([PRODUCT])?;
    let folder = scratch().join("api");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let mut command = Command::new(target().join("debug").join(PRODUCT));
    command
        .args(["--port", &PORT.to_string(), "--folder"])
        .arg(&folder);
    let product = Daemon::start("api", &mut command)?;
    // Written last of all: if it exists, everything runs.
    let description: Value = product.wait(60, || {
        let text = fs::read_to_string(folder.join("dev.json")).ok()?;
        serde_json::from_str(&text).ok()
    })?;
    let token = description
        .pointer("/contracts/0/tokens/administrator")
        .and_then(Value::as_str)
        .context("dev.json names no administrator's token")?;
    let mut schemathesis = tool("schemathesis")?;
    schemathesis
        .current_dir(&folder)
        .args(["run", "--url", &format!("http://127.0.0.1:{PORT}")])
        .args(["--phases", "examples,coverage,fuzzing", "--seed", "1"])
        .args(["--max-examples", EXAMPLES, "--checks", CHECKS])
        .args(["--suppress-health-check", "all", "--warnings", "off"])
        .args(["--request-timeout", "30", "--header"])
        .arg(format!("Authorization: Bearer {token}"))
        .arg(format!("http://127.0.0.1:{PORT}/api/v1/openapi.json"));
    let (passed, _) = watch(&mut schemathesis)?;
    Ok(Counts::one(passed))
}
