//! Attacks on a sign-in: states, codes and answers of other flows, other people's organisations, other sites
//! to go to, and forged identity tokens and addresses (CN-3, CN-11). Each attack is refused by the check that
//! is meant for it, and changes nothing.

use std::collections::BTreeMap;

use e2e::oauth_world::{
    Answer, Browser, Logs, PUBLIC_URL, Signer, Started, Trap, World, changes, invited, parameter,
    signed_hs256, unsigned, with, without,
};
use http::{Method, StatusCode, header};
use serde_json::{Value, json};
use shared::clock::Clock as _;
use shared::domain::environment::Environment;
use shared::store::ConnectionKind;
use url::Url;

const ADMIN: &str = "admin@leadbridge.example";
const SELLER: &str = "seller@leadbridge.example";

/// Watches an attack: records the calls, and checks that only attempts are changed.
struct Watch<'a> {
    world: &'a World,
    before: BTreeMap<String, Value>,
}

impl<'a> Watch<'a> {
    async fn begin(world: &'a World) -> Self {
        let before = world.all_items().await;
        Self { world, before }
    }

    /// Comes back from a provider in a way that has to be refused, and asserts that it was refused so,
    /// with these calls and no other.
    async fn refused(
        &self,
        back: &Url,
        cookie: &str,
        (status, code): (u16, &str),
        calls: &[&str],
        case: &str,
    ) -> Answer {
        let mark = self.world.mark().await;
        let answer = self.world.come_back(back, cookie).await;
        assert_eq!(answer.problem(), (status, code.to_owned()), "{case}");
        assert!(!answer.opens_session(), "{case}: {answer:?}");
        assert_eq!(self.world.calls(mark).await, calls, "{case}");
        answer
    }

    async fn end(self, case: &str) {
        let changed = changes(&self.before, &self.world.all_items().await);
        assert_eq!(changed, BTreeMap::new(), "{case}");
    }
}

/// Refused once, and nothing changed.
async fn assert_refused(
    world: &World,
    back: &Url,
    cookie: &str,
    expected: (u16, &str),
    calls: &[&str],
    case: &str,
) -> Answer {
    let watch = Watch::begin(world).await;
    let answer = watch.refused(back, cookie, expected, calls, case).await;
    watch.end(case).await;
    answer
}

/// The way back with a made-up code: for attempts that are refused before the code is used.
fn back_with(state: &str) -> Url {
    let mut back: Url = format!("{PUBLIC_URL}/oauth/callback").parse().unwrap();
    back.query_pairs_mut()
        .append_pair("code", "of-nobody")
        .append_pair("state", state);
    back
}

/// Starts signing in to Leadbridge, and returns the address that the browser is sent to, with its cookie.
async fn start_signing_in(world: &World, way: &str, invitation: Option<&str>) -> Started {
    let mut browser = world.browser();
    let more: Vec<_> = invitation
        .map(|text| ("invitation", text))
        .into_iter()
        .collect();
    let authorize_url = browser.start(way, world.contract(way), &more).await;
    let (name, value) = browser.cookies.first_key_value().unwrap();
    Started {
        authorize_url,
        cookie: format!("{name}={value}"),
    }
}

/// Starts the named flow: `connect salesforce`, `sign-in entra`.
async fn start(world: &World, what: &str) -> Started {
    match what.split_once(' ').unwrap() {
        ("connect", provider) => world.start_sign_in(provider).await,
        (_, way) => start_signing_in(world, way, None).await,
    }
}

/// The provider's call for an exchange of a code that does not fit.
fn exchange_refused(what: &str) -> &'static str {
    match what.split_once(' ').unwrap().1 {
        "salesforce" => "salesforce POST /services/oauth2/token 400",
        "linkedin" => "linkedin POST /oauth/v2/accessToken 400",
        _ => "entra POST /{tenant}/oauth2/v2.0/token 400",
    }
}

#[tokio::test]
async fn a_state_is_good_for_its_contract_provider_purpose_and_browser_only() {
    let world = World::start().await;
    let all = [
        "connect salesforce",
        "connect dataverse",
        "connect linkedin",
        "sign-in salesforce",
        "sign-in entra",
    ];
    let watch = Watch::begin(&world).await;
    for what in all {
        let started = start(&world, what).await;
        let cookie = started.cookie.as_str();
        let state = started.parameter("state");
        let (contract, random) = state.split_once('.').unwrap();
        let other_contract = if contract == "acme-salesforce" {
            "acme-dynamics"
        } else {
            "acme-salesforce"
        };
        // A state that was never issued is refused without a call to a provider.
        for (case, forged) in [
            ("made up", format!("{contract}.{}", "A".repeat(43))),
            ("of another contract", format!("{other_contract}.{random}")),
            ("of no contract", format!("acme-nobody.{random}")),
            ("longer", format!("{state}x")),
            ("shorter", state[..state.len() - 1].to_owned()),
            ("in capitals", state.to_uppercase()),
            ("with a part of a key", format!("{contract}#OAUTH.{random}")),
            ("twice", String::new()),
        ] {
            let back = match case {
                "twice" => format!("{}&state={state}", back_with(&state))
                    .parse()
                    .unwrap(),
                _ => back_with(&forged),
            };
            let case = format!("{what}: {case}");
            let expected = (400, "oauth_state_unknown");
            watch.refused(&back, cookie, expected, &[], &case).await;
        }
        // None of that used it up: the code is asked for now.
        let calls = [exchange_refused(what)];
        let expected = (400, "oauth_code_refused");
        watch
            .refused(&back_with(&state), cookie, expected, &calls, what)
            .await;

        // In the browser of another flow: with its cookie, and with that under this one's name.
        for other in all {
            let theirs = start(&world, other).await.cookie;
            let theirs_value = theirs.split_once('=').unwrap().1.to_owned();
            let started = start(&world, what).await;
            let own = started.cookie.as_str();
            let back = back_with(&started.parameter("state"));
            for (case, cookie, code) in [
                ("its cookie", theirs.as_str(), "oauth_other_browser"),
                ("seen elsewhere, it is used up", own, "oauth_state_used"),
            ] {
                let case = format!("{what} in the browser of {other}: {case}");
                watch.refused(&back, cookie, (400, code), &[], &case).await;
            }
            let started = start(&world, what).await;
            let back = back_with(&started.parameter("state"));
            let name = started.cookie.split_once('=').unwrap().0;
            let renamed = format!("{name}={theirs_value}");
            let case = format!("{what} with the renamed cookie of {other}");
            let expected = (400, "oauth_other_browser");
            watch.refused(&back, &renamed, expected, &[], &case).await;
        }

        // Ten minutes, to the millisecond.
        let started = start(&world, what).await;
        world.advance(600).await;
        let late = back_with(&started.parameter("state"));
        for code in ["oauth_state_expired", "oauth_state_used"] {
            let cookie = started.cookie.as_str();
            watch.refused(&late, cookie, (400, code), &[], what).await;
        }
    }
    watch.end("attacks on states").await;
    world.stop().await;
}

