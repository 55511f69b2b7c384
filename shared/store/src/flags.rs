//! Flags of outdated records, as they were written to the CRM (CN-9, SV-8): one item for each record with a flag,
//! or with a write whose outcome is not known. It has the CRM's ids and no value.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{Page, Store, StoreError, keys, page_of, read, read_each, write};
use domain::clock::Millis;
use domain::directory::RecordRef;
use domain::environment::Environment;
use domain::ids::ContractId;

const FLAG: &str = "flag of a record";
const PRODUCTION: Environment = Environment::Production;
/// Flags of one transaction, with the condition on the connection.
const WRITE_TOGETHER: usize = 50;

/// The flag of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordFlag {
    /// The record.
    pub record: RecordRef,
    /// True if the flag is set in the CRM, as far as answers said.
    pub set: bool,
    /// True while the outcome of a write is not known.
    #[serde(default)]
    pub writing: bool,
    /// Time at which the CRM refused the last write.
    #[serde(default)]
    pub refused_at: Option<Millis>,
}

/// A change of the stored flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FlagChange {
    /// It is stored so.
    Put(RecordFlag),
    /// It is no longer stored: the record has no flag.
    Forget(RecordRef),
}

impl Store {
    /// Stores changes of flags, while the connection to that organisation stands.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if it does not.
    pub async fn change_flags(
        &self,
        contract: &ContractId,
        organization: &str,
        changes: &[FlagChange],
    ) -> Result<(), StoreError> {
        for together in changes.chunks(WRITE_TOGETHER) {
            let mut actions = vec![self.assume_connected(contract, PRODUCTION, organization)?];
            for change in together {
                actions.push(match change {
                    FlagChange::Put(flag) => {
                        let key = keys::flag(contract, PRODUCTION, &flag.record);
                        self.put_action(write(FLAG, flag, &key)?, None)?
                    }
                    FlagChange::Forget(record) => {
                        let key = keys::flag(contract, PRODUCTION, record);
                        self.delete_action(key.attributes(), None)?
                    }
                });
            }
            self.transact(actions).await?;
        }
        Ok(())
    }

    /// The flags of records, as far as they are stored.
    pub async fn flags_of(
        &self,
        contract: &ContractId,
        records: &[RecordRef],
    ) -> Result<HashMap<RecordRef, RecordFlag>, StoreError> {
        let wanted = records.iter();
        let wanted = wanted.map(|record| keys::flag(contract, PRODUCTION, record).attributes());
        let items = self.read_many(wanted.collect()).await?;
        let found: Vec<RecordFlag> = read_each(FLAG, items, |item| read(FLAG, item));
        let found = found.into_iter();
        Ok(found.map(|flag| (flag.record.clone(), flag)).collect())
    }

    /// A page of the flags, from the beginning or after a page's `next`.
    pub async fn flags(
        &self,
        contract: &ContractId,
        after: Option<&str>,
        limit: i32,
    ) -> Result<Page<RecordFlag>, StoreError> {
        let (pk, prefix) = keys::flags(contract, PRODUCTION);
        let start = after.map(|sk| {
            let (pk, sk) = (pk.clone(), sk.to_owned());
            keys::Key { pk, sk }.attributes()
        });
        let query = self.query_prefix(&pk, prefix).limit(limit);
        let page = page_of(&query, start).await?;
        let last = page.next.as_ref().and_then(|key| key.get("SK"));
        Ok(Page {
            next: last.and_then(|sk| sk.as_s().ok()).cloned(),
            items: read_each(FLAG, page.items, |item| read(FLAG, item)),
        })
    }
}
