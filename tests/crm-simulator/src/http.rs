//! Calls once they are read, and the systems' answers: no sockets in here.

use base64::Engine as _;
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Map, Value};

/// One record or JSON object.
pub(crate) type Row = Map<String, Value>;

/// Access to JSON values that may be missing.
pub(crate) trait At {
    /// The member of this name; null when there is none.
    fn at(&self, name: &str) -> &Value;
}

impl At for Value {
    fn at(&self, name: &str) -> &Value {
        self.get(name).unwrap_or(&Value::Null)
    }
}

/// A request, read whole.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// Upper-case method.
    pub(crate) method: String,
    /// Path as sent, percent-encoded, without the query.
    pub(crate) path: String,
    /// Query as sent, without the question mark.
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Scheme and authority as the caller used them, no trailing slash.
    pub(crate) base: String,
}

impl Call {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(crate) fn params(&self) -> Vec<(String, String)> {
        pairs(self.query.as_bytes())
    }

    pub(crate) fn param(&self, name: &str) -> Option<String> {
        self.params()
            .into_iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    }

    /// The body read as a form.
    pub(crate) fn form(&self) -> Form {
        Form(pairs(&self.body))
    }

    pub(crate) fn bearer(&self) -> Option<&str> {
        let value = self.header("authorization")?;
        let (scheme, token) = value.split_once(' ')?;
        let known = scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("oauth");
        known.then(|| token.trim())
    }

    /// Path segments, decoded, empty ones left out.
    pub(crate) fn segments(&self) -> Vec<String> {
        segments(&self.path)
    }

    /// Client credentials from the form or from basic authentication.
    pub(crate) fn client(&self, form: &Form) -> (String, Option<String>) {
        if let Some(id) = form.get("client_id") {
            return (id.to_owned(), form.get("client_secret").map(str::to_owned));
        }
        let basic = self
            .header("authorization")
            .and_then(|value| value.strip_prefix("Basic "))
            .and_then(|value| base64::engine::general_purpose::STANDARD.decode(value).ok())
            .and_then(|bytes| String::from_utf8(bytes).ok());
        match basic.as_deref().and_then(|pair| pair.split_once(':')) {
            Some((id, secret)) => (decode(id), Some(decode(secret))),
            None => (String::new(), None),
        }
    }
}

/// Form fields in order.
#[derive(Debug, Default)]
pub(crate) struct Form(pub(crate) Vec<(String, String)>);

impl Form {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Splits `a=b&c=d`, decoded; `+` is a blank.
pub(crate) fn pairs(text: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(text).into_owned().collect()
}

/// Percent-decodes one path segment.
pub(crate) fn decode(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8_lossy()
        .into_owned()
}

/// Percent-encodes a query value.
pub(crate) fn encode(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Splits a path into decoded segments.
pub(crate) fn segments(path: &str) -> Vec<String> {
    path.split('/')
        .filter(|part| !part.is_empty())
        .map(decode)
        .collect()
}

/// The page on which a person chooses an account: for browsers, where the app asks for a new login and gives
/// no user name. Each link is the same address with a `login_hint`.
pub(crate) fn account_page(
    call: &Call,
    users: impl Iterator<Item = (String, String)>,
) -> Option<Reply> {
    let params = Form(call.params());
    let asked = matches!(params.get("prompt"), Some("login" | "select_account"));
    let hinted = params
        .get("login_hint")
        .is_some_and(|hint| !hint.is_empty());
    let accept = call.header("accept").unwrap_or_default();
    if call.method != "GET" || !asked || hinted || !accept.contains("text/html") {
        return None;
    }
    let escaped = |text: &str| {
        text.replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('"', "&quot;")
    };
    let links: String = users
        .map(|(username, name)| {
            let hint = encode(&username);
            let address = format!("{}?{}&login_hint={hint}", call.path, call.query);
            let (address, name, username) = (escaped(&address), escaped(&name), escaped(&username));
            format!("<li><a href=\"{address}\">{name} ({username})</a></li>")
        })
        .collect::<Vec<_>>()
        .concat();
    Some(Reply::text(
        200,
        "text/html;charset=UTF-8",
        format!(
            "<!DOCTYPE html><html lang=\"en\"><head><title>Choose an account</title></head>\
             <body><h1>Choose an account</h1><ul>{links}</ul></body></html>"
        ),
    ))
}

/// A system's answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
    /// The effects of a bundled call, one line for each part: for the ledger.
    pub(crate) parts: Vec<String>,
}

impl Reply {
    pub(crate) fn empty(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Bytes::new(),
            parts: Vec::new(),
        }
    }

    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::empty(status)
            .with("content-type", "application/json;charset=UTF-8")
            .body(body.to_string())
    }

    pub(crate) fn text(status: u16, kind: &str, body: impl Into<String>) -> Self {
        Self::empty(status)
            .with("content-type", kind)
            .body(body.into())
    }

    pub(crate) fn redirect(location: &str) -> Self {
        Self::empty(302).with("location", location)
    }

    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets a header, replacing one of the same name.
    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers
            .retain(|(key, _)| !key.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The body as JSON; null when it is none.
    pub(crate) fn value(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub(crate) fn is_success(&self) -> bool {
        (200..400).contains(&self.status)
    }
}

/// The https address of a base that a caller may have used by plain http: issuers are named by it.
pub(crate) fn secure(base: &str) -> String {
    match base.strip_prefix("http://") {
        Some(host) => format!("https://{host}"),
        None => base.to_owned(),
    }
}

/// Appends parameters to a redirect address.
pub(crate) fn with_query(address: &str, extra: &[(&str, &str)]) -> String {
    let mut out = address.to_owned();
    for (name, value) in extra {
        out.push(if out.contains('?') { '&' } else { '?' });
        out.push_str(name);
        out.push('=');
        out.push_str(&encode(value));
    }
    out
}
