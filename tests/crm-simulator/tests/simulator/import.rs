//! The interfaces for reading whole organisations: query jobs, change tracking, and records that come and go.

use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

use super::{Harness, folder, fresh, read, start};
use crm_simulator::SimConfig;

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
    // Later changes are not in the results any more.
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
    let (_, none) = sim
        .sf_json("GET", "/jobs/query?jobType=V2Ingest", json!({}))
        .await;
    assert_eq!(none["records"], json!([]));
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

// --- Salesforce: the life of records

/// The rows of a queryAll, by REST.
async fn query_all(sim: &Harness, text: &str) -> Vec<Value> {
    let text: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
    let (status, page) = sim
        .sf_json("GET", &format!("/queryAll?q={text}"), json!({}))
        .await;
    assert_eq!(status, 200, "{page}");
    page["records"].as_array().unwrap().clone()
}

async fn tick(sim: &Harness) {
    sim.control("POST", "/clock", json!({ "advance_ms": 1000 }))
        .await;
}

async fn do_with(sim: &Harness, path: &str, action: &str, body: Value) {
    sim.control("POST", &format!("/records/{path}/{action}"), body)
        .await;
}

#[tokio::test]
async fn deleted_accounts_take_their_children_and_bring_them_back() {
    let sim = fresh().await;
    sim.control("POST", "/clock", json!({ "now_ms": 1_790_000_000_000_i64 }))
        .await;
    let account = add(&sim, "salesforce/Account", json!({ "Name": "A" })).await;
    let contact = add(
        &sim,
        "salesforce/Contact",
        json!({ "LastName": "C", "AccountId": account }),
    )
    .await;
    let gone = add(
        &sim,
        "salesforce/Contact",
        json!({ "LastName": "G", "AccountId": account }),
    )
    .await;
    let opportunity = add(
        &sim,
        "salesforce/Opportunity",
        json!({ "Name": "O", "AccountId": account, "StageName": "Prospecting" }),
    )
    .await;
    let role = json!({ "OpportunityId": opportunity, "ContactId": contact });
    let (status, role) = sim
        .sf_json("POST", "/sobjects/OpportunityContactRole", role)
        .await;
    assert_eq!(status, 201, "{role}");
    tick(&sim).await;
    // This one was in the bin before, and stays there.
    sim.sf("DELETE", &format!("/sobjects/Contact/{gone}"))
        .send()
        .await
        .unwrap();
    tick(&sim).await;
    let path = format!("/sobjects/Account/{account}");
    assert_eq!(sim.sf("DELETE", &path).send().await.unwrap().status(), 204);
    for (object, count) in [
        ("Account", 1),
        ("Contact", 2),
        ("Opportunity", 1),
        ("OpportunityContactRole", 1),
    ] {
        let text = format!("SELECT Id, SystemModstamp FROM {object} WHERE IsDeleted = true");
        let rows = query_all(&sim, &text).await;
        assert_eq!(rows.len(), count, "{object}");
        assert!(
            rows.iter()
                .any(|row| row["SystemModstamp"] == "2026-09-21T14:13:22.000+0000"),
            "{rows:?}"
        );
        assert_eq!(
            sim.soql(&format!("SELECT Id FROM {object}")).await.1["totalSize"],
            0
        );
    }
    tick(&sim).await;
    do_with(
        &sim,
        &format!("salesforce/Account/{account}"),
        "undelete",
        json!({}),
    )
    .await;
    let live = query_all(
        &sim,
        "SELECT Id, SystemModstamp, AccountId FROM Contact WHERE IsDeleted = false",
    )
    .await;
    assert_eq!(
        (live.len(), &live[0]["Id"], &live[0]["AccountId"]),
        (1, &json!(contact), &json!(account))
    );
    assert_eq!(live[0]["SystemModstamp"], "2026-09-21T14:13:23.000+0000");
    assert_eq!(
        sim.soql("SELECT Id FROM OpportunityContactRole").await.1["totalSize"],
        1
    );
    do_with(
        &sim,
        &format!("salesforce/Contact/{gone}"),
        "purge",
        json!({}),
    )
    .await;
    let left = query_all(&sim, "SELECT Id FROM Contact").await;
    assert_eq!(left.len(), 1);
    let role = format!(
        "/sobjects/OpportunityContactRole/{}",
        role["id"].as_str().unwrap()
    );
    assert_eq!(sim.sf("DELETE", &role).send().await.unwrap().status(), 204);
}

