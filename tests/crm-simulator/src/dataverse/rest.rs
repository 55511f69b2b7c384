//! The resources below `/api/data/v9.2/`.

use std::cmp::Ordering;
use std::sync::Arc;

use http::HeaderMap;
use serde_json::{Value, json};

use super::odata::{self, Filter, Literal, is_guid};
use super::pages::Page;
use super::privileges::reaches;
use super::rows::{Known, Shape};
use super::schema::{Column, Kind, TableType};
use super::{Caller, Dataverse, Error, with_type};
use crate::http::{Call, Reply, Row, decode, encode, pairs};
use crate::record::Record;

/// A request below the version.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Decoded, without a leading slash.
    pub(crate) path: String,
    pub(crate) params: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) known: Known,
}

impl Request {
    pub(crate) fn of(call: &Call, tail: &str) -> Self {
        Self {
            method: call.method.clone(),
            path: decode(tail).trim_matches('/').to_owned(),
            params: pairs(call.query.as_bytes()),
            headers: call.headers.clone(),
            body: call.body.to_vec(),
            known: Known::new(),
        }
    }

    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        self.params
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// True if `Prefer` holds an item.
    pub(crate) fn prefers(&self, item: &str) -> bool {
        self.preferences()
            .any(|preference| preference.eq_ignore_ascii_case(item))
    }

    fn preferences(&self) -> impl Iterator<Item = String> {
        self.headers
            .get_all("prefer")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| {
                value
                    .split(',')
                    .map(|part| part.trim().to_owned())
                    .collect::<Vec<_>>()
            })
    }

    fn preference(&self, name: &str) -> Option<String> {
        self.preferences().find_map(|preference| {
            let (key, value) = preference.split_once('=')?;
            key.trim()
                .eq_ignore_ascii_case(name)
                .then(|| value.trim().trim_matches('"').to_owned())
        })
    }

    fn json(&self) -> Result<Row, Error> {
        match serde_json::from_slice(&self.body) {
            Ok(Value::Object(row)) => Ok(row),
            _ => Err(Error::new(
                400,
                "0x80048d19",
                "Error identified in Payload provided by the user for Entity :'', For more information on this error please follow this help link https://go.microsoft.com/fwlink/?linkid=2195293  ---->  InnerException : Microsoft.OData.ODataException: Invalid JSON. A token was not recognized in the JSON content.",
            )),
        }
    }
}

impl Dataverse {
    /// Answers a request; also called for the parts of a batch.
    pub(crate) fn answer(&mut self, caller: &Caller, request: &Request) -> Reply {
        match self.route(caller, request) {
            Ok(reply) => reply,
            Err(error) => error.reply(),
        }
    }

    /// `RetrieveTotalRecordCount`: the rows of tables, as they were at some time of the last day. The
    /// names come in the path, or by an alias.
    fn total_counts(&self, caller: &Caller, request: &Request) -> Result<Reply, Error> {
        let given = request
            .path
            .split_once("EntityNames=")
            .map(|(_, rest)| rest);
        let given = given.and_then(|rest| rest.strip_suffix(')'));
        let given = match given {
            Some(alias) if alias.starts_with('@') => request.param(alias),
            other => other,
        };
        let names = given.map(|list| list.replace('\'', "\""));
        let names = names.and_then(|list| serde_json::from_str::<Vec<String>>(&list).ok());
        let Some(names) = names else {
            return Err(Error::syntax("Bad Request - Error in query syntax."));
        };
        for name in &names {
            self.table(name).ok_or_else(|| Error::no_resource(name))?;
        }
        let counts: Vec<usize> = names.iter().map(|name| self.store.len(name)).collect();
        let collection =
            json!({ "Count": names.len(), "IsReadOnly": false, "Keys": names, "Values": counts });
        Ok(with_type(Reply::json(
            200,
            &json!({
                "@odata.context": format!("{}/$metadata#Microsoft.Dynamics.CRM.RetrieveTotalRecordCountResponse", caller.service),
                "EntityRecordCountCollection": collection,
            }),
        )))
    }

