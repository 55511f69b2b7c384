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

/// The source of a submission (LG-9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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

/// The state of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Stored; no worker has taken it yet.
    Received,
    /// A worker holds it until its lease ends.
    Processing,
    /// Delayed by a passing fault or a limit; it resumes automatically at `due_at`.
    Waiting,
    /// A person has to act first; the last error gives the reason.
    NeedsAttention,
    /// A test lead: held back from the CRM until a user releases it.
    HeldTest,
    /// Its lead was created in the CRM.
    Created,
    /// It was attached to an existing lead.
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

    /// True for a state that continues automatically: the sweep looks after it.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Received | Self::Processing | Self::Waiting)
    }

    /// Every state in which a submission can expire: it waits neither for its turn nor for a person.
    pub const EXPIRING: [Self; 4] = [
        Self::HeldTest,
        Self::Created,
        Self::Attached,
        Self::Withdrawn,
    ];
}

/// The origin of a submission in the source's own terms.
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
    /// Further ids from the source (ad account, creative, form version, click id, …).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, String>,
}

/// A submission in the form in which a source delivers it: authenticated, parsed, not yet stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSubmission {
    /// The contract that the request was made to.
    pub contract: ContractId,
    /// Its source.
    pub source: SourceKind,
    /// The source's own id of the response: the same response is stored once.
    pub response_id: String,
    /// Its origin in the source's own terms.
    pub origin: Origin,
    /// The answers; `None` if the source sends only a notice (LinkedIn).
    pub answers: Option<Vec<Field>>,
    /// Time of sending, if the source gives it.
    pub submitted_at: Option<Millis>,
    /// True if the source marks it as a test.
    pub test: bool,
    /// True if the member withdrew it: stored as a tombstone, so that a late notice of its creation finds it
    /// withdrawn.
    pub withdrawn: bool,
}

impl NewSubmission {
    /// Derives its id. Google's ids are scoped to a form: otherwise the holder of one form's key could claim
    /// the ids of another form's responses before they arrive.
    #[must_use]
    pub fn id(&self) -> SubmissionId {
        let source = self.source.as_str();
        if self.source == SourceKind::GoogleAds {
            let within_form = format!("{}/{}", self.origin.form_id, self.response_id);
            return SubmissionId::derive(&self.contract, source, &within_form);
        }
        SubmissionId::derive(&self.contract, source, &self.response_id)
    }

    /// A digest of the content, which distinguishes a repeat from another response under the same id.
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

/// A planned write to the CRM, stored before it is made. After a crash the next worker asks the CRM whether
/// it took effect before it does anything again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The identity that the new lead carries in the CRM.
    pub identity: Uuid,
    /// Time of planning.
    pub planned_at: Millis,
    /// The claim that the identity belongs to, if the strategy matches.
    pub claim: Option<ClaimRef>,
    /// The strategy that was active.
    pub strategy: StrategyId,
}

/// A reference to a claim, with its generation.
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
    /// A link to the lead's page, for users.
    pub url: String,
    /// The CRM's id of its contact; `None` if the lead is *orphaned* (LG-4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact_id: Option<String>,
}

/// The reason for the choice of a submission's lead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct Decision {
    /// The strategy that was active.
    pub strategy_id: StrategyId,
    /// Its name at that time.
    pub strategy_name: String,
    /// The setting to always create a lead (LG-3), at that time.
    pub always_create_lead: bool,
    /// The compared lead fields, each with whether the submission had a value.
    pub compared: Vec<Compared>,
    /// Number of the CRM's leads that matched on all of them.
    pub matching_leads: usize,
    /// The reason in one sentence, for users.
    pub reason: String,
}

/// One field of a match decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct Compared {
    /// The lead field.
    pub lead_field: String,
    /// True if the submission has a value for it: a missing one matches nothing.
    pub present: bool,
}

/// One write to the CRM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct CrmWrite {
    /// Time of the CRM's confirmation.
    #[cfg_attr(feature = "http-api", schema(value_type = i64))]
    pub at: Millis,
    /// `create_lead`, `fill_lead`, `delete_lead`; of an activity `create_activity`, `attach_activity`.
    pub action: String,
    /// The fields written.
    pub fields: Vec<String>,
}

/// An error in processing a submission, stored for users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct Failure {
    /// Time of the error.
    #[cfg_attr(feature = "http-api", schema(value_type = i64))]
    pub at: Millis,
    /// The problem, with its next step.
    pub problem: Problem,
}

