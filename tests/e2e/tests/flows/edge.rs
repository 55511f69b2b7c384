//! The edges of the public service: the headers of every answer, the traces of refusals, the scope of
//! signatures, and the cost of a flood to others.

#![expect(
    clippy::too_many_lines,
    reason = "a table of cases is read in one piece"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use e2e::worker::{clock, messages, process, recover};
use e2e::{Harness, Tenant};
use form_intake::limits::Limits;
use local::Apps;
use serde_json::{Value, json};
use shared::clock::{Clock as _, SystemClock};
use shared::domain::ids::ContractId;
use shared::domain::schema::CrmKind;
use shared::signature::sign_post;
use shared::testing::Tripwire;
use tower::ServiceExt as _;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt as _;

/// A request's headers: names and values.
type Headers<'a> = Vec<(&'a str, &'a str)>;

/// An answer, reduced to the parts that are checked.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    json: Value,
}

impl Answer {
    fn code(&self) -> &str {
        self.json["code"].as_str().unwrap_or_default()
    }

    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

/// Sends a request as it comes from an address of the network.
async fn send(apps: &Apps, mut request: Request<Body>) -> Answer {
    let from: SocketAddr = "203.0.113.7:4711".parse().unwrap();
    request.extensions_mut().insert(ConnectInfo(from));
    let answer = apps.router().oneshot(request).await.unwrap();
    let (parts, body) = answer.into_parts();
    let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    Answer {
        status: parts.status,
        headers: parts.headers,
        json: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
    }
}

fn request(method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::from(body.to_owned())).unwrap()
}

async fn call(
    apps: &Apps,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    send(apps, request(method, path, headers, body)).await
}

const JSON: (&str, &str) = ("content-type", "application/json");

/// A new website form of a tenant; its id and key.
async fn new_form(tenant: &Tenant<'_>, rules: Value) -> (String, String) {
    let mut form = json!({ "name": "Partner feed", "kind": "website" });
    form.as_object_mut()
        .unwrap()
        .extend(rules.as_object().unwrap().clone());
    let (status, made) = tenant
        .api(reqwest::Method::POST, "/forms", Some(form))
        .await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    (text("id"), text("form_key"))
}

/// LG-1: the API's description is whole, and a client that has it is told so.
#[tokio::test]
async fn the_description_is_kept_by_clients() {
    let harness = Harness::embedded(false).await;
    let at = format!("{}/api/v1/openapi.json", harness.console);
    let answer = harness.http.get(&at).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert_eq!(answer.headers()["cache-control"], "no-cache");
    let tag = answer.headers()["etag"].to_str().unwrap().to_owned();
    let served = answer.text().await.unwrap();
    let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    assert_eq!(parsed(&served), parsed(console::DESCRIPTION));
    for (known, status) in [(tag.as_str(), 304), ("\"other\"", 200)] {
        let request = harness.http.get(&at).header("if-none-match", known);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{known}");
        assert_eq!(answer.headers()["etag"], tag.as_str());
        let text = answer.text().await.unwrap();
        assert_eq!(text.is_empty(), status == 304);
    }
    for (query, status) in [("index", 200), ("part=forms", 200), ("part=nothing", 404)] {
        let answer = harness.http.get(format!("{at}?{query}")).send().await;
        assert_eq!(answer.unwrap().status().as_u16(), status, "{query}");
    }
    harness.stop().await;
}

