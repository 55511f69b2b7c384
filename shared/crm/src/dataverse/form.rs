//! Records that users create and update: people and accounts of the same name, a record as its user sees it,
//! and a creation that obeys the duplicate rules.

use http::{HeaderName, Method, StatusCode, header};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::client::Dataverse;
use super::errors::{classify, error_code};
use super::multipart::{self, Part};
use super::odata::{Filter, Query};
use super::write::set;
use super::{ACCOUNTS, STATE};
use crate::form::{
    ACCOUNTS_FOUND, Creation, DuplicatesFound, FoundAccount, FoundPerson, NewPerson, PEOPLE_FOUND,
    SeenRecord, SoughtAccounts, SoughtPeople,
};
use crate::query::Literal;
use crate::{CrmError, Record, written};
use domain::rows::instant;
use domain::schema::CrmKind;
use domain::vocabulary::{ObjectSpec, Role, vocabulary};
use remote::outbound::{Answer, Call, Provider};

/// The column with the time of the last change.
const MODIFIED: &str = "modifiedon";
/// The navigation property of a contact's account.
const ACCOUNT_PROPERTY: &str = "parentcustomerid_account@odata.bind";
/// The code with which a duplicate rule keeps a record out.
const DUPLICATES: &str = "0x80040333";

pub(super) fn spec(record: Record) -> &'static ObjectSpec {
    let known = vocabulary(CrmKind::Dynamics365);
    match record {
        Record::Contact => known.contact,
        Record::Account => known.account,
        Record::Part => known.contact_role,
        Record::Lead | Record::Task => known.lead,
    }
}

fn uuids<'i>(ids: impl IntoIterator<Item = &'i str>) -> Vec<Uuid> {
    let ids = ids.into_iter();
    ids.filter_map(|id| Uuid::parse_str(id).ok()).collect()
}

/// See [`Forms::people`](crate::Forms::people).
pub(super) async fn people(
    crm: &Dataverse,
    sought: &SoughtPeople<'_>,
) -> Result<Vec<FoundPerson>, CrmError> {
    if sought.is_empty() {
        return Ok(Vec::new());
    }
    let kinds = [Record::Lead, Record::Contact];
    let parts = kinds.map(|record| Part::get(&people_query(record, sought)));
    let answers = crm.batch(multipart::independent(&parts)).await?;
    let mut found = Vec::new();
    for (record, answer) in kinds.into_iter().zip(answers) {
        let rows = rows(answer.status, &answer.json(), record)?;
        found.extend(rows.iter().filter_map(|row| person(record, row)));
    }
    Ok(found)
}

fn people_query(record: Record, sought: &SoughtPeople<'_>) -> Query {
    let spec = spec(record);
    let is = |role: Role, text: &str| {
        Filter::is(spec.named(role), &Literal::Text(text.trim().to_owned()))
    };
    let mut any = Vec::new();
    if let Some((first, last)) = sought.name {
        any.push(Filter::All(vec![
            is(Role::LastName, last),
            is(Role::FirstName, first),
        ]));
    }
    any.extend(sought.email.map(|email| is(Role::Email, email)));
    let known = uuids(sought.ids_of(record));
    if !known.is_empty() {
        any.push(Filter::one_of(spec.key(), known));
    }
    let mut all = vec![Filter::Any(any), Filter::is(STATE, &Literal::Number(0.0))];
    let created = spec.named(Role::Created);
    all.extend(
        sought
            .created_since
            .map(|since| Filter::since(created, since)),
    );
    Query::of(set(record))
        .select([
            spec.key(),
            spec.named(Role::Name),
            spec.named(Role::JobTitle),
            spec.named(Role::Email),
            spec.named(Role::Company),
            spec.named(Role::Account),
        ])
        .filter(Filter::All(all))
        .order([created, spec.key()])
        .top(PEOPLE_FOUND)
}

/// The rows of an answer.
pub(super) fn rows(
    status: StatusCode,
    body: &Value,
    record: Record,
) -> Result<Vec<Value>, CrmError> {
    if !status.is_success() {
        return Err(classify(status, body, record, &[]));
    }
    match body.get("value") {
        Some(Value::Array(rows)) => Ok(rows.clone()),
        _ => Err(CrmError::Unavailable(status)),
    }
}

fn person(record: Record, row: &Value) -> Option<FoundPerson> {
    let spec = spec(record);
    let text = |role: Role| text(row, spec.named(role));
    Some(FoundPerson {
        record,
        id: row.get(spec.key())?.as_str()?.to_owned(),
        name: text(Role::Name),
        title: text(Role::JobTitle),
        company: text(Role::Company),
        email: text(Role::Email),
        account: Some(text(Role::Account)).filter(|id| !id.is_empty()),
    })
}

