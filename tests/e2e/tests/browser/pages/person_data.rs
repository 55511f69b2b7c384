//! The page of a person's data: found, saved and erased (OP-3).

use reqwest::Method;
use serde_json::json;
use shared::domain::schema::CrmKind;

use super::world::{ADMIN, World};

const HOSTILE: &str = "<script>alert(1)</script>";

/// OP-3: everything about a person is shown with its reason, saved as a file in which no text is markup, and
/// erased once the word is typed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_persons_data_is_shown_saved_and_erased() {
    const KEEP: &str = "window.kept = ''; const make = URL.createObjectURL.bind(URL); \
         URL.createObjectURL = (blob) => { blob.text().then((text) => { window.kept += text; }); return make(blob); };";
    let Some(world) = World::start(CrmKind::Salesforce).await else {
        return;
    };
    let browser = &world.browser;
    browser.resize(1280, 800).await;
    let person =
        json!({ "first_name": HOSTILE, "last_name": "Markup", "emails": ["markup@example.com"] });
    world.api(Method::POST, "/profiles", Some(person)).await;
    let link = world.invite(ADMIN, "administrator", "salesforce").await;
    browser.go(&link).await;
    browser.arrive(&world.at("/app/home")).await;
    world.press("A person's data").await;
    world.sees("Nobody's data was erased yet.").await;
    world.is_accessible().await;
    world.press("Search").await;
    world.sees("Nothing names a person.").await;
    browser.fill("[name=emails]", "Markup@Example.com").await;
    world.press("Search").await;
    world.sees("1 item").await;
    world.sees("The directory has the person").await;
    world.press("Everything that is stored").await;
    world.sees(HOSTILE).await;
    world.is_accessible().await;
    world.picture("person-data").await;

    browser.script(KEEP, &json!([])).await;
    world.press("Save as HTML").await;
    let read = "return window.kept";
    let mut saved = String::new();
    for _ in 0..50 {
        let kept = browser.script(read, &json!([])).await;
        kept.as_str().unwrap().clone_into(&mut saved);
        if !saved.is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(saved.contains("&lt;script&gt;alert(1)"), "{saved}");
    assert!(!saved.contains("<script"), "{saved}");

    world.press("Erase this person's data").await;
    world.press("Erase").await;
    world.sees("Type the word erase.").await;
    world.is_accessible().await;
    browser.fill("dialog [name=confirm]", "erase").await;
    world.press("Erase").await;
    world.sees("Erased; looked through once more").await;
    world.sees("Entries of the directory").await;
    world.press("Search").await;
    world.sees("Nothing is stored about this person.").await;
    world.is_accessible().await;
    world.picture("person-data-erased").await;
    world.no_complaints().await;
    world.stop().await;
}
