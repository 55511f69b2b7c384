//! The later life of rows: the recycle bin, and merges.
//!
//! Deletes cascade, undeletes bring back what went along, and merges give the children a new
//! parent, as the *Apex Developer Guide* (`langCon_apex_dml_examples_delete`, `…_undelete`) and the
//! *SOAP API Developer Guide* (`sforce_api_calls_merge`) tell. Every row that is touched gets a new
//! `SystemModstamp`.

use serde_json::{Value, json};

use super::records::{is_deleted, stamp};
use super::schema::is_kept;
use super::{Caller, Error, Org};

/// Object, the lookup that makes its rows children, and the parent: they go when it goes.
const CASCADES: &[(&str, &str, &str)] = &[
    ("Contact", "AccountId", "Account"),
    ("Opportunity", "AccountId", "Account"),
    ("OpportunityContactRole", "ContactId", "Contact"),
    ("OpportunityContactRole", "OpportunityId", "Opportunity"),
];

/// Beside the fields of a row in the recycle bin: the row it went with.
const WITH: &str = "~with";

/// Objects whose rows can be merged.
const MERGEABLE: &[&str] = &["Account", "Contact", "Lead"];

fn no_access() -> Error {
    Error {
        status: 403,
        ..Error::on(
            "INSUFFICIENT_ACCESS_OR_READONLY",
            "insufficient access rights on object id",
            &[],
        )
    }
}

fn not_in_the_bin() -> Error {
    Error::on("UNDELETE_FAILED", "Entity is not in the recycle bin", &[])
}

impl Org {
    /// Puts a row into the recycle bin, and its children with it.
    pub(crate) fn delete(&mut self, caller: &Caller, object: &str, id: &str) -> Result<(), Error> {
        if self.is_denied(object, "delete") || is_kept(object) {
            return Err(no_access());
        }
        self.live(object, id)?;
        self.bin(caller, object, id, None);
        Ok(())
    }

    fn bin(&mut self, caller: &Caller, object: &str, id: &str, with: Option<&str>) {
        for (child, field, parent) in CASCADES {
            if *parent == object {
                for key in self.children(child, field, id) {
                    self.bin(caller, child, &key, Some(with.unwrap_or(id)));
                }
            }
        }
        let Some(row) = self.store.get(object, id).filter(|row| !is_deleted(row)) else {
            return;
        };
        let mut row = row.to_row();
        row.insert("IsDeleted".into(), json!(true));
        if let Some(with) = with {
            row.insert(WITH.into(), json!(with));
        }
        stamp(&mut row, id, &caller.user, caller.now_ms, false);
        self.store.put(object, id, row);
    }

    /// Live rows of an object that point at an id.
    fn children(&self, object: &str, field: &str, id: &str) -> Vec<String> {
        let points = |key: &str| {
            let row = self.store.get(object, key);
            row.is_some_and(|row| {
                !is_deleted(row) && row.get(field).and_then(Value::as_str) == Some(id)
            })
        };
        let mut keys = match self.store.find(object, field, id) {
            Some(keys) => keys,
            None => self
                .store
                .rows(object)
                .filter(|(_, row)| row.get(field).and_then(Value::as_str) == Some(id))
                .map(|(key, _)| key.clone())
                .collect(),
        };
        keys.retain(|key| points(key));
        keys
    }

    /// Rows in the recycle bin that went with another one.
    fn went_with(&self, id: &str) -> Vec<(String, String)> {
        CASCADES
            .iter()
            .map(|(child, ..)| *child)
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .flat_map(|child| {
                self.store
                    .rows(child)
                    .map(move |(key, row)| (child, key, row))
            })
            .filter(|(_, _, row)| row.get(WITH).and_then(Value::as_str) == Some(id))
            .map(|(child, key, _)| (child.to_owned(), key.clone()))
            .collect()
    }

    /// Takes a row out of the recycle bin again, with the rows that were deleted with it.
    pub(crate) fn undelete(
        &mut self,
        caller: &Caller,
        object: &str,
        id: &str,
    ) -> Result<(), Error> {
        let row = self.store.get(object, id).ok_or_else(Error::not_found)?;
        if !is_deleted(row) {
            return Err(not_in_the_bin());
        }
        let mut all = vec![(object.to_owned(), id.to_owned())];
        all.extend(self.went_with(id));
        for (object, id) in all {
            let Some(row) = self.store.get(&object, &id) else {
                continue;
            };
            let mut row = row.to_row();
            row.insert("IsDeleted".into(), json!(false));
            row.remove(WITH);
            if row.contains_key("MasterRecordId") {
                row.insert("MasterRecordId".into(), Value::Null);
            }
            stamp(&mut row, &id, &caller.user, caller.now_ms, false);
            self.store.put(&object, &id, row);
        }
        Ok(())
    }

    /// Removes a row, and the rows deleted with it, from the recycle bin: no query finds them any more.
    pub(crate) fn purge(&mut self, object: &str, id: &str) -> Result<(), Error> {
        let row = self.store.get(object, id).ok_or_else(Error::not_found)?;
        if !is_deleted(row) {
            return Err(not_in_the_bin());
        }
        for (child, key) in self.went_with(id) {
            self.store.remove(&child, &key);
        }
        self.store.remove(object, id);
        Ok(())
    }

    /// Merges a row into another one of its object: references to it lead to the winner afterwards, and the
    /// row is in the recycle bin with the winner as `MasterRecordId`.
    pub(crate) fn merge(
        &mut self,
        caller: &Caller,
        object: &str,
        loser: &str,
        winner: &str,
    ) -> Result<(), Error> {
        if !MERGEABLE.contains(&object) || loser == winner {
            return Err(Error::on(
                "INVALID_TYPE",
                "Records of this type cannot be merged",
                &[],
            ));
        }
        for id in [loser, winner] {
            self.live(object, id)?;
        }
        let lookups: Vec<(String, String)> = self
            .objects()
            .flat_map(|ty| ty.fields.iter().map(move |field| (ty, field)))
            .filter(|(_, field)| field.reference_to.iter().any(|name| name == object))
            .filter(|(_, field)| {
                field.name != "MasterRecordId" && !field.name.starts_with("Converted")
            })
            .map(|(ty, field)| (ty.name.clone(), field.name.clone()))
            .collect();
        for (child, field) in lookups {
            for key in self.children(&child, &field, loser) {
                let Some(row) = self.store.get(&child, &key) else {
                    continue;
                };
                let mut row = row.to_row();
                // Nothing is its own parent.
                let parent = (key != winner).then_some(winner);
                row.insert(field.clone(), json!(parent));
                stamp(&mut row, &key, &caller.user, caller.now_ms, false);
                self.store.put(&child, &key, row);
            }
        }
        for (id, is_loser) in [(loser, true), (winner, false)] {
            let mut row = self.live(object, id)?.to_row();
            if is_loser {
                row.insert("IsDeleted".into(), json!(true));
                row.insert("MasterRecordId".into(), json!(winner));
            }
            stamp(&mut row, id, &caller.user, caller.now_ms, false);
            self.store.put(object, id, row);
        }
        Ok(())
    }
}
