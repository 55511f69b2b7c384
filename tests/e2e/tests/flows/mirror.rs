//! The mirror of a CRM's records: the writes for changes, their cost, crashes, and its use by sweeps, purges
//! and intake (IM-1, IM-2, IM-4, CN-8, LG-5).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use e2e::worker::{clock, process};
use e2e::{Harness, Tenant};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use reqwest::Method;
use serde_json::{Value as Json, json};
use shared::clock::Millis;
use shared::domain::environment::Environment;
use shared::domain::ids::ContractId;
use shared::domain::match_keys::{self, MatchKey, lead_object};
use shared::domain::mirror::{Change, Record, Value, Values};
use shared::domain::references;
use shared::domain::schema::CrmKind;
use shared::store::{MIRROR_SHARDS, Mirror, MirrorRecord, Store, StoreError, Swept, Written};
use shared::testing::{Cut, Tripwire};

const BOTH: [CrmKind; 2] = [CrmKind::Salesforce, CrmKind::Dynamics365];
const PRODUCTION: Environment = Environment::Production;
const ENOUGH: Duration = Duration::from_secs(30);

fn contract() -> ContractId {
    "mirrored".parse().unwrap()
}

fn contacts(contract: &ContractId) -> Mirror<'_> {
    Mirror {
        contract,
        environment: PRODUCTION,
        crm: CrmKind::Salesforce,
        object: "Contact",
        default_region: Some("US"),
    }
}

fn store_over(harness: &Harness, wire: &std::sync::Arc<Tripwire>) -> Store {
    let apps = process(harness.embedded_stack(), wire, &clock());
    apps.import.remote.store.clone()
}

fn id(number: u32) -> String {
    format!("0038d00000{number:05}AAA")
}

/// A contact with an e-mail address at a company and a name: three match keys.
fn contact(number: u32, email: &str) -> Record {
    Record {
        id: id(number),
        modified: Millis(1_700_000_000_000),
        merged_into: None,
        values: Values(vec![
            ("Email", Value::Text(email.to_owned())),
            ("FirstName", Value::Text("Ada".to_owned())),
            ("LastName", Value::Text(format!("Number{number}"))),
        ]),
    }
}

fn present(number: u32) -> Change {
    Change::Present(contact(number, &format!("a{number}@example.com")))
}

fn gone(number: u32, merged_into: Option<u32>) -> Change {
    Change::Gone {
        id: id(number),
        modified: None,
        merged_into: merged_into.map(id),
    }
}

/// Everything that the table has of a mirror, by partition without its shard.
async fn items(harness: &Harness, contract: &ContractId) -> BTreeMap<String, BTreeSet<String>> {
    let client = shared::aws::dynamodb(&harness.embedded_stack().aws);
    let mut items: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut start = None;
    loop {
        let page = client
            .scan()
            .table_name(local::TABLE)
            .set_exclusive_start_key(start)
            .send()
            .await
            .unwrap();
        for item in page.items.unwrap_or_default() {
            let text = |name: &str| item[name].as_s().unwrap().clone();
            let pk = text("PK");
            let Some(rest) = pk.strip_prefix(&format!("C#{contract}#")) else {
                continue;
            };
            let kind = rest.split('#').next().unwrap_or_default();
            items.entry(kind.to_owned()).or_default().insert(text("SK"));
        }
        start = page.last_evaluated_key.filter(|key| !key.is_empty());
        if start.is_none() {
            return items;
        }
    }
}

/// Every record by its id, read page by page.
async fn all(store: &Store, mirror: &Mirror<'_>) -> BTreeMap<String, MirrorRecord> {
    let mut records = BTreeMap::new();
    let mut from = None;
    loop {
        let page = mirror.page(store, from.as_deref(), 7).await.unwrap();
        for record in page.items {
            assert!(records.insert(record.id.clone(), record).is_none());
        }
        from = page.next;
        if from.is_none() {
            return records;
        }
    }
}

/// The CRM's records, and the survivors of those that are gone after a merge.
#[derive(Debug, Default, Clone)]
struct Model {
    records: BTreeMap<String, Record>,
    survivors: BTreeMap<String, String>,
}

