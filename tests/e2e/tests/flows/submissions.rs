//! Users' actions and their results, over HTTP, on either stack (see the harness).

#![expect(clippy::too_many_lines, reason = "a flow reads top to bottom")]

use e2e::roles::{salesperson_may, service_may};
use e2e::{Harness, Tenant, accepted};
use futures::StreamExt as _;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use shared::domain::schema::CrmKind;

const BOTH: [CrmKind; 2] = [CrmKind::Salesforce, CrmKind::Dynamics365];

/// LG-3, LG-4, LG-7, LG-8: one website form, one lead, its contact, and all about it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_website_form_becomes_a_lead_with_its_contact() {
    let harness = Harness::start().await;
    for crm in BOTH {
        let tenant = harness.tenant(crm).await;
        let mut person = tenant.person("Ada");
        person["shoe_size"] = json!("thirty-eight");
        let id = tenant.submit(&person, Some("k1")).await;
        let detail = tenant.wait_for(&id, &["created"]).await;
        let leads = tenant.leads().await;
        assert_eq!(leads.len(), 1, "{leads:?}");
        assert_eq!(tenant.value(&leads[0], "last_name"), "Tester");
        assert_eq!(tenant.value(&leads[0], "phone"), "+14155552671");
        let contacts = tenant.records("Contact").await;
        assert_eq!(contacts.len(), 1);
        assert_eq!(detail["orphaned"], false);
        assert!(detail["lead"]["contact_id"].is_string());
        assert_eq!(detail["decision"]["matching_leads"], 0);
        assert_eq!(detail["failures"], json!([]));
        let unmapped: Vec<&Value> = detail["mapping"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|entry| entry["outcome"] == "unmapped")
            .collect();
        assert_eq!(unmapped[0]["name"], "shoe_size");
        assert!(
            !serde_json::to_string(&leads[0])
                .unwrap()
                .contains("thirty-eight"),
            "only mapped fields reach the CRM"
        );
        let (_, discovered) = tenant
            .api(Method::GET, "/field-mappings/discovered", None)
            .await;
        assert_eq!(discovered["items"][0]["name"], "shoe_size");
        let (_, list) = tenant
            .api(Method::GET, "/submissions?q=ADA@&state=created", None)
            .await;
        assert_eq!(list["items"].as_array().unwrap().len(), 1, "{list}");
        let (_, list) = tenant.api(Method::GET, "/submissions?q=nobody", None).await;
        assert_eq!(list["items"], json!([]));
    }
    harness.stop().await;
}

/// LG-10: repeats, one after the other and at once, are one submission and one lead.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_post_is_one_submission_and_one_lead() {
    let harness = Harness::start().await;
    for crm in BOTH {
        let tenant = harness.tenant(crm).await;
        let person = tenant.person("Grace");
        let posts = (0..5).map(|_| tenant.submit(&person, Some("same")));
        let ids = futures::future::join_all(posts).await;
        assert!(ids.iter().all(|id| *id == ids[0]));
        tenant.wait_for(&ids[0], &["created"]).await;
        assert_eq!(tenant.submit(&person, Some("same")).await, ids[0]);
        assert_eq!(tenant.leads().await.len(), 1);
        let reused = tenant
            .post_form(&tenant.person("Other"), Some("same"))
            .await;
        assert_eq!(reused.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(
            reused.json::<Value>().await.unwrap()["code"],
            "idempotency_key_reused"
        );
    }
    harness.stop().await;
}

/// LG-3 no, LG-5, LG-6: a submission that matches joins the lead, fills empty fields, overwrites nothing and
/// raises the score.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_matching_submission_joins_the_lead() {
    let harness = Harness::start().await;
    for crm in BOTH {
        let tenant = harness.tenant(crm).await;
        let score_field = if crm == CrmKind::Salesforce {
            "Score__c"
        } else {
            "lb_score"
        };
        let rule = json!({"lead_field": score_field, "new_lead_points": 10, "matched_points": 7, "maximum": 100});
        let (status, body) = tenant.api(Method::PUT, "/scoring-rule", Some(rule)).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        let first = tenant
            .submit(
                &json!({"email": tenant.email("mary"), "last_name": "Jackson", "company": "NASA"}),
                None,
            )
            .await;
        tenant.wait_for(&first, &["created"]).await;
        let again = json!({"email": tenant.email("MARY").to_uppercase(), "first_name": "Mary", "last_name": "Other", "company": "Elsewhere"});
        let second = tenant.submit(&again, None).await;
        let detail = tenant.wait_for(&second, &["attached"]).await;
        let leads = tenant.leads().await;
        assert_eq!(leads.len(), 1);
        assert_eq!(
            tenant.value(&leads[0], "first_name"),
            "Mary",
            "an empty field is filled"
        );
        assert_eq!(
            tenant.value(&leads[0], "last_name"),
            "Jackson",
            "a filled field is never overwritten"
        );
        assert_eq!(leads[0][score_field].as_f64(), Some(17.0));
        assert_eq!(detail["lead_score"], 17);
        assert_eq!(detail["decision"]["matching_leads"], 1);
        assert_eq!(
            detail["lead"]["id"],
            tenant.submission(&first).await["lead"]["id"]
        );
    }
    harness.stop().await;
}

