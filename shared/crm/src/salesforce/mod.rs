//! Salesforce, by its REST API.
//!
//! Sources: the REST API developer guide (composite, composite batch, describe, error codes).
//! Searches go out in the body of a composite batch: a query string would carry names and
//! addresses in a URL.
//!
//! Creates are made idempotent by a unique external-id field of ours, `Leadbridge_Id__c`, which
//! the package in `salesforce/` installs. They are plain inserts, not upserts: an upsert that
//! meets an existing lead would overwrite it, an insert answers `DUPLICATE_VALUE`.

mod activity;
mod client;
mod errors;
mod form;
mod metadata;
mod note;
mod part;
mod read;
mod schema;
mod search;
mod soql;
mod write;

use async_trait::async_trait;
use uuid::Uuid;

use super::{
    Activities, ActivityRules, AttachedActivity, Bond, Creation, CrmError, Forms, FoundAccount,
    FoundActivity, FoundPerson, FoundRecord, LeadRecord, LeadSearch, NewActivity, NewPart,
    NewPerson, NoteForm, OfferedPart, Outcomes, Record, RecordFields, Search, SeenRecord, SetUp,
    SoughtAccounts, SoughtActivity, SoughtPeople, Tie, Write, Writer,
};
use domain::activity::ActivityKind;
use domain::clock::Millis;
use domain::inventory::{AccessReport, CrmOptions};
use domain::schema::{CrmKind, LeadSchema};
use domain::vocabulary::vocabulary;

pub(super) use client::Salesforce;
pub(super) use read::SalesforceSource;

/// Our external-id field on Lead and Contact: text(36), unique.
const IDENTITY_FIELD: &str = "Leadbridge_Id__c";
/// Our look-up from Lead to Contact.
const CONTACT_FIELD: &str = "Leadbridge_Contact__c";

#[async_trait]
impl SetUp for Salesforce {
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
impl Search for Salesforce {
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
        CrmKind::Salesforce
            .record_url(&self.session.base_url, "Lead", id)
            .into()
    }
}

#[async_trait]
impl Writer for Salesforce {
    async fn write(&self, writes: &[Write], bond: Bond) -> Result<Outcomes, CrmError> {
        write::write(self, writes, bond).await
    }

    async fn delete(&self, record: Record, id: &str) -> Result<(), CrmError> {
        write::delete(self, record, id).await
    }

    async fn id_of(&self, record: Record, identity: Uuid) -> Result<Option<String>, CrmError> {
        write::id_of(self, record, identity).await
    }

    fn contact_field(&self, lead_field: &str) -> Option<&'static str> {
        let mut fields = vocabulary(CrmKind::Salesforce).lead.vocabulary.iter();
        let field = fields.find(|field| field.name == lead_field)?;
        Some(field.contact).filter(|contact| !contact.is_empty())
    }

    fn tie_to_made(&self, _lead: Uuid) -> Tie {
        // The contact of an earlier attempt is known only by our identity field; without reading it there is
        // no id to tie to.
        Tie::None
    }
}

#[async_trait]
impl Forms for Salesforce {
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
        record: Record,
        field: &str,
        prefix: &str,
    ) -> Result<Vec<FoundRecord>, CrmError> {
        form::lookup(self, record, field, prefix).await
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
impl Activities for Salesforce {
    async fn activity_rules(&self, owner: Option<&str>) -> Result<ActivityRules, CrmError> {
        activity::rules(self, owner).await
    }

    async fn find_activities(
        &self,
        rules: &ActivityRules,
        sought: &[SoughtActivity],
    ) -> Result<Vec<Option<FoundActivity>>, CrmError> {
        activity::find(self, rules, sought).await
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
        rules: &ActivityRules,
        attached: &[AttachedActivity],
    ) -> Result<Outcomes, CrmError> {
        activity::attach(self, rules, attached).await
    }

    fn activity_object(&self, rules: &ActivityRules, kind: ActivityKind) -> &'static str {
        match rules.notes {
            NoteForm::Content if kind == ActivityKind::Note => note::CONTENT,
            NoteForm::Classic if kind == ActivityKind::Note => note::CLASSIC,
            _ => activity::TASK,
        }
    }

    fn keeps_unassigned(&self, kind: ActivityKind) -> bool {
        kind != ActivityKind::Note
    }
}
