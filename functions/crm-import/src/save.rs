//! A save pass: what open opportunities are about is saved to their owners' lists (SV-4).
//!
//! It reads what changed: the marks that the import leaves of opportunities whose own record, contacts or leads
//! were written, and the opportunities of users of the CRM whose seat was not known before. All open
//! opportunities are read only when the settings or the CRM's stages changed.
//!
//! Saving is repeatable, since a record is saved once because of an opportunity; a mark is removed after its
//! opportunity was looked at. So a worker can die anywhere, and the next one ends with the same lists.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};
use shared::crm_setup;
use shared::crm_users::{CrmUsers, all_seats};
use shared::domain::contract::ContractConfig;
use shared::domain::crm_settings::SyncSettings;
use shared::domain::directory::{EntryKind, LinkPass, LinkProgress, RecordRef};
use shared::domain::environment::Environment;
use shared::domain::ids::{ContractId, SeatId};
use shared::domain::inventory::CrmOptions;
use shared::domain::lists::Reason;
use shared::domain::opportunity::Opportunity;
use shared::domain::references::Named;
use shared::domain::schema::CrmKind;
use shared::domain::seat::SeatStatus;
use shared::domain::vocabulary::vocabulary;
use shared::opportunities::Opportunities;
use shared::problem::Problem;
use shared::store::{
    Connection, ConnectionKind, MIRROR_SHARDS, Mirror, SaveState, Store, StoreError,
    TOUCHED_SHARDS, Touched, WorkKind,
};
use shared::texts::{self, Audience};

use crate::App;

const PRODUCTION: Environment = Environment::Production;
/// Time that a worker has the pass alone, in seconds: longer than the function's time-out.
const LEASE_SECONDS: i64 = 180;
/// After this a worker begins nothing new and hands over.
const WORK_TIME: Duration = Duration::from_mins(1);
/// After this it stops where it stands, inside the function's time-out.
const STEP_TIME: Duration = Duration::from_secs(110);
/// Workers in a row that did not come further before a person is asked to look.
const MAX_ATTEMPTS: u32 = 5;
/// Opportunities, or marks of them, of a page.
const PAGE: i32 = 200;
/// Opportunities that are looked at side by side.
const AT_ONCE: usize = 8;

/// The position from which the next worker continues a pass over all open opportunities, or over those of an
/// owner.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
struct Place {
    /// Every open opportunity was looked at by these settings.
    applied: Option<String>,
    shard: u32,
    /// The owner whose open opportunities are looked at, with the seat.
    owner: Option<(String, SeatId)>,
    /// The last opportunity of the shard, or of the owner, that was looked at.
    after: Option<String>,
    /// Records that were saved.
    saved: u64,
}

/// A record that is saved for a seat because of an opportunity.
struct ToSave {
    seat: SeatId,
    kind: EntryKind,
    record: RecordRef,
    reason: Reason,
}

/// A worker's step of a pass.
struct Worker<'a> {
    app: &'a App,
    contract: &'a ContractId,
    config: Arc<ContractConfig>,
    organization: String,
    settings: SyncSettings,
    options: Option<CrmOptions>,
    state: SaveState,
    /// The seats of the CRM's users.
    seats: BTreeMap<String, SeatId>,
    pass: LinkPass,
    place: Place,
    began: Instant,
}

