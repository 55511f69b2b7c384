//! The choice of an entry's link among its candidates (MA-2). Pure, and the same for a single entry online
//! and for a link pass over all entries.
//!
//! An entry takes the available record with the best score. A record is available if no other entry has it,
//! or if the entry that has it scores lower with it. If the score of a second available record is within the
//! margin, the choice is ambiguous and the entry is linked to neither. The exception: if the model also takes
//! the two records for one, they are duplicates in the CRM, and the better one is chosen. With equal scores
//! neither is better, so the entry is linked to neither.

use matching::{Bits, Model};

use crate::domain::directory::EntryId;

/// The distance below the threshold within which a candidate is kept for users to choose from.
const LISTED_BELOW: Bits = 12_000;

/// The limits by which a model's scores decide.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// The score from which on a pair is taken for a match.
    pub threshold: Bits,
    /// The least distance of the best score from the second.
    pub margin: Bits,
}

impl Rules {
    /// The rules of a model.
    #[must_use]
    pub const fn of(model: &Model) -> Self {
        Self {
            threshold: model.threshold,
            margin: model.margin,
        }
    }

    /// Returns true if a candidate with this score is kept.
    #[must_use]
    pub const fn lists(self, score: Bits) -> bool {
        score >= self.threshold.saturating_sub(LISTED_BELOW)
    }
}

/// The other entry that has a record, if any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// No other entry.
    Nobody,
    /// An entry for which a user chose the record, and which keeps it.
    Person,
    /// The entry that the record was created for, with its score.
    Created(Bits),
    /// An entry that is linked to the record by this score.
    Score(Bits, EntryId),
}

/// The outcome for an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice<K> {
    /// The entry is linked to nothing.
    Nothing,
    /// The entry keeps the record that was created for it.
    Created,
    /// The entry is linked to this record, by this score.
    Record(K, Bits),
}

/// An entry to be decided on.
#[derive(Debug, Clone, Copy)]
pub struct Chooser<'c, K> {
    /// The entry.
    pub id: EntryId,
    /// The candidates by descending score; the order of equal scores is deterministic.
    pub candidates: &'c [(K, Bits)],
    /// The record that was created for it, and their score.
    pub created: Option<(K, Bits)>,
}

