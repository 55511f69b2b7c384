//! The port for activities: they are created under an identity of ours, looked up before a second attempt,
//! and attached to the record that they belong to (WB-2 to WB-5).
//!
//! An activity with an unmatched person is created open and unassigned. A closed activity cannot be changed,
//! so an activity is attached before it is closed, or in the same call.

use std::borrow::Cow;

use async_trait::async_trait;
use uuid::Uuid;

use domain::activity::ActivityKind;
use domain::clock::Millis;
use domain::directory::RecordRef;

use crate::{CrmError, Outcomes};

/// Maximum number of activities that are created, attached or looked up in one call.
pub const ACTIVITIES_AT_ONCE: usize = 200;

/// The form in which an organisation keeps notes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NoteForm {
    /// As the CRM's other activities, created together with them.
    #[default]
    Activity,
    /// Salesforce: as a `ContentNote`, which a link joins with its record.
    Content,
    /// Salesforce without Enhanced Notes: as a classic `Note` of its record.
    Classic,
}

/// An organisation's rules for activities, and their owner.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ActivityRules {
    /// Salesforce: true if the organisation has our field for an activity's identity.
    pub has_identity: bool,
    /// Salesforce: the status of a new task that is open.
    pub open_status: String,
    /// Salesforce: the status of a task that is closed.
    pub closed_status: String,
    /// Salesforce: true if a task can have the subtype of a call.
    pub has_calls: bool,
    /// The form of notes.
    pub notes: NoteForm,
    /// The CRM's id of the owner: the user who signed in (Salesforce), or the user that activities are bound
    /// to (Dynamics 365). None if that user is unknown or disabled.
    pub owner: Option<String>,
}

impl ActivityRules {
    /// True if activities of a kind are created in a call of their own, apart from other kinds.
    #[must_use]
    pub fn keeps_apart(&self, kind: ActivityKind) -> bool {
        kind == ActivityKind::Note && self.notes != NoteForm::Activity
    }

    /// True if activities of a kind are created without their record, and attached by a further call.
    #[must_use]
    pub fn attaches_apart(&self, kind: ActivityKind) -> bool {
        kind == ActivityKind::Note && self.notes == NoteForm::Content
    }
}

/// The content of an activity as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivityContent {
    /// Its kind.
    pub kind: ActivityKind,
    /// Its identity, which never changes.
    pub identity: Uuid,
    /// Its subject; cut to the CRM's limit. If it is, all of it stands above the text.
    pub subject: String,
    /// Its text; cut to the CRM's limit with a mark, and then all of it is in a note beside the activity. A
    /// note of Salesforce begins with a line that holds its day and its identity.
    pub text: String,
    /// The time at which it happened.
    pub occurred_at: Millis,
}

/// An activity to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewActivity {
    /// Its content.
    pub content: ActivityContent,
    /// The record that it belongs to. With one it is closed, without one open and unassigned.
    pub regarding: Option<RecordRef>,
}

/// An open activity to attach to a record, and to close.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachedActivity {
    /// The CRM's id of it.
    pub id: String,
    /// Its kind.
    pub kind: ActivityKind,
    /// The time at which it happened.
    pub occurred_at: Millis,
    /// The record.
    pub regarding: RecordRef,
}

/// An activity that an earlier attempt may have created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoughtActivity {
    /// The content of that attempt.
    pub content: ActivityContent,
    /// The earliest time at which it can have been created.
    pub since: Millis,
    /// The CRM's id of it, if that is known: somebody may have edited the rest since.
    pub id: Option<String>,
}

/// An activity that is in the CRM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundActivity {
    /// The CRM's name of its object.
    pub object: &'static str,
    /// The CRM's id of it.
    pub id: String,
    /// True if it is closed.
    pub closed: bool,
    /// The CRM's id of the record that it belongs to.
    pub regarding: Option<String>,
}

/// The part of the port for activities.
#[async_trait]
pub trait Activities: Send + Sync {
    /// The organisation's rules for activities of a user. At most one call.
    ///
    /// # Errors
    /// Returns [`CrmError::Refused`] if activities cannot be read.
    async fn activity_rules(&self, owner: Option<&str>) -> Result<ActivityRules, CrmError>;

    /// Looks up activities, in their order; deleted ones are not found. One call, and in Salesforce one more
    /// for each 2,000 tasks with the same subjects, and up to four more for notes, which may be in another form
    /// than they have now.
    async fn find_activities(
        &self,
        rules: &ActivityRules,
        sought: &[SoughtActivity],
    ) -> Result<Vec<Option<FoundActivity>>, CrmError>;