#[tokio::test]
async fn merged_records_leave_their_children_to_the_winner() {
    let file = folder().join("state.json");
    let config = SimConfig {
        state_file: Some(file),
        ..SimConfig::default()
    };
    let sim = start(config.clone()).await;
    sim.control("POST", "/clock", json!({ "now_ms": 1_790_000_000_000_i64 }))
        .await;
    let winner = add(&sim, "salesforce/Account", json!({ "Name": "Winner" })).await;
    let loser = add(&sim, "salesforce/Account", json!({ "Name": "Loser" })).await;
    let child = add(
        &sim,
        "salesforce/Account",
        json!({ "Name": "Child", "ParentId": loser }),
    )
    .await;
    let contact = add(
        &sim,
        "salesforce/Contact",
        json!({ "LastName": "C", "AccountId": loser }),
    )
    .await;
    let kept = add(&sim, "salesforce/Contact", json!({ "LastName": "D" })).await;
    tick(&sim).await;
    do_with(
        &sim,
        &format!("salesforce/Account/{loser}"),
        "merge",
        json!({ "into": winner }),
    )
    .await;
    let id = query_job(
        &sim,
        "queryAll",
        "SELECT Id, IsDeleted, MasterRecordId, ParentId, SystemModstamp FROM Account",
    )
    .await;
    poll(&sim, &id).await;
    let (text, ..) = results(&sim, &id, "").await;
    let moved = "2026-09-21T14:13:21.000Z";
    for line in [
        format!("\"{winner}\",\"false\",\"\",\"\",\"{moved}\""),
        format!("\"{loser}\",\"true\",\"{winner}\",\"\",\"{moved}\""),
        format!("\"{child}\",\"false\",\"\",\"{winner}\",\"{moved}\""),
    ] {
        assert!(text.contains(&line), "{line} is not in {text}");
    }
    let contacts = query_all(&sim, "SELECT Id, AccountId, SystemModstamp FROM Contact").await;
    let of = |id: &str| contacts.iter().find(|row| row["Id"] == id).unwrap().clone();
    assert_eq!(
        (&of(&contact)["AccountId"], &of(&contact)["SystemModstamp"]),
        (&json!(winner), &json!("2026-09-21T14:13:21.000+0000"))
    );
    assert_eq!(of(&kept)["SystemModstamp"], "2026-09-21T14:13:20.000+0000");
    let status = sim
        .client
        .post(format!(
            "{}/records/salesforce/Opportunity/{loser}/merge",
            sim.simulator.control_url()
        ))
        .json(&json!({ "into": winner }))
        .send()
        .await
        .unwrap()
        .status();
    assert_eq!(status, 400);

    // A lookup is found by either form of an id.
    for id in [winner.as_str(), &winner[..15]] {
        let text = format!("SELECT Id FROM Contact WHERE AccountId = '{id}'");
        assert_eq!(sim.soql(&text).await.1["totalSize"], 1, "{id}");
    }

    // A restart keeps the bin.
    sim.simulator.shutdown().await;
    let sim = start(config).await;
    do_with(
        &sim,
        &format!("salesforce/Account/{loser}"),
        "undelete",
        json!({}),
    )
    .await;
    let rows = query_all(
        &sim,
        &format!("SELECT IsDeleted, MasterRecordId FROM Account WHERE Id = '{loser}'"),
    )
    .await;
    assert_eq!(
        (&rows[0]["IsDeleted"], &rows[0]["MasterRecordId"]),
        (&json!(false), &Value::Null)
    );
}

