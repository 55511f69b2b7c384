//! The directory linked to the CRM's records, as people meet it: online, in passes, by submissions, and with
//! crashes and concurrent work (MA-1 to MA-5).

use std::collections::BTreeMap;

use e2e::Harness;
use e2e::directory_world::{DirectoryWorld, add_entry};
use e2e::worker::{messages, process, spoil, stored};
use matching::Record;
use reqwest::Method;
use serde_json::json;
use shared::domain::directory::{
    EntryId, EntryKind, How, Match, MatchState, NewEntry, Origin, RecordRef,
};
use shared::domain::environment::Environment;
use shared::domain::ids::SeatId;
use shared::domain::roi::TouchKind;
use shared::domain::schema::CrmKind;
use shared::domain::submission::InDirectory;
use shared::linking::{Act, Linking};
use shared::random::SystemRandom;
use shared::store::{Added, DIRECTORY_SHARDS, Reach};
use shared::testing::{Cut, Tripwire};

const BOTH: [CrmKind; 2] = [CrmKind::Salesforce, CrmKind::Dynamics365];
const PROFILE: EntryKind = EntryKind::Profile;
const COMPANY: EntryKind = EntryKind::Company;
/// More calls than anything here makes.
const MANY_CALLS: usize = 400;

/// The links of all entries of a kind: the record, how it was linked, and the score.
async fn links(
    world: &DirectoryWorld<'_>,
    kind: EntryKind,
) -> BTreeMap<EntryId, Option<(RecordRef, How, i32)>> {
    let all = world.directory(kind).await.into_iter();
    all.map(|(id, (_, matched))| {
        let link = matched.link.map(|link| (link.record, link.how, link.score));
        (id, link)
    })
    .collect()
}

/// Some people and companies in the CRM, and in the directory as others know them.
struct Known {
    account: RecordRef,
    contact: RecordRef,
    lead: RecordRef,
    of_contact: EntryId,
    of_lead: EntryId,
    of_account: EntryId,
    stranger: EntryId,
}

