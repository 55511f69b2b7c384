//! Running queries: columns through lookups, paging by locator.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::records::{attributes, field_value, is_deleted};
use super::schema::{Field, Kind, ObjectType};
use super::soql::{self, Column, Condition, Literal, Path, Query};
use super::{Caller, Error, Org};
use crate::http::{Reply, Row};
use crate::record::Record;

/// A result that is being paged through.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Cursor {
    text: String,
    object: String,
    ids: Vec<String>,
    size: usize,
}

/// A column ready to be read: lookups to follow, then the field.
struct Resolved {
    hops: Vec<(String, String)>,
    field: Field,
}

impl Org {
    /// Answers `query` and `queryAll`.
    pub(crate) fn query(
        &mut self,
        caller: &Caller,
        version: &str,
        text: &str,
        all: bool,
    ) -> Result<Reply, Error> {
        let query = soql::parse(text, caller.now_ms)?;
        let ty = self.queried(&query)?;
        self.check_query(&query, &ty)?;
        let rows = self.run(&query, &ty, all);
        let total = rows.len();
        let most = self.settings.query_timeout_rows;
        if most > 0 && total > most {
            return Err(Error::new(
                400,
                "QUERY_TIMEOUT",
                "Your query request was running for too long.",
            ));
        }
        match query.columns.as_slice() {
            [Column::CountAll] => {
                return Ok(Reply::json(
                    200,
                    &json!({ "totalSize": total, "done": true, "records": [] }),
                ));
            }
            [Column::Count(..), ..] => {
                let mut row = Row::new();
                row.insert("attributes".into(), json!({ "type": "AggregateResult" }));
                for (at, column) in query.columns.iter().enumerate() {
                    if let Column::Count(path, alias) = column {
                        let filled = rows
                            .iter()
                            .filter(|(_, row)| !self.reach(&ty, path, row).is_null());
                        let name = alias.clone().unwrap_or_else(|| format!("expr{at}"));
                        row.insert(name, json!(filled.count()));
                    }
                }
                return Ok(Reply::json(
                    200,
                    &json!({ "totalSize": 1, "done": true, "records": [row] }),
                ));
            }
            _ => {}
        }
        let size = caller.batch_size.unwrap_or(self.settings.page_size).max(1);
        let cursor = Cursor {
            text: text.to_owned(),
            object: ty.name.clone(),
            ids: rows.into_iter().map(|(id, _)| id.to_owned()).collect(),
            size,
        };
        if total <= size {
            return self.page(version, &cursor, "", 0, caller.now_ms);
        }
        let number = self.counters.entry("cursor".into()).or_default();
        *number += 1;
        let key = super::ids::make("01g", super::pod(self.sandbox), *number);
        let reply = self.page(version, &cursor, &key, 0, caller.now_ms);
        self.cursors.insert(key, cursor);
        // Ten open cursors a user; older ones are gone.
        while self.cursors.len() > 10 {
            self.cursors.pop_first();
        }
        reply
    }

    /// Answers `query/{locator}`.
    pub(crate) fn query_more(
        &self,
        caller: &Caller,
        version: &str,
        locator: &str,
    ) -> Result<Reply, Error> {
        let gone = || Error::new(400, "INVALID_QUERY_LOCATOR", "invalid query locator");
        let (key, start) = locator.rsplit_once('-').ok_or_else(gone)?;
        let start = start.parse().map_err(|_| gone())?;
        let cursor = self.cursors.get(key).ok_or_else(gone)?;
        self.page(version, cursor, key, start, caller.now_ms)
    }

    /// Ends every result that is being paged through.
    pub(crate) fn expire_locators(&mut self) -> usize {
        std::mem::take(&mut self.cursors).len()
    }

