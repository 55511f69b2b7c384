//! The Lambda function: reads its configuration, builds the app, runs.

use std::sync::Arc;

use oauth_callback::{App, config::Config};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    shared::telemetry::init();
    // Anything wrong here fails the init phase.
    let config = Config::from_source(&shared::config::Source::environment())?;
    let app = App::build(&config, &shared::aws::sdk_config().await)?;
    lambda_http::run(oauth_callback::router(Arc::new(app))).await
}
