//! The directory's pages: people and companies found and added, matches decided on, files uploaded, rates.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use shared::domain::schema::CrmKind;

use super::world::{ADMIN, World};

/// The CRM's records of two people of one name, and of their employer.
struct Records {
    ada: String,
    other: String,
}

async fn records(world: &World) -> Records {
    let account = json!({ "Name": "Analytical Engines Ltd", "Website": "https://www.analytical-engines.example" });
    let account = world.record("Account", account).await;
    let contact = |email: &str, title: &str, city: &str| {
        json!({
            "FirstName": "Ada", "LastName": "Lovelace", "Email": email, "Title": title, "MailingCity": city,
            "Phone": "+1 415 555 2671", "AccountId": account,
        })
    };
    let ada = contact("ada@analytical-engines.example", "Countess", "London");
    let other = json!({ "FirstName": "Ada", "LastName": "Lovelace", "Title": "Dentist", "MailingCity": "Perth" });
    Records {
        ada: world.record("Contact", ada).await,
        other: world.record("Contact", other).await,
    }
}

/// A connected contract whose CRM was imported, and an administrator in the browser.
async fn signed_in() -> Option<(World, Records)> {
    let world = World::start(CrmKind::Salesforce).await?;
    let records = records(&world).await;
    world.connect().await;
    world.import().await;
    world.browser.resize(1280, 800).await;
    let link = world.invite(ADMIN, "administrator", "salesforce").await;
    world.browser.go(&link).await;
    world.browser.arrive(&world.at("/app/home")).await;
    Some((world, records))
}

impl World {
    /// The cells of the page's table of that caption, row by row.
    async fn rows(&self, caption: &str) -> Vec<Vec<String>> {
        const ROWS: &str = "const table = [...document.querySelectorAll('table')].find((table) => table.caption.textContent === arguments[0]); \
             return [...table?.tBodies[0].rows ?? []].map((row) => [...row.cells].map((cell) => cell.textContent));";
        let rows = self.browser.script(ROWS, &json!([caption])).await;
        serde_json::from_value(rows).unwrap()
    }

    /// The addresses that the page's badges link to.
    async fn badges(&self) -> Vec<String> {
        const BADGES: &str =
            "return [...document.querySelectorAll('a.tag')].map((link) => link.href)";
        let links = self.browser.script(BADGES, &json!([])).await;
        serde_json::from_value(links).unwrap()
    }

    /// Checks that the explanation's weights make its sum, as far as they are rounded.
    async fn explanation_adds_up(&self) {
        let rows = self.rows("Why it matched").await;
        let number = |text: &str| text.replace('\u{2212}', "-").parse::<f64>().unwrap();
        let (fields, ends) = rows.split_at(rows.len() - 2);
        assert!(fields.len() >= 2, "{rows:?}");
        let sum: f64 = fields.iter().map(|row| number(&row[2])).sum();
        let rounding = 0.05 * f64::from(u8::try_from(fields.len() + 1).unwrap());
        assert_eq!((&*ends[0][0], &*ends[1][0]), ("Sum", "Threshold"));
        assert!((sum - number(&ends[0][2])).abs() <= rounding, "{rows:?}");
        assert!(number(&ends[0][2]) >= number(&ends[1][2]), "{rows:?}");
        assert!(fields.iter().all(|row| !row[1].is_empty()), "{rows:?}");
    }
}

