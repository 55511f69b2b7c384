//! Entries as they are shown: badge, contact information, explanation, candidates (SV-1 to SV-3, MA-3).

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use shared::domain::contract::ContractConfig;
use shared::domain::crm_settings::SyncSettings;
use shared::domain::directory::{
    Decision, DirectoryCursor, Entry, EntryId, EntryKind, Filter, Match, MatchState, OutdatedEntry,
    RecordRef,
};
use shared::domain::environment::Environment;
use shared::domain::ids::ContractId;
use shared::domain::inventory;
use shared::domain::normalize::fold;
use shared::domain::schema::CrmKind;
use shared::domain::vocabulary::{Role, vocabulary};
use shared::linking::{CandidateView, CrmRecord, Linking};
use shared::problem::Problem;
use shared::store::{ConnectionKind, DIRECTORY_SHARDS, Mirror, Store};
use url::Url;
use utoipa::IntoParams;

use super::super::submissions::{invalid_cursor, page_size};
use super::shapes::{
    Badge, CandidateItem, CandidateList, ContactInformation, DecisionView, EntryDetail,
    EntryHolder, EntryList, EntrySummary, ExplanationView, LinkView, RecordOwner,
};
use super::validation;
use crate::App;
use crate::auth::Caller;

/// Entries are linked to the records of the CRM that people work in.
pub(in crate::routes) const ENVIRONMENT: Environment = Environment::Production;
/// Longest text of a filter, in characters.
const MAX_FILTER: usize = 200;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Words in the name, or the beginning of an e-mail address. Texts are searched at the beginnings of
    /// words, regardless of case, accents and punctuation.
    q: Option<String>,
    /// Linked to a record of the CRM (`true`), or not (`false`).
    in_crm: Option<bool>,
    /// Words in the name of the company.
    company: Option<String>,
    /// Words in the job title.
    title: Option<String>,
    /// Words in the city, state or country.
    place: Option<String>,
    /// Linked to a record of this user of the CRM (the CRM's id).
    owner: Option<String>,
    /// In this state only.
    state: Option<MatchState>,
    /// The record's company or job title is out of date, and nobody dismissed that (`true`), or not (`false`).
    out_of_date: Option<bool>,
    /// Items of a page, 1 to 200; 50 unless given.
    limit: Option<usize>,
    /// A page's `next`.
    cursor: Option<String>,
}

fn filter_text(name: &str, text: Option<String>) -> Result<Option<String>, Problem> {
    let text = text.map(|text| text.trim().to_owned());
    match text.filter(|text| !text.is_empty()) {
        Some(text) if text.chars().count() > MAX_FILTER => Err(Problem::new(
            400,
            "invalid_filter",
            format!("{name} is longer than {MAX_FILTER} characters."),
            "Search for less text.",
        )
        .with_field(name)),
        text => Ok(text),
    }
}

/// A page of a search in a contract's directory.
pub(super) async fn list(
    app: &App,
    contract: &ContractId,
    kind: EntryKind,
    query: ListQuery,
) -> Result<EntryList, Problem> {
    let limit = page_size(query.limit)?;
    let cursor = query.cursor.as_deref().map(|cursor| {
        let cursor = cursor.parse().ok();
        cursor.filter(|cursor: &DirectoryCursor| cursor.shard < DIRECTORY_SHARDS)
    });
    let cursor = match cursor {
        Some(None) => return Err(invalid_cursor()),
        cursor => cursor.flatten(),
    };
    let filter = Filter {
        q: filter_text("q", query.q)?,
        in_crm: query.in_crm,
        company: filter_text("company", query.company)?,
        title: filter_text("title", query.title)?,
        place: filter_text("place", query.place)?,
        owner: filter_text("owner", query.owner)?,
        state: query.state,
        out_of_date: query.out_of_date,
    };
    let store = &app.remote.store;
    let found =
        store.search_directory(contract, ENVIRONMENT, kind, &filter, limit, cursor.as_ref());
    let found = found.await.map_err(|error| error.problem())?;
    let view = View::of(app, contract).await?;
    let owners = found
        .items
        .iter()
        .filter_map(|(_, matched)| owner(matched.as_ref()));
    let owners = view.owners(owners.collect()).await?;
    let items = found.items.into_iter();
    Ok(EntryList {
        items: items
            .map(|(entry, matched)| view.summary(&entry, matched.as_ref(), &owners))
            .collect(),
        next: found.next,
    })
}

