//! Leads and contacts that seat holders create and update in the CRM as themselves (LC-1 to LC-7).

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::by_user::{
    self, ByUser, ChangedField, ComparedField, Comparison, Form, NewRecord, PartRequest,
    ValueOrigin,
};
use shared::clock::Millis;
use shared::crm::{FoundAccount, FoundRecord};
use shared::domain::contract::ContractConfig;
use shared::domain::directory::{EntryId, EntryKind, RecordRef};
use shared::domain::schema::{CrmKind, FieldType, LeadField};
use shared::domain::user_writes::{MONTHLY_LIMIT, PersonObject};
use shared::domain::vocabulary::vocabulary;
use shared::linking::Linked;
use shared::problem::Problem;
use utoipa::{IntoParams, ToSchema};

use super::super::activities;
use super::opportunities::OpportunityStage;
use super::shapes::{Badge, EntryDetail};
use super::show::{self, ENVIRONMENT, View};
use crate::App;
use crate::auth::{Caller, DecideMatches};
use crate::described::{Routes, routes};
use crate::extract::{Json, Path, Query};

pub(super) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(form))
        .routes(routes!(comparison, create, update))
        .routes(routes!(use_record))
        .routes(routes!(accounts))
        .routes(routes!(lookup))
        .routes(routes!(part_choices, give_part))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct FormQuery {
    /// The kind of record; `lead` unless given.
    object: Option<PersonObject>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AccountQuery {
    /// The beginning of the account's name, 2 to 100 characters.
    q: String,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct LookupQuery {
    /// The kind of record whose field it is; `lead` unless given.
    object: Option<PersonObject>,
    /// The CRM's name for the field.
    field: String,
    /// The beginning of the name of the record that is sought, 2 to 100 characters.
    q: String,
}

/// A record that a look-up field can name.
#[derive(Serialize, ToSchema)]
struct LookupRecord {
    /// The CRM's name for its object.
    object: String,
    /// The CRM's id: the field's value.
    id: String,
    name: String,
}

#[derive(Serialize, ToSchema)]
struct LookupList {
    /// At most 20, by name.
    items: Vec<LookupRecord>,
}

/// A field of a form.
#[derive(Serialize, ToSchema)]
struct FormFieldView {
    /// The CRM's name for it: the key in `values`.
    name: String,
    /// Display name.
    label: String,
    #[serde(flatten)]
    field_type: FieldType,
    /// It has to be filled in.
    required: bool,
    /// True for a field that the organisation requires beside those that every form has.
    custom: bool,
    /// The known value, in the form in which it is sent; empty if there is none.
    value: String,
    /// The source of the known value.
    origin: Option<ValueOrigin>,
}

/// An account of the CRM. What is not known is empty.
#[derive(Serialize, ToSchema)]
struct CrmAccount {
    /// The CRM's id.
    id: String,
    name: String,
    city: String,
    website: String,
    /// The account's own page in the CRM.
    url: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct CrmAccountList {
    /// At most 20, by name.
    items: Vec<CrmAccount>,
}

/// The choice of a contact's account.
#[derive(Serialize, ToSchema)]
struct AccountField {
    /// A contact has an account.
    required: bool,
    /// The account of the person's company, if it is known.
    proposed: Option<CrmAccount>,
}

/// A person that the CRM has. What is not known is empty.
#[derive(Serialize, ToSchema)]
struct CrmPerson {
    record: Badge,
    /// Full name.
    name: String,
    /// Job title.
    title: String,
    /// Company, or the name of a contact's account.
    company: String,
    /// E-mail address.
    email: String,
}

/// Reasons to think again before a record is created.
#[derive(Serialize, ToSchema)]
struct FormNotices {
    /// The record that the person is linked to already.
    matched: Option<Badge>,
    /// Leads and contacts with the same first and last name, at most 10 of each.
    same_name: Vec<CrmPerson>,
}

/// The writes of one kind in a month.
#[derive(Serialize, ToSchema)]
struct Quota {
    /// The most in a calendar month.
    limit: u32,
    /// Still possible.
    left: u32,
}

/// The writes that a seat holder has left in a calendar month (UTC).
#[derive(Serialize, ToSchema)]
struct WriteLimits {
    /// The month: `2026-11`.
    month: String,
    creates: Quota,
    updates: Quota,
    /// The beginning of the next month.
    #[schema(value_type = i64)]
    resets_at: Millis,
}

impl From<by_user::Limits> for WriteLimits {
    fn from(limits: by_user::Limits) -> Self {
        let quota = |left| Quota {
            limit: MONTHLY_LIMIT,
            left,
        };
        Self {
            creates: quota(limits.creates_left),
            updates: quota(limits.updates_left),
            resets_at: limits.month.ends,
            month: limits.month.name,
        }
    }
}

/// The form for a new lead or contact.
#[derive(Serialize, ToSchema)]
struct CrmForm {
    object: PersonObject,
    crm: CrmKind,
    /// The administrator has switched it on; otherwise there are no fields.
    enabled: bool,
    /// In the order in which they are shown: those that every form has, then the organisation's own required
    /// ones.
    fields: Vec<FormFieldView>,
    /// A contact's account; `null` for a lead.
    account: Option<AccountField>,
    notices: FormNotices,
    limits: WriteLimits,
}

/// A lead or contact to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RecordRequest {
    /// Your own key of the creation, 1 to 200 characters: a new one for each form that is opened. A request that
    /// is sent again with the same key is the same creation.
    idempotency_key: String,
    object: PersonObject,
    /// The fields of the form with their values, by the CRM's names: text, number, or yes or no. Empty text
    /// counts as none.
    values: BTreeMap<String, Value>,
    /// A contact's account, by the CRM's id.
    #[serde(default)]
    account: Option<String>,
    /// Creates it though a duplicate rule that allows it warns.
    #[serde(default)]
    create_anyway: bool,
    /// Creates it though the person is linked to a record, and links the person to the new one.
    #[serde(default)]
    although_matched: bool,
}

/// The way in which a record came about.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum RecordOutcome {
    /// It was created by this request.
    Created,
    /// An earlier request with the same key created it.
    Existed,
}

/// A record that was created.
#[derive(Serialize, ToSchema)]
struct CreatedRecord {
    outcome: RecordOutcome,
    record: Badge,
    /// The person, linked to the record.
    profile: EntryDetail,
    limits: WriteLimits,
}

/// A record to use for a person.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct UsedRecordInput {
    object: PersonObject,
    /// The CRM's id.
    id: String,
}

