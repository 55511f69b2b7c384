//! A person's data (OP-3): a search over everything that is stored, and its erasure.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::clock::Millis;
use shared::domain::directory::Origin;
use shared::domain::environment::Environment;
use shared::domain::ids::ContractId;
use shared::domain::match_keys::lead_object;
use shared::domain::privacy::{
    Erasure, ErasureState, Given, Person, Position, Receipt, SETTLE_SECONDS, Tombstones,
};
use shared::domain::schema::CrmKind;
use shared::erasure;
use shared::problem::Problem;
use shared::store::{ConnectionKind, Found, Look, Noted};
use url::Url;
use utoipa::ToSchema;

use super::submissions::invalid_cursor;
use crate::App;
use crate::auth::{Caller, HandlePersonalData};
use crate::described::{Routes, routes};
use crate::extract::{Json, Path};

/// Milliseconds after which a search begins no further page of the table.
const SEARCH_MILLIS: i64 = 8_000;
/// Most pages of the table that a search reads.
const SEARCH_PAGES: usize = 60;
/// Found items after which a search answers.
const SEARCH_ITEMS: usize = 50;
/// Longest cursor, in bytes of a body: with a person it is a body that is taken.
const MAX_CURSOR: usize = 200 * 1024;
/// Longest place of a cursor within its part, in bytes.
const MAX_AFTER: usize = 900;
/// The word that confirms an erasure.
const CONFIRMATION: &str = "erase";

pub(super) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(search))
        .routes(routes!(list, erase))
        .routes(routes!(show))
        .routes(routes!(check))
}

/// Names and addresses of a person. An e-mail or profile address proves a person; a phone number does together with the
/// name, where one is given. A name alone finds namesakes too.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PersonInput {
    /// E-mail addresses, at most 10.
    #[serde(default)]
    emails: Vec<String>,
    /// Phone numbers, at most 10.
    #[serde(default)]
    phones: Vec<String>,
    /// Addresses of profiles, such as `https://www.linkedin.com/in/ada`, at most 10.
    #[serde(default)]
    profile_urls: Vec<String>,
    /// The full name.
    #[serde(default)]
    name: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PersonSearch {
    /// The person.
    person: PersonInput,
    /// A page's `next`.
    #[serde(default)]
    cursor: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ErasureInput {
    /// The person, with an address, or with a number and the name.
    person: PersonInput,
    /// The word `erase`.
    confirm: String,
}

/// The kind of an item about a person.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum PersonItemKind {
    /// A form response.
    Submission,
    /// An entry of the directory, with its match.
    Profile,
    /// An activity with the person.
    Activity,
    /// The copy of a record of the CRM.
    CrmCopy,
    /// The person in a seat holder's list.
    ListEntry,
    /// A seat holder's change of the person's record in the CRM.
    CrmWrite,
    /// The person's own seat.
    Seat,
    /// An entry of the audit log that names the person.
    AuditEntry,
}

/// A record of the CRM: the customer's, and never erased by Leadbridge.
#[derive(Serialize, ToSchema)]
struct CrmLink {
    environment: Environment,
    object: String,
    id: String,
    /// A link to its page, while the environment is connected.
    url: Option<String>,
}

/// An item about a person.
#[derive(Serialize, ToSchema)]
struct PersonItem {
    kind: PersonItemKind,
    id: String,
    /// The reason why it is stored.
    reason: String,
    /// The time for which it is kept.
    kept: String,
    /// The effect of an erasure on it.
    on_erasure: String,
    crm: Option<CrmLink>,
    /// Everything that is stored.
    #[schema(value_type = Object)]
    data: Value,
}

#[derive(Serialize, ToSchema)]
struct PersonReport {
    items: Vec<PersonItem>,
    /// Give it as `cursor` to go on; `null` when everything was looked through.
    next: Option<String>,
    /// The places that are not looked through, and why.
    limits: Vec<&'static str>,
}

