//! The Lambda function: reads its configuration, builds the app, runs.

use std::sync::Arc;

use crm_import::{App, config::Config, handle};
use lambda_runtime::{LambdaEvent, service_fn};
use shared::config::Source;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let variables = Source::environment();
    shared::telemetry::init(&variables);
    // Anything wrong here fails the init phase.
    let config = Config::from_source(&variables)?;
    let app = Arc::new(App::build(&config, &shared::aws::sdk_config().await)?);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<_>| {
        let app = app.clone();
        async move {
            let outcome = handle(&app, event.payload).await;
            outcome.map_err(|error| lambda_runtime::Error::from(error.to_string()))
        }
    }))
    .await
}
