//! Seat holders' lists of people and companies (SV-4): what they save by hand, and what is saved for them
//! because of their open opportunities.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::directory::{EntryId, EntryKind, RecordRef};
use super::field::has_control_characters;
use crate::clock::Millis;
use crate::problem::Problem;

/// Maximum number of lists that a seat holder makes.
pub const MAX_LISTS: usize = 50;
/// Longest name of a list, in characters.
pub const MAX_LIST_NAME: usize = 100;
/// Longest note, in characters.
pub const MAX_NOTE: usize = 2000;
/// Maximum number of opportunities that are kept as reasons of one record. Of one with so many no further
/// opportunity is kept, so that what was removed by hand stays removed.
pub const MAX_REASONS: usize = 500;

/// Identifies one of a seat holder's lists: `people`, `companies`, or the id of one that they made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ListRef {
    /// *My people*.
    People,
    /// *My companies*.
    Companies,
    /// One that the seat holder made.
    Own(Uuid),
}

impl ListRef {
    /// The list that every seat holder has for entries of a kind.
    #[must_use]
    pub const fn of_kind(kind: EntryKind) -> Self {
        match kind {
            EntryKind::Profile => Self::People,
            EntryKind::Company => Self::Companies,
        }
    }
}

impl fmt::Display for ListRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::People => f.write_str("people"),
            Self::Companies => f.write_str("companies"),
            Self::Own(id) => id.fmt(f),
        }
    }
}

impl FromStr for ListRef {
    type Err = super::ids::InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "people" => Ok(Self::People),
            "companies" => Ok(Self::Companies),
            // The hyphenated form only, so that one id has one spelling in keys.
            _ => match Uuid::try_parse(text) {
                Ok(id) if text.len() == 36 => Ok(Self::Own(id)),
                _ => Err(super::ids::InvalidId("list")),
            },
        }
    }
}

/// A list that a seat holder made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnList {
    /// Its id.
    pub id: Uuid,
    /// Its name, unique among the seat holder's lists regardless of case.
    pub name: String,
    /// The kind of entries that it holds.
    pub kind: EntryKind,
    /// Time of creation.
    pub created_at: Millis,
}

/// All lists that a seat holder made.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OwnLists {
    /// The lists, in the order of their creation.
    pub lists: Vec<OwnList>,
    /// Counts their changes.
    pub version: u64,
}

impl OwnLists {
    /// The list of that id.
    #[must_use]
    pub fn list(&self, id: Uuid) -> Option<&OwnList> {
        self.lists.iter().find(|list| list.id == id)
    }

    fn check_name(&self, name: &str, except: Option<Uuid>) -> Result<String, Problem> {
        let name = name.trim();
        let length = name.chars().count();
        if !(1..=MAX_LIST_NAME).contains(&length) || name.chars().any(char::is_control) {
            return Err(Problem::new(
                422,
                "invalid_name",
                format!("A list's name has 1 to {MAX_LIST_NAME} characters on one line."),
                "Send another name.",
            )
            .with_field("name"));
        }
        let folded = name.to_lowercase();
        let same = |list: &&OwnList| Some(list.id) != except && list.name.to_lowercase() == folded;
        if self.lists.iter().any(|list| same(&list)) {
            return Err(Problem::new(
                409,
                "list_exists",
                "You have a list of this name.",
                "Choose another name, or use that list.",
            )
            .with_field("name"));
        }
        Ok(name.to_owned())
    }

    /// The lists with a new one.
    ///
    /// # Errors
    /// Returns a problem for a name that is taken or no name, and at the maximum number of lists.
    pub fn with(
        &self,
        id: Uuid,
        name: &str,
        kind: EntryKind,
        now: Millis,
    ) -> Result<Self, Problem> {
        let name = self.check_name(name, None)?;
        if self.lists.len() >= MAX_LISTS {
            return Err(Problem::new(
                409,
                "too_many_lists",
                format!("You have {MAX_LISTS} lists, the most there can be."),
                "Delete a list that you no longer need.",
            ));
        }
        let mut next = self.next();
        next.lists.push(OwnList {
            id,
            name,
            kind,
            created_at: now,
        });
        Ok(next)
    }

