//! The organisation that a sign-in led into, and the address of its API.

use http::{HeaderName, Method, StatusCode, header};
use serde::Deserialize;
use shared::domain::schema::CrmKind;
use shared::oauth::TokenAnswer;
use shared::oauth::id_token::Claims;
use shared::outbound::{Call, Provider};
use shared::problem::Problem;
use shared::store::{OAuthAttempt, RemoteUser};
use shared::texts::{self, Audience};
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
    /// The signed-in user, where the provider names one.
    pub(crate) user: Option<RemoteUser>,
}

impl App {
    /// Refuses an answer whose address is not the provider's: tokens are to go there.
    pub(crate) fn check_address(
        &self,
        provider: Provider,
        answer: &TokenAnswer,
    ) -> Result<(), Problem> {
        let allow = self.remote.outbound.allow_list();
        match &answer.instance_url {
            Some(url) if allow.check(provider, url).is_err() => {
                Err(problems::foreign_address(provider))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The organisation that new tokens open.
    pub(crate) async fn organization(
        &self,
        attempt: &OAuthAttempt,
        answer: &TokenAnswer,
        claims: Option<&Claims>,
    ) -> Result<Organization, Problem> {
        let username = claims.and_then(|claims| claims.username.clone());
        match attempt.provider {
            Provider::Salesforce => {
                let (base_url, id, user) = salesforce(answer, claims)
                    .ok_or_else(|| problems::unreadable(attempt.provider))?;
                let user = Some(RemoteUser { id: user, username });
                Ok(Organization { base_url, id, user })
            }
            Provider::Dataverse | Provider::Entra => {
                self.dataverse_organization(attempt, answer, username).await
            }
            Provider::LinkedIn => Ok(Organization {
                base_url: self.remote.endpoints.linkedin_api.clone(),
                id: String::new(),
                user: None,
            }),
        }
    }

    async fn dataverse_organization(
        &self,
        attempt: &OAuthAttempt,
        answer: &TokenAnswer,
        username: Option<String>,
    ) -> Result<Organization, Problem> {
        #[derive(Deserialize)]
        struct WhoAmI {
            #[serde(rename = "OrganizationId")]
            organization_id: Uuid,
            #[serde(rename = "UserId")]
            user_id: Uuid,
        }
        #[derive(Deserialize)]
        struct Refusal {
            error: RefusalCode,
        }
        #[derive(Deserialize)]
        struct RefusalCode {
            code: String,
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
                let refusal: Option<Refusal> = answer.json();
                let code = refusal.map_or_else(
                    || answer.status.as_u16().to_string(),
                    |refusal| refusal.error.code,
                );
                let label = CrmKind::Dynamics365.label();
                let what = texts::api_access_missing(label, &code, Audience::Setup);
                return Err(texts::insufficient_access(Some(&what)));
            }
            _ => return Err(problems::unreadable(provider)),
        }
        let who: WhoAmI = answer
            .json()
            .ok_or_else(|| problems::unreadable(provider))?;
        Ok(Organization {
            base_url,
            id: who.organization_id.to_string(),
            user: Some(RemoteUser {
                id: who.user_id.to_string(),
                username,
            }),
        })
    }
}

/// The API's address, the organisation's id and the user's in Salesforce's answer; the identity
/// token has to name the same two. Tokens go to that address as it stands: the caller has to
/// check it.
fn salesforce(answer: &TokenAnswer, claims: Option<&Claims>) -> Option<(Url, String, String)> {
    let base_url = answer.instance_url.as_ref()?.join("/").ok()?;
    let (organization, user) = salesforce_ids(answer.id.as_ref()?)?;
    let (signed_organization, signed_user) = salesforce_ids(&Url::parse(&claims?.subject).ok()?)?;
    let same = |left: &str, right: &str| same_id(Provider::Salesforce, left, right);
    (same(&organization, &signed_organization) && same(&user, &signed_user)).then_some((
        base_url,
        organization,
        user,
    ))
}

/// The ids of the organisation and the user in `…/id/{organization}/{user}`.
pub(crate) fn salesforce_ids(url: &Url) -> Option<(String, String)> {
    let mut segments = url.path_segments()?;
    if segments.next() != Some("id") {
        return None;
    }
    let mut id = || {
        let id = segments.next()?;
        let valid =
            matches!(id.len(), 15 | 18) && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        valid.then(|| id.to_owned())
    };
    Some((id()?, id()?))
}

/// True if two ids of a provider are the same. Salesforce writes its ids with 15 or 18 characters; the last
/// three only repeat the case of the others.
pub(crate) fn same_id(provider: Provider, left: &str, right: &str) -> bool {
    match (provider, left.get(..15), right.get(..15)) {
        (Provider::Salesforce, Some(left), Some(right)) => left == right,
        _ => left == right,
    }
}

#[cfg(test)]
mod tests {
    use shared::outbound::Provider;

    use super::{salesforce_ids, same_id};

    #[test]
    fn salesforce_names_the_organisation_and_the_user_in_the_identity_url() {
        let ids = |url: &str| salesforce_ids(&url.parse().unwrap());
        let pair = |left: &str, right: &str| Some((left.to_owned(), right.to_owned()));
        assert_eq!(
            ids("https://login.salesforce.com/id/00Dx0000000BV7z/005x00000012Q9P"),
            pair("00Dx0000000BV7z", "005x00000012Q9P")
        );
        assert_eq!(
            ids("https://login.salesforce.com/id/00Dx0000000BV7zEAH/005x00000012Q9PAAA"),
            pair("00Dx0000000BV7zEAH", "005x00000012Q9PAAA")
        );
        for bad in [
            "https://login.salesforce.com/",
            "https://login.salesforce.com/id",
            "https://login.salesforce.com/id/00Dx0000000BV7z",
            "https://login.salesforce.com/id/../x",
            "https://login.salesforce.com/id/00Dx0000000BV7%23/005x00000012Q9P",
        ] {
            assert_eq!(ids(bad), None, "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn ids_from_an_identity_url_can_break_no_key(path in "(/id)?(/[0-9A-Za-z#%/]{0,19}){0,3}") {
            let url = format!("https://login.salesforce.com{path}");
            if let Ok(url) = url.parse()
                && let Some((organization, user)) = salesforce_ids(&url)
            {
                for id in [organization, user] {
                    assert!(matches!(id.len(), 15 | 18), "{id}");
                    assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
                }
            }
        }
    }

    #[test]
    fn both_forms_of_a_salesforce_id_are_the_same_organisation() {
        let same = |left, right| same_id(Provider::Salesforce, left, right);
        assert!(same("00Dx0000000BV7z", "00Dx0000000BV7zEAH"));
        assert!(!same("00Dx0000000BV7z", "00Dx0000000BV7Z"));
        assert!(!same("", "00Dx0000000BV7z"));
        assert!(!same_id(
            Provider::Dataverse,
            "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
            "3f2504e0-4f89-41d3-9a0c-0305e82c3302"
        ));
        assert!(same_id(Provider::LinkedIn, "", ""));
    }
}
