//! Dynamics 365 Sales, by Dataverse's Web API v9.2.
//!
//! Sources: Microsoft's Web API pages on conditional operations, batch operations, errors and
//! metadata. Creates are `PATCH` to a record id of our choosing with `If-None-Match: *`: the
//! primary key makes them idempotent. A lead and its contact go in one change set. Searches go
//! out in the body of a `$batch`: a query string would carry names and addresses in a URL.

mod activity;
mod client;
mod errors;
mod form;
mod metadata;
mod multipart;
mod odata;
mod part;
mod read;
mod schema;
mod search;
mod write;

use async_trait::async_trait;
use uuid::Uuid;

use super::{
    Activities, ActivityRules, AttachedActivity, Bond, Creation, CrmError, Forms, FoundAccount,
    FoundActivity, FoundPerson, FoundRecord, LeadRecord, LeadSearch, NewActivity, NewPart,
    NewPerson, OfferedPart, Outcomes, Record, RecordFields, Search, SeenRecord, SetUp,
    SoughtAccounts, SoughtActivity, SoughtPeople, Tie, Write, Writer, contact_identity,
};
use domain::activity::ActivityKind;
use domain::clock::Millis;
use domain::inventory::{AccessReport, CrmOptions};
use domain::schema::{CrmKind, LeadSchema};
use domain::vocabulary::vocabulary;

pub(super) use client::Dataverse;
pub(super) use read::DataverseSource;

/// The entity sets of the records that are written.
const LEADS: &str = "leads";
const CONTACTS: &str = "contacts";
const ACCOUNTS: &str = "accounts";
const TASKS: &str = "tasks";
const CONNECTIONS: &str = "connections";
/// The column with the id of a task or phone call.
const ACTIVITY_KEY: &str = "activityid";
/// The lead's state: 0 is open.
const STATE: &str = "statecode";
/// The lead's look-up of its contact, as it is read, and its navigation property, as it is written.
const CONTACT_LOOKUP: &str = "_parentcontactid_value";
const CONTACT_PROPERTY: &str = "parentcontactid@odata.bind";

#[async_trait]
impl SetUp for Dataverse {
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
}

#[async_trait]
impl Search for Dataverse {
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

    fn lead_url(&self, id: &str) -> String {
        CrmKind::Dynamics365
            .record_url(&self.session.base_url, "lead", id)
            .into()
    }
}

#[async_trait]
impl Writer for Dataverse {
    async fn write(&self, writes: &[Write], bond: Bond) -> Result<Outcomes, CrmError> {
        write::write(self, writes, bond).await
    }

    async fn delete(&self, record: Record, id: &str) -> Result<(), CrmError> {
        write::delete(self, record, id).await
    }

    async fn id_of(&self, _record: Record, identity: Uuid) -> Result<Option<String>, CrmError> {
        // The identity is the primary key.
        Ok(Some(identity.to_string()))
    }

    fn contact_field(&self, lead_field: &str) -> Option<&'static str> {
        let mut fields = vocabulary(CrmKind::Dynamics365).lead.vocabulary.iter();
        let field = fields.find(|field| field.name == lead_field)?;
        Some(field.contact).filter(|contact| !contact.is_empty())
    }

    fn tie_to_made(&self, lead: Uuid) -> Tie {
        Tie::ToContact(contact_identity(lead).to_string())
    }
}

#[async_trait]
impl Forms for Dataverse {
    async fn fields_of(&self, record: Record) -> Result<RecordFields, CrmError> {
        schema::fields_of(self, record).await
    }

    async fn people(&self, sought: &SoughtPeople<'_>) -> Result<Vec<FoundPerson>, CrmError> {
        form::people(self, sought).await
    }

    async fn accounts(&self, sought: SoughtAccounts<'_>) -> Result<Vec<FoundAccount>, CrmError> {
        form::accounts(self, sought).await
    }

    async fn lookup(
        &self,
        _record: Record,
        _field: &str,
        _prefix: &str,
    ) -> Result<Vec<FoundRecord>, CrmError> {
        Ok(Vec::new())
    }

    async fn see(
        &self,
        record: Record,
        id: &str,
        fields: &[&str],
    ) -> Result<Option<SeenRecord>, CrmError> {
        form::see(self, record, id, fields).await
    }

    async fn create_person(&self, new: &NewPerson<'_>) -> Result<Creation, CrmError> {
        form::create(self, new).await
    }

    async fn parts(&self) -> Result<Vec<OfferedPart>, CrmError> {
        part::parts(self).await
    }

    async fn part_of(&self, contact: &str, opportunity: &str) -> Result<Option<String>, CrmError> {
        part::part_of(self, contact, opportunity).await
    }

    async fn create_part(&self, new: &NewPart<'_>) -> Result<String, CrmError> {
        part::create(self, new).await
    }
}

#[async_trait]
impl Activities for Dataverse {
    async fn activity_rules(&self, owner: Option<&str>) -> Result<ActivityRules, CrmError> {
        activity::rules(self, owner).await
    }

    async fn find_activities(
        &self,
        _rules: &ActivityRules,
        sought: &[SoughtActivity],
    ) -> Result<Vec<Option<FoundActivity>>, CrmError> {
        activity::find(self, sought).await
    }

    async fn create_activities(
        &self,
        rules: &ActivityRules,
        new: &[NewActivity],
    ) -> Result<Outcomes, CrmError> {
        activity::create(self, rules, new).await
    }

    async fn attach_activities(
        &self,
        _rules: &ActivityRules,
        attached: &[AttachedActivity],
    ) -> Result<Outcomes, CrmError> {
        activity::attach(self, attached).await
    }

    fn activity_object(&self, _rules: &ActivityRules, kind: ActivityKind) -> &'static str {
        activity::object(kind)
    }

    fn keeps_unassigned(&self, kind: ActivityKind) -> bool {
        activity::keeps_unassigned(kind)
    }
}
