//! LinkedIn's lead-sync API: one response, one form, and the pull of an owner's responses.
//!
//! Source: learn.microsoft.com/linkedin/marketing/lead-sync/leadsync and LinkedIn's Postman
//! collection. Rest.li 2.0 encoding: parentheses and keys of unions stay literal, colons of URNs
//! are `%3A`.

use std::sync::Arc;

use http::{HeaderName, Method, StatusCode};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use domain::clock::Millis;
use domain::ids::ContractId;
use domain::source::linkedin::{LeadForm, LeadFormResponse, form_id};
use domain::submission::Submission;
use remote::outbound::{Answer, Call};
use remote::session::{Session, SessionError};
use store::{Store, StoreError};

/// `LinkedIn-Version`. Versions are sunset about a year after their month.
pub const VERSION: &str = "202606";
/// Number of responses in one page.
pub const PAGE_SIZE: u32 = 100;

/// The reason why LinkedIn gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum LinkedInError {
    /// The connection cannot be used, or did not answer.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// There is no such response or form, or the member has no role that may see it.
    #[error("not found")]
    NotFound,
    /// The connected member has no role that may read it.
    #[error("a role is missing")]
    RoleMissing,
    /// The version of the API is no longer served.
    #[error("the version is no longer served")]
    VersionSunset,
    /// The request is not accepted.
    #[error("the request is refused")]
    RequestRefused,
    /// Passing trouble: 5xx, an answer that cannot be read.
    #[error("LinkedIn answered {0}")]
    Unavailable(StatusCode),
}

/// The API of one contract's LinkedIn connection.
pub struct LinkedInApi {
    session: Arc<Session>,
}

/// A page of an owner's responses.
#[derive(Debug, Deserialize)]
pub struct ResponsePage {
    /// The responses. One that cannot be read is marked, and stands in the way of none.
    #[serde(default, deserialize_with = "each")]
    pub elements: Vec<LeadFormResponse>,
    /// Position of the page.
    #[serde(default)]
    pub paging: Paging,
}

/// Reads each response by itself.
fn each<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<LeadFormResponse>, D::Error> {
    let all: Vec<Value> = Vec::deserialize(deserializer)?;
    let read = |value: Value| {
        let id = value.get("id").and_then(Value::as_str);
        let id = id.unwrap_or_default().to_owned();
        serde_json::from_value(value).unwrap_or_else(|_| LeadFormResponse {
            id,
            unreadable: true,
            ..LeadFormResponse::default()
        })
    };
    Ok(all.into_iter().map(read).collect())
}

/// Offset paging.
#[derive(Debug, Deserialize, Default)]
pub struct Paging {
    /// Offset of the first element.
    #[serde(default)]
    pub start: u32,
    /// Total number of elements; some finders leave it out.
    #[serde(default)]
    pub total: Option<u32>,
}

/// Fields of a response, including those that notifications do not carry.
const RESPONSE_FIELDS: &str = "owner,associatedEntity,leadMetadata,leadType,versionedLeadGenFormUrn,id,submittedAt,testLead,formResponse,form:(hiddenFields,creationLocale,name,id,content)";

impl LinkedInApi {
    /// The API over a session.
    #[must_use]
    pub fn new(session: Arc<Session>) -> Self {
        Self { session }
    }

    async fn get(&self, path: &str) -> Result<Answer, LinkedInError> {
        let url = self.session.url(path)?;
        let call = Call::new(self.session.provider, Method::GET, url)
            .header(HeaderName::from_static("linkedin-version"), VERSION)
            .header(
                HeaderName::from_static("x-restli-protocol-version"),
                "2.0.0",
            )
            .header(http::header::ACCEPT, "application/json");
        let answer = self.session.send(call).await?;
        match answer.status {
            status if status.is_success() => Ok(answer),
            StatusCode::NOT_FOUND => Err(LinkedInError::NotFound),
            StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => Err(LinkedInError::RoleMissing),
            StatusCode::UPGRADE_REQUIRED => Err(LinkedInError::VersionSunset),
            StatusCode::BAD_REQUEST => Err(LinkedInError::RequestRefused),
            status => Err(LinkedInError::Unavailable(status)),
        }
    }