/// LG-10: different submissions of one person at once make one lead.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn submissions_of_one_person_at_once_make_one_lead() {
    let harness = Harness::start().await;
    for crm in BOTH {
        let tenant = harness.tenant(crm).await;
        let posts = (0..6).map(|_| async { tenant.submit(&tenant.person("Dorothy"), None).await });
        let ids = futures::future::join_all(posts).await;
        let mut created = 0;
        for id in &ids {
            let detail = tenant.wait_for(id, &["created", "attached"]).await;
            created += usize::from(detail["state"] == "created");
        }
        assert_eq!(created, 1);
        assert_eq!(tenant.leads().await.len(), 1);
        assert_eq!(tenant.records("Contact").await.len(), 1);
    }
    harness.stop().await;
}

/// LG-3 yes, LG-4 no: a lead for each submission, without contacts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn always_create_makes_one_lead_for_each_submission() {
    let harness = Harness::start().await;
    for crm in BOTH {
        let tenant = harness.tenant(crm).await;
        let strategy = json!({"name": "Always", "always_create_lead": true, "enable_contact_creation": false, "active": true});
        let (status, body) = tenant
            .api(Method::POST, "/matching-strategies", Some(strategy))
            .await;
        assert_eq!(status, StatusCode::CREATED, "{body}");
        for key in ["a", "b", "a"] {
            let id = tenant.submit(&tenant.person("Annie"), Some(key)).await;
            let detail = tenant.wait_for(&id, &["created"]).await;
            assert_eq!(detail["orphaned"], true);
        }
        assert_eq!(tenant.leads().await.len(), 2);
        assert_eq!(tenant.records("Contact").await.len(), 0);
    }
    harness.stop().await;
}

/// LG-9: LinkedIn's notification, signed; its answers are fetched and joined to the form.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_linkedin_lead_arrives_once_however_often_it_is_announced() {
    let harness = Harness::start().await;
    for crm in BOTH {
        let tenant = harness.tenant(crm).await;
        let answers = json!({"FIRST_NAME": "Katherine", "LAST_NAME": "Johnson", "EMAIL": tenant.email("kj"),
            "COMPANY_NAME": "Langley", "JOB_TITLE": "Mathematician", "What is your budget?": "100"});
        let lead = tenant
            .linkedin_lead(answers, json!({"campaign": "198"}), 5)
            .await;
        let response_id = lead["id"].as_str().unwrap();
        let id = tenant.linkedin_submission(response_id);
        let detail = tenant.wait_for(&id, &["created"]).await;
        assert_eq!(detail["source"], "linkedin");
        assert_eq!(detail["campaign"], "urn:li:sponsoredCampaign:198");
        assert_eq!(detail["response_id"], response_id);
        let leads = tenant.leads().await;
        assert_eq!(leads.len(), 1);
        assert_eq!(tenant.value(&leads[0], "title"), "Mathematician");
        let mapping = detail["mapping"].as_array().unwrap();
        assert!(
            mapping.iter().any(|entry| entry["outcome"] == "unmapped"
                && entry["name"].as_str().unwrap().contains("budget")),
            "{mapping:?}"
        );
    }
    harness.stop().await;
}

/// LG-9: one LinkedIn app signs for every owner that it may read; a lead of another owner than the
/// contract's waits for a person, with nothing fetched.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_linkedin_lead_of_another_owner_is_held_for_a_person() {
    let harness = Harness::start().await;
    let tenant = harness.tenant(CrmKind::Dynamics365).await;
    let owners = |ids: &[&str]| {
        let urns = ids.iter().map(|id| format!("urn:li:sponsoredAccount:{id}"));
        json!({ "owners": urns.collect::<Vec<_>>() })
    };
    let (status, body) = tenant
        .api(Method::PUT, "/linkedin", Some(owners(&["456"])))
        .await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let answers =
        json!({"LAST_NAME": "Johnson", "EMAIL": tenant.email("kj"), "COMPANY_NAME": "Langley"});
    let lead = tenant.linkedin_lead(answers, json!({}), 1).await;
    let id = tenant.linkedin_submission(lead["id"].as_str().unwrap());
    let held = tenant.wait_for(&id, &["needs_attention", "created"]).await;
    assert_eq!(held["state"], "needs_attention", "{held}");
    let text = held.to_string();
    assert!(text.contains("linkedin_owner_unknown"), "{text}");
    assert!(!text.contains(&tenant.email("kj")), "nothing was fetched");
    assert_eq!(tenant.leads().await.len(), 0);
    // Once the owner is one of the contract's, it continues.
    let (status, body) = tenant
        .api(Method::PUT, "/linkedin", Some(owners(&["456", "123"])))
        .await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let path = format!("/submissions/{id}/send-again");
    let deadline = std::time::Instant::now() + std::time::Duration::from_mins(1);
    loop {
        let (status, _) = tenant.api(Method::POST, &path, None).await;
        assert_eq!(status, StatusCode::ACCEPTED);
        let detail = tenant.wait_for(&id, &["needs_attention", "created"]).await;
        if detail["state"] == "created" {
            break;
        }
        // A worker uses the settings it read for some seconds.
        assert!(std::time::Instant::now() < deadline, "{detail}");
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    assert_eq!(tenant.leads().await.len(), 1);
    harness.stop().await;
}

