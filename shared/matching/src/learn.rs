//! Learns the frequencies of levels in each class of pairs: by expectation maximisation for undecided pairs,
//! and from the pairs that users confirmed and refused.
//!
//! Sums are of whole numbers, so the order of pairs does not matter.

use std::borrow::Cow;

use rayon::prelude::*;
use rustc_hash::FxHashSet;

use crate::compare::{self, FIELDS, Pattern, SHARED};
use crate::model::{Compiled, Model};
use crate::rarity::{Counts, Rarity};
use crate::{Bits, Clean, Kind};

/// Rounds of expectation maximisation.
const ROUNDS: usize = 7;
/// Number of rounds after which pairs are left out whose odds of a match are below one to 4,000.
const SETTLE: usize = 1;
const HOPELESS: Bits = -12_000;
/// Prior knowledge counts as much as so many pairs of each class,
const PRIOR: f64 = 200.0;
/// and as much as this share of the pairs of that class. Classes keep their meaning, however much evidence
/// there is, because only the difference from the usual is learned.
const ANCHOR_MATCHES: f64 = 1.0;
const ANCHOR_OTHERS: f64 = 1.0;
const ANCHOR_SHARES: f64 = 2.0;
/// Number of records of which half are assumed to be matched before any is examined.
const PRIOR_RECORDS: f64 = 2.0;
/// Maximum number of rounds in which the share of matches settles, once levels are learned.
const SETTLING: usize = 12;
/// Odds, in bits, from which on a pair is surely a match. Unsure pairs, which may be namesakes and
/// colleagues, count only in proportion to the sure ones: in a set without any match they are all wrong.
const SURE: Bits = 5_000;
const UNSURE_FOR_SURE: f64 = 0.35;
/// If fewer records have a match than this share, the weights of levels among matches are learned
/// correspondingly less: more and more pairs that look like matches are not.
const FEW_MATCHES: f64 = 0.4;
/// Scores slightly overstate chance agreement, which shows if there is much of it: the bar rises by so many
/// bits each time that the share of records with a match halves from this one.
const CAUTION: f64 = 2.0;
const COMMON_SHARE: f64 = 0.6;
const MOST_CAUTION: f64 = 5.0;
/// If the known model is sure of the matches of so large a share of the records, a model that believes in less
/// than this share of them has learned from what all records have in common, and is dropped.
const COLLAPSED: f64 = 0.5;
/// Number of matches below which the bar is never lower than it was.
const FEW_SURE: u64 = 50;

/// Evidence that a threshold may be lower than the known one: so many decided pairs between the two, with so
/// large a share of them confirmed.
const PROOF_PAIRS: usize = 20;
const PROOF_SHARE: f64 = 0.95;

/// Minimum number of pairs for learning.
const LEAST_PAIRS: usize = 30;
/// The value of one, in the integers that are summed.
const ONE: f64 = (1_u64 << 32) as f64;
/// Upper limit for rarity, in bits.
const RAREST: f64 = 14.0;

/// Weight of a pair that users decided, in undecided pairs.
const DECIDED: f64 = 5.0;

/// Evidence to learn from: undecided pairs, and pairs that users confirmed or refused.
///
/// A pair takes 24 bytes; the records themselves are not kept.
#[derive(Debug, Clone)]
pub struct Evidence {
    counts: Counts,
    pairs: Vec<Compared>,
    decided: Vec<(Pattern, bool)>,
    lefts: FxHashSet<u32>,
    rights: FxHashSet<u32>,
    alone: (usize, usize),
    whole: bool,
    made_left: FxHashSet<u32>,
    made_right: FxHashSet<u32>,
}

impl Evidence {
    /// Creates empty evidence.
    #[must_use]
    pub fn new() -> Self {
        Self {
            counts: Counts::default(),
            pairs: Vec::new(),
            decided: Vec::new(),
            lefts: FxHashSet::default(),
            rights: FxHashSet::default(),
            alone: (0, 0),
            whole: false,
            made_left: FxHashSet::default(),
            made_right: FxHashSet::default(),
        }
    }

