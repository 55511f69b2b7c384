//! Tests of the directory's rules.

use proptest::prelude::*;

use super::*;
use crate::ids::ContractId;

fn contract() -> ContractId {
    "acme".parse().unwrap()
}

fn add(kind: EntryKind, record: Record) -> Result<NewEntry, Problem> {
    NewEntry::new(&contract(), kind, None, record, Origin::Api, Some("US"))
}

fn profile(record: Record) -> NewEntry {
    add(EntryKind::Profile, record).unwrap()
}

fn ada() -> Record {
    Record {
        first_name: "Ada".to_owned(),
        last_name: "Lovelace".to_owned(),
        company: "Analytical Engines Ltd".to_owned(),
        emails: vec!["ada@example.com".to_owned()],
        phones: vec!["+1 415 555 2671".to_owned()],
        ..Record::default()
    }
}

fn named(name: &str, website: &str, country: &str) -> Record {
    Record {
        name: name.to_owned(),
        website: website.to_owned(),
        country: country.to_owned(),
        ..Record::default()
    }
}

fn company_id(record: Record) -> EntryId {
    add(EntryKind::Company, record).unwrap().id
}

fn contact(id: &str) -> RecordRef {
    RecordRef::new("Contact", id)
}

fn linked(id: &str, how: How, record_gone: bool) -> Match {
    Match {
        link: Some(Link {
            record: contact(id),
            how,
            score: 20_000,
            threshold: 10_000,
            since: Millis(1),
            owner: Some("005".to_owned()),
            record_gone,
        }),
        ..Match::nothing(Millis(1))
    }
}

#[test]
fn who_is_added_again_is_the_same_entry() {
    let first = profile(ada());
    let shouted = Record {
        emails: vec![" ADA@Example.com ".to_owned()],
        ..Record::default()
    };
    assert_eq!(profile(shouted).id, first.id);
    // A function's address is nobody's own.
    let at_info = |name: &str| Record {
        emails: vec!["info@example.com".to_owned()],
        first_name: name.to_owned(),
        ..ada()
    };
    assert_ne!(profile(at_info("Ada")).id, profile(at_info("Byron")).id);
    // Without an address of her own, the number with her name.
    let by_phone = |phone: &str, first: &str| Record {
        emails: Vec::new(),
        phones: vec![phone.to_owned()],
        first_name: first.to_owned(),
        ..ada()
    };
    assert_eq!(
        profile(by_phone("(415) 555-2671", "Ada")).id,
        profile(by_phone("+14155552671", "ÁDA")).id
    );
    assert_ne!(
        profile(by_phone("(415) 555-2671", "Ada")).id,
        profile(by_phone("(415) 555-2671", "Byron")).id
    );
    // And without a number, name and company.
    let by_company = |company: &str| Record {
        emails: Vec::new(),
        phones: Vec::new(),
        company: company.to_owned(),
        ..ada()
    };
    assert_eq!(
        profile(by_company("Analytical Engines Ltd")).id,
        profile(by_company("ANALYTICAL ENGINES")).id
    );
    assert_ne!(
        profile(by_company("Analytical Engines")).id,
        profile(by_company("Difference Engines")).id
    );
    let full = Record {
        name: "Ada Lovelace".to_owned(),
        first_name: String::new(),
        last_name: String::new(),
        ..by_company("Analytical Engines")
    };
    assert_eq!(
        profile(full).id,
        profile(by_company("Analytical Engines")).id
    );
}

