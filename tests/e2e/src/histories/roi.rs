//! ROI (RO-1): random histories of opportunities and touches, of runs whose workers die and messages that come
//! twice end with the figures of a plain model.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use local::Apps;
use reqwest::Method;
use serde_json::{Value as Json, json};
use shared::clock::{Clock as _, Millis};
use shared::domain::directory::EntryId;
use shared::domain::ids::SeatId;
use shared::domain::mirror::{Change, Value};
use shared::domain::roi::{Outcome, TouchKind};
use shared::domain::run::RunKind;
use shared::domain::schema::CrmKind;
use shared::queue::ImportMessage;
use shared::runs;
use shared::store::{Reach, WorkKind};
use shared::testing::{Cut, Tripwire};

use super::{Dice, History, Tally};
use crate::directory_world::DirectoryWorld;
use crate::worker::process;
use crate::{Harness, Tenant};

/// Seconds of a day.
pub const DAY: i64 = 24 * 3600;
/// Runs of a history.
const ROUNDS: usize = 8;
/// The run before which two contacts are merged.
const MERGE: usize = 5;

/// Runs a history.
pub(super) async fn run(history: History, tally: &Tally) {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(history.crm()).await;
    let mut roi = Roi::new(&tenant, history.seed).await;
    for round in 0..ROUNDS {
        for _ in 0..8 {
            tally.step();
            roi.change().await;
        }
        if round == MERGE {
            roi.merge().await;
        }
        let cut = roi.dice.cut(80);
        let wire = roi.run_with_death(cut).await;
        tally.cut(&wire);
        roi.check(&format!("{history}, round {round}, {cut:?}"))
            .await;
    }
    drop(roi);
    harness.stop().await;
}

/// The days of the window.
const WINDOW: i64 = 90;
const CONTACTS: usize = 4;
/// The currencies, with their rates in tenths: `CHF` has none.
const CURRENCIES: [(&str, Option<i64>); 4] = [
    ("EUR", Some(10)),
    ("USD", Some(20)),
    ("GBP", Some(5)),
    ("CHF", None),
];

/// An opportunity of the history.
#[derive(Debug, Clone)]
pub struct Deal {
    /// The day on which it was opened, in days ago.
    pub opened: i64,
    /// Open, won or lost.
    pub outcome: Outcome,
    /// Days after it was opened, once it is closed.
    pub closed: i64,
    /// In whole units.
    pub amount: i64,
    /// The place of its currency.
    pub currency: usize,
    /// The numbers of the contacts who have a part in it.
    pub contacts: BTreeSet<usize>,
    /// Deleted in the CRM.
    pub gone: bool,
}

/// The figures of a part: number, open, won, lost, value in tenths of a unit, those without a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Figures([i64; 6]);

/// A contract whose CRM is written into the mirror as an import does.
pub struct Roi<'a> {
    /// The contract and its CRM.
    pub world: DirectoryWorld<'a>,
    tenant: &'a Tenant<'a>,
    start: Millis,
    /// The opportunities, by number.
    pub deals: Vec<Deal>,
    entries: Vec<EntryId>,
    /// The day of each touch, in days ago, by contact.
    touches: BTreeMap<usize, Vec<i64>>,
    /// Contact 3 was merged into contact 2.
    merged: bool,
    /// The number of touches.
    given: usize,
    dice: Dice,
}

