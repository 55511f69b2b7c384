//! Opportunities of people and companies, and the lists that fill themselves with what they are about (SV-4,
//! SV-5).

use e2e::Harness;
use e2e::directory_world::DirectoryWorld;
use e2e::histories::lists::{Deal, Lists};
use e2e::worker::spoil;
use reqwest::Method;
use serde_json::{Value as Json, json};
use shared::clock::Millis;
use shared::domain::directory::{EntryKind, PassState, RecordRef};
use shared::domain::environment::Environment;
use shared::domain::ids::SeatId;
use shared::domain::mirror::{Change, Record, Value, Values};
use shared::domain::schema::CrmKind;
use shared::opportunities::Opportunities;
use shared::queue::ImportMessage;
use shared::store::{Mirror, WorkKind};
use shared::testing::Cut;

const BOTH: [CrmKind; 2] = [CrmKind::Salesforce, CrmKind::Dynamics365];
const PRODUCTION: Environment = Environment::Production;

/// SV-5: the open opportunities of a company and a person, of both CRMs, as an import brings them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_opportunities_are_shown_with_stage_value_owner_and_contacts() {
    for crm in BOTH {
        let harness = Harness::embedded(false).await;
        let tenant = harness.tenant(crm).await;
        let world = DirectoryWorld::of(&tenant).await;
        let email = tenant.email("ada");
        let account = world.account("Analytical Engines", "engines.example").await;
        let ada = world.contact("Ada", "Byron", &email, Some(&account)).await;
        let opportunity = world.name("Opportunity", "opportunity");
        let (id, contact) = (account.id.as_str(), ada.id.as_str());
        let currency = match crm {
            CrmKind::Salesforce => Json::Null,
            CrmKind::Dynamics365 => {
                let all = world
                    .control(Method::GET, "transactioncurrency", Json::Null)
                    .await;
                all[0]["transactioncurrencyid"].clone()
            }
        };
        let deal = |name: &str, closes: &str, closed: bool| match crm {
            CrmKind::Salesforce => json!({
                "Name": name, "AccountId": id, "CloseDate": closes, "Amount": 5000.5,
                "StageName": if closed { "Closed Won" } else { "Prospecting" },
            }),
            CrmKind::Dynamics365 => json!({
                "name": name, "_parentaccountid_value": id, "estimatedclosedate": closes,
                "estimatedvalue": 5000.5, "salesstage": 1, "stepname": "1-Qualify",
                "_transactioncurrencyid_value": currency,
                "statecode": i32::from(closed), "statuscode": if closed { 3 } else { 1 },
            }),
        };
        world
            .create(opportunity, deal("Won", "2026-01-01", true))
            .await;
        let open = world
            .create(opportunity, deal("Later", "2027-02-01", false))
            .await;
        let sooner = world
            .create(opportunity, deal("Sooner", "2027-01-01", false))
            .await;
        match crm {
            CrmKind::Salesforce => {
                let role = json!({"OpportunityId": sooner.id, "ContactId": contact, "Role": "Decision Maker", "IsPrimary": true});
                world.create("OpportunityContactRole", role).await;
            }
            CrmKind::Dynamics365 => {
                let role = json!({"name": "Decision Maker"});
                let role = world.create("connectionrole", role).await;
                // The CRM keeps a connection from either side.
                for (from, to, part) in [
                    ((&sooner, opportunity), (&ada, "contact"), Some(&role.id)),
                    ((&ada, "contact"), (&sooner, opportunity), None),
                ] {
                    let connection = json!({
                        "_record1id_value": from.0.id, "_record1id_value/type": from.1,
                        "_record2id_value": to.0.id, "_record2id_value/type": to.1,
                        "_record2roleid_value": part,
                    });
                    world.create("connection", connection).await;
                }
            }
        }
        let company = world.company("Analytical Engines", "engines.example").await;
        let person = world
            .profile("Ada", "Byron", &email, "Analytical Engines")
            .await;
        let nobody = world
            .profile("Nora", "Nobody", &tenant.email("nora"), "")
            .await;
        world.import().await;
        assert_eq!(
            world.link_of(EntryKind::Company, company).await,
            Some(account)
        );

        let of = async |path: String| {
            let (status, answer) = tenant.api(Method::GET, &path, None).await;
            assert_eq!(status, 200, "{answer}");
            answer
        };
        let found = of(format!("/companies/{company}/opportunities")).await;
        let names: Vec<&str> = found["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["name"].as_str().unwrap())
            .collect();
        assert_eq!(
            (names.as_slice(), &found["total"]),
            (["Sooner", "Later"].as_slice(), &json!(2))
        );
        let one = &found["items"][0];
        assert_eq!(one["record"]["id"], sooner.id.as_str());
        assert!(one["record"]["url"].as_str().unwrap().contains(&sooner.id));
        assert_eq!(
            (&one["amount"], &one["closes_on"]),
            (&json!(5000.5), &json!("2027-01-01"))
        );
        assert!(one["stage"]["position"].is_u64(), "{one}");
        assert_eq!(one["currency"].as_str().map(str::len), Some(3), "{one}");
        let in_it = &one["contacts"][0];
        assert_eq!(
            (&in_it["name"], &in_it["role"]),
            (&json!("Ada Byron"), &json!("Decision Maker"))
        );
        assert_eq!(in_it["profile"]["id"], person.to_string());
        assert_eq!(found["items"][1]["contacts"], json!([]));

        let first = of(format!("/companies/{company}/opportunities?limit=1")).await;
        let next = first["next"].as_str().unwrap();
        let second = of(format!(
            "/companies/{company}/opportunities?limit=1&cursor={next}"
        ))
        .await;
        assert_eq!(
            (&second["items"][0]["name"], &second["next"]),
            (&json!("Later"), &json!(null))
        );

        let found = of(format!("/profiles/{person}/opportunities")).await;
        assert_eq!(
            (&found["items"][0]["name"], &found["total"]),
            (&json!("Sooner"), &json!(1))
        );
        let found = of(format!("/profiles/{nobody}/opportunities")).await;
        assert_eq!(found["total"], 0);

        // What is closed or moved elsewhere is gone with the next import.
        let closed = match crm {
            CrmKind::Salesforce => json!({"StageName": "Closed Lost"}),
            CrmKind::Dynamics365 => json!({"statecode": 2, "statuscode": 4}),
        };
        world.change(&open, closed).await;
        world.import_only().await;
        let found = of(format!("/companies/{company}/opportunities")).await;
        assert_eq!(found["total"], 1, "{found}");
        harness.stop().await;
    }
}

