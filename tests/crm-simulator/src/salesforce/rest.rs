//! The resources below `/services/data/vXX.0/`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::schema::{Field, Kind, ObjectType};
use super::{Caller, Error, Org, composite, describe, ids};
use crate::clock::parse_time;
use crate::http::{Reply, Row};

/// A body: none, JSON, or neither.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    None,
    Json(Value),
    Broken(String),
}

impl Body {
    pub(crate) fn read(bytes: &[u8]) -> Self {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Self::None;
        }
        match serde_json::from_slice(bytes) {
            Ok(value) => Self::Json(value),
            Err(error) => Self::Broken(format!(
                "Unexpected character at [line:{}, column:{}]",
                error.line(),
                error.column()
            )),
        }
    }

    pub(crate) fn value(&self) -> Result<&Value, Error> {
        match self {
            Self::Json(value) => Ok(value),
            Self::Broken(message) => Err(Error::new(400, "JSON_PARSER_ERROR", message.clone())),
            Self::None => Err(Error::new(
                400,
                "JSON_PARSER_ERROR",
                "The HTTP entity body is required, but this request has no entity body.",
            )),
        }
    }

    pub(crate) fn object(&self) -> Result<&Row, Error> {
        self.value()?.as_object().ok_or_else(|| {
            Error::new(
                400,
                "JSON_PARSER_ERROR",
                "Cannot deserialize request body: an object is required at [line:1, column:1]",
            )
        })
    }
}

/// A request below the version.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// `v67.0`
    pub(crate) version: String,
    pub(crate) number: u32,
    pub(crate) path: Vec<String>,
    pub(crate) params: Vec<(String, String)>,
    pub(crate) body: Body,
}

