//! Names of companies in normal form.

use compact_str::CompactString;
use smallvec::SmallVec;

use crate::rarity::{Rarity, Slot};
use crate::similar;
use crate::tables::companies;
pub use crate::tables::companies::says_nothing;
use crate::text;

/// Maximum number of words of a name that are compared.
const MAX_WORDS: usize = 12;
/// Length of acronyms, in letters.
const ACRONYM: std::ops::RangeInclusive<usize> = 2..=6;
/// Bits that a letter of an acronym is worth, in eighths.
const LETTER: u32 = 32;
/// Bits that a word says of two companies at most, if it names the city of one of them.
const LOCAL: f64 = 2.0;

/// A company's name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CompanyName {
    /// Its words, without legal form and words without meaning.
    pub(crate) words: SmallVec<[Word; 4]>,
    /// The words joined.
    pub(crate) core: CompactString,
    pub(crate) hash: u64,
    /// Its legal form, joined; empty if it has none.
    pub(crate) form: CompactString,
    /// Its acronyms, as the hashes that names made of them have.
    pub(crate) acronyms: SmallVec<[u64; 4]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) text: CompactString,
    pub(crate) hash: u64,
    /// True if it is of the name of the company's own city.
    pub(crate) local: bool,
}

/// The distinguishing part of a company's name: without legal form, article and signs, folded.
#[must_use]
pub fn core(name: &str) -> String {
    parts(name).words.join(" ")
}

/// The acronyms of a company's name: the initials of its words, with and without small words such as *of*, and
/// with those of its legal form. Empty for a name of one word.
#[must_use]
pub fn acronyms(name: &str) -> SmallVec<[CompactString; 4]> {
    parts(name).acronyms
}

/// A name taken apart.
struct Parts {
    /// The words that distinguish it, in standard form.
    words: Vec<String>,
    /// Its legal form, joined.
    form: String,
    acronyms: SmallVec<[CompactString; 4]>,
}

fn parts(name: &str) -> Parts {
    // "(Deutschland)", "(publ)": text in brackets qualifies the name, unless it is all of it.
    let bare = without_brackets(name);
    let folded = text::fold(&bare);
    let folded = if folded.is_empty() {
        text::fold(name)
    } else {
        folded
    };
    let mut words: Vec<&str> = folded.split(' ').filter(|word| !word.is_empty()).collect();
    drop_notes(&mut words);
    if words.len() > 1 && words.first() == Some(&"the") {
        words.remove(0);
    }
    drop_share_class(&mut words);
    let short = shortened(&bare);
    let is_short = |word: &str| short.iter().any(|short| short == word);
    let mut form = String::new();
    let all_words = words.clone();
    // "Acme Holding GmbH & Co. KG" has several.
    loop {
        let len = companies::legal_suffix(&words);
        if len == 0 || len >= words.len() {
            break;
        }
        // "Life Sci." is not a société civile immobilière.
        if len == 1 && words.last().is_some_and(|word| is_short(word)) {
            break;
        }
        let from = words.len() - len;
        form.insert_str(0, &words.split_off(from).concat());
    }
    let prefix = match words.first() {
        Some(first) if is_short(first) => 0,
        _ => companies::legal_prefix(&words),
    };
    let bare_end = words.len();
    let mut before = 0;
    if prefix > 0 && prefix < words.len() {
        let rest = words.split_off(prefix);
        form.push_str(&words.concat());
        words = rest;
        before = prefix;
    }
    let mut acronyms = initials(
        all_words.get(before..).unwrap_or_default(),
        bare_end - before,
    );
    // Single letters in a row are one word: A B C = ABC.
    let mut joined: Vec<String> = Vec::with_capacity(words.len());
    let mut letters = 0;
    for word in words.iter().filter(|word| **word != "and") {
        let letter = word.len() == 1 && word.bytes().all(|b| b.is_ascii_alphabetic());
        if letter && letters > 0 {
            if let Some(last) = joined.last_mut() {
                last.push_str(word);
            }
        } else {
            joined.push(companies::abbreviation(word).unwrap_or(word).to_owned());
        }
        letters = if letter { letters + 1 } else { 0 };
    }
    let says_nothing = |word: &str| companies::is_noise(word) && !is_short(word);
    if joined.iter().any(|word| !says_nothing(word)) {
        joined.retain(|word| !says_nothing(word));
    } else if joined.is_empty() {
        joined = words.into_iter().map(str::to_owned).collect();
    }
    // Of the standard forms as well: *Svcs* and *Dienste* may begin otherwise.
    let standard: CompactString = joined
        .iter()
        .filter_map(|word| word.chars().next())
        .collect();
    if joined.len() > 1 && ACRONYM.contains(&standard.len()) && !acronyms.contains(&standard) {
        acronyms.push(standard);
    }
    Parts {
        words: joined,
        form,
        acronyms,
    }
}

