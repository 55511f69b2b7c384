//! Phone numbers in normal form.

use rlibphonenumber::{PHONE_NUMBER_UTIL, Region};
use smallvec::SmallVec;

use crate::text;

/// A phone number: the digits of country code and national number, or all known digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Phone {
    /// The digits, at most 15 (E.164).
    pub(crate) digits: u64,
    pub(crate) len: u8,
    /// Number of leading digits that are the country code; 0 if that is not known.
    pub(crate) country: u8,
}

impl Phone {
    /// The last seven digits, if there are so many.
    pub(crate) fn tail(self) -> Option<u64> {
        (self.len >= 7).then_some(self.digits % 10_000_000)
    }

    /// The number within its country, as far as the country is known.
    pub(crate) fn national(self) -> (u64, u8) {
        let len = self.len - self.country;
        (self.digits % 10_u64.pow(u32::from(len)), len)
    }

    pub(crate) fn hash(self) -> u64 {
        text::join(b'p', &[self.national().0])
    }
}

/// Reads a number, without its extension, by the habits of `region` (ISO 3166 alpha-2) if it has no country
/// code.
pub(crate) fn phone(text: &str, region: Option<&str>) -> Option<Phone> {
    // The parser's time grows with its input.
    let text = text.trim();
    if text.len() > 60 {
        return None;
    }
    let text = text
        .find(['x', 'X', ';', '#', 'e', 'E'])
        .map_or(text, |at| text.get(..at).unwrap_or(text));
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    if !(5..=20).contains(&digits) {
        return None;
    }
    let plus;
    let text = if let Some(rest) = text.trim_start().strip_prefix("00") {
        plus = format!("+{rest}");
        plus.as_str()
    } else {
        text
    };
    by_plan(text, region)
        .or_else(|| by_metadata(text, region))
        .or_else(|| by_digits(text))
}

/// A country's way to write its numbers, for countries with one simple way.
struct Plan {
    region: &'static str,
    code: u64,
    /// The prefix of a number inside the country.
    trunk: Trunk,
    /// Minimum and maximum number of digits of a national number.
    digits: (usize, usize),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Trunk {
    None,
    Zero,
    /// North America: the prefix is optional.
    One,
}

const fn plan(region: &'static str, code: u64, trunk: Trunk, digits: (usize, usize)) -> Plan {
    Plan {
        region,
        code,
        trunk,
        digits,
    }
}

/// The countries of most numbers. Reading by the library's expressions takes longer than all other processing
/// of a record; a test compares these plans with its answers.
const PLANS: [Plan; 23] = [
    plan("US", 1, Trunk::One, (10, 10)),
    plan("CA", 1, Trunk::One, (10, 10)),
    plan("GB", 44, Trunk::Zero, (10, 10)),
    plan("DE", 49, Trunk::Zero, (7, 11)),
    plan("FR", 33, Trunk::Zero, (9, 9)),
    plan("NL", 31, Trunk::Zero, (9, 9)),
    plan("BE", 32, Trunk::Zero, (8, 9)),
    plan("CH", 41, Trunk::Zero, (9, 9)),
    plan("AT", 43, Trunk::Zero, (7, 11)),
    plan("SE", 46, Trunk::Zero, (7, 9)),
    plan("IE", 353, Trunk::Zero, (8, 9)),
    plan("AU", 61, Trunk::Zero, (9, 9)),
    plan("IN", 91, Trunk::Zero, (10, 10)),
    plan("IT", 39, Trunk::Zero, (8, 10)),
    plan("BR", 55, Trunk::Zero, (10, 11)),
    plan("TR", 90, Trunk::Zero, (10, 10)),
    plan("ZA", 27, Trunk::Zero, (9, 9)),
    plan("ES", 34, Trunk::None, (9, 9)),
    plan("PT", 351, Trunk::None, (9, 9)),
    plan("DK", 45, Trunk::None, (8, 8)),
    plan("NO", 47, Trunk::None, (8, 8)),
    plan("PL", 48, Trunk::None, (9, 9)),
    plan("CZ", 420, Trunk::None, (9, 9)),
];

/// Reads a number that fits its country's plan; `None` if there is any doubt.
fn by_plan(text: &str, region: Option<&str>) -> Option<Phone> {
    const MOST: usize = 15;
    let (international, text) = match text.strip_prefix('+') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut all = [0_u8; MOST];
    let mut count = 0;
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' => {
                *all.get_mut(count)? = byte - b'0';
                count += 1;
            }
            b' ' | b'-' | b'(' | b')' | b'.' | b'/' => {}
            _ => return None,
        }
    }
    let digits = all.get(..count)?;
    let number = |digits: &[u8]| {
        digits
            .iter()
            .fold(0, |sum, digit| sum * 10 + u64::from(*digit))
    };
    let (plan, national) = if international {
        let of = |plan: &&Plan| {
            let code = usize::from(length(plan.code));
            digits.get(..code).map(number) == Some(plan.code)
        };
        let plan = PLANS.iter().find(of)?;
        let rest = digits.get(usize::from(length(plan.code))..)?;
        // "+44 (0)20"
        let rest = match (plan.trunk, rest.split_first()) {
            (Trunk::Zero, Some((0, rest))) => rest,
            _ => rest,
        };
        (plan, rest)
    } else {
        let plan = PLANS.iter().find(|plan| Some(plan.region) == region)?;
        let rest = match (plan.trunk, digits.split_first()?) {
            (Trunk::Zero, (0, rest)) | (Trunk::One, (1, rest)) => rest,
            (Trunk::Zero, _) => return None,
            _ => digits,
        };
        // A country code without a plus sign is recognised by the library.
        let code = usize::from(length(plan.code));
        if plan.trunk == Trunk::None && digits.get(..code).map(number) == Some(plan.code) {
            return None;
        }
        (plan, rest)
    };
    let begins = *national.first()?;
    let (least, most) = plan.digits;
    // Services, and prefixes that precede a number.
    let special = matches!((plan.code, begins), (_, 0) | (1 | 61, 1) | (55, 9))
        || plan.code == 44 && national.starts_with(&[1, 8, 0, 0]);
    if special || !(least..=most).contains(&national.len()) {
        return None;
    }
    of_country(plan.code, number(national))
}

