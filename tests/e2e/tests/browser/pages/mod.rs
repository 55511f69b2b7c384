//! The pages in headless Chromium, on the embedded stack and the simulator (CN-1 to CN-11, LC-2 to LC-6, LG-1 to LG-9, MA-1 to MA-5, SV-1 to SV-3, WB-1 to WB-10).
//!
//! Without a browser the tests report that and check nothing, unless `LEADBRIDGE_SIGN_IN_TESTS` is
//! `required`. Pictures of every page are kept in `target/tmp/pages`.

mod activities;
mod add_to_crm;
mod archive;
mod champions;
mod crm_users;
mod directory;
mod german;
mod leads;
mod lists;
mod out_of_date;
mod person_data;
mod privacy;
mod reference;
mod roi;
mod settings;
mod world;

use std::time::Duration;

use e2e::Harness;
use reqwest::{Method, StatusCode};
use serde_json::json;
use shared::domain::schema::CrmKind;
use url::Url;

use self::world::{ADMIN, SELLER, World};

/// CN-1, CN-4, CN-5, CN-8 to CN-10: from the invitation to the end of the connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_connects_in_four_steps_and_disconnects() {
    let Some(world) = World::start(CrmKind::Salesforce).await else {
        return;
    };
    let browser = &world.browser;
    browser.resize(1280, 800).await;
    let link = world.invite(ADMIN, "administrator", "salesforce").await;
    browser.go(&link).await;
    let home = browser.arrive(&world.at("/app/home")).await;
    assert_eq!(home.query(), Some("contract=acme"));
    world.sees("Nothing needs your attention.").await;
    world.is_readable().await;
    world.picture("home").await;

    // Step 1, with an object that cannot be read.
    world
        .salesforce(json!({ "denied": { "Opportunity": ["read"] } }))
        .await;
    world.press("Production CRM").await;
    world.sees("Connect your production CRM").await;
    world.press("Log in").await;
    world.sees("No CRM is selected.").await;
    world.press("use a different CRM?").await;
    browser.fill("dialog [name=name]", "HubSpot").await;
    world.press("Save").await;
    world.sees("You told us that you use HubSpot.").await;
    world.press("Salesforce").await;
    browser
        .fill("[name=login_url]", "https://elsewhere.example")
        .await;
    world.press("Log in").await;
    world
        .sees("That is not an https address of Salesforce.")
        .await;
    let marked = browser.find("[name=login_url][aria-invalid=true]").await;
    assert!(marked.starts_with("/element/"));
    world.is_readable().await;
    world.picture("step-1").await;
    let login = world.harness.simulator.salesforce.as_str();
    let type_anew = "document.querySelector('[name=login_url]').value = ''";
    browser.script(type_anew, &json!([])).await;
    browser.fill("[name=login_url]", login).await;
    world.press("Log in").await;
    let page = world.at("/app/crm-production");
    let shown = world
        .sees("Could not read the required CRM objects from your org: Opportunity.")
        .await;
    assert!(shown.contains("Step 1 of 4"), "{shown}");
    let shown = world.sees("Missing: it cannot be read.").await;
    assert!(shown.contains("Required"), "{shown}");
    world.is_readable().await;
    world.picture("step-1-permissions").await;
    world.press("Check Permission Status").await;
    world.sees("Permissions are missing for Opportunity.").await;
    world.salesforce(json!({ "denied": {} })).await;
    world.press("Check Permission Status").await;

    // Step 2, left and found again.
    let shown = world.sees("Step 2 of 4").await;
    assert!(!shown.contains("Could not read"), "{shown}");
    world.press("Create leads").await;
    world.choose("pipeline_stage", "Qualification").await;
    browser.reload().await;
    world.sees("Step 2 of 4").await;
    assert_eq!(world.value("pipeline_stage").await, "Not sure");
    world.choose("pipeline_stage", "Qualification").await;
    world.press("Create leads").await;
    world.is_readable().await;
    world.picture("step-2").await;
    world.press("Next: ROI reporting").await;

    // Step 3.
    world.sees("Step 3 of 4").await;
    browser.reload().await;
    world.sees("Step 3 of 4").await;
    world.press("Turn on ROI Reporting?").await;
    world.press("Next: Advanced features").await;
    world
        .sees("ROI reporting needs a currency to report in.")
        .await;
    world.choose("won_value_field", "Amount").await;
    world.choose("currency", "EUR").await;
    world.is_readable().await;
    world.picture("step-3").await;
    world.press("Next: Advanced features").await;

    // Step 4; back, where everything is as it was left.
    world.sees("Step 4 of 4").await;
    world.picture("step-4").await;
    world
        .press("Step 2: Configure CRM sync settings, done")
        .await;
    world.sees("Step 2 of 4").await;
    assert_eq!(world.value("pipeline_stage").await, "Qualification");
    assert_eq!(world.value("create_leads").await, true);
    world.press("Step 4: Advanced features").await;
    world.sees("Step 4 of 4").await;
    world.press("Finish").await;
    world.sees("Sync now").await;
    world.sees("Up to date").await;
    world.press("Sync now").await;
    world.press("CRM sync settings").await;
    browser.find("[name=lead_source]").await;
    world.press("Save").await;
    world.sees("The sync settings are saved.").await;
    world.is_readable().await;
    world.picture("connected").await;

    // The user's own CRM account (CN-11).
    world.press("My settings").await;
    world.press("Connect").await;
    let shown = world.sees("Sign in again").await;
    assert!(shown.contains(ADMIN), "{shown}");
    world.is_readable().await;
    world.picture("my-settings-connected").await;
    world.press("Disconnect").await;
    world.press("Disconnect").await;
    world.no_longer_sees("Sign in again").await;
    world.sees("Not connected").await;
    world.press("Home").await;
    world.press("Open production").await;
    world.sees("Sync now").await;

    // The end, with its results.
    world.press("Disconnect CRM Sync").await;
    world
        .press("Yes, clean up all previously imported CRM data")
        .await;
    world.picture("disconnect").await;
    world.press("Disconnect").await;
    let shown = world.sees("Cleaned up: ").await;
    assert!(shown.contains(", 0 are left."), "{shown}");
    assert!(!shown.contains("Cleaned up: 0 of 0"), "{shown}");
    let shown = world.sees("The provider has revoked our access.").await;
    assert!(shown.contains("Step 1 of 4"), "{shown}");
    world.picture("disconnected").await;
    assert_eq!(browser.arrive(&page).await.path(), page.path());
    world.no_complaints().await;
    world.stop().await;
}

