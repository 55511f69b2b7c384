//! Activities (WB-2 to WB-5, WB-7 to WB-9): any stream of them is in the CRM once, or waits for a reason that
//! people see; and no other record of the CRM changes.
//!
//! Two contracts share an organisation, and each has two seat holders. They send activities of all kinds, some
//! of them twice. Several workers get each message, and die at any call. The CRM loses replies, refuses and
//! slows down; sign-ins and permissions end; records are deleted, merged and converted, and people matched
//! anew, while workers write. Then all is quiet, and both sides are compared.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::event::sqs::SqsEvent;
use local::Apps;
use local::seed::{Maker, Remote};
use matching::Record;
use reqwest::Method;
use serde_json::{Value, json};
use shared::clock::Clock as _;
use shared::domain;
use shared::domain::activity::{Activity, ActivityKind, ActivityState, Draft, Given};
use shared::domain::contract::AuditEntry;
use shared::domain::directory::{EntryKind, EntryRef, RecordRef};
use shared::domain::environment::Environment;
use shared::domain::ids::SeatId;
use shared::domain::role::Role;
use shared::domain::run::RunKind;
use shared::domain::schema::CrmKind;
use shared::domain::seat::SeatInput;
use shared::invitation::NewInvitation;
use shared::linking::Act;
use shared::oauth::Tokens;
use shared::outbound::Provider;
use shared::queue::{ActivitiesWork, ImportMessage, WritebackMessage};
use shared::random::{Random as _, SystemRandom};
use shared::store::{Accepted, ConnectionKind, RemoteUser, WorkKind};
use shared::testing::{Cut, FixedClock, Tripwire};

use super::{Dice, History, Tally};
use crate::directory_world::DirectoryWorld;
use crate::notes::as_tasks;
use crate::worker::{clock, process};
use crate::{Harness, Tenant};

const PRODUCTION: Environment = Environment::Production;
/// Steps of a history.
const STEPS: usize = 30;
/// Longer than any lease, back-off and grace, in seconds.
const ROUND_SECONDS: i64 = 1100;
/// Rounds after which all has to be settled.
const ROUNDS: usize = 15;
/// More than a seat holder sends.
const MANY: usize = 200;
/// Days for which a seat holder's sign-in is good.
const SIGN_IN_DAYS: i64 = 90;
/// The objects whose records nothing of ours may change, in both CRMs.
const OBJECTS: [(&str, &str); 4] = [
    ("Contact", "contact"),
    ("Lead", "lead"),
    ("Account", "account"),
    ("User", "systemuser"),
];

/// A seat holder.
struct Seat {
    id: SeatId,
    /// The name of their user in the CRM.
    user: &'static str,
    /// The CRM's id of that user.
    user_id: String,
}

/// A contract with its people, and their records in the CRM.
struct Desk<'a> {
    world: DirectoryWorld<'a>,
    seats: Vec<Seat>,
    people: Vec<EntryRef>,
    company: EntryRef,
    /// Leads and contacts that were there at the beginning.
    records: Vec<RecordRef>,
}

/// A message of the queue that can be delivered.
#[derive(Clone)]
struct Message {
    desk: usize,
    work: ActivitiesWork,
}

/// The organisation as people left it.
#[derive(Default)]
struct Reference {
    /// Each record that nothing of ours may change, by object and id.
    records: BTreeMap<(String, String), Value>,
    /// The ids of the records that each target was ever linked to.
    linked: BTreeMap<(usize, EntryRef), BTreeSet<String>>,
    merged: BTreeMap<String, String>,
    /// Connections whose sign-in ended: a contract's own, or that of a seat.
    ended: BTreeSet<(usize, Option<usize>)>,
    /// Something ended or was denied at some time, so activities may have failed.
    refused: bool,
    log: Vec<String>,
}

struct Run<'a> {
    harness: &'a Harness,
    crm: CrmKind,
    clock: Arc<FixedClock>,
    /// A process that nothing happens to.
    apps: Apps,
    desks: Vec<Desk<'a>>,
    dice: Dice,
    tally: &'a Tally,
    reference: Reference,
    /// The activities that were accepted.
    sent: Vec<Activity>,
    /// The number of the next activity.
    next: usize,
    messages: Vec<Message>,
    /// Refresh tokens of the connections.
    tokens: BTreeMap<(usize, Option<usize>), String>,
}

