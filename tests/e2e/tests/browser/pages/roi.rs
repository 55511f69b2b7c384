//! The page *ROI*: figures with their definitions, the opportunities behind them, reports that are kept (RO-1).

use reqwest::Method;
use serde_json::{Value, json};
use shared::domain::schema::CrmKind;

use super::world::{ADMIN, SELLER, World};

/// RO-1: an administrator reads the figures, opens the opportunities behind one with the reason, and keeps the
/// report.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_reads_the_roi_and_keeps_a_report() {
    let Some(world) = World::start(CrmKind::Salesforce).await else {
        return;
    };
    let ada = json!({ "FirstName": "Ada", "LastName": "Lovelace", "Email": "ada@engines.example" });
    let ada = world.record("Contact", ada).await;
    let users = world.records_of("User").await;
    let owner = users.iter().find(|user| user["Email"] == ADMIN);
    let owner = owner.map_or(Value::Null, |user| user["Id"].clone());
    let deal = json!({
        "OwnerId": owner, "Name": "A large engine", "CloseDate": "2030-01-31", "Amount": 125_000.5, "StageName": "Prospecting",
    });
    let deal = world.record("Opportunity", deal).await;
    let role = json!({ "OpportunityId": deal, "ContactId": ada, "Role": "Decision Maker", "IsPrimary": true });
    world.record("OpportunityContactRole", role).await;
    // A sum below zero has no bar, and the browser nothing to complain of.
    let refund = json!({
        "OwnerId": owner, "Name": "A refund", "CloseDate": "2030-01-31", "Amount": -500, "StageName": "Prospecting",
    });
    world.record("Opportunity", refund).await;
    world.connect().await;
    let browser = &world.browser;
    browser.resize(1280, 800).await;
    let link = world.invite(ADMIN, "administrator", "salesforce").await;
    browser.go(&link).await;
    browser.arrive(&world.at("/app/home")).await;
    browser.go(&world.at("/app/roi")).await;
    world.sees("ROI reporting is off").await;

    let on = json!({ "enabled": true, "currency": "EUR" });
    let path = "/crm-connections/production/roi-reporting";
    world.api(Method::PUT, path, Some(on)).await;
    world.import().await;
    let person =
        json!({ "first_name": "Ada", "last_name": "Lovelace", "emails": ["ada@engines.example"] });
    world.api(Method::POST, "/profiles", Some(person)).await;
    browser.go(&world.at("/app/people")).await;
    world.sees("Ada Lovelace").await;
    world.press("Ada Lovelace").await;
    world.press("Save to My people").await;
    world.sees("Remove from My people").await;
    // Older than a worker keeps the settings.
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    world.import().await;
    // The run comes a moment after the import.
    world
        .until("/roi", "/total/influenced/open_value", "125000.50")
        .await;
    browser.go(&world.at("/app/roi")).await;
    let shown = world.sees("Definitions").await;
    for text in ["from 90 days before it was opened", "Win rate", "As of"] {
        assert!(shown.contains(text), "no {text} in:\n{shown}");
    }
    // Days are written as the reader writes them, and not `2026-01-31`.
    assert!(!shown.contains("opened from 20"), "{shown}");
    world.is_accessible().await;
    world.picture("roi").await;
    browser.resize(1280, 800).await;

    // What is wrong is said beside the form, which keeps what was typed.
    world.type_anew("currency", "eur").await;
    world.press("Show").await;
    world.sees("A currency is an ISO 4217 code").await;
    assert_eq!(world.value("currency").await, "eur");
    world.is_accessible().await;
    world.type_anew("currency", "EUR").await;
    world.press("Show").await;
    world.sees("Definitions").await;

    world.press("All periods, Influenced: Opportunities").await;
    let shown = world.sees("A large engine").await;
    assert!(shown.contains("Saved to a list"), "{shown}");
    world.is_accessible().await;
    world.picture("roi-behind").await;
    browser.resize(1280, 800).await;

    browser.fill("main input[name=name]", "Last quarter").await;
    world.press("Keep this report").await;
    world.sees("Back to the figures of today").await;
    world.press("Back to the figures of today").await;
    world.sees("Last quarter").await;
    // Behind many newer ones it is found still.
    let report = world.api(Method::GET, "/roi", None).await;
    for number in 0..20 {
        let newer = json!({ "name": format!("Newer {number}"), "question": report["question"] });
        world.api(Method::POST, "/roi/reports", Some(newer)).await;
    }
    browser.go(&world.at("/app/roi")).await;
    world.sees("Newer 19").await;
    world.press("Show more").await;
    world.sees("Last quarter").await;

    // A seller sees the figures of their own opportunities only.
    browser.forget_cookies().await;
    let link = world.invite(SELLER, "salesperson", "salesforce").await;
    world.accept_as(link, SELLER).await;
    browser.go(&world.at("/app/roi")).await;
    let shown = world.sees("Only the opportunities that you own").await;
    for hidden in ["125,000", "Kept reports"] {
        assert!(!shown.contains(hidden), "{hidden} in:\n{shown}");
    }
    world.no_complaints().await;
    world.stop().await;
}
