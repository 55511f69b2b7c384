//! The way of seat holders' activities to the CRM (WB-2 to WB-5, WB-7, WB-9). Activities of one seat holder
//! are taken, looked up if they were tried before, created or attached in one call, and recorded.
//!
//! Nothing is created twice. Only the worker that took an activity writes it, and its lease is longer than
//! the function's time-out and the CRM's own time for a call. A worker that takes it later looks it up in the
//! CRM first.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use futures::{StreamExt as _, stream};
use serde_json::json;
use shared::cache::TtlCache;
use shared::clock::Millis;
use shared::crm::{
    self, ActivityContent, ActivityRules, AttachedActivity, Crm, CrmError, FoundActivity,
    NewActivity, Outcomes, Reason, SoughtActivity,
};
use shared::crm_users::CrmUsers;
use shared::domain::activity::{Activity, ActivityKind, ActivityState, CrmActivity};
use shared::domain::contract::ContractConfig;
use shared::domain::directory::{EntryKind, EntryRef, RecordRef};
use shared::domain::environment::Environment;
use shared::domain::ids::{ActivityId, ContractId, SeatId};
use shared::domain::schema::CrmKind;
use shared::domain::submission::CrmWrite;
use shared::linking::Linking;
use shared::problem::Problem;
use shared::queue::WritebackMessage;
use shared::session::SessionError;
use shared::store::{ConnectionKind, StoreError, TakenActivity};
use shared::telemetry;
use shared::texts::{self, Audience};
use tokio::time::{Instant, timeout_at};

use crate::order::{Line, Until};
use crate::setback::{Fate, Setback};
use crate::{App, MAX_BACK_OFF_SECONDS, SWEEP_GRACE_SECONDS, Tries, weigh};

/// The environment of the CRM that activities are written to.
const PRODUCTION: Environment = Environment::Production;
/// Lifetime of cached activity rules, in seconds.
const RULES_FRESH_SECONDS: i64 = 600;

/// Least wait after a call without an outcome, in seconds. By then the CRM has finished any work that it
/// still did for that call, and its result can be found.
const UNCERTAIN_SECONDS: i64 = 120;
/// A worker's lease of an activity, in seconds: the function's time-out, and then the time for which the last
/// call of a worker that died can still take effect.
const LEASE_SECONDS: i64 = 60 + UNCERTAIN_SECONDS;

/// Threads that are looked at side by side.
const THREADS_AT_ONCE: usize = 16;

/// Cache of the organisations' rules for the activities of each seat holder.
pub(crate) type RulesCache = TtlCache<(ContractId, SeatId), Arc<ActivityRules>>;

/// An empty cache.
pub(crate) fn rules_cache() -> RulesCache {
    TtlCache::new(RULES_FRESH_SECONDS)
}

/// The end of a worker's turn with activities.
pub(crate) struct Turn {
    /// False if their messages have to be delivered again.
    pub(crate) done: bool,
    /// True if at least one of them was taken.
    pub(crate) took: bool,
}

/// The outcome of one attempt to write an activity.
enum End {
    /// It is in the CRM, closed, with its record.
    Written,
    /// Nobody has matched its person.
    Unresolved,
    /// Its seat holder has to sign in to the CRM.
    WaitsForSignIn(Problem),
    /// Its seat holder is asked which record its person is.
    WaitsForAnswer,
    /// Nothing was tried: an earlier one of its thread is not written yet. It is looked at again then.
    Behind(Millis),
    /// An error, with its consequence.
    Setback(Setback),
}

impl End {
    /// The same end after a call without an outcome: the next attempt waits until the CRM has finished.
    fn uncertain(self, now: Millis) -> Self {
        match self {
            Self::Setback(setback) => {
                Self::Setback(setback.not_before(now.plus_seconds(UNCERTAIN_SECONDS)))
            }
            end => end,
        }
    }

    /// A copy of the end for another activity of the same call.
    fn shared(&self) -> Self {
        match self {
            Self::Written => Self::Written,
            Self::Unresolved => Self::Unresolved,
            Self::WaitsForSignIn(problem) => Self::WaitsForSignIn(problem.clone()),
            Self::WaitsForAnswer => Self::WaitsForAnswer,
            Self::Behind(until) => Self::Behind(*until),
            Self::Setback(setback) => Self::Setback(setback.shared()),
        }
    }
}