/// A state of one flow with the code of another: of another provider, for another purpose, of another
/// attempt, of another user. The exchange fails for the verifier.
#[tokio::test]
async fn a_code_of_another_flow_is_refused() {
    let world = World::start().await;
    let all = [
        "connect salesforce",
        "connect dataverse",
        "sign-in salesforce",
        "sign-in entra",
    ];
    let watch = Watch::begin(&world).await;
    for victim in all {
        for attacker in all.into_iter().chain(["connect linkedin"]) {
            let started = start(&world, victim).await;
            let theirs = start(&world, attacker).await;
            let who = if victim == attacker { SELLER } else { ADMIN };
            let theirs = with(&theirs.authorize_url, "login_hint", who);
            let stolen = world.sign_in(&theirs).await;
            let injected = with(&stolen, "state", &started.parameter("state"));
            let calls = [exchange_refused(victim)];
            let case = format!("{victim} with a code of {who}'s {attacker}");
            let expected = (400, "oauth_code_refused");
            watch
                .refused(&injected, &started.cookie, expected, &calls, &case)
                .await;
        }
    }
    // LinkedIn knows no PKCE: only codes of its own are good there.
    for attacker in all {
        let started = start(&world, "connect linkedin").await;
        let theirs = start(&world, attacker).await;
        let stolen = world.sign_in(&theirs.authorize_url).await;
        let injected = with(&stolen, "state", &started.parameter("state"));
        let calls = [exchange_refused("connect linkedin")];
        let expected = (400, "oauth_code_refused");
        watch
            .refused(&injected, &started.cookie, expected, &calls, attacker)
            .await;
    }
    watch.end("codes of other flows").await;
    // Two flows in one browser do not disturb each other.
    let mut browser = world.browser();
    let seat = world
        .invite(&world.salesforce, ADMIN, "administrator")
        .await;
    let invitation = [("invitation", seat.invitation.as_str())];
    let made = &world.salesforce;
    let first = browser.start("salesforce", made, &invitation).await;
    let second = browser.start("entra", made, &[]).await;
    let third = browser.start("salesforce", made, &invitation).await;
    assert_eq!(browser.cookies.len(), 3);
    let answer = browser.choose(&third, ADMIN).await;
    assert_eq!(answer.json()["seat"], seat.seat);
    let answer = browser.choose(&second, ADMIN).await;
    assert_eq!(answer.problem(), (403, "no_seat".to_owned()));
    let answer = browser.choose(&first, ADMIN).await;
    assert_eq!(answer.json()["seat"], seat.seat);
    assert_eq!(browser.session_status().await, 200);
    world.stop().await;
}

/// The proof key taken away on the way to the provider. A server that then asks for none still gives
/// an identity token, with the nonce of the attempt that the code is of.
#[tokio::test]
async fn a_code_without_a_proof_key_is_still_bound_to_its_attempt() {
    let world = World::start().await;
    for what in [
        "connect salesforce",
        "connect dataverse",
        "sign-in salesforce",
        "sign-in entra",
    ] {
        let (kind, server) = what.split_once(' ').unwrap();
        let exchanged = exchange_refused(what).replace(" 400", " 200");
        let keys = if server == "salesforce" {
            "salesforce GET /id/{org} 200"
        } else {
            "entra GET /{tenant}/discovery/v2.0/keys 200"
        };
        for round in 0..2 {
            let victim = start(&world, what).await;
            let attacker = start(&world, what).await;
            let url = without(&attacker.authorize_url, "code_challenge");
            let url = without(&url, "code_challenge_method");
            let stolen = world.sign_in(&url).await;
            let injected = with(&stolen, "state", &victim.parameter("state"));
            // The keys are read once. Tokens that are not kept are given back at once, where the
            // provider takes any.
            let mut calls = vec![exchanged.as_str()];
            if round == 0 && kind == "connect" {
                calls.push(keys);
            }
            if what == "connect salesforce" {
                calls.push("salesforce POST /services/oauth2/revoke 200");
            }
            let expected = (400, "identity_token_refused");
            let cookie = victim.cookie.as_str();
            assert_refused(&world, &injected, cookie, expected, &calls, what).await;
        }

        // The nonce of another attempt, or none.
        for nonce in [Some("another"), None] {
            let started = start(&world, what).await;
            let url = without(&started.authorize_url, "nonce");
            let url = nonce.map_or(url.clone(), |nonce| with(&url, "nonce", nonce));
            let back = world.sign_in(&url).await;
            let answer = world.come_back(&back, &started.cookie).await;
            let expected = (400, "identity_token_refused".to_owned());
            assert_eq!(answer.problem(), expected, "{what}: {nonce:?}");
        }

        // A key of the attacker's own, and the plain one, which no server of ours takes.
        let started = start(&world, what).await;
        let other = start(&world, what).await.parameter("code_challenge");
        let back = world
            .sign_in(&with(&started.authorize_url, "code_challenge", &other))
            .await;
        let expected = (400, "oauth_code_refused");
        let calls = [exchange_refused(what)];
        let cookie = started.cookie.as_str();
        assert_refused(&world, &back, cookie, expected, &calls, what).await;
        let started = start(&world, what).await;
        let plain = with(&started.authorize_url, "code_challenge_method", "plain");
        let back = world.sign_in(&plain).await;
        let expected = (502, "sign_in_failed");
        let cookie = started.cookie.as_str();
        assert_refused(&world, &back, cookie, expected, &[], what).await;
    }
    world.stop().await;
}