#[test]
fn a_company_is_its_domain_or_its_name_in_its_country() {
    let by_site = company_id(named("Acme GmbH", "https://www.acme.de/about", ""));
    assert_eq!(
        company_id(named("Acme Deutschland", "http://shop.acme.de", "DE")),
        by_site
    );
    let by_name = company_id(named("Acme GmbH", "", "Germany"));
    assert_eq!(company_id(named("ACME", "", "germany")), by_name);
    assert_ne!(by_name, company_id(named("Acme GmbH", "", "Austria")));
    // Everybody has a page there.
    let page = |name: &str| company_id(named(name, "https://www.facebook.com/page", ""));
    assert_ne!(page("Acme"), page("Other"));
    let with_mail = Record {
        emails: vec!["sales@acme.de".to_owned()],
        ..named("Acme", "", "")
    };
    assert_eq!(company_id(with_mail), by_site);
    let free = Record {
        emails: vec!["acme@gmail.com".to_owned()],
        ..named("Acme", "", "Germany")
    };
    assert_eq!(company_id(free), by_name);
}

#[test]
fn an_external_id_is_the_identity_of_its_kind_and_contract() {
    let by_id = |contract: &str, kind, id: &str, email: &str| {
        let record = Record {
            name: "Acme".to_owned(),
            emails: vec![email.to_owned()],
            ..Record::default()
        };
        let contract: ContractId = contract.parse().unwrap();
        NewEntry::new(&contract, kind, Some(id), record, Origin::Csv, None)
            .unwrap()
            .id
    };
    let one = by_id("acme", EntryKind::Profile, "7", "a@example.com");
    assert_eq!(
        by_id("acme", EntryKind::Profile, " 7 ", "b@example.com"),
        one
    );
    assert_ne!(by_id("acme", EntryKind::Profile, "8", "a@example.com"), one);
    assert_ne!(by_id("acme", EntryKind::Company, "7", "a@example.com"), one);
    assert_ne!(
        by_id("other", EntryKind::Profile, "7", "a@example.com"),
        one
    );
}

#[test]
fn what_cannot_be_taken_is_refused_with_the_field() {
    let of = |change: fn(&mut Record)| {
        let mut record = ada();
        change(&mut record);
        let problem = add(EntryKind::Profile, record).unwrap_err();
        assert_eq!(problem.status, 422);
        assert!(!problem.next_step.is_empty());
        (problem.code, problem.field.unwrap_or_default())
    };
    let pair = |code: &str, field: &str| (code.to_owned(), field.to_owned());
    assert_eq!(
        of(|record| *record = Record::default()),
        pair("nothing_given", "")
    );
    assert_eq!(
        of(|record| record.title = " \n\u{0}".to_owned() + &"x".repeat(201)),
        pair("text_too_long", "title")
    );
    assert_eq!(
        of(|record| record.emails.push("ada at example".to_owned())),
        pair("invalid_email", "emails")
    );
    assert_eq!(
        of(|record| record.phones.push("call me".to_owned())),
        pair("invalid_phone", "phones")
    );
    assert_eq!(
        of(|record| record.phones.push("1".repeat(61))),
        pair("text_too_long", "phones")
    );
    let many = |record: &mut Record| {
        record.emails = (0..21).map(|n| format!("a{n}@example.com")).collect();
    };
    assert_eq!(of(many), pair("too_many_values", "emails"));
    let nobody = |record: &mut Record| {
        *record = Record {
            first_name: "Ada".to_owned(),
            company: "Acme".to_owned(),
            ..Record::default()
        };
    };
    assert_eq!(of(nobody), pair("no_identity", "emails"));
    let personal = add(
        EntryKind::Company,
        Record {
            name: "Acme".to_owned(),
            ..ada()
        },
    )
    .unwrap_err();
    assert_eq!(
        (personal.code.as_str(), personal.field.as_deref()),
        ("not_of_a_company", Some("first_name"))
    );
    let long = NewEntry::new(
        &contract(),
        EntryKind::Profile,
        Some(&"7".repeat(201)),
        ada(),
        Origin::Api,
        None,
    )
    .unwrap_err();
    assert_eq!(long.field.as_deref(), Some("external_id"));
    // Usable values are tidied and kept; empty ones are dropped.
    let tidied = profile(Record {
        title: "  Chief\u{a0}\t of \r\n Staff\u{7}".to_owned(),
        emails: vec![
            String::new(),
            "ada@example.com".to_owned(),
            "ada@example.com ".to_owned(),
        ],
        ..ada()
    });
    assert_eq!(tidied.record.title, "Chief of Staff");
    assert_eq!(tidied.record.emails, ["ada@example.com"]);
}

