//! The simulator from outside, over its sockets.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test stops at the first surprise"
)]

mod import;

use crm_simulator::{SimConfig, Simulator};
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};

/// A running simulator and a client for it.
struct Harness {
    simulator: Simulator,
    client: Client,
    salesforce: String,
    dataverse: String,
    linkedin: String,
}

fn folder() -> std::path::PathBuf {
    std::env::temp_dir().join(format!("crm-simulator-test-{}", uuid::Uuid::new_v4()))
}

async fn start(config: SimConfig) -> Harness {
    let simulator = Simulator::start(config).await.unwrap();
    let ca = std::fs::read(simulator.ca_file()).unwrap();
    let client = Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .tls_certs_only([reqwest::Certificate::from_pem(&ca).unwrap()])
        .build()
        .unwrap();
    let mut out = Harness {
        simulator,
        client,
        salesforce: String::new(),
        dataverse: String::new(),
        linkedin: String::new(),
    };
    out.salesforce = out.mint("salesforce").await;
    out.dataverse = out.mint("dataverse").await;
    out.linkedin = out.mint("linkedin").await;
    out
}

async fn fresh() -> Harness {
    start(SimConfig::default()).await
}

impl Harness {
    async fn mint(&self, provider: &str) -> String {
        let answer = self
            .control("POST", "/tokens", json!({ "provider": provider }))
            .await;
        answer["access_token"].as_str().unwrap().to_owned()
    }

    async fn control(&self, method: &str, path: &str, body: Value) -> Value {
        let url = format!("{}{path}", self.simulator.control_url());
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let answer = self
            .client
            .request(method, url)
            .json(&body)
            .send()
            .await
            .unwrap();
        assert!(
            answer.status().is_success(),
            "{path}: {}",
            answer.text().await.unwrap()
        );
        let text = answer.text().await.unwrap();
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    fn sf(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let url = format!(
            "{}/services/data/v67.0{path}",
            self.simulator.salesforce_url()
        );
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        self.client
            .request(method, url)
            .bearer_auth(&self.salesforce)
    }

    async fn sf_json(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        read(self.sf(method, path).json(&body).send().await.unwrap()).await
    }

    async fn soql(&self, text: &str) -> (u16, Value) {
        let text: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
        read(
            self.sf("GET", &format!("/query?q={text}"))
                .send()
                .await
                .unwrap(),
        )
        .await
    }

    fn dv(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}/api/data/v9.2/{path}", self.simulator.dataverse_url());
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        self.client
            .request(method, url)
            .bearer_auth(&self.dataverse)
    }

    async fn dv_json(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        read(self.dv(method, path).json(&body).send().await.unwrap()).await
    }

    fn li(&self, path: &str) -> reqwest::RequestBuilder {
        self.client
            .get(format!("{}/rest{path}", self.simulator.linkedin_url()))
            .bearer_auth(&self.linkedin)
            .header("LinkedIn-Version", "202606")
            .header("X-Restli-Protocol-Version", "2.0.0")
    }
}

/// The parameters that a sign-in sends back to the app, or the page it shows instead.
async fn authorize(sim: &Harness, url: &str, params: &[(&str, &str)]) -> Result<Value, String> {
    let url = reqwest::Url::parse_with_params(url, params).unwrap();
    let answer = sim.client.get(url).send().await.unwrap();
    let Some(location) = answer.headers().get("location") else {
        return Err(answer.text().await.unwrap());
    };
    let location: reqwest::Url = location.to_str().unwrap().parse().unwrap();
    let pairs = location.query_pairs().map(|(k, v)| (k.into(), v.into()));
    Ok(Value::Object(pairs.collect()))
}

