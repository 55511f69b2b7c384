//! Salesforce, by its REST API.
//!
//! Sources: the REST API developer guide (composite, composite batch, describe, error codes).
//! Searches go out as the body of a composite request: a query string would carry names and
//! addresses in a URL.
//!
//! Creates are made idempotent by a unique external-id field of ours, `Leadbridge_Id__c`, which
//! the package in `salesforce/` installs. They are plain inserts, not upserts: an upsert that
//! meets an existing lead would overwrite it, an insert answers `DUPLICATE_VALUE`.

mod client;
mod errors;
mod metadata;
mod read;
mod schema;
mod search;
mod soql;
mod write;

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::Value;
use uuid::Uuid;

use super::{ContactPlan, Created, Crm, CrmError, LeadRecord, LeadSearch, NewAccount, NewLead};
use domain::clock::Millis;
use domain::inventory::{AccessReport, CrmOptions};
use domain::schema::{CrmKind, LeadSchema};

pub(super) use client::Salesforce;
pub(super) use read::SalesforceSource;

/// Our external-id field on Lead and Contact: text(36), unique.
const IDENTITY_FIELD: &str = "Leadbridge_Id__c";
/// Our look-up from Lead to Contact.
const CONTACT_FIELD: &str = "Leadbridge_Contact__c";

#[async_trait]
impl Crm for Salesforce {
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

    fn contact_of(&self, _identity: Uuid) -> ContactPlan {
        // The contact of an earlier try is known by our identity field only; without reading it
        // there is no id to link.
        ContactPlan::None
    }

    fn lead_url(&self, id: &str) -> String {
        CrmKind::Salesforce
            .record_url(&self.session.base_url, "Lead", id)
            .into()
    }
}
