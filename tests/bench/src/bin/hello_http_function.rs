//! The smallest Lambda function behind an HTTP API.

use axum::Router;
use axum::routing::any;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    lambda_http::run(Router::new().fallback(any(async || "hello, world"))).await
}