    fn route(&mut self, caller: &Caller, request: &Request) -> Result<Reply, Error> {
        let path = request.path.as_str();
        let (head, tail) = path.split_once('/').unwrap_or((path, ""));
        check_served(request, head, tail)?;
        match (request.method.as_str(), head) {
            ("GET", "") => return Ok(self.service(caller)),
            ("GET", "$metadata") => return Ok(self.csdl()),
            ("GET", "WhoAmI" | "WhoAmI()") => {
                return Ok(with_type(Reply::json(
                    200,
                    &json!({
                        "@odata.context": format!("{}/$metadata#Microsoft.Dynamics.CRM.WhoAmIResponse", caller.service),
                        "BusinessUnitId": self.business_unit, "UserId": caller.user,
                        "OrganizationId": self.organization,
                    }),
                )));
            }
            ("GET", "RetrieveVersion()" | "RetrieveVersion") => {
                return Ok(with_type(Reply::json(
                    200,
                    &json!({
                        "@odata.context": format!("{}/$metadata#Microsoft.Dynamics.CRM.RetrieveVersionResponse", caller.service),
                        "Version": "9.2.26104.00155",
                    }),
                )));
            }
            ("GET", _) if head.starts_with("RetrieveTotalRecordCount(") => {
                return self.total_counts(caller, request);
            }
            _ => {}
        }
        if head.starts_with("EntityDefinitions") || head.starts_with("GlobalOptionSetDefinitions") {
            return self.definitions(caller, request);
        }
        let (set, key) = match head.split_once('(') {
            Some((set, key)) => (
                set,
                Some(
                    key.strip_suffix(')')
                        .ok_or_else(|| Error::no_resource(head))?,
                ),
            ),
            None => (head, None),
        };
        let ty = self.by_set(set).ok_or_else(|| Error::no_resource(set))?;
        let Some(key) = key else {
            return match (request.method.as_str(), tail) {
                ("GET", "") => self.collection(caller, request, &ty),
                ("GET", "$count") => {
                    let count = self.found(caller, request, &ty)?.len().min(5000);
                    Ok(Reply::text(200, "text/plain", count.to_string())
                        .with("odata-version", "4.0"))
                }
                ("POST", "") => self.create(caller, request, &ty),
                ("POST", "Microsoft.Dynamics.CRM.CreateMultiple") => {
                    self.create_multiple(caller, request, &ty)
                }
                ("GET" | "POST", other) => Err(Error::no_resource(other)),
                _ => Err(Error::new(
                    405,
                    "0x8006088a",
                    "The requested resource does not support this http method.",
                )),
            };
        };
        let id = Self::key(&ty, key)?;
        match (request.method.as_str(), tail) {
            ("GET", "") => self.single(caller, request, &ty, &id),
            ("PATCH", "") => self.patch(caller, request, &ty, &id),
            ("DELETE", "") => self.remove(caller, request, &ty, &id),
            ("PUT" | "DELETE", property) => self.property(caller, request, &ty, &id, property),
            ("GET", property) => self.read_property(caller, request, &ty, &id, property),
            (_, "") => Err(Error::new(
                405,
                "0x8006088a",
                "The requested resource does not support this http method.",
            )),
            (_, other) => Err(Error::no_resource(other)),
        }
    }

    fn service(&self, caller: &Caller) -> Reply {
        let sets: Vec<Value> = self
            .tables()
            .map(|table| json!({ "name": table.set, "kind": "EntitySet", "url": table.set }))
            .collect();
        with_type(Reply::json(
            200,
            &json!({
                "@odata.context": format!("{}/$metadata", caller.service), "value": sets,
            }),
        ))
    }

