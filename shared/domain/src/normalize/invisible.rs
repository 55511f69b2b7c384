//! Invisible characters, and their removal from text.
//!
//! They come with text that was copied from a page, a document or a chat, and nobody means them. A few of
//! them are part of how some scripts are written (the joiners of Persian and of the Indic scripts, the parts
//! of an emoji); those stay in text, but are removed from addresses, numbers and identifiers.

use std::borrow::Cow;

/// The form of a text, which decides which characters are removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One line: white space of any kind becomes one space.
    Line,
    /// Several lines: white space stays as it is, except around the text.
    Lines,
    /// An address, a number or a name: no invisible character has a meaning there.
    Token,
}

/// A text after [`clean`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cleaned {
    /// The text, without white space around it.
    pub text: String,
    /// True if characters that cannot be seen were removed. White space does not count.
    pub removed: bool,
}

/// Removes control characters and invisible characters from a text, and white space around it.
#[must_use]
pub fn clean(text: &str, form: Form) -> Cleaned {
    let mut kept = String::with_capacity(text.len());
    let mut removed = false;
    let right_to_left = form == Form::Lines && text.chars().any(is_right_to_left);
    let mut before: Option<char> = None;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let after = rest.clone().next();
        let c = match fate(c, before, after, form, right_to_left) {
            Fate::Stays => c,
            Fate::Goes => {
                removed = true;
                continue;
            }
            Fate::Breaks => {
                removed = true;
                '\n'
            }
            Fate::Parts => {
                removed = true;
                ' '
            }
        };
        kept.push(c);
        before = Some(c);
    }
    let text = match form {
        Form::Lines => kept.trim().to_owned(),
        Form::Line | Form::Token => kept.split_whitespace().collect::<Vec<_>>().join(" "),
    };
    Cleaned { text, removed }
}

/// True if a text has no visible character.
#[must_use]
pub fn is_blank(text: &str) -> bool {
    text.chars()
        .all(|c| c.is_whitespace() || fate(c, None, None, Form::Token, false) != Fate::Stays)
}

/// Converts the digits of any script to `0` to `9`, and full-width characters to ASCII.
#[must_use]
pub fn plain_digits(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(plain_digit).collect())
}

fn plain_digit(c: char) -> char {
    let code = u32::from(c);
    if let 0xFF01..=0xFF5E = code {
        return char::from_u32(code - 0xFEE0).unwrap_or(c);
    }
    let after = ZEROS.partition_point(|zero| *zero <= code);
    let zero = after.checked_sub(1).and_then(|at| ZEROS.get(at));
    zero.map(|zero| code - zero)
        .filter(|digit| *digit < 10)
        .and_then(|digit| char::from_digit(digit, 10))
        .unwrap_or(c)
}

/// The zero of each script that has decimal digits (Unicode's category Nd); the others follow it.
const ZEROS: [u32; 66] = [
    0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66,
    0xde6, 0xe50, 0xed0, 0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90,
    0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10,
    0x1_04a0, 0x1_0d30, 0x1_1066, 0x1_10f0, 0x1_1136, 0x1_11d0, 0x1_12f0, 0x1_1450, 0x1_14d0,
    0x1_1650, 0x1_16c0, 0x1_1730, 0x1_18e0, 0x1_1950, 0x1_1c50, 0x1_1d50, 0x1_1da0, 0x1_6a60,
    0x1_6ac0, 0x1_6b50, 0x1_d7ce, 0x1_d7d8, 0x1_d7e2, 0x1_d7ec, 0x1_d7f6, 0x1_e140, 0x1_e2f0,
    0x1_e950, 0x1_fbf0,
];

#[derive(PartialEq, Eq)]
enum Fate {
    Stays,
    Goes,
    /// A line ends here.
    Breaks,
    /// A space, although its name does not say so.
    Parts,
}

