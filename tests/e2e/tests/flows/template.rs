//! Checks `template.yaml` against the code: the deployed stack has the table, queues, variables and
//! permissions that the functions were written for.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::{Arc, Mutex},
};

use e2e::Harness;
use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value, json};
use shared::clock::{Clock as _, SystemClock};
use shared::domain::ids::ContractId;
use shared::domain::schema::CrmKind;
use shared::store::{ConnectionKind, schema};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt as _;

/// A function as its own crate describes it.
struct Described {
    name: &'static str,
    variables: &'static [&'static str],
    permissions: &'static [&'static str],
}

macro_rules! described {
    ($name:literal, $krate:ident) => {
        Described {
            name: $name,
            variables: $krate::config::VARIABLES,
            permissions: $krate::config::PERMISSIONS,
        }
    };
}

const FUNCTIONS: [Described; 6] = [
    described!("console", console),
    described!("crm-import", crm_import),
    described!("crm-writeback", crm_writeback),
    described!("form-intake", form_intake),
    described!("lead-resync", lead_resync),
    described!("oauth-callback", oauth_callback),
];

/// The permissions that the poller of a queue needs in its function's role.
const EVENT_SOURCE_PERMISSIONS: [&str; 3] = [
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "sqs:ReceiveMessage",
];

fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The template, with short forms such as `!Ref X` written out as `{"Ref": "X"}`.
fn template() -> Value {
    let text = fs::read_to_string(workspace().join("template.yaml")).unwrap();
    let documents = Yaml::load_from_str(&text).unwrap();
    assert_eq!(documents.len(), 1);
    plain(&documents[0])
}

fn plain(node: &Yaml<'_>) -> Value {
    match node {
        Yaml::Value(scalar) => match scalar {
            Scalar::Null => Value::Null,
            Scalar::Boolean(value) => json!(value),
            Scalar::Integer(value) => json!(value),
            Scalar::FloatingPoint(value) => json!(value.into_inner()),
            Scalar::String(value) => json!(value),
        },
        Yaml::Sequence(items) => items.iter().map(plain).collect(),
        Yaml::Mapping(entries) => Value::Object(
            entries
                .iter()
                .map(|(key, value)| (key.as_str().unwrap().to_owned(), plain(value)))
                .collect(),
        ),
        Yaml::Tagged(tag, inner) => {
            let name = match tag.suffix.as_str() {
                name @ ("Ref" | "Condition") => name.to_owned(),
                name => format!("Fn::{name}"),
            };
            json!({ name: plain(inner) })
        }
        other => panic!("unexpected in a template: {other:?}"),
    }
}

fn resources(template: &Value) -> &Map<String, Value> {
    template["Resources"].as_object().unwrap()
}

/// The resources of one type, by logical id.
fn of_type<'a>(
    template: &'a Value,
    kind: &'a str,
) -> impl Iterator<Item = (&'a String, &'a Value)> {
    resources(template)
        .iter()
        .filter(move |(_, resource)| resource["Type"] == kind)
}

/// `FormIntakeFunction` for `form-intake`.
fn logical_id(function: &str) -> String {
    let parts = function
        .split('-')
        .map(|part| format!("{}{}", part[..1].to_uppercase(), &part[1..]));
    parts.collect::<String>() + "Function"
}

fn function<'a>(template: &'a Value, name: &str) -> &'a Value {
    &resources(template)[&logical_id(name)]["Properties"]
}

/// A value that may be one thing or a list of them.
fn list(value: &Value) -> Vec<&Value> {
    value
        .as_array()
        .map_or_else(|| vec![value], |items| items.iter().collect())
}

fn statements<'a>(template: &'a Value, name: &str) -> Vec<&'a Value> {
    let policies = &function(template, name)["Policies"];
    assert_eq!(
        policies.as_array().unwrap().len(),
        1,
        "{name} has one policy"
    );
    list(&policies[0]["Statement"])
}

/// The resource that `X.Attribute` is of.
fn owner<'a>(attribute: &'a Value, suffix: &str) -> &'a str {
    attribute.as_str().unwrap().strip_suffix(suffix).unwrap()
}

/// A queue that feeds a function.
struct FedFrom<'a> {
    queue: &'a str,
    function: &'a str,
    properties: &'a Value,
}

