//! The model: weights of the fields' levels.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::clean::Clean;
use crate::compare::{self, FIELDS, Pattern, SHARED};
use crate::rarity::Rarity;
use crate::{Bits, Kind};

/// A matching model: a document that a person can read, stored with its version.
///
/// A pair belongs to one of several *classes*. Classes of matches: one person who stayed in place, or one who
/// moved. Classes of others: strangers, colleagues, namesakes. Each class has its own frequencies of levels,
/// because values that go together in one class (a colleague's company, domain and street) would count twice
/// as separate evidence. The score compares the likeliest class of a match with the likeliest other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Document")]
pub struct Model {
    /// Counts the learned models; 0 is the shipped one.
    pub version: u32,
    /// The kind of its records.
    pub kind: Kind,
    /// Score from which on two records are taken to be the same.
    pub threshold: Bits,
    /// Minimum difference between the best score and the second.
    pub margin: Bits,
    /// Number of pairs that it was learned from.
    pub pairs: u64,
    /// Number of them that were taken for matches.
    pub matches: u64,
    /// The fields and their levels in words, as the classes list them.
    pub(crate) fields: Vec<FieldModel>,
    /// The classes of pairs.
    pub(crate) classes: Vec<Class>,
    /// The reduction of the likelihood that two others agree, for each eighth of a bit of rarity, for each
    /// value that may be rare.
    pub(crate) rates: [Bits; SHARED],
    pub(crate) rarity: Rarity,
}

/// A stored model. A document of a version with other fields or levels becomes the shipped model with its own
/// number: its learned values can no longer be read.
#[derive(Deserialize)]
pub(crate) struct Document {
    version: u32,
    kind: Kind,
    threshold: Bits,
    margin: Bits,
    pairs: u64,
    matches: u64,
    fields: Vec<FieldModel>,
    classes: Vec<Class>,
    rates: [Bits; SHARED],
    rarity: Rarity,
}

impl Document {
    /// Converts the document to a model without changes.
    pub(crate) fn into_written(self) -> Model {
        Model {
            version: self.version,
            kind: self.kind,
            threshold: self.threshold,
            margin: self.margin,
            pairs: self.pairs,
            matches: self.matches,
            fields: self.fields,
            classes: self.classes,
            rates: self.rates,
            rarity: self.rarity,
        }
    }
}

impl From<Document> for Model {
    fn from(document: Document) -> Self {
        let fits = document.classes.iter().all(|class| {
            let counts = class.levels.iter().map(Vec::len);
            counts.eq(compare::level_counts(document.kind))
        });
        if fits {
            document.into_written()
        } else {
            Self {
                version: document.version,
                ..Self::shipped(document.kind)
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FieldModel {
    pub(crate) field: String,
    pub(crate) levels: Vec<String>,
}

/// A kind of pair. Frequencies are logarithms to base 2 in thousandths: -1000 is every second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Class {
    /// Its name, in words.
    pub(crate) name: String,
    /// True if the two records of such a pair are one.
    pub(crate) is_match: bool,
    /// Its frequency among matches, or among others.
    pub(crate) share: Bits,
    /// Frequencies of each field's levels; 0 for *not known*, which counts neither way.
    pub(crate) levels: Vec<Vec<Bits>>,
    /// The usual rarity of the values that such pairs agree on, in eighths of a bit.
    pub(crate) usual: [u8; SHARED],
}

/// Maximum that rarity adds or takes.
const MOST_RARITY: Bits = 6000;

/// The comparison of one field of two records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// The field.
    pub field: Cow<'static, str>,
    /// The similarity of its values.
    pub level: Cow<'static, str>,
    /// The weight for (or, below 0, against) a match.
    pub weight: Bits,
    /// True if it supports a match.
    pub agrees: bool,
}

/// An explanation of the score of two records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The sum of the fields' weights.
    pub score: Bits,
    /// Minimum score of a match.
    pub threshold: Bits,
    /// Every field that both records have, in the order of the model.
    pub fields: Vec<Compared>,
}

/// Candidates in order of their scores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranked<K> {
    /// The best, if it is a match and clear of the second.
    pub best: Option<K>,
    /// All of them with their scores, the best first.
    pub ranked: Vec<(K, Bits)>,
}

