//! Creating, changing and deleting records.

use std::collections::BTreeMap;

use http::{HeaderName, Method, StatusCode, header};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::client::Dataverse;
use super::errors::{classify, failure};
use super::multipart::{self, Part};
use super::odata::Query;
use super::{ACCOUNTS, CONTACT_PROPERTY, CONTACTS, LEADS};
use crate::{
    ContactPlan, Created, CrmError, LeadRecord, NewAccount, NewLead, Record, account_values,
    contact_identity, contact_values, written,
};
use domain::schema::{CrmKind, LeadSchema};
use remote::outbound::{Call, Provider};

/// A part that creates a record, and never changes one that is there.
fn create(set: &str, id: Uuid, values: Map<String, Value>) -> Part {
    Part {
        method: "PATCH",
        path: Query::record(set, id).to_string(),
        headers: vec![("If-None-Match", "*".to_owned())],
        body: Some(Value::Object(values)),
    }
}

/// See [`Crm::create_lead`](crate::Crm::create_lead).
pub(super) async fn create_lead(
    crm: &Dataverse,
    schema: &LeadSchema,
    lead: &NewLead<'_>,
) -> Result<Created, CrmError> {
    let mut values = written(lead.values);
    let mut parts = Vec::new();
    let contact_id = match &lead.contact {
        ContactPlan::None => None,
        ContactPlan::Create => {
            let id = contact_identity(lead.identity);
            let contact = contact_values(CrmKind::Dynamics365, lead.values, &schema.contact_fields);
            parts.push(create(CONTACTS, id, contact));
            Some(id.to_string())
        }
        ContactPlan::Link(id) => Some(id.clone()),
    };
    if let Some(id) = contact_id.as_ref().and_then(|id| Uuid::parse_str(id).ok()) {
        let bound = json!(format!("/{CONTACTS}({id})"));
        values.insert(CONTACT_PROPERTY.to_owned(), bound);
    }
    parts.push(create(LEADS, lead.identity, values));
    let answers = crm.batch(multipart::change_set(&parts)).await?;
    let sent: Vec<&str> = lead.values.keys().map(String::as_str).collect();
    for (index, answer) in answers.iter().enumerate() {
        if !answer.status.is_success() {
            let body = answer.json();
            // A failed change set answers once, for the part that failed; which one the text
            // says, and with as many answers as parts also the position.
            let message = body
                .pointer("/error/message")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let of_contact = parts.len() > 1
                && (message.contains("'contact'")
                    || message.contains("CRM.contact")
                    || (answers.len() == parts.len() && index == 0));
            let record = if of_contact {
                Record::Contact
            } else {
                Record::Lead
            };
            return Err(classify(answer.status, &body, record, &sent));
        }
    }
    if answers.len() != parts.len() {
        return Err(CrmError::Unavailable(StatusCode::OK));
    }
    Ok(Created {
        lead_id: lead.identity.to_string(),
        contact_id,
    })
}

/// See [`Crm::create_account`](crate::Crm::create_account).
pub(super) async fn create_account(
    crm: &Dataverse,
    account: &NewAccount<'_>,
) -> Result<String, CrmError> {
    let values = account_values(CrmKind::Dynamics365, account);
    let sent: Vec<String> = values.keys().cloned().collect();
    let sent: Vec<&str> = sent.iter().map(String::as_str).collect();
    let part = create(ACCOUNTS, account.identity, values);
    let answers = crm.batch(multipart::change_set(&[part])).await?;
    let answer = answers
        .first()
        .ok_or(CrmError::Unavailable(StatusCode::OK))?;
    if !answer.status.is_success() {
        match classify(answer.status, &answer.json(), Record::Account, &sent) {
            // The identity is the primary key.
            CrmError::Exists => {}
            error => return Err(error),
        }
    }
    Ok(account.identity.to_string())
}

/// See [`Crm::update_lead`](crate::Crm::update_lead).
pub(super) async fn update_lead(
    crm: &Dataverse,
    lead: &LeadRecord,
    values: &BTreeMap<String, Value>,
) -> Result<(), CrmError> {
    let url = crm.session.url(&lead_query(&lead.id)?.to_string())?;
    let call = Call::new(Provider::Dataverse, Method::PATCH, url)
        .header(header::ACCEPT, "application/json")
        .header(HeaderName::from_static("odata-version"), "4.0")
        .header(HeaderName::from_static("odata-maxversion"), "4.0")
        .header(
            header::IF_MATCH,
            lead.etag.clone().unwrap_or_else(|| "*".to_owned()),
        )
        .json(&Value::Object(written(values)));
    let answer = crm.session.send(call).await?;
    let sent: Vec<&str> = values.keys().map(String::as_str).collect();
    if answer.status.is_success() {
        Ok(())
    } else {
        Err(failure(&answer, &sent))
    }
}

/// See [`Crm::delete_lead`](crate::Crm::delete_lead).
pub(super) async fn delete_lead(crm: &Dataverse, id: &str) -> Result<(), CrmError> {
    let Ok(query) = lead_query(id) else {
        // No record has such an id.
        return Ok(());
    };
    let answer = crm
        .session
        .send(crm.request(Method::DELETE, &query)?)
        .await?;
    if answer.status.is_success() || answer.status == StatusCode::NOT_FOUND {
        Ok(())
    } else {
        Err(failure(&answer, &[]))
    }
}

/// A lead by the CRM's id.
fn lead_query(id: &str) -> Result<Query, CrmError> {
    let id = Uuid::parse_str(id).map_err(|_| CrmError::Missing)?;
    Ok(Query::record(LEADS, id))
}
