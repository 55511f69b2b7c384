//! Demo data: two contracts, one on each CRM, with fixed credentials that are good for nothing
//! but this machine.

use anyhow::{Context as _, Result};
use reqwest::Client;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::clock::Millis;
use shared::crm_setup;
use shared::domain::environment::Environment;
use shared::domain::ids::{ContractId, SeatId};
use shared::domain::role::Role;
use shared::domain::schema::CrmKind;
use shared::domain::seat::SeatInput;
use shared::invitation::NewInvitation;
use shared::oauth::Tokens;
use shared::outbound::Provider;
use shared::queue::ImportQueue;
use shared::store::{ConnectionKind, ConnectionState, RemoteUser};
use url::Url;

use crate::Stack;
use crate::seed::{FixedSecrets, Made, Maker, NewContract, Remote, TokenSet, seat_with_email};

/// The secret that signs LinkedIn's notifications to the demo contracts.
pub const LINKEDIN_CLIENT_SECRET: &str = "demo-linkedin-client-secret";
/// The administrator of the simulated organisations, and of the demo contracts.
pub const ADMINISTRATOR: &str = "admin@leadbridge.example";
/// A seller there and here.
pub const SALESPERSON: &str = "seller@leadbridge.example";
/// The demo Google Ads forms' key.
pub const GOOGLE_KEY: &str = "demo-google-key";

/// The simulator's addresses, as `dev.json` and the deployed stack's description give them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SimulatorAddresses {
    /// Salesforce, its sign-in included.
    pub salesforce: Url,
    /// Dataverse, with Microsoft's sign-in.
    pub dataverse: Url,
    /// LinkedIn.
    pub linkedin: Url,
    /// The control API.
    pub control: Url,
    /// The certificate authority of the others.
    pub ca_file: std::path::PathBuf,
}

impl SimulatorAddresses {
    /// The simulator's addresses in a stack.
    ///
    /// # Errors
    /// Never in practice: the simulator's addresses are URLs.
    pub fn of(stack: &Stack) -> Result<Self> {
        Ok(Self {
            salesforce: stack.simulator.salesforce_url().parse()?,
            dataverse: stack.simulator.dataverse_url().parse()?,
            linkedin: stack.simulator.linkedin_url().parse()?,
            control: stack.simulator.control_url().parse()?,
            ca_file: stack.simulator.ca_file().to_owned(),
        })
    }
}

/// The organisation that the simulator issues tokens for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Org {
    /// The production organisation of the contract's CRM.
    Production,
    /// Salesforce's sandbox.
    Sandbox,
}

impl Org {
    const fn name(self) -> &'static str {
        match self {
            Self::Production => "production",
            Self::Sandbox => "sandbox",
        }
    }

    /// Its administrator.
    const fn administrator(self) -> &'static str {
        match self {
            Self::Production => ADMINISTRATOR,
            Self::Sandbox => "admin@sandbox.leadbridge.example",
        }
    }
}

/// Tokens that the simulator made, with the organisation and user they are for.
struct Minted {
    tokens: Tokens,
    organization: String,
    tenant: Option<String>,
    user: Option<RemoteUser>,
    valid_until: Option<Millis>,
}

/// Makes tokens at the simulator, without a sign-in.
async fn mint(control: &Url, provider: Provider, org: Org, now: Millis) -> Result<Minted> {
    #[derive(Deserialize)]
    struct Answer {
        access_token: String,
        refresh_token: Option<String>,
        #[serde(default)]
        organization_id: String,
        tenant: Option<String>,
        user_id: Option<String>,
        refresh_token_expires_in: Option<i64>,
    }
    let mut wish = json!({"provider": provider.as_str(), "org": org.name()});
    if provider != Provider::LinkedIn
        && let Some(wish) = wish.as_object_mut()
    {
        wish.insert("user".to_owned(), json!(org.administrator()));
    }
    let answer: Answer = Client::new()
        .post(control.join("/tokens")?)
        .json(&wish)
        .send()
        .await?
        .error_for_status()?
        .json()
        .await
        .context("the simulator made no token")?;
    Ok(Minted {
        tokens: Tokens {
            access_token: answer.access_token,
            refresh_token: answer.refresh_token,
            expires_at: None,
        },
        organization: answer.organization_id,
        tenant: answer.tenant,
        user: answer.user_id.map(|id| RemoteUser {
            id,
            username: Some(org.administrator().to_owned()),
        }),
        valid_until: answer
            .refresh_token_expires_in
            .map(|seconds| now.plus_seconds(seconds)),
    })
}

