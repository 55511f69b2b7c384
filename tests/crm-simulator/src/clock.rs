//! The simulator's time: the system's, shifted, or standing still until told to move.

use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Where the time comes from.
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

/// A clock that can be told.
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

/// `2026-11-21T22:05:41.000+0000`, whole seconds: what Salesforce writes.
pub(crate) fn salesforce_time(ms: i64) -> String {
    format_ms(ms, "%Y-%m-%dT%H:%M:%S.000+0000")
}

/// `2026-11-21T22:05:41Z`: what Dataverse writes.
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

/// Whether the text is a calendar date, `YYYY-MM-DD`.
pub(crate) fn is_date(text: &str) -> bool {
    text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok()
}