    /// Counts a record's values: their rarity is part of the learned model.
    pub fn count(&mut self, record: &Clean) {
        record.count(&mut self.counts);
    }

    /// Adds an undecided pair, whose records are named by their numbers in the two sets: pairs of one record
    /// compete.
    pub fn observe(&mut self, model: &Model, (left, a): (u32, &Clean), (right, b): (u32, &Clean)) {
        self.pairs
            .push((left, right, compare::compare(a, b, &model.rarity)));
        self.lefts.insert(left);
        self.rights.insert(right);
    }

    /// Adds pairs that nobody decided, as numbers of records in two sets. Compares on all cores.
    pub(crate) fn observe_all(
        &mut self,
        model: &Model,
        (left, right): (&[Clean], &[Clean]),
        pairs: &[(u32, u32)],
    ) {
        let compared = pairs.par_iter().with_min_len(AT_ONCE).filter_map(|(l, r)| {
            let (a, b) = (left.get(*l as usize)?, right.get(*r as usize)?);
            Some((*l, *r, compare::compare(a, b, &model.rarity)))
        });
        self.pairs.par_extend(compared);
        self.lefts.extend(pairs.iter().map(|pair| pair.0));
        self.rights.extend(pairs.iter().map(|pair| pair.1));
    }

    /// The rarity of the values that were counted.
    pub(crate) fn rarity(&self) -> Rarity {
        self.counts.rarity()
    }

    /// Sets the number of records of each set, those that are in no pair included ([`alone`](Self::alone)). The
    /// pairs are then all that two whole sets have, so the threshold is the bar of [`Learned`], which may be lower
    /// than the known one.
    pub(crate) fn among(&mut self, records: (usize, usize)) {
        self.whole = true;
        self.alone.0 = records.0.saturating_sub(self.lefts.len());
        self.alone.1 = records.1.saturating_sub(self.rights.len());
    }

    /// Adds records of each set that are in no pair. They have no match, and so show how few records have
    /// one: without them a set in which few records have candidates looks fully matched.
    pub const fn alone(&mut self, lefts: usize, rights: usize) {
        self.alone.0 += lefts;
        self.alone.1 += rights;
    }

    /// Adds a pair that matches because one record was made from the other: an entry from its record, or a
    /// record from its entry. It shows neither how independently entered records match nor how many do, so no
    /// pair of either record counts.
    pub fn made(&mut self, left: u32, right: u32) {
        self.made_left.insert(left);
        self.made_right.insert(right);
    }

    /// Adds a pair that a user decided.
    pub fn decide(&mut self, model: &Model, a: &Clean, b: &Clean, is_match: bool) {
        self.decided
            .push((compare::compare(a, b, &model.rarity), is_match));
    }

