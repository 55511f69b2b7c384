//! Stored rows, small: the field names are shared between rows of the same shape.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};
use serde_json::Value;

use crate::http::Row;
use crate::state::lock;

/// Field names in order. Names live as long as the program: there are only as many as the schemas
/// of the simulated systems have.
type Shape = Arc<[&'static str]>;

/// The names and shapes that rows share.
#[derive(Default)]
struct Shapes {
    names: HashSet<&'static str>,
    shapes: HashSet<Shape>,
}

static SHAPES: Mutex<Option<Shapes>> = Mutex::new(None);

/// The shared shape with these names, which are in order.
fn shape<'a>(names: impl Iterator<Item = &'a str>) -> Shape {
    let mut held = lock(&SHAPES);
    let held = held.get_or_insert_default();
    let names: Vec<&'static str> = names
        .map(|name| {
            held.names.get(name).copied().unwrap_or_else(|| {
                let name: &'static str = Box::leak(name.to_owned().into_boxed_str());
                held.names.insert(name);
                name
            })
        })
        .collect();
    if let Some(shape) = held.shapes.get(names.as_slice()) {
        return Arc::clone(shape);
    }
    let shape: Shape = names.into();
    held.shapes.insert(Arc::clone(&shape));
    shape
}

/// A row as it is stored: read here, changed as a [`Row`].
#[derive(Debug)]
pub(crate) struct Record {
    shape: Shape,
    values: Box<[Value]>,
}

impl Record {
    /// The field's value, when the row has the field.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        let at = self.shape.binary_search(&name).ok()?;
        self.values.get(at)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.shape.iter().copied().zip(&self.values)
    }

    /// A copy to change.
    pub(crate) fn to_row(&self) -> Row {
        self.iter()
            .map(|(name, value)| (name.to_owned(), value.clone()))
            .collect()
    }
}

impl Record {
    /// A record of fields in any order; of two with one name the later one.
    pub(crate) fn of(mut fields: Vec<(&str, Value)>) -> Self {
        fields.reverse();
        fields.sort_by_key(|(name, _)| *name);
        fields.dedup_by_key(|(name, _)| *name);
        let shape = shape(fields.iter().map(|(name, _)| *name));
        let values = fields.into_iter().map(|(_, value)| value).collect();
        Self { shape, values }
    }
}

impl From<Row> for Record {
    fn from(row: Row) -> Self {
        // A map that keeps its keys in order needs no sorting; one that does not is sorted here.
        let mut fields: Vec<(String, Value)> = row.into_iter().collect();
        fields.sort_by(|(left, _), (right, _)| left.cmp(right));
        let shape = shape(fields.iter().map(|(name, _)| name.as_str()));
        let values = fields
            .into_iter()
            .map(|(_, mut value)| {
                if let Value::String(text) = &mut value {
                    text.shrink_to_fit();
                }
                value
            })
            .collect();
        Self { shape, values }
    }
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Row::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Record;

    #[test]
    fn a_record_is_the_row_it_was_made_of() {
        let row = json!({ "b": 1, "a": "x", "c": null, "B": [true] });
        let Value::Object(row) = row else {
            panic!("no object")
        };
        let record = Record::from(row.clone());
        assert_eq!(record.get("a"), Some(&json!("x")));
        assert_eq!(
            (record.get("c"), record.get("d")),
            (Some(&Value::Null), None)
        );
        assert_eq!(record.to_row(), row);
        let text = serde_json::to_string(&record).unwrap();
        let back: Record = serde_json::from_str(&text).unwrap();
        assert_eq!(back.to_row(), row);
    }

    #[test]
    fn the_later_of_two_fields_counts() {
        let record = Record::of(vec![("b", json!(1)), ("a", json!(2)), ("b", json!(3))]);
        assert_eq!(
            (record.get("a"), record.get("b")),
            (Some(&json!(2)), Some(&json!(3)))
        );
        assert_eq!(record.iter().count(), 2);
    }

    #[test]
    fn rows_of_one_kind_share_their_names() {
        let make = |n: u64| Record::of(vec![("shared_x", json!(n)), ("shared_y", json!(n))]);
        assert!(std::sync::Arc::ptr_eq(&make(1).shape, &make(2).shape));
    }
}