/// RFC 9207: an answer that names another server than the one asked, with any content.
#[tokio::test]
async fn an_answer_of_another_server_is_refused() {
    let world = World::start().await;
    let simulator = &world.stack.simulator;
    let (salesforce, entra) = (simulator.salesforce_url(), simulator.dataverse_url());
    let tenant = "5f1d0000-0000-4000-8000-00000000c001";
    let watch = Watch::begin(&world).await;
    let mut asked = Vec::new();
    for what in [
        "connect salesforce",
        "connect dataverse",
        "connect linkedin",
        "sign-in salesforce",
        "sign-in entra",
    ] {
        let server = what.split_once(' ').unwrap().1;
        let own = match server {
            "salesforce" => salesforce.to_owned(),
            "linkedin" => simulator.linkedin_url().to_owned(),
            _ => format!("{entra}/{tenant}/v2.0"),
        };
        asked.push((what, own.clone()));
        let foreign = if server == "salesforce" {
            entra
        } else {
            salesforce
        };
        let host = own.strip_prefix("https://").unwrap();
        for named in [
            "https://login.evil.example".to_owned(),
            foreign.to_owned(),
            format!("http://{host}"),
            format!("https://evil@{host}"),
            format!("{own}?x=y"),
            format!("https://{}.evil.example", host.split(':').next().unwrap()),
            "https://login.salesforce.com".to_owned(),
            host.to_owned(),
            String::new(),
        ] {
            for error in [None, Some("access_denied")] {
                let started = start(&world, what).await;
                let mut back = back_with(&started.parameter("state"));
                if let Some(error) = error {
                    back = with(&without(&back, "code"), "error", error);
                }
                let back = with(&back, "iss", &named);
                let case = format!("{what}: {named} {error:?}");
                let expected = (400, "oauth_other_issuer");
                watch
                    .refused(&back, &started.cookie, expected, &[], &case)
                    .await;
            }
        }
    }
    watch.end("answers of other servers").await;
    // The one that was asked.
    for (what, own) in asked {
        let started = start(&world, what).await;
        let back = world.sign_in(&started.authorize_url).await;
        let back = with(&back, "iss", &own);
        let answer = world.come_back(&back, &started.cookie).await;
        let expected = if what.starts_with("sign-in") {
            403
        } else {
            200
        };
        assert_eq!(answer.status.as_u16(), expected, "{what} {}", answer.text);
    }
    world.stop().await;
}

#[tokio::test]
async fn nobody_is_sent_to_another_site_afterwards() {
    let world = World::start().await;
    let made = &world.salesforce;
    assert_eq!(world.connect("salesforce").await.status, StatusCode::OK);
    let seat = world.invite(made, ADMIN, "administrator").await;
    let mut browser = world.browser();
    let invitation = Some(seat.invitation.as_str());
    browser.sign_in("salesforce", made, invitation, ADMIN).await;
    let cookies = browser.cookies.clone();
    let long = format!("/{}", "x".repeat(500));
    for bad in [
        "https://evil.example",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "/..//evil.example",
        "/.%2e//evil.example",
        "javascript:alert(1)",
        "data:text/html,x",
        "settings",
        " /settings",
        "/x\r\nset-cookie:a=b",
        long.as_str(),
        "",
    ] {
        let expected = (422, "invalid_return_to".to_owned());
        for provider in ["salesforce", "linkedin", "user"] {
            let mut body = if provider == "user" {
                json!({})
            } else {
                world.target(provider)
            };
            body["return_to"] = json!(bad);
            let path = format!("/oauth/{provider}/start");
            let answer = browser.page(Method::POST, &path, Some(&body)).await;
            assert_eq!(answer.problem(), expected, "{provider} {bad:?}");
            assert_eq!(answer.json()["field"], "return_to");
        }
        let mut body = world.target("dataverse");
        body["return_to"] = json!(bad);
        let token = &world.dynamics.tokens.administrator;
        let answer = world.post_start(token, "dataverse", &body).await;
        assert_eq!(answer.problem(), expected, "dataverse {bad:?}");
        for way in ["salesforce", "entra"] {
            let answer = browser.open(way, made, &[("return_to", bad)]).await;
            assert_eq!(answer.problem(), expected, "{way} {bad:?}");
        }
    }
    assert_eq!(browser.cookies, cookies, "no attempt was made");

    // A path of ours is gone to, with the page's own words where something failed.
    let target = json!({ "return_to": "/settings?tab=crm#x" });
    let html = "text/html";
    let url = browser.start_connecting("user", &target).await;
    let back = world.sign_in(&url).await;
    let path = format!("{}?{}", back.path(), back.query().unwrap());
    let answer = browser
        .send(Method::GET, &path, &[("accept", html)], None)
        .await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    assert_eq!(answer.headers[header::LOCATION], "/settings?tab=crm#x");
    let url = browser.start_connecting("user", &target).await;
    let back = with(&world.sign_in(&url).await, "error", "access_denied");
    let path = format!("{}?{}", back.path(), back.query().unwrap());
    let answer = browser
        .send(Method::GET, &path, &[("accept", html)], None)
        .await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(
        answer.text.contains("href=\"/settings?tab=crm#x\""),
        "{}",
        answer.text
    );
    world.stop().await;
}

