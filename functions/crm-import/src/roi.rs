//! The run that attributes opportunities: which of them Leadbridge sourced and influenced, and why (RO-1).
//!
//! It goes over the opportunities of the mirror, and looks at those whose attribution can change: every open
//! one, so that late touches and new links are found, a closed one until a week after it was seen closed, and
//! all of them when the settings or the rules changed. A page that is done again writes the same.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::BoxFuture;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};
use shared::clock::Millis;
use shared::domain::contract::ContractConfig;
use shared::domain::directory::{Entry, EntryId, EntryKind, How, Match, Origin, RecordRef};
use shared::domain::environment::Environment;
use shared::domain::ids::{ContractId, SubmissionId};
use shared::domain::linked_record::Values;
use shared::domain::opportunity::Opportunity;
use shared::domain::roi::{self, Attribution, Facts, Rates, Touch, TouchKind};
use shared::domain::run::{Run, RunKind};
use shared::domain::schema::CrmKind;
use shared::domain::submission::{State, Submission};
use shared::domain::vocabulary::vocabulary;
use shared::opportunities::Opportunities;
use shared::store::{
    Attachment, Connection, ConnectionKind, MIRROR_SHARDS, Mirror, ROI_SHARDS, RoiState, Store,
    StoreError,
};

use crate::App;
use crate::runs::{Next, Steps};

const PRODUCTION: Environment = Environment::Production;
/// Opportunities of a page.
const PAGE: i32 = 200;
/// Opportunities that a step reads at least, if there are so many.
const STEP: usize = 200;
/// Currencies of a page.
const CURRENCIES: i32 = 100;
/// Opportunities that are looked at side by side.
const AT_ONCE: usize = 8;
/// Maximum number of merges that are followed from a contact to the one that it is now.
const MERGES: usize = 5;

/// The run.
pub(crate) struct Attributing;

/// The position from which the next step continues.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Place {
    /// True if every opportunity is looked at; `None` before the first step.
    full: Option<bool>,
    /// True while attributions are removed whose opportunities are gone.
    sweeps: bool,
    shard: u32,
    /// The last item of the shard that was looked at.
    after: Option<String>,
}

/// True if an administrator has turned on ROI reporting (CN-10).
pub(crate) fn is_on(config: &ContractConfig) -> bool {
    let settings = config.crm_settings(PRODUCTION).roi;
    settings.is_some_and(|settings| settings.enabled)
}

/// A step's work.
struct Worker<'a> {
    store: &'a Store,
    contract: &'a ContractId,
    organization: String,
    crm: CrmKind,
    value_field: Option<String>,
    /// The currency of values that name none: the organisation's only one.
    only_currency: Option<String>,
    now: Millis,
}

impl Steps for Attributing {
    const KIND: RunKind = RunKind::Roi;
    type State = Place;

    async fn step(
        app: &App,
        contract: &ContractId,
        run: &mut Run,
        state: &mut Place,
    ) -> Result<Next, StoreError> {
        let (store, now) = (&app.remote.store, app.now());
        let connection = store
            .connection(contract, ConnectionKind::PRODUCTION)
            .await?;
        let config = app.cached.config(contract, now).await?;
        let connection = connection.filter(Connection::stands);
        let (Some(connection), Some(config)) = (connection, config) else {
            return Ok(Next::Done);
        };
        if !is_on(&config) {
            return Ok(Next::Done);
        }
        let settings = config.crm_settings(PRODUCTION).roi.unwrap_or_default();
        let options = store.crm_options(contract, PRODUCTION).await?;
        let currencies = options.as_ref().map(|options| &*options.currencies);
        let only_currency = match currencies {
            Some([only]) => Some(only.code.clone()),
            _ => settings.currency,
        };
        let worker = Worker {
            store,
            contract,
            organization: connection.organization,
            crm: config.contract.crm,
            value_field: settings.won_value_field,
            only_currency,
            now,
        };
        if state.full.is_none() {
            let before = store.roi_state(contract).await?;
            state.full = Some(before.applied != worker.wanted());
        }
        let mut read = 0;
        while read < STEP {
            if !state.sweeps && state.shard >= MIRROR_SHARDS {
                (state.sweeps, state.shard, state.after) = (true, 0, None);
            }
            if state.sweeps && state.shard >= ROI_SHARDS {
                worker.end().await?;
                return Ok(Next::Done);
            }
            let looked = if state.sweeps {
                worker.sweep(state).await?
            } else {
                Box::pin(worker.page(state)).await?
            };
            let kind = if state.sweeps {
                "removed_opportunity"
            } else {
                "opportunity"
            };
            run.count(kind, looked.done);
            read += looked.read;
            if looked.next.is_none() {
                state.shard += 1;
            }
            state.after = looked.next;
        }
        Ok(Next::Step)
    }
}

