//! The organisation's lead fields, by describe.

use http::Method;
use serde::Deserialize;

use super::client::{API, Salesforce};
use super::errors::ApiError;
use super::write::object;
use super::{CONTACT_FIELD, IDENTITY_FIELD};
use crate::{CrmError, Reason, Record, RecordFields, hidden, shown};
use domain::clock::Millis;
use domain::schema::{CrmKind, FieldType, LeadField, LeadSchema, PicklistOption};

#[derive(Deserialize)]
struct Describe {
    fields: Vec<DescribedField>,
    /// The user may create such records.
    #[serde(default)]
    createable: bool,
    /// The user may change such records.
    #[serde(default)]
    updateable: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a description as Salesforce sends it"
)]
struct DescribedField {
    name: String,
    #[serde(default)]
    label: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    length: u32,
    #[serde(default)]
    digits: u32,
    #[serde(default)]
    precision: u32,
    #[serde(default)]
    scale: u32,
    #[serde(default)]
    nillable: bool,
    #[serde(default)]
    defaulted_on_create: bool,
    #[serde(default)]
    createable: bool,
    #[serde(default)]
    updateable: bool,
    #[serde(default)]
    restricted_picklist: bool,
    #[serde(default)]
    picklist_values: Vec<PicklistValue>,
    #[serde(default)]
    reference_to: Vec<String>,
}

#[derive(Deserialize)]
struct PicklistValue {
    value: String,
    #[serde(default)]
    label: Option<String>,
    #[serde(default)]
    active: bool,
}

impl DescribedField {
    fn into_field(self) -> LeadField {
        let max_length = self.length.max(1);
        let bound = |digits: u32| {
            let digits = i32::try_from(digits.clamp(1, 18)).unwrap_or(18);
            let most = 10_f64.powi(digits);
            (Some(-most), Some(most))
        };
        let options = || {
            self.picklist_values
                .iter()
                .filter(|option| option.active)
                .map(|option| PicklistOption {
                    value: option.value.clone(),
                    label: option.label.clone().unwrap_or_else(|| option.value.clone()),
                })
                .collect()
        };
        let field_type = match self.kind.as_str() {
            "string" | "encryptedstring" => FieldType::Text { max_length },
            "textarea" => FieldType::LongText { max_length },
            "email" => FieldType::Email { max_length },
            "phone" => FieldType::Phone { max_length },
            "url" => FieldType::Url { max_length },
            "int" | "long" => {
                let (min, max) = bound(self.digits);
                FieldType::Integer { min, max }
            }
            "double" | "currency" | "percent" => {
                let (min, max) = bound(self.precision.saturating_sub(self.scale));
                FieldType::Decimal { min, max }
            }
            "boolean" => FieldType::Boolean,
            "date" => FieldType::Date,
            "datetime" => FieldType::DateTime,
            "picklist" | "combobox" => FieldType::Picklist {
                options: options(),
                restricted: self.restricted_picklist && self.kind == "picklist",
                numeric: false,
            },
            "multipicklist" => FieldType::MultiPicklist {
                options: options(),
                restricted: self.restricted_picklist,
            },
            other => FieldType::Unsupported {
                crm_type: shown(other),
            },
        };
        LeadField {
            required: !self.nillable && !self.defaulted_on_create && self.createable,
            name: self.name,
            label: self.label,
            field_type,
            createable: self.createable,
            updateable: self.updateable,
        }
    }
}

/// See [`SetUp::lead_schema`](crate::SetUp::lead_schema).
pub(super) async fn lead_schema(crm: &Salesforce, now: Millis) -> Result<LeadSchema, CrmError> {
    let paths = ["Lead", "Contact"].map(|object| format!("sobjects/{object}/describe"));
    let results = crm.batch(&paths).await?;
    let mut described = Vec::new();
    for (result, record) in results.into_iter().zip([Record::Lead, Record::Contact]) {
        let status = result.status();
        if status.is_success() {
            let describe: Describe =
                serde_json::from_value(result.result).map_err(|_| CrmError::Unavailable(status))?;
            described.push(describe.fields);
        } else if record == Record::Lead {
            return Err(match crm.batch_failure(&result, record).await {
                CrmError::Missing => hidden(record),
                CrmError::Refused(refusal) if refusal.reason == Reason::Values => hidden(record),
                other => other,
            });
        } else {
            // Without contacts leads are still created, as orphans.
            described.push(Vec::new());
        }
    }
    let mut described = described.into_iter();
    let lead: Vec<DescribedField> = described.next().unwrap_or_default();
    let contact = described.next().unwrap_or_default();
    let has = |fields: &[DescribedField], name: &str| {
        fields
            .iter()
            .any(|field| field.name == name && field.createable)
    };
    Ok(LeadSchema {
        crm: CrmKind::Salesforce,
        has_identity: has(&lead, IDENTITY_FIELD)
            && (contact.is_empty() || has(&contact, IDENTITY_FIELD)),
        has_contact_link: has(&lead, CONTACT_FIELD),
        contact_fields: contact
            .into_iter()
            .filter(|field| field.createable)
            .map(|field| field.name)
            .collect(),
        fields: lead
            .into_iter()
            .filter(|field| field.name != IDENTITY_FIELD && field.name != CONTACT_FIELD)
            .map(DescribedField::into_field)
            .collect(),
        fetched_at: now,
    })
}

