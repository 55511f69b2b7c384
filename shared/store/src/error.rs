//! Errors of the table, classified by the caller's reaction to them.

use std::any::Any;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use domain::problem::Problem;

/// An error of whatever kind, as a source.
pub(super) type Source = Box<dyn std::error::Error + Send + Sync>;

/// Codes of requests that the table always refuses: a key or an item that is too large, or a value that it
/// has no form for.
const REFUSED: [&str; 3] = [
    "ValidationException",
    "SerializationException",
    "ItemCollectionSizeLimitExceededException",
];
/// Cancellation reasons with the same meaning for one action of a transaction.
const ACTION_REFUSED: [&str; 2] = ["ValidationError", "ItemCollectionSizeLimitExceeded"];
/// Cancellation reasons that mean that the table is throttled.
const ACTION_THROTTLED: [&str; 2] = ["ThrottlingError", "ProvisionedThroughputExceeded"];
/// Cancellation reasons that mean that a condition did not hold.
const ACTION_LOST: [&str; 3] = [
    "ConditionalCheckFailed",
    "TransactionConflict",
    "DuplicateItem",
];

/// The reason why the table did not carry out a request.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It did not answer, or not in time, or is throttled: the write may have taken effect. This state passes
    /// without action, except for missing permissions and a missing table, which an operator has to correct.
    #[error("the table did not answer")]
    Unavailable(#[source] Source),
    /// Something else was written meanwhile: read again and decide anew.
    #[error("the item was changed meanwhile")]
    Conflict,
    /// The table never accepts such a request: a fault of this program, whatever its input. Nothing was
    /// written, and the same request fails the same way again.
    #[error("the table was asked for something that it never takes")]
    Malformed(#[source] Source),
    /// A stored item cannot be read back. Names the kind of item, not its content.
    #[error("a stored {entity} cannot be read")]
    Corrupt {
        /// The kind of item.
        entity: &'static str,
        /// The cause.
        #[source]
        source: Box<serde_dynamo::Error>,
    },
}

/// The table is throttled, and refused before it did anything.
#[derive(Debug, thiserror::Error)]
#[error("the table takes no more at the moment")]
pub(super) struct Throttled;

impl StoreError {
    /// The problem for the caller of an API. Logs the error: it is handled here.
    #[must_use]
    pub fn problem(&self) -> Problem {
        match self {
            Self::Conflict => {
                tracing::warn!("the item was changed meanwhile");
                Problem::new(
                    409,
                    "changed_meanwhile",
                    "Somebody else changed this at the same moment.",
                    "Read it again and repeat the change.",
                )
            }
            Self::Unavailable(_) => {
                self.log();
                Problem::unavailable()
            }
            Self::Malformed(_) | Self::Corrupt { .. } => {
                self.log();
                Problem::internal()
            }
        }
    }

    /// Logs the error as a fault of this program or as trouble of the table.
    pub fn log(&self) {
        let error = self as &dyn std::error::Error;
        match self {
            Self::Malformed(_) => {
                // An alarm of the template counts these lines.
                tracing::error!(
                    error,
                    notice = "malformed_request",
                    "a fault of this program"
                );
            }
            Self::Corrupt { .. } => {
                tracing::error!(error, notice = "item_unreadable", "an item cannot be read");
            }
            Self::Conflict | Self::Unavailable(_) => {
                tracing::error!(error, "the table did not answer as it should");
            }
        }
    }

    /// True if the same attempt can succeed later without a change of the program or of stored data.
    #[must_use]
    pub const fn passes(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Conflict)
    }

    /// True if a transaction did nothing and may succeed at the next attempt: a condition did not hold, or
    /// the table was throttled.
    pub(super) fn did_nothing(&self) -> bool {
        match self {
            Self::Conflict => true,
            Self::Unavailable(source) => source.is::<Throttled>(),
            Self::Malformed(_) | Self::Corrupt { .. } => false,
        }
    }

    /// A value that has no form in the table.
    pub(super) fn malformed(source: impl Into<Source>) -> Self {
        Self::Malformed(source.into())
    }

    /// A stored item that is not in the form in which it was written.
    pub(super) fn corrupt(entity: &'static str) -> Self {
        let source = <serde_dynamo::Error as serde::de::Error>::custom("not as it was written");
        Self::Corrupt {
            entity,
            source: Box::new(source),
        }
    }

    pub(super) fn throttled() -> Self {
        Self::Unavailable(Box::new(Throttled))
    }
}

