//! Values are data in every query and every write to a CRM, in all cases: against the simulator, which parses
//! queries and resolves references as the real ones do.

use std::collections::BTreeMap;

use e2e::{Harness, Tenant};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use shared::clock::Millis;
use shared::crm::{Criterion, Crm, LeadSearch};
use shared::domain::mapping::comparable;
use shared::domain::schema::{CrmKind, FieldType, LeadField, LeadSchema};
use shared::domain::vocabulary::{Kind, Role, vocabulary};
use shared::store::ConnectionKind;

const BOTH: [CrmKind; 2] = [CrmKind::Salesforce, CrmKind::Dynamics365];
const NOW: Millis = Millis(1_790_000_000_000);

/// Pieces of both query languages, of references and of patterns.
const PIECES: &[&str] = &[
    "'",
    "''",
    "\\",
    "\\'",
    "\"",
    "%",
    "_",
    "[",
    "]",
    "[^",
    "(",
    ")",
    ",",
    ";",
    "--",
    "/*",
    "#",
    "&",
    "?",
    "$",
    "@{contact.id}",
    "@{lead.id}",
    "${1}",
    "$1",
    "{0}",
    " or ",
    " OR ",
    " and ",
    " eq ",
    " ne ",
    "!=",
    "=",
    "null",
    "true",
    "LIMIT 1",
    "x",
    "7",
    " ",
    "\u{2028}",
    "\u{e9}",
    "株",
    "%27",
    "+",
    ":",
    "-",
    ".",
    "a.b",
    "')or(name!='",
    "' OR Name != '",
    "') or contains(lastname,'",
];

fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(PIECES).prop_map(str::to_owned),
        1 => "\\PC{1,3}",
    ];
    prop::collection::vec(piece, 1..6).prop_map(|pieces| pieces.concat())
}

/// The contract's CRM, with its lead fields.
async fn opened(tenant: &Tenant<'_>) -> (Box<dyn Crm>, LeadSchema) {
    let stack = tenant.harness.embedded_stack();
    let sessions = &stack.apps().writeback.remote.sessions;
    let session = sessions
        .open(&tenant.made.id, ConnectionKind::PRODUCTION)
        .await
        .unwrap();
    let crm = shared::crm::open(session);
    let schema = crm.lead_schema(NOW).await.unwrap();
    (crm, schema)
}

const fn system(crm: CrmKind) -> (&'static str, &'static str) {
    match crm {
        CrmKind::Salesforce => ("salesforce", "Lead"),
        CrmKind::Dynamics365 => ("dataverse", "lead"),
    }
}

/// Makes a lead past all rules of the CRM.
async fn lead(tenant: &Tenant<'_>, field: &str, value: &Value) -> String {
    let (system, object) = system(tenant.made.crm);
    let mut body = json!({ local::seed::lead_field("last_name", tenant.made.crm): "Decoy" });
    body[field] = value.clone();
    let path = format!("/records/{system}/{object}");
    let made = tenant
        .harness
        .control(Method::POST, &path, Some(body))
        .await;
    let id = made
        .get("Id")
        .or_else(|| made.get("leadid"))
        .or_else(|| made.get("id"));
    id.unwrap().as_str().unwrap().to_owned()
}

/// A field of each kind that leads can be matched by.
fn kinds(schema: &LeadSchema) -> Vec<&LeadField> {
    let mut kinds: BTreeMap<String, &LeadField> = BTreeMap::new();
    for field in schema.fields.iter().filter(|field| field.is_matchable()) {
        let described = serde_json::to_value(&field.field_type).unwrap();
        let numeric = described["numeric"] == true;
        kinds
            .entry(format!("{}{numeric}", described["type"]))
            .or_insert(field);
    }
    kinds.into_values().collect()
}

