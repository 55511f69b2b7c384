//! The figures of opportunities that Leadbridge sourced and influenced, and the reasons behind each (RO-1).

use std::collections::{BTreeMap, BTreeSet};

use e2e::directory_world::DirectoryWorld;
use e2e::worker::{id_of, messages, post, process};
use e2e::{Harness, Tenant};
use local::Apps;
use reqwest::Method;
use serde_json::{Value as Json, json};
use shared::clock::{Clock as _, Millis};
use shared::domain::directory::EntryId;
use shared::domain::environment::Environment;
use shared::domain::ids::SeatId;
use shared::domain::mirror::{Change, Record, Value, Values};
use shared::domain::roi::{Outcome, TouchKind};
use shared::domain::run::RunKind;
use shared::domain::schema::CrmKind;
use shared::queue::ImportMessage;
use shared::runs;
use shared::store::{Mirror, Reach, WorkKind};
use shared::testing::{Cut, Tripwire};

use crate::table::spoil;

const BOTH: [CrmKind; 2] = [CrmKind::Salesforce, CrmKind::Dynamics365];
const PRODUCTION: Environment = Environment::Production;
const DAY: i64 = 24 * 3600;
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
struct Deal {
    /// Days ago.
    opened: i64,
    outcome: Outcome,
    /// Days after it was opened, once it is closed.
    closed: i64,
    /// In whole units.
    amount: i64,
    currency: usize,
    contacts: BTreeSet<usize>,
    gone: bool,
}

/// The figures of a part: number, open, won, lost, value in tenths of a unit, those without a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Figures([i64; 6]);

/// A contract whose CRM is written into the mirror as an import does.
struct History<'a> {
    world: DirectoryWorld<'a>,
    tenant: &'a Tenant<'a>,
    start: Millis,
    deals: Vec<Deal>,
    entries: Vec<EntryId>,
    /// The day of each touch, in days ago, by contact.
    touches: BTreeMap<usize, Vec<i64>>,
    /// Contact 3 was merged into contact 2.
    merged: bool,
    changes: i64,
    seed: u64,
}

