//! Creating, changing and showing rows, with every rule a write meets.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::odata::is_guid;
use super::schema::{Column, Kind, TableType};
use super::{Caller, Dataverse, Error};
use crate::clock::{dataverse_time, is_date, parse_time};
use crate::http::Row;
use crate::record::Record;

/// The shape of an answer besides the values.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shape {
    pub(crate) select: Option<Vec<String>>,
    /// Navigation property and its own selection.
    pub(crate) expand: Vec<(String, Option<Vec<String>>)>,
    pub(crate) annotations: bool,
    /// The reading user: secured columns are empty for users who may not see them.
    pub(crate) user: String,
}

fn wrong_type(ty: &TableType, column: &Column, value: &Value, edm: &str) -> Error {
    Error::new(
        400,
        "0x80048d19",
        format!(
            "Error identified in Payload provided by the user for Entity :'{}', For more information \
         on this error please follow this help link https://go.microsoft.com/fwlink/?linkid=2195293  \
         ---->  InnerException : Microsoft.OData.ODataException: Cannot convert the literal '{}' to \
         the expected type '{edm}' (property '{}').",
            ty.set,
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned),
            column.name
        ),
    )
}

/// Whole numbers are written without a fraction.
fn number(value: f64, column: &Column) -> Value {
    if column.kind == Kind::Integer || column.kind.has_options() {
        return format!("{value:.0}")
            .parse::<i64>()
            .map(Value::from)
            .unwrap_or_default();
    }
    let factor = 10_f64.powi(i32::try_from(column.precision).unwrap_or(2));
    json!((value * factor).round() / factor)
}

fn convert(ty: &TableType, column: &Column, value: &Value) -> Result<Value, Error> {
    if value.is_null() {
        return Ok(Value::Null);
    }
    let text = value.as_str();
    match column.kind {
        Kind::String | Kind::Memo => {
            let text = text.ok_or_else(|| wrong_type(ty, column, value, "Edm.String"))?;
            if text.encode_utf16().count() > column.max_length {
                return Err(Error::new(
                    400,
                    "0x80044331",
                    format!(
                        "A validation error occurred. The length of the '{}' attribute of the '{}' \
                     entity exceeded the maximum allowed length of '{}'.",
                        column.name, ty.name, column.max_length
                    ),
                ));
            }
            Ok(if text.is_empty() {
                Value::Null
            } else {
                value.clone()
            })
        }
        Kind::Boolean => match value {
            Value::Bool(_) => Ok(value.clone()),
            _ => Err(wrong_type(ty, column, value, "Edm.Boolean")),
        },
        Kind::Picklist | Kind::State | Kind::Status => {
            let chosen = value
                .as_i64()
                .ok_or_else(|| wrong_type(ty, column, value, "Edm.Int32"))?;
            if column.choices.iter().any(|choice| choice.value == chosen) {
                return Ok(json!(chosen));
            }
            let accepted: Vec<String> =
                column.choices.iter().map(|c| c.value.to_string()).collect();
            Err(Error::new(
                400,
                "0x8004431a",
                format!(
                    "A validation error occurred. The value {chosen} of '{}' on record of type '{}' \
                 is outside the valid range. Accepted Values: {}",
                    column.name,
                    ty.name,
                    accepted.join(",")
                ),
            ))
        }
        Kind::Integer | Kind::BigInt | Kind::Decimal | Kind::Double | Kind::Money => {
            let edm = match column.kind {
                Kind::Integer => "Edm.Int32",
                Kind::BigInt => "Edm.Int64",
                Kind::Double => "Edm.Double",
                _ => "Edm.Decimal",
            };
            let given = match value {
                Value::Number(given) => given.as_f64(),
                _ => None,
            };
            let given = given.filter(|n| column.kind != Kind::Integer || n.fract() == 0.0);
            let given = given.ok_or_else(|| wrong_type(ty, column, value, edm))?;
            let low = column.min.is_some_and(|min| given < min);
            let high = column.max.is_some_and(|max| given > max);
            if low || high {
                return Err(Error::new(
                    400,
                    "0x80044330",
                    format!(
                        "A validation error occurred. The value {given} of '{}' on record of type '{}' \
                     is outside the valid range. Accepted Values: {} to {}",
                        column.name,
                        ty.name,
                        column.min.unwrap_or(0.0),
                        column.max.unwrap_or(0.0)
                    ),
                ));
            }
            Ok(number(given, column))
        }
        Kind::DateTime if column.is_date_only() => match text {
            Some(text) if is_date(text) => Ok(value.clone()),
            _ => Err(wrong_type(ty, column, value, "Edm.Date")),
        },
        Kind::DateTime => {
            let ms = text.and_then(|text| {
                parse_time(text)
                    .or_else(|| is_date(text).then(|| parse_time(&format!("{text}T00:00:00Z")))?)
            });
            ms.map(|ms| json!(dataverse_time(ms)))
                .ok_or_else(|| wrong_type(ty, column, value, "Edm.DateTimeOffset"))
        }
        Kind::Uniqueidentifier => match text {
            Some(text) if is_guid(text) => Ok(json!(text.to_lowercase())),
            _ => Err(wrong_type(ty, column, value, "Edm.Guid")),
        },
        Kind::Lookup | Kind::Owner | Kind::Customer => Err(Error::new(
            400,
            "0x80048d19",
            format!(
                "Error identified in Payload provided by the user for Entity :'{}' ---->  \
             InnerException : Microsoft.OData.ODataException: A node of type 'PrimitiveValue' was \
             read from the JSON reader when trying to read the contents of the property '{}'; \
             however, a 'StartObject' node or 'PrimitiveValue' node with null value was expected.",
                ty.set, column.name
            ),
        )),
    }
}

