//! The user of the CRM who holds a seat, chosen by hand, and the switches of a seat's sync (SV-4, SV-6).

use e2e::directory_world::DirectoryWorld;
use e2e::{Harness, Tenant};
use reqwest::Method;
use serde_json::{Value, json};
use shared::clock::Clock as _;
use shared::crm_users::CrmUsers;
use shared::domain::directory::{EntryKind, RecordRef};
use shared::domain::environment::Environment;
use shared::domain::ids::SeatId;
use shared::domain::schema::CrmKind;
use shared::domain::sync::Sync;
use shared::queue::ImportMessage;
use shared::store::{ConnectionKind, ConnectionState, RemoteUser, WorkKind};

use crate::crm_users::user;

const BOTH: [CrmKind; 2] = [CrmKind::Salesforce, CrmKind::Dynamics365];
const SETTINGS: &str = "/crm-connections/production/sync-settings";

/// A seat in the CRM, and the calls about it.
struct Held<'a> {
    tenant: &'a Tenant<'a>,
    id: SeatId,
}

impl<'a> Held<'a> {
    async fn new(tenant: &'a Tenant<'a>, name: &str) -> Self {
        let seat = json!({"name": name, "email": tenant.email(name), "role": "salesperson"});
        let (status, made) = tenant.api(Method::POST, "/seats", Some(seat)).await;
        assert_eq!(status, 201, "{made}");
        let id = made["id"].as_str().unwrap().parse().unwrap();
        Self { tenant, id }
    }

    fn path(&self) -> String {
        format!("/seats/{}/crm", self.id)
    }

