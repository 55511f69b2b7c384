//! Field mappings (LG-7): from names on forms to lead fields, with every value checked against the CRM's own
//! metadata. A value that does not fit is reported for its field; the others are written.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::field::{Field, FieldKind};
use super::normalize::invisible::{Form, clean, is_blank, plain_digits};
use super::normalize::stop_gap::{self, StopGap};
use super::normalize::{self, email, normalize, phone};
use super::schema::{FieldType, LeadField, LeadSchema, PicklistOption};
use super::vocabulary::{Role, vocabulary};
use crate::clock::Millis;

/// The default placeholder text for required text fields that a form left empty, if the contract sets no
/// other.
pub const DEFAULT_PLACEHOLDER: &str = "[not provided]";

/// One mapping: the field's name exactly as on the form, and the lead field that takes its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct FieldMapping {
    /// The name exactly as on the form. Unique within the contract.
    pub name: String,
    /// The CRM's name of the lead field.
    pub lead_field: String,
    /// Time of creation.
    #[cfg_attr(feature = "http-api", schema(value_type = i64))]
    pub created_at: Millis,
    /// Time of the last change.
    #[cfg_attr(feature = "http-api", schema(value_type = i64))]
    pub updated_at: Millis,
}

/// The outcome of mapping one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum FieldOutcome {
    /// Written as it came, or in the CRM's spelling of the same value.
    Mapped,
    /// Written, but changed to fit.
    Adjusted,
    /// Not written; see the reason.
    LeftOut,
    /// No mapping has its name: it does not reach the CRM.
    Unmapped,
    /// Not on the form: filled because the CRM requires it.
    FilledIn,
}

/// Report on the mapping of one answer to the lead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct FieldReport {
    /// The name on the form, or for a filled-in value the lead field's name.
    pub name: String,
    /// The lead field its mapping names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lead_field: Option<String>,
    /// The outcome.
    pub outcome: FieldOutcome,
    /// The reason for a change or omission, with the next step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A submission as values of the CRM's lead.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MappedLead {
    /// Lead fields and the values to write, ready for the CRM's JSON.
    pub values: BTreeMap<String, Value>,
    /// Lead fields that hold only a placeholder: they match nothing and fill nothing.
    pub filled_in: BTreeSet<String>,
    /// The reports on every answer.
    pub report: Vec<FieldReport>,
    /// Names that no mapping has.
    pub unmapped: Vec<String>,
}

/// The mapping's input beside the answers.
#[derive(Debug, Clone, Copy)]
pub struct MappingContext<'a> {
    /// The contract's mappings by name.
    pub mappings: &'a BTreeMap<String, FieldMapping>,
    /// The CRM's lead fields.
    pub schema: &'a LeadSchema,
    /// ISO 3166 alpha-2 region in which numbers without a country code are read.
    pub region: Option<&'a str>,
    /// The text for required text fields that the form does not give.
    pub placeholder: &'a str,
    /// The form's name, for the topic of a Dynamics lead that no mapping gives one.
    pub form_name: &'a str,
}

/// Maps every answer, in the order of arrival. The first answer that gives a lead field a value wins.
#[must_use]
pub fn map_submission(fields: &[Field], context: MappingContext<'_>) -> MappedLead {
    let mut lead = MappedLead::default();
    let known = vocabulary(context.schema.crm).lead;
    let [first_name, last_name] = [Role::FirstName, Role::LastName].map(|role| known.named(role));
    let target_of = |field: &Field| {
        let mapping = field.names().find_map(|name| context.mappings.get(name))?;
        Some(mapping.lead_field.as_str())
    };
    let has_first_name = fields
        .iter()
        .any(|field| target_of(field) == Some(first_name) && !is_blank(&field.value));
    for field in fields {
        let Some(target) = target_of(field) else {
            if field.kind != FieldKind::Context {
                lead.unmapped.push(field.name.clone());
                lead.report.push(report(
                    &field.name,
                    None,
                    FieldOutcome::Unmapped,
                    field.note.clone(),
                ));
            }
            continue;
        };
        if target == last_name && !has_first_name && is_full_name(field) {
            let parts = split_full_name(&field.value);
            if let Some((first, last)) = parts {
                for (target, part) in [(first_name, first), (last_name, last)] {
                    let part = Field {
                        value: part,
                        ..field.clone()
                    };
                    map_field(
                        &part.noted("The full name was split into first and last name."),
                        target,
                        &mut lead,
                        context,
                    );
                }
                continue;
            }
        }
        map_field(field, target, &mut lead, context);
    }
    fill_required(&mut lead, context);
    lead
}