/// See [`Forms::fields_of`](crate::Forms::fields_of).
pub(super) async fn fields_of(crm: &Salesforce, record: Record) -> Result<RecordFields, CrmError> {
    let describe = describe(crm, record).await?;
    let has_identity = describe.createable
        && describe
            .fields
            .iter()
            .any(|field| field.name == IDENTITY_FIELD && field.createable);
    let (createable, updateable) = (describe.createable, describe.updateable);
    let fields = describe.fields.into_iter();
    let fields = fields.filter(|field| field.name != IDENTITY_FIELD && field.name != CONTACT_FIELD);
    let field = |field: DescribedField| {
        let field = field.into_field();
        LeadField {
            createable: field.createable && createable,
            updateable: field.updateable && updateable,
            ..field
        }
    };
    Ok(RecordFields {
        fields: fields.map(field).collect(),
        has_identity,
    })
}

/// The objects whose records a field of leads or contacts can name; none if it names no records. One call.
pub(super) async fn targets(
    crm: &Salesforce,
    record: Record,
    field: &str,
) -> Result<Vec<String>, CrmError> {
    let mut fields = describe(crm, record).await?.fields.into_iter();
    let found = fields.find(|known| known.name == field);
    Ok(found.map(|found| found.reference_to).unwrap_or_default())
}

/// Describes leads or contacts, as the user may write them.
async fn describe(crm: &Salesforce, record: Record) -> Result<Describe, CrmError> {
    let path = format!("{API}/sobjects/{}/describe", object(record).0);
    let answer = crm.call(Method::GET, &path, None).await?;
    if !answer.status.is_success() {
        let errors = ApiError::all(&answer);
        return Err(match crm.classify(answer.status, &errors, record).await {
            CrmError::Missing => hidden(record),
            error => error,
        });
    }
    answer.json().ok_or(CrmError::Unavailable(answer.status))
}

#[cfg(test)]
mod tests {
    use super::{Describe, DescribedField};
    use crate::recorded;
    use domain::schema::FieldType;

    #[test]
    fn a_recorded_describe_of_lead_is_understood() {
        let Some(text) = recorded("salesforce/cumulusci_GET_sobjects_Lead_describe.yaml") else {
            return;
        };
        // The body is a folded scalar at the end of the file.
        let body = text.split_once("string: >-").expect("a body").1;
        let body = body.lines().map(str::trim).collect::<Vec<_>>().join(" ");
        let describe: Describe = serde_json::from_str(&body).expect("the describe is JSON");
        let fields: Vec<_> = describe
            .fields
            .into_iter()
            .map(DescribedField::into_field)
            .collect();
        let field = |name: &str| {
            fields
                .iter()
                .find(|field| field.name == name)
                .expect("a standard field")
        };
        assert_eq!(
            field("Email").field_type,
            FieldType::Email { max_length: 80 }
        );
        assert_eq!(
            field("LastName").field_type,
            FieldType::Text { max_length: 80 }
        );
        assert!(
            field("LastName").required && field("Company").required && !field("Email").required
        );
        assert!(
            !field("Id").is_mappable()
                && !field("Name").is_mappable()
                && !field("OwnerId").is_mappable()
        );
        assert!(
            matches!(&field("LeadSource").field_type, FieldType::Picklist { options, numeric: false, .. } if !options.is_empty())
        );
        assert!(matches!(
            field("AnnualRevenue").field_type,
            FieldType::Decimal { .. }
        ));
    }
}