    /// The lists with another name of one.
    ///
    /// # Errors
    /// Returns a problem for a name that is taken or no name, and if there is no such list.
    pub fn renamed(&self, id: Uuid, name: &str) -> Result<Self, Problem> {
        let name = self.check_name(name, Some(id))?;
        let mut next = self.next();
        let list = next.lists.iter_mut().find(|list| list.id == id);
        list.ok_or_else(|| Problem::not_found("list"))?.name = name;
        Ok(next)
    }

    /// The lists without one.
    ///
    /// # Errors
    /// Returns a problem if there is no such list.
    pub fn without(&self, id: Uuid) -> Result<Self, Problem> {
        let mut next = self.next();
        next.lists.retain(|list| list.id != id);
        if next.lists.len() == self.lists.len() {
            return Err(Problem::not_found("list"));
        }
        Ok(next)
    }

    fn next(&self) -> Self {
        Self {
            lists: self.lists.clone(),
            version: self.version + 1,
        }
    }
}

/// Checks a note: at most [`MAX_NOTE`] characters; an empty one is none.
///
/// # Errors
/// Returns a problem for a note that is too long or has control characters.
pub fn checked_note(note: Option<String>) -> Result<Option<String>, Problem> {
    let note = note.map(|note| note.trim().to_owned());
    match note.filter(|note| !note.is_empty()) {
        Some(note) if note.chars().count() > MAX_NOTE || has_control_characters(&note) => {
            Err(Problem::new(
                422,
                "invalid_note",
                format!(
                    "A note has at most {MAX_NOTE} characters, none of them control characters."
                ),
                "Send a shorter note.",
            )
            .with_field("note"))
        }
        note => Ok(note),
    }
}

/// An entry that a seat holder saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedByHand {
    /// The entry.
    pub entry: EntryId,
    /// Time of saving.
    pub since: Millis,
    /// The seat holder's note.
    #[serde(default)]
    pub note: Option<String>,
}

/// An open opportunity because of which a record was saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The CRM's id of the opportunity.
    pub opportunity: String,
    /// The name of a contact's part in it, as it was then.
    #[serde(default)]
    pub role: Option<String>,
    /// Time of saving because of it.
    pub since: Millis,
}

/// A record of the CRM that was saved for the owner of its open opportunities. The entry that is linked to it
/// is looked up when the list is read, so the list follows what people decide about matches. Nothing but its
/// seat holder removes it; it then stays as the memory of that, and is saved again for further opportunities
/// only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// The record.
    pub record: RecordRef,
    /// The opportunities, in the order in which they became reasons.
    pub reasons: Vec<Reason>,
    /// Time at which the seat holder removed it; `None` while it is in the list.
    #[serde(default)]
    pub removed_at: Option<Millis>,
    /// The seat holder's note.
    #[serde(default)]
    pub note: Option<String>,
    /// Counts its changes.
    pub version: u64,
}

impl Saved {
    /// The record as it is after saving it because of an opportunity; `None` if nothing changes: it was saved
    /// because of that opportunity before, whether or not it was removed since.
    #[must_use]
    pub fn because(before: Option<&Self>, record: &RecordRef, reason: Reason) -> Option<Self> {
        let Some(before) = before else {
            return Some(Self {
                record: record.clone(),
                reasons: vec![reason],
                removed_at: None,
                note: None,
                version: 1,
            });
        };
        let mut reasons = before.reasons.iter();
        if reasons.any(|known| known.opportunity == reason.opportunity)
            || before.reasons.len() >= MAX_REASONS
        {
            return None;
        }
        let mut after = before.clone();
        after.reasons.push(reason);
        after.removed_at = None;
        after.version += 1;
        Some(after)
    }

