//! The read permissions of a connected CRM's user, and the CRM's choices for the settings, against the
//! simulator (CN-4, CN-6, CN-9, CN-10).

use std::collections::BTreeMap;

use e2e::{Harness, Tenant};
use reqwest::Method;
use serde_json::{Value, json};
use shared::clock::{Clock as _, Millis, SystemClock};
use shared::crm::{Crm, CrmError, Failure, Reason, failure};
use shared::domain::inventory::{
    AccessReport, CrmOptions, ObjectAccess, ObjectSpec, Right, ValueKind, dataverse_privilege,
    objects,
};
use shared::domain::schema::CrmKind;
use shared::store::ConnectionKind;
use shared::texts::{self, Audience};

const BOTH: [CrmKind; 2] = [CrmKind::Salesforce, CrmKind::Dynamics365];
const NOW: Millis = Millis(1_790_000_000_000);

/// A contract with a CRM of the simulator to itself.
struct World<'a> {
    tenant: Tenant<'a>,
    system: &'static str,
}

impl<'a> World<'a> {
    async fn new(harness: &'a Harness, crm: CrmKind) -> Self {
        let system = match crm {
            CrmKind::Salesforce => "salesforce",
            CrmKind::Dynamics365 => "dataverse",
        };
        Self {
            tenant: harness.tenant(crm).await,
            system,
        }
    }

    async fn control(&self, method: Method, path: &str, body: Value) -> Value {
        let body = (!body.is_null()).then_some(body);
        self.tenant.harness.control(method, path, body).await
    }

    async fn settings(&self, settings: Value) {
        self.control(Method::PATCH, "/settings", json!({ self.system: settings }))
            .await;
    }

    /// The CRM, with the table's present connection.
    async fn crm(&self) -> Box<dyn Crm> {
        let stack = self.tenant.harness.embedded_stack();
        let sessions = &stack.apps().writeback.remote.sessions;
        let contract = &self.tenant.made.id;
        sessions.forget(contract, ConnectionKind::PRODUCTION).await;
        let session = sessions.open(contract, ConnectionKind::PRODUCTION).await;
        shared::crm::open(session.unwrap())
    }

    async fn access(&self) -> AccessReport {
        self.crm().await.access(NOW).await.unwrap()
    }

    async fn options(&self) -> CrmOptions {
        self.crm().await.options(NOW).await.unwrap()
    }

    /// The one object of which something is missing.
    async fn only_finding(&self, about: &str) -> ObjectAccess {
        let report = self.access().await;
        let mut findings = report.objects.into_iter().filter(|o| !o.is_complete());
        let finding = findings.next();
        assert!(findings.next().is_none(), "{about}: more than one finding");
        let finding = finding.unwrap_or_else(|| panic!("{about}: no finding"));
        assert!(finding.next_step.is_some(), "{about}");
        finding
    }

    async fn assert_complete(&self, about: &str) {
        let report = self.access().await;
        assert!(report.is_complete(), "{about}: {report:#?}");
    }

    /// The calls that were made since the last time.
    async fn calls(&self) -> Vec<Value> {
        let path = format!("/ledger?system={}", self.system);
        let ledger = self.control(Method::GET, &path, Value::Null).await;
        self.control(Method::DELETE, "/ledger", Value::Null).await;
        let entries = ledger.get("entries").unwrap_or(&ledger);
        entries.as_array().unwrap().clone()
    }
}

/// The name of a field's column in metadata.
fn column(field: &str) -> &str {
    let look_up = field.strip_prefix('_');
    look_up
        .and_then(|field| field.strip_suffix("_value"))
        .unwrap_or(field)
}

/// The objects that an organisation with one currency has.
fn specs(crm: CrmKind) -> impl Iterator<Item = &'static ObjectSpec> {
    let all = objects(crm).iter();
    all.filter(|spec| !spec.several_currencies_only)
}

