//! Time as a port: nothing else in the workspace asks the machine for the time.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An instant: milliseconds since 1970-01-01T00:00:00Z. The unit of every stored time.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Millis(pub i64);

impl Millis {
    /// This instant moved by `seconds` (negative moves it back), saturating.
    #[must_use]
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1000)))
    }

    /// Whole seconds since the epoch: the unit of DynamoDB's time to live.
    #[must_use]
    pub const fn epoch_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Milliseconds from `earlier` to this instant (negative when it lies before).
    #[must_use]
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Millis {
    /// The instant as a date of an HTTP header (RFC 9110), without its fraction of a second.
    #[must_use]
    pub fn http_date(self) -> String {
        let instant = jiff::Timestamp::from_millisecond(self.0).unwrap_or_default();
        instant.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
    }
}

/// RFC 3339 in UTC, as people read it in answers and errors.
impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(timestamp) => write!(f, "{timestamp:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

/// The source of the current time.
pub trait Clock: Send + Sync {
    /// The current instant.
    fn now(&self) -> Millis;
}

#[cfg(test)]
mod tests {
    use super::Millis;

    #[test]
    fn an_instant_reads_as_rfc_3339() {
        assert_eq!(
            Millis(1_689_894_599_288).to_string(),
            "2023-07-20T23:09:59.288Z"
        );
        assert_eq!(Millis(0).plus_seconds(1).0, 1000);
        assert_eq!(
            Millis(1_689_894_599_288).http_date(),
            "Thu, 20 Jul 2023 23:09:59 GMT"
        );
    }
}
