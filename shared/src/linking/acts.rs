//! Decisions of users about entries (MA-4). A decision holds for everybody in the contract and overrides
//! computed links.

use super::{Linked, Linking, PRODUCTION};
use crate::domain::directory::{EntryId, EntryKind, How, Match, RecordRef};
use crate::domain::linked_record::linked_objects;
use crate::problem::Problem;
use crate::random::Random;
use crate::store::{self, ActError, Acted, Chosen, StoreError};

/// The number of tries of an act that conflicts with other changes.
const TRIES: usize = 5;

/// A user's decision about an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Links the entry to this record, which may be the one it is linked to already.
    Match(RecordRef),
    /// Refuses the record that the entry is linked to.
    Unmatch,
    /// Links the entry by score again.
    Automatic,
}

/// An act in the form in which the table executes it.
#[derive(Clone, Copy)]
pub(super) enum Deed<'d> {
    /// Links the entry to this record, with the values that the mirror has now.
    Match(&'d RecordRef),
    /// Links the entry to this record, which may be missing from the mirror.
    Choose(&'d Chosen),
    Unmatch,
    Automatic,
}

/// The reason for refusing a decision, or for failing to store it.
#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    /// The table did not answer, or the same items kept changing during all tries.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The decision is not possible; the problem has the next step.
    #[error("refused")]
    Refused(Box<Problem>),
}

impl DecideError {
    pub(super) fn refused(problem: Problem) -> Self {
        Self::Refused(Box::new(problem))
    }

    /// The problem to return to the caller of the API.
    #[must_use]
    pub fn problem(self) -> Problem {
        match self {
            Self::Store(error) => error.problem(),
            Self::Refused(problem) => *problem,
        }
    }
}

impl From<ActError> for DecideError {
    fn from(error: ActError) -> Self {
        match error {
            ActError::Store(error) => Self::Store(error),
            ActError::NotFound(kind) => Self::refused(Problem::not_found(kind.as_str())),
            ActError::Refused(problem) => Self::Refused(problem),
        }
    }
}

/// The problem of a record that is not in the import, so that it cannot be matched.
fn record_not_found(record: &RecordRef) -> Problem {
    Problem::new(
        404,
        "record_not_found",
        format!("The import has no {} of this id.", record.object),
        "Take one of the candidates; a record that is new in the CRM can be matched after the next import.",
    )
    .with_field("id")
}

