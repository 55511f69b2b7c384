//! The one door for calls to the outside: CRMs, LinkedIn, sign-in servers.
//!
//! Every URL is checked here before a byte or a token is sent: https, and on a domain of the
//! provider that it is meant for (SSRF through `instance_url`, organisation URLs and next links).
//! Redirects are not followed. Answers are read whole, up to a limit, or chunk by chunk.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use url::{Host, Origin, Url};

use domain::hosts;

pub use domain::provider::Provider;

/// Time for a whole call, in seconds: well inside a function's time-out.
const TIMEOUT_SECONDS: u64 = 20;
/// Time for a whole call whose answer is read chunk by chunk, in seconds.
const STREAM_TIMEOUT_SECONDS: u64 = 100;
/// Time for the next chunk of an answer, in seconds.
const CHUNK_TIMEOUT_SECONDS: u64 = 20;
/// Time to connect, in seconds.
const CONNECT_TIMEOUT_SECONDS: u64 = 5;
/// Largest answer that is read, in bytes. Metadata is the largest.
const MAX_ANSWER_BYTES: usize = 32 * 1024 * 1024;
/// Largest refusal that is read, in bytes.
const MAX_REFUSAL_BYTES: usize = 1024 * 1024;

/// The providers' fixed addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    /// LinkedIn's API.
    pub linkedin_api: Url,
    /// LinkedIn's sign-in.
    pub linkedin_auth: Url,
    /// Microsoft's sign-in.
    pub entra: Url,
}

/// Origins that may be called beside the providers' own domains: from configuration only.
#[derive(Debug, Clone, Default)]
pub struct AllowList(Vec<Origin>);

impl AllowList {
    /// Creates a list of exactly these origins (scheme, host and port).
    #[must_use]
    pub fn new(origins: Vec<Origin>) -> Self {
        Self(origins)
    }

    /// True if the configuration names the origin of `url`.
    #[must_use]
    pub fn lists(&self, url: &Url) -> bool {
        self.0.contains(&url.origin())
    }

    /// Checks that a call to `url` for `provider` may be made.
    ///
    /// # Errors
    /// Returns [`OutboundError::Forbidden`] if it may not.
    pub fn check(&self, provider: Provider, url: &Url) -> Result<(), OutboundError> {
        let listed = self.lists(url);
        let owned = url.scheme() == "https"
            && url.port().is_none()
            && matches!(url.host(), Some(Host::Domain(host)) if hosts::is_of(provider, &host.to_ascii_lowercase()));
        let plain = url.username().is_empty() && url.password().is_none();
        if plain && (listed || owned) {
            Ok(())
        } else {
            Err(OutboundError::Forbidden(provider))
        }
    }
}

