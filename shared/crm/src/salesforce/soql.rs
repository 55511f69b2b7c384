//! SOQL: the only place that writes and escapes query text for Salesforce.
//!
//! Sources: the SOQL and SOSL reference (quoted string escape sequences, LIKE, date formats).

use std::fmt::{self, Display};

use domain::clock::Millis;

use crate::query::{Literal, encode, name};

/// A query of one object.
#[derive(Debug, Clone)]
pub(super) struct Select<'a> {
    object: &'a str,
    columns: Vec<&'a str>,
    condition: Option<Condition>,
    order: Vec<&'a str>,
    limit: Option<usize>,
}

impl<'a> Select<'a> {
    /// Selects these fields of all records. Invalid field names are left out.
    pub(super) fn new(object: &'a str, columns: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            object,
            columns: columns.into_iter().filter_map(name).collect(),
            condition: None,
            order: Vec::new(),
            limit: None,
        }
    }

    /// The number of all records.
    pub(super) fn count(object: &'a str) -> Self {
        Self::new(object, [])
    }

    /// Keeps only records for which the condition holds.
    pub(super) fn filter(self, condition: Condition) -> Self {
        Self {
            condition: Some(condition),
            ..self
        }
    }

    /// Orders ascending by these fields.
    pub(super) fn order(self, fields: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            order: fields.into_iter().filter_map(name).collect(),
            ..self
        }
    }

    /// Limits the result to the first so many records.
    pub(super) fn limit(self, limit: usize) -> Self {
        Self {
            limit: Some(limit),
            ..self
        }
    }

    /// The path of the query, relative to the API's version, by `query` or `queryAll`.
    pub(super) fn path(&self, resource: &str) -> String {
        format!("{resource}?q={}", encode(&self.to_string()))
    }
}

impl Display for Select<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = if self.columns.is_empty() {
            "COUNT()".to_owned()
        } else {
            self.columns.join(",")
        };
        let object = name(self.object).unwrap_or("Unknown");
        write!(f, "SELECT {columns} FROM {object}")?;
        let condition = self.condition.as_ref().map(Condition::to_string);
        if let Some(condition) = condition.filter(|text| !text.is_empty()) {
            write!(f, " WHERE {condition}")?;
        }
        if !self.order.is_empty() {
            write!(f, " ORDER BY {}", self.order.join(","))?;
        }
        if let Some(limit) = self.limit {
            write!(f, " LIMIT {limit}")?;
        }
        Ok(())
    }
}

/// A condition. A condition that cannot be expressed (an empty pattern, an invalid field name) holds for no
/// record: it must not find more than was meant.
#[derive(Debug, Clone)]
pub(super) enum Condition {
    /// One comparison, in its written form.
    Test(String),
    /// All of them; an empty list holds for every record.
    All(Vec<Condition>),
    /// At least one of them.
    Any(Vec<Condition>),
}

impl Condition {
    /// Holds for no record.
    pub(super) fn never() -> Self {
        Self::Test("Id = null".to_owned())
    }

    fn test(field: &str, rest: impl FnOnce() -> Option<String>) -> Self {
        match name(field).zip(rest()) {
            Some((field, rest)) => Self::Test(format!("{field} {rest}")),
            None => Self::never(),
        }
    }

    /// The field has that value. Text is compared without regard to case.
    pub(super) fn is(field: &str, literal: &Literal) -> Self {
        Self::test(field, || Some(format!("= {}", written(literal)?)))
    }

    /// The field has one of these texts.
    pub(super) fn one_of<'t>(field: &str, texts: impl IntoIterator<Item = &'t str>) -> Self {
        let list: Vec<String> = texts
            .into_iter()
            .filter(|text| !text.is_empty())
            .map(quote)
            .collect();
        Self::test(field, || {
            (!list.is_empty()).then(|| format!("IN ({})", list.join(",")))
        })
    }

    /// The field's text begins with this one.
    pub(super) fn begins(field: &str, text: &str) -> Self {
        Self::test(field, || {
            (!text.is_empty()).then(|| format!("LIKE '{}%'", escape(text, true)))
        })
    }

    /// The field's text contains this one.
    pub(super) fn contains(field: &str, text: &str) -> Self {
        Self::test(field, || {
            (!text.is_empty()).then(|| format!("LIKE '%{}%'", escape(text, true)))
        })
    }

    /// The field's text contains these digits in this order, with anything between them.
    pub(super) fn digits(field: &str, digits: &str) -> Self {
        let mut pattern = String::from("%");
        for digit in digits.chars().filter(char::is_ascii_digit) {
            pattern.extend([digit, '%']);
        }
        Self::test(field, || {
            (pattern.len() > 1).then(|| format!("LIKE '{pattern}'"))
        })
    }

    /// The field's instant is this one or later.
    pub(super) fn since(field: &str, at: Millis) -> Self {
        Self::test(field, || Some(format!(">= {at}")))
    }

    /// The field's instant is before this one.
    pub(super) fn before(field: &str, at: Millis) -> Self {
        Self::test(field, || Some(format!("< {at}")))
    }
}