/// Connects a contract to the simulator's CRM and LinkedIn.
///
/// # Errors
/// Returns an error if the simulator or the table does not answer.
pub async fn connect(
    maker: &Maker<'_>,
    made: &Made,
    simulator: &SimulatorAddresses,
    org: Org,
) -> Result<()> {
    connect_crm(maker, &made.id, made.crm, simulator, org).await?;
    let minted = mint(&simulator.control, Provider::LinkedIn, org, maker.now).await?;
    let linkedin = Remote {
        kind: ConnectionKind::LinkedIn,
        provider: Provider::LinkedIn,
        base_url: &simulator.linkedin,
        auth_url: &simulator.linkedin,
        organization: "",
        tenant: None,
        user: None,
        valid_until: minted.valid_until,
        tokens: &minted.tokens,
    };
    maker.connect(&made.id, linkedin).await
}

async fn connect_crm(
    maker: &Maker<'_>,
    contract: &ContractId,
    crm: CrmKind,
    simulator: &SimulatorAddresses,
    org: Org,
) -> Result<()> {
    let (provider, base_url) = match crm {
        CrmKind::Salesforce => (Provider::Salesforce, &simulator.salesforce),
        CrmKind::Dynamics365 => (Provider::Dataverse, &simulator.dataverse),
    };
    let minted = mint(&simulator.control, provider, org, maker.now).await?;
    let crm = Remote {
        kind: ConnectionKind::PRODUCTION,
        provider,
        base_url,
        auth_url: base_url,
        organization: &minted.organization,
        tenant: minted.tenant,
        user: minted.user,
        valid_until: None,
        tokens: &minted.tokens,
    };
    maker.connect(contract, crm).await
}

/// A demo contract and its people.
#[derive(Debug, Clone, Serialize)]
pub struct Demo {
    /// Its keys and tokens.
    #[serde(flatten)]
    pub made: Made,
    /// Its seats.
    pub seats: Vec<DemoSeat>,
}

/// A person of a demo contract.
#[derive(Debug, Clone, Serialize)]
pub struct DemoSeat {
    /// The e-mail address, which is also the user name in the simulated CRM.
    pub email: String,
    /// The person's role.
    pub role: Role,
    /// The address that signs the person in: with the invitation, until that was accepted.
    pub sign_in: String,
}

/// The surroundings of the demo contracts: the table, the queue and the simulator.
pub struct Place<'a> {
    /// The table, the vault, the time.
    pub remote: &'a shared::wiring::Remote,
    /// The import queue: first imports are announced on it.
    pub queue: &'a ImportQueue,
    /// The product's address.
    pub public_url: &'a Url,
    /// The CRMs.
    pub simulator: &'a SimulatorAddresses,
}

/// The demo contracts: made on the first start, and the same on every later one.
///
/// # Errors
/// Returns an error if the simulator or the table does not answer.
pub async fn contracts(place: &Place<'_>) -> Result<Vec<Demo>> {
    let store = &place.remote.store;
    let simulator = place.simulator;
    let maker = Maker {
        store,
        vault: &place.remote.vault,
        random: place.remote.random.as_ref(),
        now: place.remote.clock.now(),
    };
    let mut all = Vec::new();
    for (id, name, crm, form, google_form, owner) in [
        (
            "acme-salesforce",
            "Acme on Salesforce",
            CrmKind::Salesforce,
            "demo-form-000000000001",
            "demo-google-form-01",
            "urn:li:sponsoredAccount:456",
        ),
        (
            "acme-dynamics",
            "Acme on Dynamics 365",
            CrmKind::Dynamics365,
            "demo-form-000000000002",
            "demo-google-form-02",
            "urn:li:sponsoredAccount:123",
        ),
    ] {
        let id: ContractId = id.parse()?;
        let known = Made {
            form_key: format!("{id}.{form}"),
            google_form_key: format!("{id}.{google_form}"),
            google_key: GOOGLE_KEY.to_owned(),
            linkedin_client_secret: LINKEDIN_CLIENT_SECRET.to_owned(),
            tokens: TokenSet {
                administrator: format!("lbt.{id}.demo-administrator.demo-administrator-secret"),
                salesperson: format!("lbt.{id}.demo-salesperson.demo-salesperson-secret"),
                service: format!("lbt.{id}.demo-service.demo-service-secret"),
            },
            id: id.clone(),
            crm,
        };
        if store.config(&id).await?.is_some() {
            follow(&maker, &id, crm, simulator).await?;
        } else {
            let fixed = FixedSecrets {
                form: form.parse()?,
                google_form: google_form.parse()?,
                google_key: GOOGLE_KEY.to_owned(),
                linkedin_client_secret: LINKEDIN_CLIENT_SECRET.to_owned(),
                token_prefix: "demo".to_owned(),
            };
            let new = NewContract {
                id: id.clone(),
                name: name.to_owned(),
                crm,
                fixed: Some(fixed),
                linkedin_owners: vec![owner.to_owned()],
            };
            let made = maker.make(new).await?;
            connect(&maker, &made, simulator, Org::Production).await?;
        }
        first_import(place, &id).await?;
        let seats = seats(&maker, place, &known).await?;
        all.push(Demo { made: known, seats });
    }
    linkedin_leads(&simulator.control).await?;
    Ok(all)
}