/// CN-11: only into the organisation and the environment that the contract has connected, and only as
/// the person whose seat it is.
#[tokio::test]
async fn a_seat_holder_signs_in_to_the_connected_organisation_as_themselves() {
    let world = World::start().await;
    let made = &world.salesforce;
    let production = world.stack.simulator.salesforce_url();
    let token = &made.tokens.administrator;
    let seat = world.invite(made, SELLER, "salesperson").await;
    let mut browser = world.browser();
    let invitation = Some(seat.invitation.as_str());
    browser
        .sign_in("salesforce", made, invitation, SELLER)
        .await;
    let own = ConnectionKind::User(seat.seat.parse().unwrap(), Environment::Production);
    let stored = async || world.store().connection(&made.id, own).await.unwrap();

    // A token is no person, and there is no sign-in to an environment that is not connected.
    let answer = world.post_start(token, "user", &json!({})).await;
    assert_eq!(answer.problem(), (403, "sign_in_required".to_owned()));
    let start = "/oauth/user/start";
    for environment in ["production", "sandbox"] {
        let body = json!({ "environment": environment });
        let answer = browser.page(Method::POST, start, Some(&body)).await;
        assert_eq!(answer.problem(), (409, "not_connected".to_owned()));
        assert!(answer.text.contains(environment), "{}", answer.text);
    }
    assert_eq!(world.connect("salesforce").await.status, StatusCode::OK);
    let connected = world.connection("salesforce").await.unwrap();
    let body = json!({ "environment": "sandbox" });
    let answer = browser.page(Method::POST, start, Some(&body)).await;
    assert_eq!(answer.problem(), (409, "not_connected".to_owned()));

    // Another organisation; in the right one another person than the seat's.
    let revoked = [
        "salesforce POST /services/oauth2/token 200",
        "salesforce POST /services/oauth2/revoke 200",
    ];
    let sandbox = "sandbox-user@sandbox.leadbridge.example";
    let refuse = async |browser: &mut Browser<'_>, who: &str, code: &str| {
        let url = browser.start_connecting("user", &json!({})).await;
        let back = world.sign_in(&with(&url, "login_hint", who)).await;
        let before = world.all_items().await;
        let mark = world.mark().await;
        let answer = browser.come_back(&back).await;
        assert_eq!(answer.problem(), (409, code.to_owned()), "{who}");
        assert_eq!(world.calls(mark).await, revoked, "{who}");
        let changed = changes(&before, &world.all_items().await);
        assert_eq!(changed, BTreeMap::new(), "{who}");
        answer
    };
    let answer = refuse(&mut browser, sandbox, "other_organization").await;
    let expected = [connected.organization.as_str(), production, "as production"];
    for part in expected {
        assert!(answer.text.contains(part), "{part}: {}", answer.text);
    }
    let problem = answer.json();
    let next = problem["next_step"].as_str().unwrap();
    assert!(next.contains(production), "{next}");
    refuse(&mut browser, ADMIN, "other_user").await;
    assert_eq!(stored().await, None);

    // As the seat's own user; afterwards no other user's sign-in takes its place.
    let url = browser.start_connecting("user", &json!({})).await;
    let answer = browser.choose(&url, SELLER).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let first = stored().await.unwrap();
    assert_eq!(
        first.valid_until,
        Some(world.clock.now().plus_seconds(90 * 86_400))
    );
    for (who, code) in [(ADMIN, "other_user"), (sandbox, "other_organization")] {
        refuse(&mut browser, who, code).await;
    }
    assert_eq!(stored().await, Some(first));

    // The organisation of one environment is not the other's as well.
    let mut target = world.target("salesforce");
    target["environment"] = json!("sandbox");
    let started = world.started(token, "salesforce", &target).await;
    let back = world.sign_in(&started.authorize_url).await;
    let expected = (409, "connected_in_other_environment");
    let cookie = started.cookie.as_str();
    assert_refused(
        &world,
        &back,
        cookie,
        expected,
        &revoked,
        "both environments",
    )
    .await;
    let started = world.started(token, "salesforce", &target).await;
    let url = with(&started.authorize_url, "login_hint", sandbox);
    let back = world.sign_in(&url).await;
    let answer = world.come_back(&back, &started.cookie).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    world.stop().await;
}

/// The same at Dataverse, where the token's own organisation and tenant identify the user.
#[tokio::test]
async fn a_user_of_another_tenant_connects_nothing() {
    let world = World::start().await;
    let made = &world.dynamics;
    let outside = "visitor@elsewhere.example";
    let member = "colleague@leadbridge.example";
    let settings =
        json!({ "dataverse": { "foreign_tenant_users": [outside], "not_members": [member] } });
    world.control(Method::PATCH, "/settings", settings).await;
    let calls = [
        "entra POST /{tenant}/oauth2/v2.0/token 200",
        "entra GET /{tenant}/discovery/v2.0/keys 200",
        "dataverse GET /api/data/v9.2/WhoAmI 403",
    ];
    for (round, who) in [outside, member].into_iter().enumerate() {
        let started = world.start_sign_in("dataverse").await;
        let back = world
            .sign_in(&with(&started.authorize_url, "login_hint", who))
            .await;
        let expected = (403, "insufficient_access");
        let known = [calls[0], calls[2]];
        let calls = if round == 0 { &calls[..] } else { &known[..] };
        let cookie = started.cookie.as_str();
        assert_refused(&world, &back, cookie, expected, calls, who).await;
    }
    assert_eq!(world.connect("dataverse").await.status, StatusCode::OK);
    let seat = world.invite(made, SELLER, "salesperson").await;
    let mut browser = world.browser();
    let invitation = Some(seat.invitation.as_str());
    browser.sign_in("entra", made, invitation, SELLER).await;
    for (who, expected) in [
        (outside, (403, "insufficient_access")),
        (ADMIN, (409, "other_user")),
        (SELLER, (200, "")),
    ] {
        let url = browser.start_connecting("user", &json!({})).await;
        let answer = browser.choose(&url, who).await;
        if expected.0 == 200 {
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        } else {
            let (status, code) = answer.problem();
            assert_eq!((status, code.as_str()), expected, "{who}");
        }
    }
    world.stop().await;
}

