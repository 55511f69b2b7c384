//! DynamoDB and SQS in this process, behind one address as the SDK's `AWS_ENDPOINT_URL` wants it.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use dynoxide::Database;
use http::StatusCode;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use winterbaume_core::{MockRequest, MockService};
use winterbaume_sqs::SqsService;

/// Larger than any request the two services take.
const MAX_BODY_BYTES: usize = 16 * 1024 * 1024;

/// The emulators while they run.
pub(crate) struct Emulators {
    /// One address for both.
    pub(crate) endpoint: String,
    /// The table's own.
    pub(crate) table: String,
    pub(crate) database: Database,
    pub(crate) tasks: Vec<JoinHandle<()>>,
}

#[derive(Clone)]
struct Gateway {
    sqs: Arc<SqsService>,
    dynamodb: String,
    client: reqwest::Client,
}

impl Emulators {
    /// Starts both; the table's file is at `path`, or it is in memory.
    pub(crate) async fn start(
        listener: TcpListener,
        path: Option<&Path>,
        stop: watch::Receiver<bool>,
    ) -> Result<Self> {
        let database = match path {
            Some(path) => Database::new(&path.to_string_lossy()),
            None => Database::memory(),
        }
        .map_err(|error| anyhow::anyhow!("the table's file cannot be opened: {error}"))?;
        // The log of changes is not awaited on the disk for each of them: that is half the time of a write.
        database
            .disable_bulk_loading()
            .map_err(|error| anyhow::anyhow!("the table's file cannot be used: {error}"))?;
        let inner = TcpListener::bind("127.0.0.1:0")
            .await
            .context("no free port")?;
        let dynamodb = format!("http://{}", inner.local_addr()?);
        let server =
            dynoxide::server::serve_with_shutdown(inner, database.clone(), stopped(stop.clone()));
        let dynamodb_task = tokio::spawn(async move {
            if let Err(error) = server.await {
                tracing::error!(error, "the table's server ended");
            }
        });
        let endpoint = format!("http://{}", listener.local_addr()?);
        let gateway = Gateway {
            sqs: Arc::new(SqsService::new()),
            dynamodb: dynamodb.clone(),
            client: reqwest::Client::new(),
        };
        let router = Router::new().fallback(dispatch).with_state(gateway);
        let gateway_task = tokio::spawn(async move {
            let _ = axum::serve(listener, router)
                .with_graceful_shutdown(stopped(stop))
                .await;
        });
        Ok(Self {
            endpoint,
            table: dynamodb,
            database,
            tasks: vec![dynamodb_task, gateway_task],
        })
    }
}

/// Resolves when the stack stops.
pub(crate) async fn stopped(mut stop: watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Both services name themselves in `X-Amz-Target`.
async fn dispatch(State(gateway): State<Gateway>, request: Request) -> Response {
    let target = request
        .headers()
        .get("x-amz-target")
        .and_then(|value| value.to_str().ok());
    let is_sqs = target.is_some_and(|target| target.starts_with("AmazonSQS"));
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY_BYTES).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    if is_sqs {
        let request = MockRequest {
            method: parts.method.to_string(),
            uri: "https://sqs.us-east-1.amazonaws.com/".to_owned(),
            headers: parts.headers,
            body,
        };
        let answer = gateway.sqs.handle(request).await;
        let mut response = Response::new(Body::from(answer.body));
        *response.status_mut() =
            StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
        *response.headers_mut() = answer.headers;
        return response;
    }
    let mut headers = parts.headers;
    headers.remove(http::header::HOST);
    let sent = gateway
        .client
        .request(parts.method, &gateway.dynamodb)
        .headers(headers)
        .body(body)
        .send()
        .await;
    match sent {
        Ok(answer) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = answer.status();
            *response.headers_mut() = answer.headers().clone();
            // The body's framing is this hop's own.
            response
                .headers_mut()
                .remove(http::header::TRANSFER_ENCODING);
            match answer.bytes().await {
                Ok(bytes) => *response.body_mut() = Body::from(bytes),
                Err(_) => *response.status_mut() = StatusCode::BAD_GATEWAY,
            }
            response
        }
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}