/// OP-1: the security headers of an answer do not depend on its route or its content.
#[tokio::test]
async fn every_answer_has_its_security_headers() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let apps = process(harness.embedded_stack(), &Tripwire::new(), &clock());
    let form = format!("/forms/{}", tenant.made.form_key);
    let bearer = format!("Bearer {}", tenant.made.tokens.administrator);
    let contract = &tenant.made.id;
    let sign_in = format!("/oauth/sign-in/salesforce?contract={contract}");
    let person = tenant.person("Ada").to_string();
    let (get, post, put) = (Method::GET, Method::POST, Method::PUT);
    let cases: Vec<(Method, &str, Headers, &str, u16)> = vec![
        (post.clone(), &form, vec![JSON], &person, 202),
        (post.clone(), &form, vec![JSON], "{", 400),
        (post.clone(), &form, vec![], "x", 415),
        (get.clone(), &form, vec![], "", 405),
        (
            Method::OPTIONS,
            &form,
            vec![("origin", "https://evil.example")],
            "",
            403,
        ),
        (
            post.clone(),
            "/forms/nobody.nothing-at-all-here",
            vec![JSON],
            "{}",
            404,
        ),
        (post.clone(), "/forms/%ff", vec![JSON], "{}", 400),
        (get.clone(), "/webhooks/nowhere", vec![], "", 404),
        (get.clone(), "/api/v1/health", vec![], "", 200),
        (get.clone(), "/api/v1/openapi.json", vec![], "", 200),
        (
            get.clone(),
            "/api/v1/me",
            vec![("authorization", &bearer)],
            "",
            200,
        ),
        (get.clone(), "/api/v1/me", vec![], "", 401),
        (put, "/api/v1/me", vec![("authorization", &bearer)], "", 405),
        (get.clone(), "/api/v1/nothing", vec![], "", 404),
        (
            post,
            "/api/v1/forms",
            vec![("authorization", &bearer), JSON],
            "[]",
            422,
        ),
        (get.clone(), "/app/home", vec![], "", 200),
        (get.clone(), "/app/app.js", vec![], "", 200),
        (get.clone(), "/app/nothing", vec![], "", 404),
        (Method::DELETE, "/app/home", vec![], "", 405),
        (get.clone(), "/", vec![], "", 303),
        (get.clone(), &sign_in, vec![], "", 303),
        (
            get.clone(),
            "/oauth/sign-in/nobody?contract=x",
            vec![("accept", "text/html")],
            "",
            404,
        ),
        (
            get.clone(),
            "/oauth/callback?state=x",
            vec![("accept", "text/html")],
            "",
            400,
        ),
        (Method::DELETE, "/oauth/callback", vec![], "", 405),
        (get, "/nowhere", vec![], "", 404),
    ];
    for (method, path, headers, body, status) in cases {
        let what = format!("{method} {path}");
        let answer = call(&apps, method, path, &headers, body).await;
        assert_eq!(answer.status.as_u16(), status, "{what}: {}", answer.json);
        assert!(
            answer
                .header("strict-transport-security")
                .starts_with("max-age="),
            "{what}"
        );
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{what}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{what}");
        assert_eq!(answer.header("x-frame-options"), "DENY", "{what}");
        let policy = answer.header("content-security-policy");
        assert!(policy.contains("default-src 'none'"), "{what}: {policy}");
        assert!(
            policy.contains("frame-ancestors 'none'"),
            "{what}: {policy}"
        );
        for name in [
            "content-security-policy",
            "referrer-policy",
            "x-content-type-options",
        ] {
            assert_eq!(
                answer.headers.get_all(name).iter().count(),
                1,
                "{what}: {name}"
            );
        }
        let page = answer.header("content-type").starts_with("text/html");
        if status >= 400 && !page {
            assert_eq!(
                answer.header("content-type"),
                "application/problem+json",
                "{what}"
            );
            assert!(
                !answer.code().is_empty() && answer.json["next_step"].is_string(),
                "{what}"
            );
        }
    }
    harness.stop().await;
}

