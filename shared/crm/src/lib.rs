//! The CRM port: what lead creation asks of a CRM, and what can go wrong, in one form for all.

pub mod failure;
pub mod import;
pub mod linkedin;

mod currency;
mod dataverse;
mod query;
mod salesforce;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use http::StatusCode;
use serde_json::{Map, Value};
use uuid::Uuid;

use domain::clock::Millis;
use domain::inventory::{AccessReport, CrmOptions};
use domain::problem::Problem;
use domain::schema::{CrmKind, LeadField, LeadSchema};
use domain::vocabulary::{Role, vocabulary};
use remote::oauth::OAuthError;
use remote::outbound::Provider;
use remote::session::{Session, SessionError};

/// Most leads that a search reads. More than that match a coarse filter only when the strategy
/// says next to nothing about a person.
pub const MAX_CANDIDATES: usize = 200;

/// A record that a write is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record {
    /// The lead.
    Lead,
    /// Its contact.
    Contact,
    /// An account.
    Account,
}

impl Record {
    /// What people call it.
    const fn name(self) -> &'static str {
        match self {
            Self::Lead => "lead",
            Self::Contact => "contact",
            Self::Account => "account",
        }
    }
}

/// Why the CRM did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum CrmError {
    /// The connection cannot be used, asked for a pause, or did not answer.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// A record of this identity is there already.
    #[error("a record of this identity exists")]
    Exists,
    /// There is no such record.
    #[error("no such record")]
    Missing,
    /// The record was changed since it was read.
    #[error("the record was changed meanwhile")]
    Changed,
    /// The CRM refuses values. Without the named fields it might take the rest.
    #[error("the CRM refuses values of {fields:?}")]
    Rejected {
        /// Of which record.
        record: Record,
        /// The fields it names; none when it names none.
        fields: Vec<String>,
        /// For a person.
        problem: Problem,
    },
    /// A person has to act: permission, a rule of the organisation, an object that is not there.
    #[error("the CRM refuses")]
    Refused {
        /// Which record it refuses.
        record: Record,
        /// For a person.
        problem: Problem,
    },
    /// Passing trouble on its side; a write may have taken effect.
    #[error("the CRM answered {0}")]
    Unavailable(StatusCode),
}

/// What an error of a CRM comes down to, for somebody who connects it (CN-6). That required
/// objects cannot be read is no error: the [`AccessReport`] says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No connection was made, or no answer came.
    CouldNotConnect,
    /// The CRM's API answered with an error, or with something that is none of its answers.
    ApiError,
    /// The connected user may not use the API, or not for this.
    InsufficientAccess,
    /// Nothing is connected.
    NotConnected,
    /// The CRM no longer accepts the sign-in.
    SignInNeeded,
    /// The CRM does not accept Leadbridge's own OAuth client: the operator has to act.
    AppRefused,
    /// The CRM asked for a pause until then.
    Throttled(Millis),
}

/// What an error comes down to.
#[must_use]
pub fn failure(error: &CrmError) -> Failure {
    match error {
        CrmError::Session(error) => match error {
            SessionError::NotConnected => Failure::NotConnected,
            SessionError::SignInNeeded => Failure::SignInNeeded,
            SessionError::AppRefused(_) => Failure::AppRefused,
            SessionError::Paused(until) => Failure::Throttled(*until),
            SessionError::Forbidden | SessionError::NotSent(_) | SessionError::Unknown(_) => {
                Failure::CouldNotConnect
            }
        },
        CrmError::Refused { .. } => Failure::InsufficientAccess,
        CrmError::Exists
        | CrmError::Missing
        | CrmError::Changed
        | CrmError::Rejected { .. }
        | CrmError::Unavailable(_) => Failure::ApiError,
    }
}

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
    /// What they must match on. The CRM is asked coarsely; the caller compares normal forms.
    pub criteria: &'a [Criterion<'a>],
    /// Leads that may match however they are spelled, by the CRM's ids: asked for in the same call.
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
    /// The values of the fields that were asked for.
    pub values: BTreeMap<String, Value>,
    /// Neither converted nor closed: it can be worked on.
    pub open: bool,
    /// Its contact, where the CRM links it.
    pub contact_id: Option<String>,
    /// Dataverse: the version it was read at.
    pub etag: Option<String>,
}

impl LeadRecord {
    /// Whether a field holds nothing yet.
    #[must_use]
    pub fn is_empty(&self, field: &str) -> bool {
        match self.values.get(field) {
            None | Some(Value::Null) => true,
            Some(Value::String(text)) => text.trim().is_empty(),
            Some(_) => false,
        }
    }
}

/// The contact of a new lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContactPlan {
    /// None: the lead is orphaned.
    None,
    /// A new one.
    Create,
    /// This one, made by an earlier try.
    Link(String),
}

/// A lead to create.
pub struct NewLead<'a> {
    /// Its identity; the CRM keeps it unique where the organisation can.
    pub identity: Uuid,
    /// Its values.
    pub values: &'a BTreeMap<String, Value>,
    /// Its contact.
    pub contact: ContactPlan,
}

