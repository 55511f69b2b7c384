//! The flag of outdated records in the CRM (CN-9, SV-8): set and cleared once for each change, in both simulated
//! CRMs, wherever a worker dies.

use e2e::directory_world::DirectoryWorld;
use e2e::worker::process;
use e2e::{Harness, Tenant};
use local::Apps;
use reqwest::Method;
use serde_json::{Value, json};
use shared::clock::Clock as _;
use shared::domain::directory::{EntryId, EntryKind, RecordRef};
use shared::domain::environment::Environment;
use shared::domain::run::RunKind;
use shared::domain::schema::CrmKind;
use shared::queue::ImportMessage;
use shared::runs;
use shared::store::{FlagChange, RecordFlag, WorkKind};
use shared::testing::{Cut, Tripwire};

const PROFILE: EntryKind = EntryKind::Profile;
/// More calls than a run of one flag makes.
const MANY_CALLS: usize = 80;

/// A person whose lead has another company, in a CRM with or without the field.
struct Desk<'a> {
    tenant: &'a Tenant<'a>,
    world: DirectoryWorld<'a>,
    lead: RecordRef,
    ann: EntryId,
}

impl<'a> Desk<'a> {
    async fn open(tenant: &'a Tenant<'a>, crm: CrmKind) -> Self {
        Self::with_field_of(tenant, crm, &[("Lead", "lead"), ("Contact", "contact")]).await
    }

    /// With the field on these objects alone, each by its name in both CRMs.
    async fn with_field_of(
        tenant: &'a Tenant<'a>,
        crm: CrmKind,
        objects: &[(&'static str, &'static str)],
    ) -> Self {
        let world = DirectoryWorld::of(tenant).await;
        for (salesforce, dataverse) in objects.iter().copied() {
            let object = world.name(salesforce, dataverse);
            let system = world.name("salesforce", "dataverse");
            let field = json!({ "name": field(crm), "type": "boolean" });
            let path = format!("/fields/{system}/{object}");
            tenant
                .harness
                .control(Method::POST, &path, Some(field))
                .await;
        }
        let email = tenant.email("ann");
        let lead = world.lead("Ann", "Meier", &email, "Globex").await;
        world.import().await;
        let ann = world.profile("Ann", "Meier", &email, "Initech").await;
        let linking = world.linking();
        linking.link_entry(PROFILE, ann).await.unwrap().unwrap();
        Self {
            tenant,
            world,
            lead,
            ann,
        }
    }

    /// Turns the setting on or off.
    async fn switch(&self, on: bool) {
        let settings = json!({ "validate_crm_data": on });
        let path = "/crm-connections/production/sync-settings";
        let (status, answer) = self.tenant.api(Method::PUT, path, Some(settings)).await;
        assert_eq!(status, 200, "{answer}");
        // Longer than a worker keeps the settings before.
        self.world.advance(120).await;
    }

    async fn work(&self, apps: &Apps) {
        let message = ImportMessage {
            contract: self.world.id().clone(),
            work: WorkKind::Run(RunKind::Flags),
        };
        crm_import::work(&apps.import, &message).await;
    }

    async fn ask(&self) {
        let (store, queue) = (self.world.store(), &self.world.apps.import.queue);
        let (contract, now) = (self.world.id(), self.world.clock.now());
        let asked = runs::request(store, queue, contract, RunKind::Flags, "test", now, 0);
        asked.await.unwrap();
    }

    /// A whole run; the message comes twice.
    async fn run(&self) {
        self.ask().await;
        self.finish().await;
    }

    /// Works on the run until it has ended.
    async fn finish(&self) {
        for _ in 0..4 {
            self.work(&self.world.apps).await;
            let run = self.world.store().last_run(self.world.id(), RunKind::Flags);
            if !run.await.unwrap().unwrap().is_open() {
                self.work(&self.world.apps).await;
                return;
            }
            self.world.advance(400).await;
        }
        panic!("the run does not end");
    }

    /// The flag of the lead in the CRM.
    async fn flag(&self) -> bool {
        let path = format!("{}/{}", self.lead.object, self.lead.id);
        let lead = self.world.control(Method::GET, &path, Value::Null).await;
        lead[field(self.world.contract.crm)]
            .as_bool()
            .unwrap_or(false)
    }

    /// Stores a flag as a worker that died has left it.
    async fn put(&self, flag: &RecordFlag) {
        let (store, contract) = (self.world.store(), self.world.id());
        let organization = store.organization(contract, Environment::Production).await;
        let organization = organization.unwrap().expect("a connection");
        let change = [FlagChange::Put(flag.clone())];
        let stored = store.change_flags(contract, &organization, &change).await;
        stored.unwrap();
    }

    /// Number of changes that arrived at the CRM.
    async fn writes(&self) -> usize {
        let ledger = self
            .tenant
            .harness
            .control(Method::GET, "/ledger", None)
            .await;
        let calls = ledger.as_array().unwrap().iter();
        let of_records = |path: &str| path.contains("/services/") || path.contains("/api/data/");
        calls
            .filter(|call| call["method"] == "PATCH")
            .filter(|call| call["path"].as_str().is_some_and(of_records))
            .count()
    }

    /// Dismisses the difference, or takes that back.
    async fn decide(&self, act: &str) {
        let path = format!("/profiles/{}", self.ann);
        let (_, page) = self.tenant.api(Method::GET, &path, None).await;
        let body = json!({ "field": "company", "values": page["findings"][0]["values"] });
        let path = format!("/data-validation/{}/{act}", self.ann);
        let (status, answer) = self.tenant.api(Method::POST, &path, Some(body)).await;
        assert_eq!(status, 204, "{answer}");
    }
}

