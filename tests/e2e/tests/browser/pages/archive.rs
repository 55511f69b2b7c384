//! The page *From a LinkedIn archive*: read in the browser, shown first, logged once (WB-8, WB-10).

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use shared::domain::schema::CrmKind;

use super::activities::signed_in;
use super::world::{PATIENCE, World};

/// Makes a zip of texts, by name, in the page, and chooses it.
const CHOOSE: &str = r"
    const [name, files, done] = arguments;
    const table = Array.from({ length: 256 }, (_, value) => {
        for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
        return value;
    });
    const crcOf = (bytes) => ~bytes.reduce((sum, byte) => (sum >>> 8) ^ table[(sum ^ byte) & 255], -1) >>> 0;
    const packed = (fields) => fields.map(([size, value]) => {
        const view = new DataView(new ArrayBuffer(size));
        size === 2 ? view.setUint16(0, value, true) : view.setUint32(0, value, true);
        return view;
    });
    (async () => {
        const [parts, directory] = [[], []];
        let offset = 0;
        for (const [path, text] of Object.entries(files)) {
            const bytes = new TextEncoder().encode(text);
            const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream('deflate-raw'));
            const content = await new Response(stream).blob();
            const head = [[2, 20], [2, 0], [2, 8], [4, 0], [4, crcOf(bytes)], [4, content.size], [4, bytes.length], [2, path.length], [2, 0]];
            const local = new Blob([...packed([[4, 0x04034b50], ...head]), path, content]);
            directory.push(...packed([[4, 0x02014b50], [2, 20], ...head, [2, 0], [2, 0], [2, 0], [4, 0], [4, offset]]), path);
            parts.push(local);
            offset += local.size;
        }
        const [list, count] = [new Blob(directory), Object.keys(files).length];
        const end = packed([[4, 0x06054b50], [2, 0], [2, 0], [2, count], [2, count], [4, list.size], [4, offset], [2, 0]]);
        const chosen = new DataTransfer();
        chosen.items.add(new File(count ? [...parts, list, ...end] : ['nothing'], name));
        document.querySelector('[name=files]').files = chosen.files;
        return true;
    })().then(done, (error) => done(String(error)));
";

const MESSAGES: &str = "CONVERSATION ID,CONVERSATION TITLE,FROM,SENDER PROFILE URL,TO,RECIPIENT PROFILE URLS,DATE,SUBJECT,CONTENT,FOLDER\n\
     1,,Sol Seller,{me},Ada Lovelace,https://www.linkedin.com/in/ada,2024-03-05 10:00:00 UTC,,\"Met at the fair,\nAda said \"\"yes\"\".\",SENT\n\
     1,,Ada Lovelace,https://www.linkedin.com/in/ada,Sol Seller,{me},2024-03-05 11:00:00 UTC,,An answer.,INBOX\n\
     1,,Sol Seller,{me},Ada Lovelace,https://www.linkedin.com/in/ada,2024-03-06 10:00:00 UTC,,<p>A second letter.</p>,SENT\n\
     1,,Sol Seller,{me},Ada Lovelace,https://www.linkedin.com/in/ada,2023-12-31 23:59:59 UTC,,Too old.,SENT\n\
     2,,Sol Seller,{me},Grace Hopper,https://www.linkedin.com/in/grace,2024-03-05 10:00:00 UTC,Compilers,An offer for Grace.,SENT\n\
     3,,Sol Seller,{me},\"Ada, Grace\",https://www.linkedin.com/in/ada;https://www.linkedin.com/in/grace,2024-03-05 10:00:00 UTC,,To all.,SENT\n";
const CONNECTIONS: &str = "Notes:\n\"Some addresses are missing.\"\n\n\
     First Name,Last Name,URL,Email Address,Company,Position,Connected On\n\
     Ada,Lovelace,https://www.linkedin.com/in/ada,ada@analytical-engines.example,Analytical Engines,Countess,15 Jan 2024\n\
     Bob,Builder,https://www.linkedin.com/in/bob,,,,15 Jan 2024\n";