#[tokio::test]
async fn whoever_lost_the_right_to_connect_cannot_finish_it() {
    let world = World::start().await;
    let made = &world.salesforce;
    let administrator = &made.tokens.administrator;
    let api = async |method: Method, path: &str, body: Option<Value>| {
        let answer = world.api(administrator, method, path, body.as_ref()).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text);
        answer
    };
    let seat = world.invite(made, ADMIN, "administrator").await;
    let mut keeper = world.browser();
    keeper
        .sign_in("salesforce", made, Some(&seat.invitation), ADMIN)
        .await;
    let seat = world.invite(made, SELLER, "administrator").await;
    let mut browser = world.browser();
    browser
        .sign_in("salesforce", made, Some(&seat.invitation), SELLER)
        .await;
    let path = format!("/seats/{}", seat.seat);
    let edited = |role: &str, enabled: bool| {
        Some(json!({ "name": "X", "email": SELLER, "role": role, "enabled": enabled }))
    };
    let expected = (403, "role_not_allowed");
    for (case, method, path, body) in [
        (
            "demoted",
            Method::PUT,
            path.clone(),
            edited("salesperson", true),
        ),
        (
            "disabled",
            Method::PUT,
            path.clone(),
            edited("administrator", false),
        ),
        ("invited anew", Method::POST, format!("{path}/invite"), None),
        ("deleted", Method::DELETE, path.clone(), None),
    ] {
        let target = world.target("salesforce");
        let url = browser.start_connecting("salesforce", &target).await;
        let back = world.sign_in(&url).await;
        let answer = api(method, &path, body).await;
        let cookies: Vec<String> = browser
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let cookies = cookies.join("; ");
        assert_refused(&world, &back, &cookies, expected, &[], case).await;
        let mut again = world.browser();
        let invitation = (case == "invited anew").then(|| invited(&answer).invitation);
        if case != "deleted" {
            if invitation.is_none() {
                let path = format!("/seats/{}", seat.seat);
                api(Method::PUT, &path, edited("administrator", true)).await;
            }
            let answer = again
                .sign_in("salesforce", made, invitation.as_deref(), SELLER)
                .await;
            assert_eq!(answer.status, StatusCode::OK, "{case} {}", answer.text);
        }
        browser = again;
    }

    // A token that was revoked, and one that has ended.
    for (case, role, provider) in [
        ("revoked", "administrator", "salesforce"),
        ("revoked", "salesperson", "linkedin"),
        ("ended", "administrator", "salesforce"),
        ("ended", "salesperson", "linkedin"),
    ] {
        let new = json!({ "name": "x", "role": role, "valid_days": 1 });
        let token = api(Method::POST, "/api-tokens", Some(new)).await.json();
        let bearer = token["bearer"].as_str().unwrap();
        if case == "ended" {
            world.advance(86_400 - 1).await;
        }
        let target = world.target(provider);
        let started = world.started(bearer, provider, &target).await;
        let back = world.sign_in(&started.authorize_url).await;
        if case == "ended" {
            world.advance(1).await;
        } else {
            let path = format!("/api-tokens/{}", token["id"].as_str().unwrap());
            api(Method::DELETE, &path, None).await;
        }
        let case = format!("{case} token of a {role}");
        let cookie = started.cookie.as_str();
        assert_refused(&world, &back, cookie, expected, &[], &case).await;
    }
    world.stop().await;
}

/// The parts of a forged identity token: a good head and good claims, the server's key, another one, our
/// client's secret, and an address that our functions must never call.
struct Forge<'a> {
    server: &'a Signer,
    other: &'a Signer,
    head: Value,
    claims: Value,
    secret: &'a str,
    trap: &'a str,
}

impl Forge<'_> {
    /// The good token but for one claim.
    fn with(&self, claim: &str, value: Value) -> String {
        let mut claims = self.claims.clone();
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(claim);
        } else {
            claims[claim] = value;
        }
        self.server.token(&self.head, &claims)
    }

    /// The claims under another head, signed by one of the keys.
    fn under(&self, key: &Signer, head: &[(&str, Value)]) -> String {
        let mut changed = self.head.clone();
        for (name, value) in head {
            changed[*name] = value.clone();
        }
        key.token(&changed, &self.claims)
    }

    fn seconds(&self, claim: &str, moved: i64) -> String {
        let now = self.claims["iat"].as_i64().unwrap();
        self.with(claim, json!(now + moved))
    }
}

