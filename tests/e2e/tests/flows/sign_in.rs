//! Signing in to Leadbridge with an account of Salesforce or Entra, seats and invitations, sessions, and
//! attacks on them by people and pages without the right to them (CN-3, LG-1).

use std::collections::{BTreeMap, BTreeSet};

use e2e::oauth_world::{
    Answer, Browser, Invited, PUBLIC_URL, SESSION_COOKIE, World, changes, invited, parameter, with,
};
use e2e::roles::salesperson_may;
use e2e::worker::process;
use http::{Method, StatusCode, header};
use local::seed::Made;
use serde_json::{Value, json};
use shared::clock::Clock as _;
use shared::domain::environment::Environment;
use shared::domain::ids::SeatId;
use shared::store::{Connection, ConnectionKind};
use shared::testing::{Cut, Tripwire};

const WAYS: [&str; 2] = ["salesforce", "entra"];
const ADMIN: &str = "admin@leadbridge.example";
const SELLER: &str = "seller@leadbridge.example";
const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;

/// A browser in which a new seat's holder has signed in.
async fn signed_in<'a>(
    world: &'a World,
    way: &str,
    who: &str,
    role: &str,
) -> (Browser<'a>, Invited) {
    let made = world.contract(way);
    let seat = world.invite(made, who, role).await;
    let mut browser = world.browser();
    let answer = browser
        .sign_in(way, made, Some(&seat.invitation), who)
        .await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    (browser, seat)
}