impl From<StoreError> for End {
    fn from(error: StoreError) -> Self {
        Self::Setback(error.into())
    }
}

/// The target of an activity as the directory has it.
#[derive(Default)]
struct Target {
    known: bool,
    /// Its link, or that there is none, is in doubt.
    doubtful: bool,
    link: Option<RecordRef>,
}

/// Writes of one call, each with its place in the batch.
type Placed<W> = (Vec<usize>, Vec<W>);

/// The writes that a batch needs.
#[derive(Default)]
struct Todo {
    rules: Arc<ActivityRules>,
    create: Placed<NewActivity>,
    /// Those that the rules keep apart.
    create_apart: Placed<NewActivity>,
    attach: Placed<AttachedActivity>,
    attach_apart: Placed<AttachedActivity>,
}

impl Todo {
    fn create(&mut self, place: usize, new: NewActivity) {
        let (places, all) = if self.rules.keeps_apart(new.content.kind) {
            &mut self.create_apart
        } else {
            &mut self.create
        };
        places.push(place);
        all.push(new);
    }

    fn attach(&mut self, place: usize, attached: AttachedActivity) {
        let (places, all) = if self.rules.attaches_apart(attached.kind) {
            &mut self.attach_apart
        } else {
            &mut self.attach
        };
        places.push(place);
        all.push(attached);
    }
}

impl App {
    /// Writes activities of a seat holder.
    pub(crate) async fn write_activities(
        &self,
        contract: &ContractId,
        seat: SeatId,
        mut ids: Vec<ActivityId>,
        deadline: Instant,
    ) -> Turn {
        ids.sort_unstable();
        ids.dedup();
        let now = self.clock.now();
        let lease = now.plus_seconds(LEASE_SECONDS);
        let store = &self.remote.store;
        let taken = store.take_activities(contract, seat, &ids, now, lease);
        let mut done = true;
        let mut mine: Vec<Activity> = Vec::new();
        for (taken, id) in taken.await.into_iter().zip(ids) {
            match taken {
                Ok(TakenActivity::Mine(activity)) => mine.push(*activity),
                // Another worker has it; if that one dies, the sweep finds the ended lease.
                Ok(TakenActivity::Not) => {}
                Ok(TakenActivity::Missing) => {
                    tracing::error!(%contract, activity.id = %id, "a message for an activity that is not there");
                }
                // A second delivery would fail too. The sweep announces it until the item is repaired.
                Err(error) if !error.passes() => {
                    tracing::error!(%contract, activity.id = %id, "an activity that cannot be read");
                    error.log();
                }
                Err(error) => {
                    tracing::error!(%contract, activity.id = %id, error = &error as &dyn std::error::Error, "the table did not answer");
                    done = false;
                }
            }
        }
        let took = !mine.is_empty();
        let mut order = Line::of(mine);
        // What stops a batch as a whole stops the later ones: they do not overtake it.
        let mut stopped = self.hold_others(contract, seat, &mut order).await.err();
        loop {
            let mut batch = order.next();
            let behind = order.behind();
            if batch.is_empty() && behind.is_empty() {
                return Turn { done, took };
            }
            let ends = if let Some(end) = &stopped {
                each(end, &batch)
            } else if batch.is_empty() {
                Vec::new()
            } else {
                let written = timeout_at(deadline, self.write_batch(contract, seat, &mut batch));
                let written = written.await.unwrap_or_else(|_| {
                    let end = End::Setback(Setback::too_slow());
                    Err(end.uncertain(self.clock.now()))
                });
                written.unwrap_or_else(|end| {
                    let ends = each(&end, &batch);
                    stopped = Some(end);
                    ends
                })
            };
            let behind = behind.into_iter().map(|(activity, until)| {
                let end = match until {
                    Until::At(until) => End::Behind(until),
                    Until::SignIn(problem) => End::WaitsForSignIn(problem),
                    Until::Answer => End::WaitsForAnswer,
                };
                (activity, end)
            });
            let settled = batch.into_iter().zip(ends).chain(behind);
            if let Err(error) = self.settle_batch(contract, settled, &mut order).await {
                tracing::warn!(%contract, error = &error as &dyn std::error::Error, "not settled: delivered again");
                done = false;
            }
        }
    }

