//! The way that an object is read (IM-2): pure decisions over its known state.

use shared::clock::Millis;
use shared::domain::sync::{Cursor, ObjectState, ObjectSync, Pass, PassKind, Resume};

/// The number of records up to which an object is compared as a whole at every run, where the CRM does not
/// report deletions: that takes a handful of calls.
const SMALL: u64 = 10_000;
/// The age of the last full read, in seconds, from which a larger object is compared as a whole.
const COMPARE_EVERY_SECONDS: i64 = 7 * 24 * 3600;
/// The age of the last full read, in seconds, from which an object is compared as a whole even if the CRM
/// reports deletions: records that are no longer shared with the connected user go without a trace.
const COMPARE_ANYWAY_SECONDS: i64 = 30 * 24 * 3600;
/// The overlap with which changes are read again before the latest change seen, in seconds. A change has the
/// time at which its transaction began, and is seen when the transaction ends. Salesforce ends transactions
/// after ten minutes at the latest.
const OVERLAP_SECONDS: i64 = 600;
/// The time after a change, in seconds, by which every transaction that began before it has ended.
const SETTLED_SECONDS: i64 = 3600;
/// Passes that a run spends on bringing the mirror's count and the CRM's together.
const MAX_PASSES: u32 = 3;

/// Prepares an object for a run that reads `fields`.
pub(crate) fn begin(
    object: &mut ObjectSync,
    run: u64,
    fields: Vec<String>,
    tells_deletions: bool,
    now: Millis,
) {
    if object.run != run {
        object.run = run;
        object.read = 0;
        object.of = None;
        object.written = 0;
        object.removed = 0;
        object.passes = 0;
        object.attempts = 0;
        object.started_at = None;
        object.finished_at = None;
        object.due_at = None;
        object.problem = None;
        object.state = ObjectState::Waiting;
    }
    let other_fields = object.fields != fields;
    object.fields = fields;
    // A reading that an earlier run did not bring to its end is gone on with.
    if object.pass.is_some() && !other_fields {
        return;
    }
    let kind = if object.generation == 0 {
        PassKind::First
    } else if other_fields || object.resume.is_none() {
        // To the CRM a field that can be read only now is no change: its values are not reported again.
        PassKind::Compare
    } else {
        let every = if tells_deletions {
            COMPARE_ANYWAY_SECONDS
        } else {
            COMPARE_EVERY_SECONDS
        };
        let full = object.last_full_at;
        let due = full.is_none_or(|at| at.plus_seconds(every) <= now);
        if due || (!tells_deletions && object.records <= SMALL) {
            PassKind::Compare
        } else {
            PassKind::Changes
        }
    };
    start(object, kind, now);
}

/// Starts a pass.
pub(crate) fn start(object: &mut ObjectSync, kind: PassKind, now: Millis) {
    object.generation += 1;
    if kind != PassKind::Changes {
        object.after = None;
    }
    object.pass = Some(Pass {
        kind,
        generation: object.generation,
        started_at: now,
        cursor: Cursor::default(),
        skip: 0,
        before: object.read,
        parts: 0,
        present: 0,
        newest: None,
        careful: false,
        sweep: None,
        delta: None,
    });
}

/// Takes account of rows that may be in the mirror without having been kept: a worker died, or a page
/// broke off.
pub(crate) fn uncertain(object: &mut ObjectSync, now: Millis) {
    let Some(pass) = &mut object.pass else {
        return;
    };
    pass.careful = true;
    object.recount |= pass.kind == PassKind::Changes;
    // The first page is the point from which the CRM reports changes: a record deleted before it is read
    // again is never reported, but is in the mirror.
    if pass.kind == PassKind::First && pass.cursor == Cursor::default() {
        start(object, PassKind::Compare, now);
    }
}

/// Begins a pass again from its beginning, over a partly filled mirror.
pub(crate) fn restart(object: &mut ObjectSync, now: Millis) {
    let kind = match object.pass.as_ref().map(|pass| pass.kind) {
        Some(PassKind::Changes) => PassKind::Changes,
        _ => PassKind::Compare,
    };
    start(object, kind, now);
}

