//! People's decisions about an entry: the record that it is, no record at all, or a new record (MA-4).

use shared::domain::directory::EntryKind;
use shared::linking::{self, Act, Creator, DecideError, Linked, Linking};
use shared::problem::Problem;
use shared::store::{self, ConnectionKind};

use super::super::activities;
use super::shapes::EntryDetail;
use super::show::{self, ENVIRONMENT, View};
use crate::App;
use crate::auth::{Caller, ChangeDirectory, DecideMatches};

/// Applies a decision and returns the entry after it.
pub(super) async fn decide(
    app: &App,
    caller: &Caller<DecideMatches>,
    kind: EntryKind,
    id: &str,
    act: Act,
) -> Result<EntryDetail, Problem> {
    let id = show::entry_id(kind, id)?;
    let view = View::of(app, &caller.contract).await?;
    let random = app.remote.random.as_ref();
    let linking = view.linking();
    let decided = linking.decide(kind, id, act, &caller.actor, random);
    let Linked { entry, matched } = Box::pin(decided).await.map_err(DecideError::problem)?;
    let linked = matched.link.is_some();
    activities::announce_decided(app, &caller.contract, entry.reference(), linked).await;
    view.detail(caller, &entry, Some(&matched)).await
}

/// Creates a record in the CRM and returns the linked entry. The record is created as the signed-in caller's
/// own user there, or over the contract's connection for an API token.
pub(super) async fn create(
    app: &App,
    caller: &Caller<DecideMatches>,
    kind: EntryKind,
    id: &str,
) -> Result<EntryDetail, Problem> {
    let id = show::entry_id(kind, id)?;
    let contract = &caller.contract;
    let config = app.config(contract).await?;
    let (remote, cached) = (&app.remote, &app.cached);
    let creator = Creator {
        by: &caller.actor,
        // A program with a token of the contract's is no user of the CRM.
        connection: caller
            .signed_in()
            .map_or(ConnectionKind::PRODUCTION, |signed_in| {
                ConnectionKind::User(signed_in.seat.id, ENVIRONMENT)
            }),
    };
    let created = linking::create_record(remote, cached, &config, kind, id, creator);
    let Linked { entry, matched } = Box::pin(created).await.map_err(DecideError::problem)?;
    activities::announce_decided(app, contract, entry.reference(), true).await;
    let view = View::of(app, contract).await?;
    view.detail(caller, &entry, Some(&matched)).await
}

/// Removes an entry with all its data.
pub(super) async fn delete(
    app: &App,
    caller: &Caller<ChangeDirectory>,
    kind: EntryKind,
    id: &str,
) -> Result<(), Problem> {
    let act = store::Act {
        environment: ENVIRONMENT,
        organization: None,
        kind,
        id: show::entry_id(kind, id)?,
        by: &caller.actor,
        now: app.remote.clock.now(),
        unique: app.remote.random.uuid(),
    };
    let (contract, store) = (&caller.contract, &app.remote.store);
    let freed = store.delete_entry(contract, &act).await;
    if let Some(record) = freed.map_err(|error| error.problem())? {
        let config = store
            .config(contract)
            .await
            .map_err(|error| error.problem())?;
        if let Some(config) = config {
            let linking = Linking::new(store, &config.contract, act.now);
            let handed = linking.hand_over(kind, record).await;
            handed.map_err(|error| error.problem())?;
        }
    }
    Ok(())
}