/// LG-5, LG-8: typed values are repaired where that is certain, kept or left out where it is not, and
/// reported.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_people_really_type_becomes_one_lead_and_is_told() {
    let harness = Harness::start().await;
    for crm in BOTH {
        let tenant = harness.tenant(crm).await;
        let email = tenant.email("ann");
        let (local, domain) = email.split_once('@').unwrap();
        let first = json!({
            "email": format!("Ann Meier <{local}\u{200b}@\u{feff}{domain}>"), "first_name": "Ann\u{ad}",
            "last_name": "Mei\u{0}er\u{202c}", "company": "Self-employed", "phone": "+49 151 23020522 ext. 7",
        });
        let id = tenant.submit(&first, Some("1")).await;
        let detail = tenant.wait_for(&id, &["created"]).await;
        let leads = tenant.leads().await;
        let lead = leads.first().unwrap();
        for (field, value) in [
            ("email", email.as_str()),
            ("first_name", "Ann"),
            ("last_name", "Meier"),
            ("company", "Self-employed"),
            ("phone", "+4915123020522 ext. 7"),
        ] {
            assert_eq!(tenant.value(lead, field), value, "{field}");
        }
        let told = |name: &str| {
            let mapping = detail["mapping"].as_array().unwrap();
            let entry = mapping.iter().find(|entry| entry["name"] == name).unwrap();
            (entry["outcome"].clone(), entry["reason"].is_string())
        };
        for name in ["email", "first_name", "last_name", "company"] {
            assert_eq!(told(name), (json!("adjusted"), true), "{name}");
        }
        assert_eq!(told("phone"), (json!("mapped"), false));
        // The same person again, as another program writes them.
        let again = json!({"email": format!("mailto:{email}."), "last_name": "Meier", "company": "n/a", "phone": "4.47912E+11"});
        let id = tenant.submit(&again, Some("2")).await;
        tenant.wait_for(&id, &["attached"]).await;
        // Google's body with a byte order mark, a number, no test mark, a control character.
        let body = json!({
            "lead_id": 7, "google_key": tenant.made.google_key, "is_test": null,
            "user_column_data": [
                {"column_id": "EMAIL", "string_value": tenant.email("g")},
                {"column_id": "FULL_NAME", "string_value": "Ada\u{b}King"},
                {"column_id": "PHONE_NUMBER", "string_value": 4_930_901_820_u64},
            ],
        });
        let url = format!(
            "{}/webhooks/google-ads/{}",
            harness.intake, tenant.made.google_form_key
        );
        let request = harness
            .http
            .post(url)
            .header("content-type", "application/json");
        let id = accepted(
            request
                .body(format!("\u{feff}{body}"))
                .send()
                .await
                .unwrap(),
        )
        .await;
        tenant.wait_for(&id, &["created"]).await;
        let leads = tenant.leads().await;
        assert_eq!(leads.len(), 2);
        let ada = leads
            .iter()
            .find(|lead| tenant.value(lead, "last_name") == "King");
        assert_eq!(tenant.value(ada.unwrap(), "first_name"), "Ada");
    }
    harness.stop().await;
}

/// LG-9: test leads are marked, and reach the CRM only when asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn test_leads_are_held_until_released() {
    let harness = Harness::start().await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let answers = json!({"LAST_NAME": "Tester", "EMAIL": tenant.email("li"), "COMPANY_NAME": "X"});
    let lead = tenant
        .linkedin_lead(answers, json!({"test": true}), 1)
        .await;
    let linkedin = tenant.linkedin_submission(lead["id"].as_str().unwrap());
    let google = json!({
        "lead_id": "g-1", "google_key": tenant.made.google_key, "is_test": true, "form_id": 4_000_000_000_u64,
        "user_column_data": [{"column_id": "EMAIL", "string_value": tenant.email("g")}, {"column_id": "FULL_NAME", "string_value": "Gee"}],
    });
    let url = format!(
        "{}/webhooks/google-ads/{}",
        harness.intake, tenant.made.google_form_key
    );
    let google = accepted(harness.http.post(url).json(&google).send().await.unwrap()).await;
    for id in [&linkedin, &google] {
        let detail = tenant.wait_for(id, &["held_test"]).await;
        assert_eq!(detail["test"], true);
        assert!(
            detail["next_step"]
                .as_str()
                .unwrap()
                .contains("include_test")
        );
    }
    assert_eq!(tenant.leads().await.len(), 0);
    let path = format!("/submissions/{google}/send-again");
    let (status, problem) = tenant.api(Method::POST, &path, None).await;
    assert_eq!(
        (status, problem["code"].as_str()),
        (StatusCode::CONFLICT, Some("test_lead"))
    );
    let (status, _) = tenant
        .api(Method::POST, &path, Some(json!({"include_test": true})))
        .await;
    assert_eq!(status, StatusCode::ACCEPTED);
    tenant.wait_for(&google, &["created"]).await;
    assert_eq!(tenant.leads().await.len(), 1);
    let (status, problem) = tenant
        .api(Method::POST, &path, Some(json!({"include_test": true})))
        .await;
    assert_eq!(
        (status, problem["code"].as_str()),
        (StatusCode::CONFLICT, Some("already_in_crm"))
    );
    harness.stop().await;
}