/// Runs a history.
pub(super) async fn run(history: History, tally: &Tally) {
    let harness = Harness::embedded(false).await;
    let crm = history.crm();
    let tenants = [harness.tenant(crm).await, harness.tenant(crm).await];
    let clock = clock();
    let mut desks = Vec::new();
    for tenant in &tenants {
        desks.push(Desk::open(tenant, &clock).await);
    }
    let mut run = Run {
        harness: &harness,
        crm,
        apps: process(harness.embedded_stack(), &Tripwire::new(), &clock),
        clock,
        desks,
        dice: history.dice(),
        tally,
        reference: Reference::default(),
        sent: Vec::new(),
        next: 0,
        messages: Vec::new(),
        tokens: BTreeMap::new(),
    };
    run.log(history.to_string());
    run.begin().await;
    for _ in 0..STEPS {
        tally.step();
        match run.dice.roll(16) {
            0..4 => run.send().await,
            4..10 => run.deliver().await,
            10..13 => run.change().await,
            13 => run.time_goes_by().await,
            14 => run.sign_in().await,
            _ => run.import().await,
        }
    }
    run.quiet().await;
    // What waited for people goes on when they have acted.
    run.mend().await;
    run.quiet().await;
    run.compare().await;
    run.forget().await;
    tally.faults(&harness.control(Method::GET, "/ledger/summary", None).await);
    drop(run);
    harness.stop().await;
}

impl<'a> Desk<'a> {
    async fn open(tenant: &'a Tenant<'a>, clock: &Arc<FixedClock>) -> Self {
        let world = DirectoryWorld::with(tenant, clock.clone()).await;
        let (mut records, mut people) = (Vec::new(), Vec::new());
        let mut linked = Vec::new();
        for (n, name) in ["Ada", "Bea", "Cleo", "Dora", "Elsa", "Fern"]
            .into_iter()
            .enumerate()
        {
            let email = tenant.email(&name.to_lowercase());
            let record = if n % 2 == 0 {
                world.contact(name, "Writer", &email, None).await
            } else {
                world.lead(name, "Writer", &email, "Writers").await
            };
            records.push(record.clone());
            let id = world.profile(name, "Writer", &email, "Writers").await;
            let kind = EntryKind::Profile;
            people.push(EntryRef { kind, id });
            // Nobody has matched the last two.
            if n < 4 {
                linked.push((EntryRef { kind, id }, record));
            }
        }
        let account = world.account(&tenant.domain, "").await;
        let record = Record {
            name: tenant.domain.clone(),
            ..Record::default()
        };
        let kind = EntryKind::Company;
        let id = world.add(kind, record).await;
        let company = EntryRef { kind, id };
        linked.push((company, account));
        world.import_only().await;
        for (entry, record) in linked {
            let act = Act::Match(record);
            let linking = world.linking();
            let done = linking.decide(entry.kind, entry.id, act, "ann", &SystemRandom);
            done.await.expect("a record that was imported");
        }
        Self {
            world,
            seats: Vec::new(),
            people,
            company,
            records,
        }
    }
}

