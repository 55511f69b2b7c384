//! Rows as the CRMs write them, read into the mirror's form (IM-2): instants, CSV, JSON.
//!
//! Salesforce writes one record in two ways (REST JSON, Bulk CSV); both give the same [`Record`]. A cell that
//! cannot be read is left out and counted by field; a row without an id, or without the time of its change,
//! is [`Malformed`].

pub mod csv;
pub mod instant;
pub mod json;

use crate::mirror::{Change, Record, Value, ValueKind, Values};
use crate::schema::CrmKind;
use crate::vocabulary::{Field, ObjectSpec, Role, own_number};

/// An answer that is incomplete or not as documented. The text contains no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

/// The meaning of a column for its record, besides its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tells {
    Nothing,
    Id,
    Modified,
    Deleted,
    Survivor,
}

#[derive(Debug, Clone, Copy)]
struct Column {
    name: &'static str,
    kind: ValueKind,
    /// True if it holds a record's id.
    reference: bool,
    /// True if it is part of the record's values.
    kept: bool,
    tells: Tells,
}

/// The columns that are read of an object, in the inventory's order.
#[derive(Debug)]
pub struct Layout {
    crm: CrmKind,
    columns: Vec<Column>,
    /// Cells that could not be read, by column.
    unreadable: Vec<u64>,
}

/// A cell as it is received.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Cell<'a> {
    Nothing,
    Text(&'a str),
    /// A JSON number, as it is written.
    Number(&'a str),
    Bool(bool),
    /// Another form, which is not a value.
    Other,
}

/// A row that is being read.
#[derive(Debug, Default)]
struct Row {
    id: Option<String>,
    modified: Option<crate::clock::Millis>,
    deleted: bool,
    survivor: Option<String>,
}

impl Layout {
    /// Creates the layout of an object's rows with these fields, and always with the record's id and the time
    /// of its change. `extra` is one more field to read.
    #[must_use]
    pub fn new(
        crm: CrmKind,
        object: &ObjectSpec,
        fields: &[&'static str],
        extra: Option<&'static Field>,
    ) -> Self {
        let mut read: Vec<&'static Field> = Vec::with_capacity(fields.len() + 3);
        let mut add = |field: Option<&'static Field>| {
            if let Some(field) = field.filter(|field| !read.contains(field)) {
                read.push(field);
            }
        };
        let of_role = |role| object.of_role(role);
        if !fields.contains(&object.key()) {
            add(of_role(Role::Identity));
        }
        for name in fields {
            add(object.field(name).or_else(|| own_number(name)));
        }
        add(of_role(Role::Modified));
        add(extra);
        let columns: Vec<Column> = read
            .into_iter()
            .map(|field| Column {
                name: field.name,
                kind: field.kind.into(),
                reference: field.kind.is_reference(),
                kept: !field.control,
                tells: match field.role {
                    Role::Identity => Tells::Id,
                    Role::Modified => Tells::Modified,
                    Role::Deleted => Tells::Deleted,
                    Role::Survivor => Tells::Survivor,
                    _ => Tells::Nothing,
                },
            })
            .collect();
        Self {
            crm,
            unreadable: vec![0; columns.len()],
            columns,
        }
    }

    /// The names of the columns, as they are requested.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.columns.iter().map(|column| column.name)
    }

    /// Counts of cells that could not be read so far, by field.
    pub fn unreadable(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.names()
            .zip(self.unreadable.iter().copied())
            .filter(|(_, count)| *count > 0)
    }

    /// Reads the value of a cell; `None` if it is empty or cannot be read. Unreadable cells are counted.
    fn value(&mut self, index: usize, cell: Cell<'_>) -> Option<Value> {
        let column = self.columns.get(index)?;
        let read = read(self.crm, column, cell);
        if read.is_err()
            && let Some(count) = self.unreadable.get_mut(index)
        {
            *count += 1;
        }
        read.ok().flatten()
    }

    /// Records a cell's meaning for its row; returns its value if it is part of the record.
    fn take(&mut self, row: &mut Row, index: usize, cell: Cell<'_>) -> Option<Value> {
        let value = self.value(index, cell)?;
        let column = self.columns.get(index)?;
        match (column.tells, &value) {
            (Tells::Id, Value::Text(id)) => row.id = Some(id.clone()),
            (Tells::Modified, Value::Instant(at)) => row.modified = Some(*at),
            (Tells::Deleted, Value::Bool(deleted)) => row.deleted = *deleted,
            (Tells::Survivor, Value::Text(id)) => row.survivor = Some(id.clone()),
            _ => {}
        }
        column.kept.then_some(value)
    }
}

