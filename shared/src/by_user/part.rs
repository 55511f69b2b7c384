//! A contact's part in an opportunity, given by a seat holder (LC-3): a contact role of Salesforce, a
//! stakeholder of Dynamics 365.

use serde_json::{Value, json};

use super::create::{QUIET_SECONDS, check_key, key_reused};
use super::{ByUser, LEASE_SECONDS, PRODUCTION, refused};
use crate::crm::{Crm, CrmError, NewPart, OfferedPart, Reason, Record};
use crate::domain::directory::{EntryId, RecordRef};
use crate::domain::opportunity::Opportunity;
use crate::domain::rows::record_id;
use crate::domain::schema::CrmKind;
use crate::domain::signature::sha256_hex;
use crate::domain::user_writes::{
    PersonObject, TakenWrite, UserWrite, WriteKind, in_progress, write_id,
};
use crate::domain::vocabulary::{Role, vocabulary};
use crate::opportunities::Opportunities;
use crate::problem::Problem;
use crate::store::UserWriteKey;

/// The opportunities and the parts that a contact can be given.
#[derive(Debug, Clone, PartialEq)]
pub struct PartChoices {
    /// The contact.
    pub contact: RecordRef,
    /// The contact's account, if it has one.
    pub account: Option<RecordRef>,
    /// The account's open opportunities, in no particular order.
    pub opportunities: Vec<Opportunity>,
    /// The parts.
    pub parts: Vec<OfferedPart>,
}

/// A request for a contact's part in an opportunity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartRequest {
    /// The client's own key: a request that is sent again with it is the same.
    pub key: String,
    /// The opportunity, by the CRM's id.
    pub opportunity: String,
    /// The part, by its [`OfferedPart::value`].
    pub part: Option<String>,
}

/// A contact's part in an opportunity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenPart {
    /// The contact.
    pub contact: RecordRef,
    /// The opportunity.
    pub opportunity: RecordRef,
    /// The contact had a part in it before this request.
    pub repeated: bool,
}

