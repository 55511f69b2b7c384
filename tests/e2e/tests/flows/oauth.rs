//! Connecting a provider by authorization code, against the simulator (CN-3, CN-6, CN-11).

use e2e::oauth_world::{World, connection_kind, with};
use http::{HeaderName, Method, StatusCode, header};
use local::seed::Made;
use serde_json::{Value, json};
use shared::clock::{Clock as _, Millis};
use shared::outbound::Call;
use shared::store::{ConnectionKind, ConnectionState};
use url::Url;

const PROVIDERS: [&str; 3] = ["salesforce", "dataverse", "linkedin"];

/// A call with the stored tokens.
async fn use_connection(world: &World, provider: &str) -> StatusCode {
    let contract = &world.contract(provider).id;
    let sessions = &world.remote.sessions;
    let session = sessions.open(contract, connection_kind(provider)).await;
    let session = session.unwrap();
    let path = match provider {
        "salesforce" => "/services/data/v67.0/limits".to_owned(),
        "dataverse" => "/api/data/v9.2/WhoAmI".to_owned(),
        _ => {
            let now = world.clock.now().0;
            format!(
                "/rest/leadFormResponses?q=owner&owner=(sponsoredAccount:urn%3Ali%3AsponsoredAccount%3A123)&leadType=(leadType:SPONSORED)&limitedToTestLeads=false&submittedAtTimeRange=(start:{},end:{now})",
                now - 1000
            )
        }
    };
    let url = session.url(&path).unwrap();
    let header = |name: &'static str| HeaderName::from_static(name);
    let call = Call::new(session.provider, Method::GET, url)
        .header(header("linkedin-version"), "202606")
        .header(header("x-restli-protocol-version"), "2.0.0");
    session.send(call).await.unwrap().status
}

#[tokio::test]
async fn every_provider_connects_and_its_tokens_work_and_renew() {
    let world = World::start().await;
    for provider in PROVIDERS {
        let started = world.start_sign_in(provider).await;
        assert_eq!(started.parameter("code_challenge_method"), "S256");
        assert_eq!(started.parameter("code_challenge").len(), 43);
        let contract = &world.contract(provider).id;
        let state = started.parameter("state");
        assert!(state.starts_with(&format!("{contract}.")), "{state}");
        assert_eq!(state.len(), contract.as_str().len() + 1 + 43);

        let back = world.sign_in(&started.authorize_url).await;
        let page = world
            .get_callback(&back, Some(&started.cookie), "text/html,*/*;q=0.8")
            .await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text);
        assert!(page.text.contains("<h1>Connected</h1>"), "{}", page.text);
        assert!(!page.text.contains("<script"));
        let policy = page.headers[header::CONTENT_SECURITY_POLICY]
            .to_str()
            .unwrap();
        assert!(policy.starts_with("default-src 'none'"));
        assert_eq!(page.headers[header::CACHE_CONTROL], "no-store");
        assert_eq!(page.headers[header::REFERRER_POLICY], "no-referrer");
        let forgotten = page.headers[header::SET_COOKIE].to_str().unwrap();
        assert!(forgotten.ends_with("Max-Age=0"), "{forgotten}");

        let connection = world.connection(provider).await.unwrap();
        assert_eq!(connection.state, ConnectionState::Connected);
        assert_eq!((connection.version, connection.refresh_until), (1, None));
        assert_eq!(connection.provider.as_str(), provider);
        match provider {
            "salesforce" => assert!(connection.organization.starts_with("00D")),
            "dataverse" => assert_eq!(connection.organization.len(), 36),
            _ => assert_eq!(connection.organization, ""),
        }
        assert!(connection.sealed_tokens.unwrap().starts_with("v1."));
        assert_eq!(use_connection(&world, provider).await, StatusCode::OK);
    }

    // Past the end of each access token; LinkedIn's lasts 60 days.
    for (provider, seconds) in PROVIDERS.iter().zip([3 * 3600, 3 * 3600, 61 * 86_400]) {
        world.advance(seconds).await;
        assert_eq!(use_connection(&world, provider).await, StatusCode::OK);
        let connection = world.connection(provider).await.unwrap();
        assert_eq!(connection.version, 2, "{provider} was refreshed once");
    }

    for provider in PROVIDERS {
        let contract = &world.contract(provider).id;
        let log = world.store().audit_log(contract, 10, None).await.unwrap();
        let target = connection_kind(provider).to_string();
        let connect = |entry: &&shared::domain::contract::AuditEntry| {
            entry.target == target && entry.action == "connection.connect"
        };
        let entry = log.items.iter().find(connect);
        let entry = entry.unwrap();
        assert!(entry.actor.starts_with("administrator-"));
        assert_eq!(entry.before, Value::Null);
        let text = serde_json::to_string(entry).unwrap();
        assert!(!text.contains("token") && !text.contains("v1."), "{text}");
    }
    world.stop().await;
}

