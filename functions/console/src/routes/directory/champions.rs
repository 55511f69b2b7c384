//! The champions of the signed-in seat holder (SV-7): people of won opportunities who are at another company now.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shared::champions::{Champions, Found};
use shared::clock::Millis;
use shared::domain::champions::{Champion, ChampionState, Stated};
use shared::domain::directory::{EntryKind, RecordRef};
use shared::domain::ids::{ContractId, SeatId};
use shared::domain::lists::{ListRef, SavedByHand};
use shared::domain::vocabulary::vocabulary;
use shared::problem::Problem;
use shared::store::StoreError;
use utoipa::{IntoParams, ToSchema};

use super::super::submissions::page_size;
use super::shapes::{Badge, EntryHolder};
use super::show::{ENVIRONMENT, View};
use crate::App;
use crate::auth::{Caller, KeepLists};
use crate::described::{Routes, routes};
use crate::extract::{Json, Path, Query};

/// Maximum number of times that a decision is made anew after a concurrent change.
const ROUNDS: usize = 8;
/// Maximum number of champions of a page: each is looked at when it is shown.
const MOST_SHOWN: usize = 50;

pub(super) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list))
        .routes(routes!(dismiss))
        .routes(routes!(restore))
        .routes(routes!(save))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ChampionsQuery {
    /// Those in this state; `open` unless given.
    state: Option<ChampionState>,
    /// Champions of a page, 1 to 200, of which at most 50 are read; 50 unless given.
    limit: Option<usize>,
    /// A page's `next`.
    cursor: Option<String>,
}

/// A won opportunity that the person was in.
#[derive(Serialize, ToSchema)]
struct WonOpportunity {
    /// The opportunity in the CRM.
    record: Badge,
    /// Its name.
    name: String,
    /// The day on which it closed, `YYYY-MM-DD`.
    closed_on: Option<String>,
    /// The person's part in it.
    role: Option<String>,
    /// The customer.
    customer: String,
}

/// A person of a won opportunity who is at another company now.
#[derive(Serialize, ToSchema)]
struct ChampionView {
    /// Names the champion.
    id: String,
    name: String,
    /// The contact in the CRM who was in the opportunities.
    record: Badge,
    /// The person in the directory; `null` for one who is not there.
    entry: Option<EntryHolder>,
    /// The company of now.
    company: String,
    /// The job title of now; empty if it is not known.
    title: String,
    /// The record of the CRM that says so; `null` if the directory does.
    stated_by: Option<Badge>,
    /// The time at which it was said.
    #[schema(value_type = Option<i64>)]
    stated_at: Option<Millis>,
    /// The time at which the move was first seen.
    #[schema(value_type = i64)]
    since: Millis,
    /// Your decision.
    state: ChampionState,
    /// The opportunities, the latest first.
    won: Vec<WonOpportunity>,
}

#[derive(Serialize, ToSchema)]
struct ChampionList {
    items: Vec<ChampionView>,
    /// Give it as `cursor` for the next page; none after the last. A page can have fewer items than asked
    /// for, or none, and still have a next one.
    next: Option<String>,
}

/// Your champions.
///
/// They are people who had a part in an opportunity that was won, and that you owned or whose account is in your
/// lists, and of whom the directory or another record of the CRM says that they are at another company now. They
/// are looked for after an import and after the directory was matched.
#[utoipa::path(get, path = "/champions", operation_id = "champions", params(ChampionsQuery),
    responses((status = 200, body = ChampionList), (status = 400, body = Problem)))]
async fn list(
    State(app): State<Arc<App>>,
    caller: Caller<KeepLists>,
    Query(query): Query<ChampionsQuery>,
) -> Result<Json<ChampionList>, Problem> {
    let (contract, seat) = (&caller.contract, &caller.signed_in()?.seat);
    let limit = page_size(query.limit)?.min(MOST_SHOWN);
    let failed = |error: StoreError| error.problem();
    let view = View::of(&app, contract).await?;
    let settings = view.sync_settings();
    if !settings.saves() || !seat.crm.syncs(&settings) {
        // Those that were found before go with the next search; with the lists switched off there is none.
        return Ok(Json(ChampionList {
            items: Vec::new(),
            next: None,
        }));
    }
    let champions = Champions {
        linking: view.linking(),
    };
    let object = vocabulary(view.crm()).contact.name;
    let after = query.cursor.map(|id| RecordRef::new(object, id));
    let page = view.store().champions(
        contract,
        seat.id,
        after.as_ref(),
        i32::try_from(limit).unwrap_or(1),
    );
    let page = page.await.map_err(failed)?;
    let wanted = query.state.unwrap_or(ChampionState::Open);
    let seller = Box::pin(champions.seller(seat)).await.map_err(failed)?;
    let mut items = Vec::new();
    for champion in &page.items {
        let ids = champion.won.iter().map(|won| won.opportunity.as_str());
        let ids: Vec<&str> = ids.collect();
        // A change since the last run shows at once.
        let found = champions.found(&seller, &ids, Some(&champion.contact));
        let found = Box::pin(found).await.map_err(failed)?;
        let evidence = found.iter().map(|one| (one.won.clone(), one.moved.clone()));
        let now = Champion::of(
            Some(champion),
            seat.id,
            &champion.contact,
            evidence.collect(),
            champions.linking.now,
        );
        if let Some(now) = now.filter(|now| now.state() == wanted) {
            items.extend(shown(&view, &now, &found));
        }
    }
    Ok(Json(ChampionList {
        items,
        next: page.next,
    }))
}

