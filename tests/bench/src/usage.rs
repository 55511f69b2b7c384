//! The use of AWS that is billed: calls, capacity units of the table, requests, bytes of logs.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_dynamodb::config::interceptors::{
    AfterDeserializationInterceptorContextRef, BeforeSerializationInterceptorContextMut,
    BeforeTransmitInterceptorContextRef,
};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_sdk_dynamodb::operation::{
    batch_get_item, batch_write_item, delete_item, get_item, put_item, query, transact_write_items,
    update_item,
};
use aws_sdk_dynamodb::types::{ConsumedCapacity, ReturnConsumedCapacity};
use aws_smithy_types::config_bag::{Storable, StoreReplace};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Bytes of a unit that writes, and of a chunk of a message that is billed as a request.
const WRITE_BYTES: usize = 1024;
const MESSAGE_BYTES: usize = 64 * 1024;
/// Bytes that CloudWatch adds to each line of a log.
const LINE_BYTES: f64 = 26.0;

/// The billed use of AWS. Numbers are fractions where a sample is scaled.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// Calls by action.
    pub(crate) calls: BTreeMap<String, f64>,
    pub(crate) read_units: f64,
    /// Write units of the table, its indexes left out.
    pub(crate) write_units: f64,
    /// Write units of the indexes.
    pub(crate) index_units: f64,
    /// Requests to queues as they are billed.
    pub(crate) queue_requests: f64,
    pub(crate) invocations: f64,
    pub(crate) gb_seconds: f64,
    pub(crate) log_bytes: f64,
    pub(crate) http_requests: f64,
    pub(crate) key_calls: f64,
}

impl Usage {
    /// All numbers of two, taken together one by one.
    fn with(&self, other: &Self, join: impl Fn(f64, f64) -> f64) -> Self {
        let names = self.calls.keys().chain(other.calls.keys());
        let of = |usage: &Self, name: &str| usage.calls.get(name).copied().unwrap_or_default();
        Self {
            calls: names
                .map(|name| (name.clone(), join(of(self, name), of(other, name))))
                .collect(),
            read_units: join(self.read_units, other.read_units),
            write_units: join(self.write_units, other.write_units),
            index_units: join(self.index_units, other.index_units),
            queue_requests: join(self.queue_requests, other.queue_requests),
            invocations: join(self.invocations, other.invocations),
            gb_seconds: join(self.gb_seconds, other.gb_seconds),
            log_bytes: join(self.log_bytes, other.log_bytes),
            http_requests: join(self.http_requests, other.http_requests),
            key_calls: join(self.key_calls, other.key_calls),
        }
    }

    /// The sum of two.
    pub(crate) fn plus(&self, other: &Self) -> Self {
        self.with(other, |one, other| one + other)
    }

    /// So many times this.
    pub(crate) fn times(&self, factor: f64) -> Self {
        self.with(&Self::default(), |one, _| one * factor)
    }

    /// The use of `wanted` of something, on the straight line through two measurements of it. What
    /// grows less than nothing from the smaller to the larger stays as large as there.
    pub(crate) fn on_a_line(small: (f64, &Self), large: (f64, &Self), wanted: f64) -> Self {
        let steps = (wanted - large.0) / (large.0 - small.0);
        large.1.with(small.1, |large, small| {
            large + (large - small).max(0.0) * steps
        })
    }

    /// Calls of some actions.
    pub(crate) fn calls_of(&self, actions: &[&str]) -> f64 {
        let of = |action: &&str| self.calls.get(*action).copied().unwrap_or_default();
        actions.iter().map(of).sum()
    }
}

/// The use so far of the clients and the logs that it was given to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meter(Arc<Mutex<Usage>>);

impl Meter {
    /// Everything so far.
    pub(crate) fn usage(&self) -> Usage {
        self.change(|usage| usage.clone())
    }

    /// Begins again.
    pub(crate) fn reset(&self) {
        self.change(|usage| *usage = Usage::default());
    }

