//! Imports (IM-2, IM-4, IM-5): after any events in the CRM and in the workers, the mirror ends in the CRM's
//! state.
//!
//! Records are created, changed, deleted, restored, merged and given to other owners, between and during
//! imports whose workers die at any call, are raced, throttled, and sent lost, truncated and senseless
//! answers, expired tokens, deltas and pages. After a last quiet import the mirror is compared with the
//! CRM field by field, and the match keys with the records.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use reqwest::Method;
use serde_json::{Map, Value, json};
use shared::clock::Clock as _;
use shared::domain::environment::Environment;
use shared::domain::inventory::objects;
use shared::domain::match_keys::MatchKey;
use shared::domain::schema::CrmKind;
use shared::domain::sync::{Sync, SyncState};
use shared::domain::vocabulary::{Field, Kind};
use shared::queue::ImportMessage;
use shared::store::{Mirror, WorkKind};
use shared::testing::{Cut, FixedClock, Tripwire};

use super::{Dice, History, Tally};
use crate::worker::{clock, process};
use crate::{Harness, Tenant};

/// Rounds of changes and steps in a history.
const ROUNDS: usize = 40;

const TEXTS: &[&str] = &[
    "Ada",
    "O'Brien",
    "Müller",
    "Łukasz",
    "北京",
    "a, \"quoted\" one",
    "two\nlines",
    "=1+1",
    "👩‍🔧 Works",
    "Zoë  B",
];

struct World<'a> {
    tenant: &'a Tenant<'a>,
    crm: CrmKind,
    system: &'static str,
    clock: Arc<FixedClock>,
    dice: Dice,
    tally: &'a Tally,
    /// The events so far, for the message of a failure.
    log: Vec<String>,
}

/// Runs a history.
pub(super) async fn run(history: History, tally: &Tally) {
    let harness = Harness::embedded(false).await;
    let crm = history.crm();
    let tenant = harness.tenant(crm).await;
    let mut world = World {
        tenant: &tenant,
        crm,
        system: match crm {
            CrmKind::Salesforce => "salesforce",
            CrmKind::Dynamics365 => "dataverse",
        },
        clock: clock(),
        dice: history.dice(),
        tally,
        log: vec![history.to_string()],
    };
    let by_jobs = crm == CrmKind::Salesforce && world.dice.roll(2) == 1;
    let some_fail = world.dice.roll(2) == 1;
    world.set_clock().await;
    // Pages and jobs small enough that a few records need several.
    let settings = match crm {
        // Every other organisation seems large enough for query jobs; in half of them some jobs fail.
        CrmKind::Salesforce => json!({"salesforce": {
            "page_size": 7, "bulk_page_rows": 5, "bulk_polls": 1,
            "record_count_lag": if by_jobs { 5000 } else { 0 }, "bulk_timeout_rows": if by_jobs && some_fail { 12 } else { 0 },
        }}),
        CrmKind::Dynamics365 => json!({"dataverse": {"page_size": 4}}),
    };
    world
        .control(Method::PATCH, "/settings", Some(settings))
        .await;
    for _ in 0..20 {
        world.change().await;
    }
    for _ in 0..ROUNDS {
        tally.step();
        match world.dice.roll(3) {
            0 | 1 => world.change().await,
            _ => Box::pin(world.step()).await,
        }
    }
    world.calm().await;
    // The run that is under way may have read before the last change; the next has not.
    world.bring_to_end().await;
    world.bring_to_end().await;
    world.compare().await;
    let ledger = world.control(Method::GET, "/ledger/summary", None).await;
    tally.faults(&ledger);
    assert_eq!(
        ledger.to_string().contains("/jobs/query"),
        by_jobs,
        "{ledger}"
    );
    harness.stop().await;
}