/// A champion as it is shown, with what was found of it.
fn shown(view: &View<'_>, champion: &Champion, found: &[Found]) -> Option<ChampionView> {
    let opportunity = vocabulary(view.crm()).opportunity.name;
    let of = |id: &str| found.iter().find(|one| one.won.opportunity == id);
    let first = of(&champion.won.first()?.opportunity)?;
    let won = champion.won.iter().filter_map(|won| {
        let found = of(&won.opportunity)?;
        Some(WonOpportunity {
            record: view.badge(&RecordRef::new(opportunity, &won.opportunity)),
            name: found.opportunity.clone(),
            closed_on: won.closed_on.clone(),
            role: won.role.clone(),
            customer: found.customer.clone(),
        })
    });
    let stated_by = match &champion.moved.stated {
        Stated::Entry(_) => None,
        Stated::Record(record) => Some(view.badge(record)),
    };
    Some(ChampionView {
        id: id_of(&champion.contact),
        name: first.name.clone(),
        record: view.badge(&champion.contact),
        entry: first.entry.map(|id| EntryHolder {
            kind: EntryKind::Profile,
            id,
            name: Some(first.name.clone()),
        }),
        company: first.company.clone(),
        title: first.title.clone(),
        stated_by,
        stated_at: champion.moved.at,
        since: champion.since,
        state: champion.state(),
        won: won.collect(),
    })
}

fn id_of(contact: &RecordRef) -> String {
    format!("{}:{}", contact.object, contact.id)
}

fn contact_of(id: &str) -> Result<RecordRef, Problem> {
    let (object, id) = id.split_once(':').ok_or_else(unknown)?;
    if object.is_empty() || id.is_empty() {
        return Err(unknown());
    }
    Ok(RecordRef::new(object, id))
}

fn unknown() -> Problem {
    Problem::not_found("champion")
}

/// Stores a decision on the move of a seller's champion.
async fn decide(
    app: &App,
    contract: &ContractId,
    seat: SeatId,
    id: &str,
    state: ChampionState,
) -> Result<(), Problem> {
    let person = contact_of(id)?;
    let store = &app.remote.store;
    let failed = |error: StoreError| error.problem();
    let organization = store.organization(contract, ENVIRONMENT).await;
    let organization = organization.map_err(failed)?.ok_or_else(unknown)?;
    for _ in 0..ROUNDS {
        let champion = store.champion(contract, seat, &person).await;
        let champion = champion.map_err(failed)?.ok_or_else(unknown)?;
        let Some(after) = champion.decide(state, app.remote.clock.now()) else {
            return Ok(());
        };
        match store.put_champion(contract, &organization, &after).await {
            Ok(()) => return Ok(()),
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Err(failed(StoreError::Conflict))
}

/// Dismisses a champion of yours.
///
/// It holds for this move: if the person goes to a further company, they are listed again.
#[utoipa::path(post, path = "/champions/{id}/dismiss", operation_id = "champion_dismiss",
    params(("id" = String, Path)), responses((status = 204), (status = 404, body = Problem)))]
async fn dismiss(
    State(app): State<Arc<App>>,
    caller: Caller<KeepLists>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let (contract, seat) = (&caller.contract, caller.signed_in()?.seat.id);
    decide(&app, contract, seat, &id, ChampionState::Dismissed).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes back what you decided on a champion of yours.
#[utoipa::path(post, path = "/champions/{id}/restore", operation_id = "champion_restore",
    params(("id" = String, Path)), responses((status = 204), (status = 404, body = Problem)))]
async fn restore(
    State(app): State<Arc<App>>,
    caller: Caller<KeepLists>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let (contract, seat) = (&caller.contract, caller.signed_in()?.seat.id);
    decide(&app, contract, seat, &id, ChampionState::Open).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Saves a champion of yours to *My people*.
///
/// The person has to be in the directory. Saved again, they stay as they were.
#[utoipa::path(post, path = "/champions/{id}/save", operation_id = "champion_save",
    params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn save(
    State(app): State<Arc<App>>,
    caller: Caller<KeepLists>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let (contract, seat) = (&caller.contract, caller.signed_in()?.seat.id);
    let person = contact_of(&id)?;
    let store = &app.remote.store;
    let failed = |error: StoreError| error.problem();
    let champion = store.champion(contract, seat, &person).await;
    champion.map_err(failed)?.ok_or_else(unknown)?;
    let linked = store.linked(contract, ENVIRONMENT, std::slice::from_ref(&person));
    let linked = linked.await.map_err(failed)?;
    let Some(entry) = linked.get(&person) else {
        return Err(Problem::new(
            409,
            "not_in_directory",
            "The person is not in the directory, or is not matched with this contact.",
            "Add the person to the directory first; they are matched at once.",
        ));
    };
    let new = SavedByHand {
        entry: entry.id,
        since: app.remote.clock.now(),
        note: None,
    };
    let saved = store.save_by_hand(contract, seat, ListRef::People, &new);
    saved.await.map_err(failed)?;
    decide(&app, contract, seat, &id, ChampionState::Saved).await?;
    Ok(StatusCode::NO_CONTENT)
}
