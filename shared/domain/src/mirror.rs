//! The mirror: the table's copy of a CRM's records (IM-1, IM-2).
//!
//! A record's values have one form, independent of the interface that they came by: Salesforce writes
//! instants differently in JSON and in CSV, and a CSV cell cannot distinguish an empty text from none.

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use super::vocabulary::Kind;
use crate::clock::Millis;

/// The type in which a field's value is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueKind {
    /// Text, ids and choices.
    Text,
    /// Numbers; Dataverse's choices are numbers too.
    Number,
    /// Yes or no.
    Bool,
    /// An instant.
    Instant,
    /// A day of the calendar, in no time zone.
    Date,
}

impl From<Kind> for ValueKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Id | Kind::Lookup | Kind::Text | Kind::Choice => Self::Text,
            Kind::NumberedChoice | Kind::Number | Kind::Money => Self::Number,
            Kind::Boolean => Self::Bool,
            Kind::Instant => Self::Instant,
            Kind::Date => Self::Date,
        }
    }
}

/// A value of a record. Empty values do not exist: a field without a value is absent.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Text, an id, a choice; never empty.
    Text(String),
    /// A number. Amounts of the CRMs fit: at most 15 significant digits.
    Number(f64),
    /// Yes or no.
    Bool(bool),
    /// An instant.
    Instant(Millis),
    /// A day.
    Date(jiff::civil::Date),
}

impl Value {
    /// The text of a text value.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// Serialises instants as RFC 3339 in UTC with milliseconds, days as `YYYY-MM-DD`, and whole numbers without
/// a fraction.
impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Bool(flag) => serializer.serialize_bool(*flag),
            Self::Number(number) => {
                // Up to here every whole number is exact.
                const EXACT: f64 = 9_007_199_254_740_992.0;
                if number.fract() == 0.0 && number.abs() < EXACT {
                    #[expect(clippy::cast_possible_truncation, reason = "whole and in range")]
                    serializer.serialize_i64(*number as i64)
                } else {
                    serializer.serialize_f64(*number)
                }
            }
            Self::Instant(at) => serializer.collect_str(at),
            Self::Date(day) => serializer.collect_str(day),
        }
    }
}

/// A record as the CRM has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The CRM's id: Salesforce's 18 characters, Dataverse's GUID in lowercase.
    pub id: String,
    /// Time of the CRM's last change to it (`SystemModstamp`, `modifiedon`).
    pub modified: Millis,
    /// The survivor of a merge that this record lost: Dataverse keeps the loser, inactive.
    pub merged_into: Option<String>,
    /// The values of the inventory's fields, in its order, without those that only describe the record's fate
    /// ([`Field::control`](super::vocabulary::Field::control)).
    pub values: Values,
}

/// Values by field name.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Values(pub Vec<(&'static str, Value)>);

impl Values {
    /// The value of a field.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.0
            .iter()
            .find_map(|(name, value)| (*name == field).then_some(value))
    }

    /// The text of a field.
    #[must_use]
    pub fn text(&self, field: &str) -> Option<&str> {
        self.get(field)?.as_text()
    }
}

impl Serialize for Values {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// One change of a record, as the CRM reports it.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// The record exists, with these values.
    Present(Record),
    /// The record is gone.
    Gone {
        /// The CRM's id.
        id: String,
        /// Time of the deletion, if the CRM reports it.
        modified: Option<Millis>,
        /// The record that it was merged into.
        merged_into: Option<String>,
    },
}

impl Change {
    /// The CRM's id of the record.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Present(record) => &record.id,
            Self::Gone { id, .. } => id,
        }
    }

    /// Time of the CRM's change, if the CRM reports it.
    #[must_use]
    pub const fn modified(&self) -> Option<Millis> {
        match self {
            Self::Present(record) => Some(record.modified),
            Self::Gone { modified, .. } => *modified,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Value, Values};
    use crate::clock::Millis;

    #[test]
    fn values_are_written_in_one_form() {
        let values = Values(vec![
            ("Name", Value::Text("Ångström \"AB\"\n".to_owned())),
            ("NumberOfEmployees", Value::Number(10_000_000.0)),
            ("Amount", Value::Number(1234.5)),
            ("IsWon", Value::Bool(true)),
            ("CreatedDate", Value::Instant(Millis(1_553_189_419_005))),
            ("CloseDate", Value::Date(jiff::civil::date(2026, 2, 28))),
        ]);
        assert_eq!(
            serde_json::to_string(&values).unwrap(),
            r#"{"Name":"Ångström \"AB\"\n","NumberOfEmployees":10000000,"Amount":1234.5,"IsWon":true,"CreatedDate":"2019-03-21T17:30:19.005Z","CloseDate":"2026-02-28"}"#
        );
    }
}
