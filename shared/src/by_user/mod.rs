//! Leads and contacts that seat holders create in the CRM and update there as themselves (LC-1 to LC-7): with
//! their own sign-in, their own rights, and within the limits of the month.
//!
//! A write is stored before the CRM is called, under an id that follows from the request. So a request that is
//! sent again after a lost answer meets its first run: it finds the record that was made, counts once, and has
//! one entry in the audit log.

mod create;
mod form;
mod part;
mod update;
mod values;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::clock::Millis;
use crate::crm::{Crm, CrmError, FoundAccount, FoundPerson, FoundRecord, Record, SoughtAccounts};
use crate::domain::contract::{AuditEntry, ContractConfig};
use crate::domain::crm_settings::SyncSettings;
use crate::domain::directory::{Entry, EntryId, EntryKind, Match, RecordRef};
use crate::domain::environment::Environment;
use crate::domain::ids::SeatId;
use crate::domain::schema::CrmKind;
use crate::domain::user_writes::{MONTHLY_LIMIT, Month, PersonObject, Used, UserWrite, WriteKind};
use crate::linking::{DecideError, Writer};
use crate::problem::Problem;
use crate::session::SessionError;
use crate::store::{ConnectionKind, StoreError};
use crate::wiring::Remote;

pub use create::{Created, NewRecord};
pub use form::{AccountChoice, Form, Person};
pub use part::{GivenPart, PartChoices, PartRequest};
pub use update::{ChangedField, ComparedField, Comparison, Updated};
pub use values::{FormField, ValueOrigin};

const PRODUCTION: Environment = Environment::Production;
/// Time in which one request works on a write, in seconds; longer than the function's time-out.
const LEASE_SECONDS: i64 = 60;
/// Fewest characters of the name of an account, or of another record, that are searched for.
const MIN_PREFIX: usize = 2;
/// Most characters of such a name that are searched for.
const MAX_PREFIX: usize = 100;

/// A seat holder who writes to the CRM.
#[derive(Clone, Copy)]
pub struct ByUser<'a> {
    /// Table, sessions, time.
    pub remote: &'a Remote,
    /// The contract's configuration.
    pub config: &'a ContractConfig,
    /// The seat holder.
    pub seat: SeatId,
    /// The actor of audit entries.
    pub by: &'a str,
}

/// The writes that a seat holder has left in a month (LC-5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The month.
    pub month: Month,
    /// Records that can still be created.
    pub creates_left: u32,
    /// Records that can still be updated.
    pub updates_left: u32,
}

impl Limits {
    fn of(month: Month, used: Used) -> Self {
        Self {
            month,
            creates_left: MONTHLY_LIMIT.saturating_sub(used.creates),
            updates_left: MONTHLY_LIMIT.saturating_sub(used.updates),
        }
    }
}

/// The reason why an attempt failed.
enum Failed {
    /// Nothing was written.
    NoEffect(Problem),
    /// The CRM may have written it.
    Unknown(Problem),
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::NoEffect(error.problem())
    }
}

/// True if a write may have taken effect in spite of the error of an attempt: of the first one, or of a later
/// one, while an earlier one may still be at work.
fn may_have_worked(error: &CrmError, attempts: u32) -> bool {
    match error {
        // A refusal that passes, such as that of a record which is locked, is one all the same.
        CrmError::Unavailable(status) => {
            attempts > 1 || !status.is_client_error() || status.as_u16() == 408
        }
        CrmError::Session(SessionError::Unknown(_)) => true,
        _ => false,
    }
}

/// The kind of record in the CRM's port.
const fn record_of(object: PersonObject) -> Record {
    match object {
        PersonObject::Lead => Record::Lead,
        PersonObject::Contact => Record::Contact,
    }
}

fn refused(status: u16, code: &str, field: &str, detail: impl Into<String>, next: &str) -> Problem {
    Problem::new(status, code, detail, next).with_field(field)
}

