//! List prices of AWS, and what the use of it costs by them.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::usage::Usage;

/// The list, with its date and sources.
const LIST: &str = include_str!("../prices.json");
/// What is deployed: it names the memory of each function.
const TEMPLATE: &str = include_str!("../../../template.yaml");

/// List prices, and what is assumed where nothing can be measured on one machine.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Prices {
    pub(crate) region: String,
    pub(crate) as_of: String,
    #[serde(rename = "prices")]
    of: BTreeMap<String, Price>,
    pub(crate) assumed: Assumed,
}

/// The price of so many of something.
#[derive(Debug, Clone, Deserialize)]
struct Price {
    dollars: f64,
    of: f64,
}

/// What no machine but AWS's shows.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Assumed {
    /// Milliseconds that a CRM takes to answer.
    pub(crate) crm_answer_ms: u32,
    /// Bytes of the lines that Lambda itself logs for an invocation.
    pub(crate) platform_log_bytes: f64,
    /// Hours in which a million is worked on, and processes of a function that do it at once.
    hours: f64,
    processes: f64,
    token_renewals_an_hour: f64,
    /// Memory at which a function has one whole processor.
    megabytes_of_a_processor: f64,
}

/// The services on a bill, in the order of its columns.
pub(crate) const SERVICES: [&str; 9] = [
    "writes", "indexes", "reads", "queues", "Lambda", "calls", "logs", "HTTP", "keys",
];

impl Prices {
    /// The list in the repository.
    pub(crate) fn list() -> Result<Self> {
        serde_json::from_str(LIST).context("prices.json")
    }

    fn of(&self, what: &str, amount: f64) -> f64 {
        let price = self.of.get(what);
        price.map_or(f64::NAN, |price| price.dollars * amount / price.of)
    }

    /// Dollars for the table alone.
    pub(crate) fn table(&self, usage: &Usage) -> f64 {
        self.of("write_units", usage.write_units + usage.index_units)
            + self.of("read_units", usage.read_units)
    }

    /// Dollars for each of the services.
    pub(crate) fn bill(&self, usage: &Usage) -> [f64; 9] {
        [
            self.of("write_units", usage.write_units),
            self.of("write_units", usage.index_units),
            self.of("read_units", usage.read_units),
            self.of("queue_requests", usage.queue_requests),
            self.of("gb_seconds", usage.gb_seconds),
            self.of("invocations", usage.invocations),
            self.of("log_bytes", usage.log_bytes),
            self.of("http_requests", usage.http_requests),
            self.of("key_calls", usage.key_calls),
        ]
    }
}

impl Assumed {
    /// Gigabyte-seconds of a function that took so many seconds here, of which so many on a
    /// processor. A function with little memory has a part of a processor, and takes longer by that.
    pub(crate) fn gb_seconds(self, megabytes: f64, seconds: f64, processor: f64) -> f64 {
        let slower = (self.megabytes_of_a_processor / megabytes).max(1.0);
        (seconds + processor * (slower - 1.0)) * megabytes / 1024.0
    }

    /// Calls to KMS while a million is worked on. Each process opens a token once after each renewal,
    /// and a renewal seals it; DynamoDB itself asks every five minutes for each function that calls it.
    pub(crate) fn key_calls(self, functions: f64) -> f64 {
        let opened = self.processes * (1.0 + self.hours * self.token_renewals_an_hour);
        let sealed = self.hours * self.token_renewals_an_hour;
        opened + sealed + self.hours * 12.0 * functions
    }
}

/// Megabytes of memory of a deployed function.
pub(crate) fn memory(function: &str) -> Result<f64> {
    memory_in(TEMPLATE, function).with_context(|| format!("no memory of {function}"))
}

/// The memory of a function in a template: its own, or that of all functions.
fn memory_in(template: &str, function: &str) -> Option<f64> {
    let size = |part: &str| -> Option<f64> {
        let (_, after) = part.split_once("MemorySize: ")?;
        after.lines().next()?.trim().parse().ok()
    };
    let (globals, resources) = template.split_once("\nResources:")?;
    let name = format!("FunctionName: !Sub ${{AWS::StackName}}-{function}\n");
    let (_, own) = resources.split_once(&name)?;
    // Up to the next resource.
    let own = own.split("\n    Type: ").next()?;
    size(own).or_else(|| size(globals))
}

#[cfg(test)]
mod tests {
    use super::{Prices, memory, memory_in};
    use crate::usage::Usage;

    fn close(one: f64, other: f64) {
        assert!((one - other).abs() < 1e-9, "{one} rather than {other}");
    }

    #[test]
    fn each_service_has_its_price() {
        let prices = Prices::list().unwrap();
        let usage = Usage {
            read_units: 1e6,
            write_units: 2e6,
            index_units: 1e6,
            queue_requests: 2e6,
            invocations: 1e6,
            gb_seconds: 1e6,
            log_bytes: 1_073_741_824.0,
            http_requests: 3e6,
            key_calls: 1e4,
            ..Usage::default()
        };
        let bill = prices.bill(&usage);
        let wanted = [1.25, 0.625, 0.125, 1.0, 16.6667, 0.2, 0.5, 3.0, 0.03];
        for (one, other) in bill.into_iter().zip(wanted) {
            close(one, other);
        }
        close(prices.table(&usage), 2.0);
    }

    #[test]
    fn little_memory_is_a_slower_processor() {
        let assumed = Prices::list().unwrap().assumed;
        // A second, half of it on a processor, of which there is a quarter: two and a half seconds.
        close(
            assumed.gb_seconds(1769.0 / 4.0, 1.0, 0.5),
            2.5 * 1769.0 / 4096.0,
        );
        // More than one processor makes a thread no faster.
        close(assumed.gb_seconds(4096.0, 2.0, 1.0), 8.0);
    }

    #[test]
    fn memory_is_that_of_the_template() {
        let template = "Globals:\n  Function:\n    MemorySize: 256\n\nResources:\n  A:\n    Type: F\n    Properties:\n      \
                        FunctionName: !Sub ${AWS::StackName}-one\n      Timeout: 1\n  B:\n    Type: F\n    Properties:\n      \
                        FunctionName: !Sub ${AWS::StackName}-two\n      MemorySize: 3008\n";
        assert_eq!(memory_in(template, "one"), Some(256.0));
        assert_eq!(memory_in(template, "two"), Some(3008.0));
        assert_eq!(memory_in(template, "three"), None);
        for function in ["form-intake", "crm-writeback", "crm-import"] {
            assert!(memory(function).unwrap() >= 128.0);
        }
    }
}