/// CN-7, IM-3, IM-4: an import while it runs, stopped, and in the history.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_is_followed_and_stopped() {
    const CALLS: &str = "return performance.getEntriesByType('resource') \
         .filter(({ name }) => name.includes('/api/v1/sync?')).length;";
    const HIDE: &str =
        "Object.defineProperty(document, 'hidden', { value: arguments[0], configurable: true });";
    let Some(world) = World::start(CrmKind::Salesforce).await else {
        return;
    };
    let browser = &world.browser;
    let calls = async || browser.script(CALLS, &json!([])).await.as_u64().unwrap();
    browser.resize(1280, 800).await;
    let mut run = world.connect_with_an_import().await;
    let mut objects = world.objects(run.run).await;
    world.checkpoint(&mut run, &mut objects).await;
    let link = world.invite(ADMIN, "administrator", "salesforce").await;
    browser.go(&link).await;
    browser.arrive(&world.at("/app/home")).await;
    world.press("Production CRM").await;
    let shown = world.sees("Reading contacts: 41 %").await;
    for part in [
        "In progress",
        "41,000 of about 100,000 read",
        "40,500 records here, 99,900 in the CRM",
        "Fax: It cannot be read.",
        "Next step: Give access to it.",
        "Next step: Look.",
        "10 API calls, 12.3KB",
        "Imports: 10, 4 % of their share. All applications: 600 of 1,000.",
        "25 % of your organisation’s API calls",
    ] {
        assert!(shown.contains(part), "no “{part}” in:\n{shown}");
    }
    let bars = "return [...document.querySelectorAll('progress')].map((bar) => [bar.getAttribute('aria-label'), bar.value]);";
    assert_eq!(
        browser.script(bars, &json!([])).await,
        json!([
            ["Account: how much is read", 100],
            ["Contact: how much is read", 41],
        ])
    );
    world.is_readable().await;
    world.picture("import").await;

    // It is updated by itself while the page is open, and only then.
    objects[1].read = 60_000;
    world.checkpoint(&mut run, &mut objects).await;
    world.sees("60,000 of about 100,000 read").await;
    browser.script(HIDE, &json!([true])).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = calls().await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(calls().await, before, "a page that nobody sees asks");
    browser.script(HIDE, &json!([false])).await;

    world.press("CRM sync settings").await;
    // Typed behind the 25 that is there.
    browser.fill("[name=api_share_percent]", "0").await;
    world.press("Save").await;
    world
        .sees("The share of API calls is 1 to 100 percent.")
        .await;
    browser
        .find("[name=api_share_percent][aria-invalid=true]")
        .await;

    world.press("Stop").await;
    world.picture("import-stop").await;
    world.press("Stop the import").await;
    world.sees("The import was stopped by admin").await;
    world.sees("Sync now").await;
    world.press("Imports that ended").await;
    let shown = world.sees("Took").await;
    for part in ["Not finished", "60,000"] {
        assert!(shown.contains(part), "no “{part}” in:\n{shown}");
    }
    world.is_readable().await;
    world.picture("import-stopped").await;
    let before = calls().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(calls().await, before, "nothing goes on, and the page asks");
    world.press("Sync now").await;
    world.sees("Asked for by").await;
    world.no_longer_sees("The import was stopped by").await;
    world.no_complaints().await;
    world.stop().await;
}