#[tokio::test]
async fn an_administrator_sees_everything_in_few_calls() {
    let harness = Harness::embedded(false).await;
    for crm in BOTH {
        let world = World::new(&harness, crm).await;
        let client = world.crm().await;
        world.calls().await;
        let report = client.access(NOW).await.unwrap();
        assert!(report.is_complete(), "{report:#?}");
        assert_eq!((report.crm, report.checked_at), (crm, NOW));
        let names: Vec<&str> = report.objects.iter().map(|o| o.object.as_str()).collect();
        let expected: Vec<&str> = specs(crm).map(|spec| spec.name).collect();
        assert_eq!(names, expected);
        let calls = world.calls().await;
        let most = if crm == CrmKind::Salesforce { 1 } else { 2 };
        assert_eq!(calls.len(), most, "{calls:#?}");

        client.options(NOW).await.unwrap();
        let calls = world.calls().await;
        assert_eq!(calls.len(), 1, "{calls:#?}");
    }
    harness.stop().await;
}

#[tokio::test]
async fn each_hidden_field_is_exactly_that_finding() {
    let harness = Harness::embedded(false).await;
    for crm in BOTH {
        let world = World::new(&harness, crm).await;
        // The first is the id, which no CRM can hide. One field of every object at a time.
        let most = specs(crm)
            .map(|spec| spec.fields(false).count())
            .max()
            .unwrap();
        for index in 1..most {
            let nth = |spec: &ObjectSpec| spec.fields(false).nth(index);
            let hidden: BTreeMap<&str, [&str; 1]> = specs(crm)
                .filter_map(|spec| Some((spec.name, [column(nth(spec)?)])))
                .collect();
            world.settings(json!({ "hidden_fields": hidden })).await;
            let report = world.access().await;
            assert!(report.is_sufficient(), "{hidden:?}: {report:#?}");
            for (spec, object) in specs(crm).zip(&report.objects) {
                let expected: Vec<&str> = nth(spec).into_iter().collect();
                assert_eq!(object.missing_fields, expected, "{}", spec.name);
                assert!(object.readable && object.missing_rights.is_empty());
                assert_eq!(object.next_step.is_some(), !expected.is_empty());
            }
        }
        world.settings(json!({"hidden_fields": {}})).await;
        world.assert_complete("shown again").await;
    }
    harness.stop().await;
}

#[tokio::test]
async fn each_right_taken_away_is_exactly_that_finding() {
    let harness = Harness::embedded(false).await;
    for crm in BOTH {
        let world = World::new(&harness, crm).await;
        for spec in specs(crm) {
            for right in spec.rights {
                let operation = json!(right);
                let about = format!("{} {operation}", spec.name);
                world
                    .settings(json!({"denied": {spec.name: [operation]}}))
                    .await;
                let finding = world.only_finding(&about).await;
                assert_eq!(finding.object, spec.name, "{about}");
                assert_eq!(finding.readable, *right != Right::Read, "{about}");
                assert!(finding.missing_fields.is_empty(), "{about}");
                // Salesforce hides an object that the user may not read, with all its rights.
                let expected = match (crm, right) {
                    (CrmKind::Salesforce, Right::Read) => spec.rights,
                    _ => std::slice::from_ref(right),
                };
                assert_eq!(finding.missing_rights, expected, "{about}");
                let report = world.access().await;
                let missing = report.unreadable_required();
                let unreadable = spec.required && *right == Right::Read;
                assert_eq!(missing, if unreadable { vec![spec.label] } else { vec![] });
                assert_eq!(report.is_sufficient(), !unreadable, "{about}");
            }
            // Checked again after it was given back.
            world.settings(json!({"denied": {}})).await;
            world.assert_complete(spec.name).await;
        }
    }
    harness.stop().await;
}

