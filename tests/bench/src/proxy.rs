//! Stands between crm-writeback and a CRM and keeps every request, so that the very same ones can
//! be made again without crm-writeback around them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, ensure};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, Method, StatusCode, header};
use shared::random::{Random as _, SystemRandom};
use tokio::net::TcpListener;

/// One request as it was made.
#[derive(Clone)]
pub(crate) struct Recorded {
    method: Method,
    target: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Recorded {
    /// With the other text wherever it names one of these, and of the same length. UUIDs are ids
    /// that the sender chose: each becomes another one, the same in all places.
    pub(crate) fn renamed(
        &self,
        names: &[(String, String)],
        ids: &mut HashMap<String, String>,
    ) -> Result<Self> {
        let mut rename = |text: &str| {
            let mut text = text.to_owned();
            for (from, to) in names {
                text = text.replace(from, to);
            }
            for id in uuids(&text) {
                let fresh = || SystemRandom.uuid().to_string();
                let to = ids.entry(id.clone()).or_insert_with(fresh);
                text = text.replace(&id, to);
            }
            text
        };
        let mut headers = self.headers.clone();
        for value in headers.values_mut() {
            // The boundary of a multipart body holds an id.
            if let Ok(text) = value.to_str() {
                *value = rename(text).parse()?;
            }
        }
        Ok(Self {
            method: self.method.clone(),
            target: rename(&self.target),
            headers,
            body: rename(&String::from_utf8_lossy(&self.body)).into(),
        })
    }

    /// Without the condition on a version of the record that is no more.
    pub(crate) fn unconditional(&self) -> Self {
        let mut request = self.clone();
        request.headers.remove(header::IF_MATCH);
        request
    }

    /// Makes the request again, at another address.
    pub(crate) async fn send(self, client: &reqwest::Client, base: &str) -> Result<()> {
        let request = client.request(self.method, format!("{base}{}", self.target));
        let answer = request.headers(self.headers).body(self.body).send().await?;
        let status = answer.status();
        let body = answer.bytes().await?;
        ensure!(
            status.is_success(),
            "the CRM refused the baseline: {status} {}",
            String::from_utf8_lossy(&body)
        );
        Ok(())
    }
}

/// The UUIDs in a text.
fn uuids(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut at = 0;
    while at + 36 <= text.len() {
        let candidate = text.get(at..at + 36).unwrap_or_default();
        let is_uuid = candidate.len() == 36
            && candidate.split('-').map(str::len).eq([8, 4, 4, 4, 12])
            && candidate
                .bytes()
                .all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
        if is_uuid {
            found.push(candidate.to_owned());
        }
        at += if is_uuid { 36 } else { 1 };
    }
    found.sort();
    found.dedup();
    found
}

/// The proxy while it runs.
pub(crate) struct Proxy {
    /// The address that it listens on.
    pub(crate) url: String,
    kept: Arc<Mutex<Vec<Recorded>>>,
}

#[derive(Clone)]
struct Upstream {
    client: reqwest::Client,
    url: String,
    kept: Arc<Mutex<Vec<Recorded>>>,
}

impl Proxy {
    /// Starts one in front of `upstream`.
    pub(crate) async fn start(upstream: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let kept = Arc::default();
        let state = Upstream {
            client: reqwest::Client::new(),
            // The simulator answers both; the certificate is of no interest here.
            url: upstream
                .trim_end_matches('/')
                .replace("https://", "http://"),
            kept: Arc::clone(&kept),
        };
        let router = Router::new().fallback(pass).with_state(state);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { url, kept })
    }

    /// The requests since the last time.
    pub(crate) fn take(&self) -> Vec<Recorded> {
        std::mem::take(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn pass(State(upstream): State<Upstream>, request: Request) -> Response {
    forward(&upstream, request)
        .await
        .unwrap_or_else(|_| StatusCode::BAD_GATEWAY.into_response())
}

async fn forward(upstream: &Upstream, request: Request) -> Result<Response> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 16 * 1024 * 1024).await?;
    let target = parts
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str())
        .to_owned();
    let mut headers = parts.headers;
    // These are each connection's own.
    headers.remove(header::HOST);
    headers.remove(header::CONTENT_LENGTH);
    let recorded = Recorded {
        method: parts.method,
        target,
        headers,
        body,
    };
    let again = upstream
        .client
        .request(
            recorded.method.clone(),
            format!("{}{}", upstream.url, recorded.target),
        )
        .headers(recorded.headers.clone())
        .body(recorded.body.clone());
    upstream
        .kept
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(recorded);
    let answer = again.send().await?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = answer.status();
    *response.headers_mut() = answer.headers().clone();
    response.headers_mut().remove(header::TRANSFER_ENCODING);
    *response.body_mut() = Body::from(answer.bytes().await?);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::uuids;

    #[test]
    fn uuids_are_found_wherever_they_stand() {
        let id = "0b5a2c6e-1f0f-5f5b-8c38-0d6a4a2b7c10";
        assert_eq!(uuids(&format!("/leads({id})?é={id}")), [id]);
        assert!(uuids("0b5a2c6e-1f0f-5f5b-8c38").is_empty());
        assert!(uuids("0b5a2c6e-1f0f-5f5b-8c38-0d6a4a2b7c1g").is_empty());
    }
}
