//! The functions over watched wires and a clock that tests move: for tests that kill, race and count.

use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::event::sqs::SqsEvent;
use aws_sdk_dynamodb::types::AttributeValue;
use local::{Apps, Stack};
use serde_json::{Value, json};
use shared::clock::{Clock as _, SystemClock};
use shared::config::Source;
use shared::domain::environment::Environment;
use shared::domain::ids::ContractId;
use shared::domain::submission::{State, Submission};
use shared::domain::sync::SyncState;
use shared::queue::{ImportMessage, ImportQueue, WritebackQueue};
use shared::store::{Store, WorkKind};
use shared::testing::{FixedClock, OnAws, Tripwire};
use shared::wiring::{Remote, RemoteConfig};
use tower::ServiceExt as _;

use crate::Tenant;

/// The functions as one process of their own: cold caches, a wire, a clock.
#[must_use]
pub fn process(stack: &Stack, wire: &Arc<Tripwire>, clock: &Arc<FixedClock>) -> Apps {
    let source = Source::fixed(stack.variables.clone());
    let config = RemoteConfig::from_source(&source).expect("the stack's variables");
    let dynamodb = aws_sdk_dynamodb::config::Builder::from(&stack.aws)
        // A dead process retries nothing.
        .retry_config(aws_sdk_dynamodb::config::retry::RetryConfig::disabled())
        .interceptor(OnAws(wire.clone()))
        .build();
    let sqs = aws_sdk_sqs::config::Builder::from(&stack.aws)
        .retry_config(aws_sdk_sqs::config::retry::RetryConfig::disabled())
        .interceptor(OnAws(wire.clone()))
        .build();
    let store = Store::new(
        aws_sdk_dynamodb::Client::from_conf(dynamodb),
        config.table.clone(),
    );
    let sqs = aws_sdk_sqs::Client::from_conf(sqs);
    let queue = WritebackQueue::new(sqs.clone(), stack.queue_url.clone());
    let import_queue = ImportQueue::new(sqs, stack.import_queue_url.clone());
    let outbound = local::outbound(&config, stack.simulator.ca_file())
        .expect("an outbound client")
        .with_hook(wire.clone());
    let remote =
        Remote::with(&config, &stack.aws, store, outbound, clock.clone()).expect("the parts");
    Apps::over(
        remote,
        queue,
        import_queue,
        stack.url.parse().expect("a URL"),
    )
}

/// A clock that stands at the present.
#[must_use]
pub fn clock() -> Arc<FixedClock> {
    FixedClock::at(SystemClock.now())
}

