//! Leads and contacts that a seat holder creates and updates in both CRMs as themselves (LC-1 to LC-7).

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use axum::http::Method;
use futures::future::join_all;
use local::Apps;
use serde_json::{Value, json};
use shared::domain::schema::CrmKind;
use shared::domain::user_writes::{MONTHLY_LIMIT, Month, WriteKind};
use shared::testing::{Cut, Tripwire};

use super::crm_connection::world::{Answer, PRODUCTION, SELLER, SignedIn, Who, World, for_both};

const COMPANY: &str = "Makers";

/// A seat holder with a person who is in no CRM.
struct Desk {
    world: World,
    seat: SignedIn,
    nora: String,
}

impl Desk {
    /// A desk whose seat holder has signed in to the CRM, with everything switched on.
    async fn open(crm: CrmKind) -> Self {
        let desk = Self::without_sign_in(crm).await;
        desk.world.sign_in_own(&desk.seat, SELLER).await.is(200);
        desk
    }

    async fn without_sign_in(crm: CrmKind) -> Self {
        Box::pin(Self::set_up(crm)).await
    }

    async fn set_up(crm: CrmKind) -> Self {
        let world = World::start(crm).await;
        world.connect_and_import(PRODUCTION).await;
        let seat = world.seat(SELLER).await;
        let mut desk = Self {
            world,
            seat,
            nora: String::new(),
        };
        desk.switch(true).await;
        desk.nora = desk.person("Nora").await;
        desk
    }

    /// Switches creating and updating on or off.
    async fn switch(&self, on: bool) {
        let source = self.pick("Web", "8");
        let settings = json!({
            "create_leads": on, "update_leads": on, "create_contacts": on, "update_contacts": on,
            "lead_source": source,
        });
        let put = self
            .world
            .of(PRODUCTION, Method::PUT, "/sync-settings", settings);
        put.await.is(200);
    }

    /// The CRM's word, of both.
    fn pick<'t>(&self, salesforce: &'t str, dataverse: &'t str) -> &'t str {
        match self.world.crm {
            CrmKind::Salesforce => salesforce,
            CrmKind::Dynamics365 => dataverse,
        }
    }

    async fn person(&self, first: &str) -> String {
        let person = json!({
            "first_name": first, "last_name": "Maker", "company": COMPANY, "title": "CTO",
            "emails": [format!("{}@makers.example", first.to_lowercase())], "country": "Netherlands",
        });
        let answer = self.world.api(Method::POST, "/profiles", person).await;
        let answer = answer.is(201).json;
        answer["entry"]["id"].as_str().unwrap().to_owned()
    }

    async fn by(&self, apps: &Apps, method: Method, path: &str, body: &Value) -> Answer {
        let path = format!("/api/v1{path}");
        self.world
            .call(apps, Who::Seat(&self.seat), method, &path, body)
            .await
    }

    async fn get(&self, path: &str) -> Answer {
        self.by(&self.world.apps, Method::GET, path, &Value::Null)
            .await
    }

    async fn form(&self, profile: &str, object: &str) -> Value {
        let path = format!("/crm/profiles/{profile}/form?object={object}");
        self.get(&path).await.is(200).json
    }

    /// A request for a new record with what the form knows.
    async fn filled(&self, profile: &str, object: &str, key: &str) -> Value {
        let form = self.form(profile, object).await;
        let fields = form["fields"].as_array().unwrap().iter();
        let values = fields.filter(|field| field["value"] != "");
        let values: serde_json::Map<String, Value> = values
            .map(|field| {
                let name = field["name"].as_str().unwrap();
                (name.to_owned(), field["value"].clone())
            })
            .collect();
        json!({ "idempotency_key": key, "object": object, "values": values })
    }

    async fn create(&self, profile: &str, request: &Value) -> Answer {
        let path = format!("/crm/profiles/{profile}/record");
        self.by(&self.world.apps, Method::POST, &path, request)
            .await
    }

    async fn update(&self, version: &Value, values: Value) -> Answer {
        let path = format!("/crm/profiles/{}/record", self.nora);
        let body = json!({ "version": version, "values": values });
        self.by(&self.world.apps, Method::PATCH, &path, &body).await
    }

    async fn comparison(&self) -> Value {
        let path = format!("/crm/profiles/{}/record", self.nora);
        self.get(&path).await.is(200).json
    }

    /// The live records of an object.
    async fn records(&self, object: &str) -> Vec<Value> {
        let object = match self.world.crm {
            CrmKind::Salesforce => object.to_owned(),
            CrmKind::Dynamics365 => object.to_lowercase(),
        };
        let path = format!("/records/{}/{object}", self.world.system());
        let records = self.world.control(Method::GET, &path, Value::Null).await;
        records.as_array().unwrap().clone()
    }

    async fn leads(&self) -> Vec<Value> {
        self.records("Lead").await
    }

    /// Makes a record behind our back; gives its id.
    async fn there(&self, object: &str, salesforce: Value, dataverse: Value) -> String {
        let (object, values) = match self.world.crm {
            CrmKind::Salesforce => (object.to_owned(), salesforce),
            CrmKind::Dynamics365 => (object.to_lowercase(), dataverse),
        };
        let path = format!("/records/{}/{object}", self.world.system());
        let made = self.world.control(Method::POST, &path, values).await;
        let id = made.get("id").or_else(|| made.get("Id"));
        id.and_then(Value::as_str).unwrap().to_owned()
    }

