//! The least that has to be done: the same calls with the same clients, and nothing around them.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};
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

/// Writes copies of a stored submission or activity, each under an id of its own.
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
    /// Copies the item of a submission or activity that is stored.
    pub(crate) async fn copy(clients: &Clients, made: &Made, id: &str) -> Result<Self> {
        let query = clients
            .dynamodb
            .scan()
            .table_name(local::TABLE)
            .filter_expression("id = :id")
            .expression_attribute_values(":id", AttributeValue::S(id.to_owned()));
        let (mut item, mut start) = (None, None);
        loop {
            let page = query.clone().set_exclusive_start_key(start);
            let page = page.send().await?;
            item = item.or_else(|| page.items?.into_iter().next());
            start = page.last_evaluated_key.filter(|key| !key.is_empty());
            if item.is_some() || start.is_none() {
                break;
            }
        }
        let item: HashMap<String, AttributeValue> = item.context("it is not stored")?;
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

    /// A copy of the item under a new id.
    fn fresh(&self) -> (String, HashMap<String, AttributeValue>) {
        let fresh = SystemRandom.uuid().to_string();
        let mut item = self.item.clone();
        for name in &self.with_id {
            if let Some(AttributeValue::S(text)) = item.get_mut(name) {
                *text = text.replace(&self.id, &fresh);
            }
        }
        (fresh, item)
    }

    /// One conditional write; returns the new id.
    pub(crate) async fn put(&self) -> Result<String> {
        let (fresh, item) = self.fresh();
        self.dynamodb
            .put_item()
            .table_name(local::TABLE)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(PK)")
            .send()
            .await?;
        Ok(fresh)
    }

    /// Conditional writes in one transaction.
    pub(crate) async fn put_together(&self, count: usize) -> Result<()> {
        let mut writes = Vec::with_capacity(count);
        for _ in 0..count {
            let put = Put::builder()
                .table_name(local::TABLE)
                .set_item(Some(self.fresh().1))
                .condition_expression("attribute_not_exists(PK)")
                .build()?;
            writes.push(TransactWriteItem::builder().put(put).build());
        }
        let write = self.dynamodb.transact_write_items();
        write.set_transact_items(Some(writes)).send().await?;
        Ok(())
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
