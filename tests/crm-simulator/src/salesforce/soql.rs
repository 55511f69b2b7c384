//! The query language: parsed for real, refused as the real one refuses.

use std::cmp::Ordering;

use serde_json::Value;

use super::schema::{Field, Kind, ObjectType};
use super::{Error, ids};
use crate::clock;
use crate::record::Record;

/// A field path, `Owner.Name`, and its position.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Path {
    pub(crate) parts: Vec<String>,
    pub(crate) at: usize,
}

/// One column of the select list.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Column {
    Field(Path),
    /// `COUNT()`
    CountAll,
    /// `COUNT(Field) alias`
    Count(Path, Option<String>),
}

/// A literal.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Literal {
    Text(String),
    Number(f64),
    Bool(bool),
    Null,
    Date(String),
    /// As milliseconds.
    Time(i64),
    /// A relative date: first and last millisecond.
    Span(i64, i64),
}

/// A comparison operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    Like,
    In,
    NotIn,
    Includes,
    Excludes,
}

/// A condition.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Condition {
    And(Vec<Condition>),
    Or(Vec<Condition>),
    Not(Box<Condition>),
    Compare(Path, Op, Vec<Literal>),
}

/// One sort key.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sort {
    pub(crate) path: Path,
    pub(crate) descending: bool,
    pub(crate) nulls_first: bool,
}

/// A parsed query.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    pub(crate) text: String,
    pub(crate) columns: Vec<Column>,
    pub(crate) from: String,
    pub(crate) from_at: usize,
    pub(crate) condition: Option<Condition>,
    pub(crate) order: Vec<Sort>,
    pub(crate) limit: Option<usize>,
    pub(crate) offset: usize,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Sign(&'static str),
    Number(f64),
    Date(String),
    Time(i64),
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<(Token, usize)>,
    next: usize,
    now_ms: i64,
}

/// The message format the real one uses: the query, a caret, the place, the reason.
pub(crate) fn located(text: &str, at: usize, reason: &str) -> String {
    let row = text
        .get(..at)
        .map_or(1, |head| head.matches('\n').count() + 1);
    let start = text
        .get(..at)
        .and_then(|head| head.rfind('\n'))
        .map_or(0, |nl| nl + 1);
    let column = at - start + 1;
    format!(
        "\n{text}\n{}^\nERROR at Row:{row}:Column:{column}\n{reason}",
        " ".repeat(column.saturating_sub(1))
    )
}

fn malformed(text: &str, at: usize, reason: &str) -> Error {
    Error::new(400, "MALFORMED_QUERY", located(text, at, reason))
}

/// The refusal of an unknown column.
pub(crate) fn no_column(text: &str, path: &Path, column: &str, object: &str) -> Error {
    let reason = format!(
        "No such column '{column}' on entity '{object}'. If you are attempting to use a custom \
         field, be sure to append the '__c' after the custom field name. Please reference your \
         WSDL or the describe call for the appropriate names."
    );
    Error::new(400, "INVALID_FIELD", located(text, path.at, &reason))
}

/// The refusal of an unknown object.
pub(crate) fn no_object(query: &Query) -> Error {
    let reason = format!(
        "sObject type '{}' is not supported. If you are attempting to use a custom object, be \
         sure to append the '__c' after the entity name. Please reference your WSDL or the \
         describe call for the appropriate names.",
        query.from
    );
    Error::new(
        400,
        "INVALID_TYPE",
        located(&query.text, query.from_at, &reason),
    )
}