impl Model {
    /// Of changes of one record that come together the last counts.
    fn apply(&mut self, changes: &[Change]) {
        let last: BTreeMap<&str, &Change> =
            changes.iter().map(|change| (change.id(), change)).collect();
        for change in last.into_values() {
            match change {
                Change::Present(record) => {
                    self.survivors.remove(&record.id);
                    self.records.insert(record.id.clone(), record.clone());
                }
                Change::Gone {
                    id, merged_into, ..
                } => {
                    let before = self.records.remove(id);
                    let known = before.and_then(|record| record.merged_into);
                    if let Some(survivor) = merged_into.clone().or(known) {
                        self.survivors.insert(id.clone(), survivor);
                    }
                }
            }
        }
    }

    /// Asserts that the mirror has exactly this, with exactly its match keys.
    async fn is_mirrored(&self, harness: &Harness, mirror: &Mirror<'_>, about: &str) {
        let store = &harness.store;
        let mirrored = all(store, mirror).await;
        let mut keys = BTreeSet::new();
        for (id, record) in &self.records {
            let there = mirrored.get(id);
            let there = there.unwrap_or_else(|| panic!("{about}: {id} is missing"));
            let values = serde_json::to_value(&record.values).unwrap();
            assert_eq!(
                there.values.clone().map(Json::Object),
                Some(values),
                "{about}"
            );
            assert_eq!(there.merged_into, record.merged_into, "{about}");
            let region = mirror.default_region;
            let mut own = match_keys::keys(mirror.crm, mirror.object, &record.values, region);
            own.extend(references::keys(mirror.crm, mirror.object, &record.values));
            let own: BTreeSet<String> = own.iter().map(ToString::to_string).collect();
            assert_eq!(there.keys, own, "{about}");
            keys.extend(own.into_iter().map(|key| (key, id.clone())));
        }
        for (id, survivor) in &self.survivors {
            assert_eq!(mirrored[id].merged_into.as_ref(), Some(survivor), "{about}");
            assert_eq!(mirrored[id].values, None, "{about}");
        }
        let known = self.records.len() + self.survivors.len();
        assert_eq!(mirrored.len(), known, "{about}");
        let count = mirror.count_records(store).await.unwrap();
        assert_eq!(count, self.records.len() as u64, "{about}");
        let found: BTreeSet<(String, String)> = items(harness, mirror.contract)
            .await
            .remove("MATCHKEY")
            .unwrap_or_default()
            .iter()
            .map(|key| {
                let mut parts = key.rsplitn(3, '#');
                let (id, object) = (parts.next().unwrap(), parts.next().unwrap());
                assert_eq!(object, mirror.object);
                let key = percent_decoded(parts.next().unwrap());
                (key, id.to_owned())
            })
            .collect();
        assert_eq!(found, keys, "{about}");
    }
}

fn percent_decoded(text: &str) -> String {
    // A query's value is percent-encoded alike, but for `+`.
    let query = format!("v={}", text.replace('+', "%2B"));
    let url: url::Url = format!("https://example.com/?{query}").parse().unwrap();
    url.query_pairs().next().unwrap().1.into_owned()
}

