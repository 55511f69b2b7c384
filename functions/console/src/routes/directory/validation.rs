//! Data validation: people whose company or job title in the CRM is out of date (SV-8).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use matching::employer::Certainty;
use serde::{Deserialize, Serialize};
use shared::clock::Millis;
use shared::crm_users::CrmUsers;
use shared::domain::directory::{
    Entry, EntryId, EntryKind, Finding, MatchState, Origin, OutdatedEntry, RecordRef,
    ValidatedField,
};
use shared::domain::ids::SeatId;
use shared::domain::role::Role;
use shared::linking::{CrmRecord, Records};
use shared::problem::Problem;
use shared::store::{self, ActError, CountLimits, Dismissed, OutdatedOwner, OutdatedOwners};
use utoipa::{IntoParams, ToSchema};

use super::super::submissions::{invalid_cursor, page_size};
use super::shapes::{Badge, RecordOwner};
use super::show::{ENVIRONMENT, View, find};
use crate::App;
use crate::auth::{Caller, DecideMatches};
use crate::described::{Routes, routes};
use crate::extract::{Json, Path, Query};

/// Outdated records that are looked at for one page.
const MOST_READ: usize = 2_000;
/// Outdated records that are read in one call.
const READ_AT_ONCE: i32 = 200;

pub(super) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list))
        .routes(routes!(by_owner))
        .routes(routes!(dismiss))
        .routes(routes!(restore))
}

/// The certainty that a value of the CRM is out of date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum FindingCertainty {
    /// The values differ in some words, or the match with the record is a weak one.
    Likely,
    /// The values have nothing in common, or the companies' domains differ too.
    Sure,
}