impl Linking<'_> {
    /// Stores a user's decision with its audit entry, and then links anew the entry that lost a record by it.
    ///
    /// # Errors
    /// Returns [`DecideError::Refused`] if there is no such entry (`not_found`) or record
    /// (`record_not_found`), if entries of this kind cannot be records of that object
    /// (`record_of_wrong_kind`), or if a user chose the record for another entry (`record_taken`).
    pub async fn decide(
        &self,
        kind: EntryKind,
        id: EntryId,
        act: Act,
        by: &str,
        random: &dyn Random,
    ) -> Result<Linked, DecideError> {
        let deed = match &act {
            Act::Match(record) => {
                self.check_kind(kind, record)?;
                Deed::Match(record)
            }
            Act::Unmatch => Deed::Unmatch,
            Act::Automatic => Deed::Automatic,
        };
        let acted = self.act(kind, id, by, random, deed).await?;
        Box::pin(self.after(acted, act == Act::Automatic)).await
    }

    /// Links anew the entry that lost a record, and the entries that waited for the freed one. The decision
    /// stands even if this fails; the next link pass then does it.
    pub(super) async fn after(&self, acted: Acted, again: bool) -> Result<Linked, DecideError> {
        let (kind, id) = (acted.entry.kind, acted.entry.id);
        let lost = acted.lost.map(|lost| lost.id);
        if let Err(error) = self.link_others(kind, lost, acted.freed).await {
            self.leave_to_pass(&error).await?;
        }
        if again {
            match self.link_entry(kind, id).await {
                Ok(Some(linked)) => return Ok(linked),
                Ok(None) => {}
                Err(error) => self.leave_to_pass(&error).await?,
            }
        }
        Ok(Linked {
            entry: acted.entry,
            matched: acted.matched.unwrap_or_else(|| Match::nothing(self.now)),
        })
    }

    /// Links the entries that wait for a record whose entry was removed. If that fails, it asks for a link
    /// pass, which does it.
    ///
    /// # Errors
    /// Returns an error if the link pass cannot be requested because the table does not answer.
    pub async fn hand_over(&self, kind: EntryKind, record: RecordRef) -> Result<(), StoreError> {
        if let Err(error) = self.link_others(kind, None, Some(record)).await {
            self.leave_to_pass(&error).await?;
        }
        Ok(())
    }

    async fn leave_to_pass(&self, error: &StoreError) -> Result<(), StoreError> {
        tracing::warn!(contract = %self.contract, error = error as &dyn std::error::Error,
            "an entry was not linked: the next pass links it");
        self.ask_for_pass("linking").await?;
        Ok(())
    }

    pub(super) async fn act(
        &self,
        kind: EntryKind,
        id: EntryId,
        by: &str,
        random: &dyn Random,
        deed: Deed<'_>,
    ) -> Result<Acted, DecideError> {
        let organization = self.organization().await?;
        for _ in 0..TRIES {
            let act = store::Act {
                environment: PRODUCTION,
                organization: organization.as_deref(),
                kind,
                id,
                by,
                now: self.now,
                unique: random.uuid(),
            };
            let (store, contract) = (self.store, self.contract);
            let acted = match deed {
                Deed::Match(record) => {
                    let chosen = self.chosen(kind, id, record).await?;
                    store.match_by_person(contract, &act, &chosen).await
                }
                Deed::Choose(chosen) => store.match_by_person(contract, &act, chosen).await,
                Deed::Unmatch => store.unmatch_by_person(contract, &act).await,
                Deed::Automatic => store.match_automatically(contract, &act).await,
            };
            match acted {
                Err(ActError::Store(StoreError::Conflict)) => {}
                other => return Ok(other?),
            }
        }
        Err(StoreError::Conflict.into())
    }

    fn check_kind(&self, kind: EntryKind, record: &RecordRef) -> Result<(), DecideError> {
        let objects = linked_objects(self.crm, kind);
        if objects.contains(&record.object.as_str()) {
            return Ok(());
        }
        Err(DecideError::refused(
            Problem::new(
                422,
                "record_of_wrong_kind",
                format!("A {kind} is no record of that object."),
                format!("Give one of these as the object: {}.", objects.join(", ")),
            )
            .with_field("object"),
        ))
    }

    /// The data of a record that a user chooses for an entry: score, threshold and owner.
    async fn chosen(
        &self,
        kind: EntryKind,
        id: EntryId,
        record: &RecordRef,
    ) -> Result<Chosen, DecideError> {
        let entry = self.store.entry(self.contract, kind, id).await?;
        let Some(entry) = entry else {
            return Err(DecideError::refused(Problem::not_found(kind.as_str())));
        };
        let matched = self
            .store
            .entry_match(self.contract, PRODUCTION, kind, id)
            .await?;
        let link = matched.and_then(|matched| matched.link);
        let created = link.filter(|link| link.how == How::Created && link.record == *record);
        let Some(found) = self.record_of(record).await? else {
            // A record that was created for the entry can be confirmed before it is imported.
            let Some(link) = created.filter(|link| !link.record_gone) else {
                return Err(DecideError::refused(record_not_found(record)));
            };
            return Ok(Chosen {
                record: link.record,
                how: How::Created,
                score: link.score,
                threshold: link.threshold,
                owner: link.owner,
                values: None,
            });
        };
        let explanation = self.explain(&entry, &found).await?;
        Ok(Chosen {
            record: found.record,
            how: if created.is_some() {
                How::Created
            } else {
                How::Person
            },
            score: explanation.score,
            threshold: explanation.threshold,
            owner: found.owner,
            values: Some((found.shown, found.modified)),
        })
    }
}
