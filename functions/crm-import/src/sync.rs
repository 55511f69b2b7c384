//! An import: taken under a lease, done step by step, with its end stored.
//!
//! A run is one item; its progress with each object is another. A worker takes the run for one step, advances
//! all objects side by side as far as its time allows, and hands over. Each [`checkpoint`](Run::keep) is a
//! transaction that requires that the run is still this worker's and the connection still stands: a worker
//! whose run was stopped, purged or taken over stores nothing more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::future::{BoxFuture, join_all};
use serde_json::json;
use shared::cached::SchemaError;
use shared::clock::Millis;
use shared::crm::import::{self, ImportError, Source};
use shared::crm::{self, CrmError};
use shared::crm_setup::{self, SetupError};
use shared::domain::crm_settings::SyncSettings;
use shared::domain::environment::Environment;
use shared::domain::ids::ContractId;
use shared::domain::inventory::{AccessReport, CrmOptions, ObjectAccess, ObjectSpec, objects};
use shared::domain::linked_record::kind_of;
use shared::domain::privacy::Tombstones;
use shared::domain::run::RunKind;
use shared::domain::schema::CrmKind;
use shared::domain::sync::{Notice, ObjectState, ObjectSync, Phase, RunRecord, Sync, SyncState};
use shared::domain::vocabulary::{own_number, vocabulary};
use shared::erasure;
use shared::linking::request_link_pass;
use shared::problem::Problem;
use shared::runs;
use shared::session::{Session, Usage};
use shared::store::{ConnectionKind, StoreError, WorkKind};
use shared::telemetry;
use shared::texts;
use tokio::sync::Mutex;

use crate::budget::Budget;
use crate::object::learn_options;
use crate::{App, champions, plan, roi};

/// The time that a worker holds a run alone, in seconds. It is longer than the function's time-out, so a
/// worker that stopped is certainly dead when the next one takes the run.
const LEASE_SECONDS: i64 = 180;
/// After this a worker begins nothing new and hands over.
pub(crate) const WORK_TIME: Duration = Duration::from_mins(1);
/// After this a worker stops in the middle of a page that can be resumed there. Resuming means reading the
/// rows before that point once more, so a page is begun only if there is room for it.
const PAGE_TIME: Duration = Duration::from_secs(95);
/// After this a worker stops at once, inside the function's time-out.
const STEP_TIME: Duration = Duration::from_secs(110);
/// The number of failed attempts in a row, by the CRM's own fault, after which a person is asked to look.
/// With the longest back-off that is about five hours.
const MAX_ATTEMPTS: u32 = 12;
/// Longest back-off between two tries, in seconds.
const MAX_BACK_OFF_SECONDS: i64 = 1800;
/// The time that a step spends on removing records imported from another organisation.
const CLEAR_TIME: Duration = Duration::from_secs(40);
/// A message may come this much before its time, in milliseconds.
const EARLY_MILLIS: i64 = 1000;

/// The reasons for ending a step early.
#[derive(Debug)]
pub(crate) enum Setback {
    /// The table did not answer, or another worker has the run: nothing more is stored.
    Store(StoreError),
    /// The CRM asked for a pause until then.
    Paused(Millis),
    /// The run as a whole cannot go on.
    Problem(Box<Problem>),
}

impl From<StoreError> for Setback {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<SetupError> for Setback {
    fn from(error: SetupError) -> Self {
        match error {
            SetupError::Store(error) => Self::Store(error),
            SetupError::Crm(problem) => Self::Problem(problem),
            SetupError::Paused(until) => Self::Paused(until),
        }
    }
}

/// A worker's step of a run.
pub(crate) struct Run<'a> {
    pub(crate) app: &'a App,
    pub(crate) contract: &'a ContractId,
    pub(crate) environment: Environment,
    pub(crate) crm: CrmKind,
    pub(crate) label: &'static str,
    pub(crate) organization: String,
    pub(crate) source: Box<dyn Source>,
    /// For phone numbers without a country code.
    pub(crate) region: Option<String>,
    /// The field with the value of won opportunities, by the settings (CN-10).
    value_field: Option<String>,
    /// People whose data was erased. Those erased while the step runs are seen to by their erasure.
    pub(crate) erased: Arc<Tombstones>,
    /// The worker before this one died: its last writes may be in the mirror without being recorded.
    pub(crate) unclean: bool,
    session: Arc<Session>,
    kept: Mutex<Kept>,
    budget: Budget,
    /// The run's calls before this step.
    calls_before: u64,
    began: Instant,
    halted: AtomicBool,
}

