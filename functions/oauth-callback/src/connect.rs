//! Completing a connection: the code is exchanged, the organisation and the user asked for, and the
//! connection stored with everything that comes with it, all or nothing.

use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use serde_json::json;
use shared::crm_setup;
use shared::domain::contract::AuditEntry;
use shared::domain::environment::Environment;
use shared::domain::guide::{CrmChoice, LastProblem};
use shared::domain::ids::{ContractId, SeatId, TokenId};
use shared::domain::seat::{Identity, Seat, SeatStatus};
use shared::domain::sync::Sync;
use shared::oauth::id_token::{Claims, Expected};
use shared::oauth::{self, Access, TokenAnswer};
use shared::outbound::Provider;
use shared::problem::Problem;
use shared::session::seal_tokens;
use shared::store::{Alongside, Connection, ConnectionKind, ConnectionState, StoreError, WorkKind};
use shared::texts::SYNC_IN_PROGRESS;
use shared::vault::Purpose;

use crate::callback::{ProviderAnswer, Taken};
use crate::organization::{Organization, same_id};
use crate::{App, page, permission, problems};

/// The number of attempts at storing before it gives up because of concurrent changes.
const MAX_TRIES: u32 = 5;
/// The time that a seat holder's sign-in to the CRM counts, in seconds: 90 days (CN-11).
pub(crate) const USER_SIGN_IN_SECONDS: i64 = 90 * 24 * 3600;

impl App {
    pub(crate) async fn complete_connection(
        &self,
        taken: Taken,
        kind: ConnectionKind,
        answer: &ProviderAnswer,
        headers: &HeaderMap,
    ) -> Result<Response, Problem> {
        let result = self.connect(&taken, kind, answer).await;
        if let (ConnectionKind::Crm(environment), Err(problem)) = (kind, &result) {
            self.note_failure(&taken.contract, environment, problem)
                .await;
        }
        let connection = result?;
        let shown = match kind {
            ConnectionKind::Crm(environment) => {
                self.after_connecting(&taken.contract, environment).await
            }
            ConnectionKind::LinkedIn | ConnectionKind::User(..) => None,
        };
        Ok(connected(
            &connection,
            shown.as_ref(),
            headers,
            taken.attempt.return_to.as_deref(),
        ))
    }

    /// Stores the reason for a failure to connect, which the guide shows later (CN-6).
    async fn note_failure(
        &self,
        contract: &ContractId,
        environment: Environment,
        problem: &Problem,
    ) {
        let now = self.remote.clock.now();
        let noted = self
            .remote
            .store
            .change_guide(contract, environment, now, |guide| {
                guide.last_problem = Some(LastProblem {
                    at: now,
                    problem: problem.clone(),
                });
            })
            .await;
        if let Err(error) = noted {
            tracing::warn!(%contract, error = &error as &dyn std::error::Error, "the failure was not noted");
        }
    }

    /// Follows up on a new connection to a CRM: checks the permissions and announces the first import. The
    /// schedule makes up for both if this ends midway. Returns the problem with the permissions, if any.
    async fn after_connecting(
        &self,
        contract: &ContractId,
        environment: Environment,
    ) -> Option<Problem> {
        let kind = ConnectionKind::Crm(environment);
        // Tokens that were read before are not these.
        self.remote.sessions.forget(contract, kind).await;
        let checked = crm_setup::check_access(&self.remote, contract, environment).await;
        crm_setup::announce(&self.queue, contract, WorkKind::Sync(environment)).await;
        match checked {
            Ok(report) if report.is_sufficient() => None,
            Ok(report) => Some(shared::texts::unreadable_objects(
                &report.unreadable_required(),
            )),
            Err(error) => Some(error.problem()),
        }
    }

    async fn connect(
        &self,
        taken: &Taken,
        kind: ConnectionKind,
        answer: &ProviderAnswer,
    ) -> Result<Connection, Problem> {
        let provider = taken.attempt.provider;
        let code = answer.code(provider)?;
        let seat = self.still_may(taken, kind).await?;
        self.check_crm(&taken.contract, provider).await?;
        let granted = self.exchange(taken, code, Access::Api).await?;
        let stored = self.store_connection(taken, kind, seat, &granted).await;
        if stored.is_err() {
            // Tokens that are not stored must not stay valid at the provider.
            self.give_back(taken, &granted).await;
        }
        stored
    }