/// Maps one answer to its lead field, and reports it.
fn map_field(field: &Field, target: &str, lead: &mut MappedLead, context: MappingContext<'_>) {
    let entry = match map_value(&field.value, target, lead, context) {
        Ok(None) => return,
        Ok(Some((value, remark))) => {
            lead.values.insert(target.to_owned(), value);
            let remark = joined(field.note.clone(), remark);
            let outcome = if remark.is_some() {
                FieldOutcome::Adjusted
            } else {
                FieldOutcome::Mapped
            };
            report(&field.name, Some(target), outcome, remark)
        }
        Err(reason) => report(
            &field.name,
            Some(target),
            FieldOutcome::LeftOut,
            joined(field.note.clone(), Some(reason)),
        ),
    };
    lead.report.push(entry);
}

/// Two remarks in one.
fn joined(first: Option<String>, second: Option<String>) -> Option<String> {
    match (first, second) {
        (Some(first), Some(second)) => Some(format!("{first} {second}")),
        (first, second) => first.or(second),
    }
}

/// True if a field is the question for first and last name in one, as Google asks it.
fn is_full_name(field: &Field) -> bool {
    field
        .names()
        .any(|name| matches!(normalize::fold(name).as_str(), "full name" | "fullname"))
}

/// Splits a full name into first and last name without losing a word; `None` if the split is not certain.
fn split_full_name(text: &str) -> Option<(String, String)> {
    let full = clean(text, Form::Line).text;
    let words: Vec<&str> = full.split(' ').collect();
    // Chinese, Japanese and Korean names begin with the family name.
    let eastern = |c: char| {
        matches!(c, '\u{3040}'..='\u{309f}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
            | '\u{1100}'..='\u{11ff}' | '\u{ac00}'..='\u{d7af}' | '\u{20000}'..='\u{3ffff}')
    };
    if full.chars().any(eastern) {
        return match words[..] {
            [family, given] => Some((given.to_owned(), family.to_owned())),
            _ => None,
        };
    }
    let (first, last) = matching::person::split(&full);
    if first.is_empty() || last.is_empty() {
        return None;
    }
    if full == format!("{last}, {first}") {
        return Some((first, last));
    }
    // Titles stay with the first name, and suffixes with the last name.
    let at = full.rfind(&last)?;
    let (first, last) = full.split_at_checked(at)?;
    let first = first.trim_end();
    (!first.is_empty() && !full.contains(',')).then(|| (first.to_owned(), last.to_owned()))
}

fn report(
    name: &str,
    lead_field: Option<&str>,
    outcome: FieldOutcome,
    reason: Option<String>,
) -> FieldReport {
    FieldReport {
        name: name.to_owned(),
        lead_field: lead_field.map(str::to_owned),
        outcome,
        reason,
    }
}

type Converted = (Value, Option<String>);

/// Converts an answer's text to the value of its lead field; `None` for an empty one.
pub(crate) fn map_value(
    text: &str,
    target: &str,
    lead: &MappedLead,
    context: MappingContext<'_>,
) -> Result<Option<Converted>, String> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    if is_blank(text) {
        return Err("It holds nothing that can be seen.".to_owned());
    }
    let Some(field) = context.schema.field(target) else {
        return Err(format!(
            "The CRM has no lead field {target}, or the connected user cannot see it. Refresh the lead fields or change the mapping."
        ));
    };
    if !field.is_mappable() {
        return Err(format!(
            "{target} cannot be set in the CRM. Map the field to another one."
        ));
    }
    if lead.values.contains_key(target) {
        return Err(format!(
            "An earlier field of this submission already gave {target} its value."
        ));
    }
    if stop_gap::is_lost(text) {
        return Err(
            "It is what a program writes where a value was lost. Check the form's script."
                .to_owned(),
        );
    }
    let gap = field.is_company().then(|| stop_gap::of_company(text));
    let kept = match gap.flatten() {
        None => None,
        Some(StopGap::Nothing) => return Err("It names no company.".to_owned()),
        Some(StopGap::NoCompany) => {
            Some("It is kept as written and names no company: nothing is matched by it.".to_owned())
        }
    };
    let (value, remark) = convert(text, field, context.region)?;
    Ok(Some((value, joined(remark, kept))))
}

/// Remark on a value from which invisible characters were removed.
const CLEANED: &str = "Characters that cannot be seen were taken out of it.";
/// Remark on an address from which surrounding text was removed.
const BARED: &str = "What is no part of the address was taken off it.";

