//! What people decide of an entry (MA-4): each is one transaction over entry, match, links and audit log,
//! decided anew where something was changed meanwhile.

use serde_json::{Value, json};
use uuid::Uuid;

use super::super::transaction::Action;
use super::super::{Store, StoreError};
use super::links::{EntryAs, Holder, LinkWrite};
use super::{EntryWithMatch, ROUNDS, entry_item};
use domain::clock::Millis;
use domain::contract::AuditEntry;
use domain::directory::{
    Decision, Entry, EntryId, EntryKind, EntryRef, How, Link, Match, RecordRef,
};
use domain::environment::Environment;
use domain::ids::ContractId;
use domain::problem::Problem;
use matching::Bits;

/// Who decides of which entry.
#[derive(Debug, Clone, Copy)]
pub struct Act<'a> {
    /// The environment whose records entries are linked to.
    pub environment: Environment,
    /// The organisation that it is connected to, if it is.
    pub organization: Option<&'a str>,
    /// What the entry is.
    pub kind: EntryKind,
    /// Its id.
    pub id: EntryId,
    /// Who, as the audit log names them.
    pub by: &'a str,
    /// When.
    pub now: Millis,
    /// Makes the audit entry's key its own.
    pub unique: Uuid,
}

/// The record that somebody says an entry is. The caller has seen that there is such a record.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen {
    /// The record.
    pub record: RecordRef,
    /// [`How::Person`], or [`How::Created`] where it was made for the entry.
    pub how: How,
    /// The model's score of the two.
    pub score: Bits,
    /// The score from which on the model links.
    pub threshold: Bits,
    /// The CRM's id of the record's owner.
    pub owner: Option<String>,
}

/// An entry after somebody decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Acted {
    /// The entry.
    pub entry: Entry,
    /// Its match; none where none was computed.
    pub matched: Option<Match>,
    /// The entry that the record was taken from: it is linked to nothing now.
    pub lost: Option<EntryRef>,
    /// The record that it is no longer linked to.
    pub freed: Option<RecordRef>,
}

/// Why nothing was decided.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// There is no such entry.
    #[error("there is no such entry")]
    NotFound(EntryKind),
    /// It cannot be.
    #[error(transparent)]
    Refused(Box<Problem>),
    /// The table did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ActError {
    /// What the caller of an API is told.
    #[must_use]
    pub fn problem(&self) -> Problem {
        match self {
            Self::NotFound(kind) => Problem::not_found(kind.as_str()),
            Self::Refused(problem) => (**problem).clone(),
            Self::Store(error) => error.problem(),
        }
    }
}

impl From<Problem> for ActError {
    fn from(problem: Problem) -> Self {
        Self::Refused(Box::new(problem))
    }
}

/// What the audit log keeps of an entry: ids, and nothing that says who it is.
fn logged(entry: &Entry, matched: Option<&Match>) -> Value {
    let decision = match &entry.decision {
        Decision::None => "none",
        Decision::Matched { .. } => "matched",
        Decision::Unmatched { .. } => "unmatched",
    };
    let link = matched.and_then(|matched| matched.link.as_ref());
    json!({
        "decision": decision,
        "record": link.map(|link| link.record.to_string()),
        "how": link.map(|link| link.how),
    })
}

impl Act<'_> {
    const fn entry(&self) -> EntryRef {
        EntryRef {
            kind: self.kind,
            id: self.id,
        }
    }

    fn audit(&self, action: &str, before: Value, after: Value) -> AuditEntry {
        AuditEntry {
            at: self.now,
            actor: self.by.to_owned(),
            action: format!("{}.{action}", self.kind),
            target: self.id.to_string(),
            before,
            after,
        }
    }
}

impl Store {
    async fn to_decide(
        &self,
        contract: &ContractId,
        act: &Act<'_>,
    ) -> Result<EntryWithMatch, ActError> {
        let found = self.entry_with_match(contract, act.environment, act.kind, act.id);
        found.await?.ok_or(ActError::NotFound(act.kind))
    }

