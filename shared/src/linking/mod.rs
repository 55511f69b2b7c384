//! Links entries of the directory to the CRM's records (MA-1 to MA-4): one entry at once, as it is added
//! or changed or decided on. A pass over all of them is crm-import's; it decides by the same
//! [`choose`](choose::choose).
//!
//! An entry's candidates are the records that its keys lead to, those that the last pass kept, and those that
//! people decided on. The mirror may be hours behind the CRM; so is what is linked.

mod acts;
pub mod board;
pub mod choose;
mod create;
mod doubt;
mod look;
mod pass;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use matching::{Bits, Clean, Explanation, Model};

use crate::cached::Cached;
use crate::clock::Millis;
use crate::domain::contract::Contract;
use crate::domain::directory::{
    self, Candidate, Decision, Entry, EntryId, EntryKind, EntryRef, Finding, How, Link, LinkPass,
    MAX_CANDIDATES, Match, NewEntry, RecordRef,
};
use crate::domain::environment::Environment;
use crate::domain::ids::ContractId;
use crate::domain::linked_record::linked_objects;
use crate::domain::schema::CrmKind;
use crate::domain::sync::SyncState;
use crate::store::{Added, EntryAs, LinkWrite, Store, StoreError, WaitsFor};

pub use acts::{Act, DecideError};
pub use choose::{Choice, Chooser, Holder, Rules, choose};
pub use create::{Creator, create_record, link_created};
pub(crate) use create::{Writer, known};
pub use look::{CrmRecord, Records, Seen};
pub use pass::request_link_pass;

use look::both;

const PRODUCTION: Environment = Environment::Production;
/// Maximum number of times that an entry is read again because it changed between our read and our write.
const ROUNDS: usize = 6;
/// Maximum number of entries that are linked anew because the one before took their record. The next pass links
/// the rest.
const MAX_CHAIN: usize = 8;
/// Maximum difference of the CRM's clock from ours, and duration of a transaction of it, in seconds.
const SETTLED_SECONDS: i64 = 900;

/// Links the entries of a contract, at a time.
#[derive(Clone, Copy)]
pub struct Linking<'a> {
    /// The table.
    pub store: &'a Store,
    /// The contract.
    pub contract: &'a ContractId,
    /// Its CRM.
    pub crm: CrmKind,
    /// The region of phone numbers without a country code, if a record names no country.
    pub region: Option<&'a str>,
    /// The text that is written into required fields that a form left empty: it stands for a missing value.
    pub placeholder: &'a str,
    /// The time.
    pub now: Millis,
    /// The cache of models and connections, for workers that link many entries.
    pub cached: Option<&'a Cached>,
}

/// An entry and its match, as the table has them.
#[derive(Debug, Clone)]
pub struct Linked {
    /// The entry.
    pub entry: Entry,
    /// Its match; nothing where the CRM was never imported.
    pub matched: Match,
}

/// A record that an entry could be, for people to choose from.
#[derive(Debug, Clone)]
pub struct CandidateView {
    /// The record.
    pub record: CrmRecord,
    /// The evidence for and against it.
    pub explanation: Explanation,
    /// The entry is linked to it.
    pub linked: bool,
    /// People said that the entry is not this.
    pub refused: bool,
    /// Another entry is linked to it.
    pub taken_by: Option<EntryRef>,
}

/// The reason for linking an entry.
enum Change<'a> {
    /// The CRM's records changed, or what was decided did.
    Nothing,
    /// This is known of it now.
    Add {
        new: &'a NewEntry,
        /// Its record, for sure.
        record: Option<&'a RecordRef>,
    },
}

/// An entry as it was read, with what is new of it.
struct Known {
    entry: Entry,
    /// The version that the table has; 0 for no entry.
    read_version: u64,
    before: Option<Match>,
    added: Added,
}

/// The result of linking one entry.
struct Done {
    added: Added,
    linked: Linked,
    /// The entry that its record was taken from.
    lost: Option<EntryId>,
    /// The record that it is no longer linked to.
    freed: Option<RecordRef>,
}

/// An entry with everything that its link depends on.
struct Case {
    known: Known,
    clean: Clean,
    records: Records,
    /// The records that it could be, the best first.
    candidates: Vec<(RecordRef, Bits)>,
}

