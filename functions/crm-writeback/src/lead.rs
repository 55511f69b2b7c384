//! The lead itself: created once under an identity that is a function of its cause, or joined by
//! a submission that matches it.

use std::collections::BTreeMap;

use serde_json::Value;
use shared::crm::{
    self, Criterion, CrmError, LeadRecord, LeadSearch, Record, Tie, Write, WrittenRecord,
};
use shared::domain::contract::{ContractConfig, match_key};
use shared::domain::ids::identity;
use shared::domain::mapping::{FieldOutcome, comparable};
use shared::domain::submission::{ClaimRef, CrmWrite, LeadRef, Plan, State, Submission};
use shared::problem::Problem;
use shared::session::SessionError;
use shared::store::{Attachment, Claim, ClaimWrite, Claimed, ConnectionKind, Finish};
use shared::texts;
use shared::writing::{self, Made, Omission};
use uuid::Uuid;

use crate::decide::Case;
use crate::setback::{Fate, Setback};
use crate::{App, LEASE_SECONDS};

/// Wait for another submission of the same person that is being written, in seconds.
const BUSY_SECONDS: i64 = 2;
/// Leads of one match key that no longer match it, skipped in one go.
const MAX_GENERATIONS: usize = 10;
/// An organisation without our fields cannot tell whether a create took effect but by looking for
/// the lead. By this time it has taken effect if it ever does, in seconds.
const SETTLE_SECONDS: i64 = 60;
/// Maximum difference between two clocks, in seconds.
const CLOCK_SKEW_SECONDS: i64 = 120;

/// A lead that was created.
struct Created {
    /// The CRM's id of the lead.
    lead_id: String,
    /// The CRM's id of the contact.
    contact_id: Option<String>,
}

impl App {
    pub(crate) async fn bring_to_lead(
        &self,
        submission: &mut Submission,
        mut case: Case<'_>,
    ) -> Result<(), Setback> {
        if let Some(plan) = submission.plan.clone()
            && let Some(lead) = self.outcome_of(submission, &plan, &case).await?
        {
            // An earlier try took effect. Under a claim another submission may have taken over
            // meanwhile: then the lead is that one's, and this one joins it if it matches.
            let claim = match &plan.claim {
                None => None,
                Some(claim) => {
                    self.remote
                        .store
                        .claim(&submission.contract, &claim.key)
                        .await?
                }
            };
            let mine = plan.claim.is_none()
                || claim
                    .as_ref()
                    .is_some_and(|claim| claim.owner == submission.id);
            if mine {
                let created = Created {
                    lead_id: lead.id.clone(),
                    contact_id: lead.contact_id.clone(),
                };
                return self
                    .finish_created(submission, &case, created, claim.as_ref(), 0)
                    .await;
            }
        }
        let key = match_key(case.strategy, &case.normals);
        let Some(key) = key else {
            let identity = identity(
                &submission.contract,
                "lead/submission",
                &[&submission.id.to_string()],
            );
            return self.create(submission, &mut case, identity).await;
        };
        case.mirrored = case.lead_match().mirrored(&self.remote.store).await?;
        let matching = self.matching_leads(&case).await?;
        if let Some(lead) = matching.first() {
            return self
                .attach(submission, &case, lead.clone(), matching.len())
                .await;
        }
        self.create_for_key(submission, &mut case, &key).await
    }

    /// The lead that an earlier try created, if it did.
    async fn outcome_of(
        &self,
        submission: &Submission,
        plan: &Plan,
        case: &Case<'_>,
    ) -> Result<Option<LeadRecord>, Setback> {
        let crm_error = |error| Setback::crm(error, case.remote);
        if case.schema.has_identity {
            let read = case.fields_to_read();
            return case
                .crm
                .lead_by_identity(&case.schema, plan.identity, &read)
                .await
                .map_err(crm_error);
        }
        // Without an identity in the CRM: a lead made since the plan with every value that was
        // sent, which no other submission made.
        let since = plan.planned_at.plus_seconds(-CLOCK_SKEW_SECONDS);
        let region = case.config.contract.settings.default_region.as_deref();
        let criteria: Vec<Criterion<'_>> = case
            .lead
            .values
            .iter()
            .filter_map(|(name, value)| {
                let field = case
                    .schema
                    .field(name)
                    .filter(|field| field.is_matchable())?;
                Some(Criterion {
                    field,
                    value,
                    normal: comparable(value, field, region)?,
                })
            })
            .collect();
        let read = case.fields_to_read();
        let search = LeadSearch {
            criteria: &criteria,
            ids: &[],
            read: &read,
            created_since: Some(since),
        };
        let found = case
            .crm
            .find_leads(&case.schema, &search)
            .await
            .map_err(crm_error)?;
        for lead in found {
            let same = criteria.iter().all(|criterion| {
                lead.values
                    .get(&criterion.field.name)
                    .and_then(|value| comparable(value, criterion.field, region))
                    .is_some_and(|normal| normal == criterion.normal)
            });
            if same {
                let attached = self
                    .remote
                    .store
                    .attachments(&submission.contract, &lead.id)
                    .await?;
                if attached.iter().all(|(id, _)| *id == submission.id) {
                    return Ok(Some(lead));
                }
            }
        }
        Ok(None)
    }