/// Maximum number of classes of a model.
pub(crate) const MOST_CLASSES: usize = 8;

/// A model compiled for speed: the values of each field's levels for all classes side by side.
pub(crate) struct Compiled {
    shares: [Bits; MOST_CLASSES],
    is_match: [bool; MOST_CLASSES],
    classes: usize,
    levels: [Vec<[Bits; MOST_CLASSES]>; FIELDS],
    usual: [[Bits; MOST_CLASSES]; SHARED],
    /// The reduction of the likelihood by rarity in each class: none in classes of matches.
    rates: [[Bits; MOST_CLASSES]; SHARED],
    /// The rare values of each field.
    slots: [Vec<usize>; FIELDS],
}

/// The reduction of the likelihood that others agree on a value of this rarity.
fn rare(rarity: u8, usual: Bits, rate: Bits) -> Bits {
    ((Bits::from(rarity) - usual) * rate).clamp(-MOST_RARITY, MOST_RARITY)
}

/// Limits the likelihood of a level that rarity has corrected. A value that everybody has says nothing, so it
/// makes agreement among others at most as likely as among matches; it is never evidence against a match.
fn tempered(corrected: Bits, plain: Bits, of_matches: Option<Bits>) -> Bits {
    let most = of_matches.map_or(plain, |of_matches| of_matches.max(plain));
    corrected.min(most).min(0)
}

impl Compiled {
    pub(crate) fn new(model: &Model) -> Self {
        let mut compiled = Self {
            shares: [0; MOST_CLASSES],
            is_match: [false; MOST_CLASSES],
            classes: model.classes.len().min(MOST_CLASSES),
            levels: compare::level_counts(model.kind).map(|levels| vec![[0; MOST_CLASSES]; levels]),
            usual: [[0; MOST_CLASSES]; SHARED],
            rates: [[0; MOST_CLASSES]; SHARED],
            slots: Default::default(),
        };
        for (slot, field) in compare::shared_fields(model.kind).into_iter().enumerate() {
            if let Some(slots) = compiled.slots.get_mut(field) {
                slots.push(slot);
            }
        }
        for (at, class) in model.classes.iter().take(MOST_CLASSES).enumerate() {
            let set = |row: &mut [Bits; MOST_CLASSES], value: Bits| {
                if let Some(slot) = row.get_mut(at) {
                    *slot = value;
                }
            };
            set(&mut compiled.shares, class.share);
            if let Some(is_match) = compiled.is_match.get_mut(at) {
                *is_match = class.is_match;
            }
            for (rows, levels) in compiled.levels.iter_mut().zip(&class.levels) {
                for (row, level) in rows.iter_mut().zip(levels) {
                    set(row, *level);
                }
            }
            for (row, usual) in compiled.usual.iter_mut().zip(class.usual) {
                set(row, Bits::from(usual));
            }
            for (row, rate) in compiled.rates.iter_mut().zip(model.rates) {
                set(row, if class.is_match { 0 } else { rate });
            }
        }
        compiled
    }

