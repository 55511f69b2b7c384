//! How long things are kept: the run that gives stored submissions the time at which they expire, after the
//! setting for it was changed; and what the schedule asks for once a day, as the time of other things is over.

use serde::{Deserialize, Serialize};
use shared::clock::Millis;
use shared::crm_setup;
use shared::domain::environment::Environment;
use shared::domain::ids::ContractId;
use shared::domain::run::{Run, RunKind};
use shared::store::{ConnectionKind, StoreError, WorkKind};

use crate::App;
use crate::runs::{Next, Steps};

/// The one who asks for what the schedule begins, in runs and audit entries.
const SCHEDULE: &str = "schedule";
/// Age of the last erasure of old activities from which the next is asked for, in seconds: the schedule runs
/// twice a day, and once is enough.
const ERASE_AFTER_SECONDS: i64 = 20 * 3600;

impl App {
    /// Asks for the erasure of old activities, and for the clean-up of what is left of CRMs that were
    /// disconnected, as the contract's settings say.
    pub(crate) async fn apply_retention(&self, contract: &ContractId) -> Result<(), StoreError> {
        let now = self.now();
        let Some(settings) = self.remote.store.contract(contract).await? else {
            return Ok(());
        };
        // None of them stands in the way of the others.
        let mut result = Ok(());
        if settings.activities_kept_from(now).is_some() {
            result = result.and(self.erase_old_activities(contract, now).await);
        }
        if let Some(before) = settings.mirror_kept_from(now) {
            for environment in Environment::ALL {
                let ended = self.clean_up_after(contract, environment, before).await;
                result = result.and(ended);
            }
        }
        result
    }

    async fn erase_old_activities(
        &self,
        contract: &ContractId,
        now: Millis,
    ) -> Result<(), StoreError> {
        let (store, kind) = (&self.remote.store, RunKind::KeepActivities);
        let last = store.last_run(contract, kind).await?;
        let ended = last.as_ref().and_then(|last| last.finished_at);
        if ended.is_some_and(|at| now.since(at) < ERASE_AFTER_SECONDS * 1000) {
            return Ok(());
        }
        // One that is open does it.
        let Some(run) = Run::requested(kind, last.as_ref(), SCHEDULE, now, now) else {
            return Ok(());
        };
        match store.put_run(contract, &run).await {
            Ok(()) => {
                crm_setup::announce(&self.queue, contract, WorkKind::Run(kind)).await;
                Ok(())
            }
            // Somebody else asked for one.
            Err(StoreError::Conflict) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Begins the clean-up of an environment's imported records if its CRM was disconnected before `before`: the
    /// connection is ended once more, with a clean-up.
    async fn clean_up_after(
        &self,
        contract: &ContractId,
        environment: Environment,
        before: Millis,
    ) -> Result<(), StoreError> {
        let kind = ConnectionKind::Crm(environment);
        let connection = self.remote.store.connection(contract, kind).await?;
        let left = connection.filter(|found| found.left_data_at().is_some_and(|at| at < before));
        let Some(connection) = left else {
            return Ok(());
        };
        match crm_setup::begin_disconnect(&self.remote, &connection, SCHEDULE, true).await {
            Ok(_) => {
                crm_setup::announce(&self.queue, contract, WorkKind::Disconnect(kind)).await;
                Ok(())
            }
            // It was connected again at this moment.
            Err(StoreError::Conflict) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

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
