//! Errors on the way to the CRM and their meaning for a submission: passing errors are waited for, lasting
//! errors are reported with the next step, and one refused field costs that field only.

use e2e::worker::{clock, messages, process, recover, stored};
use e2e::{Harness, Tenant};
use reqwest::Method;
use serde_json::{Value, json};
use shared::domain::schema::CrmKind;
use shared::domain::submission::{State, Submission};
use shared::testing::Tripwire;

const BOTH: [CrmKind; 2] = [CrmKind::Salesforce, CrmKind::Dynamics365];

/// Posts a form through the router of a process; the submission's id.
async fn post(apps: &local::Apps, tenant: &Tenant<'_>, body: &Value, key: &str) -> String {
    use tower::ServiceExt as _;
    let request = http::Request::post(format!("/forms/{}", tenant.made.form_key))
        .header("content-type", "application/json")
        .header("idempotency-key", key)
        .body(axum::body::Body::from(body.to_string()))
        .unwrap();
    let router = form_intake::router(apps.intake.clone());
    let response = router.oneshot(request).await.unwrap();
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await;
    let answer: Value = serde_json::from_slice(&body.unwrap()).unwrap();
    answer["submission_id"].as_str().unwrap().to_owned()
}

/// The sign-in server and the API of a CRM, as the simulator names them.
const fn systems(crm: CrmKind) -> (&'static str, &'static str) {
    match crm {
        CrmKind::Salesforce => ("salesforce", "salesforce"),
        CrmKind::Dynamics365 => ("entra", "dataverse"),
    }
}