    /// Open leads that match on every field of the strategy, oldest first.
    async fn matching_leads(&self, case: &Case<'_>) -> Result<Vec<LeadRecord>, Setback> {
        let read = case.fields_to_read();
        let found = case.lead_match().leads(case.crm, &case.mirrored, &read);
        found
            .await
            .map_err(|error| Setback::crm(error, case.remote))
    }

    /// LG-3 *yes*, or nothing to match on: one lead for this submission alone.
    async fn create(
        &self,
        submission: &mut Submission,
        case: &mut Case<'_>,
        identity: Uuid,
    ) -> Result<(), Setback> {
        submission.plan = Some(Plan {
            identity,
            planned_at: self.clock.now(),
            claim: None,
            strategy: case.strategy.id,
        });
        self.remote.store.save_submission(submission).await?;
        let created = if let Some(created) = self.create_in_crm(submission, case, identity).await? {
            created
        } else {
            // Only this submission has this identity: the lead is its own, from an earlier try.
            let lead = self.by_identity(case, identity).await?;
            Created {
                lead_id: lead.id,
                contact_id: lead.contact_id,
            }
        };
        self.finish_created(submission, case, created, None, 0)
            .await
    }

    /// LG-3 *no*, and no lead matches: one lead for everybody with this match key.
    async fn create_for_key(
        &self,
        submission: &mut Submission,
        case: &mut Case<'_>,
        key: &str,
    ) -> Result<(), Setback> {
        let mut min_generation = 0;
        for _ in 0..MAX_GENERATIONS {
            let now = self.clock.now();
            let contract = submission.contract.clone();
            let strategy = case.strategy.id;
            let plan = |claim: &Claim| Plan {
                identity: claim.identity(&contract),
                planned_at: now,
                claim: Some(ClaimRef {
                    key: claim.key.clone(),
                    generation: claim.generation,
                }),
                strategy,
            };
            let lease_until = now.plus_seconds(LEASE_SECONDS);
            let claimed = self
                .remote
                .store
                .claim_match_key(submission, key, min_generation, now, lease_until, plan)
                .await?;
            let claim = match claimed {
                Claimed::Mine(claim) => *claim,
                Claimed::Busy(_) => {
                    return Err(Setback::soon(Some(now.plus_seconds(BUSY_SECONDS))));
                }
            };
            if !case.schema.has_identity {
                // Nothing but the claim keeps a second lead out here, so the CRM is asked again
                // under it: another worker may have created the lead since the first search.
                let matching = self.matching_leads(case).await?;
                if let Some(lead) = matching.first() {
                    return self
                        .attach(submission, case, lead.clone(), matching.len())
                        .await;
                }
            }
            let identity = claim.identity(&contract);
            match self.create_in_crm(submission, case, identity).await {
                Ok(Some(created)) => {
                    return self
                        .finish_created(submission, case, created, Some(&claim), 0)
                        .await;
                }
                Ok(None) => {}
                Err(setback) if setback.fate == Fate::Person => {
                    // Nothing was created, for certain: the next submission of this person need
                    // not wait for somebody to look at this one.
                    submission.plan = None;
                    let release = ClaimWrite::released(&claim, self.clock.now());
                    let finish = Finish {
                        attachment: None,
                        claim: Some(release),
                    };
                    self.remote
                        .store
                        .finish_submission(submission, finish)
                        .await?;
                    return Err(setback);
                }
                Err(setback) => return Err(setback),
            }
            let lead = self.by_identity(case, identity).await?;
            if lead.open && case.lead_match().agrees(&lead) {
                return self.attach(submission, case, lead, 1).await;
            }
            // That lead was edited, converted or closed since: it is no match any more.
            min_generation = claim.generation + 1;
        }
        Err(Setback::soon(None))
    }