    /// Announces the next activities of a contract that are due, so that a flood of them does not wait for the
    /// next sweep (WB-7). As many are on the queue as before, so other contracts wait no longer.
    pub(crate) async fn announce_due(&self, contract: &ContractId, limit: u16) {
        let (now, store) = (self.clock.now(), &self.remote.store);
        let due = match store.due_activities(contract, now, i32::from(limit)).await {
            Ok(due) => due,
            Err(error) => {
                error.log();
                return;
            }
        };
        let messages = WritebackMessage::due_activities(contract, due, limit);
        for batch in messages.chunks(10) {
            if let Err(error) = self.queue.send_batch(batch).await {
                tracing::warn!(%contract, error = &error as &dyn std::error::Error,
                    "activities that are due are not announced: the sweep will");
                return;
            }
        }
    }

    /// Holds up what is later in its thread than an activity that this worker does not have.
    async fn hold_others(
        &self,
        contract: &ContractId,
        seat: SeatId,
        order: &mut Line,
    ) -> Result<(), End> {
        let (now, store) = (self.clock.now(), &self.remote.store);
        let mine = order.ids();
        let mine = &mine;
        let reads = order
            .threads()
            .into_iter()
            .map(|(thread, latest)| async move {
                let before = store.open_before(contract, seat, &thread, latest, mine);
                before.await
            });
        let reads: Vec<_> = reads.collect();
        let mut found = stream::iter(reads).buffer_unordered(THREADS_AT_ONCE);
        let mut all: Vec<Activity> = Vec::new();
        while let Some(others) = found.next().await {
            all.extend(others?);
        }
        let over = self.done_waiting(contract, seat, &all).await?;
        let mut go_on = Vec::new();
        for mut other in all {
            let done = over.contains(&other.id);
            if done {
                other.state = ActivityState::Planned;
            }
            order.hold(&other, now);
            if done || other.backlog && other.state == ActivityState::Planned {
                go_on.push((seat, other.id));
            }
        }
        // What a newer one waits for does not wait for its turn.
        for message in WritebackMessage::activities(contract, go_on) {
            if let Err(error) = self.queue.send(&message, 0).await {
                tracing::warn!(%contract, error = &error as &dyn std::error::Error,
                    "earlier activities of a thread are not announced: the sweep will");
            }
        }
        Ok(())
    }

    /// Those of a seat holder's activities that wait for a sign-in or an answer which is there by now. The
    /// sweep announces a limited number of them, which may all be later in their threads than the rest.
    async fn done_waiting(
        &self,
        contract: &ContractId,
        seat: SeatId,
        others: &[Activity],
    ) -> Result<HashSet<ActivityId>, End> {
        let (now, store) = (self.clock.now(), &self.remote.store);
        let mut done = HashSet::new();
        let unsigned: Vec<ActivityId> = others
            .iter()
            .filter(|other| other.state == ActivityState::WaitingForSignIn)
            .map(|other| other.id)
            .collect();
        if !unsigned.is_empty() {
            let kind = ConnectionKind::User(seat, PRODUCTION);
            let own = store.connection(contract, kind).await?;
            if own.is_some_and(|own| own.stands() && !own.needs_sign_in(now)) {
                done.extend(unsigned);
            }
        }
        let asked: Vec<Activity> = others
            .iter()
            .filter(|other| other.state == ActivityState::WaitingForAnswer)
            .cloned()
            .collect();
        if !asked.is_empty()
            && let Some(config) = self.cached.config(contract, now).await?
        {
            let targets = self.targets(&config, &asked).await?;
            let in_doubt =
                |target: &EntryRef| targets.get(target).is_some_and(|target| target.doubtful);
            let answered = asked.iter().filter(|other| !in_doubt(&other.target));
            done.extend(answered.map(|other| other.id));
        }
        Ok(done)
    }

