//! Every way to fail, from its cause in the CRM to the words that people read and the next step
//! (CN-6, CN-11).

use axum::http::Method;
use serde_json::{Value, json};
use shared::domain::schema::CrmKind;
use shared::store::{ConnectionKind, ConnectionState};

use super::world::{PRODUCTION, Who, World, for_both};

const COULD_NOT_CONNECT: &str = "Could not connect to CRM. Please try again later.";
const API_ERROR: &str = "The CRM API reported an error. Please try again later.";
const INSUFFICIENT: &str = "Your CRM account does not have sufficient access privileges. Please check with your CRM administrator.";

/// A failure: its cause, and the problem that is shown.
struct Case {
    about: &'static str,
    /// A fault of the simulator, or its settings under the name of the CRM.
    fault: Value,
    settings: Value,
    /// Back to normal.
    restore: Value,
    status: u16,
    code: &'static str,
    detail: String,
    next_step: String,
}

impl Case {
    fn fault(about: &'static str, fault: Value, told: (u16, &'static str, &str, String)) -> Self {
        Self {
            about,
            fault,
            settings: Value::Null,
            restore: Value::Null,
            status: told.0,
            code: told.1,
            detail: told.2.to_owned(),
            next_step: told.3,
        }
    }

    fn settings(
        about: &'static str,
        (settings, restore): (Value, Value),
        told: (u16, &'static str, &str, String),
    ) -> Self {
        Self {
            settings,
            restore,
            ..Self::fault(about, Value::Null, told)
        }
    }
}

fn could_not_connect(label: &str) -> (u16, &'static str, &'static str, String) {
    let next = format!("There is a connection error with {label}. Try again in a few minutes.");
    (503, "could_not_connect", COULD_NOT_CONNECT, next)
}

fn api_error(label: &str) -> (u16, &'static str, &'static str, String) {
    let next = format!(
        "Check {label}'s status page and your API access, or ask your CRM representative; then try again."
    );
    (502, "crm_api_error", API_ERROR, next)
}

fn insufficient(next: &str) -> (u16, &'static str, &'static str, String) {
    (403, "insufficient_access", INSUFFICIENT, next.to_owned())
}

fn app_blocked(label: &str) -> (u16, &'static str, String, String) {
    (
        403,
        "app_blocked",
        format!("{label} does not let this user use the app: its administrator has to allow it."),
        format!("Ask the administrator of {label} to install or approve the app; then try again."),
    )
}

fn at(system: &str, path: &str, kind: Value) -> Value {
    let mut fault = kind;
    fault["system"] = json!(system);
    fault["path_contains"] = json!(path);
    fault
}