    /// The likelihood of a pattern in each class.
    pub(crate) fn likelihoods(&self, pattern: &Pattern) -> [Bits; MOST_CLASSES] {
        let mut all = self.shares;
        for (field, level) in pattern.levels.iter().enumerate() {
            let rows = self.levels.get(field);
            let Some(row) = rows.and_then(|rows| rows.get(usize::from(*level))) else {
                continue;
            };
            if *level == 0 {
                continue;
            }
            let mut of_field = *row;
            for slot in self.slots.get(field).into_iter().flatten() {
                let rarity = pattern.shared.get(*slot).copied().unwrap_or_default();
                if rarity == 0 {
                    continue;
                }
                if let (Some(usual), Some(rates)) = (self.usual.get(*slot), self.rates.get(*slot)) {
                    for ((value, usual), rate) in of_field.iter_mut().zip(usual).zip(rates) {
                        *value -= rare(rarity, *usual, *rate);
                    }
                }
            }
            let of_matches = row.iter().zip(self.is_match).take(self.classes);
            let of_matches = of_matches.filter(|(_, is_match)| *is_match);
            let of_matches = of_matches.map(|(value, _)| *value).max();
            let fields = of_field.into_iter().zip(row);
            all.iter_mut()
                .zip(fields)
                .for_each(|(all, (value, plain))| *all += tempered(value, *plain, of_matches));
        }
        all
    }

    /// The likeliest of the matching classes, or of the others.
    pub(crate) fn best(&self, likelihoods: &[Bits; MOST_CLASSES], is_match: bool) -> Option<Bits> {
        let classes = likelihoods.iter().zip(self.is_match).take(self.classes);
        classes
            .filter(|class| class.1 == is_match)
            .map(|class| *class.0)
            .max()
    }

    pub(crate) fn score(&self, pattern: &Pattern) -> Bits {
        let likelihoods = self.likelihoods(pattern);
        match (
            self.best(&likelihoods, true),
            self.best(&likelihoods, false),
        ) {
            (Some(one), Some(other)) => one - other,
            _ => 0,
        }
    }

    /// Distributes a pair over its possible classes: those of matches sum to 1, and so do the others.
    pub(crate) fn spread(&self, pattern: &Pattern) -> [f64; MOST_CLASSES] {
        let likelihoods = self.likelihoods(pattern);
        let best = |is_match| self.best(&likelihoods, is_match).unwrap_or_default();
        let (best_match, best_other) = (best(true), best(false));
        let (mut matches, mut others) = (f64::MIN_POSITIVE, f64::MIN_POSITIVE);
        let mut odds = [0.0; MOST_CLASSES];
        let classes = likelihoods.iter().zip(self.is_match).take(self.classes);
        for (odds, (likelihood, is_match)) in odds.iter_mut().zip(classes) {
            let (best, all) = if is_match {
                (best_match, &mut matches)
            } else {
                (best_other, &mut others)
            };
            // A thousandth is negligible.
            if best - likelihood < 10_000 {
                *odds = (f64::from(likelihood - best) / 1000.0).exp2();
                *all += *odds;
            }
        }
        for (odds, is_match) in odds.iter_mut().zip(self.is_match) {
            *odds /= if is_match { matches } else { others };
        }
        odds
    }

    /// The flags of the classes: true for a class of matches.
    pub(crate) const fn matches(&self) -> &[bool; MOST_CLASSES] {
        &self.is_match
    }
}

impl Model {
    /// The likelihood of a pattern in a class.
    fn likelihood(&self, class: &Class, pattern: &Pattern) -> Bits {
        let fields: Bits = (0..FIELDS)
            .map(|field| self.of_field(class, field, pattern))
            .sum();
        class.share + fields
    }

    /// The likelihood of one field's level in a class.
    fn of_field(&self, class: &Class, field: usize, pattern: &Pattern) -> Bits {
        let level = pattern
            .levels
            .get(field)
            .map_or(0, |level| usize::from(*level));
        if level == 0 {
            return 0;
        }
        let of = |class: &Class| {
            let levels = class.levels.get(field);
            levels.and_then(|levels| levels.get(level)).copied()
        };
        let of_level = of(class).unwrap_or_default();
        let matches = self.classes.iter().filter(|class| class.is_match);
        let of_matches = matches.map(|class| of(class).unwrap_or_default()).max();
        let rare: Bits = if class.is_match {
            0
        } else {
            let shared = pattern.shared.iter().zip(class.usual).zip(self.rates);
            shared
                .zip(compare::shared_fields(self.kind))
                .filter(|(((rarity, _), _), of)| **rarity > 0 && *of == field)
                .map(|(((rarity, usual), rate), _)| rare(*rarity, Bits::from(usual), rate))
                .sum()
        };
        tempered(of_level - rare, of_level, of_matches)
    }

