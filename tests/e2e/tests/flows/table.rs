//! Values that the table does not take, and items that cannot be read back from it: neither costs a lead, and
//! neither stands in the way of anything else.

use std::collections::BTreeSet;

use e2e::worker::{
    ask_for_import, clock, drain_imports, import_to_end, messages, process, spoil, stored,
};
use e2e::{Harness, Tenant};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use shared::clock::Millis;
use shared::domain::contract::AuditEntry;
use shared::domain::environment::Environment;
use shared::domain::ids::SeatId;
use shared::domain::schema::CrmKind;
use shared::domain::submission::State;
use shared::queue::ImportMessage;
use shared::store::{SessionRecord, WorkKind, schema};
use shared::testing::Tripwire;

const BOTH: [CrmKind; 2] = [CrmKind::Salesforce, CrmKind::Dynamics365];

/// Names that a form may have, and that are longer than a key of the table once they are encoded.
fn long_names() -> Vec<String> {
    vec![
        "あ".repeat(114),
        "あ".repeat(200),
        "😀".repeat(200),
        format!("{}#", "%".repeat(199)),
        "é ".repeat(99) + "é",
    ]
}

/// Text that is bad as a key, as a number, as a cursor or as an id.
fn hostile_texts() -> Vec<String> {
    vec![
        String::new(),
        "#".to_owned(),
        "%".to_owned(),
        "../..".to_owned(),
        "-1".to_owned(),
        "99999999999999999".to_owned(),
        i64::MIN.to_string(),
        i64::MAX.to_string(),
        "#00000000-0000-0000-0000-000000000000".to_owned(),
        "9999999999999#00000000-0000-0000-0000-000000000000".to_owned(),
        "15#".to_owned(),
        "15.00000000-0000-0000-0000-000000000000".to_owned(),
        "x".repeat(1100),
        "あ".repeat(700),
        "😀".repeat(500),
        "a\u{0}b".to_owned(),
    ]
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// As the API takes names in paths.
fn encoded_twice(text: &str) -> String {
    encoded(&encoded(text))
}

/// LG-7, LG-8: a field's name, however long, costs no lead: it is shown as discovered, and can be mapped,
/// read, forgotten.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_on_a_public_form_never_costs_a_lead() {
    let harness = Harness::start().await;
    for crm in BOTH {
        let tenant = harness.tenant(crm).await;
        let mut person = tenant.person("Long");
        for name in long_names() {
            person[name] = json!("x");
        }
        let id = tenant.submit(&person, None).await;
        tenant.wait_for(&id, &["created"]).await;
        assert_eq!(tenant.leads().await.len(), 1);

        let (_, list) = tenant
            .api(Method::GET, "/field-mappings/discovered", None)
            .await;
        let found = |list: &Value, name: &str| {
            let items = list["items"].as_array().unwrap();
            items.iter().find(|item| item["name"] == name).cloned()
        };
        let field = match crm {
            CrmKind::Salesforce => "Description",
            CrmKind::Dynamics365 => "description",
        };
        for name in long_names() {
            assert!(found(&list, &name).is_some(), "{name}: {list:#}");
            let path = format!("/field-mappings/{}", encoded_twice(&name));
            let mapping = json!({ "name": name, "lead_field": field });
            let (status, body) = tenant
                .api(Method::POST, "/field-mappings", Some(mapping))
                .await;
            assert_eq!(status, StatusCode::CREATED, "{name}: {body}");
            let (status, body) = tenant.api(Method::GET, &path, None).await;
            assert_eq!((status, &body["name"]), (StatusCode::OK, &json!(name)));
            let (status, body) = tenant.api(Method::DELETE, &path, None).await;
            assert_eq!(status, StatusCode::NO_CONTENT, "{name}: {body}");
        }
        let (gone, stays) = (&long_names()[0], &long_names()[1]);
        let path = format!("/field-mappings/discovered/{}", encoded_twice(gone));
        let (status, body) = tenant.api(Method::DELETE, &path, None).await;
        assert_eq!(status, StatusCode::NO_CONTENT, "{body}");
        let (status, _) = tenant.api(Method::DELETE, &path, None).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "it is forgotten already");
        let (_, list) = tenant
            .api(Method::GET, "/field-mappings/discovered", None)
            .await;
        assert!(found(&list, gone).is_none() && found(&list, stays).is_some());
    }
    harness.stop().await;
}

