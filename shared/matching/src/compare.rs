//! Comparison of the fields of two records: finds the level that each pair of values falls into.

use crate::Kind;
use crate::address::Place;
use crate::clean::Clean;
use crate::company::{self, SameName};
use crate::contact::Email;
use crate::person::{self, PersonName, SameFirst, SameLast};
use crate::phone::{self, SameNumber};
use crate::rarity::{Rarity, Slot};
use crate::tables::{companies, nicknames};
use crate::{dates, similar};

/// Number of fields in a comparison.
pub(crate) const FIELDS: usize = 8;
/// Number of rare values that a pair may agree on.
pub(crate) const SHARED: usize = 8;

/// The result of comparing two records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Pattern {
    /// The level of each field; 0 is *not known*.
    pub(crate) levels: [u8; FIELDS],
    /// The rarity of each value that they agree on, in eighths of a bit; 0 if they do not agree.
    pub(crate) shared: [u8; SHARED],
}

/// The fields of a kind, by the names that explanations use.
pub(crate) const fn fields(kind: Kind) -> [&'static str; FIELDS] {
    match kind {
        Kind::Person => [
            "name",
            "email",
            "phone",
            "employer",
            "title",
            "place",
            "middle_name",
            "facts",
        ],
        Kind::Company => [
            "name",
            "web",
            "phone",
            "email",
            "legal_form",
            "place",
            "numbers",
            "facts",
        ],
    }
}

/// Number of levels of each field.
pub(crate) const fn level_counts(kind: Kind) -> [usize; FIELDS] {
    match kind {
        Kind::Person => [44, 10, 6, 27, 5, 55, 3, 20],
        Kind::Company => [9, 4, 6, 4, 3, 55, 3, 20],
    }
}

/// The order of the rare values in a [`Pattern`], with the field that each belongs to.
pub(crate) const fn shared_fields(kind: Kind) -> [usize; SHARED] {
    match kind {
        // last name, first name, e-mail, phone, company, title, street, city or country
        Kind::Person => [0, 0, 1, 2, 3, 4, 5, 5],
        // name, parts of the name, e-mail, phone, web, -, street, city or country
        Kind::Company => [0, 0, 3, 2, 1, 0, 5, 5],
    }
}

/// Compares two records of one kind.
pub(crate) fn compare(a: &Clean, b: &Clean, rarity: &Rarity) -> Pattern {
    let mut pattern = Pattern::default();
    let [s0, s1, s2, s3, s4, s5, s6, s7] = &mut pattern.shared;
    let (phone, number) = phones(a, b);
    if number != 0 {
        *s3 = rarity.of(Slot::Phone, number).max(1);
    }
    let place = place(&a.place, &b.place);
    if place / AREAS == 4
        && let (Some(x), Some(y)) = (a.street_hash(), b.street_hash())
    {
        *s6 = rarity
            .of(Slot::Street, x)
            .min(rarity.of(Slot::Street, y))
            .max(1);
    }
    // The city, or the country, provides the rarity if nothing finer agrees.
    if matches!(place % AREAS, 5..=7)
        && let Some(city) = a.city_hash()
    {
        *s7 = rarity.of(Slot::City, city).max(1);
    } else if place % AREAS == SAME_COUNTRY
        && let Some(country) = a.country_hash()
    {
        *s7 = rarity.of(Slot::City, country).max(1);
    }
    let facts = facts(a, b);
    pattern.levels = match a.kind {
        Kind::Person => {
            let names = names(&a.person, &b.person);
            let country = common_country(a, b);
            if let Some(last) = names.last {
                *s0 = rarity.within(Slot::Last, last, country).max(1);
            }
            if let Some(first) = names.first {
                *s1 = rarity.within(Slot::First, first, country).max(1);
            }
            if names.by_consonants {
                *s0 = (*s0).min(RARE_CONSONANTS);
                *s1 = (*s1).min(RARE_CONSONANTS);
            }
            let (email, address) = emails(a, b, names.level);
            if address != 0 {
                *s2 = rarity.of(Slot::Email, address).max(1);
            }
            let employer = employers(a, b, rarity);
            if employer % DOMAINS == 2 {
                *s4 = rarity.of(Slot::Web, a.domain_hash).max(1);
            } else if employer / DOMAINS == 1 + SameName::Yes as u8 {
                *s4 = rarity.of(Slot::Company, a.company.hash).max(1);
            }
            let title = titles(a, b);
            if title == 4 {
                *s5 = rarity.of(Slot::Title, a.title_hash).max(1);
            }
            let middle = middle_names(&a.person, &b.person, names.level);
            [
                names.level,
                email,
                phone,
                employer,
                title,
                place,
                middle,
                facts,
            ]
        }
        Kind::Company => {
            let (name, shared) = if a.company.is_empty() || b.company.is_empty() {
                (0, 0)
            } else {
                let (same, shared) = company::same_name_and_words(&a.company, &b.company, rarity);
                (1 + same as u8, shared)
            };
            if name > SameName::Near as u8 {
                let rare = |words: &[company::Word]| {
                    let bits: u32 = words.iter().map(|word| company::rare(word, rarity)).sum();
                    bits.min(200)
                };
                let rare = rare(&a.company.words).min(rare(&b.company.words));
                *s0 = u8::try_from(rare).unwrap_or(200).max(1);
            } else if name > 1 {
                *s1 = shared.max(1);
            }
            let web = webs(a, b);
            if web == 3 {
                *s4 = rarity.of(Slot::Web, a.domain_hash).max(1);
            }
            let email = company_emails(a, b);
            let form = companies::same_form(&a.company.form, &b.company.form)
                .map_or(0, |same| 1 + u8::from(same));
            let numbers = match company::same_numbers(&a.company, &b.company) {
                None => 0,
                Some(same) => 1 + u8::from(same),
            };
            [name, web, phone, email, form, place, numbers, facts]
        }
    };
    pattern
}

