//! Dates as people and systems write them.

use crate::text;

/// A day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    fn new(year: u32, month: u32, day: u32) -> Option<Self> {
        let (year, month, day) = (
            u16::try_from(year).ok()?,
            u8::try_from(month).ok()?,
            u8::try_from(day).ok()?,
        );
        let real =
            (1..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
        // Dates that systems write for unknown ones.
        let nothing = matches!((year, month, day), (1900 | 1970 | 1, 1, 1) | (9999, 12, 31));
        (real && !nothing).then_some(Self { year, month, day })
    }

    pub(crate) fn hash(self) -> u64 {
        text::join(
            b'b',
            &[
                u64::from(self.year),
                u64::from(self.month),
                u64::from(self.day),
            ],
        )
    }
}

/// The first letters of months in English, German, French, Spanish, Italian, Dutch and Portuguese.
const MONTHS: [&[&str]; 12] = [
    &["jan", "ene", "gen"],
    &["feb", "fev"],
    &["mar", "mrz", "maa"],
    &["apr", "avr", "abr"],
    &["may", "mai", "mag", "mei"],
    &["jun", "juin", "giu"],
    &["jul", "juil", "lug"],
    &["aug", "aou", "ago"],
    &["sep", "set"],
    &["oct", "okt", "ott", "out"],
    &["nov"],
    &["dec", "dez", "dic"],
];

fn month(word: &str) -> Option<u32> {
    // June and July begin alike in French.
    let begins = |names: &&[&str]| names.iter().any(|name| word.starts_with(name));
    let at = MONTHS.iter().position(begins)?;
    u32::try_from(at + 1).ok()
}

/// Reads a date. In `03/04/1980` the month comes first in the United States and the day elsewhere. The time
/// of day behind a date is ignored.
pub(crate) fn read(text: &str, region: Option<&str>) -> Option<Date> {
    // "1980-03-14T00:00:00Z"
    let day = text
        .split_once('T')
        .filter(|(_, time)| time.starts_with(|c: char| c.is_ascii_digit()))
        .map_or(text, |(day, _)| day);
    let folded = text::fold(day);
    let mut numbers: Vec<(u32, usize)> = Vec::new();
    let mut named = None;
    for word in folded.split(' ').filter(|word| !word.is_empty()).take(4) {
        let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        if digits.is_empty() {
            named = named.or_else(|| month(word));
        } else if let Ok(number) = digits.parse() {
            numbers.push((number, digits.len()));
        }
    }
    let year = |(number, digits): (u32, usize)| match (number, digits) {
        (0..=29, 2) => number + 2000,
        (_, 2) => number + 1900,
        _ => number,
    };
    match (numbers.as_slice(), named) {
        ([(whole, 8), ..], None) => Date::new(whole / 10_000, whole / 100 % 100, whole % 100),
        ([(y, 4), (m, _), (d, _), ..], None) => Date::new(*y, *m, *d),
        ([one, other, y, ..], None) => {
            let (month_first, other_way) = (
                Date::new(year(*y), one.0, other.0),
                Date::new(year(*y), other.0, one.0),
            );
            if region == Some("US") {
                month_first.or(other_way)
            } else {
                other_way.or(month_first)
            }
        }
        ([(y, 4), (d, _)], Some(m)) => Date::new(*y, m, *d),
        ([(d, _), y, ..], Some(m)) => Date::new(year(*y), m, *d),
        _ => None,
    }
}

/// The similarity of two dates: 3 the same, 2 nearly (day and month swapped, or one of the three parts
/// differs), 1 different.
pub(crate) const fn same(a: Date, b: Date) -> u8 {
    if a.year == b.year && a.month == b.month && a.day == b.day {
        return 3;
    }
    let swapped = a.year == b.year && a.month == b.day && a.day == b.month;
    let equal = (a.year == b.year) as u8 + (a.month == b.month) as u8 + (a.day == b.day) as u8;
    if swapped || equal == 2 { 2 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::{read, same};

    #[test]
    fn dates_are_read_as_they_are_written() {
        let date = read("1980-03-14", None);
        assert!(date.is_some());
        for text in [
            "19800314",
            "14.03.1980",
            "14/3/1980",
            "14.3.80",
            "14 March 1980",
            "March 14th, 1980",
            "14. März 1980",
            "1980-03-14T00:00:00Z",
            "14 mars 1980",
            "1980-03-14 12:30:00",
        ] {
            assert_eq!(read(text, None), date, "{text}");
        }
        assert_eq!(read("14 August 1980", None), read("1980-08-14", None));
        assert_eq!(read("03/14/1980", Some("US")), date);
        assert_ne!(
            read("03/04/1980", Some("US")),
            read("03/04/1980", Some("GB"))
        );
        for text in [
            "",
            "n/a",
            "1900-01-01",
            "1980",
            "99/99/1980",
            "0000-00-00",
            "14",
        ] {
            assert_eq!(read(text, None), None, "{text}");
        }
    }

    #[test]
    fn dates_differ_by_a_part_or_altogether() {
        let compare = |a: &str, b: &str| {
            let (a, b) = (read(a, None).unwrap(), read(b, None).unwrap());
            assert_eq!(same(a, b), same(b, a));
            same(a, b)
        };
        assert_eq!(compare("1980-03-14", "14.03.1980"), 3);
        assert_eq!(compare("1980-03-04", "1980-04-03"), 2);
        assert_eq!(compare("1980-03-14", "1981-03-14"), 2);
        assert_eq!(compare("1980-03-14", "1962-11-02"), 1);
    }
}