async fn known(world: &DirectoryWorld<'_>) -> Known {
    let tenant = world.tenant;
    let account = world
        .account("Lovelace Engines GmbH", "https://www.lovelace-engines.com")
        .await;
    let contact = world
        .contact("Ada", "Byron", &tenant.email("ada"), Some(&account))
        .await;
    let lead = world
        .lead("Grace", "Hopper", &tenant.email("grace"), "Navy Yard")
        .await;
    world
        .lead("Grace", "Kelly", &tenant.email("kelly"), "Palace")
        .await;
    Known {
        account,
        contact,
        lead,
        of_contact: world
            .profile("Ada", "Byron", &tenant.email("ada"), "Lovelace Engines")
            .await,
        of_lead: world
            .profile("Grace", "Hopper", &tenant.email("GRACE"), "Navy Yard Inc.")
            .await,
        of_account: world
            .company("Lovelace Engines", "lovelace-engines.com")
            .await,
        stranger: world
            .profile(
                "Nobody",
                "Inparticular",
                "nobody@elsewhere.example",
                "Elsewhere",
            )
            .await,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_imported_is_linked_and_explained() {
    for crm in BOTH {
        let harness = Harness::embedded(false).await;
        let tenant = harness.tenant(crm).await;
        let world = DirectoryWorld::of(&tenant).await;
        let known = known(&world).await;
        world.import().await;
        let (entry, matched) = world.entry(PROFILE, known.of_contact).await;
        let link = matched.link.clone().unwrap();
        assert_eq!(
            (&link.record, link.how),
            (&known.contact, How::Score),
            "{crm:?}"
        );
        assert!(link.owner.is_some() && !link.record_gone);
        assert_eq!(MatchState::of(&entry, Some(&matched)), MatchState::Matched);
        // The account's name is the contact's employer.
        let linking = world.linking();
        let record = linking.record_of(&known.contact).await.unwrap().unwrap();
        assert_eq!(record.shown.company, "Lovelace Engines GmbH");
        assert_eq!(record.account, Some(known.account.clone()));
        let explanation = linking.explain(&entry, &record).await.unwrap();
        assert_eq!(explanation.score, link.score);
        assert_eq!(
            explanation
                .fields
                .iter()
                .map(|field| field.weight)
                .sum::<i32>(),
            link.score
        );
        let candidates = linking.candidates(&entry).await.unwrap();
        assert!(candidates[0].linked && candidates[0].taken_by.is_none());
        assert_eq!(candidates[0].record.record, known.contact);
        assert_eq!(
            world.link_of(PROFILE, known.of_lead).await,
            Some(known.lead)
        );
        assert_eq!(
            world.link_of(COMPANY, known.of_account).await,
            Some(known.account)
        );
        assert_eq!(world.link_of(PROFILE, known.stranger).await, None);
        let rates = world.store().rates(world.id(), 1, None).await.unwrap();
        let of = |object: &str| {
            rates[0]
                .objects
                .iter()
                .find(|rates| rates.object == object)
                .unwrap()
        };
        let leads = of(world.name("Lead", "lead"));
        assert_eq!(
            (leads.records, leads.matched, leads.manual, leads.unmatched),
            (2, 1, 0, 1)
        );
        let profiles = rates[0]
            .entries
            .iter()
            .find(|rates| rates.kind == PROFILE)
            .unwrap();
        assert_eq!(
            (profiles.entries, profiles.matched, profiles.unmatched),
            (3, 2, 1)
        );
        // A pass that finds nothing new writes nothing.
        let before = world.directory(PROFILE).await;
        assert_eq!(world.pass().await.progress.written, 0);
        assert_eq!(world.directory(PROFILE).await, before);
        harness.stop().await;
    }
}

/// Two contracts with the same directory and the same CRM: one is linked by a pass, one entry by entry.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pass_and_linking_one_by_one_find_the_same() {
    for crm in BOTH {
        let harness = Harness::embedded(false).await;
        let (one, other) = (harness.tenant(crm).await, harness.tenant(crm).await);
        let (passed, online) = (
            DirectoryWorld::of(&one).await,
            DirectoryWorld::of(&other).await,
        );
        let mut people = Vec::new();
        let firsts = ["Ada", "Grace", "Emmy", "Mary", "Sofia", "Hedy"];
        let lasts = [
            "Byron",
            "Hopper",
            "Noether",
            "Somerville",
            "Kovalevskaya",
            "Lamarr",
        ];
        for (a, first) in firsts.into_iter().enumerate() {
            for (b, last) in lasts.into_iter().enumerate() {
                let email = format!("{first}.{last}@firm{b}.com").to_lowercase();
                let company = format!("Firm {last} {}", ["Ltd", "GmbH", "Inc."][(a + b) % 3]);
                match (a * 6 + b) % 4 {
                    0 => drop(passed.lead(first, last, &email, &company).await),
                    1 => drop(passed.contact(first, last, &email, None).await),
                    // Twice in the CRM.
                    2 => {
                        passed.lead(first, last, &email, &company).await;
                        passed.contact(first, last, &email, None).await;
                    }
                    _ => {}
                }
                people.push((first, last, email, company));
            }
        }
        for (at, (first, last, email, company)) in people.iter().enumerate() {
            for world in [&passed, &online] {
                let email = if at % 5 == 0 {
                    format!("private{at}@gmail.com")
                } else {
                    email.clone()
                };
                world.profile(first, last, &email, company).await;
                // Not for people who are twice in the CRM: which of two equal records is left for the second
                // entry depends on the order online, and a pass decides it.
                if at % 7 == 0 && at % 4 != 2 {
                    // The same person under another address: one of the two is the record.
                    let other = format!("other{at}@gmail.com");
                    world.profile(first, last, &other, "").await;
                }
            }
        }
        passed.import().await;
        online.import_only().await;
        let mut order: Vec<EntryId> = online.directory(PROFILE).await.into_keys().collect();
        order.sort_by_key(|id| id.0.as_u128().reverse_bits());
        for id in order {
            online
                .linking()
                .link_entry(PROFILE, id)
                .await
                .unwrap()
                .unwrap();
        }
        let by = |links: BTreeMap<EntryId, Option<(RecordRef, How, i32)>>,
                  names: BTreeMap<EntryId, String>| {
            let named = links
                .into_iter()
                .map(|(id, link)| (names[&id].clone(), link));
            named.collect::<BTreeMap<_, _>>()
        };
        let names = async |world: &DirectoryWorld<'_>| -> BTreeMap<EntryId, String> {
            let all = world.directory(PROFILE).await.into_iter();
            all.map(|(id, (entry, _))| (id, format!("{} {:?}", entry.name(), entry.record.emails)))
                .collect()
        };
        let of_pass = by(links(&passed, PROFILE).await, names(&passed).await);
        let of_online = by(links(&online, PROFILE).await, names(&online).await);
        assert_eq!(of_pass, of_online, "{crm:?}");
        assert!(
            of_pass.values().filter(|link| link.is_some()).count() >= 20,
            "{of_pass:#?}"
        );
        // The pass's links stay, however often entries are linked alone; and the other way about.
        let before = passed.directory(PROFILE).await;
        for id in before.keys() {
            passed.linking().link_entry(PROFILE, *id).await.unwrap();
        }
        assert_eq!(passed.directory(PROFILE).await, before);
        let before = links(&online, PROFILE).await;
        online.pass().await;
        assert_eq!(links(&online, PROFILE).await, before);
        harness.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_follow_merges_and_go_with_deleted_records() {
    for crm in BOTH {
        let harness = Harness::embedded(false).await;
        let tenant = harness.tenant(crm).await;
        let world = DirectoryWorld::of(&tenant).await;
        let email = |name: &str| tenant.email(name);
        let ada = world.contact("Ada", "Byron", &email("ada"), None).await;
        let twin = world
            .contact("A.", "Byron-King", "king@elsewhere.com", None)
            .await;
        let grace = world.lead("Grace", "Hopper", &email("grace"), "Navy").await;
        let emmy = world.lead("Emmy", "Noether", &email("emmy"), "Uni").await;
        let manual = world.profile("Ada", "Byron", &email("ada"), "").await;
        let automatic = world
            .profile("Grace", "Hopper", &email("grace"), "Navy")
            .await;
        let gone = world
            .profile("Emmy", "Noether", &email("emmy"), "Uni")
            .await;
        world.import().await;
        for (id, record) in [(manual, &ada), (gone, &emmy)] {
            let act = Act::Match(record.clone());
            let linked = world
                .linking()
                .decide(PROFILE, id, act, "ann", &SystemRandom)
                .await
                .unwrap();
            assert_eq!(linked.matched.record(), Some(record));
            assert_eq!(
                MatchState::of(&linked.entry, Some(&linked.matched)),
                MatchState::Confirmed
            );
        }
        // The record of a person's decision is merged into one that looks like another person.
        world.merge(&ada, &twin).await;
        world.delete(&grace).await;
        world.delete(&emmy).await;
        world.import().await;
        let (entry, matched) = world.entry(PROFILE, manual).await;
        assert_eq!(
            (matched.record(), entry.decided()),
            (Some(&twin), Some(&twin)),
            "{crm:?}"
        );
        assert_eq!(matched.link.as_ref().unwrap().how, How::Person);
        assert_eq!(world.link_of(PROFILE, automatic).await, None);
        let (entry, matched) = world.entry(PROFILE, gone).await;
        assert!(matched.link.as_ref().unwrap().record_gone);
        assert_eq!(entry.decided(), Some(&emmy));
        assert_eq!(MatchState::of(&entry, Some(&matched)), MatchState::Gone);
        // One after the other says the same as the pass.
        let before = world.directory(PROFILE).await;
        for id in before.keys() {
            world.linking().link_entry(PROFILE, *id).await.unwrap();
        }
        assert_eq!(world.directory(PROFILE).await, before);
        harness.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_is_of_the_entry_that_fits_best_and_of_whom_a_person_says() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let world = DirectoryWorld::of(&tenant).await;
    let email = tenant.email("ada");
    let lead = world.lead("Ada", "Byron", &email, "Engines").await;
    world.import_only().await;
    let weak = world
        .profile("Ada", "Byron", "ada@home.com", "Engines")
        .await;
    let linking = world.linking();
    linking.link_entry(PROFILE, weak).await.unwrap();
    assert_eq!(world.link_of(PROFILE, weak).await, Some(lead.clone()));
    // The better match takes it, and the other is linked to nothing.
    let strong = world.profile("Ada", "Byron", &email, "Engines").await;
    linking.link_entry(PROFILE, strong).await.unwrap();
    assert_eq!(world.link_of(PROFILE, strong).await, Some(lead.clone()));
    assert_eq!(world.link_of(PROFILE, weak).await, None);
    // A person says otherwise; then no score and no other person takes it.
    let world = &world;
    let decide = async |id: EntryId, act: Act| {
        world
            .linking()
            .decide(PROFILE, id, act, "ann", &SystemRandom)
            .await
    };
    decide(weak, Act::Match(lead.clone())).await.unwrap();
    world.pass().await;
    world.linking().link_entry(PROFILE, strong).await.unwrap();
    assert_eq!(world.link_of(PROFILE, weak).await, Some(lead.clone()));
    assert_eq!(world.link_of(PROFILE, strong).await, None);
    let refused = decide(strong, Act::Match(lead.clone()))
        .await
        .unwrap_err()
        .problem();
    assert_eq!(
        (refused.status, refused.code.as_str()),
        (409, "record_taken")
    );
    let refused = decide(strong, Act::Match(RecordRef::new("Account", "001"))).await;
    assert_eq!(refused.unwrap_err().problem().code, "record_of_wrong_kind");
    let refused = decide(strong, Act::Match(RecordRef::new("Lead", "00Q"))).await;
    assert_eq!(refused.unwrap_err().problem().code, "record_not_found");
    // Unmatched, it stays so, until a person asks.
    decide(weak, Act::Unmatch).await.unwrap();
    world.pass().await;
    assert_eq!(world.link_of(PROFILE, weak).await, None);
    assert_eq!(world.link_of(PROFILE, strong).await, Some(lead.clone()));
    decide(strong, Act::Unmatch).await.unwrap();
    let again = decide(strong, Act::Automatic).await.unwrap();
    assert_eq!(again.matched.record(), None, "it was refused");
    harness.stop().await;
}

/// MA-2: an entry that cannot be read keeps its record, and stops nobody who wants it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_cannot_be_read_keeps_its_record_and_stops_nobody() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let world = DirectoryWorld::of(&tenant).await;
    let email = tenant.email("ada");
    let lead = world.lead("Ada", "Byron", &email, "Engines").await;
    world.import_only().await;
    let weak = world
        .profile("Ada", "Byron", "ada@home.com", "Engines")
        .await;
    world.linking().link_entry(PROFILE, weak).await.unwrap();
    assert_eq!(world.link_of(PROFILE, weak).await, Some(lead));
    let place = weak.to_string();
    let spoilt = spoil(&tenant, "DIRECTORY#profile", &place, "kind").await;
    assert_eq!(spoilt, 1);
    let strong = world.profile("Ada", "Byron", &email, "Engines").await;
    world.linking().link_entry(PROFILE, strong).await.unwrap();
    assert_eq!(world.link_of(PROFILE, strong).await, None);
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_submission_becomes_a_profile_that_is_linked_to_its_lead() {
    for crm in BOTH {
        let harness = Harness::embedded(false).await;
        let tenant = harness.tenant(crm).await;
        let world = DirectoryWorld::of(&tenant).await;
        let contract = world.id().clone();
        world
            .lead("Some", "Body", &tenant.email("somebody"), "Elsewhere")
            .await;
        world.import_only().await;
        let submit = async |name: &str, key: &str| {
            let id = tenant.submit(&tenant.person(name), Some(key)).await;
            crm_writeback::handle(&world.apps.writeback, messages(&contract, &[&id])).await;
            id
        };
        let id = submit("Ada", "1").await;
        let submission = stored(harness.embedded_stack(), &contract, &id).await;
        let Some(InDirectory::Added {
            profile: Some(profile),
            company: Some(company),
        }) = submission.directory
        else {
            panic!("{:?}", submission.directory);
        };
        let lead = RecordRef::new(world.name("Lead", "lead"), submission.lead.unwrap().id);
        let (entry, matched) = world.entry(PROFILE, profile).await;
        assert_eq!(entry.record.first_name, "Ada");
        assert_eq!(entry.record.emails, [tenant.email("ada")]);
        assert_eq!(entry.origins, [Origin::Submission(submission.id)]);
        let link = matched.link.clone().unwrap();
        assert_eq!((&link.record, link.how), (&lead, How::Created));
        assert_eq!(MatchState::of(&entry, Some(&matched)), MatchState::Created);
        assert_eq!(
            world.entry(COMPANY, company).await.0.record.name,
            "Test Works"
        );
        // The pass does not undo the creation, before and after the lead is in the mirror.
        world.pass().await;
        assert_eq!(world.link_of(PROFILE, profile).await, Some(lead.clone()));
        // It counts as a lead of the CRM, though only the next import brings it.
        let rates = world.store().rates(world.id(), 1, None).await.unwrap();
        let mut objects = rates[0].objects.iter();
        let leads = objects.find(|rates| rates.object == lead.object).unwrap();
        assert_eq!((leads.records, leads.matched, leads.unmatched), (2, 1, 1));
        world.import().await;
        assert_eq!(world.link_of(PROFILE, profile).await, Some(lead.clone()));
        // The same person again is the same profile; another person at the company the same company.
        submit("Ada", "2").await;
        submit("Grace", "3").await;
        let all = world.directory(PROFILE).await;
        assert_eq!(all.len(), 2);
        assert_eq!(all[&profile].0.origins.len(), 2);
        assert_eq!(world.directory(COMPANY).await.len(), 1);
        // The lead is deleted in the CRM: then the entry is the contact that was made with it.
        world.delete(&lead).await;
        world.import().await;
        world.import().await;
        let link = world.entry(PROFILE, profile).await.1.link.unwrap();
        assert_eq!(
            (link.record.object.as_str(), link.how),
            (world.name("Contact", "contact"), How::Score),
            "{crm:?}"
        );
        harness.stop().await;
    }
}

/// Somebody out of many: no two share a name.
fn somebody(number: usize) -> (&'static str, &'static str) {
    const FIRSTS: [&str; 16] = [
        "Ada", "Bruno", "Chidi", "Dagmar", "Emre", "Fatima", "Goran", "Hiroshi", "Ines", "Jonas",
        "Kavya", "Lucia", "Mehdi", "Noor", "Olga", "Pedro",
    ];
    const LASTS: [&str; 16] = [
        "Abel",
        "Brandt",
        "Castillo",
        "Dimitrov",
        "Eriksen",
        "Fontaine",
        "Gupta",
        "Horvath",
        "Ivanova",
        "Jansen",
        "Kowalski",
        "Lindqvist",
        "Moreau",
        "Nakamura",
        "Okafor",
        "Petrov",
    ];
    (FIRSTS[number % 16], LASTS[number / 16 % 16])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_linked_by_construction_teaches_nothing_of_strangers() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let world = DirectoryWorld::of(&tenant).await;
    let contract = world.id().clone();
    // Ordinary posts: each writes a lead, and its profile is that lead.
    let mut ids = Vec::new();
    for number in 0..220 {
        let (first, last) = somebody(number);
        let body = json!({
            "email": tenant.email(&format!("{first}.{last}").to_lowercase()), "first_name": first,
            "last_name": last, "company": format!("{last} {first} Works"), "country": "DE",
        });
        ids.push(tenant.submit(&body, None).await);
    }
    for batch in ids.chunks(10) {
        let batch: Vec<&str> = batch.iter().map(String::as_str).collect();
        crm_writeback::handle(&world.apps.writeback, messages(&contract, &batch)).await;
    }
    // People who are not in the CRM, so that there is something to learn from.
    for number in 0..220 {
        let (first, last) = somebody(number);
        let email = format!("{last}.{first}{number}@elsewhere{}.com", number % 7).to_lowercase();
        world.profile(last, first, &email, "Elsewhere").await;
    }
    world.import().await;
    let shipped = matching::Model::shipped(matching::Kind::Person);
    let model = world.linking().model(PROFILE).await.unwrap();
    assert!(model.threshold >= shipped.threshold, "{}", model.threshold);
    let linked = links(&world, PROFILE).await;
    let by_score = linked
        .values()
        .flatten()
        .filter(|link| link.1 == How::Score);
    assert_eq!(by_score.count(), 0, "strangers are linked");
    // Namesakes in another continent, for whom the CRM has a record each.
    for number in [3, 40, 77] {
        let (first, last) = somebody(number);
        let lead = json!({
            "FirstName": first, "LastName": last, "Company": "Outback Mining", "Country": "Australia",
            "City": "Perth", "Email": format!("{number}@outback-mining.com.au"),
        });
        world.create("Lead", lead).await;
    }
    world.import().await;
    let again = links(&world, PROFILE).await;
    assert_eq!(again, linked);
    for number in [3, 40, 77] {
        let (first, last) = somebody(number);
        let record = Record {
            first_name: first.to_owned(),
            last_name: last.to_owned(),
            company: "Prairie Foods".to_owned(),
            country: "Canada".to_owned(),
            city: "Calgary".to_owned(),
            emails: vec![format!("{number}@prairie-foods.ca")],
            ..Record::default()
        };
        let namesake = world.add(PROFILE, record).await;
        world.linking().link_entry(PROFILE, namesake).await.unwrap();
        assert_eq!(
            world.link_of(PROFILE, namesake).await,
            None,
            "{first} {last}"
        );
    }
    world.pass().await;
    let all = links(&world, PROFILE).await;
    let by_score = all.values().flatten().filter(|link| link.1 == How::Score);
    assert_eq!(by_score.count(), 0, "namesakes are linked");
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_records_that_are_as_good_neither_is_taken() {
    for crm in BOTH {
        let harness = Harness::embedded(false).await;
        let tenant = harness.tenant(crm).await;
        let world = DirectoryWorld::of(&tenant).await;
        let email = tenant.email("ada");
        let both = [
            world.lead("Ada", "Byron", &email, "Engines").await,
            world.lead("Ada", "Byron", &email, "Engines").await,
        ];
        let profile = world.profile("Ada", "Byron", &email, "Engines").await;
        world.import().await;
        assert_eq!(world.link_of(PROFILE, profile).await, None, "{crm:?}");
        let linked = world.linking().link_entry(PROFILE, profile).await;
        let matched = linked.unwrap().unwrap().matched;
        assert_eq!(matched.record(), None, "{crm:?}");
        // Both are there for people to choose from; when one is gone, the other is it.
        assert_eq!(matched.candidates.len(), 2);
        world.delete(&both[0]).await;
        world.import().await;
        let link = world.link_of(PROFILE, profile).await;
        assert_eq!(link.as_ref(), Some(&both[1]), "{crm:?}");
        harness.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_withdrawn_submission_takes_its_profile_with_it() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let world = DirectoryWorld::of(&tenant).await;
    let contract = world.id().clone();
    let mut profiles = Vec::new();
    for (name, also_by_api) in [("Ada", false), ("Grace", true)] {
        let id = tenant.submit(&tenant.person(name), None).await;
        crm_writeback::handle(&world.apps.writeback, messages(&contract, &[&id])).await;
        let submission = stored(harness.embedded_stack(), &contract, &id).await;
        let Some(InDirectory::Added { profile, .. }) = submission.directory else {
            panic!("{:?}", submission.directory);
        };
        if also_by_api {
            let email = tenant.email(&name.to_lowercase());
            assert_eq!(
                Some(world.profile(name, "Tester", &email, "").await),
                profile
            );
        }
        let now = shared::clock::Clock::now(&*world.clock);
        let act = Reach {
            at: now,
            kind: TouchKind::ListSave,
            id: "saved".to_owned(),
            seat: SeatId(uuid::Uuid::from_u128(7)),
        };
        let acts = [(profile.unwrap(), act)];
        world.store().put_reaches(&contract, &acts).await.unwrap();
        world
            .store()
            .withdraw_submission(&contract, submission.id, now)
            .await
            .unwrap();
        crm_writeback::handle(&world.apps.writeback, messages(&contract, &[&id])).await;
        let submission = stored(harness.embedded_stack(), &contract, &id).await;
        assert_eq!((submission.directory, submission.answers), (None, None));
        profiles.push(profile.unwrap());
    }
    let all = world.directory(PROFILE).await;
    assert_eq!(all.keys().copied().collect::<Vec<_>>(), profiles[1..]);
    assert_eq!(all[&profiles[1]].0.origins, [Origin::Api]);
    for (profile, acts) in [(profiles[0], 0), (profiles[1], 1)] {
        let stored = world.store().reaches(&contract, profile).await.unwrap();
        assert_eq!(stored.len(), acts);
    }
    assert_eq!(world.directory(COMPANY).await.len(), 0);
    harness.stop().await;
}

/// Writes an import and links one by one in processes that die at every call. A healthy process turns their
/// remains into the result of an undisturbed run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pass_that_dies_at_any_call_ends_as_one_that_does_not() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let world = DirectoryWorld::of(&tenant).await;
    let stack = harness.embedded_stack();
    let known = known(&world).await;
    let swap = [
        world
            .lead("Emmy", "Noether", &tenant.email("emmy"), "Uni")
            .await,
        world
            .lead("Hedy", "Lamarr", &tenant.email("hedy"), "Film")
            .await,
    ];
    let emmy = world
        .profile("Emmy", "Noether", &tenant.email("emmy"), "Uni")
        .await;
    let hedy = world
        .profile("Hedy", "Lamarr", &tenant.email("hedy"), "Film")
        .await;
    world.import_only().await;
    world.pass().await;
    let expected = (links(&world, PROFILE).await, links(&world, COMPANY).await);
    assert_eq!(
        expected.0[&known.of_contact].as_ref().unwrap().0,
        known.contact
    );
    // Every fifth call, and of those in turn before it and after it took effect.
    for n in (0..MANY_CALLS).step_by(5) {
        let cut = if n % 2 == 0 {
            Cut::Before(n)
        } else {
            Cut::After(n)
        };
        Box::pin(upset(&world, &[emmy, hedy], &swap)).await;
        let wire = Tripwire::cutting(cut);
        let dying = process(stack, &wire, &world.clock);
        world.ask_for_pass().await;
        crm_import::work(&dying.import, &world.message()).await;
        world.advance(200).await;
        world.finish_pass(&world.apps, 3).await;
        let found = (links(&world, PROFILE).await, links(&world, COMPANY).await);
        assert_eq!(found, expected, "{cut:?}");
        if !wire.has_cut() {
            assert!(n > 20, "{n}");
            harness.stop().await;
            return;
        }
    }
    panic!("a pass makes more than {MANY_CALLS} calls");
}

/// Two entries have each other's records, as if their scores had said so; the others have none.
async fn upset(world: &DirectoryWorld<'_>, entries: &[EntryId; 2], records: &[RecordRef; 2]) {
    let store = world.store();
    let connection = store
        .connection(world.id(), shared::store::ConnectionKind::PRODUCTION)
        .await
        .unwrap()
        .unwrap();
    for kind in EntryKind::ALL {
        for (id, (entry, before)) in world.directory(kind).await {
            let mut after = Match::nothing(before.at);
            after.candidates.clone_from(&before.candidates);
            write(world, &connection.organization, &entry, &before, after).await;
            assert_eq!(world.link_of(kind, id).await, None);
        }
    }
    for (id, record) in entries.iter().zip(records.iter().rev()) {
        let (entry, before) = world.entry(PROFILE, *id).await;
        let mut after = before.clone();
        after.entry_version = entry.version;
        after.link = Some(shared::domain::directory::Link {
            record: record.clone(),
            how: How::Score,
            score: 1,
            threshold: 0,
            since: before.at,
            owner: None,
            record_gone: false,
        });
        write(world, &connection.organization, &entry, &before, after).await;
    }
}

async fn write(
    world: &DirectoryWorld<'_>,
    organization: &str,
    entry: &shared::domain::directory::Entry,
    before: &Match,
    after: Match,
) {
    let change = shared::store::LinkWrite {
        entry: shared::store::EntryAs::is(entry),
        before: Some(before.clone()).filter(|before| before.version > 0),
        after,
        from: None,
        waits_for: None,
    };
    let store = world.store();
    store
        .write_link(world.id(), Environment::Production, organization, &change)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn linking_that_dies_at_any_call_is_made_good_by_the_next() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Dynamics365).await;
    let world = DirectoryWorld::of(&tenant).await;
    let stack = harness.embedded_stack();
    let swap = [
        world
            .lead("Emmy", "Noether", &tenant.email("emmy"), "Uni")
            .await,
        world
            .lead("Hedy", "Lamarr", &tenant.email("hedy"), "Film")
            .await,
    ];
    let both = [
        world
            .profile("Emmy", "Noether", &tenant.email("emmy"), "Uni")
            .await,
        world
            .profile("Hedy", "Lamarr", &tenant.email("hedy"), "Film")
            .await,
    ];
    world.import_only().await;
    world.pass().await;
    let expected = links(&world, PROFILE).await;
    for n in 0..MANY_CALLS {
        let mut reached = false;
        for cut in [Cut::Before(n), Cut::After(n)] {
            Box::pin(upset(&world, &both, &swap)).await;
            let wire = Tripwire::cutting(cut);
            let dying = process(stack, &wire, &world.clock);
            let store = &dying.import.remote.store;
            let linking = Linking {
                store,
                ..world.linking()
            };
            // It takes its record from the other entry, which is linked anew.
            let _ = linking.link_entry(PROFILE, both[0]).await;
            reached |= wire.has_cut();
            let [taker, loser] = both;
            world.linking().link_entry(PROFILE, taker).await.unwrap();
            if let Cut::Before(_) = cut {
                world.linking().link_entry(PROFILE, loser).await.unwrap();
            } else {
                // It has no new values, but lost its record: its new link is not decided yet.
                let record = world.entry(PROFILE, loser).await.0.record;
                let new = NewEntry::new(world.id(), PROFILE, None, record, Origin::Api, None);
                let (added, _) = world.linking().add(&new.unwrap(), None).await.unwrap();
                assert_eq!(added, Added::Unchanged);
            }
            assert_eq!(links(&world, PROFILE).await, expected, "{cut:?}");
        }
        if !reached {
            assert!(n > 10, "{n}");
            harness.stop().await;
            return;
        }
    }
    panic!("linking an entry makes more than {MANY_CALLS} calls");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pass_in_many_steps_ends_as_one_in_one() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let world = DirectoryWorld::of(&tenant).await;
    known(&world).await;
    for number in 0..30 {
        let (last, email) = (
            format!("Person{number}"),
            tenant.email(&format!("p{number}")),
        );
        world.lead("Ann", &last, &email, "Works").await;
        world.profile("Ann", &last, &email, "Works").await;
    }
    world.import_only().await;
    world.ask_for_pass().await;
    let steps = world.finish_pass(&world.hasty(), 200).await;
    assert!(
        world
            .store()
            .link_drafts(world.id(), None)
            .await
            .unwrap()
            .is_empty()
    );
    let in_steps = (links(&world, PROFILE).await, links(&world, COMPANY).await);
    assert!(in_steps.0.values().filter(|link| link.is_some()).count() >= 32);
    let of_steps = world
        .store()
        .rates(world.id(), 1, None)
        .await
        .unwrap()
        .remove(0);
    let at_once = world.pass().await;
    assert_eq!(
        (at_once.progress.written, at_once.pass),
        (0, steps.pass + 1)
    );
    assert_eq!(
        (links(&world, PROFILE).await, links(&world, COMPANY).await),
        in_steps
    );
    let rates = world
        .store()
        .rates(world.id(), 1, None)
        .await
        .unwrap()
        .remove(0);
    assert_eq!(
        (rates.objects, rates.entries),
        (of_steps.objects, of_steps.entries)
    );
    assert_eq!(DIRECTORY_SHARDS, 16);
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pass_in_parts_ends_as_one_over_all_at_once() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let world = DirectoryWorld::of(&tenant).await;
    known(&world).await;
    for number in 0..60 {
        let (first, last) = somebody(number);
        let email = tenant.email(&format!("{first}.{last}").to_lowercase());
        match number % 3 {
            0 => drop(world.lead(first, last, &email, "Works").await),
            1 => drop(world.contact(first, last, "", None).await),
            _ => {}
        }
        let email = if number % 4 == 0 {
            format!("private{number}@gmail.com")
        } else {
            email
        };
        world.profile(first, last, &email, "Works").await;
    }
    world.import_only().await;
    world.pass().await;
    let at_once = (links(&world, PROFILE).await, links(&world, COMPANY).await);
    // Whoever has the address of a lead is it.
    assert!(at_once.0.values().flatten().count() >= 15);
    // As much memory as a handful takes; with all the time in the world, and with none.
    for link_time in [std::time::Duration::from_mins(1), std::time::Duration::ZERO] {
        for (kind, all) in EntryKind::ALL.into_iter().zip([&at_once.0, &at_once.1]) {
            assert_eq!(all.len(), world.directory(kind).await.len());
            for (entry, before) in world.directory(kind).await.into_values() {
                let after = Match::nothing(before.at);
                let organization = organization(&world).await;
                write(&world, &organization, &entry, &before, after).await;
            }
        }
        let mut apps = world.apps.clone();
        let mut import = crm_import::App::new(
            world.apps.import.remote.clone(),
            world.apps.import.queue.clone(),
        );
        import.link_time = link_time;
        import.link_most = 12;
        apps.import = std::sync::Arc::new(import);
        world.ask_for_pass().await;
        world.finish_pass(&apps, 600).await;
        let in_parts = (links(&world, PROFILE).await, links(&world, COMPANY).await);
        assert_eq!(in_parts, at_once, "{link_time:?}");
        let left = world.store().link_drafts(world.id(), None).await;
        assert!(left.unwrap().is_empty());
    }
    harness.stop().await;
}

/// People are added and linked online between the steps of a pass, before and after their shard is written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_linked_online_between_two_steps_of_a_pass_stays() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let world = DirectoryWorld::of(&tenant).await;
    known(&world).await;
    let mut leads = Vec::new();
    for number in 0..40 {
        let (first, last) = somebody(number);
        let email = tenant.email(&format!("{first}.{last}").to_lowercase());
        let lead = world.lead(first, last, &email, "Works").await;
        leads.push((first, last, email, lead));
    }
    world.import_only().await;
    world.ask_for_pass().await;
    let hasty = world.hasty();
    let mut expected = BTreeMap::new();
    for (first, last, email, lead) in leads {
        crm_import::work(&hasty.import, &world.message()).await;
        world.advance(200).await;
        let id = world.profile(first, last, &email, "Works").await;
        world.linking().link_entry(PROFILE, id).await.unwrap();
        expected.insert(id, lead);
    }
    world.finish_pass(&hasty, 200).await;
    let linked = links(&world, PROFILE).await;
    for (id, lead) in expected {
        let link = linked[&id].as_ref().map(|link| &link.0);
        assert_eq!(link, Some(&lead));
    }
    harness.stop().await;
}

async fn organization(world: &DirectoryWorld<'_>) -> String {
    let connection = world
        .store()
        .connection(world.id(), shared::store::ConnectionKind::PRODUCTION)
        .await;
    connection.unwrap().unwrap().organization
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decision_and_additions_beside_a_pass_are_not_lost() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let world = DirectoryWorld::of(&tenant).await;
    let mut entries = Vec::new();
    let mut leads = Vec::new();
    // So unlike each other that a lead that is let go fits nobody else.
    let surnames = "Abbott Bramley Cervantes Dimitrov Eastwood Fujimoto Gallagher Hutchins Ivanova Jurgens Kowalski \
                    Lombardi Mbeki Novotny Okafor Pettersson Quist Rodriguez Szabo Thorvald Umarov Vasquez Wickham Yilmaz";
    for last in surnames.split_whitespace() {
        let email = tenant.email(&last.to_lowercase());
        leads.push(world.lead("Ann", last, &email, "Works").await);
        entries.push(world.profile("Ann", last, &email, "Works").await);
    }
    assert_eq!(entries.len(), 24);
    world.import_only().await;
    for round in 0..4 {
        world.ask_for_pass().await;
        let message = world.message();
        let passes = async {
            tokio::join!(
                crm_import::work(&world.apps.import, &message),
                crm_import::work(&world.apps.import, &message)
            )
        };
        let decisions = async {
            let act = Act::Match(leads[round].clone());
            let linking = world.linking();
            let to = entries[23 - round];
            linking
                .decide(PROFILE, to, act, "ann", &SystemRandom)
                .await
                .unwrap();
            let refused = entries[round + 8];
            linking
                .decide(PROFILE, refused, Act::Unmatch, "ann", &SystemRandom)
                .await
                .unwrap();
        };
        let online = async {
            for id in &entries {
                // The losing entry is linked by the pass.
                let _ = world.linking().link_entry(PROFILE, *id).await;
            }
        };
        tokio::join!(passes, decisions, online);
        world.finish_pass(&world.apps, 5).await;
        world.pass().await;
        let all = links(&world, PROFILE).await;
        for past in 0..=round {
            let (to, refused) = (entries[23 - past], entries[past + 8]);
            assert_eq!(all[&to].as_ref().unwrap().0, leads[past]);
            assert_eq!(all[&refused], None);
            assert_eq!(all[&entries[past]], None, "its lead was given to another");
        }
        for number in round + 1..8 {
            assert_eq!(all[&entries[number]].as_ref().unwrap().0, leads[number]);
        }
    }
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_is_created_once_for_an_entry() {
    for crm in BOTH {
        let harness = Harness::embedded(false).await;
        let tenant = harness.tenant(crm).await;
        let world = DirectoryWorld::of(&tenant).await;
        let stack = harness.embedded_stack();
        let profile = world
            .profile("Ada", "Byron", &tenant.email("ada"), "Engines")
            .await;
        let company = world.company("Engines Ltd", "engines.example.com").await;
        let create = async |apps: &local::Apps, kind: EntryKind, id: EntryId| {
            let remote = &apps.import.remote;
            let config = world.store().config(world.id()).await.unwrap().unwrap();
            let cached = shared::cached::Cached::new(remote.store.clone());
            let creator = shared::linking::Creator {
                by: "ann",
                connection: shared::store::ConnectionKind::PRODUCTION,
            };
            let made = shared::linking::create_record(remote, &cached, &config, kind, id, creator);
            Box::pin(made).await
        };
        let off = Box::pin(create(&world.apps, PROFILE, profile))
            .await
            .unwrap_err()
            .problem();
        assert_eq!(off.code, "create_leads_off");
        let settings = json!({"create_leads": true});
        let (status, answer) = tenant
            .api(
                reqwest::Method::PUT,
                "/crm-connections/production/sync-settings",
                Some(settings),
            )
            .await;
        assert!(status.is_success(), "{answer}");
        for (kind, id) in [(PROFILE, profile), (COMPANY, company)] {
            let mut deaths = 0;
            for n in 0..MANY_CALLS {
                let mut reached = false;
                for cut in [Cut::Before(n), Cut::After(n)] {
                    let wire = Tripwire::cutting(cut);
                    let dying = process(stack, &wire, &world.clock);
                    let _ = Box::pin(create(&dying, kind, id)).await;
                    reached |= wire.has_cut();
                    // Forgotten, not undone: asking again creates nothing new.
                    if !reached {
                        break;
                    }
                    deaths += 1;
                    world.advance(200).await;
                }
                if !reached {
                    break;
                }
            }
            assert!(deaths > 4, "{deaths}");
            let linked = Box::pin(create(&world.apps, kind, id)).await.unwrap();
            assert_eq!(
                MatchState::of(&linked.entry, Some(&linked.matched)),
                MatchState::Created
            );
            let object = linked.matched.record().unwrap().object.clone();
            let there = world
                .control(reqwest::Method::GET, &object, serde_json::Value::Null)
                .await;
            assert_eq!(there.as_array().unwrap().len(), 1, "{crm:?} {there:#}");
        }
        harness.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_connected_links_nothing_and_is_no_error() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let world = DirectoryWorld::of(&tenant).await;
    let record = Record {
        name: "Ada Byron".to_owned(),
        company: "Engines".to_owned(),
        ..Record::default()
    };
    let new = NewEntry::new(world.id(), PROFILE, None, record, Origin::Csv, None).unwrap();
    let now = shared::clock::Clock::now(&*world.clock);
    add_entry(world.store(), world.id(), &new, now).await;
    let linked = world
        .linking()
        .link_entry(PROFILE, new.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (linked.matched.record(), linked.matched.candidates.len()),
        (None, 0)
    );
    let (status, _) = tenant
        .api(
            reqwest::Method::POST,
            "/crm-connections/production/disconnect",
            Some(json!({"clean_up": false})),
        )
        .await;
    assert!(status.is_success());
    let linked = world
        .linking()
        .link_entry(PROFILE, new.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(linked.matched.record(), None);
    world.ask_for_pass().await;
    crm_import::work(&world.apps.import, &world.message()).await;
    let pass = world.store().link_pass(world.id()).await.unwrap().unwrap();
    assert_eq!(
        pass.problem.map(|problem| problem.code),
        Some("not_connected".to_owned())
    );
    harness.stop().await;
}

/// MA-4: users chose two records for two people, and the CRM merged the two. One of the two people has the
/// survivor; when it lets go of it, in any way, the other has it at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_is_let_go_goes_to_the_other_that_it_was_chosen_for() {
    let harness = Harness::embedded(false).await;
    for (online, way) in [
        (false, "unmatch"),
        (false, "rematch"),
        (true, "match"),
        (true, "delete"),
    ] {
        let tenant = harness.tenant(CrmKind::Dynamics365).await;
        let world = DirectoryWorld::of(&tenant).await;
        let mut people = Vec::new();
        for (first, last) in [("Ada", "Byron"), ("Grace", "Hopper")] {
            let record = world.lead(first, last, &tenant.email(last), "Works").await;
            // Nothing but the decision speaks for the two being one.
            let email = tenant.email(&format!("other-{last}"));
            let id = world.profile("Emmy", "Noether", &email, "Uni").await;
            people.push((id, record));
        }
        let free = world
            .lead("Lise", "Meitner", &tenant.email("lise"), "Lab")
            .await;
        world.import().await;
        let decide = async |id: EntryId, act: Act| {
            let linking = world.linking();
            let decided = linking.decide(EntryKind::Profile, id, act, "ann", &SystemRandom);
            decided.await.unwrap();
        };
        for (id, record) in &people {
            decide(*id, Act::Match(record.clone())).await;
        }
        let survivor = &people[1].1;
        world.merge(&people[0].1, survivor).await;
        if online {
            world.import_only().await;
            for (id, _) in &people {
                let linked = world.linking().link_entry(EntryKind::Profile, *id).await;
                linked.unwrap();
            }
        } else {
            world.import().await;
        }
        let mut links = Vec::new();
        for (id, _) in &people {
            links.push(world.link_of(EntryKind::Profile, *id).await);
        }
        links.sort();
        assert_eq!(links, [None, Some(survivor.clone())], "{way}");
        let has = world
            .link_of(EntryKind::Profile, people[0].0)
            .await
            .is_some();
        let (holder, other) = if has {
            (people[0].0, people[1].0)
        } else {
            (people[1].0, people[0].0)
        };
        match way {
            "unmatch" => decide(holder, Act::Unmatch).await,
            "rematch" => decide(holder, Act::Automatic).await,
            "match" => decide(holder, Act::Match(free.clone())).await,
            _ => {
                let path = format!("/profiles/{}", holder.0);
                let (status, _) = tenant.api(Method::DELETE, &path, None).await;
                assert_eq!(status, 204);
            }
        }
        let link = world.link_of(EntryKind::Profile, other).await;
        assert_eq!(link.as_ref(), Some(survivor), "{way}");
        world.directory(EntryKind::Profile).await;
    }
    harness.stop().await;
}