/// Writes into memory.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Memory {
    /// The lines since the last time.
    fn lines(&self) -> Vec<Value> {
        let text = std::mem::take(&mut *self.0.lock().unwrap());
        let text = String::from_utf8(text).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

impl std::io::Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Memory {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// The log filter: the functions' own lines, not those of programs beside them.
const FILTER: &str = "off,shared=info,form_intake=info,console=info,oauth_callback=info";

/// OP-4: each refusal leaves one line with its reason, contract, route and source, which is its metric too;
/// the line holds nothing of the request's content.
#[tokio::test]
async fn a_refusal_leaves_one_line_that_is_its_metric() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let contract = tenant.made.id.to_string();
    let (_, signed) = new_form(&tenant, json!({ "secret": "a secret of the form" })).await;
    let (_, guarded) = new_form(
        &tenant,
        json!({ "honeypot_field": "website_url", "allowed_origins": ["https://www.example.com"] }),
    )
    .await;
    let (_, narrow) = new_form(&tenant, json!({ "posts_per_minute": 1 })).await;
    let apps = process(harness.embedded_stack(), &Tripwire::new(), &clock());
    let forged = format!(
        "t={},v1={}",
        SystemClock.now().epoch_seconds(),
        "00".repeat(32)
    );
    let wrong = format!("Bearer lbt.{contract}.main.{}", "f".repeat(43));
    let service = format!("Bearer {}", tenant.made.tokens.service);
    let (signed, guarded, narrow) = (
        format!("/forms/{signed}"),
        format!("/forms/{guarded}"),
        format!("/forms/{narrow}"),
    );
    let linkedin = format!("/webhooks/linkedin/{contract}");
    let google = format!("/webhooks/google-ads/{}", tenant.made.google_form_key);
    let invitation = format!(
        "/oauth/sign-in/salesforce?contract={contract}&invitation=0198c2d4-0000-7000-8000-000000000000.secretsecret"
    );
    let state = format!("/oauth/callback?code=secretcode&state={contract}.secretstate");
    let evil = ("origin", "https://evil.example");
    let secret_body = r#"{"email":"somebody@private.example","last_name":"Secretive"}"#;
    let (get, post, put) = (Method::GET, Method::POST, Method::PUT);
    let cases: Vec<(Method, &str, Headers, &str, &str, &str, &str)> = vec![
        (
            post.clone(),
            &signed,
            vec![JSON],
            secret_body,
            "form-intake",
            "invalid_signature",
            "/forms/{form_key}",
        ),
        (
            post.clone(),
            &signed,
            vec![JSON, ("x-leadbridge-signature", &forged)],
            secret_body,
            "form-intake",
            "invalid_signature",
            "/forms/{form_key}",
        ),
        (
            post.clone(),
            &guarded,
            vec![JSON, evil],
            secret_body,
            "form-intake",
            "origin_not_allowed",
            "/forms/{form_key}",
        ),
        (
            Method::OPTIONS,
            &guarded,
            vec![evil],
            "",
            "form-intake",
            "origin_not_allowed",
            "/forms/{form_key}",
        ),
        (
            post.clone(),
            &guarded,
            vec![JSON],
            r#"{"email":"a@b.example","website_url":"spam"}"#,
            "form-intake",
            "honeypot_filled",
            "/forms/{form_key}",
        ),
        (
            post.clone(),
            &narrow,
            vec![JSON],
            secret_body,
            "form-intake",
            "",
            "/forms/{form_key}",
        ),
        (
            post.clone(),
            &narrow,
            vec![JSON],
            secret_body,
            "form-intake",
            "too_many_posts",
            "/forms/{form_key}",
        ),
        (
            post.clone(),
            &linkedin,
            vec![("x-li-signature", "00")],
            secret_body,
            "form-intake",
            "invalid_signature",
            "/webhooks/linkedin/{contract}",
        ),
        (
            post.clone(),
            &google,
            vec![JSON],
            r#"{"lead_id":"1","google_key":"wrong key here"}"#,
            "form-intake",
            "invalid_google_key",
            "/webhooks/google-ads/{form_key}",
        ),
        (
            get.clone(),
            "/api/v1/me",
            vec![("authorization", &wrong)],
            "",
            "console",
            "unauthenticated",
            "/api/v1/me",
        ),
        (
            put,
            "/api/v1/scoring-rule",
            vec![("authorization", &service), JSON],
            "{}",
            "console",
            "role_not_allowed",
            "/api/v1/scoring-rule",
        ),
        (
            get.clone(),
            "/api/v1/submissions?limit=0",
            vec![("authorization", &service)],
            "",
            "console",
            "",
            "/api/v1/submissions",
        ),
        (
            get.clone(),
            &invitation,
            vec![],
            "",
            "oauth-callback",
            "invitation_invalid",
            "/oauth/sign-in/{provider}",
        ),
        (
            get.clone(),
            &invitation,
            vec![("accept", "text/html")],
            "",
            "oauth-callback",
            "invitation_invalid",
            "/oauth/sign-in/{provider}",
        ),
        (
            get,
            &state,
            vec![("accept", "text/html")],
            "",
            "oauth-callback",
            "",
            "/oauth/callback",
        ),
    ];
    let memory = Memory::default();
    let guard = shared::telemetry::subscriber(FILTER, memory.clone()).set_default();
    let mut sources = Vec::new();
    for (method, path, headers, body, function, reason, route) in cases {
        let what = format!("{method} {path}");
        memory.lines();
        let answer = call(&apps, method, path, &headers, body).await;
        let lines = memory.lines();
        let all = serde_json::to_string(&lines).unwrap();
        for secret in [
            "somebody",
            "Secretive",
            "secretsecret",
            "secretcode",
            "secretstate",
            "ffffffff",
            "203.0.113.7",
            "a@b.example",
        ] {
            assert!(!all.contains(secret), "{what} leaves {secret}: {all}");
        }
        if answer.status.is_success() && reason.is_empty() {
            assert!(
                lines.iter().all(|line| line.get("Refused").is_none()),
                "{what}: {all}"
            );
            continue;
        }
        let refusals: Vec<&Value> = lines
            .iter()
            .filter(|line| line.get("Refused").is_some())
            .collect();
        assert_eq!(refusals.len(), 1, "{what}: {all}");
        assert_eq!(lines.len(), 1, "{what} leaves no other line: {all}");
        let line = refusals[0];
        assert_eq!(line["function"], function, "{what}");
        assert_eq!(line["route"], route, "{what}");
        assert_eq!(line["contract"], contract, "{what}");
        assert_eq!(line["status"], answer.status.as_u16(), "{what}");
        if !reason.is_empty() {
            assert_eq!(line["reason"], reason, "{what}");
        }
        let metric = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(
            metric["Dimensions"],
            json!([["function", "reason"]]),
            "{what}"
        );
        assert_eq!(metric["Metrics"], json!([{ "Name": "Refused" }]), "{what}");
        assert!(
            line["_aws"]["Timestamp"].is_i64() && line["Refused"] == 1,
            "{what}"
        );
        sources.push(line["source"].as_str().unwrap().to_owned());
    }
    drop(guard);
    // Each function of this process hashes with a key of its own.
    sources.sort();
    sources.dedup();
    assert_eq!(sources.len(), 3, "{sources:?}");
    assert!(sources.iter().all(|source| source.len() == 16));
    harness.stop().await;
}

/// LG-9: the examples of the documentation make the header that we check.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_language_signs_as_we_check() {
    let docs = Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/signatures.md"
    ));
    let text = fs::read_to_string(docs).unwrap();
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let secret = "ein Geheimnis, größer als sonst";
    let (_, key) = new_form(&tenant, json!({ "secret": secret })).await;
    let url = format!("{}/forms/{key}", harness.intake);
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let languages: [(&str, &str, Vec<String>); 5] = [
        ("shell", "sign.sh", vec!["sh".into(), at("sign.sh")]),
        ("python", "sign.py", vec!["python3".into(), at("sign.py")]),
        (
            "javascript",
            "sign.mjs",
            vec!["node".into(), at("sign.mjs")],
        ),
        ("php", "sign.php", vec!["php".into(), at("sign.php")]),
        ("java", "Sign.java", vec!["java".into(), at("Sign.java")]),
    ];
    let (mut ran, mut skipped) = (Vec::new(), Vec::new());
    for (language, file, command) in languages {
        let code = text
            .split_once(&format!("```{language}\n"))
            .and_then(|(_, rest)| rest.split_once("```"))
            .unwrap_or_else(|| panic!("the documentation has an example in {language}"))
            .0;
        fs::write(folder.path().join(file), code).unwrap();
        let found = Command::new("sh")
            .args(["-c", &format!("command -v {}", command[0])])
            .output()
            .unwrap();
        if !found.status.success() {
            skipped.push(language);
            continue;
        }
        let body = json!({
            "email": tenant.email(language), "last_name": "Müller\n'\"%$", "company": "Grün & Söhne",
            "_idempotency_key": language,
        })
        .to_string();
        let time = SystemClock.now().epoch_seconds().to_string();
        let mut child = Command::new(&command[0])
            .args(&command[1..])
            .args([secret, &key, &time])
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(body.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        let header = String::from_utf8(output.stdout).unwrap();
        assert_eq!(
            header,
            sign_post(secret, &key, time.parse().unwrap(), body.as_bytes()),
            "{language}"
        );
        let answer = harness
            .http
            .post(&url)
            .header("content-type", "application/json")
            .header("x-leadbridge-signature", header)
            .body(body)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::ACCEPTED, "{language}");
        ran.push(language);
    }
    println!("ran: {ran:?}; skipped, since not on this machine: {skipped:?}");
    assert!(ran.contains(&"shell"), "{skipped:?}");
    harness.stop().await;
}

