//! The run that gives stored submissions the time at which they expire, after the setting for it was changed.

use serde::{Deserialize, Serialize};
use shared::domain::ids::ContractId;
use shared::domain::run::{Run, RunKind};
use shared::store::StoreError;

use crate::App;
use crate::runs::{Next, Steps};

/// The run.
pub(crate) struct Retention;

/// Its state.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Place {
    /// The start of the next page of submissions; `None` before the first.
    #[serde(default)]
    cursor: Option<String>,
}

impl Steps for Retention {
    const KIND: RunKind = RunKind::KeepAnswers;
    type State = Place;

    /// Sets the time of a page of submissions. A page that is done again after a worker's death sets the same.
    async fn step(
        app: &App,
        contract: &ContractId,
        run: &mut Run,
        state: &mut Place,
    ) -> Result<Next, StoreError> {
        let store = &app.remote.store;
        // Read for each page: a change of the setting restarts the run, and its worker finds out when it stores
        // the page.
        let Some(contract) = store.contract(contract).await? else {
            return Ok(Next::Done);
        };
        let page = store
            .set_retention(&contract, state.cursor.as_deref())
            .await?;
        run.count("submission", page.changed);
        state.cursor = page.next;
        Ok(match state.cursor {
            Some(_) => Next::Step,
            None => Next::Done,
        })
    }
}
