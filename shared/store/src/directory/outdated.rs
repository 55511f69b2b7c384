//! Entries whose records are out of date (SV-8): an item for each stands beside its match, written in the same
//! transaction, in the order of the records' owners. It has ids and hashes, and no value.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;

use super::super::transaction::Action;
use super::super::{Item, Store, StoreError, keys, page_of, read, read_each, write};
use super::links::{EntryAs, LinkWrite};
use super::{Act, ActError};
use domain::directory::{
    Dismissal, EntryId, EntryKind, EntryRef, Finding, Match, OutdatedEntry, ValidatedField,
};
use domain::environment::Environment;
use domain::ids::{ContractId, SeatId};
use domain::problem::Problem;
use serde_json::json;

const OUTDATED: &str = "outdated record";
/// Maximum number of times that a decision is made anew after a concurrent change.
const ROUNDS: u32 = 8;
/// Records that are read in one call for counting.
const COUNTED_AT_ONCE: i32 = 500;
/// Longest place from which a page goes on, in bytes.
const MAX_PLACE: usize = 1_024;

/// A part of the entries whose records are out of date.
#[derive(Debug)]
pub struct OutdatedPage {
    /// The entries, those of one owner one after the other, each with its place.
    pub items: Vec<(OutdatedEntry, String)>,
    /// The place to continue after; `None` at the end.
    pub next: Option<String>,
}

/// Bounds of the records that are read for counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CountLimits {
    /// Maximum number of an owner's records that are counted.
    pub of_owner: usize,
    /// Number of records after which no further owner is counted.
    pub together: usize,
}

impl Default for CountLimits {
    fn default() -> Self {
        Self {
            of_owner: 2_000,
            together: 4_000,
        }
    }
}

/// The outdated records of an owner.
#[derive(Debug, PartialEq, Eq)]
pub struct OutdatedOwner {
    /// The CRM's id of the owner; `None` for records without one.
    pub owner: Option<String>,
    /// The findings of the records that were read.
    pub findings: Vec<Finding>,
    /// Number of those records.
    pub records: usize,
    /// True if the owner has further ones.
    pub more: bool,
}

/// A part of the owners of outdated records.
#[derive(Debug, PartialEq, Eq)]
pub struct OutdatedOwners {
    /// The owners, in the order of the list.
    pub items: Vec<OutdatedOwner>,
    /// The place to continue after; `None` at the end.
    pub next: Option<String>,
}

/// A user's decision on a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dismissed<'a> {
    /// The field.
    pub field: ValidatedField,
    /// The two values that the user saw, by [`Finding::values`].
    pub values: &'a str,
    /// False takes an earlier dismissal back.
    pub dismissed: bool,
}

impl Store {
    /// Returns the writes that bring the list of outdated records after a match; each is a write of an item of
    /// its own, for one transaction with the match.
    pub(super) fn outdated_actions(
        &self,
        contract: &ContractId,
        environment: Environment,
        entry: EntryRef,
        before: Option<&Match>,
        after: Option<&Match>,
    ) -> Result<Vec<Action>, StoreError> {
        if entry.kind != EntryKind::Profile {
            return Ok(Vec::new());
        }
        let listed = |matched: Option<&Match>| {
            let listed = OutdatedEntry::of(entry.id, matched?)?;
            let owner = listed.owner.as_deref();
            let key = keys::outdated(contract, environment, owner, entry.id);
            Some((listed, key))
        };
        let (old, new) = (listed(before), listed(after));
        let mut actions = Vec::new();
        if let Some((listed, key)) = &new
            && old.as_ref().is_none_or(|(old, _)| old != listed)
        {
            actions.push(self.put_action(write(OUTDATED, listed, key)?, None)?);
        }
        if let Some((_, key)) =
            old.filter(|(_, old)| new.as_ref().is_none_or(|(_, new)| new != old))
        {
            actions.push(self.delete_action(key.attributes(), None)?);
        }
        Ok(actions)
    }

    /// A page of the entries whose records are out of date, of one owner's or all, from the beginning or after
    /// a place.
    ///
    /// # Errors
    /// Returns [`StoreError::Unavailable`] if the table does not answer. A place that is not of that owner's
    /// leads to the beginning.
    pub async fn outdated_entries(
        &self,
        contract: &ContractId,
        environment: Environment,
        owner: Option<&str>,
        after: Option<&str>,
        limit: i32,
    ) -> Result<OutdatedPage, StoreError> {
        let pk = keys::outdated_partition(contract, environment);
        let prefix = owner.map(|owner| keys::outdated_of(Some(owner)));
        let query = match &prefix {
            Some(prefix) => self.query_prefix(&pk, prefix),
            None => self.query_partition(&pk),
        };
        // The table takes no place outside what is asked for.
        let begin = prefix.as_deref().unwrap_or_default();
        let inside = |after: &&str| {
            !after.is_empty() && after.len() <= MAX_PLACE && after.starts_with(begin)
        };
        let after = after.filter(inside);
        let start = after.map(|after| {
            let (pk, sk) = (pk.clone(), after.to_owned());
            keys::Key { pk, sk }.attributes()
        });
        let page = page_of(&query.limit(limit), start).await?;
        let place = |item: &Item| match item.get("SK") {
            Some(AttributeValue::S(place)) => Some(place.clone()),
            _ => None,
        };
        let next = page.next.as_ref().and_then(place);
        let items = read_each(OUTDATED, page.items, |item| {
            let place = place(&item).ok_or_else(|| StoreError::corrupt(OUTDATED))?;
            Ok((read(OUTDATED, item)?, place))
        });
        Ok(OutdatedPage { items, next })
    }

