//! The pages *Add to CRM* and *Update in CRM* (LC-2 to LC-6).

use reqwest::Method;
use serde_json::{Value, json};
use shared::domain::schema::CrmKind;

use super::world::{SELLER, World};

/// The names of a CRM.
struct Names {
    provider: &'static str,
    system: &'static str,
    lead: &'static str,
    contact: &'static str,
    account: &'static str,
    account_name: &'static str,
    first_name: &'static str,
    last_name: &'static str,
    email: &'static str,
    company: &'static str,
    title: &'static str,
    title_label: &'static str,
    /// A field that the organisation requires of leads, and a choice of it.
    region: &'static str,
    choices: fn() -> Value,
    north: fn() -> Value,
    /// The column with a contact's account.
    of_account: &'static str,
    /// The column with a record's id.
    id_of_lead: &'static str,
    opportunity_name: &'static str,
    /// An open opportunity of an account.
    opportunity: fn(&str) -> Value,
    /// The object with the parts of contacts in opportunities.
    part: &'static str,
}

const SALESFORCE: Names = Names {
    provider: "salesforce",
    system: "salesforce",
    lead: "Lead",
    contact: "Contact",
    account: "Account",
    account_name: "Name",
    first_name: "FirstName",
    last_name: "LastName",
    email: "Email",
    company: "Company",
    title: "Title",
    title_label: "Title",
    region: "Region__c",
    choices: || json!(["North", "South"]),
    north: || json!("North"),
    of_account: "AccountId",
    id_of_lead: "Id",
    opportunity_name: "Opportunity",
    opportunity: |account| {
        json!({
            "Name": "Codebooks", "AccountId": account, "CloseDate": "2027-01-31",
            "StageName": "Prospecting",
        })
    },
    part: "OpportunityContactRole",
};

const DYNAMICS: Names = Names {
    provider: "entra",
    system: "dataverse",
    lead: "lead",
    contact: "contact",
    account: "account",
    account_name: "name",
    first_name: "firstname",
    last_name: "lastname",
    email: "emailaddress1",
    company: "companyname",
    title: "jobtitle",
    title_label: "Job Title",
    region: "new_region",
    choices: || json!({ "1": "North", "2": "South" }),
    north: || json!(1),
    of_account: "_parentcustomerid_value",
    id_of_lead: "leadid",
    opportunity_name: "opportunity",
    opportunity: |account| {
        json!({
            "name": "Codebooks", "_parentaccountid_value": account,
            "estimatedclosedate": "2027-01-31",
        })
    },
    part: "connection",
};

/// A label that would be markup, were it not text.
const REGION: &str = "Region <b>of sales</b>";

impl Names {
    /// The values of a lead in the CRM.
    fn a_lead(&self, first_name: &str, last_name: &str, email: &str) -> Value {
        json!({
            self.first_name: first_name, self.last_name: last_name, self.email: email,
            self.company: "Elsewhere", self.region: (self.north)(),
        })
    }

    /// The leads with an address.
    async fn leads_with(&self, world: &World, email: &str) -> Vec<Value> {
        let mut leads = world.records_of(self.lead).await;
        leads.retain(|lead| lead[self.email] == email);
        leads
    }
}

/// A connected contract with every right to write switched on, whose organisation requires a field of its own,
/// and a salesperson in the browser who has not signed in to the CRM.
async fn signed_in(world: &World, names: &Names) {
    let field = json!({
        "name": names.region, "label": REGION, "required": true, "restricted_values": (names.choices)(),
    });
    let path = format!("/fields/{}/{}", names.system, names.lead);
    let harness = &world.harness;
    harness.control(Method::POST, &path, Some(field)).await;
    world.connect().await;
    world.import().await;
    let settings = "/crm-connections/production/sync-settings";
    let mut saved = world.api(Method::GET, settings, None).await;
    for right in [
        "create_leads",
        "create_contacts",
        "update_leads",
        "update_contacts",
    ] {
        saved[right] = json!(true);
    }
    world.api(Method::PUT, settings, Some(saved)).await;
    world.browser.resize(1280, 800).await;
    let link = world.invite(SELLER, "salesperson", names.provider).await;
    world.accept_as(link, SELLER).await;
}

impl World {
    /// Adds a person to the directory, or gives them what is new, and returns the id.
    async fn person(&self, person: Value) -> String {
        let added = self.api(Method::POST, "/profiles", Some(person)).await;
        added["entry"]["id"].as_str().unwrap().to_owned()
    }
}

