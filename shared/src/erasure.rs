//! Erasure of a person's data (OP-3): how it is asked for, the key of its tombstones, and the tombstones as those
//! who bring people in see them.

use std::sync::Arc;

use serde_json::json;
use zeroize::Zeroizing;

use crate::crm_setup;
use crate::domain::contract::AuditEntry;
use crate::domain::directory::{EntryKind, NewEntry};
use crate::domain::environment::Environment;
use crate::domain::ids::ContractId;
use crate::domain::mirror::{Change, Record, Values};
use crate::domain::privacy::{Erasure, Person, Tombstones};
use crate::queue::ImportQueue;
use crate::store::{Store, StoreError, WorkKind};
use crate::vault::{Purpose, Vault, VaultError};
use crate::wiring::Remote;

fn key_purpose(contract: &ContractId) -> Purpose<'_> {
    Purpose {
        contract,
        name: "erasure/key",
    }
}

/// The purpose under which an erasure's person is sealed.
fn person_purpose(contract: &ContractId) -> Purpose<'_> {
    Purpose {
        contract,
        name: "erasure/person",
    }
}

/// A vault that does not answer is trouble like a table that does not: it passes, or an operator mends it.
fn closed(error: VaultError) -> StoreError {
    StoreError::Unavailable(Box::new(error))
}

/// The key of a contract's tombstones and receipts; `None` before its first erasure.
///
/// # Errors
/// Returns [`StoreError`] if the table or the vault does not answer.
pub async fn key(
    store: &Store,
    vault: &Vault,
    contract: &ContractId,
) -> Result<Option<Zeroizing<String>>, StoreError> {
    let (sealed, _) = store.tombstones(contract).await?;
    let Some(sealed) = sealed else {
        return Ok(None);
    };
    let key = vault.open(key_purpose(contract), &sealed).await;
    key.map(Some).map_err(closed)
}

/// The tombstones of a contract, as they are now. One query where nobody was erased.
///
/// # Errors
/// Returns [`StoreError`] if the table or the vault does not answer: without them nothing may be brought in.
pub async fn tombstones(
    store: &Store,
    vault: &Vault,
    contract: &ContractId,
) -> Result<Arc<Tombstones>, StoreError> {
    let (sealed, all) = store.tombstones(contract).await?;
    let Some(sealed) = sealed else {
        return Ok(Arc::default());
    };
    let key = vault.open(key_purpose(contract), &sealed).await;
    let key = key.map_err(closed)?;
    Ok(Arc::new(Tombstones::new(key.as_bytes(), all)))
}

/// Takes the values out of imported records of people who were erased. The records stay, so that counts and
/// references are as in the CRM.
pub fn empty_erased(
    tombstones: &Tombstones,
    environment: Environment,
    object: &str,
    region: Option<&str>,
    changes: &mut [Change],
) {
    if tombstones.is_empty() {
        return;
    }
    for change in changes {
        let Change::Present(Record { id, values, .. }) = change else {
            continue;
        };
        let texts = values.0.iter().filter_map(|(_, value)| value.as_text());
        if tombstones.record(environment, object, id) || tombstones.name(texts, region) {
            *values = Values::default();
        }
    }
}

/// True if a person who is to be added was erased.
#[must_use]
pub fn is_erased(tombstones: &Tombstones, new: &NewEntry, region: Option<&str>) -> bool {
    let record = &new.record;
    let single = [
        &record.first_name,
        &record.last_name,
        &record.name,
        &record.title,
        &record.company,
        &record.website,
    ];
    let several = record.emails.iter().chain(&record.phones);
    let all = single.into_iter().chain(several).chain(&new.external_id);
    new.kind == EntryKind::Profile && tombstones.name(all.map(String::as_str), region)
}

/// Asks for the erasure of a person's data: its tombstones stand from this moment on, and a worker of the import
/// queue does the rest. Asked for again while it runs, it is the same one; after its end it runs once more.
///
/// # Errors
/// Returns [`StoreError`] if the table or the vault does not answer.
pub async fn begin(
    remote: &Remote,
    queue: &ImportQueue,
    contract: &ContractId,
    person: &Person,
    by: &str,
) -> Result<Erasure, StoreError> {
    let (store, vault, now) = (&remote.store, &remote.vault, remote.clock.now());
    let key = if let Some(key) = key(store, vault, contract).await? {
        key
    } else {
        let new = Zeroizing::new(remote.random.secret(32));
        let sealed = vault.seal(key_purpose(contract), &new).await;
        // Of two that are made at once the first holds.
        let sealed = store
            .tombstone_key(contract, sealed.map_err(closed)?)
            .await?;
        let key = vault.open(key_purpose(contract), &sealed).await;
        key.map_err(closed)?
    };
    let id = person.erasure_id(contract, key.as_bytes());
    let before = store.erasure(contract, id).await?;
    if let Some(open) = before.as_ref().filter(|before| before.is_open()) {
        return Ok(open.clone());
    }
    let text =
        serde_json::to_string(person).map_err(|error| StoreError::Malformed(Box::new(error)))?;
    let sealed = vault.seal(person_purpose(contract), &text).await;
    let sealed = sealed.map_err(closed)?;
    let tombstones = person.tombstones(key.as_bytes());
    let mut erasure = Erasure::asked(before.as_ref(), contract, id, by, sealed, now);
    erasure.tombstones = tombstones.len() as u64;
    let audit = AuditEntry {
        at: now,
        actor: by.to_owned(),
        action: "person.erase".to_owned(),
        target: id.to_string(),
        before: serde_json::Value::Null,
        after: json!({ "tombstones": tombstones.len() }),
    };
    let unique = remote.random.uuid();
    match store
        .begin_erasure(&erasure, &tombstones, &audit, unique)
        .await
    {
        Ok(()) => {}
        // Asked for by two at once: it is one.
        Err(StoreError::Conflict) => {
            let stored = store.erasure(contract, id).await?;
            return stored.ok_or(StoreError::Conflict);
        }
        Err(error) => return Err(error),
    }
    crm_setup::announce(queue, contract, WorkKind::Erase).await;
    Ok(erasure)
}

/// The person of an erasure that has not ended.
///
/// # Errors
/// Returns [`StoreError`] if the vault does not answer, or the erasure has none.
pub async fn person(vault: &Vault, erasure: &Erasure) -> Result<Person, StoreError> {
    let sealed = erasure.sealed.as_deref().unwrap_or_default();
    let purpose = person_purpose(&erasure.contract);
    let text = vault.open(purpose, sealed).await.map_err(closed)?;
    serde_json::from_str(&text).map_err(|error| StoreError::Malformed(Box::new(error)))
}