impl Request {
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        self.params
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// The number of a served version.
pub(crate) fn version(text: &str) -> Option<u32> {
    let number: u32 = text.strip_prefix('v')?.strip_suffix(".0")?.parse().ok()?;
    (31..=67).contains(&number).then_some(number)
}

/// Answers a request; also called for the parts of a composite.
pub(crate) fn answer(org: &mut Org, caller: &Caller, request: &Request) -> Reply {
    match route(org, caller, request) {
        Ok(reply) => reply,
        Err(error) => error.reply(),
    }
}

fn route(org: &mut Org, caller: &Caller, request: &Request) -> Result<Reply, Error> {
    let names: Vec<&str> = request.path.iter().map(String::as_str).collect();
    let method = request.method.as_str();
    let version = request.version.as_str();
    check_params(request, &names)?;
    match (method, names.as_slice()) {
        ("GET" | "HEAD", []) => Ok(describe::resources(org, caller, version)),
        ("GET", ["limits"]) => Ok(describe::limits(org)),
        ("GET", ["limits", "recordCount"]) => {
            Ok(describe::record_count(org, request.param("sObjects")))
        }
        ("GET", ["connect", "organization"]) => Ok(describe::organization(org, caller)),
        ("GET", ["sobjects"]) => Ok(describe::global(org, version)),
        ("GET", ["query" | "queryAll"]) => {
            let text = request.param("q").unwrap_or_default();
            org.query(caller, version, text, names.first() == Some(&"queryAll"))
        }
        ("GET", ["query" | "queryAll", locator]) => org.query_more(caller, version, locator),
        (_, ["jobs", "query", tail @ ..]) => org.bulk(caller, request, tail),
        ("POST", ["composite"]) => composite::composite(org, caller, request),
        ("POST", ["composite", "batch"]) => composite::batch(org, caller, request),
        (_, ["composite", "sobjects", tail @ ..]) => {
            composite::collections(org, caller, request, tail)
        }
        (_, ["sobjects", name, tail @ ..]) => {
            let ty = org
                .object(name)
                .filter(|ty| !org.is_denied(&ty.name, "read") || method != "GET");
            let ty = ty.ok_or_else(Error::not_found)?;
            sobject(org, caller, request, &ty, tail)
        }
        (
            _,
            [
                "query" | "queryAll" | "limits" | "sobjects" | "composite",
                ..,
            ],
        ) => Err(not_allowed(method)),
        _ => Err(Error::not_found()),
    }
}

/// Refuses a parameter that the resource does not serve here: a client that sends one would take
/// silence for its effect.
fn check_params(request: &Request, names: &[&str]) -> Result<(), Error> {
    let served: &[&str] = match names {
        ["limits", "recordCount"] => &["sObjects"],
        ["query" | "queryAll"] => &["q"],
        ["jobs", "query"] => &[
            "queryLocator",
            "isPkChunkingEnabled",
            "jobType",
            "concurrencyMode",
        ],
        ["jobs", "query", _, "results"] => &["locator", "maxRecords"],
        ["composite", "sobjects", ..] => &["ids", "fields", "allOrNone"],
        ["sobjects", _, "deleted" | "updated"] => &["start", "end"],
        ["sobjects", _, "describe"] => &[],
        ["sobjects", _, _] | ["sobjects", _, _, _] => &["fields"],
        _ => &[],
    };
    match request
        .params
        .iter()
        .find(|(name, _)| !served.contains(&name.as_str()))
    {
        None => Ok(()),
        Some((name, _)) => Err(Error::new(
            501,
            "NOT_SERVED_BY_SIMULATOR",
            format!("The simulator does not serve the parameter '{name}' here."),
        )),
    }
}

fn not_allowed(method: &str) -> Error {
    Error::new(
        405,
        "METHOD_NOT_ALLOWED",
        format!("HTTP Method '{method}' not allowed. Allowed are HEAD,GET,POST,PATCH,DELETE"),
    )
}

fn sobject(
    org: &mut Org,
    caller: &Caller,
    request: &Request,
    ty: &Arc<ObjectType>,
    tail: &[&str],
) -> Result<Reply, Error> {
    let version = request.version.as_str();
    match (request.method.as_str(), tail) {
        ("GET", []) => Ok(describe::basic(org, version, ty)),
        ("POST", []) => {
            let id = org.write(caller, ty, None, request.body.object()?)?;
            let location = format!("/services/data/{version}/sobjects/{}/{id}", ty.name);
            Ok(
                Reply::json(201, &json!({ "id": id, "success": true, "errors": [] }))
                    .with("location", location),
            )
        }
        ("GET", ["describe"]) => Ok(describe::object(org, version, ty)),
        ("GET", ["deleted" | "updated"]) => {
            changed(org, caller, request, ty, tail.first() == Some(&"deleted"))
        }
        ("GET", [id]) => {
            let id = known_id(id)?;
            let row = org.store.get(&ty.name, &id).ok_or_else(Error::not_found)?;
            if super::records::is_deleted(row) {
                return Err(Error {
                    status: 404,
                    ..Error::on("ENTITY_IS_DELETED", "entity is deleted", &[])
                });
            }
            let fields = chosen(ty, request.param("fields"))?;
            Ok(Reply::json(
                200,
                &Org::render(version, ty, row, fields.as_deref()),
            ))
        }
        ("PATCH", [id]) => {
            let id = known_id(id)?;
            if let (Some(since), Some(row)) =
                (caller.unmodified_since, org.store.get(&ty.name, &id))
                && let Some(changed) = row.get("LastModifiedDate").and_then(Value::as_str)
                && parse_time(changed).is_some_and(|changed| changed > since)
            {
                return Ok(Reply::empty(412));
            }
            org.write(caller, ty, Some(&id), request.body.object()?)?;
            Ok(Reply::empty(204))
        }
        ("DELETE", [id]) => {
            let id = known_id(id)?;
            org.delete(caller, &ty.name, &id)?;
            Ok(Reply::empty(204))
        }
        ("GET" | "PATCH" | "POST" | "DELETE", [field, value]) => {
            by_external_id(org, caller, request, ty, field, value)
        }
        ("GET" | "PATCH" | "POST" | "DELETE", _) => Err(Error::not_found()),
        (method, _) => Err(not_allowed(method)),
    }
}

fn external_missing(name: &str) -> Error {
    let message = format!("Provided external ID field does not exist or is not accessible: {name}");
    Error::new(404, "NOT_FOUND", message)
}

fn known_id(id: &str) -> Result<String, Error> {
    ids::long(id).ok_or_else(|| external_missing(id))
}

fn chosen<'a>(ty: &'a ObjectType, fields: Option<&str>) -> Result<Option<Vec<&'a Field>>, Error> {
    let Some(list) = fields else { return Ok(None) };
    let mut out = Vec::new();
    for name in list
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
    {
        let field = ty.field(name).ok_or_else(|| {
            Error::new(
                400,
                "INVALID_FIELD",
                format!("No such column '{name}' on sobject of type {}", ty.name),
            )
        })?;
        out.push(field);
    }
    if let Some(id) = ty
        .field("Id")
        .filter(|_| !out.iter().any(|field| field.kind == Kind::Id))
    {
        out.push(id);
    }
    Ok(Some(out))
}

