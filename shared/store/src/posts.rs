//! Posts counted minute by minute, by form and contract, over all processes.

use aws_sdk_dynamodb::types::ReturnValue;

use super::{Store, StoreError, keys, number};
use domain::ids::{ContractId, FormId};

/// Retention of the count of a minute, in minutes.
const KEPT_MINUTES: i64 = 10;

/// Counts of posts in one minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PostCounts {
    /// Posts of all forms of the contract.
    pub contract: u64,
    /// Posts of the form.
    pub form: u64,
}

impl Store {
    /// Adds to the posts that a form and its contract took in a minute, and returns the sums over all
    /// processes. One call; the count is deleted by its time to live.
    pub async fn count_posts(
        &self,
        contract: &ContractId,
        form: &FormId,
        minute: i64,
        units: u64,
    ) -> Result<PostCounts, StoreError> {
        let form = format!("form:{form}");
        let ends = (minute + KEPT_MINUTES) * 60;
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(keys::posts(contract, minute).attributes()))
            .update_expression("SET expires_at = :ends ADD #all :units, #form :units")
            .expression_attribute_names("#all", "all")
            .expression_attribute_names("#form", &form)
            .expression_attribute_values(":ends", number(ends))
            .expression_attribute_values(":units", number(units))
            .return_values(ReturnValue::UpdatedNew)
            .send()
            .await?;
        let sum = |name: &str| {
            let value = answer.attributes.as_ref()?.get(name)?;
            value.as_n().ok()?.parse().ok()
        };
        Ok(PostCounts {
            contract: sum("all").unwrap_or(units),
            form: sum(&form).unwrap_or(units),
        })
    }
}
