//! The directory as the API adds to it, searches it and decides on it, on the embedded stack: the
//! mirror is filled as an import fills it (MA-1 to MA-5, SV-1 to SV-3).

use std::collections::{BTreeMap, BTreeSet};

use e2e::directory_world::add_entry;
use e2e::{Harness, Tenant};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use reqwest::{Method, StatusCode};
use serde_json::{Value as Json, json};
use shared::clock::{Clock as _, Millis, SystemClock};
use shared::domain::csv_upload;
use shared::domain::directory::{
    EntryKind, EntryRates, NewEntry, ObjectRates, Origin, Rates, RecordRef,
};
use shared::domain::environment::Environment;
use shared::domain::mirror::{Change, Record, Value, Values};
use shared::domain::schema::CrmKind;
use shared::store::{ConnectionKind, Mirror};

const BOTH: [CrmKind; 2] = [CrmKind::Salesforce, CrmKind::Dynamics365];
const PRODUCTION: Environment = Environment::Production;

/// A contract whose CRM has a few records, as its last import left them.
struct World<'a> {
    tenant: Tenant<'a>,
    organization: String,
}

/// An object of the CRM, in Salesforce's words.
type Fields = Vec<(&'static str, String)>;

impl<'a> World<'a> {
    async fn new(harness: &'a Harness, crm: CrmKind) -> Self {
        let tenant = harness.tenant(crm).await;
        let kind = ConnectionKind::PRODUCTION;
        let connection = harness.store.connection(&tenant.made.id, kind).await;
        let connection = connection.unwrap().unwrap();
        Self {
            organization: connection
                .base_url
                .as_str()
                .trim_end_matches('/')
                .to_owned(),
            tenant,
        }
    }

    fn crm(&self) -> CrmKind {
        self.tenant.made.crm
    }

    fn object(&self, salesforce: &'static str) -> &'static str {
        match (self.crm(), salesforce) {
            (CrmKind::Salesforce, name) => name,
            (CrmKind::Dynamics365, "Account") => "account",
            (CrmKind::Dynamics365, "Contact") => "contact",
            (CrmKind::Dynamics365, "Lead") => "lead",
            (CrmKind::Dynamics365, "User") => "systemuser",
            (CrmKind::Dynamics365, other) => panic!("{other}"),
        }
    }

    fn field(&self, object: &str, salesforce: &'static str) -> &'static str {
        if self.crm() == CrmKind::Salesforce {
            return salesforce;
        }
        match (object, salesforce) {
            ("User", "Name") => "fullname",
            (_, "Name") => "name",
            (_, "FirstName") => "firstname",
            (_, "LastName") => "lastname",
            (_, "Email") => "emailaddress1",
            (_, "Phone") => "telephone1",
            (_, "Title") => "jobtitle",
            (_, "Website") => "websiteurl",
            (_, "Company") => "companyname",
            (_, "OwnerId") => "_owninguser_value",
            (_, "AccountId") => "_parentcustomerid_value",
            (_, "MailingCity") => "address1_city",
            (_, other) => panic!("{other}"),
        }
    }

    /// An id as the CRM makes them.
    fn id(&self, number: u32) -> String {
        match self.crm() {
            CrmKind::Salesforce => format!("0038d00000{number:05}AAA"),
            CrmKind::Dynamics365 => format!("00000000-0000-4000-8000-{number:012}"),
        }
    }

    fn record(&self, object: &'static str, number: u32) -> RecordRef {
        RecordRef::new(self.object(object), self.id(number))
    }

    fn url(&self, object: &'static str, number: u32) -> String {
        let (at, object, id) = (&self.organization, self.object(object), self.id(number));
        match self.crm() {
            CrmKind::Salesforce => format!("{at}/lightning/r/{object}/{id}/view"),
            CrmKind::Dynamics365 => {
                format!("{at}/main.aspx?pagetype=entityrecord&etn={object}&id={id}")
            }
        }
    }

    /// Brings a record into the mirror, as an import does.
    async fn import(&self, object: &'static str, number: u32, fields: Fields) {
        let mirror = Mirror {
            contract: &self.tenant.made.id,
            environment: PRODUCTION,
            crm: self.crm(),
            object: self.object(object),
            default_region: Some("US"),
        };
        let values = fields
            .into_iter()
            .map(|(name, text)| (self.field(object, name), Value::Text(text)));
        let record = Record {
            id: self.id(number),
            modified: Millis(1_700_000_000_000),
            merged_into: None,
            values: Values(values.collect()),
        };
        let store = &self.tenant.harness.store;
        mirror
            .apply(store, &[Change::Present(record)])
            .await
            .unwrap();
    }

    /// A contact at an account, owned by a user: numbers 1, 2 and 3.
    async fn import_ada(&self) {
        self.import("User", 3, vec![("Name", "Olga Owner".to_owned())])
            .await;
        let website = "https://www.analytical-engines.example".to_owned();
        self.import(
            "Account",
            2,
            vec![
                ("Name", "Analytical Engines Ltd".to_owned()),
                ("Website", website),
                ("OwnerId", self.id(3)),
            ],
        )
        .await;
        self.import(
            "Contact",
            1,
            vec![
                ("FirstName", "Ada".to_owned()),
                ("LastName", "Lovelace".to_owned()),
                ("Email", "ada@analytical-engines.example".to_owned()),
                ("Phone", "+1 415 555 2671".to_owned()),
                ("Title", "Countess".to_owned()),
                ("MailingCity", "London".to_owned()),
                ("AccountId", self.id(2)),
                ("OwnerId", self.id(3)),
            ],
        )
        .await;
    }

    async fn get(&self, path: &str) -> Json {
        let (status, answer) = self.tenant.api(Method::GET, path, None).await;
        assert_eq!(status, StatusCode::OK, "{path}: {answer}");
        answer
    }

    async fn post(&self, path: &str, body: Json) -> (u16, Json) {
        let (status, answer) = self.tenant.api(Method::POST, path, Some(body)).await;
        (status.as_u16(), answer)
    }

    /// Posts without a body, which has to succeed.
    async fn act(&self, path: &str) -> Json {
        let (status, answer) = self.tenant.api(Method::POST, path, None).await;
        assert!(status.is_success(), "{path}: {answer}");
        answer
    }

    /// Adds an entry; returns it as answered.
    async fn add(&self, path: &str, body: Json) -> Json {
        let (status, answer) = self.post(path, body).await;
        assert!((200..=201).contains(&status), "{answer}");
        answer["entry"].clone()
    }

    async fn upload(&self, path: &str, kind: &str, body: Vec<u8>) -> (u16, Json) {
        let url = format!("{}/api/v1{path}", self.tenant.harness.console);
        let request = self.tenant.harness.http.post(url).body(body);
        let request = request.bearer_auth(&self.tenant.made.tokens.administrator);
        let answer = request.header("content-type", kind).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap())
    }

    async fn csv(&self, path: &str, body: &str) -> Json {
        let (status, answer) = self
            .upload(path, "text/csv", body.as_bytes().to_vec())
            .await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// Every item of a search, read in pages of `limit`.
    async fn search(&self, kind: &str, query: &[(&str, String)], limit: usize) -> Vec<Json> {
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let mut text = form(query);
            text.push_str(&format!("&limit={limit}{cursor}"));
            let page = self
                .get(&format!("/{kind}?{}", text.trim_start_matches('&')))
                .await;
            let found = page["items"].as_array().unwrap();
            assert!(found.len() <= limit, "{page}");
            items.extend(found.iter().cloned());
            let Some(next) = page["next"].as_str() else {
                return items;
            };
            cursor = format!("&cursor={}", form_encoded(next));
        }
    }
}

fn form_encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn form(query: &[(&str, String)]) -> String {
    let pairs = query
        .iter()
        .map(|(name, value)| format!("&{name}={}", form_encoded(value)));
    pairs.collect()
}

fn ada() -> Json {
    json!({
        "first_name": "Ada", "last_name": "Lovelace", "emails": ["ada@analytical-engines.example"],
        "company": "Analytical Engines", "city": "London",
    })
}

fn denied(answer: &(u16, Json)) -> (u16, &str) {
    let (status, problem) = answer;
    let next = problem["next_step"].as_str().unwrap_or_default();
    assert!(!next.is_empty(), "{problem}");
    (*status, problem["code"].as_str().unwrap())
}

#[tokio::test]
async fn a_person_that_is_added_is_linked_and_shown_with_badge_contact_and_reasons() {
    let harness = Harness::embedded(false).await;
    for crm in BOTH {
        let world = World::new(&harness, crm).await;
        world.import_ada().await;
        let (status, answer) = world.post("/profiles", ada()).await;
        assert_eq!(
            (status, &answer["outcome"]),
            (201, &json!("added")),
            "{answer}"
        );
        let entry = &answer["entry"];
        let id = entry["id"].as_str().unwrap();
        // The same as a later read.
        assert_eq!(entry, &world.get(&format!("/profiles/{id}")).await);
        assert_eq!(
            (
                &entry["kind"],
                &entry["name"],
                &entry["state"],
                &entry["in_crm"]
            ),
            (
                &json!("profile"),
                &json!("Ada Lovelace"),
                &json!("matched"),
                &json!(true)
            )
        );
        let badge = json!({
            "object": world.object("Contact"), "id": world.id(1), "label": "Contact",
            "url": world.url("Contact", 1),
        });
        assert_eq!(
            (&entry["badge"], &entry["link"]["record"]),
            (&badge, &badge)
        );
        assert_eq!(
            entry["owner"],
            json!({ "id": world.id(3), "name": "Olga Owner" })
        );
        let contact = &entry["contact"];
        assert_eq!(contact["record"], badge);
        assert_eq!(contact["account"]["url"], world.url("Account", 2));
        let fields = &contact["fields"];
        for (name, value) in [
            ("emails", json!(["ada@analytical-engines.example"])),
            ("phones", json!(["+1 415 555 2671"])),
            ("title", json!("Countess")),
            ("company", json!("Analytical Engines Ltd")),
            ("city", json!("London")),
        ] {
            assert_eq!(fields[name], value, "{fields}");
        }
        // The reasons add up.
        let reasons = &entry["link"]["explanation"];
        let weights = reasons["fields"].as_array().unwrap().iter();
        let sum: i64 = weights.map(|field| field["weight"].as_i64().unwrap()).sum();
        assert_eq!(json!(sum), reasons["score"]);
        assert_eq!(
            (&reasons["score"], &entry["link"]["how"]),
            (&entry["link"]["score"], &json!("score"))
        );
        assert!(reasons["score"].as_i64() >= reasons["threshold"].as_i64());
        let email = reasons["fields"]
            .as_array()
            .unwrap()
            .iter()
            .find(|field| field["field"] == "email");
        assert_eq!(email.unwrap()["agrees"], true);

        // Again it is the same entry; new values are added.
        let (status, again) = world.post("/profiles", ada()).await;
        assert_eq!((status, &again["outcome"]), (200, &json!("unchanged")));
        let mut more = ada();
        more["emails"] = json!(["ADA@analytical-engines.example", "ada@home.example"]);
        more["title"] = json!("Programmer");
        more.as_object_mut().unwrap().remove("city");
        let (status, more) = world.post("/profiles", more).await;
        assert_eq!(
            (status, &more["outcome"]),
            (200, &json!("updated")),
            "{more}"
        );
        assert_eq!(more["entry"]["id"], *id);
        let record = &more["entry"]["record"];
        assert_eq!(
            record["emails"],
            json!(["ada@analytical-engines.example", "ada@home.example"])
        );
        assert_eq!(
            (&record["title"], &record["city"]),
            (&json!("Programmer"), &json!("London"))
        );

        // A company is its account.
        let company =
            json!({ "name": "Analytical Engines", "website": "analytical-engines.example" });
        let company = world.add("/companies", company).await;
        assert_eq!(
            (&company["kind"], &company["state"]),
            (&json!("company"), &json!("matched")),
            "{company}"
        );
        assert_eq!(company["badge"]["url"], world.url("Account", 2));
        // A person whom the CRM does not have has no record.
        let nobody = world
            .add(
                "/profiles",
                json!({ "name": "No Body", "emails": ["no@body.example"] }),
            )
            .await;
        assert_eq!(
            (
                &nobody["state"],
                &nobody["badge"],
                &nobody["link"],
                &nobody["contact"]
            ),
            (&json!("unmatched"), &Json::Null, &Json::Null, &Json::Null)
        );
    }
    harness.stop().await;
}

#[tokio::test]
async fn what_is_not_taken_says_why() {
    let harness = Harness::embedded(false).await;
    let world = World::new(&harness, CrmKind::Salesforce).await;
    let long = "x".repeat(10_000);
    for (path, body, status, code, field) in [
        ("/profiles", json!({}), 422, "nothing_given", None),
        (
            "/profiles",
            json!({ "first_name": "Ada" }),
            422,
            "no_identity",
            Some("emails"),
        ),
        (
            "/profiles",
            json!({ "emails": ["ada"] }),
            422,
            "invalid_email",
            Some("emails"),
        ),
        (
            "/profiles",
            json!({ "emails": ["a@b.example"], "phones": ["none"] }),
            422,
            "invalid_phone",
            Some("phones"),
        ),
        (
            "/profiles",
            json!({ "emails": ["a@b.example"], "title": long }),
            422,
            "text_too_long",
            Some("title"),
        ),
        (
            "/profiles",
            json!({ "emails": "a@b.example" }),
            422,
            "invalid_body",
            None,
        ),
        (
            "/profiles",
            json!({ "email": "a@b.example" }),
            422,
            "invalid_body",
            None,
        ),
        ("/profiles", json!([]), 422, "invalid_body", None),
        (
            "/companies",
            json!({ "name": "Acme", "title": "x" }),
            422,
            "not_of_a_company",
            Some("title"),
        ),
        (
            "/companies",
            json!({ "city": "Rome" }),
            422,
            "no_identity",
            Some("name"),
        ),
        (
            "/profiles/batch",
            json!({ "items": [] }),
            422,
            "invalid_batch",
            Some("items"),
        ),
        (
            "/profiles/batch",
            json!({ "items": vec![ada(); 101] }),
            422,
            "invalid_batch",
            Some("items"),
        ),
        (
            "/profiles/batch",
            json!({ "rows": [] }),
            422,
            "invalid_body",
            None,
        ),
    ] {
        let answer = world.post(path, body.clone()).await;
        assert_eq!(denied(&answer), (status, code), "{path} {answer:?}");
        assert_eq!(answer.1["field"].as_str(), field, "{path} {code}");
    }
    for kind in ["profiles", "companies"] {
        for (query, code) in [
            ("limit=0", "invalid_limit"),
            ("limit=201", "invalid_limit"),
            ("limit=x", "invalid_query"),
            ("cursor=x", "invalid_cursor"),
            ("cursor=99.", "invalid_cursor"),
            ("state=lost", "invalid_query"),
            ("in_crm=maybe", "invalid_query"),
            ("shoe_size=41", "invalid_query"),
            (&format!("q={}", "x".repeat(201)), "invalid_filter"),
        ] {
            let (status, answer) = world
                .tenant
                .api(Method::GET, &format!("/{kind}?{query}"), None)
                .await;
            assert_eq!(denied(&(status.as_u16(), answer)), (400, code), "{query}");
        }
    }
    assert_eq!(
        world.get("/profiles").await,
        json!({ "items": [], "next": null })
    );
    harness.stop().await;
}

#[tokio::test]
async fn each_of_several_is_taken_or_refused_on_its_own() {
    let harness = Harness::embedded(false).await;
    let world = World::new(&harness, CrmKind::Salesforce).await;
    let items = json!([
        ada(),
        { "emails": ["nonsense"] },
        { "external_id": "g-1", "name": "Grace Hopper" },
        "Ada",
        { "shoe_size": 41 },
        { "external_id": "g-1", "title": "Admiral" },
        ada(),
    ]);
    let (status, report) = world
        .post("/profiles/batch", json!({ "items": items }))
        .await;
    assert_eq!(status, 200, "{report}");
    let rows = report["results"].as_array().unwrap();
    let short: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                row["row"].as_u64().unwrap(),
                row["outcome"].as_str().unwrap(),
                row["problem"]["code"].as_str(),
            )
        })
        .collect();
    assert_eq!(
        short,
        [
            (1, "added", None),
            (2, "refused", Some("invalid_email")),
            (3, "added", None),
            (4, "refused", Some("invalid_body")),
            (5, "refused", Some("invalid_body")),
            (6, "updated", None),
            (7, "unchanged", None),
        ]
    );
    let counts = ["rows", "added", "updated", "unchanged", "refused"]
        .map(|name| report[name].as_u64().unwrap());
    assert_eq!(counts, [7, 2, 1, 1, 3]);
    assert_eq!(
        (&rows[2]["id"], &rows[0]["id"]),
        (&rows[5]["id"], &rows[6]["id"])
    );
    let grace = world
        .get(&format!("/profiles/{}", rows[2]["id"].as_str().unwrap()))
        .await;
    assert_eq!(
        (
            &grace["name"],
            &grace["record"]["title"],
            &grace["external_id"]
        ),
        (&json!("Grace Hopper"), &json!("Admiral"), &json!("g-1"))
    );
    // One pass was asked for, and can be followed.
    assert_eq!(
        (&report["linking"]["asked"], &report["linking"]["see"]),
        (&json!(true), &json!("/api/v1/matching"))
    );
    let pass = world.get("/matching").await["pass"].clone();
    assert_eq!(
        (&pass["state"], &pass["message"]),
        (&json!("queued"), &json!("Waiting to start."))
    );
    // Nothing new asks for nothing.
    let (_, report) = world
        .post("/profiles/batch", json!({ "items": [ada()] }))
        .await;
    assert_eq!(
        (&report["unchanged"], &report["linking"]["asked"]),
        (&json!(1), &json!(false))
    );
    assert_eq!(world.get("/matching").await["pass"], pass);
    harness.stop().await;
}