    /// The number of pairs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pairs.len() + self.decided.len()
    }

    /// True if there are no pairs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Learns a model that fits the evidence, beginning with `known`.
    ///
    /// Returns `known` for fewer than thirty pairs, and if the learned model separates confirmed pairs from
    /// refused ones no better. The threshold is lower than that of `known` only if users confirmed the pairs
    /// in between, or if the pairs are those of two whole sets.
    #[must_use]
    pub fn learn(&self, known: &Model) -> Model {
        let pairs: Cow<'_, [Compared]> = if self.made_left.is_empty() {
            Cow::Borrowed(&self.pairs)
        } else {
            let apart = |pair: &&Compared| {
                !self.made_left.contains(&pair.0) && !self.made_right.contains(&pair.1)
            };
            Cow::Owned(self.pairs.iter().filter(apart).copied().collect())
        };
        let rest = |records: &FxHashSet<u32>, made: &FxHashSet<u32>, alone: usize| {
            records.difference(made).count() + alone
        };
        let records = (
            rest(&self.lefts, &self.made_left, self.alone.0),
            rest(&self.rights, &self.made_right, self.alone.1),
        );
        let mut model = self.fitted(known, &pairs, &self.decided, records);
        if model.version == known.version || !self.is_better(known, &pairs, records) {
            return known.clone();
        }
        if !self.counts.is_empty() {
            model.rarity = self.counts.rarity();
        }
        model
    }

    /// The model that fits some of the evidence.
    fn fitted(
        &self,
        known: &Model,
        pairs: &[Compared],
        decided: &[(Pattern, bool)],
        records: (usize, usize),
    ) -> Model {
        let Learned { mut model, bar } = learn(known, pairs, decided, records);
        if self.whole {
            model.threshold = bar;
        }
        model
    }

    /// True if a model learned from one half of the decided pairs predicts the other half at least as well as
    /// the known model, taken both ways.
    fn is_better(&self, known: &Model, pairs: &[Compared], records: (usize, usize)) -> bool {
        if self.decided.len() < LEAST_DECIDED {
            return true;
        }
        // Sorted by content, not by time of decision; equal pairs fall into both halves.
        let mut decided = self.decided.clone();
        decided.sort_unstable();
        let half = |which: usize| -> Vec<(Pattern, bool)> {
            let of_half = decided.iter().enumerate().filter(|(at, _)| at % 2 == which);
            of_half.map(|(_, pair)| *pair).collect()
        };
        let halves = [half(0), half(1)];
        let [one, other] = &halves;
        let (mut before, mut after) = (0.0, 0.0);
        for (taught, asked) in [(one, other), (other, one)] {
            let learned = self.fitted(known, pairs, taught, records);
            before += surprise(known, asked);
            after += surprise(&learned, asked);
        }
        after <= before
    }
}

/// Minimum number of decided pairs for comparing two models.
const LEAST_DECIDED: usize = 10;

/// The distance between a model's scores and the users' decisions: the logarithmic loss, in bits.
fn surprise(model: &Model, decided: &[(Pattern, bool)]) -> f64 {
    decided
        .iter()
        .map(|(pattern, is_match)| {
            let odds = f64::from(model.score_of(pattern) - model.threshold) / 1000.0;
            let against = if *is_match { -odds } else { odds };
            (1.0 + against.clamp(-40.0, 40.0).exp2()).log2()
        })
        .sum()
}

impl Default for Evidence {
    fn default() -> Self {
        Self::new()
    }
}

/// A pair of records by their numbers, with its pattern.
pub(crate) type Compared = (u32, u32, Pattern);

/// Sums of a round, for each class.
#[derive(Clone)]
struct Sums {
    classes: Vec<ClassSums>,
}

#[derive(Clone)]
struct ClassSums {
    pairs: u64,
    levels: [Vec<u64>; FIELDS],
    rarity: [u64; SHARED],
    rare: [u64; SHARED],
}

impl Sums {
    fn new(kind: Kind, classes: usize) -> Self {
        let class = ClassSums {
            pairs: 0,
            levels: compare::level_counts(kind).map(|levels| vec![0; levels]),
            rarity: [0; SHARED],
            rare: [0; SHARED],
        };
        Self {
            classes: vec![class; classes],
        }
    }

    /// Adds a pair with a weight; `matched` is the probability that it is a match.
    fn spread(&mut self, model: &Compiled, pattern: &Pattern, matched: f64, count: f64) {
        let odds = model.spread(pattern).into_iter().zip(model.matches());
        for (sums, (odds, is_match)) in self.classes.iter_mut().zip(odds) {
            let share = if *is_match { matched } else { 1.0 - matched };
            if odds > 0.0 && share >= 1e-5 {
                sums.add(pattern, count * share * odds);
            }
        }
    }

