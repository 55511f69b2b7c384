//! Opportunities of people and companies, and the lists that fill themselves with what they are about (SV-4,
//! SV-5).

use std::collections::{BTreeMap, BTreeSet};

use e2e::directory_world::DirectoryWorld;
use e2e::worker::process;
use e2e::{Harness, Tenant};
use local::Apps;
use reqwest::Method;
use serde_json::{Value as Json, json};
use shared::clock::{Clock as _, Millis};
use shared::domain::directory::{EntryKind, LinkPass, PassState, RecordRef};
use shared::domain::environment::Environment;
use shared::domain::ids::SeatId;
use shared::domain::mirror::{Change, Record, Value, Values};
use shared::domain::schema::CrmKind;
use shared::opportunities::Opportunities;
use shared::queue::ImportMessage;
use shared::store::{Mirror, WorkKind};
use shared::testing::{Cut, Tripwire};

use crate::table::spoil;

const BOTH: [CrmKind; 2] = [CrmKind::Salesforce, CrmKind::Dynamics365];
const PRODUCTION: Environment = Environment::Production;
const KINDS: [EntryKind; 2] = [EntryKind::Profile, EntryKind::Company];

/// SV-5: the open opportunities of a company and a person, of both CRMs, as an import brings them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_opportunities_are_shown_with_stage_value_owner_and_contacts() {
    for crm in BOTH {
        let harness = Harness::embedded(false).await;
        let tenant = harness.tenant(crm).await;
        let world = DirectoryWorld::of(&tenant).await;
        let email = tenant.email("ada");
        let account = world.account("Analytical Engines", "engines.example").await;
        let ada = world.contact("Ada", "Byron", &email, Some(&account)).await;
        let opportunity = world.name("Opportunity", "opportunity");
        let (id, contact) = (account.id.as_str(), ada.id.as_str());
        let currency = match crm {
            CrmKind::Salesforce => Json::Null,
            CrmKind::Dynamics365 => {
                let all = world
                    .control(Method::GET, "transactioncurrency", Json::Null)
                    .await;
                all[0]["transactioncurrencyid"].clone()
            }
        };
        let deal = |name: &str, closes: &str, closed: bool| match crm {
            CrmKind::Salesforce => json!({
                "Name": name, "AccountId": id, "CloseDate": closes, "Amount": 5000.5,
                "StageName": if closed { "Closed Won" } else { "Prospecting" },
            }),
            CrmKind::Dynamics365 => json!({
                "name": name, "_parentaccountid_value": id, "estimatedclosedate": closes,
                "estimatedvalue": 5000.5, "salesstage": 1, "stepname": "1-Qualify",
                "_transactioncurrencyid_value": currency,
                "statecode": i32::from(closed), "statuscode": if closed { 3 } else { 1 },
            }),
        };
        world
            .create(opportunity, deal("Won", "2026-01-01", true))
            .await;
        let open = world
            .create(opportunity, deal("Later", "2027-02-01", false))
            .await;
        let sooner = world
            .create(opportunity, deal("Sooner", "2027-01-01", false))
            .await;
        match crm {
            CrmKind::Salesforce => {
                let role = json!({"OpportunityId": sooner.id, "ContactId": contact, "Role": "Decision Maker", "IsPrimary": true});
                world.create("OpportunityContactRole", role).await;
            }
            CrmKind::Dynamics365 => {
                let role = json!({"name": "Decision Maker"});
                let role = world.create("connectionrole", role).await;
                // The CRM keeps a connection from either side.
                for (from, to, part) in [
                    ((&sooner, opportunity), (&ada, "contact"), Some(&role.id)),
                    ((&ada, "contact"), (&sooner, opportunity), None),
                ] {
                    let connection = json!({
                        "_record1id_value": from.0.id, "_record1id_value/type": from.1,
                        "_record2id_value": to.0.id, "_record2id_value/type": to.1,
                        "_record2roleid_value": part,
                    });
                    world.create("connection", connection).await;
                }
            }
        }
        let company = world.company("Analytical Engines", "engines.example").await;
        let person = world
            .profile("Ada", "Byron", &email, "Analytical Engines")
            .await;
        let nobody = world
            .profile("Nora", "Nobody", &tenant.email("nora"), "")
            .await;
        world.import().await;
        assert_eq!(
            world.link_of(EntryKind::Company, company).await,
            Some(account)
        );

        let of = async |path: String| {
            let (status, answer) = tenant.api(Method::GET, &path, None).await;
            assert_eq!(status, 200, "{answer}");
            answer
        };
        let found = of(format!("/companies/{company}/opportunities")).await;
        let names: Vec<&str> = found["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["name"].as_str().unwrap())
            .collect();
        assert_eq!(
            (names.as_slice(), &found["total"]),
            (["Sooner", "Later"].as_slice(), &json!(2))
        );
        let one = &found["items"][0];
        assert_eq!(one["record"]["id"], sooner.id.as_str());
        assert!(one["record"]["url"].as_str().unwrap().contains(&sooner.id));
        assert_eq!(
            (&one["amount"], &one["closes_on"]),
            (&json!(5000.5), &json!("2027-01-01"))
        );
        assert!(one["stage"]["position"].is_u64(), "{one}");
        assert_eq!(one["currency"].as_str().map(str::len), Some(3), "{one}");
        let in_it = &one["contacts"][0];
        assert_eq!(
            (&in_it["name"], &in_it["role"]),
            (&json!("Ada Byron"), &json!("Decision Maker"))
        );
        assert_eq!(in_it["profile"]["id"], person.to_string());
        assert_eq!(found["items"][1]["contacts"], json!([]));

        let first = of(format!("/companies/{company}/opportunities?limit=1")).await;
        let next = first["next"].as_str().unwrap();
        let second = of(format!(
            "/companies/{company}/opportunities?limit=1&cursor={next}"
        ))
        .await;
        assert_eq!(
            (&second["items"][0]["name"], &second["next"]),
            (&json!("Later"), &json!(null))
        );

        let found = of(format!("/profiles/{person}/opportunities")).await;
        assert_eq!(
            (&found["items"][0]["name"], &found["total"]),
            (&json!("Sooner"), &json!(1))
        );
        let found = of(format!("/profiles/{nobody}/opportunities")).await;
        assert_eq!(found["total"], 0);

        // What is closed or moved elsewhere is gone with the next import.
        let closed = match crm {
            CrmKind::Salesforce => json!({"StageName": "Closed Lost"}),
            CrmKind::Dynamics365 => json!({"statecode": 2, "statuscode": 4}),
        };
        world.change(&open, closed).await;
        world.import_only().await;
        let found = of(format!("/companies/{company}/opportunities")).await;
        assert_eq!(found["total"], 1, "{found}");
        harness.stop().await;
    }
}