type Make = fn(&Forge<'_>) -> String;

/// Each forgery with the check that it has to fail at.
const FORGERIES: &[(&str, &str, Make)] = &[
    ("too long", "missing or too long", |forge| {
        forge.with("x", json!("x".repeat(17_000)))
    }),
    ("empty", "malformed header", |_| String::new()),
    ("nonsense", "malformed header", |_| "a.b.c".to_owned()),
    ("no algorithm", "malformed header", |forge| {
        let head = json!({ "alg": "none", "kid": Signer::KEY_ID });
        format!("{}.", unsigned(&head, &forge.claims))
    }),
    ("no algorithm in capitals", "malformed header", |forge| {
        let head = json!({ "alg": "NONE", "kid": Signer::KEY_ID });
        format!("{}.", unsigned(&head, &forge.claims))
    }),
    ("signed with our secret", "algorithm", |forge| {
        let head = json!({ "alg": "HS256", "kid": Signer::KEY_ID });
        let secret = forge.secret.as_bytes();
        signed_hs256(secret, &head, &forge.claims)
    }),
    ("signed with the public key", "algorithm", |forge| {
        let head = json!({ "alg": "HS256", "kid": Signer::KEY_ID });
        let key = forge.server.key()["n"].as_str().unwrap().to_owned();
        signed_hs256(key.as_bytes(), &head, &forge.claims)
    }),
    ("another algorithm", "algorithm", |forge| {
        forge.under(forge.server, &[("alg", json!("RS512"))])
    }),
    ("no signature", "signature or claims", |forge| {
        format!("{}.", unsigned(&forge.head, &forge.claims))
    }),
    ("another's signature", "signature or claims", |forge| {
        forge.under(forge.other, &[])
    }),
    (
        "the signature of other claims",
        "signature or claims",
        |forge| {
            let mut claims = forge.claims.clone();
            claims["nonce"] = json!("another");
            let other = forge.server.token(&forge.head, &claims);
            let signature = other.rsplit('.').next().unwrap();
            format!("{}.{signature}", unsigned(&forge.head, &forge.claims))
        },
    ),
    ("no key named", "no key id", |forge| {
        forge.under(forge.server, &[("kid", Value::Null)])
    }),
    ("an unknown key", "unknown key", |forge| {
        forge.under(forge.server, &[("kid", json!("another"))])
    }),
    ("a key set of its own", "unknown key", |forge| {
        let head = [
            ("kid", json!("own")),
            ("jku", json!(forge.trap)),
            ("x5u", json!(forge.trap)),
        ];
        forge.under(forge.other, &head)
    }),
    ("a key of its own", "signature or claims", |forge| {
        forge.under(forge.other, &[("jwk", forge.other.key())])
    }),
    ("no subject", "signature or claims", |forge| {
        forge.with("sub", Value::Null)
    }),
    ("no issuer", "signature or claims", |forge| {
        forge.with("iss", Value::Null)
    }),
    ("another issuer", "issuer", |forge| {
        forge.with("iss", json!("https://evil.example"))
    }),
    ("an issuer that looks like it", "issuer", |forge| {
        let own = forge.claims["iss"].as_str().unwrap().to_owned();
        forge.with(
            "iss",
            json!(own.replace("127.0.0.1", "127.0.0.1.evil.example")),
        )
    }),
    ("another app's", "audience", |forge| {
        forge.with("aud", json!("another-app"))
    }),
    ("no audience", "signature or claims", |forge| {
        forge.with("aud", Value::Null)
    }),
    ("several audiences and no party", "audience", |forge| {
        let own = forge.claims["aud"].clone();
        forge.with("aud", json!([own, "another-app"]))
    }),
    ("another party", "audience", |forge| {
        forge.with("azp", json!("another-app"))
    }),
    ("another nonce", "nonce", |forge| {
        forge.with("nonce", json!("another"))
    }),
    ("no nonce", "nonce", |forge| {
        forge.with("nonce", Value::Null)
    }),
    ("an empty nonce", "nonce", |forge| {
        forge.with("nonce", json!(""))
    }),
    ("expired", "expiry", |forge| forge.seconds("exp", -120)),
    ("no end", "signature or claims", |forge| {
        forge.with("exp", Value::Null)
    }),
    ("of tomorrow", "expiry", |forge| {
        forge.seconds("iat", 86_400)
    }),
    ("good from tomorrow", "expiry", |forge| {
        forge.seconds("nbf", 86_400)
    }),
];

/// A way to a sign-in, and its server's answers.
struct Way {
    what: &'static str,
    system: &'static str,
    keys: &'static str,
    client: &'static str,
    secret: &'static str,
}

const FORGED_WAYS: [Way; 4] = {
    const fn way(what: &'static str, salesforce: bool) -> Way {
        if salesforce {
            Way {
                what,
                system: "salesforce",
                keys: "/id/keys",
                client: "leadbridge-salesforce",
                secret: "salesforce-app-secret",
            }
        } else {
            Way {
                what,
                system: "entra",
                keys: "/discovery/v2.0/keys",
                client: "leadbridge-dataverse",
                secret: "dataverse-app-secret",
            }
        }
    }
    [
        way("connect salesforce", true),
        way("connect dataverse", false),
        way("sign-in salesforce", true),
        way("sign-in entra", false),
    ]
};

const TENANT: &str = "5f1d0000-0000-4000-8000-0000000000aa";

impl Way {
    fn is_salesforce(&self) -> bool {
        self.system == "salesforce"
    }

    /// The claims of a good identity token for the started flow.
    fn claims(&self, world: &World, started: &Started) -> Value {
        let now = world.clock.now().epoch_seconds();
        let mut claims = json!({
            "aud": self.client, "iat": now, "exp": now + 120, "nonce": started.parameter("nonce"),
            "preferred_username": ADMIN, "email": ADMIN, "email_verified": true,
        });
        if self.is_salesforce() {
            let server = world.stack.simulator.salesforce_url();
            claims["iss"] = json!(server);
            claims["sub"] = json!(format!("{server}/id/00Dx0000000BV7zEAH/005x00000012Q9PAAA"));
        } else {
            let server = world.stack.simulator.dataverse_url();
            claims["iss"] = json!(format!("{server}/{TENANT}/v2.0"));
            claims["sub"] = json!("pairwise");
            claims["tid"] = json!(TENANT);
            claims["oid"] = json!("5f1d0000-0000-4000-9000-0000000000aa");
        }
        claims
    }

    /// Makes the server answer the next exchange with tokens of ours.
    async fn answer(&self, world: &World, id_token: Option<&str>) {
        let mut tokens = json!({
            "access_token": "secret-access", "refresh_token": "secret-refresh", "expires_in": 3600,
        });
        if self.is_salesforce() {
            let server = world.stack.simulator.salesforce_url();
            tokens["instance_url"] = json!(server);
            tokens["id"] = json!(format!("{server}/id/00Dx0000000BV7zEAH/005x00000012Q9PAAA"));
        }
        if let Some(id_token) = id_token {
            tokens["id_token"] = json!(id_token);
        }
        world.answer_once(self.system, &[("/token", &tokens)]).await;
    }

    /// The expected calls: the keys were read before.
    fn calls(&self) -> Vec<&'static str> {
        match self.what {
            // These tokens are none of the simulator's; they are given back all the same.
            "connect salesforce" => vec![
                "salesforce POST /services/oauth2/token 200",
                "salesforce POST /services/oauth2/revoke 400",
            ],
            "sign-in salesforce" => vec!["salesforce POST /services/oauth2/token 200"],
            _ => vec!["entra POST /{tenant}/oauth2/v2.0/token 200"],
        }
    }
}

#[tokio::test]
async fn an_identity_token_of_salesforce_that_proves_nothing_is_refused() {
    Box::pin(forge_at("salesforce")).await;
}

#[tokio::test]
async fn an_identity_token_of_entra_that_proves_nothing_is_refused() {
    Box::pin(forge_at("entra")).await;
}