/// An erasure. It says nothing of the person.
#[derive(Serialize, ToSchema)]
struct ErasureView {
    id: String,
    state: ErasureState,
    asked_by: String,
    #[schema(value_type = i64)]
    asked_at: Millis,
    /// The time at which everything is looked through once more, and the receipt made; `null` after that.
    #[schema(value_type = Option<i64>)]
    ends_after: Option<Millis>,
    /// Items that were erased so far, by kind.
    erased: BTreeMap<String, u64>,
    /// Keyed hashes that were left so that the person is not brought back.
    tombstones: u64,
    /// The data that stays, and why.
    stays: Vec<&'static str>,
    receipt: Option<Receipt>,
    /// Receipts of earlier runs.
    earlier: Vec<Receipt>,
}

#[derive(Serialize, ToSchema)]
struct ErasureList {
    /// The latest first.
    items: Vec<ErasureView>,
}

#[derive(Serialize, ToSchema)]
struct ReceiptCheck {
    /// True if Leadbridge signed exactly this receipt.
    genuine: bool,
}

const LIMITS: [&str; 4] = [
    "Logs: they hold ids and states, and no personal data.",
    "Texts of activities with somebody else.",
    "Copies of the CRM's users, companies and opportunities, and companies of the directory: only leads, contacts and people are looked at.",
    "Backups of the table, which end after 35 days.",
];

const STAYS: [&str; 5] = [
    "That an erasure happened, by whom and when, in the audit log and in this list.",
    "Keyed hashes of the addresses and numbers, so that an import, a file, a program or a repeated delivery does not bring the person back.",
    "Ids of erased form responses and activities, and of the CRM's records, without values.",
    "Records of the CRM, which are the customer's: delete them there.",
    "The seat of a person who signs in here: delete it first, and erase after that.",
];

impl From<Erasure> for ErasureView {
    fn from(erasure: Erasure) -> Self {
        Self {
            id: erasure.id.to_string(),
            ends_after: erasure
                .is_open()
                .then(|| erasure.asked_at.plus_seconds(SETTLE_SECONDS)),
            state: erasure.state,
            asked_by: erasure.asked_by,
            asked_at: erasure.asked_at,
            erased: erasure.erased,
            tombstones: erasure.tombstones,
            stays: STAYS.to_vec(),
            receipt: erasure.receipt,
            earlier: erasure.earlier,
        }
    }
}

impl PersonInput {
    fn person(self, region: Option<&str>) -> Result<Person, Problem> {
        let given = Given {
            emails: self.emails,
            phones: self.phones,
            profile_urls: self.profile_urls,
            name: self.name,
        };
        Person::new(&given, region)
    }
}

impl App {
    /// The people whose data was erased: nothing but a form of their own brings them back.
    pub(super) async fn tombstones(
        &self,
        contract: &ContractId,
    ) -> Result<Arc<Tombstones>, Problem> {
        let (store, vault) = (&self.remote.store, &self.remote.vault);
        let found = erasure::tombstones(store, vault, contract).await;
        found.map_err(|error| error.problem())
    }
}

/// A view of a contract's items.
struct View {
    crm: CrmKind,
    region: Option<String>,
    /// The base addresses of the CRM's environments that have a connection.
    bases: BTreeMap<Environment, Url>,
    /// Number of days for which answers are kept; 0: for ever.
    keep_answers_days: u32,
    /// The same of activities.
    keep_activities_days: u32,
    /// The same of imported records, after their CRM was disconnected.
    keep_mirror_days: u32,
}

/// The time for which the copy of a record is kept.
const fn copy_kept_for(days: u32) -> &'static str {
    if days == 0 {
        "As long as the CRM has the record, or until the connection ends with a clean-up."
    } else {
        "As long as the CRM has the record; after a disconnect for the time that is set on the page Privacy."
    }
}

/// The time for which an item is kept that a setting of so many days may be about.
const fn kept_for(days: u32) -> &'static str {
    if days == 0 {
        "Until it is erased."
    } else {
        "Until the time that is set on the page Privacy is over, or until it is erased."
    }
}

impl View {
    async fn of(app: &App, contract: &ContractId) -> Result<Self, Problem> {
        let settings = app.config(contract).await?.contract;
        let mut bases = BTreeMap::new();
        for environment in Environment::ALL {
            let kind = ConnectionKind::Crm(environment);
            if let Some(connection) = app.connection(contract, kind).await? {
                bases.insert(environment, connection.base_url);
            }
        }
        Ok(Self {
            crm: settings.crm,
            region: settings.settings.default_region,
            bases,
            keep_answers_days: settings.keep_answers_days,
            keep_activities_days: settings.keep_activities_days,
            keep_mirror_days: settings.keep_mirror_days,
        })
    }