    /// A guid, or an alternate key, of which there are none.
    fn key(ty: &TableType, key: &str) -> Result<String, Error> {
        let key = match key.split_once('=') {
            Some((name, value)) if name.trim() == ty.primary_id => value.trim(),
            Some(_) => {
                return Err(Error::new(
                    400,
                    "0x80060891",
                    format!(
                        "The key in the request URI is not valid for resource '{}'. Ensure that the \
                     names and number of key properties match the declared or alternate key \
                     properties for the resource '{}'.",
                        ty.set, ty.set
                    ),
                ));
            }
            None => key,
        };
        let key = key.trim_matches('\'');
        if is_guid(key) {
            return Ok(key.to_lowercase());
        }
        Err(Error::new(
            400,
            "0x80060888",
            "Bad Request - Error in query syntax.",
        ))
    }

    fn shape(&self, caller: &Caller, request: &Request, ty: &TableType) -> Result<Shape, Error> {
        let missing = |ty: &TableType, name: &str| {
            Error::syntax(format!(
                "Could not find a property named '{name}' on type 'Microsoft.Dynamics.CRM.{}'.",
                ty.name
            ))
        };
        let names = |ty: &TableType, text: &str| -> Result<Vec<String>, Error> {
            odata::split(text, ',')
                .into_iter()
                .filter(|name| name != "*")
                .map(|name| {
                    let known = ty.wire(&name).is_some() || ty.navigation(&name).is_some();
                    if known {
                        Ok(name)
                    } else {
                        Err(missing(ty, &name))
                    }
                })
                .collect()
        };
        let select = match request.param("$select") {
            Some(text) => {
                Some(names(ty, text)?).filter(|_| !text.split(',').any(|n| n.trim() == "*"))
            }
            None => None,
        };
        let mut expand = Vec::new();
        for item in odata::split(request.param("$expand").unwrap_or_default(), ',') {
            let (nav, options) = item
                .split_once('(')
                .map_or((item.as_str(), ""), |(n, o)| (n, o));
            let (_, targets) = ty.navigation(nav).ok_or_else(|| missing(ty, nav))?;
            let target = targets
                .first()
                .and_then(|name| self.table(name))
                .ok_or_else(|| missing(ty, nav))?;
            self.may(caller, &target, "read")?;
            let inner = odata::inner_select(options.strip_suffix(')').unwrap_or(options))
                .map_err(Error::unserved)?;
            let select = inner.map(|text| names(&target, &text)).transpose()?;
            expand.push((nav.to_owned(), select));
        }
        let annotations = request.preference("odata.include-annotations").is_some();
        Ok(Shape {
            select,
            expand,
            annotations,
            user: caller.user.clone(),
        })
    }

    /// The request's filter, whose names are all known.
    pub(super) fn filter(
        &self,
        request: &Request,
        ty: &Arc<TableType>,
    ) -> Result<Option<Filter>, Error> {
        let Some(text) = request.param("$filter") else {
            return Ok(None);
        };
        let filter = odata::parse(text).map_err(Error::syntax)?;
        for (name, op, literal) in filter.tests() {
            let (owner, column) = self.column_at(ty, name)?;
            if !suits(&column, op, literal) {
                return Err(Error::syntax(format!(
                    "A binary operator with incompatible types was detected: '{name}' of '{}' is {}.",
                    owner.name,
                    column.kind.name()
                )));
            }
        }
        Ok(Some(filter))
    }

