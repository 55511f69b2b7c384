//! Dynamics 365 Sales, by Dataverse's Web API v9.2.
//!
//! Sources: Microsoft's Web API pages on conditional operations, batch operations, errors and
//! metadata. Creates are `PATCH` to a record id of our choosing with `If-None-Match: *`: the
//! primary key makes them idempotent. A lead and its contact go in one change set. Searches go
//! out in the body of a `$batch`: a query string would carry names and addresses in a URL.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderName, Method, StatusCode, header};
use serde_json::{Map, Value, json};
use url::Url;
use uuid::Uuid;

use super::multipart::{self, Part, PartAnswer};
use super::{
    ContactPlan, Created, Criterion, Crm, CrmError, LeadRecord, LeadSearch, MAX_CANDIDATES,
    NewAccount, NewLead, Record, coarse, contact_identity, contact_values, inventory,
    no_api_access, permission, phone_pattern, shown,
};
use domain::clock::Millis;
use domain::inventory::{AccessReport, CrmOptions};
use domain::normalize::{Comparison, fold};
use domain::problem::Problem;
use domain::schema::{CrmKind, FieldType, LeadField, LeadSchema, PicklistOption};
use remote::outbound::{Answer, Call, Provider};
use remote::session::Session;

pub(super) const API: &str = "/api/data/v9.2";

/// Lead fields whose contact counterpart has another name.
const CONTACT_RENAMES: &[(&str, &str)] = &[];
const CONTACT_SAME: &[&str] = &[
    "salutation",
    "firstname",
    "middlename",
    "lastname",
    "jobtitle",
    "emailaddress1",
    "emailaddress2",
    "telephone1",
    "telephone2",
    "mobilephone",
    "fax",
    "websiteurl",
    "description",
    "address1_line1",
    "address1_line2",
    "address1_line3",
    "address1_city",
    "address1_stateorprovince",
    "address1_postalcode",
    "address1_country",
    "donotbulkemail",
    "donotemail",
    "donotphone",
];

/// The metadata types that form values can go to, and what is read of each.
const ATTRIBUTE_TYPES: &[(&str, &str)] = &[
    ("String", "MaxLength,Format"),
    ("Memo", "MaxLength"),
    ("Integer", "MinValue,MaxValue"),
    ("Decimal", "MinValue,MaxValue"),
    ("Double", "MinValue,MaxValue"),
    ("Money", "MinValue,MaxValue"),
    ("Boolean", ""),
    ("DateTime", "Format"),
    ("Picklist", ""),
];

/// A Dataverse organisation.
pub(super) struct Dataverse {
    session: Arc<Session>,
}

impl Dataverse {
    pub(super) fn new(session: Arc<Session>) -> Self {
        Self { session }
    }

    fn request(&self, method: Method, path: &str) -> Result<Call, CrmError> {
        let url = self.session.url(&format!("{API}/{path}"))?;
        Ok(read_call(method, url))
    }

    pub(super) async fn batch(&self, body: String) -> Result<Vec<PartAnswer>, CrmError> {
        let url = self.session.url(&format!("{API}/$batch"))?;
        let mut call = Call::new(Provider::Dataverse, Method::POST, url)
            .header(header::ACCEPT, "application/json")
            .header(HeaderName::from_static("odata-version"), "4.0")
            .header(HeaderName::from_static("odata-maxversion"), "4.0")
            .header(HeaderName::from_static("prefer"), "odata.continue-on-error")
            .header(header::CONTENT_TYPE, multipart::content_type());
        call.body = Some(Bytes::from(body));
        let answer = self.session.send(call).await?;
        let content_type = answer.header("content-type").unwrap_or_default();
        // A failed batch answers with an error status and still with its parts, or with a plain
        // error when the batch itself was refused.
        match multipart::answers(content_type, &answer.body) {
            Some(parts) if !parts.is_empty() => Ok(parts),
            _ if answer.status.is_success() => Err(CrmError::Unavailable(answer.status)),
            // Refused as a whole, before any part was looked at: the user is no member of the
            // organisation (0x80072560), or has no role in it.
            _ if answer.status == StatusCode::FORBIDDEN => Err(no_api_access(
                CrmKind::Dynamics365,
                error_code(&answer.json().unwrap_or_default()),
            )),
            _ => Err(classify(
                answer.status,
                &answer.json().unwrap_or_default(),
                Record::Lead,
                &[],
            )),
        }
    }

