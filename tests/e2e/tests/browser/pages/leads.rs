//! The pages of leads: forms, submissions, mapping, matching, scoring (LG-2 to LG-9).

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use shared::domain::schema::CrmKind;

use super::world::{ADMIN, SELLER, World};

const HOSTILE: &str = "<script>alert(1)</script>";

/// A connected contract, and an administrator in the browser.
async fn signed_in() -> Option<World> {
    let world = World::start(CrmKind::Salesforce).await?;
    world.connect().await;
    world.browser.resize(1280, 800).await;
    let link = world.invite(ADMIN, "administrator", "salesforce").await;
    world.browser.go(&link).await;
    world.browser.arrive(&world.at("/app/home")).await;
    Some(world)
}

impl World {
    /// Posts to a form as a page does; gives the submission's id.
    async fn post(&self, form_key: &str, answers: &Value) -> String {
        let at = self.at(&format!("/forms/{form_key}"));
        let sent = self.harness.http.post(at).json(answers).send().await;
        let sent = sent.unwrap();
        assert_eq!(sent.status(), StatusCode::ACCEPTED);
        let sent: Value = sent.json().await.unwrap();
        sent["submission_id"].as_str().unwrap().to_owned()
    }

    /// Chooses a lead field for a name, in the name's own row.
    async fn choose_lead_field(&self, name: &str, lead_field: &str) {
        const CHOOSE: &str = "const list = [...document.querySelectorAll('select')].find((list) => list.getAttribute('aria-label') === arguments[0]); \
             list.value = arguments[1]; list.dispatchEvent(new Event('change', { bubbles: true })); return list.value;";
        let label = format!("Lead field of {name}");
        let chosen = json!([label, lead_field]);
        let value = self.browser.script(CHOOSE, &chosen).await;
        assert_eq!(value, lead_field);
    }
}

/// LG-7: accepts suggestions together, though somebody has mapped one of them meanwhile.
async fn accepts_suggestions(world: &World, form_key: &str) {
    let answers = json!({ "email": "byron@example.com", "handy": "+442079460958", "web": "https://www.example.com" });
    let id = world.post(form_key, &answers).await;
    let path = format!("/submissions/{id}");
    world.until(&path, "/state", "created").await;
    world.browser.go(&world.at("/app/mapping")).await;
    world.sees("Accept all 2 suggestions").await;
    let mapping = json!({ "name": "handy", "lead_field": "MobilePhone" });
    world
        .api(Method::POST, "/field-mappings", Some(mapping))
        .await;
    world.press("Accept all 2 suggestions").await;
    world
        .sees("Every field that forms have sent is mapped.")
        .await;
}

