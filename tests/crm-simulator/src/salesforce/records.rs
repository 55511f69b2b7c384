//! Creating, changing, deleting and reading rows, with every rule a write meets.

use std::sync::Arc;

use serde_json::{Value, json};

use super::schema::{Field, Kind, ObjectType, is_setup};
use super::{Caller, Error, Org, ids};
use crate::clock::{is_date, parse_time, salesforce_time};
use crate::http::Row;
use crate::record::Record;

/// Sets the fields the system keeps itself.
pub(crate) fn stamp(row: &mut Row, id: &str, user: &str, now_ms: i64, created: bool) {
    let now = Value::from(salesforce_time(now_ms));
    if created {
        row.insert("Id".into(), json!(id));
        row.entry("CreatedDate").or_insert_with(|| now.clone());
        row.entry("CreatedById").or_insert_with(|| json!(user));
    }
    row.insert("LastModifiedDate".into(), now.clone());
    row.insert("LastModifiedById".into(), json!(user));
    row.insert("SystemModstamp".into(), now);
}

/// The row is in the recycle bin.
pub(crate) fn is_deleted(row: &Record) -> bool {
    row.get("IsDeleted") == Some(&Value::Bool(true))
}

fn unreadable(kind: &str, value: &Value) -> Error {
    let what = match value {
        Value::String(_) => "VALUE_STRING",
        Value::Number(n) if n.is_f64() => "VALUE_NUMBER_FLOAT",
        Value::Number(_) => "VALUE_NUMBER_INT",
        Value::Bool(true) => "VALUE_TRUE",
        Value::Bool(false) => "VALUE_FALSE",
        Value::Array(_) => "START_ARRAY",
        Value::Object(_) => "START_OBJECT",
        Value::Null => "VALUE_NULL",
    };
    let text = value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned);
    Error::new(
        400,
        "JSON_PARSER_ERROR",
        format!(
            "Cannot deserialize instance of {kind} from {what} value {text} or request may be missing \
         a required field at [line:1, column:2]"
        ),
    )
}

/// Reads a value as the field's type; an empty text is null.
fn convert(field: &Field, value: &Value) -> Result<Value, Error> {
    if value.is_null() {
        let empty = if field.kind == Kind::Boolean {
            Value::Bool(false)
        } else {
            Value::Null
        };
        return Ok(empty);
    }
    let name = field.name.as_str();
    match field.kind {
        Kind::Boolean => match value {
            Value::Bool(_) => Ok(value.clone()),
            Value::String(text) if text.eq_ignore_ascii_case("true") => Ok(json!(true)),
            Value::String(text) if text.eq_ignore_ascii_case("false") => Ok(json!(false)),
            _ => Err(unreadable("boolean", value)),
        },
        Kind::Int => {
            let number = match value {
                Value::Number(n) => n.as_f64().filter(|n| n.fract() == 0.0),
                Value::String(text) => text.parse::<i32>().ok().map(f64::from),
                _ => None,
            };
            let number = number.ok_or_else(|| unreadable("int", value))?;
            if number.abs() >= 1e8 {
                return Err(Error::on(
                    "NUMBER_OUTSIDE_VALID_RANGE",
                    format!(
                        "{}: value outside of valid range on numeric field: {number}",
                        field.label
                    ),
                    &[name],
                ));
            }
            Ok(format!("{number}")
                .parse::<i64>()
                .map(Value::from)
                .unwrap_or_default())
        }
        Kind::Double | Kind::Currency | Kind::Percent => {
            let number = match value {
                Value::Number(n) => n.as_f64(),
                Value::String(text) => text.parse::<f64>().ok(),
                _ => None,
            };
            number
                .filter(|n| n.is_finite())
                .map(Value::from)
                .ok_or_else(|| unreadable("double", value))
        }
        Kind::Date => match value.as_str() {
            Some(text) if is_date(text) => Ok(value.clone()),
            // A date with a time is cut to its date.
            Some(text) if parse_time(text).is_some() => Ok(json!(text.get(..10))),
            _ => Err(unreadable("date", value)),
        },
        Kind::Datetime => value
            .as_str()
            .and_then(|text| {
                parse_time(text)
                    .or_else(|| parse_time(&format!("{text}Z")))
                    .or_else(|| {
                        if is_date(text) {
                            parse_time(&format!("{text}T00:00:00Z"))
                        } else {
                            None
                        }
                    })
            })
            .map(|ms| Value::from(salesforce_time(ms)))
            .ok_or_else(|| unreadable("datetime", value)),
        Kind::Id | Kind::Reference => {
            let text = value
                .as_str()
                .ok_or_else(|| unreadable("reference", value))?;
            if text.is_empty() {
                return Ok(Value::Null);
            }
            ids::long(text).map(Value::from).ok_or_else(|| {
                Error::on(
                    "MALFORMED_ID",
                    format!("{}: id value of incorrect type: {text}", field.label),
                    &[name],
                )
            })
        }
        Kind::Address => Err(unreadable("address", value)),
        _ => {
            let text = match value {
                Value::String(text) => text.trim().to_owned(),
                Value::Number(number) => number.to_string(),
                Value::Bool(flag) => flag.to_string(),
                _ => return Err(unreadable("string", value)),
            };
            Ok(if text.is_empty() {
                Value::Null
            } else {
                Value::from(text)
            })
        }
    }
}

