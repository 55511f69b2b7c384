//! A seat holder's own LinkedIn archive (WB-10): the member that it belongs to, what would become of its
//! people, and which of its activities are logged already.
//!
//! The page reads the archive in the browser; its activities come as all others do.

use std::collections::HashSet;
use std::sync::Arc;

use axum::extract::State;
use futures::{StreamExt as _, stream};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::clock::Millis;
use shared::domain::directory::{EntryId, EntryKind, MatchState, NewEntry, Origin};
use shared::domain::ids::{ActivityId, ContractId, SeatId};
use shared::domain::privacy::{Tombstones, erased_person};
use shared::erasure::is_erased;
use shared::problem::Problem;
use shared::signature::{hmac_sha256_hex, verify_hex};
use shared::store::{Added, ArchiveMember};
use shared::vault::{Purpose, VaultError};
use utoipa::ToSchema;

use super::shapes::{Badge, EntryBatch, EntryInput, UploadReport};
use super::show::View;
use crate::App;
use crate::auth::{Caller, LogActivities};
use crate::described::{Routes, routes};
use crate::extract::{Json, check_batch, item};

/// Most people of a preview: each is compared with the CRM's records.
const MAX_PEOPLE: usize = 25;
/// People that are looked up at once.
const PEOPLE_AT_ONCE: usize = 8;
/// Most keys of a request.
const MAX_KEYS: usize = 1000;
/// Longest address of a member, in characters.
const MAX_MEMBER: usize = 500;
/// The beginning of a member's address.
const MEMBER_AT: &str = "https://www.linkedin.com/in/";

pub(super) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(show, remember, forget))
        .routes(routes!(preview))
        .routes(routes!(logged))
        .routes(routes!(connections))
}

/// The LinkedIn member whose archives you log from.
#[derive(Serialize, ToSchema)]
struct ArchiveView {
    /// The time at which the member was remembered; `null`: none is yet.
    #[schema(value_type = Option<i64>)]
    since: Option<Millis>,
}

/// The LinkedIn member that an archive belongs to.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ArchiveInput {
    /// The address of their profile: `https://www.linkedin.com/in/…`.
    member: String,
}

fn sealed(error: &VaultError) -> Problem {
    tracing::error!(
        error = error as &dyn std::error::Error,
        "the key of an archive's member cannot be sealed or opened"
    );
    Problem::unavailable()
}

fn other_member() -> Problem {
    Problem::new(
        409,
        "other_member",
        "The archive belongs to another LinkedIn member than the one that you used before.",
        "Choose an archive of your own account. If the address of your profile has changed, forget the earlier account first: the page offers that, as does DELETE /api/v1/me/archive.",
    )
    .with_field("member")
}

fn member_address(text: &str) -> Result<&str, Problem> {
    let text = text.trim();
    let name = text.strip_prefix(MEMBER_AT).unwrap_or_default();
    if name.is_empty()
        || text.chars().count() > MAX_MEMBER
        || text.contains(char::is_whitespace)
        || name.contains('/')
    {
        return Err(Problem::new(
            422,
            "invalid_member",
            "That is not the address of a LinkedIn profile.",
            format!("Send it as {MEMBER_AT}… ."),
        )
        .with_field("member"));
    }
    Ok(text)
}

/// The name of the secret by which a seat's member is hashed.
fn secret_name(seat: SeatId) -> String {
    format!("archive/{seat}")
}

/// Checks that a remembered member is that one.
async fn check_member(
    app: &App,
    contract: &ContractId,
    seat: SeatId,
    remembered: &ArchiveMember,
    member: &str,
) -> Result<(), Problem> {
    let name = secret_name(seat);
    let purpose = Purpose {
        contract,
        name: &name,
    };
    let key = app.remote.vault.open(purpose, &remembered.sealed_key);
    let key = key.await.map_err(|error| sealed(&error))?;
    if verify_hex(
        &remembered.member_hash,
        &[key.as_str()],
        &[member.as_bytes()],
    ) {
        Ok(())
    } else {
        Err(other_member())
    }
}

/// The archives that a member logged before, if any, and since when.
#[utoipa::path(get, path = "/me/archive", operation_id = "archive_show",
    description = "Of the member no more is kept than a keyed hash of the address.",
    responses((status = 200, body = ArchiveView), (status = 403, body = Problem)))]
async fn show(
    State(app): State<Arc<App>>,
    caller: Caller<LogActivities>,
) -> Result<Json<ArchiveView>, Problem> {
    let seat = caller.signed_in()?.seat.id;
    let found = app.remote.store.archive_member(&caller.contract, seat);
    let found = found.await.map_err(|error| error.problem())?;
    Ok(Json(ArchiveView {
        since: found.map(|found| found.since),
    }))
}

