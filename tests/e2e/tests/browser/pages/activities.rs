//! The pages of activities: logged, followed, sent again, matched (WB-1 to WB-9).

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use shared::domain::schema::CrmKind;

use super::world::{PATIENCE, SELLER, World};

/// A connected contract that logs every kind of activity, with what was in its CRM imported, and a
/// salesperson in the browser.
pub(super) async fn signed_in(world: &World, provider: &str) {
    world.connect().await;
    world.import().await;
    let settings = "/crm-connections/production/sync-settings";
    let mut saved = world.api(Method::GET, settings, None).await;
    for kind in [
        "log_messages_and_inmails",
        "log_smart_links",
        "log_notes",
        "log_calls",
    ] {
        saved[kind] = json!(true);
    }
    world.api(Method::PUT, settings, Some(saved)).await;
    world.browser.resize(1280, 800).await;
    let link = world.invite(SELLER, "salesperson", provider).await;
    world.accept_as(link, SELLER).await;
    world.browser.go(&world.at("/")).await;
    world.browser.arrive(&world.at("/app/home")).await;
}

impl World {
    /// Adds an entry to the directory and matches it with a record; returns its id.
    async fn matched(&self, list: &str, entry: Value, object: &str, record: &str) -> String {
        let added = self.api(Method::POST, list, Some(entry)).await;
        let id = added["entry"]["id"].as_str().unwrap().to_owned();
        let record = json!({ "object": object, "id": record });
        let path = format!("{list}/{id}/match");
        self.api(Method::POST, &path, Some(record)).await;
        id
    }

