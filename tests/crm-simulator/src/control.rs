//! The API that tests steer the simulator with.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::clock::Source;
use crate::dataverse::schema::NewColumn;
use crate::fault::Fault;
use crate::http::{At as _, Call, Reply, Row};
use crate::linkedin::{self, LinkedIn, Submission};
use crate::record::Record;
use crate::salesforce::schema::NewField;
use crate::salesforce::{self, Salesforce, records};
use crate::state::{World, lock};

/// The routes, as `GET /` lists them.
const ROUTES: &[&str] = &[
    "GET /",
    "POST /reset",
    "POST /samples",
    "POST /generate",
    "GET /clock",
    "POST /clock",
    "POST /tokens",
    "POST /tokens/expire",
    "POST /tokens/revoke",
    "GET /records/{system}/{object}",
    "POST /records/{system}/{object}",
    "GET /records/{system}/{object}/{id}",
    "PATCH /records/{system}/{object}/{id}",
    "DELETE /records/{system}/{object}/{id}",
    "POST /records/{system}/Lead/{id}/convert",
    "POST /records/{system}/{object}/{id}/undelete",
    "POST /records/{system}/{object}/{id}/purge",
    "POST /records/{system}/{object}/{id}/merge",
    "POST /records/dataverse/{table}/{id}/restore",
    "POST /records/dataverse/{table}/{id}/merge",
    "POST /records/dataverse/lead/{id}/qualify",
    "POST /salesforce/expire-locators",
    "POST /dataverse/expire-deltas",
    "POST /dataverse/expire-skiptokens",
    "GET /ledger",
    "GET /ledger/summary",
    "DELETE /ledger",
    "GET /faults",
    "POST /faults",
    "DELETE /faults",
    "DELETE /faults/{id}",
    "GET /settings",
    "PATCH /settings",
    "POST /fields/{system}/{object}",
    "GET /linkedin/accounts",
    "POST /linkedin/accounts",
    "GET /linkedin/forms",
    "POST /linkedin/forms",
    "GET /linkedin/leads",
    "POST /linkedin/leads",
    "POST /linkedin/leads/{id}/delete",
    "POST /linkedin/validate",
];

/// A refusal: status and reason.
type Refusal = (u16, String);

fn bad(reason: impl std::fmt::Display) -> Refusal {
    (400, reason.to_string())
}

fn missing() -> Refusal {
    (404, "there is no such thing".into())
}

fn body<T: DeserializeOwned>(call: &Call) -> Result<T, Refusal> {
    let bytes: &[u8] = if call.body.is_empty() {
        b"{}"
    } else {
        &call.body
    };
    serde_json::from_slice(bytes).map_err(bad)
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "an arm of a match whose other arms refuse"
)]
fn done(value: &Value) -> Result<Reply, Refusal> {
    Ok(Reply::json(200, value))
}

/// Answers one call.
pub(crate) async fn handle(world: &Arc<World>, call: &Call) -> Reply {
    let result = match (call.method.as_str(), call.path.as_str()) {
        ("POST", "/linkedin/leads") => submit(world, call).await,
        ("POST", "/linkedin/validate") => validate(call).await,
        ("POST", path) if path.starts_with("/linkedin/leads/") && path.ends_with("/delete") => {
            withdraw(world, call).await
        }
        _ => route(world, call),
    };
    if call.method != "GET" {
        world.changed.notify_one();
    }
    match result {
        Ok(reply) => reply,
        Err((status, reason)) => Reply::json(status, &json!({ "error": reason })),
    }
}

