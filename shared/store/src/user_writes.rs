//! Creates and updates of seat holders in the CRM: counted for each calendar month, and taken by one request
//! at a time.
//!
//! The counter of a month is the set of the writes' ids, so that a write that is repeated counts once and a
//! write that had no effect is given back, however often either is called. One update with a condition keeps it
//! from growing over the limit, whatever runs at the same time.

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use aws_smithy_types::Blob;
use uuid::Uuid;

use super::transaction::Assumption;
use super::{Item, Store, StoreError, all_pages, expire, keys, number, read, text, write};
use domain::clock::Millis;
use domain::contract::AuditEntry;
use domain::directory::RecordRef;
use domain::ids::{ContractId, SeatId};
use domain::user_writes::{Month, TakenWrite, Used, UserWrite, WriteKind};

const ENTITY: &str = "user write";
/// Retention of a month's counters after its end, and of a write after its last attempt, in seconds.
const KEPT_SECONDS: i64 = 40 * 24 * 3600;
/// The number of attempts to store that a write was carried out, while others touch it.
const FINISH_TRIES: u32 = 4;

/// A write of a seat holder: the address of its items.
#[derive(Debug, Clone, Copy)]
pub struct UserWriteKey<'a> {
    /// The contract.
    pub contract: &'a ContractId,
    /// The seat holder.
    pub seat: SeatId,
    /// The kind.
    pub kind: WriteKind,
    /// The write.
    pub id: Uuid,
}

impl UserWriteKey<'_> {
    fn item(&self) -> keys::Key {
        keys::user_write(self.contract, self.seat, self.kind, self.id)
    }

    fn month(&self, month: &Month) -> keys::Key {
        keys::user_month(self.contract, self.seat, &month.name, self.kind)
    }

    fn set(&self) -> AttributeValue {
        AttributeValue::Bs(vec![self.blob()])
    }

    fn blob(&self) -> Blob {
        Blob::new(self.id.as_bytes().to_vec())
    }
}

/// The number of ids of a month's counter.
fn count(item: &Item) -> u32 {
    let ids = item.get("ids").and_then(|ids| ids.as_bs().ok());
    ids.map_or(0, |ids| u32::try_from(ids.len()).unwrap_or(u32::MAX))
}

impl Store {
    /// Counts a write in a month. Returns `false` if the month's limit is reached. A write that is counted
    /// already counts once. One call.
    ///
    /// # Errors
    /// Returns [`StoreError::Unavailable`] if the table does not answer; the write may be counted.
    pub async fn reserve_user_write(
        &self,
        write: UserWriteKey<'_>,
        month: &Month,
        limit: u32,
    ) -> Result<bool, StoreError> {
        let ends = month.ends.plus_seconds(KEPT_SECONDS).epoch_seconds();
        let counted = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(write.month(month).attributes()))
            .update_expression("SET expires_at = :ends, entity_type = :entity ADD ids :set")
            .condition_expression(
                "attribute_not_exists(ids) OR contains(ids, :id) OR size(ids) < :limit",
            )
            .expression_attribute_values(":ends", number(ends))
            .expression_attribute_values(":entity", text("month of user writes"))
            .expression_attribute_values(":set", write.set())
            .expression_attribute_values(":id", AttributeValue::B(write.blob()))
            .expression_attribute_values(":limit", number(limit))
            .send()
            .await;
        match counted {
            Ok(_) => Ok(true),
            Err(error)
                if matches!(
                    error.as_service_error(),
                    Some(UpdateItemError::ConditionalCheckFailedException(_))
                ) =>
            {
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Takes back the count of a write that had no effect. One call.
    ///
    /// # Errors
    /// Returns [`StoreError::Unavailable`] if the table does not answer.
    pub async fn release_user_write(
        &self,
        write: UserWriteKey<'_>,
        month: &Month,
    ) -> Result<(), StoreError> {
        self.client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(write.month(month).attributes()))
            .update_expression("DELETE ids :set")
            .condition_expression("attribute_exists(PK)")
            .expression_attribute_values(":set", write.set())
            .send()
            .await
            .map(drop)
            .or_else(|error| match error.as_service_error() {
                // Never counted.
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(()),
                _ => Err(error.into()),
            })
    }

    /// The numbers of a seat holder's creates and updates in a month. One call.
    ///
    /// # Errors
    /// Returns [`StoreError::Unavailable`] if the table does not answer.
    pub async fn user_writes_of(
        &self,
        contract: &ContractId,
        seat: SeatId,
        month: &Month,
    ) -> Result<Used, StoreError> {
        let (partition, prefix) = keys::user_months(contract, seat, &month.name);
        let items = all_pages(&self.query_prefix(partition, prefix)).await?;
        let of = |kind: WriteKind| {
            let key = keys::user_month(contract, seat, &month.name, kind).sk;
            let is = |item: &&Item| item.get("SK").and_then(|sk| sk.as_s().ok()) == Some(&key);
            items.iter().find(is).map_or(0, count)
        };
        Ok(Used {
            creates: of(WriteKind::Create),
            updates: of(WriteKind::Update),
        })
    }

    /// Takes a write for one request until `lease_until`, and stores it, with the values `before` it, before
    /// it is tried for the first time. One call.
    ///
    /// # Errors
    /// Returns [`StoreError::Unavailable`] if the table does not answer.
    pub async fn take_user_write(
        &self,
        write: UserWriteKey<'_>,
        digest: &str,
        before: &str,
        now: Millis,
        lease_until: Millis,
    ) -> Result<TakenWrite, StoreError> {
        let ends = now.plus_seconds(KEPT_SECONDS).epoch_seconds();
        let taken = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(write.item().attributes()))
            .update_expression(
                "SET digest = :digest, lease_until = :lease, expires_at = :ends, \
                 left_at = if_not_exists(taken_at, :never), taken_at = :now, \
                 entity_type = :entity, planned_at = if_not_exists(planned_at, :now), \
                 #before = if_not_exists(#before, :before) \
                 ADD attempts :one",
            )
            .condition_expression(
                "attribute_not_exists(PK) OR \
                 (digest = :digest AND attribute_not_exists(done) AND lease_until <= :now)",
            )
            .expression_attribute_names("#before", "before")
            .expression_attribute_values(":before", text(before))
            .expression_attribute_values(":digest", text(digest))
            .expression_attribute_values(":lease", number(lease_until.0))
            .expression_attribute_values(":now", number(now.0))
            .expression_attribute_values(":never", number(0))
            .expression_attribute_values(":ends", number(ends))
            .expression_attribute_values(":entity", text(ENTITY))
            .expression_attribute_values(":one", number(1))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let error = match taken {
            Ok(answer) => {
                let item = answer.attributes.ok_or(StoreError::Conflict)?;
                return Ok(TakenWrite::Mine(read(ENTITY, item)?));
            }
            Err(error) => error,
        };
        let Some(UpdateItemError::ConditionalCheckFailedException(refused)) =
            error.as_service_error()
        else {
            return Err(error.into());
        };
        let old = refused.item.clone().filter(|item| !item.is_empty());
        let there: UserWrite = if let Some(item) = old {
            read(ENTITY, item)?
        } else {
            // An endpoint that does not return the old item costs one more call.
            let there = self.get(ENTITY, write.item(), true).await?;
            there.ok_or(StoreError::Conflict)?
        };
        Ok(if there.digest != digest {
            TakenWrite::OtherContent
        } else if let Some(record) = there.done.clone() {
            TakenWrite::Done(record, there)
        } else {
            TakenWrite::Busy(there.lease_until)
        })
    }

