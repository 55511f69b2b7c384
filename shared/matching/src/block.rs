//! Selection of the pairs to compare: those that share a key. A key that too many records share is cut.

use rayon::prelude::*;

use crate::clean::Clean;
use crate::person::PersonName;
use crate::{Kind, similar, text};

/// Maximum number of pairs of a key; a key that would make more is cut. A record that shares a common name or
/// a switchboard with thousands also shares a finer value with its match.
pub(crate) const MOST_PAIRS: u64 = 30;

/// The kinds of values that keys are made from, in the order of [`push_keys`].
pub(crate) const KEY_NAMES: [&str; 40] = [
    "email",
    "email_local",
    "phone",
    "phone_tail",
    "name",
    "name_sound",
    "last_city",
    "last_postcode",
    "last_company",
    "last_domain",
    "last_sound_city",
    "first_city",
    "first_postcode",
    "first_company",
    "first_domain",
    "street_first",
    "street_last",
    "street",
    "initials_company",
    "initials_domain",
    "last_title",
    "initials_postcode",
    "name_crossed",
    "title_company",
    "company",
    "company_word",
    "domain",
    "company_words",
    "company_phone",
    "street_number_word",
    "company_city",
    "street_city",
    "crossed_sound",
    "number_postcode",
    "street_number_sound",
    "building",
    "initials_city",
    "name_postcode",
    "street_postcode",
    "initials_title",
];

/// Pushes the keys of a record, each with the number of its kind.
pub(crate) fn push_keys(record: &Clean, keys: &mut Vec<(u64, u8)>) {
    let from = keys.len();
    match record.kind {
        Kind::Person => person_keys(record, keys),
        Kind::Company => company_keys(record, keys),
    }
    // A record may produce the same key twice.
    if let Some(own) = keys.get_mut(from..) {
        own.sort_unstable();
        let mut kept = from;
        for at in from..keys.len() {
            if at == from || keys.get(at).map(|key| key.0) != keys.get(kept - 1).map(|key| key.0) {
                keys.swap(kept, at);
                kept += 1;
            }
        }
        keys.truncate(kept);
    }
}

fn prefix(text: &str, len: usize) -> Option<&str> {
    text.get(..len)
}

fn person_keys(record: &Clean, keys: &mut Vec<(u64, u8)>) {
    for name in record.person.ways() {
        named_keys(record, name, keys);
    }
}