    fn change<T>(&self, change: impl FnOnce(&mut Usage) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Logs as the functions do, and counts the bytes; on this thread, while the guard is held.
    pub(crate) fn logs(&self) -> tracing::subscriber::DefaultGuard {
        let subscriber = shared::telemetry::subscriber(EnvFilter::new("info"), self.clone());
        tracing::subscriber::set_default(subscriber)
    }
}

impl Write for Meter {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.change(|usage| usage.log_bytes += decimal(line.len()) + LINE_BYTES);
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Meter {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// The action and, of one that writes, the body of a request. Once it is sent, the client has it no more.
#[derive(Debug)]
struct Asked {
    action: String,
    body: Vec<u8>,
}

impl Storable for Asked {
    type Storer = StoreReplace<Self>;
}

/// Lets the table say what each action consumes.
macro_rules! consuming {
    ($($module:ident::$input:ident => $output:ident),+ $(,)?) => {
        fn ask(context: &mut BeforeSerializationInterceptorContextMut<'_>) {
            let input = context.input_mut();
            $(if let Some(input) = input.downcast_mut::<$module::$input>() {
                input.return_consumed_capacity = Some(ReturnConsumedCapacity::Indexes);
            })+
        }

        /// The capacity that a call consumed; `None` if it failed.
        fn told<'c>(
            context: &'c AfterDeserializationInterceptorContextRef<'_>,
        ) -> Option<Vec<&'c ConsumedCapacity>> {
            let output = context.output_or_error().ok()?;
            let mut all: Vec<&ConsumedCapacity> = Vec::new();
            $(if let Some(output) = output.downcast_ref::<$module::$output>() {
                all.extend(output.consumed_capacity());
            })+
            Some(all)
        }
    };
}

consuming! {
    get_item::GetItemInput => GetItemOutput,
    batch_get_item::BatchGetItemInput => BatchGetItemOutput,
    query::QueryInput => QueryOutput,
    put_item::PutItemInput => PutItemOutput,
    update_item::UpdateItemInput => UpdateItemOutput,
    delete_item::DeleteItemInput => DeleteItemOutput,
    batch_write_item::BatchWriteItemInput => BatchWriteItemOutput,
    transact_write_items::TransactWriteItemsInput => TransactWriteItemsOutput,
}

/// Actions that read the table.
pub(crate) const READS: [&str; 3] = ["GetItem", "BatchGetItem", "Query"];
/// Actions that write to it.
pub(crate) const WRITES: [&str; 5] = [
    "PutItem",
    "UpdateItem",
    "DeleteItem",
    "BatchWriteItem",
    "TransactWriteItems",
];

impl Intercept for Meter {
    fn name(&self) -> &'static str {
        "Meter"
    }

    fn modify_before_serialization(
        &self,
        context: &mut BeforeSerializationInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        ask(context);
        Ok(())
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request();
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let (service, action) = target.split_once('.').unwrap_or_default();
        let body = request.body().bytes().unwrap_or_default();
        self.change(|usage| {
            *usage.calls.entry(action.to_owned()).or_default() += 1.0;
            if service == "AmazonSQS" {
                usage.queue_requests += decimal(body.len().div_ceil(MESSAGE_BYTES).max(1));
            }
        });
        let body = if WRITES.contains(&action) { body } else { &[] };
        config.interceptor_state().store_put(Asked {
            action: action.to_owned(),
            body: body.to_vec(),
        });
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Some(Asked { action, body }) = config.load::<Asked>() else {
            return Ok(());
        };
        let Some(told) = told(context) else {
            let answer = context.response().body().bytes().unwrap_or_default();
            let refused = refused(action, body, answer);
            self.change(|usage| usage.write_units += refused);
            return Ok(());
        };
        for one in told {
            let all = one.capacity_units().unwrap_or_default();
            let indexes = one.global_secondary_indexes();
            let indexes = indexes.into_iter().flat_map(|indexes| indexes.values());
            let indexes: f64 = indexes.filter_map(|index| index.capacity_units).sum();
            self.change(|usage| {
                if READS.contains(&action.as_str()) {
                    usage.read_units += all;
                } else {
                    usage.write_units += all - indexes;
                    usage.index_units += indexes;
                }
            });
        }
        Ok(())
    }
}

/// Write units of a call whose condition did not hold: as many as the write would have taken, of
/// which the answer says nothing. Other errors take none.
fn refused(action: &str, request: &[u8], answer: &[u8]) -> f64 {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    let kind = answer.get("__type").and_then(Value::as_str);
    let kind = kind.unwrap_or_default();
    if !kind.ends_with("ConditionalCheckFailedException")
        && !kind.ends_with("TransactionCanceledException")
    {
        return 0.0;
    }
    let request: Value = serde_json::from_slice(request).unwrap_or_default();
    // The new item of a put; of the stored one, the size where the answer shows it.
    let size = |holder: Option<&Value>| {
        let item = holder.and_then(|holder| holder.get("Item"));
        item.map_or(0, item_size)
    };
    if action != "TransactWriteItems" {
        return write_units(size(Some(&request)).max(size(Some(&answer))));
    }
    let all = |value: &Value, name: &str| -> Vec<Value> {
        let list = value.get(name).and_then(Value::as_array);
        list.cloned().unwrap_or_default()
    };
    let reasons = all(&answer, "CancellationReasons");
    let actions = all(&request, "TransactItems");
    let units = actions.iter().enumerate().map(|(at, action)| {
        let stored = size(reasons.get(at));
        2.0 * write_units(size(action.get("Put")).max(stored))
    });
    units.sum()
}

/// Write units of an item of so many bytes.
fn write_units(size: usize) -> f64 {
    decimal(size.div_ceil(WRITE_BYTES).max(1))
}

/// The size of an item in bytes, as DynamoDB counts it: names and values.
fn item_size(item: &Value) -> usize {
    let attributes = item.as_object().into_iter().flatten();
    attributes
        .map(|(name, value)| name.len() + value_size(value))
        .sum()
}