impl<'a> Roi<'a> {
    /// A contract with ROI reporting, currencies, and contacts whose people are in the directory.
    pub async fn new(tenant: &'a Tenant<'a>, seed: u64) -> Self {
        let world = DirectoryWorld::of(tenant).await;
        let mut history = Self {
            start: world.clock.now(),
            world,
            tenant,
            deals: Vec::new(),
            entries: Vec::new(),
            touches: BTreeMap::new(),
            merged: false,
            given: 0,
            dice: Dice::of(seed),
        };
        let on = json!({"enabled": true, "won_value_field": null, "currency": "EUR"});
        let path = "/crm-connections/production/roi-reporting";
        let (status, answer) = tenant.api(Method::PUT, path, Some(on)).await;
        assert_eq!(status, 200, "{answer}");
        for (number, (code, rate)) in CURRENCIES.into_iter().enumerate() {
            let rate =
                rate.map(|rate| Value::Number(f64::from(u8::try_from(rate).unwrap()) / 10.0));
            let (object, fields) = match history.crm() {
                CrmKind::Salesforce => ("CurrencyType", ["IsoCode", "ConversionRate"]),
                CrmKind::Dynamics365 => {
                    ("transactioncurrency", ["isocurrencycode", "exchangerate"])
                }
            };
            let mut values = vec![(fields[0], Value::Text(code.to_owned()))];
            values.extend(rate.map(|rate| (fields[1], rate)));
            history
                .world
                .write_record(object, history.world.made_id(9, number), values)
                .await;
        }
        for contact in 0..CONTACTS {
            // "contact" would be an address that several read.
            let last = format!("Lovelace{contact}");
            let email = tenant.email(&last);
            let fields = [
                history.world.name("LastName", "lastname"),
                history.world.name("Email", "emailaddress1"),
            ];
            let object = history.world.name("Contact", "contact");
            let values = vec![
                (fields[0], Value::Text(last.clone())),
                (fields[1], Value::Text(email.clone())),
            ];
            let id = history.world.made_id(3, contact);
            history.world.write_record(object, id.clone(), values).await;
            let entry = history.world.profile("Ann", &last, &email, "").await;
            let record = json!({"object": object, "id": id});
            let path = format!("/profiles/{entry}/match");
            let (status, answer) = tenant.api(Method::POST, &path, Some(record)).await;
            assert_eq!(status, 200, "{answer}");
            history.entries.push(entry);
        }
        // Older than a worker keeps the settings.
        history.world.advance(60).await;
        history
    }

    fn crm(&self) -> CrmKind {
        self.world.contract.crm
    }

    fn ago(&self, days: i64) -> Millis {
        self.start.plus_seconds(-days * DAY)
    }

    /// Writes an opportunity as it is now.
    pub async fn write_deal(&mut self, number: usize) {
        let deal = self.deals[number].clone();
        let object = self.world.name("Opportunity", "opportunity");
        let id = self.world.made_id(6, number);
        if deal.gone {
            let gone = Change::Gone {
                id,
                modified: None,
                merged_into: None,
            };
            return self.world.write_change(object, gone).await;
        }
        let opened = self.ago(deal.opened);
        let closed = self.ago(deal.opened - deal.closed);
        let closed = jiff::Timestamp::from_millisecond(closed.0).unwrap();
        let closed = closed.to_zoned(jiff::tz::TimeZone::UTC).date();
        let is_closed = deal.outcome != Outcome::Open;
        let amount = Value::Number(f64::from(u32::try_from(deal.amount).unwrap()));
        let currency = Value::Text(match self.crm() {
            CrmKind::Salesforce => CURRENCIES[deal.currency].0.to_owned(),
            CrmKind::Dynamics365 => self.world.made_id(9, deal.currency),
        });
        let values = match self.crm() {
            CrmKind::Salesforce => vec![
                ("Amount", amount),
                ("IsClosed", Value::Bool(is_closed)),
                ("IsWon", Value::Bool(deal.outcome == Outcome::Won)),
                ("CloseDate", Value::Date(closed)),
                ("CreatedDate", Value::Instant(opened)),
                ("CurrencyIsoCode", currency),
            ],
            CrmKind::Dynamics365 => {
                let state = match deal.outcome {
                    Outcome::Open => 0.0,
                    Outcome::Won => 1.0,
                    Outcome::Lost => 2.0,
                };
                let mut values = vec![
                    ("estimatedvalue", amount),
                    ("statecode", Value::Number(state)),
                    ("createdon", Value::Instant(opened)),
                    ("_transactioncurrencyid_value", currency),
                ];
                if is_closed {
                    values.push(("actualclosedate", Value::Date(closed)));
                }
                values
            }
        };
        self.world.write_record(object, id, values).await;
    }