/// An opportunity of the history.
#[derive(Debug, Clone)]
struct Deal {
    owner: usize,
    stage: usize,
    closed: bool,
    account: usize,
    contacts: BTreeSet<usize>,
    leads: BTreeSet<usize>,
}

/// A saved record: the opportunities because of which it was saved, and whether its seat holder removed it.
type Model = BTreeMap<(SeatId, RecordRef), (BTreeSet<String>, bool)>;

/// A contract whose CRM is written into the mirror as an import does.
struct History<'a> {
    world: DirectoryWorld<'a>,
    tenant: &'a Tenant<'a>,
    stages: Vec<String>,
    /// The index of the stage at which the pipeline begins.
    begins: usize,
    /// The seat of each user of the CRM, by the user's number.
    seats: BTreeMap<usize, SeatId>,
    deals: Vec<Deal>,
    model: Model,
    changes: i64,
    seed: u64,
}

impl<'a> History<'a> {
    async fn new(tenant: &'a Tenant<'a>, seed: u64) -> Self {
        let world = DirectoryWorld::of(tenant).await;
        let path = "/crm-connections/production/options";
        let (status, options) = tenant.api(Method::GET, path, None).await;
        assert_eq!(status, 200, "{options}");
        let stages = options["stages"].as_array().unwrap().iter();
        let stages = stages.filter(|stage| stage["closed"] == false);
        let mut history = Self {
            world,
            tenant,
            stages: stages
                .map(|stage| stage["value"].as_str().unwrap().to_owned())
                .collect(),
            begins: 1,
            seats: BTreeMap::new(),
            deals: Vec::new(),
            model: Model::new(),
            changes: 0,
            seed,
        };
        assert!(history.stages.len() >= 3, "{options}");
        history.settle(1).await;
        for user in 0..3 {
            let email = tenant.email(&format!("user{user}"));
            let field = history.world.name("Email", "internalemailaddress");
            let object = history.world.name("User", "systemuser");
            let values = vec![(field, Value::Text(email))];
            history.write(object, history.id(1, user), values).await;
        }
        for contact in 0..4 {
            let field = history.world.name("LastName", "lastname");
            let object = history.world.name("Contact", "contact");
            let values = vec![(field, Value::Text(format!("C{contact}")))];
            history.write(object, history.id(3, contact), values).await;
        }
        for user in 0..2 {
            history.seat(user).await;
        }
        history
    }