/// The run as it was last kept.
struct Kept {
    sync: Sync,
    /// The part of the session's usage that `sync` includes already.
    counted: Usage,
}

impl App {
    /// Advances an import to its end, or to a point where it has to wait.
    pub(crate) async fn sync(
        &self,
        contract: &ContractId,
        environment: Environment,
    ) -> Result<(), StoreError> {
        let Some((sync, unclean)) = self.take(contract, environment).await? else {
            return Ok(());
        };
        let lease = sync.lease_until;
        let step = self.step(contract, environment, sync, unclean);
        match tokio::time::timeout(STEP_TIME, step).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                self.release(contract, environment, lease).await?;
                Err(error)
            }
            Err(_) => {
                // Work that was cut off may still arrive at the table: the lease runs out by itself.
                tracing::error!(%contract, %environment, "a step took too long and was stopped");
                Ok(())
            }
        }
    }

    /// Takes an import that waits, or whose worker died. The flag is true if the worker before did not record
    /// all of its work.
    async fn take(
        &self,
        contract: &ContractId,
        environment: Environment,
    ) -> Result<Option<(Sync, bool)>, StoreError> {
        let now = self.now();
        let Some(mut sync) = self.remote.store.sync(contract, environment).await? else {
            return Ok(None);
        };
        let due = sync.due_at.since(now) <= EARLY_MILLIS;
        if !sync.is_open() || !due || sync.is_leased(now) {
            return Ok(None);
        }
        let unclean = sync.unclean;
        let until = now.plus_seconds(LEASE_SECONDS);
        sync.state = SyncState::Running;
        sync.steps += 1;
        sync.started_at = sync.started_at.or(Some(now));
        sync.due_at = until;
        sync.lease_until = Some(until);
        sync.unclean = true;
        sync.version += 1;
        self.remote.store.put_sync(contract, &sync).await?;
        Ok(Some((sync, unclean)))
    }

    /// Releases a run for which this worker can store nothing more: it was stopped, or the table does not
    /// answer.
    async fn release(
        &self,
        contract: &ContractId,
        environment: Environment,
        lease: Option<Millis>,
    ) -> Result<(), StoreError> {
        let store = &self.remote.store;
        let found = store.sync(contract, environment).await?;
        let Some(mut sync) = found.filter(|sync| sync.lease_until == lease) else {
            return Ok(());
        };
        sync.lease_until = None;
        if sync.is_open() {
            sync.due_at = self.now();
        }
        sync.version += 1;
        store.put_sync(contract, &sync).await
    }

    async fn step(
        &self,
        contract: &ContractId,
        environment: Environment,
        mut sync: Sync,
        unclean: bool,
    ) -> Result<(), StoreError> {
        match self.open_run(contract, environment, &sync, unclean).await {
            Ok(run) => run.go().await,
            // Without a session there is no connection that a checkpoint could assume.
            Err(Setback::Store(error)) => Err(error),
            Err(setback) => {
                let store = &self.remote.store;
                sync.version += 1;
                let objects = store.object_syncs(contract, environment).await?;
                let ended = self
                    .set_back(&mut sync, setback)
                    .then(|| self.record(&sync, &objects));
                store.end_step(contract, &sync, ended.as_ref()).await?;
                self.announce(contract, &sync).await;
                Ok(())
            }
        }
    }

    async fn open_run<'a>(
        &'a self,
        contract: &'a ContractId,
        environment: Environment,
        sync: &Sync,
        unclean: bool,
    ) -> Result<Run<'a>, Setback> {
        let kind = ConnectionKind::Crm(environment);
        let session = crm_setup::open_session(&self.remote, contract, kind).await?;
        let Some(crm) = session.provider.crm() else {
            return Err(Setback::Problem(Box::new(Problem::internal())));
        };
        let config = self.cached.config(contract, self.now()).await?;
        let settings = config
            .as_ref()
            .and_then(|config| config.crm_settings(environment).sync);
        let share = settings.unwrap_or_default().api_share_percent;
        let roi = config
            .as_ref()
            .and_then(|config| config.crm_settings(environment).roi);
        let roi = roi.filter(|roi| roi.enabled);
        let budget =
            Budget::read(&self.remote.store, contract, environment, share, self.now()).await?;
        let (store, vault) = (&self.remote.store, &self.remote.vault);
        let erased = erasure::tombstones(store, vault, contract).await?;
        Ok(Run {
            app: self,
            contract,
            environment,
            crm,
            label: session.provider.label(),
            organization: session.organization.clone(),
            source: import::open(session.clone()),
            region: config.and_then(|config| config.contract.settings.default_region.clone()),
            value_field: roi.and_then(|roi| roi.won_value_field),
            erased,
            unclean,
            kept: Mutex::new(Kept {
                sync: sync.clone(),
                counted: session.usage(),
            }),
            session,
            budget,
            calls_before: sync.calls,
            began: Instant::now(),
            halted: AtomicBool::new(false),
        })
    }

    /// Sets a run back that cannot go on now: to wait, or to fail. Returns true if the run has ended.
    fn set_back(&self, sync: &mut Sync, setback: Setback) -> bool {
        let now = self.now();
        sync.lease_until = None;
        sync.unclean = false;
        let (until, problem) = match setback {
            Setback::Paused(until) => (until, SetupError::Paused(until).problem()),
            Setback::Problem(problem) if passes(&problem) && sync.attempts < MAX_ATTEMPTS => {
                let seconds = back_off(sync.attempts);
                sync.attempts += 1;
                (now.plus_seconds(seconds), *problem)
            }
            Setback::Problem(problem) => {
                tracing::warn!(code = problem.code, "the import needs a person");
                sync.state = SyncState::Failed;
                sync.problem = Some(*problem);
                sync.finished_at = Some(now);
                return true;
            }
            Setback::Store(_) => (now, Problem::unavailable()),
        };
        sync.state = SyncState::Queued;
        sync.due_at = until;
        sync.problem = Some(problem);
        false
    }

    fn record(&self, sync: &Sync, objects: &[ObjectSync]) -> RunRecord {
        RunRecord::of(
            sync,
            objects,
            sync.finished_at.unwrap_or_else(|| self.now()),
        )
    }

    /// Announces the next step of a run that has one.
    async fn announce(&self, contract: &ContractId, sync: &Sync) {
        if sync.is_open() {
            let millis = sync.due_at.since(self.now()).max(0);
            // Rounded up: a message that comes too early is not taken.
            let seconds = millis.saturating_add(999) / 1000;
            let work = WorkKind::Sync(sync.environment);
            crm_setup::announce_in(&self.queue, contract, work, seconds).await;
        }
    }

    /// Leads are written to production, so its lead fields are the ones that mappings offer.
    async fn read_lead_fields(&self, contract: &ContractId) -> Result<(), SetupError> {
        let session =
            crm_setup::open_session(&self.remote, contract, ConnectionKind::PRODUCTION).await?;
        let label = session.provider.label();
        let crm = crm::open(session);
        let read = self
            .cached
            .refresh_schema(contract, crm.as_ref(), self.now())
            .await;
        match read {
            Ok(_) => Ok(()),
            Err(SchemaError::Store(error)) => Err(error.into()),
            Err(SchemaError::Crm(error)) => Err(SetupError::of(&error, label)),
        }
    }
}

