//! Seats for users of the CRM (SV-6).

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use shared::crm_users::{self, AllRecords, CrmUsers};
use shared::domain::crm_settings::SyncSettings;
use shared::domain::crm_user::{CrmUser, NoSeat, Positions, position_object};
use shared::domain::environment::Environment;
use shared::domain::ids::SeatId;
use shared::domain::role::Role;
use shared::domain::rows::record_id;
use shared::domain::schema::CrmKind;
use shared::domain::seat::{Seat, SeatInput, SeatStatus, normal_email};
use shared::domain::vocabulary::vocabulary;
use shared::invitation::InvitationLinks;
use shared::problem::Problem;
use shared::store::{Connection, ConnectionKind, MirrorRecord};
use utoipa::{IntoParams, ToSchema};

use super::super::submissions::{invalid_cursor, page_size};
use crate::App;
use crate::auth::{Caller, ManageSeats};
use crate::described::{Routes, routes};
use crate::extract::{Json, Query};

const ENVIRONMENT: Environment = Environment::Production;
/// Maximum number of users that are invited at once.
const MOST_INVITED: usize = 100;
/// Maximum length of a seat's name, in characters.
const MAX_NAME: usize = 100;

pub(super) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list))
        .routes(routes!(roles))
        .routes(routes!(of_seats))
        .routes(routes!(invite))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CrmUserQuery {
    /// Words that the name or the e-mail address has, all of them.
    search: Option<String>,
    /// The CRM's id of a role (Salesforce) or position (Dynamics 365): users who have it, or one below it.
    role: Option<String>,
    /// Items of a page, 1 to 200; 50 unless given.
    limit: Option<usize>,
    /// A page's `next`.
    cursor: Option<String>,
}

/// A role (Salesforce) or position (Dynamics 365) of a user.
#[derive(Serialize, ToSchema)]
struct CrmUserRole {
    /// The CRM's id.
    id: String,
    /// Its name, if it was imported.
    name: Option<String>,
}

/// The seat of a user of the CRM.
#[derive(Serialize, ToSchema)]
struct CrmUserSeat {
    id: SeatId,
    name: String,
    role: Role,
    status: SeatStatus,
}

/// A user of the CRM.
#[derive(Serialize, ToSchema)]
struct CrmUserView {
    /// The CRM's id.
    id: String,
    name: String,
    email: Option<String>,
    /// The job title.
    title: Option<String>,
    role: Option<CrmUserRole>,
    /// False: the user is disabled in the CRM.
    active: bool,
    /// The reason why the user cannot hold a seat; `null` if they can.
    no_seat: Option<NoSeat>,
    /// The user's seat: as an administrator chose, else by the holder's own sign-in to the CRM, else by e-mail
    /// address.
    seat: Option<CrmUserSeat>,
}

#[derive(Serialize, ToSchema)]
struct CrmUserList {
    /// In the order of their names.
    items: Vec<CrmUserView>,
    /// The number of users who are found, on all pages.
    total: usize,
    /// False: the CRM has so many users that some were not looked at.
    complete: bool,
    /// Give it as `cursor` for the next page; none after the last.
    next: Option<String>,
}

/// A role (Salesforce) or position (Dynamics 365) in its tree.
#[derive(Serialize, ToSchema)]
struct CrmRoleView {
    /// The CRM's id.
    id: String,
    name: String,
    /// The number of those above it.
    depth: usize,
}

#[derive(Serialize, ToSchema)]
struct CrmRoleList {
    /// Each before those below it.
    items: Vec<CrmRoleView>,
}

/// The state of a seat holder in the CRM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum CrmUserState {
    /// The user can sign in to the CRM.
    Active,
    /// The user is disabled.
    Disabled,
    /// The CRM no longer has the user who was chosen, or as whom the seat holder signed in.
    Gone,
}

/// The evidence that a user of the CRM is the holder of a seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum CrmUserEvidence {
    /// An administrator chose the user by hand.
    Chosen,
    /// The holder signed in to the CRM as the user.
    SignIn,
    /// The user has the seat's e-mail address.
    Email,
}

/// The user of the CRM who holds a seat.
#[derive(Serialize, ToSchema)]
pub(super) struct SeatCrmUser {
    seat: SeatId,
    /// The CRM's id of the user.
    id: String,
    /// The name in the CRM; `null` if the user is gone.
    name: Option<String>,
    state: CrmUserState,
    by: CrmUserEvidence,
    /// True: the user can sign in to the CRM, and the seat is enabled and synced.
    in_crm: bool,
}

