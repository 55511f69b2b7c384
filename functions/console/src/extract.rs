//! Extractors whose refusals are problems like every other error.

use std::fmt;
use std::marker::PhantomData;

use axum::body::{Body, Bytes};
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use shared::domain::csv_upload;
use shared::problem::Problem;

/// A JSON body, and a JSON answer.
pub(crate) struct Json<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let request = Request::from_parts(parts.clone(), body);
        let body = match Bytes::from_request(request, state).await {
            Ok(body) => body,
            Err(error) if error.status() == http::StatusCode::PAYLOAD_TOO_LARGE => {
                return Err(too_large());
            }
            Err(_) => return Err(malformed()),
        };
        let request = Request::from_parts(parts, Body::from(body.clone()));
        match axum::Json::<Object<T>>::from_request(request, state).await {
            Ok(axum::Json(Object(value))) => Ok(Self(value)),
            Err(error) => Err(refused(&error, &body)),
        }
    }
}

/// The beginning of what axum says of a body that the parser did not take.
const NOT_PARSED: &str = "Failed to parse the request body as JSON: ";

/// The problem of a body that is not taken.
fn refused(error: &JsonRejection, body: &[u8]) -> Problem {
    match error {
        JsonRejection::MissingJsonContentType(_) => Problem::new(
            415,
            "unsupported_media_type",
            "The body is sent as application/json.",
            "Set the Content-Type header to application/json.",
        )
        .with_field("content-type"),
        // The text names fields and types, as the API's description does; no values of others.
        JsonRejection::JsonDataError(error) => invalid(&error.body_text()),
        // Where an enum is read, the parser takes a value that is no text, such as `null`, for an error of
        // syntax.
        JsonRejection::JsonSyntaxError(error)
            if serde_json::from_slice::<serde_json::Value>(body).is_ok() =>
        {
            let told = error.body_text();
            let told = told.strip_prefix(NOT_PARSED).unwrap_or_default();
            invalid(&match told.split_once(": ") {
                Some((path, _)) => format!("{path}: the value is of the wrong type."),
                None => "A value is of the wrong type.".to_owned(),
            })
        }
        error if error.status() == http::StatusCode::PAYLOAD_TOO_LARGE => too_large(),
        _ => malformed(),
    }
}

fn invalid(text: &str) -> Problem {
    Problem::new(
        422,
        "invalid_body",
        text.chars().take(300).collect::<String>(),
        "Send the body as described in /api/v1/openapi.json.",
    )
}

fn too_large() -> Problem {
    Problem::new(
        413,
        "body_too_large",
        "The body is too large.",
        "Send less.",
    )
}

fn malformed() -> Problem {
    Problem::new(
        400,
        "malformed_body",
        "The body is not valid JSON.",
        "Send one JSON object.",
    )
}

/// A JSON object. A plain struct would also accept `[]`, with every field left out.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(fields))
            }
        }

        deserializer
            .deserialize_map(Fields(PhantomData))
            .map(Object)
    }
}

/// An item of a batch.
///
/// # Errors
/// Returns `invalid_body` if the value is not such an item.
pub(crate) fn item<T: DeserializeOwned>(item: serde_json::Value) -> Result<T, Problem> {
    // A plain struct would also accept a list, as an object with its fields in order.
    let read = if item.is_object() {
        T::deserialize(item).map_err(|error| error.to_string())
    } else {
        Err("An item is a JSON object.".to_owned())
    };
    read.map_err(|text| {
        Problem::new(
            422,
            "invalid_body",
            text.chars().take(300).collect::<String>(),
            "Send the item as described in /api/v1/openapi.json.",
        )
    })
}

/// Checks the number of items of a batch.
///
/// # Errors
/// Returns `invalid_batch` unless there are 1 to `most` items.
pub(crate) fn check_batch(count: usize, most: usize, instead: &str) -> Result<(), Problem> {
    if (1..=most).contains(&count) {
        return Ok(());
    }
    Err(Problem::new(
        422,
        "invalid_batch",
        format!("A batch has 1 to {most} items; this one has {count}."),
        instead,
    )
    .with_field("items"))
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        (
            [(http::header::CACHE_CONTROL, "no-store")],
            axum::Json(self.0),
        )
            .into_response()
    }
}