/// The reason why there is no answer. Carries no URL, header or body.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// The address is not one of the provider's.
    #[error("the address is not on {}'s domains", .0.as_str())]
    Forbidden(Provider),
    /// Nothing was sent: the call had no effect.
    #[error("could not connect")]
    NotSent(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The answer did not arrive: the call may have taken effect.
    #[error("no answer arrived")]
    Unknown(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A call to make.
#[derive(Clone)]
pub struct Call {
    /// The provider that it is addressed to.
    pub provider: Provider,
    /// HTTP method.
    pub method: Method,
    /// Absolute URL.
    pub url: Url,
    /// Headers beside authorization.
    pub headers: Vec<(HeaderName, String)>,
    /// Body.
    pub body: Option<Bytes>,
}

impl Call {
    /// A call without a body.
    #[must_use]
    pub fn new(provider: Provider, method: Method, url: Url) -> Self {
        Self {
            provider,
            method,
            url,
            headers: Vec::new(),
            body: None,
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Sets a JSON body.
    #[must_use]
    pub fn json(self, body: &serde_json::Value) -> Self {
        let mut call = self.header(header::CONTENT_TYPE, "application/json; charset=utf-8");
        call.body = Some(Bytes::from(body.to_string()));
        call
    }

    /// Sets a urlencoded body.
    #[must_use]
    pub fn form(self, pairs: &[(&str, &str)]) -> Self {
        let mut call = self.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .finish();
        call.body = Some(Bytes::from(body));
        call
    }
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

impl Answer {
    /// A header as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        header_text(&self.headers, name)
    }

    /// The body as JSON.
    #[must_use]
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }

    /// `Retry-After` in seconds, capped at a day. The date form counts as absent.
    #[must_use]
    pub fn retry_after_seconds(&self) -> Option<i64> {
        self.header("retry-after")?
            .trim()
            .parse::<f64>()
            .ok()
            .filter(|s| s.is_finite() && *s >= 0.0)
            .map(|seconds| {
                #[expect(clippy::cast_possible_truncation, reason = "cut to a day")]
                let whole = seconds.ceil().min(86_400.0) as i64;
                whole
            })
    }
}

/// The time limit of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// An answer that is needed soon: 20 seconds in all.
    Short,
    /// A large answer, or one that takes the remote time to prepare: 100 seconds in all, 20 for each chunk.
    Long,
}

impl Pace {
    const fn whole(self) -> Duration {
        Duration::from_secs(match self {
            Self::Short => TIMEOUT_SECONDS,
            Self::Long => STREAM_TIMEOUT_SECONDS,
        })
    }
}

/// An answer whose body has not been read yet.
pub enum Reply {
    /// 2xx: its body chunk by chunk.
    Body(Streamed),
    /// Any other status, read whole (1 MB at most).
    Refused(Answer),
}

/// A body that is being read.
pub struct Streamed {
    /// HTTP status: 2xx.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    chunks: BoxStream<'static, reqwest::Result<Bytes>>,
    hook: Option<Arc<dyn CallHook>>,
    meter: Option<Arc<dyn Meter>>,
    ended: bool,
}

impl Streamed {
    /// A header as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        header_text(&self.headers, name)
    }

    /// Reads the next chunk; returns `None` at the end of the body.
    ///
    /// # Errors
    /// Returns [`OutboundError::Unknown`] if the body ends early or takes too long.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, OutboundError> {
        if self.ended {
            return Ok(None);
        }
        let limit = Duration::from_secs(CHUNK_TIMEOUT_SECONDS);
        let next = tokio::time::timeout(limit, self.chunks.next())
            .await
            .map_err(|_| OutboundError::Unknown("the answer stopped coming".into()))?;
        let Some(chunk) = next else {
            self.ended = true;
            if self.hook.as_ref().is_some_and(|hook| !hook.after()) {
                return Err(OutboundError::Unknown("stopped after the call".into()));
            }
            return Ok(None);
        };
        // `without_url` keeps queries, which hold names and addresses, out of every log.
        let chunk = chunk.map_err(|error| OutboundError::Unknown(Box::new(error.without_url())))?;
        if let Some(meter) = &self.meter {
            meter.received(chunk.len());
        }
        Ok(Some(chunk))
    }

    /// Reads the whole body.
    ///
    /// # Errors
    /// Returns [`OutboundError::Unknown`], also if the body is larger than `limit` bytes.
    pub async fn collect(mut self, limit: usize) -> Result<Answer, OutboundError> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if body.len() + chunk.len() > limit {
                return Err(OutboundError::Unknown("the answer is too large".into()));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status: self.status,
            headers: self.headers,
            body: body.into(),
        })
    }
}

impl Reply {
    /// Reads the whole body, 32 MB at most.
    ///
    /// # Errors
    /// Returns the errors of [`Streamed::collect`].
    pub async fn collect(self) -> Result<Answer, OutboundError> {
        match self {
            Self::Body(body) => body.collect(MAX_ANSWER_BYTES).await,
            Self::Refused(answer) => Ok(answer),
        }
    }

    /// HTTP status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Body(body) => body.status,
            Self::Refused(answer) => answer.status,
        }
    }
}

fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Counts the calls of a connection and their answers.
pub trait Meter: Send + Sync {
    /// Called when a call is made.
    fn called(&self);
    /// Called when an answer begins.
    fn answered(&self, headers: &HeaderMap);
    /// Called when so many bytes of a body have arrived.
    fn received(&self, bytes: usize);
}

/// Watches outbound calls: tests count them, and stop a flow at its n-th call.
pub trait CallHook: Send + Sync {
    /// Called before a call is sent; `false` stops the call.
    fn before(&self) -> bool;
    /// Called after the answer was read to its end; `false` discards it.
    fn after(&self) -> bool;
}

/// The outbound HTTP client.
#[derive(Clone)]
pub struct Outbound {
    client: Arc<OnceLock<reqwest::Client>>,
    allow: AllowList,
    hook: Option<Arc<dyn CallHook>>,
}

impl Outbound {
    /// Creates the client of a process. The HTTP client is made at the first call: reading the machine's
    /// trust roots takes as long as all the rest of a function's start, and most functions seldom call out.
    #[must_use]
    pub fn new(allow: AllowList) -> Self {
        Self {
            client: Arc::default(),
            allow,
            hook: None,
        }
    }