impl App {
    /// Brings a save pass to its end, or as far as a worker's time reaches.
    pub(crate) async fn save(&self, contract: &ContractId) -> Result<(), StoreError> {
        let store = &self.remote.store;
        let now = self.now();
        let Some(stored) = store.save_pass(contract).await? else {
            return Ok(());
        };
        let Some(pass) = stored.taken(now, LEASE_SECONDS) else {
            return Ok(());
        };
        let connection = store
            .connection(contract, ConnectionKind::PRODUCTION)
            .await?;
        let config = self.cached.config(contract, now).await?;
        let (Some(connection), Some(config)) = (connection.filter(Connection::stands), config)
        else {
            let problem = texts::not_connected("The CRM", Audience::Setup);
            return store
                .put_save_pass(contract, &stored.closed(now, problem))
                .await;
        };
        let organization = connection.organization;
        store
            .checkpoint_save_pass(contract, &organization, &pass, None)
            .await?;
        let mut worker = Worker {
            app: self,
            contract,
            settings: config.crm_settings(PRODUCTION).sync.unwrap_or_default(),
            config,
            organization,
            options: None,
            state: SaveState::default(),
            seats: BTreeMap::new(),
            place: serde_json::from_str(&pass.kept).unwrap_or_default(),
            pass,
            began: Instant::now(),
        };
        if worker.pass.attempts > MAX_ATTEMPTS {
            tracing::error!(%contract, "a save pass does not come further");
            return worker.end(Some(not_further())).await;
        }
        match tokio::time::timeout(STEP_TIME, Box::pin(worker.go())).await {
            Ok(Ok(true)) => worker.end(None).await,
            Ok(Ok(false)) => worker.give_back(None).await,
            Ok(Err(StoreError::Conflict)) => worker.give_up().await,
            Ok(Err(error)) => {
                worker.give_back(Some(Problem::unavailable())).await?;
                Err(error)
            }
            Err(_) => {
                tracing::error!(%contract, "a step of a save pass took too long and was stopped");
                Ok(())
            }
        }
    }
}

fn not_further() -> Problem {
    Problem::new(
        500,
        "save_pass_stuck",
        "The pass that saves records to lists stopped several times at the same place.",
        "The next import asks for it again; if it stops again, have the operator look at the logs.",
    )
}

