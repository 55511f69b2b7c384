//! Salesforce's errors with their meanings (REST API developer guide, "Status codes and error responses"; the
//! status codes of the metadata API's WSDL).

use http::StatusCode;
use serde::Deserialize;

use super::IDENTITY_FIELD;
use super::client::{BatchResult, Salesforce};
use crate::{CrmError, Reason, Record, Refusal, shown};
use remote::outbound::Answer;
use remote::session::SessionError;

/// Length of every worker's pause when the organisation's daily calls are used up, in seconds. The limit is a
/// rolling 24 hours: some calls become available every hour.
const LIMIT_PAUSE_SECONDS: i64 = 900;
/// Length of the pause when too many calls run at once, in seconds.
const CONCURRENT_PAUSE_SECONDS: i64 = 30;

/// An error as Salesforce sends it. Rows of collections have their code under a different name.
#[derive(Debug, Default, Deserialize)]
pub(super) struct ApiError {
    #[serde(default, rename = "errorCode", alias = "statusCode")]
    pub(super) error_code: String,
    #[serde(default)]
    pub(super) message: String,
    #[serde(default)]
    fields: Vec<String>,
}

impl ApiError {
    /// The errors that an answer lists; empty if it is not a list of errors.
    pub(super) fn all(answer: &Answer) -> Vec<Self> {
        answer.json().unwrap_or_default()
    }
}

/// The meaning of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Passing,
    /// It passes, or it is a permanent fault of the organisation's automation.
    Unclear,
    Paused,
    Missing,
    Changed,
    Refused(Reason),
}

use Meaning::{Changed, Missing, Passing, Paused, Refused, Unclear};

/// Codes and their meanings. An unlisted code means a value that Salesforce refuses, or, by its HTTP status,
/// trouble at Salesforce.
const CODES: &[(&str, Meaning)] = &[
    ("UNABLE_TO_LOCK_ROW", Passing),
    ("SERVER_UNAVAILABLE", Passing),
    ("QUERY_TIMEOUT", Passing),
    ("REQUEST_RUNNING_TOO_LONG", Passing),
    ("EXCEEDED_MAX_SEMIJOIN_SUBSELECTS", Refused(Reason::Values)),
    (
        "INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE",
        Passing,
    ),
    ("TXN_SECURITY_METERING_ERROR", Passing),
    ("UNKNOWN_EXCEPTION", Passing),
    ("UNSPECIFIED_ERROR", Unclear),
    ("REQUEST_LIMIT_EXCEEDED", Paused),
    ("NOT_FOUND", Missing),
    ("ENTITY_IS_DELETED", Missing),
    ("CANNOT_UPDATE_CONVERTED_LEAD", Changed),
    ("ENTITY_FAILED_IFLASTMODIFIED_ON_UPDATE", Changed),
    ("API_DISABLED_FOR_ORG", Refused(Reason::NoApi)),
    ("API_CURRENTLY_DISABLED", Refused(Reason::NoApi)),
    ("FUNCTIONALITY_NOT_ENABLED", Refused(Reason::NoApi)),
    ("INSUFFICIENT_ACCESS", Refused(Reason::Permission)),
    (
        "INSUFFICIENT_ACCESS_OR_READONLY",
        Refused(Reason::Permission),
    ),
    (
        "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY",
        Refused(Reason::Permission),
    ),
    (
        "INVALID_FIELD_FOR_INSERT_UPDATE",
        Refused(Reason::Permission),
    ),
    ("INVALID_TYPE", Refused(Reason::Permission)),
    (
        "INVALID_OPERATION_WITH_EXPIRED_PASSWORD",
        Refused(Reason::Permission),
    ),
    ("ENTITY_IS_LOCKED", Refused(Reason::Locked)),
    ("INACTIVE_OWNER_OR_USER", Refused(Reason::Reference)),
    ("INVALID_CROSS_REFERENCE_KEY", Refused(Reason::Reference)),
    (
        "FIELD_FILTER_VALIDATION_EXCEPTION",
        Refused(Reason::Reference),
    ),
    ("STORAGE_LIMIT_EXCEEDED", Refused(Reason::Storage)),
    ("DUPLICATES_DETECTED", Refused(Reason::DuplicateRule)),
    ("DUPLICATE_VALUE", Refused(Reason::UniqueValue)),
    (
        "FIELD_CUSTOM_VALIDATION_EXCEPTION",
        Refused(Reason::ValidationRule),
    ),
    (
        "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
        Refused(Reason::Automation),
    ),
    ("CANNOT_EXECUTE_FLOW_TRIGGER", Refused(Reason::Automation)),
    ("FLOW_EXCEPTION", Refused(Reason::Automation)),
    ("APEX_ERROR", Refused(Reason::Automation)),
    ("APEX_FAILED", Refused(Reason::Automation)),
    ("APEX_DATA_ACCESS_RESTRICTION", Refused(Reason::Automation)),
];

