//! The end of a connection (CN-8): seat holders' sign-ins end with it, the provider revokes the tokens, the
//! imported data is deleted if that was asked for, and the tokens are deleted. Each step is stored before the
//! next begins.

use std::time::Duration;

use serde_json::json;
use shared::clock::Millis;
use shared::crm_setup;
use shared::domain::contract::AuditEntry;
use shared::domain::environment::Environment;
use shared::domain::ids::ContractId;
use shared::domain::sync::{Sync, SyncState};
use shared::problem::Problem;
use shared::session::SessionError;
use shared::store::{
    Connection, ConnectionKind, ConnectionState, Disconnect, Purge, Revocation, StoreError,
    WorkKind,
};
use shared::texts::{self, Audience};

use crate::App;

/// The number of attempts to have the provider revoke the tokens, a minute apart. After these the tokens are
/// only deleted.
const MAX_REVOKE_ATTEMPTS: u32 = 30;
/// The wait before a pass held by a worker is looked at again, in seconds.
const PASS_SECONDS: i64 = 5;
/// The time that one worker counts, and then deletes, before it hands over: both well inside the function's
/// time-out.
const PURGE_TIME: Duration = Duration::from_secs(25);

impl App {
    /// Continues the end of a connection as far as possible.
    pub(crate) async fn disconnect(
        &self,
        contract: &ContractId,
        kind: ConnectionKind,
    ) -> Result<(), StoreError> {
        let store = &self.remote.store;
        let Some(mut connection) = store.connection(contract, kind).await? else {
            return Ok(());
        };
        if connection.state != ConnectionState::Disconnecting {
            return Ok(());
        }
        self.remote.sessions.forget(contract, kind).await;
        let Some(mut end) = connection.disconnect.clone() else {
            return Ok(());
        };
        if let ConnectionKind::Crm(environment) = kind
            && !self.disconnect_users(contract, environment, &end).await?
        {
            return Ok(());
        }
        if end.revocation.is_none() && !self.revoke(&mut connection, &mut end).await? {
            return Ok(());
        }
        if let (ConnectionKind::Crm(environment), true) = (kind, end.clean_up) {
            let ended = self
                .end_import(&mut connection, &mut end, environment)
                .await?
                && self
                    .end_pass(&mut connection, &mut end, environment, WorkKind::Link)
                    .await?
                && self
                    .end_pass(&mut connection, &mut end, environment, WorkKind::Save)
                    .await?;
            if !ended {
                return Ok(());
            }
            if !self.purge(&mut connection, &mut end, environment).await? {
                // There is more than one worker can delete: the next one continues.
                crm_setup::announce(&self.queue, contract, WorkKind::Disconnect(kind)).await;
                return Ok(());
            }
        }
        self.finish(connection, end).await
    }