fn named_keys(record: &Clean, name: &PersonName, keys: &mut Vec<(u64, u8)>) {
    let mut add = |kind: u8, parts: &[Option<u64>]| {
        let mut all = [0; 4];
        for (part, slot) in parts.iter().zip(&mut all) {
            let Some(part) = part else { return };
            *slot = *part;
        }
        keys.push((
            text::join(kind, all.get(..parts.len()).unwrap_or_default()),
            kind,
        ));
    };
    let word = |text: &str| (!text.is_empty()).then(|| text::hash(0, text));
    let last = word(&name.last);
    let first = match name.groups.iter().min() {
        Some(group) => Some(u64::from(*group) + 1),
        None => word(&name.given),
    };
    let initial = prefix(&name.given, 1).and_then(word);
    let last_initial = prefix(&name.last, 1).and_then(word);
    let last_sound = (name.last.len() >= 2).then(|| text::hash(1, &similar::skeleton(&name.last)));
    let first_sound =
        (name.given.len() >= 2).then(|| text::hash(1, &similar::skeleton(&name.given)));
    let city = record.city_hash();
    let postcode = word(&record.place.postcode);
    let company = record.company.words.first().map(|word| word.hash);
    let domain = (!record.domain.is_empty()).then_some(record.domain_hash);
    let street = word(&record.place.street);
    let number = (record.place.number != 0).then_some(record.place.number);
    let title = (!record.title.is_empty()).then_some(record.title_hash);

    for email in &record.emails {
        add(0, &[Some(email.hash)]);
        if email.plain.len() >= 4 && !email.role {
            add(1, &[Some(email.local_hash)]);
        }
    }
    for phone in &record.phones {
        add(2, &[Some(phone.hash())]);
        add(3, &[phone.tail()]);
    }
    add(4, &[last, first]);
    add(5, &[last_sound, first_sound]);
    add(6, &[last, city]);
    add(7, &[last, postcode]);
    add(8, &[last, company]);
    add(9, &[last, domain]);
    add(10, &[last_sound, city, initial]);
    add(11, &[first, city]);
    add(12, &[first, postcode]);
    add(13, &[first, company]);
    add(14, &[first, domain]);
    add(15, &[street, first]);
    add(16, &[street, last_sound]);
    add(17, &[street, number]);
    add(18, &[initial, last_initial, company, city]);
    add(19, &[initial, last_initial, domain]);
    add(20, &[last_sound, title]);
    add(21, &[initial, last_initial, postcode]);
    // The same key for first and last name swapped.
    if let (Some(first), Some(last)) = (word(&name.first), last) {
        add(22, &[Some(first.wrapping_add(last))]);
    }
    add(23, &[title, company, initial]);
    if let (Some(first), Some(last)) = (first_sound, last_sound) {
        add(32, &[Some(first.wrapping_add(last))]);
    }
    // Either initial may belong to either name.
    let initials = initial
        .zip(last_initial)
        .map(|(first, last)| first.wrapping_add(last));
    let street_sound = (record.place.street.len() >= 4)
        .then(|| text::hash(1, &similar::skeleton(&record.place.street)));
    add(33, &[number, postcode]);
    add(33, &[number, city]);
    add(34, &[street_sound, number]);
    add(34, &[street_sound, initials]);
    add(35, &[word(&record.place.extra), number]);
    add(35, &[word(&record.place.extra), first]);
    add(35, &[word(&record.place.extra), last]);
    add(35, &[word(&record.place.extra), postcode]);
    add(36, &[initials, city]);
    add(37, &[initials, postcode]);
    add(37, &[initials, number]);
    add(38, &[street, postcode]);
    add(38, &[street, city]);
    add(38, &[street_sound, postcode]);
    add(39, &[initials, title]);
    add(39, &[initials, company]);
    add(39, &[initials, domain]);
    for word in name.last_words.iter().filter(|word| word.len() >= 4) {
        add(4, &[Some(text::hash(0, word)), first]);
        add(9, &[Some(text::hash(0, word)), domain]);
        add(8, &[Some(text::hash(0, word)), company]);
    }
}

/// Pushes keys of any two of a record's values, each as coarse as possible.
fn push_coarse_keys(record: &Clean, keys: &mut Vec<(u64, u8)>) {
    let sound = |text: &str| (text.len() >= 2).then(|| text::hash(1, &similar::skeleton(text)));
    let word = |text: &str| (!text.is_empty()).then(|| text::hash(2, text));
    let place = &record.place;
    let parts = [
        sound(&record.person.given),
        sound(&record.person.last),
        sound(&place.street),
        sound(&place.extra),
        sound(&place.city),
        word(&place.postcode),
        (place.number != 0).then_some(place.number),
        record
            .company
            .words
            .first()
            .and_then(|word| sound(&word.text)),
        (!record.domain.is_empty()).then_some(record.domain_hash),
    ];
    for (at, one) in parts.iter().enumerate() {
        for other in parts.iter().skip(at + 1) {
            if let (Some(one), Some(other)) = (one, other) {
                keys.push((text::join(b'2', &[one.wrapping_add(*other)]), 0));
            }
        }
    }
    keys.sort_unstable();
    keys.dedup();
}