/// LG-7 to LG-9: a form is made and tried out, what it does not map is mapped, and what failed is sent again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_is_made_and_its_leads_are_followed() {
    let Some(world) = signed_in().await else {
        return;
    };
    let browser = &world.browser;
    world.sees("First steps").await;
    world.is_accessible().await;
    world.picture("home-first-steps").await;

    // Made in one dialog, which says what is wrong where it is wrong.
    world.press("Forms").await;
    world.sees("LinkedIn Lead Gen Forms").await;
    world.is_accessible().await;
    world.picture("forms").await;
    world.press("New website form").await;
    world.press("Make the form").await;
    world.sees("name has 1 to 100 characters").await;
    browser.find("dialog [name=name][aria-invalid=true]").await;
    browser.fill("dialog [name=name]", "Ask for a demo").await;
    world
        .type_anew("allowed_origins", "https://www.example.com/path")
        .await;
    world.press("Make the form").await;
    world.sees("An allowed origin is a scheme and a host").await;
    browser
        .find("dialog [name=allowed_origins][aria-invalid=true]")
        .await;
    world
        .type_anew("allowed_origins", "https://www.example.com")
        .await;
    let fields = "email*\nfirst_name\nlast_name\ncompany\nshoe size";
    world.type_anew("required_fields", fields).await;
    world.is_accessible().await;
    world.picture("form-new").await;
    world.press("Make the form").await;
    browser.arrive(&world.at("/app/form")).await;
    world.sees("Put it into your page").await;
    let forms = world.api(Method::GET, "/forms", None).await;
    let mut forms = forms["items"].as_array().unwrap().iter();
    let form = forms.find(|form| form["name"] == "Ask for a demo").unwrap();
    assert_eq!(form["required_fields"], json!(["email"]));
    let snippets = "return [...document.querySelectorAll('textarea.code')].map((one) => one.value)";
    let snippets = browser.script(snippets, &json!([])).await;
    for snippet in snippets.as_array().unwrap() {
        let text = snippet.as_str().unwrap();
        assert!(text.contains(form["post_url"].as_str().unwrap()), "{text}");
    }
    world.is_accessible().await;
    world.picture("form").await;

    // A test submission, refused at its field, then followed until its lead is there.
    world.type_anew("answer0", "").await;
    world.press("Send it").await;
    world.sees("The field email is required.").await;
    browser.find("[name=answer0][aria-invalid=true]").await;
    world.type_anew("answer0", "hopper@example.com").await;
    world.type_anew("answer4", "39").await;
    world.press("Send it").await;
    browser.arrive(&world.at("/app/submission")).await;
    let shown = world.sees("It was matched with the CRM’s leads").await;
    assert!(shown.contains("hopper@example.com"), "{shown}");
    let shown = world.sees("The lead was created").await;
    for part in ["It arrived", "Ask for a demo", "shoe size", "No mapping"] {
        assert!(shown.contains(part), "no “{part}” in:\n{shown}");
    }
    world.is_accessible().await;
    world.picture("submission").await;

    // An unmapped form field is mapped to one of the CRM's fields.
    world.press("Map this field").await;
    world.sees("Seen on forms, not mapped").await;
    world.sees("On about 1 submission").await;
    world.press("Map: shoe size").await;
    world.sees("has no lead field of this name").await;
    browser.find("[name=lead_field][aria-invalid=true]").await;
    world.choose_lead_field("shoe size", "Description").await;
    // The effect on a submission is seen before it is saved.
    world.press("Show the preview").await;
    let shown = world.sees("Different from now").await;
    for part in [
        "With 1 change that is not saved.",
        "On 1 of the last 1 submission",
        "39",
    ] {
        assert!(shown.contains(part), "no “{part}” in:\n{shown}");
    }
    world.is_accessible().await;
    world.picture("mapping").await;
    world.press("Map: shoe size").await;
    world
        .sees("Every field that forms have sent is mapped.")
        .await;
    world.press("Save: first_name").await;
    world.sees("first_name leads to First Name.").await;

    // A failed submission shows its next step, and is sent again after the problem is fixed.
    world
        .salesforce(json!({ "denied": { "Lead": ["create"] } }))
        .await;
    let key = form["form_key"].as_str().unwrap();
    let answers =
        json!({ "email": "lovelace@example.com", "last_name": "Lovelace", "shoe size": "38" });
    let id = world.post(key, &answers).await;
    let path = format!("/submissions/{id}");
    world.until(&path, "/state", "needs_attention").await;
    world.press("Home").await;
    world.sees("1 thing needs somebody.").await;
    world.sees("Needs attention: 1").await;
    world.is_accessible().await;
    world.picture("home-attention").await;
    world.press("Show: needs attention").await;
    world.sees("lovelace@example.com").await;
    assert_eq!(world.value("state").await, "Needs attention");
    world.is_accessible().await;
    world.picture("submissions").await;
    world.press("lovelace@example.com").await;
    let shown = world.sees("It stopped here").await;
    assert!(shown.contains("Next step: "), "{shown}");
    world.is_accessible().await;
    world.picture("submission-attention").await;
    world.salesforce(json!({ "denied": {} })).await;
    world.press("Send again").await;
    let shown = world.sees("The lead was created").await;
    assert!(shown.contains("Description"), "{shown}");
    world.no_longer_sees("Send again").await;

    // The search text stays in the address after a reload.
    world.press("All submissions").await;
    world.sees("hopper@example.com").await;
    browser.fill("[name=q]", "hopper").await;
    world.press("Search").await;
    world.no_longer_sees("lovelace@example.com").await;
    browser.reload().await;
    world.sees("hopper@example.com").await;
    assert_eq!(world.value("q").await, "hopper");
    assert!(!world.text().await.contains("lovelace@example.com"));
    world.press("Clear").await;
    world.sees("lovelace@example.com").await;
    let tomorrow = "document.querySelector('[name=from]').value = '2100-01-01'";
    browser.script(tomorrow, &json!([])).await;
    world.press("Search").await;
    world.sees("Nothing is found.").await;

    accepts_suggestions(&world, key).await;
    world.no_complaints().await;
    world.stop().await;
}

