//! The erasure of a person's data (OP-3). Everything that can hold it is looked through twice: at once, and when
//! no worker runs any more that began before the tombstones stood. Each item goes in one transaction with the
//! erasure's counts, so that a worker may die anywhere.

use std::time::{Duration, Instant};

use serde_json::json;
use shared::clock::Millis;
use shared::crm_setup;
use shared::domain::contract::{AuditEntry, Contract};
use shared::domain::ids::ContractId;
use shared::domain::privacy::{
    Erasure, ErasureState, Person, Position, Receipt, SETTLE_SECONDS, Tombstone,
};
use shared::erasure;
use shared::store::{Look, StoreError, WorkKind};

use crate::App;

/// The time that a worker holds an erasure alone, in seconds: longer than the function's time-out.
const LEASE_SECONDS: i64 = 180;
/// After this a worker begins nothing new and hands over.
const WORK_TIME: Duration = Duration::from_mins(1);
/// Tries at a page whose items others keep changing.
const TRIES: u32 = 5;

/// An erasure in the hands of a worker.
struct Work<'a> {
    app: &'a App,
    contract: &'a Contract,
    erasure: Erasure,
    person: Person,
    key: &'a [u8],
    began: Instant,
}

impl App {
    /// Continues the contract's erasures that are due.
    pub(crate) async fn erase(&self, contract: &ContractId) -> Result<(), StoreError> {
        let store = &self.remote.store;
        let due = |erasure: &Erasure| erasure.is_open() && erasure.due_at <= self.now();
        let erasures = store.erasures(contract).await?.into_iter();
        let erasures: Vec<Erasure> = erasures.filter(due).collect();
        if erasures.is_empty() {
            return Ok(());
        }
        let vault = &self.remote.vault;
        let Some(contract) = store.contract(contract).await? else {
            return Ok(());
        };
        let Some(key) = erasure::key(store, vault, &contract.id).await? else {
            return Ok(());
        };
        let mut outcome = Ok(());
        for mut erasure in erasures {
            erasure.due_at = self.now().plus_seconds(LEASE_SECONDS);
            erasure.version += 1;
            match store.save_erasure(&erasure, None).await {
                // Another worker has it.
                Err(StoreError::Conflict) => continue,
                taken => taken?,
            }
            // Trouble with one does not stop the others.
            let person = match erasure::person(vault, &erasure).await {
                Ok(person) => person,
                Err(error) => {
                    outcome = Err(error);
                    continue;
                }
            };
            let mut work = Work {
                app: self,
                contract: &contract,
                person,
                erasure,
                key: key.as_bytes(),
                began: Instant::now(),
            };
            if let Err(error) = Box::pin(work.go_on()).await {
                outcome = Err(error);
            }
        }
        outcome
    }
}

impl Work<'_> {
    fn now(&self) -> Millis {
        self.app.now()
    }

    async fn save(&mut self) -> Result<(), StoreError> {
        self.erasure.version += 1;
        let store = &self.app.remote.store;
        store.save_erasure(&self.erasure, None).await
    }

    async fn go_on(&mut self) -> Result<(), StoreError> {
        loop {
            let next = self.page().await?;
            let Some(next) = next else {
                return self.end_of_round().await;
            };
            // The records that were erased have come to the position meanwhile.
            let position = &mut self.erasure.position;
            position.profiles = next.profiles;
            position.place = next.place;
            position.after = next.after;
            position.seats = next.seats;
            position.every_record = next.every_record;
            if self.began.elapsed() >= WORK_TIME {
                self.erasure.due_at = self.now();
                self.save().await?;
                let queue = &self.app.queue;
                crm_setup::announce(queue, &self.contract.id, WorkKind::Erase).await;
                return Ok(());
            }
        }
    }

    /// Erases what a page finds; gives the position of the next one.
    async fn page(&mut self) -> Result<Option<Position>, StoreError> {
        let store = &self.app.remote.store;
        let now = self.now();
        let (contract, key) = (self.contract, self.key);
        let look = Look {
            contract: &contract.id,
            crm: contract.crm,
            region: contract.settings.default_region.as_deref(),
            person: &self.person,
        };
        for _ in 0..TRIES {
            let page = store.find_person(&look, &self.erasure.position).await?;
            let mut conflict = false;
            for found in &page.found {
                let tombstone = |environment, object: &str, id: &str| {
                    Tombstone::of_record(key, environment, object, id)
                };
                let erased = store.erase_found(&mut self.erasure, &look, found, tombstone, now);
                match erased.await {
                    Err(StoreError::Conflict) => conflict = true,
                    erased => erased?,
                }
            }
            if !conflict {
                return Ok(page.next);
            }
            let stored = store.erasure(&contract.id, self.erasure.id).await?;
            if stored.is_none_or(|stored| stored.version != self.erasure.version) {
                // Another worker has it.
                break;
            }
        }
        Err(StoreError::Conflict)
    }

    async fn end_of_round(&mut self) -> Result<(), StoreError> {
        let now = self.now();
        if self.erasure.position.more_records {
            // Those that it named are erased, with their lists: there is room for the others.
            self.erasure.due_at = now;
            self.erasure.position = Position {
                profiles: std::mem::take(&mut self.erasure.position.profiles),
                ..Position::default()
            };
            self.save().await?;
            let queue = &self.app.queue;
            crm_setup::announce(queue, &self.contract.id, WorkKind::Erase).await;
            return Ok(());
        }
        if self.erasure.state == ErasureState::Running {
            self.erasure.state = ErasureState::Confirming;
            self.erasure.due_at = self.erasure.asked_at.plus_seconds(SETTLE_SECONDS).max(now);
            self.erasure.position = Position {
                profiles: std::mem::take(&mut self.erasure.position.profiles),
                records: std::mem::take(&mut self.erasure.position.records),
                ..Position::default()
            };
            return self.save().await;
        }
        let erasure = &mut self.erasure;
        let receipt = Receipt {
            erasure: erasure.id,
            contract: erasure.contract.to_string(),
            asked_by: erasure.asked_by.clone(),
            asked_at: erasure.asked_at,
            finished_at: now,
            erased: erasure.erased.clone(),
            tombstones: erasure.tombstones,
            signature: String::new(),
        };
        let receipt = receipt.signed(self.key);
        let audit = AuditEntry {
            at: now,
            actor: erasure.asked_by.clone(),
            action: "person.erased".to_owned(),
            target: erasure.id.to_string(),
            before: serde_json::Value::Null,
            after: json!({ "erased": receipt.erased, "tombstones": receipt.tombstones }),
        };
        erasure.receipt = Some(receipt);
        erasure.sealed = None;
        erasure.position = Position::default();
        erasure.state = ErasureState::Done;
        erasure.version += 1;
        let unique = self.app.remote.random.uuid();
        let store = &self.app.remote.store;
        store
            .save_erasure(&self.erasure, Some((&audit, unique)))
            .await?;
        tracing::info!(contract = %self.contract.id, erasure = %self.erasure.id, "a person's data was erased");
        Ok(())
    }
}