    fn merge(mut self, other: &Self) -> Self {
        fn add(mine: &mut [u64], theirs: &[u64]) {
            mine.iter_mut()
                .zip(theirs)
                .for_each(|(mine, theirs)| *mine += theirs);
        }
        for (mine, theirs) in self.classes.iter_mut().zip(&other.classes) {
            mine.pairs += theirs.pairs;
            for (mine, theirs) in mine.levels.iter_mut().zip(&theirs.levels) {
                add(mine, theirs);
            }
            add(&mut mine.rarity, &theirs.rarity);
            add(&mut mine.rare, &theirs.rare);
        }
        self
    }
}

impl ClassSums {
    fn add(&mut self, pattern: &Pattern, share: f64) {
        let share = (share * ONE) as u64;
        self.pairs += share;
        for (level, sums) in pattern.levels.iter().zip(&mut self.levels) {
            if let Some(sum) = sums.get_mut(usize::from(*level)) {
                *sum += share;
            }
        }
        for ((rarity, sum), of) in pattern
            .shared
            .iter()
            .zip(&mut self.rarity)
            .zip(&mut self.rare)
        {
            if *rarity > 0 {
                *sum += u64::from(*rarity) * (share >> 16);
                *of += share >> 16;
            }
        }
    }
}

/// Number of pairs that a core processes at a time.
const AT_ONCE: usize = 8192;
/// Rounds of belief propagation between records and their candidates.
pub(crate) const TALKS: usize = 4;
/// The same while learning, for which fewer rounds are enough.
const TALKS_LEARNING: usize = 2;

/// The score of each pair beside its rivals, when each record has at most one match: the logarithm of the
/// odds that the pair is a match.
///
/// Belief propagation on the pairs: the degree to which a record is free for one partner depends on the
/// scores of its other pairs, and on how free those partners are.
pub(crate) fn rank(
    pairs: &[Compared],
    scores: &[Bits],
    threshold: Bits,
    talks: usize,
) -> Vec<Bits> {
    const FREE: u128 = 1 << 20;
    let most = |of: fn(&Compared) -> u32| {
        pairs
            .iter()
            .map(of)
            .max()
            .map_or(0, |most| most as usize + 1)
    };
    let (lefts, rights) = (most(|pair| pair.0), most(|pair| pair.1));
    // Sums are integers, so the order of addition does not matter.
    let ratios: Vec<u128> = scores
        .par_iter()
        .with_min_len(AT_ONCE)
        .map(|score| ratio(*score, threshold))
        .collect();
    // The degree to which the right record is free for the left one, and the other way round.
    let mut for_left = vec![1.0_f64; pairs.len()];
    let mut for_right = vec![1.0_f64; pairs.len()];
    let worth = |ratio: u128, free: f64| (ratio as f64 * free) as u128;
    let sums = |records: usize, of: fn(&Compared) -> u32, free: &[f64]| {
        let mut sums = vec![FREE; records];
        for ((pair, ratio), free) in pairs.iter().zip(&ratios).zip(free) {
            if let Some(sum) = sums.get_mut(of(pair) as usize) {
                *sum += worth(*ratio, *free);
            }
        }
        sums
    };
    for _ in 0..talks {
        let (of_left, of_right) = rayon::join(
            || sums(lefts, |pair| pair.0, &for_left),
            || sums(rights, |pair| pair.1, &for_right),
        );
        // Both at once: the order of the sets must not matter.
        for_left
            .par_iter_mut()
            .zip(&mut for_right)
            .zip(pairs.par_iter().zip(&ratios))
            .with_min_len(AT_ONCE)
            .for_each(|((left, right), (pair, ratio))| {
                let sum = |of: &[u128], at: u32| of.get(at as usize).copied().unwrap_or(FREE);
                let left_is_free =
                    FREE as f64 / (sum(&of_left, pair.0) - worth(*ratio, *left)) as f64;
                let right_is_free =
                    FREE as f64 / (sum(&of_right, pair.1) - worth(*ratio, *right)) as f64;
                (*left, *right) = (right_is_free, left_is_free);
            });
    }
    scores
        .par_iter()
        .zip(for_left.par_iter().zip(&for_right))
        .with_min_len(AT_ONCE)
        .map(|(score, (left, right))| {
            let free = ((left * right).log2() * 1000.0).round() as Bits;
            score.saturating_sub(threshold) + free
        })
        .collect()
}

