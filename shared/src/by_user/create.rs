//! Creation of a lead or contact by a seat holder (LC-2 to LC-5, LC-7).

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uuid::Uuid;

use super::values::{self, FormField, as_text};
use super::{ByUser, Failed, LEASE_SECONDS, PRODUCTION, Person, log, record_of, refused};
use crate::crm::{
    Creation, Crm, CrmError, DuplicatesFound, NewPerson, SoughtAccounts, SoughtPeople,
};
use crate::domain::directory::{Entry, EntryId, EntryKind, Link, Match, RecordRef};
use crate::domain::rows::record_id;
use crate::domain::schema::CrmKind;
use crate::domain::signature::sha256_hex;
use crate::domain::user_writes::{
    MONTHLY_LIMIT, Month, PersonObject, TakenWrite, UserWrite, WriteKind, in_progress,
    limit_reached, write_id,
};
use crate::domain::vocabulary::Role;
use crate::linking::{self, Act, DecideError, Linked, Linking};
use crate::problem::{DuplicateRecord, Duplicates, Problem};
use crate::store::{ConnectionKind, StoreError, UserWriteKey};

/// Longest idempotency key, in characters.
const MAX_KEY: usize = 200;
/// Time for which nobody tries a creation again whose outcome is not known, where the CRM keeps no identity of
/// ours: it may still be at work. In seconds.
pub(super) const QUIET_SECONDS: i64 = 120;
/// Maximum difference of the CRM's clock from ours, in seconds.
const CLOCK_SECONDS: i64 = 60;

/// A request for a new record.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRecord {
    /// The client's own key: a request that is sent again with it is the same creation.
    pub key: String,
    /// Lead or contact.
    pub object: PersonObject,
    /// The filled-in fields, by the CRM's names.
    pub values: BTreeMap<String, Value>,
    /// A contact's account, by the CRM's id.
    pub account: Option<String>,
    /// Creates it though a duplicate rule warns.
    pub create_anyway: bool,
    /// Creates it though the person is linked to a record, and links it to the new one.
    pub although_matched: bool,
}

/// A created record, and the person linked to it.
#[derive(Debug, Clone)]
pub struct Created {
    /// The record.
    pub record: RecordRef,
    /// It was made by an earlier request with the same key.
    pub repeated: bool,
    /// The person's entry.
    pub linked: Linked,
}