#[test]
fn what_is_given_replaces_and_nothing_is_emptied() {
    let entry = Entry::added(&profile(ada()), Millis(1));
    let new = profile(Record {
        title: "Countess".to_owned(),
        company: "Analytical Engines Inc".to_owned(),
        emails: vec!["Ada@example.com".to_owned(), "ada@home.example".to_owned()],
        phones: vec!["(1) 415-555-2671".to_owned()],
        ..Record::default()
    });
    assert_eq!(new.id, entry.id);
    let merged = entry.merged(&new, Millis(2)).unwrap();
    assert_eq!(merged.record.first_name, "Ada");
    assert_eq!(merged.record.title, "Countess");
    assert_eq!(merged.record.company, "Analytical Engines Inc");
    assert_eq!(
        merged.record.emails,
        ["ada@example.com", "ada@home.example"]
    );
    assert_eq!(merged.record.phones, ["+1 415 555 2671"]);
    assert_eq!(
        (merged.created_at, merged.updated_at, merged.version),
        (Millis(1), Millis(2), 2)
    );
    // Again there is nothing to write.
    assert_eq!(merged.merged(&new, Millis(3)), None);
}

#[test]
fn what_a_withdrawn_submission_alone_made_goes() {
    let submission = |number| Origin::Submission(SubmissionId(Uuid::from_u128(number)));
    let from = |origin| NewEntry {
        origin,
        ..profile(ada())
    };
    let alone = Entry::added(&from(submission(1)), Millis(1));
    assert_eq!(
        alone.withdrawn(SubmissionId(Uuid::from_u128(1))),
        Withdrawal::Remove
    );
    assert_eq!(
        alone.withdrawn(SubmissionId(Uuid::from_u128(2))),
        Withdrawal::Untouched
    );
    let again = alone.merged(&from(submission(2)), Millis(2)).unwrap();
    assert_eq!(again.updated_at, Millis(1));
    let Withdrawal::Keep(kept) = again.withdrawn(SubmissionId(Uuid::from_u128(1))) else {
        panic!("it came from another too");
    };
    assert_eq!(
        (kept.origins.as_slice(), kept.version),
        (&[submission(2)][..], 3)
    );
    // However many there were, one that is kept goes on saying that it came from elsewhere.
    let mut often = Entry::added(&from(Origin::Csv), Millis(1));
    for number in 0..200 {
        often = often.merged(&from(submission(number)), Millis(2)).unwrap();
    }
    assert_eq!(
        (often.origins.len(), often.origins[0]),
        (MAX_ORIGINS, Origin::Csv)
    );
}

#[test]
fn the_state_follows_from_decision_and_link() {
    let entry = Entry::added(&profile(ada()), Millis(1));
    let confirmed = entry.matched_by(&contact("1"), "eve", Millis(2));
    let refused = entry
        .unmatched_by(Some(&contact("1")), "eve", Millis(2))
        .unwrap();
    let nothing = Match::nothing(Millis(1));
    let by = |how| linked("1", how, false);
    for (entry, matched, state) in [
        (&entry, None, MatchState::Unmatched),
        (&entry, Some(nothing.clone()), MatchState::Unmatched),
        (&entry, Some(by(How::Score)), MatchState::Matched),
        (&entry, Some(by(How::Created)), MatchState::Created),
        (
            &entry,
            Some(linked("1", How::Score, true)),
            MatchState::Unmatched,
        ),
        (&confirmed, Some(by(How::Person)), MatchState::Confirmed),
        (&confirmed, Some(by(How::Created)), MatchState::Created),
        (
            &confirmed,
            Some(linked("1", How::Person, true)),
            MatchState::Gone,
        ),
        (&confirmed, None, MatchState::Gone),
        (&refused, Some(nothing), MatchState::Refused),
        (&refused, None, MatchState::Refused),
    ] {
        assert_eq!(
            MatchState::of(entry, matched.as_ref()),
            state,
            "{matched:?}"
        );
        assert_eq!(state.as_str().parse(), Ok(state));
    }
}