impl Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // AND and OR are mixed in parentheses only.
        let (terms, word) = match self {
            Self::Test(text) => return f.write_str(text),
            Self::All(terms) => (terms, " AND "),
            Self::Any(terms) if terms.is_empty() => return Self::never().fmt(f),
            Self::Any(terms) => (terms, " OR "),
        };
        let written: Vec<String> = terms
            .iter()
            .map(|term| match term {
                Self::Test(text) => text.clone(),
                term => match term.to_string() {
                    text if text.is_empty() => text,
                    text => format!("({text})"),
                },
            })
            .filter(|text| !text.is_empty())
            .collect();
        f.write_str(&written.join(word))
    }
}

/// A literal in its written form; `None` for an empty text, which would mean no value.
fn written(literal: &Literal) -> Option<String> {
    Some(match literal {
        Literal::Text(text) if text.is_empty() => return None,
        Literal::Text(text) => quote(text),
        Literal::Number(number) => number.to_string(),
        Literal::Boolean(flag) => flag.to_string(),
        Literal::Date(day) => day.clone(),
        Literal::Instant(at) => at.to_string(),
    })
}

/// A string literal.
fn quote(text: &str) -> String {
    format!("'{}'", escape(text, false))
}

/// Escapes the inside of a string literal; for a pattern also its wildcards.
fn escape(text: &str, pattern: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\'' | '\\' => out.extend(['\\', letter]),
            '%' | '_' if pattern => out.extend(['\\', letter]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", u32::from(letter))),
            letter if letter.is_control() => {
                out.push_str(&format!("\\u{:04x}", u32::from(letter)));
            }
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_query_is_written_in_its_order() {
        let condition = Condition::All(vec![
            Condition::is("IsConverted", &Literal::Boolean(false)),
            Condition::Any(vec![
                Condition::All(vec![Condition::is(
                    "Email",
                    &Literal::Text("o'neil@x.example".to_owned()),
                )]),
                Condition::one_of("Id", ["00Q000000000001AAA"]),
            ]),
            Condition::since("CreatedDate", Millis(0)),
        ]);
        let query = Select::new("Lead", ["Id", "Email", "x y"])
            .filter(condition)
            .order(["CreatedDate", "Id"])
            .limit(3);
        assert_eq!(
            query.to_string(),
            "SELECT Id,Email FROM Lead WHERE IsConverted = false AND ((Email = 'o\\'neil@x.example') OR Id IN ('00Q000000000001AAA')) AND CreatedDate >= 1970-01-01T00:00:00.000Z ORDER BY CreatedDate,Id LIMIT 3"
        );
        assert_eq!(
            Select::count("Lead").to_string(),
            "SELECT COUNT() FROM Lead"
        );
        let all = Select::count("Lead").filter(Condition::All(Vec::new()));
        assert_eq!(all.to_string(), "SELECT COUNT() FROM Lead");
    }

    #[test]
    fn what_cannot_be_asked_finds_nothing() {
        let never = Condition::never().to_string();
        for condition in [
            Condition::contains("Website", ""),
            Condition::digits("Phone", "+()"),
            Condition::one_of("Company", [""]),
            Condition::is("Company", &Literal::Text(String::new())),
            Condition::is("Company = 'x' OR Name", &Literal::Boolean(true)),
            Condition::Any(Vec::new()),
        ] {
            assert_eq!(condition.to_string(), never);
        }
    }

    #[test]
    fn literals_cannot_be_left() {
        assert_eq!(quote("O'Brien\\"), r"'O\'Brien\\'");
        assert_eq!(escape("50%_x", true), r"50\%\_x");
        assert_eq!(quote("a\nb\u{0}"), r"'a\nb\u0000'");
        let host = Condition::contains("Website", "x.example')or(name!='");
        assert_eq!(
            host.to_string(),
            r"Website LIKE '%x.example\')or(name!=\'%'"
        );
    }

    proptest! {
        #[test]
        fn no_quote_is_left_open(text in "\\PC{0,40}|[\\\\'%_\n\r\t]{0,10}", pattern: bool) {
            let inner = escape(&text, pattern);
            let mut escaped = false;
            for c in inner.chars() {
                prop_assert!(!c.is_control());
                if escaped { escaped = false; } else if c == '\\' { escaped = true; } else { prop_assert_ne!(c, '\''); }
            }
            prop_assert!(!escaped);
        }
    }
}
