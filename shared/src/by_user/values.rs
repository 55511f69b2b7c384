//! The fields of a form, their values, and the check of what a user filled in (LC-3).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::crm::{Crm, RecordFields};
use crate::domain::mapping::{comparable, convert};
use crate::domain::schema::{CrmKind, FieldType, LeadField};
use crate::domain::user_writes::{PersonObject, WriteKind};
use crate::domain::vocabulary::{Role, vocabulary};
use crate::problem::Problem;

use super::refused;

/// The purposes of the fields that every form has, in their order.
const KNOWN: [Role; 15] = [
    Role::FirstName,
    Role::LastName,
    Role::Company,
    Role::JobTitle,
    Role::Email,
    Role::Phone,
    Role::Mobile,
    Role::Website,
    Role::Country,
    Role::State,
    Role::Street,
    Role::City,
    Role::PostalCode,
    Role::Topic,
    Role::Source,
];
/// Salesforce's name for the type of a look-up field.
const REFERENCE: &str = "reference";

/// The purposes of the fields that a person cannot be without, whatever the CRM says.
const REQUIRED: [Role; 3] = [Role::FirstName, Role::LastName, Role::Company];

/// The source of a value that a form is filled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ValueOrigin {
    /// The person's entry of the directory.
    Profile,
    /// The sync settings.
    Settings,
}

/// A field of a form.
#[derive(Debug, Clone, PartialEq)]
pub struct FormField {
    /// The field as the CRM describes it to the user.
    pub field: LeadField,
    /// Its purpose, for a field that every form has.
    pub role: Option<Role>,
    /// The known value, in the form in which it is sent; empty if there is none.
    pub value: String,
    /// The source of the value.
    pub origin: Option<ValueOrigin>,
}

/// The known values of a person by their purpose.
pub(super) type Known = BTreeMap<usize, (String, ValueOrigin)>;

/// The known values, by the place of their purpose in a form.
pub(super) fn by_place(values: impl IntoIterator<Item = (Role, String, ValueOrigin)>) -> Known {
    let place = |role: Role| KNOWN.iter().position(|known| *known == role);
    let values = values.into_iter();
    values
        .filter(|(_, text, _)| !text.trim().is_empty())
        .filter_map(|(role, text, origin)| Some((place(role)?, (text, origin))))
        .collect()
}

/// The fields of a form with their known values: those that every form has, and those that the organisation
/// requires besides.
pub(super) fn layout(
    crm: &dyn Crm,
    kind: CrmKind,
    object: PersonObject,
    described: &RecordFields,
    known: &Known,
    region: Option<&str>,
) -> Vec<FormField> {
    let mut form: Vec<FormField> = Vec::new();
    let find = |name: &str| described.fields.iter().find(|field| field.name == name);
    let mut texts_of_codes = Vec::new();
    for (place, role) in KNOWN.into_iter().enumerate() {
        let Some(name) = name(crm, kind, object, role) else {
            continue;
        };
        let mut field = find(name);
        if kind == CrmKind::Salesforce && matches!(role, Role::Country | Role::State) {
            // Where the lists of states and countries are on, only the codes are written: they fill the
            // texts.
            let code = find(&format!("{name}Code"));
            if let Some(code) = code.filter(|code| is_choice(code) && takes_values(code)) {
                texts_of_codes.push(name);
                field = Some(code);
            }
        }
        let Some(field) = field.filter(|field| takes_values(field)) else {
            continue;
        };
        let given = known.get(&place);
        let value = given.and_then(|(text, _)| convert(text.trim(), field, region).ok());
        let value = value.map_or_else(String::new, |(value, _)| as_text(&value));
        form.push(FormField {
            field: LeadField {
                required: field.required || REQUIRED.contains(&role),
                ..field.clone()
            },
            role: Some(role),
            origin: given
                .map(|(_, origin)| *origin)
                .filter(|_| !value.is_empty()),
            value,
        });
    }
    let names: Vec<String> = form.iter().map(|known| known.field.name.clone()).collect();
    let besides = described.fields.iter().filter(|field| {
        field.required
            && field.is_mappable()
            && !names.contains(&field.name)
            && !texts_of_codes.contains(&field.name.as_str())
    });
    form.extend(besides.map(|field| FormField {
        field: field.clone(),
        role: None,
        value: String::new(),
        origin: None,
    }));
    form
}

/// True if the value of a field is another record's id, which a search finds. Salesforce only.
fn is_lookup(field: &LeadField) -> bool {
    matches!(&field.field_type, FieldType::Unsupported { crm_type } if crm_type == REFERENCE)
}

/// Adds the organisation's required look-up fields to the form for a new record. A contact's account has a
/// choice of its own.
pub(super) fn add_lookups(
    form: &mut Vec<FormField>,
    kind: CrmKind,
    object: PersonObject,
    described: &RecordFields,
) {
    let account = vocabulary(kind).contact.named(Role::Account);
    let has_choice = |field: &LeadField| object == PersonObject::Contact && field.name == account;
    let wanted = described
        .fields
        .iter()
        .filter(|field| field.required && is_lookup(field) && !has_choice(field));
    form.extend(wanted.map(|field| FormField {
        field: field.clone(),
        role: None,
        value: String::new(),
        origin: None,
    }));
}

