//! A record in normal form, ready to be compared.

use compact_str::CompactString;
use smallvec::SmallVec;

use crate::address::Place;
use crate::company::{self, CompanyName};
use crate::contact::{self, Email};
use crate::dates::{self, Date};
use crate::person::PersonName;
use crate::phone::{self, Phone};
use crate::rarity::{Counts, Slot};
use crate::tables::titles;
use crate::{Kind, Other, Record, Same, country, text};

/// Maximum number of e-mail addresses and phone numbers of a record that are compared.
const MOST: usize = 4;
/// Maximum number of other columns of a record that are compared.
const MOST_OTHERS: usize = 16;

/// A record in normal form.
#[derive(Debug, Clone, PartialEq)]
pub struct Clean {
    pub(crate) kind: Kind,
    pub(crate) person: PersonName,
    pub(crate) emails: SmallVec<[Email; 1]>,
    pub(crate) phones: SmallVec<[Phone; 1]>,
    /// A company's name, or a person's employer.
    pub(crate) company: CompanyName,
    /// Domain of the company, from its website or from an address that is not a free mailbox.
    pub(crate) domain: CompactString,
    pub(crate) domain_hash: u64,
    /// The words of a job title, each once, sorted.
    pub(crate) title: SmallVec<[u64; 4]>,
    pub(crate) title_hash: u64,
    pub(crate) place: Place,
    /// A person's date of birth, or a company's founding date.
    pub(crate) born: Option<Date>,
    /// Further values: the hash of the name, and of the value.
    pub(crate) others: Box<[(u64, u64)]>,
    /// A hash of the whole record: decides between records that are equally good.
    pub(crate) content: u64,
}

impl Clean {
    /// Creates the normal form of a record. Phone numbers without a country code are read by the record's
    /// country, or else by `region` (ISO 3166 alpha-2). Never fails: unreadable values are treated as
    /// missing.
    #[must_use]
    pub fn new(kind: Kind, record: &Record, region: Option<&str>) -> Self {
        let country = country::region_of(&text::fold(&record.country));
        let region = country.or(region);
        let mut emails: SmallVec<[Email; 1]> = SmallVec::new();
        for email in record.emails.iter().filter_map(|text| contact::email(text)) {
            if emails.len() < MOST && !emails.contains(&email) {
                emails.push(email);
            }
        }
        let mut phones: SmallVec<[Phone; 1]> = SmallVec::new();
        for phone in record
            .phones
            .iter()
            .filter_map(|text| phone::phone(text, region))
        {
            if phones.len() < MOST && !phones.contains(&phone) {
                phones.push(phone);
            }
        }
        let person = match kind {
            Kind::Person => PersonName::new(
                value(&record.first_name),
                value(&record.last_name),
                value(&record.name),
                country,
            ),
            Kind::Company => PersonName::default(),
        };
        let company = value(match kind {
            Kind::Person => &record.company,
            Kind::Company => &record.name,
        });
        let mut company = if company::says_nothing(company) {
            CompanyName::default()
        } else {
            CompanyName::new(company)
        };
        if kind == Kind::Company {
            company.locate(value(&record.city));
        }
        let domain = contact::website(&record.website)
            .or_else(|| {
                let work = emails.iter().find(|email| !email.free);
                work.map(|email| email.domain.to_string())
            })
            .unwrap_or_default();
        let title = match kind {
            Kind::Person => title_words(value(&record.title)),
            Kind::Company => SmallVec::new(),
        };
        let place = Place::new(
            value(&record.street),
            value(&record.city),
            value(&record.state),
            value(&record.postcode),
            country,
        );
        let domain_hash = if domain.is_empty() {
            0
        } else {
            text::hash(b'd', &domain)
        };
        let mut clean = Self {
            kind,
            person,
            emails,
            phones,
            company,
            domain_hash,
            domain: domain.into(),
            title_hash: text::join(b't', &title),
            title,
            place,
            born: dates::read(&record.birth_date, region),
            others: other_values(&record.others, region),
            content: 0,
        };
        clean.content = clean.hash_content();
        clean
    }

