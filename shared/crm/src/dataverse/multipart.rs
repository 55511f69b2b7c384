//! `OData` `$batch` bodies (multipart/mixed): written and read.
//!
//! Source: Dataverse's "Execute batch operations using the Web API". Lines end in CRLF when
//! written; when read, bare LF is accepted too.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

const BOUNDARY: &str = "batch_leadbridge";
const CHANGE_SET: &str = "changeset_leadbridge";

/// One request of a batch.
pub(super) struct Part {
    pub(super) method: &'static str,
    /// Absolute path with query.
    pub(super) path: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Option<serde_json::Value>,
}

impl Part {
    /// A read.
    pub(super) fn get(query: &super::odata::Query) -> Self {
        Self {
            method: "GET",
            path: query.to_string(),
            headers: Vec::new(),
            body: None,
        }
    }
}

/// One answer of a batch.
#[derive(Debug)]
pub(super) struct PartAnswer {
    pub(super) status: StatusCode,
    pub(super) body: Vec<u8>,
}

impl PartAnswer {
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// The value of the batch's `Content-Type` header.
pub(super) fn content_type() -> String {
    format!("multipart/mixed; boundary={BOUNDARY}")
}

/// A batch of requests that do not depend on each other.
pub(super) fn independent(parts: &[Part]) -> String {
    let mut text = String::new();
    for part in parts {
        text.push_str(&format!("--{BOUNDARY}\r\n"));
        request(&mut text, part, None);
    }
    text.push_str(&format!("--{BOUNDARY}--\r\n"));
    text
}

/// A batch of one change set: all of its writes, or none.
pub(super) fn change_set(parts: &[Part]) -> String {
    change_sets(&[parts])
}

/// A batch of change sets, each by itself: all of its writes, or none.
pub(super) fn change_sets(sets: &[&[Part]]) -> String {
    let mut text = String::new();
    for (number, parts) in sets.iter().enumerate() {
        let boundary = format!("{CHANGE_SET}_{number}");
        text.push_str(&format!(
            "--{BOUNDARY}\r\nContent-Type: multipart/mixed; boundary={boundary}\r\n\r\n"
        ));
        for (index, part) in parts.iter().enumerate() {
            text.push_str(&format!("--{boundary}\r\n"));
            request(&mut text, part, Some(index + 1));
        }
        text.push_str(&format!("--{boundary}--\r\n\r\n"));
    }
    text.push_str(&format!("--{BOUNDARY}--\r\n"));
    text
}

fn request(text: &mut String, part: &Part, content_id: Option<usize>) {
    text.push_str("Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n");
    if let Some(id) = content_id {
        text.push_str(&format!("Content-ID: {id}\r\n"));
    }
    text.push_str(&format!(
        "\r\n{} {} HTTP/1.1\r\nAccept: application/json\r\n",
        part.method, part.path
    ));
    for (name, value) in &part.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    match &part.body {
        // JSON escapes every line break, so a value cannot end its part.
        Some(body) => text.push_str(&format!(
            "Content-Type: application/json; type=entry\r\n\r\n{body}\r\n"
        )),
        None => text.push_str("\r\n\r\n"),
    }
}

/// The answers of a batch in order, those of a change set together; `None` if the body is not a batch
/// answer.
pub(super) fn grouped(content_type: &str, body: &[u8]) -> Option<Vec<Vec<PartAnswer>>> {
    let mut found = Vec::new();
    collect(&boundary(content_type)?, body, &mut found, 0)?;
    Some(found)
}

fn boundary(content_type: &str) -> Option<String> {
    let (essence, parameters) = content_type.split_once(';')?;
    if !essence.trim().eq_ignore_ascii_case("multipart/mixed") {
        return None;
    }
    parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("boundary")
            .then(|| value.trim().trim_matches('"').to_owned())
    })
}

fn collect(boundary: &str, body: &[u8], found: &mut Vec<Vec<PartAnswer>>, depth: u8) -> Option<()> {
    if depth > 2 || boundary.is_empty() {
        return None;
    }
    let delimiter = format!("--{boundary}");
    let mut part: Option<Vec<u8>> = None;
    for line in Lines(body) {
        let trimmed = trim_end(line);
        if trimmed == delimiter.as_bytes() || trimmed == format!("{delimiter}--").as_bytes() {
            if let Some(part) = part.take() {
                one(&part, found, depth)?;
            }
            if trimmed.len() > delimiter.len() {
                return Some(());
            }
            part = Some(Vec::new());
        } else if let Some(part) = &mut part {
            part.extend_from_slice(line);
        }
    }
    // The closing delimiter is missing: the answer was cut off.
    None
}

