//! Given names that the same person may use.
//!
//! `nicknames.txt` has one group of names a line, for English, German, Dutch, French, Spanish,
//! Catalan, Italian, Portuguese, Scandinavian, Finnish, Polish, Czech, Hungarian, South Slavic,
//! Romanian, Russian, Ukrainian, Turkish, Greek, Arabic, Hebrew and Indian names. Written for this
//! project; the English part was compared with `carltonnorthern/nicknames` (Apache-2.0).

use rustc_hash::FxHashMap as HashMap;
use std::sync::LazyLock;

use super::lines;

const TEXT: &str = include_str!("nicknames.txt");

static GROUPS: LazyLock<HashMap<&'static str, Vec<u16>>> = LazyLock::new(|| {
    let mut groups: HashMap<&'static str, Vec<u16>> = HashMap::default();
    for (group, line) in (0..).zip(lines(TEXT)) {
        for name in line.split_whitespace() {
            groups.entry(name).or_default().push(group);
        }
    }
    groups
});

/// The groups of a folded given name, ascending; empty for a name without other forms.
///
/// A name may be in several groups, and two names that share one can be the same person's. Sharing is not
/// transitive: `alexander` and `alexandra` both share a group with `alex`.
#[must_use]
pub fn groups(name: &str) -> &'static [u16] {
    GROUPS.get(name).map_or(&[], Vec::as_slice)
}

/// True if two folded given names are the same, or are in one group.
#[must_use]
pub fn same(left: &str, right: &str) -> bool {
    left == right || {
        let right = groups(right);
        groups(left)
            .iter()
            .any(|group| right.binary_search(group).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::tables::is_folded;

    #[test]
    fn every_group_has_distinct_folded_names() {
        let mut count = 0_u32;
        for line in lines(TEXT) {
            let names: Vec<_> = line.split(' ').collect();
            assert!(names.len() > 1, "{line}");
            assert_eq!(
                names.iter().collect::<HashSet<_>>().len(),
                names.len(),
                "{line}"
            );
            for name in names {
                assert!(is_folded(name), "{name} in {line}");
            }
            count += 1;
        }
        assert!(count > 2000 && count < u32::from(u16::MAX), "{count}");
        assert!(GROUPS.values().all(|groups| groups.is_sorted()));
    }

    #[test]
    fn short_forms_are_the_same_person() {
        for (left, right) in [
            ("robert", "bob"),
            ("william", "bill"),
            ("margaret", "peggy"),
            ("elizabeth", "betty"),
            ("jose", "pepe"),
            ("wilhelm", "willi"),
            ("aleksandr", "sasha"),
            ("francesco", "cesco"),
            ("katarzyna", "kasia"),
            ("jurgen", "juergen"),
            ("johannes", "jan"),
            ("francois", "franck"),
            ("joao", "joaozinho"),
            ("ibrahim", "ibo"),
            ("mohammed", "muhammad"),
        ] {
            assert!(same(left, right) && same(right, left), "{left} {right}");
        }
    }

    #[test]
    fn what_shares_a_short_form_is_not_the_same() {
        for (left, right) in [
            ("alexander", "alexandra"),
            ("robert", "albert"),
            ("mary", "martha"),
            ("xyzzy", "x"),
        ] {
            assert!(!same(left, right), "{left} {right}");
        }
        assert_eq!(groups("xyzzy"), [0_u16; 0]);
        assert!(groups("alex").len() > 1);
    }
}
