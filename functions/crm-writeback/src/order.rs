//! The order in which a worker writes the activities that it has taken (WB-7).
//!
//! Within a thread an activity is written after the earlier ones, which this worker or another may have. One
//! that failed for good, or waits for the match of its person, holds up nobody: it may stay so for ever. In
//! one call to the CRM a thread's activities go together, in their order; but none goes with an earlier one
//! that was tried before and may fail again.
//!
//! Old activities come after the rest, so that an archive does not delay today's.

use std::collections::{HashMap, HashSet};

use shared::clock::Millis;
use shared::crm::ACTIVITIES_AT_ONCE;
use shared::domain::activity::{Activity, ActivityState, Thread};
use shared::domain::ids::ActivityId;
use shared::problem::Problem;

/// Least wait for an earlier activity of the thread, in seconds.
const LEAST_SECONDS: i64 = 2;
/// Wait for an activity that another worker has or is about to take, in seconds.
const WRITING_SECONDS: i64 = 10;
/// Longest wait until the earlier activity is looked at again, in seconds.
const MOST_SECONDS: i64 = 300;

/// The end of an activity's wait for an earlier one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Until {
    /// A time.
    At(Millis),
    /// The seat holder's sign-in, which the earlier one waits for, with the problem that it tells.
    SignIn(Problem),
    /// The answer to the question which record their person is: both wait for it.
    Answer,
}

/// An activity that has to be written before the later ones of its thread.
#[derive(Debug)]
struct Hold {
    place: (Millis, ActivityId),
    until: Until,
}

/// The activities that a worker has taken.
#[derive(Default)]
pub(crate) struct Line {
    /// In the order in which they are written.
    rest: Vec<Activity>,
    /// Those that wait for an earlier one, each with the end of its wait.
    behind: Vec<(Activity, Until)>,
    holds: HashMap<Thread, Hold>,
}

impl Line {
    /// Puts activities into their order: old ones last, and those of one person together, as they happened. A
    /// thread is as new as its latest activity.
    pub(crate) fn of(mut mine: Vec<Activity>) -> Self {
        let new = mine.iter().filter(|activity| !activity.is_old());
        let new: HashSet<Thread> = new.filter_map(Activity::order_in).collect();
        mine.sort_by_cached_key(|activity| {
            let of_new = activity.order_in().is_some_and(|own| new.contains(&own));
            let last = activity.is_old() && !of_new;
            (last, activity.target.id, activity.place())
        });
        Self {
            rest: mine,
            ..Self::default()
        }
    }

    /// The ids of the activities.
    pub(crate) fn ids(&self) -> HashSet<ActivityId> {
        self.rest.iter().map(|activity| activity.id).collect()
    }

    /// Each thread of theirs, with the place of the latest of them.
    pub(crate) fn threads(&self) -> HashMap<Thread, (Millis, ActivityId)> {
        let mut threads = HashMap::new();
        for activity in &self.rest {
            if let Some(thread) = activity.order_in() {
                let place = activity.place();
                let latest = threads.entry(thread).or_insert(place);
                *latest = place.max(*latest);
            }
        }
        threads
    }

    /// Holds up what is later in the thread of an activity that is not written yet.
    pub(crate) fn hold(&mut self, activity: &Activity, now: Millis) {
        let Some(thread) = activity.order_in().filter(|_| activity.goes_first()) else {
            return;
        };
        let (least, most) = (
            now.plus_seconds(LEAST_SECONDS),
            now.plus_seconds(MOST_SECONDS),
        );
        let told = activity.failures.last();
        let until = match (activity.state, told) {
            (ActivityState::WaitingForSignIn, Some(told)) => Until::SignIn(told.problem.clone()),
            (ActivityState::WaitingForAnswer, _) => Until::Answer,
            (ActivityState::Waiting, _) => Until::At(activity.due_at.clamp(least, most)),
            _ => Until::At(now.plus_seconds(WRITING_SECONDS)),
        };
        let place = activity.place();
        if self
            .holds
            .get(&thread)
            .is_none_or(|known| place < known.place)
        {
            self.holds.insert(thread, Hold { place, until });
        }
    }

    /// The next activities to write, as many as a call takes.
    pub(crate) fn next(&mut self) -> Vec<Activity> {
        let mut next: Vec<Activity> = Vec::new();
        let mut later = Vec::new();
        // Threads whose later activities wait for the outcome of this call.
        let mut doubtful: HashSet<Thread> = HashSet::new();
        for activity in std::mem::take(&mut self.rest) {
            let thread = activity.order_in().filter(|_| activity.goes_first());
            let hold = thread.as_ref().and_then(|thread| self.holds.get(thread));
            if let Some(hold) = hold.filter(|hold| hold.place < activity.place()) {
                self.behind.push((activity, hold.until.clone()));
            } else if next.len() == ACTIVITIES_AT_ONCE
                || thread.as_ref().is_some_and(|own| doubtful.contains(own))
            {
                later.push(activity);
            } else {
                doubtful.extend(thread.filter(|_| activity.takes > 1));
                next.push(activity);
            }
        }
        self.rest = later;
        next
    }

    /// Those that wait for an earlier one.
    pub(crate) fn behind(&mut self) -> Vec<(Activity, Until)> {
        std::mem::take(&mut self.behind)
    }
}

#[cfg(test)]
mod tests {
    use shared::domain::activity::{Draft, Given};
    use shared::domain::directory::{EntryId, EntryKind, EntryRef};
    use shared::domain::ids::SeatId;
    use uuid::Uuid;

    use super::*;

