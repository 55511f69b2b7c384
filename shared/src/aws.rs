//! The AWS SDK's configuration and clients, made once per process.
//!
//! The endpoint is never a code path: the SDK reads `AWS_ENDPOINT_URL` itself, so that local
//! emulators need nothing here.

pub use aws_config::SdkConfig;

use aws_config::BehaviorVersion;

/// The SDK's configuration from the environment.
pub async fn sdk_config() -> SdkConfig {
    // Pinned, so that an SDK update never changes retries or time-outs silently.
    aws_config::defaults(BehaviorVersion::v2026_01_12())
        .load()
        .await
}

/// A DynamoDB client.
#[must_use]
pub fn dynamodb(config: &SdkConfig) -> aws_sdk_dynamodb::Client {
    aws_sdk_dynamodb::Client::new(config)
}

/// An SQS client.
#[must_use]
pub fn sqs(config: &SdkConfig) -> aws_sdk_sqs::Client {
    aws_sdk_sqs::Client::new(config)
}
