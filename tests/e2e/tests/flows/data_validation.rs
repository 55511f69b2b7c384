//! Data validation (SV-8): values of the CRM that are out of date, found with a person's link, listed, dismissed,
//! and gone once the CRM has them.

use e2e::directory_world::DirectoryWorld;
use e2e::worker::process;
use e2e::{Harness, Tenant};
use reqwest::Method;
use serde_json::{Value, json};
use shared::domain::directory::{EntryId, EntryKind, OutdatedEntry, RecordRef};
use shared::domain::schema::CrmKind;
use shared::linking::{Act, Linking};
use shared::random::SystemRandom;
use shared::store::CountLimits;
use shared::testing::{Cut, Tripwire};

use super::crm_connection::world::{PRODUCTION, SELLER, Who, World};

const BOTH: [CrmKind; 2] = [CrmKind::Salesforce, CrmKind::Dynamics365];
const PROFILE: EntryKind = EntryKind::Profile;
/// More calls than linking an entry makes.
const MANY_CALLS: usize = 60;

/// The outdated records, as list and matches have them.
async fn outdated(world: &DirectoryWorld<'_>) -> Vec<OutdatedEntry> {
    let people = world.directory(PROFILE).await;
    world.outdated(&people).await.into_values().collect()
}

/// A person says their company anew, and is linked.
async fn says(world: &DirectoryWorld<'_>, email: &str, company: &str) -> EntryId {
    world.advance(60).await;
    let id = world.profile("Ann", "Meier", email, company).await;
    let linking = world.linking();
    linking.link_entry(PROFILE, id).await.unwrap().unwrap();
    id
}

/// A page of the API's list.
async fn listed(tenant: &Tenant<'_>, query: &str) -> Vec<Value> {
    let path = format!("/data-validation{query}");
    let (status, answer) = tenant.api(Method::GET, &path, None).await;
    assert_eq!(status, 200, "{answer}");
    answer["items"].as_array().unwrap().clone()
}