    /// The sign-ins of seat holders mean nothing without the connection that they belong to.
    /// `false`: one is being refreshed; the schedule comes back to it.
    async fn disconnect_users(
        &self,
        contract: &ContractId,
        environment: Environment,
        end: &Disconnect,
    ) -> Result<bool, StoreError> {
        let store = &self.remote.store;
        let mut all = true;
        for user in store.user_connections(contract, environment).await? {
            if !user.stands() {
                continue;
            }
            let work = WorkKind::Disconnect(user.kind);
            match crm_setup::begin_disconnect(&self.remote, &user, &end.requested_by, false).await {
                Ok(_) => crm_setup::announce(&self.queue, contract, work).await,
                Err(StoreError::Conflict) => all = false,
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    /// Asks the provider to revoke the tokens. Returns `false` if that failed and has to be tried again.
    async fn revoke(
        &self,
        connection: &mut Connection,
        end: &mut Disconnect,
    ) -> Result<bool, StoreError> {
        let revoked = self.remote.sessions.revoke(connection).await;
        end.attempts += 1;
        match revoked {
            Ok(revocation) => end.revocation = Some(revocation),
            Err(error) => {
                if let SessionError::AppRefused(_) = error {
                    self.remote.apps.forget().await;
                }
                tracing::warn!(contract = %connection.contract, provider = connection.provider.as_str(),
                    error = &error as &dyn std::error::Error, attempt = end.attempts, "tokens were not revoked");
                if end.attempts >= MAX_REVOKE_ATTEMPTS {
                    end.revocation = Some(Revocation::NotReached);
                }
            }
        }
        self.keep(connection, end).await?;
        Ok(end.revocation.is_some())
    }

    /// Ends the environment's import before the imported records are counted. Returns `false` if a worker
    /// holds the import; the schedule comes back when its lease has ended.
    async fn end_import(
        &self,
        connection: &mut Connection,
        end: &mut Disconnect,
        environment: Environment,
    ) -> Result<bool, StoreError> {
        let now = self.now();
        let sync = self
            .remote
            .store
            .sync(&connection.contract, environment)
            .await?;
        let Some(mut sync) = sync.filter(Sync::is_open) else {
            return Ok(true);
        };
        if sync.is_leased(now) {
            end.due_at = sync.lease_until;
            self.keep(connection, end).await?;
            return Ok(false);
        }
        // No worker can take it any more.
        close(&mut sync, connection, now);
        self.remote
            .store
            .put_sync(&connection.contract, &sync)
            .await?;
        Ok(true)
    }

    /// Ends the link pass, or the save pass, before what it writes is counted. Returns `false` if a worker
    /// holds the pass. That worker gives the pass up when its next save of progress fails; if the worker is
    /// dead, its lease ends. No pass begins afterwards, because each requires the connection.
    async fn end_pass(
        &self,
        connection: &mut Connection,
        end: &mut Disconnect,
        environment: Environment,
        kind: WorkKind,
    ) -> Result<bool, StoreError> {
        let (store, now) = (&self.remote.store, self.now());
        if environment != Environment::Production {
            return Ok(true);
        }
        let contract = &connection.contract;
        let saves = kind == WorkKind::Save;
        let pass = if saves {
            store.save_pass(contract).await?
        } else {
            store.link_pass(contract).await?
        };
        let Some(pass) = pass else {
            return Ok(true);
        };
        if pass.is_leased(now) {
            let soon = now.plus_seconds(PASS_SECONDS);
            end.due_at = pass.lease_until.map(|ends| ends.min(soon));
            self.keep(connection, end).await?;
            let work = WorkKind::Disconnect(connection.kind);
            crm_setup::announce_in(&self.queue, &connection.contract, work, PASS_SECONDS).await;
            return Ok(false);
        }
        if pass.is_open() {
            let closed = pass.closed(now, not_connected(connection));
            if saves {
                store.put_save_pass(contract, &closed).await?;
            } else {
                store.put_link_pass(contract, &closed).await?;
            }
        }
        Ok(true)
    }

    /// Deletes the imported data. Returns `false` if there is more. Nothing new is imported in the meantime:
    /// import, link pass and save pass have ended, and anything else read from a CRM is written only while its
    /// connection stands.
    async fn purge(
        &self,
        connection: &mut Connection,
        end: &mut Disconnect,
        environment: Environment,
    ) -> Result<bool, StoreError> {
        let store = &self.remote.store;
        let contract = connection.contract.clone();
        let mut purge = end.purge.unwrap_or(Purge {
            counted: Some(0),
            ..Purge::default()
        });
        if purge.left == Some(0) {
            return Ok(true);
        }
        end.due_at = None;
        if let Some(from) = purge.counted {
            let counted = store
                .count_imported(&contract, environment, from, PURGE_TIME)
                .await?;
            purge.found += counted.items;
            purge.counted = counted.next;
            end.purge = Some(purge);
            self.keep(connection, end).await?;
            if purge.counted.is_some() {
                return Ok(false);
            }
        }
        let deleted = store
            .delete_imported(&contract, environment, PURGE_TIME)
            .await?;
        if deleted.all {
            // A worker that died after deleting stored no count; but nothing is left of the data found.
            purge.deleted = purge.found;
            purge.left = Some(0);
        } else {
            purge.deleted = purge.found.min(purge.deleted + deleted.items);
        }
        end.purge = Some(purge);
        self.keep(connection, end).await?;
        Ok(deleted.all)
    }

    async fn keep(&self, connection: &mut Connection, end: &Disconnect) -> Result<(), StoreError> {
        let replaces = connection.version;
        connection.disconnect = Some(end.clone());
        connection.version += 1;
        self.remote
            .store
            .save_disconnect(connection, replaces)
            .await
    }

    async fn finish(
        &self,
        mut connection: Connection,
        mut end: Disconnect,
    ) -> Result<(), StoreError> {
        let store = &self.remote.store;
        let now = self.now();
        let (guide, sync) = match connection.kind {
            ConnectionKind::Crm(environment) => {
                let mut guide = store.guide(&connection.contract, environment).await?;
                guide.restart();
                guide.updated_at = now;
                guide.version += 1;
                let sync = store.sync(&connection.contract, environment).await?;
                (Some(guide), sync)
            }
            ConnectionKind::LinkedIn | ConnectionKind::User(..) => (None, None),
        };
        if let (true, Some(purge)) = (end.clean_up, &mut end.purge)
            && sync.as_ref().is_some_and(Sync::is_open)
        {
            // It was asked for while the connection still stood, and may have been taken since: its writes
            // are counted and deleted as well.
            (purge.left, purge.counted) = (None, Some(0));
            self.keep(&mut connection, &end).await?;
            let work = WorkKind::Disconnect(connection.kind);
            crm_setup::announce(&self.queue, &connection.contract, work).await;
            return Ok(());
        }
        let before = connection.logged();
        let replaces = connection.version;
        let contract = connection.contract.clone();
        end.finished_at = Some(now);
        connection.state = ConnectionState::Disconnected;
        connection.sealed_tokens = None;
        connection.refresh_until = None;
        connection.not_before = None;
        connection.version += 1;
        connection.disconnect = Some(end.clone());
        let audit = AuditEntry {
            at: now,
            actor: end.requested_by.clone(),
            action: "connection.disconnected".to_owned(),
            target: connection.kind.to_string(),
            before,
            after: json!({ "state": connection.state, "revocation": end.revocation, "purge": end.purge }),
        };
        let closed = sync
            .filter(|sync| end.clean_up || sync.is_open())
            .map(|mut sync| {
                close(&mut sync, &connection, now);
                if end.clean_up {
                    sync.last_success_at = None;
                }
                sync
            });
        let unique = self.remote.random.uuid();
        store
            .finish_disconnect(
                &connection,
                replaces,
                guide.as_ref(),
                closed.as_ref(),
                &audit,
                unique,
            )
            .await?;
        tracing::info!(%contract, connection = %connection.kind, revocation = ?end.revocation, purge = ?end.purge, "disconnected");
        Ok(())
    }
}

/// Ends an import whose connection no longer exists.
fn close(sync: &mut Sync, connection: &Connection, now: Millis) {
    sync.state = SyncState::Failed;
    sync.finished_at = Some(now);
    sync.lease_until = None;
    sync.problem = Some(not_connected(connection));
    sync.version += 1;
}

fn not_connected(connection: &Connection) -> Problem {
    texts::not_connected(connection.provider.label(), Audience::Setup)
}