/// The initials of a name whose first `bare` words are not its legal form.
fn initials(words: &[&str], bare: usize) -> SmallVec<[CompactString; 4]> {
    let mut found = SmallVec::new();
    if bare < 2 {
        return found;
    }
    for end in [bare, words.len()] {
        for all in [false, true] {
            let initials: CompactString = words
                .iter()
                .take(end)
                .filter(|word| all || !is_small(word))
                .filter_map(|word| word.chars().next())
                .collect();
            if ACRONYM.contains(&initials.len()) && !found.contains(&initials) {
                found.push(initials);
            }
        }
    }
    found
}

/// True for small words that most acronyms leave out.
fn is_small(word: &str) -> bool {
    matches!(
        word,
        "and"
            | "of"
            | "the"
            | "for"
            | "de"
            | "des"
            | "du"
            | "der"
            | "die"
            | "das"
            | "und"
            | "et"
            | "y"
            | "e"
            | "i"
            | "en"
            | "fur"
            | "van"
            | "von"
            | "la"
            | "le"
            | "les"
            | "da"
            | "do"
            | "di"
    )
}

/// Words of a name that end in a point and may abbreviate a longer word, although without the point they
/// would be a legal form or a word without meaning: `Sci.`, `En.`
fn shortened(name: &str) -> SmallVec<[CompactString; 1]> {
    let mut short = SmallVec::new();
    if !name.contains('.') {
        return short;
    }
    for word in name.split_whitespace() {
        let Some(word) = word.trim_end_matches([',', ';', ')']).strip_suffix('.') else {
            continue;
        };
        let letters = word.chars().all(char::is_alphabetic);
        if !letters || !(2..=6).contains(&word.len()) {
            continue;
        }
        let word = text::fold(word);
        if companies::is_short_for_a_word(&word) {
            short.push(word.into());
        }
    }
    short
}

/// Drops share classes, which distinguish only shares of one company: `Class A`, and `Inc. B`.
fn drop_share_class(words: &mut Vec<&str>) {
    let letter = |word: &&str| word.len() == 1 && word.bytes().all(|b| b.is_ascii_alphabetic());
    if words.len() < 3 || !words.last().is_some_and(letter) {
        return;
    }
    let (at, before) = (words.len() - 1, words.len() - 2);
    if matches!(
        words.get(before),
        Some(&("class" | "cl" | "series" | "ser" | "shs"))
    ) {
        words.truncate(before);
    } else {
        let rest = words.get(..at).unwrap_or_default();
        let plain = matches!(
            rest.last(),
            Some(
                &("inc"
                    | "corp"
                    | "co"
                    | "ltd"
                    | "plc"
                    | "corporation"
                    | "incorporated"
                    | "limited"
                    | "company"
                    | "ag"
                    | "sa"
                    | "ab")
            )
        );
        if plain && matches!(words.get(at), Some(&("a" | "b" | "c" | "d"))) {
            words.truncate(at);
        }
    }
}

fn without_brackets(name: &str) -> String {
    let mut depth = 0_u32;
    text::cut(name)
        .chars()
        .filter(|c| {
            match c {
                '(' | '[' => depth += 1,
                ')' | ']' => {
                    depth = depth.saturating_sub(1);
                    return false;
                }
                _ => {}
            }
            depth == 0
        })
        .collect()
}

/// Drops notes that people write behind a name: "do not use".
fn drop_notes(words: &mut Vec<&str>) {
    let mut at = 1;
    while at < words.len() {
        let note = companies::noise_phrase(words.get(at..).unwrap_or_default());
        if note > 0 {
            words.drain(at..at + note);
        } else {
            at += 1;
        }
    }
}