/// Upper limit for the rarity of names that agree by their consonants alone, in eighths of a bit.
const RARE_CONSONANTS: u8 = 52;

/// The country of both records, unless they name different ones.
fn common_country(a: &Clean, b: &Clean) -> Option<&'static str> {
    match (a.place.country, b.place.country) {
        (Some(x), Some(y)) => (x == y).then_some(x),
        (x, y) => x.or(y),
    }
}

pub(crate) const FIRSTS: u8 = 7;
pub(crate) const SWAPPED: u8 = 42;

/// The result of comparing two names, with the names that they share.
struct Names {
    level: u8,
    /// The equal last names and first names, in the form that each record has.
    last: Option<(u64, u64)>,
    first: Option<(u64, u64)>,
    by_consonants: bool,
}

/// Compares names, choosing the readings in which they are most alike.
fn names(a: &PersonName, b: &PersonName) -> Names {
    let (level, x, y) = if a.others.is_empty() && b.others.is_empty() && !in_one(a, b) {
        (names_as_read(a, b), a, b)
    } else {
        let mut best: Option<(u8, u8, u64, &PersonName, &PersonName)> = None;
        for x in a.ways() {
            for y in b.ways() {
                let level = names_as_read(x, y);
                let alike = alike(level);
                // Of equal ones the least, independent of the order of the records.
                let least = x.last_hash.wrapping_add(y.last_hash) ^ (x.first_hash ^ y.first_hash);
                let order = (alike, level, least);
                if best.is_none_or(|best| order > (best.0, best.1, best.2)) {
                    best = Some((alike, level, least, x, y));
                }
            }
        }
        best.map_or((0, a, b), |(_, level, _, x, y)| (level, x, y))
    };
    let (mut last, mut first) = (None, None);
    // For swapped names the commoner one counts: as a last name the first name is rare.
    if level == SWAPPED || level < SWAPPED && level / FIRSTS == SameLast::Yes as u8 {
        last = Some((x.last_hash, y.last_hash));
    }
    if level < SWAPPED && level % FIRSTS == SameFirst::Yes as u8 {
        first = Some((x.first_hash, y.first_hash));
    }
    Names {
        level,
        last,
        first,
        by_consonants: x.vowelless != y.vowelless,
    }
}