/// Reads a number by the published numbering plans of all countries.
fn by_metadata(text: &str, region: Option<&str>) -> Option<Phone> {
    // If the number has its country, another one's habits would mislead.
    let region = if text.starts_with('+') { None } else { region };
    let region = region.and_then(|code| code.parse::<Region>().ok());
    if region.is_none() && !text.contains('+') {
        return None;
    }
    let number = PHONE_NUMBER_UTIL.parse(text, region).ok()?;
    let code = u64::try_from(number.country_code).ok()?;
    of_country(code, number.national_number)
}

fn of_country(code: u64, national: u64) -> Option<Phone> {
    let (country, len) = (length(code), length(national).max(1));
    (country + len <= 18 && len >= 5).then(|| Phone {
        digits: code * 10_u64.pow(u32::from(len)) + national,
        len: country + len,
        country,
    })
}

/// Takes all digits, without a known country.
fn by_digits(text: &str) -> Option<Phone> {
    const MOST: usize = 15;
    let digits = text
        .bytes()
        .filter(u8::is_ascii_digit)
        .skip_while(|digit| *digit == b'0')
        .take(MOST)
        .fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    let len = length(digits);
    (len >= 5).then_some(Phone {
        digits,
        len,
        country: 0,
    })
}

fn length(number: u64) -> u8 {
    number.checked_ilog10().map_or(0, |log| log as u8 + 1)
}

/// The part of two numbers that is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SameNumber {
    No,
    /// All but the last digits: of one switchboard, or one exchange.
    Block,
    /// One digit differs, or two are swapped.
    Near,
    /// The same last seven digits, if both have more.
    Tail,
    /// The same number within the country.
    Yes,
}

