//! Field names that forms were seen with and that no mapping has yet, for people to map (LG-7).
//!
//! Public forms are open to everybody, so the stored names are bounded form by form: the most frequent ones,
//! and beside them the newest. A flood of made-up names pushes out neither a form's real names nor those of
//! another form. Names that are not seen for half a year are deleted automatically.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::transaction::Assumption;
use super::{Item, Store, StoreError, expire, keys, read, read_each, write};
use domain::clock::Millis;
use domain::contract::AuditEntry;
use domain::ids::ContractId;

const ENTITY: &str = "discovered names";
/// Maximum number of names of a form: half of them the most frequent, the other half the newest of the rest.
pub const MAX_DISCOVERED: usize = 100;
/// Retention of names after they were last seen, in days.
const KEEP_DAYS: i64 = 180;
/// Maximum number of times that a change is recomputed after a concurrent change.
const ROUNDS: u32 = 4;
/// Forms that are changed in one transaction, with an audit entry, by DynamoDB's limit of actions.
const FORMS_AT_ONCE: usize = 99;

/// A name that forms were seen with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discovered {
    /// The name exactly as on the form.
    pub name: String,
    /// Time when it was first seen.
    pub first_seen: Millis,
    /// Time when it was last seen, to some minutes.
    pub last_seen: Millis,
    /// Approximate number of submissions that it was seen on.
    pub count: u64,
}

/// The names of a form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct OfForm {
    /// The source's id of the form.
    form: String,
    names: Vec<Discovered>,
    /// Counts writes.
    version: u64,
}

impl OfForm {
    /// Adds the names seen, and drops those beyond the limit.
    fn add(&mut self, seen: &BTreeMap<String, u64>, now: Millis) {
        for (name, count) in seen {
            match self.names.iter_mut().find(|known| known.name == *name) {
                Some(known) => {
                    known.last_seen = now;
                    known.count = known.count.saturating_add(*count);
                }
                None => self.names.push(Discovered {
                    name: name.clone(),
                    first_seen: now,
                    last_seen: now,
                    count: *count,
                }),
            }
        }
        let newest = |name: &Discovered| std::cmp::Reverse(name.last_seen);
        self.names
            .sort_by_key(|name| (std::cmp::Reverse(name.count), newest(name)));
        if let Some(rest) = self.names.get_mut(MAX_DISCOVERED / 2..) {
            rest.sort_by_key(newest);
        }
        self.names.truncate(MAX_DISCOVERED);
    }

    fn item(&self, contract: &ContractId, now: Millis) -> Result<Item, StoreError> {
        let mut item = write(ENTITY, self, &keys::discovered(contract, &self.form))?;
        expire(&mut item, now.plus_seconds(KEEP_DAYS * 24 * 3600));
        Ok(item)
    }
}

impl Store {
    /// The names that a contract's forms were seen with, each with the forms that have it; the most frequent
    /// first.
    pub async fn discovered_names(
        &self,
        contract: &ContractId,
    ) -> Result<Vec<(Discovered, Vec<String>)>, StoreError> {
        let mut names: BTreeMap<String, (Discovered, Vec<String>)> = BTreeMap::new();
        for OfForm {
            form, names: found, ..
        } in self.discovered_forms(contract).await?
        {
            for new in found {
                if let Some((known, forms)) = names.get_mut(&new.name) {
                    known.first_seen = known.first_seen.min(new.first_seen);
                    known.last_seen = known.last_seen.max(new.last_seen);
                    known.count = known.count.saturating_add(new.count);
                    forms.push(form.clone());
                } else {
                    names.insert(new.name.clone(), (new, vec![form.clone()]));
                }
            }
        }
        let mut names: Vec<_> = names.into_values().collect();
        // Names of equal frequency stay in the order of their text.
        names.sort_by_key(|(name, _)| std::cmp::Reverse(name.count));
        Ok(names)
    }

    async fn discovered_forms(&self, contract: &ContractId) -> Result<Vec<OfForm>, StoreError> {
        let partition = keys::discovered_partition(contract);
        let items = self.query_all(partition, keys::DISCOVERED_PREFIX).await?;
        Ok(read_each(ENTITY, items, |item| read(ENTITY, item)))
    }