/// A call of the API with the administrator's token of a contract.
async fn administer(
    world: &World,
    made: &Made,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> Answer {
    let token = &made.tokens.administrator;
    world.api(token, method, path, body.as_ref()).await
}

/// The body of a request to edit a seat.
fn edited(email: &str, role: &str, enabled: bool) -> Value {
    json!({ "name": "Somebody", "email": email, "role": role, "enabled": enabled })
}

/// Asserts a refusal that gives no session and changed nothing.
async fn assert_refused(
    world: &World,
    before: &BTreeMap<String, Value>,
    answer: &Answer,
    expected: (u16, &str),
    case: &str,
) {
    let (status, code) = answer.problem();
    assert_eq!((status, code.as_str()), expected, "{case}");
    assert!(!answer.opens_session(), "{case}: {answer:?}");
    let changed = changes(before, &world.all_items().await);
    assert_eq!(changed, BTreeMap::new(), "{case}");
}

/// The number of identities tied to seats of a contract.
async fn identities(world: &World, made: &Made) -> usize {
    let items = world.items(&made.id).await;
    let keys = items.keys();
    keys.filter(|key| key.contains("#IDENTITY#")).count()
}

#[tokio::test]
async fn an_invited_person_signs_in_renews_and_signs_out() {
    let world = World::start().await;
    for way in WAYS {
        let made = world.contract(way);
        let seat = world.invite(made, SELLER, "salesperson").await;
        let mut browser = world.browser();
        let invitation = [("invitation", seat.invitation.as_str())];
        let url = browser.start(way, made, &invitation).await;
        assert_eq!(parameter(&url, "scope"), "openid profile email");
        assert_eq!(parameter(&url, "code_challenge_method"), "S256");
        assert_eq!(parameter(&url, "code_challenge").len(), 43);
        assert_eq!(parameter(&url, "nonce").len(), 43);
        let answer = browser.choose(&url, SELLER).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        let shown = json!({ "contract": made.id, "seat": seat.seat, "role": "salesperson" });
        assert_eq!(answer.json(), shown);
        assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
        let cookies = answer.cookies();
        let session = cookies.iter().find(|cookie| cookie.0 == SESSION_COOKIE);
        assert_eq!(
            session.unwrap().2,
            "Secure; HttpOnly; SameSite=Lax; Path=/; Max-Age=43200"
        );
        // Of the attempt's own cookie nothing is left.
        assert_eq!(browser.cookies.keys().collect::<Vec<_>>(), [SESSION_COOKIE]);

        let now = world.clock.now().0;
        let session = browser.api(Method::GET, "/session", None).await;
        assert_eq!(session.headers[header::CACHE_CONTROL], "no-store");
        let session = session.json();
        assert_eq!(session["contract"], made.id.as_str());
        assert_eq!(session["seat"], seat.seat);
        assert_eq!(
            (&session["email"], &session["role"]),
            (&json!(SELLER), &json!("salesperson"))
        );
        assert_eq!(session["valid_until"], now + 30 * MINUTE * 1000);
        assert_eq!(session["session_ends_at"], now + 12 * HOUR * 1000);
        let me = browser.api(Method::GET, "/me", None).await.json();
        assert_eq!(me["actor"], format!("seat:{}", seat.seat));
        assert_eq!(me["seat"], seat.seat);

        let path = format!("/seats/{}", seat.seat);
        let view = administer(&world, made, Method::GET, &path, None)
            .await
            .json();
        assert_eq!(view["status"], "active");
        assert_eq!(view["invitation_valid_until"], Value::Null);
        assert_eq!(view["last_sign_in_at"], now);
        assert_eq!(view["identity"]["provider"], way);
        let log = world.store().audit_log(&made.id, 20, None).await.unwrap();
        let actor = format!("seat:{}", seat.seat);
        let own = log.items.iter().filter(|entry| entry.actor == actor);
        let actions: BTreeSet<&str> = own.map(|entry| entry.action.as_str()).collect();
        assert_eq!(actions, BTreeSet::from(["seat.accept", "session.start"]));

        // From then on without the invitation, which is used up; and in a browser with pages.
        let mut second = world.browser();
        let again = second.open(way, made, &invitation).await;
        assert_eq!(again.problem(), (403, "invitation_invalid".to_owned()));
        let url = second
            .start(way, made, &[("return_to", "/settings?tab=crm#me")])
            .await;
        let url = with(&url, "login_hint", SELLER);
        let back = world.sign_in(&url).await;
        let path = format!("{}?{}", back.path(), back.query().unwrap());
        let html = [("accept", "text/html,*/*;q=0.8")];
        let page = second.send(Method::GET, &path, &html, None).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
        assert_eq!(page.headers[header::LOCATION], "/settings?tab=crm#me");
        assert_eq!(page.headers[header::REFERRER_POLICY], "no-referrer");
        assert_eq!(second.session_status().await, 200);

        // A renewed token lives on; the one before ends in its own time.
        let stale = second.clone();
        world.advance(29 * MINUTE).await;
        let renewed = second.api(Method::POST, "/session/renew", None).await;
        assert_eq!(renewed.status, StatusCode::OK, "{}", renewed.text);
        assert_ne!(second.session(), stale.session());
        world.advance(2 * MINUTE).await;
        assert_eq!(second.session_status().await, 200);
        assert_eq!(stale.clone().session_status().await, 401);
        assert_eq!(browser.session_status().await, 401);

        // Signed out, the session has ended in every copy of its cookie, and in no other browser.
        let mut third = world.browser();
        third.sign_in(way, made, None, SELLER).await;
        let mut copy = second.clone();
        let out = second.api(Method::DELETE, "/session", None).await;
        assert_eq!(out.status, StatusCode::NO_CONTENT);
        assert_eq!(second.session(), "");
        assert_eq!(copy.session_status().await, 401);
        assert_eq!(third.session_status().await, 200);

        let mut fourth = world.browser();
        fourth.sign_in(way, made, None, SELLER).await;
        let out = fourth.api(Method::DELETE, "/sessions", None).await;
        assert_eq!(out.status, StatusCode::NO_CONTENT);
        assert_eq!(third.session_status().await, 401);
    }
    world.stop().await;
}

#[tokio::test]
async fn a_session_ends_when_it_is_not_renewed_and_after_twelve_hours_anyway() {
    let world = World::start().await;
    let (mut browser, _) = signed_in(&world, "entra", SELLER, "administrator").await;
    world.advance(30 * MINUTE - 1).await;
    assert_eq!(browser.session_status().await, 200);
    let csrf = browser.csrf().await;
    world.advance(1).await;
    assert_eq!(browser.session_status().await, 401);
    let headers = [("x-csrf-token", csrf.as_str())];
    let renew = "/api/v1/session/renew";
    let late = browser.send(Method::POST, renew, &headers, None).await;
    assert_eq!(late.problem(), (401, "unauthenticated".to_owned()));
    assert!(!late.opens_session());

    browser
        .sign_in("entra", &world.dynamics, None, SELLER)
        .await;
    for _ in 0..24 {
        world.advance(30 * MINUTE - 1).await;
        let renewed = browser.api(Method::POST, "/session/renew", None).await;
        let shown = renewed.json();
        assert_eq!(renewed.status, StatusCode::OK, "{shown}");
        let (token, session) = (&shown["valid_until"], &shown["session_ends_at"]);
        assert!(token.as_i64() <= session.as_i64(), "{shown}");
    }
    // 24 times one second less than half an hour.
    world.advance(23).await;
    assert_eq!(browser.session_status().await, 200);
    world.advance(1).await;
    assert_eq!(browser.session_status().await, 401);
    world.stop().await;
}

#[tokio::test]
async fn what_is_done_to_a_seat_counts_at_once_in_its_sessions() {
    let world = World::start().await;
    for way in WAYS {
        let made = world.contract(way);
        let (mut browser, seat) = signed_in(&world, way, SELLER, "administrator").await;
        // Another administrator continues.
        let (mut other, _) = signed_in(&world, way, ADMIN, "administrator").await;
        let path = format!("/seats/{}", seat.seat);
        let seats = async |browser: &mut Browser<'_>| {
            let answer = browser.api(Method::GET, "/seats", None).await;
            let status = answer.status.as_u16();
            if status == 200 {
                (200, String::new())
            } else {
                answer.problem()
            }
        };
        let dead = || (401, "unauthenticated".to_owned());
        let mut edit = async |role: &str, enabled: bool| {
            let body = edited(SELLER, role, enabled);
            let answer = other.api(Method::PUT, &path, Some(&body)).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        };
        assert_eq!(seats(&mut browser).await.0, 200);
        edit("salesperson", true).await;
        let refused = (403, "role_not_allowed".to_owned());
        assert_eq!(seats(&mut browser).await, refused, "{way}: demoted");
        assert_eq!(browser.session_status().await, 200);
        edit("administrator", true).await;
        assert_eq!(seats(&mut browser).await.0, 200, "{way}: promoted");

        // Disabled, every session is over for good, and there is no new one.
        edit("administrator", false).await;
        assert_eq!(seats(&mut browser).await, dead(), "{way}: disabled");
        let before = world.all_items().await;
        let again = world.browser().sign_in(way, made, None, SELLER).await;
        let expected = (403, "seat_disabled");
        assert_refused(&world, &before, &again, expected, "disabled").await;
        edit("administrator", true).await;
        assert_eq!(seats(&mut browser).await, dead(), "{way}: enabled again");
        let answer = browser.sign_in(way, made, None, SELLER).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        assert_eq!(seats(&mut browser).await.0, 200);

        // Invited anew, the seat belongs to the person who accepts: old sessions end.
        let invite = format!("{path}/invite");
        let answer = administer(&world, made, Method::POST, &invite, None).await;
        let anew = invited(&answer);
        assert_eq!(seats(&mut browser).await, dead(), "{way}: invited anew");
        let before = world.all_items().await;
        let tied = world.browser().sign_in(way, made, None, SELLER).await;
        assert_refused(&world, &before, &tied, (403, "no_seat"), "untied").await;
        let old = world
            .browser()
            .open(way, made, &[("invitation", &seat.invitation)])
            .await;
        let expected = (403, "invitation_invalid");
        assert_refused(&world, &before, &old, expected, "the invitation before").await;
        let mut accepting = world.browser();
        let answer = accepting
            .sign_in(way, made, Some(&anew.invitation), SELLER)
            .await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        assert_eq!(seats(&mut accepting).await.0, 200);
        assert_eq!(
            seats(&mut browser).await,
            dead(),
            "{way}: accepted by somebody"
        );

        // Ended by an administrator; then the seat goes.
        let ended = format!("{path}/sessions");
        let answer = administer(&world, made, Method::DELETE, &ended, None).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT);
        assert_eq!(seats(&mut accepting).await, dead(), "{way}: ended");
        accepting.sign_in(way, made, None, SELLER).await;
        assert_eq!(seats(&mut accepting).await.0, 200);
        let answer = administer(&world, made, Method::DELETE, &path, None).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT);
        assert_eq!(seats(&mut accepting).await, dead(), "{way}: deleted");
        let before = world.all_items().await;
        let gone = world.browser().sign_in(way, made, None, SELLER).await;
        assert_refused(&world, &before, &gone, (403, "no_seat"), "deleted").await;
        // The account is free for another seat.
        let (mut newcomer, _) = signed_in(&world, way, SELLER, "salesperson").await;
        assert_eq!(newcomer.session_status().await, 200);
    }
    world.stop().await;
}

