//! Assignment: the best links overall, each record used once.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::Bits;

/// A pair of records that are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Number of the record of the first set.
    pub left: u32,
    /// Number of the record of the second set.
    pub right: u32,
    /// Its score.
    pub score: Bits,
}

/// Takes pairs by falling score, each record once. Also returns the pairs that were not taken because another
/// pair of one of their records is as good, so that the right one is unknown.
///
/// A record of such pairs gets no pair that scores less.
#[must_use]
pub fn links(mut pairs: Vec<Link>, threshold: Bits) -> (Vec<Link>, Vec<Link>) {
    pairs.retain(|pair| pair.score >= threshold);
    pairs.sort_by_key(|pair| (std::cmp::Reverse(pair.score), pair.left, pair.right));
    let mut lefts: FxHashSet<u32> = FxHashSet::default();
    let mut rights: FxHashSet<u32> = FxHashSet::default();
    let (mut links, mut ambiguous) = (Vec::new(), Vec::new());
    let mut counts: FxHashMap<(bool, u32), u32> = FxHashMap::default();
    for equal in pairs.chunk_by(|a, b| a.score == b.score) {
        let free: Vec<Link> = equal
            .iter()
            .filter(|pair| !lefts.contains(&pair.left) && !rights.contains(&pair.right))
            .copied()
            .collect();
        counts.clear();
        for pair in &free {
            *counts.entry((true, pair.left)).or_default() += 1;
            *counts.entry((false, pair.right)).or_default() += 1;
        }
        let rivals = |of: (bool, u32)| counts.get(&of).is_some_and(|count| *count > 1);
        for pair in free {
            lefts.insert(pair.left);
            rights.insert(pair.right);
            if rivals((true, pair.left)) || rivals((false, pair.right)) {
                ambiguous.push(pair);
            } else {
                links.push(pair);
            }
        }
    }
    (links, ambiguous)
}

#[cfg(test)]
mod tests {
    use super::{Link, links};

    #[test]
    fn of_two_that_are_as_good_neither_is_taken() {
        let link = |left, right, score| Link { left, right, score };
        let (taken, ambiguous) = links(
            vec![
                link(0, 0, 9),
                link(1, 1, 8),
                link(1, 2, 8),
                link(1, 3, 7),
                link(2, 2, 6),
                link(3, 3, 8),
                link(4, 0, 9),
                link(5, 5, 3),
            ],
            4,
        );
        assert_eq!(taken, [link(3, 3, 8)]);
        assert_eq!(
            ambiguous,
            [link(0, 0, 9), link(4, 0, 9), link(1, 1, 8), link(1, 2, 8)]
        );
    }
}
