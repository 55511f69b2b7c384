//! Choices to log activities to the CRM: of an activity, of its seat holder for the thread and for the kind, of
//! the administrator (WB-6).

use serde::{Deserialize, Serialize};

use super::activity::ActivityKind;
use super::crm_settings::SyncSettings;
use crate::problem::Problem;

/// A choice to log activities to the CRM, of one activity or of a seat holder for a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum LogToCrm {
    /// They are.
    Yes,
    /// They are not.
    No,
    /// As is set one level up: for an activity by its seat holder for the kind, and where that says nothing
    /// by the administrator.
    #[default]
    Default,
}

/// The level at which it was decided whether an activity is logged to the CRM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum LogDecider {
    /// The activity itself says yes or no.
    Activity,
    /// Its seat holder has said yes or no for its whole thread.
    Thread,
    /// The seat holder's own settings say yes or no for its kind.
    SeatHolder,
    /// The administrator has switched its kind on or off, and nothing else applies.
    Administrator,
}

/// A decision whether an activity is logged to the CRM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogDecision {
    /// True if it is.
    pub logged: bool,
    /// The level that decided.
    pub by: LogDecider,
}

impl LogToCrm {
    /// Decides whether an activity with this choice is logged. `thread` is its seat holder's choice for the
    /// thread, `own` that for the kind. Nothing is logged of a kind that the administrator has switched off.
    ///
    /// # Errors
    /// Returns `logging_off` if the activity asks for logging and its kind is switched off.
    pub fn decide(
        self,
        thread: Self,
        own: Self,
        kind: ActivityKind,
        settings: &SyncSettings,
    ) -> Result<LogDecision, Problem> {
        let on = kind.is_logged(settings);
        let (logged, by) = match (self, thread, own) {
            (Self::Yes, ..) if !on => {
                return Err(Problem::new(
                    409,
                    "logging_off",
                    "Activities of this kind are not logged to the CRM.",
                    "Have an administrator switch them on in the sync settings.",
                )
                .with_field("log_to_crm"));
            }
            (Self::Yes, ..) => (true, LogDecider::Activity),
            (Self::No, ..) => (false, LogDecider::Activity),
            (Self::Default, Self::Yes | Self::No, _) if on => {
                (thread == Self::Yes, LogDecider::Thread)
            }
            (Self::Default, Self::Default, Self::Yes | Self::No) if on => {
                (own == Self::Yes, LogDecider::SeatHolder)
            }
            (Self::Default, ..) => (on, LogDecider::Administrator),
        };
        Ok(LogDecision { logged, by })
    }
}

/// A seat holder's choices to log activities to the CRM, one for each kind. They count for every activity
/// that says neither yes nor no itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct LogChoices {
    /// `InMails`.
    #[serde(default)]
    pub inmail: LogToCrm,
    /// Messages.
    #[serde(default)]
    pub message: LogToCrm,
    /// Notes.
    #[serde(default)]
    pub note: LogToCrm,
    /// Phone calls.
    #[serde(default)]
    pub call: LogToCrm,
    /// Views of smart links.
    #[serde(default)]
    pub smart_link_view: LogToCrm,
    /// Requests to connect.
    #[serde(default)]
    pub connection_request: LogToCrm,
}

impl LogChoices {
    /// The choice for a kind.
    #[must_use]
    pub const fn of(&self, kind: ActivityKind) -> LogToCrm {
        match kind {
            ActivityKind::Inmail => self.inmail,
            ActivityKind::Message => self.message,
            ActivityKind::Note => self.note,
            ActivityKind::Call => self.call,
            ActivityKind::SmartLinkView => self.smart_link_view,
            ActivityKind::ConnectionRequest => self.connection_request,
        }
    }

    /// Sets the choice for a kind.
    pub const fn set(&mut self, kind: ActivityKind, choice: LogToCrm) {
        let own = match kind {
            ActivityKind::Inmail => &mut self.inmail,
            ActivityKind::Message => &mut self.message,
            ActivityKind::Note => &mut self.note,
            ActivityKind::Call => &mut self.call,
            ActivityKind::SmartLinkView => &mut self.smart_link_view,
            ActivityKind::ConnectionRequest => &mut self.connection_request,
        };
        *own = choice;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_logged_follows_activity_seat_holder_and_administrator() {
        use LogDecider::{Activity, Administrator, SeatHolder, Thread};
        use LogToCrm::{Default as Unsaid, No, Yes};
        let off = SyncSettings::default();
        let on = SyncSettings {
            log_messages_and_inmails: true,
            log_smart_links: true,
            log_notes: true,
            log_calls: true,
            ..SyncSettings::default()
        };
        for kind in ActivityKind::ALL {
            for (choice, thread, own, logged, by) in [
                (Yes, Unsaid, Unsaid, true, Activity),
                (Yes, No, No, true, Activity),
                (No, Unsaid, Unsaid, false, Activity),
                (No, Yes, Yes, false, Activity),
                (Unsaid, Yes, No, true, Thread),
                (Unsaid, No, Yes, false, Thread),
                (Unsaid, Unsaid, Yes, true, SeatHolder),
                (Unsaid, Unsaid, No, false, SeatHolder),
                (Unsaid, Unsaid, Unsaid, true, Administrator),
            ] {
                let decided = choice.decide(thread, own, kind, &on);
                assert_eq!(decided, Ok(LogDecision { logged, by }));
            }
            // What the administrator has switched off is not logged, whatever the seat holder has chosen.
            for own in [Yes, No, Unsaid] {
                let decided = Unsaid.decide(own, own, kind, &off).unwrap();
                assert_eq!((decided.logged, decided.by), (false, Administrator));
                let refused = Yes.decide(own, own, kind, &off).unwrap_err();
                assert_eq!(refused.code, "logging_off");
                let decided = No.decide(own, own, kind, &off).unwrap();
                assert_eq!((decided.logged, decided.by), (false, Activity));
            }
        }
    }

    #[test]
    fn each_kind_has_a_choice_of_its_own_and_one_that_is_not_stored_says_nothing() {
        for kind in ActivityKind::ALL {
            let stored = serde_json::json!({ (kind.as_str()): "no" });
            let choices: LogChoices = serde_json::from_value(stored).unwrap();
            let mut set = LogChoices::default();
            set.set(kind, LogToCrm::No);
            assert_eq!(set, choices);
            for other in ActivityKind::ALL {
                let expected = if other == kind {
                    LogToCrm::No
                } else {
                    LogToCrm::Default
                };
                assert_eq!(choices.of(other), expected);
            }
        }
    }
}
