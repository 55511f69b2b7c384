//! Rows by table and id, with an undo journal and small value indexes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use crate::record::Record;

/// Ids that share a value: nearly always a single one.
#[derive(Debug)]
enum Ids {
    One(Box<str>),
    Many(BTreeSet<Box<str>>),
}

impl Ids {
    fn insert(&mut self, id: &str) {
        match self {
            Self::One(own) if **own == *id => {}
            Self::One(own) => {
                let both = [std::mem::take(own), Box::from(id)];
                *self = Self::Many(both.into_iter().collect());
            }
            Self::Many(own) => {
                own.insert(Box::from(id));
            }
        }
    }

    /// Removes an id; true if none is left.
    fn remove(&mut self, id: &str) -> bool {
        match self {
            Self::One(own) => **own == *id,
            Self::Many(own) => {
                own.remove(id);
                own.is_empty()
            }
        }
    }

    fn list(&self) -> Vec<String> {
        match self {
            Self::One(id) => vec![id.to_string()],
            Self::Many(ids) => ids.iter().map(ToString::to_string).collect(),
        }
    }
}

/// The rows of one kind. They are shared with the holders of snapshots.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Table {
    #[serde(serialize_with = "plain", deserialize_with = "shared")]
    rows: BTreeMap<String, Arc<Record>>,
    #[serde(default)]
    indexed: BTreeSet<String>,
    /// The field with the number of a row's last change, where rows have one.
    #[serde(default)]
    versioned: Option<String>,
    #[serde(skip)]
    index: HashMap<String, HashMap<Box<str>, Ids>>,
    /// Ids by the number of their last change.
    #[serde(skip)]
    versions: BTreeMap<u64, Box<str>>,
}

fn plain<S: Serializer>(
    rows: &BTreeMap<String, Arc<Record>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(rows.iter().map(|(id, row)| (id, &**row)))
}

fn shared<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, Arc<Record>>, D::Error> {
    let rows = BTreeMap::<String, Record>::deserialize(deserializer)?;
    Ok(rows
        .into_iter()
        .map(|(id, row)| (id, Arc::new(row)))
        .collect())
}

impl Table {
    fn put(&mut self, id: &str, row: Option<Arc<Record>>) -> Option<Arc<Record>> {
        let old = self.rows.remove(id);
        if let Some(old) = &old {
            for field in &self.indexed {
                if let Some(key) = key_of(old.get(field))
                    && let Some(values) = self.index.get_mut(field)
                    && values.get_mut(&*key).is_some_and(|ids| ids.remove(id))
                {
                    values.remove(&*key);
                }
            }
            if let Some(version) = version_of(self.versioned.as_ref(), old) {
                self.versions.remove(&version);
            }
        }
        if let Some(row) = row {
            self.note(id, &row);
            self.rows.insert(id.to_owned(), row);
        }
        old
    }

    /// Enters a row into the indexes.
    fn note(&mut self, id: &str, row: &Record) {
        for field in &self.indexed {
            if let Some(key) = key_of(row.get(field)) {
                if !self.index.contains_key(field) {
                    self.index.insert(field.clone(), HashMap::new());
                }
                if let Some(values) = self.index.get_mut(field) {
                    values
                        .entry(key.into_boxed_str())
                        .and_modify(|ids| ids.insert(id))
                        .or_insert_with(|| Ids::One(Box::from(id)));
                }
            }
        }
        if let Some(version) = version_of(self.versioned.as_ref(), row) {
            self.versions.insert(version, Box::from(id));
        }
    }

    fn reindex(&mut self) {
        self.index.clear();
        self.versions.clear();
        let rows = std::mem::take(&mut self.rows);
        for (id, row) in &rows {
            self.note(id, row);
        }
        self.rows = rows;
    }
}

fn key_of(value: Option<&Value>) -> Option<String> {
    value
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
        .map(str::to_lowercase)
}

fn version_of(field: Option<&String>, row: &Record) -> Option<u64> {
    row.get(field?)?.as_u64()
}

/// Every table of one organisation.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Store {
    tables: BTreeMap<String, Table>,
    #[serde(skip)]
    journal: Vec<(String, String, Option<Arc<Record>>)>,
    #[serde(skip)]
    depth: usize,
}

impl Store {
    /// Declares the fields of a table that are looked up by value, and the one with the number of
    /// a row's last change.
    pub(crate) fn index(
        &mut self,
        table: &str,
        fields: impl IntoIterator<Item = String>,
        versioned: Option<&str>,
    ) {
        let table = self.tables.entry(table.to_owned()).or_default();
        let fields: BTreeSet<String> = fields.into_iter().collect();
        let known = table.indexed == fields && table.versioned.as_deref() == versioned;
        if known && table.index.len() == fields.len() {
            return;
        }
        table.indexed = fields;
        table.versioned = versioned.map(str::to_owned);
        table.reindex();
        // An index that nothing is in yet is one nevertheless.
        for field in table.indexed.clone() {
            table.index.entry(field).or_default();
        }
    }