/// Creates a lead for Grace, whose address another lead has, and leaves the browser on her page.
async fn creates_a_lead(world: &World, names: &Names, id: &str) {
    // What a double click does.
    const TWICE: &str = "const dialog = document.querySelector('dialog[open]'); \
         const create = [...dialog.querySelectorAll('button')].find((button) => button.textContent === 'Create anyway'); \
         create.click(); create.click();";
    let browser = &world.browser;
    browser.go(&world.at(&format!("/app/person?id={id}"))).await;
    world.sees("Grace Hopper").await;
    world.press("Add to CRM").await;
    browser.arrive(&world.at("/app/add-to-crm")).await;
    world.sees("Sign in to the CRM first").await;
    world.is_accessible().await;
    world.picture("add-sign-in").await;
    world.press("Use another account").await;
    world.press("Sol Seller").await;

    // Pre-filled with what is known, and with where it is from; and the one of that name is told.
    let shown = world.sees("The new lead").await;
    for part in [
        "The CRM has one record of that name.",
        "From the person’s page.",
        "1,000 of your 1,000 creations of this month are left.",
        REGION,
    ] {
        assert!(shown.contains(part), "no “{part}” in:\n{shown}");
    }
    let last_name = world.value(&format!("crm_{}", names.last_name)).await;
    assert_eq!(last_name, "Hopper");
    world.press("Create the lead").await;
    world.sees(&format!("{REGION} is missing.")).await;
    let region = format!("crm_{}", names.region);
    let marked = format!("[name={region}][aria-invalid=true]");
    browser.find(&marked).await;
    world.is_accessible().await;
    world.picture("add-lead").await;

    // The CRM's duplicate rule is a question.
    world.choose(&region, "North").await;
    world.press("Create the lead").await;
    let shown = world.sees("The CRM has a record like this").await;
    assert!(shown.contains("Create anyway"), "{shown}");
    assert_eq!(names.leads_with(world, "grace@navy.example").await.len(), 1);
    world.is_accessible().await;
    world.picture("add-duplicates").await;
    browser.script(TWICE, &json!([])).await;
    browser.arrive(&world.at("/app/person")).await;
    let shown = world.sees("is created in the CRM, as you.").await;
    assert!(shown.contains("999 of your 1,000"), "{shown}");
    assert_eq!(names.leads_with(world, "grace@navy.example").await.len(), 2);
}

/// Changes the title of Grace's lead, which somebody else changes meanwhile.
async fn updates_the_lead(world: &World, names: &Names) {
    let browser = &world.browser;
    let mut leads = names.leads_with(world, "grace@navy.example").await;
    leads.retain(|lead| lead[names.company] == "Navy");
    let lead = leads[0][names.id_of_lead].as_str().unwrap();
    let record = format!("/records/{}/{}/{lead}", names.system, names.lead);
    let captain = json!({ "first_name": "Grace", "last_name": "Hopper", "emails": ["grace@navy.example"], "title": "Captain" });
    world.person(captain).await;

    world.press("Update in CRM").await;
    browser.arrive(&world.at("/app/update-in-crm")).await;
    let shown = world.sees("In the CRM, and here").await;
    assert!(shown.contains("Rear Admiral"), "{shown}");
    let title = format!("crm_{}", names.title);
    assert_eq!(world.value(&title).await, "Captain");
    world.press("Update in the CRM").await;
    world.sees("Nothing is ticked.").await;
    world.press(names.title_label).await;
    world.is_accessible().await;
    world.picture("update").await;
    let meanwhile = json!({ names.title: "Commodore" });
    let harness = &world.harness;
    harness
        .control(Method::PATCH, &record, Some(meanwhile))
        .await;
    world.press("Update in the CRM").await;
    let shown = world.sees("Changed meanwhile").await;
    for part in ["Commodore", "It was: Rear Admiral"] {
        assert!(shown.contains(part), "no “{part}” in:\n{shown}");
    }
    assert_eq!(world.value(&title).await, "Captain");
    assert_eq!(
        world.value(&format!("tick_{}", names.title)).await,
        false,
        "what changed is decided on anew"
    );
    world.is_accessible().await;
    world.picture("update-changed").await;
    world.press(names.title_label).await;
    world.press("Update in the CRM").await;
    let shown = world.sees("It is changed in the CRM, as you.").await;
    assert!(shown.contains("Commodore → Captain"), "{shown}");
    assert!(shown.contains("999 of your 1,000 updates"), "{shown}");
    let lead = harness.control(Method::GET, &record, None).await;
    assert_eq!(lead[names.title], "Captain");
    assert_eq!(lead[names.last_name], "Hopper");
}

