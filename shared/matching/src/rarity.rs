//! How rare values are: two people called Smith say less than two called Cholmondeley.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

/// Values of which a frequency is kept, for each kind of value.
const MOST: usize = 1000;
/// How often a value must be seen to be kept: what is seen less is rare.
const LEAST: u32 = 3;

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

/// How rare values are, in eighths of a bit: the negative logarithm of their frequency.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Rarity {
    slots: Vec<SlotRarity>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct SlotRarity {
    /// What kind of value.
    of: String,
    /// Of a value that is not listed.
    rare: u8,
    /// Values by their hash; names and addresses themselves are not kept.
    #[serde(with = "hex_keys")]
    common: FxHashMap<u64, u8>,
}

impl Rarity {
    pub(crate) fn of(&self, slot: Slot, hash: u64) -> u8 {
        self.slots.get(slot as usize).map_or(0, |slot| {
            slot.common.get(&hash).copied().unwrap_or(slot.rare)
        })
    }

    /// All values equally rare, some given ones aside.
    pub(crate) fn shipped(common: &[(Slot, u64, u8)]) -> Self {
        let mut slots: Vec<SlotRarity> = SLOT_NAMES
            .iter()
            .map(|name| SlotRarity {
                of: (*name).to_owned(),
                rare: 13 * 8,
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
}

impl Counts {
    pub(crate) fn add(&mut self, slot: Slot, hash: u64) {
        let at = slot as usize;
        if let (Some(slot), Some(total)) = (self.slots.get_mut(at), self.totals.get_mut(at)) {
            *slot.entry(hash).or_default() += 1;
            *total += 1;
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
    }

    /// What was counted, on top of what was known: `known` counts as `weight` values.
    pub(crate) fn rarity(&self) -> Rarity {
        let slots = self
            .slots
            .iter()
            .zip(self.totals)
            .zip(SLOT_NAMES)
            .map(|((counts, total), name)| {
                let total = total.max(50) as f64;
                let bits =
                    |count: f64| (8.0 * (total / count).log2()).round().clamp(0.0, 200.0) as u8;
                let mut common: Vec<(u32, u64)> = counts
                    .iter()
                    .filter(|(_, count)| **count >= LEAST)
                    .map(|(hash, count)| (*count, *hash))
                    .collect();
                common.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
                common.truncate(MOST);
                SlotRarity {
                    of: name.to_owned(),
                    rare: bits(1.5),
                    common: common
                        .into_iter()
                        .map(|(count, hash)| (hash, bits(f64::from(count))))
                        .collect(),
                }
            })
            .collect();
        Rarity { slots }
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