/// Every check of an identity token, each by a token that is good but for the one fault. The log names the
/// failed check, and holds no personal data.
async fn forge_at(system: &str) {
    let world = World::start().await;
    let (server, other) = (Signer::new(), Signer::new());
    let trap = Trap::start().await;
    let elsewhere = format!("https://127.0.0.1:{}/keys", trap.port);
    let logs = Logs::keep();
    for way in FORGED_WAYS.iter().filter(|way| way.system == system) {
        let (what, provider) = (way.what, way.what.split_once(' ').unwrap().1);
        let invited = if what.starts_with("sign-in") {
            let made = world.contract(provider);
            Some(world.invite(made, ADMIN, "administrator").await)
        } else {
            // The first of a server's flows reads its keys: those of this test.
            world
                .answer_once(way.system, &[(way.keys, &server.keys())])
                .await;
            None
        };
        let begin = async || match &invited {
            Some(invited) => start_signing_in(&world, provider, Some(&invited.invitation)).await,
            None => world.start_sign_in(provider).await,
        };
        let token = |started: &Started, make: Make| {
            make(&Forge {
                server: &server,
                other: &other,
                head: json!({ "typ": "JWT", "alg": "RS256", "kid": Signer::KEY_ID }),
                claims: way.claims(&world, started),
                secret: way.secret,
                trap: &elsewhere,
            })
        };
        if what.starts_with("connect") {
            let started = begin().await;
            let back = world.sign_in(&started.authorize_url).await;
            let wrong: Make = |forge| forge.with("nonce", json!("another"));
            way.answer(&world, Some(&token(&started, wrong))).await;
            let answer = world.come_back(&back, &started.cookie).await;
            let expected = (400, "identity_token_refused".to_owned());
            assert_eq!(answer.problem(), expected, "{what}");
        }
        let watch = Watch::begin(&world).await;
        let _ = logs.take();
        let none = ("none", "missing or too long", None);
        let forged = FORGERIES.iter();
        let forged = forged.map(|(case, check, make)| (*case, *check, Some(*make)));
        for (case, check, make) in forged.chain([none]) {
            let started = begin().await;
            let back = world.sign_in(&started.authorize_url).await;
            let token = make.map(|make| token(&started, make));
            way.answer(&world, token.as_deref()).await;
            let case = format!("{what}: {case}");
            let expected = (400, "identity_token_refused");
            let calls = way.calls();
            let answer = watch
                .refused(&back, &started.cookie, expected, &calls, &case)
                .await;
            let log = logs.take();
            assert!(log.contains(&format!("check=\"{check}\"")), "{case}: {log}");
            for secret in [
                "secret-access",
                "secret-refresh",
                way.secret,
                ADMIN,
                "another",
                &started.parameter("nonce"),
                &started.parameter("state"),
                &parameter(&back, "code"),
            ] {
                assert!(!log.contains(secret), "{case}: {secret} in {log}");
                assert!(!answer.text.contains(secret), "{case}: {}", answer.text);
            }
        }
        if way.is_salesforce() {
            if what.starts_with("connect") {
                // The organisation and the user are those that were signed.
                for (case, id) in [
                    (
                        "another organisation",
                        "00Dx0000000BV7yEAH/005x00000012Q9PAAA",
                    ),
                    ("another user", "00Dx0000000BV7zEAH/005x00000012Q9OAAA"),
                ] {
                    let started = begin().await;
                    let back = world.sign_in(&started.authorize_url).await;
                    let sub = format!("{}/id/{id}", world.stack.simulator.salesforce_url());
                    let mut claims = way.claims(&world, &started);
                    claims["sub"] = json!(sub);
                    let head = json!({ "alg": "RS256", "kid": Signer::KEY_ID });
                    let token = server.token(&head, &claims);
                    way.answer(&world, Some(&token)).await;
                    let expected = (502, "crm_api_error");
                    let calls = way.calls();
                    watch
                        .refused(&back, &started.cookie, expected, &calls, case)
                        .await;
                }
            }
        } else {
            // A tenant that the issuer does not vouch for.
            let started = begin().await;
            let back = world.sign_in(&started.authorize_url).await;
            let tenant: Make =
                |forge| forge.with("tid", json!("5f1d0000-0000-4000-8000-00000000c001"));
            way.answer(&world, Some(&token(&started, tenant))).await;
            let expected = (400, "identity_token_refused");
            let calls = way.calls();
            watch
                .refused(&back, &started.cookie, expected, &calls, "another tenant")
                .await;
            assert!(logs.take().contains("check=\"issuer\""));
        }
        watch.end(what).await;

        // The good token passes: the one fault was the reason for each refusal.
        let started = begin().await;
        let back = world.sign_in(&started.authorize_url).await;
        let good: Make = |forge| forge.seconds("exp", -119);
        way.answer(&world, Some(&token(&started, good))).await;
        let answer = world.come_back(&back, &started.cookie).await;
        match what {
            // The simulator knows these access tokens as little as those given back.
            "connect dataverse" => {
                assert_eq!(answer.problem(), (403, "insufficient_access".to_owned()));
            }
            _ => assert_eq!(answer.status, StatusCode::OK, "{what} {}", answer.text),
        }
        let _ = logs.take();
    }
    trap.assert_unvisited("a key set that a token names").await;
    world.stop().await;
}

