//! A link pass: every entry of the directory against every record of the mirror (MA-1, MA-2).
//!
//! The directory is in memory, kind by kind; the mirror streams by, some pages at once. What comes of it is
//! decided for all entries together, and written where it differs from what the table has. So a pass can
//! be begun anew at any point, and one that finds nothing new writes nothing.
//!
//! A worker whose time ends before the mirror does keeps the candidates found so far and where it is; the
//! next goes on there. A person's decision that comes in between wins: each write assumes the version of
//! the entry that it was decided from.
//!
//! Memory: about 1 KB for each entry of the kind, 150 bytes for each account while contacts stream by, and a
//! page of 1 MB for each of [`SHARDS_AT_ONCE`]; the number of contacts and leads does not matter.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::{BoxFuture, join_all, try_join_all};
use matching::learn::Evidence;
use matching::{Bits, Clean, Model};
use serde::{Deserialize, Serialize};
use shared::clock::Millis;
use shared::crm_setup;
use shared::domain::contract::ContractConfig;
use shared::domain::directory::{
    Candidate, Entry, EntryId, EntryKind, EntryRates, EntryRef, How, Link, LinkPass, LinkProgress,
    Match, MatchState, ObjectRates, Rates, RecordRef,
};
use shared::domain::environment::Environment;
use shared::domain::ids::ContractId;
use shared::domain::linked_record::{self, Account, linked_objects};
use shared::domain::sync::SyncState;
use shared::linking::Linking;
use shared::linking::board::{Board, Draft, Known, Outcome, Streamed, There};
use shared::problem::Problem;
use shared::store::{
    Connection, ConnectionKind, DIRECTORY_SHARDS, EntryAs, EntryWithMatch, LinkWrite,
    MIRROR_SHARDS, MirrorRecord, Page, StoreError, WaitsFor, WorkKind,
};
use shared::texts::{self, Audience};

use crate::App;

const PRODUCTION: Environment = Environment::Production;
/// How long a worker has the pass alone, in seconds: longer than the function's time-out.
const LEASE_SECONDS: i64 = 180;
/// After this a worker begins nothing new and hands over.
pub(crate) const WORK_TIME: Duration = Duration::from_mins(1);
/// After this it stops where it stands, inside the function's time-out.
const STEP_TIME: Duration = Duration::from_secs(110);
/// Workers in a row that did not come further before a person is asked to look.
const MAX_ATTEMPTS: u32 = 5;
/// Shards of an object that are read at once.
const SHARDS_AT_ONCE: u32 = 4;
/// Records of a page.
const PAGE: i32 = 1000;
/// How often what is done is told while it goes on.
const TELL_EVERY: Duration = Duration::from_secs(5);
/// Entries of a piece of a draft: some 200 KB.
const DRAFT_ENTRIES: usize = 400;
/// Entries that lost against another writer and are linked one by one; more are left to the next pass.
const MAX_LOST: usize = 200;
/// Entries and pairs from which on there is something to learn.
const LEARN_ENTRIES: usize = 200;
const LEARN_PAIRS: usize = 1000;
/// Pairs that are learned from at most: 24 bytes each.
const MOST_PAIRS: usize = 1_000_000;
/// Records whose values are counted at most, about: how rare they are is part of what is learned.
const MOST_COUNTED: u64 = 200_000;
/// A model is kept where it scores pairs otherwise than the one before, in the mean by so much, in
/// thousandths of a bit.
const MATERIAL: u64 = 300;
/// Who asks for the pass that follows a new model; that one learns nothing.
const BY_MODEL: &str = "model";
/// Companies first: there are fewer of them.
const KINDS: [EntryKind; 2] = [EntryKind::Company, EntryKind::Profile];
/// When a record that was made is in the mirror for certain: how far clocks may differ and how long a
/// transaction of the CRM may take, in seconds.
const SETTLED_SECONDS: i64 = 900;

