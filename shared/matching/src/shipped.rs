//! What is known before anything is learned.

use std::sync::LazyLock;

use crate::model::{FieldModel, Model};
use crate::rarity::{Rarity, Slot};
use crate::{Kind, compare, text};

/// The models of a first start. Their frequencies are those of labelled pairs of people and companies of
/// several sources, smoothed; a contract's own data moves them.
static SHIPPED: LazyLock<[Model; 2]> = LazyLock::new(|| {
    [
        include_str!("shipped/person.json"),
        include_str!("shipped/company.json"),
    ]
    .map(read)
});

#[expect(clippy::expect_used, reason = "a file of the source that a test reads")]
fn read(document: &str) -> Model {
    let mut model: Model = serde_json::from_str(document).expect("a shipped model");
    model.fields = compare::fields(model.kind)
        .into_iter()
        .zip(compare::level_counts(model.kind))
        .enumerate()
        .map(|(at, (field, levels))| FieldModel {
            field: field.to_owned(),
            levels: (0..levels)
                .map(|level| compare::level_text(model.kind, at, level))
                .collect(),
        })
        .collect();
    model.rarity = common();
    model
}

/// How common the commonest names and words are, until a contract's own records are counted.
fn common() -> Rarity {
    let mut common = Vec::new();
    // Frequencies of names fall off a little slower than their rank rises; the first has about one
    // person in a hundred.
    let mut add = |slot: Slot, kind: u8, words: &str, first: f64| {
        for (rank, word) in words.split_ascii_whitespace().enumerate() {
            let bits = first + 0.65 * f64::from(u32::try_from(rank + 1).unwrap_or(1)).log2();
            common.push((slot, text::hash(kind, word), (bits * 8.0).round() as u8));
        }
    };
    add(Slot::Last, b'n', LAST_NAMES, 6.8);
    add(Slot::First, b'f', FIRST_NAMES, 6.0);
    add(Slot::Word, b'w', COMPANY_WORDS, 4.5);
    Rarity::shipped(&common)
}

/// The commonest last names of the United States (census of 2010) and of Western Europe, about in the
/// order of their frequency.
const LAST_NAMES: &str = "smith johnson williams brown jones garcia miller davis rodriguez martinez
    hernandez lopez gonzalez wilson anderson thomas taylor moore jackson martin lee perez thompson white
    harris sanchez clark ramirez lewis robinson walker young allen king wright scott torres nguyen hill
    flores green adams nelson baker hall rivera campbell mitchell carter roberts muller schmidt schneider
    fischer weber meyer wagner becker hoffmann schulz dubois durand leroy moreau rossi russo ferrari
    bianchi silva santos fernandez jansen visser smit andersson johansson hansen nielsen kumar singh
    patel khan wang li zhang chen liu kim park";

/// Common first names, about in the order of their frequency.
const FIRST_NAMES: &str = "james john robert michael mary david william jennifer richard maria linda
    thomas elizabeth susan joseph jessica charles sarah christopher karen daniel lisa matthew nancy
    anthony mark sandra paul steven andrew ashley kimberly emily donna peter michelle carol amanda anna
    laura stephanie martin thomas jan hans klaus andreas stefan christian julia sophie marie pierre jean
    nicolas marco luca giulia andrea francesco jose carlos juan antonio ana joao pedro lars erik mohamed
    ali ahmed wei raj priya";

/// Words that very many companies have in their names.
const COMPANY_WORDS: &str = "group services international solutions global systems technology
    technologies management consulting company associates partners industries national holdings
    capital health medical care center american first united digital media design construction energy
    engineering software financial insurance logistics marketing products manufacturing development
    properties research school college university hospital bank restaurant hotel city new general
    east west north south central";

pub(crate) fn model(kind: Kind) -> Model {
    let [person, company] = &*SHIPPED;
    match kind {
        Kind::Person => person.clone(),
        Kind::Company => company.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::model;
    use crate::Kind;
    use crate::compare::{self, FIELDS};

    #[test]
    fn shipped_models_have_a_frequency_for_each_level() {
        for kind in [Kind::Person, Kind::Company] {
            let model = model(kind);
            assert_eq!(model.kind, kind);
            for class in &model.classes {
                let counts: Vec<usize> = class.levels.iter().map(Vec::len).collect();
                assert_eq!(counts, compare::level_counts(kind), "{}", class.name);
                assert_eq!(class.levels.len(), FIELDS);
                for levels in &class.levels {
                    assert_eq!(levels.first(), Some(&0), "what is not known says nothing");
                    let sum: f64 = levels
                        .iter()
                        .skip(1)
                        .map(|level| (f64::from(*level) / 1000.0).exp2())
                        .sum();
                    assert!((0.98..1.03).contains(&sum), "{}: {sum}", class.name);
                }
            }
            for is_match in [true, false] {
                let classes = model
                    .classes
                    .iter()
                    .filter(|class| class.is_match == is_match);
                let shares: f64 = classes
                    .map(|class| (f64::from(class.share) / 1000.0).exp2())
                    .sum();
                assert!(
                    (0.9..1.1).contains(&shares),
                    "{kind:?} {is_match}: {shares}"
                );
            }
        }
    }

    #[test]
    fn levels_have_their_own_words() {
        for kind in [Kind::Person, Kind::Company] {
            for field in model(kind).fields {
                let mut words = field.levels;
                assert_eq!(words.remove(0), "", "not known");
                assert!(words.iter().all(|text| !text.is_empty()), "{}", field.field);
                let all = words.len();
                words.sort_unstable();
                words.dedup();
                assert_eq!(words.len(), all, "{}", field.field);
            }
        }
    }
}
