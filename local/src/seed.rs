//! New contracts: with the first strategy, the mappings that most forms need, and tokens.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, anyhow, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::clock::Millis;
use shared::domain::contract::{AuditEntry, Contract, ContractConfig, LinkedInSettings, Settings};
pub use shared::domain::default_mappings::{DEFAULT_MAPPINGS, lead_field};
use shared::domain::form::{Form, FormKind};
use shared::domain::guide::CrmChoice;
use shared::domain::ids::{ApiToken, ContractId, FormId, FormKey, SeatId, StrategyId, TokenId};
use shared::domain::mapping::FieldMapping;
use shared::domain::role::Role;
use shared::domain::schema::CrmKind;
use shared::domain::scoring::ScoringRule;
use shared::domain::seat::{Seat, SeatInput, SeatStatus};
use shared::domain::strategy::MatchingStrategy;
use shared::invitation::NewInvitation;
use shared::oauth::Tokens;
use shared::outbound::Provider;
use shared::problem::Problem;
use shared::random::Random;
use shared::signature::sha256_hex;
use shared::store::{
    Alongside, ApiTokenRecord, Connection, ConnectionKind, ConnectionState, RemoteUser, SeatChange,
    Store, StoreError,
};
use shared::vault::{Purpose, Vault};
use url::Url;

/// The actor of these changes in the audit log.
const ACTOR: &str = "set-up";
/// The number of attempts at a change before it gives up because of concurrent ones.
const MAX_TRIES: u32 = 5;

/// A contract to make.
pub struct NewContract {
    /// Its id.
    pub id: ContractId,
    /// The customer's name.
    pub name: String,
    /// The CRM it uses.
    pub crm: CrmKind,
    /// Ids and secrets are these words after a dash rather than random: for development only.
    pub fixed: Option<FixedSecrets>,
    /// LinkedIn owners to sync.
    pub linkedin_owners: Vec<String>,
}

/// Known secrets, for development and for tests.
#[derive(Clone)]
pub struct FixedSecrets {
    /// Id of the website form.
    pub form: FormId,
    /// Id of the Google Ads form.
    pub google_form: FormId,
    /// The `google_key`.
    pub google_key: String,
    /// LinkedIn's client secret.
    pub linkedin_client_secret: String,
    /// Token ids are `{prefix}-{role}`, secrets `{prefix}-{role}-secret`.
    pub token_prefix: String,
}

/// The keys and secrets of a contract that was made, shown once.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Made {
    /// The contract.
    pub id: ContractId,
    /// `salesforce` or `dynamics365`.
    pub crm: CrmKind,
    /// The website form's key.
    pub form_key: String,
    /// The Google Ads form's key.
    pub google_form_key: String,
    /// The Google Ads form's `google_key`.
    pub google_key: String,
    /// The secret that LinkedIn's notifications are signed with.
    pub linkedin_client_secret: String,
    /// A bearer token for each role.
    pub tokens: TokenSet,
}

/// A bearer token for each role.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenSet {
    /// The administrator's token.
    pub administrator: String,
    /// The salesperson's token.
    pub salesperson: String,
    /// The service's token, for the sync itself.
    pub service: String,
}

/// The parts that making a contract needs.
pub struct Maker<'a> {
    /// The table.
    pub store: &'a Store,
    /// Seals secrets.
    pub vault: &'a Vault,
    /// Secrets.
    pub random: &'a dyn Random,
    /// The time.
    pub now: Millis,
}