pub(super) fn text(row: &Value, column: &str) -> String {
    let text = row.get(column).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

/// See [`Forms::accounts`](crate::Forms::accounts).
pub(super) async fn accounts(
    crm: &Dataverse,
    sought: SoughtAccounts<'_>,
) -> Result<Vec<FoundAccount>, CrmError> {
    let spec = spec(Record::Account);
    let (called, key) = (spec.named(Role::Name), spec.key());
    let filter = match sought {
        SoughtAccounts::Named(prefix) => Filter::begins(called, prefix.trim()),
        SoughtAccounts::Ids(ids) => Filter::one_of(key, uuids(ids.iter().map(String::as_str))),
    };
    let (city, website) = (spec.named(Role::City), spec.named(Role::Website));
    let query = Query::of(ACCOUNTS)
        .select([key, called, city, website])
        .filter(filter)
        .order([called, key])
        .top(ACCOUNTS_FOUND);
    let body = multipart::independent(&[Part::get(&query)]);
    let answers = crm.batch(body).await?;
    let answer = answers
        .first()
        .ok_or(CrmError::Unavailable(StatusCode::OK))?;
    let rows = rows(answer.status, &answer.json(), Record::Account)?;
    let account = |row: &Value| {
        Some(FoundAccount {
            id: row.get(key)?.as_str()?.to_owned(),
            name: text(row, called),
            city: text(row, city),
            website: text(row, website),
        })
    };
    Ok(rows.iter().filter_map(account).collect())
}

/// See [`Forms::see`](crate::Forms::see).
pub(super) async fn see(
    crm: &Dataverse,
    record: Record,
    id: &str,
    fields: &[&str],
) -> Result<Option<SeenRecord>, CrmError> {
    // No record has an id of another form.
    let Ok(id) = Uuid::parse_str(id) else {
        return Ok(None);
    };
    let columns = fields.iter().copied().chain([MODIFIED]);
    let query = Query::record(set(record), id).select(columns);
    let answer = crm.session.send(crm.request(Method::GET, &query)?).await?;
    let row: Value = answer.json().unwrap_or_default();
    if !answer.status.is_success() {
        return match classify(answer.status, &row, record, &[]) {
            CrmError::Missing => Ok(None),
            error => Err(error),
        };
    }
    let version = text(&row, "@odata.etag");
    if version.is_empty() {
        return Err(CrmError::Unavailable(answer.status));
    }
    let value = |name: &&str| Some(((*name).to_owned(), row.get(*name)?.clone()));
    Ok(Some(SeenRecord {
        values: fields.iter().filter_map(value).collect(),
        modified: instant::instant(&text(&row, MODIFIED)),
        version,
    }))
}

/// Sends a new record under an id of ours; a record that has the id is refused.
pub(super) async fn insert(
    crm: &Dataverse,
    (set, id): (&str, Uuid),
    values: Map<String, Value>,
    allow_duplicates: bool,
) -> Result<Answer, CrmError> {
    let query = Query::record(set, id);
    let url = crm.session.url(&query.to_string())?;
    let suppressed = if allow_duplicates { "true" } else { "false" };
    let call = Call::new(Provider::Dataverse, Method::PATCH, url)
        .header(header::ACCEPT, "application/json")
        .header(HeaderName::from_static("odata-version"), "4.0")
        .header(HeaderName::from_static("odata-maxversion"), "4.0")
        .header(header::IF_NONE_MATCH, "*")
        .header(
            HeaderName::from_static("mscrm.suppressduplicatedetection"),
            suppressed,
        )
        .json(&Value::Object(values));
    Ok(crm.session.send(call).await?)
}

/// See [`Forms::create_person`](crate::Forms::create_person).
pub(super) async fn create(crm: &Dataverse, new: &NewPerson<'_>) -> Result<Creation, CrmError> {
    let mut values = written(new.values);
    if let Some(account) = new.account.and_then(|id| Uuid::parse_str(id).ok()) {
        let bound = json!(format!("/{ACCOUNTS}({account})"));
        values.insert(ACCOUNT_PROPERTY.to_owned(), bound);
    }
    // The identity is the primary key: every creation has one.
    let identity = new.identity.ok_or(CrmError::Changed)?;
    let at = (set(new.record), identity);
    let answer = insert(crm, at, values, new.allow_duplicates).await?;
    if answer.status.is_success() {
        return Ok(Creation::Created(identity.to_string()));
    }
    let body: Value = answer.json().unwrap_or_default();
    if error_code(&body).eq_ignore_ascii_case(DUPLICATES) {
        // The records are not named: the caller looks for them.
        return Ok(Creation::Duplicates(DuplicatesFound {
            allowed: true,
            rule: None,
            records: Vec::new(),
        }));
    }
    let sent: Vec<&str> = new.values.keys().map(String::as_str).collect();
    match classify(answer.status, &body, new.record, &sent) {
        CrmError::Exists => Ok(Creation::Exists),
        error => Err(error),
    }
}