fn company_keys(record: &Clean, keys: &mut Vec<(u64, u8)>) {
    let name = &record.company;
    let mut add = |kind: u8, parts: &[Option<u64>]| {
        let mut all = [0; 4];
        for (part, slot) in parts.iter().zip(&mut all) {
            let Some(part) = part else { return };
            *slot = *part;
        }
        keys.push((
            text::join(kind, all.get(..parts.len()).unwrap_or_default()),
            kind,
        ));
    };
    let word = |text: &str| (!text.is_empty()).then(|| text::hash(0, text));
    let city = record.city_hash();
    let street = word(&record.place.street);
    let number = (record.place.number != 0).then_some(record.place.number);
    if !name.is_empty() {
        add(24, &[Some(name.hash)]);
        add(24, &[prefix(&name.core, 6).and_then(word)]);
        // An acronym meets the name that it abbreviates: the key of each is that of a name.
        for acronym in &name.acronyms {
            add(24, &[Some(*acronym)]);
        }
        // A slip between beginning and end.
        if name.core.len() >= 6 {
            let end = name.core.get(name.core.len() - 3..);
            add(
                25,
                &[prefix(&name.core, 3).and_then(word), end.and_then(word)],
            );
        }
    }
    for (at, one) in name.words.iter().enumerate() {
        if one.text.len() >= 3 {
            add(25, &[Some(one.hash)]);
            add(25, &[word(&similar::skeleton(&one.text))]);
            add(
                30,
                &[
                    prefix(&one.text, 4).or(Some(&one.text)).and_then(word),
                    city,
                ],
            );
        }
        let begin = |of: &str| prefix(of, 3).and_then(word);
        for other in name.words.iter().skip(at + 1) {
            add(27, &[Some(one.hash.wrapping_add(other.hash))]);
            // One of two common words may be misspelled, or both abbreviated.
            let begins = begin(&one.text).zip(begin(&other.text));
            add(27, &[Some(one.hash), begin(&other.text)]);
            add(27, &[Some(other.hash), begin(&one.text)]);
            add(27, &[begins.map(|(one, other)| one.wrapping_add(other))]);
        }
    }
    if !record.domain.is_empty() {
        add(26, &[Some(record.domain_hash)]);
        let label = record.domain.split('.').next().unwrap_or_default();
        add(26, &[prefix(label, 6).or(Some(label)).and_then(word)]);
    }
    for email in &record.emails {
        add(0, &[Some(email.hash)]);
    }
    for phone in &record.phones {
        add(2, &[Some(phone.hash())]);
        add(3, &[phone.tail()]);
    }
    add(29, &[street, number]);
    add(31, &[street, city]);
    add(31, &[number, city]);
}

/// A key that too many records share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CutBlock {
    /// The kind of values that the key is made from.
    pub key: &'static str,
    /// Number of records of the first set that have it.
    pub left: u64,
    /// Number of records of the second set that have it.
    pub right: u64,
}

/// The pairs that share a key, each once, ordered; and the largest blocks that were cut.
pub(crate) fn pairs(left: &[Clean], right: &[Clean]) -> (Vec<(u32, u32)>, Vec<CutBlock>) {
    let all = |_: u32| true;
    let (of_left, of_right) = (left, right);
    let (left, right) = rayon::join(
        || keyed(left, push_keys, &all),
        || keyed(right, push_keys, &all),
    );
    let finer = |side: Side, at: u32| {
        let records = match side {
            Side::Left => of_left,
            Side::Right => of_right,
        };
        records.get(at as usize).map_or([0; FINER], finer_keys)
    };
    joined(left, right, &finer)
}

/// One of the two sets of records.
#[derive(Debug, Clone, Copy)]
enum Side {
    Left,
    Right,
}

/// Number of finer keys that divide a block that is too large.
const FINER: usize = 6;

/// Further values that two records of a large block may share; 0 for an unknown one.
fn finer_keys(record: &Clean) -> [u64; FINER] {
    let word = |text: &str| {
        if text.is_empty() {
            0
        } else {
            text::hash(3, text)
        }
    };
    let place = &record.place;
    let other = match record.kind {
        Kind::Person => record.company.words.first().map_or(0, |word| word.hash),
        Kind::Company => record.phones.first().map_or(0, |phone| phone.hash()),
    };
    [
        record.city_hash().unwrap_or(0),
        word(&place.postcode),
        word(&place.street),
        record.domain_hash,
        other,
        if record.title.is_empty() {
            place.number
        } else {
            record.title_hash
        },
    ]
}

