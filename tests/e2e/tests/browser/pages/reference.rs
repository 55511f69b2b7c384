//! The API's reference: read, and tried in the session's own rights (LG-1).

use reqwest::Method;
use serde_json::{Value, json};
use shared::domain::schema::CrmKind;

use super::world::{ADMIN, SELLER, World};

const HOSTILE: &str = "<img src=x onerror=alert(1)>";

impl World {
    /// Goes to an operation by its address.
    async fn open_operation(&self, operation: &str) {
        let mut at = self.at("/app/api-reference");
        at.query_pairs_mut().append_pair("operation", operation);
        self.browser.go(&at).await;
        self.sees("Link to this operation").await;
    }

    /// The names of the operations that the page shows.
    async fn operations(&self) -> Vec<String> {
        const SHOWN: &str = "return [...document.querySelectorAll('.operation h3')] \
             .filter((one) => one.checkVisibility()).map((one) => one.textContent)";
        let shown = self.browser.script(SHOWN, &json!([])).await;
        let shown = shown.as_array().unwrap().iter();
        shown.map(|one| one.as_str().unwrap().to_owned()).collect()
    }

    /// The status of the answer that the open operation shows, as soon as there is one.
    async fn answered(&self) -> Value {
        const STATUS: &str =
            "return document.querySelector('.operation[open] dl .tag').textContent";
        self.browser.find(".operation[open] dl .tag").await;
        self.browser.script(STATUS, &json!([])).await
    }
}

/// LG-1: every operation is described, and is called as the person who looks at it may call it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_is_described_and_tried_in_ones_own_rights() {
    let Some(world) = World::start(CrmKind::Salesforce).await else {
        return;
    };
    let browser = &world.browser;
    browser.resize(1280, 800).await;
    let link = world.invite(ADMIN, "administrator", "salesforce").await;
    browser.go(&link).await;
    browser.arrive(&world.at("/app/home")).await;
    world.press("API reference").await;
    world.sees("Find an operation").await;
    let (status, description) = browser.fetch("/api/v1/openapi.json", &json!({})).await;
    assert_eq!(status, 200);
    let mut expected = Vec::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            expected.push(format!("{} {path}", method.to_uppercase()));
        }
    }
    expected.sort();
    let mut shown = world.operations().await;
    shown.sort();
    assert_eq!(shown, expected);
    world.is_readable().await;
    world.passes_axe().await;
    world.picture("api-reference").await;

    // Found by words, which stay in the address.
    browser.fill("main [name=q]", "scoring-rule put").await;
    let found = ["PUT /api/v1/scoring-rule"];
    assert_eq!(world.operations().await, found);
    browser.reload().await;
    world.sees("Find an operation").await;
    assert_eq!(world.operations().await, found);
    world.press("PUT /api/v1/scoring-rule").await;
    let shown = world.sees("Link to this operation").await;
    for part in ["new_lead_points", "Required", "422"] {
        assert!(shown.contains(part), "no “{part}” in:\n{shown}");
    }
    let example = "return document.querySelector('.operation[open] textarea.code').value";
    let example = browser.script(example, &json!([])).await;
    let example = example.as_str().unwrap();
    assert!(example.starts_with("curl -i -X PUT "), "{example}");
    assert!(example.contains("\"new_lead_points\": "), "{example}");

    // Tried: a call that reads goes at once.
    world.open_operation("GET /api/v1/me").await;
    world.press("Try it").await;
    assert_eq!(world.answered().await, "200");
    world.sees("\"contract\": \"acme\"").await;
    world.press("Headers").await;
    world.sees("content-type").await;
    world.is_readable().await;
    world.passes_axe().await;
    world.picture("api-reference-tried").await;

    // One that changes something is confirmed; what is wrong is said at its field.
    world.open_operation("POST /api/v1/forms").await;
    world.sees("One of: website, google_ads").await;
    world.type_anew("body", "{").await;
    world.press("Try it").await;
    world.sees("The body is not JSON.").await;
    browser.find("[name=body][aria-invalid=true]").await;
    let body = json!({ "name": HOSTILE, "kind": "website" }).to_string();
    world.type_anew("body", &body).await;
    world.press("Try it").await;
    world.sees("It is not a rehearsal.").await;
    world.is_readable().await;
    world.passes_axe().await;
    world.press("Cancel").await;
    let named = async || {
        let forms = world.api(Method::GET, "/forms", None).await;
        let mut forms = forms["items"].as_array().unwrap().iter();
        let found = forms.find(|form| form["name"] == HOSTILE);
        found.map(|form| form["id"].as_str().unwrap().to_owned())
    };
    assert_eq!(named().await, None);
    world.press("Try it").await;
    world.press("Send POST").await;
    assert_eq!(world.answered().await, "201");
    world.sees(HOSTILE).await;
    let images = "return document.querySelectorAll('main img').length";
    assert_eq!(browser.script(images, &json!([])).await, 0);
    let id = named().await.unwrap();

    world.open_operation("DELETE /api/v1/forms/{id}").await;
    world.press("Try it").await;
    world.sees("id is missing.").await;
    world.type_anew("id", "..").await;
    world.press("Try it").await;
    world.sees("id cannot be").await;
    browser.find("[name=id][aria-invalid=true]").await;
    world.type_anew("id", &id).await;
    world.press("Try it").await;
    world.press("Send DELETE").await;
    assert_eq!(world.answered().await, "204");
    assert_eq!(named().await, None);

    let mut nowhere = world.at("/app/api-reference");
    nowhere
        .query_pairs_mut()
        .append_pair("operation", "GET /api/v1/nothing");
    browser.go(&nowhere).await;
    world
        .sees("The operation of this address is not there.")
        .await;

    // A salesperson's calls are refused as the role says.
    browser.forget_cookies().await;
    let link = world.invite(SELLER, "salesperson", "salesforce").await;
    world.accept_as(link, SELLER).await;
    world.open_operation("GET /api/v1/api-tokens").await;
    world.press("Try it").await;
    assert_eq!(world.answered().await, "403");
    world.sees("\"next_step\"").await;
    world.no_complaints().await;
    world.stop().await;
}