// --- Dataverse: change tracking

/// Follows pages to the delta link: ids, deleted ids, and the link. `each` runs between pages.
async fn follow(
    sim: &Harness,
    first: &str,
    size: usize,
    mut each: impl AsyncFnMut(usize),
) -> (Vec<String>, Vec<String>, String) {
    let (mut ids, mut deleted, mut next, mut pages) = (Vec::new(), Vec::new(), first.to_owned(), 0);
    loop {
        let prefer = format!("odata.maxpagesize={size}");
        let prefer = if pages == 0 && !next.contains("deltatoken") {
            format!("odata.track-changes,{prefer}")
        } else {
            prefer
        };
        let (status, page) = get(sim, &next, &prefer).await;
        assert_eq!(status, 200, "{page}");
        assert!(
            page["@odata.context"]
                .as_str()
                .unwrap()
                .ends_with("/$delta")
        );
        let rows = page["value"].as_array().unwrap();
        assert!(rows.len() <= size);
        for row in rows {
            match row["reason"].as_str() {
                Some(_) => deleted.push(row["id"].as_str().unwrap().to_owned()),
                None => ids.push(row["contactid"].as_str().unwrap().to_owned()),
            }
        }
        if let Some(link) = page["@odata.deltaLink"].as_str() {
            return (ids, deleted, link.to_owned());
        }
        next = page["@odata.nextLink"].as_str().unwrap().to_owned();
        pages += 1;
        each(pages).await;
    }
}

async fn get(sim: &Harness, url: &str, prefer: &str) -> (u16, Value) {
    let request = if url.starts_with("http") {
        sim.client.get(url).bearer_auth(&sim.dataverse)
    } else {
        sim.dv("GET", url)
    };
    let answer = request.header("Prefer", prefer).send().await.unwrap();
    assert!(
        answer
            .headers()
            .contains_key("x-ms-ratelimit-burst-remaining-xrm-requests")
    );
    read(answer).await
}

async fn contacts(sim: &Harness, count: usize) -> Vec<String> {
    let mut out = Vec::new();
    for n in 0..count {
        out.push(
            add(
                sim,
                "dataverse/contact",
                json!({ "lastname": format!("C{n}") }),
            )
            .await,
        );
    }
    out
}

#[tokio::test]
async fn changes_are_paged_and_begin_where_the_token_stands() {
    for from in ["first", "last"] {
        let sim = fresh().await;
        let set = json!({ "dataverse": { "delta_token_from": from } });
        sim.control("PATCH", "/settings", set).await;
        let made = contacts(&sim, 7).await;
        let list = "contacts?$select=lastname";
        // Between the pages, a row already read changes and another one is made.
        let (mut ids, deleted, link) = follow(&sim, list, 3, async |page| {
            if page == 1 {
                let path = format!("/records/dataverse/contact/{}", made[0]);
                sim.control("PATCH", &path, json!({ "lastname": "Changed" }))
                    .await;
            }
        })
        .await;
        ids.sort();
        assert_eq!((&ids, deleted.len()), (&made, 0));
        let (ids, _, link) = follow(&sim, &link, 3, async |_| {}).await;
        let wanted: &[String] = if from == "first" { &made[..1] } else { &[] };
        assert_eq!(ids, wanted, "{from}");

        for id in &made[1..4] {
            let path = format!("/records/dataverse/contact/{id}");
            sim.control("PATCH", &path, json!({ "jobtitle": "CTO" }))
                .await;
        }
        for id in &made[3..6] {
            sim.control(
                "DELETE",
                &format!("/records/dataverse/contact/{id}"),
                json!({}),
            )
            .await;
        }
        let (ids, deleted, link) = follow(&sim, &link, 2, async |_| {}).await;
        assert_eq!(
            (ids.as_slice(), deleted.as_slice()),
            (&made[1..3], &made[3..6])
        );
        // Restored rows have their old id, and are changes.
        do_with(
            &sim,
            &format!("dataverse/contact/{}", made[4]),
            "restore",
            json!({}),
        )
        .await;
        let (ids, deleted, _) = follow(&sim, &link, 2, async |_| {}).await;
        assert_eq!((ids.as_slice(), deleted.len()), (&made[4..5], 0));
        let (_, row) = sim
            .dv_json(
                "GET",
                &format!("contacts({})?$select=lastname", made[4]),
                json!({}),
            )
            .await;
        assert_eq!(row["lastname"], "C4");
    }
}

