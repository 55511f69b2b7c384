//! Dataverse's errors with their meanings (Web API, "Compose HTTP requests and handle errors"; "Web service
//! error codes"; "Service protection API limits"). The code decides, never the text.

use http::StatusCode;
use serde_json::Value;

use crate::{CrmError, Reason, Record, Refusal, shown};
use remote::outbound::Answer;

/// The meaning of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Passing,
    Unclear,
    Exists,
    Missing,
    Refused(Reason),
}

use Meaning::{Exists, Missing, Passing, Refused, Unclear};

/// Codes and their meanings; an unlisted code is classified by its HTTP status.
const CODES: &[(&str, Meaning)] = &[
    // Limits of service protection.
    ("0x80072321", Passing),
    ("0x80072322", Passing),
    ("0x80072326", Passing),
    // The database: time-outs, deadlocks, an error without a reason.
    ("0x80044150", Unclear),
    ("0x80044151", Passing),
    ("0x80040216", Unclear),
    // A record with this primary key.
    ("0x80040237", Exists),
    // An alternate key of the organisation's own.
    ("0x80060892", Refused(Reason::UniqueValue)),
    ("0x80040333", Refused(Reason::DuplicateRule)),
    // Code of the organisation's own: plug-ins, workflows, business rules.
    ("0x80040224", Refused(Reason::Automation)),
    ("0x80040265", Refused(Reason::Automation)),
    ("0x80040266", Refused(Reason::Automation)),
    ("0x80045017", Refused(Reason::Automation)),
    ("0x80060000", Refused(Reason::Automation)),
    // Privileges, of tables and of secured columns.
    ("0x80040220", Refused(Reason::Permission)),
    ("0x80040299", Refused(Reason::Permission)),
    ("0x80048306", Refused(Reason::Permission)),
    ("0x8004f508", Refused(Reason::Permission)),
    ("0x8004f509", Refused(Reason::Permission)),
    // Values.
    ("0x80040203", Refused(Reason::Values)),
    ("0x8004431a", Refused(Reason::Values)),
    ("0x80044331", Refused(Reason::Values)),
    ("0x80048408", Refused(Reason::Values)),
    ("0x80048d19", Refused(Reason::Values)),
    ("0x80048105", Refused(Reason::Storage)),
];

fn meaning(status: StatusCode, code: &str) -> Option<Meaning> {
    let known = CODES
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(code));
    known.map(|(_, meaning)| *meaning).filter(|meaning| {
        // A code counts with any refusal. With a server error it counts only if it passes, or names
        // automation or a duplicate rule of the organisation's own.
        !status.is_server_error()
            || matches!(
                meaning,
                Passing | Refused(Reason::Automation | Reason::DuplicateRule)
            )
    })
}

/// The error of one call or part. `sent` are the written fields: the message names the offending one among
/// them.
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
    let by_status = || match status.as_u16() {
        // `If-None-Match` without the documented code.
        412 if message.contains("already exists") => Exists,
        409 => Exists,
        404 => Missing,
        408 | 429 | 500.. => Passing,
        // Not Dataverse's own word: something on the way to it answered.
        _ if code.is_empty() => Unclear,
        403 => Refused(Reason::Permission),
        _ => Refused(Reason::Values),
    };
    let found = meaning(status, code);
    if found.is_none() && status == StatusCode::PRECONDITION_FAILED && by_status() != Exists {
        return CrmError::Changed;
    }
    match found.unwrap_or_else(by_status) {
        Passing => CrmError::Unavailable(status),
        Unclear if code.is_empty() => CrmError::Unclear(format!("HTTP {}", status.as_u16())),
        Unclear => CrmError::Unclear(shown(code)),
        Exists => CrmError::Exists,
        Missing => CrmError::Missing,
        Refused(reason) => {
            let refusal = Refusal::new(record, reason, code);
            match reason {
                Reason::Automation | Reason::DuplicateRule => refusal.saying(message).into(),
                Reason::Values | Reason::Permission | Reason::UniqueValue => {
                    refusal.naming(named_fields(message, sent)).into()
                }
                _ => refusal.into(),
            }
        }
    }
}

/// The sent fields that a message names in quotes.
fn named_fields(message: &str, sent: &[&str]) -> Vec<String> {
    let quoted = message.split(['\'', '"']).skip(1).step_by(2);
    let mut fields: Vec<String> = quoted
        .filter(|name| sent.contains(name))
        .map(str::to_owned)
        .collect();
    fields.dedup();
    fields
}

/// The error of a call about a lead.
pub(super) fn failure(answer: &Answer) -> CrmError {
    let body = answer.json().unwrap_or_default();
    classify(answer.status, &body, Record::Lead, &[])
}

/// The code of an error.
pub(super) fn error_code(body: &Value) -> &str {
    body.pointer("/error/code")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(status: u16, code: &str, message: &str) -> String {
        let body = json!({ "error": { "code": code, "message": message } });
        let status = StatusCode::from_u16(status).unwrap();
        match classify(status, &body, Record::Lead, &["fax", "lastname"]) {
            CrmError::Unavailable(_) => "passing".to_owned(),
            CrmError::Unclear(_) => "unclear".to_owned(),
            CrmError::Refused(refusal) => {
                let told = if refusal.told.is_some() { " told" } else { "" };
                let fields = refusal.fields.join("+");
                format!("{:?}{told} {fields}", refusal.reason)
                    .trim_end()
                    .to_owned()
            }
            error => format!("{error:?}"),
        }
    }

    #[test]
    fn each_code_has_its_meaning() {
        for (status, code, message, expected) in [
            (429, "0x80072322", "", "passing"),
            (503, "0x80072ee7", "", "passing"),
            (500, "0x80040216", "", "passing"),
            (400, "0x80044151", "SQL timeout expired.", "passing"),
            (
                400,
                "0x80040216",
                "An unexpected error occurred.",
                "unclear",
            ),
            (412, "0x80040237", "", "Exists"),
            (
                412,
                "",
                "A record with matching key values already exists.",
                "Exists",
            ),
            (412, "0x80060882", "ConcurrencyVersionMismatch", "Changed"),
            (404, "0x80040217", "", "Missing"),
            (400, "0x80060892", "", "UniqueValue"),
            (412, "0x80060892", "", "UniqueValue"),
            (412, "0x80040333", "A record exists.", "DuplicateRule told"),
            (500, "0x80040333", "A record exists.", "DuplicateRule told"),
            (400, "0x80040265", "No region.", "Automation told"),
            (500, "0x80040265", "No region.", "Automation told"),
            (
                400,
                "0x80040224",
                "unexpected error from ISV code",
                "Automation told",
            ),
            (
                403,
                "0x80040220",
                "missing prvCreateLead privilege",
                "Permission",
            ),
            (
                403,
                "0x8004f507",
                "no access to the secured field 'fax'",
                "Permission fax",
            ),
            (
                400,
                "0x8004431a",
                "The value 7 of 'fax' is out of range",
                "Values fax",
            ),
            (
                400,
                "0x80048d19",
                "payload of 'other' and 'lastname'",
                "Values lastname",
            ),
            (413, "0x80060888", "", "Values"),
            (403, "0x80060888", "", "Permission"),
            (413, "", "", "unclear"),
            (403, "", "", "unclear"),
        ] {
            assert_eq!(of(status, code, message), expected, "{status} {code}");
        }
        for (code, _) in CODES {
            assert_eq!(
                CODES.iter().filter(|(other, _)| other == code).count(),
                1,
                "{code}"
            );
        }
    }
}