/// LG-9: a form's secret is shown once, its rules are changed, and it is switched off and deleted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forms_rules_and_secret_are_changed() {
    let Some(world) = signed_in().await else {
        return;
    };
    let browser = &world.browser;
    let form = json!({ "name": "Ask for a demo", "kind": "website", "required_fields": ["email"] });
    world.api(Method::POST, "/forms", Some(form)).await;
    world.press("Forms").await;
    world.press("Ask for a demo").await;
    world
        .sees("is not among the pages that may post the form")
        .await;
    world.press("Let this console send test submissions").await;
    world.sees("It is a real one").await;
    world.press("Take signed posts only").await;
    world.press("Make the secret").await;
    world.sees("it is not shown again").await;
    let secret = world.value("secret").await;
    world.is_accessible().await;
    world.picture("form-secret").await;
    world.press("Done").await;
    world.sees("A secret is set").await;
    world.picture("form-signed").await;
    let secret = secret.as_str().unwrap();
    assert_eq!(secret.len(), 64);
    world.press("Send it").await;
    browser.find("[name=secret][aria-invalid=true]").await;
    browser.fill("[name=secret]", secret).await;
    world.press("Send it").await;
    browser.arrive(&world.at("/app/submission")).await;
    world.sees("It arrived").await;
    world.press("Forms").await;
    world.press("Switch off: Ask for a demo").await;
    world.press("Switch on: Ask for a demo").await;
    world.press("Ask for a demo").await;
    world.press("Edit").await;
    world.type_anew("posts_per_minute", "0").await;
    world.press("Save").await;
    world.sees("posts_per_minute is 1 to 60000.").await;
    world.is_accessible().await;
    world.picture("form-edit").await;
    world.press("Cancel").await;
    world.press("Delete").await;
    world.press("Delete").await;
    browser.arrive(&world.at("/app/forms")).await;
    world.no_longer_sees("Ask for a demo").await;
    world.no_complaints().await;
    world.stop().await;
}

/// LG-2 to LG-6: which strategy decides, and how many points a submission gives.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_sets_matching_and_scoring() {
    let Some(world) = signed_in().await else {
        return;
    };
    let browser = &world.browser;
    world.press("Matching").await;
    world.sees("Active").await;
    world.press("New strategy").await;
    browser.fill("dialog [name=name]", "By phone").await;
    world.press("Use it from now on").await;
    world.press("Save").await;
    world
        .sees("must list at least one matching lead field")
        .await;
    world.press("Use it from now on").await;
    world.is_accessible().await;
    world.picture("strategy-new").await;
    let phone = "document.querySelector('dialog [value=Phone]').click()";
    browser.script(phone, &json!([])).await;
    world.press("Save").await;
    world.sees("By phone").await;
    world.is_accessible().await;
    world.picture("matching").await;
    world.press("Try the strategies").await;
    world.sees("There is nothing to compare.").await;
    browser.fill("[name=value0]", "nobody@example.com").await;
    world.press("Try the strategies").await;
    world.sees("No open lead matched on Email.").await;
    world.sees("It would become a new lead").await;
    world.is_accessible().await;
    world.picture("matching-tried").await;
    world.press("Use this one: By phone").await;
    world.sees("By phone is used from now on.").await;
    let strategies = world.api(Method::GET, "/matching-strategies", None).await;
    assert_eq!(strategies["items"][0]["name"], "By phone");
    assert_eq!(
        strategies["items"][0]["matching_lead_fields"],
        json!(["Phone"])
    );
    let other = strategies["items"][1]["name"].as_str().unwrap().to_owned();
    world.press(&format!("Delete: {other}")).await;
    world.press("Delete").await;
    world.sees("The strategy is deleted.").await;
    world.press("Edit: By phone").await;
    world.press("Always create a new lead").await;
    world.press("Save").await;
    world.sees("Each submission becomes a new lead.").await;

    world.press("Scoring").await;
    world.sees("Points of single forms").await;
    world.type_anew("new_lead_points", "many").await;
    world.press("Save").await;
    world.sees("That is no number of points.").await;
    browser
        .find("[name=new_lead_points][aria-invalid=true]")
        .await;
    world.type_anew("new_lead_points", "25").await;
    world.type_anew("form0", "7").await;
    world.press("Save").await;
    world.sees("The rule is saved.").await;
    world
        .press("See what the last submissions would score")
        .await;
    world.sees("No submission has a lead yet").await;
    world.is_accessible().await;
    world.picture("scoring").await;
    let rule = world.api(Method::GET, "/scoring-rule", None).await;
    assert_eq!(rule["new_lead_points"], 25);
    assert_eq!(rule["form_points"].as_object().unwrap().len(), 1);

    world.press("Lead settings").await;
    world.sees("Write test leads to the CRM").await;
    world.type_anew("placeholder", "").await;
    world.press("Save").await;
    browser.find("[name=placeholder][aria-invalid=true]").await;
    world.type_anew("placeholder", "(unknown)").await;
    world.press("Save").await;
    world.sees("The settings are saved.").await;
    world.is_accessible().await;
    world.picture("lead-settings").await;
    let settings = world.api(Method::GET, "/settings", None).await;
    assert_eq!(settings["placeholder"], "(unknown)");

    world.press("Imports").await;
    let shown = world.sees("What it costs and what it needs").await;
    assert!(shown.contains("Production CRM"), "{shown}");
    world.is_accessible().await;
    world.picture("imports").await;
    world.no_complaints().await;
    world.stop().await;
}

