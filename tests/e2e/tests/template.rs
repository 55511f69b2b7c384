//! Holds `template.yaml` against the code: what is deployed has the table, queues, variables and
//! permissions that the functions were written for.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

use std::{collections::BTreeSet, fs, path::Path};

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value, json};
use shared::store::schema;

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

/// What the poller of a queue needs of its function's role; the function calls none of it.
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

    let deployed: BTreeSet<(String, String, String)> = list(&table["GlobalSecondaryIndexes"])
        .into_iter()
        .map(|index| {
            let (partition, sort) = keys(&index["KeySchema"]);
            (
                index["IndexName"].as_str().unwrap().to_owned(),
                partition,
                sort,
            )
        })
        .collect();
    let written: BTreeSet<(String, String, String)> = schema::INDEXES
        .iter()
        .map(|(name, partition, sort)| {
            (
                (*name).to_owned(),
                (*partition).to_owned(),
                (*sort).to_owned(),
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
            .flat_map(|(_, partition, sort)| [*partition, *sort]),
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
    let consumers: BTreeSet<&str> = of_type(&template, "AWS::Lambda::EventSourceMapping")
        .map(|(_, source)| {
            source["Properties"]["FunctionName"]["Ref"]
                .as_str()
                .unwrap()
        })
        .collect();
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
        let mut needed = set(described.permissions.iter().copied());
        if consumers.contains(logical_id(described.name).as_str()) {
            needed.extend(EVENT_SOURCE_PERMISSIONS);
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
            // Indexes can only be queried: nobody else needs them.
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
fn the_writeback_queue_waits_six_time_outs_and_reports_single_failures() {
    let template = template();
    let sources: Vec<_> = of_type(&template, "AWS::Lambda::EventSourceMapping").collect();
    assert_eq!(sources.len(), 1);
    let source = &sources[0].1["Properties"];
    assert_eq!(source["BatchSize"], 10);
    assert_eq!(
        source["FunctionResponseTypes"],
        json!(["ReportBatchItemFailures"])
    );
    let queue = source["EventSourceArn"]["Fn::GetAtt"]
        .as_str()
        .unwrap()
        .strip_suffix(".Arn")
        .unwrap();
    let visibility = resources(&template)[queue]["Properties"]["VisibilityTimeout"]
        .as_i64()
        .unwrap();
    let timeout = function(&template, "crm-writeback")["Timeout"]
        .as_i64()
        .unwrap();
    assert_eq!(visibility, 6 * timeout);
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
        (
            "CrmImportFunction.Arn",
            "refresh-metadata",
            "rate(12 hours)",
        ),
        ("LeadResyncFunction.Arn", "linkedin-pull", "rate(5 minutes)"),
        ("LeadResyncFunction.Arn", "sweep", "rate(1 minute)"),
    ];
    let expected = expected
        .map(|(function, task, rate)| (function.to_owned(), task.to_owned(), rate.to_owned()));
    assert_eq!(schedules, expected);
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

    // Whoever is routed to has to let the API in.
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
