//! From a submission to a decision: its answers, its mapping, and the lead it belongs to.

use std::collections::BTreeMap;
use std::sync::Arc;

use shared::crm::{self, Crm};
use shared::domain::contract::ContractConfig;
use shared::domain::mapping::{MappedLead, MappingContext, map_submission};
use shared::domain::schema::LeadSchema;
use shared::domain::strategy::MatchingStrategy;
use shared::domain::submission::{Compared, Decision, SourceKind, State, Submission};
use shared::lead_match::LeadMatch;
use shared::linkedin::LinkedInApi;
use shared::problem::Problem;
use shared::source::linkedin::{LeadFormResponse, foreign_owner};
use shared::store::ConnectionKind;

use crate::App;
use crate::setback::Setback;

/// Everything that a submission's way to its lead depends on, read once.
pub(crate) struct Case<'a> {
    pub(crate) config: &'a ContractConfig,
    pub(crate) strategy: &'a MatchingStrategy,
    pub(crate) crm: &'a dyn Crm,
    pub(crate) schema: Arc<LeadSchema>,
    pub(crate) lead: MappedLead,
    /// The normal form of each matching field's value; none where the submission has none.
    pub(crate) normals: BTreeMap<String, Option<String>>,
    /// Leads that the mirror knows under a key of those values.
    pub(crate) mirrored: Vec<String>,
    pub(crate) remote: &'static str,
}

impl App {
    /// Brings a submission to its lead.
    pub(crate) async fn work(&self, submission: &mut Submission) -> Result<(), Setback> {
        let now = self.clock.now();
        let contract = submission.contract.clone();
        let Some(config) = self.cached.config(&contract, now).await? else {
            return Err(Setback::person(Problem::not_found("contract")));
        };
        submission.kept_until = config.contract.kept_until(submission.received_at);
        if submission.withdrawn_at.is_some() {
            return self.withdraw(submission, &config).await;
        }
        if submission.source == SourceKind::LinkedIn {
            own(&submission.origin.details, &config)?;
            if submission.answers.is_none() {
                self.fetch_answers(submission, &config).await?;
            }
        }
        if submission.test && !submission.test_released && !config.contract.settings.send_test_leads
        {
            submission.state = State::HeldTest;
            submission.finished_at = Some(now);
            return Ok(self.remote.store.save_submission(submission).await?);
        }
        let remote = config.contract.crm.label();
        let session = self
            .remote
            .sessions
            .open(&contract, ConnectionKind::PRODUCTION)
            .await
            .map_err(|error| Setback::session(error, remote))?;
        let crm = crm::open(session);
        let schema = self
            .cached
            .schema(&contract, crm.as_ref(), now)
            .await
            .map_err(|error| Setback::schema(error, remote))?;
        let strategy = config.active_strategy().ok_or_else(|| {
            Setback::person(Problem::new(
                409,
                "no_active_strategy",
                "The contract has no active matching strategy.",
                "Activate a matching strategy; then send the submission again.",
            ))
        })?;
        let settings = &config.contract.settings;
        let region = settings.default_region.as_deref();
        let lead = map_submission(
            submission.answers.as_deref().unwrap_or_default(),
            MappingContext {
                mappings: &config.mappings,
                schema: &schema,
                region,
                placeholder: &settings.placeholder,
                form_name: submission.form_label(),
            },
        );
        submission.mapping.clone_from(&lead.report);
        self.discover(submission, &lead, now).await;
        if lead.values.len() == lead.filled_in.len() {
            return Err(Setback::person(Problem::new(
                422,
                "nothing_mapped",
                "No field of this submission is mapped to a lead field with a value that fits.",
                "Map the form's fields (the discovered names are listed under field mappings); then send the submission again.",
            )));
        }
        let normals = strategy.normal_values(&lead, &schema, region);
        let case = Case {
            config: &config,
            strategy,
            crm: crm.as_ref(),
            schema,
            lead,
            normals,
            mirrored: Vec::new(),
            remote,
        };
        self.bring_to_lead(submission, case).await
    }

    /// Fetches what LinkedIn's notification does not carry, and keeps it: a later try does not
    /// fetch again.
    async fn fetch_answers(
        &self,
        submission: &mut Submission,
        config: &ContractConfig,
    ) -> Result<(), Setback> {
        let session = self
            .remote
            .sessions
            .open(&submission.contract, ConnectionKind::LinkedIn)
            .await
            .map_err(|error| Setback::session(error, "LinkedIn"))?;
        let api = LinkedInApi::new(session);
        let response = api
            .response(&submission.response_id)
            .await
            .map_err(Setback::linkedin)?;
        own(&response.owners(), config)?;
        self.join_form(submission, &api, &response).await?;
        Ok(self.remote.store.save_submission(submission).await?)
    }

    async fn join_form(
        &self,
        submission: &mut Submission,
        api: &LinkedInApi,
        response: &LeadFormResponse,
    ) -> Result<(), Setback> {
        let (store, contract) = (&self.remote.store, &submission.contract);
        let form = shared::linkedin::form_of(store, api, contract, response)
            .await
            .map_err(Setback::form)?;
        shared::linkedin::join(submission, response, &form);
        Ok(())
    }
}

/// Holds a LinkedIn lead of an owner that is none of the contract's for a person.
fn own(named: &BTreeMap<String, String>, config: &ContractConfig) -> Result<(), Setback> {
    match foreign_owner(named, &config.linkedin.owners) {
        None => Ok(()),
        Some(owner) => Err(Setback::person(
            Problem::new(
                409,
                "linkedin_owner_unknown",
                format!("{owner} is not among the owners in this contract's LinkedIn settings."),
                "If its leads are this contract's, add it to the owners; then send the submission again. Nothing of the lead was fetched or written.",
            )
            .with_field("owners"),
        )),
    }
}

impl Case<'_> {
    /// The submission's values beside the leads that they could match.
    pub(crate) fn lead_match(&self) -> LeadMatch<'_> {
        LeadMatch {
            contract: &self.config.contract,
            schema: &self.schema,
            values: &self.lead.values,
            normals: &self.normals,
        }
    }

    /// The decision, for people.
    pub(crate) fn decision(&self, matching_leads: usize, reason: String) -> Decision {
        Decision {
            strategy_id: self.strategy.id,
            strategy_name: self.strategy.name.clone(),
            always_create_lead: self.strategy.always_create_lead,
            compared: self
                .strategy
                .matching_lead_fields
                .iter()
                .filter(|_| !self.strategy.always_create_lead)
                .map(|field| Compared {
                    lead_field: field.clone(),
                    present: self.normals.get(field).is_some_and(Option::is_some),
                })
                .collect(),
            matching_leads,
            reason,
        }
    }

    /// Lead fields to read of a lead: those to match on, those to fill, the score.
    pub(crate) fn fields_to_read(&self) -> Vec<String> {
        let mut names: Vec<String> = self.lead.values.keys().cloned().collect();
        names.extend(self.strategy.matching_lead_fields.iter().cloned());
        names.extend(self.config.scoring.lead_field.clone());
        names.sort();
        names.dedup();
        names
    }
}