impl ByUser<'_> {
    fn now(&self) -> Millis {
        self.remote.clock.now()
    }

    const fn kind(&self) -> CrmKind {
        self.config.contract.crm
    }

    fn region(&self) -> Option<&str> {
        self.config.contract.settings.default_region.as_deref()
    }

    fn settings(&self) -> SyncSettings {
        self.config
            .crm_settings(PRODUCTION)
            .sync
            .unwrap_or_default()
    }

    fn writer(&self) -> Writer<'_> {
        Writer {
            remote: self.remote,
            config: self.config,
            connection: ConnectionKind::User(self.seat, PRODUCTION),
        }
    }

    /// Opens the CRM with the seat holder's own sign-in.
    async fn open(&self) -> Result<Box<dyn Crm>, Problem> {
        self.writer().own().await.map_err(DecideError::problem)
    }

    /// The CRM's error in the words for the seat holder.
    fn told(&self, error: &CrmError) -> Problem {
        self.writer().told(error).problem()
    }

    /// The failure of an attempt at a write.
    fn failed(&self, error: &CrmError, taken: &UserWrite) -> Failed {
        let problem = self.told(error);
        if may_have_worked(error, taken.attempts) {
            Failed::Unknown(problem)
        } else {
            Failed::NoEffect(problem)
        }
    }

    /// True if the administrator has switched on such writes (LC-1).
    fn is_enabled(&self, object: PersonObject, kind: WriteKind) -> bool {
        let settings = self.settings();
        match (object, kind) {
            (PersonObject::Lead, WriteKind::Create) => settings.create_leads,
            (PersonObject::Lead, WriteKind::Update) => settings.update_leads,
            (PersonObject::Contact, WriteKind::Create) => settings.create_contacts,
            (PersonObject::Contact, WriteKind::Update) => settings.update_contacts,
        }
    }

    fn check_enabled(&self, object: PersonObject, kind: WriteKind) -> Result<(), Problem> {
        if self.is_enabled(object, kind) {
            return Ok(());
        }
        let (done, doing) = match kind {
            WriteKind::Create => ("create", "Creating"),
            WriteKind::Update => ("update", "Updating"),
        };
        let object = object.as_str();
        Err(Problem::new(
            409,
            &format!("{done}_{object}s_off"),
            format!("{doing} {object}s in the CRM is switched off."),
            "Have an administrator switch it on in the sync settings.",
        ))
    }

    async fn entry(&self, id: EntryId) -> Result<(Entry, Option<Match>), Problem> {
        let (store, contract) = (&self.remote.store, &self.config.contract.id);
        let found = store.entry_with_match(contract, PRODUCTION, EntryKind::Profile, id);
        let found = found.await.map_err(|error| error.problem())?;
        found.ok_or_else(|| Problem::not_found(EntryKind::Profile.as_str()))
    }

    /// The record that an entry is linked to, unless the CRM has deleted it.
    fn linked(matched: Option<&Match>) -> Option<&RecordRef> {
        let link = matched?.link.as_ref()?;
        (!link.record_gone).then_some(&link.record)
    }

    /// The writes that the seat holder has left in this month.
    ///
    /// # Errors
    /// Returns a problem if the table does not answer.
    pub async fn limits(&self) -> Result<Limits, Problem> {
        let month = Month::of(self.now());
        let (store, contract) = (&self.remote.store, &self.config.contract.id);
        let used = store.user_writes_of(contract, self.seat, &month).await;
        Ok(Limits::of(month, used.map_err(|error| error.problem())?))
    }

    /// Accounts whose name begins with a text, as the seat holder sees them in the CRM.
    ///
    /// # Errors
    /// Returns `invalid_filter` for a text that is too short or too long, `user_sign_in_needed`, and the
    /// CRM's refusals.
    pub async fn accounts(&self, prefix: &str) -> Result<Vec<FoundAccount>, Problem> {
        let prefix = beginning(prefix, "Type more of the account's name.")?;
        let crm = self.open().await?;
        let found = crm.accounts(SoughtAccounts::Named(prefix)).await;
        found.map_err(|error| self.told(&error))
    }

    /// Records that a look-up field of leads or contacts can name and whose name begins with a text, as the seat
    /// holder sees them in the CRM. None in Dynamics 365.
    ///
    /// # Errors
    /// Returns `invalid_filter` for a text that is too short or too long, `user_sign_in_needed`, and the
    /// CRM's refusals.
    pub async fn lookup(
        &self,
        object: PersonObject,
        field: &str,
        prefix: &str,
    ) -> Result<Vec<FoundRecord>, Problem> {
        let prefix = beginning(prefix, "Type more of the record's name.")?;
        let crm = self.open().await?;
        let found = crm.lookup(record_of(object), field, prefix).await;
        found.map_err(|error| self.told(&error))
    }

    /// Adds the names of their accounts to contacts. A name that the user does not see stays empty.
    async fn with_accounts(&self, crm: &dyn Crm, found: Vec<FoundPerson>) -> Vec<Person> {
        let mut ids: Vec<String> = found
            .iter()
            .filter_map(|person| person.account.clone())
            .collect();
        ids.sort_unstable();
        ids.dedup();
        let accounts = if ids.is_empty() {
            Vec::new()
        } else {
            let accounts = crm.accounts(SoughtAccounts::Ids(&ids)).await;
            accounts.unwrap_or_else(|error| {
                log(&error, "accounts");
                Vec::new()
            })
        };
        let names: BTreeMap<String, String> = accounts
            .into_iter()
            .map(|account| (account.id, account.name))
            .collect();
        let crm = self.kind();
        let person = |person: FoundPerson| {
            let of = match person.record {
                Record::Contact => PersonObject::Contact,
                _ => PersonObject::Lead,
            };
            let account = person.account.and_then(|id| names.get(&id).cloned());
            Person {
                record: RecordRef::new(of.object(crm), person.id),
                name: person.name,
                title: person.title,
                company: account.unwrap_or(person.company),
                email: person.email,
            }
        };
        found.into_iter().map(person).collect()
    }

    fn audit(&self, action: &str, entry: EntryId, before: Value, after: Value) -> AuditEntry {
        AuditEntry {
            at: self.now(),
            actor: self.by.to_owned(),
            action: action.to_owned(),
            target: format!("profile/{entry}"),
            before,
            after,
        }
    }
}

