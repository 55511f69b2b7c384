//! Linking of two sets of records, in memory, on all cores.

use std::time::{Duration, Instant};

use rayon::prelude::*;
use rustc_hash::FxHashSet;

use crate::assign::{self, Link};
pub use crate::block::CutBlock;
use crate::clean::Clean;
use crate::learn::{self, Evidence};
use crate::model::{Compiled, Model};
use crate::rarity::Counts;
use crate::{Bits, Kind, Record, block, compare};

/// Maximum number of left-over records that are examined again.
const MOST_LEFT_OVER: usize = 30_000;

/// Number of pairs by which records are fetched ahead: the next ones lie anywhere in memory, and fetching one
/// while another is compared hides most of the wait.
const AHEAD: usize = 4;

/// Assumed share of the matches that the fine keys miss.
const MISSING: f64 = 0.01;

/// Options for linking.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The model to begin with; the shipped one if none.
    pub model: Option<Model>,
    /// True to use the model as it is, and learn nothing.
    pub fixed: bool,
}

/// The result of linking two sets.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Every pair that was compared, with its score; by left, then right.
    pub pairs: Vec<Link>,
    /// The same pairs with their scores beside their rivals.
    pub ranked: Vec<Link>,
    /// One-to-one, at the model's own threshold.
    pub links: Vec<Link>,
    /// Pairs that were not linked because another pair of one of their records is as good.
    pub ambiguous: Vec<Link>,
    /// Pairs that only coarse keys found and whose scores are too low for that: many other pairs have as much
    /// in common. Ordered by left, then right.
    pub doubtful: Vec<(u32, u32)>,
    /// Number of pairs that were compared.
    pub candidates: u64,
    /// Keys that too many records share.
    pub cut: Vec<CutBlock>,
    /// The model that decided.
    pub model: Model,
    /// Minimum score at which a pair without rivals was linked. With all records known it may be lower than
    /// the threshold of `model`, which is for records that come alone.
    pub bar: Bits,
    /// Duration of each stage.
    pub stages: Vec<(&'static str, Duration)>,
}

/// Converts rows to normal form as they arrive, so that no set of records has to be held in its original
/// form. `record` reads a row, on any idle core.
pub fn clean<R: Send + Sync>(
    kind: Kind,
    rows: impl IntoIterator<Item = R>,
    record: impl Fn(&R) -> Record + Sync,
    region: Option<&str>,
) -> Vec<Clean> {
    const BATCH: usize = 8192;
    let mut rows = rows.into_iter();
    let mut cleaned = Vec::with_capacity(rows.size_hint().0);
    let mut batch: Vec<R> = Vec::with_capacity(BATCH);
    loop {
        batch.clear();
        batch.extend(rows.by_ref().take(BATCH));
        if batch.is_empty() {
            return cleaned;
        }
        let batch = batch.par_iter().with_min_len(256);
        cleaned.par_extend(batch.map(|row| Clean::new(kind, &record(row), region)));
    }
}

/// Links two sets: cleans, learns, compares, decides.
#[must_use]
pub fn link(
    kind: Kind,
    left: &[Record],
    right: &[Record],
    region: Option<&str>,
    options: &Options,
) -> Outcome {
    let since = Instant::now();
    let clean = |records: &[Record]| -> Vec<Clean> {
        records
            .par_iter()
            .with_min_len(512)
            .map(|record| Clean::new(kind, record, region))
            .collect()
    };
    let (left, right) = (clean(left), clean(right));
    let cleaned = since.elapsed();
    let mut outcome = link_clean(kind, &left, &right, options);
    outcome.stages.insert(0, ("clean", cleaned));
    outcome
}