    /// Writes activities of one seat holder, at most as many as one call takes.
    async fn write_batch(
        &self,
        contract: &ContractId,
        seat: SeatId,
        batch: &mut [Activity],
    ) -> Result<Vec<End>, End> {
        let now = self.clock.now();
        let Some(config) = self.cached.config(contract, now).await? else {
            let problem = Problem::not_found("contract");
            return Err(End::Setback(Setback::person(problem)));
        };
        let targets = self.targets(&config, batch).await?;
        let crm = self.open_for(&config, seat).await?;
        let writer = Writer {
            app: self,
            config: &config,
            seat,
            crm: crm.as_ref(),
        };
        let (mut rules, mut author) = writer.rules().await?;
        let mut found = writer.look(&rules, author.as_deref(), batch).await;
        if matches!(found, Err(CrmError::Refused(_))) {
            // The cached rules may name what was switched off or removed since.
            self.rules.forget(&writer.key());
            (rules, author) = writer.rules().await?;
            found = writer.look(&rules, author.as_deref(), batch).await;
        }
        let found = found.map_err(|error| Self::told(&config, error))?;
        let content = |activity: &Activity| content(author.as_deref(), activity);
        let mut ends: Vec<Option<End>> = Vec::with_capacity(batch.len());
        let mut todo = Todo {
            rules,
            ..Todo::default()
        };
        for (place, (activity, found)) in batch.iter_mut().zip(found).enumerate() {
            let target = targets.get(&activity.target);
            // One that is in the CRM already goes its way.
            let is_new = activity.record.is_none() && found.is_none();
            ends.push(if is_new && target.is_some_and(|target| target.doubtful) {
                Some(End::WaitsForAnswer)
            } else if target.is_some_and(|target| target.known) {
                let link = target.and_then(|target| target.link.as_ref());
                writer.plan(place, activity, found, link, &mut todo, content)
            } else {
                Some(End::Setback(Setback::person(entry_gone(activity))))
            });
        }
        writer.carry_out(todo, batch, &mut ends).await;
        let nothing = || End::Setback(Setback::soon(None));
        Ok(ends
            .into_iter()
            .map(|end| end.unwrap_or_else(nothing))
            .collect())
    }

    /// The targets of the activities, with the records that they are linked to.
    async fn targets(
        &self,
        config: &ContractConfig,
        batch: &[Activity],
    ) -> Result<HashMap<EntryRef, Target>, StoreError> {
        let (contract, now) = (&config.contract.id, self.clock.now());
        let linking = Linking::new(&self.remote.store, &config.contract, now).with(&self.cached);
        let mut targets = HashMap::new();
        for kind in EntryKind::ALL {
            let of_kind = batch.iter().map(|activity| activity.target);
            let ids: Vec<_> = of_kind
                .filter(|target| target.kind == kind)
                .map(|target| target.id)
                .collect();
            if ids.is_empty() {
                continue;
            }
            let store = &self.remote.store;
            let (entries, mut matches) = tokio::try_join!(
                store.entries(contract, kind, &ids),
                store.entry_matches(contract, PRODUCTION, kind, &ids)
            )?;
            let pairs: Vec<_> = entries
                .iter()
                .filter_map(|(id, entry)| Some((entry, matches.get(id)?)))
                .collect();
            let doubtful = linking.in_doubt(kind, &pairs).await?;
            for id in ids {
                let link = matches.remove(&id).and_then(|matched| matched.link);
                let link = link.filter(|link| !link.record_gone);
                let known = entries.contains_key(&id);
                let target = targets.entry(EntryRef { kind, id });
                target.or_insert_with(|| Target {
                    known,
                    doubtful: doubtful.contains(&id),
                    link: link.map(|link| link.record),
                });
            }
        }
        Ok(targets)
    }

    /// Opens the CRM for writing activities: Salesforce as the seat holder, Dynamics 365 as the contract's
    /// integration user, which sets the seat holder as owner (WB-4).
    async fn open_for(&self, config: &ContractConfig, seat: SeatId) -> Result<Box<dyn Crm>, End> {
        let contract = &config.contract;
        let sessions = &self.remote.sessions;
        let kind = match contract.crm {
            CrmKind::Salesforce => ConnectionKind::User(seat, PRODUCTION),
            CrmKind::Dynamics365 => ConnectionKind::PRODUCTION,
        };
        let error = match sessions.open(&contract.id, kind).await {
            Ok(session) => return Ok(crm::open(session)),
            Err(error) => error,
        };
        // If the contract has no connection at all, an administrator has to act.
        if contract.crm == CrmKind::Salesforce
            && matches!(error, SessionError::NotConnected)
            && let Err(error) = sessions
                .open(&contract.id, ConnectionKind::PRODUCTION)
                .await
        {
            let label = contract.crm.label();
            let setback = Setback::session_for(error, label, Audience::Activity);
            return Err(End::Setback(setback));
        }
        Err(Self::told(config, error.into()))
    }