/// Failures of the sign-in itself: nothing is connected.
fn of_sign_in(crm: CrmKind) -> Vec<Case> {
    let label = crm.label();
    let server = match crm {
        CrmKind::Salesforce => "salesforce",
        CrmKind::Dynamics365 => "entra",
    };
    let mut cases = Vec::new();
    for (about, kind) in [
        ("no answer to the exchange", json!({ "kind": "drop" })),
        ("an answer that is cut off", json!({ "kind": "truncate" })),
        (
            "500 at the exchange",
            json!({ "kind": "status", "status": 500 }),
        ),
        (
            "503 at the exchange",
            json!({ "kind": "status", "status": 503 }),
        ),
        (
            "a page of HTML at the exchange",
            json!({ "kind": "garbage" }),
        ),
    ] {
        cases.push(Case::fault(
            about,
            at(server, "/token", kind),
            could_not_connect(label),
        ));
    }
    let keys = at(server, "/keys", json!({ "kind": "drop" }));
    cases.push(Case::fault(
        "no answer to the question for keys",
        keys,
        could_not_connect(label),
    ));
    let deny = (
        json!({ "deny_consent": true }),
        json!({ "deny_consent": false }),
    );
    let detail = format!("Access to {label} was not granted.");
    let next = "Start the connection again in the settings and allow the access.".to_owned();
    cases.push(Case::settings(
        "the user says no",
        deny,
        (403, "access_denied", &detail, next),
    ));
    let (status, code, detail, next) = app_blocked(label);
    let blocked = |about, settings: Value, restore: Value| {
        let told = (status, code, detail.as_str(), next.clone());
        Case::settings(about, (settings, restore), told)
    };
    match crm {
        CrmKind::Salesforce => {
            let allowed = json!({ "app_access": "allowed" });
            for (about, access) in [
                ("the administrator blocked the app", "blocked"),
                ("the app is not installed", "not_installed"),
                ("the app is not approved for the user", "not_approved"),
            ] {
                cases.push(blocked(
                    about,
                    json!({ "app_access": access }),
                    allowed.clone(),
                ));
            }
            let told = (
                502,
                "sign_in_failed",
                "Salesforce ended the sign-in with the error OAUTH_APPROVAL_ERROR_GENERIC.",
                "Start the connection again in the settings.".to_owned(),
            );
            let unexplained = json!({ "app_access": "unexplained" });
            cases.push(Case::settings(
                "Salesforce says no reason",
                (unexplained, allowed),
                told,
            ));
        }
        CrmKind::Dynamics365 => {
            let granted = json!({ "consent": "granted" });
            for (about, consent) in [
                ("nobody has consented", "required"),
                ("only an administrator may consent", "admin_required"),
            ] {
                cases.push(blocked(
                    about,
                    json!({ "consent": consent }),
                    granted.clone(),
                ));
            }
            for (about, kind, told) in [
                (
                    "no answer to WhoAmI",
                    json!({ "kind": "drop" }),
                    could_not_connect(label),
                ),
                (
                    "a lost answer to WhoAmI",
                    json!({ "kind": "lost_reply" }),
                    could_not_connect(label),
                ),
                (
                    "500 at WhoAmI",
                    json!({ "kind": "status", "status": 500 }),
                    api_error(label),
                ),
                (
                    "a page of HTML at WhoAmI",
                    json!({ "kind": "garbage" }),
                    api_error(label),
                ),
            ] {
                cases.push(Case::fault(about, at("dataverse", "WhoAmI", kind), told));
            }
            cases.extend(outsiders());
        }
    }
    cases
}

/// Users whom Dynamics 365 refuses, though they can sign in.
fn outsiders() -> [Case; 2] {
    [("not_members", "0x80072560"), ("without_roles", "0x80042f09")].map(|(setting, code)| {
        let own = [super::world::ADMIN];
        let settings = (json!({ setting: own }), json!({ setting: [] }));
        let next = format!("Dynamics 365 does not let the connected user use its Web API ({code}). In the Power Platform admin centre, add the connected user to the environment and give it a security role there. Then try again.");
        Case::settings(setting, settings, insufficient(&next))
    })
}

impl World {
    async fn bring_about(&self, case: &Case) {
        if case.fault.is_null() {
            self.settings(case.settings.clone()).await;
        } else {
            self.fault(case.fault.clone()).await;
        }
    }

    async fn undo(&self, case: &Case) {
        self.no_faults().await;
        if !case.restore.is_null() {
            self.settings(case.restore.clone()).await;
        }
    }
}

#[track_caller]
fn is_told(case: &Case, problem: &Value) {
    assert_eq!(problem["code"], case.code, "{}: {problem}", case.about);
    assert_eq!(problem["detail"], case.detail, "{}", case.about);
    assert_eq!(problem["next_step"], case.next_step, "{}", case.about);
    assert_eq!(problem["status"], case.status, "{}", case.about);
}

