//! Activities of seat holders, on their way to the CRM: kinds, checks, subjects and states (WB-1 to
//! WB-3, WB-6 to WB-9).

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::crm_settings::SyncSettings;
use super::directory::{EntryId, EntryKind, EntryRef, RecordRef};
use super::ids::{ActivityId, ContractId, SeatId};
use super::log_choice::LogDecider;
use super::normalize::invisible::{Form, clean};
use super::submission::{CrmWrite, Failure, MAX_FAILURES, SWEEP_AFTER_SECONDS};
use crate::clock::Millis;
use crate::problem::Problem;

/// The earliest time of an activity: 2021-06-23, 00:00 UTC (WB-8).
pub const EARLIEST: Millis = Millis(1_624_406_400_000);
/// Tolerance for a client's clock that is ahead of ours, in seconds.
const CLOCK_TOLERANCE_SECONDS: i64 = 300;
/// Longest key of a client, in characters.
const MAX_KEY: usize = 200;
/// Longest name of a thread, in characters.
const MAX_THREAD: usize = 200;
/// Age from which on an activity that is sent is old, in seconds.
const OLD_AFTER_SECONDS: i64 = 24 * 3600;
/// Longest title, in characters.
const MAX_TITLE: usize = 500;
/// Longest text, in characters.
pub const MAX_TEXT: usize = 30_000;
/// Most writes to the CRM that an activity lists: it is created, then attached, and few are attached
/// again.
const MAX_WRITES: usize = 20;

/// The kind of a seat holder's activity (WB-1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ActivityKind {
    /// A message to somebody outside the seat holder's network; its title is its subject.
    Inmail,
    /// A message to a connection.
    Message,
    /// A note about a person or a company.
    Note,
    /// A phone call.
    Call,
    /// A view of shared content through a link; its title is that of the content.
    SmartLinkView,
    /// A request to connect; its text is the message with it, if there is one.
    ConnectionRequest,
}

impl ActivityKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Inmail,
        Self::Message,
        Self::Note,
        Self::Call,
        Self::SmartLinkView,
        Self::ConnectionRequest,
    ];

    /// The name in requests and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inmail => "inmail",
            Self::Message => "message",
            Self::Note => "note",
            Self::Call => "call",
            Self::SmartLinkView => "smart_link_view",
            Self::ConnectionRequest => "connection_request",
        }
    }

    /// True if it can be about such an entry. Companies take notes only (WB-3).
    #[must_use]
    pub const fn fits(self, target: EntryKind) -> bool {
        match target {
            EntryKind::Profile => true,
            EntryKind::Company => matches!(self, Self::Note),
        }
    }

    /// True if the administrator has switched on logging of the kind (WB-6, CN-9).
    #[must_use]
    pub const fn is_logged(self, settings: &SyncSettings) -> bool {
        match self {
            Self::Inmail | Self::Message | Self::ConnectionRequest => {
                settings.log_messages_and_inmails
            }
            Self::Note => settings.log_notes,
            Self::Call => settings.log_calls,
            Self::SmartLinkView => settings.log_smart_links,
        }
    }

    const fn needs_text(self) -> bool {
        matches!(self, Self::Inmail | Self::Message | Self::Note)
    }

    /// The kind of that name.
    ///
    /// # Errors
    /// Returns `unknown_kind`.
    pub fn parse(name: &str) -> Result<Self, Problem> {
        let mut all = Self::ALL.into_iter();
        all.find(|kind| kind.as_str() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str).join(", ");
            Problem::new(
                422,
                "unknown_kind",
                "There is no such kind of activity.",
                format!("Send one of {names}."),
            )
            .with_field("kind")
        })
    }
}

/// An activity as a client gives it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Given {
    /// The client's own key, which identifies the activity.
    pub key: String,
    /// Its kind, by name.
    pub kind: String,
    /// The time at which it happened.
    pub occurred_at: Millis,
    /// The thread that it belongs to.
    pub thread: Option<String>,
    /// The subject of an `InMail`, the title of a smart link.
    pub title: String,
    /// Its text.
    pub text: String,
}

/// A checked activity without its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    key: String,
    kind: ActivityKind,
    occurred_at: Millis,
    thread: Option<String>,
    title: String,
    text: String,
}