/// MA-1, MA-4, SV-1: the sender of a form is shown with the lead that it became.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whom_a_form_brought_is_shown_with_the_lead_that_it_became() {
    let Some((world, _)) = signed_in().await else {
        return;
    };
    let form = json!({
        "email": "alan@example.com", "first_name": "Alan", "last_name": "Turing", "company": "Bletchley",
    });
    let at = world.at(&format!("/forms/{}", world.made.form_key));
    let sent = world.harness.http.post(at).json(&form).send().await;
    assert_eq!(sent.unwrap().status(), 202);
    let mut found = json!(null);
    for _ in 0..200 {
        found = world.api(Method::GET, "/profiles?q=Turing", None).await["items"][0].clone();
        if found["in_crm"] == true {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let lead = found["badge"]["url"].as_str().unwrap().to_owned();
    world.press("People").await;
    world.sees("Alan Turing").await;
    world.press("Alan Turing").await;
    world.sees("Is this the right CRM match?").await;
    let shown = world.sees("a form response of this person").await;
    assert!(!shown.contains("Add to CRM"), "{shown}");
    assert!(world.badges().await.contains(&lead));
    world.is_readable().await;
    world.picture("person-of-a-form").await;
    world.press("Yes, this one").await;
    world
        .sees("Created in the CRM for this person, and decided on by admin")
        .await;
    world.press("Companies").await;
    world.sees("Bletchley").await;
    world.press("Bletchley").await;
    world.sees("No CRM match").await;
}

/// MA-1, MA-3, MA-4, SV-1 to SV-3: a person is added and matched, and people decide which record it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_is_added_explained_and_decided_on() {
    let Some((world, records)) = signed_in().await else {
        return;
    };
    let browser = &world.browser;

    // Added by a form, which shows each error at its field.
    world.press("People").await;
    world.sees("Nothing is found.").await;
    world.press("Add a person").await;
    world.press("Add").await;
    world.sees("Nothing is said of this profile.").await;
    browser.fill("dialog [name=first_name]", "Ada").await;
    browser.fill("dialog [name=last_name]", "Lovelace").await;
    browser.fill("dialog [name=emails]", "nobody").await;
    world.press("Add").await;
    browser
        .find("dialog [name=emails][aria-invalid=true]")
        .await;
    world.is_readable().await;
    world.picture("person-add").await;
    world
        .type_anew("emails", "ada@analytical-engines.example, ada@home.example")
        .await;
    browser
        .fill("dialog [name=company]", "Analytical Engines")
        .await;
    world.press("Add").await;

    // Matched at once, with the reasons and the CRM's values.
    let shown = world.sees("Is this the right CRM match?").await;
    for part in [
        "It is in the directory now.",
        "Contact information from the CRM",
        "Countess",
        "+1 415 555 2671",
        "Why it matched",
        "ada@home.example",
    ] {
        assert!(shown.contains(part), "no “{part}” in:\n{shown}");
    }
    let title = browser
        .script(
            "return [document.title, document.activeElement.textContent]",
            &json!([]),
        )
        .await;
    assert_eq!(title, json!(["Ada Lovelace – Leadbridge", "Ada Lovelace"]));
    let at = world
        .harness
        .simulator
        .salesforce
        .as_str()
        .trim_end_matches('/')
        .to_owned();
    let page = |id: &str| format!("{at}/lightning/r/Contact/{id}/view");
    assert!(world.badges().await.contains(&page(&records.ada)));
    world.explanation_adds_up().await;
    world.is_readable().await;
    world.picture("person").await;

    // Confirmed, and kept when the page is loaded again.
    world.press("Yes, this one").await;
    world.sees("No import undoes that.").await;
    browser.reload().await;
    world.sees("Confirmed").await;

    // Another of the candidates.
    world.press("Choose another").await;
    let shown = world.sees("Match CRM record").await;
    assert!(
        shown.contains("✓ agrees") && shown.contains("Linked now"),
        "{shown}"
    );
    world.is_readable().await;
    world.picture("person-candidates").await;
    world.press("Match this one: Ada Lovelace").await;
    world.sees("Dentist").await;
    world.no_longer_sees("Match CRM record").await;
    assert!(world.badges().await.contains(&page(&records.other)));
    world.press("Not this one").await;
    world.sees("Unmatched by a person").await;
    world.sees("People said it is not").await;
    world.is_readable().await;
    world.picture("person-unmatched").await;

    // Created in the CRM as oneself, which takes a sign-in of one's own, and once that is allowed.
    world.press("Add to CRM").await;
    browser.arrive(&world.at("/app/add-to-crm")).await;
    world.sees("Sign in to the CRM first").await;
    world.is_readable().await;
    world.press("Sign in to the CRM").await;
    let shown = world.sees("Creating leads is switched off.").await;
    assert!(shown.contains("You can switch it on"), "{shown}");
    let settings = "/crm-connections/production/sync-settings";
    let mut saved = world.api(Method::GET, settings, None).await;
    saved["create_leads"] = json!(true);
    world.api(Method::PUT, settings, Some(saved)).await;
    browser.reload().await;
    world.press("Create the lead").await;
    world.sees("Created in the CRM for this person").await;
    world.picture("person-created").await;

    // Left to the score again, and then a record by its address there.
    world.press("Match automatically again").await;
    world.sees("Is this the right CRM match?").await;
    world.press("Choose another").await;
    world.press("It is another record").await;
    world
        .type_anew("address", "https://elsewhere.example/x")
        .await;
    world.press("Match with it").await;
    world.sees("That is not the address of a record.").await;
    world.type_anew("address", &page(&records.ada)).await;
    world.press("Match with it").await;
    world.sees("Confirmed").await;

    // It leaves the directory; the record stays.
    world.press("Delete").await;
    world.press("Delete").await;
    browser.arrive(&world.at("/app/people")).await;
    world.sees("Nothing is found.").await;
    world.no_complaints().await;
    world.stop().await;
}