/// The result of a page.
struct Looked {
    /// Number of the items that were read.
    read: usize,
    /// Number of the opportunities that were looked at, or removed.
    done: u64,
    /// The start of the shard's next page.
    next: Option<String>,
}

impl Worker<'_> {
    fn reading(&self) -> Opportunities<'_> {
        Opportunities {
            contract: self.contract,
            environment: PRODUCTION,
            crm: self.crm,
        }
    }

    fn mirror<'m>(&'m self, object: &'m str) -> Mirror<'m> {
        Mirror {
            contract: self.contract,
            environment: PRODUCTION,
            crm: self.crm,
            object,
            default_region: None,
        }
    }

    /// The settings and rules that decide about opportunities, as a text.
    fn wanted(&self) -> String {
        let field = self.value_field.as_deref().unwrap_or_default();
        format!("{} {field}", roi::RULES)
    }

    /// Attributes a page of opportunities.
    async fn page(&self, place: &Place) -> Result<Looked, StoreError> {
        let (store, contract) = (self.store, self.contract);
        let mirror = self.mirror(vocabulary(self.crm).opportunity.name);
        let page = mirror
            .shard_page(store, place.shard, place.after.as_deref(), PAGE)
            .await?;
        let read = page.items.len();
        let there = page.items.into_iter();
        let there: Vec<(Opportunity, Values)> = there
            .filter_map(|record| {
                let values = record.values?;
                Some((Opportunity::of(self.crm, &record.id, &values), values))
            })
            .collect();
        let found: Vec<(Opportunity, Facts)> = self.facts(there).await?;
        let keys: Vec<&Facts> = found.iter().map(|(_, facts)| facts).collect();
        let stored = store.attributions_of(contract, &keys).await?;
        let full = place.full == Some(true);
        let due = found.iter().filter(|(_, facts)| {
            let before = stored.get(&facts.id);
            full || !before.is_some_and(|before| before.is_settled(facts, self.now))
        });
        let mut looks: Vec<BoxFuture<'_, Result<Option<Attribution>, StoreError>>> = Vec::new();
        for (opportunity, facts) in due {
            let before = stored.get(&facts.id);
            looks.push(Box::pin(self.attributed(opportunity, facts, before)));
        }
        let done = looks.len() as u64;
        let changed: Vec<Option<Attribution>> =
            stream::iter(looks).buffered(AT_ONCE).try_collect().await?;
        let changed: Vec<Attribution> = changed.into_iter().flatten().collect();
        store
            .put_attributions(contract, &self.organization, &changed)
            .await?;
        Ok(Looked {
            read,
            done,
            next: page.next,
        })
    }

    async fn facts(
        &self,
        there: Vec<(Opportunity, Values)>,
    ) -> Result<Vec<(Opportunity, Facts)>, StoreError> {
        let opportunities: Vec<Opportunity> = there.iter().map(|(one, _)| one.clone()).collect();
        let reading = self.reading();
        let codes = reading.currencies(self.store, &opportunities).await?;
        let (crm, field) = (self.crm, self.value_field.as_deref());
        let facts = there.into_iter().filter_map(|(one, values)| {
            let mut facts = Facts::of(crm, &one, &values, field, &codes)?;
            facts.currency = facts.currency.or_else(|| self.only_currency.clone());
            Some((one, facts))
        });
        Ok(facts.collect())
    }

    /// An opportunity's attribution; `None` if it is stored so.
    async fn attributed(
        &self,
        opportunity: &Opportunity,
        facts: &Facts,
        before: Option<&Attribution>,
    ) -> Result<Option<Attribution>, StoreError> {
        let touches = self.touches(opportunity, before).await?;
        let same = before.filter(|before| before.facts == *facts);
        let since = same.map_or(self.now, |before| before.since);
        let after = Attribution::new(facts.clone(), since, touches);
        Ok(Some(after).filter(|after| before != Some(after)))
    }

    /// The records of an opportunity's people: its contacts, after merges, and the leads that became it.
    async fn people(&self, opportunity: &Opportunity) -> Result<Vec<RecordRef>, StoreError> {
        let (store, reading) = (self.store, self.reading());
        let (known, mut people) = (vocabulary(self.crm), BTreeSet::new());
        for lead in reading.leads(store, opportunity).await? {
            people.insert(RecordRef::new(known.lead.name, lead));
        }
        let contacts = reading.contacts(store, opportunity).await?.into_iter();
        let mut open: BTreeSet<String> = contacts.map(|one| one.contact).collect();
        let mirror = self.mirror(known.contact.name);
        for _ in 0..MERGES {
            let ids: Vec<&str> = open.iter().map(String::as_str).collect();
            if ids.is_empty() {
                break;
            }
            let records = mirror.records(store, &ids).await?;
            let mut merged = BTreeSet::new();
            for record in records {
                match record.merged_into {
                    Some(survivor) => {
                        merged.insert(survivor);
                    }
                    None if record.values.is_some() => {
                        people.insert(RecordRef::new(known.contact.name, record.id));
                    }
                    None => {}
                }
            }
            open = merged;
        }
        Ok(people.into_iter().collect())
    }

    /// The touches of an opportunity's people.
    async fn touches(
        &self,
        opportunity: &Opportunity,
        before: Option<&Attribution>,
    ) -> Result<Vec<Touch>, StoreError> {
        let (store, contract) = (self.store, self.contract);
        let records = self.people(opportunity).await?;
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let lead = vocabulary(self.crm).lead.name;
        let mut submissions: BTreeMap<SubmissionId, (RecordRef, Option<Attachment>)> =
            BTreeMap::new();
        for record in records.iter().filter(|record| record.object == lead) {
            for (id, attachment) in store.attachments(contract, &record.id).await? {
                submissions.insert(id, (record.clone(), Some(attachment)));
            }
        }
        let linked = store.linked(contract, PRODUCTION, &records).await?;
        let linked = linked.into_iter();
        let people: BTreeMap<EntryId, RecordRef> = linked
            .filter(|(_, entry)| entry.kind == EntryKind::Profile)
            .map(|(record, entry)| (entry.id, record))
            .collect();
        let ids: Vec<EntryId> = people.keys().copied().collect();
        let kind = EntryKind::Profile;
        let entries = store.entries(contract, kind, &ids).await?;
        let matches = store
            .entry_matches(contract, PRODUCTION, kind, &ids)
            .await?;
        let mut touches = Vec::new();
        for (id, record) in &people {
            for reach in store.reaches(contract, *id).await? {
                touches.push(reach.touch(record));
            }
            let Some(entry) = entries.get(id) else {
                continue;
            };
            for origin in &entry.origins {
                if let Origin::Submission(submission) = origin {
                    let of = submissions.entry(*submission);
                    of.or_insert_with(|| (record.clone(), None));
                }
            }
            touches.extend(created_by_user(entry, matches.get(id), record));
        }
        for (id, (record, attachment)) in &submissions {
            let submission = match store.submission(contract, *id).await {
                // One that cannot be read stops no opportunity.
                Err(error @ StoreError::Corrupt { .. }) => {
                    error.log();
                    None
                }
                submission => submission?,
            };
            let touch = match submission {
                Some(submission) => of_submission(&submission, record),
                // It has expired, or cannot be read; that it was there is known.
                None => known_of(before, *id)
                    .or_else(|| Some(of_attachment(*id, attachment.as_ref()?, record))),
            };
            touches.extend(touch);
        }
        Ok(touches)
    }

    /// Removes the attributions of a page whose opportunities are gone, or have another time of creation.
    async fn sweep(&self, place: &Place) -> Result<Looked, StoreError> {
        let (store, contract) = (self.store, self.contract);
        let page = store
            .attribution_page(contract, place.shard, place.after.as_deref(), PAGE)
            .await?;
        let ids: Vec<&str> = page.items.iter().map(|one| &*one.facts.id).collect();
        let reading = self.reading();
        let object = vocabulary(self.crm).opportunity.name;
        let there = reading.values(store, object, &ids).await?;
        let is_gone = |one: &&Attribution| {
            let values = there.get(&one.facts.id);
            let opened = values.and_then(|values| roi::opened(self.crm, values));
            opened != Some(one.facts.opened)
        };
        let gone: Vec<&Attribution> = page.items.iter().filter(is_gone).collect();
        store.remove_attributions(contract, &gone).await?;
        Ok(Looked {
            read: page.items.len(),
            done: gone.len() as u64,
            next: page.next,
        })
    }

    /// Stores the settings and rates that the run used.
    async fn end(&self) -> Result<(), StoreError> {
        let mirror = self.mirror(match self.crm {
            CrmKind::Salesforce => "CurrencyType",
            CrmKind::Dynamics365 => "transactioncurrency",
        });
        let mut rates = Rates::default();
        let mut from: Option<String> = None;
        loop {
            let page = mirror.page(self.store, from.as_deref(), CURRENCIES).await?;
            for record in page.items {
                let values = record.values.unwrap_or_default();
                rates
                    .0
                    .extend(Rates::of(self.crm, &values, record.modified));
            }
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        let state = RoiState {
            applied: self.wanted(),
            rates,
            at: Some(self.now),
        };
        self.store
            .put_roi_state(self.contract, &self.organization, &state)
            .await
    }
}