fn tokens(text: &str) -> Result<Vec<(Token, usize)>, Error> {
    const SIGNS: &[&str] = &["<=", ">=", "!=", "<>", "=", "<", ">", "(", ")", ",", ":"];
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(&c) = bytes.get(at) {
        if c.is_ascii_whitespace() {
            at += 1;
            continue;
        }
        let rest = text.get(at..).unwrap_or_default();
        if c == b'\'' {
            let (value, length) = string(rest)
                .ok_or_else(|| malformed(text, at, "unclosed or invalid string literal"))?;
            out.push((Token::Text(value), at));
            at += length;
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            out.push((Token::Sign(sign), at));
            at += sign.len();
        } else if c.is_ascii_digit() || c == b'-' || c == b'+' {
            let end = rest
                .find(|c: char| !(c.is_ascii_alphanumeric() || "+-:.".contains(c)))
                .unwrap_or(rest.len());
            let word = rest.get(..end).unwrap_or_default();
            let token = if let Some(time) = clock::parse_time(word) {
                Token::Time(time)
            } else if clock::is_date(word) {
                Token::Date(word.to_owned())
            } else if let Ok(number) = word.parse() {
                Token::Number(number)
            } else {
                return Err(malformed(text, at, &format!("unexpected token: '{word}'")));
            };
            out.push((token, at));
            at += end;
        } else if c.is_ascii_alphabetic() || c == b'_' {
            let end = rest
                .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.'))
                .unwrap_or(rest.len());
            out.push((
                Token::Word(rest.get(..end).unwrap_or_default().to_owned()),
                at,
            ));
            at += end;
        } else {
            let bad = rest.chars().next().unwrap_or(' ');
            return Err(malformed(text, at, &format!("unexpected token: '{bad}'")));
        }
    }
    Ok(out)
}

/// A string literal's value, where it is no pattern.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        out.push(if letter == '\\' {
            letters.next().unwrap_or(letter)
        } else {
            letter
        });
    }
    out
}

