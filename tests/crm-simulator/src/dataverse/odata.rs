//! The query options: a real parser for filters, and the selection of rows.

use std::cmp::Ordering;

use serde_json::Value;

use crate::clock;

/// A literal.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Literal {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    Guid(String),
    /// A date and time, as milliseconds.
    Time(i64),
    Date(String),
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
    Contains,
    StartsWith,
    EndsWith,
}

/// A condition.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Filter {
    And(Box<Filter>, Box<Filter>),
    Or(Box<Filter>, Box<Filter>),
    Not(Box<Filter>),
    Test(String, Op, Literal),
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Open,
    Close,
    Comma,
    Word(String),
    Value(Literal),
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (token, used) = match first {
            c if c.is_whitespace() => {
                rest = rest.trim_start();
                continue;
            }
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            ',' => (Token::Comma, 1),
            '\'' => {
                let (value, used) = quoted(rest).ok_or_else(|| {
                    format!(
                        "There is an unterminated string literal at position {} in '{text}'.",
                        text.len()
                    )
                })?;
                (Token::Value(Literal::Text(value)), used)
            }
            c if c.is_ascii_alphanumeric() || "_-+@$/".contains(c) => {
                let end = rest
                    .find(|c: char| !(c.is_ascii_alphanumeric() || "_-+.:@$/".contains(c)))
                    .unwrap_or(rest.len());
                let word = rest.get(..end).unwrap_or_default();
                // An enumeration's value: Some.Type'Name'
                if let Some((value, used)) = rest
                    .get(end..)
                    .filter(|t| t.starts_with('\''))
                    .and_then(quoted)
                {
                    (Token::Value(Literal::Text(value)), end + used)
                } else {
                    (
                        literal(word).map_or_else(|| Token::Word(word.to_owned()), Token::Value),
                        end,
                    )
                }
            }
            other => {
                let at = text.len() - rest.len();
                return Err(format!(
                    "Syntax error: character '{other}' is not valid at position {at} in '{text}'."
                ));
            }
        };
        out.push(token);
        rest = rest.get(used..).unwrap_or_default();
    }
    Ok(out)
}

fn quoted(text: &str) -> Option<(String, usize)> {
    let mut out = String::new();
    let mut letters = text.char_indices().skip(1).peekable();
    while let Some((at, letter)) = letters.next() {
        if letter != '\'' {
            out.push(letter);
        } else if letters.peek().is_some_and(|(_, next)| *next == '\'') {
            out.push('\'');
            letters.next();
        } else {
            return Some((out, at + 1));
        }
    }
    None
}

/// True if the text is a guid.
pub(crate) fn is_guid(text: &str) -> bool {
    text.len() == 36 && uuid::Uuid::try_parse(text).is_ok()
}