fn value_size(value: &Value) -> usize {
    let Some((kind, value)) = value.as_object().and_then(|value| value.iter().next()) else {
        return 0;
    };
    let text = value.as_str().unwrap_or_default();
    let list = || value.as_array().into_iter().flatten();
    let texts = || list().filter_map(Value::as_str);
    match kind.as_str() {
        "S" => text.len(),
        "N" => number_size(text),
        "B" => bytes_size(text),
        "SS" => texts().map(str::len).sum(),
        "NS" => texts().map(number_size).sum(),
        "BS" => texts().map(bytes_size).sum(),
        // Three bytes, and one for each element.
        "L" => 3 + list().map(|value| 1 + value_size(value)).sum::<usize>(),
        "M" => 3 + value.as_object().map_or(0, serde_json::Map::len) + item_size(value),
        _ => 1,
    }
}

/// A byte for two digits, one more, and one for a sign.
fn number_size(text: &str) -> usize {
    let digits = text.trim_start_matches('-').trim_matches('0').len();
    digits.div_ceil(2) + 1 + usize::from(text.starts_with('-'))
}

/// The bytes of a text in base64.
fn bytes_size(text: &str) -> usize {
    text.trim_end_matches('=').len() * 3 / 4
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn decimal(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Usage, item_size, refused};

    fn close(one: f64, other: f64) {
        assert!((one - other).abs() < 1e-9, "{one} rather than {other}");
    }

    #[test]
    fn an_item_is_as_large_as_its_names_and_values() {
        for (item, size) in [
            (json!({}), 0),
            (json!({"PK": {"S": "C#acme"}}), 8),
            (json!({"n": {"S": "Zoë"}}), 5),
            (json!({"n": {"N": "1790000000000"}}), 1 + 3),
            (json!({"n": {"N": "-12345"}}), 1 + 5),
            (json!({"b": {"B": "AAECAw=="}}), 1 + 4),
            (json!({"t": {"BOOL": true}}), 2),
            (json!({"s": {"SS": ["ab", "cde"]}}), 6),
            (
                json!({"l": {"L": [{"S": "ab"}, {"NULL": true}]}}),
                1 + 3 + 3 + 2,
            ),
            (json!({"m": {"M": {"key": {"S": "ab"}}}}), 1 + 3 + 1 + 5),
        ] {
            assert_eq!(item_size(&item), size, "{item}");
        }
    }

    #[test]
    fn a_write_whose_condition_fails_takes_the_units_of_the_item() {
        let answer = |kind: &str, more: serde_json::Value| {
            let mut answer = json!({"__type": format!("com.amazonaws.dynamodb.v20120810#{kind}")});
            if let (Some(answer), Some(more)) = (answer.as_object_mut(), more.as_object()) {
                answer.extend(more.clone());
            }
            answer.to_string()
        };
        let item = |size: usize| json!({"PK": {"S": "x".repeat(size - 2)}});
        let failed = answer("ConditionalCheckFailedException", json!({}));
        let put = json!({"Item": item(1024)}).to_string();
        close(refused("PutItem", put.as_bytes(), failed.as_bytes()), 1.0);
        let put = json!({"Item": item(1025)}).to_string();
        close(refused("PutItem", put.as_bytes(), failed.as_bytes()), 2.0);
        let stored = answer(
            "ConditionalCheckFailedException",
            json!({"Item": item(3000)}),
        );
        close(refused("PutItem", put.as_bytes(), stored.as_bytes()), 3.0);
        close(refused("UpdateItem", b"{}", failed.as_bytes()), 1.0);
        let slower = answer("ThrottlingException", json!({}));
        close(refused("PutItem", put.as_bytes(), slower.as_bytes()), 0.0);
        // In a transaction each costs two.
        let both = json!({"TransactItems": [{"Put": {"Item": item(1500)}}, {"Update": {}}]});
        let cancelled = answer("TransactionCanceledException", json!({}));
        let units = refused(
            "TransactWriteItems",
            both.to_string().as_bytes(),
            cancelled.as_bytes(),
        );
        close(units, 6.0);
    }

    #[test]
    fn usage_is_drawn_on_in_a_straight_line() {
        let of = |write_units: f64, calls: f64, read_units: f64| Usage {
            write_units,
            read_units,
            calls: [("PutItem".to_owned(), calls)].into(),
            ..Usage::default()
        };
        let (small, large) = (of(110.0, 11.0, 7.0), of(210.0, 21.0, 5.0));
        let drawn = Usage::on_a_line((10.0, &small), (20.0, &large), 1_000.0);
        close(drawn.write_units, 10.0 + 10.0 * 1_000.0);
        close(drawn.calls_of(&["PutItem", "GetItem"]), 1.0 + 1_000.0);
        close(drawn.read_units, 5.0);
        let sum = small.plus(&large).times(2.0);
        close(sum.write_units, 640.0);
        close(sum.calls_of(&["PutItem"]), 64.0);
    }
}
