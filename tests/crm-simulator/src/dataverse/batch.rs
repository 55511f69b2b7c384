//! `$batch`: several requests in one multipart body, with change sets that hold together.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::rest::Request;
use super::rows::Known;
use super::{Caller, Dataverse, Error};
use crate::http::{Call, Reply, decode, pairs};

/// A part of the body: a request, or a set of them.
enum Part {
    One(Inner),
    Set(Vec<Inner>),
}

/// A request inside the body.
struct Inner {
    content_id: Option<String>,
    method: String,
    url: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

fn malformed(message: &str) -> Error {
    Error::new(400, "0x80060888", message)
}

/// The boundary a content type names.
fn boundary(content_type: &str) -> Option<String> {
    let lower = content_type.to_ascii_lowercase();
    if !lower.trim_start().starts_with("multipart/mixed") {
        return None;
    }
    let at = lower.find("boundary=")?;
    let value = content_type
        .get(at + "boundary=".len()..)?
        .split(';')
        .next()?;
    let value = value.trim().trim_matches('"');
    (!value.is_empty()).then(|| value.to_owned())
}

/// Cuts a body at its boundary lines; line ends may be CRLF or LF.
fn cut(text: &str, boundary: &str) -> Result<Vec<String>, Error> {
    let delimiter = format!("--{boundary}");
    let last = format!("--{boundary}--");
    let mut parts: Vec<String> = Vec::new();
    let mut closed = false;
    let mut inside = false;
    for line in text.split_inclusive('\n') {
        let bare = line.trim_end();
        if bare == last {
            closed = true;
            break;
        }
        if bare == delimiter {
            parts.push(String::new());
            inside = true;
        } else if inside && let Some(part) = parts.last_mut() {
            part.push_str(line);
        }
    }
    if parts.is_empty() || !closed {
        return Err(malformed(
            "The payload is not a valid multipart batch: a boundary is missing.",
        ));
    }
    Ok(parts)
}

/// The headers, and the text after the blank line.
fn head(text: &str) -> (HeaderMap, &str) {
    let mut headers = HeaderMap::new();
    let mut rest = text;
    while let Some((line, tail)) = rest.split_once('\n') {
        let bare = line.trim();
        rest = tail;
        if bare.is_empty() {
            return (headers, rest);
        }
        if let Some((name, value)) = bare.split_once(':')
            && let Ok(name) = HeaderName::from_bytes(name.trim().as_bytes())
            && let Ok(value) = HeaderValue::from_str(value.trim())
        {
            headers.append(name, value);
        }
    }
    (headers, rest)
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn inner(part: &str) -> Result<Inner, Error> {
    let (outer, rest) = head(part);
    let kind = header(&outer, "content-type").unwrap_or_default();
    if !kind.to_ascii_lowercase().starts_with("application/http") {
        return Err(malformed(
            "A part of the batch must have the content type application/http.",
        ));
    }
    let rest = rest.trim_start_matches(['\r', '\n']);
    let (line, rest) = rest.split_once('\n').unwrap_or((rest, ""));
    let mut words = line.split_whitespace();
    let (Some(method), Some(url)) = (words.next(), words.next()) else {
        return Err(malformed("The request line of a part is not valid."));
    };
    // The version may be left out; an address with blanks in it is read up to the version.
    let url = line
        .trim()
        .strip_prefix(method)
        .map(str::trim)
        .map_or(url, |text| {
            text.strip_suffix("HTTP/1.1").map_or(text, str::trim)
        });
    let (headers, body) = head(rest);
    // The line break before the boundary line belongs to the boundary.
    let body = body.strip_suffix('\n').unwrap_or(body);
    let body = body.strip_suffix('\r').unwrap_or(body);
    Ok(Inner {
        content_id: header(&outer, "content-id").map(str::to_owned),
        method: method.to_ascii_uppercase(),
        url: url.to_owned(),
        headers,
        body: body.as_bytes().to_vec(),
    })
}

fn parts(call: &Call) -> Result<Vec<Part>, Error> {
    let kind = call.header("content-type").unwrap_or_default();
    let outer = boundary(kind).ok_or_else(|| {
        malformed("The content type of a batch must be multipart/mixed with a boundary.")
    })?;
    let text = String::from_utf8_lossy(&call.body).into_owned();
    let mut out = Vec::new();
    for part in cut(&text, &outer)? {
        let (headers, rest) = head(&part);
        let kind = header(&headers, "content-type")
            .unwrap_or_default()
            .to_owned();
        if let Some(name) = boundary(&kind) {
            let set = cut(rest, &name)?
                .iter()
                .map(|part| inner(part))
                .collect::<Result<Vec<_>, _>>()?;
            for request in &set {
                if request.method == "GET" {
                    return Err(malformed("A GET request is not allowed in a change set."));
                }
                if request.content_id.is_none() && set.len() > 1 {
                    return Err(malformed(
                        "Content-ID is required for every request in a change set.",
                    ));
                }
            }
            out.push(Part::Set(set));
        } else {
            out.push(Part::One(inner(&part)?));
        }
    }
    Ok(out)
}

fn status_text(status: u16) -> &'static str {
    http::StatusCode::from_u16(status)
        .ok()
        .and_then(|s| s.canonical_reason())
        .unwrap_or("Unknown")
}

/// Appends text; that cannot fail.
fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = std::fmt::Write::write_fmt(out, text);
}

