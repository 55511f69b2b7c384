//! The board of a link pass: the entries of a kind in memory, with their candidates (MA-2). Pure.
//!
//! The engine finds and scores the pairs of the entries and a part of the records ([`Part`]); of each
//! entry the best [`MAX_CANDIDATES`] are kept, whatever parts they come from. Then every entry is linked
//! as it would be alone, by [`choose`], until nothing changes any more. So linking an entry online after
//! a pass finds what the pass found.
//!
//! Between two steps of a pass the candidates are kept as [`Draft`]s. An entry that came or changed after
//! its part was compared is left out of the decision ([`Board::leave_out`]): linking it online decides.
//!
//! Memory grows with the entries and the records that are there together; crm-import bounds their number.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use matching::assign::Link as Pair;
use matching::bulk::{self, Options};
use matching::{Bits, Clean, Kind, Model};
use serde::{Deserialize, Serialize};

use super::choose::{Choice, Chooser, Holder, Rules, choose};
use crate::domain::directory::{
    Decision, Entry, EntryId, How, Link, MAX_CANDIDATES, Match, RecordRef,
};

/// Maximum number of decisions on an entry, in the mean: a bound for what cannot happen.
const MAX_TURNS: usize = 50;

/// An entry of the directory as a pass needs it.
struct Row {
    id: EntryId,
    version: u64,
    decision: Kept,
    refused: Vec<RecordRef>,
    /// The record that was created for it.
    created: Option<Link>,
    /// The record that it is linked to now.
    linked: Option<RecordRef>,
    /// The candidates that were known before the pass.
    known: Vec<RecordRef>,
    /// Number of parts of the records that it was compared with, in this version.
    met: u32,
    /// It was not compared with all of them, so the pass does not decide on it.
    late: bool,
}

impl Row {
    /// True if the pass decides on it: users decided nothing, and it was compared with all records.
    const fn is_open(&self) -> bool {
        matches!(self.decision, Kept::Nothing) && !self.late
    }
}

/// The users' decision on an entry.
enum Kept {
    Nothing,
    Matched(RecordRef),
    Unmatched,
}

/// A candidate of an entry, by the number of its record.
type Scored = (Bits, u32);

/// The entries of a kind, and their candidates as far as parts of the records have met them.
pub struct Board {
    kind: Kind,
    model: Model,
    region: Option<String>,
    rows: Vec<Row>,
    cleans: Vec<Clean>,
    tops: Vec<Vec<Scored>>,
    /// Records that were candidates at some time, by number.
    records: Vec<RecordRef>,
    /// Their owners, by number.
    owners: Owners,
    /// Ranks of the objects: of equal candidates one of the first object is taken.
    objects: &'static [&'static str],
}

/// Owners of records, each name once.
#[derive(Default)]
struct Owners {
    names: Vec<String>,
    numbers: HashMap<String, u32>,
    of: Vec<Option<u32>>,
}

impl Owners {
    fn push(&mut self, owner: Option<&str>) {
        let number = owner.map(|owner| {
            if let Some(number) = self.numbers.get(owner) {
                return *number;
            }
            let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
            self.names.push(owner.to_owned());
            self.numbers.insert(owner.to_owned(), number);
            number
        });
        self.of.push(number);
    }

    fn get(&self, record: u32) -> Option<&str> {
        let owner = self.of.get(record as usize).copied().flatten()?;
        self.names.get(owner as usize).map(String::as_str)
    }
}

/// Records of the CRM in memory: all of a kind, or as many as fit beside the entries.
#[derive(Default)]
pub struct Part {
    records: Vec<RecordRef>,
    owners: Owners,
    cleans: Vec<Clean>,
}

impl Part {
    /// Adds a record, in normal form, with the CRM's id of its owner.
    pub fn push(&mut self, record: RecordRef, owner: Option<&str>, clean: Clean) {
        self.records.push(record);
        self.owners.push(owner);
        self.cleans.push(clean);
    }

