//! Instants and days as the CRMs write them.
//!
//! Salesforce's REST API writes `2013-05-20T20:49:32.000+0000`, its Bulk API
//! `2013-05-20T20:49:32.000Z`, Dataverse `2024-06-12T14:13:17Z`. Days have no time zone and are
//! never moved.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::Offset;

use crate::clock::Millis;

/// Parses an instant with an offset: `Z`, `+0000`, `+00:00`. Fractions finer than a millisecond are cut off.
#[must_use]
pub fn instant(text: &str) -> Option<Millis> {
    let (day, rest) = text.split_at_checked(10)?;
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (clock, rest) = rest.split_at_checked(8)?;
    let time = clock_time(clock)?;
    let (millis, zone) = match rest.strip_prefix('.') {
        None => (0, rest),
        Some(rest) => {
            let end = rest.find(|c: char| !c.is_ascii_digit())?;
            let (digits, zone) = rest.split_at_checked(end)?;
            (thousandths(digits)?, zone)
        }
    };
    let at = Offset::UTC
        .to_timestamp(DateTime::from_parts(date(day)?, time))
        .ok()?;
    Some(Millis(
        at.as_millisecond() + millis - offset_seconds(zone)? * 1000,
    ))
}

/// Parses a day: `2026-02-28`, also if a midnight follows it.
#[must_use]
pub fn date(text: &str) -> Option<Date> {
    let (day, rest) = text.split_at_checked(10)?;
    if !rest.is_empty() && !rest.starts_with("T00:00:00") {
        return None;
    }
    let mut parts = day.split('-');
    let (year, month, of_month) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || year.len() != 4 || month.len() != 2 {
        return None;
    }
    let small = |text: &str| i8::try_from(digits(text)?).ok();
    let year = i16::try_from(digits(year)?).ok()?;
    Date::new(year, small(month)?, small(of_month)?).ok()
}

fn clock_time(text: &str) -> Option<Time> {
    let mut parts = text.split(':');
    let mut next = || {
        let part = parts.next().filter(|part| part.len() == 2)?;
        i8::try_from(digits(part)?).ok()
    };
    Time::new(next()?, next()?, next()?, 0).ok()
}

/// Milliseconds of a fraction's digits.
fn thousandths(text: &str) -> Option<i64> {
    let (kept, finer) = text.split_at_checked(text.len().min(3))?;
    if kept.is_empty() || finer.len() > 9 {
        return None;
    }
    let scale = [1, 100, 10, 1].get(kept.len())?;
    Some(digits(kept)? * scale)
}

fn offset_seconds(text: &str) -> Option<i64> {
    if text == "Z" || text == "z" {
        return Some(0);
    }
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let rest = text.get(1..)?;
    let (hours, minutes) = match rest.len() {
        4 => rest.split_at_checked(2)?,
        5 => rest.split_once(':').filter(|(hours, _)| hours.len() == 2)?,
        _ => return None,
    };
    let (hours, minutes) = (digits(hours)?, digits(minutes)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// Parses a whole number of ASCII digits only.
fn digits(text: &str) -> Option<i64> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{date, instant};
    use crate::clock::Millis;

    #[test]
    fn every_form_of_an_instant_is_the_same_instant() {
        for text in [
            "2013-05-20T20:49:32.000+0000",
            "2013-05-20T20:49:32.000Z",
            "2013-05-20T20:49:32Z",
            "2013-05-20T20:49:32+00:00",
            "2013-05-20T22:49:32.000+0200",
            "2013-05-20T15:19:32-05:30",
            "2013-05-20T20:49:32.0004999Z",
        ] {
            assert_eq!(instant(text), Some(Millis(1_369_082_972_000)), "{text}");
        }
        assert_eq!(
            instant("2013-05-20T20:49:32.5Z"),
            Some(Millis(1_369_082_972_500))
        );
        for strange in [
            "",
            "2013-05-20",
            "2013-05-20T20:49:32",
            "2013-05-20T20:49:32.",
            "2013-05-20T20:49:32.Z",
            "2013-05-20T20:49Z",
            "2013-02-30T20:49:32Z",
            "2013-05-20T24:00:00Z",
            "2013-05-20T20:49:32+24:00",
            "+013-05-20T20:49:32Z",
            "2013-05-20T+1:49:32Z",
            "２013-05-20T20:49:32Z",
        ] {
            assert_eq!(instant(strange), None, "{strange}");
        }
    }

    #[test]
    fn a_day_is_not_moved() {
        let day = Some(jiff::civil::date(2026, 2, 28));
        assert_eq!(date("2026-02-28"), day);
        assert_eq!(date("2026-02-28T00:00:00Z"), day);
        for strange in [
            "2026-02-29",
            "2026-2-28",
            "26-02-2028",
            "2026-02-28T10:00:00Z",
        ] {
            assert_eq!(date(strange), None, "{strange}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(ms in 0_i64..4_102_444_800_000) {
            let text = Millis(ms).to_string();
            prop_assert_eq!(instant(&text), Some(Millis(ms)));
            prop_assert_eq!(instant(&text.replace('Z', "+0000")), Some(Millis(ms)));
            prop_assert_eq!(instant(&text.replace('Z', "+00:00")), Some(Millis(ms)));
        }

        #[test]
        fn any_text_is_read_or_not(text in "\\PC{0,32}") {
            let _ = (instant(&text), date(&text));
        }

        #[test]
        fn near_instants_are_read_as_they_are_written_or_not(
            text in "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,6})?(Z|[+-][0-9]{2}:?[0-9]{2})"
        ) {
            // The other parser is jiff's, which requires a colon in the offset.
            let mut plain = text.clone();
            if !plain.ends_with('Z') && plain.as_bytes()[plain.len() - 3] != b':' {
                plain.insert(plain.len() - 2, ':');
            }
            let theirs = plain.parse::<jiff::Timestamp>().ok().map(|at| at.as_nanosecond().div_euclid(1_000_000));
            if let (Some(ours), Some(theirs)) = (instant(&text), theirs) {
                prop_assert_eq!(i128::from(ours.0), theirs);
            }
        }
    }
}
