//! A seat holder's own sign-in to the CRM (CN-11).

use axum::http::Method;
use serde_json::{Value, json};
use shared::domain::inventory::{Right, dataverse_privilege};
use shared::domain::schema::CrmKind;
use shared::session::SessionError;
use shared::store::{ConnectionKind, ConnectionState};
use shared::testing::{Cut, Tripwire};

use super::world::{ADMIN, PRODUCTION, SELLER, SignedIn, Who, World, for_both};

const DAY: i64 = 24 * 3600;
const PATH: &str = "/api/v1/me/crm-connections/production";

fn kind(seat: &SignedIn) -> ConnectionKind {
    ConnectionKind::User(seat.seat.parse().unwrap(), PRODUCTION)
}

for_both!(a_seat_holder_sees_which_instance_and_is_asked_again_after_ninety_days);
async fn a_seat_holder_sees_which_instance_and_is_asked_again_after_ninety_days(crm: CrmKind) {
    let world = World::start(crm).await;
    let label = world.label();
    let seat = world.seat(SELLER).await;
    let none = Value::Null;
    let token = world
        .call(&world.apps, Who::Administrator, Method::GET, PATH, &none)
        .await;
    assert_eq!((token.status, token.code()), (403, "sign_in_required"));
    let early = world
        .begin(&world.apps, Who::Seat(&seat), "user", &json!({}))
        .await;
    assert_eq!((early.status, early.code()), (409, "not_connected"));
    assert_eq!(
        early.json["next_step"],
        "Ask an administrator to connect the CRM first."
    );
    assert_eq!(world.own(&seat).await["problem"]["code"], "not_connected");

    world.connect_and_import(PRODUCTION).await;
    let instance = world.view(PRODUCTION).await["instance_url"].clone();
    let own = world.own(&seat).await;
    assert_eq!(
        (&own["status"], &own["problem"]),
        (&json!("not_connected"), &Value::Null)
    );
    assert_eq!(
        (&own["instance_url"], &own["expected_instance_url"]),
        (&Value::Null, &instance)
    );

    let answer = world.sign_in_own(&seat, SELLER).await.is(200).json;
    assert_eq!(answer["message"], format!("{label} is connected."));
    let own = world.own(&seat).await;
    assert_eq!(
        (&own["status"], &own["instance_url"]),
        (&json!("connected"), &instance)
    );
    assert_eq!(own["user"]["username"], SELLER);
    let end = world.now().0 + 90 * DAY * 1000;
    assert_eq!(own["valid_until"], end);
    assert_eq!(
        world
            .use_connection(&world.apps, kind(&seat))
            .await
            .unwrap(),
        200
    );

    // Renewing the tokens does not move that day.
    world.advance(80 * DAY).await;
    assert_eq!(
        world
            .use_connection(&world.apps, kind(&seat))
            .await
            .unwrap(),
        200
    );
    let seat = world.again(SELLER).await;
    assert_eq!(world.own(&seat).await["valid_until"], end);
    let about = kind(&seat).to_string();
    let warned = world.notices(Who::Seat(&seat), &about).await;
    assert_eq!(
        (&warned[0]["severity"], &warned[0]["by"]),
        (&json!("warning"), &json!(end))
    );

    world.advance(10 * DAY).await;
    let seat = world.again(SELLER).await;
    let own = world.own(&seat).await;
    assert_eq!(own["status"], "sign_in_needed");
    let detail = format!("Your sign-in to {label} has ended: it is asked for every 90 days.");
    let next = format!("Sign in to {label} again in your settings.");
    assert_eq!(
        (&own["problem"]["detail"], &own["problem"]["next_step"]),
        (&json!(detail), &json!(next))
    );
    let told = world.notices(Who::Seat(&seat), &about).await;
    assert_eq!(
        (&told[0]["severity"], &told[0]["problem"]["detail"]),
        (&json!("error"), &json!(detail))
    );
    let refused = world
        .use_connection(&world.fresh(), kind(&seat))
        .await
        .unwrap_err();
    assert!(
        matches!(refused, SessionError::SignInNeeded(_)),
        "{refused:?}"
    );

    world.sign_in_own(&seat, SELLER).await.is(200);
    let own = world.own(&seat).await;
    assert_eq!(
        (&own["status"], &own["problem"]),
        (&json!("connected"), &Value::Null)
    );
    assert_eq!(own["valid_until"], world.now().0 + 90 * DAY * 1000);
    assert!(world.notices(Who::Seat(&seat), &about).await.is_empty());
    world.stop().await;
}

