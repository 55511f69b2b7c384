//! Champions: people of won opportunities who are at another company now (SV-7).

use e2e::directory_world::DirectoryWorld;
use e2e::worker::{process, spoil};
use e2e::{Harness, Tenant};
use local::Apps;
use reqwest::Method;
use serde_json::json;
use shared::clock::Clock as _;
use shared::domain::champions::{Champion, ChampionState, Stated};
use shared::domain::directory::{EntryKind, RecordRef};
use shared::domain::environment::Environment;
use shared::domain::ids::SeatId;
use shared::domain::lists::{ListRef, SavedByHand};
use shared::domain::privacy::{self, ErasureState, Person};
use shared::domain::run::RunKind;
use shared::domain::schema::CrmKind;
use shared::erasure;
use shared::queue::ImportMessage;
use shared::runs;
use shared::store::WorkKind;
use shared::testing::{Cut, Tripwire};

const BOTH: [CrmKind; 2] = [CrmKind::Salesforce, CrmKind::Dynamics365];

async fn seat(tenant: &Tenant<'_>, name: &str) -> SeatId {
    let seat = json!({"name": name, "email": tenant.email(name), "role": "salesperson"});
    let (status, made) = tenant.api(Method::POST, "/seats", Some(seat)).await;
    assert_eq!(status, 201, "{made}");
    let id = made["id"].as_str().or_else(|| made["seat"]["id"].as_str());
    id.unwrap().parse().unwrap()
}

/// An opportunity that was won with an account, with these contacts in it.
async fn won(world: &DirectoryWorld<'_>, account: &RecordRef, contacts: &[&RecordRef]) {
    let object = world.name("Opportunity", "opportunity");
    let deal = match world.contract.crm {
        CrmKind::Salesforce => json!({
            "Name": "Engines", "AccountId": account.id, "CloseDate": "2026-01-01",
            "StageName": "Closed Won",
        }),
        CrmKind::Dynamics365 => json!({
            "name": "Engines", "_parentaccountid_value": account.id,
            "estimatedclosedate": "2026-01-01", "statecode": 1, "statuscode": 3,
        }),
    };
    let deal = world.create(object, deal).await;
    for contact in contacts {
        match world.contract.crm {
            CrmKind::Salesforce => {
                let role = json!({"OpportunityId": deal.id, "ContactId": contact.id, "Role": "Decision Maker"});
                world.create("OpportunityContactRole", role).await;
            }
            CrmKind::Dynamics365 => {
                let connection = json!({
                    "_record1id_value": deal.id, "_record1id_value/type": object,
                    "_record2id_value": contact.id, "_record2id_value/type": "contact",
                });
                world.create("connection", connection).await;
            }
        }
    }
}

async fn work(world: &DirectoryWorld<'_>, apps: &Apps) {
    let message = ImportMessage {
        contract: world.id().clone(),
        work: WorkKind::Run(RunKind::Champions),
    };
    crm_import::work(&apps.import, &message).await;
}

/// A whole run, after a worker that dies at a call, if any. The message comes twice.
async fn run(tenant: &Tenant<'_>, world: &DirectoryWorld<'_>, cut: Option<Cut>) {
    let (store, now) = (world.store(), world.clock.now());
    let queue = &world.apps.import.queue;
    let asked = runs::request(store, queue, world.id(), RunKind::Champions, "test", now, 0);
    asked.await.unwrap();
    if let Some(cut) = cut {
        let wire = Tripwire::cutting(cut);
        let stack = tenant.harness.embedded_stack();
        work(world, &process(stack, &wire, &world.clock)).await;
        world.advance(200).await;
    }
    work(world, &world.apps).await;
    work(world, &world.apps).await;
    let run = store.last_run(world.id(), RunKind::Champions).await;
    assert!(!run.unwrap().unwrap().is_open());
}

async fn found(world: &DirectoryWorld<'_>, seat: SeatId) -> Vec<Champion> {
    let page = world.store().champions(world.id(), seat, None, 10).await;
    page.unwrap().items
}

/// The number of champions that an export of the contract has.
async fn exported(world: &DirectoryWorld<'_>) -> usize {
    let (mut number, mut cursor) = (0, None);
    loop {
        let page = world.store().export_page(world.id(), cursor.as_deref());
        let page = page.await.unwrap().unwrap();
        number += page
            .items
            .iter()
            .filter(|item| item.kind == "champion")
            .count();
        cursor = page.next;
        if cursor.is_none() {
            return number;
        }
    }
}