fn refused(code: &str, field: &str, detail: impl Into<String>, next: &str) -> Problem {
    Problem::new(422, code, detail, next).with_field(field)
}

fn within(text: String, field: &str, longest: usize) -> Result<String, Problem> {
    let length = text.chars().count();
    if length <= longest {
        return Ok(text);
    }
    let detail = format!("It has {length} characters; {longest} are the most.");
    Err(refused("text_too_long", field, detail, "Shorten it."))
}

impl Draft {
    /// Checks a client's activity. Removes invisible characters, and space around texts.
    ///
    /// # Errors
    /// 422 `invalid_key`, `unknown_kind`, `kind_does_not_fit`, `date_in_future`, `date_too_early`,
    /// `empty_text`, `text_too_long`, each with the field.
    pub fn check(given: Given, target: EntryKind, now: Millis) -> Result<Self, Problem> {
        let key = given.key;
        let length = key.chars().count();
        if !(1..=MAX_KEY).contains(&length) || key.chars().any(char::is_control) {
            let detail = format!("A key has 1 to {MAX_KEY} characters that can be printed.");
            let next = "Send a key of your own for each activity, such as a UUID.";
            return Err(refused("invalid_key", "idempotency_key", detail, next));
        }
        let kind = ActivityKind::parse(&given.kind)?;
        if !kind.fits(target) {
            let (detail, next) = (
                "A company takes notes only.",
                "Send it for the person that it was with.",
            );
            return Err(refused("kind_does_not_fit", "kind", detail, next));
        }
        if given.occurred_at > now.plus_seconds(CLOCK_TOLERANCE_SECONDS) {
            let detail = "It is to have happened in the future.";
            let next = "Send the time at which it happened, in milliseconds since 1970.";
            return Err(refused("date_in_future", "occurred_at", detail, next));
        }
        if given.occurred_at < EARLIEST {
            let detail = "It happened before 2021-06-23, the earliest day that is logged.";
            let next = "Leave it out, or correct its time (milliseconds since 1970).";
            return Err(refused("date_too_early", "occurred_at", detail, next));
        }
        let title = within(clean(&given.title, Form::Line).text, "title", MAX_TITLE)?;
        let text = within(clean(&given.text, Form::Lines).text, "text", MAX_TEXT)?;
        let needed = [
            ("text", kind.needs_text(), &text),
            ("title", kind == ActivityKind::SmartLinkView, &title),
        ];
        for (field, needed, text) in needed {
            if needed && text.is_empty() {
                let detail = format!("A {} has a {field}.", kind.as_str().replace('_', " "));
                let next = format!("Send its {field}, or leave the activity out.");
                return Err(refused("empty_text", field, detail, &next));
            }
        }
        let thread = given.thread.map(|thread| clean(&thread, Form::Line).text);
        let thread = thread.filter(|thread| !thread.is_empty());
        let thread = thread.map(|thread| within(thread, "thread", MAX_THREAD));
        Ok(Self {
            key,
            kind,
            occurred_at: given.occurred_at,
            thread: thread.transpose()?,
            title,
            text,
        })
    }

    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> ActivityKind {
        self.kind
    }

    /// Its thread with this person or company.
    #[must_use]
    pub fn thread_with(&self, target: EntryRef) -> Option<Thread> {
        let name = self.thread.clone()?;
        Some(Thread { target, name })
    }

    /// The activity of a seat holder with somebody, as it is first stored. `product` is the name of the
    /// product in its subject.
    #[must_use]
    pub fn with(
        self,
        contract: &ContractId,
        seat: SeatId,
        target: EntryRef,
        product: &str,
        now: Millis,
    ) -> Activity {
        let digest = self.digest(target);
        Activity {
            id: ActivityId::derive(contract, seat, &self.key),
            contract: contract.clone(),
            seat,
            key: self.key,
            kind: self.kind,
            target,
            occurred_at: self.occurred_at,
            thread: self.thread,
            title: self.title,
            text: self.text,
            product: product.to_owned(),
            digest,
            decided_by: None,
            received_at: now,
            backlog: false,
            state: ActivityState::Planned,
            due_at: now.plus_seconds(SWEEP_AFTER_SECONDS),
            attempts: 0,
            takes: 0,
            planned_at: None,
            quiet_until: Millis::default(),
            version: 1,
            record: None,
            regarding: None,
            gone: None,
            writes: Vec::new(),
            failures: Vec::new(),
            finished_at: None,
            erased_at: None,
        }
    }

