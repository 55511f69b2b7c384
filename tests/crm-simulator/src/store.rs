//! Rows by table and id, with an undo journal and small value indexes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::http::Row;

/// The rows of one kind.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Table {
    rows: BTreeMap<String, Row>,
    #[serde(default)]
    indexed: BTreeSet<String>,
    #[serde(skip)]
    index: HashMap<String, HashMap<String, BTreeSet<String>>>,
}

impl Table {
    fn put(&mut self, id: &str, row: Option<Row>) -> Option<Row> {
        let old = self.rows.remove(id);
        if let Some(old) = &old {
            for field in &self.indexed {
                if let Some(key) = key_of(old.get(field))
                    && let Some(ids) = self
                        .index
                        .get_mut(field)
                        .and_then(|values| values.get_mut(&key))
                {
                    ids.remove(id);
                }
            }
        }
        if let Some(row) = row {
            for field in &self.indexed {
                if let Some(key) = key_of(row.get(field)) {
                    let values = self.index.entry(field.clone()).or_default();
                    values.entry(key).or_default().insert(id.to_owned());
                }
            }
            self.rows.insert(id.to_owned(), row);
        }
        old
    }

    fn reindex(&mut self) {
        self.index.clear();
        for (id, row) in &self.rows {
            for field in &self.indexed {
                if let Some(key) = key_of(row.get(field)) {
                    let values = self.index.entry(field.clone()).or_default();
                    values.entry(key).or_default().insert(id.clone());
                }
            }
        }
    }
}

fn key_of(value: Option<&Value>) -> Option<String> {
    value
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
        .map(str::to_lowercase)
}

/// Every table of one organisation.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Store {
    tables: BTreeMap<String, Table>,
    #[serde(skip)]
    journal: Vec<(String, String, Option<Row>)>,
    #[serde(skip)]
    depth: usize,
}

impl Store {
    /// Declares the fields of a table that are looked up by value.
    pub(crate) fn index(&mut self, table: &str, fields: impl IntoIterator<Item = String>) {
        let table = self.tables.entry(table.to_owned()).or_default();
        table.indexed = fields.into_iter().collect();
        table.reindex();
    }

    pub(crate) fn get(&self, table: &str, id: &str) -> Option<&Row> {
        self.tables.get(table)?.rows.get(id)
    }

    pub(crate) fn put(&mut self, table: &str, id: &str, row: Row) {
        self.swap(table, id, Some(row));
    }

    pub(crate) fn remove(&mut self, table: &str, id: &str) -> bool {
        self.swap(table, id, None)
    }

    fn swap(&mut self, table: &str, id: &str, row: Option<Row>) -> bool {
        let old = self
            .tables
            .entry(table.to_owned())
            .or_default()
            .put(id, row);
        let had = old.is_some();
        if self.depth > 0 {
            self.journal.push((table.to_owned(), id.to_owned(), old));
        }
        had
    }

    /// Rows of a table in id order.
    pub(crate) fn rows(&self, table: &str) -> impl Iterator<Item = (&String, &Row)> {
        self.tables
            .get(table)
            .into_iter()
            .flat_map(|table| table.rows.iter())
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
            .and_then(|values| values.get(&value.to_lowercase()));
        Some(
            ids.map(|ids| ids.iter().cloned().collect())
                .unwrap_or_default(),
        )
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
