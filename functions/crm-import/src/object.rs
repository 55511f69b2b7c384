//! One object of a run: read turn by turn, applied to the mirror, swept, counted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use shared::clock::Millis;
use shared::crm::CrmError;
use shared::crm::import::{ImportError, Page, Reading, Turn};
use shared::crm_setup::SetupError;
use shared::domain::inventory::{ObjectAccess, ObjectSpec};
use shared::domain::mirror::{Change, Value};
use shared::domain::sync::{Cursor, Notice, ObjectState, ObjectSync, PassKind};
use shared::domain::vocabulary::{own_number, vocabulary};
use shared::erasure::empty_erased;
use shared::problem::Problem;
use shared::session::SessionError;
use shared::store::{MIRROR_SHARDS, Mirror, Store, StoreError, Written};
use shared::texts::{self, Audience};

use tokio::sync::mpsc;

use crate::plan;
use crate::sync::{Run, Setback, back_off, spec};

/// Tries in a row at one turn before the object is given up for this run. With the back-off that is
/// about two hours.
const MAX_ATTEMPTS: u32 = 9;
/// The number of failed attempts in a row at one page after which the pass begins again.
const RESTART_AFTER_ATTEMPTS: u32 = 4;
/// Batches of rows that are applied at the same time, in an order that does not matter: each record is
/// there once.
const AT_ONCE: usize = 2;
/// Options that are remembered of a choice.
const MAX_CHOICES: usize = 200;
/// Longest option that is remembered, in bytes: an object's state is one item of the table.
const MAX_CHOICE_BYTES: usize = 200;
/// New options that are reported in a run.
const MAX_NEW_CHOICES: usize = 20;

/// The reasons for ending a turn early.
enum Fault {
    Import(ImportError),
    Setback(Setback),
}

impl From<ImportError> for Fault {
    fn from(error: ImportError) -> Self {
        Self::Import(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Setback(Setback::Store(error))
    }
}

impl From<Setback> for Fault {
    fn from(setback: Setback) -> Self {
        Self::Setback(setback)
    }
}

/// The results of applying a batch.
struct Applied {
    rows: u64,
    present: u64,
    newest: Option<Millis>,
    written: Written,
    /// Ids of the present records, where the pass stores the ids it saw.
    seen: Vec<String>,
}

impl Run<'_> {
    /// Brings an object on as far as the step's time reaches.
    pub(crate) async fn drive(&self, object: &mut ObjectSync) -> Result<(), Setback> {
        let Some(spec) = spec(self.crm, &object.object) else {
            return Ok(());
        };
        if self.unclean {
            plan::uncertain(object, self.app.now());
        }
        // A step makes at least one turn, and begins none that has no room: a turn that is cut in its middle
        // is read once more.
        let mut longest = Duration::ZERO;
        let mut turns = 0;
        while object.is_open() && (turns == 0 || self.in_time()) && self.has_room_for(longest) {
            let (now, began) = (self.app.now(), Instant::now());
            if object.due_at.is_some_and(|due| due > now) {
                break;
            }
            if let Some((until, problem)) = self.over_budget().await {
                object.due_at = Some(until);
                object.problem = Some(problem);
                self.keep(object).await?;
                break;
            }
            object.due_at = None;
            object.state = ObjectState::Reading;
            object.started_at = object.started_at.or(Some(now));
            match self.turn(spec, object).await {
                Ok(()) => self.keep(object).await?,
                Err(Fault::Setback(setback)) => return Err(setback),
                Err(Fault::Import(error)) => self.import_error(object, error).await?,
            }
            longest = longest.max(began.elapsed());
            turns += 1;
        }
        Ok(())
    }

    /// Decides the consequence of an error for an object, and stores it.
    async fn import_error(
        &self,
        object: &mut ObjectSync,
        error: ImportError,
    ) -> Result<(), Setback> {
        let now = self.app.now();
        match error {
            ImportError::Crm(CrmError::Session(SessionError::Paused(until))) => {
                object.due_at = Some(until);
                object.problem = Some(SetupError::Paused(until).problem());
            }
            ImportError::Crm(error) => {
                if let Some(setback) = self.of_the_run(&error) {
                    self.keep(object).await?;
                    return Err(setback);
                }
                tracing::warn!(contract = %self.contract, environment = %self.environment, object = object.object,
                    error = &error as &dyn std::error::Error, attempts = object.attempts, "a turn failed");
                self.again(object, texts::crm(&error, self.label, Audience::Setup));
            }
            ImportError::ChangesExpired => {
                tracing::info!(contract = %self.contract, object = object.object, "changes are no longer told: all is compared");
                object.resume = None;
                plan::start(object, PassKind::Compare, now);
            }
            ImportError::PagesGone => {
                plan::restart(object, now);
                self.again(object, texts::api_error(self.label));
            }
            ImportError::SchemaChanged => {
                self.again(object, texts::api_error(self.label));
                return self.keep_for_new_plan(object).await;
            }
            ImportError::Refused { object: name, code } => {
                fail(object, texts::import_refused(self.label, &name, &code), now);
            }
            ImportError::JobsFail { object: name } => fail(object, texts::jobs_fail(&name), now),
        }
        self.keep(object).await
    }

