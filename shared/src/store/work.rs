//! Open work on CRM connections: imports that wait and connections that are being ended. One index
//! partition over all contracts, sorted by the time it is due, so that one query a minute finds what
//! nobody has.

use serde::{Deserialize, Serialize};

use super::connections::ConnectionKind;
use super::{Item, Store, StoreError, keys, text};
use crate::clock::Millis;
use crate::domain::environment::Environment;
use crate::domain::ids::ContractId;

/// What there is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkKind {
    /// Import from the environment's CRM.
    Sync(Environment),
    /// End a connection.
    Disconnect(ConnectionKind),
}

impl WorkKind {
    /// Puts an item into the index.
    pub(super) fn index(self, item: &mut Item, contract: &ContractId, due: Millis) {
        let name = match self {
            Self::Sync(environment) => format!("sync.{environment}"),
            Self::Disconnect(kind) => format!("disconnect.{kind}"),
        };
        item.insert("GSI2PK".to_owned(), text(keys::WORK));
        item.insert(
            "GSI2SK".to_owned(),
            text(keys::work_order(due, Some(contract))),
        );
        item.insert("work".to_owned(), text(name));
        item.insert("work_contract".to_owned(), text(contract.as_str()));
    }

    fn parse(name: &str) -> Option<Self> {
        let (work, rest) = name.split_once('.')?;
        match work {
            "sync" => rest.parse().ok().map(Self::Sync),
            "disconnect" => rest.parse().ok().map(Self::Disconnect),
            _ => None,
        }
    }
}

impl Store {
    /// Work that was due before `now`, the longest due first, at most `limit` of it.
    pub async fn due_work(
        &self,
        now: Millis,
        limit: i32,
    ) -> Result<Vec<(ContractId, WorkKind)>, StoreError> {
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .index_name("GSI2")
            .key_condition_expression("GSI2PK = :pk AND GSI2SK < :now")
            .expression_attribute_values(":pk", text(keys::WORK))
            .expression_attribute_values(":now", text(keys::work_order(now, None)))
            .limit(limit)
            .send()
            .await?;
        let found = answer.items.unwrap_or_default().into_iter();
        Ok(found
            .filter_map(|item| {
                let name = |field: &str| item.get(field)?.as_s().ok();
                Some((
                    name("work_contract")?.parse().ok()?,
                    WorkKind::parse(name("work")?)?,
                ))
            })
            .collect())
    }

    /// Counts the items of the partitions that a clean-up of an environment empties.
    pub async fn count_imported(
        &self,
        contract: &ContractId,
        environment: Environment,
    ) -> Result<u64, StoreError> {
        let mut count = 0;
        for partition in keys::imported_partitions(contract, environment) {
            let mut start = None;
            loop {
                let answer = self
                    .client
                    .query()
                    .table_name(&self.table)
                    .consistent_read(true)
                    .key_condition_expression("PK = :pk")
                    .expression_attribute_values(":pk", text(&partition))
                    .select(aws_sdk_dynamodb::types::Select::Count)
                    .set_exclusive_start_key(start)
                    .send()
                    .await?;
                count += u64::try_from(answer.count).unwrap_or(0);
                start = answer.last_evaluated_key.filter(|key| !key.is_empty());
                if start.is_none() {
                    break;
                }
            }
        }
        Ok(count)
    }

    /// Deletes up to `limit` items of those partitions, and gives how many it found to delete.
    pub async fn delete_imported(
        &self,
        contract: &ContractId,
        environment: Environment,
        limit: i32,
    ) -> Result<u64, StoreError> {
        use aws_sdk_dynamodb::types::{DeleteRequest, WriteRequest};
        let mut deleted = 0;
        for partition in keys::imported_partitions(contract, environment) {
            let answer = self
                .client
                .query()
                .table_name(&self.table)
                .consistent_read(true)
                .key_condition_expression("PK = :pk")
                .projection_expression("PK, SK")
                .expression_attribute_values(":pk", text(&partition))
                .limit(limit)
                .send()
                .await?;
            let items = answer.items.unwrap_or_default();
            for chunk in items.chunks(25) {
                let mut requests = Vec::new();
                for key in chunk {
                    let delete = DeleteRequest::builder().set_key(Some(key.clone()));
                    let delete = super::submissions::built(delete.build())?;
                    requests.push(WriteRequest::builder().delete_request(delete).build());
                }
                let answer = self
                    .client
                    .batch_write_item()
                    .request_items(&self.table, requests)
                    .send()
                    .await?;
                let left = answer
                    .unprocessed_items
                    .and_then(|mut items| items.remove(&self.table))
                    .map_or(0, |items| items.len());
                deleted += u64::try_from(chunk.len() - left).unwrap_or(0);
            }
        }
        Ok(deleted)
    }
}

#[cfg(test)]
mod tests {
    use super::WorkKind;
    use crate::domain::environment::Environment;
    use crate::store::ConnectionKind;

    #[test]
    fn work_reads_back_from_its_name() {
        assert_eq!(
            WorkKind::parse("sync.sandbox"),
            Some(WorkKind::Sync(Environment::Sandbox))
        );
        assert_eq!(
            WorkKind::parse("disconnect.linkedin"),
            Some(WorkKind::Disconnect(ConnectionKind::LinkedIn))
        );
        for bad in ["", "sync", "sync.", "sync.crm", "disconnect.production"] {
            assert_eq!(WorkKind::parse(bad), None, "{bad}");
        }
    }
}
