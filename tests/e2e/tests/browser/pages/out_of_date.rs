//! *Out of date*: people whose company in the CRM is another one by now (SV-8).

use reqwest::Method;
use serde_json::{Value, json};
use shared::domain::schema::CrmKind;

use super::world::{SELLER, World};

/// SV-8: a salesperson sees who of their own contacts changed the employer, with both values, and on the
/// person's page; the difference is dismissed and shown again, and leads to the update of the record.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contact_who_changed_the_employer_is_listed_and_dismissed() {
    let Some(world) = World::start(CrmKind::Salesforce).await else {
        return;
    };
    let account = json!({ "Name": "Globex Corporation", "Website": "https://globex.example" });
    let account = world.record("Account", account).await;
    let users = world.records_of("User").await;
    let seller = users.iter().find(|user| user["Email"] == SELLER);
    let seller = seller.map_or(Value::Null, |user| user["Id"].clone());
    let others = users.iter().find(|user| user["Id"] != seller);
    let others = others.map_or(Value::Null, |user| user["Id"].clone());
    for (name, owner) in [("Meier", seller), ("Other", others)] {
        let email = format!("ann@{}.example", name.to_lowercase());
        let contact = json!({
            "FirstName": "Ann", "LastName": name, "Email": email, "AccountId": account, "OwnerId": owner,
        });
        world.record("Contact", contact).await;
    }
    world.connect().await;
    let browser = &world.browser;
    browser.resize(1280, 800).await;
    world.import().await;
    for name in ["Meier", "Other"] {
        let email = format!("ann@{}.example", name.to_lowercase());
        let person = json!({
            "first_name": "Ann", "last_name": name, "emails": [email], "company": "Initech",
        });
        world.api(Method::POST, "/profiles", Some(person)).await;
    }
    let all = world.api(Method::GET, "/data-validation", None).await;
    assert_eq!(all["items"].as_array().unwrap().len(), 2, "{all}");
    let link = world.invite(SELLER, "salesperson", "salesforce").await;
    world.accept_as(link, SELLER).await;
    browser.go(&world.at("/")).await;
    browser.arrive(&world.at("/app/home")).await;

    world.press("Out of date").await;
    let shown = world.sees("In the CRM: Globex Corporation").await;
    assert!(
        shown.contains("Here: Initech") && !shown.contains("Ann Other"),
        "{shown}"
    );
    world.is_accessible().await;
    world.picture("out-of-date").await;
    browser.resize(360, 800).await;
    world.is_readable().await;
    world.picture("out-of-date-narrow").await;
    browser.resize(1280, 800).await;
    world.press("Dismiss: Ann Meier").await;
    world.no_longer_sees("In the CRM: Globex").await;
    // The button is gone: the focus is where the list was.
    browser.find("main h2[tabindex='-1']").await;

    // The person's page has it still, and takes the dismissal back.
    browser.go(&world.at("/app/people")).await;
    world.sees("Ann Meier").await;
    world.press("Ann Meier").await;
    world.sees("Out of date in the CRM").await;
    world.sees("Dismissed by").await;
    world.press("Show again: Ann Meier").await;
    world.no_longer_sees("Dismissed by").await;
    browser.find("main h2[tabindex='-1']").await;
    world.is_accessible().await;
    world.picture("person-out-of-date").await;
    browser.go(&world.at("/app/people?out_of_date=true")).await;
    world.sees("Ann Meier").await;
    world.press("Ann Meier").await;
    world.press("Update the record").await;
    world.sees("Update in CRM: Ann Meier").await;
    world.no_complaints().await;
    world.stop().await;
}