fn one(part: &[u8], found: &mut Vec<Vec<PartAnswer>>, depth: u8) -> Option<()> {
    if depth == 0 {
        found.push(Vec::new());
    }
    let (headers, rest) = head(part)?;
    let content_type = headers
        .get("content-type")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if let Some(inner) = boundary(content_type) {
        return collect(&inner, rest, found, depth + 1);
    }
    let mut lines = Lines(rest);
    let status_line = lines.next()?;
    let status = std::str::from_utf8(status_line)
        .ok()?
        .split_whitespace()
        .nth(1)?;
    let status = StatusCode::from_bytes(status.as_bytes()).ok()?;
    let (_, body) = head(lines.0)?;
    found.last_mut()?.push(PartAnswer {
        status,
        body: trim_end(body).to_vec(),
    });
    Some(())
}

fn head(text: &[u8]) -> Option<(HeaderMap, &[u8])> {
    let mut headers = HeaderMap::new();
    let mut lines = Lines(text);
    while let Some(line) = lines.next() {
        let line = trim_end(line);
        if line.is_empty() {
            return Some((headers, lines.0));
        }
        let (name, value) = std::str::from_utf8(line).ok()?.split_once(':')?;
        headers.append(
            HeaderName::from_bytes(name.trim().as_bytes()).ok()?,
            HeaderValue::from_str(value.trim()).ok()?,
        );
    }
    Some((headers, b""))
}

fn trim_end(line: &[u8]) -> &[u8] {
    let end = line
        .iter()
        .rposition(|b| !matches!(b, b'\r' | b'\n'))
        .map_or(0, |last| last + 1);
    line.get(..end).unwrap_or_default()
}

/// Lines with their ends.
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let end = self
            .0
            .iter()
            .position(|b| *b == b'\n')
            .map_or(self.0.len(), |at| at + 1);
        let (line, rest) = self.0.split_at(end);
        self.0 = rest;
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ANSWER: &str = "--b1\r\nContent-Type: multipart/mixed; boundary=c1\r\n\r\n--c1\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\nContent-ID: 1\r\n\r\nHTTP/1.1 204 No Content\r\nOData-EntityId: https://x/contacts(1)\r\n\r\n\r\n--c1\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 412 Precondition Failed\r\nContent-Type: application/json\r\n\r\n{\"error\":{\"code\":\"0x80040237\",\"message\":\"m\"}}\r\n--c1--\r\n--b1--\r\n";

    /// The answers of a batch in order, those inside change sets included.
    fn answers(content_type: &str, body: &[u8]) -> Option<Vec<PartAnswer>> {
        Some(grouped(content_type, body)?.into_iter().flatten().collect())
    }

    #[test]
    fn a_change_sets_answers_are_read() {
        let answers = answers("multipart/mixed; boundary=b1", ANSWER.as_bytes()).unwrap();
        assert_eq!(
            answers
                .iter()
                .map(|a| a.status.as_u16())
                .collect::<Vec<_>>(),
            [204, 412]
        );
        assert_eq!(answers[1].json()["error"]["code"], "0x80040237");
        let of_set = grouped("multipart/mixed; boundary=b1", ANSWER.as_bytes()).unwrap();
        assert_eq!(of_set.iter().map(Vec::len).collect::<Vec<_>>(), [2]);
        let unix = ANSWER.replace("\r\n", "\n");
        assert_eq!(
            self::answers("multipart/mixed;boundary=\"b1\"", unix.as_bytes())
                .unwrap()
                .len(),
            2
        );
    }

    #[test]
    fn a_cut_off_answer_is_none() {
        for end in 0..ANSWER.len() - 6 {
            assert!(
                answers("multipart/mixed; boundary=b1", &ANSWER.as_bytes()[..end]).is_none(),
                "{end}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = answers("multipart/mixed; boundary=b", &body);
            let framed = [b"--b\r\n".as_slice(), &body, b"\r\n--b--\r\n"].concat();
            let _ = answers("multipart/mixed; boundary=b", &framed);
        }
    }
}