    fn select(read: &[String], schema: &LeadSchema) -> String {
        let mut columns = vec!["leadid", "statecode", "_parentcontactid_value"];
        for name in read {
            if schema.field(name).is_some() && !columns.contains(&name.as_str()) {
                columns.push(name);
            }
        }
        columns.join(",")
    }

    fn metadata_parts(entity: &str, types: &[(&str, &str)]) -> Vec<Part> {
        const COMMON: &str =
            "LogicalName,DisplayName,RequiredLevel,IsValidForCreate,IsValidForUpdate,AttributeType";
        types
            .iter()
            .map(|(kind, extra)| {
                let comma = if extra.is_empty() { "" } else { "," };
                let expand = if *kind == "Picklist" { "&$expand=OptionSet,GlobalOptionSet" } else { "" };
                Part {
                    method: "GET",
                    path: format!(
                        "{API}/EntityDefinitions(LogicalName='{entity}')/Attributes/Microsoft.Dynamics.CRM.{kind}AttributeMetadata?$select={COMMON}{comma}{extra}{expand}"
                    ),
                    headers: Vec::new(),
                    body: None,
                }
            })
            .collect()
    }
}

/// A call without a body.
pub(super) fn read_call(method: Method, url: Url) -> Call {
    Call::new(Provider::Dataverse, method, url)
        .header(header::ACCEPT, "application/json")
        .header(HeaderName::from_static("odata-version"), "4.0")
        .header(HeaderName::from_static("odata-maxversion"), "4.0")
        // Without it answers may come from a cache.
        .header(header::IF_NONE_MATCH, "null")
}

/// The error of one call or part. `sent` are the fields that were written: the message names the
/// offending one among them.
pub(super) fn classify(
    status: StatusCode,
    body: &Value,
    record: Record,
    sent: &[&str],
) -> CrmError {
    let code = error_code(body);
    let message = body
        .pointer("/error/message")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let object = record.name();
    match (status.as_u16(), code) {
        (412, "0x80040237") | (409, _) => CrmError::Exists,
        // `If-None-Match` without the documented code.
        (412, _) if message.contains("already exists") => CrmError::Exists,
        (412, _) => CrmError::Changed,
        (404, _) => CrmError::Missing,
        (_, "0x80040333") => CrmError::Refused {
            record,
            problem: Problem::new(
                409,
                "crm_duplicate_rule",
                format!("A duplicate detection rule of the organisation blocks this {object}."),
                "Change the rule, or add a matching field to the strategy; then send the submission again.",
            ),
        },
        (403, _) => permission(
            record,
            403,
            "crm_permission_missing",
            format!(
                "Dynamics 365 does not let the connected user write this {object} ({}).",
                shown(code)
            ),
        ),
        (400, _) => {
            let quoted = message.split('\'').skip(1).step_by(2);
            let mut fields: Vec<String> = quoted
                .filter(|name| sent.contains(name))
                .map(str::to_owned)
                .collect();
            fields.dedup();
            CrmError::Rejected {
                record,
                fields,
                problem: Problem::new(
                    422,
                    "crm_rejected_value",
                    format!(
                        "Dynamics 365 refuses a value of the {object} ({}).",
                        shown(code)
                    ),
                    "Correct the field mapping or the rule in Dynamics 365 that refuses it, then send the submission again.",
                ),
            }
        }
        _ => CrmError::Unavailable(status),
    }
}

pub(super) fn error_code(body: &Value) -> &str {
    body.pointer("/error/code")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn failure(answer: &Answer, sent: &[&str]) -> CrmError {
    classify(
        answer.status,
        &answer.json().unwrap_or_default(),
        Record::Lead,
        sent,
    )
}

fn record(row: &Value, schema: &LeadSchema) -> Option<LeadRecord> {
    let id = row.get("leadid")?.as_str()?.to_owned();
    let open = row.get("statecode").and_then(Value::as_i64).unwrap_or(0) == 0;
    let contact_id = row
        .get("_parentcontactid_value")
        .and_then(Value::as_str)
        .map(str::to_owned);
    let etag = row
        .get("@odata.etag")
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
        open,
        contact_id,
        etag,
    })
}

