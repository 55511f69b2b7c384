//! Signing in to Leadbridge with an account of Salesforce or Microsoft Entra (`OpenID` Connect).
//!
//! A person's identity is the organisation or tenant and the user in it, as the identity token proves. The
//! seat of an identity was settled when its holder accepted the invitation, or not at all: an e-mail address
//! that a provider names opens nothing by itself.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Extension;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};
use shared::domain::contract::{AuditEntry, Contract};
use shared::domain::environment::Environment;
use shared::domain::ids::{ContractId, SeatId};
use shared::domain::seat::{Identity, Seat, SeatStatus};
use shared::edge::SourceAddress;
use shared::oauth::id_token::Claims;
use shared::oauth::{Access, sign_in_address};
use shared::outbound::Provider;
use shared::problem::Problem;
use shared::signature::sha256_hex;
use shared::store::{AttemptPurpose, SeatChange, SessionRecord, StoreError};
use shared::web_session::{SESSION_SECONDS, cookie_of, set_cookie};
use url::Url;

use crate::attempt::{Start, Target, own_path};
use crate::callback::{ProviderAnswer, Taken};
use crate::organization::salesforce_ids;
use crate::start::{SALESFORCE_LOGIN, salesforce_login};
use crate::{App, page, problems};

/// The number of attempts at a sign-in before it gives up because of concurrent changes to the seat.
const MAX_TRIES: u32 = 5;
/// Sessions of a seat at most: the oldest end when there are more.
const MAX_SESSIONS: usize = 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignIn {
    contract: String,
    #[serde(default)]
    invitation: Option<String>,
    #[serde(default)]
    login_url: Option<String>,
    #[serde(default)]
    return_to: Option<String>,
    #[serde(default)]
    switch_user: bool,
}

/// Sends the browser to the sign-in server.
pub(crate) async fn start(
    State(app): State<Arc<App>>,
    Path(provider): Path<String>,
    headers: HeaderMap,
    source: Option<Extension<SourceAddress>>,
    query: Result<Query<SignIn>, QueryRejection>,
) -> Response {
    let source = source.map(|Extension(source)| source);
    let started = match query {
        Ok(Query(query)) => app.start_sign_in(&provider, query, source).await,
        Err(_) => Err(problems::bad_sign_in()),
    };
    match started {
        Ok(started) => {
            let mut response = StatusCode::SEE_OTHER.into_response();
            let location = HeaderValue::try_from(started.authorize_url.as_str());
            let answer = response.headers_mut();
            if let Ok(location) = location {
                answer.insert(header::LOCATION, location);
            }
            answer.insert(header::SET_COOKIE, started.cookie);
            page::guarded(response)
        }
        Err(problem) => page::guarded(page::problem(problem, &headers, None)),
    }
}

impl App {
    async fn start_sign_in(
        &self,
        provider: &str,
        query: SignIn,
        source: Option<SourceAddress>,
    ) -> Result<crate::attempt::Started, Problem> {
        let provider = [Provider::Salesforce, Provider::Entra]
            .into_iter()
            .find(|known| known.as_str() == provider)
            .ok_or_else(|| Problem::not_found("provider"))?;
        let contract: ContractId = query
            .contract
            .parse()
            .map_err(|_| Problem::not_found("contract"))?;
        self.may_start(&contract, source)?;
        self.crm(&contract).await?;
        let invitation = match &query.invitation {
            None => None,
            Some(text) => Some(self.invitation(&contract, text).await?),
        };
        let auth_url = if provider == Provider::Salesforce {
            self.salesforce_login(&contract, query.login_url.as_deref())
                .await?
        } else {
            let endpoints = &self.remote.endpoints;
            sign_in_address(provider, endpoints, &endpoints.entra)
        };
        self.begin(Start {
            contract: &contract,
            actor: String::new(),
            provider,
            purpose: AttemptPurpose::SignIn { invitation },
            target: Target {
                auth_url,
                resource: None,
            },
            return_to: query.return_to.as_deref().map(own_path).transpose()?,
            sign_in_anew: query.switch_user,
        })
        .await
    }

    /// Checks the limit of started sign-ins, which need no credentials.
    fn may_start(
        &self,
        contract: &ContractId,
        source: Option<SourceAddress>,
    ) -> Result<(), Problem> {
        let now = self.remote.clock.now();
        let of_source = source.map_or(Ok(()), |source| {
            self.sources.take((contract.clone(), source.network()), now)
        });
        of_source
            .and_then(|()| self.contracts.take(contract.clone(), now))
            .map_err(|seconds| {
                Problem::new(
                    429,
                    "too_many_sign_ins",
                    "Too many sign-ins were started in this minute.",
                    format!("Start again in {seconds} seconds."),
                )
                .with_retry_after(seconds)
            })
    }