/// LG-9: a signed post is worth one submission, at its form, for five minutes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signed_post_is_worth_one_submission_for_a_while() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let clock = clock();
    let apps = process(harness.embedded_stack(), &Tripwire::new(), &clock);
    let secret = "the secret of both forms";
    let (id, key) = new_form(&tenant, json!({ "secret": secret })).await;
    let (_, other) = new_form(&tenant, json!({ "secret": secret })).await;
    let post = async |key: &str, body: &str, signature: &str, header_key: Option<&str>| {
        let mut headers = vec![JSON, ("x-leadbridge-signature", signature)];
        headers.extend(header_key.map(|key| ("idempotency-key", key)));
        call(
            &apps,
            Method::POST,
            &format!("/forms/{key}"),
            &headers,
            body,
        )
        .await
    };
    let now = || clock.now().epoch_seconds();
    let with_key =
        json!({ "email": tenant.email("ada"), "last_name": "L", "_idempotency_key": "k" });
    let without = json!({ "email": tenant.email("bob"), "last_name": "B" });
    let mut ids = Vec::new();
    for body in [with_key.to_string(), without.to_string()] {
        let signature = sign_post(secret, &key, now(), body.as_bytes());
        for header_key in [None, Some("one"), Some("two"), Some("three")] {
            let answer = post(&key, &body, &signature, header_key).await;
            assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.json);
            ids.push(answer.json["submission_id"].as_str().unwrap().to_owned());
        }
        assert_eq!(
            post(&other, &body, &signature, None).await.code(),
            "invalid_signature"
        );
        let changed = body.replace("last_name", "first_name");
        assert_eq!(
            post(&key, &changed, &signature, None).await.code(),
            "invalid_signature"
        );
        clock.advance(299);
        assert_eq!(
            post(&key, &body, &signature, None).await.status,
            StatusCode::ACCEPTED
        );
        clock.advance(2);
        let late = post(&key, &body, &signature, Some("four")).await;
        assert_eq!(
            (late.status.as_u16(), late.code()),
            (401, "signature_expired")
        );
        let early = sign_post(secret, &key, now() + 301, body.as_bytes());
        assert_eq!(
            post(&key, &body, &early, None).await.code(),
            "signature_expired"
        );
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 2, "two bodies, two submissions");

    // The earlier form is refused, and accepted for as long as the form says.
    let body = json!({ "email": tenant.email("eve"), "last_name": "E", "_idempotency_key": "e" })
        .to_string();
    let mac = shared::signature::hmac_sha256(secret.as_bytes(), &[body.as_bytes()]);
    let mut alone = "sha256=".to_owned();
    for byte in mac {
        write!(alone, "{byte:02x}").unwrap();
    }
    assert_eq!(
        post(&key, &body, &alone, None).await.code(),
        "invalid_signature"
    );
    let change = |until: i64| json!({ "name": "Partner feed", "kind": "website", "body_signatures_until": until });
    let path = format!("/forms/{id}");
    let far = clock.now().plus_seconds(91 * 24 * 3600).0;
    let (status, refused) = tenant
        .api(reqwest::Method::PUT, &path, Some(change(far)))
        .await;
    assert_eq!(
        (status.as_u16(), refused["field"].as_str()),
        (422, Some("body_signatures_until"))
    );
    let until = clock.now().plus_seconds(3600).0;
    let (status, _) = tenant
        .api(reqwest::Method::PUT, &path, Some(change(until)))
        .await;
    assert_eq!(status, StatusCode::OK);
    clock.advance(60);
    for header_key in [None, Some("one"), Some("two")] {
        let answer = post(&key, &body, &alone, header_key).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.json);
        ids.push(answer.json["submission_id"].as_str().unwrap().to_owned());
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3, "the signed key counts, not the header");
    clock.advance(3600);
    assert_eq!(
        post(&key, &body, &alone, None).await.code(),
        "invalid_signature"
    );
    harness.stop().await;
}

