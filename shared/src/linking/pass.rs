//! Asks for a pass over the whole directory; crm-import makes it.

use crate::clock::Millis;
use crate::crm_setup;
use crate::domain::directory::LinkPass;
use crate::domain::ids::ContractId;
use crate::queue::ImportQueue;
use crate::store::{Store, StoreError, WorkKind};

/// Asks for a link pass and announces it. One that waits is the one asked for; one that is under way is
/// followed by another.
///
/// # Errors
/// When the table does not answer. A message that the queue does not take is sent by the schedule.
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

/// Stores that a pass is asked for.
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