    /// The end of an activity after an error of the CRM. A missing sign-in of the seat holder makes it
    /// wait for that sign-in.
    fn told(config: &ContractConfig, error: CrmError) -> End {
        let crm = config.contract.crm;
        if crm == CrmKind::Salesforce {
            let before = match &error {
                CrmError::Session(SessionError::NotConnected) => Some(None),
                CrmError::Session(SessionError::SignInNeeded(reason)) => Some(Some(*reason)),
                _ => None,
            };
            if let Some(before) = before {
                return End::WaitsForSignIn(texts::own_sign_in(crm.label(), before));
            }
        }
        End::Setback(Setback::crm_for(error, crm.label(), Audience::Activity))
    }

    /// Stores the ends of activities, and sends delayed messages for those that wait. What is later in their
    /// threads waits too.
    async fn settle_batch(
        &self,
        contract: &ContractId,
        batch: impl Iterator<Item = (Activity, End)>,
        order: &mut Line,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
        let mut settled = Vec::new();
        let mut announced: BTreeMap<i64, Vec<(SeatId, ActivityId)>> = BTreeMap::new();
        for (mut activity, end) in batch {
            let until = settle(&mut activity, end, now);
            if let Some(until) = until {
                let delay = (until.since(now).max(0) + 999) / 1000;
                let of = announced.entry(delay).or_default();
                of.push((activity.seat, activity.id));
            }
            *counts.entry(activity.state.as_str()).or_default() += 1;
            order.hold(&activity, now);
            settled.push(activity);
        }
        let lost = self.remote.store.save_activities(settled).await?;
        if !lost.is_empty() {
            // Another writer changed them: they are still open, and the sweep finds them.
            tracing::warn!(%contract, count = lost.len(), "activities were changed while they were written");
        }
        for (state, count) in counts {
            let also = json!({"message": "activities processed", "contract": contract});
            telemetry::count(now, "Activities", count, &[("outcome", state)], also);
        }
        for (delay, ids) in announced {
            for message in WritebackMessage::activities(contract, ids) {
                if let Err(error) = self.queue.send(&message, delay).await {
                    tracing::warn!(%contract, error = &error as &dyn std::error::Error,
                        "activities wait, but are not announced: the sweep will");
                }
            }
        }
        Ok(())
    }
}

/// The same end for each of a batch.
fn each(end: &End, batch: &[Activity]) -> Vec<End> {
    batch.iter().map(|_| end.shared()).collect()
}

fn entry_gone(activity: &Activity) -> Problem {
    let kind = activity.target.kind;
    Problem::new(
        409,
        "target_gone",
        format!("The {kind} that it belongs to was removed from the directory."),
        format!("Add the {kind} again; then send the activity again."),
    )
}

/// The problem of an activity that somebody closed in the CRM while it belonged to no record.
fn closed_without_record(crm: &str) -> Problem {
    Problem::new(
        409,
        "closed_in_crm",
        format!("Somebody closed it in {crm} before it belonged to a record."),
        "Open it again there, or set there what it is regarding. Then send the activity again.",
    )
}

/// The content of an activity in the CRM. The text names the author if somebody else owns the record.
fn content(author: Option<&str>, activity: &Activity) -> ActivityContent {
    let text = match author {
        Some(author) => format!("Logged by {author}.\n\n{}", activity.text),
        None => activity.text.clone(),
    };
    ActivityContent {
        kind: activity.kind,
        identity: activity.id.0,
        subject: activity.subject(),
        text,
        occurred_at: activity.occurred_at,
    }
}

/// An activity that is attached to a record.
fn attached(activity: &Activity, record: &CrmActivity, link: &RecordRef) -> AttachedActivity {
    AttachedActivity {
        id: record.id.clone(),
        kind: activity.kind,
        occurred_at: activity.occurred_at,
        regarding: link.clone(),
    }
}

/// Writes activities of a seat holder to a CRM that is open.
struct Writer<'a> {
    app: &'a App,
    config: &'a ContractConfig,
    seat: SeatId,
    crm: &'a dyn Crm,
}

