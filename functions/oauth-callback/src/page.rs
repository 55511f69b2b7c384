//! The end of a flow in the browser: a page of ours, or the path that it came from.

use axum::response::{Html, IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use shared::problem::Problem;

/// True if a request asks for JSON rather than a page.
pub(crate) fn wants_json(headers: &HeaderMap) -> bool {
    let wants = |kind: &str| {
        headers
            .get_all(header::ACCEPT)
            .iter()
            .any(|value| value.to_str().is_ok_and(|text| text.contains(kind)))
    };
    wants("application/json") && !wants("text/html")
}

/// A page for people with a heading and paragraphs; every text is escaped.
pub(crate) fn page(title: &str, paragraphs: &[&str], back: Option<&str>) -> Response {
    let mut body = format!("<h1>{}</h1>", escaped(title));
    for text in paragraphs {
        body.push_str(&format!("<p>{}</p>", escaped(text)));
    }
    if let Some(back) = back {
        body.push_str(&format!("<p><a href=\"{}\">Go back</a></p>", escaped(back)));
    }
    Html(format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>{}</title></head>\n<body>{body}</body></html>\n",
        escaped(title)
    ))
    .into_response()
}

/// A problem: as a page for browsers, as problem+json for everybody else.
pub(crate) fn problem(problem: Problem, headers: &HeaderMap, back: Option<&str>) -> Response {
    let browser = headers
        .get_all(header::ACCEPT)
        .iter()
        .any(|value| value.to_str().is_ok_and(|text| text.contains("text/html")));
    if !browser {
        return problem.into_response();
    }
    let texts = [problem.detail.as_str(), problem.next_step.as_str()];
    let mut response = page(&problem.title, &texts, back);
    *response.status_mut() =
        StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    problem.mark(&mut response);
    response
}

/// `303 See Other` to a path of ours.
pub(crate) fn go_to(path: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    // A path that was checked holds nothing that a header could not.
    let location = HeaderValue::try_from(path).unwrap_or_else(|_| HeaderValue::from_static("/"));
    response.headers_mut().insert(header::LOCATION, location);
    response
}

/// Headers of every answer at the end of a flow: its address holds the code.
pub(crate) fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(
            escaped("<a href=\"x\">'&'</a>"),
            "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;"
        );
    }
}
