//! Creation of a record in the CRM for an entry that has none (MA-4): a lead for a profile, an account for a
//! company.
//!
//! The record's identity is derived from the entry, and the CRM keeps it unique. So a second request, after a
//! crash or a lost answer, returns the record that was created.

use std::collections::BTreeMap;

use serde_json::Value;
use uuid::Uuid;

use super::acts::Deed;
use super::{DecideError, Linked, Linking, PRODUCTION};
use crate::cached::{Cached, SchemaError};
use crate::crm::{self, Criterion, Crm, CrmError, LeadSearch, Record, Write};
use crate::domain::contract::ContractConfig;
use crate::domain::directory::{Decision, Entry, EntryId, EntryKind, How, RecordRef};
use crate::domain::ids::identity;
use crate::domain::linked_record::account_object;
use crate::domain::mapping::{comparable, convert};
use crate::domain::match_keys::lead_object;
use crate::domain::schema::{FieldType, LeadSchema};
use crate::domain::vocabulary::{Role, vocabulary};
use crate::problem::Problem;
use crate::session::SessionError;
use crate::store::{Chosen, ConnectionKind, StoreError};
use crate::texts::{self, Audience};
use crate::wiring::Remote;
use crate::writing::{self, Made};

/// The requester of a new record.
#[derive(Debug, Clone, Copy)]
pub struct Creator<'a> {
    /// The actor of the audit entry.
    pub by: &'a str,
    /// The connection whose CRM user creates and owns the record: a seat holder's own, or the contract's for
    /// programs.
    pub connection: ConnectionKind,
}

/// Creates the record of an entry in production's CRM and links the entry to it, with an audit entry. If a
/// record was created for the entry before, nothing is created, and the entry keeps that record.
///
/// # Errors
/// Returns [`DecideError::Refused`] if there is no such entry, if the creation of leads is switched off
/// (`create_leads_off`), if the seat holder has not signed in to the CRM (`user_sign_in_needed`, CN-11), or
/// if the CRM is not connected or refuses the record. If the CRM did not answer, call again: nothing is
/// created twice.
pub async fn create_record(
    remote: &Remote,
    cached: &Cached,
    config: &ContractConfig,
    kind: EntryKind,
    id: EntryId,
    creator: Creator<'_>,
) -> Result<Linked, DecideError> {
    let contract = &config.contract;
    let settings = config.crm_settings(PRODUCTION).sync.unwrap_or_default();
    if !settings.create_leads {
        return Err(DecideError::refused(Problem::new(
            409,
            "create_leads_off",
            "Creating records in the CRM is switched off.",
            "Have an administrator switch on the creation of leads in the sync settings.",
        )));
    }
    let found = remote
        .store
        .entry_with_match(&contract.id, PRODUCTION, kind, id)
        .await?;
    let Some((entry, matched)) = found else {
        return Err(DecideError::refused(Problem::not_found(kind.as_str())));
    };
    if let Some(matched) = matched
        && let Some(link) = &matched.link
        && link.how == How::Created
        && !link.record_gone
        && matches!(&entry.decision, Decision::Matched { .. })
    {
        return Ok(Linked { entry, matched });
    }
    let writer = Writer {
        remote,
        config,
        connection: creator.connection,
    };
    let record = match kind {
        EntryKind::Profile => {
            let source = settings.lead_source.as_deref();
            writer.create_lead(cached, &entry, source).await?
        }
        EntryKind::Company => writer.create_account(&entry).await?,
    };
    link_created(remote, config, &entry, record, creator.by).await
}

/// Links an entry to a record that was created for it, and that is in no import yet, with an audit entry.
///
/// # Errors
/// Returns [`DecideError::Refused`] if the entry was removed, or if a user chose the record for another entry
/// (`record_taken`).
pub async fn link_created(
    remote: &Remote,
    config: &ContractConfig,
    entry: &Entry,
    record: RecordRef,
    by: &str,
) -> Result<Linked, DecideError> {
    let linking = Linking::new(&remote.store, &config.contract, remote.clock.now());
    let (kind, id) = (entry.kind, entry.id);
    let model = linking.model(kind).await?;
    let clean = matching::Clean::new(kind.matching(), &entry.record, linking.region);
    let chosen = Chosen {
        record,
        how: How::Created,
        score: model.score(&clean, &clean),
        threshold: model.threshold,
        owner: None,
        values: None,
    };
    let (random, deed) = (remote.random.as_ref(), Deed::Choose(&chosen));
    let acted = linking.act(kind, id, by, random, deed).await?;
    Box::pin(linking.after(acted, false)).await
}

/// Writes to the CRM on behalf of the requester.
pub(crate) struct Writer<'a> {
    pub(crate) remote: &'a Remote,
    pub(crate) config: &'a ContractConfig,
    pub(crate) connection: ConnectionKind,
}

