//! Salesforce's error codes, and what they come to.

use http::StatusCode;
use serde::Deserialize;

use super::IDENTITY_FIELD;
use super::client::{BatchResult, Salesforce};
use crate::{CrmError, Record, no_api_access, permission, shown};
use domain::clock::Millis;
use domain::problem::Problem;
use domain::schema::CrmKind;
use remote::outbound::Answer;

/// How long every worker pauses when the organisation's daily calls are used up, in seconds.
const LIMIT_PAUSE_SECONDS: i64 = 900;

#[derive(Debug, Deserialize)]
pub(super) struct ApiError {
    // A row of a collection calls it a status code.
    #[serde(default, rename = "errorCode", alias = "statusCode")]
    pub(super) error_code: String,
    #[serde(default)]
    pub(super) message: String,
    #[serde(default)]
    fields: Vec<String>,
}

impl ApiError {
    /// The errors that an answer lists; none where it is no list of errors.
    pub(super) fn all(answer: &Answer) -> Vec<Self> {
        answer.json().unwrap_or_default()
    }
}

impl Salesforce {
    /// The error of one read of a batch.
    pub(super) async fn batch_failure(&self, result: &BatchResult, record: Record) -> CrmError {
        let errors: Vec<ApiError> = Deserialize::deserialize(&result.result).unwrap_or_default();
        self.classify(result.status(), &errors, record).await
    }

    pub(super) async fn classify(
        &self,
        status: StatusCode,
        errors: &[ApiError],
        record: Record,
    ) -> CrmError {
        let Some(first) = errors.first() else {
            return if status == StatusCode::NOT_FOUND {
                CrmError::Missing
            } else {
                CrmError::Unavailable(status)
            };
        };
        let object = record.name();
        let code = first.error_code.as_str();
        match code {
            "DUPLICATE_VALUE"
                if errors
                    .iter()
                    .any(|error| error.message.contains(IDENTITY_FIELD)) =>
            {
                CrmError::Exists
            }
            "REQUEST_LIMIT_EXCEEDED" => match self.session.pause(self.limit_pause()).await {
                Ok(until) => CrmError::Session(remote::session::SessionError::Paused(until)),
                Err(error) => CrmError::Session(error),
            },
            "NOT_FOUND" | "ENTITY_IS_DELETED" => CrmError::Missing,
            "UNABLE_TO_LOCK_ROW"
            | "SERVER_UNAVAILABLE"
            | "QUERY_TIMEOUT"
            | "UNKNOWN_EXCEPTION"
            | "TXN_SECURITY_METERING_ERROR" => CrmError::Unavailable(status),
            "API_DISABLED_FOR_ORG" | "API_CURRENTLY_DISABLED" | "FUNCTIONALITY_NOT_ENABLED" => {
                no_api_access(CrmKind::Salesforce, code)
            }
            "INSUFFICIENT_ACCESS"
            | "INSUFFICIENT_ACCESS_OR_READONLY"
            | "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY"
            | "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"
            | "INVALID_TYPE" => permission(
                record,
                403,
                "crm_permission_missing",
                format!(
                    "Salesforce does not let the connected user write this {object} ({}).",
                    shown(code)
                ),
            ),
            "DUPLICATES_DETECTED" => CrmError::Refused {
                record,
                problem: Problem::new(
                    409,
                    "crm_duplicate_rule",
                    format!(
                        "A duplicate rule of the Salesforce organisation blocks this {object}."
                    ),
                    "Let the rule alert instead of block for the connected user, or add a matching field to the strategy; then send the submission again.",
                ),
            },
            "CANNOT_UPDATE_CONVERTED_LEAD" => CrmError::Changed,
            _ if status.is_server_error() => CrmError::Unavailable(status),
            _ => CrmError::Rejected {
                record,
                fields: named_fields(errors),
                problem: Problem::new(
                    422,
                    "crm_rejected_value",
                    format!(
                        "Salesforce refuses a value of the {object} ({}).",
                        shown(code)
                    ),
                    "Correct the field mapping or the rule in Salesforce that refuses it, then send the submission again.",
                ),
            },
        }
    }

    fn limit_pause(&self) -> Millis {
        // The limit is a rolling 24 hours: some calls come back every hour.
        self.session.now().plus_seconds(LIMIT_PAUSE_SECONDS)
    }
}

fn named_fields(errors: &[ApiError]) -> Vec<String> {
    let mut fields: Vec<String> = errors
        .iter()
        .flat_map(|error| error.fields.clone())
        .collect();
    // INVALID_FIELD names the field in its text only: No such column 'X' on sobject of type Lead.
    for error in errors.iter().filter(|error| error.fields.is_empty()) {
        if let Some((_, rest)) = error.message.split_once("No such column '")
            && let Some((name, _)) = rest.split_once('\'')
        {
            fields.push(name.to_owned());
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::{ApiError, named_fields};
    use crate::recorded;

    #[test]
    fn a_recorded_error_names_its_field() {
        let Some(text) = recorded("salesforce/restforce_write_error_response.json") else {
            return;
        };
        let errors: Vec<ApiError> = serde_json::from_str(&text).expect("an array of errors");
        assert_eq!(named_fields(&errors), ["foo"]);
    }
}