fn meaning(code: &str, message: &str, status: StatusCode) -> Meaning {
    let known = CODES.iter().find(|(known, _)| *known == code);
    match known.map(|(_, meaning)| *meaning) {
        // Automation that met a lock or a momentary limit fails under its own code.
        Some(Refused(Reason::Automation))
            if ["UNABLE_TO_LOCK_ROW", "QUERY_TIMEOUT", "SERVER_UNAVAILABLE"]
                .iter()
                .any(|passing| message.contains(passing)) =>
        {
            Unclear
        }
        // For a record addressed directly, the record itself is gone.
        Some(Refused(Reason::Reference)) if status == StatusCode::NOT_FOUND => Missing,
        Some(meaning) => meaning,
        None if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT => Passing,
        None if status == StatusCode::NOT_FOUND => Missing,
        None if status == StatusCode::FORBIDDEN => Refused(Reason::Permission),
        None => Refused(Reason::Values),
    }
}

impl Salesforce {
    /// The error of one read of a batch.
    pub(super) async fn batch_failure(&self, result: &BatchResult, record: Record) -> CrmError {
        let errors: Vec<ApiError> = Deserialize::deserialize(&result.result).unwrap_or_default();
        self.classify(result.status(), &errors, record).await
    }

    /// The error for a list of errors; all workers pause if the organisation's limit is reached.
    pub(super) async fn classify(
        &self,
        status: StatusCode,
        errors: &[ApiError],
        record: Record,
    ) -> CrmError {
        let seconds = match classify(status, errors, record) {
            Classified::Error(error) => return error,
            Classified::Pause(seconds) => seconds,
        };
        let until = self.session.now().plus_seconds(seconds);
        match self.session.pause(until).await {
            Ok(until) => SessionError::Paused(until).into(),
            Err(error) => error.into(),
        }
    }
}

/// The result of classifying a list of errors.
enum Classified {
    /// Every worker has to pause for so many seconds.
    Pause(i64),
    /// An error.
    Error(CrmError),
}

/// The meaning of the errors of one call, or of one record of a call.
fn classify(status: StatusCode, errors: &[ApiError], record: Record) -> Classified {
    let Some(first) = errors.first() else {
        return Classified::Error(match status {
            StatusCode::NOT_FOUND => CrmError::Missing,
            // Not Salesforce's own word: something on the way to it answered.
            status
                if status.is_client_error()
                    && !matches!(
                        status,
                        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
                    ) =>
            {
                CrmError::Unclear(format!("HTTP {}", status.as_u16()))
            }
            status => CrmError::Unavailable(status),
        });
    };
    let (code, message) = (first.error_code.as_str(), first.message.as_str());
    Classified::Error(match meaning(code, message, status) {
        Paused => {
            return Classified::Pause(if message.contains("oncurrent") {
                CONCURRENT_PAUSE_SECONDS
            } else {
                LIMIT_PAUSE_SECONDS
            });
        }
        Passing => CrmError::Unavailable(status),
        Unclear => CrmError::Unclear(shown(code)),
        Missing => CrmError::Missing,
        Changed => CrmError::Changed,
        Refused(Reason::UniqueValue)
            if errors
                .iter()
                .any(|error| error.message.contains(IDENTITY_FIELD)) =>
        {
            CrmError::Exists
        }
        Refused(reason) => {
            let refusal = Refusal::new(record, reason, code).naming(named_fields(errors));
            match reason {
                Reason::ValidationRule | Reason::Automation | Reason::DuplicateRule => {
                    refusal.saying(message).into()
                }
                _ => refusal.into(),
            }
        }
    })
}

