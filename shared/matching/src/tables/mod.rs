//! Names, words and places with several spellings. Pure data and its look-ups.
//!
//! Every key is *folded* as [`crate::text::fold`] does it: Latin letters in lower case without
//! accents, digits, one space between words; other alphabets as they are transliterated there.
//! Look-ups take folded text and do not allocate.

use rustc_hash::{FxHashMap as HashMap, FxHashSet as HashSet};

pub mod addresses;
pub mod companies;
pub mod free_mail;
pub mod nicknames;
pub mod scripts;
pub mod states;
pub mod titles;

/// A table from each spelling to its standard form.
type Spellings = HashMap<&'static str, &'static str>;

/// Reads `canonical: spelling, spelling` lines; the canonical form is a spelling of itself.
/// `#` starts a comment line.
fn spellings(text: &'static str) -> Spellings {
    let mut table = Spellings::default();
    for line in lines(text) {
        let (canonical, others) = line.split_once(':').unwrap_or((line, ""));
        let canonical = canonical.trim();
        table.insert(canonical, canonical);
        for spelling in others.split(',').map(str::trim).filter(|s| !s.is_empty()) {
            table.insert(spelling, canonical);
        }
    }
    table
}

/// Reads single words, separated by white space. `#` starts a comment line.
fn words(text: &'static str) -> HashSet<&'static str> {
    lines(text).flat_map(str::split_whitespace).collect()
}

/// The lines of a table without comments and empty lines.
fn lines(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// True if text is in the form that the look-ups expect.
#[cfg(test)]
fn is_folded(text: &str) -> bool {
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    text.split(' ')
        .all(|word| !word.is_empty() && word.bytes().all(letter))
}

/// Panics if a table of spellings has a key that is not folded, or two meanings for one key.
#[cfg(test)]
fn check(text: &'static str) {
    let mut seen = HashMap::default();
    for line in lines(text) {
        let (canonical, others) = line.split_once(':').unwrap_or((line, ""));
        let canonical = canonical.trim();
        let others = others.split(',').map(str::trim).filter(|s| !s.is_empty());
        for spelling in std::iter::once(canonical).chain(others) {
            assert!(is_folded(spelling), "{spelling:?} is not folded");
            let before = seen.insert(spelling, canonical);
            assert_eq!(before, None, "{spelling:?} also means {canonical:?}");
        }
    }
}
