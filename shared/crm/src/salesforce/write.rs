//! Writing records: in collections, all or none or each independently; a single change alone.
//!
//! A lead and its contact go in one collection (sObject Collections, all or none), which creates them in
//! their order. The lead names its contact by the contact's external id, a foreign key, since no text of
//! a collection is read as a reference. Where the organisation lacks our field there is no such key, and
//! the two are not linked.

use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::activity::TASK;
use super::client::{API, RULES_PASS, Salesforce};
use super::errors::ApiError;
use super::{CONTACT_FIELD, IDENTITY_FIELD};
use crate::query::encode;
use crate::{
    Bond, CrmError, Outcomes, Reason, Record, Refusal, Tie, Verb, Write, WrittenRecord, written,
};
use domain::rows::instant;
use domain::schema::CrmKind;
use domain::vocabulary::vocabulary;
use remote::outbound::Answer;

/// The relationship of our look-up from lead to contact.
const CONTACT_RELATION: &str = "Leadbridge_Contact__r";
/// The header that decides whether an assignment rule may choose the owner. Its default is *TRUE*, also for
/// changes (REST API developer guide, "Assignment Rule Header").
const NOT_ASSIGNED_ANEW: (&str, &str) = ("sforce-auto-assign", "FALSE");

/// The header with which a change is refused if the record was changed after that time (REST API developer
/// guide, "Conditional Request Headers").
const UNMODIFIED: &str = "if-unmodified-since";

/// A row's outcome in a collection.
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
    /// True if it failed only because another row did.
    fn is_innocent(&self) -> bool {
        self.errors.iter().all(|error| {
            matches!(
                error.error_code.as_str(),
                "PROCESSING_HALTED" | "ALL_OR_NONE_OPERATION_ROLLED_BACK"
            )
        })
    }
}

/// The name of a record's object, and of the field with its id.
pub(super) fn object(record: Record) -> (&'static str, &'static str) {
    let known = vocabulary(CrmKind::Salesforce);
    let spec = match record {
        Record::Lead => known.lead,
        Record::Contact => known.contact,
        Record::Account => known.account,
        Record::Part => known.contact_role,
        Record::Task => return (TASK, "Id"),
    };
    (spec.name, spec.key())
}

/// A row of a collection.
fn row(record: Record, mut values: Map<String, Value>) -> Value {
    values.insert("attributes".to_owned(), json!({"type": object(record).0}));
    Value::Object(values)
}

/// The values to send.
fn values(writes: &[Write], write: &Write) -> Map<String, Value> {
    let mut values = written(&write.values);
    match &write.verb {
        Verb::Create { identity } => {
            if let Some(identity) = identity {
                values.insert(IDENTITY_FIELD.to_owned(), json!(identity));
            }
        }
        Verb::Update { id, .. } => {
            values.insert(object(write.record).1.to_owned(), json!(id));
        }
    }
    match &write.tie {
        Tie::None => {}
        Tie::ToContact(id) => {
            values.insert(CONTACT_FIELD.to_owned(), json!(id));
        }
        // The contact comes before the lead, and is found by its identity.
        Tie::ToContactOfRequest => {
            let contact = writes.iter().find(|other| other.record == Record::Contact);
            if let Some(Verb::Create {
                identity: Some(identity),
            }) = contact.map(|contact| &contact.verb)
            {
                let mut key = Map::new();
                key.insert(IDENTITY_FIELD.to_owned(), json!(identity));
                values.insert(CONTACT_RELATION.to_owned(), row(Record::Contact, key));
            }
        }
    }
    values
}

/// See [`Writer::write`](crate::Writer::write).
pub(super) async fn write(
    crm: &Salesforce,
    writes: &[Write],
    bond: Bond,
) -> Result<Outcomes, CrmError> {
    match writes {
        [
            write @ Write {
                verb: Verb::Update { id, etag },
                ..
            },
        ] => {
            return Ok(vec![update(crm, write, id, etag.as_deref()).await?]);
        }
        [
            write @ Write {
                record: Record::Account,
                ..
            },
        ] => {
            return Ok(vec![create(crm, write).await?]);
        }
        _ => {}
    }
    let rows = writes
        .iter()
        .map(|write| row(write.record, values(writes, write)));
    let rows: Vec<Value> = rows.collect();
    let changes = writes
        .iter()
        .filter(|write| matches!(write.verb, Verb::Update { .. }));
    // A collection is either created or changed: one call does not do both.
    let (method, header) = match changes.count() {
        0 => (Method::POST, None),
        changes if changes == writes.len() => (Method::PATCH, Some(NOT_ASSIGNED_ANEW)),
        _ => return Err(CrmError::Unclear("MIXED_WRITES".to_owned())),
    };
    let records: Vec<Record> = writes.iter().map(|write| write.record).collect();
    save(crm, (method, header), &rows, &records, bond).await
}