/// SV-1, SV-3: the search stays in the address, and text is shown as text.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_directory_is_searched() {
    const HOSTILE: &str = "<img src=x onerror=alert(1)>";
    let Some((world, _)) = signed_in().await else {
        return;
    };
    let browser = &world.browser;
    let ada = json!({ "first_name": "Ada", "last_name": "Lovelace", "emails": ["ada@analytical-engines.example"], "title": "Countess", "city": "London" });
    world.api(Method::POST, "/profiles", Some(ada)).await;
    let people = (1..=60).map(|number| {
        json!({ "first_name": "Person", "last_name": format!("Number{number}"), "emails": [format!("p{number}@many.example")], "city": "Bonn" })
    });
    let batch = json!({ "items": people.collect::<Vec<Value>>() });
    world
        .api(Method::POST, "/profiles/batch", Some(batch))
        .await;
    world.press("People").await;
    world.sees("Show more").await;
    let caption = "The people that were found";
    assert_eq!(world.rows(caption).await.len(), 50);
    world.press("Show more").await;
    world.no_longer_sees("Show more").await;
    assert_eq!(world.rows(caption).await.len(), 61);

    browser.fill("[name=q]", "lovel").await;
    world.press("Search").await;
    world.no_longer_sees("Number").await;
    let rows = world.rows(caption).await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(
        rows[0][..5],
        ["Ada Lovelace", "Countess", "–", "London", "Matched"]
    );
    assert_eq!(world.badges().await.len(), 1);
    world.is_readable().await;
    world.picture("people").await;
    browser.reload().await;
    world.sees("Ada Lovelace").await;
    assert_eq!(world.value("q").await, "lovel");
    world.choose("in_crm", "Not in the CRM").await;
    world.press("Search").await;
    world.sees("Nothing is found.").await;
    world.press("Clear").await;
    world.sees("Number").await;
    world.choose("state", "Matched").await;
    world.press("Search").await;
    world.no_longer_sees("Number").await;
    world.press("Ada Lovelace").await;
    world.sees("Is this the right CRM match?").await;
    browser.script("history.back()", &json!([])).await;
    browser.arrive(&world.at("/app/people")).await;
    world.sees("Countess").await;
    assert_eq!(world.value("state").await, "Matched");

    let hostile = json!({ "name": HOSTILE, "website": "javascript:alert(1)", "country": "US" });
    world.api(Method::POST, "/companies", Some(hostile)).await;
    world.press("Companies").await;
    world.sees(HOSTILE).await;
    world.is_readable().await;
    world.picture("companies").await;
    world.press(HOSTILE).await;
    let shown = world.sees("No CRM match").await;
    assert!(shown.contains(HOSTILE), "{shown}");
    let made =
        "return document.querySelectorAll('main img, main script, a[href^=javascript]').length";
    assert_eq!(browser.script(made, &json!([])).await, 0);
    world.press("Choose a record").await;
    world.sees("Match CRM record").await;
    world.is_readable().await;
    world.picture("company").await;
    world.no_complaints().await;
    world.stop().await;
}