/// LG-9: the challenge is answered for a UUID v4 only; notifications must be signed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn linkedins_webhook_is_guarded() {
    let harness = Harness::start().await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let url = format!("{}/webhooks/linkedin/{}", harness.intake, tenant.made.id);
    let report = harness
        .control(
            Method::POST,
            "/linkedin/validate",
            Some(json!({"url": url, "client_secret": tenant.made.linkedin_client_secret})),
        )
        .await;
    assert_eq!(report["refuses_other_text"], true, "{report}");
    let body = json!({"type": "LEAD_ACTION", "leadGenFormResponse": "urn:li:leadGenFormResponse:x-1", "leadAction": "CREATED"}).to_string();
    for signature in [
        None,
        Some("00".repeat(32)),
        Some(shared::source::linkedin::sign(
            "another secret",
            body.as_bytes(),
        )),
    ] {
        let mut request = harness.http.post(&url).body(body.clone());
        if let Some(signature) = signature {
            request = request.header("x-li-signature", signature);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
    }
    let (_, list) = tenant.api(Method::GET, "/submissions", None).await;
    assert_eq!(list["items"], json!([]), "nothing was stored");
    // A changed secret counts at once, and the one before stays valid beside it.
    let change = json!({"owners": [], "client_secret": "a brand new secret"});
    assert_eq!(
        tenant.api(Method::PUT, "/linkedin", Some(change)).await.0,
        StatusCode::OK
    );
    for secret in ["a brand new secret", &tenant.made.linkedin_client_secret] {
        let signature = shared::source::linkedin::sign(secret, body.as_bytes());
        let answer = harness
            .http
            .post(&url)
            .header("x-li-signature", signature)
            .body(body.clone())
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
    }
    harness.stop().await;
}

/// LG-9: a withdrawn response never reaches the CRM, in any order of the notices.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_withdrawn_lead_is_withdrawn_everywhere() {
    let harness = Harness::start().await;
    let tenant = harness.tenant(CrmKind::Dynamics365).await;
    let settings = json!({"delete_withdrawn_leads": true});
    assert_eq!(
        tenant.api(Method::PUT, "/settings", Some(settings)).await.0,
        StatusCode::OK
    );
    let answers =
        |name: &str| json!({"LAST_NAME": "Gone", "EMAIL": tenant.email(name), "COMPANY_NAME": "X"});
    let deliver = json!({"url": format!("{}/webhooks/linkedin/{}", harness.intake, tenant.made.id), "client_secret": tenant.made.linkedin_client_secret});
    // Created, then withdrawn.
    let lead = tenant.linkedin_lead(answers("late"), json!({}), 1).await;
    let late = lead["id"].as_str().unwrap();
    tenant
        .wait_for(&tenant.linkedin_submission(late), &["created"])
        .await;
    assert_eq!(tenant.leads().await.len(), 1);
    let path = format!("/linkedin/leads/{late}/delete");
    harness
        .control(Method::POST, &path, Some(json!({"deliver": deliver})))
        .await;
    let detail = tenant
        .wait_for(&tenant.linkedin_submission(late), &["withdrawn"])
        .await;
    assert_eq!(
        detail["answers"],
        Value::Null,
        "the person's answers are gone"
    );
    assert_eq!(
        tenant.leads().await.len(),
        0,
        "and so is the lead that it alone made"
    );
    // Withdrawn before the notice of its creation arrives.
    let lead = tenant.linkedin_lead(answers("early"), json!({}), 0).await;
    let early = lead["id"].as_str().unwrap();
    let path = format!("/linkedin/leads/{early}/delete");
    harness
        .control(Method::POST, &path, Some(json!({"deliver": deliver})))
        .await;
    let notification = lead["notification"].to_string();
    let signature = shared::source::linkedin::sign(
        &tenant.made.linkedin_client_secret,
        notification.as_bytes(),
    );
    let url = deliver["url"].as_str().unwrap();
    let answer = harness
        .http
        .post(url)
        .header("x-li-signature", signature)
        .body(notification)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(
        tenant.submission(&tenant.linkedin_submission(early)).await["state"],
        "withdrawn"
    );
    assert_eq!(tenant.leads().await.len(), 0);
    harness.stop().await;
}