    /// Gives a contact a part in an opportunity.
    async fn add_contact(&mut self, number: usize, contact: usize) {
        if !self.deals[number].contacts.insert(contact) {
            return;
        }
        self.world.give_part(number, contact).await;
    }

    async fn new_deal(&mut self) {
        let deal = Deal {
            opened: 20 + i64::try_from(self.dice.roll(100)).unwrap(),
            outcome: Outcome::Open,
            closed: 10,
            amount: 10 * (1 + i64::try_from(self.dice.roll(50)).unwrap()),
            currency: self.dice.roll(CURRENCIES.len()),
            contacts: BTreeSet::new(),
            gone: false,
        };
        self.deals.push(deal);
        let number = self.deals.len() - 1;
        self.write_deal(number).await;
        let contact = self.dice.roll(CONTACTS);
        self.add_contact(number, contact).await;
    }

    async fn touch(&mut self) {
        let (contact, days) = (self.dice.roll(CONTACTS), self.dice.roll(230));
        let days = i64::try_from(days).unwrap();
        let kind = [TouchKind::Activity, TouchKind::ListSave][self.dice.roll(2)];
        let reach = Reach {
            at: self.ago(days),
            kind,
            id: format!("{kind:?}-{}", self.given),
            seat: SeatId(uuid::Uuid::from_u128(7)),
        };
        self.given += 1;
        let entry = self.entries[contact];
        let store = self.world.store();
        let reaches = [(entry, reach)];
        let stored = store.put_reaches(self.world.id(), &reaches);
        stored.await.unwrap();
        self.touches.entry(contact).or_default().push(days);
    }

    /// Something happens in the CRM or to a contact.
    async fn change(&mut self) {
        if self.deals.is_empty() {
            return self.new_deal().await;
        }
        let number = self.dice.roll(self.deals.len());
        match self.dice.roll(8) {
            0 | 1 => self.new_deal().await,
            2 | 3 => {
                let outcomes = [Outcome::Open, Outcome::Won, Outcome::Lost];
                self.deals[number].outcome = outcomes[self.dice.roll(3)];
                self.write_deal(number).await;
            }
            4 => {
                let contact = self.dice.roll(CONTACTS);
                self.add_contact(number, contact).await;
            }
            5 if number.is_multiple_of(5) => {
                self.deals[number].gone = true;
                self.write_deal(number).await;
            }
            _ => self.touch().await,
        }
    }

    /// A plain model of the figures: of all, of those that are influenced, of those that are neither.
    fn expected(&self) -> [Figures; 3] {
        let mut found = [Figures::default(); 3];
        for deal in self.deals.iter().filter(|deal| !deal.gone) {
            let until = match deal.outcome {
                Outcome::Open => i64::MIN,
                Outcome::Won | Outcome::Lost => deal.opened - deal.closed,
            };
            let in_window = |days: &i64| (until..=deal.opened + WINDOW).contains(days);
            let contacts = deal.contacts.iter();
            let now = contacts.map(|one| if self.merged && *one == 3 { 2 } else { *one });
            let mut touches = now.filter_map(|contact| self.touches.get(&contact));
            let influenced = touches.any(|days| days.iter().any(in_window));
            let add = |Figures(figures): &mut Figures| {
                figures[0] += 1;
                figures[match deal.outcome {
                    Outcome::Open => 1,
                    Outcome::Won => 2,
                    Outcome::Lost => 3,
                }] += 1;
                match CURRENCIES[deal.currency].1 {
                    Some(rate) => figures[4] += deal.amount * 100 / rate,
                    None => figures[5] += 1,
                }
            };
            add(&mut found[0]);
            add(&mut found[if influenced { 1 } else { 2 }]);
        }
        found
    }

    async fn ask(&self) {
        let (store, now) = (self.world.store(), self.world.clock.now());
        let queue = &self.world.apps.import.queue;
        let asked = runs::request(store, queue, self.world.id(), RunKind::Roi, "test", now, 0);
        asked.await.unwrap();
    }