/// A record that is used for a person.
#[derive(Serialize, ToSchema)]
struct UsedRecord {
    record: Badge,
    /// The person, linked to the record.
    profile: EntryDetail,
}

/// A field with the person's value and the record's.
#[expect(
    clippy::struct_excessive_bools,
    reason = "a client reads each by its name"
)]
#[derive(Serialize, ToSchema)]
struct ComparedFieldView {
    /// The CRM's name for it: the key in `values`.
    name: String,
    /// Display name.
    label: String,
    #[serde(flatten)]
    field_type: FieldType,
    /// It cannot be emptied.
    required: bool,
    /// True for a field that the organisation requires beside those that every form has.
    custom: bool,
    /// The person's value, in the form in which it is sent; empty if there is none.
    ours: String,
    /// The record's value; empty if there is none.
    theirs: String,
    /// The person's value is known and means something else than the record's.
    differs: bool,
    /// The user may change it.
    writable: bool,
}

/// A person and the record that it is, field by field.
#[derive(Serialize, ToSchema)]
struct RecordComparison {
    record: Badge,
    object: PersonObject,
    /// The administrator has switched updates on.
    enabled: bool,
    /// The record's version, for the update.
    version: String,
    /// Time of the record's last change in the CRM.
    #[schema(value_type = Option<i64>)]
    changed_at: Option<Millis>,
    /// The fields for which either has a value.
    fields: Vec<ComparedFieldView>,
    limits: WriteLimits,
}

/// Fields to change.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RecordUpdate {
    /// The `version` of the comparison that was looked at.
    version: String,
    /// 1 to 50 fields with their new values, by the CRM's names. Empty text empties a field.
    values: BTreeMap<String, Value>,
}

/// The effect of an update.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum UpdateOutcome {
    /// Fields were changed.
    Updated,
    /// The record had all values already.
    Unchanged,
}

/// A field that was changed.
#[derive(Serialize, ToSchema)]
struct FieldChange {
    /// The CRM's name for it.
    field: String,
    /// Display name.
    label: String,
    /// Empty if there was no value.
    before: String,
    /// Empty if there is no value.
    after: String,
}