/// Bad input has its status, code and next step, and nothing is stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_gets_a_clear_answer_and_stores_nothing() {
    let harness = Harness::start().await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let form = format!("{}/forms/{}", harness.intake, tenant.made.form_key);
    let check = async |url: &str,
                       content_type: &str,
                       extra: &[(&str, &str)],
                       body: Vec<u8>,
                       status: u16,
                       code: &str| {
        let mut request = harness
            .http
            .post(url)
            .header("content-type", content_type)
            .body(body);
        for (name, value) in extra {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{code}");
        assert_eq!(
            answer.headers()["content-type"],
            "application/problem+json",
            "{code}"
        );
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["code"], code);
        for field in ["type", "title", "detail", "next_step"] {
            assert!(
                problem[field].as_str().is_some_and(|text| !text.is_empty()),
                "{code} has {field}"
            );
        }
        problem
    };
    let json_type = "application/json";
    let urlencoded = "application/x-www-form-urlencoded";
    check(
        &form,
        "text/plain",
        &[],
        b"email=a".to_vec(),
        415,
        "unsupported_media_type",
    )
    .await;
    check(
        &form,
        json_type,
        &[],
        b"{\"email\":".to_vec(),
        400,
        "malformed_body",
    )
    .await;
    check(
        &form,
        urlencoded,
        &[],
        b"email=%zz".to_vec(),
        400,
        "malformed_body",
    )
    .await;
    // API Gateway hands JSON on as text, and has put a replacement character there by then.
    if harness.is_embedded() {
        check(
            &form,
            json_type,
            &[],
            b"{\"email\":\"\xff\"}".to_vec(),
            400,
            "invalid_encoding",
        )
        .await;
    }
    check(
        &form,
        json_type,
        &[],
        br#"{"email":"a","email":"b"}"#.to_vec(),
        400,
        "duplicate_field",
    )
    .await;
    check(
        &form,
        json_type,
        &[],
        br#"{"email":{"a":{"b":1}}}"#.to_vec(),
        400,
        "nested_value",
    )
    .await;
    let blank = "{\"email\":\"\u{200b}\\u0000\"}".as_bytes().to_vec();
    let missing = check(&form, json_type, &[], blank, 422, "required_field_missing").await;
    assert_eq!(missing["field"], "email");
    check(
        &form,
        "application/json; charset=klingon",
        &[],
        br#"{"email":"a"}"#.to_vec(),
        415,
        "unsupported_media_type",
    )
    .await;
    let hidden = check(
        &form,
        json_type,
        &[("origin", "null")],
        br#"{"email":"a"}"#.to_vec(),
        403,
        "origin_not_allowed",
    )
    .await;
    let advice = hidden["next_step"].as_str().unwrap();
    assert!(advice.contains("Referrer-Policy"), "{advice}");
    let missing = check(
        &form,
        json_type,
        &[],
        br#"{"last_name":"x"}"#.to_vec(),
        422,
        "required_field_missing",
    )
    .await;
    assert_eq!(missing["field"], "email");
    let long = json!({"email": "x".repeat(33_000)})
        .to_string()
        .into_bytes();
    assert_eq!(
        check(&form, json_type, &[], long, 422, "value_too_long").await["field"],
        "email"
    );
    let many = (0..10_000)
        .map(|i| format!("{i}=&"))
        .collect::<Vec<_>>()
        .concat();
    check(
        &form,
        urlencoded,
        &[],
        many.into_bytes(),
        422,
        "too_many_fields",
    )
    .await;
    check(
        &form,
        json_type,
        &[],
        vec![b' '; 70_000],
        413,
        "body_too_large",
    )
    .await;
    check(
        &form,
        json_type,
        &[("origin", "https://evil.example")],
        br#"{"email":"a"}"#.to_vec(),
        403,
        "origin_not_allowed",
    )
    .await;
    check(
        &form,
        json_type,
        &[("idempotency-key", "")],
        br#"{"email":"a"}"#.to_vec(),
        400,
        "invalid_idempotency_key",
    )
    .await;
    let unknown = format!("{}/forms/{}.no-such-form", harness.intake, tenant.made.id);
    check(
        &unknown,
        json_type,
        &[],
        br#"{"email":"a"}"#.to_vec(),
        404,
        "not_found",
    )
    .await;
    check(
        &format!("{}/forms/nonsense", harness.intake),
        json_type,
        &[],
        b"{}".to_vec(),
        404,
        "not_found",
    )
    .await;
    let google = format!(
        "{}/webhooks/google-ads/{}",
        harness.intake, tenant.made.google_form_key
    );
    check(
        &google,
        json_type,
        &[],
        br#"{"lead_id":"1","google_key":"wrong key here"}"#.to_vec(),
        401,
        "invalid_google_key",
    )
    .await;
    let keyless = check(
        &google,
        json_type,
        &[],
        b"{}".to_vec(),
        400,
        "malformed_body",
    )
    .await;
    assert_eq!(keyless["field"], "google_key");
    let challenge = format!(
        "{}/webhooks/linkedin/{}?challengeCode=hmacsha256%3D%7B%7D",
        harness.intake, tenant.made.id
    );
    let answer = harness.http.get(challenge).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert_eq!(
        answer.json::<Value>().await.unwrap()["code"],
        "invalid_challenge"
    );
    let (_, list) = tenant.api(Method::GET, "/submissions", None).await;
    assert_eq!(list["items"], json!([]), "nothing was stored");
    harness.stop().await;
}