impl CompanyName {
    pub(crate) fn new(name: &str) -> Self {
        let Parts {
            words,
            form,
            acronyms,
        } = parts(name);
        if words.is_empty() {
            return Self::default();
        }
        let core: String = words.concat();
        let hashed = acronyms.iter().map(|acronym| text::hash(b'c', acronym));
        Self {
            hash: text::hash(b'c', &core),
            acronyms: hashed.collect(),
            core: core.into(),
            form: form.into(),
            words: words
                .into_iter()
                .take(MAX_WORDS)
                .map(|word| Word {
                    hash: text::hash(b'w', &word),
                    text: word.into(),
                    local: false,
                })
                .collect(),
        }
    }

    /// Marks the words that the name of the company's city has as well: they come with the place, so that two
    /// companies of that place share them easily. `city` is as it was entered.
    pub(crate) fn locate(&mut self, city: &str) {
        if city.is_empty() {
            return;
        }
        let city = text::fold(city);
        let is_local = |text: &str| {
            city.split(' ')
                .any(|word| companies::abbreviation(word).unwrap_or(word) == text)
        };
        for word in &mut self.words {
            word.local = is_local(&word.text);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.core.is_empty()
    }
}

/// The similarity of two names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SameName {
    Different,
    /// Both contain a word that is not common.
    Some,
    /// About half of the distinguishing content of the names.
    Half,
    /// One is the initials of the other.
    Initials,
    /// The longer name contains all of the shorter one.
    Part,
    /// Most of the distinguishing content of the names.
    Most,
    /// The same except for spelling.
    Near,
    /// The same except for the legal form.
    Yes,
}

/// The rarity of a word, in eighths of a bit. Letters, digits and numbers count for little however rare they
/// are: a series has all of them.
pub(crate) fn rare(word: &Word, rarity: &Rarity) -> u32 {
    let rare = u32::from(rarity.of(Slot::Word, word.hash));
    match word.text.len() {
        1 => rare.min(24),
        2 => rare.min(56),
        3..=6 if word.text.bytes().any(|b| b.is_ascii_digit()) => rare.min(48),
        _ => rare,
    }
}

