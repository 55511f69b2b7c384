//! *Champions*: people of won opportunities who are at another company now (SV-7).

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use shared::domain::schema::CrmKind;

use super::world::{ADMIN, World};

/// SV-7: a seat holder sees who moved, with the evidence, dismisses the person, takes that back, and saves them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_champion_is_dismissed_listed_again_and_saved() {
    let Some(world) = World::start(CrmKind::Salesforce).await else {
        return;
    };
    let users = world.records_of("User").await;
    let owner = users.iter().find(|user| user["Email"] == ADMIN);
    let owner = owner.map_or(Value::Null, |user| user["Id"].clone());
    let account = json!({ "Name": "Globex Corporation", "Website": "https://globex.example" });
    let account = world.record("Account", account).await;
    // An address of their own: one of the customer's would speak against the move.
    let contact = json!({
        "FirstName": "Ada", "LastName": "Byron", "Email": "ada@byron.example", "AccountId": account,
    });
    let contact = world.record("Contact", contact).await;
    let deal = json!({
        "Name": "A large engine", "AccountId": account, "CloseDate": "2026-01-31",
        "StageName": "Closed Won", "OwnerId": owner,
    });
    let deal = world.record("Opportunity", deal).await;
    let role = json!({ "OpportunityId": deal, "ContactId": contact, "Role": "Decision Maker" });
    world.record("OpportunityContactRole", role).await;
    world.connect().await;
    let browser = &world.browser;
    browser.resize(1280, 800).await;
    let link = world.invite(ADMIN, "administrator", "salesforce").await;
    browser.go(&link).await;
    browser.arrive(&world.at("/app/home")).await;
    let settings = json!({ "auto_save": { "accounts": true } });
    let path = "/crm-connections/production/sync-settings";
    world.api(Method::PUT, path, Some(settings)).await;
    world.import().await;
    let person = json!({
        "first_name": "Ada", "last_name": "Byron", "emails": ["ada@byron.example"],
        "company": "Initech",
    });
    world.api(Method::POST, "/profiles", Some(person)).await;

    // The search comes a moment after an import, which may know the setting only after some seconds.
    for _ in 0..20 {
        world.import().await;
        browser.go(&world.at("/app/champions")).await;
        world.sees("To look at").await;
        if world.text().await.contains("Ada Byron") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let shown = world.sees("Initech").await;
    for text in ["Decision Maker", "A large engine", "Globex Corporation"] {
        assert!(shown.contains(text), "no {text} in:\n{shown}");
    }
    // The day of the win is written as the reader writes days.
    assert!(!shown.contains("2026-01-31"), "{shown}");
    world.is_accessible().await;
    world.picture("champions").await;
    browser.resize(1280, 800).await;
    world.press("Dismiss: Ada Byron").await;
    world
        .sees("Dismissed. A further move is listed again.")
        .await;
    world.press("Undo: Ada Byron").await;
    world.press("Save to My people: Ada Byron").await;
    world.sees("Saved to My people").await;
    browser.go(&world.at("/app/my-lists")).await;
    world.sees("Ada Byron").await;

    // Switched off, none is shown, although nobody looked for them since.
    let saved = world.at("/app/champions?state=saved");
    browser.go(&saved).await;
    world.sees("Initech").await;
    for settings in [
        json!({ "auto_save": { "accounts": true }, "auto_sync_seat_holders": false }),
        json!({ "auto_save": {} }),
    ] {
        world.api(Method::PUT, path, Some(settings)).await;
        browser.go(&saved).await;
        world.sees("There are none.").await;
    }
    world.no_complaints().await;
    world.stop().await;
}