#[tokio::test]
async fn tokens_end_when_told() {
    let sim = fresh().await;
    contacts(&sim, 5).await;
    let first = "contacts?$select=lastname";
    let (_, _, link) = follow(&sim, first, 10, async |_| {}).await;
    let (_, page) = get(&sim, first, "odata.maxpagesize=2").await;
    let next = page["@odata.nextLink"].as_str().unwrap();
    assert_eq!(get(&sim, next, "odata.maxpagesize=2").await.0, 200);
    sim.control("POST", "/dataverse/expire-skiptokens", json!({}))
        .await;
    let (status, error) = get(&sim, next, "odata.maxpagesize=2").await;
    assert_eq!(
        (status, &error["error"]["code"]),
        (400, &json!("0x80060888"))
    );
    assert_eq!(get(&sim, &link, "").await.0, 200);
    sim.control("POST", "/dataverse/expire-deltas", json!({}))
        .await;
    let (status, error) = get(&sim, &link, "").await;
    assert_eq!(
        (status, &error["error"]["code"]),
        (400, &json!("0x80044352"))
    );
    let (_, _, link) = follow(&sim, first, 10, async |_| {}).await;
    assert_eq!(get(&sim, &link, "").await.0, 200);
}

#[tokio::test]
async fn untracked_tables_are_read_by_time() {
    let sim = fresh().await;
    let set = json!({ "dataverse": { "untracked_tables": ["position"] } });
    sim.control("PATCH", "/settings", set).await;
    let (status, error) = get(&sim, "positions?$select=name", "odata.track-changes").await;
    assert_eq!(
        (status, &error["error"]["code"]),
        (400, &json!("0x80072491"))
    );
    let path = "EntityDefinitions?$select=LogicalName&$filter=ChangeTrackingEnabled eq true";
    let (_, list) = sim.dv_json("GET", path, json!({})).await;
    let tracked = |name: &str| {
        list["value"]
            .as_array()
            .unwrap()
            .iter()
            .any(|row| row["LogicalName"] == name)
    };
    assert!(tracked("account") && !tracked("position"));
    for n in 0..5 {
        add(
            &sim,
            "dataverse/position",
            json!({ "name": format!("P{n}") }),
        )
        .await;
    }
    let mut next = "positions?$select=name,modifiedon&$filter=modifiedon ge 2020-01-01T00:00:00Z&$orderby=modifiedon asc,positionid asc".to_owned();
    let (mut names, mut pages) = (Vec::new(), 0);
    loop {
        let (status, page) = get(&sim, &next, "odata.maxpagesize=3").await;
        assert_eq!(status, 200, "{page}");
        let rows = page["value"].as_array().unwrap();
        names.extend(
            rows.iter()
                .map(|row| row["name"].as_str().unwrap().to_owned()),
        );
        pages += 1;
        // Rows made now are beyond the result that is being read.
        add(&sim, "dataverse/position", json!({ "name": "New" })).await;
        match page["@odata.nextLink"].as_str() {
            Some(link) => next = link.to_owned(),
            None => break,
        }
    }
    assert_eq!((names.len(), pages), (7, 3));
    for option in [
        "$filter=modifiedon ge 2020-01-01T00:00:00Z",
        "$orderby=modifiedon",
        "$top=1",
    ] {
        let path = format!("contacts?$select=lastname&{option}");
        assert_eq!(
            get(&sim, &path, "odata.track-changes").await.0,
            400,
            "{option}"
        );
    }
    for prefer in ["odata.track-changes", "odata.maxpagesize=5"] {
        let (status, error) = get(&sim, "contacts?$select=lastname,nope", prefer).await;
        assert_eq!(
            (status, &error["error"]["code"]),
            (400, &json!("0x80060888"))
        );
        assert_eq!(
            error["error"]["message"],
            "Could not find a property named 'nope' on type 'Microsoft.Dynamics.CRM.contact'."
        );
    }
}