    /// Schedules another attempt at an object, or gives it up for this run after `MAX_ATTEMPTS`.
    fn again(&self, object: &mut ObjectSync, problem: Problem) {
        let now = self.app.now();
        if object.attempts >= MAX_ATTEMPTS {
            object.state = ObjectState::Failed;
            object.finished_at = Some(now);
        } else {
            object.due_at = Some(now.plus_seconds(back_off(object.attempts)));
            object.attempts += 1;
            // Pages that remain broken may be whole when they are made anew.
            let under_way = object
                .pass
                .as_ref()
                .is_some_and(|pass| pass.cursor != Cursor::default());
            if under_way && object.attempts == RESTART_AFTER_ATTEMPTS {
                plan::restart(object, now);
            }
        }
        object.problem = Some(problem);
    }

    fn mirror(&self, spec: &'static ObjectSpec) -> Mirror<'_> {
        Mirror {
            contract: self.contract,
            environment: self.environment,
            crm: self.crm,
            object: spec.name,
            default_region: self.region.as_deref(),
        }
    }

    fn store(&self) -> &Store {
        &self.app.remote.store
    }

    /// Makes one turn: at most one call to the CRM, or one shard's sweep.
    async fn turn(&self, spec: &'static ObjectSpec, object: &mut ObjectSync) -> Result<(), Fault> {
        let Some(pass) = &object.pass else {
            return self.settle(spec, object).await;
        };
        if let Some(shard) = pass.sweep {
            return self.sweep(spec, object, shard).await;
        }
        let mut fields: Vec<&'static str> = spec
            .fields(true)
            .filter(|field| object.fields.iter().any(|name| name == field))
            .collect();
        if spec.name == vocabulary(self.crm).opportunity.name {
            let own = object
                .fields
                .iter()
                .filter(|name| spec.field(name).is_none());
            fields.extend(own.filter_map(|name| Some(own_number(name)?.name)));
        }
        let since = object
            .resume
            .as_ref()
            .filter(|_| pass.kind == PassKind::Changes);
        let reading = Reading {
            object: spec,
            fields: &fields,
            since,
            about: object.of.filter(|_| pass.kind != PassKind::Changes),
            cursor: &pass.cursor,
            skip: pass.skip,
        };
        let mut turn = self.source.turn(&reading).await?;
        if let Turn::Page(mut page) = turn {
            if let Some(of) = page.of() {
                object.of = Some(pass.before + of);
            }
            let complete = self.page(spec, object, &mut page).await?;
            if !complete {
                return Ok(());
            }
            turn = page.next();
        }
        let Some(pass) = &mut object.pass else {
            return Ok(());
        };
        pass.skip = 0;
        pass.careful = false;
        match turn {
            Turn::Next(cursor) => pass.cursor = cursor,
            Turn::Wait(cursor, seconds) => {
                pass.cursor = cursor;
                object.due_at = Some(self.app.now().plus_seconds(seconds));
            }
            Turn::End(delta) => {
                pass.delta = delta;
                if pass.kind == PassKind::Compare {
                    pass.sweep = Some(0);
                    // Counted shard by shard: a record changed in the meantime may have been read twice.
                    pass.present = 0;
                } else {
                    plan::end(object, self.app.now());
                }
            }
            // A page follows a page only by way of a cursor.
            Turn::Page(_) => {}
        }
        object.attempts = 0;
        object.problem = None;
        Ok(())
    }

    /// Applies the rows of a page. Returns true if it reached the page's end. For a stable page `object` also
    /// has the applied rows when it stops in the middle: by an error, or because the function's time ends.
    async fn page(
        &self,
        spec: &'static ObjectSpec,
        object: &mut ObjectSync,
        page: &mut Box<dyn Page>,
    ) -> Result<bool, Fault> {
        let Some(pass) = &mut object.pass else {
            return Ok(true);
        };
        let mirror = self.mirror(spec);
        let (kind, generation) = (pass.kind, pass.generation);
        let blind = kind == PassKind::First && !pass.careful;
        let at_once = if kind == PassKind::Changes {
            1
        } else {
            AT_ONCE
        };
        let mut choices = Choices::of(spec, &mut object.choices, &mut object.notices, kind);
        let stable = page.stable();
        let before = (
            pass.present,
            object.read,
            object.written,
            object.removed,
            object.records,
        );
        let mut seen = Vec::new();
        // Reading goes on while rows are being written, a batch ahead at most.
        let (sender, mut batches) = mpsc::channel::<Vec<Change>>(1);
        let read = async move {
            // A page that cannot be taken up in its middle is read to its end.
            while !stable || self.has_room_for(Duration::ZERO) {
                let Some(rows) = page.rows().await? else {
                    return Ok(true);
                };
                if sender.send(rows).await.is_err() {
                    break;
                }
            }
            Ok::<_, Fault>(false)
        };
        let write = async {
            let mut writes: FuturesOrdered<BoxFuture<'_, _>> = FuturesOrdered::new();
            loop {
                let batch: Applied = tokio::select! {
                    Some(mut rows) = batches.recv(), if writes.len() < at_once => {
                        // People who were erased do not come back (OP-3).
                        let (environment, region) = (self.environment, self.region.as_deref());
                        empty_erased(&self.erased, environment, spec.name, region, &mut rows);
                        choices.learn(&rows);
                        let keep_seen = kind == PassKind::Compare;
                        writes.push_back(Box::pin(apply(self.store(), mirror, rows, blind, keep_seen)));
                        continue;
                    }
                    Some(batch) = writes.next() => batch?,
                    else => return Ok::<_, Fault>(()),
                };
                pass.skip += batch.rows;
                pass.newest = pass.newest.max(batch.newest);
                pass.present += batch.present;
                object.read += batch.rows;
                object.written += batch.written.inserted + batch.written.changed;
                object.removed += batch.written.removed;
                if kind == PassKind::Changes {
                    object.records = (object.records + batch.written.inserted)
                        .saturating_sub(batch.written.removed);
                }
                seen.extend(batch.seen);
                object.attempts = 0;
            }
        };
        // Rows that were read before reading failed are still applied.
        let (ended, written) = tokio::join!(read, write);
        written?;
        if !stable && !matches!(ended, Ok(true)) {
            pass.skip = 0;
            (
                pass.present,
                object.read,
                object.written,
                object.removed,
                object.records,
            ) = before;
            plan::uncertain(object, self.app.now());
            return ended;
        }
        if !seen.is_empty() {
            mirror
                .mark_seen(
                    self.store(),
                    generation,
                    pass.parts,
                    seen.iter().map(String::as_str),
                )
                .await?;
            pass.parts += 1;
        }
        ended
    }

    /// Sweeps records that a comparing pass did not see, shard by shard. A shard that is swept again gives
    /// the same answer, so all are stored together.
    async fn sweep(
        &self,
        spec: &'static ObjectSpec,
        object: &mut ObjectSync,
        from: u32,
    ) -> Result<(), Fault> {
        let Some(pass) = &mut object.pass else {
            return Ok(());
        };
        for shard in from..MIRROR_SHARDS {
            let mirror = self.mirror(spec);
            let swept = mirror.sweep(self.store(), pass.generation, shard).await?;
            object.removed += swept.removed;
            pass.present += swept.kept;
            pass.sweep = Some(shard + 1);
            if !self.in_time() {
                break;
            }
        }
        if pass.sweep == Some(MIRROR_SHARDS) {
            plan::end(object, self.app.now());
        }
        Ok(())
    }

    /// Compares the mirror's count with the CRM's own, after a pass.
    async fn settle(
        &self,
        spec: &'static ObjectSpec,
        object: &mut ObjectSync,
    ) -> Result<(), Fault> {
        let now = self.app.now();
        if object.recount {
            object.records = self.mirror(spec).count_records(self.store()).await?;
            object.recount = false;
        }
        object.crm_records = self.source.count(spec).await?;
        object.notices.retain(|notice| notice.code != COUNTS_DIFFER);
        if object.crm_records.is_some_and(|crm| crm != object.records) {
            // A record that changed while it was read may have been counted twice.
            object.records = self.mirror(spec).count_records(self.store()).await?;
        }
        if object.crm_records.is_some_and(|crm| crm != object.records) {
            if let Some(kind) = plan::reconcile(object) {
                plan::start(object, kind, now);
                return Ok(());
            }
            object.notices.push(counts_differ(object));
        }
        object.difference = plan::difference(object);
        object.state = ObjectState::Done;
        object.finished_at = Some(now);
        object.last_success_at = Some(now);
        object.attempts = 0;
        object.problem = None;
        tracing::info!(contract = %self.contract, environment = %self.environment, object = object.object,
            read = object.read, written = object.written, removed = object.removed, records = object.records, "object read");
        Ok(())
    }
}

/// The code of the notice that the counts differ.
const COUNTS_DIFFER: &str = "counts_differ";

fn counts_differ(object: &ObjectSync) -> Notice {
    Notice {
        code: COUNTS_DIFFER.to_owned(),
        field: None,
        detail: format!(
            "The CRM counts {} records of {}, of which {} could be read.",
            object.crm_records.unwrap_or_default(),
            object.label,
            object.records
        ),
        next_step:
            "If it stays so, check in the CRM which records are shared with the connected user."
                .to_owned(),
    }
}

async fn apply(
    store: &Store,
    mirror: Mirror<'_>,
    rows: Vec<Change>,
    blind: bool,
    keep_seen: bool,
) -> Result<Applied, Fault> {
    let present = |change: &&Change| matches!(change, Change::Present(_));
    let mut applied = Applied {
        rows: rows.len() as u64,
        present: rows.iter().filter(present).count() as u64,
        newest: rows.iter().filter_map(Change::modified).max(),
        written: Written::default(),
        seen: Vec::new(),
    };
    applied.written = if blind {
        mirror.put_new(store, &rows).await?
    } else {
        mirror.apply(store, &rows).await?
    };
    if keep_seen {
        let there = rows.into_iter().filter_map(|change| match change {
            Change::Present(record) => Some(record.id),
            Change::Gone { .. } => None,
        });
        applied.seen = there.collect();
    }
    Ok(applied)
}

/// Watches for options of choices that were not there before (IM-5).
struct Choices<'a> {
    fields: Vec<&'static str>,
    known: &'a mut BTreeMap<String, BTreeSet<String>>,
    notices: &'a mut Vec<Notice>,
    /// In a first reading every option is new.
    report: bool,
}

