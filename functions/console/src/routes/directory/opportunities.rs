//! The open opportunities of a person or a company (SV-5).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use shared::domain::directory::{EntryKind, EntryRef, MatchState, RecordRef};
use shared::domain::ids::ContractId;
use shared::domain::inventory::CrmOptions;
use shared::domain::opportunity::Opportunity;
use shared::domain::vocabulary::{Role, vocabulary};
use shared::opportunities::{InOpportunity, Opportunities};
use shared::problem::Problem;
use utoipa::{IntoParams, ToSchema};

use super::super::submissions::{invalid_cursor, page_size};
use super::shapes::{Badge, EntryHolder, RecordOwner};
use super::show::{ENVIRONMENT, View, find};
use crate::App;
use crate::auth::{Caller, ReadDirectory};
use crate::described::{Routes, routes};
use crate::extract::{Json, Path, Query};

/// Contacts of an opportunity that are shown.
const SHOWN_CONTACTS: usize = 20;

pub(super) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(of_profile))
        .routes(routes!(of_company))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct PageQuery {
    /// Items of a page, 1 to 200; 50 unless given.
    limit: Option<usize>,
    /// A page's `next`.
    cursor: Option<String>,
}

/// The stage of an opportunity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(in crate::routes) struct OpportunityStage {
    /// The stage's name.
    pub(in crate::routes) label: String,
    /// Its place in the CRM's own order, from 0; `null` for a stage that the CRM's list does not have.
    pub(in crate::routes) position: Option<u32>,
}

impl OpportunityStage {
    /// The stage of an opportunity, if it has one.
    pub(in crate::routes) fn of(
        opportunity: &Opportunity,
        options: Option<&CrmOptions>,
    ) -> Option<Self> {
        if let Some(stage) = options.and_then(|options| opportunity.stage_in(options)) {
            return Some(Self {
                label: stage.label.clone(),
                position: Some(stage.position),
            });
        }
        let text = opportunity
            .stage
            .clone()
            .or_else(|| opportunity.sales_stage.clone());
        text.map(|label| Self {
            label,
            position: None,
        })
    }
}

/// A contact in an opportunity.
#[derive(Serialize, ToSchema)]
struct OpportunityContact {
    /// The contact in the CRM.
    record: Badge,
    /// The contact's name there.
    name: String,
    /// The part that the contact has in the opportunity.
    role: Option<String>,
    /// True for the first contact of the opportunity.
    primary: bool,
    /// The person that is linked to the contact.
    profile: Option<EntryHolder>,
}

/// An open opportunity.
#[derive(Serialize, ToSchema)]
struct OpportunityView {
    /// The opportunity in the CRM.
    record: Badge,
    /// Its name.
    name: String,
    stage: Option<OpportunityStage>,
    /// Its value, in its currency.
    amount: Option<f64>,
    /// ISO 4217; `null` where the CRM does not say it.
    currency: Option<String>,
    /// The day on which it is expected to close, `YYYY-MM-DD`.
    closes_on: Option<String>,
    owner: Option<RecordOwner>,
    /// The contacts, the first one first; at most 20.
    contacts: Vec<OpportunityContact>,
}

#[derive(Serialize, ToSchema)]
struct OpportunityList {
    /// The furthest stage first, and of one stage the nearest to close.
    items: Vec<OpportunityView>,
    /// Number of all open opportunities; at most 500 are read.
    total: usize,
    /// Give it as `cursor` for the next page; none after the last.
    next: Option<String>,
}

/// The open opportunities of the contact or lead that a person is linked to.
///
/// As of the last import. A contact's are those in which the contact has a part; a lead's is the one that it
/// became. Somebody who is not in the CRM has none.
#[utoipa::path(get, path = "/profiles/{id}/opportunities", operation_id = "profiles_opportunities",
    params(("id" = String, Path), PageQuery),
    responses((status = 200, body = OpportunityList), (status = 400, body = Problem), (status = 404, body = Problem)))]
async fn of_profile(
    State(app): State<Arc<App>>,
    caller: Caller<ReadDirectory>,
    Path(id): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Json<OpportunityList>, Problem> {
    let contract = &caller.contract;
    let page = page(&app, contract, EntryKind::Profile, &id, &query);
    Ok(Json(page.await?))
}

/// The open opportunities of the account that a company is linked to.
///
/// As of the last import. A company that is not in the CRM has none.
#[utoipa::path(get, path = "/companies/{id}/opportunities", operation_id = "companies_opportunities",
    params(("id" = String, Path), PageQuery),
    responses((status = 200, body = OpportunityList), (status = 400, body = Problem), (status = 404, body = Problem)))]
