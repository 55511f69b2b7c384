//! Building blocks of both CRMs' queries: valid names, and values by their field's type.

use domain::clock::Millis;
use domain::rows::instant;
use domain::schema::{FieldType, LeadField};
use serde_json::Value;

/// A value to compare a field with in a query. Each vendor's builder writes it in its own way.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Literal {
    /// Text.
    Text(String),
    /// A number.
    Number(f64),
    /// Yes or no.
    Boolean(bool),
    /// A day, `YYYY-MM-DD`.
    Date(String),
    /// An instant.
    Instant(Millis),
}

impl Literal {
    /// A value of a field as a literal of the field's type; `None` for a value of another type.
    pub(crate) fn of(field: &LeadField, value: &Value) -> Option<Self> {
        match &field.field_type {
            FieldType::Text { .. }
            | FieldType::LongText { .. }
            | FieldType::Email { .. }
            | FieldType::Phone { .. }
            | FieldType::Url { .. }
            | FieldType::MultiPicklist { .. }
            | FieldType::Picklist { numeric: false, .. } => {
                Some(Self::Text(value.as_str()?.into()))
            }
            FieldType::Integer { .. }
            | FieldType::Decimal { .. }
            | FieldType::Picklist { numeric: true, .. } => {
                value.as_f64().filter(|n| n.is_finite()).map(Self::Number)
            }
            FieldType::Boolean => value.as_bool().map(Self::Boolean),
            FieldType::Date => {
                let day = instant::date(value.as_str()?)?;
                Some(Self::Date(day.to_string()))
            }
            FieldType::DateTime => instant::instant(value.as_str()?).map(Self::Instant),
            FieldType::Unsupported { .. } => None,
        }
    }
}

/// The name of an object or a field in both CRMs: letters, digits and underscores. `None` for any other text,
/// which no query can hold.
pub(crate) fn name(text: &str) -> Option<&str> {
    let mut bytes = text.bytes();
    let starts = bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_');
    (starts && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')).then_some(text)
}

/// Percent-encodes a part of an address.
pub(crate) fn encode(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use domain::schema::{FieldType, LeadField};
    use serde_json::{Value, json};

    use super::{Literal, name};

    #[test]
    fn a_name_is_letters_digits_and_underscores() {
        for good in [
            "Email",
            "Leadbridge_Id__c",
            "address1_city",
            "_owninguser_value",
        ] {
            assert_eq!(name(good), Some(good));
        }
        for bad in ["", "1st", "a b", "a'", "a.b", "a,b", "a)", "名"] {
            assert_eq!(name(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_literal_is_of_its_fields_type_or_none() {
        let of = |field_type: FieldType, value: Value| {
            let field = LeadField {
                name: "x".to_owned(),
                label: "X".to_owned(),
                field_type,
                required: false,
                createable: true,
                updateable: true,
            };
            Literal::of(&field, &value)
        };
        let number = || FieldType::Decimal {
            min: None,
            max: None,
        };
        assert_eq!(of(number(), json!(1.5)), Some(Literal::Number(1.5)));
        assert_eq!(of(number(), json!("1 or 1=1")), None);
        assert_eq!(of(FieldType::Boolean, json!("true")), None);
        assert_eq!(
            of(FieldType::Date, json!("2026-02-28")),
            Some(Literal::Date("2026-02-28".to_owned()))
        );
        assert_eq!(of(FieldType::Date, json!("2026-02-28 or x")), None);
        assert_eq!(of(FieldType::DateTime, json!("today")), None);
    }
}
