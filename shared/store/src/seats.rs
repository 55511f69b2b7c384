//! Seats, their unique identities and e-mail addresses, and sessions.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::transaction::{Assumption, Change};
use super::{
    Item, Page, Store, StoreError, expire, keys, number, page_of, read, read_each, text, write,
};
use domain::clock::Millis;
use domain::contract::{AuditEntry, Contract};
use domain::ids::{ContractId, SeatId};
use domain::log_choice::LogChoices;
use domain::seat::{ChosenUser, Identity, Seat};

/// A signed-in browser.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// Its id.
    pub id: String,
    /// Time of the sign-in.
    pub created_at: Millis,
    /// End of its validity, regardless of renewals.
    pub valid_until: Millis,
    /// The generation of its seat's sessions.
    #[serde(default)]
    pub generation: u64,
}

/// A seat with the sessions that may still be valid.
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
    /// Creation time of the current key.
    pub created_at: Millis,
    /// Counts its changes.
    pub version: u64,
}

/// A change of a seat.
#[derive(Debug)]
pub struct SeatChange<'a> {
    /// The seat before the change; `None` for a new one.
    pub before: Option<&'a Seat>,
    /// The seat after the change; `None` if it is deleted.
    pub after: Option<&'a Seat>,
    /// The contract with another set of administrators, over the current version of its configuration; `None`
    /// if that set stays.
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
                sessions.push(item);
            } else {
                seat = Some(read("seat", item)?);
            }
        }
        // One that cannot be read opens nothing, and closes no other.
        let sessions = read_each("session", sessions, |item| read("session", item));
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
        // The start is rebuilt inside the contract, so that a cursor cannot lead elsewhere.
        let partition = keys::seats_index(contract);
        let start = email
            .zip(id)
            .map(|(email, id)| keys::LISTS.start(&keys::seat(contract, id), &partition, email));
        let query = self.query_index(&keys::LISTS, &partition).limit(limit);
        let page = page_of(&query, start).await?;
        let listed = self.read_in_order(keys::of_items(&page.items)).await?;
        Ok(Page {
            items: read_each("seat", listed, |item| read::<Seat>("seat", item)),
            next: page.next.as_ref().and_then(|next| {
                let email = keys::sort_key_of(next, &keys::LISTS)?;
                let id = keys::seat_of(next.get("PK")?.as_s().ok()?)?;
                Some(format!("{email}#{id}"))
            }),
        })
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

    /// The seat that a user of the CRM was chosen for by hand (SV-6).
    pub async fn seat_of_user(
        &self,
        contract: &ContractId,
        chosen: &ChosenUser,
    ) -> Result<Option<SeatId>, StoreError> {
        #[derive(Deserialize)]
        struct Tied {
            seat: SeatId,
        }
        let tied: Option<Tied> = self
            .get("seat's user", keys::seat_user(contract, chosen), true)
            .await?;
        Ok(tied.map(|tied| tied.seat))
    }

    /// Creates, changes or deletes a seat, with its audit entry, its e-mail address, its identity and its
    /// chosen user of the CRM, all or nothing. Those of another seat are a conflict.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if the seat, the set of administrators, the address, the identity or
    /// the chosen user was changed meanwhile.
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
                let partition = keys::seats_index(contract);
                keys::LISTS.enter(&mut item, partition, &after.email);
                items.push(self.versioned_put(item, after.version)?);
            }
            (Some(before), None) => {
                let key = keys::seat(contract, before.id).attributes();
                let as_read = Assumption::version(before.version);
                items.push(self.delete_action(key, Some(as_read))?);
                let archives = keys::archive_member(contract, before.id).attributes();
                items.push(self.delete_action(archives, None)?);
            }
            (None, None) => return Ok(()),
        }
        let owner = before.or(after).map(|seat| seat.id);
        let emails = |seat: Option<&Seat>| seat.map(|seat| keys::seat_email(contract, &seat.email));
        let identities = |seat: Option<&Seat>| {
            let identity = seat?.identity.as_ref()?;
            Some(keys::identity(contract, identity))
        };
        let users = |seat: Option<&Seat>| {
            let chosen = seat?.crm.user.as_ref()?;
            Some(keys::seat_user(contract, chosen))
        };
        for (old, new) in [
            (emails(before), emails(after)),
            (identities(before), identities(after)),
            (users(before), users(after)),
        ] {
            if old == new {
                continue;
            }
            if let Some(old) = old {
                items.push(self.delete_action(old.attributes(), None)?);
            }
            if let Some((new, owner)) = new.zip(owner) {
                let mut item = Item::from(new.attributes());
                item.insert("seat".to_owned(), text(owner.to_string()));
                items.push(self.put_action(item, Some(Assumption::absent()))?);
            }
        }
        self.transact(items).await
    }

    /// Stores a seat's choices to log activities over the version that was read, with their audit entry (WB-6).
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if the seat was changed meanwhile.
    pub async fn choose_logging(
        &self,
        contract: &ContractId,
        seat: &Seat,
        choices: &LogChoices,
        audit: &AuditEntry,
        unique: uuid::Uuid,
    ) -> Result<(), StoreError> {
        let stored = serde_dynamo::to_attribute_value(choices).map_err(StoreError::malformed)?;
        // Nothing else of the seat is written: a sign-in at the same time stays recorded.
        let change = Change {
            expression: "SET log_to_crm = :choices, updated_at = :at ADD version :one",
            names: &[],
            values: vec![
                (":choices", stored),
                (":at", number(audit.at.0)),
                (":one", number(1)),
            ],
        };
        let as_read = Assumption::version(seat.version);
        self.transact(vec![
            self.update_action(&keys::seat(contract, seat.id), change, as_read)?,
            self.audit_item(contract, audit, unique)?,
        ])
        .await
    }

    /// True if a seat has that e-mail address.
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

    /// Stores a session, and records the sign-in on its seat.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if the seat was changed meanwhile.
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
        let change = Change {
            expression: "SET last_sign_in_at = :at",
            names: &[],
            values: vec![(":at", number(session.created_at.0))],
        };
        let as_read = Assumption::version(seat.version);
        self.transact(vec![
            self.put_action(item, None)?,
            self.update_action(&keys::seat(contract, seat.id), change, as_read)?,
            self.audit_item(contract, audit, unique)?,
        ])
        .await
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

    /// Stores new keys over the version before them.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if another worker stored new ones meanwhile.
    pub async fn put_session_keys(
        &self,
        contract: &ContractId,
        session_keys: &SessionKeys,
    ) -> Result<(), StoreError> {
        let item = write("session keys", session_keys, &keys::session_key(contract))?;
        self.transact(vec![self.versioned_put(item, session_keys.version)?])
            .await
    }
}
