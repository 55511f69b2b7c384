//! A submission: one form response, and its way to exactly one lead (LG-8, LG-10).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::directory::EntryId;
use super::field::Field;
use super::ids::{ContractId, StrategyId, SubmissionId};
use super::mapping::FieldReport;
use crate::clock::Millis;
use crate::problem::Problem;

/// Where a submission came from (LG-9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// LinkedIn Lead Gen Forms.
    #[serde(rename = "linkedin")]
    LinkedIn,
    /// A website form.
    Website,
    /// Google Ads lead form extensions.
    GoogleAds,
}

impl SourceKind {
    /// The name in keys, ids and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LinkedIn => "linkedin",
            Self::Website => "website",
            Self::GoogleAds => "google_ads",
        }
    }
}

/// Where a submission stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Stored; nobody has worked on it yet.
    Received,
    /// A worker holds it until its lease ends.
    Processing,
    /// A passing fault or a limit: it goes on by itself at `due_at`.
    Waiting,
    /// A person has to do something first; the last error says what.
    NeedsAttention,
    /// A test lead: held back from the CRM until somebody asks for it.
    HeldTest,
    /// Its lead was created in the CRM.
    Created,
    /// It was attached to a lead that was there already.
    Attached,
    /// The person withdrew it at the source.
    Withdrawn,
}

impl State {
    /// Every state, for filters and tests.
    pub const ALL: [Self; 8] = [
        Self::Received,
        Self::Processing,
        Self::Waiting,
        Self::NeedsAttention,
        Self::HeldTest,
        Self::Created,
        Self::Attached,
        Self::Withdrawn,
    ];

    /// The name in the table and in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Processing => "processing",
            Self::Waiting => "waiting",
            Self::NeedsAttention => "needs_attention",
            Self::HeldTest => "held_test",
            Self::Created => "created",
            Self::Attached => "attached",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// Work that goes on by itself: the sweep looks after it.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Received | Self::Processing | Self::Waiting)
    }
}

/// Where a submission came from in the source's own terms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct Origin {
    /// The source's id of the form.
    #[serde(default)]
    pub form_id: String,
    /// The form's name, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form_name: Option<String>,
    /// The campaign, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaign: Option<String>,
    /// Further ids the source gave (ad account, creative, form version, click id, …).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, String>,
}

/// A submission as a source hands it over: authenticated, parsed, not yet stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSubmission {
    /// The contract that the request was made to.
    pub contract: ContractId,
    /// Where it came from.
    pub source: SourceKind,
    /// The source's own id of the response: the same response is stored once.
    pub response_id: String,
    /// Where it came from in the source's own terms.
    pub origin: Origin,
    /// The answers; none yet where the source sends a notice only (LinkedIn).
    pub answers: Option<Vec<Field>>,
    /// When the person sent it, where the source says so.
    pub submitted_at: Option<Millis>,
    /// The source marks it as a test.
    pub test: bool,
    /// The member withdrew it: stored as a tombstone, so that a late notice of its creation
    /// finds it withdrawn.
    pub withdrawn: bool,
}

impl NewSubmission {
    /// Its id. Google's ids are within a form: whoever has the key of one form could otherwise take the
    /// ids of another's responses before they arrive.
    #[must_use]
    pub fn id(&self) -> SubmissionId {
        let source = self.source.as_str();
        if self.source == SourceKind::GoogleAds {
            let within_form = format!("{}/{}", self.origin.form_id, self.response_id);
            return SubmissionId::derive(&self.contract, source, &within_form);
        }
        SubmissionId::derive(&self.contract, source, &self.response_id)
    }

    /// A digest of what was sent, to tell a repeat from another response under the same id.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut text = Vec::new();
        for field in self.answers.iter().flatten() {
            for part in [&field.name, &field.value] {
                text.extend_from_slice(&(part.len() as u64).to_be_bytes());
                text.extend_from_slice(part.as_bytes());
            }
        }
        crate::signature::sha256_hex(&[&text])
    }
}

/// What a worker is about to do in the CRM, written down before it does it: after a crash the
/// next worker asks the CRM whether it took effect before it does anything again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The identity that the new lead carries in the CRM.
    pub identity: Uuid,
    /// When the plan was made.
    pub planned_at: Millis,
    /// The claim that the identity belongs to, where the strategy matches.
    pub claim: Option<ClaimRef>,
    /// The strategy that was active.
    pub strategy: StrategyId,
}

/// Which claim, and which generation of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimRef {
    /// Hash of the match key.
    pub key: String,
    /// Counts leads made for this key whose predecessors no longer match it.
    pub generation: u32,
}

/// The lead in the CRM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct LeadRef {
    /// The CRM's id of the lead.
    pub id: String,
    /// A link for people.
    pub url: String,
    /// The CRM's id of its contact; none: the lead is *orphaned* (LG-4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact_id: Option<String>,
}

/// Why a submission went to the lead it went to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct Decision {
    /// The strategy that was active.
    pub strategy_id: StrategyId,
    /// Its name at that time.
    pub strategy_name: String,
    /// LG-3 as it was at that time.
    pub always_create_lead: bool,
    /// The lead fields that were compared, and for each whether the submission had a value.
    pub compared: Vec<Compared>,
    /// How many leads of the CRM matched on all of them.
    pub matching_leads: usize,
    /// In a sentence, for a person.
    pub reason: String,
}