/// Reads a string literal: its value, as a pattern, and its length in the text.
fn string(text: &str) -> Option<(String, usize)> {
    let mut out = String::new();
    let mut letters = text.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\'' => return Some((out, at + 1)),
            '\\' => match letters.next()?.1 {
                'n' | 'N' => out.push('\n'),
                'r' | 'R' => out.push('\r'),
                't' | 'T' => out.push('\t'),
                'b' | 'B' => out.push('\u{8}'),
                'f' | 'F' => out.push('\u{c}'),
                c @ ('"' | '\'') => out.push(c),
                // In LIKE a literal wildcard or backslash: kept escaped for the matcher.
                c @ ('_' | '%' | '\\') => out.extend(['\\', c]),
                'u' => {
                    let code: String = (0..4)
                        .filter_map(|_| letters.next().map(|(_, c)| c))
                        .collect();
                    out.push(char::from_u32(u32::from_str_radix(&code, 16).ok()?)?);
                }
                _ => return None,
            },
            // A line break has to be escaped.
            '\n' | '\r' => return None,
            letter => out.push(letter),
        }
    }
    None
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|(token, _)| token)
    }

    fn at(&self) -> usize {
        self.tokens
            .get(self.next)
            .map_or(self.text.len(), |(_, at)| *at)
    }

    fn unexpected(&self) -> Error {
        let seen = match self.peek() {
            None => "<EOF>".to_owned(),
            Some(Token::Word(word)) => format!("'{word}'"),
            Some(Token::Sign(sign)) => format!("'{sign}'"),
            Some(_) => {
                let rest = self.text.get(self.at()..).unwrap_or_default();
                format!("'{}'", rest.split_whitespace().next().unwrap_or_default())
            }
        };
        malformed(self.text, self.at(), &format!("unexpected token: {seen}"))
    }

    fn is_word(&self, ahead: usize, word: &str) -> bool {
        matches!(self.tokens.get(self.next + ahead), Some((Token::Word(w), _)) if w.eq_ignore_ascii_case(word))
    }

    fn take_word(&mut self, word: &str) -> bool {
        let hit = self.is_word(0, word);
        self.next += usize::from(hit);
        hit
    }

    fn take_sign(&mut self, sign: &str) -> bool {
        let hit = matches!(self.peek(), Some(Token::Sign(s)) if *s == sign);
        self.next += usize::from(hit);
        hit
    }

    fn want(&mut self, hit: bool) -> Result<(), Error> {
        if hit { Ok(()) } else { Err(self.unexpected()) }
    }

    fn want_word(&mut self, word: &str) -> Result<(), Error> {
        let hit = self.take_word(word);
        self.want(hit)
    }

    fn want_sign(&mut self, sign: &str) -> Result<(), Error> {
        let hit = self.take_sign(sign);
        self.want(hit)
    }

    fn word(&mut self) -> Result<(String, usize), Error> {
        match self.tokens.get(self.next) {
            Some((Token::Word(word), at)) => {
                self.next += 1;
                Ok((word.clone(), *at))
            }
            _ => Err(self.unexpected()),
        }
    }

    fn path(&mut self) -> Result<Path, Error> {
        const RESERVED: &[&str] = &[
            "from", "where", "and", "or", "not", "like", "in", "order", "limit", "select",
        ];
        let at = self.next;
        let (word, start) = self.word()?;
        if RESERVED
            .iter()
            .any(|reserved| word.eq_ignore_ascii_case(reserved))
        {
            self.next = at;
            return Err(self.unexpected());
        }
        Ok(Path {
            parts: word.split('.').map(str::to_owned).collect(),
            at: start,
        })
    }

    fn column(&mut self) -> Result<Column, Error> {
        let counts = self.is_word(0, "count")
            && matches!(self.tokens.get(self.next + 1), Some((Token::Sign("("), _)));
        if !counts {
            return Ok(Column::Field(self.path()?));
        }
        self.next += 2;
        if self.take_sign(")") {
            return Ok(Column::CountAll);
        }
        let path = self.path()?;
        self.want_sign(")")?;
        let alias = match self.peek() {
            Some(Token::Word(word)) if !word.eq_ignore_ascii_case("from") => Some(word.clone()),
            _ => None,
        };
        self.next += usize::from(alias.is_some());
        Ok(Column::Count(path, alias))
    }

    fn query(&mut self) -> Result<Query, Error> {
        self.want_word("select")?;
        let mut columns = vec![self.column()?];
        while self.take_sign(",") {
            columns.push(self.column()?);
        }
        self.want_word("from")?;
        let (from, from_at) = self.word()?;
        let condition = if self.take_word("where") {
            Some(self.condition()?)
        } else {
            None
        };
        let mut order = Vec::new();
        if self.take_word("order") {
            self.want_word("by")?;
            order.push(self.sort()?);
            while self.take_sign(",") {
                order.push(self.sort()?);
            }
        }
        let limit = if self.take_word("limit") {
            Some(self.count()?)
        } else {
            None
        };
        let offset = if self.take_word("offset") {
            self.count()?
        } else {
            0
        };
        // Locking and view hints that change nothing here.
        if self.take_word("for") {
            self.word()?;
        }
        if self.next < self.tokens.len() {
            return Err(self.unexpected());
        }
        if offset > 2000 {
            return Err(Error::new(
                400,
                "NUMBER_OUTSIDE_VALID_RANGE",
                "Maximum SOQL offset allowed is 2000",
            ));
        }
        let text = self.text.to_owned();
        Ok(Query {
            text,
            columns,
            from,
            from_at,
            condition,
            order,
            limit,
            offset,
        })
    }

    fn count(&mut self) -> Result<usize, Error> {
        match self.peek() {
            Some(Token::Number(n)) if *n >= 0.0 && n.fract() == 0.0 => {
                let count = format!("{n}").parse().map_err(|_| self.unexpected())?;
                self.next += 1;
                Ok(count)
            }
            _ => Err(self.unexpected()),
        }
    }

    fn sort(&mut self) -> Result<Sort, Error> {
        let path = self.path()?;
        let descending = self.take_word("desc");
        if !descending {
            self.take_word("asc");
        }
        let mut nulls_first = !descending;
        if self.take_word("nulls") {
            nulls_first = self.take_word("first");
            if !nulls_first {
                self.want_word("last")?;
            }
        }
        Ok(Sort {
            path,
            descending,
            nulls_first,
        })
    }

    /// Terms joined by one kind of conjunction: mixing needs parentheses.
    fn condition(&mut self) -> Result<Condition, Error> {
        let first = self.term()?;
        let word = if self.is_word(0, "and") {
            "and"
        } else if self.is_word(0, "or") {
            "or"
        } else {
            return Ok(first);
        };
        let mut terms = vec![first];
        while self.take_word(word) {
            terms.push(self.term()?);
        }
        if self.is_word(0, "and") || self.is_word(0, "or") {
            return Err(self.unexpected());
        }
        Ok(if word == "and" {
            Condition::And(terms)
        } else {
            Condition::Or(terms)
        })
    }

    fn term(&mut self) -> Result<Condition, Error> {
        if self.take_word("not") {
            return Ok(Condition::Not(Box::new(self.term()?)));
        }
        if self.take_sign("(") {
            let inner = self.condition()?;
            self.want_sign(")")?;
            return Ok(inner);
        }
        let path = self.path()?;
        let op = self.operator()?;
        let values = if matches!(op, Op::In | Op::NotIn | Op::Includes | Op::Excludes) {
            self.want_sign("(")?;
            let mut values = vec![self.literal()?];
            while self.take_sign(",") {
                values.push(self.literal()?);
            }
            self.want_sign(")")?;
            values
        } else {
            vec![self.literal()?]
        };
        let values = values.into_iter().map(|value| match value {
            Literal::Text(text) if op != Op::Like => Literal::Text(plain(&text)),
            value => value,
        });
        Ok(Condition::Compare(path, op, values.collect()))
    }

    fn operator(&mut self) -> Result<Op, Error> {
        let op = match self.peek() {
            Some(Token::Sign(sign)) => match *sign {
                "=" => Op::Eq,
                "!=" | "<>" => Op::Ne,
                "<" => Op::Lt,
                "<=" => Op::Le,
                ">" => Op::Gt,
                ">=" => Op::Ge,
                _ => return Err(self.unexpected()),
            },
            Some(Token::Word(word)) => match word.to_ascii_lowercase().as_str() {
                "like" => Op::Like,
                "in" => Op::In,
                "includes" => Op::Includes,
                "excludes" => Op::Excludes,
                "not" if self.is_word(1, "in") => {
                    self.next += 1;
                    Op::NotIn
                }
                _ => return Err(self.unexpected()),
            },
            _ => return Err(self.unexpected()),
        };
        self.next += 1;
        Ok(op)
    }

    fn literal(&mut self) -> Result<Literal, Error> {
        let literal = match self.peek() {
            Some(Token::Text(text)) => Literal::Text(text.clone()),
            Some(Token::Number(number)) => Literal::Number(*number),
            Some(Token::Date(date)) => Literal::Date(date.clone()),
            Some(Token::Time(time)) => Literal::Time(*time),
            Some(Token::Word(word)) => match word.to_ascii_lowercase().as_str() {
                "true" => Literal::Bool(true),
                "false" => Literal::Bool(false),
                "null" => Literal::Null,
                word => return self.relative(word),
            },
            _ => return Err(self.unexpected()),
        };
        self.next += 1;
        Ok(literal)
    }

    /// `TODAY`, `YESTERDAY`, `LAST_N_DAYS:n`.
    fn relative(&mut self, word: &str) -> Result<Literal, Error> {
        const DAY: i64 = 86_400_000;
        let today = self.now_ms - self.now_ms.rem_euclid(DAY);
        let span = match word {
            "today" => (today, today + DAY - 1),
            "yesterday" => (today - DAY, today - 1),
            "tomorrow" => (today + DAY, today + 2 * DAY - 1),
            "last_n_days" => {
                self.next += 1;
                self.want_sign(":")?;
                let days = i64::try_from(self.count()?).unwrap_or(0);
                return Ok(Literal::Span(today - days * DAY, today + DAY - 1));
            }
            _ => return Err(self.unexpected()),
        };
        self.next += 1;
        Ok(Literal::Span(span.0, span.1))
    }
}

