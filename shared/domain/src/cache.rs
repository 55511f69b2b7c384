//! Values kept in the process for a short time: configuration that changes by hand is not read
//! from the table for every event.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use crate::clock::Millis;

/// Most entries of a cache: keys come from outside.
const MAX_ENTRIES: usize = 10_000;

/// A map whose entries are fresh for a time.
pub struct TtlCache<K, V> {
    fresh_ms: i64,
    most: usize,
    entries: Mutex<HashMap<K, (Millis, V)>>,
}

impl<K: Eq + Hash, V: Clone> TtlCache<K, V> {
    /// A cache whose entries are fresh for `fresh_seconds`.
    #[must_use]
    pub fn new(fresh_seconds: i64) -> Self {
        Self::of_at_most(MAX_ENTRIES, fresh_seconds)
    }

    /// A cache of large values: at most so many.
    #[must_use]
    pub fn of_at_most(most: usize, fresh_seconds: i64) -> Self {
        Self {
            fresh_ms: fresh_seconds * 1000,
            most,
            entries: Mutex::default(),
        }
    }

    /// The value and its age in milliseconds, while it is fresh.
    pub fn get(&self, key: &K, now: Millis) -> Option<(V, i64)> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, value) = entries.get(key)?;
        let age = now.since(*at);
        (0..self.fresh_ms)
            .contains(&age)
            .then(|| (value.clone(), age))
    }

    /// Keeps a value.
    pub fn put(&self, key: K, value: V, now: Millis) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= self.most {
            entries.clear();
        }
        entries.insert(key, (now, value));
    }

    /// Forgets a value.
    pub fn forget(&self, key: &K) {
        self.entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(key);
    }
}
