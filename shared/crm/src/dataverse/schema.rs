//! The organisation's lead fields, by metadata.

use http::StatusCode;
use serde_json::Value;

use super::client::Dataverse;
use super::errors::classify;
use super::multipart::{self, Part};
use super::odata::Query;
use crate::{CrmError, Record, RecordFields, hidden, shown};
use domain::clock::Millis;
use domain::schema::{CrmKind, FieldType, LeadField, LeadSchema, PicklistOption};
use domain::vocabulary::vocabulary;

/// The metadata types that form values can be written to, and the properties that are read of each.
const ATTRIBUTE_TYPES: &[(&str, &[&str])] = &[
    ("String", &["MaxLength", "Format"]),
    ("Memo", &["MaxLength"]),
    ("Integer", &["MinValue", "MaxValue"]),
    ("Decimal", &["MinValue", "MaxValue"]),
    ("Double", &["MinValue", "MaxValue"]),
    ("Money", &["MinValue", "MaxValue"]),
    ("Boolean", &[]),
    ("DateTime", &["Format"]),
    ("Picklist", &[]),
];

/// See [`SetUp::lead_schema`](crate::SetUp::lead_schema).
pub(super) async fn lead_schema(crm: &Dataverse, now: Millis) -> Result<LeadSchema, CrmError> {
    const NOTHING: &[&str] = &[];
    let known = vocabulary(CrmKind::Dynamics365);
    let mut parts = metadata_parts(known.lead.name, ATTRIBUTE_TYPES);
    let contact_types = ATTRIBUTE_TYPES
        .iter()
        .map(|(kind, _)| (*kind, NOTHING))
        .collect::<Vec<_>>();
    parts.extend(metadata_parts(known.contact.name, &contact_types));
    let answers = crm.batch(multipart::independent(&parts)).await?;
    if answers.len() != parts.len() {
        return Err(CrmError::Unavailable(StatusCode::OK));
    }
    let mut fields = Vec::new();
    let mut contact_fields = Vec::new();
    for (index, answer) in answers.iter().enumerate() {
        let of_lead = index < ATTRIBUTE_TYPES.len();
        let body = answer.json();
        if !answer.status.is_success() {
            if of_lead {
                return Err(classify(answer.status, &body, Record::Lead, &[]));
            }
            continue;
        }
        let rows = body
            .get("value")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let kind = ATTRIBUTE_TYPES
            .get(index % ATTRIBUTE_TYPES.len())
            .map_or("", |(kind, _)| *kind);
        let described = rows.iter().filter_map(|row| attribute(row, kind));
        if of_lead {
            fields.extend(described);
        } else {
            contact_fields.extend(
                described
                    .filter(|field| field.createable)
                    .map(|field| field.name),
            );
        }
    }
    if fields.is_empty() {
        return Err(hidden(Record::Lead));
    }
    fields.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(LeadSchema {
        crm: CrmKind::Dynamics365,
        fields,
        contact_fields,
        has_identity: true,
        has_contact_link: true,
        fetched_at: now,
    })
}

/// See [`Forms::fields_of`](crate::Forms::fields_of).
pub(super) async fn fields_of(crm: &Dataverse, record: Record) -> Result<RecordFields, CrmError> {
    let parts = metadata_parts(record.name(), ATTRIBUTE_TYPES);
    let answers = crm.batch(multipart::independent(&parts)).await?;
    let mut fields = Vec::new();
    for (answer, (kind, _)) in answers.iter().zip(ATTRIBUTE_TYPES) {
        let body = answer.json();
        if !answer.status.is_success() {
            return Err(classify(answer.status, &body, record, &[]));
        }
        let rows = body.get("value").and_then(Value::as_array);
        for row in rows.into_iter().flatten() {
            fields.extend(attribute(row, kind).map(|field| LeadField {
                required: is_asked_for(row, &field),
                ..field
            }));
        }
    }
    if fields.is_empty() {
        return Err(hidden(record));
    }
    fields.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(RecordFields {
        fields,
        has_identity: true,
    })
}

