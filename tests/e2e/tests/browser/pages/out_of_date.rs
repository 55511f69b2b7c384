//! *Out of date*: people whose company in the CRM is another one by now (SV-8).

use reqwest::Method;
use serde_json::json;
use shared::domain::schema::CrmKind;

use super::world::{ADMIN, World};

/// SV-8: a person who changed the employer is listed with both values, and on their own page; the difference is
/// dismissed and shown again, and leads to the update of the record.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_changed_the_employer_is_listed_and_dismissed() {
    let Some(world) = World::start(CrmKind::Salesforce).await else {
        return;
    };
    let account = json!({ "Name": "Globex Corporation", "Website": "https://globex.example" });
    let account = world.record("Account", account).await;
    let ann = json!({ "FirstName": "Ann", "LastName": "Meier", "Email": "ann@meier.example", "AccountId": account });
    world.record("Contact", ann).await;
    world.connect().await;
    let browser = &world.browser;
    browser.resize(1280, 800).await;
    let link = world.invite(ADMIN, "administrator", "salesforce").await;
    browser.go(&link).await;
    browser.arrive(&world.at("/app/home")).await;
    world.import().await;
    let person = json!({
        "first_name": "Ann", "last_name": "Meier", "emails": ["ann@meier.example"], "company": "Initech",
    });
    world.api(Method::POST, "/profiles", Some(person)).await;

    world.press("Out of date").await;
    let shown = world.sees("In the CRM: Globex Corporation").await;
    assert!(shown.contains("Here: Initech"), "{shown}");
    world.is_accessible().await;
    world.picture("out-of-date").await;
    browser.resize(360, 800).await;
    world.is_readable().await;
    world.picture("out-of-date-narrow").await;
    browser.resize(1280, 800).await;
    world.press("Dismiss: Ann Meier").await;
    world.no_longer_sees("In the CRM: Globex").await;

    // The person's page has it still, and takes the dismissal back.
    browser.go(&world.at("/app/people")).await;
    world.sees("Ann Meier").await;
    world.press("Ann Meier").await;
    world.sees("Out of date in the CRM").await;
    world.sees("Dismissed by").await;
    world.press("Show again: Ann Meier").await;
    world.no_longer_sees("Dismissed by").await;
    world.is_accessible().await;
    world.picture("person-out-of-date").await;
    browser.go(&world.at("/app/people?out_of_date=true")).await;
    world.sees("Ann Meier").await;
    world.press("Ann Meier").await;
    world.press("Update the record").await;
    world.sees("In the CRM").await;
    world.no_complaints().await;
    world.stop().await;
}
