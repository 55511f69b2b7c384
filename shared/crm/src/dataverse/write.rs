//! Writing records: created under an id of ours, in one change set if they belong together.

use http::{HeaderName, Method, StatusCode, header};
use serde_json::{Value, json};
use uuid::Uuid;

use super::client::Dataverse;
use super::errors::classify;
use super::multipart::{self, Part, PartAnswer};
use super::odata::Query;
use super::{ACCOUNTS, ACTIVITY_KEY, CONNECTIONS, CONTACT_PROPERTY, CONTACTS, LEADS, TASKS};
use crate::{Bond, CrmError, Outcomes, Record, Tie, Verb, Write, WrittenRecord, written};
use domain::schema::CrmKind;
use domain::vocabulary::vocabulary;
use remote::outbound::{Call, Provider};

pub(super) const fn set(record: Record) -> &'static str {
    match record {
        Record::Lead => LEADS,
        Record::Contact => CONTACTS,
        Record::Account => ACCOUNTS,
        Record::Task => TASKS,
        Record::Part => CONNECTIONS,
    }
}

/// The field with a record's id.
fn key(record: Record) -> &'static str {
    let known = vocabulary(CrmKind::Dynamics365);
    match record {
        Record::Lead => known.lead.key(),
        Record::Contact => known.contact.key(),
        Record::Account => known.account.key(),
        Record::Part => known.contact_role.key(),
        Record::Task => ACTIVITY_KEY,
    }
}

/// A write in the form in which it is sent. `ids` are those of all writes, if they are known before sending.
fn part(writes: &[Write], ids: &[Option<Uuid>], index: usize, write: &Write) -> Part {
    let mut values = written(&write.values);
    let tied = match &write.tie {
        Tie::None => None,
        Tie::ToContact(id) => Uuid::parse_str(id).ok(),
        Tie::ToContactOfRequest => writes
            .iter()
            .position(|other| other.record == Record::Contact)
            .and_then(|index| *ids.get(index)?),
    };
    if let Some(id) = tied {
        let bound = json!(format!("/{CONTACTS}({id})"));
        values.insert(CONTACT_PROPERTY.to_owned(), bound);
    }
    let set = set(write.record);
    let header = match &write.verb {
        Verb::Create { identity: Some(_) } => ("If-None-Match", "*".to_owned()),
        // Dataverse assigns the id: its answer has to contain it.
        Verb::Create { identity: None } => ("Prefer", "return=representation".to_owned()),
        Verb::Update { etag, .. } => ("If-Match", etag.clone().unwrap_or_else(|| "*".to_owned())),
    };
    let (method, query) = match ids.get(index).copied().flatten() {
        Some(id) => ("PATCH", Query::record(set, id)),
        None => ("POST", Query::of(set)),
    };
    Part {
        method,
        path: query.to_string(),
        headers: vec![header],
        body: Some(Value::Object(values)),
    }
}

/// The id of the record, if it is known before sending: an identity is the primary key.
fn id(write: &Write) -> Result<Option<Uuid>, CrmError> {
    match &write.verb {
        Verb::Create { identity } => Ok(*identity),
        // No record has such an id.
        Verb::Update { id, .. } => Uuid::parse_str(id).map(Some).map_err(|_| CrmError::Missing),
    }
}

/// The outcome of one write.
fn outcome(
    write: &Write,
    id: Option<Uuid>,
    status: StatusCode,
    body: &Value,
) -> Result<WrittenRecord, CrmError> {
    if !status.is_success() {
        let sent: Vec<&str> = write.values.keys().map(String::as_str).collect();
        return Err(classify(status, body, write.record, &sent));
    }
    let told = || body.get(key(write.record))?.as_str().map(str::to_owned);
    let id = id.map(|id| id.to_string()).or_else(told);
    Ok(WrittenRecord {
        record: write.record,
        id: id.ok_or(CrmError::Unavailable(status))?,
    })
}

