//! The page *My settings* on both CRMs: what is logged of each kind, and the sign-in that activities wait for
//! (CN-11, WB-6, WB-9).

use reqwest::Method;
use serde_json::json;
use shared::domain::schema::CrmKind;

use super::activities::signed_in;
use super::world::World;

/// Chooses that messages are not logged, and sees that the choice stays and counts.
async fn choose_and_log(world: &World) {
    let browser = &world.browser;
    world.press("My settings").await;
    browser.arrive(&world.at("/app/my-settings")).await;
    world.sees("Log to the CRM").await;
    world.sees("Not connected").await;
    let nothing = "No: nothing is kept of it";
    world.choose("message", nothing).await;
    world.press("Save").await;
    world.sees("Your choices are saved.").await;
    browser.reload().await;
    assert_eq!(world.value("message").await, nothing);
    assert_eq!(
        world.value("note").await,
        "As the administrator has set: yes"
    );
    world.is_accessible().await;
    world
        .picture(&format!("my-settings-{:?}", world.made.crm))
        .await;
    browser.resize(360, 800).await;
    let wide = "return document.documentElement.scrollWidth";
    let wide = browser.script(wide, &json!([])).await;
    assert!(wide.as_u64().unwrap() <= 360, "{wide}");
    browser.resize(1280, 800).await;

    world.press("Log an activity").await;
    world.sees("What you did").await;
    assert_eq!(world.value("log_to_crm").await, "As in your settings: no");
    world.choose("kind", "Note").await;
    let by_administrator = "As the administrator has set: yes";
    assert_eq!(world.value("log_to_crm").await, by_administrator);
    world.choose("kind", "Message").await;
    world.choose("target", "Somebody new").await;
    browser.fill("[name=first_name]", "Grace").await;
    browser.fill("[name=last_name]", "Hopper").await;
    browser.fill("[name=emails]", "grace@navy.example").await;
    browser.fill("[name=text]", "Hello Grace.").await;
    world.press("Log it").await;
    world
        .sees("Your settings say that activities of this kind are not logged")
        .await;
    world.is_accessible().await;
    world.choose("log_to_crm", "Yes").await;
    world.press("Log it").await;
    browser.arrive(&world.at("/app/activity")).await;
    world.sees("Your choice for this activity").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seller_of_salesforce_chooses_what_is_logged_and_signs_in_for_what_waits() {
    let Some(world) = World::start(CrmKind::Salesforce).await else {
        return;
    };
    let browser = &world.browser;
    let mut twins = Vec::new();
    for _ in 0..2 {
        let twin = json!({ "FirstName": "Quentin", "LastName": "Zabrowski", "Email": "quentin@twice.example" });
        twins.push(world.record("Contact", twin).await);
    }
    signed_in(&world, "salesforce").await;
    choose_and_log(&world).await;
    world.sees("Waiting for your sign-in").await;

    // The notice leads to the sign-in, and goes with it.
    world.press("Home").await;
    world.sees("1 activity waits for it.").await;
    world.is_accessible().await;
    world.picture("home-waiting-for-sign-in").await;
    browser.resize(1280, 800).await;
    world.press("Your CRM sign-in").await;
    browser.arrive(&world.at("/app/my-settings")).await;
    world.sees("1 activity waits for it.").await;
    world.is_accessible().await;
    world.picture("my-settings-waiting").await;
    world.press("Use another account").await;
    world.press("Sol Seller").await;
    let shown = world.sees("Sign in again").await;
    assert!(
        shown.contains("Until") && !shown.contains("waits for it"),
        "{shown}"
    );
    world.is_accessible().await;
    world.press("Home").await;
    world.sees("Nothing needs your attention.").await;
    world.press("My activities").await;
    world.press("Grace Hopper").await;
    world.sees("It was written to the CRM").await;
    answer_the_question(&world, &twins).await;
    world.no_complaints().await;
    world.stop().await;
}

/// MA-4: logs a message with somebody who is twice in the CRM, and says which of the two they are.
async fn answer_the_question(world: &World, twins: &[String]) {
    let browser = &world.browser;
    let quentin = json!({
        "first_name": "Quentin", "last_name": "Zabrowski", "emails": ["quentin@twice.example"],
    });
    let added = world.api(Method::POST, "/profiles", Some(quentin)).await;
    let id = added["entry"]["id"].as_str().unwrap();
    let page = format!("/app/log-activity?profile={id}");
    browser.go(&world.at(&page)).await;
    world.sees("What you did").await;
    world.choose("log_to_crm", "Yes").await;
    browser.fill("[name=text]", "Hello Quentin.").await;
    world.press("Log it").await;
    browser.arrive(&world.at("/app/activity")).await;
    world.sees("Waiting for your answer").await;
    world.press("My activities").await;
    world.choose("state", "Waiting for your answer").await;
    world.press("Search").await;
    world.press("Answer: Quentin Zabrowski").await;
    world.sees("Is this the right CRM match?").await;
    world.is_accessible().await;
    world.picture("activity-question").await;
    assert_eq!(world.with_text("Task", "Hello Quentin.").await.len(), 0);
    world.press("It is this one: Quentin Zabrowski").await;
    world.sees("It was written to the CRM").await;
    let tasks = world.with_text("Task", "Hello Quentin.").await;
    assert_eq!(tasks.len(), 1, "{tasks:?}");
    let who = tasks[0]["WhoId"].as_str().unwrap();
    assert!(twins.iter().any(|twin| twin == who), "{who}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seller_of_dynamics_chooses_what_is_logged() {
    let Some(world) = World::start(CrmKind::Dynamics365).await else {
        return;
    };
    signed_in(&world, "entra").await;
    choose_and_log(&world).await;
    // It waits for nobody's sign-in.
    world.sees("It was written to the CRM").await;
    world.press("Home").await;
    world.sees("Nothing needs your attention.").await;
    world.press("My settings").await;
    world.press("Use another account").await;
    world.press("Sol Seller").await;
    world.sees("Sign in again").await;
    world.no_complaints().await;
    world.stop().await;
}
