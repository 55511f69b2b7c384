//! Several operations in one call: composite, batch, collections.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::rest::{self, Body, Request};
use super::{Caller, Error, Org, ids};
use crate::http::{At as _, Reply, Row, pairs, segments};

const ROLLED_BACK: &str =
    "The transaction was rolled back since another operation in the same transaction failed.";

/// `composite`: named subrequests, one after the other, that may refer to each other.
pub(crate) fn composite(org: &mut Org, caller: &Caller, request: &Request) -> Result<Reply, Error> {
    let body = request.body.object()?;
    let all_or_none = body.get("allOrNone") == Some(&Value::Bool(true));
    let parts = body
        .get("compositeRequest")
        .and_then(Value::as_array)
        .ok_or_else(|| {
            Error::new(
                400,
                "JSON_PARSER_ERROR",
                "Missing required field: compositeRequest",
            )
        })?;
    if parts.len() > 25 {
        let message = "The number of subrequests in a composite request cannot exceed 25";
        return Err(Error::new(400, "LIMIT_EXCEEDED", message));
    }
    let mut seen = BTreeMap::new();
    for part in parts {
        let name = part.at("referenceId").as_str().unwrap_or_default();
        let valid = name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !valid {
            let message = format!(
                "Provided referenceId ('{name}') must start with a letter or a number, and it can contain only letters, numbers and underscores ('_')."
            );
            return Err(Error::new(400, "INVALID_INPUT", message));
        }
        if seen.insert(name.to_owned(), Value::Null).is_some() {
            let message = format!("Duplicate referenceId provided: {name}");
            return Err(Error::new(400, "INVALID_INPUT", message));
        }
    }
    let mut results: BTreeMap<String, Value> = BTreeMap::new();
    let mut replies: Vec<(String, Reply)> = Vec::new();
    let mark = org.store.begin();
    let mut failed = false;
    for part in parts {
        let name = part
            .at("referenceId")
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let reply = if failed && all_or_none {
            Error::new(400, "PROCESSING_HALTED", ROLLED_BACK).reply()
        } else {
            subrequest(org, caller, part, &results)
        };
        if reply.is_success() {
            results.insert(name.clone(), reply.value());
        } else {
            failed = true;
        }
        replies.push((name, reply));
    }
    if failed && all_or_none {
        org.store.rollback(mark);
        for (_, reply) in &mut replies {
            if reply.is_success() {
                *reply = Error::new(400, "PROCESSING_HALTED", ROLLED_BACK).reply();
            }
        }
    } else {
        org.store.commit();
    }
    let lines = parts
        .iter()
        .zip(&replies)
        .map(|(part, (_, reply))| {
            line(
                part.at("method").as_str(),
                part.at("url").as_str(),
                reply.status,
            )
        })
        .collect();
    let answers: Vec<Value> = replies
        .iter()
        .map(|(name, reply)| {
            let headers: Row = reply
                .header("location")
                .map(|location| ("Location".to_owned(), json!(location)))
                .into_iter()
                .collect();
            json!({
                "body": reply.value(), "httpHeaders": headers, "httpStatusCode": reply.status,
                "referenceId": name,
            })
        })
        .collect();
    let mut reply = Reply::json(200, &json!({ "compositeResponse": answers }));
    reply.parts = lines;
    Ok(reply)
}

fn line(method: Option<&str>, url: Option<&str>, status: u16) -> String {
    let path = url
        .unwrap_or_default()
        .split('?')
        .next()
        .unwrap_or_default();
    let path = crate::ledger::template("salesforce", path);
    format!("{} {path} {status}", method.unwrap_or_default())
}

fn subrequest(
    org: &mut Org,
    caller: &Caller,
    part: &Value,
    results: &BTreeMap<String, Value>,
) -> Reply {
    let run = || -> Result<(Request, Caller), Error> {
        let url = replace(part.at("url").as_str().unwrap_or_default(), results)?;
        let body = replace_all(part.at("body"), results)?;
        let mut caller = caller.clone();
        if let Some(headers) = part.at("httpHeaders").as_object() {
            for (name, value) in headers {
                let name = name.to_ascii_lowercase();
                if matches!(name.as_str(), "accept" | "authorization" | "content-type") {
                    let message = format!("Illegal header in subrequest: {name}");
                    return Err(Error::new(400, "INVALID_INPUT", message));
                }
                let text = value
                    .as_str()
                    .unwrap_or_default()
                    .to_lowercase()
                    .replace(' ', "");
                if name == "sforce-auto-assign" {
                    caller.auto_assign = super::auto_assign(value.as_str());
                }
                if name == "sforce-duplicate-rule-header" {
                    caller.allow_save = text.contains("allowsave=true");
                    caller.details = text.contains("includerecorddetails=true");
                }
            }
        }
        let method = part
            .at("method")
            .as_str()
            .unwrap_or_default()
            .to_ascii_uppercase();
        let mut request = inner_request(&url, &method, body).ok_or_else(Error::not_found)?;
        // The documentation does not say whether references are looked for before or after the address is
        // decoded: here in both, so that no client relies on one of them.
        for (_, value) in &mut request.params {
            *value = replace(value, results)?;
        }
        Ok((request, caller))
    };
    match run() {
        Ok((request, caller)) => rest::answer(org, &caller, &request),
        Err(error) => error.reply(),
    }
}