fn unknown_property(ty: &TableType, name: &str) -> Error {
    Error::new(
        400,
        "0x80060888",
        format!(
            "Invalid property '{name}' was found in entity 'Microsoft.Dynamics.CRM.{0}'. ---> \
         Microsoft.OData.ODataException: The property '{name}' does not exist on type \
         'Microsoft.Dynamics.CRM.{0}'. Make sure to only use property names that are defined by \
         the type.",
            ty.name
        ),
    )
}

fn is_activity(ty: &TableType) -> bool {
    matches!(ty.name.as_str(), "task" | "phonecall")
}

/// An activity begins open, and one that is not open any more stays as it is.
fn check_activity(ty: &TableType, old: Option<&Record>, changes: &Row) -> Result<(), Error> {
    let state = |value: Option<&Value>| value.and_then(Value::as_i64);
    let Some(old) = old else {
        let status = state(changes.get("statuscode"));
        if state(changes.get("statecode")).is_some_and(|state| state != 0) {
            let message = format!(
                "{} is not a valid status code for state code {}State.Open",
                status.unwrap_or_default(),
                ty.schema
            );
            return Err(Error::new(400, "0x80048408", message));
        }
        return Ok(());
    };
    let closed = state(old.get("statecode")).is_some_and(|state| state != 0);
    if closed && state(changes.get("statecode")) != Some(0) {
        let message = format!("A {} that is completed or canceled is read-only.", ty.name);
        return Err(Error::new(400, "0x80040203", message));
    }
    Ok(())
}

/// Rows made earlier in a change set, by content id.
pub(crate) type Known = BTreeMap<String, (String, String)>;

impl Dataverse {
    pub(crate) fn no_row(ty: &TableType, id: &str) -> Error {
        Error::new(
            404,
            "0x80040217",
            format!("Entity '{}' With Id = {id} Does Not Exist", ty.name),
        )
    }

