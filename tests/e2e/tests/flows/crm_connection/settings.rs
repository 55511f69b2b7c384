//! The settings of an environment: chosen from the CRM's own options, validated when they are saved,
//! kept and logged (CN-9, CN-10).

use axum::http::Method;
use serde_json::{Value, json};
use shared::domain::schema::CrmKind;

use super::world::{Answer, PRODUCTION, SANDBOX, World, for_both};

impl World {
    async fn save_sync(&self, settings: Value) -> Answer {
        // The audit log is in the order of time.
        self.clock.advance(1);
        self.of(PRODUCTION, Method::PUT, "/sync-settings", settings)
            .await
    }

    async fn save_roi(&self, roi: Value) -> Answer {
        self.clock.advance(1);
        self.of(PRODUCTION, Method::PUT, "/roi-reporting", roi)
            .await
    }

    async fn saved(&self, path: &str) -> Value {
        self.of(PRODUCTION, Method::GET, path, Value::Null)
            .await
            .is(200)
            .json
    }
}

/// The CRM's choices from the start: stage, lead source, value field, currency.
fn offered(crm: CrmKind) -> [&'static str; 4] {
    match crm {
        CrmKind::Salesforce => ["Prospecting", "Web", "Amount", "EUR"],
        CrmKind::Dynamics365 => ["1", "8", "estimatedvalue", "EUR"],
    }
}

for_both!(each_choice_is_one_of_the_crms_own_or_not_sure);
async fn each_choice_is_one_of_the_crms_own_or_not_sure(crm: CrmKind) {
    let world = World::start(crm).await;
    let [stage, source, field, currency] = offered(crm);
    // Before anything is connected there is nothing to choose from; not sure is an answer.
    for refused in [
        world.save_sync(json!({ "pipeline_stage": stage })).await,
        world
            .save_roi(json!({ "enabled": false, "won_value_field": field }))
            .await,
        world
            .of(PRODUCTION, Method::GET, "/options", Value::Null)
            .await,
    ] {
        assert_eq!((refused.status, refused.code()), (409, "not_connected"));
    }
    world
        .save_sync(json!({ "pipeline_stage": null }))
        .await
        .is(200);

    world.connect_and_import(PRODUCTION).await;
    let options = world
        .of(PRODUCTION, Method::GET, "/options", Value::Null)
        .await
        .is(200)
        .json;
    for (list, name, value) in [
        ("stages", "value", stage),
        ("lead_sources", "value", source),
        ("value_fields", "name", field),
        ("currencies", "code", currency),
    ] {
        let listed = options[list].as_array().unwrap();
        assert!(
            listed.iter().any(|item| item[name] == value),
            "{crm:?}: {value} of {listed:?}"
        );
    }
    for (settings, code, name) in [
        (
            json!({ "pipeline_stage": "Nonsense" }),
            "unknown_stage",
            "pipeline_stage",
        ),
        (
            json!({ "lead_source": "Nonsense" }),
            "unknown_lead_source",
            "lead_source",
        ),
        // One right choice does not carry a wrong one along.
        (
            json!({ "pipeline_stage": stage, "lead_source": "" }),
            "unknown_lead_source",
            "lead_source",
        ),
    ] {
        let refused = world.save_sync(settings).await;
        assert_eq!((refused.status, refused.code()), (422, code));
        assert_eq!(refused.json["field"], name);
        assert_ne!(refused.json["next_step"], "");
    }
    let roi = |field: &str, currency: Value| json!({ "enabled": true, "won_value_field": field, "currency": currency });
    for (roi, code, name) in [
        (
            roi("Nonsense", json!(currency)),
            "unknown_value_field",
            "won_value_field",
        ),
        (roi(field, json!("ZZZ")), "unknown_currency", "currency"),
        (roi(field, json!("eur")), "unknown_currency", "currency"),
        (roi(field, Value::Null), "currency_needed", "currency"),
    ] {
        let refused = world.save_roi(roi).await;
        assert_eq!((refused.status, refused.code()), (422, code));
        assert_eq!(refused.json["field"], name);
    }
    assert_eq!(
        world.saved("/sync-settings").await["pipeline_stage"],
        Value::Null
    );
    assert_eq!(
        world.saved("/roi-reporting").await,
        json!({ "enabled": false, "won_value_field": null, "currency": null, "team_figures": false })
    );

    world
        .save_sync(json!({ "pipeline_stage": stage, "lead_source": source }))
        .await
        .is(200);
    world.save_roi(roi(field, json!(currency))).await.is(200);
    // Not sure, and off: no currency is needed.
    world.save_sync(json!({})).await.is(200);
    assert_eq!(
        world.saved("/sync-settings").await["pipeline_stage"],
        Value::Null
    );
    world.save_roi(json!({ "enabled": false })).await.is(200);
    world
        .save_roi(json!({ "enabled": true, "currency": currency }))
        .await
        .is(200);
    assert_eq!(
        world.saved("/roi-reporting").await["won_value_field"],
        Value::Null
    );
    world.stop().await;
}