    async fn account(&self, name: &str) -> String {
        self.there("Account", json!({ "Name": name }), json!({ "name": name }))
            .await
    }

    /// Adds writes of others to this month's counter, in one call.
    async fn count(&self, kind: WriteKind, number: u32) {
        let id = |number: u32| Blob::new(u128::from(number).to_be_bytes());
        let ids = AttributeValue::Bs((0..number).map(id).collect());
        let pk = format!("C#{}#USERWRITES#{}", self.world.made.id, self.seat.seat);
        let month = Month::of(self.world.now()).name;
        let sk = format!("MONTH#{month}#{}", kind.as_str());
        shared::aws::dynamodb(&self.world.stack.aws)
            .update_item()
            .table_name(local::TABLE)
            .key("PK", AttributeValue::S(pk))
            .key("SK", AttributeValue::S(sk))
            .update_expression("ADD ids :ids")
            .expression_attribute_values(":ids", ids)
            .send()
            .await
            .unwrap();
    }
}

fn field<'f>(form: &'f Value, name: &str) -> &'f Value {
    let fields = form["fields"].as_array().unwrap();
    let field = fields.iter().find(|field| field["name"] == name);
    field.unwrap_or_else(|| panic!("no {name} in {fields:?}"))
}

for_both!(a_lead_is_created_as_the_user_once_and_stands_in_the_audit_log);
async fn a_lead_is_created_as_the_user_once_and_stands_in_the_audit_log(crm: CrmKind) {
    let desk = Desk::open(crm).await;
    let before = desk.leads().await.len();
    // A field of the organisation's own.
    let (path, own) = match crm {
        CrmKind::Salesforce => (
            "/fields/salesforce/Lead",
            json!({ "name": "Size__c", "restricted_values": ["S", "M"], "required": true }),
        ),
        CrmKind::Dynamics365 => (
            "/fields/dataverse/lead",
            json!({ "name": "lb_size", "restricted_values": { "1": "S", "2": "M" }, "required": true }),
        ),
    };
    desk.world.control(Method::POST, path, own).await;
    let (size, medium) = (desk.pick("Size__c", "lb_size"), desk.pick("M", "2"));

    let form = desk.form(&desk.nora, "lead").await;
    assert_eq!(
        (
            &form["enabled"],
            &form["notices"]["matched"],
            &form["account"]
        ),
        (&json!(true), &Value::Null, &Value::Null)
    );
    assert_eq!(
        form["limits"]["creates"],
        json!({ "limit": 1000, "left": 1000 })
    );
    let first = field(&form, desk.pick("FirstName", "firstname"));
    assert_eq!(
        (
            &first["value"],
            &first["origin"],
            &first["required"],
            &first["type"]
        ),
        (
            &json!("Nora"),
            &json!("profile"),
            &json!(true),
            &json!("text")
        )
    );
    let source = field(&form, desk.pick("LeadSource", "leadsourcecode"));
    assert_eq!(
        (&source["value"], &source["origin"]),
        (&json!(desk.pick("Web", "8")), &json!("settings"))
    );
    let of_organization = field(&form, size);
    assert_eq!(
        (
            &of_organization["custom"],
            &of_organization["required"],
            &of_organization["options"][1]["value"]
        ),
        (&json!(true), &json!(true), &json!(medium))
    );

    // Values are checked before anything is written.
    let mut request = desk.filled(&desk.nora, "lead", "one").await;
    let refused = async |request: &Value| {
        let answer = desk.create(&desk.nora, request).await.is(422);
        let field = answer.json["field"].as_str().unwrap().to_owned();
        (answer.code().to_owned(), field)
    };
    assert_eq!(
        refused(&request).await,
        ("required".to_owned(), size.to_owned())
    );
    request["values"][size] = json!("9");
    assert_eq!(
        refused(&request).await,
        ("not_a_choice".to_owned(), size.to_owned())
    );
    request["values"][size] = json!(medium);
    let title = desk.pick("Title", "jobtitle");
    let mut long = request.clone();
    long["values"][title] = json!("x".repeat(1000));
    assert_eq!(
        refused(&long).await,
        ("value_does_not_fit".to_owned(), title.to_owned())
    );
    let mut given_away = request.clone();
    let owner = desk.pick("OwnerId", "ownerid");
    given_away["values"][owner] = json!("x");
    assert_eq!(
        refused(&given_away).await,
        ("unknown_field".to_owned(), owner.to_owned())
    );
    assert_eq!(desk.leads().await.len(), before);

    let made = desk.create(&desk.nora, &request).await.is(201).json;
    assert_eq!(
        (
            &made["outcome"],
            &made["profile"]["state"],
            &made["limits"]["creates"]["left"]
        ),
        (&json!("created"), &json!("created"), &json!(999))
    );
    assert_eq!(made["profile"]["badge"], made["record"]);
    let again = desk.create(&desk.nora, &request).await.is(200).json;
    assert_eq!(
        (
            &again["outcome"],
            &again["record"],
            &again["limits"]["creates"]["left"]
        ),
        (&json!("existed"), &made["record"], &json!(999))
    );
    request["values"][title] = json!("CIO");
    let other = desk.create(&desk.nora, &request).await.is(409);
    assert_eq!(other.code(), "key_reused");
    request["idempotency_key"] = json!("two");
    let matched = desk.create(&desk.nora, &request).await.is(409);
    assert_eq!(matched.code(), "already_matched");
    assert_eq!(
        desk.form(&desk.nora, "lead").await["notices"]["matched"],
        made["record"]
    );

    let leads = desk.leads().await;
    assert_eq!(leads.len(), before + 1);
    let key = desk.pick("Id", "leadid");
    let lead = leads.iter().find(|lead| lead[key] == made["record"]["id"]);
    let lead = lead.unwrap();
    // As the seller, not as the administrator who connected.
    let user = desk.world.own(&desk.seat).await["user"]["id"].clone();
    let owner = desk.pick("OwnerId", "_ownerid_value");
    assert_eq!(lead[owner], user, "{lead}");
    assert_eq!(lead[title], "CTO");
    let entries = desk.world.audit("crm.lead.create").await;
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].actor, format!("seat:{}", desk.seat.seat));
    assert_eq!(entries[0].after["record"]["id"], made["record"]["id"]);
    desk.world.stop().await;
}