    async fn by_identity(&self, case: &Case<'_>, identity: Uuid) -> Result<LeadRecord, Setback> {
        let read = case.fields_to_read();
        case.crm
            .lead_by_identity(&case.schema, identity, &read)
            .await
            .map_err(|error| Setback::crm(error, case.remote))?
            // Gone again between the two calls: decided anew.
            .ok_or_else(|| Setback::soon(None))
    }

    /// Creates the lead, and its contact where the strategy says so. Values that the CRM refuses
    /// are left out and told, of the lead and of the contact alike; a contact that it refuses as a whole
    /// leaves the lead an orphan. `None`: a lead of this identity is there already.
    async fn create_in_crm(
        &self,
        submission: &mut Submission,
        case: &mut Case<'_>,
        identity: Uuid,
    ) -> Result<Option<Created>, Setback> {
        if let Some(field) = &case.config.scoring.lead_field
            && case
                .schema
                .field(field)
                .is_some_and(|field| field.createable)
        {
            let score = case.config.scoring.score([case.points(submission, true)]);
            case.lead
                .values
                .entry(field.clone())
                .or_insert_with(|| Value::from(score));
        }
        let (crm, schema) = (case.crm, case.schema.clone());
        let with_contact = case.strategy.enable_contact_creation;
        let mut writes = writing::new_lead(crm, &schema, identity, &case.lead.values, with_contact);
        // The CRM may know more of its fields by now than our copy of its metadata; required ones
        // cannot be left out.
        let is_required = |record: Record, name: &str| {
            record == Record::Lead && schema.field(name).is_some_and(|field| field.required)
        };
        loop {
            let mut omitted = Vec::new();
            let made = writing::create(crm, &mut writes, is_required, &mut omitted).await;
            self.tell(submission, case, &omitted);
            let error = match made {
                Ok(Made::Created(written)) => return created(&writes, &written).map(Some),
                Ok(Made::Exists(_)) => {
                    let read = case.fields_to_read();
                    let there = crm
                        .lead_by_identity(&schema, identity, &read)
                        .await
                        .map_err(|error| Setback::crm(error, case.remote))?;
                    if there.is_some() {
                        return Ok(None);
                    }
                    let with_contact = writes.len();
                    writes.retain(|write| write.record != Record::Contact);
                    if writes.len() == with_contact {
                        return Err(Setback::soon(None));
                    }
                    // The lead was deleted in the CRM and its contact was not: the contact stays.
                    for lead in &mut writes {
                        lead.tie = crm.tie_to_made(identity);
                    }
                    continue;
                }
                Err(error) => error,
            };
            let in_doubt = matches!(
                error,
                CrmError::Session(SessionError::Unknown(_)) | CrmError::Unavailable(_)
            );
            let setback = Setback::crm(error, case.remote);
            if in_doubt && !schema.has_identity {
                let settled = self.clock.now().plus_seconds(SETTLE_SECONDS);
                return Err(setback.not_before(settled));
            }
            return Err(setback);
        }
    }

    /// Records on the submission what the CRM refused, and which values were left out of the write.
    fn tell(&self, submission: &mut Submission, case: &mut Case<'_>, omitted: &[Omission]) {
        for omission in omitted {
            let problem = texts::omission(omission, case.remote);
            match &omission.field {
                Some(field) if omission.record == Record::Lead => {
                    case.lead.values.remove(field);
                    report_left_out(&mut case.lead.report, field, &problem);
                }
                _ => submission.fail(self.clock.now(), problem),
            }
        }
        submission.mapping.clone_from(&case.lead.report);
    }

    async fn finish_created(
        &self,
        submission: &mut Submission,
        case: &Case<'_>,
        created: Created,
        claim: Option<&Claim>,
        matching: usize,
    ) -> Result<(), Setback> {
        let now = self.clock.now();
        let reason = case.strategy.reason(&case.normals, matching);
        let points = case.points(submission, true);
        let attachment = Attachment {
            lead_id: created.lead_id.clone(),
            points,
            created_lead: true,
            at: now,
        };
        submission.decision = Some(case.decision(matching, reason));
        submission.points = points;
        submission.lead_score = Some(case.config.scoring.score([points]));
        submission.writes.push(CrmWrite {
            at: now,
            action: "create_lead".to_owned(),
            fields: case.lead.values.keys().cloned().collect(),
        });
        submission.state = State::Created;
        submission.directory = case.due(submission);
        submission.finished_at = Some(now);
        submission.plan = None;
        let claim = claim.map(|claim| ClaimWrite::done(claim, &created.lead_id, now));
        submission.lead = Some(LeadRef {
            url: case.crm.lead_url(&created.lead_id),
            id: created.lead_id,
            contact_id: created.contact_id,
        });
        let finish = Finish {
            attachment: Some(attachment),
            claim,
        };
        Ok(self
            .remote
            .store
            .finish_submission(submission, finish)
            .await?)
    }

