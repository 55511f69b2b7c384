//! Champions (SV-7): people who were in an opportunity that a seller's customer won, and are at another company
//! now.
//!
//! A champion is kept as ids, hashes and times: names and companies are read when it is shown.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use super::directory::{EntryId, RecordRef};
use super::ids::SeatId;
use crate::clock::Millis;

/// Maximum number of opportunities that are kept as evidence, the latest ones.
pub const MAX_WON: usize = 10;

/// A won opportunity that a person was in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Won {
    /// The CRM's id of the opportunity.
    pub opportunity: String,
    /// The CRM's id of the customer's account.
    pub account: String,
    /// The name of the person's part in it.
    #[serde(default)]
    pub role: Option<String>,
    /// The day on which it closed, `YYYY-MM-DD`.
    #[serde(default)]
    pub closed_on: Option<String>,
}

/// The source that states a person's company of now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stated {
    /// The person's entry in the directory.
    Entry(EntryId),
    /// A record of the CRM: the contact itself at another account, or a second one of the same person.
    Record(RecordRef),
}

/// A person's move to another company.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// The source that states the company.
    pub stated: Stated,
    /// A hash of the company's name in normal form: it names the move.
    pub employer: String,
    /// The time at which the source stated it; `None` where that is not known.
    #[serde(default)]
    pub at: Option<Millis>,
}

/// The seller's decision on a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ChampionState {
    /// Nothing yet.
    Open,
    /// It is of no use.
    Dismissed,
    /// The person was saved to the seller's list.
    Saved,
}

/// A decision, which holds for one move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// The decision.
    pub state: ChampionState,
    /// The move that was decided on.
    pub employer: String,
    /// Time of the decision.
    pub at: Millis,
}

/// A person who was in a won opportunity of a seller, and moved on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Champion {
    /// The seller.
    pub seat: SeatId,
    /// The contact who was in the opportunities.
    pub contact: RecordRef,
    /// The opportunities, the latest first.
    pub won: Vec<Won>,
    /// The move.
    pub moved: Move,
    /// The time at which the move was first seen.
    pub since: Millis,
    /// The seller's last decision.
    #[serde(default)]
    pub decided: Option<Decided>,
    /// Counts its changes.
    pub version: u64,
}

impl Champion {
    /// The champion as it is with this evidence and nothing else; `None` if there is none.
    #[must_use]
    pub fn of(
        before: Option<&Self>,
        seat: SeatId,
        contact: &RecordRef,
        found: Vec<(Won, Move)>,
        now: Millis,
    ) -> Option<Self> {
        let mut found = found;
        found.sort_by_key(|(won, _)| (Reverse(won.closed_on.clone()), won.opportunity.clone()));
        found.dedup_by(|(a, _), (b, _)| a.opportunity == b.opportunity);
        found.truncate(MAX_WON);
        let moved = found.first()?.1.clone();
        let known = before.filter(|before| before.moved.employer == moved.employer);
        Some(Self {
            seat,
            contact: contact.clone(),
            won: found.into_iter().map(|(won, _)| won).collect(),
            since: known.map_or(now, |known| known.since),
            moved,
            decided: before.and_then(|before| before.decided.clone()),
            version: before.map_or(0, |before| before.version) + 1,
        })
    }

    /// True if both say the same, so that there is nothing to write.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        (&self.won, &self.moved, self.since, &self.decided)
            == (&other.won, &other.moved, other.since, &other.decided)
    }

    /// The seller's decision on this move.
    #[must_use]
    pub fn state(&self) -> ChampionState {
        let decided = self.decided.as_ref();
        let decided = decided.filter(|decided| decided.employer == self.moved.employer);
        decided.map_or(ChampionState::Open, |decided| decided.state)
    }

    /// The champion after a decision; `None` if nothing changes.
    #[must_use]
    pub fn decide(&self, state: ChampionState, now: Millis) -> Option<Self> {
        (self.state() != state).then(|| Self {
            decided: Some(Decided {
                state,
                employer: self.moved.employer.clone(),
                at: now,
            }),
            version: self.version + 1,
            ..self.clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::{Champion, ChampionState, Move, Stated, Won};
    use crate::clock::Millis;
    use crate::directory::RecordRef;
    use crate::ids::SeatId;

    fn found(opportunity: &str, day: &str, employer: &str) -> (Won, Move) {
        let won = Won {
            opportunity: opportunity.to_owned(),
            account: "001".to_owned(),
            role: None,
            closed_on: Some(day.to_owned()),
        };
        let moved = Move {
            stated: Stated::Record(RecordRef::new("Contact", "003B")),
            employer: employer.to_owned(),
            at: None,
        };
        (won, moved)
    }

    fn of(before: Option<&Champion>, all: Vec<(Won, Move)>, now: i64) -> Option<Champion> {
        let contact = RecordRef::new("Contact", "003A");
        Champion::of(before, SeatId(Uuid::nil()), &contact, all, Millis(now))
    }

    #[test]
    fn a_dismissal_holds_for_one_move() {
        let one = of(None, vec![found("1", "2026-01-01", "a")], 1).unwrap();
        assert_eq!(one.state(), ChampionState::Open);
        let dismissed = one.decide(ChampionState::Dismissed, Millis(2)).unwrap();
        assert_eq!(dismissed.decide(ChampionState::Dismissed, Millis(3)), None);
        let again = of(Some(&dismissed), vec![found("1", "2026-01-01", "a")], 4).unwrap();
        assert!(again.same(&dismissed));
        assert_eq!(again.state(), ChampionState::Dismissed);
        let further = of(Some(&dismissed), vec![found("1", "2026-01-01", "b")], 5).unwrap();
        assert_eq!(further.state(), ChampionState::Open);
        assert_eq!(further.since, Millis(5));
    }

    #[test]
    fn the_latest_opportunity_comes_first_whatever_the_order() {
        let (old, new) = (found("1", "2025-01-01", "a"), found("2", "2026-01-01", "a"));
        let one = of(None, vec![old.clone(), new.clone(), old.clone()], 1).unwrap();
        let other = of(None, vec![new, old], 1).unwrap();
        assert_eq!(one, other);
        assert_eq!((one.won.len(), one.won[0].opportunity.as_str()), (2, "2"));
        assert_eq!(of(Some(&one), Vec::new(), 2), None);
    }
}