    /// Creates a row, or changes one; `id` may be the caller's choice for a new row.
    pub(crate) fn write(
        &mut self,
        caller: &Caller,
        ty: &Arc<TableType>,
        id: Option<&str>,
        body: &Row,
        known: &Known,
    ) -> Result<String, Error> {
        let old = id.and_then(|id| self.store.share(&ty.name, id));
        let create = old.is_none();
        match &old {
            Some(row) => self.may_with(caller, ty, "update", row)?,
            None => {
                self.may(caller, ty, "create")?;
            }
        }
        let mut body = body.clone();
        let parties = self.parties(ty, &mut body)?;
        let changes = self.read_changes(caller, ty, create, &body, known)?;
        if is_activity(ty) {
            check_activity(ty, old.as_deref(), &changes)?;
        }
        if !create && changes.contains_key("_ownerid_value") {
            self.may(caller, ty, "assign")?;
        }
        let mut row = match old {
            Some(old) => old.to_row(),
            None => self.fresh(ty, &caller.user),
        };
        let given = changes
            .get(&ty.primary_id)
            .and_then(Value::as_str)
            .map(str::to_owned);
        let key = match id {
            Some(id) => id.to_owned(),
            None => given.unwrap_or_else(|| self.next_id()),
        };
        if id.is_none() && self.store.get(&ty.name, &key).is_some() {
            return Err(Error::new(
                412,
                "0x80040237",
                "A record with matching key values already exists.",
            ));
        }
        Self::check_state(ty, &key, &row, &changes)?;
        let missing = ty.columns.iter().find(|column| {
            let cleared = changes.get(&column.wire()).is_none_or(Value::is_null);
            column.required
                && (if create {
                    cleared
                } else {
                    changes.get(&column.wire()).is_some_and(Value::is_null)
                })
        });
        if let Some(column) = missing {
            return Err(Error::new(
                400,
                "0x80040200",
                format!("Attribute: {} cannot be set to NULL", column.name),
            ));
        }
        let moved = changes.get("statecode").cloned();
        let reason = changes.contains_key("statuscode");
        row.extend(changes);
        if let (Some(state), false) = (moved, reason) {
            // A new state without a reason takes the first reason of that state.
            let choices = ty
                .column("statuscode")
                .map(|c| c.choices.as_slice())
                .unwrap_or_default();
            if let Some(choice) = choices.iter().find(|c| c.state == state.as_i64()) {
                row.insert("statuscode".into(), json!(choice.value));
            }
        }
        if let Some(parties) = parties {
            row.insert("parties".into(), parties);
        }
        row.insert(ty.primary_id.clone(), json!(key));
        derive(ty, &mut row);
        if create {
            row.insert("createdon".into(), json!(dataverse_time(caller.now_ms)));
            row.insert("_createdby_value".into(), json!(caller.user));
        }
        row.insert("_modifiedby_value".into(), json!(caller.user));
        self.put(ty, &key, row, caller.now_ms);
        Ok(key)
    }

    /// Takes the parties of a phone call out of a body: users, contacts, leads and accounts that there are,
    /// as sender or receiver.
    fn parties(&self, ty: &TableType, body: &mut Row) -> Result<Option<Value>, Error> {
        let Some(list) = body.remove(&format!("{}_activity_parties", ty.name)) else {
            return Ok(None);
        };
        if ty.name != "phonecall" {
            let property = format!("{}_activity_parties", ty.name);
            return Err(unknown_property(ty, &property));
        }
        let mut parties = Vec::new();
        for party in list.as_array().into_iter().flatten() {
            let mask = party.get("participationtypemask").and_then(Value::as_i64);
            if !matches!(mask, Some(1 | 2)) {
                let message = "The activity party type is not allowed for this activity.";
                return Err(Error::new(400, "0x80043506", message));
            }
            let bound = party
                .as_object()
                .into_iter()
                .flatten()
                .find_map(|(name, value)| {
                    let table = name.strip_prefix("partyid_")?.strip_suffix("@odata.bind")?;
                    Some((table, value.as_str()?))
                });
            let (table, address) = bound.ok_or_else(|| unknown_property(ty, "partyid"))?;
            let target = self
                .table(table)
                .filter(|target| {
                    matches!(
                        target.name.as_str(),
                        "systemuser" | "contact" | "lead" | "account"
                    )
                })
                .ok_or_else(|| unknown_property(ty, &format!("partyid_{table}")))?;
            let id = address
                .trim_start_matches('/')
                .strip_prefix(&target.set)
                .and_then(|key| key.strip_prefix('(')?.strip_suffix(')'));
            let id = id.unwrap_or_default().to_lowercase();
            if self.store.get(&target.name, &id).is_none() {
                return Err(Self::no_row(&target, &id));
            }
            parties.push(json!({ "mask": mask, "table": target.name, "id": id }));
        }
        Ok(Some(Value::Array(parties)))
    }

