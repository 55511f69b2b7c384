//! Lambda's runtime API for one function process, as far as init and one invocation need it.
//!
//! docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html: the process asks for its next event,
//! and posts the answer or an error under the event's request id.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path as UrlPath, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use http::StatusCode;
use serde_json::Value;
use shared::clock::{Clock as _, SystemClock};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::{Mutex, mpsc};

use crate::meter::{peak_memory, process_cpu};

const REQUEST_ID: &str = "8476a536-e9f4-11e8-9739-2dfe598c3fcd";
/// The time limit for a function's init, and for its answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// The measurements of one life of a function.
pub(crate) struct Life {
    /// From its start until it asked for an event.
    pub(crate) init: Duration,
    /// Processor time until then.
    pub(crate) init_cpu: Duration,
    /// The most memory it held until it had answered, in megabytes.
    pub(crate) peak_memory: f64,
    /// Its answer.
    pub(crate) answer: Value,
}

enum Said {
    Next(Instant),
    Answer(Bytes),
    Error(Bytes),
}

struct Api {
    said: mpsc::UnboundedSender<Said>,
    events: Mutex<mpsc::UnboundedReceiver<String>>,
}

/// Starts a function, gives it one event, and ends it.
pub(crate) async fn live(
    binary: &Path,
    variables: &BTreeMap<String, String>,
    event: &Value,
) -> Result<Life> {
    let name = binary
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let (said, mut saying) = mpsc::unbounded_channel();
    let (events, waiting) = mpsc::unbounded_channel();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let router = router(Api {
        said,
        events: Mutex::new(waiting),
    });
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let mut command = Command::new(binary);
    command
        .env_clear()
        .envs(variables)
        .env("AWS_LAMBDA_RUNTIME_API", &address)
        .env("AWS_LAMBDA_FUNCTION_NAME", &name)
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{name}"))
        .env("AWS_LAMBDA_LOG_STREAM_NAME", "bench")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let start = Instant::now();
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start {name}"))?;
    let id = child
        .id()
        .with_context(|| format!("{name} ended at once"))?;
    let Said::Next(asked) = hear(&mut saying, &name).await? else {
        bail!("{name} answered before it was asked");
    };
    let init_cpu = process_cpu(id);
    events.send(event.to_string())?;
    let answer = loop {
        match hear(&mut saying, &name).await? {
            Said::Answer(body) => break body,
            Said::Error(body) => bail!("{name}: {}", String::from_utf8_lossy(&body)),
            Said::Next(_) => {}
        }
    };
    let peak_memory = peak_memory(id).with_context(|| format!("{name} ended too early"))?;
    child.kill().await?;
    server.abort();
    Ok(Life {
        init: asked.duration_since(start),
        init_cpu,
        peak_memory,
        answer: serde_json::from_slice(&answer).unwrap_or_default(),
    })
}

async fn hear(saying: &mut mpsc::UnboundedReceiver<Said>, name: &str) -> Result<Said> {
    match tokio::time::timeout(PATIENCE, saying.recv()).await {
        Ok(Some(Said::Error(body))) => bail!("{name}: {}", String::from_utf8_lossy(&body)),
        Ok(Some(said)) => Ok(said),
        _ => bail!("{name} says nothing"),
    }
}

fn router(api: Api) -> Router {
    Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route(
            "/2018-06-01/runtime/invocation/{id}/{outcome}",
            post(outcome),
        )
        .route("/2018-06-01/runtime/init/error", post(failed))
        .with_state(Arc::new(api))
}

async fn next(State(api): State<Arc<Api>>) -> Response {
    let _ = api.said.send(Said::Next(Instant::now()));
    // No second event comes: the function waits until it is ended.
    let Some(event) = api.events.lock().await.recv().await else {
        return StatusCode::GONE.into_response();
    };
    let deadline = SystemClock.now().plus_seconds(30).0.to_string();
    let headers = [
        ("lambda-runtime-aws-request-id", REQUEST_ID),
        ("lambda-runtime-deadline-ms", deadline.as_str()),
        (
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:us-east-1:000000000000:function:bench",
        ),
        (
            "lambda-runtime-trace-id",
            "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700",
        ),
        ("content-type", "application/json"),
    ];
    (headers, event).into_response()
}

async fn outcome(
    State(api): State<Arc<Api>>,
    UrlPath((_, outcome)): UrlPath<(String, String)>,
    body: Bytes,
) -> StatusCode {
    let said = if outcome == "response" {
        Said::Answer(body)
    } else {
        Said::Error(body)
    };
    let _ = api.said.send(said);
    StatusCode::ACCEPTED
}

async fn failed(State(api): State<Arc<Api>>, body: Bytes) -> StatusCode {
    let _ = api.said.send(Said::Error(body));
    StatusCode::ACCEPTED
}
