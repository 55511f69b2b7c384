//! Structured logs: one JSON object a line, with ids and never with names, addresses or tokens.

use tracing_subscriber::EnvFilter;

/// Starts logging for a Lambda function; `RUST_LOG` sets the level (default `info`).
///
/// Lambda stamps each line with the time and the request id itself.
pub fn init() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // A second call (tests, the local stack) keeps the first subscriber.
    let _ = tracing_subscriber::fmt()
        .json()
        .with_env_filter(filter)
        .without_time()
        .with_target(false)
        .with_current_span(false)
        .try_init();
}
