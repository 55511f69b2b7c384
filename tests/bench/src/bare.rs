//! The least that has to be done: the same calls with the same clients, and nothing around them.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use aws_sdk_dynamodb::types::AttributeValue;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use http::StatusCode;
use local::seed::Made;
use serde_json::json;
use shared::random::{Random as _, SystemRandom};

use crate::rig::Clients;

/// Writes copies of a stored submission, each under an id of its own.
pub(crate) struct Bare {
    dynamodb: aws_sdk_dynamodb::Client,
    sqs: aws_sdk_sqs::Client,
    queue_url: String,
    contract: String,
    item: HashMap<String, AttributeValue>,
    id: String,
    /// The attributes that hold the id, keys and their order among them.
    with_id: Vec<String>,
}

impl Bare {
    /// Copies the item of a submission that is stored.
    pub(crate) async fn copy(clients: &Clients, made: &Made, id: &str) -> Result<Self> {
        let found = clients
            .dynamodb
            .scan()
            .table_name(local::TABLE)
            .filter_expression("id = :id")
            .expression_attribute_values(":id", AttributeValue::S(id.to_owned()))
            .send()
            .await?;
        let item = found.items.and_then(|items| items.into_iter().next());
        let item = item.context("the submission is not stored")?;
        let with_id = item
            .iter()
            .filter(|(_, value)| value.as_s().is_ok_and(|text| text.contains(id)))
            .map(|(name, _)| name.clone())
            .collect();
        Ok(Self {
            dynamodb: clients.dynamodb.clone(),
            sqs: clients.sqs.clone(),
            queue_url: clients.queue_url.clone(),
            contract: made.id.to_string(),
            item,
            id: id.to_owned(),
            with_id,
        })
    }

    /// One conditional write; returns the new id.
    pub(crate) async fn put(&self) -> Result<String> {
        let fresh = SystemRandom.uuid().to_string();
        let mut item = self.item.clone();
        for name in &self.with_id {
            if let Some(AttributeValue::S(text)) = item.get_mut(name) {
                *text = text.replace(&self.id, &fresh);
            }
        }
        self.dynamodb
            .put_item()
            .table_name(local::TABLE)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(PK)")
            .send()
            .await?;
        Ok(fresh)
    }

    async fn accept(&self) -> Result<Response> {
        let id = self.put().await?;
        let message = json!({"contract": self.contract, "submission": id});
        let send = self.sqs.send_message().queue_url(&self.queue_url);
        send.message_body(message.to_string()).send().await?;
        let answer = json!({"status": "accepted", "submission_id": id});
        Ok((StatusCode::ACCEPTED, axum::Json(answer)).into_response())
    }

    /// A router that takes the same requests as form-intake and checks nothing.
    pub(crate) fn router(self) -> Router {
        Router::new()
            .route("/forms/{form_key}", post(answer))
            .with_state(Arc::new(self))
    }
}

async fn answer(State(bare): State<Arc<Bare>>, _body: Bytes) -> Response {
    match bare.accept().await {
        Ok(response) => response,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
