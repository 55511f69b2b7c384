//! The pages in German: the choice, texts, numbers and dates.

use serde_json::json;
use shared::domain::schema::CrmKind;

use super::world::{ADMIN, World};

impl World {
    /// Opens a page anew, and checks its language and its accessibility once it shows the text.
    async fn opens(&self, language: &str, page: &str, title: &str, text: &str) {
        const LANGUAGE: &str = "return [document.documentElement.lang, document.title, \
             document.querySelector('h1').textContent];";
        self.browser
            .go(&self.at(&format!("/app/{page}?contract=acme")))
            .await;
        self.sees(text).await;
        let shown = self.browser.script(LANGUAGE, &json!([])).await;
        let document = format!("{title} – Leadbridge");
        assert_eq!(shown, json!([language, document, title]));
        self.is_accessible().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_reads_the_pages_in_german() {
    const DATES: &str =
        "return [...document.querySelectorAll('time')].map((node) => node.textContent);";
    let Some(world) = World::start(CrmKind::Salesforce).await else {
        return;
    };
    let browser = &world.browser;
    browser.resize(1280, 800).await;
    let mut run = world.connect_with_an_import().await;
    let mut objects = world.objects(run.run).await;
    world.checkpoint(&mut run, &mut objects).await;
    let link = world.invite(ADMIN, "administrator", "salesforce").await;
    browser.go(&link).await;
    browser.arrive(&world.at("/app/home")).await;
    world
        .opens("en", "people", "People", "Nothing is found.")
        .await;
    world
        .opens("en", "crm-production", "Production CRM", "41,000")
        .await;

    world.press("Deutsch").await;
    world.sees("Produktions-CRM").await;
    world.sees("41.000").await;
    for (page, title, text) in [
        ("submissions", "Einsendungen", "Erfordert Eingreifen"),
        ("people", "Personen", "Nichts gefunden."),
        ("my-settings", "Meine Einstellungen", "Nicht verbunden"),
        ("crm-production", "Produktions-CRM", "41.000"),
    ] {
        world.opens("de", page, title, text).await;
    }
    let dates = browser.script(DATES, &json!([])).await;
    let is_german = |date: &str| {
        let parts: Vec<&str> = date.split([',', '.']).collect();
        let [day, month, year, _time] = parts[..] else {
            return false;
        };
        day.len() == 2 && month.len() == 2 && year.len() == 4
    };
    let mut shown = dates.as_array().unwrap().iter();
    assert!(
        shown.any(|date| is_german(date.as_str().unwrap())),
        "{dates}"
    );
    world.picture("crm-german").await;

    world.press("English").await;
    world.sees("Production CRM").await;
    world.no_complaints().await;
    world.stop().await;
}
