//! Imports as people meet them (IM-1 to IM-5, CN-7): imported records, their costs, reported problems that
//! stop nothing, waits, and stops.

use std::sync::Arc;

use e2e::worker::{ask_for_import, clock, import, import_beside_workers, import_to_end, process};
use e2e::{Harness, Tenant};
use local::Apps;
use reqwest::Method;
use serde_json::{Value, json};
use shared::clock::Clock as _;
use shared::domain::environment::Environment;
use shared::domain::inventory::objects;
use shared::domain::schema::CrmKind;
use shared::domain::sync::{ObjectState, ObjectSync, PassKind, Sync, SyncState};
use shared::queue::ImportMessage;
use shared::store::{Mirror, MirrorRecord, WorkKind};
use shared::testing::{Cut, FixedClock, Tripwire};

const BOTH: [CrmKind; 2] = [CrmKind::Salesforce, CrmKind::Dynamics365];
const PRODUCTION: Environment = Environment::Production;

struct World<'a> {
    tenant: &'a Tenant<'a>,
    clock: Arc<FixedClock>,
    wire: Arc<Tripwire>,
    apps: Apps,
}

impl<'a> World<'a> {
    fn of(tenant: &'a Tenant<'a>) -> Self {
        let (clock, wire) = (clock(), Tripwire::new());
        let apps = process(tenant.harness.embedded_stack(), &wire, &clock);
        Self {
            tenant,
            clock,
            wire,
            apps,
        }
    }

    fn crm(&self) -> CrmKind {
        self.tenant.made.crm
    }

