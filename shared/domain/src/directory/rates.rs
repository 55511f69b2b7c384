//! The match rates: the shares of the directory that are in the CRM, and of the CRM that are in the
//! directory (MA-5).

use serde::{Deserialize, Serialize};

use super::{EntryKind, MatchState};
use crate::clock::Millis;

/// The counts of a link pass at its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema), schema(as = MatchRates))]
pub struct Rates {
    /// The time of the count.
    #[cfg_attr(feature = "http-api", schema(value_type = i64))]
    pub at: Millis,
    /// The number of the pass.
    pub pass: u64,
    /// The counts of the CRM's records, one for each object.
    pub objects: Vec<ObjectRates>,
    /// The counts of the directory's entries, one for each kind.
    pub entries: Vec<EntryRates>,
}

/// The counts of an object's records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct ObjectRates {
    /// The CRM's name for the object.
    pub object: String,
    /// All records.
    pub records: u64,
    /// Records that an entry is linked to.
    pub matched: u64,
    /// Matched records that a user chose.
    pub manual: u64,
    /// Records that no entry is linked to.
    pub unmatched: u64,
}

/// The counts of a kind's entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct EntryRates {
    /// The kind.
    pub kind: EntryKind,
    /// All entries.
    pub entries: u64,
    /// Entries that are linked to a record of the CRM.
    pub matched: u64,
    /// Matched entries that a user decided on.
    pub manual: u64,
    /// Entries whose link a user refused.
    pub refused: u64,
    /// Entries that are linked to no record of the CRM, including the refused ones.
    pub unmatched: u64,
}

impl EntryRates {
    /// The counts of a kind before any entry is counted.
    #[must_use]
    pub const fn none(kind: EntryKind) -> Self {
        Self {
            kind,
            entries: 0,
            matched: 0,
            manual: 0,
            refused: 0,
            unmatched: 0,
        }
    }

    /// Counts an entry by its state. `manual` is true if a user decided on it.
    pub fn count(&mut self, state: MatchState, manual: bool) {
        self.entries += 1;
        if state.in_crm() {
            self.matched += 1;
            self.manual += u64::from(manual);
        } else {
            self.unmatched += 1;
            self.refused += u64::from(state == MatchState::Refused);
        }
    }

    /// The share of entries that are in the CRM, in thousandths; `None` if there are no entries.
    #[must_use]
    pub fn share_permille(&self) -> Option<u64> {
        (self.matched * 1000).checked_div(self.entries)
    }
}

impl ObjectRates {
    /// The share of records that are in the directory, in thousandths; `None` if there are no records.
    #[must_use]
    pub fn share_permille(&self) -> Option<u64> {
        (self.matched * 1000).checked_div(self.records)
    }
}
