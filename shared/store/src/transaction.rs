//! Transactions: their writes with their conditions, and many of them in as few calls as possible.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};

use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Delete, Put, TransactWriteItem, Update,
};
use futures::future::BoxFuture;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::batch::built;
use super::{Item, Store, StoreError, keys, number, text};

/// Maximum number of actions in a transaction, by DynamoDB's limit.
const TRANSACTION_ACTIONS: usize = 100;
/// Bytes of data in a transaction; DynamoDB's limit is 4 MB with everything.
const TRANSACTION_BYTES: usize = 2 << 20;
/// Transactions in flight.
const TRANSACTIONS_AT_ONCE: usize = 16;

/// A condition of a write on the stored item.
#[derive(Debug, Clone)]
pub(super) struct Assumption {
    expression: String,
    names: Vec<(&'static str, &'static str)>,
    values: Vec<(&'static str, AttributeValue)>,
}

impl Assumption {
    /// Creates a condition from an expression; every `:name` in it has a value, and every `#name` stands for
    /// an attribute.
    pub(super) fn new(
        expression: impl Into<String>,
        names: &[(&'static str, &'static str)],
        values: Vec<(&'static str, AttributeValue)>,
    ) -> Self {
        Self {
            expression: expression.into(),
            names: names.to_vec(),
            values,
        }
    }

    /// The item does not exist.
    pub(super) fn absent() -> Self {
        Self::new("attribute_not_exists(PK)", &[], Vec::new())
    }

    /// The stored item is the version before `version`; for version 1 there is none, or one that counts from
    /// 0.
    pub(super) fn before(version: u64) -> Self {
        let before = vec![(":before", number(version.saturating_sub(1)))];
        let expression = if version <= 1 {
            "version = :before OR attribute_not_exists(PK)"
        } else {
            "version = :before"
        };
        Self::new(expression, &[], before)
    }

    /// The stored item has that version.
    pub(super) fn version(version: u64) -> Self {
        Self::new(
            "version = :version",
            &[],
            vec![(":version", number(version))],
        )
    }

    /// The attribute has that value, or, without one, is absent.
    pub(super) fn attribute(name: &'static str, value: Option<AttributeValue>) -> Self {
        let names = [("#attribute", name)];
        match value {
            None => Self::new("attribute_not_exists(#attribute)", &names, Vec::new()),
            Some(value) => Self::new("#attribute = :value", &names, vec![(":value", value)]),
        }
    }

    /// The item exists.
    pub(super) fn present() -> Self {
        Self::new("attribute_exists(PK)", &[], Vec::new())
    }

    /// The item does not exist, or the attribute has one of those values.
    pub(super) fn absent_or(name: &'static str, values: &[String]) -> Self {
        const PLACES: [&str; 3] = [":a", ":b", ":c"];
        let values: Vec<_> = PLACES.into_iter().zip(values.iter().map(text)).collect();
        let places: Vec<&str> = values.iter().map(|(place, _)| *place).collect();
        let expression = format!(
            "attribute_not_exists(PK) OR #attribute IN ({})",
            places.join(", ")
        );
        Self::new(expression, &[("#attribute", name)], values)
    }
}

/// Adds an assumption to a write or check, which have the same methods but no common trait.
macro_rules! assuming {
    ($builder:expr, $assumption:expr) => {{
        let mut builder = $builder;
        if let Some(assumption) = $assumption {
            builder = builder.condition_expression(assumption.expression);
            for (place, name) in assumption.names {
                builder = builder.expression_attribute_names(place, name);
            }
            for (place, value) in assumption.values {
                builder = builder.expression_attribute_values(place, value);
            }
        }
        builder
    }};
}

/// An action of a transaction. Only this file creates one, so that every condition is an [`Assumption`].
#[derive(Debug, Clone)]
pub(super) struct Action(TransactWriteItem);

/// A change of single attributes of an item.
#[derive(Debug)]
pub(super) struct Change<'a> {
    /// The update's expression; its places differ from those of the assumption.
    pub(super) expression: &'a str,
    /// An attribute for each `#name` in it.
    pub(super) names: &'a [(&'static str, &'static str)],
    /// A value for each `:name` in it.
    pub(super) values: Vec<(&'static str, AttributeValue)>,
}

/// Writes that belong together: all of them are done, or none.
#[derive(Debug)]
pub(super) struct Unit<T> {
    /// The subject of the writes.
    pub(super) of: T,
    /// The writes.
    pub(super) actions: Vec<Action>,
    /// Approximate number of bytes that they write.
    pub(super) bytes: usize,
}

impl Store {
    /// A put; without an assumption it replaces any stored item.
    pub(super) fn put_action(
        &self,
        item: Item,
        assumption: Option<Assumption>,
    ) -> Result<Action, StoreError> {
        let put = Put::builder().table_name(&self.table).set_item(Some(item));
        let put = built(assuming!(put, assumption).build())?;
        Ok(Action(TransactWriteItem::builder().put(put).build()))
    }

