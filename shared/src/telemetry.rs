//! Structured logs: one JSON object a line, with ids and never with names, addresses or tokens; and metrics,
//! each as a log line in CloudWatch's embedded metric format.

use std::fmt;
use std::sync::OnceLock;

use serde_json::{Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{Format, Json, JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::clock::Millis;
use crate::config::Source;

/// The target of metrics. They are written at any log level.
const METRICS: &str = "leadbridge::metrics";
/// A filter directive that lets metrics through.
const ALWAYS: &str = "leadbridge::metrics=info";

/// The namespace of metrics.
static NAMESPACE: OnceLock<String> = OnceLock::new();

/// Starts logging for a Lambda function; `RUST_LOG` sets the level (default `info`), and
/// `LEADBRIDGE_METRICS` the namespace of metrics (default `Leadbridge`).
///
/// Lambda stamps each line with the time and the request id itself.
pub fn init(variables: &Source) {
    if let Some(namespace) = variables.optional("LEADBRIDGE_METRICS") {
        let _ = NAMESPACE.set(namespace);
    }
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // A second call (tests, the local stack) keeps the first subscriber.
    let _ = subscriber(filter, std::io::stdout).try_init();
}

/// Writes log lines that pass `filter`, and every metric, in the form in which a function logs: the
/// template's metric filter reads these lines, and CloudWatch makes metrics of them.
pub fn subscriber(
    filter: impl Into<EnvFilter>,
    writer: impl for<'w> MakeWriter<'w> + Send + Sync + 'static,
) -> impl Subscriber + Send + Sync {
    let mut filter = filter.into();
    if let Ok(always) = ALWAYS.parse() {
        filter = filter.add_directive(always);
    }
    let lines = tracing_subscriber::fmt::format()
        .json()
        .without_time()
        .with_target(false)
        .with_current_span(false);
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .fmt_fields(JsonFields::new())
        .event_format(Lines(lines))
        .finish()
}

/// Counts an event: one log line, of which CloudWatch makes a metric with these dimensions. Their values are
/// words of ours, never of a request: each new one is a metric that costs. `also` is an object with further
/// fields of the line.
pub fn count(now: Millis, metric: &str, value: i64, dimensions: &[(&str, &str)], also: Value) {
    let names: Vec<&str> = dimensions.iter().map(|(name, _)| *name).collect();
    let namespace = NAMESPACE.get().map_or("Leadbridge", String::as_str);
    let mut line = json!({
        "_aws": {
            "Timestamp": now.0,
            "CloudWatchMetrics": [{
                "Namespace": namespace,
                "Dimensions": [names],
                "Metrics": [{ "Name": metric }],
            }],
        },
        metric: value,
    });
    if let Some(line) = line.as_object_mut() {
        for (name, value) in dimensions {
            line.insert((*name).to_owned(), Value::from(*value));
        }
        if let Value::Object(also) = also {
            line.extend(also.into_iter().filter(|(_, value)| !value.is_null()));
        }
    }
    tracing::info!(target: METRICS, line = %line);
}

/// Formats log lines in JSON; a metric's line is written unchanged.
struct Lines(Format<Json, ()>);

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if event.metadata().target() != METRICS {
            return self.0.format_event(context, writer, event);
        }
        let mut line = Line(String::new());
        event.record(&mut line);
        writeln!(writer, "{}", line.0)
    }
}

/// The field that is a metric's line.
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "line" {
            self.0 = format!("{value:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};
    use tracing_subscriber::fmt::MakeWriter;

    use super::{count, subscriber};
    use crate::clock::Millis;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Memory {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    #[test]
    fn a_metric_is_a_line_of_its_own_whatever_the_level() {
        let memory = Memory::default();
        tracing::subscriber::with_default(subscriber("error", memory.clone()), || {
            tracing::info!("not shown");
            count(
                Millis(7),
                "Refused",
                1,
                &[("reason", "not_found")],
                json!({ "a": "b\n", "c": null }),
            );
            tracing::error!(code = "x", "shown");
        });
        let text = String::from_utf8(memory.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert_eq!(
            lines[0],
            json!({
                "_aws": { "Timestamp": 7, "CloudWatchMetrics": [{ "Namespace": "Leadbridge",
                    "Dimensions": [["reason"]], "Metrics": [{ "Name": "Refused" }] }] },
                "Refused": 1, "reason": "not_found", "a": "b\n",
            })
        );
        assert_eq!(lines[1]["fields"]["code"], "x");
    }
}
