//! Searching leads.

use http::StatusCode;
use serde_json::Value;
use uuid::Uuid;

use super::client::Salesforce;
use super::soql::{Condition, Select};
use super::{CONTACT_FIELD, IDENTITY_FIELD};
use crate::query::Literal;
use crate::{
    Criterion, CrmError, LeadRecord, LeadSearch, MAX_CANDIDATES, Record, coarse, host, phone_tail,
};
use domain::normalize::{Comparison, fold};
use domain::schema::{CrmKind, LeadSchema};
use domain::vocabulary::{ObjectSpec, Role, vocabulary};

fn lead() -> &'static ObjectSpec {
    vocabulary(CrmKind::Salesforce).lead
}

/// See [`Search::find_leads`](crate::Search::find_leads).
pub(super) async fn find_leads(
    crm: &Salesforce,
    schema: &LeadSchema,
    search: &LeadSearch<'_>,
) -> Result<Vec<LeadRecord>, CrmError> {
    run(crm, &query(schema, search), schema).await
}

/// The query of a search.
fn query<'s>(schema: &LeadSchema, search: &LeadSearch<'s>) -> Select<'s> {
    let created = lead().named(Role::Created);
    let mut conditions = vec![
        Condition::is(lead().named(Role::Converted), &Literal::Boolean(false)),
        matching(search),
    ];
    conditions.extend(
        search
            .created_since
            .map(|since| Condition::since(created, since)),
    );
    leads(search.read, schema)
        .filter(Condition::All(conditions))
        .order([created, lead().key()])
        .limit(MAX_CANDIDATES)
}

/// See [`Search::lead_by_identity`](crate::Search::lead_by_identity).
pub(super) async fn lead_by_identity(
    crm: &Salesforce,
    schema: &LeadSchema,
    identity: Uuid,
    read: &[String],
) -> Result<Option<LeadRecord>, CrmError> {
    if !schema.has_identity {
        return Ok(None);
    }
    let same = Condition::is(IDENTITY_FIELD, &Literal::Text(identity.to_string()));
    let query = leads(read, schema).filter(same).limit(1);
    Ok(run(crm, &query, schema).await?.into_iter().next())
}

/// A query for leads with the columns to read.
fn leads<'s>(read: &'s [String], schema: &LeadSchema) -> Select<'s> {
    let mut columns = vec![lead().key(), lead().named(Role::Converted)];
    if schema.has_contact_link {
        columns.push(CONTACT_FIELD);
    }
    for name in read {
        if schema.field(name).is_some() && !columns.contains(&name.as_str()) {
            columns.push(name);
        }
    }
    Select::new(lead().name, columns)
}

/// The coarse condition of one criterion.
fn condition(criterion: &Criterion<'_>) -> Condition {
    let name = criterion.field.name.as_str();
    match (criterion.field.comparison(), criterion.value) {
        (Comparison::Email, _) => Condition::is(name, &Literal::Text(criterion.normal.clone())),
        (Comparison::Phone, _) => Condition::digits(name, &phone_tail(&criterion.normal)),
        (Comparison::Url, _) => Condition::contains(name, host(&criterion.normal)),
        (Comparison::Text, Value::String(text)) => {
            let mut spellings = vec![text.clone(), fold(text)];
            spellings.dedup();
            Condition::one_of(name, spellings.iter().map(String::as_str))
        }
        (_, value) => Literal::of(criterion.field, value)
            .map_or_else(Condition::never, |literal| Condition::is(name, &literal)),
    }
}

/// The condition of a search: the criteria, or one of the ids.
fn matching(search: &LeadSearch<'_>) -> Condition {
    let criteria: Vec<Condition> = coarse(search.criteria).into_iter().map(condition).collect();
    // An id in another form would make Salesforce refuse the whole query.
    let is_id = |id: &&str| {
        matches!(id.len(), 15 | 18) && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    let ids: Vec<&str> = search
        .ids
        .iter()
        .map(String::as_str)
        .filter(is_id)
        .collect();
    if ids.is_empty() || criteria.is_empty() {
        return Condition::All(criteria);
    }
    Condition::Any(vec![
        Condition::All(criteria),
        Condition::one_of(lead().key(), ids),
    ])
}

/// Runs a query in the body of a batch.
async fn run(
    crm: &Salesforce,
    query: &Select<'_>,
    schema: &LeadSchema,
) -> Result<Vec<LeadRecord>, CrmError> {
    let rows = crm.query(query, Record::Lead).await?.into_iter();
    rows.map(|row| record(&row, schema).ok_or(CrmError::Unavailable(StatusCode::OK)))
        .collect()
}

fn record(row: &Value, schema: &LeadSchema) -> Option<LeadRecord> {
    let id = row.get(lead().key())?.as_str()?.to_owned();
    let converted = row.get(lead().named(Role::Converted));
    let contact_id = row
        .get(CONTACT_FIELD)
        .and_then(Value::as_str)
        .map(str::to_owned);
    let values = row
        .as_object()?
        .iter()
        .filter(|(name, _)| schema.field(name).is_some())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    Some(LeadRecord {
        id,
        values,
        open: converted.and_then(Value::as_bool) != Some(true),
        contact_id,
        etag: None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::soql::Condition;
    use crate::phone_tail;

    #[test]
    fn a_phone_pattern_finds_any_punctuation() {
        let pattern = |normal: &str| Condition::digits("Phone", &phone_tail(normal)).to_string();
        assert_eq!(pattern("+14155552671"), "Phone LIKE '%5%5%5%2%6%7%1%'");
        assert_eq!(pattern("+1"), "Phone LIKE '%1%'");
    }
}