/// The entries that have the records that an entry could be.
#[derive(Default)]
struct Holders(BTreeMap<RecordRef, (Holder, crate::store::Holder)>);

impl<'a> Linking<'a> {
    /// Creates the linking of a contract's entries.
    #[must_use]
    pub fn new(store: &'a Store, contract: &'a Contract, now: Millis) -> Self {
        Self {
            store,
            contract: &contract.id,
            crm: contract.crm,
            region: contract.settings.default_region.as_deref(),
            placeholder: &contract.settings.placeholder,
            now,
            cached: None,
        }
    }

    /// Adds the cache. A write still assumes that the connection stands.
    #[must_use]
    pub const fn with(self, cached: &'a Cached) -> Self {
        Self {
            cached: Some(cached),
            ..self
        }
    }

    /// The model that a kind of entries is linked by now: what was learned, or what was shipped.
    ///
    /// # Errors
    /// Returns [`StoreError::Unavailable`] if the table does not answer.
    pub async fn model(&self, kind: EntryKind) -> Result<Arc<Model>, StoreError> {
        if let Some(cached) = self.cached {
            return cached.model(self.contract, kind, self.now).await;
        }
        let learned = self.store.model(self.contract, kind).await?;
        Ok(Arc::new(
            learned.unwrap_or_else(|| Model::shipped(kind.matching())),
        ))
    }

    /// The organisation whose records are mirrored; none where production is not connected.
    async fn organization(&self) -> Result<Option<String>, StoreError> {
        match self.cached {
            Some(cached) => cached.organization(self.contract, self.now).await,
            None => self.store.organization(self.contract, PRODUCTION).await,
        }
    }

    /// Links an entry to the record that it is, if there is one, and what it takes that record from to
    /// another. Doing it again does no harm. `None`: there is no such entry.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when others keep changing the same entries; a later pass decides.
    pub async fn link_entry(
        &self,
        kind: EntryKind,
        id: EntryId,
    ) -> Result<Option<Linked>, StoreError> {
        let Some(done) = self.link_one(kind, id, &Change::Nothing).await? else {
            return Ok(None);
        };
        self.link_others(kind, done.lost, done.freed).await?;
        Ok(Some(done.linked))
    }

    /// Adds a person or company to the directory, or to the entry that is there, and links it as
    /// [`link_entry`](Self::link_entry) does, both or neither. `record`: it was just created for it, or it
    /// was just found to be that in the CRM itself; it is linked to that unless something speaks against
    /// it. What is in the directory as it is, with its match, is left so. Doing it again does no harm.
    ///
    /// # Errors
    /// As [`link_entry`](Self::link_entry).
    pub async fn add(
        &self,
        new: &NewEntry,
        record: Option<&RecordRef>,
    ) -> Result<(Added, Linked), StoreError> {
        let change = Change::Add { new, record };
        let done = self.link_one(new.kind, new.id, &change).await?;
        // What is added is there.
        let done = done.ok_or(StoreError::Conflict)?;
        self.link_others(new.kind, done.lost, done.freed).await?;
        Ok((done.added, done.linked))
    }

    /// The entry and its match as [`add`](Self::add) would leave them, without storing anything. Others that
    /// are added meanwhile may change the match.
    ///
    /// # Errors
    /// Returns [`StoreError::Unavailable`] if the table does not answer.
    pub async fn foresee(&self, new: &NewEntry) -> Result<(Added, Linked), StoreError> {
        let change = Change::Add { new, record: None };
        let organization = self.organization().await?;
        let found = self
            .store
            .entry_with_match(self.contract, PRODUCTION, new.kind, new.id)
            .await?;
        // What is added is there.
        let known = Known::new(found, &change, self.now).ok_or(StoreError::Conflict)?;
        let added = known.added;
        if known.is_settled(&change) || organization.is_none() {
            return Ok((added, known.as_it_is(self.now)));
        }
        let model = self.model(new.kind).await?;
        let case = Box::pin(self.case(known, &model)).await?;
        let (_, linked) = Box::pin(self.decide_case(&model, &case)).await?;
        Ok((added, linked))
    }

