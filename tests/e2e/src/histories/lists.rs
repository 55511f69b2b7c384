//! Lists (SV-4): random histories of opportunities, of removals by hand and of save passes whose workers die
//! end with the lists of a plain model.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use local::Apps;
use reqwest::Method;
use serde_json::{Value as Json, json};
use shared::clock::Clock as _;
use shared::domain::directory::{EntryKind, LinkPass, PassState, RecordRef};
use shared::domain::ids::SeatId;
use shared::domain::mirror::Value;
use shared::domain::schema::CrmKind;
use shared::queue::ImportMessage;
use shared::store::WorkKind;
use shared::testing::{Cut, Tripwire};

use super::{Dice, History, Tally};
use crate::directory_world::DirectoryWorld;
use crate::worker::process;
use crate::{Harness, Tenant};

const KINDS: [EntryKind; 2] = [EntryKind::Profile, EntryKind::Company];
/// Passes of a history.
const ROUNDS: usize = 14;
/// The pass before which a seat is made for a user who has opportunities, and the one before which the stage
/// is another.
const NEW_SEAT: usize = 6;
const NEW_STAGE: usize = 9;

/// Runs a history.
pub(super) async fn run(history: History, tally: &Tally) {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(history.crm()).await;
    let mut lists = Lists::new(&tenant, history.seed).await;
    for round in 0..ROUNDS {
        for _ in 0..5 {
            tally.step();
            lists.change().await;
        }
        if round == NEW_SEAT {
            lists.seat(2).await;
        }
        if round == NEW_STAGE {
            lists.settle(0).await;
        }
        lists.expect();
        let cut = lists.dice.cut(60);
        let wire = lists.pass_with_death(cut).await;
        tally.cut(&wire);
        lists
            .check(&format!("{history}, round {round}, {cut:?}"))
            .await;
    }
    drop(lists);
    harness.stop().await;
}

/// An opportunity of the history.
#[derive(Debug, Clone, Default)]
pub struct Deal {
    /// The number of the user who owns it.
    pub owner: usize,
    /// The place of its stage.
    pub stage: usize,
    /// The number of its account.
    pub account: usize,
    /// It is closed.
    pub closed: bool,
    /// The numbers of the contacts who have a part in it.
    pub contacts: BTreeSet<usize>,
    /// The numbers of the leads that became it.
    pub leads: BTreeSet<usize>,
}

/// A saved record: the opportunities because of which it was saved, and whether its seat holder removed it.
type Saved = BTreeMap<(SeatId, RecordRef), (BTreeSet<String>, bool)>;

/// A contract whose CRM is written into the mirror as an import does.
pub struct Lists<'a> {
    /// The contract and its CRM.
    pub world: DirectoryWorld<'a>,
    tenant: &'a Tenant<'a>,
    stages: Vec<String>,
    /// The index of the stage at which the pipeline begins.
    begins: usize,
    /// The seat of each user of the CRM, by the user's number.
    seats: BTreeMap<usize, SeatId>,
    /// The opportunities, by number.
    pub deals: Vec<Deal>,
    model: Saved,
    dice: Dice,
}