    /// Ids that pass the filter, in order.
    pub(super) fn found(
        &self,
        caller: &Caller,
        request: &Request,
        ty: &Arc<TableType>,
    ) -> Result<Vec<String>, Error> {
        let depth = self.may(caller, ty, "read")?;
        let filter = self.filter(request, ty)?;
        let mut order = Vec::new();
        for item in odata::split(request.param("$orderby").unwrap_or_default(), ',') {
            let (name, direction) = item.split_once(' ').unwrap_or((&item, "asc"));
            self.check_path(ty, name)?;
            order.push((
                name.to_owned(),
                direction.trim().eq_ignore_ascii_case("desc"),
            ));
        }
        let keep = |row: &Record| {
            reaches(caller, ty, depth, row)
                && filter
                    .as_ref()
                    .is_none_or(|filter| filter.holds(&|name| self.value(ty, row, name)))
        };
        let candidates = filter.as_ref().and_then(|filter| {
            filter
                .required_equals()
                .into_iter()
                .find_map(|(name, value)| match value {
                    Literal::Guid(id) if name == ty.primary_id => Some(vec![id.clone()]),
                    Literal::Text(text) if !text.is_empty() => {
                        self.store.find(&ty.name, name, text)
                    }
                    _ => None,
                })
        });
        let mut hits: Vec<(&str, &Record)> = match &candidates {
            Some(ids) => ids
                .iter()
                .filter_map(|id| Some((id.as_str(), self.store.get(&ty.name, id)?)))
                .filter(|(_, row)| keep(row))
                .collect(),
            None => self
                .store
                .rows(&ty.name)
                .filter(|(_, row)| keep(row))
                .map(|(id, row)| (id.as_str(), row))
                .collect(),
        };
        if !order.is_empty() {
            // Every key is worked out once, not at each comparison.
            let mut keyed: Vec<(Vec<Value>, _)> = hits
                .into_iter()
                .map(|(id, row)| {
                    let keys = order.iter().map(|(name, _)| self.value(ty, row, name));
                    (keys.collect(), (id, row))
                })
                .collect();
            keyed.sort_by(|(left, _), (right, _)| {
                let pairs = left.iter().zip(right);
                order.iter().zip(pairs).fold(
                    Ordering::Equal,
                    |so_far, ((_, descending), (left, right))| {
                        so_far.then_with(|| {
                            let ordering = odata::order(left, right);
                            if *descending {
                                ordering.reverse()
                            } else {
                                ordering
                            }
                        })
                    },
                )
            });
            hits = keyed.into_iter().map(|(_, hit)| hit).collect();
        }
        Ok(hits.into_iter().map(|(id, _)| id.to_owned()).collect())
    }

    fn check_path(&self, ty: &Arc<TableType>, name: &str) -> Result<(), Error> {
        self.column_at(ty, name).map(|_| ())
    }

    /// The column that a path leads to, `parentaccountid/name`, with its table.
    fn column_at(
        &self,
        ty: &Arc<TableType>,
        name: &str,
    ) -> Result<(Arc<TableType>, Column), Error> {
        let missing = |ty: &TableType, name: &str| {
            Error::syntax(format!(
                "Could not find a property named '{name}' on type 'Microsoft.Dynamics.CRM.{}'.",
                ty.name
            ))
        };
        match name.split_once('/') {
            Some((nav, inner)) => {
                let (_, targets) = ty.navigation(nav).ok_or_else(|| missing(ty, nav))?;
                let target = targets
                    .first()
                    .and_then(|t| self.table(t))
                    .ok_or_else(|| missing(ty, nav))?;
                self.column_at(&target, inner)
            }
            None => match ty.wire(name) {
                Some(column) => Ok((Arc::clone(ty), column.clone())),
                None => Err(missing(ty, name)),
            },
        }
    }

    pub(super) fn value(&self, ty: &TableType, row: &Record, name: &str) -> Value {
        let Some((nav, inner)) = name.split_once('/') else {
            return row.get(name).cloned().unwrap_or_default();
        };
        let target = ty.navigation(nav).and_then(|(column, targets)| {
            let id = row.get(&column.wire())?.as_str()?;
            let target = self.table(targets.first()?)?;
            let row = self.store.get(&target.name, id)?;
            Some(self.value(&target, row, inner))
        });
        target.unwrap_or_default()
    }