impl<'a> Choices<'a> {
    fn of(
        spec: &'static ObjectSpec,
        known: &'a mut BTreeMap<String, BTreeSet<String>>,
        notices: &'a mut Vec<Notice>,
        kind: PassKind,
    ) -> Self {
        Self {
            fields: spec
                .imported(true)
                .filter(|field| field.kind.is_choice())
                .map(|field| field.name)
                .collect(),
            known,
            notices,
            report: kind != PassKind::First,
        }
    }

    fn learn(&mut self, rows: &[Change]) {
        for change in rows {
            let Change::Present(record) = change else {
                continue;
            };
            for (field, value) in &record.values.0 {
                if !self.fields.contains(field) {
                    continue;
                }
                match value {
                    Value::Text(text) => self.meet(field, text),
                    Value::Number(code) => self.meet(field, &code.to_string()),
                    Value::Bool(_) | Value::Instant(_) | Value::Date(_) => {}
                }
            }
        }
    }

    fn meet(&mut self, field: &str, option: &str) {
        if option.len() > MAX_CHOICE_BYTES {
            return;
        }
        let met = self.known.get(field);
        if met.is_some_and(|met| met.contains(option) || met.len() >= MAX_CHOICES) {
            return;
        }
        let known = self.known.entry(field.to_owned()).or_default();
        // A field that is read for the first time has no old options.
        let first = known.is_empty();
        known.insert(option.to_owned());
        if self.report && !first {
            report_new_choice(self.notices, field, option);
        }
    }
}