/// The result of an upsert.
pub(crate) struct Upserted {
    pub(crate) id: String,
    pub(crate) created: bool,
}

/// Creates or changes the row whose external id holds the value.
pub(crate) fn upsert(
    org: &mut Org,
    caller: &Caller,
    ty: &Arc<ObjectType>,
    field: &Field,
    value: &str,
    body: &Row,
) -> Result<Upserted, Error> {
    if field.kind == Kind::Id {
        if value.is_empty() {
            let id = org.write(caller, ty, None, body)?;
            return Ok(Upserted { id, created: true });
        }
        let id = org.write(caller, ty, Some(&known_id(value)?), body)?;
        return Ok(Upserted { id, created: false });
    }
    let found = org.holders(&ty.name, &field.name, value);
    match found.as_slice() {
        [] => {
            let mut body = body.clone();
            body.insert(field.name.clone(), json!(value));
            let id = org.write(caller, ty, None, &body)?;
            Ok(Upserted { id, created: true })
        }
        [id] => {
            let id = org.write(caller, ty, Some(id), body)?;
            Ok(Upserted { id, created: false })
        }
        _ => Err(Error::new(
            300,
            "DUPLICATE_EXTERNAL_ID",
            format!(
                "{}: more than one record found for external id field: [{}]",
                field.name,
                found.join(", ")
            ),
        )),
    }
}

/// The field of an upsert's path: an external id, an id look-up field, or `Id`.
pub(crate) fn external_field(ty: &ObjectType, name: &str, strict: bool) -> Result<Field, Error> {
    ty.field(name)
        .filter(|field| {
            field.external_id || field.kind == Kind::Id || (!strict && field.id_lookup())
        })
        .cloned()
        .ok_or_else(|| external_missing(name))
}