impl<'a> History<'a> {
    async fn new(tenant: &'a Tenant<'a>, seed: u64) -> Self {
        let world = DirectoryWorld::of(tenant).await;
        let mut history = Self {
            start: world.clock.now(),
            world,
            tenant,
            deals: Vec::new(),
            entries: Vec::new(),
            touches: BTreeMap::new(),
            merged: false,
            changes: 0,
            seed,
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
            history.write(object, history.id(9, number), values).await;
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
            let id = history.id(3, contact);
            history.write(object, id.clone(), values).await;
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

    fn roll(&mut self, sides: usize) -> usize {
        // Xorshift.
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        usize::try_from(self.seed % sides as u64).unwrap()
    }

    fn id(&self, kind: usize, number: usize) -> String {
        match self.crm() {
            CrmKind::Salesforce => format!("00{kind}8d00000{number:05}AAA"),
            CrmKind::Dynamics365 => format!("0000000{kind}-0000-4000-8000-{number:012}"),
        }
    }

    fn ago(&self, days: i64) -> Millis {
        self.start.plus_seconds(-days * DAY)
    }

    async fn write(
        &mut self,
        object: &'static str,
        id: String,
        values: Vec<(&'static str, Value)>,
    ) {
        let record = Record {
            id,
            modified: Millis(1_700_000_000_000 + self.changes),
            merged_into: None,
            values: Values(values),
        };
        self.apply(object, Change::Present(record)).await;
    }

    async fn apply(&mut self, object: &'static str, change: Change) {
        self.changes += 1;
        let mirror = Mirror {
            contract: self.world.id(),
            environment: PRODUCTION,
            crm: self.crm(),
            object,
            default_region: None,
        };
        mirror.apply(self.world.store(), &[change]).await.unwrap();
    }

    /// Writes an opportunity as it is now.
    async fn write_deal(&mut self, number: usize) {
        let deal = self.deals[number].clone();
        let object = self.world.name("Opportunity", "opportunity");
        let id = self.id(6, number);
        if deal.gone {
            let gone = Change::Gone {
                id,
                modified: None,
                merged_into: None,
            };
            return self.apply(object, gone).await;
        }
        let opened = self.ago(deal.opened);
        let closed = self.ago(deal.opened - deal.closed);
        let closed = jiff::Timestamp::from_millisecond(closed.0).unwrap();
        let closed = closed.to_zoned(jiff::tz::TimeZone::UTC).date();
        let is_closed = deal.outcome != Outcome::Open;
        let amount = Value::Number(f64::from(u32::try_from(deal.amount).unwrap()));
        let currency = Value::Text(match self.crm() {
            CrmKind::Salesforce => CURRENCIES[deal.currency].0.to_owned(),
            CrmKind::Dynamics365 => self.id(9, deal.currency),
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
        self.write(object, id, values).await;
    }

    /// Gives a contact a part in an opportunity.
    async fn add_contact(&mut self, number: usize, contact: usize) {
        if !self.deals[number].contacts.insert(contact) {
            return;
        }
        let object = self.world.name("OpportunityContactRole", "connection");
        let fields = [
            self.world.name("OpportunityId", "_record1id_value"),
            self.world.name("ContactId", "_record2id_value"),
        ];
        let values = vec![
            (fields[0], Value::Text(self.id(6, number))),
            (fields[1], Value::Text(self.id(3, contact))),
        ];
        self.write(object, self.id(7, number * 10 + contact), values)
            .await;
    }

    async fn new_deal(&mut self) {
        let deal = Deal {
            opened: 20 + i64::try_from(self.roll(100)).unwrap(),
            outcome: Outcome::Open,
            closed: 10,
            amount: 10 * (1 + i64::try_from(self.roll(50)).unwrap()),
            currency: self.roll(CURRENCIES.len()),
            contacts: BTreeSet::new(),
            gone: false,
        };
        self.deals.push(deal);
        let number = self.deals.len() - 1;
        self.write_deal(number).await;
        let contact = self.roll(CONTACTS);
        self.add_contact(number, contact).await;
    }

    async fn touch(&mut self) {
        let (contact, days) = (self.roll(CONTACTS), self.roll(230));
        let days = i64::try_from(days).unwrap();
        let kind = [TouchKind::Activity, TouchKind::ListSave][self.roll(2)];
        let reach = Reach {
            at: self.ago(days),
            kind,
            id: format!("{kind:?}-{}", self.changes),
            seat: SeatId(uuid::Uuid::from_u128(7)),
        };
        self.changes += 1;
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
        let number = self.roll(self.deals.len());
        match self.roll(8) {
            0 | 1 => self.new_deal().await,
            2 | 3 => {
                let outcomes = [Outcome::Open, Outcome::Won, Outcome::Lost];
                self.deals[number].outcome = outcomes[self.roll(3)];
                self.write_deal(number).await;
            }
            4 => {
                let contact = self.roll(CONTACTS);
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

    /// A run with a worker that dies at a call, if any, and the one that comes after it. The message comes
    /// twice.
    async fn run(&self, cut: Option<Cut>) {
        self.ask().await;
        if let Some(cut) = cut {
            let wire = Tripwire::cutting(cut);
            let stack = self.tenant.harness.embedded_stack();
            self.work(&process(stack, &wire, &self.world.clock)).await;
            self.world.advance(200).await;
        }
        for _ in 0..3 {
            self.work(&self.world.apps).await;
        }
        assert!(!self.is_open().await);
    }

    fn query(&self) -> String {
        let day = |at: Millis| at.to_string()[..10].to_owned();
        let (from, to) = (day(self.ago(400)), day(self.ago(-30)));
        format!("period=year&from={from}&to={to}&days_before={WINDOW}&currency=EUR")
    }

    async fn report(&self) -> Json {
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

/// RO-1: a random history of opportunities and touches, of runs whose workers die and messages that come
/// twice, ends with the figures of a plain model.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_are_those_of_a_plain_model_whatever_happens() {
    let harness = Harness::embedded(false).await;
    for (crm, seed) in BOTH.into_iter().zip([0x5eed_u64, 0xdea1]) {
        let tenant = harness.tenant(crm).await;
        let mut history = History::new(&tenant, seed).await;
        for round in 0..8 {
            for _ in 0..8 {
                history.change().await;
            }
            if round == 5 {
                let (loser, survivor) = (history.id(3, 3), history.id(3, 2));
                let merged = Change::Gone {
                    id: loser,
                    modified: None,
                    merged_into: Some(survivor),
                };
                let object = history.world.name("Contact", "contact");
                history.apply(object, merged).await;
                history.merged = true;
            }
            let (before, call) = (history.roll(2) == 0, history.roll(80));
            let cut = if before {
                Cut::Before(call)
            } else {
                Cut::After(call)
            };
            history.run(Some(cut)).await;
            let about = format!("{crm:?}, round {round}, {cut:?}");
            history.check(&about).await;
        }
        let influenced = history.expected()[1].0[0];
        assert!(influenced > 1, "{:#?}", history.deals);
    }
    harness.stop().await;
}

/// RO-1: a form's response sources the opportunity that its lead becomes, the report is kept as it is, and a
/// seat holder sees nothing of others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_sources_what_its_lead_becomes_and_a_kept_report_stays() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let mut history = History::new(&tenant, 7).await;
    let apps = history.world.apps.clone();
    let (status, answer) = post(&apps, &tenant, &tenant.person("Ada"), "k1").await;
    assert_eq!(status, 202, "{answer}");
    let id = id_of(&answer);
    crm_writeback::handle(&apps.writeback, messages(history.world.id(), &[&id])).await;
    let submission = id.parse().unwrap();
    let stored = history
        .world
        .store()
        .submission(history.world.id(), submission);
    let lead = stored.await.unwrap().unwrap().lead.expect("a lead").id;
    let became = vec![("ConvertedOpportunityId", Value::Text(history.id(6, 0)))];
    history.write("Lead", lead, became).await;
    history.deals.push(Deal {
        // Tomorrow.
        opened: -1,
        outcome: Outcome::Won,
        closed: 1,
        amount: 100,
        currency: 1,
        contacts: BTreeSet::new(),
        gone: false,
    });
    history.write_deal(0).await;
    history.run(None).await;
    let report = history.report().await;
    let sourced = &report["total"]["sourced"];
    assert_eq!(
        (
            &sourced["won"],
            &sourced["won_value"],
            &sourced["win_permille"]
        ),
        (&json!(1), &json!("50.00"), &json!(1000)),
        "{report}"
    );
    let path = format!(
        "/roi/opportunities?{}&by=form&part=sourced",
        history.query()
    );
    let (_, list) = tenant.api(Method::GET, &path, None).await;
    let reason = &list["items"][0]["reasons"][0];
    assert_eq!(
        (&reason["kind"], &reason["id"], &reason["sources"]),
        (&json!("came_in_by_form"), &json!(id), &json!(true)),
        "{list}"
    );

    let keep = json!({"name": "Last quarter", "question": report["question"]});
    let (status, kept) = tenant.api(Method::POST, "/roi/reports", Some(keep)).await;
    assert_eq!(status, 201, "{kept}");
    history.deals[0].outcome = Outcome::Lost;
    history.write_deal(0).await;
    history.run(None).await;
    assert_eq!(history.report().await["total"]["sourced"]["won"], 0);
    let path = format!("/roi/reports/{}", kept["id"].as_str().unwrap());
    let (_, again) = tenant.api(Method::GET, &path, None).await;
    assert_eq!(again["report"]["total"], report["total"], "{again}");
    assert_eq!(again["report"]["rates"], report["rates"]);
    let (status, _) = tenant.api(Method::GET, "/roi/reports/none", None).await;
    assert_eq!(status, 404);

    // A response that cannot be read ends no run, and what was known of it stays.
    let partition = format!("SUBMISSION#{id}");
    assert_eq!(spoil(&tenant, &partition, "SUBMISSION", "state").await, 1);
    history.deals[0].outcome = Outcome::Won;
    history.write_deal(0).await;
    history.run(None).await;
    assert_eq!(history.report().await["total"]["sourced"]["won"], 1);
    for bad in [
        "from=2026-13-01",
        "days_before=366",
        "currency=euro",
        "from=2010-01-01&to=2026-01-01",
        "from=2021-01-01&to=2026-01-01",
    ] {
        let (status, answer) = tenant.api(Method::GET, &format!("/roi?{bad}"), None).await;
        assert_eq!(
            (status.as_u16(), &answer["code"]),
            (400, &json!("invalid_report")),
            "{bad}"
        );
    }

    let off = json!({"enabled": false, "won_value_field": null, "currency": "EUR"});
    let path = "/crm-connections/production/roi-reporting";
    let (status, answer) = tenant.api(Method::PUT, path, Some(off)).await;
    assert_eq!(status, 200, "{answer}");
    let keep = json!({"name": "Off", "question": report["question"]});
    let (status, answer) = tenant.api(Method::POST, "/roi/reports", Some(keep)).await;
    assert_eq!(
        (status.as_u16(), &answer["code"]),
        (409, &json!("roi_is_off")),
        "nothing is kept of figures that nobody refreshes"
    );
    harness.stop().await;
}

/// CN-10, RO-1: once it is chosen, a field of the organisation's own is imported, and gives the value of what was
/// won.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_field_of_the_organisations_own_is_the_value_of_what_was_won() {
    for crm in BOTH {
        let harness = Harness::embedded(false).await;
        let tenant = harness.tenant(crm).await;
        let world = DirectoryWorld::of(&tenant).await;
        let (system, object) = (
            world.name("salesforce", "dataverse"),
            world.name("Opportunity", "opportunity"),
        );
        let own = world.name("Won_Value__c", "lb_won");
        let field = json!({ "name": own, "type": world.name("currency", "money") });
        let path = format!("/fields/{system}/{object}");
        harness.control(Method::POST, &path, Some(field)).await;
        let account = world.account("Globex", "https://globex.example").await;
        let deal = match crm {
            CrmKind::Salesforce => json!({
                "Name": "Engines", "AccountId": account.id, "CloseDate": "2026-01-01",
                "StageName": "Closed Won", "Amount": 100, own: 70.5,
            }),
            CrmKind::Dynamics365 => json!({
                "name": "Engines", "_parentaccountid_value": account.id,
                "estimatedclosedate": "2026-01-01", "statecode": 1, "statuscode": 3,
                "estimatedvalue": 100, "actualvalue": 100, own: 70.5,
            }),
        };
        world.create(object, deal).await;
        for (chosen, value) in [(Json::Null, "100.00"), (json!(own), "70.50")] {
            let roi = json!({"enabled": true, "won_value_field": chosen, "currency": "EUR"});
            let path = "/crm-connections/production/roi-reporting";
            let (status, answer) = tenant.api(Method::PUT, path, Some(roi)).await;
            assert_eq!(status, 200, "{answer}");
            // Older than a worker keeps the settings.
            world.advance(60).await;
            world.import_only().await;
            let (store, queue) = (world.store(), &world.apps.import.queue);
            let now = world.clock.now();
            let asked = runs::request(store, queue, world.id(), RunKind::Roi, "test", now, 0);
            asked.await.unwrap();
            let message = ImportMessage {
                contract: world.id().clone(),
                work: WorkKind::Run(RunKind::Roi),
            };
            crm_import::work(&world.apps.import, &message).await;
            let day = |seconds: i64| now.plus_seconds(seconds).to_string()[..10].to_owned();
            let (from, to) = (day(-30 * DAY), day(DAY));
            let path = format!("/roi?period=year&from={from}&to={to}&currency=EUR");
            let (_, report) = tenant.api(Method::GET, &path, None).await;
            assert_eq!(
                report["total"]["all"]["won_value"], value,
                "{crm:?} {report}"
            );
        }
        harness.stop().await;
    }
}