/// CN-2, CN-3, CN-6: the other CRM, chosen in the guide; and the message for a revoked access.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dynamics_is_connected_and_signed_in_to_again() {
    let Some(world) = World::start(CrmKind::Salesforce).await else {
        return;
    };
    let browser = &world.browser;
    browser.resize(1280, 800).await;
    let link = world.invite(ADMIN, "administrator", "entra").await;
    browser.go(&link).await;
    browser.arrive(&world.at("/app/home")).await;
    world.press("Production CRM").await;
    world.press("Microsoft Dynamics 365 Sales").await;
    world.press("Log in").await;
    browser
        .find("[name=organization_url][aria-invalid=true]")
        .await;
    let organization = world.harness.simulator.dataverse.as_str();
    browser.fill("[name=organization_url]", organization).await;
    world.press("Log in").await;
    let shown = world.sees("Step 2 of 4").await;
    assert!(shown.contains(organization), "{shown}");
    world.choose("pipeline_stage", "Qualify").await;
    world.press("Next: ROI reporting").await;
    world.sees("Step 3 of 4").await;

    let tokens = json!({ "provider": "dataverse" });
    let harness = &world.harness;
    harness
        .control(Method::POST, "/tokens/revoke", Some(tokens))
        .await;
    world.press("Back").await;
    // Both steps have that button.
    world.sees("Step 2 of 4").await;
    world.press("Read them again").await;
    world.sees("Next step: ").await;
    world.press("Home").await;
    let shown = world.sees("Action needed").await;
    assert!(shown.contains("Next step: "), "{shown}");
    world.picture("home-sign-in-needed").await;
    world.press("Production CRM").await;
    world.sees("Sign-in needed").await;
    world.is_readable().await;
    world.picture("sign-in-needed").await;
    world.press("Log in again").await;
    world.press("Ada Admin").await;
    world.no_longer_sees("Sign-in needed").await;
    world.sees("Step 3 of 4").await;
    world.no_complaints().await;
    world.stop().await;
}

/// LG-9: the accounts that are read and the secret of the notifications are set, wrong ones at their field.
async fn sets_linkedin(world: &World) {
    let browser = &world.browser;
    world.type_anew("owners", "the account").await;
    world.press("Save").await;
    world.sees("An owner is a LinkedIn URN").await;
    browser.find("[name=owners][aria-invalid=true]").await;
    world.type_anew("owners", "456").await;
    browser
        .fill("[name=client_secret]", "a client secret")
        .await;
    world.press("Save").await;
    world.sees("not pulled yet").await;
    let owner = json!("urn:li:sponsoredAccount:456");
    assert_eq!(world.value("owners").await, owner);
    let shown = world.text().await;
    assert!(shown.contains("Taken"), "{shown}");
}

