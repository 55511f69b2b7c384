//! Seats, the identities and e-mail addresses that are theirs alone, and sessions.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::{Delete, Put, TransactWriteItem};
use serde::{Deserialize, Serialize};

use super::submissions::built;
use super::{Item, Page, Store, StoreError, expire, keys, number, read, text, write};
use domain::clock::Millis;
use domain::contract::{AuditEntry, Contract};
use domain::ids::{ContractId, SeatId};
use domain::seat::{Identity, Seat};

/// A signed-in browser.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// Its id.
    pub id: String,
    /// When its holder signed in.
    pub created_at: Millis,
    /// After this it opens nothing, however often it was renewed.
    pub valid_until: Millis,
    /// The generation of its seat's sessions that it is of.
    #[serde(default)]
    pub generation: u64,
}

/// A seat with the sessions that may still be good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeatSessions {
    /// The seat.
    pub seat: Seat,
    /// Its sessions.
    pub sessions: Vec<SessionRecord>,
}

/// The sealed keys that sign a contract's sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionKeys {
    /// The key that signs.
    pub sealed: String,
    /// The key before it, whose signatures still count.
    #[serde(default)]
    pub sealed_previous: Option<String>,
    /// When the current one was made.
    pub created_at: Millis,
    /// Counts its changes.
    pub version: u64,
}

/// A change of a seat.
#[derive(Debug)]
pub struct SeatChange<'a> {
    /// As it was; none for a new one.
    pub before: Option<&'a Seat>,
    /// As it will be; none when it goes.
    pub after: Option<&'a Seat>,
    /// The contract with another set of administrators, over the version of its configuration
    /// that stands there; none when that set stays.
    pub contract: Option<(&'a Contract, u64)>,
    /// Its line in the audit log.
    pub audit: &'a AuditEntry,
}

impl Store {
    /// A seat.
    pub async fn seat(
        &self,
        contract: &ContractId,
        id: SeatId,
    ) -> Result<Option<Seat>, StoreError> {
        self.get("seat", keys::seat(contract, id), true).await
    }

    /// A seat with its sessions. One query.
    pub async fn seat_sessions(
        &self,
        contract: &ContractId,
        id: SeatId,
    ) -> Result<Option<SeatSessions>, StoreError> {
        let mut seat = None;
        let mut sessions = Vec::new();
        for item in self.query_all(keys::seat(contract, id).pk, "").await? {
            let is_session = item
                .get("SK")
                .and_then(|key| key.as_s().ok())
                .is_some_and(|key| key.starts_with(keys::SESSION_PREFIX));
            if is_session {
                sessions.push(read("session", item)?);
            } else {
                seat = Some(read("seat", item)?);
            }
        }
        Ok(seat.map(|seat| SeatSessions { seat, sessions }))
    }

    /// A contract's seats by e-mail address. `cursor` is a page's `next`.
    pub async fn seats(
        &self,
        contract: &ContractId,
        limit: i32,
        cursor: Option<&str>,
    ) -> Result<Page<Seat>, StoreError> {
        let (email, id) = match cursor.and_then(|cursor| cursor.rsplit_once('#')) {
            Some((email, id)) => (Some(email), id.parse::<SeatId>().ok()),
            None => (None, None),
        };
        // The start is rebuilt inside the contract: a cursor leads nowhere else.
        let start = email.zip(id).map(|(email, id)| {
            let mut start = keys::seat(contract, id).attributes();
            start.insert("GSI1PK".to_owned(), text(keys::seats_index(contract)));
            start.insert("GSI1SK".to_owned(), text(email));
            start
        });
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .index_name("GSI1")
            .key_condition_expression("GSI1PK = :pk")
            .expression_attribute_values(":pk", text(keys::seats_index(contract)))
            .limit(limit)
            .set_exclusive_start_key(start)
            .send()
            .await?;
        let more = answer.last_evaluated_key.is_some_and(|key| !key.is_empty());
        let items = answer
            .items
            .unwrap_or_default()
            .into_iter()
            .map(|item| read::<Seat>("seat", item))
            .collect::<Result<Vec<_>, _>>()?;
        let next = items
            .last()
            .filter(|_| more)
            .map(|last| format!("{}#{}", last.email, last.id));
        Ok(Page { items, next })
    }

    /// The seat that an identity is tied to.
    pub async fn seat_of_identity(
        &self,
        contract: &ContractId,
        identity: &Identity,
    ) -> Result<Option<SeatId>, StoreError> {
        #[derive(Deserialize)]
        struct Tied {
            seat: SeatId,
        }
        let tied: Option<Tied> = self
            .get("identity", keys::identity(contract, identity), true)
            .await?;
        Ok(tied.map(|tied| tied.seat))
    }