    /// A delete of the item with that key, if there is one.
    pub(super) fn delete_action(
        &self,
        key: Item,
        assumption: Option<Assumption>,
    ) -> Result<Action, StoreError> {
        let delete = Delete::builder().table_name(&self.table).set_key(Some(key));
        let delete = built(assuming!(delete, assumption).build())?;
        Ok(Action(TransactWriteItem::builder().delete(delete).build()))
    }

    /// A check of an assumption on an item that is not written.
    pub(super) fn check_action(
        &self,
        key: &keys::Key,
        assumption: Assumption,
    ) -> Result<Action, StoreError> {
        let check = ConditionCheck::builder()
            .table_name(&self.table)
            .set_key(Some(key.attributes()));
        let check = built(assuming!(check, Some(assumption)).build())?;
        Ok(Action(
            TransactWriteItem::builder().condition_check(check).build(),
        ))
    }

    /// A change of some attributes of an item.
    pub(super) fn update_action(
        &self,
        key: &keys::Key,
        change: Change<'_>,
        assumption: Assumption,
    ) -> Result<Action, StoreError> {
        let mut update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(key.attributes()))
            .update_expression(change.expression);
        for (place, name) in change.names {
            update = update.expression_attribute_names(*place, *name);
        }
        for (place, value) in change.values {
            update = update.expression_attribute_values(place, value);
        }
        let update = built(assuming!(update, Some(assumption)).build())?;
        Ok(Action(TransactWriteItem::builder().update(update).build()))
    }

    /// A write over the version before `version`, the item's own; 1 is the first.
    pub(super) fn versioned_put(&self, item: Item, version: u64) -> Result<Action, StoreError> {
        self.put_action(item, Some(Assumption::before(version)))
    }

    /// Puts an item, replacing any that is stored.
    pub(super) async fn put(&self, item: Item) -> Result<(), StoreError> {
        self.put_assuming(item, None).await
    }

    /// Puts an item over the version before `version`, its own; 1 is the first.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if a different version is stored.
    pub(super) async fn put_version(&self, item: Item, version: u64) -> Result<(), StoreError> {
        self.put_assuming(item, Some(Assumption::before(version)))
            .await
    }

    /// Puts an item over the stored one, if the condition holds.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if it does not.
    pub(super) async fn put_assuming(
        &self,
        item: Item,
        assumption: Option<Assumption>,
    ) -> Result<(), StoreError> {
        let put = self.client.put_item().table_name(&self.table);
        let put = assuming!(put.set_item(Some(item)), assumption);
        put.send().await?;
        Ok(())
    }

    /// Carries out all actions or none.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if a condition does not hold.
    pub(super) async fn transact(&self, actions: Vec<Action>) -> Result<(), StoreError> {
        let items = actions.into_iter().map(|action| action.0).collect();
        self.client
            .transact_write_items()
            .set_transact_items(Some(items))
            .send()
            .await?;
        Ok(())
    }

    /// Runs units, as many in a transaction as fit; no two of one item in the same. Returns the subjects of
    /// the units that were done, and of those that were not because a condition did not hold or the table was
    /// throttled.
    pub(super) async fn run_units<T: Send>(
        &self,
        units: Vec<Unit<T>>,
    ) -> Result<(Vec<T>, Vec<T>), StoreError> {
        // Boxed one by one: a closure over units would be too general for a future that threads share.
        let mut runs: Vec<BoxFuture<'_, _>> = Vec::new();
        for group in grouped(units) {
            runs.push(Box::pin(self.run_group(group)));
        }
        let results = stream::iter(runs)
            .buffer_unordered(TRANSACTIONS_AT_ONCE)
            .try_collect::<Vec<_>>()
            .await?;
        let (mut done, mut lost) = (Vec::new(), Vec::new());
        for (group_done, group_lost) in results {
            done.extend(group_done);
            lost.extend(group_lost);
        }
        Ok((done, lost))
    }