for_both!(what_somebody_has_created_in_the_crm_is_theirs);
async fn what_somebody_has_created_in_the_crm_is_theirs(crm: CrmKind) {
    let world = World::start(crm).await;
    let label = world.label();
    world.connect_and_import(PRODUCTION).await;
    let seat = world.seat(SELLER).await;
    let settings = json!({ "create_leads": true });
    let path = "/sync-settings";
    world
        .of(PRODUCTION, Method::PUT, path, settings)
        .await
        .is(200);
    let add = async |list: &str, entry: Value| -> String {
        let answer = world.api(Method::POST, list, entry).await.is(201);
        answer.json["entry"]["id"].as_str().unwrap().to_owned()
    };
    let person = |first: &str| {
        let email = format!("{}@newcomers.example", first.to_lowercase());
        json!({ "first_name": first, "last_name": "Comer", "company": "Newcomers", "emails": [email] })
    };
    let ann = add("/profiles", person("Ann")).await;
    let bob = add("/profiles", person("Bob")).await;
    let company = add("/companies", json!({ "name": "Newcomers" })).await;
    let none = Value::Null;
    let create = async |who: Who<'_>, list: &str, id: &str| {
        let path = format!("/api/v1/{list}/{id}/create");
        world
            .call(&world.apps, who, Method::POST, &path, &none)
            .await
    };
    let made = async |object: &str| -> Vec<Value> {
        let path = format!("/records/{}/{object}", world.system());
        let all = world.control(Method::GET, &path, Value::Null).await;
        all.as_array().unwrap().clone()
    };
    let [lead, account, owner] = match crm {
        CrmKind::Salesforce => ["Lead", "Account", "OwnerId"],
        CrmKind::Dynamics365 => ["lead", "account", "_ownerid_value"],
    };
    let before = (made(lead).await.len(), made(account).await.len());

    // Nothing is written as another user.
    for (list, id) in [("profiles", &ann), ("companies", &company)] {
        let refused = create(Who::Seat(&seat), list, id).await;
        assert_eq!(
            (refused.status, refused.code()),
            (409, "user_sign_in_needed")
        );
        assert_eq!(
            refused.json["next_step"],
            format!("Sign in to {label} in your settings.")
        );
    }
    assert_eq!(
        (made(lead).await.len(), made(account).await.len()),
        before,
        "nothing was written"
    );

    world.sign_in_own(&seat, SELLER).await.is(200);
    let user = world.own(&seat).await["user"]["id"].clone();
    for (list, id) in [("profiles", &ann), ("companies", &company)] {
        let made = create(Who::Seat(&seat), list, id).await.is(200);
        assert_eq!(made.json["state"], "created");
    }
    // A program with the contract's token writes as the contract's user.
    create(Who::Administrator, "profiles", &bob).await.is(200);
    let leads = made(lead).await;
    assert_eq!(leads.len(), before.0 + 2);
    let theirs = leads.iter().filter(|lead| lead[owner] == user);
    assert_eq!(theirs.count(), 1);
    let accounts = made(account).await;
    assert_eq!(accounts.len(), before.1 + 1);
    assert!(accounts.iter().any(|account| account[owner] == user));

    // Asked for again after ninety days.
    world.advance(90 * DAY).await;
    let seat = world.again(SELLER).await;
    let late = add("/profiles", person("Late")).await;
    let refused = create(Who::Seat(&seat), "profiles", &late).await;
    assert_eq!(
        (refused.status, refused.code()),
        (409, "user_sign_in_needed")
    );
    assert_eq!(
        refused.json["next_step"],
        format!("Sign in to {label} again in your settings.")
    );
    world.stop().await;
}

