//! A link pass: every entry of the directory against every record of the mirror (MA-1, MA-2).
//!
//! Directory and mirror are read once, in parallel and in order of their shards; the engine links them in
//! memory. What comes of it is decided for all entries together, and written where it differs from what
//! the table has. So a pass can be begun anew at any point, and one that finds nothing new writes nothing.
//!
//! Sets too large for the function's memory are cut by shards, and
//! each part of the entries meets each part of the records ([`Parts`]): what the parts find is kept in the
//! table until all have met. Then nothing is learned, and the model that was known is used. Where workers
//! die over a part, the next cuts smaller. When it is decided, the entries of a kind and their candidates
//! are in memory together, without the records. A part finds every pair that the whole finds, and may find
//! more: the engine leaves keys out that too many records share, and a part has fewer of them.
//!
//! A worker whose time ends hands over between two parts, or between two shards that are written. An entry
//! that came or changed after its part was compared is left as it was linked online. A person's decision
//! that comes in between wins: each write assumes the version of the entry that it was decided from.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::{BoxFuture, join_all, try_join_all};
use matching::employer::stated;
use matching::{Bits, Model, bulk};
use serde::{Deserialize, Serialize};
use shared::clock::Millis;
use shared::crm_setup;
use shared::domain::contract::ContractConfig;
use shared::domain::directory::{
    Candidate, Entry, EntryId, EntryKind, EntryRates, EntryRef, How, Link, LinkPass, LinkProgress,
    Match, MatchState, ObjectRates, Rates, RecordRef, findings,
};
use shared::domain::environment::Environment;
use shared::domain::ids::ContractId;
use shared::domain::linked_record::{self, Account, linked_objects};
use shared::domain::run::RunKind;
use shared::domain::sync::SyncState;
use shared::linking::board::{Board, Draft, Known, Outcome, Pairs, Part, There};
use shared::linking::{Linking, Records};
use shared::problem::Problem;
use shared::runs;
use shared::store::{
    Connection, ConnectionKind, DIRECTORY_SHARDS, EntryAs, EntryWithMatch, LinkWrite,
    MIRROR_SHARDS, MirrorRecord, Page, StoreError, WaitsFor, WorkKind,
};
use shared::texts::{self, Audience};

use crate::App;
use crate::{champions, flags, roi};

const PRODUCTION: Environment = Environment::Production;
/// Time that a worker has the pass alone, in seconds: longer than the function's time-out.
const LEASE_SECONDS: i64 = 180;
/// After this a worker begins nothing new and hands over.
pub(crate) const WORK_TIME: Duration = Duration::from_mins(1);
/// After this it stops where it stands, inside the function's time-out.
const STEP_TIME: Duration = Duration::from_secs(110);
/// Workers in a row that did not come further before a person is asked to look.
const MAX_ATTEMPTS: u32 = 5;
/// Shards that are read at once.
const SHARDS_AT_ONCE: u32 = 8;
/// Records of a page.
const PAGE: i32 = 1000;
/// Interval at which progress is stored.
const TELL_EVERY: Duration = Duration::from_secs(5);
/// Entries of a piece of a draft: with ten candidates each, and ids and owners of 36 characters, below the
/// 350,000 bytes that a piece may have.
const DRAFT_ENTRIES: usize = 300;
/// Entries that lost against another writer and are linked one by one; more are left to the next pass.
const MAX_LOST: usize = 200;
/// Minimum number of entries for learning, not counting those whose record was made of them.
const LEARN_ENTRIES: usize = 200;
/// Number of pairs from which on a pass that learns nothing returns to the shipped model: what was learned
/// before no longer fits. With fewer the model stays.
const LEARN_PAIRS: usize = 1000;
/// A model is kept where it scores pairs otherwise than the one before, in the mean by so much, in
/// thousandths of a bit.
const MATERIAL: u64 = 300;
/// Estimate of the bytes that an entry or a record takes while it is linked, and of what the function takes
/// beside, the accounts' names and the pages that are read included. Where it is too low and a worker dies of
/// it, the next cuts smaller.
const BYTES_EACH: u64 = 2_500;
const BYTES_BESIDE: u64 = 250_000_000;
/// The function's memory where nothing says it: that of the template, in megabytes.
pub(crate) const MEGABYTES: u64 = 3_008;
/// Companies first: there are fewer of them.
const KINDS: [EntryKind; 2] = [EntryKind::Company, EntryKind::Profile];
/// Time after which a record that was made is in the mirror for certain, in seconds: the difference of clocks,
/// and the duration of a transaction of the CRM.
const SETTLED_SECONDS: i64 = 900;