for_both!(a_sign_in_that_fails_is_told_in_the_documents_words_and_connects_nothing);
async fn a_sign_in_that_fails_is_told_in_the_documents_words_and_connects_nothing(crm: CrmKind) {
    let world = World::start(crm).await;
    for case in of_sign_in(crm) {
        // The keys of the identity tokens are not known yet.
        let apps = world.fresh();
        world.bring_about(&case).await;
        let started = world.begin_crm(&apps, PRODUCTION).await;
        let answer = world.complete(&apps, &started).await;
        world.undo(&case).await;
        assert_eq!(
            answer.status, case.status,
            "{}: {}",
            case.about, answer.json
        );
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        is_told(&case, &answer.json);

        // The guide shows the same when it is opened again.
        let view = world.view(PRODUCTION).await;
        assert_eq!(view["status"], "not_connected", "{}", case.about);
        assert_eq!(view["message"], json!(case.detail), "{}", case.about);
        is_told(&case, &view["problem"]);
        is_told(&case, &view["guide"]["last_problem"]["problem"]);
        assert_eq!(view["guide"]["step_number"], 1);
        assert_eq!(world.connection(ConnectionKind::PRODUCTION).await, None);
        assert!(world.open_work().await.is_empty(), "{}", case.about);
    }
    world.connect_and_import(PRODUCTION).await;
    let view = world.view(PRODUCTION).await;
    assert_eq!(
        (&view["message"], &view["problem"]),
        (&json!("Connected."), &Value::Null)
    );
    assert_eq!(view["guide"]["last_problem"], Value::Null);
    world.stop().await;
}

/// Failures of the permission check: the sign-in went well, but the CRM cannot be read.
fn of_reading(crm: CrmKind) -> Vec<Case> {
    let label = crm.label();
    let (system, path) = match crm {
        CrmKind::Salesforce => ("salesforce", "/composite"),
        CrmKind::Dynamics365 => ("dataverse", "$batch"),
    };
    let fault = |kind: Value| {
        let mut fault = at(system, path, kind);
        fault["times"] = json!(-1);
        fault
    };
    let mut cases = vec![
        Case::fault(
            "no answer",
            fault(json!({ "kind": "drop" })),
            could_not_connect(label),
        ),
        Case::fault(
            "a lost answer",
            fault(json!({ "kind": "lost_reply" })),
            could_not_connect(label),
        ),
        Case::fault(
            "500",
            fault(json!({ "kind": "status", "status": 500 })),
            api_error(label),
        ),
        Case::fault(
            "a page of HTML",
            fault(json!({ "kind": "garbage" })),
            api_error(label),
        ),
    ];
    match crm {
        CrmKind::Salesforce => {
            let own = [super::world::ADMIN];
            for (code, taken, given) in [
                (
                    "API_DISABLED_FOR_ORG",
                    json!({ "api_enabled": false }),
                    json!({ "api_enabled": true }),
                ),
                (
                    "API_CURRENTLY_DISABLED",
                    json!({ "api_disabled_users": own }),
                    json!({ "api_disabled_users": [] }),
                ),
            ] {
                let next = format!(
                    "Salesforce does not let the connected user use its API ({code}). In Salesforce Setup, give the connected user a permission set with “API Enabled”; the edition has to include API access (Professional Edition: as an add-on). Then try again."
                );
                cases.push(Case::settings(code, (taken, given), insufficient(&next)));
            }
        }
        CrmKind::Dynamics365 => cases.extend(outsiders()),
    }
    cases
}