/// Converts `text` to the CRM's value for `field`, with a remark if it had to be changed to fit.
///
/// # Errors
/// Returns the reason and the next step, as a text for users, if the value cannot be stored in the field.
pub fn convert(text: &str, field: &LeadField, region: Option<&str>) -> Result<Converted, String> {
    let form = match &field.field_type {
        FieldType::Text { .. } | FieldType::Picklist { .. } | FieldType::MultiPicklist { .. } => {
            Form::Line
        }
        FieldType::LongText { .. } => Form::Lines,
        _ => Form::Token,
    };
    let cleaned = clean(text, form);
    let removed = cleaned.removed.then(|| CLEANED.to_owned());
    let digits = plain_digits(&cleaned.text);
    let (value, remark) = match &field.field_type {
        FieldType::Email { max_length } => return convert_email(text.trim(), *max_length),
        FieldType::Phone { max_length } => return convert_phone(text.trim(), *max_length, region),
        FieldType::Url { max_length } => return convert_url(text.trim(), *max_length),
        FieldType::Text { max_length } | FieldType::LongText { max_length } => {
            shorten(&cleaned.text, *max_length)
        }
        FieldType::Integer { min, max } => {
            let number = parse_number(&digits)?;
            if number.fract() != 0.0 {
                return Err("It is not a whole number.".to_owned());
            }
            in_range(number, *min, *max)?;
            #[expect(
                clippy::cast_possible_truncation,
                reason = "whole, and at most 2^53 by parse_number"
            )]
            (Value::from(number as i64), None)
        }
        FieldType::Decimal { min, max } => {
            let number = parse_number(&digits)?;
            in_range(number, *min, *max)?;
            (Value::from(number), None)
        }
        FieldType::Boolean => match digits.to_lowercase().as_str() {
            "true" | "yes" | "y" | "on" | "1" | "ja" | "oui" | "si" | "sí" => {
                (Value::Bool(true), None)
            }
            "false" | "no" | "n" | "off" | "0" | "nein" | "non" => (Value::Bool(false), None),
            _ => return Err("It is neither yes nor no.".to_owned()),
        },
        FieldType::Date => (Value::from(parse_date(&digits)?), None),
        FieldType::DateTime => (Value::from(parse_instant(&digits)?), None),
        FieldType::Picklist {
            options,
            restricted,
            numeric,
        } => convert_choice(&cleaned.text, options, *restricted, *numeric)?,
        FieldType::MultiPicklist {
            options,
            restricted,
        } => {
            let mut chosen = Vec::new();
            for part in cleaned
                .text
                .split(';')
                .map(str::trim)
                .filter(|part| !part.is_empty())
            {
                let (value, _) = convert_choice(part, options, *restricted, false)?;
                chosen.extend(value.as_str().map(str::to_owned));
            }
            (Value::from(chosen.join(";")), None)
        }
        FieldType::Unsupported { crm_type } => {
            return Err(format!(
                "Fields of the CRM's type {crm_type} take no form value."
            ));
        }
    };
    Ok((value, joined(removed, remark)))
}

fn convert_email(text: &str, max_length: u32) -> Result<Converted, String> {
    let found = email::read(text).map_err(|why| why.reason().to_owned())?;
    fits(&found.address, max_length)?;
    let remark = found.repaired.then(|| BARED.to_owned());
    Ok((Value::from(found.address), remark))
}

fn convert_phone(text: &str, max_length: u32, region: Option<&str>) -> Result<Converted, String> {
    let phone = match phone::read(text, region) {
        Ok(phone) => phone,
        Err(why) if why.is_number() => {
            let cleaned = clean(text, Form::Line);
            let written = if cleaned.removed {
                cleaned.text
            } else {
                text.to_owned()
            };
            fits(&written, max_length)?;
            return Ok((Value::from(written), Some(why.reason().to_owned())));
        }
        Err(why) => return Err(why.reason().to_owned()),
    };
    let written = phone.written();
    if phone.extension.is_some() && fits(&written, max_length).is_err() {
        fits(&phone.e164, max_length)?;
        let remark = "Its extension was left out: the field has no room for it.";
        return Ok((Value::from(phone.e164), Some(remark.to_owned())));
    }
    fits(&written, max_length)?;
    Ok((Value::from(written), None))
}

fn convert_url(text: &str, max_length: u32) -> Result<Converted, String> {
    let bare = normalize::bare_url(text);
    let url = normalize::web_url(&bare)
        .ok_or_else(|| "It is not a web address. Correct it in the CRM by hand.".to_owned())?;
    let remark = (bare != text).then(|| BARED.to_owned());
    let written = if bare.contains("://") {
        bare
    } else {
        let written = url.as_str();
        let host_only = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let bare_host = host_only.then(|| written.trim_end_matches('/'));
        bare_host.unwrap_or(written).to_owned()
    };
    fits(&written, max_length)?;
    Ok((Value::from(written), remark))
}