impl ByUser<'_> {
    /// The open opportunities of the account of the contact that a person is linked to, as of the last import,
    /// and the parts that a contact can have, as the seat holder sees them.
    ///
    /// # Errors
    /// Returns `not_found`, `not_a_contact`, `user_sign_in_needed`, and the CRM's refusals.
    pub async fn part_choices(&self, id: EntryId) -> Result<PartChoices, Problem> {
        let contact = self.contact_of(id).await?;
        let crm = self.open().await?;
        let known = vocabulary(self.kind());
        let field = known.contact.named(Role::Account);
        let seen = crm.see(Record::Contact, &contact.id, &[field]).await;
        let seen = seen.map_err(|error| self.told(&error))?;
        let seen = seen.ok_or_else(super::create::record_not_found)?;
        let account = seen.values.get(field).and_then(Value::as_str);
        let account = account.map(|id| record_id(self.kind(), id));
        let account = account.map(|id| RecordRef::new(known.account.name, id));
        let opportunities = match &account {
            None => Vec::new(),
            Some(account) => {
                let of = Opportunities {
                    contract: &self.config.contract.id,
                    environment: PRODUCTION,
                    crm: self.kind(),
                };
                let open = of.open_of(&self.remote.store, account).await;
                open.map_err(|error| error.problem())?
            }
        };
        let parts = crm.parts().await.map_err(|error| self.told(&error))?;
        Ok(PartChoices {
            contact,
            account,
            opportunities,
            parts,
        })
    }

    /// Gives the contact that a person is linked to a part in an opportunity, as the seat holder. A contact who
    /// has one in it keeps that.
    ///
    /// # Errors
    /// Returns a problem with its next step: `not_found`, `create_contacts_off`, `user_sign_in_needed`,
    /// `invalid_key`, `key_reused`, `write_in_progress`, `not_a_contact`, `opportunity_not_found`,
    /// `not_a_choice`, and the CRM's refusals. Nothing is created then, except if the CRM's answer was lost:
    /// send the same request again.
    pub async fn give_part(&self, id: EntryId, new: &PartRequest) -> Result<GivenPart, Problem> {
        check_key(&new.key)?;
        self.check_enabled(PersonObject::Contact, WriteKind::Create)?;
        let person = self.contact_of(id).await?;
        let opportunity = self.opportunity(&new.opportunity)?;
        let crm = self.open().await?;
        let (store, contract) = (&self.remote.store, &self.config.contract.id);
        let seat = self.seat.to_string();
        let write = UserWriteKey {
            contract,
            seat: self.seat,
            kind: WriteKind::Create,
            id: write_id(contract, WriteKind::Create, &[&seat, "part", &new.key]),
        };
        let content = json!([&person.id, &opportunity.id, &new.part]);
        let digest = sha256_hex(&[content.to_string().as_bytes()]);
        let now = self.now();
        let lease = now.plus_seconds(LEASE_SECONDS);
        let taken = store.take_user_write(write, &digest, "", now, lease);
        let taken = match taken.await.map_err(|error| error.problem())? {
            TakenWrite::Mine(taken) => taken,
            TakenWrite::Busy(until) => return Err(in_progress(until, now)),
            TakenWrite::OtherContent => return Err(key_reused()),
            TakenWrite::Done(..) => {
                return Ok(GivenPart {
                    contact: person,
                    opportunity,
                    repeated: true,
                });
            }
        };
        let given = self
            .give_once(crm.as_ref(), write, &taken, (&person, &opportunity), new)
            .await;
        let (part, repeated) = match given {
            Ok(given) => given,
            Err((problem, free_at)) => {
                if let Err(error) = store.return_user_write(write, &taken, free_at).await {
                    // It is free when its lease ends.
                    error.log();
                }
                return Err(problem);
            }
        };
        let after = json!({
            "contact": &person, "opportunity": &opportunity, "role": &new.part, "existed": repeated,
        });
        let audit = self.audit("crm.contact_role.create", id, Value::Null, after);
        let part = RecordRef::new(vocabulary(self.kind()).contact_role.name, part);
        // After an error the next request with the key finds the part, and finishes it.
        store
            .finish_user_write(write, &taken, &part, &audit)
            .await
            .map_err(|error| error.problem())?;
        Ok(GivenPart {
            contact: person,
            opportunity,
            repeated,
        })
    }

    /// One attempt: the part's id, and whether it was there before. With a failure, the time from which it may
    /// be tried again; `None` if nothing was written.
    async fn give_once(
        &self,
        crm: &dyn Crm,
        write: UserWriteKey<'_>,
        taken: &UserWrite,
        (contact, opportunity): (&RecordRef, &RecordRef),
        new: &PartRequest,
    ) -> Result<(String, bool), (Problem, Option<crate::clock::Millis>)> {
        let now = self.now();
        let before = (taken.attempts > 1).then_some(now);
        let unchanged = |error: CrmError| (self.told(&error), before);
        let there = crm.part_of(&contact.id, &opportunity.id).await;
        if let Some(id) = there.map_err(unchanged)? {
            // Of a repeated request it is the one that an earlier attempt made.
            return Ok((id, taken.attempts == 1));
        }
        // Dynamics 365 refuses a second one by its id. Salesforce may still be at work on a lost call.
        let quiet = match self.kind() {
            CrmKind::Salesforce => QUIET_SECONDS,
            CrmKind::Dynamics365 => 0,
        };
        let over = taken.left_at.plus_seconds(LEASE_SECONDS + quiet);
        if quiet > 0 && taken.attempts > 1 && over > now {
            return Err((in_progress(over, now), Some(over)));
        }
        if let Some(part) = &new.part {
            let offered = crm.parts().await.map_err(unchanged)?;
            if !offered.iter().any(|one| one.value == *part) {
                return Err((not_offered(), None));
            }
        }
        let part = NewPart {
            identity: write.id,
            opportunity: &opportunity.id,
            contact: &contact.id,
            part: new.part.as_deref(),
        };
        match crm.create_part(&part).await {
            Ok(id) => Ok((id, false)),
            Err(CrmError::Missing) => Err((opportunity_not_found(), None)),
            Err(CrmError::Refused(refusal)) if refusal.reason == Reason::Reference => {
                Err((opportunity_not_found(), None))
            }
            Err(error) if super::may_have_worked(&error, taken.attempts) => {
                Err((self.told(&error), Some(now.plus_seconds(quiet))))
            }
            Err(error) => Err((self.told(&error), None)),
        }
    }

    /// The contact that a person is linked to.
    async fn contact_of(&self, id: EntryId) -> Result<RecordRef, Problem> {
        let (_, matched) = self.entry(id).await?;
        let contact = PersonObject::Contact.object(self.kind());
        let linked = Self::linked(matched.as_ref());
        let linked = linked.filter(|record| record.object == contact);
        linked.cloned().ok_or_else(not_a_contact)
    }

    /// The opportunity of an id that a client gave.
    fn opportunity(&self, id: &str) -> Result<RecordRef, Problem> {
        let id = record_id(self.kind(), id.trim());
        let is_id = match self.kind() {
            CrmKind::Salesforce => {
                id.len() == 18 && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
            }
            CrmKind::Dynamics365 => uuid::Uuid::parse_str(&id).is_ok(),
        };
        if !is_id {
            return Err(opportunity_not_found());
        }
        let object = vocabulary(self.kind()).opportunity.name;
        Ok(RecordRef::new(object, id))
    }
}

fn not_a_contact() -> Problem {
    Problem::new(
        409,
        "not_a_contact",
        "This person is matched with no contact of the CRM.",
        "Match the person with a contact, or create one.",
    )
}

fn opportunity_not_found() -> Problem {
    refused(
        422,
        "opportunity_not_found",
        "opportunity",
        "The CRM has no such opportunity or contact, or does not show it to you.",
        "Choose another opportunity.",
    )
}

fn not_offered() -> Problem {
    refused(
        422,
        "not_a_choice",
        "role",
        "The CRM has no such role.",
        "Choose one of the roles that are offered, or none.",
    )
}
