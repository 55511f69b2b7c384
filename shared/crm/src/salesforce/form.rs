//! Records that users create and update: people and accounts of the same name, a record as its user sees it,
//! and a creation that obeys the duplicate rules.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::IDENTITY_FIELD;
use super::client::{API, Salesforce};
use super::errors::ApiError;
use super::schema;
use super::soql::{Condition, Select};
use super::write::{object, ours, record_path, told};
use crate::form::{
    ACCOUNTS_FOUND, Creation, DuplicatesFound, FoundAccount, FoundPerson, FoundRecord, NewPerson,
    PEOPLE_FOUND, SeenRecord, SoughtAccounts, SoughtPeople,
};
use crate::query::{Literal, name};
use crate::{CrmError, Record, written};
use domain::rows::instant;
use domain::schema::CrmKind;
use domain::vocabulary::{ObjectSpec, Role, vocabulary};

/// The field whose value is a record's version: seconds, and the time that `If-Unmodified-Since` is
/// compared with.
const EDITED: &str = "LastModifiedDate";
/// The header of the duplicate rules, with rules that warn in force: they look with the user's own eyes.
const RULES_WARN: (&str, &str) = (
    "sforce-duplicate-rule-header",
    "allowSave=false; runAsCurrentUser=true",
);
/// The header with which a warning creates the record all the same.
const RULES_PASS: (&str, &str) = (
    "sforce-duplicate-rule-header",
    "allowSave=true; runAsCurrentUser=true",
);
/// Maximum number of objects that a look-up field is searched in.
const MOST_TARGETS: usize = 10;
/// A lead that a user creates stays that user's, whatever the assignment rules are.
const NOT_ASSIGNED: (&str, &str) = ("sforce-auto-assign", "FALSE");

pub(super) fn spec(record: Record) -> &'static ObjectSpec {
    let known = vocabulary(CrmKind::Salesforce);
    match record {
        Record::Contact => known.contact,
        Record::Account => known.account,
        Record::Part => known.contact_role,
        Record::Lead | Record::Task => known.lead,
    }
}

/// The ids that a query can hold: one of another form would make Salesforce refuse the whole query.
pub(super) fn ids<'i>(of: impl IntoIterator<Item = &'i str>) -> Vec<&'i str> {
    let is_id = |id: &&str| {
        matches!(id.len(), 15 | 18) && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    of.into_iter().filter(is_id).collect()
}

/// See [`Forms::people`](crate::Forms::people).
pub(super) async fn people(
    crm: &Salesforce,
    sought: &SoughtPeople<'_>,
) -> Result<Vec<FoundPerson>, CrmError> {
    if sought.is_empty() {
        return Ok(Vec::new());
    }
    let kinds = [Record::Lead, Record::Contact];
    let paths = kinds.map(|record| people_query(record, sought).path("query"));
    let mut found = Vec::new();
    for (record, result) in kinds.into_iter().zip(crm.batch(&paths).await?) {
        let status = result.status();
        if !status.is_success() {
            return Err(crm.batch_failure(&result, record).await);
        }
        let rows = rows(&result.result, status)?;
        found.extend(rows.iter().filter_map(|row| person(record, row)));
    }
    Ok(found)
}

