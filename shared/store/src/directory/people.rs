//! User decisions about an entry (MA-4): each is one transaction over entry, match, links and audit log,
//! recomputed after a concurrent change.

use serde_json::{Value, json};
use uuid::Uuid;

use super::super::transaction::Action;
use super::super::{Store, StoreError};
use super::links::{EntryAs, Holder, LinkWrite};
use super::{EntryWithMatch, ROUNDS, entry_item};
use domain::clock::Millis;
use domain::contract::AuditEntry;
use domain::directory::{
    Decision, Entry, EntryId, EntryKind, EntryRef, How, Link, Match, RecordRef, findings,
};
use domain::environment::Environment;
use domain::ids::ContractId;
use domain::problem::Problem;
use matching::{Bits, Record};

/// The entry, the user and the circumstances of a decision.
#[derive(Debug, Clone, Copy)]
pub struct Act<'a> {
    /// The environment whose records entries are linked to.
    pub environment: Environment,
    /// The organisation that it is connected to, if it is.
    pub organization: Option<&'a str>,
    /// The kind of the entry.
    pub kind: EntryKind,
    /// Its id.
    pub id: EntryId,
    /// The user, as the audit log names them.
    pub by: &'a str,
    /// Time of the decision.
    pub now: Millis,
    /// A unique part of the audit entry's key.
    pub unique: Uuid,
}

/// The record that a user chose for an entry. The caller has checked that it exists.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen {
    /// The record.
    pub record: RecordRef,
    /// [`How::Person`], or [`How::Created`] if it was made for the entry.
    pub how: How,
    /// The model's score of the two.
    pub score: Bits,
    /// The score from which on the model links.
    pub threshold: Bits,
    /// The CRM's id of the record's owner.
    pub owner: Option<String>,
    /// Its values and the time of its last change; `None` where it is not in the mirror.
    pub values: Option<(Record, Option<Millis>)>,
}

/// An entry after a decision.
#[derive(Debug, Clone, PartialEq)]
pub struct Acted {
    /// The entry.
    pub entry: Entry,
    /// Its match; `None` if none was computed.
    pub matched: Option<Match>,
    /// The entry that the record was taken from, which is no longer linked.
    pub lost: Option<EntryRef>,
    /// The record that it is no longer linked to.
    pub freed: Option<RecordRef>,
}

/// The reason why no decision was stored.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// There is no such entry.
    #[error("there is no such entry")]
    NotFound(EntryKind),
    /// The rules forbid it.
    #[error(transparent)]
    Refused(Box<Problem>),
    /// The table did not carry it out.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ActError {
    /// The problem for the caller of an API.
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

/// An entry as the audit log shows it: ids, and no personal data.
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

    pub(super) fn audit(&self, action: &str, before: Value, after: Value) -> AuditEntry {
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
    /// The entry of a decision, with its match.
    pub(super) async fn to_decide(
        &self,
        contract: &ContractId,
        act: &Act<'_>,
    ) -> Result<EntryWithMatch, ActError> {
        let found = self.entry_with_match(contract, act.environment, act.kind, act.id);
        found.await?.ok_or(ActError::NotFound(act.kind))
    }

    /// Links an entry to the record a user chose, overriding scores. The record is taken from an entry that
    /// has it by score; the caller links that one again.
    ///
    /// # Errors
    /// Returns 409 `record_taken` if a user linked another entry to the record, and 409 `not_connected`
    /// without an organisation. Returns [`StoreError::Conflict`] also if the connection no longer stands.
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
            let link = Link {
                record: chosen.record.clone(),
                how: chosen.how,
                score: chosen.score,
                threshold: chosen.threshold,
                since,
                owner: chosen.owner.clone(),
                record_gone: false,
            };
            after.findings = chosen
                .values
                .as_ref()
                .map(|(theirs, modified)| {
                    let theirs = (theirs, *modified);
                    findings(&decided, &link, theirs, before.as_ref(), act.now)
                })
                .unwrap_or_default();
            after.link = Some(link);
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

    /// The other entry linked to a record, if the record may be taken from it.
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
        // The two may have been read before or after a change of the link: then the transaction fails.
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

    /// Unlinks an entry and refuses its record. It stays without a link until a user decides otherwise.
    ///
    /// # Errors
    /// Returns 409 `too_many_refusals` if the entry has too many refused records.
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

    /// Returns an entry to linking by score: a user's earlier link or unlinking no longer holds, but refused
    /// records stay refused. An entry without a decision stays as it is. The caller links it.
    ///
    /// # Errors
    /// Returns [`ActError`] if the entry does not exist, or the change could not be stored.
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

    /// Writes an entry after a decision, without its link. Returns `false` if something was changed
    /// meanwhile.
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
            // An entry without a match leaves nothing for a clean-up to return to.
            let item = entry_item(contract, &decided)?;
            vec![self.versioned_put(item, decided.version)?]
        };
        actions.push(self.audit_item(contract, &audit, act.unique)?);
        self.decided(actions).await
    }

    /// Removes an entry with its match and its link. Returns the record that it was linked to: the caller
    /// links the entries that wait for it.
    ///
    /// # Errors
    /// Returns [`ActError`] if the entry does not exist, or the change could not be stored.
    pub async fn delete_entry(
        &self,
        contract: &ContractId,
        act: &Act<'_>,
    ) -> Result<Option<RecordRef>, ActError> {
        for _ in 0..ROUNDS {
            let (entry, matched) = self.to_decide(contract, act).await?;
            // Before the entry, by which they are found.
            self.forget_reaches(contract, entry.id).await?;
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

    /// Carries out the writes of a decision. Returns `false` if something was changed meanwhile.
    async fn decided(&self, actions: Vec<Action>) -> Result<bool, StoreError> {
        match self.transact(actions).await {
            Ok(()) => Ok(true),
            Err(StoreError::Conflict) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The entry as it is stored after a decision.
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

pub(super) fn not_connected() -> ActError {
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