/// A browser's post: allowed origins, a bot in the honeypot, a plain HTML form's redirect.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browsers_are_served() {
    let harness = Harness::start().await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let form = format!("{}/forms/{}", harness.intake, tenant.made.form_key);
    if harness.is_embedded() {
        // The deployed stack's emulator answers preflights itself.
        let preflight = |origin: &'static str| {
            harness
                .http
                .request(Method::OPTIONS, &form)
                .header("origin", origin)
                .header("access-control-request-method", "POST")
                .send()
        };
        let allowed = preflight("http://localhost:3000").await.unwrap();
        assert_eq!(allowed.status(), StatusCode::NO_CONTENT);
        assert_eq!(
            allowed.headers()["access-control-allow-origin"],
            "http://localhost:3000"
        );
        assert_eq!(
            preflight("https://evil.example").await.unwrap().status(),
            StatusCode::FORBIDDEN
        );
    }
    let post = |body: String| {
        harness
            .http
            .post(&form)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "text/html,*/*")
            .header("origin", "http://localhost:3000")
            .body(body)
            .send()
    };
    let email = tenant.email("html").replace('@', "%40");
    let answer = post(format!(
        "email={email}&last_name=Page&company=Web&_idempotency_key=once"
    ))
    .await
    .unwrap();
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(
        answer.headers()["location"],
        "https://www.example.com/thanks"
    );
    assert_eq!(
        answer.headers()["access-control-allow-origin"],
        "http://localhost:3000"
    );
    let bot = post(format!("email={email}&last_name=Bot&fax_number=1"))
        .await
        .unwrap();
    assert_eq!(bot.status(), StatusCode::SEE_OTHER, "a bot learns nothing");
    let evil = post(format!(
        "email={email}&_redirect=https%3A%2F%2Fevil.example"
    ))
    .await
    .unwrap();
    assert_eq!(evil.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let (_, list) = tenant.api(Method::GET, "/submissions", None).await;
    assert_eq!(
        list["items"].as_array().unwrap().len(),
        1,
        "only the person's post is stored"
    );
    harness.stop().await;
}

/// LG-2, LG-5, LG-7: the rules of strategies and mappings.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strategies_and_mappings_keep_their_rules() {
    let harness = Harness::start().await;
    for crm in BOTH {
        let tenant = harness.tenant(crm).await;
        let email = local::seed::lead_field("email", crm);
        let (_, list) = tenant.api(Method::GET, "/matching-strategies", None).await;
        let first = list["items"][0]["id"].as_str().unwrap().to_owned();
        assert_eq!(list["items"][0]["active"], true);
        let code = async |method: Method, path: &str, body: Option<Value>| {
            let (status, body) = tenant.api(method, path, body).await;
            (
                status.as_u16(),
                body["code"].as_str().unwrap_or_default().to_owned(),
            )
        };
        let strategy = |active: bool| json!({"name": "Second", "matching_lead_fields": [email], "active": active});
        assert_eq!(
            code(
                Method::DELETE,
                &format!("/matching-strategies/{first}"),
                None
            )
            .await,
            (409, "strategy_is_active".into())
        );
        assert_eq!(
            code(
                Method::PUT,
                &format!("/matching-strategies/{first}"),
                Some(strategy(false))
            )
            .await,
            (409, "strategy_must_stay_active".into())
        );
        let unmapped = json!({"name": "X", "matching_lead_fields": ["Nothing"]});
        assert_eq!(
            code(Method::POST, "/matching-strategies", Some(unmapped)).await,
            (422, "matching_field_not_mapped".into())
        );
        let (status, second) = tenant
            .api(Method::POST, "/matching-strategies", Some(strategy(false)))
            .await;
        assert_eq!(status, StatusCode::CREATED);
        let second = second["id"].as_str().unwrap().to_owned();
        assert_eq!(
            code(
                Method::POST,
                &format!("/matching-strategies/{second}/activate"),
                None
            )
            .await
            .0,
            200
        );
        let (_, list) = tenant.api(Method::GET, "/matching-strategies", None).await;
        let active: Vec<&Value> = list["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|item| item["active"] == true)
            .collect();
        assert_eq!(
            (active.len(), active[0]["id"].as_str()),
            (1, Some(second.as_str()))
        );
        assert_eq!(
            code(
                Method::DELETE,
                &format!("/matching-strategies/{first}"),
                None
            )
            .await
            .0,
            204
        );

        assert_eq!(
            code(Method::DELETE, "/field-mappings/email", None).await,
            (409, "mapping_in_use".into())
        );
        let elsewhere = json!({"lead_field": local::seed::lead_field("title", crm)});
        assert_eq!(
            code(Method::PUT, "/field-mappings/email", Some(elsewhere)).await,
            (409, "mapping_in_use".into())
        );
        let unknown = json!({"name": "x", "lead_field": "NoSuchField"});
        assert_eq!(
            code(Method::POST, "/field-mappings", Some(unknown)).await,
            (422, "unknown_lead_field".into())
        );
        let odd = json!({"name": "What's your budget? (€/year) #1", "lead_field": local::seed::lead_field("city", crm)});
        assert_eq!(
            code(Method::POST, "/field-mappings", Some(odd.clone()))
                .await
                .0,
            201
        );
        assert_eq!(
            code(Method::POST, "/field-mappings", Some(odd)).await,
            (409, "mapping_exists".into())
        );
        // Encoded twice: API Gateway decodes a path once before a function sees it.
        let path = "/field-mappings/What's%2520your%2520budget%253F%2520(%25E2%2582%25AC%252Fyear)%2520%25231";
        assert_eq!(code(Method::DELETE, path, None).await.0, 204);

        let (status, fields) = tenant.api(Method::GET, "/lead-fields", None).await;
        assert_eq!(status, StatusCode::OK);
        let described = fields["items"]
            .as_array()
            .unwrap()
            .iter()
            .find(|field| field["name"] == email)
            .unwrap();
        assert_eq!(
            (described["type"].as_str(), described["mappable"].as_bool()),
            (Some("email"), Some(true))
        );
        let (_, audit) = tenant.api(Method::GET, "/audit-log", None).await;
        let actions: Vec<&str> = audit["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|entry| entry["action"].as_str())
            .collect();
        assert_eq!(
            actions,
            [
                "mapping.delete",
                "mapping.create",
                "strategy.delete",
                "strategy.activate",
                "strategy.create",
                "connection.connect",
                "connection.connect"
            ]
        );
    }
    harness.stop().await;
}

/// LG-1: the permissions of each role.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_are_held_to_on_every_route() {
    let harness = Harness::start().await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let tokens = &tenant.made.tokens;
    for (method, path) in routes(&tenant).await {
        let refused: Vec<bool> = [&tokens.administrator, &tokens.salesperson, &tokens.service]
            .map(|token| tenant.api_as(token, method.clone(), &path, Some(json!({}))))
            .into_iter()
            .collect::<futures::stream::FuturesOrdered<_>>()
            .map(|(status, problem)| {
                status == StatusCode::FORBIDDEN && problem["code"] == "role_not_allowed"
            })
            .collect()
            .await;
        let route = format!("{method} {path}");
        let expected = [
            false,
            !salesperson_may(&method, &path),
            !service_may(&method, &path),
        ];
        assert_eq!(
            refused, expected,
            "{route} as administrator, salesperson, service"
        );
        let (status, problem) = tenant
            .api_as(
                "lbt.nobody.none.0123456789abcdef",
                method.clone(),
                &path,
                None,
            )
            .await;
        assert!(
            status == StatusCode::UNAUTHORIZED || path == "/health",
            "{route}: {status} {problem}"
        );
    }
    harness.stop().await;
}