for_both!(a_crm_that_cannot_be_read_is_told_by_the_check_and_passes_by_itself);
async fn a_crm_that_cannot_be_read_is_told_by_the_check_and_passes_by_itself(crm: CrmKind) {
    let world = World::start(crm).await;
    world.connect_and_import(PRODUCTION).await;
    for case in of_reading(crm) {
        world.bring_about(&case).await;
        let answer = world.check(PRODUCTION).await;
        assert_eq!(answer.status, case.status, "{}", case.about);
        is_told(&case, &answer.json);
        let view = world.view(PRODUCTION).await;
        assert_eq!(view["status"], "connected", "{}", case.about);
        assert_eq!(view["message"], case.detail);
        is_told(&case, &view["problem"]);
        // The import shows it too, and waits or needs a person.
        world.sync_now(PRODUCTION).await.is(202);
        world.drain().await;
        let sync = world.view(PRODUCTION).await["sync"].clone();
        is_told(&case, &sync["problem"]);
        let passes = case.code != "insufficient_access";
        let state = if passes { "queued" } else { "failed" };
        assert_eq!(sync["state"], state, "{}", case.about);

        world.undo(&case).await;
        if passes {
            world.settle().await;
        } else {
            // A person has to check again, and then it continues.
            assert!(world.open_work().await.is_empty());
            world.check(PRODUCTION).await.is(200);
            world.drain().await;
        }
        let view = world.view(PRODUCTION).await;
        assert_eq!(view["message"], "Connected.", "{}", case.about);
        assert_eq!(view["problem"], Value::Null, "{}", case.about);
    }
    world.stop().await;
}

for_both!(a_sign_in_into_a_crm_that_cannot_be_read_says_so_at_once);
/// The same right after the sign-in: it is connected, and the next step fails.
async fn a_sign_in_into_a_crm_that_cannot_be_read_says_so_at_once(crm: CrmKind) {
    for case in of_reading(crm) {
        // Without a role a user does not get as far as this in Dynamics 365.
        if crm == CrmKind::Dynamics365 && case.code == "insufficient_access" {
            continue;
        }
        let world = World::start(crm).await;
        world.bring_about(&case).await;
        let answer = world.connect(PRODUCTION).await.is(200).json;
        assert_eq!(answer["state"], "connected");
        assert_eq!(answer["message"], case.detail, "{}", case.about);
        is_told(&case, &answer["missing"]);
        let view = world.view(PRODUCTION).await;
        assert_eq!(view["message"], case.detail, "{}", case.about);
        assert_eq!(view["guide"]["step_number"], 1);
        assert_eq!(view["sync"]["state"], "queued", "{}", case.about);
        world.stop().await;
    }
}

#[tokio::test]
async fn an_administrator_who_is_disabled_in_dynamics_is_told_so() {
    let world = World::start(CrmKind::Dynamics365).await;
    let answer = world
        .connect_as(PRODUCTION, "former@leadbridge.example")
        .await;
    assert_eq!((answer.status, answer.code()), (403, "insufficient_access"));
    assert_eq!(answer.json["detail"], INSUFFICIENT);
    let next = answer.json["next_step"].as_str().unwrap();
    assert!(next.contains("is disabled there (0x80041d1f)"), "{next}");
    assert_eq!(world.connection(ConnectionKind::PRODUCTION).await, None);
    world.stop().await;
}