#[tokio::test]
async fn the_last_administrator_who_can_act_stays() {
    let world = World::start().await;
    let made = &world.salesforce;
    let acting = async || {
        let contract = world.store().contract(&made.id).await.unwrap().unwrap();
        contract.administrators
    };
    assert!(acting().await.is_empty());
    let seat = world.invite(made, ADMIN, "administrator").await;
    assert!(acting().await.is_empty(), "an invited one cannot act yet");
    let mut browser = world.browser();
    let invitation = Some(seat.invitation.as_str());
    browser.sign_in("salesforce", made, invitation, ADMIN).await;
    let id: SeatId = seat.seat.parse().unwrap();
    assert_eq!(acting().await, BTreeSet::from([id]));

    // With a sign-in of their own to the CRM, which has to stay as well.
    assert_eq!(world.connect("salesforce").await.status, StatusCode::OK);
    let url = browser.start_connecting("user", &json!({})).await;
    let answer = browser.choose(&url, ADMIN).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let kind = ConnectionKind::User(id, Environment::Production);
    let own = async || world.store().connection(&made.id, kind).await.unwrap();
    assert!(own().await.as_ref().is_some_and(Connection::stands));

    let path = format!("/seats/{}", seat.seat);
    let invite = format!("{path}/invite");
    let before = world.all_items().await;
    for (case, method, path, body) in [
        (
            "demoted",
            Method::PUT,
            &path,
            Some(edited(ADMIN, "salesperson", true)),
        ),
        (
            "disabled",
            Method::PUT,
            &path,
            Some(edited(ADMIN, "administrator", false)),
        ),
        ("invited anew", Method::POST, &invite, None),
        ("deleted", Method::DELETE, &path, None),
    ] {
        let answer = browser.api(method.clone(), path, body.as_ref()).await;
        let expected = (409, "last_administrator");
        assert_refused(&world, &before, &answer, expected, case).await;
        let answer = administer(&world, made, method, path, body).await;
        assert_refused(&world, &before, &answer, expected, case).await;
    }
    assert!(own().await.as_ref().is_some_and(Connection::stands));

    // Of two who demote each other at once, one stays.
    let (mut other, second) = signed_in(&world, "salesforce", SELLER, "administrator").await;
    let second_path = format!("/seats/{}", second.seat);
    for round in 0..4 {
        assert_eq!(acting().await.len(), 2);
        let demoted = [
            edited(SELLER, "salesperson", true),
            edited(ADMIN, "salesperson", round % 2 == 0),
        ];
        let (left, right) = tokio::join!(
            browser.api(Method::PUT, &second_path, Some(&demoted[0])),
            other.api(Method::PUT, &path, Some(&demoted[1])),
        );
        let mut statuses = [left.status.as_u16(), right.status.as_u16()];
        statuses.sort_unstable();
        let lost = if left.status == StatusCode::OK {
            right
        } else {
            left
        };
        let (status, code) = lost.problem();
        assert!(
            statuses[0] == 200
                && matches!(
                    (status, code.as_str()),
                    (409, "last_administrator")
                        | (403, "role_not_allowed")
                        | (401, "unauthenticated")
                ),
            "round {round}: {statuses:?} {code}"
        );
        assert_eq!(acting().await.len(), 1, "round {round}");
        for (path, email) in [(&path, ADMIN), (&second_path, SELLER)] {
            let body = Some(edited(email, "administrator", true));
            let answer = administer(&world, made, Method::PUT, path, body).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        }
        browser.sign_in("salesforce", made, None, ADMIN).await;
        other.sign_in("salesforce", made, None, SELLER).await;
    }

    // Invited anew, the seat can be another person's, who does not act in the CRM as this one.
    assert!(own().await.as_ref().is_some_and(Connection::stands));
    let answer = administer(&world, made, Method::POST, &invite, None).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert!(!own().await.as_ref().is_some_and(Connection::stands));
    world.stop().await;
}

