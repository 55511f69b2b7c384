//! The harness of the end-to-end suite: one way to act as a form, an administrator or LinkedIn,
//! and to look into the CRM, on either stack.
//!
//! By default a test starts the embedded stack for itself alone. With `LEADBRIDGE_STACK` naming the
//! description of a deployed stack, all tests share that one; each makes contracts of its own, and recognises
//! its leads by an e-mail domain of its own.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on stops, saying why"
)]

pub mod browser;
pub mod directory_world;
pub mod histories;
pub mod notes;
pub mod oauth_world;
pub mod roles;
pub mod worker;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::config::{Credentials, Region, SharedCredentialsProvider};
use local::demo::{self, Org, SimulatorAddresses};
use local::seed::{FixedSecrets, Made, Maker, NewContract};
use local::{Options, Stack};
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value, json};
use shared::clock::{Clock as _, SystemClock};
use shared::domain::schema::CrmKind;
use shared::random::{Random, SystemRandom};
use shared::store::Store;
use shared::vault::{Vault, VaultSpec};

/// The time limit for a submission to reach a state, on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// A stack under test.
pub struct Harness {
    /// Base URLs of the functions.
    pub intake: String,
    /// Base URL of the console's API.
    pub console: String,
    /// The simulator's addresses.
    pub simulator: SimulatorAddresses,
    /// The table.
    pub store: Store,
    /// Seals secrets.
    pub vault: Arc<Vault>,
    /// Follows no redirects.
    pub http: Client,
    /// The embedded stack; none with a deployed one.
    pub stack: Option<Stack>,
}

impl Harness {
    /// The deployed stack that `LEADBRIDGE_STACK` describes, or an embedded one.
    #[expect(clippy::disallowed_methods, reason = "the suite's one switch")]
    pub async fn start() -> Self {
        match std::env::var_os("LEADBRIDGE_STACK") {
            Some(path) => Self::deployed(PathBuf::from(path)).await,
            None => Self::embedded(true).await,
        }
    }

    /// An embedded stack for one test; `drive` runs its queue and schedules.
    pub async fn embedded(drive: bool) -> Self {
        // The functions' log is shown with a test that fails.
        let _ = tracing_subscriber::fmt()
            .with_env_filter("warn,dynoxide=error")
            .with_test_writer()
            .try_init();
        let stack = Stack::start(Options {
            port: None,
            state: None,
            drive,
        })
        .await
        .expect("the stack starts");
        Self {
            intake: stack.url.clone(),
            console: stack.url.clone(),
            simulator: SimulatorAddresses::of(&stack).expect("addresses"),
            store: stack.store().clone(),
            vault: stack.apps().writeback.remote.vault.clone(),
            http: client(),
            stack: Some(stack),
        }
    }

    async fn deployed(path: PathBuf) -> Self {
        let text = std::fs::read_to_string(&path).expect("LEADBRIDGE_STACK names a readable file");
        let stack: Value = serde_json::from_str(&text).expect("the stack's description is JSON");
        let at = |pointer: &str| {
            stack
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_else(|| panic!("the description has {pointer}"))
                .to_owned()
        };
        let credentials = Credentials::new(
            at("/credentials/access_key_id"),
            at("/credentials/secret_access_key"),
            None,
            None,
            "stack",
        );
        let aws = local::aws_config(&at("/aws_endpoint"))
            .await
            .into_builder()
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .region(Region::new(at("/region")))
            .build();
        let random: Arc<dyn Random> = Arc::new(SystemRandom);
        let vault =
            Vault::from_spec(&VaultSpec::Kms(at("/kms_key")), &aws, random).expect("the vault");
        Self {
            intake: at("/functions/form_intake"),
            console: at("/functions/console"),
            simulator: serde_json::from_value(stack["simulator"].clone())
                .expect("the simulator's addresses"),
            store: Store::new(shared::aws::dynamodb(&aws), at("/table")),
            vault: Arc::new(vault),
            http: client(),
            stack: None,
        }
    }

    /// True if the test has the stack for itself, and may set faults and count calls.
    #[must_use]
    pub fn is_embedded(&self) -> bool {
        self.stack.is_some()
    }

    /// The embedded stack.
    #[must_use]
    pub fn embedded_stack(&self) -> &Stack {
        self.stack
            .as_ref()
            .expect("this test runs on the embedded stack")
    }

    /// A new contract, connected to the simulator.
    pub async fn tenant(&self, crm: CrmKind) -> Tenant<'_> {
        let unique = SystemRandom.uuid().simple().to_string();
        let name = unique.get(..12).unwrap_or_default().to_owned();
        let maker = Maker {
            store: &self.store,
            vault: &self.vault,
            random: &SystemRandom,
            now: SystemClock.now(),
        };
        let fixed = FixedSecrets {
            form: format!("form-{name}").parse().expect("a form id"),
            google_form: format!("google-{name}").parse().expect("a form id"),
            google_key: format!("google-key-{name}"),
            linkedin_client_secret: format!("linkedin-secret-{name}"),
            token_prefix: format!("t-{name}"),
        };
        let new = NewContract {
            id: format!("t-{name}").parse().expect("a contract id"),
            name: "Test".to_owned(),
            crm,
            fixed: Some(fixed),
            linkedin_owners: Vec::new(),
        };
        let made = maker.make(new).await.expect("the contract is made");
        demo::connect(&maker, &made, &self.simulator, Org::Production)
            .await
            .expect("it is connected");
        Tenant {
            harness: self,
            made,
            domain: format!("{name}.example"),
        }
    }

    /// A call to the simulator's control API.
    pub async fn control(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let url = self.simulator.control.join(path).expect("a path");
        let mut request = self.http.request(method, url);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("the simulator answers");
        let status = answer.status();
        let text = answer.text().await.unwrap_or_default();
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// Ends an embedded stack.
    pub async fn stop(self) {
        if let Some(stack) = self.stack {
            stack.stop().await;
        }
    }
}