    /// Links the entry whose record was taken, the entries that waited for a record that is free now, and
    /// those for which either changes something.
    async fn link_others(
        &self,
        kind: EntryKind,
        lost: Option<EntryId>,
        freed: Option<RecordRef>,
    ) -> Result<(), StoreError> {
        let mut open: VecDeque<EntryId> = lost.into_iter().collect();
        open.extend(self.waiting(kind, freed).await?);
        for _ in 1..MAX_CHAIN {
            let Some(next) = open.pop_front() else {
                return Ok(());
            };
            let done = match Box::pin(self.link_one(kind, next, &Change::Nothing)).await {
                // One that cannot be read stays as it is, and stops no other.
                Err(error @ StoreError::Corrupt { .. }) => {
                    error.log();
                    None
                }
                done => done?,
            };
            if let Some(done) = done {
                open.extend(done.lost);
                open.extend(self.waiting(kind, done.freed).await?);
            }
        }
        if !open.is_empty() {
            // The schedule announces it.
            self.ask_for_pass("linking").await?;
        }
        Ok(())
    }

    /// The entries that waited for a record.
    async fn waiting(
        &self,
        kind: EntryKind,
        freed: Option<RecordRef>,
    ) -> Result<Vec<EntryId>, StoreError> {
        let Some(record) = freed else {
            return Ok(Vec::new());
        };
        let waiting = self.store.waiting(self.contract, PRODUCTION, &record);
        let waiting = waiting.await?.into_iter();
        let of_kind = waiting.filter(|entry| entry.kind == kind);
        Ok(of_kind.map(|entry| entry.id).collect())
    }