    /// A digest of what it says, to tell a repeat from another activity under the same key.
    fn digest(&self, target: EntryRef) -> String {
        let at = self.occurred_at.0.to_string();
        let target = target.to_string();
        let parts = [
            self.kind.as_str(),
            &target,
            &at,
            self.thread.as_deref().unwrap_or_default(),
            &self.title,
            &self.text,
        ];
        let mut bytes = Vec::new();
        for part in parts {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        crate::signature::sha256_hex(&[&bytes])
    }
}

/// The state of an activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ActivityState {
    /// Stored and announced to the workers.
    Planned,
    /// A worker holds it until its lease ends.
    Writing,
    /// A temporary error or a limit: the next attempt is at `due_at`.
    Waiting,
    /// Its seat holder has to sign in to the CRM; then it goes on by itself (WB-9).
    WaitingForSignIn,
    /// Its seat holder is asked which record of the CRM the person or company is; then it goes on (MA-4).
    WaitingForAnswer,
    /// Nobody has matched the person or company yet. In the CRM it is open and unassigned (WB-3).
    Unresolved,
    /// It is in the CRM, closed, with the record that it belongs to.
    Written,
    /// A person has to do something first; the last error says what.
    Failed,
}

impl ActivityState {
    /// True if it goes on by itself, or after its seat holder has signed in or answered.
    #[must_use]
    pub const fn is_open(self) -> bool {
        match self {
            Self::Planned
            | Self::Writing
            | Self::Waiting
            | Self::WaitingForSignIn
            | Self::WaitingForAnswer => true,
            Self::Unresolved | Self::Written | Self::Failed => false,
        }
    }

    /// Every state, for filters and tests.
    pub const ALL: [Self; 8] = [
        Self::Planned,
        Self::Writing,
        Self::Waiting,
        Self::WaitingForSignIn,
        Self::WaitingForAnswer,
        Self::Unresolved,
        Self::Written,
        Self::Failed,
    ];

    /// The name in the table and in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Writing => "writing",
            Self::Waiting => "waiting",
            Self::WaitingForSignIn => "waiting_for_sign_in",
            Self::WaitingForAnswer => "waiting_for_answer",
            Self::Unresolved => "unresolved",
            Self::Written => "written",
            Self::Failed => "failed",
        }
    }
}

/// An activity's counterpart in the CRM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct CrmActivity {
    /// The CRM's name of its object.
    pub object: String,
    /// The CRM's id of it.
    pub id: String,
}

/// A thread of a seat holder with a person or company.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Thread {
    /// The person or company.
    pub target: EntryRef,
    /// The client's name of the thread.
    pub name: String,
}