/// Parses a query.
pub(crate) fn parse(text: &str, now_ms: i64) -> Result<Query, Error> {
    let tokens = tokens(text)?;
    Parser {
        text,
        tokens,
        next: 0,
        now_ms,
    }
    .query()
}

/// Checks that a literal suits the field, as the real one does before it runs anything.
pub(crate) fn check_literal(field: &Field, op: Op, literal: &Literal) -> Result<(), Error> {
    let expect = |what: &str| {
        Err(Error::new(
            400,
            "INVALID_FIELD",
            format!(
                "value of filter criterion for field '{}' must be of type {what}",
                field.name
            ),
        ))
    };
    if field.kind == Kind::Address || (field.kind == Kind::Textarea && field.length > 255) {
        let message = format!("field '{}' can not be filtered in a query call", field.name);
        return Err(Error::new(400, "INVALID_FIELD", message));
    }
    match (field.kind, literal) {
        (_, Literal::Null) => Ok(()),
        (Kind::Id | Kind::Reference, Literal::Text(text)) => {
            if ids::long(text).is_none() && !(op == Op::Like || text.is_empty()) {
                let message = format!("invalid ID field: {text}");
                return Err(Error::new(400, "INVALID_QUERY_FILTER_OPERATOR", message));
            }
            Ok(())
        }
        (kind, Literal::Text(_)) if kind.is_text() => Ok(()),
        (kind, _) if kind.is_text() || matches!(kind, Kind::Id | Kind::Reference) => {
            expect("string and should be enclosed in quotes")
        }
        (Kind::Boolean, Literal::Bool(_))
        | (Kind::Date, Literal::Date(_) | Literal::Span(..))
        | (Kind::Datetime, Literal::Time(_) | Literal::Span(..)) => Ok(()),
        (Kind::Boolean, _) => expect("boolean and should not be enclosed in quotes"),
        (Kind::Date, _) => expect("date and should not be enclosed in quotes"),
        (Kind::Datetime, _) => expect("dateTime and should not be enclosed in quotes"),
        (kind, Literal::Number(_)) if kind.is_number() => Ok(()),
        (Kind::Int, _) => expect("int and should not be enclosed in quotes"),
        _ => expect("double and should not be enclosed in quotes"),
    }
}