impl Run<'_> {
    /// True while there is time to begin something.
    pub(crate) fn in_time(&self) -> bool {
        self.began.elapsed() < self.app.import_time && self.goes_on()
    }

    /// True while there is time for something of about this duration, or for going on with it.
    pub(crate) fn has_room_for(&self, takes: Duration) -> bool {
        self.began.elapsed() + takes < PAGE_TIME && self.goes_on()
    }

    fn goes_on(&self) -> bool {
        !self.halted.load(Ordering::Relaxed)
    }

    /// The run's step.
    async fn go(&self) -> Result<(), StoreError> {
        match self.work().await {
            Ok(objects) => self.end_step(&objects).await,
            Err(Setback::Store(error)) => Err(error),
            Err(setback) => {
                let store = &self.app.remote.store;
                let objects = store.object_syncs(self.contract, self.environment).await?;
                self.close(&objects, |sync| self.app.set_back(sync, setback))
                    .await
            }
        }
    }

    async fn work(&self) -> Result<Vec<ObjectSync>, Setback> {
        let phase = self.kept.lock().await.sync.phase;
        let mut objects = match phase {
            Phase::Preparing => {
                let Some(objects) = self.prepare().await? else {
                    // Another organisation's records are still being removed.
                    return Ok(Vec::new());
                };
                objects
            }
            Phase::Reading => self.stored_objects().await?,
        };
        let mut readings: Vec<BoxFuture<'_, _>> = Vec::new();
        for object in objects.iter_mut().filter(|object| object.is_open()) {
            readings.push(Box::pin(self.drive_or_halt(object)));
        }
        let ends = join_all(readings);
        for end in ends.await {
            end?;
        }
        Ok(objects)
    }

    /// Brings an object on; where the run cannot go on, neither do the others.
    async fn drive_or_halt(&self, object: &mut ObjectSync) -> Result<(), Setback> {
        let end = self.drive(object).await;
        if end.is_err() {
            self.halted.store(true, Ordering::Relaxed);
        }
        end
    }

    async fn stored_objects(&self) -> Result<Vec<ObjectSync>, Setback> {
        let store = &self.app.remote.store;
        let run = self.kept.lock().await.sync.run;
        let stored = store.object_syncs(self.contract, self.environment).await?;
        Ok(stored
            .into_iter()
            .filter(|object| object.run == run)
            .collect())
    }

    /// Looks up the fields that can be read, and plans the reading. `None`: the records imported from another
    /// organisation are removed first, and there are more of them than one step removes.
    async fn prepare(&self) -> Result<Option<Vec<ObjectSync>>, Setback> {
        let (remote, contract, environment) = (&self.app.remote, self.contract, self.environment);
        let mut stored = remote.store.object_syncs(contract, environment).await?;
        let foreign = |object: &ObjectSync| object.organization != self.organization;
        if stored.iter().any(foreign) {
            tracing::info!(%contract, %environment, "another organisation was connected: its records go first");
            let deleted = remote
                .store
                .delete_imported(contract, environment, CLEAR_TIME)
                .await?;
            if !deleted.all {
                return Ok(None);
            }
            stored.clear();
        }
        let report = crm_setup::check_access(remote, contract, environment).await?;
        let options = crm_setup::refresh_options(remote, contract, environment).await?;
        if environment == Environment::Production {
            self.app.read_lead_fields(contract).await?;
        }
        let sizes = self.sizes(&report).await?;
        let run = self.kept.lock().await.sync.run;
        let (mut planned, mut changed) = (Vec::new(), Vec::new());
        for access in &report.objects {
            let Some(spec) = spec(self.crm, &access.object) else {
                continue;
            };
            let known = stored
                .iter()
                .position(|object| object.object == access.object);
            let mut object = known.map_or_else(
                || ObjectSync::new(spec, &self.organization),
                |at| stored.swap_remove(at),
            );
            // Planned anew in the middle of a run, what is done stays done.
            if object.run != run || object.is_open() {
                let mut fields = report.readable_fields(spec, access);
                fields.extend(self.own_field(spec, &options));
                self.plan(&mut object, spec, fields, access, run);
                object.of = object.of.or_else(|| sizes.get(spec.name).copied());
                object.version += 1;
                changed.push(object.clone());
            }
            planned.push(object);
        }
        self.keep_all(&changed, |sync| {
            sync.phase = Phase::Reading;
            sync.attempts = 0;
            sync.problem = None;
        })
        .await?;
        Ok(Some(planned))
    }

    /// The field of the organisation's own that is read of an object: the value of won opportunities, if the CRM
    /// still offers it (CN-10).
    fn own_field(&self, spec: &ObjectSpec, options: &CrmOptions) -> Option<&'static str> {
        let name = self.value_field.as_deref()?;
        let offered = || options.value_fields.iter().any(|field| field.name == name);
        let is_own = spec.name == vocabulary(self.crm).opportunity.name
            && spec.field(name).is_none()
            && offered();
        own_number(name).filter(|_| is_own).map(|field| field.name)
    }

    async fn sizes(
        &self,
        report: &AccessReport,
    ) -> Result<std::collections::BTreeMap<&'static str, u64>, Setback> {
        let readable: Vec<&'static ObjectSpec> = report
            .objects
            .iter()
            .filter(|object| object.is_importable())
            .filter_map(|object| spec(self.crm, &object.object))
            .collect();
        match self.source.sizes(&readable).await {
            Ok(sizes) => Ok(sizes),
            Err(ImportError::Crm(error)) => Err(SetupError::of(&error, self.label).into()),
            // They only serve to choose and to show.
            Err(_) => Ok(std::collections::BTreeMap::new()),
        }
    }

    /// Plans the reading of an object, and records its fields that cannot be read.
    fn plan(
        &self,
        object: &mut ObjectSync,
        spec: &'static ObjectSpec,
        fields: Vec<&'static str>,
        access: &ObjectAccess,
        run: u64,
    ) {
        let now = self.app.now();
        let tells = object
            .resume
            .as_ref()
            .is_some_and(|resume| self.source.tells_deletions(spec, resume));
        let fields = fields.into_iter().map(str::to_owned).collect();
        if access.is_importable() {
            plan::begin(object, run, fields, tells, now);
        } else {
            // The mirror's copy stays as it was.
            let kept = object.fields.clone();
            plan::begin(object, run, kept, tells, now);
            object.pass = None;
            object.state = ObjectState::NotReadable;
            object.finished_at = Some(now);
            object.problem = Some(Problem::new(
                403,
                "crm_object_not_readable",
                format!("{} cannot be read.", object.label),
                access.next_step.clone().unwrap_or_else(|| {
                    "Ask your CRM administrator for read access, then sync again.".to_owned()
                }),
            ));
        }
        object.notices = access
            .missing_fields
            .iter()
            .map(|field| Notice {
                code: "field_not_readable".to_owned(),
                field: Some(field.clone()),
                detail: format!(
                    "The connected user cannot read {field} of {}; the rest is imported.",
                    object.label
                ),
                next_step: access.next_step.clone().unwrap_or_default(),
            })
            .collect();
        learn_options(object, access);
    }

    /// The step's end: the run's, where no object is open any more.
    async fn end_step(&self, objects: &[ObjectSync]) -> Result<(), StoreError> {
        let now = self.app.now();
        let phase = self.kept.lock().await.sync.phase;
        let open: Vec<&ObjectSync> = objects.iter().filter(|object| object.is_open()).collect();
        if phase == Phase::Preparing || !open.is_empty() {
            let waits = |object: &&ObjectSync| object.due_at.filter(|due| *due > now);
            let all_wait = !open.is_empty() && open.iter().all(|object| waits(object).is_some());
            let due = open.iter().filter_map(waits).min().filter(|_| all_wait);
            let problem = open.iter().find_map(|object| object.problem.clone());
            return self
                .close(objects, |sync| {
                    sync.lease_until = None;
                    sync.unclean = false;
                    sync.due_at = due.unwrap_or(now);
                    sync.state = if all_wait {
                        SyncState::Queued
                    } else {
                        SyncState::Running
                    };
                    sync.problem = problem.filter(|_| all_wait);
                    false
                })
                .await;
        }
        let unreadable: Vec<&str> = objects
            .iter()
            .filter(|object| object.state == ObjectState::NotReadable && self.is_required(object))
            .map(|object| object.label.as_str())
            .collect();
        let failed = objects
            .iter()
            .find(|object| object.state == ObjectState::Failed)
            .and_then(|object| object.problem.clone());
        let problem = if unreadable.is_empty() {
            failed
        } else {
            Some(texts::unreadable_objects(&unreadable))
        };
        self.close(objects, |sync| {
            sync.lease_until = None;
            sync.unclean = false;
            sync.finished_at = Some(now);
            if problem.is_none() {
                sync.state = SyncState::Succeeded;
                sync.last_success_at = Some(now);
            } else {
                sync.state = SyncState::Failed;
            }
            sync.problem = problem;
            true
        })
        .await
    }

    fn is_required(&self, object: &ObjectSync) -> bool {
        spec(self.crm, &object.object).is_some_and(|spec| spec.required)
    }

    /// Stores the end of a step, as decided by `change`, with the record in the history if the run ends too.
    /// Announces the next step.
    async fn close(
        &self,
        objects: &[ObjectSync],
        change: impl FnOnce(&mut Sync) -> bool,
    ) -> Result<(), StoreError> {
        let mut kept = self.kept.lock().await;
        let (mut sync, counted) = self.counted(&kept);
        let ended = change(&mut sync).then(|| self.app.record(&sync, objects));
        if ended.is_some() {
            // Before the end is kept: a worker that dies in between asks again.
            self.ask_for_links(objects).await?;
            self.ask_for_saves().await?;
            self.ask_for_attributions().await?;
            self.ask_for_champions().await?;
        }
        // Not a checkpoint: a connection that is being ended waits for the run to be given back.
        let store = &self.app.remote.store;
        store.end_step(self.contract, &sync, ended.as_ref()).await?;
        if let Some(ended) = &ended {
            self.tell(ended, &sync);
        }
        *kept = Kept { sync, counted };
        self.app.announce(self.contract, &kept.sync).await;
        Ok(())
    }

    /// Logs a run that ended: a line with its usage, and the share of the organisation's calls used by all.
    fn tell(&self, ended: &RunRecord, sync: &Sync) {
        let now = self.app.now();
        let calls = i64::try_from(ended.calls).unwrap_or(i64::MAX);
        let told = json!({
            "message": "import ended", "contract": self.contract, "environment": self.environment,
            "state": ended.state, "steps": ended.steps, "bytes": ended.bytes,
        });
        telemetry::count(now, "ImportCalls", calls, &[], told);
        if let Some(api) = sync.api.filter(|api| api.limit > 0) {
            let percent = i64::try_from(api.used * 100 / api.limit).unwrap_or(100);
            let told = json!({ "contract": self.contract, "environment": self.environment });
            telemetry::count(now, "ImportBudgetUsedPercent", percent, &[], told);
        }
    }

    /// Asks for a link pass after a run that changed records of an object that entries link to.
    async fn ask_for_links(&self, objects: &[ObjectSync]) -> Result<(), StoreError> {
        if self.environment != Environment::Production {
            return Ok(());
        }
        let (store, contract) = (&self.app.remote.store, self.contract);
        let is_linked = |object: &&ObjectSync| kind_of(self.crm, &object.object).is_some();
        let changed = objects
            .iter()
            .filter(is_linked)
            .any(|object| object.written + object.removed > 0);
        let linked = store.link_pass(contract).await?;
        if changed || linked.is_none_or(|pass| pass.last_success_at.is_none()) {
            let now = self.app.now();
            request_link_pass(store, &self.app.queue, contract, "import", now).await?;
        }
        Ok(())
    }

    /// Asks for a save pass, if the settings save anything. It finds by itself whether anything changed: a
    /// seat or a setting does not show in the run.
    async fn ask_for_saves(&self) -> Result<(), StoreError> {
        if self.environment != Environment::Production {
            return Ok(());
        }
        let now = self.app.now();
        let config = self.app.cached.config(self.contract, now).await?;
        let settings = config.and_then(|config| config.crm_settings(self.environment).sync);
        if settings.as_ref().is_some_and(SyncSettings::saves) {
            let (store, queue) = (&self.app.remote.store, &self.app.queue);
            runs::request_save(store, queue, self.contract, "import", now).await?;
        }
        Ok(())
    }

    /// Asks for the attribution of opportunities, if it is on. It finds by itself whether anything changed: a
    /// touch or a link does not show in the run.
    async fn ask_for_attributions(&self) -> Result<(), StoreError> {
        if self.environment != Environment::Production {
            return Ok(());
        }
        let now = self.app.now();
        let config = self.app.cached.config(self.contract, now).await?;
        if config.is_some_and(|config| roi::is_on(&config)) {
            let (store, queue) = (&self.app.remote.store, &self.app.queue);
            runs::request(store, queue, self.contract, RunKind::Roi, "import", now, 0).await?;
        }
        Ok(())
    }

    /// Asks for a search for champions, if the lists that fill themselves are on.
    async fn ask_for_champions(&self) -> Result<(), StoreError> {
        if self.environment != Environment::Production {
            return Ok(());
        }
        let now = self.app.now();
        let config = self.app.cached.config(self.contract, now).await?;
        if config.is_some_and(|config| champions::is_on(&config)) {
            let (store, queue) = (&self.app.remote.store, &self.app.queue);
            runs::request(
                store,
                queue,
                self.contract,
                RunKind::Champions,
                "import",
                now,
                0,
            )
            .await?;
        }
        Ok(())
    }

    /// The run with the session's usage since it was last stored.
    fn counted(&self, kept: &Kept) -> (Sync, Usage) {
        let usage = self.session.usage();
        let mut sync = kept.sync.clone();
        sync.calls += usage.calls.saturating_sub(kept.counted.calls);
        sync.bytes += usage.bytes.saturating_sub(kept.counted.bytes);
        sync.api = usage.api.or(sync.api);
        sync.version += 1;
        (sync, usage)
    }

    /// Stores the progress of an object.
    pub(crate) async fn keep(&self, object: &mut ObjectSync) -> Result<(), Setback> {
        object.version += 1;
        self.keep_all(std::slice::from_ref(object), |_| ()).await
    }

    /// Stores an object and makes the next step plan again from the fields that can be read.
    pub(crate) async fn keep_for_new_plan(&self, object: &mut ObjectSync) -> Result<(), Setback> {
        object.version += 1;
        let again = |sync: &mut Sync| sync.phase = Phase::Preparing;
        self.keep_all(std::slice::from_ref(object), again).await
    }

    async fn keep_all(
        &self,
        objects: &[ObjectSync],
        change: impl FnOnce(&mut Sync),
    ) -> Result<(), Setback> {
        let mut kept = self.kept.lock().await;
        let (mut sync, counted) = self.counted(&kept);
        change(&mut sync);
        let store = &self.app.remote.store;
        store
            .checkpoint(self.contract, &self.organization, &sync, objects)
            .await?;
        *kept = Kept { sync, counted };
        Ok(())
    }

    /// The time until which the run may make no calls because of its share of the organisation's, and the
    /// problem.
    pub(crate) async fn over_budget(&self) -> Option<(Millis, Problem)> {
        let kept = self.kept.lock().await;
        let (sync, _) = self.counted(&kept);
        let fresh = sync.calls > self.calls_before;
        self.budget.wait(&sync, fresh, self.label, self.app.now())
    }

    /// A problem with the CRM as the whole run's: a sign-in that ended stops every object. `None`:
    /// other objects may fare better.
    pub(crate) fn of_the_run(&self, error: &CrmError) -> Option<Setback> {
        match crm::failure(error) {
            crm::Failure::NotConnected
            | crm::Failure::SignInNeeded
            | crm::Failure::AppRefused
            | crm::Failure::Ours
            | crm::Failure::InsufficientAccess => Some(SetupError::of(error, self.label).into()),
            crm::Failure::CouldNotConnect | crm::Failure::ApiError | crm::Failure::Throttled(_) => {
                None
            }
        }
    }
}

/// The inventory's object of that name.
pub(crate) fn spec(crm: CrmKind, object: &str) -> Option<&'static ObjectSpec> {
    objects(crm).iter().find(|spec| spec.name == object)
}

/// The seconds until the next attempt after `attempts` failed ones.
pub(crate) fn back_off(attempts: u32) -> i64 {
    30_i64
        .saturating_mul(1 << attempts.min(8))
        .min(MAX_BACK_OFF_SECONDS)
}

/// True if a failure may pass by itself.
fn passes(problem: &Problem) -> bool {
    matches!(
        problem.code.as_str(),
        "could_not_connect"
            | "crm_api_error"
            | "internal_error"
            | "oauth_app_refused"
            | "sign_in_refused"
    )
}
