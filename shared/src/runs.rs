//! Requests for runs that follow from a change: attribution (RO-1), champions (SV-7), save passes (SV-4).

use crate::clock::Millis;
use crate::crm_setup;
use crate::domain::directory::LinkPass;
use crate::domain::ids::ContractId;
use crate::domain::run::{Run, RunKind};
use crate::queue::ImportQueue;
use crate::store::{Store, StoreError, WorkKind};

/// Asks for a run of a kind that begins in some seconds, and announces it to the import queue. One that is under way
/// begins anew, since what it has passed may have changed.
pub async fn request(
    store: &Store,
    queue: &ImportQueue,
    contract: &ContractId,
    kind: RunKind,
    by: &str,
    now: Millis,
    seconds: i64,
) -> Result<(), StoreError> {
    let begins = now.plus_seconds(seconds);
    loop {
        let before = store.last_run(contract, kind).await?;
        let run = match before {
            Some(mut open) if open.is_open() => {
                open.restart(begins);
                Some(open)
            }
            before => Run::requested(kind, before.as_ref(), by, now, begins),
        };
        let Some(run) = run else {
            break;
        };
        match store.put_run(contract, &run).await {
            Ok(()) => break,
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error),
        }
    }
    crm_setup::announce_in(queue, contract, WorkKind::Run(kind), seconds).await;
    Ok(())
}

/// Requests a save pass and announces it to the import queue. A pass that has not started yet meets the
/// request; after one that is under way, another follows.
pub async fn request_save(
    store: &Store,
    queue: &ImportQueue,
    contract: &ContractId,
    by: &str,
    now: Millis,
) -> Result<(), StoreError> {
    loop {
        let before = store.save_pass(contract).await?;
        let Some(pass) = LinkPass::requested(before.as_ref(), by, now) else {
            break;
        };
        match store.put_save_pass(contract, &pass).await {
            Ok(()) => break,
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error),
        }
    }
    crm_setup::announce(queue, contract, WorkKind::Save).await;
    Ok(())
}
