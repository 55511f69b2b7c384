//! The mechanism of runs that are neither imports nor link passes: taken under a lease, done in steps with a
//! checkpoint after each, given back when the time is up, and continued by the next worker.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use shared::clock::Millis;
use shared::crm_setup;
use shared::domain::ids::ContractId;
use shared::domain::run::{Run, RunKind, RunState};
use shared::store::{StoreError, WorkKind};

use crate::App;

/// The time after which a worker begins no further step and hands over. A step has to end well inside the rest
/// of the function's time-out.
const WORK_TIME: Duration = Duration::from_mins(1);

/// A kind of run: its state and its step.
pub(crate) trait Steps {
    /// The kind.
    const KIND: RunKind;
    /// The state between two steps. Its default is the state before the first. What must not be stored is
    /// skipped in its serialised form: it is lost when a worker dies or hands over.
    type State: Serialize + DeserializeOwned + Default + Send;

    /// Does a step. It may be done again by another worker if this one dies before it is stored.
    fn step(
        app: &App,
        contract: &ContractId,
        run: &mut Run,
        state: &mut Self::State,
    ) -> impl Future<Output = Result<Next, StoreError>> + Send;
}

/// The continuation of a run after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another step.
    Step,
    /// Another step at that time.
    At(Millis),
    /// The run is done.
    Done,
    /// The run is done, and the step has stored that.
    Stored,
}

impl App {
    /// Continues a contract's run of a kind as far as possible. Does nothing if none is due.
    pub(crate) async fn run<S: Steps>(&self, contract: &ContractId) -> Result<(), StoreError> {
        let store = &self.remote.store;
        let Some(mut run) = store.last_run(contract, S::KIND).await? else {
            return Ok(());
        };
        if !run.is_takeable(self.now()) {
            return Ok(());
        }
        run.take(self.now());
        store.put_run(contract, &run).await?;
        let mut state = read::<S>(contract, &run);
        let since = Instant::now();
        loop {
            let next = S::step(self, contract, &mut run, &mut state).await?;
            let now = self.now();
            run.checkpoint = serde_json::to_value(&state).unwrap_or(Value::Null);
            match next {
                Next::Stored => break,
                Next::Done => {
                    run.end(RunState::Done, now);
                    store.end_run(contract, &run).await?;
                    break;
                }
                Next::At(due) => {
                    run.give_back(due);
                    store.put_run(contract, &run).await?;
                    self.announce_run(contract, &run).await;
                    return Ok(());
                }
                Next::Step if since.elapsed() >= WORK_TIME => {
                    run.give_back(now);
                    store.put_run(contract, &run).await?;
                    self.announce_run(contract, &run).await;
                    return Ok(());
                }
                Next::Step => {
                    run.take(now);
                    store.put_run(contract, &run).await?;
                }
            }
        }
        tracing::info!(%contract, run = %run.id(), counts = ?run.counts, "run ended");
        Ok(())
    }

    async fn announce_run(&self, contract: &ContractId, run: &Run) {
        let seconds = (run.due_at.since(self.now()).max(0) + 999) / 1000;
        crm_setup::announce_in(&self.queue, contract, WorkKind::Run(run.kind), seconds).await;
    }
}

/// The state that the run's last step has left; before the first, and after a version of this program that
/// stored it in another form, the state of the beginning: every step does no harm when it is done again.
fn read<S: Steps>(contract: &ContractId, run: &Run) -> S::State {
    if run.checkpoint.is_null() {
        return S::State::default();
    }
    serde_json::from_value(run.checkpoint.clone()).unwrap_or_else(|error| {
        tracing::warn!(%contract, run = %run.id(), %error, "begins anew: its checkpoint has another form");
        S::State::default()
    })
}