    fn link(&self, environment: Environment, object: &str, id: &str) -> CrmLink {
        let base = self.bases.get(&environment);
        CrmLink {
            environment,
            object: object.to_owned(),
            id: id.to_owned(),
            url: base.map(|base| self.crm.record_url(base, object, id).into()),
        }
    }

    fn item(&self, found: &Found) -> PersonItem {
        let production = Environment::Production;
        let (kind, id, reason, kept, on_erasure, crm, data) = match found {
            Found::Record {
                environment,
                object,
                record,
            } => (
                PersonItemKind::CrmCopy,
                record.id.clone(),
                format!("The CRM has it as {object}; it was imported for matching and lists."),
                copy_kept_for(self.keep_mirror_days),
                "Its values and match keys are deleted, and imports bring none back. The record stays in the CRM.",
                Some(self.link(*environment, object, &record.id)),
                record.values.clone().map(Value::Object),
            ),
            Found::Profile(entry, matched) => {
                let record = matched.as_ref().and_then(|matched| matched.record());
                let data = json!({ "entry": &**entry, "match": matched });
                (
                    PersonItemKind::Profile,
                    entry.id.to_string(),
                    format!("The directory has the person: {}.", origins(&entry.origins)),
                    "Until it is deleted.",
                    "It is deleted with its match and its link.",
                    record.map(|record| self.link(production, &record.object, &record.id)),
                    Some(data),
                )
            }
            Found::Submission(submission) => {
                let lead = submission.lead.as_ref();
                let lead = lead.map(|lead| self.link(production, lead_object(self.crm), &lead.id));
                (
                    PersonItemKind::Submission,
                    submission.id.to_string(),
                    format!("The person sent the form {}.", submission.form_label()),
                    kept_for(self.keep_answers_days),
                    "Everything but its id and form is deleted, with its part in the lead's score.",
                    lead,
                    serde_json::to_value(submission).ok(),
                )
            }
            Found::Activity(activity) => {
                let record = activity.record.as_ref();
                (
                    PersonItemKind::Activity,
                    activity.id.to_string(),
                    "A seat holder logged an activity with the person.".to_owned(),
                    kept_for(self.keep_activities_days),
                    "Everything but its id and its times is deleted. What was written to the CRM stays there.",
                    record.map(|record| self.link(production, &record.object, &record.id)),
                    serde_json::to_value(activity).ok(),
                )
            }
            Found::Noted { kind, sk, data, .. } => {
                let (kind, reason, kept, on_erasure) = match kind {
                    Noted::Listed => (
                        PersonItemKind::ListEntry,
                        "A seat holder saved the person in a list, or it was saved for an opportunity, or is listed as a champion, or a thread with the person was chosen to be logged or not.",
                        "Until it is removed from the list.",
                        "It is deleted, with its note.",
                    ),
                    Noted::Written => (
                        PersonItemKind::CrmWrite,
                        "A seat holder changed the record in the CRM; the values before are kept for a repeated request.",
                        "40 days.",
                        "The values are deleted; that there was a change stays.",
                    ),
                };
                let reason = reason.to_owned();
                (
                    kind,
                    sk.clone(),
                    reason,
                    kept,
                    on_erasure,
                    None,
                    Some(data.clone()),
                )
            }
            Found::Seat(seat) => {
                let data = json!({ "name": &seat.name, "email": &seat.email, "role": seat.role });
                (
                    PersonItemKind::Seat,
                    seat.id.to_string(),
                    "The person has a seat and signs in with it.".to_owned(),
                    "Until the seat is deleted.",
                    "Nothing: delete the seat first, and erase after that.",
                    None,
                    Some(data),
                )
            }
            Found::Audit { key, entry } => (
                PersonItemKind::AuditEntry,
                key.clone(),
                format!("It records {} by {}.", entry.action, entry.actor),
                "Without an end.",
                "The person's values in it are replaced; the fact stays.",
                None,
                serde_json::to_value(entry).ok(),
            ),
        };
        PersonItem {
            kind,
            id,
            reason,
            kept: kept.to_owned(),
            on_erasure: on_erasure.to_owned(),
            crm,
            data: data.unwrap_or_default(),
        }
    }
}

