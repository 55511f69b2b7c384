//! Phone numbers as people write them (LG-5), read as the reference implementation reads them
//! (libphonenumber, in a port to Rust that a test holds to it), or left as they are.

use rlibphonenumber::{NumberLengthType, PHONE_NUMBER_UTIL, ParseError, PhoneNumberFormat, Region};

use super::invisible::{Form, clean, plain_digits};

/// A phone number that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phone {
    /// The number in E.164: `+4930123456`.
    pub e164: String,
    /// The extension's digits.
    pub extension: Option<String>,
}

/// The reason why a text gives no phone number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoPhone {
    /// The text has too few digits.
    NotOne,
    /// A spreadsheet wrote the number as a power of ten: its digits are lost.
    Rounded,
    /// The number has no country code, and there is no default region.
    NoCountry,
    /// The number's country has no numbers of this length.
    NotPossible,
    /// The number lacks the area code.
    NoAreaCode,
    /// The number has a zero in brackets that its country's numbers do not have.
    Zero,
    /// There are words beside the number.
    Words,
    /// The text may be two numbers.
    Several,
    /// The number is one digit repeated, or a sequence of digits in order.
    SaysNothing,
}

impl NoPhone {
    /// True if the text is a number nevertheless, which may be stored as it is written.
    #[must_use]
    pub const fn is_number(self) -> bool {
        !matches!(self, Self::NotOne | Self::Rounded)
    }

    /// The reason and the next step, for users.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NotOne => "It is not a phone number. Correct it in the CRM by hand.",
            Self::Rounded => {
                "It is not a phone number: a spreadsheet rounded it to a power of ten, and its digits are lost. Format the column as text before it is exported."
            }
            Self::NoCountry => {
                "It is kept as written: without a country code (and no default region in the settings) it has no international form."
            }
            Self::NotPossible => {
                "It is kept as written: its country has no numbers of this length, so what was meant is not certain."
            }
            Self::NoAreaCode => "It is kept as written: it lacks the area code.",
            Self::Zero => {
                "It is kept as written: whether the zero in brackets belongs to it is not certain."
            }
            Self::Words => "It is kept as written: there are words beside the number.",
            Self::Several => "It is kept as written: it may be more than one number.",
            Self::SaysNothing => "It is kept as written: it looks like nobody's number.",
        }
    }
}

impl Phone {
    /// The number as it is written into a CRM: E.164, and `ext.` with the extension.
    #[must_use]
    pub fn written(&self) -> String {
        match &self.extension {
            None => self.e164.clone(),
            Some(extension) => format!("{} ext. {extension}", self.e164),
        }
    }

    /// The normal form: two extensions of one switchboard are two numbers.
    #[must_use]
    pub fn normal(&self) -> String {
        match &self.extension {
            None => self.e164.clone(),
            Some(extension) => format!("{};ext={extension}", self.e164),
        }
    }
}

/// Maximum length of text that is read, in characters. The longest real number with extension and separators
/// is far shorter, and the parser's time grows with its input.
const LONGEST: usize = 60;
/// Most digits of an extension.
const LONGEST_EXTENSION: usize = 7;
/// Number of digits of a number with its country code, from the fewest to the most (E.164).
const DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// Labels that precede an extension, in lowercase.
const EXTENSION_LABELS: &[&str] = &[
    "x",
    "#",
    "~",
    "ext",
    "extn",
    "exten",
    "extension",
    "extensión",
    "int",
    "interno",
    "interne",
    "anexo",
    "доб",
    "добавочный",
    "вн",
    "внутр",
    "внутренний",
    "durchwahl",
    "dw",
    "nst",
    "nebenstelle",
    "apparat",
    "app",
    "poste",
    "ramal",
    "anknytning",
    "ankn",
    "toestel",
    "tst",
    "lokal",
    "lokalnr",
    "wew",
    "wewn",
    "klapka",
    "linka",
    "mellék",
    "dahili",
    "内線",
    "内线",
    "分机",
    "分機",
    "내선",
    "ต่อ",
    "تحويلة",
    "داخلی",
];

