//! What the levels of fields weigh.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::clean::Clean;
use crate::compare::{self, FIELDS, Pattern, SHARED};
use crate::rarity::Rarity;
use crate::{Bits, Kind};

/// What says how much: a document that a person can read, and that is kept with its version.
///
/// A pair is of one of several *classes*: two records of one who stayed where he was, of one who moved;
/// or of two strangers, colleagues, namesakes. Each class has its own frequencies of levels, because
/// what goes together in one (a colleague's company, domain and street) would count twice as separate
/// evidence. The score weighs the likeliest class of a match against the likeliest other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Document")]
pub struct Model {
    /// Counts what was learned; 0 is what was shipped.
    pub version: u32,
    /// What its records are of.
    pub kind: Kind,
    /// Score from which on two records are taken for one.
    pub threshold: Bits,
    /// By how much the best must be better than the second.
    pub margin: Bits,
    /// Pairs that it was learned from.
    pub pairs: u64,
    /// How many of them were taken for matches.
    pub matches: u64,
    /// The fields and their levels in words, as the classes list them.
    pub(crate) fields: Vec<FieldModel>,
    /// What pairs are.
    pub(crate) classes: Vec<Class>,
    /// What an eighth of a bit of rarity takes from the likelihood of two others agreeing, for each
    /// value that may be rare.
    pub(crate) rates: [Bits; SHARED],
    pub(crate) rarity: Rarity,
}

/// A model as it is kept. One of a version with other fields or levels is the shipped one again, with
/// its own number: what it learned cannot be read any more.
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
    /// The model as it was written.
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
    /// What it is, in words.
    pub(crate) name: String,
    /// Whether the two are one.
    pub(crate) is_match: bool,
    /// Its frequency among matches, or among others.
    pub(crate) share: Bits,
    /// Frequencies of each field's levels; 0 for *not known*, which says nothing.
    pub(crate) levels: Vec<Vec<Bits>>,
    /// How rare what such pairs agree on usually is, in eighths of a bit.
    pub(crate) usual: [u8; SHARED],
}

/// Most that rarity adds or takes.
const MOST_RARITY: Bits = 6000;

/// How a field of two records compares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// The field.
    pub field: Cow<'static, str>,
    /// How alike its values are.
    pub level: Cow<'static, str>,
    /// What that says for (or, below 0, against) a match.
    pub weight: Bits,
    /// Whether it speaks for a match.
    pub agrees: bool,
}

/// Why two records score what they score.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The sum of the fields' weights.
    pub score: Bits,
    /// From where on it is a match.
    pub threshold: Bits,
    /// Every field that both records have, in the order of the model.
    pub fields: Vec<Compared>,
}

/// Candidates in the order of their scores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranked<K> {
    /// The best, if it is a match and clear of the second.
    pub best: Option<K>,
    /// All of them with their scores, the best first.
    pub ranked: Vec<(K, Bits)>,
}

/// Most classes of a model.
pub(crate) const MOST_CLASSES: usize = 8;

/// A model as the processor likes it: what each level of a field says of all classes at once.
pub(crate) struct Compiled {
    shares: [Bits; MOST_CLASSES],
    is_match: [bool; MOST_CLASSES],
    classes: usize,
    levels: [Vec<[Bits; MOST_CLASSES]>; FIELDS],
    usual: [[Bits; MOST_CLASSES]; SHARED],
    /// What rarity takes from the likelihood in each class: nothing in those of a match.
    rates: [[Bits; MOST_CLASSES]; SHARED],
    /// The rare values of each field.
    slots: [Vec<usize>; FIELDS],
}

/// By how much less likely others agree on something this rare.
fn rare(rarity: u8, usual: Bits, rate: Bits) -> Bits {
    ((Bits::from(rarity) - usual) * rate).clamp(-MOST_RARITY, MOST_RARITY)
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

    /// How likely a pattern is in each class.
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
            // Nothing is more than certain, however common what they agree on.
            all.iter_mut()
                .zip(of_field)
                .for_each(|(all, value)| *all += value.min(0));
        }
        all
    }

    /// The likeliest of the classes that are matches, or of the others.
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

    /// Spreads a pair over the classes that it may be of: those of a match sum to 1, and so do the
    /// others.
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
            // A thousandth does not count.
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

    /// Whether a class is of matches.
    pub(crate) const fn matches(&self) -> &[bool; MOST_CLASSES] {
        &self.is_match
    }
}

impl Model {
    /// How likely a pattern is in a class.
    fn likelihood(&self, class: &Class, pattern: &Pattern) -> Bits {
        let fields: Bits = (0..FIELDS)
            .map(|field| self.of_field(class, field, pattern))
            .sum();
        class.share + fields
    }

    /// How likely what a field compares as is in a class.
    fn of_field(&self, class: &Class, field: usize, pattern: &Pattern) -> Bits {
        let level = pattern
            .levels
            .get(field)
            .map_or(0, |level| usize::from(*level));
        if level == 0 {
            return 0;
        }
        let of_level = class
            .levels
            .get(field)
            .and_then(|levels| levels.get(level))
            .copied()
            .unwrap_or_default();
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
        (of_level - rare).min(0)
    }

    /// The likeliest class of a match and the likeliest other, with the likelihoods.
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

    /// The score of a pair: what speaks for it less what speaks against it. The same whichever comes
    /// first. Records of different kinds have nothing to compare: 0.
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

    /// Orders candidates by score, equal ones by their content and then their key, and tells whether
    /// the best is a match.
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

    /// Whether a best score is a match beside a second one.
    #[must_use]
    pub fn is_clear(&self, best: Option<Bits>, second: Option<Bits>) -> bool {
        best.is_some_and(|best| {
            best >= self.threshold && second.is_none_or(|second| best - second >= self.margin)
        })
    }
}

impl Model {
    /// What Leadbridge ships with.
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
        // Who works for nobody has no employer in common with anybody.
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
        // The address follows the surname: it is no second sign against.
        let at = |last: &str, local: &str| {
            let email = format!("{local}@acme.com");
            person("Petra", last, of_company("Acme", "", &email))
        };
        let (a, b) = (at("Sommer", "petra.sommer"), at("Winter", "petra.winter"));
        let other = at("Winter", "pw77");
        assert!(score(&a, &b) > score(&a, &other) + 2_000);
        // An address that is made of the other one's name.
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