    /// Links one entry, or adds and links it. `None`: there is no such entry.
    async fn link_one(
        &self,
        kind: EntryKind,
        id: EntryId,
        change: &Change<'_>,
    ) -> Result<Option<Done>, StoreError> {
        for round in 0..ROUNDS {
            let organization = self.organization().await?;
            let found = self
                .store
                .entry_with_match(self.contract, PRODUCTION, kind, id)
                .await?;
            let Some(known) = Known::new(found, change, self.now) else {
                return Ok(None);
            };
            let added = known.added;
            if known.is_settled(change) || organization.is_none() && added == Added::Unchanged {
                let linked = known.as_it_is(self.now);
                return Ok(Some(Done::nothing(added, linked)));
            }
            let Some(organization) = organization else {
                match self.store.put_entry(self.contract, &known.entry).await {
                    Ok(()) => {
                        let linked = known.as_it_is(self.now);
                        return Ok(Some(Done::nothing(added, linked)));
                    }
                    Err(StoreError::Conflict) => continue,
                    Err(error) => return Err(error),
                }
            };
            let model = self.model(kind).await?;
            let created = self.link_to_created(&model, &known, change, round).await?;
            let (write, linked) = if let Some(write) = created {
                let linked = known.linked(write.after.clone());
                (Some(write), linked)
            } else {
                let case = Box::pin(self.case(known, &model)).await?;
                Box::pin(self.decide_case(&model, &case)).await?
            };
            let Some(write) = write else {
                return Ok(Some(Done::nothing(added, linked)));
            };
            let lost = write.from.as_ref().map(|from| from.entry.id);
            let freed = write.before.as_ref().and_then(Match::record);
            let freed = freed.filter(|freed| write.after.record() != Some(*freed));
            let freed = freed.cloned();
            match self
                .store
                .write_link(self.contract, PRODUCTION, &organization, &write)
                .await
            {
                Ok(()) => {
                    return Ok(Some(Done {
                        added,
                        linked,
                        lost,
                        freed,
                    }));
                }
                Err(StoreError::Conflict) => {
                    // The connection may have been ended.
                    if let Some(cached) = self.cached {
                        cached.forget_organization(self.contract);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::Conflict)
    }

    /// The link to the record that was just created for an entry, unless it is linked already or is not
    /// to have that.
    async fn link_to_created(
        &self,
        model: &Model,
        known: &Known,
        change: &Change<'_>,
        round: usize,
    ) -> Result<Option<LinkWrite>, StoreError> {
        let (entry, before) = (&known.entry, &known.before);
        let Change::Add {
            record: Some(record),
            ..
        } = *change
        else {
            return Ok(None);
        };
        let linked = before.as_ref().and_then(|before| before.link.as_ref());
        if entry.is_manual()
            || entry.refuses(record)
            || linked.is_some_and(|link| !link.record_gone)
        {
            return Ok(None);
        }
        // A new record is nobody's. Where it is somebody's, the write fails, and then that is looked at.
        if round > 0 {
            let wanted = [record.clone()];
            let holders = self
                .store
                .linked(self.contract, PRODUCTION, &wanted)
                .await?;
            if holders
                .get(record)
                .is_some_and(|holder| *holder != entry.reference())
            {
                return Ok(None);
            }
        }
        let clean = Clean::new(entry.kind.matching(), &entry.record, self.region);
        let mut after = before.clone().unwrap_or_default();
        after.findings.clear();
        after.link = Some(Link {
            record: record.clone(),
            how: How::Created,
            score: model.score(&clean, &clean),
            threshold: model.threshold,
            since: self.now,
            owner: None,
            record_gone: false,
        });
        after.at = self.now;
        after.model = model.version;
        after.entry_version = entry.version;
        Ok(Some(LinkWrite {
            entry: known.as_read(),
            before: before.clone(),
            after,
            from: None,
            waits_for: None,
        }))
    }

    /// Everything that an entry's link depends on, but for who has its candidates.
    async fn case(&self, mut known: Known, model: &Model) -> Result<Case, StoreError> {
        let entry = &known.entry;
        let mut found = self.found_by_key(entry).await?;
        let before = known.before.as_ref();
        let kept = before.iter().flat_map(|before| &before.candidates);
        found.extend(kept.map(|kept| kept.record.clone()));
        let mut wanted = found.clone();
        wanted.extend(before.and_then(Match::record).cloned());
        wanted.extend(entry.refused.iter().cloned());
        wanted.extend(entry.decided().cloned());
        let records = self.look(entry.kind, wanted).await?;
        // Dataverse keeps the loser of a merge: what it held says nothing of the survivor.
        found.retain(|record| records.survivor(record).is_none());
        // Decisions go where the CRM merged their records to.
        if let Some(mut followed) = entry.followed(|record| records.survivor(record)) {
            // Whatever else is new of it, it is one write.
            followed.version = known.read_version + 1;
            known.entry = followed;
        }
        let entry = &known.entry;
        let clean = Clean::new(entry.kind.matching(), &entry.record, self.region);
        let rules = Rules::of(model);
        let mut candidates: Vec<(RecordRef, Bits)> = records
            .iter()
            .filter(|seen| found.contains(&seen.crm.record))
            // What it was converted to is a candidate in its own right.
            .filter(|seen| seen.crm.converted_to.is_none())
            .map(|seen| (seen.crm.record.clone(), model.score(&clean, &seen.clean)))
            .filter(|(_, score)| rules.lists(*score))
            .collect();
        let order = |record: &RecordRef| {
            let objects = linked_objects(self.crm, entry.kind);
            objects.iter().position(|object| *object == record.object)
        };
        candidates.sort_by(|(a, of_a), (b, of_b)| {
            of_b.cmp(of_a)
                .then_with(|| order(a).cmp(&order(b)))
                .then_with(|| a.id.cmp(&b.id))
        });
        candidates.truncate(MAX_CANDIDATES);
        Ok(Case {
            known,
            clean,
            records,
            candidates,
        })
    }

    /// Decides on an entry: the write that it takes, if any, and its state afterwards.
    async fn decide_case(
        &self,
        model: &Model,
        case: &Case,
    ) -> Result<(Option<LinkWrite>, Linked), StoreError> {
        let entry = &case.known.entry;
        let old = case
            .known
            .before
            .as_ref()
            .and_then(|before| before.link.as_ref());
        let mut wanted: BTreeSet<RecordRef> =
            case.candidates.iter().map(|one| one.0.clone()).collect();
        wanted.extend(entry.decided().cloned());
        wanted.extend(old.map(|old| case.follow(&old.record)));
        let holders = self.holders(model, entry, &wanted, &case.records).await?;
        let mut waits_for = None;
        let link = match &entry.decision {
            Decision::Unmatched { .. } => None,
            Decision::Matched { record, .. } => {
                let how = old
                    .filter(|old| old.how == How::Created && case.follow(&old.record) == *record)
                    .map_or(How::Person, |_| How::Created);
                // Two entries whose records were merged: the one that has the survivor keeps it.
                if holders.of(record) == Holder::Person {
                    waits_for = holders.0.get(record).map(|(_, holder)| WaitsFor {
                        record: record.clone(),
                        by: holder.entry,
                    });
                    None
                } else {
                    let mut link = self.link(model, case, record, how, None);
                    if case.records.get(record).is_none() {
                        link.record_gone = how != How::Created || self.is_gone(link.since).await?;
                    }
                    Some(link)
                }
            }
            Decision::None => {
                let created = self.created(model, case, &holders).await?;
                let candidates: Vec<(&RecordRef, Bits)> = case
                    .candidates
                    .iter()
                    .filter(|(record, _)| !entry.refuses(record))
                    .map(|(record, score)| (record, *score))
                    .collect();
                let chooser = Chooser {
                    id: entry.id,
                    candidates: &candidates,
                    created: created.as_ref().map(|(record, score)| (record, *score)),
                };
                let same = |a: &RecordRef, b: &RecordRef| {
                    let pair = case.records.get(a).zip(case.records.get(b));
                    pair.is_some_and(|(a, b)| model.score(&a.clean, &b.clean) >= model.threshold)
                };
                match choose(Rules::of(model), chooser, |record| holders.of(record), same) {
                    Choice::Nothing => None,
                    Choice::Created => created.as_ref().map(|(record, score)| {
                        self.link(model, case, record, How::Created, Some(*score))
                    }),
                    Choice::Record(record, score) => {
                        Some(self.link(model, case, record, How::Score, Some(score)))
                    }
                }
            }
        };
        let from = link
            .as_ref()
            .and_then(|link| holders.0.get(&link.record))
            .map(|(_, holder)| holder.clone());
        let before = case.known.before.as_ref();
        let findings = link
            .as_ref()
            .and_then(|link| {
                let record = &case.records.get(&link.record)?.crm;
                Some(self.findings(entry, link, record, before))
            })
            .unwrap_or_default();
        let after = Match {
            link,
            findings,
            candidates: case
                .candidates
                .iter()
                .map(|(record, score)| Candidate {
                    record: record.clone(),
                    score: *score,
                })
                .collect(),
            at: self.now,
            model: model.version,
            entry_version: entry.version,
            version: case
                .known
                .before
                .as_ref()
                .map_or(0, |before| before.version),
        };
        let linked = Linked {
            entry: entry.clone(),
            matched: after.clone(),
        };
        let as_read = case.known.as_read();
        if matches!(as_read, EntryAs::Is { .. })
            && case
                .known
                .before
                .as_ref()
                .is_some_and(|before| before.links_as(&after))
        {
            return Ok((None, linked));
        }
        let write = LinkWrite {
            entry: as_read,
            before: case.known.before.clone(),
            after,
            from,
            waits_for,
        };
        Ok((Some(write), linked))
    }

    /// The link of an entry to a record, with their score where that is known.
    fn link(
        &self,
        model: &Model,
        case: &Case,
        record: &RecordRef,
        how: How,
        score: Option<Bits>,
    ) -> Link {
        let seen = case.records.get(record);
        let old = case
            .known
            .before
            .as_ref()
            .and_then(|before| before.link.as_ref());
        let old = old.filter(|old| case.follow(&old.record) == *record);
        let score = score
            .or_else(|| Some(model.score(&case.clean, &seen?.clean)))
            .or(old.map(|old| old.score))
            .unwrap_or(0);
        Link {
            record: record.clone(),
            how,
            score,
            threshold: model.threshold,
            since: old
                .filter(|old| old.how == how)
                .map_or(self.now, |old| old.since),
            owner: match seen {
                Some(seen) => seen.crm.owner.clone(),
                None => old.and_then(|old| old.owner.clone()),
            },
            record_gone: false,
        }
    }

    /// The values of a linked record that are out of date (SV-8); `before` is the match as it was.
    #[must_use]
    pub fn findings(
        &self,
        entry: &Entry,
        link: &Link,
        record: &CrmRecord,
        before: Option<&Match>,
    ) -> Vec<Finding> {
        let theirs = (&record.shown, record.modified);
        directory::findings(entry, link, theirs, before, self.now)
    }

    /// The record that was created for an entry, with their score, where nothing speaks against that
    /// link: it stands until the record is gone.
    async fn created(
        &self,
        model: &Model,
        case: &Case,
        holders: &Holders,
    ) -> Result<Option<(RecordRef, Bits)>, StoreError> {
        let old = case
            .known
            .before
            .as_ref()
            .and_then(|before| before.link.as_ref());
        let Some(old) = old.filter(|old| old.how == How::Created) else {
            return Ok(None);
        };
        let mut record = case.follow(&old.record);
        if let Some(contact) = case
            .records
            .get(&record)
            .and_then(|seen| seen.crm.converted_to.clone())
        {
            record = contact;
        }
        if case.known.entry.refuses(&record) || holders.of(&record) == Holder::Person {
            return Ok(None);
        }
        if let Some(seen) = case.records.get(&record) {
            let score = model.score(&case.clean, &seen.clean);
            return Ok(Some((record, score)));
        }
        let gone = self.is_gone(old.since).await?;
        // It holds what the entry held.
        let own = model.score(&case.clean, &case.clean);
        Ok((!gone).then_some((record, own)))
    }

    /// True if a record that was made at a time would be in the mirror by now, were it still in the CRM.
    ///
    /// # Errors
    /// Returns [`StoreError::Unavailable`] if the table does not answer.
    pub async fn is_gone(&self, since: Millis) -> Result<bool, StoreError> {
        let sync = self.store.sync(self.contract, PRODUCTION).await?;
        Ok(sync.is_some_and(|sync| {
            let settled = since.plus_seconds(SETTLED_SECONDS);
            sync.state == SyncState::Succeeded
                && sync.started_at.is_some_and(|began| began > settled)
        }))
    }

    /// Finds the other entries that have these records.
    async fn holders(
        &self,
        model: &Model,
        entry: &Entry,
        wanted: &BTreeSet<RecordRef>,
        records: &Records,
    ) -> Result<Holders, StoreError> {
        let wanted: Vec<RecordRef> = wanted.iter().cloned().collect();
        let mut linked = self
            .store
            .linked(self.contract, PRODUCTION, &wanted)
            .await?;
        linked.retain(|_, holder| holder.id != entry.id && holder.kind == entry.kind);
        if linked.is_empty() {
            return Ok(Holders::default());
        }
        let ids: BTreeSet<EntryId> = linked.values().map(|holder| holder.id).collect();
        let ids: Vec<EntryId> = ids.into_iter().collect();
        let (entries, links) = both(
            self.store.entries(self.contract, entry.kind, &ids),
            self.store
                .entry_matches(self.contract, PRODUCTION, entry.kind, &ids),
        )
        .await?;
        let mut holders = Holders::default();
        for (record, holder) in linked {
            let (Some(other), Some(matched)) = (entries.get(&holder.id), links.get(&holder.id))
            else {
                if self.is_unreadable(holder).await? {
                    let kept = crate::store::Holder {
                        entry: holder,
                        version: 0,
                        before: Match::default(),
                    };
                    holders.0.insert(record, (Holder::Person, kept));
                }
                continue;
            };
            let Some(link) = &matched.link else { continue };
            let clean = Clean::new(other.kind.matching(), &other.record, self.region);
            let score = records.get(&record).map_or_else(
                || model.score(&clean, &clean),
                |seen| model.score(&clean, &seen.clean),
            );
            let by = match link.how {
                _ if other.is_manual() => Holder::Person,
                How::Created => Holder::Created(score),
                How::Score | How::Person => Holder::Score(score, other.id),
            };
            let from = crate::store::Holder {
                entry: other.reference(),
                version: other.version,
                before: matched.clone(),
            };
            holders.0.insert(record, (by, from));
        }
        Ok(holders)
    }

    /// True if an entry or its match cannot be read: nobody takes its record until that is mended.
    async fn is_unreadable(&self, entry: EntryRef) -> Result<bool, StoreError> {
        let (kind, id) = (entry.kind, entry.id);
        let found = self
            .store
            .entry_with_match(self.contract, PRODUCTION, kind, id);
        match found.await {
            Err(error @ StoreError::Corrupt { .. }) => {
                error.log();
                Ok(true)
            }
            found => found.map(|_| false),
        }
    }

    /// Finds the records that an entry could be, the best first, for people to choose from.
    ///
    /// # Errors
    /// Returns [`StoreError::Unavailable`] if the table does not answer.
    pub async fn candidates(&self, entry: &Entry) -> Result<Vec<CandidateView>, StoreError> {
        let model = Box::pin(self.model(entry.kind));
        let before = self
            .store
            .entry_match(self.contract, PRODUCTION, entry.kind, entry.id);
        let (model, before) = both(model, Box::pin(before)).await?;
        let linked = before.as_ref().and_then(Match::record).cloned();
        let known = Known {
            entry: entry.clone(),
            read_version: entry.version,
            before,
            added: Added::Unchanged,
        };
        let mut case = Box::pin(self.case(known, &model)).await?;
        let linked = linked.map(|record| case.follow(&record));
        // What it is linked to is shown however little speaks for it.
        if let Some(record) = &linked
            && case.records.get(record).is_some()
            && !case.candidates.iter().any(|one| one.0 == *record)
        {
            case.candidates.insert(0, (record.clone(), 0));
        }
        let records: Vec<RecordRef> = case.candidates.iter().map(|one| one.0.clone()).collect();
        let mut holders: HashMap<RecordRef, EntryRef> = self
            .store
            .linked(self.contract, PRODUCTION, &records)
            .await?;
        let shown = case.candidates.iter().filter_map(|(record, _)| {
            let seen = case.records.get(record)?;
            Some(CandidateView {
                explanation: model.explain(&case.clean, &seen.clean),
                linked: linked.as_ref() == Some(record),
                refused: case.known.entry.refuses(record),
                taken_by: holders
                    .remove(record)
                    .filter(|holder| *holder != case.known.entry.reference()),
                record: seen.crm.clone(),
            })
        });
        Ok(shown.collect())
    }

    /// Explains the score of an entry with a record.
    ///
    /// # Errors
    /// Returns [`StoreError::Unavailable`] if the table does not answer.
    pub async fn explain(
        &self,
        entry: &Entry,
        record: &CrmRecord,
    ) -> Result<Explanation, StoreError> {
        let model = self.model(entry.kind).await?;
        let kind = entry.kind.matching();
        Ok(model.explain(
            &Clean::new(kind, &entry.record, self.region),
            &Clean::new(kind, &record.shown, self.region),
        ))
    }

    /// Asks for a link pass, which the schedule announces.
    async fn ask_for_pass(&self, by: &str) -> Result<LinkPass, StoreError> {
        pass::ask(self.store, self.contract, by, self.now).await
    }
}

impl Case {
    /// The record, or the survivor of its merge.
    fn follow(&self, record: &RecordRef) -> RecordRef {
        self.records
            .survivor(record)
            .unwrap_or_else(|| record.clone())
    }
}

impl Known {
    /// Applies the change to the entry that was read. `None`: there is no such entry.
    fn new(
        found: Option<(Entry, Option<Match>)>,
        change: &Change<'_>,
        now: Millis,
    ) -> Option<Self> {
        let (stored, before) = found.map_or((None, None), |(entry, before)| (Some(entry), before));
        let read_version = stored.as_ref().map_or(0, |entry| entry.version);
        let (entry, added) = match change {
            Change::Nothing => (stored?, Added::Unchanged),
            Change::Add { new, .. } => Added::to(stored, new, now),
        };
        Some(Self {
            entry,
            read_version,
            before,
            added,
        })
    }

    /// True if the change adds nothing new, and the entry's link was decided with all of that.
    fn is_settled(&self, change: &Change<'_>) -> bool {
        let Change::Add { record, .. } = change else {
            return false;
        };
        let decided = self.before.as_ref();
        self.added == Added::Unchanged
            && decided.is_some_and(|before| before.entry_version == self.entry.version)
            && (record.is_none() || record.as_deref() == decided.and_then(Match::record))
    }

    fn linked(&self, matched: Match) -> Linked {
        Linked {
            entry: self.entry.clone(),
            matched,
        }
    }

    fn as_it_is(&self, now: Millis) -> Linked {
        let before = self.before.clone();
        self.linked(before.unwrap_or_else(|| Match::nothing(now)))
    }

    /// The entry as a write assumes it: as it was read, or with what is new of it.
    fn as_read(&self) -> EntryAs {
        if self.read_version == self.entry.version {
            EntryAs::is(&self.entry)
        } else {
            EntryAs::Becomes(Box::new(self.entry.clone()))
        }
    }
}

impl Done {
    const fn nothing(added: Added, linked: Linked) -> Self {
        Self {
            added,
            linked,
            lost: None,
            freed: None,
        }
    }
}

impl Holders {
    fn of(&self, record: &RecordRef) -> Holder {
        self.0.get(record).map_or(Holder::Nobody, |(by, _)| *by)
    }
}