/// Pairs of `free` records that share two coarse values. Few records are left over after the finer keys, so
/// they can be examined more closely.
pub(crate) fn pairs_left_over(
    left: &[Clean],
    right: &[Clean],
    free_left: &(dyn Fn(u32) -> bool + Sync),
    free_right: &(dyn Fn(u32) -> bool + Sync),
) -> Vec<(u32, u32)> {
    let (left, right) = rayon::join(
        || keyed(left, push_coarse_keys, free_left),
        || keyed(right, push_coarse_keys, free_right),
    );
    joined(left, right, &|_, _| [0; FINER]).0
}

/// A key in 12 bytes: its upper half, its lower half with the number of its kind, and the record.
type Entry = (u32, u32, u32);

/// Number of parts in which keys are joined, by their first bits.
const PARTS: usize = 16;
const KIND_BITS: u32 = 6;

/// Joins keys to pairs. A block that is too large is divided by `finer` keys of its records.
fn joined(
    left: Vec<[Vec<Entry>; PARTS]>,
    right: Vec<[Vec<Entry>; PARTS]>,
    finer: &(dyn Fn(Side, u32) -> [u64; FINER] + Sync),
) -> (Vec<(u32, u32)>, Vec<CutBlock>) {
    let gather = |chunks: &[[Vec<Entry>; PARTS]], part: usize| {
        let of_part = || chunks.iter().filter_map(|chunk| chunk.get(part));
        let mut entries = Vec::with_capacity(of_part().map(Vec::len).sum());
        for chunk in of_part() {
            entries.extend_from_slice(chunk);
        }
        entries.sort_unstable();
        entries
    };
    let parts: Vec<(Vec<u64>, Vec<CutBlock>)> = (0..PARTS)
        .into_par_iter()
        .map(|part| join(&gather(&left, part), &gather(&right, part), finer))
        .collect();
    drop((left, right));
    let mut cut: Vec<CutBlock> = Vec::new();
    let mut all = Vec::with_capacity(parts.iter().map(|part| part.0.len()).sum());
    for (pairs, blocks) in parts {
        all.extend(pairs);
        cut.extend(blocks);
    }
    all.par_sort_unstable();
    all.dedup();
    largest(&mut cut);
    let pairs = all
        .into_iter()
        .map(|pair| ((pair >> 32) as u32, pair as u32))
        .collect();
    (pairs, cut)
}

/// Keeps the largest blocks, in an order that does not depend on how they were found.
fn largest(cut: &mut Vec<CutBlock>) {
    let order = |block: &CutBlock| {
        (
            std::cmp::Reverse(block.left * block.right),
            block.key,
            block.left,
        )
    };
    cut.sort_by_key(order);
    cut.truncate(MOST_CUT);
}

/// Maximum number of cut blocks in the result.
const MOST_CUT: usize = 100;

fn keyed(
    records: &[Clean],
    push: fn(&Clean, &mut Vec<(u64, u8)>),
    wanted: &(dyn Fn(u32) -> bool + Sync),
) -> Vec<[Vec<Entry>; PARTS]> {
    const CHUNK: usize = 8192;
    records
        .par_chunks(CHUNK)
        .enumerate()
        .map(|(chunk, records)| {
            let mut parts: [Vec<Entry>; PARTS] = Default::default();
            let mut keys = Vec::with_capacity(48);
            for (at, record) in records.iter().enumerate() {
                let id = (chunk * CHUNK + at) as u32;
                if !wanted(id) {
                    continue;
                }
                keys.clear();
                push(record, &mut keys);
                for (key, kind) in &keys {
                    let upper = (key >> 32) as u32;
                    let lower = (*key as u32) << KIND_BITS | u32::from(*kind);
                    if let Some(part) = parts.get_mut(upper as usize >> 28) {
                        part.push((upper, lower, id));
                    }
                }
            }
            parts
        })
        .collect()
}

/// Keys whose blocks are divided if they are too large: those that identify a person or company on their own.
const PARTED: [u8; 6] = [0, 2, 4, 5, 24, 26];
/// Maximum number of records on a side of a block that is divided.
const MOST_PARTED: usize = 20_000;