fn route(world: &World, call: &Call) -> Result<Reply, Refusal> {
    let segments = call.segments();
    let names: Vec<&str> = segments.iter().map(String::as_str).collect();
    match (call.method.as_str(), names.as_slice()) {
        ("GET", []) => done(&json!({ "routes": ROUTES })),
        ("POST", ["reset"]) => reset(world, call),
        ("POST", ["samples"]) => {
            world.add_samples();
            Ok(Reply::empty(204))
        }
        ("POST", ["generate"]) => generate(world, call),
        ("GET", ["clock"]) => done(&clock(world)),
        ("POST", ["clock"]) => set_clock(world, call),
        ("POST", ["tokens"]) => mint(world, call),
        ("POST", ["tokens", action @ ("expire" | "revoke")]) => end_tokens(world, call, action),
        (_, ["records", system, object, rest @ ..]) => records(world, call, system, object, rest),
        ("POST", ["dataverse", "expire-deltas"]) => {
            lock(&world.dataverse).expire_deltas();
            Ok(Reply::empty(204))
        }
        ("POST", ["dataverse", "expire-skiptokens"]) => {
            lock(&world.dataverse).expire_skip_tokens();
            Ok(Reply::empty(204))
        }
        ("POST", ["salesforce", "expire-locators"]) => {
            let mut held = lock(&world.salesforce);
            let count = held.production.expire_locators() + held.sandbox.expire_locators();
            done(&json!({ "count": count }))
        }
        ("GET", ["ledger"]) => {
            let since = call
                .param("since")
                .and_then(|n| n.parse().ok())
                .unwrap_or(0);
            done(&lock(&world.ledger).list(call.param("system").as_deref(), since))
        }
        ("GET", ["ledger", "summary"]) => done(&summary(world)),
        ("DELETE", ["ledger"]) => {
            lock(&world.ledger).clear();
            Ok(Reply::empty(204))
        }
        ("GET", ["faults"]) => done(&lock(&world.faults).list()),
        ("POST", ["faults"]) => {
            let fault: Fault = body(call)?;
            if !matches!(
                fault.system.as_str(),
                "salesforce" | "dataverse" | "linkedin" | "entra"
            ) {
                return Err(bad(
                    "system is one of salesforce, dataverse, linkedin, entra",
                ));
            }
            let id = lock(&world.faults).add(fault);
            Ok(Reply::json(201, &json!({ "id": id })))
        }
        ("DELETE", ["faults"]) => {
            lock(&world.faults).clear();
            Ok(Reply::empty(204))
        }
        ("DELETE", ["faults", id]) => {
            let gone = id.parse().is_ok_and(|id| lock(&world.faults).remove(id));
            if gone {
                Ok(Reply::empty(204))
            } else {
                Err(missing())
            }
        }
        ("GET", ["settings"]) => done(&settings(world)),
        ("PATCH" | "POST", ["settings"]) => change_settings(world, call),
        ("POST", ["fields", system, object]) => add_field(world, call, system, object),
        ("GET", ["linkedin", "accounts"]) => done(&json!(lock(&world.linkedin).accounts)),
        ("POST", ["linkedin", "accounts"]) => {
            let given: Value = body(call)?;
            let id = given
                .at("id")
                .as_str()
                .map_or_else(|| given.at("id").to_string(), str::to_owned);
            let name = given.at("name").as_str().unwrap_or("Account").to_owned();
            lock(&world.linkedin).accounts.insert(id.clone(), name);
            Ok(Reply::json(201, &json!({ "id": id })))
        }
        ("GET", ["linkedin", "forms"]) => done(&json!(lock(&world.linkedin).forms)),
        ("POST", ["linkedin", "forms"]) => {
            let id = lock(&world.linkedin).add_form(body(call)?, world.clock.now_ms());
            id.map(|id| Reply::json(201, &json!({ "id": id })))
                .ok_or_else(|| bad("a form is an object"))
        }
        ("GET", ["linkedin", "leads"]) => done(&json!(lock(&world.linkedin).leads)),
        _ => Err(missing()),
    }
}