/// True if a stored value satisfies `op literal`.
pub(crate) fn matches(field: &Field, value: &Value, op: Op, literals: &[Literal]) -> bool {
    match op {
        Op::In => literals
            .iter()
            .any(|literal| compare(field, value, Op::Eq, literal)),
        Op::NotIn => !literals
            .iter()
            .any(|literal| compare(field, value, Op::Eq, literal)),
        Op::Includes | Op::Excludes => {
            let chosen: Vec<String> = value
                .as_str()
                .unwrap_or_default()
                .split(';')
                .map(|part| part.trim().to_lowercase())
                .collect();
            let hit = literals.iter().any(|literal| match literal {
                Literal::Text(text) => text
                    .split(';')
                    .all(|part| chosen.contains(&part.trim().to_lowercase())),
                _ => false,
            });
            hit == (op == Op::Includes)
        }
        op => literals
            .first()
            .is_some_and(|literal| compare(field, value, op, literal)),
    }
}

fn compare(field: &Field, value: &Value, op: Op, literal: &Literal) -> bool {
    let absent = value.is_null() || value.as_str().is_some_and(str::is_empty);
    if matches!(literal, Literal::Null) || matches!(literal, Literal::Text(t) if t.is_empty()) {
        return match op {
            Op::Eq => absent,
            Op::Ne => !absent,
            _ => false,
        };
    }
    if absent {
        return op == Op::Ne;
    }
    let ordering = match literal {
        Literal::Text(text) => {
            let own = value.as_str().unwrap_or_default();
            if op == Op::Like {
                return like(&own.to_lowercase(), &text.to_lowercase());
            }
            if matches!(field.kind, Kind::Id | Kind::Reference) {
                ids::long(text).map(|id| own.cmp(id.as_str()))
            } else {
                Some(own.to_lowercase().cmp(&text.to_lowercase()))
            }
        }
        Literal::Number(number) => value.as_f64().and_then(|own| own.partial_cmp(number)),
        Literal::Bool(flag) => value.as_bool().map(|own| own.cmp(flag)),
        Literal::Date(date) => value.as_str().map(|own| own.cmp(date.as_str())),
        Literal::Time(time) => value
            .as_str()
            .and_then(clock::parse_time)
            .map(|own| own.cmp(time)),
        Literal::Span(from, to) => {
            let own = value.as_str().and_then(|text| {
                clock::parse_time(text).or_else(|| clock::parse_time(&format!("{text}T00:00:00Z")))
            });
            own.map(|own| match op {
                Op::Eq | Op::Ne if (*from..=*to).contains(&own) => Ordering::Equal,
                Op::Gt | Op::Le => own.cmp(to),
                _ => own.cmp(from),
            })
        }
        Literal::Null => None,
    };
    let Some(ordering) = ordering else {
        return op == Op::Ne;
    };
    match op {
        Op::Eq => ordering.is_eq(),
        Op::Ne => ordering.is_ne(),
        Op::Lt => ordering.is_lt(),
        Op::Le => ordering.is_le(),
        Op::Gt => ordering.is_gt(),
        Op::Ge => ordering.is_ge(),
        _ => false,
    }
}