/// Any value makes a valid query, and the records found have that value.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_value_is_read_as_a_part_of_the_query() {
    let harness = Harness::embedded(false).await;
    for kind in BOTH {
        let tenant = harness.tenant(kind).await;
        let (crm, schema) = opened(&tenant).await;
        let fields = kinds(&schema);
        assert!(fields.len() >= 7, "{fields:?}");
        for field in &fields {
            let plain = match &field.field_type {
                FieldType::Boolean => json!(true),
                FieldType::Integer { .. } | FieldType::Decimal { .. } => json!(7),
                FieldType::Date => json!("2026-01-02"),
                FieldType::Picklist {
                    options, numeric, ..
                } => {
                    let value = &options[0].value;
                    if *numeric {
                        json!(value.parse::<i64>().unwrap())
                    } else {
                        json!(value)
                    }
                }
                FieldType::Url { .. } => json!("https://decoy.example"),
                FieldType::Email { .. } => json!("decoy@decoy.example"),
                FieldType::Phone { .. } => json!("+14155550100"),
                _ => json!("Decoy"),
            };
            lead(&tenant, &field.name, &plain).await;
        }
        let mut runner = TestRunner::new_with_rng(
            Config::default(),
            TestRng::deterministic_rng(RngAlgorithm::ChaCha),
        );
        for round in 0..60 {
            let text = hostile().new_tree(&mut runner).unwrap().current();
            for field in &fields {
                let texts = match &field.field_type {
                    FieldType::Url { .. } => {
                        vec![
                            format!("http://x.example{text}"),
                            format!("https://o'{text}.example"),
                            text.clone(),
                        ]
                    }
                    FieldType::Email { .. } => vec![format!("{text}@x.example"), text.clone()],
                    _ => vec![text.clone()],
                };
                for text in texts {
                    search(&tenant, crm.as_ref(), &schema, field, &text, round).await;
                }
            }
        }
    }
    harness.stop().await;
}

/// Searches by a text as a value of a field, before and after there is a lead with it.
async fn search(
    tenant: &Tenant<'_>,
    crm: &dyn Crm,
    schema: &LeadSchema,
    field: &LeadField,
    text: &str,
    round: usize,
) {
    let value = json!(text);
    // A value without a normal form is never searched for; here it is, as if that check had failed.
    let normal = comparable(&value, field, None);
    let known = normal.is_some();
    let criteria = [Criterion {
        field,
        value: &value,
        normal: normal.clone().unwrap_or_else(|| text.to_owned()),
    }];
    let read = [field.name.clone()];
    let find = async || {
        let search = LeadSearch {
            criteria: &criteria,
            ids: &[],
            read: &read,
            created_since: None,
        };
        crm.find_leads(schema, &search).await
    };
    let about = format!("{} = {text:?}", field.name);
    let found = find()
        .await
        .unwrap_or_else(|error| panic!("{about}: {error}"));
    // Decoys have other values; phone numbers are asked for by some digits, websites by their host.
    let likely = |theirs: &str| match field.field_type {
        FieldType::Phone { .. } => true,
        FieldType::Url { .. } => {
            let host = criteria[0].normal.split('/').next().unwrap_or_default();
            theirs.to_lowercase().contains(&host.to_lowercase())
        }
        _ => comparable(&json!(theirs), field, None) == normal || theirs.eq_ignore_ascii_case(text),
    };
    for record in &found {
        let theirs = record.values[&field.name].as_str().unwrap_or_default();
        assert!(likely(theirs), "{about} found {theirs:?}");
    }
    let stored = matches!(
        field.field_type,
        FieldType::Text { .. } | FieldType::Url { .. } | FieldType::Email { .. }
    );
    // The CRMs cut white space off, and keep no control characters.
    let plain = text.trim() == text && !text.chars().any(char::is_control);
    if round.is_multiple_of(4) && stored && known && plain && text.len() < 60 {
        // A host in Unicode, or with escapes, is searched in its own form.
        let ascii = matches!(field.field_type, FieldType::Url { .. })
            && (!text.is_ascii() || text.contains('%'));
        let id = lead(tenant, &field.name, &value).await;
        let found = find().await.unwrap();
        assert!(
            ascii || found.iter().any(|record| record.id == id),
            "{about} is not found"
        );
    }
}

/// The search by a website, from the form to the lead: one that looks like a condition finds no lead, one
/// with an apostrophe is an ordinary website.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_website_is_matched_by_whatever_letters_its_host_has() {
    let harness = Harness::start().await;
    for kind in BOTH {
        let tenant = harness.tenant(kind).await;
        let website = local::seed::lead_field("website", kind);
        let strategy =
            json!({"name": "Website", "matching_lead_fields": [website], "active": true});
        let (status, body) = tenant
            .api(Method::POST, "/matching-strategies", Some(strategy))
            .await;
        assert_eq!(status, StatusCode::CREATED, "{body}");
        let send = async |name: &str, website: &str| {
            let person =
                json!({"email": tenant.email(name), "last_name": name, "website": website});
            let id = tenant.submit(&person, None).await;
            tenant
                .wait_for(&id, &["created", "attached", "needs_attention"])
                .await
        };
        for (name, website) in [
            ("One", "https://one.example"),
            ("Two", "http://x.example')or(name!='"),
            ("Three", "http://x.example') or contains(lastname,'"),
            ("Four", "https://o'brien.example"),
            ("Five", "https://a_b.example"),
            ("Six", "https://axb.example"),
            ("Seven", "https://a[b.example"),
        ] {
            let detail = send(name, website).await;
            assert_eq!(detail["state"], "created", "{kind:?} {website}: {detail:#}");
        }
        let again = send("Again", "http://www.o'brien.example/").await;
        assert_eq!(again["state"], "attached", "{again:#}");
    }
    harness.stop().await;
}