/// Numbers in a name, as digits; Roman ones and ordinals too.
fn numbers(name: &CompanyName) -> SmallVec<[u64; 2]> {
    let mut numbers: SmallVec<[u64; 2]> = SmallVec::new();
    for word in &name.words {
        let named = match &*word.text {
            "first" => 1,
            "ii" | "second" => 2,
            "iii" | "third" => 3,
            "iv" | "fourth" => 4,
            "fifth" => 5,
            "vi" => 6,
            "vii" => 7,
            "viii" => 8,
            "ix" => 9,
            _ => 0,
        };
        let digits: String = word.text.chars().filter(char::is_ascii_digit).collect();
        match digits.parse() {
            Ok(number) => numbers.push(number),
            Err(_) if named > 0 => numbers.push(named),
            Err(_) => {}
        }
    }
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

/// Compares the numbers in two names; `None` if one has none, or only some of them.
pub(crate) fn same_numbers(a: &CompanyName, b: &CompanyName) -> Option<bool> {
    let (a, b) = (numbers(a), numbers(b));
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let all = |of: &[u64], others: &[u64]| of.iter().all(|number| others.contains(number));
    match (all(&a, &b), all(&b, &a)) {
        (true, true) => Some(true),
        (false, false) => Some(false),
        _ => None,
    }
}

/// Compares names word by word; each word counts by its rarity.
pub(crate) fn same_name(a: &CompanyName, b: &CompanyName, rarity: &Rarity) -> SameName {
    same_name_and_words(a, b, rarity).0
}

/// Compares names as [`same_name`], and also returns the rarity of the shared words, in eighths of a bit.
pub(crate) fn same_name_and_words(
    a: &CompanyName,
    b: &CompanyName,
    rarity: &Rarity,
) -> (SameName, u8) {
    if a.hash == b.hash {
        return (SameName::Yes, 0);
    }
    // One order, independent of the order of the arguments.
    let (a, b) = if (a.words.len(), &a.core) <= (b.words.len(), &b.core) {
        (a, b)
    } else {
        (b, a)
    };
    let weight = |word: &Word| f64::from(rare(word, rarity)) / 8.0;
    let mut used = [false; MAX_WORDS];
    let (mut shared, mut of_a, mut exact_rare, mut in_both) = (0.0, 0.0, 0.0_f64, 0.0);
    let of_b: f64 = b.words.iter().map(weight).sum();
    for word in &a.words {
        let own = weight(word);
        of_a += own;
        let (mut best, mut local) = ((0.0, None), word.local);
        for (at, other) in b.words.iter().enumerate() {
            if used.get(at).copied().unwrap_or(true) {
                continue;
            }
            let like = same_word(&word.text, &other.text);
            if like > best.0 {
                best = (like, Some((at, weight(other))));
                local = word.local || other.local;
            }
        }
        if let (like, Some((at, other))) = best {
            if let Some(used) = used.get_mut(at) {
                *used = true;
            }
            shared += like * (own + other) / 2.0;
            if like >= 0.9 {
                exact_rare = exact_rare.max(own.min(other));
                in_both += if local {
                    own.min(other).min(LOCAL)
                } else {
                    own.min(other)
                };
            }
        }
    }
    let whole = 2.0 * shared / (of_a + of_b).max(0.1);
    let part = shared / of_a.min(of_b).max(0.1);
    let joined = if a.core.len().min(b.core.len()) >= 5 {
        similar::jaro_winkler_from(0.88, &a.core, &b.core)
    } else {
        0.0
    };
    let same = if whole >= 0.93
        || joined >= 0.96
        || (a.core.len() >= 5 && similar::one_edit(&a.core, &b.core))
    {
        SameName::Near
    } else if whole >= 0.78 || joined >= 0.93 {
        SameName::Most
    } else if part >= 0.9 {
        SameName::Part
    } else if is_initials(a, b) || is_initials(b, a) {
        SameName::Initials
    } else if whole >= 0.55 || joined >= 0.88 {
        SameName::Half
    } else if whole >= 0.3 && exact_rare >= 4.0 {
        SameName::Some
    } else {
        SameName::Different
    };
    if same == SameName::Initials {
        // So many letters agree.
        let short = if is_initials(a, b) { a } else { b };
        let letters = u32::try_from(short.core.len()).unwrap_or_default() * LETTER;
        let known = u32::from(rarity.of(Slot::Word, text::hash(b'w', &short.core)));
        return (same, u8::try_from(letters.min(known)).unwrap_or(200));
    }
    (same, (in_both * 8.0).round().clamp(0.0, 200.0) as u8)
}

/// True if a name is an acronym of another: `IBM`, `AT&T`.
fn is_initials(short: &CompanyName, long: &CompanyName) -> bool {
    let letters = || short.words.iter().all(|word| word.text.len() <= 2);
    ACRONYM.contains(&short.core.len())
        && (short.words.len() == 1 || letters())
        && long.acronyms.contains(&short.hash)
}

/// The similarity of two words, 0 to 1: the same, abbreviated, or mistyped.
fn same_word(a: &str, b: &str) -> f64 {
    if a == b {
        return 1.0;
    }
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    if short.len() >= 3 && long.starts_with(short) {
        return 0.9;
    }
    if short.len() >= 5 && similar::one_edit(short, long) {
        return 0.92;
    }
    if short.len() >= 4 {
        let like = similar::jaro_winkler_from(0.9, short, long);
        if like >= 0.9 {
            return like * 0.95;
        }
    }
    if is_contraction(short, long) {
        return 0.8;
    }
    if short.len() <= 2 && long.starts_with(short) {
        return 0.5;
    }
    0.0
}

/// True if a word is another with letters left out: `hldgs` of `holdings`.
fn is_contraction(short: &str, long: &str) -> bool {
    if short.len() < 3
        || long.len() < short.len() + 2
        || short.as_bytes().first() != long.as_bytes().first()
    {
        return false;
    }
    if short.as_bytes().last() != long.as_bytes().last() {
        return false;
    }
    let mut letters = long.bytes();
    // Vowels are only left out, never added.
    short.bytes().all(|b| letters.any(|l| l == b))
        && short
            .bytes()
            .skip(1)
            .filter(|b| b"aeiou".contains(b))
            .count()
            * 3
            <= short.len()
}

#[cfg(test)]
mod tests {
    use super::{CompanyName, SameName, core, same_name, same_name_and_words, same_numbers};
    use crate::rarity::Rarity;

    #[test]
    fn the_core_is_what_tells_companies_apart() {
        let same = [
            ("Acme Inc.", "ACME, Incorporated"),
            ("The Acme Company", "Acme"),
            ("Müller & Söhne GmbH & Co. KG", "Muller and Sohne"),
            ("Acme S.r.l.", "ACME SRL"),
            ("Acme (Deutschland) GmbH", "Acme AG"),
            ("Acme - DO NOT USE", "Acme"),
            ("A B C Ltd", "ABC Limited"),
            ("Acme Intl Svcs", "Acme International Services"),
            ("Universität Zürich", "University of Zürich"),
            ("Stadt Köln", "City of Köln"),
            ("Acme Versicherung AG", "Acme Insurance"),
            ("1st Bank of Acme", "First Bank Acme"),
        ];
        for (a, b) in same {
            assert_eq!(core(a), core(b), "{a} {b}");
        }
        for name in ["The", "Inc", "GmbH", "& Co", "(publ)", "Group"] {
            assert!(
                !core(name).is_empty(),
                "{name}: a name is never stripped to nothing"
            );
        }
    }

    #[test]
    fn names_are_compared_by_their_words() {
        let rarity = Rarity::shipped(&[]);
        let same = |a: &str, b: &str| {
            let (a, b) = (CompanyName::new(a), CompanyName::new(b));
            assert_eq!(same_name(&a, &b, &rarity), same_name(&b, &a, &rarity));
            same_name(&a, &b, &rarity)
        };
        assert_eq!(same("Acme Inc", "ACME GmbH"), SameName::Yes);
        assert_eq!(same("Crimson Glass", "Crimsom Glass"), SameName::Near);
        assert_eq!(
            same("International Business Machines", "IBM"),
            SameName::Initials
        );
        for (name, acronym) in [
            ("Bank of America Corp.", "BoA"),
            ("American Telephone and Telegraph Company", "AT&T"),
            ("University of California, Los Angeles", "UCLA"),
            ("Taiwan Semiconductor Manufacturing Company", "TSMC"),
            ("Bayerische Motoren Werke AG", "BMW"),
        ] {
            assert_eq!(same(name, acronym), SameName::Initials, "{name}");
        }
        // A name of one word has none, whatever its legal form.
        assert_eq!(same("Acme Ltd", "AL"), SameName::Different);
        assert_eq!(
            same("Atlantic Alpine Wines LLP", "Atlantic Alpine"),
            SameName::Most
        );
        assert_eq!(
            same("Springfield Elementary Music Teachers", "Music Teachers"),
            SameName::Part
        );
        assert!(same("Therapeut. Holdings", "Therapeutics Hldgs") >= SameName::Most);
        assert_eq!(same("Globex", "Initech"), SameName::Different);
    }

    #[test]
    fn abbreviations_are_no_legal_forms_and_shares_no_companies() {
        for (a, b) in [
            ("Acme Life Sci.", "Acme Life Sciences"),
            ("SCI Les Lilas", "Les Lilas"),
            ("Alphabet Inc. Class A", "Alphabet Inc."),
            ("Ford Motor Co. B", "Ford Motor Company"),
            ("Berkshire Hathaway Inc. (B)", "Berkshire Hathaway"),
        ] {
            assert_eq!(core(a), core(b), "{a} {b}");
        }
        assert!(
            core("Summit En. Corp.").contains("en"),
            "{}",
            core("Summit En. Corp.")
        );
    }

    #[test]
    fn letters_of_acronyms_count_and_words_of_the_own_city_do_not() {
        let rarity = Rarity::shipped(&[]);
        let shared = |a: (&str, &str), b: (&str, &str)| {
            let name = |(name, city): (&str, &str)| {
                let mut name = CompanyName::new(name);
                name.locate(city);
                name
            };
            same_name_and_words(&name(a), &name(b), &rarity).1
        };
        let two = shared(("Acme Tools", ""), ("AT", ""));
        let three = shared(("Acme Machine Tools", ""), ("AMT", ""));
        assert_eq!((two, three), (64, 96));
        let (one, other) = ("Rio de Janeiro Wines", "Rio de Janeiro Metals");
        let known = shared((one, "Rio de Janeiro"), (other, "RIO DE JANEIRO"));
        let unknown = shared((one, ""), (other, ""));
        assert!(known < unknown / 2, "{known} {unknown}");
    }

    #[test]
    fn numbers_tell_companies_apart() {
        let same = |a: &str, b: &str| same_numbers(&CompanyName::new(a), &CompanyName::new(b));
        assert_eq!(same("Public School 7", "Public School No. 7"), Some(true));
        assert_eq!(same("Public School 7", "Public School 12"), Some(false));
        assert_eq!(same("Fund II", "Fund III"), Some(false));
        assert_eq!(same("Daily Bull 3X", "Daily Bull 2X"), Some(false));
        assert_eq!(same("Studio 54", "Studio"), None);
    }
}