/// The strength of a level of names as evidence of one person, for choosing among ways to read them.
fn alike(level: u8) -> u8 {
    match level {
        SWAPPED => 9,
        level if level > SWAPPED => 7,
        level => level / FIRSTS + level % FIRSTS,
    }
}

/// True if one of two names may stand in one column as a whole.
fn in_one(a: &PersonName, b: &PersonName) -> bool {
    (a.first.is_empty() && a.last_words.len() > 1) || (b.first.is_empty() && b.last_words.len() > 1)
}

fn names_as_read(a: &PersonName, b: &PersonName) -> u8 {
    let first = person::same_first(a, b);
    let last = person::same_last(a, b);
    let straight = last as u8 * FIRSTS + first as u8;
    if (last as u8) < SameLast::Part as u8
        && (first as u8) < SameFirst::Initial as u8
        && !a.first.is_empty()
        && !a.last.is_empty()
        && !b.first.is_empty()
        && !b.last.is_empty()
    {
        if a.first == b.last && a.last == b.first {
            return SWAPPED;
        }
        let crossed = |x: &str, y: &str| x == y || person::spelled(x, y, 4, 0.94).is_some();
        let (one, other) = (crossed(&a.first, &b.last), crossed(&a.last, &b.first));
        // One of them may be a short form, or all of several first names.
        let as_given = |last: &PersonName, first: &PersonName| {
            *last.last == *first.given
                || !first.groups.is_empty()
                    && nicknames::groups(&last.last)
                        .iter()
                        .any(|group| first.groups.contains(group))
        };
        if one && (other || as_given(a, b)) || other && as_given(b, a) {
            return SWAPPED + 1;
        }
    }
    straight
}

fn middle_names(a: &PersonName, b: &PersonName, level: u8) -> u8 {
    let alike = level < SWAPPED && level % FIRSTS >= SameFirst::Near as u8;
    let (Some(x), Some(y)) = (a.middle.chars().next(), b.middle.chars().next()) else {
        return 0;
    };
    // Names that are written out count with the first name.
    let several = |name: &PersonName| name.first.len() > name.given.len();
    let written = (several(a) || several(b)) && a.first_hash == b.first_hash;
    if !alike || written {
        0
    } else if x == y || a.middle.contains(y) || b.middle.contains(x) {
        2
    } else {
        1
    }
}

/// Number of levels of the further values.
const OTHERS: u8 = 5;

/// Dates of birth (or founding), and columns that are compared as they stand.
fn facts(a: &Clean, b: &Clean) -> u8 {
    let born = match (a.born, b.born) {
        (Some(x), Some(y)) => dates::same(x, y),
        _ => 0,
    };
    let (mut agree, mut differ) = (0_u8, 0_u8);
    for (name, x) in &a.others {
        for (_, y) in b.others.iter().filter(|other| other.0 == *name) {
            if x == y {
                agree = agree.saturating_add(1);
            } else {
                differ = differ.saturating_add(1);
            }
        }
    }
    let others = match (agree, differ) {
        (0, 0) => 0,
        (0, _) => 1,
        (1.., 1..) => 2,
        (1, 0) => 3,
        (2.., 0) => 4,
    };
    born * OTHERS + others
}

/// True if an address could belong to a person of that name.
fn fits(email: &Email, name: &PersonName) -> bool {
    let plain: &str = email.plain.trim_end_matches(|c: char| c.is_ascii_digit());
    let (first, last) = (&*name.first, &*name.last);
    if plain.len() < 2 || first.is_empty() || last.is_empty() {
        return false;
    }
    if plain == first || plain == last || plain == &*name.given {
        return true;
    }
    let initial = |text: &str| text.len().min(1);
    let pair = |x: &str, y: &str| {
        plain.len() == x.len() + y.len() && plain.starts_with(x) && plain.ends_with(y)
    };
    let f = first.get(..initial(first)).unwrap_or_default();
    let l = last.get(..initial(last)).unwrap_or_default();
    pair(first, last)
        || pair(last, first)
        || pair(f, last)
        || pair(last, f)
        || pair(first, l)
        || pair(l, first)
        || pair(&name.given, last)
}