/// Remembers the member whose archive you log from. The first one counts: an archive of another is refused
/// from then on.
#[utoipa::path(put, path = "/me/archive", operation_id = "archive_remember", request_body = ArchiveInput,
    responses((status = 200, body = ArchiveView), (status = 403, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn remember(
    State(app): State<Arc<App>>,
    caller: Caller<LogActivities>,
    Json(input): Json<ArchiveInput>,
) -> Result<Json<ArchiveView>, Problem> {
    let seat = caller.signed_in()?.seat.id;
    let (store, contract) = (&app.remote.store, &caller.contract);
    let member = member_address(&input.member)?;
    let found = store.archive_member(contract, seat).await;
    let mut remembered = found.map_err(|error| error.problem())?;
    if remembered.is_none() {
        let key = app.remote.random.secret(32);
        let name = secret_name(seat);
        let purpose = Purpose {
            contract,
            name: &name,
        };
        let sealed_key = app.remote.vault.seal(purpose, &key).await;
        let new = ArchiveMember {
            sealed_key: sealed_key.map_err(|error| sealed(&error))?,
            member_hash: hmac_sha256_hex(key.as_bytes(), &[member.as_bytes()]),
            since: app.remote.clock.now(),
        };
        let before = store.remember_archive_member(contract, seat, &new).await;
        remembered = before.map_err(|error| error.problem())?;
        if remembered.is_none() {
            return Ok(Json(ArchiveView {
                since: Some(new.since),
            }));
        }
    }
    if let Some(remembered) = &remembered {
        check_member(&app, contract, seat, remembered, member).await?;
    }
    Ok(Json(ArchiveView {
        since: remembered.map(|remembered| remembered.since),
    }))
}

/// Forgets the member whose archives you log from, such as when the address of your profile has changed. The
/// audit log tells of it.
#[utoipa::path(delete, path = "/me/archive", operation_id = "archive_forget",
    responses((status = 204), (status = 403, body = Problem)))]
async fn forget(
    State(app): State<Arc<App>>,
    caller: Caller<LogActivities>,
) -> Result<StatusCode, Problem> {
    let seat = caller.signed_in()?.seat.id;
    let (target, unique) = (seat.to_string(), app.remote.random.uuid());
    let audit = app.audit(
        &caller.actor,
        "archive.forget",
        target,
        Value::Null,
        Value::Null,
    );
    let store = &app.remote.store;
    let forgotten = store.forget_archive_member(&caller.contract, seat, &audit, unique);
    forgotten.await.map_err(|error| error.problem())?;
    Ok(StatusCode::NO_CONTENT)
}

/// People of an archive that activities would be logged with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ArchivePeople {
    /// The address of the archive's own member.
    member: String,
    /// Up to 25 people. Without any, only the member is checked.
    #[schema(value_type = Vec<EntryInput>)]
    people: Vec<Value>,
}

/// A person of an archive, as an activity with them would find or add them.
#[derive(Serialize, ToSchema)]
struct ForeseenPerson {
    /// The entry of the directory that they are, or would be.
    id: Option<EntryId>,
    /// True if they are in the directory.
    known: bool,
    /// The state of their match.
    state: Option<MatchState>,
    /// True if they are a record of the CRM.
    in_crm: bool,
    /// The record that they are.
    badge: Option<Badge>,
    /// The cause for which no activity can be with them.
    problem: Option<Problem>,
}

#[derive(Serialize, ToSchema)]
struct ForeseenPeople {
    /// One for each person, in their order.
    results: Vec<ForeseenPerson>,
}

async fn foreseen(
    app: &App,
    contract: &ContractId,
    view: &View<'_>,
    tombstones: &Tombstones,
    person: Value,
) -> Result<ForeseenPerson, Problem> {
    let input: EntryInput = item(person)?;
    let (external_id, record) = input.into_parts();
    let new = NewEntry::new(
        contract,
        EntryKind::Profile,
        external_id.as_deref(),
        record,
        Origin::Api,
        view.region(),
    )?;
    if is_erased(tombstones, &new, view.region()) {
        return Err(erased_person());
    }
    let linking = view.linking().with(&app.cached);
    let foreseen = Box::pin(linking.foresee(&new)).await;
    let (added, linked) = foreseen.map_err(|error| error.problem())?;
    let state = MatchState::of(&linked.entry, Some(&linked.matched));
    let record = linked.matched.record().filter(|_| state.in_crm());
    Ok(ForeseenPerson {
        id: Some(new.id),
        known: added != Added::New,
        state: Some(state),
        in_crm: state.in_crm(),
        badge: record.map(|record| view.badge(record)),
        problem: None,
    })
}

