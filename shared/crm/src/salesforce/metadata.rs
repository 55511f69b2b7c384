//! Salesforce's metadata, read in one composite batch.
//!
//! Sources: the REST API developer guide (sObject Describe, Composite Batch), the object reference
//! (`OpportunityStage`, `CurrencyType`, `Organization`), the Connect REST API developer guide
//! (`/connect/organization`). A describe shows what the user may see: an object without read access
//! is not found, and a field hidden by field-level security is not listed.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use super::client::{BatchResult, Salesforce};
use super::soql::{Condition, Select};
use crate::currency::currency;
use crate::query::Literal;
use crate::{CrmError, Record};
use domain::clock::Millis;
use domain::inventory::{
    AccessReport, Appearance, Choice, CrmOptions, Currency, Right, SALESFORCE_CURRENCY_FIELD,
    Shown, Stage, ValueField, ValueKind, assess, objects,
};
use domain::schema::CrmKind;

/// The organisation-wide defaults of the objects that have one.
fn defaults() -> String {
    let columns = [
        "DefaultAccountAccess",
        "DefaultContactAccess",
        "DefaultOpportunityAccess",
        "DefaultLeadAccess",
    ];
    Select::new("Organization", columns).path("query")
}

/// The active records of an object, in the order of a field.
fn active<const N: usize>(object: &str, columns: [&str; N], order: &str) -> String {
    Select::new(object, columns)
        .filter(Condition::is("IsActive", &Literal::Boolean(true)))
        .order([order])
        .path("query")
}

/// The source of the currency of an organisation with one currency. No object that can be queried has it; the
/// context user's view of the organisation does, as `features.defaultCurrencyIsoCode`, "applicable only when
/// multiCurrency is false".
const ORGANIZATION: &str = "connect/organization";