fn fate(
    c: char,
    before: Option<char>,
    after: Option<char>,
    form: Form,
    right_to_left: bool,
) -> Fate {
    let text = form != Form::Token;
    let stays = match c {
        '\t' | '\n' | '\r' => true,
        // Word processors and old systems end lines with these.
        '\u{b}' | '\u{c}' | '\u{85}' => return Fate::Breaks,
        c if c.is_control() || is_noncharacter(c) => false,
        // Zero width joiners.
        '\u{200c}' | '\u{200d}' => text && joins(before, after),
        // Zero width space: it separates words in scripts without spaces.
        '\u{200b}' => text && before.is_some_and(is_unspaced) && after.is_some_and(is_unspaced),
        // Marks of direction, in text that has one.
        '\u{200e}' | '\u{200f}' | '\u{61c}' => right_to_left,
        // The grapheme joiner separates marks that would otherwise be reordered.
        '\u{34f}' => text && before.is_some_and(unicode_normalization::char::is_combining_mark),
        // Variation selectors choose a shape of an ideograph, an emoji, a sign.
        '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' => {
            text && before.is_some_and(|before| {
                after == Some('\u{20e3}') || !before.is_ascii() && !before.is_whitespace()
            })
        }
        '\u{180b}'..='\u{180f}' => {
            text && before.is_some_and(|c| matches!(c, '\u{1800}'..='\u{18af}'))
        }
        // Fillers stand for a missing part of an old Korean syllable.
        '\u{115f}' | '\u{1160}' => {
            text && [before, after]
                .iter()
                .flatten()
                .any(|c| matches!(c, '\u{1100}'..='\u{115e}' | '\u{1161}'..='\u{11ff}'))
        }
        // The letters that make a flag of a region, after the black flag.
        '\u{e0020}'..='\u{e007f}' => {
            text && before.is_some_and(|c| matches!(c, '\u{1f3f4}' | '\u{e0020}'..='\u{e007e}'))
        }
        // Braille's blank, in braille.
        '\u{2800}' => {
            let braille = |c: &char| matches!(c, '\u{2801}'..='\u{28ff}');
            if !(text && [before, after].iter().flatten().any(braille)) {
                return Fate::Parts;
            }
            true
        }
        '\u{ad}'
        | '\u{17b4}'
        | '\u{17b5}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{3164}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}' => false,
        _ => true,
    };
    if stays { Fate::Stays } else { Fate::Goes }
}

/// Code points that no text may have.
fn is_noncharacter(c: char) -> bool {
    matches!(c, '\u{fdd0}'..='\u{fdef}') || u32::from(c) & 0xfffe == 0xfffe
}

/// True if a joiner between these characters changes how they are written.
fn joins(before: Option<char>, after: Option<char>) -> bool {
    let Some(before) = before else { return false };
    is_virama(before)
        || is_joining(before) && after.is_some_and(is_joining)
        || is_pictograph(before) && after.is_some_and(is_pictograph)
}

/// True for letters and marks of scripts whose letters change with their neighbours.
fn is_joining(c: char) -> bool {
    matches!(c,
        '\u{600}'..='\u{8ff}' | '\u{900}'..='\u{dff}' | '\u{e00}'..='\u{fff}' | '\u{1000}'..='\u{109f}'
        | '\u{1780}'..='\u{18af}' | '\u{1a20}'..='\u{1aaf}' | '\u{1b00}'..='\u{1c4f}' | '\u{1cd0}'..='\u{1cff}'
        | '\u{a840}'..='\u{a8ff}' | '\u{a930}'..='\u{a9ff}' | '\u{aa60}'..='\u{aa7f}' | '\u{abc0}'..='\u{abff}'
        | '\u{fb50}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}'
        | '\u{10ac0}'..='\u{10aff}' | '\u{10d00}'..='\u{10d3f}' | '\u{11000}'..='\u{11fff}' | '\u{1e900}'..='\u{1e95f}')
}

/// True for the sign that removes a consonant's vowel: a joiner after it decides how the consonant meets the
/// next one, and how it ends a word.
fn is_virama(c: char) -> bool {
    matches!(
        c,
        '\u{94d}'
            | '\u{9cd}'
            | '\u{a4d}'
            | '\u{acd}'
            | '\u{b4d}'
            | '\u{bcd}'
            | '\u{c4d}'
            | '\u{ccd}'
            | '\u{d4d}'
            | '\u{dca}'
    )
}

/// True for parts of a composite emoji.
fn is_pictograph(c: char) -> bool {
    matches!(c,
        '\u{a9}' | '\u{ae}' | '\u{20e3}' | '\u{2190}'..='\u{21ff}' | '\u{2300}'..='\u{23ff}'
        | '\u{2460}'..='\u{27bf}' | '\u{2900}'..='\u{297f}' | '\u{2b00}'..='\u{2bff}' | '\u{fe0f}'
        | '\u{1f000}'..='\u{1faff}')
}