/// The fields that errors name, each also under the name of its counterpart: if the organisation's lists of
/// states and countries are switched on, an error about a text names the code field beside it.
fn named_fields(errors: &[ApiError]) -> Vec<String> {
    let mut fields: Vec<String> = Vec::new();
    for error in errors {
        fields.extend(error.fields.iter().cloned());
        if error.fields.is_empty() {
            // INVALID_FIELD: No such column 'X' on sobject of type Lead.
            // DUPLICATE_VALUE: duplicate value found: X duplicates value on record with id: …
            let quoted = between(&error.message, "No such column '", "'");
            let unique = between(&error.message, "duplicate value found: ", " duplicates");
            fields.extend(quoted.or(unique).map(str::to_owned));
        }
    }
    let other: Vec<String> = fields
        .iter()
        .filter_map(|field| match field.strip_suffix("Code") {
            Some(text) if text.ends_with("Country") || text.ends_with("State") => {
                Some(text.to_owned())
            }
            None if field.ends_with("Country") || field.ends_with("State") => {
                Some(format!("{field}Code"))
            }
            _ => None,
        })
        .collect();
    for field in other {
        if !fields.contains(&field) {
            fields.push(field);
        }
    }
    fields
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.split_once(before)?
        .1
        .split_once(after)
        .map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded;

    /// The outcome of one error, in short.
    fn of(status: u16, code: &str, message: &str, fields: &[&str]) -> String {
        let errors = [ApiError {
            error_code: code.to_owned(),
            message: message.to_owned(),
            fields: fields.iter().map(|field| (*field).to_owned()).collect(),
        }];
        let status = StatusCode::from_u16(status).unwrap();
        match classify(status, &errors, Record::Lead) {
            Classified::Pause(seconds) => format!("pause {seconds}"),
            Classified::Error(error) => short(&error),
        }
    }

    fn short(error: &CrmError) -> String {
        match error {
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
    #[expect(clippy::too_many_lines, reason = "a table: one row for each code")]
    fn each_code_has_its_meaning() {
        let lock = "LeadRules: caused by: System.DmlException: UNABLE_TO_LOCK_ROW";
        for (status, code, message, fields, expected) in [
            (400, "UNABLE_TO_LOCK_ROW", "", &[][..], "passing"),
            (503, "SERVER_UNAVAILABLE", "", &[], "passing"),
            (500, "UNKNOWN_EXCEPTION", "", &[], "passing"),
            (400, "QUERY_TIMEOUT", "", &[], "passing"),
            (
                400,
                "INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE",
                "",
                &[],
                "passing",
            ),
            (500, "SOMETHING_NEW", "", &[], "passing"),
            (
                403,
                "REQUEST_LIMIT_EXCEEDED",
                "TotalRequests Limit exceeded.",
                &[],
                "pause 900",
            ),
            (
                403,
                "REQUEST_LIMIT_EXCEEDED",
                "ConcurrentRequests (Concurrent API Requests) Limit exceeded.",
                &[],
                "pause 30",
            ),
            (404, "NOT_FOUND", "", &[], "Missing"),
            (404, "ENTITY_IS_DELETED", "", &[], "Missing"),
            (404, "INVALID_CROSS_REFERENCE_KEY", "", &[], "Missing"),
            (
                400,
                "CANNOT_UPDATE_CONVERTED_LEAD",
                "cannot reference converted lead",
                &[],
                "Changed",
            ),
            (
                400,
                "DUPLICATE_VALUE",
                "duplicate value found: Leadbridge_Id__c duplicates value on record with id: 00Q",
                &[],
                "Exists",
            ),
            (
                400,
                "DUPLICATE_VALUE",
                "duplicate value found: Badge__c duplicates value on record with id: 00Q",
                &[],
                "UniqueValue Badge__c",
            ),
            (
                400,
                "DUPLICATES_DETECTED",
                "Use one of these records?",
                &[],
                "DuplicateRule told",
            ),
            (
                400,
                "FIELD_CUSTOM_VALIDATION_EXCEPTION",
                "Phone is needed",
                &["Phone"],
                "ValidationRule told Phone",
            ),
            (
                400,
                "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
                "LeadRules: null",
                &[],
                "Automation told",
            ),
            (
                400,
                "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
                lock,
                &[],
                "unclear",
            ),
            (
                400,
                "CANNOT_EXECUTE_FLOW_TRIGGER",
                "the process failed",
                &[],
                "Automation told",
            ),
            (
                400,
                "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY",
                "",
                &[],
                "Permission",
            ),
            (
                400,
                "INVALID_FIELD_FOR_INSERT_UPDATE",
                "",
                &["Fax"],
                "Permission Fax",
            ),
            (403, "SOMETHING_NEW", "", &[], "Permission"),
            (403, "API_DISABLED_FOR_ORG", "", &[], "NoApi"),
            (
                400,
                "INACTIVE_OWNER_OR_USER",
                "",
                &["OwnerId"],
                "Reference OwnerId",
            ),
            (400, "ENTITY_IS_LOCKED", "", &[], "Locked"),
            (400, "STORAGE_LIMIT_EXCEEDED", "", &[], "Storage"),
            (400, "STRING_TOO_LONG", "", &["Title"], "Values Title"),
            (
                400,
                "REQUIRED_FIELD_MISSING",
                "",
                &["Company"],
                "Values Company",
            ),
            (
                400,
                "INVALID_FIELD",
                "No such column 'X__c' on sobject of type Lead",
                &[],
                "Values X__c",
            ),
            (
                400,
                "FIELD_INTEGRITY_EXCEPTION",
                "",
                &["MailingCountryCode"],
                "Values MailingCountryCode+MailingCountry",
            ),
            (
                400,
                "FIELD_INTEGRITY_EXCEPTION",
                "",
                &["State"],
                "Values State+StateCode",
            ),
        ] {
            assert_eq!(of(status, code, message, fields), expected, "{code}");
        }
        for (code, _) in CODES {
            assert_eq!(
                CODES.iter().filter(|(other, _)| other == code).count(),
                1,
                "{code}"
            );
        }
    }

    #[test]
    fn a_row_of_a_collection_has_its_code_under_another_name() {
        let row = r#"{"statusCode": "STRING_TOO_LONG", "message": "m", "fields": ["Title"]}"#;
        let error: ApiError = serde_json::from_str(row).unwrap();
        assert_eq!(error.error_code, "STRING_TOO_LONG");
    }

    #[test]
    fn a_recorded_error_names_its_field() {
        let Some(text) = recorded("salesforce/restforce_write_error_response.json") else {
            return;
        };
        let errors: Vec<ApiError> = serde_json::from_str(&text).expect("an array of errors");
        assert_eq!(named_fields(&errors), ["foo"]);
    }

    #[test]
    fn an_answer_without_errors_is_not_salesforces_own() {
        for (status, expected) in [
            (400, "unclear"),
            (403, "unclear"),
            (404, "Missing"),
            (408, "passing"),
            (429, "passing"),
            (502, "passing"),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let Classified::Error(error) = classify(status, &[], Record::Lead) else {
                panic!("no pause");
            };
            assert_eq!(short(&error), expected, "{status}");
        }
    }
}