/// `by a form, by a file`
fn origins(of: &[Origin]) -> String {
    let mut names: Vec<&str> = of
        .iter()
        .map(|origin| match origin {
            Origin::Submission(_) => "by a form",
            Origin::Api => "by a program or by hand",
            Origin::Csv => "by a file",
        })
        .collect();
    names.dedup();
    names.join(", ")
}

fn parse_cursor(cursor: Option<&str>) -> Result<Position, Problem> {
    let Some(cursor) = cursor else {
        return Ok(Position::default());
    };
    let position: Option<Position> = serde_json::from_str(cursor).ok();
    let is_ours = |position: &Position| {
        let after = position.after.as_deref();
        after.is_none_or(|after| (1..=MAX_AFTER).contains(&after.len()))
    };
    position.filter(is_ours).ok_or_else(invalid_cursor)
}

/// The cursor of a position, which names the people and records that were found.
///
/// # Errors
/// Returns 422 `too_many_found` if no request can give it back.
fn cursor_of(position: &Position) -> Result<String, Problem> {
    let cursor = serde_json::to_string(position).map_err(|_| Problem::internal())?;
    if Value::from(cursor.as_str()).to_string().len() > MAX_CURSOR {
        let problem = Problem::new(
            422,
            "too_many_found",
            "More people and records are found than a search can go on with.",
            "Give an address or a number of the person, or the full name instead of a part.",
        );
        return Err(problem.with_field("person"));
    }
    Ok(cursor)
}

/// A search for everything that is stored about a person.
///
/// An answer is of a bounded part of what there is: it can have few items, or none, and still have a `next`.
/// Only without a `next` everything was looked through.
#[utoipa::path(post, path = "/privacy/search", operation_id = "person_search", request_body = PersonSearch,
    responses((status = 200, body = PersonReport), (status = 400, body = Problem), (status = 422, body = Problem)))]
async fn search(
    State(app): State<Arc<App>>,
    caller: Caller<HandlePersonalData>,
    Json(input): Json<PersonSearch>,
) -> Result<Json<PersonReport>, Problem> {
    let contract = &caller.contract;
    let view = View::of(&app, contract).await?;
    let region = view.region.as_deref();
    let person = input.person.person(region)?;
    let look = Look {
        contract,
        crm: view.crm,
        region,
        person: &person,
    };
    let mut next = Some(parse_cursor(input.cursor.as_deref())?);
    let until = app.remote.clock.now().0 + SEARCH_MILLIS;
    let mut items = Vec::new();
    for _ in 0..SEARCH_PAGES {
        let Some(position) = next.take() else {
            break;
        };
        let page = app.remote.store.find_person(&look, &position).await;
        let page = page.map_err(|error| error.problem())?;
        items.extend(page.found.iter().map(|found| view.item(found)));
        next = page.next;
        if items.len() >= SEARCH_ITEMS || app.remote.clock.now().0 >= until {
            break;
        }
    }
    Ok(Json(PersonReport {
        items,
        next: next.as_ref().map(cursor_of).transpose()?,
        limits: LIMITS.to_vec(),
    }))
}

/// Erases a person's data, in the background.
///
/// The person does not come back from this moment on: imports, files and programs are held to tombstones, which
/// are keyed hashes of the addresses and numbers. What is stored is deleted within minutes, and looked for once
/// more after a quarter of an hour; then there is a signed receipt. Asked for again, it is the same erasure.
#[utoipa::path(post, path = "/privacy/erasures", operation_id = "person_erase", request_body = ErasureInput,
    responses((status = 202, body = ErasureView), (status = 422, body = Problem)))]
