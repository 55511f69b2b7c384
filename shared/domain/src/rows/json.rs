//! Pages of JSON rows: Salesforce's REST queries and Dataverse's tables.
//!
//! A page is checked as a whole and cut into rows without building anything of it; a row is read
//! A page is checked as a whole and split into rows without building anything of it; a row is read straight
//! into the mirror's form.
//! Sources: Salesforce's REST API developer guide ("Query"), `OData` JSON format 4.0 (section 15,
//! delta payloads) and 4.01 (`@removed`), Microsoft's pages on change tracking.

use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::value::RawValue;

use super::{Cell, Layout, Malformed, Row, record_id};
use crate::mirror::{Change, Value, ValueKind};
use crate::schema::CrmKind;

/// A page split into rows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// Byte ranges of the rows in the body.
    pub rows: Vec<Range<usize>>,
    /// The link to the next page.
    pub next: Option<String>,
    /// Dataverse: the link to later changes.
    pub delta: Option<String>,
    /// Salesforce: rows of all pages.
    pub total: Option<u64>,
}

#[derive(Deserialize)]
struct Query<'a> {
    #[serde(borrow)]
    records: Vec<&'a RawValue>,
    #[serde(rename = "totalSize")]
    total: u64,
    done: bool,
    #[serde(rename = "nextRecordsUrl")]
    next: Option<String>,
}

#[derive(Deserialize)]
struct Table<'a> {
    #[serde(borrow)]
    value: Vec<&'a RawValue>,
    // OData 4.01 servers may leave out the prefix.
    #[serde(rename = "@odata.nextLink", alias = "@nextLink")]
    next: Option<String>,
    #[serde(rename = "@odata.deltaLink", alias = "@deltaLink")]
    delta: Option<String>,
}

/// Splits a page of a Salesforce query into rows.
///
/// # Errors
/// Returns [`Malformed`] if the body is not such a page, or states neither that it is the last page nor which
/// page is next.
pub fn query_page(body: &[u8]) -> Result<Page, Malformed> {
    let page: Query<'_> =
        serde_json::from_slice(body).map_err(|_| Malformed("the page is no query result"))?;
    if page.done == page.next.is_some() {
        return Err(Malformed("the page does not say which is next"));
    }
    Ok(Page {
        rows: ranges(body, &page.records),
        next: page.next,
        delta: None,
        total: Some(page.total),
    })
}

/// Splits a page of a Dataverse table, or of its changes, into rows.
///
/// # Errors
/// Returns [`Malformed`] if the body is not such a page.
pub fn table_page(body: &[u8]) -> Result<Page, Malformed> {
    let page: Table<'_> =
        serde_json::from_slice(body).map_err(|_| Malformed("the page is no list of rows"))?;
    Ok(Page {
        rows: ranges(body, &page.value),
        next: page.next,
        delta: page.delta,
        total: None,
    })
}

fn ranges(body: &[u8], rows: &[&RawValue]) -> Vec<Range<usize>> {
    let base = body.as_ptr().addr();
    rows.iter()
        .map(|row| {
            let start = row.get().as_ptr().addr() - base;
            start..start + row.get().len()
        })
        .collect()
}

/// Reads a row.
///
/// # Errors
/// Returns [`Malformed`] if it has no id, or no time of its change.
pub fn row(layout: &mut Layout, text: &[u8]) -> Result<Change, Malformed> {
    let mut json = serde_json::Deserializer::from_slice(text);
    let read = Object { layout }
        .deserialize(&mut json)
        .map_err(|_| Malformed("a row is no JSON object"))?;
    read.finish()
}

