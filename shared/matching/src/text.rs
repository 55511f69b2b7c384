//! Folded text: text without case, accents, alphabet and punctuation.

use xxhash_rust::xxh3::xxh3_64;

/// Maximum length of text that is examined, in bytes; longer text is cut. No name or address is longer, and
/// the time for comparing grows with the square of the length.
pub const MAX_BYTES: usize = 240;

/// Folds text to lowercase Latin letters and digits, words separated by one space. Other alphabets are
/// transliterated; an apostrophe joins (`O'Brien` = `OBrien`), other punctuation separates.
#[must_use]
pub fn fold(text: &str) -> String {
    let text = cut(text);
    let mut folded = String::with_capacity(text.len());
    let mut gap = false;
    let mut push = |c: char, folded: &mut String| match c {
        'a'..='z' | '0'..='9' => {
            if gap && !folded.is_empty() {
                folded.push(' ');
            }
            gap = false;
            folded.push(c);
        }
        '\'' | '`' => {}
        _ => gap = true,
    };
    for c in text.chars() {
        match c {
            c if c.is_ascii() => push(c.to_ascii_lowercase(), &mut folded),
            '’' | '‘' | 'ʼ' | '´' => {}
            c => {
                for c in deunicode::deunicode_char(c).unwrap_or(" ").chars() {
                    push(c.to_ascii_lowercase(), &mut folded);
                }
            }
        }
        if folded.len() >= MAX_BYTES {
            break;
        }
    }
    folded.truncate(folded.floor_char_boundary(MAX_BYTES));
    folded
}

/// The beginning of a text, up to the maximum length.
#[must_use]
pub fn cut(text: &str) -> &str {
    let text = text.trim();
    text.get(..text.floor_char_boundary(MAX_BYTES))
        .unwrap_or(text)
}

/// Folded text without its spaces.
#[must_use]
pub fn squash(folded: &str) -> String {
    folded.chars().filter(|c| *c != ' ').collect()
}

/// The approximate sound of a word: most spellings and typing errors of a name share it.
#[must_use]
pub fn sound(word: &str) -> String {
    crate::similar::skeleton(word)
}

/// The hash of a text of a kind. It is the same on every machine and in every version, because models store
/// it.
#[must_use]
pub fn hash(kind: u8, text: &str) -> u64 {
    xxh3_64(text.as_bytes()) ^ u64::from(kind).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Joins numbers to one, in their order.
#[must_use]
pub(crate) fn join(kind: u8, parts: &[u64]) -> u64 {
    let mut hash = u64::from(kind).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for part in parts {
        hash = (hash ^ part).wrapping_mul(0xff51_afd7_ed55_8ccd);
        hash ^= hash >> 32;
    }
    hash
}