/// The entry and its link.
pub(super) async fn find(
    app: &App,
    contract: &ContractId,
    kind: EntryKind,
    id: &str,
) -> Result<(Entry, Option<Match>), Problem> {
    let id = entry_id(kind, id)?;
    let store = &app.remote.store;
    let found = store
        .entry_with_match(contract, ENVIRONMENT, kind, id)
        .await;
    let found = found.map_err(|error| error.problem())?;
    found.ok_or_else(|| Problem::not_found(kind.as_str()))
}

pub(super) fn entry_id(kind: EntryKind, id: &str) -> Result<EntryId, Problem> {
    id.parse().map_err(|_| Problem::not_found(kind.as_str()))
}

/// The CRM's id of the owner of the record that an entry is linked to.
fn owner(matched: Option<&Match>) -> Option<&str> {
    matched?.link.as_ref()?.owner.as_deref()
}

/// The context for showing the entries of a contract.
pub(super) struct View<'a> {
    app: &'a App,
    contract: &'a ContractId,
    config: ContractConfig,
    /// The base address of the CRM's pages, while a connection is known.
    organization: Option<Url>,
}

impl<'a> View<'a> {
    pub(super) async fn of(app: &'a App, contract: &'a ContractId) -> Result<Self, Problem> {
        let connection = app.connection(contract, ConnectionKind::PRODUCTION).await?;
        Ok(Self {
            app,
            contract,
            config: app.config(contract).await?,
            organization: connection.map(|connection| connection.base_url),
        })
    }

    /// The table.
    pub(super) fn store(&self) -> &Store {
        &self.app.remote.store
    }

    /// The contract.
    pub(super) const fn contract(&self) -> &ContractId {
        self.contract
    }

    pub(super) const fn crm(&self) -> CrmKind {
        self.config.contract.crm
    }

    /// The region for reading phone numbers without a country code.
    pub(super) fn region(&self) -> Option<&str> {
        self.config.contract.settings.default_region.as_deref()
    }

    /// The sync settings.
    pub(super) fn sync_settings(&self) -> SyncSettings {
        let settings = self.config.crm_settings(ENVIRONMENT);
        settings.sync.unwrap_or_default()
    }