/// A row with the properties that only a deleted row has.
struct Read {
    row: Row,
    values: Vec<(&'static str, Value)>,
    removed: bool,
    removed_id: Option<String>,
}

impl Read {
    fn finish(self) -> Result<Change, Malformed> {
        if !self.removed {
            return self.row.finish(self.values);
        }
        Ok(Change::Gone {
            id: self
                .removed_id
                .or(self.row.id)
                .ok_or(Malformed("a deleted row has no id"))?,
            modified: self.row.modified,
            merged_into: None,
        })
    }
}

struct Object<'l> {
    layout: &'l mut Layout,
}

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = Read;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Read, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = Read;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Read, A::Error> {
        let layout = self.layout;
        let count = layout.columns.len();
        let mut row = Row::default();
        let mut found: Vec<(usize, Value)> = Vec::with_capacity(count);
        let (mut removed, mut removed_id) = (false, None);
        // Rows mostly have their columns in the requested order.
        let mut expected = 0;
        while let Some(key) = map.next_key::<Key<'de>>()? {
            let key = key.as_str();
            let at = |index: &usize| layout.columns.get(*index).is_some_and(|c| c.name == key);
            let index = Some(expected).filter(at).or_else(|| (0..count).find(at));
            if let Some(index) = index {
                expected = index + 1;
                let number = layout
                    .columns
                    .get(index)
                    .is_some_and(|column| column.kind == ValueKind::Number);
                let value = if number {
                    // The raw text: a number that was parsed and written again could differ from the CSV's.
                    let raw: &RawValue = map.next_value()?;
                    layout.take(&mut row, index, number_cell(raw.get()))
                } else {
                    map.next_value_seed(Take {
                        layout,
                        row: &mut row,
                        index,
                    })?
                };
                found.extend(value.map(|value| (index, value)));
            } else if layout.crm == CrmKind::Dynamics365 {
                match key {
                    "@odata.context" | "@context" => {
                        let context: Loose<'de> = map.next_value()?;
                        removed |= context
                            .text()
                            .is_some_and(|c| c.ends_with("/$deletedEntity"));
                    }
                    "@removed" | "@odata.removed" | "reason" => {
                        map.next_value::<IgnoredAny>()?;
                        removed = true;
                    }
                    "id" | "@odata.id" | "@id" => {
                        let id: Loose<'de> = map.next_value()?;
                        removed_id = id.text().and_then(named).or(removed_id);
                    }
                    _ => {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        if !found.is_sorted_by_key(|(index, _)| *index) {
            found.sort_by_key(|(index, _)| *index);
        }
        let mut values = Vec::with_capacity(found.len());
        for (index, value) in found {
            if let Some(column) = layout.columns.get(index) {
                values.push((column.name, value));
            }
        }
        Ok(Read {
            row,
            values,
            removed,
            removed_id,
        })
    }
}

/// The GUID that a deleted row names: alone, or as the key at the end of a record's address.
fn named(id: &str) -> Option<String> {
    let key = match id.rsplit_once('(') {
        Some((_, key)) => key.strip_suffix(')')?,
        None => id,
    };
    let id = record_id(CrmKind::Dynamics365, key.trim_matches('\''));
    (!id.is_empty() && !id.contains(['/', ':'])).then_some(id)
}

fn number_cell(raw: &str) -> Cell<'_> {
    match raw.as_bytes().first() {
        Some(b'n') => Cell::Nothing,
        Some(b'-' | b'0'..=b'9') => Cell::Number(raw),
        // A choice's number in quotes; a text with an escape in it is not one.
        Some(b'"') => Cell::Text(raw.trim_matches('"')),
        _ => Cell::Other,
    }
}

/// A member's name; a name with an escape in it is owned.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] std::borrow::Cow<'a, str>);

impl Key<'_> {
    fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text, or anything else.
#[derive(Deserialize)]
#[serde(untagged)]
enum Loose<'a> {
    Text(#[serde(borrow)] std::borrow::Cow<'a, str>),
    Other(IgnoredAny),
}

impl Loose<'_> {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Other(_) => None,
        }
    }
}

/// Reads the value of one column.
struct Take<'l> {
    layout: &'l mut Layout,
    row: &'l mut Row,
    index: usize,
}

impl Take<'_> {
    fn cell(self, cell: Cell<'_>) -> Option<Value> {
        self.layout.take(self.row, self.index, cell)
    }
}