/// The position from which the next worker continues a pass.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Place {
    /// Index in [`KINDS`].
    kind: usize,
    /// The parts that the kind is cut into; `None` before that is known.
    parts: Option<Parts>,
    /// Number of times that a worker's death made the parts smaller, by four each time.
    smaller: u32,
    /// Number of pairs of parts that have met, and whose findings are stored.
    met: u32,
    /// All have met: the shard of the directory that is written next.
    shard: u32,
    /// Counts of the kind so far: entries, and links of each object with those that people decided.
    counted: Option<EntryRates>,
    linked: BTreeMap<String, (u64, u64)>,
    /// Linked records of each object that were created since the import and are not in the mirror.
    new: BTreeMap<String, u64>,
    /// Counts of the kinds before.
    entries: Vec<EntryRates>,
    objects: Vec<ObjectRates>,
    /// Entries whose match was written.
    written: u64,
}

/// The number of parts that entries and records are cut into, each by its shards, so that a pair of parts fits
/// into memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Parts {
    entries: u32,
    records: u32,
}

impl Parts {
    /// The smallest number of parts of which each pair has at most `most` entries and records together.
    fn of(entries: u64, records: u64, most: u64) -> Self {
        let mut parts = Self {
            entries: 1,
            records: 1,
        };
        loop {
            let of_entries = entries / u64::from(parts.entries);
            let of_records = records / u64::from(parts.records);
            let (can_entries, can_records) = (
                parts.entries < DIRECTORY_SHARDS,
                parts.records < MIRROR_SHARDS,
            );
            if of_entries.saturating_add(of_records) <= most || !can_entries && !can_records {
                return parts;
            }
            if can_entries && (of_entries >= of_records || !can_records) {
                parts.entries *= 2;
            } else {
                parts.records *= 2;
            }
        }
    }

    const fn count(self) -> u32 {
        self.entries * self.records
    }

    /// The shards of the entries and of the records that meet as the `at`th.
    fn shards(self, at: u32) -> (Range<u32>, Range<u32>) {
        let of = |number: u32, parts: u32, shards: u32| {
            let size = shards / parts;
            number * size..(number + 1) * size
        };
        (
            of(at / self.records, self.entries, DIRECTORY_SHARDS),
            of(at % self.records, self.records, MIRROR_SHARDS),
        )
    }
}

/// The maximum number of entries and records that a worker links at a time, in a function of so many
/// megabytes.
pub(crate) fn most_at_once(megabytes: u64) -> u64 {
    let bytes = megabytes.saturating_mul(1_000_000);
    bytes.saturating_sub(BYTES_BESIDE).max(bytes / 4) / BYTES_EACH
}

/// Entries and records that have met.
struct Met {
    board: Board,
    part: Part,
    pairs: Pairs,
}

/// The position up to which a shard was read.
#[derive(Clone, PartialEq, Eq)]
enum After {
    Start,
    Record(String),
    End,
}

/// Groups shards by as many as are read at once.
fn at_once(shards: Range<u32>) -> Vec<Vec<u32>> {
    let shards: Vec<u32> = shards.collect();
    let together = shards.chunks(SHARDS_AT_ONCE as usize);
    together.map(<[u32]>::to_vec).collect()
}