#[tokio::test]
async fn merged_rows_of_dataverse_stay_inactive() {
    let sim = fresh().await;
    let winner = add(&sim, "dataverse/account", json!({ "name": "Winner" })).await;
    let loser = add(&sim, "dataverse/account", json!({ "name": "Loser" })).await;
    let contact = json!({ "lastname": "C", "_parentcustomerid_value": loser, "_parentcustomerid_value/type": "account" });
    let contact = add(&sim, "dataverse/contact", contact).await;
    let (_, _, link) = follow(
        &sim,
        "contacts?$select=_parentcustomerid_value",
        10,
        async |_| {},
    )
    .await;
    do_with(
        &sim,
        &format!("dataverse/account/{loser}"),
        "merge",
        json!({ "into": winner }),
    )
    .await;
    let (_, row) = sim
        .dv_json("GET", &format!("accounts({loser})"), json!({}))
        .await;
    assert_eq!(
        (
            &row["statecode"],
            &row["statuscode"],
            &row["merged"],
            &row["_masterid_value"]
        ),
        (&json!(1), &json!(2), &json!(true), &json!(winner))
    );
    let (ids, ..) = follow(&sim, &link, 10, async |_| {}).await;
    assert_eq!(ids, std::slice::from_ref(&contact));
    let (_, row) = sim
        .dv_json("GET", &format!("contacts({contact})"), json!({}))
        .await;
    assert_eq!(row["_parentcustomerid_value"], json!(winner));
    let lead = add(&sim, "dataverse/lead", json!({ "lastname": "L" })).await;
    let other = add(&sim, "dataverse/lead", json!({ "lastname": "M" })).await;
    do_with(
        &sim,
        &format!("dataverse/lead/{lead}"),
        "merge",
        json!({ "into": other }),
    )
    .await;
    let (_, row) = sim
        .dv_json("GET", &format!("leads({lead})"), json!({}))
        .await;
    assert_eq!(
        (&row["statecode"], &row["statuscode"]),
        (&json!(2), &json!(7))
    );
}

// --- Made-up records