impl Writer<'_> {
    fn key(&self) -> (ContractId, SeatId) {
        (self.config.contract.id.clone(), self.seat)
    }

    /// The organisation's rules for the seat holder's activities, and the seat holder's name if they will
    /// not be the owner.
    async fn rules(&self) -> Result<(Arc<ActivityRules>, Option<String>), End> {
        let now = self.app.clock.now();
        let (contract, store) = (&self.config.contract.id, &self.app.remote.store);
        let rules = if let Some((rules, _)) = self.app.rules.get(&self.key(), now) {
            rules
        } else {
            let owner = self.owner().await?;
            let rules = self.crm.activity_rules(owner.as_deref()).await;
            let rules = rules.map_err(|error| App::told(self.config, error))?;
            let rules = Arc::new(rules);
            self.app.rules.put(self.key(), rules.clone(), now);
            rules
        };
        let author = match (self.config.contract.crm, &rules.owner) {
            (CrmKind::Dynamics365, None) => {
                let seat = store.seat(contract, self.seat).await?;
                Some(seat.map_or_else(|| "a former seat holder".to_owned(), |seat| seat.name))
            }
            _ => None,
        };
        Ok((rules, author))
    }

    /// The CRM's id of the user who is to own the seat holder's activities (WB-4): in Salesforce the one who
    /// signed in, in Dynamics 365 the seat holder's, if there is exactly one.
    async fn owner(&self) -> Result<Option<String>, StoreError> {
        let (contract, store) = (&self.config.contract.id, &self.app.remote.store);
        let crm = self.config.contract.crm;
        if crm == CrmKind::Salesforce {
            let kind = ConnectionKind::User(self.seat, PRODUCTION);
            let own = store.connection(contract, kind).await?;
            return Ok(own.and_then(|own| own.user).map(|user| user.id));
        }
        let Some(seat) = store.seat(contract, self.seat).await? else {
            return Ok(None);
        };
        let users = CrmUsers {
            contract,
            environment: PRODUCTION,
            crm,
        };
        let mut users = Box::pin(users.of_seat(store, &seat)).await?.into_iter();
        Ok(users.next().filter(|_| users.next().is_none()))
    }

    /// True if an earlier attempt may have created an activity, or found that it or its record is gone. In
    /// Dynamics 365 also if it may have attached and closed it, as that is possible only once; and so for notes,
    /// which a second attempt could link to a second record.
    fn is_sought(&self, activity: &Activity) -> bool {
        let is_note = activity.kind == ActivityKind::Note;
        let attaches_once = is_note || self.config.contract.crm == CrmKind::Dynamics365;
        let uncertain = activity.record.is_none() || activity.gone.is_some();
        activity.takes > 1 && (uncertain || attaches_once)
    }

    /// Looks up activities that an earlier attempt may have written, and forgets the records of those that
    /// are not there. Returns a result for each of the batch.
    async fn look(
        &self,
        rules: &ActivityRules,
        author: Option<&str>,
        batch: &mut [Activity],
    ) -> Result<Vec<Option<FoundActivity>>, CrmError> {
        let sought: Vec<SoughtActivity> = batch
            .iter()
            .filter(|activity| self.is_sought(activity))
            .map(|activity| SoughtActivity {
                content: content(author, activity),
                since: activity.planned_at.unwrap_or(activity.received_at),
                id: activity.record.as_ref().map(|record| record.id.clone()),
            })
            .collect();
        let found = if sought.is_empty() {
            Vec::new()
        } else {
            self.crm.find_activities(rules, &sought).await?
        };
        let mut found = found.into_iter();
        let of = |activity: &mut Activity| {
            if !self.is_sought(activity) {
                return None;
            }
            let found = found.next().flatten();
            if found.is_none() {
                activity.record = None;
            }
            found
        };
        Ok(batch.iter_mut().map(of).collect())
    }

    /// Adds the write that an activity needs to `todo`, or returns its end if it needs none.
    fn plan(
        &self,
        place: usize,
        activity: &mut Activity,
        found: Option<FoundActivity>,
        link: Option<&RecordRef>,
        todo: &mut Todo,
        content: impl Fn(&Activity) -> ActivityContent,
    ) -> Option<End> {
        if let Some(found) = found {
            activity.record = Some(CrmActivity {
                object: found.object.to_owned(),
                id: found.id,
            });
            let crm = self.config.contract.crm;
            match found.regarding {
                // It may belong to a record that its person was linked to before.
                Some(id) if found.closed => {
                    let known = [activity.regarding.take(), link.cloned()];
                    let mut known = known.into_iter().flatten();
                    activity.regarding = known.find(|record| record.id.eq_ignore_ascii_case(&id));
                    return Some(End::Written);
                }
                // Closed tasks of Salesforce can still be attached.
                None if found.closed && link.is_some() && crm == CrmKind::Dynamics365 => {
                    let problem = closed_without_record(crm.label());
                    return Some(End::Setback(Setback::person(problem)));
                }
                _ => {}
            }
        }
        // A link to a record that the CRM has just reported as gone does not count. After the activity was
        // created without it, or has waited without being created, the link is tried again, as it may be right
        // after all.
        let has_waited = activity.attempts <= 1;
        if has_waited || activity.record.is_some() || activity.gone.as_ref() != link {
            activity.gone = None;
        }
        let link = link.filter(|_| activity.gone.is_none());
        match (&activity.record, link) {
            (Some(record), Some(link)) => {
                todo.attach(place, attached(activity, record, link));
            }
            (None, link) if link.is_some() || self.crm.keeps_unassigned(activity.kind) => {
                let new = NewActivity {
                    content: content(activity),
                    regarding: link.cloned(),
                };
                todo.create(place, new);
            }
            _ => return Some(End::Unresolved),
        }
        activity.regarding = link.cloned();
        None
    }

    /// Carries out the writes of a batch, each sort in a call of its own, and records their outcomes.
    async fn carry_out(&self, todo: Todo, batch: &mut [Activity], ends: &mut [Option<End>]) {
        let rules: &ActivityRules = &todo.rules;
        for (places, new) in [&todo.create, &todo.create_apart] {
            if !new.is_empty() {
                let outcomes = self.crm.create_activities(rules, new).await;
                self.record(rules, "create", (places.as_slice(), outcomes), batch, ends);
            }
        }
        let (mut places, mut all) = todo.attach_apart;
        for place in &todo.create_apart.0 {
            let (Some(activity), Some(end)) = (batch.get(*place), ends.get_mut(*place)) else {
                continue;
            };
            // It is there without its record.
            if let (Some(record), Some(link)) = (&activity.record, &activity.regarding)
                && rules.attaches_apart(activity.kind)
                && matches!(end, Some(End::Written))
            {
                places.push(*place);
                all.push(attached(activity, record, link));
                *end = None;
            }
        }
        let attach_apart = (places, all);
        for (places, attached) in [&todo.attach, &attach_apart] {
            if !attached.is_empty() {
                let outcomes = self.crm.attach_activities(rules, attached).await;
                self.record(rules, "attach", (places.as_slice(), outcomes), batch, ends);
            }
        }
    }

    /// Records the outcomes of the writes of one call.
    fn record(
        &self,
        rules: &ActivityRules,
        action: &str,
        (places, outcomes): (&[usize], Result<Outcomes, CrmError>),
        batch: &mut [Activity],
        ends: &mut [Option<End>],
    ) {
        let now = self.app.clock.now();
        let outcomes = match outcomes {
            Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
            // Salesforce refuses a call as a whole for an object or a field that one of its rows has.
            Err(CrmError::Refused(refusal)) if self.config.contract.crm == CrmKind::Salesforce => {
                let refused = places.iter().map(|_| CrmError::Refused(refusal.clone()));
                refused.map(|error| Ok(Err(error))).collect::<Vec<_>>()
            }
            Err(error) => {
                let end = App::told(self.config, error).uncertain(now);
                places.iter().map(|_| Err(end.shared())).collect::<Vec<_>>()
            }
        };
        for (place, outcome) in places.iter().zip(outcomes) {
            let (Some(activity), Some(end)) = (batch.get_mut(*place), ends.get_mut(*place)) else {
                continue;
            };
            *end = Some(match outcome {
                Ok(Ok(written)) => {
                    let object = self.crm.activity_object(rules, activity.kind);
                    activity.record = Some(CrmActivity {
                        object: object.to_owned(),
                        id: written.id,
                    });
                    activity.wrote(CrmWrite {
                        at: now,
                        action: format!("{action}_activity"),
                        fields: Vec::new(),
                    });
                    if activity.regarding.is_some() {
                        End::Written
                    } else {
                        End::Unresolved
                    }
                }
                Ok(Err(error)) => self.failed(activity, error),
                Err(end) => end,
            });
        }
    }

    /// The end of an activity after a failed write.
    fn failed(&self, activity: &mut Activity, error: CrmError) -> End {
        let regarding = activity.regarding.take();
        match error {
            CrmError::Missing | CrmError::Changed => {
                // The cached owner may be what is missing.
                self.app.rules.forget(&self.key());
                activity.gone = regarding;
                if activity.record.is_some() {
                    // Either the activity or its record is gone: the next attempt looks for it.
                    End::Unresolved
                } else {
                    End::Setback(Setback::soon(None))
                }
            }
            CrmError::Refused(refusal) => {
                // The cached rules may be the cause: a removed field, a disabled owner, a form of notes that
                // was switched off.
                self.app.rules.forget(&self.key());
                let owned = self.config.contract.crm == CrmKind::Dynamics365;
                let of_rules = owned || activity.kind == ActivityKind::Note;
                if refusal.reason == Reason::NoIdentityField || of_rules && activity.attempts <= 1 {
                    return End::Setback(Setback::soon(None));
                }
                App::told(self.config, CrmError::Refused(refusal))
            }
            error => App::told(self.config, error),
        }
    }
}