/// True if a form asks for a column: the system requires it, or the organisation does of its forms, which the
/// Web API does not enforce. A column of yes or no always has a value.
fn is_asked_for(row: &Value, field: &LeadField) -> bool {
    let level = row.pointer("/RequiredLevel/Value").and_then(Value::as_str);
    field.createable
        && matches!(level, Some("SystemRequired" | "ApplicationRequired"))
        && !matches!(field.field_type, FieldType::Boolean)
}

fn metadata_parts(entity: &str, types: &[(&str, &[&str])]) -> Vec<Part> {
    const COMMON: &[&str] = &[
        "LogicalName",
        "DisplayName",
        "RequiredLevel",
        "IsValidForCreate",
        "IsValidForUpdate",
        "AttributeType",
    ];
    types
        .iter()
        .map(|(kind, extra)| {
            let mut query =
                Query::columns(entity, kind).select(COMMON.iter().chain(*extra).copied());
            if *kind == "Picklist" {
                query = query
                    .expand("OptionSet", &[])
                    .expand("GlobalOptionSet", &[]);
            }
            Part::get(&query)
        })
        .collect()
}

/// The label in the user's language.
pub(super) fn label(display_name: Option<&Value>) -> Option<String> {
    display_name?
        .pointer("/UserLocalizedLabel/Label")?
        .as_str()
        .map(str::to_owned)
}

fn attribute(row: &Value, kind: &str) -> Option<LeadField> {
    let name = row.get("LogicalName")?.as_str()?.to_owned();
    let flag = |key: &str| row.get(key).and_then(Value::as_bool).unwrap_or(false);
    let bound = |key: &str| row.get(key).and_then(Value::as_f64);
    let length = row
        .get("MaxLength")
        .and_then(Value::as_u64)
        .and_then(|n| u32::try_from(n).ok())
        .unwrap_or(100);
    let format = row
        .get("Format")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let field_type = match kind {
        "String" => match format {
            "Email" => FieldType::Email { max_length: length },
            "Phone" => FieldType::Phone { max_length: length },
            "Url" => FieldType::Url { max_length: length },
            "TextArea" => FieldType::LongText { max_length: length },
            // The standard phone columns have the plain text format.
            _ if name.starts_with("telephone")
                || name == "mobilephone"
                || name.ends_with("_telephone1") =>
            {
                FieldType::Phone { max_length: length }
            }
            _ => FieldType::Text { max_length: length },
        },
        "Memo" => FieldType::LongText { max_length: length },
        "Integer" => FieldType::Integer {
            min: bound("MinValue"),
            max: bound("MaxValue"),
        },
        "Decimal" | "Double" | "Money" => FieldType::Decimal {
            min: bound("MinValue"),
            max: bound("MaxValue"),
        },
        "Boolean" => FieldType::Boolean,
        "DateTime" if format == "DateOnly" => FieldType::Date,
        "DateTime" => FieldType::DateTime,
        "Picklist" => {
            let options = row
                .pointer("/OptionSet/Options")
                .or_else(|| row.pointer("/GlobalOptionSet/Options"))
                .and_then(Value::as_array)
                .map(Vec::as_slice)
                .unwrap_or_default();
            FieldType::Picklist {
                options: options
                    .iter()
                    .filter_map(|option| {
                        let value = option.get("Value")?.as_i64()?.to_string();
                        let label = label(option.get("Label")).unwrap_or_else(|| value.clone());
                        Some(PicklistOption { value, label })
                    })
                    .collect(),
                restricted: true,
                numeric: true,
            }
        }
        other => FieldType::Unsupported {
            crm_type: shown(other),
        },
    };
    Some(LeadField {
        label: label(row.get("DisplayName")).unwrap_or_else(|| name.clone()),
        // "Application required" is a rule of the forms, not of the Web API; only the system's own
        // is enforced.
        required: row.pointer("/RequiredLevel/Value").and_then(Value::as_str)
            == Some("SystemRequired")
            && flag("IsValidForCreate")
            && matches!(field_type, FieldType::Text { .. }),
        name,
        field_type,
        createable: flag("IsValidForCreate"),
        updateable: flag("IsValidForUpdate"),
    })
}
