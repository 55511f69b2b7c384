//! The run that erases the content of activities which were kept for as long as the contract keeps them. What
//! stays of an activity identifies it: sent again it is not logged again.

use serde::{Deserialize, Serialize};
use shared::domain::activity::Activity;
use shared::domain::ids::{ContractId, SeatId};
use shared::domain::run::{Run, RunKind};
use shared::store::{MAX_ERASED, StoreError};

use crate::App;
use crate::runs::{Next, Steps};

/// The run.
pub(crate) struct Forgetting;

/// Its state.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Place {
    /// The seats whose activities are still to be looked at, the next one last; `None` before they were read.
    seats: Option<Vec<SeatId>>,
    /// The start of the next page of the seat's activities; `None` before the first.
    cursor: Option<String>,
}

impl Steps for Forgetting {
    const KIND: RunKind = RunKind::KeepActivities;
    type State = Place;

    /// Looks at a page of a seat's activities. What is erased is counted in the same transaction, and a page that
    /// is done again has only what is left.
    async fn step(
        app: &App,
        contract: &ContractId,
        run: &mut Run,
        state: &mut Place,
    ) -> Result<Next, StoreError> {
        let (store, now) = (&app.remote.store, app.now());
        // Read for each page, so that a change of the setting holds at once.
        let settings = store.contract(contract).await?;
        let before = settings.and_then(|settings| settings.activities_kept_from(now));
        let Some(before) = before else {
            return Ok(Next::Done);
        };
        let Some(seats) = &mut state.seats else {
            // Once for the run: it takes the whole audit log.
            state.seats = Some(store.seats_ever(contract).await?);
            return Ok(Next::Step);
        };
        let Some(seat) = seats.last().copied() else {
            return Ok(Next::Done);
        };
        let page = store
            .old_activities(contract, seat, before, state.cursor.as_deref())
            .await?;
        let old: Vec<&Activity> = page
            .items
            .iter()
            .filter(|activity| activity.is_kept_too_long(before))
            .collect();
        for some in old.chunks(MAX_ERASED) {
            let mut next = run.clone();
            next.take(now);
            next.count("activity", some.len() as u64);
            store.erase_activities(contract, &next, some, now).await?;
            *run = next;
        }
        state.cursor = page.next;
        if state.cursor.is_none() {
            seats.pop();
        }
        Ok(Next::Step)
    }
}
