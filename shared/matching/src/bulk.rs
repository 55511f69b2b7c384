//! Two sets of records, in memory, on all cores.

use std::time::{Duration, Instant};

use rayon::prelude::*;

use crate::assign::{self, Link};
pub use crate::block::CutBlock;
use crate::clean::Clean;
use crate::learn::{self, Competition};
use crate::model::Model;
use crate::rarity::Counts;
use crate::{Bits, Kind, Record, block, compare};

/// How to link.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The model to begin with; the shipped one if none.
    pub model: Option<Model>,
    /// Whether to take the model as it is, and learn nothing.
    pub fixed: bool,
}

/// What linking two sets gave.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Every pair that was compared, with its score; by left, then right.
    pub pairs: Vec<Link>,
    /// The same pairs with what they are worth beside their rivals.
    pub ranked: Vec<Link>,
    /// One-to-one, at the model's own threshold.
    pub links: Vec<Link>,
    /// How many pairs were compared.
    pub candidates: u64,
    /// Keys that too many share.
    pub cut: Vec<CutBlock>,
    /// What it was decided by.
    pub model: Model,
    /// How long each stage took.
    pub stages: Vec<(&'static str, Duration)>,
}

/// Links two sets: cleans, learns, compares, decides.
#[must_use]
pub fn link(kind: Kind, left: &[Record], right: &[Record], region: Option<&str>, options: &Options) -> Outcome {
    let since = Instant::now();
    let clean = |records: &[Record]| -> Vec<Clean> {
        records.par_iter().with_min_len(512).map(|record| Clean::new(kind, record, region)).collect()
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
    let mut model = options.model.clone().unwrap_or_else(|| Model::shipped(kind));
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
    let compared: Vec<learn::Compared> = pairs
        .par_iter()
        .with_min_len(1024)
        .map(|(l, r)| {
            let pattern = match (left.get(*l as usize), right.get(*r as usize)) {
                (Some(a), Some(b)) => compare::compare(a, b, &model.rarity),
                _ => compare::Pattern::default(),
            };
            (*l, *r, pattern)
        })
        .collect();
    stage("compare", &mut since);
    if !options.fixed {
        model = learn::learn(&model, &compared, (left.len(), right.len()));
    }
    stage("learn", &mut since);
    let scores = learn::scores(&model, &compared);
    let competition = Competition::new(&compared, &scores, model.threshold);
    let ranked: Vec<Link> = compared
        .par_iter()
        .zip(&scores)
        .with_min_len(4096)
        .map(|(pair, score)| {
            let share = competition.share(pair, *score);
            Link { left: pair.0, right: pair.1, score: ((share / (1.0 - share).max(1e-7)).log2() * 1000.0).round() as Bits }
        })
        .collect();
    let tie = |link: &Link| {
        let content = |of: &[Clean], at: u32| of.get(at as usize).map_or(0, |record| record.content);
        let (l, r) = (content(left, link.left), content(right, link.right));
        (l.wrapping_add(r), l ^ r)
    };
    let links = assign::one_to_one(ranked.clone(), 0, tie);
    stage("assign", &mut since);
    Outcome {
        pairs: compared.iter().zip(&scores).map(|(pair, score)| Link { left: pair.0, right: pair.1, score: *score }).collect(),
        candidates: compared.len() as u64,
        ranked,
        links,
        cut,
        model,
        stages,
    }
}

/// Bits as a number of bits.
#[must_use]
pub fn bits(bits: Bits) -> f64 {
    f64::from(bits) / 1000.0
}