    /// Saves the settings: the pipeline begins at this stage.
    async fn settle(&mut self, begins: usize) {
        self.begins = begins;
        let settings = json!({
            "auto_save": {"accounts": true, "contacts": true, "leads": true},
            "pipeline_stage": self.stages[begins],
        });
        let path = "/crm-connections/production/sync-settings";
        let (status, answer) = self.tenant.api(Method::PUT, path, Some(settings)).await;
        assert_eq!(status, 200, "{answer}");
        // Older than a worker keeps it.
        self.world.advance(60).await;
    }

    async fn seat(&mut self, user: usize) {
        let seat = json!({"name": "Seller", "email": self.tenant.email(&format!("user{user}")), "role": "salesperson"});
        let (status, made) = self.tenant.api(Method::POST, "/seats", Some(seat)).await;
        assert_eq!(status, 201, "{made}");
        let id = made["id"].as_str().or_else(|| made["seat"]["id"].as_str());
        self.seats.insert(user, id.unwrap().parse().unwrap());
    }

    fn roll(&mut self, sides: usize) -> usize {
        // Xorshift.
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        usize::try_from(self.seed % sides as u64).unwrap()
    }

    fn id(&self, kind: usize, number: usize) -> String {
        match self.world.contract.crm {
            CrmKind::Salesforce => format!("00{kind}8d00000{number:05}AAA"),
            CrmKind::Dynamics365 => format!("0000000{kind}-0000-4000-8000-{number:012}"),
        }
    }