    /// The page on which people of a contract sign in to Salesforce: the link's choice, else the organisation
    /// that the contract has connected, else Salesforce's common page.
    async fn salesforce_login(
        &self,
        contract: &ContractId,
        given: Option<&str>,
    ) -> Result<Url, Problem> {
        let allow = self.remote.outbound.allow_list();
        if let Some(given) = given {
            return salesforce_login(allow, given).ok_or_else(problems::bad_login_url);
        }
        let connected = self.connected(contract, Environment::Production).await?;
        let known = connected
            .filter(|found| found.provider == Provider::Salesforce)
            .and_then(|found| {
                [found.base_url, found.auth_url]
                    .iter()
                    .find_map(|url| salesforce_login(allow, url.as_str()))
            });
        match known {
            Some(url) => Ok(url),
            None => Url::parse(SALESFORCE_LOGIN).map_err(|_| Problem::internal()),
        }
    }

    /// The seat that an invitation `<seat>.<secret>` is for, with the hash of its secret.
    async fn invitation(
        &self,
        contract: &ContractId,
        text: &str,
    ) -> Result<(SeatId, String), Problem> {
        let (seat, secret) = text
            .split_once('.')
            .ok_or_else(problems::invitation_invalid)?;
        let id: SeatId = seat.parse().map_err(|_| problems::invitation_invalid())?;
        let hash = sha256_hex(&[secret.as_bytes()]);
        let seat = self.remote.store.seat(contract, id).await;
        let seat = seat.map_err(|error| problems::store(&error))?;
        let now = self.remote.clock.now();
        if seat.is_some_and(|seat| seat.is_invited_by(&hash, now)) {
            Ok((id, hash))
        } else {
            Err(problems::invitation_invalid())
        }
    }

    pub(crate) async fn complete_sign_in(
        &self,
        taken: Taken,
        answer: &ProviderAnswer,
        headers: &HeaderMap,
    ) -> Result<Response, Problem> {
        let provider = taken.attempt.provider;
        let code = answer.code(provider)?;
        let granted = self.exchange(&taken, code, Access::SignIn).await?;
        let claims = self.verified(&taken, &granted).await?;
        let identity = identity(provider, &claims).ok_or_else(|| problems::unreadable(provider))?;
        let AttemptPurpose::SignIn { invitation } = &taken.attempt.purpose else {
            return Err(Problem::internal());
        };
        let contract = &taken.contract;
        let mut tries = 0;
        let (seat, session) = loop {
            let seat = self
                .seat(contract, &identity, &claims, invitation.as_ref())
                .await?;
            match self.open_session(contract, &seat).await {
                Ok(session) => break (seat, session),
                Err(StoreError::Conflict) if tries < MAX_TRIES => tries += 1,
                Err(error) => return Err(problems::store(&error)),
            }
        };
        self.end_replaced(contract, &seat, &session, headers).await;
        let now = self.remote.clock.now();
        let cookie = self
            .remote
            .web_sessions
            .token(contract, seat.id, &session.id, session.valid_until, now)
            .await
            .map_err(|error| error.problem())?;
        let mut response = if page::wants_json(headers) {
            let shown = json!({ "contract": contract, "seat": seat.id, "role": seat.role });
            axum::Json(shown).into_response()
        } else {
            match taken.attempt.return_to.as_deref() {
                Some(back) => page::go_to(back),
                None => page::page("Signed in", &["You are signed in to Leadbridge."], None),
            }
        };
        response
            .headers_mut()
            .append(header::SET_COOKIE, set_cookie(&cookie));
        Ok(response)
    }

    /// The seat of an identity: the one it is tied to, or the one whose invitation it accepts now.
    async fn seat(
        &self,
        contract: &ContractId,
        identity: &Identity,
        claims: &Claims,
        invitation: Option<&(SeatId, String)>,
    ) -> Result<Seat, Problem> {
        let store = &self.remote.store;
        for _ in 0..MAX_TRIES {
            let tied = store.seat_of_identity(contract, identity).await;
            let tied = tied.map_err(|error| problems::store(&error))?;
            let id = match (tied, invitation) {
                // A person who has a seat uses that one, even if the link carries an invitation.
                (Some(id), _) => id,
                (None, Some((id, _))) => *id,
                (None, None) => return Err(problems::no_seat()),
            };
            let seat = store.seat(contract, id).await;
            let seat = seat
                .map_err(|error| problems::store(&error))?
                .ok_or_else(problems::no_seat)?;
            if seat.status == SeatStatus::Disabled {
                return Err(problems::seat_disabled());
            }
            if tied.is_some() {
                return Ok(seat);
            }
            let now = self.remote.clock.now();
            let invited = invitation.is_some_and(|(_, hash)| seat.is_invited_by(hash, now));
            if !invited {
                return Err(problems::invitation_invalid());
            }
            if let Some(seat) = self.accept(contract, &seat, identity, claims).await? {
                return Ok(seat);
            }
        }
        Err(problems::store(&StoreError::Conflict))
    }