/// CRM lengths count UTF-16 units; counting them keeps an emoji from overflowing a field.
fn shorten(text: &str, max_length: u32) -> Converted {
    let max = max_length as usize;
    if text.encode_utf16().count() <= max {
        return (Value::from(text), None);
    }
    let mut length = 0;
    let kept: String = text
        .chars()
        .take_while(|c| {
            length += c.len_utf16();
            length <= max
        })
        .collect();
    (
        Value::from(kept.trim_end()),
        Some(format!(
            "It was longer than the field's {max} characters; the start was kept."
        )),
    )
}

fn fits(text: &str, max_length: u32) -> Result<(), String> {
    if text.encode_utf16().count() > max_length as usize {
        return Err(format!(
            "It is longer than the field's {max_length} characters."
        ));
    }
    Ok(())
}

fn in_range(number: f64, min: Option<f64>, max: Option<f64>) -> Result<(), String> {
    if min.is_some_and(|min| number < min) || max.is_some_and(|max| number > max) {
        return Err("It is outside the range that the CRM allows for the field.".to_owned());
    }
    Ok(())
}

fn convert_choice(
    text: &str,
    options: &[PicklistOption],
    restricted: bool,
    numeric: bool,
) -> Result<Converted, String> {
    let exact = options
        .iter()
        .find(|option| option.value == text || option.label == text);
    let wanted = normalize::fold(text);
    let found = exact.or_else(|| {
        options.iter().find(|option| {
            normalize::fold(&option.label) == wanted || normalize::fold(&option.value) == wanted
        })
    });
    match found {
        Some(option) if numeric => option
            .value
            .parse::<i64>()
            .map(|value| (Value::from(value), None))
            .map_err(|_| "The CRM describes this choice without a number.".to_owned()),
        Some(option) => Ok((Value::from(option.value.as_str()), None)),
        None if restricted || numeric => {
            let some: Vec<&str> = options
                .iter()
                .take(8)
                .map(|option| option.label.as_str())
                .collect();
            Err(format!(
                "It is none of the field's choices ({}{}). Add the choice in the CRM or change the form.",
                some.join(", "),
                if options.len() > some.len() {
                    ", …"
                } else {
                    ""
                }
            ))
        }
        None => Ok((
            Value::from(text),
            Some("It is none of the field's listed choices; the CRM takes it as it is.".to_owned()),
        )),
    }
}

/// Parses a number as people write it: `1234.5`, `1,234.50`, `1.234,50`, `1 234,5`, `€ 1,200`, `50%`. A
/// single comma is a decimal comma unless exactly three digits follow it.
///
/// # Errors
/// Returns the reason, as a text for users, if the text is not a number or has two readings.
pub fn parse_number(text: &str) -> Result<f64, String> {
    let not_a_number = || "It is not a number.".to_owned();
    let cleaned: String = text
        .trim_matches(|c: char| c.is_whitespace() || "€$£¥%+".contains(c))
        .chars()
        .filter(|c| !matches!(c, ' ' | '\u{a0}' | '\u{202f}' | '\'' | '_'))
        .map(|c| match c {
            // As they are written with Arabic digits.
            '\u{66b}' => '.',
            '\u{66c}' => ',',
            '\u{2212}' => '-',
            c => c,
        })
        .collect();
    let (sign, digits) = cleaned
        .strip_prefix('-')
        .map_or(("", cleaned.as_str()), |rest| ("-", rest));
    if digits.is_empty()
        || digits.len() > 25
        || !digits
            .bytes()
            .all(|b| b.is_ascii_digit() || b == b'.' || b == b',')
    {
        return Err(not_a_number());
    }
    let decimal_mark = match (digits.rfind('.'), digits.rfind(',')) {
        (Some(dot), Some(comma)) => Some(if dot > comma { '.' } else { ',' }),
        (Some(_), None) => (digits.matches('.').count() == 1).then_some('.'),
        (None, Some(comma)) => {
            (digits.matches(',').count() == 1 && digits.len() - comma != 4).then_some(',')
        }
        (None, None) => None,
    };
    let (whole, fraction) = decimal_mark
        .and_then(|mark| digits.rsplit_once(mark))
        .unwrap_or((digits, ""));
    let mut groups = whole.split(['.', ',']);
    let first = groups.next().unwrap_or_default();
    let mut plain = first.to_owned();
    for group in groups {
        if group.len() != 3 || first.is_empty() || first.len() > 3 {
            return Err(not_a_number());
        }
        plain.push_str(group);
    }
    if fraction.contains(['.', ',']) || (plain.is_empty() && fraction.is_empty()) {
        return Err(not_a_number());
    }
    let number: f64 = format!(
        "{sign}{}.{}",
        if plain.is_empty() { "0" } else { &plain },
        if fraction.is_empty() { "0" } else { fraction }
    )
    .parse()
    .map_err(|_| not_a_number())?;
    // Beyond this a double no longer holds every whole number.
    if number.abs() > 9_007_199_254_740_992.0 {
        return Err("It is too large a number.".to_owned());
    }
    Ok(number)
}

