//! *Is this the right CRM match?*: the question that activities with a person or company wait for while its
//! match is in doubt (MA-4).

use futures::{StreamExt as _, stream};
use serde::Serialize;
use shared::domain::contract::ContractConfig;
use shared::domain::directory::{Entry, EntryId, EntryKind, EntryRef, RecordRef};
use shared::linking::{Act, Linking};
use shared::problem::Problem;
use utoipa::ToSchema;

use super::decide;
use super::shapes::{CandidateItem, EntryHolder};
use super::show::{ENVIRONMENT, View};
use crate::App;
use crate::auth::{Caller, DecideMatches};

/// Most records that a question names.
const MAX_ASKED: usize = 5;
/// Questions that are put together at once.
const AT_ONCE: usize = 4;

/// A question for the record of the CRM that a person or company is.
#[derive(Serialize, ToSchema)]
pub(in crate::routes) struct MatchQuestion {
    /// The person or company.
    target: EntryHolder,
    /// The records that it may be, the best first, at most 5.
    candidates: Vec<CandidateItem>,
}

impl MatchQuestion {
    async fn new(view: &View<'_>, entry: &Entry) -> Result<Self, Problem> {
        let mut candidates = view.candidates(entry).await?.items;
        candidates.retain(|candidate| !candidate.refused);
        candidates.truncate(MAX_ASKED);
        Ok(Self {
            target: EntryHolder {
                kind: entry.kind,
                id: entry.id,
                name: Some(entry.name()),
            },
            candidates,
        })
    }

    /// True if it is about that person or company.
    pub(in crate::routes) fn is_about(&self, entry: EntryRef) -> bool {
        (self.target.kind, self.target.id) == (entry.kind, entry.id)
    }
}

/// The questions about those people and companies whose match is in doubt.
pub(in crate::routes) async fn questions(
    app: &App,
    config: &ContractConfig,
    about: &[EntryRef],
) -> Result<Vec<MatchQuestion>, Problem> {
    let (store, contract) = (&app.remote.store, &config.contract.id);
    let linking = Linking::new(store, &config.contract, app.remote.clock.now()).with(&app.cached);
    let mut doubtful: Vec<Entry> = Vec::new();
    for kind in EntryKind::ALL {
        let of_kind = about.iter().filter(|entry| entry.kind == kind);
        let ids: Vec<EntryId> = of_kind.map(|entry| entry.id).collect();
        if ids.is_empty() {
            continue;
        }
        let matches = store.entry_matches(contract, ENVIRONMENT, kind, &ids).await;
        let matches = matches.map_err(|error| error.problem())?;
        if matches.is_empty() {
            continue;
        }
        let entries = store.entries(contract, kind, &ids).await;
        let entries = entries.map_err(|error| error.problem())?;
        let pairs: Vec<_> = entries
            .iter()
            .filter_map(|(id, entry)| Some((entry, matches.get(id)?)))
            .collect();
        let found = linking.in_doubt(kind, &pairs).await;
        let found = found.map_err(|error| error.problem())?;
        doubtful.extend(
            entries
                .into_values()
                .filter(|entry| found.contains(&entry.id)),
        );
    }
    if doubtful.is_empty() {
        return Ok(Vec::new());
    }
    let view = View::of(app, contract).await?;
    let asking: Vec<_> = doubtful
        .iter()
        .map(|entry| MatchQuestion::new(&view, entry))
        .collect();
    let asked: Vec<_> = stream::iter(asking).buffered(AT_ONCE).collect().await;
    asked.into_iter().collect()
}

/// Answers the question about a person or company: it is this record, or none of those that were named.
pub(in crate::routes) async fn answer(
    app: &App,
    caller: &Caller<DecideMatches>,
    about: EntryRef,
    record: Option<RecordRef>,
) -> Result<(), Problem> {
    let act = record.map_or(Act::Unmatch, Act::Match);
    decide::decide(app, caller, about.kind, &about.id.to_string(), act).await?;
    Ok(())
}