#[derive(Deserialize)]
struct Description {
    #[serde(default)]
    queryable: bool,
    #[serde(default)]
    createable: bool,
    #[serde(default)]
    updateable: bool,
    fields: Vec<DescribedField>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DescribedField {
    name: String,
    #[serde(default)]
    label: Option<String>,
    #[serde(default, rename = "type")]
    kind: String,
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

fn describe(object: &str) -> String {
    format!("sobjects/{object}/describe")
}

/// The result of a read: its body, or nothing if only this read was refused.
///
/// # Errors
/// Returns an error that concerns more than this read: no API access, the organisation's limit, trouble at
/// Salesforce.
async fn given(crm: &Salesforce, result: BatchResult) -> Result<Option<Value>, CrmError> {
    if result.status().is_success() {
        return Ok(Some(result.result));
    }
    match crm.batch_failure(&result, Record::Lead).await {
        error @ CrmError::Refused(_) if error.is_about_the_api() => Err(error),
        CrmError::Missing | CrmError::Refused(_) => Ok(None),
        error => Err(error),
    }
}

async fn read(crm: &Salesforce, paths: &[String]) -> Result<Vec<Option<Value>>, CrmError> {
    let mut bodies = Vec::new();
    for result in crm.batch(paths).await? {
        bodies.push(given(crm, result).await?);
    }
    Ok(bodies)
}

/// See [`crate::SetUp::access`].
pub(super) async fn access(crm: &Salesforce, now: Millis) -> Result<AccessReport, CrmError> {
    let mut paths: Vec<String> = objects(CrmKind::Salesforce)
        .iter()
        .map(|spec| describe(spec.name))
        .collect();
    paths.push(defaults());
    Ok(report(&read(crm, &paths).await?, now))
}

/// The report from descriptions in the order of [`objects`], followed by the organisation-wide defaults.
fn report(bodies: &[Option<Value>], now: Millis) -> AccessReport {
    let specs = objects(CrmKind::Salesforce);
    let defaults = bodies
        .get(specs.len())
        .and_then(Option::as_ref)
        .and_then(|body| body.pointer("/records/0"));
    let seen: Vec<Shown> = specs
        .iter()
        .enumerate()
        .map(|(index, spec)| {
            let body = bodies.get(index).and_then(Option::as_ref);
            let all_records = defaults.and_then(|row| everybody_reads(row, spec.name));
            shown(body, all_records)
        })
        .collect();
    let several_currencies = seen
        .iter()
        .any(|shown| shown.fields.contains(SALESFORCE_CURRENCY_FIELD));
    AccessReport {
        crm: CrmKind::Salesforce,
        checked_at: now,
        objects: specs
            .iter()
            .zip(&seen)
            .filter(|(spec, _)| several_currencies || !spec.several_currencies_only)
            .map(|(spec, shown)| assess(CrmKind::Salesforce, spec, several_currencies, shown))
            .collect(),
    }
}

fn shown(body: Option<&Value>, all_records: Option<bool>) -> Shown {
    let Some(body) = body else {
        return Shown::nothing(Appearance::Absent);
    };
    let Ok(description) = Description::deserialize(body) else {
        return Shown::nothing(Appearance::NotUnderstood);
    };
    let rights = [
        (description.queryable, Right::Read),
        (description.createable, Right::Create),
        (description.updateable, Right::Update),
    ];
    let options = description.fields.iter().filter_map(|field| {
        let values = field.picklist_values.iter();
        let values: BTreeSet<String> = values.map(|option| option.value.clone()).collect();
        (!values.is_empty()).then(|| (field.name.clone(), values))
    });
    Shown {
        options: options.collect(),
        appearance: Appearance::Described,
        fields: description
            .fields
            .into_iter()
            .map(|field| field.name)
            .collect::<BTreeSet<String>>(),
        rights: rights
            .into_iter()
            .filter_map(|(held, right)| held.then_some(right))
            .collect(),
        all_records,
    }
}

/// True if the organisation-wide default lets everybody who may read the object read every record. A private
/// default leaves it open, because roles, sharing rules and “View All” add to it.
fn everybody_reads(defaults: &Value, object: &str) -> Option<bool> {
    let default = |object: &str| {
        defaults
            .get(format!("Default{object}Access"))
            .and_then(Value::as_str)
    };
    let access = match default(object)? {
        "ControlledByParent" => default("Account")?,
        access => access,
    };
    matches!(access, "Read" | "Edit" | "ReadEditTransfer" | "All").then_some(true)
}

/// See [`crate::SetUp::options`].
pub(super) async fn options(crm: &Salesforce, now: Millis) -> Result<CrmOptions, CrmError> {
    let paths = [
        describe("Opportunity"),
        describe("Lead"),
        active(
            "OpportunityStage",
            ["ApiName", "MasterLabel", "IsClosed", "IsWon"],
            "SortOrder",
        ),
        // `CurrencyType` exists only in organisations with several currencies.
        active("CurrencyType", ["IsoCode"], "IsoCode"),
        ORGANIZATION.to_owned(),
    ];
    Ok(offered(&read(crm, &paths).await?, now))
}

/// Builds the options from the answers to opportunity, lead, stages, currencies and organisation.
fn offered(bodies: &[Option<Value>], now: Millis) -> CrmOptions {
    let body = |index: usize| bodies.get(index).and_then(Option::as_ref);
    let fields = |index: usize| {
        body(index)
            .and_then(|body| Description::deserialize(body).ok())
            .map(|description| description.fields)
            .unwrap_or_default()
    };
    let opportunity = fields(0);
    let lead = fields(1);

    let stages = body(2).map(stages).unwrap_or_default();
    let value_fields = value_fields(&opportunity);
    let lead_sources = picklist(&lead, "LeadSource");
    let currencies = currencies(
        body(3),
        &picklist(&opportunity, SALESFORCE_CURRENCY_FIELD),
        body(4),
    );
    let note = |empty: bool, text: &str| empty.then(|| text.to_owned());
    CrmOptions {
        crm: CrmKind::Salesforce,
        fetched_at: now,
        stages_note: note(
            stages.is_empty(),
            "Salesforce shows the connected user no active opportunity stage; the permission check says what is missing.",
        ),
        stages,
        value_fields_note: note(
            value_fields.is_empty(),
            "Salesforce shows the connected user no numeric or currency field on opportunities; the permission check says what is missing.",
        ),
        value_fields,
        lead_sources_note: note(
            lead_sources.is_empty(),
            "Salesforce shows the connected user no lead source on leads: the field LeadSource is hidden, or its picklist has no active value.",
        ),
        lead_sources,
        currencies_note: note(
            currencies.is_empty(),
            "Salesforce did not say which currency the organisation uses.",
        ),
        currencies,
    }
}

fn records(body: &Value) -> &[Value] {
    body.get("records")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

fn stages(body: &Value) -> Vec<Stage> {
    let text = |row: &Value, name: &str| {
        row.get(name)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    let flag = |row: &Value, name: &str| row.get(name).and_then(Value::as_bool) == Some(true);
    let named = records(body).iter().filter_map(|row| {
        // `StageName` of an opportunity holds the API name.
        let label = text(row, "MasterLabel");
        let value = text(row, "ApiName").or_else(|| label.clone())?;
        Some((row, label.unwrap_or_else(|| value.clone()), value))
    });
    named
        .zip(0..)
        .map(|((row, label, value), position)| Stage {
            value,
            label,
            position,
            closed: flag(row, "IsClosed"),
            won: flag(row, "IsWon"),
        })
        .collect()
}

fn value_fields(opportunity: &[DescribedField]) -> Vec<ValueField> {
    let kind = |field: &DescribedField| match field.kind.as_str() {
        "currency" => Some(ValueKind::Currency),
        "double" | "int" | "long" => Some(ValueKind::Number),
        _ => None,
    };
    let mut fields: Vec<ValueField> = opportunity
        .iter()
        .filter_map(|field| {
            Some(ValueField {
                name: field.name.clone(),
                label: field.label.clone().unwrap_or_else(|| field.name.clone()),
                kind: kind(field)?,
            })
        })
        .collect();
    // Stable: Salesforce's own order within each kind.
    fields.sort_by_key(|field| field.kind);
    fields
}

fn picklist(fields: &[DescribedField], name: &str) -> Vec<Choice> {
    fields
        .iter()
        .filter(|field| field.name == name)
        .flat_map(|field| &field.picklist_values)
        .filter(|option| option.active)
        .map(|option| Choice {
            value: option.value.clone(),
            label: option.label.clone().unwrap_or_else(|| option.value.clone()),
        })
        .collect()
}

/// The active currencies of `CurrencyType`, named as in the picklist of the opportunity's currency; that
/// picklist, if the user cannot see the object; else the organisation's one currency.
fn currencies(
    types: Option<&Value>,
    picklist: &[Choice],
    organization: Option<&Value>,
) -> Vec<Currency> {
    let label = |code: &str| {
        let choice = picklist.iter().find(|choice| choice.value == code);
        choice.map(|choice| choice.label.as_str())
    };
    let active: Vec<Currency> = types
        .map(records)
        .unwrap_or_default()
        .iter()
        .filter_map(|row| {
            let code = row.get("IsoCode")?.as_str()?;
            currency(code, label(code))
        })
        .collect();
    if !active.is_empty() {
        return active;
    }
    let listed: Vec<Currency> = picklist
        .iter()
        .filter_map(|choice| currency(&choice.value, Some(&choice.label)))
        .collect();
    if !listed.is_empty() {
        return listed;
    }
    organization
        .and_then(|body| body.pointer("/features/defaultCurrencyIsoCode"))
        .and_then(Value::as_str)
        .and_then(|code| currency(code, None))
        .into_iter()
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::recorded;

    /// A description of everything that is needed of an object.
    fn described(object: &str, several_currencies: bool) -> Value {
        let spec = objects(CrmKind::Salesforce)
            .iter()
            .find(|spec| spec.name == object)
            .unwrap();
        let fields: Vec<Value> = spec
            .fields(several_currencies)
            .map(|name| json!({"name": name, "label": name, "type": "string"}))
            .collect();
        json!({"name": object, "queryable": true, "createable": true, "updateable": true, "fields": fields})
    }

    fn bodies(several_currencies: bool) -> Vec<Option<Value>> {
        let mut bodies: Vec<Option<Value>> = objects(CrmKind::Salesforce)
            .iter()
            .map(|spec| {
                let there = several_currencies || !spec.several_currencies_only;
                there.then(|| described(spec.name, several_currencies))
            })
            .collect();
        bodies.push(Some(json!({"records": [{
            "DefaultAccountAccess": "Edit", "DefaultContactAccess": "ControlledByParent",
            "DefaultOpportunityAccess": "None", "DefaultLeadAccess": "ReadEditTransfer",
        }]})));
        bodies
    }

    fn object<'a>(report: &'a AccessReport, name: &str) -> &'a domain::inventory::ObjectAccess {
        let mut objects = report.objects.iter();
        objects.find(|object| object.object == name).unwrap()
    }

    #[test]
    fn an_organisation_with_one_currency_is_complete_without_the_currency_object() {
        let report = report(&bodies(false), Millis(5));
        assert!(report.is_complete(), "{report:?}");
        assert_eq!(report.checked_at, Millis(5));
        assert!(
            report
                .objects
                .iter()
                .all(|object| object.object != "CurrencyType")
        );
        let mut several = bodies(true);
        assert!(super::report(&several, Millis(5)).is_complete());
        several[8] = None;
        let report = super::report(&several, Millis(5));
        assert!(!object(&report, "CurrencyType").readable && report.is_sufficient());
    }

    #[test]
    fn organisation_wide_defaults_tell_where_everybody_reads_everything() {
        let report = report(&bodies(false), Millis(5));
        for (name, expected) in [
            ("Account", Some(true)),
            ("Contact", Some(true)),
            ("Lead", Some(true)),
            ("Opportunity", None),
            ("User", None),
        ] {
            assert_eq!(object(&report, name).all_records, expected, "{name}");
        }
    }

    #[test]
    fn a_describe_that_is_not_understood_is_a_finding_of_that_object() {
        let mut bodies = bodies(false);
        bodies[0] = Some(json!({"fields": "none"}));
        let report = report(&bodies, Millis(5));
        assert_eq!(report.unreadable_required(), ["Account"]);
        let step = object(&report, "Account").next_step.as_deref().unwrap();
        assert!(step.contains("not understood"), "{step}");
        assert!(object(&report, "Lead").is_complete());
    }

    #[test]
    fn recorded_describes_have_every_field_that_is_imported() {
        for name in ["Contact", "Account", "Lead", "Opportunity"] {
            let Some(text) = recorded(&format!(
                "salesforce/cumulusci_GET_sobjects_{name}_describe.yaml"
            )) else {
                return;
            };
            // The recordings keep their bodies in different YAML scalars; the field names stand in
            // all of them as `"name" : "X"`, quotes escaped or not.
            let flat: String = text
                .chars()
                .filter(|c| !c.is_whitespace() && *c != '\\')
                .collect();
            let spec = objects(CrmKind::Salesforce)
                .iter()
                .find(|spec| spec.name == name)
                .unwrap();
            for field in spec.fields(false) {
                assert!(
                    flat.contains(&format!("\"name\":\"{field}\"")),
                    "{name}.{field}"
                );
            }
            assert!(!flat.contains(SALESFORCE_CURRENCY_FIELD), "one currency");
        }
    }

    #[test]
    fn a_recorded_describe_offers_its_lead_sources() {
        let Some(text) = recorded("salesforce/cumulusci_GET_sobjects_Lead_describe.yaml") else {
            return;
        };
        let body = text.split_once("string: >-").expect("a body").1;
        let body: Value =
            serde_json::from_str(&body.lines().map(str::trim).collect::<Vec<_>>().join(" "))
                .expect("the describe is JSON");
        let options = offered(&[None, Some(body.clone()), None, None, None], Millis(5));
        assert!(
            options
                .lead_sources
                .iter()
                .any(|choice| choice.value == "Web")
        );
        assert!(options.lead_sources_note.is_none() && options.stages_note.is_some());
        let mut bodies = bodies(false);
        bodies[2] = Some(body);
        let report = report(&bodies, Millis(5));
        assert!(object(&report, "Lead").is_complete(), "{report:?}");
    }

    #[test]
    fn options_are_read_in_the_organisations_order() {
        let bodies = [
            Some(json!({"fields": [
                {"name": "Quantity__c", "label": "Quantity", "type": "double"},
                {"name": "Amount", "label": "Amount", "type": "currency"},
                {"name": "Probability", "label": "Probability", "type": "percent"},
                {"name": "CurrencyIsoCode", "label": "Currency", "type": "picklist", "picklistValues": [
                    {"value": "EUR", "label": "Euro", "active": true},
                    {"value": "DEM", "label": "German Mark", "active": false},
                ]},
            ]})),
            Some(json!({"fields": [
                {"name": "LeadSource", "label": "Source", "type": "picklist", "picklistValues": [
                    {"value": "Web", "label": "Website", "active": true},
                    {"value": "Fax", "label": "Fax", "active": false},
                    {"value": "Other", "label": null, "active": true},
                ]},
            ]})),
            Some(json!({"records": [
                {"ApiName": "Prospecting", "MasterLabel": "Erstkontakt", "IsClosed": false, "IsWon": false},
                {"ApiName": null, "MasterLabel": null},
                {"MasterLabel": "Closed Won", "IsClosed": true, "IsWon": true},
            ]})),
            Some(
                json!({"records": [{"IsoCode": "EUR"}, {"IsoCode": "USD"}, {"IsoCode": "no code"}]}),
            ),
            None,
        ];
        let options = offered(&bodies, Millis(5));
        let stages: Vec<_> = options
            .stages
            .iter()
            .map(|s| {
                (
                    s.value.as_str(),
                    s.label.as_str(),
                    s.position,
                    s.closed,
                    s.won,
                )
            })
            .collect();
        assert_eq!(
            stages,
            [
                ("Prospecting", "Erstkontakt", 0, false, false),
                ("Closed Won", "Closed Won", 1, true, true)
            ]
        );
        let fields: Vec<&str> = options
            .value_fields
            .iter()
            .map(|f| f.name.as_str())
            .collect();
        assert_eq!(fields, ["Amount", "Quantity__c"]);
        let sources: Vec<_> = options
            .lead_sources
            .iter()
            .map(|c| (c.value.as_str(), c.label.as_str()))
            .collect();
        assert_eq!(sources, [("Web", "Website"), ("Other", "Other")]);
        let currencies: Vec<_> = options
            .currencies
            .iter()
            .map(|c| (c.code.as_str(), c.name.as_str()))
            .collect();
        assert_eq!(currencies, [("EUR", "Euro"), ("USD", "USD")]);
        assert!(options.currencies_note.is_none());
        let hidden = [bodies[0].clone(), None, None, None, None];
        let options = offered(&hidden, Millis(5));
        assert_eq!(options.currencies.len(), 1, "the picklist's active ones");
    }

    #[test]
    fn one_currency_is_the_organisations_default() {
        let organization = json!({"name": "Acme", "features": {"multiCurrency": false, "defaultCurrencyIsoCode": "GBP"}});
        let options = offered(&[None, None, None, None, Some(organization)], Millis(5));
        assert_eq!(options.currencies.len(), 1);
        options.check_currency("GBP").unwrap();
        let nothing = offered(&[None, None, None, None, None], Millis(5));
        assert!(nothing.currencies.is_empty());
        let notes = [
            nothing.stages_note,
            nothing.value_fields_note,
            nothing.lead_sources_note,
            nothing.currencies_note,
        ];
        assert!(notes.iter().all(Option::is_some));
    }

    /// JSON in the shapes that the adapters look into, with anything at the leaves.
    fn surprise() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            let keys = prop::sample::select(vec![
                "fields",
                "records",
                "features",
                "defaultCurrencyIsoCode",
                "name",
                "type",
                "picklistValues",
                "queryable",
                "IsoCode",
                "ApiName",
                "DefaultLeadAccess",
            ]);
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((keys, inner), 0..4).prop_map(|pairs| {
                    pairs
                        .into_iter()
                        .map(|(key, value)| (key.to_owned(), value))
                        .collect()
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_answer_is_read_or_reported(body in surprise(), index in 0_usize..10) {
            let mut all = bodies(false);
            all[index] = Some(body.clone());
            let report = report(&all, Millis(5));
            for object in &report.objects {
                prop_assert_eq!(object.next_step.is_none(), object.is_complete());
            }
            let mut answers = vec![None; 5];
            answers[index % 5] = Some(body);
            let options = offered(&answers, Millis(5));
            prop_assert_eq!(options.currencies.is_empty(), options.currencies_note.is_some());
            prop_assert_eq!(options.stages.is_empty(), options.stages_note.is_some());
        }
    }
}