    /// Makes, changes or deletes a seat, with its audit entry, its e-mail address and its identity,
    /// all or nothing. An address or an identity that another seat has is a conflict.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the seat, the set of administrators, the address or the
    /// identity was changed meanwhile.
    pub async fn change_seat(
        &self,
        contract: &ContractId,
        change: SeatChange<'_>,
        unique: uuid::Uuid,
    ) -> Result<(), StoreError> {
        let SeatChange {
            before,
            after,
            contract: administrators,
            audit,
        } = change;
        let mut items = vec![self.audit_item(contract, audit, unique)?];
        if let Some((after, expected)) = administrators {
            items.push(self.contract_put(after, expected)?);
        }
        match (before, after) {
            (_, Some(after)) => {
                let mut item = write("seat", after, &keys::seat(contract, after.id))?;
                item.insert("GSI1PK".to_owned(), text(keys::seats_index(contract)));
                item.insert("GSI1SK".to_owned(), text(&after.email));
                items.push(self.versioned_put(item, after.version)?);
            }
            (Some(before), None) => {
                let delete = Delete::builder()
                    .table_name(&self.table)
                    .set_key(Some(keys::seat(contract, before.id).attributes()))
                    .condition_expression("version = :version")
                    .expression_attribute_values(":version", number(before.version));
                items.push(
                    TransactWriteItem::builder()
                        .delete(built(delete.build())?)
                        .build(),
                );
            }
            (None, None) => return Ok(()),
        }
        let owner = before.or(after).map(|seat| seat.id);
        let emails = |seat: Option<&Seat>| seat.map(|seat| keys::seat_email(contract, &seat.email));
        let identities = |seat: Option<&Seat>| {
            let identity = seat?.identity.as_ref()?;
            Some(keys::identity(contract, identity))
        };
        for (old, new) in [
            (emails(before), emails(after)),
            (identities(before), identities(after)),
        ] {
            if old == new {
                continue;
            }
            if let Some(old) = old {
                let delete = Delete::builder()
                    .table_name(&self.table)
                    .set_key(Some(old.attributes()));
                items.push(
                    TransactWriteItem::builder()
                        .delete(built(delete.build())?)
                        .build(),
                );
            }
            if let Some((new, owner)) = new.zip(owner) {
                let mut item = Item::from(new.attributes());
                item.insert("seat".to_owned(), text(owner.to_string()));
                let put = Put::builder()
                    .table_name(&self.table)
                    .set_item(Some(item))
                    .condition_expression("attribute_not_exists(PK)");
                items.push(
                    TransactWriteItem::builder()
                        .put(built(put.build())?)
                        .build(),
                );
            }
        }
        self.client
            .transact_write_items()
            .set_transact_items(Some(items))
            .send()
            .await?;
        Ok(())
    }

    /// Whether a seat has that e-mail address.
    pub async fn seat_email_taken(
        &self,
        contract: &ContractId,
        email: &str,
    ) -> Result<bool, StoreError> {
        #[derive(Deserialize)]
        struct Taken {}
        let taken: Option<Taken> = self
            .get("e-mail address", keys::seat_email(contract, email), true)
            .await?;
        Ok(taken.is_some())
    }

    /// Keeps a session, and notes the sign-in on its seat.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the seat was changed meanwhile.
    pub async fn open_session(
        &self,
        contract: &ContractId,
        seat: &Seat,
        session: &SessionRecord,
        audit: &AuditEntry,
        unique: uuid::Uuid,
    ) -> Result<(), StoreError> {
        let mut item = write(
            "session",
            session,
            &keys::session(contract, seat.id, &session.id),
        )?;
        expire(&mut item, session.valid_until);
        let put = Put::builder().table_name(&self.table).set_item(Some(item));
        let note = aws_sdk_dynamodb::types::Update::builder()
            .table_name(&self.table)
            .set_key(Some(keys::seat(contract, seat.id).attributes()))
            .update_expression("SET last_sign_in_at = :at")
            .condition_expression("version = :version")
            .expression_attribute_values(":at", number(session.created_at.0))
            .expression_attribute_values(":version", number(seat.version));
        self.client
            .transact_write_items()
            .transact_items(
                TransactWriteItem::builder()
                    .put(built(put.build())?)
                    .build(),
            )
            .transact_items(
                TransactWriteItem::builder()
                    .update(built(note.build())?)
                    .build(),
            )
            .transact_items(self.audit_item(contract, audit, unique)?)
            .send()
            .await?;
        Ok(())
    }

    /// Ends sessions of a seat.
    pub async fn close_sessions(
        &self,
        contract: &ContractId,
        seat: SeatId,
        ids: &BTreeSet<String>,
    ) -> Result<(), StoreError> {
        for id in ids {
            self.client
                .delete_item()
                .table_name(&self.table)
                .set_key(Some(keys::session(contract, seat, id).attributes()))
                .send()
                .await?;
        }
        Ok(())
    }

    /// The keys that sign a contract's sessions.
    pub async fn session_keys(
        &self,
        contract: &ContractId,
    ) -> Result<Option<SessionKeys>, StoreError> {
        self.get("session keys", keys::session_key(contract), true)
            .await
    }

    /// Keeps new keys over the version before them.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when another worker made some meanwhile.
    pub async fn put_session_keys(
        &self,
        contract: &ContractId,
        session_keys: &SessionKeys,
    ) -> Result<(), StoreError> {
        let item = write("session keys", session_keys, &keys::session_key(contract))?;
        self.client
            .transact_write_items()
            .transact_items(self.versioned_put(item, session_keys.version)?)
            .send()
            .await?;
        Ok(())
    }

    /// An audit entry alone, for what changes nothing else in the table.
    pub async fn put_audit(
        &self,
        contract: &ContractId,
        audit: &AuditEntry,
        unique: uuid::Uuid,
    ) -> Result<(), StoreError> {
        let item = write("audit", audit, &keys::audit(contract, audit.at, unique))?;
        self.put(item).await
    }
}
