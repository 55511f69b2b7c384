//! The figures of opportunities that Leadbridge sourced and influenced, and the reasons behind each (RO-1).

use std::collections::BTreeSet;

use e2e::Harness;
use e2e::directory_world::DirectoryWorld;
use e2e::histories::roi::{DAY, Deal, Roi};
use e2e::worker::{id_of, messages, post, spoil};
use reqwest::Method;
use serde_json::{Value as Json, json};
use shared::clock::Clock as _;
use shared::domain::mirror::Value;
use shared::domain::roi::Outcome;
use shared::domain::run::RunKind;
use shared::domain::schema::CrmKind;
use shared::queue::ImportMessage;
use shared::runs;
use shared::store::WorkKind;

const BOTH: [CrmKind; 2] = [CrmKind::Salesforce, CrmKind::Dynamics365];
/// RO-1: a form's response sources the opportunity that its lead becomes, the report is kept as it is, and a
/// seat holder sees nothing of others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_sources_what_its_lead_becomes_and_a_kept_report_stays() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let mut history = Roi::new(&tenant, 7).await;
    let apps = history.world.apps.clone();
    let (status, answer) = post(&apps, &tenant, &tenant.person("Ada"), "k1").await;
    assert_eq!(status, 202, "{answer}");
    let id = id_of(&answer);
    crm_writeback::handle(&apps.writeback, messages(history.world.id(), &[&id])).await;
    let submission = id.parse().unwrap();
    let stored = history
        .world
        .store()
        .submission(history.world.id(), submission);
    let lead = stored.await.unwrap().unwrap().lead.expect("a lead").id;
    let became = vec![(
        "ConvertedOpportunityId",
        Value::Text(history.world.made_id(6, 0)),
    )];
    history.world.write_record("Lead", lead, became).await;
    history.deals.push(Deal {
        // Tomorrow.
        opened: -1,
        outcome: Outcome::Won,
        closed: 1,
        amount: 100,
        currency: 1,
        contacts: BTreeSet::new(),
        gone: false,
    });
    history.write_deal(0).await;
    history.run().await;
    let report = history.report().await;
    let sourced = &report["total"]["sourced"];
    assert_eq!(
        (
            &sourced["won"],
            &sourced["won_value"],
            &sourced["win_permille"]
        ),
        (&json!(1), &json!("50.00"), &json!(1000)),
        "{report}"
    );
    let path = format!(
        "/roi/opportunities?{}&by=form&part=sourced",
        history.query()
    );
    let (_, list) = tenant.api(Method::GET, &path, None).await;
    let reason = &list["items"][0]["reasons"][0];
    assert_eq!(
        (&reason["kind"], &reason["id"], &reason["sources"]),
        (&json!("came_in_by_form"), &json!(id), &json!(true)),
        "{list}"
    );

    let keep = json!({"name": "Last quarter", "question": report["question"]});
    let (status, kept) = tenant.api(Method::POST, "/roi/reports", Some(keep)).await;
    assert_eq!(status, 201, "{kept}");
    history.deals[0].outcome = Outcome::Lost;
    history.write_deal(0).await;
    history.run().await;
    assert_eq!(history.report().await["total"]["sourced"]["won"], 0);
    let path = format!("/roi/reports/{}", kept["id"].as_str().unwrap());
    let (_, again) = tenant.api(Method::GET, &path, None).await;
    assert_eq!(again["report"]["total"], report["total"], "{again}");
    assert_eq!(again["report"]["rates"], report["rates"]);
    let (status, answer) = tenant.api(Method::GET, "/roi/reports?cursor=", None).await;
    assert_eq!(
        (status.as_u16(), &answer["code"]),
        (400, &json!("invalid_cursor"))
    );
    let (status, _) = tenant.api(Method::GET, "/roi/reports/none", None).await;
    assert_eq!(status, 404);

    // A response that cannot be read ends no run, and what was known of it stays.
    let partition = format!("SUBMISSION#{id}");
    assert_eq!(spoil(&tenant, &partition, "SUBMISSION", "state").await, 1);
    history.deals[0].outcome = Outcome::Won;
    history.write_deal(0).await;
    history.run().await;
    assert_eq!(history.report().await["total"]["sourced"]["won"], 1);
    for bad in [
        "from=2026-13-01",
        "days_before=366",
        "currency=euro",
        "from=2010-01-01&to=2026-01-01",
        "from=2021-01-01&to=2026-01-01",
    ] {
        let (status, answer) = tenant.api(Method::GET, &format!("/roi?{bad}"), None).await;
        assert_eq!(
            (status.as_u16(), &answer["code"]),
            (400, &json!("invalid_report")),
            "{bad}"
        );
    }

    let off = json!({"enabled": false, "won_value_field": null, "currency": "EUR"});
    let path = "/crm-connections/production/roi-reporting";
    let (status, answer) = tenant.api(Method::PUT, path, Some(off)).await;
    assert_eq!(status, 200, "{answer}");
    let keep = json!({"name": "Off", "question": report["question"]});
    let (status, answer) = tenant.api(Method::POST, "/roi/reports", Some(keep)).await;
    assert_eq!(
        (status.as_u16(), &answer["code"]),
        (409, &json!("roi_is_off")),
        "nothing is kept of figures that nobody refreshes"
    );
    harness.stop().await;
}