#[derive(Serialize, ToSchema)]
struct SeatCrmUserList {
    /// Seats without a user of the CRM are left out.
    items: Vec<SeatCrmUser>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CrmInviteInput {
    /// The CRM's ids of 1 to 100 users.
    users: Vec<String>,
    /// `administrator` or `salesperson`.
    role: Role,
}

/// The outcome for a user of the CRM who was to be invited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum CrmInviteOutcome {
    /// There is a new seat, with an invitation.
    Invited,
    /// The user, or somebody with the same e-mail address, has a seat already.
    AlreadySeat,
    /// The user cannot hold a seat.
    CannotHoldSeat,
    /// The CRM has no e-mail address of the user, or none that is one.
    AddressMissing,
    /// The CRM has no such user, or it was not imported.
    NotFound,
    /// It did not work: try again.
    Failed,
}

#[derive(Serialize, ToSchema)]
struct CrmInviteResult {
    /// The CRM's id, as it was given.
    id: String,
    name: Option<String>,
    email: Option<String>,
    outcome: CrmInviteOutcome,
    /// The reason why the user cannot hold a seat.
    no_seat: Option<NoSeat>,
    /// The seat that was made, or that there is.
    seat: Option<SeatId>,
    /// Send one of the links to the person. They are not shown again.
    invitation: Option<InvitationLinks>,
    /// The fault, if it did not work.
    problem: Option<Problem>,
}

#[derive(Serialize, ToSchema)]
struct CrmInviteReport {
    /// In the order of the request; a user who is given twice is there once.
    items: Vec<CrmInviteResult>,
}

/// The contract's CRM and seats.
pub(super) struct View<'a> {
    app: &'a App,
    caller: &'a Caller<ManageSeats>,
    pub(super) crm: CrmKind,
    pub(super) organization: String,
    pub(super) seats: Vec<Seat>,
    settings: SyncSettings,
}

impl<'a> View<'a> {
    pub(super) async fn of(
        app: &'a App,
        caller: &'a Caller<ManageSeats>,
        connection: Connection,
    ) -> Result<Self, Problem> {
        let store = &app.remote.store;
        let config = app.config(&caller.contract).await?;
        let seats = crm_users::all_seats(store, &caller.contract).await;
        let mut seats = seats.map_err(|error| error.problem())?;
        // Those that can be used come first: see `by_use`.
        seats.sort_by_key(|seat| seat.status == SeatStatus::Disabled);
        Ok(Self {
            app,
            caller,
            crm: config.contract.crm,
            organization: connection.organization,
            seats,
            settings: config.crm_settings(ENVIRONMENT).sync.unwrap_or_default(),
        })
    }

