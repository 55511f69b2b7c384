//! Activities in a CRM: created under an identity of ours, looked for before they are created again, and
//! attached to the record that they belong to (WB-2 to WB-5).
//!
//! An activity with somebody whom nobody has matched is created open and unassigned. What is closed is not
//! changed any more, so it is attached first and closed then, or both at once.

use async_trait::async_trait;
use uuid::Uuid;

use domain::activity::ActivityKind;
use domain::clock::Millis;
use domain::directory::RecordRef;

use crate::{CrmError, Outcomes};

/// Activities that are created, attached or looked for in one call at most.
pub const ACTIVITIES_AT_ONCE: usize = 200;

/// What the organisation asks of activities, and whose they are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ActivityRules {
    /// Salesforce: whether there is a field of ours that holds an activity's identity.
    pub has_identity: bool,
    /// Salesforce: the status of a new task that is open.
    pub open_status: String,
    /// Salesforce: the status of a task that is closed.
    pub closed_status: String,
    /// Salesforce: whether a task can be told to be a call.
    pub has_calls: bool,
    /// The CRM's id of the user who owns them: who signed in (Salesforce), or the one that they are bound
    /// to (Dynamics 365); none where that one is unknown or disabled.
    pub owner: Option<String>,
}

/// An activity as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivityContent {
    /// What was done.
    pub kind: ActivityKind,
    /// The identity that it has for ever.
    pub identity: Uuid,
    /// Its subject; cut where the CRM takes less.
    pub subject: String,
    /// What was said or written; cut where the CRM takes less, with a mark.
    pub text: String,
    /// When it happened.
    pub occurred_at: Millis,
}

/// An activity to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewActivity {
    /// What it says.
    pub content: ActivityContent,
    /// The record that it belongs to: then it is closed. Without one it is open and unassigned.
    pub regarding: Option<RecordRef>,
}

/// An open activity to attach to a record, and to close.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachedActivity {
    /// The CRM's id of it.
    pub id: String,
    /// What was done.
    pub kind: ActivityKind,
    /// When it happened.
    pub occurred_at: Millis,
    /// The record.
    pub regarding: RecordRef,
}

/// An activity that may have been created by a try whose answer was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoughtActivity {
    /// What was to be created.
    pub content: ActivityContent,
    /// It was not created before this.
    pub since: Millis,
}

/// An activity that is in the CRM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundActivity {
    /// The CRM's id of it.
    pub id: String,
    /// Whether it is closed: then nothing is left to do.
    pub closed: bool,
}

/// The part of a CRM that keeps activities.
#[async_trait]
pub trait Activities: Send + Sync {
    /// What the organisation asks of activities of that user. One call at most.
    ///
    /// # Errors
    /// [`CrmError::Refused`] when activities cannot be seen.
    async fn activity_rules(&self, owner: Option<&str>) -> Result<ActivityRules, CrmError>;

    /// Those of the activities that are there, in their order; what was deleted there is not. One call,
    /// and in Salesforce one more for each 2,000 tasks that look alike.
    async fn find_activities(
        &self,
        rules: &ActivityRules,
        sought: &[SoughtActivity],
    ) -> Result<Vec<Option<FoundActivity>>, CrmError>;

    /// Creates up to [`ACTIVITIES_AT_ONCE`] activities, each by itself. One call.
    ///
    /// An outcome that is [`CrmError::Missing`] or [`CrmError::Changed`] is about the record that an
    /// activity belongs to: it is gone, or no longer what it was.
    async fn create_activities(
        &self,
        rules: &ActivityRules,
        new: &[NewActivity],
    ) -> Result<Outcomes, CrmError>;

    /// Attaches up to [`ACTIVITIES_AT_ONCE`] open activities to their records and closes them, each by
    /// itself. One call.
    ///
    /// An outcome that is [`CrmError::Missing`] or [`CrmError::Changed`] is about the activity or about
    /// the record.
    async fn attach_activities(
        &self,
        rules: &ActivityRules,
        attached: &[AttachedActivity],
    ) -> Result<Outcomes, CrmError>;

    /// The CRM's name of the object that such an activity is.
    fn activity_object(&self, kind: ActivityKind) -> &'static str;

    /// Whether the CRM keeps such an activity also without a record that it belongs to.
    fn keeps_unassigned(&self, kind: ActivityKind) -> bool;
}

/// The mark of a text that was cut.
const CUT: &str = " […]";

/// A text and what stands behind it, within so many UTF-16 units, as both CRMs count. The text is cut
/// where the two are too long, at the end of a character, with a mark.
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
