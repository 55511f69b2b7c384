//! The directory in the table: double additions, concurrent links to one record, a person's decisions against
//! a pass, crashes, and the results of searches and clean-ups (MA-2, MA-4, MA-5, SV-3, CN-8).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use e2e::directory_world::add_entry;
use e2e::worker::{clock, process};
use e2e::{Harness, Tenant};
use futures::future::join_all;
use matching::{Model, Record};
use shared::clock::Millis;
use shared::crm_setup;
use shared::domain::directory::{
    Candidate, Decision, DirectoryCursor, Entry, EntryId, EntryKind, EntryRates, EntryRef, Filter,
    How, Link, LinkPass, LinkProgress, Match, MatchState, NewEntry, ObjectRates, Origin, Rates,
    RecordRef,
};
use shared::domain::environment::Environment;
use shared::domain::ids::{ContractId, SubmissionId};
use shared::domain::schema::CrmKind;
use shared::problem::Problem;
use shared::queue::ImportMessage;
use shared::store::{
    Act, ActError, Added, Chosen, ConnectionKind, ConnectionState, EntryAs, EntryWithMatch, Holder,
    LinkWrite, Store, StoreError, WorkKind,
};
use shared::testing::{Cut, FixedClock, Tripwire};
use uuid::Uuid;

const PRODUCTION: Environment = Environment::Production;
const CRM: ConnectionKind = ConnectionKind::PRODUCTION;
const PROFILE: EntryKind = EntryKind::Profile;
const ENOUGH: Duration = Duration::from_secs(30);
const NOW: Millis = Millis(1_700_000_000_000);

fn store_over(harness: &Harness, wire: &Arc<Tripwire>) -> Store {
    let apps = process(harness.embedded_stack(), wire, &clock());
    apps.import.remote.store.clone()
}

/// A contract that is connected, and the organisation.
async fn connected(harness: &Harness) -> (Tenant<'_>, ContractId, String) {
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let contract = tenant.made.id.clone();
    let connection = harness.store.connection(&contract, CRM).await.unwrap();
    (tenant, contract, connection.unwrap().organization)
}

fn person(contract: &ContractId, number: u32) -> NewEntry {
    with_email(contract, number, &format!("p{number}@example.com"))
}

fn with_email(contract: &ContractId, number: u32, email: &str) -> NewEntry {
    let record = Record {
        first_name: "Ada".to_owned(),
        last_name: format!("Number{number}"),
        company: format!("Works {}", number % 7),
        city: ["Berlin", "Paris", "Lyon"][number as usize % 3].to_owned(),
        emails: vec![email.to_owned()],
        ..Record::default()
    };
    let external = number.to_string();
    let origin = Origin::Submission(SubmissionId(Uuid::from_u128(number.into())));
    NewEntry::new(contract, PROFILE, Some(&external), record, origin, None).unwrap()
}

fn record(number: u32) -> RecordRef {
    RecordRef::new("Contact", format!("0038d00000{number:05}AAA"))
}

/// A match by score, decided from an entry's present state.
fn by_score(entry: &Entry, number: u32) -> Match {
    Match {
        link: Some(Link {
            record: record(number),
            how: How::Score,
            score: 25_000,
            threshold: 10_000,
            since: NOW,
            owner: Some(format!("owner-{}", number % 2)),
            record_gone: false,
        }),
        candidates: vec![Candidate {
            record: record(number),
            score: 25_000,
        }],
        findings: Vec::new(),
        at: NOW,
        model: 1,
        entry_version: entry.version,
        version: 0,
    }
}

fn model(version: u32) -> Model {
    let mut model = Model::shipped(PROFILE.matching());
    model.version = version;
    model.threshold += i32::try_from(version).unwrap();
    model
}

fn change(entry: &Entry, before: Option<Match>, number: u32) -> LinkWrite {
    LinkWrite {
        entry: EntryAs::is(entry),
        before,
        after: by_score(entry, number),
        from: None,
        waits_for: None,
    }
}

fn chosen(number: u32) -> Chosen {
    Chosen {
        record: record(number),
        how: How::Person,
        score: -3_000,
        threshold: 10_000,
        owner: None,
        values: None,
    }
}

fn act(organization: &str, id: EntryId) -> Act<'_> {
    Act {
        environment: PRODUCTION,
        organization: Some(organization),
        kind: PROFILE,
        id,
        by: "seat:eve",
        now: NOW,
        unique: Uuid::from_u128(7),
    }
}

async fn read(store: &Store, contract: &ContractId, id: EntryId) -> EntryWithMatch {
    let found = store
        .entry_with_match(contract, PRODUCTION, PROFILE, id)
        .await;
    found.unwrap().unwrap()
}