fn inner_request(url: &str, method: &str, body: Value) -> Option<Request> {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let parts = segments(path);
    let names: Vec<&str> = parts.iter().map(String::as_str).collect();
    let (version, tail) = match names.as_slice() {
        ["services", "data", version, tail @ ..] | [version, tail @ ..] => (*version, tail),
        [] => return None,
    };
    let number = rest::version(version)?;
    if tail.first() == Some(&"composite") && tail.get(1) != Some(&"sobjects") {
        return None;
    }
    Some(Request {
        method: method.to_owned(),
        version: version.to_owned(),
        number,
        path: tail.iter().map(|&part| part.to_owned()).collect(),
        params: pairs(query.as_bytes()),
        body: if body.is_null() {
            Body::None
        } else {
            Body::Json(body)
        },
    })
}

/// Follows `ref.records[0].Id` through the results.
fn look_up(path: &str, results: &BTreeMap<String, Value>) -> Result<Value, Error> {
    let halted = |name: &str| {
        let message = format!("Invalid reference specified. No value for {path} found in {name}");
        Error::new(400, "PROCESSING_HALTED", message)
    };
    let (name, tail) = path.split_once('.').unwrap_or((path, ""));
    let (name, first) = name
        .split_once('[')
        .map_or((name, None), |(n, i)| (n, Some(i)));
    let mut value = results.get(name).ok_or_else(|| halted(name))?;
    let index = |value: &Value, text: &str| -> Option<Value> {
        value
            .get(text.trim_end_matches(']').parse::<usize>().ok()?)
            .cloned()
    };
    let mut held;
    if let Some(first) = first {
        held = index(value, first).ok_or_else(|| halted(name))?;
        value = &held;
    }
    for step in tail.split('.').filter(|step| !step.is_empty()) {
        let (field, at) = step
            .split_once('[')
            .map_or((step, None), |(f, i)| (f, Some(i)));
        let mut next = value.get(field).cloned().ok_or_else(|| halted(name))?;
        if let Some(at) = at {
            next = index(&next, at).ok_or_else(|| halted(name))?;
        }
        held = next;
        value = &held;
    }
    Ok(value.clone())
}

fn replace(text: &str, results: &BTreeMap<String, Value>) -> Result<String, Error> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((head, tail)) = rest.split_once("@{") {
        let (path, tail) = tail.split_once('}').unwrap_or((tail, ""));
        out.push_str(head);
        let value = look_up(path, results)?;
        out.push_str(
            &value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned),
        );
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}

fn replace_all(value: &Value, results: &BTreeMap<String, Value>) -> Result<Value, Error> {
    Ok(match value {
        Value::String(text) => Value::String(replace(text, results)?),
        Value::Array(items) => Value::Array(
            items
                .iter()
                .map(|item| replace_all(item, results))
                .collect::<Result<_, _>>()?,
        ),
        Value::Object(items) => Value::Object(
            items
                .iter()
                .map(|(key, item)| Ok((key.clone(), replace_all(item, results)?)))
                .collect::<Result<_, Error>>()?,
        ),
        other => other.clone(),
    })
}

/// `composite/batch`: independent subrequests.
pub(crate) fn batch(org: &mut Org, caller: &Caller, request: &Request) -> Result<Reply, Error> {
    let body = request.body.object()?;
    let halt = body.get("haltOnError") == Some(&Value::Bool(true));
    let parts = body
        .get("batchRequests")
        .and_then(Value::as_array)
        .ok_or_else(|| {
            Error::new(
                400,
                "JSON_PARSER_ERROR",
                "Missing required field: batchRequests",
            )
        })?;
    if parts.len() > 25 {
        return Err(Error::new(
            400,
            "LIMIT_EXCEEDED",
            "The number of subrequests cannot exceed 25",
        ));
    }
    let mut failed = false;
    let mut lines = Vec::new();
    let mut results = Vec::new();
    for part in parts {
        let url = part.at("url").as_str().unwrap_or_default();
        let method = part
            .at("method")
            .as_str()
            .unwrap_or_default()
            .to_ascii_uppercase();
        let reply = if failed && halt {
            Error::new(
                412,
                "BATCH_PROCESSING_HALTED",
                "Batch processing halted per request",
            )
            .reply()
        } else {
            match inner_request(url, &method, part.at("richInput").clone()) {
                Some(inner) => rest::answer(org, caller, &inner),
                None => Error::not_found().reply(),
            }
        };
        failed = failed || !reply.is_success();
        lines.push(line(Some(&method), Some(url), reply.status));
        results.push(json!({ "statusCode": reply.status, "result": reply.value() }));
    }
    let mut reply = Reply::json(200, &json!({ "hasErrors": failed, "results": results }));
    reply.parts = lines;
    Ok(reply)
}

