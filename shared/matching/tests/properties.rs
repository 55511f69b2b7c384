//! Properties of matching for any records: MA-1, MA-2, MA-3.

use matching::bulk::{self, Options};
use matching::{Clean, Kind, Model, Other, Record, Same};
use proptest::prelude::*;
use proptest::sample::select;

/// Values that agree often enough to make every level appear, and some unexpected ones.
fn word(of: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop_oneof![
        6 => select(of).prop_map(str::to_owned),
        2 => Just(String::new()),
        1 => "\\PC{0,12}",
        1 => ".{0,400}",
    ]
}

const FIRST: &[&str] = &[
    "Maria",
    "maria",
    "William",
    "Bill",
    "W",
    "Jean-Luc",
    "Ольга",
    "Ma ria",
    "李",
    "裕子",
    "محمد",
    "Maria K.",
    "José",
];
const LAST: &[&str] = &[
    "Smith",
    "Smyth",
    "van der Berg",
    "Berg",
    "O'Brien",
    "Garcia Lopez",
    "Maria Smith",
    "Lopez",
    "Müller",
    "Maria",
    "Ng",
    "中島",
    "田中太郎",
    "الأنصاري",
];
const EMAIL: &[&str] = &[
    "maria@acme.com",
    "m.smith@acme.com",
    "maria.smith@gmail.com",
    "info@acme.com",
    "MARIA@ACME.COM",
    "bill@globex.de",
];
const PHONE: &[&str] = &[
    "+1 512 453 4211",
    "(512) 453-4211",
    "512-453-4299",
    "+49 30 1234567",
    "5551234",
];
const COMPANY: &[&str] = &[
    "Acme Inc.",
    "ACME",
    "Acme Holdings GmbH & Co. KG",
    "The Acme Company",
    "Globex",
    "IBM",
    "International Business Machines",
    "Acme Life Sci.",
    "Fund II Class A",
    "Fund III",
    "Self-employed",
];
const STREET: &[&str] = &[
    "12 Main Street",
    "12 Main St, Suite 4",
    "Main Street 12",
    "Hauptstr. 5",
    "5 Elm Rd",
];
const CITY: &[&str] = &[
    "Springfield",
    "Sprngfield",
    "St. Louis",
    "Saint Louis",
    "Köln",
];
const CODE: &[&str] = &["62701", "62701-1234", "EC1A 1BB", "ec1a1bb", "01234"];
const COUNTRY: &[&str] = &["US", "United States", "Germany", "DE", "Atlantis"];

fn record() -> impl Strategy<Value = Record> {
    (
        (word(FIRST), word(LAST), word(COMPANY), word(COMPANY)),
        prop::collection::vec(word(EMAIL), 0..3),
        prop::collection::vec(word(PHONE), 0..3),
        (
            word(&["Sales Manager", "Mgr, Sales", "CEO", "Head of IT"]),
            word(&["acme.com", "https://www.acme.com/x", "globex.de", "No"]),
        ),
        (
            word(STREET),
            word(CITY),
            word(&["IL", "Illinois", "Bayern"]),
            word(CODE),
            word(COUNTRY),
        ),
        (
            word(&["1980-03-14", "14.03.1980", "1980-03-15"]),
            prop::collection::vec(
                (
                    word(&["7", "7.0", "1,234", "1980-03-14"]),
                    select(&[Same::Text, Same::Number, Same::Date][..]),
                ),
                0..2,
            ),
        ),
    )
        .prop_map(
            |(
                (first_name, last_name, name, company),
                emails,
                phones,
                (title, website),
                (street, city, state, postcode, country),
                (birth_date, other),
            )| Record {
                first_name,
                last_name,
                name,
                emails,
                phones,
                title,
                company,
                website,
                street,
                city,
                state,
                postcode,
                country,
                birth_date,
                others: other
                    .into_iter()
                    .map(|(value, same)| Other {
                        name: "number".to_owned(),
                        same,
                        value,
                    })
                    .collect(),
            },
        )
}

fn kind() -> impl Strategy<Value = Kind> {
    select(&[Kind::Person, Kind::Company][..])
}