/// MA-1, MA-5: a file is looked at, corrected and taken row by row; the pass and its rates are followed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_uploaded_and_its_match_rates_followed() {
    let Some((world, _)) = signed_in().await else {
        return;
    };
    let browser = &world.browser;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("people.csv");
    let text = "First name;Last name;E-mail;Mystery\n\
         Ada;Lovelace;ada@analytical-engines.example;London\n\
         Bob;Builder;no address;Bonn\n\
         Carl;Cut;;Bonn;more\n\
         Dora;Doe;dora@elsewhere.example;Köln\n";
    std::fs::write(&file, text).unwrap();

    world.press("People").await;
    world.press("Upload a file").await;
    world.sees("Nothing is stored before").await;
    world.press("Read the file").await;
    world.sees("No file is chosen.").await;
    browser.fill("[name=file]", file.to_str().unwrap()).await;
    world.press("Read the file").await;
    let shown = world.sees("Upload 4 rows").await;
    assert!(shown.contains("Next step: "), "{shown}");
    assert_eq!(world.value("column_3").await, "Not read");
    let caption = "The first rows, as they would be read";
    assert!(!world.rows(caption).await[0].contains(&"London".to_owned()));
    world.choose("column_3", "E-mail address").await;
    world.choose("column_3", "City").await;
    world.sees("London").await;
    world.is_readable().await;
    world.picture("upload").await;
    world.choose("column_3", "Last name").await;
    world.sees("Two columns hold last_name.").await;
    world.choose("column_3", "City").await;
    world.no_longer_sees("Two columns hold last_name.").await;

    world.press("Upload 4 rows").await;
    let shown = world
        .sees("4 rows: 2 added, 0 updated, 0 unchanged, 2 refused.")
        .await;
    assert!(
        shown.contains("A pass over the directory links them"),
        "{shown}"
    );
    let rows = world.rows("Row by row").await;
    assert_eq!([&*rows[0][0], &*rows[1][0]], ["3", "4"]);
    assert!(
        rows[1][3].contains("The row has 5 cells, the header 4."),
        "{rows:?}"
    );
    world.press("Only rows that were refused").await;
    assert_eq!(world.rows("Row by row").await.len(), 4);
    world.is_readable().await;
    world.picture("uploaded").await;

    world.press("Follow it").await;
    browser.arrive(&world.at("/app/match-rates")).await;
    world.sees("Done").await;
    world.until("/matching", "/pass/state", "succeeded").await;
    world.sees("As of").await;
    let caption = "How many entries of the directory are matched";
    let people = || async {
        let rows = world.rows(caption).await;
        rows.into_iter().find(|row| row[0] == "People")
    };
    let expected = ["People", "2", "1", "50%", "0", "1", "0"];
    for _ in 0..100 {
        if people().await.is_some_and(|row| row == expected) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(people().await.unwrap(), expected);

    // Asked for here, it is followed to its end, and the line is updated.
    let passes = world.api(Method::GET, "/matching", None).await;
    let before = passes["history"].as_array().unwrap().len();
    world.press("Match now").await;
    let points = "return [...document.querySelectorAll('figure')].map((one) => [one.querySelector('svg').getAttribute('aria-label'), \
         one.querySelector('polyline').points.numberOfItems])";
    let mut lines = Value::Null;
    for _ in 0..150 {
        lines = browser.script(points, &json!([])).await;
        let found = lines.as_array().unwrap().iter();
        let contacts = found
            .clone()
            .find(|line| line[0].as_str().unwrap().starts_with("Contact in the CRM"));
        if contacts.is_some_and(|line| line[1].as_u64() > u64::try_from(before).ok()) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let contact = lines
        .as_array()
        .unwrap()
        .iter()
        .find(|line| line[0].as_str().unwrap().starts_with("Contact in the CRM"));
    assert!(contact.unwrap()[1].as_u64().unwrap() > 1, "{lines}");
    world.sees("Done").await;
    world.is_readable().await;
    world.picture("match-rates").await;
    world.no_complaints().await;
    world.stop().await;
}