/// LG-9: of the secrets that a form or LinkedIn had, exactly two count from a change on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exactly_two_secrets_count_from_the_change_on() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let clock = clock();
    let wire = Tripwire::new();
    let apps = process(harness.embedded_stack(), &wire, &clock);
    let secrets = [
        "the first secret",
        "the second secret",
        "the third secret",
        "the fourth secret",
    ];
    let (id, key) = new_form(&tenant, json!({ "secret": secrets[0] })).await;
    let set = async |secret: &str| {
        let rules = json!({ "name": "Partner feed", "kind": "website", "secret": secret });
        let (status, form) = tenant
            .api(reqwest::Method::PUT, &format!("/forms/{id}"), Some(rules))
            .await;
        assert_eq!(status, StatusCode::OK, "{form}");
        let linkedin = json!({ "owners": [], "client_secret": secret });
        let (status, _) = tenant
            .api(reqwest::Method::PUT, "/linkedin", Some(linkedin))
            .await;
        assert_eq!(status, StatusCode::OK);
        form
    };
    let counts = async |secret: &str| {
        let body = json!({ "email": tenant.email("ada"), "last_name": "L" }).to_string();
        let signature = sign_post(secret, &key, clock.now().epoch_seconds(), body.as_bytes());
        let headers = [JSON, ("x-leadbridge-signature", signature.as_str())];
        let form = call(
            &apps,
            Method::POST,
            &format!("/forms/{key}"),
            &headers,
            &body,
        )
        .await;
        let body = json!({"type": "LEAD_ACTION", "leadGenFormResponse": "urn:li:leadGenFormResponse:x-1", "leadAction": "SOMETHING"}).to_string();
        let signature = shared::source::linkedin::sign(secret, body.as_bytes());
        let path = format!("/webhooks/linkedin/{}", tenant.made.id);
        let linkedin = call(
            &apps,
            Method::POST,
            &path,
            &[("x-li-signature", &signature)],
            &body,
        )
        .await;
        assert_eq!(
            form.status.is_success(),
            linkedin.status.is_success(),
            "{secret}"
        );
        form.status.is_success()
    };
    set(secrets[0]).await;
    assert!(counts(secrets[0]).await);
    for turn in 1..secrets.len() {
        clock.advance(1);
        let form = set(secrets[turn]).await;
        assert_eq!(form["has_previous_secret"], true);
        // Setting it again is no change.
        set(secrets[turn]).await;
        for (index, secret) in secrets.iter().enumerate() {
            let valid = index == turn || index + 1 == turn;
            assert_eq!(
                counts(secret).await,
                valid,
                "secret {index} after change {turn}"
            );
        }
        // In memory or read anew.
        clock.advance(10);
        assert!(counts(secrets[turn - 1]).await && counts(secrets[turn]).await);
    }
    let form = set("").await;
    assert_eq!(
        (&form["has_secret"], &form["has_previous_secret"]),
        (&json!(false), &json!(false))
    );

    // Guessing costs no more reads than the process allows itself.
    set("the last secret of all").await;
    clock.advance(60);
    wire.reset();
    for _ in 0..300 {
        let headers = [JSON, ("x-leadbridge-signature", "t=1,v1=00")];
        let answer = call(
            &apps,
            Method::POST,
            &format!("/forms/{key}"),
            &headers,
            "{}",
        )
        .await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    }
    assert!(wire.aws_calls() <= 62, "{}", wire.aws_calls());
    harness.stop().await;
}