/// The beginning of a name that is searched for.
fn beginning<'t>(text: &'t str, next: &str) -> Result<&'t str, Problem> {
    let text = text.trim();
    if (MIN_PREFIX..=MAX_PREFIX).contains(&text.chars().count()) {
        return Ok(text);
    }
    Err(refused(
        400,
        "invalid_filter",
        "q",
        format!("The beginning of a name has {MIN_PREFIX} to {MAX_PREFIX} characters."),
        next,
    ))
}

/// Logs an error of a read that only helps: the form does without it.
fn log(error: &CrmError, what: &str) {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        what,
        "the CRM did not show what a form would add"
    );
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[test]
    fn only_what_may_have_worked_keeps_its_place_in_the_month() {
        for (status, may) in [
            // An answer that cannot be read.
            (StatusCode::CREATED, true),
            (StatusCode::REQUEST_TIMEOUT, true),
            (StatusCode::BAD_GATEWAY, true),
            // `UNABLE_TO_LOCK_ROW`.
            (StatusCode::BAD_REQUEST, false),
            (StatusCode::TOO_MANY_REQUESTS, false),
        ] {
            let error = CrmError::Unavailable(status);
            assert_eq!(may_have_worked(&error, 1), may, "{status}");
            // The lock may be that of the attempt before.
            assert!(may_have_worked(&error, 2));
        }
        assert!(!may_have_worked(&CrmError::Missing, 1));
    }
}