/// One answer as a part.
fn written(out: &mut String, boundary: &str, content_id: Option<&str>, reply: &Reply) {
    use std::fmt::Write as _;
    let _ = write!(
        out,
        "--{boundary}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n"
    );
    if let Some(id) = content_id {
        let _ = write!(out, "Content-ID: {id}\r\n");
    }
    let _ = write!(
        out,
        "\r\nHTTP/1.1 {} {}\r\n",
        reply.status,
        status_text(reply.status)
    );
    for (name, value) in &reply.headers {
        let shown = match name.as_str() {
            "content-type" => "Content-Type",
            "odata-version" => "OData-Version",
            "odata-entityid" => "OData-EntityId",
            "location" => "Location",
            "etag" => "ETag",
            "preference-applied" => "Preference-Applied",
            "req_id" => "REQ_ID",
            other => other,
        };
        let value = value.replace("; charset=utf-8", "");
        let _ = write!(out, "{shown}: {value}\r\n");
    }
    let _ = write!(out, "\r\n{}\r\n", String::from_utf8_lossy(&reply.body));
}

impl Dataverse {
    /// Answers `$batch`.
    pub(crate) fn batch(&mut self, caller: &Caller, call: &Call) -> Reply {
        if call.method != "POST" {
            return Error::new(
                405,
                "0x8006088a",
                "The requested resource does not support this http method.",
            )
            .reply();
        }
        let parts = match parts(call) {
            Ok(parts) => parts,
            Err(error) => return error.reply(),
        };
        let count: usize = parts
            .iter()
            .map(|part| match part {
                Part::One(_) => 1,
                Part::Set(set) => set.len(),
            })
            .sum();
        if count > 1000 {
            return malformed("The number of requests in a batch cannot exceed 1000.").reply();
        }
        let goes_on = Request::of(call, "").prefers("odata.continue-on-error");
        let name = format!("batchresponse_{}", self.next_id());
        let mut out = String::new();
        let mut lines = Vec::new();
        let mut failed = false;
        for part in parts {
            if failed && !goes_on {
                break;
            }
            match part {
                Part::One(inner) => {
                    let reply = self.inner(caller, call, &inner, &Known::new());
                    lines.push(line(&inner, reply.status));
                    failed = failed || !reply.is_success();
                    written(&mut out, &name, inner.content_id.as_deref(), &reply);
                }
                Part::Set(set) => {
                    let (replies, bad) = self.change_set(caller, call, &set, &mut lines);
                    failed = failed || bad;
                    let set_name = format!("changesetresponse_{}", self.next_id());
                    put(
                        &mut out,
                        format_args!(
                            "--{name}\r\nContent-Type: multipart/mixed; boundary={set_name}\r\n\r\n"
                        ),
                    );
                    for (id, reply) in &replies {
                        written(&mut out, &set_name, id.as_deref(), reply);
                    }
                    put(&mut out, format_args!("--{set_name}--\r\n"));
                }
            }
        }
        put(&mut out, format_args!("--{name}--\r\n"));
        let status = if failed && !goes_on { 400 } else { 200 };
        let mut reply = Reply::text(status, &format!("multipart/mixed; boundary={name}"), out)
            .with("odata-version", "4.0");
        reply.parts = lines;
        reply
    }