    /// Checks that the person who started may still do it: a role can be taken away within ten minutes.
    async fn still_may(
        &self,
        taken: &Taken,
        kind: ConnectionKind,
    ) -> Result<Option<Seat>, Problem> {
        let Taken {
            contract, attempt, ..
        } = taken;
        let store = &self.remote.store;
        let (seat, role) = if let Some(id) = attempt.started_by.strip_prefix("seat:") {
            let id: SeatId = id.parse().map_err(|_| problems::no_longer_allowed())?;
            let seat = store.seat(contract, id).await;
            let seat = seat
                .map_err(|error| problems::store(&error))?
                .filter(|seat| seat.status == SeatStatus::Active)
                .ok_or_else(problems::no_longer_allowed)?;
            let role = seat.role;
            (Some(seat), role)
        } else {
            let id: TokenId = attempt
                .started_by
                .parse()
                .map_err(|_| problems::no_longer_allowed())?;
            let now = self.remote.clock.now();
            let record = store.api_token(contract, &id).await;
            let record = record
                .map_err(|error| problems::store(&error))?
                .filter(|record| record.valid_until.is_none_or(|until| until > now))
                .ok_or_else(problems::no_longer_allowed)?;
            (None, record.role)
        };
        let own = match kind {
            ConnectionKind::User(owner, _) => seat.as_ref().is_some_and(|seat| seat.id == owner),
            ConnectionKind::Crm(_) | ConnectionKind::LinkedIn => true,
        };
        if own && role.may(permission(kind)) {
            Ok(seat)
        } else {
            Err(problems::no_longer_allowed())
        }
    }