#[tokio::test]
async fn what_is_as_it_was_costs_no_write() {
    let harness = Harness::embedded(false).await;
    let wire = Tripwire::new();
    let store = store_over(&harness, &wire);
    let contract = contract();
    let mirror = contacts(&contract);
    let mut changes: Vec<Change> = (0..1000).map(present).collect();

    let written = mirror.put_new(&store, &changes).await.unwrap();
    assert_eq!(written.inserted, 1000);
    // 1,000 records and 3,000 match keys in batches of 25.
    assert_eq!(wire.aws_calls(), 160);

    wire.reset();
    let written = mirror.apply(&store, &changes).await.unwrap();
    assert_eq!((written.unchanged, wire.aws_calls()), (1000, 10));

    // 30 records with another address: the record, the new key and the old one, 33 records in a
    // transaction.
    for number in 0..30 {
        changes[number as usize] =
            Change::Present(contact(number, &format!("b{number}@example.com")));
    }
    wire.reset();
    let written = mirror.apply(&store, &changes).await.unwrap();
    assert_eq!((written.changed, written.unchanged), (30, 970));
    assert_eq!(wire.aws_calls(), 11);

    // Later changes of a record count, in one call as in several.
    let mut model = Model::default();
    model.apply(&changes);
    let again = [present(1), gone(2, None), gone(1, None), present(2)];
    model.apply(&again);
    let written = mirror.apply(&store, &again).await.unwrap();
    assert_eq!(
        written,
        Written {
            changed: 1,
            removed: 1,
            ..Written::default()
        }
    );
    wire.reset();
    mirror
        .mark_seen(
            &store,
            1,
            0,
            (0..1000)
                .map(id)
                .collect::<Vec<_>>()
                .iter()
                .map(String::as_str),
        )
        .await
        .unwrap();
    assert_eq!(wire.aws_calls(), 1, "what a part saw");
    model.is_mirrored(&harness, &mirror, "after all").await;
    harness.stop().await;
}

fn any_change() -> impl Strategy<Value = Change> {
    let number = 0_u32..40;
    prop_oneof![
        4 => (number.clone(), 0..3_u32).prop_map(|(number, address)| Change::Present(contact(number, &format!("{address}.{number}@example.com")))),
        1 => number.clone().prop_map(|number| {
            let mut loser = contact(number, "no address");
            loser.merged_into = Some(id(99));
            Change::Present(loser)
        }),
        1 => number.clone().prop_map(|number| gone(number, None)),
        1 => (number, 50_u32..53).prop_map(|(number, survivor)| gone(number, Some(survivor))),
    ]
}

#[tokio::test]
async fn whatever_changes_the_mirror_is_as_the_crm() {
    let harness = Harness::embedded(false).await;
    let contract = contract();
    let mirror = contacts(&contract);
    let mut runner = TestRunner::deterministic();
    let mut model = Model::default();
    for round in 0..12 {
        let changes = proptest::collection::vec(any_change(), 0..120);
        let changes = changes.new_tree(&mut runner).unwrap().current();
        let before = model.clone();
        model.apply(&changes);
        let written = mirror.apply(&harness.store, &changes).await.unwrap();
        model
            .is_mirrored(&harness, &mirror, &format!("round {round}"))
            .await;
        let touched: BTreeSet<&str> = changes.iter().map(Change::id).collect();
        let mut expected = Written::default();
        for id in touched {
            match (before.records.get(id), model.records.get(id)) {
                (None, Some(_)) => expected.inserted += 1,
                (Some(before), Some(after)) if before != after => expected.changed += 1,
                (Some(_), None) => expected.removed += 1,
                _ => {}
            }
        }
        assert_eq!(
            (written.inserted, written.changed, written.removed),
            (expected.inserted, expected.changed, expected.removed)
        );
        // Reported again it is nothing new.
        let last: Vec<Change> = changes.iter().filter(|change| matches!(change, Change::Present(record) if model.records.get(&record.id) == Some(record))).cloned().collect();
        let again = mirror.apply(&harness.store, &last).await.unwrap();
        assert_eq!((again.inserted, again.changed, again.removed), (0, 0, 0));
    }
    harness.stop().await;
}