    /// The record as it is after its seat holder removed it; `None` if it was removed before.
    #[must_use]
    pub fn removed(&self, now: Millis) -> Option<Self> {
        self.removed_at.is_none().then(|| Self {
            removed_at: Some(now),
            note: None,
            version: self.version + 1,
            ..self.clone()
        })
    }

    /// The record with a note.
    #[must_use]
    pub fn noted(&self, note: Option<String>) -> Self {
        Self {
            note,
            version: self.version + 1,
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::{ListRef, MAX_LISTS, MAX_NOTE, MAX_REASONS, OwnLists, Reason, Saved, checked_note};
    use crate::clock::Millis;
    use crate::directory::{EntryKind, RecordRef};

    fn because(before: Option<&Saved>, opportunity: &str) -> Option<Saved> {
        let record = RecordRef::new("Contact", "003");
        let reason = Reason {
            opportunity: opportunity.to_owned(),
            role: None,
            since: Millis(5),
        };
        Saved::because(before, &record, reason)
    }

    #[test]
    fn what_was_removed_by_hand_is_saved_again_for_another_opportunity_only() {
        let saved = because(None, "1").unwrap();
        assert_eq!(because(Some(&saved), "1"), None);
        let removed = saved.removed(Millis(9)).unwrap();
        assert_eq!(removed.removed(Millis(10)), None);
        assert_eq!(because(Some(&removed), "1"), None);
        let again = because(Some(&removed), "2").unwrap();
        assert_eq!((again.removed_at, again.reasons.len()), (None, 2));
        assert_eq!(again.version, 3);
    }

    #[test]
    fn a_record_keeps_so_many_reasons() {
        let mut saved = because(None, "0").unwrap();
        for number in 1..MAX_REASONS {
            saved = because(Some(&saved), &number.to_string()).unwrap();
        }
        assert_eq!(because(Some(&saved), "one more"), None);
    }

    #[test]
    fn lists_have_names_of_their_own() {
        let id = Uuid::from_u128;
        let lists = OwnLists::default();
        let with = |lists: &OwnLists, number: u128, name: &str| {
            lists.with(id(number), name, EntryKind::Profile, Millis(1))
        };
        let one = with(&lists, 1, " Key accounts ").unwrap();
        assert_eq!(
            (one.lists[0].name.as_str(), one.version),
            ("Key accounts", 1)
        );
        assert_eq!(
            with(&one, 2, "KEY ACCOUNTS").unwrap_err().code,
            "list_exists"
        );
        assert_eq!(with(&one, 2, "\n").unwrap_err().code, "invalid_name");
        assert_eq!(one.renamed(id(1), "key accounts").unwrap().version, 2);
        assert!(one.renamed(id(2), "Other").is_err() && one.without(id(2)).is_err());
        assert!(one.without(id(1)).unwrap().lists.is_empty());
        let mut many = lists;
        for number in 0..MAX_LISTS {
            many = with(&many, number as u128, &format!("List {number}")).unwrap();
        }
        assert_eq!(
            with(&many, 99, "One more").unwrap_err().code,
            "too_many_lists"
        );
    }

    #[test]
    fn a_list_is_named_in_one_way() {
        for text in [
            "people",
            "companies",
            "00000000-0000-0000-0000-000000000007",
        ] {
            assert_eq!(text.parse::<ListRef>().unwrap().to_string(), text);
        }
        for bad in [
            "",
            "People",
            "00000000000000000000000000000007",
            "../people",
        ] {
            assert!(bad.parse::<ListRef>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_note_is_short_text() {
        assert_eq!(checked_note(Some("  ".to_owned())).unwrap(), None);
        assert_eq!(
            checked_note(Some(" a\nb ".to_owned())).unwrap().as_deref(),
            Some("a\nb")
        );
        for bad in ["a".repeat(MAX_NOTE + 1), "\u{0}".to_owned()] {
            assert_eq!(checked_note(Some(bad)).unwrap_err().code, "invalid_note");
        }
    }
}