    async fn work(&self, apps: &Apps) {
        let message = ImportMessage {
            contract: self.world.id().clone(),
            work: WorkKind::Run(RunKind::Roi),
        };
        crm_import::work(&apps.import, &message).await;
    }

    async fn is_open(&self) -> bool {
        let run = self.world.store().last_run(self.world.id(), RunKind::Roi);
        run.await.unwrap().unwrap().is_open()
    }

    /// A run. Its message comes more than once.
    pub async fn run(&self) {
        self.ask().await;
        self.finish().await;
    }

    /// A run with a worker that dies at a call, and those that come after it; returns the worker's wire.
    async fn run_with_death(&self, cut: Cut) -> Arc<Tripwire> {
        self.ask().await;
        let wire = Tripwire::cutting(cut);
        let stack = self.tenant.harness.embedded_stack();
        self.work(&process(stack, &wire, &self.world.clock)).await;
        self.world.advance(200).await;
        self.finish().await;
        wire
    }

    async fn finish(&self) {
        for _ in 0..3 {
            self.work(&self.world.apps).await;
        }
        assert!(!self.is_open().await);
    }

    /// Merges the last contact into the one before.
    async fn merge(&mut self) {
        let (loser, survivor) = (self.world.made_id(3, 3), self.world.made_id(3, 2));
        let merged = Change::Gone {
            id: loser,
            modified: None,
            merged_into: Some(survivor),
        };
        let object = self.world.name("Contact", "contact");
        self.world.write_change(object, merged).await;
        self.merged = true;
    }

    /// The question of the history's report.
    pub fn query(&self) -> String {
        let day = |at: Millis| at.to_string()[..10].to_owned();
        let (from, to) = (day(self.ago(400)), day(self.ago(-30)));
        format!("period=year&from={from}&to={to}&days_before={WINDOW}&currency=EUR")
    }

    /// The report.
    pub async fn report(&self) -> Json {
        let path = format!("/roi?{}", self.query());
        let (status, answer) = self.tenant.api(Method::GET, &path, None).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// The opportunities behind a figure, page by page, each of them once.
    async fn behind(&self, part: &str) -> Vec<Json> {
        let path = format!("/roi/opportunities?{}&part={part}&limit=7", self.query());
        let (mut items, mut next) = (Vec::new(), String::new());
        loop {
            let (status, list) = self
                .tenant
                .api(Method::GET, &format!("{path}{next}"), None)
                .await;
            assert_eq!(status, 200, "{list}");
            items.extend(list["items"].as_array().unwrap().clone());
            let Some(cursor) = list["next"].as_str() else {
                break;
            };
            next = format!("&cursor={}", cursor.replace('#', "%23"));
        }
        let ids: BTreeSet<&str> = items
            .iter()
            .filter_map(|one| one["record"]["id"].as_str())
            .collect();
        assert_eq!(ids.len(), items.len());
        items
    }

    /// Asserts that the figures are the model's, and that each opens as many opportunities.
    async fn check(&self, about: &str) {
        let report = self.report().await;
        let figures = |part: &str| {
            let of = &report["total"][part];
            let count = |name: &str| of[name].as_i64().unwrap();
            let value: String = of["value"].as_str().unwrap().replace('.', "");
            Figures([
                count("opportunities"),
                count("open"),
                count("won"),
                count("lost"),
                value.parse::<i64>().unwrap() / 10,
                count("without_rate"),
            ])
        };
        let found = ["all", "influenced", "others"].map(figures);
        assert_eq!(
            found,
            self.expected(),
            "{about}: {:#?} {report}",
            self.deals
        );
        for (part, figures) in [("influenced", found[1]), ("others", found[2])] {
            let items = self.behind(part).await;
            assert_eq!(
                items.len(),
                usize::try_from(figures.0[0]).unwrap(),
                "{about}"
            );
            let opened = |one: &Json| one["opened"].as_i64();
            assert!(items.is_sorted_by(|a, b| opened(a) >= opened(b)), "{about}");
            for one in &items {
                let has_reasons = !one["reasons"].as_array().unwrap().is_empty();
                assert_eq!(has_reasons, part == "influenced", "{one}");
            }
        }
    }
}
