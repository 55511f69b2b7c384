//! Rarity of values: two people called Smith are weaker evidence than two called Cholmondeley.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::{shipped, text};

/// Maximum number of values with a stored frequency, for each kind of value.
const MOST: usize = 1000;
/// Minimum count of a value for storing its frequency; values below it count as rare.
const LEAST: u32 = 3;

/// Number of words of companies' names that the shipped frequencies of common words count for: in a small set
/// *Services* is as common as elsewhere, however few of its names have it.
const KNOWN_WORDS: f64 = 500.0;
/// Count of a word that no names have but those that are compared.
const UNSEEN: f64 = 0.5;

/// Kinds of values whose rarity counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Slot {
    Last,
    First,
    Email,
    Phone,
    Company,
    Title,
    Street,
    City,
    Word,
    Web,
}

pub(crate) const SLOTS: usize = 10;
pub(crate) const SLOT_NAMES: [&str; SLOTS] = [
    "last_name",
    "first_name",
    "email",
    "phone",
    "company",
    "title",
    "street",
    "city",
    "word",
    "web",
];

/// Rarity of values, in eighths of a bit: the negative logarithm of their frequency.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Rarity {
    slots: Vec<SlotRarity>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct SlotRarity {
    /// The kind of value.
    of: String,
    /// Rarity of a value that is not listed.
    rare: u8,
    /// Values by their hash; names and addresses themselves are not kept.
    #[serde(with = "hex_keys")]
    common: FxHashMap<u64, u8>,
}

/// Number of known names of a country from which on its names are counted separately.
const LEAST_IN_COUNTRY: u64 = 200;

/// The hash of a value within a country.
pub(crate) fn in_country(hash: u64, country: &str) -> u64 {
    text::join(b'@', &[hash, text::hash(b'@', country)])
}

impl Rarity {
    /// The rarity of a value within its country if that is known, else among all values.
    pub(crate) fn within(&self, slot: Slot, hashes: (u64, u64), country: Option<&str>) -> u8 {
        let one = |hash: u64| {
            let within = country.and_then(|country| {
                let slot = self.slots.get(slot as usize)?;
                slot.common.get(&in_country(hash, country)).copied()
            });
            // A value that is rare everywhere may be common at home, but not the other way round.
            within.map_or_else(|| self.of(slot, hash), |bits| bits.min(self.of(slot, hash)))
        };
        if hashes.0 == hashes.1 {
            one(hashes.0)
        } else {
            one(hashes.0).min(one(hashes.1))
        }
    }

    pub(crate) fn of(&self, slot: Slot, hash: u64) -> u8 {
        self.slots.get(slot as usize).map_or(0, |slot| {
            slot.common.get(&hash).copied().unwrap_or(slot.rare)
        })
    }

    /// Creates a rarity in which all values are equally rare, except for the given ones.
    pub(crate) fn shipped(common: &[(Slot, u64, u8)]) -> Self {
        let mut slots: Vec<SlotRarity> = SLOT_NAMES
            .iter()
            .map(|name| SlotRarity {
                of: (*name).to_owned(),
                // Most first names, titles and places are more common than most other values.
                rare: match *name {
                    "first_name" | "title" | "city" => 10 * 8,
                    _ => 13 * 8,
                },
                common: FxHashMap::default(),
            })
            .collect();
        for (slot, hash, rare) in common {
            if let Some(slot) = slots.get_mut(*slot as usize) {
                slot.common.insert(*hash, *rare);
            }
        }
        Self { slots }
    }
}