impl Writer<'_> {
    /// Opens the CRM with the contract's own connection.
    pub(crate) async fn contracts(&self) -> Result<Box<dyn Crm>, DecideError> {
        let (contract, kind) = (&self.config.contract.id, ConnectionKind::PRODUCTION);
        let session = self.remote.sessions.open(contract, kind).await;
        let session = session.map_err(|error| told(&error.into(), self.label()))?;
        Ok(crm::open(session))
    }

    /// Opens the CRM as the user who creates the record, with that user's own sign-in.
    pub(crate) async fn own(&self) -> Result<Box<dyn Crm>, DecideError> {
        let contract = &self.config.contract.id;
        match self.remote.sessions.open(contract, self.connection).await {
            Ok(session) => Ok(crm::open(session)),
            Err(error) => {
                // If the contract itself is not connected, return that error: an administrator has to fix it.
                self.contracts().await?;
                Err(self.told(&error.into()))
            }
        }
    }

    /// The CRM's error in the words for the user who creates the record. A missing sign-in of that user has
    /// its own text.
    pub(crate) fn told(&self, error: &CrmError) -> DecideError {
        if let ConnectionKind::User(..) = self.connection {
            let before = match error {
                CrmError::Session(SessionError::NotConnected) => Some(None),
                CrmError::Session(SessionError::SignInNeeded(reason)) => Some(Some(*reason)),
                _ => None,
            };
            if let Some(before) = before {
                return DecideError::refused(texts::own_sign_in(self.label(), before));
            }
        }
        told(error, self.label())
    }

    const fn label(&self) -> &'static str {
        self.config.contract.crm.label()
    }

    fn identity(&self, kind: &str, entry: &Entry) -> Uuid {
        identity(&self.config.contract.id, kind, &[&entry.id.to_string()])
    }

    async fn create_account(&self, entry: &Entry) -> Result<RecordRef, DecideError> {
        let crm = self.own().await?;
        let record = &entry.record;
        if record.name.trim().is_empty() {
            return Err(DecideError::refused(
                Problem::new(
                    422,
                    "company_without_name",
                    "An account has to have a name, and of this company none is known.",
                    "Add the company's name, then create the account.",
                )
                .with_field("name"),
            ));
        }
        let account = vocabulary(self.config.contract.crm).account;
        let phone = record.phones.first().map_or("", String::as_str);
        let given = [
            (Role::Name, record.name.as_str()),
            (Role::Website, &record.website),
            (Role::Phone, phone),
        ];
        let values = given.map(|(role, value)| (account.named(role), value));
        let values = values.into_iter().filter(|(_, value)| !value.is_empty());
        let values = values.map(|(name, value)| (name.to_owned(), Value::from(value)));
        let identity = self.identity("account/company", entry);
        let mut writes = vec![Write::create(
            Record::Account,
            Some(identity),
            values.collect(),
        )];
        let name = account.named(Role::Name);
        let is_required = |_: Record, field: &str| field == name;
        let made = self.create(crm.as_ref(), &mut writes, is_required).await?;
        let id = if let Some(id) = made {
            id
        } else {
            let there = crm.id_of(Record::Account, identity).await;
            let there = there.map_err(|error| self.told(&error))?;
            // Deleted between the two calls.
            there.ok_or(StoreError::Conflict)?
        };
        Ok(RecordRef::new(account_object(self.config.contract.crm), id))
    }

    /// Creates a record and returns the id of the last write, or `None` if the record exists already.
    async fn create(
        &self,
        crm: &dyn Crm,
        writes: &mut Vec<Write>,
        is_required: impl Fn(Record, &str) -> bool,
    ) -> Result<Option<String>, DecideError> {
        let mut omitted = Vec::new();
        let made = writing::create(crm, writes, is_required, &mut omitted).await;
        match made.map_err(|error| self.told(&error))? {
            Made::Exists(_) => Ok(None),
            Made::Created(written) => {
                let fields: Vec<&str> = omitted
                    .iter()
                    .filter_map(|omission| omission.field.as_deref())
                    .collect();
                if !fields.is_empty() {
                    tracing::info!(contract = %self.config.contract.id, ?fields, "a record was created without what the CRM refuses");
                }
                let id = written.into_iter().last().map(|written| written.id);
                Ok(Some(id.ok_or(StoreError::Conflict)?))
            }
        }
    }

    async fn create_lead(
        &self,
        cached: &Cached,
        entry: &Entry,
        lead_source: Option<&str>,
    ) -> Result<RecordRef, DecideError> {
        let contract = &self.config.contract;
        // The lead's fields and earlier leads are read with the contract's connection: the creating user may
        // lack access to some fields and to leads that other users created.
        let all = self.contracts().await?;
        let now = self.remote.clock.now();
        let schema = cached.schema(&contract.id, all.as_ref(), now).await;
        let schema = schema.map_err(|error| match error {
            SchemaError::Store(error) => error.into(),
            SchemaError::Crm(error) => told(&error, self.label()),
        })?;
        let crm = self.own().await?;
        let record = |id: String| RecordRef::new(lead_object(contract.crm), id);
        let values = values(self.config, entry, &schema, lead_source);
        if !schema.has_identity
            && let Some(id) = self.made_before(all.as_ref(), &schema, &values).await?
        {
            return Ok(record(id));
        }
        let identity = self.identity("lead/profile", entry);
        let mut writes = writing::new_lead(crm.as_ref(), &schema, identity, &values, false);
        let is_required =
            |_: Record, name: &str| schema.field(name).is_none_or(|field| field.required);
        if let Some(id) = self.create(crm.as_ref(), &mut writes, is_required).await? {
            return Ok(record(id));
        }
        let there = all.lead_by_identity(&schema, identity, &[]).await;
        let there = there.map_err(|error| told(&error, self.label()))?;
        // Deleted between the two calls.
        Ok(record(there.ok_or(StoreError::Conflict)?.id))
    }

    /// Finds the lead that was created for the entry before, in an organisation without our fields: a lead
    /// that agrees with the new lead in every matchable value of first name, last name, company and e-mail
    /// address.
    async fn made_before(
        &self,
        crm: &dyn Crm,
        schema: &LeadSchema,
        values: &BTreeMap<String, Value>,
    ) -> Result<Option<String>, DecideError> {
        let settings = &self.config.contract.settings;
        let region = settings.default_region.as_deref();
        let lead = vocabulary(self.config.contract.crm).lead;
        let criterion = |name: &str| {
            let field = schema.field(name).filter(|field| field.is_matchable())?;
            let value = values.get(name)?;
            let normal = comparable(value, field, region)?;
            Some(Criterion {
                field,
                value,
                normal,
            })
        };
        let names = [Role::FirstName, Role::LastName, Role::Company, Role::Email]
            .map(|role| lead.named(role));
        let criteria: Vec<Criterion<'_>> =
            names.iter().filter_map(|name| criterion(name)).collect();
        let read: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let search = LeadSearch {
            criteria: &criteria,
            ids: &[],
            read: &read,
            created_since: None,
        };
        let found = crm.find_leads(schema, &search).await;
        let found = found.map_err(|error| told(&error, self.label()))?;
        let same = found.into_iter().find(|lead| {
            criteria.iter().all(|criterion| {
                let theirs = lead.values.get(&criterion.field.name);
                let theirs = theirs.and_then(|value| comparable(value, criterion.field, region));
                theirs.is_some_and(|theirs| theirs == criterion.normal)
            })
        });
        Ok(same.filter(|_| !criteria.is_empty()).map(|lead| lead.id))
    }
}