    async fn write(
        &mut self,
        object: &'static str,
        id: String,
        values: Vec<(&'static str, Value)>,
    ) {
        self.changes += 1;
        let record = Record {
            id,
            modified: Millis(1_700_000_000_000 + self.changes),
            merged_into: None,
            values: Values(values),
        };
        let mirror = Mirror {
            contract: self.world.id(),
            environment: PRODUCTION,
            crm: self.world.contract.crm,
            object,
            default_region: None,
        };
        let changes = [Change::Present(record)];
        mirror.apply(self.world.store(), &changes).await.unwrap();
    }

    /// Writes an opportunity as it is now.
    async fn write_deal(&mut self, number: usize) {
        let deal = self.deals[number].clone();
        let text = |text: &str| Value::Text(text.to_owned());
        let (account, owner) = (self.id(2, deal.account), self.id(1, deal.owner));
        let stage = self.stages[deal.stage].clone();
        let values = match self.world.contract.crm {
            CrmKind::Salesforce => vec![
                ("OwnerId", text(&owner)),
                ("AccountId", text(&account)),
                ("IsClosed", Value::Bool(deal.closed)),
                ("StageName", text(&stage)),
            ],
            CrmKind::Dynamics365 => vec![
                ("_owninguser_value", text(&owner)),
                ("_parentaccountid_value", text(&account)),
                (
                    "statecode",
                    Value::Number(if deal.closed { 2.0 } else { 0.0 }),
                ),
                ("salesstage", Value::Number(stage.parse().unwrap())),
            ],
        };
        let object = self.world.name("Opportunity", "opportunity");
        self.write(object, self.id(6, number), values).await;
    }

    async fn new_deal(&mut self) {
        let deal = Deal {
            owner: self.roll(3),
            stage: self.roll(self.stages.len()),
            closed: false,
            account: self.roll(3),
            contacts: BTreeSet::new(),
            leads: BTreeSet::new(),
        };
        self.deals.push(deal);
        self.write_deal(self.deals.len() - 1).await;
    }

    /// Gives a contact a part in an opportunity.
    async fn add_contact(&mut self, number: usize, contact: usize) {
        if !self.deals[number].contacts.insert(contact) {
            return;
        }
        let (opportunity, contact_id) = (self.id(6, number), self.id(3, contact));
        let object = self.world.name("OpportunityContactRole", "connection");
        let fields = [
            self.world.name("OpportunityId", "_record1id_value"),
            self.world.name("ContactId", "_record2id_value"),
        ];
        let values = vec![
            (fields[0], Value::Text(opportunity)),
            (fields[1], Value::Text(contact_id)),
        ];
        self.write(object, self.id(7, number * 10 + contact), values)
            .await;
    }

    /// A lead becomes an opportunity.
    async fn add_lead(&mut self, number: usize) {
        let lead = number * 10 + self.deals[number].leads.len();
        self.deals[number].leads.insert(lead);
        let field = self
            .world
            .name("ConvertedOpportunityId", "_qualifyingopportunityid_value");
        let object = self.world.name("Lead", "lead");
        let values = vec![(field, Value::Text(self.id(6, number)))];
        self.write(object, self.id(5, lead), values).await;
    }

    /// Something happens in the CRM, or a seat holder removes something.
    async fn change(&mut self) {
        if self.deals.is_empty() {
            return self.new_deal().await;
        }
        let number = self.roll(self.deals.len());
        match self.roll(9) {
            0 => self.new_deal().await,
            1 => {
                self.deals[number].owner = self.roll(3);
                self.write_deal(number).await;
            }
            2 => {
                self.deals[number].stage = self.roll(self.stages.len());
                self.write_deal(number).await;
            }
            3 => {
                self.deals[number].closed ^= true;
                self.write_deal(number).await;
            }
            4 => {
                self.deals[number].account = self.roll(3);
                self.write_deal(number).await;
            }
            5 | 6 => {
                let contact = self.roll(4);
                self.add_contact(number, contact).await;
            }
            7 => self.add_lead(number).await,
            _ => self.remove().await,
        }
    }

    async fn remove(&mut self) {
        let there: Vec<(SeatId, RecordRef)> = self
            .model
            .iter()
            .filter(|(_, (_, removed))| !removed)
            .map(|(saved, _)| saved.clone())
            .collect();
        if there.is_empty() {
            return;
        }
        let (seat, record) = there[self.roll(there.len())].clone();
        let now = self.world.clock.now();
        let done = self.world.store().change_saved(
            self.world.id(),
            seat,
            self.kind_of(&record),
            &record,
            |saved| saved.removed(now),
        );
        assert!(done.await.unwrap());
        self.model.get_mut(&(seat, record)).unwrap().1 = true;
    }

    fn kind_of(&self, record: &RecordRef) -> EntryKind {
        if record.object == self.world.name("Account", "account") {
            EntryKind::Company
        } else {
            EntryKind::Profile
        }
    }

    /// A plain model of a pass.
    fn expect(&mut self) {
        let account = self.world.name("Account", "account");
        let contact = self.world.name("Contact", "contact");
        let lead = self.world.name("Lead", "lead");
        for (number, deal) in self.deals.iter().enumerate() {
            let Some(seat) = self.seats.get(&deal.owner) else {
                continue;
            };
            if deal.closed || deal.stage < self.begins {
                continue;
            }
            let mut tied = vec![RecordRef::new(account, self.id(2, deal.account))];
            let contacts = deal.contacts.iter();
            tied.extend(contacts.map(|one| RecordRef::new(contact, self.id(3, *one))));
            let leads = deal.leads.iter();
            tied.extend(leads.map(|one| RecordRef::new(lead, self.id(5, *one))));
            let opportunity = self.id(6, number);
            for record in tied {
                let saved = self.model.entry((*seat, record)).or_default();
                if saved.0.insert(opportunity.clone()) {
                    saved.1 = false;
                }
            }
        }
    }

    async fn ask(&self) {
        let (store, now) = (self.world.store(), self.world.clock.now());
        let before = store.save_pass(self.world.id()).await.unwrap();
        let pass = LinkPass::requested(before.as_ref(), "test", now).unwrap();
        store.put_save_pass(self.world.id(), &pass).await.unwrap();
    }

    async fn work(&self, apps: &Apps) {
        let message = ImportMessage {
            contract: self.world.id().clone(),
            work: WorkKind::Save,
        };
        crm_import::work(&apps.import, &message).await;
    }

    /// Works on the pass that was asked for until it has ended.
    async fn finish(&self) {
        for _ in 0..20 {
            self.work(&self.world.apps).await;
            let pass = self.world.store().save_pass(self.world.id()).await;
            let pass = pass.unwrap().unwrap();
            if !pass.is_open() {
                assert_eq!(pass.state, PassState::Succeeded, "{:?}", pass.problem);
                return;
            }
            self.world.advance(200).await;
        }
        panic!("the save pass does not end");
    }

    /// A pass with a worker that dies at a call, and those that come after it; whether it died.
    async fn pass_with_death(&self, cut: Cut) -> bool {
        self.ask().await;
        let wire = Tripwire::cutting(cut);
        let stack = self.tenant.harness.embedded_stack();
        self.work(&process(stack, &wire, &self.world.clock)).await;
        self.world.advance(200).await;
        let pass = self.world.store().save_pass(self.world.id()).await;
        if pass.unwrap().unwrap().is_open() {
            self.finish().await;
        }
        wire.has_cut()
    }

    /// Asserts that the lists are the model's.
    async fn check(&self, about: &str) {
        let mut found = BTreeMap::new();
        for seat in self.seats.values() {
            for kind in KINDS {
                let mut after: Option<RecordRef> = None;
                loop {
                    let store = self.world.store();
                    let page = store.saved_page(self.world.id(), *seat, kind, after.as_ref(), 3);
                    let page = page.await.unwrap();
                    for saved in page.items {
                        assert_eq!(self.kind_of(&saved.record), kind, "{about}");
                        let reasons = saved.reasons.into_iter();
                        let reasons: BTreeSet<String> =
                            reasons.map(|reason| reason.opportunity).collect();
                        found.insert((*seat, saved.record), reasons);
                    }
                    let Some(next) = page.next else { break };
                    let (object, id) = next.split_once('/').unwrap();
                    after = Some(RecordRef::new(object, id));
                }
            }
        }
        let expected = self.model.iter().filter(|(_, (_, removed))| !removed);
        let expected: BTreeMap<_, _> = expected
            .map(|(saved, (reasons, _))| (saved.clone(), reasons.clone()))
            .collect();
        assert_eq!(found, expected, "{about}: {:#?}", self.deals);
    }
}

/// SV-4: a random history of opportunities, of removals by hand and of passes whose workers die ends with the
/// lists of a plain model.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_fill_themselves_as_a_plain_model_says_whatever_happens() {
    let harness = Harness::embedded(false).await;
    for (crm, seed) in BOTH.into_iter().zip([0x5eed_u64, 0xdea1]) {
        let tenant = harness.tenant(crm).await;
        let mut history = History::new(&tenant, seed).await;
        for round in 0..14 {
            for _ in 0..5 {
                history.change().await;
            }
            if round == 6 {
                // The third user's opportunities were there before the seat.
                history.seat(2).await;
            }
            if round == 9 {
                history.settle(0).await;
            }
            history.expect();
            let (before, call) = (history.roll(2) == 0, history.roll(60));
            let cut = if before {
                Cut::Before(call)
            } else {
                Cut::After(call)
            };
            history.pass_with_death(cut).await;
            history
                .check(&format!("{crm:?}, round {round}, {cut:?}"))
                .await;
        }
        assert!(history.model.len() > 10, "{:#?}", history.model);
        assert!(history.model.values().any(|(_, removed)| *removed));
    }
    harness.stop().await;
}

