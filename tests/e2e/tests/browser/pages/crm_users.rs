//! *Seats from the CRM*: users of the CRM are searched, selected and invited (SV-6).

use serde_json::json;
use shared::domain::schema::CrmKind;

use super::world::{ADMIN, World};

/// SV-6: an administrator selects users of the CRM, invites them and reads the report; the seats have the mark.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_invites_users_of_the_crm() {
    let Some(world) = World::start(CrmKind::Salesforce).await else {
        return;
    };
    let chatter = json!({
        "Username": "cora@example.com", "Email": "cora@example.com", "LastName": "Chatter",
        "Name": "Cora Chatter", "Alias": "cora", "IsActive": true, "UserType": "CsnOnly",
    });
    world.record("User", chatter).await;
    world.connect().await;
    world.import().await;
    let browser = &world.browser;
    browser.resize(1280, 800).await;
    let link = world.invite(ADMIN, "administrator", "salesforce").await;
    browser.go(&link).await;
    browser.arrive(&world.at("/app/home")).await;

    world.press("Seats from the CRM").await;
    let shown = world.sees("Sol Seller").await;
    for text in ["Licence for Chatter only", "Disabled in the CRM"] {
        assert!(shown.contains(text), "no {text} in:\n{shown}");
    }
    browser.fill("main input[name=search]", "seller").await;
    world.press("Search").await;
    world.no_longer_sees("Cora Chatter").await;
    world.press("Select all found").await;
    world.sees("1 person selected").await;
    world.is_accessible().await;
    world.picture("crm-users").await;
    browser.resize(1280, 800).await;
    world.press("Invite the selected users").await;
    world.sees("1 of 1 invited.").await;
    world.is_accessible().await;
    world.picture("crm-users-report").await;
    browser.resize(1280, 800).await;
    world.press("Done").await;
    world.sees("0 people selected").await;
    browser.go(&world.at("/app/seats")).await;
    world.sees("In CRM").await;
    world.is_readable().await;
    // The seat in the CRM: the proposal, and the switch of the sync.
    world.press("CRM: Sol Seller").await;
    world.sees("Proposed by the e-mail address").await;
    // Enter searches, and does not save.
    browser
        .fill("dialog [name=words]", "nobody of that name\u{e007}")
        .await;
    world.sees("Nobody is found").await;
    world.is_accessible().await;
    world.choose("sync", "Off").await;
    world.press("Save").await;
    world.sees("Active in the CRM").await;
    world.no_complaints().await;
    world.stop().await;
}