    /// Gives a write back before its lease ends. Forgets it if it had no effect; otherwise the next attempt
    /// looks for what it made, from `free_at` on. One call.
    ///
    /// # Errors
    /// Returns [`StoreError::Unavailable`] if the table does not answer; it is free when its lease ends.
    pub async fn return_user_write(
        &self,
        key: UserWriteKey<'_>,
        taken: &UserWrite,
        free_at: Option<Millis>,
    ) -> Result<(), StoreError> {
        let lease = number(taken.lease_until.0);
        let mine = Some(Assumption::attribute("lease_until", Some(lease)));
        let action = match free_at {
            None => self.delete_action(key.item().attributes(), mine)?,
            Some(free_at) => {
                let free = UserWrite {
                    lease_until: free_at,
                    // The CRM may still be at work for one that died, and this attempt may have ended before it
                    // knew.
                    taken_at: taken.left_at,
                    left_at: Millis::default(),
                    ..taken.clone()
                };
                self.put_action(stored(key, &free)?, mine)?
            }
        };
        match self.transact(vec![action]).await {
            // Somebody else has it.
            Ok(()) | Err(StoreError::Conflict) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Stores the record of a write that was carried out, with its audit entry, unless another request did. One
    /// call, and two more for each other request that meets it.
    ///
    /// # Errors
    /// Returns [`StoreError::Unavailable`] if the table does not answer, and [`StoreError::Conflict`] if
    /// others were at it each time: it is not stored then.
    pub async fn finish_user_write(
        &self,
        key: UserWriteKey<'_>,
        taken: &UserWrite,
        record: &RecordRef,
        audit: &AuditEntry,
    ) -> Result<(), StoreError> {
        let done = UserWrite {
            done: Some(record.clone()),
            ..taken.clone()
        };
        for _ in 0..FINISH_TRIES {
            let open = Assumption::attribute("done", None);
            // Its own id tells the entry: the write has one entry, whoever finishes it.
            let actions = vec![
                self.put_action(stored(key, &done)?, Some(open))?,
                self.audit_item(key.contract, audit, key.id)?,
            ];
            match self.transact(actions).await {
                Err(StoreError::Conflict) => {}
                finished => return finished,
            }
            // Another request finished it, or only touched it at the same time.
            let there: Option<UserWrite> = self.get(ENTITY, key.item(), true).await?;
            if there.is_some_and(|there| there.done.is_some()) {
                return Ok(());
            }
        }
        Err(StoreError::Conflict)
    }
}

fn stored(key: UserWriteKey<'_>, value: &UserWrite) -> Result<Item, StoreError> {
    let mut item = write(ENTITY, value, &key.item())?;
    expire(&mut item, value.lease_until.plus_seconds(KEPT_SECONDS));
    Ok(item)
}
