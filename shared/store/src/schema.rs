//! The table's shape, in one place: the template, the local stack and the tests read it here.

use super::keys;

/// Partition and sort key.
pub const TABLE_KEYS: (&str, &str) = ("PK", "SK");

/// An index of the table. It holds the keys of the items in it, the attributes named in `includes`, and
/// nothing else: who needs more of an item reads the item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Index {
    /// Its name.
    pub name: &'static str,
    /// The attribute that is its partition key. An item without it is not in the index.
    pub partition: &'static str,
    /// The attribute that is its sort key.
    pub sort: &'static str,
    /// Attributes beside the keys.
    pub includes: &'static [&'static str],
}

/// Every index.
///
/// - `GSI1`: lists. A contract's submissions by time, with what the list filters by; its seats and tokens;
///   all contracts, for the schedules.
/// - `GSI2`: open work, sparse. Submissions that go on by themselves, by when they are due; submissions
///   that need a person, by when they failed; runs that have work to do.
pub const INDEXES: &[Index] = &[keys::LISTS, keys::OPEN_WORK];

/// Seconds since the epoch after which DynamoDB may delete an item. It deletes late: readers
/// compare it with their own clock.
pub const TTL_ATTRIBUTE: &str = "expires_at";

/// Whether items of that partition hold what tells of a person: a name, an address, a number, an answer.
/// Ids do not count. `None` where the table has no such partition. An export or an erasure goes by it.
#[must_use]
pub fn holds_person(partition_key: &str) -> Option<bool> {
    keys::holds_person(partition_key)
}
