//! What reads whole organisations: query jobs, change tracking, and records that come and go.

use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

use super::{Harness, fresh, read};

// --- Salesforce query jobs

async fn job(sim: &Harness, body: Value) -> (u16, Value) {
    sim.sf_json("POST", "/jobs/query", body).await
}

async fn query_job(sim: &Harness, operation: &str, query: &str) -> String {
    let (status, made) = job(sim, json!({ "operation": operation, "query": query })).await;
    assert_eq!(status, 200, "{made}");
    made["id"].as_str().unwrap().to_owned()
}

async fn poll(sim: &Harness, id: &str) -> Value {
    let (status, info) = sim
        .sf_json("GET", &format!("/jobs/query/{id}"), json!({}))
        .await;
    assert_eq!(status, 200, "{info}");
    info
}

fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers()[name].to_str().unwrap()
}

/// One page: its text and its locator.
async fn results(sim: &Harness, id: &str, query: &str) -> (String, String, usize) {
    let path = format!("/jobs/query/{id}/results{query}");
    let answer = sim.sf("GET", &path).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(header(&answer, "content-type").starts_with("text/csv"));
    assert!(header(&answer, "sforce-limit-info").starts_with("api-usage="));
    let locator = header(&answer, "sforce-locator").to_owned();
    let count = header(&answer, "sforce-numberofrecords").parse().unwrap();
    (answer.text().await.unwrap(), locator, count)
}

async fn add(sim: &Harness, path: &str, row: Value) -> String {
    let made = sim.control("POST", &format!("/records/{path}"), row).await;
    made["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_query_job_pages_what_it_found() {
    let sim = fresh().await;
    for n in 0..5 {
        let row = json!({ "LastName": format!("L{n}"), "Company": "Acme" });
        add(&sim, "salesforce/Lead", row).await;
    }
    let query = "SELECT LastName, owner.Name, Id FROM Lead";
    let (status, made) = job(&sim, json!({ "operation": "query", "query": query })).await;
    assert_eq!(
        (status, &made["state"], &made["object"], &made["apiVersion"]),
        (200, &json!("UploadComplete"), &json!("Lead"), &json!(67.0))
    );
    assert_eq!(made.get("numberRecordsProcessed"), None);
    let id = made["id"].as_str().unwrap();
    let info = poll(&sim, id).await;
    assert_eq!(
        (
            &info["state"],
            &info["numberRecordsProcessed"],
            &info["jobType"]
        ),
        (&json!("JobComplete"), &json!(5), &json!("V2Query"))
    );
    assert_eq!(info["isPkChunkingSupported"], true);
    // What happens now is not in the results any more.
    add(
        &sim,
        "salesforce/Lead",
        json!({ "LastName": "Late", "Company": "Acme" }),
    )
    .await;
    let (mut names, mut locator, mut pages) = (Vec::new(), String::new(), Vec::new());
    while locator != "null" {
        let more = if locator.is_empty() {
            String::new()
        } else {
            format!("&locator={locator}")
        };
        let (text, next, count) = results(&sim, id, &format!("?maxRecords=2{more}")).await;
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("\"LastName\",\"Owner.Name\",\"Id\""));
        let rows: Vec<&str> = lines.collect();
        assert_eq!(rows.len(), count);
        assert!(
            rows.iter().all(|row| row.contains(",\"Ada Admin\",\"00Q")),
            "{rows:?}"
        );
        names.extend(rows.iter().map(|row| row.get(1..3).unwrap().to_owned()));
        pages.push((more, text.clone()));
        locator = next;
    }
    assert_eq!(names, ["L0", "L1", "L2", "L3", "L4"]);
    for (more, text) in pages {
        assert_eq!(
            results(&sim, id, &format!("?maxRecords=2{more}")).await.0,
            text
        );
    }
    sim.control(
        "PATCH",
        "/settings",
        json!({ "salesforce": { "bulk_page_rows": 4 } }),
    )
    .await;
    assert_eq!(results(&sim, id, "?maxRecords=100").await.2, 4);
    let (_, limits) = sim.sf_json("GET", "/limits", json!({})).await;
    assert_eq!(
        limits["DailyBulkV2QueryJobs"],
        json!({ "Max": 10_000, "Remaining": 9_999 })
    );
}