/// A value that the table would refuse is refused before, with a code and the field.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_table_would_refuse_is_a_clear_problem() {
    let harness = Harness::start().await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let emoji = "😀".repeat(240);
    let unknown = "00000000-0000-4000-8000-000000000000";
    for (method, path, body, status, code) in [
        (
            Method::POST,
            "/seats".to_owned(),
            Some(
                json!({"name": "A", "email": format!("{emoji}@example.com"), "role": "salesperson"}),
            ),
            422,
            "invalid_email",
        ),
        (
            Method::PUT,
            "/scoring-rule".to_owned(),
            Some(json!({"new_lead_points": 1, "matched_points": 1, "form_points": {"": 1}})),
            422,
            "invalid_form_points",
        ),
        (
            Method::PUT,
            "/scoring-rule".to_owned(),
            Some(
                json!({"new_lead_points": 1, "matched_points": 1, "form_points": {"x".repeat(201): 1}}),
            ),
            422,
            "invalid_form_points",
        ),
        (
            Method::GET,
            "/submissions?from=2&to=1".to_owned(),
            None,
            400,
            "invalid_period",
        ),
        (
            Method::GET,
            "/submissions?from=99999999999999999".to_owned(),
            None,
            200,
            "",
        ),
        (Method::GET, "/submissions?to=-1".to_owned(), None, 200, ""),
        (
            Method::GET,
            "/submissions?cursor=".to_owned(),
            None,
            400,
            "invalid_cursor",
        ),
        (
            Method::GET,
            "/failed-writes?cursor=".to_owned(),
            None,
            400,
            "invalid_cursor",
        ),
        (
            Method::GET,
            "/audit-log?cursor=".to_owned(),
            None,
            400,
            "invalid_cursor",
        ),
        (
            Method::GET,
            format!("/audit-log?cursor={}", "x".repeat(1100)),
            None,
            400,
            "invalid_cursor",
        ),
        (
            Method::GET,
            "/seats?cursor=".to_owned(),
            None,
            400,
            "invalid_cursor",
        ),
        (
            Method::GET,
            format!("/seats?cursor=%23{unknown}"),
            None,
            400,
            "invalid_cursor",
        ),
        (
            Method::GET,
            "/profiles?cursor=".to_owned(),
            None,
            400,
            "invalid_cursor",
        ),
    ] {
        let (answered, answer) = tenant.api(method.clone(), &path, body).await;
        let got = (
            answered.as_u16(),
            answer["code"].as_str().unwrap_or_default(),
        );
        assert_eq!(got, (status, code), "{method} {path}: {answer}");
    }
    harness.stop().await;
}

/// Every query parameter and every name in a path, as the description lists them, with text that is bad as
/// a key: never an error of ours.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_text_in_an_address_is_an_error_of_ours() {
    let harness = Harness::start().await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let (_, description) = tenant.api(Method::GET, "/openapi.json", None).await;
    let mut tried = 0;
    for (path, operations) in description["paths"].as_object().unwrap() {
        let path = path.strip_prefix("/api/v1").unwrap();
        for (method, operation) in operations.as_object().unwrap() {
            let Ok(method) = Method::from_bytes(method.to_uppercase().as_bytes()) else {
                continue;
            };
            let parameters = operation["parameters"].as_array().cloned();
            let parameters = parameters.unwrap_or_default();
            let unknown = "00000000-0000-4000-8000-000000000000";
            let plain = path
                .replace("{id}", unknown)
                .replace("{name}", "x")
                .replace("{environment}", "sandbox")
                .replace("{kind}", "profile");
            for parameter in &parameters {
                let name = parameter["name"].as_str().unwrap();
                for text in hostile_texts() {
                    let address = if parameter["in"] == "path" {
                        let given = if text.is_empty() {
                            "%2520"
                        } else {
                            &encoded_twice(&text)
                        };
                        path.replace(&format!("{{{name}}}"), given)
                    } else if method == Method::GET {
                        format!("{plain}?{name}={}", encoded(&text))
                    } else {
                        continue;
                    };
                    let body = (method != Method::GET).then(|| json!({}));
                    let (status, answer) = tenant.api(method.clone(), &address, body).await;
                    assert!(
                        status.as_u16() < 500,
                        "{method} {address}: {status} {answer}"
                    );
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > 500, "{tried}");
    harness.stop().await;
}

/// The variants of a body with one text of it, or one name of an object, replaced.
fn with_hostile_text(body: &Value) -> Vec<Value> {
    let mut variants = Vec::new();
    let mut texts = hostile_texts();
    texts.push("y".repeat(60_000));
    for text in texts {
        each_place(body, &mut |place| {
            let mut variant = body.clone();
            *variant.pointer_mut(place).unwrap() = json!(text);
            variants.push(variant);
        });
        each_object(body, &mut |place| {
            let mut variant = body.clone();
            let object = variant.pointer_mut(place).unwrap();
            object[text.as_str()] = json!(1);
            variants.push(variant);
        });
    }
    variants
}

fn each_place(value: &Value, found: &mut dyn FnMut(&str)) {
    walk(value, "", &mut |place, value| {
        if value.is_string() {
            found(place);
        }
    });
}

fn each_object(value: &Value, found: &mut dyn FnMut(&str)) {
    walk(value, "", &mut |place, value| {
        if value.is_object() && !place.is_empty() {
            found(place);
        }
    });
}

fn walk(value: &Value, place: &str, visit: &mut dyn FnMut(&str, &Value)) {
    visit(place, value);
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(item, &format!("{place}/{index}"), visit);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                walk(field, &format!("{place}/{name}"), visit);
            }
        }
        _ => {}
    }
}