fn sources(template: &Value) -> Vec<FedFrom<'_>> {
    of_type(template, "AWS::Lambda::EventSourceMapping")
        .map(|(_, source)| {
            let properties = &source["Properties"];
            FedFrom {
                queue: owner(&properties["EventSourceArn"]["Fn::GetAtt"], ".Arn"),
                function: properties["FunctionName"]["Ref"].as_str().unwrap(),
                properties,
            }
        })
        .collect()
}

fn set<'a>(items: impl IntoIterator<Item = &'a str>) -> BTreeSet<&'a str> {
    items.into_iter().collect()
}

/// Visits every text in a value.
fn texts<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(entries) => entries.values().for_each(|item| texts(item, found)),
        _ => {}
    }
}

#[test]
fn functions_are_the_folders_of_functions() {
    let template = template();
    let folders: BTreeSet<String> = fs::read_dir(workspace().join("functions"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let described: BTreeSet<String> = FUNCTIONS
        .iter()
        .map(|function| function.name.to_owned())
        .collect();
    assert_eq!(described, folders);

    let deployed: BTreeSet<String> = of_type(&template, "AWS::Serverless::Function")
        .map(|(id, _)| id.clone())
        .collect();
    assert_eq!(
        deployed,
        folders.iter().map(|name| logical_id(name)).collect()
    );
    for name in &folders {
        let properties = function(&template, name);
        assert_eq!(properties["CodeUri"], format!("functions/{name}"));
        assert_eq!(
            properties["FunctionName"]["Fn::Sub"],
            format!("${{AWS::StackName}}-{name}")
        );
        let metadata = &resources(&template)[&logical_id(name)]["Metadata"];
        assert_eq!(metadata["BuildMethod"], "rust-cargolambda", "{name}");
    }
}

/// An index's name, partition key, sort key and projected attributes.
type Index = (String, String, String, Vec<String>);

#[test]
fn table_is_the_one_the_store_is_written_for() {
    let template = template();
    let tables: Vec<_> = of_type(&template, "AWS::DynamoDB::Table").collect();
    assert_eq!(tables.len(), 1);
    let (_, resource) = tables[0];
    assert_eq!(resource["DeletionPolicy"], "Retain");
    assert_eq!(resource["UpdateReplacePolicy"], "Retain");
    let table = &resource["Properties"];

    let keys = |schema: &Value| {
        let attribute = |kind: &str| {
            let found = list(schema).into_iter().find(|key| key["KeyType"] == kind);
            found.unwrap()["AttributeName"].as_str().unwrap().to_owned()
        };
        (attribute("HASH"), attribute("RANGE"))
    };
    let (partition, sort) = schema::TABLE_KEYS;
    assert_eq!(
        keys(&table["KeySchema"]),
        (partition.to_owned(), sort.to_owned())
    );

    // An index holds keys and the attributes it is read for, never whole items.
    let deployed: BTreeSet<Index> = list(&table["GlobalSecondaryIndexes"])
        .into_iter()
        .map(|index| {
            let (partition, sort) = keys(&index["KeySchema"]);
            let projection = &index["Projection"];
            assert_eq!(projection["ProjectionType"], "INCLUDE");
            let includes = list(&projection["NonKeyAttributes"]).into_iter();
            (
                index["IndexName"].as_str().unwrap().to_owned(),
                partition,
                sort,
                includes
                    .map(|name| name.as_str().unwrap().to_owned())
                    .collect(),
            )
        })
        .collect();
    let written: BTreeSet<Index> = schema::INDEXES
        .iter()
        .map(|index| {
            let includes = index.includes.iter().map(|name| (*name).to_owned());
            (
                index.name.to_owned(),
                index.partition.to_owned(),
                index.sort.to_owned(),
                includes.collect(),
            )
        })
        .collect();
    assert_eq!(deployed, written);

    let attributes: BTreeSet<&str> = list(&table["AttributeDefinitions"])
        .into_iter()
        .map(|attribute| {
            assert_eq!(attribute["AttributeType"], "S");
            attribute["AttributeName"].as_str().unwrap()
        })
        .collect();
    let mut keys_of_all = set([partition, sort]);
    keys_of_all.extend(
        schema::INDEXES
            .iter()
            .flat_map(|index| [index.partition, index.sort]),
    );
    assert_eq!(attributes, keys_of_all);

    let ttl = &table["TimeToLiveSpecification"];
    assert_eq!(ttl["AttributeName"], schema::TTL_ATTRIBUTE);
    assert_eq!(ttl["Enabled"], true);
    assert_eq!(
        table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"],
        true
    );
    assert_eq!(table["BillingMode"], "PAY_PER_REQUEST");
    assert_eq!(table["SSESpecification"]["SSEEnabled"], true);
    assert_eq!(
        table["SSESpecification"]["KMSMasterKeyId"]["Fn::GetAtt"],
        "Key.Arn"
    );
}

#[test]
fn each_function_gets_exactly_the_variables_it_reads() {
    let template = template();
    for described in &FUNCTIONS {
        let variables = function(&template, described.name)["Environment"]["Variables"]
            .as_object()
            .unwrap();
        let given: BTreeSet<&str> = variables
            .keys()
            .map(String::as_str)
            .filter(|name| *name != "RUST_LOG")
            .collect();
        assert_eq!(
            given,
            set(described.variables.iter().copied()),
            "{}",
            described.name
        );
        assert!(variables.contains_key("RUST_LOG"), "{}", described.name);
    }
}

#[test]
fn each_function_may_do_exactly_what_it_does() {
    let template = template();
    for described in &FUNCTIONS {
        let mut granted = BTreeSet::new();
        for statement in statements(&template, described.name) {
            assert_eq!(statement["Effect"], "Allow");
            granted.extend(
                list(&statement["Action"])
                    .into_iter()
                    .map(|action| action.as_str().unwrap()),
            );
        }
        let needed = set(described.permissions.iter().copied());
        assert_eq!(granted, needed, "{}", described.name);
    }
}

/// A function may use the queues that its variables name and the one that it is fed from, each for
/// just that.
#[test]
fn each_function_uses_the_queues_it_is_told_of() {
    let template = template();
    for described in &FUNCTIONS {
        let variables = function(&template, described.name)["Environment"]["Variables"]
            .as_object()
            .unwrap();
        let mut needed = BTreeSet::new();
        for (_, value) in variables
            .iter()
            .filter(|(name, _)| name.ends_with("_QUEUE_URL"))
        {
            needed.insert((value["Ref"].as_str().unwrap(), "sqs:SendMessage"));
        }
        for source in sources(&template) {
            if source.function == logical_id(described.name) {
                needed.extend(EVENT_SOURCE_PERMISSIONS.map(|action| (source.queue, action)));
            }
        }
        let mut granted = BTreeSet::new();
        for statement in statements(&template, described.name) {
            for action in list(&statement["Action"]) {
                let action = action.as_str().unwrap();
                let resources = list(&statement["Resource"]).into_iter();
                granted.extend(
                    resources
                        .filter(|_| action.starts_with("sqs:"))
                        .map(|resource| (owner(&resource["Fn::GetAtt"], ".Arn"), action)),
                );
            }
        }
        assert_eq!(granted, needed, "{}", described.name);
    }
}

#[test]
fn no_permission_reaches_beyond_this_stack() {
    let template = template();
    for described in &FUNCTIONS {
        for statement in statements(&template, described.name) {
            let mut found = Vec::new();
            texts(&statement["Action"], &mut found);
            texts(&statement["Resource"], &mut found);
            for text in &found {
                assert!(!text.contains('*'), "{}: {text}", described.name);
            }
            // Indexes can only be queried: a function without queries needs none.
            if found.iter().any(|text| text.contains("/index/")) {
                assert!(found.contains(&"dynamodb:Query"), "{}", described.name);
            }
        }
        assert!(
            function(&template, described.name)["Role"].is_null(),
            "{}",
            described.name
        );
    }
    for (id, role) in of_type(&template, "AWS::IAM::Role") {
        assert!(role["Properties"]["ManagedPolicyArns"].is_null(), "{id}");
        let mut found = Vec::new();
        texts(&role["Properties"]["Policies"], &mut found);
        assert!(
            found.iter().all(|text| !text.contains('*')),
            "{id}: {found:?}"
        );
    }
}

#[test]
fn queues_end_in_dead_letters_that_somebody_hears_of() {
    let template = template();
    let queues: BTreeSet<&String> = of_type(&template, "AWS::SQS::Queue")
        .map(|(id, _)| id)
        .collect();
    let mut dead_letters = BTreeSet::new();
    let mut consumed = BTreeSet::new();
    for (id, queue) in of_type(&template, "AWS::SQS::Queue") {
        let properties = &queue["Properties"];
        assert_eq!(properties["SqsManagedSseEnabled"], true, "{id}");
        if let Some(target) =
            properties["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"].as_str()
        {
            assert_eq!(properties["RedrivePolicy"]["maxReceiveCount"], 5, "{id}");
            dead_letters.insert(target.strip_suffix(".Arn").unwrap());
            consumed.insert(id.as_str());
        }
    }
    for (_, schedule) in of_type(&template, "AWS::Scheduler::Schedule") {
        let target =
            schedule["Properties"]["Target"]["DeadLetterConfig"]["Arn"]["Fn::GetAtt"].as_str();
        dead_letters.insert(target.unwrap().strip_suffix(".Arn").unwrap());
    }
    let all: BTreeSet<&str> = queues.into_iter().map(String::as_str).collect();
    assert_eq!(
        all,
        dead_letters.union(&consumed).copied().collect(),
        "every queue has or is a dead-letter queue"
    );

    let alarmed: BTreeSet<&str> = of_type(&template, "AWS::CloudWatch::Alarm")
        .filter(|(_, alarm)| {
            alarm["Properties"]["MetricName"] == "ApproximateNumberOfMessagesVisible"
        })
        .map(|(id, alarm)| {
            let properties = &alarm["Properties"];
            assert_eq!(properties["Threshold"], 0, "{id}");
            assert_eq!(
                properties["ComparisonOperator"], "GreaterThanThreshold",
                "{id}"
            );
            let queue = properties["Dimensions"][0]["Value"]["Fn::GetAtt"]
                .as_str()
                .unwrap();
            queue.strip_suffix(".QueueName").unwrap()
        })
        .collect();
    assert_eq!(alarmed, dead_letters);
    for id in dead_letters {
        let kept = resources(&template)[id]["Properties"]["MessageRetentionPeriod"].as_i64();
        assert_eq!(kept, Some(14 * 24 * 60 * 60), "{id}");
    }
}

#[test]
fn queues_wait_six_time_outs_and_report_single_failures() {
    let template = template();
    let sources = sources(&template);
    let fed = |id: &str| sources.iter().any(|source| source.queue == id);
    for (id, queue) in of_type(&template, "AWS::SQS::Queue") {
        let has_dead_letters = !queue["Properties"]["RedrivePolicy"].is_null();
        assert_eq!(fed(id), has_dead_letters, "{id} feeds a function");
    }
    for source in sources {
        let name = source.queue;
        assert_eq!(
            source.properties["FunctionResponseTypes"],
            json!(["ReportBatchItemFailures"]),
            "{name}"
        );
        let queue = &resources(&template)[name]["Properties"];
        let function = &resources(&template)[source.function]["Properties"];
        let seconds = |value: &Value| value.as_i64().unwrap();
        assert_eq!(
            seconds(&queue["VisibilityTimeout"]),
            6 * seconds(&function["Timeout"]),
            "{name}"
        );
        // Five deliveries of a message take a while: it is kept for the longest possible time.
        assert_eq!(seconds(&queue["MessageRetentionPeriod"]), 14 * 24 * 60 * 60);
        // Each has a limit of its own, so that none takes all of the account's concurrency.
        let limit = &source.properties["ScalingConfig"]["MaximumConcurrency"]["Ref"];
        let limit = limit.as_str().unwrap();
        assert_eq!(template["Parameters"][limit]["Type"], "Number", "{name}");
    }
}

/// Items that are stepped over are counted in the log of every function, and an alarm watches the count.
#[test]
fn what_is_stepped_over_sets_off_an_alarm() {
    let template = template();
    for described in &FUNCTIONS {
        let name = described.name;
        let logs = &function(&template, name)["LoggingConfig"]["LogGroup"]["Ref"];
        let counted = of_type(&template, "AWS::Logs::MetricFilter").any(|(_, filter)| {
            let filter = &filter["Properties"];
            let pattern = filter["FilterPattern"].as_str().unwrap();
            filter["LogGroupName"]["Ref"] == *logs
                && filter["MetricTransformations"][0]["MetricName"] == "SteppedOver"
                && STEPPED_OVER
                    .iter()
                    .all(|notice| pattern.contains(&format!("$.fields.notice = \"{notice}\"")))
        });
        assert!(counted, "{name}");
    }
    let alarm = &resources(&template)["SteppedOverAlarm"]["Properties"];
    assert_eq!(
        (&alarm["MetricName"], &alarm["Threshold"]),
        (&json!("SteppedOver"), &json!(0))
    );
}

/// The values of the field `notice` in the log lines about it.
const STEPPED_OVER: [&str; 3] = ["item_unreadable", "contract_skipped", "malformed_request"];

/// The template's filter counts the lines that a function logs, and an alarm watches the count.
#[tokio::test]
async fn an_authorisation_that_ends_soon_sets_off_an_alarm() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let contract = &tenant.made.id;
    let now = SystemClock.now();
    let days = async |days: i64| {
        let kind = ConnectionKind::LinkedIn;
        let connection = harness.store.connection(contract, kind).await.unwrap();
        let mut connection = connection.unwrap();
        connection.valid_until = Some(now.plus_seconds(days * 24 * 3600));
        harness.store.put_connection(&connection).await.unwrap();
        logged_by_start_syncs(&harness, contract).await
    };
    let template = template();
    let filter = &resources(&template)["AuthorizationsEndingFilter"]["Properties"];
    let log = filter["LogGroupName"]["Ref"].as_str().unwrap();
    let import = function(&template, "crm-import");
    assert_eq!(import["LoggingConfig"]["LogGroup"]["Ref"], log);
    let (field, value) = filter["FilterPattern"]
        .as_str()
        .and_then(|pattern| pattern.strip_prefix("{ $.")?.strip_suffix(" }"))
        .and_then(|pattern| pattern.split_once(" = "))
        .unwrap();
    let pointer = format!("/{}", field.replace('.', "/"));
    let value: Value = serde_json::from_str(value).unwrap();
    let counted = |lines: &[Value]| {
        let found = lines
            .iter()
            .filter(|line| line.pointer(&pointer) == Some(&value));
        found.count()
    };
    assert_eq!(counted(&days(13).await), 1);
    assert_eq!(counted(&days(15).await), 0);

    let metric = &filter["MetricTransformations"][0];
    let alarm = of_type(&template, "AWS::CloudWatch::Alarm").find(|(_, alarm)| {
        alarm["Properties"]["MetricName"] == metric["MetricName"]
            && alarm["Properties"]["Namespace"] == metric["MetricNamespace"]
    });
    let alarm = &alarm.unwrap().1["Properties"];
    assert_eq!(
        (&alarm["Statistic"], &alarm["Threshold"], &alarm["Period"]),
        (&json!("Sum"), &json!(0), &json!(24 * 60 * 60)),
        "it stays as long as the function says so, twice a day"
    );
    harness.stop().await;
}

/// The log lines of the schedule's task about a contract, as the deployed function writes them.
async fn logged_by_start_syncs(harness: &Harness, contract: &ContractId) -> Vec<Value> {
    let log = Arc::new(Mutex::new(Vec::new()));
    let guard = shared::telemetry::subscriber("info", SharedWriter(log.clone())).set_default();
    let task = crm_import::Task::StartSyncs {
        contract: Some(contract.clone()),
    };
    let app = &harness.embedded_stack().apps().import;
    crm_import::run(app, task).await.unwrap();
    drop(guard);
    let text = String::from_utf8(log.lock().unwrap().clone()).unwrap();
    assert!(text.contains("task ended"), "{text}");
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Writes into memory.
#[derive(Clone)]
struct SharedWriter(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for SharedWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for SharedWriter {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[test]
fn each_function_has_alarms_and_a_log_that_ends() {
    let template = template();
    for described in &FUNCTIONS {
        let id = logical_id(described.name);
        for metric in ["Errors", "Throttles"] {
            let found = of_type(&template, "AWS::CloudWatch::Alarm").any(|(_, alarm)| {
                alarm["Properties"]["MetricName"] == metric
                    && alarm["Properties"]["Dimensions"][0]["Value"]["Ref"] == id.as_str()
            });
            assert!(found, "{} has an alarm for {metric}", described.name);
        }
        let log = function(&template, described.name)["LoggingConfig"]["LogGroup"]["Ref"]
            .as_str()
            .unwrap();
        let retention = &resources(&template)[log]["Properties"]["RetentionInDays"];
        assert_eq!(retention["Ref"], "LogRetentionDays", "{}", described.name);
    }
}

#[test]
fn schedules_send_the_tasks_their_functions_know() {
    let template = template();
    let mut schedules: Vec<(String, String, String)> =
        of_type(&template, "AWS::Scheduler::Schedule")
            .map(|(id, schedule)| {
                let properties = &schedule["Properties"];
                let target = &properties["Target"];
                assert!(
                    target["RetryPolicy"]["MaximumRetryAttempts"]
                        .as_i64()
                        .unwrap()
                        > 0,
                    "{id}"
                );
                let input: Value = serde_json::from_str(target["Input"].as_str().unwrap()).unwrap();
                (
                    target["Arn"]["Fn::GetAtt"].as_str().unwrap().to_owned(),
                    input["task"].as_str().unwrap().to_owned(),
                    properties["ScheduleExpression"]
                        .as_str()
                        .unwrap()
                        .to_owned(),
                )
            })
            .collect();
    schedules.sort();
    let expected = [
        ("CrmImportFunction.Arn", "resume", "rate(1 minute)"),
        ("CrmImportFunction.Arn", "start-syncs", "rate(12 hours)"),
        ("LeadResyncFunction.Arn", "linkedin-pull", "rate(5 minutes)"),
        ("LeadResyncFunction.Arn", "sweep", "rate(1 minute)"),
    ];
    let expected = expected
        .map(|(function, task, rate)| (function.to_owned(), task.to_owned(), rate.to_owned()));
    assert_eq!(schedules, expected);
    for (function, task, _) in schedules {
        let event = json!({ "task": task });
        let known = if function == "CrmImportFunction.Arn" {
            serde_json::from_value::<crm_import::Task>(event).is_ok()
        } else {
            serde_json::from_value::<lead_resync::Task>(event).is_ok()
        };
        assert!(known, "{function} knows {task}");
    }
    let hours = shared::domain::sync::SYNC_EVERY_SECONDS / 3600;
    assert_eq!(expected[1].2, format!("rate({hours} hours)"));
}

#[test]
fn routes_reach_the_functions_the_local_router_also_names() {
    let template = template();
    let mut routes = BTreeSet::new();
    for (id, route) in of_type(&template, "AWS::ApiGatewayV2::Route") {
        let properties = &route["Properties"];
        let integration = properties["Target"]["Fn::Sub"].as_str().unwrap();
        let integration = integration
            .strip_prefix("integrations/${")
            .and_then(|rest| rest.strip_suffix('}'));
        let integration = &resources(&template)[integration.unwrap()]["Properties"];
        assert_eq!(integration["PayloadFormatVersion"], "2.0", "{id}");
        let function = integration["IntegrationUri"]["Fn::GetAtt"]
            .as_str()
            .unwrap()
            .to_owned();
        let path = properties["RouteKey"]
            .as_str()
            .unwrap()
            .split_once(' ')
            .unwrap()
            .1;
        routes.insert((path.replace("{proxy+}", "{*proxy}"), function));
    }
    let manifest = fs::read_to_string(workspace().join("Cargo.toml")).unwrap();
    let section = manifest
        .split_once("[workspace.metadata.lambda.watch.router]\n")
        .unwrap()
        .1;
    let local: BTreeSet<(String, String)> = section
        .lines()
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once(" = "))
        .map(|(path, function)| {
            let quoted = |text: &str| text.trim().trim_matches('"').to_owned();
            (quoted(path), logical_id(&quoted(function)) + ".Arn")
        })
        .collect();
    assert_eq!(routes, local);

    // Every function that has a route has to let the API in.
    let allowed: BTreeSet<String> = of_type(&template, "AWS::Lambda::Permission")
        .map(|(_, permission)| {
            permission["Properties"]["FunctionName"]["Ref"]
                .as_str()
                .unwrap()
                .to_owned()
                + ".Arn"
        })
        .collect();
    assert_eq!(
        allowed,
        routes.into_iter().map(|(_, function)| function).collect()
    );
    let api = of_type(&template, "AWS::ApiGatewayV2::Api")
        .next()
        .unwrap()
        .1;
    assert!(
        api["Properties"]["CorsConfiguration"].is_null(),
        "form-intake answers preflight requests"
    );
}

#[test]
fn defaults_send_tokens_to_nobody_but_the_providers() {
    let template = template();
    let default = |name: &str| template["Parameters"][name]["Default"].as_str().unwrap();
    assert_eq!(default("OutboundAllow"), "");
    assert_eq!(default("PublicUrl"), "");
    assert_eq!(default("LinkedInApiUrl"), "https://api.linkedin.com");
    assert_eq!(default("LinkedInAuthUrl"), "https://www.linkedin.com");
    assert_eq!(default("EntraUrl"), "https://login.microsoftonline.com");
    assert_eq!(default("DeletionProtection"), "true");
    let mut found = Vec::new();
    texts(&template, &mut found);
    for text in found {
        let local = ["127.0.0.1", "localhost", "[::1]", "0.0.0.0"]
            .iter()
            .any(|address| text.contains(address));
        assert!(!local, "{text}");
    }
}

/// An alarm without instructions is noise: each has its page, and each page an alarm.
#[test]
fn every_alarm_has_its_page_in_the_runbook() {
    let template = template();
    let text = fs::read_to_string(workspace().join("docs/runbook.md")).unwrap();
    let mut pages = BTreeSet::new();
    for page in text.split("\n### ").skip(1) {
        let (heading, body) = page.split_once('\n').unwrap();
        for part in ["**What it says.**", "**How to look.**", "**What to do.**"] {
            assert_eq!(body.matches(part).count(), 1, "{heading}: {part}");
        }
        for name in heading.split(", ") {
            let name = name.trim_matches('`').to_owned();
            assert!(pages.insert(name.clone()), "{name} has two pages");
        }
    }
    let alarms: BTreeSet<String> = of_type(&template, "AWS::CloudWatch::Alarm")
        .map(|(id, alarm)| {
            let actions = &alarm["Properties"]["AlarmActions"];
            assert_eq!(
                actions.as_array().map(Vec::len),
                Some(1),
                "{id} tells somebody"
            );
            id.clone()
        })
        .collect();
    assert_eq!(pages, alarms);
}

/// The metrics that alarms and the dashboard read are ones that the functions count.
#[test]
fn alarms_and_dashboard_read_what_the_functions_count() {
    let template = template();
    let mut sources = String::new();
    let mut folders = vec![workspace().join("functions"), workspace().join("shared")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                sources.push_str(&fs::read_to_string(path).unwrap());
            }
        }
    }
    let counted = |metric: &str| sources.contains(&format!("\"{metric}\""));
    let own = |namespace: &Value| namespace["Fn::Sub"] == "Leadbridge/${AWS::StackName}";
    let filtered: BTreeSet<&str> = of_type(&template, "AWS::Logs::MetricFilter")
        .map(|(_, filter)| {
            let metric = &filter["Properties"]["MetricTransformations"][0];
            metric["MetricName"].as_str().unwrap()
        })
        .collect();
    for (id, alarm) in of_type(&template, "AWS::CloudWatch::Alarm") {
        let properties = &alarm["Properties"];
        let metric = properties["MetricName"].as_str().unwrap();
        if own(&properties["Namespace"]) && !filtered.contains(metric) {
            assert!(counted(metric), "{id}: {metric}");
        }
        for dimension in properties["Dimensions"].as_array().into_iter().flatten() {
            if dimension["Name"] == "reason" {
                let reason = dimension["Value"].as_str().unwrap();
                assert!(counted(reason), "{id}: {reason}");
            }
        }
    }
    let body = resources(&template)["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
        .as_str()
        .unwrap();
    let dashboard: Value = serde_json::from_str(body).unwrap();
    let mut found = BTreeSet::new();
    let mut all = Vec::new();
    texts(&dashboard, &mut all);
    for text in &all {
        if let Some((_, rest)) = text.split_once("MetricName=\"") {
            found.insert(rest.split('"').next().unwrap().to_owned());
        }
    }
    for widget in dashboard["widgets"].as_array().unwrap() {
        for metric in widget["properties"]["metrics"].as_array().unwrap() {
            if metric[0] == "Leadbridge/${AWS::StackName}" {
                found.insert(metric[1].as_str().unwrap().to_owned());
            }
        }
    }
    assert!(found.len() >= 6, "{found:?}");
    for metric in found {
        assert!(counted(&metric), "{metric}");
    }
}

/// The key opens only a function's own secrets, and a boundary limits anything that SAM adds.
#[test]
fn each_function_opens_only_what_it_needs() {
    let template = template();
    for (name, purposes) in [
        (
            "console",
            vec![
                "connection/*",
                "erasure/*",
                "form/*",
                "linkedin/client-secret",
                "session/key",
            ],
        ),
        ("crm-import", vec!["connection/*", "erasure/*"]),
        ("crm-writeback", vec!["connection/*"]),
        ("form-intake", vec!["form/*", "linkedin/client-secret"]),
        ("lead-resync", vec!["connection/*"]),
        (
            "oauth-callback",
            vec!["connection/*", "oauth/attempt", "session/key"],
        ),
    ] {
        let statement = statements(&template, name)
            .into_iter()
            .find(|statement| statement["Sid"] == "Key")
            .unwrap();
        let condition =
            &statement["Condition"]["StringLikeIfExists"]["kms:EncryptionContext:purpose"];
        let given = list(condition)
            .into_iter()
            .map(|text| text.as_str().unwrap());
        assert_eq!(set(given), set(purposes), "{name}");
    }
    let boundary = &template["Globals"]["Function"]["PermissionsBoundary"]["Ref"];
    let boundary = &resources(&template)[boundary.as_str().unwrap()]["Properties"];
    let mut most = BTreeSet::new();
    for statement in list(&boundary["PolicyDocument"]["Statement"]) {
        for action in list(&statement["Action"]) {
            let action = action.as_str().unwrap();
            assert!(!action.contains('*'), "{action}");
            most.insert(action);
        }
        let mut places = Vec::new();
        texts(&statement["Resource"], &mut places);
        for place in places {
            let own = !place.contains('*') || place.contains("/aws/lambda/${AWS::StackName}-*");
            assert!(own, "{place}");
        }
    }
    for described in &FUNCTIONS {
        for action in described.permissions {
            assert!(most.contains(action), "{}: {action}", described.name);
        }
    }
}

/// Public routes have limits of their own, because the firewall is all or nothing.
#[test]
fn what_anybody_calls_is_throttled() {
    let template = template();
    let stage = &resources(&template)["ApiStage"];
    let settings = stage["Properties"]["RouteSettings"].as_object().unwrap();
    let routes: BTreeSet<&str> = of_type(&template, "AWS::ApiGatewayV2::Route")
        .map(|(_, route)| route["Properties"]["RouteKey"].as_str().unwrap())
        .collect();
    for (route, limits) in settings {
        assert!(routes.contains(route.as_str()), "{route}");
        for name in ["ThrottlingRateLimit", "ThrottlingBurstLimit"] {
            let parameter = limits[name]["Ref"].as_str().unwrap();
            assert_eq!(
                template["Parameters"][parameter]["Type"], "Number",
                "{route}"
            );
        }
    }
    let expected = [
        "POST /forms/{proxy+}",
        "POST /webhooks/{proxy+}",
        "ANY /oauth/{proxy+}",
    ];
    assert_eq!(set(settings.keys().map(String::as_str)), set(expected));
    let depends = list(&stage["DependsOn"]).len();
    assert_eq!(
        depends,
        settings.len(),
        "each route is there before its limit"
    );

    let distribution = &resources(&template)["Distribution"];
    assert_eq!(distribution["Condition"], "HasWebAcl");
    let config = &distribution["Properties"]["DistributionConfig"];
    assert_eq!(config["WebACLId"]["Ref"], "WebAclArn");
    let header = &config["Origins"][0]["OriginCustomHeaders"][0];
    assert_eq!(header["HeaderName"], shared::edge::ENTRANCE_HEADER);
    for name in ["form-intake", "console", "oauth-callback"] {
        let entrance =
            &function(&template, name)["Environment"]["Variables"]["LEADBRIDGE_ENTRANCE"];
        assert_eq!(entrance["Fn::If"][1], header["HeaderValue"], "{name}");
    }
    assert_eq!(template["Parameters"]["EntranceSecret"]["NoEcho"], true);
}