/// The likelihood ratio of a score above a threshold, in units of 2^-20, at most 2^80: two pairs that are
/// both far above it are still rivals.
fn ratio(score: Bits, threshold: Bits) -> u128 {
    let bits = f64::from(score.saturating_sub(threshold)) / 1000.0;
    (bits.clamp(-20.0, 60.0).exp2() * f64::from(1 << 20)) as u128
}

pub(crate) fn scores(model: &Model, pairs: &[Compared]) -> Vec<Bits> {
    let model = Compiled::new(model);
    pairs
        .par_iter()
        .with_min_len(AT_ONCE)
        .map(|pair| model.score(&pair.2))
        .collect()
}

/// The result of learning.
pub(crate) struct Learned {
    pub(crate) model: Model,
    /// Minimum score of a match between two whole sets, in which each record has at most one match and all
    /// its rivals are known. A record that comes alone has to reach the model's threshold.
    pub(crate) bar: Bits,
}

/// Learns a model that fits the pairs, beginning with a known one.
pub(crate) fn learn(
    known: &Model,
    pairs: &[Compared],
    decided: &[(Pattern, bool)],
    records: (usize, usize),
) -> Learned {
    let nothing = || Learned {
        model: known.clone(),
        bar: known.threshold,
    };
    if pairs.len() + decided.len() < LEAST_PAIRS {
        return nothing();
    }
    let mut model = known.clone();
    let fewest = records.0.min(records.1).max(1) as f64;
    let candidates = (pairs.len() as f64 / fewest).max(1.0);
    let threshold = |share: f64| -> Bits {
        let odds = (1.0 - share) / share * candidates;
        (odds.log2() * 1000.0).round() as Bits
    };
    // At most one of a record's candidates is a match.
    let share_of = |matched: f64| {
        let share = (matched + PRIOR_RECORDS * 0.5) / (fewest + PRIOR_RECORDS);
        share.clamp(1e-6, 0.98)
    };
    // Assumes that every second record has a match, until the share is known.
    model.threshold = threshold(0.5);
    let mut share = 0.5;
    let mut at_first = 0.0;
    // Hopeless pairs are examined twice, and then counted with their last result.
    let mut settled = Sums::new(model.kind, model.classes.len());
    let mut open: Cow<'_, [Compared]> = Cow::Borrowed(pairs);
    for round in 0..ROUNDS {
        let scores = scores(&model, &open);
        let ranks = rank(&open, &scores, model.threshold, TALKS_LEARNING);
        let odds = |at: usize| ranks.get(at).copied().unwrap_or_default();
        let matched = |at: usize| probability(odds(at));
        if round == SETTLE {
            let hopeless = |at: usize| odds(at) < HOPELESS;
            settled = sum(&model, &open, &|at| hopeless(at).then_some(0.0));
            let rest = open.iter().enumerate().filter(|(at, _)| !hopeless(*at));
            open = Cow::Owned(rest.map(|(_, pair)| *pair).collect());
            continue;
        }
        let mut sums = sum(&model, &open, &|at| Some(matched(at))).merge(&settled);
        let compiled = Compiled::new(&model);
        for (pattern, is_match) in decided {
            sums.spread(&compiled, pattern, f64::from(u8::from(*is_match)), DECIDED);
        }
        let matched = believed(&ranks);
        if round == 0 {
            at_first = matched;
        }
        share = share_of(matched);
        fit(&mut model, known, &sums, (share / FEW_MATCHES).min(1.0));
        model.threshold = threshold(share);
    }
    // The fewer matches there are, the longer it takes to settle.
    let scores = scores(&model, &open);
    for _ in 0..SETTLING {
        let ranks = rank(&open, &scores, model.threshold, TALKS_LEARNING);
        let matched = believed(&ranks);
        share = share_of(matched);
        model.matches = matched.round() as u64;
        let next = threshold(share);
        if (next - model.threshold).abs() < 50 {
            break;
        }
        model.threshold = next;
    }
    if at_first >= fewest * COLLAPSED && (model.matches as f64) < at_first * COLLAPSED {
        return nothing();
    }
    let chance = model.threshold;
    let mut bar = chance + caution(share);
    if model.matches < FEW_SURE {
        bar = bar.max(known.threshold);
    }
    model.threshold = bar.max(known.threshold);
    if let Some(proven) = proven(&model, decided) {
        // As low as chance allows, if users confirmed the pairs in between.
        model.threshold = model.threshold.min(proven.max(bar));
    }
    model.pairs = pairs.len() as u64;
    model.version = known.version + 1;
    Learned { model, bar }
}