#[tokio::test]
async fn a_file_is_read_as_it_was_shown() {
    let harness = Harness::embedded(false).await;
    let world = World::new(&harness, CrmKind::Dynamics365).await;
    let file = "\u{feff}External ID;First name;Last name;E-mail;Shoe size;City\r\n\
        A-1;Ada;Lovelace;ada@example.com;41;\"London; UK\"\r\n\
        \r\n\
        A-2;Grace;Hopper;grace@example.com;;;x\r\n\
        ;;;;41;\r\n\
        A-3;\"The \"\"Amazing\"\"\nGrace\";;not an address;;\r\n\
        A-1;Ada;King;ada@example.com;;\r\n";
    let shown = world.csv("/profiles/csv/columns", file).await;
    assert_eq!(
        (&shown["map"], &shown["rows"]),
        (
            &json!("external_id,first_name,last_name,email,,city"),
            &json!(5)
        )
    );
    assert_eq!(
        shown["columns"][4],
        json!({ "name": "Shoe size", "field": null })
    );
    let preview = shown["preview"].as_array().unwrap();
    assert_eq!(
        (&preview[0]["record"]["city"], &preview[0]["external_id"]),
        (&json!("London; UK"), &json!("A-1"))
    );
    assert_eq!(preview[1]["problem"]["code"], "wrong_cell_count");
    assert_eq!(preview[3]["problem"]["code"], "invalid_email");
    assert_eq!(world.get("/profiles").await["items"], json!([]));

    let expected = [
        (2, "added", None),
        (4, "refused", Some("wrong_cell_count")),
        (5, "refused", Some("nothing_given")),
        (6, "refused", Some("invalid_email")),
        (8, "updated", None),
    ];
    let map = form_encoded(shown["map"].as_str().unwrap());
    let report = world.csv(&format!("/profiles/csv?map={map}"), file).await;
    let rows = report["results"].as_array().unwrap();
    let short: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                row["row"].as_u64().unwrap(),
                row["outcome"].as_str().unwrap(),
                row["problem"]["code"].as_str(),
            )
        })
        .collect();
    // A cell with two lines is one row of a spreadsheet.
    let expected: Vec<_> = expected
        .map(|(row, outcome, code)| (if row == 8 { 7 } else { row }, outcome, code))
        .into();
    assert_eq!(short, expected);
    let ada = world
        .get(&format!("/profiles/{}", rows[0]["id"].as_str().unwrap()))
        .await;
    assert_eq!(
        (&ada["name"], &ada["origins"]),
        (&json!("Ada King"), &json!(["csv"]))
    );

    // Without a map the suggestion is used; the same file again is nothing new, except that rows of one entry
    // that differ each count.
    let again = world
        .csv(
            "/profiles/csv",
            "External ID,Last name,First name,Email\nA-1,King,Ada,ada@example.com\n",
        )
        .await;
    assert_eq!(
        (&again["unchanged"], &again["linking"]["asked"]),
        (&json!(1), &json!(false))
    );
    // Columns can be chosen against their names.
    let report = world
        .csv(
            "/companies/csv?map=,name,website",
            "a,b,c\n1,Acme,acme.example\n",
        )
        .await;
    assert_eq!(report["added"], 1, "{report}");
    let found = world.get("/companies?q=acme").await;
    assert_eq!(found["items"][0]["record"]["website"], "acme.example");

    let bad = |kind: &'static str, body: Vec<u8>| (kind, "", body);
    for ((kind, query, body), status, code) in [
        (
            bad("application/json", b"{}".to_vec()),
            415,
            "unsupported_media_type",
        ),
        (
            bad("text/plain", b"name\nAda".to_vec()),
            415,
            "unsupported_media_type",
        ),
        (bad("text/csv", b"".to_vec()), 422, "csv_no_header"),
        (
            bad("text/csv", b"name\nJos\xE9\n".to_vec()),
            422,
            "csv_not_utf8",
        ),
        (
            bad("text/csv", b"name\n\"Ada".to_vec()),
            422,
            "csv_malformed",
        ),
        (
            bad("text/csv", b"shoe size\n41\n".to_vec()),
            422,
            "nothing_mapped",
        ),
        (
            ("text/csv", "?map=name,name", b"a\nAda\n".to_vec()),
            422,
            "invalid_map",
        ),
        (
            ("text/csv", "?map=nonsense", b"a\nAda\n".to_vec()),
            422,
            "invalid_map",
        ),
        (
            ("text/csv", "?columns=name", b"a\nAda\n".to_vec()),
            400,
            "invalid_query",
        ),
        (
            bad("text/csv", vec![b'a'; csv_upload::MAX_BYTES + 1]),
            413,
            "body_too_large",
        ),
        (
            bad(
                "text/csv",
                "name\n".repeat(csv_upload::MAX_ROWS + 2).into_bytes(),
            ),
            413,
            "csv_too_many_rows",
        ),
    ] {
        let answer = world
            .upload(&format!("/profiles/csv{query}"), kind, body)
            .await;
        assert_eq!(denied(&answer), (status, code), "{query} {answer:?}");
    }
    // The other routes' body limit is no larger than before.
    let (status, _) = world
        .upload("/profiles", "application/json", vec![b' '; 300_000])
        .await;
    assert_eq!(status, 413);
    harness.stop().await;
}