/// The company of a lead in the CRM.
async fn lead_says(world: &DirectoryWorld<'_>, lead: &RecordRef, company: &str) {
    let values = json!({ world.name("Company", "companyname"): company });
    world.change(lead, values).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_company_is_out_of_date_until_the_crm_has_it() {
    for crm in BOTH {
        let harness = Harness::embedded(false).await;
        let tenant = harness.tenant(crm).await;
        let world = DirectoryWorld::of(&tenant).await;
        let email = tenant.email("ann");
        let lead = world.lead("Ann", "Meier", &email, "Globex Corp.").await;
        let ann = world
            .profile("Ann", "Meier", &email, "Globex Corporation")
            .await;
        world.import().await;
        assert_eq!(world.link_of(PROFILE, ann).await, Some(lead.clone()));
        assert!(outdated(&world).await.is_empty(), "{crm:?}");

        assert_eq!(says(&world, &email, "Initech").await, ann);
        assert_eq!(outdated(&world).await.len(), 1);
        let found = listed(&tenant, "?field=company").await;
        let finding = &found[0]["findings"][0];
        assert_eq!(
            (&found[0]["id"], &finding["ours"], &finding["theirs"]),
            (
                &json!(ann.to_string()),
                &json!("Initech"),
                &json!("Globex Corp.")
            )
        );
        assert_eq!(found[0]["record"]["id"], lead.id.as_str());
        assert!(finding["ours_at"].as_i64() > finding["theirs_at"].as_i64());
        assert!(listed(&tenant, "?field=title").await.is_empty());
        assert!(listed(&tenant, "?owner=nobody").await.is_empty());
        let owner = found[0]["owner"]["id"].as_str().unwrap();
        assert_eq!(listed(&tenant, &format!("?owner={owner}")).await, found);
        let search = tenant.api(Method::GET, "/profiles?out_of_date=true", None);
        assert_eq!(search.await.1["items"][0]["id"], json!(ann.to_string()));
        // A pass finds the same.
        let before = outdated(&world).await;
        world.pass().await;
        assert_eq!(outdated(&world).await, before);

        // The CRM has it, in its own words.
        lead_says(&world, &lead, "Initech Ltd").await;
        world.import().await;
        assert!(outdated(&world).await.is_empty(), "{crm:?}");
        // A value that the CRM got later is not out of date.
        lead_says(&world, &lead, "Vandelay").await;
        world.import().await;
        assert!(outdated(&world).await.is_empty(), "{crm:?}");

        // It goes with the link.
        says(&world, &email, "Umbrella").await;
        assert_eq!(outdated(&world).await.len(), 1);
        let act = Act::Unmatch;
        let linking = world.linking();
        let decided = linking.decide(PROFILE, ann, act, "ann", &SystemRandom);
        decided.await.unwrap();
        assert!(outdated(&world).await.is_empty());
        // Back by a person's decision, it is found at once.
        let act = Act::Match(lead.clone());
        let linking = world.linking();
        let decided = linking.decide(PROFILE, ann, act, "ann", &SystemRandom);
        decided.await.unwrap();
        assert_eq!(outdated(&world).await.len(), 1);
        let (status, _) = tenant
            .api(Method::DELETE, &format!("/profiles/{ann}"), None)
            .await;
        assert_eq!(status, 204);
        assert!(outdated(&world).await.is_empty());
        harness.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dismissal_holds_until_a_value_changes() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let world = DirectoryWorld::of(&tenant).await;
    // A contact's company is its account's name.
    let account = world.account("Globex Inc", "https://globex.example").await;
    let email = tenant.email("ann");
    world.contact("Ann", "Meier", &email, Some(&account)).await;
    world.import().await;
    let ann = says(&world, &email, "Initech").await;
    let found = listed(&tenant, "").await;
    let finding = &found[0]["findings"][0];
    assert_eq!(finding["theirs"], "Globex Inc");
    let path = format!("/data-validation/{ann}/dismiss");
    let decide = async |path: &str, values: &Value| {
        let body = json!({"field": "company", "values": values});
        let (status, answer) = tenant.api(Method::POST, path, Some(body)).await;
        let code = answer["code"].as_str().unwrap_or_default().to_owned();
        (status.as_u16(), code)
    };
    let changed = (409, "values_changed".to_owned());
    assert_eq!(decide(&path, &json!("a.b")).await, changed);
    let done = (204, String::new());
    assert_eq!(decide(&path, &finding["values"]).await, done);
    assert_eq!(decide(&path, &finding["values"]).await, done);
    assert!(listed(&tenant, "").await.is_empty());
    let (_, report) = tenant
        .api(Method::GET, "/data-validation/owners", None)
        .await;
    let count = &report["items"][0];
    assert_eq!(
        (&count["company"], &count["dismissed"]),
        (&json!(0), &json!(1))
    );
    // Neither a pass nor the same value again takes it back; a user does.
    world.pass().await;
    says(&world, &email, "Initech").await;
    assert!(listed(&tenant, "").await.is_empty());
    let dismissed = listed(&tenant, "?dismissed=true").await;
    assert!(dismissed[0]["findings"][0]["dismissed"]["at"].is_i64());
    let restore = format!("/data-validation/{ann}/restore");
    assert_eq!(decide(&restore, &finding["values"]).await, done);
    assert_eq!(listed(&tenant, "").await.len(), 1);
    assert_eq!(decide(&path, &finding["values"]).await, done);
    // Another company is another difference.
    says(&world, &email, "Umbrella").await;
    assert_eq!(listed(&tenant, "").await.len(), 1);
    assert_eq!(decide(&path, &finding["values"]).await, changed);
    outdated(&world).await;
    harness.stop().await;
}

/// The owners with the numbers of their records that were counted, a part of at most one record each; true for one
/// with more.
async fn counted_in_parts(world: &World) -> Vec<(Value, usize, bool)> {
    let limits = CountLimits {
        of_owner: 1,
        together: 1,
    };
    let (store, contract) = (world.store(), &world.made.id);
    let (mut owners, mut after) = (Vec::new(), None::<String>);
    loop {
        let part = store.outdated_owners(contract, PRODUCTION, None, after.as_deref(), limits);
        let part = part.await.unwrap();
        let counted = part.items.into_iter();
        owners.extend(counted.map(|one| (json!(one.owner), one.records, one.more)));
        after = part.next;
        if after.is_none() {
            owners.sort_by_key(|(owner, ..)| owner.to_string());
            return owners;
        }
    }
}

/// SV-8: a salesperson dismisses for records that they own and people in their lists; of others the page shows the
/// difference, and the API knows no decision. The owners are counted part by part.
#[tokio::test]
async fn a_salesperson_decides_on_their_own_people_only() {
    let world = World::start(CrmKind::Salesforce).await;
    let records = format!("/records/{}", world.system());
    let path = format!("{records}/User");
    let users = world.control(Method::GET, &path, Value::Null).await;
    let users = users.as_array().unwrap();
    let of = |seller: bool| {
        let user = users
            .iter()
            .find(|user| (user["Email"] == SELLER) == seller);
        user.unwrap()["Id"].clone()
    };
    for (name, owner) in [
        ("Own", of(true)),
        ("Other", of(false)),
        ("Saved", of(false)),
    ] {
        let lead = json!({
            "FirstName": "Ann", "LastName": name, "Company": "Globex", "OwnerId": owner,
            "Email": format!("ann@{}.example", name.to_lowercase()),
        });
        world
            .control(Method::POST, &format!("{records}/Lead"), lead)
            .await;
    }
    world.connect_and_import(PRODUCTION).await;
    let seat = world.seat(SELLER).await;
    let mut ids = Vec::new();
    for name in ["Own", "Other", "Saved"] {
        let person = json!({
            "first_name": "Ann", "last_name": name, "company": "Initech",
            "emails": [format!("ann@{}.example", name.to_lowercase())],
        });
        let added = world
            .api(Method::POST, "/profiles", person)
            .await
            .is(201)
            .json;
        ids.push(added["entry"]["id"].as_str().unwrap().to_owned());
    }
    let seller = async |method: Method, path: &str, body: Value| {
        let path = format!("/api/v1{path}");
        world
            .call(&world.apps, Who::Seat(&seat), method, &path, &body)
            .await
    };
    let save = json!({ "entry": ids[2] });
    seller(Method::POST, "/lists/people/items", save)
        .await
        .is(201);
    let listed = seller(Method::GET, "/data-validation", Value::Null).await;
    let listed = listed.is(200).json["items"].as_array().unwrap().len();
    assert_eq!(listed, 2);
    for (index, id) in ids.iter().enumerate() {
        let own = index != 1;
        let page = seller(Method::GET, &format!("/profiles/{id}"), Value::Null)
            .await
            .is(200)
            .json;
        let finding = &page["findings"][0];
        assert_eq!(
            (&finding["ours"], &page["may_dismiss"]),
            (&json!("Initech"), &json!(own))
        );
        let body = json!({"field": "company", "values": finding["values"]});
        let path = format!("/data-validation/{id}/dismiss");
        seller(Method::POST, &path, body)
            .await
            .is(if own { 204 } else { 404 });
        let all = world
            .api(Method::GET, &format!("/profiles/{id}"), Value::Null)
            .await;
        assert_eq!(all.is(200).json["may_dismiss"], true);
    }
    let report = seller(Method::GET, "/data-validation/owners", Value::Null).await;
    let report = report.is(200).json;
    assert_eq!(report["items"].as_array().unwrap().len(), 1, "{report}");
    assert_eq!(
        (
            &report["items"][0]["owner"]["id"],
            &report["items"][0]["dismissed"]
        ),
        (&of(true), &json!(1))
    );
    let mut expected = vec![(of(true), 1, false), (of(false), 1, true)];
    expected.sort_by_key(|(owner, ..)| owner.to_string());
    assert_eq!(counted_in_parts(&world).await, expected);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wherever_a_worker_dies_list_and_matches_agree() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let world = DirectoryWorld::of(&tenant).await;
    let email = tenant.email("ann");
    world.lead("Ann", "Meier", &email, "Globex").await;
    world.import().await;
    let ann = says(&world, &email, "Globex").await;
    let stack = harness.embedded_stack();
    for n in 0..MANY_CALLS {
        let mut reached = false;
        for (cut, company) in [(Cut::Before(n), "Initech"), (Cut::After(n), "Globex")] {
            world.profile("Ann", "Meier", &email, company).await;
            let wire = Tripwire::cutting(cut);
            let dying = process(stack, &wire, &world.clock);
            let linking = Linking {
                store: &dying.import.remote.store,
                ..world.linking()
            };
            let _ = linking.link_entry(PROFILE, ann).await;
            reached |= wire.has_cut();
            outdated(&world).await;
            let linking = world.linking();
            linking.link_entry(PROFILE, ann).await.unwrap();
            let found = outdated(&world).await;
            assert_eq!(found.len(), usize::from(company == "Initech"), "{cut:?}");
        }
        if !reached {
            assert!(n > 3, "{n}");
            harness.stop().await;
            return;
        }
    }
    panic!("linking an entry makes more than {MANY_CALLS} calls");
}