for_both!(a_duplicate_rule_is_a_dialogue);
async fn a_duplicate_rule_is_a_dialogue(crm: CrmKind) {
    let desk = Desk::open(crm).await;
    if crm == CrmKind::Salesforce {
        desk.world
            .settings(json!({ "duplicate_rule": "alert" }))
            .await;
    }
    let there = desk
        .there(
            "Lead",
            json!({ "FirstName": "Nora", "LastName": "Maker", "Company": "Old", "Email": "nora@makers.example" }),
            json!({ "subject": "x", "firstname": "Nora", "lastname": "Maker", "companyname": "Old", "fullname": "Nora Maker", "emailaddress1": "nora@makers.example" }),
        )
        .await;
    let before = desk.leads().await.len();
    let form = desk.form(&desk.nora, "lead").await;
    let same = &form["notices"]["same_name"];
    assert_eq!(
        (&same[0]["record"]["id"], &same[0]["company"]),
        (&json!(there), &json!("Old"))
    );

    let mut request = desk.filled(&desk.nora, "lead", "one").await;
    let problem = desk.create(&desk.nora, &request).await.is(409);
    assert_eq!(problem.code(), "duplicates_found", "{}", problem.json);
    let found = &problem.json["duplicates"];
    assert_eq!(
        (
            &found["allowed"],
            &found["records"][0]["id"],
            &found["records"][0]["company"]
        ),
        (&json!(true), &json!(there), &json!("Old"))
    );
    assert!(
        found["records"][0]["url"]
            .as_str()
            .unwrap()
            .contains(&there)
    );
    assert_eq!(desk.leads().await.len(), before);
    // What was not created does not count.
    let left = &desk.form(&desk.nora, "lead").await["limits"]["creates"]["left"];
    assert_eq!(*left, json!(1000));

    request["create_anyway"] = json!(true);
    desk.create(&desk.nora, &request).await.is(201);
    assert_eq!(desk.leads().await.len(), before + 1);

    // Another takes the record that is there.
    let other = desk.person("Nora-Jane").await;
    let path = format!("/crm/profiles/{other}/record/use");
    // Dataverse takes an id in other letters too.
    let other_form = there.to_uppercase();
    let body = json!({ "object": "lead", "id": desk.pick(&there, &other_form) });
    let used = desk.by(&desk.world.apps, Method::POST, &path, &body).await;
    let used = used.is(200).json;
    assert_eq!(used["profile"]["badge"]["id"], json!(there));
    let gone = json!({ "object": "lead", "id": desk.pick("00Q000000000009AAA", "5f1d0000-0000-4000-8000-0000000000ff") });
    let missing = desk.by(&desk.world.apps, Method::POST, &path, &gone).await;
    assert_eq!(missing.is(404).code(), "record_not_found");
    if crm == CrmKind::Salesforce {
        desk.world
            .settings(json!({ "duplicate_rule": "block" }))
            .await;
        let third = desk.person("Third").await;
        let mut request = desk.filled(&third, "lead", "three").await;
        request["values"]["Email"] = json!("nora@makers.example");
        request["create_anyway"] = json!(true);
        let problem = desk.create(&third, &request).await.is(409);
        assert_eq!(problem.json["duplicates"]["allowed"], json!(false));
    }
    desk.world.stop().await;
}