impl ByUser<'_> {
    /// Creates a record of a person as the seat holder, and links the two.
    ///
    /// # Errors
    /// Returns a problem with its next step: `not_found`, `create_leads_off`, `create_contacts_off`,
    /// `user_sign_in_needed`, `invalid_key`, `key_reused`, `write_in_progress`, `already_matched`,
    /// `duplicates_found`, `monthly_limit`; for values `required`, `unknown_field`, `not_writable`,
    /// `not_a_choice`, `value_does_not_fit`; for accounts `account_required`, `account_not_found`,
    /// `no_account_for_lead`; and the CRM's refusals. Nothing is created then, except if the CRM's answer was
    /// lost: send the same request again.
    pub async fn create(&self, id: EntryId, new: &NewRecord) -> Result<Created, Problem> {
        check_key(&new.key)?;
        self.check_enabled(new.object, WriteKind::Create)?;
        let (entry, matched) = self.entry(id).await?;
        let crm = self.open().await?;
        let (store, contract) = (&self.remote.store, &self.config.contract.id);
        let write = UserWriteKey {
            contract,
            seat: self.seat,
            kind: WriteKind::Create,
            id: write_id(
                contract,
                WriteKind::Create,
                &[&self.seat.to_string(), &new.key],
            ),
        };
        let now = self.now();
        let lease = now.plus_seconds(LEASE_SECONDS);
        let digest = digest(id, new);
        let taken = store.take_user_write(write, &digest, "", now, lease);
        let taken = match taken.await.map_err(|error| error.problem())? {
            TakenWrite::Mine(taken) => taken,
            TakenWrite::Busy(until) => return Err(in_progress(until, now)),
            TakenWrite::OtherContent => return Err(key_reused()),
            TakenWrite::Done(record, made) => {
                return self.again(entry, matched, record, &made).await;
            }
        };
        let record = self
            .attempt(crm.as_ref(), write, &taken, (&entry, matched.as_ref()), new)
            .await?;
        let after = json!({
            "record": &record, "values": &new.values, "account": &new.account,
            "create_anyway": new.create_anyway,
        });
        let action = format!("crm.{}.create", new.object.as_str());
        let audit = self.audit(&action, id, Value::Null, after);
        // After an error the next request with the key finds the record, and finishes it.
        store
            .finish_user_write(write, &taken, &record, &audit)
            .await
            .map_err(|error| error.problem())?;
        let linked = self.link(&entry, record.clone()).await?;
        Ok(Created {
            record,
            repeated: false,
            linked,
        })
    }

    /// The result of a creation that was carried out before. A person whose link was not stored is linked
    /// now, also in the place of a link that is older than the creation. A later one stays.
    async fn again(
        &self,
        entry: Entry,
        matched: Option<Match>,
        record: RecordRef,
        made: &UserWrite,
    ) -> Result<Created, Problem> {
        let is_done = |link: &Link| link.record == record || link.since >= made.planned_at;
        let linked = match matched {
            Some(matched) if matched.link.as_ref().is_some_and(is_done) => {
                Linked { entry, matched }
            }
            _ => self.link(&entry, record.clone()).await?,
        };
        Ok(Created {
            record,
            repeated: true,
            linked,
        })
    }

    async fn link(&self, entry: &Entry, record: RecordRef) -> Result<Linked, Problem> {
        let linked = linking::link_created(self.remote, self.config, entry, record, self.by);
        Box::pin(linked).await.map_err(DecideError::problem)
    }

    /// Links a person to a record that the seat holder sees in the CRM, which may be in no import yet. The id
    /// may have any form that the CRM takes; returns the record as imports have it.
    ///
    /// # Errors
    /// Returns `not_found`, `record_not_found`, `record_taken`, `user_sign_in_needed`, and the CRM's
    /// refusals.
    pub async fn use_record(
        &self,
        id: EntryId,
        object: PersonObject,
        record: &str,
    ) -> Result<(RecordRef, Linked), Problem> {
        let (entry, _) = self.entry(id).await?;
        let crm = self.open().await?;
        let record = record_id(self.kind(), record.trim());
        let record = Uuid::parse_str(&record).map_or(record, |id| id.to_string());
        let seen = crm.see(record_of(object), &record, &[]).await;
        let seen = seen.map_err(|error| self.told(&error))?;
        if seen.is_none() {
            return Err(record_not_found());
        }
        let record = RecordRef::new(object.object(self.kind()), record);
        let linking = Linking::new(&self.remote.store, &self.config.contract, self.now());
        let act = Act::Match(record.clone());
        let random = self.remote.random.as_ref();
        let decided = linking.decide(EntryKind::Profile, id, act, self.by, random);
        let linked = match Box::pin(decided).await.map_err(DecideError::problem) {
            // It is new in the CRM. A link to it counts as one to a record that was made for the person: the
            // next import has to come before its absence means anything.
            Err(problem) if problem.code == "record_not_found" => {
                self.link(&entry, record.clone()).await?
            }
            decided => decided?,
        };
        Ok((record, linked))
    }

    /// One attempt to create the record. What has no effect is given back.
    async fn attempt(
        &self,
        crm: &dyn Crm,
        write: UserWriteKey<'_>,
        taken: &UserWrite,
        of: (&Entry, Option<&Match>),
        new: &NewRecord,
    ) -> Result<RecordRef, Problem> {
        let month = Month::of(taken.planned_at);
        let made = self.try_once(crm, write, taken, of, new, &month).await;
        let store = &self.remote.store;
        let (problem, free_at) = match made {
            Ok(id) => return Ok(RecordRef::new(new.object.object(self.kind()), id)),
            Err((Failed::NoEffect(problem), _)) => {
                let released = store.release_user_write(write, &month).await;
                released.map_err(|error| error.problem())?;
                (problem, None)
            }
            Err((Failed::Unknown(problem), quiet)) => {
                (problem, Some(self.now().plus_seconds(quiet)))
            }
        };
        if let Err(error) = store.return_user_write(write, taken, free_at).await {
            // It is free when its lease ends.
            error.log();
        }
        Err(problem)
    }

    /// Creates the record and returns its id; with a failure, the number of seconds for which nobody may try
    /// again.
    async fn try_once(
        &self,
        crm: &dyn Crm,
        write: UserWriteKey<'_>,
        taken: &UserWrite,
        (entry, matched): (&Entry, Option<&Match>),
        new: &NewRecord,
        month: &Month,
    ) -> Result<String, (Failed, i64)> {
        // Nothing of this attempt has an effect before the reservation; an earlier one may have had.
        let unchanged = |problem: Problem| {
            if taken.attempts > 1 {
                (Failed::Unknown(problem), 0)
            } else {
                (Failed::NoEffect(problem), 0)
            }
        };
        let described = crm.fields_of(record_of(new.object)).await;
        let described = described.map_err(|error| unchanged(self.told(&error)))?;
        let (kind, region) = (self.kind(), self.region());
        let known = self.known(entry);
        let mut form = values::layout(crm, kind, new.object, &described, &known, region);
        values::add_lookups(&mut form, kind, new.object, &described);
        let checked = values::checked(&form, &new.values, WriteKind::Create, region);
        let has_identity = described.has_identity;
        let identity = has_identity.then_some(write.id);
        let quiet = if has_identity { 0 } else { QUIET_SECONDS };
        if taken.attempts > 1 {
            let values = checked.as_ref().unwrap_or(&new.values);
            let made = self
                .made_before(crm, identity, taken, new, &form, values)
                .await;
            if let Some(id) = made.map_err(|error| unchanged(self.told(&error)))? {
                return Ok(id);
            }
            let (now, over) = (
                self.now(),
                taken.left_at.plus_seconds(LEASE_SECONDS + QUIET_SECONDS),
            );
            if !has_identity && over > now {
                // An attempt died, and the CRM may still be at work on its call.
                let wait = (over.since(now) + 999) / 1000;
                return Err((Failed::Unknown(in_progress(over, now)), wait));
            }
        }
        let no_effect = |problem: Problem| (Failed::NoEffect(problem), quiet);
        let checked = checked.map_err(no_effect)?;
        self.check_account(crm, new).await.map_err(no_effect)?;
        if !new.although_matched && Self::linked(matched).is_some() {
            return Err(no_effect(already_matched()));
        }
        let store = &self.remote.store;
        let reserved = store.reserve_user_write(write, month, MONTHLY_LIMIT).await;
        if !reserved.map_err(|error| (Failed::from(error), quiet))? {
            return Err(no_effect(limit_reached(
                WriteKind::Create,
                month,
                self.now(),
            )));
        }
        let person = NewPerson {
            record: record_of(new.object),
            identity,
            values: &checked,
            account: new.account.as_deref(),
            allow_duplicates: new.create_anyway,
        };
        match crm.create_person(&person).await {
            Ok(Creation::Created(id)) => Ok(id),
            Ok(Creation::Exists) => {
                let made = self.there(crm, new.object, write.id).await;
                let made = made.map_err(|problem| (Failed::Unknown(problem), quiet))?;
                // Deleted between the two calls.
                made.ok_or_else(|| no_effect(StoreError::Conflict.problem()))
            }
            Ok(Creation::Duplicates(found)) => {
                if taken.attempts > 1 {
                    // The duplicate may be what the earlier attempt has made since.
                    let made = self
                        .made_before(crm, identity, taken, new, &form, &checked)
                        .await;
                    let made = made.map_err(|error| (Failed::Unknown(self.told(&error)), quiet))?;
                    if let Some(id) = made {
                        return Ok(id);
                    }
                }
                let found = self.duplicates(crm, &form, &checked, found).await;
                Err(no_effect(found))
            }
            Err(error) => Err((self.failed(&error, taken), quiet)),
        }
    }

    async fn check_account(&self, crm: &dyn Crm, new: &NewRecord) -> Result<(), Problem> {
        let account = new.account.as_deref().filter(|id| !id.trim().is_empty());
        match (new.object, account) {
            (PersonObject::Lead, None) => Ok(()),
            (PersonObject::Lead, Some(_)) => Err(refused(
                422,
                "no_account_for_lead",
                "account",
                "A lead has no account: its company is a field of its own.",
                "Leave the account out, or create a contact.",
            )),
            (PersonObject::Contact, None) => Err(refused(
                422,
                "account_required",
                "account",
                "A contact belongs to an account.",
                "Choose its account.",
            )),
            (PersonObject::Contact, Some(id)) => {
                let ids = [id.to_owned()];
                let found = crm.accounts(SoughtAccounts::Ids(&ids)).await;
                if found.map_err(|error| self.told(&error))?.is_empty() {
                    return Err(refused(
                        422,
                        "account_not_found",
                        "account",
                        "The CRM has no such account, or does not show it to you.",
                        "Choose another account.",
                    ));
                }
                Ok(())
            }
        }
    }

    /// The id of the record with our identity.
    async fn of_identity(
        &self,
        crm: &dyn Crm,
        object: PersonObject,
        identity: Uuid,
    ) -> Result<Option<String>, CrmError> {
        let record = record_of(object);
        if self.kind() == CrmKind::Salesforce {
            return crm.id_of(record, identity).await;
        }
        let id = identity.to_string();
        Ok(crm.see(record, &id, &[]).await?.map(|_| id))
    }

    /// The id of the record that has our identity for sure. Its creator may not see it: then the contract's
    /// connection is asked.
    async fn there(
        &self,
        crm: &dyn Crm,
        object: PersonObject,
        identity: Uuid,
    ) -> Result<Option<String>, Problem> {
        if self.kind() == CrmKind::Dynamics365 {
            return Ok(Some(identity.to_string()));
        }
        let record = record_of(object);
        let told = |error: CrmError| self.told(&error);
        if let Some(id) = crm.id_of(record, identity).await.map_err(told)? {
            return Ok(Some(id));
        }
        let all = self.writer().contracts().await;
        let all = all.map_err(DecideError::problem)?;
        all.id_of(record, identity).await.map_err(told)
    }

    /// The record that an earlier attempt made: the one with our identity, or, in an organisation without our
    /// fields, one of the same name, company or account, and e-mail address that is not older than the first
    /// attempt.
    async fn made_before(
        &self,
        crm: &dyn Crm,
        identity: Option<Uuid>,
        taken: &UserWrite,
        new: &NewRecord,
        form: &[FormField],
        values: &BTreeMap<String, Value>,
    ) -> Result<Option<String>, CrmError> {
        let object = new.object;
        if let Some(identity) = identity {
            return self.of_identity(crm, object, identity).await;
        }
        let of = |role: Role| text_of(form, values, role);
        let (first, last) = (of(Role::FirstName), of(Role::LastName));
        let (email, company) = (of(Role::Email), of(Role::Company));
        let found = crm
            .people(&SoughtPeople {
                name: Some((first.as_str(), last.as_str())),
                created_since: Some(taken.planned_at.plus_seconds(-CLOCK_SECONDS)),
                ..SoughtPeople::default()
            })
            .await?;
        // The CRM tells ids in their long form.
        let account = new.account.as_deref();
        let account = account.map(|id| record_id(self.kind(), id.trim()));
        let same = found.into_iter().find(|found| {
            found.record == record_of(object)
                && found.email.eq_ignore_ascii_case(&email)
                && match object {
                    PersonObject::Lead => found.company == company,
                    PersonObject::Contact => found.account == account,
                }
        });
        Ok(same.map(|found| found.id))
    }

    /// The problem of a duplicate rule, with the records that the user may take instead.
    async fn duplicates(
        &self,
        crm: &dyn Crm,
        form: &[FormField],
        values: &BTreeMap<String, Value>,
        found: DuplicatesFound,
    ) -> Problem {
        let of = |role: Role| text_of(form, values, role);
        let (first, last, email) = (of(Role::FirstName), of(Role::LastName), of(Role::Email));
        let sought = if found.records.is_empty() {
            SoughtPeople {
                name: Some((first.as_str(), last.as_str())),
                email: Some(email.as_str()).filter(|email| !email.is_empty()),
                ..SoughtPeople::default()
            }
        } else {
            SoughtPeople {
                ids: &found.records,
                ..SoughtPeople::default()
            }
        };
        let people = match crm.people(&sought).await {
            Ok(people) => self.with_accounts(crm, people).await,
            Err(error) => {
                log(&error, "duplicates");
                Vec::new()
            }
        };
        let (store, contract) = (&self.remote.store, &self.config.contract.id);
        let connection = store.connection(contract, ConnectionKind::Crm(PRODUCTION));
        let organization = connection.await.ok().flatten();
        let organization = organization.map(|connection| connection.base_url);
        let kind = self.kind();
        let record = |person: Person| {
            let RecordRef { object, id } = person.record;
            let url = organization.as_ref();
            let is_contact = PersonObject::of(kind, &object) == Some(PersonObject::Contact);
            DuplicateRecord {
                label: if is_contact { "Contact" } else { "Lead" }.to_owned(),
                url: url.map(|base| kind.record_url(base, &object, &id).into()),
                object,
                id,
                name: person.name,
                title: person.title,
                company: person.company,
                email: person.email,
            }
        };
        let next = if found.allowed {
            "Use one of these records, or create it anyway."
        } else {
            "Use one of these records."
        };
        Problem::new(
            409,
            "duplicates_found",
            format!(
                "A duplicate rule in {} found this person there already.",
                kind.label()
            ),
            next,
        )
        .with_duplicates(Duplicates {
            allowed: found.allowed,
            rule: found.rule,
            records: people.into_iter().map(record).collect(),
        })
    }
}