fn clean(kind: Kind, records: &[Record]) -> Vec<Clean> {
    records
        .iter()
        .map(|record| Clean::new(kind, record, Some("US")))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_score_does_not_depend_on_which_record_is_the_first(kind in kind(), a in record(), b in record()) {
        let model = Model::shipped(kind);
        let (a, b) = (Clean::new(kind, &a, None), Clean::new(kind, &b, None));
        prop_assert_eq!(model.score(&a, &b), model.score(&b, &a));
        prop_assert_eq!(model.explain(&a, &b), model.explain(&b, &a));
    }

    #[test]
    fn the_weights_of_an_explanation_sum_to_the_score(kind in kind(), a in record(), b in record()) {
        let model = Model::shipped(kind);
        let (a, b) = (Clean::new(kind, &a, None), Clean::new(kind, &b, None));
        let why = model.explain(&a, &b);
        prop_assert_eq!(why.fields.iter().map(|field| field.weight).sum::<i32>(), why.score);
        prop_assert_eq!(why.score, model.score(&a, &b));
        prop_assert!(why.fields.iter().all(|field| field.agrees == (field.weight > 0)));
        prop_assert!(why.fields.iter().all(|field| !field.level.is_empty()));
    }

    #[test]
    fn bulk_and_online_agree_on_every_pair(kind in kind(), left in prop::collection::vec(record(), 1..12), right in prop::collection::vec(record(), 1..12)) {
        let (left, right) = (clean(kind, &left), clean(kind, &right));
        let bulk = bulk::link_clean(kind, &left, &right, &Options::default());
        // The model is serialised and read back in between.
        let model: Model = serde_json::from_str(&serde_json::to_string(&bulk.model).unwrap()).unwrap();
        for pair in &bulk.pairs {
            let (a, b) = (&left[pair.left as usize], &right[pair.right as usize]);
            prop_assert_eq!(model.score(a, b), pair.score);
            let ranked = model.best(a, [(pair.right, b)]);
            prop_assert_eq!(ranked.ranked, vec![(pair.right, pair.score)]);
            prop_assert_eq!(ranked.best.is_some(), pair.score >= model.threshold);
        }
    }

    #[test]
    fn links_do_not_depend_on_the_order_of_records_nor_of_sets(
        kind in kind(),
        (left, turned_left) in prop::collection::vec(record(), 1..16).prop_flat_map(turned),
        (right, turned_right) in prop::collection::vec(record(), 1..16).prop_flat_map(turned),
    ) {
        // Compared by the content of the linked records, because equal records may replace each other.
        let links = |left: &[Record], right: &[Record], swap: bool| {
            let (of_left, of_right) = (clean(kind, left), clean(kind, right));
            let outcome = bulk::link_clean(kind, &of_left, &of_right, &Options::default());
            let mut links: Vec<(String, String, i32)> = outcome
                .links
                .iter()
                .map(|link| {
                    let (a, b) = (format!("{:?}", of_left[link.left as usize]), format!("{:?}", of_right[link.right as usize]));
                    if swap { (b, a, link.score) } else { (a, b, link.score) }
                })
                .collect();
            links.sort();
            (links, outcome.model)
        };
        let straight = links(&left, &right, false);
        prop_assert_eq!(&straight, &links(&turned_left, &turned_right, false));
        prop_assert_eq!(&straight, &links(&right, &left, true));
    }

    #[test]
    fn each_record_is_linked_at_most_once(kind in kind(), left in prop::collection::vec(record(), 0..20), right in prop::collection::vec(record(), 0..20)) {
        let outcome = bulk::link(kind, &left, &right, Some("US"), &Options::default());
        let mut lefts: Vec<u32> = outcome.links.iter().map(|link| link.left).collect();
        let mut rights: Vec<u32> = outcome.links.iter().map(|link| link.right).collect();
        let links = outcome.links.len();
        lefts.sort_unstable();
        lefts.dedup();
        rights.sort_unstable();
        rights.dedup();
        prop_assert_eq!((lefts.len(), rights.len()), (links, links));
    }

    #[test]
    fn candidates_are_ranked_the_same_however_they_come(
        kind in kind(),
        one in record(),
        (others, turned) in prop::collection::vec(record(), 0..12).prop_flat_map(turned),
    ) {
        let model = Model::shipped(kind);
        let one = Clean::new(kind, &one, None);
        let rank = |records: &[Record]| {
            let cleaned = clean(kind, records);
            // The key belongs to the record, not to its position.
            let ranked = model.best(&one, cleaned.iter().map(|record| (format!("{record:?}"), record)));
            (ranked.best, ranked.ranked)
        };
        prop_assert_eq!(rank(&others), rank(&turned));
    }
}

fn turned(records: Vec<Record>) -> impl Strategy<Value = (Vec<Record>, Vec<Record>)> {
    Just(records.clone())
        .prop_shuffle()
        .prop_map(move |turned| (records.clone(), turned))
}