/// Where a pass goes on.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Place {
    /// Which of [`KINDS`].
    kind: usize,
    /// Which of its objects streams by.
    object: usize,
    /// Which [`SHARDS_AT_ONCE`] shards of it.
    group: u32,
    /// The record that each of them goes on after.
    after: Vec<After>,
    /// Records that streamed by.
    done: u64,
    /// Candidates of the kind are kept.
    drafts: bool,
    /// Everything streamed by: the shard of the directory that is written next.
    shard: u32,
    /// What was counted of the kind so far: entries, and links of each object with those of people.
    counted: Option<EntryRates>,
    linked: BTreeMap<String, (u64, u64)>,
    /// Linked records of each object that were created since the import and are not in the mirror.
    new: BTreeMap<String, u64>,
    /// What was counted of the kinds before.
    entries: Vec<EntryRates>,
    objects: Vec<ObjectRates>,
    /// Entries whose match was written.
    written: u64,
}

/// How far a shard was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum After {
    Start,
    Record(String),
    End,
}

/// A worker's step of a pass.
struct Worker<'a> {
    app: &'a App,
    contract: &'a ContractId,
    config: Arc<ContractConfig>,
    organization: String,
    pass: LinkPass,
    place: Place,
    began: Instant,
    told: Instant,
}

impl App {
    /// Brings a link pass to its end, or as far as a worker's time reaches.
    pub(crate) async fn link(&self, contract: &ContractId) -> Result<(), StoreError> {
        let store = &self.remote.store;
        let now = self.now();
        let Some(stored) = store.link_pass(contract).await? else {
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
                .put_link_pass(contract, &stored.closed(now, problem))
                .await;
        };
        store
            .checkpoint_link_pass(contract, &connection.organization, &pass)
            .await?;
        let attempts = pass.attempts;
        let mut worker = Worker {
            app: self,
            contract,
            config,
            organization: connection.organization,
            place: serde_json::from_str(&pass.kept).unwrap_or_default(),
            pass,
            began: Instant::now(),
            told: Instant::now(),
        };
        if attempts > MAX_ATTEMPTS {
            tracing::error!(%contract, "a link pass does not come further");
            return worker.end(Some(not_further()), None).await;
        }
        match tokio::time::timeout(STEP_TIME, Box::pin(worker.go())).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(StoreError::Conflict)) => worker.give_up().await,
            Ok(Err(error)) => {
                worker.give_back(Some(Problem::unavailable())).await?;
                Err(error)
            }
            Err(_) => {
                tracing::error!(%contract, "a step of a link pass took too long and was stopped");
                Ok(())
            }
        }
    }
}

fn not_further() -> Problem {
    Problem::new(
        500,
        "link_pass_stuck",
        "The pass over the directory stopped several times at the same place.",
        "Ask for it again; if it stops again, have the operator look at the logs.",
    )
}