impl From<Certainty> for FindingCertainty {
    fn from(certainty: Certainty) -> Self {
        match certainty {
            Certainty::Likely => Self::Likely,
            Certainty::Sure => Self::Sure,
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Records of this user of the CRM only (the CRM's id).
    owner: Option<String>,
    /// Out of date in this field only.
    field: Option<ValidatedField>,
    /// Findings of this certainty only.
    certainty: Option<FindingCertainty>,
    /// Findings that users dismissed (`true`), or all else (`false`, unless given).
    dismissed: Option<bool>,
    /// Items of a page, 1 to 200; 50 unless given.
    limit: Option<usize>,
    /// A page's `next`.
    cursor: Option<String>,
}

impl ListQuery {
    fn wants(&self, finding: &Finding) -> bool {
        self.field.is_none_or(|field| field == finding.field)
            && self
                .certainty
                .is_none_or(|certainty| certainty == FindingCertainty::from(finding.certainty))
            && self.dismissed.unwrap_or(false) != finding.is_open()
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct FindingInput {
    /// The value that is decided on.
    field: ValidatedField,
    /// The finding's `values`: what is decided holds for these two.
    values: String,
}

/// The decision of a user that a difference is none. It holds until one of the two values changes.
#[derive(Serialize, ToSchema)]
pub(super) struct FindingDismissal {
    #[schema(value_type = i64)]
    at: Millis,
    /// A seat or an API token.
    by: String,
    /// The name of the seat, while there is that seat.
    by_name: Option<String>,
}

/// A value of the CRM that is out of date.
#[derive(Serialize, ToSchema)]
pub(super) struct FindingView {
    field: ValidatedField,
    certainty: FindingCertainty,
    /// The directory's value.
    ours: String,
    /// The time at which it was last given; `null` where that was not noted.
    #[schema(value_type = Option<i64>)]
    ours_at: Option<Millis>,
    /// The CRM's value.
    theirs: String,
    /// The time of the last change of the CRM's record, in whatever field.
    #[schema(value_type = Option<i64>)]
    theirs_at: Option<Millis>,
    /// The time at which the two were first seen to differ.
    #[schema(value_type = i64)]
    since: Millis,
    /// Names the two values; give it back to decide on them.
    values: String,
    dismissed: Option<FindingDismissal>,
}

/// A person whose record in the CRM is out of date.
#[derive(Serialize, ToSchema)]
struct OutdatedRecord {
    /// The person's id.
    id: EntryId,
    /// The person's name.
    name: String,
    /// The record in the CRM.
    record: Badge,
    /// The owner of that record.
    owner: Option<RecordOwner>,
    /// The person's latest source in the directory.
    source: Option<Origin>,
    findings: Vec<FindingView>,
}

#[derive(Serialize, ToSchema)]
struct OutdatedList {
    /// Those of one owner one after the other.
    items: Vec<OutdatedRecord>,
    /// Give it as `cursor` for the next page; none after the last. A page can have fewer items than asked
    /// for, or none, and still have a next one.
    next: Option<String>,
}

/// The number of an owner's records that are out of date.
#[derive(Serialize, ToSchema)]
struct OutdatedCount {
    /// The owner; `null` for records without one.
    owner: Option<RecordOwner>,
    /// Records with another company.
    company: usize,
    /// Records with another job title.
    title: usize,
    /// Of both together, those that are sure.
    sure: usize,
    /// Findings that users dismissed.
    dismissed: usize,
    /// True if the owner has more records than were counted, which are 2,000.
    more: bool,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct OwnersQuery {
    /// A page's `next`.
    cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct OutdatedReport {
    /// The owners, of a page the most findings first.
    items: Vec<OutdatedCount>,
    /// Give it as `cursor` for further owners; none after the last.
    next: Option<String>,
}

/// The outdated records that a caller sees.
enum Scope {
    /// All.
    All,
    /// Those of a seat holder: records that they own, and people in their lists.
    Own {
        users: BTreeSet<String>,
        saved: BTreeSet<EntryId>,
        seat: SeatId,
    },
}

impl Scope {
    async fn of<P>(app: &App, caller: &Caller<P>, view: &View<'_>) -> Result<Self, Problem> {
        if caller.role == Role::Administrator {
            return Ok(Self::All);
        }
        let (contract, seat) = (&caller.contract, &caller.signed_in()?.seat);
        let store = &app.remote.store;
        let saved = store.saved_in_any_list(contract, seat.id).await;
        let saved = saved.map_err(|error| error.problem())?;
        let users = CrmUsers {
            contract,
            environment: ENVIRONMENT,
            crm: view.crm(),
        };
        let users = Box::pin(users.of_seat(store, seat)).await;
        let users = users.map_err(|error| error.problem())?;
        Ok(Self::Own {
            users,
            saved,
            seat: seat.id,
        })
    }

    /// Keeps those of the entries that the caller sees.
    async fn seen<P, T>(
        &self,
        view: &View<'_>,
        caller: &Caller<P>,
        found: Vec<(OutdatedEntry, T)>,
    ) -> Result<Vec<(OutdatedEntry, T)>, Problem> {
        let Self::Own { users, saved, seat } = self else {
            return Ok(found);
        };
        let records: Vec<RecordRef> = found.iter().map(|(one, _)| one.record.clone()).collect();
        let (store, kind) = (view.store(), EntryKind::Profile);
        let because = store.saved_records(&caller.contract, *seat, kind, &records);
        let because = because.await.map_err(|error| error.problem())?;
        let mut found = found;
        found.retain(|(one, _)| {
            owns(users, one.owner.as_deref())
                || saved.contains(&one.entry)
                || because.contains_key(&one.record)
        });
        Ok(found)
    }
}

/// True if a record's owner is one of these users of the CRM.
fn owns(users: &BTreeSet<String>, owner: Option<&str>) -> bool {
    owner.is_some_and(|owner| users.contains(owner))
}

/// People whose company or job title in the CRM is out of date.
///
/// The values that a form, a file or a program gave for a person are compared with the record that the person is linked to:
/// with each import, and whenever the person is added anew. Another spelling, an abbreviation or legal form, or
/// another company of the same group is no difference. Only a value that is newer than the record's last change
/// counts. A salesperson sees records that they own, and people in their lists.
#[utoipa::path(get, path = "/data-validation", operation_id = "data_validation", params(ListQuery),
    responses((status = 200, body = OutdatedList), (status = 400, body = Problem)))]
async fn list(
    State(app): State<Arc<App>>,
    caller: Caller<DecideMatches>,
    Query(query): Query<ListQuery>,
) -> Result<Json<OutdatedList>, Problem> {
    let limit = page_size(query.limit)?;
    if let Some(cursor) = &query.cursor {
        // The place of an entry: its owner's and its own id.
        let id = cursor.rsplit_once('#').map(|(_, id)| id.parse::<EntryId>());
        if !matches!(id, Some(Ok(_))) {
            return Err(invalid_cursor());
        }
    }
    let view = View::of(&app, &caller.contract).await?;
    let scope = Scope::of(&app, &caller, &view).await?;
    let mut wanted: Vec<OutdatedEntry> = Vec::new();
    let mut next = query.cursor.clone();
    let mut read = 0;
    let next = loop {
        let owner = query.owner.as_deref();
        let page = view.store().outdated_entries(
            &caller.contract,
            ENVIRONMENT,
            owner,
            next.as_deref(),
            READ_AT_ONCE,
        );
        let page = page.await.map_err(|error| error.problem())?;
        read += page.items.len();
        let seen = scope.seen(&view, &caller, page.items).await?;
        let mut last = None;
        for (mut one, place) in seen {
            one.findings.retain(|finding| query.wants(finding));
            if one.findings.is_empty() {
                continue;
            }
            if wanted.len() == limit {
                break;
            }
            wanted.push(one);
            last = Some(place);
        }
        if wanted.len() == limit && last.is_some() {
            break last;
        }
        next = page.next;
        if next.is_none() || read >= MOST_READ {
            break next;
        }
    };
    Ok(Json(OutdatedList {
        items: shown(&app, &view, &caller, &wanted).await?,
        next,
    }))
}

/// The number of outdated records of each owner.
///
/// A salesperson sees their own.
#[utoipa::path(get, path = "/data-validation/owners", operation_id = "data_validation_owners", params(OwnersQuery),
    responses((status = 200, body = OutdatedReport), (status = 400, body = Problem)))]
async fn by_owner(
    State(app): State<Arc<App>>,
    caller: Caller<DecideMatches>,
    Query(query): Query<OwnersQuery>,
) -> Result<Json<OutdatedReport>, Problem> {
    let after = query.cursor.as_deref();
    if after.is_some_and(|after| !after.ends_with("#~")) {
        return Err(invalid_cursor());
    }
    let contract = &caller.contract;
    let view = View::of(&app, contract).await?;
    let scope = Scope::of(&app, &caller, &view).await?;
    let (store, limits) = (view.store(), CountLimits::default());
    let found = match &scope {
        Scope::All => {
            let found = store.outdated_owners(contract, ENVIRONMENT, None, after, limits);
            found.await.map_err(|error| error.problem())?
        }
        Scope::Own { users, .. } => {
            let mut items = Vec::new();
            for user in users {
                let found = store.outdated_owners(contract, ENVIRONMENT, Some(user), None, limits);
                items.extend(found.await.map_err(|error| error.problem())?.items);
            }
            OutdatedOwners { items, next: None }
        }
    };
    let owners = found.items.iter().filter_map(|one| one.owner.as_deref());
    let names = view.owners(owners.collect()).await?;
    let counted = found.items.into_iter();
    let mut items: Vec<OutdatedCount> = counted.map(|one| count(one, &names)).collect();
    items.sort_by_key(|count| std::cmp::Reverse(count.company + count.title));
    Ok(Json(OutdatedReport {
        items,
        next: found.next,
    }))
}

/// The counts of an owner.
fn count(one: OutdatedOwner, names: &BTreeMap<String, String>) -> OutdatedCount {
    let count =
        |of: &dyn Fn(&Finding) -> bool| one.findings.iter().filter(|finding| of(finding)).count();
    let open = |field| count(&|one: &Finding| one.is_open() && one.field == field);
    OutdatedCount {
        company: open(ValidatedField::Company),
        title: open(ValidatedField::Title),
        sure: count(&|one| one.is_open() && one.certainty == Certainty::Sure),
        dismissed: count(&|one| !one.is_open()),
        more: one.more,
        owner: one.owner.map(|id| View::owner(&id, names)),
    }
}

/// Decides that the two values of a person are no difference.
///
/// It holds for everybody in the contract until one of the two values changes.
#[utoipa::path(post, path = "/data-validation/{id}/dismiss", operation_id = "data_validation_dismiss",
    params(("id" = String, Path)), request_body = FindingInput,
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn dismiss(
    State(app): State<Arc<App>>,
    caller: Caller<DecideMatches>,
    Path(id): Path<String>,
    Json(input): Json<FindingInput>,
) -> Result<StatusCode, Problem> {
    decide(&app, &caller, &id, &input, true).await
}

/// Takes back that the two values of a person are no difference.
#[utoipa::path(post, path = "/data-validation/{id}/restore", operation_id = "data_validation_restore",
    params(("id" = String, Path)), request_body = FindingInput,
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn restore(
    State(app): State<Arc<App>>,
    caller: Caller<DecideMatches>,
    Path(id): Path<String>,
    Json(input): Json<FindingInput>,
) -> Result<StatusCode, Problem> {
    decide(&app, &caller, &id, &input, false).await
}

async fn decide(
    app: &App,
    caller: &Caller<DecideMatches>,
    id: &str,
    input: &FindingInput,
    dismissed: bool,
) -> Result<StatusCode, Problem> {
    let kind = EntryKind::Profile;
    let contract = &caller.contract;
    let (entry, matched) = find(app, contract, kind, id).await?;
    let view = View::of(app, contract).await?;
    let scope = Scope::of(app, caller, &view).await?;
    let listed = matched.and_then(|matched| OutdatedEntry::of(entry.id, &matched));
    let listed: Vec<(OutdatedEntry, ())> = listed.into_iter().map(|one| (one, ())).collect();
    let asked = !listed.is_empty();
    if asked && scope.seen(&view, caller, listed).await?.is_empty() {
        return Err(Problem::not_found(kind.as_str()));
    }
    let store = view.store();
    let organization = store.organization(contract, ENVIRONMENT).await;
    let organization = organization.map_err(|error| error.problem())?;
    let act = store::Act {
        environment: ENVIRONMENT,
        organization: organization.as_deref(),
        kind,
        id: entry.id,
        by: &caller.actor,
        now: app.remote.clock.now(),
        unique: app.remote.random.uuid(),
    };
    let wish = Dismissed {
        field: input.field,
        values: &input.values,
        dismissed,
    };
    let decided = store.dismiss_finding(contract, &act, &wish).await;
    decided.map_err(|error: ActError| error.problem())?;
    let config = app.config(contract).await?;
    let settings = config.crm_settings(ENVIRONMENT).sync.unwrap_or_default();
    app.ask_for_flags(contract, &settings, &caller.actor)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The outdated records with the two values of each finding, as they are now. Those that are no longer as they
/// were compared are left out: the next link pass compares them.
async fn shown(
    app: &App,
    view: &View<'_>,
    caller: &Caller<DecideMatches>,
    wanted: &[OutdatedEntry],
) -> Result<Vec<OutdatedRecord>, Problem> {
    let kind = EntryKind::Profile;
    let ids: Vec<EntryId> = wanted.iter().map(|one| one.entry).collect();
    let entries = view.store().entries(&caller.contract, kind, &ids).await;
    let entries: HashMap<EntryId, Entry> = entries.map_err(|error| error.problem())?;
    let linking = view.linking();
    let records = wanted.iter().map(|one| one.record.clone()).collect();
    let records: Records = Box::pin(linking.look(kind, records))
        .await
        .map_err(|error| error.problem())?;
    let owners = wanted.iter().filter_map(|one| one.owner.as_deref());
    let owners = view.owners(owners.collect()).await?;
    let findings = wanted.iter().flat_map(|one| &one.findings);
    let actors = findings.filter_map(|one| Some(one.dismissed.as_ref()?.by.as_str()));
    let actors: BTreeSet<&str> = actors.collect();
    let names = app.names_of(&caller.contract, actors.into_iter()).await?;
    let shown = wanted.iter().filter_map(|one| {
        let entry = entries.get(&one.entry)?;
        let record = &records.get(&one.record)?.crm;
        let findings = finding_views(&one.findings, entry, record, &names);
        (!findings.is_empty()).then(|| OutdatedRecord {
            id: entry.id,
            name: entry.name(),
            record: view.badge(&one.record),
            owner: one.owner.as_deref().map(|id| View::owner(id, &owners)),
            source: entry.origins.last().copied(),
            findings,
        })
    });
    Ok(shown.collect())
}

/// The findings of a person that are as they were compared, with the values of both sides.
fn finding_views(
    findings: &[Finding],
    entry: &Entry,
    record: &CrmRecord,
    names: &BTreeMap<String, String>,
) -> Vec<FindingView> {
    let as_compared = findings
        .iter()
        .filter(|finding| finding.is_of(&entry.record, &record.shown));
    as_compared
        .map(|finding| FindingView {
            field: finding.field,
            certainty: finding.certainty.into(),
            ours: finding.field.of(&entry.record).to_owned(),
            ours_at: entry.given_at(finding.field),
            theirs: finding.field.of(&record.shown).to_owned(),
            theirs_at: record.modified,
            since: finding.since,
            values: finding.values(),
            dismissed: finding
                .dismissed
                .as_ref()
                .map(|dismissed| FindingDismissal {
                    at: dismissed.at,
                    by_name: names.get(&dismissed.by).cloned(),
                    by: dismissed.by.clone(),
                }),
        })
        .collect()
}

/// True if a caller may decide on the findings of a person whose page they see: an administrator, the owner of the
/// record, and a seat holder who has the person in a list.
pub(super) async fn may_decide<P>(
    app: &App,
    view: &View<'_>,
    caller: &Caller<P>,
    listed: Option<OutdatedEntry>,
) -> Result<bool, Problem> {
    let Some(listed) = listed else {
        return Ok(false);
    };
    match caller.role {
        Role::Administrator => return Ok(true),
        Role::Service => return Ok(false),
        // A token is nobody's own.
        Role::Salesperson if caller.signed_in().is_err() => return Ok(false),
        Role::Salesperson => {}
    }
    let scope = Scope::of(app, caller, view).await?;
    let seen = scope.seen(view, caller, vec![(listed, ())]).await?;
    Ok(!seen.is_empty())
}

/// The findings of a person, for the person's own page.
pub(super) async fn findings_of(
    app: &App,
    view: &View<'_>,
    (entry, findings): (&Entry, &[Finding]),
    state: MatchState,
    record: Option<&CrmRecord>,
) -> Result<Vec<FindingView>, Problem> {
    let Some(record) = record.filter(|_| state.in_crm() && !findings.is_empty()) else {
        return Ok(Vec::new());
    };
    let actors = findings
        .iter()
        .filter_map(|one| Some(one.dismissed.as_ref()?.by.as_str()));
    let actors: BTreeSet<&str> = actors.collect();
    let names = app.names_of(view.contract(), actors.into_iter()).await?;
    Ok(finding_views(findings, entry, record, &names))
}