/// A generated row of a file.
#[derive(Debug, Clone)]
enum Row {
    /// A person with this number, written in one of several ways.
    Good(u8, String),
    Blank,
    FewCells,
    ManyCells,
    TooLong,
    NoIdentity,
    BadEmail,
}

fn row() -> impl Strategy<Value = Row> {
    let text = prop_oneof![
        "[A-Za-z][A-Za-z ]{0,8}",
        "[A-Za-z][;,\"\n\r\t' ]{1,6}[a-z]",
        Just("Žofie \"Ž\", 株式会社\r\nÅ".to_owned()),
    ];
    prop_oneof![
        6 => (0_u8..8, text).prop_map(|(number, text)| Row::Good(number, text)),
        1 => Just(Row::Blank),
        1 => Just(Row::FewCells),
        1 => Just(Row::ManyCells),
        1 => Just(Row::TooLong),
        1 => Just(Row::NoIdentity),
        1 => Just(Row::BadEmail),
    ]
}

/// A test runner that makes the same cases each time.
fn runner() -> TestRunner {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[42; 32]);
    TestRunner::new_with_rng(Config::default(), rng)
}

/// The expected outcome of a row; the directory has these people, by number, with these titles.
fn expected(
    row: &Row,
    people: &mut BTreeMap<u8, String>,
) -> Option<(&'static str, Option<&'static str>)> {
    let tidy = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    Some(match row {
        Row::Good(number, title) => match people.insert(*number, tidy(title)) {
            None => ("added", None),
            Some(before) if before == tidy(title) => ("unchanged", None),
            Some(_) => ("updated", None),
        },
        Row::Blank => return None,
        // The cells that it lacks are empty.
        Row::FewCells => return expected(&Row::Good(100, "x".to_owned()), people),
        Row::ManyCells => ("refused", Some("wrong_cell_count")),
        Row::TooLong => ("refused", Some("text_too_long")),
        Row::NoIdentity => ("refused", Some("no_identity")),
        Row::BadEmail => ("refused", Some("invalid_email")),
    })
}