    async fn now(&self) -> Value {
        let (status, answer) = self.tenant.api(Method::GET, &self.path(), None).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    async fn put(&self, body: Value) -> (u16, Value) {
        let path = self.path();
        let (status, answer) = self.tenant.api(Method::PUT, &path, Some(body)).await;
        (status.as_u16(), answer)
    }

    async fn set(&self, body: Value) -> Value {
        let (status, answer) = self.put(body).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// The accounts that were saved to its list.
    async fn accounts(&self, world: &DirectoryWorld<'_>) -> Vec<RecordRef> {
        let (store, kind) = (world.store(), EntryKind::Company);
        let page = store.saved_page(world.id(), self.id, kind, None, 10).await;
        let items = page.unwrap().items.into_iter();
        let mut records: Vec<RecordRef> = items.map(|saved| saved.record).collect();
        records.sort_unstable();
        records
    }
}

/// An open opportunity of an account.
async fn deal(world: &DirectoryWorld<'_>, account: &RecordRef, owner: &RecordRef) {
    let deal = match world.contract.crm {
        CrmKind::Salesforce => json!({
            "Name": "Engines", "AccountId": account.id, "CloseDate": "2027-01-01",
            "StageName": "Prospecting", "OwnerId": owner.id,
        }),
        CrmKind::Dynamics365 => json!({
            "name": "Engines", "_parentaccountid_value": account.id,
            "estimatedclosedate": "2027-01-01", "statecode": 0, "statuscode": 1,
            "_ownerid_value": owner.id, "_ownerid_value/type": "systemuser",
        }),
    };
    world
        .create(world.name("Opportunity", "opportunity"), deal)
        .await;
}

async fn save(world: &DirectoryWorld<'_>) {
    let message = ImportMessage {
        contract: world.id().clone(),
        work: WorkKind::Save,
    };
    assert!(crm_import::work(&world.apps.import, &message).await);
}

async fn settings(tenant: &Tenant<'_>, all: bool) {
    let settings = json!({"auto_save": {"accounts": true}, "auto_sync_seat_holders": all});
    let (status, answer) = tenant.api(Method::PUT, SETTINGS, Some(settings)).await;
    assert_eq!(status, 200, "{answer}");
}

/// SV-6: the user of a seat is proposed by its address and chosen by hand, once; one who is unknown, disabled or
/// taken is refused, and so is another contract's administrator.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_of_the_crm_is_chosen_for_one_seat_by_its_own_administrator() {
    for crm in BOTH {
        let harness = Harness::embedded(false).await;
        let tenant = harness.tenant(crm).await;
        let world = DirectoryWorld::of(&tenant).await;
        let role = world.name("UserRole", "position");
        let top = json!({world.name("Name", "name"): "Top"});
        let top = world.create(role, top).await;
        let alma = user(&world, "Alma", &top, &json!({})).await;
        let disabled = match crm {
            CrmKind::Salesforce => json!({"IsActive": false}),
            CrmKind::Dynamics365 => json!({"isdisabled": true}),
        };
        let gustav = user(&world, "Gustav", &top, &disabled).await;
        world.import_only().await;
        let own = Held::new(&tenant, "alma").await;
        let (carl, dora) = (
            Held::new(&tenant, "carl").await,
            Held::new(&tenant, "dora").await,
        );

        let proposed = own.now().await;
        let told = &proposed["user"];
        assert_eq!(
            (&told["id"], &told["by"]),
            (&json!(alma.id), &json!("email"))
        );
        assert_eq!(
            (&told["in_crm"], &proposed["chosen"], &proposed["synced"]),
            (&json!(true), &Value::Null, &json!(true))
        );
        assert_eq!(carl.now().await["user"], Value::Null);

        let gone = world.name("005000000000000AAA", "5f1d0000-0000-4000-8000-00000000bbbb");
        for (given, code) in [
            (gone, "crm_user_unknown"),
            ("", "crm_user_unknown"),
            (gustav.id.as_str(), "crm_user_disabled"),
        ] {
            let (status, problem) = carl.put(json!({"user": given})).await;
            let told = (status, &problem["code"], &problem["field"]);
            assert_eq!(told, (422, &json!(code), &json!("user")), "{problem}");
        }
        let other = harness.tenant(crm).await;
        let token = &tenant.made.tokens.salesperson;
        for method in [Method::GET, Method::PUT] {
            let body = (method == Method::PUT).then(|| json!({"sync": false}));
            let (status, _) = other.api(method.clone(), &own.path(), body.clone()).await;
            assert_eq!(status, 404, "another contract's");
            let (status, _) = tenant.api_as(token, method, &own.path(), body).await;
            assert_eq!(status, 403, "a salesperson");
        }

        // A choice counts before an address; of two at the same time one.
        let wanted = json!({"user": alma.id});
        let (one, two) = tokio::join!(carl.put(wanted.clone()), dora.put(wanted.clone()));
        let (first, second) = if one.0 == 200 {
            (&carl, &dora)
        } else {
            (&dora, &carl)
        };
        let mut statuses = [one.0, two.0];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409], "{one:?} {two:?}");
        assert_eq!(first.now().await["user"]["by"], "chosen");
        assert_eq!(own.now().await["user"], Value::Null);
        let (status, problem) = second.put(wanted.clone()).await;
        assert_eq!((status, &problem["code"]), (409, &json!("crm_user_taken")));
        let given_back = first.set(json!({"user": null})).await;
        assert_eq!(given_back["user"], Value::Null);
        assert_eq!(own.now().await["user"]["id"], json!(alma.id));
        assert_eq!(second.set(wanted.clone()).await["chosen"], json!(alma.id));
        let (_, log) = tenant.api(Method::GET, "/audit-log", None).await;
        let log = log["items"].as_array().unwrap().iter();
        let chosen: Vec<&Value> = log
            .filter(|one| one["action"] == "seat.crm")
            .map(|one| &one["after"]["crm"]["user"]["user"])
            .collect();
        assert_eq!(chosen, [&json!(alma.id), &Value::Null, &json!(alma.id)]);