impl Row {
    fn finish(self, values: Vec<(&'static str, Value)>) -> Result<Change, Malformed> {
        let id = self.id.ok_or(Malformed("a row has no id"))?;
        let modified = self
            .modified
            .ok_or(Malformed("a row does not say when it was changed"))?;
        Ok(if self.deleted {
            Change::Gone {
                id,
                modified: Some(modified),
                merged_into: self.survivor,
            }
        } else {
            Change::Present(Record {
                id,
                modified,
                // Salesforce names a survivor on deleted rows only.
                merged_into: self.survivor,
                values: Values(values),
            })
        })
    }
}

fn read(crm: CrmKind, column: &Column, cell: Cell<'_>) -> Result<Option<Value>, ()> {
    let value = match (column.kind, cell) {
        // A CSV cell cannot distinguish an empty text from none.
        (_, Cell::Nothing | Cell::Text("")) => return Ok(None),
        (ValueKind::Text, Cell::Text(text)) if column.reference => {
            let id = record_id(crm, text);
            if id.is_empty() {
                return Err(());
            }
            Value::Text(id)
        }
        (ValueKind::Text, Cell::Text(text) | Cell::Number(text)) => Value::Text(text.to_owned()),
        (ValueKind::Text, Cell::Bool(flag)) => Value::Text(flag.to_string()),
        (ValueKind::Number, Cell::Text(text) | Cell::Number(text)) => {
            Value::Number(number(text).ok_or(())?)
        }
        (ValueKind::Bool, Cell::Bool(flag)) => Value::Bool(flag),
        (ValueKind::Bool, Cell::Text("true")) => Value::Bool(true),
        (ValueKind::Bool, Cell::Text("false")) => Value::Bool(false),
        (ValueKind::Instant, Cell::Text(text)) => Value::Instant(instant::instant(text).ok_or(())?),
        (ValueKind::Date, Cell::Text(text)) => Value::Date(instant::date(text).ok_or(())?),
        _ => return Err(()),
    };
    Ok(Some(value))
}

/// A number as JSON and CSV write it: `12`, `-0.5`, `1.0E7`.
fn number(text: &str) -> Option<f64> {
    let plain = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E'));
    text.parse::<f64>()
        .ok()
        .filter(|number| plain && number.is_finite())
}

/// A record's id in the mirror's form.
#[must_use]
pub fn record_id(crm: CrmKind, text: &str) -> String {
    match crm {
        CrmKind::Salesforce => eighteen(text),
        CrmKind::Dynamics365 => text.trim_matches(['{', '}']).to_ascii_lowercase(),
    }
}

/// Converts a Salesforce id to 18 characters. An id with 15 characters is case-sensitive; the three that
/// follow encode which are upper case, five characters at a time, so that the id can be compared without
/// regard to case (Salesforce help, "What are Salesforce record IDs?").
fn eighteen(id: &str) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";
    let bytes = id.as_bytes();
    if bytes.len() != 15 || !bytes.iter().all(u8::is_ascii_alphanumeric) {
        return id.to_owned();
    }
    let mut long = String::with_capacity(18);
    long.push_str(id);
    for five in bytes.chunks(5) {
        let upper = five
            .iter()
            .enumerate()
            .filter(|(_, byte)| byte.is_ascii_uppercase())
            .fold(0_usize, |sum, (place, _)| sum + (1 << place));
        long.extend(LETTERS.get(upper).copied().map(char::from));
    }
    long
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Layout, record_id};
    use super::{csv::CsvRows, eighteen, json, number};
    use crate::clock::Millis;
    use crate::mirror::{Change, Value, ValueKind};
    use crate::schema::CrmKind;
    use crate::vocabulary::{ObjectSpec, objects};

    #[test]
    fn ids_are_completed_as_salesforce_does() {
        // The pair of the help page, and one of upper case only.
        assert_eq!(eighteen("0013000001ENuJO"), "0013000001ENuJOAA1");
        assert_eq!(eighteen("AAAAAAAAAAAAAAA"), "AAAAAAAAAAAAAAA555");
        assert_eq!(eighteen("0013000001ENuJOAA1"), "0013000001ENuJOAA1");
        assert_eq!(
            record_id(
                CrmKind::Dynamics365,
                "{00AA0000-0000-0000-0000-0000000000FF}"
            ),
            "00aa0000-0000-0000-0000-0000000000ff"
        );
    }

    #[test]
    fn numbers_are_read_as_both_interfaces_write_them() {
        assert_eq!(number("1.0E7"), Some(10_000_000.0));
        assert_eq!(number("-0.25"), Some(-0.25));
        for strange in ["", "NaN", "inf", "1,5", "0x1", "1 ", "1e999"] {
            assert_eq!(number(strange), None, "{strange}");
        }
    }

    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-zA-Z ,;\"\n\r\\\\]{1,12}",
            "\\PC{1,8}",
            Just("Ångström \"AB\",\r\n株式会社".to_owned()),
        ]
    }

    fn value(kind: ValueKind, reference: bool) -> BoxedStrategy<Option<Value>> {
        let value = match kind {
            ValueKind::Text if reference => "[a-zA-Z0-9]{18}".prop_map(Value::Text).boxed(),
            ValueKind::Text => text().prop_map(Value::Text).boxed(),
            ValueKind::Number => prop_oneof![
                any::<i32>().prop_map(f64::from),
                (-1e15..1e15_f64),
                Just(1e22),
            ]
            .prop_map(Value::Number)
            .boxed(),
            ValueKind::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
            ValueKind::Instant => (0_i64..4_102_444_800)
                .prop_map(|seconds| Value::Instant(Millis(seconds * 1000)))
                .boxed(),
            ValueKind::Date => (1970_i16..2100, 1_i8..13, 1_i8..29)
                .prop_map(|(y, m, d)| Value::Date(jiff::civil::date(y, m, d)))
                .boxed(),
        };
        prop::option::weighted(0.8, value).boxed()
    }

    /// A record of an object: a value for each of its fields, or none.
    fn record(spec: &'static ObjectSpec) -> BoxedStrategy<Vec<Option<Value>>> {
        let fields: Vec<_> = spec
            .imported(false)
            .map(|field| {
                let given = value(field.kind.into(), field.kind.is_reference());
                if matches!(field.name, "Id" | "SystemModstamp") {
                    given.prop_filter("always there", Option::is_some).boxed()
                } else {
                    given
                }
            })
            .collect();
        fields.boxed()
    }

    /// As REST writes it: `+0000`, `null`.
    fn as_json(spec: &ObjectSpec, values: &[Option<Value>]) -> Vec<u8> {
        let mut row = serde_json::Map::new();
        row.insert(
            "attributes".to_owned(),
            serde_json::json!({"type": spec.name, "url": "/services/data/v62.0/sobjects/X/1"}),
        );
        for (field, value) in spec.fields(false).zip(values) {
            let json = match value {
                None => serde_json::Value::Null,
                Some(Value::Text(text)) => text.clone().into(),
                Some(Value::Number(number)) => (*number).into(),
                Some(Value::Bool(flag)) => (*flag).into(),
                Some(Value::Instant(at)) => at.to_string().replace('Z', "+0000").into(),
                Some(Value::Date(day)) => day.to_string().into(),
            };
            row.insert(field.to_owned(), json);
        }
        serde_json::to_vec(&row).unwrap()
    }

    /// As Bulk writes it: all cells in quotes, `Z`, an empty cell for none.
    fn as_csv(values: &[Option<Value>]) -> String {
        let cells: Vec<String> = values
            .iter()
            .map(|value| {
                let text = match value {
                    None => String::new(),
                    Some(Value::Text(text)) => text.replace('"', "\"\""),
                    Some(Value::Number(number)) => format!("{number:E}"),
                    Some(Value::Bool(flag)) => flag.to_string(),
                    Some(Value::Instant(at)) => at.to_string(),
                    Some(Value::Date(day)) => day.to_string(),
                };
                format!("\"{text}\"")
            })
            .collect();
        cells.join(",") + "\n"
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_record_is_the_same_by_json_and_by_csv(
            (index, rows) in (0..objects(CrmKind::Salesforce).len()).prop_flat_map(|index| {
                (Just(index), prop::collection::vec(record(&objects(CrmKind::Salesforce)[index]), 1..4))
            }),
            chunk in 1_usize..40,
        ) {
            let spec = &objects(CrmKind::Salesforce)[index];
            let names: Vec<&str> = spec.fields(false).collect();
            let layout = || Layout::new(CrmKind::Salesforce, spec, &names, None);
            let mut by_json = layout();
            let from_json: Vec<Change> = rows
                .iter()
                .map(|row| json::row(&mut by_json, &as_json(spec, row)).unwrap())
                .collect();

            let header: Vec<String> = spec.fields(false).map(|field| format!("\"{field}\"")).collect();
            let mut body = header.join(",") + "\n";
            body.extend(rows.iter().map(|row| as_csv(row)));
            let mut from_csv = Vec::new();
            let mut by_csv = CsvRows::new(layout());
            for piece in body.as_bytes().chunks(chunk) {
                by_csv.feed(piece, &mut from_csv).unwrap();
            }
            prop_assert_eq!(by_csv.finish(&mut from_csv).unwrap(), rows.len() as u64);
            prop_assert_eq!(&from_csv, &from_json);
            prop_assert_eq!(by_csv.layout().unreadable().count(), 0);
            for (change, row) in from_json.iter().zip(&rows) {
                if let Change::Present(record) = change {
                    let kept = row.iter().flatten().count();
                    prop_assert!(record.values.0.len() < kept);
                    for (field, value) in spec.fields(false).zip(row) {
                        if record.values.get(field).is_some() {
                            prop_assert_eq!(record.values.get(field), value.as_ref());
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_cell_that_cannot_be_read_is_left_out_and_counted_and_a_row_without_id_is_refused() {
        let spec = objects(CrmKind::Salesforce)
            .iter()
            .find(|spec| spec.name == "Opportunity")
            .unwrap();
        let mut layout = Layout::new(
            CrmKind::Salesforce,
            spec,
            &["Id", "Amount", "CloseDate", "IsWon", "Name"],
            None,
        );
        let row = br#"{"Id":"006000000000001AAA","Amount":"many","CloseDate":"soon","IsWon":{"a":[1]},"Name":"Ada","SystemModstamp":"2026-01-02T03:04:05.000+0000"}"#;
        let Change::Present(record) = json::row(&mut layout, row).unwrap() else {
            panic!("it is there");
        };
        assert_eq!(record.values.0.len(), 2);
        assert_eq!(record.values.text("Name"), Some("Ada"));
        let unreadable: Vec<_> = layout.unreadable().collect();
        assert_eq!(unreadable, [("Amount", 1), ("CloseDate", 1), ("IsWon", 1)]);
        for bad in [
            r#"{"Name":"Ada","SystemModstamp":"2026-01-02T03:04:05.000+0000"}"#,
            r#"{"Id":"006000000000001AAA"}"#,
            r#"{"Id":"006000000000001AAA","SystemModstamp":"yesterday"}"#,
            "[]",
            "7",
        ] {
            assert!(json::row(&mut layout, bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
