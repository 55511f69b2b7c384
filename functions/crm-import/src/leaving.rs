//! The deletion of a whole contract: the contract ends for everybody, its connections are ended, all its items
//! are deleted, and a receipt stays for a year.

use serde::{Deserialize, Serialize};
use shared::clock::Millis;
use shared::crm_setup;
use shared::domain::environment::Environment;
use shared::domain::ids::ContractId;
use shared::domain::run::{Run, RunKind, RunState};
use shared::store::{
    Connection, ConnectionKind, ConnectionState, LeavingPage, StoreError, WorkKind,
};

use crate::App;
use crate::runs::{Next, Steps};

/// The time between the end of the contract for everybody and the deletion of its data, in seconds: longer than
/// any function works on something that it began before, any cache keeps a form, and a sign-in is under way.
const QUIET_SECONDS: i64 = 15 * 60;
/// The time between two looks at connections that are being ended, in seconds.
const CONNECTIONS_SECONDS: i64 = 60;
/// The requester in audit entries and the receipt: the role, as the receipt is to name no person.
const REQUESTER: &str = "administrator";

/// The run.
pub(crate) struct Leaving;

/// Its state.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub(crate) enum Stage {
    /// The waiting period is over: the contract ends for everybody.
    #[default]
    Begin,
    /// The end of the connections begins; forms, settings, API tokens, seats and sessions are counted.
    Close,
    /// These are deleted.
    Shut,
    /// Nothing more is begun for the contract; what was begun before is waited for.
    Quiet {
        /// Time when it ends.
        until: Millis,
    },
    /// The ends of the connections are waited for.
    Connections,
    /// All items are deleted, in passes over the whole table until one finds nothing.
    Delete(Pass),
}

/// A pass over the table.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Pass {
    /// Number of passes before it.
    #[serde(default)]
    before: u64,
    /// The place in the table where it continues.
    #[serde(default)]
    from: Option<(String, String)>,
    /// True if it has found something.
    #[serde(default)]
    found: bool,
    /// Items that were counted and are deleted in the next step. Not stored: if a worker dies or hands over
    /// in between, the next pass finds it, and does not count it again.
    #[serde(skip)]
    counted: LeavingPage,
}

impl Steps for Leaving {
    const KIND: RunKind = RunKind::DeleteContract;
    type State = Stage;

    async fn step(
        app: &App,
        contract: &ContractId,
        run: &mut Run,
        state: &mut Stage,
    ) -> Result<Next, StoreError> {
        let now = app.now();
        match state {
            Stage::Begin => {
                REQUESTER.clone_into(&mut run.requested_by);
                // The next step is stored by the caller, over this version.
                run.take(now);
                let store = &app.remote.store;
                store.begin_leaving(contract, run, now).await?;
                *state = Stage::Close;
                Ok(Next::Step)
            }
            Stage::Close => {
                app.end_connections(contract).await?;
                let entrances = app.remote.store.find_entrances(contract).await?;
                entrances.kinds().for_each(|kind| run.count(kind, 1));
                *state = Stage::Shut;
                Ok(Next::Step)
            }
            Stage::Shut => {
                let store = &app.remote.store;
                let entrances = store.find_entrances(contract).await?;
                store.delete_leaving(entrances).await?;
                let until = now.plus_seconds(QUIET_SECONDS);
                *state = Stage::Quiet { until };
                Ok(Next::At(until))
            }
            Stage::Quiet { until } if *until > now => Ok(Next::At(*until)),
            Stage::Quiet { .. } => {
                *state = Stage::Connections;
                Ok(Next::Step)
            }
            Stage::Connections => {
                if app.end_connections(contract).await? {
                    *state = Stage::Delete(Pass::default());
                    return Ok(Next::Step);
                }
                Ok(Next::At(now.plus_seconds(CONNECTIONS_SECONDS)))
            }
            Stage::Delete(pass) => app.delete_pass(contract, run, pass).await,
        }
    }
}

impl App {
    /// Begins the end of every connection of a contract that stands; the existing mechanism does the rest.
    /// Returns `true` if all have ended.
    async fn end_connections(&self, contract: &ContractId) -> Result<bool, StoreError> {
        let store = &self.remote.store;
        let mut connections: Vec<Connection> = Vec::new();
        for kind in [
            ConnectionKind::Crm(Environment::Production),
            ConnectionKind::Crm(Environment::Sandbox),
            ConnectionKind::LinkedIn,
        ] {
            match store.connection(contract, kind).await {
                // One that cannot be read can be ended by nobody: it is deleted with the rest.
                Err(error @ StoreError::Corrupt { .. }) => error.log(),
                found => connections.extend(found?),
            }
        }
        for environment in Environment::ALL {
            connections.extend(store.user_connections(contract, environment).await?);
        }
        let mut all = true;
        for connection in connections {
            all &= connection.state == ConnectionState::Disconnected;
            if !connection.stands() {
                continue;
            }
            let work = WorkKind::Disconnect(connection.kind);
            match crm_setup::begin_disconnect(&self.remote, &connection, REQUESTER, false).await {
                Ok(_) => crm_setup::announce(&self.queue, contract, work).await,
                // It is being refreshed, or was changed: the next look finds it.
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    /// Does a step of a pass over the table: deletes what the step before has found, and looks at the next
    /// part. The first pass counts. The counts are stored before anything is deleted, so that they are right
    /// whenever a worker dies.
    async fn delete_pass(
        &self,
        contract: &ContractId,
        run: &mut Run,
        pass: &mut Pass,
    ) -> Result<Next, StoreError> {
        let store = &self.remote.store;
        let counted = std::mem::take(&mut pass.counted);
        if !counted.is_empty() {
            store.delete_leaving(counted).await?;
        }
        let page = store.find_leaving(contract, pass.from.take()).await?;
        pass.found |= !page.is_empty();
        if pass.before == 0 {
            page.kinds().for_each(|kind| run.count(kind, 1));
        }
        pass.from.clone_from(&page.next);
        pass.counted = page;
        if pass.from.is_some() {
            return Ok(Next::Step);
        }
        if pass.found {
            pass.before += 1;
            pass.found = false;
            return Ok(Next::Step);
        }
        let now = self.now();
        run.count("contract", 1);
        run.end(RunState::Done, now);
        store.finish_leaving(contract, run, now).await?;
        Ok(Next::Stored)
    }
}
