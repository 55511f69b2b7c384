//! The page of the contract as a whole: export, retention, deletion (OP-3).

use reqwest::Method;
use serde_json::{Value, json};
use shared::domain::schema::CrmKind;

use super::world::{ADMIN, World};

/// OP-3: an administrator exports everything, sets how long answers are kept, asks for the deletion of the
/// contract and thinks better of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_exports_the_contract_and_asks_for_its_deletion() {
    const WATCH: &str = "const made = URL.createObjectURL; \
         URL.createObjectURL = (file) => { window.saved = file; return made.call(URL, file); }; \
         HTMLAnchorElement.prototype.click = function () {};";
    // The page says so of the export before, too.
    const READ: &str = "const done = arguments[0]; const look = () => \
         window.saved ? window.saved.text().then(done) : setTimeout(look, 50); look();";
    // The user chooses a place: a file in the browser's own storage stands for it.
    const CHOOSE: &str = "window.showSaveFilePicker = async ({ suggestedName }) => { \
         const root = await navigator.storage.getDirectory(); \
         window.chosen = await root.getFileHandle(suggestedName, { create: true }); \
         return window.chosen; };";
    const READ_CHOSEN: &str = "const done = arguments[0]; \
         window.chosen.getFile().then((file) => file.text()).then(done);";
    const NO_CHOICE: &str = "window.showSaveFilePicker = undefined;";
    // A draft that was begun long ago, and written just now.
    const DRAFT: &str = "const done = arguments[0]; (async () => { \
         const root = await navigator.storage.getDirectory(); \
         const file = await root.getFileHandle('draft-1', { create: true }); \
         const to = await file.createWritable(); await to.write('an export'); await to.close(); \
         done(true); })();";
    const DRAFTS: &str = "const done = arguments[0]; (async () => { const names = []; \
         const root = await navigator.storage.getDirectory(); \
         for await (const name of root.keys()) names.push(name); done(names); })();";
    let Some(world) = World::start(CrmKind::Salesforce).await else {
        return;
    };
    let browser = &world.browser;
    browser.resize(1280, 800).await;
    let link = world.invite(ADMIN, "administrator", "salesforce").await;
    browser.go(&link).await;
    browser.arrive(&world.at("/app/home")).await;
    world.press("Privacy").await;
    world.sees("Export everything").await;
    world.is_accessible().await;
    world.picture("privacy").await;

    // One file of all pages, the counts in its last line.
    browser.script(CHOOSE, &json!([])).await;
    world.press("Export everything").await;
    world.sees("saved as contract-").await;
    let chosen = browser.script_async(READ_CHOSEN, &json!([])).await;
    let is_whole = |text: &str| text.ends_with("}}}\n") && text.contains("\"read_from\"");
    assert!(is_whole(chosen.as_str().unwrap()), "{chosen}");
    // A browser that asks for no place saves a draft of its own.
    browser.script(NO_CHOICE, &json!([])).await;
    browser.script(WATCH, &json!([])).await;
    world.press("Export everything").await;
    world.sees("saved as contract-").await;
    let saved = browser.script_async(READ, &json!([])).await;
    let lines: Vec<Value> = saved
        .as_str()
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let (end, items) = lines.split_last().unwrap();
    let counts = end["end"]["counts"].as_object().unwrap();
    let total: u64 = counts.values().filter_map(Value::as_u64).sum();
    assert_eq!(total, items.len() as u64);
    assert!(items.iter().all(|line| line["kind"].is_string()));
    assert_eq!(counts["seat"], 1);
    world.picture("privacy-exported").await;

    // The browser may still copy a draft that is whole, however long its export took.
    browser.script_async(DRAFT, &json!([])).await;
    browser.go(&world.at("/app/privacy")).await;
    world.sees("Export everything").await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let drafts = browser.script_async(DRAFTS, &json!([])).await;
    let drafts = drafts.as_array().unwrap();
    assert!(drafts.contains(&json!("draft-1")), "{drafts:?}");

    world.type_anew("keep_answers_days", "soon").await;
    world.press("Save").await;
    world.sees("That is no number of days.").await;
    world.type_anew("keep_answers_days", "7").await;
    world.press("Save").await;
    world.press("Delete what is older").await;
    world.sees("Answers are kept for 30 to 3650 days").await;
    world.press("Cancel").await;
    world.type_anew("keep_answers_days", "365").await;
    world.press("Save").await;
    world.press("Delete what is older").await;
    world.sees("Last change").await;
    let privacy = world.api(Method::GET, "/contract/privacy", None).await;
    assert_eq!(privacy["keep_answers_days"], 365);

    world.press("Delete this contract").await;
    browser.fill("dialog [name=name]", "Acne").await;
    world.press("Delete everything").await;
    world.sees("This is not the contract's name.").await;
    world.is_accessible().await;
    world.picture("privacy-delete").await;
    world.type_anew("name", "Acme").await;
    world.press("Delete everything").await;
    world.sees("This contract is going to be deleted.").await;
    world.is_accessible().await;
    world.press("Keep this contract").await;
    world.sees("The contract stays.").await;
    let runs = world.api(Method::GET, "/runs", None).await;
    assert_eq!(runs["items"][0]["state"], "stopped");
    world.no_complaints().await;
    world.stop().await;
}
