//! Searching leads.

use http::{Method, StatusCode};
use serde_json::Value;
use uuid::Uuid;

use super::client::Dataverse;
use super::errors::{classify, failure};
use super::multipart::{self, Part};
use super::odata::{Filter, Query};
use super::{CONTACT_LOOKUP, LEADS, STATE};
use crate::query::Literal;
use crate::{
    Criterion, CrmError, LeadRecord, LeadSearch, MAX_CANDIDATES, Record, coarse, host, phone_tail,
};
use domain::normalize::{Comparison, fold};
use domain::schema::{CrmKind, LeadSchema};
use domain::vocabulary::{ObjectSpec, Role, vocabulary};

fn lead() -> &'static ObjectSpec {
    vocabulary(CrmKind::Dynamics365).lead
}

/// See [`Search::find_leads`](crate::Search::find_leads).
pub(super) async fn find_leads(
    crm: &Dataverse,
    schema: &LeadSchema,
    search: &LeadSearch<'_>,
) -> Result<Vec<LeadRecord>, CrmError> {
    let part = Part::get(&query(schema, search));
    let answers = crm.batch(multipart::independent(&[part])).await?;
    let answer = answers
        .first()
        .ok_or(CrmError::Unavailable(StatusCode::OK))?;
    let body = answer.json();
    if !answer.status.is_success() {
        return Err(classify(answer.status, &body, Record::Lead, &[]));
    }
    let Some(Value::Array(rows)) = body.get("value") else {
        return Err(CrmError::Unavailable(answer.status));
    };
    rows.iter()
        .map(|row| record(row, schema).ok_or(CrmError::Unavailable(answer.status)))
        .collect()
}

/// The query of a search.
fn query(schema: &LeadSchema, search: &LeadSearch<'_>) -> Query {
    let created = lead().named(Role::Created);
    let mut filters = vec![Filter::is(STATE, &Literal::Number(0.0)), matching(search)];
    filters.extend(
        search
            .created_since
            .map(|since| Filter::since(created, since)),
    );
    Query::of(LEADS)
        .select(columns(search.read, schema))
        .filter(Filter::All(filters))
        .order([created, lead().key()])
        .top(MAX_CANDIDATES)
}

/// See [`Search::lead_by_identity`](crate::Search::lead_by_identity).
pub(super) async fn lead_by_identity(
    crm: &Dataverse,
    schema: &LeadSchema,
    identity: Uuid,
    read: &[String],
) -> Result<Option<LeadRecord>, CrmError> {
    let query = Query::record(LEADS, identity).select(columns(read, schema));
    let answer = crm.session.send(crm.request(Method::GET, &query)?).await?;
    if answer.status == StatusCode::NOT_FOUND {
        return Ok(None);
    }
    if !answer.status.is_success() {
        return Err(failure(&answer));
    }
    let row: Value = answer.json().ok_or(CrmError::Unavailable(answer.status))?;
    record(&row, schema)
        .map(Some)
        .ok_or(CrmError::Unavailable(answer.status))
}

/// The columns to read of a lead.
fn columns<'s>(read: &'s [String], schema: &LeadSchema) -> Vec<&'s str> {
    let mut columns = vec![lead().key(), STATE, CONTACT_LOOKUP];
    for name in read {
        if schema.field(name).is_some() && !columns.contains(&name.as_str()) {
            columns.push(name);
        }
    }
    columns
}

/// The coarse condition of one criterion.
fn condition(criterion: &Criterion<'_>) -> Filter {
    let name = criterion.field.name.as_str();
    match (criterion.field.comparison(), criterion.value) {
        (Comparison::Email, _) => Filter::is(name, &Literal::Text(criterion.normal.clone())),
        (Comparison::Phone, _) => Filter::digits(name, &phone_tail(&criterion.normal)),
        (Comparison::Url, _) => Filter::contains(name, host(&criterion.normal)),
        (Comparison::Text, Value::String(text)) => {
            let mut spellings = vec![text.clone(), fold(text)];
            spellings.dedup();
            spellings.retain(|spelling| !spelling.is_empty());
            let tests = spellings
                .into_iter()
                .map(|spelling| Filter::is(name, &Literal::Text(spelling)));
            Filter::Any(tests.collect())
        }
        (_, value) => Literal::of(criterion.field, value)
            .map_or_else(Filter::never, |literal| Filter::is(name, &literal)),
    }
}

/// The condition of a search: the criteria, or one of the ids.
fn matching(search: &LeadSearch<'_>) -> Filter {
    let criteria: Vec<Filter> = coarse(search.criteria).into_iter().map(condition).collect();
    let ids = search.ids.iter().filter_map(|id| Uuid::parse_str(id).ok());
    let ids: Vec<Uuid> = ids.collect();
    if ids.is_empty() || criteria.is_empty() {
        return Filter::All(criteria);
    }
    Filter::Any(vec![
        Filter::All(criteria),
        Filter::one_of(lead().key(), ids),
    ])
}

fn record(row: &Value, schema: &LeadSchema) -> Option<LeadRecord> {
    let text = |name: &str| row.get(name).and_then(Value::as_str).map(str::to_owned);
    let values = row
        .as_object()?
        .iter()
        .filter(|(name, _)| schema.field(name).is_some())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    Some(LeadRecord {
        id: text(lead().key())?,
        values,
        open: row.get(STATE).and_then(Value::as_i64).unwrap_or(0) == 0,
        contact_id: text(CONTACT_LOOKUP),
        etag: text("@odata.etag"),
    })
}