/// The name of the field of a purpose.
fn name(crm: &dyn Crm, kind: CrmKind, object: PersonObject, role: Role) -> Option<&'static str> {
    let of_lead = vocabulary(kind).lead.named(role);
    if of_lead.is_empty() {
        return None;
    }
    match object {
        PersonObject::Lead => Some(of_lead),
        PersonObject::Contact => crm.contact_field(of_lead),
    }
}

const fn is_choice(field: &LeadField) -> bool {
    matches!(field.field_type, FieldType::Picklist { .. })
}

const fn takes_values(field: &LeadField) -> bool {
    (field.createable || field.updateable)
        && !matches!(field.field_type, FieldType::Unsupported { .. })
}

/// A value in the form in which it is shown and sent; empty for none.
pub(super) fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(flag) => flag.to_string(),
        // 5 and 5.0 are the same amount in either CRM.
        Value::Number(number) => number
            .as_f64()
            .map_or_else(|| number.to_string(), |number| number.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => String::new(),
    }
}

/// True if two values mean the same in a field.
pub(super) fn is_same(a: &Value, b: &Value, field: &LeadField, region: Option<&str>) -> bool {
    let (of_a, of_b) = (as_text(a), as_text(b));
    if of_a.trim() == of_b.trim() {
        return true;
    }
    let normal = |value: &Value| comparable(value, field, region);
    let is_exact = matches!(
        field.field_type,
        FieldType::Text { .. } | FieldType::LongText { .. }
    );
    // A name in other letters is another text: the user may want exactly that change.
    !is_exact && normal(a).is_some_and(|a| normal(b) == Some(a))
}

/// Checks what a user filled in, and converts it to the CRM's values. An empty text leaves a field of a new
/// record out, and empties that of another.
///
/// # Errors
/// Returns a 422 problem with the field's name: `unknown_field`, `not_writable`, `required`, `not_a_choice`,
/// `value_does_not_fit`.
pub(super) fn checked(
    form: &[FormField],
    given: &BTreeMap<String, Value>,
    kind: WriteKind,
    region: Option<&str>,
) -> Result<BTreeMap<String, Value>, Problem> {
    let mut values = BTreeMap::new();
    for (name, value) in given {
        let field = form.iter().find(|known| known.field.name == *name);
        let Some(field) = field.map(|known| &known.field) else {
            return Err(refused(
                422,
                "unknown_field",
                name,
                "The form has no such field.",
                "Open the form again: the organisation may have changed its fields.",
            ));
        };
        let may = match kind {
            WriteKind::Create => field.createable,
            WriteKind::Update => field.updateable,
        };
        if !may {
            return Err(refused(
                422,
                "not_writable",
                name,
                format!("The CRM does not let you write {}.", field.label),
                "Leave it out, or have the CRM's administrator allow it.",
            ));
        }
        let text = as_text(value);
        if matches!(value, Value::Array(_) | Value::Object(_)) {
            return Err(does_not_fit(field, "It is a text, a number, or yes or no."));
        }
        if text.trim().is_empty() {
            if kind == WriteKind::Update {
                if field.required {
                    return Err(is_required(field));
                }
                values.insert(name.clone(), Value::Null);
            }
            continue;
        }
        values.insert(name.clone(), converted(text.trim(), field, region)?);
    }
    if kind == WriteKind::Create {
        let missing = form
            .iter()
            .map(|known| &known.field)
            .find(|field| field.required && field.createable && !values.contains_key(&field.name));
        if let Some(field) = missing {
            return Err(is_required(field));
        }
    }
    Ok(values)
}

fn converted(text: &str, field: &LeadField, region: Option<&str>) -> Result<Value, Problem> {
    if is_lookup(field) {
        let is_id =
            matches!(text.len(), 15 | 18) && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        return if is_id {
            Ok(Value::from(text))
        } else {
            Err(does_not_fit(field, "It is the id of a record in the CRM."))
        };
    }
    if let FieldType::Text { max_length } | FieldType::LongText { max_length } = field.field_type {
        // Nobody's text is cut without asking.
        if text.encode_utf16().count() > max_length as usize {
            let detail = format!("It is longer than the field's {max_length} characters.");
            return Err(does_not_fit(field, &detail));
        }
    }
    match convert(text, field, region) {
        Ok((value, _)) => Ok(value),
        Err(reason) => Err(match field.field_type {
            FieldType::Picklist { .. } | FieldType::MultiPicklist { .. } => refused(
                422,
                "not_a_choice",
                &field.name,
                format!("{}: {reason}", field.label),
                "Take one of the choices.",
            ),
            _ => does_not_fit(field, &reason),
        }),
    }
}

fn does_not_fit(field: &LeadField, reason: &str) -> Problem {
    refused(
        422,
        "value_does_not_fit",
        &field.name,
        format!("{}: {reason}", field.label),
        "Correct the value.",
    )
}

fn is_required(field: &LeadField) -> Problem {
    refused(
        422,
        "required",
        &field.name,
        format!("{} is required.", field.label),
        "Fill it in.",
    )
}
