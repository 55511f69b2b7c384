//! The writing part of the port: creates or changes any record, with an identity or without, one or many at
//! once, with one outcome for each. A record is written as the user of the session: the connection's user, or
//! a seat holder.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::Value;
use uuid::Uuid;

use crate::{CrmError, Record};

/// The kind of write: a creation or a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verb {
    /// A new record. The CRM keeps an identity unique: a second record with it is refused as
    /// [`CrmError::Exists`]. Dataverse makes an identity of its own if none is given; Salesforce accepts one
    /// if the organisation has our field.
    Create {
        /// Its identity.
        identity: Option<Uuid>,
    },
    /// Changed fields of an existing record.
    Update {
        /// The CRM's id.
        id: String,
        /// The version at which it was read; a newer one is [`CrmError::Changed`]. Salesforce tells versions
        /// by the second, and only in a write of one record.
        etag: Option<String>,
    },
}

/// The contact that a lead is tied to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tie {
    /// None.
    None,
    /// The contact that is created in the same request, if there is one.
    ToContactOfRequest,
    /// The contact with this id in the CRM.
    ToContact(String),
}

/// One record to write.
#[derive(Debug, Clone, PartialEq)]
pub struct Write {
    /// The kind of record.
    pub record: Record,
    /// Created or changed.
    pub verb: Verb,
    /// The fields and their values, by the CRM's names.
    pub values: BTreeMap<String, Value>,
    /// Leads: their contact.
    pub tie: Tie,
}

impl Write {
    /// Creates a write for a new record.
    #[must_use]
    pub const fn create(
        record: Record,
        identity: Option<Uuid>,
        values: BTreeMap<String, Value>,
    ) -> Self {
        Self {
            record,
            verb: Verb::Create { identity },
            values,
            tie: Tie::None,
        }
    }

    /// Creates a write that sets fields.
    #[must_use]
    pub const fn update(
        record: Record,
        id: String,
        etag: Option<String>,
        values: BTreeMap<String, Value>,
    ) -> Self {
        Self {
            record,
            verb: Verb::Update { id, etag },
            values,
            tie: Tie::None,
        }
    }
}

/// A record that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenRecord {
    /// The kind of record.
    pub record: Record,
    /// The CRM's id.
    pub id: String,
}

/// The relation between the writes of a request: all or none, or each independently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bond {
    /// All or none. Those that failed only because of another are [`CrmError::RolledBack`].
    AllOrNone,
    /// Each independently.
    Each,
}

/// The outcomes of writes, in their order.
pub type Outcomes = Vec<Result<WrittenRecord, CrmError>>;

/// The part of a CRM that writes.
#[async_trait]
pub trait Writer: Send + Sync {
    /// Writes records. One call for up to [`MOST_AT_ONCE`] of them.
    ///
    /// Changing a lead never hands it to another owner: assignment rules run for new ones only.
    ///
    /// # Errors
    /// Returns an error if the call as a whole has no outcome, and [`CrmError::Refused`] for more records
    /// than fit into one call. Each record's own result is in its outcome.
    async fn write(&self, writes: &[Write], bond: Bond) -> Result<Outcomes, CrmError>;

    /// Deletes a record; a missing one counts as deleted. One call.
    async fn delete(&self, record: Record, id: &str) -> Result<(), CrmError>;

    /// Looks up the CRM's id of the record of an identity. One call at most.
    async fn id_of(&self, record: Record, identity: Uuid) -> Result<Option<String>, CrmError>;

    /// The contact's field that takes the value of a lead's field.
    fn contact_field(&self, lead_field: &str) -> Option<&'static str>;

    /// The tie to the contact that an earlier attempt made with a lead of this identity, if the CRM's id of
    /// it is known without a call.
    fn tie_to_made(&self, lead: Uuid) -> Tie;
}

/// Maximum number of records written in one call.
pub const MOST_AT_ONCE: usize = 25;

/// The identity of the contact that is created with a lead.
#[must_use]
pub fn contact_identity(lead: Uuid) -> Uuid {
    Uuid::new_v5(&lead, b"contact")
}
