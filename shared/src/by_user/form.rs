//! The form for a new lead or contact: its fields with what is known, and notices of what is there already
//! (LC-3, LC-4).

use super::values::{self, FormField, Known, ValueOrigin};
use super::{ByUser, Limits, PRODUCTION, log, record_of};
use crate::crm::{Crm, FoundAccount, SoughtAccounts, SoughtPeople};
use crate::domain::directory::{Entry, EntryId, EntryKind, NewEntry, Origin, RecordRef};
use crate::domain::normalize::fold;
use crate::domain::user_writes::{PersonObject, WriteKind};
use crate::domain::vocabulary::{Role, vocabulary};
use crate::linking::known;
use crate::problem::Problem;

/// A person that the CRM has. What is not known is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The lead or contact.
    pub record: RecordRef,
    /// Full name.
    pub name: String,
    /// Job title.
    pub title: String,
    /// Company, or the name of a contact's account.
    pub company: String,
    /// E-mail address.
    pub email: String,
}

/// The choice of a contact's account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountChoice {
    /// The account of the person's company, if it is known.
    pub proposed: Option<FoundAccount>,
}

/// A form.
#[derive(Debug, Clone, PartialEq)]
pub struct Form {
    /// The kind of record that it makes.
    pub object: PersonObject,
    /// The administrator has switched it on; otherwise the CRM was not asked.
    pub enabled: bool,
    /// Its fields.
    pub fields: Vec<FormField>,
    /// A contact's account.
    pub account: Option<AccountChoice>,
    /// The record that the person is linked to already.
    pub matched: Option<RecordRef>,
    /// Records with the same first and last name.
    pub same_name: Vec<Person>,
    /// The writes that are left in the month.
    pub limits: Limits,
}

impl ByUser<'_> {
    /// The form for a new record of a person.
    ///
    /// # Errors
    /// Returns `not_found`, `user_sign_in_needed`, and the CRM's refusals.
    pub async fn form(&self, id: EntryId, object: PersonObject) -> Result<Form, Problem> {
        let (entry, matched) = self.entry(id).await?;
        let mut form = Form {
            object,
            enabled: self.is_enabled(object, WriteKind::Create),
            fields: Vec::new(),
            account: None,
            matched: Self::linked(matched.as_ref()).cloned(),
            same_name: Vec::new(),
            limits: self.limits().await?,
        };
        if !form.enabled {
            return Ok(form);
        }
        let crm = self.open().await?;
        let described = crm.fields_of(record_of(object)).await;
        let described = described.map_err(|error| self.told(&error))?;
        let known = self.known(&entry);
        let (kind, region) = (self.kind(), self.region());
        form.fields = values::layout(crm.as_ref(), kind, object, &described, &known, region);
        values::add_lookups(&mut form.fields, kind, object, &described);
        form.same_name = self.namesakes(crm.as_ref(), &form.fields).await;
        if object == PersonObject::Contact {
            form.account = Some(AccountChoice {
                proposed: self.proposed_account(crm.as_ref(), &entry).await?,
            });
        }
        Ok(form)
    }

    /// The known values of a person.
    pub(super) fn known(&self, entry: &Entry) -> Known {
        let of_entry = known(entry).into_iter();
        let of_entry = of_entry.map(|(role, text)| (role, text, ValueOrigin::Profile));
        let source = self.settings().lead_source.unwrap_or_default();
        let source = (Role::Source, source, ValueOrigin::Settings);
        values::by_place(of_entry.chain([source]))
    }

    /// Leads and contacts of the same first and last name. A search that the user may not make finds none.
    async fn namesakes(&self, crm: &dyn Crm, form: &[FormField]) -> Vec<Person> {
        let of = |role: Role| {
            let field = form.iter().find(|field| field.role == Some(role));
            field.map_or("", |field| field.value.trim())
        };
        let (first, last) = (of(Role::FirstName), of(Role::LastName));
        if first.is_empty() || last.is_empty() {
            return Vec::new();
        }
        let sought = SoughtPeople {
            name: Some((first, last)),
            ..SoughtPeople::default()
        };
        match crm.people(&sought).await {
            Ok(found) => self.with_accounts(crm, found).await,
            Err(error) => {
                log(&error, "people of the same name");
                Vec::new()
            }
        }
    }

    /// The account that the person's company is linked to, else the one account of the company's name.
    async fn proposed_account(
        &self,
        crm: &dyn Crm,
        entry: &Entry,
    ) -> Result<Option<FoundAccount>, Problem> {
        let company = entry.record.company.trim();
        if company.is_empty() {
            return Ok(None);
        }
        if let Some(id) = self.account_of(entry).await? {
            let ids = [id];
            match crm.accounts(SoughtAccounts::Ids(&ids)).await {
                Ok(found) if !found.is_empty() => return Ok(found.into_iter().next()),
                Ok(_) => {}
                Err(error) => log(&error, "the company's account"),
            }
        }
        let mut found = match crm.accounts(SoughtAccounts::Named(company)).await {
            Ok(found) => found,
            Err(error) => {
                log(&error, "accounts of the company's name");
                Vec::new()
            }
        };
        found.retain(|account| fold(&account.name) == fold(company));
        // Of several nobody knows which one it is.
        Ok(found.pop().filter(|_| found.is_empty()))
    }

    /// The account that the company of a person is linked to, by the CRM's id.
    async fn account_of(&self, entry: &Entry) -> Result<Option<String>, Problem> {
        let (store, contract) = (&self.remote.store, &self.config.contract.id);
        let account = vocabulary(self.kind()).account.name;
        let websites = [entry.record.website.as_str(), ""];
        for website in websites {
            let record = matching::Record {
                name: entry.record.company.clone(),
                website: website.to_owned(),
                country: entry.record.country.clone(),
                ..matching::Record::default()
            };
            let (kind, region) = (EntryKind::Company, self.region());
            // The same company as it would be added: its id follows from its values.
            let Ok(company) = NewEntry::new(contract, kind, None, record, Origin::Api, region)
            else {
                continue;
            };
            let found = store.entry_with_match(contract, PRODUCTION, kind, company.id);
            let found = found.await.map_err(|error| error.problem())?;
            let matched = found.and_then(|(_, matched)| matched);
            if let Some(record) = Self::linked(matched.as_ref())
                && record.object == account
            {
                return Ok(Some(record.id.clone()));
            }
        }
        Ok(None)
    }
}