    /// Number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// True without any record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

/// Pairs of a board's entries and a part's records that share something, with their scores.
pub struct Pairs(Vec<Pair>);

impl Pairs {
    /// Number of pairs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True without any pair.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A record that the mirror has.
pub struct There {
    /// The record in the engine's normal form.
    pub clean: Clean,
    /// The CRM's id of its owner.
    pub owner: Option<String>,
}

/// The mirror's knowledge of the records that people decided on, and of those that are as good as each other.
#[derive(Default)]
pub struct Known {
    /// Survivors of merges.
    pub survivors: HashMap<RecordRef, RecordRef>,
    /// Records that are there.
    pub there: HashMap<RecordRef, There>,
    /// Contacts by the leads that were converted to them.
    pub converted: HashMap<RecordRef, RecordRef>,
    /// A record that was created before this and is not in the mirror is gone from the CRM.
    pub settled: Option<crate::clock::Millis>,
}

/// The record that an entry is to be linked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// The record.
    pub record: RecordRef,
    /// The reason of the link.
    pub how: How,
    /// Their score; none where the record is not there.
    pub score: Option<Bits>,
    /// The mirror has the record.
    pub there: bool,
    /// The CRM's id of the record's owner.
    pub owner: Option<String>,
}

/// The decision on an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The entry.
    pub id: EntryId,
    /// Its version as it was when the pass read it.
    pub version: u64,
    /// The record that it was linked to when the pass read it.
    pub was: Option<RecordRef>,
    /// The record that it is to be linked to.
    pub link: Option<Chosen>,
    /// The records that it could be, the best first.
    pub candidates: Vec<(RecordRef, Bits)>,
}

/// The candidates of some entries, as a pass keeps them between two of its steps: the entry, the version of it
/// that was compared, and its candidates, possibly none.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Draft(Vec<(EntryId, u64, Vec<DraftCandidate>)>);

/// Rank of the object, id of the record, score, owner.
type DraftCandidate = (u8, String, Bits, Option<String>);

