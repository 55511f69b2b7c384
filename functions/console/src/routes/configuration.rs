//! Strategies, field mappings, lead fields, scoring rule, settings, audit log (LG-2 to LG-7, OP-2).

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::clock::Millis;
use shared::domain::contract::{AuditEntry, ContractConfig, Settings, StrategyInput};
use shared::domain::ids::StrategyId;
use shared::domain::mapping::FieldMapping;
use shared::domain::schema::{CrmKind, LeadField};
use shared::domain::scoring::ScoringRule;
use shared::domain::strategy::MatchingStrategy;
use shared::problem::Problem;
use utoipa::{IntoParams, ToSchema};

use super::submissions::check_cursor;
use crate::App;
use crate::auth::{Caller, ChangeConfiguration, ReadConfiguration};
use crate::described::{Routes, routes};
use crate::extract::{Json, Name, Path, Query};

pub(super) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list_strategies, create_strategy))
        .routes(routes!(get_strategy, edit_strategy, delete_strategy))
        .routes(routes!(activate_strategy))
        .routes(routes!(list_mappings, create_mapping))
        .routes(routes!(discovered))
        .routes(routes!(forget_discovered))
        .routes(routes!(get_mapping, edit_mapping, delete_mapping))
        .routes(routes!(lead_fields))
        .routes(routes!(get_scoring, set_scoring))
        .routes(routes!(get_settings, set_settings))
        .routes(routes!(audit_log))
}

#[derive(Serialize, ToSchema)]
struct StrategyView {
    #[serde(flatten)]
    strategy: MatchingStrategy,
    /// True for the active strategy. Each contract has exactly one.
    active: bool,
}

#[derive(Serialize, ToSchema)]
struct StrategyList {
    items: Vec<StrategyView>,
}

fn view(config: &ContractConfig, id: StrategyId) -> Result<StrategyView, Problem> {
    let strategy = config
        .strategies
        .get(&id)
        .cloned()
        .ok_or_else(|| Problem::not_found("strategy"))?;
    Ok(StrategyView {
        active: config.contract.active_strategy == id,
        strategy,
    })
}

fn strategy_id(id: &str) -> Result<StrategyId, Problem> {
    id.parse().map_err(|_| Problem::not_found("strategy"))
}

/// The contract's matching strategies, the active one first.
#[utoipa::path(get, path = "/matching-strategies", responses((status = 200, body = StrategyList)))]
async fn list_strategies(
    State(app): State<Arc<App>>,
    caller: Caller<ReadConfiguration>,
) -> Result<Json<StrategyList>, Problem> {
    let config = app.config(&caller.contract).await?;
    let active = config.contract.active_strategy;
    let mut items: Vec<StrategyView> = config
        .strategies
        .into_values()
        .map(|strategy| StrategyView {
            active: strategy.id == active,
            strategy,
        })
        .collect();
    items.sort_by(|a, b| {
        (!a.active, a.strategy.created_at).cmp(&(!b.active, b.strategy.created_at))
    });
    Ok(Json(StrategyList { items }))
}

/// The lead schema for checks; without one (no CRM connected yet) rules that need it are left to
/// the first write.
async fn schema_if_known(
    app: &App,
    caller_contract: &shared::domain::ids::ContractId,
) -> Option<Arc<shared::domain::schema::LeadSchema>> {
    app.lead_schema(caller_contract, false).await.ok()
}

/// Creates a strategy, inactive unless `active` is true.
#[utoipa::path(post, path = "/matching-strategies", request_body = StrategyInput, responses((status = 201, body = StrategyView), (status = 422, body = Problem)))]
async fn create_strategy(
    State(app): State<Arc<App>>,
    caller: Caller<ChangeConfiguration>,
    Json(input): Json<StrategyInput>,
) -> Result<(http::StatusCode, Json<StrategyView>), Problem> {
    let schema = schema_if_known(&app, &caller.contract).await;
    let (id, now) = (StrategyId(app.remote.random.uuid()), app.remote.clock.now());
    let config = app
        .change(&caller.contract, &caller.actor, |config| {
            config.create_strategy(id, input.clone(), schema.as_deref(), now)
        })
        .await?;
    Ok((http::StatusCode::CREATED, Json(view(&config, id)?)))
}