    pub(super) fn linking(&self) -> Linking<'_> {
        let (store, now) = (&self.app.remote.store, self.app.remote.clock.now());
        Linking::new(store, &self.config.contract, now)
    }

    pub(super) fn badge(&self, record: &RecordRef) -> Badge {
        let specs = inventory::objects(self.crm());
        let spec = specs.iter().find(|spec| spec.name == record.object);
        let url = self.organization.as_ref();
        Badge {
            label: spec.map_or_else(|| record.object.clone(), |spec| spec.label.to_owned()),
            url: url.map(|organization| {
                self.crm()
                    .record_url(organization, &record.object, &record.id)
                    .into()
            }),
            object: record.object.clone(),
            id: record.id.clone(),
        }
    }

    /// These users of the CRM with their names, as far as they were imported.
    pub(super) async fn owners(
        &self,
        ids: BTreeSet<&str>,
    ) -> Result<BTreeMap<String, String>, Problem> {
        let user = vocabulary(self.crm()).user;
        let (object, name) = (user.name, user.named(Role::Name));
        if ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mirror = Mirror {
            contract: self.contract,
            environment: ENVIRONMENT,
            crm: self.crm(),
            object,
            default_region: None,
        };
        let ids: Vec<&str> = ids.into_iter().collect();
        let users = mirror.records(&self.app.remote.store, &ids).await;
        let users = users.map_err(|error| error.problem())?;
        let named = users.into_iter().filter_map(|user| {
            let name = user.values?.get(name)?.as_str()?.to_owned();
            Some((user.id, name))
        });
        Ok(named.collect())
    }

    pub(super) fn owner(id: &str, names: &BTreeMap<String, String>) -> RecordOwner {
        RecordOwner {
            id: id.to_owned(),
            name: names.get(id).cloned(),
        }
    }

    fn summary(
        &self,
        entry: &Entry,
        matched: Option<&Match>,
        owners: &BTreeMap<String, String>,
    ) -> EntrySummary {
        let state = MatchState::of(entry, matched);
        let link = matched.and_then(|matched| matched.link.as_ref());
        let link = link.filter(|_| state.in_crm());
        EntrySummary {
            id: entry.id,
            kind: entry.kind,
            name: entry.name(),
            external_id: entry.external_id.clone(),
            record: entry.record.clone().into(),
            state,
            in_crm: state.in_crm(),
            badge: link.map(|link| self.badge(&link.record)),
            owner: link
                .and_then(|link| link.owner.as_deref())
                .map(|id| Self::owner(id, owners)),
            out_of_date: state.in_crm() && matched.is_some_and(Match::is_out_of_date),
            updated_at: entry.updated_at,
        }
    }

    /// Everything about an entry.
    pub(super) async fn detail<P>(
        &self,
        caller: &Caller<P>,
        entry: &Entry,
        matched: Option<&Match>,
    ) -> Result<EntryDetail, Problem> {
        let linking = self.linking();
        let owners = self.owners(owner(matched).into_iter().collect()).await?;
        let link = matched.and_then(|matched| matched.link.as_ref());
        let record = match link {
            Some(link) => linking.record_of(&link.record).await,
            None => Ok(None),
        };
        let record = record.map_err(|error| error.problem())?;
        let explanation = match &record {
            Some(record) => {
                let explained = linking.explain(entry, record).await;
                Some(explained.map_err(|error| error.problem())?)
            }
            None => None,
        };
        let decided = match &entry.decision {
            Decision::None => None,
            Decision::Matched { record, at, by } => Some((Some(self.badge(record)), *at, by)),
            Decision::Unmatched { at, by } => Some((None, *at, by)),
        };
        let by = decided.as_ref().map(|(_, _, by)| by.as_str());
        let names = self.app.names_of(self.contract, by.into_iter()).await?;
        let findings = matched.map_or(&[][..], |matched| &matched.findings);
        let state = MatchState::of(entry, matched);
        let findings = (entry, findings);
        let findings =
            validation::findings_of(self.app, self, findings, state, record.as_ref()).await?;
        let listed = matched.and_then(|matched| OutdatedEntry::of(entry.id, matched));
        let listed = listed.filter(|_| !findings.is_empty());
        let may_dismiss = Box::pin(validation::may_decide(self.app, self, caller, listed)).await?;
        Ok(EntryDetail {
            summary: self.summary(entry, matched, &owners),
            origins: entry.origins.clone(),
            created_at: entry.created_at,
            decision: decided.map(|(record, at, by)| DecisionView {
                record,
                at,
                by_name: names.get(by).cloned(),
                by: by.clone(),
            }),
            refused: entry
                .refused
                .iter()
                .map(|record| self.badge(record))
                .collect(),
            link: link.map(|link| LinkView {
                record: self.badge(&link.record),
                how: link.how,
                score: link.score,
                threshold: link.threshold,
                since: link.since,
                record_gone: link.record_gone,
                explanation: explanation.map(ExplanationView::from),
            }),
            contact: record.map(|record| self.contact(record)),
            findings,
            may_dismiss,
            compared_at: matched
                .filter(|matched| matched.entry_version > 0)
                .map(|matched| matched.at),
        })
    }

    fn contact(&self, record: CrmRecord) -> ContactInformation {
        ContactInformation {
            record: self.badge(&record.record),
            fields: record.shown.into(),
            account: record.account.map(|account| self.badge(&account)),
            converted_to: record.converted_to.map(|record| self.badge(&record)),
            modified_at: record.modified,
        }
    }

    /// The records that an entry may be, the best first.
    pub(super) async fn candidates(&self, entry: &Entry) -> Result<CandidateList, Problem> {
        let linking = self.linking();
        let found = Box::pin(linking.candidates(entry)).await;
        let found = found.map_err(|error| error.problem())?;
        let owners = found
            .iter()
            .filter_map(|found| found.record.owner.as_deref());
        let owners = self.owners(owners.collect()).await?;
        // They are of the entry's kind: no other has records of these objects.
        let holders = found.iter().filter_map(|found| found.taken_by.as_ref());
        let holders: Vec<EntryId> = holders.map(|holder| holder.id).collect();
        let store = &self.app.remote.store;
        let holders = store.entries(self.contract, entry.kind, &holders).await;
        let holders = holders.map_err(|error| error.problem())?;
        let item = |found: CandidateView| CandidateItem {
            agreeing: agreeing(entry, &found),
            record: self.badge(&found.record.record),
            owner: found
                .record
                .owner
                .as_deref()
                .map(|id| Self::owner(id, &owners)),
            linked: found.linked,
            refused: found.refused,
            taken_by: found.taken_by.map(|holder| EntryHolder {
                kind: holder.kind,
                id: holder.id,
                name: holders.get(&holder.id).map(Entry::name),
            }),
            fields: found.record.shown.into(),
            explanation: found.explanation.into(),
        };
        Ok(CandidateList {
            items: found.into_iter().map(item).collect(),
        })
    }
}

