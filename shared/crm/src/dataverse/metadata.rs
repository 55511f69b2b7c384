//! Dataverse: metadata of the tables in one batch, the user's privileges in a second.
//!
//! Sources: Microsoft's pages on querying table definitions, on checking a user's security
//! privileges, on column-level security and on change tracking, and the Web API reference of the
//! functions. Metadata shows every table and column to everybody, so that rights come from the
//! privileges, and secured columns from the column security profiles.

use std::collections::{BTreeMap, BTreeSet};

use http::StatusCode;
use serde_json::Value;
use uuid::Uuid;

use super::client::Dataverse;
use super::errors::{classify, error_code};
use super::multipart::{self, Part, PartAnswer};
use super::odata::{Filter, Query};
use super::schema::label;
use crate::currency::currency;
use crate::query::Literal;
use crate::{CrmError, Record, no_api_access};
use domain::clock::Millis;
use domain::inventory::{
    AccessReport, Appearance, Choice, CrmOptions, Currency, Right, Shown, Stage, ValueField,
    ValueKind, assess, dataverse_privilege, objects,
};
use domain::schema::CrmKind;
use domain::vocabulary::{Role, vocabulary};

/// The opportunity's numeric column types, with the kind of their values.
const VALUE_TYPES: &[(&str, ValueKind)] = &[
    ("Money", ValueKind::Currency),
    ("Decimal", ValueKind::Number),
    ("Double", ValueKind::Number),
    ("Integer", ValueKind::Number),
];
/// Numeric columns that every table has for the system's own bookkeeping.
const BOOKKEEPING: &[&str] = &[
    "exchangerate",
    "importsequencenumber",
    "onholdtime",
    "timezoneruleversionnumber",
    "utcconversiontimezonecode",
];

/// A table's metadata.
#[derive(Debug)]
struct Table {
    appearance: Appearance,
    /// Metadata ids of secured columns, by column.
    secured: BTreeMap<String, String>,
    columns: BTreeSet<String>,
    /// The options of imported choices, by column.
    options: BTreeMap<String, BTreeSet<String>>,
    /// The table's own names of its privileges.
    privileges: BTreeMap<Right, String>,
}

/// The reach of a privilege; the order counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Depth {
    Part,
    Organisation,
}

async fn read(crm: &Dataverse, parts: &[Part]) -> Result<Vec<PartAnswer>, CrmError> {
    let answers = crm.batch(multipart::independent(parts)).await?;
    if answers.len() == parts.len() {
        Ok(answers)
    } else {
        Err(CrmError::Unavailable(StatusCode::OK))
    }
}

/// The answer of a required part; a refusal means that the user may not use the API.
fn needed(answer: &PartAnswer) -> Result<Value, CrmError> {
    let body = answer.json();
    if answer.status.is_success() {
        Ok(body)
    } else if answer.status == StatusCode::FORBIDDEN {
        Err(no_api_access(error_code(&body)))
    } else {
        Err(classify(answer.status, &body, Record::Lead, &[]))
    }
}

/// The answer of a part that may be refused or missing.
///
/// # Errors
/// Returns trouble at Dataverse, which does not concern the requested item itself.
fn given(answer: &PartAnswer) -> Result<Option<Value>, CrmError> {
    if answer.status.is_success() {
        return Ok(Some(answer.json()));
    }
    match answer.status {
        StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => Ok(None),
        status => Err(CrmError::Unavailable(status)),
    }
}