#[tokio::test]
async fn records_are_made_up_alike_for_the_same_seed() {
    let sim = fresh().await;
    sim.control("POST", "/clock", json!({ "now_ms": 1_790_000_000_000_i64 }))
        .await;
    let mut before = Vec::new();
    for round in 0..2 {
        // The rows that every organisation starts with are of the same moment, too.
        sim.control("POST", "/reset", json!({ "keep_tokens": true }))
            .await;
        for (system, objects) in [
            (
                "salesforce",
                [
                    "UserRole",
                    "User",
                    "Account",
                    "Contact",
                    "Lead",
                    "Opportunity",
                    "OpportunityContactRole",
                ]
                .as_slice(),
            ),
            (
                "dataverse",
                &[
                    "position",
                    "systemuser",
                    "account",
                    "contact",
                    "lead",
                    "opportunity",
                ],
            ),
        ] {
            for object in objects {
                let wish = json!({ "system": system, "object": object, "count": 300, "seed": 7 });
                let made = sim.control("POST", "/generate", wish).await;
                assert_eq!(made["count"], 300);
                let rows = sim
                    .control("GET", &format!("/records/{system}/{object}"), json!({}))
                    .await;
                assert!(rows.as_array().unwrap().len() >= 300);
                if round == 0 {
                    before.push(rows);
                } else {
                    assert!(rows == before.remove(0), "{system} {object}");
                }
            }
        }
        // Generated rows pass the checks of writes, so that they can be changed.
        for (object, field) in [
            ("Account", "Name"),
            ("Contact", "LastName"),
            ("Lead", "Company"),
        ] {
            let (_, page) = sim
                .soql(&format!("SELECT Id FROM {object} WHERE {field} != null"))
                .await;
            assert_eq!(page["totalSize"], 300);
        }
        let (_, linked) = sim
            .soql("SELECT Id FROM Contact WHERE Account.Name != null AND Owner.IsActive = true")
            .await;
        assert_eq!(linked["totalSize"], 288);
        let (ids, ..) = follow(&sim, "contacts?$select=lastname", 100, async |_| {}).await;
        assert_eq!(ids.len(), 300);
    }
    let unknown = sim
        .client
        .post(format!("{}/generate", sim.simulator.control_url()))
        .json(&json!({ "system": "salesforce", "object": "Task", "count": 1 }));
    assert_eq!(unknown.send().await.unwrap().status(), 400);
}

#[tokio::test]
async fn csv_and_json_tell_the_same() {
    let sim = fresh().await;
    let wish = json!({ "system": "salesforce", "object": "Contact", "count": 250, "seed": 3 });
    sim.control("POST", "/generate", wish).await;
    let id = query_job(
        &sim,
        "query",
        "SELECT Id, LastName, Description FROM Contact",
    )
    .await;
    poll(&sim, &id).await;
    let (text, ..) = results(&sim, &id, "").await;
    let (_, page) = sim
        .soql("SELECT Id, LastName, Description FROM Contact")
        .await;
    let quoted = |value: &Value| {
        let text = value.as_str().unwrap_or_default().replace('"', "\"\"");
        format!("\"{text}\"")
    };
    let lines = page["records"].as_array().unwrap().iter().map(|row| {
        let cells = ["Id", "LastName", "Description"].map(|name| quoted(&row[name]));
        format!("{}\n", cells.join(","))
    });
    let wanted = format!(
        "\"Id\",\"LastName\",\"Description\"\n{}",
        lines.collect::<Vec<_>>().concat()
    );
    assert_eq!(text, wanted);
    for hard in ["\n", "\"\"", "😀", "陈"] {
        assert!(text.contains(hard), "{hard:?}");
    }
}

#[tokio::test]
async fn deletes_and_their_links_survive_a_restart() {
    let config = SimConfig {
        state_file: Some(folder().join("state.json")),
        ..SimConfig::default()
    };
    let sim = start(config.clone()).await;
    let made = contacts(&sim, 3).await;
    let (_, _, link) = follow(&sim, "contacts?$select=lastname", 2, async |_| {}).await;
    for id in &made[..2] {
        let path = format!("/records/dataverse/contact/{id}");
        sim.control("DELETE", &path, json!({})).await;
    }
    sim.simulator.shutdown().await;
    let sim = start(config).await;
    let link = link.split_once("/v9.2/").unwrap().1;
    let (ids, deleted, _) = follow(&sim, link, 1, async |_| {}).await;
    assert_eq!((ids.len(), deleted.as_slice()), (0, &made[..2]));
    let row = format!("dataverse/contact/{}", made[0]);
    do_with(&sim, &row, "restore", json!({})).await;
    let (ids, deleted, _) = follow(&sim, link, 5, async |_| {}).await;
    assert_eq!(
        (ids.as_slice(), deleted.as_slice()),
        (&made[..1], &made[1..2])
    );
}