/// Decides the link of an entry. `holder` returns the other entry that has a record; `same` returns true if
/// the model takes two records for one.
pub fn choose<K: Copy + PartialEq>(
    rules: Rules,
    chooser: Chooser<'_, K>,
    holder: impl Fn(K) -> Holder,
    same: impl Fn(K, K) -> bool,
) -> Choice<K> {
    let free = |record: K, score: Bits| match holder(record) {
        Holder::Nobody => true,
        Holder::Person => false,
        Holder::Created(theirs) => score >= theirs.saturating_add(rules.margin),
        // With equal scores, the entry with the lower id has the record.
        Holder::Score(theirs, other) => (score, other) > (theirs, chooser.id),
    };
    let mut others = chooser
        .candidates
        .iter()
        .copied()
        .filter(|(record, _)| {
            chooser
                .created
                .is_none_or(|(created, _)| created != *record)
        })
        .filter(|(record, score)| free(*record, *score));
    let otherwise = if chooser.created.is_some() {
        Choice::Created
    } else {
        Choice::Nothing
    };
    let Some((best, score)) = others.next() else {
        return otherwise;
    };
    let least = chooser.created.map_or(rules.threshold, |(_, created)| {
        rules.threshold.max(created.saturating_add(rules.margin))
    });
    if score < least {
        return otherwise;
    }
    let rivals = others.take_while(|(_, rival)| score.saturating_sub(*rival) < rules.margin);
    let clear = rivals
        .into_iter()
        .all(|(rival, of_rival)| of_rival < score && same(best, rival));
    if clear {
        Choice::Record(best, score)
    } else {
        otherwise
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const RULES: Rules = Rules {
        threshold: 10,
        margin: 5,
    };

    fn id(number: u128) -> EntryId {
        EntryId(Uuid::from_u128(number))
    }

    fn chosen(
        candidates: &[(u32, Bits)],
        created: Option<(u32, Bits)>,
        holder: impl Fn(u32) -> Holder,
    ) -> Choice<u32> {
        let chooser = Chooser {
            id: id(5),
            candidates,
            created,
        };
        // Records 8 and 9 are duplicates.
        choose(RULES, chooser, holder, |a, b| {
            a.min(b) == 8 && a.max(b) == 9
        })
    }

    fn nobody(_: u32) -> Holder {
        Holder::Nobody
    }

    #[test]
    fn the_best_is_taken_if_it_is_clear() {
        assert_eq!(chosen(&[], None, nobody), Choice::Nothing);
        assert_eq!(chosen(&[(1, 9)], None, nobody), Choice::Nothing);
        assert_eq!(chosen(&[(1, 10)], None, nobody), Choice::Record(1, 10));
        assert_eq!(
            chosen(&[(1, 20), (2, 15)], None, nobody),
            Choice::Record(1, 20)
        );
        assert_eq!(chosen(&[(1, 20), (2, 16)], None, nobody), Choice::Nothing);
        assert_eq!(
            chosen(&[(9, 20), (8, 16)], None, nobody),
            Choice::Record(9, 20)
        );
        assert_eq!(
            chosen(&[(9, 20), (8, 16), (1, 16)], None, nobody),
            Choice::Nothing
        );
        // Two equal scores are ambiguous, even for duplicates.
        assert_eq!(chosen(&[(9, 20), (8, 20)], None, nobody), Choice::Nothing);
        assert_eq!(chosen(&[(9, 20), (1, 20)], None, nobody), Choice::Nothing);
    }

    #[test]
    fn a_record_goes_to_the_entry_that_fits_better() {
        let held = |by: Holder| move |record: u32| if record == 1 { by } else { Holder::Nobody };
        let two = [(1, 20), (2, 14)];
        assert_eq!(
            chosen(&two, None, held(Holder::Person)),
            Choice::Record(2, 14)
        );
        assert_eq!(
            chosen(&two, None, held(Holder::Score(21, id(9)))),
            Choice::Record(2, 14)
        );
        assert_eq!(
            chosen(&two, None, held(Holder::Score(19, id(9)))),
            Choice::Record(1, 20)
        );
        assert_eq!(
            chosen(&two, None, held(Holder::Score(20, id(4)))),
            Choice::Record(2, 14)
        );
        assert_eq!(
            chosen(&two, None, held(Holder::Score(20, id(6)))),
            Choice::Record(1, 20)
        );
        assert_eq!(
            chosen(&two, None, held(Holder::Created(16))),
            Choice::Record(2, 14)
        );
        assert_eq!(
            chosen(&two, None, held(Holder::Created(15))),
            Choice::Record(1, 20)
        );
        // A record that another entry has is not a rival.
        let near = [(2, 20), (1, 19)];
        assert_eq!(
            chosen(&near, None, held(Holder::Score(30, id(9)))),
            Choice::Record(2, 20)
        );
    }

    #[test]
    fn what_was_created_stays_unless_another_is_clearly_better() {
        assert_eq!(chosen(&[], Some((3, 12)), nobody), Choice::Created);
        assert_eq!(chosen(&[(3, 12)], Some((3, 12)), nobody), Choice::Created);
        assert_eq!(
            chosen(&[(1, 16), (3, 12)], Some((3, 12)), nobody),
            Choice::Created
        );
        assert_eq!(
            chosen(&[(1, 17), (3, 12)], Some((3, 12)), nobody),
            Choice::Record(1, 17)
        );
        assert_eq!(chosen(&[(1, 9)], Some((3, 0)), nobody), Choice::Created);
    }
}