#[tokio::test]
async fn an_invitation_opens_its_own_seat_for_its_own_person_in_time() {
    let world = World::start().await;
    let outside = "visitor@elsewhere.example";
    let member = "colleague@leadbridge.example";
    let settings =
        json!({ "dataverse": { "foreign_tenant_users": [outside], "not_members": [member] } });
    world.control(Method::PATCH, "/settings", settings).await;
    for way in WAYS {
        let made = world.contract(way);
        let theirs = world.contract(if way == "entra" {
            "salesforce"
        } else {
            "entra"
        });
        let absent = world
            .invite(made, "absent@leadbridge.example", "administrator")
            .await;
        let elsewhere = world
            .invite(theirs, "x@leadbridge.example", "administrator")
            .await;
        let (_, holder) = signed_in(&world, way, ADMIN, "salesperson").await;
        let secret = |invited: &Invited| invited.invitation.split_once('.').unwrap().1.to_owned();
        let before = world.all_items().await;

        // Refused before the browser is sent to a provider.
        for (case, invitation) in [
            (
                "another secret",
                format!("{}.{}", absent.seat, "A".repeat(43)),
            ),
            ("no secret", format!("{}.", absent.seat)),
            (
                "another seat's secret",
                format!("{}.{}", holder.seat, secret(&absent)),
            ),
            ("one that was accepted", holder.invitation.clone()),
            ("another contract's", elsewhere.invitation.clone()),
            (
                "another contract's secret",
                format!("{}.{}", absent.seat, secret(&elsewhere)),
            ),
            ("only a secret", secret(&absent)),
            ("nothing", String::new()),
        ] {
            let link = [("invitation", invitation.as_str())];
            let answer = world.browser().open(way, made, &link).await;
            let expected = (403, "invitation_invalid");
            assert_refused(&world, &before, &answer, expected, case).await;
            assert_eq!(answer.cookies(), [], "{case}");
        }

        // Refused once the user is known.
        let link = Some(absent.invitation.as_str());
        for (case, invitation, who, code) in [
            ("another address", link, SELLER, "invitation_for_another"),
            ("no invitation", None, SELLER, "no_seat"),
        ] {
            let answer = world.browser().sign_in(way, made, invitation, who).await;
            assert_refused(&world, &before, &answer, (403, code), case).await;
        }
        if way == "entra" {
            for (case, invitation, who, code) in [
                (
                    "another tenant's, invited",
                    link,
                    outside,
                    "invitation_for_another",
                ),
                ("another tenant's", None, outside, "no_seat"),
                ("no member of the organisation", None, member, "no_seat"),
            ] {
                let answer = world.browser().sign_in(way, made, invitation, who).await;
                assert_refused(&world, &before, &answer, (403, code), case).await;
            }
        }

        // A person who has a seat keeps it, even if the link carries an invitation to another.
        let answer = world.browser().sign_in(way, made, link, ADMIN).await;
        assert_eq!(answer.json()["seat"], holder.seat);
        assert_eq!(answer.json()["role"], "salesperson");
        let path = format!("/seats/{}", absent.seat);
        let view = administer(&world, made, Method::GET, &path, None)
            .await
            .json();
        assert_eq!(
            (&view["status"], &view["identity"]),
            (&json!("invited"), &Value::Null)
        );

        // Seven days: over at the start, or on the way.
        let seller = world.invite(made, SELLER, "salesperson").await;
        let link = [("invitation", seller.invitation.as_str())];
        world.advance(7 * 24 * HOUR - 60).await;
        let mut late = world.browser();
        let url = late.start(way, made, &link).await;
        let mut in_time = world.browser();
        let good = in_time.start(way, made, &link).await;
        world.advance(59).await;
        let answer = in_time.choose(&good, ADMIN).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        let before = world.all_items().await;
        world.advance(1).await;
        let answer = late.choose(&url, SELLER).await;
        let expected = (403, "invitation_invalid");
        assert_refused(&world, &before, &answer, expected, "expired on the way").await;
        let answer = world.browser().open(way, made, &link).await;
        assert_refused(&world, &before, &answer, expected, "expired").await;
    }
    world.stop().await;
}

/// An address that a provider names counts only if the provider vouches for it.
#[tokio::test]
async fn an_address_that_nobody_vouches_for_accepts_nothing() {
    let world = World::start().await;
    // A user name at Salesforce looks like an e-mail address, and can be chosen freely.
    let sandbox = "sandbox-user@sandbox.leadbridge.example";
    let made = &world.salesforce;
    let seat = world.invite(made, sandbox, "administrator").await;
    let before = world.all_items().await;
    let invitation = Some(seat.invitation.as_str());
    let mut browser = world.browser();
    let answer = browser
        .sign_in("salesforce", made, invitation, sandbox)
        .await;
    let expected = (403, "invitation_for_another");
    assert_refused(&world, &before, &answer, expected, "a user name").await;

    // An organisation that gives no address proves none.
    let quiet = json!({ "salesforce": { "standard_claims": false } });
    world.control(Method::PATCH, "/settings", quiet).await;
    let seat = world.invite(made, SELLER, "administrator").await;
    let before = world.all_items().await;
    let invitation = Some(seat.invitation.as_str());
    let answer = browser
        .sign_in("salesforce", made, invitation, SELLER)
        .await;
    assert_refused(&world, &before, &answer, expected, "no claims").await;
    world.stop().await;
}