/// Reads a phone number. A number without a country code is read as one of `region` (ISO 3166 alpha-2).
///
/// A number with a country code keeps its digits: only its own country's rules take any away. Digits of every
/// script are read.
///
/// # Errors
/// Returns [`NoPhone`] if there is no number, or if its reading is not certain.
pub fn read(text: &str, region: Option<&str>) -> Result<Phone, NoPhone> {
    let token = plain_digits(&clean(text, Form::Token).text).into_owned();
    let digits = digits_of(&token);
    if digits.len() < 3 {
        return Err(NoPhone::NotOne);
    }
    if is_rounded(&token) {
        return Err(NoPhone::Rounded);
    }
    if token.chars().count() > LONGEST {
        return Err(NoPhone::NotPossible);
    }
    let (label, number) = after_label(&token);
    if label.chars().any(|c| "/@#*$%&".contains(c)) {
        return Err(NoPhone::Words);
    }
    let (number, extension) = split_extension(number);
    if number.chars().any(char::is_alphabetic) {
        return Err(NoPhone::Words);
    }
    if number.matches('+').count() > 1 {
        return Err(NoPhone::Several);
    }
    if says_nothing(&digits_of(number)) {
        return Err(NoPhone::SaysNothing);
    }
    let number = number.trim_end_matches(|c: char| !c.is_ascii_digit() && c != '#');
    let read = match extension {
        None => number.to_owned(),
        Some(extension) => format!("{number};ext={extension}"),
    };
    let region = region.and_then(|code| code.to_ascii_uppercase().parse::<Region>().ok());
    let parsed = PHONE_NUMBER_UTIL
        .parse(&read, region)
        .map_err(|error| match error {
            ParseError::InvalidCountryCode if !number.starts_with('+') => NoPhone::NoCountry,
            _ => NoPhone::NotPossible,
        })?;
    let found = parsed.extension();
    // The digits behind a comma are an extension, or the next number.
    let doubtful = extension.is_none() && (found.len() > 5 || found.starts_with('0'));
    if found.len() > LONGEST_EXTENSION || doubtful {
        return Err(NoPhone::Several);
    }
    match PHONE_NUMBER_UTIL.is_possible_number_with_reason(&parsed) {
        Ok(NumberLengthType::IsPossible) => {}
        // Some services have numbers as short as those of one place, and no area code.
        Ok(NumberLengthType::IsPossibleLocalOnly) if PHONE_NUMBER_UTIL.is_valid_number(&parsed) => {
        }
        Ok(NumberLengthType::IsPossibleLocalOnly) => return Err(NoPhone::NoAreaCode),
        Err(_) => return Err(NoPhone::NotPossible),
    }
    let bracketed: String = number.chars().filter(|c| !c.is_whitespace()).collect();
    if bracketed.starts_with('+')
        && bracketed.contains("(0)")
        && !PHONE_NUMBER_UTIL.is_valid_number(&parsed)
    {
        return Err(NoPhone::Zero);
    }
    let e164 = PHONE_NUMBER_UTIL
        .format(&parsed, PhoneNumberFormat::E164)
        .into_owned();
    // The written number must read back as the same number; otherwise the reading was not certain.
    let again = PHONE_NUMBER_UTIL.parse(&e164, None).ok();
    let again = again.map(|again| {
        PHONE_NUMBER_UTIL
            .format(&again, PhoneNumberFormat::E164)
            .into_owned()
    });
    if !DIGITS.contains(&e164.len().saturating_sub(1)) || again.as_ref() != Some(&e164) {
        return Err(NoPhone::NotPossible);
    }
    Ok(Phone {
        e164,
        extension: Some(found.to_owned()).filter(|found| !found.is_empty()),
    })
}