/// SV-4: a worker dies at each of its calls, and the lists are the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_dies_at_any_call_of_a_save_pass_loses_and_doubles_nothing() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let mut history = History::new(&tenant, 7).await;
    for call in 0.. {
        let mut died = false;
        for cut in [Cut::Before(call), Cut::After(call)] {
            history.deals.push(Deal {
                owner: 0,
                stage: 2,
                closed: false,
                account: call % 3,
                contacts: BTreeSet::new(),
                leads: BTreeSet::new(),
            });
            let number = history.deals.len() - 1;
            history.write_deal(number).await;
            history.add_contact(number, call % 4).await;
            history.expect();
            died |= history.pass_with_death(cut).await;
            history.check(&format!("{cut:?}")).await;
        }
        if !died {
            assert!(call > 20, "a pass of {call} calls");
            break;
        }
    }
    // An opportunity that did not change is not looked at again: its account's list item stays as it is.
    let marks = async || {
        let mut marks = 0;
        for shard in 0..shared::store::TOUCHED_SHARDS {
            let store = history.world.store();
            let found = store.touched(history.world.id(), PRODUCTION, shard, None, 100);
            marks += found.await.unwrap().len();
        }
        marks
    };
    assert_eq!(marks().await, 0);
    harness.stop().await;
}