#[tokio::test]
async fn an_address_belongs_to_one_seat_of_a_contract() {
    let world = World::start().await;
    let made = &world.salesforce;
    let first = world.invite(made, SELLER, "salesperson").await;
    let second = world.invite(made, ADMIN, "salesperson").await;
    let before = world.all_items().await;
    let new = |email: &str| json!({ "name": "X", "email": email, "role": "administrator" });
    let path = format!("/seats/{}", second.seat);
    for (case, method, path, body) in [
        ("made", Method::POST, "/seats", new(SELLER)),
        (
            "made in capitals",
            Method::POST,
            "/seats",
            new(" SELLER@Leadbridge.Example "),
        ),
        (
            "edited",
            Method::PUT,
            path.as_str(),
            edited(SELLER, "salesperson", true),
        ),
    ] {
        let answer = administer(&world, made, method, path, Some(body)).await;
        assert_eq!(answer.json()["field"], "email", "{case}");
        assert_refused(&world, &before, &answer, (409, "email_taken"), case).await;
    }
    let token = &made.tokens.administrator;
    let body = new("third@leadbridge.example");
    let (left, right) = tokio::join!(
        world.api(token, Method::POST, "/seats", Some(&body)),
        world.api(token, Method::POST, "/seats", Some(&body)),
    );
    let mut statuses = [left.status.as_u16(), right.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409], "{} {}", left.text, right.text);
    // Given up, it is free.
    let path = format!("/seats/{}", first.seat);
    let body = edited("moved@leadbridge.example", "salesperson", true);
    let answer = administer(&world, made, Method::PUT, &path, Some(body)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    world.invite(made, SELLER, "salesperson").await;
    // Another contract's seats are its own.
    world.invite(&world.dynamics, ADMIN, "salesperson").await;
    world.stop().await;
}

#[tokio::test]
async fn of_two_who_accept_one_invitation_at_once_one_gets_the_seat() {
    let world = World::start().await;
    let made = &world.salesforce;
    signed_in(&world, "salesforce", ADMIN, "administrator").await;
    for round in 0..3 {
        // The same address at two providers: two accounts.
        let seat = world.invite(made, SELLER, "administrator").await;
        let (mut one, mut two) = (world.browser(), world.browser());
        let invitation = [("invitation", seat.invitation.as_str())];
        let first = one.start("salesforce", made, &invitation).await;
        let second = two.start("entra", made, &invitation).await;
        let (left, right) = tokio::join!(one.choose(&first, SELLER), two.choose(&second, SELLER));
        let (way, won, lost, mut outside) = if left.status == StatusCode::OK {
            ("salesforce", left, right, two)
        } else {
            ("entra", right, left, one)
        };
        assert_eq!(won.json()["seat"], seat.seat, "round {round}");
        assert_eq!(lost.problem(), (403, "invitation_invalid".to_owned()));
        assert!(!lost.opens_session());
        assert_eq!(outside.session_status().await, 401);
        assert_eq!(identities(&world, made).await, 2);
        let path = format!("/seats/{}", seat.seat);
        let view = administer(&world, made, Method::GET, &path, None)
            .await
            .json();
        assert_eq!(view["identity"]["provider"], way);

        // One account twice at once: it is the same person both times.
        let invite = format!("{path}/invite");
        let anew = invited(&administer(&world, made, Method::POST, &invite, None).await);
        let invitation = [("invitation", anew.invitation.as_str())];
        let (mut one, mut two) = (world.browser(), world.browser());
        let first = one.start(way, made, &invitation).await;
        let second = two.start(way, made, &invitation).await;
        let (left, right) = tokio::join!(one.choose(&first, SELLER), two.choose(&second, SELLER));
        for (answer, mut browser) in [(left, one), (right, two)] {
            assert_eq!(answer.json()["seat"], seat.seat, "{}", answer.text);
            assert_eq!(browser.session_status().await, 200);
        }
        assert_eq!(identities(&world, made).await, 2);
        let answer = administer(&world, made, Method::DELETE, &path, None).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text);
    }
    world.stop().await;
}

/// Cuts a process off at each of its outside calls while it completes a first sign-in. In every case the same
/// person signs in again, and there is one seat, one identity.
#[tokio::test]
async fn a_first_sign_in_that_dies_at_any_call_is_made_up_for_by_signing_in_again() {
    Box::pin(die_at_every_call()).await;
}