    /// One response, with its form if LinkedIn includes it.
    pub async fn response(&self, id: &str) -> Result<LeadFormResponse, LinkedInError> {
        let answer = self
            .get(&format!(
                "/rest/leadFormResponses/{id}?fields={RESPONSE_FIELDS}"
            ))
            .await?;
        let response: LeadFormResponse = answer
            .json()
            .ok_or(LinkedInError::Unavailable(answer.status))?;
        Ok(response)
    }

    /// One form.
    pub async fn form(&self, id: &str) -> Result<LeadForm, LinkedInError> {
        let answer = self.get(&format!("/rest/leadForms/{id}")).await?;
        answer
            .json()
            .ok_or(LinkedInError::Unavailable(answer.status))
    }

    /// A page of an owner's responses submitted in `[from, to)`, over all its forms.
    pub async fn responses(
        &self,
        owner: &str,
        from: Millis,
        to: Millis,
        start: u32,
    ) -> Result<ResponsePage, LinkedInError> {
        let (kind, lead_type) = if owner.starts_with("urn:li:sponsoredAccount:") {
            ("sponsoredAccount", "SPONSORED")
        } else {
            ("organization", "COMPANY")
        };
        let owner = owner.replace(':', "%3A");
        let path = format!(
            "/rest/leadFormResponses?q=owner&owner=({kind}:{owner})&leadType=(leadType:{lead_type})&limitedToTestLeads=false&submittedAtTimeRange=(start:{},end:{})&fields={RESPONSE_FIELDS}&count={PAGE_SIZE}&start={start}",
            from.0, to.0
        );
        let answer = self.get(&path).await?;
        answer
            .json()
            .ok_or(LinkedInError::Unavailable(answer.status))
    }
}

/// The reason why a response's form could not be obtained.
#[derive(Debug, thiserror::Error)]
pub enum FormError {
    /// The table did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// LinkedIn did not return it.
    #[error(transparent)]
    LinkedIn(#[from] LinkedInError),
}

/// The form of a response: included in it, stored earlier, or fetched and stored. Forms are stored by id and
/// version: a new version may ask other questions.
pub async fn form_of(
    store: &Store,
    api: &LinkedInApi,
    contract: &ContractId,
    response: &LeadFormResponse,
) -> Result<LeadForm, FormError> {
    if let Some(form) = response
        .form
        .as_ref()
        .filter(|form| !form.content.questions.is_empty())
    {
        return Ok(form.clone());
    }
    let urn = &response.versioned_lead_gen_form_urn;
    match store.linkedin_form(contract, urn).await {
        Ok(Some(form)) => return Ok(form),
        Ok(None) => {}
        // An unreadable stored form is fetched again.
        Err(error) if !error.passes() => error.log(),
        Err(error) => return Err(error.into()),
    }
    let form = api.form(&form_id(urn)).await?;
    match store.put_linkedin_form(contract, urn, &form).await {
        // Stored only to avoid fetching it again.
        Err(error) if !error.passes() => error.log(),
        kept => kept?,
    }
    Ok(form)
}

/// Joins a fetched response to its form, and both to a submission.
pub fn join(submission: &mut Submission, response: &LeadFormResponse, form: &LeadForm) {
    submission.answers = Some(form.fields(response));
    submission.test = response.test_lead;
    submission.submitted_at = response
        .submitted_at
        .map(Millis)
        .or(submission.submitted_at);
    let origin = &mut submission.origin;
    if origin.form_id.is_empty() {
        origin.form_id = form_id(&response.versioned_lead_gen_form_urn);
    }
    origin.form_name = Some(form.name.clone()).filter(|name| !name.is_empty());
    origin.campaign = response.campaign().map(str::to_owned);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::ResponsePage;

    #[test]
    fn a_response_that_cannot_be_read_stands_in_the_way_of_none() {
        let page = json!({ "elements": [
            { "id": "good-1", "testLead": true },
            { "id": "odd-1", "testLead": null, "submittedAt": "soon" },
            { "id": 7 },
            "odd",
        ] });
        let page: ResponsePage = serde_json::from_value(page).unwrap();
        let read = page.elements.iter();
        let read: Vec<(&str, bool)> = read.map(|one| (one.id.as_str(), one.unreadable)).collect();
        assert_eq!(
            read,
            [("good-1", false), ("odd-1", true), ("", true), ("", true)]
        );
        assert!(page.elements[0].test_lead);
    }
}
