//! Learns how often levels are seen in each class of pairs: by expectation maximisation where nobody
//! has said which are matches, and from what people confirmed and refused.
//!
//! Sums are of whole numbers, so the order of pairs does not matter.

use std::borrow::Cow;

use rayon::prelude::*;
use rustc_hash::FxHashSet;

use crate::compare::{self, FIELDS, Pattern, SHARED};
use crate::model::{Compiled, Model};
use crate::rarity::Counts;
use crate::{Bits, Clean, Kind};

/// Rounds of expectation maximisation.
const ROUNDS: usize = 7;
/// After so many rounds pairs are left out that are matches with odds of less than one to 4,000.
const SETTLE: usize = 1;
const HOPELESS: Bits = -12_000;
/// What is known before counts as much as so many pairs of each class,
const PRIOR: f64 = 200.0;
/// and as much as this share of the pairs that are of the class: classes keep their meaning, however
/// much there is to learn from, because what is learned is where they differ from what is usual.
const ANCHOR_MATCHES: f64 = 1.0;
const ANCHOR_OTHERS: f64 = 1.0;
const ANCHOR_SHARES: f64 = 2.0;
/// So many records are taken to be matched by half before any is looked at.
const PRIOR_RECORDS: f64 = 25.0;

/// Fewer pairs teach nothing.
const LEAST_PAIRS: usize = 30;
/// One, in the whole numbers that are summed.
const ONE: f64 = (1_u64 << 32) as f64;
/// Nothing is taken to be rarer than this, in bits.
const RAREST: f64 = 14.0;

/// What a pair that people decided counts, in pairs that nobody did.
const DECIDED: f64 = 5.0;

/// What there is to learn from: pairs that nobody decided, and pairs that people confirmed or refused.
///
/// A pair takes 24 bytes; the records themselves are not kept.
#[derive(Debug, Clone)]
pub struct Evidence {
    counts: Counts,
    pairs: Vec<Compared>,
    decided: Vec<(Pattern, bool)>,
    lefts: FxHashSet<u32>,
    rights: FxHashSet<u32>,
}

impl Evidence {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            counts: Counts::default(),
            pairs: Vec::new(),
            decided: Vec::new(),
            lefts: FxHashSet::default(),
            rights: FxHashSet::default(),
        }
    }

    /// Counts a record's values: how rare they are is part of what is learned.
    pub fn count(&mut self, record: &Clean) {
        record.count(&mut self.counts);
    }

    /// A pair that nobody decided, of records by their numbers in the two sets: pairs of one record
    /// compete.
    pub fn observe(&mut self, model: &Model, (left, a): (u32, &Clean), (right, b): (u32, &Clean)) {
        self.pairs
            .push((left, right, compare::compare(a, b, &model.rarity)));
        self.lefts.insert(left);
        self.rights.insert(right);
    }

    /// A pair that a person decided.
    pub fn decide(&mut self, model: &Model, a: &Clean, b: &Clean, is_match: bool) {
        self.decided
            .push((compare::compare(a, b, &model.rarity), is_match));
    }

    /// How many pairs there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pairs.len() + self.decided.len()
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A model that fits the evidence, beginning with `known`. With less than thirty pairs it is that.
    #[must_use]
    pub fn learn(&self, known: &Model) -> Model {
        let mut model = learn(
            known,
            &self.pairs,
            &self.decided,
            (self.lefts.len(), self.rights.len()),
        );
        if model.version != known.version && !self.counts.is_empty() {
            model.rarity = self.counts.rarity();
        }
        model
    }
}

impl Default for Evidence {
    fn default() -> Self {
        Self::new()
    }
}

/// A pair of records by their numbers, and how they compare.
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

    /// Counts a pair as so many; `matched` is the probability that it is a match.
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

/// Pairs that a core works on at a time.
const AT_ONCE: usize = 8192;
/// Rounds in which records make out who is still free for whom.
pub(crate) const TALKS: usize = 4;
/// The same while learning, where a little less is as good.
const TALKS_LEARNING: usize = 2;