/// Creates a contact for Alan in the account that is proposed and searched for, and no second one by mistake.
async fn creates_a_contact(world: &World, names: &Names, account: &str) {
    let browser = &world.browser;
    let alan = json!({
        "first_name": "Alan", "last_name": "Turing", "emails": ["alan@bletchley.example"],
        "company": "Bletchley Park",
    });
    let id = world.person(alan).await;
    let page = world.at(&format!("/app/add-to-crm?id={id}"));
    browser.go(&page).await;
    world.sees("The new lead").await;
    world.choose("object", "A contact of an account").await;
    world.sees("The new contact").await;
    assert_eq!(world.value("account").await, "Bletchley Park");
    world
        .find_in_directory("account", "nowhere", "Nothing is found")
        .await;
    world.press("Create the contact").await;
    world.sees("No account is chosen.").await;
    browser.find("[name=account][aria-invalid=true]").await;
    world
        .find_in_directory("account", "bletch", "Bletchley Park")
        .await;
    world.is_accessible().await;
    world.picture("add-contact").await;
    world.press("Create the contact").await;
    browser.arrive(&world.at("/app/person")).await;
    world
        .sees("The contact is created in the CRM, as you.")
        .await;
    let mut contacts = world.records_of(names.contact).await;
    contacts.retain(|contact| contact[names.email] == "alan@bletchley.example");
    assert_eq!(contacts.len(), 1, "{contacts:?}");
    assert_eq!(contacts[0][names.of_account], account);
    adds_to_an_opportunity(world, names).await;

    browser.go(&page).await;
    world
        .sees("This person is matched with a record of the CRM already.")
        .await;
    world.press("Create the lead").await;
    world.sees("The person is matched already.").await;
    browser
        .find("[name=although_matched][aria-invalid=true]")
        .await;
    world.is_accessible().await;
}

/// Adds Alan's contact to the open opportunity of his account.
async fn adds_to_an_opportunity(world: &World, names: &Names) {
    const TWICE: &str = "const send = [...document.querySelectorAll('button')] \
         .find((button) => button.textContent === 'Add to the opportunity'); send.click(); send.click();";
    let before = world.records_of(names.part).await.len();
    let browser = &world.browser;
    world.press("Add to an opportunity").await;
    browser.arrive(&world.at("/app/add-to-opportunity")).await;
    let shown = world.sees("An opportunity of the account").await;
    assert!(shown.contains("Codebooks"), "{shown}");
    world.is_accessible().await;
    world.picture("add-to-opportunity").await;
    browser.script(TWICE, &json!([])).await;
    browser.arrive(&world.at("/app/person")).await;
    world
        .sees("The contact is added to the opportunity in the CRM, as you.")
        .await;
    let parts = world.records_of(names.part).await;
    assert_eq!(parts.len(), before + 1, "{parts:?}");
}

/// Uses the lead of the same name.
async fn uses_a_lead(world: &World, names: &Names) {
    let ada = names.a_lead("Ada", "Lovelace", "ada@engines.example");
    world.record(names.lead, ada).await;
    let id = world
        .person(json!({ "first_name": "Ada", "last_name": "Lovelace", "external_id": "ada-1" }))
        .await;
    let browser = &world.browser;
    let page = format!("/app/add-to-crm?id={id}");
    browser.go(&world.at(&page)).await;
    world.sees("The CRM has one record of that name.").await;
    world.press("Use this record: Ada Lovelace").await;
    browser.arrive(&world.at("/app/person")).await;
    world
        .sees("The person is matched with that record now.")
        .await;
    let leads = names.leads_with(world, "ada@engines.example").await;
    assert_eq!(leads.len(), 1, "{leads:?}");
}

async fn adds_and_updates(world: &World, names: &Names) {
    let account = json!({ names.account_name: "Bletchley Park" });
    let account = world.record(names.account, account).await;
    let deal = (names.opportunity)(&account);
    world.record(names.opportunity_name, deal).await;
    signed_in(world, names).await;
    // After the import, which would match her with it.
    let lead = names.a_lead("Grace", "Hopper", "grace@navy.example");
    world.record(names.lead, lead).await;
    let grace = json!({
        "first_name": "Grace", "last_name": "Hopper", "emails": ["grace@navy.example"],
        "title": "Rear Admiral", "company": "Navy",
    });
    let grace = world.person(grace).await;
    creates_a_lead(world, names, &grace).await;
    updates_the_lead(world, names).await;
    creates_a_contact(world, names, &account).await;
    uses_a_lead(world, names).await;
    world.no_complaints().await;
}

/// LC-2 to LC-6: leads and a contact in Salesforce, by forms with what the organisation requires.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_salesperson_adds_people_to_salesforce_and_updates_them() {
    let Some(world) = World::start(CrmKind::Salesforce).await else {
        return;
    };
    world.salesforce(json!({ "duplicate_rule": "alert" })).await;
    adds_and_updates(&world, &SALESFORCE).await;
    world.stop().await;
}

/// LC-2 to LC-6: the same in Dynamics 365, whose duplicate rules are on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_salesperson_adds_people_to_dynamics_and_updates_them() {
    let Some(world) = World::start(CrmKind::Dynamics365).await else {
        return;
    };
    adds_and_updates(&world, &DYNAMICS).await;
    world.stop().await;
}
