//! Seats for users of the CRM (SV-6).

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::Request;
use e2e::directory_world::DirectoryWorld;
use e2e::worker::process;
use e2e::{Harness, Tenant};
use reqwest::Method;
use serde_json::{Value, json};
use shared::domain::directory::RecordRef;
use shared::domain::schema::CrmKind;
use shared::testing::{Cut, Tripwire};
use tower::ServiceExt as _;

/// More calls than an invitation of two users makes.
const MANY_CALLS: usize = 200;
const BOTH: [CrmKind; 2] = [CrmKind::Salesforce, CrmKind::Dynamics365];

/// Makes a user of the CRM.
pub(crate) async fn user(
    world: &DirectoryWorld<'_>,
    name: &str,
    role: &RecordRef,
    more: &Value,
) -> RecordRef {
    let email = world.tenant.email(&name.to_lowercase());
    let (object, mut values) = match world.contract.crm {
        CrmKind::Salesforce => (
            "User",
            json!({
                "Name": name, "LastName": name, "Email": email, "Username": email, "Alias": name,
                "IsActive": true, "UserType": "Standard", "UserRoleId": role.id,
            }),
        ),
        CrmKind::Dynamics365 => (
            "systemuser",
            json!({
                "fullname": name, "lastname": name, "internalemailaddress": email, "domainname": email,
                "isdisabled": false, "_positionid_value": role.id,
            }),
        ),
    };
    for (field, value) in more.as_object().unwrap() {
        values[field] = value.clone();
    }
    world.create(object, values).await
}

async fn call(tenant: &Tenant<'_>, method: Method, path: &str, body: Option<Value>) -> Value {
    let (status, answer) = tenant.api(method, path, body).await;
    assert!(status.is_success(), "{path}: {status} {answer}");
    answer
}

fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().unwrap().iter();
    items.map(|one| one["name"].as_str().unwrap()).collect()
}

/// The outcome for each user, by the CRM's id.
fn outcomes(report: &Value) -> BTreeMap<&str, &str> {
    let items = report["items"].as_array().unwrap().iter();
    items
        .map(|one| {
            (
                one["id"].as_str().unwrap(),
                one["outcome"].as_str().unwrap(),
            )
        })
        .collect()
}

/// SV-6: users of both CRMs by their place in the tree, invited once each, with a report for each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_of_the_crm_are_found_by_role_and_invited_once() {
    for crm in BOTH {
        let harness = Harness::embedded(false).await;
        let tenant = harness.tenant(crm).await;
        let world = DirectoryWorld::of(&tenant).await;
        let roles = world.name("UserRole", "position");
        let name = world.name("Name", "name");
        let parent = world.name("ParentRoleId", "_parentpositionid_value");
        let top = world.create(roles, json!({name: "Top"})).await;
        let below = json!({name: "Below", parent: top.id});
        let below = world.create(roles, below).await;
        let (program, disabled) = match crm {
            CrmKind::Salesforce => (json!({"UserType": "CsnOnly"}), json!({"IsActive": false})),
            CrmKind::Dynamics365 => (
                json!({"applicationid": "5f1d0000-0000-4000-8000-00000000aaaa"}),
                json!({"isdisabled": true}),
            ),
        };
        let alma = user(&world, "Alma", &top, &json!({})).await;
        let berta = user(&world, "Berta", &below, &json!({})).await;
        let bot = user(&world, "Bot", &below, &program).await;
        let gustav = user(&world, "Gustav", &below, &disabled).await;
        let nobody = json!({world.name("Email", "internalemailaddress"): null});
        let nobody = user(&world, "Nobody", &below, &nobody).await;
        world.import_only().await;

        let get = async |path: &str| call(&tenant, Method::GET, path, None).await;
        let tree = get("/crm-users/roles").await;
        let tree = tree["items"].as_array().unwrap();
        let at = tree.iter().position(|one| one["name"] == "Top").unwrap();
        assert_eq!(tree[at]["depth"], 0, "{tree:?}");
        assert_eq!(
            (&tree[at + 1]["name"], &tree[at + 1]["depth"]),
            (&json!("Below"), &json!(1))
        );
        let of_top = get(&format!("/crm-users?role={}", top.id)).await;
        assert_eq!(
            names(&of_top),
            ["Alma", "Berta", "Bot", "Gustav", "Nobody"],
            "{of_top}"
        );
        let reasons: Vec<&Value> = of_top["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| &one["no_seat"])
            .collect();
        let program = world.name("chatter_only", "application");
        let expected = [
            Value::Null,
            Value::Null,
            json!(program),
            json!("disabled"),
            Value::Null,
        ];
        assert_eq!(reasons, expected.iter().collect::<Vec<_>>());
        let of_below = get(&format!("/crm-users?role={}", below.id)).await;
        assert_eq!(of_below["total"], 4, "{of_below}");
        let found = get("/crm-users?search=BERT").await;
        assert_eq!(names(&found), ["Berta"]);
        assert_eq!(found["items"][0]["role"]["name"], "Below");
        assert_eq!(found["items"][0]["seat"], Value::Null);
        let page = get(&format!("/crm-users?role={}&limit=2", top.id)).await;
        assert_eq!(names(&page), ["Alma", "Berta"]);
        let next = page["next"].as_str().unwrap().replace('#', "%23");
        let path = format!("/crm-users?role={}&limit=2&cursor={next}", top.id);
        assert_eq!(names(&get(&path).await), ["Bot", "Gustav"]);

        // Two administrators at the same time: a seat once for each address.
        let gone = world.name("005000000000000AAA", "5f1d0000-0000-4000-8000-00000000bbbb");
        let asked = [
            &alma.id, &berta.id, &bot.id, &gustav.id, &nobody.id, &alma.id,
        ];
        let mut asked: Vec<&str> = asked.into_iter().map(String::as_str).collect();
        asked.push(gone);
        let input = json!({"users": asked, "role": "salesperson"});
        let path = "/crm-users/invite";
        let (one, other) = tokio::join!(
            call(&tenant, Method::POST, path, Some(input.clone())),
            call(&tenant, Method::POST, path, Some(input.clone())),
        );
        for (id, expected) in [
            (bot.id.as_str(), "cannot_hold_seat"),
            (gustav.id.as_str(), "cannot_hold_seat"),
            (nobody.id.as_str(), "address_missing"),
            (gone, "not_found"),
        ] {
            assert_eq!(outcomes(&one)[id], expected, "{one}");
        }
        for id in [alma.id.as_str(), berta.id.as_str()] {
            let mut both = [outcomes(&one)[id], outcomes(&other)[id]];
            both.sort_unstable();
            assert_eq!(both, ["already_seat", "invited"], "{one} {other}");
        }
        let again = call(&tenant, Method::POST, path, Some(input)).await;
        assert_eq!(again["items"].as_array().unwrap().len(), 6, "{again}");
        assert_eq!(outcomes(&again)[alma.id.as_str()], "already_seat");
        let seats = get("/seats").await;
        let made = names(&seats);
        assert_eq!(made.iter().filter(|name| **name == "Alma").count(), 1);
        assert_eq!(made.iter().filter(|name| **name == "Berta").count(), 1);
        let log = get("/audit-log").await;
        let log = log["items"].as_array().unwrap().iter();
        assert_eq!(log.filter(|one| one["action"] == "seat.create").count(), 2);

        // A seat whose user is disabled afterwards is shown as such.
        world.advance(60).await;
        world.change(&berta, disabled).await;
        world.import_only().await;
        let marks = get("/crm-users/seats").await;
        let marks = marks["items"].as_array().unwrap();
        let mark = |id: &str| marks.iter().find(|one| one["id"] == id).unwrap();
        let shown = |id: &str| (mark(id)["state"].as_str(), mark(id)["in_crm"].as_bool());
        assert_eq!(shown(&alma.id), (Some("active"), Some(true)));
        assert_eq!(shown(&berta.id), (Some("disabled"), Some(false)));
        let found = get("/crm-users?search=alma").await;
        assert_eq!(found["items"][0]["seat"]["status"], "invited", "{found}");

        for (body, field) in [
            (json!({"users": [], "role": "salesperson"}), "users"),
            (json!({"users": [alma.id], "role": "service"}), "role"),
        ] {
            let (status, problem) = tenant.api(Method::POST, path, Some(body)).await;
            assert_eq!((status.as_u16(), &problem["field"]), (422, &json!(field)));
        }
        harness.stop().await;
    }
}

