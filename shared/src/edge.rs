//! The edge of every HTTP function, as one layer around its routes: the security headers of every
//! answer, and a trace of every refusal.
//!
//! A refusal writes one line, which is the log entry and, in CloudWatch's embedded metric format, the metric
//! too: the reason (a problem's code), the function, the route as it is written in the code, the contract and
//! form that the request names, and its source. It contains nothing of the request's body, query, tokens or
//! cookies. The contract and form are only the request's *claim*: a refused request proves nothing.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::json;
use zeroize::Zeroizing;

use crate::clock::{Clock, Millis, SystemClock};
use crate::config::{ConfigError, Source};
use crate::domain::ids::{ApiToken, ContractId, FormKey};
use crate::problem::{Code, Problem};
use crate::random::{Random as _, SystemRandom};
use crate::signature::{hmac_sha256, secrets_equal};
use crate::telemetry;
use crate::web_session::cookie_of;

/// Header by which a distribution in front of the API proves itself, if one is set up.
pub const ENTRANCE_HEADER: &str = "x-leadbridge-entrance";
/// Header to which every proxy on the way appends the address that it received the request from.
const FORWARDED_HEADER: &str = "x-forwarded-for";

/// Default content security policy of answers: nothing may be loaded, and no page may frame them.
const NOTHING: &str =
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Headers of every answer. Headers that an answer sets itself are kept: pages load their own files.
const HEADERS: [(HeaderName, &str); 5] = [
    // A year, subdomains of the service's own address included. Browsers heed it over https only.
    (
        header::STRICT_TRANSPORT_SECURITY,
        "max-age=31536000; includeSubDomains",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CONTENT_SECURITY_POLICY, NOTHING),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
];

/// The source address of a request, as its receiver got it from the network. Headers are not trusted for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SourceAddress(pub IpAddr);

impl SourceAddress {
    /// The network of one subscriber: an IPv4 address itself, and the first 64 bits of an IPv6 address.
    #[must_use]
    pub fn network(self) -> IpAddr {
        match self.0 {
            IpAddr::V4(_) => self.0,
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                IpAddr::V6([a, b, c, d, 0, 0, 0, 0].into())
            }
        }
    }
}

/// The id of a request in the access log.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// Attaches the receiver's data about a request: its source address and its id.
pub fn received(request: &mut Request, source: Option<&str>, id: Option<&str>) {
    if let Some(address) = source.and_then(|source| source.parse().ok()) {
        request.extensions_mut().insert(SourceAddress(address));
    }
    if let Some(id) = id {
        request.extensions_mut().insert(RequestId(id.to_owned()));
    }
}

/// The form of source addresses in the log.
pub enum SourceAddresses {
    /// The address itself.
    Kept,
    /// A keyed hash that changes every day: it distinguishes sources within a day. With the log and the key,
    /// all addresses can be tried; the log alone reveals none.
    Hashed(Zeroizing<String>),
}

impl FromStr for SourceAddresses {
    type Err = &'static str;

    /// Parses `kept`, or `hashed:` and the key.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "kept" => Ok(Self::Kept),
            Some(("hashed", key)) if !key.trim().is_empty() => {
                Ok(Self::Hashed(Zeroizing::new(key.to_owned())))
            }
            _ => Err("is neither `kept` nor `hashed:<key>`"),
        }
    }
}

impl SourceAddresses {
    /// An address as the log shows it on that day.
    #[must_use]
    pub fn shown(&self, address: IpAddr, now: Millis) -> String {
        match self {
            Self::Kept => address.to_string(),
            Self::Hashed(key) => {
                let day = now.0.div_euclid(24 * 3600 * 1000).to_string();
                let text = address.to_string();
                let hash = hmac_sha256(
                    key.as_bytes(),
                    &[day.as_bytes(), b"|".as_slice(), text.as_bytes()],
                );
                hex::encode(hash).get(..16).unwrap_or_default().to_owned()
            }
        }
    }
}