/// OP-4: a flood on one form is refused there, then costs nothing, and does not affect others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_on_one_form_is_that_forms_alone() {
    let harness = Harness::embedded(false).await;
    let flooded = harness.tenant(CrmKind::Salesforce).await;
    let quiet = harness.tenant(CrmKind::Salesforce).await;
    let clock = clock();
    let wire = Tripwire::new();
    let apps = process(harness.embedded_stack(), &wire, &clock);
    let second = process(harness.embedded_stack(), &wire, &clock);
    let (_, key) = new_form(&flooded, json!({ "posts_per_minute": 40 })).await;
    let (_, beside) = new_form(&flooded, json!({ "posts_per_minute": 40 })).await;
    let post = async |apps: &Apps, key: &str, number: usize| {
        let body =
            json!({ "email": format!("p{number}@flood.example"), "last_name": "F" }).to_string();
        call(apps, Method::POST, &format!("/forms/{key}"), &[JSON], &body).await
    };
    let (mut accepted, mut refused) = (0, 0);
    for number in 0..200 {
        let apps = if number % 2 == 0 { &apps } else { &second };
        let answer = post(apps, &key, number).await;
        match answer.status.as_u16() {
            202 => accepted += 1,
            429 => {
                assert_eq!(answer.code(), "too_many_posts");
                let seconds: i64 = answer.header("retry-after").parse().unwrap();
                assert!((1..=60).contains(&seconds));
                refused += 1;
            }
            other => panic!("{other}: {}", answer.json),
        }
    }
    // Two processes: the limit, and the posts that each had not reported to the table yet.
    assert!((40..=40 + 2 * 5).contains(&accepted), "{accepted}");
    assert_eq!(accepted + refused, 200);
    wire.reset();
    for number in 0..50 {
        assert_eq!(post(&apps, &key, number).await.status.as_u16(), 429);
    }
    assert_eq!(wire.aws_calls(), 0, "a refused post costs no call");
    // Others: two calls each, as ever.
    for key in [&beside, &quiet.made.form_key] {
        assert_eq!(post(&apps, key, 0).await.status.as_u16(), 202);
        wire.reset();
        assert_eq!(post(&apps, key, 1).await.status.as_u16(), 202);
        assert_eq!(wire.aws_calls(), 2);
    }
    // The next minute is another one.
    clock.advance(60);
    assert_eq!(post(&apps, &key, 1000).await.status.as_u16(), 202);
    harness.stop().await;
}

/// OP-4: of a contract's flood a stated number stands before another contract's submission; the rest is
/// stored, found by the sweep, and written all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_delays_other_contracts_by_a_stated_number() {
    const ANNOUNCED: u64 = 20;
    const FLOOD: usize = 60;
    let harness = Harness::embedded(false).await;
    let noisy = harness.tenant(CrmKind::Salesforce).await;
    let quiet = harness.tenant(CrmKind::Salesforce).await;
    let stack = harness.embedded_stack();
    let clock = clock();
    let mut apps = process(stack, &Tripwire::new(), &clock);
    let intake = Arc::get_mut(&mut apps.intake).unwrap();
    intake.limits = Limits::announcing(ANNOUNCED);
    let post = async |tenant: &Tenant<'_>, name: String| {
        let body = json!({ "email": tenant.email(&name), "last_name": name, "company": "Flood" })
            .to_string();
        let path = format!("/forms/{}", tenant.made.form_key);
        let answer = call(&apps, Method::POST, &path, &[JSON], &body).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.json);
        answer.json["submission_id"].as_str().unwrap().to_owned()
    };
    let mut ids = Vec::new();
    for number in 0..FLOOD {
        ids.push(post(&noisy, format!("n{number}")).await);
    }
    post(&quiet, "alone".to_owned()).await;
    // All messages on the queue, by contract.
    let sqs = shared::aws::sqs(&stack.aws);
    let mut of: BTreeMap<String, u64> = BTreeMap::new();
    loop {
        let received = sqs
            .receive_message()
            .queue_url(&stack.queue_url)
            .max_number_of_messages(10)
            .send()
            .await
            .unwrap();
        let messages = received.messages.unwrap_or_default();
        if messages.is_empty() {
            break;
        }
        for message in messages {
            let body: Value = serde_json::from_str(message.body.as_deref().unwrap()).unwrap();
            *of.entry(body["contract"].as_str().unwrap().to_owned())
                .or_default() += 1;
        }
    }
    assert_eq!(
        of[noisy.made.id.as_str()],
        ANNOUNCED,
        "before the quiet contract's one"
    );
    assert_eq!(of[quiet.made.id.as_str()], 1);
    recover(stack, &apps, &clock, &noisy.made.id, &ids).await;
    assert_eq!(noisy.leads().await.len(), FLOOD, "none is lost");
    harness.stop().await;
}