fn looks_like_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+/=?^_`{|}~.-".contains(c);
    !local.is_empty()
        && local.chars().all(plain)
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..")
        && domain.contains('.')
        && domain.split('.').all(|part| {
            !part.is_empty()
                && !part.starts_with('-')
                && !part.ends_with('-')
                && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        })
}

/// Checks a converted value against the field's limits.
fn check(field: &Field, value: &Value) -> Result<(), Error> {
    let Some(text) = value.as_str() else {
        return Ok(());
    };
    let name = field.name.as_str();
    if field.kind == Kind::Email && !looks_like_email(text) {
        return Err(Error::on(
            "INVALID_EMAIL_ADDRESS",
            format!("{}: invalid email address: {text}", field.label),
            &[name],
        ));
    }
    if field.kind.is_text() && field.length > 0 && text.encode_utf16().count() > field.length {
        return Err(Error::on(
            "STRING_TOO_LONG",
            format!(
                "{}: data value too large: {text} (max length={})",
                field.label, field.length
            ),
            &[name],
        ));
    }
    if field.restricted {
        let parts: Vec<&str> = if field.kind == Kind::Multipicklist {
            text.split(';').collect()
        } else {
            vec![text]
        };
        if parts.iter().any(|part| {
            !field
                .values
                .iter()
                .any(|v| v.eq_ignore_ascii_case(part.trim()))
        }) {
            return Err(Error::on(
                "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
                format!(
                    "{}: bad value for restricted picklist field: {text}",
                    field.label
                ),
                &[name],
            ));
        }
    }
    Ok(())
}

impl Org {
    /// Creates a row, or changes one.
    pub(crate) fn write(
        &mut self,
        caller: &Caller,
        ty: &Arc<ObjectType>,
        id: Option<&str>,
        body: &Row,
    ) -> Result<String, Error> {
        let operation = if id.is_some() { "update" } else { "create" };
        if self.is_denied(&ty.name, operation) || is_setup(&ty.name) {
            return Err(Error {
                status: 403,
                ..Error::on(
                    "INSUFFICIENT_ACCESS_OR_READONLY",
                    "insufficient access rights on object id",
                    &[],
                )
            });
        }
        let body = self.with_related(ty, body)?;
        let changes = read_changes(ty, id.is_none(), &body)?;
        let mut row = match id {
            Some(id) => self.live(&ty.name, id)?.to_row(),
            None => fresh(ty, &caller.user),
        };
        if id.is_some() && row.get("IsConverted") == Some(&Value::Bool(true)) {
            return Err(Error::on(
                "CANNOT_UPDATE_CONVERTED_LEAD",
                "cannot reference converted lead",
                &[],
            ));
        }
        let missing: Vec<&str> = ty
            .fields
            .iter()
            .filter(|field| field.is_required() || (id.is_some() && is_cleared(field, &changes)))
            .filter(|field| match id {
                None => changes.get(&field.name).is_none_or(Value::is_null),
                Some(_) => changes.get(&field.name).is_some_and(Value::is_null),
            })
            .map(|field| field.name.as_str())
            .collect();
        if !missing.is_empty() {
            let message = format!("Required fields are missing: [{}]", missing.join(", "));
            return Err(Error::on("REQUIRED_FIELD_MISSING", message, &missing));
        }
        for (name, value) in &changes {
            if let Some(field) = ty.field(name) {
                check(field, value)?;
                self.check_reference(ty, field, value)?;
            }
        }
        self.check_unique(ty, id, &changes)?;
        let given: Vec<String> = changes.keys().cloned().collect();
        for (name, value) in changes {
            // A restricted choice is kept as the list spells it.
            let value = match ty.field(&name) {
                Some(field) if field.restricted && field.kind == Kind::Picklist => {
                    let text = value.as_str().unwrap_or_default();
                    let spelled = field.values.iter().find(|v| v.eq_ignore_ascii_case(text));
                    spelled.map_or(value.clone(), |v| json!(v))
                }
                _ => value,
            };
            row.insert(name, value);
        }
        if ty.name == "Lead"
            && caller.auto_assign
            && !self.settings.assignment_owner.is_empty()
            && let Some(owner) = self.user_named(&self.settings.assignment_owner)
        {
            row.insert("OwnerId".into(), json!(owner));
        }
        self.derive(ty, &mut row, &given);
        if ty.name == "Task" {
            self.check_task(&row)?;
            row.insert("IsArchived".into(), json!(is_archived(&row, caller.now_ms)));
        }
        if id.is_none() {
            self.check_duplicates(caller, ty, &row)?;
            self.check_note(ty, &mut row)?;
        }
        let key = id.map_or_else(|| self.next_id(&ty.name), str::to_owned);
        stamp(&mut row, &key, &caller.user, caller.now_ms, id.is_none());
        self.store.put(&ty.name, &key, row);
        if id.is_none() {
            self.link_to_owner(caller, ty, &key);
        }
        Ok(key)
    }

    /// The body with the ids of records that it names by an external id of theirs:
    /// `"Account": {"Key__c": "x"}` for `AccountId`.
    fn with_related(&self, ty: &ObjectType, body: &Row) -> Result<Row, Error> {
        let mut out = Row::new();
        for (name, value) in body {
            let related = value
                .as_object()
                .filter(|_| name != "attributes" && ty.field(name).is_none())
                .zip(ty.relation(name));
            let Some((keys, lookup)) = related else {
                out.insert(name.clone(), value.clone());
                continue;
            };
            let mut keys = keys.iter().filter(|(key, _)| *key != "attributes");
            let (Some((key, value)), None) = (keys.next(), keys.next()) else {
                let message = format!("{name}: one external id field is needed");
                return Err(Error::on("INVALID_FIELD", message, &[name]));
            };
            let target = lookup.reference_to.iter().find_map(|object| {
                let target = self.object(object)?;
                let field = target.field(key)?;
                (field.external_id || field.id_lookup()).then(|| (target.clone(), field.clone()))
            });
            let Some((target, field)) = target else {
                let message = format!("No such column '{key}' on sobject of type {name}");
                return Err(Error::on("INVALID_FIELD", message, &[name]));
            };
            let text = value.as_str().unwrap_or_default();
            match self.holders(&target.name, &field.name, text).as_slice() {
                [id] => out.insert(lookup.name.clone(), json!(id)),
                [] => {
                    let message = format!(
                        "Foreign key external ID: {text} not found for field {} in entity {}",
                        field.name, target.name
                    );
                    return Err(Error::on("INVALID_FIELD", message, &[]));
                }
                _ => {
                    let message = format!(
                        "{}: more than one record found for external id field",
                        field.name
                    );
                    return Err(Error::on("DUPLICATE_EXTERNAL_ID", message, &[]));
                }
            };
        }
        Ok(out)
    }

    /// A row that exists and is not deleted.
    pub(crate) fn live(&self, object: &str, id: &str) -> Result<&Record, Error> {
        let missing = || Error {
            status: 404,
            ..Error::on(
                "INVALID_CROSS_REFERENCE_KEY",
                "invalid cross reference id",
                &[],
            )
        };
        let row = self.store.get(object, id).ok_or_else(missing)?;
        if is_deleted(row) {
            return Err(Error {
                status: 404,
                ..Error::on("ENTITY_IS_DELETED", "entity is deleted", &[])
            });
        }
        Ok(row)
    }

    fn check_reference(&self, ty: &ObjectType, field: &Field, value: &Value) -> Result<(), Error> {
        let Some(id) = value.as_str().filter(|_| field.kind == Kind::Reference) else {
            return Ok(());
        };
        let prefixes = field
            .reference_to
            .iter()
            .filter_map(|name| self.object(name));
        let Some(target) = prefixes
            .into_iter()
            .find(|target| id.starts_with(&target.prefix))
        else {
            return Err(Error::on(
                "FIELD_INTEGRITY_EXCEPTION",
                format!("{}: id value of incorrect type: {id}", field.label),
                &[&field.name],
            ));
        };
        let row = self
            .store
            .get(&target.name, id)
            .filter(|row| !is_deleted(row));
        let Some(row) = row else {
            return Err(Error::on(
                "INVALID_CROSS_REFERENCE_KEY",
                "invalid cross reference id",
                &[],
            ));
        };
        if field.name == "OwnerId" && row.get("IsActive") == Some(&Value::Bool(false)) {
            let object = ty.name.to_lowercase();
            return Err(Error::on(
                "INACTIVE_OWNER_OR_USER",
                format!("operation performed with inactive user [{id}] as owner of {object}"),
                &["OwnerId"],
            ));
        }
        Ok(())
    }

    fn check_unique(&self, ty: &ObjectType, id: Option<&str>, changes: &Row) -> Result<(), Error> {
        for field in ty.fields.iter().filter(|field| field.unique) {
            let Some(text) = changes.get(&field.name).and_then(Value::as_str) else {
                continue;
            };
            let holders = self.holders(&ty.name, &field.name, text);
            if let Some(other) = holders.iter().find(|holder| Some(holder.as_str()) != id) {
                let short = other.get(..15).unwrap_or(other);
                let message = format!(
                    "duplicate value found: {} duplicates value on record with id: {short}",
                    field.name
                );
                return Err(Error::on("DUPLICATE_VALUE", message, &[]));
            }
        }
        Ok(())
    }

    /// Live rows whose field holds the text.
    pub(crate) fn holders(&self, object: &str, field: &str, text: &str) -> Vec<String> {
        let alive = |id: &String| {
            self.store
                .get(object, id)
                .is_some_and(|row| !is_deleted(row))
        };
        match self.store.find(object, field, text) {
            Some(ids) => ids.into_iter().filter(alive).collect(),
            None => self
                .store
                .rows(object)
                .filter(|(_, row)| !is_deleted(row))
                .filter(|(_, row)| {
                    row.get(field).is_some_and(|value| match value {
                        Value::String(own) => own.eq_ignore_ascii_case(text),
                        other => text
                            .parse()
                            .is_ok_and(|number: f64| other.as_f64() == Some(number)),
                    })
                })
                .map(|(id, _)| id.clone())
                .collect(),
        }
    }

    fn check_duplicates(&self, caller: &Caller, ty: &ObjectType, row: &Row) -> Result<(), Error> {
        let rule = self.settings.duplicate_rule.as_str();
        let blocks = rule == "block" || (rule == "alert" && !caller.allow_save);
        if !blocks || !matches!(ty.name.as_str(), "Lead" | "Contact") {
            return Ok(());
        }
        let Some(email) = row.get("Email").and_then(Value::as_str) else {
            return Ok(());
        };
        let found = self.holders(&ty.name, "Email", email);
        if found.is_empty() {
            return Ok(());
        }
        let message = "Use one of these records?";
        let records: Vec<Value> = found
            .iter()
            .map(|id| {
                let mut record = json!({
                    "attributes": {
                        "type": ty.name,
                        "url": format!("/services/data/v67.0/sobjects/{}/{id}", ty.name),
                    },
                    "Id": id,
                });
                if let (true, Value::Object(record), Some(row)) =
                    (caller.details, &mut record, self.store.get(&ty.name, id))
                {
                    record.extend(row.to_row());
                }
                json!({ "additionalInformation": [], "fieldDiffs": [], "matchConfidence": 100.0, "record": record })
            })
            .collect();
        let result = json!({
            "allowSave": rule == "alert", "duplicateRule": format!("Standard_{}_Duplicate_Rule", ty.name),
            "duplicateRuleEntityType": ty.name, "errorMessage": message,
            "matchResults": [{
                "entityType": ty.name, "errors": [], "matchEngine": "FuzzyMatchEngine",
                "matchRecords": records, "rule": format!("Standard_{}_Match_Rule_v1_1", ty.name),
                "size": found.len(), "success": true,
            }],
        });
        Err(Error {
            extra: Some(("duplicateResult", result)),
            ..Error::on("DUPLICATES_DETECTED", message, &[])
        })
    }

    /// Turns a lead into a contact and an account.
    pub(crate) fn convert(&mut self, caller: &Caller, id: &str) -> Result<Value, Error> {
        let lead = self.live("Lead", id)?.to_row();
        if lead.get("IsConverted") == Some(&Value::Bool(true)) {
            return Err(Error::on(
                "CANNOT_UPDATE_CONVERTED_LEAD",
                "lead already converted",
                &[],
            ));
        }
        let text = |name: &str| lead.get(name).cloned().unwrap_or_default();
        let account = self.next_id("Account");
        let contact = self.next_id("Contact");
        let mut row = Row::new();
        row.insert("Name".into(), text("Company"));
        row.insert("OwnerId".into(), text("OwnerId"));
        row.insert("IsDeleted".into(), json!(false));
        stamp(&mut row, &account, &caller.user, caller.now_ms, true);
        self.store.put("Account", &account, row);
        let mut row = Row::new();
        for name in [
            "FirstName",
            "LastName",
            "Name",
            "Email",
            "Phone",
            "MobilePhone",
            "Title",
            "OwnerId",
        ] {
            row.insert(name.into(), text(name));
        }
        row.insert("AccountId".into(), json!(account));
        row.insert("IsDeleted".into(), json!(false));
        stamp(&mut row, &contact, &caller.user, caller.now_ms, true);
        self.store.put("Contact", &contact, row);
        let mut row = lead;
        row.insert("IsConverted".into(), json!(true));
        row.insert("Status".into(), json!("Closed - Converted"));
        row.insert("ConvertedAccountId".into(), json!(account));
        row.insert("ConvertedContactId".into(), json!(contact));
        let today = salesforce_time(caller.now_ms);
        row.insert("ConvertedDate".into(), json!(today.get(..10)));
        stamp(&mut row, id, &caller.user, caller.now_ms, false);
        self.store.put("Lead", id, row);
        Ok(json!({ "leadId": id, "accountId": account, "contactId": contact }))
    }

    /// Works out the fields that follow from others; `given` names those that were just written.
    pub(crate) fn derive(&self, ty: &ObjectType, row: &mut Row, given: &[String]) {
        if ty.is_person() {
            let parts: Vec<&str> = ["FirstName", "LastName"]
                .iter()
                .filter_map(|name| row.get(*name)?.as_str())
                .collect();
            let name = parts.join(" ");
            row.insert("Name".into(), json!(name));
        }
        match ty.name.as_str() {
            "Task" => {
                let status = row.get("Status").and_then(Value::as_str);
                let mut statuses = self.store.rows("TaskStatus").map(|(_, row)| row);
                let closed = statuses.any(|own| {
                    own.get("ApiName").and_then(Value::as_str) == status
                        && own.get("IsClosed") == Some(&json!(true))
                });
                row.insert("IsClosed".into(), json!(closed));
                row.insert("AccountId".into(), self.account_of_task(row));
                let high = row.get("Priority") == Some(&json!("High"));
                row.insert("IsHighPriority".into(), json!(high));
            }
            "Opportunity" => self.derive_opportunity(row, given),
            _ => {}
        }
    }

    /// The account of a task: its related account, or that of its contact.
    fn account_of_task(&self, row: &Row) -> Value {
        let id = |name: &str| row.get(name).and_then(Value::as_str);
        if let Some(account) = id("WhatId").filter(|id| id.starts_with("001")) {
            return json!(account);
        }
        let contact = id("WhoId").and_then(|id| self.store.get("Contact", id));
        let account = contact.and_then(|contact| contact.get("AccountId"));
        account.cloned().unwrap_or_default()
    }

    /// Refuses a task that has both a lead and a related record, or whose lead is converted.
    fn check_task(&self, row: &Row) -> Result<(), Error> {
        let id = |name: &str| row.get(name).and_then(Value::as_str);
        let lead = id("WhoId").and_then(|who| self.store.get("Lead", who));
        let Some(lead) = lead else { return Ok(()) };
        if id("WhatId").is_some() {
            return Err(Error::on(
                "FIELD_INTEGRITY_EXCEPTION",
                "Cannot set Related To (WhatId) when Name (WhoId) is a lead.",
                &["WhatId"],
            ));
        }
        if lead.get("IsConverted") == Some(&json!(true)) {
            return Err(Error::on(
                "CANNOT_UPDATE_CONVERTED_LEAD",
                "cannot reference converted lead",
                &[],
            ));
        }
        Ok(())
    }

    /// Sets the fields of an opportunity that follow from its stage, and its expected revenue.
    fn derive_opportunity(&self, row: &mut Row, given: &[String]) {
        let is_given = |name: &str| given.iter().any(|one| one == name);
        let stage = row.get("StageName").and_then(Value::as_str);
        let stage = stage.and_then(|name| self.stage(name)).map(Record::to_row);
        let of_stage = |name: &str| stage.as_ref().and_then(|stage| stage.get(name)).cloned();
        for name in ["IsClosed", "IsWon"] {
            row.insert(name.into(), of_stage(name).unwrap_or(json!(false)));
        }
        if is_given("StageName") {
            for (name, source) in [
                ("Probability", "DefaultProbability"),
                ("ForecastCategoryName", "ForecastCategoryName"),
                ("ForecastCategory", "ForecastCategory"),
            ] {
                if !is_given(name) {
                    row.insert(name.into(), of_stage(source).unwrap_or_default());
                }
            }
        }
        let number = |name: &str| row.get(name).and_then(Value::as_f64);
        let expected = number("Amount")
            .zip(number("Probability"))
            .map(|(amount, percent)| amount * percent / 100.0);
        row.insert("ExpectedRevenue".into(), json!(expected));
    }

    /// The opportunity stage of this API name.
    fn stage(&self, name: &str) -> Option<&Record> {
        let mut stages = self.store.rows("OpportunityStage").map(|(_, row)| row);
        stages.find(|row| {
            let own = row.get("ApiName").and_then(Value::as_str);
            own.is_some_and(|own| own.eq_ignore_ascii_case(name))
        })
    }

    /// A row as its answer shows it: the attributes, then the fields asked for, or all.
    pub(crate) fn render(
        version: &str,
        ty: &ObjectType,
        row: &Record,
        fields: Option<&[&Field]>,
    ) -> Value {
        let id = row.get("Id").and_then(Value::as_str).unwrap_or_default();
        let mut out = Row::new();
        out.insert("attributes".into(), attributes(version, &ty.name, id));
        let all: Vec<&Field> = ty.fields.iter().collect();
        for field in fields.unwrap_or(&all) {
            out.insert(field.name.clone(), field_value(row, field));
        }
        Value::Object(out)
    }
}

/// A task is archived that is closed and a year old.
fn is_archived(row: &Row, now_ms: i64) -> bool {
    const YEAR_MS: i64 = 365 * 24 * 3600 * 1000;
    let day = row.get("ActivityDate").and_then(Value::as_str);
    let at = day.and_then(|day| parse_time(&format!("{day}T00:00:00Z")));
    row.get("IsClosed") == Some(&Value::Bool(true)) && at.is_some_and(|at| at <= now_ms - YEAR_MS)
}

fn is_cleared(field: &Field, changes: &Row) -> bool {
    // A field with a default may be left out, not emptied.
    !field.nillable
        && field.kind != Kind::Boolean
        && changes.get(&field.name).is_some_and(Value::is_null)
}

/// Type and address of a row.
pub(crate) fn attributes(version: &str, object: &str, id: &str) -> Value {
    json!({ "type": object, "url": format!("/services/data/{version}/sobjects/{object}/{id}") })
}

/// A field's value; compound addresses are put together.
pub(crate) fn field_value(row: &Record, field: &Field) -> Value {
    if field.kind == Kind::Address {
        let prefix = field.name.strip_suffix("Address").unwrap_or_default();
        let part = |name: &str| {
            row.get(&format!("{prefix}{name}"))
                .cloned()
                .unwrap_or_default()
        };
        let names = ["Street", "City", "State", "PostalCode", "Country"];
        if names.iter().all(|name| part(name).is_null()) {
            return Value::Null;
        }
        return json!({
            "city": part("City"), "country": part("Country"), "geocodeAccuracy": null,
            "latitude": null, "longitude": null, "postalCode": part("PostalCode"),
            "state": part("State"), "street": part("Street"),
        });
    }
    let empty = if field.kind == Kind::Boolean {
        Value::Bool(false)
    } else {
        Value::Null
    };
    row.get(&field.name).cloned().unwrap_or(empty)
}

/// Reads a body's fields; refuses those that cannot be written.
fn read_changes(ty: &ObjectType, create: bool, body: &Row) -> Result<Row, Error> {
    let mut changes = Row::new();
    let mut locked = Vec::new();
    for (name, value) in body {
        if name == "attributes" {
            continue;
        }
        let Some(field) = ty.field(name) else {
            return Err(Error::new(
                400,
                "INVALID_FIELD",
                format!("No such column '{name}' on sobject of type {}", ty.name),
            ));
        };
        let allowed = if create {
            field.createable
        } else {
            field.updateable
        };
        if !allowed {
            locked.push(field.name.as_str());
            continue;
        }
        changes.insert(field.name.clone(), convert(field, value)?);
    }
    if locked.is_empty() {
        return Ok(changes);
    }
    let message = format!(
        "Unable to create/update fields: {}. Please check the security settings of this field and \
         verify that it is read/write for your profile or permission set.",
        locked.join(", ")
    );
    Err(Error::on(
        "INVALID_FIELD_FOR_INSERT_UPDATE",
        message,
        &locked,
    ))
}

/// A row with its defaults.
pub(super) fn fresh(ty: &ObjectType, user: &str) -> Row {
    let mut row = Row::new();
    for field in &ty.fields {
        if let Some(default) = &field.default {
            row.insert(field.name.clone(), default.clone());
        }
    }
    if ty.field("OwnerId").is_some() {
        row.insert("OwnerId".into(), json!(user));
    }
    row
}