/// A submission's entries in the directory, once its lead is final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InDirectory {
    /// Its person, and their company, are still to be added.
    Due(Box<matching::Record>),
    /// They were added, if they have an identity.
    Added {
        /// The person.
        #[serde(default)]
        profile: Option<EntryId>,
        /// The company.
        #[serde(default)]
        company: Option<EntryId>,
    },
}

/// Maximum number of errors kept for a submission; the oldest are dropped.
pub const MAX_FAILURES: usize = 20;

/// One form response with its whole history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submission {
    /// Its id.
    pub id: SubmissionId,
    /// The contract it belongs to.
    pub contract: ContractId,
    /// Its source.
    pub source: SourceKind,
    /// The source's own id of the response.
    pub response_id: String,
    /// Its origin in the source's own terms.
    pub origin: Origin,
    /// Time of storage.
    pub received_at: Millis,
    /// Time of sending, if the source gives it.
    #[serde(default)]
    pub submitted_at: Option<Millis>,
    /// Time when its answers have been kept for as long as the contract keeps them; `None`: never.
    #[serde(default)]
    pub kept_until: Option<Millis>,
    /// Digest of the answers as they arrived.
    pub digest: String,
    /// True if the source marks it as a test.
    pub test: bool,
    /// True if a user has released this test lead to the CRM.
    #[serde(default)]
    pub test_released: bool,
    /// Time of withdrawal by the person.
    #[serde(default)]
    pub withdrawn_at: Option<Millis>,
    /// The answers; `None` until they are fetched.
    #[serde(default)]
    pub answers: Option<Vec<Field>>,
    /// Its state.
    pub state: State,
    /// Time when the sweep next looks at it: the end of the lease, or of the wait.
    pub due_at: Millis,
    /// Number of times that a worker has taken it.
    pub attempts: u32,
    /// Counts writes; every write names the version it replaces.
    pub version: u64,
    /// The planned write to the CRM.
    #[serde(default)]
    pub plan: Option<Plan>,
    /// The reason for the choice of its lead.
    #[serde(default)]
    pub decision: Option<Decision>,
    /// The lead it became or joined.
    #[serde(default)]
    pub lead: Option<LeadRef>,
    /// Points it gave its lead.
    #[serde(default)]
    pub points: u32,
    /// The lead's score including them.
    #[serde(default)]
    pub lead_score: Option<u32>,
    /// The reports on every answer.
    #[serde(default)]
    pub mapping: Vec<FieldReport>,
    /// The writes to the CRM.
    #[serde(default)]
    pub writes: Vec<CrmWrite>,
    /// Every error, the newest last.
    #[serde(default)]
    pub failures: Vec<Failure>,
    /// Time when it reached its final state.
    #[serde(default)]
    pub finished_at: Option<Millis>,
    /// Its entries in the directory; `None` until its lead is final.
    #[serde(default)]
    pub directory: Option<InDirectory>,
}

impl Submission {
    /// Time when it expires and the table deletes it; `None`: never, or not while it waits for something. What was
    /// accepted and is not in the CRM yet is not lost to a setting.
    #[must_use]
    pub fn expires_at(&self) -> Option<Millis> {
        let can = State::EXPIRING.contains(&self.state);
        self.kept_until.filter(|_| can)
    }

    /// True if it has expired: the table deletes it within a few days.
    #[must_use]
    pub fn has_expired(&self, now: Millis) -> bool {
        self.expires_at().is_some_and(|until| until <= now)
    }

    /// Time when the person sent it: what the source says, at the latest the time when it arrived.
    #[must_use]
    pub fn sent_at(&self) -> Millis {
        let sent = self.submitted_at.unwrap_or(self.received_at);
        sent.min(self.received_at)
    }

    /// Creates the first stored version of a submission.
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
            kept_until: None,
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

    /// True if it needs further work, even if its lead is final: it is announced when it is due.
    #[must_use]
    pub const fn is_due(&self) -> bool {
        self.state.is_open() || matches!(self.directory, Some(InDirectory::Due(_)))
    }

    /// Records an error; the oldest are dropped.
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

/// Delay after storage until the sweep sends a submission that no worker has taken, in seconds.
pub const SWEEP_AFTER_SECONDS: i64 = 60;