/// CN-10, RO-1: once it is chosen, a field of the organisation's own is imported, and gives the value of what was
/// won.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_field_of_the_organisations_own_is_the_value_of_what_was_won() {
    for crm in BOTH {
        let harness = Harness::embedded(false).await;
        let tenant = harness.tenant(crm).await;
        let world = DirectoryWorld::of(&tenant).await;
        let (system, object) = (
            world.name("salesforce", "dataverse"),
            world.name("Opportunity", "opportunity"),
        );
        let own = world.name("Won_Value__c", "lb_won");
        let field = json!({ "name": own, "type": world.name("currency", "money") });
        let path = format!("/fields/{system}/{object}");
        harness.control(Method::POST, &path, Some(field)).await;
        let account = world.account("Globex", "https://globex.example").await;
        let deal = match crm {
            CrmKind::Salesforce => json!({
                "Name": "Engines", "AccountId": account.id, "CloseDate": "2026-01-01",
                "StageName": "Closed Won", "Amount": 100, own: 70.5,
            }),
            CrmKind::Dynamics365 => json!({
                "name": "Engines", "_parentaccountid_value": account.id,
                "estimatedclosedate": "2026-01-01", "statecode": 1, "statuscode": 3,
                "estimatedvalue": 100, "actualvalue": 100, own: 70.5,
            }),
        };
        world.create(object, deal).await;
        for (chosen, value) in [(Json::Null, "100.00"), (json!(own), "70.50")] {
            let roi = json!({"enabled": true, "won_value_field": chosen, "currency": "EUR"});
            let path = "/crm-connections/production/roi-reporting";
            let (status, answer) = tenant.api(Method::PUT, path, Some(roi)).await;
            assert_eq!(status, 200, "{answer}");
            // Older than a worker keeps the settings.
            world.advance(60).await;
            world.import_only().await;
            let (store, queue) = (world.store(), &world.apps.import.queue);
            let now = world.clock.now();
            let asked = runs::request(store, queue, world.id(), RunKind::Roi, "test", now, 0);
            asked.await.unwrap();
            let message = ImportMessage {
                contract: world.id().clone(),
                work: WorkKind::Run(RunKind::Roi),
            };
            crm_import::work(&world.apps.import, &message).await;
            let day = |seconds: i64| now.plus_seconds(seconds).to_string()[..10].to_owned();
            let (from, to) = (day(-30 * DAY), day(DAY));
            let path = format!("/roi?period=year&from={from}&to={to}&currency=EUR");
            let (_, report) = tenant.api(Method::GET, &path, None).await;
            assert_eq!(
                report["total"]["all"]["won_value"], value,
                "{crm:?} {report}"
            );
        }
        harness.stop().await;
    }
}