for_both!(a_contact_is_created_with_its_account);
async fn a_contact_is_created_with_its_account(crm: CrmKind) {
    let desk = Desk::open(crm).await;
    let account = desk.account(COMPANY).await;
    desk.account("Makeshift").await;
    let found = desk.get("/crm/accounts?q=Make").await.is(200).json;
    let names: Vec<&Value> = found["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| &item["name"])
        .collect();
    assert_eq!(names, ["Makers", "Makeshift"]);
    let short = desk.get("/crm/accounts?q=M").await.is(400);
    assert_eq!(short.code(), "invalid_filter");
    let form = desk.form(&desk.nora, "contact").await;
    assert_eq!(form["account"]["proposed"]["id"], json!(account));
    let mut request = desk.filled(&desk.nora, "contact", "one").await;
    let problem = desk.create(&desk.nora, &request).await.is(422);
    assert_eq!(problem.code(), "account_required");
    request["account"] =
        json!(desk.pick("001000000000009AAA", "5f1d0000-0000-4000-8000-0000000000ff"));
    let problem = desk.create(&desk.nora, &request).await.is(422);
    assert_eq!(problem.code(), "account_not_found");
    request["account"] = json!(account);
    let made = desk.create(&desk.nora, &request).await.is(201).json;
    let contacts = desk.records("Contact").await;
    let key = desk.pick("Id", "contactid");
    let contact = contacts
        .iter()
        .find(|contact| contact[key] == made["record"]["id"])
        .unwrap();
    assert_eq!(
        contact[desk.pick("AccountId", "_parentcustomerid_value")],
        json!(account)
    );
    desk.world.stop().await;
}

for_both!(a_contact_is_added_to_an_opportunity_once);
async fn a_contact_is_added_to_an_opportunity_once(crm: CrmKind) {
    let desk = Desk::open(crm).await;
    let account = desk.account(COMPANY).await;
    let deal = |name: &'static str, closed: bool| {
        let stage = if closed { "Closed Won" } else { "Prospecting" };
        let salesforce = json!({
            "Name": name, "AccountId": account, "CloseDate": "2027-01-31", "StageName": stage,
        });
        let status = if closed { (1, 3) } else { (0, 1) };
        let dataverse = json!({
            "name": name, "_parentaccountid_value": account, "estimatedclosedate": "2027-01-31",
            "statecode": status.0, "statuscode": status.1,
        });
        desk.there("Opportunity", salesforce, dataverse)
    };
    let parts = || desk.records(desk.pick("OpportunityContactRole", "connection"));
    let before = parts().await.len();
    let open = deal("Engines", false).await;
    let second = deal("Looms", false).await;
    deal("Wheels", true).await;
    let role = match crm {
        CrmKind::Salesforce => "Decision Maker".to_owned(),
        CrmKind::Dynamics365 => {
            desk.there(
                "ConnectionRole",
                json!({}),
                json!({ "name": "Decision Maker" }),
            )
            .await
        }
    };
    desk.world.sync_now(PRODUCTION).await.is(202);
    desk.world.drain().await;

    let nora = format!("/crm/profiles/{}/opportunities", desk.nora);
    let ask = |body: Value| {
        let (desk, path) = (&desk, &nora);
        async move { desk.by(&desk.world.apps, Method::POST, path, &body).await }
    };
    let request = json!({ "idempotency_key": "one", "opportunity": open, "role": role });
    // A lead, or nobody, has no part in an opportunity.
    assert_eq!(ask(request.clone()).await.is(409).code(), "not_a_contact");
    assert_eq!(desk.get(&nora).await.is(409).code(), "not_a_contact");
    let mut contact = desk.filled(&desk.nora, "contact", "contact").await;
    contact["account"] = json!(account);
    let made = desk.create(&desk.nora, &contact).await.is(201).json;

    let choices = desk.get(&nora).await.is(200).json;
    let offered = choices["opportunities"].as_array().unwrap();
    let mut names: Vec<&str> = offered
        .iter()
        .filter_map(|one| one["name"].as_str())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["Engines", "Looms"]);
    assert_eq!(choices["contact"]["id"], made["record"]["id"]);
    let roles = choices["roles"].as_array().unwrap();
    let expected = json!({ "value": role, "label": "Decision Maker" });
    assert!(roles.contains(&expected), "{roles:?}");

    for (opportunity, role, code) in [
        ("x", json!(null), "opportunity_not_found"),
        (
            desk.pick("006000000000009AAA", "5f1d0000-0000-4000-8000-0000000000ff"),
            json!(null),
            "opportunity_not_found",
        ),
        (&open, json!("Emperor"), "not_a_choice"),
    ] {
        let body = json!({ "idempotency_key": "bad", "opportunity": opportunity, "role": role });
        assert_eq!(ask(body).await.is(422).code(), code);
    }
    assert_eq!(parts().await.len(), before);

    // The reply is lost, and the request sent again, at once and later.
    let fault = json!({
        "system": desk.world.system(), "method": desk.pick("POST", "PATCH"), "kind": "lost_reply",
        "path_contains": desk.pick("/sobjects/OpportunityContactRole", "/connections("),
    });
    desk.world.fault(fault).await;
    let lost = ask(request.clone()).await;
    assert!(lost.status >= 500, "{}", lost.json);
    desk.world.no_faults().await;
    desk.world.advance(130).await;
    let added = ask(request.clone()).await.is(201).json;
    assert_eq!(added["outcome"], "added");
    let mut found = parts().await;
    assert_eq!(found.len(), before + 1, "{found:?}");
    found.retain(|part| part[desk.pick("OpportunityId", "_record1id_value")] == json!(open));
    let of = |field: &str| found[0][field].clone();
    assert_eq!(
        of(desk.pick("ContactId", "_record2id_value")),
        made["record"]["id"]
    );
    assert_eq!(of(desk.pick("Role", "_record2roleid_value")), json!(role));
    // By the same request, and by another one for the same contact and opportunity.
    assert_eq!(
        ask(request.clone()).await.is(200).json["outcome"],
        "existed"
    );
    let other = json!({ "idempotency_key": "two", "opportunity": open });
    assert_eq!(ask(other).await.is(200).json["outcome"], "existed");
    let reused = json!({ "idempotency_key": "one", "opportunity": second, "role": role });
    assert_eq!(ask(reused).await.is(409).code(), "key_reused");
    assert_eq!(parts().await.len(), before + 1);

    // A process that dies between any two calls is continued by the next request.
    let request = json!({ "idempotency_key": "three", "opportunity": second });
    let path = format!("/api/v1{nora}");
    let anew = async |apps: &Apps| {
        // A session ends sooner than this test.
        let seat = desk.world.again(SELLER).await;
        let by = Who::Seat(&seat);
        desk.world
            .call(apps, by, Method::POST, &path, &request)
            .await
    };
    for cut in Cut::each() {
        let wire = Tripwire::cutting(cut);
        anew(&desk.world.over(&wire)).await;
        // Longer than the lease, and than a call can be at work.
        desk.world.advance(200).await;
        if !wire.has_cut() {
            break;
        }
    }
    let done = anew(&desk.world.apps).await.is(200).json;
    assert_eq!(done["outcome"], "existed");
    assert_eq!(parts().await.len(), before + 2);
    let audit = desk.world.audit("crm.contact_role.create").await;
    assert_eq!(audit.len(), 3);
    desk.world.stop().await;
}

