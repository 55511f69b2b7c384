//! The run that keeps the flag of outdated records in the CRM (CN-9, SV-8): set where a person's company is out of
//! date, and cleared where it is no longer.
//!
//! It compares the list of outdated records with the flags that were written, and writes the differences. Before a
//! write the intention is stored, so that after a lost answer the record is looked at, and a flag that is there is
//! not written again. A refused write is tried again after a day.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::clock::Millis;
use shared::crm::{self, Crm, CrmError, Failure, MOST_AT_ONCE, Reason, Record, Write};
use shared::crm_setup::{self, SetupError};
use shared::domain::contract::ContractConfig;
use shared::domain::directory::{EntryId, EntryKind, Match, RecordRef, has_left_company};
use shared::domain::environment::Environment;
use shared::domain::ids::ContractId;
use shared::domain::run::{Run, RunKind};
use shared::domain::schema::{CrmKind, FieldType};
use shared::domain::vocabulary::vocabulary;
use shared::session::{Session, SessionError};
use shared::store::{ConnectionKind, FlagChange, RecordFlag, Store, StoreError};
use shared::writing;

use crate::App;
use crate::runs::{Next, Steps};

const PRODUCTION: Environment = Environment::Production;
/// Items of a page.
const PAGE: i32 = 100;
/// The time after which a refused write is tried again, in seconds.
const REFUSED_FOR: i64 = 24 * 3600;
/// The wait after a call that failed, in seconds.
const AFTER_FAILURE: i64 = 300;
/// Failed calls in a row after which the run ends; the next pass asks for another.
const MOST_FAILURES: u32 = 5;
/// Above this part of the organisation's calls none is made, in percent.
const LEAVE_ABOVE_PERCENT: u64 = 95;
/// The wait before the organisation's calls are looked at again, in seconds.
const LOOK_AGAIN: i64 = 900;

/// The run.
pub(crate) struct Flagging;

/// The position from which the next step continues.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Place {
    /// The objects that have the field; `None` before they were described.
    objects: Option<BTreeSet<String>>,
    /// True while flags are cleared.
    clears: bool,
    /// The last item that was looked at.
    after: Option<String>,
    /// Calls that failed since one succeeded.
    failures: u32,
}

/// True if an administrator has turned on that CRM data is validated: then the flag is kept in the CRM too.
pub(crate) fn is_on(config: &ContractConfig) -> bool {
    let settings = config.crm_settings(PRODUCTION).sync;
    settings.is_some_and(|settings| settings.validate_crm_data)
}

/// The field of the package with the flag.
const fn field(crm: CrmKind) -> &'static str {
    match crm {
        CrmKind::Salesforce => "Leadbridge_Not_At_Company__c",
        CrmKind::Dynamics365 => "lb_notatcompany",
    }
}

/// The reasons for ending a step early.
enum Fault {
    Crm(CrmError),
    Store(StoreError),
}