const fn field(crm: CrmKind) -> &'static str {
    match crm {
        CrmKind::Salesforce => "Leadbridge_Not_At_Company__c",
        CrmKind::Dynamics365 => "lb_notatcompany",
    }
}

/// CN-9, SV-8: with the setting the flag follows the difference and what users decide of it, by one write for each
/// change; without it nothing is written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_flag_in_the_crm_follows_the_difference() {
    for crm in [CrmKind::Salesforce, CrmKind::Dynamics365] {
        let harness = Harness::embedded(false).await;
        let tenant = harness.tenant(crm).await;
        let desk = Desk::open(&tenant, crm).await;
        desk.run().await;
        assert!(!desk.flag().await, "{crm:?}: the setting is off");
        let before = desk.writes().await;
        desk.switch(true).await;
        desk.run().await;
        assert!(desk.flag().await, "{crm:?}");
        desk.run().await;
        assert_eq!(desk.writes().await - before, 1, "{crm:?}");
        // The import reads the flag's change; the difference stands.
        desk.world.import().await;
        desk.run().await;
        assert_eq!(desk.writes().await - before, 1, "{crm:?}");

        desk.decide("dismiss").await;
        desk.run().await;
        assert!(!desk.flag().await, "{crm:?}: dismissed");
        desk.decide("restore").await;
        desk.run().await;
        assert!(desk.flag().await, "{crm:?}: restored");
        let company = json!({ desk.world.name("Company", "companyname"): "Initech Ltd" });
        desk.world.change(&desk.lead, company).await;
        desk.world.import().await;
        desk.run().await;
        assert!(!desk.flag().await, "{crm:?}: the CRM has the company");
        assert_eq!(desk.writes().await - before, 4, "{crm:?}");
        harness.stop().await;
    }
}

/// SV-8: whatever call is a worker's last, the next one brings the flag by one write in all; of a record that was
/// deleted meanwhile nothing is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wherever_a_worker_dies_a_flag_is_written_once() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let desk = Desk::open(&tenant, CrmKind::Salesforce).await;
    desk.switch(true).await;
    let stack = harness.embedded_stack();
    let mut ended = false;
    for n in 0..MANY_CALLS {
        let mut reached = false;
        for (cut, act) in [(Cut::Before(n), "dismiss"), (Cut::After(n), "restore")] {
            desk.decide(act).await;
            let (flag, before) = (desk.flag().await, desk.writes().await);
            desk.ask().await;
            let wire = Tripwire::cutting(cut);
            desk.work(&process(stack, &wire, &desk.world.clock)).await;
            reached |= wire.has_cut();
            desk.world.advance(400).await;
            desk.finish().await;
            let wanted = act == "restore";
            assert_eq!(desk.flag().await, wanted, "{cut:?}");
            let writes = desk.writes().await - before;
            assert_eq!(writes, usize::from(flag != wanted), "{cut:?}");
        }
        if !reached {
            assert!(n > 5, "{n}");
            ended = true;
            break;
        }
    }
    assert!(
        ended,
        "a run of one flag makes more than {MANY_CALLS} calls"
    );
    assert!(desk.flag().await);
    desk.world.delete(&desk.lead).await;
    desk.decide("dismiss").await;
    desk.run().await;
    let flags = desk.world.store().flags(desk.world.id(), None, 10).await;
    assert!(flags.unwrap().items.is_empty());
    harness.stop().await;
}

/// SV-8: a lead that was converted takes no flag any more. That counts as a refusal, which rests for a day, and the
/// run ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_converted_lead_holds_up_no_other() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let desk = Desk::open(&tenant, CrmKind::Salesforce).await;
    desk.switch(true).await;
    desk.run().await;
    assert!(desk.flag().await);
    // The answer to that was lost.
    let flag = RecordFlag {
        record: desk.lead.clone(),
        set: false,
        writing: true,
        refused_at: None,
    };
    desk.put(&flag).await;
    let path = format!("Lead/{}/convert", desk.lead.id);
    desk.world.control(Method::POST, &path, Value::Null).await;
    desk.decide("dismiss").await;
    desk.run().await;
    let flags = desk.world.store().flags(desk.world.id(), None, 10).await;
    let flag = flags.unwrap().items.pop().unwrap();
    assert!(flag.set && !flag.writing && flag.refused_at.is_some());
    let before = desk.writes().await;
    desk.run().await;
    assert_eq!(desk.writes().await, before);
    harness.stop().await;
}

/// SV-8: an object that lost the field holds up no other; what was written to its records is known still.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_lost_the_field_holds_up_no_other() {
    for crm in [CrmKind::Salesforce, CrmKind::Dynamics365] {
        let harness = Harness::embedded(false).await;
        let tenant = harness.tenant(crm).await;
        let desk = Desk::with_field_of(&tenant, crm, &[("Lead", "lead")]).await;
        desk.switch(true).await;
        desk.run().await;
        assert!(desk.flag().await, "{crm:?}");
        // A worker died while contacts had the field.
        let email = tenant.email("bob");
        let flag = RecordFlag {
            record: desk.world.contact("Bob", "Beck", &email, None).await,
            set: true,
            writing: true,
            refused_at: None,
        };
        desk.put(&flag).await;
        desk.decide("dismiss").await;
        desk.run().await;
        assert!(!desk.flag().await, "{crm:?}");
        let flags = desk.world.store().flags(desk.world.id(), None, 10).await;
        assert_eq!(flags.unwrap().items, [flag], "{crm:?}");
        harness.stop().await;
    }
}