/// LC-3: a look-up field that the organisation requires is searched, as the seat holder, and filled in.
#[tokio::test]
async fn a_required_look_up_is_searched_and_filled_in() {
    let desk = Desk::open(CrmKind::Salesforce).await;
    let plant = desk.account("Plant of Delft").await;
    let own = json!({
        "name": "Plant__c", "type": "reference", "reference_to": ["Account"], "required": true,
    });
    let path = "/fields/salesforce/Lead";
    desk.world.control(Method::POST, path, own).await;
    let form = desk.form(&desk.nora, "lead").await;
    let lookup = field(&form, "Plant__c");
    assert_eq!(
        (&lookup["type"], &lookup["crm_type"], &lookup["required"]),
        (&json!("unsupported"), &json!("reference"), &json!(true))
    );
    let search = "/crm/lookups?object=lead&field=Plant__c";
    let found = desk
        .get(&format!("{search}&q=Plant%20of"))
        .await
        .is(200)
        .json;
    let expected = json!([{ "object": "Account", "id": plant, "name": "Plant of Delft" }]);
    assert_eq!(found["items"], expected);
    let nothing = desk.get("/crm/lookups?field=Email&q=Plant").await.is(200);
    assert_eq!(nothing.json["items"], json!([]));
    let short = desk.get(&format!("{search}&q=p")).await.is(400);
    assert_eq!(short.code(), "invalid_filter");

    let mut request = desk.filled(&desk.nora, "lead", "one").await;
    let missing = desk.create(&desk.nora, &request).await.is(422);
    assert_eq!(
        (missing.code(), &missing.json["field"]),
        ("required", &json!("Plant__c"))
    );
    request["values"]["Plant__c"] = json!("Plant of Delft");
    let name = desk.create(&desk.nora, &request).await.is(422);
    assert_eq!(name.code(), "value_does_not_fit");
    request["values"]["Plant__c"] = json!(plant);
    let made = desk.create(&desk.nora, &request).await.is(201).json;
    let leads = desk.leads().await;
    let lead = leads.iter().find(|lead| lead["Id"] == made["record"]["id"]);
    assert_eq!(lead.unwrap()["Plant__c"], json!(plant));
    desk.world.stop().await;
}

for_both!(exactly_a_thousand_are_created_in_a_month);
async fn exactly_a_thousand_are_created_in_a_month(crm: CrmKind) {
    let desk = Desk::open(crm).await;
    let before = desk.leads().await.len();
    // The last four of a thousand, wanted by twelve at once.
    desk.count(WriteKind::Create, MONTHLY_LIMIT - 4).await;
    let mut request = desk.filled(&desk.nora, "lead", "x").await;
    request["although_matched"] = json!(true);
    request["create_anyway"] = json!(true);
    let create = |number: usize| {
        let (mut request, desk) = (request.clone(), &desk);
        request["idempotency_key"] = json!(format!("key {number}"));
        async move {
            let answer = desk.create(&desk.nora, &request).await;
            (answer.status, answer.code().to_owned())
        }
    };
    let answers = join_all((0..12).map(create)).await;
    let over = answers
        .iter()
        .filter(|(_, code)| code == "monthly_limit")
        .count();
    assert_eq!(
        (over, desk.leads().await.len() - before),
        (8, 4),
        "{answers:?}"
    );
    assert!(
        answers.iter().all(|(status, code)| matches!(
            (*status, code.as_str()),
            // Several that link one person at once may lose to each other: the record is there all the same.
            (201 | 429, _) | (409, "changed_meanwhile")
        )),
        "{answers:?}"
    );
    let form = desk.form(&desk.nora, "lead").await;
    assert_eq!(form["limits"]["creates"]["left"], 0);
    let ends = form["limits"]["resets_at"].as_i64().unwrap();
    desk.world
        .advance((ends - desk.world.now().0) / 1000 + 1)
        .await;
    let seat = desk.world.again(SELLER).await;
    let desk = Desk { seat, ..desk };
    let mut request = desk.filled(&desk.nora, "lead", "next month").await;
    request["although_matched"] = json!(true);
    request["create_anyway"] = json!(true);
    desk.create(&desk.nora, &request).await.is(201);
    desk.world.stop().await;
}