/// Updates a stored contract's connections to the simulator's current addresses: `--port` moves it. State of
/// an earlier version, whose connections name no user, is connected anew.
async fn follow(
    maker: &Maker<'_>,
    contract: &ContractId,
    crm: CrmKind,
    simulator: &SimulatorAddresses,
) -> Result<()> {
    let store = maker.store;
    let crm_url = match crm {
        CrmKind::Salesforce => &simulator.salesforce,
        CrmKind::Dynamics365 => &simulator.dataverse,
    };
    for (kind, url) in [
        (ConnectionKind::PRODUCTION, crm_url),
        (ConnectionKind::LinkedIn, &simulator.linkedin),
    ] {
        let Some(mut connection) = store.connection(contract, kind).await? else {
            continue;
        };
        if kind == ConnectionKind::PRODUCTION
            && connection.user.is_none()
            && connection.state == ConnectionState::Connected
        {
            connect_crm(maker, contract, crm, simulator, Org::Production).await?;
        } else if connection.base_url != *url {
            connection.base_url = url.clone();
            connection.auth_url = url.clone();
            connection.version += 1;
            store.put_connection(&connection).await?;
        }
    }
    Ok(())
}

/// Asks for the first import of a contract that is connected, as a sign-in does.
async fn first_import(place: &Place<'_>, contract: &ContractId) -> Result<()> {
    let (remote, environment) = (place.remote, Environment::Production);
    let kind = ConnectionKind::Crm(environment);
    let connection = remote.store.connection(contract, kind).await?;
    let before = remote.store.sync(contract, environment).await?;
    if before.is_none() && connection.is_some_and(|connection| connection.stands()) {
        let queue = place.queue;
        crm_setup::request_sync(remote, queue, contract, environment, "set-up").await?;
    }
    Ok(())
}

/// The people of a demo contract: an administrator and a salesperson, who have accounts in the simulated CRM.
/// They are made with the contract; an invitation that is not accepted yet is extended by a week at every
/// start.
async fn seats(maker: &Maker<'_>, place: &Place<'_>, made: &Made) -> Result<Vec<DemoSeat>> {
    let contract = &made.id;
    let none = maker.store.seats(contract, 1, None).await?.items.is_empty();
    let mut seats = Vec::new();
    for (name, email, role, secret) in [
        (
            "Ada Admin",
            ADMINISTRATOR,
            Role::Administrator,
            "demo-administrator-invitation",
        ),
        (
            "Sol Seller",
            SALESPERSON,
            Role::Salesperson,
            "demo-salesperson-invitation",
        ),
    ] {
        let invitation = NewInvitation::with_secret(secret.to_owned(), maker.now);
        let known = seat_with_email(maker.store, contract, email).await?;
        let person = match &known {
            None if none => Some(SeatInput {
                name: name.to_owned(),
                email: email.to_owned(),
                role,
            }),
            // The seat was deleted.
            None => continue,
            Some(seat) => {
                let hash = invitation.kept().secret_hash;
                let kept = seat.invitation.as_ref();
                let ours = kept.is_some_and(|kept| kept.secret_hash == hash);
                ours.then(|| SeatInput {
                    name: seat.name.clone(),
                    email: seat.email.clone(),
                    role: seat.role,
                })
            }
        };
        let invited = match person {
            Some(person) => Some(maker.invite(contract, person, &invitation).await?),
            None => None,
        };
        let role = known.map_or(role, |seat| seat.role);
        let sign_in = sign_in(made, place, invited.map(|seat| (seat, &invitation)))?;
        seats.push(DemoSeat {
            email: email.to_owned(),
            role,
            sign_in,
        });
    }
    Ok(seats)
}