impl<'a> Lists<'a> {
    /// A contract with users and contacts in its CRM, and seats for two of the users.
    pub async fn new(tenant: &'a Tenant<'a>, seed: u64) -> Self {
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
            model: Saved::new(),
            dice: Dice::of(seed),
        };
        assert!(history.stages.len() >= 3, "{options}");
        history.settle(1).await;
        for user in 0..3 {
            let email = tenant.email(&format!("user{user}"));
            let field = history.world.name("Email", "internalemailaddress");
            let object = history.world.name("User", "systemuser");
            let values = vec![(field, Value::Text(email))];
            history
                .world
                .write_record(object, history.world.made_id(1, user), values)
                .await;
        }
        for contact in 0..4 {
            let field = history.world.name("LastName", "lastname");
            let object = history.world.name("Contact", "contact");
            let values = vec![(field, Value::Text(format!("C{contact}")))];
            history
                .world
                .write_record(object, history.world.made_id(3, contact), values)
                .await;
        }
        for user in 0..2 {
            history.seat(user).await;
        }
        history
    }

    /// Saves the settings: the pipeline begins at this stage.
    pub async fn settle(&mut self, begins: usize) {
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

    /// Makes the seat of a user of the CRM.
    pub async fn seat(&mut self, user: usize) {
        let seat = json!({"name": "Seller", "email": self.tenant.email(&format!("user{user}")), "role": "salesperson"});
        let (status, made) = self.tenant.api(Method::POST, "/seats", Some(seat)).await;
        assert_eq!(status, 201, "{made}");
        let id = made["id"].as_str().or_else(|| made["seat"]["id"].as_str());
        self.seats.insert(user, id.unwrap().parse().unwrap());
    }

    /// Writes an opportunity as it is now.
    pub async fn write_deal(&mut self, number: usize) {
        let deal = self.deals[number].clone();
        let text = |text: &str| Value::Text(text.to_owned());
        let (account, owner) = (
            self.world.made_id(2, deal.account),
            self.world.made_id(1, deal.owner),
        );
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
        self.world
            .write_record(object, self.world.made_id(6, number), values)
            .await;
    }

    async fn new_deal(&mut self) {
        let deal = Deal {
            owner: self.dice.roll(3),
            stage: self.dice.roll(self.stages.len()),
            account: self.dice.roll(3),
            ..Deal::default()
        };
        self.deals.push(deal);
        self.write_deal(self.deals.len() - 1).await;
    }

    /// Gives a contact a part in an opportunity.
    pub async fn add_contact(&mut self, number: usize, contact: usize) {
        if !self.deals[number].contacts.insert(contact) {
            return;
        }
        self.world.give_part(number, contact).await;
    }

    /// A lead becomes an opportunity.
    async fn add_lead(&mut self, number: usize) {
        let lead = number * 10 + self.deals[number].leads.len();
        self.deals[number].leads.insert(lead);
        let field = self
            .world
            .name("ConvertedOpportunityId", "_qualifyingopportunityid_value");
        let object = self.world.name("Lead", "lead");
        let values = vec![(field, Value::Text(self.world.made_id(6, number)))];
        self.world
            .write_record(object, self.world.made_id(5, lead), values)
            .await;
    }

    /// Something happens in the CRM, or a seat holder removes something.
    async fn change(&mut self) {
        if self.deals.is_empty() {
            return self.new_deal().await;
        }
        let number = self.dice.roll(self.deals.len());
        match self.dice.roll(9) {
            0 => self.new_deal().await,
            1 => {
                self.deals[number].owner = self.dice.roll(3);
                self.write_deal(number).await;
            }
            2 => {
                self.deals[number].stage = self.dice.roll(self.stages.len());
                self.write_deal(number).await;
            }
            3 => {
                self.deals[number].closed ^= true;
                self.write_deal(number).await;
            }
            4 => {
                self.deals[number].account = self.dice.roll(3);
                self.write_deal(number).await;
            }
            5 | 6 => {
                let contact = self.dice.roll(4);
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
        let (seat, record) = there[self.dice.roll(there.len())].clone();
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
    pub fn expect(&mut self) {
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
            let mut tied = vec![RecordRef::new(account, self.world.made_id(2, deal.account))];
            let contacts = deal.contacts.iter();
            tied.extend(contacts.map(|one| RecordRef::new(contact, self.world.made_id(3, *one))));
            let leads = deal.leads.iter();
            tied.extend(leads.map(|one| RecordRef::new(lead, self.world.made_id(5, *one))));
            let opportunity = self.world.made_id(6, number);
            for record in tied {
                let saved = self.model.entry((*seat, record)).or_default();
                if saved.0.insert(opportunity.clone()) {
                    saved.1 = false;
                }
            }
        }
    }

    /// Asks for a save pass.
    pub async fn ask(&self) {
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
    pub async fn finish(&self) {
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

    /// A pass with a worker that dies at a call, and those that come after it; returns the worker's wire.
    pub async fn pass_with_death(&self, cut: Cut) -> Arc<Tripwire> {
        self.ask().await;
        let wire = Tripwire::cutting(cut);
        let stack = self.tenant.harness.embedded_stack();
        self.work(&process(stack, &wire, &self.world.clock)).await;
        self.world.advance(200).await;
        let pass = self.world.store().save_pass(self.world.id()).await;
        if pass.unwrap().unwrap().is_open() {
            self.finish().await;
        }
        wire
    }

    /// Asserts that the lists are the model's.
    pub async fn check(&self, about: &str) {
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

impl Lists<'_> {
    /// Opportunities of one owner that are in the pipeline, with a few accounts.
    pub async fn deals_of(&mut self, owner: usize, count: usize) {
        for number in 0..count {
            self.deals.push(Deal {
                owner,
                stage: 2,
                account: number % 3,
                ..Deal::default()
            });
            self.write_deal(self.deals.len() - 1).await;
        }
    }

    /// A pass whose worker dies at a call; returns the place that it leaves.
    pub async fn place_after_death(&self, cut: Cut) -> Json {
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