/// Every text of every body that the API stores, replaced by text that is bad as a key or long: never an
/// error of ours.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_text_in_a_body_is_an_error_of_ours() {
    let harness = Harness::start().await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let (_, added) = tenant
        .api(
            Method::POST,
            "/profiles",
            Some(json!({"first_name": "Ada", "last_name": "Tester", "emails": [tenant.email("ada")]})),
        )
        .await;
    let profile = added["id"].as_str().or(added["entry"]["id"].as_str());
    let profile = profile.unwrap_or_else(|| panic!("{added}")).to_owned();
    let (_, forms) = tenant.api(Method::GET, "/forms", None).await;
    let form = forms["items"][0]["id"].as_str().unwrap().to_owned();
    let form_body = json!({
        "kind": "website", "name": "Form", "campaign": "Autumn", "allowed_origins": ["https://a.example"],
        "redirect_urls": ["https://a.example/thanks"], "required_fields": ["email"],
        "multi_value_fields": ["interest"], "honeypot_field": "fax", "secret": "s".repeat(40),
    });
    let person = json!({
        "external_id": "e-1", "first_name": "Ada", "last_name": "Tester", "title": "Engineer",
        "company": "Test Works", "website": "https://a.example", "street": "Main St 1", "city": "Berlin",
        "country": "DE", "emails": ["ada@a.example"], "phones": ["+1 415 555 2671"],
    });
    let record = json!({"object": "Lead", "id": "00Q000000000001AAA"});
    for (method, path, body) in [
        (
            Method::POST,
            "/field-mappings".to_owned(),
            json!({"name": "n", "lead_field": "Description"}),
        ),
        (
            Method::POST,
            "/matching-strategies".to_owned(),
            json!({"name": "n", "matching_lead_fields": ["Email"]}),
        ),
        (
            Method::PUT,
            "/scoring-rule".to_owned(),
            json!({"new_lead_points": 1, "matched_points": 1, "form_points": {"f": 1}, "lead_field": "Score__c"}),
        ),
        (
            Method::PUT,
            "/settings".to_owned(),
            json!({"default_region": "DE", "placeholder": "-"}),
        ),
        (Method::PUT, format!("/forms/{form}"), form_body),
        (
            Method::POST,
            "/seats".to_owned(),
            json!({"name": "Ada", "email": tenant.email("seat"), "role": "salesperson"}),
        ),
        (
            Method::POST,
            "/api-tokens".to_owned(),
            json!({"name": "t", "role": "service"}),
        ),
        (
            Method::PUT,
            "/linkedin".to_owned(),
            json!({"owners": ["urn:li:organization:1"], "client_secret": "s".repeat(40)}),
        ),
        (Method::POST, "/profiles".to_owned(), person.clone()),
        (
            Method::POST,
            "/profiles/batch".to_owned(),
            json!({"items": [person]}),
        ),
        (
            Method::POST,
            "/companies".to_owned(),
            json!({"external_id": "c", "name": "Works", "website": "https://a.example", "city": "Berlin"}),
        ),
        (Method::POST, format!("/profiles/{profile}/match"), record),
    ] {
        for variant in with_hostile_text(&body) {
            let (status, answer) = tenant
                .api(method.clone(), &path, Some(variant.clone()))
                .await;
            let shown: String = variant.to_string().chars().take(300).collect();
            assert!(
                status.as_u16() < 500,
                "{method} {path} {shown}: {status} {answer}"
            );
        }
    }
    harness.stop().await;
}