#[tokio::test]
async fn less_than_the_organisations_records_is_a_finding() {
    let harness = Harness::embedded(false).await;
    let world = World::new(&harness, CrmKind::Dynamics365).await;
    for spec in specs(CrmKind::Dynamics365) {
        for depth in ["Basic", "Local", "Deep"] {
            for right in spec.rights {
                let privilege = dataverse_privilege(spec.name, *right);
                let about = format!("{privilege} {depth}");
                world
                    .settings(json!({"privileges": {"*": {privilege.clone(): depth}}}))
                    .await;
                if *right != Right::Read {
                    // Our own leads are enough to write to.
                    world.assert_complete(&about).await;
                    continue;
                }
                let finding = world.only_finding(&about).await;
                assert_eq!(finding.object, spec.name, "{about}");
                assert!(finding.readable, "{about}");
                assert_eq!(finding.all_records, Some(false), "{about}");
                assert!(finding.missing_rights.is_empty() && finding.missing_fields.is_empty());
                assert!(finding.next_step.unwrap().contains(&privilege));
                assert_eq!(world.access().await.is_sufficient(), !spec.required);
            }
        }
        world.settings(json!({"privileges": {}})).await;
        world.assert_complete(spec.name).await;
    }
    harness.stop().await;
}

#[tokio::test]
async fn a_secured_column_is_missing_until_a_profile_opens_it() {
    let harness = Harness::embedded(false).await;
    let world = World::new(&harness, CrmKind::Dynamics365).await;
    for (table, column, field) in [
        ("account", "revenue", "revenue"),
        ("lead", "owninguser", "_owninguser_value"),
    ] {
        world
            .settings(json!({"secured_fields": {table: {column: []}}}))
            .await;
        let finding = world.only_finding(column).await;
        assert_eq!((finding.object.as_str(), finding.readable), (table, true));
        assert_eq!(finding.missing_fields, [field]);
        world
            .settings(json!({"secured_fields": {table: {column: ["admin@leadbridge.example"]}}}))
            .await;
        world.assert_complete(column).await;
        world.settings(json!({"secured_fields": {}})).await;
    }
    harness.stop().await;
}

#[tokio::test]
async fn a_user_without_the_api_is_told_so() {
    let harness = Harness::embedded(false).await;
    let cases: [(CrmKind, Value, Value, &str); 4] = [
        (
            CrmKind::Salesforce,
            json!({"api_enabled": false}),
            json!({"api_enabled": true}),
            "API_DISABLED_FOR_ORG",
        ),
        (
            CrmKind::Salesforce,
            json!({"api_disabled_users": ["admin@leadbridge.example"]}),
            json!({"api_disabled_users": []}),
            "API_CURRENTLY_DISABLED",
        ),
        (
            CrmKind::Dynamics365,
            json!({"not_members": ["admin@leadbridge.example"]}),
            json!({"not_members": []}),
            "0x80072560",
        ),
        (
            CrmKind::Dynamics365,
            json!({"without_roles": ["admin@leadbridge.example"]}),
            json!({"without_roles": []}),
            "0x80042f09",
        ),
    ];
    for (crm, taken, given, code) in cases {
        let world = World::new(&harness, crm).await;
        let client = world.crm().await;
        world.settings(taken).await;
        for result in ask(&*client).await {
            let error = result.unwrap_err();
            assert_eq!(failure(&error), Failure::InsufficientAccess, "{code}");
            let CrmError::Refused(refusal) = &error else {
                panic!("{code}: {error:?}");
            };
            assert_eq!(
                (refusal.reason, refusal.code.as_str()),
                (Reason::NoApi, code)
            );
            let problem = texts::crm(&error, crm.label(), Audience::Trail);
            assert_eq!(problem.code, "crm_api_access_missing");
            assert!(problem.detail.contains(code), "{problem}");
        }
        world.settings(given).await;
        world.assert_complete(code).await;
    }
    harness.stop().await;
}

fn names<'a>(items: impl IntoIterator<Item = &'a String>) -> Vec<&'a str> {
    items.into_iter().map(String::as_str).collect()
}

fn codes(options: &CrmOptions) -> Vec<&str> {
    names(options.currencies.iter().map(|currency| &currency.code))
}

