//! How much of the directory is in the CRM, and how much of the CRM is in the directory (MA-5).

use serde::{Deserialize, Serialize};

use super::{EntryKind, MatchState};
use crate::clock::Millis;

/// What a link pass counted at its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema), schema(as = MatchRates))]
pub struct Rates {
    /// When.
    #[cfg_attr(feature = "http-api", schema(value_type = i64))]
    pub at: Millis,
    /// Which pass.
    pub pass: u64,
    /// The CRM's records, object by object.
    pub objects: Vec<ObjectRates>,
    /// The directory's entries, kind by kind.
    pub entries: Vec<EntryRates>,
}

/// Records of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct ObjectRates {
    /// The CRM's name for the object.
    pub object: String,
    /// All.
    pub records: u64,
    /// Those that are an entry's link.
    pub matched: u64,
    /// Those of them that a person chose.
    pub manual: u64,
    /// Those that are no entry's link.
    pub unmatched: u64,
}

/// Entries of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct EntryRates {
    /// The kind.
    pub kind: EntryKind,
    /// All.
    pub entries: u64,
    /// Those that are a record of the CRM.
    pub matched: u64,
    /// Those of them that a person decided on.
    pub manual: u64,
    /// Those that a person said are not what they were linked to.
    pub refused: u64,
    /// Those that are no record of the CRM, the refused ones among them.
    pub unmatched: u64,
}

impl EntryRates {
    /// No entry yet.
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

    /// Counts an entry in its state; `manual` says whether a person decided on it.
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

    /// The share that is in the CRM, in thousandths; none where there is nothing.
    #[must_use]
    pub fn share_permille(&self) -> Option<u64> {
        (self.matched * 1000).checked_div(self.entries)
    }
}

impl ObjectRates {
    /// The share that is in the directory, in thousandths; none where there is nothing.
    #[must_use]
    pub fn share_permille(&self) -> Option<u64> {
        (self.matched * 1000).checked_div(self.records)
    }
}
