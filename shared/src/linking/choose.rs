//! Which of its candidates an entry is linked to (MA-2). Pure, and the same for one entry online and for
//! a pass over all of them.
//!
//! An entry takes the best-scoring record that it can have. It can have a record that nobody has, or
//! whose entry scores less with it. Where a second record is as good within the margin, there is no
//! telling which it is, and it is linked to neither; unless the two are one by the same reckoning: then
//! the CRM has it twice, and the better one will do. Of two that are equally good none is better.

use matching::{Bits, Model};

use crate::domain::directory::EntryId;

/// From how much below the threshold on a candidate is kept for people to choose from.
const LISTED_BELOW: Bits = 12_000;

/// What a model decides by.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Score from which on two are taken for one.
    pub threshold: Bits,
    /// By how much the best must be better than the second.
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

    /// Whether a candidate is worth being kept.
    #[must_use]
    pub const fn lists(self, score: Bits) -> bool {
        score >= self.threshold.saturating_sub(LISTED_BELOW)
    }
}

/// Who has a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// No other entry.
    Nobody,
    /// An entry for which a person said so: it keeps it.
    Person,
    /// An entry that the record was created for, and its score.
    Created(Bits),
    /// An entry that is linked by this score.
    Score(Bits, EntryId),
}

/// What becomes of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice<K> {
    /// It is linked to nothing.
    Nothing,
    /// It keeps the record that was created for it.
    Created,
    /// It is this record.
    Record(K, Bits),
}

/// An entry about which something is to be decided.
#[derive(Debug, Clone, Copy)]
pub struct Chooser<'c, K> {
    /// The entry.
    pub id: EntryId,
    /// Its candidates, the best first, equal ones in an order that does not depend on chance.
    pub candidates: &'c [(K, Bits)],
    /// The record that was created for it, and their score.
    pub created: Option<(K, Bits)>,
}

/// Decides what an entry is linked to. `holder` tells which other entry has a record, `same` whether two
/// records are one by the model's reckoning.
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
        // Equal scores: in the order of ids, whoever came first.
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
        // 8 and 9 are one.
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
        // Which of two equal ones, nobody can tell.
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
        // What another has is no rival.
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