fn client() -> Client {
    Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("an HTTP client")
}

/// A contract of a test.
pub struct Tenant<'a> {
    /// The stack it lives on.
    pub harness: &'a Harness,
    /// Its keys and tokens.
    pub made: Made,
    /// The e-mail domain that distinguishes its leads from those of other tests.
    pub domain: String,
}

impl Tenant<'_> {
    /// An e-mail address that only this test uses.
    #[must_use]
    pub fn email(&self, local_part: &str) -> String {
        format!("{local_part}@{}", self.domain)
    }

    /// The usual fields of a person.
    #[must_use]
    pub fn person(&self, first: &str) -> Value {
        json!({
            "email": self.email(&first.to_lowercase()), "first_name": first, "last_name": "Tester",
            "company": "Test Works", "phone": "+1 415 555 2671",
        })
    }

    /// Posts the website form as JSON.
    pub async fn post_form(&self, body: &Value, idempotency_key: Option<&str>) -> Response {
        let url = format!("{}/forms/{}", self.harness.intake, self.made.form_key);
        let mut request = self.harness.http.post(url).json(body);
        if let Some(key) = idempotency_key {
            request = request.header("idempotency-key", key);
        }
        request.send().await.expect("form-intake answers")
    }

    /// Posts the website form and returns the submission's id.
    pub async fn submit(&self, body: &Value, idempotency_key: Option<&str>) -> String {
        accepted(self.post_form(body, idempotency_key).await).await
    }

    /// A call to the API with the administrator's token.
    pub async fn api(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        self.api_as(&self.made.tokens.administrator, method, path, body)
            .await
    }

    /// A call to the API with a token.
    pub async fn api_as(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let url = format!("{}/api/v1{path}", self.harness.console);
        let mut request = self.harness.http.request(method, url).bearer_auth(token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("the console answers");
        let status = answer.status();
        let text = answer.text().await.unwrap_or_default();
        (
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        )
    }

    /// A submission's detail.
    pub async fn submission(&self, id: &str) -> Value {
        let (status, detail) = self
            .api(Method::GET, &format!("/submissions/{id}"), None)
            .await;
        assert_eq!(status, StatusCode::OK, "{detail}");
        detail
    }

    /// Waits until a submission is in one of these states.
    pub async fn wait_for(&self, id: &str, states: &[&str]) -> Value {
        let start = Instant::now();
        loop {
            let detail = self.submission(id).await;
            let state = detail["state"].as_str().unwrap_or_default();
            if states.contains(&state) {
                return detail;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "still {state} rather than {states:?}: {detail:#}"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The contract's records of an object in its CRM, found by their e-mail domain. `object` in Salesforce's
    /// spelling: `Lead`, `Contact`.
    pub async fn records(&self, object: &str) -> Vec<Value> {
        let (system, object, email) = match self.made.crm {
            CrmKind::Salesforce => ("salesforce", object.to_owned(), "Email"),
            CrmKind::Dynamics365 => ("dataverse", object.to_lowercase(), "emailaddress1"),
        };
        let all = self
            .harness
            .control(Method::GET, &format!("/records/{system}/{object}"), None)
            .await;
        let all = all.as_array().cloned().unwrap_or_default();
        all.into_iter()
            .filter(|record| {
                record[email]
                    .as_str()
                    .is_some_and(|email| email.to_lowercase().ends_with(&self.domain))
            })
            .collect()
    }

    /// The contract's leads in its CRM.
    pub async fn leads(&self) -> Vec<Value> {
        self.records("Lead").await
    }

    /// A value of a lead or contact by the usual form field name.
    #[must_use]
    pub fn value(&self, record: &Value, form_field: &str) -> Value {
        record[local::seed::lead_field(form_field, self.made.crm)].clone()
    }

    /// Makes a lead at LinkedIn and delivers its notification `times` times at once.
    pub async fn linkedin_lead(&self, answers: Value, options: Value, times: u32) -> Value {
        let mut body = json!({
            "account": "123", "form": "7234246", "answers": answers,
            "deliver": {
                "url": format!("{}/webhooks/linkedin/{}", self.harness.intake, self.made.id),
                "client_secret": self.made.linkedin_client_secret, "times": times, "concurrent": true,
            },
        });
        if let (Some(body), Some(options)) = (body.as_object_mut(), options.as_object()) {
            body.extend(options.clone());
        }
        if times == 0 {
            body.as_object_mut().and_then(|body| body.remove("deliver"));
        }
        self.harness
            .control(Method::POST, "/linkedin/leads", Some(body))
            .await
    }

    /// The id under which a LinkedIn response is stored.
    #[must_use]
    pub fn linkedin_submission(&self, response_id: &str) -> String {
        shared::domain::ids::SubmissionId::derive(&self.made.id, "linkedin", response_id)
            .to_string()
    }
}

/// The submission id of an accepted post.
pub async fn accepted(response: Response) -> String {
    let status = response.status();
    let body: Value = response.json().await.expect("JSON");
    assert!(status.is_success(), "{status} {body}");
    body["submission_id"]
        .as_str()
        .expect("a submission id")
        .to_owned()
}