/// One field of a match decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct Compared {
    /// The lead field.
    pub lead_field: String,
    /// Whether the submission has a value for it: a missing one matches nothing.
    pub present: bool,
}

/// One write to the CRM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct CrmWrite {
    /// When it was confirmed.
    #[cfg_attr(feature = "http-api", schema(value_type = i64))]
    pub at: Millis,
    /// `create_lead`, `fill_lead`, `delete_lead`.
    pub action: String,
    /// The fields written.
    pub fields: Vec<String>,
}

/// An error on a submission's way, kept for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct Failure {
    /// When.
    #[cfg_attr(feature = "http-api", schema(value_type = i64))]
    pub at: Millis,
    /// What, and what to do.
    pub problem: Problem,
}

/// What of a submission is in the directory, once its lead is final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InDirectory {
    /// Its person, and their company, are still to be added.
    Due(Box<matching::Record>),
    /// They were added, as far as they have an identity.
    Added {
        /// The person.
        #[serde(default)]
        profile: Option<EntryId>,
        /// The company.
        #[serde(default)]
        company: Option<EntryId>,
    },
}

/// How many errors a submission keeps; older ones give way.
pub const MAX_FAILURES: usize = 20;

/// One form response with everything that happened to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submission {
    /// Its id.
    pub id: SubmissionId,
    /// The contract it belongs to.
    pub contract: ContractId,
    /// Where it came from.
    pub source: SourceKind,
    /// The source's own id of the response.
    pub response_id: String,
    /// Where it came from in the source's own terms.
    pub origin: Origin,
    /// When it was stored.
    pub received_at: Millis,
    /// When the person sent it, where the source says so.
    #[serde(default)]
    pub submitted_at: Option<Millis>,
    /// Digest of the answers as they arrived.
    pub digest: String,
    /// The source marks it as a test.
    pub test: bool,
    /// Somebody asked for this test lead to reach the CRM.
    #[serde(default)]
    pub test_released: bool,
    /// The person withdrew it.
    #[serde(default)]
    pub withdrawn_at: Option<Millis>,
    /// The answers; none before they are fetched.
    #[serde(default)]
    pub answers: Option<Vec<Field>>,
    /// Where it stands.
    pub state: State,
    /// When it is next looked at by the sweep: end of the lease, or of the wait.
    pub due_at: Millis,
    /// How often a worker has taken it.
    pub attempts: u32,
    /// Counts writes; every write names the version it replaces.
    pub version: u64,
    /// What is about to happen in the CRM.
    #[serde(default)]
    pub plan: Option<Plan>,
    /// Why it went where it went.
    #[serde(default)]
    pub decision: Option<Decision>,
    /// The lead it became or joined.
    #[serde(default)]
    pub lead: Option<LeadRef>,
    /// Points it gave its lead.
    #[serde(default)]
    pub points: u32,
    /// The lead's score after it.
    #[serde(default)]
    pub lead_score: Option<u32>,
    /// The way of every answer into the lead.
    #[serde(default)]
    pub mapping: Vec<FieldReport>,
    /// What was written to the CRM.
    #[serde(default)]
    pub writes: Vec<CrmWrite>,
    /// Every error, the newest last.
    #[serde(default)]
    pub failures: Vec<Failure>,
    /// When it reached its final state.
    #[serde(default)]
    pub finished_at: Option<Millis>,
    /// What of it is in the directory; nothing before its lead is final.
    #[serde(default)]
    pub directory: Option<InDirectory>,
}

impl Submission {
    /// A submission as it is first stored.
    #[must_use]
    pub fn receive(new: NewSubmission, now: Millis) -> Self {
        let (id, digest) = (new.id(), new.digest());
        Self {
            id,
            contract: new.contract,
            source: new.source,
            response_id: new.response_id,
            origin: new.origin,
            received_at: now,
            submitted_at: new.submitted_at,
            digest,
            test: new.test,
            test_released: false,
            withdrawn_at: new.withdrawn.then_some(now),
            answers: new.answers,
            state: if new.withdrawn {
                State::Withdrawn
            } else {
                State::Received
            },
            due_at: now.plus_seconds(SWEEP_AFTER_SECONDS),
            attempts: 0,
            version: 1,
            plan: None,
            decision: None,
            lead: None,
            points: 0,
            lead_score: None,
            mapping: Vec::new(),
            writes: Vec::new(),
            failures: Vec::new(),
            finished_at: new.withdrawn.then_some(now),
            directory: None,
        }
    }

    /// Whether somebody has to look after it, be its lead final or not: it is announced when it is due.
    #[must_use]
    pub const fn is_due(&self) -> bool {
        self.state.is_open() || matches!(self.directory, Some(InDirectory::Due(_)))
    }

    /// Records an error; the oldest give way.
    pub fn fail(&mut self, at: Millis, problem: Problem) {
        if self.failures.len() >= MAX_FAILURES {
            self.failures.remove(0);
        }
        self.failures.push(Failure { at, problem });
    }

    /// The name of its form, or the form's id.
    #[must_use]
    pub fn form_label(&self) -> &str {
        self.origin
            .form_name
            .as_deref()
            .unwrap_or(&self.origin.form_id)
    }
}

/// How long after it was stored the sweep sends a submission that nobody took, in seconds.
pub const SWEEP_AFTER_SECONDS: i64 = 60;
