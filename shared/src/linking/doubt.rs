//! Doubt about an entry's match: *Is this the right CRM match?* (MA-4). People are asked before something is
//! logged with the person or company.
//!
//! An entry's match is in doubt where the entry is linked by a score that is barely over the threshold, or
//! where it is linked to nothing and a record that no other entry has is barely under it, or over it and not
//! clear of its rivals. What a person decided is in no doubt, nor is a record that was created for the entry.

use std::collections::BTreeSet;

use matching::Bits;

use super::{Linking, PRODUCTION};
use crate::domain::directory::{Entry, EntryId, EntryKind, How, Link, Match, RecordRef};
use crate::store::StoreError;

/// The distance over the threshold within which a link by score is in doubt, in thousandths of a bit: at most
/// twice the odds that a link needs.
const BARELY_OVER: Bits = 1_000;
/// The distance under the threshold within which a candidate is asked about, in thousandths of a bit: at
/// least an eighth of the odds that a link needs.
const BARELY_UNDER: Bits = 3_000;

fn is_narrow(link: &Link) -> bool {
    link.how == How::Score
        && !link.record_gone
        && link.score < link.threshold.saturating_add(BARELY_OVER)
}

impl Linking<'_> {
    /// The entries of a kind, among these, whose match is in doubt.
    ///
    /// # Errors
    /// Returns [`StoreError::Unavailable`] if the table does not answer.
    pub async fn in_doubt(
        &self,
        kind: EntryKind,
        entries: &[(&Entry, &Match)],
    ) -> Result<BTreeSet<EntryId>, StoreError> {
        let mut doubtful = BTreeSet::new();
        let mut open: Vec<(&Entry, &Match)> = Vec::new();
        for (entry, matched) in entries.iter().copied() {
            if entry.is_manual() {
                continue;
            }
            match &matched.link {
                Some(link) if is_narrow(link) => {
                    doubtful.insert(entry.id);
                }
                None if !matched.candidates.is_empty() => open.push((entry, matched)),
                _ => {}
            }
        }
        if open.is_empty() {
            return Ok(doubtful);
        }
        let model = self.model(kind).await?;
        let least = model.threshold.saturating_sub(BARELY_UNDER);
        let mut likely: Vec<(EntryId, &RecordRef)> = Vec::new();
        for (entry, matched) in open {
            let candidates = matched.candidates.iter();
            let near = candidates.filter(|one| one.score >= least && !entry.refuses(&one.record));
            likely.extend(near.map(|one| (entry.id, &one.record)));
        }
        if likely.is_empty() {
            return Ok(doubtful);
        }
        let records: Vec<RecordRef> = likely.iter().map(|(_, record)| (*record).clone()).collect();
        let held = self
            .store
            .linked(self.contract, PRODUCTION, &records)
            .await?;
        let free = likely
            .into_iter()
            .filter(|(_, record)| !held.contains_key(*record));
        doubtful.extend(free.map(|(id, _)| id));
        Ok(doubtful)
    }
}
