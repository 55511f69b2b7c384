//! The one shape of every error that a person or a client sees (RFC 9457 problem details).
//!
//! A problem says what is wrong (`code`, stable; `detail`, for people), where (`field`) and what
//! to do (`next_step`). It never carries secrets, personal data or anything internal: those stay
//! in the log, and even there only as ids. The one exception are the records that a user may see in the CRM
//! and has to choose from ([`Duplicates`]).

use serde::{Deserialize, Serialize};

/// The finding of a duplicate rule of the CRM (LC-4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct Duplicates {
    /// True if the record can be created all the same.
    pub allowed: bool,
    /// The name of the rule, if the CRM gives it.
    pub rule: Option<String>,
    /// The records that are there, as far as the user sees them.
    pub records: Vec<DuplicateRecord>,
}

/// A record that a duplicate rule found. What is not known is empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct DuplicateRecord {
    /// The CRM's name for the object.
    pub object: String,
    /// The CRM's id.
    pub id: String,
    /// The object's label for people.
    pub label: String,
    /// The record's own page in the CRM.
    pub url: Option<String>,
    /// Full name.
    pub name: String,
    /// Job title.
    pub title: String,
    /// Company, or the name of a contact's account.
    pub company: String,
    /// E-mail address.
    pub email: String,
}

/// An error for people and clients. Build it with [`Problem::new`] and the `with_` methods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct Problem {
    /// A URN that ends in the code, RFC 9457's `type`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// The HTTP status code (also stored for problems that never were an HTTP answer).
    pub status: u16,
    /// Stable identifier in `snake_case`; clients may branch on it.
    pub code: String,
    /// The code in words.
    pub title: String,
    /// Description of what happened, for users.
    pub detail: String,
    /// The field, header or parameter that is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The next step for the user.
    pub next_step: String,
    /// The records that a duplicate rule of the CRM found, for `duplicates_found`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplicates: Option<Box<Duplicates>>,
    /// Seconds until another attempt is worthwhile; the header `Retry-After` of an answer.
    #[serde(skip)]
    pub retry_after: Option<u32>,
}

impl Problem {
    /// A problem with its code, text and next step.
    #[must_use]
    pub fn new(
        status: u16,
        code: &str,
        detail: impl Into<String>,
        next_step: impl Into<String>,
    ) -> Self {
        let mut title = code.replace('_', " ");
        if let Some(first) = title.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        Self {
            kind: format!("urn:leadbridge:problem:{code}"),
            status,
            code: code.to_owned(),
            title,
            detail: detail.into(),
            field: None,
            next_step: next_step.into(),
            duplicates: None,
            retry_after: None,
        }
    }

    /// Sets the delay before another attempt is worthwhile, in seconds.
    #[must_use]
    pub const fn with_retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Names the field, header or parameter that is wrong.
    #[must_use]
    pub fn with_field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Adds the records that a duplicate rule found.
    #[must_use]
    pub fn with_duplicates(mut self, duplicates: Duplicates) -> Self {
        self.duplicates = Some(Box::new(duplicates));
        self
    }

    /// The 500 for an internal failure; it gives no detail.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(
            500,
            "internal_error",
            "Something failed on our side.",
            "Try again; if it persists, tell the operator the time of this answer.",
        )
    }

    /// The 503 for a required part that does not answer now.
    #[must_use]
    pub fn unavailable() -> Self {
        Self::new(
            503,
            "temporarily_unavailable",
            "The service cannot take this at the moment; nothing was stored.",
            "Send the same request again in a few seconds.",
        )
    }

    /// The 404 for an object that does not exist, or belongs to another contract: the two read the same.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::new(
            404,
            "not_found",
            format!("There is no such {what}."),
            format!("Check the {what}'s id or key."),
        )
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)
    }
}

impl std::error::Error for Problem {}

/// The code of an answer's problem, in the answer's extensions, for tracing.
#[cfg(feature = "http-api")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code(pub String);

#[cfg(feature = "http-api")]
impl Problem {
    /// Marks an answer with this problem's code, for tracing, and with its `Retry-After` header.
    pub fn mark(&self, response: &mut axum::response::Response) {
        response.extensions_mut().insert(Code(self.code.clone()));
        if let Some(seconds) = self.retry_after {
            let value = http::HeaderValue::from(seconds);
            response
                .headers_mut()
                .insert(http::header::RETRY_AFTER, value);
        }
    }
}

#[cfg(feature = "http-api")]
impl axum::response::IntoResponse for Problem {
    fn into_response(self) -> axum::response::Response {
        use http::{HeaderValue, StatusCode, header};
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, body).into_response();
        self.mark(&mut response);
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE && self.retry_after.is_none() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}