/// People, tokens, LinkedIn, the audit log, and the way out and back in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_manages_people_tokens_and_linkedin() {
    let Some(world) = World::start(CrmKind::Salesforce).await else {
        return;
    };
    let browser = &world.browser;
    browser.resize(1280, 800).await;
    let link = world.invite(ADMIN, "administrator", "salesforce").await;
    browser.go(&link).await;
    browser.arrive(&world.at("/app/home")).await;

    world.press("Seats").await;
    world.press("Invite somebody").await;
    browser.fill("[name=name]", "Sam Seller").await;
    browser.fill("[name=email]", "nobody").await;
    world.press("Invite").await;
    world.sees("That is not an e-mail address.").await;
    browser.find("[name=email][aria-invalid=true]").await;
    world.is_readable().await;
    world.picture("invite").await;
    browser.fill("[name=email]", "@example.com").await;
    world.press("Invite").await;
    world.sees("Invitation for Sam Seller").await;
    let link = world.value("secret").await;
    let link: Url = link.as_str().unwrap().parse().unwrap();
    assert_eq!(link.path(), "/oauth/sign-in/salesforce");
    world.picture("invited").await;
    world.press("Done").await;
    world.sees("nobody@example.com").await;
    world.press("Edit: Sam Seller").await;
    world.press("Can sign in").await;
    world.press("Save").await;
    world.sees("Disabled").await;
    world.is_readable().await;
    world.picture("seats").await;
    world.press("Delete: admin").await;
    world.press("Delete").await;
    world
        .sees("This is the last administrator who can sign in.")
        .await;
    world.press("Cancel").await;
    world.press("Delete: Sam Seller").await;
    world.press("Delete").await;
    world.no_longer_sees("Sam Seller").await;

    world.press("API tokens").await;
    world.press("Create a token").await;
    browser.fill("[name=name]", "Nightly job").await;
    world.press("Create").await;
    world.sees("it is not shown again").await;
    let bearer = world.value("secret").await;
    assert!(bearer.as_str().unwrap().starts_with("lbt.acme."));
    world.press("Done").await;
    world.sees("Nightly job").await;
    world.picture("tokens").await;
    world.press("Revoke: Nightly job").await;
    world.press("Revoke").await;
    world.no_longer_sees("Nightly job").await;

    world.press("LinkedIn").await;
    world.sees("Authorisation of lead sync").await;
    sets_linkedin(&world).await;
    world.press("Authorise").await;
    let shown = world.sees("Authorise again").await;
    assert!(shown.contains("You"), "{shown}");
    world.is_readable().await;
    world.picture("linkedin").await;
    world.press("Disconnect").await;
    world.press("Disconnect").await;
    world.no_longer_sees("Authorise again").await;
    world.sees("Not connected").await;

    world.press("Audit log").await;
    world.sees("api_token.revoke").await;
    world.press("Before and after").await;
    world.is_readable().await;
    world.picture("audit-log").await;

    world.stays_signed_in_while_working().await;

    // Signed out elsewhere: the next step leads to the sign-in, and back here.
    browser.forget_cookies().await;
    world.press("Seats").await;
    let at = browser.arrive(&world.at("/app/sign-in")).await;
    assert!(at.query().unwrap().contains("contract=acme"), "{at}");
    world.sees("Your session has ended.").await;
    assert_eq!(world.value("contract").await, "acme");
    world.is_readable().await;
    world.picture("sign-in").await;
    world.press("More choices").await;
    let login = world.harness.simulator.salesforce.as_str();
    browser.fill("[name=login_url]", login).await;
    world.press("Sign in with Salesforce").await;
    browser.arrive(&world.at("/app/seats")).await;
    world.sees("(you)").await;
    world.press("Sign out").await;
    world.sees("You are signed out.").await;
    let (status, _) = browser.fetch("/api/v1/session", &json!({})).await;
    assert_eq!(status, 401);
    world.no_complaints().await;
    world.stop().await;
}