/// An `OData` string literal.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn condition(criterion: &Criterion<'_>) -> String {
    let name = &criterion.field.name;
    match (criterion.field.comparison(), criterion.value) {
        (Comparison::Email, _) => format!("{name} eq {}", quote(&criterion.normal)),
        // Dataverse passes wildcards inside contains() on to the database.
        (Comparison::Phone, _) => {
            format!(
                "contains({name},{})",
                quote(phone_pattern(&criterion.normal).trim_matches('%'))
            )
        }
        (Comparison::Url, _) => {
            let host = criterion.normal.split('/').next().unwrap_or_default();
            format!("contains({name},{})", quote(host))
        }
        (Comparison::Text, Value::String(text)) => {
            let folded = fold(text);
            if folded == *text {
                format!("{name} eq {}", quote(text))
            } else {
                format!(
                    "({name} eq {} or {name} eq {})",
                    quote(text),
                    quote(&folded)
                )
            }
        }
        (_, Value::String(text))
            if matches!(
                criterion.field.field_type,
                FieldType::Date | FieldType::DateTime
            ) =>
        {
            format!(
                "{name} eq {}",
                text.chars()
                    .filter(|c| c.is_ascii_alphanumeric() || "-:.+".contains(*c))
                    .collect::<String>()
            )
        }
        (_, Value::String(text)) => format!("{name} eq {}", quote(text)),
        (_, value) => format!("{name} eq {value}"),
    }
}