impl Maker<'_> {
    async fn seal(&self, contract: &ContractId, name: &str, secret: &str) -> Result<String> {
        Ok(self.vault.seal(Purpose { contract, name }, secret).await?)
    }

    async fn token(
        &self,
        contract: &ContractId,
        role: Role,
        word: &str,
        prefix: Option<&str>,
    ) -> Result<String> {
        let (id, secret) = match prefix {
            Some(prefix) => (
                format!("{prefix}-{word}"),
                format!("{prefix}-{word}-secret"),
            ),
            None => (
                format!("{word}-{}", &self.random.uuid().simple().to_string()[..8]),
                self.random.secret(32),
            ),
        };
        let id: TokenId = id.parse()?;
        let token = ApiToken {
            contract: contract.clone(),
            id: id.clone(),
            secret,
        };
        let record = ApiTokenRecord {
            id,
            name: word.to_owned(),
            role,
            secret_hash: sha256_hex(&[token.secret.as_bytes()]),
            created_at: self.now,
            valid_until: None,
        };
        self.store.put_api_token(contract, &record).await?;
        Ok(token.expose())
    }

    /// Makes a contract with its first strategy (match on the e-mail address, with contacts),
    /// the usual mappings, a website form and a Google Ads form, and a token for each role.
    ///
    /// # Errors
    /// Returns an error if there is a contract of that id, or the table or the key does not answer.
    pub async fn make(&self, new: NewContract) -> Result<Made> {
        let NewContract {
            id,
            name,
            crm,
            fixed,
            linkedin_owners,
        } = new;
        let fixed_or =
            |fixed: Option<&String>| fixed.cloned().unwrap_or_else(|| self.random.secret(24));
        let form_id = |fixed: Option<&FormId>| match fixed {
            Some(form) => Ok(form.clone()),
            None => self.random.secret(15).parse::<FormId>(),
        };
        let website = form_id(fixed.as_ref().map(|fixed| &fixed.form))?;
        let google = form_id(fixed.as_ref().map(|fixed| &fixed.google_form))?;
        let google_key = fixed_or(fixed.as_ref().map(|fixed| &fixed.google_key));
        let linkedin_client_secret =
            fixed_or(fixed.as_ref().map(|fixed| &fixed.linkedin_client_secret));
        let strategy = MatchingStrategy {
            id: StrategyId(self.random.uuid()),
            name: "Match by e-mail address".to_owned(),
            always_create_lead: false,
            enable_contact_creation: true,
            matching_lead_fields: vec![lead_field("email", crm).to_owned()],
            created_at: self.now,
            updated_at: self.now,
        };
        let mappings: BTreeMap<String, FieldMapping> = DEFAULT_MAPPINGS
            .iter()
            .map(|(name, ..)| {
                let mapping = FieldMapping {
                    name: (*name).to_owned(),
                    lead_field: lead_field(name, crm).to_owned(),
                    created_at: self.now,
                    updated_at: self.now,
                };
                ((*name).to_owned(), mapping)
            })
            .collect();
        let form = |id: FormId, kind, name: &str, sealed_secret| Form {
            id,
            kind,
            name: name.to_owned(),
            enabled: true,
            campaign: None,
            allowed_origins: vec![
                "http://localhost:3000".to_owned(),
                "https://www.example.com".to_owned(),
            ],
            redirect_urls: vec!["https://www.example.com/thanks".to_owned()],
            required_fields: if kind == FormKind::Website {
                vec!["email".to_owned()]
            } else {
                vec![]
            },
            multi_value_fields: vec!["interest".to_owned()],
            honeypot_field: Some("fax_number".to_owned()),
            max_body_bytes: 64 * 1024,
            max_fields: 100,
            sealed_secret,
            sealed_previous_secret: None,
            body_signatures_until: None,
            posts_per_minute: shared::domain::form::DEFAULT_POSTS_PER_MINUTE,
            created_at: self.now,
            updated_at: self.now,
        };
        let sealed_key = self
            .seal(&id, &format!("form/{google}"), &google_key)
            .await?;
        let forms = [
            form(website.clone(), FormKind::Website, "Contact us", None),
            form(
                google.clone(),
                FormKind::GoogleAds,
                "Google Ads lead form",
                Some(sealed_key),
            ),
        ];
        let sealed_client_secret = self
            .seal(&id, "linkedin/client-secret", &linkedin_client_secret)
            .await?;
        let config = ContractConfig {
            contract: Contract {
                id: id.clone(),
                name,
                crm,
                active_strategy: strategy.id,
                settings: Settings::default(),
                administrators: std::collections::BTreeSet::new(),
                keep_answers_days: 0,
                keep_activities_days: 0,
                keep_mirror_days: 0,
                leaving_since: None,
                config_version: 1,
                created_at: self.now,
            },
            strategies: BTreeMap::from([(strategy.id, strategy)]),
            mappings,
            forms: forms
                .into_iter()
                .map(|form| (form.id.clone(), form))
                .collect(),
            scoring: ScoringRule::default(),
            linkedin: LinkedInSettings {
                sealed_client_secret: Some(sealed_client_secret),
                sealed_previous_client_secret: None,
                owners: linkedin_owners,
            },
            crm_settings: BTreeMap::new(),
        };
        self.store
            .create_contract(&config)
            .await
            .context("the contract was not made; is its id taken?")?;
        let prefix = fixed.as_ref().map(|fixed| fixed.token_prefix.as_str());
        Ok(Made {
            form_key: FormKey {
                contract: id.clone(),
                form: website,
            }
            .to_string(),
            google_form_key: FormKey {
                contract: id.clone(),
                form: google,
            }
            .to_string(),
            google_key,
            linkedin_client_secret,
            tokens: TokenSet {
                administrator: self
                    .token(&id, Role::Administrator, "administrator", prefix)
                    .await?,
                salesperson: self
                    .token(&id, Role::Salesperson, "salesperson", prefix)
                    .await?,
                service: self.token(&id, Role::Service, "service", prefix).await?,
            },
            id,
            crm,
        })
    }

    /// Connects a contract with tokens that are known already, as a sign-in would have: with the
    /// guide and an audit entry, over a connection that stands there. No import is asked for.
    ///
    /// # Errors
    /// Returns an error if the table or the key does not answer.
    pub async fn connect(&self, contract: &ContractId, to: Remote<'_>) -> Result<()> {
        let name = to.kind.purpose();
        let purpose = Purpose {
            contract,
            name: &name,
        };
        let before = self.store.connection(contract, to.kind).await?;
        let connection = Connection {
            contract: contract.clone(),
            kind: to.kind,
            provider: to.provider,
            base_url: to.base_url.clone(),
            auth_url: to.auth_url.clone(),
            organization: to.organization.to_owned(),
            tenant: to.tenant,
            user: to.user,
            sealed_tokens: Some(
                shared::session::seal_tokens(self.vault, purpose, to.tokens).await?,
            ),
            state: ConnectionState::Connected,
            sign_in_reason: None,
            valid_until: to.valid_until,
            not_before: None,
            refresh_until: None,
            connected_by: ACTOR.to_owned(),
            connected_at: self.now,
            disconnect: None,
            version: before.as_ref().map_or(1, |before| before.version + 1),
        };
        let audit = AuditEntry {
            at: self.now,
            actor: ACTOR.to_owned(),
            action: "connection.connect".to_owned(),
            target: to.kind.to_string(),
            before: before.as_ref().map_or(Value::Null, Connection::logged),
            after: connection.logged(),
        };
        let mut guide = None;
        if let (ConnectionKind::Crm(environment), Some(crm)) = (to.kind, to.provider.crm()) {
            let mut found = self.store.guide(contract, environment).await?;
            found.choice = Some(CrmChoice::of(crm));
            found.last_problem = None;
            found.updated_at = self.now;
            found.version += 1;
            guide = Some((crm, found));
        }
        let alongside = match &guide {
            Some((crm, guide)) => Alongside::Crm {
                crm: *crm,
                guide,
                sync: None,
            },
            None => Alongside::Nothing,
        };
        let replaces = before.map(|before| before.version);
        let unique = self.random.uuid();
        let store = self.store;
        Ok(store
            .connect(&connection, replaces, &alongside, &audit, unique)
            .await?)
    }

    /// Invites a person, as [`invite`] does.
    ///
    /// # Errors
    /// See [`invite`].
    pub async fn invite(
        &self,
        contract: &ContractId,
        person: SeatInput,
        invitation: &NewInvitation,
    ) -> Result<SeatId> {
        invite(
            self.store,
            self.random,
            self.now,
            contract,
            person,
            invitation,
        )
        .await
    }
}