async fn erase(
    State(app): State<Arc<App>>,
    caller: Caller<HandlePersonalData>,
    Json(input): Json<ErasureInput>,
) -> Result<(StatusCode, Json<ErasureView>), Problem> {
    let contract = &caller.contract;
    if input.confirm != CONFIRMATION {
        let problem = Problem::new(
            422,
            "not_confirmed",
            "An erasure cannot be undone.",
            format!("Send the word {CONFIRMATION} as confirm."),
        );
        return Err(problem.with_field("confirm"));
    }
    let config = app.config(contract).await?;
    let region = config.contract.settings.default_region.as_deref();
    let person = input.person.person(region)?;
    if !person.has_address() {
        let problem = Problem::new(
            422,
            "name_alone",
            "A name alone is that of others too.",
            "Give an e-mail address, a phone number or a profile address: the search shows them.",
        );
        return Err(problem.with_field("person"));
    }
    if !person.phones.is_empty() && person.name.is_empty() {
        let problem = Problem::new(
            422,
            "number_alone",
            "A phone number without a name is that of others too.",
            "Give the person's name beside the phone number, or leave the number out.",
        );
        return Err(problem.with_field("person"));
    }
    let (remote, queue) = (&app.remote, &app.import_queue);
    let erasure = erasure::begin(remote, queue, contract, &person, &caller.actor).await;
    let erasure = erasure.map_err(|error| error.problem())?;
    Ok((StatusCode::ACCEPTED, Json(erasure.into())))
}

/// The erasures of people, the latest first. They say nothing of the people.
#[utoipa::path(get, path = "/privacy/erasures", operation_id = "person_erasures",
    responses((status = 200, body = ErasureList)))]
async fn list(
    State(app): State<Arc<App>>,
    caller: Caller<HandlePersonalData>,
) -> Result<Json<ErasureList>, Problem> {
    let erasures = app.remote.store.erasures(&caller.contract).await;
    let mut erasures = erasures.map_err(|error| error.problem())?;
    erasures.sort_by_key(|erasure| std::cmp::Reverse(erasure.asked_at));
    Ok(Json(ErasureList {
        items: erasures.into_iter().map(Into::into).collect(),
    }))
}

/// An erasure with its receipt.
#[utoipa::path(get, path = "/privacy/erasures/{id}", operation_id = "person_erasure",
    params(("id" = String, Path)), responses((status = 200, body = ErasureView), (status = 404, body = Problem)))]
async fn show(
    State(app): State<Arc<App>>,
    caller: Caller<HandlePersonalData>,
    Path(id): Path<String>,
) -> Result<Json<ErasureView>, Problem> {
    let id = id.parse().map_err(|_| Problem::not_found("erasure"))?;
    let erasure = app.remote.store.erasure(&caller.contract, id).await;
    let erasure = erasure.map_err(|error| error.problem())?;
    let erasure = erasure.ok_or_else(|| Problem::not_found("erasure"))?;
    Ok(Json(erasure.into()))
}

/// A check of a receipt's signature.
#[utoipa::path(post, path = "/privacy/receipts/check", operation_id = "person_receipt_check", request_body = Receipt,
    responses((status = 200, body = ReceiptCheck), (status = 422, body = Problem)))]
async fn check(
    State(app): State<Arc<App>>,
    caller: Caller<HandlePersonalData>,
    Json(receipt): Json<Receipt>,
) -> Result<Json<ReceiptCheck>, Problem> {
    let (store, vault) = (&app.remote.store, &app.remote.vault);
    let key = erasure::key(store, vault, &caller.contract).await;
    let key = key.map_err(|error| error.problem())?;
    let genuine = key.is_some_and(|key| receipt.is_genuine(key.as_bytes()));
    Ok(Json(ReceiptCheck {
        genuine: genuine && receipt.contract == caller.contract.as_str(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A position after that many people.
    fn after(people: usize) -> Position {
        let ids = vec!["00000000-0000-4000-8000-000000000000"; people];
        serde_json::from_value(json!({ "place": 3, "profiles": ids })).unwrap()
    }

    #[test]
    fn a_cursor_is_taken_back_or_not_given() {
        let found = after(3000);
        let cursor = cursor_of(&found).unwrap();
        assert_eq!(parse_cursor(Some(&cursor)).unwrap(), found);
        let problem = cursor_of(&after(6000)).unwrap_err();
        assert_eq!(
            (problem.status, problem.code.as_str()),
            (422, "too_many_found")
        );
    }
}
