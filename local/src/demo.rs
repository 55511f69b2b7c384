//! Demo data: two contracts, one on each CRM, with fixed credentials that are good for nothing
//! but this machine.

use anyhow::{Context as _, Result};
use reqwest::Client;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::clock::{Clock as _, SystemClock};
use shared::domain::schema::CrmKind;
use shared::oauth::Tokens;
use shared::outbound::Provider;
use shared::random::SystemRandom;
use shared::store::{ConnectionKind, Store};
use shared::vault::Vault;
use url::Url;

use crate::Stack;
use crate::seed::{FixedSecrets, Made, Maker, NewContract, Remote, TokenSet};

/// The secret that signs LinkedIn's notifications to the demo contracts.
pub const LINKEDIN_CLIENT_SECRET: &str = "demo-linkedin-client-secret";
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
    /// Of a stack.
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

/// Whom the simulator makes tokens for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Org {
    /// The production organisation of the contract's CRM.
    Production,
    /// Salesforce's sandbox.
    Sandbox,
}

/// Makes tokens at the simulator, without a sign-in.
async fn mint(control: &Url, provider: &str, org: Org) -> Result<(Tokens, Value)> {
    let org = if org == Org::Sandbox {
        "sandbox"
    } else {
        "production"
    };
    let answer: Value = Client::new()
        .post(control.join("/tokens")?)
        .json(&json!({"provider": provider, "org": org}))
        .send()
        .await?
        .error_for_status()?
        .json()
        .await?;
    let text = |name: &str| answer.get(name).and_then(Value::as_str).map(str::to_owned);
    let tokens = Tokens {
        access_token: text("access_token").context("the simulator made no token")?,
        refresh_token: text("refresh_token"),
        expires_at: None,
    };
    Ok((tokens, answer))
}

/// Connects a contract to the simulator's CRM and LinkedIn.
///
/// # Errors
/// When the simulator or the table does not answer.
pub async fn connect(
    maker: &Maker<'_>,
    made: &Made,
    simulator: &SimulatorAddresses,
    org: Org,
) -> Result<()> {
    let (provider, name, base_url) = match made.crm {
        CrmKind::Salesforce => (Provider::Salesforce, "salesforce", &simulator.salesforce),
        CrmKind::Dynamics365 => (Provider::Dataverse, "dataverse", &simulator.dataverse),
    };
    let (tokens, answer) = mint(&simulator.control, name, org).await?;
    // https://…/id/{organization}/{user}
    let organization = answer
        .get("identity_url")
        .and_then(Value::as_str)
        .and_then(|url| url.split("/id/").nth(1)?.split('/').next())
        .unwrap_or("simulated");
    let crm = Remote {
        kind: ConnectionKind::PRODUCTION,
        provider,
        base_url,
        auth_url: base_url,
        organization,
        tokens: &tokens,
    };
    maker.connect(&made.id, crm).await?;
    let (tokens, _) = mint(&simulator.control, "linkedin", Org::Production).await?;
    let linkedin = Remote {
        kind: ConnectionKind::LinkedIn,
        provider: Provider::LinkedIn,
        base_url: &simulator.linkedin,
        auth_url: &simulator.linkedin,
        organization: "",
        tokens: &tokens,
    };
    maker.connect(&made.id, linkedin).await
}

/// The demo contracts: made on the first start, and the same on every later one.
///
/// # Errors
/// When the simulator or the table does not answer.
pub async fn contracts(
    store: &Store,
    vault: &Vault,
    simulator: &SimulatorAddresses,
) -> Result<Vec<Made>> {
    let maker = Maker {
        store,
        vault,
        random: &SystemRandom,
        now: SystemClock.now(),
    };
    let mut all = Vec::new();
    for (id, name, crm, form, google_form, owner) in [
        (
            "acme-salesforce",
            "Acme on Salesforce",
            CrmKind::Salesforce,
            "demo-form-000000000001",
            "demo-google-form-01",
            "urn:li:sponsoredAccount:123",
        ),
        (
            "acme-dynamics",
            "Acme on Dynamics 365",
            CrmKind::Dynamics365,
            "demo-form-000000000002",
            "demo-google-form-02",
            "urn:li:sponsoredAccount:456",
        ),
    ] {
        let id: shared::domain::ids::ContractId = id.parse()?;
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
            follow(store, &id, crm, simulator).await?;
        } else {
            let fixed = FixedSecrets {
                form: form.parse()?,
                google_form: google_form.parse()?,
                google_key: GOOGLE_KEY.to_owned(),
                linkedin_client_secret: LINKEDIN_CLIENT_SECRET.to_owned(),
                token_prefix: "demo".to_owned(),
            };
            let new = NewContract {
                id,
                name: name.to_owned(),
                crm,
                fixed: Some(fixed),
                linkedin_owners: vec![owner.to_owned()],
            };
            let made = maker.make(new).await?;
            connect(&maker, &made, simulator, Org::Production).await?;
        }
        all.push(known);
    }
    linkedin_leads(&simulator.control).await?;
    Ok(all)
}

/// Points a kept contract's connections to where the simulator listens now: `--port` moves it.
async fn follow(
    store: &Store,
    contract: &shared::domain::ids::ContractId,
    crm: CrmKind,
    simulator: &SimulatorAddresses,
) -> Result<()> {
    let crm_url = match crm {
        CrmKind::Salesforce => &simulator.salesforce,
        CrmKind::Dynamics365 => &simulator.dataverse,
    };
    for (kind, url) in [
        (ConnectionKind::PRODUCTION, crm_url),
        (ConnectionKind::LinkedIn, &simulator.linkedin),
    ] {
        if let Some(mut connection) = store.connection(contract, kind).await?
            && connection.base_url != *url
        {
            connection.base_url = url.clone();
            connection.auth_url = url.clone();
            connection.version += 1;
            store.put_connection(&connection).await?;
        }
    }
    Ok(())
}

/// What LinkedIn has: the first contract's ad account, and the form and leads that the payloads in
/// `events/` speak of.
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
