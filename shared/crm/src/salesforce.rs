//! Salesforce, by its REST API.
//!
//! Sources: the REST API developer guide (composite, composite batch, describe, error codes).
//! Searches go out as the body of a composite request: a query string would carry names and
//! addresses in a URL.
//!
//! Creates are made idempotent by a unique external-id field of ours, `Leadbridge_Id__c`, which
//! the package in `salesforce/` installs. They are plain inserts, not upserts: an upsert that
//! meets an existing lead would overwrite it, an insert answers `DUPLICATE_VALUE`.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use http::{HeaderName, Method, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

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

/// REST API version; each is served for at least three years.
pub(super) const API: &str = "/services/data/v62.0";
/// Our external-id field on Lead and Contact: text(36), unique.
const IDENTITY_FIELD: &str = "Leadbridge_Id__c";
/// Our look-up from Lead to Contact.
const CONTACT_FIELD: &str = "Leadbridge_Contact__c";
/// How long every worker pauses when the organisation's daily calls are used up, in seconds.
const LIMIT_PAUSE_SECONDS: i64 = 900;

/// Lead fields and the contact fields that take their values.
const CONTACT_RENAMES: &[(&str, &str)] = &[
    ("Street", "MailingStreet"),
    ("City", "MailingCity"),
    ("State", "MailingState"),
    ("PostalCode", "MailingPostalCode"),
    ("Country", "MailingCountry"),
    ("StateCode", "MailingStateCode"),
    ("CountryCode", "MailingCountryCode"),
];
const CONTACT_SAME: &[&str] = &[
    "Salutation",
    "FirstName",
    "LastName",
    "Email",
    "Phone",
    "MobilePhone",
    "Fax",
    "Title",
    "LeadSource",
    "Description",
    "HasOptedOutOfEmail",
    "DoNotCall",
];

/// A Salesforce organisation.
pub(super) struct Salesforce {
    session: Arc<Session>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ApiError {
    #[serde(default, rename = "errorCode")]
    pub(super) error_code: String,
    #[serde(default)]
    pub(super) message: String,
    #[serde(default)]
    fields: Vec<String>,
}

impl ApiError {
    /// The errors that an answer lists; none where it is no list of errors.
    pub(super) fn all(answer: &Answer) -> Vec<Self> {
        answer.json().unwrap_or_default()
    }
}

#[derive(Deserialize)]
struct CompositeAnswer {
    #[serde(rename = "compositeResponse")]
    responses: Vec<SubResponse>,
}

#[derive(Deserialize)]
struct SubResponse {
    #[serde(default)]
    body: Value,
    #[serde(rename = "httpStatusCode")]
    status: u16,
    #[serde(default, rename = "referenceId")]
    reference: String,
}

#[derive(Deserialize)]
struct BatchAnswer {
    results: Vec<BatchResult>,
}

/// The answer of one read of a composite batch.
#[derive(Deserialize)]
pub(super) struct BatchResult {
    #[serde(rename = "statusCode")]
    status: u16,
    #[serde(default)]
    pub(super) result: Value,
}

impl BatchResult {
    pub(super) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_GATEWAY)
    }
}

