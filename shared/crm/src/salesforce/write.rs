//! Creating, changing and deleting records.
//!
//! A lead and its contact go in one collection (sObject Collections, all or none), which creates them in
//! their order. The lead names its contact by the contact's external id, a foreign key, since no text of
//! a collection is read as a reference. Where the organisation lacks our field there is no such key, and
//! the two are not linked.

use std::collections::BTreeMap;

use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::client::{API, Salesforce};
use super::errors::ApiError;
use super::{CONTACT_FIELD, IDENTITY_FIELD};
use crate::query::encode;
use crate::{
    ContactPlan, Created, CrmError, LeadRecord, NewAccount, NewLead, Record, account_values,
    contact_identity, contact_values, written,
};
use domain::problem::Problem;
use domain::schema::{CrmKind, LeadSchema};
use domain::vocabulary::vocabulary;
use remote::outbound::Answer;

/// The relationship of our look-up from lead to contact.
const CONTACT_RELATION: &str = "Leadbridge_Contact__r";

/// What became of a row of a collection.
#[derive(Deserialize)]
struct Saved {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    success: bool,
    #[serde(default)]
    errors: Vec<ApiError>,
}

impl Saved {
    /// Whether it failed only because another row did.
    fn is_innocent(&self) -> bool {
        self.errors.iter().all(|error| {
            matches!(
                error.error_code.as_str(),
                "PROCESSING_HALTED" | "ALL_OR_NONE_OPERATION_ROLLED_BACK"
            )
        })
    }
}

/// A row of a collection.
fn row(object: &str, mut values: Map<String, Value>) -> Value {
    values.insert("attributes".to_owned(), json!({"type": object}));
    Value::Object(values)
}

/// See [`Crm::create_lead`](crate::Crm::create_lead).
pub(super) async fn create_lead(
    crm: &Salesforce,
    schema: &LeadSchema,
    lead: &NewLead<'_>,
) -> Result<Created, CrmError> {
    let known = vocabulary(CrmKind::Salesforce);
    let contact_key = contact_identity(lead.identity);
    let mut rows = Vec::new();
    let mut values = written(lead.values);
    if lead.contact == ContactPlan::Create {
        let mut contact = contact_values(CrmKind::Salesforce, lead.values, &schema.contact_fields);
        if schema.has_identity {
            contact.insert(IDENTITY_FIELD.to_owned(), json!(contact_key));
        }
        rows.push((Record::Contact, row(known.contact.name, contact)));
    }
    if schema.has_identity {
        values.insert(IDENTITY_FIELD.to_owned(), json!(lead.identity));
    }
    match &lead.contact {
        ContactPlan::Link(id) if schema.has_contact_link => {
            values.insert(CONTACT_FIELD.to_owned(), json!(id));
        }
        // The contact stands before the lead, and is found by the identity that it was given.
        ContactPlan::Create if schema.has_contact_link && schema.has_identity => {
            let mut contact = Map::new();
            contact.insert(IDENTITY_FIELD.to_owned(), json!(contact_key));
            values.insert(
                CONTACT_RELATION.to_owned(),
                row(known.contact.name, contact),
            );
        }
        _ => {}
    }
    rows.push((Record::Lead, row(known.lead.name, values)));
    let (records, rows): (Vec<Record>, Vec<Value>) = rows.into_iter().unzip();
    let body = json!({"allOrNone": true, "records": rows});
    let path = format!("{API}/composite/sobjects");
    let answer = crm.call(Method::POST, &path, Some(&body)).await?;
    if !answer.status.is_success() {
        return Err(crm.failure(&answer).await);
    }
    let saved: Vec<Saved> = answer
        .json()
        .filter(|saved: &Vec<Saved>| saved.len() == records.len())
        .ok_or(CrmError::Unavailable(answer.status))?;
    let failed = || {
        records
            .iter()
            .zip(&saved)
            .filter(|(_, saved)| !saved.success)
    };
    let guilty = failed().find(|(_, saved)| !saved.is_innocent());
    if let Some((record, saved)) = guilty.or_else(|| failed().next()) {
        let status = StatusCode::BAD_REQUEST;
        return Err(crm.classify(status, &saved.errors, *record).await);
    }
    let id = |wanted: Record| {
        let mut found = records.iter().zip(&saved);
        let (_, saved) = found.find(|(record, _)| **record == wanted)?;
        saved.id.clone()
    };
    Ok(Created {
        lead_id: id(Record::Lead).ok_or(CrmError::Unavailable(answer.status))?,
        contact_id: match &lead.contact {
            ContactPlan::Link(id) => Some(id.clone()),
            _ => id(Record::Contact),
        },
    })
}

