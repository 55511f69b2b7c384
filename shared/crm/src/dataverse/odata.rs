//! `OData`: the only place that writes and escapes addresses and query options for Dataverse.
//!
//! Sources: `OData` 4.0 (URL conventions), Microsoft's pages on querying data by the Web API, on table
//! definitions, and on wildcard characters in conditions for string values.

use std::fmt::{self, Display};

use domain::clock::Millis;
use serde_json::json;
use uuid::Uuid;

use crate::query::{Literal, encode, name};

/// Path of the Web API below the organisation's address.
pub(super) const API: &str = "/api/data/v9.2";

/// A resource with its query options.
#[derive(Debug, Clone)]
pub(super) struct Query {
    path: String,
    select: Vec<String>,
    expand: Vec<String>,
    filter: Option<Filter>,
    order: Vec<String>,
    top: Option<usize>,
    /// A parameter's alias with its value.
    alias: Option<(&'static str, String)>,
}

impl Query {
    fn at(path: String) -> Self {
        Self {
            path,
            select: Vec::new(),
            expand: Vec::new(),
            filter: None,
            order: Vec::new(),
            top: None,
            alias: None,
        }
    }

    /// A set of records, or a function without parameters.
    pub(super) fn of(set: &str) -> Self {
        Self::at(name(set).unwrap_or("unknown").to_owned())
    }

    /// One record.
    pub(super) fn record(set: &str, id: Uuid) -> Self {
        Self::at(format!("{}({id})", name(set).unwrap_or("unknown")))
    }

    /// The definition of a table.
    pub(super) fn table(table: &str) -> Self {
        Self::at(format!("EntityDefinitions(LogicalName={})", quote(table)))
    }

    /// A table's columns of one type.
    pub(super) fn columns(table: &str, kind: &str) -> Self {
        let table = Self::table(table).path;
        Self::at(format!("{table}/Attributes/{}", cast(kind)))
    }

    /// One column of a table, of that type.
    pub(super) fn column(table: &str, column: &str, kind: &str) -> Self {
        let table = Self::table(table).path;
        let column = quote(column);
        Self::at(format!(
            "{table}/Attributes(LogicalName={column})/{}",
            cast(kind)
        ))
    }

    /// A function with one parameter, a list of names.
    pub(super) fn function(function: &str, parameter: &str, names: &[&str]) -> Self {
        let call = format!(
            "{}({}=@names)",
            name(function).unwrap_or("unknown"),
            name(parameter).unwrap_or("unknown")
        );
        Self {
            alias: Some(("@names", json!(names).to_string())),
            ..Self::at(call)
        }
    }

    /// A function of Dataverse's that is bound to a user, with one parameter, a list of names, or none.
    pub(super) fn of_user(user: Uuid, function: &str, list: Option<(&str, &[&str])>) -> Self {
        let bound = format!(
            "systemusers({user})/Microsoft.Dynamics.CRM.{}",
            name(function).unwrap_or("unknown")
        );
        match list {
            None => Self::at(format!("{bound}()")),
            Some((parameter, names)) => Self {
                alias: Some(("@names", json!(names).to_string())),
                ..Self::at(format!(
                    "{bound}({}=@names)",
                    name(parameter).unwrap_or("unknown")
                ))
            },
        }
    }

    /// Selects only these columns. Invalid names are left out.
    pub(super) fn select<'n>(mut self, columns: impl IntoIterator<Item = &'n str>) -> Self {
        let columns = columns.into_iter().filter_map(name);
        self.select = columns.map(str::to_owned).collect();
        self
    }

    /// Adds the record that a navigation property leads to, with only these columns, or all.
    pub(super) fn expand(mut self, property: &str, columns: &[&str]) -> Self {
        let columns: Vec<&str> = columns.iter().copied().filter_map(name).collect();
        if let Some(property) = name(property) {
            self.expand.push(if columns.is_empty() {
                property.to_owned()
            } else {
                format!("{property}($select={})", columns.join(","))
            });
        }
        self
    }