/// The states of a submission whose worker meets a refusal of the token endpoint: right after it, and later.
async fn refused_once(
    harness: &Harness,
    crm: CrmKind,
    (status, body): (u16, Value),
) -> (Submission, Submission) {
    let stack = harness.embedded_stack();
    let tenant = harness.tenant(crm).await;
    let contract = tenant.made.id.clone();
    let clock = clock();
    let apps = process(stack, &Tripwire::new(), &clock);
    let id = post(&apps, &tenant, &tenant.person("Once"), "once").await;
    let (server, api) = systems(crm);
    harness
        .control(
            Method::POST,
            "/tokens/expire",
            Some(json!({ "provider": api })),
        )
        .await;
    let fault = json!({
        "system": server, "path_contains": "/token", "kind": "status", "status": status, "body": body,
    });
    harness.control(Method::POST, "/faults", Some(fault)).await;
    crm_writeback::handle(&apps.writeback, messages(&contract, &[&id])).await;
    let first = stored(stack, &contract, &id).await;
    recover(stack, &apps, &clock, &contract, std::slice::from_ref(&id)).await;
    (first, stored(stack, &contract, &id).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_passing_refusal_of_the_token_endpoint_parks_nothing() {
    let harness = Harness::embedded(false).await;
    let refusal = |error: &str, text: &str| json!({ "error": error, "error_description": text });
    let busy = "token request is already being processed";
    let salesforce = [
        (400, refusal("invalid_request", busy), "unreachable"),
        (400, refusal("invalid_grant", busy), "unreachable"),
        (
            400,
            refusal("unknown_error", "retry your request"),
            "unreachable",
        ),
        (400, refusal("rate_limit_exceeded", ""), "throttled"),
        (429, json!({}), "throttled"),
        (400, refusal("invalid_request", ""), "sign_in_refused"),
    ];
    let entra = [
        (429, refusal("invalid_request", ""), "throttled"),
        (400, refusal("invalid_request", ""), "sign_in_refused"),
        (
            400,
            json!({ "error": "invalid_grant", "error_codes": [90_033] }),
            "unreachable",
        ),
    ];
    for (crm, cases) in [
        (CrmKind::Salesforce, salesforce.to_vec()),
        (CrmKind::Dynamics365, entra.to_vec()),
    ] {
        for (status, body, code) in cases {
            let about = format!("{crm:?} {status} {body}");
            let (first, last) = refused_once(&harness, crm, (status, body)).await;
            assert_eq!(first.state, State::Waiting, "{about}");
            let told = &first.failures.last().unwrap().problem;
            assert_eq!(told.code, code, "{about}");
            assert!(!told.next_step.contains("secret"), "{about}: {told:?}");
            assert_eq!(last.state, State::Created, "{about}");
        }
    }
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_that_stays_says_which_and_what_to_do() {
    let harness = Harness::embedded(false).await;
    let refusal = |error: &str, text: &str| json!({ "error": error, "error_description": text });
    for (body, code, detail, next_step) in [
        (
            refusal("inactive_user", ""),
            "sign_in_needed",
            "disabled",
            "Sign in",
        ),
        (
            refusal("invalid_grant", "ip restricted"),
            "sign_in_needed",
            "rule",
            "sign-in history",
        ),
        (
            refusal("app_not_found", ""),
            "app_blocked",
            "allow it",
            "install or approve",
        ),
        (
            refusal("invalid_client", "invalid client credentials"),
            "oauth_app_refused",
            "secret",
            "operator",
        ),
    ] {
        let about = body.to_string();
        let (first, _) = refused_once(&harness, CrmKind::Salesforce, (400, body)).await;
        assert_eq!(first.state, State::NeedsAttention, "{about}");
        let told = &first.failures.last().unwrap().problem;
        assert_eq!(told.code, code, "{about}");
        assert!(told.detail.contains(detail), "{about}: {told:?}");
        assert!(told.next_step.contains(next_step), "{about}: {told:?}");
        assert!(
            told.next_step.contains("send the submission again"),
            "{told:?}"
        );
    }
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_refused_field_of_the_contact_costs_that_field_only() {
    let harness = Harness::embedded(false).await;
    let stack = harness.embedded_stack();
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let contract = tenant.made.id.clone();
    let clock = clock();
    let apps = process(stack, &Tripwire::new(), &clock);
    let mut person = tenant.person("Country");
    person["country"] = json!("Atlantis");
    let id = post(&apps, &tenant, &person, "country").await;
    let row = |code: &str, fields: &[&str]| {
        json!({ "success": false, "errors": [{
            "statusCode": code, "message": "There's a problem with this country.", "fields": fields,
        }] })
    };
    let answer = json!([
        row("FIELD_INTEGRITY_EXCEPTION", &["MailingCountryCode"]),
        row("ALL_OR_NONE_OPERATION_ROLLED_BACK", &[]),
    ]);
    let fault = json!({
        "system": "salesforce", "path_contains": "/composite", "body_contains": "MailingCountry",
        "kind": "status", "status": 200, "body": answer,
    });
    harness.control(Method::POST, "/faults", Some(fault)).await;
    crm_writeback::handle(&apps.writeback, messages(&contract, &[&id])).await;
    let submission = stored(stack, &contract, &id).await;
    assert_eq!(submission.state, State::Created);
    let told = &submission.failures.last().unwrap().problem;
    assert_eq!(told.code, "field_left_out");
    assert!(told.detail.contains("without MailingCountry"), "{told:?}");
    let lead = tenant.leads().await.remove(0);
    assert_eq!(lead["Country"], "Atlantis");
    assert!(submission.lead.unwrap().contact_id.is_some());
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn automation_of_the_organisation_that_refuses_is_told_in_its_own_words() {
    let harness = Harness::embedded(false).await;
    let stack = harness.embedded_stack();
    for crm in BOTH {
        let tenant = harness.tenant(crm).await;
        let contract = tenant.made.id.clone();
        let clock = clock();
        let apps = process(stack, &Tripwire::new(), &clock);
        let id = post(&apps, &tenant, &tenant.person("Auto"), "auto").await;
        let text = "LeadRules: execution of BeforeInsert\n\ncaused by: <b>no region</b>";
        let (path, marker, body) = match crm {
            CrmKind::Salesforce => (
                "/composite",
                "\"type\":\"Lead\"",
                json!([{ "errorCode": "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "message": text, "fields": [] }]),
            ),
            CrmKind::Dynamics365 => (
                "$batch",
                "If-None-Match",
                json!({ "error": { "code": "0x80040265", "message": text } }),
            ),
        };
        let fault = json!({
            "system": systems(crm).1, "path_contains": path, "body_contains": marker,
            "kind": "status", "status": 400, "body": body,
        });
        harness.control(Method::POST, "/faults", Some(fault)).await;
        crm_writeback::handle(&apps.writeback, messages(&contract, &[&id])).await;
        let submission = stored(stack, &contract, &id).await;
        assert_eq!(submission.state, State::NeedsAttention, "{crm:?}");
        let told = &submission.failures.last().unwrap().problem;
        assert_eq!(told.code, "crm_automation_refused", "{crm:?}");
        assert!(
            told.detail
                .contains("automation in your organisation refused it"),
            "{told:?}"
        );
        let own = "“LeadRules: execution of BeforeInsert caused by: <b>no region</b>”";
        assert!(told.detail.contains(own), "{told:?}");
    }
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lead_that_is_joined_keeps_its_owner() {
    let harness = Harness::embedded(false).await;
    let stack = harness.embedded_stack();
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let contract = tenant.made.id.clone();
    let clock = clock();
    let apps = process(stack, &Tripwire::new(), &clock);
    let person = tenant.person("Owned");
    let mut first = person.clone();
    first.as_object_mut().unwrap().remove("phone");
    let id = post(&apps, &tenant, &first, "first").await;
    crm_writeback::handle(&apps.writeback, messages(&contract, &[&id])).await;
    let before = tenant.leads().await.remove(0);
    // From now on a rule of the organisation assigns leads to another user, also when they are changed.
    let users = harness
        .control(Method::GET, "/records/salesforce/User", None)
        .await;
    let users = users["items"]
        .as_array()
        .or(users.as_array())
        .unwrap()
        .clone();
    let other = users
        .iter()
        .find(|user| user["Id"] != before["OwnerId"])
        .unwrap();
    let rule = json!({ "salesforce": { "assignment_owner": other["Id"] } });
    harness
        .control(Method::PATCH, "/settings", Some(rule))
        .await;
    let id = post(&apps, &tenant, &person, "second").await;
    crm_writeback::handle(&apps.writeback, messages(&contract, &[&id])).await;
    assert_eq!(stored(stack, &contract, &id).await.state, State::Attached);
    let after = tenant.leads().await.remove(0);
    assert!(after["Phone"].is_string(), "it was filled: {after}");
    assert_eq!(after["OwnerId"], before["OwnerId"]);
    // The rule is at work: a new lead goes to its user.
    let id = post(&apps, &tenant, &tenant.person("New"), "third").await;
    crm_writeback::handle(&apps.writeback, messages(&contract, &[&id])).await;
    let lead = stored(stack, &contract, &id).await.lead.unwrap();
    let leads = tenant.leads().await;
    let new = leads
        .iter()
        .find(|found| found["Id"] == lead.id.as_str())
        .unwrap();
    assert_eq!(new["OwnerId"], other["Id"]);
    harness.stop().await;
}
