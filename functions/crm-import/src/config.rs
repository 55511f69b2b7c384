//! The function's environment variables and the permissions of its policy.

use shared::config::{ConfigError, Source};
use shared::wiring::RemoteConfig;

/// Every variable the function reads.
pub const VARIABLES: &[&str] = &[
    "LEADBRIDGE_TABLE",
    "LEADBRIDGE_VAULT",
    "LEADBRIDGE_OAUTH_APPS",
    "LEADBRIDGE_OUTBOUND_ALLOW",
    "LEADBRIDGE_LINKEDIN_API_URL",
    "LEADBRIDGE_LINKEDIN_AUTH_URL",
    "LEADBRIDGE_ENTRA_URL",
    "LEADBRIDGE_IMPORT_QUEUE_URL",
    "LEADBRIDGE_METRICS",
];

/// Every AWS action the function takes.
pub const PERMISSIONS: &[&str] = &[
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:UpdateItem",
    "dynamodb:DeleteItem",
    "dynamodb:BatchGetItem",
    "dynamodb:BatchWriteItem",
    "dynamodb:ConditionCheckItem",
    "dynamodb:Query",
    "dynamodb:Scan",
    "sqs:ReceiveMessage",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "sqs:SendMessage",
    "kms:Decrypt",
    "kms:GenerateDataKey",
    "secretsmanager:GetSecretValue",
];

/// The function's configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Table, vault, OAuth apps, providers.
    pub remote: RemoteConfig,
    /// `LEADBRIDGE_IMPORT_QUEUE_URL`: where work is announced.
    pub import_queue_url: String,
    /// `AWS_LAMBDA_FUNCTION_MEMORY_SIZE`, which Lambda sets: the function's memory in megabytes.
    pub megabytes: Option<u64>,
}

impl Config {
    /// Reads the configuration.
    ///
    /// # Errors
    /// Names the variable that is missing or malformed.
    pub fn from_source(source: &Source) -> Result<Self, ConfigError> {
        Ok(Self {
            remote: RemoteConfig::from_source(source)?,
            import_queue_url: source.required("LEADBRIDGE_IMPORT_QUEUE_URL")?,
            megabytes: source
                .optional("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
                .and_then(|megabytes| megabytes.parse().ok()),
        })
    }
}