fn row_error(error: &Error, id: Option<&str>) -> Value {
    let mut out = json!({ "success": false, "errors": [error.row_value()] });
    if let (Value::Object(out), Some(id)) = (&mut out, id) {
        out.insert("id".into(), json!(id));
    }
    out
}

fn too_many() -> Error {
    let message = "record limit reached. cannot submit more than 200 records in a single request";
    Error::new(400, "EXCEEDED_ID_LIMIT", message)
}

/// `composite/sobjects…`: up to 200 rows of one operation.
pub(crate) fn collections(
    org: &mut Org,
    caller: &Caller,
    request: &Request,
    tail: &[&str],
) -> Result<Reply, Error> {
    let method = request.method.as_str();
    match (method, tail) {
        ("GET" | "POST", [name]) => return retrieve(org, request, name),
        ("DELETE", []) => {
            let list = request.param("ids").unwrap_or_default().to_owned();
            let ids: Vec<Value> = list
                .split(',')
                .filter(|id| !id.is_empty())
                .map(|id| json!({ "id": id }))
                .collect();
            let strict = request.param("allOrNone") == Some("true");
            return rows(org, caller, &ids, strict, request, remove);
        }
        ("POST" | "PATCH", []) | ("PATCH", [_, _]) => {}
        _ => return Err(Error::not_found()),
    }
    let body = request.body.object()?;
    let strict = body.get("allOrNone") == Some(&Value::Bool(true));
    let records = body
        .get("records")
        .and_then(Value::as_array)
        .ok_or_else(|| Error::new(400, "JSON_PARSER_ERROR", "Missing required field: records"))?;
    let mut chunks = 0;
    let mut last = "";
    for record in records {
        let name = record
            .at("attributes")
            .at("type")
            .as_str()
            .unwrap_or_default();
        chunks += usize::from(name != last);
        last = name;
    }
    if chunks > 10 {
        let message = "The request can contain at most 10 chunks of different types";
        return Err(Error::new(400, "INVALID_INPUT", message));
    }
    let wish = Wish {
        create: method == "POST",
        only: tail.first().copied(),
        key: tail.get(1).copied(),
    };
    if let Some((name, key)) = wish.only.zip(wish.key) {
        let ty = org.object(name).ok_or_else(Error::not_found)?;
        rest::external_field(&ty, key, false)?;
    }
    rows(
        org,
        caller,
        records,
        strict,
        request,
        move |org, caller, record| write_row(org, caller, record, &wish),
    )
}

/// The treatment of each row of a collection.
struct Wish<'a> {
    create: bool,
    /// The object, when the path names it.
    only: Option<&'a str>,
    /// The external id of an upsert.
    key: Option<&'a str>,
}

fn remove(org: &mut Org, caller: &Caller, row: &Value) -> Result<Value, Error> {
    let id = row.at("id").as_str().unwrap_or_default();
    let id = ids::long(id)
        .ok_or_else(|| Error::on("MALFORMED_ID", format!("malformed id {id}"), &[]))?;
    let object = org
        .by_id(&id)
        .map(|(ty, _, _)| ty.name.clone())
        .ok_or_else(|| {
            Error::on(
                "INVALID_CROSS_REFERENCE_KEY",
                "invalid cross reference id",
                &[],
            )
        })?;
    org.delete(caller, &object, &id)?;
    Ok(json!({ "id": id, "success": true, "errors": [] }))
}