/// A post that fills a form's limits to the last byte, most of it in names, is stored and becomes a lead
/// although all the notes about it do not fit into one item.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_post_becomes_a_lead() {
    let harness = Harness::start().await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let (_, forms) = tenant.api(Method::GET, "/forms", None).await;
    let forms = forms["items"].as_array().unwrap();
    let form = forms.iter().find(|form| form["kind"] == "website").unwrap();
    let path = format!("/forms/{}", form["id"].as_str().unwrap());
    let rules = json!({
        "kind": "website", "name": "Large", "max_body_bytes": 262_144, "max_fields": 500,
    });
    let (status, body) = tenant.api(Method::PUT, &path, Some(rules)).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let mut person: Value = tenant.person("Large");
    for number in 0..420 {
        person[format!("{}{number}", "あ".repeat(190))] = json!("x");
    }
    let id = large_post(&tenant, &person).await;
    let detail = tenant.wait_for(&id, &["created"]).await;
    assert_eq!(tenant.leads().await.len(), 1);
    let mapped = detail["mapping"].as_array().unwrap();
    assert!(
        mapped
            .iter()
            .any(|entry| entry["name"] == "email" && entry["outcome"] == "mapped"),
        "what was mapped is still told"
    );
    harness.stop().await;
}

/// The form's new limits count within a minute.
async fn large_post(tenant: &Tenant<'_>, body: &Value) -> String {
    for _ in 0..90 {
        let answer = tenant.post_form(body, Some("large")).await;
        if answer.status() != StatusCode::PAYLOAD_TOO_LARGE
            && answer.status() != StatusCode::UNPROCESSABLE_ENTITY
        {
            return e2e::accepted(answer).await;
        }
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    panic!("the post is not taken");
}

/// LG-10: a submission that cannot be read is stepped over by the sweep, the workers and the lists; the
/// submissions beside it and those of other contracts continue.
#[tokio::test]
async fn a_submission_that_cannot_be_read_stands_in_the_way_of_none() {
    let harness = Harness::embedded(false).await;
    let (bad, good) = (
        harness.tenant(CrmKind::Salesforce).await,
        harness.tenant(CrmKind::Dynamics365).await,
    );
    let clock = clock();
    let apps = process(harness.embedded_stack(), &Tripwire::new(), &clock);
    let spoilt = bad.submit(&bad.person("Spoilt"), None).await;
    for attribute in ["state", "answers"] {
        let partition = format!("SUBMISSION#{spoilt}");
        assert_eq!(spoil(&bad, &partition, "SUBMISSION", attribute).await, 1);
    }
    let beside = bad.submit(&bad.person("Beside"), None).await;
    let other = good.submit(&good.person("Other"), None).await;
    clock.advance(600);
    let swept = lead_resync::handle(&apps.resync, lead_resync::Task::Sweep).await;
    let swept = swept.unwrap();
    assert_eq!((swept.swept, swept.failed), (3, 0), "{swept:?}");
    for (tenant, ids) in [(&bad, vec![&*spoilt, &*beside]), (&good, vec![&*other])] {
        let batch = messages(&tenant.made.id, &ids);
        let answer = crm_writeback::handle(&apps.writeback, batch).await;
        // Delivered again it would fail again, until it is in the dead-letter queue.
        assert!(answer.batch_item_failures.is_empty(), "{answer:?}");
    }
    for (tenant, id) in [(&bad, &beside), (&good, &other)] {
        let submission = stored(harness.embedded_stack(), &tenant.made.id, id).await;
        assert_eq!(submission.state, State::Created);
    }
    let (status, list) = bad.api(Method::GET, "/submissions", None).await;
    let ids: Vec<&str> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|item| item["id"].as_str())
        .collect();
    assert_eq!((status, ids), (StatusCode::OK, vec![&*beside]));
    let path = format!("/submissions/{spoilt}");
    let (status, _) = bad.api(Method::GET, &path, None).await;
    assert_eq!(
        status,
        StatusCode::INTERNAL_SERVER_ERROR,
        "it is told, and not hidden"
    );
    // Points are previewed without those of one that joined the same lead and cannot be read.
    let again = bad.submit(&bad.person("Beside"), None).await;
    crm_writeback::handle(&apps.writeback, messages(&bad.made.id, &[&again])).await;
    let joined = stored(harness.embedded_stack(), &bad.made.id, &again).await;
    assert_eq!(joined.state, State::Attached);
    let partition = format!("SUBMISSION#{beside}");
    assert_eq!(spoil(&bad, &partition, "SUBMISSION", "state").await, 1);
    let rule = json!({ "new_lead_points": 33, "matched_points": 1, "maximum": 30 });
    let path = "/scoring-rule/preview";
    let (status, scored) = bad.api(Method::POST, path, Some(rule)).await;
    assert_eq!(status, StatusCode::OK, "{scored}");
    assert_eq!(scored["items"][0]["id"], again);
    harness.stop().await;
}

