//! Missing read permissions of the connected user, object by object, until they are given back (CN-4).

use axum::http::Method;
use serde_json::{Value, json};
use shared::domain::inventory::{Right, dataverse_privilege, objects};
use shared::domain::schema::CrmKind;

use super::world::{ADMIN, PRODUCTION, SELLER, World, for_both};

/// Takes the right to read an object away from one user.
fn denied(crm: CrmKind, user: &str, object: &str) -> Value {
    match crm {
        CrmKind::Salesforce => json!({ "users": { user: { "denied": { object: ["read"] } } } }),
        CrmKind::Dynamics365 => {
            json!({ "privileges": { user: { dataverse_privilege(object, Right::Read): "None" } } })
        }
    }
}

fn given_back(crm: CrmKind) -> Value {
    match crm {
        CrmKind::Salesforce => json!({ "users": {} }),
        CrmKind::Dynamics365 => json!({ "privileges": {} }),
    }
}

/// The object's entry in a report.
fn object<'a>(report: &'a Value, name: &str) -> &'a Value {
    let mut objects = report["objects"].as_array().unwrap().iter();
    objects.find(|object| object["object"] == name).unwrap()
}

for_both!(a_user_who_may_not_read_a_required_object_stays_at_the_first_step);
async fn a_user_who_may_not_read_a_required_object_stays_at_the_first_step(crm: CrmKind) {
    let world = World::start(crm).await;
    // Nothing was checked yet.
    let none = world
        .of(PRODUCTION, Method::GET, "/permissions", Value::Null)
        .await;
    assert_eq!((none.status, none.code()), (404, "not_checked"));

    let spec = objects(crm).iter().find(|spec| spec.required).unwrap();
    let text = format!(
        "Could not read the required CRM objects from your org: {}.",
        spec.label
    );
    world.settings(denied(crm, SELLER, spec.name)).await;
    let answer = world.connect_as(PRODUCTION, SELLER).await.is(200).json;
    assert_eq!(answer["state"], "connected");
    assert_eq!(answer["message"], json!(text));
    assert_eq!(answer["missing"]["code"], "crm_objects_not_readable");
    let next = "Ask your CRM administrator for read access to these objects (the permission check says what is missing of each), then check the permissions again.";
    assert_eq!(answer["missing"]["next_step"], next);

    // The import that came with the connection says the same, and nothing is imported.
    world.drain().await;
    let view = world.view(PRODUCTION).await;
    assert_eq!(view["guide"]["step"], "connect");
    assert_eq!(
        (&view["message"], &view["problem"]["next_step"]),
        (&json!(text), &json!(next))
    );
    assert_eq!(
        view["guide"]["last_problem"]["problem"]["detail"],
        json!(text)
    );
    assert_eq!(view["sync"]["state"], "failed");
    assert_eq!(view["sync"]["problem"]["detail"], json!(text));
    assert_eq!(view["missing_permissions"], json!([spec.label]));
    let notice = &world.notices(super::world::Who::Administrator, "crm").await[0];
    assert_eq!(
        (&notice["severity"], &notice["problem"]["detail"]),
        (&json!("error"), &json!(text))
    );
    assert!(world.open_work().await.is_empty());

    // A check before the permission is given back: the same. Afterwards it continues.
    let check = async || {
        let path = "/permissions/check";
        world
            .of(PRODUCTION, Method::POST, path, Value::Null)
            .await
            .is(200)
            .json
    };
    assert_eq!(object(&check().await, spec.name)["readable"], false);
    assert_eq!(world.view(PRODUCTION).await["guide"]["step_number"], 1);
    assert!(world.open_work().await.is_empty());
    world.settings(given_back(crm)).await;
    world.advance(60).await;
    let report = check().await;
    assert_eq!(object(&report, spec.name)["readable"], true);
    assert_eq!(report["checked_at"], world.now().0);
    let view = world.view(PRODUCTION).await;
    assert_eq!(
        (&view["guide"]["step_number"], &view["sync"]["state"]),
        (&json!(2), &json!("queued"))
    );
    assert_eq!(view["message"], "Successfully connected, sync in progress");
    assert_eq!(view["missing_permissions"], json!([]));
    assert_eq!(world.drain().await, 1);
    assert_eq!(world.view(PRODUCTION).await["message"], "Connected.");
    assert!(
        world
            .notices(super::world::Who::Administrator, "crm")
            .await
            .is_empty()
    );

    // Once everything is right, a check starts no import.
    check().await;
    assert!(world.open_work().await.is_empty());
    world.stop().await;
}

for_both!(the_check_names_each_object_and_field_and_no_other_users);
async fn the_check_names_each_object_and_field_and_no_other_users(crm: CrmKind) {
    let world = World::start(crm).await;
    world.connect_and_import(PRODUCTION).await;
    let check = async || {
        let path = "/permissions/check";
        world
            .of(PRODUCTION, Method::POST, path, Value::Null)
            .await
            .is(200)
            .json
    };
    for spec in objects(crm)
        .iter()
        .filter(|spec| !spec.several_currencies_only)
    {
        // Another user's missing permissions do not concern this connection.
        world.settings(denied(crm, SELLER, spec.name)).await;
        assert_eq!(
            object(&check().await, spec.name)["readable"],
            true,
            "{}",
            spec.name
        );

        world.settings(denied(crm, ADMIN, spec.name)).await;
        let report = check().await;
        for other in report["objects"].as_array().unwrap() {
            let missing = other["object"] == spec.name;
            assert_eq!(other["readable"], json!(!missing), "{}: {other}", spec.name);
            assert_eq!(
                other["next_step"].is_string(),
                missing,
                "{}: {other}",
                spec.name
            );
        }
        let view = world.view(PRODUCTION).await;
        assert_eq!(view["missing_permissions"], json!([spec.label]));
        assert_eq!(view["problem"].is_null(), !spec.required, "{}", spec.name);
        // The stored report is the one that was shown.
        let kept = world
            .of(PRODUCTION, Method::GET, "/permissions", Value::Null)
            .await;
        assert_eq!(kept.is(200).json, report);
    }
    world.settings(given_back(crm)).await;

    let (object_name, field, hidden) = match crm {
        CrmKind::Salesforce => (
            "Lead",
            "Phone",
            json!({ "users": { ADMIN: { "hidden_fields": { "Lead": ["Phone"] } } } }),
        ),
        CrmKind::Dynamics365 => (
            "account",
            "revenue",
            json!({ "secured_fields": { "account": { "revenue": [SELLER] } } }),
        ),
    };
    world.settings(hidden).await;
    let report = check().await;
    assert_eq!(
        object(&report, object_name)["missing_fields"],
        json!([field])
    );
    let view = world.view(PRODUCTION).await;
    assert_eq!(view["problem"], Value::Null, "the rest is imported");
    assert_eq!(view["missing_permissions"].as_array().unwrap().len(), 1);
    world.stop().await;
}