impl Board {
    /// Creates an empty board. `objects`: those whose records the entries can be, the preferred first.
    #[must_use]
    pub fn new(model: Model, region: Option<&str>, objects: &'static [&'static str]) -> Self {
        Self {
            kind: model.kind,
            model,
            region: region.map(str::to_owned),
            rows: Vec::new(),
            cleans: Vec::new(),
            tops: Vec::new(),
            records: Vec::new(),
            owners: Owners::default(),
            objects,
        }
    }

    /// Adds an entry with its match.
    pub fn add(&mut self, entry: &Entry, matched: Option<&Match>) {
        let link = matched.and_then(|matched| matched.link.clone());
        let candidates = matched.map_or(&[][..], |matched| &matched.candidates);
        let mut known: Vec<RecordRef> = candidates.iter().map(|one| one.record.clone()).collect();
        known.extend(link.iter().map(|link| link.record.clone()));
        self.rows.push(Row {
            id: entry.id,
            version: entry.version,
            decision: match &entry.decision {
                Decision::None => Kept::Nothing,
                Decision::Matched { record, .. } => Kept::Matched(record.clone()),
                Decision::Unmatched { .. } => Kept::Unmatched,
            },
            refused: entry.refused.clone(),
            linked: link.as_ref().map(|link| link.record.clone()),
            created: link.filter(|link| link.how == How::Created),
            known,
            met: 0,
            late: false,
        });
        let region = self.region.as_deref();
        self.cleans
            .push(Clean::new(self.kind, &entry.record, region));
        self.tops.push(Vec::new());
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// True without any entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Records that people decided on.
    #[must_use]
    pub fn decided_on(&self) -> BTreeSet<RecordRef> {
        let mut records = BTreeSet::new();
        for row in &self.rows {
            if let Kept::Matched(record) = &row.decision {
                records.insert(record.clone());
            }
            records.extend(row.refused.iter().cloned());
        }
        records
    }

    /// Pairs that people decided: the entry, the record, and `true` if they are one.
    fn decided<'k>(
        &'k self,
        known: &'k Known,
    ) -> impl Iterator<Item = (&'k Clean, &'k Clean, bool)> {
        let pairs = self.rows.iter().zip(&self.cleans);
        pairs.flat_map(move |(row, clean)| {
            let matched = match &row.decision {
                Kept::Matched(record) => Some((record, true)),
                Kept::Nothing | Kept::Unmatched => None,
            };
            let refused = row.refused.iter().map(|record| (record, false));
            matched
                .into_iter()
                .chain(refused)
                .filter_map(move |(record, is)| {
                    let record = known.survivors.get(record).unwrap_or(record);
                    Some((clean, &known.there.get(record)?.clean, is))
                })
        })
    }

    /// The pairs of an entry and a record that could be one: those that the engine finds, and those that
    /// were known before, as linking one by one may have found them.
    #[must_use]
    pub fn pairs(&self, part: &Part) -> Pairs {
        let options = Options {
            model: Some(self.model.clone()),
            fixed: true,
        };
        // What else it finds is as large as the pairs.
        let bulk::Outcome {
            mut pairs,
            doubtful,
            ..
        } = bulk::link_clean(self.kind, &self.cleans, &part.cleans, &options);
        pairs.retain(|pair| doubtful.binary_search(&(pair.left, pair.right)).is_err());
        let mut wanted: HashMap<&RecordRef, Vec<u32>> = HashMap::new();
        for (row, number) in self.rows.iter().zip(0..) {
            for record in &row.known {
                wanted.entry(record).or_default().push(number);
            }
        }
        if !wanted.is_empty() {
            let mut more = Vec::new();
            for (record, number) in part.records.iter().zip(0..) {
                let rows = wanted.get(record).into_iter().flatten();
                more.extend(rows.map(|row| (*row, number)));
            }
            let scores = bulk::scores(&self.model, &self.cleans, &part.cleans, &more);
            pairs.extend(
                more.into_iter()
                    .zip(scores)
                    .map(|((left, right), score)| Pair { left, right, score }),
            );
            pairs.sort_unstable_by_key(|pair| (pair.left, pair.right));
            pairs.dedup_by_key(|pair| (pair.left, pair.right));
        }
        Pairs(pairs)
    }

    /// A model that fits the entries and the records. `known` has the records that people decided on.
    #[must_use]
    pub fn learned(&self, part: &Part, pairs: &Pairs, known: &Known) -> Model {
        let (pairs, records) = self.evidence(part, pairs);
        let decided: Vec<_> = self.decided(known).collect();
        let shipped = Model::shipped(self.kind);
        bulk::learn(
            &shipped,
            &self.cleans,
            &part.cleans,
            &pairs,
            &decided,
            records,
        )
    }

    /// The pairs to learn from, and the numbers of entries and records that they are out of, those without a
    /// pair included. A record that was created for an entry, or that its submission was just
    /// written to, is as like it as can be: that says nothing of how alike others are, nor of how often an
    /// entry is a record.
    fn evidence(&self, part: &Part, pairs: &Pairs) -> (Vec<(u32, u32)>, (usize, usize)) {
        let made: Vec<bool> = self.rows.iter().map(|row| row.created.is_some()).collect();
        let created = self.rows.iter().filter_map(|row| row.created.as_ref());
        let created: HashSet<&RecordRef> = created.map(|link| &link.record).collect();
        let records = part.records.iter();
        let of_made: Vec<bool> = records.map(|record| created.contains(record)).collect();
        let is = |of: &[bool], at: u32| of.get(at as usize).copied().unwrap_or_default();
        let apart = |pair: &&Pair| !is(&made, pair.left) && !is(&of_made, pair.right);
        let others = pairs.0.iter().filter(apart);
        let count = |of: &[bool]| of.iter().filter(|made| !**made).count();
        (
            others.map(|pair| (pair.left, pair.right)).collect(),
            (count(&made), count(&of_made)),
        )
    }

    /// Number of entries that show how often an entry is a record: those whose record was not made of them.
    #[must_use]
    pub fn telling(&self) -> usize {
        let rows = self.rows.iter();
        rows.filter(|row| row.created.is_none()).count()
    }

    /// The model of the scores.
    #[must_use]
    pub const fn model(&self) -> &Model {
        &self.model
    }

    /// The mean difference, in thousandths of a bit, between the distances from the threshold that the model
    /// and another give the pairs that either of the two would keep.
    #[must_use]
    pub fn differs(&self, other: &Model, part: &Part, pairs: &Pairs) -> u64 {
        let numbers: Vec<(u32, u32)> = pairs.0.iter().map(|pair| (pair.left, pair.right)).collect();
        let scores = bulk::scores(other, &self.cleans, &part.cleans, &numbers);
        let (ours, theirs) = (Rules::of(&self.model), Rules::of(other));
        let (mut sum, mut kept) = (0_u64, 0_u64);
        for (pair, score) in pairs.0.iter().zip(scores) {
            if ours.lists(pair.score) || theirs.lists(score) {
                let above = i64::from(pair.score) - i64::from(ours.threshold);
                sum += above.abs_diff(i64::from(score) - i64::from(theirs.threshold));
                kept += 1;
            }
        }
        sum / kept.max(1)
    }

    /// Replaces the model, and scores the pairs by the new one.
    pub fn adopt(&mut self, model: Model, part: &Part, pairs: &mut Pairs) {
        self.model = model;
        let numbers: Vec<(u32, u32)> = pairs.0.iter().map(|pair| (pair.left, pair.right)).collect();
        let scores = bulk::scores(&self.model, &self.cleans, &part.cleans, &numbers);
        for (pair, score) in pairs.0.iter_mut().zip(scores) {
            pair.score = score;
        }
    }

    /// Notes that all entries were compared with a part, and keeps the best pairs of each.
    pub fn meet(&mut self, part: &Part, pairs: &Pairs) {
        let rules = Rules::of(&self.model);
        let mut numbers: HashMap<u32, u32> = HashMap::new();
        for row in &mut self.rows {
            row.met += 1;
        }
        for pair in pairs.0.iter().filter(|pair| rules.lists(pair.score)) {
            if !self.has_room(pair.left as usize, pair.score) {
                continue;
            }
            let Some(record) = part.records.get(pair.right as usize) else {
                continue;
            };
            let number = *numbers.entry(pair.right).or_insert_with(|| {
                self.records.push(record.clone());
                self.owners.push(part.owners.get(pair.right));
                u32::try_from(self.records.len() - 1).unwrap_or(u32::MAX)
            });
            self.insert(pair.left as usize, pair.score, number);
        }
    }

    /// False if the entry has as many candidates as are kept, all better than this score.
    fn has_room(&self, row: usize, score: Bits) -> bool {
        let top = self.tops.get(row);
        let worst = top.and_then(|top| top.get(MAX_CANDIDATES - 1));
        worst.is_none_or(|(worst, _)| score >= *worst)
    }

    /// The rank of a record's object.
    fn rank(&self, record: &RecordRef) -> usize {
        let mut objects = self.objects.iter();
        objects
            .position(|object| *object == record.object)
            .unwrap_or(self.objects.len())
    }

    fn insert(&mut self, row: usize, score: Bits, number: u32) {
        let Some(mut top) = self.tops.get_mut(row).map(std::mem::take) else {
            return;
        };
        let of = |number: u32| self.records.get(number as usize);
        // A part that was begun and not ended meets the entries again.
        top.retain(|(_, other)| *other != number && of(*other) != of(number));
        let order = |scored: &Scored| {
            let record = of(scored.1);
            let rank = record.map(|record| self.rank(record));
            (
                std::cmp::Reverse(scored.0),
                rank,
                record.map(|record| record.id.as_str()),
            )
        };
        let at = top.partition_point(|other| order(other) < order(&(score, number)));
        if at < MAX_CANDIDATES {
            top.insert(at, (score, number));
            top.truncate(MAX_CANDIDATES);
        }
        if let Some(slot) = self.tops.get_mut(row) {
            *slot = top;
        }
    }

    /// The entries with their candidates so far, in pieces of `size` entries.
    pub fn drafts(&self, size: usize) -> impl Iterator<Item = Draft> {
        let size = size.max(1);
        (0..self.rows.len()).step_by(size).map(move |from| {
            let rows = self.rows.iter().zip(&self.tops).skip(from).take(size);
            let drafts = rows.map(|(entry, top)| {
                let top = top.iter().filter_map(|(score, number)| {
                    let record = self.records.get(*number as usize)?;
                    let rank = u8::try_from(self.rank(record)).ok()?;
                    let owner = self.owners.get(*number).map(str::to_owned);
                    Some((rank, record.id.clone(), *score, owner))
                });
                (entry.id, entry.version, top.collect())
            });
            Draft(drafts.collect())
        })
    }

    /// Adds the candidates that an earlier step found. Those of entries that are gone or have another version
    /// by now are left out.
    pub fn take_up(&mut self, drafts: impl IntoIterator<Item = Draft>) {
        let rows: HashMap<EntryId, usize> = self
            .rows
            .iter()
            .enumerate()
            .map(|(row, entry)| (entry.id, row))
            .collect();
        let mut numbers: HashMap<(u8, String), u32> = HashMap::new();
        for (id, version, top) in drafts.into_iter().flat_map(|draft| draft.0) {
            let Some(row) = rows.get(&id).copied() else {
                continue;
            };
            match self.rows.get_mut(row) {
                Some(entry) if entry.version == version => entry.met += 1,
                _ => continue,
            }
            for (rank, record, score, owner) in top {
                let Some(object) = self.objects.get(usize::from(rank)) else {
                    continue;
                };
                if !self.has_room(row, score) {
                    continue;
                }
                let number = *numbers.entry((rank, record)).or_insert_with_key(|(_, id)| {
                    self.records.push(RecordRef::new(*object, id.clone()));
                    self.owners.push(owner.as_deref());
                    u32::try_from(self.records.len() - 1).unwrap_or(u32::MAX)
                });
                self.insert(row, score, number);
            }
        }
    }

    /// Leaves out of the decision the entries that were not compared with `parts` parts of the records in their
    /// present version: they came or changed while the pass went on, and linking them online decides.
    pub fn leave_out(&mut self, parts: u32) {
        for row in &mut self.rows {
            row.late = row.met < parts;
        }
    }

    /// The records that a decision depends on beyond the candidates' scores: those that people decided
    /// on, those that were created for entries, and candidates that are as good as each other.
    #[must_use]
    pub fn questions(&self) -> BTreeSet<RecordRef> {
        let mut questions = self.decided_on();
        for row in &self.rows {
            questions.extend(row.created.as_ref().map(|link| link.record.clone()));
        }
        for (a, b) in self.contested() {
            for number in [a, b] {
                questions.extend(self.records.get(number as usize).cloned());
            }
        }
        questions
    }

    /// Pairs of candidates of an entry between which the margin does not decide.
    fn contested(&self) -> BTreeSet<(u32, u32)> {
        let rules = Rules::of(&self.model);
        let mut pairs = BTreeSet::new();
        for (row, top) in self.rows.iter().zip(&self.tops) {
            if !row.is_open() {
                continue;
            }
            for (at, (score, a)) in top.iter().enumerate() {
                if *score < rules.threshold {
                    break;
                }
                let rivals = top.iter().skip(at + 1);
                let near =
                    rivals.take_while(|(rival, _)| score.saturating_sub(*rival) < rules.margin);
                pairs.extend(near.map(|(_, b)| (*a, *b)));
            }
        }
        pairs
    }

    /// Decides on every entry that was not left out.
    #[must_use]
    pub fn decide(&self, known: &Known) -> Vec<Outcome> {
        let mut settling = Settling::new(self, known);
        settling.run();
        settling.outcomes()
    }
}