/// The touch of a record that a seat holder created for an entry. One that came in by a form has its lead from
/// that.
fn created_by_user(entry: &Entry, matched: Option<&Match>, record: &RecordRef) -> Option<Touch> {
    let by_form = |origin: &Origin| matches!(origin, Origin::Submission(_));
    let link = matched?.link.as_ref()?;
    let created = link.how == How::Created && link.record == *record;
    (created && !entry.origins.iter().any(by_form)).then(|| Touch {
        at: link.since,
        kind: TouchKind::CreatedByUser,
        id: entry.id.to_string(),
        record: record.clone(),
        seat: None,
        source: None,
        form: None,
        campaign: None,
    })
}

/// The touch of a submission that has a lead.
fn of_submission(submission: &Submission, record: &RecordRef) -> Option<Touch> {
    let kind = match submission.state {
        State::Created => TouchKind::CameInByForm,
        State::Attached => TouchKind::Submission,
        _ => return None,
    };
    let origin = &submission.origin;
    Some(Touch {
        at: submission.sent_at(),
        kind,
        id: submission.id.to_string(),
        record: record.clone(),
        seat: None,
        source: Some(submission.source),
        form: Some(origin.form_id.clone()).filter(|form| !form.is_empty()),
        campaign: origin.campaign.clone(),
    })
}