async fn die_at_every_call() {
    let world = World::start().await;
    let made = &world.dynamics;
    signed_in(&world, "entra", ADMIN, "administrator").await;
    let healthy = process(&world.stack, &Tripwire::new(), &world.clock).router();
    let mut half_way = 0;
    for (n, cut) in Cut::each().enumerate() {
        let seat = world.invite(made, SELLER, "administrator").await;
        let invitation = [("invitation", seat.invitation.as_str())];
        let mut browser = world.browser_on(&healthy);
        let url = browser.start("entra", made, &invitation).await;
        let url = with(&url, "login_hint", SELLER);
        let back = world.sign_in(&url).await;
        let wire = Tripwire::cutting(cut);
        let mut dying = world.browser_on(&process(&world.stack, &wire, &world.clock).router());
        dying.cookies = browser.cookies.clone();
        let answer = dying.come_back(&back).await;
        assert!(wire.has_cut() || answer.status == StatusCode::OK, "{cut:?}");
        assert_eq!(
            answer.opens_session(),
            answer.status == StatusCode::OK,
            "{cut:?}"
        );

        // The link works as long as nothing was accepted, and explains the next step afterwards.
        let mut again = world.browser_on(&healthy);
        let link = again.open("entra", made, &invitation).await;
        let answer = if link.status == StatusCode::SEE_OTHER {
            let invitation = Some(seat.invitation.as_str());
            again.sign_in("entra", made, invitation, SELLER).await
        } else {
            half_way += usize::from(wire.has_cut());
            assert_eq!(
                link.problem(),
                (403, "invitation_invalid".to_owned()),
                "{cut:?}"
            );
            assert!(link.text.contains("sign in without it"), "{}", link.text);
            again.sign_in("entra", made, None, SELLER).await
        };
        assert_eq!(answer.json()["seat"], seat.seat, "{cut:?} {}", answer.text);
        assert_eq!(again.session_status().await, 200, "{cut:?}");
        assert_eq!(identities(&world, made).await, 2, "{cut:?}");
        let contract = world.store().contract(&made.id).await.unwrap().unwrap();
        assert_eq!(contract.administrators.len(), 2, "{cut:?}");
        let path = format!("/seats/{}", seat.seat);
        let view = administer(&world, made, Method::GET, &path, None)
            .await
            .json();
        assert_eq!(view["status"], "active", "{cut:?}");
        let log = world.store().audit_log(&made.id, 100, None).await.unwrap();
        let accepted = log
            .items
            .iter()
            .filter(|entry| entry.action == "seat.accept" && entry.target == seat.seat);
        assert_eq!(accepted.count(), 1, "{cut:?}");
        let gone = administer(&world, made, Method::DELETE, &path, None).await;
        assert_eq!(gone.status, StatusCode::NO_CONTENT, "{cut:?}");
        // Audit entries of one moment are no longer told apart from the next round's.
        world.advance(1).await;
        if !wire.has_cut() {
            assert!(
                n > 8 && half_way > 1,
                "{n} calls, {half_way} deaths after accepting"
            );
            break;
        }
    }
    world.stop().await;
}

#[tokio::test]
async fn a_session_that_was_planted_does_not_outlive_the_sign_in() {
    let world = World::start().await;
    let made = &world.salesforce;
    let (attacker, _) = signed_in(&world, "salesforce", SELLER, "salesperson").await;
    world.invite(made, ADMIN, "administrator").await;
    let planted = [
        ("another person's session", attacker.session()),
        ("nonsense", "planted".to_owned()),
        ("a forged one", attacker.session().replace("lbs.", "lbs.x")),
    ];
    let seats = administer(&world, made, Method::GET, "/seats", None)
        .await
        .json();
    let holder = seats["items"].as_array().unwrap().iter();
    let holder = holder.clone().find(|seat| seat["email"] == ADMIN).unwrap()["id"].clone();
    let invite = format!("/seats/{}/invite", holder.as_str().unwrap());
    let mut invitation = Some(invited(
        &administer(&world, made, Method::POST, &invite, None).await,
    ));
    for (case, value) in planted {
        let mut victim = world.browser();
        victim
            .cookies
            .insert(SESSION_COOKIE.to_owned(), value.clone());
        let link = invitation.take();
        let link = link.as_ref().map(|invited| invited.invitation.as_str());
        let answer = victim.sign_in("salesforce", made, link, ADMIN).await;
        assert_eq!(answer.json()["seat"], holder, "{case}");
        assert_ne!(victim.session(), value, "{case}");
        assert_eq!(victim.session_status().await, 200, "{case}");
        // The planted session opens nothing of the victim's, or anything at all.
        let mut thief = attacker.clone();
        thief.cookies.insert(SESSION_COOKIE.to_owned(), value);
        assert_eq!(thief.session_status().await, 401, "{case}");
    }
    // Two sign-ins never give the same session.
    let mut sessions = BTreeSet::new();
    for _ in 0..3 {
        let mut browser = world.browser();
        browser.sign_in("salesforce", made, None, ADMIN).await;
        assert!(sessions.insert(browser.session()));
    }
    world.stop().await;
}

