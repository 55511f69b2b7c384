//! Attachments: the submissions that belong to a lead, with the points that each gives.

use serde::{Deserialize, Serialize};

use super::{Item, Store, StoreError, keys, read, read_each, text, write};
use domain::clock::Millis;
use domain::ids::{ContractId, SubmissionId};

/// A submission's attachment to a lead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct Attachment {
    /// The CRM's id of the lead.
    pub lead_id: String,
    /// Points that the submission gives.
    pub points: u32,
    /// True if the submission created the lead.
    pub created_lead: bool,
    /// Time of the attachment.
    #[cfg_attr(feature = "http-api", schema(value_type = i64))]
    pub at: Millis,
}

impl Attachment {
    pub(super) fn item(&self, contract: &ContractId, id: SubmissionId) -> Result<Item, StoreError> {
        let mut item = write(
            "attachment",
            self,
            &keys::attachment(contract, &self.lead_id, id),
        )?;
        item.insert("submission".to_owned(), text(id.to_string()));
        Ok(item)
    }
}

#[derive(Deserialize)]
struct StoredAttachment {
    submission: SubmissionId,
    #[serde(flatten)]
    attachment: Attachment,
}

impl Store {
    /// Stores a submission's attachment to a lead; repeating it changes nothing.
    pub async fn put_attachment(
        &self,
        contract: &ContractId,
        id: SubmissionId,
        attachment: &Attachment,
    ) -> Result<(), StoreError> {
        self.put(attachment.item(contract, id)?).await
    }

    /// Every submission attached to a lead.
    pub async fn attachments(
        &self,
        contract: &ContractId,
        lead_id: &str,
    ) -> Result<Vec<(SubmissionId, Attachment)>, StoreError> {
        let partition = keys::lead_partition(contract, lead_id);
        let items = self.query_all(partition, "SUBMISSION#").await?;
        Ok(read_each("attachment", items, |item| {
            let stored: StoredAttachment = read("attachment", item)?;
            Ok((stored.submission, stored.attachment))
        }))
    }
}