for_both!(a_lost_reply_creates_nothing_twice);
async fn a_lost_reply_creates_nothing_twice(crm: CrmKind) {
    let desk = Desk::open(crm).await;
    let before = desk.leads().await.len();
    let request = desk.filled(&desk.nora, "lead", "one").await;
    let part = desk.pick("/sobjects/Lead", "/leads(");
    let fault = json!({
        "system": desk.world.system(), "method": desk.pick("POST", "PATCH"), "path_contains": part,
        "kind": "lost_reply",
    });
    desk.world.fault(fault).await;
    let lost = desk.create(&desk.nora, &request).await;
    assert!(lost.status >= 500, "{}", lost.json);
    desk.world.no_faults().await;
    assert_eq!(desk.leads().await.len(), before + 1);
    let made = desk.create(&desk.nora, &request).await.is(201).json;
    assert_eq!(made["limits"]["creates"]["left"], 999);
    assert_eq!(desk.leads().await.len(), before + 1);

    // A process that dies between any two calls is continued by the next request.
    let other = desk.person("Olga").await;
    let request = desk.filled(&other, "lead", "two").await;
    let path = format!("/crm/profiles/{other}/record");
    for cut in Cut::each() {
        let wire = Tripwire::cutting(cut);
        let apps = desk.world.over(&wire);
        desk.by(&apps, Method::POST, &path, &request).await;
        // Longer than the lease.
        desk.world.advance(70).await;
        if !wire.has_cut() {
            break;
        }
    }
    let made = desk.create(&other, &request).await.is(200).json;
    assert_eq!(made["limits"]["creates"]["left"], 998);
    assert_eq!(desk.leads().await.len(), before + 2);
    assert_eq!(desk.world.audit("crm.lead.create").await.len(), 2);
    desk.world.stop().await;
}

/// Without our fields Salesforce refuses no second record of one creation. A process dies beside a call that
/// takes effect 100 seconds later.
#[tokio::test]
async fn a_creation_that_salesforce_is_still_at_work_on_is_waited_for() {
    let desk = Desk::open(CrmKind::Salesforce).await;
    let bare = json!({ "leadbridge_fields_installed": false });
    desk.world.settings(bare).await;
    let before = desk.leads().await.len();
    let dropped = json!({
        "system": "salesforce", "method": "POST", "path_contains": "/sobjects/Lead", "kind": "drop",
        "times": 9,
    });
    desk.world.fault(dropped).await;
    let first = desk.filled(&desk.nora, "lead", "one").await;
    let path = format!("/crm/profiles/{}/record", desk.nora);
    let counted = Tripwire::new();
    let lost = desk
        .by(&desk.world.over(&counted), Method::POST, &path, &first)
        .await;
    assert!(lost.status >= 500, "{}", lost.json);

    // The last call gives the creation back: this process does not live to make it.
    let olga = desk.person("Olga").await;
    let request = desk.filled(&olga, "lead", "two").await;
    let path = format!("/crm/profiles/{olga}/record");
    let giving_back = counted.aws_calls() + counted.outside_calls() - 1;
    let wire = Tripwire::cutting(Cut::Before(giving_back));
    desk.by(&desk.world.over(&wire), Method::POST, &path, &request)
        .await;
    assert!(wire.has_cut());
    desk.world.no_faults().await;

    // Longer than the lease.
    desk.world.advance(70).await;
    // An attempt that does not get as far as to see that the one before died.
    let busy = json!({
        "system": "salesforce", "method": "GET", "path_contains": "/sobjects/Lead/describe",
        "kind": "status", "status": 503, "times": 9,
    });
    desk.world.fault(busy).await;
    let failed = desk.create(&olga, &request).await;
    assert!(failed.status >= 500, "{}", failed.json);
    desk.world.no_faults().await;
    let early = desk.create(&olga, &request).await.is(409);
    assert_eq!(early.code(), "write_in_progress");
    let wait = early.headers["retry-after"].to_str().unwrap();
    let wait: i64 = wait.parse().unwrap();
    assert!((100..=112).contains(&wait), "{}", early.json);
    assert_eq!(desk.leads().await.len(), before);
    desk.world.advance(30).await;
    let values = json!({
        "FirstName": "Olga", "LastName": "Maker", "Company": COMPANY, "Email": "olga@makers.example",
    });
    let late = desk.there("Lead", values, Value::Null).await;
    desk.world.advance(wait - 29).await;
    let made = desk.create(&olga, &request).await.is(201).json;
    assert_eq!(made["record"]["id"], json!(late));
    assert_eq!(desk.leads().await.len(), before + 1);
    assert_eq!(desk.world.audit("crm.lead.create").await.len(), 1);

    // The first one never took effect.
    desk.create(&desk.nora, &first).await.is(201);
    assert_eq!(desk.leads().await.len(), before + 2);
    desk.world.stop().await;
}