fn write_row(
    org: &mut Org,
    caller: &Caller,
    record: &Value,
    wish: &Wish<'_>,
) -> Result<Value, Error> {
    let name = record
        .at("attributes")
        .at("type")
        .as_str()
        .map(str::to_owned)
        .or_else(|| wish.only.map(str::to_owned));
    let ty = name
        .as_deref()
        .and_then(|name| org.object(name))
        .ok_or_else(|| {
            Error::on(
                "INVALID_TYPE",
                format!(
                    "sObject type '{}' is not supported.",
                    name.unwrap_or_default()
                ),
                &[],
            )
        })?;
    let mut fields = record.as_object().cloned().unwrap_or_default();
    let mut take = |name: &str| {
        let key = fields
            .keys()
            .find(|key| key.eq_ignore_ascii_case(name))
            .cloned();
        key.and_then(|key| fields.remove(&key))
    };
    if let Some(key) = wish.key {
        let field = rest::external_field(&ty, key, false)?;
        let value = take(&field.name).unwrap_or_default();
        let value = value.as_str().map_or_else(
            || {
                if value.is_null() {
                    String::new()
                } else {
                    value.to_string()
                }
            },
            str::to_owned,
        );
        if value.is_empty() && !field.name.eq_ignore_ascii_case("Id") {
            let message = format!("{} not specified", field.name);
            return Err(Error::on("MISSING_ARGUMENT", message, &[]));
        }
        let done = rest::upsert(org, caller, &ty, &field, &value, &fields)?;
        return Ok(
            json!({ "id": done.id, "success": true, "errors": [], "created": done.created }),
        );
    }
    if wish.create {
        let id = org.write(caller, &ty, None, &fields)?;
        return Ok(json!({ "id": id, "success": true, "errors": [] }));
    }
    let id = take("Id")
        .and_then(|id| id.as_str().map(str::to_owned))
        .unwrap_or_default();
    let id = match (id.as_str(), ids::long(&id)) {
        ("", _) => {
            return Err(Error::on(
                "MISSING_ARGUMENT",
                "Id not specified in an update call",
                &[],
            ));
        }
        (id, None) => {
            return Err(Error::on(
                "MALFORMED_ID",
                format!("malformed id {id}"),
                &["Id"],
            ));
        }
        (_, Some(id)) => id,
    };
    let id = org.write(caller, &ty, Some(&id), &fields)?;
    Ok(json!({ "id": id, "success": true, "errors": [] }))
}

fn rows(
    org: &mut Org,
    caller: &Caller,
    records: &[Value],
    strict: bool,
    request: &Request,
    mut each: impl FnMut(&mut Org, &Caller, &Value) -> Result<Value, Error>,
) -> Result<Reply, Error> {
    if records.len() > 200 {
        return Err(too_many());
    }
    let mark = org.store.begin();
    let outcomes: Vec<Result<Value, Error>> = records
        .iter()
        .map(|record| each(org, caller, record))
        .collect();
    let bad = outcomes.iter().filter(|outcome| outcome.is_err()).count();
    let undone = strict && bad > 0;
    if undone {
        org.store.rollback(mark);
    } else {
        org.store.commit();
    }
    let answers: Vec<Value> = outcomes
        .iter()
        .zip(records)
        .map(|(outcome, record)| match outcome {
            Ok(_) if undone => row_error(
                &Error::new(
                    400,
                    "ALL_OR_NONE_OPERATION_ROLLED_BACK",
                    "Record rolled back because not all records were valid and the request was \
                     using AllOrNone header",
                ),
                None,
            ),
            Ok(done) => done.clone(),
            Err(error) => {
                let id = record
                    .get("id")
                    .or_else(|| record.get("Id"))
                    .and_then(Value::as_str);
                row_error(error, id)
            }
        })
        .collect();
    let mut reply = Reply::json(200, &Value::Array(answers));
    reply.parts = vec![format!(
        "{} rows {} bad {bad}",
        request.method,
        records.len()
    )];
    Ok(reply)
}

/// Reads several rows of one object by id: null where there is none.
fn retrieve(org: &Org, request: &Request, name: &str) -> Result<Reply, Error> {
    let ty = org.object(name).ok_or_else(Error::not_found)?;
    let list = |name: &str| -> Vec<String> {
        if let Some(text) = request.param(name) {
            return text.split(',').map(|part| part.trim().to_owned()).collect();
        }
        let body = request
            .body
            .object()
            .ok()
            .and_then(|body| body.get(name))
            .and_then(Value::as_array);
        body.into_iter()
            .flatten()
            .filter_map(|v| v.as_str().map(str::to_owned))
            .collect()
    };
    let mut fields = Vec::new();
    for name in list("fields") {
        fields.push(ty.field(&name).ok_or_else(|| {
            Error::new(
                400,
                "INVALID_FIELD",
                format!("No such column '{name}' on sobject of type {}", ty.name),
            )
        })?);
    }
    let rows: Vec<Value> = list("ids")
        .iter()
        .map(|id| {
            let row = ids::long(id).and_then(|id| org.live(&ty.name, &id).ok());
            row.map_or(Value::Null, |row| {
                Org::render(&request.version, &ty, row, Some(&fields))
            })
        })
        .collect();
    Ok(Reply::json(200, &Value::Array(rows)))
}
