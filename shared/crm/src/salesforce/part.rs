//! The parts of contacts in opportunities: `OpportunityContactRole`. Salesforce keeps no identity of ours for
//! them, and refuses no second one.

use http::Method;
use serde_json::{Map, json};

use super::client::{API, Salesforce};
use super::errors::ApiError;
use super::form::{ids, spec};
use super::schema;
use super::soql::{Condition, Select};
use super::write::told;
use crate::form::{NewPart, OfferedPart, PARTS_OFFERED};
use crate::{CrmError, Record};
use domain::schema::FieldType;
use domain::vocabulary::Role;

/// See [`Forms::parts`](crate::Forms::parts).
pub(super) async fn parts(crm: &Salesforce) -> Result<Vec<OfferedPart>, CrmError> {
    let field = spec(Record::Part).named(Role::Part);
    let described = schema::fields_of(crm, Record::Part).await?;
    let field = described.fields.into_iter().find(|one| one.name == field);
    let Some(FieldType::Picklist { options, .. }) = field.map(|field| field.field_type) else {
        return Ok(Vec::new());
    };
    let parts = options.into_iter().take(PARTS_OFFERED);
    Ok(parts
        .map(|option| OfferedPart {
            value: option.value,
            label: option.label,
        })
        .collect())
}

/// See [`Forms::part_of`](crate::Forms::part_of).
pub(super) async fn part_of(
    crm: &Salesforce,
    contact: &str,
    opportunity: &str,
) -> Result<Option<String>, CrmError> {
    let spec = spec(Record::Part);
    let is = |role: Role, id| Condition::one_of(spec.named(role), ids([id]));
    let query = Select::new(spec.name, [spec.key()])
        .filter(Condition::All(vec![
            is(Role::Opportunity, opportunity),
            is(Role::Contact, contact),
        ]))
        .order([spec.key()])
        .limit(1);
    let found = crm.query(&query, Record::Part).await?;
    let id = found.first().and_then(|row| row.get(spec.key())?.as_str());
    Ok(id.map(str::to_owned))
}

/// See [`Forms::create_part`](crate::Forms::create_part).
pub(super) async fn create(crm: &Salesforce, new: &NewPart<'_>) -> Result<String, CrmError> {
    let spec = spec(Record::Part);
    let named = [
        (Role::Opportunity, Some(new.opportunity)),
        (Role::Contact, Some(new.contact)),
        (Role::Part, new.part),
    ];
    let values = named.into_iter();
    let values: Map<_, _> = values
        .filter_map(|(role, value)| Some((spec.named(role).to_owned(), json!(value?))))
        .collect();
    let path = format!("{API}/sobjects/{}", spec.name);
    let answer = crm.call(Method::POST, &path, Some(&values.into())).await?;
    if answer.status.is_success() {
        return told(&answer, "id").ok_or(CrmError::Unavailable(answer.status));
    }
    let errors = ApiError::all(&answer);
    Err(crm.classify(answer.status, &errors, Record::Part).await)
}
