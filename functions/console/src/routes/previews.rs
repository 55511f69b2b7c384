//! Previews: what a mapping, a strategy or a scoring rule does with submissions that are there (LG-2 to LG-8).
//! They read, and change nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::clock::Millis;
use shared::crm::{self, Crm, LeadRecord};
use shared::domain::contract::{ContractConfig, MAX_ITEMS};
use shared::domain::field::Field;
use shared::domain::ids::{ContractId, StrategyId, SubmissionId};
use shared::domain::mapping::{FieldMapping, MappedLead, MappingContext, map_submission};
use shared::domain::preview::{self, FieldPreview, Fit, SeenField, ValuePreview};
use shared::domain::schema::LeadSchema;
use shared::domain::scoring::ScoringRule;
use shared::domain::strategy::MatchingStrategy;
use shared::domain::submission::{State as Stage, Submission};
use shared::domain::vocabulary::{Role, vocabulary};
use shared::lead_match::LeadMatch;
use shared::problem::Problem;
use shared::store::{ConnectionKind, SubmissionFilter};
use shared::texts::{self, Audience};
use utoipa::ToSchema;

use super::submissions::{find, sender};
use crate::App;
use crate::auth::{Caller, ReadConfiguration};
use crate::described::{Routes, routes};
use crate::extract::Json;

/// Number of the newest submissions whose values are looked at.
const RECENT: usize = 50;
/// Maximum number of strategies that are tried at once, each with one call to the CRM.
const MAX_TRIED: usize = 10;
/// Maximum number of leads that are shown of a strategy.
const MAX_LEADS: usize = 5;
/// Maximum number of submissions whose leads are scored.
const MAX_SCORED: usize = 20;
/// Maximum number of further submissions of these leads that are read.
const MAX_FURTHER: usize = 100;

pub(super) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(form_fields))
        .routes(routes!(preview_mapping))
        .routes(routes!(try_strategies))
        .routes(routes!(preview_scoring))
}

/// The newest submissions that have not expired.
async fn recent(app: &App, contract: &ContractId, most: usize) -> Result<Vec<Submission>, Problem> {
    let all = SubmissionFilter::default();
    let page = app
        .remote
        .store
        .list_submissions(contract, &all, most, None)
        .await;
    Ok(app.kept(page.map_err(|error| error.problem())?).items)
}

/// The answers of those that have any.
fn answers_of(submissions: &[Submission]) -> impl Iterator<Item = &[Field]> + Clone {
    submissions.iter().filter_map(|one| one.answers.as_deref())
}

#[derive(Serialize, ToSchema)]
struct FormFields {
    /// Number of submissions that were looked at: the newest, at most 50.
    submissions: usize,
    /// The fields that they sent, those sent most first.
    items: Vec<SeenField>,
    /// For each mapped field that they sent: whether its values fit the lead field.
    fits: Vec<Fit>,
}