const INVITATIONS: &str = "From,To,Sent At,Message,Direction,inviterProfileUrl,inviteeProfileUrl\n\
     Sol Seller,Ada Lovelace,\"1/15/24, 9:30 AM\",Let us connect.,OUTGOING,{me},https://www.linkedin.com/in/ada\n";

/// The texts that are logged.
const TEXTS: [&str; 4] = [
    "Met at the fair",
    "A second letter.",
    "Let us connect.",
    "An offer for Grace.",
];

impl World {
    /// Chooses an archive of a member, and reads it.
    async fn read_archive(&self, member: &str) {
        let me = format!("https://www.linkedin.com/in/{member}");
        let of = |text: &str| text.replace("{me}", &me);
        let files = json!({
            "Messages.csv": of(MESSAGES), "Connections.csv": CONNECTIONS, "Invitations.csv": of(INVITATIONS),
        });
        self.choose_files("Basic_LinkedInDataExport.zip", &files)
            .await;
        self.press("Read it").await;
        self.sees("Log since").await;
    }

    async fn choose_files(&self, name: &str, files: &Value) {
        self.browser.find("[name=files]").await;
        let chosen = self
            .browser
            .script_async(CHOOSE, &json!([name, files]))
            .await;
        assert_eq!(chosen, true);
    }

    async fn since(&self, day: &str) {
        const SET: &str = "document.querySelector('[name=since]').value = arguments[0]";
        self.browser.find("[name=since]").await;
        self.browser.script(SET, &json!([day])).await;
    }

    /// Waits until the CRM has each of the texts, and checks that it has each once.
    async fn has_logged_once(&self, object: &str) {
        let since = Instant::now();
        for text in TEXTS {
            let mut found = self.with_text(object, text).await;
            while found.is_empty() {
                assert!(since.elapsed() < PATIENCE, "no “{text}”");
                tokio::time::sleep(Duration::from_millis(200)).await;
                found = self.with_text(object, text).await;
            }
            assert_eq!(found.len(), 1, "{found:?}");
        }
        for text in ["An answer.", "Too old.", "To all."] {
            assert_eq!(self.with_text(object, text).await.len(), 0, "{text}");
        }
    }

    /// The page is no wider than a small telephone.
    async fn fits_a_telephone(&self) {
        self.browser.resize(360, 800).await;
        let wide = "return document.documentElement.scrollWidth";
        let wide = self.browser.script(wide, &json!([])).await;
        assert!(wide.as_u64().unwrap() <= 360, "{wide}");
        self.browser.resize(1280, 800).await;
    }
}