/// The touch of a submission in the attribution before.
fn known_of(before: Option<&Attribution>, id: SubmissionId) -> Option<Touch> {
    let id = id.to_string();
    let mut touches = before?.touches.iter();
    touches.find(|touch| touch.id == id).cloned()
}

/// The touch of a submission that expired before the opportunity was seen, by what its attachment to the lead
/// keeps of it.
fn of_attachment(id: SubmissionId, attachment: &Attachment, record: &RecordRef) -> Touch {
    Touch {
        at: attachment.at,
        kind: if attachment.created_lead {
            TouchKind::CameInByForm
        } else {
            TouchKind::Submission
        },
        id: id.to_string(),
        record: record.clone(),
        seat: None,
        source: None,
        form: None,
        campaign: None,
    }
}

#[cfg(test)]
mod tests {
    use shared::domain::submission::{NewSubmission, Origin, SourceKind};

    use super::*;

    #[test]
    fn a_response_that_was_pulled_late_is_of_the_time_when_it_was_sent() {
        let new = NewSubmission {
            contract: "acme".parse().unwrap(),
            source: SourceKind::LinkedIn,
            response_id: "1".to_owned(),
            origin: Origin::default(),
            answers: None,
            submitted_at: Some(Millis(1_000)),
            test: false,
            withdrawn: false,
        };
        let lead = RecordRef::new("Lead", "00Q");
        let at = |sent: Option<i64>| {
            let submitted_at = sent.map(Millis);
            let new = NewSubmission {
                submitted_at,
                ..new.clone()
            };
            let mut submission = Submission::receive(new, Millis(5_000));
            submission.state = State::Created;
            of_submission(&submission, &lead).unwrap().at.0
        };
        assert_eq!(at(Some(1_000)), 1_000);
        assert_eq!(at(None), 5_000);
        // A source whose clock is ahead.
        assert_eq!(at(Some(9_000)), 5_000);
    }

    #[test]
    fn a_response_that_expired_sources_by_what_its_lead_keeps_of_it() {
        let id: SubmissionId = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let attachment = |created_lead| Attachment {
            lead_id: "00Q".to_owned(),
            points: 0,
            created_lead,
            at: Millis(1_790_000_000_000),
        };
        let lead = RecordRef::new("Lead", "00Q");
        let first = of_attachment(id, &attachment(true), &lead);
        assert_eq!(
            (first.kind, first.at.0),
            (TouchKind::CameInByForm, 1_790_000_000_000)
        );
        assert_eq!(first.id, id.to_string());
        let later = of_attachment(id, &attachment(false), &lead);
        assert_eq!(later.kind, TouchKind::Submission);
    }
}