#[derive(Serialize, ToSchema)]
struct UpdatedRecord {
    outcome: UpdateOutcome,
    record: Badge,
    changes: Vec<FieldChange>,
    /// The two after the update.
    comparison: RecordComparison,
}

/// An open opportunity that a contact can be added to.
#[derive(Serialize, ToSchema)]
struct OfferedOpportunity {
    /// The opportunity in the CRM.
    record: Badge,
    name: String,
    stage: Option<OpportunityStage>,
    /// The day on which it is expected to close, `YYYY-MM-DD`.
    closes_on: Option<String>,
}

/// A role that a contact can have in an opportunity.
#[derive(Serialize, ToSchema)]
struct OfferedRole {
    /// The `role` of a request.
    value: String,
    /// Display name.
    label: String,
}

/// The opportunities that the contact of a profile can be added to.
#[derive(Serialize, ToSchema)]
struct ContactOpportunityChoices {
    /// The contact in the CRM.
    contact: Badge,
    /// Its account; `null` for a contact without one.
    account: Option<Badge>,
    /// The account's open opportunities as of the last import, at most 500, the furthest stage first.
    opportunities: Vec<OfferedOpportunity>,
    /// In the CRM's order.
    roles: Vec<OfferedRole>,
}

/// A contact to add to an opportunity.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ContactOpportunityRequest {
    /// Your own key of the request, 1 to 200 characters. A request that is sent again with the same key is the
    /// same one.
    idempotency_key: String,
    /// The opportunity, by the CRM's id.
    opportunity: String,
    /// One of the offered roles, by its `value`.
    #[serde(default)]
    role: Option<String>,
}

/// The way in which a contact came into an opportunity.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ContactOpportunityOutcome {
    /// It was added by this request, or by an earlier try of it.
    Added,
    /// It was in it before; its role there was not changed.
    Existed,
}

/// A contact that is in an opportunity.
#[derive(Serialize, ToSchema)]
struct ContactOpportunity {
    outcome: ContactOpportunityOutcome,
    contact: Badge,
    opportunity: Badge,
}

/// A seat holder at work on a profile.
struct Desk<'a> {
    view: View<'a>,
    user: ByUser<'a>,
}

impl<'a> Desk<'a> {
    async fn of(
        app: &'a App,
        caller: &'a Caller<DecideMatches>,
        config: &'a ContractConfig,
    ) -> Result<Self, Problem> {
        let seat = caller.signed_in()?.seat.id;
        Ok(Self {
            view: View::of(app, &caller.contract).await?,
            user: ByUser {
                remote: &app.remote,
                config,
                seat,
                by: &caller.actor,
            },
        })
    }

    fn account(&self, account: FoundAccount) -> CrmAccount {
        let spec = vocabulary(self.user.config.contract.crm).account;
        let badge = self.view.badge(&RecordRef::new(spec.name, account.id));
        CrmAccount {
            id: badge.id,
            name: account.name,
            city: account.city,
            website: account.website,
            url: badge.url,
        }
    }

    fn person(&self, person: by_user::Person) -> CrmPerson {
        CrmPerson {
            record: self.view.badge(&person.record),
            name: person.name,
            title: person.title,
            company: person.company,
            email: person.email,
        }
    }

    fn form(&self, form: Form) -> CrmForm {
        let people = form.same_name.into_iter();
        let matched = form.matched.as_ref();
        CrmForm {
            object: form.object,
            crm: self.user.config.contract.crm,
            enabled: form.enabled,
            fields: form.fields.into_iter().map(field).collect(),
            account: form.account.map(|account| AccountField {
                required: true,
                proposed: account.proposed.map(|account| self.account(account)),
            }),
            notices: FormNotices {
                matched: matched.map(|record| self.view.badge(record)),
                same_name: people.map(|person| self.person(person)).collect(),
            },
            limits: form.limits.into(),
        }
    }

    fn comparison(&self, comparison: Comparison) -> RecordComparison {
        RecordComparison {
            record: self.view.badge(&comparison.record),
            object: comparison.object,
            enabled: comparison.enabled,
            version: comparison.version,
            changed_at: comparison.changed_at,
            fields: comparison.fields.into_iter().map(compared).collect(),
            limits: comparison.limits.into(),
        }
    }