    /// Keeps only rows for which the condition holds.
    pub(super) fn filter(self, filter: Filter) -> Self {
        Self {
            filter: Some(filter),
            ..self
        }
    }

    /// Orders ascending by these columns.
    pub(super) fn order<'n>(mut self, columns: impl IntoIterator<Item = &'n str>) -> Self {
        let columns = columns.into_iter().filter_map(name);
        self.order = columns.map(|column| format!("{column} asc")).collect();
        self
    }

    /// Limits the result to the first so many rows.
    pub(super) fn top(self, top: usize) -> Self {
        Self {
            top: Some(top),
            ..self
        }
    }
}

/// The absolute path, with its options.
impl Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let filter = self.filter.as_ref().map(Filter::to_string);
        // Names, commas and the parentheses of an expansion are not encoded.
        let options = [
            (!self.select.is_empty()).then(|| format!("$select={}", self.select.join(","))),
            (!self.expand.is_empty()).then(|| format!("$expand={}", self.expand.join(","))),
            filter
                .filter(|text| !text.is_empty())
                .map(|text| format!("$filter={}", encode(&text))),
            (!self.order.is_empty()).then(|| format!("$orderby={}", encode(&self.order.join(",")))),
            self.top.map(|top| format!("$top={top}")),
            self.alias
                .as_ref()
                .map(|(alias, value)| format!("{alias}={}", encode(value))),
        ];
        let options: Vec<String> = options.into_iter().flatten().collect();
        write!(f, "{API}/{}", self.path)?;
        if options.is_empty() {
            Ok(())
        } else {
            write!(f, "?{}", options.join("&"))
        }
    }
}

fn cast(kind: &str) -> String {
    format!(
        "Microsoft.Dynamics.CRM.{}AttributeMetadata",
        name(kind).unwrap_or("Unknown")
    )
}

/// A condition on rows. A condition that cannot be expressed (an empty pattern, an invalid column name) holds
/// for no row: it must not find more than was meant.
#[derive(Debug, Clone)]
pub(super) enum Filter {
    /// One comparison, in its written form.
    Test(String),
    /// All of them; an empty list holds for every row.
    All(Vec<Filter>),
    /// At least one of them.
    Any(Vec<Filter>),
}

impl Filter {
    /// Holds for no row.
    pub(super) fn never() -> Self {
        Self::Test("createdon eq null".to_owned())
    }

    fn test(column: &str, rest: impl FnOnce(&str) -> Option<String>) -> Self {
        match name(column).and_then(rest) {
            Some(text) => Self::Test(text),
            None => Self::never(),
        }
    }

    /// The column has that value. Text is compared without regard to case.
    pub(super) fn is(column: &str, literal: &Literal) -> Self {
        Self::test(column, |column| {
            Some(format!("{column} eq {}", written(literal)?))
        })
    }

    /// The column holds the id of one of these records.
    pub(super) fn one_of(column: &str, ids: impl IntoIterator<Item = Uuid>) -> Self {
        let tests = ids
            .into_iter()
            .map(|id| Self::test(column, |column| Some(format!("{column} eq {id}"))));
        Self::Any(tests.collect())
    }

    /// The column's text begins with this one.
    pub(super) fn begins(column: &str, text: &str) -> Self {
        Self::test(column, |column| {
            let plain = quote(&without_wildcards(text));
            (!text.is_empty()).then(|| format!("startswith({column},{plain})"))
        })
    }

    /// The column's text contains this one.
    pub(super) fn contains(column: &str, text: &str) -> Self {
        Self::test(column, |column| {
            let plain = quote(&without_wildcards(text));
            (!text.is_empty()).then(|| format!("contains({column},{plain})"))
        })
    }