/// A worker's step of a pass.
struct Worker<'a> {
    app: &'a App,
    contract: &'a ContractId,
    config: Arc<ContractConfig>,
    organization: String,
    pass: LinkPass,
    place: Place,
    /// The employers and titles that the records of the last part state, by the records' hashes.
    stated: HashMap<u64, [u64; 2]>,
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
            stated: HashMap::new(),
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
            let drafts = self.place.met > 0;
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
                store.delete_link_drafts(self.contract).await?;
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

    /// Stores the position and the progress. Fails if another worker has the pass, or the connection ends.
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

    /// Stores the progress, every few seconds. The position after a death stays as it was stored last.
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

    /// Closes the pass if the connection is being ended, so that the clean-up need not wait for the lease;
    /// fails if another worker has the pass.
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
        let (now, queue) = (self.app.now(), &self.app.queue);
        if problem.is_none() && roi::is_on(&self.config) {
            // A link pass finds people of opportunities. Before the end is kept: a worker that dies
            // in between asks again.
            runs::request(
                store,
                queue,
                self.contract,
                RunKind::Roi,
                "link pass",
                now,
                0,
            )
            .await?;
        }
        if problem.is_none() && flags::is_on(&self.config) {
            let (kind, by) = (RunKind::Flags, "link pass");
            runs::request(store, queue, self.contract, kind, by, now, 0).await?;
        }
        if problem.is_none() && champions::is_on(&self.config) {
            runs::request(
                store,
                queue,
                self.contract,
                RunKind::Champions,
                "link pass",
                now,
                0,
            )
            .await?;
        }
        let ended = self.pass.ended(now, problem);
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
        let crm = self.config.contract.crm;
        let objects = linked_objects(crm, kind);
        let model = Arc::unwrap_or_clone(self.linking().model(kind).await?);
        let sizes = self.sizes(objects).await?;
        let parts = self.parts(kind, &sizes).await?;
        let mut whole = None;
        while self.place.met < parts.count() {
            let (of_entries, of_records) = parts.shards(self.place.met);
            let board = self.board(kind, model.clone(), of_entries).await?;
            if board.is_empty() && parts.count() == 1 {
                self.place.entries.push(EntryRates::none(kind));
                let none = objects.iter().zip(&sizes);
                let none = none.map(|(object, records)| object_rates(object, *records, 0, 0));
                self.place.objects.extend(none);
                return Ok(true);
            }
            let part = if board.is_empty() {
                Part::default()
            } else {
                self.part(kind, of_records).await?
            };
            let learns =
                parts.count() == 1 && self.place.shard == 0 && board.telling() >= LEARN_ENTRIES;
            let board = Box::pin(self.meet(kind, board, part, learns)).await?;
            if parts.count() == 1 {
                whole = Some(board);
                break;
            }
            self.keep_drafts(&board).await?;
            if !self.in_time() {
                return Ok(false);
            }
        }
        let board = if let Some(board) = whole {
            board
        } else {
            let mut board = self.board(kind, model, 0..DIRECTORY_SHARDS).await?;
            let store = &self.app.remote.store;
            for part in 0..parts.count() {
                let pieces = store.link_drafts(self.contract, Some(part)).await?;
                let drafts = pieces.iter().map(|piece| serde_json::from_slice(piece));
                let drafts: Result<Vec<Draft>, _> = drafts.collect();
                let drafts = drafts.map_err(|error| StoreError::Unavailable(Box::new(error)))?;
                board.take_up(drafts);
            }
            board.leave_out(parts.records);
            board
        };
        let Decided { all, known } = self.decide(kind, &board).await?;
        let grounds = Grounds {
            known: &known,
            threshold: board.model().threshold,
            model: board.model().version,
            now: self.app.now(),
        };
        if !self.write(kind, &grounds, &all, &sizes).await? {
            // What has met does not meet again.
            if self.place.met < parts.count() {
                self.keep_drafts(&board).await?;
            } else {
                self.keep("writing", u64::from(self.place.shard), None)
                    .await?;
            }
            return Ok(false);
        }
        Ok(true)
    }

    /// The parts that entries and records are cut into. A worker that died may have had too little memory or
    /// time: after each that died before the first parts had met, and after the second that died over later
    /// ones, the next cuts smaller and begins with the kind anew. What cannot be cut smaller goes on where it
    /// was.
    async fn parts(&mut self, kind: EntryKind, sizes: &[u64]) -> Result<Parts, StoreError> {
        let before = self.place.parts;
        let free = if before.is_some() { 2 } else { 1 };
        let died = self.pass.attempts.saturating_sub(free);
        if let Some(parts) = before
            && (died == 0 || self.place.met == parts.count())
        {
            return Ok(parts);
        }
        // Shards are even.
        let first = self.load_shard(kind, 0).await?;
        let entries = first.len() as u64 * u64::from(DIRECTORY_SHARDS);
        let smaller = self.place.smaller.saturating_add(died);
        let most = self.app.link_most.checked_shr(smaller.saturating_mul(2));
        let parts = Parts::of(entries, sizes.iter().sum(), most.unwrap_or(0).max(1));
        if let Some(before) = before.filter(|before| before.count() >= parts.count()) {
            return Ok(before);
        }
        // Drafts that are left are of other parts, or of a pass whose worker died at its end.
        let store = &self.app.remote.store;
        store.delete_link_drafts(self.contract).await?;
        self.place.smaller = smaller;
        self.place.met = 0;
        self.place.parts = Some(parts);
        Ok(parts)
    }

    /// Finds and scores the pairs of entries and records, and learns if asked to; returns the board with the
    /// best pairs of each entry. The engine uses all cores.
    async fn meet(
        &mut self,
        kind: EntryKind,
        board: Board,
        part: Part,
        learns: bool,
    ) -> Result<Board, StoreError> {
        let count = board.len() as u64;
        let comparing = move || {
            let pairs = board.pairs(&part);
            Met { board, part, pairs }
        };
        let mut met = self.beside("comparing", count, comparing).await?;
        if learns {
            let decided = Box::pin(self.known(kind, met.board.decided_on())).await?;
            let learning = move || {
                let Met { board, part, pairs } = &met;
                let learned = board.learned(part, pairs, &decided);
                let differs = board.differs(&learned, part, pairs);
                (met, learned, differs)
            };
            let (as_before, mut learned, differs) =
                self.beside("learning", count, learning).await?;
            met = as_before;
            let tells = learned.pairs > 0 || met.pairs.len() >= LEARN_PAIRS;
            if tells && differs >= MATERIAL {
                learned.version = met.board.model().version + 1;
                let learned = self.keep_model(kind, learned).await?;
                let scoring = move || {
                    let Met { board, part, pairs } = &mut met;
                    board.adopt(learned, part, pairs);
                    met
                };
                met = self.beside("comparing", count, scoring).await?;
            }
        }
        let Met {
            mut board,
            part,
            pairs,
        } = met;
        board.meet(&part, &pairs);
        Ok(board)
    }

    /// Stores a learned model; returns the one that is used from now on.
    async fn keep_model(&self, kind: EntryKind, learned: Model) -> Result<Model, StoreError> {
        let store = &self.app.remote.store;
        let now = self.app.now();
        match store.put_model(self.contract, kind, &learned, now).await {
            Ok(()) => {
                tracing::info!(contract = %self.contract, %kind, version = learned.version, pairs = learned.pairs, "model learned");
                Ok(learned)
            }
            // Another pass stored one meanwhile, which is as good.
            Err(StoreError::Conflict) => {
                Ok(Arc::unwrap_or_clone(self.linking().model(kind).await?))
            }
            Err(error) => Err(error),
        }
    }

    /// Computes something on another thread; meanwhile stores the progress, and fails if another worker has the
    /// pass or the connection ends.
    async fn beside<T: Send + 'static>(
        &mut self,
        stage: &str,
        of: u64,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let mut work = tokio::task::spawn_blocking(work);
        loop {
            match tokio::time::timeout(TELL_EVERY, &mut work).await {
                Ok(done) => return done.map_err(|error| StoreError::Unavailable(Box::new(error))),
                Err(_) => self.tell(stage, 0, Some(of)).await?,
            }
        }
    }

    /// Requests another pass after this one.
    fn follow(&mut self, by: &str) {
        self.pass.again.get_or_insert_with(|| by.to_owned());
    }

    /// Stores the candidates of the pair of parts that met last, and then that it has met: a worker that dies
    /// between the two compares it again, and replaces what is stored.
    async fn keep_drafts(&mut self, board: &Board) -> Result<(), StoreError> {
        let pieces: Result<Vec<Vec<u8>>, _> = board
            .drafts(DRAFT_ENTRIES)
            .map(|draft| serde_json::to_vec(&draft))
            .collect();
        let pieces = pieces.map_err(|error| StoreError::Unavailable(Box::new(error)))?;
        let store = &self.app.remote.store;
        let of = self.place.parts.map(|parts| u64::from(parts.count()));
        store
            .put_link_drafts(self.contract, self.place.met, pieces)
            .await?;
        self.place.met += 1;
        self.keep("comparing", u64::from(self.place.met), of).await
    }

    /// Reads the entries of some shards into memory.
    async fn board(
        &mut self,
        kind: EntryKind,
        model: Model,
        shards: Range<u32>,
    ) -> Result<Board, StoreError> {
        let config = self.config.clone();
        let region = config.contract.settings.default_region.as_deref();
        let objects = linked_objects(config.contract.crm, kind);
        let mut board = Board::new(model, region, objects);
        for shards in at_once(shards) {
            let mut loaded: Vec<BoxFuture<'_, _>> = Vec::with_capacity(shards.len());
            for shard in shards {
                loaded.push(Box::pin(self.load_shard(kind, shard)));
            }
            for (entry, matched) in try_join_all(loaded).await?.into_iter().flatten() {
                board.add(&entry, matched.as_ref());
            }
            self.tell("reading the directory", board.len() as u64, None)
                .await?;
        }
        Ok(board)
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

    /// Number of records that the mirror has of each object, by the last import.
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

    /// The names and websites of all accounts, by id.
    async fn accounts(&mut self) -> Result<HashMap<String, Account>, StoreError> {
        let crm = self.config.contract.crm;
        let object = linked_record::account_object(crm);
        let mut accounts = HashMap::new();
        for shards in at_once(0..MIRROR_SHARDS) {
            let mut after = vec![After::Start; shards.len()];
            while after.iter().any(|after| *after != After::End) {
                for record in self.pages(object, &shards, &mut after).await? {
                    let account = record.values.as_ref();
                    let account = account.and_then(|values| linked_record::account(crm, values));
                    accounts.extend(account.map(|account| (record.id, account)));
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
        after: &After,
    ) -> Result<Option<Page<MirrorRecord>>, StoreError> {
        let after = match after {
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

    /// The next page of each of some shards, in their order.
    async fn pages(
        &self,
        object: &str,
        shards: &[u32],
        after: &mut [After],
    ) -> Result<Vec<MirrorRecord>, StoreError> {
        let mut reads: Vec<BoxFuture<'_, _>> = Vec::with_capacity(after.len());
        for (shard, after) in shards.iter().zip(&*after) {
            reads.push(Box::pin(self.page(object, *shard, after)));
        }
        let read = join_all(reads).await;
        let mut records = Vec::new();
        for (page, after) in read.into_iter().zip(after) {
            let Some(page) = page? else { continue };
            *after = page.next.map_or(After::End, After::Record);
            records.extend(page.items);
        }
        Ok(records)
    }

    /// Reads the records of a kind in some shards into memory. Those that were merged or converted are left
    /// out: another record has taken their place.
    async fn part(&mut self, kind: EntryKind, shards: Range<u32>) -> Result<Part, StoreError> {
        let config = self.config.clone();
        let crm = config.contract.crm;
        let settings = &config.contract.settings;
        let region = settings.default_region.as_deref();
        let accounts = match kind {
            EntryKind::Company => HashMap::new(),
            EntryKind::Profile => self.accounts().await?,
        };
        self.stated.clear();
        let mut part = Part::default();
        for object in linked_objects(crm, kind) {
            for shards in at_once(shards.clone()) {
                let mut after = vec![After::Start; shards.len()];
                while after.iter().any(|after| *after != After::End) {
                    let mut taken = Vec::new();
                    for record in self.pages(object, &shards, &mut after).await? {
                        let Some(values) = record.values.filter(|_| record.merged_into.is_none())
                        else {
                            continue;
                        };
                        if linked_record::converted_to(crm, object, &values).is_some() {
                            continue;
                        }
                        let account = linked_record::account_of(crm, object, &values);
                        let account = account.and_then(|id| accounts.get(id));
                        let shown = linked_record::record(
                            crm,
                            object,
                            &values,
                            account,
                            &settings.placeholder,
                        );
                        let owner = linked_record::owner_of(crm, object, &values);
                        let owner = owner.map(str::to_owned);
                        let reference = RecordRef::new(*object, record.id);
                        taken.extend(shown.map(|shown| (reference, owner, shown)));
                    }
                    let shown = taken.iter().map(|(.., shown)| shown);
                    let cleans =
                        bulk::clean(kind.matching(), shown, |shown| (*shown).clone(), region);
                    for ((record, owner, shown), clean) in taken.into_iter().zip(cleans) {
                        if kind == EntryKind::Profile {
                            self.stated.insert(hash_of(&record), stated(&shown));
                        }
                        part.push(record, owner.as_deref(), clean);
                    }
                    self.tell("reading records", part.len() as u64, None)
                        .await?;
                }
            }
        }
        Ok(part)
    }

    /// Decides on all entries.
    async fn decide(&self, kind: EntryKind, board: &Board) -> Result<Decided, StoreError> {
        let known = self.known(kind, board.questions()).await?;
        let all = board.decide(&known);
        Ok(Decided { all, known })
    }

    /// Reads some records of the mirror.
    async fn known(
        &self,
        kind: EntryKind,
        wanted: BTreeSet<RecordRef>,
    ) -> Result<Known, StoreError> {
        let linking = self.linking();
        let records = linking.look(kind, wanted).await?;
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
        Ok(known)
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
                let links = page.rows.iter().filter_map(|(entry, _)| {
                    let link = outcome_of(&by_id, entry)?.link.as_ref()?;
                    self.may_differ(entry, &link.record).then_some(link)
                });
                let wanted = links.map(|link| link.record.clone()).collect();
                let seen = Box::pin(self.said(kind, wanted)).await?;
                for (entry, before) in page.rows {
                    done += 1;
                    let write = outcome_of(&by_id, &entry).and_then(|outcome| {
                        let before = before.as_ref();
                        grounds.write(outcome, &entry, before, &holders, seen.as_ref())
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

    /// False if an entry and a record surely state the same employer and title, as far as both state them.
    fn may_differ(&self, entry: &Entry, record: &RecordRef) -> bool {
        let Some(theirs) = self.stated.get(&hash_of(record)) else {
            return true;
        };
        let ours = stated(&entry.record);
        let mut both = ours.iter().zip(theirs);
        both.any(|(ours, theirs)| *ours != 0 && *theirs != 0 && ours != theirs)
    }

    /// Reads records that people are to be linked to, so that those that are out of date are found (SV-8).
    async fn said(
        &self,
        kind: EntryKind,
        wanted: BTreeSet<RecordRef>,
    ) -> Result<Option<Records>, StoreError> {
        if kind != EntryKind::Profile || wanted.is_empty() {
            return Ok(None);
        }
        Ok(Some(self.linking().look(kind, wanted).await?))
    }

    /// Unlinks the entries whose records go to other entries: there are few.
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

/// The decisions, and the knowledge that they depend on.
struct Decided {
    all: Vec<Outcome>,
    known: Known,
}

/// The values that writes are made with.
struct Grounds<'d> {
    known: &'d Known,
    threshold: Bits,
    model: u32,
    now: Millis,
}

impl Grounds<'_> {
    /// The write that a decision takes; `None` if the table has the same already.
    fn write(
        &self,
        outcome: &Outcome,
        entry: &Entry,
        before: Option<&Match>,
        holders: &HashMap<&RecordRef, EntryId>,
        seen: Option<&Records>,
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
        let entry_now = followed.as_ref().unwrap_or(entry);
        let findings = link.as_ref().zip(seen).and_then(|(link, seen)| {
            let record = &seen.get(&link.record)?.crm;
            let theirs = (&record.shown, record.modified);
            Some(findings(entry_now, link, theirs, before, self.now))
        });
        let after = Match {
            link,
            findings: findings.unwrap_or_default(),
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

fn hash_of(record: &RecordRef) -> u64 {
    matching::text::hash(b'r', &record.to_string())
}

/// The decision on an entry; `None` for one that came or changed since: whoever brought that about links it.
fn outcome_of<'o>(by_id: &HashMap<EntryId, &'o Outcome>, entry: &Entry) -> Option<&'o Outcome> {
    let outcome = by_id.get(&entry.id).copied();
    outcome.filter(|outcome| outcome.version == entry.version)
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{DIRECTORY_SHARDS, MIRROR_SHARDS, Parts};

    #[test]
    fn parts_fit_and_meet_once() {
        for (entries, records, most) in [
            (0, 0, 1),
            (10, 10, 20),
            (1_000, 10, 200),
            (10, 1_000, 200),
            (1_000_000, 1_000_000, 1_100_000),
            (5_000_000, 3_000_000, 1_100_000),
        ] {
            let parts = Parts::of(entries, records, most);
            let each = entries / u64::from(parts.entries) + records / u64::from(parts.records);
            assert!(each <= most, "{parts:?}");
            let mut met: BTreeMap<(u32, u32), u32> = BTreeMap::new();
            for at in 0..parts.count() {
                let (of_entries, of_records) = parts.shards(at);
                for entry in of_entries {
                    for record in of_records.clone() {
                        *met.entry((entry, record)).or_default() += 1;
                    }
                }
            }
            assert_eq!(met.len(), (DIRECTORY_SHARDS * MIRROR_SHARDS) as usize);
            assert!(met.values().all(|times| *times == 1), "{parts:?}");
        }
        // What does not fit at all is cut as far as can be.
        let most = Parts::of(u64::MAX, u64::MAX, 1);
        assert_eq!(most.count(), DIRECTORY_SHARDS * MIRROR_SHARDS);
    }
}