    async fn give_back(&self, taken: &Taken, granted: &TokenAnswer) {
        let provider = taken.attempt.provider;
        let Ok(client) = self.client(provider).await else {
            return;
        };
        let given = granted.refresh_token.as_deref();
        let given = given.unwrap_or(&granted.access_token);
        let auth_url = &taken.attempt.auth_url;
        let revoked =
            oauth::revoke(&self.remote.outbound, provider, auth_url, &client, given).await;
        if let Err(error) = revoked {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "tokens that were not kept could not be revoked"
            );
        }
    }

    /// The identity token's claims about the signed-in user. LinkedIn gives none with lead sync's scopes.
    async fn claims(
        &self,
        taken: &Taken,
        granted: &TokenAnswer,
    ) -> Result<Option<Claims>, Problem> {
        let provider = taken.attempt.provider;
        if provider == Provider::LinkedIn {
            return Ok(None);
        }
        self.verified(taken, granted).await.map(Some)
    }

    /// The verified claims of an answer's identity token.
    pub(crate) async fn verified(
        &self,
        taken: &Taken,
        granted: &TokenAnswer,
    ) -> Result<Claims, Problem> {
        let provider = taken.attempt.provider;
        let client = self.client(provider).await?;
        let expected = Expected {
            provider,
            auth_url: &taken.attempt.auth_url,
            client_id: &client.client_id,
            nonce: &taken.secrets.nonce,
        };
        let now = self.remote.clock.now();
        self.remote
            .id_tokens
            .verify(
                &self.remote.outbound,
                granted.id_token.as_deref(),
                expected,
                now,
            )
            .await
            .map_err(|error| problems::id_token(&error, provider))
    }

    /// Stores the connection over the one that stands there, if that is the same organisation's.
    async fn store_connection(
        &self,
        taken: &Taken,
        kind: ConnectionKind,
        seat: Option<Seat>,
        answer: &TokenAnswer,
    ) -> Result<Connection, Problem> {
        let Taken {
            contract, attempt, ..
        } = taken;
        let remote = &self.remote;
        let provider = attempt.provider;
        // LinkedIn gives refresh tokens to some of its partners only, and two months without.
        if answer.refresh_token.is_none() && provider != Provider::LinkedIn {
            return Err(problems::no_refresh_token(provider));
        }
        self.check_address(provider, answer)?;
        let claims = self.claims(taken, answer).await?;
        let organization = self.organization(attempt, answer, claims.as_ref()).await?;
        if let (ConnectionKind::User(..), Some(seat)) = (kind, &seat) {
            check_person(seat, &organization, claims.as_ref())?;
        }
        let now = remote.clock.now();
        let name = kind.purpose();
        let purpose = Purpose {
            contract,
            name: &name,
        };
        let sealed_tokens = seal_tokens(&remote.vault, purpose, &answer.tokens(None, now))
            .await
            .map_err(|error| problems::vault(&error))?;
        let mut connection = Connection {
            contract: contract.clone(),
            kind,
            provider,
            base_url: organization.base_url,
            auth_url: attempt.auth_url.clone(),
            organization: organization.id,
            tenant: claims.and_then(|claims| claims.tenant),
            user: organization.user,
            sealed_tokens: Some(sealed_tokens),
            state: ConnectionState::Connected,
            sign_in_reason: None,
            valid_until: match kind {
                ConnectionKind::Crm(_) => None,
                ConnectionKind::LinkedIn => answer.authorization_end(now),
                ConnectionKind::User(..) => Some(now.plus_seconds(USER_SIGN_IN_SECONDS)),
            },
            not_before: None,
            refresh_until: None,
            connected_by: attempt.started_by.clone(),
            connected_at: now,
            disconnect: None,
            version: 1,
        };
        for _ in 0..MAX_TRIES {
            let before = remote
                .store
                .connection(contract, kind)
                .await
                .map_err(|error| problems::store(&error))?;
            self.check_replaces(&connection, before.as_ref()).await?;
            if let Some(before) = before.as_ref().filter(|before| before.stands()) {
                // The pause that the organisation asked for holds for the new tokens too.
                connection.not_before = before.not_before;
            }
            connection.version = before.as_ref().map_or(1, |before| before.version + 1);
            let audit = AuditEntry {
                at: now,
                actor: attempt.started_by.clone(),
                action: "connection.connect".to_owned(),
                target: kind.to_string(),
                before: before
                    .as_ref()
                    .map_or(serde_json::Value::Null, Connection::logged),
                after: connection.logged(),
            };
            let replaces = before.map(|before| before.version);
            match self.put_connection(&connection, replaces, &audit).await {
                Ok(()) => return Ok(connection),
                // Another CRM may have been chosen since, or the seat taken away: the next round finds and
                // reports that.
                Err(StoreError::Conflict) => {
                    self.check_crm(contract, provider).await?;
                    self.still_may(taken, kind).await?;
                }
                Err(error) => return Err(problems::store(&error)),
            }
        }
        Err(problems::store(&StoreError::Conflict))
    }

    async fn put_connection(
        &self,
        connection: &Connection,
        replaces: Option<u64>,
        audit: &AuditEntry,
    ) -> Result<(), StoreError> {
        let store = &self.remote.store;
        let unique = self.remote.random.uuid();
        let contract = &connection.contract;
        match connection.kind {
            ConnectionKind::Crm(environment) => {
                let Some(crm) = connection.provider.crm() else {
                    return Err(StoreError::Conflict);
                };
                let mut guide = store.guide(contract, environment).await?;
                guide.choice = Some(CrmChoice::of(crm));
                guide.last_problem = None;
                guide.updated_at = connection.connected_at;
                guide.version += 1;
                let sync = Sync::requested(
                    environment,
                    store.sync(contract, environment).await?.as_ref(),
                    &connection.connected_by,
                    connection.connected_at,
                );
                let alongside = Alongside::Crm {
                    crm,
                    guide: &guide,
                    sync: sync.as_ref(),
                };
                store
                    .connect(connection, replaces, &alongside, audit, unique)
                    .await
            }
            ConnectionKind::User(_, environment) => {
                // Its id as the environment's connection spells it.
                let kind = ConnectionKind::Crm(environment);
                let connected = store.connection(contract, kind).await?;
                let organization = connected.map(|connected| connected.organization);
                let alongside = Alongside::User {
                    organization: organization.as_deref().unwrap_or_default(),
                };
                store
                    .connect(connection, replaces, &alongside, audit, unique)
                    .await
            }
            ConnectionKind::LinkedIn => {
                store
                    .connect(connection, replaces, &Alongside::Nothing, audit, unique)
                    .await
            }
        }
    }

    /// Checks that a connection is replaced by one to the same organisation only, and that a seat holder's
    /// sign-in leads into the organisation that the contract has connected.
    async fn check_replaces(
        &self,
        connection: &Connection,
        before: Option<&Connection>,
    ) -> Result<(), Problem> {
        let provider = connection.provider;
        let same = |other: &Connection| {
            other.provider == provider
                && same_id(provider, &other.organization, &connection.organization)
        };
        match before {
            Some(before) if before.state == ConnectionState::Disconnecting => {
                return Err(problems::disconnecting(provider));
            }
            Some(before) if before.stands() && !same(before) => {
                return Err(problems::other_organization(before));
            }
            Some(_) | None => {}
        }
        match connection.kind {
            ConnectionKind::User(_, environment) => {
                let connected = self.connected(&connection.contract, environment).await?;
                let connected =
                    connected.ok_or_else(|| problems::environment_not_connected(environment))?;
                if !same(&connected) {
                    return Err(problems::other_organization(&connected));
                }
                let others = before
                    .filter(|before| before.stands())
                    .is_some_and(|before| {
                        let id = |of: &Connection| of.user.as_ref().map(|user| user.id.clone());
                        match (id(before), id(connection)) {
                            (Some(before), Some(now)) => !same_id(provider, &before, &now),
                            _ => false,
                        }
                    });
                if others {
                    return Err(problems::other_user(provider));
                }
                Ok(())
            }
            ConnectionKind::Crm(environment) => {
                let other = match environment {
                    Environment::Production => Environment::Sandbox,
                    Environment::Sandbox => Environment::Production,
                };
                let elsewhere = self.connected(&connection.contract, other).await?;
                if elsewhere.is_some_and(|elsewhere| same(&elsewhere)) {
                    return Err(problems::connected_elsewhere(provider, other));
                }
                Ok(())
            }
            ConnectionKind::LinkedIn => Ok(()),
        }
    }
}