    fn collection(
        &mut self,
        caller: &Caller,
        request: &Request,
        ty: &Arc<TableType>,
    ) -> Result<Reply, Error> {
        let cookie = request
            .param("$skiptoken")
            .map(|token| self.cookie(token))
            .transpose()?;
        let token = request.param("$deltatoken");
        let asked = request.prefers("odata.track-changes");
        // A page belongs to its first one, regardless of the current preferences.
        let tracked = match &cookie {
            Some(cookie) => cookie.tracking,
            None => asked || token.is_some(),
        };
        check_options(request, tracked)?;
        if tracked {
            self.may_track(caller, ty)?;
        }
        let since = token.map(|token| self.delta(caller, token)).transpose()?;
        let shape = self.shape(caller, request, ty)?;
        let size = request
            .preference("odata.maxpagesize")
            .and_then(|n| n.parse::<usize>().ok())
            .filter(|n| (1..=5000).contains(n));
        let page = Page {
            cookie: cookie.unwrap_or_else(|| self.first_cookie(tracked, since)),
            // The setting is the maximum of a page, regardless of the preference.
            size: size
                .map_or(self.settings.page_size, |n| n.min(self.settings.page_size))
                .max(1),
        };
        let found = if tracked && since.is_some() {
            self.changed_page(ty, page)
        } else if request.param("$orderby").is_some() {
            self.ordered_page(caller, request, ty, page)?
        } else {
            self.plain_page(caller, request, ty, page)?
        };
        let columns = self.columns_shown(ty, &shape);
        let mut value: Vec<Value> = found
            .rows
            .iter()
            .filter_map(|id| self.store.get(&ty.name, id))
            .map(|row| Value::Object(self.render_columns(ty, row, &shape, &columns)))
            .collect();
        value.extend(found.deleted.iter().map(|id| {
            json!({
                "@odata.context": format!("{}/$metadata#{}/$deletedEntity", caller.service, ty.set),
                "id": id, "reason": "deleted",
            })
        }));
        let selected = shape
            .select
            .as_ref()
            .map(|names| format!("({})", names.join(",")))
            .unwrap_or_default();
        let delta = if tracked { "/$delta" } else { "" };
        let mut out = Row::new();
        let context = format!("{}/$metadata#{}{selected}{delta}", caller.service, ty.set);
        out.insert("@odata.context".into(), json!(context));
        if request.param("$count") == Some("true") {
            out.insert("@odata.count".into(), json!(found.total.min(5000)));
        }
        if shape.annotations {
            out.insert("@Microsoft.Dynamics.CRM.totalrecordcount".into(), json!(-1));
        }
        out.insert("value".into(), Value::Array(value));
        if let Some(next) = &found.next {
            let link = link(caller, request, ty, "$skiptoken", &next.encode());
            out.insert("@odata.nextLink".into(), json!(link));
        } else if tracked {
            let token = self.delta_token(caller, found.version);
            let link = link(caller, request, ty, "$deltatoken", &token);
            out.insert("@odata.deltaLink".into(), json!(link));
        }
        let reply = with_type(Reply::json(200, &Value::Object(out)));
        let applied = [
            asked.then(|| "odata.track-changes".to_owned()),
            size.map(|size| format!("odata.maxpagesize={size}")),
        ];
        let applied: Vec<String> = applied.into_iter().flatten().collect();
        if applied.is_empty() {
            return Ok(reply);
        }
        Ok(reply.with("preference-applied", applied.join(",")))
    }

    fn single(
        &self,
        caller: &Caller,
        request: &Request,
        ty: &Arc<TableType>,
        id: &str,
    ) -> Result<Reply, Error> {
        self.may(caller, ty, "read")?;
        let shape = self.shape(caller, request, ty)?;
        let row = self
            .store
            .get(&ty.name, id)
            .ok_or_else(|| Self::no_row(ty, id))?;
        self.may_with(caller, ty, "read", row)?;
        let etag = etag(row);
        if request
            .header("if-none-match")
            .is_some_and(|wanted| wanted == etag)
        {
            return Ok(Reply::empty(304)
                .with("etag", etag)
                .with("odata-version", "4.0"));
        }
        let selected = shape
            .select
            .as_ref()
            .map(|names| format!("({})", names.join(",")))
            .unwrap_or_default();
        let mut out = Row::new();
        let context = format!("{}/$metadata#{}{selected}/$entity", caller.service, ty.set);
        out.insert("@odata.context".into(), json!(context));
        out.extend(self.render(ty, row, &shape));
        Ok(with_type(Reply::json(200, &Value::Object(out))).with("etag", etag))
    }