/// Erases the data of the person with an e-mail address.
async fn erase(world: &DirectoryWorld<'_>, email: &str) {
    let given = privacy::Given {
        emails: vec![email.to_owned()],
        ..privacy::Given::default()
    };
    let person = Person::new(&given, None).unwrap();
    let (remote, queue) = (&world.apps.import.remote, &world.apps.import.queue);
    let asked = erasure::begin(remote, queue, world.id(), &person, "test").await;
    let asked = asked.unwrap();
    let message = ImportMessage {
        contract: world.id().clone(),
        work: WorkKind::Erase,
    };
    for _ in 0..3 {
        crm_import::work(&world.apps.import, &message).await;
        world.advance(1000).await;
    }
    let erasure = world.store().erasure(world.id(), asked.id).await;
    assert_eq!(erasure.unwrap().unwrap().state, ErasureState::Done);
}

/// SV-7: a person who moves is a champion of the seller whose customer won, until they are back; a dismissal
/// holds for one move; a second record of the CRM says so too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_of_won_opportunities_who_moved_are_champions_of_their_seller() {
    for crm in BOTH {
        let harness = Harness::embedded(false).await;
        let tenant = harness.tenant(crm).await;
        let world = DirectoryWorld::of(&tenant).await;
        world.import_only().await;
        let settings = json!({"auto_save": {"accounts": true}});
        let path = "/crm-connections/production/sync-settings";
        let (status, answer) = tenant.api(Method::PUT, path, Some(settings)).await;
        assert_eq!(status, 200, "{answer}");
        let (seller, other) = (seat(&tenant, "olga").await, seat(&tenant, "otto").await);
        let email = "ada.byron@gmail.com";
        let account = world.account("Analytical Engines", "engines.example").await;
        let ada = world.contact("Ada", "Byron", email, Some(&account)).await;
        let bob_email = "bob.stone@gmail.com";
        let bob = world
            .contact("Bob", "Stone", bob_email, Some(&account))
            .await;
        won(&world, &account, &[&ada, &bob]).await;
        let company = world.company("Analytical Engines", "engines.example").await;
        let moves_to = async |company: &str| {
            world.advance(60).await;
            world.profile("Ada", "Byron", email, company).await;
        };
        moves_to("Analytical Engines").await;
        world.import().await;
        let by_hand = SavedByHand {
            entry: company,
            since: world.clock.now(),
            note: None,
        };
        let store = world.store();
        store
            .save_by_hand(world.id(), seller, ListRef::Companies, &by_hand)
            .await
            .unwrap();
        assert!(world.link_of(EntryKind::Company, company).await.is_some());
        run(&tenant, &world, None).await;
        assert!(found(&world, seller).await.is_empty());

        moves_to("Globex").await;
        for call in [2, 9, 16] {
            run(&tenant, &world, Some(Cut::Before(call))).await;
        }
        let champions = found(&world, seller).await;
        assert_eq!(champions.len(), 1, "{champions:?}");
        let champion = &champions[0];
        assert_eq!((&champion.contact, champion.won.len()), (&ada, 1));
        assert!(matches!(champion.moved.stated, Stated::Entry(_)));
        assert!(found(&world, other).await.is_empty());

        // A dismissal holds for this move.
        let now = world.clock.now();
        let dismissed = champion.decide(ChampionState::Dismissed, now).unwrap();
        let organization = store
            .organization(world.id(), Environment::Production)
            .await
            .unwrap()
            .unwrap();
        store
            .put_champion(world.id(), &organization, &dismissed)
            .await
            .unwrap();
        run(&tenant, &world, Some(Cut::Before(12))).await;
        assert_eq!(found(&world, seller).await, [dismissed]);
        moves_to("Initech").await;
        run(&tenant, &world, None).await;
        assert_eq!(found(&world, seller).await[0].state(), ChampionState::Open);

        // Back at the customer.
        moves_to("Analytical Engines").await;
        run(&tenant, &world, None).await;
        assert!(found(&world, seller).await.is_empty());

        // A second record of the same person.
        let globex = world.account("Globex", "globex.example").await;
        let second = world
            .contact("Bob", "Stone", bob_email, Some(&globex))
            .await;
        world.import_only().await;
        run(&tenant, &world, None).await;
        let champions = found(&world, seller).await;
        assert_eq!(champions.len(), 1, "{champions:?}");
        assert_eq!(champions[0].contact, bob);
        assert_eq!(champions[0].moved.stated, Stated::Record(second));

        // One that cannot be read ends no run.
        assert_eq!(spoil(&tenant, "CHAMPION", "", "moved").await, 1);
        run(&tenant, &world, None).await;

        // The export has it, and an erasure removes it without another run (OP-3).
        assert_eq!(exported(&world).await, 1);
        erase(&world, bob_email).await;
        assert!(found(&world, seller).await.is_empty());
        assert_eq!(exported(&world).await, 0);

        // Nor does an entry that cannot be read.
        assert!(spoil(&tenant, "DIRECTORY#profile", "", "kind").await > 0);
        run(&tenant, &world, None).await;
        harness.stop().await;
    }
}