#[tokio::test]
async fn an_attempt_works_once_in_time_in_its_own_browser_and_contract() {
    let world = World::start().await;
    let refused = async |back: &Url, cookie: Option<&str>| {
        let answer = world.get_callback(back, cookie, "application/json").await;
        let (status, code) = answer.problem();
        assert_eq!(status, 400);
        assert!(
            answer.json()["next_step"]
                .as_str()
                .unwrap()
                .starts_with("Start")
        );
        code
    };

    // States that were never given out, well-formed and not.
    let started = world.start_sign_in("salesforce").await;
    let back = world.sign_in(&started.authorize_url).await;
    let state = started.parameter("state");
    let random = state.split_once('.').unwrap().1;
    for forged in [
        format!("acme-salesforce.{}", "A".repeat(43)),
        format!("acme-dynamics.{random}"),
        format!("acme-salesforce.{random}x"),
        random.to_owned(),
        "..".to_owned(),
        "ACME#.x".to_owned(),
        String::new(),
    ] {
        let back = with(&back, "state", &forged);
        let code = refused(&back, Some(&started.cookie)).await;
        assert_eq!(code, "oauth_state_unknown", "{forged}");
    }
    let mut bare = back.clone();
    bare.set_query(None);
    assert_eq!(
        refused(&bare, Some(&started.cookie)).await,
        "oauth_state_unknown"
    );

    // None of that touched the attempt itself; completed, it is used up.
    let answer = world.come_back(&back, &started.cookie).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let before = world.connection("salesforce").await;
    assert_eq!(
        refused(&back, Some(&started.cookie)).await,
        "oauth_state_used"
    );
    assert_eq!(world.connection("salesforce").await, before);

    // Too late: its ten minutes are over to the millisecond.
    let started = world.start_sign_in("linkedin").await;
    world.advance(600).await;
    let back = world.sign_in(&started.authorize_url).await;
    assert_eq!(
        refused(&back, Some(&started.cookie)).await,
        "oauth_state_expired"
    );

    // Another browser: no cookie, another's cookie, the cookie of a later start.
    let other = world.start_sign_in("linkedin").await;
    for cookie in [None, Some(other.cookie.as_str()), Some("__Host-lb_oauth=")] {
        let started = world.start_sign_in("linkedin").await;
        let back = world.sign_in(&started.authorize_url).await;
        assert_eq!(refused(&back, cookie).await, "oauth_other_browser");
        // Seen elsewhere, it is used up in its own browser too.
        assert_eq!(
            refused(&back, Some(&started.cookie)).await,
            "oauth_state_used"
        );
    }

    // An answer that names another server (RFC 9207).
    let back = world.sign_in(&other.authorize_url).await;
    let foreign = with(&back, "iss", "https://login.evil.example");
    assert_eq!(
        refused(&foreign, Some(&other.cookie)).await,
        "oauth_other_issuer"
    );

    // Without a code.
    let started = world.start_sign_in("linkedin").await;
    let back = world.sign_in(&started.authorize_url).await;
    let empty = with(&back, "code", "");
    assert_eq!(
        refused(&empty, Some(&started.cookie)).await,
        "oauth_code_missing"
    );
    assert_eq!(world.connection("linkedin").await, None);
    world.stop().await;
}

