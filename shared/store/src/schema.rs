//! The table's shape, in one place: the template, the local stack and the tests read it here.

use super::keys;

/// Partition and sort key.
pub const TABLE_KEYS: (&str, &str) = ("PK", "SK");

/// An index of the table. It holds the keys of its items and the attributes named in `includes`, and nothing
/// else: other attributes have to be read from the item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Index {
    /// Its name.
    pub name: &'static str,
    /// The attribute that is its partition key. Items without it are not in the index.
    pub partition: &'static str,
    /// The attribute that is its sort key.
    pub sort: &'static str,
    /// Attributes beside the keys.
    pub includes: &'static [&'static str],
}

/// Every index.
///
/// - `GSI1`: lists. A contract's submissions by time, with the attributes that the list filters by; its seats
///   and tokens; all contracts, for the schedules.
/// - `GSI2`: open work, sparse. Submissions that continue automatically, by the time they are due;
///   submissions that need a person, by the time they failed; runs that have work to do.
pub const INDEXES: &[Index] = &[keys::LISTS, keys::OPEN_WORK];

/// Seconds since the epoch after which DynamoDB may delete an item. It deletes late: readers
/// compare it with their own clock.
pub const TTL_ATTRIBUTE: &str = "expires_at";

/// True if items of that partition hold personal data: a name, an address, a number, an answer. Ids do not
/// count. `None` if the table has no such partition. Exports and erasures rely on it.
#[must_use]
pub fn holds_person(partition_key: &str) -> Option<bool> {
    keys::holds_person(partition_key)
}