    fn hash_content(&self) -> u64 {
        let texts = [
            &self.person.first,
            &self.person.middle,
            &self.person.last,
            &self.company.core,
            &self.company.form,
            &self.domain,
            &self.place.street,
            &self.place.line,
            &self.place.extra,
            &self.place.city,
            &self.place.other_state,
            &self.place.postcode,
        ];
        let mut hash = text::join(
            b'*',
            &[self.title_hash, self.place.number, self.person.first_hash],
        );
        for value in texts {
            hash = text::join(b'*', &[hash, text::hash(b'*', value)]);
        }
        // Names that are equal when joined may be divided differently.
        for word in &self.person.last_words {
            hash = text::join(b'*', &[hash, text::hash(b'*', word)]);
        }
        for word in &self.company.words {
            hash = text::join(b'*', &[hash, word.hash, u64::from(word.local)]);
        }
        for acronym in &self.company.acronyms {
            hash = text::join(b'*', &[hash, *acronym]);
        }
        for email in &self.emails {
            hash = text::join(b'*', &[hash, email.hash, email.local_hash]);
        }
        for phone in &self.phones {
            hash = text::join(b'*', &[hash, phone.digits, u64::from(phone.country)]);
        }
        for code in [self.place.state, self.place.country].into_iter().flatten() {
            hash = text::join(b'*', &[hash, text::hash(b'*', code)]);
        }
        if let Some(born) = self.born {
            hash = text::join(b'*', &[hash, born.hash()]);
        }
        for (name, value) in &self.others {
            hash = text::join(b'*', &[hash, *name, *value]);
        }
        hash
    }

    /// Reads a little of every compared value, to bring the record into the processor's cache.
    pub(crate) fn touch(&self) -> u64 {
        let email = self.emails.first().map_or(0, |email| email.hash);
        let phone = self.phones.first().map_or(0, |phone| phone.digits);
        let word = self.company.words.first().map_or(0, |word| word.hash);
        let lens = self.place.city.len()
            ^ self.place.street.len()
            ^ self.person.given.len()
            ^ self.place.postcode.len()
            ^ self.person.last_words.len()
            ^ self.company.acronyms.len();
        email
            ^ phone
            ^ word
            ^ self.person.first_hash
            ^ self.company.hash
            ^ self.title_hash
            ^ self.place.number
            ^ lens as u64
    }

    /// True if there is nothing to compare.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.person.is_empty()
            && self.emails.is_empty()
            && self.phones.is_empty()
            && self.company.is_empty()
            && self.domain.is_empty()
            && self.place.is_empty()
            && self.born.is_none()
            && self.others.is_empty()
    }

    /// Counts the record's values.
    pub(crate) fn count(&self, counts: &mut Counts) {
        if !self.person.last.is_empty() {
            counts.add(Slot::Last, self.person.last_hash);
        }
        if !self.person.first.is_empty() {
            counts.add(Slot::First, self.person.first_hash);
        }
        if let Some(country) = self.place.country {
            if !self.person.last.is_empty() {
                counts.add_within(Slot::Last, self.person.last_hash, country);
            }
            if !self.person.first.is_empty() {
                counts.add_within(Slot::First, self.person.first_hash, country);
            }
        }
        for email in &self.emails {
            counts.add(Slot::Email, email.hash);
        }
        for phone in &self.phones {
            counts.add(Slot::Phone, phone.hash());
        }
        if !self.company.is_empty() {
            counts.add(Slot::Company, self.company.hash);
            for word in &self.company.words {
                counts.add(Slot::Word, word.hash);
            }
        }
        if !self.title.is_empty() {
            counts.add(Slot::Title, self.title_hash);
        }
        if !self.domain.is_empty() {
            counts.add(Slot::Web, self.domain_hash);
        }
        if let Some(street) = self.street_hash() {
            counts.add(Slot::Street, street);
        }
        if let Some(city) = self.city_hash() {
            counts.add(Slot::City, city);
        }
        if let Some(country) = self.country_hash() {
            counts.add(Slot::City, country);
        }
    }

    pub(crate) fn country_hash(&self) -> Option<u64> {
        self.place.country.map(|country| text::hash(b'z', country))
    }

    pub(crate) fn street_hash(&self) -> Option<u64> {
        (!self.place.street.is_empty()).then(|| {
            text::join(
                b's',
                &[self.place.number, text::hash(b's', &self.place.street)],
            )
        })
    }

    pub(crate) fn city_hash(&self) -> Option<u64> {
        (!self.place.city.is_empty()).then(|| text::hash(b'y', &self.place.city))
    }
}

/// Columns that are compared as they stand, each once; unreadable values are left out.
fn other_values(others: &[Other], region: Option<&str>) -> Box<[(u64, u64)]> {
    let mut values: Vec<(u64, u64)> = others
        .iter()
        .filter_map(|other| {
            let text = value(other.value.trim());
            let value = match other.same {
                Same::Text => {
                    let folded = text::fold(text);
                    (!folded.is_empty()).then(|| text::hash(b'o', &folded))?
                }
                Same::Number => text::hash(b'#', &number(text)?),
                Same::Date => dates::read(text, region)?.hash(),
            };
            Some((text::hash(b'k', &text::fold(&other.name)), value))
        })
        .collect();
    values.sort_unstable();
    values.dedup_by_key(|value| value.0);
    values.truncate(MOST_OTHERS);
    values.into()
}