    pub(super) fn users(&self) -> CrmUsers<'_> {
        CrmUsers {
            contract: &self.caller.contract,
            environment: ENVIRONMENT,
            crm: self.crm,
        }
    }

    async fn all(&self, object: &str) -> Result<AllRecords, Problem> {
        let all = self.users().all(&self.app.remote.store, object).await;
        all.map_err(|error| error.problem())
    }

    fn user(&self, record: &MirrorRecord) -> Option<CrmUser> {
        let values = record.values.as_ref()?;
        Some(CrmUser::of(self.crm, &record.id, values))
    }

    async fn positions(&self) -> Result<Positions, Problem> {
        let Some(spec) = position_object(self.crm) else {
            return Ok(Positions::default());
        };
        let all = self.all(spec.name).await?;
        let records = all.records.iter();
        let records = records.filter_map(|one| Some((one.id.as_str(), one.values.as_ref()?)));
        Ok(Positions::of(self.crm, records))
    }

    /// The CRM's ids of the users who were chosen by hand, or as whom seat holders signed in themselves.
    pub(super) async fn known(&self) -> Result<BTreeMap<SeatId, String>, Problem> {
        let (store, users) = (&self.app.remote.store, self.users());
        let mut known = BTreeMap::new();
        for seats in self.by_use() {
            if seats.is_empty() {
                continue;
            }
            let found = users.known(store, &self.organization, seats).await;
            known.extend(found.map_err(|error| error.problem())?);
        }
        Ok(known)
    }

    /// The seats that can be used, and those that are disabled.
    fn by_use(&self) -> [&[Seat]; 2] {
        let is_usable = |seat: &Seat| seat.status != SeatStatus::Disabled;
        let (usable, disabled) = self.seats.split_at(self.seats.partition_point(is_usable));
        [usable, disabled]
    }

    /// The seats of those of these users who have one. A seat that is disabled yields its user to one that can be
    /// used, as it does wherever a seat's user is asked for.
    fn seats_of(
        &self,
        known: &BTreeMap<SeatId, String>,
        records: &[MirrorRecord],
    ) -> BTreeMap<String, &Seat> {
        let mut found = BTreeMap::new();
        for part in self.by_use() {
            let seats: BTreeMap<SeatId, &Seat> = part.iter().map(|seat| (seat.id, seat)).collect();
            let own = known.iter().filter(|(seat, _)| seats.contains_key(*seat));
            let own: BTreeMap<SeatId, String> =
                own.map(|(seat, user)| (*seat, user.clone())).collect();
            let by_email = crm_users::users_by_email(part, records);
            for (user, seat) in crm_users::seats_of_users(&own, by_email) {
                if let Some(seat) = seats.get(&seat) {
                    found.entry(user).or_insert(*seat);
                }
            }
        }
        found
    }

    /// Those of these users whom the CRM has, as it has them.
    pub(super) async fn some(&self, ids: &[&str]) -> Result<Vec<CrmUser>, Problem> {
        let users = self.users();
        let mirror = users.mirror(vocabulary(self.crm).user.name);
        let records = mirror.records(&self.app.remote.store, ids).await;
        let records = records.map_err(|error| error.problem())?;
        Ok(records.iter().filter_map(|one| self.user(one)).collect())
    }

    /// A user of a seat as it is shown. `user`: `None` if the CRM does not have them.
    pub(super) fn shown(
        &self,
        seat: &Seat,
        id: &str,
        user: Option<&CrmUser>,
        known: &BTreeMap<SeatId, String>,
    ) -> SeatCrmUser {
        let state = match user {
            None => CrmUserState::Gone,
            Some(user) if user.active => CrmUserState::Active,
            Some(_) => CrmUserState::Disabled,
        };
        let by = if seat.crm.user_of(&self.organization) == Some(id) {
            CrmUserEvidence::Chosen
        } else if known.get(&seat.id).is_some_and(|known| known == id) {
            CrmUserEvidence::SignIn
        } else {
            CrmUserEvidence::Email
        };
        let is_on = seat.status != SeatStatus::Disabled && seat.crm.syncs(&self.settings);
        SeatCrmUser {
            seat: seat.id,
            id: id.to_owned(),
            name: user.map(|user| user.name.clone()),
            in_crm: state == CrmUserState::Active && is_on,
            state,
            by,
        }
    }

    /// Makes a seat for a user who has none. The address decides if another request does at the same time.
    async fn invite(&self, user: &CrmUser, email: String, role: Role) -> CrmInviteResult {
        let result = not_invited(&user.id, Some(user), None);
        let input = SeatInput {
            name: seat_name(user, &email),
            email,
            role,
        };
        let made = match input.checked() {
            Ok(input) => self.app.create_seat(self.caller, input).await,
            Err(problem) => Err(problem),
        };
        match made {
            Ok(made) => CrmInviteResult {
                outcome: CrmInviteOutcome::Invited,
                seat: Some(made.seat.id),
                invitation: Some(made.invitation),
                ..result
            },
            Err(problem) if problem.code == "email_taken" => CrmInviteResult {
                outcome: CrmInviteOutcome::AlreadySeat,
                ..result
            },
            Err(problem) => CrmInviteResult {
                outcome: CrmInviteOutcome::Failed,
                problem: Some(problem),
                ..result
            },
        }
    }
}

/// The result for a user who is not invited.
fn not_invited(id: &str, user: Option<&CrmUser>, seat: Option<&Seat>) -> CrmInviteResult {
    let no_seat = user.and_then(|user| user.no_seat);
    let email = user.and_then(|user| user.email.clone());
    let outcome = if user.is_none() {
        CrmInviteOutcome::NotFound
    } else if seat.is_some() {
        CrmInviteOutcome::AlreadySeat
    } else if no_seat.is_some() {
        CrmInviteOutcome::CannotHoldSeat
    } else {
        CrmInviteOutcome::AddressMissing
    };
    CrmInviteResult {
        id: id.to_owned(),
        name: user.map(|user| user.name.clone()),
        email,
        outcome,
        no_seat: no_seat.filter(|_| seat.is_none()),
        seat: seat.map(|seat| seat.id),
        invitation: None,
        problem: None,
    }
}

/// The user's name as a seat can have it.
fn seat_name(user: &CrmUser, email: &str) -> String {
    let plain = user.name.chars().filter(|c| !c.is_control());
    let name: String = plain.take(MAX_NAME).collect();
    if name.trim().is_empty() {
        email.chars().take(MAX_NAME).collect()
    } else {
        name
    }
}