/// An account to create. What is empty is not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewAccount<'a> {
    /// Its identity; the CRM keeps it unique.
    pub identity: Uuid,
    /// Its name.
    pub name: &'a str,
    /// Its website.
    pub website: &'a str,
    /// Its phone number.
    pub phone: &'a str,
}

/// What was created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// The CRM's id of the lead.
    pub lead_id: String,
    /// The CRM's id of the contact.
    pub contact_id: Option<String>,
}

/// What lead creation asks of a CRM.
#[async_trait]
pub trait Crm: Send + Sync {
    /// The CRM's id of the organisation that it reads and writes.
    fn organization(&self) -> &str;

    /// What the connected user can read and write, object by object (CN-4). Salesforce: one call,
    /// whose subrequests count as ten against the organisation's limit. Dataverse: two calls.
    ///
    /// An object or field that is missing is a finding, and so is a description that is not as
    /// documented.
    ///
    /// # Errors
    /// [`CrmError::Refused`] when the user may not use the API at all.
    async fn access(&self, now: Millis) -> Result<AccessReport, CrmError>;

    /// What the CRM offers for the settings (CN-9, CN-10). Salesforce: one call, whose subrequests
    /// count as five against the organisation's limit. Dataverse: one call. A list that the user
    /// cannot see is empty, with a note that says why.
    ///
    /// # Errors
    /// [`CrmError::Refused`] when the user may not use the API at all.
    async fn options(&self, now: Millis) -> Result<CrmOptions, CrmError>;

    /// The organisation's lead fields. One call.
    async fn lead_schema(&self, now: Millis) -> Result<LeadSchema, CrmError>;

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

    /// Creates a lead and its contact, both or neither. One call.
    ///
    /// # Errors
    /// [`CrmError::Exists`] when the identity is taken, by a lead or by a contact.
    async fn create_lead(
        &self,
        schema: &LeadSchema,
        lead: &NewLead<'_>,
    ) -> Result<Created, CrmError>;

    /// The CRM's id of the account of an identity, which is created if it is not there. One call, two
    /// where it is there.
    ///
    /// # Errors
    /// [`CrmError::Refused`] where the organisation cannot keep the identity unique: it lacks our field.
    async fn create_account(&self, account: &NewAccount<'_>) -> Result<String, CrmError>;

    /// Sets fields of a lead. One call.
    ///
    /// # Errors
    /// [`CrmError::Changed`] when it is no longer as it was read (Dataverse; Salesforce cannot
    /// tell).
    async fn update_lead(
        &self,
        lead: &LeadRecord,
        values: &BTreeMap<String, Value>,
    ) -> Result<(), CrmError>;

    /// Deletes a lead; one that is gone already counts as deleted. One call.
    async fn delete_lead(&self, id: &str) -> Result<(), CrmError>;

    /// The CRM's id of the contact that was made with a lead of this identity.
    fn contact_of(&self, identity: Uuid) -> ContactPlan;

    /// A link to a lead for people.
    fn lead_url(&self, id: &str) -> String;
}

/// The CRM behind a session.
#[must_use]
pub fn open(session: Arc<Session>) -> Box<dyn Crm> {
    match session.provider {
        Provider::Salesforce => Box::new(salesforce::Salesforce::new(session)),
        _ => Box::new(dataverse::Dataverse::new(session)),
    }
}

/// An error of the session as people see it.
#[must_use]
pub fn session_problem(error: &SessionError, remote: &str) -> Problem {
    match error {
        SessionError::NotConnected => Problem::new(
            409,
            "not_connected",
            format!("{remote} is not connected."),
            format!("Connect {remote} in the settings; then send the submission again."),
        ),
        SessionError::SignInNeeded => Problem::new(
            409,
            "sign_in_needed",
            format!("{remote} no longer accepts the connection's sign-in."),
            format!("Sign in to {remote} again in the settings; then send the submission again."),
        ),
        SessionError::AppRefused(OAuthError::NotAllowed(_)) => failure::app_blocked(remote),
        SessionError::AppRefused(_) => Problem::new(
            502,
            "oauth_app_refused",
            format!("{remote} does not accept Leadbridge's own OAuth client."),
            "The operator has to correct the client's id and secret in the OAuth apps secret; then send the submission again.",
        ),
        SessionError::Paused(until) => Problem::new(
            429,
            "throttled",
            format!("{remote} asked for a pause until {until}."),
            "Nothing to do: it goes on by itself.",
        ),
        SessionError::Forbidden => Problem::new(
            502,
            "address_not_allowed",
            format!("The connection's address is not on {remote}'s domains; nothing was sent."),
            format!("Connect {remote} anew."),
        ),
        SessionError::NotSent(_) => Problem::new(
            503,
            "unreachable",
            format!("{remote} could not be reached."),
            "Nothing to do: it is tried again by itself.",
        ),
        SessionError::Unknown(_) => Problem::new(
            504,
            "no_answer",
            format!(
                "{remote} did not answer; whether the last write took effect is checked before it is tried again."
            ),
            "Nothing to do: it is tried again by itself.",
        ),
    }
}

/// The identity of the contact that is made with a lead.
fn contact_identity(lead: Uuid) -> Uuid {
    Uuid::new_v5(&lead, b"contact")
}

/// The contact's values: the lead's, under the contact's names, where the contact has the field.
fn contact_values(
    crm: CrmKind,
    lead: &BTreeMap<String, Value>,
    contact_fields: &[String],
) -> Map<String, Value> {
    let fields = vocabulary(crm).lead.vocabulary.iter();
    fields
        .filter(|field| contact_fields.iter().any(|name| name == field.contact))
        .filter_map(|field| Some((field.contact.to_owned(), lead.get(field.name)?.clone())))
        .collect()
}

/// The account's values by the CRM's names.
fn account_values(crm: CrmKind, account: &NewAccount<'_>) -> Map<String, Value> {
    let given = [
        (Role::Name, account.name),
        (Role::Website, account.website),
        (Role::Phone, account.phone),
    ];
    given
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(role, value)| (vocabulary(crm).account.named(role).to_owned(), value.into()))
        .collect()
}