/// An activity of a seat holder, with its history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// Its id; in the CRM too, where there is a field for it.
    pub id: ActivityId,
    /// The contract that it belongs to.
    pub contract: ContractId,
    /// Its seat holder.
    pub seat: SeatId,
    /// The client's key.
    pub key: String,
    /// Its kind.
    pub kind: ActivityKind,
    /// The person or company that it was with, or about.
    pub target: EntryRef,
    /// The time at which it happened.
    pub occurred_at: Millis,
    /// The thread that it belongs to.
    #[serde(default)]
    pub thread: Option<String>,
    /// The subject of an `InMail`, the title of a smart link.
    #[serde(default)]
    pub title: String,
    /// Its text.
    #[serde(default)]
    pub text: String,
    /// The name of the product in its subject. It stays the same when the setting changes, so that a task
    /// without our field is found again by its subject.
    pub product: String,
    /// Digest of what the client sent.
    pub digest: String,
    /// The level that decided that it is logged.
    #[serde(default)]
    pub decided_by: Option<LogDecider>,
    /// The time at which it was stored.
    pub received_at: Millis,
    /// True if it waits behind newer activities until its first attempt: it happened long before it was sent,
    /// and its contract had used up its share of the queue.
    #[serde(default)]
    pub backlog: bool,
    /// Its state.
    pub state: ActivityState,
    /// The time from which on the sweep announces it: the end of the lease, or of the wait.
    pub due_at: Millis,
    /// Number of attempts since it was last sent.
    pub attempts: u32,
    /// Number of all attempts. From the second on it is looked up in the CRM first.
    pub takes: u32,
    /// The time of the first attempt, which is the earliest at which it can be in the CRM.
    #[serde(default)]
    pub planned_at: Option<Millis>,
    /// The time until which a call without an outcome may still take effect in the CRM. No worker takes the
    /// activity before, whatever announces it.
    #[serde(default)]
    pub quiet_until: Millis,
    /// Counts writes; every write names the version it replaces.
    pub version: u64,
    /// Its counterpart in the CRM.
    #[serde(default)]
    pub record: Option<CrmActivity>,
    /// The record of the CRM that it belongs to.
    #[serde(default)]
    pub regarding: Option<RecordRef>,
    /// The record that its person was linked to when the CRM said that it is no more.
    #[serde(default)]
    pub gone: Option<RecordRef>,
    /// The writes to the CRM.
    #[serde(default)]
    pub writes: Vec<CrmWrite>,
    /// Every error, the newest last.
    #[serde(default)]
    pub failures: Vec<Failure>,
    /// The time at which it reached its final state.
    #[serde(default)]
    pub finished_at: Option<Millis>,
    /// The time at which its content was erased, because it was kept for as long as the contract keeps
    /// activities, or its person was erased. What stays identifies it, so that the same activity is not logged twice.
    #[serde(default)]
    pub erased_at: Option<Millis>,
}

impl Activity {
    /// The subject in the CRM (WB-1).
    #[must_use]
    pub fn subject(&self) -> String {
        let product = &self.product;
        let with = |start: String, title: &str| {
            if title.is_empty() {
                start
            } else {
                format!("{start} – {title}")
            }
        };
        match self.kind {
            ActivityKind::Inmail => with(format!("InMail sent from {product}"), &self.title),
            ActivityKind::Message => format!("Message sent from {product}"),
            ActivityKind::SmartLinkView => {
                with(format!("Smart Link View from {product}"), &self.title)
            }
            ActivityKind::Call => format!("Phone Call from {product}"),
            ActivityKind::Note => format!("Notes from {product}"),
            ActivityKind::ConnectionRequest => {
                let message = clean(&self.text, Form::Line).text;
                with(format!("Connection Request sent from {product}"), &message)
            }
        }
    }

    /// True if it happened long before it was sent, as the activities of an archive did.
    #[must_use]
    pub const fn is_old(&self) -> bool {
        self.received_at.since(self.occurred_at) > OLD_AFTER_SECONDS * 1000
    }

    /// Leaves a new activity to the sweep. An old one then waits behind newer ones.
    pub const fn leave_to_the_sweep(&mut self) {
        self.backlog = self.is_old();
        self.due_at = self.received_at;
    }

    /// Its place in the order of its thread.
    #[must_use]
    pub const fn place(&self) -> (Millis, ActivityId) {
        (self.occurred_at, self.id)
    }

    /// True if the later activities of its thread are written after it: it goes on by itself, or after its
    /// seat holder has signed in or answered, and it is not in the CRM yet.
    #[must_use]
    pub const fn goes_first(&self) -> bool {
        self.state.is_open() && self.record.is_none()
    }

    /// The thread whose activities are written in their order: one with this person or company.
    #[must_use]
    pub fn order_in(&self) -> Option<Thread> {
        let name = self.thread.clone()?;
        Some(Thread {
            target: self.target,
            name,
        })
    }

    /// Records an error; the oldest give way.
    pub fn fail(&mut self, at: Millis, problem: Problem) {
        if self.failures.len() >= MAX_FAILURES {
            self.failures.remove(0);
        }
        self.failures.push(Failure { at, problem });
    }

    /// Records a write to the CRM; the oldest give way.
    pub fn wrote(&mut self, write: CrmWrite) {
        if self.writes.len() >= MAX_WRITES {
            self.writes.remove(0);
        }
        self.writes.push(write);
    }