/// Takes up the options that the CRM lists for an object's choices. One that it did not list the last
/// time is reported, whether or not a record has it yet (IM-5).
pub(crate) fn learn_options(object: &mut ObjectSync, access: &ObjectAccess) {
    for (field, options) in &access.options {
        let known = object.choices.entry(field.clone()).or_default();
        for option in options {
            if known.len() < MAX_CHOICES && known.insert(option.clone()) && object.choices_described
            {
                report_new_choice(&mut object.notices, field, option);
            }
        }
    }
    object.choices_described |= !access.options.is_empty();
}

fn report_new_choice(notices: &mut Vec<Notice>, field: &str, option: &str) {
    let reported = notices
        .iter()
        .filter(|notice| notice.code == "new_choice")
        .count();
    if reported < MAX_NEW_CHOICES {
        notices.push(Notice {
            code: "new_choice".to_owned(),
            field: Some(field.to_owned()),
            detail: format!("{field} has an option that was not there before: “{option}”. It is imported as it is."),
            next_step: "Check whether settings and field mappings that name options of this field should take it up.".to_owned(),
        });
    }
}

/// Marks an object as failed for this run.
fn fail(object: &mut ObjectSync, problem: Problem, now: Millis) {
    object.state = ObjectState::Failed;
    object.finished_at = Some(now);
    object.problem = Some(problem);
}