/// Links two sets in normal form.
#[must_use]
pub fn link_clean(kind: Kind, left: &[Clean], right: &[Clean], options: &Options) -> Outcome {
    let mut stages = Vec::new();
    let mut since = Instant::now();
    let mut stage = |name, since: &mut Instant| {
        stages.push((name, since.elapsed()));
        *since = Instant::now();
    };
    let mut model = options
        .model
        .clone()
        .unwrap_or_else(|| Model::shipped(kind));
    if !options.fixed {
        let count = |records: &[Clean]| {
            let mut counts = Counts::default();
            for record in records {
                record.count(&mut counts);
            }
            counts
        };
        let (mut counts, others) = rayon::join(|| count(left), || count(right));
        counts.merge(others);
        model.rarity = counts.rarity();
    }
    stage("count", &mut since);
    let (pairs, cut) = block::pairs(left, right);
    stage("block", &mut since);
    let compare = |pairs: &[(u32, u32)], model: &Model| -> Vec<learn::Compared> {
        pairs
            .par_iter()
            .enumerate()
            .with_min_len(1024)
            .map(|(at, (l, r))| {
                if let Some((_, next)) = pairs.get(at + AHEAD)
                    && let Some(next) = right.get(*next as usize)
                {
                    std::hint::black_box(next.touch());
                }
                let pattern = match (left.get(*l as usize), right.get(*r as usize)) {
                    (Some(a), Some(b)) => compare::compare(a, b, &model.rarity),
                    _ => compare::Pattern::default(),
                };
                (*l, *r, pattern)
            })
            .collect()
    };
    let mut compared = compare(&pairs, &model);
    stage("compare", &mut since);
    let mut bar = model.threshold;
    if !options.fixed {
        let learned = learn::learn(&model, &compared, &[], (left.len(), right.len()));
        (model, bar) = (learned.model, learned.bar);
    }
    stage("learn", &mut since);
    let mut decided = decide(&compared, &model, bar, &|_| 0);
    stage("assign", &mut since);
    let mut free_left = vec![true; left.len()];
    let mut free_right = vec![true; right.len()];
    for link in &decided.links {
        if let (Some(l), Some(r)) = (
            free_left.get_mut(link.left as usize),
            free_right.get_mut(link.right as usize),
        ) {
            (*l, *r) = (false, false);
        }
    }
    let is_free = |free: &[bool], at: u32| free.get(at as usize).copied().unwrap_or_default();
    let left_over = left.len() + right.len() - 2 * decided.links.len();
    let mut more = if left_over > MOST_LEFT_OVER {
        Vec::new()
    } else {
        block::pairs_left_over(left, right, &|at| is_free(&free_left, at), &|at| {
            is_free(&free_right, at)
        })
    };
    more.retain(|pair| pairs.binary_search(pair).is_err());
    let mut doubtful = Vec::new();
    if !more.is_empty() {
        // Few are still missing, among many pairs: each pair is correspondingly less likely a match.
        let missing = 1.0 + decided.links.len() as f64 * MISSING;
        let odds = ((more.len() as f64 / missing).log2() * 1000.0) as Bits;
        let handicap = (odds - bar).max(0);
        compared.extend(compare(&more, &model));
        compared.par_sort_unstable_by_key(|pair| (pair.0, pair.1));
        let late: FxHashSet<(u32, u32)> = more.into_iter().collect();
        decided = decide(&compared, &model, bar, &|pair| {
            if late.contains(&(pair.0, pair.1)) {
                handicap
            } else {
                0
            }
        });
        let least = bar + handicap;
        let scored = compared.iter().zip(&decided.scores);
        doubtful = scored
            .map(|(pair, score)| ((pair.0, pair.1), *score))
            .filter(|(pair, score)| *score < least && late.contains(pair))
            .map(|(pair, _)| pair)
            .collect();
    }
    let Decided {
        scores,
        ranked,
        links,
        ambiguous,
    } = decided;
    stage("left over", &mut since);
    Outcome {
        pairs: compared
            .iter()
            .zip(&scores)
            .map(|(pair, score)| Link {
                left: pair.0,
                right: pair.1,
                score: *score,
            })
            .collect(),
        candidates: compared.len() as u64,
        ranked,
        links,
        ambiguous,
        doubtful,
        cut,
        model,
        bar,
        stages,
    }
}

/// The scores of pairs by a model, in their order; 0 where there is no such record.
#[must_use]
pub fn scores(model: &Model, left: &[Clean], right: &[Clean], pairs: &[(u32, u32)]) -> Vec<Bits> {
    let compiled = Compiled::new(model);
    pairs
        .par_iter()
        .with_min_len(1024)
        .map(
            |(l, r)| match (left.get(*l as usize), right.get(*r as usize)) {
                (Some(a), Some(b)) => compiled.score(&compare::compare(a, b, &model.rarity)),
                _ => 0,
            },
        )
        .collect()
}

/// Learns a model from pairs of two sets, beginning with `known`: the rarity of values from the two sets, the
/// frequency of levels from the pairs and from what people decided (`true`: the two are one). `records` is the
/// number of records of each set, those without a pair included. The threshold is the [`Outcome::bar`] of
/// linking the two sets. Returns `known` if [`Evidence::learn`] learns nothing.
#[must_use]
pub fn learn(
    known: &Model,
    left: &[Clean],
    right: &[Clean],
    pairs: &[(u32, u32)],
    decided: &[(&Clean, &Clean, bool)],
    records: (usize, usize),
) -> Model {
    let mut evidence = Evidence::new();
    for record in left.iter().chain(right) {
        evidence.count(record);
    }
    let mut of_sets = known.clone();
    of_sets.rarity = evidence.rarity();
    evidence.observe_all(&of_sets, (left, right), pairs);
    evidence.among(records);
    for (a, b, is_match) in decided {
        evidence.decide(&of_sets, a, b, *is_match);
    }
    let learned = evidence.learn(&of_sets);
    if learned.version == known.version {
        return known.clone();
    }
    learned
}

struct Decided {
    scores: Vec<Bits>,
    ranked: Vec<Link>,
    links: Vec<Link>,
    ambiguous: Vec<Link>,
}

fn decide(
    compared: &[learn::Compared],
    model: &Model,
    bar: Bits,
    handicap: &dyn Fn(&learn::Compared) -> Bits,
) -> Decided {
    let scores = learn::scores(model, compared);
    let handicapped: Vec<Bits> = compared
        .iter()
        .zip(&scores)
        .map(|(pair, score)| score - handicap(pair))
        .collect();
    let ranked: Vec<Link> = compared
        .iter()
        .zip(learn::rank(compared, &handicapped, bar, learn::TALKS))
        .map(|(pair, score)| Link {
            left: pair.0,
            right: pair.1,
            score,
        })
        .collect();
    let (links, ambiguous) = assign::links(ranked.clone(), 0);
    Decided {
        scores,
        ranked,
        links,
        ambiguous,
    }
}

/// Converts a score to a number of bits.
#[must_use]
pub fn bits(bits: Bits) -> f64 {
    f64::from(bits) / 1000.0
}