/// See [`crate::SetUp::access`].
pub(super) async fn access(crm: &Dataverse, now: Millis) -> Result<AccessReport, CrmError> {
    let specs = objects(CrmKind::Dynamics365);
    let mut parts = vec![Part::get(&Query::of("WhoAmI"))];
    parts.extend(specs.iter().map(|spec| {
        let query = Query::table(spec.name)
            .select(["LogicalName", "Privileges"])
            .expand(
                "Attributes",
                &["LogicalName", "IsSecured", "IsValidForRead"],
            );
        Part::get(&query)
    }));
    let choices: Vec<(usize, &'static str)> = specs
        .iter()
        .enumerate()
        .flat_map(|(index, spec)| {
            let fields = spec.imported(true).filter(|field| field.kind.is_choice());
            fields.map(move |field| (index, field.name))
        })
        .collect();
    parts.extend(choices.iter().filter_map(|(index, column)| {
        // States have their options in another type; both derive from this one.
        let query = Query::column(specs.get(*index)?.name, column, "Enum")
            .select(["LogicalName"])
            .expand("OptionSet", &[])
            .expand("GlobalOptionSet", &[]);
        Some(Part::get(&query))
    }));
    let answers = read(crm, &parts).await?;
    let mut answers = answers.iter();
    let user = user_id(answers.next())?;
    let mut tables: Vec<Table> = answers
        .by_ref()
        .take(specs.len())
        .map(table)
        .collect::<Result<_, _>>()?;
    for ((index, column), answer) in choices.iter().zip(answers) {
        // They only serve to distinguish new options from old ones.
        let listed = answer.status.is_success().then(|| answer.json());
        let values = listed.as_ref().map(self::choices).unwrap_or_default();
        let values: BTreeSet<String> = values.into_iter().map(|choice| choice.value).collect();
        if let Some(table) = tables.get_mut(*index).filter(|_| !values.is_empty()) {
            table.options.insert((*column).to_owned(), values);
        }
    }

    let names: Vec<String> = specs
        .iter()
        .zip(&tables)
        .flat_map(|(spec, table)| {
            spec.rights
                .iter()
                .map(|right| privilege(spec.name, table, *right))
        })
        .collect();
    // Not `RetrieveUserPrivileges`: it reports the privileges of the user's teams at user level, whatever the
    // level of the team's role.
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let held = ("PrivilegeNames", names.as_slice());
    let mut parts = vec![Part::get(&Query::of_user(
        user,
        "RetrieveUserSetOfPrivilegesByNames",
        Some(held),
    ))];
    if tables.iter().any(|table| !table.secured.is_empty()) {
        parts.push(Part::get(&Query::of_user(
            user,
            "RetrievePrincipalAttributePrivileges",
            None,
        )));
    }
    let answers = read(crm, &parts).await?;
    let body = needed(
        answers
            .first()
            .ok_or(CrmError::Unavailable(StatusCode::OK))?,
    )?;
    let held = privileges(&body).ok_or(CrmError::Unavailable(StatusCode::OK))?;
    let opened = match answers.get(1) {
        Some(answer) => given(answer)?.as_ref().map(opened).unwrap_or_default(),
        None => BTreeSet::new(),
    };
    Ok(report(&tables, &held, &opened, now))
}

fn user_id(answer: Option<&PartAnswer>) -> Result<Uuid, CrmError> {
    let answer = answer.ok_or(CrmError::Unavailable(StatusCode::OK))?;
    needed(answer)?
        .get("UserId")
        .and_then(Value::as_str)
        .and_then(|id| Uuid::parse_str(id).ok())
        .ok_or(CrmError::Unavailable(answer.status))
}

/// Reads a table's metadata, or that it is missing.
fn table(answer: &PartAnswer) -> Result<Table, CrmError> {
    let nothing = |appearance| Table {
        appearance,
        secured: BTreeMap::new(),
        columns: BTreeSet::new(),
        options: BTreeMap::new(),
        privileges: BTreeMap::new(),
    };
    match answer.status {
        status if status.is_success() => {
            Ok(defined(&answer.json()).unwrap_or_else(|| nothing(Appearance::NotUnderstood)))
        }
        StatusCode::NOT_FOUND => Ok(nothing(Appearance::Absent)),
        StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN => Ok(nothing(Appearance::NotUnderstood)),
        status => Err(CrmError::Unavailable(status)),
    }
}

fn defined(body: &Value) -> Option<Table> {
    let mut table = Table {
        appearance: Appearance::Described,
        secured: BTreeMap::new(),
        columns: BTreeSet::new(),
        options: BTreeMap::new(),
        privileges: BTreeMap::new(),
    };
    for column in body.get("Attributes")?.as_array()? {
        let name = column.get("LogicalName")?.as_str()?;
        let flag = |key: &str| column.get(key).and_then(Value::as_bool);
        if flag("IsValidForRead") == Some(false) {
            continue;
        }
        table.columns.insert(name.to_owned());
        if flag("IsSecured") == Some(true) {
            let id = column.get("MetadataId").and_then(Value::as_str);
            let id = id.unwrap_or_default().to_lowercase();
            table.secured.insert(name.to_owned(), id);
        }
    }
    let privileges = body.get("Privileges").and_then(Value::as_array);
    for row in privileges.into_iter().flatten() {
        let text = |key: &str| row.get(key).and_then(Value::as_str);
        let right = match text("PrivilegeType") {
            Some("Read") => Right::Read,
            Some("Create") => Right::Create,
            Some("Write") => Right::Update,
            _ => continue,
        };
        if let Some(name) = text("Name") {
            table.privileges.insert(right, name.to_owned());
        }
    }
    Some(table)
}

/// The privilege's name from the table's metadata, or else the constructed one.
fn privilege(name: &str, table: &Table, right: Right) -> String {
    let known = table.privileges.get(&right).cloned();
    known.unwrap_or_else(|| dataverse_privilege(name, right))
}

/// A user's privileges, each at the greatest depth of the user's roles.
fn privileges(body: &Value) -> Option<BTreeMap<String, Depth>> {
    let mut held = BTreeMap::new();
    for row in body.get("RolePrivileges")?.as_array()? {
        let Some(name) = row.get("PrivilegeName").and_then(Value::as_str) else {
            continue;
        };
        let depth = match row.get("Depth").and_then(Value::as_str) {
            Some("Global") => Depth::Organisation,
            _ => Depth::Part,
        };
        let known = held.entry(name.to_owned()).or_insert(depth);
        *known = depth.max(*known);
    }
    Some(held)
}

/// The metadata ids of the secured columns that a user may read.
fn opened(body: &Value) -> BTreeSet<String> {
    let rows = body.get("AttributePrivileges").and_then(Value::as_array);
    rows.into_iter()
        .flatten()
        .filter(|row| {
            // `FieldPermissionType`: 0 is not allowed, 4 is allowed.
            row.get("CanRead").and_then(Value::as_i64).unwrap_or(0) != 0
        })
        .filter_map(|row| Some(row.get("AttributeId")?.as_str()?.to_lowercase()))
        .collect()
}

/// The report on tables in the order of [`objects`].
fn report(
    tables: &[Table],
    held: &BTreeMap<String, Depth>,
    opened: &BTreeSet<String>,
    now: Millis,
) -> AccessReport {
    let assessed = objects(CrmKind::Dynamics365)
        .iter()
        .zip(tables)
        .map(|(spec, table)| {
            let depth = |right: Right| held.get(&privilege(spec.name, table, right)).copied();
            let fields = table
                .columns
                .iter()
                .filter(|column| {
                    let id = table.secured.get(*column);
                    id.is_none_or(|id| opened.contains(id))
                })
                // A look-up's value has a name of its own in the Web API.
                .flat_map(|column| [column.clone(), format!("_{column}_value")])
                .collect();
            let shown = Shown {
                options: table.options.clone(),
                appearance: table.appearance,
                fields,
                rights: spec
                    .rights
                    .iter()
                    .copied()
                    .filter(|right| depth(*right).is_some())
                    .collect(),
                all_records: depth(Right::Read).map(|depth| depth == Depth::Organisation),
            };
            assess(CrmKind::Dynamics365, spec, false, &shown)
        });
    AccessReport {
        crm: CrmKind::Dynamics365,
        checked_at: now,
        objects: assessed.collect(),
    }
}

/// See [`crate::SetUp::options`].
///
/// The stages are the opportunity's sales stages (`salesstage`). The import reads an opportunity's
/// `stepname`, a text without a list of values: the standard sales process keeps the stage's name there, with
/// its number before it. `salesstage` is the list behind those names, in the organisation's own order and
/// language, and it is metadata, so that no process and no record has to be readable.
/// [`CrmOptions::stage_of`] finds the stage of an imported text.
/// has to be readable. [`CrmOptions::stage_of`] finds the stage of an imported text.
pub(super) async fn options(crm: &Dataverse, now: Millis) -> Result<CrmOptions, CrmError> {
    let picklist = |table: &str, column: &str| {
        let query = Query::column(table, column, "Picklist")
            .select(["LogicalName"])
            .expand("OptionSet", &[])
            .expand("GlobalOptionSet", &[]);
        Part::get(&query)
    };
    let currencies = Query::of("transactioncurrencies")
        .select(["isocurrencycode", "currencyname"])
        .filter(Filter::is("statecode", &Literal::Number(0.0)))
        .order(["isocurrencycode"]);
    let lead = vocabulary(CrmKind::Dynamics365).lead;
    let mut parts = vec![
        picklist("opportunity", "salesstage"),
        picklist(lead.name, lead.named(Role::Source)),
        Part::get(&currencies),
    ];
    parts.extend(VALUE_TYPES.iter().map(|(kind, _)| {
        let columns = ["LogicalName", "DisplayName", "IsValidForRead"];
        Part::get(&Query::columns("opportunity", kind).select(columns))
    }));
    let answers = read(crm, &parts).await?;
    let bodies: Vec<Option<Value>> = answers.iter().map(given).collect::<Result<_, _>>()?;
    Ok(offered(&bodies, now))
}

/// Builds the options from the answers to stages, lead sources, currencies, and each of [`VALUE_TYPES`].
fn offered(bodies: &[Option<Value>], now: Millis) -> CrmOptions {
    let body = |index: usize| bodies.get(index).and_then(Option::as_ref);
    let stages: Vec<Stage> = body(0)
        .map(choices)
        .unwrap_or_default()
        .into_iter()
        .zip(0..)
        .map(|(choice, position)| Stage {
            value: choice.value,
            label: choice.label,
            position,
            // An opportunity is closed by its state, at any stage.
            closed: false,
            won: false,
        })
        .collect();
    let lead_sources = body(1).map(choices).unwrap_or_default();
    let currencies: Vec<Currency> = body(2)
        .map(rows)
        .unwrap_or_default()
        .iter()
        .filter_map(|row| {
            let name = row.get("currencyname").and_then(Value::as_str);
            currency(row.get("isocurrencycode")?.as_str()?, name)
        })
        .collect();
    let mut value_fields: Vec<ValueField> = VALUE_TYPES
        .iter()
        .zip(3..)
        .flat_map(|((_, kind), index)| {
            let columns = body(index).map(rows).unwrap_or_default();
            columns
                .iter()
                .filter_map(|column| value_field(column, *kind))
        })
        .collect();
    // Each column of money has its value in the organisation's own currency beside it, which is not that of the
    // opportunity.
    let names: BTreeSet<String> = value_fields
        .iter()
        .map(|field| field.name.clone())
        .collect();
    value_fields.retain(|field| {
        let of = field.name.strip_suffix("_base");
        field.kind != ValueKind::Currency || of.is_none_or(|of| !names.contains(of))
    });
    let note = |empty: bool, text: &str| empty.then(|| text.to_owned());
    CrmOptions {
        crm: CrmKind::Dynamics365,
        fetched_at: now,
        stages_note: note(
            stages.is_empty(),
            "Dynamics 365 has no sales stages on opportunities (column salesstage); the permission check says what is missing.",
        ),
        stages,
        value_fields_note: note(
            value_fields.is_empty(),
            "Dynamics 365 has no numeric or currency column on opportunities; the permission check says what is missing.",
        ),
        value_fields,
        lead_sources_note: note(
            lead_sources.is_empty(),
            "Dynamics 365 has no lead sources on leads (column leadsourcecode); the permission check says what is missing.",
        ),
        lead_sources,
        currencies_note: note(
            currencies.is_empty(),
            "Dynamics 365 shows the connected user no active currency: a security role needs the privilege prvReadTransactionCurrency.",
        ),
        currencies,
    }
}

fn rows(body: &Value) -> &[Value] {
    body.get("value")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

fn choices(body: &Value) -> Vec<Choice> {
    let options = body
        .pointer("/OptionSet/Options")
        .or_else(|| body.pointer("/GlobalOptionSet/Options"))
        .and_then(Value::as_array);
    options
        .into_iter()
        .flatten()
        .filter_map(|option| {
            let value = option.get("Value")?.as_i64()?.to_string();
            let label = label(option.get("Label")).unwrap_or_else(|| value.clone());
            Some(Choice { value, label })
        })
        .collect()
}

fn value_field(column: &Value, kind: ValueKind) -> Option<ValueField> {
    let name = column.get("LogicalName")?.as_str()?;
    let readable = column.get("IsValidForRead").and_then(Value::as_bool) != Some(false);
    (readable && !BOOKKEEPING.contains(&name)).then(|| ValueField {
        name: name.to_owned(),
        label: label(column.get("DisplayName")).unwrap_or_else(|| name.to_owned()),
        kind,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::recorded;

    fn answer(status: u16, body: &Value) -> PartAnswer {
        PartAnswer {
            status: StatusCode::from_u16(status).unwrap(),
            body: serde_json::to_vec(body).unwrap(),
        }
    }

    /// The definition of a table with every column that is imported.
    fn definition(name: &str) -> Value {
        let specs = objects(CrmKind::Dynamics365);
        let spec = specs.iter().find(|spec| spec.name == name).unwrap();
        let attributes: Vec<Value> = spec
            .fields(false)
            .map(|field| {
                let column = field
                    .strip_prefix('_')
                    .and_then(|field| field.strip_suffix("_value"))
                    .unwrap_or(field);
                json!({"LogicalName": column, "IsSecured": false, "MetadataId": format!("ID-{column}")})
            })
            .collect();
        json!({"LogicalName": name, "Attributes": attributes})
    }

    fn tables() -> Vec<Table> {
        objects(CrmKind::Dynamics365)
            .iter()
            .map(|spec| table(&answer(200, &definition(spec.name))).unwrap())
            .collect()
    }

    fn everything() -> BTreeMap<String, Depth> {
        objects(CrmKind::Dynamics365)
            .iter()
            .flat_map(|spec| {
                spec.rights
                    .iter()
                    .map(|right| dataverse_privilege(spec.name, *right))
            })
            .map(|name| (name, Depth::Organisation))
            .collect()
    }

    #[test]
    fn all_privileges_at_organisation_level_are_complete() {
        let report = report(&tables(), &everything(), &BTreeSet::new(), Millis(5));
        assert!(report.is_complete(), "{report:?}");
        assert!(
            report
                .objects
                .iter()
                .all(|object| object.all_records == Some(true))
        );
    }

    #[test]
    fn each_privilege_taken_away_or_lowered_is_one_finding() {
        for name in everything().keys() {
            let mut held = everything();
            held.remove(name);
            let gone = report(&tables(), &held, &BTreeSet::new(), Millis(5));
            let findings: Vec<_> = gone.objects.iter().filter(|o| !o.is_complete()).collect();
            assert_eq!(findings.len(), 1, "{name}");
            assert_eq!(findings[0].missing_rights.len(), 1, "{name}");
            assert!(findings[0].next_step.as_deref().unwrap().contains(name));

            held.insert(name.clone(), Depth::Part);
            let lower = report(&tables(), &held, &BTreeSet::new(), Millis(5));
            let partial: Vec<_> = lower
                .objects
                .iter()
                .filter(|object| object.all_records == Some(false))
                .collect();
            assert_eq!(
                partial.len(),
                usize::from(name.starts_with("prvRead")),
                "{name}"
            );
            assert_eq!(partial.is_empty(), lower.is_complete(), "{name}");
        }
    }

    #[test]
    fn a_table_that_is_not_there_is_a_finding_and_trouble_is_an_error() {
        let mut tables = tables();
        tables[2] = table(&answer(404, &json!({}))).unwrap();
        tables[5] = table(&answer(200, &json!({"Attributes": [{"LogicalName": 7}]}))).unwrap();
        let report = report(&tables, &everything(), &BTreeSet::new(), Millis(5));
        assert_eq!(report.unreadable_required(), ["Lead"]);
        let step = |index: usize| report.objects[index].next_step.as_deref().unwrap();
        assert!(step(2).contains("no table lead"), "{}", step(2));
        assert!(step(5).contains("not understood"), "{}", step(5));
        for status in [429, 500, 503] {
            assert!(matches!(
                table(&answer(status, &Value::Null)),
                Err(CrmError::Unavailable(_))
            ));
        }
    }

    #[test]
    fn a_secured_column_is_missing_until_a_profile_opens_it() {
        let mut definition = definition("account");
        definition["Attributes"][4]["IsSecured"] = json!(true);
        let name = definition["Attributes"][4]["LogicalName"].clone();
        let mut tables = tables();
        tables[0] = table(&answer(200, &definition)).unwrap();
        let closed = report(&tables, &everything(), &BTreeSet::new(), Millis(5));
        assert_eq!(json!(closed.objects[0].missing_fields), json!([name]));
        let step = closed.objects[0].next_step.as_deref().unwrap();
        assert!(step.contains("column security profile"), "{step}");
        assert!(closed.is_sufficient() && !closed.is_complete());

        let id = format!("id-{}", name.as_str().unwrap());
        let profile = |can_read: i64| {
            opened(&json!({"AttributePrivileges": [{"AttributeId": id, "CanRead": can_read}]}))
        };
        assert!(report(&tables, &everything(), &profile(4), Millis(5)).is_complete());
        assert!(!report(&tables, &everything(), &profile(0), Millis(5)).is_complete());
    }

    #[test]
    fn the_deepest_role_counts() {
        let held = privileges(&json!({"RolePrivileges": [
            {"PrivilegeName": "prvReadLead", "Depth": "Global"},
            {"PrivilegeName": "prvReadLead", "Depth": "Basic"},
            {"PrivilegeName": "prvReadContact", "Depth": "Deep"},
            {"Depth": "Global"},
        ]}))
        .unwrap();
        assert_eq!(held.get("prvReadLead"), Some(&Depth::Organisation));
        assert_eq!(held.get("prvReadContact"), Some(&Depth::Part));
        assert_eq!(held.len(), 2);
        assert!(privileges(&json!({"value": []})).is_none());
    }

    #[test]
    fn a_recorded_definition_names_its_privileges() {
        let Some(text) = recorded("dynamics/tfpp_entitydefinition_contact.json") else {
            return;
        };
        let mut body: Value = serde_json::from_str(&text).expect("JSON");
        body["Attributes"] = definition("contact")["Attributes"].clone();
        let table = defined(&body).expect("a definition");
        for right in [Right::Read, Right::Create, Right::Update] {
            assert_eq!(
                table.privileges.get(&right),
                Some(&dataverse_privilege("contact", right)),
                "the built names are the real ones"
            );
        }
    }

    #[test]
    fn a_recorded_who_am_i_names_the_user() {
        let Some(text) = recorded("dynamics/tfpp_whoami.json") else {
            return;
        };
        let body: Value = serde_json::from_str(&text).expect("JSON");
        let id = user_id(Some(&answer(200, &body))).unwrap();
        assert_eq!(json!(id), body["UserId"]);
    }

    #[test]
    fn a_user_of_no_organisation_is_refused_and_a_strange_one_is_not_understood() {
        let body = json!({"error": {"code": "0x80072560", "message": "The user is not a member of the organization."}});
        let refused = user_id(Some(&answer(403, &body))).unwrap_err();
        let CrmError::Refused(refusal) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(
            (refusal.reason, refusal.code.as_str()),
            (crate::Reason::NoApi, "0x80072560")
        );
        for odd in [json!({}), json!({"UserId": 7}), json!({"UserId": "x"})] {
            assert!(matches!(
                user_id(Some(&answer(200, &odd))),
                Err(CrmError::Unavailable(_))
            ));
        }
        assert!(matches!(user_id(None), Err(CrmError::Unavailable(_))));
    }

    fn display(text: &str) -> Value {
        json!({"UserLocalizedLabel": {"Label": text}})
    }

    #[test]
    fn options_are_the_organisations_own() {
        let bodies = [
            Some(json!({"OptionSet": {"Options": [
                {"Value": 0, "Label": display("Qualifizieren")},
                {"Value": 200_000, "Label": display("Angebot")},
                {"Label": display("no value")},
            ]}})),
            Some(
                json!({"OptionSet": null, "GlobalOptionSet": {"Options": [{"Value": 8, "Label": null}]}}),
            ),
            Some(json!({"value": [
                {"isocurrencycode": "EUR", "currencyname": "Euro"},
                {"isocurrencycode": "USD", "currencyname": " "},
                {"isocurrencycode": null},
            ]})),
            Some(json!({"value": [
                {"LogicalName": "estimatedvalue", "DisplayName": display("Est. Revenue")},
                {"LogicalName": "estimatedvalue_base"},
            ]})),
            Some(json!({"value": [{"LogicalName": "exchangerate"}, {"LogicalName": "lb_ratio"}]})),
            None,
            Some(json!({"value": [{"LogicalName": "closeprobability", "IsValidForRead": false}]})),
        ];
        let options = offered(&bodies, Millis(5));
        let stages: Vec<_> = options
            .stages
            .iter()
            .map(|s| (s.value.as_str(), s.label.as_str(), s.position))
            .collect();
        assert_eq!(
            stages,
            [("0", "Qualifizieren", 0), ("200000", "Angebot", 1)]
        );
        assert_eq!(
            options.stage_of("1-Qualifizieren").map(|s| s.position),
            Some(0)
        );
        assert_eq!(
            json!(options.lead_sources),
            json!([{"value": "8", "label": "8"}])
        );
        assert_eq!(
            json!(options.currencies),
            json!([{"code": "EUR", "name": "Euro"}, {"code": "USD", "name": "USD"}])
        );
        assert_eq!(
            json!(options.value_fields),
            json!([
                {"name": "estimatedvalue", "label": "Est. Revenue", "kind": "currency"},
                {"name": "lb_ratio", "label": "lb_ratio", "kind": "number"},
            ])
        );
        assert!(options.currencies_note.is_none() && options.stages_note.is_none());
        let nothing = offered(&[], Millis(5));
        assert!(nothing.stages_note.is_some() && nothing.currencies_note.is_some());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_reported(body in prop::collection::vec(any::<u8>(), 0..60), status in 100_u16..600) {
            let answer = PartAnswer { status: StatusCode::from_u16(status).unwrap(), body };
            if let Ok(table) = table(&answer) {
                prop_assert_ne!(table.appearance, Appearance::Described);
            }
            prop_assert!(user_id(Some(&answer)).is_err());
            if let Ok(body) = given(&answer) {
                prop_assert!(offered(&[body], Millis(5)).stages_note.is_some());
            }
        }
    }
}
