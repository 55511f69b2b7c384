//! Dynamics 365 Sales, by Dataverse's Web API v9.2.
//!
//! Sources: Microsoft's Web API pages on conditional operations, batch operations, errors and
//! metadata. Creates are `PATCH` to a record id of our choosing with `If-None-Match: *`: the
//! primary key makes them idempotent. A lead and its contact go in one change set. Searches go
//! out in the body of a `$batch`: a query string would carry names and addresses in a URL.

mod client;
mod errors;
mod metadata;
mod multipart;
mod odata;
mod read;
mod schema;
mod search;
mod write;

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::Value;
use uuid::Uuid;

use super::{
    ContactPlan, Created, Crm, CrmError, LeadRecord, LeadSearch, NewAccount, NewLead,
    contact_identity,
};
use domain::clock::Millis;
use domain::inventory::{AccessReport, CrmOptions};
use domain::schema::{CrmKind, LeadSchema};

pub(super) use client::Dataverse;
pub(super) use read::DataverseSource;

/// The entity sets of the records that are written.
const LEADS: &str = "leads";
const CONTACTS: &str = "contacts";
const ACCOUNTS: &str = "accounts";
/// The lead's state: 0 is open.
const STATE: &str = "statecode";
/// The lead's look-up of its contact, as it is read, and its navigation property, as it is written.
const CONTACT_LOOKUP: &str = "_parentcontactid_value";
const CONTACT_PROPERTY: &str = "parentcontactid@odata.bind";

#[async_trait]
impl Crm for Dataverse {
    fn organization(&self) -> &str {
        &self.session.organization
    }

    async fn access(&self, now: Millis) -> Result<AccessReport, CrmError> {
        metadata::access(self, now).await
    }

    async fn options(&self, now: Millis) -> Result<CrmOptions, CrmError> {
        metadata::options(self, now).await
    }

    async fn lead_schema(&self, now: Millis) -> Result<LeadSchema, CrmError> {
        schema::lead_schema(self, now).await
    }

    async fn find_leads(
        &self,
        schema: &LeadSchema,
        search: &LeadSearch<'_>,
    ) -> Result<Vec<LeadRecord>, CrmError> {
        search::find_leads(self, schema, search).await
    }

    async fn lead_by_identity(
        &self,
        schema: &LeadSchema,
        identity: Uuid,
        read: &[String],
    ) -> Result<Option<LeadRecord>, CrmError> {
        search::lead_by_identity(self, schema, identity, read).await
    }

    async fn create_lead(
        &self,
        schema: &LeadSchema,
        lead: &NewLead<'_>,
    ) -> Result<Created, CrmError> {
        write::create_lead(self, schema, lead).await
    }

    async fn create_account(&self, account: &NewAccount<'_>) -> Result<String, CrmError> {
        write::create_account(self, account).await
    }

    async fn update_lead(
        &self,
        lead: &LeadRecord,
        values: &BTreeMap<String, Value>,
    ) -> Result<(), CrmError> {
        write::update_lead(self, lead, values).await
    }

    async fn delete_lead(&self, id: &str) -> Result<(), CrmError> {
        write::delete_lead(self, id).await
    }

    fn contact_of(&self, identity: Uuid) -> ContactPlan {
        ContactPlan::Link(contact_identity(identity).to_string())
    }

    fn lead_url(&self, id: &str) -> String {
        CrmKind::Dynamics365
            .record_url(&self.session.base_url, "lead", id)
            .into()
    }
}