/// LG-9: a response that LinkedIn gives in an unknown form is stored and fetched by itself; the pull goes on with
/// those behind it.
#[tokio::test]
async fn a_response_that_cannot_be_read_holds_up_no_pull() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let owners = json!({"owners": ["urn:li:sponsoredAccount:123"]});
    let (status, body) = tenant.api(Method::PUT, "/linkedin", Some(owners)).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let answers = json!({"EMAIL": tenant.email("good"), "LAST_NAME": "G", "COMPANY_NAME": "C"});
    let lead = tenant.linkedin_lead(answers, json!({}), 0).await;
    let good = lead["id"].as_str().unwrap();
    let page = json!({ "elements": [
        { "id": "odd-1", "testLead": null, "submittedAt": "soon" },
        { "id": 7 },
        { "id": good },
    ] });
    let fault = json!({
        "system": "linkedin", "path_contains": "leadFormResponses", "kind": "status", "status": 200, "body": page,
    });
    harness.control(Method::POST, "/faults", Some(fault)).await;
    let clock = clock();
    let apps = process(harness.embedded_stack(), &Tripwire::new(), &clock);
    let pull = lead_resync::Task::LinkedInPull {
        contract: Some(tenant.made.id.clone()),
    };
    let pulled = lead_resync::handle(&apps.resync, pull).await.unwrap();
    assert_eq!(
        (pulled.read, pulled.new, pulled.failed),
        (3, 2, 0),
        "{pulled:?}"
    );
    for (response, state) in [("odd-1", State::Waiting), (good, State::Created)] {
        let id = tenant.linkedin_submission(response);
        crm_writeback::handle(&apps.writeback, messages(&tenant.made.id, &[&id])).await;
        let submission = stored(harness.embedded_stack(), &tenant.made.id, &id).await;
        assert_eq!(submission.state, state, "{response}");
    }
    harness.stop().await;
}

/// A session that cannot be read opens nothing, and keeps no other of its seat closed.
#[tokio::test]
async fn a_session_that_cannot_be_read_closes_no_other() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let apps = process(harness.embedded_stack(), &Tripwire::new(), &clock());
    let (store, contract) = (&apps.import.remote.store, &tenant.made.id);
    let seat = json!({"name": "Ada", "email": tenant.email("ada"), "role": "salesperson"});
    let (status, made) = tenant.api(Method::POST, "/seats", Some(seat)).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let id = made["id"].as_str().or_else(|| made["seat"]["id"].as_str());
    let id: SeatId = id.unwrap().parse().unwrap();
    for (number, name) in [(1, "one"), (2, "two")] {
        let seat = store.seat(contract, id).await.unwrap().unwrap();
        let session = SessionRecord {
            id: name.to_owned(),
            created_at: Millis(1),
            valid_until: Millis(4_000_000_000_000),
            generation: 0,
        };
        let audit = AuditEntry {
            at: Millis(number),
            actor: "test".to_owned(),
            action: "session.opened".to_owned(),
            target: id.to_string(),
            before: Value::Null,
            after: Value::Null,
        };
        let unique = uuid::Uuid::from_u64_pair(0, u64::try_from(number).unwrap());
        let opened = store.open_session(contract, &seat, &session, &audit, unique);
        opened.await.unwrap();
    }
    let partition = format!("SEAT#{id}");
    let spoilt = spoil(&tenant, &partition, "SESSION#one", "valid_until").await;
    assert_eq!(spoilt, 1);
    let found = store.seat_sessions(contract, id).await.unwrap().unwrap();
    let open: Vec<&str> = found.sessions.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(open, ["two"]);
    let path = format!("/seats/{id}/sessions");
    let (status, body) = tenant.api(Method::DELETE, &path, None).await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{body}");
    harness.stop().await;
}