#[derive(Deserialize)]
struct Describe {
    fields: Vec<DescribedField>,
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

impl Salesforce {
    pub(super) fn new(session: Arc<Session>) -> Self {
        Self { session }
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, CrmError> {
        let url = self.session.url(path)?;
        let mut call = Call::new(Provider::Salesforce, method, url)
            .header(http::header::ACCEPT, "application/json")
            // Rules that only warn about duplicates must not keep a lead out: the strategy has
            // decided. Rules that block still block.
            .header(
                HeaderName::from_static("sforce-duplicate-rule-header"),
                "allowSave=true",
            );
        if let Some(body) = body {
            call = call.json(body);
        }
        Ok(self.session.send(call).await?)
    }

    /// The error of a call as a whole.
    pub(super) async fn failure(&self, answer: &Answer) -> CrmError {
        let errors = ApiError::all(answer);
        self.classify(answer.status, &errors, Record::Lead).await
    }

    async fn classify(&self, status: StatusCode, errors: &[ApiError], record: Record) -> CrmError {
        let Some(first) = errors.first() else {
            return if status == StatusCode::NOT_FOUND {
                CrmError::Missing
            } else {
                CrmError::Unavailable(status)
            };
        };
        let object = record.name();
        let code = first.error_code.as_str();
        match code {
            "DUPLICATE_VALUE"
                if errors
                    .iter()
                    .any(|error| error.message.contains(IDENTITY_FIELD)) =>
            {
                CrmError::Exists
            }
            "REQUEST_LIMIT_EXCEEDED" => match self.session.pause(self.limit_pause()).await {
                Ok(until) => CrmError::Session(remote::session::SessionError::Paused(until)),
                Err(error) => CrmError::Session(error),
            },
            "NOT_FOUND" | "ENTITY_IS_DELETED" => CrmError::Missing,
            "UNABLE_TO_LOCK_ROW"
            | "SERVER_UNAVAILABLE"
            | "QUERY_TIMEOUT"
            | "UNKNOWN_EXCEPTION"
            | "TXN_SECURITY_METERING_ERROR" => CrmError::Unavailable(status),
            "API_DISABLED_FOR_ORG" | "API_CURRENTLY_DISABLED" | "FUNCTIONALITY_NOT_ENABLED" => {
                no_api_access(CrmKind::Salesforce, code)
            }
            "INSUFFICIENT_ACCESS"
            | "INSUFFICIENT_ACCESS_OR_READONLY"
            | "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY"
            | "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"
            | "INVALID_TYPE" => permission(
                record,
                403,
                "crm_permission_missing",
                format!(
                    "Salesforce does not let the connected user write this {object} ({}).",
                    shown(code)
                ),
            ),
            "DUPLICATES_DETECTED" => CrmError::Refused {
                record,
                problem: Problem::new(
                    409,
                    "crm_duplicate_rule",
                    format!(
                        "A duplicate rule of the Salesforce organisation blocks this {object}."
                    ),
                    "Let the rule alert instead of block for the connected user, or add a matching field to the strategy; then send the submission again.",
                ),
            },
            "CANNOT_UPDATE_CONVERTED_LEAD" => CrmError::Changed,
            _ if status.is_server_error() => CrmError::Unavailable(status),
            _ => CrmError::Rejected {
                record,
                fields: named_fields(errors),
                problem: Problem::new(
                    422,
                    "crm_rejected_value",
                    format!(
                        "Salesforce refuses a value of the {object} ({}).",
                        shown(code)
                    ),
                    "Correct the field mapping or the rule in Salesforce that refuses it, then send the submission again.",
                ),
            },
        }
    }

    fn limit_pause(&self) -> Millis {
        // The limit is a rolling 24 hours: some calls come back every hour.
        self.session.now().plus_seconds(LIMIT_PAUSE_SECONDS)
    }

    async fn composite(
        &self,
        all_or_none: bool,
        requests: Vec<Value>,
    ) -> Result<Vec<SubResponse>, CrmError> {
        let body = json!({
            "allOrNone": all_or_none,
            "collateSubrequests": false,
            "compositeRequest": requests,
        });
        let answer = self
            .call(Method::POST, &format!("{API}/composite"), Some(&body))
            .await?;
        if !answer.status.is_success() {
            return Err(self.failure(&answer).await);
        }
        let parsed: CompositeAnswer = answer.json().ok_or(CrmError::Unavailable(answer.status))?;
        Ok(parsed.responses)
    }

    /// Independent reads in one call, each of which counts against the organisation's limit. Paths
    /// are relative to the API's version; the answers come in their order.
    pub(super) async fn batch(&self, paths: &[String]) -> Result<Vec<BatchResult>, CrmError> {
        let version = API.rsplit('/').next().unwrap_or_default();
        let requests: Vec<Value> = paths
            .iter()
            .map(|path| json!({"method": "GET", "url": format!("{version}/{path}")}))
            .collect();
        let body = json!({"batchRequests": requests});
        let answer = self
            .call(Method::POST, &format!("{API}/composite/batch"), Some(&body))
            .await?;
        if !answer.status.is_success() {
            return Err(self.failure(&answer).await);
        }
        let batch: BatchAnswer = answer.json().ok_or(CrmError::Unavailable(answer.status))?;
        if batch.results.len() == paths.len() {
            Ok(batch.results)
        } else {
            Err(CrmError::Unavailable(answer.status))
        }
    }

    /// The error of one read of a batch.
    pub(super) async fn batch_failure(&self, result: &BatchResult, record: Record) -> CrmError {
        let errors: Vec<ApiError> = Deserialize::deserialize(&result.result).unwrap_or_default();
        self.classify(result.status(), &errors, record).await
    }

    async fn query(&self, soql: &str, schema: &LeadSchema) -> Result<Vec<LeadRecord>, CrmError> {
        let encoded =
            percent_encoding::utf8_percent_encode(soql, percent_encoding::NON_ALPHANUMERIC);
        let request = json!({"method": "GET", "url": format!("{API}/query?q={encoded}"), "referenceId": "leads"});
        let responses = self.composite(false, vec![request]).await?;
        let response = responses
            .into_iter()
            .next()
            .ok_or(CrmError::Unavailable(StatusCode::OK))?;
        let status = StatusCode::from_u16(response.status).unwrap_or(StatusCode::BAD_GATEWAY);
        if !status.is_success() {
            let errors: Vec<ApiError> = serde_json::from_value(response.body).unwrap_or_default();
            return Err(self.classify(status, &errors, Record::Lead).await);
        }
        let Some(Value::Array(rows)) = response.body.get("records") else {
            return Err(CrmError::Unavailable(status));
        };
        rows.iter()
            .map(|row| record(row, schema).ok_or(CrmError::Unavailable(status)))
            .collect()
    }
}

fn named_fields(errors: &[ApiError]) -> Vec<String> {
    let mut fields: Vec<String> = errors
        .iter()
        .flat_map(|error| error.fields.clone())
        .collect();
    // INVALID_FIELD names the field in its text only: No such column 'X' on sobject of type Lead.
    for error in errors.iter().filter(|error| error.fields.is_empty()) {
        if let Some((_, rest)) = error.message.split_once("No such column '")
            && let Some((name, _)) = rest.split_once('\'')
        {
            fields.push(name.to_owned());
        }
    }
    fields
}

fn record(row: &Value, schema: &LeadSchema) -> Option<LeadRecord> {
    let id = row.get("Id")?.as_str()?.to_owned();
    let open = row.get("IsConverted").and_then(Value::as_bool) != Some(true);
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
        open,
        contact_id,
        etag: None,
    })
}