    /// The person, now linked to a record. Activities that waited for the link are announced.
    async fn profile(
        &self,
        app: &App,
        caller: &Caller<DecideMatches>,
        linked: &Linked,
    ) -> Result<EntryDetail, Problem> {
        let contract = &self.user.config.contract.id;
        activities::announce_decided(app, contract, linked.entry.reference(), true).await;
        let detail = self
            .view
            .detail(caller, &linked.entry, Some(&linked.matched));
        detail.await
    }
}

fn field(known: by_user::FormField) -> FormFieldView {
    let LeadField {
        name,
        label,
        field_type,
        required,
        ..
    } = known.field;
    FormFieldView {
        name,
        label,
        field_type,
        required,
        custom: known.role.is_none(),
        value: known.value,
        origin: known.origin,
    }
}

fn compared(known: ComparedField) -> ComparedFieldView {
    let LeadField {
        name,
        label,
        field_type,
        required,
        updateable,
        ..
    } = known.field;
    ComparedFieldView {
        name,
        label,
        field_type,
        required,
        custom: known.custom,
        ours: known.ours,
        theirs: known.theirs,
        differs: known.differs,
        writable: updateable,
    }
}

fn change(changed: ChangedField) -> FieldChange {
    FieldChange {
        field: changed.field,
        label: changed.label,
        before: changed.before,
        after: changed.after,
    }
}

fn profile_id(id: &str) -> Result<EntryId, Problem> {
    show::entry_id(EntryKind::Profile, id)
}

/// The form for a new lead or contact of a profile: the CRM's own fields and choices, with what is known.
#[utoipa::path(get, path = "/crm/profiles/{id}/form", operation_id = "crm_form",
    description = "Read from the CRM as the seat holder who asks, and who has to have signed in to the CRM (409 `user_sign_in_needed`). It tells whether the profile is linked already, and which leads and contacts have the same first and last name.",
    params(("id" = String, Path), FormQuery),
    responses((status = 200, body = CrmForm), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn form(
    State(app): State<Arc<App>>,
    caller: Caller<DecideMatches>,
    Path(id): Path<String>,
    Query(query): Query<FormQuery>,
) -> Result<Json<CrmForm>, Problem> {
    let config = app.config(&caller.contract).await?;
    let desk = Desk::of(&app, &caller, &config).await?;
    let object = query.object.unwrap_or(PersonObject::Lead);
    let form = Box::pin(desk.user.form(profile_id(&id)?, object)).await?;
    Ok(Json(desk.form(form)))
}

/// Creates a lead or contact in the CRM for a profile, as the seat holder who asks, and links the two.
#[utoipa::path(post, path = "/crm/profiles/{id}/record", operation_id = "crm_record_create",
    description = "At most 1,000 in a calendar month (429 `monthly_limit`). If a duplicate rule of the CRM finds the person there, it answers 409 `duplicates_found` with the records and whether it can be created anyway. After a lost answer, send the same request again: nothing is created twice.",
    params(("id" = String, Path)), request_body = RecordRequest,
    responses((status = 201, body = CreatedRecord), (status = 200, description = "An earlier request with the same key created it.", body = CreatedRecord), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem)))]
async fn create(
    State(app): State<Arc<App>>,
    caller: Caller<DecideMatches>,
    Path(id): Path<String>,
    Json(request): Json<RecordRequest>,
) -> Result<(StatusCode, Json<CreatedRecord>), Problem> {
    let config = app.config(&caller.contract).await?;
    let desk = Desk::of(&app, &caller, &config).await?;
    let new = NewRecord {
        key: request.idempotency_key,
        object: request.object,
        values: request.values,
        account: request.account.filter(|id| !id.trim().is_empty()),
        create_anyway: request.create_anyway,
        although_matched: request.although_matched,
    };
    let created = Box::pin(desk.user.create(profile_id(&id)?, &new)).await?;
    let (status, outcome) = if created.repeated {
        (StatusCode::OK, RecordOutcome::Existed)
    } else {
        (StatusCode::CREATED, RecordOutcome::Created)
    };
    let answer = CreatedRecord {
        outcome,
        record: desk.view.badge(&created.record),
        profile: desk.profile(&app, &caller, &created.linked).await?,
        limits: desk.user.limits().await?.into(),
    };
    Ok((status, Json(answer)))
}