/// One contract's unreadable settings and connections stop no schedule's task for the others.
#[tokio::test]
async fn a_contract_that_cannot_be_read_is_stepped_over_by_every_task() {
    let harness = Harness::embedded(false).await;
    let mut tenants = Vec::new();
    for _ in 0..3 {
        tenants.push(harness.tenant(CrmKind::Salesforce).await);
    }
    let clock = clock();
    let apps = process(harness.embedded_stack(), &Tripwire::new(), &clock);
    let bad = &tenants[1];
    assert_eq!(spoil(bad, "", "LINKEDIN", "owners").await, 1);
    assert_eq!(spoil(bad, "CONNECTION#CRM", "CONNECTION", "state").await, 1);
    assert_eq!(spoil(bad, "", "CONTRACT", "name").await, 1);
    let pull = lead_resync::Task::LinkedInPull { contract: None };
    for minute in 0..3 {
        let pulled = lead_resync::handle(&apps.resync, pull.clone())
            .await
            .unwrap();
        assert_eq!(
            (pulled.contracts, pulled.failed),
            (3, 1),
            "minute {minute}: {pulled:?}"
        );
        clock.advance(60);
    }
    let asked = crm_import::run(
        &apps.import,
        crm_import::Task::StartSyncs { contract: None },
    )
    .await;
    let asked = asked.unwrap();
    assert_eq!((asked.requested, asked.failed), (2, 1), "{asked:?}");
    let resumed = crm_import::run(&apps.import, crm_import::Task::Resume)
        .await
        .unwrap();
    assert_eq!(
        resumed.announced, 0,
        "nothing is due yet, and nothing is in the way: {resumed:?}"
    );
    harness.stop().await;
}

/// Work that cannot be read, or is of a kind that this version does not know, is not given back to the
/// queue, and the rest is announced.
#[tokio::test]
async fn work_that_cannot_be_read_stands_in_the_way_of_none() {
    let harness = Harness::embedded(false).await;
    let first = harness.tenant(CrmKind::Salesforce).await;
    let second = harness.tenant(CrmKind::Salesforce).await;
    // Of what is due at one time, the work of the lower id comes first.
    let (bad, good) = if first.made.id < second.made.id {
        (first, second)
    } else {
        (second, first)
    };
    let clock = clock();
    let apps = process(harness.embedded_stack(), &Tripwire::new(), &clock);
    for tenant in [&bad, &good] {
        ask_for_import(&apps, &tenant.made.id).await;
    }
    assert_eq!(spoil(&bad, "CRM#production", "SYNC", "state").await, 1);
    clock.advance(3600);
    let resumed = crm_import::run(&apps.import, crm_import::Task::Resume)
        .await
        .unwrap();
    assert_eq!(resumed.announced, 2, "{resumed:?}");
    let message = |tenant: &Tenant<'_>| ImportMessage {
        contract: tenant.made.id.clone(),
        work: WorkKind::Sync(Environment::Production),
    };
    assert!(crm_import::work(&apps.import, &message(&bad)).await);
    assert_eq!(
        spoil(&bad, "CRM#production", "SYNC", "work_contract").await,
        1
    );
    let resumed = crm_import::run(&apps.import, crm_import::Task::Resume)
        .await
        .unwrap();
    assert_eq!(resumed.announced, 1, "{resumed:?}");
    let store = &apps.import.remote.store;
    let due = store.due_work(apps.import.remote.clock.now(), 1).await;
    assert_eq!(due.unwrap().len(), 1, "it is found behind the other");
    assert!(crm_import::work(&apps.import, &message(&good)).await);
    harness.stop().await;
}