    fn create(
        &mut self,
        caller: &Caller,
        request: &Request,
        ty: &Arc<TableType>,
    ) -> Result<Reply, Error> {
        let body = request.json()?;
        self.check_duplicates(request, ty, &body)?;
        let id = self.write(caller, ty, None, &body, &request.known)?;
        self.written(caller, request, ty, &id, true)
    }

    /// `CreateMultiple`: all of its rows, or none.
    fn create_multiple(
        &mut self,
        caller: &Caller,
        request: &Request,
        ty: &Arc<TableType>,
    ) -> Result<Reply, Error> {
        let body = request.json()?;
        let targets = body.get("Targets").and_then(Value::as_array);
        let targets = targets.ok_or_else(|| Error::syntax("The parameter Targets is missing."))?;
        let wanted = format!("Microsoft.Dynamics.CRM.{}", ty.name);
        let mark = self.store.begin();
        let mut ids = Vec::new();
        let created = targets.iter().try_for_each(|target| {
            let named = target.get("@odata.type").and_then(Value::as_str);
            if named.map(|name| name.trim_start_matches('#')) != Some(wanted.as_str()) {
                return Err(Error::syntax(format!(
                    "Each target needs '@odata.type': '{wanted}'."
                )));
            }
            let row = target.as_object().cloned().unwrap_or_default();
            let given = row.get(&ty.primary_id).and_then(Value::as_str);
            let given = given.map(str::to_lowercase);
            if let Some(id) = given
                .as_ref()
                .filter(|id| self.store.get(&ty.name, id).is_some())
            {
                return Err(Error::new(
                    412,
                    "0x80040237",
                    format!("Cannot insert duplicate key {id}."),
                ));
            }
            ids.push(self.write(caller, ty, given.as_deref(), &row, &request.known)?);
            Ok(())
        });
        if let Err(error) = created {
            self.store.rollback(mark);
            return Err(error);
        }
        self.store.commit();
        Ok(with_type(Reply::json(
            200,
            &json!({
                "@odata.context": format!("{}/$metadata#Microsoft.Dynamics.CRM.CreateMultipleResponse", caller.service),
                "Ids": ids,
            }),
        )))
    }

    fn patch(
        &mut self,
        caller: &Caller,
        request: &Request,
        ty: &Arc<TableType>,
        id: &str,
    ) -> Result<Reply, Error> {
        let body = request.json()?;
        let row = self.store.get(&ty.name, id);
        let exists = row.is_some();
        if request.header("if-none-match") == Some("*") && exists {
            return Err(Error::new(
                412,
                "0x80040237",
                "A record with matching key values already exists.",
            ));
        }
        self.check_match(request, ty, id)?;
        if !exists {
            self.check_duplicates(request, ty, &body)?;
        }
        self.write(caller, ty, Some(id), &body, &request.known)?;
        self.written(caller, request, ty, id, !exists)
    }

    fn check_match(&self, request: &Request, ty: &TableType, id: &str) -> Result<(), Error> {
        let row = self.store.get(&ty.name, id);
        match (request.header("if-match"), row) {
            (Some(_), None) => Err(Self::no_row(ty, id)),
            (Some(wanted), Some(row)) if wanted != "*" && wanted != etag(row) => Err(Error::new(
                412,
                "0x80060882",
                "The version of the existing record doesn't match the RowVersion property provided.",
            )),
            _ => Ok(()),
        }
    }

    fn check_duplicates(&self, request: &Request, ty: &TableType, body: &Row) -> Result<(), Error> {
        let asked = request.header("mscrm.suppressduplicatedetection") == Some("false");
        if !asked || !self.settings.duplicate_detection {
            return Ok(());
        }
        let email = body
            .get("emailaddress1")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let found = self
            .store
            .find(&ty.name, "emailaddress1", email)
            .unwrap_or_default();
        if email.is_empty() || found.is_empty() {
            return Ok(());
        }
        Err(Error::new(
            412,
            "0x80040333",
            "A record was not created or updated because a duplicate of the current record already exists.",
        ))
    }

