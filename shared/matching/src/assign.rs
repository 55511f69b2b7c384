//! One record each: the best links of all, none used twice.

use rustc_hash::FxHashSet;

use crate::Bits;

/// Two records that are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Number of the record of the first set.
    pub left: u32,
    /// Number of the record of the second set.
    pub right: u32,
    /// Its score.
    pub score: Bits,
}

/// Takes pairs by falling score, each record once. Equal scores: by `tie`, which must tell pairs apart
/// by what they are and not by where they stand.
#[must_use]
pub fn one_to_one<T: Ord>(
    mut pairs: Vec<Link>,
    threshold: Bits,
    tie: impl Fn(&Link) -> T,
) -> Vec<Link> {
    pairs.retain(|pair| pair.score >= threshold);
    pairs.sort_by(|a, b| b.score.cmp(&a.score).then_with(|| tie(a).cmp(&tie(b))));
    let mut lefts = FxHashSet::default();
    let mut rights = FxHashSet::default();
    pairs.retain(|pair| {
        let free = !lefts.contains(&pair.left) && !rights.contains(&pair.right);
        if free {
            lefts.insert(pair.left);
            rights.insert(pair.right);
        }
        free
    });
    pairs
}