    /// All of a set, or nothing: then only the answer of the one that failed.
    fn change_set(
        &mut self,
        caller: &Caller,
        call: &Call,
        set: &[Inner],
        lines: &mut Vec<String>,
    ) -> (Vec<(Option<String>, Reply)>, bool) {
        let mark = self.store.begin();
        let version = self.last_version();
        let mut known = Known::new();
        let mut replies = Vec::new();
        for inner in set {
            let reply = self.inner(caller, call, inner, &known);
            lines.push(line(inner, reply.status));
            if !reply.is_success() {
                self.store.rollback(mark);
                self.forget_deletes(version);
                return (vec![(inner.content_id.clone(), reply)], true);
            }
            if let (Some(id), Some(address)) = (&inner.content_id, reply.header("odata-entityid"))
                && let Some((set, key)) = address
                    .rsplit('/')
                    .next()
                    .and_then(|last| last.split_once('('))
            {
                known.insert(
                    id.clone(),
                    (set.to_owned(), key.trim_end_matches(')').to_owned()),
                );
            }
            replies.push((inner.content_id.clone(), reply));
        }
        self.store.commit();
        (replies, false)
    }

    fn inner(&mut self, caller: &Caller, call: &Call, inner: &Inner, known: &Known) -> Reply {
        let (path, query) = inner.url.split_once('?').unwrap_or((&inner.url, ""));
        let path = decode(path);
        let path = path
            .split_once("/api/data/")
            .map_or(path.as_str(), |(_, tail)| {
                tail.split_once('/').map_or("", |(_, tail)| tail)
            })
            .trim_matches('/')
            .to_owned();
        if path == "$batch" {
            return malformed("Batch requests cannot be nested.").reply();
        }
        let path = match path.strip_prefix('$') {
            Some(reference) if reference.starts_with(|c: char| c.is_ascii_digit()) => {
                let (id, tail) = reference
                    .split_once('/')
                    .map_or((reference, String::new()), |(id, tail)| {
                        (id, format!("/{tail}"))
                    });
                match known.get(id) {
                    Some((set, key)) => format!("{set}({key}){tail}"),
                    None => {
                        return malformed(&format!(
                            "Content-ID Reference: '{id}' does not exist in the batch context."
                        ))
                        .reply();
                    }
                }
            }
            _ => path,
        };
        let mut headers = inner.headers.clone();
        // The preferences of the whole batch apply to each part, unless the part has its own.
        for name in ["prefer", "mscrm.suppressduplicatedetection"] {
            if !headers.contains_key(name)
                && let Some(value) = call.headers.get(name)
                && let Ok(key) = HeaderName::from_bytes(name.as_bytes())
            {
                headers.insert(key, value.clone());
            }
        }
        let request = Request {
            method: inner.method.clone(),
            path,
            params: pairs(query.as_bytes()),
            headers,
            body: inner.body.clone(),
            known: known.clone(),
        };
        self.answer(caller, &request)
    }
}

fn line(inner: &Inner, status: u16) -> String {
    let path = inner.url.split('?').next().unwrap_or_default();
    let path = path.split_once("/api/data/").map_or_else(
        || path.trim_start_matches('/').to_owned(),
        |(_, tail)| {
            tail.split_once('/')
                .map_or(tail, |(_, tail)| tail)
                .to_owned()
        },
    );
    let path = crate::ledger::template("dataverse", &path);
    format!("{} {path} {status}", inner.method)
}