/// A body in CSV.
pub(crate) struct Csv {
    pub(crate) body: Bytes,
    /// The label of its encoding, where the sender names one.
    pub(crate) charset: Option<String>,
}

impl<S: Send + Sync> FromRequest<S> for Csv {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let kind = request.headers().get(http::header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let (essence, parameters) = kind.split_once(';').unwrap_or((kind, ""));
        let charset = parameters.split(';').find_map(|parameter| {
            let (name, label) = parameter.split_once('=')?;
            let named = name.trim().eq_ignore_ascii_case("charset");
            named.then(|| label.trim().trim_matches(['"', '\'']).to_owned())
        });
        if !essence.trim().eq_ignore_ascii_case("text/csv") {
            return Err(Problem::new(
                415,
                "unsupported_media_type",
                "The body is sent as text/csv.",
                "Set the Content-Type header to text/csv.",
            )
            .with_field("content-type"));
        }
        match Bytes::from_request(request, state).await {
            Ok(body) => Ok(Self { body, charset }),
            Err(error) if error.status() == http::StatusCode::PAYLOAD_TOO_LARGE => {
                Err(csv_upload::too_large())
            }
            Err(_) => Err(Problem::new(
                400,
                "malformed_body",
                "The body did not arrive as a whole.",
                "Send the file again.",
            )),
        }
    }
}

/// The path's parameters. A parameter that is no id of its kind names nothing: 404.
pub(crate) struct Path<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(_) => Err(Problem::not_found("address")),
        }
    }
}

/// A name in the path. Names are people's own words, so a client percent-encodes them twice: API
/// Gateway decodes the path it hands on, and takes a `/`, `?` or `#` that appears then for its own.
pub(crate) struct Name(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(once) = Path::<String>::from_request_parts(parts, state).await?;
        match percent_encoding::percent_decode_str(&once).decode_utf8() {
            Ok(name) => Ok(Self(name.into_owned())),
            Err(_) => Err(Problem::not_found("address")),
        }
    }
}

/// The query's parameters.
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Query::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(error) => Err(Problem::new(
                400,
                "invalid_query",
                error.body_text().chars().take(300).collect::<String>(),
                "Send the query parameters as described in /api/v1/openapi.json.",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Choice {
        Yes,
    }

    #[derive(Debug, Deserialize)]
    struct Outer {
        inner: Inner,
    }

    #[derive(Debug, Deserialize)]
    struct Inner {
        choice: Choice,
        #[serde(default)]
        number: u32,
    }

    fn told(body: &str) -> (u16, String, String) {
        let read = axum::Json::<Object<Outer>>::from_bytes(body.as_bytes());
        let error = read.map(drop).unwrap_err();
        let problem = refused(&error, body.as_bytes());
        (problem.status, problem.code, problem.detail)
    }

    #[test]
    fn a_value_of_the_wrong_type_is_no_malformed_json() {
        for value in ["null", "5", "[]", "true"] {
            let (status, code, detail) = told(&format!(r#"{{"inner":{{"choice":{value}}}}}"#));
            assert_eq!((status, code.as_str()), (422, "invalid_body"), "{value}");
            assert!(detail.contains("inner.choice: "), "{value}: {detail}");
        }
        for body in ["[]", "null", r#"{"inner":{"choice":"yes","number":"5"}}"#] {
            let (status, code, _) = told(body);
            assert_eq!((status, code.as_str()), (422, "invalid_body"), "{body}");
        }
        for body in ["", "{", r#"{"inner":}"#, r#"{"inner":{"choice":nil}}"#] {
            let (status, code, _) = told(body);
            assert_eq!((status, code.as_str()), (400, "malformed_body"), "{body}");
        }
        let taken = br#"{"inner":{"choice":"yes","number":5}}"#;
        let Ok(axum::Json(Object(Outer { inner }))) =
            axum::Json::<Object<Outer>>::from_bytes(taken)
        else {
            panic!("it is what is asked for");
        };
        assert!(matches!(inner.choice, Choice::Yes) && inner.number == 5);
    }
}
