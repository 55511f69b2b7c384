//! The table's shape, in one place: the template, the local stack and the tests read it here.

/// Partition and sort key.
pub const TABLE_KEYS: (&str, &str) = ("PK", "SK");

/// Name, partition key and sort key of each index. All project all attributes.
///
/// - `GSI1`: lists. A contract's submissions by time; all contracts, for the schedules.
/// - `GSI2`: open work, sparse. Submissions that go on by themselves, by when they are due;
///   submissions that need a person, by when they failed.
pub const INDEXES: &[(&str, &str, &str)] =
    &[("GSI1", "GSI1PK", "GSI1SK"), ("GSI2", "GSI2PK", "GSI2SK")];

/// Seconds since the epoch after which DynamoDB may delete an item. It deletes late: readers
/// compare it with their own clock.
pub const TTL_ATTRIBUTE: &str = "expires_at";
