//! The part of the port for records that seat holders create and update themselves: the fields that a form asks
//! for, people and accounts of the same name, and a creation that obeys the organisation's duplicate rules.
//!
//! A session is the seat holder's own: fields, records and rights are those of that user.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::Value;
use uuid::Uuid;

use crate::{CrmError, Record};
use domain::clock::Millis;
use domain::schema::LeadField;

/// Maximum number of people that a search returns of each kind.
pub const PEOPLE_FOUND: usize = 10;
/// Maximum number of accounts that a search returns.
pub const ACCOUNTS_FOUND: usize = 20;
/// Maximum number of parts in an opportunity that are offered.
pub const PARTS_OFFERED: usize = 100;

/// The fields of leads or contacts, as the user may write them.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordFields {
    /// The fields. A required one has to be given when a record is created, by the CRM's own rule or by that
    /// of its forms.
    pub fields: Vec<LeadField>,
    /// True if the CRM keeps an identity of ours unique for this user's records.
    pub has_identity: bool,
}

/// A search for leads and contacts: those that meet any of the conditions.
#[derive(Debug, Clone, Copy, Default)]
pub struct SoughtPeople<'a> {
    /// First and last name.
    pub name: Option<(&'a str, &'a str)>,
    /// E-mail address.
    pub email: Option<&'a str>,
    /// Records with these ids.
    pub ids: &'a [(Record, String)],
    /// Of those, only the ones created at or after this.
    pub created_since: Option<Millis>,
}

impl SoughtPeople<'_> {
    /// The ids of one kind of record.
    pub(crate) fn ids_of(&self, record: Record) -> Vec<&str> {
        let ids = self.ids.iter().filter(|(of, _)| *of == record);
        ids.map(|(_, id)| id.as_str()).collect()
    }

    /// True if nothing is sought.
    pub(crate) const fn is_empty(&self) -> bool {
        self.name.is_none() && self.email.is_none() && self.ids.is_empty()
    }
}

/// A lead or contact that a search found. What is not known is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundPerson {
    /// Lead or contact.
    pub record: Record,
    /// The CRM's id.
    pub id: String,
    /// Full name.
    pub name: String,
    /// Job title.
    pub title: String,
    /// A lead's company.
    pub company: String,
    /// E-mail address.
    pub email: String,
    /// A contact's account, by the CRM's id.
    pub account: Option<String>,
}

/// A search for accounts.
#[derive(Debug, Clone, Copy)]
pub enum SoughtAccounts<'a> {
    /// Those whose name begins with this text.
    Named(&'a str),
    /// Those with these ids.
    Ids(&'a [String]),
}

/// An account that a search found. What is not known is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundAccount {
    /// The CRM's id.
    pub id: String,
    /// Name.
    pub name: String,
    /// City of the main address.
    pub city: String,
    /// Website.
    pub website: String,
}

/// A record that a look-up field can name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRecord {
    /// The CRM's name for its object.
    pub object: String,
    /// The CRM's id.
    pub id: String,
    /// Name.
    pub name: String,
}

/// A record with the values that the user sees.
#[derive(Debug, Clone, PartialEq)]
pub struct SeenRecord {
    /// The values of the requested fields.
    pub values: BTreeMap<String, Value>,
    /// The version, for [`Verb::Update`](crate::Verb::Update).
    pub version: String,
    /// Time of the last change.
    pub modified: Option<Millis>,
}

/// A lead or contact to create as the session's user.
#[derive(Debug, Clone, Copy)]
pub struct NewPerson<'a> {
    /// Lead or contact.
    pub record: Record,
    /// Its identity; Salesforce accepts one if [`RecordFields::has_identity`].
    pub identity: Option<Uuid>,
    /// The fields and their values, by the CRM's names.
    pub values: &'a BTreeMap<String, Value>,
    /// A contact's account, by the CRM's id.
    pub account: Option<&'a str>,
    /// Creates it though a duplicate rule warns.
    pub allow_duplicates: bool,
}

/// The finding of a duplicate rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DuplicatesFound {
    /// True if the record can be created all the same.
    pub allowed: bool,
    /// The name of the rule, if the CRM gives it.
    pub rule: Option<String>,
    /// The records, if the CRM names them.
    pub records: Vec<(Record, String)>,
}

/// The outcome of a creation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Creation {
    /// It was created; the CRM's id.
    Created(String),
    /// A record of this identity exists, from an earlier attempt.
    Exists,
    /// A duplicate rule kept it out.
    Duplicates(DuplicatesFound),
}

/// A part that a contact can have in an opportunity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedPart {
    /// Salesforce: the choice's value. Dynamics 365: the id of the connection role.
    pub value: String,
    /// Display name.
    pub label: String,
}

/// A contact's part in an opportunity, to be created as the session's user.
#[derive(Debug, Clone, Copy)]
pub struct NewPart<'a> {
    /// Its identity. Salesforce takes none.
    pub identity: Uuid,
    /// The opportunity, by the CRM's id.
    pub opportunity: &'a str,
    /// The contact, by the CRM's id.
    pub contact: &'a str,
    /// The part, by its [`OfferedPart::value`].
    pub part: Option<&'a str>,
}

/// The part of a CRM for forms.
#[async_trait]
pub trait Forms: Send + Sync {
    /// The fields of leads or contacts. One call.
    ///
    /// # Errors
    /// Returns [`CrmError::Refused`] if the user cannot see such records.
    async fn fields_of(&self, record: Record) -> Result<RecordFields, CrmError>;

    /// Leads that are not converted or closed, and contacts; at most [`PEOPLE_FOUND`] of each. One call.
    async fn people(&self, sought: &SoughtPeople<'_>) -> Result<Vec<FoundPerson>, CrmError>;

    /// Accounts by name, at most [`ACCOUNTS_FOUND`]. One call.
    async fn accounts(&self, sought: SoughtAccounts<'_>) -> Result<Vec<FoundAccount>, CrmError>;

    /// Records that a look-up field of leads or contacts can name, by the beginning of their names; at most
    /// [`ACCOUNTS_FOUND`]. Two calls. Dynamics 365: none.
    async fn lookup(
        &self,
        record: Record,
        field: &str,
        prefix: &str,
    ) -> Result<Vec<FoundRecord>, CrmError>;

    /// A lead or contact as the user sees it; `None` if there is none that the user sees. One call.
    async fn see(
        &self,
        record: Record,
        id: &str,
        fields: &[&str],
    ) -> Result<Option<SeenRecord>, CrmError>;

    /// Creates a lead or contact, which the session's user owns. One call.
    async fn create_person(&self, new: &NewPerson<'_>) -> Result<Creation, CrmError>;

    /// The parts that a contact can have in an opportunity, at most [`PARTS_OFFERED`]. One call.
    async fn parts(&self) -> Result<Vec<OfferedPart>, CrmError>;

    /// The CRM's id of a contact's part in an opportunity; `None` if the user sees none. One call.
    async fn part_of(&self, contact: &str, opportunity: &str) -> Result<Option<String>, CrmError>;

    /// Gives a contact a part in an opportunity, and returns the part's id. One call. Salesforce creates
    /// another one each time; Dynamics 365 returns the one that has this identity.
    ///
    /// # Errors
    /// Returns [`CrmError::Missing`], or [`CrmError::Refused`], if one of the two is not there for the user.
    async fn create_part(&self, new: &NewPart<'_>) -> Result<String, CrmError>;
}