/// A strategy.
#[utoipa::path(get, path = "/matching-strategies/{id}", params(("id" = String, Path)), responses((status = 200, body = StrategyView), (status = 404, body = Problem)))]
async fn get_strategy(
    State(app): State<Arc<App>>,
    caller: Caller<ReadConfiguration>,
    Path(id): Path<String>,
) -> Result<Json<StrategyView>, Problem> {
    Ok(Json(view(
        &app.config(&caller.contract).await?,
        strategy_id(&id)?,
    )?))
}

/// Edits a strategy. `active: true` activates it; the active one cannot be edited to inactive.
#[utoipa::path(put, path = "/matching-strategies/{id}", params(("id" = String, Path)), request_body = StrategyInput, responses((status = 200, body = StrategyView), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn edit_strategy(
    State(app): State<Arc<App>>,
    caller: Caller<ChangeConfiguration>,
    Path(id): Path<String>,
    Json(input): Json<StrategyInput>,
) -> Result<Json<StrategyView>, Problem> {
    let id = strategy_id(&id)?;
    let schema = schema_if_known(&app, &caller.contract).await;
    let now = app.remote.clock.now();
    let config = app
        .change(&caller.contract, &caller.actor, |config| {
            config.edit_strategy(id, input.clone(), schema.as_deref(), now)
        })
        .await?;
    Ok(Json(view(&config, id)?))
}

/// Deletes an inactive strategy.
#[utoipa::path(delete, path = "/matching-strategies/{id}", params(("id" = String, Path)), responses((status = 204), (status = 409, body = Problem)))]
async fn delete_strategy(
    State(app): State<Arc<App>>,
    caller: Caller<ChangeConfiguration>,
    Path(id): Path<String>,
) -> Result<http::StatusCode, Problem> {
    let id = strategy_id(&id)?;
    app.change(&caller.contract, &caller.actor, |config| {
        config.delete_strategy(id)
    })
    .await?;
    Ok(http::StatusCode::NO_CONTENT)
}

/// Activates a strategy, and so deactivates the one that was active.
#[utoipa::path(post, path = "/matching-strategies/{id}/activate", params(("id" = String, Path)), responses((status = 200, body = StrategyView), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn activate_strategy(
    State(app): State<Arc<App>>,
    caller: Caller<ChangeConfiguration>,
    Path(id): Path<String>,
) -> Result<Json<StrategyView>, Problem> {
    let id = strategy_id(&id)?;
    let config = app
        .change(&caller.contract, &caller.actor, |config| {
            config.activate_strategy(id)
        })
        .await?;
    Ok(Json(view(&config, id)?))
}

#[derive(Serialize, ToSchema)]
struct MappingView {
    #[serde(flatten)]
    mapping: FieldMapping,
    /// Strategies that match on its lead field: while there are any, it cannot be deleted.
    used_by: Vec<String>,
}

#[derive(Serialize, ToSchema)]
struct MappingList {
    items: Vec<MappingView>,
    /// Names seen on submissions that no mapping has.
    discovered: Vec<DiscoveredName>,
}

#[derive(Serialize, ToSchema)]
struct DiscoveredName {
    /// The name exactly as on the form.
    name: String,
    /// The forms that were seen with it (their ids at the source).
    forms: Vec<String>,
    /// The approximate number of submissions that it was seen on.
    count: u64,
    #[schema(value_type = i64)]
    first_seen: Millis,
    /// To some minutes.
    #[schema(value_type = i64)]
    last_seen: Millis,
}

