//! Names that forms were seen with and no mapping has (LG-7): collected in memory, written now and then.
//!
//! A name that is new is written at once, so that people see it. How often the others come is counted here
//! and written every few minutes: most submissions cost no call for it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use shared::clock::Millis;
use shared::domain::ids::ContractId;
use shared::domain::mapping::MappedLead;
use shared::domain::submission::Submission;

use crate::App;

/// Time for collecting counts before they are written, in milliseconds.
const COLLECT_MILLIS: i64 = 300_000;
/// Forms that are remembered at once; beyond it all are forgotten, which costs a write for each.
const MOST_FORMS: usize = 1000;
/// Names of a form that are remembered as written: more than the table keeps.
const MOST_NAMES: usize = 500;

type Form = (ContractId, String);

/// The field names that this process has seen, by form.
#[derive(Default)]
pub(crate) struct Discoveries(Mutex<HashMap<Form, Seen>>);

#[derive(Default)]
struct Seen {
    /// Names that were written.
    written: HashSet<String>,
    /// The names seen since the last write, each with its number of submissions.
    counts: BTreeMap<String, u64>,
    /// Time of the last write.
    written_at: Millis,
}

impl Discoveries {
    /// Adds the names of a submission; gives what is to be written now, if anything is.
    fn add(&self, form: Form, names: &[String], now: Millis) -> Option<BTreeMap<String, u64>> {
        let mut forms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if forms.len() >= MOST_FORMS && !forms.contains_key(&form) {
            forms.clear();
        }
        let seen = forms.entry(form).or_default();
        let names: HashSet<&String> = names.iter().collect();
        let new = names.iter().any(|name| !seen.written.contains(*name));
        for name in names {
            *seen.counts.entry(name.clone()).or_default() += 1;
        }
        if !new && now.since(seen.written_at) < COLLECT_MILLIS {
            return None;
        }
        if seen.written.len() >= MOST_NAMES {
            seen.written.clear();
        }
        seen.written.extend(seen.counts.keys().cloned());
        seen.written_at = now;
        Some(std::mem::take(&mut seen.counts))
    }
}

impl App {
    /// Keeps the names that no mapping has, for people to map. Whatever becomes of that, the submission
    /// goes on.
    pub(crate) async fn discover(&self, submission: &Submission, lead: &MappedLead, now: Millis) {
        if lead.unmapped.is_empty() {
            return;
        }
        let contract = &submission.contract;
        let form = submission.origin.form_id.clone();
        let seen = self
            .discoveries
            .add((contract.clone(), form.clone()), &lead.unmapped, now);
        let Some(seen) = seen else {
            return;
        };
        let store = &self.remote.store;
        if let Err(error) = store.discover_names(contract, &form, &seen, now).await {
            tracing::warn!(%contract, submission.id = %submission.id,
                error = &error as &dyn std::error::Error, "discovered names were not kept");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_name_is_written_at_once_and_counts_now_and_then() {
        let discoveries = Discoveries::default();
        let form = || ("acme".parse().unwrap(), "f".to_owned());
        let names = |names: &[&str]| -> Vec<String> {
            names.iter().map(|name| (*name).to_owned()).collect()
        };
        let counts = |counts: &[(&str, u64)]| -> Option<BTreeMap<String, u64>> {
            let counts = counts
                .iter()
                .map(|(name, count)| ((*name).to_owned(), *count));
            Some(counts.collect())
        };
        let now = Millis(1_000_000_000);
        let first = discoveries.add(form(), &names(&["a", "a", "b"]), now);
        assert_eq!(first, counts(&[("a", 1), ("b", 1)]));
        assert_eq!(discoveries.add(form(), &names(&["a"]), now), None);
        let new = discoveries.add(form(), &names(&["a", "c"]), now);
        assert_eq!(new, counts(&[("a", 2), ("c", 1)]));
        assert_eq!(
            discoveries.add(form(), &names(&["b"]), now.plus_seconds(299)),
            None
        );
        let later = discoveries.add(form(), &names(&["b"]), now.plus_seconds(300));
        assert_eq!(later, counts(&[("b", 2)]));
        let other = ("acme".parse().unwrap(), "g".to_owned());
        assert_eq!(
            discoveries.add(other, &names(&["a"]), now),
            counts(&[("a", 1)])
        );
    }
}
