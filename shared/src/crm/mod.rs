//! The CRM port: what lead creation asks of a CRM, and what can go wrong, in one form for all.

mod dataverse;
mod multipart;
mod salesforce;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use http::StatusCode;
use serde_json::Value;
use uuid::Uuid;

use crate::clock::Millis;
use crate::domain::schema::{LeadField, LeadSchema};
use crate::outbound::Provider;
use crate::problem::Problem;
use crate::session::{Session, SessionError};

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
    lead: &BTreeMap<String, Value>,
    renames: &[(&str, &str)],
    same: &[&str],
    contact_fields: &[String],
) -> serde_json::Map<String, Value> {
    let pairs = renames
        .iter()
        .copied()
        .chain(same.iter().map(|name| (*name, *name)));
    pairs
        .filter(|(_, contact)| contact_fields.iter().any(|field| field == contact))
        .filter_map(|(from, to)| Some((to.to_owned(), lead.get(from)?.clone())))
        .collect()
}

/// The last seven digits of a phone number, each preceded by a wildcard: finds the number however
/// it is punctuated. The country code and trunk prefix stay out.
fn phone_pattern(normal: &str) -> String {
    let digits: Vec<char> = normal.chars().filter(char::is_ascii_digit).collect();
    let tail = digits.iter().skip(digits.len().saturating_sub(7));
    let mut pattern = String::from("%");
    for digit in tail {
        pattern.push(*digit);
        pattern.push('%');
    }
    pattern
}

/// The criteria that the CRM is asked about. An e-mail address alone is selective, and so is a
/// phone number; names are asked for together.
fn coarse<'a, 'b>(criteria: &'b [Criterion<'a>]) -> Vec<&'b Criterion<'a>> {
    use crate::domain::normalize::Comparison;
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

/// An identifier from outside, fit to be shown: letters, digits and underscores.
fn shown(code: &str) -> String {
    code.chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '_')
        .take(60)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::phone_pattern;

    #[test]
    fn a_phone_pattern_finds_any_punctuation() {
        assert_eq!(phone_pattern("+14155552671"), "%5%5%5%2%6%7%1%");
        assert_eq!(phone_pattern("+1"), "%1%");
    }
}
