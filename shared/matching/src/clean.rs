//! A record in normal form, ready to be compared.

use compact_str::CompactString;
use smallvec::SmallVec;

use crate::address::Place;
use crate::company::CompanyName;
use crate::contact::{self, Email};
use crate::person::PersonName;
use crate::phone::{self, Phone};
use crate::rarity::{Counts, Slot};
use crate::tables::titles;
use crate::{Kind, Record, country, text};

/// Most e-mail addresses and phone numbers of a record that are compared.
const MOST: usize = 4;

/// A record in normal form.
#[derive(Debug, Clone, PartialEq)]
pub struct Clean {
    pub(crate) kind: Kind,
    pub(crate) person: PersonName,
    pub(crate) emails: SmallVec<[Email; 1]>,
    pub(crate) phones: SmallVec<[Phone; 1]>,
    /// A company's name, or a person's employer.
    pub(crate) company: CompanyName,
    /// Domain of the company, by its website or by an address that is no free mailbox.
    pub(crate) domain: CompactString,
    pub(crate) domain_hash: u64,
    /// The words of a job title, each once, sorted.
    pub(crate) title: SmallVec<[u64; 4]>,
    pub(crate) title_hash: u64,
    pub(crate) place: Place,
    /// Stands for all of it: decides between records that are equally good.
    pub(crate) content: u64,
}

impl Clean {
    /// The normal form of a record. Phone numbers without a country code are read by the record's
    /// country, or else as of `region` (ISO 3166 alpha-2). Nothing fails: what cannot be read is as if
    /// it were not there.
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
            ),
            Kind::Company => PersonName::default(),
        };
        let company = CompanyName::new(value(match kind {
            Kind::Person => &record.company,
            Kind::Company => &record.name,
        }));
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
        // Names that are joined alike may be parted differently.
        for word in &self.person.last_words {
            hash = text::join(b'*', &[hash, text::hash(b'*', word)]);
        }
        for word in &self.company.words {
            hash = text::join(b'*', &[hash, word.hash]);
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
        hash
    }

    /// A little of everything that is compared: reading it brings the record near the processor.
    pub(crate) fn touch(&self) -> u64 {
        let email = self.emails.first().map_or(0, |email| email.hash);
        let phone = self.phones.first().map_or(0, |phone| phone.digits);
        let word = self.company.words.first().map_or(0, |word| word.hash);
        let lens = self.place.city.len()
            ^ self.place.street.len()
            ^ self.person.given.len()
            ^ self.place.postcode.len()
            ^ self.person.last_words.len()
            ^ self.company.initials.len();
        email
            ^ phone
            ^ word
            ^ self.person.first_hash
            ^ self.company.hash
            ^ self.title_hash
            ^ self.place.number
            ^ lens as u64
    }

    /// Whether there is nothing to compare.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.person.is_empty()
            && self.emails.is_empty()
            && self.phones.is_empty()
            && self.company.is_empty()
            && self.domain.is_empty()
            && self.place.is_empty()
    }

    /// Counts the record's values.
    pub(crate) fn count(&self, counts: &mut Counts) {
        if !self.person.last.is_empty() {
            counts.add(Slot::Last, self.person.last_hash);
        }
        if !self.person.first.is_empty() {
            counts.add(Slot::First, self.person.first_hash);
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

fn value(text: &str) -> &str {
    if is_placeholder(text) { "" } else { text }
}

/// What people and tools write where they know nothing.
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