    /// Stores names that a form was seen with, each with the number of submissions that had it.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if other writers keep changing the form's names.
    pub async fn discover_names(
        &self,
        contract: &ContractId,
        form: &str,
        seen: &BTreeMap<String, u64>,
        now: Millis,
    ) -> Result<(), StoreError> {
        for _ in 0..ROUNDS {
            let key = keys::discovered(contract, form);
            let found = match self.get::<OfForm>(ENTITY, key, true).await {
                Ok(found) => found,
                // Names can be found again; an unreadable one must not keep all others out.
                Err(error @ StoreError::Corrupt { .. }) => {
                    error.log();
                    let names = OfForm::new(form, seen, now);
                    return self.put(names.item(contract, now)?).await;
                }
                Err(error) => return Err(error),
            };
            let names = match found {
                None => OfForm::new(form, seen, now),
                Some(mut names) => {
                    names.add(seen, now);
                    names.version += 1;
                    names
                }
            };
            match self
                .put_version(names.item(contract, now)?, names.version)
                .await
            {
                Err(StoreError::Conflict) => {}
                done => return done,
            }
        }
        Err(StoreError::Conflict)
    }

    /// Forgets a name on every form, with an audit entry. Returns `false` if there was none. A name that is
    /// seen again is discovered again.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if other writers keep changing them.
    pub async fn forget_discovered(
        &self,
        contract: &ContractId,
        name: &str,
        audit: &AuditEntry,
        unique: uuid::Uuid,
    ) -> Result<bool, StoreError> {
        for _ in 0..ROUNDS {
            let mut changes = Vec::new();
            for mut form in self.discovered_forms(contract).await? {
                let before = form.names.len();
                form.names.retain(|known| known.name != name);
                if form.names.len() == before {
                    continue;
                }
                let as_read = Assumption::version(form.version);
                form.version += 1;
                changes.push(if form.names.is_empty() {
                    let key = keys::discovered(contract, &form.form);
                    self.delete_action(key.attributes(), Some(as_read))?
                } else {
                    self.put_action(form.item(contract, audit.at)?, Some(as_read))?
                });
            }
            if changes.is_empty() {
                return Ok(false);
            }
            match self.forget_in(contract, changes, audit, unique).await {
                Err(StoreError::Conflict) => {}
                done => return done.map(|()| true),
            }
        }
        Err(StoreError::Conflict)
    }

    async fn forget_in(
        &self,
        contract: &ContractId,
        changes: Vec<super::transaction::Action>,
        audit: &AuditEntry,
        unique: uuid::Uuid,
    ) -> Result<(), StoreError> {
        let mut audit = Some(self.audit_item(contract, audit, unique)?);
        for some in changes.chunks(FORMS_AT_ONCE) {
            let actions = some.iter().cloned().chain(audit.take());
            self.transact(actions.collect()).await?;
        }
        Ok(())
    }
}

impl OfForm {
    fn new(form: &str, seen: &BTreeMap<String, u64>, now: Millis) -> Self {
        let mut names = Self {
            form: form.to_owned(),
            names: Vec::new(),
            version: 1,
        };
        names.add(seen, now);
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeMap<String, u64> {
        names.into_iter().map(|name| (name.to_owned(), 1)).collect()
    }

    fn has(form: &OfForm, name: &str) -> bool {
        form.names.iter().any(|known| known.name == name)
    }

    #[test]
    fn the_most_seen_and_the_newest_stay() {
        let mut form = OfForm::new("f", &seen(["shoe size", "budget"]), Millis(0));
        form.add(&seen(["shoe size", "budget"]), Millis(1));
        // Post after post of new names.
        for post in 0..20 {
            let made_up: Vec<String> = (0..95).map(|n| format!("x{post}-{n}")).collect();
            form.add(&seen(made_up.iter().map(String::as_str)), Millis(2 + post));
            assert_eq!(form.names.len(), MAX_DISCOVERED.min(form.names.len()));
        }
        assert!(
            has(&form, "shoe size") && has(&form, "budget"),
            "what was seen twice stays"
        );
        form.add(&seen(["new field"]), Millis(100));
        assert!(has(&form, "new field"), "what is new finds room");
        assert_eq!(form.names.len(), MAX_DISCOVERED);
        let known = form
            .names
            .iter()
            .find(|known| known.name == "budget")
            .unwrap();
        assert_eq!(
            (known.first_seen, known.last_seen, known.count),
            (Millis(0), Millis(1), 2)
        );
    }

    #[test]
    fn a_form_full_of_the_longest_names_fits_into_an_item() {
        let names: Vec<String> = (0..400)
            .map(|n| format!("{n:03}{}", "😀".repeat(197)))
            .collect();
        let form = OfForm::new("f", &seen(names.iter().map(String::as_str)), Millis(0));
        let item = form.item(&"acme".parse().unwrap(), Millis(0)).unwrap();
        assert!(super::super::size_of_item(&item) < 390_000);
    }
}
