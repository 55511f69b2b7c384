//! Identity tokens: the user's identity, signed by the sign-in server (`OpenID` Connect Core 3.1.3.7).
//!
//! Sources: Microsoft's `id-token-claims-reference` and `access-tokens` (the issuer names the
//! tenant); Salesforce's "`OpenID` Connect" (`sub` is `https://…/id/{organization}/{user}`).

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use tokio::sync::Mutex;
use url::Url;

use super::{Endpoint, endpoint, sign_in_provider};
use crate::outbound::{Call, Outbound, OutboundError, Provider};
use domain::clock::Millis;
use domain::hosts::is_my_domain;
use domain::signature::secrets_equal;

/// Maximum difference between the provider's clock and ours, in seconds.
const LEEWAY_SECONDS: i64 = 120;
/// Time for which the provider's keys are used before they are read again, in seconds.
const KEYS_FRESH_SECONDS: i64 = 3600;
/// Minimum time between look-ups of an unknown key, in seconds: a forged token must not make us ask the
/// provider each time.
const KEYS_RETRY_SECONDS: i64 = 60;
/// Longest identity token that is read, in bytes.
const MAX_BYTES: usize = 16 * 1024;

/// The reason why an identity token is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum IdTokenError {
    /// The provider's keys could not be read.
    #[error("the sign-in server's keys cannot be read")]
    Keys(#[source] Option<OutboundError>),
    /// The token is missing, malformed, forged, or not meant for this request. Says which check
    /// failed, and nothing of the token.
    #[error("the identity token is refused: {0}")]
    Refused(&'static str),
}

/// The verified claims of an identity token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The user: `sub`.
    pub subject: String,
    /// Entra: the user's id in the tenant.
    pub object_id: Option<String>,
    /// Entra: the tenant.
    pub tenant: Option<String>,
    /// The name that the user signs in with.
    pub username: Option<String>,
    /// The user's e-mail address, if the provider states that it is verified.
    pub email: Option<String>,
}

#[derive(Deserialize)]
struct Raw {
    iss: String,
    sub: String,
    aud: Audience,
    #[serde(default)]
    azp: Option<String>,
    exp: i64,
    #[serde(default)]
    iat: Option<i64>,
    #[serde(default)]
    nbf: Option<i64>,
    #[serde(default)]
    nonce: Option<String>,
    #[serde(default)]
    oid: Option<String>,
    #[serde(default)]
    tid: Option<String>,
    #[serde(default)]
    preferred_username: Option<String>,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    email_verified: Option<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// The expected issuer, recipient and request of a token.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The provider of the sign-in.
    pub provider: Provider,
    /// The sign-in server that was asked.
    pub auth_url: &'a Url,
    /// Our client there.
    pub client_id: &'a str,
    /// The nonce of the request.
    pub nonce: &'a str,
}

struct KeySet {
    keys: JwkSet,
    /// The issuer that each key signs for, if the provider states it.
    issuers: HashMap<String, String>,
    read_at: Millis,
}

/// Checks identity tokens; caches the providers' keys.
#[derive(Default)]
pub struct IdTokens {
    sets: Mutex<HashMap<Url, KeySet>>,
}

impl IdTokens {
    /// Verifies a token's signature, issuer, audience, nonce and times, and returns its claims.
    ///
    /// # Errors
    /// Returns [`IdTokenError`]; then no part of the token can be trusted.
    pub async fn verify(
        &self,
        outbound: &Outbound,
        token: Option<&str>,
        expected: Expected<'_>,
        now: Millis,
    ) -> Result<Claims, IdTokenError> {
        let token = token
            .filter(|token| token.len() <= MAX_BYTES)
            .ok_or(IdTokenError::Refused("missing or too long"))?;
        let header = jsonwebtoken::decode_header(token)
            .map_err(|_| IdTokenError::Refused("malformed header"))?;
        // Both providers sign with RS256; anything else, `none` and HMAC above all, is a forgery.
        if header.alg != Algorithm::RS256 {
            return Err(IdTokenError::Refused("algorithm"));
        }
        let kid = header.kid.ok_or(IdTokenError::Refused("no key id"))?;
        let server = key_server(token, expected);
        let (key, key_issuer) = self
            .key(outbound, expected.provider, &server, &kid, now)
            .await?;
        let mut validation = Validation::new(Algorithm::RS256);
        // The claims are checked below, by the injected clock.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let raw = jsonwebtoken::decode::<Raw>(token, &key, &validation)
            .map_err(|_| IdTokenError::Refused("signature or claims"))?
            .claims;
        if key_issuer.is_some_and(|issuer| !issues(&issuer, &raw)) {
            return Err(IdTokenError::Refused("issuer of the key"));
        }
        check(raw, expected, now)
    }

