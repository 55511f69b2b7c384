//! Seat holders' choices to log whole threads (WB-6). A thread is kept as a hash with its person or company, so
//! a choice holds nothing of what was written.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::submissions::Page;
use super::{Item, Store, StoreError, keys, page_of, read, read_each, write};
use domain::activity::Thread;
use domain::clock::Millis;
use domain::contract::AuditEntry;
use domain::directory::EntryRef;
use domain::ids::{ContractId, SeatId};
use domain::log_choice::LogToCrm;

const ENTITY: &str = "thread choice";

/// A seat holder's choice to log a thread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadChoice {
    /// The hash of the thread, which names the choice.
    pub id: String,
    /// The person or company of the thread.
    pub target: EntryRef,
    /// Yes or no.
    pub choice: LogToCrm,
    /// The time at which it was chosen.
    pub since: Millis,
}

impl ThreadChoice {
    /// The choice for a thread.
    #[must_use]
    pub fn new(thread: &Thread, choice: LogToCrm, since: Millis) -> Self {
        Self {
            id: keys::thread_hash(thread),
            target: thread.target,
            choice,
            since,
        }
    }
}

impl Store {
    /// A seat holder's choices for some of their threads. One call for every hundred.
    pub async fn thread_choices(
        &self,
        contract: &ContractId,
        seat: SeatId,
        threads: &BTreeSet<Thread>,
    ) -> Result<HashMap<Thread, LogToCrm>, StoreError> {
        let ids: HashMap<String, &Thread> = threads
            .iter()
            .map(|thread| (keys::thread_hash(thread), thread))
            .collect();
        let wanted: Vec<Item> = ids
            .keys()
            .map(|id| keys::thread_choice(contract, seat, id).attributes())
            .collect();
        let found = self.read_many(wanted).await?;
        let found: Vec<ThreadChoice> = read_each(ENTITY, found, |item| read(ENTITY, item));
        let of = |found: ThreadChoice| Some(((*ids.get(&found.id)?).clone(), found.choice));
        Ok(found.into_iter().filter_map(of).collect())
    }

    /// Keeps a choice, with a line in the audit log. One call.
    pub async fn choose_thread(
        &self,
        contract: &ContractId,
        seat: SeatId,
        choice: &ThreadChoice,
        audit: &AuditEntry,
        unique: uuid::Uuid,
    ) -> Result<(), StoreError> {
        let key = keys::thread_choice(contract, seat, &choice.id);
        self.transact(vec![
            self.put_action(write(ENTITY, choice, &key)?, None)?,
            self.audit_item(contract, audit, unique)?,
        ])
        .await
    }

    /// Forgets a choice, with a line in the audit log. One call.
    pub async fn forget_thread(
        &self,
        contract: &ContractId,
        seat: SeatId,
        id: &str,
        audit: &AuditEntry,
        unique: uuid::Uuid,
    ) -> Result<(), StoreError> {
        let key = keys::thread_choice(contract, seat, id).attributes();
        self.transact(vec![
            self.delete_action(key, None)?,
            self.audit_item(contract, audit, unique)?,
        ])
        .await
    }

    /// A seat holder's choice by its id. One call.
    pub async fn thread_choice(
        &self,
        contract: &ContractId,
        seat: SeatId,
        id: &str,
    ) -> Result<Option<ThreadChoice>, StoreError> {
        let key = keys::thread_choice(contract, seat, id);
        self.get(ENTITY, key, true).await
    }

    /// A page of a seat holder's choices, behind the one with the id `after`. One call.
    pub async fn list_thread_choices(
        &self,
        contract: &ContractId,
        seat: SeatId,
        after: Option<&str>,
        limit: i32,
    ) -> Result<Page<ThreadChoice>, StoreError> {
        let start = after.map(|id| keys::thread_choice(contract, seat, id).attributes());
        let partition = keys::thread_choices(contract, seat);
        let query = self.query_partition(partition).limit(limit);
        let page = page_of(&query, start).await?;
        let last = page.next.as_ref().and_then(|key| key.get("SK"));
        Ok(Page {
            next: last.and_then(|sk| sk.as_s().ok()).cloned(),
            items: read_each(ENTITY, page.items, |item| read(ENTITY, item)),
        })
    }
}