    /// True if another activity has the same content, as far as that is known: the content of one that was
    /// erased is not.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        self.is_erased() || other.is_erased() || self.digest == other.digest
    }

    /// True if its content was erased.
    #[must_use]
    pub const fn is_erased(&self) -> bool {
        self.erased_at.is_some()
    }

    /// True if it was written to the CRM before `before` and still has its content. An activity that waits, for
    /// whatever reason, keeps it.
    #[must_use]
    pub fn is_kept_too_long(&self, before: Millis) -> bool {
        self.state == ActivityState::Written
            && !self.is_erased()
            && self.finished_at.unwrap_or(self.received_at) < before
    }

    /// The activity without its content and without the person or company that it was with, at the next
    /// version.
    #[must_use]
    pub fn erased(&self, now: Millis) -> Self {
        Self {
            key: String::new(),
            target: EntryRef {
                kind: self.target.kind,
                id: EntryId(Uuid::nil()),
            },
            thread: None,
            title: String::new(),
            text: String::new(),
            digest: String::new(),
            version: self.version + 1,
            record: None,
            regarding: None,
            gone: None,
            writes: Vec::new(),
            failures: Vec::new(),
            erased_at: Some(now),
            ..self.clone()
        }
    }
}

/// The problem of a key that was already used for another activity.
#[must_use]
pub fn key_reused() -> Problem {
    Problem::new(
        409,
        "key_reused",
        "Another activity was sent with this key before.",
        "Send each activity with a key of its own, and the same activity with the same key.",
    )
    .with_field("idempotency_key")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Millis = Millis(1_800_000_000_000);

    fn given(kind: &str) -> Given {
        Given {
            key: "k".to_owned(),
            kind: kind.to_owned(),
            occurred_at: Millis(1_700_000_000_000),
            thread: None,
            title: "Hello".to_owned(),
            text: "How are\nyou?".to_owned(),
        }
    }

    fn ada() -> EntryRef {
        EntryRef {
            kind: EntryKind::Profile,
            id: EntryId(Uuid::from_u128(1)),
        }
    }

    fn activity(given: Given) -> Activity {
        let contract = "acme".parse().unwrap();
        let draft = Draft::check(given, EntryKind::Profile, NOW).unwrap();
        draft.with(
            &contract,
            SeatId(Uuid::nil()),
            ada(),
            "Sales Navigator",
            NOW,
        )
    }

    #[test]
    fn subjects_are_those_that_people_know() {
        for (kind, subject) in [
            ("inmail", "InMail sent from Sales Navigator – Hello"),
            ("message", "Message sent from Sales Navigator"),
            ("note", "Notes from Sales Navigator"),
            ("call", "Phone Call from Sales Navigator"),
            (
                "smart_link_view",
                "Smart Link View from Sales Navigator – Hello",
            ),
            (
                "connection_request",
                "Connection Request sent from Sales Navigator – How are you?",
            ),
        ] {
            assert_eq!(activity(given(kind)).subject(), subject);
        }
        let bare = Given {
            title: String::new(),
            text: "x".to_owned(),
            ..given("inmail")
        };
        assert_eq!(activity(bare).subject(), "InMail sent from Sales Navigator");
        let silent = Given {
            text: " ".to_owned(),
            ..given("connection_request")
        };
        assert_eq!(
            activity(silent).subject(),
            "Connection Request sent from Sales Navigator"
        );
    }

    #[test]
    fn what_cannot_be_says_why() {
        let text = |text: &str| text.to_owned();
        let good = || given("message");
        for (bad, target, code, field) in [
            (given("fax"), EntryKind::Profile, "unknown_kind", "kind"),
            (
                given("call"),
                EntryKind::Company,
                "kind_does_not_fit",
                "kind",
            ),
            (
                Given {
                    occurred_at: NOW.plus_seconds(301),
                    ..good()
                },
                EntryKind::Profile,
                "date_in_future",
                "occurred_at",
            ),
            (
                Given {
                    occurred_at: Millis(EARLIEST.0 - 1),
                    ..good()
                },
                EntryKind::Profile,
                "date_too_early",
                "occurred_at",
            ),
            (
                Given {
                    text: text(" \u{200b}\n"),
                    ..good()
                },
                EntryKind::Profile,
                "empty_text",
                "text",
            ),
            (
                Given {
                    title: text(""),
                    ..given("smart_link_view")
                },
                EntryKind::Profile,
                "empty_text",
                "title",
            ),
            (
                Given {
                    text: "é".repeat(MAX_TEXT + 1),
                    ..good()
                },
                EntryKind::Profile,
                "text_too_long",
                "text",
            ),
            (
                Given {
                    key: text(""),
                    ..good()
                },
                EntryKind::Profile,
                "invalid_key",
                "idempotency_key",
            ),
            (
                Given {
                    key: text("a\nb"),
                    ..good()
                },
                EntryKind::Profile,
                "invalid_key",
                "idempotency_key",
            ),
        ] {
            let problem = Draft::check(bad, target, NOW).unwrap_err();
            assert_eq!(
                (problem.code.as_str(), problem.field.as_deref()),
                (code, Some(field))
            );
            assert!(!problem.next_step.is_empty());
        }
        for at in [EARLIEST, NOW.plus_seconds(300)] {
            let edge = Given {
                occurred_at: at,
                ..good()
            };
            assert!(Draft::check(edge, EntryKind::Profile, NOW).is_ok());
        }
        assert!(Draft::check(given("note"), EntryKind::Company, NOW).is_ok());
    }

    #[test]
    fn the_same_key_is_the_same_activity_and_other_content_is_seen() {
        let first = activity(given("message"));
        let again = activity(Given {
            text: " How are\nyou? \n".to_owned(),
            ..given("message")
        });
        assert_eq!(first.id, again.id);
        assert!(first.same_as(&again));
        let thread = Some("t".to_owned());
        for other in [
            Given {
                text: "Hi".to_owned(),
                ..given("message")
            },
            Given {
                thread,
                ..given("message")
            },
            given("note"),
        ] {
            let other = activity(other);
            assert_eq!(first.id, other.id);
            assert!(!first.same_as(&other));
        }
        let other_key = Given {
            key: "K".to_owned(),
            ..given("message")
        };
        assert_ne!(first.id, activity(other_key).id);
    }

    #[test]
    fn one_that_was_written_long_ago_is_erased_and_still_known() {
        let later = NOW.plus_seconds(60);
        let mut old = activity(Given {
            thread: Some("t-1".to_owned()),
            ..given("message")
        });
        assert!(!old.is_kept_too_long(later), "it waits");
        old.state = ActivityState::Written;
        old.finished_at = Some(NOW);
        assert!(!old.is_kept_too_long(NOW) && old.is_kept_too_long(later));
        let erased = old.erased(later);
        let stored = serde_json::to_string(&erased).unwrap();
        for told in ["How are", "t-1", &old.digest, &ada().id.to_string()] {
            assert!(!stored.contains(told), "{told}: {stored}");
        }
        assert_eq!((erased.id, erased.version), (old.id, old.version + 1));
        assert!(old.same_as(&erased) && erased.same_as(&old));
        assert!(!erased.is_kept_too_long(later), "once");
    }

    proptest! {
        #[test]
        fn any_text_is_taken_within_its_limits_or_refused(
            key in "\\PC{0,210}|\\p{C}{0,3}",
            kind in prop::sample::select(ActivityKind::ALL.map(ActivityKind::as_str).to_vec()),
            at: i64,
            thread in prop::option::of("(\\PC|\\p{C}){0,210}"),
            title in "(\\PC|\\p{C}){0,520}",
            text in "(\\PC|\\p{C}){0,80}",
        ) {
            let given = Given { key, kind: kind.to_owned(), occurred_at: Millis(at), thread, title, text };
            if let Ok(draft) = Draft::check(given, EntryKind::Profile, NOW) {
                prop_assert!(draft.occurred_at >= EARLIEST && draft.occurred_at.0 <= NOW.0 + 300_000);
                let activity = draft.with(&"acme".parse().unwrap(), SeatId(Uuid::nil()), ada(), "P", NOW);
                prop_assert!(!activity.subject().contains(['\n', '\r', '\0']));
            }
        }
    }
}