impl Run<'_> {
    fn log(&mut self, line: impl Into<String>) {
        self.reference.log.push(line.into());
    }

    fn system(&self) -> &'static str {
        match self.crm {
            CrmKind::Salesforce => "salesforce",
            CrmKind::Dynamics365 => "dataverse",
        }
    }

    fn is_salesforce(&self) -> bool {
        self.crm == CrmKind::Salesforce
    }

    fn name(&self, salesforce: &'static str, dataverse: &'static str) -> &'static str {
        if self.is_salesforce() {
            salesforce
        } else {
            dataverse
        }
    }

    async fn control(&self, method: Method, path: &str, body: Value) -> Value {
        let body = Some(body).filter(|body| !body.is_null());
        self.harness.control(method, path, body).await
    }

    async fn settings(&self, settings: Value) {
        let body = json!({ self.system(): settings });
        self.control(Method::PATCH, "/settings", body).await;
    }

    async fn advance(&self, seconds: i64) {
        self.desks[0].world.advance(seconds).await;
    }

    /// Gives everybody a seat and a sign-in, and remembers the organisation.
    async fn begin(&mut self) {
        for desk in 0..self.desks.len() {
            for (user, name) in [
                ("seller@leadbridge.example", "Sol"),
                ("admin@leadbridge.example", "Ada"),
            ] {
                let contract = self.desks[desk].world.id().clone();
                let person = SeatInput {
                    name: name.to_owned(),
                    email: user.to_owned(),
                    role: Role::Salesperson,
                };
                let invitation = NewInvitation::new(&SystemRandom, self.clock.now());
                let invited = self
                    .maker(desk)
                    .invite(&contract, person, &invitation)
                    .await;
                self.desks[desk].seats.push(Seat {
                    id: invited.expect("a seat"),
                    user,
                    user_id: String::new(),
                });
            }
            for seat in [None, Some(0), Some(1)] {
                self.connect(desk, seat).await;
            }
            self.note_links(desk).await;
        }
        if self.is_salesforce() && self.dice.roll(3) == 0 {
            self.settings(json!({ "leadbridge_fields_installed": false }))
                .await;
        }
        self.reference.records = self.others().await;
    }

    fn maker(&self, desk: usize) -> Maker<'_> {
        let remote = &self.desks[desk].world.apps.import.remote;
        Maker {
            store: &remote.store,
            vault: &remote.vault,
            random: &SystemRandom,
            now: self.clock.now(),
        }
    }

    /// Signs in the contract, or one of its seat holders.
    async fn connect(&mut self, desk: usize, seat: Option<usize>) {
        let provider = match self.crm {
            CrmKind::Salesforce => Provider::Salesforce,
            CrmKind::Dynamics365 => Provider::Dataverse,
        };
        let user = seat.map_or("admin@leadbridge.example", |seat| {
            self.desks[desk].seats[seat].user
        });
        let wish = json!({ "provider": provider.as_str(), "user": user });
        let minted = self.control(Method::POST, "/tokens", wish).await;
        let text = |name: &str| minted[name].as_str().map(str::to_owned);
        let tokens = Tokens {
            access_token: text("access_token").expect("a token"),
            refresh_token: text("refresh_token"),
            expires_at: None,
        };
        let user_id = text("user_id").expect("a user");
        let addresses = &self.harness.simulator;
        let base_url = match self.crm {
            CrmKind::Salesforce => &addresses.salesforce,
            CrmKind::Dynamics365 => &addresses.dataverse,
        };
        let kind = match seat {
            Some(seat) => ConnectionKind::User(self.desks[desk].seats[seat].id, PRODUCTION),
            None => ConnectionKind::PRODUCTION,
        };
        let organization = text("organization_id").unwrap_or_default();
        let to = Remote {
            kind,
            provider,
            base_url,
            auth_url: base_url,
            organization: &organization,
            tenant: text("tenant"),
            user: Some(RemoteUser {
                id: user_id.clone(),
                username: Some(user.to_owned()),
            }),
            valid_until: Some(self.clock.now().plus_seconds(SIGN_IN_DAYS * 24 * 3600)),
            tokens: &tokens,
        };
        let contract = self.desks[desk].world.id().clone();
        let connected = self.maker(desk).connect(&contract, to).await;
        connected.expect("the table answers");
        if let Some(seat) = seat {
            self.desks[desk].seats[seat].user_id = user_id;
        }
        let refresh = tokens.refresh_token.unwrap_or_default();
        self.tokens.insert((desk, seat), refresh);
        self.reference.ended.remove(&(desk, seat));
    }

    /// The records of the CRM that are no activities, by object and id.
    async fn others(&self) -> BTreeMap<(String, String), Value> {
        let mut all = BTreeMap::new();
        for (salesforce, dataverse) in OBJECTS {
            let object = self.name(salesforce, dataverse);
            let path = format!("/records/{}/{object}", self.system());
            let rows = self.control(Method::GET, &path, Value::Null).await;
            for row in rows.as_array().expect("a list") {
                let id = row.get("Id").or_else(|| row.get(format!("{object}id")));
                let id = id.and_then(Value::as_str).expect("an id").to_owned();
                all.insert((object.to_owned(), id), row.clone());
            }
        }
        all
    }

    /// Takes over changes of people to these records, and new records.
    async fn changed(&mut self, touched: &[&RecordRef]) {
        let now = self.others().await;
        for record in touched {
            let key = (record.object.clone(), record.id.clone());
            self.reference.records.remove(&key);
        }
        for (key, row) in now {
            self.reference.records.entry(key).or_insert(row);
        }
    }

    /// Remembers the records that the targets of a contract are linked to.
    async fn note_links(&mut self, desk: usize) {
        let of = &self.desks[desk];
        for entry in of.people.iter().chain([&of.company]) {
            if let Some(record) = of.world.link_of(entry.kind, entry.id).await {
                let known = self.reference.linked.entry((desk, *entry));
                known.or_default().insert(record.id);
            }
        }
    }

    /// Seat holders send activities, some of them again.
    async fn send(&mut self) {
        let desk = self.dice.roll(self.desks.len());
        let seat = self.dice.roll(2);
        let seat_id = self.desks[desk].seats[seat].id;
        let now = self.clock.now();
        let mut activities = Vec::new();
        for _ in 0..=self.dice.roll(6) {
            let own = self.sent.iter().filter(|sent| sent.seat == seat_id);
            let own: Vec<Activity> = own.cloned().collect();
            if self.dice.roll(5) == 0
                && let Some(again) = self.dice.one(&own)
            {
                activities.push(again);
                continue;
            }
            let number = self.next;
            self.next += 1;
            let (target, kind) = if self.dice.roll(6) == 0 {
                (self.desks[desk].company, ActivityKind::Note)
            } else {
                let people = self.desks[desk].people.clone();
                let target = self.dice.one(&people).expect("people");
                (target, self.dice.one(&ActivityKind::ALL).expect("kinds"))
            };
            let long = self.dice.roll(6) == 0;
            let days_ago = i64::try_from(self.dice.roll(900)).unwrap_or_default();
            let given = Given {
                key: format!("a{number}"),
                kind: kind.as_str().to_owned(),
                occurred_at: now.plus_seconds(-24 * 3600 * days_ago),
                thread: (!number.is_multiple_of(3)).then(|| format!("t{}", number % 2)),
                title: "T".repeat(if long { 480 } else { 5 }),
                text: format!(
                    "text of a{number}.{}",
                    "x".repeat(if long { 2500 } else { 0 })
                ),
            };
            let draft = Draft::check(given, target.kind, now).expect("a good activity");
            let contract = self.desks[desk].world.id();
            activities.push(draft.with(contract, seat_id, target, "Sales Navigator", now));
        }
        let store = self.desks[desk].world.store();
        let accepted = store.accept_activities(&activities).await;
        let mut new = Vec::new();
        for (activity, accepted) in activities.into_iter().zip(accepted) {
            let known = self.sent.iter().any(|sent| sent.id == activity.id);
            match accepted.expect("the table answers") {
                Accepted::New => assert!(!known, "{}", activity.key),
                Accepted::Repeat(stored) => {
                    assert!(known && stored.same_as(&activity), "{}", activity.key);
                }
            }
            new.push(activity.id);
            if !known {
                self.reference.log.push(format!(
                    "{desk}.{seat} sends {} {} to {}",
                    activity.key,
                    activity.kind.as_str(),
                    activity.target
                ));
                self.sent.push(activity);
            }
        }
        // The sweep announces those whose message is lost.
        if self.dice.roll(5) > 0 {
            let work = ActivitiesWork {
                contract: self.desks[desk].world.id().clone(),
                seat: seat_id,
                activities: new,
                then: None,
            };
            self.messages.push(Message { desk, work });
        }
    }

    /// Delivers messages to workers at once, some of which die, while the CRM fails and people change things.
    async fn deliver(&mut self) {
        let mut workers = Vec::new();
        for _ in 0..=self.dice.roll(3) {
            if self.messages.is_empty() {
                break;
            }
            let at = self.dice.roll(self.messages.len());
            let message = if self.dice.roll(3) == 0 {
                self.messages[at].clone()
            } else {
                self.messages.swap_remove(at)
            };
            let cut = match (self.dice.roll(5), self.dice.roll(14)) {
                (0, at) => Some(Cut::Before(at)),
                (1, at) => Some(Cut::After(at)),
                _ => None,
            };
            let wire = cut.map_or_else(Tripwire::new, Tripwire::cutting);
            let apps = if cut.is_none() && self.dice.roll(2) == 0 {
                self.apps.clone()
            } else {
                process(self.harness.embedded_stack(), &wire, &self.clock)
            };
            self.reference
                .log
                .push(format!("deliver to {}, {cut:?}", message.desk));
            workers.push((apps, event(&message.work), wire));
        }
        for _ in 0..self.dice.roll(3) {
            self.fault().await;
        }
        let pause = Duration::from_millis(self.dice.roll(40) as u64);
        let changes = self.dice.roll(3) == 0;
        let work = workers.iter().map(|(apps, event, _)| {
            let event = event.clone();
            async move { crm_writeback::handle(&apps.writeback, event).await }
        });
        tokio::join!(futures::future::join_all(work), async {
            tokio::time::sleep(pause).await;
            if changes {
                self.change().await;
            }
        });
        for (_, _, wire) in &workers {
            self.tally.cut(wire);
        }
        if self.dice.roll(2) == 0 {
            self.control(Method::DELETE, "/faults", Value::Null).await;
        }
    }

    /// Plants a fault of the CRM.
    async fn fault(&mut self) {
        let faults = [
            json!({"kind": "lost_reply"}),
            json!({"kind": "drop"}),
            json!({"kind": "truncate"}),
            json!({"kind": "garbage"}),
            json!({"kind": "expired_token"}),
            json!({"kind": "slow", "delay_ms": 20}),
            json!({"kind": "status", "status": 503}),
            json!({"kind": "status", "status": 429, "retry_after_s": 7}),
            json!({"kind": "status", "status": 429, "retry_after_s": 300, "times": 3}),
        ];
        let mut fault = self.dice.one(&faults).expect("faults");
        self.log(format!("fault {fault}"));
        fault["system"] = json!(self.system());
        fault["method"] = json!("POST");
        fault["path_contains"] = json!(self.name("/composite", "$batch"));
        fault["skip"] = json!(self.dice.roll(3));
        self.control(Method::POST, "/faults", fault).await;
    }

    /// Somebody changes the organisation, or a match.
    async fn change(&mut self) {
        match self.dice.roll(10) {
            0 => self.delete().await,
            1 => self.merge().await,
            2 => self.convert().await,
            3 | 4 => self.deny().await,
            5 => self.change_owner().await,
            6 => self.end_sign_in().await,
            _ => self.rematch().await,
        }
    }

    /// A record that is there still.
    fn record(&mut self) -> Option<(usize, RecordRef)> {
        let desk = self.dice.roll(self.desks.len());
        let record = self.dice.one(&self.desks[desk].records)?;
        Some((desk, record))
    }

    async fn delete(&mut self) {
        let Some((desk, record)) = self.record() else {
            return;
        };
        self.log(format!("delete {record}"));
        self.desks[desk].world.delete(&record).await;
        self.desks[desk].records.retain(|other| *other != record);
        self.changed(&[&record]).await;
    }

    async fn merge(&mut self) {
        let Some((desk, loser)) = self.record() else {
            return;
        };
        let others = self.desks[desk].records.iter();
        let others = others.filter(|other| other.object == loser.object && **other != loser);
        let others: Vec<RecordRef> = others.cloned().collect();
        let Some(winner) = self.dice.one(&others) else {
            return;
        };
        self.log(format!("merge {loser} into {winner}"));
        self.desks[desk].world.merge(&loser, &winner).await;
        self.desks[desk].records.retain(|other| *other != loser);
        self.changed(&[&loser, &winner]).await;
        self.reference.merged.insert(loser.id, winner.id);
    }

    async fn convert(&mut self) {
        let Some((desk, lead)) = self.record() else {
            return;
        };
        if !lead.object.eq_ignore_ascii_case("lead") {
            return;
        }
        self.log(format!("convert {lead}"));
        let act = self.name("convert", "qualify");
        let path = format!("{}/{}/{act}", lead.object, lead.id);
        let world = &self.desks[desk].world;
        world.control(Method::POST, &path, Value::Null).await;
        self.desks[desk].records.retain(|other| *other != lead);
        self.changed(&[&lead]).await;
    }

    /// Takes the permission for tasks away, or gives it back; and now and then installs our field.
    async fn deny(&mut self) {
        let denied = self.dice.roll(2) == 0;
        self.reference.refused |= denied;
        self.log(format!("denied: {denied}"));
        let task = self.name("Task", "task");
        let denials = if denied {
            json!({ task: ["create"] })
        } else {
            json!({})
        };
        let mut settings = json!({ "denied": denials });
        if self.is_salesforce() && self.dice.roll(3) == 0 {
            settings["leadbridge_fields_installed"] = json!(true);
        }
        self.settings(settings).await;
    }

    /// Disables or enables the seat holders' user in Dynamics 365.
    async fn change_owner(&mut self) {
        if !self.is_salesforce() {
            let disabled = self.dice.roll(2) == 0;
            self.disable_owner(disabled).await;
        }
    }

    async fn disable_owner(&mut self, disabled: bool) {
        self.log(format!("seller disabled: {disabled}"));
        let user = RecordRef::new("systemuser", &self.desks[0].seats[0].user_id);
        let values = json!({ "isdisabled": disabled });
        self.desks[0].world.change(&user, values).await;
        self.changed(&[&user]).await;
    }

    /// Ends a sign-in that activities are written with, at the CRM.
    async fn end_sign_in(&mut self) {
        let desk = self.dice.roll(self.desks.len());
        let seat = Some(self.dice.roll(2)).filter(|_| self.is_salesforce());
        self.log(format!("the sign-in of {desk}.{seat:?} ends"));
        let provider = self.system();
        let token = self.tokens[&(desk, seat)].clone();
        let revoked = json!({ "provider": provider, "token": token });
        self.control(Method::POST, "/tokens/revoke", revoked).await;
        // Those of the others are renewed.
        let expired = json!({ "provider": provider });
        self.control(Method::POST, "/tokens/expire", expired).await;
        self.reference.ended.insert((desk, seat));
        self.reference.refused = true;
    }

    async fn sign_in(&mut self) {
        let ended: Vec<_> = self.reference.ended.iter().copied().collect();
        if let Some((desk, seat)) = self.dice.one(&ended) {
            self.log(format!("{desk}.{seat:?} signs in"));
            self.connect(desk, seat).await;
        }
    }

    async fn rematch(&mut self) {
        let desk = self.dice.roll(self.desks.len());
        let of = &self.desks[desk];
        let (Some(entry), record) = (self.dice.one(&of.people), self.dice.one(&of.records)) else {
            return;
        };
        let act = match (self.dice.roll(4), record) {
            (0, _) | (_, None) => Act::Unmatch,
            (_, Some(record)) => Act::Match(record),
        };
        // Another person may have the record, or the mirror does not have it.
        let done = of
            .world
            .linking()
            .decide(entry.kind, entry.id, act.clone(), "ann", &SystemRandom)
            .await
            .is_ok();
        self.log(format!("{entry} {act:?}: {done}"));
        self.note_links(desk).await;
    }

    async fn import(&mut self) {
        let desk = self.dice.roll(self.desks.len());
        if self.reference.ended.contains(&(desk, None)) {
            return;
        }
        self.log(format!("import {desk}"));
        self.control(Method::DELETE, "/faults", Value::Null).await;
        self.desks[desk].world.import().await;
        self.note_links(desk).await;
    }

    async fn time_goes_by(&mut self) {
        let seconds = 61 + i64::try_from(self.dice.roll(1000)).unwrap_or_default();
        self.log(format!("{seconds} seconds, sweep"));
        self.advance(seconds).await;
        self.sweep().await;
    }

    /// Runs the sweep, and works on what it announces.
    async fn sweep(&self) {
        let task = lead_resync::Task::Sweep;
        let swept = lead_resync::handle(&self.apps.resync, task).await;
        swept.expect("the table answers");
        let stack = self.harness.embedded_stack();
        let sqs = shared::aws::sqs(&stack.aws);
        let app = &self.apps.writeback;
        while local::poll_queue(&sqs, &stack.queue_url, |batch| {
            crm_writeback::handle(app, batch)
        })
        .await
        .expect("the queue answers")
            > 0
        {}
    }

    /// Lets time pass without faults until each activity is where it belongs.
    async fn quiet(&mut self) {
        self.log("quiet");
        self.control(Method::DELETE, "/faults", Value::Null).await;
        let mut misplaced = Vec::new();
        for _ in 0..ROUNDS {
            self.advance(ROUND_SECONDS).await;
            self.sweep().await;
            misplaced = self.misplaced().await;
            if misplaced.is_empty() {
                break;
            }
        }
        let log = &self.reference.log;
        assert!(misplaced.is_empty(), "{misplaced:#?}: {log:#?}");
    }

    /// The accepted activities as they are stored, with the number of their contract.
    async fn stored(&self) -> Vec<(usize, Activity)> {
        let mut all = Vec::new();
        for (number, desk) in self.desks.iter().enumerate() {
            for seat in &desk.seats {
                let store = desk.world.store();
                let list = store.list_activities(desk.world.id(), seat.id, None, MANY, None);
                let list = list.await.expect("the table answers").items;
                all.extend(list.into_iter().map(|activity| (number, activity)));
            }
        }
        assert_eq!(all.len(), self.sent.len(), "what was accepted is stored");
        all
    }

    /// The activities that are in a state without its reason.
    async fn misplaced(&self) -> Vec<String> {
        let now = self.others().await;
        // The targets with a record that is there, and those whose match is in doubt.
        let mut linked = BTreeSet::new();
        let mut doubtful = BTreeSet::new();
        for (number, desk) in self.desks.iter().enumerate() {
            for entry in desk.people.iter().chain([&desk.company]) {
                let (known, matched) = desk.world.entry(entry.kind, entry.id).await;
                let linking = desk.world.linking();
                let asked = linking.in_doubt(entry.kind, &[(&known, &matched)]).await;
                if !asked.expect("the table answers").is_empty() {
                    doubtful.insert((number, *entry));
                }
                let link = matched.link.filter(|link| !link.record_gone);
                let there = link.is_some_and(|link| {
                    let key = (link.record.object.clone(), link.record.id.clone());
                    now.get(&key).is_some_and(|row| row["IsConverted"] != true)
                });
                if there {
                    linked.insert((number, *entry));
                }
            }
        }
        let mut misplaced = Vec::new();
        for (desk, stored) in self.stored().await {
            let there = linked.contains(&(desk, stored.target));
            let seats = &self.desks[desk].seats;
            let seat = seats.iter().position(|seat| seat.id == stored.seat);
            let right = match stored.state {
                ActivityState::Planned | ActivityState::Writing | ActivityState::Waiting => false,
                ActivityState::WaitingForSignIn => {
                    self.is_salesforce() && self.reference.ended.contains(&(desk, seat))
                }
                ActivityState::WaitingForAnswer => doubtful.contains(&(desk, stored.target)),
                ActivityState::Unresolved => !there,
                ActivityState::Written => stored.record.is_some(),
                ActivityState::Failed => self.reference.refused,
            };
            if !right {
                misplaced.push(format!(
                    "{} {:?} {:?}",
                    stored.key, stored.state, stored.failures
                ));
            }
        }
        misplaced
    }

    /// Gives back everything that ended or was denied, and sends again what failed.
    async fn mend(&mut self) {
        self.log("mend");
        self.settings(json!({ "denied": {} })).await;
        for (desk, seat) in self.reference.ended.clone() {
            self.connect(desk, seat).await;
        }
        if !self.is_salesforce() {
            self.disable_owner(false).await;
        }
        for (desk, mut stored) in self.stored().await {
            if stored.state == ActivityState::Failed {
                stored.state = ActivityState::Planned;
                stored.attempts = 0;
                stored.due_at = self.clock.now();
                let store = self.desks[desk].world.store();
                let lost = store.save_activities(vec![stored]).await;
                assert_eq!(lost.expect("the table answers").len(), 0);
            }
        }
        self.reference.refused = false;
    }

    /// Compares the CRM with what was sent, and with what it was before.
    async fn compare(&self) {
        let log = &self.reference.log;
        let mut rows = Vec::new();
        let objects: &[&str] = if self.is_salesforce() {
            &["Task"]
        } else {
            &["task", "phonecall", "annotation"]
        };
        for object in objects {
            let path = format!("/records/{}/{object}", self.system());
            let all = self.control(Method::GET, &path, Value::Null).await;
            rows.extend(all.as_array().expect("a list").iter().cloned());
        }
        if self.is_salesforce() {
            let read = async |object: &str| {
                let path = format!("/records/salesforce/{object}");
                self.control(Method::GET, &path, Value::Null).await
            };
            let (notes, links) = (read("ContentNote").await, read("ContentDocumentLink").await);
            rows.extend(as_tasks(&notes, &links));
        }
        for (desk, stored) in self.stored().await {
            let marker = format!("text of {}.", stored.key);
            let own = rows.iter().filter(|row| {
                let texts = ["Description", "description", "notetext"];
                let mut texts = texts.iter().filter_map(|name| row[*name].as_str());
                texts.any(|text| text.contains(&marker))
            });
            // Notes beside activities of Dynamics 365 hold what their descriptions cannot.
            let (beside, own): (Vec<&Value>, Vec<&Value>) = own.partition(|row| {
                let of = row["_objectid_value/type"].as_str();
                of.is_some_and(|of| ["task", "phonecall"].contains(&of))
            });
            let keeps = stored.kind != ActivityKind::Note;
            let keeps = keeps && stored.state != ActivityState::WaitingForAnswer;
            // A note of Salesforce is there before it is linked: its record can go in between.
            let keeps = keeps || self.is_salesforce() && stored.record.is_some();
            let expected = usize::from(keeps || stored.state == ActivityState::Written);
            self.tally.lost(expected.saturating_sub(own.len()));
            self.tally.doubled(own.len().saturating_sub(expected));
            assert_eq!(own.len(), expected, "{marker} {:?}: {log:#?}", stored.state);
            let overflows = stored.text.len() > 2_000 && stored.kind != ActivityKind::Note;
            let overflows = overflows && !self.is_salesforce() && expected > 0;
            assert_eq!(beside.len(), usize::from(overflows), "{marker}: {log:#?}");
            for note in beside {
                let whole = note["notetext"].as_str().expect("a text");
                assert!(whole.ends_with(&stored.text), "{note}: {log:#?}");
                assert_eq!(note["_objectid_value"], own[0]["activityid"], "{log:#?}");
            }
            let Some(row) = own.first() else { continue };
            assert!(
                self.is_owner(desk, stored.seat, row),
                "{marker} {row}: {log:#?}"
            );
            let (regarding, closed) = self.belongs(row);
            assert_eq!(
                (regarding.is_some(), closed),
                match stored.state {
                    ActivityState::Written => (true, true),
                    _ => (false, false),
                },
                "{marker} {row}: {log:#?}"
            );
            if let Some(regarding) = regarding {
                let known = self.reference.linked.get(&(desk, stored.target));
                let right = known.is_some_and(|known| {
                    let mut known = known.iter();
                    known.any(|id| *id == regarding || self.survivor(id) == regarding)
                });
                assert!(right, "{marker} is with {regarding}: {log:#?}");
            }
        }
        let now = self.others().await;
        for (key, row) in &self.reference.records {
            assert_eq!(now.get(key), Some(row), "{key:?}: {log:#?}");
        }
        assert_eq!(now.len(), self.reference.records.len(), "{log:#?}");
    }

    /// Erases what old activities say, by workers that die, and sends all of them again: each is known still, and
    /// those that wait are as they were (OP-3).
    async fn forget(&mut self) {
        self.log("forget");
        let stored = self.stored().await;
        self.advance(31 * 24 * 3600).await;
        for desk in 0..self.desks.len() {
            let written = stored
                .iter()
                .filter(|(of, activity)| *of == desk && activity.state == ActivityState::Written);
            let written = written.count() as u64;
            let erased = self.erase(desk).await;
            let log = &self.reference.log;
            assert_eq!(erased, written, "of {desk}: {log:#?}");
        }
        let log = &self.reference.log;
        for (desk, before) in stored {
            let world = &self.desks[desk].world;
            let sent = self.sent.iter().find(|sent| sent.id == before.id);
            let again = std::slice::from_ref(sent.expect("it was sent"));
            for accepted in world.store().accept_activities(again).await {
                match accepted.expect("the table answers") {
                    Accepted::New => panic!("{} is new: {log:#?}", before.key),
                    Accepted::Repeat(found) => {
                        let written = before.state == ActivityState::Written;
                        assert_eq!(found.is_erased(), written, "{}: {log:#?}", before.key);
                        assert_eq!(found.text.is_empty(), written || before.text.is_empty());
                    }
                }
            }
        }
    }

    /// Runs the erasure of a contract's old activities to its end, and gives its count.
    async fn erase(&mut self, desk: usize) -> u64 {
        const KIND: RunKind = RunKind::KeepActivities;
        let store = self.desks[desk].world.store().clone();
        let id = self.desks[desk].world.id().clone();
        let contract = store.contract(&id).await.expect("the table answers");
        let mut contract = contract.expect("a contract");
        contract.keep_activities_days = 30;
        contract.config_version += 1;
        let now = self.clock.now();
        let run = domain::run::Run::requested(KIND, None, "ann", now, now);
        let audit = AuditEntry {
            at: now,
            actor: "ann".to_owned(),
            action: "contract.retention".to_owned(),
            target: id.to_string(),
            before: Value::Null,
            after: Value::Null,
        };
        let runs = [run.expect("the first")];
        let unique = SystemRandom.uuid();
        let changed = store.change_retention(&contract, &runs, &audit, unique);
        changed.await.expect("nobody else changes it");
        let message = ImportMessage {
            contract: id.clone(),
            work: WorkKind::Run(KIND),
        };
        loop {
            let wire = match self.dice.roll(3) {
                0 => Tripwire::new(),
                1 => Tripwire::cutting(Cut::Before(self.dice.roll(12))),
                _ => Tripwire::cutting(Cut::After(self.dice.roll(12))),
            };
            let apps = process(self.harness.embedded_stack(), &wire, &self.clock);
            crm_import::work(&apps.import, &message).await;
            self.tally.cut(&wire);
            let run = store.last_run(&id, KIND).await.expect("the table answers");
            let run = run.expect("a run");
            if !run.is_open() {
                return run.counts.get("activity").copied().unwrap_or_default();
            }
            // The lease of one that died ends.
            self.advance(200).await;
        }
    }

    /// True if an activity of the CRM is that of a seat holder: owned by their user, or told to be theirs.
    fn is_owner(&self, desk: usize, seat: SeatId, row: &Value) -> bool {
        let seats = &self.desks[desk].seats;
        let seat = seats.iter().find(|known| known.id == seat);
        let seat = seat.expect("a seat of the contract");
        let owner = row[self.name("OwnerId", "_ownerid_value")].as_str();
        let texts = ["description", "notetext"].map(|name| row[name].as_str());
        let told = texts
            .into_iter()
            .flatten()
            .any(|text| text.contains("Logged by "));
        owner == Some(seat.user_id.as_str()) || told && !self.is_salesforce()
    }

    fn survivor(&self, id: &str) -> String {
        let mut id = id;
        while let Some(next) = self.reference.merged.get(id) {
            id = next;
        }
        id.to_owned()
    }

    /// The record that an activity of the CRM belongs to, and whether it is closed.
    fn belongs(&self, row: &Value) -> (Option<String>, bool) {
        let of = |names: [&str; 2]| {
            let mut ids = names.into_iter().filter_map(|name| row[name].as_str());
            ids.next().map(str::to_owned)
        };
        if self.is_salesforce() {
            let both = row["WhoId"].is_string() && row["WhatId"].is_string();
            assert!(!both, "{row}");
            return (of(["WhoId", "WhatId"]), row["IsClosed"] == true);
        }
        let regarding = of(["_regardingobjectid_value", "_objectid_value"]);
        // Notes have no state.
        let closed = row.get("annotationid").is_some() || row["statecode"] == 1;
        (regarding, closed)
    }
}

/// A batch of one message, as SQS delivers it.
fn event(work: &ActivitiesWork) -> SqsEvent {
    let message = WritebackMessage::Activities(work.clone());
    let body = serde_json::to_string(&message).expect("JSON");
    let record = json!({"messageId": "m", "body": body, "attributes": {}, "messageAttributes": {}});
    serde_json::from_value(json!({ "Records": [record] })).expect("an SQS event")
}