#[tokio::test]
async fn only_the_roles_that_may_can_start() {
    let world = World::start().await;
    for provider in PROVIDERS {
        let contract = world.contract(provider);
        let target = world.target(provider);
        let salesperson = world
            .post_start(&contract.tokens.salesperson, provider, &target)
            .await;
        if provider == "linkedin" {
            assert_eq!(salesperson.status, StatusCode::OK, "{}", salesperson.text);
        } else {
            assert_eq!(
                salesperson.problem(),
                (403, "role_not_allowed".to_owned()),
                "{provider}"
            );
        }
        let service = world
            .post_start(&contract.tokens.service, provider, &target)
            .await;
        assert_eq!(service.problem(), (403, "role_not_allowed".to_owned()));
        assert!(service.headers.get(header::SET_COOKIE).is_none());
        let wrong = format!("{}x", contract.tokens.administrator);
        for token in [
            wrong.as_str(),
            "",
            "lbt.acme-salesforce.none.0123456789abcdef",
        ] {
            let answer = world.post_start(token, provider, &target).await;
            assert_eq!(answer.problem(), (401, "unauthenticated".to_owned()));
        }
    }
    world.stop().await;
}

#[tokio::test]
async fn a_contract_connects_its_own_crm_at_addresses_of_the_provider() {
    let world = World::start().await;
    let simulator = &world.stack.simulator;
    let code = async |made: &Made, provider: &str, body: Value| {
        let token = &made.tokens.administrator;
        let answer = world.post_start(token, provider, &body).await;
        assert!(answer.headers.get(header::SET_COOKIE).is_none());
        answer.problem()
    };
    let problem = |status: u16, code: &str| (status, code.to_owned());

    let (salesforce, dynamics) = (&world.salesforce, &world.dynamics);
    let target = world.target("dataverse");
    assert_eq!(
        code(salesforce, "dataverse", target).await,
        problem(409, "other_crm")
    );
    let target = world.target("salesforce");
    assert_eq!(
        code(dynamics, "salesforce", target).await,
        problem(409, "other_crm")
    );
    for provider in ["entra", "hubspot", "Salesforce"] {
        assert_eq!(
            code(salesforce, provider, json!({})).await,
            problem(404, "not_found")
        );
    }
    for address in [
        "https://login.salesforce.com.evil.example",
        "http://login.salesforce.com",
        "https://169.254.169.254/latest/meta-data",
        simulator.control_url(),
        "javascript:alert(1)",
        "",
    ] {
        let login = json!({ "login_url": address });
        assert_eq!(
            code(salesforce, "salesforce", login).await,
            problem(422, "address_not_allowed"),
            "{address}"
        );
        let organization = json!({ "organization_url": address });
        assert_eq!(
            code(dynamics, "dataverse", organization).await,
            problem(422, "address_not_allowed"),
            "{address}"
        );
    }
    // The address is looked at first: a wrong one says nothing about the contract.
    assert_eq!(
        code(
            dynamics,
            "salesforce",
            json!({ "login_url": "https://x.example" })
        )
        .await,
        problem(422, "address_not_allowed")
    );
    for (made, provider, body) in [
        (dynamics, "dataverse", json!({})),
        (salesforce, "salesforce", json!({ "login": "x" })),
        (salesforce, "salesforce", json!([])),
        (
            salesforce,
            "linkedin",
            json!({ "api": "https://x.example" }),
        ),
        (
            salesforce,
            "salesforce",
            json!({ "login_url": "x".repeat(5000) }),
        ),
    ] {
        assert_eq!(
            code(made, provider, body).await,
            problem(422, "invalid_body")
        );
    }
    // Salesforce's own sign-in where none is named.
    let token = &salesforce.tokens.administrator;
    let answer = world.post_start(token, "salesforce", &json!({})).await;
    let url = answer.json()["authorize_url"].as_str().unwrap().to_owned();
    assert!(
        url.starts_with("https://login.salesforce.com/services/oauth2/authorize?"),
        "{url}"
    );
    world.stop().await;
}