    /// The likeliest matching class and the likeliest other, with their likelihoods.
    fn likeliest(&self, pattern: &Pattern, is_match: bool) -> Option<(Bits, &Class)> {
        let mut best: Option<(Bits, &Class)> = None;
        for class in self
            .classes
            .iter()
            .filter(|class| class.is_match == is_match)
        {
            let likelihood = self.likelihood(class, pattern);
            if best.is_none_or(|best| likelihood > best.0) {
                best = Some((likelihood, class));
            }
        }
        best
    }

    pub(crate) fn score_of(&self, pattern: &Pattern) -> Bits {
        match (
            self.likeliest(pattern, true),
            self.likeliest(pattern, false),
        ) {
            (Some(one), Some(other)) => one.0 - other.0,
            _ => 0,
        }
    }

    /// The score of a pair: the evidence for a match less the evidence against it, independent of the order.
    /// Records of different kinds have nothing to compare: 0.
    #[must_use]
    pub fn score(&self, a: &Clean, b: &Clean) -> Bits {
        if a.kind != self.kind || b.kind != self.kind {
            return 0;
        }
        self.score_of(&compare::compare(a, b, &self.rarity))
    }

    /// The score of a pair field by field.
    #[must_use]
    pub fn explain(&self, a: &Clean, b: &Clean) -> Explanation {
        let pattern = if a.kind == self.kind && b.kind == self.kind {
            compare::compare(a, b, &self.rarity)
        } else {
            Pattern::default()
        };
        let (Some((_, one)), Some((_, other))) = (
            self.likeliest(&pattern, true),
            self.likeliest(&pattern, false),
        ) else {
            return Explanation {
                score: 0,
                threshold: self.threshold,
                fields: Vec::new(),
            };
        };
        let mut fields = Vec::with_capacity(FIELDS + 1);
        for (at, field) in self.fields.iter().enumerate() {
            let level = pattern
                .levels
                .get(at)
                .map_or(0, |level| usize::from(*level));
            if level == 0 {
                continue;
            }
            let weight = self.of_field(one, at, &pattern) - self.of_field(other, at, &pattern);
            fields.push(Compared {
                field: field.field.clone().into(),
                level: field.levels.get(level).cloned().unwrap_or_default().into(),
                weight,
                agrees: weight > 0,
            });
        }
        fields.push(Compared {
            field: "alternatives".into(),
            level: format!("{} or {}", one.name, other.name).into(),
            weight: one.share - other.share,
            agrees: one.share > other.share,
        });
        Explanation {
            score: fields.iter().map(|field| field.weight).sum(),
            threshold: self.threshold,
            fields,
        }
    }

    /// Orders candidates by score, equal ones by their content and then their key, and decides whether the
    /// best is a match.
    pub fn best<'c, K: Ord + Clone>(
        &self,
        record: &Clean,
        candidates: impl IntoIterator<Item = (K, &'c Clean)>,
    ) -> Ranked<K> {
        let mut ranked: Vec<(Bits, u64, K)> = candidates
            .into_iter()
            .map(|(key, candidate)| (self.score(record, candidate), candidate.content, key))
            .collect();
        ranked.sort_by(|a, b| {
            b.0.cmp(&a.0)
                .then(a.1.cmp(&b.1))
                .then_with(|| a.2.cmp(&b.2))
        });
        let best = self.is_clear(
            ranked.first().map(|best| best.0),
            ranked.get(1).map(|second| second.0),
        );
        Ranked {
            best: ranked.first().filter(|_| best).map(|best| best.2.clone()),
            ranked: ranked
                .into_iter()
                .map(|(score, _, key)| (key, score))
                .collect(),
        }
    }