/// The amount by which a match has to be likelier than chance if few records have one.
fn caution(share: f64) -> Bits {
    let bits = CAUTION * (COMMON_SHARE / share).log2();
    (bits.clamp(0.0, MOST_CAUTION) * 1000.0).round() as Bits
}

fn probability(odds: Bits) -> f64 {
    1.0 / (1.0 + (-f64::from(odds) / 1000.0).exp2())
}

/// The expected number of matches, from the scores of pairs beside their rivals.
fn believed(ranks: &[Bits]) -> f64 {
    // Integers: the order of pairs does not matter.
    let (mut sure, mut unsure) = (0_u64, 0_u64);
    for rank in ranks {
        let matched = (probability(*rank) * ONE) as u64;
        if *rank >= SURE {
            sure += matched;
        } else {
            unsure += matched;
        }
    }
    let (sure, unsure) = (sure as f64 / ONE, unsure as f64 / ONE);
    sure + unsure.min(sure * UNSURE_FOR_SURE)
}

/// The lowest score from which on users confirmed the pairs below the threshold.
fn proven(model: &Model, decided: &[(Pattern, bool)]) -> Option<Bits> {
    let mut below: Vec<(Bits, bool)> = decided
        .iter()
        .map(|(pattern, is_match)| (model.score_of(pattern), *is_match))
        .filter(|(score, _)| *score < model.threshold)
        .collect();
    below.sort_unstable_by_key(|(score, is_match)| (std::cmp::Reverse(*score), *is_match));
    let (mut proven, mut confirmed) = (None, 0_usize);
    for (at, (score, is_match)) in below.iter().enumerate() {
        confirmed += usize::from(*is_match);
        let pairs = at + 1;
        if pairs >= PROOF_PAIRS && confirmed as f64 >= PROOF_SHARE * pairs as f64 {
            proven = Some(*score);
        }
    }
    proven
}

/// Number of pairs that are summed together.
const CHUNK: usize = 16_384;

/// Sums pairs by class; `matched` is the probability that a pair (by its position) is a match, `None` for a
/// pair that does not count.
fn sum(model: &Model, pairs: &[Compared], matched: &(dyn Fn(usize) -> Option<f64> + Sync)) -> Sums {
    let compiled = Compiled::new(model);
    let parts: Vec<Sums> = pairs
        .par_chunks(CHUNK)
        .enumerate()
        .map(|(chunk, pairs)| {
            let mut sums = Sums::new(model.kind, model.classes.len());
            for (at, pair) in pairs.iter().enumerate() {
                if let Some(share) = matched(chunk * CHUNK + at) {
                    sums.spread(&compiled, &pair.2, share, 1.0);
                }
            }
            sums
        })
        .collect();
    parts
        .iter()
        .fold(Sums::new(model.kind, model.classes.len()), Sums::merge)
}