#[tokio::test]
async fn salesforces_options_are_its_own_and_change_with_it() {
    let harness = Harness::embedded(false).await;
    let world = World::new(&harness, CrmKind::Salesforce).await;
    let before = world.options().await;
    let stages = names(before.stages.iter().map(|stage| &stage.value));
    assert_eq!((stages[0], stages.len()), ("Prospecting", 10));
    let won: Vec<_> = before.stages.iter().filter(|stage| stage.won).collect();
    assert!(won.len() == 1 && won[0].closed && won[0].position == 8);
    assert_eq!(before.value_fields[0].kind, ValueKind::Currency);
    before.check_value_field("Amount").unwrap();
    before.check_value_field("StageName").unwrap_err();
    before.check_lead_source("Web").unwrap();
    assert_eq!(codes(&before), ["EUR"], "an organisation with one currency");

    // The organisation renames, adds and retires.
    let rows = world
        .control(
            Method::GET,
            "/records/salesforce/OpportunityStage",
            Value::Null,
        )
        .await;
    let id = |name: &str| {
        let rows = rows.as_array().unwrap().iter();
        let mut found = rows.filter(|row| row["ApiName"] == name);
        found.next().unwrap()["Id"].as_str().unwrap().to_owned()
    };
    let stage = |name: &str| format!("/records/salesforce/OpportunityStage/{}", id(name));
    world
        .control(
            Method::PATCH,
            &stage("Qualification"),
            json!({"MasterLabel": "Erstgespräch"}),
        )
        .await;
    world
        .control(
            Method::PATCH,
            &stage("Needs Analysis"),
            json!({"IsActive": false}),
        )
        .await;
    for (object, field) in [
        (
            "Opportunity",
            json!({"name": "Won_Value__c", "type": "currency"}),
        ),
        (
            "Lead",
            json!({"name": "LeadSource", "values": ["Web", "Trade Fair"]}),
        ),
    ] {
        world
            .control(Method::POST, &format!("/fields/salesforce/{object}"), field)
            .await;
    }
    world.settings(json!({"multi_currency": true})).await;
    let after = world.options().await;
    let renamed = after.stage_of("Qualification").unwrap();
    assert_eq!(
        (renamed.label.as_str(), renamed.position),
        ("Erstgespräch", 1)
    );
    assert!(before.check_stage("Needs Analysis").is_ok());
    let problem = after.check_stage("Needs Analysis").unwrap_err();
    assert_eq!(problem.code, "unknown_stage");
    assert!(before.check_value_field("Won_Value__c").is_err());
    after.check_value_field("Won_Value__c").unwrap();
    let sources = names(after.lead_sources.iter().map(|choice| &choice.value));
    assert_eq!(sources, ["Web", "Trade Fair"]);
    assert_eq!(codes(&after), ["EUR", "GBP", "USD"]);
    // With several currencies there is more to read, and the administrator reads it.
    let report = world.access().await;
    assert!(report.is_complete(), "{report:#?}");
    assert_eq!(report.objects.last().unwrap().object, "CurrencyType");

    // Values that the user cannot see are not offered, and that is shown.
    let hidden = json!({"Lead": ["LeadSource"]});
    let denied = json!({"OpportunityStage": ["read"], "CurrencyType": ["read"]});
    world
        .settings(json!({"hidden_fields": hidden, "denied": denied}))
        .await;
    let less = world.options().await;
    assert!(less.lead_sources.is_empty() && less.lead_sources_note.is_some());
    assert!(less.stages.is_empty() && less.stages_note.is_some());
    assert_eq!(
        codes(&less).len(),
        3,
        "the opportunity's own picklist has them too"
    );
    harness.stop().await;
}

