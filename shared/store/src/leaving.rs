//! The deletion of a whole contract: its end for everybody else, the deletion of its items, and the receipt.

use aws_sdk_dynamodb::types::AttributeValue;
use futures::future::try_join_all;

use super::batch::Write;
use super::work::DELETES_OF_PARTITION;
use super::{Item, Store, StoreError, all_pages, expire, keys, text, write};
use domain::clock::Millis;
use domain::ids::ContractId;
use domain::run::{Run, RunKind};

/// Retention of the receipt of a deletion, in days.
const KEEP_RECEIPT_DAYS: i64 = 365;
/// Partitions that are read at once.
const AT_ONCE: usize = 16;

/// Items of a contract found in a part of the table.
#[derive(Debug, Clone, Default)]
pub struct LeavingPage {
    /// The kind and the key of each.
    found: Vec<(String, Item)>,
    /// The start of the next part, as a place in the table; `None` at its end.
    pub next: Option<(String, String)>,
}

impl LeavingPage {
    /// The kinds of the items, one for each item.
    pub fn kinds(&self) -> impl Iterator<Item = &str> {
        self.found.iter().map(|(kind, _)| kind.as_str())
    }

    /// True if no item was found.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.found.is_empty()
    }
}

impl Store {
    /// Marks a contract as being deleted, over the current version of its configuration, together with the run:
    /// from now on no function finds it. Does nothing to the mark of one that is marked.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if either was changed meanwhile.
    pub async fn begin_leaving(
        &self,
        contract: &ContractId,
        run: &Run,
        now: Millis,
    ) -> Result<(), StoreError> {
        let mut actions = vec![self.run_put_action(contract, run)?];
        if let Some(mut found) = self.contract_or_leaving(contract).await? {
            let expected = found.config_version;
            found.config_version += 1;
            found.leaving_since.get_or_insert(now);
            actions.push(self.contract_put(&found, expected)?);
        }
        self.transact(actions).await
    }

    /// Finds the items of a contract by which anything could begin for it: its forms and other settings, its API
    /// tokens, and its seats with their sessions; not the contract's own item.
    pub async fn find_entrances(&self, contract: &ContractId) -> Result<LeavingPage, StoreError> {
        let own = keys::contract(contract);
        let mut found = self.query_all(own.pk.clone(), "").await?;
        found.retain(|item| text_at(item, "SK") != Some(own.sk.as_str()));
        for index in [keys::tokens_index(contract), keys::seats_index(contract)] {
            let listed = all_pages(&self.query_index(&keys::LISTS, index)).await?;
            let partitions = listed.iter().filter_map(|item| text_at(item, "PK"));
            for chunk in partitions.collect::<Vec<_>>().chunks(AT_ONCE) {
                let reads = chunk.iter().map(|pk| self.query_all((*pk).to_owned(), ""));
                found.extend(try_join_all(reads).await?.into_iter().flatten());
            }
        }
        Ok(LeavingPage {
            found: found.iter().filter_map(kind_and_key).collect(),
            next: None,
        })
    }

    /// Reads a part of the whole table, from a place on, for items of the contract; not its own item and the
    /// record of its deletion. One call.
    ///
    /// Some partitions of a contract are named by what is not listed anywhere, such as the hash of a match key.
    /// Only a look at every item of the table is sure to find them, so that this is what a deletion does, and
    /// nothing else.
    pub async fn find_leaving(
        &self,
        contract: &ContractId,
        from: Option<(String, String)>,
    ) -> Result<LeavingPage, StoreError> {
        let start = from.map(|(pk, sk)| keys::Key { pk, sk }.attributes());
        let answer = self
            .client
            .scan()
            .table_name(&self.table)
            .consistent_read(true)
            .set_exclusive_start_key(start)
            .filter_expression("PK = :own OR begins_with(PK, :all)")
            .expression_attribute_values(":own", text(keys::config_partition(contract)))
            .expression_attribute_values(":all", text(keys::partitions_of(contract)))
            .projection_expression("PK, SK, entity_type")
            .send()
            .await?;
        let stay = [
            keys::contract(contract),
            keys::last_run(contract, RunKind::DeleteContract),
        ];
        let stays = |item: &Item| {
            let key = (text_at(item, "PK"), text_at(item, "SK"));
            let mut stay = stay.iter();
            stay.any(|stay| key == (Some(stay.pk.as_str()), Some(stay.sk.as_str())))
        };
        let found = answer.items.unwrap_or_default().into_iter();
        let found = found.filter(|item| !stays(item));
        let found = found.filter_map(|item| kind_and_key(&item));
        let next = answer.last_evaluated_key.unwrap_or_default();
        let place = |name: &str| text_at(&next, name).map(str::to_owned);
        Ok(LeavingPage {
            found: found.collect(),
            next: place("PK").zip(place("SK")),
        })
    }

    /// Deletes the items that were found.
    pub async fn delete_leaving(&self, page: LeavingPage) -> Result<(), StoreError> {
        let keys = page.found.into_iter().map(|(_, key)| key);
        let deletes: Result<Vec<_>, _> = keys.map(Write::delete).collect();
        self.write_all(deletes?, DELETES_OF_PARTITION).await
    }

    /// Deletes the contract's own item. The run becomes the receipt, which expires.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if another worker has taken the run.
    pub async fn finish_leaving(
        &self,
        contract: &ContractId,
        receipt: &Run,
        now: Millis,
    ) -> Result<(), StoreError> {
        let mut item = write("run", receipt, &keys::last_run(contract, receipt.kind))?;
        expire(&mut item, now.plus_seconds(KEEP_RECEIPT_DAYS * 24 * 3600));
        self.transact(vec![
            self.versioned_put(item, receipt.version)?,
            self.delete_action(keys::contract(contract).attributes(), None)?,
        ])
        .await
    }
}

fn text_at<'i>(item: &'i Item, name: &str) -> Option<&'i str> {
    let value: Option<&'i AttributeValue> = item.get(name);
    Some(value?.as_s().ok()?.as_str())
}

/// The kind of an item for a count, as it says itself or else by its partition; and its key.
fn kind_and_key(item: &Item) -> Option<(String, Item)> {
    let partition = text_at(item, "PK").and_then(keys::segment);
    let kind = text_at(item, "entity_type").or(partition)?;
    let key = keys::of_items(std::slice::from_ref(item)).pop()?;
    Some((kind.to_lowercase(), key))
}