/// Posts a form to the intake of a process; returns the answer's status and body.
pub async fn post(
    apps: &Apps,
    tenant: &Tenant<'_>,
    body: &Value,
    idempotency_key: &str,
) -> (u16, Value) {
    let request = http::Request::post(format!("/forms/{}", tenant.made.form_key))
        .header("content-type", "application/json")
        .header("idempotency-key", idempotency_key)
        .body(axum::body::Body::from(body.to_string()))
        .expect("a request");
    let answer = form_intake::router(apps.intake.clone()).oneshot(request);
    let answer = answer.await.expect("the router answers");
    let status = answer.status().as_u16();
    let body = axum::body::to_bytes(answer.into_body(), 1 << 20);
    let body = body.await.expect("a body");
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

/// The submission's id in an answer to a form.
#[must_use]
pub fn id_of(answer: &Value) -> String {
    let id = answer["submission_id"].as_str();
    id.expect("a submission id").to_owned()
}

/// A batch of messages about submissions, as SQS delivers them.
#[must_use]
pub fn messages(contract: &ContractId, ids: &[&str]) -> SqsEvent {
    let records: Vec<_> = ids
        .iter()
        .enumerate()
        .map(|(index, id)| {
            json!({"messageId": format!("m-{index}"), "body": json!({"contract": contract, "submission": id}).to_string(),
                   "attributes": {}, "messageAttributes": {}})
        })
        .collect();
    serde_json::from_value(json!({"Records": records})).expect("an SQS event")
}

/// Imports production of a contract, from asking for it to its end, in one step.
pub async fn import(apps: &Apps, contract: &ContractId) {
    ask_for_import(apps, contract).await;
    assert!(step(apps, contract).await, "one step is not enough");
}

/// Imports production of a contract on a stack whose own workers run: one of them may take the run first.
pub async fn import_beside_workers(apps: &Apps, contract: &ContractId) {
    ask_for_import(apps, contract).await;
    for _ in 0..300 {
        if step(apps, contract).await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("the import does not end");
}

/// Imports production of a contract in as many steps as it takes, with time going by between them.
pub async fn import_to_end(apps: &Apps, clock: &FixedClock, contract: &ContractId) {
    ask_for_import(apps, contract).await;
    for _ in 0..100 {
        if step(apps, contract).await {
            return;
        }
        clock.advance(30);
    }
    panic!("the import does not end");
}

/// Asks for an import of a contract's connection.
pub async fn ask_for_import(apps: &Apps, contract: &ContractId) {
    let task = crm_import::Task::StartSyncs {
        contract: Some(contract.clone()),
    };
    crm_import::run(&apps.import, task)
        .await
        .expect("the table answers");
}

/// Makes a step of production's import; whether it has ended, which it has to do well.
async fn step(apps: &Apps, contract: &ContractId) -> bool {
    let message = ImportMessage {
        contract: contract.clone(),
        work: WorkKind::Sync(Environment::Production),
    };
    assert!(crm_import::work(&apps.import, &message).await);
    let store = &apps.import.remote.store;
    let sync = store.sync(contract, Environment::Production).await;
    let sync = sync.expect("the table answers").expect("it was asked for");
    let ended = !sync.is_open();
    if ended {
        assert_eq!(sync.state, SyncState::Succeeded, "{:?}", sync.problem);
    }
    ended
}

/// Works on every message of the import queue, as Lambda would, until there is none; returns the number of
/// messages.
pub async fn drain_imports(stack: &Stack, apps: &Apps) -> usize {
    let sqs = shared::aws::sqs(&stack.aws);
    let mut messages = 0;
    loop {
        let taken = local::poll_queue(&sqs, &stack.import_queue_url, |batch| {
            crm_import::work_batch(&apps.import, batch)
        });
        match taken.await.expect("the queue answers") {
            0 => return messages,
            taken => messages += taken,
        }
    }
}

/// One submission as stored.
pub async fn stored(stack: &Stack, contract: &ContractId, id: &str) -> Submission {
    let id = id.parse().expect("a submission id");
    stack
        .store()
        .submission(contract, id)
        .await
        .expect("the table answers")
        .expect("the submission is stored")
}

/// True if every submission is done for now: in the CRM, held, withdrawn, or waiting for a person.
pub async fn all_settled(stack: &Stack, contract: &ContractId, ids: &[String]) -> bool {
    for id in ids {
        if stored(stack, contract, id).await.state.is_open() {
            return false;
        }
    }
    true
}

/// Lets time pass and the sweep's messages arrive, with a healthy worker, until all is settled.
/// A submission that is open and was not found by the sweep is lost: that fails the test.
pub async fn recover(
    stack: &Stack,
    apps: &Apps,
    clock: &FixedClock,
    contract: &ContractId,
    ids: &[String],
) {
    for _ in 0..40 {
        if all_settled(stack, contract, ids).await {
            return;
        }
        // Longer than any lease, back-off and grace.
        clock.advance(1100);
        let due = stack
            .store()
            .due_submissions(contract, clock.now(), 500)
            .await
            .expect("the table answers");
        for id in ids {
            if stored(stack, contract, id).await.state.is_open() {
                assert!(
                    due.iter().any(|due| due.to_string() == *id),
                    "the sweep does not find {id}"
                );
            }
        }
        let due: Vec<String> = due.iter().map(ToString::to_string).collect();
        for batch in due.chunks(10) {
            let batch: Vec<&str> = batch.iter().map(String::as_str).collect();
            crm_writeback::handle(&apps.writeback, messages(contract, &batch)).await;
        }
    }
    let mut open = Vec::new();
    for id in ids {
        let submission = stored(stack, contract, id).await;
        if submission.state.is_open() {
            open.push((submission.state, submission.failures));
        }
    }
    panic!("not settled: {open:?}");
}

/// The number of submissions in this state.
pub async fn count(stack: &Stack, contract: &ContractId, ids: &[String], state: State) -> usize {
    let mut count = 0;
    for id in ids {
        count += usize::from(stored(stack, contract, id).await.state == state);
    }
    count
}

/// Makes items unreadable: in those of a contract's partition whose sort key begins so, an attribute becomes
/// a map. Returns their number.
pub async fn spoil(tenant: &Tenant<'_>, partition: &str, sort: &str, attribute: &str) -> usize {
    let client = shared::aws::dynamodb(&tenant.harness.embedded_stack().aws);
    let pk = match partition {
        "" => format!("C#{}", tenant.made.id),
        partition => format!("C#{}#{partition}", tenant.made.id),
    };
    let (mut spoilt, mut start) = (0, None);
    loop {
        let scan = client.scan().table_name(local::TABLE);
        let page = scan.set_exclusive_start_key(start).send().await.unwrap();
        for item in page.items.unwrap_or_default() {
            let text = |name: &str| item[name].as_s().unwrap().clone();
            if !text("PK").starts_with(&pk) || !text("SK").starts_with(sort) {
                continue;
            }
            let update = client.update_item().table_name(local::TABLE);
            let update = update
                .key("PK", item["PK"].clone())
                .key("SK", item["SK"].clone());
            let odd = AttributeValue::M([("odd".to_owned(), AttributeValue::Bool(true))].into());
            let update = update
                .update_expression("SET #attribute = :odd")
                .expression_attribute_names("#attribute", attribute)
                .expression_attribute_values(":odd", odd);
            update.send().await.unwrap();
            spoilt += 1;
        }
        start = page.last_evaluated_key.filter(|key| !key.is_empty());
        if start.is_none() {
            return spoilt;
        }
    }
}