#[tokio::test]
async fn csv_writes_values_as_salesforce_does() {
    let sim = fresh().await;
    sim.control("POST", "/clock", json!({ "now_ms": 1_790_000_000_500_i64 }))
        .await;
    add(
        &sim,
        "salesforce/Account",
        json!({
            "Name": "Ünder \"quotes\", and\nlines; so", "AnnualRevenue": 12_500_000, "NumberOfEmployees": 12_000_000,
            "Description": "", "Site": null,
        }),
    )
    .await;
    let id = query_job(
        &sim,
        "query",
        "SELECT Name, AnnualRevenue, NumberOfEmployees, Description, Phone, IsDeleted, SystemModstamp FROM Account",
    )
    .await;
    poll(&sim, &id).await;
    let (text, ..) = results(&sim, &id, "").await;
    assert_eq!(
        text.split_once('\n').unwrap().1,
        "\"Ünder \"\"quotes\"\", and\nlines; so\",\"1.25E7\",\"12000000\",\"\",\"\",\"false\",\"2026-09-21T14:13:20.000Z\"\n"
    );
    let body = json!({
        "operation": "query", "query": "SELECT Name, Phone FROM Account", "contentType": "CSV",
        "columnDelimiter": "SEMICOLON", "lineEnding": "CRLF",
    });
    let (_, made) = job(&sim, body).await;
    let id = made["id"].as_str().unwrap();
    poll(&sim, id).await;
    let (text, ..) = results(&sim, id, "").await;
    assert_eq!(
        text,
        "\"Name\";\"Phone\"\r\n\"Ünder \"\"quotes\"\", and\nlines; so\";\"\"\r\n"
    );
}

#[tokio::test]
async fn query_jobs_are_refused_before_they_start() {
    let sim = fresh().await;
    let set = json!({ "salesforce": { "bulk_unsupported": ["Task"] } });
    sim.control("PATCH", "/settings", set).await;
    for (query, code) in [
        ("SELECT Nope__c FROM Lead", "INVALID_FIELD"),
        ("SELECT Id FROM Nope", "INVALID_TYPE"),
        ("SELECT Id FORM Lead", "MALFORMED_QUERY"),
        ("SELECT Id, Address FROM Lead", "API_ERROR"),
        ("SELECT COUNT() FROM Lead", "API_ERROR"),
        (
            "SELECT Name, (SELECT Id FROM Contacts) FROM Account",
            "API_ERROR",
        ),
        ("SELECT Id FROM Lead LIMIT 1 OFFSET 1", "API_ERROR"),
        ("SELECT Id FROM Task", "INVALIDENTITY"),
    ] {
        let (status, error) = job(&sim, json!({ "operation": "query", "query": query })).await;
        assert_eq!(
            (status, &error[0]["errorCode"]),
            (400, &json!(code)),
            "{query}"
        );
    }
    for (body, code) in [
        (json!({ "query": "SELECT Id FROM Lead" }), "INVALIDJOB"),
        (json!({ "operation": "query" }), "INVALIDJOB"),
        (
            json!({ "operation": "insert", "query": "SELECT Id FROM Lead" }),
            "JSON_PARSER_ERROR",
        ),
        (
            json!({ "operation": "query", "query": "SELECT Id FROM Lead", "contentType": "XML" }),
            "JSON_PARSER_ERROR",
        ),
    ] {
        let (status, error) = job(&sim, body).await;
        assert_eq!(
            (status, &error[0]["errorCode"]),
            (400, &json!(code)),
            "{error}"
        );
    }
    let set = json!({ "salesforce": { "bulk_job_limit": 0 } });
    sim.control("PATCH", "/settings", set).await;
    let (status, error) = job(
        &sim,
        json!({ "operation": "query", "query": "SELECT Id FROM Lead" }),
    )
    .await;
    assert_eq!(
        (status, &error[0]["errorCode"]),
        (400, &json!("LIMIT_EXCEEDED"))
    );
}