    /// Searches in the form, and chooses from what it offers.
    pub(super) async fn find_in_directory(&self, list: &str, words: &str, option: &str) {
        const OFFERED: &str = "const list = document.querySelector(`select[name=${arguments[0]}]`); \
             return [...list?.options ?? []].map((option) => option.text)";
        self.type_anew("q", words).await;
        let since = Instant::now();
        loop {
            let offered = self.browser.script(OFFERED, &json!([list])).await;
            if offered.as_array().unwrap().contains(&json!(option)) {
                break;
            }
            assert!(since.elapsed() < PATIENCE, "no “{option}” in {offered}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.choose(list, option).await;
    }

    /// Sets the time of the activity in the form.
    async fn happened(&self, at: &str) {
        const SET: &str = "document.querySelector('[name=occurred_at]').value = arguments[0]";
        self.browser.find("[name=occurred_at]").await;
        self.browser.script(SET, &json!([at])).await;
    }

    /// The CRM's records of an object that hold a text.
    pub(super) async fn with_text(&self, object: &str, text: &str) -> Vec<Value> {
        let mut records = self.records_of(object).await;
        records.retain(|record| record.to_string().contains(text));
        records
    }
}

/// Fills the form in for a message to Ada, and makes every mistake on the way: each is said where it is.
async fn fill_in_with_mistakes(world: &World) {
    let browser = &world.browser;
    world.press("Log it").await;
    world.sees("No person is chosen.").await;
    browser.find("[name=profile][aria-invalid=true]").await;
    world
        .find_in_directory("profile", "lovel", "Ada Lovelace · Countess")
        .await;
    world.press("Log it").await;
    world.sees("A message has a text.").await;
    browser.find("[name=text][aria-invalid=true]").await;
    browser.fill("[name=text]", "Met at the fair.").await;
    world.happened("2021-06-22T10:00").await;
    world.press("Log it").await;
    world.sees("It happened before 2021-06-23").await;
    world.happened("2100-01-01T10:00").await;
    world.press("Log it").await;
    world.sees("It is to have happened in the future.").await;
    browser.find("[name=occurred_at][aria-invalid=true]").await;
    world.happened("").await;
    world.press("Log it").await;
    world.sees("The time is missing.").await;
    world.is_accessible().await;
    world.picture("activity-log").await;
    world.happened("2024-03-05T10:00").await;
}

/// WB-1, WB-3, WB-4, WB-6 to WB-9: an activity waits for the sign-in, another is sent again after a refusal,
/// and a third is attached when its person is matched.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_salesperson_logs_activities_and_sees_them_written() {
    let Some(world) = World::start(CrmKind::Salesforce).await else {
        return;
    };
    let browser = &world.browser;
    let contact = json!({ "FirstName": "Ada", "LastName": "Lovelace", "Email": "ada@analytical-engines.example" });
    let contact = world.record("Contact", contact).await;
    let other = json!({ "FirstName": "Zoe", "LastName": "Quux", "Email": "zoe@quux.example" });
    let other = world.record("Contact", other).await;
    signed_in(&world, "salesforce").await;
    let ada = json!({
        "first_name": "Ada", "last_name": "Lovelace", "emails": ["ada@analytical-engines.example"], "title": "Countess",
    });
    let ada = world.matched("/profiles", ada, "Contact", &contact).await;

    // Nothing yet: the page says what to do.
    world.press("My activities").await;
    world.sees("You have logged nothing yet.").await;
    world.sees("You have not signed in to the CRM.").await;
    world.is_accessible().await;
    world.picture("activities-empty").await;
    world.press("Log your first activity").await;
    browser.arrive(&world.at("/app/log-activity")).await;
    world.sees("What you did").await;

    fill_in_with_mistakes(&world).await;

    // Without a sign-in of one's own it waits, and flows after it.
    world.press("Log it").await;
    browser.arrive(&world.at("/app/activity")).await;
    world.sees("Message: Ada Lovelace").await;
    let shown = world.sees("Waiting for your sign-in").await;
    assert!(
        shown.contains("Next step: Sign in to Salesforce"),
        "{shown}"
    );
    assert_eq!(world.with_text("Task", "Met at the fair.").await.len(), 0);
    world.is_accessible().await;
    world.picture("activity-waiting").await;
    world.press("Sign in to the CRM").await;
    world.press("Use another account").await;
    world.press("Sol Seller").await;
    world.sees("Sign in again").await;
    world.press("My activities").await;
    world.press("Ada Lovelace").await;
    let shown = world.sees("It was written to the CRM").await;
    assert!(shown.contains("Met at the fair."), "{shown}");
    world.is_accessible().await;
    world.picture("activity-written").await;
    let tasks = world.with_text("Task", "Met at the fair.").await;
    assert_eq!(tasks.len(), 1, "{tasks:?}");
    assert_eq!(tasks[0]["WhoId"], json!(contact));

    // What the organisation refuses says what to do, and is sent again when that is done.
    world
        .salesforce(json!({ "denied": { "Task": ["create"] } }))
        .await;
    let with_ada = format!("/app/log-activity?profile={ada}");
    browser.go(&world.at(&with_ada)).await;
    world.sees("What you did").await;
    assert_eq!(world.value("profile").await, "Ada Lovelace · Countess");
    world.choose("kind", "Phone call").await;
    browser.fill("[name=text]", "Called about the fair.").await;
    world.press("Log it").await;
    browser.arrive(&world.at("/app/activity")).await;
    let shown = world.sees("It stopped here").await;
    assert!(shown.contains("Next step: "), "{shown}");
    world.is_accessible().await;
    world.picture("activity-failed").await;
    world.press("My activities").await;
    world.choose("state", "Failed").await;
    world.press("Search").await;
    world.sees("Then send the activity again.").await;
    browser.reload().await;
    world.sees("Then send the activity again.").await;
    assert_eq!(world.value("state").await, "Failed");
    world.is_accessible().await;
    world.picture("activities-failed").await;
    world.salesforce(json!({ "denied": {} })).await;
    world.press("Send again: Ada Lovelace").await;
    world.sees("None has failed.").await;
    world.press("Clear").await;
    world.sees("Phone call").await;
    world.press("Ada Lovelace").await;
    world.sees("It was written to the CRM").await;
    assert_eq!(
        world
            .with_text("Task", "Called about the fair.")
            .await
            .len(),
        1
    );

    // Somebody new is unresolved until somebody matches them.
    world.press("Log an activity").await;
    world.sees("What you did").await;
    world.choose("target", "Somebody new").await;
    browser.fill("[name=first_name]", "Grace").await;
    browser.fill("[name=last_name]", "Hopper").await;
    browser.fill("[name=emails]", "nobody").await;
    browser.fill("[name=text]", "<b>Hello</b> Grace.").await;
    world.press("Log it").await;
    browser.find("[name=emails][aria-invalid=true]").await;
    world.is_accessible().await;
    world.picture("activity-log-new").await;
    world.type_anew("emails", "grace@navy.example").await;
    world.press("Log it").await;
    browser.arrive(&world.at("/app/activity")).await;
    let shown = world.sees("Unresolved").await;
    assert!(shown.contains("<b>Hello</b> Grace."), "{shown}");
    world.is_accessible().await;
    world.picture("activity-unresolved").await;
    world.press("My activities").await;
    world.choose("state", "Unresolved").await;
    world.press("Search").await;
    world.sees("Match the profile with its record").await;
    world.picture("activities-unresolved").await;
    world.press("Match now: Grace Hopper").await;
    browser.arrive(&world.at("/app/person")).await;
    world.sees("No CRM match").await;
    world.press("Choose a record").await;
    world.press("It is another record").await;
    let at = world.harness.simulator.salesforce.as_str();
    let at = at.trim_end_matches('/');
    let page = format!("{at}/lightning/r/Contact/{other}/view");
    world.type_anew("address", &page).await;
    world.press("Match with it").await;
    world.sees("Confirmed").await;
    world.press("My activities").await;
    world.press("Grace Hopper").await;
    world.sees("It was attached to the record and closed").await;
    let tasks = world.with_text("Task", "<b>Hello</b> Grace.").await;
    assert_eq!(tasks.len(), 1, "{tasks:?}");
    assert_eq!(tasks[0]["WhoId"], json!(other));

    // What is not to be logged is not kept.
    browser.go(&world.at(&with_ada)).await;
    world.sees("What you did").await;
    world
        .choose("log_to_crm", "No: nothing is kept of it")
        .await;
    browser.fill("[name=text]", "A secret.").await;
    world.press("Log it").await;
    world.sees("so nothing is kept of it").await;
    world.no_complaints().await;
    world.stop().await;
}

/// WB-3, WB-4: a note on a company, for somebody who has not signed in to the CRM.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_salesperson_of_dynamics_logs_a_note_on_a_company() {
    let Some(world) = World::start(CrmKind::Dynamics365).await else {
        return;
    };
    let browser = &world.browser;
    let account = json!({ "name": "Analytical Engines" });
    let account = world.record("account", account).await;
    signed_in(&world, "entra").await;
    let company = json!({ "name": "Analytical Engines" });
    let company = world
        .matched("/companies", company, "account", &account)
        .await;

    // Companies take notes only.
    world.press("Log an activity").await;
    world.sees("What you did").await;
    assert_eq!(world.value("kind").await, "Message");
    world.choose("target", "A company that we know").await;
    assert_eq!(world.value("kind").await, "Note");
    world
        .find_in_directory("company", "analyt", "Analytical Engines")
        .await;
    browser.fill("[name=text]", "They build engines.").await;
    world.is_accessible().await;
    world.picture("activity-log-company").await;
    world.press("Log it").await;
    browser.arrive(&world.at("/app/activity")).await;
    world.sees("Note: Analytical Engines").await;
    world.sees("It was written to the CRM").await;
    let notes = world.with_text("annotation", "They build engines.").await;
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert_eq!(notes[0]["_objectid_value"], json!(account));

    // What was logged leads to the company, and from there to the next one.
    world.press("Analytical Engines").await;
    let at = browser.arrive(&world.at("/app/company")).await;
    assert!(at.query().unwrap().contains(&company), "{at}");
    world.press("Log an activity with this company").await;
    browser.arrive(&world.at("/app/log-activity")).await;
    world.sees("What you did").await;
    assert_eq!(world.value("company").await, "Analytical Engines");
    world.no_complaints().await;
    world.stop().await;
}