for_both!(a_choice_that_is_new_in_the_crm_is_accepted_and_one_that_is_gone_is_not);
async fn a_choice_that_is_new_in_the_crm_is_accepted_and_one_that_is_gone_is_not(crm: CrmKind) {
    let world = World::start(crm).await;
    world.connect_and_import(PRODUCTION).await;
    let post = async |path: &str, body: Value| world.control(Method::POST, path, body).await;
    let (stage, source, field, currency) = match crm {
        CrmKind::Salesforce => {
            post("/records/salesforce/OpportunityStage", json!({ "ApiName": "Demo", "MasterLabel": "Demo", "IsActive": true, "IsClosed": false, "IsWon": false, "SortOrder": 20, "DefaultProbability": 30, "ForecastCategoryName": "Pipeline" })).await;
            post(
                "/fields/salesforce/Lead",
                json!({ "name": "LeadSource", "values": ["Web", "Trade Fair"] }),
            )
            .await;
            post(
                "/fields/salesforce/Opportunity",
                json!({ "name": "Won_Value__c", "type": "currency" }),
            )
            .await;
            world.settings(json!({ "multi_currency": true })).await;
            ("Demo", "Trade Fair", "Won_Value__c", "USD")
        }
        CrmKind::Dynamics365 => {
            post("/fields/dataverse/opportunity", json!({ "name": "salesstage", "restricted_values": { "0": "Anfrage", "7": "Angebot" } })).await;
            post(
                "/fields/dataverse/lead",
                json!({ "name": "leadsourcecode", "restricted_values": { "12": "Messe" } }),
            )
            .await;
            post(
                "/fields/dataverse/opportunity",
                json!({ "name": "lb_won", "type": "money" }),
            )
            .await;
            post(
                "/records/dataverse/transactioncurrency",
                json!({ "isocurrencycode": "CHF", "currencyname": "Schweizer Franken" }),
            )
            .await;
            ("7", "12", "lb_won", "CHF")
        }
    };
    // One saving for each, so that none is accepted because another one made us look.
    let then = world.snapshot().await;
    for settings in [
        json!({ "pipeline_stage": stage }),
        json!({ "lead_source": source }),
    ] {
        world.reset(&then).await;
        world.save_sync(settings).await.is(200);
    }
    for roi in [
        json!({ "enabled": true, "currency": currency }),
        json!({ "enabled": false, "won_value_field": field }),
    ] {
        world.reset(&then).await;
        world.save_roi(roi).await.is(200);
    }

    // A chosen value stays chosen when the CRM retires it; it cannot be chosen anew.
    let [_, gone, ..] = offered(crm);
    world.reset(&then).await;
    world
        .save_sync(json!({ "lead_source": gone }))
        .await
        .is(200);
    match crm {
        CrmKind::Salesforce => {
            post(
                "/fields/salesforce/Lead",
                json!({ "name": "LeadSource", "values": ["Trade Fair"] }),
            )
            .await
        }
        CrmKind::Dynamics365 => {
            post(
                "/fields/dataverse/lead",
                json!({ "name": "leadsourcecode", "restricted_values": { "12": "Messe" } }),
            )
            .await
        }
    };
    world.sync_now(PRODUCTION).await.is(202);
    world.drain().await;
    assert_eq!(world.saved("/sync-settings").await["lead_source"], gone);
    let refused = world.save_sync(json!({ "lead_source": gone })).await;
    assert_eq!(
        (refused.status, refused.code()),
        (422, "unknown_lead_source")
    );
    world.stop().await;
}

#[tokio::test]
async fn settings_are_kept_for_each_environment_and_logged_with_before_and_after() {
    let world = World::start(CrmKind::Salesforce).await;
    world.connect_and_import(PRODUCTION).await;
    let defaults = world.saved("/sync-settings").await;
    assert_eq!(defaults["auto_sync_seat_holders"], true);
    let switches: Vec<&str> = defaults
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, value)| value.is_boolean())
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(switches.len(), 10, "{switches:?}");
    // Each switch is one of its own.
    for name in switches {
        let value = !defaults[name].as_bool().unwrap();
        world.save_sync(json!({ name: value })).await.is(200);
        let saved = world.saved("/sync-settings").await;
        for (other, shown) in saved.as_object().unwrap() {
            let expected = if other == name {
                &json!(value)
            } else {
                &defaults[other.as_str()]
            };
            assert_eq!(shown, expected, "{name}: {other}");
        }
    }
    let auto = json!({ "auto_save": { "accounts": true }, "log_notes": true });
    world.save_sync(auto).await.is(200);
    let saved = world.saved("/sync-settings").await;
    assert_eq!(
        saved["auto_save"],
        json!({ "leads": false, "contacts": false, "accounts": true })
    );
    for bad in [
        json!({ "log_everything": true }),
        json!({ "auto_save": true }),
        json!({ "auto_save": { "notes": true } }),
        json!([]),
    ] {
        let refused = world.save_sync(bad).await;
        assert_eq!((refused.status, refused.code()), (422, "invalid_body"));
    }
    world
        .save_roi(json!({ "enabled": true, "currency": "EUR", "won_value_field": "Amount" }))
        .await
        .is(200);
    world
        .save_roi(json!({ "enabled": false, "currency": "EUR" }))
        .await
        .is(200);

    let other = world
        .of(SANDBOX, Method::GET, "/sync-settings", Value::Null)
        .await;
    assert_eq!(other.json, defaults, "the sandbox has its own");

    let logged = world.audit("crm.sync_settings").await;
    assert_eq!(logged.len(), 11);
    assert_eq!(
        (&logged[0].after, logged[0].target.as_str()),
        (&saved, "production")
    );
    assert_eq!(logged[0].before, logged[1].after);
    assert_eq!(logged[10].before, Value::Null);
    assert!(logged[0].actor.starts_with("administrator-"));
    let logged = world.audit("crm.roi_reporting").await;
    assert_eq!(
        (&logged[0].before["enabled"], &logged[0].after["enabled"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(logged[1].before, Value::Null);

    // They outlive the process, and a connection that ends and comes back.
    world.disconnect(PRODUCTION, true).await.is(202);
    world.settle().await;
    world.connect_and_import(PRODUCTION).await;
    assert_eq!(world.saved("/sync-settings").await, saved);
    assert_eq!(world.saved("/roi-reporting").await["currency"], "EUR");
    world.stop().await;
}