/// See [`Writer::write`](crate::Writer::write).
pub(super) async fn write(
    crm: &Dataverse,
    writes: &[Write],
    bond: Bond,
) -> Result<Outcomes, CrmError> {
    let ids: Vec<Option<Uuid>> = writes.iter().map(id).collect::<Result<_, _>>()?;
    let parts: Vec<Part> = writes
        .iter()
        .enumerate()
        .map(|(index, write)| part(writes, &ids, index, write))
        .collect();
    if let ([write], [part]) = (writes, parts.as_slice())
        && matches!(write.verb, Verb::Update { .. })
    {
        return Ok(vec![update(crm, write, part).await?]);
    }
    let body = match bond {
        Bond::AllOrNone => multipart::change_set(&parts),
        Bond::Each => multipart::independent(&parts),
    };
    let answers = crm.batch(body).await?;
    let failed = answers
        .iter()
        .position(|answer| !answer.status.is_success());
    if let (Bond::AllOrNone, Some(position)) = (bond, failed) {
        return Ok(rolled_back(writes, &ids, &answers, position));
    }
    if answers.len() != writes.len() {
        return Err(CrmError::Unavailable(StatusCode::OK));
    }
    let answered = writes.iter().zip(ids).zip(&answers);
    Ok(answered
        .map(|((write, id), answer)| outcome(write, id, answer.status, &answer.json()))
        .collect())
}

/// The outcomes of a change set that failed. It answers once, for the write that failed. The text identifies
/// that write; if there are as many answers as writes, the position does too.
fn rolled_back(
    writes: &[Write],
    ids: &[Option<Uuid>],
    answers: &[PartAnswer],
    position: usize,
) -> Outcomes {
    let Some(answer) = answers.get(position) else {
        return Vec::new();
    };
    let body = answer.json();
    let message = body
        .pointer("/error/message")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let named = writes.iter().position(|write| {
        let table = write.record.name();
        write.record != Record::Lead
            && (message.contains(&format!("'{table}'"))
                || message.contains(&format!("CRM.{table}")))
    });
    let culprit = named.unwrap_or(if answers.len() == writes.len() {
        position
    } else {
        writes.len().saturating_sub(1)
    });
    let outcomes = writes.iter().enumerate().map(|(index, write)| {
        if index == culprit {
            let id = ids.get(index).copied().flatten();
            outcome(write, id, answer.status, &body)
        } else {
            Err(CrmError::RolledBack)
        }
    });
    outcomes.collect()
}

/// Changes one record.
async fn update(
    crm: &Dataverse,
    write: &Write,
    part: &Part,
) -> Result<Result<WrittenRecord, CrmError>, CrmError> {
    let url = crm.session.url(&part.path)?;
    let mut call = Call::new(Provider::Dataverse, Method::PATCH, url)
        .header(header::ACCEPT, "application/json")
        .header(HeaderName::from_static("odata-version"), "4.0")
        .header(HeaderName::from_static("odata-maxversion"), "4.0")
        .json(&part.body.clone().unwrap_or_default());
    for (_, condition) in &part.headers {
        call = call.header(header::IF_MATCH, condition.clone());
    }
    let answer = crm.session.send(call).await?;
    let body = answer.json().unwrap_or_default();
    Ok(outcome(write, id(write)?, answer.status, &body))
}

/// See [`Writer::delete`](crate::Writer::delete).
pub(super) async fn delete(crm: &Dataverse, record: Record, id: &str) -> Result<(), CrmError> {
    let Ok(id) = Uuid::parse_str(id) else {
        // No record has such an id.
        return Ok(());
    };
    let call = crm.request(Method::DELETE, &Query::record(set(record), id))?;
    let answer = crm.session.send(call).await?;
    if answer.status.is_success() || answer.status == StatusCode::NOT_FOUND {
        return Ok(());
    }
    let body = answer.json().unwrap_or_default();
    Err(classify(answer.status, &body, record, &[]))
}