/// Parses a date and returns it as `YYYY-MM-DD`. Accepts ISO dates and instants, `D.M.YYYY`, and `D/M/YYYY`
/// or `M/D/YYYY` if the numbers leave only one reading.
///
/// # Errors
/// Returns the reason, as a text for users, if the text is not a date or has two readings.
pub fn parse_date(text: &str) -> Result<String, String> {
    let not_a_date =
        || "It is not a date; ISO dates such as 2026-03-31 are always understood.".to_owned();
    if text.len() > 40 {
        return Err(not_a_date());
    }
    let civil = |year: &str, month: &str, day: &str| -> Option<String> {
        let (year, month, day) = (year.parse().ok()?, month.parse().ok()?, day.parse().ok()?);
        (1000..=9999)
            .contains(&year)
            .then(|| jiff::civil::Date::new(year, month, day).ok())?
            .map(|date| date.to_string())
    };
    // An instant's own calendar day is kept: a date has no zone and is never shifted.
    let day_part = text.split(['T', ' ']).next().unwrap_or_default();
    if let [year, month, day] = day_part.split('-').collect::<Vec<_>>()[..] {
        return if year.len() == 4 {
            civil(year, month, day)
        } else {
            None
        }
        .ok_or_else(not_a_date);
    }
    if let [day, month, year] = text.split('.').collect::<Vec<_>>()[..] {
        return civil(year.trim(), month.trim(), day.trim()).ok_or_else(not_a_date);
    }
    if let [first, second, year] = text.split('/').collect::<Vec<_>>()[..] {
        return match (civil(year, second, first), civil(year, first, second)) {
            (Some(one), Some(other)) if one != other => Err(format!(
                "It could be {one} or {other}. Have the form send ISO dates such as 2026-03-31."
            )),
            (Some(date), _) | (_, Some(date)) => Ok(date),
            (None, None) => Err(not_a_date()),
        };
    }
    Err(not_a_date())
}

fn parse_instant(text: &str) -> Result<String, String> {
    if let Ok(timestamp) = text.parse::<jiff::Timestamp>() {
        return Ok(format!("{timestamp:.3}"));
    }
    // Without a zone an instant is read as UTC; a date is its first moment in UTC.
    if let Ok(civil) = text.parse::<jiff::civil::DateTime>()
        && let Ok(zoned) = civil.to_zoned(jiff::tz::TimeZone::UTC)
    {
        return Ok(format!("{:.3}", zoned.timestamp()));
    }
    parse_date(text).map(|date| format!("{date}T00:00:00.000Z"))
}

/// Fills required text fields that have no value with a placeholder, so that the lead is not lost because of
/// them.
fn fill_required(lead: &mut MappedLead, context: MappingContext<'_>) {
    let missing: Vec<&LeadField> = context
        .schema
        .fields
        .iter()
        .filter(|field| {
            field.required && field.is_mappable() && !lead.values.contains_key(&field.name)
        })
        .collect();
    for field in missing {
        if let FieldType::Text { max_length } | FieldType::LongText { max_length } =
            field.field_type
        {
            let (value, _) = shorten(context.placeholder, max_length);
            fill_in(
                lead,
                &field.name,
                value,
                "The CRM requires it and the form gave nothing for it.",
            );
        }
    }
    // A Dynamics lead without a topic is nameless in every list, though the Web API lets it pass.
    let known = vocabulary(context.schema.crm).lead;
    if let Some(topic_field) = known.of_role(Role::Topic)
        && !lead.values.contains_key(topic_field.name)
        && let Some(LeadField {
            field_type: FieldType::Text { max_length },
            ..
        }) = context.schema.field(topic_field.name)
    {
        let person = [Role::FirstName, Role::LastName]
            .map(|role| known.named(role))
            .into_iter()
            .filter(|name| !lead.filled_in.contains(*name))
            .filter_map(|name| lead.values.get(name).and_then(Value::as_str))
            .collect::<Vec<_>>()
            .join(" ");
        let topic = if person.is_empty() {
            context.form_name.to_owned()
        } else {
            format!("{} – {person}", context.form_name)
        };
        let (value, _) = shorten(&topic, *max_length);
        fill_in(
            lead,
            topic_field.name,
            value,
            "No mapping gives the topic; it is made of the form's and the person's name.",
        );
    }
}