    /// LG-6: joins a lead. Empty fields are filled, filled ones never overwritten; the score may rise.
    async fn attach(
        &self,
        submission: &mut Submission,
        case: &Case<'_>,
        lead: LeadRecord,
        matching: usize,
    ) -> Result<(), Setback> {
        let now = self.clock.now();
        let contract = submission.contract.clone();
        let points = case.points(submission, false);
        let attachment = Attachment {
            lead_id: lead.id.clone(),
            points,
            created_lead: false,
            at: now,
        };
        // Kept before the score is counted, so that of two submissions at once the one that
        // counts last counts both.
        self.remote
            .store
            .put_attachment(&contract, submission.id, &attachment)
            .await?;
        let mut values: BTreeMap<String, Value> = case
            .lead
            .values
            .iter()
            .filter(|(name, _)| !case.lead.filled_in.contains(*name) && lead.is_empty(name))
            .filter(|(name, _)| {
                case.schema
                    .field(name)
                    .is_some_and(|field| field.updateable)
            })
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let mut written: Vec<String> = Vec::new();
        let mut score;
        let mut current = case.current_score(&lead);
        loop {
            let attached = self.remote.store.attachments(&contract, &lead.id).await?;
            score = case
                .config
                .scoring
                .score(attached.iter().map(|(_, attachment)| attachment.points));
            if let Some(field) = &case.config.scoring.lead_field
                && case
                    .schema
                    .field(field)
                    .is_some_and(|field| field.updateable)
                && f64::from(score) > current
            {
                values.insert(field.clone(), Value::from(score));
            }
            if values.is_empty() {
                break;
            }
            let update = Write::update(
                Record::Lead,
                lead.id.clone(),
                lead.etag.clone(),
                std::mem::take(&mut values),
            );
            let mut omitted = Vec::new();
            let done = writing::update(case.crm, update, &mut omitted).await;
            for omission in &omitted {
                let problem = texts::omission(omission, case.remote);
                let field = omission.field.as_deref().unwrap_or_default();
                report_left_out(&mut submission.mapping, field, &problem);
            }
            match done {
                Ok(done) => {
                    written.extend(done.values.into_keys());
                    current = f64::from(score);
                    // Counted again: another submission may have joined meanwhile. Dataverse
                    // would have refused the write; Salesforce cannot tell.
                    if case.config.scoring.lead_field.is_none() || lead.etag.is_some() {
                        break;
                    }
                }
                // Edited or deleted since it was read: decided anew from what is there now.
                Err(CrmError::Changed | CrmError::Missing) => {
                    return Err(Setback::soon(Some(now.plus_seconds(1))));
                }
                Err(error) => return Err(Setback::crm(error, case.remote)),
            }
        }
        written.sort();
        written.dedup();
        let reason = case.strategy.reason(&case.normals, matching);
        let now = self.clock.now();
        submission.decision = Some(case.decision(matching, reason));
        submission.points = points;
        submission.lead_score = Some(score);
        if !written.is_empty() {
            submission.writes.push(CrmWrite {
                at: now,
                action: "fill_lead".to_owned(),
                fields: written,
            });
        }
        submission.lead = Some(LeadRef {
            url: case.crm.lead_url(&lead.id),
            id: lead.id.clone(),
            contact_id: lead.contact_id.clone(),
        });
        submission.state = State::Attached;
        submission.directory = case.due(submission);
        submission.finished_at = Some(now);
        // A claim made on the way (the lead appeared between search and create) is done with it.
        let claim = match submission.plan.take().and_then(|plan| plan.claim) {
            None => None,
            Some(claim) => self
                .remote
                .store
                .claim(&contract, &claim.key)
                .await?
                .filter(|held| held.owner == submission.id && held.lead_id.is_none())
                .map(|held| ClaimWrite::done(&held, &lead.id, now)),
        };
        Ok(self
            .remote
            .store
            .finish_submission(
                submission,
                Finish {
                    attachment: None,
                    claim,
                },
            )
            .await?)
    }

