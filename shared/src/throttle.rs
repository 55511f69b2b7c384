//! Counting in this process: the number of calls in the current minute.
//!
//! Each process counts separately, so the effective limit is multiplied by the number of processes. That is
//! enough to keep one caller from taking everything, at no cost; exact counts are kept in the table.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use crate::clock::Millis;

/// Maximum number of keys counted at once: they come from outside.
const MAX_KEYS: usize = 10_000;

/// A count by key for each minute.
pub struct Throttle<K> {
    limit: u32,
    counts: Mutex<(i64, HashMap<K, u32>)>,
}

impl<K: Eq + Hash> Throttle<K> {
    /// Creates a count that lets `limit` through each minute for each key.
    #[must_use]
    pub fn new(limit: u32) -> Self {
        Self {
            limit,
            counts: Mutex::default(),
        }
    }

    /// Counts one more.
    ///
    /// # Errors
    /// Returns the seconds to the end of the minute if the limit was reached before.
    pub fn take(&self, key: K, now: Millis) -> Result<(), u32> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let minute = minute(now);
        if counts.0 != minute || counts.1.len() >= MAX_KEYS {
            *counts = (minute, HashMap::new());
        }
        let count = counts.1.entry(key).or_default();
        if *count >= self.limit {
            return Err(seconds_left(now));
        }
        *count += 1;
        Ok(())
    }
}

/// The minute of a time.
#[must_use]
pub fn minute(now: Millis) -> i64 {
    now.0.div_euclid(60_000)
}

/// Seconds until the next minute begins: 1 to 60.
#[must_use]
pub fn seconds_left(now: Millis) -> u32 {
    let left = 60_000 - now.0.rem_euclid(60_000);
    u32::try_from((left + 999) / 1000).unwrap_or(60)
}

#[cfg(test)]
mod tests {
    use super::Throttle;
    use crate::clock::Millis;

    #[test]
    fn each_key_has_its_limit_in_each_minute() {
        let throttle = Throttle::new(2);
        for _ in 0..2 {
            throttle.take("a", Millis(59_000)).unwrap();
        }
        assert_eq!(throttle.take("a", Millis(59_001)), Err(1));
        assert_eq!(throttle.take("b", Millis(59_001)), Ok(()));
        assert_eq!(throttle.take("a", Millis(60_000)), Ok(()));
        throttle.take("a", Millis(60_000)).unwrap();
        assert_eq!(throttle.take("a", Millis(60_000)), Err(60));
    }

    #[test]
    fn keys_from_outside_do_not_fill_the_memory() {
        let throttle = Throttle::new(1);
        for key in 0..25_000 {
            throttle.take(key, Millis(0)).unwrap();
        }
        assert!(throttle.counts.lock().unwrap().1.len() <= super::MAX_KEYS);
    }
}