/// LG-1, LG-8, LG-9: a test lead is held, seen by a seller, and released by an administrator.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_lead_is_released_by_an_administrator_only() {
    let Some(world) = World::start(CrmKind::Salesforce).await else {
        return;
    };
    let browser = &world.browser;
    world.connect().await;
    browser.resize(1280, 800).await;
    let mut google = json!({
        "lead_id": "g-1", "google_key": world.made.google_key, "is_test": true, "form_id": 4_000_000_000_u64,
        "user_column_data": [
            { "column_id": "EMAIL", "string_value": "g@example.com" },
            { "column_id": "FULL_NAME", "string_value": "Grace Hopper" },
        ],
    });
    let at = world.at(&format!(
        "/webhooks/google-ads/{}",
        world.made.google_form_key
    ));
    let sent = world
        .harness
        .http
        .post(at.clone())
        .json(&google)
        .send()
        .await;
    let sent: Value = sent.unwrap().json().await.unwrap();
    let path = format!("/submissions/{}", sent["submission_id"].as_str().unwrap());
    world.until(&path, "/state", "held_test").await;

    let link = world.invite(SELLER, "salesperson", "salesforce").await;
    world.accept_as(link, SELLER).await;
    browser.go(&world.at("/")).await;
    browser.arrive(&world.at("/app/home")).await;
    world.press("Show: test lead, held").await;
    let shown = world.sees("g@example.com").await;
    for hidden in ["Forms", "Mapping", "Scoring", "Send all again"] {
        assert!(!shown.contains(hidden), "{hidden} in:\n{shown}");
    }
    world.press("g@example.com").await;
    let shown = world.sees("Test lead, held").await;
    assert!(!shown.contains("Release"), "{shown}");
    world.is_accessible().await;
    for page in [
        "forms",
        "form",
        "mapping",
        "matching",
        "scoring",
        "lead-settings",
        "imports",
    ] {
        browser.go(&world.at(&format!("/app/{page}"))).await;
        world.sees("This page is for administrators.").await;
    }

    browser.forget_cookies().await;
    let link = world.invite(ADMIN, "administrator", "salesforce").await;
    browser.go(&link).await;
    browser.arrive(&world.at("/app/home")).await;
    world.press("Show: test lead, held").await;
    world.press("g@example.com").await;
    world.press("Release test lead").await;
    world.is_accessible().await;
    world.picture("submission-release").await;
    world.press("Release it").await;
    world.sees("The lead was created").await;

    // Those that are selected in the list are released in one go.
    google["lead_id"] = json!("g-2");
    google["user_column_data"][0]["string_value"] = json!("h@example.com");
    let sent = world.harness.http.post(at).json(&google).send().await;
    let sent: Value = sent.unwrap().json().await.unwrap();
    let path = format!("/submissions/{}", sent["submission_id"].as_str().unwrap());
    world.until(&path, "/state", "held_test").await;
    world.press("All submissions").await;
    world.press("Select: h@example.com").await;
    world.is_accessible().await;
    world.picture("submissions-selected").await;
    world.press("Release the selected test leads").await;
    world.press("Release them").await;
    world.sees("1 submission is sent again.").await;
    world.until(&path, "/state", "created").await;
    world.no_complaints().await;
    world.stop().await;
}

