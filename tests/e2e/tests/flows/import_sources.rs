//! The two sources of imports against the simulator: whole objects and their changes, page by page, by every
//! interface, with faults on the way (IM-2, IM-3).

use std::collections::BTreeMap;

use e2e::{Harness, Tenant};
use reqwest::Method;
use serde_json::{Value as Json, json};
use shared::clock::Millis;
use shared::crm::CrmError;
use shared::crm::import::{self, ImportError, Reading, Source, Turn};
use shared::domain::inventory::{ObjectSpec, objects};
use shared::domain::mirror::{Change, Value};
use shared::domain::schema::CrmKind;
use shared::domain::sync::{Cursor, Resume};
use shared::session::Session;
use shared::store::ConnectionKind;
use shared::texts;

/// The results of a pass over an object.
#[derive(Debug, Default)]
struct Pass {
    /// The last change that was reported of each record.
    rows: BTreeMap<String, Change>,
    /// The number of changes reported.
    told: usize,
    pages: usize,
    waits: Vec<i64>,
    of: Option<u64>,
    delta: Option<String>,
    /// Turns that had to be made again.
    again: usize,
}

impl Pass {
    fn present(&self) -> usize {
        let rows = self.rows.values();
        rows.filter(|change| matches!(change, Change::Present(_)))
            .count()
    }

    fn text(&self, id: &str, field: &str) -> Option<&str> {
        match &self.rows[id] {
            Change::Present(record) => record.values.text(field),
            Change::Gone { .. } => None,
        }
    }
}

struct World<'a> {
    tenant: Tenant<'a>,
    crm: CrmKind,
    system: &'static str,
}

impl<'a> World<'a> {
    async fn new(harness: &'a Harness, crm: CrmKind) -> Self {
        let system = match crm {
            CrmKind::Salesforce => "salesforce",
            CrmKind::Dynamics365 => "dataverse",
        };
        Self {
            tenant: harness.tenant(crm).await,
            crm,
            system,
        }
    }

    async fn control(&self, method: Method, path: &str, body: Json) -> Json {
        let body = (!body.is_null()).then_some(body);
        self.tenant.harness.control(method, path, body).await
    }

    async fn settings(&self, settings: Json) {
        self.control(Method::PATCH, "/settings", json!({ self.system: settings }))
            .await;
    }

    async fn fault(&self, mut fault: Json) {
        fault["system"] = json!(self.system);
        self.control(Method::POST, "/faults", fault).await;
    }