for_both!(a_connection_that_the_crm_ended_says_so_everywhere_and_is_mended_by_signing_in);
async fn a_connection_that_the_crm_ended_says_so_everywhere_and_is_mended_by_signing_in(
    crm: CrmKind,
) {
    let world = World::start(crm).await;
    let label = world.label();
    world.connect_and_import(PRODUCTION).await;
    let tokens = json!({ "provider": world.system() });
    world.control(Method::POST, "/tokens/revoke", tokens).await;
    assert_eq!(
        world.view(PRODUCTION).await["status"],
        "connected",
        "nobody knows yet"
    );

    // The next call finds out, from any caller.
    world.sync_now(PRODUCTION).await.is(202);
    world.drain().await;
    let detail = format!("{label} no longer accepts the connection's sign-in.");
    let next = format!("Sign in to {label} again in the settings.");
    for _ in 0..2 {
        let view = world.view(PRODUCTION).await;
        assert_eq!(view["status"], "sign_in_needed");
        assert_eq!(view["message"], detail);
        for problem in [&view["problem"], &view["sync"]["problem"]] {
            assert_eq!(problem["detail"], detail);
            assert_eq!(problem["next_step"], next);
        }
        let notices = world.notices(Who::Administrator, "crm").await;
        assert_eq!(notices[0]["severity"], "error");
        assert_eq!(notices[0]["problem"]["next_step"], next);
        let options = world.of(
            PRODUCTION,
            Method::GET,
            "/options?refresh=true",
            Value::Null,
        );
        for refused in [
            world.sync_now(PRODUCTION).await,
            world.check(PRODUCTION).await,
            options.await,
        ] {
            assert_eq!((refused.status, refused.code()), (409, "sign_in_needed"));
            assert_eq!(refused.json["next_step"], next);
        }
        // The schedule asks, and fails, without a call: no process remembers a session so long.
        world.advance(6).await;
        world.forget_calls().await;
        world.start_syncs().await;
        world.settle().await;
        assert!(world.calls().await.is_empty());
    }
    let logged = world.audit("connection.sign_in_needed").await;
    assert_eq!(logged.len(), 1, "it is noted once");
    assert_eq!(logged[0].actor, "system");
    assert_eq!(logged[0].target, "crm");
    assert_eq!(logged[0].before["state"], "connected");
    assert_eq!(logged[0].after["state"], "sign_in_needed");

    world.connect_and_import(PRODUCTION).await;
    let view = world.view(PRODUCTION).await;
    assert_eq!(
        (&view["status"], &view["message"]),
        (&json!("connected"), &json!("Connected."))
    );
    assert!(world.notices(Who::Administrator, "crm").await.is_empty());
    world.stop().await;
}

for_both!(an_app_that_is_blocked_later_is_told_as_such_at_the_next_call);
async fn an_app_that_is_blocked_later_is_told_as_such_at_the_next_call(crm: CrmKind) {
    let cases = [
        (
            CrmKind::Salesforce,
            "app_access",
            "not_installed",
            "app_blocked",
        ),
        (
            CrmKind::Salesforce,
            "app_access",
            "not_approved",
            "app_blocked",
        ),
        // Here the sign-in is over for good.
        (
            CrmKind::Salesforce,
            "app_access",
            "blocked",
            "sign_in_needed",
        ),
        (
            CrmKind::Salesforce,
            "app_access",
            "unexplained",
            "sign_in_needed",
        ),
        (
            CrmKind::Dynamics365,
            "consent",
            "required",
            "sign_in_needed",
        ),
        (
            CrmKind::Dynamics365,
            "consent",
            "admin_required",
            "sign_in_needed",
        ),
    ];
    let world = World::start(crm).await;
    for (_, setting, value, code) in cases.into_iter().filter(|case| case.0 == crm) {
        world.connect_and_import(PRODUCTION).await;
        world.settings(json!({ setting: value })).await;
        let tokens = json!({ "provider": world.system() });
        world.control(Method::POST, "/tokens/expire", tokens).await;
        let answer = world.check(PRODUCTION).await;
        assert_eq!(answer.code(), code, "{value}: {}", answer.json);
        let view = world.view(PRODUCTION).await;
        let connection = world.connection(ConnectionKind::PRODUCTION).await.unwrap();
        if code == "app_blocked" {
            let (_, _, detail, next) = app_blocked(crm.label());
            assert_eq!(view["message"], detail);
            assert_eq!(view["problem"]["next_step"], next);
            assert_eq!(connection.state, ConnectionState::Connected);
        } else {
            assert_eq!(connection.state, ConnectionState::SignInNeeded, "{value}");
        }
        let allowed = if setting == "consent" {
            "granted"
        } else {
            "allowed"
        };
        world.settings(json!({ setting: allowed })).await;
        if code == "app_blocked" {
            // Installed or approved, it works again without a sign-in.
            world.check(PRODUCTION).await.is(200);
            assert_eq!(world.view(PRODUCTION).await["message"], "Connected.");
        }
    }
    world.stop().await;
}