/// The text that goes into the field of a purpose.
fn text_of(form: &[FormField], values: &BTreeMap<String, Value>, role: Role) -> String {
    let field = form.iter().find(|field| field.role == Some(role));
    let value = field.and_then(|field| values.get(&field.field.name));
    let text = value.map(as_text).unwrap_or_default();
    text.trim().to_owned()
}

/// Hash of what a request asks for. The user's answers to a dialogue are no part of it.
fn digest(id: EntryId, new: &NewRecord) -> String {
    let content = json!([id, new.object, new.values, new.account]);
    sha256_hex(&[content.to_string().as_bytes()])
}

pub(super) fn check_key(key: &str) -> Result<(), Problem> {
    if (1..=MAX_KEY).contains(&key.chars().count()) && !key.chars().any(char::is_control) {
        return Ok(());
    }
    Err(refused(
        422,
        "invalid_key",
        "idempotency_key",
        format!("A key has 1 to {MAX_KEY} characters that can be printed."),
        "Send a key of your own for each record, such as a UUID.",
    ))
}

pub(super) fn key_reused() -> Problem {
    refused(
        409,
        "key_reused",
        "idempotency_key",
        "Another record was asked for with this key before.",
        "Send each record with a key of its own, and the same record with the same key.",
    )
}

fn already_matched() -> Problem {
    Problem::new(
        409,
        "already_matched",
        "This person is linked to a record in the CRM already.",
        "Update that record, or say that a new one is wanted all the same.",
    )
}

/// The problem of a record that the CRM does not have, or does not show.
pub(super) fn record_not_found() -> Problem {
    Problem::new(
        404,
        "record_not_found",
        "The CRM has no such record, or does not show it to you.",
        "Look at the candidates again, or create a new record.",
    )
    .with_field("id")
}