/// Addresses that are not a provider's, in all the ways to write them.
fn foreign_addresses(port: u16) -> Vec<String> {
    let mut addresses: Vec<String> = [
        "https://127.0.0.1",
        "https://localhost",
        "https://2130706433",
        "https://0x7f000001",
        "https://0177.0.0.1",
        "https://127.1",
        "https://[::1]",
        "https://[::ffff:127.0.0.1]",
        "https://169.254.169.254/latest/meta-data",
        "https://[fd00:ec2::254]",
        "https://10.0.0.1",
        "https://metadata.google.internal",
        "https://evil.example",
        "https://acme.my.salesforce.com.evil.example",
        "https://acme.crm4.dynamics.com.evil.example",
        "https://evilsalesforce.com",
        "https://evildynamics.com",
        "https://acme.my.s\u{430}lesforce.com",
        "https://acme.crm4.dynam\u{131}cs.com",
        "http://acme.my.salesforce.com",
        "http://acme.crm4.dynamics.com",
        "https://acme.my.salesforce.com:8443",
        "https://acme.crm4.dynamics.com:8443",
        "https://acme.my.salesforce.com.",
        "ftp://acme.my.salesforce.com",
        "file:///etc/passwd",
        "javascript:alert(1)",
    ]
    .map(str::to_owned)
    .into();
    for scheme in ["https", "http"] {
        for host in ["127.0.0.1", "localhost", "2130706433", "127.1"] {
            addresses.push(format!("{scheme}://{host}:{port}/"));
        }
        for user in ["acme.my.salesforce.com", "acme.crm4.dynamics.com", "x:y"] {
            addresses.push(format!("{scheme}://{user}@127.0.0.1:{port}/"));
        }
    }
    addresses
}

#[tokio::test]
async fn tokens_and_people_are_sent_to_no_address_but_the_providers() {
    let world = World::start().await;
    let trap = Trap::start().await;
    let addresses = foreign_addresses(trap.port);

    // Salesforce's answer names the address of the API.
    let watch = Watch::begin(&world).await;
    let own: Url = world.stack.simulator.salesforce_url().parse().unwrap();
    let port = own.port().unwrap();
    let disguised = [
        format!("https://admin@127.0.0.1:{port}"),
        format!("http://localhost:{port}"),
    ];
    for address in addresses.iter().chain(&disguised) {
        let tokens = json!({
            "access_token": "secret-access", "refresh_token": "secret-refresh", "id_token": "a.b.c",
            "instance_url": address, "id": format!("{address}/id/00Dx0000000BV7zEAH/005x00000012Q9PAAA"),
        });
        let started = world.start_sign_in("salesforce").await;
        let back = world.sign_in(&started.authorize_url).await;
        world
            .answer_once("salesforce", &[("/token", &tokens)])
            .await;
        let calls = [
            "salesforce POST /services/oauth2/token 200",
            "salesforce POST /services/oauth2/revoke 400",
        ];
        let expected = (502, "address_not_allowed");
        let answer = watch
            .refused(&back, &started.cookie, expected, &calls, address)
            .await;
        assert!(!answer.text.contains("secret-"), "{}", answer.text);
    }

    // People name where to sign in, and which organisation.
    let mark = world.mark().await;
    let expected = (422, "address_not_allowed".to_owned());
    let pages = [
        "https://acme.force.com",
        "https://acme.my.site.com",
        "https://acme.lightning.force.com",
        "https://na1.salesforce.com",
    ];
    for address in addresses.iter().map(String::as_str).chain(pages) {
        for (provider, field) in [
            ("salesforce", "login_url"),
            ("dataverse", "organization_url"),
        ] {
            let token = &world.contract(provider).tokens.administrator;
            let body = json!({ field: address });
            let answer = world.post_start(token, provider, &body).await;
            assert_eq!(answer.problem(), expected, "{field} {address}");
            assert_eq!(answer.cookies(), [], "{field} {address}");
        }
        let mut browser = world.browser();
        let query = [("login_url", address)];
        let answer = browser.open("salesforce", &world.salesforce, &query).await;
        assert_eq!(answer.problem(), expected, "sign-in {address}");
        assert_eq!(answer.cookies(), [], "sign-in {address}");
    }
    assert_eq!(world.calls(mark).await, Vec::<String>::new());
    watch.end("foreign addresses").await;
    trap.assert_unvisited("an address that is not a provider's")
        .await;
    world.stop().await;
}

/// The next page that a CRM's answer names is called under the connection's own address or not at all.
#[tokio::test]
async fn no_link_leads_a_token_off_its_connections_address() {
    let world = World::start().await;
    let trap = Trap::start().await;
    for provider in ["salesforce", "dataverse"] {
        assert_eq!(world.connect(provider).await.status, StatusCode::OK);
        let made = world.contract(provider);
        let sessions = &world.remote.sessions;
        let session = sessions.open(&made.id, ConnectionKind::PRODUCTION).await;
        let session = session.unwrap();
        let own = session.base_url.clone();
        let (host, port) = (own.host_str().unwrap(), own.port().unwrap());
        for good in ["/services/x", "services/x", "/x?y=z", &format!("{own}x")] {
            let url = session.url(good).unwrap();
            assert_eq!(url.origin(), own.origin(), "{good}");
        }
        let others = [
            format!("http://{host}:{port}/x"),
            format!("https://{host}/x"),
            format!("//127.0.0.1:{}/x", trap.port),
            format!("\\\\127.0.0.1:{}\\x", trap.port),
            format!("/\\127.0.0.1:{}", trap.port),
            format!("https:\\\\127.0.0.1:{}", trap.port),
        ];
        for bad in foreign_addresses(trap.port).iter().chain(&others) {
            assert!(session.url(bad).is_err(), "{provider} {bad}");
        }
        // A page of an answer, as each of them names the next.
        let next = format!("https://127.0.0.1:{}/next", trap.port);
        let page = json!({
            "value": [], "@odata.nextLink": next, "@odata.deltaLink": next,
            "records": [], "totalSize": 5000, "done": false, "nextRecordsUrl": next,
        });
        let fault = json!({
            "system": provider, "method": "GET", "path_contains": "/data/", "kind": "status",
            "status": 200, "body": page, "times": -1,
        });
        world.control(Method::POST, "/faults", fault).await;
        let mark = world.mark().await;
        let token = &made.tokens.administrator;
        let base = "/crm-connections/production";
        for (method, path) in [
            (Method::GET, format!("{base}/options?refresh=true")),
            (Method::POST, format!("{base}/permissions/check")),
            (Method::GET, "/lead-fields?refresh=true".to_owned()),
        ] {
            world.api(token, method, &path, None).await;
        }
        assert!(!world.calls(mark).await.is_empty(), "{provider} was asked");
        world.control(Method::DELETE, "/faults", Value::Null).await;
    }
    trap.assert_unvisited("a next page").await;
    world.stop().await;
}