    /// The outdated records of the owners, or of one of them, from the beginning or after a page's `next`, as far
    /// as the limits allow.
    ///
    /// # Errors
    /// Returns [`StoreError::Unavailable`] if the table does not answer.
    pub async fn outdated_owners(
        &self,
        contract: &ContractId,
        environment: Environment,
        owner: Option<&str>,
        after: Option<&str>,
        limits: CountLimits,
    ) -> Result<OutdatedOwners, StoreError> {
        let mut items: Vec<OutdatedOwner> = Vec::new();
        let mut after = after.map(str::to_owned);
        let mut read = 0;
        loop {
            let place = after.as_deref();
            let page = self.outdated_entries(contract, environment, owner, place, COUNTED_AT_ONCE);
            let page = page.await?;
            after = page.next;
            for (entry, _) in page.items {
                let last = items.last().filter(|last| last.owner != entry.owner);
                if let Some(last) = last.filter(|_| read >= limits.together) {
                    let next = Some(behind(last.owner.as_deref()));
                    return Ok(OutdatedOwners { items, next });
                }
                match items.last_mut() {
                    Some(last) if last.owner == entry.owner => {
                        if last.records >= limits.of_owner {
                            last.more = true;
                            after = Some(behind(last.owner.as_deref()));
                            break;
                        }
                        last.records += 1;
                        last.findings.extend(entry.findings);
                    }
                    _ => items.push(OutdatedOwner {
                        owner: entry.owner,
                        findings: entry.findings,
                        records: 1,
                        more: false,
                    }),
                }
                read += 1;
            }
            if after.is_none() {
                return Ok(OutdatedOwners { items, next: None });
            }
        }
    }

    /// Dismisses a finding of a person, or takes that back, with its audit entry.
    ///
    /// # Errors
    /// Returns 409 `values_changed` if the two values are no longer those that the user saw, or no longer
    /// differ, and 409 `not_connected` without an organisation.
    pub async fn dismiss_finding(
        &self,
        contract: &ContractId,
        act: &Act<'_>,
        wish: &Dismissed<'_>,
    ) -> Result<Match, ActError> {
        let organization = act.organization.ok_or_else(super::people::not_connected)?;
        for _ in 0..ROUNDS {
            let (entry, before) = self.to_decide(contract, act).await?;
            let before = before.ok_or_else(values_changed)?;
            let mut after = before.clone();
            let mut findings = after.findings.iter_mut();
            let finding = findings
                .find(|finding| finding.field == wish.field && finding.values() == wish.values);
            let finding = finding.ok_or_else(values_changed)?;
            if finding.is_open() != wish.dismissed {
                return Ok(before);
            }
            finding.dismissed = wish.dismissed.then(|| Dismissal {
                at: act.now,
                by: act.by.to_owned(),
            });
            let state = |dismissed: bool| json!({"field": wish.field, "dismissed": dismissed});
            let audit = act.audit("validate", state(!wish.dismissed), state(wish.dismissed));
            let change = LinkWrite {
                entry: EntryAs::is(&entry),
                before: Some(before),
                after: after.clone(),
                from: None,
                waits_for: None,
            };
            let mut actions = self.link_actions(contract, act.environment, &change)?;
            actions.push(self.assume_connected(contract, act.environment, organization)?);
            actions.push(self.audit_item(contract, &audit, act.unique)?);
            match self.transact(actions).await {
                Ok(()) => return Ok(after),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// The entries that a seat holder saved by hand, in any list.
    pub async fn saved_in_any_list(
        &self,
        contract: &ContractId,
        seat: SeatId,
    ) -> Result<BTreeSet<EntryId>, StoreError> {
        let (partition, prefix) = keys::all_by_hand(contract, seat);
        let items = self.query_all(partition, prefix).await?;
        let entry = |item: &Item| {
            let (_, entry) = item.get("SK")?.as_s().ok()?.rsplit_once('#')?;
            entry.parse().ok()
        };
        Ok(items.iter().filter_map(entry).collect())
    }
}

/// The place behind an owner's records.
fn behind(owner: Option<&str>) -> String {
    // No id sorts behind it.
    format!("{}~", keys::outdated_of(owner))
}

fn values_changed() -> Problem {
    Problem::new(
        409,
        "values_changed",
        "The two values are no longer those that you saw.",
        "Load the list again, and decide on what it shows now.",
    )
}