/// The point from which the changes after a pass are read.
fn resume(pass: &Pass, before: Option<&Resume>, wrote: bool) -> Resume {
    if let Some(delta) = &pass.delta {
        return Resume::Delta(delta.clone());
    }
    match (pass.newest, before) {
        // Long settled: reading it again and again would tell nothing. At the very instant of the
        // newest change there may be others.
        (Some(newest), _)
            if newest.plus_seconds(SETTLED_SECONDS) < pass.started_at
                && !(pass.kind == PassKind::Changes && wrote) =>
        {
            Resume::Since(newest)
        }
        (Some(newest), _) => Resume::Since(newest.plus_seconds(-OVERLAP_SECONDS)),
        (None, Some(Resume::Since(since))) => Resume::Since(*since),
        // Nothing is there yet: everything that comes is new.
        (None, _) => Resume::Since(Millis(0)),
    }
}

/// Takes a pass as done, and starts the one that has to follow at once.
///
/// The documentation of Dataverse does not say which page of a long reading its delta link stands for. If it
/// is the last page, changes on earlier pages are never reported: so such an object is read by its time.
pub(crate) fn end(object: &mut ObjectSync, now: Millis) {
    let Some(pass) = object.pass.take() else {
        return;
    };
    let wrote = object.written + object.removed > 0;
    object.resume = Some(resume(&pass, object.resume.as_ref(), wrote));
    object.passes += 1;
    if pass.kind == PassKind::Changes {
        if let Some(after) = object.after.take() {
            object.resume = Some(after);
        }
        return;
    }
    object.records = pass.present;
    object.recount = false;
    object.last_full_at = Some(pass.started_at);
    if pass.delta.is_some() && pass.cursor != Cursor::default() {
        let since = pass.started_at.plus_seconds(-OVERLAP_SECONDS);
        let delta = object.resume.replace(Resume::Since(since));
        start(object, PassKind::Changes, now);
        object.after = delta;
    }
}

/// The pass that follows when the mirror and the CRM count differently. A change may have come between the
/// pass and the count: changes are read once more. A record that went without a trace (deleted for good, or
/// no longer shared with the connected user) is found by comparing. `None`: the difference stays, and people
/// are told of it.
pub(crate) fn reconcile(object: &ObjectSync) -> Option<PassKind> {
    if object.passes >= MAX_PASSES || object.difference == difference(object) {
        return None;
    }
    Some(if object.passes < 2 {
        PassKind::Changes
    } else {
        PassKind::Compare
    })
}