impl History<'_> {
    /// Opportunities of one owner that are in the pipeline, with a few accounts.
    async fn deals_of(&mut self, owner: usize, count: usize) {
        for number in 0..count {
            self.deals.push(Deal {
                owner,
                stage: 2,
                closed: false,
                account: number % 3,
                contacts: BTreeSet::new(),
                leads: BTreeSet::new(),
            });
            self.write_deal(self.deals.len() - 1).await;
        }
    }

    /// A pass whose worker dies at a call; returns the place that it leaves.
    async fn place_after_death(&self, cut: Cut) -> Json {
        self.ask().await;
        let wire = Tripwire::cutting(cut);
        let stack = self.tenant.harness.embedded_stack();
        self.work(&process(stack, &wire, &self.world.clock)).await;
        assert!(wire.has_cut());
        self.world.advance(200).await;
        let pass = self.world.store().save_pass(self.world.id()).await;
        serde_json::from_str(&pass.unwrap().unwrap().kept).unwrap()
    }
}

/// SV-4: one user owns more opportunities than a worker looks at, many of them with one account.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_continues_among_the_opportunities_of_one_owner() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let mut history = History::new(&tenant, 3).await;
    history.deals_of(2, 450).await;
    // Nobody has a seat for them: they are looked at, and forgotten.
    history.ask().await;
    history.finish().await;
    history.check("without a seat").await;
    history.seat(2).await;
    history.expect();
    let place = history.place_after_death(Cut::After(1100)).await;
    assert_eq!(place["owner"][0], json!(history.id(1, 2)), "{place}");
    assert!(place["after"].is_string(), "{place}");
    history.finish().await;
    history.check("continued").await;
    harness.stop().await;
}

/// SV-4: a seat that comes while all opportunities are looked at gets those of its user that were before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seat_that_comes_between_two_workers_misses_nothing() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let mut history = History::new(&tenant, 5).await;
    history.deals_of(2, 40).await;
    history.ask().await;
    history.finish().await;
    history.settle(0).await;
    let place = history.place_after_death(Cut::After(28)).await;
    let shard = place["shard"].as_u64().unwrap();
    assert!((1..16).contains(&shard), "{place}");
    history.seat(2).await;
    history.finish().await;
    history.expect();
    history.check("with the new seat").await;
    harness.stop().await;
}