    /// A row with its defaults.
    pub(crate) fn fresh(&self, ty: &TableType, user: &str) -> Row {
        let mut row = Row::new();
        for column in &ty.columns {
            if let Some(default) = &column.default {
                row.insert(column.wire(), default.clone());
            }
        }
        if ty.column("ownerid").is_some() {
            row.insert("_ownerid_value".into(), json!(user));
            row.insert("_ownerid_value/type".into(), json!("systemuser"));
            row.insert(
                "_owningbusinessunit_value".into(),
                json!(self.business_unit),
            );
        }
        row
    }

    fn check_state(ty: &TableType, id: &str, row: &Row, changes: &Row) -> Result<(), Error> {
        let Some(reason) = changes.get("statuscode").and_then(Value::as_i64) else {
            return Ok(());
        };
        let state = changes
            .get("statecode")
            .or_else(|| row.get("statecode"))
            .and_then(Value::as_i64);
        let choices = ty
            .column("statuscode")
            .map(|c| c.choices.as_slice())
            .unwrap_or_default();
        if choices
            .iter()
            .any(|choice| choice.value == reason && choice.state == state)
        {
            return Ok(());
        }
        let states = ty
            .column("statecode")
            .map(|c| c.choices.as_slice())
            .unwrap_or_default();
        let name = states
            .iter()
            .find(|c| Some(c.value) == state)
            .map_or("Open", |c| c.label.as_str());
        Err(Error::new(
            400,
            "0x80048408",
            format!(
                "{reason} is not a valid status code for state code {}State.{name} on {} with Id {id}.",
                ty.schema, ty.name
            ),
        ))
    }

    fn read_changes(
        &self,
        caller: &Caller,
        ty: &TableType,
        create: bool,
        body: &Row,
        known: &Known,
    ) -> Result<Row, Error> {
        let mut changes = Row::new();
        for (name, value) in body {
            if let Some(nav) = name.strip_suffix("@odata.bind") {
                self.bind(caller, ty, nav, value, known, &mut changes)?;
                continue;
            }
            if name.contains('@') {
                continue;
            }
            if let Some((column, _)) = ty.navigation(name) {
                if value.is_null() {
                    changes.insert(column.wire(), Value::Null);
                    continue;
                }
                return Err(Error::new(
                    501,
                    "0x80060888",
                    format!("Deep insert and nested updates of '{name}' are not supported here."),
                ));
            }
            let Some(column) = ty.column(name).filter(|column| !column.kind.is_lookup()) else {
                if ty.wire(name).is_some() && name.starts_with('_') {
                    return Err(Error::new(
                        400,
                        "0x80048d19",
                        format!(
                            "CRM do not support direct update of Entity Reference properties, Use Navigation properties instead. (property '{name}')"
                        ),
                    ));
                }
                return Err(unknown_property(ty, name));
            };
            if !self.sees(&caller.user, ty, column) {
                let (code, message) = if create {
                    (
                        "0x8004f502",
                        "The user does not have create permissions to a secured field. The \
                         requested operation could not be completed.",
                    )
                } else {
                    (
                        "0x8004f507",
                        "The user doesn't have AttributePrivilegeUpdate and not granted shared \
                         access for a secured attribute during update operation",
                    )
                };
                return Err(Error::new(403, code, message));
            }
            // Read-only columns are passed over in silence, as the real one does.
            let allowed = if create { column.create } else { column.update };
            if allowed {
                changes.insert(column.name.clone(), convert(ty, column, value)?);
            }
        }
        Ok(changes)
    }