    async fn key(
        &self,
        outbound: &Outbound,
        provider: Provider,
        server: &Url,
        kid: &str,
        now: Millis,
    ) -> Result<(DecodingKey, Option<String>), IdTokenError> {
        let url = endpoint(provider, server, Endpoint::Keys).ok_or(IdTokenError::Keys(None))?;
        let mut sets = self.sets.lock().await;
        let age = sets
            .get(&url)
            .map(|set| (now.since(set.read_at), set.keys.find(kid).is_some()));
        let read = match age {
            None => true,
            Some((age, known)) => {
                age >= KEYS_FRESH_SECONDS * 1000 || (!known && age >= KEYS_RETRY_SECONDS * 1000)
            }
        };
        if read {
            let call = Call::new(sign_in_provider(provider), Method::GET, url.clone());
            let answer = outbound
                .send(call, None)
                .await
                .map_err(|error| IdTokenError::Keys(Some(error)))?;
            let success = answer.status.is_success();
            let keys = answer.json::<JwkSet>().filter(|_| success);
            let issuers = answer.json::<Issuers>();
            let (Some(keys), Some(issuers)) = (keys, issuers) else {
                return Err(IdTokenError::Keys(None));
            };
            let set = KeySet {
                keys,
                issuers: issuers.by_key(),
                read_at: now,
            };
            sets.insert(url.clone(), set);
        }
        let set = sets.get(&url);
        let key = set
            .and_then(|set| set.keys.find(kid))
            .ok_or(IdTokenError::Refused("unknown key"))?;
        let key = DecodingKey::from_jwk(key).map_err(|_| IdTokenError::Refused("unusable key"))?;
        Ok((key, set.and_then(|set| set.issuers.get(kid)).cloned()))
    }
}

/// The issuers in a set of keys. Entra's keys each name one: all tenants, as `{tenantid}` in the address, or
/// a single one; a key of one tenant proves nothing about another.
#[derive(Deserialize)]
struct Issuers {
    keys: Vec<KeyIssuer>,
}

#[derive(Deserialize)]
struct KeyIssuer {
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    issuer: Option<String>,
}

impl Issuers {
    fn by_key(self) -> HashMap<String, String> {
        let named = self.keys.into_iter();
        named
            .filter_map(|key| Some((key.kid?, key.issuer?)))
            .collect()
    }
}

/// True if a key that names this issuer may sign a token.
fn issues(key_issuer: &str, raw: &Raw) -> bool {
    let tenant = raw.tid.as_deref().unwrap_or_default();
    key_issuer.replace("{tenantid}", tenant) == raw.iss
}

/// The server whose keys verify a token: the sign-in server that was asked. For Salesforce's generic login it
/// is the My Domain that the token names as its issuer, which the login need not list itself. The issuer is
/// not verified here: it only chooses among the servers that may issue for the one that was asked.
fn key_server(token: &str, expected: Expected<'_>) -> Url {
    #[derive(Deserialize)]
    struct Issuer {
        iss: String,
    }
    let named = || {
        let payload = token.split('.').nth(1)?;
        let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
        let Issuer { iss } = serde_json::from_slice(&payload).ok()?;
        let issuer = Url::parse(&iss).ok()?;
        is_issuer(expected.provider, expected.auth_url, &iss, None).then_some(issuer)
    };
    match expected.provider {
        Provider::Salesforce => named().unwrap_or_else(|| expected.auth_url.clone()),
        _ => expected.auth_url.clone(),
    }
}

fn check(raw: Raw, expected: Expected<'_>, now: Millis) -> Result<Claims, IdTokenError> {
    let now = now.epoch_seconds();
    if !is_issuer(
        expected.provider,
        expected.auth_url,
        &raw.iss,
        raw.tid.as_deref(),
    ) {
        return Err(IdTokenError::Refused("issuer"));
    }
    let ours = match &raw.aud {
        Audience::One(audience) => audience == expected.client_id,
        // With several audiences the authorized party has to be us (Core 3.1.3.7, 4 and 5).
        Audience::Many(all) => {
            all.iter().any(|audience| audience == expected.client_id)
                && (all.len() == 1 || raw.azp.as_deref() == Some(expected.client_id))
        }
    };
    if !ours
        || raw
            .azp
            .as_deref()
            .is_some_and(|azp| azp != expected.client_id)
    {
        return Err(IdTokenError::Refused("audience"));
    }
    if !secrets_equal(raw.nonce.as_deref().unwrap_or_default(), expected.nonce) {
        return Err(IdTokenError::Refused("nonce"));
    }
    let early = |at: Option<i64>| at.is_some_and(|at| at > now + LEEWAY_SECONDS);
    if raw.exp <= now - LEEWAY_SECONDS || early(raw.iat) || early(raw.nbf) {
        return Err(IdTokenError::Refused("expiry"));
    }
    // Without an explicit statement, the address counts as unverified.
    let verified = raw
        .email_verified
        .as_ref()
        .is_some_and(|verified| matches!(verified.as_bool(), Some(true)) || verified == "true");
    Ok(Claims {
        subject: raw.sub,
        object_id: raw.oid,
        tenant: raw.tid,
        username: raw.preferred_username,
        email: raw.email.filter(|_| verified),
    })
}

