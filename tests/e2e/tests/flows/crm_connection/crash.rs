//! A callback that dies anywhere leaves nothing, or a connection with everything that comes with it
//! (CN-1, CN-3, CN-5).

use serde_json::{Value, json};
use shared::domain::schema::CrmKind;
use shared::store::{ConnectionKind, ConnectionState, WorkKind};
use shared::testing::{Cut, Tripwire};

use super::world::{PRODUCTION, World, for_both};

const CRM: ConnectionKind = ConnectionKind::PRODUCTION;

for_both!(a_callback_that_dies_at_any_step_has_connected_with_its_import_or_not_at_all);
async fn a_callback_that_dies_at_any_step_has_connected_with_its_import_or_not_at_all(
    crm: CrmKind,
) {
    let world = World::start(crm).await;
    let snapshot = world.snapshot().await;
    let (mut connected, mut not) = (0, 0);
    for cut in Cut::each() {
        world.reset(&snapshot).await;
        let before = world.audit("connection.connect").await.len();
        let started = world.begin_crm(&world.apps, PRODUCTION).await;
        let back = world.sign_in(&started).await;
        let wire = Tripwire::cutting(cut);
        let dying = world.over(&wire);
        let answer = world.come_back(&dying, &back, &started.cookie).await;
        let about = format!("{crm:?} {cut:?}: {}", answer.json);

        let view = world.view(PRODUCTION).await;
        let logged = world.audit("connection.connect").await.len() - before;
        if let Some(connection) = world.connection(CRM).await {
            assert_eq!(connection.state, ConnectionState::Connected, "{about}");
            let open = world.open_work().await;
            assert_eq!(open, [WorkKind::Sync(PRODUCTION)], "{about}");
            assert_eq!(view["guide"]["choice"], json!({ "crm": crm }), "{about}");
            assert_eq!(view["sync"]["state"], "queued", "{about}");
            assert_eq!(logged, 1, "{about}");
            // With or without a message, it comes to its end.
            world.settle().await;
            let view = world.view(PRODUCTION).await;
            assert_eq!(view["message"], "Connected.", "{about}");
            assert_eq!(view["guide"]["step_number"], 2, "{about}");
            assert_eq!(view["problem"], Value::Null, "{about}");
            connected += 1;
        } else {
            assert_ne!(answer.status, 200, "{about}");
            assert_eq!(logged, 0, "{about}");
            assert_eq!(view["sync"]["state"], Value::Null, "{about}");
            assert!(world.open_work().await.is_empty(), "{about}");
            // The same way back works if its answer was not seen; starting again always does.
            let again = world.come_back(&world.apps, &back, &started.cookie).await;
            if again.status != 200 {
                assert!(
                    again.code().starts_with("oauth_"),
                    "{about}: {}",
                    again.json
                );
                world.connect(PRODUCTION).await.is(200);
            }
            let view = world.view(PRODUCTION).await;
            assert_eq!(view["guide"]["step_number"], 2, "{about}");
            assert_eq!(view["sync"]["state"], "queued", "{about}");
            not += 1;
        }
        if !wire.has_cut() {
            break;
        }
    }
    assert!(connected > 3 && not > 5, "{connected} {not}");
    world.stop().await;
}