impl Worker<'_> {
    fn crm(&self) -> CrmKind {
        self.config.contract.crm
    }

    fn store(&self) -> &Store {
        &self.app.remote.store
    }

    fn opportunities(&self) -> Opportunities<'_> {
        Opportunities {
            contract: self.contract,
            environment: PRODUCTION,
            crm: self.crm(),
        }
    }

    fn mirror<'m>(&'m self, object: &'m str) -> Mirror<'m> {
        Mirror {
            contract: self.contract,
            environment: PRODUCTION,
            crm: self.crm(),
            object,
            default_region: None,
        }
    }

    fn in_time(&self) -> bool {
        self.began.elapsed() < WORK_TIME
    }

    /// The pass's step; `false` if time is up before its end.
    async fn go(&mut self) -> Result<bool, StoreError> {
        let (store, contract) = (&self.app.remote.store, self.contract);
        self.options = store.crm_options(contract, PRODUCTION).await?;
        self.state = store.save_state(contract).await?;
        self.seats = self.seats().await?;
        let wanted = self.wanted();
        if self.state.applied != wanted && !Box::pin(self.all(&wanted)).await? {
            return Ok(false);
        }
        if self.state.seats != self.seats && !Box::pin(self.new_seats()).await? {
            return Ok(false);
        }
        Box::pin(self.changed()).await
    }

    /// The settings that decide about opportunities, as a text.
    fn wanted(&self) -> String {
        if !self.settings.saves() {
            return "nothing".to_owned();
        }
        let stages = self.options.as_ref().map(|options| {
            let stages = options.stages.iter();
            // An opportunity can name its stage by the label.
            let known = stages.map(|stage| (&*stage.value, &*stage.label, stage.position));
            known.collect::<Vec<_>>()
        });
        // Without a stage at which the pipeline begins their order does not matter.
        let stage = self.settings.pipeline_stage.as_deref();
        let wanted = (
            self.settings.auto_save,
            stage,
            stages.filter(|_| stage.is_some()),
        );
        let text = serde_json::to_string(&wanted).unwrap_or_default();
        shared::signature::sha256_hex(&[text.as_bytes()])
    }

    /// Stores the position, and what was applied if that changed.
    async fn keep(&mut self, stage: &str, applied: Option<SaveState>) -> Result<(), StoreError> {
        let mut pass = self.pass.advanced(LinkProgress {
            stage: stage.to_owned(),
            written: self.place.saved,
            ..LinkProgress::default()
        });
        pass.kept = serde_json::to_string(&self.place).unwrap_or_default();
        let applied = applied.map(|state| SaveState {
            version: self.state.version + 1,
            ..state
        });
        let store = &self.app.remote.store;
        store
            .checkpoint_save_pass(self.contract, &self.organization, &pass, applied.as_ref())
            .await?;
        self.pass = pass;
        if let Some(applied) = applied {
            self.state = applied;
        }
        Ok(())
    }

    async fn give_back(&mut self, problem: Option<Problem>) -> Result<(), StoreError> {
        let seconds = if problem.is_some() { 30 } else { 0 };
        let due = self.app.now().plus_seconds(seconds);
        let pass = self.pass.handed_over(due, problem);
        self.store().put_save_pass(self.contract, &pass).await?;
        crm_setup::announce_in(&self.app.queue, self.contract, WorkKind::Save, seconds).await;
        Ok(())
    }

    /// Closes the pass if the connection is being ended; fails if another worker has the pass.
    async fn give_up(&mut self) -> Result<(), StoreError> {
        let stands = self.store().organization(self.contract, PRODUCTION).await?;
        if stands.is_some() {
            return Err(StoreError::Conflict);
        }
        let problem = texts::not_connected("The CRM", Audience::Setup);
        let mut closed = self.pass.closed(self.app.now(), problem);
        // This worker writes nothing more.
        closed.lease_until = None;
        self.store().put_save_pass(self.contract, &closed).await
    }

    async fn end(&mut self, problem: Option<Problem>) -> Result<(), StoreError> {
        let ended = self.pass.ended(self.app.now(), problem);
        self.store().put_save_pass(self.contract, &ended).await?;
        tracing::info!(contract = %self.contract, pass = self.pass.pass, saved = self.place.saved, "save pass ended");
        if ended.is_open() {
            crm_setup::announce(&self.app.queue, self.contract, WorkKind::Save).await;
        }
        Ok(())
    }

    /// The seat of each user of the CRM who has one. Disabled seats take no part, nor do those for which
    /// nothing is saved.
    async fn seats(&self) -> Result<BTreeMap<String, SeatId>, StoreError> {
        let (store, contract) = (self.store(), self.contract);
        if !self.settings.saves() {
            return Ok(BTreeMap::new());
        }
        let mut seats = all_seats(store, contract).await?;
        seats.retain(|seat| seat.status != SeatStatus::Disabled);
        let users = CrmUsers {
            contract,
            environment: PRODUCTION,
            crm: self.crm(),
        };
        let mut found = users.of_seats(store, &self.organization, &seats).await?;
        let saving = seats
            .iter()
            .filter(|seat| seat.crm.auto_saves(&self.settings));
        let saving: BTreeSet<SeatId> = saving.map(|seat| seat.id).collect();
        found.retain(|_, seat| saving.contains(seat));
        Ok(found)
    }

    /// Looks at every open opportunity; `false` if time is up before the end.
    async fn all(&mut self, wanted: &str) -> Result<bool, StoreError> {
        if self.place.applied.as_deref() == Some(wanted) {
            // A user whose seat is another by now, or none, is looked at again later.
            let mut begun = self.state.clone();
            let seats = &self.seats;
            begun
                .seats
                .retain(|user, seat| seats.get(user) == Some(&*seat));
            if begun != self.state {
                self.keep("opportunities", Some(begun)).await?;
            }
        } else {
            self.place = Place {
                applied: Some(wanted.to_owned()),
                saved: self.place.saved,
                ..Place::default()
            };
            // The seats of this step only are those that every opportunity is looked at for. Until the end
            // no settings are applied.
            let begun = SaveState {
                applied: String::new(),
                seats: self.seats.clone(),
                version: 0,
            };
            self.keep("opportunities", Some(begun)).await?;
        }
        let object = vocabulary(self.crm()).opportunity.name;
        while self.settings.saves() && self.place.shard < MIRROR_SHARDS {
            if !self.in_time() {
                return Ok(false);
            }
            let (shard, after) = (self.place.shard, self.place.after.clone());
            let page = self
                .mirror(object)
                .shard_page(self.store(), shard, after.as_deref(), PAGE)
                .await?;
            let crm = self.crm();
            let there = page.items.into_iter();
            let there = there.filter_map(|record| Some((record.id, record.values?)));
            let found = there.map(|(id, values)| Opportunity::of(crm, &id, &values));
            let found: Vec<Opportunity> = found.collect();
            self.place.saved += self.look_at(&found).await?;
            self.place.after = page.next;
            if self.place.after.is_none() {
                self.place.shard += 1;
            }
            self.keep("opportunities", None).await?;
        }
        let applied = SaveState {
            applied: wanted.to_owned(),
            ..self.state.clone()
        };
        self.keep("opportunities", Some(applied)).await?;
        Ok(true)
    }

    /// Looks at the open opportunities of users whose seat was not known before; `false` if time is up before
    /// the end.
    async fn new_seats(&mut self) -> Result<bool, StoreError> {
        let object = vocabulary(self.crm()).opportunity.name;
        let new: Vec<(String, SeatId)> = self
            .seats
            .iter()
            .filter(|(user, seat)| self.state.seats.get(*user) != Some(*seat))
            .map(|(user, seat)| (user.clone(), *seat))
            .collect();
        for (user, seat) in new {
            let owner = Some((user.clone(), seat));
            if self.place.owner != owner {
                self.place.owner = owner;
                self.place.after = None;
            }
            while let Some(key) = Named::Owner.opportunities(&user, true) {
                if !self.in_time() {
                    return Ok(false);
                }
                let after = self.place.after.clone();
                let (store, contract) = (self.store(), self.contract);
                let page = store
                    .ids_by_key(contract, PRODUCTION, &key, object, after.as_deref(), PAGE)
                    .await?;
                let ids: Vec<&str> = page.items.iter().map(String::as_str).collect();
                let found = self.opportunities().several(store, &ids).await?;
                self.place.saved += self.look_at(&found).await?;
                self.place.after = page.next;
                if self.place.after.is_none() {
                    break;
                }
                // One user can own all of them.
                self.keep("seats", None).await?;
            }
            self.place.owner = None;
            let mut known = self.state.clone();
            known.seats.insert(user, seat);
            self.keep("seats", Some(known)).await?;
        }
        let known = SaveState {
            seats: self.seats.clone(),
            ..self.state.clone()
        };
        if known != self.state {
            self.keep("seats", Some(known)).await?;
        }
        Ok(true)
    }

    /// Looks at the opportunities that were changed, and removes their marks; `false` if time is up before the
    /// end.
    async fn changed(&mut self) -> Result<bool, StoreError> {
        for shard in 0..TOUCHED_SHARDS {
            let mut after: Option<Touched> = None;
            loop {
                if !self.in_time() {
                    return Ok(false);
                }
                let (store, contract) = (self.store(), self.contract);
                let marks = store
                    .touched(contract, PRODUCTION, shard, after.as_ref(), PAGE)
                    .await?;
                let Some(last) = marks.last().cloned() else {
                    break;
                };
                let ids: BTreeSet<&str> = marks.iter().map(|mark| &*mark.opportunity).collect();
                let ids: Vec<&str> = ids.into_iter().collect();
                let found = self.opportunities().several(store, &ids).await?;
                let saved = self.look_at(&found).await?;
                store.settle_touched(contract, &marks).await?;
                self.place.saved += saved;
                self.keep("changes", None).await?;
                after = Some(last);
            }
        }
        Ok(true)
    }

    /// Saves what these opportunities are about; returns the number of records that were saved.
    async fn look_at(&self, opportunities: &[Opportunity]) -> Result<u64, StoreError> {
        let mut looks: Vec<BoxFuture<'_, _>> = Vec::new();
        for opportunity in opportunities {
            looks.push(Box::pin(self.for_owner(opportunity)));
        }
        let found: Vec<Vec<ToSave>> = stream::iter(looks)
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        // Those of one record come one after the other: side by side they would only conflict.
        let mut records: BTreeMap<(SeatId, RecordRef), Vec<ToSave>> = BTreeMap::new();
        for one in found.into_iter().flatten() {
            let of = records.entry((one.seat, one.record.clone()));
            of.or_default().push(one);
        }
        let mut saves: Vec<BoxFuture<'_, _>> = Vec::new();
        for of_record in records.values() {
            saves.push(Box::pin(self.save_each(of_record)));
        }
        let new: Vec<u64> = stream::iter(saves)
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        Ok(new.iter().sum())
    }

    /// Saves a record because of each of these opportunities; returns the number of those that are new.
    async fn save_each(&self, of_record: &[ToSave]) -> Result<u64, StoreError> {
        let (store, contract) = (self.store(), self.contract);
        let mut saved = 0;
        for one in of_record {
            let record = (one.kind, &one.record);
            let new = store.save_because(contract, one.seat, record, &one.reason);
            match new.await {
                // What is saved and cannot be read stays as it is, and stops no other.
                Err(error @ StoreError::Corrupt { .. }) => error.log(),
                new => saved += u64::from(new?),
            }
        }
        Ok(saved)
    }

    /// The records that an opportunity has to be a reason of, for its owner's seat.
    async fn for_owner(&self, opportunity: &Opportunity) -> Result<Vec<ToSave>, StoreError> {
        let begins_at = self.settings.pipeline_stage.as_deref();
        let owner = opportunity.owner.as_deref();
        let Some(seat) = owner.and_then(|owner| self.seats.get(owner)).copied() else {
            return Ok(Vec::new());
        };
        if !self.settings.saves() || !opportunity.in_pipeline(begins_at, self.options.as_ref()) {
            return Ok(Vec::new());
        }
        let since = self.app.now();
        let tied = self.tied(opportunity).await?.into_iter();
        let reason = |role| Reason {
            opportunity: opportunity.id.clone(),
            role,
            since,
        };
        Ok(tied
            .map(|(kind, record, role)| ToSave {
                seat,
                kind,
                record,
                reason: reason(role),
            })
            .collect())
    }

    /// The records that are tied to an opportunity, of the kinds that are saved.
    async fn tied(
        &self,
        opportunity: &Opportunity,
    ) -> Result<Vec<(EntryKind, RecordRef, Option<String>)>, StoreError> {
        let (store, reading) = (self.store(), self.opportunities());
        let (known, kinds) = (vocabulary(self.crm()), self.settings.auto_save);
        let mut tied = Vec::new();
        if let Some(account) = opportunity.account.as_deref().filter(|_| kinds.accounts) {
            let account = RecordRef::new(known.account.name, account);
            tied.push((EntryKind::Company, account, None));
        }
        if kinds.contacts {
            let object = known.contact.name;
            let contacts = reading.contacts(store, opportunity).await?;
            let ids: Vec<&str> = contacts.iter().map(|one| one.contact.as_str()).collect();
            let there = match self.crm() {
                CrmKind::Salesforce => None,
                // An opportunity can be connected with a record of any kind.
                CrmKind::Dynamics365 => Some(reading.values(store, object, &ids).await?),
            };
            for contact in contacts {
                if there
                    .as_ref()
                    .is_none_or(|there| there.contains_key(&contact.contact))
                {
                    let record = RecordRef::new(object, contact.contact);
                    tied.push((EntryKind::Profile, record, contact.part));
                }
            }
        }
        if kinds.leads {
            for lead in reading.leads(store, opportunity).await? {
                let record = RecordRef::new(known.lead.name, lead);
                tied.push((EntryKind::Profile, record, None));
            }
        }
        Ok(tied)
    }
}