/// From the wrong files to an archive that is logged, and logged again.
async fn logs_an_archive(world: &World, tasks: &str) {
    world.press("From a LinkedIn archive").await;
    world.sees("nothing of it leaves your machine").await;
    world.press("Read it").await;
    world.sees("No file is chosen.").await;
    world.choose_files("photo.zip", &json!({})).await;
    world.press("Read it").await;
    world.sees("photo.zip is no zip").await;
    world
        .choose_files("other.zip", &json!({ "messages.csv": "a,b\n1,2\n" }))
        .await;
    world.press("Read it").await;
    world.sees("none of its columns is known").await;
    world.browser.find("[name=files][aria-invalid=true]").await;

    // Without a day, or with one that is too early, nothing is looked at.
    world.read_archive("sol-seller").await;
    assert_eq!(
        world.value("member").await,
        "Sol Seller (https://www.linkedin.com/in/sol-seller)"
    );
    world.press("Preview").await;
    world.sees("The day is missing.").await;
    world.since("2021-06-22").await;
    world.press("Preview").await;
    world.sees("It is before 2021-06-23").await;
    world.is_accessible().await;
    world.picture("archive-whose").await;

    // Nothing is stored before it is sent.
    world.since("2024-01-01").await;
    world.press("Preview").await;
    let shown = world
        .sees("3 activities with 1 person, and 2 connections would be sent.")
        .await;
    for part in [
        "2 messages, 1 invitation",
        "Not in the CRM",
        "Group conversations",
        "Before the date",
        "Messages that others wrote",
    ] {
        assert!(shown.contains(part), "no “{part}” in:\n{shown}");
    }
    let people = world.api(reqwest::Method::GET, "/profiles", None).await;
    assert_eq!(people["items"], json!([]));
    world.press("Log to 1 person who is not in the CRM").await;
    world
        .sees("4 activities with 2 people, and 2 connections would be sent.")
        .await;
    world.is_accessible().await;
    world.fits_a_telephone().await;
    world.picture("archive-preview").await;

    world.press("Log it").await;
    world
        .sees("4 logged, 0 logged already, 1 connection added, 1 unchanged, 0 refused.")
        .await;
    world.is_accessible().await;
    world.fits_a_telephone().await;
    world.picture("archive-logged").await;
    world.has_logged_once(tasks).await;

    // The same archive again: everything is known.
    world.read_archive("sol-seller").await;
    world.since("2024-01-01").await;
    world.press("Preview").await;
    let shown = world.sees("There is nothing new to log").await;
    assert!(shown.contains("Logged already"), "{shown}");
    world.press("Log it").await;
    world
        .sees("0 logged, 0 logged already, 0 connections added, 2 unchanged, 0 refused.")
        .await;
    world.has_logged_once(tasks).await;

    // Another member's is refused, until the earlier one is forgotten.
    world.read_archive("somebody-else").await;
    world.since("2024-01-01").await;
    world.press("Preview").await;
    world
        .sees("The archive belongs to another LinkedIn member")
        .await;
    world.browser.find("[name=member][aria-invalid=true]").await;
    world.is_accessible().await;
    world.press("The address of my profile has changed").await;
    world.press("Forget it").await;
    world.no_longer_sees("Log since").await;
    world.read_archive("somebody-else").await;
    world.since("2024-01-01").await;
    world.press("Preview").await;
    // By the messages it is the same archive: they know of no address of the member's own.
    world.sees("There is nothing new to log").await;
    world.no_complaints().await;
}

/// WB-6: chooses for the thread of a logged message, and forgets that.
async fn chooses_for_a_thread(world: &World) {
    let browser = &world.browser;
    let (status, logged) = browser.fetch("/api/v1/activities", &json!({})).await;
    assert_eq!(status, 200, "{logged}");
    let mut items = logged["items"].as_array().unwrap().iter();
    let message = items.find(|one| one["kind"] == "message").unwrap();
    let page = format!("/app/activity?id={}", message["id"].as_str().unwrap());
    browser.go(&world.at(&page)).await;
    world.sees("Its thread").await;
    // It shows no choice that nobody has made.
    assert_eq!(world.value("log_to_crm").await, "Choose");
    world.press("Save").await;
    world.sees("Say whether they are logged.").await;
    world
        .choose("log_to_crm", "No: nothing is kept of it")
        .await;
    world.press("Save").await;
    world.sees("Your choice is saved.").await;
    world.press("All your choices for threads").await;
    world.sees("Whole threads").await;
    world.press("Forget it: ").await;
    world.sees("You have chosen for no thread.").await;
    // The button is gone: the focus is where the list was.
    browser.find("main h2[tabindex='-1']").await;
    world.is_accessible().await;
    world.no_complaints().await;
}

/// WB-8, WB-10 with Salesforce: written as the seat holder.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_salesperson_logs_an_archive_once() {
    let Some(world) = World::start(CrmKind::Salesforce).await else {
        return;
    };
    let contact = json!({ "FirstName": "Ada", "LastName": "Lovelace", "Email": "ada@analytical-engines.example" });
    world.record("Contact", contact).await;
    signed_in(&world, "salesforce").await;
    world.press("My settings").await;
    world.press("Use another account").await;
    world.press("Sol Seller").await;
    world.sees("Sign in again").await;
    logs_an_archive(&world, "Task").await;
    chooses_for_a_thread(&world).await;
    world.stop().await;
}

/// WB-8, WB-10 with Dynamics 365.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_salesperson_of_dynamics_logs_an_archive_once() {
    let Some(world) = World::start(CrmKind::Dynamics365).await else {
        return;
    };
    let contact = json!({ "firstname": "Ada", "lastname": "Lovelace", "emailaddress1": "ada@analytical-engines.example" });
    world.record("contact", contact).await;
    signed_in(&world, "entra").await;
    logs_an_archive(&world, "task").await;
    world.stop().await;
}
