//! Hostile and degenerate records.
#![expect(clippy::unwrap_used, reason = "tests")]

use matching::bulk::{self, Options};
use matching::{Clean, Kind, Model, Other, Record, Same};

fn person(first: &str, last: &str, email: &str) -> Record {
    Record {
        first_name: first.to_owned(),
        last_name: last.to_owned(),
        emails: vec![email.to_owned()],
        ..Record::default()
    }
}

fn hostile() -> Vec<Record> {
    let long = "x".repeat(10_000);
    let words = "ab ".repeat(5_000);
    let mut all = vec![Record::default()];
    for text in [
        "a",
        "7",
        " ",
        "\u{0}",
        "🦀🦀🦀",
        "مريم الأنصاري",
        "שלום",
        "Иван Петров",
        "田中太郎",
        "paypаl",
        "e\u{301}\u{301}\u{301}",
        "\u{202e}drowssap",
        "'; DROP TABLE",
        "<script>",
        "NaN",
        "-",
        "…",
        "ﬁnance",
        "@",
        "+",
        "a@",
        "@b",
        "a@b@c.de",
        "+++",
        "http://",
        "....",
        long.as_str(),
        words.as_str(),
    ] {
        let text = text.to_owned();
        all.push(Record {
            first_name: text.clone(),
            last_name: text.clone(),
            name: text.clone(),
            emails: vec![text.clone(); 9],
            phones: vec![text.clone(); 9],
            title: text.clone(),
            company: text.clone(),
            website: text.clone(),
            street: text.clone(),
            city: text.clone(),
            state: text.clone(),
            postcode: text.clone(),
            country: text.clone(),
            birth_date: text.clone(),
            others: vec![
                Other {
                    name: text.clone(),
                    same: Same::Number,
                    value: text,
                };
                40
            ],
        });
    }
    all
}

#[test]
fn any_record_can_be_compared_with_any() {
    for kind in [Kind::Person, Kind::Company] {
        let model = Model::shipped(kind);
        let records: Vec<Clean> = hostile()
            .iter()
            .map(|record| Clean::new(kind, record, Some("US")))
            .collect();
        for a in &records {
            for b in &records {
                let why = model.explain(a, b);
                assert_eq!(why.score, model.score(b, a));
                assert!(why.score.abs() < 100_000, "{}", why.score);
            }
        }
        let outcome = bulk::link_clean(kind, &records, &records, &Options::default());
        assert!(outcome.links.len() <= records.len());
    }
}

#[test]
fn an_empty_record_is_like_nothing() {
    for kind in [Kind::Person, Kind::Company] {
        let model = Model::shipped(kind);
        let nothing = Clean::new(kind, &Record::default(), None);
        assert!(nothing.is_empty());
        let something = Clean::new(kind, &person("Ada", "Lovelace", "ada@acme.com"), None);
        assert!(
            model
                .best(&nothing, [(1, &nothing), (2, &something)])
                .best
                .is_none()
        );
        let outcome = bulk::link(
            kind,
            &vec![Record::default(); 500],
            &vec![Record::default(); 500],
            None,
            &Options::default(),
        );
        assert_eq!((outcome.candidates, outcome.links.len()), (0, 0));
    }
}

#[test]
fn equal_records_are_cut_and_told_of() {
    let same = vec![person("John", "Smith", "john@acme.com"); 3_000];
    let outcome = bulk::link(Kind::Person, &same, &same, None, &Options::default());
    assert_eq!(outcome.candidates, 0, "nothing tells one from another");
    let email = outcome.cut.iter().find(|cut| cut.key == "email").unwrap();
    assert_eq!((email.left, email.right), (3_000, 3_000));
}

const FIRST: [&str; 12] = [
    "Ada", "Bruno", "Clara", "Dmitri", "Elena", "Farid", "Grace", "Hugo", "Ines", "Jonas", "Katia",
    "Lorenz",
];

#[test]
fn a_shared_address_does_not_keep_people_from_being_found() {
    let people = |from: u32| -> Vec<Record> {
        (from..from + 2_000)
            .map(|at| {
                let first = FIRST[at as usize % FIRST.len()];
                let last = format!("Lovelace{}", letters(at));
                let mut person = person(first, &last, "office@shared.com");
                person.postcode = format!("{:05}", 10_000 + at % 700);
                person
            })
            .collect()
    };
    let outcome = bulk::link(
        Kind::Person,
        &people(0),
        &people(0),
        None,
        &Options::default(),
    );
    assert!(
        outcome
            .cut
            .iter()
            .any(|cut| cut.key == "email" && cut.left == 2_000)
    );
    let right = outcome
        .links
        .iter()
        .filter(|link| link.left == link.right)
        .count();
    assert!(right > 1_950, "{right}");
    assert!(outcome.candidates < 100_000, "{}", outcome.candidates);
}

/// A number in letters, no two of which are a typing error apart.
fn letters(number: u32) -> String {
    let digit = |at: u32| char::from(b'a' + u8::try_from(number / 26_u32.pow(at) % 26).unwrap());
    let text: String = (0..3).map(digit).collect();
    format!("{text}{text}")
}

#[test]
fn of_two_records_that_are_as_good_neither_is_linked() {
    let one = person("Ada", "Lovelace", "ada@acme.com");
    let two = vec![one.clone(), one.clone()];
    let outcome = bulk::link(Kind::Person, &[one], &two, None, &Options::default());
    assert!(outcome.links.is_empty(), "{:?}", outcome.links);
    // Far above any threshold they are still rivals.
    let rich = Record {
        phones: vec!["+1 512 453 4211".to_owned()],
        company: "Analytical Engines".to_owned(),
        street: "12 Main Street".to_owned(),
        city: "Springfield".to_owned(),
        postcode: "62701".to_owned(),
        birth_date: "1980-03-14".to_owned(),
        ..person("Ada", "Lovelace", "ada@acme.com")
    };
    let two = vec![rich.clone(), rich.clone()];
    let outcome = bulk::link(Kind::Person, &[rich], &two, None, &Options::default());
    assert!(outcome.links.is_empty(), "{:?}", outcome.links);
}

#[test]
fn strangers_are_not_linked_where_nobody_has_a_match() {
    let people = |from: u32| -> Vec<Record> {
        (from..from + 3_000)
            .map(|at| {
                let first = FIRST[at as usize % FIRST.len()];
                let last = format!("Love{}", letters(at / 40 % 300));
                let email = format!("{first}.{}@mail{at}.com", letters(at));
                Record {
                    city: "Springfield".to_owned(),
                    ..person(first, &last, &email)
                }
            })
            .collect()
    };
    let outcome = bulk::link(
        Kind::Person,
        &people(0),
        &people(6_000),
        None,
        &Options::default(),
    );
    assert!(outcome.links.len() <= 30, "{}", outcome.links.len());
    let shipped = Model::shipped(Kind::Person).threshold;
    assert!(outcome.model.threshold >= shipped);
}
