//! Which organisation a sign-in led into, and where its API is.

use http::{HeaderName, Method, StatusCode, header};
use serde::Deserialize;
use shared::oauth::TokenAnswer;
use shared::outbound::{Call, Provider};
use shared::problem::Problem;
use shared::store::OAuthAttempt;
use url::Url;
use uuid::Uuid;

use crate::{App, problems};

/// An organisation at a provider.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Organization {
    /// Its API's address.
    pub(crate) base_url: Url,
    /// The provider's id of it; LinkedIn has none.
    pub(crate) id: String,
}

impl App {
    /// The organisation that new tokens open.
    pub(crate) async fn organization(
        &self,
        attempt: &OAuthAttempt,
        answer: &TokenAnswer,
    ) -> Result<Organization, Problem> {
        match attempt.provider {
            Provider::Salesforce => {
                let (base_url, id) =
                    salesforce(answer).ok_or_else(|| problems::api_error(attempt.provider))?;
                let allow = self.remote.outbound.allow_list();
                allow
                    .check(attempt.provider, &base_url)
                    .map_err(|_| problems::foreign_address(attempt.provider))?;
                Ok(Organization { base_url, id })
            }
            Provider::Dataverse | Provider::Entra => {
                self.dataverse_organization(attempt, answer).await
            }
            Provider::LinkedIn => Ok(Organization {
                base_url: self.remote.endpoints.linkedin_api.clone(),
                id: String::new(),
            }),
        }
    }

    async fn dataverse_organization(
        &self,
        attempt: &OAuthAttempt,
        answer: &TokenAnswer,
    ) -> Result<Organization, Problem> {
        #[derive(Deserialize)]
        struct WhoAmI {
            #[serde(rename = "OrganizationId")]
            organization_id: Uuid,
        }

        let provider = Provider::Dataverse;
        let base_url = attempt.resource.clone().ok_or_else(Problem::internal)?;
        let url = base_url
            .join("/api/data/v9.2/WhoAmI")
            .map_err(|_| Problem::internal())?;
        let call = Call::new(provider, Method::GET, url)
            .header(header::ACCEPT, "application/json")
            .header(HeaderName::from_static("odata-version"), "4.0")
            .header(HeaderName::from_static("odata-maxversion"), "4.0");
        let answer = self
            .remote
            .outbound
            .send(call, Some(&answer.access_token))
            .await
            .map_err(|error| problems::outbound(&error, provider))?;
        match answer.status {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                return Err(problems::insufficient_access(provider));
            }
            _ => return Err(problems::api_error(provider)),
        }
        let who: WhoAmI = answer.json().ok_or_else(|| problems::api_error(provider))?;
        Ok(Organization {
            base_url,
            id: who.organization_id.to_string(),
        })
    }
}

/// The API's address and the organisation's id in Salesforce's answer. Tokens go to that address
/// as it stands: the caller has to check it.
fn salesforce(answer: &TokenAnswer) -> Option<(Url, String)> {
    let base_url = answer.instance_url.as_ref()?.join("/").ok()?;
    Some((base_url, salesforce_id(answer.id.as_ref()?)?))
}

/// The organisation's id in `…/id/{organization}/{user}`.
fn salesforce_id(url: &Url) -> Option<String> {
    let mut segments = url.path_segments()?;
    let id = (segments.next() == Some("id")).then(|| segments.next())??;
    let valid = matches!(id.len(), 15 | 18) && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    valid.then(|| id.to_owned())
}

/// Whether two ids name the same organisation. Salesforce writes its ids with 15 or 18
/// characters; the last three only repeat what the case of the others says.
pub(crate) fn same_organization(provider: Provider, left: &str, right: &str) -> bool {
    match (provider, left.get(..15), right.get(..15)) {
        (Provider::Salesforce, Some(left), Some(right)) => left == right,
        _ => left == right,
    }
}

#[cfg(test)]
mod tests {
    use shared::outbound::Provider;

    use super::{salesforce_id, same_organization};

    #[test]
    fn salesforce_names_the_organisation_in_the_identity_url() {
        let id = |url: &str| salesforce_id(&url.parse().unwrap());
        assert_eq!(
            id("https://login.salesforce.com/id/00Dx0000000BV7z/005x00000012Q9P").as_deref(),
            Some("00Dx0000000BV7z")
        );
        assert_eq!(
            id("https://login.salesforce.com/id/00Dx0000000BV7zEAH/005x00000012Q9P").as_deref(),
            Some("00Dx0000000BV7zEAH")
        );
        assert_eq!(id("https://login.salesforce.com/"), None);
        assert_eq!(id("https://login.salesforce.com/id"), None);
        assert_eq!(id("https://login.salesforce.com/id/../x"), None);
        assert_eq!(
            id("https://login.salesforce.com/id/00Dx0000000BV7%23/x"),
            None
        );
    }

    #[test]
    fn both_forms_of_a_salesforce_id_are_the_same_organisation() {
        let same = |left, right| same_organization(Provider::Salesforce, left, right);
        assert!(same("00Dx0000000BV7z", "00Dx0000000BV7zEAH"));
        assert!(!same("00Dx0000000BV7z", "00Dx0000000BV7Z"));
        assert!(!same("", "00Dx0000000BV7z"));
        assert!(!same_organization(
            Provider::Dataverse,
            "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
            "3f2504e0-4f89-41d3-9a0c-0305e82c3302"
        ));
        assert!(same_organization(Provider::LinkedIn, "", ""));
    }
}