/// Fits the frequencies of levels. `trust`, up to 1, is the degree of confidence in supposed matches.
fn fit(model: &mut Model, known: &Model, sums: &Sums, trust: f64) {
    let of = |is_match: bool| -> f64 {
        let classes = known.classes.iter().zip(&sums.classes);
        classes
            .filter(|(class, _)| class.is_match == is_match)
            .map(|(_, sums)| sums.pairs as f64 / ONE)
            .sum()
    };
    let (matches, others) = (of(true), of(false));
    for ((class, prior), sums) in model
        .classes
        .iter_mut()
        .zip(&known.classes)
        .zip(&sums.classes)
    {
        let pairs = sums.pairs as f64 / ONE;
        let count = if class.is_match { matches } else { others };
        let doubt = if class.is_match { 1.0 / trust } else { 1.0 };
        let weight = PRIOR + ANCHOR_SHARES * doubt * count;
        class.share = log((pairs + weight * frequency(prior.share)) / (count + weight));
        for ((levels, prior), sums) in class.levels.iter_mut().zip(&prior.levels).zip(&sums.levels)
        {
            // Unknown values count neither way.
            let known: f64 = sums.iter().skip(1).sum::<u64>() as f64 / ONE;
            let weight = PRIOR
                + if class.is_match {
                    ANCHOR_MATCHES * doubt
                } else {
                    ANCHOR_OTHERS
                } * known;
            for ((level, prior), sum) in levels.iter_mut().zip(prior).zip(sums).skip(1) {
                *level = log((*sum as f64 / ONE + weight * frequency(*prior)) / (known + weight));
            }
        }
        for (((usual, prior), sum), of) in class
            .usual
            .iter_mut()
            .zip(&prior.usual)
            .zip(sums.rarity)
            .zip(sums.rare)
        {
            let (sum, of) = (sum as f64 / 65536.0, of as f64 / 65536.0);
            *usual = ((sum + 20.0 * f64::from(*prior)) / (of + 20.0))
                .round()
                .clamp(1.0, 200.0) as u8;
        }
    }
}

pub(crate) fn log(frequency: f64) -> Bits {
    (frequency.log2().clamp(-RAREST, 0.0) * 1000.0).round() as Bits
}

fn frequency(log: Bits) -> f64 {
    (f64::from(log) / 1000.0).exp2()
}

#[cfg(test)]
mod tests {
    use super::Evidence;
    use crate::model::Model;
    use crate::{Clean, Kind, Record};

    fn person(first: &str, last: &str, company: &str, phone: &str) -> Clean {
        let record = Record {
            first_name: first.to_owned(),
            last_name: last.to_owned(),
            company: company.to_owned(),
            phones: vec![phone.to_owned()],
            ..Record::default()
        };
        Clean::new(Kind::Person, &record, Some("US"))
    }

    /// A person at a new company with another number: either a match or a namesake.
    fn moved(number: u32) -> (Clean, Clean) {
        let last = format!("Lovelace{}", ["a", "b", "c", "d", "e"][number as usize % 5]);
        let phone = |at: u32| format!("+1512{:07}", 1_000_000 + at * 7919);
        (
            person("Ada", &last, "Analytical Engines", &phone(number)),
            person("Ada", &last, "Globex", &phone(number + 500)),
        )
    }

    #[test]
    fn what_people_confirm_scores_more_and_what_they_refuse_less() {
        let known = Model::shipped(Kind::Person);
        let learned = |is_match: bool| {
            let mut evidence = Evidence::new();
            for number in 0..60 {
                let (a, b) = moved(number);
                evidence.decide(&known, &a, &b, is_match);
            }
            evidence.learn(&known)
        };
        let (a, b) = moved(77);
        let (confirmed, before, refused) = (
            learned(true),
            known.score(&a, &b),
            learned(false).score(&a, &b),
        );
        assert!(
            confirmed.score(&a, &b) > before + 500,
            "{} {before}",
            confirmed.score(&a, &b)
        );
        assert!(refused < before - 500, "{refused} {before}");
        assert_eq!(confirmed.version, known.version + 1);
    }

    #[test]
    fn little_teaches_nothing() {
        let known = Model::shipped(Kind::Person);
        let mut evidence = Evidence::new();
        for number in 0..5 {
            let (a, b) = moved(number);
            evidence.count(&a);
            evidence.observe(&known, (number, &a), (number, &b));
            evidence.decide(&known, &a, &b, true);
        }
        assert_eq!((evidence.len(), evidence.is_empty()), (10, false));
        assert_eq!(evidence.learn(&known), known);
    }