impl Worker<'_> {
    fn linking(&self) -> Linking<'_> {
        let (store, contract) = (&self.app.remote.store, &self.config.contract);
        Linking::new(store, contract, self.app.now())
    }

    fn in_time(&self) -> bool {
        self.began.elapsed() < self.app.link_time
    }

    async fn go(&mut self) -> Result<(), StoreError> {
        while let Some(kind) = KINDS.get(self.place.kind) {
            if !Box::pin(self.kind(*kind)).await? {
                return self.give_back(None).await;
            }
            let drafts = self.place.drafts;
            self.place = Place {
                kind: self.place.kind + 1,
                entries: std::mem::take(&mut self.place.entries),
                objects: std::mem::take(&mut self.place.objects),
                written: self.place.written,
                ..Place::default()
            };
            self.keep("linked", 0, None).await?;
            if drafts {
                let store = &self.app.remote.store;
                store.put_link_drafts(self.contract, Vec::new()).await?;
            }
        }
        let rates = Rates {
            at: self.app.now(),
            pass: self.pass.pass,
            objects: std::mem::take(&mut self.place.objects),
            entries: std::mem::take(&mut self.place.entries),
        };
        self.end(None, Some(&rates)).await
    }

    /// Keeps how far the pass has come. Fails where it is somebody else's, or the connection ends.
    async fn keep(&mut self, stage: &str, done: u64, of: Option<u64>) -> Result<(), StoreError> {
        let mut pass = self.pass.advanced(LinkProgress {
            stage: stage.to_owned(),
            done,
            of,
            written: self.place.written,
        });
        pass.kept = serde_json::to_string(&self.place).unwrap_or_default();
        let store = &self.app.remote.store;
        store
            .checkpoint_link_pass(self.contract, &self.organization, &pass)
            .await?;
        self.pass = pass;
        self.told = Instant::now();
        Ok(())
    }

    /// Tells how far it has come, now and then. Where it goes on after a death stays as it was kept.
    async fn tell(&mut self, stage: &str, done: u64, of: Option<u64>) -> Result<(), StoreError> {
        if self.told.elapsed() < TELL_EVERY {
            return Ok(());
        }
        let kept = self.pass.kept.clone();
        let mut pass = self.pass.advanced(LinkProgress {
            stage: stage.to_owned(),
            done,
            of,
            written: self.place.written,
        });
        pass.kept = kept;
        // A worker that dies again and again at one place tells of it until then.
        pass.attempts = self.pass.attempts;
        let store = &self.app.remote.store;
        store
            .checkpoint_link_pass(self.contract, &self.organization, &pass)
            .await?;
        self.pass = pass;
        self.told = Instant::now();
        Ok(())
    }

    /// Gives the pass back: the next worker goes on where it was last kept.
    async fn give_back(&mut self, problem: Option<Problem>) -> Result<(), StoreError> {
        let store = &self.app.remote.store;
        let seconds = if problem.is_some() { 30 } else { 0 };
        let due = self.app.now().plus_seconds(seconds);
        let pass = self.pass.handed_over(due, problem);
        store.end_link_pass(self.contract, &pass, None).await?;
        crm_setup::announce_in(&self.app.queue, self.contract, WorkKind::Link, seconds).await;
        Ok(())
    }

    /// Somebody else has the pass, or the connection is being ended: then who ends it need not wait for
    /// the lease.
    async fn give_up(&mut self) -> Result<(), StoreError> {
        let store = &self.app.remote.store;
        let connection = store
            .connection(self.contract, ConnectionKind::PRODUCTION)
            .await?;
        if connection.is_some_and(|connection| connection.stands()) {
            return Err(StoreError::Conflict);
        }
        let problem = texts::not_connected("The CRM", Audience::Setup);
        let mut closed = self.pass.closed(self.app.now(), problem);
        // This worker writes nothing more.
        closed.lease_until = None;
        store.put_link_pass(self.contract, &closed).await
    }

    async fn end(
        &mut self,
        problem: Option<Problem>,
        rates: Option<&Rates>,
    ) -> Result<(), StoreError> {
        let store = &self.app.remote.store;
        let ended = self.pass.ended(self.app.now(), problem);
        store.end_link_pass(self.contract, &ended, rates).await?;
        tracing::info!(contract = %self.contract, pass = self.pass.pass, written = self.place.written,
            duration_ms = self.app.now().since(self.pass.started_at.unwrap_or_default()), "link pass ended");
        if ended.is_open() {
            crm_setup::announce(&self.app.queue, self.contract, WorkKind::Link).await;
        }
        Ok(())
    }

    /// Links the entries of a kind. `false`: there was no time for all of it.
    async fn kind(&mut self, kind: EntryKind) -> Result<bool, StoreError> {
        let store = self.app.remote.store.clone();
        let config = self.config.clone();
        let crm = config.contract.crm;
        let objects = linked_objects(crm, kind);
        let model = Arc::unwrap_or_clone(self.linking().model(kind).await?);
        let region = config.contract.settings.default_region.as_deref();
        let mut board = Board::new(model.clone(), region, objects);
        self.load(kind, &mut board).await?;
        let sizes = self.sizes(objects).await?;
        if board.is_empty() {
            self.place.entries.push(EntryRates::none(kind));
            let none = objects.iter().zip(&sizes);
            let none = none.map(|(object, records)| object_rates(object, *records, 0, 0));
            self.place.objects.extend(none);
            return Ok(true);
        }
        if self.place.drafts {
            let pieces = store.link_drafts(self.contract).await?;
            let drafts = pieces
                .iter()
                .filter_map(|piece| serde_json::from_slice(piece).ok());
            board.take_up(drafts.collect::<Vec<Draft>>());
        }
        let of = sizes.iter().sum();
        let mut evidence = self.evidence(&board);
        if !self
            .stream(kind, &mut board, of, &model, &mut evidence)
            .await?
        {
            self.keep_drafts(&board, of).await?;
            return Ok(false);
        }
        let Decided { all, known } = self.decide(kind, &board).await?;
        let grounds = Grounds {
            known: &known,
            threshold: model.threshold,
            model: model.version,
            now: self.app.now(),
        };
        if !self.write(kind, &grounds, &all, &sizes).await? {
            // What streamed by is not read again.
            self.keep_drafts(&board, of).await?;
            return Ok(false);
        }
        if let Some(mut evidence) = evidence {
            let (entries, records) = board.alone();
            evidence.alone(entries, records);
            self.learn(kind, &model, &board, &known, evidence).await?;
        }
        Ok(true)
    }

    /// What is learned from; none where there is too little, or where not all of it streams by one worker.
    fn evidence(&self, board: &Board) -> Option<Evidence> {
        let learns = board.telling() >= LEARN_ENTRIES
            && self.pass.requested_by != BY_MODEL
            && self.place.done == 0
            && self.place.object == 0;
        learns.then(Evidence::new)
    }

    /// Learns how much each agreement says in this directory and this CRM, beginning with what is shipped.
    /// Where that changes scores, another pass follows, which links by it.
    async fn learn(
        &mut self,
        kind: EntryKind,
        model: &Model,
        board: &Board,
        known: &Known,
        mut evidence: Evidence,
    ) -> Result<(), StoreError> {
        if evidence.len() < LEARN_PAIRS {
            return Ok(());
        }
        for clean in board.cleans() {
            evidence.count(clean);
        }
        for (entry, record, is_match) in board.decided(known) {
            evidence.decide(model, entry, record, is_match);
        }
        let mut learned = evidence.learn(&Model::shipped(kind.matching()));
        learned.version = model.version + 1;
        let (mut pairs, mut sum) = (0, 0);
        let entries: Vec<&Clean> = board.cleans().take(500).collect();
        for (a, b) in entries.iter().zip(entries.iter().skip(1)) {
            for (a, b) in [(a, a), (a, b)] {
                let above =
                    |model: &Model| i64::from(model.score(a, b)) - i64::from(model.threshold);
                sum += above(&learned).abs_diff(above(model));
                pairs += 1;
            }
        }
        if sum < pairs * MATERIAL {
            return Ok(());
        }
        let store = &self.app.remote.store;
        match store
            .put_model(self.contract, kind, &learned, self.app.now())
            .await
        {
            // Two passes learned at once: one of them did.
            Ok(()) | Err(StoreError::Conflict) => {}
            Err(error) => return Err(error),
        }
        tracing::info!(contract = %self.contract, %kind, version = learned.version, pairs = learned.pairs, "model learned");
        self.follow(BY_MODEL);
        Ok(())
    }

    /// Has another pass follow this one.
    fn follow(&mut self, by: &str) {
        self.pass.again.get_or_insert_with(|| by.to_owned());
    }

    /// Keeps the candidates, and then where to go on: a part that is read twice does no harm.
    async fn keep_drafts(&mut self, board: &Board, of: u64) -> Result<(), StoreError> {
        let pieces: Result<Vec<Vec<u8>>, _> = board
            .drafts(DRAFT_ENTRIES)
            .map(|draft| serde_json::to_vec(&draft))
            .collect();
        let pieces = pieces.map_err(|error| StoreError::Unavailable(Box::new(error)))?;
        let store = &self.app.remote.store;
        store.put_link_drafts(self.contract, pieces).await?;
        self.place.drafts = true;
        self.keep("comparing", self.place.done, Some(of)).await
    }

    /// Takes the entries of a kind into memory.
    async fn load(&mut self, kind: EntryKind, board: &mut Board) -> Result<(), StoreError> {
        for shards in (0..DIRECTORY_SHARDS).collect::<Vec<_>>().chunks(4) {
            let mut loaded: Vec<BoxFuture<'_, _>> = Vec::with_capacity(shards.len());
            for shard in shards {
                loaded.push(Box::pin(self.load_shard(kind, *shard)));
            }
            for (entry, matched) in try_join_all(loaded).await?.into_iter().flatten() {
                board.add(&entry, matched.as_ref());
            }
            self.tell("reading the directory", board.len() as u64, None)
                .await?;
        }
        Ok(())
    }

    async fn load_shard(
        &self,
        kind: EntryKind,
        shard: u32,
    ) -> Result<Vec<EntryWithMatch>, StoreError> {
        let store = &self.app.remote.store;
        let (mut rows, mut after) = (Vec::new(), None);
        loop {
            let page = store
                .directory_shard(self.contract, PRODUCTION, kind, shard, after)
                .await?;
            rows.extend(page.rows);
            after = page.next;
            if after.is_none() {
                return Ok(rows);
            }
        }
    }

    /// How many records the mirror has of each object.
    async fn sizes(&self, objects: &[&str]) -> Result<Vec<u64>, StoreError> {
        let store = &self.app.remote.store;
        let syncs = store.object_syncs(self.contract, PRODUCTION).await?;
        let size = |object: &&str| {
            let mut syncs = syncs.iter();
            let sync = syncs.find(|sync| sync.object == **object);
            sync.map_or(0, |sync| sync.records)
        };
        Ok(objects.iter().map(size).collect())
    }

    /// Names and websites of all accounts, by id.
    async fn accounts(&mut self) -> Result<HashMap<String, Account>, StoreError> {
        let crm = self.config.contract.crm;
        let object = linked_record::account_object(crm);
        let mut accounts = HashMap::new();
        for group in 0..MIRROR_SHARDS / SHARDS_AT_ONCE {
            let mut after = vec![After::Start; SHARDS_AT_ONCE as usize];
            while after.iter().any(|after| *after != After::End) {
                for page in self.pages(object, group, &mut after).await? {
                    let found = page.into_iter().filter_map(|record| {
                        let account = linked_record::account(crm, record.values.as_ref()?)?;
                        Some((record.id, account))
                    });
                    accounts.extend(found);
                }
                self.tell("reading accounts", accounts.len() as u64, None)
                    .await?;
            }
        }
        Ok(accounts)
    }

    /// The next page of a shard, unless it was read to its end.
    async fn page(
        &self,
        object: &str,
        shard: u32,
        after: After,
    ) -> Result<Option<Page<MirrorRecord>>, StoreError> {
        let after = match &after {
            After::Start => None,
            After::Record(id) => Some(id.as_str()),
            After::End => return Ok(None),
        };
        let linking = self.linking();
        let store = &self.app.remote.store;
        let mirror = linking.mirror(object);
        let page = mirror.shard_page(store, shard, after, PAGE).await?;
        Ok(Some(page))
    }

    /// The next page of each shard of a group.
    async fn pages(
        &self,
        object: &str,
        group: u32,
        after: &mut [After],
    ) -> Result<Vec<Vec<MirrorRecord>>, StoreError> {
        let mut reads: Vec<BoxFuture<'_, _>> = Vec::with_capacity(after.len());
        for (shard, after) in (group * SHARDS_AT_ONCE..).zip(&*after) {
            reads.push(Box::pin(self.page(object, shard, after.clone())));
        }
        let read = join_all(reads).await;
        let mut pages = Vec::with_capacity(read.len());
        for (page, after) in read.into_iter().zip(after) {
            let Some(page) = page? else { continue };
            *after = page.next.map_or(After::End, After::Record);
            pages.push(page.items);
        }
        Ok(pages)
    }

    /// Has the mirror's records stream by the entries. `false`: there was no time for all of them.
    async fn stream(
        &mut self,
        kind: EntryKind,
        board: &mut Board,
        of: u64,
        model: &Model,
        evidence: &mut Option<Evidence>,
    ) -> Result<bool, StoreError> {
        let crm = self.config.contract.crm;
        let objects = linked_objects(crm, kind);
        let count_every = (of / MOST_COUNTED).max(1);
        let mut met = 0;
        if self.place.object >= objects.len() {
            return Ok(true);
        }
        let accounts = match kind {
            EntryKind::Company => HashMap::new(),
            EntryKind::Profile => self.accounts().await?,
        };
        let config = self.config.clone();
        let settings = &config.contract.settings;
        let region = settings.default_region.as_deref();
        while let Some(object) = objects.get(self.place.object).copied() {
            if self.place.after.len() != SHARDS_AT_ONCE as usize {
                self.place.after = vec![After::Start; SHARDS_AT_ONCE as usize];
            }
            let mut after = std::mem::take(&mut self.place.after);
            while after.iter().any(|after| *after != After::End) {
                for page in self.pages(object, self.place.group, &mut after).await? {
                    self.place.done += page.len() as u64;
                    for record in page {
                        let Some(values) = record.values.filter(|_| record.merged_into.is_none())
                        else {
                            continue;
                        };
                        if linked_record::converted_to(crm, object, &values).is_some() {
                            continue;
                        }
                        let account = linked_record::account_of(crm, object, &values);
                        let account = account.and_then(|id| accounts.get(id));
                        let Some(shown) = linked_record::record(
                            crm,
                            object,
                            &values,
                            account,
                            &settings.placeholder,
                        ) else {
                            continue;
                        };
                        let clean = Clean::new(kind.matching(), &shown, region);
                        met += 1;
                        if let Some(evidence) = evidence.as_mut()
                            && met % count_every == 0
                        {
                            evidence.count(&clean);
                        }
                        let streamed = Streamed {
                            object,
                            id: &record.id,
                            clean: &clean,
                            owner: linked_record::owner_of(crm, object, &values),
                            keys: &record.keys,
                        };
                        board.meet(&streamed, |entry, record| {
                            if let Some(evidence) = evidence
                                && evidence.len() < MOST_PAIRS
                            {
                                evidence.observe(model, entry, record);
                            }
                        });
                    }
                }
                self.tell("comparing", self.place.done, Some(of)).await?;
                if !self.in_time() {
                    break;
                }
            }
            if after.iter().any(|after| *after != After::End) {
                self.place.after = after;
                return Ok(false);
            }
            self.place.group += 1;
            if self.place.group >= MIRROR_SHARDS / SHARDS_AT_ONCE {
                self.place.group = 0;
                self.place.object += 1;
            }
            if !self.in_time() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Decides on all entries.
    async fn decide(&self, kind: EntryKind, board: &Board) -> Result<Decided, StoreError> {
        let linking = self.linking();
        let records = linking.look(kind, board.questions()).await?;
        let store = &self.app.remote.store;
        let sync = store.sync(self.contract, PRODUCTION).await?;
        let began = sync
            .filter(|sync| sync.state == SyncState::Succeeded)
            .and_then(|sync| sync.started_at);
        let mut known = Known {
            survivors: records
                .survivors()
                .map(|(loser, survivor)| (loser.clone(), survivor.clone()))
                .collect(),
            settled: began.map(|began: Millis| began.plus_seconds(-SETTLED_SECONDS)),
            ..Known::default()
        };
        for seen in records.iter() {
            let record = seen.crm.record.clone();
            if let Some(contact) = &seen.crm.converted_to {
                known.converted.insert(record.clone(), contact.clone());
            }
            let there = There {
                clean: seen.clean.clone(),
                owner: seen.crm.owner.clone(),
            };
            known.there.insert(record, there);
        }
        let all = board.decide(&known);
        Ok(Decided { all, known })
    }

    /// Writes what differs, and counts. `false`: there was no time for all of it.
    async fn write(
        &mut self,
        kind: EntryKind,
        grounds: &Grounds<'_>,
        outcomes: &[Outcome],
        sizes: &[u64],
    ) -> Result<bool, StoreError> {
        self.free(kind, outcomes).await?;
        let by_id: HashMap<EntryId, &Outcome> = outcomes
            .iter()
            .map(|outcome| (outcome.id, outcome))
            .collect();
        let holders = holders(outcomes);
        let store = self.app.remote.store.clone();
        let mut rates = self.place.counted.unwrap_or(EntryRates::none(kind));
        let mut linked = std::mem::take(&mut self.place.linked);
        let mut new = std::mem::take(&mut self.place.new);
        let mut lost: Vec<EntryId> = Vec::new();
        let mut done = rates.entries;
        for shard in self.place.shard..DIRECTORY_SHARDS {
            let mut after = None;
            loop {
                let page = store
                    .directory_shard(self.contract, PRODUCTION, kind, shard, after)
                    .await?;
                let mut writes = Vec::new();
                for (entry, before) in page.rows {
                    done += 1;
                    let outcome = by_id.get(&entry.id);
                    // Who came or changed since is linked by whoever brought that about.
                    let outcome = outcome.filter(|outcome| outcome.version == entry.version);
                    let write = outcome.and_then(|outcome| {
                        grounds.write(outcome, &entry, before.as_ref(), &holders)
                    });
                    let matched = write.as_ref().map(|write| &write.after).or(before.as_ref());
                    let state = MatchState::of(&entry, matched);
                    rates.count(state, entry.is_manual());
                    let link = matched.and_then(|matched| matched.link.as_ref());
                    if let Some(Link { record, how, .. }) = link.filter(|_| state.in_crm()) {
                        let counts = linked.entry(record.object.clone()).or_default();
                        counts.0 += 1;
                        counts.1 += u64::from(entry.is_manual());
                        if *how == How::Created && !grounds.known.there.contains_key(record) {
                            *new.entry(record.object.clone()).or_default() += 1;
                        }
                    }
                    writes.extend(write);
                }
                let count = writes.len() as u64;
                let failed = store.write_links(self.contract, PRODUCTION, writes).await?;
                self.place.written += count - (failed.len() as u64).min(count);
                lost.extend(failed.iter().map(|write| write.entry.reference().id));
                self.tell("writing", done, Some(outcomes.len() as u64))
                    .await?;
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            self.place.shard = shard + 1;
            if !self.in_time() {
                break;
            }
        }
        if lost.len() > MAX_LOST {
            tracing::warn!(contract = %self.contract, lost = lost.len(), "entries changed during a link pass: the next links them");
            self.follow("linking");
        }
        for id in lost.into_iter().take(MAX_LOST) {
            match self.linking().link_entry(kind, id).await {
                Ok(_) | Err(StoreError::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
        if self.place.shard < DIRECTORY_SHARDS {
            self.place.counted = Some(rates);
            self.place.linked = linked;
            self.place.new = new;
            return Ok(false);
        }
        self.place.entries.push(rates);
        let objects = linked_objects(self.config.contract.crm, kind);
        for (object, records) in objects.iter().zip(sizes) {
            let (matched, manual) = linked.get(*object).copied().unwrap_or_default();
            let new = new.get(*object).copied().unwrap_or_default();
            let rates = object_rates(object, *records + new, matched, manual);
            self.place.objects.push(rates);
        }
        Ok(true)
    }

    /// Takes the records that go to other entries from those that have them: there are few.
    async fn free(&mut self, kind: EntryKind, outcomes: &[Outcome]) -> Result<(), StoreError> {
        let store = self.app.remote.store.clone();
        let wanted = holders(outcomes);
        let in_the_way: Vec<&Outcome> = outcomes
            .iter()
            .filter(|outcome| {
                let was = outcome.was.as_ref();
                was.and_then(|was| wanted.get(was))
                    .is_some_and(|id| *id != outcome.id)
            })
            .collect();
        for batch in in_the_way.chunks(100) {
            let ids: Vec<EntryId> = batch.iter().map(|outcome| outcome.id).collect();
            let matches = store
                .entry_matches(self.contract, PRODUCTION, kind, &ids)
                .await?;
            let writes = batch.iter().filter_map(|outcome| {
                let before = matches.get(&outcome.id)?;
                (before.record() == outcome.was.as_ref()).then(|| LinkWrite {
                    entry: EntryAs::Is {
                        kind,
                        id: outcome.id,
                        version: outcome.version,
                    },
                    after: before.unlinked(self.app.now()),
                    before: Some(before.clone()),
                    from: None,
                    waits_for: None,
                })
            });
            // Whoever was changed meanwhile keeps its record; who wanted it is linked one by one.
            store
                .write_links(self.contract, PRODUCTION, writes.collect())
                .await?;
        }
        Ok(())
    }
}

/// What was decided, and on what grounds.
struct Decided {
    all: Vec<Outcome>,
    known: Known,
}

/// What decisions are written down with.
struct Grounds<'d> {
    known: &'d Known,
    threshold: Bits,
    model: u32,
    now: Millis,
}

impl Grounds<'_> {
    /// The write that a decision takes; none where the table says so already.
    fn write(
        &self,
        outcome: &Outcome,
        entry: &Entry,
        before: Option<&Match>,
        holders: &HashMap<&RecordRef, EntryId>,
    ) -> Option<LinkWrite> {
        let survivor = |record: &RecordRef| self.known.survivors.get(record).cloned();
        let followed = entry.followed(survivor);
        let version = followed
            .as_ref()
            .map_or(entry.version, |entry| entry.version);
        let old = before.and_then(|before| before.link.as_ref());
        let link = outcome.link.as_ref().map(|chosen| {
            let same = |old: &&Link| {
                let record = survivor(&old.record).unwrap_or_else(|| old.record.clone());
                record == chosen.record
            };
            let old = old.filter(same);
            let since = old
                .filter(|old| old.how == chosen.how)
                .map_or(self.now, |old| old.since);
            let settled = self.known.settled.is_some_and(|settled| since < settled);
            Link {
                record: chosen.record.clone(),
                how: chosen.how,
                score: chosen.score.or(old.map(|old| old.score)).unwrap_or(0),
                threshold: self.threshold,
                since,
                owner: if chosen.there {
                    chosen.owner.clone()
                } else {
                    old.and_then(|old| old.owner.clone())
                },
                record_gone: !chosen.there
                    && chosen.score.is_none()
                    && (chosen.how != How::Created || settled),
            }
        });
        let after = Match {
            link,
            candidates: outcome
                .candidates
                .iter()
                .map(|(record, score)| Candidate {
                    record: record.clone(),
                    score: *score,
                })
                .collect(),
            at: self.now,
            model: self.model,
            entry_version: version,
            version: before.map_or(0, |before| before.version),
        };
        if followed.is_none() && before.is_some_and(|before| before.same_as(&after)) {
            return None;
        }
        // Users chose its record for another too, which has it.
        let decided = followed.as_ref().unwrap_or(entry).decided();
        let waits_for = decided
            .filter(|decided| after.record() != Some(*decided))
            .and_then(|decided| {
                let by = EntryRef {
                    kind: entry.kind,
                    id: *holders.get(decided)?,
                };
                let record = decided.clone();
                Some(WaitsFor { record, by })
            });
        Some(LinkWrite {
            waits_for,
            entry: followed.map_or_else(
                || EntryAs::is(entry),
                |entry| EntryAs::Becomes(Box::new(entry)),
            ),
            before: before.cloned(),
            after,
            from: None,
        })
    }
}

/// The entries that records go to.
fn holders(outcomes: &[Outcome]) -> HashMap<&RecordRef, EntryId> {
    let linked = outcomes
        .iter()
        .filter_map(|outcome| Some((&outcome.link.as_ref()?.record, outcome.id)));
    linked.collect()
}

fn object_rates(object: &str, records: u64, matched: u64, manual: u64) -> ObjectRates {
    ObjectRates {
        object: object.to_owned(),
        records: records.max(matched),
        matched,
        manual,
        unmatched: records.saturating_sub(matched),
    }
}