#[tokio::test]
async fn a_session_cookie_that_was_tampered_with_opens_nothing() {
    let world = World::start().await;
    let (browser, seat) = signed_in(&world, "salesforce", SELLER, "salesperson").await;
    let (colleague, other_seat) = signed_in(&world, "salesforce", ADMIN, "administrator").await;
    let (foreign, foreign_seat) = signed_in(&world, "entra", ADMIN, "administrator").await;
    let before = world.all_items().await;
    let token = browser.session();
    let parts = |token: &str| token.split('.').map(str::to_owned).collect::<Vec<_>>();
    let own = parts(&token);
    assert_eq!(own.len(), 6);
    assert_eq!(
        (own[0].as_str(), own[1].as_str(), own[2].as_str()),
        ("lbs", "acme-salesforce", seat.seat.as_str())
    );
    let (theirs, elsewhere) = (parts(&colleague.session()), parts(&foreign.session()));
    let put = |at: usize, value: &str| {
        let mut changed = own.clone();
        value.clone_into(&mut changed[at]);
        changed.join(".")
    };
    let later = (own[4].parse::<i64>().unwrap() + 1000).to_string();
    let signature = &own[5];
    let flipped = |at: usize| {
        let digit = if signature.as_bytes()[at] == b'0' {
            "1"
        } else {
            "0"
        };
        format!("{}{digit}{}", &signature[..at], &signature[at + 1..])
    };
    let swapped = |from: &[String], which: &[usize]| {
        let mut changed = own.clone();
        for at in which {
            changed[*at].clone_from(&from[*at]);
        }
        changed.join(".")
    };
    for (case, value) in [
        ("the kind", put(0, "lbt")),
        ("another contract", put(1, "acme-dynamics")),
        ("no such contract", put(1, "acme-nobody")),
        ("another seat", put(2, &other_seat.seat)),
        ("another contract's seat", put(2, &foreign_seat.seat)),
        ("another session", put(3, &theirs[3])),
        ("no session", put(3, "")),
        ("a later end", put(4, &later)),
        ("no end", put(4, "")),
        ("an end in words", put(4, "never")),
        ("the signature's first digit", put(5, &flipped(0))),
        ("the signature's last digit", put(5, &flipped(63))),
        ("no signature", put(5, "")),
        ("half a signature", put(5, &signature[..32])),
        (
            "a signature twice",
            put(5, &format!("{signature}{signature}")),
        ),
        ("another's signature", swapped(&theirs, &[5])),
        ("another's seat and signature", swapped(&theirs, &[2, 5])),
        ("another's session and signature", swapped(&theirs, &[3, 5])),
        ("another contract's signature", swapped(&elsewhere, &[5])),
        (
            "our contract in another's",
            swapped(&elsewhere, &[2, 3, 4, 5]),
        ),
        ("another contract in ours", swapped(&elsewhere, &[1])),
        ("one part more", format!("{token}.x")),
        ("quotes", format!("\"{token}\"")),
        ("nothing", String::new()),
        (
            "an API token",
            world.salesforce.tokens.administrator.clone(),
        ),
    ] {
        let mut thief = world.browser();
        thief.cookies.insert(SESSION_COOKIE.to_owned(), value);
        let answer = thief.api(Method::GET, "/session", None).await;
        let expected = (401, "unauthenticated");
        assert_refused(&world, &before, &answer, expected, case).await;
    }
    // Under another name it is no session; whole and in its place it is one, of its contract.
    for name in [
        "lb_session",
        "__Host-lb_oauth_0123456789ab",
        "__host-lb_session",
    ] {
        let mut thief = world.browser();
        thief.cookies.insert(name.to_owned(), token.clone());
        assert_eq!(thief.session_status().await, 401, "{name}");
    }
    let mut good = browser.clone();
    let session = good.api(Method::GET, "/session", None).await.json();
    assert_eq!(session["contract"], "acme-salesforce");
    // A request with an Authorization header counts by that alone, whatever its other headers.
    let headers = [("authorization", "Bearer nonsense")];
    let answer = good.send(Method::GET, "/api/v1/me", &headers, None).await;
    assert_eq!(answer.problem(), (401, "unauthenticated".to_owned()));
    world.stop().await;
}

/// Every route of the API by its own description, with the ids of a seat and a token filled in.
fn routes(seat: &str, token: &str) -> Vec<(Method, String)> {
    let description: Value = serde_json::from_str(console::DESCRIPTION).unwrap();
    let mut routes = Vec::new();
    for (path, operations) in description["paths"].as_object().unwrap() {
        let id = match path {
            path if path.starts_with("/api/v1/seats") => seat,
            path if path.starts_with("/api/v1/api-tokens") => token,
            _ => "00000000-0000-4000-8000-000000000000",
        };
        let path = path
            .replace("{id}", id)
            .replace("{name}", "no-such-name")
            .replace("{environment}", "production");
        for method in operations.as_object().unwrap().keys() {
            if let Ok(method) = Method::from_bytes(method.to_uppercase().as_bytes()) {
                routes.push((method, path.clone()));
            }
        }
    }
    assert!(routes.len() > 40, "{routes:?}");
    routes
}

fn token_id(bearer: &str) -> &str {
    bearer.split('.').nth(2).unwrap()
}