#[tokio::test]
async fn hostile_files_are_taken_row_by_row_as_they_should() {
    let harness = Harness::embedded(false).await;
    let mut runner = runner();
    let cases = (
        prop::collection::vec(row(), 0..24),
        prop::sample::select(vec![',', ';', '\t']),
        prop::sample::select(vec!["\n", "\r\n"]),
        any::<(bool, bool)>(),
    );
    for _ in 0..16 {
        let world = World::new(&harness, CrmKind::Salesforce).await;
        let (rows, delimiter, ending, (mark, last)) =
            cases.new_tree(&mut runner).unwrap().current();
        let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        let line = |cells: &[String]| cells.join(&delimiter.to_string());
        let mut lines = vec![line(&[
            "Email".to_owned(),
            "Job title".to_owned(),
            "City".to_owned(),
        ])];
        for row in &rows {
            let cells = |cells: &[&str]| cells.iter().map(|cell| quoted(cell)).collect::<Vec<_>>();
            lines.push(line(&match row {
                Row::Good(number, title) => cells(&[&format!("p{number}@example.com"), title, ""]),
                Row::Blank => vec![String::new(); 3],
                Row::FewCells => cells(&["p100@example.com", "x"]),
                Row::ManyCells => cells(&["many@example.com", "x", "y", "z"]),
                Row::TooLong => cells(&["long@example.com", &"x".repeat(10_000), ""]),
                Row::NoIdentity => cells(&["", "Nobody", "Nowhere"]),
                Row::BadEmail => cells(&["no address", "x", "y"]),
            }));
        }
        let mut text = String::from(if mark { "\u{feff}" } else { "" });
        text.push_str(&lines.join(ending));
        text.push_str(if last { ending } else { "" });

        let report = world.csv("/profiles/csv", &text).await;
        let mut people = BTreeMap::new();
        let wanted: Vec<_> = rows
            .iter()
            .zip(2_u64..)
            .filter_map(|(row, number)| {
                let (outcome, code) = expected(row, &mut people)?;
                Some((number, outcome, code))
            })
            .collect();
        let results = report["results"].as_array().unwrap();
        let got: Vec<_> = results
            .iter()
            .map(|row| {
                (
                    row["row"].as_u64().unwrap(),
                    row["outcome"].as_str().unwrap(),
                    row["problem"]["code"].as_str(),
                )
            })
            .collect();
        assert_eq!(got, wanted, "{text}");
        // All taken rows are there, and nothing else.
        let there: BTreeMap<String, String> = world
            .search("profiles", &[], 200)
            .await
            .iter()
            .map(|item| {
                let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
                (
                    text(&item["record"]["emails"][0]),
                    text(&item["record"]["title"]),
                )
            })
            .collect();
        let people = people
            .into_iter()
            .map(|(number, title)| (format!("p{number}@example.com"), title));
        assert_eq!(there, people.collect(), "{text}");
    }
    harness.stop().await;
}