    /// The column's text contains these digits in this order, with anything between them: wildcards inside
    /// `contains` reach the database.
    pub(super) fn digits(column: &str, digits: &str) -> Self {
        let digits: Vec<String> = digits
            .chars()
            .filter(char::is_ascii_digit)
            .map(String::from)
            .collect();
        Self::test(column, |column| {
            let pattern = quote(&digits.join("%"));
            (!digits.is_empty()).then(|| format!("contains({column},{pattern})"))
        })
    }

    /// The column's instant is this one or later.
    pub(super) fn since(column: &str, at: Millis) -> Self {
        Self::test(column, |column| Some(format!("{column} ge {at}")))
    }
}

impl Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (terms, word) = match self {
            Self::Test(text) => return f.write_str(text),
            Self::All(terms) => (terms, " and "),
            Self::Any(terms) if terms.is_empty() => return Self::never().fmt(f),
            Self::Any(terms) => (terms, " or "),
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

/// A literal in its written form; `None` for an empty text, which no row has.
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
    format!("'{}'", text.replace('\'', "''"))
}

/// Escapes a text for a pattern of the database: its wildcards are put in brackets.
fn without_wildcards(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if matches!(letter, '%' | '_' | '[') {
            out.extend(['[', letter, ']']);
        } else {
            out.push(letter);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_query_is_written_with_its_options() {
        let id = Uuid::nil();
        let filter = Filter::All(vec![
            Filter::is("statecode", &Literal::Number(0.0)),
            Filter::Any(vec![
                Filter::All(vec![Filter::is(
                    "emailaddress1",
                    &Literal::Text("o'neil@x.example".to_owned()),
                )]),
                Filter::one_of("leadid", [id]),
            ]),
        ]);
        assert_eq!(
            filter.to_string(),
            format!(
                "statecode eq 0 and ((emailaddress1 eq 'o''neil@x.example') or (leadid eq {id}))"
            )
        );
        let query = Query::of("leads")
            .select(["leadid", "a b"])
            .filter(Filter::is("x", &Literal::Boolean(true)))
            .order(["createdon", "leadid"])
            .top(2);
        assert_eq!(
            query.to_string(),
            "/api/data/v9.2/leads?$select=leadid&$filter=x%20eq%20true&$orderby=createdon%20asc%2Cleadid%20asc&$top=2"
        );
        assert_eq!(
            Query::table("lead")
                .select(["LogicalName"])
                .expand("Attributes", &["IsSecured"])
                .to_string(),
            "/api/data/v9.2/EntityDefinitions(LogicalName='lead')?$select=LogicalName&$expand=Attributes($select=IsSecured)"
        );
        assert_eq!(
            Query::function("RetrieveTotalRecordCount", "EntityNames", &["lead"]).to_string(),
            "/api/data/v9.2/RetrieveTotalRecordCount(EntityNames=@names)?@names=%5B%22lead%22%5D"
        );
    }

    #[test]
    fn what_cannot_be_asked_finds_nothing() {
        let never = Filter::never().to_string();
        for filter in [
            Filter::contains("websiteurl", ""),
            Filter::digits("telephone1", "+()"),
            Filter::is("companyname", &Literal::Text(String::new())),
            Filter::is("x eq 1 or y", &Literal::Boolean(true)),
            Filter::Any(Vec::new()),
            Filter::one_of("leadid", []),
        ] {
            assert_eq!(filter.to_string(), never);
        }
    }

    #[test]
    fn literals_cannot_be_left() {
        let host = Filter::contains("websiteurl", "x_y.example')or(name ne '");
        assert_eq!(
            host.to_string(),
            "contains(websiteurl,'x[_]y.example'')or(name ne ''')"
        );
    }

    proptest! {
        #[test]
        fn no_quote_is_left_open(text in "\\PC{0,40}|['%_\\[]{0,10}") {
            for quoted in [quote(&text), quote(&without_wildcards(&text))] {
                let inner = &quoted[1..quoted.len() - 1];
                prop_assert!(!inner.replace("''", "").contains('\''));
            }
        }
    }
}
