//! The later life of rows: deletes, restores, and merges.

use std::collections::BTreeMap;
use std::ops::Bound;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::schema::TableType;
use super::{Dataverse, Error};
use crate::record::Record;

/// The deleted rows of a table, for change tracking and for restoring. Deleted rows are kept
/// (learn.microsoft.com, *Restore deleted records with code*); a restored one has its old id.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Gone {
    /// Ids by the version of the delete.
    versions: BTreeMap<u64, String>,
    rows: BTreeMap<String, (u64, Record)>,
}

impl Dataverse {
    /// Deletes a row and remembers that it was there.
    pub(crate) fn delete(&mut self, ty: &TableType, id: &str) -> Result<(), Error> {
        let Some(row) = self.store.remove(&ty.name, id) else {
            return Err(Self::no_row(ty, id));
        };
        self.version += 1;
        let gone = self.gone.entry(ty.name.clone()).or_default();
        let row = Record::from(row.to_row());
        if let Some((old, _)) = gone.rows.insert(id.to_owned(), (self.version, row)) {
            gone.versions.remove(&old);
        }
        gone.versions.insert(self.version, id.to_owned());
        Ok(())
    }

    /// Forgets the deletes after a version, which were undone.
    pub(super) fn forget_deletes(&mut self, version: u64) {
        for gone in self.gone.values_mut() {
            for id in gone.versions.split_off(&(version + 1)).values() {
                gone.rows.remove(id);
            }
        }
    }

    /// Deletes after a version, in their order; rows that are there again are none.
    pub(crate) fn deleted_after(
        &self,
        ty: &TableType,
        version: u64,
    ) -> impl Iterator<Item = (u64, &str)> {
        let after = (Bound::Excluded(version), Bound::Unbounded);
        let gone = self.gone.get(&ty.name).into_iter();
        gone.flat_map(move |gone| gone.versions.range(after))
            .map(|(version, id)| (*version, id.as_str()))
            .filter(|(_, id)| self.store.get(&ty.name, id).is_none())
    }

    /// Brings a deleted row back.
    pub(crate) fn restore_row(
        &mut self,
        ty: &TableType,
        id: &str,
        now_ms: i64,
    ) -> Result<(), Error> {
        let missing = || Self::no_row(ty, id);
        if self.store.get(&ty.name, id).is_some() {
            return Err(missing());
        }
        let gone = self.gone.get_mut(&ty.name).ok_or_else(missing)?;
        let (version, row) = gone.rows.remove(id).ok_or_else(missing)?;
        gone.versions.remove(&version);
        self.put(ty, id, row.to_row(), now_ms);
        Ok(())
    }

    /// Merges a row into another one, as the action *Merge* does: the other row is the parent of its
    /// children afterwards, and it stays, inactive, with `merged` and `masterid`.
    pub(crate) fn merge(
        &mut self,
        ty: &TableType,
        subordinate: &str,
        target: &str,
        now_ms: i64,
    ) -> Result<(), Error> {
        if ty.column("masterid").is_none() || subordinate == target {
            let message = format!("Rows of {} cannot be merged.", ty.name);
            return Err(Error::new(400, "0x80040203", message));
        }
        for id in [subordinate, target] {
            if self.store.get(&ty.name, id).is_none() {
                return Err(Self::no_row(ty, id));
            }
        }
        let tables: Vec<_> = self.tables().cloned().collect();
        for child in &tables {
            for column in &child.columns {
                let points = column.targets.contains(&ty.name);
                if !points || !column.kind.is_lookup() || !column.update {
                    continue;
                }
                let (wire, kind) = (column.wire(), format!("{}/type", column.wire()));
                let several = column.targets.len() > 1;
                let rows: Vec<String> = self
                    .store
                    .rows(&child.name)
                    .filter(|(_, row)| {
                        row.get(&wire).and_then(Value::as_str) == Some(subordinate)
                            && (!several || row.get(&kind).is_none_or(|kind| *kind == *ty.name))
                    })
                    .map(|(id, _)| id.clone())
                    .collect();
                for id in rows {
                    let Some(row) = self.store.get(&child.name, &id) else {
                        continue;
                    };
                    let mut row = row.to_row();
                    let parent = (id != target).then_some(target);
                    row.insert(wire.clone(), json!(parent));
                    self.put(child, &id, row, now_ms);
                }
            }
        }
        let reasons = ty
            .column("statuscode")
            .map(|column| column.choices.as_slice());
        // Leads have no inactive state but the disqualified one.
        let state = if ty.name == "lead" { 2 } else { 1 };
        let reason = reasons
            .unwrap_or_default()
            .iter()
            .rfind(|reason| reason.state == Some(state))
            .map(|reason| reason.value);
        for (id, loses) in [(subordinate, true), (target, false)] {
            let Some(row) = self.store.get(&ty.name, id) else {
                continue;
            };
            let mut row = row.to_row();
            if loses {
                row.insert("statecode".into(), json!(state));
                row.insert("statuscode".into(), json!(reason));
                row.insert("merged".into(), json!(true));
                row.insert("_masterid_value".into(), json!(target));
            }
            self.put(ty, id, row, now_ms);
        }
        Ok(())
    }
}