for_both!(who_creates_after_a_process_that_died_gets_what_was_made_though_they_may_not_see_it);
async fn who_creates_after_a_process_that_died_gets_what_was_made_though_they_may_not_see_it(
    crm: CrmKind,
) {
    const MANY_CALLS: usize = 60;
    let world = World::start(crm).await;
    world.connect_and_import(PRODUCTION).await;
    let settings = json!({ "create_leads": true });
    let path = "/sync-settings";
    let put = world.of(PRODUCTION, Method::PUT, path, settings).await;
    put.is(200);
    let first = world.seat(ADMIN).await;
    world.sign_in_own(&first, ADMIN).await.is(200);
    let second = world.seat(SELLER).await;
    world.sign_in_own(&second, SELLER).await.is(200);
    // The second sees no leads but their own.
    if crm == CrmKind::Dynamics365 {
        let read = dataverse_privilege("lead", Right::Read);
        world
            .settings(json!({ "privileges": { SELLER: { read: "Basic" } } }))
            .await;
    }
    let object = if crm == CrmKind::Salesforce {
        "Lead"
    } else {
        "lead"
    };
    let leads = async || {
        let path = format!("/records/{}/{object}", world.system());
        let all = world.control(Method::GET, &path, Value::Null).await;
        all.as_array().unwrap().len()
    };
    let before = leads().await;
    let mut left_by_the_dead = 0;
    for n in 0..MANY_CALLS {
        let person = json!({ "first_name": "Ann", "last_name": format!("Comer{n}"), "company": "Newcomers",
                             "emails": [format!("ann{n}@newcomers.example")] });
        let added = world.api(Method::POST, "/profiles", person).await.is(201);
        let id = added.json["entry"]["id"].as_str().unwrap();
        let path = format!("/api/v1/profiles/{id}/create");
        let wire = Tripwire::cutting(Cut::After(n));
        let (dying, none) = (world.over(&wire), Value::Null);
        world
            .call(&dying, Who::Seat(&first), Method::POST, &path, &none)
            .await;
        let shown = world.get(&format!("/profiles/{id}")).await;
        let made = leads().await == before + n + 1;
        left_by_the_dead += usize::from(made && shown["in_crm"] == false);
        let fresh = world.fresh();
        let done = world
            .call(&fresh, Who::Seat(&second), Method::POST, &path, &none)
            .await
            .is(200);
        assert_eq!(done.json["state"], "created", "{n}");
        assert_eq!(leads().await, before + n + 1, "{n}");
        if !wire.has_cut() {
            assert!(left_by_the_dead > 0, "no cut fell between lead and link");
            world.stop().await;
            return;
        }
    }
    panic!("creating a record makes more than {MANY_CALLS} calls");
}

for_both!(it_leads_into_the_connected_organisation_and_to_the_same_person_only);
async fn it_leads_into_the_connected_organisation_and_to_the_same_person_only(crm: CrmKind) {
    let world = World::start(crm).await;
    world.connect_and_import(PRODUCTION).await;
    let seat = world.seat(SELLER).await;
    world.forget_calls().await;

    // Another user of the organisation.
    let answer = world.sign_in_own(&seat, ADMIN).await;
    assert_eq!(
        (answer.status, answer.code()),
        (409, "other_user"),
        "{}",
        answer.json
    );
    // Another organisation.
    let mut started = world
        .begin_own(
            &seat,
            if crm == CrmKind::Salesforce {
                "sandbox-user@sandbox.leadbridge.example"
            } else {
                SELLER
            },
        )
        .await;
    world.in_the_other_organization(&mut started).await;
    let answer = world.complete(&world.apps, &started).await;
    assert_eq!(
        (answer.status, answer.code()),
        (409, "other_organization"),
        "{}",
        answer.json
    );
    let text = answer.json["detail"].as_str().unwrap();
    let instance = world.view(PRODUCTION).await["instance_url"].clone();
    assert!(
        text.contains("connected as production") && text.contains(instance.as_str().unwrap()),
        "{text}"
    );
    assert_eq!(world.connection(kind(&seat)).await, None);
    if crm == CrmKind::Salesforce {
        // Tokens that were not stored were revoked.
        assert_eq!(world.count_calls("/revoke").await, 2);
    }
    world.sign_in_own(&seat, SELLER).await.is(200);
    world.stop().await;
}