/// The fields that the newest submissions sent, with examples, and whether their values fit the lead fields that
/// they are mapped to.
#[utoipa::path(get, path = "/form-fields", operation_id = "form_fields_seen", responses((status = 200, body = FormFields)))]
async fn form_fields(
    State(app): State<Arc<App>>,
    caller: Caller<ReadConfiguration>,
) -> Result<Json<FormFields>, Problem> {
    let config = app.config(&caller.contract).await?;
    let submissions = recent(&app, &caller.contract, RECENT).await?;
    // Without a CRM there is nothing to fit.
    let schema = app.lead_schema(&caller.contract, false).await.ok();
    let answers = answers_of(&submissions);
    let region = config.contract.settings.default_region.as_deref();
    let items = preview::seen(answers.clone(), &config.mappings);
    let fits = items.iter().filter_map(|seen| {
        let mapping = config.mappings.get(&seen.name)?;
        let schema = schema.as_deref()?;
        let answers = answers.clone();
        let lead_field = &mapping.lead_field;
        Some(preview::fit(
            &seen.name, lead_field, answers, schema, region,
        ))
    });
    Ok(Json(FormFields {
        submissions: submissions.len(),
        fits: fits.collect(),
        items,
    }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct MappingPreviewInput {
    /// Mappings to add or to change: the form field's name and the lead field, or null to do without the mapping.
    #[serde(default)]
    changes: BTreeMap<String, Option<String>>,
    /// The submission; the newest with answers unless given.
    #[serde(default)]
    submission: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct MappingPreview {
    /// The submission that is shown; none if there is none yet.
    submission: Option<Previewed>,
    /// Its answers in the order of arrival, and the values that are filled in.
    fields: Vec<FieldPreview>,
    /// The lead fields that get a value under these mappings or the saved ones.
    values: Vec<ValuePreview>,
    /// No answer gives a lead field a value: such a submission is not written.
    nothing_mapped: bool,
    /// For each mapping that is added or changed: whether the values of the newest submissions, at most 50, fit
    /// the lead field.
    fits: Vec<Fit>,
}

/// The submission of a preview.
#[derive(Serialize, ToSchema)]
struct Previewed {
    id: SubmissionId,
    /// The form's name, or its id at the source.
    form: String,
    /// The first answer that is an e-mail address.
    sender: Option<String>,
    #[schema(value_type = i64)]
    received_at: Millis,
}

/// Refuses more fields than a contract can have mappings.
fn ensure_few(count: usize, field: &str) -> Result<(), Problem> {
    if count <= MAX_ITEMS {
        return Ok(());
    }
    Err(Problem::new(
        422,
        "too_many_fields",
        format!("A preview takes at most {MAX_ITEMS} fields."),
        "Leave some of them out.",
    )
    .with_field(field))
}

/// A submission's answers, for a preview.
async fn answered(app: &App, contract: &ContractId, id: &str) -> Result<Submission, Problem> {
    let found = find(app, contract, id).await?;
    if found.answers.is_none() {
        return Err(Problem::new(
            409,
            "no_answers",
            "The submission has no answers: they are not fetched yet, or were withdrawn.",
            "Choose another submission.",
        )
        .with_field("submission"));
    }
    Ok(found)
}

/// Shows what becomes of a submission under changed mappings, before they are saved. Writes nothing.
#[utoipa::path(post, path = "/mapping-preview", operation_id = "mapping_preview", request_body = MappingPreviewInput, responses((status = 200, body = MappingPreview), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn preview_mapping(
    State(app): State<Arc<App>>,
    caller: Caller<ReadConfiguration>,
    Json(input): Json<MappingPreviewInput>,
) -> Result<Json<MappingPreview>, Problem> {
    ensure_few(input.changes.len(), "changes")?;
    let contract = &caller.contract;
    let config = app.config(contract).await?;
    let schema = app.lead_schema(contract, false).await?;
    let submissions = recent(&app, contract, RECENT).await?;
    let chosen = match &input.submission {
        Some(id) => Some(answered(&app, contract, id).await?),
        None => submissions
            .iter()
            .find(|submission| submission.answers.is_some())
            .cloned(),
    };
    let settings = &config.contract.settings;
    let region = settings.default_region.as_deref();
    let mappings = preview::changed(&config.mappings, &input.changes, app.remote.clock.now());
    let shown = chosen.as_ref().map(|submission| {
        let context = MappingContext {
            mappings: &mappings,
            schema: &schema,
            region,
            placeholder: &settings.placeholder,
            form_name: submission.form_label(),
        };
        let answers = submission.answers.as_deref().unwrap_or_default();
        preview::preview(answers, context, &config.mappings)
    });
    let fits = input.changes.iter().filter_map(|(name, lead_field)| {
        let answers = answers_of(&submissions);
        let lead_field = lead_field.as_deref()?;
        Some(preview::fit(name, lead_field, answers, &schema, region))
    });
    let fits = fits.collect();
    let submission = chosen.as_ref().map(|submission| Previewed {
        id: submission.id,
        form: submission.form_label().to_owned(),
        sender: sender(submission),
        received_at: submission.received_at,
    });
    let shown = shown.unwrap_or_default();
    Ok(Json(MappingPreview {
        submission,
        fields: shown.fields,
        values: shown.values,
        nothing_mapped: shown.nothing_mapped,
        fits,
    }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TryInput {
    /// Values by lead field, as a form would send them.
    #[serde(default)]
    values: BTreeMap<String, String>,
    /// A submission instead: its answers as they are mapped now.
    #[serde(default)]
    submission: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct Tried {
    /// The values that are compared, as they would be written.
    fields: Vec<FieldPreview>,
    /// The strategies, the active one first; at most 10.
    items: Vec<TriedStrategy>,
    /// There are further strategies, which were not tried.
    more: bool,
}

#[derive(Serialize, ToSchema)]
struct TriedStrategy {
    id: StrategyId,
    name: String,
    active: bool,
    /// The values that it compares.
    compared: Vec<ComparedValue>,
    /// The submission would join the first of `leads`; otherwise it would become a new lead.
    joins: bool,
    /// Number of the CRM's open leads that match.
    matching_leads: usize,
    /// These leads, the oldest first; at most 5.
    leads: Vec<TriedLead>,
    /// The reason in one sentence.
    reason: String,
}

#[derive(Serialize, ToSchema)]
struct ComparedValue {
    lead_field: String,
    /// Its value in the form in which it is compared; none if there is none, and then nothing matches.
    value: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct TriedLead {
    /// The CRM's id.
    id: String,
    /// A link to its page in the CRM.
    url: String,
    /// Its values of the fields that are compared, and its name, company and e-mail address.
    values: BTreeMap<String, String>,
}

/// Shows which leads of the CRM a submission would join under each strategy, and why. Searches the CRM, with one
/// call for each strategy; writes nothing.
#[utoipa::path(post, path = "/matching-strategies/try", operation_id = "matching_try", request_body = TryInput, responses((status = 200, body = Tried), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn try_strategies(
    State(app): State<Arc<App>>,
    caller: Caller<ReadConfiguration>,
    Json(input): Json<TryInput>,
) -> Result<Json<Tried>, Problem> {
    ensure_few(input.values.len(), "values")?;
    let contract = &caller.contract;
    let config = app.config(contract).await?;
    let schema = app.lead_schema(contract, false).await?;
    let submission = match &input.submission {
        Some(id) => Some(answered(&app, contract, id).await?),
        None => None,
    };
    let (answers, mappings) = match &submission {
        Some(found) => (
            found.answers.clone().unwrap_or_default(),
            config.mappings.clone(),
        ),
        None => typed(&input.values),
    };
    let settings = &config.contract.settings;
    let context = MappingContext {
        mappings: &mappings,
        schema: &schema,
        region: settings.default_region.as_deref(),
        placeholder: &settings.placeholder,
        form_name: submission.as_ref().map_or("", Submission::form_label),
    };
    let lead = map_submission(&answers, context);
    let fields = preview::preview(&answers, context, &mappings).fields;
    let remote = config.contract.crm.label();
    let session = app
        .remote
        .sessions
        .open(contract, ConnectionKind::PRODUCTION)
        .await
        .map_err(|error| texts::session(&error, remote, Audience::Client))?;
    let crm = crm::open(session);
    let active = config.contract.active_strategy;
    let mut strategies: Vec<&MatchingStrategy> = config.strategies.values().collect();
    strategies.sort_by_key(|strategy| (strategy.id != active, strategy.created_at));
    let trial = Trial {
        app: &app,
        config: &config,
        crm: crm.as_ref(),
        schema: &schema,
        lead: &lead,
    };
    let mut items = Vec::new();
    for strategy in strategies.iter().take(MAX_TRIED) {
        items.push(trial.of(strategy).await?);
    }
    Ok(Json(Tried {
        fields,
        items,
        more: strategies.len() > MAX_TRIED,
    }))
}

/// Typed values as answers, each with a mapping of its own name.
fn typed(values: &BTreeMap<String, String>) -> (Vec<Field>, BTreeMap<String, FieldMapping>) {
    let own: BTreeMap<String, Option<String>> = values
        .keys()
        .map(|name| (name.clone(), Some(name.clone())))
        .collect();
    let mappings = preview::changed(&BTreeMap::new(), &own, Millis(0));
    let answers = values
        .iter()
        .map(|(name, value)| Field::answer(name.clone(), value.clone()));
    (answers.collect(), mappings)
}

/// A submission that is tried with strategies.
struct Trial<'a> {
    app: &'a App,
    config: &'a ContractConfig,
    crm: &'a dyn Crm,
    schema: &'a LeadSchema,
    lead: &'a MappedLead,
}

impl Trial<'_> {
    async fn of(&self, strategy: &MatchingStrategy) -> Result<TriedStrategy, Problem> {
        let contract = &self.config.contract;
        let region = contract.settings.default_region.as_deref();
        let normals = strategy.normal_values(self.lead, self.schema, region);
        let searched = !strategy.always_create_lead
            && !normals.is_empty()
            && normals.values().all(Option::is_some);
        let found = if searched {
            let search = LeadMatch {
                contract,
                schema: self.schema,
                values: &self.lead.values,
                normals: &normals,
            };
            let store = &self.app.remote.store;
            let mirrored = search.mirrored(store).await;
            let mirrored = mirrored.map_err(|error| error.problem())?;
            let leads = search
                .leads(self.crm, &mirrored, &self.read(strategy))
                .await;
            leads.map_err(|error| texts::crm(&error, contract.crm.label(), Audience::Client))?
        } else {
            Vec::new()
        };
        let leads = found.iter().take(MAX_LEADS).map(|lead| TriedLead {
            id: lead.id.clone(),
            url: self.crm.lead_url(&lead.id),
            values: shown(lead),
        });
        Ok(TriedStrategy {
            id: strategy.id,
            name: strategy.name.clone(),
            active: contract.active_strategy == strategy.id,
            joins: !found.is_empty(),
            matching_leads: found.len(),
            leads: leads.collect(),
            reason: strategy.reason(&normals, found.len()),
            compared: normals
                .into_iter()
                .map(|(lead_field, value)| ComparedValue { lead_field, value })
                .collect(),
        })
    }

    /// The fields to read of a lead.
    fn read(&self, strategy: &MatchingStrategy) -> Vec<String> {
        let known = vocabulary(self.config.contract.crm).lead;
        let roles = [Role::FirstName, Role::LastName, Role::Company, Role::Email];
        let mut names = strategy.matching_lead_fields.clone();
        names.extend(roles.map(|role| known.named(role).to_owned()));
        names.retain(|name| self.schema.field(name).is_some());
        names.sort();
        names.dedup();
        names
    }
}

/// A lead's values as text, without the empty ones.
fn shown(lead: &LeadRecord) -> BTreeMap<String, String> {
    let text = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        other => Some(other.to_string()),
    };
    let values = lead.values.iter();
    values
        .filter_map(|(name, value)| Some((name.clone(), text(value)?)))
        .collect()
}

#[derive(Serialize, ToSchema)]
struct ScoringPreview {
    /// The newest submissions that have a lead, at most 20.
    items: Vec<ScoredSubmission>,
}

#[derive(Serialize, ToSchema)]
struct ScoredSubmission {
    id: SubmissionId,
    /// The form's name, or its id at the source.
    form: String,
    /// The first answer that is an e-mail address.
    sender: Option<String>,
    #[schema(value_type = i64)]
    received_at: Millis,
    /// It created its lead.
    created_lead: bool,
    /// The points that it gave.
    points: u32,
    /// The points that it would have given.
    points_then: u32,
    /// Number of its lead's submissions.
    submissions: usize,
    /// The score of its lead by what its submissions gave.
    score: u32,
    /// The score that its lead would have.
    score_then: u32,
}

/// Shows what the newest submissions and their leads would score under a rule, before it is saved. Writes
/// nothing.
#[utoipa::path(post, path = "/scoring-rule/preview", operation_id = "scoring_preview", request_body = ScoringRule, responses((status = 200, body = ScoringPreview)))]
async fn preview_scoring(
    State(app): State<Arc<App>>,
    caller: Caller<ReadConfiguration>,
    Json(rule): Json<ScoringRule>,
) -> Result<Json<ScoringPreview>, Problem> {
    let contract = &caller.contract;
    let saved = app.config(contract).await?.scoring;
    let store = &app.remote.store;
    let submissions = recent(&app, contract, RECENT).await?;
    // The form of each submission that is known so far.
    let mut forms: BTreeMap<SubmissionId, String> = submissions
        .iter()
        .map(|submission| (submission.id, submission.origin.form_id.clone()))
        .collect();
    let mut further = 0;
    let mut items = Vec::new();
    for submission in &submissions {
        let done = matches!(submission.state, Stage::Created | Stage::Attached);
        let Some(lead) = submission.lead.as_ref().filter(|_| done) else {
            continue;
        };
        if items.len() == MAX_SCORED {
            break;
        }
        let attached = store.attachments(contract, &lead.id).await;
        let attached = attached.map_err(|error| error.problem())?;
        let (mut points, mut points_then) = (Vec::new(), Vec::new());
        for (id, attachment) in &attached {
            if !forms.contains_key(id) && further < MAX_FURTHER {
                further += 1;
                match store.submission(contract, *id).await {
                    Ok(Some(read)) => {
                        forms.insert(*id, read.origin.form_id);
                    }
                    Ok(None) => {}
                    // One that cannot be read stops no other.
                    Err(error) if !error.passes() => error.log(),
                    Err(error) => return Err(error.problem()),
                }
            }
            points.push(attachment.points);
            // One whose form is not known any more keeps the points that it gave.
            points_then.push(forms.get(id).map_or(attachment.points, |form| {
                rule.points(form, attachment.created_lead)
            }));
        }
        let created_lead = submission.state == Stage::Created;
        items.push(ScoredSubmission {
            id: submission.id,
            form: submission.form_label().to_owned(),
            sender: sender(submission),
            received_at: submission.received_at,
            created_lead,
            points: submission.points,
            points_then: rule.points(&submission.origin.form_id, created_lead),
            submissions: attached.len(),
            score: saved.score(points),
            score_then: rule.score(points_then),
        });
    }
    Ok(Json(ScoringPreview { items }))
}