#[test]
fn a_refusal_holds_until_a_person_says_otherwise() {
    let entry = Entry::added(&profile(ada()), Millis(1));
    let confirmed = entry.matched_by(&contact("1"), "eve", Millis(2));
    // Linked to 2 by now: neither is what she is.
    let refused = confirmed
        .unmatched_by(Some(&contact("2")), "eve", Millis(3))
        .unwrap();
    assert!(refused.refuses(&contact("1")) && refused.refuses(&contact("2")));
    let automatic = refused.automatic();
    assert!(!automatic.is_manual() && automatic.refuses(&contact("2")));
    let again = automatic.matched_by(&contact("2"), "eve", Millis(4));
    assert!(again.refuses(&contact("1")) && !again.refuses(&contact("2")));
    assert_eq!(again.decided(), Some(&contact("2")));
    assert_eq!(again.version, 5);
    let mut full = entry;
    for number in 0..MAX_REFUSED {
        full = full
            .unmatched_by(Some(&contact(&number.to_string())), "eve", Millis(2))
            .unwrap();
    }
    let refused = full.unmatched_by(Some(&contact("more")), "eve", Millis(2));
    assert_eq!(refused.unwrap_err().code, "too_many_refusals");
}

#[test]
fn decisions_follow_merges_to_the_survivor() {
    let entry = Entry::added(&profile(ada()), Millis(1));
    let decided = entry
        .unmatched_by(Some(&contact("3")), "eve", Millis(2))
        .unwrap()
        .unmatched_by(Some(&contact("4")), "eve", Millis(2))
        .unwrap()
        .matched_by(&contact("1"), "eve", Millis(3));
    assert_eq!(decided.followed(|_| None), None);
    let merged = |pairs: &'static [(&str, &str)]| {
        move |record: &RecordRef| {
            let to = pairs.iter().find(|(from, _)| *from == record.id);
            to.map(|(_, to)| contact(to))
        }
    };
    let followed = decided
        .followed(merged(&[("1", "2"), ("3", "5"), ("4", "5")]))
        .unwrap();
    let Decision::Matched { record, at, by } = &followed.decision else {
        panic!("a match stays one");
    };
    assert_eq!(
        (record.id.as_str(), *at, by.as_str()),
        ("2", Millis(3), "eve")
    );
    assert_eq!(followed.refused, [contact("5")]);
    assert_eq!(followed.version, decided.version + 1);
    // The refused record is merged into the chosen one: the decision stays.
    let into = decided.followed(merged(&[("3", "1")])).unwrap();
    assert_eq!(
        (into.decided(), into.refused.as_slice()),
        (Some(&contact("1")), &[contact("4")][..])
    );
}