impl From<CrmError> for Fault {
    fn from(error: CrmError) -> Self {
        Self::Crm(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// A step's work.
struct Worker<'a> {
    store: &'a Store,
    contract: &'a ContractId,
    session: &'a Session,
    crm: &'a dyn Crm,
    kind: CrmKind,
    now: Millis,
}

/// The numbers of flags that a step wrote.
#[derive(Debug, Default)]
struct Done {
    written: u64,
    refused: u64,
}

impl Steps for Flagging {
    const KIND: RunKind = RunKind::Flags;
    type State = Place;

    async fn step(
        app: &App,
        contract: &ContractId,
        run: &mut Run,
        state: &mut Place,
    ) -> Result<Next, StoreError> {
        let now = app.now();
        let config = app.cached.config(contract, now).await?;
        let Some(config) = config.filter(|config| is_on(config)) else {
            return Ok(Next::Done);
        };
        let session =
            crm_setup::open_session(&app.remote, contract, ConnectionKind::PRODUCTION).await;
        let session = match session {
            Ok(session) => session,
            Err(SetupError::Store(error)) => return Err(error),
            Err(SetupError::Paused(until)) => return Ok(Next::At(until)),
            // Without a sign-in nothing is written; the pass after it asks again.
            Err(SetupError::Crm(_)) => return Ok(Next::Done),
        };
        let crm = crm::open(session.clone());
        let worker = Worker {
            store: &app.remote.store,
            contract,
            session: session.as_ref(),
            crm: crm.as_ref(),
            kind: config.contract.crm,
            now,
        };
        match Box::pin(worker.go(run, state)).await {
            Ok(next) => {
                state.failures = 0;
                Ok(next)
            }
            Err(Fault::Store(error)) => Err(error),
            Err(Fault::Crm(CrmError::Session(SessionError::Paused(until)))) => Ok(Next::At(until)),
            Err(Fault::Crm(error)) => {
                tracing::warn!(%contract, error = &error as &dyn std::error::Error, "flags were not written");
                state.failures += 1;
                let passes = matches!(
                    crm::failure(&error),
                    Failure::CouldNotConnect | Failure::ApiError
                );
                if passes && state.failures < MOST_FAILURES {
                    return Ok(Next::At(now.plus_seconds(AFTER_FAILURE)));
                }
                Ok(Next::Done)
            }
        }
    }
}

impl Worker<'_> {
    /// The step's work: the description of the fields, or a page.
    async fn go(&self, run: &mut Run, place: &mut Place) -> Result<Next, Fault> {
        let Some(objects) = place.objects.clone() else {
            let objects = self.objects().await?;
            let none = objects.is_empty();
            place.objects = Some(objects);
            return Ok(if none { Next::Done } else { self.step() });
        };
        let after = place.after.as_deref();
        let (done, next) = if place.clears {
            self.clear_page(&objects, after).await?
        } else {
            self.set_page(&objects, after).await?
        };
        let written = if place.clears { "cleared_flag" } else { "flag" };
        run.count(written, done.written);
        run.count("refused_flag", done.refused);
        place.after = next;
        if place.after.is_some() {
            return Ok(self.step());
        }
        if place.clears {
            return Ok(Next::Done);
        }
        place.clears = true;
        Ok(self.step())
    }

    /// The next step: at once, or later if all applications together have nearly used up the organisation's
    /// calls, as the last answer of this step said.
    fn step(&self) -> Next {
        let api = self.session.usage().api;
        if api.is_some_and(|api| api.used * 100 >= api.limit * LEAVE_ABOVE_PERCENT) {
            return Next::At(self.now.plus_seconds(LOOK_AGAIN));
        }
        Next::Step
    }

    /// The objects whose records have the field, and whose user may change it. One call for each.
    async fn objects(&self) -> Result<BTreeSet<String>, CrmError> {
        let mut objects = BTreeSet::new();
        for (object, record) in self.kinds() {
            let described = match self.crm.fields_of(record).await {
                Ok(described) => described,
                Err(CrmError::Refused(refusal)) if refusal.reason == Reason::ObjectHidden => {
                    continue;
                }
                Err(error) => return Err(error),
            };
            let has = described.fields.iter().any(|one| {
                one.name == field(self.kind)
                    && one.updateable
                    && matches!(one.field_type, FieldType::Boolean)
            });
            if has {
                objects.insert(object.to_owned());
            }
        }
        Ok(objects)
    }

    fn kinds(&self) -> [(&'static str, Record); 2] {
        let known = vocabulary(self.kind);
        [
            (known.lead.name, Record::Lead),
            (known.contact.name, Record::Contact),
        ]
    }

    fn kind_of(&self, record: &RecordRef) -> Option<Record> {
        let mut kinds = self.kinds().into_iter();
        kinds
            .find(|(object, _)| *object == record.object)
            .map(|(_, kind)| kind)
    }

    /// Sets the flags of a page of outdated records that have none.
    async fn set_page(
        &self,
        objects: &BTreeSet<String>,
        after: Option<&str>,
    ) -> Result<(Done, Option<String>), Fault> {
        let (store, contract) = (self.store, self.contract);
        let page = store.outdated_entries(contract, PRODUCTION, None, after, PAGE);
        let page = page.await?;
        let there = page.items.into_iter().map(|(entry, _)| entry);
        let records: Vec<RecordRef> = there
            .filter(|entry| has_left_company(&entry.findings))
            .map(|entry| entry.record)
            .filter(|record| objects.contains(&record.object))
            .collect();
        let mut known = store.flags_of(contract, &records).await?;
        let rests = |flag: &RecordFlag| {
            let refused = flag.refused_at;
            let refused = refused.is_some_and(|at| at.plus_seconds(REFUSED_FOR) > self.now);
            !flag.writing && (flag.set || refused)
        };
        let records: BTreeSet<RecordRef> = records.into_iter().collect();
        let due: Vec<RecordFlag> = records
            .into_iter()
            .map(|record| {
                known.remove(&record).unwrap_or(RecordFlag {
                    record,
                    set: false,
                    writing: false,
                    refused_at: None,
                })
            })
            .filter(|flag| !rests(flag))
            .collect();
        Ok((self.write(&due, true).await?, page.next))
    }

    /// Clears the flags of a page whose records are no longer outdated.
    async fn clear_page(
        &self,
        objects: &BTreeSet<String>,
        after: Option<&str>,
    ) -> Result<(Done, Option<String>), Fault> {
        let (store, contract) = (self.store, self.contract);
        let page = store.flags(contract, after, PAGE).await?;
        let records: Vec<RecordRef> = page.items.iter().map(|flag| flag.record.clone()).collect();
        let linked = store.linked(contract, PRODUCTION, &records).await?;
        let kind = EntryKind::Profile;
        let people = linked.values().filter(|entry| entry.kind == kind);
        let ids: Vec<EntryId> = people.map(|entry| entry.id).collect();
        let matches = store
            .entry_matches(contract, PRODUCTION, kind, &ids)
            .await?;
        let is_outdated = |matched: &&Match| {
            let gone = matched.link.as_ref().is_none_or(|link| link.record_gone);
            !gone && has_left_company(&matched.findings)
        };
        let outdated = matches.values().filter(is_outdated);
        let outdated: BTreeSet<&RecordRef> = outdated.filter_map(Match::record).collect();
        let over = page.items.into_iter();
        let over = over.filter(|flag| !outdated.contains(&flag.record));
        let refused_lately = |flag: &RecordFlag| {
            let refused = flag.refused_at;
            flag.set && refused.is_some_and(|at| at.plus_seconds(REFUSED_FOR) > self.now)
        };
        let over = over.filter(|flag| flag.writing || !refused_lately(flag));
        let (mut due, without): (Vec<RecordFlag>, Vec<RecordFlag>) =
            over.partition(|flag| flag.set || flag.writing);
        // Of an object that lost the field nothing can be written or seen: its flags wait for it.
        due.retain(|flag| objects.contains(&flag.record.object));
        let organization = &self.session.organization;
        let forget = without.into_iter().map(|flag| flag.record);
        let forget: Vec<FlagChange> = forget.map(FlagChange::Forget).collect();
        store.change_flags(contract, organization, &forget).await?;
        Ok((self.write(&due, false).await?, page.next))
    }

    /// Writes a value of flags, as many at once as fit into a call.
    async fn write(&self, due: &[RecordFlag], value: bool) -> Result<Done, Fault> {
        let mut done = Done::default();
        for together in due.chunks(MOST_AT_ONCE) {
            let unsure = self.unsure(together, value).await?;
            let writes = together.iter().filter_map(|flag| {
                let kind = self.kind_of(&flag.record)?;
                let is_due = unsure.get(&flag.record).is_none_or(|is_due| *is_due);
                is_due.then_some((flag, kind))
            });
            let writes: Vec<(&RecordFlag, Record)> = writes.collect();
            if !writes.is_empty() {
                self.write_together(&writes, value, &mut done).await?;
            }
        }
        Ok(done)
    }

    /// Looks at the records whose last write has an unknown outcome. Returns of each whether it is to be written;
    /// of one that is not, the flag is stored as it is. One call for each.
    async fn unsure(
        &self,
        flags: &[RecordFlag],
        value: bool,
    ) -> Result<BTreeMap<RecordRef, bool>, Fault> {
        let mut unsure = BTreeMap::new();
        let mut changes = Vec::new();
        for flag in flags.iter().filter(|flag| flag.writing) {
            let Some(kind) = self.kind_of(&flag.record) else {
                continue;
            };
            let fields = [field(self.kind)];
            let seen = self.crm.see(kind, &flag.record.id, &fields).await?;
            let is = seen.map(|seen| {
                let value = seen.values.get(field(self.kind));
                value.and_then(Value::as_bool).unwrap_or(false)
            });
            unsure.insert(flag.record.clone(), is.is_some_and(|is| is != value));
            if is.is_none_or(|is| is == value) {
                changes.push(written(flag, value && is.is_some()));
            }
        }
        let organization = &self.session.organization;
        let store = self.store;
        store
            .change_flags(self.contract, organization, &changes)
            .await?;
        Ok(unsure)
    }

    /// Writes flags in one call, between the intention and the outcome in the table.
    async fn write_together(
        &self,
        flags: &[(&RecordFlag, Record)],
        value: bool,
        done: &mut Done,
    ) -> Result<(), Fault> {
        let (store, contract) = (self.store, self.contract);
        let organization = &self.session.organization;
        let intended = flags.iter().map(|(flag, _)| {
            FlagChange::Put(RecordFlag {
                writing: true,
                ..(*flag).clone()
            })
        });
        let intended: Vec<FlagChange> = intended.collect();
        store
            .change_flags(contract, organization, &intended)
            .await?;
        let writes = flags.iter().map(|(flag, kind)| {
            let values = BTreeMap::from([(field(self.kind).to_owned(), Value::Bool(value))]);
            Write::update(*kind, flag.record.id.clone(), None, values)
        });
        let writes: Vec<Write> = writes.collect();
        let outcomes = writing::update_each(self.crm, &writes).await?;
        let mut changes = Vec::new();
        let mut failed = None;
        for ((flag, _), outcome) in flags.iter().zip(outcomes) {
            match outcome {
                Ok(_) => {
                    done.written += 1;
                    changes.push(written(flag, value));
                }
                // Deleted, or merged into another: it has no flag any more.
                Err(CrmError::Missing) => changes.push(written(flag, false)),
                // It stays unsure.
                Err(error @ (CrmError::Session(_) | CrmError::Unavailable(_))) => {
                    failed = Some(error);
                }
                // It had no effect, and would have none at once: refused, or a lead that was converted.
                Err(_) => {
                    done.refused += 1;
                    changes.push(FlagChange::Put(RecordFlag {
                        record: flag.record.clone(),
                        // It has the other value still: an unsure one was looked at.
                        set: !value,
                        writing: false,
                        refused_at: Some(self.now),
                    }));
                }
            }
        }
        store.change_flags(contract, organization, &changes).await?;
        failed.map_or(Ok(()), |error| Err(error.into()))
    }
}

/// A flag after its record has that value.
fn written(flag: &RecordFlag, value: bool) -> FlagChange {
    if value {
        return FlagChange::Put(RecordFlag {
            record: flag.record.clone(),
            set: true,
            writing: false,
            refused_at: None,
        });
    }
    FlagChange::Forget(flag.record.clone())
}