/// Adds 45 people of all sorts; every third has a contact.
async fn fill_directory(world: &World<'_>) {
    let firsts = ["Ada", "Grace", "Žofie", "Edsger W.", "adam"];
    let lasts = ["Lovelace", "Hopper", "O'Neil", "van Rossum"];
    let companies = ["Analytical Engines", "Navy", "", "Žluťoučký s.r.o."];
    let titles = ["Countess of Lovelace", "Rear Admiral", ""];
    let places = [
        ("London", "", "United Kingdom"),
        ("Arlington", "VA", "USA"),
        ("", "", ""),
    ];
    for owner in 1..3 {
        world
            .import("User", owner, vec![("Name", format!("Owner {owner}"))])
            .await;
    }
    let mut entries = Vec::new();
    for number in 0..45_usize {
        let (city, state, country) = places[number % 3];
        let record = matching::Record {
            first_name: firsts[number % 5].to_owned(),
            last_name: lasts[number % 4].to_owned(),
            emails: vec![format!("p{number}@example.com")],
            company: companies[number / 5 % 4].to_owned(),
            title: titles[number / 4 % 3].to_owned(),
            city: city.to_owned(),
            state: state.to_owned(),
            country: country.to_owned(),
            ..matching::Record::default()
        };
        // Every third has a contact with the same address.
        if number % 3 == 0 {
            let at = u32::try_from(number).unwrap() + 100;
            let fields = vec![
                ("FirstName", record.first_name.clone()),
                ("LastName", record.last_name.clone()),
                ("Email", record.emails[0].clone()),
                ("OwnerId", world.id(1 + at % 2)),
            ];
            world.import("Contact", at, fields).await;
        }
        entries.push(record);
    }
    for record in entries {
        let body = serde_json::to_value(record).unwrap();
        world.add("/profiles", body).await;
    }
}

/// Of those that are linked a person confirms some and unmatches others.
async fn decide_some(world: &World<'_>) {
    let all = world.search("profiles", &[], 200).await;
    assert_eq!(all.len(), 45);
    let linked: Vec<&Json> = all.iter().filter(|item| item["in_crm"] == true).collect();
    assert!(linked.len() >= 12, "{}", linked.len());
    for (index, item) in linked.iter().enumerate() {
        let id = item["id"].as_str().unwrap();
        let badge = &item["badge"];
        match index % 4 {
            0 => {
                let record = json!({ "object": badge["object"], "id": badge["id"] });
                let (status, answer) = world.post(&format!("/profiles/{id}/match"), record).await;
                assert_eq!(
                    (status, &answer["state"]),
                    (200, &json!("confirmed")),
                    "{answer}"
                );
            }
            1 => {
                let answer = world.act(&format!("/profiles/{id}/unmatch")).await;
                assert_eq!(answer["state"], "refused");
            }
            _ => {}
        }
    }
}

