//! Makes the table and the queues on an endpoint that has none, as the template would.

use anyhow::Result;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType, TimeToLiveSpecification,
};
use aws_sdk_sqs::types::QueueAttributeName;
use shared::store::schema::{INDEXES, TABLE_KEYS, TTL_ATTRIBUTE};

fn keys(pk: &str, sk: &str) -> Result<Vec<KeySchemaElement>> {
    Ok(vec![
        KeySchemaElement::builder()
            .attribute_name(pk)
            .key_type(KeyType::Hash)
            .build()?,
        KeySchemaElement::builder()
            .attribute_name(sk)
            .key_type(KeyType::Range)
            .build()?,
    ])
}

/// Makes the table unless it is there.
pub(crate) async fn create(client: &aws_sdk_dynamodb::Client, table: &str) -> Result<()> {
    if client
        .describe_table()
        .table_name(table)
        .send()
        .await
        .is_ok()
    {
        return Ok(());
    }
    let mut request = client
        .create_table()
        .table_name(table)
        .billing_mode(BillingMode::PayPerRequest)
        .set_key_schema(Some(keys(TABLE_KEYS.0, TABLE_KEYS.1)?));
    let indexed = INDEXES
        .iter()
        .flat_map(|index| [index.partition, index.sort]);
    for name in [TABLE_KEYS.0, TABLE_KEYS.1].into_iter().chain(indexed) {
        request = request.attribute_definitions(
            AttributeDefinition::builder()
                .attribute_name(name)
                .attribute_type(ScalarAttributeType::S)
                .build()?,
        );
    }
    for index in INDEXES {
        let includes = index.includes.iter().map(|name| (*name).to_owned());
        request = request.global_secondary_indexes(
            GlobalSecondaryIndex::builder()
                .index_name(index.name)
                .set_key_schema(Some(keys(index.partition, index.sort)?))
                .projection(
                    Projection::builder()
                        .projection_type(ProjectionType::Include)
                        .set_non_key_attributes(Some(includes.collect()))
                        .build(),
                )
                .build()?,
        );
    }
    request.send().await?;
    client
        .update_time_to_live()
        .table_name(table)
        .time_to_live_specification(
            TimeToLiveSpecification::builder()
                .attribute_name(TTL_ATTRIBUTE)
                .enabled(true)
                .build()?,
        )
        .send()
        .await?;
    Ok(())
}

/// Makes a queue with its dead-letter queue; returns the addresses of both.
pub(crate) async fn create_queue(
    client: &aws_sdk_sqs::Client,
    name: &str,
    visibility_seconds: u32,
) -> Result<(String, String)> {
    let dead = client
        .create_queue()
        .queue_name(format!("{name}-dead-letters"))
        .send()
        .await?;
    let dead_url = dead.queue_url.unwrap_or_default();
    let attributes = client
        .get_queue_attributes()
        .queue_url(&dead_url)
        .attribute_names(QueueAttributeName::QueueArn)
        .send()
        .await?;
    let arn = attributes
        .attributes
        .and_then(|mut attributes| attributes.remove(&QueueAttributeName::QueueArn))
        .unwrap_or_default();
    let redrive = serde_json::json!({"deadLetterTargetArn": arn, "maxReceiveCount": "5"});
    let queue = client
        .create_queue()
        .queue_name(name)
        .attributes(
            QueueAttributeName::VisibilityTimeout,
            visibility_seconds.to_string(),
        )
        .attributes(QueueAttributeName::RedrivePolicy, redrive.to_string())
        .send()
        .await?;
    Ok((queue.queue_url.unwrap_or_default(), dead_url))
}