for_both!(it_ends_by_its_holder_with_the_connection_or_with_the_seat);
async fn it_ends_by_its_holder_with_the_connection_or_with_the_seat(crm: CrmKind) {
    let world = World::start(crm).await;
    world.connect_and_import(PRODUCTION).await;
    let seat = world.seat(SELLER).await;
    let none = Value::Null;
    let over = async |seat: &SignedIn| {
        let connection = world.connection(kind(seat)).await.unwrap();
        assert_eq!(connection.state, ConnectionState::Disconnected);
        assert_eq!(connection.sealed_tokens, None);
    };
    let revoked = async |tokens| crm != CrmKind::Salesforce || !world.renews(&tokens).await;

    world.sign_in_own(&seat, SELLER).await.is(200);
    let tokens = world.tokens(kind(&seat)).await;
    let end = async || {
        world
            .call(&world.apps, Who::Seat(&seat), Method::DELETE, PATH, &none)
            .await
    };
    end().await.is(202);
    assert_eq!(world.own(&seat).await["status"], "disconnecting");
    world.settle().await;
    over(&seat).await;
    assert!(revoked(tokens).await);
    let own = world.own(&seat).await;
    assert_eq!(
        (&own["status"], &own["instance_url"]),
        (&json!("not_connected"), &Value::Null)
    );
    assert_eq!(end().await.code(), "not_connected");
    assert_eq!(
        world.audit("connection.disconnect").await[0].actor,
        format!("seat:{}", seat.seat)
    );

    // The administrator ends the connection that it belongs to.
    world.sign_in_own(&seat, SELLER).await.is(200);
    let tokens = world.tokens(kind(&seat)).await;
    world.disconnect(PRODUCTION, false).await.is(202);
    world.settle().await;
    over(&seat).await;
    assert!(revoked(tokens).await);
    assert_eq!(world.own(&seat).await["problem"]["code"], "not_connected");

    // The seat goes, with its sign-in; one that is under way fails.
    world.connect_and_import(PRODUCTION).await;
    world.sign_in_own(&seat, SELLER).await.is(200);
    let tokens = world.tokens(kind(&seat)).await;
    let started = world.begin_own(&seat, SELLER).await;
    let back = world.sign_in(&started).await;
    let path = format!("/seats/{}", seat.seat);
    world.api(Method::DELETE, &path, Value::Null).await.is(204);
    let late = world.come_back(&world.apps, &back, &started.cookie).await;
    assert_eq!((late.status, late.code()), (403, "role_not_allowed"));
    world.settle().await;
    over(&seat).await;
    assert!(revoked(tokens).await);
    world.stop().await;
}

for_both!(several_threads a_seat_that_goes_during_its_sign_in_leaves_none_behind);
async fn a_seat_that_goes_during_its_sign_in_leaves_none_behind(crm: CrmKind) {
    let world = World::start(crm).await;
    world.connect_and_import(PRODUCTION).await;
    let server = match crm {
        CrmKind::Salesforce => "salesforce",
        CrmKind::Dynamics365 => "entra",
    };
    for (method, body) in [
        (
            Method::PUT,
            json!({ "name": "S", "email": SELLER, "role": "salesperson", "enabled": false }),
        ),
        (Method::DELETE, Value::Null),
    ] {
        let seat = world.seat(SELLER).await;
        let started = world.begin_own(&seat, SELLER).await;
        let back = world.sign_in(&started).await;
        world.fault(json!({ "system": server, "path_contains": "/token", "kind": "slow", "delay_ms": 500 })).await;
        world.forget_calls().await;
        let path = format!("/seats/{}", seat.seat);
        let end = async {
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            world.api(method.clone(), &path, body).await
        };
        let (answer, ended) =
            tokio::join!(world.come_back(&world.apps, &back, &started.cookie), end);
        world.no_faults().await;
        assert!([200, 204].contains(&ended.status), "{}", ended.json);
        assert_eq!(
            (answer.status, answer.code()),
            (403, "role_not_allowed"),
            "{method}: {}",
            answer.json
        );
        assert_eq!(world.connection(kind(&seat)).await, None, "{method}");
        if crm == CrmKind::Salesforce {
            assert_eq!(world.count_calls("/revoke").await, 1, "{method}");
        }
        if method == Method::PUT {
            world.api(Method::DELETE, &path, Value::Null).await.is(204);
        }
    }
    world.stop().await;
}