/// SV-4: a worker dies at each of its calls, and the lists are the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_dies_at_any_call_of_a_save_pass_loses_and_doubles_nothing() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let mut history = Lists::new(&tenant, 7).await;
    for call in 0.. {
        let mut died = false;
        for cut in [Cut::Before(call), Cut::After(call)] {
            history.deals.push(Deal {
                owner: 0,
                stage: 2,
                account: call % 3,
                ..Deal::default()
            });
            let number = history.deals.len() - 1;
            history.write_deal(number).await;
            history.add_contact(number, call % 4).await;
            history.expect();
            died |= history.pass_with_death(cut).await.has_cut();
            history.check(&format!("{cut:?}")).await;
        }
        if !died {
            assert!(call > 20, "a pass of {call} calls");
            break;
        }
    }
    // An opportunity that did not change is not looked at again: its account's list item stays as it is.
    let marks = async || {
        let mut marks = 0;
        for shard in 0..shared::store::TOUCHED_SHARDS {
            let store = history.world.store();
            let found = store.touched(history.world.id(), PRODUCTION, shard, None, 100);
            marks += found.await.unwrap().len();
        }
        marks
    };
    assert_eq!(marks().await, 0);
    harness.stop().await;
}

/// SV-4: one user owns more opportunities than a worker looks at, many of them with one account.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_continues_among_the_opportunities_of_one_owner() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let mut history = Lists::new(&tenant, 3).await;
    history.deals_of(2, 450).await;
    // Nobody has a seat for them: they are looked at, and forgotten.
    history.ask().await;
    history.finish().await;
    history.check("without a seat").await;
    history.seat(2).await;
    history.expect();
    let place = history.place_after_death(Cut::After(1100)).await;
    assert_eq!(
        place["owner"][0],
        json!(history.world.made_id(1, 2)),
        "{place}"
    );
    assert!(place["after"].is_string(), "{place}");
    history.finish().await;
    history.check("continued").await;
    harness.stop().await;
}

/// SV-4: a seat that comes while all opportunities are looked at gets those of its user that were before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seat_that_comes_between_two_workers_misses_nothing() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let mut history = Lists::new(&tenant, 5).await;
    history.deals_of(2, 40).await;
    history.ask().await;
    history.finish().await;
    history.settle(0).await;
    let place = history.place_after_death(Cut::After(28)).await;
    let shard = place["shard"].as_u64().unwrap();
    assert!((1..16).contains(&shard), "{place}");
    history.seat(2).await;
    history.finish().await;
    history.expect();
    history.check("with the new seat").await;
    harness.stop().await;
}