fn select(read: &[String], schema: &LeadSchema) -> String {
    let mut columns = vec!["Id", "IsConverted"];
    if schema.has_contact_link {
        columns.push(CONTACT_FIELD);
    }
    for name in read {
        if schema.field(name).is_some() && !columns.contains(&name.as_str()) {
            columns.push(name);
        }
    }
    format!("SELECT {} FROM Lead", columns.join(", "))
}

/// A SOQL string literal.
fn quote(text: &str) -> String {
    let mut quoted = String::from("'");
    for c in text.chars() {
        match c {
            '\'' => quoted.push_str("\\'"),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c => quoted.push(c),
        }
    }
    quoted.push('\'');
    quoted
}

/// A LIKE pattern's literal part: its wildcards escaped.
fn like(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('%', "\\%")
        .replace('_', "\\_")
}

/// The coarse condition of one criterion; text comparison ignores case in SOQL.
fn condition(criterion: &Criterion<'_>) -> String {
    let name = &criterion.field.name;
    match (criterion.field.comparison(), criterion.value) {
        (Comparison::Email, _) => format!("{name} = {}", quote(&criterion.normal)),
        (Comparison::Phone, _) => format!("{name} LIKE '{}'", phone_pattern(&criterion.normal)),
        (Comparison::Url, _) => {
            let host = criterion.normal.split('/').next().unwrap_or_default();
            // A parsed host holds neither quotes nor backslashes.
            format!("{name} LIKE '%{}%'", like(host))
        }
        (Comparison::Text, Value::String(text)) => {
            let mut spellings = vec![text.clone(), fold(text)];
            spellings.dedup();
            let list: Vec<String> = spellings.iter().map(|spelling| quote(spelling)).collect();
            format!("{name} IN ({})", list.join(", "))
        }
        (_, Value::String(text))
            if matches!(
                criterion.field.field_type,
                FieldType::Date | FieldType::DateTime
            ) =>
        {
            format!(
                "{name} = {}",
                text.chars()
                    .filter(|c| c.is_ascii_alphanumeric() || "-:.+".contains(*c))
                    .collect::<String>()
            )
        }
        (_, Value::String(text)) => format!("{name} = {}", quote(text)),
        (_, value) => format!("{name} = {value}"),
    }
}

/// The criteria, or one of the ids.
fn matching(search: &LeadSearch<'_>) -> Vec<String> {
    let criteria: Vec<String> = coarse(search.criteria).into_iter().map(condition).collect();
    if search.ids.is_empty() || criteria.is_empty() {
        return criteria;
    }
    let ids: Vec<String> = search.ids.iter().map(|id| quote(id)).collect();
    // SOQL mixes AND and OR only in parentheses.
    let (criteria, ids) = (criteria.join(" AND "), ids.join(", "));
    vec![format!("(({criteria}) OR Id IN ({ids}))")]
}

#[async_trait]
impl Crm for Salesforce {
    fn organization(&self) -> &str {
        &self.session.organization
    }

    async fn access(&self, now: Millis) -> Result<AccessReport, CrmError> {
        inventory::salesforce::access(self, now).await
    }