fn digits_of(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

/// Splits a text into the label before a number, and the number.
fn after_label(token: &str) -> (&str, &str) {
    let start = token.find(|c: char| c.is_ascii_digit() || c == '+' || c == '(');
    // A bracket that holds a word is not part of the number.
    let start = start.map(|at| {
        let rest = token.get(at..).unwrap_or_default();
        let inner = rest.strip_prefix('(').map(str::trim_start);
        if inner.is_some_and(|inner| !inner.starts_with(|c: char| c.is_ascii_digit() || c == '+')) {
            token
                .find(|c: char| c.is_ascii_digit() || c == '+')
                .unwrap_or(at)
        } else {
            at
        }
    });
    token.split_at(start.unwrap_or(0))
}

/// Splits a text into a number and the extension that a label names behind it.
fn split_extension(text: &str) -> (&str, Option<&str>) {
    let trimmed = text.trim_end_matches(|c: char| !c.is_alphanumeric());
    let before = trimmed.trim_end_matches(|c: char| c.is_ascii_digit());
    let extension = trimmed.get(before.len()..).unwrap_or_default();
    let none = (text, None);
    if extension.is_empty() || before.is_empty() {
        return none;
    }
    let label_end = before.trim_end_matches(|c: char| c.is_whitespace() || ".:-=,".contains(c));
    // A sign, or a word.
    let number = if let Some(number) = label_end.strip_suffix(['#', '~']) {
        number
    } else {
        let number = label_end.trim_end_matches(|c: char| c.is_alphabetic() || is_mark(c));
        let label = label_end
            .get(number.len()..)
            .unwrap_or_default()
            .to_lowercase();
        if !EXTENSION_LABELS.contains(&label.as_str()) {
            return none;
        }
        number
    };
    if !number.contains(|c: char| c.is_ascii_digit()) {
        return none;
    }
    let number = number.trim_end_matches(|c: char| c.is_whitespace() || ",;.-(/".contains(c));
    (number, Some(extension))
}

/// True for vowel signs and accents, which are parts of a word.
fn is_mark(c: char) -> bool {
    unicode_normalization::char::is_combining_mark(c)
}

/// `4.47912E+11`: a number as a spreadsheet shows one that is too long for its column.
fn is_rounded(token: &str) -> bool {
    let token = token.trim_start_matches(['+', '\'']);
    let Some((mantissa, exponent)) = token.split_once(['e', 'E']) else {
        return false;
    };
    let (signed, power) = match exponent.strip_prefix('+') {
        Some(power) => (true, power),
        None => (false, exponent),
    };
    let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once(['.', ',']).unwrap_or((mantissa, "0"));
    all_digits(power)
        && power.len() <= 3
        && all_digits(whole)
        && all_digits(fraction)
        && (signed || whole.len() < mantissa.len())
}

/// True for filler digits: at least six equal digits, or a well-known sequence.
fn says_nothing(digits: &str) -> bool {
    let mut all = digits.chars();
    let first = all.next();
    digits.len() >= 6 && all.all(|c| Some(c) == first)
        || [
            "1234567",
            "12345678",
            "123456789",
            "1234567890",
            "0123456789",
        ]
        .contains(&digits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{NoPhone, read};

    fn e164(text: &str, region: Option<&str>) -> Result<String, NoPhone> {
        read(text, region).map(|phone| phone.e164)
    }

    #[test]
    fn a_number_with_a_country_code_keeps_its_digits_whatever_the_region() {
        for region in [
            None,
            Some("US"),
            Some("DE"),
            Some("FR"),
            Some("GB"),
            Some("IT"),
            Some("RU"),
            Some("CI"),
        ] {
            for (text, expected) in [
                ("+49 151 23020522", "+4915123020522"),
                ("+7 812 555 01 23", "+78125550123"),
                ("+39 06 6982 1234", "+390669821234"),
                ("+225 01 23 45 67 89", "+2250123456789"),
                ("+43 1 512 34 56", "+4315123456"),
                ("+43 512 34 56", "+435123456"),
                ("+44 (0)20 7946 0958", "+442079460958"),
                ("+1 (415) 555-2671", "+14155552671"),
            ] {
                assert_eq!(
                    e164(text, region).as_deref(),
                    Ok(expected),
                    "{text} {region:?}"
                );
            }
        }
    }

    #[test]
    fn digits_of_other_scripts_and_marks_around_a_number_are_read() {
        for (text, region, expected) in [
            ("０９０-１２３４-５６７８", "JP", "+819012345678"),
            ("＋８１ ９０ １２３４ ５６７８", "US", "+819012345678"),
            ("٠١٠ ١٢٣٤ ٥٦٧٨", "EG", "+201012345678"),
            ("०९८१२३ ४५६७८", "IN", "+919812345678"),
            ("\u{202a}+49 30 901820\u{202c}", "US", "+4930901820"),
            (
                "+49\u{200b}30\u{a0}90\u{2011}18\u{ad}20",
                "US",
                "+4930901820",
            ),
            ("Tel.: 030 901820", "DE", "+4930901820"),
            ("tel:+49-30-901820", "US", "+4930901820"),
            ("'+49 30 901820", "US", "+4930901820"),
            ("<+49 30 901820>", "US", "+4930901820"),
            ("☎ (030) 901820.", "DE", "+4930901820"),
        ] {
            assert_eq!(e164(text, Some(region)).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn extensions_are_kept_and_tell_numbers_apart() {
        for text in [
            "+1 650 253 0000 x136",
            "+1 650 253 0000 ext. 136",
            "+1 650 253 0000#136",
            "+1 650 253 0000 # 136",
            "+1 650 253 0000;ext=136",
            "+1 650 253 0000 доб. 136",
            "+1 650 253 0000, Durchwahl: 136",
            "+1 650 253 0000 (ext. 136)",
            "+1 650 253 0000 内線136",
            "+1 650 253 0000 poste 136",
            "+16502530000 ext. 136",
        ] {
            let phone = read(text, Some("DE")).unwrap_or_else(|why| panic!("{text}: {why:?}"));
            assert_eq!(phone.written(), "+16502530000 ext. 136", "{text}");
            assert_eq!(phone.normal(), "+16502530000;ext=136", "{text}");
            // The written forms read back as the same number.
            assert_eq!(read(&phone.written(), None), Ok(phone.clone()));
            assert_eq!(read(&phone.normal(), None), Ok(phone));
        }
    }

    #[test]
    fn what_is_not_certain_is_not_read() {
        for (text, region, why) in [
            ("call me", Some("US"), NoPhone::NotOne),
            ("", Some("US"), NoPhone::NotOne),
            ("4.47912E+11", Some("GB"), NoPhone::Rounded),
            ("4,47912e+11", None, NoPhone::Rounded),
            ("+4.47912E11", None, NoPhone::Rounded),
            ("030 901820", None, NoPhone::NoCountry),
            ("0049 30 901820", None, NoPhone::NoCountry),
            ("253 0000", Some("US"), NoPhone::NoAreaCode),
            ("+1 (0) 650 253 0000", Some("US"), NoPhone::NotPossible),
            ("+36 (0)1 234 5678", None, NoPhone::Zero),
            ("030 901820 abends", Some("DE"), NoPhone::Words),
            ("1-800-FLOWERS 12", Some("US"), NoPhone::Words),
            (
                "+49 30 901820 / +49 171 1234567",
                Some("DE"),
                NoPhone::Several,
            ),
            ("030 901820, 017112", Some("DE"), NoPhone::Several),
            ("000 000 0000", Some("US"), NoPhone::SaysNothing),
            ("1234567890", Some("US"), NoPhone::SaysNothing),
        ] {
            assert_eq!(read(text, region), Err(why), "{text} {region:?}");
        }
        assert_eq!(
            read(&"9".repeat(10_000), Some("US")),
            Err(NoPhone::NotPossible)
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_not_and_what_is_read_is_stable(text in "[+0-9０-９()./x# -]{0,24}|\\PC{0,30}", region in "US|DE|IT|AR|BR|RU") {
            if let Ok(phone) = read(&text, Some(&region)) {
                prop_assert_eq!(read(&phone.written(), None), Ok(phone.clone()));
                prop_assert_eq!(read(&phone.normal(), Some("US")), Ok(phone));
            }
        }
    }
}