/// Links a profile to a record that the seat holder sees in the CRM, also one that is not imported yet.
#[utoipa::path(post, path = "/crm/profiles/{id}/record/use", operation_id = "crm_record_use",
    description = "For the answer *use this record* to `duplicates_found`.",
    params(("id" = String, Path)), request_body = UsedRecordInput,
    responses((status = 200, body = UsedRecord), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn use_record(
    State(app): State<Arc<App>>,
    caller: Caller<DecideMatches>,
    Path(id): Path<String>,
    Json(record): Json<UsedRecordInput>,
) -> Result<Json<UsedRecord>, Problem> {
    let config = app.config(&caller.contract).await?;
    let desk = Desk::of(&app, &caller, &config).await?;
    let used = desk
        .user
        .use_record(profile_id(&id)?, record.object, &record.id);
    let (record, linked) = Box::pin(used).await?;
    Ok(Json(UsedRecord {
        record: desk.view.badge(&record),
        profile: desk.profile(&app, &caller, &linked).await?,
    }))
}

/// A profile and the lead or contact that it is, field by field, as the seat holder who asks sees it now.
#[utoipa::path(get, path = "/crm/profiles/{id}/record", operation_id = "crm_record_compare",
    params(("id" = String, Path)),
    responses((status = 200, body = RecordComparison), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn comparison(
    State(app): State<Arc<App>>,
    caller: Caller<DecideMatches>,
    Path(id): Path<String>,
) -> Result<Json<RecordComparison>, Problem> {
    let config = app.config(&caller.contract).await?;
    let desk = Desk::of(&app, &caller, &config).await?;
    let comparison = Box::pin(desk.user.comparison(profile_id(&id)?)).await?;
    Ok(Json(desk.comparison(comparison)))
}

/// Changes fields of the lead or contact that a profile is, as the seat holder who asks. Its owner stays.
#[utoipa::path(patch, path = "/crm/profiles/{id}/record", operation_id = "crm_record_update",
    description = "Refused if the record was changed in the CRM since its `version` (409 `record_changed`). At most 1,000 in a calendar month (429 `monthly_limit`).",
    params(("id" = String, Path)), request_body = RecordUpdate,
    responses((status = 200, body = UpdatedRecord), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem)))]
async fn update(
    State(app): State<Arc<App>>,
    caller: Caller<DecideMatches>,
    Path(id): Path<String>,
    Json(update): Json<RecordUpdate>,
) -> Result<Json<UpdatedRecord>, Problem> {
    let config = app.config(&caller.contract).await?;
    let desk = Desk::of(&app, &caller, &config).await?;
    let id = profile_id(&id)?;
    let updated = desk.user.update(id, &update.version, &update.values);
    let updated = Box::pin(updated).await?;
    let changes: Vec<FieldChange> = updated.changes.into_iter().map(change).collect();
    Ok(Json(UpdatedRecord {
        outcome: if changes.is_empty() {
            UpdateOutcome::Unchanged
        } else {
            UpdateOutcome::Updated
        },
        record: desk.view.badge(&updated.comparison.record),
        changes,
        comparison: desk.comparison(updated.comparison),
    }))
}

/// Accounts of the CRM whose name begins with a text, as the seat holder who asks sees them.
#[utoipa::path(get, path = "/crm/accounts", operation_id = "crm_accounts", params(AccountQuery),
    responses((status = 200, body = CrmAccountList), (status = 400, body = Problem), (status = 409, body = Problem)))]
async fn accounts(
    State(app): State<Arc<App>>,
    caller: Caller<DecideMatches>,
    Query(query): Query<AccountQuery>,
) -> Result<Json<CrmAccountList>, Problem> {
    let config = app.config(&caller.contract).await?;
    let desk = Desk::of(&app, &caller, &config).await?;
    let found = Box::pin(desk.user.accounts(&query.q)).await?;
    let items = found.into_iter().map(|account| desk.account(account));
    Ok(Json(CrmAccountList {
        items: items.collect(),
    }))
}

/// Records that a required look-up field of the form can name, as the seat holder who asks sees them.
#[utoipa::path(get, path = "/crm/lookups", operation_id = "crm_lookups", params(LookupQuery),
    description = "Such a field of a form has the type `unsupported` with the `crm_type` `reference`. Salesforce only.",
    responses((status = 200, body = LookupList), (status = 400, body = Problem), (status = 409, body = Problem)))]
