//! The CRM port in its parts: set-up, search, writing and reading in bulk, with one form of errors for all.

mod activity;
mod error;
mod form;
pub mod import;
pub mod linkedin;

mod currency;
mod dataverse;
mod query;
mod salesforce;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value};
use uuid::Uuid;

use domain::clock::Millis;
use domain::inventory::{AccessReport, CrmOptions};
use domain::schema::{LeadField, LeadSchema};
use remote::outbound::Provider;
use remote::session::Session;

pub use self::activity::{
    ACTIVITIES_AT_ONCE, Activities, ActivityContent, ActivityRules, AttachedActivity,
    FoundActivity, NewActivity, NoteForm, SoughtActivity,
};
use self::error::shown;
pub use self::error::{CrmError, Failure, Reason, Record, Refusal, failure};
pub use self::form::{
    ACCOUNTS_FOUND, Creation, DuplicatesFound, Forms, FoundAccount, FoundPerson, FoundRecord,
    NewPart, NewPerson, OfferedPart, PARTS_OFFERED, PEOPLE_FOUND, RecordFields, SeenRecord,
    SoughtAccounts, SoughtPeople,
};
pub use self::write::{
    Bond, MOST_AT_ONCE, Outcomes, Tie, Verb, Write, Writer, WrittenRecord, contact_identity,
};

/// Maximum number of leads that a search reads. A coarse filter matches more only if the strategy's fields
/// hardly identify a person.
pub const MAX_CANDIDATES: usize = 200;

/// One field that leads must match on.
#[derive(Debug, Clone)]
pub struct Criterion<'a> {
    /// The field.
    pub field: &'a LeadField,
    /// The submission's value, as it would be written.
    pub value: &'a Value,
    /// Its normal form.
    pub normal: String,
}

/// A search for leads.
pub struct LeadSearch<'a> {
    /// The criteria that leads must match. The CRM is asked coarsely; the caller compares normal forms.
    pub criteria: &'a [Criterion<'a>],
    /// Leads that may match in any spelling, by the CRM's ids: read in the same call.
    pub ids: &'a [String],
    /// The fields to read.
    pub read: &'a [String],
    /// Only leads created at or after this.
    pub created_since: Option<Millis>,
}

/// A lead as the CRM has it.
#[derive(Debug, Clone, PartialEq)]
pub struct LeadRecord {
    /// The CRM's id.
    pub id: String,
    /// The values of the requested fields.
    pub values: BTreeMap<String, Value>,
    /// True if the lead is neither converted nor closed, so that it can be worked on.
    pub open: bool,
    /// Its contact, if the CRM links it.
    pub contact_id: Option<String>,
    /// Dataverse: the version it was read at.
    pub etag: Option<String>,
}

impl LeadRecord {
    /// True if a field is empty.
    #[must_use]
    pub fn is_empty(&self, field: &str) -> bool {
        match self.values.get(field) {
            None | Some(Value::Null) => true,
            Some(Value::String(text)) => text.trim().is_empty(),
            Some(_) => false,
        }
    }
}

/// The part of a CRM that reports its schema, options and access rights.
#[async_trait]
pub trait SetUp: Send + Sync {
    /// The CRM's id of the organisation that it reads and writes.
    fn organization(&self) -> &str;

    /// Reads the connected user's access, object by object (CN-4). Salesforce: one call, whose subrequests
    /// count as ten against the organisation's limit. Dataverse: two calls.
    ///
    /// A missing object or field is a finding, and so is a description in an undocumented form.
    ///
    /// # Errors
    /// Returns [`CrmError::Refused`] if the user may not use the API at all.
    async fn access(&self, now: Millis) -> Result<AccessReport, CrmError>;

    /// Reads the CRM's choices for the settings (CN-9, CN-10). Salesforce: one call, whose subrequests count
    /// as five against the organisation's limit. Dataverse: one call. A list that the user cannot see is
    /// empty, with a note that gives the reason.
    ///
    /// # Errors
    /// Returns [`CrmError::Refused`] if the user may not use the API at all.
    async fn options(&self, now: Millis) -> Result<CrmOptions, CrmError>;

    /// The organisation's lead fields. One call.
    async fn lead_schema(&self, now: Millis) -> Result<LeadSchema, CrmError>;
}

/// The part of a CRM that finds leads.
#[async_trait]
pub trait Search: Send + Sync {
    /// Open leads that may match, oldest first, at most [`MAX_CANDIDATES`]. One call.
    async fn find_leads(
        &self,
        schema: &LeadSchema,
        search: &LeadSearch<'_>,
    ) -> Result<Vec<LeadRecord>, CrmError>;

    /// The lead of an identity, open or not. One call.
    async fn lead_by_identity(
        &self,
        schema: &LeadSchema,
        identity: Uuid,
        read: &[String],
    ) -> Result<Option<LeadRecord>, CrmError>;

    /// A link to a lead for people.
    fn lead_url(&self, id: &str) -> String;
}

/// The port to a CRM for set-up, for creating records, for forms and for activities; reading in bulk has a
/// port of its own ([`import::Source`]).
pub trait Crm: SetUp + Search + Writer + Forms + Activities {}

impl<T: SetUp + Search + Writer + Forms + Activities> Crm for T {}

/// Opens the CRM behind a session.
#[must_use]
pub fn open(session: Arc<Session>) -> Box<dyn Crm> {
    match session.provider {
        Provider::Salesforce => Box::new(salesforce::Salesforce::new(session)),
        _ => Box::new(dataverse::Dataverse::new(session)),
    }
}

/// The values to send, without invalid field names. Both CRMs give names with other characters a different
/// meaning: an annotation, or a related record.
fn written(values: &BTreeMap<String, Value>) -> Map<String, Value> {
    values
        .iter()
        .filter(|(name, _)| query::name(name).is_some())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// The last seven digits of a phone number: the country code and trunk prefix stay out.
fn phone_tail(normal: &str) -> String {
    let digits: Vec<char> = normal.chars().filter(char::is_ascii_digit).collect();
    let tail = digits.iter().skip(digits.len().saturating_sub(7));
    tail.collect()
}

/// The host of a website in normal form.
fn host(normal: &str) -> &str {
    normal.split('/').next().unwrap_or_default()
}

/// The criteria to query the CRM by. An e-mail address alone is selective, and so is a phone number; names
/// are queried together.
fn coarse<'a, 'b>(criteria: &'b [Criterion<'a>]) -> Vec<&'b Criterion<'a>> {
    use domain::normalize::Comparison;
    for selective in [Comparison::Email, Comparison::Phone] {
        let found: Vec<_> = criteria
            .iter()
            .filter(|c| c.field.comparison() == selective)
            .collect();
        if !found.is_empty() {
            return found;
        }
    }
    criteria.iter().collect()
}

/// The error of an object that the user cannot see.
fn hidden(record: Record) -> CrmError {
    Refusal::new(record, Reason::ObjectHidden, "").into()
}

/// The error of a user who may not use the CRM's API at all, for any object. `code` is the CRM's own.
fn no_api_access(code: &str) -> CrmError {
    Refusal::new(Record::Lead, Reason::NoApi, code).into()
}

/// The recording of that name; `None` if there are no recordings. Answers of real organisations are not ours
/// to distribute: `LEADBRIDGE_SAMPLES` names the folder that has them, and without it these tests check
/// nothing.
#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "the switch of the tests on recordings"
)]
fn recorded(name: &str) -> Option<String> {
    let folder = std::path::PathBuf::from(std::env::var_os("LEADBRIDGE_SAMPLES")?);
    Some(std::fs::read_to_string(folder.join(name)).expect("the recording is readable"))
}