/// What a pair is worth beside its rivals, when each record has at most one match: the logarithm of
/// the odds that the pair is a match.
///
/// Belief propagation on the pairs: how free a record is for one partner depends on what its others are
/// worth to it, and on how free they are.
pub(crate) fn rank(
    pairs: &[Compared],
    scores: &[Bits],
    threshold: Bits,
    talks: usize,
) -> Vec<Bits> {
    const FREE: u64 = 1 << 20;
    let most = |of: fn(&Compared) -> u32| {
        pairs
            .iter()
            .map(of)
            .max()
            .map_or(0, |most| most as usize + 1)
    };
    let (lefts, rights) = (most(|pair| pair.0), most(|pair| pair.1));
    // Sums are of whole numbers: it does not matter which core adds first.
    let ratios: Vec<u64> = scores
        .par_iter()
        .with_min_len(AT_ONCE)
        .map(|score| ratio(*score, threshold))
        .collect();
    // How free the right record is for the left one, and the other way round.
    let mut for_left = vec![1.0_f64; pairs.len()];
    let mut for_right = vec![1.0_f64; pairs.len()];
    let worth = |ratio: u64, free: f64| (ratio as f64 * free) as u64;
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
        // Both at once: it must not matter which set is the first.
        for_left
            .par_iter_mut()
            .zip(&mut for_right)
            .zip(pairs.par_iter().zip(&ratios))
            .with_min_len(AT_ONCE)
            .for_each(|((left, right), (pair, ratio))| {
                let sum = |of: &[u64], at: u32| of.get(at as usize).copied().unwrap_or(FREE);
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

/// The likelihood ratio of a score above a threshold, in 2^-20ths, at most 2^40.
fn ratio(score: Bits, threshold: Bits) -> u64 {
    let bits = f64::from(score.saturating_sub(threshold)) / 1000.0;
    (bits.clamp(-20.0, 20.0).exp2() * f64::from(1 << 20)) as u64
}

pub(crate) fn scores(model: &Model, pairs: &[Compared]) -> Vec<Bits> {
    let model = Compiled::new(model);
    pairs
        .par_iter()
        .with_min_len(AT_ONCE)
        .map(|pair| model.score(&pair.2))
        .collect()
}

/// A model that fits the pairs, beginning with one that is known.
pub(crate) fn learn(
    known: &Model,
    pairs: &[Compared],
    decided: &[(Pattern, bool)],
    records: (usize, usize),
) -> Model {
    if pairs.len() + decided.len() < LEAST_PAIRS {
        return known.clone();
    }
    let mut model = known.clone();
    let fewest = records.0.min(records.1).max(1) as f64;
    let candidates = (pairs.len() as f64 / fewest).max(1.0);
    // As if every second record had a match, until that is known.
    model.threshold = (candidates.log2() * 1000.0).round() as Bits;
    // What is hopeless is looked at twice, and then counted as it was.
    let mut settled = Sums::new(model.kind, model.classes.len());
    let mut open: Cow<'_, [Compared]> = Cow::Borrowed(pairs);
    for round in 0..ROUNDS {
        let scores = scores(&model, &open);
        let ranks = rank(&open, &scores, model.threshold, TALKS_LEARNING);
        let odds = |at: usize| ranks.get(at).copied().unwrap_or_default();
        let matched = |at: usize| 1.0 / (1.0 + (-f64::from(odds(at)) / 1000.0).exp2());
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
        fit(&mut model, known, &sums);
        let matched: f64 = model
            .classes
            .iter()
            .zip(&sums.classes)
            .filter(|(class, _)| class.is_match)
            .map(|(_, sums)| sums.pairs as f64 / ONE)
            .sum();
        // Of so many candidates of a record at most one is a match.
        let share = ((matched + PRIOR_RECORDS * 0.5) / (fewest + PRIOR_RECORDS)).clamp(0.02, 0.98);
        model.threshold = (((1.0 - share) / share * candidates).log2() * 1000.0).round() as Bits;
        model.matches = matched.round() as u64;
    }
    model.pairs = pairs.len() as u64;
    model.version = known.version + 1;
    model
}

/// Pairs that are summed in one go.
const CHUNK: usize = 16_384;

/// Sums pairs by class; `matched` is the probability that a pair (by its place) is a match, none for a
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

fn fit(model: &mut Model, known: &Model, sums: &Sums) {
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
        let weight = PRIOR + ANCHOR_SHARES * count;
        class.share = log((pairs + weight * frequency(prior.share)) / (count + weight));
        for ((levels, prior), sums) in class.levels.iter_mut().zip(&prior.levels).zip(&sums.levels)
        {
            // What is not known says nothing.
            let known: f64 = sums.iter().skip(1).sum::<u64>() as f64 / ONE;
            let weight = PRIOR
                + if class.is_match {
                    ANCHOR_MATCHES
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

    /// Somebody at a new company with another number: a match or a namesake, who knows.
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
                evidence.decide(&known, &a, &b, number % 3 == 0);
            }
            evidence.learn(&known)
        };
        let straight = learned(&mut (0..90));
        assert_eq!(straight, learned(&mut (0..90).rev()));
        assert_ne!(straight, known);
        // What everybody is called says less than it did.
        let (a, b) = moved(3);
        let name = |model: &Model| model.explain(&a, &b).fields[0].weight;
        assert!(name(&straight) < name(&known));
    }
}