/// SV-5: a key that outlived what it was made of shows no opportunity of another account.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_opportunity_that_moved_is_not_shown_with_its_former_account() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let world = DirectoryWorld::of(&tenant).await;
    let mirror = Mirror {
        contract: world.id(),
        environment: PRODUCTION,
        crm: CrmKind::Salesforce,
        object: "Opportunity",
        default_region: None,
    };
    for (time, account) in [(1, "001A"), (2, "001B")] {
        let record = Record {
            id: "0068d00000000001AAA".to_owned(),
            modified: Millis(time),
            merged_into: None,
            values: Values(vec![("AccountId", Value::Text(account.to_owned()))]),
        };
        // The first import, repeated after its worker died.
        let changes = [Change::Present(record)];
        mirror.put_new(world.store(), &changes).await.unwrap();
    }
    let reading = Opportunities {
        contract: world.id(),
        environment: PRODUCTION,
        crm: CrmKind::Salesforce,
    };
    for (account, count) in [("001A", 0), ("001B", 1)] {
        let record = RecordRef::new("Account", account);
        let found = reading.open_of(world.store(), &record).await.unwrap();
        assert_eq!(found.len(), count, "{account}: {found:?}");
    }
    harness.stop().await;
}

/// SV-4: an import asks for the pass where the settings save something, and a seat's lists name the reason.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_saves_what_the_owners_opportunities_are_about() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let world = DirectoryWorld::of(&tenant).await;
    world.import_only().await;
    let asked = world.store().save_pass(world.id()).await.unwrap();
    assert_eq!(asked, None, "nothing is saved unless the settings say so");
    let settings = json!({"auto_save": {"accounts": true}});
    let path = "/crm-connections/production/sync-settings";
    let (status, answer) = tenant.api(Method::PUT, path, Some(settings)).await;
    assert_eq!(status, 200, "{answer}");
    let users = world.control(Method::GET, "User", Json::Null).await;
    let users = users.as_array().unwrap().iter();
    let mut users = users.filter(|user| user["IsActive"] == true && user["Email"].is_string());
    let user = users.next().unwrap();
    let seat = json!({"name": "Olga", "email": user["Email"], "role": "salesperson"});
    let (status, seat) = tenant.api(Method::POST, "/seats", Some(seat)).await;
    assert_eq!(status, 201, "{seat}");
    let seat = seat["id"].as_str().or_else(|| seat["seat"]["id"].as_str());
    let seat: SeatId = seat.unwrap().parse().unwrap();
    let account = world.account("Analytical Engines", "engines.example").await;
    let deal = json!({
        "Name": "Engines", "AccountId": account.id, "CloseDate": "2027-01-01",
        "StageName": "Prospecting", "OwnerId": user["Id"],
    });
    let deal = world.create("Opportunity", deal).await;
    world.import_only().await;
    let message = ImportMessage {
        contract: world.id().clone(),
        work: WorkKind::Save,
    };
    assert!(crm_import::work(&world.apps.import, &message).await);
    let saved = world
        .store()
        .saved_page(world.id(), seat, EntryKind::Company, None, 10)
        .await
        .unwrap();
    let saved: Vec<_> = saved
        .items
        .iter()
        .map(|saved| (&saved.record, saved.reasons[0].opportunity.as_str()))
        .collect();
    assert_eq!(saved, [(&account, deal.id.as_str())]);

    // One that cannot be read ends neither a pass nor a list.
    assert_eq!(spoil(&tenant, "SAVED", "", "reasons").await, 1);
    let other = world.account("Compilers", "compilers.example").await;
    for account in [&account, &other] {
        let deal = json!({
            "Name": "More", "AccountId": account.id, "CloseDate": "2027-01-01",
            "StageName": "Prospecting", "OwnerId": user["Id"],
        });
        world.create("Opportunity", deal).await;
    }
    world.import_only().await;
    assert!(crm_import::work(&world.apps.import, &message).await);
    let pass = world.store().save_pass(world.id()).await.unwrap();
    assert_eq!(pass.unwrap().state, PassState::Succeeded);
    let (mut listed, mut after): (Vec<RecordRef>, Option<RecordRef>) = (Vec::new(), None);
    loop {
        let page =
            world
                .store()
                .saved_page(world.id(), seat, EntryKind::Company, after.as_ref(), 1);
        let page = page.await.unwrap();
        listed.extend(page.items.into_iter().map(|saved| saved.record));
        let Some(next) = page.next else { break };
        let (object, id) = next.split_once('/').unwrap();
        after = Some(RecordRef::new(object, id));
    }
    assert_eq!(listed, [other]);
    harness.stop().await;
}