for_both!(a_new_record_in_the_place_of_a_match_is_linked_though_its_process_died);
async fn a_new_record_in_the_place_of_a_match_is_linked_though_its_process_died(crm: CrmKind) {
    let desk = Desk::open(crm).await;
    let request = desk.filled(&desk.nora, "lead", "one").await;
    let first = desk.create(&desk.nora, &request).await.is(201).json;
    desk.world.advance(60).await;
    let mut request = desk.filled(&desk.nora, "lead", "two").await;
    request["although_matched"] = json!(true);
    request["create_anyway"] = json!(true);
    let path = format!("/crm/profiles/{}/record", desk.nora);
    for cut in Cut::each() {
        let wire = Tripwire::cutting(cut);
        let apps = desk.world.over(&wire);
        desk.by(&apps, Method::POST, &path, &request).await;
        // Longer than the lease.
        desk.world.advance(70).await;
        if !wire.has_cut() {
            break;
        }
    }
    let made = desk.create(&desk.nora, &request).await.is(200).json;
    assert_ne!(made["record"], first["record"]);
    assert_eq!(made["profile"]["badge"], made["record"]);
    assert_eq!(made["limits"]["creates"]["left"], 998);
    desk.world.stop().await;
}

for_both!(a_lost_creation_takes_no_contact_of_another_account);
async fn a_lost_creation_takes_no_contact_of_another_account(crm: CrmKind) {
    let desk = Desk::open(crm).await;
    if crm == CrmKind::Salesforce {
        // Without our fields a contact is known again by its values.
        let bare = json!({ "leadbridge_fields_installed": false });
        desk.world.settings(bare).await;
    }
    let account = desk.account(COMPANY).await;
    let elsewhere = desk.account("Makeshift").await;
    let mut request = desk.filled(&desk.nora, "contact", "one").await;
    request["account"] = json!(account);
    // The contact of the other account is a duplicate to either CRM.
    request["create_anyway"] = json!(true);
    let fault = json!({
        "system": desk.world.system(), "method": desk.pick("POST", "PATCH"),
        "path_contains": desk.pick("/sobjects/Contact", "/contacts("), "kind": "drop",
    });
    desk.world.fault(fault).await;
    let lost = desk.create(&desk.nora, &request).await;
    assert!(lost.status >= 500, "{}", lost.json);
    desk.world.no_faults().await;
    let theirs = desk
        .there(
            "Contact",
            json!({ "FirstName": "Nora", "LastName": "Maker", "Email": "nora@makers.example", "AccountId": elsewhere }),
            json!({ "firstname": "Nora", "lastname": "Maker", "fullname": "Nora Maker", "emailaddress1": "nora@makers.example" }),
        )
        .await;
    // The first call may be at work until then.
    desk.world.advance(130).await;
    let made = desk.create(&desk.nora, &request).await.is(201).json;
    assert_ne!(made["record"]["id"], json!(theirs));
    assert_eq!(made["limits"]["creates"]["left"], 999);
    desk.world.stop().await;
}

for_both!(an_update_is_refused_if_the_record_was_changed_meanwhile);
async fn an_update_is_refused_if_the_record_was_changed_meanwhile(crm: CrmKind) {
    let desk = Desk::open(crm).await;
    let path = format!("/crm/profiles/{}/record", desk.nora);
    assert_eq!(desk.get(&path).await.is(409).code(), "not_matched");
    let mut request = desk.filled(&desk.nora, "lead", "one").await;
    let (title, company) = (
        desk.pick("Title", "jobtitle"),
        desk.pick("Company", "companyname"),
    );
    request["values"][title] = json!("Engineer");
    let made = desk.create(&desk.nora, &request).await.is(201).json;
    let id = made["record"]["id"].as_str().unwrap();

    let seen = desk.comparison().await;
    let compared = field(&seen, title);
    assert_eq!(
        (
            &compared["ours"],
            &compared["theirs"],
            &compared["differs"],
            &compared["writable"]
        ),
        (
            &json!("CTO"),
            &json!("Engineer"),
            &json!(true),
            &json!(true)
        )
    );
    let emptied = desk
        .update(&seen["version"], json!({ company: "" }))
        .await
        .is(422);
    assert_eq!(
        (emptied.code(), &emptied.json["field"]),
        ("required", &json!(company))
    );

    // Somebody changes the record in the CRM.
    desk.world.advance(60).await;
    let record = format!(
        "/records/{}/{}/{id}",
        desk.world.system(),
        desk.pick("Lead", "lead")
    );
    let theirs = json!({ desk.pick("City", "address1_city"): "Delft" });
    desk.world.control(Method::PATCH, &record, theirs).await;
    let stale = desk
        .update(&seen["version"], json!({ title: "CTO" }))
        .await
        .is(409);
    assert_eq!(stale.code(), "record_changed");
    assert_eq!(field(&desk.comparison().await, title)["theirs"], "Engineer");

    // The reply to the next one is lost, and it is sent again.
    let seen = desk.comparison().await;
    desk.world.advance(60).await;
    let part = desk.pick("/sobjects/Lead", "/leads(");
    let fault = json!({ "system": desk.world.system(), "method": "PATCH", "path_contains": part, "kind": "lost_reply" });
    desk.world.fault(fault).await;
    let lost = desk.update(&seen["version"], json!({ title: "CTO" })).await;
    assert!(lost.status >= 500, "{}", lost.json);
    desk.world.no_faults().await;
    let done = desk
        .update(&seen["version"], json!({ title: "CTO" }))
        .await
        .is(200)
        .json;
    let after = &done["comparison"];
    assert_eq!(
        (
            &field(after, title)["theirs"],
            &after["limits"]["updates"]["left"]
        ),
        (&json!("CTO"), &json!(999))
    );
    let log = desk.world.audit("crm.lead.update").await;
    assert_eq!(log.len(), 1);
    assert_eq!(
        (
            &log[0].before["values"][title],
            &log[0].after["values"][title]
        ),
        (&json!("Engineer"), &json!("CTO"))
    );
    let same = desk
        .update(&after["version"], json!({ title: "CTO" }))
        .await
        .is(200)
        .json;
    assert_eq!(
        (&same["outcome"], &same["changes"]),
        (&json!("unchanged"), &json!([]))
    );
    desk.count(WriteKind::Update, MONTHLY_LIMIT - 1).await;
    let over = desk
        .update(&after["version"], json!({ title: "CEO" }))
        .await
        .is(429);
    assert_eq!(over.code(), "monthly_limit");
    desk.world.stop().await;
}