/// The place of a user in the list.
fn place(user: &CrmUser) -> (String, &str) {
    (user.name.to_lowercase(), &user.id)
}

/// True if the name or the address of a user has all words.
fn has_words(user: &CrmUser, words: &[String]) -> bool {
    let name = user.name.to_lowercase();
    let email = user.email.as_deref().unwrap_or_default().to_lowercase();
    let has = |word: &String| name.contains(word.as_str()) || email.contains(word.as_str());
    words.iter().all(has)
}

/// Users of the production CRM as they were imported, with the seats that they have.
#[utoipa::path(get, path = "/crm-users", operation_id = "crm_users", params(CrmUserQuery),
    responses((status = 200, body = CrmUserList), (status = 400, body = Problem), (status = 409, body = Problem)))]
async fn list(
    State(app): State<Arc<App>>,
    caller: Caller<ManageSeats>,
    Query(query): Query<CrmUserQuery>,
) -> Result<Json<CrmUserList>, Problem> {
    let limit = page_size(query.limit)?;
    let after = match query
        .cursor
        .as_deref()
        .map(|cursor| cursor.rsplit_once('#'))
    {
        None => None,
        Some(Some((name, id))) => Some((name.to_owned(), id)),
        Some(None) => return Err(invalid_cursor()),
    };
    let connection = app
        .standing(&caller.contract, ConnectionKind::PRODUCTION)
        .await?;
    let view = View::of(&app, &caller, connection).await?;
    let positions = view.positions().await?;
    let all = view.all(vocabulary(view.crm).user.name).await?;
    let known = view.known().await?;
    let seats = view.seats_of(&known, &all.records);
    let search = query.search.unwrap_or_default().to_lowercase();
    let words: Vec<String> = search.split_whitespace().map(str::to_owned).collect();
    let wanted = query.role.filter(|role| !role.is_empty());
    let wanted = wanted.map(|role| positions.with_all_below(&record_id(view.crm, &role)));
    let mut found: Vec<CrmUser> = all
        .records
        .iter()
        .filter_map(|record| view.user(record))
        .filter(|user| has_words(user, &words))
        .filter(|user| {
            wanted.as_ref().is_none_or(|wanted| {
                let own = user.position.as_ref();
                own.is_some_and(|own| wanted.contains(own))
            })
        })
        .collect();
    found.sort_by_cached_key(|user| (user.name.to_lowercase(), user.id.clone()));
    let total = found.len();
    let mut rest = found
        .into_iter()
        .filter(|user| after.as_ref().is_none_or(|after| place(user) > *after));
    let shown: Vec<CrmUser> = rest.by_ref().take(limit).collect();
    let next = rest.next().and(shown.last()).map(|last| {
        let (name, id) = place(last);
        format!("{name}#{id}")
    });
    let items = shown.into_iter().map(|user| CrmUserView {
        seat: seats.get(&user.id).map(|seat| CrmUserSeat {
            id: seat.id,
            name: seat.name.clone(),
            role: seat.role,
            status: seat.status,
        }),
        role: user.position.map(|id| CrmUserRole {
            name: positions.0.get(&id).map(|position| position.name.clone()),
            id,
        }),
        id: user.id,
        name: user.name,
        email: user.email,
        title: user.title,
        active: user.active,
        no_seat: user.no_seat,
    });
    Ok(Json(CrmUserList {
        items: items.collect(),
        total,
        complete: all.complete,
        next,
    }))
}

/// The tree of roles (Salesforce) or positions (Dynamics 365) of the production CRM.
#[utoipa::path(get, path = "/crm-users/roles", operation_id = "crm_user_roles",
    responses((status = 200, body = CrmRoleList), (status = 409, body = Problem)))]
async fn roles(
    State(app): State<Arc<App>>,
    caller: Caller<ManageSeats>,
) -> Result<Json<CrmRoleList>, Problem> {
    let connection = app
        .standing(&caller.contract, ConnectionKind::PRODUCTION)
        .await?;
    let view = View::of(&app, &caller, connection).await?;
    let positions = view.positions().await?;
    let in_order = positions.in_order().into_iter();
    let items = in_order.filter_map(|(id, depth)| {
        Some(CrmRoleView {
            id: id.to_owned(),
            name: positions.0.get(id)?.name.clone(),
            depth,
        })
    });
    Ok(Json(CrmRoleList {
        items: items.collect(),
    }))
}

