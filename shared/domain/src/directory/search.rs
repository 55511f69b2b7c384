//! The filters and the page cursor of the directory's search (SV-3).

use std::fmt;
use std::str::FromStr;

use matching::text::fold;

use super::{Entry, EntryId, EntryKind, Match, MatchState};
use crate::ids::InvalidId;

/// The filters of a search; an entry has to pass all of them. Texts match at the beginnings of words,
/// regardless of case, accents and punctuation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Text in the name, or the beginning of an e-mail address.
    pub q: Option<String>,
    /// True for entries that are in the CRM only, false for entries that are not.
    pub in_crm: Option<bool>,
    /// Text in the company's name.
    pub company: Option<String>,
    /// Text in the job title.
    pub title: Option<String>,
    /// Text in the city, state or country.
    pub place: Option<String>,
    /// The CRM's id of the linked record's owner.
    pub owner: Option<String>,
    /// The match state.
    pub state: Option<MatchState>,
    /// True for entries whose record is out of date only (SV-8), false for all others. What was dismissed is
    /// not out of date.
    pub out_of_date: Option<bool>,
}

impl Filter {
    /// Returns true if no filter is set, so that every entry passes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns true if an entry with this match passes all filters.
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
            && self
                .out_of_date
                .is_none_or(|wanted| wanted == matched.is_some_and(Match::is_out_of_date))
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

/// Returns true if `text` contains the words of `wanted` in a row; the last one may be the beginning of a
/// word. False if `wanted` has no words.
fn has_words(text: &str, wanted: &str) -> bool {
    let wanted = fold(wanted);
    !wanted.is_empty() && format!(" {}", fold(text)).contains(&format!(" {wanted}"))
}

/// The position at which a page of the directory begins; opaque to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirectoryCursor {
    /// The shard.
    pub shard: u32,
    /// The last entry of the page before; `None` at the shard's beginning.
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