    const NOW: Millis = Millis(1_800_000_000_000);

    /// A message of a thread that happened some minutes ago.
    fn message(key: &str, thread: &str, minutes_ago: i64) -> Activity {
        let given = Given {
            key: key.to_owned(),
            kind: "message".to_owned(),
            occurred_at: NOW.plus_seconds(-60 * minutes_ago),
            thread: Some(thread.to_owned()),
            text: "Hello".to_owned(),
            ..Given::default()
        };
        let target = EntryRef {
            kind: EntryKind::Profile,
            id: EntryId(Uuid::nil()),
        };
        let draft = Draft::check(given, EntryKind::Profile, NOW).unwrap();
        let contract = "acme".parse().unwrap();
        let seat = SeatId(Uuid::nil());
        Activity {
            takes: 1,
            ..draft.with(&contract, seat, target, "Product", NOW)
        }
    }

    fn keys(activities: &[Activity]) -> Vec<&str> {
        let keys = activities.iter().map(|activity| activity.key.as_str());
        keys.collect()
    }

    #[test]
    fn a_thread_is_written_in_its_order() {
        let mut line = Line::of(vec![
            message("late", "t", 1),
            message("early", "t", 3),
            message("middle", "t", 2),
        ]);
        assert_eq!(keys(&line.next()), ["early", "middle", "late"]);
        assert!(line.next().is_empty());
    }

    #[test]
    fn what_is_later_than_one_that_waits_waits_too_and_nothing_else() {
        let mut waits = message("waits", "t", 3);
        waits.state = ActivityState::Waiting;
        waits.due_at = NOW.plus_seconds(60);
        let mut line = Line::of(vec![
            message("later", "t", 2),
            message("earlier", "t", 4),
            message("other thread", "u", 2),
        ]);
        line.hold(&waits, NOW);
        // A later one of the thread that waits too changes nothing.
        line.hold(&message("last", "t", 1), NOW);
        assert_eq!(keys(&line.next()), ["earlier", "other thread"]);
        let behind = line.behind();
        let (activity, until) = &behind[0];
        assert_eq!(
            (activity.key.as_str(), until, behind.len()),
            ("later", &Until::At(waits.due_at), 1)
        );
        assert!(line.next().is_empty());
    }

    #[test]
    fn the_wait_is_neither_too_short_nor_too_long() {
        let until = |state, due_in: i64| {
            let mut ahead = message("ahead", "t", 9);
            (ahead.state, ahead.due_at) = (state, NOW.plus_seconds(due_in));
            ahead.fail(NOW, Problem::not_found("sign-in"));
            let mut line = Line::of(vec![message("later", "t", 1)]);
            line.hold(&ahead, NOW);
            let next = line.next();
            (next.len(), line.behind().pop().map(|(_, until)| until))
        };
        let at = |seconds: i64| (0, Some(Until::At(NOW.plus_seconds(seconds))));
        assert_eq!(until(ActivityState::Waiting, -5), at(LEAST_SECONDS));
        assert_eq!(until(ActivityState::Waiting, 99_999), at(MOST_SECONDS));
        assert_eq!(until(ActivityState::Writing, 180), at(WRITING_SECONDS));
        assert_eq!(until(ActivityState::Planned, 60), at(WRITING_SECONDS));
        let sign_in = Until::SignIn(Problem::not_found("sign-in"));
        assert_eq!(
            until(ActivityState::WaitingForSignIn, 0),
            (0, Some(sign_in))
        );
        let answer = until(ActivityState::WaitingForAnswer, 0);
        assert_eq!(answer, (0, Some(Until::Answer)));
        for state in [
            ActivityState::Failed,
            ActivityState::Unresolved,
            ActivityState::Written,
        ] {
            assert_eq!(until(state, 0), (1, None), "{state:?}");
        }
    }

    #[test]
    fn none_goes_in_one_call_with_an_earlier_one_that_was_tried_before() {
        let mut tried = message("tried", "t", 3);
        tried.takes = 2;
        let all = vec![
            tried.clone(),
            message("later", "t", 2),
            message("other", "u", 1),
        ];
        let mut line = Line::of(all.clone());
        assert_eq!(keys(&line.next()), ["tried", "other"]);
        // It is written: the later one follows.
        assert_eq!(keys(&line.next()), ["later"]);
        let mut line = Line::of(all);
        assert_eq!(keys(&line.next()), ["tried", "other"]);
        tried.state = ActivityState::Waiting;
        line.hold(&tried, NOW);
        assert!(line.next().is_empty());
        assert_eq!(line.behind().len(), 1);
    }

    #[test]
    fn an_archive_delays_no_activity_of_today() {
        let day = 24 * 60;
        let mut all: Vec<Activity> = (0..5 * ACTIVITIES_AT_ONCE)
            .map(|n| message(&format!("old {n}"), &n.to_string(), 30 * day))
            .collect();
        all.push(message("today", "today", 1));
        // Its thread has an old message: that one comes first.
        all.push(message("answer", "7", 2));
        let mut line = Line::of(all);
        let first = line.next();
        let at = |key: &str| first.iter().position(|one| one.key == key).unwrap();
        assert!(at("today") < 3 && at("old 7") < at("answer"));
    }

    #[test]
    fn a_call_takes_no_more_than_it_may() {
        let all = (0..=ACTIVITIES_AT_ONCE).map(|n| message(&n.to_string(), "t", 1));
        let mut line = Line::of(all.collect());
        assert_eq!(line.next().len(), ACTIVITIES_AT_ONCE);
        assert_eq!(line.next().len(), 1);
    }
}
