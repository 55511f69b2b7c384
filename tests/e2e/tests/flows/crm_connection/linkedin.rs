//! LinkedIn's authorisation: a year with refresh tokens, sixty days without, and a warning before its
//! end.

use axum::http::{HeaderName, Method};
use serde_json::{Value, json};
use shared::domain::schema::CrmKind;
use shared::outbound::Call;
use shared::session::SessionError;
use shared::store::{ConnectionKind, ConnectionState, Revocation};

use super::world::{Who, World, started};

const DAY: i64 = 24 * 3600;
const KIND: ConnectionKind = ConnectionKind::LinkedIn;

impl World {
    async fn authorize_linkedin(&self) {
        let answer = self
            .begin(&self.apps, Who::Administrator, "linkedin", &json!({}))
            .await;
        let started = started(&answer.is(200));
        let answer = self.complete(&self.apps, &started).await.is(200);
        assert_eq!(answer.json["message"], "LinkedIn is connected.");
    }

    async fn linkedin(&self) -> Value {
        self.get("/linkedin").await
    }

    /// A call to LinkedIn's API with the stored tokens.
    async fn use_linkedin(&self) -> Result<u16, SessionError> {
        let apps = self.fresh();
        let session = apps
            .resync
            .remote
            .sessions
            .open(&self.made.id, KIND)
            .await?;
        let now = self.now().0;
        let url = session.url(&format!(
            "/rest/leadFormResponses?q=owner&owner=(sponsoredAccount:urn%3Ali%3AsponsoredAccount%3A123)&leadType=(leadType:SPONSORED)&limitedToTestLeads=false&submittedAtTimeRange=(start:{},end:{now})",
            now - 1000
        ))?;
        let call = Call::new(session.provider, Method::GET, url)
            .header(HeaderName::from_static("linkedin-version"), "202606")
            .header(
                HeaderName::from_static("x-restli-protocol-version"),
                "2.0.0",
            );
        Ok(session.send(call).await?.status.as_u16())
    }

    /// True for each place that warns of the end: the settings, the notices, and the schedule.
    async fn is_warned(&self) -> [bool; 3] {
        let soon = |problem: &Value| problem["code"] == "authorization_ends_soon";
        let notices = self.notices(Who::Administrator, "linkedin").await;
        let shown = notices.first().is_some_and(|notice| {
            notice["severity"] == "warning" && soon(&notice["problem"]) && notice["by"].is_i64()
        });
        [
            soon(&self.linkedin().await["problem"]),
            shown,
            self.start_syncs().await.ending == 1,
        ]
    }
}