#[tokio::test]
async fn query_jobs_take_their_time_and_end() {
    let sim = fresh().await;
    for n in 0..3 {
        add(
            &sim,
            "salesforce/Lead",
            json!({ "LastName": format!("L{n}"), "Company": "A" }),
        )
        .await;
    }
    let set = |body: Value| sim.control("PATCH", "/settings", json!({ "salesforce": body }));
    set(json!({ "bulk_polls": 1 })).await;
    let id = query_job(&sim, "query", "SELECT Id FROM Lead").await;
    let path = format!("/jobs/query/{id}");
    let early = format!("{path}/results");
    assert_eq!(sim.sf_json("GET", &early, json!({})).await.0, 400);
    assert_eq!(poll(&sim, &id).await["state"], "InProgress");
    assert_eq!(sim.sf_json("DELETE", &path, json!({})).await.0, 400);
    // The rows are those of the moment at which the job completes.
    add(
        &sim,
        "salesforce/Lead",
        json!({ "LastName": "L3", "Company": "A" }),
    )
    .await;
    assert_eq!(poll(&sim, &id).await["state"], "JobComplete");
    assert_eq!(results(&sim, &id, "").await.2, 4);

    // Another version does not read them; an older one has no jobs at all.
    let base = format!("{}/services/data", sim.simulator.salesforce_url());
    for (version, status) in [("v66.0", 409), ("v46.0", 404)] {
        let url = format!("{base}/{version}{early}");
        let answer = sim
            .client
            .get(url)
            .bearer_auth(&sim.salesforce)
            .send()
            .await;
        assert_eq!(answer.unwrap().status().as_u16(), status);
    }
    let abort = json!({ "state": "Aborted" });
    let (status, error) = sim.sf_json("PATCH", &path, abort.clone()).await;
    assert_eq!(
        (status, &error[0]["errorCode"]),
        (400, &json!("INVALIDJOBSTATE"))
    );
    assert_eq!(sim.sf_json("DELETE", &path, json!({})).await.0, 204);
    assert_eq!(sim.sf_json("GET", &early, json!({})).await.0, 404);

    let id = query_job(&sim, "query", "SELECT Id FROM Lead").await;
    let (status, info) = sim
        .sf_json("PATCH", &format!("/jobs/query/{id}"), abort)
        .await;
    assert_eq!((status, &info["state"]), (200, &json!("Aborted")));
    assert_eq!(poll(&sim, &id).await["state"], "Aborted");

    set(json!({ "bulk_polls": 0, "bulk_fail_jobs": 1, "bulk_timeout_rows": 3 })).await;
    for (query, state, text) in [
        ("SELECT Id FROM Account", "Failed", "InternalServerError"),
        ("SELECT Id FROM Lead", "Failed", "QUERY_TIMEOUT"),
        (
            "SELECT Id FROM Lead WHERE LastName < 'L3'",
            "JobComplete",
            "",
        ),
    ] {
        let id = query_job(&sim, "query", query).await;
        let info = poll(&sim, &id).await;
        assert_eq!(info["state"], state, "{query}");
        let error = info["errorMessage"].as_str().unwrap_or_default();
        assert!(error.starts_with(text), "{error}");
    }
    let (_, list) = sim.sf_json("GET", "/jobs/query", json!({})).await;
    assert_eq!(
        (list["records"].as_array().unwrap().len(), &list["done"]),
        (4, &json!(true))
    );
    // Ended jobs are kept for seven days.
    sim.control(
        "POST",
        "/clock",
        json!({ "advance_ms": 7 * 86_400_000 + 1_000 }),
    )
    .await;
    let token = sim.mint("salesforce").await;
    let url = format!("{base}/v67.0/jobs/query");
    let answer = sim.client.get(url).bearer_auth(token).send().await.unwrap();
    assert_eq!(read(answer).await.1["records"], json!([]));
}

#[tokio::test]
async fn queries_read_on_by_key_and_end_when_told() {
    let sim = fresh().await;
    let mut ids = Vec::new();
    for n in 0..450 {
        ids.push(
            add(
                &sim,
                "salesforce/Contact",
                json!({ "LastName": format!("C{n:03}") }),
            )
            .await,
        );
    }
    let from = format!(
        "SELECT Id FROM Contact WHERE Id > '{}' ORDER BY Id LIMIT 3",
        ids[9]
    );
    let (_, page) = sim.soql(&from).await;
    let found: Vec<&Value> = page["records"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["Id"])
        .collect();
    assert_eq!(json!(found), json!(&ids[10..13]));
    let text = "SELECT Id FROM Contact WHERE SystemModstamp > 2020-01-01T00:00:00Z ORDER BY SystemModstamp, Id";
    let text: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
    let answer = sim
        .sf("GET", &format!("/query?q={text}"))
        .header("Sforce-Query-Options", "batchSize=200")
        .send()
        .await
        .unwrap();
    let (_, page) = read(answer).await;
    assert_eq!(
        (
            &page["totalSize"],
            page["records"].as_array().unwrap().len()
        ),
        (&json!(450), 200)
    );
    let next = page["nextRecordsUrl"].as_str().unwrap();
    let next = next.strip_prefix("/services/data/v67.0").unwrap();
    let (status, second) = sim.sf_json("GET", next, json!({})).await;
    assert_eq!(
        (status, &second["records"][0]["Id"]),
        (200, &json!(ids[200]))
    );
    sim.control("POST", "/salesforce/expire-locators", json!({}))
        .await;
    let (status, error) = sim.sf_json("GET", next, json!({})).await;
    assert_eq!(
        (status, &error[0]["errorCode"]),
        (400, &json!("INVALID_QUERY_LOCATOR"))
    );

    let set = json!({ "salesforce": { "query_timeout_rows": 400 } });
    sim.control("PATCH", "/settings", set).await;
    let (status, error) = sim.soql("SELECT Id FROM Contact").await;
    assert_eq!(
        (status, &error[0]["errorCode"]),
        (400, &json!("QUERY_TIMEOUT"))
    );
    let (status, count) = sim
        .soql("SELECT COUNT() FROM Contact WHERE LastName < 'C400'")
        .await;
    assert_eq!((status, &count["totalSize"]), (200, &json!(400)));
    let (_, counts) = sim
        .sf_json(
            "GET",
            "/limits/recordCount?sObjects=Contact,Lead,Nope",
            json!({}),
        )
        .await;
    let wanted = json!([{ "count": 450, "name": "Contact" }, { "count": 0, "name": "Lead" }]);
    assert_eq!(counts["sObjects"], wanted);
}
