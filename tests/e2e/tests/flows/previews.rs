//! Mappings, strategies and scoring rules tried out before they are saved (LG-2 to LG-7), with both CRMs.

use e2e::worker::{id_of, messages, post};
use e2e::{Harness, Tenant};
use local::seed::lead_field;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use shared::domain::schema::CrmKind;

use crate::erasure::dump;

async fn ask(tenant: &Tenant<'_>, path: &str, body: &Value) -> Value {
    let (status, answer) = tenant.api(Method::POST, path, Some(body.clone())).await;
    assert_eq!(status, StatusCode::OK, "{path}: {answer}");
    answer
}

/// The entry of a list that has this text under a name.
fn entry<'a>(list: &'a Value, name: &str, text: &str) -> &'a Value {
    let mut entries = list.as_array().unwrap().iter();
    let found = entries.find(|entry| entry[name] == text);
    found.unwrap_or_else(|| panic!("no {name} {text} in {list:#}"))
}

/// LG-2, LG-6, LG-7: a preview shows the result of the code that writes, and writes nothing, neither to the table nor
/// to the CRM.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn previews_show_what_would_be_done_and_do_nothing() {
    let harness = Harness::embedded(false).await;
    let stranger = harness.tenant(CrmKind::Salesforce).await;
    for crm in [CrmKind::Salesforce, CrmKind::Dynamics365] {
        let tenant = harness.tenant(crm).await;
        let of = |name: &str| lead_field(name, crm).to_owned();
        let title = match crm {
            CrmKind::Salesforce => "Title",
            CrmKind::Dynamics365 => "jobtitle",
        };
        let always = json!({
            "name": "Always", "matching_lead_fields": [], "always_create_lead": true, "enable_contact_creation": false,
        });
        let made = tenant.api(Method::POST, "/matching-strategies", Some(always));
        assert_eq!(made.await.0, StatusCode::CREATED);
        let mut person = tenant.person("Ada");
        person["motto"] = json!("long ".repeat(100));
        let apps = harness.embedded_stack().apps();
        let (status, answer) = post(apps, &tenant, &person, "k1").await;
        assert_eq!(status, 202, "{answer}");
        let id = id_of(&answer);
        crm_writeback::handle(&apps.writeback, messages(&tenant.made.id, &[&id])).await;
        let detail = tenant.submission(&id).await;
        assert_eq!(detail["state"], "created", "{detail:#}");
        let (before, leads) = (dump(&tenant).await, tenant.leads().await);
        assert_eq!(leads.len(), 1);

        // Seen with examples, and mapped fields with what does not fit.
        let (status, seen) = tenant.api(Method::GET, "/form-fields", None).await;
        assert_eq!((status, &seen["submissions"]), (StatusCode::OK, &json!(1)));
        let motto = entry(&seen["items"], "name", "motto");
        assert_eq!(motto["submissions"], 1);
        let example = motto["examples"][0].as_str().unwrap();
        assert!(example.starts_with("long long") && example.chars().count() <= 101);
        let email = entry(&seen["fits"], "name", "email");
        assert_eq!(
            (&email["values"], &email["left_out"]),
            (&json!(1), &json!(0))
        );

        // The form's traffic.
        let (_, traffic) = tenant.api(Method::GET, "/forms/traffic", None).await;
        let form = &traffic["items"][0];
        assert_eq!(form["weeks"], json!([0, 0, 0, 0, 0, 0, 0, 1]), "{traffic}");
        assert_eq!(
            (&form["total"], &traffic["complete"]),
            (&json!(1), &json!(true))
        );

        // A mapping more and a mapping less, on the newest submission and on one that is named.
        let changes = json!({ "motto": title, "company": null });
        let newest = ask(&tenant, "/mapping-preview", &json!({ "changes": changes })).await;
        let named = json!({ "changes": changes, "submission": id });
        assert_eq!(ask(&tenant, "/mapping-preview", &named).await, newest);
        assert_eq!(newest["submission"]["id"], json!(id));
        let motto = entry(&newest["fields"], "name", "motto");
        assert_eq!(motto["outcome"], "adjusted", "{motto}");
        let shortened = motto["value"].as_str().unwrap();
        assert!(shortened.len() < 300, "{shortened}");
        let company = entry(&newest["values"], "lead_field", &of("company"));
        assert_eq!(company["saved"], "Test Works");
        assert_ne!(company["value"], "Test Works");
        let fit = &newest["fits"][0];
        assert_eq!(
            (&fit["lead_field"], &fit["longer"]),
            (&json!(title), &json!(1))
        );
        let unmapped = entry(&newest["fields"], "name", "company");
        assert_eq!(unmapped["outcome"], "unmapped");

        // The lead of a submission, of the same address in another spelling, and of somebody else.
        let lead = &detail["lead"]["id"];
        let address = tenant.email("ADA").to_uppercase();
        for (wish, joins) in [
            (json!({ "submission": id }), true),
            (json!({ "values": { of("email"): address } }), true),
            (
                json!({ "values": { of("email"): tenant.email("nobody") } }),
                false,
            ),
            (json!({ "values": { of("last_name"): "Tester" } }), false),
            (json!({}), false),
        ] {
            let tried = ask(&tenant, "/matching-strategies/try", &wish).await;
            let active = &tried["items"][0];
            assert_eq!(
                (&active["active"], &active["joins"]),
                (&json!(true), &json!(joins)),
                "{wish}: {tried:#}"
            );
            if joins {
                assert_eq!(active["leads"][0]["id"], *lead);
                assert_eq!(active["leads"][0]["values"][of("last_name")], "Tester");
                assert_eq!(
                    active["reason"],
                    format!("One open lead matched on {}.", of("email"))
                );
            } else {
                assert_eq!(active["leads"], json!([]));
            }
            let other = &tried["items"][1];
            assert_eq!(other["joins"], false);
            assert_eq!(other["reason"], "The strategy always creates a lead.");
        }

        // The points of the submission and the score of its lead.
        let rule = json!({ "new_lead_points": 33, "matched_points": 1, "maximum": 30 });
        let scored = ask(&tenant, "/scoring-rule/preview", &rule).await;
        let scored = &scored["items"][0];
        assert_eq!(
            (&scored["points"], &scored["score"]),
            (&detail["points"], &detail["lead_score"])
        );
        assert_eq!(
            (&scored["points_then"], &scored["score_then"]),
            (&json!(33), &json!(30))
        );

        assert_eq!(
            dump(&tenant).await,
            before,
            "{crm:?}: a preview writes nothing"
        );
        assert_eq!(tenant.leads().await, leads);

        // More fields than a contract can map.
        let many: serde_json::Map<String, Value> = (0..501)
            .map(|number| (format!("f{number}"), json!("x")))
            .collect();
        for (path, name) in [
            ("/mapping-preview", "changes"),
            ("/matching-strategies/try", "values"),
        ] {
            let wish = Some(json!({ name: many }));
            let (status, answer) = tenant.api(Method::POST, path, wish).await;
            assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{path}: {answer}");
            assert_eq!(answer["field"], name);
        }

        // Another contract's submission is none.
        for path in ["/mapping-preview", "/matching-strategies/try"] {
            let theirs = Some(json!({ "submission": id }));
            let (status, answer) = stranger.api(Method::POST, path, theirs).await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{path}: {answer}");
        }
    }
    harness.stop().await;
}
