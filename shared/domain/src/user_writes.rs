//! Records that seat holders create and update in the CRM as themselves (LC): the month's limits, and the plan
//! that is stored before a write.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::Millis;
use crate::directory::RecordRef;
use crate::ids::{self, ContractId};
use crate::problem::Problem;
use crate::schema::CrmKind;
use crate::vocabulary::vocabulary;

/// Maximum number of records that a seat holder creates in a calendar month, and of those updated (LC-5).
pub const MONTHLY_LIMIT: u32 = 1_000;

/// The kind of record that a seat holder writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum PersonObject {
    /// A lead.
    Lead,
    /// A contact.
    Contact,
}

impl PersonObject {
    /// The name in answers and codes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lead => "lead",
            Self::Contact => "contact",
        }
    }

    /// The CRM's name for it.
    #[must_use]
    pub fn object(self, crm: CrmKind) -> &'static str {
        match self {
            Self::Lead => vocabulary(crm).lead.name,
            Self::Contact => vocabulary(crm).contact.name,
        }
    }

    /// The kind of a record of the CRM; `None` for a record that is no person.
    #[must_use]
    pub fn of(crm: CrmKind, object: &str) -> Option<Self> {
        let known = [Self::Lead, Self::Contact];
        known.into_iter().find(|kind| kind.object(crm) == object)
    }
}

/// The kind of write that a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WriteKind {
    /// New records.
    Create,
    /// Changed records.
    Update,
}

impl WriteKind {
    /// The name in the table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
        }
    }
}

/// A calendar month in UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Month {
    /// Its name: `2026-11`.
    pub name: String,
    /// The beginning of the next one.
    pub ends: Millis,
}

impl Month {
    /// The month of an instant.
    #[must_use]
    pub fn of(at: Millis) -> Self {
        let instant = Timestamp::from_millisecond(at.0).unwrap_or_default();
        let first = instant.to_zoned(TimeZone::UTC).date().first_of_month();
        let next = first.saturating_add(1.month());
        let ends = next.to_zoned(TimeZone::UTC).map(|next| next.timestamp());
        Self {
            name: first.strftime("%Y-%m").to_string(),
            ends: ends.map_or(at, |ends| Millis(ends.as_millisecond())),
        }
    }
}

/// The numbers of records that a seat holder wrote in a month, with those that are being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Used {
    /// Created.
    pub creates: u32,
    /// Updated.
    pub updates: u32,
}

/// A write as it is stored before the CRM is called, and its result. A request that is sent again with the
/// same key meets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserWrite {
    /// Hash of the content, by which a key that is used for something else is told.
    pub digest: String,
    /// Time of the first attempt.
    pub planned_at: Millis,
    /// Number of attempts.
    pub attempts: u32,
    /// The end of the time in which one request works on it.
    pub lease_until: Millis,
    /// The start of the attempt that holds it. Once that attempt has given it back, that of the last one before
    /// which died; zero if none did.
    #[serde(default)]
    pub taken_at: Millis,
    /// The start of the last attempt before that died instead of giving it back; zero if none did.
    #[serde(default)]
    pub left_at: Millis,
    /// The values that an update found at its first attempt, in JSON, for the audit log.
    #[serde(default)]
    pub before: String,
    /// The record, once it is written.
    #[serde(default)]
    pub done: Option<RecordRef>,
}

/// The outcome of the attempt to take a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TakenWrite {
    /// It is the caller's until its lease ends.
    Mine(UserWrite),
    /// It was carried out before, and made or changed that record.
    Done(RecordRef, UserWrite),
    /// Another request works on it until that time.
    Busy(Millis),
    /// The key was used with other content.
    OtherContent,
}

/// The problem of a limit that is reached.
#[must_use]
pub fn limit_reached(kind: WriteKind, month: &Month, now: Millis) -> Problem {
    let done = match kind {
        WriteKind::Create => "created",
        WriteKind::Update => "updated",
    };
    let day: String = month.ends.to_string().chars().take(10).collect();
    let seconds = month.ends.since(now).max(0) / 1000;
    Problem::new(
        429,
        "monthly_limit",
        format!("You have {done} {MONTHLY_LIMIT} records in the CRM this month: it is the most."),
        format!("Go on from {day} (UTC)."),
    )
    .with_retry_after(u32::try_from(seconds).unwrap_or(u32::MAX))
}

/// The problem of a request that is being carried out by another call with the same key.
#[must_use]
pub fn in_progress(until: Millis, now: Millis) -> Problem {
    let seconds = (until.since(now).max(0) / 1000).saturating_add(1);
    Problem::new(
        409,
        "write_in_progress",
        "This is being carried out already, or its outcome is not known yet.",
        "Send the same request again a little later.",
    )
    .with_retry_after(u32::try_from(seconds).unwrap_or(u32::MAX))
}

/// The id of a write: of a creation by the client's key, of an update by its content.
#[must_use]
pub fn write_id(contract: &ContractId, kind: WriteKind, parts: &[&str]) -> Uuid {
    ids::identity(contract, &format!("user write/{}", kind.as_str()), parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Millis {
        Millis(text.parse::<Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn a_month_ends_where_the_next_begins() {
        for (now, name, ends) in [
            ("2026-11-01T00:00:00Z", "2026-11", "2026-12-01T00:00:00Z"),
            (
                "2026-12-31T23:59:59.999Z",
                "2026-12",
                "2027-01-01T00:00:00Z",
            ),
            ("2028-02-29T12:00:00Z", "2028-02", "2028-03-01T00:00:00Z"),
        ] {
            let month = Month::of(at(now));
            assert_eq!((month.name.as_str(), month.ends), (name, at(ends)));
        }
    }

    #[test]
    fn a_limit_names_the_day_from_which_it_goes_on() {
        let now = at("2026-11-30T23:59:00Z");
        let problem = limit_reached(WriteKind::Create, &Month::of(now), now);
        assert_eq!(problem.retry_after, Some(60));
        assert_eq!(problem.next_step, "Go on from 2026-12-01 (UTC).");
    }
}