/// Counts values.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    slots: [FxHashMap<u64, u32>; SLOTS],
    totals: [u64; SLOTS],
    /// Last and first names within their countries.
    within: [FxHashMap<(u64, &'static str), u32>; 2],
    of_country: [FxHashMap<&'static str, u64>; 2],
}

impl Counts {
    pub(crate) fn add(&mut self, slot: Slot, hash: u64) {
        let at = slot as usize;
        if let (Some(slot), Some(total)) = (self.slots.get_mut(at), self.totals.get_mut(at)) {
            *slot.entry(hash).or_default() += 1;
            *total += 1;
        }
    }

    /// Counts a name of a person in a country.
    pub(crate) fn add_within(&mut self, slot: Slot, hash: u64, country: &'static str) {
        let at = slot as usize;
        if let (Some(within), Some(totals)) = (self.within.get_mut(at), self.of_country.get_mut(at))
        {
            *within.entry((hash, country)).or_default() += 1;
            *totals.entry(country).or_default() += 1;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.totals.iter().all(|total| *total == 0)
    }

    pub(crate) fn merge(&mut self, other: Self) {
        for (mine, theirs) in self.slots.iter_mut().zip(other.slots) {
            for (hash, count) in theirs {
                *mine.entry(hash).or_default() += count;
            }
        }
        for (mine, theirs) in self.totals.iter_mut().zip(other.totals) {
            *mine += theirs;
        }
        for (mine, theirs) in self.within.iter_mut().zip(other.within) {
            for (value, count) in theirs {
                *mine.entry(value).or_default() += count;
            }
        }
        for (mine, theirs) in self.of_country.iter_mut().zip(other.of_country) {
            for (country, count) in theirs {
                *mine.entry(country).or_default() += count;
            }
        }
    }

    /// The rarity of the counted values.
    pub(crate) fn rarity(&self) -> Rarity {
        let slots = self
            .slots
            .iter()
            .zip(self.totals)
            .zip(SLOT_NAMES)
            .enumerate()
            .map(|(slot, ((counts, total), name))| {
                let known: &[(u64, u8)] = if slot == Slot::Word as usize {
                    shipped::words()
                } else {
                    &[]
                };
                let mut total = total.max(50) as f64;
                if !known.is_empty() {
                    total += KNOWN_WORDS;
                }
                let bits =
                    |count: f64| (8.0 * (total / count).log2()).round().clamp(0.0, 200.0) as u8;
                let mut common: Vec<(u32, u64)> = counts
                    .iter()
                    .filter(|(_, count)| **count >= LEAST)
                    .map(|(hash, count)| (*count, *hash))
                    .collect();
                common.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
                common.truncate(MOST);
                let mut common: FxHashMap<u64, u8> = common
                    .into_iter()
                    .map(|(count, hash)| (hash, bits(f64::from(count))))
                    .collect();
                common.extend(known.iter().map(|(hash, rare)| {
                    let counted = counts.get(hash).copied().unwrap_or_default();
                    let expected = KNOWN_WORDS * (-f64::from(*rare) / 8.0).exp2();
                    (*hash, bits(f64::from(counted) + expected))
                }));
                common.extend(self.in_countries(slot));
                SlotRarity {
                    of: name.to_owned(),
                    rare: bits(if known.is_empty() { 1.5 } else { UNSEEN }),
                    common,
                }
            })
            .collect();
        Rarity { slots }
    }

    /// The most common names of each country.
    fn in_countries(&self, slot: usize) -> Vec<(u64, u8)> {
        let (Some(within), Some(totals)) = (self.within.get(slot), self.of_country.get(slot))
        else {
            return Vec::new();
        };
        let mut common: Vec<(u8, u64)> = within
            .iter()
            .filter(|(_, count)| **count >= LEAST)
            .filter_map(|((hash, country), count)| {
                let total = totals
                    .get(country)
                    .filter(|total| **total >= LEAST_IN_COUNTRY)?;
                let bits = 8.0 * (*total as f64 / f64::from(*count)).log2();
                Some((
                    bits.round().clamp(1.0, 200.0) as u8,
                    in_country(*hash, country),
                ))
            })
            .collect();
        common.sort_unstable();
        common.truncate(MOST);
        common
            .into_iter()
            .map(|(bits, hash)| (hash, bits))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Counts, Slot};
    use crate::text;

    #[test]
    fn a_common_word_is_common_in_a_small_set_too() {
        let hash = |word: &str| text::hash(b'w', word);
        let mut counts = Counts::default();
        for word in ["services", "brightwater"] {
            counts.add(Slot::Word, hash(word));
        }
        let rarity = counts.rarity();
        let [services, brightwater] =
            ["services", "brightwater"].map(|word| rarity.of(Slot::Word, hash(word)));
        assert!(services + 24 < brightwater, "{services} {brightwater}");
    }
}

mod hex_keys {
    use std::collections::BTreeMap;

    use rustc_hash::FxHashMap;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        map: &FxHashMap<u64, u8>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let sorted: BTreeMap<String, u8> = map
            .iter()
            .map(|(hash, bits)| (format!("{hash:016x}"), *bits))
            .collect();
        sorted.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<FxHashMap<u64, u8>, D::Error> {
        let read: BTreeMap<String, u8> = BTreeMap::deserialize(deserializer)?;
        read.into_iter()
            .map(|(hash, bits)| {
                u64::from_str_radix(&hash, 16)
                    .map(|hash| (hash, bits))
                    .map_err(D::Error::custom)
            })
            .collect()
    }
}