async fn of_company(
    State(app): State<Arc<App>>,
    caller: Caller<ReadDirectory>,
    Path(id): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Json<OpportunityList>, Problem> {
    let contract = &caller.contract;
    let page = page(&app, contract, EntryKind::Company, &id, &query);
    Ok(Json(page.await?))
}

async fn page(
    app: &App,
    contract: &ContractId,
    kind: EntryKind,
    id: &str,
    query: &PageQuery,
) -> Result<OpportunityList, Problem> {
    let limit = page_size(query.limit)?;
    let from = match query.cursor.as_deref().map(str::parse::<usize>) {
        None => 0,
        Some(Ok(from)) => from,
        Some(Err(_)) => return Err(invalid_cursor()),
    };
    let (entry, matched) = find(app, contract, kind, id).await?;
    let in_crm = MatchState::of(&entry, matched.as_ref()).in_crm();
    let link = matched.and_then(|matched| matched.link);
    let Some(link) = link.filter(|_| in_crm) else {
        return Ok(OpportunityList {
            items: Vec::new(),
            total: 0,
            next: None,
        });
    };
    let view = View::of(app, contract).await?;
    let store = &app.remote.store;
    let opportunities = Opportunities {
        contract,
        environment: ENVIRONMENT,
        crm: view.crm(),
    };
    let found = opportunities.open_of(store, &link.record).await;
    let mut found = found.map_err(|error| error.problem())?;
    let options = store.crm_options(contract, ENVIRONMENT).await;
    let options = options.map_err(|error| error.problem())?;
    found.sort_by_cached_key(|opportunity| opportunity.order(options.as_ref()));
    let total = found.len();
    let shown: Vec<Opportunity> = found.into_iter().skip(from).take(limit).collect();
    let next = from.saturating_add(shown.len());
    Ok(OpportunityList {
        next: (next < total && !shown.is_empty()).then(|| next.to_string()),
        items: views(&view, &opportunities, options.as_ref(), shown).await?,
        total,
    })
}

async fn views(
    view: &View<'_>,
    opportunities: &Opportunities<'_>,
    options: Option<&CrmOptions>,
    shown: Vec<Opportunity>,
) -> Result<Vec<OpportunityView>, Problem> {
    let store = view.store();
    let owners: BTreeSet<&str> = shown
        .iter()
        .filter_map(|one| one.owner.as_deref())
        .collect();
    let owners = view.owners(owners).await?;
    let currencies = opportunities.currencies(store, &shown).await;
    let currencies = currencies.map_err(|error| error.problem())?;
    let contacts = opportunities.contacts_of_each(store, &shown).await;
    let contacts = contacts.map_err(|error| error.problem())?;
    let people = People::read(view, opportunities, &contacts).await?;
    let object = vocabulary(view.crm()).opportunity.name;
    let items = shown.into_iter().zip(contacts);
    Ok(items
        .map(|(one, contacts)| OpportunityView {
            record: view.badge(&RecordRef::new(object, one.id.clone())),
            stage: OpportunityStage::of(&one, options),
            amount: one.amount,
            currency: currency(&one, &currencies, options),
            owner: one.owner.as_deref().map(|id| View::owner(id, &owners)),
            contacts: contacts
                .into_iter()
                .filter_map(|contact| people.contact(view, contact))
                .take(SHOWN_CONTACTS)
                .collect(),
            name: one.name,
            closes_on: one.closes_on,
        })
        .collect())
}

/// The code of an opportunity's currency: an organisation with one currency does not name it with each amount.
fn currency(
    opportunity: &Opportunity,
    codes: &BTreeMap<String, String>,
    options: Option<&CrmOptions>,
) -> Option<String> {
    opportunity.amount?;
    match (
        &opportunity.currency,
        options.map(|options| &*options.currencies),
    ) {
        (Some(named), _) => match codes.get(named) {
            Some(code) => Some(code.clone()),
            None => Some(named.clone()).filter(|named| named.len() == 3),
        },
        (None, Some([only])) => Some(only.code.clone()),
        (None, _) => None,
    }
}

/// The contacts of some opportunities: their names, and the people who are linked to them.
struct People {
    object: &'static str,
    names: BTreeMap<String, String>,
    linked: std::collections::HashMap<RecordRef, EntryRef>,
}

impl People {
    async fn read(
        view: &View<'_>,
        opportunities: &Opportunities<'_>,
        contacts: &[Vec<InOpportunity>],
    ) -> Result<Self, Problem> {
        let store = view.store();
        let object = vocabulary(view.crm()).contact.name;
        let ids: BTreeSet<&str> = contacts
            .iter()
            .flatten()
            .map(|contact| contact.contact.as_str())
            .collect();
        let ids: Vec<&str> = ids.into_iter().collect();
        let names = opportunities.texts(store, object, Role::Name, &ids).await;
        let names = names.map_err(|error| error.problem())?;
        let records: Vec<RecordRef> = names.keys().map(|id| RecordRef::new(object, id)).collect();
        let linked = store.linked(opportunities.contract, ENVIRONMENT, &records);
        Ok(Self {
            object,
            linked: linked.await.map_err(|error| error.problem())?,
            names,
        })
    }

    /// The contact; `None` for a record that is no contact, or is gone.
    fn contact(&self, view: &View<'_>, contact: InOpportunity) -> Option<OpportunityContact> {
        let name = self.names.get(&contact.contact)?;
        let record = RecordRef::new(self.object, contact.contact);
        let profile = self.linked.get(&record).map(|entry| EntryHolder {
            kind: entry.kind,
            id: entry.id,
            name: Some(name.clone()),
        });
        Some(OpportunityContact {
            record: view.badge(&record),
            name: name.clone(),
            role: contact.part,
            primary: contact.primary,
            profile,
        })
    }
}
