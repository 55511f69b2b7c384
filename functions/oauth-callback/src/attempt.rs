//! Attempts: the state stored between the start of a flow and its end.

use http::HeaderValue;
use serde::{Deserialize, Serialize};
use shared::domain::ids::ContractId;
use shared::oauth::{Access, Authorization};
use shared::outbound::Provider;
use shared::problem::Problem;
use shared::signature::sha256_hex;
use shared::store::{AttemptPurpose, OAuthAttempt};
use shared::vault::Purpose;
use url::Url;

use crate::{App, browser, problems};

/// Longest path to go back to, in bytes.
const MAX_RETURN_TO: usize = 500;

/// The sealed values of an attempt.
#[derive(Serialize, Deserialize)]
pub(crate) struct Secrets {
    /// The PKCE verifier.
    pub(crate) verifier: String,
    /// The nonce that the identity token has to repeat.
    pub(crate) nonce: String,
}

/// A flow to start.
pub(crate) struct Start<'a> {
    pub(crate) contract: &'a ContractId,
    pub(crate) actor: String,
    pub(crate) provider: Provider,
    pub(crate) purpose: AttemptPurpose,
    pub(crate) target: Target,
    pub(crate) return_to: Option<String>,
    pub(crate) sign_in_anew: bool,
}

/// The sign-in page, and the API that it signs in to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Target {
    pub(crate) auth_url: Url,
    pub(crate) resource: Option<Url>,
}

/// A flow that was started.
pub(crate) struct Started {
    /// The page to send the browser to.
    pub(crate) authorize_url: Url,
    /// The cookie that the browser has to bring back.
    pub(crate) cookie: HeaderValue,
}

impl App {
    /// Stores an attempt and returns the page to send the browser to.
    pub(crate) async fn begin(&self, start: Start<'_>) -> Result<Started, Problem> {
        let remote = &self.remote;
        let state = format!("{}.{}", start.contract, remote.random.secret(32));
        let secrets = Secrets {
            verifier: remote.random.secret(32),
            nonce: remote.random.secret(32),
        };
        let cookie = remote.random.secret(32);
        let access = match start.purpose {
            AttemptPurpose::Connect { .. } => Access::Api,
            AttemptPurpose::SignIn { .. } => Access::SignIn,
        };
        let authorize_url = Authorization {
            provider: start.provider,
            auth_url: &start.target.auth_url,
            app: &self.client(start.provider).await?,
            redirect_uri: &self.redirect_uri(),
            state: &state,
            verifier: &secrets.verifier,
            resource: start.target.resource.as_ref(),
            access,
            nonce: &secrets.nonce,
            sign_in_anew: start.sign_in_anew,
        }
        .url()
        .ok_or_else(Problem::internal)?;
        let text = serde_json::to_string(&secrets).map_err(|_| Problem::internal())?;
        let sealed_secrets = remote
            .vault
            .seal(secrets_purpose(start.contract), &text)
            .await
            .map_err(|error| problems::vault(&error))?;
        let hash = state_hash(&state);
        let attempt = OAuthAttempt {
            provider: start.provider,
            purpose: start.purpose,
            started_by: start.actor,
            sealed_secrets,
            browser_hash: browser::hash(&cookie),
            auth_url: start.target.auth_url,
            resource: start.target.resource,
            return_to: start.return_to,
            valid_until: remote.clock.now().plus_seconds(browser::ATTEMPT_SECONDS),
        };
        remote
            .store
            .put_oauth_attempt(start.contract, &hash, &attempt)
            .await
            .map_err(|error| problems::store(&error))?;
        Ok(Started {
            authorize_url,
            cookie: browser::cookie(&hash, &cookie),
        })
    }

    /// An attempt's secrets, opened.
    pub(crate) async fn secrets(
        &self,
        contract: &ContractId,
        attempt: &OAuthAttempt,
    ) -> Result<Secrets, Problem> {
        let text = self
            .remote
            .vault
            .open(secrets_purpose(contract), &attempt.sealed_secrets)
            .await
            .map_err(|error| problems::vault(&error))?;
        serde_json::from_str(&text).map_err(|_| Problem::internal())
    }
}

/// The hash of a `state`, under which its attempt is stored.
pub(crate) fn state_hash(state: &str) -> String {
    sha256_hex(&[state.as_bytes()])
}

fn secrets_purpose(contract: &ContractId) -> Purpose<'_> {
    Purpose {
        contract,
        name: "oauth/attempt",
    }
}

/// Checks a path of ours to go back to: never another site, despite the tricks of browsers' reading of
/// addresses (`//host`, `/\\host`, control characters).
///
/// # Errors
/// `invalid_return_to`.
pub(crate) fn own_path(text: &str) -> Result<String, Problem> {
    let own = || {
        let plain = text.len() <= MAX_RETURN_TO
            && text.starts_with('/')
            && !text.starts_with("//")
            && !text.contains('\\')
            && !text.chars().any(|c| c.is_control() || c.is_whitespace());
        let base = Url::parse("https://own.invalid").ok()?;
        let url = base.join(text).ok().filter(|_| plain)?;
        (url.origin() == base.origin() && !url.path().starts_with("//")).then(|| {
            let mut path = url.path().to_owned();
            for (mark, part) in [('?', url.query()), ('#', url.fragment())] {
                if let Some(part) = part {
                    path.push(mark);
                    path.push_str(part);
                }
            }
            path
        })
    };
    own().ok_or_else(|| {
        Problem::new(
            422,
            "invalid_return_to",
            "That is no path of this address.",
            "Send a path that starts with one slash, such as /settings.",
        )
        .with_field("return_to")
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::Url;

    use super::own_path;

    proptest! {
        #[test]
        fn whatever_is_gone_back_to_stays_on_our_own_address(text in "[/\\\\a-z.@:?#%\\t ]{0,12}|\\PC{0,30}") {
            let base = Url::parse("https://leads.example/app/").unwrap();
            if let Ok(path) = own_path(&text) {
                let url = base.join(&path).unwrap();
                prop_assert_eq!(url.origin(), base.origin());
                prop_assert!(path.starts_with('/') && !path.starts_with("//"));
                // A checked path passes the check again unchanged.
                prop_assert_eq!(own_path(&path).unwrap(), path);
            }
        }
    }

    #[test]
    fn only_paths_of_our_own_are_gone_back_to() {
        for good in ["/", "/settings", "/a/b?c=d&e=%2F#f", "/x:y@z"] {
            assert_eq!(own_path(good).unwrap(), good);
        }
        assert_eq!(own_path("/a/../b").unwrap(), "/b");
        for bad in [
            "",
            "settings",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/\tx",
            "/ x",
            "/x\n",
            "/..//evil.example",
            "/.//evil.example",
            &format!("/{}", "x".repeat(500)),
        ] {
            assert!(own_path(bad).is_err(), "{bad:?}");
        }
    }
}