#[tokio::test]
async fn no_other_page_changes_anything_with_somebodys_session() {
    let world = World::start().await;
    let made = &world.salesforce;
    let (mut browser, seat) = signed_in(&world, "salesforce", ADMIN, "administrator").await;
    let mut second = world.browser();
    second.sign_in("salesforce", made, None, ADMIN).await;
    let (mut colleague, _) = signed_in(&world, "salesforce", SELLER, "administrator").await;
    let (mut foreign, _) = signed_in(&world, "entra", ADMIN, "administrator").await;
    let csrf = browser.csrf().await;
    let others = [
        second.csrf().await,
        colleague.csrf().await,
        foreign.csrf().await,
    ];
    assert_eq!(csrf.len(), 64);
    assert!(
        others
            .iter()
            .all(|other| *other != csrf && other.len() == 64)
    );
    let session = browser.session();
    let token = |value: &str| vec![("x-csrf-token", value.to_owned())];
    let from = |name: &'static str, value: &str| {
        vec![("x-csrf-token", csrf.clone()), (name, value.to_owned())]
    };
    let attacks = [
        ("no token", Vec::new()),
        ("an empty token", token("")),
        ("a wrong token", token(&"0".repeat(64))),
        ("part of the token", token(&csrf[..32])),
        ("the token of another browser", token(&others[0])),
        ("a colleague's token", token(&others[1])),
        ("another contract's token", token(&others[2])),
        ("the session itself", token(&session)),
        ("another site", from("origin", "https://evil.example")),
        ("another scheme", from("origin", "http://leads.example")),
        ("another port", from("origin", "https://leads.example:8443")),
        ("a site below", from("origin", "https://x.leads.example")),
        ("a frame without origin", from("origin", "null")),
        ("cross-site", from("sec-fetch-site", "cross-site")),
        ("same-site", from("sec-fetch-site", "same-site")),
    ];
    let mut changing: Vec<(Method, String)> =
        routes(&seat.seat, token_id(&made.tokens.salesperson))
            .into_iter()
            .filter(|(method, _)| *method != Method::GET)
            .collect();
    for provider in ["salesforce", "dataverse", "linkedin", "user"] {
        changing.push((Method::POST, format!("/oauth/{provider}/start")));
    }
    let before = world.all_items().await;
    let mark = world.mark().await;
    for (method, path) in &changing {
        for (case, headers) in &attacks {
            let mut headers: Vec<(&str, &str)> = headers
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            headers.push(("content-type", "application/json"));
            let body = json!({});
            let answer = browser
                .send(method.clone(), path, &headers, Some(&body))
                .await;
            let expected = (403, "csrf_token_needed".to_owned());
            assert_eq!(answer.problem(), expected, "{method} {path}: {case}");
            assert_eq!(answer.cookies(), [], "{method} {path}: {case}");
        }
    }
    assert_eq!(changes(&before, &world.all_items().await), BTreeMap::new());
    assert_eq!(world.calls(mark).await, Vec::<String>::new());

    // A page of ours does, and so does a client that is no browser and knows the token.
    for headers in [
        vec![("origin", PUBLIC_URL), ("sec-fetch-site", "same-origin")],
        vec![],
    ] {
        let mut headers = headers;
        headers.push(("x-csrf-token", csrf.as_str()));
        let renew = "/api/v1/session/renew";
        let answer = browser.send(Method::POST, renew, &headers, None).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    }
    // No other site may read a GET's answer, the token above all.
    let headers = [("origin", "https://evil.example")];
    let answer = browser
        .send(Method::GET, "/api/v1/session", &headers, None)
        .await;
    let allowed = header::ACCESS_CONTROL_ALLOW_ORIGIN;
    assert!(!answer.headers.contains_key(allowed), "{answer:?}");
    world.stop().await;
}

#[tokio::test]
async fn a_salespersons_session_does_what_its_role_may_and_no_more() {
    let world = World::start().await;
    let made = &world.salesforce;
    signed_in(&world, "salesforce", ADMIN, "administrator").await;
    let (mut browser, seat) = signed_in(&world, "salesforce", SELLER, "salesperson").await;
    let (allowed, refused): (Vec<_>, Vec<_>) =
        routes(&seat.seat, token_id(&made.tokens.administrator))
            .into_iter()
            .partition(|(method, path)| {
                let path = path.strip_prefix("/api/v1").unwrap();
                salesperson_may(method, path)
            });
    assert!(refused.len() > 30, "{refused:?}");
    let before = world.all_items().await;
    let denied = || (403, "role_not_allowed".to_owned());
    for (method, path) in &refused {
        let body = (*method != Method::GET).then(|| json!({}));
        let answer = browser.page(method.clone(), path, body.as_ref()).await;
        assert_eq!(answer.problem(), denied(), "{method} {path}");
    }
    // With bodies that would do something.
    let own = format!("/api/v1/seats/{}", seat.seat);
    for (method, path, body) in [
        (
            Method::PUT,
            own.as_str(),
            edited(SELLER, "administrator", true),
        ),
        (
            Method::POST,
            "/api/v1/seats",
            json!({ "name": "Eve", "email": "eve@x.example", "role": "administrator" }),
        ),
        (
            Method::POST,
            "/api/v1/api-tokens",
            json!({ "name": "x", "role": "administrator" }),
        ),
        (
            Method::PUT,
            "/api/v1/crm-connections/production/crm",
            json!({ "crm": "salesforce" }),
        ),
        (
            Method::POST,
            "/oauth/salesforce/start",
            world.target("salesforce"),
        ),
        (
            Method::POST,
            "/oauth/dataverse/start",
            world.target("dataverse"),
        ),
    ] {
        let answer = browser.page(method.clone(), path, Some(&body)).await;
        assert_eq!(answer.problem(), denied(), "{method} {path}");
        assert_eq!(answer.cookies(), [], "{method} {path}");
    }
    assert_eq!(changes(&before, &world.all_items().await), BTreeMap::new());

    for (method, path) in &allowed {
        if browser.session_status().await != 200 {
            browser.sign_in("salesforce", made, None, SELLER).await;
        }
        let body = (*method != Method::GET).then(|| json!({}));
        let answer = browser.page(method.clone(), path, body.as_ref()).await;
        let code = serde_json::from_str::<Value>(&answer.text).unwrap_or_default();
        assert_ne!(code["code"], "role_not_allowed", "{method} {path}");
        assert_ne!(answer.status, StatusCode::UNAUTHORIZED, "{method} {path}");
    }
    browser.sign_in("salesforce", made, None, SELLER).await;
    let url = browser.start_connecting("linkedin", &json!({})).await;
    assert_eq!(url.path(), "/oauth/v2/authorization");
    // Their own sign-in to the CRM is theirs to start, once there is one.
    let answer = browser
        .page(Method::POST, "/oauth/user/start", Some(&json!({})))
        .await;
    assert_eq!(answer.problem(), (409, "not_connected".to_owned()));
    world.stop().await;
}