impl<E, R> From<SdkError<E, R>> for StoreError
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    fn from(error: SdkError<E, R>) -> Self {
        if matches!(error, SdkError::ConstructionFailure(_)) {
            return Self::malformed(error);
        }
        let Some(service) = error.as_service_error() else {
            return Self::Unavailable(Box::new(error));
        };
        let transaction = (service as &dyn Any).downcast_ref::<TransactWriteItemsError>();
        if let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = transaction
        {
            let reasons = cancelled.cancellation_reasons().iter();
            let codes: Vec<&str> = reasons.filter_map(|reason| reason.code()).collect();
            let has = |of: &[&str]| codes.iter().any(|code| of.contains(code));
            // Permanent reasons come first: otherwise such a transaction would be tried for ever.
            return if has(&ACTION_REFUSED) {
                Self::malformed(error)
            } else if has(&ACTION_THROTTLED) && !has(&ACTION_LOST) {
                Self::throttled()
            } else {
                Self::Conflict
            };
        }
        match service.code() {
            // For a transaction: another one is writing the same items.
            Some(
                "ConditionalCheckFailedException"
                | "TransactionCanceledException"
                | "TransactionConflictException",
            ) => Self::Conflict,
            Some(code) if REFUSED.contains(&code) => Self::malformed(error),
            _ => Self::Unavailable(Box::new(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::error::ErrorMetadata;
    use aws_sdk_dynamodb::operation::put_item::PutItemError;
    use aws_sdk_dynamodb::types::CancellationReason;
    use aws_sdk_dynamodb::types::error::TransactionCanceledException;

    use super::*;

    fn of_code(code: &str) -> StoreError {
        let metadata = ErrorMetadata::builder().code(code).build();
        SdkError::<_, ()>::service_error(PutItemError::generic(metadata), ()).into()
    }

    fn cancelled(codes: &[&str]) -> StoreError {
        let reasons = codes
            .iter()
            .map(|code| CancellationReason::builder().code(*code).build());
        let exception = TransactionCanceledException::builder()
            .set_cancellation_reasons(Some(reasons.collect()))
            .build();
        let error = TransactWriteItemsError::TransactionCanceledException(exception);
        SdkError::<_, ()>::service_error(error, ()).into()
    }

    /// Checks every error that DynamoDB documents for the calls that are made.
    #[test]
    fn each_error_of_the_table_is_passing_lost_or_ours() {
        for code in ["ValidationException", "SerializationException"] {
            assert!(matches!(of_code(code), StoreError::Malformed(_)), "{code}");
        }
        for code in [
            "ConditionalCheckFailedException",
            "TransactionConflictException",
        ] {
            assert!(matches!(of_code(code), StoreError::Conflict), "{code}");
        }
        for code in [
            "AccessDeniedException",
            "ExpiredTokenException",
            "IncompleteSignatureException",
            "InternalServerError",
            "LimitExceededException",
            "MissingAuthenticationTokenException",
            "ProvisionedThroughputExceededException",
            "RequestLimitExceeded",
            "ResourceNotFoundException",
            "ServiceUnavailable",
            "ThrottlingException",
            "TransactionInProgressException",
            "UnrecognizedClientException",
            "one that nobody knows yet",
        ] {
            assert!(
                matches!(of_code(code), StoreError::Unavailable(_)),
                "{code}"
            );
        }
    }

    #[test]
    fn a_cancelled_transaction_is_what_its_reasons_say() {
        for codes in [
            &["None", "ConditionalCheckFailed"][..],
            &["TransactionConflict"],
            &["ThrottlingError", "ConditionalCheckFailed"],
            &[],
        ] {
            assert!(
                matches!(cancelled(codes), StoreError::Conflict),
                "{codes:?}"
            );
        }
        for codes in [
            &["ValidationError", "None"][..],
            &["ConditionalCheckFailed", "ValidationError"],
            &["ItemCollectionSizeLimitExceeded"],
        ] {
            assert!(
                matches!(cancelled(codes), StoreError::Malformed(_)),
                "{codes:?}"
            );
        }
        let throttled = cancelled(&["None", "ThrottlingError"]);
        assert!(matches!(&throttled, StoreError::Unavailable(_)) && throttled.did_nothing());
        assert!(!of_code("InternalServerError").did_nothing());
    }

    #[test]
    fn a_fault_of_ours_is_not_told_as_the_tables() {
        let malformed = StoreError::malformed("a test");
        assert_eq!(malformed.problem().status, 500);
        assert!(!malformed.passes());
        let unavailable = StoreError::throttled();
        assert_eq!(unavailable.problem().status, 503);
        assert!(unavailable.passes());
    }
}