    /// Ties a seat to the identity that accepts its invitation; `None` if something was changed concurrently.
    async fn accept(
        &self,
        contract: &ContractId,
        before: &Seat,
        identity: &Identity,
        claims: &Claims,
    ) -> Result<Option<Seat>, Problem> {
        let remote = &self.remote;
        let now = remote.clock.now();
        let mut seat = before.clone();
        let email = match identity {
            // An administrator of any tenant can write any address into `email`; the domain of the
            // user name is one that the tenant has proved to own.
            Identity::Entra { .. } => claims.username.as_deref(),
            // A user name can look like any address; the address itself was verified.
            Identity::Salesforce { .. } => claims.email.as_deref(),
        };
        seat.accept(identity.clone(), email, now)?;
        seat.updated_at = now;
        seat.version += 1;
        let mut of_contract: Option<(Contract, u64)> = None;
        if seat.is_acting_administrator() {
            let found = remote.store.contract(contract).await;
            let mut found = found
                .map_err(|error| problems::store(&error))?
                .ok_or_else(|| Problem::not_found("contract"))?;
            let expected = found.config_version;
            found.config_version += 1;
            found.administrators.insert(seat.id);
            of_contract = Some((found, expected));
        }
        let audit = AuditEntry {
            at: now,
            actor: format!("seat:{}", seat.id),
            action: "seat.accept".to_owned(),
            target: seat.id.to_string(),
            before: before.logged(),
            after: seat.logged(),
        };
        let change = SeatChange {
            before: Some(before),
            after: Some(&seat),
            contract: of_contract
                .as_ref()
                .map(|(contract, expected)| (contract, *expected)),
            audit: &audit,
        };
        match remote
            .store
            .change_seat(contract, change, remote.random.uuid())
            .await
        {
            Ok(()) => Ok(Some(seat)),
            Err(StoreError::Conflict) => Ok(None),
            Err(error) => Err(problems::store(&error)),
        }
    }

    async fn open_session(
        &self,
        contract: &ContractId,
        seat: &Seat,
    ) -> Result<SessionRecord, StoreError> {
        let remote = &self.remote;
        let now = remote.clock.now();
        let session = SessionRecord {
            id: remote.random.secret(16),
            created_at: now,
            valid_until: now.plus_seconds(SESSION_SECONDS),
            generation: seat.session_generation,
        };
        let audit = AuditEntry {
            at: now,
            actor: format!("seat:{}", seat.id),
            action: "session.start".to_owned(),
            target: seat.id.to_string(),
            before: Value::Null,
            after: json!({ "valid_until": session.valid_until }),
        };
        remote
            .store
            .open_session(contract, seat, &session, &audit, remote.random.uuid())
            .await?;
        Ok(session)
    }

    /// Ends the session that this browser had, and the oldest of a seat that has too many. That a
    /// session ends late does no harm: nothing fails here.
    async fn end_replaced(
        &self,
        contract: &ContractId,
        seat: &Seat,
        session: &SessionRecord,
        headers: &HeaderMap,
    ) {
        let store = &self.remote.store;
        let now = self.remote.clock.now();
        if let Some(text) = cookie_of(headers)
            && let Ok(Some(token)) = self.remote.web_sessions.check(text, now).await
        {
            let old = BTreeSet::from([token.id]);
            let _ = store
                .close_sessions(&token.contract, token.seat, &old)
                .await;
        }
        if let Ok(Some(found)) = store.seat_sessions(contract, seat.id).await {
            let mut sessions = found.sessions;
            sessions.sort_by_key(|session| std::cmp::Reverse(session.created_at));
            let extra = sessions
                .into_iter()
                .filter(|found| found.id != session.id)
                .skip(MAX_SESSIONS - 1);
            let extra: BTreeSet<String> = extra.map(|session| session.id).collect();
            let _ = store.close_sessions(contract, seat.id, &extra).await;
        }
    }
}

/// The identity that an identity token proves.
fn identity(provider: Provider, claims: &Claims) -> Option<Identity> {
    match provider {
        Provider::Salesforce => {
            let (organization, user) = salesforce_ids(&Url::parse(&claims.subject).ok()?)?;
            let short = |id: &str| id.get(..15).map(str::to_owned);
            Some(Identity::Salesforce {
                organization: short(&organization)?,
                user: short(&user)?,
            })
        }
        Provider::Entra | Provider::Dataverse => Some(Identity::Entra {
            tenant: claims.tenant.clone()?,
            object_id: claims.object_id.clone()?,
        }),
        Provider::LinkedIn => None,
    }
}
