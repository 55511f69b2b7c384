//! Requests for a link pass over the whole directory, which crm-import runs.

use crate::clock::Millis;
use crate::crm_setup;
use crate::domain::directory::LinkPass;
use crate::domain::ids::ContractId;
use crate::queue::ImportQueue;
use crate::store::{Store, StoreError, WorkKind};

/// Requests a link pass and announces it to the import queue. A pass that has not started yet meets the
/// request; after one that is under way, another follows.
///
/// # Errors
/// Returns an error if the table does not answer. If the queue refuses the message, the schedule sends it.
pub async fn request_link_pass(
    store: &Store,
    queue: &ImportQueue,
    contract: &ContractId,
    by: &str,
    now: Millis,
) -> Result<LinkPass, StoreError> {
    let pass = ask(store, contract, by, now).await?;
    crm_setup::announce(queue, contract, WorkKind::Link).await;
    Ok(pass)
}

/// Stores the request of a pass; returns the pass that meets it.
pub(super) async fn ask(
    store: &Store,
    contract: &ContractId,
    by: &str,
    now: Millis,
) -> Result<LinkPass, StoreError> {
    loop {
        let before = store.link_pass(contract).await?;
        let Some(pass) = LinkPass::requested(before.as_ref(), by, now) else {
            if let Some(open) = before {
                return Ok(open);
            }
            continue;
        };
        match store.put_link_pass(contract, &pass).await {
            Ok(()) => return Ok(pass),
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error),
        }
    }
}