    pub(crate) fn get(&self, table: &str, id: &str) -> Option<&Record> {
        self.tables.get(table)?.rows.get(id).map(|row| &**row)
    }

    /// The row, shared: it stays the same while the store changes.
    pub(crate) fn share(&self, table: &str, id: &str) -> Option<Arc<Record>> {
        self.tables.get(table)?.rows.get(id).cloned()
    }

    pub(crate) fn put(&mut self, table: &str, id: &str, row: impl Into<Record>) {
        self.swap(table, id, Some(Arc::new(row.into())));
    }

    pub(crate) fn remove(&mut self, table: &str, id: &str) -> Option<Arc<Record>> {
        self.swap(table, id, None)
    }

    fn swap(&mut self, table: &str, id: &str, row: Option<Arc<Record>>) -> Option<Arc<Record>> {
        if !self.tables.contains_key(table) {
            self.tables.insert(table.to_owned(), Table::default());
        }
        let old = self.tables.get_mut(table)?.put(id, row);
        if self.depth > 0 {
            self.journal
                .push((table.to_owned(), id.to_owned(), old.clone()));
        }
        old
    }

    /// A row with its id, shared: it stays the same while the store changes.
    pub(crate) fn entry(&self, table: &str, id: &str) -> Option<(&str, &Arc<Record>)> {
        let found = self.tables.get(table)?.rows.get_key_value(id);
        found.map(|(id, row)| (id.as_str(), row))
    }

    /// Rows of a table after an id, in id order, shared: they stay the same while the store changes.
    pub(crate) fn shared(
        &self,
        table: &str,
        after: Option<String>,
    ) -> impl Iterator<Item = (&str, &Arc<Record>)> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.tables
            .get(table)
            .into_iter()
            .flat_map(move |table| table.rows.range((start.clone(), Bound::Unbounded)))
            .map(|(id, row)| (id.as_str(), row))
    }

    /// Rows of a table in id order.
    pub(crate) fn rows(&self, table: &str) -> impl Iterator<Item = (&String, &Record)> {
        self.after(table, None)
    }

    /// Rows of a table in id order, those after an id.
    pub(crate) fn after(
        &self,
        table: &str,
        id: Option<&str>,
    ) -> impl Iterator<Item = (&String, &Record)> {
        let start = id.map_or(Bound::Unbounded, Bound::Excluded);
        self.tables
            .get(table)
            .into_iter()
            .flat_map(move |table| table.rows.range::<str, _>((start, Bound::Unbounded)))
            .map(|(id, row)| (id, &**row))
    }

    /// Ids of a table in the order of their last change, those changed after this number.
    pub(crate) fn changed(&self, table: &str, version: u64) -> impl Iterator<Item = (u64, &str)> {
        let start = Bound::Excluded(version);
        self.tables
            .get(table)
            .into_iter()
            .flat_map(move |table| table.versions.range((start, Bound::Unbounded)))
            .map(|(version, id)| (*version, &**id))
    }

    pub(crate) fn len(&self, table: &str) -> usize {
        self.tables.get(table).map_or(0, |table| table.rows.len())
    }

    pub(crate) fn tables(&self) -> impl Iterator<Item = &String> {
        self.tables.keys()
    }

    /// Ids whose field holds the value (case ignored); `None` when the field is not indexed.
    pub(crate) fn find(&self, table: &str, field: &str, value: &str) -> Option<Vec<String>> {
        let table = self.tables.get(table)?;
        if !table.indexed.contains(field) {
            return None;
        }
        let ids = table
            .index
            .get(field)
            .and_then(|values| values.get(value.to_lowercase().as_str()));
        Some(ids.map(Ids::list).unwrap_or_default())
    }

    /// Starts a unit that can be undone; they nest.
    pub(crate) fn begin(&mut self) -> usize {
        self.depth += 1;
        self.journal.len()
    }

    pub(crate) fn commit(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        if self.depth == 0 {
            self.journal.clear();
        }
    }

    pub(crate) fn rollback(&mut self, mark: usize) {
        while self.journal.len() > mark {
            if let Some((table, id, old)) = self.journal.pop()
                && let Some(table) = self.tables.get_mut(&table)
            {
                table.put(&id, old);
            }
        }
        self.commit();
    }
}