    fn bind(
        &self,
        caller: &Caller,
        ty: &TableType,
        nav: &str,
        value: &Value,
        known: &Known,
        changes: &mut Row,
    ) -> Result<(), Error> {
        let Some((column, targets)) = ty.navigation(nav) else {
            return Err(Error::new(
                400,
                "0x80048d19",
                format!(
                    "Error identified in Payload provided by the user for Entity :'{}', For more \
                 information on this error please follow this help link \
                 https://go.microsoft.com/fwlink/?linkid=2195293  ---->  InnerException : \
                 Microsoft.OData.ODataException: An undeclared property '{nav}' which only has \
                 property annotations in the payload but no property value was found in the \
                 payload. In OData, only declared navigation properties and declared named streams \
                 can be represented as properties without values.",
                    ty.set
                ),
            ));
        };
        if value.is_null() {
            changes.insert(column.wire(), Value::Null);
            return Ok(());
        }
        let text = value.as_str().unwrap_or_default();
        let bad = || {
            Error::new(
                400,
                "0x80060888",
                format!(
                    "URL was not parsed due to an ODataUnrecognizedPathException. Resource not found for the segment provided in the URL: '{text}'."
                ),
            )
        };
        let (set, id) =
            if let Some(reference) = text.trim_start_matches('/').strip_prefix('$') {
                known.get(reference).cloned().ok_or_else(|| Error::new(400, "0x80060888", format!(
                "Content-ID Reference: '{reference}' does not exist in the batch context."
            )))?
            } else {
                let path = text.rsplit('/').next().unwrap_or(text);
                let (set, key) = path.split_once('(').ok_or_else(bad)?;
                let key = key.strip_suffix(')').ok_or_else(bad)?.trim_matches('\'');
                if !is_guid(key) {
                    return Err(bad());
                }
                (set.to_owned(), key.to_lowercase())
            };
        let target = self.by_set(&set).ok_or_else(|| Error::no_resource(&set))?;
        if !targets.contains(&target.name.as_str()) {
            return Err(Error::new(
                400,
                "0x80048d19",
                format!(
                    "The entity '{}' cannot be bound to the navigation property '{nav}' of '{}'.",
                    target.name, ty.name
                ),
            ));
        }
        let Some(row) = self.store.get(&target.name, &id) else {
            return Err(Self::no_row(&target, &id));
        };
        if column.name == "ownerid" && row.get("isdisabled") == Some(&json!(true)) {
            return Err(Error::new(
                400,
                "0x80048459",
                format!("Cannot assign a record to a disabled user (Id = {id})."),
            ));
        }
        if column.name != "ownerid" {
            self.may(caller, ty, "append")?;
            self.may(caller, &target, "append_to")?;
        }
        changes.insert(column.wire(), json!(id));
        changes.insert(format!("{}/type", column.wire()), json!(target.name));
        Ok(())
    }

    /// The number of the last change.
    pub(crate) fn last_version(&self) -> u64 {
        self.version
    }

    /// The title of a row.
    fn title(&self, table: &str, id: &str) -> Value {
        let Some(ty) = self.table(table) else {
            return Value::Null;
        };
        self.store
            .get(table, id)
            .and_then(|row| row.get(&ty.primary_name))
            .cloned()
            .unwrap_or_default()
    }