#[tokio::test]
async fn dynamics_options_are_its_own_and_change_with_it() {
    let harness = Harness::embedded(false).await;
    let world = World::new(&harness, CrmKind::Dynamics365).await;
    let before = world.options().await;
    let labels = names(before.stages.iter().map(|stage| &stage.label));
    assert_eq!(labels, ["Qualify", "Develop", "Propose", "Close"]);
    assert_eq!(before.stage_of("3-Propose").unwrap().position, 2);
    before.check_value_field("estimatedvalue").unwrap();
    before.check_value_field("exchangerate").unwrap_err();
    assert!(!before.lead_sources.is_empty() && before.lead_sources_note.is_none());
    assert_eq!(codes(&before), ["EUR", "GBP", "USD"]);

    for (table, field) in [
        (
            "opportunity",
            json!({"name": "salesstage", "restricted_values": {"0": "Anfrage", "7": "Angebot"}}),
        ),
        ("opportunity", json!({"name": "lb_won", "type": "money"})),
        (
            "opportunity",
            json!({"name": "lb_seats", "type": "integer"}),
        ),
        (
            "lead",
            json!({"name": "leadsourcecode", "restricted_values": {"12": "Messe"}}),
        ),
    ] {
        world
            .control(Method::POST, &format!("/fields/dataverse/{table}"), field)
            .await;
    }
    let currency = json!({"isocurrencycode": "CHF", "currencyname": "Schweizer Franken"});
    world
        .control(
            Method::POST,
            "/records/dataverse/transactioncurrency",
            currency,
        )
        .await;
    let after = world.options().await;
    let stages = names(after.stages.iter().map(|stage| &stage.value));
    assert_eq!(stages, ["0", "7"]);
    assert_eq!(after.stage_of("2-Angebot").unwrap().value, "7");
    assert_eq!(after.check_stage("1").unwrap_err().status, 422);
    after.check_value_field("lb_won").unwrap();
    let seats = after
        .value_fields
        .iter()
        .find(|field| field.name == "lb_seats");
    assert_eq!(seats.unwrap().kind, ValueKind::Number);
    after.check_lead_source("12").unwrap();
    after.check_currency("CHF").unwrap();
    assert_eq!(
        before.check_currency("CHF").unwrap_err().code,
        "unknown_currency"
    );

    world
        .settings(json!({
            "denied": {"transactioncurrency": ["read"]},
            "hidden_fields": {"opportunity": ["salesstage"]},
        }))
        .await;
    let less = world.options().await;
    assert!(less.currencies.is_empty() && less.stages.is_empty());
    let note = less.currencies_note.unwrap();
    assert!(note.contains("prvReadTransactionCurrency"), "{note}");
    assert!(less.stages_note.is_some() && less.value_fields_note.is_none());
    harness.stop().await;
}

/// The faults on the way, and the failure that each comes down to.
fn faults(crm: CrmKind) -> Vec<(&'static str, Value, Failure)> {
    let mut faults = vec![
        (
            "server error",
            json!({"kind": "status", "status": 500}),
            Failure::ApiError,
        ),
        ("garbage", json!({"kind": "garbage"}), Failure::ApiError),
        (
            "an empty object",
            json!({"kind": "status", "status": 200, "body": {}}),
            Failure::ApiError,
        ),
        (
            "lost reply",
            json!({"kind": "lost_reply"}),
            Failure::CouldNotConnect,
        ),
        (
            "cut-off reply",
            json!({"kind": "truncate"}),
            Failure::CouldNotConnect,
        ),
        (
            "closed connection",
            json!({"kind": "drop"}),
            Failure::CouldNotConnect,
        ),
    ];
    match crm {
        CrmKind::Salesforce => {
            for code in [
                "API_DISABLED_FOR_ORG",
                "API_CURRENTLY_DISABLED",
                "FUNCTIONALITY_NOT_ENABLED",
            ] {
                let body = json!([{"errorCode": code, "message": "The REST API is not enabled for this Organization."}]);
                faults.push((
                    code,
                    json!({"kind": "status", "status": 403, "body": body}),
                    Failure::InsufficientAccess,
                ));
            }
            let short = json!({"hasErrors": false, "results": [{"statusCode": 200, "result": {}}]});
            faults.push((
                "too few results",
                json!({"kind": "status", "status": 200, "body": short}),
                Failure::ApiError,
            ));
        }
        CrmKind::Dynamics365 => {
            let body = json!({"error": {"code": "0x80072560", "message": "The user is not a member of the organization."}});
            faults.push((
                "no member",
                json!({"kind": "status", "status": 403, "body": body}),
                Failure::InsufficientAccess,
            ));
        }
    }
    faults
}