/// True if an address is made of the first and last name of a person.
fn made_of(email: &Email, name: &PersonName) -> bool {
    let plain: &str = email.plain.trim_end_matches(|c: char| c.is_ascii_digit());
    if email.role || name.first.is_empty() || name.last.len() < 2 {
        return false;
    }
    let pair = |x: &str, y: &str| {
        plain.len() == x.len() + y.len() && plain.starts_with(x) && plain.ends_with(y)
    };
    let initial = name.given.get(..1).unwrap_or_default();
    let last = &*name.last;
    [&*name.first, &*name.given, initial]
        .iter()
        .any(|first| pair(first, last) || pair(last, first))
}

/// Levels of e-mail addresses by their strength as evidence, from the weakest to the strongest.
const STRENGTH: [u8; 10] = [0, 1, 2, 4, 5, 6, 7, 9, 3, 8];

fn emails(a: &Clean, b: &Clean, names: u8) -> (u8, u64) {
    let (mut best, mut shared) = (0, 0);
    let surnames_differ = names < SWAPPED && names / FIRSTS < SameLast::Part as u8;
    let same_first = names < SWAPPED && names % FIRSTS >= SameFirst::Initial as u8;
    let fits_any = |email: &Email, name: &PersonName| name.ways().any(|name| fits(email, name));
    for x in &a.emails {
        for y in &b.emails {
            let (level, hash) = if x.hash == y.hash {
                (if x.role { 4 } else { 7 }, x.hash)
            } else if x.domain == y.domain
                && !x.role
                && !y.role
                && person::spelled(&x.plain, &y.plain, 5, 0.95).is_some()
            {
                (6, 0)
            } else if x.local_hash == y.local_hash && !x.role {
                (5, 0)
            } else if [&a.person, &b.person]
                .iter()
                .any(|name| fits_any(x, name) && fits_any(y, name))
            {
                (3, 0)
            } else if x.domain == y.domain && !x.free {
                // A changed surname also changes the address: that is no second sign.
                let own = || made_of(x, &a.person) && made_of(y, &b.person);
                (
                    if surnames_differ && same_first && own() {
                        8
                    } else {
                        2
                    },
                    0,
                )
            } else {
                (1, 0)
            };
            let order = |level: u8| STRENGTH.get(usize::from(level)).copied().unwrap_or(0);
            // Of equal ones the least, independent of the order of the records.
            if order(level) > order(best) || level == best && hash < shared {
                (best, shared) = (level, hash);
            }
        }
    }
    // An address made from the name on the other side, and not from its own.
    if surnames_differ && matches!(best, 0..=2 | 8) {
        let of_other = |emails: &[Email], own: &PersonName, other: &PersonName| {
            emails.iter().any(|email| {
                other.ways().any(|name| made_of(email, name))
                    && !own.ways().any(|name| made_of(email, name))
            })
        };
        if of_other(&a.emails, &a.person, &b.person) || of_other(&b.emails, &b.person, &a.person) {
            return (9, 0);
        }
    }
    (best, shared)
}

fn company_emails(a: &Clean, b: &Clean) -> u8 {
    let mut best = 0;
    for x in &a.emails {
        for y in &b.emails {
            best = best.max(if x.hash == y.hash {
                3
            } else if x.domain == y.domain && !x.free {
                2
            } else {
                1
            });
        }
    }
    best
}

fn phones(a: &Clean, b: &Clean) -> (u8, u64) {
    let (mut best, mut shared) = (0, 0);
    for x in &a.phones {
        for y in &b.phones {
            let same = phone::same_number(*x, *y);
            let level = 1 + same as u8;
            let number = if same == SameNumber::Yes {
                x.hash().min(y.hash())
            } else {
                0
            };
            if level > best || level == best && number < shared {
                (best, shared) = (level, number);
            }
        }
    }
    (best, shared)
}

pub(crate) const DOMAINS: u8 = 3;

fn employers(a: &Clean, b: &Clean, rarity: &Rarity) -> u8 {
    let name = if a.company.is_empty() || b.company.is_empty() {
        0
    } else {
        1 + company::same_name(&a.company, &b.company, rarity) as u8
    };
    let domain = if a.domain.is_empty() || b.domain.is_empty() {
        0
    } else {
        1 + u8::from(a.domain_hash == b.domain_hash)
    };
    name * DOMAINS + domain
}