    fn written(
        &self,
        caller: &Caller,
        request: &Request,
        ty: &Arc<TableType>,
        id: &str,
        created: bool,
    ) -> Result<Reply, Error> {
        let address = format!("{}/{}({id})", caller.service, ty.set);
        if !request.prefers("return=representation") {
            let reply = Reply::empty(204)
                .with("odata-version", "4.0")
                .with("odata-entityid", address.clone());
            return Ok(if created {
                reply.with("location", address)
            } else {
                reply
            });
        }
        let reply = self.single(
            caller,
            &Request {
                headers: keep_annotations(&request.headers),
                ..request.clone()
            },
            ty,
            id,
        )?;
        let reply = reply.with("preference-applied", "return=representation");
        Ok(Reply {
            status: if created { 201 } else { 200 },
            ..reply.with("odata-entityid", address)
        })
    }

    fn remove(
        &mut self,
        caller: &Caller,
        request: &Request,
        ty: &Arc<TableType>,
        id: &str,
    ) -> Result<Reply, Error> {
        self.may(caller, ty, "delete")?;
        if let Some(row) = self.store.get(&ty.name, id) {
            self.may_with(caller, ty, "delete", row)?;
        }
        self.check_match(request, ty, id)?;
        self.delete(ty, id)?;
        Ok(Reply::empty(204).with("odata-version", "4.0"))
    }

    /// One column, or the reference behind a navigation property.
    fn property(
        &mut self,
        caller: &Caller,
        request: &Request,
        ty: &Arc<TableType>,
        id: &str,
        property: &str,
    ) -> Result<Reply, Error> {
        if self.store.get(&ty.name, id).is_none() {
            return Err(Self::no_row(ty, id));
        }
        let mut body = Row::new();
        let delete = request.method == "DELETE";
        if let Some(nav) = property.strip_suffix("/$ref") {
            let target = if delete {
                Value::Null
            } else {
                request
                    .json()?
                    .get("@odata.id")
                    .cloned()
                    .unwrap_or_default()
            };
            body.insert(format!("{nav}@odata.bind"), target);
        } else {
            let value = if delete {
                Value::Null
            } else {
                request.json()?.get("value").cloned().unwrap_or_default()
            };
            body.insert(property.to_owned(), value);
        }
        self.write(caller, ty, Some(id), &body, &request.known)?;
        Ok(Reply::empty(204).with("odata-version", "4.0"))
    }

    fn read_property(
        &self,
        caller: &Caller,
        request: &Request,
        ty: &Arc<TableType>,
        id: &str,
        property: &str,
    ) -> Result<Reply, Error> {
        let row = self
            .store
            .get(&ty.name, id)
            .ok_or_else(|| Self::no_row(ty, id))?;
        if ty.name == "systemuser"
            && let Some(reply) = self.user_function(caller, request, id, property)
        {
            return reply;
        }
        self.may_with(caller, ty, "read", row)?;
        if let Some((column, targets)) = ty.navigation(property) {
            let target = targets.first().and_then(|name| self.table(name));
            let inner = row.get(&column.wire()).and_then(Value::as_str).zip(target);
            let Some((id, target)) = inner else {
                return Ok(Reply::empty(204).with("odata-version", "4.0"));
            };
            let row = self
                .store
                .get(&target.name, id)
                .ok_or_else(|| Self::no_row(&target, id))?;
            self.may_with(caller, &target, "read", row)?;
            let mut out = Row::new();
            out.insert(
                "@odata.context".into(),
                json!(format!(
                    "{}/$metadata#{}/$entity",
                    caller.service, target.set
                )),
            );
            let shape = Shape {
                user: caller.user.clone(),
                ..Shape::default()
            };
            out.extend(self.render(&target, row, &shape));
            return Ok(with_type(Reply::json(200, &Value::Object(out))));
        }
        let column = ty
            .wire(property)
            .ok_or_else(|| Error::no_resource(property))?;
        let value = row.get(&column.wire()).cloned().unwrap_or_default();
        if value.is_null() || !self.sees(&caller.user, ty, column) {
            return Ok(Reply::empty(204).with("odata-version", "4.0"));
        }
        Ok(with_type(Reply::json(
            200,
            &json!({
                "@odata.context": format!("{}/$metadata#{}({id})/{property}", caller.service, ty.set), "value": value,
            }),
        )))
    }
}