/// A field of records, by its name in answers.
type Part = (&'static str, fn(&matching::Record) -> &str);

const NAME: &[Part] = &[
    ("first_name", |record| &record.first_name),
    ("last_name", |record| &record.last_name),
    ("name", |record| &record.name),
];
const EMPLOYER: &[Part] = &[
    ("company", |record| &record.company),
    ("website", |record| &record.website),
];
const PLACE: &[Part] = &[
    ("street", |record| &record.street),
    ("city", |record| &record.city),
    ("state", |record| &record.state),
    ("postcode", |record| &record.postcode),
    ("country", |record| &record.country),
];

/// The fields of a record that agree with the entry's, by their names in answers. One comparison can cover
/// several fields: those with the same text agree, or all of them where none has the same text.
fn agreeing(entry: &Entry, found: &CandidateView) -> Vec<&'static str> {
    let (ours, theirs) = (&entry.record, &found.record.shown);
    let compared = found.explanation.fields.iter();
    let mut agreeing = Vec::new();
    for compared in compared.filter(|compared| compared.agrees) {
        let parts: &[Part] = match compared.field.as_ref() {
            "email" => {
                agreeing.push("emails");
                continue;
            }
            "phone" => {
                agreeing.push("phones");
                continue;
            }
            "name" => NAME,
            "employer" => EMPLOYER,
            "web" => &[("website", |record| &record.website)],
            "title" => &[("title", |record| &record.title)],
            "place" => PLACE,
            // The legal form is part of the name.
            _ => continue,
        };
        let shown = || parts.iter().filter(|(_, of)| !of(theirs).is_empty());
        let same = |of: fn(&matching::Record) -> &str| fold(of(ours)) == fold(of(theirs));
        let before = agreeing.len();
        agreeing.extend(shown().filter(|(_, of)| same(*of)).map(|(name, _)| *name));
        if agreeing.len() == before {
            agreeing.extend(shown().map(|(name, _)| *name));
        }
    }
    agreeing
}