/// The pairs of a large block that also share one finer value.
fn part(
    lefts: &[Entry],
    rights: &[Entry],
    finer: &(dyn Fn(Side, u32) -> [u64; FINER] + Sync),
    pairs: &mut Vec<u64>,
) {
    let keyed = |entries: &[Entry], side: Side| {
        let mut keyed: Vec<(u8, u64, u32)> = Vec::with_capacity(entries.len() * FINER);
        for (_, _, id) in entries {
            for (at, key) in (0..).zip(finer(side, *id)) {
                if key != 0 {
                    keyed.push((at, key, *id));
                }
            }
        }
        keyed.sort_unstable();
        keyed
    };
    let (lefts, rights) = (keyed(lefts, Side::Left), keyed(rights, Side::Right));
    let mut rest = rights.as_slice();
    for of_left in lefts.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
        let Some(key) = of_left.first().map(|one| (one.0, one.1)) else {
            continue;
        };
        let from = rest.partition_point(|one| (one.0, one.1) < key);
        rest = rest.get(from..).unwrap_or_default();
        let of_right = rest.partition_point(|one| (one.0, one.1) == key);
        if (of_left.len() * of_right) as u64 > MOST_PAIRS {
            continue;
        }
        for (_, _, left) in of_left {
            for (_, _, right) in rest.iter().take(of_right) {
                pairs.push(u64::from(*left) << 32 | u64::from(*right));
            }
        }
    }
}

fn join(
    lefts: &[Entry],
    rights: &[Entry],
    finer: &(dyn Fn(Side, u32) -> [u64; FINER] + Sync),
) -> (Vec<u64>, Vec<CutBlock>) {
    let mut pairs = Vec::with_capacity(lefts.len() / 4);
    let mut cut = Vec::new();
    let (mut lefts, mut rights) = (lefts, rights);
    while let (Some(left), Some(right)) = (lefts.first(), rights.first()) {
        let (key, other) = ((left.0, left.1), (right.0, right.1));
        if key < other {
            lefts = lefts.get(1..).unwrap_or_default();
            continue;
        }
        if other < key {
            rights = rights.get(1..).unwrap_or_default();
            continue;
        }
        let run = |keys: &[Entry]| keys.partition_point(|other| (other.0, other.1) == key);
        let (own_left, rest_left) = lefts.split_at(run(lefts));
        let (own_right, rest_right) = rights.split_at(run(rights));
        let (of_left, of_right) = (own_left.len() as u64, own_right.len() as u64);
        if of_left * of_right > MOST_PAIRS {
            let kind = key.1 & ((1 << KIND_BITS) - 1);
            if own_left.len().max(own_right.len()) <= MOST_PARTED
                && PARTED.iter().any(|parted| u32::from(*parted) == kind)
            {
                part(own_left, own_right, finer, &mut pairs);
            }
            cut.push(CutBlock {
                key: KEY_NAMES.get(kind as usize).copied().unwrap_or_default(),
                left: of_left,
                right: of_right,
            });
            if cut.len() >= 20 * MOST_CUT {
                largest(&mut cut);
            }
        } else {
            for (_, _, left) in own_left {
                for (_, _, right) in own_right {
                    pairs.push(u64::from(*left) << 32 | u64::from(*right));
                }
            }
        }
        (lefts, rights) = (rest_left, rest_right);
    }
    (pairs, cut)
}

#[cfg(test)]
mod tests {
    use super::push_keys;
    use crate::{Clean, Kind, Record};

    #[test]
    fn names_of_a_company_share_a_key() {
        let keys = |name: &str| {
            let record = Record {
                name: name.to_owned(),
                ..Record::default()
            };
            let mut keys = Vec::new();
            push_keys(&Clean::new(Kind::Company, &record, None), &mut keys);
            keys
        };
        let shared = |a: &str, b: &str| {
            let (a, b) = (keys(a), keys(b));
            a.iter().any(|key| b.contains(key))
        };
        for (a, b) in [
            ("International Business Machines Corp.", "IBM"),
            ("Bank of America", "BoA"),
            ("American Telephone & Telegraph Co.", "AT&T"),
            ("Caterpillar", "Catepillar"),
            ("Allied Coatings", "Alleid Coayings"),
        ] {
            assert!(shared(a, b), "{a} / {b}");
            assert!(shared(b, a), "{b} / {a}");
        }
        assert!(!shared("Globex", "Initech"));
    }
}
