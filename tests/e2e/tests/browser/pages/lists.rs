//! *My lists*, and the sections of lists and opportunities on a person's page (SV-4, SV-5).

use reqwest::Method;
use serde_json::{Value, json};
use shared::domain::schema::CrmKind;

use super::world::{ADMIN, World};

/// SV-4, SV-5: an opportunity's people are in its owner's list with the reason; the seat holder annotates,
/// removes and saves them, and keeps a list of their own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_fills_itself_and_its_seat_holder_keeps_it() {
    let Some(world) = World::start(CrmKind::Salesforce).await else {
        return;
    };
    let users = world.records_of("User").await;
    let owner = users.iter().find(|user| user["Email"] == ADMIN);
    let owner = owner.map_or(Value::Null, |user| user["Id"].clone());
    let account = world
        .record("Account", json!({ "Name": "Analytical Engines" }))
        .await;
    let ada = json!({ "FirstName": "Ada", "LastName": "Lovelace", "Email": "ada@engines.example", "AccountId": account });
    let ada = world.record("Contact", ada).await;
    let deal = json!({
        "Name": "A large engine", "AccountId": account, "CloseDate": "2027-01-31", "Amount": 125_000,
        "StageName": "Prospecting", "OwnerId": owner,
    });
    let deal = world.record("Opportunity", deal).await;
    let role = json!({ "OpportunityId": deal, "ContactId": ada, "Role": "Decision Maker", "IsPrimary": true });
    world.record("OpportunityContactRole", role).await;
    world.connect().await;
    let browser = &world.browser;
    browser.resize(1280, 800).await;
    let link = world.invite(ADMIN, "administrator", "salesforce").await;
    browser.go(&link).await;
    browser.arrive(&world.at("/app/home")).await;
    let settings = json!({ "auto_save": { "contacts": true, "accounts": true } });
    let path = "/crm-connections/production/sync-settings";
    world.api(Method::PUT, path, Some(settings)).await;
    world.import().await;
    let person =
        json!({ "first_name": "Ada", "last_name": "Lovelace", "emails": ["ada@engines.example"] });
    world.api(Method::POST, "/profiles", Some(person)).await;

    // The list, with the reason. The pass comes a moment after the import.
    for _ in 0..60 {
        browser.go(&world.at("/app/my-lists")).await;
        world.sees("My people").await;
        if world.text().await.contains("A large engine") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    let shown = world.sees("as Decision Maker").await;
    assert!(
        shown.contains("Ada Lovelace") && shown.contains("Prospecting"),
        "{shown}"
    );
    world.is_accessible().await;
    world.picture("my-lists").await;
    // A telephone shows the links between lists too.
    browser.resize(360, 800).await;
    world.is_readable().await;
    world.press("My companies").await;
    world.sees("Analytical Engines").await;
    world.press("My people").await;
    world.sees("as Decision Maker").await;
    world.picture("my-lists-narrow").await;
    browser.resize(1280, 800).await;

    // The first page tells what is new in them.
    world.press("Home").await;
    let shown = world.sees("because of A large engine").await;
    for part in ["New in my lists", "Ada Lovelace", "None waits."] {
        assert!(shown.contains(part), "no “{part}” in:\n{shown}");
    }
    world.is_accessible().await;
    world.press("My people").await;
    world.sees("as Decision Maker").await;

    // A note.
    world.press("Add a note: Ada Lovelace").await;
    browser.fill("dialog [name=note]", "Met at the fair").await;
    world.press("Keep the note").await;
    world.sees("Note: Met at the fair").await;

    // A list of one's own.
    world.press("New list").await;
    browser.fill("dialog [name=name]", "Key people").await;
    world.press("Make the list").await;
    world.sees("No people are saved here yet.").await;

    // The person's page: opportunities, and the lists that the person is in.
    browser.go(&world.at("/app/people")).await;
    world.sees("Ada Lovelace").await;
    world.press("Ada Lovelace").await;
    let shown = world.sees("Open opportunities").await;
    assert!(
        shown.contains("A large engine") && shown.contains("125,000"),
        "{shown}"
    );
    world.sees("Remove from My people").await;
    world.is_accessible().await;
    world.picture("person-with-opportunities").await;
    world.press("Save to Key people").await;
    world.sees("Remove from Key people").await;
    world.press("Remove from My people").await;
    world.sees("Save to My people").await;

    // Removed by hand, it stays removed after the next import; the own list has it.
    world.import().await;
    browser.go(&world.at("/app/my-lists")).await;
    world.sees("No people are saved here yet.").await;
    world.press("Key people").await;
    world.sees("Saved by you").await;
    world.press("Remove: Ada Lovelace").await;
    world.press("Remove").await;
    world.no_longer_sees("Saved by you").await;
    world.press("Delete the list").await;
    world.press("Delete").await;
    world.no_longer_sees("Key people").await;
    world.press("My companies").await;
    world.sees("Analytical Engines").await;
    world.no_complaints().await;
    world.stop().await;
}