impl World<'_> {
    async fn control(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        self.tenant.harness.control(method, path, body).await
    }

    /// The CRM's clock goes with ours.
    async fn set_clock(&self) {
        let now = json!({"now_ms": self.clock.now().0});
        self.control(Method::POST, "/clock", Some(now)).await;
    }

    async fn advance(&self, seconds: i64) {
        self.clock.advance(seconds);
        self.set_clock().await;
    }

    async fn rows(&self, object: &str, deleted: bool) -> Vec<Value> {
        let path = format!(
            "/records/{}/{object}?include_deleted={deleted}",
            self.system
        );
        let rows = self.control(Method::GET, &path, None).await;
        rows.as_array().cloned().unwrap()
    }

    fn id(&self, object: &str, row: &Value) -> String {
        let field = match self.crm {
            CrmKind::Salesforce => "Id".to_owned(),
            CrmKind::Dynamics365 => format!("{object}id"),
        };
        row[field.as_str()].as_str().unwrap().to_owned()
    }

    /// Ids of records that are there.
    async fn ids(&self, object: &str) -> Vec<String> {
        let rows = self.rows(object, false).await;
        rows.iter().map(|row| self.id(object, row)).collect()
    }

    fn object(&mut self) -> &'static str {
        let objects: &[&str] = match self.crm {
            CrmKind::Salesforce => &[
                "Account",
                "Contact",
                "Lead",
                "Lead",
                "Opportunity",
                "OpportunityContactRole",
                "UserRole",
            ],
            CrmKind::Dynamics365 => &[
                "account",
                "contact",
                "lead",
                "lead",
                "opportunity",
                "position",
            ],
        };
        self.dice.one(objects).unwrap()
    }

    /// Values of a record, new or changed.
    async fn values(&mut self, object: &str, new: bool) -> Option<Value> {
        let text = self.dice.one(TEXTS).unwrap().to_owned();
        let number = self.dice.roll(100_000);
        let email = format!("p{}@{}", self.dice.roll(30), self.tenant.domain);
        let mut values = match object {
            "Account" => {
                json!({"Name": text, "AnnualRevenue": number, "Website": "www.example.com/x", "Fax": ""})
            }
            "Contact" => {
                json!({"LastName": text, "FirstName": "Zoë", "Email": email, "MailingCity": text})
            }
            "Lead" => {
                json!({"LastName": text, "Company": text, "Email": email, "Street": "1, Main St\n\"B\"", "NumberOfEmployees": number})
            }
            "Opportunity" => {
                json!({"Name": text, "StageName": "Prospecting", "CloseDate": "2026-02-28", "Amount": f64::from(u32::try_from(number).unwrap()) / 4.0})
            }
            "UserRole" => json!({"Name": text}),
            "OpportunityContactRole" => {
                let opportunities = self.ids("Opportunity").await;
                let contacts = self.ids("Contact").await;
                let opportunity = self.dice.one(&opportunities)?;
                let contact = self.dice.one(&contacts)?;
                if new {
                    json!({"OpportunityId": opportunity, "ContactId": contact, "Role": "Decision Maker"})
                } else {
                    json!({"Role": "Influencer"})
                }
            }
            "account" => {
                json!({"name": text, "revenue": number, "websiteurl": "www.example.com/x", "fax": null})
            }
            "contact" => {
                json!({"lastname": text, "firstname": "Zoë", "emailaddress1": email, "address1_city": text})
            }
            "lead" => {
                json!({"lastname": text, "companyname": text, "subject": text, "emailaddress1": email, "numberofemployees": number})
            }
            "opportunity" => {
                json!({"name": text, "estimatedvalue": f64::from(u32::try_from(number).unwrap()) / 4.0})
            }
            "position" => json!({"name": text}),
            other => panic!("no values for {other}"),
        };
        if !new && self.dice.roll(2) == 0 {
            // Fewer fields, one of them emptied.
            let values = values.as_object_mut().unwrap();
            let keep: Vec<String> = values.keys().skip(1).take(1).cloned().collect();
            values.retain(|name, _| keep.contains(name));
            if let Some(name) = keep
                .first()
                .filter(|name| name.to_lowercase().contains("mail") || name.contains("Revenue"))
            {
                values.insert(name.clone(), Value::Null);
            }
        }
        Some(values)
    }

    /// Something happens in the CRM.
    async fn change(&mut self) {
        // Often within the same second as the change before.
        let pause = [0, 0, 0, 1, 5][self.dice.roll(5)];
        self.advance(pause).await;
        let object = self.object();
        let system = self.system;
        let ids = self.ids(object).await;
        let id = self.dice.one(&ids);
        let act = if ids.len() < 3 { 0 } else { self.dice.roll(10) };
        match (act, id) {
            (0..=2, _) | (_, None) => {
                if let Some(values) = self.values(object, true).await {
                    self.log.push(format!("new {object} {values}"));
                    self.control(
                        Method::POST,
                        &format!("/records/{system}/{object}"),
                        Some(values),
                    )
                    .await;
                }
            }
            (3..=5, Some(id)) => {
                if let Some(values) = self.values(object, false).await {
                    self.log.push(format!("change {object} {id} {values}"));
                    self.control(
                        Method::PATCH,
                        &format!("/records/{system}/{object}/{id}"),
                        Some(values),
                    )
                    .await;
                }
            }
            (6, Some(id)) => {
                self.log.push(format!("delete {object} {id}"));
                self.try_control(
                    Method::DELETE,
                    &format!("/records/{system}/{object}/{id}"),
                    Value::Null,
                )
                .await;
            }
            (7, Some(_)) => self.restore_or_purge(object).await,
            (8, Some(loser)) => {
                let merges = matches!(
                    object.to_lowercase().as_str(),
                    "account" | "contact" | "lead"
                );
                let winner = self.dice.one(&ids).filter(|winner| *winner != loser);
                if let (true, Some(winner)) = (merges, winner) {
                    self.log
                        .push(format!("merge {object} {loser} into {winner}"));
                    let into = json!({"into": winner});
                    self.try_control(
                        Method::POST,
                        &format!("/records/{system}/{object}/{loser}/merge"),
                        into,
                    )
                    .await;
                }
            }
            (_, Some(id)) => self.give_away(object, &id).await,
        }
    }

    /// Asks the simulator for something that it may refuse as the CRM would: a merge of a merged record, say.
    async fn try_control(&self, method: Method, path: &str, body: Value) {
        let harness = self.tenant.harness;
        let url = harness.simulator.control.join(path).unwrap();
        let answer = harness
            .http
            .request(method, url)
            .json(&body)
            .send()
            .await
            .unwrap();
        assert!(
            !answer.status().is_server_error(),
            "{path}: {}",
            answer.status()
        );
    }

    async fn restore_or_purge(&mut self, object: &str) {
        let rows = self.rows(object, true).await;
        let there: BTreeSet<String> = self.ids(object).await.into_iter().collect();
        let gone: Vec<String> = rows
            .iter()
            .map(|row| self.id(object, row))
            .filter(|id| !there.contains(id))
            .collect();
        if let Some(id) = self.dice.one(&gone) {
            let act = if self.dice.roll(3) == 0 {
                "purge"
            } else {
                "undelete"
            };
            self.log.push(format!("{act} {object} {id}"));
            let path = format!("/records/{}/{object}/{id}/{act}", self.system);
            self.try_control(Method::POST, &path, json!({})).await;
        }
    }

    async fn give_away(&mut self, object: &str, id: &str) {
        let owned = matches!(
            object.to_lowercase().as_str(),
            "account" | "contact" | "lead" | "opportunity"
        );
        if !owned {
            return;
        }
        let (users, field) = match self.crm {
            CrmKind::Salesforce => (self.ids("User").await, "OwnerId"),
            CrmKind::Dynamics365 => (self.ids("systemuser").await, "ownerid"),
        };
        if let Some(user) = self.dice.one(&users) {
            self.log.push(format!("{object} {id} to {user}"));
            let path = format!("/records/{}/{object}/{id}", self.system);
            self.try_control(Method::PATCH, &path, json!({field: user}))
                .await;
        }
    }

    fn message(&self) -> ImportMessage {
        ImportMessage {
            contract: self.tenant.made.id.clone(),
            work: WorkKind::Sync(Environment::Production),
        }
    }

    async fn sync(&self) -> Option<Sync> {
        let store = &self.tenant.harness.store;
        store
            .sync(&self.tenant.made.id, Environment::Production)
            .await
            .unwrap()
    }

    async fn ask(&self) {
        let stack = self.tenant.harness.embedded_stack();
        let apps = process(stack, &Tripwire::new(), &self.clock);
        let task = crm_import::Task::StartSyncs {
            contract: Some(self.tenant.made.id.clone()),
        };
        crm_import::run(&apps.import, task).await.unwrap();
    }

    /// Something happens to the import.
    async fn step(&mut self) {
        let stack = self.tenant.harness.embedded_stack();
        if self.sync().await.is_none_or(|sync| !sync.is_open()) {
            self.log.push("a run is asked for".to_owned());
            self.ask().await;
        }
        self.trouble().await;
        let at = self.dice.roll(60);
        let (first, second) = match self.dice.roll(5) {
            0 => (Tripwire::cutting(Cut::Before(at)), None),
            1 => (Tripwire::cutting(Cut::After(at)), None),
            2 => (Tripwire::new(), Some(Tripwire::new())),
            _ => (Tripwire::new(), None),
        };
        let message = self.message();
        let worker = process(stack, &first, &self.clock);
        if let Some(second) = &second {
            self.log.push("two workers at once".to_owned());
            let other = process(stack, second, &self.clock);
            tokio::join!(
                crm_import::work(&worker.import, &message),
                crm_import::work(&other.import, &message)
            );
            if let (Some(a), Some(b)) = (first.span(), second.span()) {
                assert!(
                    a.1 <= b.0 || b.1 <= a.0,
                    "a run was active twice: {:#?}",
                    self.log
                );
            }
        } else {
            let done = crm_import::work(&worker.import, &message).await;
            self.log
                .push(format!("a worker, died: {}, done: {done}", first.has_cut()));
            self.tally.cut(&first);
            self.tally.cut(&first);
            if first.has_cut() && self.dice.roll(2) == 0 {
                // While the dead worker's lease runs, no other gets in.
                let wire = Tripwire::new();
                let early = process(stack, &wire, &self.clock);
                let before = self.sync().await.unwrap();
                crm_import::work(&early.import, &message).await;
                if before.is_leased(self.clock.now()) {
                    assert_eq!(wire.outside_calls(), 0, "{:#?}", self.log);
                }
            }
        }
        let pause = [0, 3, 30, 200, 1900][self.dice.roll(5)];
        self.advance(pause).await;
    }

    /// The CRM misbehaves from now on, for a few calls.
    async fn trouble(&mut self) {
        let system = self.system;
        let skip = self.dice.roll(12);
        let fault = match self.dice.roll(14) {
            0 => json!({"kind": "status", "status": 429, "retry_after_s": 20}),
            1 => json!({"kind": "status", "status": 503}),
            2 => json!({"kind": "status", "status": 500, "times": 3}),
            3 => json!({"kind": "lost_reply"}),
            4 => json!({"kind": "truncate"}),
            5 => json!({"kind": "garbage"}),
            6 => json!({"kind": "expired_token"}),
            7 => json!({"kind": "drop", "times": 2}),
            8 => {
                self.log.push("the pages expire".to_owned());
                self.expire_pages().await;
                return;
            }
            _ => return,
        };
        let mut fault = fault;
        fault["system"] = json!(system);
        fault["skip"] = json!(skip);
        self.log.push(format!("trouble: {fault}"));
        self.control(Method::POST, "/faults", Some(fault)).await;
    }

    async fn expire_pages(&mut self) {
        let paths: &[&str] = match self.crm {
            CrmKind::Salesforce => &["/salesforce/expire-locators"],
            CrmKind::Dynamics365 => &["/dataverse/expire-deltas", "/dataverse/expire-skiptokens"],
        };
        let path = self.dice.one(paths).unwrap();
        self.try_control(Method::POST, path, json!({})).await;
    }

    /// From now on nothing goes wrong.
    async fn calm(&mut self) {
        self.log.push("calm".to_owned());
        self.control(Method::DELETE, "/faults", None).await;
        self.advance(3600).await;
    }

    /// Brings a run to its end; asks for one if none is open.
    async fn bring_to_end(&mut self) {
        let stack = self.tenant.harness.embedded_stack();
        if self.sync().await.is_none_or(|sync| !sync.is_open()) {
            self.ask().await;
        }
        let apps = process(stack, &Tripwire::new(), &self.clock);
        for _ in 0..200 {
            crm_import::work(&apps.import, &self.message()).await;
            let sync = self.sync().await.unwrap();
            if !sync.is_open() {
                assert_eq!(
                    sync.state,
                    SyncState::Succeeded,
                    "{:?} {:#?}",
                    sync.problem,
                    self.log
                );
                return;
            }
            self.advance(60).await;
        }
        let objects = self
            .tenant
            .harness
            .store
            .object_syncs(&self.tenant.made.id, Environment::Production)
            .await;
        panic!(
            "the run does not end: {:#?} {objects:#?} {:#?}",
            self.sync().await,
            self.log
        );
    }

    /// The mirror against the CRM, and the match keys against the mirror.
    async fn compare(&self) {
        let store = &self.tenant.harness.store;
        let contract = &self.tenant.made.id;
        let keys = self.match_keys().await;
        for spec in objects(self.crm)
            .iter()
            .filter(|spec| !spec.several_currencies_only)
        {
            let rows = self.rows(spec.name, false).await;
            let expected: BTreeMap<String, Map<String, Value>> = rows
                .iter()
                .map(|row| {
                    (
                        self.id(spec.name, row).to_lowercase(),
                        self.canonical(spec.fields(false), row),
                    )
                })
                .collect();
            let found = self.mirrored(spec.name, keys.get(spec.name)).await;
            let missing: Vec<_> = expected
                .keys()
                .filter(|id| !found.contains_key(*id))
                .collect();
            let surplus: Vec<_> = found
                .keys()
                .filter(|id| !expected.contains_key(*id))
                .collect();
            self.tally.lost(missing.len());
            self.tally.doubled(surplus.len());
            assert!(
                missing.is_empty() && surplus.is_empty(),
                "{}: missing {missing:?}, surplus {surplus:?}: {:#?}",
                spec.name,
                self.log
            );
            for (id, expected) in &expected {
                assert_eq!(&found[id], expected, "{} {id}: {:#?}", spec.name, self.log);
            }
            let syncs = store
                .object_syncs(contract, Environment::Production)
                .await
                .unwrap();
            let sync = syncs.iter().find(|sync| sync.object == spec.name).unwrap();
            assert_eq!(
                sync.records,
                expected.len() as u64,
                "{}: {:#?}",
                spec.name,
                self.log
            );
        }
    }

    /// Every record of the mirror; fails on any inconsistency. `kept` is the number of the object's match
    /// keys in the table.
    async fn mirrored(
        &self,
        object: &'static str,
        kept: Option<&usize>,
    ) -> BTreeMap<String, Map<String, Value>> {
        let (store, contract) = (&self.tenant.harness.store, &self.tenant.made.id);
        let mirror = Mirror {
            contract,
            environment: Environment::Production,
            crm: self.crm,
            object,
            default_region: None,
        };
        let mut found = BTreeMap::new();
        let mut keys = 0;
        let mut from: Option<String> = None;
        loop {
            let page = mirror.page(store, from.as_deref(), 50).await.unwrap();
            for record in page.items {
                let Some(values) = record.values else {
                    assert!(
                        record.merged_into.is_some(),
                        "{object} {}: {:#?}",
                        record.id,
                        self.log
                    );
                    continue;
                };
                keys += record.keys.len();
                for key in &record.keys {
                    let key = MatchKey::stored(key);
                    let known = store
                        .by_match_key(contract, Environment::Production, &key, Some(object), 500)
                        .await
                        .unwrap();
                    assert!(
                        known.iter().any(|(_, id)| *id == record.id),
                        "{object} {} is not found by {key:?}",
                        record.id
                    );
                }
                found.insert(record.id.to_lowercase(), values);
            }
            from = page.next;
            if from.is_none() {
                assert_eq!(
                    kept.copied().unwrap_or_default(),
                    keys,
                    "match keys of {object} without their records: {:#?}",
                    self.log
                );
                return found;
            }
        }
    }

    /// The number of match keys in the table, by object.
    async fn match_keys(&self) -> BTreeMap<String, usize> {
        let client = shared::aws::dynamodb(&self.tenant.harness.embedded_stack().aws);
        let prefix = format!("C#{}#MATCHKEY#", self.tenant.made.id);
        let (mut counts, mut start) = (BTreeMap::new(), None);
        loop {
            let page = client
                .scan()
                .table_name(local::TABLE)
                .set_exclusive_start_key(start)
                .send()
                .await
                .unwrap();
            let keys = page
                .items()
                .iter()
                .filter(|item| item["PK"].as_s().unwrap().starts_with(&prefix));
            for key in keys {
                let object = key["SK"].as_s().unwrap().rsplit('#').nth(1);
                *counts.entry(object.unwrap().to_owned()).or_default() += 1;
            }
            start = page.last_evaluated_key;
            if start.is_none() {
                return counts;
            }
        }
    }

    /// A row as the mirror should have it, read in this test's own way.
    fn canonical(
        &self,
        fields: impl Iterator<Item = &'static str>,
        row: &Value,
    ) -> Map<String, Value> {
        let mut values = Map::new();
        let known = |name: &str| -> &'static Field {
            let mut specs = objects(self.crm).iter();
            specs.find_map(|spec| spec.field(name)).unwrap()
        };
        for field in fields.filter(|field| !known(field).control) {
            let value = match &row[field] {
                Value::Null => continue,
                Value::String(text) if text.is_empty() => continue,
                Value::String(text) => match known(field).kind {
                    Kind::Instant => {
                        let text = text.replace("+0000", "Z");
                        let at: i64 = jiff_millis(&text);
                        json!(shared::clock::Millis(at).to_string())
                    }
                    _ => json!(text),
                },
                Value::Number(number) if number.as_f64().is_some_and(|n| n.fract() == 0.0) => {
                    #[expect(clippy::cast_possible_truncation, reason = "whole")]
                    let whole = number.as_f64().unwrap() as i64;
                    json!(whole)
                }
                other => other.clone(),
            };
            values.insert(field.to_owned(), value);
        }
        values
    }
}

fn jiff_millis(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}