pub(crate) fn same_number(a: Phone, b: Phone) -> SameNumber {
    let ((a_national, a_len), (b_national, b_len)) = (a.national(), b.national());
    if a.digits == b.digits || a_national == b_national {
        return SameNumber::Yes;
    }
    // If one has no country, area or trunk code, it is the end of the other.
    let (short, long, len) = if a_len <= b_len {
        (a_national, b_national, a_len)
    } else {
        (b_national, a_national, b_len)
    };
    if len >= 7 && long % 10_u64.pow(u32::from(len)) == short {
        return SameNumber::Yes;
    }
    if len >= 7 && a_national % 10_000_000 == b_national % 10_000_000 {
        return SameNumber::Tail;
    }
    if a_len != b_len {
        return SameNumber::No;
    }
    let digit = |number: u64, at: u32| number / 10_u64.pow(at) % 10;
    let differ: SmallVec<[u32; 16]> = (0..u32::from(a_len))
        .filter(|at| digit(a_national, *at) != digit(b_national, *at))
        .collect();
    match *differ {
        [_] => SameNumber::Near,
        [one, next]
            if next == one + 1
                && digit(a_national, one) == digit(b_national, next)
                && digit(a_national, next) == digit(b_national, one) =>
        {
            SameNumber::Near
        }
        [.., last] if last < 4 => SameNumber::Block,
        _ => SameNumber::No,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use rlibphonenumber::{PHONE_NUMBER_UTIL, Region};

    use super::{PLANS, Phone, SameNumber, by_plan, of_country, phone, same_number};

    fn number(text: &str, region: Option<&str>) -> Phone {
        phone(text, region).unwrap()
    }

    proptest! {
        #[test]
        fn what_is_read_by_plan_is_read_as_the_library_reads_it(
            plan in 0..PLANS.len(),
            digits in "[0-9]{6,12}",
            form in 0..5,
            gap in "[ ./-]?",
            at in 1..5_usize,
        ) {
            let plan = &PLANS[plan];
            let (head, tail) = digits.split_at(at);
            let text = match form {
                0 => format!("+{} {head}{gap}{tail}", plan.code),
                1 => format!("+{}{gap}(0){head}{gap}{tail}", plan.code),
                2 => format!("({head}) {tail}"),
                3 => format!("0{head}{gap}{tail}"),
                _ => format!("1{gap}{head}{gap}{tail}"),
            };
            // The library reads by the habits of the region that it is given.
            let region: Region = plan.region.parse().unwrap();
            let read = by_plan(&text, Some(plan.region));
            if let (Some(read), Ok(number)) = (read, PHONE_NUMBER_UTIL.parse(&text, Some(region))) {
                let national = number.national_number;
                let code = u64::try_from(number.country_code).unwrap();
                prop_assert_eq!(Some(read), of_country(code, national), "{}", text);
            }
        }
    }

    #[test]
    fn numbers_are_read_with_and_without_country_code() {
        let pairs = [
            (
                "+1 512 453 4211",
                Some("US"),
                "(512) 453-4211 x12",
                Some("US"),
            ),
            ("+4420 7946 0958", None, "020 7946 0958", Some("GB")),
            ("0049 30 123456", None, "+49 (0)30 123456", None),
            ("415-386-5758", None, "415/386-5758", None),
            ("+49 151 23456789", Some("US"), "0151 23456789", Some("DE")),
            ("5345475", None, "(773) 534-5475", Some("US")),
        ];
        for (a, in_a, b, in_b) in pairs {
            assert_eq!(
                same_number(number(a, in_a), number(b, in_b)),
                SameNumber::Yes,
                "{a} {b}"
            );
        }
    }

    #[test]
    fn numbers_may_be_a_digit_or_an_exchange_apart() {
        let same = |a: &str, b: &str| same_number(number(a, Some("US")), number(b, Some("US")));
        assert_eq!(same("512-453-4211", "512-453-4212"), SameNumber::Near);
        assert_eq!(
            same("512-453-4211", "512-453-2411"),
            SameNumber::Near,
            "two digits are swapped"
        );
        assert_eq!(same("512-453-4211", "512-453-7890"), SameNumber::Block);
        assert_eq!(same("512-453-4211", "737-453-4211"), SameNumber::Tail);
        assert_eq!(same("512-453-4211", "212-555-0134"), SameNumber::No);
        assert_eq!(phone("123", None), None);
        assert_eq!(phone(&"9".repeat(10_000), None), None);
    }
}
