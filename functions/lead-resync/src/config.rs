//! The function's environment variables and the permissions of its policy.

use shared::config::{ConfigError, Source};
use shared::wiring::RemoteConfig;

/// Every variable the function reads.
pub const VARIABLES: &[&str] = &[
    "LEADBRIDGE_TABLE",
    "LEADBRIDGE_VAULT",
    "LEADBRIDGE_WRITEBACK_QUEUE_URL",
    "LEADBRIDGE_OAUTH_APPS",
    "LEADBRIDGE_OUTBOUND_ALLOW",
    "LEADBRIDGE_LINKEDIN_API_URL",
    "LEADBRIDGE_LINKEDIN_AUTH_URL",
    "LEADBRIDGE_ENTRA_URL",
    "LEADBRIDGE_METRICS",
];

/// Every AWS action the function takes.
pub const PERMISSIONS: &[&str] = &[
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:UpdateItem",
    "dynamodb:BatchGetItem",
    "dynamodb:Query",
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
    /// `LEADBRIDGE_WRITEBACK_QUEUE_URL`: where submissions are announced.
    pub writeback_queue_url: String,
}

impl Config {
    /// Reads the configuration.
    ///
    /// # Errors
    /// Names the variable that is missing or malformed.
    pub fn from_source(source: &Source) -> Result<Self, ConfigError> {
        Ok(Self {
            remote: RemoteConfig::from_source(source)?,
            writeback_queue_url: source.required("LEADBRIDGE_WRITEBACK_QUEUE_URL")?,
        })
    }
}