impl<'de> DeserializeSeed<'de> for Take<'_> {
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Option<Value>, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Take<'_> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Option<Value>, E> {
        Ok(self.cell(Cell::Nothing))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Option<Value>, E> {
        Ok(self.cell(Cell::Text(text)))
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Option<Value>, E> {
        Ok(self.cell(Cell::Bool(flag)))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Option<Value>, E> {
        Ok(self.cell(Cell::Number(&number.to_string())))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Option<Value>, E> {
        Ok(self.cell(Cell::Number(&number.to_string())))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Option<Value>, E> {
        Ok(self.cell(Cell::Number(&number.to_string())))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Option<Value>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(self.cell(Cell::Other))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<Value>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(self.cell(Cell::Other))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Layout, query_page, row, table_page};
    use crate::clock::Millis;
    use crate::mirror::{Change, Value};
    use crate::schema::CrmKind;
    use crate::vocabulary::objects;

    fn accounts() -> Layout {
        let spec = &objects(CrmKind::Dynamics365)[0];
        Layout::new(
            CrmKind::Dynamics365,
            spec,
            &[
                "accountid",
                "_owninguser_value",
                "name",
                "industrycode",
                "modifiedon",
            ],
            spec.survivor_if_there(),
        )
    }

    const ID: &str = "00aa0000-0000-0000-0000-000000000001";

    #[test]
    fn a_page_of_changes_is_cut_and_read() {
        let body = br#"{"@odata.context":"https://a.example/$metadata#accounts/$delta","@odata.deltaLink":"https://a.example/x?$deltatoken=9",
          "value":[
            {"@odata.etag":"W/\"1\"","name":"A \"B\" \u00c5","accountid":"00AA0000-0000-0000-0000-000000000001","modifiedon":"2024-06-12T14:13:17Z","industrycode":7,"_owninguser_value":null,"_masterid_value":"00AA0000-0000-0000-0000-000000000002","industrycode@OData.Community.Display.V1.FormattedValue":"Seven"},
            {"@odata.context":"https://a.example/$metadata#accounts/$deletedEntity","id":"00AA0000-0000-0000-0000-000000000001","reason":"deleted"},
            {"@removed":{"reason":"deleted"},"@odata.id":"https://a.example/accounts(00aa0000-0000-0000-0000-000000000001)"},
            {"id":"https://a.example/api/accounts('00AA0000-0000-0000-0000-000000000001')","reason":"changed"}
          ]}"#;
        let page = table_page(body).unwrap();
        assert_eq!(
            page.delta.as_deref(),
            Some("https://a.example/x?$deltatoken=9")
        );
        assert_eq!((page.rows.len(), page.next), (4, None));
        let mut layout = accounts();
        let changes: Vec<_> = page
            .rows
            .iter()
            .map(|range| row(&mut layout, &body[range.clone()]).unwrap())
            .collect();
        let Change::Present(record) = &changes[0] else {
            panic!("{changes:?}");
        };
        assert_eq!(record.id, ID);
        assert_eq!(record.modified, Millis(1_718_201_597_000));
        assert_eq!(
            record.merged_into.as_deref(),
            Some("00aa0000-0000-0000-0000-000000000002")
        );
        let names: Vec<_> = record.values.0.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["accountid", "name", "industrycode", "modifiedon"]);
        assert_eq!(record.values.get("industrycode"), Some(&Value::Number(7.0)));
        assert_eq!(record.values.text("name"), Some("A \"B\" Å"));
        for gone in &changes[1..] {
            assert_eq!(
                gone,
                &Change::Gone {
                    id: ID.to_owned(),
                    modified: None,
                    merged_into: None
                }
            );
        }
    }

    #[test]
    fn a_query_says_whether_it_is_done() {
        let page = query_page(br#"{"totalSize":2,"done":false,"nextRecordsUrl":"/services/data/v62.0/query/01g-2","records":[{"Id":"1"}]}"#).unwrap();
        assert_eq!(page.total, Some(2));
        assert_eq!(page.rows.len(), 1);
        for bad in [
            r#"{"totalSize":2,"done":false,"records":[]}"#,
            r#"{"totalSize":2,"done":true,"nextRecordsUrl":"/x","records":[]}"#,
            r#"{"totalSize":2,"done":true,"records":[{"Id":"1"}"#,
            r#"{"done":true,"records":[]}"#,
            "<html></html>",
            "[]",
        ] {
            assert!(query_page(bad.as_bytes()).is_err(), "{bad}");
        }
        for bad in [
            r#"{"value":{}}"#,
            r#"{"error":{"code":"","message":""}}"#,
            "",
        ] {
            assert!(table_page(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,60}") {
            prop_assert!(query_page(text.as_bytes()).is_err());
            prop_assert!(table_page(text.as_bytes()).is_err());
            prop_assert!(row(&mut accounts(), text.as_bytes()).is_err());
        }
    }
}