    /// True if the best score is a match and clear of the second.
    #[must_use]
    pub fn is_clear(&self, best: Option<Bits>, second: Option<Bits>) -> bool {
        best.is_some_and(|best| {
            best >= self.threshold && second.is_none_or(|second| best - second >= self.margin)
        })
    }
}

impl Model {
    /// The model that Leadbridge ships with.
    #[must_use]
    pub fn shipped(kind: Kind) -> Self {
        crate::shipped::model(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::Model;
    use crate::{Clean, Kind, Record};

    fn person(first: &str, last: &str, more: Record) -> Clean {
        let record = Record {
            first_name: first.to_owned(),
            last_name: last.to_owned(),
            ..more
        };
        Clean::new(Kind::Person, &record, None)
    }

    fn of_company(company: &str, country: &str, email: &str) -> Record {
        Record {
            company: company.to_owned(),
            country: country.to_owned(),
            emails: vec![email.to_owned()],
            ..Record::default()
        }
    }

    fn score(a: &Clean, b: &Clean) -> i32 {
        Model::shipped(Kind::Person).score(a, b)
    }

    #[test]
    fn namesakes_are_not_linked() {
        let threshold = Model::shipped(Kind::Person).threshold;
        let at = |country: &str, company: &str, email: &str| {
            person("Ann", "Meier", of_company(company, country, email))
        };
        // On another continent, at another firm.
        let (a, b) = (
            at("DE", "Acme GmbH", "ann.meier@acme.de"),
            at("Brazil", "Globex", "ann.meier@globex.com.br"),
        );
        assert!(score(&a, &b) < threshold, "{}", score(&a, &b));
        // People without an employer have none in common.
        let (a, b) = (
            at("DE", "Self-employed", "ann.meier@gmail.com"),
            at("DE", "self employed", "annm@web.de"),
        );
        let (c, d) = (
            at("DE", "", "ann.meier@gmail.com"),
            at("DE", "", "annm@web.de"),
        );
        assert_eq!(score(&a, &b), score(&c, &d));
    }

    #[test]
    fn middle_initials_and_changed_surnames_count_for_what_they_say() {
        let nothing = Record::default;
        let initial = |a: &str, b: &str| {
            score(
                &person(a, "Novak", nothing()),
                &person(b, "Novak", nothing()),
            )
        };
        assert!(initial("Jan P.", "Jan K.") < initial("Jan", "Jan") - 3_000);
        assert!(initial("Jan P.", "Jan P.") > initial("Jan", "Jan") + 2_000);
        // The address follows the surname: it is no second sign against a match.
        let at = |last: &str, local: &str| {
            let email = format!("{local}@acme.com");
            person("Petra", last, of_company("Acme", "", &email))
        };
        let (a, b) = (at("Sommer", "petra.sommer"), at("Winter", "petra.winter"));
        let other = at("Winter", "pw77");
        assert!(score(&a, &b) > score(&a, &other) + 2_000);
        // An address made from the other one's name.
        let with_mail = person("P", "Winter", of_company("", "", "petra.sommer@gmail.com"));
        let plain = person("Petra", "Sommer", nothing());
        let without = person("P", "Winter", nothing());
        assert!(score(&with_mail, &plain) > score(&without, &plain) + 4_000);
    }

    #[test]
    fn a_model_of_another_version_is_the_shipped_one_again() {
        let mut document = serde_json::to_value(Model::shipped(Kind::Person)).unwrap();
        document["version"] = 7.into();
        document["threshold"] = 9_000.into();
        let read: Model = serde_json::from_value(document.clone()).unwrap();
        assert_eq!((read.version, read.threshold), (7, 9_000));
        document["classes"][0]["levels"]
            .as_array_mut()
            .unwrap()
            .pop();
        let read: Model = serde_json::from_value(document).unwrap();
        let shipped = Model::shipped(Kind::Person);
        assert_eq!((read.version, read.threshold), (7, shipped.threshold));
        assert_eq!(read.classes, shipped.classes);
    }
}