fn titles(a: &Clean, b: &Clean) -> u8 {
    if a.title.is_empty() || b.title.is_empty() {
        return 0;
    }
    if a.title_hash == b.title_hash {
        return 4;
    }
    let both = a.title.iter().filter(|word| b.title.contains(word)).count();
    let all = a.title.len() + b.title.len() - both;
    if both * 2 >= all {
        3
    } else if both > 0 {
        2
    } else {
        1
    }
}

fn webs(a: &Clean, b: &Clean) -> u8 {
    if a.domain.is_empty() || b.domain.is_empty() {
        return 0;
    }
    if a.domain_hash == b.domain_hash {
        return 3;
    }
    let label = |domain: &str| {
        domain
            .split('.')
            .next()
            .unwrap_or_default()
            .replace('-', "")
    };
    let (x, y) = (label(&a.domain), label(&b.domain));
    if x.len() >= 4 && (x == y || person::spelled(&x, &y, 6, 0.95).is_some()) {
        2
    } else {
        1
    }
}

/// Number of levels of an area: postal code, city, state, country.
pub(crate) const AREAS: u8 = 11;
/// Only the country is known, and it is the same.
const SAME_COUNTRY: u8 = 10;

fn place(a: &Place, b: &Place) -> u8 {
    street(a, b) * AREAS + area(a, b)
}

/// True if two names of streets or buildings are the same except for spelling.
fn near(a: &str, b: &str) -> bool {
    let shorter = a.len().min(b.len());
    shorter > 0
        && (a == b
            || person::spelled(a, b, 4, 0.92).is_some()
            || shorter >= 5 && (a.contains(b) || b.contains(a))
            || shorter >= 4 && similar::jaro_winkler_from(0.9, a, b) >= 0.9)
}

fn street(a: &Place, b: &Place) -> u8 {
    let number = a.number != 0 && a.number == b.number;
    let unknown = a.number == 0 || b.number == 0;
    let building = || near(&a.extra, &b.extra);
    // Lines of an address may be swapped.
    let crossed = || near(&a.line, &b.extra) || near(&a.extra, &b.line);
    if a.street.is_empty() || b.street.is_empty() {
        return match (number, building() || crossed()) {
            (true, true) => 3,
            (false, true) => 2,
            _ => 0,
        };
    }
    let same = a.street == b.street;
    let alike = same || near(&a.street, &b.street);
    if number && (same || alike && building()) {
        4
    } else if same && unknown || number && (alike || building() || crossed()) || alike && building()
    {
        3
    } else if same || unknown && alike || building() || crossed() {
        2
    } else {
        1
    }
}

fn area(a: &Place, b: &Place) -> u8 {
    if let (Some(x), Some(y)) = (a.country, b.country)
        && x != y
    {
        return 1;
    }
    let code = if a.postcode.is_empty() || b.postcode.is_empty() {
        None
    } else if a.postcode == b.postcode {
        Some(2)
    } else if a.postcode.len() >= 4 && similar::one_edit(&a.postcode, &b.postcode) {
        Some(1)
    } else {
        Some(0)
    };
    let city = if a.city.is_empty() || b.city.is_empty() {
        None
    } else if a.city == b.city {
        Some(2)
    } else if person::spelled(&a.city, &b.city, 4, 0.92).is_some() {
        Some(1)
    } else {
        Some(0)
    };
    match (code, city) {
        (Some(2), Some(1 | 2)) => 9,
        (Some(2), _) => 8,
        (None, Some(2)) => 7,
        (Some(1), Some(2)) => 6,
        (Some(_), Some(2)) => 5,
        (Some(1), _) | (None | Some(_), Some(1)) => 4,
        (None, None) => {
            let same = a.state.is_some() && a.state == b.state
                || !a.other_state.is_empty() && a.other_state == b.other_state;
            let known = (a.state.is_some() || !a.other_state.is_empty())
                && (b.state.is_some() || !b.other_state.is_empty());
            if same {
                3
            } else if known {
                2
            } else if a.country.is_some() && a.country == b.country {
                SAME_COUNTRY
            } else {
                0
            }
        }
        (Some(0), None | Some(0)) | (None, Some(0)) => {
            let same = a.state.is_some() && a.state == b.state
                || !a.other_state.is_empty() && a.other_state == b.other_state;
            if same { 3 } else { 2 }
        }
        (Some(_), _) | (None, Some(_)) => 2,
    }
}