/// The entry that has a record while it is decided.
#[derive(Clone, Copy)]
struct Held {
    row: usize,
    by: Holder,
}

/// The state of deciding on the entries until nothing changes.
struct Settling<'b> {
    board: &'b Board,
    known: &'b Known,
    rules: Rules,
    /// Every record that is somebody's candidate or decided on, once, by number.
    records: Vec<&'b RecordRef>,
    candidates: Vec<Vec<(u32, Bits)>>,
    /// Entries by the records that they could be.
    wanted_by: HashMap<u32, Vec<usize>>,
    same: HashSet<(u32, u32)>,
    created: Vec<Option<(u32, Bits)>>,
    held: HashMap<u32, Held>,
    links: Vec<Option<(u32, How, Option<Bits>)>>,
}

impl<'b> Settling<'b> {
    fn new(board: &'b Board, known: &'b Known) -> Self {
        let mut settling = Self {
            board,
            known,
            rules: Rules::of(&board.model),
            records: Vec::new(),
            candidates: Vec::with_capacity(board.rows.len()),
            wanted_by: HashMap::new(),
            same: HashSet::new(),
            created: vec![None; board.rows.len()],
            held: HashMap::new(),
            links: vec![None; board.rows.len()],
        };
        let mut numbers: HashMap<&'b RecordRef, u32> = HashMap::new();
        let mut number = |record: &'b RecordRef, records: &mut Vec<&'b RecordRef>| {
            *numbers.entry(record).or_insert_with(|| {
                records.push(record);
                u32::try_from(records.len() - 1).unwrap_or(u32::MAX)
            })
        };
        for (row, top) in board.tops.iter().enumerate() {
            let mut candidates = Vec::with_capacity(top.len());
            for (score, record) in top {
                if let Some(record) = board.records.get(*record as usize) {
                    let number = number(record, &mut settling.records);
                    candidates.push((number, *score));
                    settling.wanted_by.entry(number).or_default().push(row);
                }
            }
            settling.candidates.push(candidates);
        }
        for (a, b) in board.contested() {
            let at = |number: u32| board.records.get(number as usize);
            let (Some(a), Some(b)) = (at(a), at(b)) else {
                continue;
            };
            let (Some(of_a), Some(of_b)) = (known.there.get(a), known.there.get(b)) else {
                continue;
            };
            if board.model.score(&of_a.clean, &of_b.clean) >= board.model.threshold {
                let (a, b) = (
                    number(a, &mut settling.records),
                    number(b, &mut settling.records),
                );
                settling.same.insert((a.min(b), a.max(b)));
            }
        }
        // What people decided comes first. Of two whose records were merged, whoever has it keeps it.
        let mut decided: Vec<(bool, EntryId, usize, &'b RecordRef)> = Vec::new();
        for (row, entry) in board.rows.iter().enumerate() {
            if let Kept::Matched(record) = &entry.decision {
                let record = settling.survivor(record);
                decided.push((entry.linked.as_ref() != Some(record), entry.id, row, record));
            }
        }
        decided.sort_unstable_by_key(|(other, id, ..)| (*other, *id));
        for (_, _, row, record) in decided {
            let number = number(record, &mut settling.records);
            let entry = board.rows.get(row);
            let score = settling.score_with(row, record);
            let was_created = entry
                .and_then(|entry| entry.created.as_ref())
                .is_some_and(|link| settling.survivor(&link.record) == record);
            let how = if was_created {
                How::Created
            } else {
                How::Person
            };
            let by = Holder::Person;
            if let std::collections::hash_map::Entry::Vacant(slot) = settling.held.entry(number) {
                slot.insert(Held { row, by });
                if let Some(link) = settling.links.get_mut(row) {
                    *link = Some((number, how, score));
                }
            }
        }
        for (row, entry) in board.rows.iter().enumerate() {
            if !entry.is_open() {
                continue;
            }
            if let Some((record, score)) = settling.created_for(row) {
                let number = number(record, &mut settling.records);
                if let Some(created) = settling.created.get_mut(row) {
                    *created = Some((number, score));
                }
            }
        }
        settling
    }

    fn survivor(&self, record: &'b RecordRef) -> &'b RecordRef {
        self.known.survivors.get(record).unwrap_or(record)
    }

    /// The score of an entry with a record that is there.
    fn score_with(&self, row: usize, record: &RecordRef) -> Option<Bits> {
        let clean = self.board.cleans.get(row)?;
        let there = self.known.there.get(record)?;
        Some(self.board.model.score(clean, &there.clean))
    }

    /// The record that was created for an entry, unless it is gone or refused.
    fn created_for(&self, row: usize) -> Option<(&'b RecordRef, Bits)> {
        let entry = self.board.rows.get(row)?;
        let link = entry.created.as_ref()?;
        let mut record = self.survivor(&link.record);
        record = self.known.converted.get(record).unwrap_or(record);
        if self.refuses(row, record) {
            return None;
        }
        if let Some(score) = self.score_with(row, record) {
            return Some((record, score));
        }
        let gone = self
            .known
            .settled
            .is_some_and(|settled| link.since < settled);
        // It holds what the entry held.
        let clean = self.board.cleans.get(row)?;
        (!gone).then(|| (record, self.board.model.score(clean, clean)))
    }

    fn refuses(&self, row: usize, record: &RecordRef) -> bool {
        let entry = self.board.rows.get(row);
        entry.is_some_and(|entry| {
            let mut refused = entry.refused.iter();
            refused.any(|refused| self.survivor(refused) == record)
        })
    }

    fn run(&mut self) {
        let rows = 0..self.board.rows.len();
        let automatic = |row: &usize| {
            let entry = self.board.rows.get(*row);
            entry.is_some_and(Row::is_open)
        };
        let mut order: Vec<usize> = rows.filter(automatic).collect();
        for row in &order {
            let Some(top) = self.candidates.get(*row) else {
                continue;
            };
            let kept = top.iter().copied().filter(|(number, _)| {
                let record = self.records.get(*number as usize);
                record.is_some_and(|record| !self.refuses(*row, record))
            });
            let kept: Vec<(u32, Bits)> = kept.collect();
            if kept.len() < top.len()
                && let Some(top) = self.candidates.get_mut(*row)
            {
                *top = kept;
            }
        }
        // The surest first: then few have to be decided on again. What was created comes before all.
        let first = |row: &usize| {
            let best = self.candidates.get(*row).and_then(|top| top.first());
            let created = self.created.get(*row).copied().flatten();
            let id = self.board.rows.get(*row).map(|entry| entry.id);
            (
                std::cmp::Reverse(created.map(|created| created.1)),
                std::cmp::Reverse(best.map(|best| best.1)),
                id,
            )
        };
        order.sort_by_cached_key(first);
        let mut open: VecDeque<usize> = order.into();
        let mut waiting: HashSet<usize> = open.iter().copied().collect();
        let mut turns = self.board.rows.len().saturating_mul(MAX_TURNS);
        while let Some(row) = open.pop_front() {
            waiting.remove(&row);
            turns = turns.saturating_sub(1);
            if turns == 0 {
                tracing::error!(
                    "a link pass did not settle: what is left is decided by the next one"
                );
                return;
            }
            for other in self.turn(row) {
                if other != row && waiting.insert(other) {
                    open.push_back(other);
                }
            }
        }
    }

    /// Decides on an entry; returns the entries for which that changes something.
    fn turn(&mut self, row: usize) -> Vec<usize> {
        let Some(entry) = self.board.rows.get(row) else {
            return Vec::new();
        };
        let created = self.created.get(row).copied().flatten();
        // Somebody else was given it by a person, or fits it clearly better.
        let created = created.filter(|(record, score)| match self.held.get(record) {
            Some(held) if held.row != row => match held.by {
                Holder::Nobody => true,
                Holder::Person => false,
                // Those of two entries were merged.
                Holder::Created(theirs) => (*score, self.id(held.row)) > (theirs, Some(entry.id)),
                Holder::Score(theirs, _) => theirs < score.saturating_add(self.rules.margin),
            },
            _ => true,
        });
        let chooser = Chooser {
            id: entry.id,
            candidates: self.candidates.get(row).map_or(&[][..], Vec::as_slice),
            created,
        };
        let holder = |record: u32| match self.held.get(&record) {
            Some(held) if held.row != row => held.by,
            _ => Holder::Nobody,
        };
        let same = |a: u32, b: u32| self.same.contains(&(a.min(b), a.max(b)));
        let link = match choose(self.rules, chooser, holder, same) {
            Choice::Nothing => None,
            Choice::Created => created.map(|(record, score)| (record, How::Created, Some(score))),
            Choice::Record(record, score) => Some((record, How::Score, Some(score))),
        };
        let before = self.links.get(row).copied().flatten();
        if before == link {
            return Vec::new();
        }
        let mut affected = Vec::new();
        if let Some((record, ..)) = before
            && self.held.get(&record).is_some_and(|held| held.row == row)
        {
            self.held.remove(&record);
            affected.extend(self.wanted_by.get(&record).into_iter().flatten().copied());
        }
        if let Some((record, how, score)) = link {
            let score = score.unwrap_or_default();
            let by = match how {
                How::Created => Holder::Created(score),
                How::Score | How::Person => Holder::Score(score, entry.id),
            };
            if let Some(loser) = self.held.insert(record, Held { row, by }) {
                if let Some(link) = self.links.get_mut(loser.row) {
                    *link = None;
                }
                affected.push(loser.row);
            }
            // Whoever could not tell it from another can now.
            affected.extend(self.wanted_by.get(&record).into_iter().flatten().copied());
        }
        if let Some(slot) = self.links.get_mut(row) {
            *slot = link;
        }
        affected.retain(|row| {
            let entry = self.board.rows.get(*row);
            entry.is_some_and(Row::is_open)
        });
        affected
    }

    fn id(&self, row: usize) -> Option<EntryId> {
        self.board.rows.get(row).map(|entry| entry.id)
    }

    fn outcomes(self) -> Vec<Outcome> {
        let board = self.board;
        // None: the record is not there.
        let owner = |top: &[Scored], record: &RecordRef| {
            if let Some(there) = self.known.there.get(record) {
                return Some(there.owner.clone());
            }
            let mut top = top.iter().map(|(_, number)| *number);
            let number = top.find(|number| board.records.get(*number as usize) == Some(record))?;
            Some(board.owners.get(number).map(str::to_owned))
        };
        let all = board.rows.iter().zip(&self.links).zip(&board.tops);
        let decided = all.filter(|((entry, _), _)| !entry.late);
        decided
            .map(|((entry, link), top)| {
                let link = link.and_then(|(number, how, score)| {
                    let record = (*self.records.get(number as usize)?).clone();
                    let owner = owner(top, &record);
                    Some(Chosen {
                        there: owner.is_some(),
                        owner: owner.flatten(),
                        record,
                        how,
                        score,
                    })
                });
                let candidates = top.iter().filter_map(|(score, number)| {
                    let record = board.records.get(*number as usize)?;
                    Some((record.clone(), *score))
                });
                Outcome {
                    id: entry.id,
                    version: entry.version,
                    was: entry.linked.clone(),
                    link,
                    candidates: candidates.collect(),
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use matching::{Clean, Kind, Model, Record};

    use super::{Board, Draft, Known, Part};
    use crate::clock::Millis;
    use crate::domain::directory::{
        Entry, EntryKind, How, Link, Match, NewEntry, Origin, RecordRef,
    };

    fn person(first: &str, last: &str, email: &str) -> Record {
        Record {
            first_name: first.to_owned(),
            last_name: last.to_owned(),
            emails: vec![email.to_owned()],
            ..Record::default()
        }
    }

    fn entry(record: &Record) -> Entry {
        let contract = "acme".parse().unwrap();
        let (kind, record) = (EntryKind::Profile, record.clone());
        let new = NewEntry::new(&contract, kind, None, record, Origin::Api, None);
        Entry::added(&new.unwrap(), Millis(0))
    }

    fn part(records: &[(&str, &Record)]) -> Part {
        let mut part = Part::default();
        for (id, record) in records {
            let clean = Clean::new(Kind::Person, record, None);
            part.push(RecordRef::new("Lead", *id), None, clean);
        }
        part
    }

    #[test]
    fn what_was_made_of_an_entry_is_its_candidate_and_no_evidence() {
        let ada = person("Ada", "Byron", "ada@acme.com");
        let grace = person("Grace", "Hopper", "grace@navy.mil");
        let mut board = Board::new(Model::shipped(Kind::Person), None, &["Contact", "Lead"]);
        let created = Match {
            link: Some(Link {
                record: RecordRef::new("Lead", "1"),
                how: How::Created,
                score: 0,
                threshold: 0,
                since: Millis(0),
                owner: None,
                record_gone: false,
            }),
            ..Match::nothing(Millis(0))
        };
        board.add(&entry(&ada), Some(&created));
        board.add(&entry(&grace), None);
        assert_eq!((board.len(), board.telling()), (2, 1));
        // The lead of Ada's form; the contact that was made with it; somebody who is nobody's.
        let emmy = person("Emmy", "Noether", "emmy@uni.de");
        let alone = part(&[("1", &ada), ("2", &ada), ("3", &emmy)]);
        let of_ada = board.pairs(&alone);
        let learned_from =
            |pairs: &[(u32, u32)], of: u32| pairs.iter().any(|(entry, _)| *entry == of);
        let (pairs, records) = board.evidence(&alone, &of_ada);
        assert!(!learned_from(&pairs, 0));
        assert_eq!(records, (1, 2));
        board.meet(&alone, &of_ada);
        let other = part(&[("4", &grace)]);
        let of_grace = board.pairs(&other);
        let (pairs, records) = board.evidence(&other, &of_grace);
        assert!(learned_from(&pairs, 1) && !learned_from(&pairs, 0));
        assert_eq!(records, (1, 1));
        board.meet(&other, &of_grace);
        let found: Vec<usize> = board.tops.iter().map(Vec::len).collect();
        assert_eq!(found, [2, 1]);
    }
    #[test]
    fn what_came_or_changed_between_two_steps_is_left_out_of_the_decision() {
        let people = [
            person("Ada", "Byron", "ada@acme.com"),
            person("Grace", "Hopper", "grace@navy.mil"),
            person("Emmy", "Noether", "emmy@uni.de"),
        ];
        let [ada, grace, emmy] = people.each_ref().map(entry);
        let [of_ada, of_grace, of_emmy] = people.each_ref();
        let empty = || Board::new(Model::shipped(Kind::Person), None, &["Contact", "Lead"]);
        let mut first = empty();
        first.add(&ada, None);
        first.add(&grace, None);
        let records = part(&[("1", of_ada), ("2", of_grace), ("3", of_emmy)]);
        let pairs = first.pairs(&records);
        assert!(pairs.len() >= 2 && !pairs.is_empty());
        first.meet(&records, &pairs);
        // An entry without a candidate was compared too.
        let (alone, nothing) = (part(&[]), first.pairs(&part(&[])));
        first.meet(&alone, &nothing);
        let kept = |board: &Board| -> Vec<Draft> {
            let texts = board
                .drafts(1)
                .map(|draft| serde_json::to_string(&draft).unwrap());
            texts
                .map(|text| serde_json::from_str(&text).unwrap())
                .collect()
        };
        let drafts = kept(&first);
        assert_eq!(drafts.len(), 2);
        let mut then = empty();
        then.add(&ada, None);
        let changed = Entry {
            version: grace.version + 1,
            ..grace.clone()
        };
        then.add(&changed, None);
        then.add(&emmy, None);
        then.take_up(drafts);
        then.leave_out(1);
        let decided = then.decide(&Known::default());
        let [outcome] = decided.as_slice() else {
            panic!("{decided:?}");
        };
        assert_eq!(outcome.id, ada.id);
        let link = outcome.link.as_ref().unwrap();
        assert_eq!(link.record, RecordRef::new("Lead", "1"));
        // With more parts to come it is too early for all.
        then.leave_out(2);
        assert!(then.decide(&Known::default()).is_empty());
    }
}
