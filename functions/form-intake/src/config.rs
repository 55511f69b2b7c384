//! The function's environment variables and the permissions of its policy.

use std::sync::Arc;

use shared::config::{ConfigError, Source};
use shared::edge::Edge;
use shared::vault::VaultSpec;

/// Every variable the function reads.
pub const VARIABLES: &[&str] = &[
    "LEADBRIDGE_TABLE",
    "LEADBRIDGE_VAULT",
    "LEADBRIDGE_WRITEBACK_QUEUE_URL",
    "LEADBRIDGE_METRICS",
    "LEADBRIDGE_SOURCE_ADDRESSES",
    "LEADBRIDGE_ENTRANCE",
];

/// Every AWS action the function takes.
pub const PERMISSIONS: &[&str] = &[
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:UpdateItem",
    "sqs:SendMessage",
    "kms:Decrypt",
];

/// The function's configuration.
#[derive(Clone)]
pub struct Config {
    /// `LEADBRIDGE_TABLE`: the table's name.
    pub table: String,
    /// `LEADBRIDGE_VAULT`: where the key of sealed secrets is.
    pub vault: VaultSpec,
    /// `LEADBRIDGE_WRITEBACK_QUEUE_URL`: the queue that submissions are announced on.
    pub writeback_queue_url: String,
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
            table: source.required("LEADBRIDGE_TABLE")?,
            vault: source.parsed("LEADBRIDGE_VAULT")?,
            writeback_queue_url: source.required("LEADBRIDGE_WRITEBACK_QUEUE_URL")?,
            edge: Arc::new(Edge::from_source("form-intake", source)?),
        })
    }
}
