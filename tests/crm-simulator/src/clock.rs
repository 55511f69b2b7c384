//! The simulator's time: the system's, shifted, or standing still until a test moves it.

use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// The source of the time.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case")]
pub(crate) enum Source {
    /// The machine's clock, plus a shift.
    System {
        /// Milliseconds added.
        shift_ms: i64,
    },
    /// Standing still.
    #[default]
    #[serde(skip)]
    Unset,
    /// Standing still at this time.
    Fixed {
        /// Milliseconds since 1970.
        now_ms: i64,
    },
}

/// A clock that tests can set.
#[derive(Debug)]
pub(crate) struct Clock(Mutex<Source>);

impl Clock {
    pub(crate) fn new(source: Source) -> Self {
        Self(Mutex::new(source))
    }

    pub(crate) fn now_ms(&self) -> i64 {
        match self.source() {
            Source::System { shift_ms } => system_ms() + shift_ms,
            Source::Unset => system_ms(),
            Source::Fixed { now_ms } => now_ms,
        }
    }

    pub(crate) fn source(&self) -> Source {
        match *crate::state::lock(&self.0) {
            Source::Unset => Source::System { shift_ms: 0 },
            source => source,
        }
    }

    pub(crate) fn set(&self, source: Source) {
        *crate::state::lock(&self.0) = source;
    }

    pub(crate) fn advance(&self, ms: i64) {
        let next = match self.source() {
            Source::System { shift_ms } => Source::System {
                shift_ms: shift_ms + ms,
            },
            Source::Fixed { now_ms } => Source::Fixed {
                now_ms: now_ms + ms,
            },
            Source::Unset => Source::System { shift_ms: ms },
        };
        self.set(next);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is where the machine's time enters"
)]
fn system_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .unwrap_or(0)
}

/// `2026-11-21T22:05:41.000+0000`, whole seconds: Salesforce's format.
pub(crate) fn salesforce_time(ms: i64) -> String {
    format_ms(ms, "%Y-%m-%dT%H:%M:%S.000+0000")
}

/// `2026-11-21T22:05:41Z`: Dataverse's format.
pub(crate) fn dataverse_time(ms: i64) -> String {
    format_ms(ms, "%Y-%m-%dT%H:%M:%SZ")
}

/// Formats in UTC; an empty string for a time out of range.
pub(crate) fn format_ms(ms: i64, pattern: &str) -> String {
    jiff::Timestamp::from_millisecond(ms)
        .map(|time| time.strftime(pattern).to_string())
        .unwrap_or_default()
}

/// Reads a date and time with an offset (`Z`, `+00:00` or `+0000`).
pub(crate) fn parse_time(text: &str) -> Option<i64> {
    if text.len() < 20 || text.as_bytes().get(10) != Some(&b'T') {
        return None;
    }
    if let Some(ms) = parse_utc(text) {
        return Some(ms);
    }
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Some(time.as_millisecond());
    }
    // An offset without a colon.
    let (head, tail) = text.split_at_checked(text.len().checked_sub(2)?)?;
    format!("{head}:{tail}")
        .parse::<jiff::Timestamp>()
        .ok()
        .map(jiff::Timestamp::as_millisecond)
}

/// Reads the form that both systems write, fast: every row of a table is compared by it.
fn parse_utc(text: &str) -> Option<i64> {
    let head = text
        .strip_suffix('Z')
        .or_else(|| text.strip_suffix("+0000"))?;
    let (head, fraction) = head.split_at_checked(19)?;
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = head.get(from..to)?;
        let plain = digits.bytes().all(|c| c.is_ascii_digit());
        plain.then(|| digits.parse().ok())?
    };
    let signs = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if signs
        .iter()
        .any(|(at, sign)| head.as_bytes().get(*at) != Some(sign))
    {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let ms = match fraction.strip_prefix('.') {
        None if fraction.is_empty() => 0,
        Some(digits) if digits.len() == 3 && digits.bytes().all(|c| c.is_ascii_digit()) => {
            digits.parse().ok()?
        }
        _ => return None,
    };
    // Days that not every month has are left to the thorough reader.
    if !(1..=12).contains(&month) || !(1..=28).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // Days since 1970 in the calendar that begins its years in March.
    let shifted = if month > 2 { year } else { year - 1 };
    let (era, of_era) = (shifted.div_euclid(400), shifted.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Some((days * 86_400 + hour * 3600 + minute * 60 + second) * 1000 + ms)
}

/// True if the text is a calendar date, `YYYY-MM-DD`.
pub(crate) fn is_date(text: &str) -> bool {
    text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::{parse_time, parse_utc};

    #[test]
    fn the_fast_reader_agrees_with_the_thorough_one() {
        for text in [
            "1970-01-01T00:00:00Z",
            "2000-02-28T23:59:59.999+0000",
            "2024-03-01T12:30:15.000+0000",
            "2026-12-28T01:02:03Z",
            "1969-07-20T20:17:40Z",
        ] {
            let plain = text.replace("+0000", "Z");
            let thorough: jiff::Timestamp = plain.parse().unwrap();
            assert_eq!(parse_utc(text), Some(thorough.as_millisecond()), "{text}");
        }
        for text in [
            "2026-02-30T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
        ] {
            assert_eq!(parse_time(text), None, "{text}");
        }
        assert_eq!(
            parse_time("2024-02-29T00:00:00.000+0000"),
            Some(1_709_164_800_000)
        );
        assert_eq!(
            parse_time("2026-01-01T02:00:00+02:00"),
            Some(1_767_225_600_000)
        );
    }
}