/// Both questions, each with its own error.
async fn ask(crm: &dyn Crm) -> [Result<(), CrmError>; 2] {
    [
        crm.access(NOW).await.map(drop),
        crm.options(NOW).await.map(drop),
    ]
}

#[tokio::test]
async fn trouble_on_the_way_is_told_apart_and_passes() {
    let harness = Harness::embedded(false).await;
    for crm in BOTH {
        let world = World::new(&harness, crm).await;
        let client = world.crm().await;
        for (about, mut fault, expected) in faults(crm) {
            fault["system"] = json!(world.system);
            fault["method"] = json!("POST");
            fault["times"] = json!(-1);
            world.control(Method::POST, "/faults", fault).await;
            for result in ask(&*client).await {
                assert_eq!(failure(&result.unwrap_err()), expected, "{about}");
            }
            world.control(Method::DELETE, "/faults", Value::Null).await;
            for result in ask(&*client).await {
                result.unwrap_or_else(|error| panic!("after {about}: {error:?}"));
            }
        }
    }
    harness.stop().await;
}

#[tokio::test]
async fn a_second_call_that_fails_is_an_error_too() {
    let harness = Harness::embedded(false).await;
    let world = World::new(&harness, CrmKind::Dynamics365).await;
    let client = world.crm().await;
    for (kind, expected) in [
        (json!({"kind": "garbage"}), Failure::ApiError),
        (json!({"kind": "status", "status": 500}), Failure::ApiError),
        (json!({"kind": "drop"}), Failure::CouldNotConnect),
    ] {
        let mut fault = kind;
        fault["system"] = json!(world.system);
        fault["body_contains"] = json!("RetrieveUserSetOfPrivilegesByNames");
        world.control(Method::POST, "/faults", fault).await;
        let error = client.access(NOW).await.unwrap_err();
        assert_eq!(failure(&error), expected);
        world.assert_complete("after it").await;
    }
    harness.stop().await;
}

#[tokio::test]
async fn a_throttled_crm_says_until_when() {
    let harness = Harness::embedded(false).await;
    for crm in BOTH {
        let world = World::new(&harness, crm).await;
        let client = world.crm().await;
        let fault = match crm {
            // The daily limit, in Salesforce's own words.
            CrmKind::Salesforce => json!({"system": "salesforce", "kind": "status", "status": 403}),
            CrmKind::Dynamics365 => {
                json!({"system": "dataverse", "kind": "status", "status": 429, "retry_after_s": 120})
            }
        };
        world.control(Method::POST, "/faults", fault).await;
        let before = SystemClock.now();
        let error = client.access(NOW).await.unwrap_err();
        let Failure::Throttled(until) = failure(&error) else {
            panic!("{error:?}");
        };
        assert!(until.since(before) >= 120_000, "{until}");
        // No call is made in the meantime.
        world.calls().await;
        let error = client.options(NOW).await.unwrap_err();
        assert_eq!(failure(&error), Failure::Throttled(until));
        assert!(world.calls().await.is_empty());
    }
    harness.stop().await;
}

#[tokio::test]
async fn an_ended_sign_in_is_told_and_an_expired_token_is_renewed() {
    let harness = Harness::embedded(false).await;
    for crm in BOTH {
        let world = World::new(&harness, crm).await;
        let tokens = json!({"provider": world.system});
        world
            .control(Method::POST, "/tokens/expire", tokens.clone())
            .await;
        world.assert_complete("with a new token").await;
        world.control(Method::POST, "/tokens/revoke", tokens).await;
        let error = world.crm().await.access(NOW).await.unwrap_err();
        assert_eq!(failure(&error), Failure::SignInNeeded);
    }
    harness.stop().await;
}