#[tokio::test]
async fn a_worker_that_dies_at_any_call_leaves_what_the_next_completes() {
    let harness = Harness::embedded(false).await;
    let mut runner = TestRunner::deterministic();
    let first: Vec<Change> = (0..60).map(present).collect();
    let changes = proptest::collection::vec(any_change(), 150);
    let changes = changes.new_tree(&mut runner).unwrap().current();
    let mut deaths = 0;
    // All of the first, and some of the many that are alike.
    'all: for n in (0..12).chain((12..).step_by(25)) {
        for cut in [Cut::Before(n), Cut::After(n)] {
            let contract: ContractId = format!("dies-{deaths}").parse().unwrap();
            let mirror = contacts(&contract);
            let wire = Tripwire::cutting(cut);
            let dying = store_over(&harness, &wire);
            let part: Vec<String> = changes
                .iter()
                .map(|change| change.id().to_owned())
                .collect();
            let work = async |store: &Store| -> Result<(), StoreError> {
                mirror.put_new(store, &first).await?;
                mirror.apply(store, &changes).await?;
                mirror
                    .mark_seen(store, 3, 0, part.iter().map(String::as_str))
                    .await?;
                for shard in 0..MIRROR_SHARDS {
                    mirror.sweep(store, 3, shard).await?;
                }
                Ok(())
            };
            let died = work(&dying).await.is_err();
            if wire.has_cut() {
                // An engine that lost its place puts an object that has records by comparing.
                mirror.apply(&harness.store, &first).await.unwrap();
                mirror.apply(&harness.store, &changes).await.unwrap();
                mirror
                    .mark_seen(&harness.store, 4, 0, part.iter().map(String::as_str))
                    .await
                    .unwrap();
                for shard in 0..MIRROR_SHARDS {
                    mirror.sweep(&harness.store, 4, shard).await.unwrap();
                }
            }
            let mut model = Model::default();
            model.apply(&first);
            model.apply(&changes);
            model.records.retain(|id, _| part.contains(id));
            model
                .is_mirrored(&harness, &mirror, &format!("{cut:?}"))
                .await;
            deaths += 1;
            if !wire.has_cut() {
                assert!(!died);
                break 'all;
            }
        }
    }
    assert!(deaths > 24, "{deaths}");
    harness.stop().await;
}