/// LG-1, CN-11: actions that the role does not permit are not offered, and not done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_salesperson_sees_no_administration() {
    let Some(world) = World::start(CrmKind::Salesforce).await else {
        return;
    };
    let browser = &world.browser;
    browser.resize(1280, 800).await;
    let link = world.invite(SELLER, "salesperson", "salesforce").await;
    world.accept_as(link, SELLER).await;
    browser.go(&world.at("/")).await;
    browser.arrive(&world.at("/app/home")).await;
    let shown = world.sees("Your CRM sign-in").await;
    for hidden in [
        "Seats",
        "API tokens",
        "Audit log",
        "Production CRM",
        "Match rates",
    ] {
        assert!(!shown.contains(hidden), "{hidden} in:\n{shown}");
    }
    world.is_readable().await;
    world.picture("home-salesperson").await;
    world.press("My settings").await;
    world.sees("Not connected").await;
    world.picture("my-settings-empty").await;
    world.press("People").await;
    let shown = world.sees("Nothing is found.").await;
    for hidden in ["Add a person", "Upload a file"] {
        assert!(!shown.contains(hidden), "{hidden} in:\n{shown}");
    }
    // Salespeople decide on matches too; administrators decide on the directory's entries.
    let bob = json!({ "first_name": "Bob", "last_name": "Builder", "emails": ["bob@example.com"] });
    world.api(Method::POST, "/profiles", Some(bob)).await;
    world.press("Search").await;
    world.press("Bob Builder").await;
    let shown = world.sees("No CRM match").await;
    assert!(!shown.contains("Delete"), "{shown}");
    world.press("Choose a record").await;
    world
        .sees("No contact or lead that was imported is like it.")
        .await;
    for page in [
        "seats",
        "crm-production",
        "api-tokens",
        "audit-log",
        "match-rates",
        "upload-people",
    ] {
        browser.go(&world.at(&format!("/app/{page}"))).await;
        world.sees("This page is for administrators.").await;
    }
    browser.go(&world.at("/app/nothing")).await;
    world.sees("There is no such page").await;
    browser.go(&world.at("/app/home?contract=other")).await;
    world.sees("You are signed in to acme as seller.").await;
    world.no_complaints().await;
    world.stop().await;
}

#[tokio::test]
async fn pages_are_guarded_and_kept_by_browsers() {
    let harness = Harness::embedded(false).await;
    let get = async |path: &str, tag: Option<&str>| {
        let mut request = harness.http.get(format!("{}{path}", harness.console));
        if let Some(tag) = tag {
            request = request.header("if-none-match", tag);
        }
        request.send().await.unwrap()
    };
    let answer = get("/", None).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    let first = format!("{}/app/home", harness.console);
    assert_eq!(answer.headers()["location"], first.as_str());
    for (path, status, kind) in [
        ("/app/home", 200, "text/html; charset=utf-8"),
        (
            "/app/sign-in?contract=acme",
            200,
            "text/html; charset=utf-8",
        ),
        ("/app/nothing", 404, "text/html; charset=utf-8"),
        ("/app/app.js", 200, "text/javascript; charset=utf-8"),
        ("/app/app.css", 200, "text/css; charset=utf-8"),
        ("/app/icon.svg", 200, "image/svg+xml"),
    ] {
        let answer = get(path, None).await;
        assert_eq!(answer.status().as_u16(), status, "{path}");
        let headers = answer.headers().clone();
        assert_eq!(headers["content-type"], kind);
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["referrer-policy"], "no-referrer");
        assert_eq!(headers["cache-control"], "no-cache");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; "));
        assert!(!policy.contains("unsafe"), "{policy}");
        assert!(headers.get("set-cookie").is_none());
        let tag = headers["etag"].to_str().unwrap();
        let again = get(path, Some(tag)).await;
        let expected = if status == 200 { 304 } else { status };
        assert_eq!(again.status().as_u16(), expected, "{path}");
        let other = get(path, Some("\"other\"")).await;
        assert_eq!(other.status().as_u16(), status, "{path}");
    }
    let script = format!("{}/app/app.js", harness.console);
    let request = harness.http.get(script).header("accept-encoding", "gzip");
    let answer = request.send().await.unwrap();
    assert_eq!(answer.headers()["content-encoding"], "gzip");
    assert_eq!(answer.headers()["vary"], "accept-encoding");
    assert!(answer.bytes().await.unwrap().starts_with(&[0x1f, 0x8b]));
    assert_eq!(get("/app/a/b", None).await.status(), StatusCode::NOT_FOUND);
    harness.stop().await;
}