/// Logs the CRM's error and returns it in the words for a user who waits.
fn told(error: &CrmError, label: &str) -> DecideError {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "the CRM did not do what somebody asked for"
    );
    DecideError::refused(texts::crm(error, label, Audience::Seller))
}

/// The lead's values. Values that do not fit their field are left out. Required text fields without a value
/// get the contract's placeholder.
fn values(
    config: &ContractConfig,
    entry: &Entry,
    schema: &LeadSchema,
    lead_source: Option<&str>,
) -> BTreeMap<String, Value> {
    let settings = &config.contract.settings;
    let lead = vocabulary(config.contract.crm).lead;
    let source = (Role::Source, lead_source.unwrap_or_default().to_owned());
    let given = known(entry).into_iter().chain([source]);
    let given = given.map(|(role, text)| (lead.named(role), text));
    let region = settings.default_region.as_deref();
    let mut values: BTreeMap<String, Value> = given
        .filter(|(_, text)| !text.trim().is_empty())
        .filter_map(|(name, text)| {
            let field = schema.field(name).filter(|field| field.is_mappable())?;
            let (value, _) = convert(text.trim(), field, region).ok()?;
            Some((name.to_owned(), value))
        })
        .collect();
    for field in schema.fields.iter().filter(|field| field.required) {
        let is_text = matches!(
            field.field_type,
            FieldType::Text { .. } | FieldType::LongText { .. }
        );
        if is_text
            && !values.contains_key(&field.name)
            && let Ok((value, _)) = convert(&settings.placeholder, field, region)
        {
            values.insert(field.name.clone(), value);
        }
    }
    values
}

/// The known values of a person, by their purpose; empty where there is none.
pub(crate) fn known(entry: &Entry) -> [(Role, String); 14] {
    let record = &entry.record;
    let (first, last) = if record.last_name.is_empty() {
        matching::person::split(&record.name)
    } else {
        (record.first_name.clone(), record.last_name.clone())
    };
    let text = |text: Option<&String>| text.cloned().unwrap_or_default();
    [
        (Role::FirstName, first),
        (Role::LastName, last),
        (Role::Email, text(record.emails.first())),
        (Role::Phone, text(record.phones.first())),
        (Role::Mobile, text(record.phones.get(1))),
        (Role::JobTitle, record.title.clone()),
        (Role::Company, record.company.clone()),
        (Role::Website, record.website.clone()),
        (Role::Street, record.street.clone()),
        (Role::City, record.city.clone()),
        (Role::State, record.state.clone()),
        (Role::PostalCode, record.postcode.clone()),
        (Role::Country, record.country.clone()),
        // Dynamics 365 shows the topic first.
        (Role::Topic, entry.name()),
    ]
}