    fn spec(&self, name: &str) -> &'static ObjectSpec {
        let mut specs = objects(self.crm).iter();
        specs.find(|spec| spec.name == name).unwrap()
    }

    /// The object of people, in either CRM.
    fn people(&self) -> &'static ObjectSpec {
        self.spec(match self.crm {
            CrmKind::Salesforce => "Contact",
            CrmKind::Dynamics365 => "contact",
        })
    }

    async fn session(&self) -> std::sync::Arc<Session> {
        let stack = self.tenant.harness.embedded_stack();
        let sessions = &stack.apps().writeback.remote.sessions;
        let contract = &self.tenant.made.id;
        sessions.forget(contract, ConnectionKind::PRODUCTION).await;
        let session = sessions.open(contract, ConnectionKind::PRODUCTION).await;
        session.unwrap()
    }

    async fn source(&self) -> Box<dyn Source> {
        import::open(self.session().await)
    }

    async fn create(&self, object: &str, values: Json) -> String {
        let path = format!("/records/{}/{object}", self.system);
        let made = self.control(Method::POST, &path, values).await;
        let id = made.as_str().map(str::to_owned).or_else(|| {
            ["id", "Id", &format!("{object}id")]
                .iter()
                .find_map(|key| made.get(key)?.as_str().map(str::to_owned))
        });
        id.unwrap_or_else(|| panic!("{made}"))
    }

    /// People with everything that texts can have.
    async fn create_people(&self, count: usize) -> Vec<String> {
        let mut ids = Vec::new();
        for number in 0..count {
            let last = [
                "Lovelace",
                "\"Ace\", Hopper",
                "Ångström\nBorg",
                "株式会社",
                "O'Neil \\ Söhne",
            ];
            let last = format!("{} {number}", last[number % last.len()]);
            let email = format!("person{number}@a.example");
            let values = match self.crm {
                CrmKind::Salesforce => json!({"LastName": last, "Email": email}),
                CrmKind::Dynamics365 => json!({"lastname": last, "emailaddress1": email}),
            };
            ids.push(self.create(self.people().name, values).await);
        }
        ids
    }

    async fn change(&self, method: Method, id: &str, rest: &str, body: Json) {
        let object = self.people().name;
        let path = format!("/records/{}/{object}/{id}{rest}", self.system);
        self.control(method, &path, body).await;
    }

    async fn read(&self, spec: &'static ObjectSpec) -> Pass {
        self.pass(spec, None, None, 0).await.unwrap()
    }

    async fn changes(&self, spec: &'static ObjectSpec, since: Resume) -> Pass {
        self.pass(spec, Some(since), None, 0).await.unwrap()
    }

    /// A pass as the run makes it, each turn by a worker that knows nothing but the cursor. A turn
    /// that failed for passing trouble is made again, `patience` times in all.
    async fn pass(
        &self,
        spec: &'static ObjectSpec,
        since: Option<Resume>,
        about: Option<u64>,
        patience: usize,
    ) -> Result<Pass, ImportError> {
        let fields: Vec<&'static str> = spec.fields(false).collect();
        let (mut pass, mut cursor, mut skip) = (Pass::default(), Cursor::default(), 0);
        for _ in 0..2_000 {
            let reading = Reading {
                object: spec,
                fields: &fields,
                since: since.as_ref(),
                about,
                cursor: &cursor,
                skip,
            };
            let turn = match self.source().await.turn(&reading).await {
                Ok(turn) => turn,
                Err(error) => {
                    patient(&mut pass, patience, error)?;
                    continue;
                }
            };
            let turn = match turn {
                Turn::Page(mut page) => {
                    pass.of = pass.of.or(page.of());
                    let failed = loop {
                        match page.rows().await {
                            Ok(Some(rows)) => {
                                assert!(!rows.is_empty() && rows.len() <= 501);
                                skip += rows.len() as u64;
                                pass.told += rows.len();
                                for change in rows {
                                    pass.rows.insert(change.id().to_owned(), change);
                                }
                            }
                            Ok(None) => break None,
                            Err(error) => break Some(error),
                        }
                    };
                    if let Some(error) = failed {
                        if !page.stable() {
                            pass.told -= usize::try_from(skip).unwrap();
                            skip = 0;
                        }
                        patient(&mut pass, patience, error)?;
                        continue;
                    }
                    pass.pages += 1;
                    page.next()
                }
                other => other,
            };
            skip = 0;
            match turn {
                Turn::Next(next) => cursor = next,
                Turn::Wait(next, seconds) => {
                    pass.waits.push(seconds);
                    cursor = next;
                }
                Turn::End(delta) => {
                    pass.delta = delta;
                    return Ok(pass);
                }
                Turn::Page(_) => panic!("a page follows a page without a turn"),
            }
        }
        panic!("the pass does not end")
    }
}

/// Passing trouble is met with patience.
fn patient(pass: &mut Pass, patience: usize, error: ImportError) -> Result<(), ImportError> {
    match error {
        ImportError::Crm(CrmError::Unavailable(_) | CrmError::Session(_))
            if pass.again < patience =>
        {
            pass.again += 1;
            Ok(())
        }
        error => Err(error),
    }
}