#[tokio::test]
async fn a_denied_consent_is_told_as_such() {
    let world = World::start().await;
    let deny = json!({ "deny_consent": true });
    let settings = json!({ "salesforce": deny, "dataverse": deny, "linkedin": deny });
    world.control(Method::PATCH, "/settings", settings).await;
    for provider in PROVIDERS {
        let answer = world.connect(provider).await;
        assert_eq!(answer.problem(), (403, "access_denied".to_owned()));
        assert_eq!(world.connection(provider).await, None);
    }
    // A forged error is no way around the cookie, and is not repeated.
    let started = world.start_sign_in("salesforce").await;
    let back = world.sign_in(&started.authorize_url).await;
    let blocked = with(&back, "error", "OAUTH_APP_BLOCKED");
    let answer = world.get_callback(&blocked, None, "*/*").await;
    assert_eq!(answer.problem(), (400, "oauth_other_browser".to_owned()));
    for (error, code) in [
        ("OAUTH_APP_BLOCKED", "app_blocked"),
        ("<b>odd</b>", "sign_in_failed"),
    ] {
        let started = world.start_sign_in("salesforce").await;
        let back = world.sign_in(&started.authorize_url).await;
        let back = with(&back, "error", error);
        let answer = world.come_back(&back, &started.cookie).await;
        assert_eq!(answer.problem().1, code);
        assert!(!answer.text.contains("<b>"), "{}", answer.text);
    }
    world.stop().await;
}

#[tokio::test]
async fn reconnecting_stays_in_the_organisation() {
    let world = World::start().await;
    assert_eq!(world.connect("salesforce").await.status, StatusCode::OK);
    let first = world.connection("salesforce").await.unwrap();
    let contract = &world.salesforce.id;
    let pause = Millis(world.clock.now().0 + 5_000);
    let (store, kind) = (world.store(), ConnectionKind::PRODUCTION);
    store.pause_connection(contract, kind, pause).await.unwrap();

    // The same organisation again: new tokens, and the pause it asked for still holds.
    let answer = world.connect("salesforce").await;
    assert_eq!(answer.json()["organization"], first.organization);
    assert_eq!(answer.json()["state"], "connected");
    let second = world.connection("salesforce").await.unwrap();
    assert_eq!((second.version, second.not_before), (2, Some(pause)));
    assert_ne!(second.sealed_tokens, first.sealed_tokens);
    let log = store.audit_log(contract, 10, None).await.unwrap().items;
    let organizations = |entry: &shared::domain::contract::AuditEntry| {
        let of = |value: &Value| value["organization"].as_str().map(str::to_owned);
        (of(&entry.before), of(&entry.after))
    };
    let id = Some(first.organization.clone());
    let logged: Vec<_> = log.iter().map(organizations).collect();
    assert!(logged.contains(&(None, id.clone())) && logged.contains(&(id.clone(), id)));

    // Another one: refused, and everything is as it was.
    let started = world.start_sign_in("salesforce").await;
    let sandbox = with(&started.authorize_url, "org", "sandbox");
    let back = world.sign_in(&sandbox).await;
    let answer = world.come_back(&back, &started.cookie).await;
    assert_eq!(answer.problem(), (409, "other_organization".to_owned()));
    assert!(answer.text.contains(&first.organization), "{}", answer.text);
    assert_eq!(world.connection("salesforce").await, Some(second));

    // A connection that no longer works is mended by signing in.
    world.advance(10).await;
    let revoke = json!({ "provider": "salesforce" });
    world.control(Method::POST, "/tokens/revoke", revoke).await;
    let session = world.remote.sessions.open(contract, kind).await.unwrap();
    let url = session.url("/services/data/v67.0/limits").unwrap();
    let call = Call::new(session.provider, Method::GET, url);
    assert!(session.send(call).await.is_err());
    let broken = world.connection("salesforce").await.unwrap();
    assert_eq!(broken.state, ConnectionState::SignInNeeded);
    assert_eq!(world.connect("salesforce").await.status, StatusCode::OK);
    let mended = world.connection("salesforce").await.unwrap();
    assert_eq!(mended.state, ConnectionState::Connected);
    assert_eq!(mended.version, broken.version + 1);
    world.remote.sessions.forget(contract, kind).await;
    assert_eq!(use_connection(&world, "salesforce").await, StatusCode::OK);
    world.stop().await;
}