/// SV-5: a key that outlived what it was made of shows no opportunity of another account.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_opportunity_that_moved_is_not_shown_with_its_former_account() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let world = DirectoryWorld::of(&tenant).await;
    let mirror = Mirror {
        contract: world.id(),
        environment: PRODUCTION,
        crm: CrmKind::Salesforce,
        object: "Opportunity",
        default_region: None,
    };
    for (time, account) in [(1, "001A"), (2, "001B")] {
        let record = Record {
            id: "0068d00000000001AAA".to_owned(),
            modified: Millis(time),
            merged_into: None,
            values: Values(vec![("AccountId", Value::Text(account.to_owned()))]),
        };
        // The first import, repeated after its worker died.
        let changes = [Change::Present(record)];
        mirror.put_new(world.store(), &changes).await.unwrap();
    }
    let reading = Opportunities {
        contract: world.id(),
        environment: PRODUCTION,
        crm: CrmKind::Salesforce,
    };
    for (account, count) in [("001A", 0), ("001B", 1)] {
        let record = RecordRef::new("Account", account);
        let found = reading.open_of(world.store(), &record).await.unwrap();
        assert_eq!(found.len(), count, "{account}: {found:?}");
    }
    harness.stop().await;
}

/// SV-4: an import asks for the pass where the settings save something, and a seat's lists name the reason.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_saves_what_the_owners_opportunities_are_about() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let world = DirectoryWorld::of(&tenant).await;
    world.import_only().await;
    let asked = world.store().save_pass(world.id()).await.unwrap();
    assert_eq!(asked, None, "nothing is saved unless the settings say so");
    let settings = json!({"auto_save": {"accounts": true}});
    let path = "/crm-connections/production/sync-settings";
    let (status, answer) = tenant.api(Method::PUT, path, Some(settings)).await;
    assert_eq!(status, 200, "{answer}");
    let users = world.control(Method::GET, "User", Json::Null).await;
    let users = users.as_array().unwrap().iter();
    let mut users = users.filter(|user| user["IsActive"] == true && user["Email"].is_string());
    let user = users.next().unwrap();
    let seat = json!({"name": "Olga", "email": user["Email"], "role": "salesperson"});
    let (status, seat) = tenant.api(Method::POST, "/seats", Some(seat)).await;
    assert_eq!(status, 201, "{seat}");
    let seat = seat["id"].as_str().or_else(|| seat["seat"]["id"].as_str());
    let seat: SeatId = seat.unwrap().parse().unwrap();
    let account = world.account("Analytical Engines", "engines.example").await;
    let deal = json!({
        "Name": "Engines", "AccountId": account.id, "CloseDate": "2027-01-01",
        "StageName": "Prospecting", "OwnerId": user["Id"],
    });
    let deal = world.create("Opportunity", deal).await;
    world.import_only().await;
    let message = ImportMessage {
        contract: world.id().clone(),
        work: WorkKind::Save,
    };
    assert!(crm_import::work(&world.apps.import, &message).await);
    let saved = world
        .store()
        .saved_page(world.id(), seat, EntryKind::Company, None, 10)
        .await
        .unwrap();
    let saved: Vec<_> = saved
        .items
        .iter()
        .map(|saved| (&saved.record, saved.reasons[0].opportunity.as_str()))
        .collect();
    assert_eq!(saved, [(&account, deal.id.as_str())]);

    // One that cannot be read ends neither a pass nor a list.
    assert_eq!(spoil(&tenant, "SAVED", "", "reasons").await, 1);
    let other = world.account("Compilers", "compilers.example").await;
    for account in [&account, &other] {
        let deal = json!({
            "Name": "More", "AccountId": account.id, "CloseDate": "2027-01-01",
            "StageName": "Prospecting", "OwnerId": user["Id"],
        });
        world.create("Opportunity", deal).await;
    }
    world.import_only().await;
    assert!(crm_import::work(&world.apps.import, &message).await);
    let pass = world.store().save_pass(world.id()).await.unwrap();
    assert_eq!(pass.unwrap().state, PassState::Succeeded);
    let (mut listed, mut after): (Vec<RecordRef>, Option<RecordRef>) = (Vec::new(), None);
    loop {
        let page =
            world
                .store()
                .saved_page(world.id(), seat, EntryKind::Company, after.as_ref(), 1);
        let page = page.await.unwrap();
        listed.extend(page.items.into_iter().map(|saved| saved.record));
        let Some(next) = page.next else { break };
        let (object, id) = next.split_once('/').unwrap();
        after = Some(RecordRef::new(object, id));
    }
    assert_eq!(listed, [other]);
    harness.stop().await;
}