/// The sign-in link of a person for a demo contract. It leads to the simulator, where people choose their
/// account.
fn sign_in(
    made: &Made,
    place: &Place<'_>,
    invited: Option<(SeatId, &NewInvitation)>,
) -> Result<String> {
    let base = place.public_url.as_str().trim_end_matches('/');
    let provider = match made.crm {
        CrmKind::Salesforce => "salesforce",
        CrmKind::Dynamics365 => "entra",
    };
    let link = match invited {
        Some((seat, invitation)) => {
            let links = invitation.links(place.public_url, &made.id, seat);
            match made.crm {
                CrmKind::Salesforce => links.salesforce,
                CrmKind::Dynamics365 => links.entra,
            }
        }
        None => format!(
            "{base}/oauth/sign-in/{provider}?contract={contract}&return_to=/app/home%3Fcontract%3D{contract}",
            contract = made.id
        ),
    };
    let mut link: Url = link.parse()?;
    let mut query = link.query_pairs_mut();
    if made.crm == CrmKind::Salesforce {
        let login = place.simulator.salesforce.as_str().trim_end_matches('/');
        query.append_pair("login_url", login);
    }
    query.append_pair("switch_user", "true");
    drop(query);
    Ok(link.into())
}

/// Adds LinkedIn's data: the first contract's ad account with a form, and the form and leads that the
/// payloads in `events/` refer to.
async fn linkedin_leads(control: &Url) -> Result<()> {
    let client = Client::new();
    let known: Value = client
        .get(control.join("/linkedin/leads")?)
        .send()
        .await?
        .json()
        .await?;
    if known.to_string().contains("7014d1a2-3") {
        return Ok(());
    }
    let question = |id: u32, field: &str, name: &str| {
        json!({"questionId": id, "name": name, "predefinedField": field, "responseRequired": true,
               "question": {"localized": {"en_US": name}}, "questionDetails": {"textQuestionDetails": {"maxResponseLength": 300}}})
    };
    let form = json!({
        "id": 3162, "versionId": 1, "name": "Webinar sign-up", "state": "PUBLISHED",
        "owner": {"sponsoredAccount": "urn:li:sponsoredAccount:520866471"},
        "hiddenFields": [{"name": "utm_campaign", "value": "webinar"}],
        "content": {"questions": [
            question(1, "FIRST_NAME", "First name"), question(2, "LAST_NAME", "Last name"),
            question(3, "EMAIL", "Email address"), question(4, "COMPANY_NAME", "Company name"),
        ], "legalInfo": {"consents": []}},
    });
    let book_a_demo = json!({
        "id": 7_234_300, "versionId": 1, "name": "Book a demo", "state": "PUBLISHED",
        "owner": {"sponsoredAccount": "urn:li:sponsoredAccount:456"},
        "hiddenFields": [{"name": "utm_campaign", "value": "spring"}],
        "content": {"questions": [
            question(1, "FIRST_NAME", "First name"), question(2, "LAST_NAME", "Last name"),
            question(3, "EMAIL", "Email address"), question(4, "COMPANY_NAME", "Company name"),
            question(5, "JOB_TITLE", "Job title"), question(6, "PHONE_NUMBER", "Phone number"),
        ], "legalInfo": {"consents": []}},
    });
    let mut posts = vec![
        (
            "/linkedin/accounts",
            json!({"id": "456", "name": "Acme on Salesforce"}),
        ),
        (
            "/linkedin/accounts",
            json!({"id": "520866471", "name": "Acme webinars"}),
        ),
        ("/linkedin/forms", form),
        ("/linkedin/forms", book_a_demo),
    ];
    for (id, first, last, email, test) in [
        (
            "7014d1a2-3",
            "Katherine",
            "Goble",
            "katherine.goble@example.com",
            false,
        ),
        (
            "7014d1a2-9",
            "Dorothy",
            "Vaughan",
            "dorothy.vaughan@example.com",
            true,
        ),
    ] {
        let answers = json!({"FIRST_NAME": first, "LAST_NAME": last, "EMAIL": email, "COMPANY_NAME": "Langley Research"});
        posts.push(("/linkedin/leads", json!({"account": "520866471", "form": "3162", "id": id, "answers": answers, "test": test, "campaign": "198"})));
    }
    for (path, body) in posts {
        let answer = client.post(control.join(path)?).json(&body).send().await?;
        if !answer.status().is_success() {
            anyhow::bail!("the simulator refused {path}: {}", answer.text().await?);
        }
    }
    Ok(())
}