fn fill_in(lead: &mut MappedLead, name: &str, value: Value, reason: &str) {
    lead.values.insert(name.to_owned(), value);
    lead.filled_in.insert(name.to_owned());
    lead.report.push(report(
        name,
        Some(name),
        FieldOutcome::FilledIn,
        Some(reason.to_owned()),
    ));
}

/// The normal form of a lead's value, for comparison with a submission's.
#[must_use]
pub fn comparable(value: &Value, field: &LeadField, region: Option<&str>) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => {
            // 5 and 5.0 are the same amount in either CRM.
            number
                .as_f64()
                .map_or_else(|| number.to_string(), |number| number.to_string())
        }
        Value::Bool(flag) => flag.to_string(),
        _ => return None,
    };
    // Two people without a company are not colleagues.
    if field.is_company() && stop_gap::of_company(&text).is_some() {
        return None;
    }
    normalize(field.comparison(), &text, region)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::schema::CrmKind;

    fn field(name: &str, field_type: FieldType, required: bool) -> LeadField {
        LeadField {
            name: name.into(),
            label: name.into(),
            field_type,
            required,
            createable: true,
            updateable: true,
        }
    }

    fn schema() -> LeadSchema {
        let options = ["Hot", "Warm"]
            .iter()
            .map(|s| PicklistOption {
                value: (*s).into(),
                label: (*s).into(),
            })
            .collect::<Vec<_>>();
        LeadSchema {
            crm: CrmKind::Salesforce,
            fields: vec![
                field("LastName", FieldType::Text { max_length: 10 }, true),
                field("Company", FieldType::Text { max_length: 255 }, true),
                field("Email", FieldType::Email { max_length: 80 }, false),
                field("Phone", FieldType::Phone { max_length: 40 }, false),
                field(
                    "Rating",
                    FieldType::Picklist {
                        options: options.clone(),
                        restricted: true,
                        numeric: false,
                    },
                    false,
                ),
                field(
                    "Industry",
                    FieldType::Picklist {
                        options,
                        restricted: false,
                        numeric: false,
                    },
                    false,
                ),
                field(
                    "Employees",
                    FieldType::Integer {
                        min: Some(0.0),
                        max: Some(1e8),
                    },
                    false,
                ),
                field("Event__c", FieldType::Date, false),
            ],
            contact_fields: vec![],
            has_identity: true,
            has_contact_link: true,
            fetched_at: Millis(0),
        }
    }

    fn map(answers: &[(&str, &str)]) -> MappedLead {
        let schema = schema();
        let mappings: BTreeMap<_, _> = schema
            .fields
            .iter()
            .map(|f| {
                let name = f.name.to_lowercase();
                (
                    name.clone(),
                    FieldMapping {
                        name,
                        lead_field: f.name.clone(),
                        created_at: Millis(0),
                        updated_at: Millis(0),
                    },
                )
            })
            .collect();
        let fields: Vec<_> = answers.iter().map(|(n, v)| Field::answer(*n, *v)).collect();
        map_submission(
            &fields,
            MappingContext {
                mappings: &mappings,
                schema: &schema,
                region: Some("US"),
                placeholder: DEFAULT_PLACEHOLDER,
                form_name: "Demo",
            },
        )
    }

    #[test]
    fn only_mapped_fields_reach_the_crm() {
        let lead = map(&[
            ("lastname", "Lovelace"),
            ("company", "AE"),
            ("shoe size", "38"),
        ]);
        assert_eq!(lead.values.len(), 2);
        assert_eq!(lead.unmapped, ["shoe size"]);
    }

    #[test]
    fn what_does_not_fit_is_reported_and_the_rest_goes_on() {
        let lead = map(&[
            ("lastname", "A name of more than ten characters"),
            ("email", "not an address"),
            ("rating", "Lukewarm"),
            ("industry", "Space"),
            ("employees", "12.5"),
            ("event__c", "03/04/2026"),
            ("phone", "(415) 555-2671"),
        ]);
        assert_eq!(lead.values["LastName"], "A name of");
        assert_eq!(lead.values["Phone"], "+14155552671");
        assert_eq!(lead.values["Industry"], "Space");
        assert_eq!(lead.values["Company"], DEFAULT_PLACEHOLDER);
        assert!(lead.filled_in.contains("Company"));
        for left_out in ["email", "rating", "employees", "event__c"] {
            let entry = lead.report.iter().find(|r| r.name == left_out).unwrap();
            assert_eq!(entry.outcome, FieldOutcome::LeftOut, "{left_out}");
            assert!(entry.reason.is_some());
        }
    }

    /// Maps one answer, and returns the value with the report's outcome and reason.
    fn one(name: &str, text: &str) -> (Option<Value>, FieldOutcome, String) {
        let lead = map(&[(name, text)]);
        let entry = lead.report.iter().find(|entry| entry.name == name);
        let entry = entry.unwrap_or_else(|| panic!("{name} is not reported"));
        let target = entry.lead_field.clone().unwrap();
        let value = lead.values.get(&target).cloned();
        let value = value.filter(|_| !lead.filled_in.contains(&target));
        (
            value,
            entry.outcome,
            entry.reason.clone().unwrap_or_default(),
        )
    }

    #[test]
    fn what_is_repaired_kept_or_left_out_is_told() {
        for (name, text, value, outcome) in [
            (
                "email",
                "\u{200b}Ann@b.example",
                Some("Ann@b.example"),
                FieldOutcome::Adjusted,
            ),
            (
                "email",
                "Ann <ann@b.example>",
                Some("ann@b.example"),
                FieldOutcome::Adjusted,
            ),
            (
                "email",
                " ann@b.example ",
                Some("ann@b.example"),
                FieldOutcome::Mapped,
            ),
            (
                "email",
                "ann@b.example, bob@b.example",
                None,
                FieldOutcome::LeftOut,
            ),
            ("lastname", "\u{200b}", None, FieldOutcome::LeftOut),
            (
                "lastname",
                "Mei\u{b}er\u{feff}",
                Some("Mei er"),
                FieldOutcome::Adjusted,
            ),
            ("lastname", "Null", Some("Null"), FieldOutcome::Mapped),
            ("lastname", "[object Object]", None, FieldOutcome::LeftOut),
            (
                "phone",
                "+49 151 23020522",
                Some("+4915123020522"),
                FieldOutcome::Mapped,
            ),
            (
                "phone",
                "650 253 0000 x136",
                Some("+16502530000 ext. 136"),
                FieldOutcome::Mapped,
            ),
            (
                "phone",
                "０６５０２５３００００",
                Some("０６５０２５３００００"),
                FieldOutcome::Adjusted,
            ),
            (
                "phone",
                "６５０ ２５３ ００００",
                Some("+16502530000"),
                FieldOutcome::Mapped,
            ),
            (
                "phone",
                "+49 30 901820 abends",
                Some("+49 30 901820 abends"),
                FieldOutcome::Adjusted,
            ),
            ("phone", "4.47912E+11", None, FieldOutcome::LeftOut),
            ("employees", "١٢٣", Some("123"), FieldOutcome::Mapped),
            (
                "event__c",
                "２０２６-０３-３１",
                Some("2026-03-31"),
                FieldOutcome::Mapped,
            ),
            ("rating", "Ho\u{ad}t", Some("Hot"), FieldOutcome::Adjusted),
            ("company", "N/A", None, FieldOutcome::LeftOut),
            (
                "company",
                "Self-employed",
                Some("Self-employed"),
                FieldOutcome::Adjusted,
            ),
            ("company", "Acme", Some("Acme"), FieldOutcome::Mapped),
        ] {
            let (found, told, reason) = one(name, text);
            let found = found.map(|value| match value {
                Value::String(text) => text,
                other => other.to_string(),
            });
            assert_eq!(
                (found.as_deref(), told),
                (value, outcome),
                "{name} {text:?}: {reason}"
            );
            assert_eq!(
                reason.is_empty(),
                told == FieldOutcome::Mapped,
                "{name} {text:?}"
            );
        }
    }

    #[test]
    fn an_extension_gives_way_where_the_field_has_no_room() {
        let phone = field("P", FieldType::Phone { max_length: 14 }, false);
        let (value, remark) = convert("+1 650 253 0000 x136", &phone, None).unwrap();
        assert_eq!(value, "+16502530000");
        assert!(remark.is_some_and(|remark| remark.contains("extension")));
    }

    #[test]
    fn a_company_that_is_none_matches_nothing() {
        let company = field("Company", FieldType::Text { max_length: 255 }, true);
        for text in ["Self-employed", "n/a", "Student"] {
            assert_eq!(comparable(&json!(text), &company, None), None, "{text}");
        }
        assert_eq!(
            comparable(&json!("Acme"), &company, None).as_deref(),
            Some("acme")
        );
    }

    #[test]
    fn a_full_name_is_split_where_that_is_certain() {
        let parts = |text: &str| split_full_name(text);
        for (full, first, last) in [
            ("Ada Lovelace", "Ada", "Lovelace"),
            ("Dr. Ada King", "Dr. Ada", "King"),
            ("Ludwig van Beethoven", "Ludwig", "van Beethoven"),
            ("Lovelace, Ada", "Ada", "Lovelace"),
            ("John Smith Jr.", "John", "Smith Jr."),
            ("田中 太郎", "太郎", "田中"),
            ("Ada\u{b}Lovelace\u{200b}", "Ada", "Lovelace"),
        ] {
            assert_eq!(
                parts(full),
                Some((first.to_owned(), last.to_owned())),
                "{full}"
            );
        }
        for full in ["Lovelace", "", "田中太郎"] {
            assert_eq!(parts(full), None, "{full}");
        }
    }

    #[test]
    fn choices_are_found_by_label_in_any_case() {
        assert_eq!(map(&[("rating", " hot ")]).values["Rating"], "Hot");
    }

    #[test]
    fn the_first_value_of_a_lead_field_wins() {
        let mut fields = vec![Field::answer("a", "One"), Field::answer("b", "Two")];
        fields[0].aliases = vec!["lastname".into()];
        fields[1].aliases = vec!["lastname".into()];
        let schema = schema();
        let mappings = BTreeMap::from([(
            "lastname".to_owned(),
            FieldMapping {
                name: "lastname".into(),
                lead_field: "LastName".into(),
                created_at: Millis(0),
                updated_at: Millis(0),
            },
        )]);
        let lead = map_submission(
            &fields,
            MappingContext {
                mappings: &mappings,
                schema: &schema,
                region: None,
                placeholder: "-",
                form_name: "",
            },
        );
        assert_eq!(lead.values["LastName"], "One");
        assert_eq!(lead.report[1].outcome, FieldOutcome::LeftOut);
    }

    #[test]
    fn numbers_as_people_write_them() {
        let check = |text: &str, expected: Option<f64>| {
            assert_eq!(parse_number(text).ok(), expected, "{text:?}");
        };
        check("1234.5", Some(1234.5));
        check("1,234.50", Some(1234.5));
        check("1.234,50", Some(1234.5));
        check("1 234,5", Some(1234.5));
        check("1,234", Some(1234.0));
        check("0,5", Some(0.5));
        check("€ 1,200,000", Some(1_200_000.0));
        check("-3", Some(-3.0));
        check("50%", Some(50.0));
        for bad in [
            "",
            "abc",
            "1,23,4",
            "1..2",
            ".",
            "--1",
            "1e9",
            "99999999999999999999",
            "NaN",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn dates_have_one_reading_or_none() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(parse_date(text).ok().as_deref(), expected, "{text:?}");
        };
        check("2026-03-31", Some("2026-03-31"));
        check("2026-03-31T23:30:00-08:00", Some("2026-03-31"));
        check("31.3.2026", Some("2026-03-31"));
        check("31/03/2026", Some("2026-03-31"));
        check("03/31/2026", Some("2026-03-31"));
        check("04/04/2026", Some("2026-04-04"));
        check("03/04/2026", None);
        check("2026-02-30", None);
        check("tomorrow", None);
    }

    proptest! {
        #[test]
        fn what_is_mapped_is_what_was_typed(choices in proptest::collection::vec(any::<u8>(), 0..24)) {
            let typed = crate::testing::hostile(&choices);
            for (field_type, one_line) in [
                (FieldType::Text { max_length: 100_000 }, true),
                (FieldType::LongText { max_length: 100_000 }, false),
                (FieldType::Picklist { options: vec![], restricted: false, numeric: false }, true),
            ] {
                let field = field("F", field_type, false);
                let (value, remark) = convert(&typed, &field, None).unwrap();
                let value = value.as_str().unwrap();
                prop_assert_eq!(crate::testing::visible(value), crate::testing::visible(&typed));
                prop_assert!(!value.contains(|c: char| c.is_control() && (one_line || !"\t\n\r".contains(c))), "{:?}", value);
                prop_assert!(!one_line || value.split_whitespace().collect::<Vec<_>>().join(" ") == value);
                // Without a remark, only white space may have changed.
                let spaceless = |text: &str| text.split_whitespace().collect::<String>();
                prop_assert!(remark.is_some() || spaceless(value) == spaceless(&typed));
                let again = convert(value, &field, None).unwrap().0;
                prop_assert_eq!(again.as_str(), Some(value));
            }
        }

        #[test]
        fn any_text_maps_without_panic_and_within_limits(text in "\\PC{0,200}") {
            let lead = map(&[("lastname", &text), ("email", &text), ("phone", &text), ("employees", &text), ("event__c", &text), ("rating", &text)]);
            let name = lead.values["LastName"].as_str().unwrap();
            prop_assert!(name.encode_utf16().count() <= 10);
            prop_assert!(!name.is_empty());
            if let Some(rating) = lead.values.get("Rating") { prop_assert!(*rating == json!("Hot") || *rating == json!("Warm")); }
        }
    }
}