    fn page(
        &self,
        version: &str,
        cursor: &Cursor,
        key: &str,
        start: usize,
        now_ms: i64,
    ) -> Result<Reply, Error> {
        let query = soql::parse(&cursor.text, now_ms)?;
        let ty = self.object(&cursor.object).ok_or_else(Error::not_found)?;
        let columns = query
            .columns
            .iter()
            .filter_map(|column| match column {
                Column::Field(path) => Some(self.resolve(&query.text, &ty, path)),
                _ => None,
            })
            .collect::<Result<Vec<_>, _>>()?;
        let total = cursor.ids.len();
        let end = (start + cursor.size).min(total);
        let rows: Vec<Value> = cursor
            .ids
            .get(start..end)
            .unwrap_or_default()
            .iter()
            .filter_map(|id| self.store.get(&ty.name, id))
            .map(|row| self.show(version, &ty, row, &columns))
            .collect();
        let mut out = json!({ "totalSize": total, "done": end >= total, "records": rows });
        if let (true, Value::Object(out)) = (end < total, &mut out) {
            let next = format!("/services/data/{version}/query/{key}-{end}");
            out.insert("nextRecordsUrl".into(), json!(next));
        }
        Ok(Reply::json(200, &out))
    }

    fn show(&self, version: &str, ty: &ObjectType, row: &Record, columns: &[Resolved]) -> Value {
        let id = row.get("Id").and_then(Value::as_str).unwrap_or_default();
        let mut out = Row::new();
        out.insert("attributes".into(), attributes(version, &ty.name, id));
        for column in columns {
            match column.hops.split_first() {
                None => {
                    out.insert(column.field.name.clone(), field_value(row, &column.field));
                }
                Some(_) => self.show_related(version, &mut out, row, column),
            }
        }
        Value::Object(out)
    }

    fn show_related(&self, version: &str, out: &mut Row, row: &Record, column: &Resolved) {
        let mut slot = out;
        let mut row = row;
        for (lookup, relation) in &column.hops {
            let target = row
                .get(lookup)
                .and_then(Value::as_str)
                .and_then(|id| self.by_id(id));
            let Some((ty, id, next)) = target else {
                slot.entry(relation.clone()).or_insert(Value::Null);
                return;
            };
            let entry = slot
                .entry(relation.clone())
                .or_insert_with(|| json!({ "attributes": attributes(version, &ty.name, id) }));
            let Value::Object(inner) = entry else { return };
            slot = inner;
            row = next;
        }
        let value = row.get(&column.field.name).cloned().unwrap_or_default();
        slot.insert(column.field.name.clone(), value);
    }