/// Text in its form for searching: words, without case and accents.
fn plain(text: &str) -> String {
    let text = text
        .to_lowercase()
        .replace('ž', "z")
        .replace('ť', "t")
        .replace('č', "c")
        .replace('ý', "y")
        .replace('ú', "u")
        .replace(['\'', '.'], " ");
    format!(" {}", text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// True if a text has these words in a row, the last one maybe cut off.
fn has(text: &Json, wanted: &str) -> bool {
    let text = plain(text.as_str().unwrap_or_default());
    text.contains(plain(wanted).trim_end())
}

/// True if an entry, as a list shows it, passes a filter.
fn passes(item: &Json, name: &str, value: &str) -> bool {
    let record = &item["record"];
    match name {
        "q" => {
            let email = record["emails"][0].as_str().unwrap();
            has(&item["name"], value) || email.starts_with(&value.to_lowercase())
        }
        "in_crm" => item["in_crm"] == (value == "true"),
        "company" | "title" => has(&record[name], value),
        "place" => ["city", "state", "country"]
            .iter()
            .any(|field| has(&record[*field], value)),
        "owner" => item["owner"]["id"] == value,
        _ => item["state"] == value,
    }
}

#[tokio::test]
async fn a_search_finds_what_it_should() {
    let harness = Harness::embedded(false).await;
    let world = World::new(&harness, CrmKind::Salesforce).await;
    fill_directory(&world).await;
    decide_some(&world).await;
    let all = world.search("profiles", &[], 7).await;
    let ids = |items: &[Json]| {
        let ids: BTreeSet<String> = items
            .iter()
            .map(|item| item["id"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(ids.len(), items.len());
        ids
    };
    assert_eq!(ids(&all).len(), 45);
    let states: BTreeSet<&str> = all
        .iter()
        .map(|item| item["state"].as_str().unwrap())
        .collect();
    assert_eq!(
        states,
        BTreeSet::from(["matched", "confirmed", "refused", "unmatched"])
    );

    let filters: [(&str, &[&str]); 7] = [
        (
            "q",
            &[
                "ada",
                "ADA LOVE",
                "zofie",
                "hopper",
                "p1",
                "p12@example.com",
                "van r",
            ],
        ),
        ("in_crm", &["true", "false"]),
        ("company", &["navy", "engines", "gines", "zlu"]),
        ("title", &["rear", "admiral", "countess of"]),
        ("place", &["london", "va", "united k", "kingdom", "us"]),
        ("owner", &[&world.id(1), &world.id(2), "nobody"]),
        (
            "state",
            &[
                "matched",
                "confirmed",
                "refused",
                "unmatched",
                "gone",
                "created",
            ],
        ),
    ];
    let mut runner = runner();
    let choice =
        prop::collection::vec(prop::option::weighted(0.3, any::<prop::sample::Index>()), 7);
    let mut hits = 0;
    for round in 0..50 {
        let chosen = choice.new_tree(&mut runner).unwrap().current();
        let query: Vec<(&str, String)> = filters
            .iter()
            .zip(chosen)
            .filter_map(|((name, values), chosen)| Some((*name, (*chosen?.get(values)).to_owned())))
            .collect();
        let wanted: Vec<Json> = all
            .iter()
            .filter(|item| query.iter().all(|(name, value)| passes(item, name, value)))
            .cloned()
            .collect();
        let found = world.search("profiles", &query, 5 + round % 9).await;
        hits += found.len();
        assert_eq!(ids(&found), ids(&wanted), "{query:?}");
    }
    assert!(hits > 60, "{hits}");
    // Each kind has its own directory.
    let contract = &world.tenant.made.id;
    let company = NewEntry::new(
        contract,
        EntryKind::Company,
        None,
        matching::Record {
            name: "Ada Ltd".to_owned(),
            ..matching::Record::default()
        },
        Origin::Api,
        None,
    );
    add_entry(
        &harness.store,
        contract,
        &company.unwrap(),
        SystemClock.now(),
    )
    .await;
    let found = world
        .search("companies", &[("q", "ada".to_owned())], 50)
        .await;
    assert_eq!(found.len(), 1);
    assert_eq!(ids(&world.search("profiles", &[], 200).await), ids(&all));
    harness.stop().await;
}

#[tokio::test]
async fn people_decide_which_record_it_is() {
    let harness = Harness::embedded(false).await;
    for crm in BOTH {
        let world = World::new(&harness, crm).await;
        world.import_ada().await;
        let named = |last: &str, email: &str| {
            vec![
                ("FirstName", "Ada".to_owned()),
                ("LastName", last.to_owned()),
                ("Email", email.to_owned()),
            ]
        };
        // A lead with the same name and a contact that has only the name.
        world
            .import(
                "Lead",
                5,
                [
                    named("Lovelace", "ada@analytical-engines.example"),
                    vec![("Company", "Analytical Engines".to_owned())],
                ]
                .concat(),
            )
            .await;
        world
            .import("Contact", 6, named("Lovelace", "other@example.org"))
            .await;
        let ada_id = world.add("/profiles", ada()).await["id"]
            .as_str()
            .unwrap()
            .to_owned();
        let other = json!({ "first_name": "Ada", "last_name": "Lovelace", "emails": ["ada@second.example"] });
        let other_id = world.add("/profiles", other).await["id"]
            .as_str()
            .unwrap()
            .to_owned();
        let at = |id: &str, act: &str| format!("/profiles/{id}/{act}");
        let body = |record: &RecordRef| json!({ "object": record.object, "id": record.id });
        let lead = world.record("Lead", 5);

        // The candidates, the best first, with the fields that agree.
        let found = world.get(&at(&ada_id, "candidates")).await;
        let items = found["items"].as_array().unwrap();
        let scores: Vec<i64> = items
            .iter()
            .map(|item| item["explanation"]["score"].as_i64().unwrap())
            .collect();
        assert!(
            scores.is_sorted_by(|a, b| a >= b) && scores.len() >= 2,
            "{found}"
        );
        let contact = items
            .iter()
            .find(|item| item["record"]["id"] == world.id(1))
            .unwrap();
        assert_eq!(
            (&contact["record"]["url"], &contact["owner"]["name"]),
            (&json!(world.url("Contact", 1)), &json!("Olga Owner"))
        );
        let agreeing: BTreeSet<&str> = contact["agreeing"]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap())
            .collect();
        for name in ["first_name", "last_name", "emails", "company", "city"] {
            assert!(agreeing.contains(name), "{name}: {contact}");
        }
        assert!(!agreeing.contains("phones"), "the entry has none");

        // Another record than the one that was found.
        let (status, matched) = world.post(&at(&ada_id, "match"), body(&lead)).await;
        assert_eq!(status, 200, "{matched}");
        assert_eq!(
            (&matched["state"], &matched["badge"]["url"]),
            (&json!("confirmed"), &json!(world.url("Lead", 5)))
        );
        assert_eq!(matched["decision"]["record"]["id"], lead.id);
        assert!(
            matched["decision"]["by"]
                .as_str()
                .unwrap()
                .starts_with("t-"),
            "{matched}"
        );
        assert_eq!(matched, world.get(&format!("/profiles/{ada_id}")).await);
        // A person's record is not taken by another person's decision.
        let taken = world.post(&at(&other_id, "match"), body(&lead)).await;
        assert_eq!(denied(&taken), (409, "record_taken"));
        let found = world.get(&at(&other_id, "candidates")).await;
        let of_lead = found["items"]
            .as_array()
            .unwrap()
            .iter()
            .find(|item| item["record"]["id"] == lead.id);
        if let Some(of_lead) = of_lead {
            assert_eq!(
                of_lead["taken_by"],
                json!({ "kind": "profile", "id": ada_id, "name": "Ada Lovelace" })
            );
        }
        // It is none of them.
        let unmatched = world.act(&at(&ada_id, "unmatch")).await;
        assert_eq!(
            (&unmatched["state"], &unmatched["badge"], &unmatched["link"]),
            (&json!("refused"), &Json::Null, &Json::Null)
        );
        assert_eq!(unmatched["refused"][0]["id"], lead.id);
        // Adding it again does not undo it.
        assert_eq!(world.add("/profiles", ada()).await["state"], "refused");
        let found = world.get(&at(&ada_id, "candidates")).await;
        let refused: Vec<&Json> = found["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|item| item["refused"] == true)
            .collect();
        assert!(
            refused.iter().all(|item| item["record"]["id"] == lead.id),
            "{found}"
        );
        // Automatically again: not the refused record.
        let again = world.act(&at(&ada_id, "rematch")).await;
        assert_ne!(again["badge"]["id"], json!(lead.id), "{again}");
        assert_eq!(again["decision"], Json::Null);

        let log = world.get("/audit-log").await;
        let actions: Vec<&str> = log["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["action"].as_str().unwrap())
            .collect();
        for action in ["profile.match", "profile.unmatch"] {
            assert!(actions.contains(&action), "{actions:?}");
        }
    }
    harness.stop().await;
}

#[tokio::test]
async fn what_cannot_be_decided_is_refused_and_who_is_removed_is_nowhere() {
    let harness = Harness::embedded(false).await;
    for crm in BOTH {
        let world = World::new(&harness, crm).await;
        world.import_ada().await;
        let ada_id = world.add("/profiles", ada()).await["id"]
            .as_str()
            .unwrap()
            .to_owned();
        let at = |id: &str, act: &str| format!("/profiles/{id}/{act}");
        for (body, status, code) in [
            (
                json!({ "object": world.object("Contact"), "id": world.id(99) }),
                404,
                "record_not_found",
            ),
            (
                json!({ "object": world.object("Account"), "id": world.id(2) }),
                422,
                "record_of_wrong_kind",
            ),
            (
                json!({ "object": "Nonsense", "id": "x" }),
                422,
                "record_of_wrong_kind",
            ),
            (
                json!({ "object": world.object("Contact") }),
                422,
                "invalid_body",
            ),
        ] {
            let answer = world.post(&at(&ada_id, "match"), body).await;
            assert_eq!(denied(&answer), (status, code));
        }
        // Removed, it is nowhere, and its record is free.
        let (status, _) = world
            .tenant
            .api(Method::DELETE, &format!("/profiles/{ada_id}"), None)
            .await;
        assert_eq!(status, StatusCode::NO_CONTENT);
        for (method, path) in [
            (Method::GET, format!("/profiles/{ada_id}")),
            (Method::GET, at(&ada_id, "candidates")),
            (Method::POST, at(&ada_id, "unmatch")),
            (Method::POST, at(&ada_id, "rematch")),
            (Method::DELETE, format!("/profiles/{ada_id}")),
        ] {
            let (status, answer) = world.tenant.api(method, &path, None).await;
            assert_eq!(
                denied(&(status.as_u16(), answer)),
                (404, "not_found"),
                "{path}"
            );
        }
        let free = json!({ "first_name": "Ada", "last_name": "Lovelace", "emails": ["ada@third.example"] });
        let free = world.add("/profiles", free).await["id"].clone();
        let contact = world.record("Contact", 1);
        let (status, answer) = world
            .post(&at(free.as_str().unwrap(), "match"), json!(contact))
            .await;
        assert_eq!(status, 200, "{answer}");
    }
    harness.stop().await;
}

#[tokio::test]
async fn who_is_not_in_the_crm_is_created_there_once() {
    let harness = Harness::embedded(false).await;
    for crm in BOTH {
        let world = World::new(&harness, crm).await;
        let email = world.tenant.email("new");
        let person = json!({
            "first_name": "New", "last_name": "Person", "company": "Newcomers", "emails": [email],
        });
        let person = world.add("/profiles", person).await;
        let company = world
            .add("/companies", json!({ "name": "Newcomers" }))
            .await;
        let create =
            |kind: &str, entry: &Json| format!("/{kind}/{}/create", entry["id"].as_str().unwrap());
        let (status, answer) = world.post(&create("profiles", &person), json!({})).await;
        let off = (status, answer["code"].as_str());
        assert_eq!(off, (409, Some("create_leads_off")));
        let settings = json!({ "create_leads": true });
        let path = "/crm-connections/production/sync-settings";
        let (status, answer) = world.tenant.api(Method::PUT, path, Some(settings)).await;
        assert_eq!(status, StatusCode::OK, "{answer}");

        for (kind, entry, object, label) in [
            ("profiles", &person, "Lead", "Lead"),
            ("companies", &company, "Account", "Account"),
        ] {
            let made = world.act(&create(kind, entry)).await;
            assert_eq!(
                (&made["state"], &made["in_crm"], &made["link"]["how"]),
                (&json!("created"), &json!(true), &json!("created")),
                "{made}"
            );
            let badge = &made["badge"];
            assert_eq!(
                (&badge["object"], &badge["label"]),
                (&json!(world.object(object)), &json!(label))
            );
            assert!(
                badge["url"]
                    .as_str()
                    .unwrap()
                    .starts_with(&world.organization)
            );
            // Nothing is known of it before an import.
            assert_eq!(made["contact"], Json::Null);
            let path = format!("/{kind}/{}", entry["id"].as_str().unwrap());
            assert_eq!(world.get(&path).await["badge"], *badge);
            assert_eq!(world.act(&create(kind, entry)).await["badge"], *badge);
        }
        assert_eq!(world.tenant.leads().await.len(), 1);
    }
    harness.stop().await;
}

#[tokio::test]
async fn rates_passes_and_models_are_shown_to_administrators() {
    let harness = Harness::embedded(false).await;
    let world = World::new(&harness, CrmKind::Salesforce).await;
    let (store, contract) = (&harness.store, &world.tenant.made.id);
    let none = world.get("/matching").await;
    assert_eq!(
        none,
        json!({ "rates": null, "pass": null, "history": [], "next": null })
    );
    for pass in 1..=5 {
        let rates = Rates {
            at: Millis(1_800_000_000_000 + i64::try_from(pass).unwrap()),
            pass,
            objects: vec![ObjectRates {
                object: "Contact".to_owned(),
                records: 10,
                matched: 4,
                manual: 1,
                unmatched: 6,
            }],
            entries: vec![
                EntryRates {
                    kind: EntryKind::Profile,
                    entries: 8,
                    matched: 5,
                    manual: 1,
                    refused: 1,
                    unmatched: 3,
                },
                EntryRates::none(EntryKind::Company),
            ],
        };
        store.put_rates(contract, &rates).await.unwrap();
    }
    let shown = world.get("/matching").await;
    let now = &shown["rates"];
    assert_eq!(
        (&now["pass"], &now["objects"][0]["matched_permille"]),
        (&json!(5), &json!(400))
    );
    assert_eq!(
        now["entries"][0],
        json!({ "kind": "profile", "entries": 8, "matched": 5, "manual": 1, "refused": 1, "unmatched": 3, "matched_permille": 625 })
    );
    assert_eq!(now["entries"][1]["matched_permille"], Json::Null);
    let mut passes = Vec::new();
    let mut before = String::new();
    loop {
        let page = world.get(&format!("/matching?limit=2{before}")).await;
        assert_eq!(page["rates"]["pass"], 5);
        passes.extend(
            page["history"]
                .as_array()
                .unwrap()
                .iter()
                .map(|rates| rates["pass"].as_u64().unwrap()),
        );
        let Some(next) = page["next"].as_i64() else {
            break;
        };
        before = format!("&before={next}");
    }
    assert_eq!(passes, [5, 4, 3, 2, 1]);

    let run = world.act("/matching/run").await;
    assert_eq!((&run["state"], &run["pass"]), (&json!("queued"), &json!(1)));
    assert_eq!(world.act("/matching/run").await, run, "the one that waits");
    assert_eq!(world.get("/matching").await["pass"], run);

    for kind in ["profile", "company"] {
        let shipped = world.get(&format!("/matching/models/{kind}")).await;
        assert_eq!(
            (&shipped["version"], &shipped["versions"], &shipped["kind"]),
            (&json!(0), &json!([]), &json!(kind))
        );
        assert!(!shipped["model"]["fields"].as_array().unwrap().is_empty());
        let mut learned = matching::Model::shipped(kind.parse::<EntryKind>().unwrap().matching());
        learned.version = 1;
        learned.threshold += 1;
        store
            .put_model(contract, kind.parse().unwrap(), &learned, SystemClock.now())
            .await
            .unwrap();
        let current = world.get(&format!("/matching/models/{kind}")).await;
        assert_eq!(
            (&current["version"], &current["threshold"]),
            (&json!(1), &json!(learned.threshold))
        );
        assert_eq!(current["versions"][0]["version"], 1);
        for (version, threshold) in [(0, learned.threshold - 1), (1, learned.threshold)] {
            let kept = world
                .get(&format!("/matching/models/{kind}?version={version}"))
                .await;
            assert_eq!(
                (&kept["version"], &kept["threshold"]),
                (&json!(version), &json!(threshold))
            );
        }
    }
    for (path, status, code) in [
        ("/matching/models/robot", 404, "not_found"),
        ("/matching/models/profile?version=7", 404, "not_found"),
        ("/matching/models/profile?version=x", 400, "invalid_query"),
        ("/matching?limit=0", 400, "invalid_limit"),
        ("/matching?before=x", 400, "invalid_query"),
    ] {
        let (found, answer) = world.tenant.api(Method::GET, path, None).await;
        assert_eq!(denied(&(found.as_u16(), answer)), (status, code), "{path}");
    }
    harness.stop().await;
}

#[tokio::test]
async fn a_directory_is_its_contracts_own_and_roles_do_what_they_may() {
    let harness = Harness::embedded(false).await;
    let ours = World::new(&harness, CrmKind::Salesforce).await;
    let theirs = World::new(&harness, CrmKind::Salesforce).await;
    let id = ours.add("/profiles", ada()).await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let one = format!("/profiles/{id}");
    let record = json!({ "object": "Contact", "id": "x" });
    let items = json!({ "items": [ada()] });
    let (get, post, delete) = (Method::GET, Method::POST, Method::DELETE);
    // The roles that may, besides administrators: salespeople, services.
    let table = [
        (&get, "/profiles".to_owned(), None, true, true),
        (&get, "/companies".to_owned(), None, true, true),
        (&get, one.clone(), None, true, true),
        (&get, format!("{one}/candidates"), None, true, true),
        (&post, "/profiles".to_owned(), Some(ada()), false, true),
        (
            &post,
            "/companies".to_owned(),
            Some(json!({ "name": "Acme" })),
            false,
            true,
        ),
        (
            &post,
            "/profiles/batch".to_owned(),
            Some(items),
            false,
            true,
        ),
        (&post, "/profiles/csv".to_owned(), None, false, true),
        (&post, "/profiles/csv/columns".to_owned(), None, false, true),
        (&post, format!("{one}/match"), Some(record), true, false),
        (&post, format!("{one}/unmatch"), None, true, false),
        (&post, format!("{one}/rematch"), None, true, false),
        (&post, format!("{one}/create"), None, true, false),
        (&get, "/matching".to_owned(), None, false, false),
        (
            &get,
            "/matching/models/profile".to_owned(),
            None,
            false,
            false,
        ),
        (&post, "/matching/run".to_owned(), None, false, false),
        (&delete, one.clone(), None, false, true),
    ];
    let tokens = &ours.tenant.made.tokens;
    for (method, path, body, salesperson, service) in table {
        let call = async |token: &str| {
            let (status, answer) = ours
                .tenant
                .api_as(token, method.clone(), &path, body.clone())
                .await;
            (status.as_u16(), answer["code"].clone())
        };
        assert_eq!(call("nonsense").await.0, 401, "{method} {path}");
        for (token, may) in [
            (&tokens.salesperson, salesperson),
            (&tokens.service, service),
        ] {
            let (status, code) = call(token).await;
            let refused = (status, &code) == (403, &json!("role_not_allowed"));
            assert_eq!(refused, !may, "{method} {path}: {status} {code}");
        }
        // An entry of another contract is answered as missing.
        if path.starts_with(&one) {
            let (status, answer) = theirs.tenant.api(method.clone(), &path, body.clone()).await;
            let code = answer["code"].as_str().unwrap_or_default();
            if path.ends_with("/create") {
                // It says so before it looks.
                assert_eq!((status.as_u16(), code), (409, "create_leads_off"));
                continue;
            }
            assert_eq!(
                (status.as_u16(), code),
                (404, "not_found"),
                "{method} {path}"
            );
        }
    }
    assert_eq!(theirs.get("/profiles").await["items"], json!([]));
    harness.stop().await;
}
