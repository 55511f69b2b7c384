//! Stored data of LinkedIn: forms as they were read, and the progress of the pull.

use serde::{Deserialize, Serialize};

use super::transaction::Assumption;
use super::{Store, StoreError, keys, number, write};
use domain::clock::Millis;
use domain::ids::ContractId;
use domain::source::linkedin::LeadForm;

/// Progress of the scheduled pull of an owner's responses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullCursor {
    /// Everything submitted before this has been read.
    pub read_until: Millis,
    /// Time when the last pull ended.
    pub pulled_at: Millis,
    /// The window that is being read, if the last pull did not come to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfinished: Option<PullWindow>,
}

/// A window of submission times, with the place up to which its responses have been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullWindow {
    /// Its beginning.
    pub from: Millis,
    /// Its end.
    pub until: Millis,
    /// Number of responses that have been read.
    pub start: u32,
}

impl Store {
    /// A LinkedIn form as last read.
    pub async fn linkedin_form(
        &self,
        contract: &ContractId,
        id: &str,
    ) -> Result<Option<LeadForm>, StoreError> {
        self.get("LinkedIn form", keys::linkedin_form(contract, id), false)
            .await
    }

    /// Stores a LinkedIn form.
    pub async fn put_linkedin_form(
        &self,
        contract: &ContractId,
        id: &str,
        form: &LeadForm,
    ) -> Result<(), StoreError> {
        self.put(write(
            "LinkedIn form",
            form,
            &keys::linkedin_form(contract, id),
        )?)
        .await
    }

    /// Progress of reading an owner's responses.
    pub async fn pull_cursor(
        &self,
        contract: &ContractId,
        owner: &str,
    ) -> Result<Option<PullCursor>, StoreError> {
        self.get("pull cursor", keys::cursor(contract, owner), true)
            .await
    }

    /// Stores the progress of reading an owner's responses. Never moves back: of two pulls at once the
    /// further one counts.
    pub async fn put_pull_cursor(
        &self,
        contract: &ContractId,
        owner: &str,
        cursor: &PullCursor,
    ) -> Result<(), StoreError> {
        let key = keys::cursor(contract, owner);
        let not_behind = Assumption::new(
            "attribute_not_exists(PK) OR read_until <= :until",
            &[],
            vec![(":until", number(cursor.read_until.0))],
        );
        let item = write("pull cursor", cursor, &key)?;
        match self.put_assuming(item, Some(not_behind)).await {
            Ok(()) | Err(StoreError::Conflict) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
