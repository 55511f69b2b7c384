//! Dataverse's error codes, and what they come to.

use http::StatusCode;
use serde_json::Value;

use crate::{CrmError, Record, permission, shown};
use domain::problem::Problem;
use remote::outbound::Answer;

/// The error of one call or part. `sent` are the fields that were written: the message names the
/// offending one among them.
pub(super) fn classify(
    status: StatusCode,
    body: &Value,
    record: Record,
    sent: &[&str],
) -> CrmError {
    let code = error_code(body);
    let message = body
        .pointer("/error/message")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let object = record.name();
    match (status.as_u16(), code) {
        (412, "0x80040237") | (409, _) => CrmError::Exists,
        // `If-None-Match` without the documented code.
        (412, _) if message.contains("already exists") => CrmError::Exists,
        (412, _) => CrmError::Changed,
        (404, _) => CrmError::Missing,
        (_, "0x80040333") => CrmError::Refused {
            record,
            problem: Problem::new(
                409,
                "crm_duplicate_rule",
                format!("A duplicate detection rule of the organisation blocks this {object}."),
                "Change the rule, or add a matching field to the strategy; then send the submission again.",
            ),
        },
        (403, _) => permission(
            record,
            403,
            "crm_permission_missing",
            format!(
                "Dynamics 365 does not let the connected user write this {object} ({}).",
                shown(code)
            ),
        ),
        (400, _) => {
            let quoted = message.split('\'').skip(1).step_by(2);
            let mut fields: Vec<String> = quoted
                .filter(|name| sent.contains(name))
                .map(str::to_owned)
                .collect();
            fields.dedup();
            CrmError::Rejected {
                record,
                fields,
                problem: Problem::new(
                    422,
                    "crm_rejected_value",
                    format!(
                        "Dynamics 365 refuses a value of the {object} ({}).",
                        shown(code)
                    ),
                    "Correct the field mapping or the rule in Dynamics 365 that refuses it, then send the submission again.",
                ),
            }
        }
        _ => CrmError::Unavailable(status),
    }
}

pub(super) fn error_code(body: &Value) -> &str {
    body.pointer("/error/code")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

pub(super) fn failure(answer: &Answer, sent: &[&str]) -> CrmError {
    classify(
        answer.status,
        &answer.json().unwrap_or_default(),
        Record::Lead,
        sent,
    )
}