/// True if `issuer` is the sign-in server that was asked. Entra's issuer names the user's tenant;
/// Salesforce's generic login may answer in the name of the organisation's My Domain.
#[must_use]
pub fn is_issuer(provider: Provider, auth_url: &Url, issuer: &str, tenant: Option<&str>) -> bool {
    let Ok(url) = Url::parse(issuer) else {
        return false;
    };
    if url.username() != "" || url.password().is_some() || url.query().is_some() {
        return false;
    }
    let same_server = url.origin() == auth_url.origin();
    match provider {
        Provider::Entra | Provider::Dataverse => {
            let mut path = url.path().trim_matches('/').split('/');
            let named = path.next().filter(|tenant| !tenant.is_empty());
            same_server
                && path.next() == Some("v2.0")
                && path.next().is_none()
                && named.is_some()
                && tenant.is_none_or(|tenant| named == Some(tenant))
        }
        Provider::Salesforce => {
            let generic =
                |host: &str| matches!(host, "login.salesforce.com" | "test.salesforce.com");
            same_server
                || (url.scheme() == "https"
                    && url.port().is_none()
                    && auth_url.host_str().is_some_and(generic)
                    && url
                        .host_str()
                        .is_some_and(|host| is_my_domain(host) || generic(host)))
        }
        Provider::LinkedIn => same_server,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUTH: &str = "https://login.microsoftonline.com";

    proptest::proptest! {
        #[test]
        fn no_text_stops_the_choice_of_keys_or_leads_it_astray(token in "\\PC{0,40}(\\.\\PC{0,60}){0,3}", issuer in "\\PC{0,60}") {
            let login: Url = "https://login.salesforce.com".parse().unwrap();
            let expected = Expected {
                provider: Provider::Salesforce,
                auth_url: &login,
                client_id: "us",
                nonce: "n",
            };
            let claims = serde_json::json!({ "iss": issuer }).to_string();
            let crafted = format!("h.{}.s", URL_SAFE_NO_PAD.encode(claims));
            for token in [token, crafted] {
                let server = key_server(&token, expected);
                let host = server.host_str().unwrap_or_default();
                assert!(server.scheme() == "https" && host.ends_with(".salesforce.com"), "{server}");
            }
        }
    }

    fn raw(change: impl FnOnce(&mut serde_json::Value)) -> Raw {
        let mut claims = serde_json::json!({
            "iss": format!("{AUTH}/t1/v2.0"), "sub": "s", "aud": "us", "exp": 1_000, "iat": 500,
            "nonce": "n", "oid": "o", "tid": "t1", "email": "a@b.example", "email_verified": true,
        });
        change(&mut claims);
        serde_json::from_value(claims).unwrap()
    }

    fn checked(change: impl FnOnce(&mut serde_json::Value)) -> Result<Claims, &'static str> {
        let auth_url = AUTH.parse().unwrap();
        let expected = Expected {
            provider: Provider::Entra,
            auth_url: &auth_url,
            client_id: "us",
            nonce: "n",
        };
        check(raw(change), expected, Millis(600_000)).map_err(|error| match error {
            IdTokenError::Refused(check) => check,
            IdTokenError::Keys(_) => "keys",
        })
    }

    #[test]
    fn a_token_is_believed_for_this_client_this_request_and_this_time_only() {
        let claims = checked(|_| {}).unwrap();
        assert_eq!(claims.object_id.as_deref(), Some("o"));
        assert_eq!(claims.email.as_deref(), Some("a@b.example"));
        let refused = |name: &'static str, value: serde_json::Value| {
            checked(move |claims| claims[name] = value).unwrap_err()
        };
        assert_eq!(refused("aud", "them".into()), "audience");
        assert_eq!(
            refused("aud", serde_json::json!(["us", "them"])),
            "audience"
        );
        assert!(checked(|c| c["aud"] = serde_json::json!(["us"])).is_ok());
        assert!(
            checked(|c| {
                c["aud"] = serde_json::json!(["us", "them"]);
                c["azp"] = "us".into();
            })
            .is_ok()
        );
        assert_eq!(refused("azp", "them".into()), "audience");
        assert_eq!(refused("nonce", "other".into()), "nonce");
        assert_eq!(refused("nonce", serde_json::Value::Null), "nonce");
        assert_eq!(refused("exp", 480.into()), "expiry");
        assert!(checked(|c| c["exp"] = 481.into()).is_ok());
        assert_eq!(refused("iat", 721.into()), "expiry");
        assert_eq!(refused("nbf", 721.into()), "expiry");
        assert_eq!(
            refused("iss", "https://evil.example/t1/v2.0".into()),
            "issuer"
        );
        assert_eq!(refused("tid", "t2".into()), "issuer");
        let unverified = checked(|c| c["email_verified"] = false.into()).unwrap();
        assert_eq!(unverified.email, None);
    }

    #[test]
    fn keys_come_from_the_server_that_was_asked_or_the_my_domain_it_answers_for() {
        let server = |provider, auth: &str, issuer: &str| {
            let auth_url = auth.parse().unwrap();
            let expected = Expected {
                provider,
                auth_url: &auth_url,
                client_id: "us",
                nonce: "n",
            };
            let payload = URL_SAFE_NO_PAD.encode(format!(r#"{{"iss":"{issuer}"}}"#));
            key_server(&format!("h.{payload}.s"), expected).to_string()
        };
        let login = "https://login.salesforce.com/";
        let own = "https://acme.my.salesforce.com/";
        assert_eq!(server(Provider::Salesforce, login, own), own);
        assert_eq!(server(Provider::Salesforce, own, own), own);
        for evil in ["https://evil.example", "https://acme.force.com", "nonsense"] {
            assert_eq!(server(Provider::Salesforce, login, evil), login);
        }
        let entra = format!("{AUTH}/");
        let evil = "https://evil.example/t/v2.0";
        assert_eq!(server(Provider::Entra, &entra, evil), entra);
    }

    #[test]
    fn a_key_signs_for_its_own_issuer() {
        let of = |issuer: &str| issues(issuer, &raw(|_| {}));
        assert!(of(&format!("{AUTH}/{{tenantid}}/v2.0")));
        assert!(of(&format!("{AUTH}/t1/v2.0")));
        assert!(!of(&format!("{AUTH}/t2/v2.0")));
        assert!(!of("https://login.microsoftonline.us/{tenantid}/v2.0"));
        let keys: Issuers = serde_json::from_str(
            r#"{"keys":[{"kid":"a","issuer":"x"},{"kid":"b"},{"issuer":"y"}]}"#,
        )
        .unwrap();
        assert_eq!(
            keys.by_key(),
            HashMap::from([("a".to_owned(), "x".to_owned())])
        );
    }

    #[test]
    fn an_address_counts_only_where_it_is_verified() {
        let login: Url = AUTH.parse().unwrap();
        let expected = Expected {
            provider: Provider::Entra,
            auth_url: &login,
            client_id: "us",
            nonce: "n",
        };
        for (verified, counts) in [
            (serde_json::Value::Null, false),
            (false.into(), false),
            ("false".into(), false),
            (1.into(), false),
            (true.into(), true),
            ("true".into(), true),
        ] {
            let raw = raw(|claims| claims["email_verified"] = verified.clone());
            let claims = check(raw, expected, Millis(600_000)).unwrap();
            assert_eq!(claims.email.is_some(), counts, "{verified}");
        }
        let without = raw(|claims| {
            claims.as_object_mut().unwrap().remove("email_verified");
        });
        let silent = check(without, expected, Millis(600_000)).unwrap();
        assert_eq!(silent.email, None);
    }

    #[test]
    fn an_issuer_is_the_server_that_was_asked() {
        let is = |provider, auth: &str, issuer: &str| {
            is_issuer(provider, &auth.parse().unwrap(), issuer, None)
        };
        assert!(is(Provider::Entra, AUTH, &format!("{AUTH}/t/v2.0")));
        for bad in [
            format!("{AUTH}/v2.0"),
            format!("{AUTH}/t/v2.0/x"),
            format!("{AUTH}/t/v1.0"),
            "https://login.microsoftonline.us/t/v2.0".to_owned(),
            "t".to_owned(),
        ] {
            assert!(!is(Provider::Entra, AUTH, &bad), "{bad}");
        }
        let login = "https://login.salesforce.com";
        let own = "https://acme.my.salesforce.com";
        assert!(is(Provider::Salesforce, login, login));
        assert!(is(Provider::Salesforce, login, own));
        assert!(is(Provider::Salesforce, own, own));
        assert!(!is(Provider::Salesforce, own, login));
        assert!(!is(
            Provider::Salesforce,
            own,
            "https://other.my.salesforce.com"
        ));
        assert!(!is(
            Provider::Salesforce,
            login,
            "https://acme.my.salesforce.com.evil.example"
        ));
        assert!(!is(
            Provider::Salesforce,
            login,
            "http://acme.my.salesforce.com"
        ));
        assert!(!is(
            Provider::Salesforce,
            login,
            "https://acme.my.salesforce.com:444"
        ));
    }
}