#[derive(Serialize, ToSchema)]
struct DiscoveredList {
    items: Vec<DiscoveredName>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct MappingInput {
    /// The field's name exactly as on the form.
    name: String,
    /// The CRM's name of the lead field; see `/lead-fields`.
    lead_field: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct MappingEdit {
    /// The CRM's name of the lead field; see `/lead-fields`.
    lead_field: String,
}

fn mapping_view(config: &ContractConfig, name: &str) -> Result<MappingView, Problem> {
    let mapping = config
        .mappings
        .get(name)
        .cloned()
        .ok_or_else(|| Problem::not_found("field mapping"))?;
    let users = config.strategies_using(&mapping.lead_field);
    Ok(MappingView {
        used_by: users.iter().map(|strategy| strategy.name.clone()).collect(),
        mapping,
    })
}

async fn discovered_names(
    app: &App,
    config: &ContractConfig,
) -> Result<Vec<DiscoveredName>, Problem> {
    let found = app
        .remote
        .store
        .discovered_names(&config.contract.id)
        .await
        .map_err(|error| error.problem())?;
    let mapped: BTreeSet<&String> = config.mappings.keys().collect();
    Ok(found
        .into_iter()
        .filter(|(found, _)| !mapped.contains(&found.name))
        .map(|(found, forms)| DiscoveredName {
            name: found.name,
            forms,
            count: found.count,
            first_seen: found.first_seen,
            last_seen: found.last_seen,
        })
        .collect())
}

/// The contract's field mappings, and the names discovered on submissions that none has.
#[utoipa::path(get, path = "/field-mappings", responses((status = 200, body = MappingList)))]
async fn list_mappings(
    State(app): State<Arc<App>>,
    caller: Caller<ReadConfiguration>,
) -> Result<Json<MappingList>, Problem> {
    let config = app.config(&caller.contract).await?;
    let items = config
        .mappings
        .keys()
        .map(|name| mapping_view(&config, name))
        .collect::<Result<_, _>>()?;
    Ok(Json(MappingList {
        items,
        discovered: discovered_names(&app, &config).await?,
    }))
}

/// Names seen on submissions that no mapping has, those seen most first. Of each form the names that were
/// seen most are kept, and the newest; they go half a year after they were last seen.
#[utoipa::path(get, path = "/field-mappings/discovered", responses((status = 200, body = DiscoveredList)))]
async fn discovered(
    State(app): State<Arc<App>>,
    caller: Caller<ReadConfiguration>,
) -> Result<Json<DiscoveredList>, Problem> {
    let config = app.config(&caller.contract).await?;
    Ok(Json(DiscoveredList {
        items: discovered_names(&app, &config).await?,
    }))
}

/// Forgets a discovered name; one that is seen again is discovered again. The name is percent-encoded twice
/// in the path.
#[utoipa::path(delete, path = "/field-mappings/discovered/{name}", params(("name" = String, Path)), responses((status = 204), (status = 404, body = Problem)))]
async fn forget_discovered(
    State(app): State<Arc<App>>,
    caller: Caller<ChangeConfiguration>,
    Name(name): Name,
) -> Result<http::StatusCode, Problem> {
    let (before, after) = (Value::Null, Value::Null);
    let audit = app.audit(
        &caller.actor,
        "discovered.forget",
        name.clone(),
        before,
        after,
    );
    let (store, unique) = (&app.remote.store, app.remote.random.uuid());
    let forgotten = store.forget_discovered(&caller.contract, &name, &audit, unique);
    if forgotten.await.map_err(|error| error.problem())? {
        Ok(http::StatusCode::NO_CONTENT)
    } else {
        Err(Problem::not_found("discovered name"))
    }
}

/// Maps a form field's name to a lead field.
#[utoipa::path(post, path = "/field-mappings", request_body = MappingInput, responses((status = 201, body = MappingView), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn create_mapping(
    State(app): State<Arc<App>>,
    caller: Caller<ChangeConfiguration>,
    Json(input): Json<MappingInput>,
) -> Result<(http::StatusCode, Json<MappingView>), Problem> {
    let schema = app.lead_schema(&caller.contract, false).await?;
    let now = app.remote.clock.now();
    let config = app
        .change(&caller.contract, &caller.actor, |config| {
            config.create_mapping(&input.name, &input.lead_field, &schema, now)
        })
        .await?;
    Ok((
        http::StatusCode::CREATED,
        Json(mapping_view(&config, &input.name)?),
    ))
}

/// The mapping of a field name (percent-encoded twice in the path: `/` is `%252F`).
#[utoipa::path(get, path = "/field-mappings/{name}", params(("name" = String, Path)), responses((status = 200, body = MappingView), (status = 404, body = Problem)))]
async fn get_mapping(
    State(app): State<Arc<App>>,
    caller: Caller<ReadConfiguration>,
    Name(name): Name,
) -> Result<Json<MappingView>, Problem> {
    Ok(Json(mapping_view(
        &app.config(&caller.contract).await?,
        &name,
    )?))
}

/// Points a mapping to another lead field; refused while a strategy uses it. The name is
/// percent-encoded twice in the path.
#[utoipa::path(put, path = "/field-mappings/{name}", params(("name" = String, Path)), request_body = MappingEdit, responses((status = 200, body = MappingView), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn edit_mapping(
    State(app): State<Arc<App>>,
    caller: Caller<ChangeConfiguration>,
    Name(name): Name,
    Json(input): Json<MappingEdit>,
) -> Result<Json<MappingView>, Problem> {
    let schema = app.lead_schema(&caller.contract, false).await?;
    let now = app.remote.clock.now();
    let config = app
        .change(&caller.contract, &caller.actor, |config| {
            config.edit_mapping(&name, &input.lead_field, &schema, now)
        })
        .await?;
    Ok(Json(mapping_view(&config, &name)?))
}