fn by_external_id(
    org: &mut Org,
    caller: &Caller,
    request: &Request,
    ty: &Arc<ObjectType>,
    name: &str,
    value: &str,
) -> Result<Reply, Error> {
    let version = request.version.as_str();
    let field = external_field(ty, name, true)?;
    if request.method == "PATCH" {
        let body = request.body.object()?;
        if let Some(own) = body
            .keys()
            .find(|key| key.eq_ignore_ascii_case(&field.name))
        {
            let message = format!("The {own} field should not be specified in the sobject data.");
            return Err(Error::new(400, "INVALID_FIELD", message));
        }
        let several = several(org, version, ty, &field, value);
        if let Some(reply) = several {
            return Ok(reply);
        }
        let done = upsert(org, caller, ty, &field, value, body)?;
        // Before v46 an update had no body.
        if !done.created && request.number < 46 {
            return Ok(Reply::empty(204));
        }
        let body = json!({ "id": done.id, "success": true, "errors": [], "created": done.created });
        let reply = Reply::json(if done.created { 201 } else { 200 }, &body);
        return Ok(if done.created {
            reply.with(
                "location",
                format!("/services/data/{version}/sobjects/{}/{}", ty.name, done.id),
            )
        } else {
            reply
        });
    }
    if let Some(reply) = several(org, version, ty, &field, value) {
        return Ok(reply);
    }
    let id = match field.kind {
        Kind::Id => known_id(value)?,
        _ => org
            .holders(&ty.name, &field.name, value)
            .pop()
            .ok_or_else(Error::not_found)?,
    };
    match request.method.as_str() {
        "GET" => {
            let fields = chosen(ty, request.param("fields"))?;
            let row = org.live(&ty.name, &id).map_err(|_| Error::not_found())?;
            Ok(Reply::json(
                200,
                &Org::render(version, ty, row, fields.as_deref()),
            ))
        }
        "DELETE" => {
            org.delete(caller, &ty.name, &id)?;
            Ok(Reply::empty(204))
        }
        method => Err(not_allowed(method)),
    }
}

/// 300: the addresses of all rows that hold the value.
fn several(org: &Org, version: &str, ty: &ObjectType, field: &Field, value: &str) -> Option<Reply> {
    if field.kind == Kind::Id {
        return None;
    }
    let found = org.holders(&ty.name, &field.name, value);
    (found.len() > 1).then(|| {
        let urls: Vec<String> = found
            .iter()
            .map(|id| format!("/services/data/{version}/sobjects/{}/{id}", ty.name))
            .collect();
        Reply::json(300, &json!(urls))
    })
}

/// `deleted` and `updated`: ids by the time of their last change.
fn changed(
    org: &Org,
    caller: &Caller,
    request: &Request,
    ty: &ObjectType,
    deleted: bool,
) -> Result<Reply, Error> {
    const FIFTEEN_DAYS_MS: i64 = 15 * 24 * 3600 * 1000;
    let time = |name: &str| {
        request
            .param(name)
            .and_then(|text| crate::clock::parse_time(&text.replace(' ', "+")))
            .ok_or_else(|| {
                Error::new(
                    400,
                    "INVALID_REPLICATION_DATE",
                    format!("missing or invalid {name} date"),
                )
            })
    };
    let (start, end) = (time("start")?, time("end")?);
    if start >= end {
        return Err(Error::new(
            400,
            "INVALID_REPLICATION_DATE",
            "startDate must be before endDate",
        ));
    }
    if start < caller.now_ms - 2 * FIFTEEN_DAYS_MS {
        return Err(Error::new(
            400,
            "INVALID_REPLICATION_DATE",
            "startDate cannot be more than 30 days ago",
        ));
    }
    let hits: Vec<(&String, &str)> = org
        .store
        .rows(&ty.name)
        .filter(|(_, row)| super::records::is_deleted(row) == deleted)
        .filter_map(|(id, row)| Some((id, row.get("SystemModstamp")?.as_str()?)))
        .filter(|(_, at)| {
            crate::clock::parse_time(at).is_some_and(|at| (start..=end).contains(&at))
        })
        .collect();
    let covered = crate::clock::salesforce_time(end.min(caller.now_ms));
    Ok(Reply::json(
        200,
        &if deleted {
            let rows: Vec<Value> = hits
                .iter()
                .map(|(id, at)| json!({ "id": id, "deletedDate": at }))
                .collect();
            json!({
                "deletedRecords": rows, "latestDateCovered": covered,
                "earliestDateAvailable": crate::clock::salesforce_time(caller.now_ms - FIFTEEN_DAYS_MS),
            })
        } else {
            let ids: Vec<&String> = hits.iter().map(|(id, _)| *id).collect();
            json!({ "ids": ids, "latestDateCovered": covered })
        },
    ))
}