/// LG-8: what a search finds is exported whole, whatever it holds, and can be stopped and gone on with.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn submissions_are_exported_as_they_are_filtered() {
    // Pages of two items, of which each takes a while and some may fail; files are kept for the test to read.
    const PREPARE: &str = "window.files = []; window.failing = 0; window.waiting = 0; \
         const fetched = window.fetch; \
         window.fetch = async (url, options) => { \
             const exported = String(url).includes('limit=200'); \
             if (exported && window.waiting) await new Promise((done) => setTimeout(done, window.waiting)); \
             if (exported && String(url).includes('cursor=') && window.failing-- > 0) throw new TypeError('lost'); \
             return fetched(String(url).replace('limit=200', 'limit=2'), options); }; \
         const made = URL.createObjectURL; \
         URL.createObjectURL = (file) => { window.files.push(file); return made.call(URL, file); }; \
         HTMLAnchorElement.prototype.click = function () { window.saved = this.download; };";
    const READ: &str = "const done = arguments[0]; \
         const look = () => window.files.length ? read(window.files.pop()) : setTimeout(look, 50); \
         const read = (file) => file.arrayBuffer().then((bytes) => done([[...new Uint8Array(bytes).slice(0, 3)], \
             new TextDecoder().decode(bytes), window.saved, window.files.length])); \
         look();";
    let Some(world) = signed_in().await else {
        return;
    };
    let browser = &world.browser;
    let form = json!({ "name": "=HYPERLINK(\"x\")", "kind": "website", "campaign": "Spring;-1, \u{e9}t\u{e9}", "allowed_origins": ["*"] });
    let form = world.api(Method::POST, "/forms", Some(form)).await;
    let key = form["form_key"].as_str().unwrap();
    let mut ids = Vec::new();
    for number in 1..=5 {
        let answers =
            json!({ "email": format!("hopper{number}@example.com"), "last_name": "Hopper" });
        ids.push(world.post(key, &answers).await);
    }
    let answers = json!({ "email": "lovelace@example.com", "last_name": "Lovelace" });
    let other = world.post(key, &answers).await;
    for id in ids.iter().chain([&other]) {
        let path = format!("/submissions/{id}");
        world.until(&path, "/state", "created").await;
    }

    world.press("Submissions").await;
    world.sees("lovelace@example.com").await;
    browser.script(PREPARE, &json!([])).await;
    browser.fill("main [name=q]", "hopper").await;
    world.press("Search").await;
    world.no_longer_sees("lovelace@example.com").await;
    world.press("Export as CSV").await;
    world.sees("5 submissions saved as submissions-").await;
    world.is_accessible().await;
    world.picture("submissions-exported").await;
    let read = browser.script_async(READ, &json!([])).await;
    assert_eq!(read[0], json!([0xEF, 0xBB, 0xBF]));
    assert_eq!(read[3], 0);
    assert!(read[2].as_str().unwrap().starts_with("submissions-"));
    let text = read[1].as_str().unwrap();
    let lines: Vec<&str> = text.split_terminator("\r\n").collect();
    assert_eq!(lines.len(), 6, "{text}");
    assert!(lines[0].starts_with("\"Id\",\"From\",\"Form\","), "{text}");
    for (number, id) in ids.iter().enumerate() {
        let line = lines.iter().find(|line| line.contains(id)).unwrap();
        let start = format!(
            "\"{id}\",\"hopper{}@example.com\",\"'=HYPERLINK(\"\"x\"\")\",",
            number + 1
        );
        assert!(line.starts_with(&start), "{line}");
        assert!(
            line.contains("\"Website\",\"Spring;'-1, \u{e9}t\u{e9}\",\"Lead created\",\"No\",\"20"),
            "{line}"
        );
    }

    // A connection that is lost on the way: what was read stays, and nothing comes twice.
    browser.script("window.failing = 1", &json!([])).await;
    world.press("Export as CSV").await;
    world.sees("Leadbridge could not be reached.").await;
    world.press("Go on exporting").await;
    let again = browser.script_async(READ, &json!([])).await;
    assert_eq!(again[1], read[1]);

    // Stopped on the way: nothing is saved.
    browser.script("window.waiting = 1000", &json!([])).await;
    world.press("Export as CSV").await;
    world.press("Stop").await;
    world
        .sees("The export is stopped; nothing was saved.")
        .await;
    let files = "return window.files.length";
    assert_eq!(browser.script(files, &json!([])).await, 0);
    world.no_complaints().await;
    world.stop().await;
}