/// Normalises a number: removes digit grouping and zeros without meaning.
fn number(text: &str) -> Option<String> {
    let signs = |c: char| text.matches(c).count();
    let last = text.rfind(['.', ',']);
    let fraction = last.filter(|at| {
        let behind = text.get(at + 1..).unwrap_or_default();
        let digits = behind.bytes().filter(u8::is_ascii_digit).count();
        let (points, commas) = (signs('.'), signs(','));
        // "1.234,5" and "1,234.5"; one sign before three digits groups them.
        if points > 0 && commas > 0 {
            true
        } else {
            points + commas == 1 && digits != 3
        }
    });
    let (whole, part) = match fraction {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let digits = |text: &str| {
        text.chars()
            .filter(char::is_ascii_digit)
            .collect::<String>()
    };
    let (whole, part) = (digits(whole), digits(part));
    if whole.is_empty() && part.is_empty() {
        return None;
    }
    let sign = if text.trim_start().starts_with('-') {
        "-"
    } else {
        ""
    };
    let (whole, part) = (whole.trim_start_matches('0'), part.trim_end_matches('0'));
    Some(format!("{sign}{whole}.{part}"))
}

pub(crate) fn value(text: &str) -> &str {
    if is_placeholder(text) { "" } else { text }
}

/// True for a placeholder that people and tools write in place of an unknown value.
fn is_placeholder(text: &str) -> bool {
    const LONGEST: usize = 24;
    let text = text.trim();
    if text.is_empty() || text.len() > LONGEST {
        return false;
    }
    let plain = text.trim_matches(|c: char| !c.is_alphanumeric());
    let is = |word: &str| plain.eq_ignore_ascii_case(word);
    // "Null" and "None" are also names of people; in brackets or signs they are not.
    plain.is_empty()
        || [
            "not provided",
            "not available",
            "not specified",
            "not applicable",
            "unknown",
            "n/a",
            "n.a",
            "tbd",
            "undefined",
            "anonymous",
            "no name",
            "keine angabe",
            "inconnu",
            "xxx",
            "test test",
        ]
        .iter()
        .any(|word| is(word))
        || plain.len() < text.len()
            && ["null", "none", "na", "empty", "blank"]
                .iter()
                .any(|word| is(word))
}

fn title_words(title: &str) -> SmallVec<[u64; 4]> {
    let folded = text::fold(title);
    let mut words: SmallVec<[u64; 4]> = SmallVec::new();
    for word in folded.split(' ').filter(|word| !word.is_empty()) {
        let long = titles::title_word(word).unwrap_or(word);
        for word in long.split(' ') {
            if !matches!(
                word,
                "of" | "and" | "the" | "for" | "de" | "des" | "du" | "der"
            ) {
                words.push(text::hash(b't', word));
            }
        }
    }
    words.truncate(12);
    words.sort_unstable();
    words.dedup();
    words
}

#[cfg(test)]
mod tests {
    use super::number;
    use crate::{Clean, Kind, Model, Other, Record, Same};

    #[test]
    fn numbers_are_the_same_however_they_are_written() {
        for text in ["1234.5", "1,234.5", "1.234,50", "1 234,5 EUR", "01234.50"] {
            assert_eq!(number(text).as_deref(), Some("1234.5"), "{text}");
        }
        assert_eq!(number("1,234"), number("1234"));
        assert_eq!(number("12.50"), number("12,5"));
        assert_ne!(number("-3"), number("3"));
        assert_eq!(number("none"), None);
    }

    #[test]
    fn birth_dates_and_named_columns_are_compared() {
        let person = |born: &str, number: &str| {
            let record = Record {
                first_name: "Anna".to_owned(),
                last_name: "Meier".to_owned(),
                birth_date: born.to_owned(),
                others: vec![Other {
                    name: "Customer number".to_owned(),
                    same: Same::Text,
                    value: number.to_owned(),
                }],
                ..Record::default()
            };
            Clean::new(Kind::Person, &record, None)
        };
        let model = Model::shipped(Kind::Person);
        let score =
            |a: (&str, &str), b: (&str, &str)| model.score(&person(a.0, a.1), &person(b.0, b.1));
        let name_alone = score(("", ""), ("", ""));
        assert!(score(("1980-03-14", ""), ("14.03.1980", "")) > name_alone + 8_000);
        assert!(score(("1980-03-14", ""), ("02.11.1962", "")) < name_alone - 3_000);
        assert!(score(("", "K-77"), ("", "k 77")) > name_alone + 3_000);
        assert!(score(("", "K-77"), ("", "K-78")) < name_alone - 1_000);
    }
}