/// See [`Crm::create_account`](crate::Crm::create_account).
pub(super) async fn create_account(
    crm: &Salesforce,
    account: &NewAccount<'_>,
) -> Result<String, CrmError> {
    let known = vocabulary(CrmKind::Salesforce);
    let mut values = account_values(CrmKind::Salesforce, account);
    values.insert(IDENTITY_FIELD.to_owned(), json!(account.identity));
    let path = format!("{API}/sobjects/{}", known.account.name);
    let body = Value::Object(values);
    let answer = crm.call(Method::POST, &path, Some(&body)).await?;
    let id = |answer: &Answer, field: &str| {
        let body: Value = answer.json()?;
        body.get(field)?.as_str().map(str::to_owned)
    };
    if answer.status.is_success() {
        return id(&answer, "id").ok_or(CrmError::Unavailable(answer.status));
    }
    let errors = ApiError::all(&answer);
    match crm.classify(answer.status, &errors, Record::Account).await {
        CrmError::Exists => {}
        CrmError::Rejected { fields, .. } if fields.iter().any(|field| field == IDENTITY_FIELD) => {
            return Err(CrmError::Refused {
                record: Record::Account,
                problem: Problem::new(
                    409,
                    "crm_identity_field_missing",
                    "The Salesforce organisation has no field of ours on accounts that would keep an account from being created twice.",
                    "Install the Leadbridge package in the organisation and give the connected user its permission set; or create the account in Salesforce by hand.",
                ),
            });
        }
        error => return Err(error),
    }
    let key = known.account.key();
    let path = format!("{path}/{IDENTITY_FIELD}/{}?fields={key}", account.identity);
    let answer = crm.call(Method::GET, &path, None).await?;
    if !answer.status.is_success() {
        let errors = ApiError::all(&answer);
        return Err(crm.classify(answer.status, &errors, Record::Account).await);
    }
    id(&answer, key).ok_or(CrmError::Unavailable(answer.status))
}

/// See [`Crm::update_lead`](crate::Crm::update_lead).
pub(super) async fn update_lead(
    crm: &Salesforce,
    lead: &LeadRecord,
    values: &BTreeMap<String, Value>,
) -> Result<(), CrmError> {
    let path = lead_path(&lead.id);
    let answer = crm
        .call(Method::PATCH, &path, Some(&json!(written(values))))
        .await?;
    if answer.status.is_success() {
        Ok(())
    } else {
        Err(crm.failure(&answer).await)
    }
}

/// See [`Crm::delete_lead`](crate::Crm::delete_lead).
pub(super) async fn delete_lead(crm: &Salesforce, id: &str) -> Result<(), CrmError> {
    let answer = crm.call(Method::DELETE, &lead_path(id), None).await?;
    if answer.status.is_success() {
        return Ok(());
    }
    match crm.failure(&answer).await {
        CrmError::Missing => Ok(()),
        error => Err(error),
    }
}

fn lead_path(id: &str) -> String {
    let lead = vocabulary(CrmKind::Salesforce).lead;
    format!("{API}/sobjects/{}/{}", lead.name, encode(id))
}
