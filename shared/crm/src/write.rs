//! The writing part of the port: any record, with an identity or without, created or changed, one or
//! many at once, with one outcome for each. A record is written as the user of the session behind it:
//! the connection's, or a seat holder's own.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::Value;
use uuid::Uuid;

use crate::{CrmError, Record};

/// A write: created or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verb {
    /// A new record. The CRM keeps an identity unique: a second record with it is refused as
    /// [`CrmError::Exists`]. Dataverse makes one of its own where there is none; Salesforce takes an
    /// identity where the organisation has our field.
    Create {
        /// Its identity.
        identity: Option<Uuid>,
    },
    /// Fields of a record that is there.
    Update {
        /// The CRM's id.
        id: String,
        /// Dataverse: the version that it was read at; a newer one is [`CrmError::Changed`].
        etag: Option<String>,
    },
}

/// The contact that a lead is tied to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tie {
    /// None.
    None,
    /// The one that is created in the same request, where there is one.
    ToContactOfRequest,
    /// This one, by the CRM's id.
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
    /// A record to create.
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

    /// Fields to set.
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

/// Whether writes stand and fall together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bond {
    /// All or none. The ones that failed only with another are [`CrmError::RolledBack`].
    AllOrNone,
    /// Each by itself.
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
    /// When the call as a whole has no outcome; [`CrmError::Refused`] for more records than go into one
    /// call. What became of each record is in its outcome.
    async fn write(&self, writes: &[Write], bond: Bond) -> Result<Outcomes, CrmError>;

    /// Deletes a record; one that is gone already counts as deleted. One call.
    async fn delete(&self, record: Record, id: &str) -> Result<(), CrmError>;

    /// The CRM's id of the record of an identity. One call at most.
    async fn id_of(&self, record: Record, identity: Uuid) -> Result<Option<String>, CrmError>;

    /// The contact's field that takes the value of a lead's field.
    fn contact_field(&self, lead_field: &str) -> Option<&'static str>;

    /// The tie to the contact that was made with a lead of this identity by an earlier try, where the
    /// CRM's id of it is known without asking.
    fn tie_to_made(&self, lead: Uuid) -> Tie;
}

/// Records that are written in one call at most.
pub const MOST_AT_ONCE: usize = 25;

/// The identity of the contact that is made with a lead.
#[must_use]
pub fn contact_identity(lead: Uuid) -> Uuid {
    Uuid::new_v5(&lead, b"contact")
}