/// Invites a person to a seat of a contract. Where a seat has the e-mail address already, that one
/// is invited anew, with this name and role: the earlier invitation no longer works, its sessions
/// end, and the account that it was tied to no longer opens it.
///
/// # Errors
/// Returns an error if the input is wrong, there is no such contract, the seat is disabled, or the table does
/// not answer.
pub async fn invite(
    store: &Store,
    random: &dyn Random,
    now: Millis,
    contract: &ContractId,
    person: SeatInput,
    invitation: &NewInvitation,
) -> Result<SeatId> {
    let person = person.checked().map_err(|problem| told(&problem))?;
    for _ in 0..MAX_TRIES {
        let Some(mut of_contract) = store.contract(contract).await? else {
            bail!("there is no contract {contract}");
        };
        let before = seat_with_email(store, contract, &person.email).await?;
        let seat = match &before {
            Some(before) if before.status == SeatStatus::Disabled => bail!(
                "the seat of {} is disabled; an administrator of the contract enables it",
                person.email
            ),
            Some(before) => {
                let mut seat = before.clone();
                seat.name.clone_from(&person.name);
                seat.role = person.role;
                seat.status = SeatStatus::Invited;
                seat.identity = None;
                seat.invitation = Some(invitation.kept());
                seat.end_sessions();
                seat.updated_at = now;
                seat.version += 1;
                seat
            }
            None => {
                let id = SeatId(random.uuid());
                Seat::invited(id, person.clone(), invitation.kept(), now)
            }
        };
        // A person who is invited anew can act again only after signing in.
        let expected = of_contract.config_version;
        let acted = of_contract.administrators.remove(&seat.id);
        of_contract.config_version += 1;
        let audit = AuditEntry {
            at: now,
            actor: ACTOR.to_owned(),
            action: if before.is_some() {
                "seat.invite"
            } else {
                "seat.create"
            }
            .to_owned(),
            target: seat.id.to_string(),
            before: before.as_ref().map_or(Value::Null, Seat::logged),
            after: seat.logged(),
        };
        let change = SeatChange {
            before: before.as_ref(),
            after: Some(&seat),
            contract: acted.then_some((&of_contract, expected)),
            audit: &audit,
        };
        match store.change_seat(contract, change, random.uuid()).await {
            Ok(()) => return Ok(seat.id),
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
    bail!("the contract is being changed by somebody else; try again")
}

/// A problem as a line of a terminal.
#[must_use]
pub fn told(problem: &Problem) -> anyhow::Error {
    anyhow!("{} {}", problem.detail, problem.next_step)
}

/// The seat that has an e-mail address.
///
/// # Errors
/// Returns an error if the table does not answer.
pub async fn seat_with_email(
    store: &Store,
    contract: &ContractId,
    email: &str,
) -> Result<Option<Seat>> {
    let mut cursor = None;
    loop {
        let page = store.seats(contract, 100, cursor.as_deref()).await?;
        let found = page.items.into_iter().find(|seat| seat.email == email);
        if found.is_some() || page.next.is_none() {
            return Ok(found);
        }
        cursor = page.next;
    }
}

/// The target of a connection.
pub struct Remote<'a> {
    /// The kind of the connection.
    pub kind: ConnectionKind,
    /// The provider of the API.
    pub provider: Provider,
    /// The API's address.
    pub base_url: &'a Url,
    /// The sign-in server's address.
    pub auth_url: &'a Url,
    /// The provider's id of the organisation.
    pub organization: &'a str,
    /// Entra: the user's tenant.
    pub tenant: Option<String>,
    /// The user that it acts as, where the provider names one.
    pub user: Option<RemoteUser>,
    /// The end of the authorisation.
    pub valid_until: Option<Millis>,
    /// The tokens.
    pub tokens: &'a Tokens,
}