/// The read after a write is not conditional.
fn keep_annotations(headers: &HeaderMap) -> HeaderMap {
    let mut out = headers.clone();
    out.remove("if-none-match");
    out.remove("if-match");
    out
}

pub(crate) fn etag(row: &Record) -> String {
    format!(
        "W/\"{}\"",
        row.get("versionnumber").cloned().unwrap_or_default()
    )
}

/// Refuses a query option that is not served here: a client that sends one would take silence for
/// its effect. The real one knows more of them (`$apply`, `fetchXml`, `savedQuery`, `sql`).
fn check_served(request: &Request, head: &str, tail: &str) -> Result<(), Error> {
    let metadata = head.starts_with("EntityDefinitions");
    let served: &[&str] = match (request.method.as_str(), head.contains('('), tail) {
        ("GET", _, _) if metadata => &["$select", "$filter", "$expand"],
        // Its own refusal is the real one's.
        ("GET", false, "") => &[
            "$select",
            "$filter",
            "$orderby",
            "$top",
            "$expand",
            "$count",
            "$skiptoken",
            "$deltatoken",
            "$skip",
        ],
        ("GET", false, "$count") => &["$filter"],
        ("GET", true, "") | ("POST" | "PATCH", _, "") => &["$select", "$expand"],
        _ => &[],
    };
    let known = |name: &str| served.contains(&name) || (name.starts_with('@') && !metadata);
    match request.params.iter().find(|(name, _)| !known(name)) {
        None => Ok(()),
        Some((name, _)) => Err(Error::unserved(format!(
            "The simulator does not serve the query option '{name}' here."
        ))),
    }
}

/// True if a column can be compared with a literal.
fn suits(column: &Column, op: odata::Op, literal: &Literal) -> bool {
    let of_text = matches!(
        op,
        odata::Op::Contains | odata::Op::StartsWith | odata::Op::EndsWith
    );
    let kind = column.kind;
    let is_text = matches!(kind, Kind::String | Kind::Memo);
    let is_id = kind.is_lookup() || kind == Kind::Uniqueidentifier;
    if of_text {
        return is_text && matches!(literal, Literal::Text(_));
    }
    match literal {
        Literal::Null => true,
        Literal::Text(text) => is_text || (is_id && is_guid(text)),
        Literal::Guid(_) => is_id,
        Literal::Bool(_) => kind == Kind::Boolean,
        Literal::Time(_) | Literal::Date(_) => kind == Kind::DateTime,
        Literal::Number(_) => !(is_text || is_id || matches!(kind, Kind::Boolean | Kind::DateTime)),
    }
}

/// Refuses options that are never served, or not while changes are tracked.
fn check_options(request: &Request, tracking: bool) -> Result<(), Error> {
    for (name, _) in &request.params {
        if name == "$skip" {
            let message = format!("The query option '{name}' is not supported.");
            return Err(Error::syntax(message));
        }
        if tracking && matches!(name.as_str(), "$filter" | "$orderby" | "$expand" | "$top") {
            let message =
                format!("The {name} query parameter isn't supported when tracking changes.");
            return Err(Error::new(400, "0x80060888", message));
        }
    }
    Ok(())
}

/// The request's own address with a token in place of the last one.
fn link(caller: &Caller, request: &Request, ty: &TableType, name: &str, token: &str) -> String {
    let mut out = format!("{}/{}?", caller.service, ty.set);
    for (key, value) in &request.params {
        let old = key == "$skiptoken" || (key == "$deltatoken" && name == "$deltatoken");
        if !old {
            out.push_str(key);
            out.push('=');
            out.push_str(&encode(value));
            out.push('&');
        }
    }
    format!("{out}{name}={}", encode(token))
}