    /// The object and row of an id.
    pub(crate) fn by_id<'a>(
        &'a self,
        id: &str,
    ) -> Option<(&'a Arc<ObjectType>, &'a str, &'a Record)> {
        let ty = self.objects().find(|ty| id.starts_with(&ty.prefix))?;
        let row = self.store.get(&ty.name, id)?;
        Some((ty, row.get("Id").and_then(Value::as_str)?, row))
    }

    fn resolve(&self, text: &str, ty: &Arc<ObjectType>, path: &Path) -> Result<Resolved, Error> {
        if let Some(field) = soql::own_field(ty, path) {
            return Ok(Resolved {
                hops: Vec::new(),
                field: field.clone(),
            });
        }
        let mut current = Arc::clone(ty);
        let mut hops = Vec::new();
        let Some((last, relations)) = path.parts.split_last() else {
            return Err(Error::not_found());
        };
        for name in relations {
            let Some(lookup) = current.relation(name) else {
                let reason = format!(
                    "Didn't understand relationship '{name}' in field path. If you are attempting to use a custom relationship, be sure to append the '__r' after the custom relationship name. Please reference your WSDL or the describe call for the appropriate names."
                );
                return Err(Error::new(
                    400,
                    "INVALID_FIELD",
                    soql::located(text, path.at, &reason),
                ));
            };
            let relation = lookup.relationship.clone().unwrap_or_default();
            hops.push((lookup.name.clone(), relation));
            let targets = lookup
                .reference_to
                .iter()
                .filter(|name| !self.is_denied(name, "read"))
                .filter_map(|name| self.object(name));
            let best = targets.max_by_key(|target| usize::from(target.field(last).is_some()));
            let Some(next) = best else {
                return Err(soql::no_column(text, path, last, &current.name));
            };
            current = next;
        }
        match current.field(last) {
            Some(field) => Ok(Resolved {
                hops,
                field: field.clone(),
            }),
            None => Err(soql::no_column(text, path, last, &current.name)),
        }
    }

    /// The value a path leads to.
    pub(super) fn reach(&self, ty: &Arc<ObjectType>, path: &Path, row: &Record) -> Value {
        let Ok(resolved) = self.resolve("", ty, path) else {
            return Value::Null;
        };
        let mut row = row;
        for (lookup, _) in &resolved.hops {
            match row
                .get(lookup)
                .and_then(Value::as_str)
                .and_then(|id| self.by_id(id))
            {
                Some((_, _, next)) => row = next,
                None => return Value::Null,
            }
        }
        let empty = if resolved.field.kind == Kind::Boolean {
            json!(false)
        } else {
            Value::Null
        };
        row.get(&resolved.field.name).cloned().unwrap_or(empty)
    }

    /// The object a query asks for.
    pub(super) fn queried(&self, query: &Query) -> Result<Arc<ObjectType>, Error> {
        self.object(&query.from)
            .filter(|ty| !self.is_denied(&ty.name, "read"))
            .ok_or_else(|| soql::no_object(query))
    }

    /// A column's full name and field.
    pub(super) fn column_of(
        &self,
        text: &str,
        ty: &Arc<ObjectType>,
        path: &Path,
    ) -> Result<(String, Field), Error> {
        let found = self.resolve(text, ty, path)?;
        let mut names: Vec<&str> = found.hops.iter().map(|(_, name)| name.as_str()).collect();
        names.push(&found.field.name);
        Ok((names.join("."), found.field))
    }

    pub(super) fn check_query(&self, query: &Query, ty: &Arc<ObjectType>) -> Result<(), Error> {
        super::notes::check_query(query, ty)?;
        for column in &query.columns {
            if let Column::Field(path) | Column::Count(path, _) = column {
                self.resolve(&query.text, ty, path)?;
            }
        }
        for sort in &query.order {
            self.resolve(&query.text, ty, &sort.path)?;
        }
        match &query.condition {
            Some(condition) => self.check_condition(query, ty, condition),
            None => Ok(()),
        }
    }

    fn check_condition(
        &self,
        query: &Query,
        ty: &Arc<ObjectType>,
        condition: &Condition,
    ) -> Result<(), Error> {
        match condition {
            Condition::And(terms) | Condition::Or(terms) => terms
                .iter()
                .try_for_each(|term| self.check_condition(query, ty, term)),
            Condition::Not(term) => self.check_condition(query, ty, term),
            Condition::Compare(path, op, literals) => {
                let field = self.resolve(&query.text, ty, path)?.field;
                literals
                    .iter()
                    .try_for_each(|literal| soql::check_literal(&field, *op, literal))
            }
        }
    }

    /// The rows a query finds, in its order.
    pub(super) fn run<'a>(
        &'a self,
        query: &Query,
        ty: &Arc<ObjectType>,
        all: bool,
    ) -> Vec<(&'a str, &'a Arc<Record>)> {
        let keep = |row: &Record| {
            (all || !is_deleted(row) && row.get("IsArchived") != Some(&json!(true)))
                && query
                    .condition
                    .as_ref()
                    .is_none_or(|condition| self.holds(ty, condition, row))
        };
        // Rows stand in the order of their ids, which is a query's own order, too.
        let by_id = matches!(query.order.as_slice(), [only] if !only.descending
            && soql::own_field(ty, &only.path).is_some_and(|field| field.kind == Kind::Id));
        let sorts = !query.order.is_empty() && !by_id;
        let wanted = query
            .limit
            .map_or(usize::MAX, |limit| limit.saturating_add(query.offset));
        let enough = if sorts { usize::MAX } else { wanted };
        let candidates = self.candidates(query, ty);
        let mut found: Vec<(&str, &Arc<Record>)> = match &candidates {
            Some(ids) => ids
                .iter()
                .filter_map(|id| self.store.entry(&ty.name, id))
                .filter(|(_, row)| keep(row))
                .take(enough)
                .collect(),
            None => self
                .store
                .shared(
                    &ty.name,
                    query
                        .condition
                        .as_ref()
                        .and_then(|it| soql::first_id(ty, it)),
                )
                .filter(|(_, row)| keep(row))
                .take(enough)
                .collect(),
        };
        if sorts {
            let exact: Vec<bool> = query
                .order
                .iter()
                .map(|sort| {
                    self.resolve("", ty, &sort.path)
                        .is_ok_and(|found| !found.field.kind.is_text())
                })
                .collect();
            // Every key is worked out once, not at each comparison.
            let mut keyed: Vec<(Vec<Cow<'_, Value>>, _)> = found
                .into_iter()
                .map(|(id, row)| {
                    let keys =
                        query
                            .order
                            .iter()
                            .map(|sort| match soql::own_field(ty, &sort.path) {
                                Some(field) => Cow::Borrowed(soql::value_of(row, field)),
                                None => Cow::Owned(self.reach(ty, &sort.path, row)),
                            });
                    (keys.collect(), (id, row))
                })
                .collect();
            keyed.sort_by(|(left, _), (right, _)| {
                let pairs = left.iter().zip(right);
                query.order.iter().zip(&exact).zip(pairs).fold(
                    Ordering::Equal,
                    |so_far, ((sort, exact), (left, right))| {
                        so_far.then_with(|| soql::order(left, right, sort, *exact))
                    },
                )
            });
            found = keyed.into_iter().map(|(_, found)| found).collect();
        }
        found.truncate(wanted);
        found.drain(..query.offset.min(found.len()));
        found
    }

    /// Ids that can match at all, when an index knows them.
    fn candidates(&self, query: &Query, ty: &Arc<ObjectType>) -> Option<Vec<String>> {
        for (path, literals) in soql::required_equals(query.condition.as_ref()?) {
            let Some(field) = soql::own_field(ty, path) else {
                continue;
            };
            let mut ids = Vec::new();
            let known = literals.iter().all(|literal| match literal {
                Literal::Text(text) if field.kind == Kind::Id => {
                    ids.extend(super::ids::long(text));
                    true
                }
                Literal::Text(text) if field.kind == Kind::Reference => super::ids::long(text)
                    .and_then(|id| self.store.find(&ty.name, &field.name, &id))
                    .map(|found| ids.extend(found))
                    .is_some(),
                Literal::Text(text) if !text.is_empty() => self
                    .store
                    .find(&ty.name, &field.name, text)
                    .map(|found| ids.extend(found))
                    .is_some(),
                _ => false,
            });
            if known {
                ids.sort();
                ids.dedup();
                return Some(ids);
            }
        }
        None
    }

    fn holds(&self, ty: &Arc<ObjectType>, condition: &Condition, row: &Record) -> bool {
        match condition {
            Condition::And(terms) => terms.iter().all(|term| self.holds(ty, term, row)),
            Condition::Or(terms) => terms.iter().any(|term| self.holds(ty, term, row)),
            Condition::Not(term) => !self.holds(ty, term, row),
            Condition::Compare(path, op, literals) => match soql::own_field(ty, path) {
                Some(field) if field.kind != Kind::Address => {
                    let value = match soql::value_of(row, field) {
                        Value::Null if field.kind == Kind::Boolean => &Value::Bool(false),
                        value => value,
                    };
                    soql::matches(field, value, *op, literals)
                }
                Some(_) => false,
                None => match self.resolve("", ty, path) {
                    Ok(resolved) => {
                        soql::matches(&resolved.field, &self.reach(ty, path, row), *op, literals)
                    }
                    Err(_) => false,
                },
            },
        }
    }
}