/// The number of records that the CRM counts beyond the mirror's.
pub(crate) fn difference(object: &ObjectSync) -> Option<i64> {
    let difference = i128::from(object.crm_records?) - i128::from(object.records);
    i64::try_from(difference)
        .ok()
        .filter(|difference| *difference != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::domain::inventory;
    use shared::domain::schema::CrmKind;

    const NOW: Millis = Millis(1_790_000_000_000);

    fn account() -> ObjectSync {
        ObjectSync::new(&inventory::objects(CrmKind::Salesforce)[0], "00D")
    }

    fn fields(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn kind(object: &ObjectSync) -> PassKind {
        object.pass.as_ref().unwrap().kind
    }

    /// Ends an object's pass as if it were read to its end.
    fn done(object: &mut ObjectSync, resume: Resume) {
        object.pass = None;
        object.resume = Some(resume);
        object.last_full_at = Some(NOW);
    }

    #[test]
    fn everything_is_read_once_then_changes() {
        let mut object = account();
        begin(&mut object, 1, fields(&["Id", "Name"]), true, NOW);
        assert_eq!(kind(&object), PassKind::First);
        done(&mut object, Resume::Since(NOW));
        begin(&mut object, 2, fields(&["Id", "Name"]), true, NOW);
        assert_eq!(kind(&object), PassKind::Changes);
    }

    #[test]
    fn a_pass_that_was_not_finished_is_gone_on_with() {
        let mut object = account();
        begin(&mut object, 1, fields(&["Id"]), true, NOW);
        object.pass.as_mut().unwrap().cursor = Cursor("page 7".to_owned());
        begin(&mut object, 2, fields(&["Id"]), true, NOW);
        assert_eq!(object.pass.as_ref().unwrap().cursor.0, "page 7");
        assert_eq!((object.run, kind(&object)), (2, PassKind::First));
        // But not with other fields; what is in the mirror then has to be compared.
        begin(&mut object, 3, fields(&["Id", "Name"]), true, NOW);
        assert_eq!(kind(&object), PassKind::Compare);
        assert_eq!(object.pass.as_ref().unwrap().cursor.0, "");
    }

    #[test]
    fn a_field_that_can_be_read_now_is_read_of_every_record() {
        let mut object = account();
        begin(&mut object, 1, fields(&["Id"]), true, NOW);
        done(&mut object, Resume::Since(NOW));
        begin(&mut object, 2, fields(&["Id", "Name"]), true, NOW);
        assert_eq!(kind(&object), PassKind::Compare);
    }

    #[test]
    fn without_word_of_deletions_a_small_object_is_always_compared_and_a_large_one_weekly() {
        let mut object = account();
        begin(&mut object, 1, fields(&["Id"]), false, NOW);
        for (records, seconds, expected) in [
            (SMALL, 1, PassKind::Compare),
            (SMALL + 1, 1, PassKind::Changes),
            (SMALL + 1, COMPARE_EVERY_SECONDS, PassKind::Compare),
        ] {
            done(&mut object, Resume::Since(NOW));
            object.records = records;
            let run = object.run + 1;
            begin(
                &mut object,
                run,
                fields(&["Id"]),
                false,
                NOW.plus_seconds(seconds),
            );
            assert_eq!(kind(&object), expected);
        }
    }

    #[test]
    fn a_first_page_that_broke_off_is_not_trusted_to_an_empty_mirror() {
        let mut object = account();
        begin(&mut object, 1, fields(&["Id"]), true, NOW);
        object.pass.as_mut().unwrap().cursor = Cursor("page 7".to_owned());
        uncertain(&mut object, NOW);
        assert_eq!(kind(&object), PassKind::First);
        assert!(object.pass.as_ref().unwrap().careful);
        object.pass.as_mut().unwrap().cursor = Cursor::default();
        uncertain(&mut object, NOW);
        assert_eq!(kind(&object), PassKind::Compare);
        // Of changes only the count is uncertain.
        start(&mut object, PassKind::Changes, NOW);
        uncertain(&mut object, NOW);
        assert_eq!((kind(&object), object.recount), (PassKind::Changes, true));
    }

    #[test]
    fn changes_are_read_again_until_their_transactions_have_settled() {
        let mut object = account();
        start(&mut object, PassKind::Changes, NOW);
        let mut pass = object.pass.unwrap();
        let newest = NOW.plus_seconds(-60);
        pass.newest = Some(newest);
        let overlap = Resume::Since(newest.plus_seconds(-OVERLAP_SECONDS));
        assert_eq!(resume(&pass, None, false), overlap);
        let newest = NOW.plus_seconds(-SETTLED_SECONDS - 1);
        pass.newest = Some(newest);
        assert_eq!(resume(&pass, None, false), Resume::Since(newest));
        let overlap = Resume::Since(newest.plus_seconds(-OVERLAP_SECONDS));
        assert_eq!(resume(&pass, None, true), overlap);
        pass.newest = None;
        assert_eq!(
            resume(&pass, Some(&Resume::Since(NOW)), false),
            Resume::Since(NOW)
        );
        pass.delta = Some("link".to_owned());
        assert_eq!(resume(&pass, None, false), Resume::Delta("link".to_owned()));
    }

    #[test]
    fn what_changed_during_a_long_tracked_reading_is_read_before_its_delta_link_is_used() {
        let delta = Resume::Delta("link".to_owned());
        for (cursor, long) in [("", false), ("page 7", true)] {
            let mut object = account();
            start(&mut object, PassKind::First, NOW);
            let pass = object.pass.as_mut().unwrap();
            pass.delta = Some("link".to_owned());
            pass.cursor = Cursor(cursor.to_owned());
            end(&mut object, NOW);
            if long {
                assert_eq!(kind(&object), PassKind::Changes);
                let since = Resume::Since(NOW.plus_seconds(-OVERLAP_SECONDS));
                assert_eq!(object.resume, Some(since));
                end(&mut object, NOW);
            }
            assert_eq!((&object.pass, &object.after), (&None, &None));
            assert_eq!(object.resume, Some(delta.clone()));
        }
        // Everything is read anew: the old link is of no use.
        let mut object = account();
        object.after = Some(delta);
        start(&mut object, PassKind::Compare, NOW);
        assert_eq!(object.after, None);
    }

    #[test]
    fn counts_that_differ_are_looked_into_once_a_run_and_not_again_for_the_same_difference() {
        let mut object = account();
        object.started_at = Some(NOW);
        object.records = 10;
        object.crm_records = Some(9);
        object.passes = 1;
        assert_eq!(reconcile(&object), Some(PassKind::Changes));
        object.passes = 2;
        assert_eq!(reconcile(&object), Some(PassKind::Compare));
        object.passes = 3;
        assert_eq!(reconcile(&object), None);
        object.passes = 1;
        object.difference = Some(-1);
        assert_eq!(reconcile(&object), None);
        object.difference = Some(-2);
        assert_eq!(reconcile(&object), Some(PassKind::Changes));
    }
}
