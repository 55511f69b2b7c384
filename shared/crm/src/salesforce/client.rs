//! Calls to Salesforce's REST API: single ones, and batches of reads.
//!
//! No call goes to `composite`, whose subrequests may refer to each other: it reads `@{…}` in any text as a
//! reference, and offers no way to escape it.

use std::sync::Arc;

use http::{HeaderName, Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::errors::ApiError;
use super::soql::Select;
use crate::{CrmError, Record};
use remote::outbound::{Answer, Call, Provider};
use remote::session::Session;

/// REST API version; each is served for at least three years.
pub(super) const API: &str = "/services/data/v62.0";

/// The header with which rules that only warn about duplicates do not keep a record out: whoever writes it has
/// decided. Rules that block still block.
pub(super) const RULES_PASS: (&str, &str) = ("sforce-duplicate-rule-header", "allowSave=true");

/// A Salesforce organisation.
pub(crate) struct Salesforce {
    pub(super) session: Arc<Session>,
}

#[derive(Deserialize)]
struct BatchAnswer {
    results: Vec<BatchResult>,
}

/// The answer of one read of a composite batch.
#[derive(Deserialize)]
pub(super) struct BatchResult {
    #[serde(rename = "statusCode")]
    status: u16,
    #[serde(default)]
    pub(super) result: Value,
}

impl BatchResult {
    pub(super) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_GATEWAY)
    }
}

impl Salesforce {
    pub(crate) fn new(session: Arc<Session>) -> Self {
        Self { session }
    }

    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, CrmError> {
        self.call_with(method, path, body, None).await
    }

    /// As [`Self::call`], with a further header.
    pub(super) async fn call_with(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        header: Option<(&'static str, &'static str)>,
    ) -> Result<Answer, CrmError> {
        let headers: Vec<_> = [RULES_PASS].into_iter().chain(header).collect();
        self.call_headed(method, path, body, &headers).await
    }

    /// A call with these headers beside the usual ones.
    pub(super) async fn call_headed(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(&'static str, &str)],
    ) -> Result<Answer, CrmError> {
        let url = self.session.url(path)?;
        let mut call = Call::new(Provider::Salesforce, method, url)
            .header(http::header::ACCEPT, "application/json");
        for (name, value) in headers {
            call = call.header(HeaderName::from_static(name), *value);
        }
        if let Some(body) = body {
            call = call.json(body);
        }
        Ok(self.session.send(call).await?)
    }

    /// The error of a call as a whole.
    pub(super) async fn failure(&self, answer: &Answer) -> CrmError {
        let errors = ApiError::all(answer);
        self.classify(answer.status, &errors, Record::Lead).await
    }

    /// Independent reads in one call, each of which counts against the organisation's limit. Paths
    /// are relative to the API's version; the answers come in their order.
    pub(super) async fn batch(&self, paths: &[String]) -> Result<Vec<BatchResult>, CrmError> {
        let version = API.rsplit('/').next().unwrap_or_default();
        let requests: Vec<Value> = paths
            .iter()
            .map(|path| json!({"method": "GET", "url": format!("{version}/{path}")}))
            .collect();
        let body = json!({"batchRequests": requests});
        let answer = self
            .call(Method::POST, &format!("{API}/composite/batch"), Some(&body))
            .await?;
        if !answer.status.is_success() {
            return Err(self.failure(&answer).await);
        }
        let batch: BatchAnswer = answer.json().ok_or(CrmError::Unavailable(answer.status))?;
        if batch.results.len() == paths.len() {
            Ok(batch.results)
        } else {
            Err(CrmError::Unavailable(answer.status))
        }
    }

    /// The rows that a query finds. One call, in whose body the query's text stays.
    pub(super) async fn query(
        &self,
        query: &Select<'_>,
        record: Record,
    ) -> Result<Vec<Value>, CrmError> {
        let results = self.batch(&[query.path("query")]).await?;
        let unknown = CrmError::Unavailable(StatusCode::OK);
        let mut result = results.into_iter().next().ok_or(unknown)?;
        let status = result.status();
        if !status.is_success() {
            return Err(self.batch_failure(&result, record).await);
        }
        match result.result.get_mut("records").map(Value::take) {
            Some(Value::Array(rows)) => Ok(rows),
            _ => Err(CrmError::Unavailable(status)),
        }
    }
}