/// Creates or changes the rows of one collection, whose kinds are `records`.
pub(super) async fn save(
    crm: &Salesforce,
    (method, header): (Method, Option<(&'static str, &'static str)>),
    rows: &[Value],
    records: &[Record],
    bond: Bond,
) -> Result<Outcomes, CrmError> {
    let body = json!({"allOrNone": bond == Bond::AllOrNone, "records": rows});
    let path = format!("{API}/composite/sobjects");
    let answer = crm.call_with(method, &path, Some(&body), header).await?;
    if !answer.status.is_success() {
        let wanted = records.last().copied().unwrap_or(Record::Lead);
        let errors = ApiError::all(&answer);
        return Err(ours(
            crm.classify(answer.status, &errors, wanted).await,
            wanted,
        ));
    }
    let saved: Vec<Saved> = answer
        .json()
        .filter(|saved: &Vec<Saved>| saved.len() == records.len())
        .ok_or(CrmError::Unavailable(answer.status))?;
    // If every row only reports that another one failed, none is the cause: each gets that error.
    let somebody = saved.iter().any(|row| !row.success && !row.is_innocent());
    let mut outcomes = Vec::new();
    for (&record, saved) in records.iter().zip(saved) {
        outcomes.push(if saved.success {
            let id = saved.id.ok_or(CrmError::Unavailable(answer.status))?;
            Ok(WrittenRecord { record, id })
        } else if somebody && saved.is_innocent() {
            Err(CrmError::RolledBack)
        } else {
            let status = StatusCode::BAD_REQUEST;
            let error = crm.classify(status, &saved.errors, record).await;
            Err(ours(error, record))
        });
    }
    Ok(outcomes)
}

/// Replaces a refusal of our own field: without it the record could be created twice.
pub(super) fn ours(error: CrmError, record: Record) -> CrmError {
    match error {
        CrmError::Refused(refusal) if refusal.fields.iter().any(|name| name == IDENTITY_FIELD) => {
            Refusal::new(record, Reason::NoIdentityField, &refusal.code).into()
        }
        error => error,
    }
}

/// Creates one record.
async fn create(
    crm: &Salesforce,
    write: &Write,
) -> Result<Result<WrittenRecord, CrmError>, CrmError> {
    let path = format!("{API}/sobjects/{}", object(write.record).0);
    let body = Value::Object(values(&[], write));
    let answer = crm.call(Method::POST, &path, Some(&body)).await?;
    outcome(crm, write, &answer, told(&answer, "id")).await
}

/// Changes one record.
async fn update(
    crm: &Salesforce,
    write: &Write,
    id: &str,
    version: Option<&str>,
) -> Result<Result<WrittenRecord, CrmError>, CrmError> {
    let path = record_path(write.record, id);
    let body = Value::Object(written(&write.values));
    let unmodified = match version.map(instant::instant) {
        None => None,
        Some(Some(at)) => Some(at.http_date()),
        // No version of ours.
        Some(None) => return Ok(Err(CrmError::Changed)),
    };
    let mut headers: Vec<(&'static str, &str)> = vec![RULES_PASS, NOT_ASSIGNED_ANEW];
    if let Some(date) = &unmodified {
        headers.push((UNMODIFIED, date.as_str()));
    }
    let answer = crm
        .call_headed(Method::PATCH, &path, Some(&body), &headers)
        .await?;
    if unmodified.is_some() && answer.status == StatusCode::PRECONDITION_FAILED {
        return Ok(Err(CrmError::Changed));
    }
    outcome(crm, write, &answer, Some(id.to_owned())).await
}

async fn outcome(
    crm: &Salesforce,
    write: &Write,
    answer: &Answer,
    id: Option<String>,
) -> Result<Result<WrittenRecord, CrmError>, CrmError> {
    if answer.status.is_success() {
        return Ok(Ok(WrittenRecord {
            record: write.record,
            id: id.ok_or(CrmError::Unavailable(answer.status))?,
        }));
    }
    let errors = ApiError::all(answer);
    let error = crm.classify(answer.status, &errors, write.record).await;
    Ok(Err(ours(error, write.record)))
}

/// See [`Writer::delete`](crate::Writer::delete).
pub(super) async fn delete(crm: &Salesforce, record: Record, id: &str) -> Result<(), CrmError> {
    let path = record_path(record, id);
    let answer = crm.call(Method::DELETE, &path, None).await?;
    if answer.status.is_success() {
        return Ok(());
    }
    let errors = ApiError::all(&answer);
    match crm.classify(answer.status, &errors, record).await {
        CrmError::Missing => Ok(()),
        error => Err(error),
    }
}

/// See [`Writer::id_of`](crate::Writer::id_of).
pub(super) async fn id_of(
    crm: &Salesforce,
    record: Record,
    identity: Uuid,
) -> Result<Option<String>, CrmError> {
    let (name, key) = object(record);
    let path = format!("{API}/sobjects/{name}/{IDENTITY_FIELD}/{identity}?fields={key}");
    let answer = crm.call(Method::GET, &path, None).await?;
    if answer.status.is_success() {
        let id = told(&answer, key).ok_or(CrmError::Unavailable(answer.status))?;
        return Ok(Some(id));
    }
    let errors = ApiError::all(&answer);
    match crm.classify(answer.status, &errors, record).await {
        CrmError::Missing => Ok(None),
        error => Err(error),
    }
}

/// A text of an answer.
pub(super) fn told(answer: &Answer, field: &str) -> Option<String> {
    let body: Value = answer.json()?;
    body.get(field)?.as_str().map(str::to_owned)
}

pub(super) fn record_path(record: Record, id: &str) -> String {
    format!("{API}/sobjects/{}/{}", object(record).0, encode(id))
}
