//! The function's environment variables and the permissions of its policy.

use std::sync::Arc;

use shared::config::{ConfigError, Source};
use shared::edge::Edge;
use shared::wiring::RemoteConfig;
use url::Url;

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
    "LEADBRIDGE_PUBLIC_URL",
    "LEADBRIDGE_IMPORT_QUEUE_URL",
    "LEADBRIDGE_METRICS",
    "LEADBRIDGE_SOURCE_ADDRESSES",
    "LEADBRIDGE_ENTRANCE",
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
    "sqs:SendMessage",
    "kms:Decrypt",
    "kms:GenerateDataKey",
    "secretsmanager:GetSecretValue",
];

/// The function's configuration.
#[derive(Clone)]
pub struct Config {
    /// Table, vault, OAuth apps, providers.
    pub remote: RemoteConfig,
    /// `LEADBRIDGE_WRITEBACK_QUEUE_URL`: where submissions are sent again.
    pub writeback_queue_url: String,
    /// `LEADBRIDGE_IMPORT_QUEUE_URL`: where imports and ends of connections are announced.
    pub import_queue_url: String,
    /// `LEADBRIDGE_PUBLIC_URL`: the address that people and forms use.
    pub public_url: Url,
    /// `LEADBRIDGE_SOURCE_ADDRESSES`, `LEADBRIDGE_ENTRANCE`: the layer around the routes.
    pub edge: Arc<Edge>,
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
            import_queue_url: source.required("LEADBRIDGE_IMPORT_QUEUE_URL")?,
            public_url: source.parsed("LEADBRIDGE_PUBLIC_URL")?,
            edge: Arc::new(Edge::from_source("console", source)?),
        })
    }
}