    /// The columns an answer shows, and whether their values are seen.
    pub(crate) fn columns_shown<'a>(
        &self,
        ty: &'a TableType,
        shape: &Shape,
    ) -> Vec<(&'a Column, &'a str, bool)> {
        ty.columns
            .iter()
            .zip(&ty.wires)
            .filter(|(column, wire)| {
                let names = shape.select.as_ref();
                column.name == ty.primary_id || names.is_none_or(|names| names.contains(wire))
            })
            .map(|(column, wire)| (column, wire.as_str(), self.sees(&shape.user, ty, column)))
            .collect()
    }

    /// A row as an answer shows it.
    pub(crate) fn render(&self, ty: &TableType, row: &Record, shape: &Shape) -> Row {
        self.render_columns(ty, row, shape, &self.columns_shown(ty, shape))
    }

    /// A row with these columns: for many rows of one answer.
    pub(crate) fn render_columns(
        &self,
        ty: &TableType,
        row: &Record,
        shape: &Shape,
        columns: &[(&Column, &str, bool)],
    ) -> Row {
        let mut out = Row::new();
        out.insert("@odata.etag".into(), json!(super::rest::etag(row)));
        for (column, wire, seen) in columns {
            let value = row.get(wire).filter(|_| *seen).cloned().unwrap_or_default();
            if shape.annotations && !value.is_null() {
                self.annotate(&mut out, row, column, wire, &value);
            }
            out.insert((*wire).to_owned(), value);
        }
        for (nav, select) in &shape.expand {
            let Some((column, _)) = ty.navigation(nav) else {
                continue;
            };
            let wire = column.wire();
            let target = row
                .get(&format!("{wire}/type"))
                .and_then(Value::as_str)
                .or_else(|| column.targets.first().map(String::as_str))
                .and_then(|name| self.table(name));
            let inner =
                target
                    .zip(row.get(&wire).and_then(Value::as_str))
                    .and_then(|(target, id)| {
                        let row = self.store.get(&target.name, id)?;
                        let shape = Shape {
                            select: select.clone(),
                            annotations: shape.annotations,
                            user: shape.user.clone(),
                            ..Shape::default()
                        };
                        Some(self.render(&target, row, &shape))
                    });
            out.insert(nav.clone(), inner.map_or(Value::Null, Value::Object));
        }
        out
    }

    fn annotate(&self, out: &mut Row, row: &Record, column: &Column, wire: &str, value: &Value) {
        let formatted = match column.kind {
            kind if kind.has_options() => {
                let choice = column
                    .choices
                    .iter()
                    .find(|c| Some(c.value) == value.as_i64());
                choice.map(|c| c.label.clone())
            }
            Kind::Boolean => Some(if value == &json!(true) { "Yes" } else { "No" }.to_owned()),
            kind if kind.is_lookup() => {
                let table = row
                    .get(&format!("{wire}/type"))
                    .and_then(Value::as_str)
                    .or_else(|| column.targets.first().map(String::as_str))
                    .unwrap_or_default();
                out.insert(
                    format!("{wire}@Microsoft.Dynamics.CRM.lookuplogicalname"),
                    json!(table),
                );
                let nav = column
                    .targets
                    .iter()
                    .position(|t| t == table)
                    .and_then(|at| column.nav.get(at));
                if let Some(nav) = nav {
                    out.insert(
                        format!("{wire}@Microsoft.Dynamics.CRM.associatednavigationproperty"),
                        json!(nav),
                    );
                }
                self.title(table, value.as_str().unwrap_or_default())
                    .as_str()
                    .map(str::to_owned)
            }
            Kind::Decimal | Kind::Money | Kind::Integer | Kind::DateTime => Some(
                value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned),
            ),
            _ => None,
        };
        if let Some(text) = formatted {
            out.insert(
                format!("{wire}@OData.Community.Display.V1.FormattedValue"),
                json!(text),
            );
        }
    }
}

/// Works out the columns that follow from others.
pub(crate) fn derive(ty: &TableType, row: &mut Row) {
    if ty.column("lastname").is_some() && ty.column("fullname").is_some() {
        let parts: Vec<&str> = ["firstname", "lastname"]
            .iter()
            .filter_map(|name| row.get(*name)?.as_str())
            .collect();
        let name = parts.join(" ");
        row.insert(
            "fullname".into(),
            if name.is_empty() {
                Value::Null
            } else {
                json!(name)
            },
        );
    }
    if ty.column("owninguser").is_some() {
        let owner = row.get("_ownerid_value").cloned().unwrap_or_default();
        let is_team = row.get("_ownerid_value/type") == Some(&json!("team"));
        let (user, team) = if is_team {
            (Value::Null, owner)
        } else {
            (owner, Value::Null)
        };
        row.insert("_owninguser_value".into(), user);
        row.insert("_owningteam_value".into(), team);
    }
    if ty.name == "annotation" {
        let attached = row.get("documentbody").is_some_and(|body| !body.is_null());
        row.insert("isdocument".into(), json!(attached));
    }
}