/// LG-8: a search gets a name, by which it is found again; it is its owner's alone, and can be deleted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_for_submissions_is_saved() {
    let Some(world) = signed_in().await else {
        return;
    };
    let browser = &world.browser;
    let form = json!({ "name": "Contact", "kind": "website", "allowed_origins": ["*"] });
    let form = world.api(Method::POST, "/forms", Some(form)).await;
    let key = form["form_key"].as_str().unwrap();
    for name in ["hopper", "lovelace"] {
        let answers = json!({ "email": format!("{name}@example.com"), "last_name": name });
        world.post(key, &answers).await;
    }
    world.press("Submissions").await;
    world.sees("lovelace@example.com").await;
    world.press("Save this view").await;
    browser.fill("dialog [name=name]", HOSTILE).await;
    world.press("Save").await;
    world.sees("Nothing is searched for.").await;
    world.press("Cancel").await;

    browser.fill("main [name=q]", "hopper").await;
    world.press("Search").await;
    world.no_longer_sees("lovelace@example.com").await;
    world.press("Save this view").await;
    world.press("Save").await;
    world.sees("The name is missing.").await;
    browser.fill("dialog [name=name]", HOSTILE).await;
    world.is_accessible().await;
    world.press("Save").await;
    world.sees(HOSTILE).await;
    world.is_accessible().await;
    world.picture("submissions-views").await;
    world.press("Save this view").await;
    browser.fill("dialog [name=name]", HOSTILE).await;
    world.press("Save").await;
    world.sees("There is a view of this name.").await;
    world.press("Cancel").await;

    world.press("Clear").await;
    world.sees("lovelace@example.com").await;
    browser.reload().await;
    world.sees("lovelace@example.com").await;
    world.press(HOSTILE).await;
    world.no_longer_sees("lovelace@example.com").await;
    world.sees("hopper@example.com").await;
    assert_eq!(world.value("q").await, "hopper");

    // Another person in the same browser has views of their own.
    browser.forget_cookies().await;
    let link = world.invite(SELLER, "salesperson", "salesforce").await;
    world.accept_as(link, SELLER).await;
    browser.go(&world.at("/app/submissions")).await;
    world.sees("Views stay in this browser.").await;
    assert!(!world.text().await.contains(HOSTILE));
    world.no_complaints().await;
    world.stop().await;
}

