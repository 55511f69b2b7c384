//! A contract with a CRM, its mirror and its directory: changes in the CRM, imports, link passes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use local::Apps;
use matching::Record;
use reqwest::Method;
use serde_json::{Value, json};
use shared::clock::{Clock as _, Millis};
use shared::domain::contract::Contract;
use shared::domain::directory::{
    Entry, EntryId, EntryKind, EntryRef, LinkPass, Match, NewEntry, Origin, OutdatedEntry,
    PassState, RecordRef,
};
use shared::domain::environment::Environment;
use shared::domain::ids::ContractId;
use shared::domain::mirror::{self, Change, Value as Field, Values};
use shared::domain::schema::CrmKind;
use shared::linking::Linking;
use shared::queue::ImportMessage;
use shared::store::{Added, Mirror, Store, WorkKind};
use shared::testing::{FixedClock, Tripwire};

use crate::Tenant;
use crate::worker::{clock, import_to_end, process};

const PRODUCTION: Environment = Environment::Production;

/// A contract's CRM and directory.
pub struct DirectoryWorld<'a> {
    /// The contract.
    pub tenant: &'a Tenant<'a>,
    /// Our clock; the CRM's goes with it.
    pub clock: Arc<FixedClock>,
    /// Healthy functions.
    pub apps: Apps,
    /// The contract as configured.
    pub contract: Contract,
    /// Changes that were written into the mirror directly.
    changes: AtomicI64,
}

impl<'a> DirectoryWorld<'a> {
    /// Of a contract.
    pub async fn of(tenant: &'a Tenant<'a>) -> Self {
        Self::with(tenant, clock()).await
    }

    /// Of a contract, with a clock that it shares with others.
    pub async fn with(tenant: &'a Tenant<'a>, clock: Arc<FixedClock>) -> Self {
        let apps = process(tenant.harness.embedded_stack(), &Tripwire::new(), &clock);
        let config = apps.import.remote.store.config(&tenant.made.id).await;
        let world = Self {
            tenant,
            clock,
            apps,
            contract: config
                .expect("the table answers")
                .expect("a contract")
                .contract,
            changes: AtomicI64::default(),
        };
        world.advance(0).await;
        world
    }

    /// The contract's id.
    #[must_use]
    pub fn id(&self) -> &ContractId {
        &self.contract.id
    }