/// Values as they are sent: what is no name of a field is none of them. Both CRMs read names with other
/// letters as something else: an annotation, a record that is related.
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

/// The criteria that the CRM is asked about. An e-mail address alone is selective, and so is a
/// phone number; names are asked for together.
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

fn permission(record: Record, status: u16, code: &str, detail: String) -> CrmError {
    CrmError::Refused {
        record,
        problem: Problem::new(
            status,
            code,
            detail,
            "Give the connected user read, create and edit access to leads and contacts in the CRM, then send the submission again.",
        ),
    }
}

/// The code of the problem of a user who may not use the CRM's API at all.
const NO_API_ACCESS: &str = "crm_api_access_missing";

/// The connected user may not use the CRM's API at all, whatever the object. `code` is the CRM's own.
#[must_use]
pub fn api_access_missing(crm: CrmKind, code: &str) -> Problem {
    let (detail, next_step) = match crm {
        CrmKind::Salesforce => (
            "Salesforce does not let the connected user use its API",
            "In Salesforce Setup, give the connected user a permission set with “API Enabled”; the edition has to include API access (Professional Edition: as an add-on). Then try again.",
        ),
        CrmKind::Dynamics365 => (
            "Dynamics 365 does not let the connected user use its Web API",
            "In the Power Platform admin centre, add the connected user to the environment and give it a security role there. Then try again.",
        ),
    };
    let detail = format!("{detail} ({}).", shown(code));
    Problem::new(403, NO_API_ACCESS, detail, next_step)
}

fn no_api_access(crm: CrmKind, code: &str) -> CrmError {
    CrmError::Refused {
        record: Record::Lead,
        problem: api_access_missing(crm, code),
    }
}

/// An identifier from outside, fit to be shown: letters, digits and underscores.
fn shown(code: &str) -> String {
    code.chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '_')
        .take(60)
        .collect()
}

/// The recording of that name, `None` where there are none. Answers that real organisations gave
/// are not ours to distribute: `LEADBRIDGE_SAMPLES` names the folder that has them, and without it
/// there is nothing to check.
#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "the switch of the tests on recordings"
)]
fn recorded(name: &str) -> Option<String> {
    let folder = std::path::PathBuf::from(std::env::var_os("LEADBRIDGE_SAMPLES")?);
    Some(std::fs::read_to_string(folder.join(name)).expect("the recording is readable"))
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::{CrmError, Failure, NO_API_ACCESS, failure, no_api_access};
    use domain::clock::Millis;
    use domain::schema::CrmKind;
    use remote::session::SessionError;

    #[test]
    fn errors_come_down_to_what_the_connecting_person_is_told() {
        let lost = || Box::from("reset");
        let cases = [
            (SessionError::NotSent(lost()), Failure::CouldNotConnect),
            (SessionError::Unknown(lost()), Failure::CouldNotConnect),
            (SessionError::SignInNeeded, Failure::SignInNeeded),
            (SessionError::NotConnected, Failure::NotConnected),
            (
                SessionError::Paused(Millis(7)),
                Failure::Throttled(Millis(7)),
            ),
        ];
        for (error, expected) in cases {
            assert_eq!(failure(&error.into()), expected);
        }
        for status in [StatusCode::OK, StatusCode::INTERNAL_SERVER_ERROR] {
            assert_eq!(failure(&CrmError::Unavailable(status)), Failure::ApiError);
        }
        for crm in [CrmKind::Salesforce, CrmKind::Dynamics365] {
            let error = no_api_access(crm, "0x80072560 <b>");
            assert_eq!(failure(&error), Failure::InsufficientAccess);
            let CrmError::Refused { problem, .. } = error else {
                unreachable!("it is a refusal");
            };
            assert_eq!(problem.code, NO_API_ACCESS);
            assert!(problem.detail.ends_with("(0x80072560b)."), "{problem}");
        }
    }
}