/// The matches that people of an archive have, or would get. Nothing is stored.
#[utoipa::path(post, path = "/me/archive/preview", operation_id = "archive_preview", request_body = ArchivePeople,
    responses((status = 200, body = ForeseenPeople), (status = 403, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn preview(
    State(app): State<Arc<App>>,
    caller: Caller<LogActivities>,
    Json(input): Json<ArchivePeople>,
) -> Result<Json<ForeseenPeople>, Problem> {
    let seat = caller.signed_in()?.seat.id;
    if !input.people.is_empty() {
        check_batch(input.people.len(), MAX_PEOPLE, "Send them in parts.")?;
    }
    let (store, contract) = (&app.remote.store, &caller.contract);
    let member = member_address(&input.member)?;
    let remembered = store.archive_member(contract, seat).await;
    if let Some(remembered) = remembered.map_err(|error| error.problem())? {
        check_member(&app, contract, seat, &remembered, member).await?;
    }
    let view = View::of(&app, contract).await?;
    let tombstones = app.tombstones(contract).await?;
    let (app, view, tombstones) = (app.as_ref(), &view, tombstones.as_ref());
    let people: Vec<_> = input
        .people
        .into_iter()
        .map(|person| foreseen(app, contract, view, tombstones, person))
        .collect();
    let found: Vec<_> = stream::iter(people)
        .buffered(PEOPLE_AT_ONCE)
        .collect()
        .await;
    let results = found.into_iter().map(|found| {
        found.unwrap_or_else(|problem| ForeseenPerson {
            id: None,
            known: false,
            state: None,
            in_crm: false,
            badge: None,
            problem: Some(problem),
        })
    });
    Ok(Json(ForeseenPeople {
        results: results.collect(),
    }))
}

/// Keys of activities.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ActivityKeys {
    /// 1 to 1,000 keys.
    keys: Vec<String>,
}

#[derive(Serialize, ToSchema)]
struct LoggedKeys {
    /// For each key, in their order: true if you have sent an activity with it.
    logged: Vec<bool>,
}

/// Which of these activities you have sent before, by their keys.
#[utoipa::path(post, path = "/me/archive/logged", operation_id = "archive_logged", request_body = ActivityKeys,
    responses((status = 200, body = LoggedKeys), (status = 403, body = Problem), (status = 422, body = Problem)))]
async fn logged(
    State(app): State<Arc<App>>,
    caller: Caller<LogActivities>,
    Json(input): Json<ActivityKeys>,
) -> Result<Json<LoggedKeys>, Problem> {
    let seat = caller.signed_in()?.seat.id;
    check_batch(input.keys.len(), MAX_KEYS, "Send them in parts.")?;
    let contract = &caller.contract;
    let keys = input.keys.iter();
    let ids: Vec<ActivityId> = keys
        .map(|key| ActivityId::derive(contract, seat, key))
        .collect();
    let once: HashSet<ActivityId> = ids.iter().copied().collect();
    let stored = app.remote.store.stored_activities(contract, seat, once);
    let stored = stored.await.map_err(|error| error.problem())?;
    Ok(Json(LoggedKeys {
        logged: ids.iter().map(|id| stored.contains(id)).collect(),
    }))
}

/// Adds up to 100 connections of an archive to the directory, each taken or refused on its own.
#[utoipa::path(post, path = "/me/archive/connections", operation_id = "archive_connections",
    description = "A pass over the directory links them.",
    request_body = EntryBatch, responses((status = 200, body = UploadReport), (status = 403, body = Problem), (status = 422, body = Problem)))]
async fn connections(
    State(app): State<Arc<App>>,
    caller: Caller<LogActivities>,
    Json(items): Json<EntryBatch>,
) -> Result<Json<UploadReport>, Problem> {
    caller.signed_in()?;
    let report = super::add::batch(&app, &caller, EntryKind::Profile, items).await?;
    Ok(Json(report))
}

#[cfg(test)]
mod tests {
    use super::member_address;

    #[test]
    fn a_member_is_the_address_of_a_profile() {
        let address = "https://www.linkedin.com/in/sol-seller";
        assert_eq!(member_address(&format!(" {address}\n")), Ok(address));
        for bad in [
            "",
            "sol-seller",
            "https://www.linkedin.com/in/",
            "https://www.linkedin.com/in/sol/seller",
            "https://www.linkedin.com/in/sol seller",
            "https://www.linkedin.com/company/acme",
            "http://www.linkedin.com/in/sol-seller",
            &format!("{address}{}", "x".repeat(500)),
        ] {
            let problem = member_address(bad).unwrap_err();
            assert_eq!(problem.code, "invalid_member", "{bad}");
            assert_eq!(problem.field.as_deref(), Some("member"), "{bad}");
        }
    }
}