#[tokio::test]
async fn a_sweep_removes_what_no_part_saw_and_can_be_repeated() {
    let harness = Harness::embedded(false).await;
    let wire = Tripwire::new();
    let store = store_over(&harness, &wire);
    let contract = contract();
    let mirror = contacts(&contract);
    let mut changes: Vec<Change> = (0..300).map(present).collect();
    changes.push(gone(400, Some(1)));
    // The loser of a merge that Dataverse keeps, until it is deleted there.
    let mut loser = contact(401, "loser@example.com");
    loser.merged_into = Some(id(1));
    changes.push(Change::Present(loser));
    mirror.put_new(&store, &changes).await.unwrap();
    let sweep = async |generation: u64| {
        let mut all = Swept::default();
        for shard in 0..MIRROR_SHARDS {
            let swept = mirror.sweep(&store, generation, shard).await.unwrap();
            all.removed += swept.removed;
            all.kept += swept.kept;
        }
        all
    };
    let see = async |generation: u64, part: u64, numbers: std::ops::Range<u32>| {
        let ids: Vec<String> = numbers.map(id).collect();
        mirror
            .mark_seen(&store, generation, part, ids.iter().map(String::as_str))
            .await
            .unwrap();
    };
    // An older pass that never finished must not count.
    see(6, 0, 0..300).await;
    see(7, 0, 0..100).await;
    see(7, 1, 150..290).await;
    // The same part again: ids seen before do not count.
    see(7, 1, 150..200).await;
    let swept = Swept {
        removed: 151,
        kept: 150,
    };
    assert_eq!(sweep(7).await, swept);
    let mut model = Model::default();
    model.apply(&changes);
    let unseen: Vec<Change> = (100..150)
        .chain(200..300)
        .chain([401])
        .map(|number| gone(number, None))
        .collect();
    model.apply(&unseen);
    model.is_mirrored(&harness, &mirror, "swept").await;
    let left = items(&harness, &contract)
        .await
        .remove("SEEN")
        .unwrap_or_default();
    assert!(
        left.iter().all(|key| key.ends_with("0000000007#SWEPT")),
        "{left:?}"
    );
    // Its lists are gone, but its results are known: again it removes nothing.
    assert_eq!(sweep(7).await, swept);
    model.is_mirrored(&harness, &mirror, "swept again").await;
    // A pass that saw nothing is of an object without records.
    assert_eq!(
        sweep(8).await,
        Swept {
            removed: 150,
            kept: 0
        }
    );
    model.records.clear();
    model.is_mirrored(&harness, &mirror, "emptied").await;
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_at_once_leave_whole_records() {
    let harness = Harness::embedded(false).await;
    let contract = contract();
    let mirror = contacts(&contract);
    let version = |writer: u32| -> Vec<Change> {
        (0..50)
            .map(|number| {
                Change::Present(contact(number, &format!("w{writer}.{number}@example.com")))
            })
            .collect()
    };
    let writers = (0..4).map(|writer| {
        let store = harness.store.clone();
        let changes = version(writer);
        async move { mirror.apply(&store, &changes).await }
    });
    let done = futures::future::join_all(writers).await;
    assert!(
        done.iter()
            .all(|done| matches!(done, Ok(_) | Err(StoreError::Conflict))),
        "{done:?}"
    );
    // Each record is whole, with its own keys and no other's.
    let mut model = Model::default();
    for (id, record) in all(&harness.store, &mirror).await {
        let email = record.values.unwrap()["Email"].as_str().unwrap().to_owned();
        let number = id[10..15].parse().unwrap();
        model.records.insert(id, contact(number, &email));
    }
    assert_eq!(model.records.len(), 50);
    model.is_mirrored(&harness, &mirror, "raced").await;
    // And the last word brings it all.
    mirror.apply(&harness.store, &version(9)).await.unwrap();
    let mut model = Model::default();
    model.apply(&version(9));
    model.is_mirrored(&harness, &mirror, "settled").await;
    harness.stop().await;
}

#[tokio::test]
async fn a_key_finds_the_records_of_its_object() {
    let harness = Harness::embedded(false).await;
    let store = &harness.store;
    let contract = contract();
    let mirror = contacts(&contract);
    let same: Vec<Change> = (0..5)
        .map(|number| Change::Present(contact(number, "ada@example.com")))
        .collect();
    mirror.put_new(store, &same).await.unwrap();
    let users = Mirror {
        object: "User",
        ..mirror
    };
    users.put_new(store, &same[..1]).await.unwrap();
    let key = MatchKey::email("ADA@example.com").unwrap();
    let find = async |object, limit| {
        let found = store
            .by_match_key(&contract, PRODUCTION, &key, object, limit)
            .await
            .unwrap();
        found
            .into_iter()
            .map(|(object, id)| format!("{object} {id}"))
            .collect::<BTreeSet<_>>()
    };
    let mut expected: BTreeSet<String> = (0..5)
        .map(|number| format!("Contact {}", id(number)))
        .collect();
    assert_eq!(find(Some("Contact"), 20).await, expected);
    expected.insert(format!("User {}", id(0)));
    assert_eq!(find(None, 20).await, expected);
    assert_eq!(find(None, 2).await.len(), 2);
    // Not of another environment, another contract, or a longer key.
    let other: ContractId = "another".parse().unwrap();
    for (contract, environment) in [(&contract, Environment::Sandbox), (&other, PRODUCTION)] {
        let found = store
            .by_match_key(contract, environment, &key, None, 20)
            .await
            .unwrap();
        assert_eq!(found, []);
    }
    let shorter = MatchKey::email("ada@example.co").unwrap();
    assert_eq!(
        store
            .by_match_key(&contract, PRODUCTION, &shorter, None, 20)
            .await
            .unwrap(),
        []
    );
    harness.stop().await;
}

/// SV-4: a save pass removes the mark of an opportunity that is not there, so none comes before its record.
#[tokio::test]
async fn an_opportunity_of_an_empty_mirror_is_there_before_its_mark() {
    let harness = Harness::embedded(false).await;
    let contract = contract();
    let mirror = Mirror {
        object: "Opportunity",
        ..contacts(&contract)
    };
    let opportunity = |number: u32| {
        let values = Values(vec![("Name", Value::Text(format!("Deal {number}")))]);
        let record = contact(number, "");
        Change::Present(Record { values, ..record })
    };
    let changes: Vec<Change> = (0..10).map(opportunity).collect();
    let wire = Tripwire::cutting(Cut::After(0));
    let cut = mirror.put_new(&store_over(&harness, &wire), &changes).await;
    assert!(cut.is_err());
    let found = items(&harness, &contract).await;
    assert_eq!(found["MIRROR"].len(), 10, "{found:?}");
    assert!(!found.contains_key("TOUCHED"), "{found:?}");
    mirror.put_new(&harness.store, &changes).await.unwrap();
    assert_eq!(items(&harness, &contract).await["TOUCHED"].len(), 10);
    harness.stop().await;
}

#[tokio::test]
async fn a_clean_up_empties_every_partition_in_as_many_turns_as_it_needs() {
    let harness = Harness::embedded(false).await;
    let wire = Tripwire::new();
    let store = store_over(&harness, &wire);
    let (contract, other): (ContractId, ContractId) = (contract(), "another".parse().unwrap());
    let mut changes: Vec<Change> = (0..60).map(present).collect();
    changes.push(gone(300, Some(1)));
    let mut found = 0;
    for (contract, environment) in [
        (&contract, PRODUCTION),
        (&contract, Environment::Sandbox),
        (&other, PRODUCTION),
    ] {
        for (crm, object) in [
            (CrmKind::Salesforce, "Contact"),
            (CrmKind::Dynamics365, "contact"),
        ] {
            let mirror = Mirror {
                environment,
                crm,
                object,
                ..contacts(contract)
            };
            mirror.put_new(&store, &changes).await.unwrap();
            mirror.mark_seen(&store, 1, 0, ["a", "b"]).await.unwrap();
        }
    }
    let before = items(&harness, &contract).await;
    let others = items(&harness, &other).await;
    // Without any time a turn still does something, and all turns together count each item once.
    let (mut from, mut turns) = (Some(0), 0);
    while let Some(at) = from {
        let counted = store
            .count_imported(&contract, PRODUCTION, at, Duration::ZERO)
            .await
            .unwrap();
        found += counted.items;
        from = counted.next;
        turns += 1;
    }
    assert!(turns > 5, "{turns}");
    let at_once = store
        .count_imported(&contract, PRODUCTION, 0, ENOUGH)
        .await
        .unwrap();
    assert_eq!((at_once.items, at_once.next), (found, None));
    // 60 records, 1 survivor, 180 keys (of Dynamics' contact there are none by these fields), 2 lists.
    assert_eq!(found, (61 + 180 + 2) + (61 + 2));
    let (mut deleted, mut turns) = (0, 0);
    loop {
        let within = if turns < 3 { Duration::ZERO } else { ENOUGH };
        let done = store
            .delete_imported(&contract, PRODUCTION, within)
            .await
            .unwrap();
        deleted += done.items;
        turns += 1;
        if done.all {
            break;
        }
    }
    assert!(turns > 3, "{turns}");
    assert_eq!(deleted, found);
    let left = store
        .count_imported(&contract, PRODUCTION, 0, ENOUGH)
        .await
        .unwrap();
    assert_eq!(left.items, 0);
    // An empty mirror costs one look at each partition.
    wire.reset();
    let done = store
        .delete_imported(&contract, PRODUCTION, ENOUGH)
        .await
        .unwrap();
    assert_eq!((done.items, done.all), (0, true));
    assert!(wire.aws_calls() < 520, "{}", wire.aws_calls());
    // The sandbox, and the other contract, are unchanged.
    assert_eq!(items(&harness, &other).await, others);
    let sandbox = store
        .count_imported(&contract, Environment::Sandbox, 0, ENOUGH)
        .await
        .unwrap();
    assert_eq!(sandbox.items, found);
    assert_eq!(
        items(&harness, &contract).await.keys().collect::<Vec<_>>(),
        before.keys().collect::<Vec<_>>()
    );
    harness.stop().await;
}

/// LG-5: a strategy of text alone finds a lead in the CRM by the mirror, however it is spelled there.
#[tokio::test]
async fn a_submission_joins_a_lead_that_is_spelled_otherwise() {
    let harness = Harness::embedded(true).await;
    for crm in BOTH {
        let tenant = harness.tenant(crm).await;
        let field = |name: &str| local::seed::lead_field(name, crm);
        let fields = [field("first_name"), field("last_name")];
        activate(&tenant, &fields).await;
        // Made in the CRM by hand, with an address that no form has.
        let lead = |first: &str, last: &str| {
            json!({ field("first_name"): first, field("last_name"): last,
                    field("company"): "By hand", field("email"): tenant.email("kept") })
        };
        let by_hand = create(&tenant, &lead("Jürgen", "Müller")).await;
        let renamed = create(&tenant, &lead("Zoë", "Weiß")).await;
        let deleted = create(&tenant, &lead("André", "Lefèvre")).await;
        let contract = &tenant.made.id;
        let mirror = Mirror {
            contract,
            environment: PRODUCTION,
            crm,
            object: lead_object(crm),
            default_region: None,
        };
        let mirrored = |id: &str, first: &str, last: &str| {
            let text = |text: &str| Value::Text(text.to_owned());
            Change::Present(Record {
                id: id.to_owned(),
                modified: Millis(1),
                merged_into: None,
                values: Values(vec![
                    (field("first_name"), text(first)),
                    (field("last_name"), text(last)),
                ]),
            })
        };
        let known = [
            mirrored(&by_hand, "Jürgen", "Müller"),
            mirrored(&renamed, "Zoe", "Black"),
            mirrored(&deleted, "André", "Lefèvre"),
        ];
        mirror.put_new(&harness.store, &known).await.unwrap();
        let (system, object) = place(&tenant);
        harness
            .control(
                Method::DELETE,
                &format!("/records/{system}/{object}/{deleted}"),
                None,
            )
            .await;

        let submit = async |first: &str, last: &str, state: &str| {
            let form = json!({ "email": tenant.email(&last.to_lowercase()), "first_name": first, "last_name": last,
                               "company": "Form", "title": "Engineer" });
            let id = tenant.submit(&form, None).await;
            tenant.wait_for(&id, &[state]).await
        };
        let joined = submit("jurgen", "MULLER", "attached").await;
        assert_eq!(joined["lead"]["id"], json!(by_hand), "{crm:?}");
        let filled = read(&tenant, &by_hand).await;
        assert_eq!(filled[field("title")], "Engineer");
        assert_eq!(
            filled[field("last_name")],
            "Müller",
            "nothing is overwritten"
        );
        // The CRM's present values decide: this lead has another name by now, that one is gone.
        for (first, last) in [("zoe", "black"), ("andre", "lefevre")] {
            let made = submit(first, last, "created").await;
            assert_ne!(made["lead"]["id"], json!(renamed), "{crm:?}");
            assert_ne!(made["lead"]["id"], json!(deleted), "{crm:?}");
        }
    }
    harness.stop().await;
}

/// A look-up in the mirror costs one read where a strategy is of text alone, and nothing with an
/// e-mail address or a phone number: those the CRM finds itself.
#[tokio::test]
async fn the_mirror_adds_one_read_to_a_strategy_of_text() {
    // After the lead is final: its person and company enter the directory and are linked, with the look-ups
    // of the company's keys.
    const DIRECTORY_CALLS: usize = 7;
    let harness = Harness::embedded(false).await;
    let stack = harness.embedded_stack();
    for crm in BOTH {
        let field = |name: &str| local::seed::lead_field(name, crm);
        let (last, company) = (field("last_name"), field("company"));
        for (fields, aws) in [
            (vec![field("email")], 4),
            (vec![field("phone"), last], 4),
            (vec![last, company], 5),
            // No key is as coarse as a last name alone.
            (vec![last], 4),
        ] {
            let tenant = harness.tenant(crm).await;
            activate(&tenant, &fields).await;
            let wire = Tripwire::new();
            let apps = process(stack, &wire, &clock());
            for warm in [true, false] {
                let mut form = tenant.person(if warm { "Warm" } else { "Counted" });
                form["last_name"] = json!(format!("{warm} of {}", tenant.domain));
                let router = form_intake::router(apps.intake.clone());
                let request = http::Request::post(format!("/forms/{}", tenant.made.form_key))
                    .header("content-type", "application/json")
                    .body(axum::body::Body::from(form.to_string()))
                    .unwrap();
                let answer = tower::ServiceExt::oneshot(router, request).await.unwrap();
                let body = axum::body::to_bytes(answer.into_body(), 1 << 20)
                    .await
                    .unwrap();
                let body: Json = serde_json::from_slice(&body).unwrap();
                let id = body["submission_id"].as_str().unwrap().to_owned();
                wire.reset();
                let batch = e2e::worker::messages(&tenant.made.id, &[&id]);
                crm_writeback::handle(&apps.writeback, batch).await;
                let stored = e2e::worker::stored(stack, &tenant.made.id, &id).await;
                assert!(stored.lead.is_some(), "{:?}", stored.failures);
            }
            assert_eq!(
                (wire.aws_calls(), wire.outside_calls()),
                (aws + DIRECTORY_CALLS, 2),
                "{crm:?} {fields:?}"
            );
        }
    }
    harness.stop().await;
}

async fn activate(tenant: &Tenant<'_>, fields: &[&str]) {
    let strategy = json!({ "name": "By text", "matching_lead_fields": fields, "active": true });
    let (status, body) = tenant
        .api(Method::POST, "/matching-strategies", Some(strategy))
        .await;
    assert_eq!(status, 201, "{body}");
    let path = format!(
        "/matching-strategies/{}/activate",
        body["id"].as_str().unwrap()
    );
    let (status, body) = tenant.api(Method::POST, &path, None).await;
    assert_eq!(status, 200, "{body}");
}

fn place(tenant: &Tenant<'_>) -> (&'static str, &'static str) {
    match tenant.made.crm {
        CrmKind::Salesforce => ("salesforce", "Lead"),
        CrmKind::Dynamics365 => ("dataverse", "lead"),
    }
}

/// Makes a lead in the CRM, as a user would; returns its id.
async fn create(tenant: &Tenant<'_>, values: &Json) -> String {
    let (system, object) = place(tenant);
    let path = format!("/records/{system}/{object}");
    let made = tenant
        .harness
        .control(Method::POST, &path, Some(values.clone()))
        .await;
    made["id"].as_str().unwrap().to_owned()
}

async fn read(tenant: &Tenant<'_>, id: &str) -> Json {
    let (system, object) = place(tenant);
    let path = format!("/records/{system}/{object}/{id}");
    tenant.harness.control(Method::GET, &path, None).await
}

/// Keys of the table that are no text would be no keys.
#[tokio::test]
async fn the_mirrors_items_hold_what_they_need_and_no_more() {
    let harness = Harness::embedded(false).await;
    let contract = contract();
    let mirror = contacts(&contract);
    mirror
        .put_new(&harness.store, &[present(1), gone(2, Some(1))])
        .await
        .unwrap();
    let client = shared::aws::dynamodb(&harness.embedded_stack().aws);
    let page = client.scan().table_name(local::TABLE).send().await.unwrap();
    let mut names: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for item in page.items.unwrap_or_default() {
        let Some(AttributeValue::S(pk)) = item.get("PK") else {
            continue;
        };
        if let Some(rest) = pk.strip_prefix("C#mirrored#") {
            let merged = if item.contains_key("merged_into") {
                " of a merge"
            } else {
                ""
            };
            let kind = rest.split('#').next().unwrap_or_default();
            let own = item
                .keys()
                .filter(|name| !["PK", "SK"].contains(&name.as_str()));
            names
                .entry(format!("{kind}{merged}"))
                .or_default()
                .extend(own.cloned());
        }
    }
    let set = |names: &[&str]| {
        names
            .iter()
            .map(ToString::to_string)
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(
        names["MIRROR"],
        set(&["data", "entity_type", "hash", "keys", "modified"])
    );
    assert_eq!(
        names["MIRROR of a merge"],
        set(&["entity_type", "merged_into"])
    );
    assert_eq!(names["MATCHKEY"], set(&[]));
    harness.stop().await;
}