fn code(error: &ImportError) -> String {
    match error {
        ImportError::Refused { object, code } => {
            texts::import_refused("The CRM", object, code).code
        }
        ImportError::JobsFail { object } => texts::jobs_fail(object).code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn rest_and_jobs_of_salesforce_give_equal_records() {
    let harness = Harness::embedded(false).await;
    let world = World::new(&harness, CrmKind::Salesforce).await;
    let people = world.people();
    let ids = world.create_people(23).await;
    world.change(Method::DELETE, &ids[3], "", Json::Null).await;
    world
        .change(Method::POST, &ids[4], "/merge", json!({"into": ids[5]}))
        .await;
    world
        .settings(json!({"page_size": 5, "bulk_page_rows": 4, "bulk_polls": 3}))
        .await;

    let rest = world.read(people).await;
    assert!(rest.pages >= 4, "{}", rest.pages);
    let total = rest.rows.len();
    assert_eq!(rest.of, Some(total as u64));
    let bulk = world.pass(people, None, Some(5_000), 0).await.unwrap();
    assert!(bulk.pages >= 5, "{}", bulk.pages);
    assert_eq!(bulk.of, rest.of);
    assert_eq!(bulk.waits[..2], [2, 4]);
    assert_eq!(bulk.rows, rest.rows);
    assert_eq!((rest.told, bulk.told), (total, total));
    assert_eq!(rest.present(), total - 2);
    assert_eq!(rest.text(&ids[2], "LastName"), Some("Ångström\nBorg 2"));
    let Change::Gone { merged_into, .. } = &rest.rows[&ids[4]] else {
        panic!("it was merged");
    };
    assert_eq!(merged_into.as_ref(), Some(&ids[5]));

    // Every other object, both ways.
    for spec in objects(CrmKind::Salesforce) {
        if spec.several_currencies_only {
            continue;
        }
        let rest = world.read(spec).await;
        let bulk = world.pass(spec, None, Some(5_000), 0).await.unwrap();
        assert_eq!(bulk.rows, rest.rows, "{}", spec.name);
    }
    let usage = world.session().await.usage();
    assert!(usage.calls > 20 && usage.bytes > 1_000, "{usage:?}");
    assert!(usage.api.unwrap().used > 20, "{usage:?}");
    harness.stop().await;
}

#[tokio::test]
async fn salesforce_tells_changes_deletions_and_numbers() {
    let harness = Harness::embedded(false).await;
    let world = World::new(&harness, CrmKind::Salesforce).await;
    let people = world.people();
    let ids = world.create_people(6).await;
    let source = world.source().await;
    let counted = source.count(people).await.unwrap();
    assert_eq!(counted, Some(world.read(people).await.present() as u64));
    let sizes = source.sizes(&[people, world.spec("UserRole")]).await;
    assert!(sizes.unwrap().contains_key("Contact"));

    let now = world.control(Method::GET, "/clock", Json::Null).await["now_ms"]
        .as_i64()
        .unwrap();
    world
        .control(
            Method::POST,
            "/clock",
            json!({"now_ms": now / 1000 * 1000 + 60_000}),
        )
        .await;
    let since = Resume::Since(Millis(now / 1000 * 1000 + 30_000));
    assert!(source.tells_deletions(people, &since));
    assert!(!source.tells_deletions(world.spec("UserRole"), &since));
    world
        .change(Method::PATCH, &ids[0], "", json!({"Title": "Countess"}))
        .await;
    world.change(Method::DELETE, &ids[1], "", Json::Null).await;
    world.settings(json!({"page_size": 1})).await;
    let changes = world.changes(people, since).await;
    assert_eq!(changes.rows.len(), 2);
    assert_eq!(changes.text(&ids[0], "Title"), Some("Countess"));
    assert!(matches!(changes.rows[&ids[1]], Change::Gone { .. }));
    harness.stop().await;
}

#[tokio::test]
async fn a_reply_that_is_cut_lost_or_strange_changes_no_row() {
    let harness = Harness::embedded(false).await;
    for crm in [CrmKind::Salesforce, CrmKind::Dynamics365] {
        let world = World::new(&harness, crm).await;
        let people = world.people();
        world.create_people(11).await;
        world.settings(json!({"page_size": 4})).await;
        if crm == CrmKind::Salesforce {
            world
                .settings(json!({"bulk_page_rows": 4, "bulk_polls": 1}))
                .await;
        }
        let ways: &[Option<u64>] = match crm {
            CrmKind::Salesforce => &[None, Some(5_000)],
            CrmKind::Dynamics365 => &[None],
        };
        for about in ways {
            let right = world.pass(people, None, *about, 0).await.unwrap();
            for kind in [
                "truncate",
                "lost_reply",
                "drop",
                "garbage",
                "status",
                "expired_token",
            ] {
                for skip in 0..6 {
                    world
                        .fault(json!({"kind": kind, "status": 500, "skip": skip, "times": 1}))
                        .await;
                    let pass = world.pass(people, None, *about, 2).await;
                    let pass = pass.unwrap_or_else(|error| panic!("{kind} {skip}: {error:?}"));
                    assert_eq!(pass.rows, right.rows, "{crm:?} {about:?} {kind} {skip}");
                    assert_eq!(pass.told, right.told, "{crm:?} {about:?} {kind} {skip}");
                    world.control(Method::DELETE, "/faults", Json::Null).await;
                }
            }
        }
    }
    harness.stop().await;
}

#[tokio::test]
async fn jobs_that_fail_are_asked_for_less_until_they_do_not() {
    let harness = Harness::embedded(false).await;
    let world = World::new(&harness, CrmKind::Salesforce).await;
    let people = world.people();
    let start = 1_700_000_000_000_i64;
    for day in 0..12 {
        let at = json!({"now_ms": start + day * 86_400_000});
        world.control(Method::POST, "/clock", at).await;
        world.create_people(3).await;
    }
    world
        .control(Method::POST, "/clock", json!({"system": true}))
        .await;
    let right = world.read(people).await;
    let big = Some(5_000);

    world.settings(json!({"bulk_timeout_rows": 7})).await;
    let read = world.pass(people, None, big, 0).await.unwrap();
    assert_eq!(read.rows, right.rows);
    assert_eq!(read.told, right.told, "windows do not overlap");
    world
        .settings(json!({"bulk_timeout_rows": 0, "bulk_fail_jobs": 4}))
        .await;
    assert_eq!(
        world.pass(people, None, big, 0).await.unwrap().rows,
        right.rows
    );
    world.settings(json!({"bulk_fail_jobs": 100_000})).await;
    let refused = world.pass(people, None, big, 0).await.unwrap_err();
    assert_eq!(code(&refused), "crm_job_failed");
    world.settings(json!({"bulk_fail_jobs": 0})).await;

    // Without jobs it continues by REST.
    world
        .settings(json!({"bulk_unsupported": ["Contact"], "page_size": 10}))
        .await;
    let read = world.pass(people, None, big, 0).await.unwrap();
    assert_eq!((read.rows == right.rows, read.pages > 2), (true, true));
    world
        .settings(json!({"bulk_unsupported": [], "bulk_job_limit": 0}))
        .await;
    let source = world.source().await;
    let fields: Vec<&'static str> = people.fields(false).collect();
    let reading = Reading {
        object: people,
        fields: &fields,
        since: None,
        about: big,
        cursor: &Cursor::default(),
        skip: 0,
    };
    let turn = source.turn(&reading).await.unwrap();
    assert!(matches!(turn, Turn::Wait(_, 900)));
    harness.stop().await;
}

#[tokio::test]
async fn what_the_crm_no_longer_knows_is_told_apart() {
    let harness = Harness::embedded(false).await;
    for crm in [CrmKind::Salesforce, CrmKind::Dynamics365] {
        let world = World::new(&harness, crm).await;
        let people = world.people();
        world.create_people(7).await;
        world.settings(json!({"page_size": 3})).await;
        let fields: Vec<&'static str> = people.fields(false).collect();
        let source = world.source().await;
        let cursor = Cursor::default();
        let mut reading = Reading {
            object: people,
            fields: &fields,
            since: None,
            about: None,
            cursor: &cursor,
            skip: 0,
        };
        let Turn::Page(mut page) = source.turn(&reading).await.unwrap() else {
            panic!("a page");
        };
        while page.rows().await.unwrap().is_some() {}
        let Turn::Next(next) = page.next() else {
            panic!("there is more");
        };
        reading.cursor = &next;
        let route = match crm {
            CrmKind::Salesforce => "/salesforce/expire-locators",
            CrmKind::Dynamics365 => "/dataverse/expire-skiptokens",
        };
        world.control(Method::POST, route, Json::Null).await;
        let gone = source.turn(&reading).await.err();
        assert!(matches!(gone, Some(ImportError::PagesGone)), "{gone:?}");

        // A hidden column is no column.
        let hidden = people.fields(false).nth(4).unwrap();
        let hidden = hidden.trim_start_matches('_').trim_end_matches("_value");
        world
            .settings(json!({"hidden_fields": {people.name: [hidden]}}))
            .await;
        for about in [None, Some(5_000)] {
            let changed = world.pass(people, None, about, 0).await.err();
            assert!(
                matches!(changed, Some(ImportError::SchemaChanged)),
                "{changed:?}"
            );
        }
        world.settings(json!({"hidden_fields": {}})).await;
        world
            .settings(json!({"denied": {people.name: ["read"]}}))
            .await;
        let changed = world.pass(people, None, None, 0).await.err();
        assert!(
            matches!(changed, Some(ImportError::SchemaChanged)),
            "{changed:?}"
        );
        world.settings(json!({"denied": {}})).await;
    }
    harness.stop().await;
}

#[tokio::test]
async fn dataverse_tells_what_changed_since_all_was_read() {
    let harness = Harness::embedded(false).await;
    let world = World::new(&harness, CrmKind::Dynamics365).await;
    let people = world.people();
    let ids = world.create_people(13).await;
    world.settings(json!({"page_size": 5})).await;
    let read = world.read(people).await;
    assert!(read.pages >= 3 && read.told == read.rows.len());
    assert_eq!(read.text(&ids[2], "lastname"), Some("Ångström\nBorg 2"));
    let delta = Resume::Delta(read.delta.clone().unwrap());
    let source = world.source().await;
    assert!(source.tells_deletions(people, &delta));
    assert!(!source.tells_deletions(people, &Resume::Since(Millis(0))));
    assert_eq!(source.count(people).await.unwrap(), None);

    let nothing = world.changes(people, delta.clone()).await;
    assert_eq!(nothing.rows.len(), 0);
    for id in &ids[..7] {
        world
            .change(Method::PATCH, id, "", json!({"jobtitle": "CTO"}))
            .await;
    }
    world.change(Method::DELETE, &ids[7], "", Json::Null).await;
    world
        .change(Method::POST, &ids[8], "/merge", json!({"into": ids[9]}))
        .await;
    let changes = world.changes(people, delta.clone()).await;
    assert!(changes.pages >= 2 && changes.delta.is_some());
    assert_eq!(changes.text(&ids[6], "jobtitle"), Some("CTO"));
    assert!(matches!(changes.rows[&ids[7]], Change::Gone { .. }));
    let Change::Present(loser) = &changes.rows[&ids[8]] else {
        panic!("Dataverse keeps it");
    };
    assert_eq!(loser.merged_into.as_ref(), Some(&ids[9]));

    // A full read gives the same as the changes.
    let mut made = read.rows;
    for (id, change) in changes.rows {
        match change {
            Change::Present(_) => made.insert(id, change),
            Change::Gone { .. } => made.remove(&id),
        };
    }
    assert_eq!(made, world.read(people).await.rows);

    world
        .control(Method::POST, "/dataverse/expire-deltas", Json::Null)
        .await;
    let expired = world.pass(people, Some(delta), None, 0).await.err();
    assert!(
        matches!(expired, Some(ImportError::ChangesExpired)),
        "{expired:?}"
    );
    harness.stop().await;
}

#[tokio::test]
async fn a_table_that_does_not_track_its_changes_is_read_by_their_time() {
    let harness = Harness::embedded(false).await;
    let world = World::new(&harness, CrmKind::Dynamics365).await;
    let people = world.people();
    let ids = world.create_people(9).await;
    let tracked = world.read(people).await;
    world
        .settings(json!({"untracked_tables": [people.name], "page_size": 4}))
        .await;
    let plain = world.read(people).await;
    assert_eq!((plain.delta.as_ref(), plain.pages > 2), (None, true));
    assert_eq!(plain.rows, tracked.rows);

    let Change::Present(first) = &plain.rows[&ids[0]] else {
        panic!("it is there");
    };
    let later = first.modified.plus_seconds(3_600);
    let at = json!({"now_ms": later.plus_seconds(1).0});
    world.control(Method::POST, "/clock", at).await;
    for id in &ids[..6] {
        world
            .change(Method::PATCH, id, "", json!({"jobtitle": "CTO"}))
            .await;
    }
    let changes = world.changes(people, Resume::Since(later)).await;
    assert_eq!((changes.rows.len(), changes.pages), (6, 2));
    assert!(changes.rows.values().all(|change| matches!(change,
        Change::Present(record) if record.values.get("jobtitle") == Some(&Value::Text("CTO".to_owned())))));
    harness.stop().await;
}