/// LG-8, SV-3: the search over everything, by its key and by the keyboard alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_searched_from_every_page() {
    const KEY: &str = "document.activeElement.dispatchEvent(new KeyboardEvent('keydown', \
         { key: arguments[0], bubbles: true, cancelable: true })); \
         return document.activeElement.getAttribute('name') ?? document.activeElement.textContent;";
    const RESULTS: &str =
        "return [...document.querySelectorAll('.results a')].map((one) => one.textContent)";
    let Some(world) = signed_in().await else {
        return;
    };
    let browser = &world.browser;
    let form = json!({ "name": "Contact", "kind": "website", "allowed_origins": ["*"] });
    let form = world.api(Method::POST, "/forms", Some(form)).await;
    let answers = json!({
        "email": "grace@example.com", "first_name": "Grace", "last_name": "Hopper", "company": "Compilers Ltd",
    });
    world
        .post(form["form_key"].as_str().unwrap(), &answers)
        .await;
    let name = "/items/0/record/last_name";
    world.until("/profiles?q=hopper", name, "Hopper").await;
    let name = "/items/0/name";
    let company = "Compilers Ltd";
    world.until("/companies?q=compilers", name, company).await;

    world.press("Audit log").await;
    world.sees("Before and after").await;
    assert_eq!(browser.script(KEY, &json!(["/"])).await, "find");
    browser.fill("[name=find]", "hopper").await;
    world.sees("Grace Hopper").await;
    world.sees("grace@example.com").await;
    world.is_accessible().await;
    world.picture("search").await;
    let first = browser.script(KEY, &json!(["ArrowDown"])).await;
    assert!(first.as_str().unwrap().starts_with("Grace Hopper"));
    assert_eq!(browser.script(KEY, &json!(["ArrowUp"])).await, "find");
    assert_eq!(browser.script(KEY, &json!(["Escape"])).await, "find");
    assert_eq!(browser.script(RESULTS, &json!([])).await, json!([]));

    world.type_anew("find", "compilers").await;
    world.sees(company).await;
    world.type_anew("find", "mapp").await;
    world.sees("Pages").await;
    let found = browser.script(RESULTS, &json!([])).await;
    assert_eq!(found[0], "Mapping");
    world.type_anew("find", "hopper").await;
    world.press("Grace Hopper").await;
    browser.arrive(&world.at("/app/person")).await;
    world.sees("grace@example.com").await;

    // The key can be switched off, and is a character where something is typed.
    world.type_anew("find", "hopper").await;
    world.press("The key / leads here").await;
    browser
        .script("document.activeElement.blur()", &json!([]))
        .await;
    assert_ne!(browser.script(KEY, &json!(["/"])).await, "find");
    world.press("People").await;
    world.sees("Name or e-mail address").await;
    browser.fill("main [name=q]", "/").await;
    assert_eq!(world.value("q").await, "/");
    world.no_complaints().await;
    world.stop().await;
}

/// LG-8, WB-6: what strangers send is text, however long and in whichever direction.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_content_is_shown_as_text() {
    const MADE: &str = "return document.querySelectorAll('main img, main script, main iframe, a[href^=javascript]').length";
    let Some(world) = signed_in().await else {
        return;
    };
    let long = "W".repeat(10_000);
    let form = json!({ "name": HOSTILE, "kind": "website", "campaign": "\u{202e}dlrow\u{202c} 🎉", "allowed_origins": ["*"] });
    let form = world.api(Method::POST, "/forms", Some(form)).await;
    let answers = json!({
        "email": "h@example.com", "last_name": "<img src=x onerror=alert(1)>", "company": long,
        "<b>name</b> %2F \"'": "مرحبا بالعالم 👩‍👩‍👧", "toString": "x", "🎉": "javascript:alert(1)",
    });
    let id = world
        .post(form["form_key"].as_str().unwrap(), &answers)
        .await;
    world
        .until(&format!("/submissions/{id}"), "/state", "created")
        .await;
    let browser = &world.browser;
    for (page, parts) in [
        (
            "submissions".to_owned(),
            vec![HOSTILE, "h@example.com", "🎉"],
        ),
        (
            format!("submission?id={id}"),
            vec![
                HOSTILE,
                "<img src=x onerror=alert(1)>",
                "(10,000 characters)",
                "<b>name</b> %2F \"'",
                "مرحبا بالعالم",
                "toString",
            ],
        ),
        (
            "mapping".to_owned(),
            vec!["<b>name</b> %2F \"'", "🎉", "toString"],
        ),
        ("forms".to_owned(), vec![HOSTILE]),
        (
            format!("form?id={}", form["id"].as_str().unwrap()),
            vec![HOSTILE],
        ),
        ("scoring".to_owned(), vec![HOSTILE]),
    ] {
        browser.go(&world.at(&format!("/app/{page}"))).await;
        for part in parts {
            world.sees(part).await;
        }
        assert_eq!(browser.script(MADE, &json!([])).await, 0, "{page}");
        world.is_accessible().await;
        let name = page.split('?').next().unwrap();
        world.picture(&format!("hostile-{name}")).await;
    }
    // A name that says a path is one name.
    browser.go(&world.at("/app/mapping")).await;
    world.sees("toString").await;
    world
        .choose_lead_field("<b>name</b> %2F \"'", "Description")
        .await;
    world.press("Map: <b>name</b> %2F \"'").await;
    world.press("Delete: <b>name</b> %2F \"'").await;
    world.press("Delete").await;
    world.sees("The mapping is deleted.").await;
    world.no_complaints().await;
    world.stop().await;
}