/// OP-4: sign-ins that need no credentials to start are few, and their traces end by themselves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sign_ins_that_anybody_starts_are_few_and_end() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let stack = harness.embedded_stack();
    let clock = clock();
    let apps = process(stack, &Tripwire::new(), &clock);
    let path = format!("/oauth/sign-in/salesforce?contract={}", tenant.made.id);
    let (mut started, mut refused) = (0, 0);
    for _ in 0..50 {
        let answer = call(&apps, Method::GET, &path, &[], "").await;
        match answer.status.as_u16() {
            303 => started += 1,
            429 => {
                assert_eq!(answer.code(), "too_many_sign_ins");
                assert!(!answer.header("retry-after").is_empty());
                refused += 1;
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!((started, refused), (30, 20));
    let items = shared::aws::dynamodb(&stack.aws)
        .scan()
        .table_name(local::TABLE)
        .send()
        .await
        .unwrap()
        .items
        .unwrap_or_default();
    let attempts: Vec<_> = items
        .iter()
        .filter(|item| item["PK"].as_s().is_ok_and(|key| key.contains("#OAUTH#")))
        .collect();
    assert_eq!(attempts.len(), 30);
    let limit = clock.now().epoch_seconds() + 24 * 3600;
    for item in attempts {
        let ends: i64 = item["expires_at"].as_n().unwrap().parse().unwrap();
        assert!(ends <= limit, "{ends}");
    }
    clock.advance(60);
    assert_eq!(
        call(&apps, Method::GET, &path, &[], "")
            .await
            .status
            .as_u16(),
        303
    );
    harness.stop().await;
}

/// OP-2: the audit log shows a form and LinkedIn's settings whole, before and after; a secret as changed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_audit_log_shows_what_was_before() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let (id, _) = new_form(
        &tenant,
        json!({ "secret": "the first secret", "required_fields": ["email"] }),
    )
    .await;
    let path = format!("/forms/{id}");
    for change in [
        json!({ "name": "Renamed", "kind": "website", "enabled": false, "secret": "the second secret" }),
        json!({ "name": "Renamed", "kind": "website", "secret": "the second secret" }),
    ] {
        let (status, _) = tenant.api(reqwest::Method::PUT, &path, Some(change)).await;
        assert_eq!(status, StatusCode::OK);
    }
    let linkedin =
        json!({ "owners": ["urn:li:organization:1"], "client_secret": "another secret" });
    for _ in 0..2 {
        let (status, _) = tenant
            .api(reqwest::Method::PUT, "/linkedin", Some(linkedin.clone()))
            .await;
        assert_eq!(status, StatusCode::OK);
    }
    let (status, _) = tenant.api(reqwest::Method::DELETE, &path, None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let (_, log) = tenant.api(reqwest::Method::GET, "/audit-log", None).await;
    assert!(!log.to_string().contains("second secret") && !log.to_string().contains("sealed"));
    let of = |action: &str| -> Vec<(Value, Value)> {
        let items = log["items"].as_array().unwrap().iter().rev();
        items
            .filter(|entry| entry["action"] == action)
            .map(|entry| (entry["before"].clone(), entry["after"].clone()))
            .collect()
    };
    let forms = of("form.put");
    assert_eq!(forms.len(), 3);
    let (before, after) = &forms[0];
    assert_eq!((before, &after["secret"]), (&Value::Null, &json!("set")));
    let (before, after) = &forms[1];
    for (name, was, is) in [
        ("name", json!("Partner feed"), json!("Renamed")),
        ("enabled", json!(true), json!(false)),
        ("required_fields", json!(["email"]), json!([])),
        ("secret", json!("set"), json!("changed")),
        ("previous_secret", json!("not set"), json!("set")),
        ("max_fields", json!(100), json!(100)),
    ] {
        assert_eq!((&before[name], &after[name]), (&was, &is), "{name}");
    }
    let (before, after) = &forms[2];
    assert_eq!(
        (&before["secret"], &after["secret"]),
        (&json!("set"), &json!("set"))
    );
    assert_eq!(
        (&before["enabled"], &after["enabled"]),
        (&json!(false), &json!(true))
    );
    let deleted = of("form.delete");
    assert_eq!(
        (&deleted[0].0["name"], &deleted[0].1),
        (&json!("Renamed"), &Value::Null)
    );
    let linkedin = of("linkedin.set");
    let (before, after) = &linkedin[0];
    assert_eq!(
        (&before["client_secret"], &after["client_secret"]),
        (&json!("set"), &json!("changed"))
    );
    assert_eq!(after["owners"], json!(["urn:li:organization:1"]));
    let (before, after) = &linkedin[1];
    assert_eq!(before, after, "the same secret again is no change");
    harness.stop().await;
}

/// Values that are entered by hand and later compared exactly are plain text.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_and_addresses_are_plain_text() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let form = |rules: Value| {
        let mut form = json!({ "name": "Form", "kind": "website" });
        form.as_object_mut()
            .unwrap()
            .extend(rules.as_object().unwrap().clone());
        form
    };
    let create = async |rules: Value| {
        let (status, body) = tenant
            .api(reqwest::Method::POST, "/forms", Some(form(rules)))
            .await;
        (
            status.as_u16(),
            body["code"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let blanks = " ".repeat(20);
    for secret in [
        blanks.as_str(),
        " a secret of a form",
        "a secret of a form\n",
        "a secret\tof a form",
        "a secret of\u{200b} a form",
        "a secret of\u{0} a form",
    ] {
        assert_eq!(
            create(json!({ "secret": secret })).await,
            (422, "invalid_secret".into()),
            "{secret:?}"
        );
        let linkedin = json!({ "owners": [], "client_secret": secret });
        let (status, body) = tenant
            .api(reqwest::Method::PUT, "/linkedin", Some(linkedin))
            .await;
        assert_eq!(
            (status.as_u16(), body["code"].as_str()),
            (422, Some("invalid_secret"))
        );
    }
    for url in [
        "https://www.example.com/\r\nx",
        "https://www.example.com/\u{0}",
        "https://www.exa\tmple.com/",
        " https://www.example.com/",
        "https://www.example.com/a b",
        "https://u:p@www.example.com/",
        "javascript:alert(1)",
    ] {
        assert_eq!(
            create(json!({ "redirect_urls": [url] })).await,
            (422, "invalid_redirect_url".into()),
            "{url:?}"
        );
    }
    assert_eq!(
        create(json!({ "redirect_urls": ["https://www.example.com/a?b=%20c"] }))
            .await
            .0,
        201
    );
    let body = tenant.person("Ada");
    let answer = tenant.post_form(&body, Some("a\tb")).await;
    assert_eq!(answer.status().as_u16(), 400);
    harness.stop().await;
}

/// The webhook of a contract that does not exist answers like that of one without LinkedIn.
#[tokio::test]
async fn a_contract_that_is_not_there_reads_like_one_without_linkedin() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let none = json!({ "owners": [], "client_secret": "" });
    let (status, _) = tenant
        .api(reqwest::Method::PUT, "/linkedin", Some(none))
        .await;
    assert_eq!(status, StatusCode::OK);
    let apps = process(harness.embedded_stack(), &Tripwire::new(), &clock());
    let nobody: ContractId = "there-is-no-such-one".parse().unwrap();
    for (method, path, headers) in [
        (
            Method::GET,
            "?challengeCode=890e4665-4dfe-4ab1-b689-ed553bceeed0",
            vec![],
        ),
        (Method::GET, "?challengeCode=nonsense", vec![]),
        (Method::POST, "", vec![("x-li-signature", "00")]),
    ] {
        let mut answers = Vec::new();
        for contract in [&nobody, &tenant.made.id] {
            let path = format!("/webhooks/linkedin/{contract}{path}");
            let answer = call(&apps, method.clone(), &path, &headers, "{}").await;
            answers.push((answer.status, answer.json));
        }
        assert_eq!(answers[0], answers[1]);
    }
    harness.stop().await;
}

/// CN-8, LG-10: one slow CRM costs the batch that a worker has no more than its deadline, and its own
/// submission a wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_ends_in_time_whatever_a_crm_does() {
    let harness = Harness::embedded(false).await;
    let slow = harness.tenant(CrmKind::Salesforce).await;
    let quick = harness.tenant(CrmKind::Dynamics365).await;
    let stack = harness.embedded_stack();
    let clock = clock();
    let mut apps = process(stack, &Tripwire::new(), &clock);
    let writeback = Arc::get_mut(&mut apps.writeback).unwrap();
    writeback.deadline = std::time::Duration::from_secs(6);
    let mut ids = Vec::new();
    for tenant in [&slow, &quick] {
        let body = tenant.person("Ada").to_string();
        let path = format!("/forms/{}", tenant.made.form_key);
        let answer = call(&apps, Method::POST, &path, &[JSON], &body).await;
        ids.push(answer.json["submission_id"].as_str().unwrap().to_owned());
    }
    let fault = json!({ "system": "salesforce", "kind": "slow", "delay_ms": 18_000 });
    harness
        .control(reqwest::Method::POST, "/faults", Some(fault))
        .await;
    let mut records = messages(&slow.made.id, &[&ids[0]]);
    records
        .records
        .extend(messages(&quick.made.id, &[&ids[1]]).records);
    records.records[1].message_id = Some("m-1".to_owned());
    let started = std::time::Instant::now();
    let response = crm_writeback::handle(&apps.writeback, records).await;
    assert!(started.elapsed().as_secs() < 16, "{:?}", started.elapsed());
    assert!(response.batch_item_failures.is_empty(), "{response:?}");
    let waits = slow.submission(&ids[0]).await;
    assert_eq!(waits["state"], "waiting", "{waits}");
    assert_eq!(
        waits["failures"][0]["problem"]["code"], "crm_too_slow",
        "{waits}"
    );
    assert_eq!(quick.submission(&ids[1]).await["state"], "created");
    recover(stack, &apps, &clock, &slow.made.id, &ids[..1]).await;
    assert_eq!(slow.leads().await.len(), 1);
    harness.stop().await;
}
