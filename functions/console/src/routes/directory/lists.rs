//! The lists of the signed-in seat holder (SV-4): what they saved by hand, and what was saved for them because
//! of their open opportunities.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shared::clock::Millis;
use shared::domain::directory::{Entry, EntryId, EntryKind, Match, RecordRef};
use shared::domain::ids::{ContractId, SeatId};
use shared::domain::lists::{ListRef, OwnLists, Saved, SavedByHand, checked_note};
use shared::domain::opportunity::Opportunity;
use shared::domain::roi::TouchKind;
use shared::domain::vocabulary::{Role, vocabulary};
use shared::opportunities::Opportunities;
use shared::problem::Problem;
use shared::store::{Reach, StoreError};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::super::submissions::{invalid_cursor, page_size};
use super::opportunities::OpportunityStage;
use super::shapes::{Badge, EntryHolder};
use super::show::{ENVIRONMENT, View};
use crate::App;
use crate::auth::{Caller, KeepLists};
use crate::described::{Routes, routes};
use crate::extract::{Json, Path, Query};

/// Reasons of a record that are shown, the latest ones.
const SHOWN_REASONS: usize = 10;
/// Maximum number of times that a change of the lists is decided anew after a concurrent one.
const ROUNDS: usize = 8;

pub(super) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list, create))
        .routes(routes!(rename, delete))
        .routes(routes!(items, save))
        .routes(routes!(annotate, remove))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListsQuery {
    /// An entry's id: only lists for entries of its kind, each with whether the entry is in it. Needs `kind`.
    #[param(value_type = Option<String>)]
    entry: Option<EntryId>,
    /// Lists for entries of this kind only.
    kind: Option<EntryKind>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ItemsQuery {
    /// Items of a page, 1 to 200; 50 unless given.
    limit: Option<usize>,
    /// A page's `next`.
    cursor: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ListInput {
    /// The list's name, 1 to 100 characters, unlike those of your other lists.
    name: String,
    /// The kind of entries that it holds.
    kind: EntryKind,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ListName {
    /// The list's name, 1 to 100 characters, unlike those of your other lists.
    name: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SaveInput {
    /// The entry's id; it is of the list's kind.
    entry: EntryId,
    /// A note of your own, up to 2,000 characters.
    #[serde(default)]
    note: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NoteInput {
    /// A note of your own, up to 2,000 characters; `null` for none.
    note: Option<String>,
}

/// A list of yours.
#[derive(Serialize, ToSchema)]
struct ListView {
    /// `people`, `companies`, or the id of a list that you made.
    id: String,
    name: String,
    /// The kind of entries that it holds.
    kind: EntryKind,
    /// True for a list that you made.
    own: bool,
    /// True if the entry that was asked about is in it; `null` if none was asked about.
    has_entry: Option<bool>,
}

#[derive(Serialize, ToSchema)]
struct Lists {
    /// *My people* and *My companies*, then those that you made, in the order of their creation.
    items: Vec<ListView>,
}

/// An open opportunity because of which a record was saved for you.
#[derive(Serialize, ToSchema)]
struct SavedReason {
    /// The opportunity in the CRM.
    record: Badge,
    /// Its name; `null` where it is no longer imported.
    name: Option<String>,
    /// Its stage now.
    stage: Option<OpportunityStage>,
    /// True while it is open.
    open: bool,
    /// The part that the person had in it when they were saved.
    role: Option<String>,
    /// Time of saving.
    #[schema(value_type = i64)]
    since: Millis,
}

/// A person or company in a list.
#[derive(Serialize, ToSchema)]
struct SavedItem {
    /// Names it within the list.
    id: String,
    name: String,
    /// The entry; `null` for a record of the CRM that no entry is linked to.
    entry: Option<EntryHolder>,
    /// A person's job title.
    title: Option<String>,
    /// A person's company.
    company: Option<String>,
    /// The record in the CRM, if there is one.
    badge: Option<Badge>,
    /// The opportunities because of which it was saved, the latest 10, the latest first; none for what you
    /// saved yourself.
    reasons: Vec<SavedReason>,
    /// Time at which you saved it yourself.
    #[schema(value_type = Option<i64>)]
    by_hand_since: Option<Millis>,
    note: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct SavedItems {
    items: Vec<SavedItem>,
    /// Give it as `cursor` for the next page; none after the last. A page can have fewer items than asked
    /// for, or none, and still have a next one.
    next: Option<String>,
}

/// Your saved items.
#[derive(Serialize, ToSchema)]
struct SavedEntry {
    /// Names it within the list.
    id: String,
    #[schema(value_type = i64)]
    since: Millis,
    note: Option<String>,
}

/// Your lists.
///
/// Every seat holder has *My people* and *My companies*, to which accounts, contacts and leads of their open
/// opportunities are saved after an import, as the settings say.
#[utoipa::path(get, path = "/lists", operation_id = "lists", params(ListsQuery),
    responses((status = 200, body = Lists), (status = 400, body = Problem)))]
async fn list(
    State(app): State<Arc<App>>,
    caller: Caller<KeepLists>,
    Query(query): Query<ListsQuery>,
) -> Result<Json<Lists>, Problem> {
    let (contract, seat) = (&caller.contract, caller.signed_in()?.seat.id);
    let store = &app.remote.store;
    let own = store.own_lists(contract, seat).await;
    let own = own.map_err(|error| error.problem())?;
    let mut items: Vec<(ListRef, ListView)> = EntryKind::ALL
        .into_iter()
        .map(|kind| {
            let list = ListRef::of_kind(kind);
            (list, view(list, built_in(kind), kind, false))
        })
        .collect();
    items.extend(own.lists.into_iter().map(|list| {
        let reference = ListRef::Own(list.id);
        (reference, view(reference, &list.name, list.kind, true))
    }));
    items.retain(|(_, list)| query.kind.is_none_or(|kind| list.kind == kind));
    if let Some(entry) = query.entry {
        let Some(kind) = query.kind else {
            return Err(Problem::new(
                400,
                "invalid_filter",
                "An entry is asked about with its kind.",
                "Send kind too.",
            )
            .with_field("kind"));
        };
        let lists: Vec<ListRef> = items.iter().map(|(list, _)| *list).collect();
        let with = store.lists_with(contract, seat, &lists, entry).await;
        let mut with = with.map_err(|error| error.problem())?;
        let saved = saved_for_entry(&app, contract, seat, kind, entry).await?;
        if saved.is_some() {
            with.push(ListRef::of_kind(kind));
        }
        for (list, view) in &mut items {
            view.has_entry = Some(with.contains(list));
        }
    }
    let items = items.into_iter().map(|(_, view)| view).collect();
    Ok(Json(Lists { items }))
}

const fn built_in(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Profile => "My people",
        EntryKind::Company => "My companies",
    }
}

fn view(list: ListRef, name: &str, kind: EntryKind, own: bool) -> ListView {
    ListView {
        id: list.to_string(),
        name: name.to_owned(),
        kind,
        own,
        has_entry: None,
    }
}

/// Makes a list of yours; up to 50.
#[utoipa::path(post, path = "/lists", operation_id = "list_create", request_body = ListInput,
    responses((status = 201, body = ListView), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn create(
    State(app): State<Arc<App>>,
    caller: Caller<KeepLists>,
    Json(input): Json<ListInput>,
) -> Result<(StatusCode, Json<ListView>), Problem> {
    let (id, now) = (app.remote.random.uuid(), app.remote.clock.now());
    let change = |lists: &OwnLists| lists.with(id, &input.name, input.kind, now);
    let lists = changed(&app, &caller, change).await?;
    Ok((StatusCode::CREATED, Json(own_view(&lists, id)?)))
}

fn own_view(lists: &OwnLists, id: Uuid) -> Result<ListView, Problem> {
    let list = lists.list(id).ok_or_else(|| Problem::not_found("list"))?;
    Ok(view(ListRef::Own(id), &list.name, list.kind, true))
}

/// Changes the seat holder's lists; after a concurrent change it is decided anew.
async fn changed(
    app: &App,
    caller: &Caller<KeepLists>,
    change: impl Fn(&OwnLists) -> Result<OwnLists, Problem>,
) -> Result<OwnLists, Problem> {
    let (store, seat) = (&app.remote.store, caller.signed_in()?.seat.id);
    for _ in 0..ROUNDS {
        let before = store.own_lists(&caller.contract, seat).await;
        let after = change(&before.map_err(|error| error.problem())?)?;
        match store.put_own_lists(&caller.contract, seat, &after).await {
            Ok(()) => return Ok(after),
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.problem()),
        }
    }
    Err(StoreError::Conflict.problem())
}

/// The id of a list that the seat holder made, from a path.
fn own_id(id: &str) -> Result<Uuid, Problem> {
    match id.parse() {
        Ok(ListRef::Own(id)) => Ok(id),
        Ok(ListRef::People | ListRef::Companies) => Err(Problem::new(
            409,
            "list_stays",
            "Every seat holder has this list.",
            "Remove its people or companies instead.",
        )),
        Err(_) => Err(Problem::not_found("list")),
    }
}

/// Renames a list of yours.
#[utoipa::path(patch, path = "/lists/{id}", operation_id = "list_rename", params(("id" = String, Path)),
    request_body = ListName,
    responses((status = 200, body = ListView), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn rename(
    State(app): State<Arc<App>>,
    caller: Caller<KeepLists>,
    Path(id): Path<String>,
    Json(input): Json<ListName>,
) -> Result<Json<ListView>, Problem> {
    caller.signed_in()?;
    let id = own_id(&id)?;
    let lists = changed(&app, &caller, |lists| lists.renamed(id, &input.name)).await?;
    Ok(Json(own_view(&lists, id)?))
}

/// Deletes a list of yours, with what is saved in it.
#[utoipa::path(delete, path = "/lists/{id}", operation_id = "list_delete", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller<KeepLists>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let seat = caller.signed_in()?.seat.id;
    let id = own_id(&id)?;
    let (store, contract) = (&app.remote.store, &caller.contract);
    let lists = store.own_lists(contract, seat).await;
    lists.map_err(|error| error.problem())?.without(id)?;
    // First what is in it: a list that is still there can be deleted again.
    let emptied = store.empty_list(contract, seat, id).await;
    emptied.map_err(|error| error.problem())?;
    changed(&app, &caller, |lists| lists.without(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A list of the seat holder, with the kind of its entries.
async fn found(
    app: &App,
    contract: &ContractId,
    seat: SeatId,
    id: &str,
) -> Result<(ListRef, EntryKind), Problem> {
    let list: ListRef = id.parse().map_err(|_| Problem::not_found("list"))?;
    let kind = match list {
        ListRef::People => EntryKind::Profile,
        ListRef::Companies => EntryKind::Company,
        ListRef::Own(id) => {
            let own = app.remote.store.own_lists(contract, seat).await;
            let own = own.map_err(|error| error.problem())?;
            own.list(id).ok_or_else(|| Problem::not_found("list"))?.kind
        }
    };
    Ok((list, kind))
}

/// The record that was saved for a seat holder and is linked to an entry.
async fn saved_for_entry(
    app: &App,
    contract: &ContractId,
    seat: SeatId,
    kind: EntryKind,
    entry: EntryId,
) -> Result<Option<RecordRef>, Problem> {
    let store = &app.remote.store;
    let matched = store.entry_match(contract, ENVIRONMENT, kind, entry).await;
    let matched = matched.map_err(|error| error.problem())?;
    let Some(record) = matched.as_ref().and_then(Match::record) else {
        return Ok(None);
    };
    let of = std::slice::from_ref(record);
    let saved = store.saved_records(contract, seat, kind, of).await;
    let saved = saved.map_err(|error| error.problem())?;
    Ok(saved.contains_key(record).then(|| record.clone()))
}

/// The name of something within a list: an entry's id, or object and id of a record.
enum ItemId {
    Entry(EntryId),
    Record(RecordRef),
}

impl ItemId {
    fn of_record(record: &RecordRef) -> String {
        format!("{}:{}", record.object, record.id)
    }

    fn parse(text: &str) -> Result<Self, Problem> {
        if let Ok(entry) = text.parse() {
            return Ok(Self::Entry(entry));
        }
        let (object, id) = text
            .split_once(':')
            .ok_or_else(|| Problem::not_found("saved entry"))?;
        Ok(Self::Record(RecordRef::new(object, id)))
    }
}

/// The position behind a page: what was saved because of opportunities comes before what was saved by hand.
enum Place {
    Records(Option<RecordRef>),
    Entries(Option<EntryId>),
}

impl Place {
    fn parse(cursor: Option<&str>, list: ListRef) -> Result<Self, Problem> {
        let own = matches!(list, ListRef::Own(_));
        match cursor {
            None if own => Ok(Self::Entries(None)),
            None => Ok(Self::Records(None)),
            Some("entries") => Ok(Self::Entries(None)),
            Some(cursor) => {
                if let Ok(entry) = cursor.parse() {
                    return Ok(Self::Entries(Some(entry)));
                }
                let (object, id) = cursor.split_once('/').ok_or_else(invalid_cursor)?;
                if own || object.is_empty() || id.is_empty() {
                    return Err(invalid_cursor());
                }
                Ok(Self::Records(Some(RecordRef::new(object, id))))
            }
        }
    }
}

/// A page of a list of yours.
///
/// Items saved because of open opportunities come first, with their reasons. The entry that is linked to
/// its record is looked up now.
#[utoipa::path(get, path = "/lists/{id}/items", operation_id = "list_items", params(("id" = String, Path), ItemsQuery),
    responses((status = 200, body = SavedItems), (status = 400, body = Problem), (status = 404, body = Problem)))]
async fn items(
    State(app): State<Arc<App>>,
    caller: Caller<KeepLists>,
    Path(id): Path<String>,
    Query(query): Query<ItemsQuery>,
) -> Result<Json<SavedItems>, Problem> {
    let (contract, seat) = (&caller.contract, caller.signed_in()?.seat.id);
    let limit = i32::try_from(page_size(query.limit)?).unwrap_or(1);
    let (list, kind) = found(&app, contract, seat, &id).await?;
    let store = &app.remote.store;
    let failed = |error: StoreError| error.problem();
    let page = match Place::parse(query.cursor.as_deref(), list)? {
        Place::Records(after) => {
            let page = store.saved_page(contract, seat, kind, after.as_ref(), limit);
            let page = page.await.map_err(failed)?;
            SavedItems {
                items: of_records(&app, contract, kind, page.items).await?,
                next: Some(page.next.unwrap_or_else(|| "entries".to_owned())),
            }
        }
        Place::Entries(after) => {
            let page = store.saved_by_hand(contract, seat, list, after, limit);
            let page = page.await.map_err(failed)?;
            SavedItems {
                items: of_entries(&app, contract, seat, (list, kind), page.items).await?,
                next: page.next,
            }
        }
    };
    Ok(Json(page))
}

/// Records that were saved because of opportunities, as they are shown.
async fn of_records(
    app: &App,
    contract: &ContractId,
    kind: EntryKind,
    saved: Vec<Saved>,
) -> Result<Vec<SavedItem>, Problem> {
    let failed = |error: StoreError| error.problem();
    let (store, view) = (&app.remote.store, View::of(app, contract).await?);
    let reading = Opportunities {
        contract,
        environment: ENVIRONMENT,
        crm: view.crm(),
    };
    let records: Vec<RecordRef> = saved.iter().map(|saved| saved.record.clone()).collect();
    let linked = store.linked(contract, ENVIRONMENT, &records).await;
    let linked = linked.map_err(failed)?;
    let ids: Vec<EntryId> = linked.values().map(|entry| entry.id).collect();
    let entries = store.entries(contract, kind, &ids).await.map_err(failed)?;
    let names = names(&reading, store, &records).await.map_err(failed)?;
    let opportunities: BTreeSet<&str> = saved
        .iter()
        .flat_map(|saved| saved.reasons.iter().rev().take(SHOWN_REASONS))
        .map(|reason| reason.opportunity.as_str())
        .collect();
    let ids: Vec<&str> = opportunities.into_iter().collect();
    let opportunities = reading.several(store, &ids).await.map_err(failed)?;
    let opportunities: BTreeMap<&str, &Opportunity> = opportunities
        .iter()
        .map(|opportunity| (opportunity.id.as_str(), opportunity))
        .collect();
    let options = store.crm_options(contract, ENVIRONMENT).await;
    let options = options.map_err(failed)?;
    let object = vocabulary(view.crm()).opportunity.name;
    let item = |saved: Saved| {
        let reasons = saved.reasons.iter().rev().take(SHOWN_REASONS);
        let reasons = reasons.map(|reason| {
            let known = opportunities.get(reason.opportunity.as_str());
            SavedReason {
                record: view.badge(&RecordRef::new(object, &reason.opportunity)),
                name: known.map(|known| known.name.clone()),
                stage: known.and_then(|known| OpportunityStage::of(known, options.as_ref())),
                open: known.is_some_and(|known| known.open),
                role: reason.role.clone(),
                since: reason.since,
            }
        });
        let entry = linked.get(&saved.record);
        let entry = entry.and_then(|entry| entries.get(&entry.id));
        let name = entry.map(Entry::name).filter(|name| !name.is_empty());
        let known = names.get(&saved.record).cloned();
        SavedItem {
            id: ItemId::of_record(&saved.record),
            name: name.or(known).unwrap_or_else(|| saved.record.id.clone()),
            badge: Some(view.badge(&saved.record)),
            reasons: reasons.collect(),
            by_hand_since: None,
            note: saved.note,
            ..SavedItem::of(entry)
        }
    };
    Ok(saved.into_iter().map(item).collect())
}

/// The names of records, as far as they were imported.
async fn names(
    reading: &Opportunities<'_>,
    store: &shared::store::Store,
    records: &[RecordRef],
) -> Result<HashMap<RecordRef, String>, StoreError> {
    let objects: BTreeSet<&str> = records.iter().map(|record| &*record.object).collect();
    let mut names = HashMap::with_capacity(records.len());
    for object in objects {
        let of_object = records.iter().filter(|record| record.object == object);
        let ids: Vec<&str> = of_object.map(|record| record.id.as_str()).collect();
        let found = reading.texts(store, object, Role::Name, &ids).await?;
        let found = found.into_iter();
        names.extend(found.map(|(id, name)| (RecordRef::new(object, id), name)));
    }
    Ok(names)
}

/// Entries that were saved by hand, as they are shown. One whose record is in the list because of an
/// opportunity is shown there.
async fn of_entries(
    app: &App,
    contract: &ContractId,
    seat: SeatId,
    (list, kind): (ListRef, EntryKind),
    saved: Vec<SavedByHand>,
) -> Result<Vec<SavedItem>, Problem> {
    let failed = |error: StoreError| error.problem();
    let (store, view) = (&app.remote.store, View::of(app, contract).await?);
    let ids: Vec<EntryId> = saved.iter().map(|saved| saved.entry).collect();
    let entries = store.entries(contract, kind, &ids).await.map_err(failed)?;
    let matches = store.entry_matches(contract, ENVIRONMENT, kind, &ids).await;
    let matches = matches.map_err(failed)?;
    let record = |entry: EntryId| matches.get(&entry).and_then(Match::record);
    let shown = if matches!(list, ListRef::Own(_)) {
        HashMap::new()
    } else {
        let records: Vec<RecordRef> = ids.iter().filter_map(|id| record(*id).cloned()).collect();
        let found = store.saved_records(contract, seat, kind, &records).await;
        found.map_err(failed)?
    };
    let item = |saved: SavedByHand| {
        let record = record(saved.entry);
        if record.is_some_and(|record| shown.contains_key(record)) {
            return None;
        }
        let entry = entries.get(&saved.entry);
        let name = entry.map(Entry::name).filter(|name| !name.is_empty());
        Some(SavedItem {
            id: saved.entry.to_string(),
            name: name.unwrap_or_else(|| "(no longer in the directory)".to_owned()),
            badge: record.map(|record| view.badge(record)),
            by_hand_since: Some(saved.since),
            note: saved.note,
            ..SavedItem::of(entry)
        })
    };
    Ok(saved.into_iter().filter_map(item).collect())
}

impl SavedItem {
    /// The shown part of an entry.
    fn of(entry: Option<&Entry>) -> Self {
        let text = |of: fn(&Entry) -> &String| {
            let text = entry.map(of).filter(|text| !text.is_empty());
            text.cloned()
        };
        Self {
            id: String::new(),
            name: String::new(),
            entry: entry.map(|entry| EntryHolder {
                kind: entry.kind,
                id: entry.id,
                name: Some(entry.name()),
            }),
            title: text(|entry| &entry.record.title),
            company: text(|entry| &entry.record.company),
            badge: None,
            reasons: Vec::new(),
            by_hand_since: None,
            note: None,
        }
    }
}

/// The act of saving a person in a list (RO-1). Who is taken out of a list and saved in it on another day was
/// saved twice: the later act leaves the earlier one as it is.
fn reach_of(seat: SeatId, list: ListRef, since: Millis) -> Reach {
    let time = since.to_string();
    let day = time.get(..10).unwrap_or_default();
    Reach {
        at: since,
        kind: TouchKind::ListSave,
        id: format!("{seat}:{list}:{day}"),
        seat,
    }
}

/// Saves a person or a company in a list of yours.
///
/// Saved again it stays as it was; the note is changed by itself.
#[utoipa::path(post, path = "/lists/{id}/items", operation_id = "list_save", params(("id" = String, Path)),
    request_body = SaveInput,
    responses((status = 201, body = SavedEntry), (status = 200, description = "It was there.", body = SavedEntry), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn save(
    State(app): State<Arc<App>>,
    caller: Caller<KeepLists>,
    Path(id): Path<String>,
    Json(input): Json<SaveInput>,
) -> Result<(StatusCode, Json<SavedEntry>), Problem> {
    let (contract, seat) = (&caller.contract, caller.signed_in()?.seat.id);
    let (list, kind) = found(&app, contract, seat, &id).await?;
    let store = &app.remote.store;
    let entry = store.entry(contract, kind, input.entry).await;
    if entry.map_err(|error| error.problem())?.is_none() {
        return Err(Problem::new(
            422,
            "unknown_entry",
            "The directory has no such entry of the list's kind.",
            "Send the id of a person for a list of people, of a company for a list of companies.",
        )
        .with_field("entry"));
    }
    let new = SavedByHand {
        entry: input.entry,
        since: app.remote.clock.now(),
        note: checked_note(input.note)?,
    };
    let before = store.save_by_hand(contract, seat, list, &new).await;
    let before = before.map_err(|error| error.problem())?;
    let status = if before.is_some() {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    };
    let saved = before.unwrap_or(new);
    if kind == EntryKind::Profile {
        // A client that gets no answer saves it again.
        let reach = reach_of(seat, list, saved.since);
        let stored = store.put_reaches(contract, &[(saved.entry, reach)]).await;
        stored.map_err(|error| error.problem())?;
    }
    let answer = SavedEntry {
        id: saved.entry.to_string(),
        since: saved.since,
        note: saved.note,
    };
    Ok((status, Json(answer)))
}

/// Changes your note of a person or a company in a list of yours.
#[utoipa::path(patch, path = "/lists/{id}/items/{item}", operation_id = "list_annotate",
    params(("id" = String, Path), ("item" = String, Path)), request_body = NoteInput,
    responses((status = 204), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn annotate(
    State(app): State<Arc<App>>,
    caller: Caller<KeepLists>,
    Path((id, item)): Path<(String, String)>,
    Json(input): Json<NoteInput>,
) -> Result<StatusCode, Problem> {
    let (contract, seat) = (&caller.contract, caller.signed_in()?.seat.id);
    let (list, kind) = found(&app, contract, seat, &id).await?;
    let note = checked_note(input.note)?;
    let store = &app.remote.store;
    let noted = match ItemId::parse(&item)? {
        ItemId::Entry(entry) => store.note_by_hand(contract, seat, list, entry, note).await,
        ItemId::Record(_) if matches!(list, ListRef::Own(_)) => Ok(false),
        ItemId::Record(record) => {
            let change = |saved: &Saved| Some(saved.noted(note.clone()));
            let changed = store.change_saved(contract, seat, kind, &record, change);
            changed.await
        }
    };
    there(noted)
}

/// The answer after a change of something in a list, or that it was not there.
fn there(done: Result<bool, StoreError>) -> Result<StatusCode, Problem> {
    if done.map_err(|error| error.problem())? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::not_found("saved entry"))
    }
}

/// Removes a person or a company from a list of yours.
///
/// An item saved because of an opportunity is not saved again because of the same one.
#[utoipa::path(delete, path = "/lists/{id}/items/{item}", operation_id = "list_remove",
    params(("id" = String, Path), ("item" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
async fn remove(
    State(app): State<Arc<App>>,
    caller: Caller<KeepLists>,
    Path((id, item)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let (contract, seat) = (&caller.contract, caller.signed_in()?.seat.id);
    let (list, kind) = found(&app, contract, seat, &id).await?;
    let (store, now) = (&app.remote.store, app.remote.clock.now());
    let failed = |error: StoreError| error.problem();
    let built_in = !matches!(list, ListRef::Own(_));
    // It can be there by hand and because of opportunities, and is gone of both.
    let (entry, record) = match ItemId::parse(&item)? {
        ItemId::Entry(entry) if built_in => {
            let record = saved_for_entry(&app, contract, seat, kind, entry).await?;
            (Some(entry), record)
        }
        ItemId::Entry(entry) => (Some(entry), None),
        ItemId::Record(record) if built_in => {
            let linked = store.linked(contract, ENVIRONMENT, std::slice::from_ref(&record));
            let linked = linked.await.map_err(failed)?;
            (linked.get(&record).map(|entry| entry.id), Some(record))
        }
        ItemId::Record(_) => (None, None),
    };
    let mut done = false;
    if let Some(record) = record {
        let change = |saved: &Saved| saved.removed(now);
        let removed = store.change_saved(contract, seat, kind, &record, change);
        done |= removed.await.map_err(failed)?;
    }
    if let Some(entry) = entry {
        let removed = store.unsave_by_hand(contract, seat, list, entry).await;
        done |= removed.map_err(failed)?;
    }
    there(Ok(done))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_saved_again_on_another_day_was_saved_twice() {
        let (seat, since) = (SeatId(Uuid::from_u128(7)), Millis(1_790_000_000_000));
        let of = |since| reach_of(seat, ListRef::People, since);
        let first = of(since);
        assert_eq!(first.at, since);
        assert_eq!(
            first,
            of(since),
            "a request that comes again changes nothing"
        );
        assert_ne!(first.id, of(since.plus_seconds(30 * 24 * 3600)).id);
    }
}