fn reset(world: &World, call: &Call) -> Result<Reply, Refusal> {
    let given: Value = body(call)?;
    let keep = given.at("keep_tokens") == true;
    let now = world.clock.now_ms();
    {
        let mut held = lock(&world.salesforce);
        let mut fresh = Salesforce::new(now);
        if keep {
            std::mem::swap(&mut fresh.auth, &mut held.auth);
        }
        *held = fresh;
    }
    {
        let mut held = lock(&world.dataverse);
        let mut fresh = crate::dataverse::Dataverse::new(now);
        if keep {
            std::mem::swap(&mut fresh.auth, &mut held.auth);
        }
        *held = fresh;
    }
    {
        let mut held = lock(&world.linkedin);
        let mut fresh = LinkedIn::new(now);
        if keep {
            std::mem::swap(&mut fresh.auth, &mut held.auth);
        }
        *held = fresh;
    }
    lock(&world.faults).clear();
    lock(&world.ledger).clear();
    Ok(Reply::empty(204))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Generate {
    system: String,
    object: String,
    count: usize,
    #[serde(default)]
    seed: u64,
}

/// Adds made-up records.
fn generate(world: &World, call: &Call) -> Result<Reply, Refusal> {
    const MOST: usize = 5_000_000;
    let wish: Generate = body(call)?;
    if !(1..=MOST).contains(&wish.count) {
        return Err(bad(format!("count is a number from 1 to {MOST}")));
    }
    let now = world.clock.now_ms();
    let ids = if let Some(sandbox) = is_sandbox(&wish.system) {
        let mut held = lock(&world.salesforce);
        held.org(sandbox)
            .generate(&wish.object, wish.count, wish.seed, now)
    } else if wish.system == "dataverse" {
        let mut held = lock(&world.dataverse);
        let ty = held.table(&wish.object).ok_or_else(missing)?;
        held.generate(&ty, wish.count, wish.seed, now)
    } else {
        return Err(missing());
    };
    let (first, last) = ids.ok_or_else(|| bad(format!("no {} is made up", wish.object)))?;
    let body = json!({ "count": wish.count, "first_id": first, "last_id": last });
    Ok(Reply::json(201, &body))
}

fn clock(world: &World) -> Value {
    json!({ "now_ms": world.clock.now_ms(), "source": world.clock.source() })
}

fn set_clock(world: &World, call: &Call) -> Result<Reply, Refusal> {
    let given: Value = body(call)?;
    if given.at("system") == true {
        world.clock.set(Source::System { shift_ms: 0 });
    } else if let Some(now_ms) = given.at("now_ms").as_i64() {
        world.clock.set(Source::Fixed { now_ms });
    } else if let Some(ms) = given.at("advance_ms").as_i64() {
        world.clock.advance(ms);
    } else {
        return Err(bad("give now_ms, advance_ms or system"));
    }
    done(&clock(world))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mint {
    provider: String,
    #[serde(default)]
    org: Option<String>,
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    expires_in_s: Option<i64>,
}

fn mint(world: &World, call: &Call) -> Result<Reply, Refusal> {
    let wish: Mint = body(call)?;
    let (now, urls) = (world.clock.now_ms(), world.urls());
    let user = wish.user.as_deref();
    let value = match wish.provider.as_str() {
        "salesforce" => {
            let sandbox = wish.org.as_deref() == Some("sandbox");
            let life = wish.expires_in_s.map(|s| s * 1000);
            lock(&world.salesforce).mint(&urls.salesforce, sandbox, user, life, now, &world.signer)
        }
        "dataverse" => lock(&world.dataverse).mint(
            &urls.dataverse,
            user,
            wish.expires_in_s,
            now,
            &world.signer,
        ),
        "linkedin" => lock(&world.linkedin).mint(&urls.linkedin, wish.expires_in_s, now),
        _ => return Err(bad("provider is one of salesforce, dataverse, linkedin")),
    };
    Ok(Reply::json(201, &value))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    provider: String,
    #[serde(default, alias = "refresh_token", alias = "token")]
    access_token: Option<String>,
}

fn end_tokens(world: &World, call: &Call, action: &str) -> Result<Reply, Refusal> {
    let wish: End = body(call)?;
    let token = wish.access_token.as_deref();
    let revoke = action == "revoke";
    let count = match wish.provider.as_str() {
        "salesforce" => {
            let auth = &mut lock(&world.salesforce).auth;
            match (revoke, token) {
                (false, token) => auth.expire(token),
                (true, Some(token)) => usize::from(auth.revoke(token)),
                (true, None) => auth.revoke_all(),
            }
        }
        "dataverse" => {
            let auth = &mut lock(&world.dataverse).auth;
            if revoke {
                auth.revoke(token)
            } else {
                auth.expire(token)
            }
        }
        "linkedin" => {
            let auth = &mut lock(&world.linkedin).auth;
            if revoke {
                auth.revoke(token)
            } else {
                auth.expire(token)
            }
        }
        _ => return Err(bad("provider is one of salesforce, dataverse, linkedin")),
    };
    done(&json!({ "count": count }))
}

/// Production or sandbox, by the system's name.
fn is_sandbox(system: &str) -> Option<bool> {
    match system {
        "salesforce" | "salesforce-production" => Some(false),
        "salesforce-sandbox" => Some(true),
        _ => None,
    }
}

fn records(
    world: &World,
    call: &Call,
    system: &str,
    object: &str,
    rest: &[&str],
) -> Result<Reply, Refusal> {
    let now = world.clock.now_ms();
    match (is_sandbox(system), system) {
        (Some(sandbox), _) => {
            let mut held = lock(&world.salesforce);
            salesforce_records(held.org(sandbox), call, object, rest, now)
        }
        (None, "dataverse") => {
            dataverse_records(&mut lock(&world.dataverse), call, object, rest, now)
        }
        _ => Err(bad(
            "system is one of salesforce, salesforce-sandbox, dataverse",
        )),
    }
}

fn salesforce_records(
    org: &mut salesforce::Org,
    call: &Call,
    object: &str,
    rest: &[&str],
    now_ms: i64,
) -> Result<Reply, Refusal> {
    let ty = org.object(object).ok_or_else(missing)?;
    let user = org.user(None).unwrap_or_default();
    let caller = salesforce::Caller {
        user: user.clone(),
        now_ms,
        base: String::new(),
        allow_save: true,
        details: false,
        batch_size: None,
        auto_assign: false,
        unmodified_since: None,
    };
    let known = |id: &str| salesforce::ids::long(id).ok_or_else(missing);
    let all = call.param("include_deleted").as_deref() == Some("true");
    match (call.method.as_str(), rest) {
        ("GET", []) => {
            let rows: Vec<&Record> = org
                .store
                .rows(&ty.name)
                .map(|(_, row)| row)
                .filter(|row| all || !records::is_deleted(row))
                .collect();
            done(&json!(rows))
        }
        ("GET", [id]) => {
            let row = org.store.get(&ty.name, &known(id)?).ok_or_else(missing)?;
            done(&json!(row))
        }
        ("POST", []) => {
            let given: Row = body(call)?;
            let id = match given.get("Id").and_then(Value::as_str) {
                Some(id) => known(id)?,
                None => org.next_id(&ty.name),
            };
            let mut row = Row::new();
            for field in &ty.fields {
                if let Some(default) = &field.default {
                    row.insert(field.name.clone(), default.clone());
                }
            }
            if ty.field("OwnerId").is_some() {
                row.insert("OwnerId".into(), json!(user));
            }
            let names: Vec<String> = given.keys().cloned().collect();
            row.extend(given);
            org.derive(&ty, &mut row, &names);
            records::stamp(&mut row, &id, &user, now_ms, true);
            org.store.put(&ty.name, &id, row);
            org.rebuild_for(&ty.name);
            Ok(Reply::json(201, &json!({ "id": id })))
        }
        ("PATCH", [id]) => {
            let id = known(id)?;
            let mut row = org.store.get(&ty.name, &id).ok_or_else(missing)?.to_row();
            let given: Row = body(call)?;
            let names: Vec<String> = given.keys().cloned().collect();
            row.extend(given);
            org.derive(&ty, &mut row, &names);
            records::stamp(&mut row, &id, &user, now_ms, false);
            org.store.put(&ty.name, &id, row);
            org.rebuild_for(&ty.name);
            done(&json!({ "id": id }))
        }
        ("DELETE", [id]) => {
            org.delete(&caller, &ty.name, &known(id)?)
                .map_err(|e| (e.status, e.message))?;
            Ok(Reply::empty(204))
        }
        ("POST", [id, "undelete"]) => {
            let done = org.undelete(&caller, &ty.name, &known(id)?);
            done.map_err(|e| (e.status, e.message))?;
            Ok(Reply::empty(204))
        }
        ("POST", [id, "purge"]) => {
            let done = org.purge(&ty.name, &known(id)?);
            done.map_err(|e| (e.status, e.message))?;
            Ok(Reply::empty(204))
        }
        ("POST", [id, "merge"]) => {
            let (loser, winner) = (known(id)?, known(&body::<Merge>(call)?.into)?);
            let done = org.merge(&caller, &ty.name, &loser, &winner);
            done.map_err(|e| (e.status, e.message))?;
            Ok(Reply::empty(204))
        }
        ("POST", [id, "convert"]) if ty.name == "Lead" => {
            let value = org
                .convert(&caller, &known(id)?)
                .map_err(|e| (e.status, e.message))?;
            done(&value)
        }
        _ => Err(missing()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Merge {
    /// The row that stays.
    into: String,
}

fn dataverse_records(
    held: &mut crate::dataverse::Dataverse,
    call: &Call,
    object: &str,
    rest: &[&str],
    now_ms: i64,
) -> Result<Reply, Refusal> {
    let ty = held
        .table(object)
        .or_else(|| held.by_set(object))
        .ok_or_else(missing)?;
    match (call.method.as_str(), rest) {
        ("GET", []) => {
            let rows: Vec<&Record> = held.store.rows(&ty.name).map(|(_, row)| row).collect();
            done(&json!(rows))
        }
        ("GET", [id]) => done(&json!(held.store.get(&ty.name, id).ok_or_else(missing)?)),
        ("POST", []) => {
            let given: Row = body(call)?;
            let user = held.user(None).unwrap_or_default();
            let mut row = held.fresh(&ty, &user);
            row.extend(given);
            let id = match row.get(&ty.primary_id).and_then(Value::as_str) {
                Some(id) => id.to_lowercase(),
                None => held.next_id(),
            };
            row.insert(ty.primary_id.clone(), json!(id));
            row.entry("createdon")
                .or_insert_with(|| json!(crate::clock::dataverse_time(now_ms)));
            crate::dataverse::rows::derive(&ty, &mut row);
            held.put(&ty, &id, row, now_ms);
            Ok(Reply::json(201, &json!({ "id": id })))
        }
        ("PATCH", [id]) => {
            let mut row = held.store.get(&ty.name, id).ok_or_else(missing)?.to_row();
            row.extend(body::<Row>(call)?);
            crate::dataverse::rows::derive(&ty, &mut row);
            held.put(&ty, id, row, now_ms);
            done(&json!({ "id": id }))
        }
        ("DELETE", [id]) => {
            held.delete(&ty, id).map_err(|e| (e.status, e.message))?;
            Ok(Reply::empty(204))
        }
        ("POST", [id, "restore"]) => {
            let done = held.restore_row(&ty, id, now_ms);
            done.map_err(|e| (e.status, e.message))?;
            Ok(Reply::empty(204))
        }
        ("POST", [id, "merge"]) => {
            let winner = body::<Merge>(call)?.into;
            let done = held.merge(&ty, id, &winner, now_ms);
            done.map_err(|e| (e.status, e.message))?;
            Ok(Reply::empty(204))
        }
        ("POST", [id, "qualify"]) if ty.name == "lead" => {
            let mut row = held.store.get(&ty.name, id).ok_or_else(missing)?.to_row();
            row.insert("statecode".into(), json!(1));
            row.insert("statuscode".into(), json!(3));
            held.put(&ty, id, row, now_ms);
            done(&json!({ "id": id, "statecode": 1, "statuscode": 3 }))
        }
        _ => Err(missing()),
    }
}

fn summary(world: &World) -> Value {
    let mut out = lock(&world.ledger).summary();
    let salesforce = lock(&world.salesforce);
    let count = |org: &salesforce::Org| -> Row {
        org.store
            .tables()
            .map(|name| {
                let live = org
                    .store
                    .rows(name)
                    .filter(|(_, row)| !records::is_deleted(row))
                    .count();
                (name.clone(), json!(live))
            })
            .collect()
    };
    let dataverse = lock(&world.dataverse);
    let tables: Row = dataverse
        .store
        .tables()
        .map(|name| (name.clone(), json!(dataverse.store.len(name))))
        .collect();
    if let Value::Object(out) = &mut out {
        out.insert(
            "records".into(),
            json!({
                "salesforce": count(salesforce.org_ref(false)),
                "salesforce-sandbox": count(salesforce.org_ref(true)), "dataverse": tables,
            }),
        );
        out.insert(
            "api_used".into(),
            json!({
                "salesforce": salesforce.production.api_used,
                "salesforce-sandbox": salesforce.sandbox.api_used,
            }),
        );
    }
    out
}

fn settings(world: &World) -> Value {
    let salesforce = lock(&world.salesforce);
    json!({
        "salesforce": salesforce.production.settings,
        "salesforce-sandbox": salesforce.sandbox.settings,
        "dataverse": lock(&world.dataverse).settings,
        "linkedin": lock(&world.linkedin).settings,
    })
}

/// The settings with some of them changed.
fn merged<T: serde::Serialize + DeserializeOwned>(old: &T, change: &Value) -> Result<T, Refusal> {
    let mut value = serde_json::to_value(old).map_err(bad)?;
    if let (Value::Object(value), Value::Object(change)) = (&mut value, change.clone()) {
        value.extend(change);
    }
    serde_json::from_value(value).map_err(bad)
}

/// `salesforce` is both organisations; `salesforce-production` and `-sandbox` are one.
fn change_settings(world: &World, call: &Call) -> Result<Reply, Refusal> {
    let given: Row = body(call)?;
    for (name, change) in &given {
        match name.as_str() {
            "salesforce" | "salesforce-production" | "salesforce-sandbox" => {
                let mut held = lock(&world.salesforce);
                let users = change.at("users").as_object().into_iter();
                let users = users.flat_map(|users| users.keys().map(String::as_str));
                let listed = change.at("api_disabled_users").as_array().into_iter();
                let listed = listed.flatten().filter_map(Value::as_str);
                let unknown = users.chain(listed).find(|name| {
                    let orgs = [held.org_ref(false), held.org_ref(true)];
                    orgs.iter().all(|org| org.user_named(name).is_none())
                });
                if let Some(name) = unknown {
                    return Err(bad(format!("no user is called {name}")));
                }
                for sandbox in [false, true] {
                    let own = if sandbox {
                        "salesforce-sandbox"
                    } else {
                        "salesforce-production"
                    };
                    if name == "salesforce" || name == own {
                        let org = held.org(sandbox);
                        let mut change = change.clone();
                        if let Some(used) =
                            change.as_object_mut().and_then(|c| c.remove("api_used"))
                        {
                            org.api_used = used.as_u64().unwrap_or(0);
                        }
                        org.settings = merged(&org.settings, &change)?;
                        org.rebuild();
                    }
                }
            }
            "dataverse" => {
                let mut held = lock(&world.dataverse);
                let old = held.settings.clone();
                held.settings = merged(&old, change)?;
                let unknown = held.unknown_privilege().or_else(|| held.unknown_user());
                if let Some(name) = unknown {
                    let refusal = bad(format!("no user or privilege is called {name}"));
                    held.settings = old;
                    return Err(refusal);
                }
                held.rebuild();
            }
            "linkedin" => {
                let mut held = lock(&world.linkedin);
                held.settings = merged(&held.settings, change)?;
            }
            other => return Err(bad(format!("no settings for {other}"))),
        }
    }
    done(&settings(world))
}

fn add_field(world: &World, call: &Call, system: &str, object: &str) -> Result<Reply, Refusal> {
    if system == "dataverse" {
        let column = body::<NewColumn>(call)?
            .build()
            .ok_or_else(|| bad("no such type"))?;
        let mut held = lock(&world.dataverse);
        let ty = held.table(object).ok_or_else(missing)?;
        held.custom.entry(ty.name.clone()).or_default().push(column);
        held.rebuild();
        return Ok(Reply::empty(204));
    }
    let sandbox = is_sandbox(system).ok_or_else(missing)?;
    let field = body::<NewField>(call)?
        .build()
        .ok_or_else(|| bad("no such type"))?;
    let mut held = lock(&world.salesforce);
    let org = held.org(sandbox);
    let ty = org.object(object).ok_or_else(missing)?;
    org.custom.entry(ty.name.clone()).or_default().push(field);
    org.rebuild();
    Ok(Reply::empty(204))
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Deliver {
    url: String,
    #[serde(default = "secret")]
    client_secret: String,
    #[serde(default = "one")]
    times: usize,
    #[serde(default)]
    concurrent: bool,
}

fn secret() -> String {
    linkedin::CLIENT_SECRET.to_owned()
}

fn one() -> usize {
    1
}

async fn submit(world: &World, call: &Call) -> Result<Reply, Refusal> {
    let order: Submission = body(call)?;
    let lead = lock(&world.linkedin)
        .submit(&order, world.clock.now_ms())
        .map_err(bad)?;
    let note = linkedin::notification(&lead, "CREATED", lead.submitted_ms);
    world.changed.notify_one();
    told(&lead.id, &note, order.deliver, 201).await
}

async fn withdraw(world: &World, call: &Call) -> Result<Reply, Refusal> {
    let segments = call.segments();
    let id = segments.get(2).cloned().unwrap_or_default();
    let given: Value = body(call)?;
    let now = world.clock.now_ms();
    let lead = {
        let mut held = lock(&world.linkedin);
        let lead = held.leads.get_mut(&id).ok_or_else(missing)?;
        lead.deleted = true;
        lead.clone()
    };
    let note = linkedin::notification(&lead, "DELETED", now);
    let deliver = given.get("deliver").cloned();
    told(&id, &note, deliver, 200).await
}

async fn told(
    id: &str,
    note: &Value,
    deliver: Option<Value>,
    status: u16,
) -> Result<Reply, Refusal> {
    let mut out = json!({ "id": id, "notification": note });
    if let Some(deliver) = deliver.filter(|d| !d.is_null()) {
        let deliver: Deliver = serde_json::from_value(deliver).map_err(bad)?;
        let sent = delivered(&deliver, note).await.map_err(bad)?;
        if let Value::Object(out) = &mut out {
            out.insert("statuses".into(), json!(sent));
        }
    }
    Ok(Reply::json(status, &out))
}

fn client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .timeout(Duration::from_secs(30))
        .no_proxy()
        .build()
}

/// Posts a notification, signed; 0 stands for no answer.
async fn delivered(deliver: &Deliver, note: &Value) -> Result<Vec<u16>, reqwest::Error> {
    let client = client()?;
    let text = note.to_string();
    let signature = linkedin::signature(&deliver.client_secret, text.as_bytes());
    let post = || {
        let request = client
            .post(&deliver.url)
            .header("content-type", "application/json")
            .header("x-li-signature", &signature)
            .body(text.clone());
        async move {
            request
                .send()
                .await
                .map_or(0, |answer| answer.status().as_u16())
        }
    };
    let mut statuses = Vec::new();
    if deliver.concurrent {
        let tasks: Vec<_> = (0..deliver.times).map(|_| tokio::spawn(post())).collect();
        for task in tasks {
            statuses.push(task.await.unwrap_or(0));
        }
    } else {
        for _ in 0..deliver.times {
            statuses.push(post().await);
        }
    }
    Ok(statuses)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Validate {
    url: String,
    #[serde(default = "secret")]
    client_secret: String,
}

/// The challenge: a good one must be answered, one that is no UUID must not.
#[expect(
    clippy::disallowed_methods,
    reason = "a challenge is random, as the real one"
)]
async fn validate(call: &Call) -> Result<Reply, Refusal> {
    let wish: Validate = body(call)?;
    let client = client().map_err(bad)?;
    let code = uuid::Uuid::new_v4().to_string();
    let separator = if wish.url.contains('?') { '&' } else { '?' };
    let address = format!("{}{separator}challengeCode={code}", wish.url);
    let started = std::time::Instant::now();
    let answer = client.get(&address).send().await.map_err(bad)?;
    let status = answer.status().as_u16();
    let kind = answer
        .headers()
        .get("content-type")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let got: Value = answer
        .bytes()
        .await
        .ok()
        .and_then(|b| serde_json::from_slice(&b).ok())
        .unwrap_or_default();
    let expected = linkedin::sign(&wish.client_secret, code.as_bytes());
    let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let ok = status == 200
        && kind.starts_with("application/json")
        && *got.at("challengeCode") == code
        && *got.at("challengeResponse") == expected
        && took_ms < 3000;
    let forged = format!("{}{separator}challengeCode=hmacsha256%3D%7B%7D", wish.url);
    let forged = client
        .get(&forged)
        .send()
        .await
        .map_or(0, |answer| answer.status().as_u16());
    done(&json!({
        "ok": ok, "status": status, "content_type": kind, "took_ms": took_ms, "answer": got,
        "expected": { "challengeCode": code, "challengeResponse": expected },
        "refuses_other_text": (400..500).contains(&forged),
    }))
}
