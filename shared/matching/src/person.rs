//! Names of people in normal form.

use compact_str::CompactString;
use smallvec::SmallVec;

use crate::similar;
use crate::tables::{nicknames, titles};
use crate::text;

/// A person's name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PersonName {
    /// All first names, joined.
    pub(crate) first: CompactString,
    /// The first of them.
    pub(crate) given: CompactString,
    /// Initials of the others.
    pub(crate) middle: CompactString,
    /// Names that are short forms of each other share a group.
    pub(crate) groups: SmallVec<[u16; 4]>,
    /// The last name without particles (`van der`), joined.
    pub(crate) last: CompactString,
    /// Its words, if there are several.
    pub(crate) last_words: SmallVec<[CompactString; 2]>,
    pub(crate) first_hash: u64,
    pub(crate) last_hash: u64,
}

/// The last name of a person without particles and suffixes, folded: for finding, not for showing.
#[must_use]
pub fn last_core(last: &str) -> String {
    last_words(&text::fold(last)).join(" ")
}

/// First and last name of a full name: `Last, First`, or the last word and the particles before it.
#[must_use]
pub fn split(full: &str) -> (String, String) {
    let full = text::cut(full);
    if let Some((last, first)) = full.split_once(',') {
        let suffix = text::fold(first);
        if !suffix.is_empty() && !suffix.split(' ').all(titles::is_name_suffix) {
            return (first.trim().to_owned(), last.trim().to_owned());
        }
    }
    let full = full.split(',').next().unwrap_or(full);
    let mut words: Vec<&str> = full.split_whitespace().collect();
    let folded = |word: &str| text::fold(word);
    while words.len() > 1
        && words
            .last()
            .is_some_and(|word| titles::is_name_suffix(&folded(word)))
    {
        words.pop();
    }
    while words.len() > 1
        && words
            .first()
            .is_some_and(|word| titles::is_honorific(&folded(word)))
    {
        words.remove(0);
    }
    if words.len() < 2 {
        return (String::new(), words.concat());
    }
    let mut at = words.len() - 1;
    while at > 1
        && words
            .get(at - 1)
            .is_some_and(|word| titles::is_particle(&folded(word)))
    {
        at -= 1;
    }
    let last = words.split_off(at);
    (words.join(" "), last.join(" "))
}

fn last_words(folded: &str) -> Vec<&str> {
    let mut words: Vec<&str> = folded.split(' ').filter(|word| !word.is_empty()).collect();
    while words.len() > 1
        && words
            .last()
            .is_some_and(|word| titles::is_name_suffix(word))
    {
        words.pop();
    }
    if words.len() > 1 {
        let all = words.clone();
        words.retain(|word| !titles::is_particle(word));
        if words.is_empty() {
            words = all;
        }
    }
    words
}

impl PersonName {
    pub(crate) fn new(first: &str, last: &str, full: &str) -> Self {
        let parts;
        let (first, last) =
            if first.trim().is_empty() && !full.trim().is_empty() && last.trim().is_empty() {
                parts = split(full);
                (parts.0.as_str(), parts.1.as_str())
            } else {
                (first, last)
            };
        let (first, last) = (text::fold(first), text::fold(last));
        let mut given: Vec<&str> = first.split(' ').filter(|word| !word.is_empty()).collect();
        while given.len() > 1 && given.first().is_some_and(|word| titles::is_honorific(word)) {
            given.remove(0);
        }
        let middle: String = given
            .iter()
            .skip(1)
            .filter_map(|word| word.chars().next())
            .collect();
        // An initial behind a first name is no part of it.
        let whole: String = given
            .iter()
            .enumerate()
            .filter(|(at, word)| *at == 0 || word.len() > 1)
            .map(|(_, word)| *word)
            .collect();
        let given = given.first().copied().unwrap_or_default();
        let words = last_words(&last);
        let joined = words.concat();
        Self {
            groups: nicknames::groups(given).iter().copied().collect(),
            first_hash: text::hash(b'f', &whole),
            last_hash: text::hash(b'n', &joined),
            first: whole.into(),
            given: given.into(),
            middle: middle.into(),
            last: joined.into(),
            last_words: if words.len() > 1 {
                words.into_iter().map(Into::into).collect()
            } else {
                SmallVec::new()
            },
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_empty() && self.last.is_empty()
    }
}

/// How alike two first names are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum SameFirst {
    Missing,
    Different,
    /// Alike in sound or beginning.
    Loose,
    /// One is the first letter of the other.
    Initial,
    /// A typing error apart.
    Near,
    /// One is a short form of the other.
    Nickname,
    Yes,
}

/// How alike two last names are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum SameLast {
    Missing,
    Different,
    Loose,
    /// One is a part of the other (a double name).
    Part,
    Near,
    Yes,
}