/// Sets the state of an activity by its end. Returns the time at which a message about it is due.
fn settle(activity: &mut Activity, end: End, now: Millis) -> Option<Millis> {
    activity.finished_at = None;
    match end {
        End::Written => {
            activity.state = ActivityState::Written;
            activity.finished_at = Some(now);
            activity.gone = None;
            None
        }
        End::Unresolved => {
            activity.state = ActivityState::Unresolved;
            activity.attempts = 0;
            // This time only counts if its record is gone.
            activity.due_at = now.plus_seconds(MAX_BACK_OFF_SECONDS);
            None
        }
        End::WaitsForSignIn(problem) => {
            activity.state = ActivityState::WaitingForSignIn;
            activity.attempts = 0;
            if activity.takes <= 1 {
                // Nothing was written. A search that began here would read all tasks since then.
                activity.takes = 0;
                activity.planned_at = None;
            }
            activity.fail(now, problem);
            None
        }
        End::WaitsForAnswer => {
            activity.state = ActivityState::WaitingForAnswer;
            activity.attempts = 0;
            if activity.takes <= 1 {
                activity.takes = 0;
                activity.planned_at = None;
            }
            None
        }
        End::Behind(until) => {
            activity.attempts = activity.attempts.saturating_sub(1);
            activity.takes = activity.takes.saturating_sub(1);
            if activity.takes == 0 {
                activity.planned_at = None;
            }
            Some(wait(activity, until))
        }
        End::Setback(setback) => {
            let tries = Tries {
                contract: &activity.contract,
                submission: None,
                activity: Some(activity.id),
                attempts: activity.attempts,
                failures: &activity.failures,
            };
            let attempts = activity.attempts;
            // A message that is returned to the queue would find the lease still running.
            let (until, left) = weigh(&tries, &setback, now).unwrap_or((now, true));
            let Setback {
                fate,
                problem,
                quiet,
                told,
                ..
            } = setback;
            activity.quiet_until = quiet.unwrap_or(activity.quiet_until);
            if !left {
                let problem = match fate {
                    Fate::Person => problem,
                    _ => texts::given_up(problem, attempts, Audience::Activity),
                };
                activity.fail(now, problem);
                activity.state = ActivityState::Failed;
                activity.finished_at = Some(now);
                return None;
            }
            if told {
                activity.fail(now, problem);
            }
            Some(wait(activity, until))
        }
    }
}

/// Makes an activity wait, and returns the time at which a message about it is due.
fn wait(activity: &mut Activity, until: Millis) -> Millis {
    // A message that comes earlier would find that nobody may take it.
    let until = until.max(activity.quiet_until);
    activity.state = ActivityState::Waiting;
    activity.due_at = until.plus_seconds(SWEEP_GRACE_SECONDS);
    until
}