async fn lookup(
    State(app): State<Arc<App>>,
    caller: Caller<DecideMatches>,
    Query(query): Query<LookupQuery>,
) -> Result<Json<LookupList>, Problem> {
    let config = app.config(&caller.contract).await?;
    let desk = Desk::of(&app, &caller, &config).await?;
    let object = query.object.unwrap_or(PersonObject::Lead);
    let found = Box::pin(desk.user.lookup(object, &query.field, &query.q)).await?;
    let record = |found: FoundRecord| LookupRecord {
        object: found.object,
        id: found.id,
        name: found.name,
    };
    Ok(Json(LookupList {
        items: found.into_iter().map(record).collect(),
    }))
}

/// The open opportunities of the account of the contact that a profile is, and the roles that a contact can have.
#[utoipa::path(get, path = "/crm/profiles/{id}/opportunities", operation_id = "crm_contact_opportunities",
    description = "Account and roles are read from the CRM as the seat holder who asks.",
    params(("id" = String, Path)),
    responses((status = 200, body = ContactOpportunityChoices), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn part_choices(
    State(app): State<Arc<App>>,
    caller: Caller<DecideMatches>,
    Path(id): Path<String>,
) -> Result<Json<ContactOpportunityChoices>, Problem> {
    let config = app.config(&caller.contract).await?;
    let desk = Desk::of(&app, &caller, &config).await?;
    let mut found = Box::pin(desk.user.part_choices(profile_id(&id)?)).await?;
    let options = app.remote.store.crm_options(&caller.contract, ENVIRONMENT);
    let options = options.await.map_err(|error| error.problem())?;
    let options = options.as_ref();
    found
        .opportunities
        .sort_by_cached_key(|opportunity| opportunity.order(options));
    let object = vocabulary(config.contract.crm).opportunity.name;
    let opportunities = found.opportunities.into_iter();
    let roles = found.parts.into_iter();
    let account = found.account.as_ref();
    Ok(Json(ContactOpportunityChoices {
        contact: desk.view.badge(&found.contact),
        account: account.map(|account| desk.view.badge(account)),
        opportunities: opportunities
            .map(|one| OfferedOpportunity {
                record: desk.view.badge(&RecordRef::new(object, one.id.clone())),
                stage: OpportunityStage::of(&one, options),
                name: one.name,
                closes_on: one.closes_on,
            })
            .collect(),
        roles: roles
            .map(|part| OfferedRole {
                value: part.value,
                label: part.label,
            })
            .collect(),
    }))
}

/// Adds the contact that a profile is to an opportunity, as the seat holder who asks.
#[utoipa::path(post, path = "/crm/profiles/{id}/opportunities", operation_id = "crm_contact_opportunity_add",
    description = "In Salesforce as a contact role, in Dynamics 365 as a stakeholder. After a lost answer, send the same request again: nothing is added twice.",
    params(("id" = String, Path)), request_body = ContactOpportunityRequest,
    responses((status = 201, body = ContactOpportunity), (status = 200, description = "The contact is in it already.", body = ContactOpportunity), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn give_part(
    State(app): State<Arc<App>>,
    caller: Caller<DecideMatches>,
    Path(id): Path<String>,
    Json(request): Json<ContactOpportunityRequest>,
) -> Result<(StatusCode, Json<ContactOpportunity>), Problem> {
    let config = app.config(&caller.contract).await?;
    let desk = Desk::of(&app, &caller, &config).await?;
    let new = PartRequest {
        key: request.idempotency_key,
        opportunity: request.opportunity,
        part: request.role.filter(|role| !role.is_empty()),
    };
    let given = Box::pin(desk.user.give_part(profile_id(&id)?, &new)).await?;
    let (status, outcome) = if given.repeated {
        (StatusCode::OK, ContactOpportunityOutcome::Existed)
    } else {
        (StatusCode::CREATED, ContactOpportunityOutcome::Added)
    };
    let answer = ContactOpportunity {
        outcome,
        contact: desk.view.badge(&given.contact),
        opportunity: desk.view.badge(&given.opportunity),
    };
    Ok((status, Json(answer)))
}