/// The claims of a token; the third-party clients verify its issuer.
fn claims(token: &Value) -> Value {
    use base64::Engine as _;
    let part = token.as_str().unwrap().split('.').nth(1).unwrap();
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(part)
        .unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// A sign-in at Salesforce, up to the answer with the tokens.
async fn salesforce_sign_in(sim: &Harness, more: &[(&str, &str)]) -> (u16, Value) {
    let base = sim.simulator.salesforce_url();
    let mut params = vec![
        ("response_type", "code"),
        ("client_id", "leadbridge-salesforce"),
        ("redirect_uri", "https://app.example/cb"),
    ];
    params.extend(more);
    let url = format!("{base}/services/oauth2/authorize");
    let back = authorize(sim, &url, &params).await.unwrap();
    salesforce_token(
        sim,
        &[
            ("grant_type", "authorization_code"),
            ("redirect_uri", "https://app.example/cb"),
            ("code", back["code"].as_str().unwrap()),
        ],
    )
    .await
}

async fn salesforce_token(sim: &Harness, more: &[(&str, &str)]) -> (u16, Value) {
    let mut form = vec![
        ("client_id", "leadbridge-salesforce"),
        ("client_secret", "salesforce-app-secret"),
    ];
    form.extend(more);
    let url = format!("{}/services/oauth2/token", sim.simulator.salesforce_url());
    read(sim.client.post(url).form(&form).send().await.unwrap()).await
}

async fn read(answer: Response) -> (u16, Value) {
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    (
        status,
        serde_json::from_str(&text).unwrap_or(Value::String(text)),
    )
}

fn lead(last: &str) -> Value {
    json!({ "LastName": last, "Company": "Acme" })
}

// --- Salesforce

#[tokio::test]
async fn a_lead_is_created_read_changed_and_deleted() {
    let sim = fresh().await;
    let (status, made) = sim.sf_json("POST", "/sobjects/Lead", lead("One")).await;
    assert_eq!((status, &made["success"]), (201, &json!(true)));
    let path = format!("/sobjects/Lead/{}", made["id"].as_str().unwrap());
    let change = json!({ "FirstName": "Ann", "Score__c": "2.5", "Event_Date__c": "2026-02-03" });
    assert_eq!(sim.sf_json("PATCH", &path, change).await.0, 204);
    let (_, row) = sim.sf_json("GET", &path, json!({})).await;
    assert_eq!(
        (&row["Name"], &row["Score__c"]),
        (&json!("Ann One"), &json!(2.5))
    );
    let answer = sim.sf("DELETE", &path).send().await.unwrap();
    assert_eq!(answer.status(), 204);
    assert!(
        answer.headers()["sforce-limit-info"]
            .to_str()
            .unwrap()
            .starts_with("api-usage=4/")
    );
    let (status, error) = sim.sf_json("DELETE", &path, json!({})).await;
    assert_eq!(
        (status, &error[0]["errorCode"]),
        (404, &json!("ENTITY_IS_DELETED"))
    );
}

#[tokio::test]
async fn a_record_that_was_changed_meanwhile_is_not_changed() {
    let sim = fresh().await;
    let at = |now_ms: i64| json!({ "now_ms": now_ms });
    let began = 1_767_571_200_000_i64;
    sim.control("POST", "/clock", at(began)).await;
    let (_, made) = sim.sf_json("POST", "/sobjects/Lead", lead("One")).await;
    let path = format!("/sobjects/Lead/{}", made["id"].as_str().unwrap());
    let change = async |title: &str, since: &str| {
        let request = sim.sf("PATCH", &path).header("If-Unmodified-Since", since);
        let answer = request.json(&json!({ "Title": title })).send().await;
        answer.unwrap().status().as_u16()
    };
    let (then, later) = (
        "Mon, 05 Jan 2026 00:00:00 GMT",
        "Mon, 05 Jan 2026 00:00:10 GMT",
    );
    assert_eq!(change("CTO", then).await, 204);
    sim.control("POST", "/clock", at(began + 10_000)).await;
    // Its last change is that of the time named.
    assert_eq!(change("CIO", then).await, 204);
    assert_eq!(change("CEO", then).await, 412);
    assert_eq!(change("CEO", later).await, 204);
}

#[tokio::test]
async fn salesforce_refuses_with_its_own_words() {
    let sim = fresh().await;
    let cases = [
        (
            json!({ "LastName": "x" }),
            "REQUIRED_FIELD_MISSING",
            "Required fields are missing: [Company]",
            json!(["Company"]),
        ),
        (
            json!({ "LastName": "x", "Company": "y", "X__c": 1 }),
            "INVALID_FIELD",
            "No such column 'X__c' on sobject of type Lead",
            Value::Null,
        ),
        (
            json!({ "LastName": "x", "Company": "y", "Rating": "Tepid" }),
            "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
            "Rating: bad value for restricted picklist field: Tepid",
            json!(["Rating"]),
        ),
        (
            json!({ "LastName": "x", "Company": "y", "Email": "a@b" }),
            "INVALID_EMAIL_ADDRESS",
            "Email: invalid email address: a@b",
            json!(["Email"]),
        ),
        (
            json!({ "LastName": "x", "Company": "y", "OwnerId": "0055f0000000zzz" }),
            "INVALID_CROSS_REFERENCE_KEY",
            "invalid cross reference id",
            json!([]),
        ),
    ];
    for (body, code, message, fields) in cases {
        let (status, error) = sim.sf_json("POST", "/sobjects/Lead", body).await;
        assert_eq!((status, &error[0]["errorCode"]), (400, &json!(code)));
        assert_eq!(
            (&error[0]["message"], &error[0]["fields"]),
            (&json!(message), &fields)
        );
    }
    let cases = [
        (json!({ "City": "x".repeat(41) }), "STRING_TOO_LONG"),
        (
            json!({ "IsConverted": true }),
            "INVALID_FIELD_FOR_INSERT_UPDATE",
        ),
        (json!({ "AnnualRevenue": "much" }), "JSON_PARSER_ERROR"),
        (json!({ "OwnerId": "nobody" }), "MALFORMED_ID"),
    ];
    for (more, code) in cases {
        let mut body = lead("x");
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        assert_eq!(
            sim.sf_json("POST", "/sobjects/Lead", body).await.1[0]["errorCode"],
            code
        );
    }
}

#[tokio::test]
async fn the_key_is_unique_whatever_its_case() {
    let sim = fresh().await;
    let path = "/sobjects/Lead/Leadbridge_Id__c/aB-1";
    let (status, made) = sim.sf_json("PATCH", path, lead("One")).await;
    assert_eq!((status, &made["created"]), (201, &json!(true)));
    let (status, again) = sim
        .sf_json("PATCH", "/sobjects/Lead/Leadbridge_Id__c/Ab-1", lead("Two"))
        .await;
    assert_eq!(
        (status, &again["id"], &again["created"]),
        (200, &made["id"], &json!(false))
    );
    let mut body = lead("Three");
    body["Leadbridge_Id__c"] = json!("AB-1");
    let (status, error) = sim.sf_json("POST", "/sobjects/Lead", body).await;
    let short = &made["id"].as_str().unwrap()[..15];
    assert_eq!(status, 400);
    assert_eq!(
        error,
        json!([{
            "message": format!("duplicate value found: Leadbridge_Id__c duplicates value on record with id: {short}"),
            "errorCode": "DUPLICATE_VALUE", "fields": [],
        }])
    );
}

#[tokio::test]
async fn without_the_package_there_is_no_key() {
    let sim = fresh().await;
    let off = json!({ "salesforce": { "leadbridge_fields_installed": false } });
    sim.control("PATCH", "/settings", off).await;
    let (status, error) = sim
        .sf_json("PATCH", "/sobjects/Lead/Leadbridge_Id__c/a", lead("x"))
        .await;
    assert_eq!((status, &error[0]["errorCode"]), (404, &json!("NOT_FOUND")));
    let (_, described) = sim
        .sf_json("GET", "/sobjects/Lead/describe", json!({}))
        .await;
    let names = described["fields"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|f| f["name"] == "Leadbridge_Id__c");
    assert_eq!(names.count(), 0);
}

#[tokio::test]
async fn a_composite_is_all_or_nothing() {
    let sim = fresh().await;
    let part = |object: &str, name: &str, body: Value| {
        json!({
            "method": "POST", "url": format!("/services/data/v67.0/sobjects/{object}"), "referenceId": name, "body": body,
        })
    };
    let request = |all: bool, second: Value| {
        json!({ "allOrNone": all, "compositeRequest": [
        part("Contact", "c", json!({ "LastName": "C" })), part("Lead", "l", second),
    ] })
    };
    let linked = json!({ "LastName": "L", "Company": "A", "Leadbridge_Contact__c": "@{c.id}" });
    let (_, good) = sim
        .sf_json("POST", "/composite", request(true, linked))
        .await;
    assert_eq!(good["compositeResponse"][1]["httpStatusCode"], 201);
    let (status, bad) = sim
        .sf_json(
            "POST",
            "/composite",
            request(true, json!({ "LastName": "L" })),
        )
        .await;
    let parts = &bad["compositeResponse"];
    assert_eq!((status, &parts[0]["httpStatusCode"]), (200, &json!(400)));
    assert_eq!(parts[0]["body"][0]["errorCode"], "PROCESSING_HALTED");
    assert_eq!(parts[1]["body"][0]["errorCode"], "REQUIRED_FIELD_MISSING");
    assert_eq!(
        sim.soql("SELECT COUNT() FROM Contact").await.1["totalSize"],
        1
    );
    sim.sf_json(
        "POST",
        "/composite",
        request(false, json!({ "LastName": "L" })),
    )
    .await;
    assert_eq!(
        sim.soql("SELECT COUNT() FROM Contact").await.1["totalSize"],
        2
    );
}

#[tokio::test]
async fn a_composite_resolves_references_in_every_text() {
    let sim = fresh().await;
    let part = |object: &str, name: &str, body: Value| {
        json!({
            "method": "POST", "url": format!("/services/data/v67.0/sobjects/{object}"), "referenceId": name, "body": body,
        })
    };
    let send = |text: &str| {
        let lead = json!({ "LastName": "L", "Company": "A", "Description": text });
        let body = json!({ "allOrNone": true, "compositeRequest": [
            part("Contact", "c", json!({ "LastName": "C" })), part("Lead", "l", lead),
        ] });
        sim.sf_json("POST", "/composite", body)
    };
    let (_, done) = send("see @{c.id}").await;
    let id = done["compositeResponse"][0]["body"]["id"].as_str().unwrap();
    let (_, leads) = sim.soql("SELECT Id, Description FROM Lead").await;
    assert_eq!(leads["records"][0]["Description"], format!("see {id}"));
    for text in ["@{bob}", "a @{c.nothing} b", "@{", "@{b"] {
        let (_, refused) = send(text).await;
        let answer = &refused["compositeResponse"][1];
        assert_eq!(answer["httpStatusCode"], 400, "{text}");
        assert_eq!(
            answer["body"][0]["errorCode"], "PROCESSING_HALTED",
            "{text}"
        );
    }
    let query = "/services/data/v67.0/query?q=SELECT+Id+FROM+Contact+WHERE+LastName='%40%7Bbob%7D'";
    let body =
        json!({ "compositeRequest": [{ "method": "GET", "url": query, "referenceId": "q" }] });
    let (_, refused) = sim.sf_json("POST", "/composite", body).await;
    assert_eq!(refused["compositeResponse"][0]["httpStatusCode"], 400);
    let batched = json!({ "batchRequests": [{ "method": "GET", "url": query.trim_start_matches("/services/data/") }] });
    let (_, found) = sim.sf_json("POST", "/composite/batch", batched).await;
    assert_eq!(found["results"][0]["statusCode"], 200, "{found}");
}

#[tokio::test]
async fn a_record_of_the_same_collection_is_named_by_its_external_id() {
    let sim = fresh().await;
    let related =
        |key: &str| json!({ "attributes": { "type": "Contact" }, "Leadbridge_Id__c": key });
    let send = |key: &str, last: &str| {
        let records = json!([
            { "attributes": { "type": "Contact" }, "LastName": "C", "Leadbridge_Id__c": key },
            { "attributes": { "type": "Lead" }, "LastName": last, "Company": "@{c.id}",
              "Leadbridge_Contact__r": related("one") },
        ]);
        sim.sf_json(
            "POST",
            "/composite/sobjects",
            json!({ "allOrNone": true, "records": records }),
        )
    };
    let (_, unknown) = send("two", "L").await;
    assert_eq!(
        unknown[1]["errors"][0]["statusCode"], "INVALID_FIELD",
        "{unknown}"
    );
    assert_eq!(
        sim.soql("SELECT COUNT() FROM Contact").await.1["totalSize"],
        0
    );
    let (_, done) = send("one", "L").await;
    assert_eq!(done[1]["success"], true, "{done}");
    let (_, leads) = sim
        .soql("SELECT Company, Leadbridge_Contact__c FROM Lead")
        .await;
    assert_eq!(leads["records"][0]["Leadbridge_Contact__c"], done[0]["id"]);
    assert_eq!(
        leads["records"][0]["Company"], "@{c.id}",
        "no references in collections"
    );
}

#[tokio::test]
async fn options_that_are_not_served_are_refused() {
    let sim = fresh().await;
    for path in [
        "/query?q=SELECT+Id+FROM+Lead&columns=true",
        "/query?explain=SELECT+Id+FROM+Lead",
        "/sobjects/Lead/describe?fields=Id",
        "/limits?x=1",
    ] {
        let (status, error) = sim.sf_json("GET", path, Value::Null).await;
        assert_eq!(
            (status, &error[0]["errorCode"]),
            (501, &json!("NOT_SERVED_BY_SIMULATOR")),
            "{path}"
        );
    }
    for path in [
        "leads?sql=SELECT 1",
        "leads?fetchXml=<fetch/>",
        "leads?$apply=aggregate($count as n)",
        "leads?savedQuery=00000000-0000-0000-0000-000000000001",
        "leads?$expand=parentcontactid($select=fullname;$top=1)",
        "leads/$count?$top=3",
        "WhoAmI?x=1",
        "EntityDefinitions?$top=1",
        "EntityDefinitions(LogicalName='lead')?$expand=Attributes($select=LogicalName;$filter=IsSecured eq true)",
    ] {
        let (status, error) = sim.dv_json("GET", path, json!({})).await;
        assert_eq!(
            (status, &error["error"]["code"]),
            (501, &json!("NOT_SERVED_BY_SIMULATOR")),
            "{path}"
        );
    }
    for filter in [
        "lastname eq 1",
        "statecode eq 'x'",
        "leadid eq 'x'",
        "createdon ge 'x'",
        "contains(statecode,'0')",
    ] {
        let (status, error) = sim
            .dv_json("GET", &format!("leads?$filter={filter}"), json!({}))
            .await;
        assert_eq!(
            (status, &error["error"]["code"]),
            (400, &json!("0x80060888")),
            "{filter}"
        );
    }
    let path = "EntityDefinitions?$select=LogicalName&$expand=Attributes($select=LogicalName)";
    let (status, tables) = sim.dv_json("GET", path, json!({})).await;
    assert_eq!(status, 200);
    for table in tables["value"].as_array().unwrap() {
        assert!(
            !table["Attributes"].as_array().unwrap().is_empty(),
            "{table}"
        );
    }
}

#[tokio::test]
async fn several_rows_are_created_or_none() {
    let sim = fresh().await;
    let target =
        |last: &str| json!({ "@odata.type": "Microsoft.Dynamics.CRM.lead", "lastname": last });
    let path = "leads/Microsoft.Dynamics.CRM.CreateMultiple";
    let count = || async {
        sim.dv("GET", "leads/$count")
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
    };
    let bad = json!({ "Targets": [target("a"), { "@odata.type": "Microsoft.Dynamics.CRM.lead", "nope": 1 }] });
    assert_eq!(sim.dv_json("POST", path, bad).await.0, 400);
    assert_eq!(count().await, "0");
    let (status, done) = sim
        .dv_json(
            "POST",
            path,
            json!({ "Targets": [target("a"), target("b")] }),
        )
        .await;
    assert_eq!(
        (status, done["Ids"].as_array().map(Vec::len)),
        (200, Some(2))
    );
    assert_eq!(count().await, "2");
}

#[tokio::test]
async fn collections_answer_row_by_row() {
    let sim = fresh().await;
    let row = |body: Value| {
        let mut body = body;
        body["attributes"] = json!({ "type": "Lead" });
        body
    };
    let rows = json!([
        row(lead("a")),
        row(json!({ "LastName": "b" })),
        row(lead("c"))
    ]);
    let (_, loose) = sim
        .sf_json("POST", "/composite/sobjects", json!({ "records": rows }))
        .await;
    assert_eq!(
        (&loose[0]["success"], &loose[1]["success"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(
        loose[1]["errors"][0]["statusCode"],
        "REQUIRED_FIELD_MISSING"
    );
    let strict = json!({ "allOrNone": true, "records": rows });
    let (status, strict) = sim.sf_json("POST", "/composite/sobjects", strict).await;
    assert_eq!(status, 200);
    assert_eq!(
        strict[0]["errors"][0]["statusCode"],
        "ALL_OR_NONE_OPERATION_ROLLED_BACK"
    );
    assert_eq!(sim.soql("SELECT COUNT() FROM Lead").await.1["totalSize"], 2);
}

#[tokio::test]
async fn queries_page_and_refuse() {
    let sim = fresh().await;
    sim.control(
        "PATCH",
        "/settings",
        json!({ "salesforce": { "page_size": 3 } }),
    )
    .await;
    for n in 0..7 {
        sim.control("POST", "/records/salesforce/Lead", lead(&format!("L{n}")))
            .await;
    }
    let (_, mut page) = sim
        .soql("SELECT Id, LastName FROM Lead ORDER BY LastName DESC")
        .await;
    let mut names = Vec::new();
    loop {
        names.extend(
            page["records"]
                .as_array()
                .unwrap()
                .iter()
                .map(|r| r["LastName"].clone()),
        );
        let Some(next) = page["nextRecordsUrl"].as_str() else {
            break;
        };
        let tail = next
            .strip_prefix("/services/data/v67.0")
            .unwrap()
            .to_owned();
        page = sim.sf_json("GET", &tail, json!({})).await.1;
    }
    assert_eq!(names, ["L6", "L5", "L4", "L3", "L2", "L1", "L0"]);
    let (status, error) = sim.soql("SELECT Foo FROM Lead").await;
    assert_eq!(
        (status, &error[0]["errorCode"]),
        (400, &json!("INVALID_FIELD"))
    );
    let message = error[0]["message"].as_str().unwrap();
    assert!(message.starts_with("\nSELECT Foo FROM Lead\n       ^\nERROR at Row:1:Column:8\nNo such column 'Foo' on entity 'Lead'."));
    assert_eq!(
        sim.soql("SELECT Id FROM Lead WHERE CreatedDate > 'x'")
            .await
            .1[0]["errorCode"],
        "INVALID_FIELD"
    );
}

#[tokio::test]
async fn duplicate_rules_can_be_overridden_when_they_only_warn() {
    let sim = fresh().await;
    let rule = |rule: &str| json!({ "salesforce": { "duplicate_rule": rule } });
    let mut body = lead("x");
    body["Email"] = json!("dup@acme.example");
    assert_eq!(
        sim.sf_json("POST", "/sobjects/Lead", body.clone()).await.0,
        201
    );
    for (name, plain, allowed) in [("alert", 400, 201), ("block", 400, 400)] {
        sim.control("PATCH", "/settings", rule(name)).await;
        let (status, error) = sim.sf_json("POST", "/sobjects/Lead", body.clone()).await;
        assert_eq!(
            (status, &error[0]["errorCode"]),
            (plain, &json!("DUPLICATES_DETECTED"))
        );
        let forced = sim
            .sf("POST", "/sobjects/Lead")
            .header(
                "Sforce-Duplicate-Rule-Header",
                "allowSave=true; includeRecordDetails=true",
            )
            .json(&body);
        assert_eq!(forced.send().await.unwrap().status(), allowed);
    }
}

#[tokio::test]
async fn converted_leads_and_spent_limits_are_refused() {
    let sim = fresh().await;
    let (_, made) = sim.sf_json("POST", "/sobjects/Lead", lead("x")).await;
    let id = made["id"].as_str().unwrap();
    let done = sim
        .control(
            "POST",
            &format!("/records/salesforce/Lead/{id}/convert"),
            json!({}),
        )
        .await;
    assert!(done["contactId"].as_str().unwrap().starts_with("003"));
    let path = format!("/sobjects/Lead/{id}");
    let (status, error) = sim.sf_json("PATCH", &path, json!({ "Title": "x" })).await;
    assert_eq!(
        (status, &error[0]["errorCode"]),
        (400, &json!("CANNOT_UPDATE_CONVERTED_LEAD"))
    );
    sim.control(
        "PATCH",
        "/settings",
        json!({ "salesforce": { "api_limit": 3 } }),
    )
    .await;
    assert_eq!(sim.sf_json("GET", &path, json!({})).await.0, 200);
    let (status, error) = sim.sf_json("GET", &path, json!({})).await;
    assert_eq!(
        (status, &error[0]["errorCode"]),
        (403, &json!("REQUEST_LIMIT_EXCEEDED"))
    );
}

#[tokio::test]
async fn notes_lose_what_is_unsafe_and_are_linked_once() {
    let sim = fresh().await;
    let made = async |object: &str, body: Value| {
        let (status, answer) = sim
            .sf_json("POST", &format!("/sobjects/{object}"), body)
            .await;
        let code = answer[0]["errorCode"].as_str().unwrap_or_default();
        let id = answer["id"].as_str().unwrap_or_default();
        (status, code.to_owned(), id.to_owned())
    };
    let (_, _, lead) = made("Lead", lead("x")).await;
    // A line break, a tag that is not allowed, and one that is.
    let content = "YQo8c2NyaXB0PmI8YnI+Yw==";
    let (status, _, note) = made("ContentNote", json!({ "Title": "N", "Content": content })).await;
    assert_eq!(status, 201);
    let path = format!("/sobjects/ContentNote/{note}?fields=TextPreview,FileType");
    let (_, seen) = read(sim.sf("GET", &path).send().await.unwrap()).await;
    assert_eq!(
        (&seen["TextPreview"], &seen["FileType"]),
        (&json!("ab c"), &json!("SNOTE"))
    );
    let link = json!({ "ContentDocumentId": note, "LinkedEntityId": lead, "ShareType": "V" });
    assert_eq!(made("ContentDocumentLink", link.clone()).await.0, 201);
    let owned = json!({ "Title": "N", "Content": content, "OwnerId": lead });
    let raw = json!({ "Title": "N", "Content": "no base64" });
    let unshared = json!({ "ContentDocumentId": note, "LinkedEntityId": lead });
    for (object, body, refusal) in [
        ("ContentNote", owned, "INVALID_FIELD_FOR_INSERT_UPDATE"),
        ("ContentNote", raw, "INVALID_FIELD"),
        ("ContentDocumentLink", unshared, "REQUIRED_FIELD_MISSING"),
        ("ContentDocumentLink", link, "DUPLICATE_VALUE"),
        (
            "Note",
            json!({ "Title": "N", "Body": "x" }),
            "REQUIRED_FIELD_MISSING",
        ),
    ] {
        assert_eq!(made(object, body).await.1, refusal, "{object}");
    }
    let all = sim.soql("SELECT Id FROM ContentDocumentLink").await.1;
    assert_eq!(all[0]["errorCode"], "MALFORMED_QUERY");
    let of_note = format!("SELECT Id FROM ContentDocumentLink WHERE ContentDocumentId = '{note}'");
    // The lead's, and its owner's.
    assert_eq!(sim.soql(&of_note).await.1["totalSize"], 2);
    let off = json!({ "salesforce": { "enhanced_notes": false } });
    sim.control("PATCH", "/settings", off).await;
    let described = sim.sf("GET", "/sobjects/ContentNote/describe");
    assert_eq!(described.send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn rotation_kills_the_chain_when_an_old_token_comes_back() {
    let sim = fresh().await;
    sim.control(
        "PATCH",
        "/settings",
        json!({ "salesforce": { "refresh_rotation": true } }),
    )
    .await;
    let first = sim
        .control("POST", "/tokens", json!({ "provider": "salesforce" }))
        .await;
    let refresh = async |token: &Value| {
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", token.as_str().unwrap()),
            ("client_id", "leadbridge-salesforce"),
            ("client_secret", "salesforce-app-secret"),
        ];
        let url = format!("{}/services/oauth2/token", sim.simulator.salesforce_url());
        read(sim.client.post(url).form(&form).send().await.unwrap()).await
    };
    let (status, second) = refresh(&first["refresh_token"]).await;
    assert_eq!(status, 200);
    assert_ne!(second["refresh_token"], first["refresh_token"]);
    let (status, error) = refresh(&first["refresh_token"]).await;
    assert_eq!(
        (status, error),
        (
            400,
            json!({ "error": "invalid_grant", "error_description": "expired access/refresh token" })
        )
    );
    assert_eq!(refresh(&second["refresh_token"]).await.0, 400);
}

#[tokio::test]
async fn salesforce_tells_who_signed_in() {
    let sim = fresh().await;
    let base = sim.simulator.salesforce_url().to_owned();
    let hint = "seller@leadbridge.example";
    let scope = "openid email profile api refresh_token";
    let asked = [("scope", scope), ("nonce", "n-1"), ("login_hint", hint)];
    let (status, first) = salesforce_sign_in(&sim, &asked).await;
    assert_eq!(status, 200, "{first}");
    let told = claims(&first["id_token"]);
    assert_eq!(told["sub"], first["id"]);
    assert_eq!(
        (&told["iss"], &told["aud"], &told["nonce"]),
        (&json!(base), &json!("leadbridge-salesforce"), &json!("n-1"))
    );
    assert_eq!(
        (
            &told["preferred_username"],
            &told["name"],
            &told["email_verified"]
        ),
        (&json!(hint), &json!("Sol Seller"), &json!(true))
    );
    assert!(told["exp"].as_i64().unwrap() > told["iat"].as_i64().unwrap());
    let (_, info) = read(
        sim.client
            .get(format!("{base}/services/oauth2/userinfo"))
            .bearer_auth(first["access_token"].as_str().unwrap())
            .send()
            .await
            .unwrap(),
    )
    .await;
    assert_eq!((&info["sub"], &info["email"]), (&told["sub"], &json!(hint)));

    // A refresh gives it again, without the nonce; without `openid` there is none.
    let refresh = first["refresh_token"].as_str().unwrap();
    let renew = [("grant_type", "refresh_token"), ("refresh_token", refresh)];
    let (_, again) = salesforce_token(&sim, &renew).await;
    let renewed = claims(&again["id_token"]);
    assert_eq!(
        (&renewed["sub"], &renewed["nonce"]),
        (&told["sub"], &Value::Null)
    );
    assert_ne!(renewed["at_hash"], told["at_hash"]);
    let (_, plain) = salesforce_sign_in(&sim, &[("scope", "api")]).await;
    assert_eq!(
        (&plain["id_token"], &plain["refresh_token"]),
        (&Value::Null, &Value::Null)
    );

    // The claims that tell the person are the app's choice.
    let off = json!({ "salesforce": { "standard_claims": false } });
    sim.control("PATCH", "/settings", off).await;
    let (_, third) = salesforce_sign_in(&sim, &asked).await;
    let told = claims(&third["id_token"]);
    assert_eq!((&told["sub"], &told["email"]), (&third["id"], &Value::Null));

    let url = format!("{base}/.well-known/openid-configuration");
    let (_, found) = read(sim.client.get(url).send().await.unwrap()).await;
    assert_eq!(found["issuer"], base);
    let keys = found["jwks_uri"].as_str().unwrap();
    let (_, keys) = read(sim.client.get(keys).send().await.unwrap()).await;
    assert_eq!(keys["keys"][0]["kty"], "RSA");
}

#[tokio::test]
async fn the_hint_chooses_who_signs_in_at_salesforce() {
    let sim = fresh().await;
    let scope = ("scope", "openid api");
    for (hint, sandbox) in [
        ("admin@leadbridge.example", false),
        ("SELLER@sandbox.leadbridge.example", true),
    ] {
        let (_, token) = salesforce_sign_in(&sim, &[scope, ("login_hint", hint)]).await;
        let told = claims(&token["id_token"]);
        assert!(hint.eq_ignore_ascii_case(told["preferred_username"].as_str().unwrap()));
        let pod = if sandbox { "00D9S" } else { "00D5f" };
        assert!(token["id"].as_str().unwrap().contains(pod), "{token}");
    }
    let url = format!(
        "{}/services/oauth2/authorize",
        sim.simulator.salesforce_url()
    );
    for hint in ["nobody@leadbridge.example", "former@leadbridge.example"] {
        let params = [
            ("response_type", "code"),
            ("client_id", "leadbridge-salesforce"),
            ("redirect_uri", "https://app.example/cb"),
            ("login_hint", hint),
        ];
        let page = authorize(&sim, &url, &params).await.unwrap_err();
        assert!(page.contains("check your username"), "{page}");
    }
    let params = [
        ("response_type", "code"),
        ("client_id", "leadbridge-salesforce"),
        ("redirect_uri", "https://app.example/cb"),
        ("scope", "openid everything"),
        ("state", "s"),
    ];
    let back = authorize(&sim, &url, &params).await.unwrap();
    assert_eq!(
        (&back["error"], &back["state"]),
        (&json!("invalid_scope"), &json!("s"))
    );
}

#[tokio::test]
async fn a_session_without_the_scope_calls_no_api() {
    let sim = fresh().await;
    let (_, token) = salesforce_sign_in(&sim, &[("scope", "openid email")]).await;
    let url = format!(
        "{}/services/data/v67.0/limits",
        sim.simulator.salesforce_url()
    );
    let access = token["access_token"].as_str().unwrap();
    let call = sim.client.get(url).bearer_auth(access).send();
    let (status, error) = read(call.await.unwrap()).await;
    assert_eq!(
        (status, &error[0]["errorCode"]),
        (401, &json!("INVALID_SESSION_ID"))
    );
}

#[tokio::test]
async fn salesforce_revokes_what_it_gave() {
    let sim = fresh().await;
    let token = sim
        .control("POST", "/tokens", json!({ "provider": "salesforce" }))
        .await;
    let revoke = async |token: &str| {
        let url = format!("{}/services/oauth2/revoke", sim.simulator.salesforce_url());
        let call = sim.client.post(url).form(&[("token", token)]).send();
        read(call.await.unwrap()).await
    };
    let refresh = token["refresh_token"].as_str().unwrap();
    assert_eq!(revoke(refresh).await.0, 200);
    let renew = [("grant_type", "refresh_token"), ("refresh_token", refresh)];
    assert_eq!(
        salesforce_token(&sim, &renew).await.1["error"],
        "invalid_grant"
    );
    for (token, error) in [
        (refresh, "invalid_token"),
        ("nonsense", "unsupported_token_type"),
    ] {
        let (status, answer) = revoke(token).await;
        assert_eq!((status, &answer["error"]), (400, &json!(error)));
    }
}

#[tokio::test]
async fn salesforce_says_why_the_app_may_not_be_used() {
    let sim = fresh().await;
    let url = format!(
        "{}/services/oauth2/authorize",
        sim.simulator.salesforce_url()
    );
    let params = [
        ("response_type", "code"),
        ("client_id", "leadbridge-salesforce"),
        ("redirect_uri", "https://app.example/cb"),
        ("state", "s"),
    ];
    let (_, token) = salesforce_sign_in(&sim, &[]).await;
    let refresh = token["refresh_token"].as_str().unwrap();
    for (access, error, at_refresh) in [
        ("blocked", "OAUTH_APP_BLOCKED", "invalid_grant"),
        ("not_installed", "invalid_client", "invalid_client"),
        (
            "not_approved",
            "OAUTH_APP_ACCESS_DENIED",
            "invalid_app_access",
        ),
        (
            "unexplained",
            "OAUTH_APPROVAL_ERROR_GENERIC",
            "invalid_grant",
        ),
    ] {
        let set = json!({ "salesforce-production": { "app_access": access } });
        sim.control("PATCH", "/settings", set).await;
        let back = authorize(&sim, &url, &params).await.unwrap();
        assert_eq!(
            (&back["error"], &back["state"]),
            (&json!(error), &json!("s"))
        );
        assert_ne!(back["error_description"], Value::Null);
        assert_eq!(sim.soql("SELECT Id FROM User").await.0, 401);
        let renew = [("grant_type", "refresh_token"), ("refresh_token", refresh)];
        let (status, answer) = salesforce_token(&sim, &renew).await;
        assert_eq!((status, &answer["error"]), (400, &json!(at_refresh)));
        let hint = [("login_hint", "sandbox-user@sandbox.leadbridge.example")];
        assert_eq!(
            salesforce_sign_in(&sim, &hint).await.0,
            200,
            "the sandbox is another one"
        );
    }
    let set = json!({ "salesforce": { "app_access": "allowed" } });
    sim.control("PATCH", "/settings", set).await;
    assert_eq!(sim.soql("SELECT Id FROM User").await.0, 200);
}

#[tokio::test]
async fn salesforce_may_have_no_api() {
    let sim = fresh().await;
    let set =
        |settings: Value| sim.control("PATCH", "/settings", json!({ "salesforce": settings }));
    let code = async || {
        let (status, error) = sim.soql("SELECT Id FROM User").await;
        (status, error[0]["errorCode"].clone())
    };
    set(json!({ "api_enabled": false })).await;
    assert_eq!(code().await, (403, json!("API_DISABLED_FOR_ORG")));
    set(json!({ "api_enabled": true, "api_disabled_users": ["seller@leadbridge.example"] })).await;
    assert_eq!(code().await.0, 200);
    set(json!({ "api_disabled_users": ["admin@leadbridge.example"] })).await;
    assert_eq!(code().await, (403, json!("API_CURRENTLY_DISABLED")));
}

#[tokio::test]
async fn stages_and_roles_are_the_organisations_own() {
    let sim = fresh().await;
    let query = "SELECT ApiName, IsClosed, IsWon, DefaultProbability FROM OpportunityStage WHERE IsActive = true ORDER BY SortOrder";
    let (_, stages) = sim.soql(query).await;
    assert_eq!(stages["totalSize"], 10);
    assert_eq!(stages["records"][8]["IsWon"], true);
    let opportunity = |stage: &str| json!({ "Name": "O", "CloseDate": "2026-12-01", "StageName": stage, "Amount": 200 });
    let read_back = async |stage: &str| {
        let (status, made) = sim
            .sf_json("POST", "/sobjects/Opportunity", opportunity(stage))
            .await;
        assert_eq!(status, 201, "{made}");
        let path = format!("/sobjects/Opportunity/{}", made["id"].as_str().unwrap());
        sim.sf_json("GET", &path, json!({})).await.1
    };
    let row = read_back("Perception Analysis").await;
    assert_eq!(
        (
            &row["Probability"],
            &row["ExpectedRevenue"],
            &row["IsClosed"]
        ),
        (&json!(70), &json!(140.0), &json!(false))
    );
    let row = read_back("Closed Won").await;
    assert_eq!(
        (&row["IsClosed"], &row["IsWon"]),
        (&json!(true), &json!(true))
    );

    // A stage of the organisation's own, and one that is no longer used.
    let own = json!({ "MasterLabel": "Signed", "ApiName": "Signed", "IsActive": true, "SortOrder": 9,
        "IsClosed": true, "IsWon": true, "DefaultProbability": 100 });
    sim.control("POST", "/records/salesforce/OpportunityStage", own)
        .await;
    let (_, found) = sim
        .soql("SELECT Id FROM OpportunityStage WHERE ApiName = 'Prospecting'")
        .await;
    let first = found["records"][0]["Id"].as_str().unwrap();
    let path = format!("/records/salesforce/OpportunityStage/{first}");
    sim.control("PATCH", &path, json!({ "IsActive": false }))
        .await;
    assert_eq!(read_back("Signed").await["IsWon"], true);
    let (_, described) = sim
        .sf_json("GET", "/sobjects/Opportunity/describe", json!({}))
        .await;
    let fields = described["fields"].as_array().unwrap();
    let stage = fields.iter().find(|f| f["name"] == "StageName").unwrap();
    let values = stage["picklistValues"].as_array().unwrap();
    let has = |name: &str| values.iter().any(|value| value["value"] == name);
    assert!(has("Signed") && !has("Prospecting"));
    let path = format!("/sobjects/OpportunityStage/{first}");
    let (status, error) = sim
        .sf_json("PATCH", &path, json!({ "IsActive": true }))
        .await;
    assert_eq!(
        (status, &error[0]["errorCode"]),
        (403, &json!("INSUFFICIENT_ACCESS_OR_READONLY"))
    );

    let query =
        "SELECT Name, UserRole.Name, UserRole.ParentRoleId FROM User WHERE Alias = 'seller'";
    let (_, users) = sim.soql(query).await;
    assert_eq!(users["records"][0]["UserRole"]["Name"], "Account Executive");
    let (_, role) = sim
        .soql("SELECT Name FROM UserRole WHERE ParentRoleId = null")
        .await;
    assert_eq!(role["records"][0]["Name"], "Sales Director");
}

#[tokio::test]
async fn currencies_are_there_where_there_are_several() {
    let sim = fresh().await;
    let code = async |query: &str| sim.soql(query).await.1[0]["errorCode"].clone();
    let currencies = "SELECT IsoCode FROM CurrencyType WHERE IsActive = true ORDER BY IsoCode";
    assert_eq!(code(currencies).await, "INVALID_TYPE");
    assert_eq!(
        code("SELECT CurrencyIsoCode FROM Opportunity").await,
        "INVALID_FIELD"
    );
    let (_, own) = sim.sf_json("GET", "/connect/organization", json!({})).await;
    assert_eq!(
        (
            &own["features"]["multiCurrency"],
            &own["features"]["defaultCurrencyIsoCode"]
        ),
        (&json!(false), &json!("EUR"))
    );
    let on = json!({ "salesforce": { "multi_currency": true } });
    sim.control("PATCH", "/settings", on).await;
    let (_, found) = sim.soql(currencies).await;
    assert_eq!(found["records"][1]["IsoCode"], "GBP");
    let (_, own) = sim.sf_json("GET", "/connect/organization", json!({})).await;
    assert_eq!(
        (
            &own["features"]["multiCurrency"],
            &own["features"]["defaultCurrencyIsoCode"]
        ),
        (&json!(true), &Value::Null)
    );
    let account = json!({ "Name": "A" });
    let (_, made) = sim.sf_json("POST", "/sobjects/Account", account).await;
    let path = format!("/sobjects/Account/{}", made["id"].as_str().unwrap());
    let (_, row) = sim.sf_json("GET", &path, json!({})).await;
    assert_eq!(row["CurrencyIsoCode"], "EUR");
    let yen = json!({ "CurrencyIsoCode": "JPY" });
    assert_eq!(sim.sf_json("PATCH", &path, yen).await.0, 400);
}

#[tokio::test]
async fn a_salesforce_user_sees_less_than_another() {
    let mut sim = fresh().await;
    let admin = sim.salesforce.clone();
    let seller = json!({ "provider": "salesforce", "user": "seller@leadbridge.example" });
    let seller = sim.control("POST", "/tokens", seller).await;
    let seller = seller["access_token"].as_str().unwrap().to_owned();
    let rights = json!({ "salesforce": { "users": { "seller@leadbridge.example": {
        "denied": { "Opportunity": ["read"], "Lead": ["create"] },
        "hidden_fields": { "Account": ["AnnualRevenue"] },
        "read_only": { "Account": ["Name"] },
    } } } });
    sim.control("PATCH", "/settings", rights).await;
    for (token, full) in [(admin, true), (seller, false)] {
        sim.salesforce = token;
        let describe = |object: &str| format!("/sobjects/{object}/describe");
        let (status, _) = sim
            .sf_json("GET", &describe("Opportunity"), json!({}))
            .await;
        assert_eq!(status, if full { 200 } else { 404 });
        let (_, account) = sim.sf_json("GET", &describe("Account"), json!({})).await;
        let fields = account["fields"].as_array().unwrap();
        let has = |name: &str| fields.iter().any(|field| field["name"] == name);
        assert!(has("Name") && has("AnnualRevenue") == full);
        let (_, all) = sim.sf_json("GET", "/sobjects", json!({})).await;
        let objects = all["sobjects"].as_array().unwrap();
        let listed = |name: &str| objects.iter().find(|object| object["name"] == name);
        assert_eq!(listed("Opportunity").is_some(), full);
        assert_eq!(listed("Lead").unwrap()["createable"], full);
        let codes = async |query: &str| sim.soql(query).await.1[0]["errorCode"].clone();
        let expected = |code: &str| if full { Value::Null } else { json!(code) };
        assert_eq!(
            codes("SELECT Id FROM Opportunity").await,
            expected("INVALID_TYPE")
        );
        let hidden = "SELECT AnnualRevenue FROM Account";
        assert_eq!(codes(hidden).await, expected("INVALID_FIELD"));
        let status = sim.sf_json("POST", "/sobjects/Lead", lead("x")).await.0;
        assert_eq!(status, if full { 201 } else { 403 });
        let (status, error) = sim
            .sf_json("POST", "/sobjects/Account", json!({ "Name": "A" }))
            .await;
        assert_eq!(status, if full { 201 } else { 400 }, "{error}");
    }
    let url = format!("{}/settings", sim.simulator.control_url());
    let nobody = json!({ "salesforce": { "users": { "nobody@x.example": {} } } });
    let answer = sim.client.patch(url).json(&nobody).send().await.unwrap();
    assert_eq!(answer.status(), 400);
}

// --- Dataverse

const CONTACT: &str = "4d8f1a6e-0000-4000-8000-000000000001";
const LEAD: &str = "4d8f1a6e-0000-4000-8000-000000000002";

#[tokio::test]
async fn create_only_is_refused_the_second_time() {
    let sim = fresh().await;
    let path = format!("contacts({CONTACT})");
    let create = || {
        sim.dv("PATCH", &path)
            .header("If-None-Match", "*")
            .json(&json!({ "lastname": "C" }))
            .send()
    };
    let answer = create().await.unwrap();
    assert_eq!(answer.status(), 204);
    assert!(
        answer.headers()["odata-entityid"]
            .to_str()
            .unwrap()
            .ends_with(&path)
    );
    let (status, error) = read(create().await.unwrap()).await;
    assert_eq!(status, 412);
    assert_eq!(
        error,
        json!({ "error": { "code": "0x80040237", "message": "A record with matching key values already exists." } })
    );
    let update = sim
        .dv("PATCH", &format!("contacts({LEAD})"))
        .header("If-Match", "*")
        .json(&json!({ "lastname": "D" }));
    assert_eq!(update.send().await.unwrap().status(), 404);
    let stale = sim
        .dv("PATCH", &path)
        .header("If-Match", "W/\"1\"")
        .json(&json!({ "lastname": "D" }));
    assert_eq!(
        read(stale.send().await.unwrap()).await.1["error"]["code"],
        "0x80060882"
    );
}

#[tokio::test]
async fn dataverse_refuses_with_its_own_words() {
    let sim = fresh().await;
    let cases = [
        (
            json!({ "nope": 1 }),
            "0x80060888",
            "Invalid property 'nope' was found in entity 'Microsoft.Dynamics.CRM.lead'.",
        ),
        (
            json!({ "firstname": "x".repeat(51) }),
            "0x80044331",
            "A validation error occurred. The length of the 'firstname' attribute of the 'lead' entity exceeded the maximum allowed length of '50'.",
        ),
        (
            json!({ "leadsourcecode": 99 }),
            "0x8004431a",
            "A validation error occurred. The value 99 of 'leadsourcecode' on record of type 'lead' is outside the valid range. Accepted Values: 1,2,3",
        ),
        (
            json!({ "lb_score": 2_000_000 }),
            "0x80044330",
            "A validation error occurred. The value 2000000 of 'lb_score'",
        ),
        (
            json!({ "firstname": 1 }),
            "0x80048d19",
            "Error identified in Payload",
        ),
        (
            json!({ "nothing@odata.bind": "/contacts(x)" }),
            "0x80048d19",
            "Error identified in Payload",
        ),
        (
            json!({ "parentcontactid@odata.bind": format!("/contacts({CONTACT})") }),
            "0x80040217",
            "Entity 'contact' With Id = ",
        ),
        (
            json!({ "statecode": 1, "statuscode": 1 }),
            "0x80048408",
            "1 is not a valid status code for state code",
        ),
    ];
    for (body, code, message) in cases {
        let (_, error) = sim.dv_json("POST", "leads", body).await;
        assert_eq!(error["error"]["code"], code, "{error}");
        assert!(
            error["error"]["message"]
                .as_str()
                .unwrap()
                .starts_with(message),
            "{error}"
        );
    }
}

#[tokio::test]
async fn collections_filter_order_and_page() {
    let sim = fresh().await;
    for n in 0..7 {
        let row = json!({ "lastname": format!("L{n}"), "emailaddress1": format!("l{n}@x.example"), "lb_score": n });
        assert_eq!(sim.dv_json("POST", "leads", row).await.0, 204);
    }
    let page = sim
        .dv("GET", "leads?$select=lastname&$filter=lb_score ge 2 and contains(emailaddress1,'L%EXAMPLE')&$orderby=lb_score desc&$count=true")
        .header("Prefer", "odata.maxpagesize=3");
    let (_, first) = read(page.send().await.unwrap()).await;
    assert_eq!(
        (&first["@odata.count"], &first["value"][0]["lastname"]),
        (&json!(5), &json!("L6"))
    );
    assert_eq!(
        first["value"][0].as_object().unwrap().len(),
        3,
        "etag, id and what was selected"
    );
    let next = first["@odata.nextLink"].as_str().unwrap();
    let next = sim
        .client
        .get(next)
        .bearer_auth(&sim.dataverse)
        .header("Prefer", "odata.maxpagesize=3");
    let (_, last) = read(next.send().await.unwrap()).await;
    assert_eq!(last["value"].as_array().unwrap().len(), 2);
    assert_eq!(last["@odata.nextLink"], Value::Null);
    assert_eq!(
        sim.dv_json("GET", "leads?$filter=nope eq 1", json!({}))
            .await
            .0,
        400
    );
    assert_eq!(sim.dv_json("GET", "nothings", json!({})).await.0, 404);
}

/// A change set that makes a contact and a lead that points at it.
fn creation(lead: &Value) -> String {
    let part = |id: u8, path: &str, body: &Value| {
        format!(
            "--changeset_1\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\
             Content-ID: {id}\r\n\r\nPATCH /api/data/v9.2/{path} HTTP/1.1\r\n\
             Content-Type: application/json\r\nIf-None-Match: *\r\n\r\n{body}\r\n"
        )
    };
    format!(
        "--batch_1\r\nContent-Type: multipart/mixed; boundary=\"changeset_1\"\r\n\r\n{}{}--changeset_1--\r\n--batch_1--\r\n",
        part(
            1,
            &format!("contacts({CONTACT})"),
            &json!({ "lastname": "C" })
        ),
        part(2, &format!("leads({LEAD})"), lead),
    )
}

async fn batch(sim: &Harness, body: String) -> (u16, String) {
    let request = sim
        .dv("POST", "$batch")
        .header("Content-Type", "multipart/mixed; boundary=\"batch_1\"")
        .body(body);
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn a_change_set_is_all_or_nothing() {
    let sim = fresh().await;
    let bind = format!("/contacts({CONTACT})");
    let bad = json!({ "lastname": "L", "nope": 1, "parentcontactid@odata.bind": bind });
    let (status, text) = batch(&sim, creation(&bad)).await;
    assert_eq!(status, 400);
    assert!(
        text.contains("Content-ID: 2\r\n\r\nHTTP/1.1 400 Bad Request"),
        "{text}"
    );
    assert_eq!(
        sim.dv_json("GET", &format!("contacts({CONTACT})"), json!({}))
            .await
            .0,
        404
    );

    for bind in [bind.as_str(), "$1"] {
        let good = json!({ "lastname": "L", "parentcontactid@odata.bind": bind });
        let (status, text) = batch(&sim, creation(&good)).await;
        assert_eq!(status, 200);
        assert_eq!(text.matches("HTTP/1.1 204 No Content").count(), 2, "{text}");
        let (_, row) = sim
            .dv_json(
                "GET",
                &format!("leads({LEAD})?$select=_parentcontactid_value"),
                json!({}),
            )
            .await;
        assert_eq!(row["_parentcontactid_value"], CONTACT);
        let (status, text) = batch(&sim, creation(&good)).await;
        assert!(
            status == 400
                && text.contains("412 Precondition Failed")
                && text.contains("0x80040237")
        );
        sim.dv("DELETE", &format!("leads({LEAD})"))
            .send()
            .await
            .unwrap();
        sim.dv("DELETE", &format!("contacts({CONTACT})"))
            .send()
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_batch_of_reads_goes_on_when_asked() {
    let sim = fresh().await;
    let part = |path: &str| {
        format!(
            "--b\nContent-Type: application/http\nContent-Transfer-Encoding: binary\n\nGET {path} HTTP/1.1\nAccept: application/json\n\n"
        )
    };
    let meta = "EntityDefinitions(LogicalName='lead')/Attributes/Microsoft.Dynamics.CRM.PicklistAttributeMetadata?$select=LogicalName&$expand=OptionSet($select=Options)";
    let body = format!(
        "{}{}{}--b--\n",
        part("nothings"),
        part(meta),
        part("/api/data/v9.2/WhoAmI")
    );
    let send = |prefer: &'static str| {
        sim.dv("POST", "$batch")
            .header("Content-Type", "multipart/mixed;boundary=b")
            .header("Prefer", prefer)
            .body(body.clone())
            .send()
    };
    let stopped = send("x").await.unwrap();
    assert_eq!(stopped.status(), 400);
    assert_eq!(
        stopped.text().await.unwrap().matches("HTTP/1.1 ").count(),
        1
    );
    let whole = send("odata.continue-on-error").await.unwrap();
    assert_eq!(whole.status(), 200);
    let text = whole.text().await.unwrap();
    assert_eq!(
        (
            text.matches("HTTP/1.1 200 OK").count(),
            text.matches("HTTP/1.1 404").count()
        ),
        (2, 1)
    );
    assert!(text.contains("\"leadsourcecode\"") && text.contains("Advertisement"));
}

#[tokio::test]
async fn metadata_tells_lengths_and_ranges() {
    let sim = fresh().await;
    let path = "EntityDefinitions(LogicalName='lead')/Attributes/Microsoft.Dynamics.CRM.DecimalAttributeMetadata?$select=LogicalName,MinValue,MaxValue,Precision,IsValidForCreate,RequiredLevel";
    let (_, answer) = sim.dv_json("GET", path, json!({})).await;
    let row = &answer["value"][0];
    assert_eq!(
        (&row["LogicalName"], &row["MaxValue"]),
        (&json!("lb_score"), &json!(1_000_000.0))
    );
    assert_eq!(row["RequiredLevel"]["Value"], "None");
    assert_eq!(row["SchemaName"], Value::Null, "not selected");
    let path = "EntityDefinitions(LogicalName='lead')/Attributes/Microsoft.Dynamics.CRM.BooleanAttributeMetadata?$expand=OptionSet";
    let (_, answer) = sim.dv_json("GET", path, json!({})).await;
    assert_eq!(
        answer["value"][0]["OptionSet"]["TrueOption"]["Label"]["UserLocalizedLabel"]["Label"],
        "Yes"
    );
}

#[tokio::test]
async fn changes_are_tracked() {
    let sim = fresh().await;
    let old = format!("contacts({CONTACT})");
    sim.dv_json("PATCH", &old, json!({ "lastname": "Old" }))
        .await;
    let track = sim
        .dv("GET", "contacts?$select=lastname")
        .header("Prefer", "odata.track-changes");
    let (_, first) = read(track.send().await.unwrap()).await;
    assert_eq!(first["value"].as_array().unwrap().len(), 1);
    sim.dv("DELETE", &old).send().await.unwrap();
    sim.dv_json("POST", "contacts", json!({ "lastname": "New" }))
        .await;
    let follow = async |link: &Value| {
        let request = sim
            .client
            .get(link.as_str().unwrap())
            .bearer_auth(&sim.dataverse);
        read(request.send().await.unwrap()).await
    };
    let (_, delta) = follow(&first["@odata.deltaLink"]).await;
    assert_eq!(delta["value"][0]["lastname"], "New");
    assert_eq!(
        (&delta["value"][1]["id"], &delta["value"][1]["reason"]),
        (&json!(CONTACT), &json!("deleted"))
    );
    assert_eq!(
        follow(&delta["@odata.deltaLink"]).await.1["value"],
        json!([])
    );
    let filtered = sim
        .dv("GET", "contacts?$filter=lastname eq 'x'")
        .header("Prefer", "odata.track-changes");
    assert_eq!(filtered.send().await.unwrap().status(), 400);
    sim.control(
        "POST",
        "/clock",
        json!({ "advance_ms": 8 * 86_400_000_i64 }),
    )
    .await;
    let token = sim.mint("dataverse").await;
    let late = sim
        .client
        .get(delta["@odata.deltaLink"].as_str().unwrap())
        .bearer_auth(token);
    let (status, error) = read(late.send().await.unwrap()).await;
    assert_eq!(
        (status, &error["error"]["message"]),
        (
            400,
            &json!(
                "Version stamp associated with the client has expired. Please perform a full sync."
            )
        )
    );
}

#[tokio::test]
async fn what_is_imported_is_there() {
    let sim = fresh().await;
    sim.control("POST", "/samples", json!({})).await;
    sim.control("POST", "/samples", json!({})).await;
    for (set, columns, count) in [
        (
            "accounts",
            "accountid,_owninguser_value,_parentaccountid_value,customertypecode,revenue,fax,name,numberofemployees,telephone1,industrycode,tickersymbol,websiteurl,createdon,modifiedon",
            3,
        ),
        (
            "contacts",
            "contactid,_owninguser_value,_parentcustomerid_value,department,emailaddress1,fax,firstname,fullname,jobtitle,lastname,leadsourcecode,telephone1,createdon,modifiedon,address1_line1,address1_city,address1_stateorprovince,address1_postalcode,address1_country,address2_line1,address2_city,address2_stateorprovince,address2_postalcode,address2_country",
            3,
        ),
        (
            "leads",
            "leadid,_owninguser_value,_qualifyingopportunityid_value,statecode,revenue,companyname,emailaddress1,fax,firstname,fullname,numberofemployees,jobtitle,lastname,leadsourcecode,mobilephone,telephone1,industrycode,_transactioncurrencyid_value,websiteurl,createdon,modifiedon,address2_line1,address2_city,address2_stateorprovince,address2_postalcode,address2_country",
            1,
        ),
        (
            "opportunities",
            "opportunityid,_owninguser_value,_parentaccountid_value,estimatedvalue,statecode,actualclosedate,name,stepname,createdon,modifiedon,_parentcontactid_value",
            4,
        ),
        (
            "systemusers",
            "systemuserid,_positionid_value,isdisabled,fullname,firstname,lastname,internalemailaddress,mobilephone,title,createdon,modifiedon",
            3,
        ),
        (
            "positions",
            "positionid,name,_parentpositionid_value,createdon,modifiedon",
            2,
        ),
        ("transactioncurrencies", "isocurrencycode,currencyname", 3),
    ] {
        let (status, answer) = sim
            .dv_json("GET", &format!("{set}?$select={columns}"), json!({}))
            .await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(answer["value"].as_array().unwrap().len(), count, "{set}");
        let row = answer["value"][0].as_object().unwrap();
        assert!(
            columns.split(',').all(|column| row.contains_key(column)),
            "{set}"
        );
    }
    let (_, rows) = sim
        .dv_json(
            "GET",
            "accounts?$expand=parentaccountid($select=name)&$filter=_parentaccountid_value ne null",
            json!({}),
        )
        .await;
    assert_eq!(rows["value"][0]["parentaccountid"]["name"], "Acme Europe");
    assert_eq!(
        rows["value"][0]["_owninguser_value"],
        rows["value"][0]["_ownerid_value"]
    );
    let path = "EntityDefinitions(LogicalName='opportunity')/Attributes(LogicalName='salesstage')/Microsoft.Dynamics.CRM.PicklistAttributeMetadata?$select=LogicalName&$expand=OptionSet";
    let (_, stage) = sim.dv_json("GET", path, json!({})).await;
    let label = &stage["OptionSet"]["Options"][2]["Label"]["UserLocalizedLabel"]["Label"];
    assert_eq!(label, "Propose");
    for (kind, column) in [
        ("Money", "estimatedvalue"),
        ("Decimal", "discountpercentage"),
    ] {
        let path = format!(
            "EntityDefinitions(LogicalName='opportunity')/Attributes/Microsoft.Dynamics.CRM.{kind}AttributeMetadata?$select=LogicalName"
        );
        let (_, found) = sim.dv_json("GET", &path, json!({})).await;
        let columns = found["value"].as_array().unwrap();
        assert!(
            columns.iter().any(|row| row["LogicalName"] == column),
            "{found}"
        );
    }
    let (_, leads) = sim.soql("SELECT Id FROM Lead").await;
    assert_eq!(leads["totalSize"], 1, "samples come once");
}

#[tokio::test]
async fn privileges_are_told_and_held_to() {
    let sim = fresh().await;
    let admin = sim.control("POST", "/tokens", json!({ "provider": "dataverse" }));
    let admin = admin.await["user_id"].as_str().unwrap().to_owned();
    let seller = "5f1d0000-0000-4000-8000-000000000002";
    let own = json!({ "lastname": "Mine" });
    assert_eq!(sim.dv_json("POST", "leads", own).await.0, 204);
    let other =
        json!({ "lastname": "Other", "ownerid@odata.bind": format!("/systemusers({seller})") });
    assert_eq!(sim.dv_json("POST", "leads", other).await.0, 204);
    let set = async |rights: Value| {
        let change = json!({ "dataverse": { "privileges": rights } });
        sim.control("PATCH", "/settings", change).await;
    };
    let depth = async |privilege: &str| {
        let function = "Microsoft.Dynamics.CRM.RetrieveUserPrivileges()";
        let path = format!("systemusers({admin})/{function}");
        let (_, all) = sim.dv_json("GET", &path, json!({})).await;
        let function =
            "Microsoft.Dynamics.CRM.RetrieveUserSetOfPrivilegesByNames(PrivilegeNames=@n)";
        let path = format!("systemusers({admin})/{function}?@n=[\"{privilege}\"]");
        let (_, some) = sim.dv_json("GET", &path, json!({})).await;
        let rows = all["RolePrivileges"].as_array().unwrap();
        let row = rows.iter().find(|row| row["PrivilegeName"] == privilege);
        let row = row.cloned().unwrap_or_default();
        assert_eq!(some["RolePrivileges"][0], row);
        row["Depth"].clone()
    };
    let leads = async || {
        let (status, answer) = sim
            .dv_json("GET", "leads?$select=lastname", json!({}))
            .await;
        let count = answer["value"].as_array().map(Vec::len);
        (status, count, answer["error"]["code"].clone())
    };
    assert_eq!(depth("prvReadLead").await, "Global");
    assert_eq!(leads().await.1, Some(2));

    set(json!({ "admin@leadbridge.example": { "prvReadLead": "Basic" } })).await;
    assert_eq!(depth("prvReadLead").await, "Basic");
    assert_eq!(leads().await.1, Some(1));
    let track = sim
        .dv("GET", "leads?$select=lastname")
        .header("Prefer", "odata.track-changes");
    assert_eq!(track.send().await.unwrap().status(), 403);
    let (_, rows) = sim
        .dv_json(
            "GET",
            &format!("leads?$filter=_ownerid_value eq {seller}"),
            json!({}),
        )
        .await;
    assert_eq!(rows["value"], json!([]));

    set(json!({ "*": { "prvReadLead": "None", "prvCreateLead": "None" } })).await;
    assert_eq!(depth("prvReadLead").await, Value::Null);
    assert_eq!(leads().await, (403, None, json!("0x80040220")));
    let (status, error) = sim
        .dv_json("POST", "leads", json!({ "lastname": "x" }))
        .await;
    let message = error["error"]["message"].as_str().unwrap();
    assert!(
        status == 403 && message.contains("is missing prvCreateLead privilege (Id="),
        "{error}"
    );

    // For a user who acts for another, the lesser right counts; and acting for others needs a privilege.
    set(json!({ "seller@leadbridge.example": { "prvReadLead": "None" } })).await;
    let act = || {
        sim.dv("GET", "leads?$select=lastname")
            .header("MSCRMCallerID", seller)
            .send()
    };
    assert_eq!(act().await.unwrap().status(), 403);
    set(json!({ "admin@leadbridge.example": { "prvActOnBehalfOfAnotherUser": "None" } })).await;
    let (_, error) = read(act().await.unwrap()).await;
    let message = error["error"]["message"].as_str().unwrap();
    assert!(message.contains("prvActOnBehalfOfAnotherUser"), "{error}");

    let url = format!("{}/settings", sim.simulator.control_url());
    for odd in [
        json!({ "privileges": { "*": { "prvReadLeads": "None" } } }),
        json!({ "privileges": { "nobody@x.example": {} } }),
        json!({ "without_roles": ["nobody@x.example"] }),
    ] {
        let odd = json!({ "dataverse": odd });
        let answer = sim.client.patch(&url).json(&odd).send().await.unwrap();
        assert_eq!(answer.status(), 400);
    }
}

#[tokio::test]
async fn a_row_out_of_reach_is_refused() {
    let sim = fresh().await;
    let seller = "/systemusers(5f1d0000-0000-4000-8000-000000000002)";
    let path = format!("leads({LEAD})");
    let other = json!({ "lastname": "Other", "ownerid@odata.bind": seller });
    assert_eq!(sim.dv_json("PATCH", &path, other).await.0, 204);
    let rights =
        json!({ "prvReadLead": "Basic", "prvWriteLead": "Basic", "prvDeleteLead": "Basic" });
    let change = json!({ "dataverse": { "privileges": { "*": rights } } });
    sim.control("PATCH", "/settings", change).await;
    for method in ["GET", "PATCH", "DELETE"] {
        let (status, error) = sim
            .dv_json(method, &path, json!({ "jobtitle": "CEO" }))
            .await;
        assert_eq!(
            (status, &error["error"]["code"]),
            (403, &json!("0x80048306"))
        );
    }
}

#[tokio::test]
async fn secured_columns_are_empty_for_others() {
    let sim = fresh().await;
    let path = format!("leads({LEAD})");
    let row = json!({ "lastname": "L", "revenue": 5 });
    assert_eq!(sim.dv_json("PATCH", &path, row).await.0, 204);
    let secure = async |names: Value| {
        let secured = json!({ "lead": { "revenue": names } });
        let change = json!({ "dataverse": { "secured_fields": secured } });
        sim.control("PATCH", "/settings", change).await;
    };
    let (_, who) = sim.dv_json("GET", "WhoAmI", json!({})).await;
    let function = "Microsoft.Dynamics.CRM.RetrievePrincipalAttributePrivileges()";
    let function = format!(
        "systemusers({})/{function}",
        who["UserId"].as_str().unwrap()
    );
    let definition =
        "EntityDefinitions(LogicalName='lead')/Attributes(LogicalName='revenue')?$select=IsSecured";
    for (names, value, write) in [
        (json!([]), Value::Null, 403),
        (json!(["admin@leadbridge.example"]), json!(5.0), 204),
    ] {
        let seen = usize::from(!value.is_null());
        secure(names).await;
        let (_, column) = sim.dv_json("GET", definition, json!({})).await;
        assert_eq!(column["IsSecured"], true);
        assert_eq!(
            sim.dv_json("GET", &path, json!({})).await.1["revenue"],
            value
        );
        let (_, told) = sim.dv_json("GET", &function, json!({})).await;
        let rows = told["AttributePrivileges"].as_array().unwrap();
        assert_eq!(rows.len(), seen);
        assert!(
            rows.iter()
                .all(|row| row["AttributeId"] == column["MetadataId"])
        );
        let change = json!({ "revenue": 5 });
        assert_eq!(sim.dv_json("PATCH", &path, change).await.0, write);
    }
}

/// The tenant of the organisation, and the one of strangers.
const TENANT: &str = "5f1d0000-0000-4000-8000-00000000c001";
const FOREIGN: &str = "5f1d0000-0000-4000-8000-00000000c002";

/// Signs in at Entra; returns what it sends back, or the page it stays on.
async fn entra_authorize(
    sim: &Harness,
    tenant: &str,
    more: &[(&str, &str)],
) -> Result<Value, String> {
    let base = sim.simulator.dataverse_url();
    let scope = format!("{base}/.default openid profile email offline_access");
    let mut params = vec![
        ("response_type", "code"),
        ("client_id", "leadbridge-dataverse"),
        ("redirect_uri", "https://app.example/cb"),
        ("scope", &scope),
    ];
    params.extend(more);
    let url = format!("{base}/{tenant}/oauth2/v2.0/authorize");
    authorize(sim, &url, &params).await
}

async fn entra_token(sim: &Harness, more: &[(&str, &str)]) -> (u16, Value) {
    let mut form = vec![
        ("client_id", "leadbridge-dataverse"),
        ("client_secret", "dataverse-app-secret"),
    ];
    form.extend(more);
    let url = format!(
        "{}/organizations/oauth2/v2.0/token",
        sim.simulator.dataverse_url()
    );
    read(sim.client.post(url).form(&form).send().await.unwrap()).await
}

/// A sign-in at Entra, up to the tokens.
async fn entra_sign_in(sim: &Harness, user: &str) -> Value {
    let hint = [("login_hint", user), ("nonce", "n-2")];
    let back = entra_authorize(sim, "organizations", &hint).await.unwrap();
    let (status, tokens) = entra_token(
        sim,
        &[
            ("grant_type", "authorization_code"),
            ("redirect_uri", "https://app.example/cb"),
            ("code", back["code"].as_str().unwrap()),
        ],
    )
    .await;
    assert_eq!(status, 200, "{tokens}");
    tokens
}

async fn who_am_i(sim: &Harness, tokens: &Value) -> (u16, Value) {
    let url = format!("{}/api/data/v9.2/WhoAmI", sim.simulator.dataverse_url());
    let token = tokens["access_token"].as_str().unwrap();
    read(sim.client.get(url).bearer_auth(token).send().await.unwrap()).await
}

#[tokio::test]
async fn entra_tells_who_signed_in() {
    let sim = fresh().await;
    let base = sim.simulator.dataverse_url();
    let mut seen = Vec::new();
    for (user, tenant) in [
        ("admin@leadbridge.example", TENANT),
        ("Seller@leadbridge.example", TENANT),
        ("visitor@elsewhere.example", FOREIGN),
    ] {
        let tokens = entra_sign_in(&sim, user).await;
        let told = claims(&tokens["id_token"]);
        assert_eq!(
            (&told["tid"], &told["iss"], &told["nonce"]),
            (
                &json!(tenant),
                &json!(format!("{base}/{tenant}/v2.0")),
                &json!("n-2")
            )
        );
        assert!(user.eq_ignore_ascii_case(told["preferred_username"].as_str().unwrap()));
        assert_ne!(told["sub"], told["oid"]);
        seen.push((told["oid"].clone(), told["sub"].clone()));
        let (status, answer) = who_am_i(&sim, &tokens).await;
        if tenant == FOREIGN {
            assert_eq!(
                (status, &answer["error"]["code"]),
                (403, &json!("0x80072560"))
            );
            continue;
        }
        let row = format!("systemusers({})", answer["UserId"].as_str().unwrap());
        let (_, row) = sim.dv_json("GET", &row, json!({})).await;
        assert_eq!(row["azureactivedirectoryobjectid"], told["oid"]);
    }
    seen.sort_by_key(|(oid, _)| oid.to_string());
    seen.dedup_by(|a, b| a.0 == b.0 || a.1 == b.1);
    assert_eq!(seen.len(), 3, "everybody is somebody else");
}

#[tokio::test]
async fn entra_lets_in_who_is_of_the_tenant() {
    let sim = fresh().await;
    let admin = [("login_hint", "admin@leadbridge.example")];
    let visitor = [("login_hint", "visitor@elsewhere.example")];
    assert!(entra_authorize(&sim, TENANT, &admin).await.is_ok());
    assert!(entra_authorize(&sim, FOREIGN, &visitor).await.is_ok());
    for (tenant, hint, code) in [
        (TENANT, visitor, "AADSTS50020"),
        (FOREIGN, admin, "AADSTS50020"),
        ("consumers", admin, "AADSTS90002"),
        (
            "organizations",
            [("login_hint", "nobody@x.example")],
            "AADSTS50034",
        ),
    ] {
        let page = entra_authorize(&sim, tenant, &hint).await.unwrap_err();
        assert!(page.contains(code), "{page}");
    }
}

#[tokio::test]
async fn entra_ends_a_chain_only_when_it_rotates() {
    let sim = fresh().await;
    let renew = async |tokens: &Value| {
        let token = tokens["refresh_token"].as_str().unwrap();
        let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
        entra_token(&sim, &form).await
    };
    let first = entra_sign_in(&sim, "admin@leadbridge.example").await;
    let (_, second) = renew(&first).await;
    assert_ne!(second["refresh_token"], first["refresh_token"]);
    assert_eq!(claims(&second["id_token"])["nonce"], Value::Null);
    assert_eq!(renew(&first).await.0, 200, "old ones stay good");

    let on = json!({ "dataverse": { "refresh_rotation": true } });
    sim.control("PATCH", "/settings", on).await;
    let (_, third) = renew(&first).await;
    let (status, error) = renew(&first).await;
    assert_eq!((status, &error["error"]), (400, &json!("invalid_grant")));
    assert_eq!(renew(&third).await.1["error_codes"], json!([50_173]));
    assert_eq!(who_am_i(&sim, &third).await.0, 401);
}

#[tokio::test]
async fn entra_says_whose_consent_is_missing() {
    let sim = fresh().await;
    let tokens = entra_sign_in(&sim, "admin@leadbridge.example").await;
    for (consent, error, code) in [
        ("required", "consent_required", "AADSTS65001"),
        ("admin_required", "access_denied", "AADSTS90094"),
    ] {
        let set = json!({ "dataverse": { "consent": consent } });
        sim.control("PATCH", "/settings", set).await;
        let back = entra_authorize(&sim, "organizations", &[("state", "s")])
            .await
            .unwrap();
        assert_eq!(
            (&back["error"], &back["state"]),
            (&json!(error), &json!("s"))
        );
        let text = back["error_description"].as_str().unwrap();
        assert!(text.starts_with(code), "{text}");
        let token = tokens["refresh_token"].as_str().unwrap();
        let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
        assert_eq!(entra_token(&sim, &form).await.1["error"], "invalid_grant");
    }
}

#[tokio::test]
async fn dataverse_turns_away_who_is_nobody_there() {
    let sim = fresh().await;
    let set = |settings: Value| sim.control("PATCH", "/settings", json!({ "dataverse": settings }));
    let seller = entra_sign_in(&sim, "seller@leadbridge.example").await;
    let code = async |tokens: &Value| {
        let (status, answer) = who_am_i(&sim, tokens).await;
        (status, answer["error"]["code"].clone())
    };
    assert_eq!(code(&seller).await.0, 200);
    set(json!({ "not_members": ["seller@leadbridge.example"] })).await;
    assert_eq!(code(&seller).await, (403, json!("0x80072560")));
    set(json!({ "not_members": ["new@leadbridge.example"] })).await;
    let new = entra_sign_in(&sim, "new@leadbridge.example").await;
    assert_eq!(claims(&new["id_token"])["tid"], TENANT);
    assert_eq!(code(&new).await, (403, json!("0x80072560")));
    set(json!({ "without_roles": ["seller@leadbridge.example"] })).await;
    assert_eq!(code(&seller).await, (403, json!("0x80042f09")));
    set(json!({ "without_roles": [] })).await;
    assert_eq!(code(&seller).await.0, 200);
    let former = entra_sign_in(&sim, "former@leadbridge.example").await;
    assert_eq!(code(&former).await, (403, json!("0x80041d1f")));

    // An application is a user only if it was made one.
    set(json!({ "application_user": false })).await;
    let scope = format!("{}/.default", sim.simulator.dataverse_url());
    let form = [("grant_type", "client_credentials"), ("scope", &scope)];
    let (_, application) = entra_token(&sim, &form).await;
    assert_eq!(code(&application).await, (403, json!("0x80072560")));
}

// --- LinkedIn

#[tokio::test]
async fn linkedin_leads_page_and_leave() {
    let sim = fresh().await;
    let now = 1_790_000_000_000_i64;
    sim.control("POST", "/clock", json!({ "now_ms": now }))
        .await;
    // Tokens were minted by the system's clock.
    let token = sim.mint("linkedin").await;
    let mut last = Value::Null;
    for n in 0..5 {
        last = sim.control("POST", "/linkedin/leads", json!({
            "answers": { "EMAIL": format!("p{n}@x.example"), "LAST_NAME": "P", "Team size": "11-50" },
            "submitted_at": now - 1000 * n,
        })).await;
    }
    assert_eq!(
        last["notification"]["leadGenForm"],
        "urn:li:versionedLeadGenForm:(urn:li:leadGenForm:7234246, 1)"
    );
    let find = |start: usize| {
        let range = format!("(start:{},end:{})", now - 4000, now);
        sim.li(&format!("/leadFormResponses?q=owner&owner=(sponsoredAccount:urn%3Ali%3AsponsoredAccount%3A123)&leadType=(leadType:SPONSORED)&limitedToTestLeads=false&submittedAtTimeRange={range}&count=3&start={start}"))
            .header("authorization", format!("Bearer {token}"))
    };
    let sim_token =
        |request: reqwest::RequestBuilder| async { read(request.send().await.unwrap()).await };
    let (status, page) = sim_token(find(0)).await;
    assert_eq!(
        (status, &page["paging"]["total"]),
        (200, &json!(4)),
        "the end is excluded: {page}"
    );
    assert_eq!(page["elements"].as_array().unwrap().len(), 3);
    assert_eq!(
        sim_token(find(3)).await.1["elements"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let answers = &page["elements"][0]["formResponse"]["answers"];
    assert_eq!(
        answers[2]["answerDetails"]["multipleChoiceAnswer"]["options"],
        json!([1])
    );
    let id = last["id"].as_str().unwrap();
    let one = || {
        sim.li(&format!(
            "/leadFormResponses/{id}?fields=id,submittedAt,form:(hiddenFields,name)"
        ))
        .header("authorization", format!("Bearer {token}"))
    };
    assert_eq!(
        sim_token(one()).await.1["form"]["hiddenFields"][0]["value"],
        "autumn"
    );
    let gone = sim
        .control("POST", &format!("/linkedin/leads/{id}/delete"), json!({}))
        .await;
    assert_eq!(gone["notification"]["leadAction"], "DELETED");
    assert_eq!(sim_token(one()).await.0, 404);
}

/// Answers webhook calls with 200 and returns the calls.
async fn hook(count: usize) -> (String, tokio::task::JoinHandle<Vec<String>>) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!(
        "http://{}/webhooks/linkedin/acme",
        listener.local_addr().unwrap()
    );
    let task = tokio::spawn(async move {
        let mut seen = Vec::new();
        for _ in 0..count {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut text = String::new();
            while !text.contains("\r\n\r\n") || (text.starts_with("POST") && !text.ends_with('}')) {
                let mut buffer = [0_u8; 4096];
                let read = stream.read(&mut buffer).await.unwrap();
                text.push_str(&String::from_utf8_lossy(&buffer[..read]));
            }
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                .await
                .unwrap();
            seen.push(text);
        }
        seen
    });
    (url, task)
}

#[tokio::test]
async fn notifications_are_signed() {
    use hmac::{Hmac, KeyInit as _, Mac as _};
    let sim = fresh().await;
    let (url, seen) = hook(2).await;
    let order = json!({
        "answers": { "EMAIL": "a@b.example" },
        "deliver": { "url": url, "client_secret": "secret", "times": 2, "concurrent": true },
    });
    let answer = sim.control("POST", "/linkedin/leads", order).await;
    assert_eq!(answer["statuses"], json!([200, 200]));
    for request in seen.await.unwrap() {
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(b"secret").unwrap();
        mac.update(format!("hmacsha256={body}").as_bytes());
        let expected = hex::encode(mac.finalize().into_bytes());
        assert!(
            head.to_lowercase()
                .contains(&format!("x-li-signature: {expected}")),
            "{head}"
        );
        assert_eq!(
            serde_json::from_str::<Value>(body).unwrap(),
            answer["notification"]
        );
    }
}

#[tokio::test]
async fn linkedin_gives_refresh_tokens_to_partners_only() {
    let sim = fresh().await;
    let sign_in = async || {
        let base = sim.simulator.linkedin_url();
        let params = [
            ("response_type", "code"),
            ("client_id", "leadbridge-linkedin"),
            ("redirect_uri", "https://app.example/cb"),
            ("scope", "r_ads"),
        ];
        let url = format!("{base}/oauth/v2/authorization");
        let back = authorize(&sim, &url, &params).await.unwrap();
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", "leadbridge-linkedin"),
            ("client_secret", "linkedin-app-secret"),
            ("redirect_uri", "https://app.example/cb"),
            ("code", back["code"].as_str().unwrap()),
        ];
        let url = format!("{base}/oauth/v2/accessToken");
        read(sim.client.post(url).form(&form).send().await.unwrap())
            .await
            .1
    };
    let partner = sign_in().await;
    assert_eq!(
        (&partner["expires_in"], &partner["refresh_token_expires_in"]),
        (&json!(5_184_000), &json!(31_536_000))
    );
    let off = json!({ "linkedin": { "refresh_tokens": false } });
    sim.control("PATCH", "/settings", off).await;
    let other = sign_in().await;
    assert_eq!(
        (
            &other["expires_in"],
            &other["refresh_token"],
            &other["refresh_token_expires_in"]
        ),
        (&json!(5_184_000), &Value::Null, &Value::Null)
    );
}

#[tokio::test]
async fn linkedin_checks_its_headers() {
    let sim = fresh().await;
    let url = format!("{}/rest/leadForms/7234246", sim.simulator.linkedin_url());
    let get = || {
        sim.client
            .get(&url)
            .bearer_auth(&sim.linkedin)
            .header("X-Restli-Protocol-Version", "2.0.0")
    };
    assert_eq!(get().send().await.unwrap().status(), 400);
    assert_eq!(
        get()
            .header("LinkedIn-Version", "202001")
            .send()
            .await
            .unwrap()
            .status(),
        426
    );
    assert_eq!(
        get()
            .header("LinkedIn-Version", "202606")
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    let (status, error) = read(sim.client.get(&url).bearer_auth("x").send().await.unwrap()).await;
    assert_eq!((status, &error["status"]), (401, &json!(401)));
}

// --- The simulator itself

#[tokio::test]
async fn faults_strike_as_ordered_and_the_ledger_tells() {
    let sim = fresh().await;
    let fault = |more: Value| {
        let mut fault =
            json!({ "system": "salesforce", "method": "POST", "path_contains": "/sobjects/Lead" });
        fault
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        fault
    };
    let count = async || sim.soql("SELECT COUNT() FROM Lead").await.1["totalSize"].clone();
    let post = || sim.sf("POST", "/sobjects/Lead").json(&lead("x")).send();

    sim.control(
        "POST",
        "/faults",
        fault(json!({ "kind": "status", "status": 503, "retry_after_s": 3, "skip": 1 })),
    )
    .await;
    assert_eq!(post().await.unwrap().status(), 201);
    let busy = post().await.unwrap();
    assert_eq!(
        (busy.status().as_u16(), &busy.headers()["retry-after"]),
        (503, &"3".parse().unwrap())
    );
    assert_eq!(post().await.unwrap().status(), 201);
    assert_eq!(count().await, 2);

    sim.control("POST", "/faults", fault(json!({ "kind": "lost_reply" })))
        .await;
    assert!(post().await.is_err());
    assert_eq!(count().await, 3, "it took effect");
    sim.control("POST", "/faults", fault(json!({ "kind": "drop" })))
        .await;
    assert!(post().await.is_err());
    assert_eq!(count().await, 3, "it took no effect");
    sim.control("POST", "/faults", fault(json!({ "kind": "truncate" })))
        .await;
    assert!(post().await.unwrap().bytes().await.is_err());
    assert_eq!(count().await, 4);
    sim.control("POST", "/faults", fault(json!({ "kind": "garbage" })))
        .await;
    assert!(
        post()
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
            .contains("<html>")
    );
    assert_eq!(count().await, 4);
    sim.control("POST", "/faults", fault(json!({ "kind": "expired_token" })))
        .await;
    assert_eq!(post().await.unwrap().status(), 401);
    assert_eq!(post().await.unwrap().status(), 401, "until it is refreshed");

    let summary = sim.control("GET", "/ledger/summary", json!({})).await;
    assert_eq!(
        summary["calls"]["salesforce"]["POST /services/data/vXX.0/sobjects/Lead"],
        9
    );
    assert_eq!(summary["records"]["salesforce"]["Lead"], 4);
    let ledger = sim
        .control("GET", "/ledger?system=salesforce", json!({}))
        .await;
    let lost: Vec<_> = ledger
        .as_array()
        .unwrap()
        .iter()
        .filter(|e| e["fault"] == "lost_reply")
        .collect();
    assert_eq!((lost.len(), &lost[0]["status"]), (1, &json!(0)));
}

#[tokio::test]
async fn the_clock_ends_sessions() {
    let sim = fresh().await;
    assert_eq!(sim.soql("SELECT Id FROM Lead").await.0, 200);
    sim.control("POST", "/clock", json!({ "advance_ms": 7_200_001 }))
        .await;
    let (status, error) = sim.soql("SELECT Id FROM Lead").await;
    assert_eq!(status, 401);
    assert_eq!(
        error,
        json!([{ "message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID" }])
    );
    assert_eq!(sim.dv("GET", "WhoAmI").send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn everything_survives_a_restart() {
    let dir = folder();
    let config = SimConfig {
        state_file: Some(dir.join("state.json")),
        tls_dir: Some(dir.join("tls")),
        ..SimConfig::default()
    };
    let first = start(config.clone()).await;
    let authority = std::fs::read(first.simulator.ca_file()).unwrap();
    let (_, made) = first
        .sf_json("PATCH", "/sobjects/Lead/Leadbridge_Id__c/k", lead("Kept"))
        .await;
    first
        .dv_json(
            "PATCH",
            &format!("leads({LEAD})"),
            json!({ "lastname": "Kept" }),
        )
        .await;
    let person = first
        .control(
            "POST",
            "/linkedin/leads",
            json!({ "answers": { "EMAIL": "k@x.example" } }),
        )
        .await;
    first
        .control(
            "POST",
            "/fields/salesforce/Lead",
            json!({ "name": "Size__c", "restricted_values": ["S", "M"] }),
        )
        .await;
    let (salesforce, dataverse, linkedin) = (
        first.salesforce.clone(),
        first.dataverse.clone(),
        first.linkedin.clone(),
    );
    // Saved by itself, before the shutdown.
    for _ in 0..50 {
        if std::fs::read_to_string(dir.join("state.json"))
            .is_ok_and(|text| text.contains("Size__c"))
        {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(
        std::fs::read_to_string(dir.join("state.json"))
            .unwrap()
            .contains("Size__c")
    );
    first.simulator.shutdown().await;

    let mut second = start(config).await;
    assert_eq!(
        std::fs::read(second.simulator.ca_file()).unwrap(),
        authority
    );
    (second.salesforce, second.dataverse, second.linkedin) = (salesforce, dataverse, linkedin);
    let (status, again) = second
        .sf_json(
            "PATCH",
            "/sobjects/Lead/Leadbridge_Id__c/K",
            json!({ "Size__c": "m" }),
        )
        .await;
    assert_eq!((status, &again["id"]), (200, &made["id"]));
    let (_, fresh) = second.sf_json("POST", "/sobjects/Lead", lead("New")).await;
    assert_ne!(fresh["id"], made["id"]);
    assert_eq!(
        second
            .dv_json("GET", &format!("leads({LEAD})"), json!({}))
            .await
            .1["fullname"],
        "Kept"
    );
    let id = person["id"].as_str().unwrap();
    assert_eq!(
        second
            .li(&format!("/leadFormResponses/{id}"))
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    second.simulator.shutdown().await;
    std::fs::remove_dir_all(dir).ok();
}

#[tokio::test]
async fn a_state_of_before_is_completed() {
    let dir = folder();
    let file = dir.join("state.json");
    let config = SimConfig {
        state_file: Some(file.clone()),
        tls_dir: Some(dir.join("tls")),
        ..SimConfig::default()
    };
    start(config.clone()).await.simulator.shutdown().await;
    let mut state: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    for (system, path) in [
        (
            "salesforce",
            "/production/store/tables/OpportunityStage/rows",
        ),
        ("dataverse", "/store/tables/transactioncurrency/rows"),
    ] {
        let rows = state[system].pointer_mut(path).unwrap();
        assert!(!rows.as_object().unwrap().is_empty());
        *rows = json!({});
    }
    std::fs::write(&file, state.to_string()).unwrap();
    let sim = start(SimConfig {
        samples: true,
        ..config
    })
    .await;
    let (_, stages) = sim.soql("SELECT Id FROM OpportunityStage").await;
    assert_eq!(stages["totalSize"], 10);
    let (_, currencies) = sim.dv_json("GET", "transactioncurrencies", json!({})).await;
    assert_eq!(currencies["value"].as_array().unwrap().len(), 3);
    let (_, accounts) = sim.soql("SELECT Id FROM Account").await;
    assert_eq!(accounts["totalSize"], 0, "samples are for new states");
    sim.simulator.shutdown().await;
    std::fs::remove_dir_all(dir).ok();
}

#[tokio::test]
async fn both_schemes_on_one_port() {
    let sim = fresh().await;
    for base in [
        sim.simulator.salesforce_url().to_owned(),
        sim.simulator.salesforce_url().replace("https", "http"),
    ] {
        let (status, versions) = read(
            sim.client
                .get(format!("{base}/services/data/"))
                .send()
                .await
                .unwrap(),
        )
        .await;
        assert_eq!(
            (status, &versions[9]),
            (
                200,
                &json!({ "label": "Summer '26", "url": "/services/data/v67.0", "version": "67.0" })
            )
        );
    }
}