/// The settings of one function's layer.
pub struct Edge {
    function: &'static str,
    addresses: SourceAddresses,
    entrance: Option<Zeroizing<String>>,
    clock: Arc<dyn Clock>,
}

impl Edge {
    /// Creates the layer of a function without settings: addresses are hashed with a key of this process
    /// alone, and requests may come by any way.
    #[must_use]
    pub fn new(function: &'static str) -> Self {
        Self {
            function,
            addresses: SourceAddresses::Hashed(Zeroizing::new(SystemRandom.secret(32))),
            entrance: None,
            clock: Arc::new(SystemClock),
        }
    }

    /// Creates the layer of a function from the environment: `LEADBRIDGE_SOURCE_ADDRESSES`, `kept` or
    /// `hashed:<key>`, and `LEADBRIDGE_ENTRANCE`, the secret of a distribution that is the only way in. Each
    /// may be unset.
    ///
    /// # Errors
    /// Returns an error that names the malformed variable.
    /// Names the variable that is malformed.
    pub fn from_source(function: &'static str, source: &Source) -> Result<Self, ConfigError> {
        let mut edge = Self::new(function);
        if source.optional("LEADBRIDGE_SOURCE_ADDRESSES").is_some() {
            edge.addresses = source.parsed("LEADBRIDGE_SOURCE_ADDRESSES")?;
        }
        edge.entrance = source.optional("LEADBRIDGE_ENTRANCE").map(Zeroizing::new);
        Ok(edge)
    }

    /// The source of a request: the receiver's address for it, or, if only a distribution in front lets
    /// requests in, the viewer that the distribution names. The distribution appends its viewer to the
    /// header, and the receiver appends the distribution; text from the client comes before both.
    fn source(&self, request: &Request) -> Option<SourceAddress> {
        let received = request.extensions().get::<SourceAddress>().copied();
        if self.entrance.is_none() {
            return received;
        }
        let viewer = text(request.headers(), FORWARDED_HEADER).and_then(|named| {
            named
                .rsplit(',')
                .map_while(|part| part.trim().parse().ok().map(SourceAddress))
                .find(|address| Some(*address) != received)
        });
        viewer.or(received)
    }

    /// True if a request came through the configured entrance, or none is configured.
    fn lets_in(&self, headers: &HeaderMap) -> bool {
        self.entrance.as_ref().is_none_or(|secret| {
            text(headers, ENTRANCE_HEADER).is_some_and(|given| secrets_equal(given, secret))
        })
    }

    fn trace(&self, seen: &Seen, status: StatusCode, reason: &str) {
        let now = self.clock.now();
        let source = seen
            .source
            .map(|source| self.addresses.shown(source.0, now));
        let (metric, level, message) = if status.is_server_error() {
            ("Failed", "ERROR", "request failed")
        } else {
            ("Refused", "WARN", "request refused")
        };
        telemetry::count(
            now,
            metric,
            1,
            &[("function", self.function), ("reason", reason)],
            json!({
                "level": level,
                "message": message,
                "status": status.as_u16(),
                "method": seen.method,
                "route": seen.route,
                "contract": seen.contract,
                "form": seen.form,
                "source": source,
                "requestId": seen.id,
            }),
        );
    }
}

/// Puts the layer around routes. Apply it outside everything, fallbacks included.
pub fn guarded(routes: Router, edge: Arc<Edge>) -> Router {
    routes.layer(axum::middleware::from_fn_with_state(edge, pass))
}

async fn pass(State(edge): State<Arc<Edge>>, mut request: Request, next: Next) -> Response {
    let seen = Seen::of(&request, edge.source(&request));
    if let Some(source) = seen.source {
        request.extensions_mut().insert(source);
    }
    let response = if edge.lets_in(request.headers()) {
        next.run(request).await
    } else {
        not_the_entrance().into_response()
    };
    let mut response = in_one_shape(response);
    guard(response.headers_mut());
    let status = response.status();
    let reason = match response.extensions().get::<Code>() {
        Some(Code(code)) => Some(reason(code)),
        None if status.is_client_error() || status.is_server_error() => Some(of_status(status)),
        None => None,
    };
    if let Some(reason) = reason {
        edge.trace(&seen, status, &reason);
    }
    response
}