/// `%` any run, `_` one letter, `\` makes either plain.
pub(crate) fn like(text: &str, pattern: &str) -> bool {
    #[derive(PartialEq)]
    enum Part {
        Any,
        One,
        Letter(char),
    }
    let mut parts = Vec::new();
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        parts.push(match letter {
            '%' => Part::Any,
            '_' => Part::One,
            '\\' => Part::Letter(letters.next().unwrap_or('\\')),
            letter => Part::Letter(letter),
        });
    }
    let text: Vec<char> = text.chars().collect();
    // reach[i]: the pattern so far matches the first i letters.
    let mut reach = vec![false; text.len() + 1];
    if let Some(first) = reach.first_mut() {
        *first = true;
    }
    for part in &parts {
        let mut next = vec![false; text.len() + 1];
        let mut any = false;
        for (at, slot) in next.iter_mut().enumerate() {
            any = any || reach.get(at).copied().unwrap_or(false);
            let before = at.checked_sub(1);
            let stepped = before.and_then(|b| reach.get(b)).copied().unwrap_or(false);
            *slot = match part {
                Part::Any => any,
                Part::One => stepped,
                Part::Letter(letter) => stepped && before.and_then(|b| text.get(b)) == Some(letter),
            };
        }
        reach = next;
    }
    reach.last().copied().unwrap_or(false)
}

/// The letters in lower case, without making a text of them.
fn lower(text: &str) -> impl Iterator<Item = char> + '_ {
    text.chars().flat_map(char::to_lowercase)
}

/// Orders two values of a field; absent ones by the sort's wish. Texts ignore the case, but for
/// those that `exact` fields hold: ids and times.
pub(crate) fn order(left: &Value, right: &Value, sort: &Sort, exact: bool) -> Ordering {
    let nulls = if sort.nulls_first {
        Ordering::Less
    } else {
        Ordering::Greater
    };
    let ordering = match (left.is_null(), right.is_null()) {
        (true, true) => return Ordering::Equal,
        (true, false) => return nulls,
        (false, true) => return nulls.reverse(),
        (false, false) => match (left, right) {
            (Value::String(a), Value::String(b)) if exact => a.cmp(b),
            (Value::String(a), Value::String(b)) => lower(a).cmp(lower(b)).then_with(|| a.cmp(b)),
            (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
            (a, b) => a
                .as_f64()
                .partial_cmp(&b.as_f64())
                .unwrap_or(Ordering::Equal),
        },
    };
    if sort.descending {
        ordering.reverse()
    } else {
        ordering
    }
}

/// The equality terms that must hold for the whole condition: for index look-ups.
pub(crate) fn required_equals(condition: &Condition) -> Vec<(&Path, &[Literal])> {
    match condition {
        Condition::Compare(path, Op::Eq | Op::In, values) => vec![(path, values.as_slice())],
        Condition::And(terms) => terms.iter().flat_map(required_equals).collect(),
        _ => Vec::new(),
    }
}

/// The id that all matching rows come after, if the condition names one (`Id > '…'`).
pub(crate) fn first_id(ty: &ObjectType, condition: &Condition) -> Option<String> {
    match condition {
        Condition::Compare(path, Op::Gt, values) => {
            own_field(ty, path).filter(|field| field.kind == Kind::Id)?;
            match values.first()? {
                Literal::Text(text) => ids::long(text),
                _ => None,
            }
        }
        Condition::And(terms) => terms.iter().filter_map(|term| first_id(ty, term)).max(),
        _ => None,
    }
}

/// Reads a field of a row, absent as null.
pub(crate) fn value_of<'a>(row: &'a Record, field: &Field) -> &'a Value {
    row.get(&field.name).unwrap_or(&Value::Null)
}

