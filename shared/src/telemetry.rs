//! Structured logs: one JSON object a line, with ids and never with names, addresses or tokens.

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Starts logging for a Lambda function; `RUST_LOG` sets the level (default `info`).
///
/// Lambda stamps each line with the time and the request id itself.
pub fn init() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // A second call (tests, the local stack) keeps the first subscriber.
    let _ = subscriber(filter, std::io::stdout).try_init();
}

/// Writes what passes `filter` as a function logs it: the template's metric filter reads these
/// lines.
pub fn subscriber(
    filter: impl Into<EnvFilter>,
    writer: impl for<'w> MakeWriter<'w> + Send + Sync + 'static,
) -> impl Subscriber + Send + Sync {
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(filter)
        .with_writer(writer)
        .without_time()
        .with_target(false)
        .with_current_span(false)
        .finish()
}