/// A level in words.
pub(crate) fn level_text(kind: Kind, field: usize, level: usize) -> String {
    const FIRST: [&str; 7] = [
        "",
        "first names differ",
        "first names are alike",
        "initial agrees",
        "first names are spelled alike",
        "first name or short form of it",
        "same first name",
    ];
    const LAST: [&str; 6] = [
        "",
        "last names differ",
        "last names are alike",
        "last names share a part",
        "last names are spelled alike",
        "same last name",
    ];
    const EMAIL: [&str; 10] = [
        "",
        "different",
        "different, of one domain",
        "different, both fit the name",
        "same, of a function",
        "same name at another domain",
        "spelled alike",
        "same",
        "different, of one domain, each of its own surname",
        "made of the name on the other side",
    ];
    const PHONE: [&str; 6] = [
        "",
        "different",
        "of one exchange",
        "a digit differs",
        "same last seven digits",
        "same",
    ];
    const NAME: [&str; 9] = [
        "",
        "different names",
        "names share a rare word",
        "names share about half",
        "initials of the name",
        "one name is part of the other",
        "names share most",
        "names are spelled alike",
        "same name",
    ];
    const DOMAIN: [&str; 3] = ["", "different domains", "same domain"];
    const TITLE: [&str; 5] = ["", "different", "share a word", "share most words", "same"];
    const STREET: [&str; 5] = [
        "",
        "streets differ",
        "street or building alike",
        "streets are alike",
        "same street and number",
    ];
    const AREA: [&str; 11] = [
        "",
        "other country",
        "other place",
        "same state",
        "postal codes or cities are spelled alike",
        "same city, other postal code",
        "same city, postal codes are alike",
        "same city",
        "same postal code",
        "same city and postal code",
        "same country",
    ];
    const WEB: [&str; 4] = ["", "different domains", "domains are alike", "same domain"];
    const COMPANY_EMAIL: [&str; 4] = ["", "different", "same domain", "same"];
    const FORM: [&str; 3] = ["", "different", "same"];
    const MIDDLE: [&str; 3] = ["", "middle initials differ", "same middle initial"];
    const BORN: [&str; 4] = ["", "another date", "nearly the same date", "same date"];
    const OTHER: [&str; 5] = [
        "",
        "other columns differ",
        "some other columns agree",
        "another column agrees",
        "other columns agree",
    ];
    let both = |a: &[&str], b: &[&str]| {
        let outer = a.get(level / b.len()).copied().unwrap_or_default();
        let inner = b.get(level % b.len()).copied().unwrap_or_default();
        match (outer, inner) {
            ("", text) | (text, "") => text.to_owned(),
            (outer, inner) => format!("{outer}; {inner}"),
        }
    };
    let one = |texts: &[&str]| texts.get(level).copied().unwrap_or_default().to_owned();
    match (kind, field) {
        (Kind::Person, 0) if level == usize::from(SWAPPED) => {
            "first and last name are swapped".to_owned()
        }
        (Kind::Person, 0) if level > usize::from(SWAPPED) => {
            "first and last name are swapped and spelled alike".to_owned()
        }
        (Kind::Person, 0) => both(&LAST, &FIRST),
        (Kind::Person, 1) => one(&EMAIL),
        (Kind::Person | Kind::Company, 2) => one(&PHONE),
        (Kind::Person, 3) => both(&NAME, &DOMAIN),
        (Kind::Person, 4) => one(&TITLE),
        (Kind::Company, 0) => one(&NAME),
        (Kind::Company, 1) => one(&WEB),
        (Kind::Company, 3) => one(&COMPANY_EMAIL),
        (Kind::Company, 4 | 6) => one(&FORM),
        (Kind::Person, 6) => one(&MIDDLE),
        (Kind::Person | Kind::Company, 7) => both(&BORN, &OTHER),
        _ => both(&STREET, &AREA),
    }
}