/// The field of a path of one part.
pub(crate) fn own_field<'a>(ty: &'a ObjectType, path: &Path) -> Option<&'a Field> {
    match path.parts.as_slice() {
        [name] => ty.field(name),
        // The object's own name may stand before a field.
        [object, name] if object.eq_ignore_ascii_case(&ty.name) => ty.field(name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Condition, Literal, Op, like, parse};

    #[test]
    fn parses_everything_we_use() {
        let query = parse(
            "SELECT Id, Owner.Name FROM Lead WHERE (Email = 'o\\'neil@x.example' OR Phone LIKE '%12_') \
             AND CreatedDate >= 2026-01-02T03:04:05Z AND NOT IsConverted = true \
             AND Status NOT IN ('a','b') ORDER BY SystemModstamp DESC NULLS LAST, Id LIMIT 10 OFFSET 5",
            0,
        )
        .unwrap();
        assert_eq!(
            (query.limit, query.offset, query.order.len()),
            (Some(10), 5, 2)
        );
        let Some(Condition::And(terms)) = query.condition else {
            panic!("no and")
        };
        assert_eq!(terms.len(), 4);
        let Some(Condition::Or(either)) = terms.first() else {
            panic!("no or")
        };
        let Some(Condition::Compare(_, Op::Eq, values)) = either.first() else {
            panic!("no =")
        };
        assert_eq!(values, &[Literal::Text("o'neil@x.example".into())]);
    }

    #[test]
    fn refuses_with_a_caret() {
        let error = parse("SELECT Id FORM Lead", 0).unwrap_err();
        assert_eq!(error.code, "MALFORMED_QUERY");
        assert_eq!(
            error.message,
            "\nSELECT Id FORM Lead\n          ^\nERROR at Row:1:Column:11\nunexpected token: 'FORM'"
        );
    }

    #[test]
    fn mixing_and_with_or_needs_parentheses() {
        assert!(
            parse(
                "SELECT Id FROM Lead WHERE Id = null AND Id = null OR Id = null",
                0
            )
            .is_err()
        );
        assert!(
            parse(
                "SELECT Id FROM Lead WHERE (Id = null AND Id = null) OR Id = null",
                0
            )
            .is_ok()
        );
    }

    #[test]
    fn strings_know_their_escapes() {
        let text =
            |literal: &str| match parse(&format!("SELECT Id FROM Lead WHERE Name = {literal}"), 0)
                .unwrap()
                .condition
            {
                Some(Condition::Compare(_, _, values)) => values,
                _ => Vec::new(),
            };
        assert_eq!(
            text(r"'a\\b\n\t\u00e9'"),
            [Literal::Text("a\\b\n\té".into())]
        );
        assert!(parse("SELECT Id FROM Lead WHERE Name = 'open", 0).is_err());
        assert!(parse(r"SELECT Id FROM Lead WHERE Name = 'a\q'", 0).is_err());
        assert!(parse("SELECT Id FROM Lead WHERE Name = 'a\nb'", 0).is_err());
        for trailing in ["'", " x", ")", " OR", " Name = 'b'", " LIMIT", " -- no"] {
            let text = format!("SELECT Id FROM Lead WHERE Name = 'a'{trailing}");
            assert!(parse(&text, 0).is_err(), "{text}");
        }
    }

    #[test]
    fn like_has_two_wildcards() {
        assert!(like("anna@x.example", "anna%"));
        assert!(like("abc", "a_c"));
        assert!(!like("abbc", "a_c"));
        assert!(like("100%", r"100\%"));
        assert!(!like("1000", r"100\%"));
        assert!(like(r"a\b", r"%a\\%") && !like("a%", r"%a\\%"));
        assert!(like("", "%"));
    }
}