    async fn options(&self, now: Millis) -> Result<CrmOptions, CrmError> {
        inventory::salesforce::options(self, now).await
    }

    async fn lead_schema(&self, now: Millis) -> Result<LeadSchema, CrmError> {
        let paths = ["Lead", "Contact"].map(|object| format!("sobjects/{object}/describe"));
        let results = self.batch(&paths).await?;
        let mut described = Vec::new();
        for (result, record) in results.into_iter().zip([Record::Lead, Record::Contact]) {
            let status = result.status();
            if status.is_success() {
                let describe: Describe = serde_json::from_value(result.result)
                    .map_err(|_| CrmError::Unavailable(status))?;
                described.push(describe.fields);
            } else if record == Record::Lead {
                return Err(match self.batch_failure(&result, record).await {
                    CrmError::Missing | CrmError::Rejected { .. } => permission(
                        record,
                        403,
                        "crm_object_not_readable",
                        "The connected user cannot see the Lead object in Salesforce.".to_owned(),
                    ),
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

    async fn find_leads(
        &self,
        schema: &LeadSchema,
        search: &LeadSearch<'_>,
    ) -> Result<Vec<LeadRecord>, CrmError> {
        let mut conditions = vec!["IsConverted = false".to_owned()];
        conditions.extend(matching(search));
        conditions.extend(
            search
                .created_since
                .map(|since| format!("CreatedDate >= {since}")),
        );
        let soql = format!(
            "{} WHERE {} ORDER BY CreatedDate ASC, Id ASC LIMIT {MAX_CANDIDATES}",
            select(search.read, schema),
            conditions.join(" AND ")
        );
        self.query(&soql, schema).await
    }

    async fn lead_by_identity(
        &self,
        schema: &LeadSchema,
        identity: Uuid,
        read: &[String],
    ) -> Result<Option<LeadRecord>, CrmError> {
        if !schema.has_identity {
            return Ok(None);
        }
        let soql = format!(
            "{} WHERE {IDENTITY_FIELD} = '{identity}' LIMIT 1",
            select(read, schema)
        );
        Ok(self.query(&soql, schema).await?.into_iter().next())
    }

    async fn create_lead(
        &self,
        schema: &LeadSchema,
        lead: &NewLead<'_>,
    ) -> Result<Created, CrmError> {
        let mut values: Map<String, Value> = lead
            .values
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let mut requests = Vec::new();
        if lead.contact == ContactPlan::Create {
            let mut contact = contact_values(
                lead.values,
                CONTACT_RENAMES,
                CONTACT_SAME,
                &schema.contact_fields,
            );
            if schema.has_identity {
                contact.insert(
                    IDENTITY_FIELD.to_owned(),
                    json!(contact_identity(lead.identity)),
                );
            }
            requests.push(json!({"method": "POST", "url": format!("{API}/sobjects/Contact"), "referenceId": "contact", "body": contact}));
        }
        if schema.has_identity {
            values.insert(IDENTITY_FIELD.to_owned(), json!(lead.identity));
        }
        if schema.has_contact_link {
            match &lead.contact {
                ContactPlan::None => {}
                ContactPlan::Create => {
                    values.insert(CONTACT_FIELD.to_owned(), json!("@{contact.id}"));
                }
                ContactPlan::Link(id) => {
                    values.insert(CONTACT_FIELD.to_owned(), json!(id));
                }
            }
        }
        requests.push(json!({"method": "POST", "url": format!("{API}/sobjects/Lead"), "referenceId": "lead", "body": values}));
        let responses = self.composite(true, requests).await?;
        let mut ids = BTreeMap::new();
        let mut failed = None;
        for response in responses {
            let status = StatusCode::from_u16(response.status).unwrap_or(StatusCode::BAD_GATEWAY);
            if status.is_success() {
                if let Some(id) = response.body.get("id").and_then(Value::as_str) {
                    ids.insert(response.reference, id.to_owned());
                }
                continue;
            }
            let errors: Vec<ApiError> = serde_json::from_value(response.body).unwrap_or_default();
            // The innocent ones of a rolled-back request say only that.
            let innocent = errors.iter().all(|error| {
                matches!(
                    error.error_code.as_str(),
                    "PROCESSING_HALTED" | "ALL_OR_NONE_OPERATION_ROLLED_BACK"
                )
            });
            if failed.is_none() || !innocent {
                let record = if response.reference == "contact" {
                    Record::Contact
                } else {
                    Record::Lead
                };
                failed = Some((status, errors, record));
                if !innocent {
                    break;
                }
            }
        }
        if let Some((status, errors, record)) = failed {
            return Err(self.classify(status, &errors, record).await);
        }
        let contact_id = match &lead.contact {
            ContactPlan::Link(id) => Some(id.clone()),
            _ => ids.remove("contact"),
        };
        let lead_id = ids
            .remove("lead")
            .ok_or(CrmError::Unavailable(StatusCode::OK))?;
        Ok(Created {
            lead_id,
            contact_id,
        })
    }

    async fn create_account(&self, account: &NewAccount<'_>) -> Result<String, CrmError> {
        let mut values = Map::new();
        for (field, value) in [
            ("Name", account.name),
            ("Website", account.website),
            ("Phone", account.phone),
        ] {
            if !value.is_empty() {
                values.insert(field.to_owned(), json!(value));
            }
        }
        values.insert(IDENTITY_FIELD.to_owned(), json!(account.identity));
        let path = format!("{API}/sobjects/Account");
        let body = Value::Object(values);
        let answer = self.call(Method::POST, &path, Some(&body)).await?;
        let id = |answer: &Answer, field: &str| {
            let body: Value = answer.json()?;
            body.get(field)?.as_str().map(str::to_owned)
        };
        if answer.status.is_success() {
            return id(&answer, "id").ok_or(CrmError::Unavailable(answer.status));
        }
        let errors = ApiError::all(&answer);
        match self.classify(answer.status, &errors, Record::Account).await {
            CrmError::Exists => {}
            CrmError::Rejected { fields, .. }
                if fields.iter().any(|field| field == IDENTITY_FIELD) =>
            {
                return Err(CrmError::Refused {
                    record: Record::Account,
                    problem: Problem::new(
                        409,
                        "crm_identity_field_missing",
                        "The Salesforce organisation has no field of ours on accounts that would keep an account from being created twice.",
                        "Install the Leadbridge package in the organisation and give the connected user its permission set; or create the account in Salesforce by hand.",
                    ),
                });
            }
            error => return Err(error),
        }
        let path = format!("{path}/{IDENTITY_FIELD}/{}?fields=Id", account.identity);
        let answer = self.call(Method::GET, &path, None).await?;
        if !answer.status.is_success() {
            let errors = ApiError::all(&answer);
            return Err(self.classify(answer.status, &errors, Record::Account).await);
        }
        id(&answer, "Id").ok_or(CrmError::Unavailable(answer.status))
    }

    async fn update_lead(
        &self,
        lead: &LeadRecord,
        values: &BTreeMap<String, Value>,
    ) -> Result<(), CrmError> {
        let path = format!("{API}/sobjects/Lead/{}", lead.id);
        let answer = self
            .call(Method::PATCH, &path, Some(&json!(values)))
            .await?;
        if answer.status.is_success() {
            Ok(())
        } else {
            Err(self.failure(&answer).await)
        }
    }

    async fn delete_lead(&self, id: &str) -> Result<(), CrmError> {
        let answer = self
            .call(Method::DELETE, &format!("{API}/sobjects/Lead/{id}"), None)
            .await?;
        if answer.status.is_success() {
            return Ok(());
        }
        match self.failure(&answer).await {
            CrmError::Missing => Ok(()),
            error => Err(error),
        }
    }

    fn contact_of(&self, _identity: Uuid) -> ContactPlan {
        // The contact of an earlier try is known by our identity field only; without reading it
        // there is no id to link.
        ContactPlan::None
    }

    fn lead_url(&self, id: &str) -> String {
        CrmKind::Salesforce
            .record_url(&self.session.base_url, "Lead", id)
            .into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::recorded;
    use super::{ApiError, Describe, DescribedField, FieldType, like, named_fields, quote};

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

    #[test]
    fn a_recorded_error_names_its_field() {
        let Some(text) = recorded("salesforce/restforce_write_error_response.json") else {
            return;
        };
        let errors: Vec<ApiError> = serde_json::from_str(&text).expect("an array of errors");
        assert_eq!(named_fields(&errors), ["foo"]);
    }

    #[test]
    fn soql_literals_cannot_be_left() {
        assert_eq!(quote("O'Brien\\"), r"'O\'Brien\\'");
        assert_eq!(like("50%_x"), r"50\%\_x");
    }

    proptest! {
        #[test]
        fn no_quote_is_left_open(text in "\\PC{0,40}") {
            let quoted = quote(&text);
            let inner = &quoted[1..quoted.len() - 1];
            let mut escaped = false;
            for c in inner.chars() {
                if escaped { escaped = false; } else if c == '\\' { escaped = true; } else { prop_assert_ne!(c, '\''); }
            }
            prop_assert!(!escaped);
        }
    }
}