fn people_query(record: Record, sought: &SoughtPeople<'_>) -> Select<'static> {
    let spec = spec(record);
    let is = |role: Role, text: &str| {
        Condition::is(spec.named(role), &Literal::Text(text.trim().to_owned()))
    };
    let mut any = Vec::new();
    if let Some((first, last)) = sought.name {
        any.push(Condition::All(vec![
            is(Role::LastName, last),
            is(Role::FirstName, first),
        ]));
    }
    any.extend(sought.email.map(|email| is(Role::Email, email)));
    let known = ids(sought.ids_of(record));
    if !known.is_empty() {
        any.push(Condition::one_of(spec.key(), known));
    }
    let mut all = vec![Condition::Any(any)];
    if record == Record::Lead {
        let converted = spec.named(Role::Converted);
        all.push(Condition::is(converted, &Literal::Boolean(false)));
    }
    let created = spec.named(Role::Created);
    all.extend(
        sought
            .created_since
            .map(|since| Condition::since(created, since)),
    );
    let columns = [
        spec.key(),
        spec.named(Role::Name),
        spec.named(Role::JobTitle),
        spec.named(Role::Email),
        spec.named(Role::Company),
        spec.named(Role::Account),
    ];
    Select::new(spec.name, columns)
        .filter(Condition::All(all))
        .order([created, spec.key()])
        .limit(PEOPLE_FOUND)
}

fn rows(result: &Value, status: StatusCode) -> Result<&Vec<Value>, CrmError> {
    let rows = result.get("records").and_then(Value::as_array);
    rows.ok_or(CrmError::Unavailable(status))
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

fn text(row: &Value, field: &str) -> String {
    let text = row.get(field).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

/// See [`Forms::accounts`](crate::Forms::accounts).
pub(super) async fn accounts(
    crm: &Salesforce,
    sought: SoughtAccounts<'_>,
) -> Result<Vec<FoundAccount>, CrmError> {
    let spec = spec(Record::Account);
    let (called, key) = (spec.named(Role::Name), spec.key());
    let condition = match sought {
        SoughtAccounts::Named(prefix) => Condition::begins(called, prefix.trim()),
        SoughtAccounts::Ids(wanted) => {
            Condition::one_of(key, ids(wanted.iter().map(String::as_str)))
        }
    };
    let (city, website) = (spec.named(Role::City), spec.named(Role::Website));
    let query = Select::new(spec.name, [key, called, city, website])
        .filter(condition)
        .order([called, key])
        .limit(ACCOUNTS_FOUND);
    let account = |row: &Value| {
        Some(FoundAccount {
            id: row.get(key)?.as_str()?.to_owned(),
            name: text(row, called),
            city: text(row, city),
            website: text(row, website),
        })
    };
    let rows = crm.query(&query, Record::Account).await?;
    Ok(rows.iter().filter_map(account).collect())
}

/// See [`Forms::lookup`](crate::Forms::lookup).
pub(super) async fn lookup(
    crm: &Salesforce,
    record: Record,
    field: &str,
    prefix: &str,
) -> Result<Vec<FoundRecord>, CrmError> {
    let targets = schema::targets(crm, record, field).await?;
    let query = |target: &String| {
        let query = Select::new(name(target)?, ["Id", "Name"])
            .filter(Condition::begins("Name", prefix.trim()))
            .order(["Name", "Id"])
            .limit(ACCOUNTS_FOUND);
        Some((target.clone(), query.path("query")))
    };
    let queries = targets.iter().filter_map(query).take(MOST_TARGETS);
    let (objects, paths): (Vec<String>, Vec<String>) = queries.unzip();
    if paths.is_empty() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for (object, result) in objects.into_iter().zip(crm.batch(&paths).await?) {
        let status = result.status();
        if status.is_success() {
            let record = |row: &Value| {
                Some(FoundRecord {
                    object: object.clone(),
                    id: row.get("Id")?.as_str()?.to_owned(),
                    name: text(row, "Name"),
                })
            };
            found.extend(rows(&result.result, status)?.iter().filter_map(record));
        } else {
            // Of the several objects one may have no name, or be hidden from the user.
            match crm.batch_failure(&result, Record::Account).await {
                CrmError::Missing | CrmError::Refused(_) => {}
                error => return Err(error),
            }
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found.truncate(ACCOUNTS_FOUND);
    Ok(found)
}

/// See [`Forms::see`](crate::Forms::see).
pub(super) async fn see(
    crm: &Salesforce,
    record: Record,
    id: &str,
    fields: &[&str],
) -> Result<Option<SeenRecord>, CrmError> {
    let mut columns: Vec<&str> = fields.iter().copied().filter_map(name).collect();
    columns.push(EDITED);
    let path = format!("{}?fields={}", record_path(record, id), columns.join(","));
    let answer = crm.call(Method::GET, &path, None).await?;
    if !answer.status.is_success() {
        let errors = ApiError::all(&answer);
        return match crm.classify(answer.status, &errors, record).await {
            CrmError::Missing => Ok(None),
            error => Err(error),
        };
    }
    let row: Value = answer.json().ok_or(CrmError::Unavailable(answer.status))?;
    let version = text(&row, EDITED);
    let value = |name: &&str| Some(((*name).to_owned(), row.get(*name)?.clone()));
    Ok(Some(SeenRecord {
        values: fields.iter().filter_map(value).collect(),
        modified: instant::instant(&version),
        version,
    }))
}

/// See [`Forms::create_person`](crate::Forms::create_person).
pub(super) async fn create(crm: &Salesforce, new: &NewPerson<'_>) -> Result<Creation, CrmError> {
    let mut values = written(new.values);
    if let Some(identity) = new.identity {
        values.insert(IDENTITY_FIELD.to_owned(), json!(identity));
    }
    if let Some(account) = new.account {
        let field = spec(Record::Contact).named(Role::Account);
        values.insert(field.to_owned(), json!(account));
    }
    let rules = if new.allow_duplicates {
        RULES_PASS
    } else {
        RULES_WARN
    };
    let path = format!("{API}/sobjects/{}", object(new.record).0);
    let body = Value::Object(values);
    let headers = [rules, NOT_ASSIGNED];
    let answer = crm
        .call_headed(Method::POST, &path, Some(&body), &headers)
        .await?;
    if answer.status.is_success() {
        let id = told(&answer, "id").ok_or(CrmError::Unavailable(answer.status))?;
        return Ok(Creation::Created(id));
    }
    let errors = ApiError::all(&answer);
    if errors
        .first()
        .is_some_and(|error| error.error_code == "DUPLICATES_DETECTED")
    {
        let body: Value = answer.json().unwrap_or_default();
        return Ok(Creation::Duplicates(duplicates(&body)));
    }
    match ours(
        crm.classify(answer.status, &errors, new.record).await,
        new.record,
    ) {
        CrmError::Exists => Ok(Creation::Exists),
        error => Err(error),
    }
}

/// The finding of a duplicate rule: the error has it beside its code.
fn duplicates(body: &Value) -> DuplicatesFound {
    let result = body.pointer("/0/duplicateResult").unwrap_or(&Value::Null);
    let list = |value: &Value, name: &str| {
        let list = value.get(name).and_then(Value::as_array);
        list.cloned().unwrap_or_default()
    };
    let mut records = Vec::new();
    for matched in list(result, "matchResults") {
        for found in list(&matched, "matchRecords") {
            let object = found.pointer("/record/attributes/type");
            let object = object.or_else(|| matched.get("entityType"));
            let record = match object.and_then(Value::as_str) {
                Some("Lead") => Record::Lead,
                Some("Contact") => Record::Contact,
                _ => continue,
            };
            let id = found.pointer("/record/Id").and_then(Value::as_str);
            records.extend(id.map(|id| (record, id.to_owned())));
        }
    }
    DuplicatesFound {
        allowed: result.get("allowSave").and_then(Value::as_bool) == Some(true),
        rule: Some(text(result, "duplicateRule")).filter(|rule| !rule.is_empty()),
        records,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_finding_of_a_duplicate_rule_is_read() {
        let body = json!([{
            "errorCode": "DUPLICATES_DETECTED", "message": "Use one of these records?",
            "duplicateResult": {
                "allowSave": true, "duplicateRule": "Standard_Contact_Duplicate_Rule",
                "duplicateRuleEntityType": "Contact", "errorMessage": "Use one of these records?",
                "matchResults": [{
                    "entityType": "Contact", "errors": [], "matchEngine": "FuzzyMatchEngine",
                    "rule": "Standard_Contact_Match_Rule_v1_1", "size": 1, "success": true,
                    "matchRecords": [{
                        "additionalInformation": [], "fieldDiffs": [], "matchConfidence": 100.0,
                        "record": { "attributes": { "type": "Contact", "url": "/x" }, "Id": "003000000000001AAA" },
                    }],
                }],
            },
        }]);
        assert_eq!(
            duplicates(&body),
            DuplicatesFound {
                allowed: true,
                rule: Some("Standard_Contact_Duplicate_Rule".to_owned()),
                records: vec![(Record::Contact, "003000000000001AAA".to_owned())],
            }
        );
        // Without its details the rule blocks.
        assert!(!duplicates(&json!([{ "errorCode": "DUPLICATES_DETECTED" }])).allowed);
    }
}