fn not_the_entrance() -> Problem {
    Problem::new(
        403,
        "wrong_entrance",
        "This address is not reached directly.",
        "Use the service's public address.",
    )
}

/// Converts a refusal by the framework itself (for example of a path that is no text) to the shape of all
/// others. An answer that is not plain text keeps its shape: it is a page for people.
fn in_one_shape(response: Response) -> Response {
    let status = response.status();
    let refused = status.is_client_error() || status.is_server_error();
    let plain = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_none_or(|kind| kind.as_bytes().starts_with(b"text/plain"));
    if !refused || !plain || response.extensions().get::<Code>().is_some() {
        return response;
    }
    match status {
        StatusCode::NOT_FOUND => Problem::not_found("address"),
        status if status.is_server_error() => Problem::internal(),
        status => Problem::new(
            status.as_u16(),
            &of_status(status),
            "The request cannot be read.",
            "Check its address, headers and body.",
        ),
    }
    .into_response()
}

/// A code that may become part of a metric's name: ours are words in `snake_case`.
fn reason(code: &str) -> String {
    let ours = (1..=64).contains(&code.len())
        && code
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if ours { code } else { "other" }.to_owned()
}

fn of_status(status: StatusCode) -> String {
    let words = status.canonical_reason().unwrap_or("refused");
    words.to_lowercase().replace([' ', '-', '\''], "_")
}