for_both!(an_update_whose_reply_was_lost_is_logged_though_the_record_changed_since);
async fn an_update_whose_reply_was_lost_is_logged_though_the_record_changed_since(crm: CrmKind) {
    let desk = Desk::open(crm).await;
    let request = desk.filled(&desk.nora, "lead", "one").await;
    let made = desk.create(&desk.nora, &request).await.is(201).json;
    let id = made["record"]["id"].as_str().unwrap();
    let (title, city) = (
        desk.pick("Title", "jobtitle"),
        desk.pick("City", "address1_city"),
    );
    let version = desk.comparison().await["version"].clone();
    let values = json!({ title: "CFO", city: "Delft" });
    desk.world.advance(60).await;
    let fault = json!({
        "system": desk.world.system(), "method": "PATCH",
        "path_contains": desk.pick("/sobjects/Lead", "/leads("), "kind": "lost_reply",
    });
    desk.world.fault(fault).await;
    let lost = desk.update(&version, values.clone()).await;
    assert!(lost.status >= 500, "{}", lost.json);
    desk.world.no_faults().await;

    // Somebody changes one of the fields before the same request comes again.
    desk.world.advance(60).await;
    let record = format!(
        "/records/{}/{}/{id}",
        desk.world.system(),
        desk.pick("Lead", "lead")
    );
    let theirs = json!({ title: "CEO" });
    desk.world.control(Method::PATCH, &record, theirs).await;
    for _ in 0..2 {
        let done = desk.update(&version, values.clone()).await.is(200).json;
        assert_eq!(
            (&done["outcome"], done["changes"].as_array().unwrap().len()),
            (&json!("updated"), 2)
        );
        let after = &done["comparison"];
        assert_eq!(
            (
                &field(after, title)["theirs"],
                &field(after, city)["theirs"],
                &after["limits"]["updates"]["left"]
            ),
            (&json!("CEO"), &json!("Delft"), &json!(999))
        );
    }
    assert_eq!(desk.world.audit("crm.lead.update").await.len(), 1);
    desk.world.stop().await;
}

for_both!(nobody_writes_without_sign_in_switch_and_right);
async fn nobody_writes_without_sign_in_switch_and_right(crm: CrmKind) {
    let desk = Desk::without_sign_in(crm).await;
    let path = format!("/crm/profiles/{}/form", desk.nora);
    let unsigned = desk.get(&path).await.is(409);
    assert_eq!(unsigned.code(), "user_sign_in_needed");
    let token = desk.world.api(Method::GET, &path, Value::Null).await;
    assert_eq!((token.status, token.code()), (403, "sign_in_required"));
    desk.world.sign_in_own(&desk.seat, SELLER).await.is(200);
    let request = desk.filled(&desk.nora, "lead", "one").await;

    let theirs = desk.world.another("others", crm).await;
    let unknown = "/crm/profiles/00000000-0000-4000-8000-00000000000a/form";
    assert_eq!(desk.get(unknown).await.status, 404);
    let (admin, person) = (
        theirs.tokens.administrator,
        json!({ "name": "Theirs", "emails": ["t@theirs.example"] }),
    );
    let token = Who::Token(&admin);
    let other = desk
        .world
        .call(
            &desk.world.apps,
            token,
            Method::POST,
            "/api/v1/profiles",
            &person,
        )
        .await;
    let other = other.is(201).json["entry"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        desk.get(&format!("/crm/profiles/{other}/form"))
            .await
            .status,
        404
    );
    assert_eq!(desk.create(&other, &request).await.status, 404);

    desk.switch(false).await;
    let form = desk.form(&desk.nora, "lead").await;
    assert_eq!(
        (&form["enabled"], &form["fields"]),
        (&json!(false), &json!([]))
    );
    let off = desk.create(&desk.nora, &request).await.is(409);
    assert_eq!(off.code(), "create_leads_off");
    desk.switch(true).await;

    // A validation of the CRM's own speaks last, and what it refuses does not count.
    let denied = json!({ "denied": { desk.pick("Lead", "lead"): ["create"] } });
    desk.world.settings(denied).await;
    let denied = desk.create(&desk.nora, &request).await;
    assert!((400..500).contains(&denied.status), "{}", denied.json);
    let settings = json!({ "denied": {} });
    desk.world.settings(settings).await;
    let made = desk.create(&desk.nora, &request).await.is(201).json;
    assert_eq!(made["limits"]["creates"]["left"], 999);
    desk.world.stop().await;
}