/// In every list an item that cannot be read is left out, and the others are there.
#[tokio::test]
async fn a_list_leaves_out_what_cannot_be_read() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let count = async |path: &str| {
        let (status, list) = tenant.api(Method::GET, path, None).await;
        assert_eq!(status, StatusCode::OK, "{path}: {list}");
        list["items"].as_array().unwrap().len()
    };
    for name in ["Ada", "Grace"] {
        let email = tenant.email(&name.to_lowercase());
        let seat = json!({"name": name, "email": email, "role": "salesperson"});
        let profile = json!({"first_name": name, "last_name": "Tester", "emails": [email]});
        for (path, body) in [("/seats", seat), ("/profiles", profile)] {
            let (status, body) = tenant.api(Method::POST, path, Some(body)).await;
            assert_eq!(status, StatusCode::CREATED, "{body}");
        }
    }
    let (_, seats) = tenant.api(Method::GET, "/seats", None).await;
    let seat = seats["items"][0]["id"].as_str().unwrap().to_owned();
    let (_, profiles) = tenant.api(Method::GET, "/profiles", None).await;
    let profile = profiles["items"][0]["id"].as_str().unwrap().to_owned();
    let (_, tokens) = tenant.api(Method::GET, "/api-tokens", None).await;
    let token = tokens["items"][0]["id"].as_str().unwrap().to_owned();
    let used = tenant.made.tokens.administrator.split('.').nth(2).unwrap();
    let token = if token == used {
        tokens["items"][1]["id"].as_str().unwrap().to_owned()
    } else {
        token
    };
    for (path, partition, sort, attribute) in [
        ("/seats", format!("SEAT#{seat}"), "SEAT".to_owned(), "role"),
        (
            "/api-tokens",
            format!("TOKEN#{token}"),
            "TOKEN".to_owned(),
            "role",
        ),
        ("/profiles", "DIRECTORY#profile".to_owned(), profile, "kind"),
    ] {
        let before = count(path).await;
        assert!(before >= 2, "{path}");
        assert_eq!(
            spoil(&tenant, &partition, &sort, attribute).await,
            1,
            "{path}"
        );
        assert_eq!(count(path).await, before - 1, "{path}");
    }
    let before = count("/audit-log").await;
    assert!(before > 0);
    assert_eq!(spoil(&tenant, "AUDIT", "", "action").await, before);
    assert_eq!(count("/audit-log").await, 0);
    harness.stop().await;
}

/// The table says of each partition whether it holds a person's data: after people have gone through every
/// flow, exactly those do.
#[tokio::test]
async fn what_is_said_to_hold_a_person_does_and_nothing_else() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let clock = clock();
    let apps = process(harness.embedded_stack(), &Tripwire::new(), &clock);
    let marker = "zyxomma";
    let person = json!({
        "email": tenant.email(marker), "first_name": marker, "last_name": marker, "company": marker,
        "phone": "+1 415 555 2671", "a question": marker,
    });
    let id = tenant.submit(&person, None).await;
    crm_writeback::handle(&apps.writeback, messages(&tenant.made.id, &[&id])).await;
    let seat = json!({"name": marker, "email": tenant.email(marker), "role": "salesperson"});
    let profile =
        json!({"first_name": marker, "last_name": marker, "emails": [tenant.email(marker)]});
    for (path, body) in [("/seats", seat), ("/profiles", profile)] {
        let (status, body) = tenant.api(Method::POST, path, Some(body)).await;
        assert!(status.is_success(), "{body}");
    }
    import_to_end(&apps, &clock, &tenant.made.id).await;
    drain_imports(harness.embedded_stack(), &apps).await;

    let client = shared::aws::dynamodb(&harness.embedded_stack().aws);
    let (mut start, mut found) = (None, BTreeSet::new());
    loop {
        let scan = client.scan().table_name(local::TABLE);
        let page = scan.set_exclusive_start_key(start).send().await.unwrap();
        for item in page.items.unwrap_or_default() {
            let pk = item["PK"].as_s().unwrap();
            let holds = schema::holds_person(pk);
            let holds = holds.unwrap_or_else(|| panic!("{pk} is in no list of partitions"));
            if format!("{item:?}").to_lowercase().contains(marker) {
                assert!(holds, "{pk} holds a person's data: {item:?}");
                found.insert(pk.split('#').nth(2).unwrap_or_default().to_owned());
            }
        }
        start = page.last_evaluated_key.filter(|key| !key.is_empty());
        if start.is_none() {
            break;
        }
    }
    for partition in [
        "AUDIT",
        "DIRECTORY",
        "MATCHKEY",
        "MIRROR",
        "SEAT",
        "SEATEMAIL",
        "SUBMISSION",
    ] {
        assert!(
            found.contains(partition),
            "{partition} is said to hold a person: {found:?}"
        );
    }
    harness.stop().await;
}