fn guard(headers: &mut HeaderMap) {
    for (name, value) in HEADERS {
        headers
            .entry(name)
            .or_insert_with(|| HeaderValue::from_static(value));
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The parts of a request that the trace of its refusal needs.
struct Seen {
    method: &'static str,
    route: String,
    contract: Option<ContractId>,
    form: Option<String>,
    source: Option<SourceAddress>,
    id: Option<String>,
}

impl Seen {
    fn of(request: &Request, source: Option<SourceAddress>) -> Self {
        let route = request.extensions().get::<MatchedPath>();
        let form = named_form(request.uri().path());
        let contract = form
            .as_ref()
            .map(|key| key.contract.clone())
            .or_else(|| named_contract(request));
        Self {
            method: method(request.method()),
            route: route.map_or_else(|| "none".to_owned(), |route| route.as_str().to_owned()),
            contract,
            form: form.map(|key| key.form.to_string()),
            source,
            id: request.extensions().get().map(|RequestId(id)| id.clone()),
        }
    }
}

/// A method's name, if it is a known one: a client may send any word.
fn method(method: &http::Method) -> &'static str {
    [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT",
    ]
    .into_iter()
    .find(|known| *known == method.as_str())
    .unwrap_or("other")
}

fn named_form(path: &str) -> Option<FormKey> {
    path.strip_prefix("/forms/")
        .or_else(|| path.strip_prefix("/webhooks/google-ads/"))?
        .parse()
        .ok()
}

/// The contract that a request names: in its path, its token, its session, its query or its state.
fn named_contract(request: &Request) -> Option<ContractId> {
    let path = request.uri().path();
    if let Some(name) = path.strip_prefix("/webhooks/linkedin/") {
        return name.parse().ok();
    }
    let headers = request.headers();
    if let Some(value) = text(headers, "authorization") {
        let (_, token) = value.split_once(' ')?;
        let token: ApiToken = token.trim().parse().ok()?;
        return Some(token.contract);
    }
    let of_query = request.uri().query().and_then(|query| {
        form_urlencoded::parse(query.as_bytes()).find_map(|(name, value)| match &*name {
            "contract" => value.parse().ok(),
            // The rest of a state is a secret.
            "state" => value.split('.').next()?.parse().ok(),
            _ => None,
        })
    });
    of_query.or_else(|| cookie_of(headers)?.split('.').nth(1)?.parse().ok())
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use axum::body::Body;
    use axum::extract::Request;

    use super::{Edge, SourceAddress, SourceAddresses, of_status, reason, received};
    use crate::clock::Millis;
    use crate::config::Source;

    #[test]
    fn a_viewer_is_believed_of_the_distribution_alone() {
        let edge = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter();
            let variables = pairs.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            Edge::from_source("console", &Source::fixed(variables.collect())).unwrap()
        };
        let request = |headers: &[(&str, &str)]| {
            let mut request = Request::builder();
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let mut request = request.body(Body::empty()).unwrap();
            received(&mut request, Some("198.51.100.1"), None);
            request
        };
        let address = |text: &str| Some(SourceAddress(text.parse().unwrap()));
        let direct = edge(&[]);
        let forged = request(&[("x-forwarded-for", "192.0.2.9")]);
        assert_eq!(direct.source(&forged), address("198.51.100.1"));
        assert!(direct.lets_in(forged.headers()));

        let behind = edge(&[("LEADBRIDGE_ENTRANCE", "the long secret of the distribution")]);
        for (forwarded, source) in [
            ("203.0.113.7, 198.51.100.1", "203.0.113.7"),
            ("192.0.2.9, 203.0.113.7, 198.51.100.1", "203.0.113.7"),
            ("192.0.2.9, 203.0.113.7", "203.0.113.7"),
            ("nonsense, 198.51.100.1", "198.51.100.1"),
        ] {
            let through = request(&[
                (
                    "x-leadbridge-entrance",
                    "the long secret of the distribution",
                ),
                ("x-forwarded-for", forwarded),
            ]);
            assert!(behind.lets_in(through.headers()));
            assert_eq!(behind.source(&through), address(source), "{forwarded}");
        }
        for headers in [vec![], vec![("x-leadbridge-entrance", "another")]] {
            assert!(!behind.lets_in(request(&headers).headers()));
        }
    }

    #[test]
    fn an_address_is_kept_or_hashed_by_the_day() {
        let address: IpAddr = "203.0.113.7".parse().unwrap();
        let kept: SourceAddresses = "kept".parse().unwrap();
        assert_eq!(kept.shown(address, Millis(0)), "203.0.113.7");
        let hashed: SourceAddresses = "hashed:arn:aws:key".parse().unwrap();
        let today = hashed.shown(address, Millis(0));
        assert_eq!(today.len(), 16);
        assert!(today.bytes().all(|b| b.is_ascii_hexdigit()));
        assert_eq!(today, hashed.shown(address, Millis(86_399_999)));
        assert_ne!(today, hashed.shown(address, Millis(86_400_000)));
        let other: SourceAddresses = "hashed:other".parse().unwrap();
        assert_ne!(today, other.shown(address, Millis(0)));
        for bad in ["", "hashed", "hashed:", "hashed: ", "none", "Kept"] {
            assert!(bad.parse::<SourceAddresses>().is_err(), "{bad}");
        }
    }

    #[test]
    fn one_subscriber_is_one_source() {
        let network = |text: &str| SourceAddress(text.parse().unwrap()).network();
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:2:ffff::9"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_ne!(network("203.0.113.7"), network("203.0.113.8"));
    }

    #[test]
    fn a_reason_is_a_word_of_ours() {
        assert_eq!(reason("invalid_signature"), "invalid_signature");
        for other in ["No Such\nCode", "", "x".repeat(65).as_str(), "ü"] {
            assert_eq!(reason(other), "other", "{other}");
        }
        assert_eq!(of_status(http::StatusCode::NOT_FOUND), "not_found");
        assert_eq!(of_status(http::StatusCode::IM_A_TEAPOT), "i_m_a_teapot");
    }
}