/// Another contract's ids, keys and tokens open nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_are_isolated() {
    let harness = Harness::start().await;
    let (ours, theirs) = (
        harness.tenant(CrmKind::Salesforce).await,
        harness.tenant(CrmKind::Salesforce).await,
    );
    let secret_name = "Very Private Name";
    let id = theirs
        .submit(
            &json!({"email": theirs.email("secret"), "last_name": secret_name, "company": "X"}),
            None,
        )
        .await;
    theirs.wait_for(&id, &["created"]).await;
    for (method, path) in routes(&theirs).await {
        // The traffic is that of the contract's own forms, and names none.
        let of_one = path.contains("/forms/") && path != "/forms/traffic";
        if path.contains(&id) || path.contains("matching-strategies/") || of_one {
            let body = json!({"name": "n", "kind": "website", "lead_field": "Email"});
            let (status, body) = ours.api(method.clone(), &path, Some(body)).await;
            assert!(
                matches!(status.as_u16(), 403 | 404 | 422 | 400),
                "{method} {path}: {status} {body}"
            );
            assert!(!body.to_string().contains(secret_name));
        } else if method == Method::GET {
            let (_, body) = ours.api(method.clone(), &path, None).await;
            let text = body.to_string();
            assert!(
                !text.contains(secret_name) && !text.contains(&id),
                "{path} leaks"
            );
        }
    }
    // A cursor of theirs leads nowhere but into our own list.
    let cursor = format!("9999999999999%23{id}");
    let (_, list) = ours
        .api(Method::GET, &format!("/submissions?cursor={cursor}"), None)
        .await;
    assert_eq!(list["items"], json!([]));
    // Their form's id under our contract, and their secret on our webhook.
    let form = theirs.made.form_key.split_once('.').unwrap().1;
    let url = format!("{}/forms/{}.{form}", harness.intake, ours.made.id);
    assert_eq!(
        harness
            .http
            .post(url)
            .json(&json!({"email": "a"}))
            .send()
            .await
            .unwrap()
            .status(),
        StatusCode::NOT_FOUND
    );
    let body = json!({"type": "LEAD_ACTION", "leadGenFormResponse": "urn:li:leadGenFormResponse:y-1", "leadAction": "CREATED"}).to_string();
    let signature =
        shared::source::linkedin::sign(&theirs.made.linkedin_client_secret, body.as_bytes());
    let url = format!("{}/webhooks/linkedin/{}", harness.intake, ours.made.id);
    let answer = harness
        .http
        .post(url)
        .header("x-li-signature", signature)
        .body(body)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    // Their token with our contract's name in it.
    let forged = theirs.made.tokens.administrator.replacen(
        theirs.made.id.as_str(),
        ours.made.id.as_str(),
        1,
    );
    let (status, _) = ours.api_as(&forged, Method::GET, "/me", None).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(
        ours.api(Method::GET, "/submissions", None).await.1["items"],
        json!([])
    );
    harness.stop().await;
}