    #[test]
    fn what_is_learned_does_not_depend_on_the_order() {
        let known = Model::shipped(Kind::Person);
        let learned = |order: &mut dyn Iterator<Item = u32>| {
            let mut evidence = Evidence::new();
            for number in order {
                let (a, b) = moved(number);
                evidence.count(&a);
                evidence.count(&b);
                evidence.observe(&known, (number, &a), (number, &b));
                evidence.observe(&known, (number, &a), (number / 2, &b));
                // Fewer decisions than a new model has to be better at.
                if number % 10 == 0 {
                    evidence.decide(&known, &a, &b, number % 20 == 0);
                }
            }
            evidence.learn(&known)
        };
        let straight = learned(&mut (0..90));
        assert_eq!(straight, learned(&mut (0..90).rev()));
        assert_ne!(straight, known);
        // A name that everybody has is weaker evidence than before.
        let (a, b) = moved(3);
        let name = |model: &Model| model.explain(&a, &b).fields[0].weight;
        assert!(name(&straight) < name(&known));
    }

    #[test]
    fn what_was_made_from_each_other_says_nothing_of_how_many_match() {
        let known = Model::shipped(Kind::Person);
        let mut evidence = Evidence::new();
        let mut matched = Evidence::new();
        for number in 0..540 {
            let (a, _) = moved(number);
            evidence.count(&a);
            evidence.observe(&known, (number, &a), (number, &a));
            evidence.made(number, number);
            matched.observe(&known, (number, &a), (number, &a));
        }
        assert_eq!(
            evidence.learn(&known),
            known,
            "nothing is left to learn from"
        );
        let learned = matched.learn(&known);
        assert!(
            learned.threshold >= known.threshold,
            "{}",
            learned.threshold
        );
    }

    #[test]
    fn records_without_candidates_raise_the_threshold() {
        let known = Model::shipped(Kind::Person);
        let learned = |alone: usize| {
            let mut evidence = Evidence::new();
            for number in 0..120 {
                let (a, b) = moved(number);
                let other = if number % 2 == 0 { &a } else { &b };
                evidence.observe(&known, (number, &a), (number, other));
            }
            evidence.alone(alone, alone);
            evidence.learn(&known).threshold
        };
        assert!(learned(0) >= known.threshold);
        assert!(
            learned(100_000) > learned(0) + 3_000,
            "{} {}",
            learned(100_000),
            learned(0)
        );
    }

    #[test]
    fn only_confirmed_pairs_lower_the_threshold() {
        let known = Model {
            threshold: 60_000,
            ..Model::shipped(Kind::Person)
        };
        let learned = |confirmed: bool| {
            let mut evidence = Evidence::new();
            for number in 0..120 {
                let (a, _) = moved(number);
                evidence.observe(&known, (number, &a), (number, &a));
                if confirmed {
                    evidence.decide(&known, &a, &a, true);
                }
            }
            evidence.learn(&known).threshold
        };
        assert_eq!(learned(false), known.threshold);
        assert!(learned(true) < known.threshold);
    }

    #[test]
    fn two_whole_sets_lower_the_threshold_unless_few_of_their_records_match() {
        let known = Model {
            threshold: 60_000,
            ..Model::shipped(Kind::Person)
        };
        let learned = |matches: u32| {
            let mut evidence = Evidence::new();
            for number in 0..matches {
                let (a, _) = moved(number);
                evidence.observe(&known, (number, &a), (number, &a));
            }
            evidence.among((matches as usize, matches as usize));
            let learned = evidence.learn(&known);
            assert_eq!(learned.version, known.version + 1);
            learned.threshold
        };
        assert!(learned(120) < known.threshold);
        assert_eq!(learned(40), known.threshold);
    }
}