/// LG-8: text that looks like a reference to another record or request is text.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_looks_like_a_reference_arrives_as_it_was_typed() {
    let harness = Harness::start().await;
    for kind in BOTH {
        let tenant = harness.tenant(kind).await;
        for (n, text) in [
            "write me @{bob}",
            "@{contact.id}",
            "@{lead.id}",
            "@{contact",
            "@{}",
            "@{contact.id} and @{contact.id}",
            "$1",
            "$contact",
            "${contact.id}",
            "{!contact.Id}",
            "/contacts($1)",
            "@odata.bind",
            "\\u0040{contact.id}",
        ]
        .into_iter()
        .enumerate()
        {
            let name = format!("Ref{n}");
            let person = json!({
                "email": tenant.email(&name), "first_name": name, "last_name": text, "company": text,
                "title": text, "message": text, "city": text,
            });
            let id = tenant.submit(&person, None).await;
            let detail = tenant.wait_for(&id, &["created", "needs_attention"]).await;
            assert_eq!(detail["state"], "created", "{text}: {detail:#}");
            let (leads, contacts) = (tenant.leads().await, tenant.records("Contact").await);
            for (of_lead, records) in [(true, &leads), (false, &contacts)] {
                let record = records
                    .iter()
                    .find(|record| tenant.value(record, "first_name") == name)
                    .unwrap();
                for field in ["last_name", "company", "title", "message", "city"] {
                    let value = tenant.value(record, field);
                    assert!(
                        value == text || (!of_lead && value.is_null()),
                        "{field}: {value}"
                    );
                }
            }
            // It joins the lead that it made, and fills its empty fields.
            let more =
                json!({"email": tenant.email(&name), "website": "x.example", "country": text});
            let id = tenant.submit(&more, None).await;
            let detail = tenant.wait_for(&id, &["attached", "needs_attention"]).await;
            assert_eq!(detail["state"], "attached", "{text}: {detail:#}");
            let leads = tenant.leads().await;
            let lead = leads
                .iter()
                .find(|lead| tenant.value(lead, "first_name") == name)
                .unwrap();
            assert_eq!(tenant.value(lead, "country"), text);
        }
    }
    harness.stop().await;
}

/// The vocabulary's names and kinds are the CRM's: every field written of a lead and its contact exists, with
/// that kind. (The permission check verifies the imported fields.)
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_field_that_is_written_is_the_crms() {
    // Of organisations with lists of states and countries, which the simulator's are not.
    const ELSEWHERE: &[&str] = &["StateCode", "CountryCode"];
    let harness = Harness::embedded(false).await;
    for kind in BOTH {
        let tenant = harness.tenant(kind).await;
        let (_, schema) = opened(&tenant).await;
        let lead = vocabulary(kind).lead;
        let written = lead.vocabulary.iter().filter(|field| {
            !ELSEWHERE.contains(&field.name)
                && (!field.contact.is_empty() || field.role == Role::Topic)
        });
        let mut count = 0;
        for field in written {
            count += 1;
            let described = schema
                .field(field.name)
                .unwrap_or_else(|| panic!("{}", field.name));
            let suits = match &described.field_type {
                FieldType::Text { .. }
                | FieldType::LongText { .. }
                | FieldType::Email { .. }
                | FieldType::Phone { .. }
                | FieldType::Url { .. } => field.kind == Kind::Text,
                FieldType::Picklist { numeric: true, .. } => field.kind == Kind::NumberedChoice,
                FieldType::Picklist { numeric: false, .. } => field.kind == Kind::Choice,
                FieldType::Boolean => field.kind == Kind::Boolean,
                _ => false,
            };
            assert!(
                suits && described.createable,
                "{}: {described:?}",
                field.name
            );
            let known = |name: &String| name == field.contact;
            assert!(
                field.contact.is_empty() || schema.contact_fields.iter().any(known),
                "{}",
                field.contact
            );
        }
        assert!(count > 15, "{count}");
    }
    harness.stop().await;
}