    fn system(&self) -> &'static str {
        match self.crm() {
            CrmKind::Salesforce => "salesforce",
            CrmKind::Dynamics365 => "dataverse",
        }
    }

    /// The CRM's name for an object or field, of both.
    fn name(&self, salesforce: &'static str, dataverse: &'static str) -> &'static str {
        match self.crm() {
            CrmKind::Salesforce => salesforce,
            CrmKind::Dynamics365 => dataverse,
        }
    }

    async fn control(&self, method: Method, path: &str, body: Value) -> Value {
        let body = Some(body).filter(|body| !body.is_null());
        self.tenant.harness.control(method, path, body).await
    }

    async fn settings(&self, settings: Value) {
        let settings = json!({ self.system(): settings });
        self.control(Method::PATCH, "/settings", settings).await;
    }

    async fn generate(&self, object: &str, count: usize) {
        let order = json!({"system": self.system(), "object": object, "count": count, "seed": 3});
        self.control(Method::POST, "/generate", order).await;
    }

    async fn create(&self, object: &str, values: Value) -> String {
        let path = format!("/records/{}/{object}", self.system());
        let made = self.control(Method::POST, &path, values).await;
        let id = made
            .get("Id")
            .or_else(|| made.get("id"))
            .or_else(|| made.get(format!("{object}id").as_str()));
        id.and_then(Value::as_str)
            .unwrap_or_else(|| panic!("no id in {made}"))
            .to_owned()
    }

    async fn change(&self, object: &str, id: &str, values: Value) {
        let path = format!("/records/{}/{object}/{id}", self.system());
        self.control(Method::PATCH, &path, values).await;
    }

    /// Time goes by, for the CRM too.
    async fn advance(&self, seconds: i64) {
        self.clock.advance(seconds);
        let now = json!({"now_ms": self.clock.now().0});
        self.control(Method::POST, "/clock", now).await;
    }

    async fn import(&self) {
        import_to_end(&self.apps, &self.clock, &self.tenant.made.id).await;
    }

    /// One worker's step.
    async fn step(&self) -> Sync {
        self.step_of(&self.apps).await
    }

    async fn step_of(&self, apps: &Apps) -> Sync {
        let message = ImportMessage {
            contract: self.tenant.made.id.clone(),
            work: WorkKind::Sync(PRODUCTION),
        };
        crm_import::work(&apps.import, &message).await;
        self.sync().await
    }

    async fn sync(&self) -> Sync {
        let store = &self.tenant.harness.store;
        store
            .sync(&self.tenant.made.id, PRODUCTION)
            .await
            .unwrap()
            .unwrap()
    }

    async fn object(&self, name: &str) -> ObjectSync {
        let store = &self.tenant.harness.store;
        let all = store
            .object_syncs(&self.tenant.made.id, PRODUCTION)
            .await
            .unwrap();
        all.into_iter()
            .find(|object| object.object == name)
            .unwrap_or_else(|| panic!("no {name}"))
    }

    async fn record(&self, object: &str, id: &str) -> Option<MirrorRecord> {
        let mirror = Mirror {
            contract: &self.tenant.made.id,
            environment: PRODUCTION,
            crm: self.crm(),
            object,
            default_region: None,
        };
        mirror.record(&self.tenant.harness.store, id).await.unwrap()
    }

    async fn value(&self, object: &str, id: &str, field: &str) -> Value {
        let record = self
            .record(object, id)
            .await
            .unwrap_or_else(|| panic!("no {object} {id}"));
        record
            .values
            .unwrap()
            .get(field)
            .cloned()
            .unwrap_or_default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_arrives_and_what_is_as_it_was_costs_no_write() {
    for crm in BOTH {
        let harness = Harness::embedded(false).await;
        let tenant = harness.tenant(crm).await;
        let world = World::of(&tenant);
        harness.control(Method::POST, "/samples", None).await;
        world.generate(world.name("Contact", "contact"), 120).await;
        import(&world.apps, &tenant.made.id).await;
        let contact = world.object(world.name("Contact", "contact")).await;
        assert_eq!(
            (contact.of, contact.read),
            (Some(contact.records), contact.records)
        );
        for spec in objects(crm)
            .iter()
            .filter(|spec| !spec.several_currencies_only)
        {
            let path = format!("/records/{}/{}", world.system(), spec.name);
            let there = harness.control(Method::GET, &path, None).await;
            let object = world.object(spec.name).await;
            assert_eq!(
                object.records,
                there.as_array().unwrap().len() as u64,
                "{}",
                spec.name
            );
            assert_eq!(object.state, ObjectState::Done);
            assert_eq!(object.fields, spec.fields(false).collect::<Vec<_>>());
        }
        // Long after the last change, so that nothing is read again for an open transaction.
        world.advance(2 * 3600).await;
        import(&world.apps, &tenant.made.id).await;
        world.advance(12 * 3600).await;
        world.wire.reset();
        import(&world.apps, &tenant.made.id).await;
        for spec in objects(crm)
            .iter()
            .filter(|spec| !spec.several_currencies_only)
        {
            let object = world.object(spec.name).await;
            assert_eq!((object.written, object.removed), (0, 0), "{}", spec.name);
        }
        // Salesforce: permissions, the options, lead fields, sizes; a query and a count for each object.
        // Dataverse: permissions (2), options, lead fields, sizes; a delta for each table, and all rows of
        // the few tables without reported deletions.
        let calls = world.wire.outside_calls();
        assert!(
            calls <= if crm == CrmKind::Salesforce { 22 } else { 15 },
            "{calls} calls to {crm:?}"
        );
        harness.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lead_made_in_the_crm_is_joined_by_a_form_after_the_import() {
    for crm in BOTH {
        let harness = Harness::embedded(true).await;
        let tenant = harness.tenant(crm).await;
        let world = World::of(&tenant);
        let strategy = json!({
            "name": "By name", "active": true,
            "matching_lead_fields": [world.name("LastName", "lastname"), world.name("Company", "companyname")],
        });
        let (status, answer) = tenant
            .api(Method::POST, "/matching-strategies", Some(strategy))
            .await;
        assert_eq!(status, 201, "{answer}");
        // Spelled otherwise than on the form: the CRM's own search does not find it.
        let values = match crm {
            CrmKind::Salesforce => {
                json!({"LastName": "Müller-Lüdenscheidt", "Company": "Bürobedarf Süd", "Email": tenant.email("crm")})
            }
            CrmKind::Dynamics365 => {
                json!({"lastname": "Müller-Lüdenscheidt", "companyname": "Bürobedarf Süd", "emailaddress1": tenant.email("crm"), "subject": "x"})
            }
        };
        let lead = world.create(world.name("Lead", "lead"), values).await;
        import_beside_workers(&world.apps, &tenant.made.id).await;
        let form = json!({
            "email": tenant.email("form"), "first_name": "Ada", "last_name": "MULLER LUDENSCHEIDT",
            "company": "burobedarf sud",
        });
        let id = tenant.submit(&form, None).await;
        let detail = tenant.wait_for(&id, &["attached", "created"]).await;
        assert_eq!(detail["state"], "attached", "{detail:#}");
        assert!(detail.to_string().contains(&lead), "{detail:#}");
        assert_eq!(tenant.leads().await.len(), 1);
        harness.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_field_that_cannot_be_read_is_reported_and_comes_with_every_record_once_it_can() {
    for crm in BOTH {
        let harness = Harness::embedded(false).await;
        let tenant = harness.tenant(crm).await;
        let world = World::of(&tenant);
        let (object, field) = (
            world.name("Account", "account"),
            world.name("Phone", "telephone1"),
        );
        let id = world
            .create(
                object,
                json!({world.name("Name", "name"): "Acme", field: "+1 415 555 2671"}),
            )
            .await;
        world
            .settings(json!({"hidden_fields": {object: [field]}}))
            .await;
        world.import().await;
        assert_eq!(
            world.value(object, &id, world.name("Name", "name")).await,
            "Acme"
        );
        assert_eq!(world.value(object, &id, field).await, Value::Null);
        let notice = world.object(object).await.notices.remove(0);
        assert_eq!(
            (notice.code.as_str(), notice.field.as_deref()),
            ("field_not_readable", Some(field))
        );
        assert!(!notice.next_step.is_empty());
        world.settings(json!({"hidden_fields": {}})).await;
        world.advance(12 * 3600).await;
        world.import().await;
        assert_eq!(world.value(object, &id, field).await, "+1 415 555 2671");
        assert_eq!(world.object(object).await.notices, vec![]);
        harness.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_field_that_goes_in_the_middle_of_a_run_is_left_out_from_there() {
    for crm in BOTH {
        let harness = Harness::embedded(false).await;
        let tenant = harness.tenant(crm).await;
        let world = World::of(&tenant);
        world.settings(json!({"page_size": 40})).await;
        let (object, field) = (
            world.name("Account", "account"),
            world.name("Phone", "telephone1"),
        );
        world.generate(object, 100).await;
        ask_for_import(&world.apps, &tenant.made.id).await;
        // Dies while it reads; the field goes before the next one reads on.
        let dying = process(
            harness.embedded_stack(),
            &Tripwire::cutting(Cut::Before(24)),
            &world.clock,
        );
        world.step_of(&dying).await;
        world
            .settings(json!({"hidden_fields": {object: [field]}, "page_size": 40}))
            .await;
        world.advance(200).await;
        for _ in 0..40 {
            if !world.step().await.is_open() {
                break;
            }
            world.advance(60).await;
        }
        let sync = world.sync().await;
        assert_eq!(sync.state, SyncState::Succeeded, "{:?}", sync.problem);
        let account = world.object(object).await;
        assert_eq!(account.state, ObjectState::Done);
        assert!(account.records >= 100);
        assert!(!account.fields.iter().any(|name| name == field) || account.notices.is_empty());
        harness.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_cannot_be_read_is_told_and_the_rest_is_imported() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let world = World::of(&tenant);
    world.generate("Account", 20).await;
    world.generate("Contact", 20).await;
    // Nothing depends on it.
    world
        .settings(json!({"denied": {"OpportunityContactRole": ["read"]}}))
        .await;
    world.import().await;
    assert_eq!(
        world.object("OpportunityContactRole").await.state,
        ObjectState::NotReadable
    );
    // Without this object the run has failed; the readable ones are there.
    world
        .settings(json!({"denied": {"Contact": ["read"]}}))
        .await;
    world.advance(12 * 3600).await;
    let account = world.create("Account", json!({"Name": "Later"})).await;
    ask_for_import(&world.apps, &tenant.made.id).await;
    let sync = world.step().await;
    assert_eq!(sync.state, SyncState::Failed);
    assert_eq!(sync.problem.unwrap().code, "crm_objects_not_readable");
    let contact = world.object("Contact").await;
    assert_eq!(contact.state, ObjectState::NotReadable);
    assert!(!contact.problem.unwrap().next_step.is_empty());
    assert_eq!(world.value("Account", &account, "Name").await, "Later");
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_option_of_a_choice_is_reported_and_imported() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let world = World::of(&tenant);
    world
        .create("Account", json!({"Name": "A", "Industry": "Banking"}))
        .await;
    world.import().await;
    assert_eq!(world.object("Account").await.notices, vec![]);
    world.advance(12 * 3600).await;
    let id = world
        .create("Account", json!({"Name": "B", "Industry": "Space Mining"}))
        .await;
    world.import().await;
    let account = world.object("Account").await;
    let notice = account
        .notices
        .iter()
        .find(|notice| notice.code == "new_choice")
        .unwrap();
    assert_eq!(notice.field.as_deref(), Some("Industry"));
    assert!(notice.detail.contains("Space Mining"), "{}", notice.detail);
    assert_eq!(
        world.value("Account", &id, "Industry").await,
        "Space Mining"
    );
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_has_used_its_share_of_calls_waits_says_so_and_goes_on() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let world = World::of(&tenant);
    // A quarter of forty calls is less than an import needs.
    world
        .settings(json!({"api_limit": 40, "api_used": 0}))
        .await;
    ask_for_import(&world.apps, &tenant.made.id).await;
    let sync = world.step().await;
    assert_eq!(sync.state, SyncState::Queued, "{:?}", sync.problem);
    let problem = sync.problem.unwrap();
    assert_eq!(problem.code, "api_share_used");
    assert!(sync.calls >= 10 && sync.calls < 20, "{} calls", sync.calls);
    let (_, shown) = tenant.api(Method::GET, "/sync", None).await;
    assert!(
        shown.to_string().contains("share of API calls is used up"),
        "{shown:#}"
    );
    // Nothing is called while it waits.
    world.wire.reset();
    world.step().await;
    assert_eq!(world.wire.outside_calls(), 0);
    world
        .settings(json!({"api_limit": 4000, "api_used": 0}))
        .await;
    world.advance(24 * 3600 + 60).await;
    for _ in 0..20 {
        if !world.step().await.is_open() {
            break;
        }
        world.advance(60).await;
    }
    assert_eq!(world.sync().await.state, SyncState::Succeeded);
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_stopped_stays_stopped_and_the_next_waits_for_its_worker() {
    for crm in BOTH {
        let harness = Harness::embedded(false).await;
        let tenant = harness.tenant(crm).await;
        let world = World::of(&tenant);
        ask_for_import(&world.apps, &tenant.made.id).await;
        // A worker that is stuck: it holds the lease.
        let stuck = process(
            harness.embedded_stack(),
            &Tripwire::cutting(Cut::Before(12)),
            &world.clock,
        );
        assert!(world.step_of(&stuck).await.is_leased(world.clock.now()));
        let (status, answer) = tenant
            .api(Method::POST, "/sync/production/cancel", None)
            .await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(world.sync().await.state, SyncState::Cancelled);
        ask_for_import(&world.apps, &tenant.made.id).await;
        world.wire.reset();
        let sync = world.step().await;
        assert!(sync.is_open());
        assert_eq!(world.wire.outside_calls(), 0, "two workers at once");
        world.advance(200).await;
        world.import().await;
        let (_, runs) = tenant.api(Method::GET, "/sync/runs", None).await;
        let ends: Vec<_> = runs["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|run| run["state"].clone())
            .collect();
        assert_eq!(ends, [json!("succeeded"), json!("cancelled")]);
        harness.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changes_during_the_first_reading_is_in_the_mirror_whatever_the_delta_link_stands_for()
{
    for token_from in ["first", "last"] {
        let mut died = false;
        // A worker dies after some pages; the call for that is found by trying.
        for cut in (30..90).step_by(5) {
            died = interrupted_first_reading(token_from, cut).await;
            if died {
                break;
            }
        }
        assert!(died, "no worker died in the middle");
    }
}

/// Changes every record after the worker of a first reading died at its call `cut`; whether it died in
/// the middle of reading accounts.
async fn interrupted_first_reading(token_from: &str, cut: usize) -> bool {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Dynamics365).await;
    let world = World::of(&tenant);
    let settings = json!({"page_size": 10, "delta_token_from": token_from});
    world.settings(settings).await;
    world.generate("account", 60).await;
    let rows = harness
        .control(Method::GET, "/records/dataverse/account", None)
        .await;
    let ids: Vec<&str> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["accountid"].as_str().unwrap())
        .collect();
    ask_for_import(&world.apps, &tenant.made.id).await;
    let wire = Tripwire::cutting(Cut::Before(cut));
    let dying = process(harness.embedded_stack(), &wire, &world.clock);
    world.step_of(&dying).await;
    let store = &harness.store;
    let objects = store.object_syncs(&tenant.made.id, PRODUCTION).await;
    let under_way = objects.unwrap().into_iter().any(|object| {
        let pass = object.pass.filter(|pass| pass.kind == PassKind::First);
        object.object == "account" && pass.is_some_and(|pass| !pass.cursor.0.is_empty())
    });
    if under_way {
        world.advance(200).await;
        for id in &ids {
            let values = json!({"name": "Changed"});
            world.change("account", id, values).await;
        }
        for _ in 0..40 {
            if !world.step().await.is_open() {
                break;
            }
            world.advance(60).await;
        }
        assert_eq!(world.sync().await.state, SyncState::Succeeded);
        for id in &ids {
            let name = world.value("account", id, "name").await;
            assert_eq!(name, "Changed", "{token_from}");
        }
    }
    harness.stop().await;
    under_way
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_went_without_a_trace_are_found_by_counting() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let world = World::of(&tenant);
    world.generate("Contact", 30).await;
    let id = world.create("Contact", json!({"LastName": "Gone"})).await;
    world.import().await;
    assert!(world.record("Contact", &id).await.is_some());
    // Removed from the recycle bin between two imports: no query reports it any more.
    harness
        .control(
            Method::DELETE,
            &format!("/records/salesforce/Contact/{id}"),
            None,
        )
        .await;
    harness
        .control(
            Method::POST,
            &format!("/records/salesforce/Contact/{id}/purge"),
            Some(json!({})),
        )
        .await;
    world.advance(12 * 3600).await;
    world.import().await;
    assert_eq!(world.record("Contact", &id).await, None);
    let contact = world.object("Contact").await;
    assert_eq!(contact.crm_records, Some(contact.records));
    // Three passes: no more rows are read than there were to read.
    assert!(contact.of >= Some(contact.read), "{contact:?}");
    assert!(
        contact
            .last_full_at
            .is_some_and(|at| world.clock.now().since(at) < 3600 * 1000)
    );
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_organisation_takes_the_place_of_the_first_and_nothing_of_that_stays() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let world = World::of(&tenant);
    let id = world
        .create("Account", json!({"Name": "Of the first"}))
        .await;
    world.import().await;
    assert!(world.record("Account", &id).await.is_some());
    // Connected to the other organisation without a clean-up of the first.
    let maker = local::seed::Maker {
        store: &harness.store,
        vault: &harness.vault,
        random: &shared::random::SystemRandom,
        now: world.clock.now(),
    };
    local::demo::connect(
        &maker,
        &tenant.made,
        &harness.simulator,
        local::demo::Org::Sandbox,
    )
    .await
    .unwrap();
    let apps = process(harness.embedded_stack(), &Tripwire::new(), &world.clock);
    import_to_end(&apps, &world.clock, &tenant.made.id).await;
    assert_eq!(world.record("Account", &id).await, None);
    let sandbox = harness
        .control(Method::GET, "/records/salesforce-sandbox/User", None)
        .await;
    assert_eq!(
        world.object("User").await.records,
        sandbox.as_array().unwrap().len() as u64
    );
    harness.stop().await;
}

/// A worker whose time is up after every turn hands over between two pages: none is downloaded twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_page_is_downloaded_again_for_the_end_of_a_step() {
    let harness = Harness::embedded(false).await;
    let (one, other) = (
        harness.tenant(CrmKind::Salesforce).await,
        harness.tenant(CrmKind::Salesforce).await,
    );
    let (patient, mut hasty) = (World::of(&one), World::of(&other));
    let mut import = crm_import::App::new(
        hasty.apps.import.remote.clone(),
        hasty.apps.import.queue.clone(),
    );
    import.import_time = std::time::Duration::ZERO;
    hasty.apps.import = Arc::new(import);
    // More records than are read without a job; both contracts import the same organisation.
    patient.generate("Contact", 2600).await;
    let mut runs = Vec::new();
    for world in [&patient, &hasty] {
        world.import().await;
        let store = &world.apps.import.remote.store;
        let sync = store.sync(&world.tenant.made.id, PRODUCTION).await;
        runs.push(sync.unwrap().unwrap());
    }
    let [patient, hasty] = &runs[..] else {
        panic!("two runs");
    };
    assert!(hasty.steps > patient.steps, "{} steps", hasty.steps);
    // Each step looks at the job once more; that is little beside its pages.
    assert!(
        hasty.bytes < patient.bytes + patient.bytes / 10,
        "{} bytes rather than {}",
        hasty.bytes,
        patient.bytes
    );
    harness.stop().await;
}
