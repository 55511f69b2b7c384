//! The Lambda function: reads its configuration, builds the app, runs.

use std::sync::Arc;

use axum::extract::Request;
use axum::middleware::map_request;
use form_intake::{App, config::Config};
use lambda_http::request::RequestContext;
use shared::config::Source;
use shared::{edge, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    let variables = Source::environment();
    telemetry::init(&variables);
    // Anything wrong here fails the init phase, before a submission is lost to it.
    let config = Config::from_source(&variables)?;
    let app = App::build(&config, &shared::aws::sdk_config().await)?;
    let routes = form_intake::router(Arc::new(app)).layer(map_request(known));
    lambda_http::run(routes).await
}

/// Adds API Gateway's facts about a request: its source address and its id.
async fn known(mut request: Request) -> Request {
    let context = request.extensions().get().cloned();
    if let Some(RequestContext::ApiGatewayV2(context)) = context {
        let source = context.http.source_ip.as_deref();
        edge::received(&mut request, source, context.request_id.as_deref());
    }
    request
}