    /// The person withdrew the submission at its source: its answers go, and the lead that it
    /// alone made goes with it where the contract says so.
    pub(crate) async fn withdraw(
        &self,
        submission: &mut Submission,
        config: &ContractConfig,
    ) -> Result<(), Setback> {
        let now = self.clock.now();
        let contract = submission.contract.clone();
        let remote = config.contract.crm.label();
        let planned = submission
            .lead
            .is_none()
            .then(|| submission.plan.as_ref().map(|plan| plan.identity))
            .flatten();
        if submission.lead.is_some() || planned.is_some() {
            let session = self
                .remote
                .sessions
                .open(&contract, ConnectionKind::PRODUCTION)
                .await
                .map_err(|error| Setback::session(error, remote))?;
            let crm = crm::open(session);
            if let Some(identity) = planned {
                let schema = self
                    .cached
                    .schema(&contract, crm.as_ref(), now)
                    .await
                    .map_err(|error| Setback::schema(error, remote))?;
                if !schema.has_identity {
                    submission.fail(now, Problem::new(
                        410,
                        "withdrawn_lead_in_doubt",
                        format!("The person withdrew this submission while its lead was being created; whether {remote} has the lead is not known."),
                        "Look for the person in the CRM and decide whether the lead stays.",
                    ));
                }
                let lead = crm
                    .lead_by_identity(&schema, identity, &[])
                    .await
                    .map_err(|error| Setback::crm(error, remote))?;
                submission.lead = lead.map(|lead| LeadRef {
                    url: crm.lead_url(&lead.id),
                    id: lead.id,
                    contact_id: lead.contact_id,
                });
            }
            if let Some(lead) = submission.lead.clone() {
                let attached = self.remote.store.attachments(&contract, &lead.id).await?;
                let own = planned.is_some()
                    || attached
                        .iter()
                        .any(|(id, attachment)| *id == submission.id && attachment.created_lead);
                let alone = attached.iter().all(|(id, _)| *id == submission.id);
                if config.contract.settings.delete_withdrawn_leads && own && alone {
                    crm.delete(Record::Lead, &lead.id)
                        .await
                        .map_err(|error| Setback::crm(error, remote))?;
                    submission.writes.push(CrmWrite {
                        at: now,
                        action: "delete_lead".to_owned(),
                        fields: Vec::new(),
                    });
                } else {
                    submission.fail(now, Problem::new(
                        410,
                        "withdrawn_lead_kept",
                        format!("The person withdrew this submission; its lead is still in {remote}."),
                        "Decide in the CRM whether the lead stays. Leads that only a withdrawn submission made can be deleted by a setting.",
                    ));
                }
            }
        }
        self.leave(submission).await?;
        submission.answers = None;
        submission.state = State::Withdrawn;
        submission.finished_at = Some(now);
        submission.plan = None;
        Ok(self.remote.store.save_submission(submission).await?)
    }
}

impl Case<'_> {
    fn points(&self, submission: &Submission, created: bool) -> u32 {
        self.config
            .scoring
            .points(&submission.origin.form_id, created)
    }

    fn current_score(&self, lead: &LeadRecord) -> f64 {
        let field = self.config.scoring.lead_field.as_ref();
        field
            .and_then(|field| lead.values.get(field))
            .and_then(Value::as_f64)
            .unwrap_or(0.0)
    }
}

/// The new lead and its contact among the records that were written.
fn created(writes: &[Write], written: &[WrittenRecord]) -> Result<Created, Setback> {
    let id = |record| {
        let found = written.iter().find(|written| written.record == record);
        found.map(|written| written.id.clone())
    };
    let tied = writes.iter().find_map(|write| match &write.tie {
        Tie::ToContact(id) => Some(id.clone()),
        Tie::None | Tie::ToContactOfRequest => None,
    });
    Ok(Created {
        lead_id: id(Record::Lead).ok_or_else(|| Setback::soon(None))?,
        contact_id: id(Record::Contact).or(tied),
    })
}

fn report_left_out(
    report: &mut [shared::domain::mapping::FieldReport],
    field: &str,
    problem: &Problem,
) {
    for entry in report
        .iter_mut()
        .filter(|entry| entry.lead_field.as_deref() == Some(field))
    {
        entry.outcome = FieldOutcome::LeftOut;
        entry.reason = Some(problem.detail.clone());
    }
}