    /// The settings that every outbound client shares: limits, no redirects, our name.
    pub fn builder() -> reqwest::ClientBuilder {
        reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(CONNECT_TIMEOUT_SECONDS))
            .timeout(Duration::from_secs(TIMEOUT_SECONDS))
            .user_agent(concat!("Leadbridge/", env!("CARGO_PKG_VERSION")))
    }

    /// Creates it with an existing client (one that trusts a private certificate authority).
    #[must_use]
    pub fn with_client(client: reqwest::Client, allow: AllowList) -> Self {
        Self {
            client: Arc::new(OnceLock::from(client)),
            allow,
            hook: None,
        }
    }

    /// Adds a hook around every call.
    #[must_use]
    pub fn with_hook(mut self, hook: Arc<dyn CallHook>) -> Self {
        self.hook = Some(hook);
        self
    }

    /// The origins that may be called.
    #[must_use]
    pub fn allow_list(&self) -> &AllowList {
        &self.allow
    }

    /// Makes a call, with a bearer token if one is given, and reads the whole answer.
    pub async fn send(&self, call: Call, bearer: Option<&str>) -> Result<Answer, OutboundError> {
        let reply = self.stream(call, bearer, Pace::Short, None).await?;
        reply.collect().await
    }

    /// Makes a call, with a bearer token if one is given. The caller reads the body.
    pub async fn stream(
        &self,
        call: Call,
        bearer: Option<&str>,
        pace: Pace,
        meter: Option<Arc<dyn Meter>>,
    ) -> Result<Reply, OutboundError> {
        self.allow.check(call.provider, &call.url)?;
        if self.hook.as_ref().is_some_and(|hook| !hook.before()) {
            return Err(OutboundError::NotSent("stopped before the call".into()));
        }
        let client = if let Some(client) = self.client.get() {
            client
        } else {
            let made = Self::builder()
                .build()
                .map_err(|error| OutboundError::NotSent(Box::new(error)))?;
            self.client.get_or_init(|| made)
        };
        let mut request = client.request(call.method, call.url).timeout(pace.whole());
        for (name, value) in call.headers {
            request = request.header(name, value);
        }
        if let Some(bearer) = bearer {
            let mut value = HeaderValue::try_from(format!("Bearer {bearer}"))
                .map_err(|error| OutboundError::NotSent(Box::new(error)))?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        if let Some(body) = call.body {
            request = request.body(body);
        }
        if let Some(meter) = &meter {
            meter.called();
        }
        let answer = request.send().await.map_err(|error| {
            let not_sent = error.is_connect() || error.is_builder();
            let error = Box::new(error.without_url());
            if not_sent {
                OutboundError::NotSent(error)
            } else {
                OutboundError::Unknown(error)
            }
        })?;
        if let Some(meter) = &meter {
            meter.answered(answer.headers());
        }
        let streamed = Streamed {
            status: answer.status(),
            headers: answer.headers().clone(),
            chunks: answer.bytes_stream().boxed(),
            hook: self.hook.clone(),
            meter,
            ended: false,
        };
        if streamed.status.is_success() {
            Ok(Reply::Body(streamed))
        } else {
            Ok(Reply::Refused(streamed.collect(MAX_REFUSAL_BYTES).await?))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AllowList, Provider};

    #[test]
    fn only_the_providers_own_https_addresses_are_called() {
        let allow = AllowList::default();
        let check = |provider, url: &str| allow.check(provider, &url.parse().unwrap()).is_ok();
        assert!(check(
            Provider::Salesforce,
            "https://acme.my.salesforce.com/services"
        ));
        assert!(check(
            Provider::Dataverse,
            "https://acme.api.crm4.dynamics.com/api"
        ));
        assert!(check(Provider::LinkedIn, "https://api.linkedin.com/rest"));
        for bad in [
            "http://acme.my.salesforce.com/",
            "https://acme.my.salesforce.com.evil.example/",
            "https://evilsalesforce.com/",
            "https://user@acme.my.salesforce.com/",
            "https://acme.my.salesforce.com:8443/",
            "https://169.254.169.254/latest/meta-data",
            "https://[::1]/",
            "https://localhost/",
        ] {
            assert!(!check(Provider::Salesforce, bad), "{bad}");
        }
        assert!(!check(
            Provider::Dataverse,
            "https://acme.my.salesforce.com/"
        ));
        assert!(!check(Provider::Dataverse, "https://www.dynamics.com/"));
        let local = AllowList::new(vec![
            "http://127.0.0.1:8001"
                .parse::<url::Url>()
                .unwrap()
                .origin(),
        ]);
        assert!(
            local
                .check(
                    Provider::Salesforce,
                    &"http://127.0.0.1:8001/x".parse().unwrap()
                )
                .is_ok()
        );
        assert!(
            local
                .check(
                    Provider::Salesforce,
                    &"http://127.0.0.1:8002/x".parse().unwrap()
                )
                .is_err()
        );
    }
}