pub(crate) fn same_first(a: &PersonName, b: &PersonName) -> SameFirst {
    if a.first.is_empty() || b.first.is_empty() {
        return SameFirst::Missing;
    }
    if a.first_hash == b.first_hash {
        return if a.first.len() == 1 {
            SameFirst::Initial
        } else {
            SameFirst::Yes
        };
    }
    if a.given.len() == 1 || b.given.len() == 1 {
        return if a.given.as_bytes().first() == b.given.as_bytes().first() {
            SameFirst::Initial
        } else {
            SameFirst::Different
        };
    }
    if a.given == b.given || a.groups.iter().any(|group| b.groups.contains(group)) {
        return SameFirst::Nickname;
    }
    let shorter = a.first.len().min(b.first.len());
    if shorter >= 4 && similar::one_edit(&a.first, &b.first) {
        return SameFirst::Near;
    }
    let like = similar::jaro_winkler_from(0.6, &a.first, &b.first);
    let two_edits = like >= 0.6 && shorter >= 5 && similar::edits(&a.first, &b.first, 2).is_some();
    let (short, long) = if a.given.len() <= b.given.len() {
        (&a.given, &b.given)
    } else {
        (&b.given, &a.given)
    };
    if shorter >= 6 && like >= 0.92 && two_edits {
        SameFirst::Near
    } else if short.len() >= 3 && long.starts_with(&**short) {
        SameFirst::Nickname
    } else if two_edits || like >= 0.84 {
        SameFirst::Loose
    } else {
        SameFirst::Different
    }
}

pub(crate) fn same_last(a: &PersonName, b: &PersonName) -> SameLast {
    if a.last.is_empty() || b.last.is_empty() {
        return SameLast::Missing;
    }
    if a.last_hash == b.last_hash {
        return SameLast::Yes;
    }
    let shorter = a.last.len().min(b.last.len());
    if shorter >= 4 && similar::one_edit(&a.last, &b.last) {
        return SameLast::Near;
    }
    let like = similar::jaro_winkler_from(0.6, &a.last, &b.last);
    let two_edits = like >= 0.6 && shorter >= 6 && similar::edits(&a.last, &b.last, 2).is_some();
    if like >= 0.94 && two_edits {
        SameLast::Near
    } else if part(a, &b.last)
        || part(b, &a.last)
        || a.last_words
            .iter()
            .any(|word| word.len() >= 3 && b.last_words.contains(word))
    {
        SameLast::Part
    } else if two_edits || like >= 0.88 {
        SameLast::Loose
    } else {
        SameLast::Different
    }
}

/// Whether one name is a typing error away from another.
pub(crate) fn spelled(a: &str, b: &str, least: usize, like: f64) -> Option<()> {
    let shorter = a.len().min(b.len());
    let near = shorter >= least && similar::one_edit(a, b)
        || shorter >= 6
            && similar::jaro_winkler_from(like, a, b) >= like
            && similar::edits(a, b, 2).is_some();
    near.then_some(())
}

fn part(double: &PersonName, single: &str) -> bool {
    double.last_words.iter().any(|word| {
        word.len() >= 3
            && (**word == *single || (word.len() >= 5 && similar::one_edit(word, single)))
    })
}

#[cfg(test)]
mod tests {
    use super::{PersonName, SameFirst, SameLast, last_core, same_first, same_last, split};

    fn first(a: &str, b: &str) -> SameFirst {
        let name = |first| PersonName::new(first, "Smith", "");
        assert_eq!(
            same_first(&name(a), &name(b)),
            same_first(&name(b), &name(a))
        );
        same_first(&name(a), &name(b))
    }

    fn last(a: &str, b: &str) -> SameLast {
        let name = |last| PersonName::new("Ada", last, "");
        assert_eq!(same_last(&name(a), &name(b)), same_last(&name(b), &name(a)));
        same_last(&name(a), &name(b))
    }

    #[test]
    fn first_names_have_short_forms_initials_and_typing_errors() {
        assert_eq!(first("José", "JOSE"), SameFirst::Yes);
        assert_eq!(
            first("Mary T.", "Mary"),
            SameFirst::Yes,
            "an initial is no part of it"
        );
        assert_eq!(first("William", "Bill"), SameFirst::Nickname);
        assert_eq!(first("Anne Marie", "Anne"), SameFirst::Nickname);
        assert_eq!(first("K", "Kayleigh"), SameFirst::Initial);
        assert_eq!(
            first("J", "J"),
            SameFirst::Initial,
            "one letter is not a name"
        );
        assert_eq!(first("Gregory", "Gregroy"), SameFirst::Near);
        assert_eq!(first("Anna", "Peter"), SameFirst::Different);
        assert_eq!(first("", "Peter"), SameFirst::Missing);
    }

    #[test]
    fn last_names_have_particles_parts_and_suffixes() {
        assert_eq!(last("van der Berg", "Berg"), SameLast::Yes);
        assert_eq!(last("Ali Jr.", "Ali"), SameLast::Yes);
        assert_eq!(last("O'Brien", "OBrien"), SameLast::Yes);
        assert_eq!(last("Matson-Wechsler", "Wechsler"), SameLast::Part);
        assert_eq!(last("Müller", "Mueller"), SameLast::Near);
        assert_eq!(last("Smith", "Jones"), SameLast::Different);
        assert_eq!(last_core("von der Leyen"), "leyen");
        assert_eq!(
            last_core("Van"),
            "van",
            "a name is never stripped to nothing"
        );
    }

    #[test]
    fn full_names_are_parted() {
        let cases = [
            ("Ada Lovelace", "Ada", "Lovelace"),
            ("Lovelace, Ada", "Ada", "Lovelace"),
            ("Dr. Ludwig van Beethoven", "Ludwig", "van Beethoven"),
            ("Martin Luther King, Jr.", "Martin Luther", "King"),
            ("Cher", "", "Cher"),
        ];
        for (full, first, last) in cases {
            assert_eq!(split(full), (first.to_owned(), last.to_owned()), "{full}");
        }
    }
}
