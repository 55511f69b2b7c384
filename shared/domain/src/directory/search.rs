//! What the directory is searched by (SV-3).

use std::fmt;
use std::str::FromStr;

use matching::text::fold;

use super::{Entry, EntryId, EntryKind, Match, MatchState};
use crate::ids::InvalidId;

/// Which entries to list. Texts are looked for at the beginnings of words, whatever their case, accents
/// and punctuation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// In the name or an e-mail address.
    pub q: Option<String>,
    /// Only those that are a record of the CRM, or only those that are none.
    pub in_crm: Option<bool>,
    /// In the company's name.
    pub company: Option<String>,
    /// In the job title.
    pub title: Option<String>,
    /// In the city, state or country.
    pub place: Option<String>,
    /// The CRM's id of the record's owner.
    pub owner: Option<String>,
    /// In this state.
    pub state: Option<MatchState>,
}

impl Filter {
    /// Whether it lets everything pass.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it lets an entry pass.
    #[must_use]
    pub fn matches(&self, entry: &Entry, matched: Option<&Match>) -> bool {
        let record = &entry.record;
        let state = MatchState::of(entry, matched);
        let link = matched.and_then(|matched| matched.link.as_ref());
        let company = match entry.kind {
            EntryKind::Profile => &record.company,
            EntryKind::Company => &record.name,
        };
        self.state.is_none_or(|wanted| wanted == state)
            && self.in_crm.is_none_or(|wanted| wanted == state.in_crm())
            && wanted(self.owner.as_ref(), |owner| {
                link.is_some_and(|link| link.owner.as_deref() == Some(owner))
            })
            && wanted(self.company.as_ref(), |text| has_words(company, text))
            && wanted(self.title.as_ref(), |text| has_words(&record.title, text))
            && wanted(self.place.as_ref(), |text| {
                let mut places = [&record.city, &record.state, &record.country].into_iter();
                places.any(|place| has_words(place, text))
            })
            && wanted(self.q.as_ref(), |text| {
                let email = text.trim().to_lowercase();
                let mut emails = record.emails.iter();
                has_words(&entry.name(), text)
                    || has_words(&format!("{} {}", record.first_name, record.last_name), text)
                    || (!email.is_empty()
                        && emails.any(|known| known.to_lowercase().starts_with(&email)))
            })
    }
}

fn wanted(filter: Option<&String>, has: impl FnOnce(&str) -> bool) -> bool {
    filter.is_none_or(|text| has(text))
}

/// Whether the words of `wanted` stand in `text` in a row, the last one maybe cut off.
fn has_words(text: &str, wanted: &str) -> bool {
    let wanted = fold(wanted);
    !wanted.is_empty() && format!(" {}", fold(text)).contains(&format!(" {wanted}"))
}

/// Where a page of the directory begins: opaque to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirectoryCursor {
    /// The shard.
    pub shard: u32,
    /// The entry that was the last one; none at the shard's beginning.
    pub after: Option<EntryId>,
}

impl fmt::Display for DirectoryCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.", self.shard)?;
        self.after.map_or(Ok(()), |after| write!(f, "{after}"))
    }
}

impl FromStr for DirectoryCursor {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let (shard, after) = text.split_once('.').ok_or(InvalidId("cursor"))?;
        let after = match after {
            "" => None,
            id => Some(id.parse().map_err(|_| InvalidId("cursor"))?),
        };
        Ok(Self {
            shard: shard.parse().map_err(|_| InvalidId("cursor"))?,
            after,
        })
    }
}