pub(super) fn encode(query: &str) -> String {
    percent_encoding::utf8_percent_encode(query, percent_encoding::NON_ALPHANUMERIC).to_string()
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

/// The criteria, or one of the ids.
fn matching(search: &LeadSearch<'_>) -> Vec<String> {
    let criteria: Vec<String> = coarse(search.criteria).into_iter().map(condition).collect();
    let ids = search.ids.iter().filter_map(|id| Uuid::parse_str(id).ok());
    let ids: Vec<String> = ids.map(|id| format!("leadid eq {id}")).collect();
    if ids.is_empty() || criteria.is_empty() {
        return criteria;
    }
    let (criteria, ids) = (criteria.join(" and "), ids.join(" or "));
    vec![format!("(({criteria}) or {ids})")]
}

#[async_trait]
impl Crm for Dataverse {
    fn organization(&self) -> &str {
        &self.session.organization
    }

    async fn access(&self, now: Millis) -> Result<AccessReport, CrmError> {
        inventory::dataverse::access(self, now).await
    }

    async fn options(&self, now: Millis) -> Result<CrmOptions, CrmError> {
        inventory::dataverse::options(self, now).await
    }

    async fn lead_schema(&self, now: Millis) -> Result<LeadSchema, CrmError> {
        let mut parts = Self::metadata_parts("lead", ATTRIBUTE_TYPES);
        let contact_types = ATTRIBUTE_TYPES
            .iter()
            .map(|(kind, _)| (*kind, ""))
            .collect::<Vec<_>>();
        parts.extend(Self::metadata_parts("contact", &contact_types));
        let answers = self.batch(multipart::reads(&parts)).await?;
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
            return Err(permission(
                Record::Lead,
                403,
                "crm_object_not_readable",
                "The connected user cannot see the lead table in Dynamics 365.".to_owned(),
            ));
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

    async fn find_leads(
        &self,
        schema: &LeadSchema,
        search: &LeadSearch<'_>,
    ) -> Result<Vec<LeadRecord>, CrmError> {
        let mut conditions = vec!["statecode eq 0".to_owned()];
        conditions.extend(matching(search));
        conditions.extend(
            search
                .created_since
                .map(|since| format!("createdon ge {since}")),
        );
        let path = format!(
            "{API}/leads?$select={}&$filter={}&$orderby=createdon%20asc,leadid%20asc&$top={MAX_CANDIDATES}",
            Self::select(search.read, schema),
            encode(&conditions.join(" and ")),
        );
        let part = Part {
            method: "GET",
            path,
            headers: Vec::new(),
            body: None,
        };
        let answers = self.batch(multipart::reads(&[part])).await?;
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

    async fn lead_by_identity(
        &self,
        schema: &LeadSchema,
        identity: Uuid,
        read: &[String],
    ) -> Result<Option<LeadRecord>, CrmError> {
        let path = format!("leads({identity})?$select={}", Self::select(read, schema));
        let answer = self.session.send(self.request(Method::GET, &path)?).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if !answer.status.is_success() {
            return Err(failure(&answer, &[]));
        }
        let row: Value = answer.json().ok_or(CrmError::Unavailable(answer.status))?;
        record(&row, schema)
            .map(Some)
            .ok_or(CrmError::Unavailable(answer.status))
    }

    async fn create_lead(
        &self,
        schema: &LeadSchema,
        lead: &NewLead<'_>,
    ) -> Result<Created, CrmError> {
        let create = |path: String, body: Map<String, Value>| Part {
            method: "PATCH",
            path,
            headers: vec![("If-None-Match", "*".to_owned())],
            body: Some(Value::Object(body)),
        };
        let mut values: Map<String, Value> = lead
            .values
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let mut parts = Vec::new();
        let contact_id = match &lead.contact {
            ContactPlan::None => None,
            ContactPlan::Create => {
                let id = contact_identity(lead.identity).to_string();
                let contact = contact_values(
                    lead.values,
                    CONTACT_RENAMES,
                    CONTACT_SAME,
                    &schema.contact_fields,
                );
                parts.push(create(format!("{API}/contacts({id})"), contact));
                Some(id)
            }
            ContactPlan::Link(id) => Some(id.clone()),
        };
        if let Some(id) = &contact_id {
            values.insert(
                "parentcontactid@odata.bind".to_owned(),
                json!(format!("/contacts({id})")),
            );
        }
        parts.push(create(format!("{API}/leads({})", lead.identity), values));
        let answers = self.batch(multipart::change_set(&parts)).await?;
        let sent: Vec<&str> = lead.values.keys().map(String::as_str).collect();
        for (index, answer) in answers.iter().enumerate() {
            if !answer.status.is_success() {
                let body = answer.json();
                // A failed change set answers once, for the part that failed; which one the text
                // says, and with as many answers as parts also the position.
                let message = body
                    .pointer("/error/message")
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                let of_contact = parts.len() > 1
                    && (message.contains("'contact'")
                        || message.contains("CRM.contact")
                        || (answers.len() == parts.len() && index == 0));
                let record = if of_contact {
                    Record::Contact
                } else {
                    Record::Lead
                };
                return Err(classify(answer.status, &body, record, &sent));
            }
        }
        if answers.len() != parts.len() {
            return Err(CrmError::Unavailable(StatusCode::OK));
        }
        Ok(Created {
            lead_id: lead.identity.to_string(),
            contact_id,
        })
    }

    async fn create_account(&self, account: &NewAccount<'_>) -> Result<String, CrmError> {
        let mut values = Map::new();
        for (field, value) in [
            ("name", account.name),
            ("websiteurl", account.website),
            ("telephone1", account.phone),
        ] {
            if !value.is_empty() {
                values.insert(field.to_owned(), json!(value));
            }
        }
        let sent: Vec<String> = values.keys().cloned().collect();
        let sent: Vec<&str> = sent.iter().map(String::as_str).collect();
        let part = Part {
            method: "PATCH",
            path: format!("{API}/accounts({})", account.identity),
            headers: vec![("If-None-Match", "*".to_owned())],
            body: Some(Value::Object(values)),
        };
        let answers = self.batch(multipart::change_set(&[part])).await?;
        let answer = answers
            .first()
            .ok_or(CrmError::Unavailable(StatusCode::OK))?;
        if !answer.status.is_success() {
            match classify(answer.status, &answer.json(), Record::Account, &sent) {
                // The identity is the primary key.
                CrmError::Exists => {}
                error => return Err(error),
            }
        }
        Ok(account.identity.to_string())
    }

    async fn update_lead(
        &self,
        lead: &LeadRecord,
        values: &BTreeMap<String, Value>,
    ) -> Result<(), CrmError> {
        let url = self.session.url(&format!("{API}/leads({})", lead.id))?;
        let call = Call::new(Provider::Dataverse, Method::PATCH, url)
            .header(header::ACCEPT, "application/json")
            .header(HeaderName::from_static("odata-version"), "4.0")
            .header(HeaderName::from_static("odata-maxversion"), "4.0")
            .header(
                header::IF_MATCH,
                lead.etag.clone().unwrap_or_else(|| "*".to_owned()),
            )
            .json(&json!(values));
        let answer = self.session.send(call).await?;
        let sent: Vec<&str> = values.keys().map(String::as_str).collect();
        if answer.status.is_success() {
            Ok(())
        } else {
            Err(failure(&answer, &sent))
        }
    }

    async fn delete_lead(&self, id: &str) -> Result<(), CrmError> {
        let answer = self
            .session
            .send(self.request(Method::DELETE, &format!("leads({id})"))?)
            .await?;
        if answer.status.is_success() || answer.status == StatusCode::NOT_FOUND {
            Ok(())
        } else {
            Err(failure(&answer, &[]))
        }
    }

    fn contact_of(&self, identity: Uuid) -> ContactPlan {
        ContactPlan::Link(contact_identity(identity).to_string())
    }

    fn lead_url(&self, id: &str) -> String {
        CrmKind::Dynamics365
            .record_url(&self.session.base_url, "lead", id)
            .into()
    }
}