        // A seat that is disabled yields the user to the one that has the address.
        let of_all = async || {
            let (status, marks) = tenant.api(Method::GET, "/crm-users/seats", None).await;
            assert_eq!(status, 200, "{marks}");
            let marks = marks["items"].as_array().unwrap().iter();
            let of_alma = marks.filter(|one| one["id"] == json!(alma.id));
            let told = of_alma.map(|one| (one["seat"].clone(), one["by"].clone()));
            told.collect::<Vec<_>>()
        };
        let chosen = (json!(second.id), json!("chosen"));
        assert_eq!(of_all().await, [chosen]);
        let path = format!("/seats/{}", second.id);
        let disabled_seat = json!({
            "name": "Off", "email": tenant.email("off"), "role": "salesperson", "enabled": false,
        });
        let (status, answer) = tenant.api(Method::PUT, &path, Some(disabled_seat)).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(own.now().await["user"]["id"], json!(alma.id));
        let by_address = (json!(own.id), json!("email"));
        assert_eq!(of_all().await, [by_address]);

        // With its seat the choice goes.
        let (status, _) = tenant.api(Method::DELETE, &path, None).await;
        assert_eq!(status, 204);
        first.set(wanted).await;
        // Disabled afterwards: shown as such, and the choice stays.
        world.change(&alma, disabled).await;
        world.import_only().await;
        let told = first.set(json!({"user": alma.id, "sync": true})).await;
        assert_eq!(
            (&told["user"]["state"], &told["user"]["in_crm"]),
            (&json!("disabled"), &json!(false))
        );
        harness.stop().await;
    }
}

/// SV-4: the lists that fill themselves follow the chosen user and the switches of the seat.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_follow_the_chosen_user_and_the_switches_of_the_seat() {
    for crm in BOTH {
        let harness = Harness::embedded(false).await;
        let tenant = harness.tenant(crm).await;
        let world = DirectoryWorld::of(&tenant).await;
        let role = world.name("UserRole", "position");
        let top = json!({world.name("Name", "name"): "Top"});
        let top = world.create(role, top).await;
        let alma = user(&world, "Alma", &top, &json!({})).await;
        world.import_only().await;
        settings(&tenant, true).await;
        let (own, carl) = (
            Held::new(&tenant, "alma").await,
            Held::new(&tenant, "carl").await,
        );
        carl.set(json!({"user": alma.id})).await;
        let engines = world.account("Analytical Engines", "engines.example").await;
        deal(&world, &engines, &alma).await;
        world.import_only().await;
        save(&world).await;
        let only = std::slice::from_ref(&engines);
        assert_eq!(carl.accounts(&world).await, only);
        assert!(own.accounts(&world).await.is_empty());

        // Switched off: nothing is added, and what is there stays.
        for off in [json!({"sync": false}), json!({"auto_save": false})] {
            let mut body = off;
            body["user"] = json!(alma.id);
            carl.set(body).await;
            let more = world.account("More", "more.example").await;
            deal(&world, &more, &alma).await;
            world.import_only().await;
            save(&world).await;
            assert_eq!(carl.accounts(&world).await, only);
        }
        // Switched on, it catches up by itself.
        carl.set(json!({"user": alma.id})).await;
        save(&world).await;
        assert_eq!(carl.accounts(&world).await.len(), 3);

        // The setting for all counts for those without a switch.
        settings(&tenant, false).await;
        assert_eq!(carl.now().await["synced"], false);
        let (_, marks) = tenant.api(Method::GET, "/crm-users/seats", None).await;
        let marks = marks["items"].as_array().unwrap();
        let mark = marks.iter().find(|one| one["id"] == json!(alma.id));
        let mark = mark.unwrap();
        assert_eq!(
            (&mark["in_crm"], &mark["by"]),
            (&json!(false), &json!("chosen"))
        );
        let on = carl.set(json!({"user": alma.id, "sync": true})).await;
        assert_eq!(
            (&on["synced"], &on["user"]["in_crm"]),
            (&json!(true), &json!(true))
        );

        // Of two users with one address the one who is active is shown, synced or not.
        let former = tenant.email("dora.former");
        let former = match crm {
            CrmKind::Salesforce => json!({"IsActive": false, "Username": former}),
            CrmKind::Dynamics365 => json!({"isdisabled": true, "domainname": former}),
        };
        user(&world, "Dora", &top, &former).await;
        let active = user(&world, "Dora", &top, &json!({})).await;
        world.import_only().await;
        let dora = Held::new(&tenant, "dora").await;
        dora.set(json!({"sync": false})).await;
        let (_, marks) = tenant.api(Method::GET, "/crm-users/seats", None).await;
        let marks = marks["items"].as_array().unwrap();
        let mark = marks.iter().find(|one| one["seat"] == json!(dora.id));
        let mark = mark.unwrap();
        assert_eq!(
            (&mark["id"], &mark["state"], &mark["in_crm"]),
            (&json!(active.id), &json!("active"), &json!(false))
        );

        // While an import runs, a pass could miss what is not read yet: the import's end asks for it.
        save(&world).await;
        let (store, environment) = (world.store(), Environment::Production);
        let ended = store.save_pass(world.id()).await.unwrap().unwrap();
        assert!(!ended.is_open());
        let last = store.sync(world.id(), environment).await.unwrap();
        let now = world.clock.now();
        let running = Sync::requested(environment, last.as_ref(), "test", now).unwrap();
        store.put_sync(world.id(), &running).await.unwrap();
        dora.set(json!({"sync": true})).await;
        let pass = store.save_pass(world.id()).await.unwrap().unwrap();
        assert_eq!(pass, ended);
        harness.stop().await;
    }
}