/// Every route of the API as its own description lists it, with a contract's ids filled in.
async fn routes(tenant: &Tenant<'_>) -> Vec<(Method, String)> {
    let url = format!("{}/api/v1/openapi.json", tenant.harness.console);
    let description: Value = tenant
        .harness
        .http
        .get(url)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let first = |list: &Value| {
        list["items"][0]["id"]
            .as_str()
            .unwrap_or("00000000-0000-0000-0000-000000000000")
            .to_owned()
    };
    let submission = first(&tenant.api(Method::GET, "/submissions", None).await.1);
    let strategy = first(
        &tenant
            .api(Method::GET, "/matching-strategies", None)
            .await
            .1,
    );
    let form = first(&tenant.api(Method::GET, "/forms", None).await.1);
    let mut routes = Vec::new();
    for (path, operations) in description["paths"].as_object().unwrap() {
        let path = path.strip_prefix("/api/v1").unwrap();
        let id = match path {
            path if path.starts_with("/submissions") => &submission,
            path if path.starts_with("/forms") => &form,
            _ => &strategy,
        };
        let path = path
            .replace("{id}", id)
            .replace("{name}", "no-such-name")
            .replace("{environment}", "sandbox");
        for method in operations.as_object().unwrap().keys() {
            if let Ok(method) = Method::from_bytes(method.to_uppercase().as_bytes()) {
                routes.push((method, path.clone()));
            }
        }
    }
    // Deletions last: the other routes need the deleted things before.
    routes.sort_by_key(|(method, _)| *method == Method::DELETE);
    assert!(
        routes.len() > 20,
        "the description lists the routes: {routes:?}"
    );
    routes
}

/// LG-7 and bad values: a value that does not fit is reported on its field, and the lead is still created.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_that_do_not_fit_are_reported_and_the_lead_is_created() {
    let harness = Harness::start().await;
    for crm in BOTH {
        let tenant = harness.tenant(crm).await;
        let (picklist, number, date) = match crm {
            CrmKind::Salesforce => ("Rating", "NumberOfEmployees", "Event_Date__c"),
            CrmKind::Dynamics365 => ("leadqualitycode", "numberofemployees", "lb_eventdate"),
        };
        for (name, field) in [("rating", picklist), ("employees", number), ("event", date)] {
            let (status, body) = tenant
                .api(
                    Method::POST,
                    "/field-mappings",
                    Some(json!({"name": name, "lead_field": field})),
                )
                .await;
            assert_eq!(status, StatusCode::CREATED, "{body}");
        }
        let mut good = tenant.person("Good");
        good["rating"] = json!("hot");
        good["employees"] = json!("1,250");
        good["event"] = json!("31.3.2026");
        let id = tenant.submit(&good, None).await;
        let detail = tenant.wait_for(&id, &["created"]).await;
        assert!(
            detail["mapping"]
                .as_array()
                .unwrap()
                .iter()
                .all(|entry| entry["outcome"] != "left_out"),
            "{detail:#}"
        );
        let lead = tenant.leads().await.remove(0);
        assert_eq!(lead[number], 1250);
        assert_eq!(lead[date], "2026-03-31");
        assert_eq!(
            lead[picklist],
            if crm == CrmKind::Salesforce {
                json!("Hot")
            } else {
                json!(1)
            }
        );
        let mut bad = json!({"email": tenant.email("bad"), "last_name": "L".repeat(300), "phone": "call me maybe"});
        bad["rating"] = json!("Lukewarm");
        bad["employees"] = json!("many");
        bad["event"] = json!("03/04/2026");
        let id = tenant.submit(&bad, None).await;
        let detail = tenant.wait_for(&id, &["created"]).await;
        let outcome = |name: &str| {
            let entries = detail["mapping"].as_array().unwrap();
            let entry = entries.iter().find(|entry| entry["name"] == name).unwrap();
            (
                entry["outcome"].as_str().unwrap().to_owned(),
                entry["reason"].is_string(),
            )
        };
        for name in ["rating", "employees", "event", "phone"] {
            assert_eq!(outcome(name), ("left_out".into(), true), "{name}");
        }
        assert_eq!(outcome("last_name"), ("adjusted".into(), true));
        assert_eq!(tenant.leads().await.len(), 2);
    }
    harness.stop().await;
}

/// LG-8: a failed write is listed with its next step, and continues when it is sent again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_write_is_listed_and_sent_again() {
    let harness = Harness::start().await;
    let tenant = harness.tenant(CrmKind::Dynamics365).await;
    let id = tenant
        .submit(
            &json!({"email": "no address at all", "shoe_size": "Thirty-eight"}),
            None,
        )
        .await;
    let detail = tenant.wait_for(&id, &["needs_attention"]).await;
    assert_eq!(detail["error"], "nothing_mapped");
    let (_, failed) = tenant.api(Method::GET, "/failed-writes", None).await;
    assert_eq!(failed["items"][0]["id"], id.as_str());
    assert!(
        failed["items"][0]["next_step"]
            .as_str()
            .unwrap()
            .contains("Map the form's fields")
    );
    let mapping = json!({"name": "shoe_size", "lead_field": "lastname"});
    assert_eq!(
        tenant
            .api(Method::POST, "/field-mappings", Some(mapping))
            .await
            .0,
        StatusCode::CREATED
    );
    // The worker sees a changed configuration within seconds.
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    let (status, sent) = tenant
        .api(Method::POST, "/failed-writes/send-again", None)
        .await;
    assert_eq!(
        (status, sent["count"].as_u64()),
        (StatusCode::ACCEPTED, Some(1))
    );
    tenant.wait_for(&id, &["created"]).await;
    let (_, failed) = tenant.api(Method::GET, "/failed-writes", None).await;
    assert_eq!(failed["items"], json!([]));
    harness.stop().await;
}