/// Deletes a mapping; refused while a strategy uses it. The name is percent-encoded twice in the path.
#[utoipa::path(delete, path = "/field-mappings/{name}", params(("name" = String, Path)), responses((status = 204), (status = 409, body = Problem)))]
async fn delete_mapping(
    State(app): State<Arc<App>>,
    caller: Caller<ChangeConfiguration>,
    Name(name): Name,
) -> Result<http::StatusCode, Problem> {
    app.change(&caller.contract, &caller.actor, |config| {
        config.delete_mapping(&name)
    })
    .await?;
    Ok(http::StatusCode::NO_CONTENT)
}

#[derive(Serialize, ToSchema)]
struct LeadFieldView {
    #[serde(flatten)]
    field: LeadField,
    /// Form values can be mapped to it.
    mappable: bool,
    /// Strategies can match on it.
    matchable: bool,
}

#[derive(Serialize, ToSchema)]
struct LeadFieldList {
    crm: CrmKind,
    /// The time of the CRM's answer.
    #[schema(value_type = i64)]
    fetched_at: Millis,
    /// Creates are exactly-once by an identity that the CRM keeps unique. Without it (Salesforce
    /// without our package's fields) they are by a look-up before each retry.
    has_identity: bool,
    /// The CRM itself links a lead to its contact.
    has_contact_link: bool,
    items: Vec<LeadFieldView>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct LeadFieldQuery {
    /// Asks the CRM now, in place of returning the last answer.
    #[serde(default)]
    refresh: bool,
}

/// The connected CRM's own lead fields, from its metadata.
#[utoipa::path(get, path = "/lead-fields", params(LeadFieldQuery), responses((status = 200, body = LeadFieldList), (status = 409, body = Problem)))]
async fn lead_fields(
    State(app): State<Arc<App>>,
    caller: Caller<ReadConfiguration>,
    Query(query): Query<LeadFieldQuery>,
) -> Result<Json<LeadFieldList>, Problem> {
    let schema = app.lead_schema(&caller.contract, query.refresh).await?;
    Ok(Json(LeadFieldList {
        crm: schema.crm,
        fetched_at: schema.fetched_at,
        has_identity: schema.has_identity,
        has_contact_link: schema.has_contact_link,
        items: schema
            .fields
            .iter()
            .map(|field| LeadFieldView {
                mappable: field.is_mappable(),
                matchable: field.is_matchable(),
                field: field.clone(),
            })
            .collect(),
    }))
}

/// The scoring rule.
#[utoipa::path(get, path = "/scoring-rule", responses((status = 200, body = ScoringRule)))]
async fn get_scoring(
    State(app): State<Arc<App>>,
    caller: Caller<ReadConfiguration>,
) -> Result<Json<ScoringRule>, Problem> {
    Ok(Json(app.config(&caller.contract).await?.scoring))
}

/// Sets the scoring rule. Leads keep the score they have until their next submission.
#[utoipa::path(put, path = "/scoring-rule", request_body = ScoringRule, responses((status = 200, body = ScoringRule), (status = 422, body = Problem)))]
async fn set_scoring(
    State(app): State<Arc<App>>,
    caller: Caller<ChangeConfiguration>,
    Json(rule): Json<ScoringRule>,
) -> Result<Json<ScoringRule>, Problem> {
    let schema = match rule.lead_field {
        Some(_) => Some(app.lead_schema(&caller.contract, false).await?),
        None => None,
    };
    let config = app
        .change(&caller.contract, &caller.actor, |config| {
            config.set_scoring(rule.clone(), schema.as_deref())
        })
        .await?;
    Ok(Json(config.scoring))
}

/// The contract's settings.
#[utoipa::path(get, path = "/settings", responses((status = 200, body = Settings)))]
async fn get_settings(
    State(app): State<Arc<App>>,
    caller: Caller<ReadConfiguration>,
) -> Result<Json<Settings>, Problem> {
    Ok(Json(app.config(&caller.contract).await?.contract.settings))
}

/// Sets the contract's settings.
#[utoipa::path(put, path = "/settings", request_body = Settings, responses((status = 200, body = Settings), (status = 422, body = Problem)))]
async fn set_settings(
    State(app): State<Arc<App>>,
    caller: Caller<ChangeConfiguration>,
    Json(settings): Json<Settings>,
) -> Result<Json<Settings>, Problem> {
    let config = app
        .change(&caller.contract, &caller.actor, |config| {
            config.set_settings(settings.clone())
        })
        .await?;
    Ok(Json(config.contract.settings))
}

#[derive(Serialize, ToSchema)]
struct AuditLine {
    #[serde(flatten)]
    entry: AuditEntry,
    /// The name of the seat that acted, while there is that seat.
    actor_name: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct AuditLog {
    items: Vec<AuditLine>,
    /// Give it as `cursor` for the next page; none after the last.
    next: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AuditQuery {
    /// A page's `next`.
    cursor: Option<String>,
}

/// The audit log: each change with its author, newest first.
#[utoipa::path(get, path = "/audit-log", params(AuditQuery), responses((status = 200, body = AuditLog)))]
async fn audit_log(
    State(app): State<Arc<App>>,
    caller: Caller<ReadConfiguration>,
    Query(query): Query<AuditQuery>,
) -> Result<Json<AuditLog>, Problem> {
    check_cursor(query.cursor.as_deref())?;
    let page = app
        .remote
        .store
        .audit_log(&caller.contract, 100, query.cursor.as_deref())
        .await
        .map_err(|error| error.problem())?;
    let actors = page.items.iter().map(|entry| entry.actor.as_str());
    let names = app.names_of(&caller.contract, actors).await?;
    let items = page.items.into_iter().map(|entry| AuditLine {
        actor_name: names.get(&entry.actor).cloned(),
        entry,
    });
    Ok(Json(AuditLog {
        items: items.collect(),
        next: page.next,
    }))
}