/// SV-6: a sign-in that was ended says nothing of a seat's user, and a choice counts in its own organisation only:
/// there also while nothing is connected, as what was imported stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ended_sign_in_and_a_choice_of_another_organisation_do_not_count() {
    for crm in BOTH {
        let harness = Harness::embedded(false).await;
        let tenant = harness.tenant(crm).await;
        let world = DirectoryWorld::of(&tenant).await;
        let role = world.name("UserRole", "position");
        let top = json!({world.name("Name", "name"): "Top"});
        let top = world.create(role, top).await;
        let alma = user(&world, "Alma", &top, &json!({})).await;
        world.import_only().await;
        let own = Held::new(&tenant, "alma").await;
        let carl = Held::new(&tenant, "carl").await;
        let store = world.store();
        let connected = store.connection(world.id(), ConnectionKind::PRODUCTION);
        let connected = connected.await.unwrap().unwrap();

        let mut signed_in = connected.clone();
        signed_in.kind = ConnectionKind::User(carl.id, Environment::Production);
        signed_in.user = Some(RemoteUser {
            id: alma.id.clone(),
            username: None,
        });
        store.put_connection(&signed_in).await.unwrap();
        assert_eq!(carl.now().await["user"]["by"], "sign_in");
        assert_eq!(own.now().await["user"], Value::Null);
        signed_in.state = ConnectionState::Disconnected;
        store.put_connection(&signed_in).await.unwrap();
        assert_eq!(carl.now().await["user"], Value::Null);
        assert_eq!(own.now().await["user"]["by"], "email");

        carl.set(json!({"user": alma.id})).await;
        let mut ended = connected.clone();
        ended.state = ConnectionState::Disconnected;
        store.put_connection(&ended).await.unwrap();
        let users = CrmUsers {
            contract: world.id(),
            environment: Environment::Production,
            crm,
        };
        for (held, expected) in [(&own, 0), (&carl, 1)] {
            let seat = store.seat(world.id(), held.id).await.unwrap().unwrap();
            let found = Box::pin(users.of_seat(store, &seat)).await.unwrap();
            assert_eq!(found.len(), expected, "{found:?}");
        }
        assert_eq!(carl.now().await["chosen"], json!(alma.id));

        let mut elsewhere = connected.clone();
        elsewhere.organization = "another".to_owned();
        store.put_connection(&elsewhere).await.unwrap();
        let now = carl.now().await;
        assert_eq!((&now["chosen"], &now["user"]), (&Value::Null, &Value::Null));
        assert_eq!(own.now().await["user"]["by"], "email");
        // What the form of the seat shows can be saved.
        let saved = carl
            .set(json!({"user": now["chosen"], "sync": false}))
            .await;
        assert_eq!(saved["sync"], false);
        store.put_connection(&connected).await.unwrap();
        harness.stop().await;
    }
}