    /// The table.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.apps.import.remote.store
    }

    /// Links by hand of a test.
    #[must_use]
    pub fn linking(&self) -> Linking<'_> {
        Linking::new(self.store(), &self.contract, self.clock.now())
    }

    /// The CRM's name for an object or field, of both.
    #[must_use]
    pub fn name(&self, salesforce: &'static str, dataverse: &'static str) -> &'static str {
        match self.contract.crm {
            CrmKind::Salesforce => salesforce,
            CrmKind::Dynamics365 => dataverse,
        }
    }

    /// The id of a made-up record of the CRM, by the number of its kind.
    #[must_use]
    pub fn made_id(&self, kind: usize, number: usize) -> String {
        match self.contract.crm {
            CrmKind::Salesforce => format!("00{kind}8d00000{number:05}AAA"),
            CrmKind::Dynamics365 => format!("0000000{kind}-0000-4000-8000-{number:012}"),
        }
    }

    /// Writes a record into the mirror, as an import does that meets it changed.
    pub async fn write_record(&self, object: &str, id: String, values: Vec<(&'static str, Field)>) {
        let changes = self.changes.load(Ordering::Relaxed);
        let record = mirror::Record {
            id,
            modified: Millis(1_700_000_000_000 + changes),
            merged_into: None,
            values: Values(values),
        };
        self.write_change(object, Change::Present(record)).await;
    }

    /// Writes a change into the mirror, as an import does.
    pub async fn write_change(&self, object: &str, change: Change) {
        self.changes.fetch_add(1, Ordering::Relaxed);
        let mirror = Mirror {
            contract: self.id(),
            environment: PRODUCTION,
            crm: self.contract.crm,
            object,
            default_region: None,
        };
        let applied = mirror.apply(self.store(), &[change]).await;
        applied.expect("the table answers");
    }

    /// Gives a made-up contact a part in a made-up opportunity.
    pub async fn give_part(&self, opportunity: usize, contact: usize) {
        let object = self.name("OpportunityContactRole", "connection");
        let text = |kind, number| Field::Text(self.made_id(kind, number));
        let values = vec![
            (
                self.name("OpportunityId", "_record1id_value"),
                text(6, opportunity),
            ),
            (self.name("ContactId", "_record2id_value"), text(3, contact)),
        ];
        let id = self.made_id(7, opportunity * 10 + contact);
        self.write_record(object, id, values).await;
    }

    /// A call to the simulator's records.
    pub async fn control(&self, method: Method, path: &str, body: Value) -> Value {
        let body = Some(body).filter(|body| !body.is_null());
        let system = self.name("salesforce", "dataverse");
        let path = format!("/records/{system}/{path}");
        self.tenant.harness.control(method, &path, body).await
    }

    /// Time goes by, for the CRM too.
    pub async fn advance(&self, seconds: i64) {
        self.clock.advance(seconds);
        let now = json!({"now_ms": self.clock.now().0});
        let harness = self.tenant.harness;
        harness.control(Method::POST, "/clock", Some(now)).await;
    }

    /// Makes a record in the CRM.
    pub async fn create(&self, object: &str, values: Value) -> RecordRef {
        let made = self.control(Method::POST, object, values).await;
        let id = made
            .get("Id")
            .or_else(|| made.get("id"))
            .or_else(|| made.get(format!("{object}id").as_str()));
        let id = id
            .and_then(Value::as_str)
            .unwrap_or_else(|| panic!("no id in {made}"));
        RecordRef::new(object, id)
    }

    /// Makes an account.
    pub async fn account(&self, name: &str, website: &str) -> RecordRef {
        let values =
            json!({self.name("Name", "name"): name, self.name("Website", "websiteurl"): website});
        self.create(self.name("Account", "account"), values).await
    }

    /// Makes a contact of an account.
    pub async fn contact(
        &self,
        first: &str,
        last: &str,
        email: &str,
        account: Option<&RecordRef>,
    ) -> RecordRef {
        let mut values = json!({
            self.name("FirstName", "firstname"): first, self.name("LastName", "lastname"): last,
            self.name("Email", "emailaddress1"): email,
        });
        if let Some(account) = account {
            match self.contract.crm {
                CrmKind::Salesforce => values["AccountId"] = json!(account.id),
                CrmKind::Dynamics365 => {
                    values["_parentcustomerid_value"] = json!(account.id);
                    values["_parentcustomerid_value/type"] = json!("account");
                }
            }
        }
        self.create(self.name("Contact", "contact"), values).await
    }

    /// Makes a lead.
    pub async fn lead(&self, first: &str, last: &str, email: &str, company: &str) -> RecordRef {
        let mut values = json!({
            self.name("FirstName", "firstname"): first, self.name("LastName", "lastname"): last,
            self.name("Email", "emailaddress1"): email, self.name("Company", "companyname"): company,
        });
        if self.contract.crm == CrmKind::Dynamics365 {
            values["subject"] = json!("Interest");
        }
        self.create(self.name("Lead", "lead"), values).await
    }

    /// Changes a record in the CRM.
    pub async fn change(&self, record: &RecordRef, values: Value) {
        let path = format!("{}/{}", record.object, record.id);
        self.control(Method::PATCH, &path, values).await;
    }

    /// Deletes a record in the CRM.
    pub async fn delete(&self, record: &RecordRef) {
        let path = format!("{}/{}", record.object, record.id);
        self.control(Method::DELETE, &path, Value::Null).await;
    }

    /// Merges a record into another in the CRM.
    pub async fn merge(&self, loser: &RecordRef, into: &RecordRef) {
        let path = format!("{}/{}/merge", loser.object, loser.id);
        self.control(Method::POST, &path, json!({"into": into.id}))
            .await;
    }

    /// Imports, and runs the link pass that follows.
    pub async fn import(&self) {
        self.advance(3600).await;
        import_to_end(&self.apps, &self.clock, self.id()).await;
        self.pass().await;
    }

    /// Imports alone.
    pub async fn import_only(&self) {
        self.advance(3600).await;
        import_to_end(&self.apps, &self.clock, self.id()).await;
    }

    /// Makes a whole link pass.
    pub async fn pass(&self) -> LinkPass {
        self.ask_for_pass().await;
        self.finish_pass(&self.apps, 100).await
    }

    /// Asks for a link pass.
    pub async fn ask_for_pass(&self) {
        let asked = shared::linking::request_link_pass(
            self.store(),
            &self.apps.import.queue,
            self.id(),
            "test",
            self.clock.now(),
        );
        asked.await.expect("the table answers");
    }

    /// The message that announces a link pass.
    #[must_use]
    pub fn message(&self) -> ImportMessage {
        ImportMessage {
            contract: self.id().clone(),
            work: WorkKind::Link,
        }
    }

    /// Works on the link pass until it has ended, in `steps` steps at most.
    pub async fn finish_pass(&self, apps: &Apps, steps: usize) -> LinkPass {
        for _ in 0..steps {
            crm_import::work(&apps.import, &self.message()).await;
            let pass = self.store().link_pass(self.id()).await;
            let pass = pass.expect("the table answers").expect("it was asked for");
            if !pass.is_open() {
                assert_eq!(pass.state, PassState::Succeeded, "{:?}", pass.problem);
                return pass;
            }
            self.advance(200).await;
        }
        panic!("the link pass does not end");
    }

    /// Functions whose workers of a link pass hand over as soon as they can.
    #[must_use]
    pub fn hasty(&self) -> Apps {
        let mut apps = self.apps.clone();
        let mut import = crm_import::App::new(
            self.apps.import.remote.clone(),
            self.apps.import.queue.clone(),
        );
        import.link_time = Duration::ZERO;
        apps.import = Arc::new(import);
        apps
    }

    /// Adds a person or company to the directory, without linking.
    pub async fn add(&self, kind: EntryKind, record: Record) -> EntryId {
        let new = NewEntry::new(self.id(), kind, None, record, Origin::Api, None);
        let new = new.expect("an entry");
        let now = self.clock.now();
        add_entry(self.store(), self.id(), &new, now).await.1.id
    }

    /// Adds a person.
    pub async fn profile(&self, first: &str, last: &str, email: &str, company: &str) -> EntryId {
        let record = Record {
            first_name: first.to_owned(),
            last_name: last.to_owned(),
            company: company.to_owned(),
            emails: vec![email.to_owned()],
            ..Record::default()
        };
        self.add(EntryKind::Profile, record).await
    }

    /// Adds a company.
    pub async fn company(&self, name: &str, website: &str) -> EntryId {
        let record = Record {
            name: name.to_owned(),
            website: website.to_owned(),
            ..Record::default()
        };
        self.add(EntryKind::Company, record).await
    }

    /// An entry and its match.
    pub async fn entry(&self, kind: EntryKind, id: EntryId) -> (Entry, Match) {
        let found = self
            .store()
            .entry_with_match(self.id(), PRODUCTION, kind, id);
        let (entry, matched) = found
            .await
            .expect("the table answers")
            .expect("it is there");
        (entry, matched.unwrap_or_default())
    }

    /// The record that an entry is linked to.
    pub async fn link_of(&self, kind: EntryKind, id: EntryId) -> Option<RecordRef> {
        self.entry(kind, id).await.1.record().cloned()
    }

    /// Every entry of a kind with its match, and a proof that records and entries are linked one to one.
    pub async fn directory(&self, kind: EntryKind) -> BTreeMap<EntryId, (Entry, Match)> {
        let mut all = BTreeMap::new();
        for shard in 0..shared::store::DIRECTORY_SHARDS {
            let mut after = None;
            loop {
                let page = self
                    .store()
                    .directory_shard(self.id(), PRODUCTION, kind, shard, after)
                    .await
                    .expect("the table answers");
                for (entry, matched) in page.rows {
                    all.insert(entry.id, (entry, matched.unwrap_or_default()));
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        let mut owners: BTreeMap<&RecordRef, EntryId> = BTreeMap::new();
        for (id, (_, matched)) in &all {
            if let Some(record) = matched.record() {
                let other = owners.insert(record, *id);
                assert_eq!(other, None, "{record} is the link of two");
            }
        }
        let records: Vec<RecordRef> = owners.keys().map(|record| (*record).clone()).collect();
        let linked = self.store().linked(self.id(), PRODUCTION, &records).await;
        let linked = linked.expect("the table answers");
        for (record, id) in owners {
            assert_eq!(linked.get(record), Some(&EntryRef { kind, id }), "{record}");
        }
        all
    }

    /// The list of outdated records, and a proof that it is what the matches of these people have.
    pub async fn outdated(
        &self,
        people: &BTreeMap<EntryId, (Entry, Match)>,
    ) -> BTreeMap<EntryId, OutdatedEntry> {
        let mut listed = BTreeMap::new();
        let mut after: Option<String> = None;
        loop {
            let page = self
                .store()
                .outdated_entries(self.id(), PRODUCTION, None, after.as_deref(), 3)
                .await
                .expect("the table answers");
            for (entry, _) in page.items {
                let twice = listed.insert(entry.entry, entry);
                assert_eq!(twice, None, "a person is listed twice");
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let found = people
            .iter()
            .filter_map(|(id, (_, matched))| Some((*id, OutdatedEntry::of(*id, matched)?)));
        assert_eq!(listed, found.collect::<BTreeMap<_, _>>());
        listed
    }
}

/// Adds an entry to a directory, without linking: as a row of a file is added.
///
/// # Panics
/// Panics if the table does not take it.
pub async fn add_entry(
    store: &Store,
    contract: &ContractId,
    new: &NewEntry,
    now: Millis,
) -> (Added, Entry) {
    let added = store
        .add_entries(contract, std::slice::from_ref(new), now)
        .await;
    let added = added.into_iter().next().flatten();
    let entry = store.entry(contract, new.kind, new.id).await;
    let entry = entry.expect("the table answers").expect("it is there");
    (added.expect("the table took it"), entry)
}