/// True for scripts without spaces between words.
fn is_unspaced(c: char) -> bool {
    matches!(c,
        '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{1950}'..='\u{19ff}'
        | '\u{1a20}'..='\u{1aaf}' | '\u{a9e0}'..='\u{a9ff}' | '\u{aa60}'..='\u{aadf}')
}

fn is_right_to_left(c: char) -> bool {
    matches!(c, '\u{590}'..='\u{5ff}' | '\u{620}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}' | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Form, clean, is_blank, plain_digits};

    /// Invisible characters, all without meaning between Latin letters.
    const INVISIBLE: &str = "\0\u{1}\u{7}\u{8}\u{1b}\u{7f}\u{80}\u{9f}\u{ad}\u{34f}\u{61c}\u{115f}\u{1160}\u{17b4}\u{180b}\u{180e}\
        \u{200b}\u{200c}\u{200d}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2060}\u{2061}\u{2062}\u{2063}\u{2064}\
        \u{2066}\u{2067}\u{2068}\u{2069}\u{206a}\u{206f}\u{3164}\u{fe00}\u{fe0e}\u{fe0f}\u{feff}\u{ffa0}\u{fff9}\u{fffb}\
        \u{fffe}\u{ffff}\u{fdd0}\u{1bca0}\u{1d173}\u{e0001}\u{e0020}\u{e007f}\u{e0100}\u{1fffe}";

    #[test]
    fn what_cannot_be_seen_goes_from_every_form() {
        for c in INVISIBLE.chars() {
            for form in [Form::Line, Form::Lines, Form::Token] {
                for text in [format!("An{c}n"), format!("{c}Ann"), format!("Ann{c}")] {
                    let cleaned = clean(&text, form);
                    assert_eq!(cleaned.text, "Ann", "{text:?} {form:?}");
                    assert!(cleaned.removed, "{text:?}");
                }
            }
            assert!(is_blank(&format!(" {c}\u{3000}")), "{c:?}");
        }
        assert!(is_blank("") && is_blank("\u{2800}\u{2800}") && !is_blank("0"));
    }

    #[test]
    fn what_a_script_is_written_with_stays_in_text() {
        for text in [
            "می\u{200c}خواهم",
            "क्\u{200d}ष",
            "ശ്രീ ന്\u{200d}",
            "👩\u{200d}💻",
            "👨\u{200d}👩\u{200d}👧",
            "❤\u{fe0f}",
            "1\u{fe0f}\u{20e3}",
            "葛\u{e0100}城",
            "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
            "ភាសា\u{200b}ខ្មែរ",
            "José O’Brien-Smith – Ñ",
        ] {
            for form in [Form::Line, Form::Lines] {
                let cleaned = clean(text, form);
                assert_eq!(
                    (cleaned.text.as_str(), cleaned.removed),
                    (text, false),
                    "{form:?}"
                );
            }
        }
        // Marks of direction are part of a Hebrew text, but not of a name.
        let text = "שלום\u{200f}!";
        assert_eq!(clean(text, Form::Lines).text, text);
        assert_eq!(clean(text, Form::Line).text, "שלום!");
    }

    #[test]
    fn lines_end_where_they_were_ended() {
        let text = "a\u{b}b\u{c}c\u{85}d\r\ne\tf  g";
        assert_eq!(clean(text, Form::Lines).text, "a\nb\nc\nd\r\ne\tf  g");
        assert_eq!(clean(text, Form::Line).text, "a b c d e f g");
    }

    #[test]
    fn digits_of_every_script_are_read() {
        assert_eq!(plain_digits("０９０－１２３４"), "090-1234");
        assert_eq!(
            plain_digits("٠١٢٣٤٥٦٧٨٩ ۰۹ ०९ ০৯ ๐๙ 𝟘𝟡"),
            "0123456789 09 09 09 09 09"
        );
        assert_eq!(plain_digits("½ Ⅷ ①"), "½ Ⅷ ①");
    }

    proptest! {
        #[test]
        fn cleaning_twice_is_cleaning_once(text in "(\\PC|\\p{C}|[\u{200b}-\u{200f}\u{fe0f}\u{e0020}-\u{e007f}]){0,40}") {
            for form in [Form::Line, Form::Lines, Form::Token] {
                let once = clean(&text, form);
                prop_assert_eq!(&clean(&once.text, form).text, &once.text);
                prop_assert!(once.text.is_empty() || !is_blank(&once.text) || form != Form::Token);
            }
        }
    }
}