fn literal(word: &str) -> Option<Literal> {
    match word {
        "null" => return Some(Literal::Null),
        "true" => return Some(Literal::Bool(true)),
        "false" => return Some(Literal::Bool(false)),
        _ => {}
    }
    if is_guid(word) {
        return Some(Literal::Guid(word.to_lowercase()));
    }
    if let Some(ms) = clock::parse_time(word) {
        return Some(Literal::Time(ms));
    }
    if clock::is_date(word) {
        return Some(Literal::Date(word.to_owned()));
    }
    let numeric = word.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    word.parse().ok().filter(|_| numeric).map(Literal::Number)
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    next: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next)
    }

    fn take(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.next).cloned();
        self.next += 1;
        token
    }

    fn wrong(&self) -> String {
        format!(
            "Syntax error at position {} in '{}'.",
            self.text.len(),
            self.text
        )
    }

    fn word(&mut self, wanted: &str) -> bool {
        let hit = matches!(self.peek(), Some(Token::Word(word)) if word == wanted);
        self.next += usize::from(hit);
        hit
    }

    fn want(&mut self, wanted: &Token) -> Result<(), String> {
        if self.take().as_ref() == Some(wanted) {
            Ok(())
        } else {
            Err(self.wrong())
        }
    }

    fn or(&mut self) -> Result<Filter, String> {
        let mut left = self.and()?;
        while self.word("or") {
            left = Filter::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Filter, String> {
        let mut left = self.unary()?;
        while self.word("and") {
            left = Filter::And(Box::new(left), Box::new(self.unary()?));
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Filter, String> {
        if self.word("not") {
            return Ok(Filter::Not(Box::new(self.unary()?)));
        }
        if self.peek() == Some(&Token::Open) {
            self.next += 1;
            let inner = self.or()?;
            self.want(&Token::Close)?;
            return Ok(inner);
        }
        let Some(Token::Word(name)) = self.take() else {
            return Err(self.wrong());
        };
        if self.peek() == Some(&Token::Open) {
            return self.function(&name);
        }
        let Some(Token::Word(op)) = self.take() else {
            return Err(self.wrong());
        };
        let op = match op.as_str() {
            "eq" => Op::Eq,
            "ne" => Op::Ne,
            "gt" => Op::Gt,
            "ge" => Op::Ge,
            "lt" => Op::Lt,
            "le" => Op::Le,
            _ => return Err(self.wrong()),
        };
        let Some(Token::Value(value)) = self.take() else {
            return Err(self.wrong());
        };
        Ok(Filter::Test(name, op, value))
    }

    fn function(&mut self, name: &str) -> Result<Filter, String> {
        let op = match name {
            "contains" => Op::Contains,
            "startswith" => Op::StartsWith,
            "endswith" => Op::EndsWith,
            _ => return Err(format!("An unknown function with name '{name}' was found.")),
        };
        self.want(&Token::Open)?;
        let Some(Token::Word(field)) = self.take() else {
            return Err(self.wrong());
        };
        self.want(&Token::Comma)?;
        let Some(Token::Value(value)) = self.take() else {
            return Err(self.wrong());
        };
        self.want(&Token::Close)?;
        Ok(Filter::Test(field, op, value))
    }
}

/// Parses a filter; the error is the reason in words.
pub(crate) fn parse(text: &str) -> Result<Filter, String> {
    let mut parser = Parser {
        text,
        tokens: tokens(text)?,
        next: 0,
    };
    let filter = parser.or()?;
    if parser.peek().is_some() {
        return Err(parser.wrong());
    }
    Ok(filter)
}

impl Filter {
    /// Every comparison of the filter.
    pub(crate) fn tests(&self) -> Vec<(&str, Op, &Literal)> {
        match self {
            Self::And(left, right) | Self::Or(left, right) => {
                [left.tests(), right.tests()].concat()
            }
            Self::Not(inner) => inner.tests(),
            Self::Test(name, op, literal) => vec![(name, *op, literal)],
        }
    }

    /// The tests that must hold for the whole filter, for index look-ups.
    pub(crate) fn required_equals(&self) -> Vec<(&str, &Literal)> {
        match self {
            Self::And(left, right) => [left.required_equals(), right.required_equals()].concat(),
            Self::Test(name, Op::Eq, value) => vec![(name, value)],
            _ => Vec::new(),
        }
    }

    /// True if a row satisfies it; `get` reads a property.
    pub(crate) fn holds(&self, get: &dyn Fn(&str) -> Value) -> bool {
        match self {
            Self::And(left, right) => left.holds(get) && right.holds(get),
            Self::Or(left, right) => left.holds(get) || right.holds(get),
            Self::Not(inner) => !inner.holds(get),
            Self::Test(name, op, literal) => test(&get(name), *op, literal),
        }
    }
}

fn test(value: &Value, op: Op, literal: &Literal) -> bool {
    match (value, literal) {
        (value, Literal::Null) => match op {
            Op::Eq => value.is_null(),
            Op::Ne => !value.is_null(),
            _ => false,
        },
        (Value::String(own), Literal::Text(text)) => {
            let (own, text) = (own.to_lowercase(), text.to_lowercase());
            match op {
                Op::Contains => like(&own, &format!("%{text}%")),
                Op::StartsWith => like(&own, &format!("{text}%")),
                Op::EndsWith => like(&own, &format!("%{text}")),
                _ => ordered(own.cmp(&text), op),
            }
        }
        (Value::String(own), Literal::Guid(guid)) => ordered(own.to_lowercase().cmp(guid), op),
        (Value::String(own), Literal::Time(time)) => {
            clock::parse_time(own).is_some_and(|own| ordered(own.cmp(time), op))
        }
        (Value::String(own), Literal::Date(date)) => {
            let day = own.get(..10).unwrap_or(own);
            ordered(
                if own.len() > 10 && op != Op::Eq {
                    own.as_str().cmp(date)
                } else {
                    day.cmp(date)
                },
                op,
            )
        }
        (Value::Bool(own), Literal::Bool(flag)) => ordered(own.cmp(flag), op),
        (Value::Number(own), Literal::Number(number)) => own
            .as_f64()
            .and_then(|own| own.partial_cmp(number))
            .is_some_and(|ordering| ordered(ordering, op)),
        // Absent values, and values of another type.
        _ => op == Op::Ne,
    }
}

fn ordered(ordering: Ordering, op: Op) -> bool {
    match op {
        Op::Eq => ordering.is_eq(),
        Op::Ne => ordering.is_ne(),
        Op::Gt => ordering.is_gt(),
        Op::Ge => ordering.is_ge(),
        Op::Lt => ordering.is_lt(),
        Op::Le => ordering.is_le(),
        _ => false,
    }
}

/// The database's pattern: `%` is any run of letters, `_` one letter, `[ab]` one of these, `[^ab]` none
/// of these; a wildcard in brackets is plain. Wildcards inside the functions' texts reach it.
fn like(text: &str, pattern: &str) -> bool {
    enum Part {
        Any,
        One,
        Of(Vec<char>, bool),
    }
    let mut parts = Vec::new();
    let mut rest = pattern;
    while let Some(letter) = rest.chars().next() {
        rest = rest.get(letter.len_utf8()..).unwrap_or_default();
        parts.push(match letter {
            '%' => Part::Any,
            '_' => Part::One,
            '[' => match rest.split_once(']') {
                Some((set, tail)) if !set.is_empty() => {
                    rest = tail;
                    let (set, inside) = match set.strip_prefix('^') {
                        Some(set) if !set.is_empty() => (set, false),
                        _ => (set, true),
                    };
                    Part::Of(set.chars().collect(), inside)
                }
                // A bracket that is not closed matches nothing.
                _ => return false,
            },
            letter => Part::Of(vec![letter], true),
        });
    }
    let text: Vec<char> = text.chars().collect();
    // reach[i]: the pattern so far matches the first i letters.
    let mut reach = vec![false; text.len() + 1];
    if let Some(first) = reach.first_mut() {
        *first = true;
    }
    for part in &parts {
        let mut any = false;
        let next = (0..reach.len()).map(|at| {
            any |= reach.get(at).copied().unwrap_or(false);
            let before = at
                .checked_sub(1)
                .and_then(|at| Some((reach.get(at)?, text.get(at)?)));
            match part {
                Part::Any => any,
                Part::One => before.is_some_and(|(reached, _)| *reached),
                Part::Of(set, inside) => before
                    .is_some_and(|(reached, letter)| *reached && set.contains(letter) == *inside),
            }
        });
        reach = next.collect();
    }
    reach.last().copied().unwrap_or(false)
}

/// Orders two values; absent ones first.
pub(crate) fn order(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Less,
        (_, Value::Null) => Ordering::Greater,
        (Value::String(a), Value::String(b)) => a.to_lowercase().cmp(&b.to_lowercase()),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (a, b) => a
            .as_f64()
            .partial_cmp(&b.as_f64())
            .unwrap_or(Ordering::Equal),
    }
}

/// The `$select` among the options of an expansion, which are separated by semicolons; the error
/// names another option.
pub(crate) fn inner_select(options: &str) -> Result<Option<String>, String> {
    let mut select = None;
    for option in split(options, ';') {
        match option.strip_prefix("$select=") {
            Some(list) => select = Some(list.to_owned()),
            None => {
                return Err(format!(
                    "The simulator does not serve '{option}' in an expansion."
                ));
            }
        }
    }
    Ok(select)
}

/// Splits at commas or semicolons outside of parentheses.
pub(crate) fn split(text: &str, separator: char) -> Vec<String> {
    let mut depth = 0_i32;
    let mut out = vec![String::new()];
    for letter in text.chars() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if letter == separator && depth == 0 {
            out.push(String::new());
        } else if let Some(last) = out.last_mut() {
            last.push(letter);
        }
    }
    out.into_iter()
        .map(|part| part.trim().to_owned())
        .filter(|part| !part.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{parse, split};

    fn holds(filter: &str) -> bool {
        let row = json!({
            "firstname": "Anna", "emailaddress1": "Anna.O'Neil@x.example", "lb_score": 12.5,
            "donotbulkemail": false, "createdon": "2026-03-01T10:00:00Z", "lb_eventdate": "2026-04-02",
            "_parentcontactid_value": "4d8f1a6e-0000-4000-8000-000000000001", "companyname": null,
        });
        parse(filter)
            .unwrap()
            .holds(&|name| row.get(name).cloned().unwrap_or(Value::Null))
    }

    #[test]
    fn compares_as_dataverse_does() {
        for filter in [
            "firstname eq 'ANNA'",
            "emailaddress1 eq 'anna.o''neil@X.example'",
            "contains(emailaddress1,'anna%example')",
            "startswith(firstname,'an') and endswith(firstname,'NA')",
            "_parentcontactid_value eq 4D8F1A6E-0000-4000-8000-000000000001",
            "createdon ge 2026-03-01T00:00:00Z and createdon lt 2026-03-01T10:00:00.001Z",
            "lb_eventdate eq 2026-04-02",
            "not (lb_score gt 13) and donotbulkemail eq false",
            "companyname eq null or firstname eq 'x'",
            "firstname eq 'x' and firstname eq 'y' or lb_score eq 12.5",
            "companyname ne 'x'",
        ] {
            assert!(holds(filter), "{filter}");
        }
        for filter in [
            "firstname ne 'anna'",
            "not (companyname eq null)",
            "lb_score lt 12.5",
        ] {
            assert!(!holds(filter), "{filter}");
        }
    }

    #[test]
    fn wildcards_reach_the_database() {
        let like = |text: &str, pattern: &str| super::like(text, pattern);
        assert!(like("a_b", "a_b") && like("axb", "a_b") && !like("axb", "a[_]b"));
        assert!(like("100%", "100[%]") && !like("1000", "100[%]"));
        assert!(like("a[b", "a[[]b") && like("b", "[ab]") && !like("b", "[^ab]"));
        assert!(!like("a[", "a["));
    }

    #[test]
    fn refuses_what_is_not_a_filter() {
        for filter in [
            "firstname",
            "firstname eq",
            "firstname = 'a'",
            "eq 'a'",
            "firstname eq 'a",
            "foo(firstname,'a')",
            "(firstname eq 'a'",
            "firstname eq 'a' x",
            "firstname eq 'a' and",
            "firstname eq 'a''",
            "firstname eq 'a')",
            "firstname eq 'a' 'b'",
            "firstname eq 'a';",
            "firstname eq 'a'--",
        ] {
            assert!(parse(filter).is_err(), "{filter}");
        }
    }

    #[test]
    fn splits_outside_of_parentheses() {
        assert_eq!(
            split("a,b($select=c,d),e", ','),
            ["a", "b($select=c,d)", "e"]
        );
    }
}