#[test]
fn the_directory_is_searched_at_the_beginnings_of_words() {
    let mut entry = Entry::added(
        &profile(Record {
            title: "Chief Engineer".to_owned(),
            city: "São Paulo".to_owned(),
            country: "Brazil".to_owned(),
            ..ada()
        }),
        Millis(1),
    );
    let matched = linked("1", How::Score, false);
    let check = |entry: &Entry, filter: Filter, expected: bool| {
        assert_eq!(
            filter.matches(entry, Some(&matched)),
            expected,
            "{filter:?}"
        );
    };
    let some = |text: &str| Some(text.to_owned());
    check(&entry, Filter::default(), true);
    for (q, expected) in [
        ("love", true),
        ("LOVELACE", true),
        ("ada love", true),
        ("ace", false),
        ("ada@exam", true),
        ("example", false),
        ("  ", false),
    ] {
        check(
            &entry,
            Filter {
                q: some(q),
                ..Filter::default()
            },
            expected,
        );
    }
    check(
        &entry,
        Filter {
            company: some("engines"),
            title: some("chief eng"),
            place: some("sao"),
            owner: some("005"),
            in_crm: Some(true),
            state: Some(MatchState::Matched),
            out_of_date: Some(false),
            q: some("ada"),
        },
        true,
    );
    check(
        &entry,
        Filter {
            place: some("azil"),
            ..Filter::default()
        },
        false,
    );
    check(
        &entry,
        Filter {
            owner: some("006"),
            ..Filter::default()
        },
        false,
    );
    check(
        &entry,
        Filter {
            in_crm: Some(false),
            ..Filter::default()
        },
        false,
    );
    check(
        &entry,
        Filter {
            state: Some(MatchState::Gone),
            ..Filter::default()
        },
        false,
    );
    assert!(
        Filter {
            in_crm: Some(false),
            ..Filter::default()
        }
        .matches(&entry, None)
    );
    entry.record.name = "Countess".to_owned();
    check(
        &entry,
        Filter {
            q: some("ada love"),
            ..Filter::default()
        },
        true,
    );
    check(
        &entry,
        Filter {
            q: some("count"),
            ..Filter::default()
        },
        true,
    );
}

#[test]
fn rates_count_each_entry_once() {
    let mut rates = EntryRates::none(EntryKind::Profile);
    assert_eq!(rates.share_permille(), None);
    for state in MatchState::ALL {
        rates.count(
            state,
            matches!(
                state,
                MatchState::Confirmed | MatchState::Refused | MatchState::Gone
            ),
        );
    }
    assert_eq!(
        (
            rates.entries,
            rates.matched,
            rates.manual,
            rates.refused,
            rates.unmatched
        ),
        (6, 3, 1, 1, 3)
    );
    assert_eq!(rates.share_permille(), Some(500));
}

fn any_record() -> impl Strategy<Value = Record> {
    let text = || prop_oneof!["[A-Za-z ]{0,12}", "\\PC{0,20}"];
    let emails = proptest::collection::vec("[a-c]{1,2}@[a-b]\\.example", 0..8);
    let phones = proptest::collection::vec("\\+49 30 [0-9]{5,7}", 0..8);
    (text(), text(), text(), text(), emails, phones).prop_map(
        |(first_name, last_name, company, city, emails, phones)| Record {
            first_name,
            last_name,
            company,
            city,
            emails,
            phones,
            ..Record::default()
        },
    )
}

proptest! {
    #[test]
    fn adding_is_idempotent_and_bounded(records in proptest::collection::vec(any_record(), 1..8)) {
        let news: Vec<NewEntry> = records.into_iter().filter_map(|record| NewEntry::new(&contract(), EntryKind::Profile, Some("1"), record, Origin::Csv, None).ok()).collect();
        let Some((first, rest)) = news.split_first() else { return Ok(()) };
        let mut entry = Entry::added(first, Millis(1));
        for new in rest {
            prop_assert_eq!(new.id, entry.id);
            let version = entry.version;
            if let Some(merged) = entry.merged(new, Millis(2)) {
                prop_assert_eq!(merged.version, version + 1);
                entry = merged;
            }
            prop_assert_eq!(entry.merged(new, Millis(3)), None);
            prop_assert!(entry.record.emails.len() <= MAX_CONTACTS && entry.record.phones.len() <= MAX_CONTACTS);
            for email in &new.record.emails {
                prop_assert!(entry.record.emails.iter().any(|kept| kept.eq_ignore_ascii_case(email)));
            }
            // A merged record is valid input again.
            let again = NewEntry::new(&contract(), EntryKind::Profile, Some("1"), entry.record.clone(), Origin::Csv, None);
            prop_assert!(again.is_ok());
        }
    }

    #[test]
    fn cursors_read_back(shard in 0_u32..16, id in proptest::option::of(any::<u128>())) {
        let cursor = DirectoryCursor { shard, after: id.map(|id| EntryId(Uuid::from_u128(id))) };
        prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
    }
}