    /// Has an entry be the record that somebody chose, whatever the scores say from now on. The record is
    /// taken from an entry that has it by score; the caller links that one again.
    ///
    /// # Errors
    /// 409 `record_taken` when a person said that another entry is the record, 409 `not_connected` without
    /// an organisation. [`StoreError::Conflict`] also when the connection no longer stands.
    pub async fn match_by_person(
        &self,
        contract: &ContractId,
        act: &Act<'_>,
        chosen: &Chosen,
    ) -> Result<Acted, ActError> {
        let organization = act.organization.ok_or_else(not_connected)?;
        for _ in 0..ROUNDS {
            let (entry, before) = self.to_decide(contract, act).await?;
            let from = self.holder(contract, act, &chosen.record).await?;
            let lost = from.as_ref().map(|holder| holder.entry);
            let freed = before.as_ref().and_then(Match::record);
            let freed = freed.filter(|freed| **freed != chosen.record).cloned();
            let decided = entry.matched_by(&chosen.record, act.by, act.now);
            let known = before.as_ref().and_then(|before| before.link.as_ref());
            let since = known
                .filter(|link| link.record == chosen.record)
                .map_or(act.now, |link| link.since);
            let mut after = before.clone().unwrap_or_default();
            after.at = act.now;
            after.entry_version = decided.version;
            after.link = Some(Link {
                record: chosen.record.clone(),
                how: chosen.how,
                score: chosen.score,
                threshold: chosen.threshold,
                since,
                owner: chosen.owner.clone(),
                record_gone: false,
            });
            let audit = act.audit(
                "match",
                logged(&entry, before.as_ref()),
                logged(&decided, Some(&after)),
            );
            let change = LinkWrite {
                entry: EntryAs::Becomes(Box::new(decided)),
                before,
                after,
                from,
                waits_for: None,
            };
            let mut actions = self.link_actions(contract, act.environment, &change)?;
            actions.push(self.assume_connected(contract, act.environment, organization)?);
            actions.push(self.audit_item(contract, &audit, act.unique)?);
            if self.decided(actions).await? {
                return self.acted(contract, act, lost, freed).await;
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// The other entry that has a record, if it may be taken from it.
    async fn holder(
        &self,
        contract: &ContractId,
        act: &Act<'_>,
        record: &RecordRef,
    ) -> Result<Option<Holder>, ActError> {
        let records = [record.clone()];
        let linked = self.linked(contract, act.environment, &records).await?;
        let Some(holder) = linked.get(record).filter(|holder| **holder != act.entry()) else {
            return Ok(None);
        };
        let EntryRef { kind, id } = *holder;
        let found = self
            .entry_with_match(contract, act.environment, kind, id)
            .await?;
        // What was read of the two may be older or newer than the link: then the transaction fails.
        let Some((entry, Some(before))) = found else {
            return Ok(None);
        };
        if entry.decided() == Some(record) {
            return Err(record_taken(*holder).into());
        }
        Ok(Some(Holder {
            entry: *holder,
            version: entry.version,
            before,
        }))
    }

    /// Has an entry not be what it is linked to, nor linked to anything until somebody says so.
    ///
    /// # Errors
    /// 409 `too_many_refusals`.
    pub async fn unmatch_by_person(
        &self,
        contract: &ContractId,
        act: &Act<'_>,
    ) -> Result<Acted, ActError> {
        for _ in 0..ROUNDS {
            let (entry, before) = self.to_decide(contract, act).await?;
            let record = before.as_ref().and_then(Match::record);
            let decided = entry.unmatched_by(record, act.by, act.now)?;
            let freed = record.cloned();
            if self
                .unlink(contract, act, "unmatch", &entry, before, decided)
                .await?
            {
                return self.acted(contract, act, None, freed).await;
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Has an entry be linked by score again: what a person said it is or is not linked to holds no
    /// longer, but what was refused stays refused. An entry that nobody decided on stays as it is. The
    /// caller links it.
    ///
    /// # Errors
    /// [`ActError`].
    pub async fn match_automatically(
        &self,
        contract: &ContractId,
        act: &Act<'_>,
    ) -> Result<Acted, ActError> {
        for _ in 0..ROUNDS {
            let (entry, before) = self.to_decide(contract, act).await?;
            if !entry.is_manual() {
                return Ok(Acted {
                    entry,
                    matched: before,
                    lost: None,
                    freed: None,
                });
            }
            let decided = entry.automatic();
            let freed = before.as_ref().and_then(Match::record).cloned();
            if self
                .unlink(contract, act, "rematch", &entry, before, decided)
                .await?
            {
                return self.acted(contract, act, None, freed).await;
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Writes an entry that was decided on, without its link. `false`: something was changed meanwhile.
    async fn unlink(
        &self,
        contract: &ContractId,
        act: &Act<'_>,
        action: &str,
        entry: &Entry,
        before: Option<Match>,
        decided: Entry,
    ) -> Result<bool, StoreError> {
        let was = logged(entry, before.as_ref());
        let audit = act.audit(action, was, logged(&decided, None));
        let mut actions = if let Some(before) = before {
            let mut after = before.unlinked(act.now);
            after.entry_version = decided.version;
            let change = LinkWrite {
                entry: EntryAs::Becomes(Box::new(decided)),
                before: Some(before),
                after,
                from: None,
                waits_for: None,
            };
            self.link_actions(contract, act.environment, &change)?
        } else {
            // A match that is not there is none that a clean-up would have to come back for.
            let item = entry_item(contract, &decided)?;
            vec![self.versioned_put(item, decided.version)?]
        };
        actions.push(self.audit_item(contract, &audit, act.unique)?);
        self.decided(actions).await
    }

    /// Removes an entry with its match and its link. Gives the record that it had: the caller links those
    /// that wait for it.
    ///
    /// # Errors
    /// [`ActError`].
    pub async fn delete_entry(
        &self,
        contract: &ContractId,
        act: &Act<'_>,
    ) -> Result<Option<RecordRef>, ActError> {
        for _ in 0..ROUNDS {
            let (entry, matched) = self.to_decide(contract, act).await?;
            let matched = matched.as_ref();
            let mut actions = self.removal(contract, act.environment, &entry, matched)?;
            let audit = act.audit("delete", logged(&entry, matched), Value::Null);
            actions.push(self.audit_item(contract, &audit, act.unique)?);
            if self.decided(actions).await? {
                return Ok(matched.and_then(Match::record).cloned());
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Does what was decided. `false`: something was changed meanwhile.
    async fn decided(&self, actions: Vec<Action>) -> Result<bool, StoreError> {
        match self.transact(actions).await {
            Ok(()) => Ok(true),
            Err(StoreError::Conflict) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The entry as it stands after somebody decided.
    async fn acted(
        &self,
        contract: &ContractId,
        act: &Act<'_>,
        lost: Option<EntryRef>,
        freed: Option<RecordRef>,
    ) -> Result<Acted, ActError> {
        let (entry, matched) = self.to_decide(contract, act).await?;
        Ok(Acted {
            entry,
            matched,
            lost,
            freed,
        })
    }
}

fn not_connected() -> ActError {
    Problem::new(
        409,
        "not_connected",
        "No CRM is connected.",
        "Connect the production environment's CRM first.",
    )
    .into()
}

fn record_taken(holder: EntryRef) -> Problem {
    Problem::new(
        409,
        "record_taken",
        format!(
            "A person said that this record is the {} {}.",
            holder.kind, holder.id
        ),
        format!("Unmatch that {} first if it is not.", holder.kind),
    )
    .with_field("id")
}