/// The user of the production CRM who holds each seat. Without a CRM there are none.
#[utoipa::path(get, path = "/crm-users/seats", operation_id = "crm_users_of_seats",
    responses((status = 200, body = SeatCrmUserList)))]
async fn of_seats(
    State(app): State<Arc<App>>,
    caller: Caller<ManageSeats>,
) -> Result<Json<SeatCrmUserList>, Problem> {
    let connection = app
        .connection(&caller.contract, ConnectionKind::PRODUCTION)
        .await?;
    let Some(connection) = connection.filter(Connection::stands) else {
        return Ok(Json(SeatCrmUserList { items: Vec::new() }));
    };
    let view = View::of(&app, &caller, connection).await?;
    let all = view.all(vocabulary(view.crm).user.name).await?;
    let known = view.known().await?;
    let seats = view.seats_of(&known, &all.records);
    let users = all.records.iter().filter_map(|record| view.user(record));
    let users: BTreeMap<String, CrmUser> = users.map(|user| (user.id.clone(), user)).collect();
    let mut items: BTreeMap<SeatId, SeatCrmUser> = BTreeMap::new();
    for (id, seat) in seats {
        let user = users.get(&id);
        // Those beyond the ones that are read may be there.
        if user.is_none() && !all.complete {
            continue;
        }
        let shown = view.shown(seat, &id, user, &known);
        // Of several users with a seat's address, one who is active.
        match items.entry(seat.id) {
            Entry::Vacant(none) => {
                none.insert(shown);
            }
            Entry::Occupied(mut other) => {
                let is_active = |one: &SeatCrmUser| one.state == CrmUserState::Active;
                if is_active(&shown) && !is_active(other.get()) {
                    other.insert(shown);
                }
            }
        }
    }
    Ok(Json(SeatCrmUserList {
        items: items.into_values().collect(),
    }))
}

/// Makes seats for users of the production CRM, with an invitation for each, and reports on each.
///
/// It can be repeated: those who have a seat by then are reported as such.
#[utoipa::path(post, path = "/crm-users/invite", operation_id = "crm_users_invite", request_body = CrmInviteInput,
    responses((status = 200, body = CrmInviteReport), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn invite(
    State(app): State<Arc<App>>,
    caller: Caller<ManageSeats>,
    Json(input): Json<CrmInviteInput>,
) -> Result<Json<CrmInviteReport>, Problem> {
    if input.users.is_empty() || input.users.len() > MOST_INVITED {
        return Err(Problem::new(
            422,
            "invalid_users",
            format!("1 to {MOST_INVITED} users are invited at once."),
            "Send the CRM's ids of that many users.",
        )
        .with_field("users"));
    }
    if input.role == Role::Service {
        return Err(service_role());
    }
    let connection = app
        .standing(&caller.contract, ConnectionKind::PRODUCTION)
        .await?;
    let view = View::of(&app, &caller, connection).await?;
    let asked: Vec<(String, String)> = input
        .users
        .into_iter()
        .map(|given| (record_id(view.crm, &given), given))
        .collect();
    // The table has no keys that are empty or very long.
    let ids = asked.iter().map(|(id, _)| id.as_str());
    let ids: Vec<&str> = ids.filter(|id| (1..=100).contains(&id.len())).collect();
    let users = view.users();
    let mirror = users.mirror(vocabulary(view.crm).user.name);
    let records = mirror.records(&app.remote.store, &ids).await;
    let records = records.map_err(|error| error.problem())?;
    let seats = view.seats_of(&view.known().await?, &records);
    let known = records.iter().filter_map(|record| view.user(record));
    let known: BTreeMap<String, CrmUser> = known.map(|user| (user.id.clone(), user)).collect();
    let mut done = BTreeSet::new();
    let mut items = Vec::new();
    for (id, given) in &asked {
        if !done.insert(id.as_str()) {
            continue;
        }
        let user = known.get(id);
        let seat = user.and_then(|user| seats.get(&user.id)).copied();
        let free = user.filter(|user| seat.is_none() && user.no_seat.is_none());
        let email = free.and_then(|user| normal_email(user.email.as_deref()?));
        let mut result = match free.zip(email) {
            Some((user, email)) => view.invite(user, email, input.role).await,
            None => not_invited(given, user, seat),
        };
        result.id.clone_from(given);
        items.push(result);
    }
    Ok(Json(CrmInviteReport { items }))
}

fn service_role() -> Problem {
    Problem::new(
        422,
        "invalid_role",
        "The service role is for API tokens, not for people.",
        "Choose administrator or salesperson.",
    )
    .with_field("role")
}
