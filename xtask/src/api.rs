//! `cargo xtask api`: the API held to its description by schemathesis, which makes requests of every
//! kind that `openapi.json` allows and forbids, and looks whether each answer is among those described.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{
    process::{tool, watch},
    product::{self, Data},
    test::Counts,
};

/// First of the six ports of the product under test: beside those of `stack`, `clients` and `cargo dev`.
const PORT: u16 = 4690;
const PRODUCT: &str = "api";
/// Most requests of each kind for one operation; about two minutes for all.
const EXAMPLES: &str = "12";

/// The checks that each answer has to pass. They do not include that every value admitted by the description
/// is accepted and every other refused: many refusals depend on the data in the CRM.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance,unsupported_method,ignored_auth,use_after_free";

pub(crate) fn run() -> Result<Counts> {
    let (_product, description) = product::start(
        PRODUCT,
        PORT,
        "another port in xtask/src/api.rs",
        Data::Bare,
    )?;
    let token = description
        .pointer("/contracts/0/tokens/administrator")
        .and_then(Value::as_str)
        .context("dev.json names no administrator's token")?;
    let mut schemathesis = tool("schemathesis")?;
    schemathesis
        .current_dir(product::folder(PRODUCT))
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