#[tokio::test]
async fn of_two_first_sign_ins_at_once_one_organisation_stays() {
    let world = World::start().await;
    let mut ways = Vec::new();
    for org in ["production", "sandbox"] {
        let started = world.start_sign_in("salesforce").await;
        let url = with(&started.authorize_url, "org", org);
        ways.push((world.sign_in(&url).await, started.cookie));
    }
    let (left, right) = tokio::join!(
        world.come_back(&ways[0].0, &ways[0].1),
        world.come_back(&ways[1].0, &ways[1].1),
    );
    let connection = world.connection("salesforce").await.unwrap();
    let (won, lost) = if left.status == StatusCode::OK {
        (left, right)
    } else {
        (right, left)
    };
    assert_eq!(won.json()["organization"], connection.organization);
    assert_eq!(lost.problem(), (409, "other_organization".to_owned()));
    assert_eq!(connection.version, 1);

    // The same callback twice at once: one of them completes it.
    let started = world.start_sign_in("linkedin").await;
    let back = world.sign_in(&started.authorize_url).await;
    let (left, right) = tokio::join!(
        world.come_back(&back, &started.cookie),
        world.come_back(&back, &started.cookie),
    );
    let mut statuses = [left.status.as_u16(), right.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400]);
    world.stop().await;
}

#[tokio::test]
async fn a_providers_failure_changes_nothing_and_says_what_to_do() {
    let world = World::start().await;
    let evil = json!({
        "access_token": "a-token-to-steal", "refresh_token": "r",
        "instance_url": "https://evil.example", "id": "https://login.salesforce.com/id/00Dx0000000BV7z/005x",
    });
    let no_refresh_token = json!({
        "access_token": "a", "instance_url": world.stack.simulator.salesforce_url(),
        "id": "https://login.salesforce.com/id/00Dx0000000BV7z/005x",
    });
    let refused_client = json!({ "error": "invalid_client", "error_description": "secret text" });
    let token = |body: Value, status: u16| json!({ "system": "salesforce", "path_contains": "/token", "kind": "status", "status": status, "body": body });
    let who_am_i = |kind: &str, status: u16| json!({ "system": "dataverse", "path_contains": "WhoAmI", "kind": kind, "status": status });
    for (provider, fault, status, code) in [
        ("salesforce", token(evil, 200), 502, "address_not_allowed"),
        (
            "salesforce",
            token(no_refresh_token, 200),
            502,
            "no_refresh_token",
        ),
        (
            "salesforce",
            token(json!({ "access_token": "a", "refresh_token": "r" }), 200),
            400,
            "identity_token_refused",
        ),
        (
            "salesforce",
            token(refused_client, 400),
            502,
            "oauth_app_refused",
        ),
        (
            "salesforce",
            token(json!("gone"), 503),
            503,
            "could_not_connect",
        ),
        (
            "salesforce",
            json!({ "system": "salesforce", "path_contains": "/token", "kind": "drop" }),
            503,
            "could_not_connect",
        ),
        (
            "salesforce",
            json!({ "system": "salesforce", "path_contains": "/token", "kind": "garbage" }),
            503,
            "could_not_connect",
        ),
        (
            "dataverse",
            who_am_i("status", 403),
            403,
            "insufficient_access",
        ),
        ("dataverse", who_am_i("status", 500), 502, "crm_api_error"),
        ("dataverse", who_am_i("garbage", 200), 502, "crm_api_error"),
        (
            "dataverse",
            who_am_i("lost_reply", 200),
            503,
            "could_not_connect",
        ),
    ] {
        world.control(Method::POST, "/faults", fault).await;
        let answer = world.connect(provider).await;
        assert_eq!(answer.problem(), (status, code.to_owned()));
        for secret in ["a-token-to-steal", "secret text", "evil.example"] {
            assert!(!answer.text.contains(secret), "{}", answer.text);
        }
        assert_eq!(world.connection(provider).await, None);
    }
    for provider in ["salesforce", "dataverse"] {
        assert_eq!(world.connect(provider).await.status, StatusCode::OK);
    }
    world.stop().await;
}