/// The ids of the seats of these names with an open invitation.
async fn invited(tenant: &Tenant<'_>, wanted: [&str; 2]) -> Vec<String> {
    let seats = call(tenant, Method::GET, "/seats", None).await;
    let seats = seats["items"].as_array().unwrap().iter();
    let ours = seats.filter(|seat| wanted.iter().any(|name| seat["name"] == *name));
    let open = ours.filter(|seat| seat["invitation_valid_until"].is_i64());
    open.map(|seat| seat["id"].as_str().unwrap().to_owned())
        .collect()
}

/// The number of seats that were made, by the audit log.
async fn made(tenant: &Tenant<'_>) -> usize {
    let (mut number, mut query) = (0, String::new());
    loop {
        let page = call(tenant, Method::GET, &format!("/audit-log{query}"), None).await;
        let entries = page["items"].as_array().unwrap().iter();
        number += entries.filter(|one| one["action"] == "seat.create").count();
        let Some(next) = page["next"].as_str() else {
            return number;
        };
        query = format!("?cursor={}", next.replace('#', "%23"));
    }
}

/// SV-6: an invitation that stops at any call, and is repeated, makes one seat with one invitation for each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invitation_that_stops_at_any_call_makes_one_seat_for_each() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let world = DirectoryWorld::of(&tenant).await;
    let top = world.create("UserRole", json!({"Name": "Top"})).await;
    let alma = user(&world, "Alma", &top, &json!({})).await;
    let berta = user(&world, "Berta", &top, &json!({})).await;
    world.import_only().await;
    let input = json!({"users": [alma.id, berta.id], "role": "salesperson"});
    let path = "/crm-users/invite";
    let (before, mut rounds) = (made(&tenant).await, 0);
    for cut in Cut::each().take(MANY_CALLS) {
        let wire = Tripwire::cutting(cut);
        let dying = process(harness.embedded_stack(), &wire, &world.clock);
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("/api/v1{path}"))
            .header(
                "authorization",
                format!("Bearer {}", tenant.made.tokens.administrator),
            )
            .header("content-type", "application/json")
            .body(Body::from(input.to_string()));
        let answer = dying.router().oneshot(request.unwrap()).await.unwrap();
        if !wire.has_cut() {
            assert_eq!(answer.status().as_u16(), 200);
        }
        let report = call(&tenant, Method::POST, path, Some(input.clone())).await;
        for outcome in outcomes(&report).into_values() {
            assert!(["invited", "already_seat"].contains(&outcome), "{report}");
        }
        let seats = invited(&tenant, ["Alma", "Berta"]).await;
        assert_eq!(seats.len(), 2, "{cut:?}: {report}");
        rounds += 1;
        for seat in seats {
            call(&tenant, Method::DELETE, &format!("/seats/{seat}"), None).await;
        }
        if !wire.has_cut() {
            assert_eq!(made(&tenant).await, before + 2 * rounds);
            harness.stop().await;
            return;
        }
    }
    panic!("an invitation makes more than {MANY_CALLS} calls");
}