    /// Creates up to [`ACTIVITIES_AT_ONCE`] activities, each by itself. One call. Kinds that the rules keep
    /// apart are not created together with others.
    ///
    /// An outcome that is [`CrmError::Missing`] or [`CrmError::Changed`] is about the record that an
    /// activity belongs to: it is gone, or no longer what it was.
    async fn create_activities(
        &self,
        rules: &ActivityRules,
        new: &[NewActivity],
    ) -> Result<Outcomes, CrmError>;

    /// Attaches up to [`ACTIVITIES_AT_ONCE`] open activities to their records and closes them, each by
    /// itself. One call. Kinds that the rules keep apart are not attached together with others.
    ///
    /// An outcome that is [`CrmError::Missing`] or [`CrmError::Changed`] is about the activity or about
    /// the record.
    async fn attach_activities(
        &self,
        rules: &ActivityRules,
        attached: &[AttachedActivity],
    ) -> Result<Outcomes, CrmError>;

    /// The CRM's name of the object for a kind of activity.
    fn activity_object(&self, rules: &ActivityRules, kind: ActivityKind) -> &'static str;

    /// True if the CRM keeps such an activity without a record that it belongs to.
    fn keeps_unassigned(&self, kind: ActivityKind) -> bool;
}

/// The mark of a text that was cut.
pub(crate) const CUT: &str = " […]";

/// The text of an activity, below its whole subject if that has more than a number of UTF-16 units. The
/// subject of a connection request is its text.
pub(crate) fn whole_text(content: &ActivityContent, subject_units: usize) -> Cow<'_, str> {
    let ActivityContent {
        kind,
        subject,
        text,
        ..
    } = content;
    let fits = subject.encode_utf16().count() <= subject_units;
    if fits || *kind == ActivityKind::ConnectionRequest {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("{subject}\n\n{text}"))
    }
}

/// A text with its ending, within a number of UTF-16 units, as both CRMs count. If both together are too
/// long, the text is cut at the end of a character, with a mark.
pub(crate) fn fitted(text: &str, behind: &str, units: usize) -> String {
    let length = |text: &str| text.encode_utf16().count();
    if length(text) + length(behind) <= units {
        return format!("{text}{behind}");
    }
    let mut left = units.saturating_sub(length(behind) + length(CUT));
    let kept = text.chars().take_while(|c| {
        let fits = c.len_utf16() <= left;
        left = left.saturating_sub(c.len_utf16());
        fits
    });
    format!("{}{CUT}{behind}", kept.collect::<String>())
}

/// A text as the rich text of a note, within a number of UTF-16 units. It is cut between two characters of
/// the text, never within an escaped one.
pub(crate) fn rich(text: &str, units: usize) -> String {
    let length = |text: &str| text.encode_utf16().count();
    let mut rich = String::with_capacity(text.len());
    let (mut used, mut cut) = (0, None);
    for letter in text.chars() {
        let mut own = [0; 4];
        let piece: &str = match letter {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            '"' => "&quot;",
            '\'' => "&#39;",
            '\n' => "<br>",
            letter => letter.encode_utf8(&mut own),
        };
        // The last place at which the mark of a cut still fits.
        if used + length(CUT) <= units {
            cut = Some(rich.len());
        }
        rich.push_str(piece);
        used += length(piece);
    }
    if used > units {
        rich.truncate(cut.unwrap_or_default());
        rich.push_str(CUT);
    }
    rich
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_that_is_too_long_is_cut_with_a_mark() {
        assert_eq!(fitted("abc", "", 3), "abc");
        assert_eq!(fitted("abcdefgh", "", 7), "abc […]");
        assert_eq!(fitted("abcdefgh", "\n#1", 10), "abc […]\n#1");
        // A character of two units is kept whole, or not at all.
        assert_eq!(fitted("😀😀😀😀", "", 7), "😀 […]");
    }

    proptest! {
        #[test]
        fn a_fitted_text_fits_and_keeps_what_stands_behind(text in "\\PC{0,60}", behind in "\\PC{0,5}", units in 20_usize..80) {
            let fitted = fitted(&text, &behind, units);
            prop_assert!(fitted.encode_utf16().count() <= units);
            prop_assert!(fitted.ends_with(&behind));
            let whole = text.encode_utf16().count() + behind.encode_utf16().count() <= units;
            prop_assert_eq!(whole, fitted == format!("{text}{behind}"));
        }
    }
}