#[tokio::test]
async fn an_authorisation_ends_when_it_was_said_to_and_is_warned_of_for_two_weeks() {
    for (refresh_tokens, days) in [(true, 365), (false, 60)] {
        let world = World::start(CrmKind::Salesforce).await;
        let settings = json!({ "linkedin": { "refresh_tokens": refresh_tokens } });
        world.control(Method::PATCH, "/settings", settings).await;
        assert_eq!(world.linkedin().await["connection"], "not_connected");
        world.authorize_linkedin().await;
        let end = world.now().0 + days * DAY * 1000;
        let view = world.linkedin().await;
        assert_eq!(
            (&view["connection"], &view["authorization_ends_at"]),
            (&json!("connected"), &json!(end))
        );
        assert_eq!(world.is_warned().await, [false; 3]);

        // An access token lasts 60 days; renewing it does not move the end.
        if refresh_tokens {
            for version in 2..=5 {
                world.advance(61 * DAY).await;
                assert_eq!(world.use_linkedin().await.unwrap(), 200);
                let connection = world.connection(KIND).await.unwrap();
                assert_eq!(connection.version, version, "it was renewed");
                assert_eq!(world.linkedin().await["authorization_ends_at"], end);
            }
        }
        let second_before_warning = (end - world.now().0) / 1000 - 14 * DAY - 1;
        world.advance(second_before_warning).await;
        assert_eq!(world.is_warned().await, [false; 3]);
        world.advance(2).await;
        assert_eq!(world.is_warned().await, [true; 3]);
        let problem = &world.linkedin().await["problem"];
        assert_eq!(
            problem["next_step"],
            "Authorise LinkedIn again before that: what arrives later waits until somebody does."
        );
        assert_eq!(world.linkedin().await["connection"], "connected");
        world.advance(14 * DAY - 2).await;
        assert_eq!(
            world.use_linkedin().await.unwrap(),
            200,
            "until the last second"
        );

        world.advance(1).await;
        let view = world.linkedin().await;
        assert_eq!(view["connection"], "sign_in_needed");
        assert_eq!(view["problem"]["code"], "sign_in_needed");
        assert_eq!(
            view["problem"]["detail"],
            "LinkedIn no longer accepts the connection's sign-in."
        );
        let notices = world.notices(Who::Administrator, "linkedin").await;
        assert_eq!(
            (notices.len(), &notices[0]["severity"]),
            (1, &json!("error"))
        );
        assert!(matches!(
            world.use_linkedin().await,
            Err(SessionError::SignInNeeded(_))
        ));

        world.authorize_linkedin().await;
        let view = world.linkedin().await;
        assert_eq!(
            (&view["connection"], &view["problem"]),
            (&json!("connected"), &Value::Null)
        );
        assert_eq!(
            view["authorization_ends_at"],
            world.now().0 + days * DAY * 1000
        );
        assert_eq!(world.is_warned().await, [false; 3]);
        world.stop().await;
    }
}

#[tokio::test]
async fn an_authorisation_that_linkedin_ended_needs_a_new_one() {
    let world = World::start(CrmKind::Salesforce).await;
    world.authorize_linkedin().await;
    world
        .control(
            Method::POST,
            "/tokens/revoke",
            json!({ "provider": "linkedin" }),
        )
        .await;
    assert!(matches!(
        world.use_linkedin().await,
        Err(SessionError::SignInNeeded(_))
    ));
    assert_eq!(world.linkedin().await["connection"], "sign_in_needed");
    let logged = world.audit("connection.sign_in_needed").await;
    assert_eq!((logged.len(), logged[0].target.as_str()), (1, "linkedin"));
    world.authorize_linkedin().await;
    assert_eq!(world.use_linkedin().await.unwrap(), 200);
    world.stop().await;
}

#[tokio::test]
async fn lead_sync_is_disconnected_and_can_be_authorised_again() {
    let world = World::start(CrmKind::Dynamics365).await;
    world.authorize_linkedin().await;
    let end = async || {
        world
            .api(Method::POST, "/linkedin/disconnect", Value::Null)
            .await
    };
    end().await.is(202);
    assert_eq!(world.linkedin().await["connection"], "disconnecting");
    world.settle().await;
    let connection = world.connection(KIND).await.unwrap();
    assert_eq!(
        (connection.state, connection.sealed_tokens),
        (ConnectionState::Disconnected, None)
    );
    // LinkedIn documents no revocation.
    assert_eq!(
        connection.disconnect.unwrap().revocation,
        Some(Revocation::NotOffered)
    );
    let view = world.linkedin().await;
    assert_eq!(
        (&view["connection"], &view["authorization_ends_at"]),
        (&json!("not_connected"), &Value::Null)
    );
    assert!(matches!(
        world.use_linkedin().await,
        Err(SessionError::NotConnected)
    ));
    let again = end().await;
    assert_eq!((again.status, again.code()), (409, "not_connected"));
    assert_eq!(again.json["detail"], "LinkedIn is not connected.");
    for action in ["connection.disconnect", "connection.disconnected"] {
        assert_eq!(world.audit(action).await.len(), 1, "{action}");
    }
    world.authorize_linkedin().await;
    assert_eq!(world.use_linkedin().await.unwrap(), 200);
    world.stop().await;
}