/// The whole directory, shard by shard.
async fn everything(store: &Store, contract: &ContractId) -> BTreeMap<EntryId, EntryWithMatch> {
    let mut all = BTreeMap::new();
    for shard in 0..shared::store::DIRECTORY_SHARDS {
        let mut after = None;
        loop {
            let page = store
                .directory_shard(contract, PRODUCTION, PROFILE, shard, after)
                .await
                .unwrap();
            for row in page.rows {
                assert!(all.insert(row.0.id, row).is_none());
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
    }
    all
}

/// The entry of each record. Asserts that each record has one entry at most, and that the table's two sides
/// agree.
async fn links(harness: &Harness, contract: &ContractId, about: &str) -> BTreeMap<String, EntryId> {
    let mut by_entry = BTreeMap::new();
    let mut records = Vec::new();
    for (id, (_, matched)) in everything(&harness.store, contract).await {
        if let Some(record) = matched.as_ref().and_then(Match::record) {
            let twice = by_entry.insert(record.id.clone(), id);
            assert_eq!(twice, None, "{about}: {record} is of two");
            records.push(record.clone());
        }
    }
    // All records that these tests have: none is left of an entry that does not link to it.
    let universe: Vec<RecordRef> = (0..200).map(record).collect();
    assert!(
        records.iter().all(|record| universe.contains(record)),
        "{about}"
    );
    let linked = harness.store.linked(contract, PRODUCTION, &universe).await;
    let linked = linked.unwrap().into_iter();
    let by_record = linked
        .map(|(record, entry)| (record.id, entry.id))
        .collect();
    assert_eq!(by_entry, by_record, "{about}");
    by_record
}

#[tokio::test]
async fn who_is_added_again_is_one_entry_and_what_is_known_costs_no_write() {
    let harness = Harness::embedded(false).await;
    let wire = Tripwire::new();
    let store = store_over(&harness, &wire);
    let contract: ContractId = "added".parse().unwrap();
    let one = person(&contract, 1);
    let (added, entry) = add_entry(&store, &contract, &one, NOW).await;
    assert_eq!((added, entry.version), (Added::New, 1));
    assert_eq!(
        store.entry(&contract, PROFILE, one.id).await.unwrap(),
        Some(entry)
    );
    wire.reset();
    let added = store
        .add_entries(&contract, std::slice::from_ref(&one), NOW)
        .await;
    assert_eq!((added, wire.aws_calls()), (vec![Some(Added::Unchanged)], 1));
    // A file with rows of one person is one write for each person.
    let rows: Vec<NewEntry> = (0..250)
        .map(|row| {
            with_email(
                &contract,
                row % 120,
                &format!("mail{}@example.com", row / 120),
            )
        })
        .collect();
    wire.reset();
    let added = store.add_entries(&contract, &rows, NOW).await;
    let count = |wanted: Added| added.iter().filter(|added| **added == Some(wanted)).count();
    assert_eq!((count(Added::New), count(Added::Updated)), (119, 131));
    assert_eq!(added[1], Some(Added::Updated));
    assert_eq!(wire.aws_calls(), 2 + 120);
    wire.reset();
    let again = store.add_entries(&contract, &rows, NOW).await;
    assert!(again.iter().all(|added| *added == Some(Added::Unchanged)));
    assert_eq!(wire.aws_calls(), 2);
    let all = everything(&store, &contract).await;
    assert_eq!(all.len(), 120);
    let (first, _) = &all[&rows[0].id];
    assert_eq!(
        first.record.emails,
        [
            "mail0@example.com",
            "mail1@example.com",
            "mail2@example.com"
        ]
    );
    assert_eq!(first.version, 1);
    // If the table takes nothing, each row reports that.
    let dead = store_over(&harness, &Tripwire::cutting(Cut::Before(5)));
    let more: Vec<NewEntry> = (500..520).map(|number| person(&contract, number)).collect();
    let added = dead.add_entries(&contract, &more, NOW).await;
    let there = everything(&store, &contract).await;
    assert!(added.contains(&None));
    for (row, added) in more.iter().zip(added) {
        assert!(added.is_none() || there.contains_key(&row.id));
    }
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_add_to_one_entry_at_once_nobody_is_lost() {
    let harness = Harness::embedded(false).await;
    let contract: ContractId = "at-once".parse().unwrap();
    let adds = (0..6).map(|writer| {
        let (store, contract) = (harness.store.clone(), contract.clone());
        async move {
            let new = with_email(&contract, 1, &format!("w{writer}@example.com"));
            add_entry(&store, &contract, &new, NOW).await
        }
    });
    let results = join_all(adds.map(tokio::spawn)).await;
    let added: Vec<Added> = results.into_iter().map(|done| done.unwrap().0).collect();
    assert_eq!(
        added.iter().filter(|added| **added == Added::New).count(),
        1
    );
    let entry = harness
        .store
        .entry(&contract, PROFILE, person(&contract, 1).id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((entry.record.emails.len(), entry.version), (6, 6));
    harness.stop().await;
}

/// Adds people, and returns them in the order of their numbers.
async fn people(store: &Store, contract: &ContractId, numbers: std::ops::Range<u32>) -> Vec<Entry> {
    let mut entries = Vec::new();
    for number in numbers {
        entries.push(
            add_entry(store, contract, &person(contract, number), NOW)
                .await
                .1,
        );
    }
    entries
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_links_to_one_record_one_is_made() {
    let harness = Harness::embedded(false).await;
    let (_tenant, contract, organization) = connected(&harness).await;
    for round in 0..5 {
        let entries = people(&harness.store, &contract, round * 8..round * 8 + 8).await;
        let race = entries.iter().map(|entry| {
            let (store, contract, organization) = (
                harness.store.clone(),
                contract.clone(),
                organization.clone(),
            );
            let change = change(entry, None, round);
            async move {
                store
                    .write_link(&contract, PRODUCTION, &organization, &change)
                    .await
            }
        });
        let results = join_all(race.map(tokio::spawn)).await;
        let mut won = 0;
        for result in results {
            match result.unwrap() {
                Ok(()) => won += 1,
                Err(StoreError::Conflict) => {}
                Err(error) => panic!("{error}"),
            }
        }
        // Concurrent transactions may all be cancelled; then a caller who reads again succeeds.
        assert!(won <= 1, "{won} have one record");
        if won == 0 {
            let change = change(&entries[0], None, round);
            harness
                .store
                .write_link(&contract, PRODUCTION, &organization, &change)
                .await
                .unwrap();
        }
        let links = links(&harness, &contract, "raced").await;
        assert_eq!(links.len(), round as usize + 1);
    }
    // The same in a pass, whose writes go together: one entry gets the record, the others are returned.
    let entries = people(&harness.store, &contract, 100..110).await;
    let changes: Vec<LinkWrite> = entries
        .iter()
        .map(|entry| change(entry, None, 100))
        .collect();
    let lost = harness
        .store
        .write_links(&contract, PRODUCTION, changes)
        .await
        .unwrap();
    assert!(lost.len() >= 9, "{}", lost.len());
    links(&harness, &contract, "passed").await;
    harness.stop().await;
}

#[tokio::test]
async fn a_link_is_written_over_what_was_read_and_while_the_connection_stands() {
    let harness = Harness::embedded(false).await;
    let (_tenant, contract, organization) = connected(&harness).await;
    let store = &harness.store;
    let entry = people(store, &contract, 1..2).await.remove(0);
    let first = change(&entry, None, 1);
    let write = async |change: &LinkWrite, organization: &str| {
        store
            .write_link(&contract, PRODUCTION, organization, change)
            .await
    };
    assert!(matches!(
        write(&first, "another").await,
        Err(StoreError::Conflict)
    ));
    write(&first, &organization).await.unwrap();
    // The same again is over a match that is no longer as it was read.
    assert!(matches!(
        write(&first, &organization).await,
        Err(StoreError::Conflict)
    ));
    let (_, matched) = read(store, &contract, entry.id).await;
    let matched = matched.unwrap();
    assert!(matched.same_as(&first.after));
    assert_eq!(matched.version, 1);
    // To another record: the first one is free again.
    write(&change(&entry, Some(matched.clone()), 2), &organization)
        .await
        .unwrap();
    assert_eq!(
        links(&harness, &contract, "moved").await,
        BTreeMap::from([(record(2).id, entry.id)])
    );
    // Decided from an entry that has changed since.
    let (_, matched) = read(store, &contract, entry.id).await;
    let stale = change(&entry, matched, 1);
    let newer = with_email(&contract, 1, "new@example.com");
    add_entry(store, &contract, &newer, NOW).await;
    assert!(matches!(
        write(&stale, &organization).await,
        Err(StoreError::Conflict)
    ));
    // Candidates beyond the tenth are not kept.
    let (entry, before) = read(store, &contract, entry.id).await;
    let mut many = change(&entry, before, 2);
    many.after.candidates = (0..30)
        .map(|number| Candidate {
            record: record(number),
            score: 1,
        })
        .collect();
    write(&many, &organization).await.unwrap();
    let (_, matched) = read(store, &contract, entry.id).await;
    assert_eq!(matched.unwrap().candidates.len(), 10);
    harness.stop().await;
}

#[tokio::test]
async fn a_person_wins_over_a_pass_that_read_before() {
    let harness = Harness::embedded(false).await;
    let (_tenant, contract, organization) = connected(&harness).await;
    let store = &harness.store;
    let entries = people(store, &contract, 0..4).await;
    // The writes of a pass that has read everything by now.
    let planned: Vec<LinkWrite> = (0..4)
        .zip(&entries)
        .map(|(number, entry)| change(entry, None, number))
        .collect();
    let on = |number: usize| act(&organization, entries[number].id);
    store
        .match_by_person(&contract, &on(0), &chosen(50))
        .await
        .unwrap();
    store.unmatch_by_person(&contract, &on(1)).await.unwrap();
    store.delete_entry(&contract, &on(2)).await.unwrap();
    let lost = store
        .write_links(&contract, PRODUCTION, planned)
        .await
        .unwrap();
    let mut ids: Vec<EntryId> = lost.iter().map(|lost| lost.entry.reference().id).collect();
    ids.sort_unstable();
    let mut decided: Vec<EntryId> = entries[..3].iter().map(|entry| entry.id).collect();
    decided.sort_unstable();
    assert_eq!(ids, decided);
    let links = links(&harness, &contract, "decided").await;
    assert_eq!(
        links,
        BTreeMap::from([
            (record(50).id, entries[0].id),
            (record(3).id, entries[3].id)
        ])
    );
    let all = everything(store, &contract).await;
    let state = |number: usize| {
        all.get(&entries[number].id)
            .map(|(entry, matched)| MatchState::of(entry, matched.as_ref()))
    };
    assert_eq!(
        [state(0), state(1), state(2), state(3)],
        [
            Some(MatchState::Confirmed),
            Some(MatchState::Refused),
            None,
            Some(MatchState::Matched)
        ]
    );
    // Nor may a pass that has read it take a record that a person chose for another entry.
    let (taken, _) = &all[&entries[3].id];
    let (holder, before) = all[&entries[0].id].clone();
    let before = before.unwrap();
    let grab = LinkWrite {
        from: Some(Holder {
            entry: holder.reference(),
            version: holder.version - 1,
            before,
        }),
        ..change(taken, all[&entries[3].id].1.clone(), 50)
    };
    assert_eq!(
        store
            .write_links(&contract, PRODUCTION, vec![grab])
            .await
            .unwrap()
            .len(),
        1
    );
    harness.stop().await;
}

#[tokio::test]
async fn a_record_is_taken_from_who_has_it_by_score_and_not_from_who_was_matched() {
    let harness = Harness::embedded(false).await;
    let (_tenant, contract, organization) = connected(&harness).await;
    let store = &harness.store;
    let entries = people(store, &contract, 0..3).await;
    store
        .write_link(
            &contract,
            PRODUCTION,
            &organization,
            &change(&entries[0], None, 1),
        )
        .await
        .unwrap();
    let on = |number: usize| act(&organization, entries[number].id);
    let acted = store
        .match_by_person(&contract, &on(1), &chosen(1))
        .await
        .unwrap();
    assert_eq!(acted.lost, Some(entries[0].reference()));
    assert_eq!(
        MatchState::of(&acted.entry, acted.matched.as_ref()),
        MatchState::Confirmed
    );
    let (loser, matched) = read(store, &contract, entries[0].id).await;
    let matched = matched.unwrap();
    assert_eq!(
        (loser.version, matched.link, matched.candidates.len()),
        (1, None, 1)
    );
    let refused = store
        .match_by_person(&contract, &on(2), &chosen(1))
        .await
        .unwrap_err();
    let ActError::Refused(problem) = refused else {
        panic!("{refused}")
    };
    assert_eq!(
        (problem.status, problem.code.as_str()),
        (409, "record_taken")
    );
    assert!(problem.detail.contains(&entries[1].id.to_string()));
    // Once more the same is the same, and since when stays.
    let again = store
        .match_by_person(
            &contract,
            &Act {
                now: Millis(NOW.0 + 5),
                ..on(1)
            },
            &chosen(1),
        )
        .await
        .unwrap();
    assert_eq!(
        (again.matched.unwrap().link.unwrap().since, again.lost),
        (NOW, None)
    );
    // Unmatched it is free, and refused for its former entry.
    let acted = store.unmatch_by_person(&contract, &on(1)).await.unwrap();
    assert!(acted.entry.refuses(&record(1)) && acted.matched.unwrap().link.is_none());
    assert_eq!(
        links(&harness, &contract, "unmatched").await,
        BTreeMap::new()
    );
    store
        .match_by_person(&contract, &on(2), &chosen(1))
        .await
        .unwrap();
    let automatic = store.match_automatically(&contract, &on(2)).await.unwrap();
    assert_eq!(
        (automatic.entry.decision, automatic.matched.unwrap().link),
        (Decision::None, None)
    );
    // There was no decision on it any more: it stays as it is.
    let version = automatic.entry.version;
    assert_eq!(
        store
            .match_automatically(&contract, &on(2))
            .await
            .unwrap()
            .entry
            .version,
        version
    );
    let unknown = act(&organization, EntryId(Uuid::nil()));
    assert_eq!(
        store
            .unmatch_by_person(&contract, &unknown)
            .await
            .unwrap_err()
            .problem()
            .status,
        404
    );
    let unconnected = Act {
        organization: None,
        ..on(2)
    };
    assert_eq!(
        store
            .match_by_person(&contract, &unconnected, &chosen(9))
            .await
            .unwrap_err()
            .problem()
            .code,
        "not_connected"
    );
    let log = store.audit_log(&contract, 50, None).await.unwrap().items;
    let entry = log
        .iter()
        .find(|entry| entry.action == "profile.rematch")
        .unwrap();
    assert_eq!(
        (entry.actor.as_str(), entry.target.as_str()),
        ("seat:eve", entries[2].id.to_string().as_str())
    );
    harness.stop().await;
}

#[tokio::test]
async fn a_pass_takes_a_record_over_with_who_loses_it_and_swaps_come_right() {
    let harness = Harness::embedded(false).await;
    let (_tenant, contract, organization) = connected(&harness).await;
    let store = &harness.store;
    let entries = people(store, &contract, 0..60).await;
    let first: Vec<LinkWrite> = (0..60)
        .zip(&entries)
        .map(|(number, entry)| change(entry, None, number))
        .collect();
    assert_eq!(
        store
            .write_links(&contract, PRODUCTION, first.clone())
            .await
            .unwrap(),
        []
    );
    // The same pass again, after a crash, writes over what it did not read: nothing.
    assert_eq!(
        store
            .write_links(&contract, PRODUCTION, first)
            .await
            .unwrap()
            .len(),
        60
    );
    // Each gets the record of the next; an entry that comes too early comes again.
    let all = everything(store, &contract).await;
    let mut changes: Vec<LinkWrite> = (0..60_u32)
        .map(|number| {
            let (entry, before) = all[&entries[number as usize].id].clone();
            change(&entry, before, (number + 1) % 60)
        })
        .collect();
    // The ring is opened at one place.
    let (opened, before) = all[&entries[0].id].clone();
    let open = LinkWrite {
        after: before.clone().unwrap().unlinked(NOW),
        ..change(&opened, before, 0)
    };
    assert_eq!(
        store
            .write_links(&contract, PRODUCTION, vec![open])
            .await
            .unwrap(),
        []
    );
    changes[0].before = read(store, &contract, entries[0].id).await.1;
    let mut rounds = 0;
    while !changes.is_empty() {
        changes = store
            .write_links(&contract, PRODUCTION, changes)
            .await
            .unwrap();
        rounds += 1;
        assert!(rounds < 70, "{} are left", changes.len());
    }
    let expected: BTreeMap<String, EntryId> = (0..60_u32)
        .map(|number| (record((number + 1) % 60).id, entries[number as usize].id))
        .collect();
    assert_eq!(links(&harness, &contract, "swapped").await, expected);
    // Two that swap need no third step: the one takes over, the other is linked after it.
    let (one, before) = read(store, &contract, entries[0].id).await;
    let (two, of_two) = read(store, &contract, entries[1].id).await;
    let takes = LinkWrite {
        from: Some(Holder {
            entry: two.reference(),
            version: two.version,
            before: of_two.unwrap(),
        }),
        ..change(&one, before, 2)
    };
    store
        .write_link(&contract, PRODUCTION, &organization, &takes)
        .await
        .unwrap();
    let (two, of_two) = read(store, &contract, entries[1].id).await;
    store
        .write_link(
            &contract,
            PRODUCTION,
            &organization,
            &change(&two, of_two, 1),
        )
        .await
        .unwrap();
    let after = links(&harness, &contract, "taken over").await;
    assert_eq!(
        (after[&record(2).id], after[&record(1).id]),
        (entries[0].id, entries[1].id)
    );
    harness.stop().await;
}

/// A day of the directory: additions, a pass, and everything that people can do.
async fn a_day(store: &Store, contract: &ContractId, organization: &str) -> Result<(), ActError> {
    let new: Vec<NewEntry> = (0..12).map(|number| person(contract, number)).collect();
    let added = store.add_entries(contract, &new, NOW).await;
    if added.iter().any(Option::is_none) {
        return Err(StoreError::Conflict.into());
    }
    let ids: Vec<EntryId> = new.iter().map(|new| new.id).collect();
    let entries = store.entries(contract, PROFILE, &ids).await?;
    let matches = store
        .entry_matches(contract, PRODUCTION, PROFILE, &ids)
        .await?;
    let mut changes = Vec::new();
    for (number, id) in (0..).zip(&ids[..11]) {
        let entry = entries.get(id).ok_or(StoreError::Conflict)?;
        let before = matches.get(id).cloned();
        let wanted = by_score(entry, number);
        // A pass writes only changes, and nothing of entries with a decision.
        if !entry.is_manual() && before.as_ref().and_then(Match::record) != wanted.record() {
            changes.push(LinkWrite {
                entry: EntryAs::is(entry),
                before,
                after: wanted,
                from: None,
                waits_for: None,
            });
        }
    }
    store.write_links(contract, PRODUCTION, changes).await?;
    let on = |number: usize| act(organization, ids[number]);
    // Free, of another, her own.
    for (number, of) in [(0, 100), (1, 2), (3, 3)] {
        store
            .match_by_person(contract, &on(number), &chosen(of))
            .await?;
    }
    store.unmatch_by_person(contract, &on(4)).await?;
    store
        .match_by_person(contract, &on(5), &chosen(101))
        .await?;
    store.match_automatically(contract, &on(5)).await?;
    match store.delete_entry(contract, &on(11)).await {
        Ok(_) | Err(ActError::NotFound(_)) => {}
        Err(error) => return Err(error),
    }
    let of = EntryRef {
        kind: PROFILE,
        id: ids[10],
    };
    store
        .withdraw_entry(contract, PRODUCTION, of, SubmissionId(Uuid::from_u128(10)))
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_process_that_dies_at_any_call_leaves_what_the_next_completes() {
    let harness = Harness::embedded(false).await;
    let mut deaths = 0;
    let mut expected = None;
    // Every third call, before and after it: the first of each act and others of the next.
    let mut n = 0;
    loop {
        for cut in [Cut::Before(n), Cut::After(n)] {
            let about = format!("{cut:?}");
            let (_tenant, contract, organization) = connected(&harness).await;
            let wire = Tripwire::cutting(cut);
            let died = a_day(&store_over(&harness, &wire), &contract, &organization)
                .await
                .is_err();
            links(&harness, &contract, &about).await;
            if wire.has_cut() {
                a_day(&harness.store, &contract, &organization)
                    .await
                    .unwrap();
            } else {
                assert!(!died, "{about}");
            }
            let links = links(&harness, &contract, &about).await;
            // By number, as ids differ from contract to contract.
            let number_of: BTreeMap<EntryId, u32> = (0..12)
                .map(|number| (person(&contract, number).id, number))
                .collect();
            let all = everything(&harness.store, &contract).await;
            let states: BTreeMap<u32, (MatchState, BTreeSet<String>)> = all
                .into_iter()
                .map(|(id, (entry, matched))| {
                    let state = MatchState::of(&entry, matched.as_ref());
                    // A link that the second day removes may be refused or not, depending on the first day.
                    let refused = entry
                        .refused
                        .iter()
                        .map(|record| record.id.clone())
                        .collect();
                    (number_of[&id], (state, refused))
                })
                .collect();
            let links: BTreeMap<String, u32> = links
                .into_iter()
                .map(|(record, id)| (record, number_of[&id]))
                .collect();
            let is = (links, states);
            match &expected {
                None => expected = Some(is),
                Some(expected) => assert_eq!(&is, expected, "{about}"),
            }
            if !wire.has_cut() {
                assert!(deaths > 20, "{deaths}");
                harness.stop().await;
                return;
            }
            deaths += 1;
        }
        n += 3;
    }
}

fn in_filter(all: &BTreeMap<EntryId, EntryWithMatch>, filter: &Filter) -> BTreeSet<EntryId> {
    let passing = all
        .values()
        .filter(|(entry, matched)| filter.matches(entry, matched.as_ref()));
    passing.map(|(entry, _)| entry.id).collect()
}

#[tokio::test]
async fn a_search_finds_what_its_filters_let_pass_page_by_page() {
    let harness = Harness::embedded(false).await;
    let wire = Tripwire::new();
    let store = store_over(&harness, &wire);
    let contract: ContractId = "searched".parse().unwrap();
    let new: Vec<NewEntry> = (0..300).map(|number| person(&contract, number)).collect();
    store.add_entries(&contract, &new, NOW).await;
    let ids: Vec<EntryId> = new.iter().map(|new| new.id).collect();
    let entries = store.entries(&contract, PROFILE, &ids).await.unwrap();
    let changes = (0..100).map(|number| change(&entries[&ids[number as usize]], None, number));
    assert_eq!(
        store
            .write_links(&contract, PRODUCTION, changes.collect())
            .await
            .unwrap(),
        []
    );
    let all = everything(&store, &contract).await;
    assert_eq!(
        (
            all.len(),
            all.values()
                .filter(|(_, matched)| matched.is_some())
                .count()
        ),
        (300, 100)
    );
    let text = |text: &str| Some(text.to_owned());
    for (filter, least) in [
        (Filter::default(), 300),
        (
            Filter {
                in_crm: Some(true),
                ..Filter::default()
            },
            100,
        ),
        (
            Filter {
                in_crm: Some(false),
                ..Filter::default()
            },
            200,
        ),
        (
            Filter {
                owner: text("owner-1"),
                place: text("berlin"),
                ..Filter::default()
            },
            16,
        ),
        (
            Filter {
                company: text("works 3"),
                state: Some(MatchState::Unmatched),
                ..Filter::default()
            },
            28,
        ),
        (
            Filter {
                q: text("number17"),
                ..Filter::default()
            },
            11,
        ),
        (
            Filter {
                q: text("nobody"),
                ..Filter::default()
            },
            0,
        ),
    ] {
        let expected = in_filter(&all, &filter);
        assert!(expected.len() >= least, "{filter:?}: {}", expected.len());
        for limit in [1, 40, 1000] {
            if limit == 1 && expected.len() > 30 {
                continue;
            }
            let mut found = BTreeSet::new();
            let mut cursor: Option<DirectoryCursor> = None;
            loop {
                let page = store
                    .search_directory(
                        &contract,
                        PRODUCTION,
                        PROFILE,
                        &filter,
                        limit,
                        cursor.as_ref(),
                    )
                    .await
                    .unwrap();
                assert!(page.items.len() <= limit);
                for (entry, matched) in page.items {
                    assert_eq!(all[&entry.id], (entry.clone(), matched));
                    assert!(found.insert(entry.id), "twice");
                }
                let Some(next) = page.next else { break };
                cursor = Some(next.parse().unwrap());
            }
            assert_eq!(found, expected, "{filter:?} by {limit}");
        }
    }
    // A page of a small directory is few calls, and a cursor from elsewhere leads to the end at worst.
    wire.reset();
    store
        .search_directory(&contract, PRODUCTION, PROFILE, &Filter::default(), 20, None)
        .await
        .unwrap();
    assert!(wire.aws_calls() <= 16, "{}", wire.aws_calls());
    let beyond: DirectoryCursor = "99.".parse().unwrap();
    let page = store
        .search_directory(
            &contract,
            PRODUCTION,
            PROFILE,
            &Filter::default(),
            20,
            Some(&beyond),
        )
        .await
        .unwrap();
    assert!(page.items.is_empty() && page.next.is_none());
    let other: ContractId = "unsearched".parse().unwrap();
    let page = store
        .search_directory(&other, PRODUCTION, PROFILE, &Filter::default(), 20, None)
        .await
        .unwrap();
    assert!(page.items.is_empty() && page.next.is_none());
    harness.stop().await;
}

#[tokio::test]
async fn long_shards_are_read_side_by_side_and_a_search_reads_no_more_than_it_says() {
    let harness = Harness::embedded(false).await;
    let wire = Tripwire::new();
    let store = store_over(&harness, &wire);
    let contract: ContractId = "long".parse().unwrap();
    // About 3 KB each: several megabytes of entries, and matches of some only.
    let long = |number: u32| {
        let mut new = person(&contract, number);
        new.record.street = "x".repeat(200);
        new.record.emails = (0..12)
            .map(|mail| format!("{}{mail}@{number}.example", "m".repeat(50)))
            .collect();
        new.record.phones = (0..20)
            .map(|phone| format!("{}{phone}", "1".repeat(58)))
            .collect();
        new
    };
    let new: Vec<NewEntry> = (0..2600).map(long).collect();
    let added = store.add_entries(&contract, &new, NOW).await;
    assert!(added.iter().all(|added| *added == Some(Added::New)));
    let ids: Vec<EntryId> = new.iter().map(|new| new.id).collect();
    let entries = store.entries(&contract, PROFILE, &ids).await.unwrap();
    let some = (0..2600)
        .step_by(7)
        .map(|number| change(&entries[&ids[number as usize]], None, number));
    assert_eq!(
        store
            .write_links(&contract, PRODUCTION, some.collect())
            .await
            .unwrap(),
        []
    );
    let all = everything(&store, &contract).await;
    assert_eq!(
        (
            all.len(),
            all.values()
                .filter(|(_, matched)| matched.is_some())
                .count()
        ),
        (2600, 372)
    );
    let filter = Filter {
        q: Some("number2599".to_owned()),
        ..Filter::default()
    };
    let (mut cursor, mut found, mut pages) = (None::<DirectoryCursor>, Vec::new(), 0);
    loop {
        wire.reset();
        let page = store
            .search_directory(&contract, PRODUCTION, PROFILE, &filter, 10, cursor.as_ref())
            .await
            .unwrap();
        // Two calls for each shard that is short enough for one page.
        assert!(wire.aws_calls() <= 32, "{}", wire.aws_calls());
        found.extend(page.items);
        pages += 1;
        let Some(next) = page.next else { break };
        cursor = Some(next.parse().unwrap());
    }
    assert_eq!((found.len(), pages > 1), (1, true), "{pages}");
    harness.stop().await;
}

#[tokio::test]
async fn models_are_kept_version_by_version_and_rates_by_time() {
    let harness = Harness::embedded(false).await;
    let (store, contract) = (&harness.store, "modelled".parse::<ContractId>().unwrap());
    assert!(store.model(&contract, PROFILE).await.unwrap().is_none());
    assert!(matches!(
        store.put_model(&contract, PROFILE, &model(2), NOW).await,
        Err(StoreError::Conflict)
    ));
    for version in 1..=25 {
        store
            .put_model(&contract, PROFILE, &model(version), Millis(version.into()))
            .await
            .unwrap();
    }
    for again in [25, 27] {
        assert!(matches!(
            store
                .put_model(&contract, PROFILE, &model(again), NOW)
                .await,
            Err(StoreError::Conflict)
        ));
    }
    assert_eq!(
        store.model(&contract, PROFILE).await.unwrap(),
        Some(model(25))
    );
    assert_eq!(
        store.model_version(&contract, PROFILE, 6).await.unwrap(),
        Some(model(6))
    );
    assert!(
        store
            .model_version(&contract, PROFILE, 5)
            .await
            .unwrap()
            .is_none()
    );
    let versions = store.model_versions(&contract, PROFILE).await.unwrap();
    assert_eq!(
        versions.iter().map(|kept| kept.version).collect::<Vec<_>>(),
        (6..=25).rev().collect::<Vec<_>>()
    );
    assert_eq!(versions[0].at, Millis(25));
    assert!(
        store
            .model_versions(&contract, EntryKind::Company)
            .await
            .unwrap()
            .is_empty()
    );

    let rates = |at| Rates {
        at: Millis(at),
        pass: 3,
        objects: vec![ObjectRates {
            object: "Contact".to_owned(),
            records: 9,
            matched: 3,
            manual: 1,
            unmatched: 6,
        }],
        entries: vec![EntryRates::none(PROFILE)],
    };
    for at in [10, 30, 20] {
        store.put_rates(&contract, &rates(at)).await.unwrap();
    }
    assert_eq!(
        store.rates(&contract, 2, None).await.unwrap(),
        [rates(30), rates(20)]
    );
    assert_eq!(
        store.rates(&contract, 9, Some(Millis(30))).await.unwrap(),
        [rates(20), rates(10)]
    );
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_pass_is_open_work_that_one_worker_has() {
    let harness = Harness::embedded(false).await;
    let (_tenant, contract, organization) = connected(&harness).await;
    let store = &harness.store;
    let waits = LinkPass::requested(None, "ada", NOW).unwrap();
    store.put_link_pass(&contract, &waits).await.unwrap();
    assert!(matches!(
        store.put_link_pass(&contract, &waits).await,
        Err(StoreError::Conflict)
    ));
    let due = |now: Millis| async move { store.due_work(now, 10).await.unwrap() };
    assert_eq!(
        due(Millis(NOW.0 + 1)).await,
        [(contract.clone(), WorkKind::Link)]
    );
    // Of workers at once one takes it.
    let workers = (0..5).map(|_| {
        let (store, contract, organization) =
            (store.clone(), contract.clone(), organization.clone());
        tokio::spawn(async move {
            let pass = store.link_pass(&contract).await.unwrap().unwrap();
            let taken = pass.taken(NOW, 60)?;
            store
                .checkpoint_link_pass(&contract, &organization, &taken)
                .await
                .ok()
                .map(|()| taken)
        })
    });
    let taken: Vec<LinkPass> = join_all(workers)
        .await
        .into_iter()
        .filter_map(Result::unwrap)
        .collect();
    let taken = match <[LinkPass; 1]>::try_from(taken) {
        Ok([taken]) => taken,
        // Transactions that meet may all be cancelled.
        Err(none) if none.is_empty() => {
            let taken = waits.taken(NOW, 60).unwrap();
            store
                .checkpoint_link_pass(&contract, &organization, &taken)
                .await
                .unwrap();
            taken
        }
        Err(many) => panic!("{} have it", many.len()),
    };
    assert_eq!(due(Millis(NOW.0 + 59_000)).await, []);
    assert_eq!(
        due(Millis(NOW.0 + 60_001)).await,
        [(contract.clone(), WorkKind::Link)]
    );
    let advanced = taken.advanced(LinkProgress {
        stage: "linking".to_owned(),
        done: 3,
        of: Some(9),
        written: 1,
    });
    assert!(matches!(
        store
            .checkpoint_link_pass(&contract, "another", &advanced)
            .await,
        Err(StoreError::Conflict)
    ));
    store
        .checkpoint_link_pass(&contract, &organization, &advanced)
        .await
        .unwrap();
    let rates = Rates {
        at: NOW,
        pass: 1,
        objects: Vec::new(),
        entries: Vec::new(),
    };
    store
        .end_link_pass(&contract, &advanced.ended(NOW, None), Some(&rates))
        .await
        .unwrap();
    assert_eq!(due(Millis(NOW.0 + 100_000)).await, []);
    assert_eq!(store.rates(&contract, 1, None).await.unwrap(), [rates]);
    assert_eq!(
        store
            .link_pass(&contract)
            .await
            .unwrap()
            .unwrap()
            .progress
            .done,
        3
    );
    harness.stop().await;
}

#[tokio::test]
async fn a_clean_up_waits_for_the_link_pass_and_leaves_what_people_entered_and_decided() {
    let harness = Harness::embedded(false).await;
    let (_tenant, contract, organization) = connected(&harness).await;
    let store = &harness.store;
    let time = clock();
    let apps = process(harness.embedded_stack(), &Tripwire::new(), &time);
    let now = |time: &FixedClock| shared::clock::Clock::now(time);
    let entries = people(store, &contract, 0..20).await;
    let changes = (0..15)
        .zip(&entries)
        .map(|(number, entry)| change(entry, None, number));
    assert_eq!(
        store
            .write_links(&contract, PRODUCTION, changes.collect())
            .await
            .unwrap(),
        []
    );
    store
        .match_by_person(&contract, &act(&organization, entries[0].id), &chosen(0))
        .await
        .unwrap();
    store
        .unmatch_by_person(&contract, &act(&organization, entries[1].id))
        .await
        .unwrap();
    store
        .put_model(&contract, PROFILE, &model(1), NOW)
        .await
        .unwrap();
    let asked = LinkPass::requested(None, "ada", now(&time)).unwrap();
    store.put_link_pass(&contract, &asked).await.unwrap();
    let taken = asked.taken(now(&time), 120).unwrap();
    store
        .checkpoint_link_pass(&contract, &organization, &taken)
        .await
        .unwrap();

    let connection = store.connection(&contract, CRM).await.unwrap().unwrap();
    crm_setup::begin_disconnect(&apps.import.remote, &connection, "eve", true)
        .await
        .unwrap();
    let message = ImportMessage {
        contract: contract.clone(),
        work: WorkKind::Disconnect(CRM),
    };
    assert!(crm_import::work(&apps.import, &message).await);
    // Its worker may still write under its lease, though it can keep nothing any more.
    let connection = store.connection(&contract, CRM).await.unwrap().unwrap();
    let end = connection.disconnect.unwrap();
    assert_eq!(
        (connection.state, end.purge),
        (ConnectionState::Disconnecting, None)
    );
    assert!(
        end.due_at > Some(now(&time)) && end.due_at < taken.lease_until,
        "it is looked at again before a dead worker's lease would end"
    );
    let stale = taken.advanced(LinkProgress::default());
    assert!(matches!(
        store
            .checkpoint_link_pass(&contract, &organization, &stale)
            .await,
        Err(StoreError::Conflict)
    ));
    let last = change(&entries[16], None, 16);
    assert_eq!(
        store
            .write_links(&contract, PRODUCTION, vec![last])
            .await
            .unwrap(),
        []
    );
    let online = change(&entries[17], None, 17);
    assert!(matches!(
        store
            .write_link(&contract, PRODUCTION, &organization, &online)
            .await,
        Err(StoreError::Conflict)
    ));
    let expected = store
        .count_imported(&contract, PRODUCTION, 0, ENOUGH)
        .await
        .unwrap()
        .items;
    // 16 matches, links of all but the one that was unmatched, and the model with its version.
    assert_eq!(expected, 16 + 15 + 2);

    time.advance(121);
    assert!(crm_import::work(&apps.import, &message).await);
    let connection = store.connection(&contract, CRM).await.unwrap().unwrap();
    let purge = connection.disconnect.unwrap().purge.unwrap();
    assert_eq!(
        (connection.state, purge.found, purge.deleted, purge.left),
        (ConnectionState::Disconnected, expected, expected, Some(0))
    );
    let pass = store.link_pass(&contract).await.unwrap().unwrap();
    assert!(!pass.is_open());
    assert_eq!(
        pass.problem.map(|problem: Problem| problem.code).as_deref(),
        Some("not_connected")
    );
    let all = everything(store, &contract).await;
    let state_of = |number: usize| {
        let (entry, matched) = &all[&entries[number].id];
        assert_eq!(*matched, None);
        MatchState::of(entry, None)
    };
    assert_eq!(
        [state_of(0), state_of(1), state_of(2)],
        [MatchState::Gone, MatchState::Refused, MatchState::Unmatched]
    );
    // Later decisions of people leave nothing behind that a clean-up would have had to find.
    let later = Act {
        organization: None,
        ..act(&organization, entries[0].id)
    };
    store.unmatch_by_person(&contract, &later).await.unwrap();
    store
        .delete_entry(
            &contract,
            &Act {
                id: entries[2].id,
                ..later
            },
        )
        .await
        .unwrap();
    assert_eq!(
        store
            .count_imported(&contract, PRODUCTION, 0, ENOUGH)
            .await
            .unwrap()
            .items,
        0
    );
    harness.stop().await;
}