    async fn run_group<T>(&self, group: Vec<Unit<T>>) -> Result<(Vec<T>, Vec<T>), StoreError> {
        let actions = group.iter().flat_map(|unit| unit.actions.iter().cloned());
        let all = self.transact(actions.collect()).await;
        match all {
            Ok(()) => {
                return Ok((group.into_iter().map(|unit| unit.of).collect(), Vec::new()));
            }
            Err(error) if !error.did_nothing() => return Err(error),
            Err(_) if group.len() == 1 => {
                return Ok((Vec::new(), group.into_iter().map(|unit| unit.of).collect()));
            }
            Err(_) => {}
        }
        // One of them made the whole transaction fail: each is tried alone.
        let (mut done, mut lost) = (Vec::new(), Vec::new());
        for unit in group {
            match self.transact(unit.actions).await {
                Ok(()) => done.push(unit.of),
                Err(error) if error.did_nothing() => lost.push(unit.of),
                Err(error) => return Err(error),
            }
        }
        Ok((done, lost))
    }
}

/// Groups units in their order of arrival, as many together as fit into a transaction.
fn grouped<T>(units: Vec<Unit<T>>) -> Vec<Vec<Unit<T>>> {
    let hasher = RandomState::new();
    let mut groups: Vec<Vec<Unit<T>>> = Vec::new();
    let (mut actions, mut bytes) = (0, 0);
    // Hashes of keys: a chance collision only begins a group too early.
    let mut touched: HashSet<u64> = HashSet::new();
    for unit in units {
        let keys = unit.actions.iter().filter_map(key_of);
        let keys: Vec<u64> = keys.map(|key| hasher.hash_one(key)).collect();
        actions += unit.actions.len();
        bytes += unit.bytes;
        let fits = actions <= TRANSACTION_ACTIONS
            && bytes <= TRANSACTION_BYTES
            && !keys.iter().any(|key| touched.contains(key));
        match groups.last_mut() {
            Some(group) if fits => group.push(unit),
            _ => {
                (actions, bytes) = (unit.actions.len(), unit.bytes);
                touched.clear();
                groups.push(vec![unit]);
            }
        }
        touched.extend(keys);
    }
    groups
}

/// The key of an action's item.
fn key_of(Action(action): &Action) -> Option<(&String, &String)> {
    let put = action.put().map(Put::item);
    let delete = action.delete().map(Delete::key);
    let check = action.condition_check().map(ConditionCheck::key);
    let item = put.or(delete).or(check)?;
    let part = |name: &str| item.get(name)?.as_s().ok();
    part("PK").zip(part("SK"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(number: usize, items: &[&str], bytes: usize) -> Unit<usize> {
        let put = |sk: &&str| {
            let key = keys::Key {
                pk: "C#acme".to_owned(),
                sk: (*sk).to_owned(),
            };
            let put = Put::builder()
                .table_name("t")
                .set_item(Some(key.attributes()));
            Action(
                TransactWriteItem::builder()
                    .put(put.build().unwrap())
                    .build(),
            )
        };
        Unit {
            of: number,
            actions: items.iter().map(put).collect(),
            bytes,
        }
    }

    fn groups(units: Vec<Unit<usize>>) -> Vec<Vec<usize>> {
        let groups = grouped(units).into_iter();
        groups
            .map(|group| group.into_iter().map(|unit| unit.of).collect())
            .collect()
    }

    #[test]
    fn a_transaction_takes_as_many_units_as_fit_and_no_item_twice() {
        assert_eq!(groups(Vec::new()), Vec::<Vec<usize>>::new());
        let small = vec![
            unit(0, &["a", "b"], 1),
            unit(1, &["c"], 1),
            unit(2, &["b"], 1),
            unit(3, &["a"], 1),
        ];
        assert_eq!(groups(small), [vec![0, 1], vec![2, 3]]);
        let large = vec![
            unit(0, &["a"], TRANSACTION_BYTES),
            unit(1, &["b"], 1),
            unit(2, &["c"], 1),
        ];
        assert_eq!(groups(large), [vec![0], vec![1, 2]]);
        let names: Vec<String> = (0..250).map(|number| number.to_string()).collect();
        let many = names.chunks(2).enumerate().map(|(number, pair)| {
            let pair: Vec<&str> = pair.iter().map(String::as_str).collect();
            unit(number, &pair, 1)
        });
        let sizes: Vec<usize> = groups(many.collect()).iter().map(Vec::len).collect();
        assert_eq!(sizes, [50, 50, 25]);
    }
}