/// A seat holder who signs in to Leadbridge with an account of the CRM's own organisation signs in
/// to the CRM with that account.
fn check_person(
    seat: &Seat,
    organization: &Organization,
    claims: Option<&Claims>,
) -> Result<(), Problem> {
    let differs = match &seat.identity {
        Some(Identity::Salesforce {
            organization: own,
            user,
        }) => {
            same_id(Provider::Salesforce, own, &organization.id)
                && organization
                    .user
                    .as_ref()
                    .is_none_or(|signed_in| !same_id(Provider::Salesforce, user, &signed_in.id))
        }
        Some(Identity::Entra { tenant, object_id }) => claims.is_some_and(|claims| {
            claims.tenant.as_ref() == Some(tenant) && claims.object_id.as_ref() != Some(object_id)
        }),
        None => false,
    };
    if differs {
        let provider = match seat.identity {
            Some(Identity::Salesforce { .. }) => Provider::Salesforce,
            _ => Provider::Dataverse,
        };
        return Err(problems::other_user(provider));
    }
    Ok(())
}

/// A page for people, or the path they came from; JSON for requests that ask for it. `missing` is the problem
/// that the permission check found.
fn connected(
    connection: &Connection,
    missing: Option<&Problem>,
    headers: &HeaderMap,
    back: Option<&str>,
) -> Response {
    let name = connection.provider.label();
    let message = match (connection.kind, missing) {
        (ConnectionKind::Crm(_), None) => SYNC_IN_PROGRESS.to_owned(),
        (ConnectionKind::Crm(_), Some(missing)) => missing.detail.clone(),
        (ConnectionKind::LinkedIn | ConnectionKind::User(..), _) => {
            format!("{name} is connected.")
        }
    };
    if page::wants_json(headers) {
        return axum::Json(json!({
            "state": connection.state,
            "connection": connection.kind,
            "provider": connection.provider,
            "organization": connection.organization,
            "base_url": connection.base_url,
            "user": connection.user,
            "valid_until": connection.valid_until,
            "message": message,
            "missing": missing,
        }))
        .into_response();
    }
    if let Some(back) = back {
        return page::go_to(back);
    }
    let mut texts = vec![message.as_str()];
    texts.extend(missing.map(|missing| missing.next_step.as_str()));
    texts.push("You can close this page.");
    page::page("Connected", &texts, None)
}
