//! ROI: the opportunities that Leadbridge sourced and influenced, and the figures about them (RO-1).
//!
//! An opportunity is *sourced* if one of its people came in by a form, or was created by a seat holder through
//! Leadbridge, before it was opened. It is *influenced* if an activity, a list save or a form response touches
//! one of its people from so many days before it was opened until it was closed. Money is summed as decimals,
//! in one currency, by the imported rates; an amount without a rate is told, never guessed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use super::directory::RecordRef;
use super::ids::{InvalidId, SeatId};
use super::linked_record::Values;
use super::opportunity::Opportunity;
use super::schema::CrmKind;
use super::submission::SourceKind;
use super::vocabulary::{Role, vocabulary};
use crate::clock::Millis;

/// The days before an opportunity was opened in which a touch counts, unless another number is asked for.
pub const USUAL_DAYS: u32 = 90;
/// Maximum number of those days.
pub const MOST_DAYS: u32 = 365;
/// Maximum number of touches that are kept of an opportunity: the latest that influences it, which counts in every
/// window in which an earlier one does, those that source it, and the latest of the others.
pub const MOST_TOUCHES: usize = 40;
/// Counts the rules by which touches are found; a change has every opportunity looked at again.
pub const RULES: u32 = 2;

const DAY: i64 = 24 * 3600;
/// Millionths of one.
const SCALE: i128 = 1_000_000;
/// Decimal places of an amount.
const PLACES: usize = 6;
/// Decimal places of a rate.
const RATE_PLACES: usize = 10;

/// A decimal text as a whole number of its last decimal place; further places are rounded half away from zero.
/// `None` if it is no such text, or too large.
fn decimal(text: &str, places: usize) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let kept: String = fraction.chars().take(places).collect();
    let mut number: i128 = format!("{whole}{kept:0<places$}").parse().ok()?;
    let next = fraction.as_bytes().get(places);
    if next.is_some_and(|digit| *digit >= b'5') {
        number = number.checked_add(1)?;
    }
    Some(if negative { -number } else { number })
}

/// The digits of a number without an exponent. Its text has the fewest digits that give the number: those that
/// the CRM wrote; but a small or large one is written as `9.5e-6`.
fn digits_of(number: &Number) -> Option<String> {
    let text = number.to_string();
    if text.contains(['e', 'E']) {
        return Some(number.as_f64()?.to_string());
    }
    Some(text)
}

/// An amount of money, in millionths of its currency. Written as a decimal text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Money(i128);

impl Money {
    /// The amount of a number of the mirror; `None` for what is no plain number.
    #[must_use]
    pub fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Number(number) => digits_of(number)?.parse().ok(),
            _ => None,
        }
    }

    /// The sum of both; `None` if it is too large.
    #[must_use]
    pub const fn plus(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// The amount times `to` by `from`, rounded half away from zero; `None` if a rate is not positive, or the
    /// amount is too large.
    fn at(self, from: i128, to: i128) -> Option<Self> {
        if from <= 0 || to <= 0 {
            return None;
        }
        let product = self.0.checked_mul(to)?;
        let half = if product < 0 { -(from / 2) } else { from / 2 };
        Some(Self(product.checked_add(half)? / from))
    }

    /// The text with two decimal places, rounded half away from zero.
    #[must_use]
    pub fn to_cents(self) -> String {
        const CENT: i128 = SCALE / 100;
        let sign = if self.0 < 0 { "-" } else { "" };
        let cents = (self.0.abs() + CENT / 2) / CENT;
        if cents == 0 {
            return "0.00".to_owned();
        }
        format!("{sign}{}.{:02}", cents / 100, cents % 100)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, fraction) = (self.0.abs() / SCALE, self.0.abs() % SCALE);
        let text = format!("{sign}{whole}.{fraction:06}");
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl FromStr for Money {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        decimal(text, PLACES)
            .map(Self)
            .ok_or(InvalidId("amount of money"))
    }
}

impl Serialize for Money {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The rate of a currency: units of it for one of the organisation's own currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// The rate, as a decimal text.
    pub rate: String,
    /// Time of the CRM's last change to it.
    #[serde(default)]
    pub at: Option<Millis>,
}

/// The imported rates, by ISO 4217 code.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rates(pub BTreeMap<String, Rate>);

impl Rates {
    /// The currency of these values of a record and its rate; `None` if there is none.
    #[must_use]
    pub fn of(crm: CrmKind, values: &Values, modified: Option<Millis>) -> Option<(String, Rate)> {
        let (code, rate) = match crm {
            CrmKind::Salesforce => ("IsoCode", "ConversionRate"),
            CrmKind::Dynamics365 => ("isocurrencycode", "exchangerate"),
        };
        let code = values.get(code)?.as_str()?.to_owned();
        let Value::Number(rate) = values.get(rate)? else {
            return None;
        };
        let rate = digits_of(rate)?;
        decimal(&rate, RATE_PLACES).filter(|rate| *rate > 0)?;
        Some((code, Rate { rate, at: modified }))
    }

    fn rate(&self, code: &str) -> Option<i128> {
        decimal(&self.0.get(code)?.rate, RATE_PLACES)
    }

    /// An amount in another currency; `None` without the rates for it. An amount without a currency is of an
    /// organisation with one.
    #[must_use]
    pub fn convert(&self, amount: Money, from: Option<&str>, to: &str) -> Option<Money> {
        match from {
            Some(from) if from != to => amount.at(self.rate(from)?, self.rate(to)?),
            _ => Some(amount),
        }
    }
}

/// The outcome of an opportunity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema), schema(as = OpportunityOutcome))]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is neither won nor lost.
    Open,
    /// It was won.
    Won,
    /// It was lost.
    Lost,
}

/// The facts of an opportunity that figures are made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The CRM's id of the opportunity.
    pub id: String,
    /// The CRM's id of its owner.
    #[serde(default)]
    pub owner: Option<String>,
    /// Time of its creation in the CRM.
    pub opened: Millis,
    /// The end of the day on which it was closed; `None` while it is open.
    #[serde(default)]
    pub closed: Option<Millis>,
    /// Its outcome.
    pub outcome: Outcome,
    /// Its value, in its currency.
    #[serde(default)]
    pub amount: Option<Money>,
    /// Its currency: an ISO 4217 code; `None` in an organisation with one.
    #[serde(default)]
    pub currency: Option<String>,
}

fn instant(values: &Values, field: &str) -> Option<Millis> {
    let at: Timestamp = values.get(field)?.as_str()?.parse().ok()?;
    Some(Millis(at.as_millisecond()))
}

/// The last millisecond of a day in UTC.
fn end_of(day: &str) -> Option<Millis> {
    let day: Date = day.get(..10)?.parse().ok()?;
    let start = day.to_zoned(TimeZone::UTC).ok()?.timestamp();
    Some(Millis(start.as_millisecond() + DAY * 1000 - 1))
}

/// The time at which an opportunity of these values was opened: its creation in the CRM.
#[must_use]
pub fn opened(crm: CrmKind, values: &Values) -> Option<Millis> {
    instant(values, vocabulary(crm).opportunity.named(Role::Created))
}

impl Facts {
    /// The facts of an opportunity of these values, with the value of a won one from `value_field`, if that is
    /// imported, or else from the CRM's usual field. `codes` names currencies that are kept as ids. `None` for
    /// one without a time of creation.
    #[must_use]
    pub fn of(
        crm: CrmKind,
        opportunity: &Opportunity,
        values: &Values,
        value_field: Option<&str>,
        codes: &BTreeMap<String, String>,
    ) -> Option<Self> {
        let spec = vocabulary(crm).opportunity;
        let opened = opened(crm, values)?;
        let won = match crm {
            CrmKind::Salesforce => values.get("IsWon").and_then(Value::as_bool) == Some(true),
            CrmKind::Dynamics365 => values.get("statecode").and_then(Value::as_i64) == Some(1),
        };
        let outcome = match (opportunity.open, won) {
            (true, _) => Outcome::Open,
            (false, true) => Outcome::Won,
            (false, false) => Outcome::Lost,
        };
        let day = match crm {
            CrmKind::Salesforce => opportunity.closes_on.as_deref(),
            CrmKind::Dynamics365 => values.get("actualclosedate").and_then(Value::as_str),
        };
        let closed = day.or(opportunity.closes_on.as_deref()).and_then(end_of);
        let usual = spec.named(Role::Amount);
        let of_won = match (value_field, crm) {
            (Some(field), _) => field,
            (None, CrmKind::Salesforce) => usual,
            (None, CrmKind::Dynamics365) => "actualvalue",
        };
        let amount = |field: &str| values.get(field).and_then(Money::of);
        let of_won = amount(of_won).filter(|_| outcome == Outcome::Won);
        let currency = opportunity.currency.as_ref();
        Some(Self {
            id: opportunity.id.clone(),
            owner: opportunity.owner.clone(),
            opened,
            // An opportunity that is closed, but on no day, counts touches of any time.
            closed: closed.filter(|_| outcome != Outcome::Open),
            outcome,
            amount: of_won.or_else(|| amount(usual)),
            currency: currency.map(|named| codes.get(named).unwrap_or(named).clone()),
        })
    }
}

/// The kind of a touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum TouchKind {
    /// The person came in by a form: its response created the lead or contact.
    CameInByForm,
    /// A seat holder created the lead or contact through Leadbridge.
    CreatedByUser,
    /// A form response was joined to the lead.
    Submission,
    /// A seat holder logged an activity.
    Activity,
    /// A seat holder saved the person to a list.
    ListSave,
}

impl TouchKind {
    /// True for a touch that sources an opportunity that was opened after it.
    #[must_use]
    pub const fn sources(self) -> bool {
        matches!(self, Self::CameInByForm | Self::CreatedByUser)
    }

    /// True for a touch that influences an opportunity in whose window it is. The response that brought a
    /// person in is one of a form, too.
    #[must_use]
    pub const fn influences(self) -> bool {
        !matches!(self, Self::CreatedByUser)
    }

    /// The name in figures by source, where no form is behind it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CameInByForm => "came_in_by_form",
            Self::CreatedByUser => "created_by_user",
            Self::Submission => "submission",
            Self::Activity => "activity",
            Self::ListSave => "list_save",
        }
    }
}

/// A reason: something by which Leadbridge touched one of an opportunity's people.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Touch {
    /// Time of it.
    pub at: Millis,
    /// Its kind.
    pub kind: TouchKind,
    /// Its id: of the submission, of the activity, of the list, or of the entry of the directory.
    pub id: String,
    /// The record of the person.
    pub record: RecordRef,
    /// The seat holder.
    #[serde(default)]
    pub seat: Option<SeatId>,
    /// The source of the submission.
    #[serde(default)]
    pub source: Option<SourceKind>,
    /// The id of the submission's form.
    #[serde(default)]
    pub form: Option<String>,
    /// The campaign of the submission.
    #[serde(default)]
    pub campaign: Option<String>,
}

/// An opportunity with the reasons for which it can count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribution {
    /// The opportunity.
    pub facts: Facts,
    /// Time since which the opportunity has these facts, as far as runs saw it.
    pub since: Millis,
    /// The touches, the earliest first; at most [`MOST_TOUCHES`].
    #[serde(default)]
    pub touches: Vec<Touch>,
}

/// The time for which a closed opportunity is looked at again, in seconds: people are linked and activities are
/// sent in late. After it nothing but a change of the opportunity itself changes its attribution.
const SETTLES_AFTER: i64 = 7 * DAY;

impl Attribution {
    /// The attribution of an opportunity by these touches. Those that can count by no definition are left out.
    #[must_use]
    pub fn new(facts: Facts, since: Millis, touches: impl IntoIterator<Item = Touch>) -> Self {
        let from = facts.opened.plus_seconds(-i64::from(MOST_DAYS) * DAY);
        let sources = |touch: &Touch| touch.kind.sources() && touch.at <= facts.opened;
        let influences = |touch: &Touch| {
            let in_time = touch.at >= from && facts.closed.is_none_or(|end| touch.at <= end);
            touch.kind.influences() && in_time
        };
        let touches = touches.into_iter();
        let touches: BTreeSet<Touch> = touches
            .filter(|touch| sources(touch) || influences(touch))
            .collect();
        let influencing = touches.iter().filter(|touch| influences(touch));
        let latest = influencing.max_by_key(|touch| touch.at).cloned();
        let mut touches: Vec<Touch> = touches.into_iter().collect();
        // The earliest that source it go before the latest of the others.
        touches.sort_by_key(|touch| {
            let first = sources(touch);
            (!first, if first { touch.at.0 } else { -touch.at.0 })
        });
        touches.truncate(MOST_TOUCHES);
        // It decides whether the opportunity is influenced, however many source it.
        if let Some(latest) = latest.filter(|latest| !touches.contains(latest)) {
            touches.pop();
            touches.push(latest);
        }
        touches.sort();
        Self {
            facts,
            since,
            touches,
        }
    }

    /// True if a run need not look at an opportunity of these facts again.
    #[must_use]
    pub fn is_settled(&self, facts: &Facts, now: Millis) -> bool {
        let closed = facts.outcome != Outcome::Open && self.facts == *facts;
        closed && self.since.plus_seconds(SETTLES_AFTER) <= now
    }

    /// The reasons for which it is sourced.
    pub fn sourced(&self) -> impl Iterator<Item = &Touch> {
        let opened = self.facts.opened;
        let touches = self.touches.iter();
        touches.filter(move |touch| touch.kind.sources() && touch.at <= opened)
    }

    /// The reasons for which it is influenced, in a window of so many days before it was opened.
    pub fn influenced(&self, days: u32) -> impl Iterator<Item = &Touch> {
        let from = self.facts.opened.plus_seconds(-i64::from(days) * DAY);
        let until = self.facts.closed;
        self.touches.iter().filter(move |touch| {
            let in_time = touch.at >= from && until.is_none_or(|until| touch.at <= until);
            touch.kind.influences() && in_time
        })
    }

    /// The reason by which it is put into a group: the first that sources it, else the first that influences it.
    fn first(&self, days: u32) -> Option<&Touch> {
        self.sourced()
            .next()
            .or_else(|| self.influenced(days).next())
    }

    /// True if it counts among those of a part.
    #[must_use]
    pub fn is_in(&self, part: Part, days: u32) -> bool {
        match part {
            Part::All => true,
            Part::Sourced => self.sourced().next().is_some(),
            Part::Influenced => self.influenced(days).next().is_some(),
            Part::Others => self.first(days).is_none(),
        }
    }
}

/// A part of the opportunities. One that is sourced can be influenced too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema), schema(as = RoiPart))]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// All of them.
    All,
    /// Those that are sourced.
    Sourced,
    /// Those that are influenced.
    Influenced,
    /// Those that are neither.
    Others,
}

/// The length of a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema), schema(as = RoiPeriod))]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// A month.
    Month,
    /// A quarter of a year.
    #[default]
    Quarter,
    /// A year.
    Year,
}

impl Period {
    /// The name of the period of a time, in UTC: `2026-11`, `2026-Q4` or `2026`.
    #[must_use]
    pub fn name_of(self, at: Millis) -> String {
        let at = Timestamp::from_millisecond(at.0).unwrap_or_default();
        let day = at.to_zoned(TimeZone::UTC).date();
        match self {
            Self::Month => month(day),
            Self::Quarter => format!("{:04}-Q{}", day.year(), (day.month() + 2) / 3),
            Self::Year => format!("{:04}", day.year()),
        }
    }
}

fn month(day: Date) -> String {
    format!("{:04}-{:02}", day.year(), day.month())
}

/// The name of the month of a time, in UTC: `2026-11`.
#[must_use]
pub fn month_of(at: Millis) -> String {
    Period::Month.name_of(at)
}

/// The month that is so many months before another, both written as `2026-11`; the same for what is no month.
#[must_use]
pub fn months_before(month: &str, back: i32) -> String {
    let number = |text: &str| text.parse::<i32>().ok();
    let parts = month.split_once('-');
    let parts = parts.and_then(|(year, of_year)| Some((number(year)?, number(of_year)?)));
    let Some((year, of_year)) = parts else {
        return month.to_owned();
    };
    let months = year * 12 + of_year - 1 - back;
    format!(
        "{:04}-{:02}",
        months.div_euclid(12),
        months.rem_euclid(12) + 1
    )
}

/// The first and the last day of a report, unless others are asked for: all of last year, and this one until
/// today.
#[must_use]
pub fn usual_days(now: Millis) -> (String, String) {
    let today = Timestamp::from_millisecond(now.0).unwrap_or_default();
    let today = today.to_zoned(TimeZone::UTC).date();
    (format!("{:04}-01-01", today.year() - 1), today.to_string())
}

/// True for a day of the calendar, `YYYY-MM-DD`.
#[must_use]
pub fn is_day(text: &str) -> bool {
    // In other spellings its text does not have the order of the days.
    let day = text.parse::<Date>();
    text.len() == 10 && day.is_ok_and(|day| day.to_string() == text)
}

/// The subject that figures are divided by within a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema), schema(as = RoiBy))]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// By nothing.
    #[default]
    Nothing,
    /// By the opportunity's owner in the CRM.
    Owner,
    /// By the source of the first reason: where the form is, or the kind of act.
    Source,
    /// By the form of the first reason.
    Form,
    /// By the campaign of the first reason.
    Campaign,
}

/// The definitions of a report, with their parameters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct RoiQuestion {
    /// The length of the periods. An opportunity is in the period in which it was opened.
    pub period: Period,
    /// The first day, `YYYY-MM-DD`, in UTC.
    pub from: String,
    /// The last day.
    pub to: String,
    /// The unit by which the figures of a period are divided.
    pub by: By,
    /// The days before an opportunity was opened in which a touch influences it.
    pub days_before: u32,
    /// The currency of the sums, an ISO 4217 code.
    pub currency: String,
}

impl RoiQuestion {
    /// True if an opportunity was opened in its days.
    #[must_use]
    pub fn covers(&self, attribution: &Attribution) -> bool {
        let at = Timestamp::from_millisecond(attribution.facts.opened.0).unwrap_or_default();
        let day = at.to_zoned(TimeZone::UTC).date().to_string();
        self.from <= day && day <= self.to
    }

    /// The period and the group that an opportunity counts in. A group without a name is of those that have none.
    #[must_use]
    pub fn place_of(&self, attribution: &Attribution) -> (String, String) {
        let period = self.period.name_of(attribution.facts.opened);
        let first = || attribution.first(self.days_before);
        let group = match self.by {
            By::Nothing => None,
            By::Owner => attribution.facts.owner.clone(),
            By::Source => first().map(|touch| match touch.source {
                Some(source) => source.as_str().to_owned(),
                None => touch.kind.as_str().to_owned(),
            }),
            By::Form => first().and_then(|touch| touch.form.clone()),
            By::Campaign => first().and_then(|touch| touch.campaign.clone()),
        };
        (period, group.unwrap_or_default())
    }
}

/// The figures of some opportunities.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct RoiFigures {
    /// Their number.
    pub opportunities: u64,
    /// Number of those that are open.
    pub open: u64,
    /// Number of those that were won.
    pub won: u64,
    /// Number of those that were lost.
    pub lost: u64,
    /// The value of all, a decimal text with two places.
    #[cfg_attr(feature = "http-api", schema(value_type = String))]
    pub value: Cents,
    /// The value of those that are open.
    #[cfg_attr(feature = "http-api", schema(value_type = String))]
    pub open_value: Cents,
    /// The value of those that were won.
    #[cfg_attr(feature = "http-api", schema(value_type = String))]
    pub won_value: Cents,
    /// The share of those won in those closed, in thousandths; `null` if none is closed.
    pub win_permille: Option<u64>,
    /// Number of those without a value.
    pub without_amount: u64,
    /// Number of those whose value is in no sum, as a rate is missing.
    pub without_rate: u64,
}

/// A sum of money, shown with two decimal places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cents(pub Money);

impl Serialize for Cents {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_cents())
    }
}

impl<'de> Deserialize<'de> for Cents {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Money::deserialize(deserializer).map(Self)
    }
}

impl RoiFigures {
    fn add(&mut self, facts: &Facts, rates: &Rates, currency: &str) {
        self.opportunities += 1;
        match facts.outcome {
            Outcome::Open => self.open += 1,
            Outcome::Won => self.won += 1,
            Outcome::Lost => self.lost += 1,
        }
        let closed = self.won + self.lost;
        // Rounded to the nearest.
        self.win_permille = (self.won * 1000 + closed / 2).checked_div(closed);
        let Some(amount) = facts.amount else {
            self.without_amount += 1;
            return;
        };
        let converted = rates.convert(amount, facts.currency.as_deref(), currency);
        let sum = converted.and_then(|amount| Some((amount, self.value.0.plus(amount)?)));
        let Some((amount, sum)) = sum else {
            self.without_rate += 1;
            return;
        };
        self.value.0 = sum;
        let part = match facts.outcome {
            Outcome::Open => &mut self.open_value,
            Outcome::Won => &mut self.won_value,
            Outcome::Lost => return,
        };
        part.0 = part.0.plus(amount).unwrap_or(part.0);
    }
}

/// The figures of a period and group.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct RoiRow {
    /// The period: `2026-11`, `2026-Q4` or `2026`; empty for all.
    pub period: String,
    /// The group within it: the CRM's id of the owner, the source, the form's id or the campaign; empty without.
    pub group: String,
    /// The group's name for people.
    #[serde(default)]
    pub name: Option<String>,
    /// Of all opportunities.
    pub all: RoiFigures,
    /// Of those that are sourced.
    pub sourced: RoiFigures,
    /// Of those that are influenced.
    pub influenced: RoiFigures,
    /// Of those that are neither.
    pub others: RoiFigures,
}

impl RoiRow {
    fn add(&mut self, attribution: &Attribution, question: &RoiQuestion, rates: &Rates) {
        let parts = [
            (Part::All, &mut self.all),
            (Part::Sourced, &mut self.sourced),
            (Part::Influenced, &mut self.influenced),
            (Part::Others, &mut self.others),
        ];
        for (part, figures) in parts {
            if attribution.is_in(part, question.days_before) {
                figures.add(&attribution.facts, rates, &question.currency);
            }
        }
    }
}

/// The figures that answer a question: of all, and of each period and group, in their order.
#[must_use]
pub fn figures<'a>(
    attributions: impl IntoIterator<Item = &'a Attribution>,
    question: &RoiQuestion,
    rates: &Rates,
) -> (RoiRow, Vec<RoiRow>) {
    let mut total = RoiRow::default();
    let mut rows: BTreeMap<(String, String), RoiRow> = BTreeMap::new();
    for attribution in attributions {
        if !question.covers(attribution) {
            continue;
        }
        let place = question.place_of(attribution);
        let row = rows.entry(place.clone()).or_insert_with(|| RoiRow {
            period: place.0,
            group: place.1,
            ..RoiRow::default()
        });
        row.add(attribution, question, rates);
        total.add(attribution, question, rates);
    }
    (total, rows.into_values().collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const OPENED: Millis = Millis(1_790_000_000_000);

    fn money(text: &str) -> Money {
        text.parse().unwrap()
    }

    fn facts(outcome: Outcome, amount: &str, currency: &str) -> Facts {
        Facts {
            id: "006".to_owned(),
            owner: Some("005".to_owned()),
            opened: OPENED,
            closed: (outcome != Outcome::Open).then(|| OPENED.plus_seconds(10 * DAY)),
            outcome,
            amount: Some(money(amount)),
            currency: Some(currency.to_owned()),
        }
    }

    fn touch(kind: TouchKind, days: i64) -> Touch {
        Touch {
            at: OPENED.plus_seconds(days * DAY),
            kind,
            id: "a".to_owned(),
            record: RecordRef::new("Contact", "003"),
            seat: None,
            source: None,
            form: None,
            campaign: None,
        }
    }

    fn rates(of: &[(&str, &str)]) -> Rates {
        let rate = |rate: &str| Rate {
            rate: rate.to_owned(),
            at: Some(OPENED),
        };
        let of = of.iter();
        Rates(
            of.map(|(code, of)| ((*code).to_owned(), rate(of)))
                .collect(),
        )
    }

    fn question(days_before: u32) -> RoiQuestion {
        RoiQuestion {
            period: Period::Quarter,
            from: "2026-01-01".to_owned(),
            to: "2026-12-31".to_owned(),
            by: By::Nothing,
            days_before,
            currency: "EUR".to_owned(),
        }
    }

    #[test]
    fn a_touch_before_it_was_opened_sources_and_one_in_the_window_influences() {
        let of = |outcome, touches: &[Touch]| {
            let facts = facts(outcome, "5", "EUR");
            Attribution::new(facts, OPENED, touches.iter().cloned())
        };
        for (kind, day, outcome, sourced, influenced) in [
            (TouchKind::CameInByForm, -200, Outcome::Open, true, false),
            (TouchKind::CameInByForm, -20, Outcome::Open, true, true),
            (TouchKind::CameInByForm, 1, Outcome::Open, false, true),
            (TouchKind::CreatedByUser, -20, Outcome::Won, true, false),
            (TouchKind::CreatedByUser, 1, Outcome::Won, false, false),
            (TouchKind::Activity, -90, Outcome::Won, false, true),
            (TouchKind::Activity, -91, Outcome::Won, false, false),
            (TouchKind::ListSave, 10, Outcome::Lost, false, true),
            (TouchKind::ListSave, 11, Outcome::Lost, false, false),
            (TouchKind::Submission, 400, Outcome::Open, false, true),
        ] {
            let one = of(outcome, &[touch(kind, day)]);
            assert_eq!(one.is_in(Part::Sourced, 90), sourced, "{kind:?} {day}");
            assert_eq!(
                one.is_in(Part::Influenced, 90),
                influenced,
                "{kind:?} {day}"
            );
            let neither = !sourced && !influenced;
            assert_eq!(one.is_in(Part::Others, 90), neither, "{kind:?} {day}");
        }
        let wider = of(Outcome::Won, &[touch(TouchKind::Activity, -91)]);
        assert!(wider.is_in(Part::Influenced, 91));
    }

    #[test]
    fn a_closed_opportunity_settles_after_a_week_and_an_open_one_never() {
        let (won, open) = (
            facts(Outcome::Won, "5", "EUR"),
            facts(Outcome::Open, "5", "EUR"),
        );
        let week = OPENED.plus_seconds(SETTLES_AFTER);
        let of_won = Attribution::new(won.clone(), OPENED, []);
        assert!(of_won.is_settled(&won, week) && !of_won.is_settled(&won, OPENED));
        assert!(!of_won.is_settled(&open, week), "it was opened again");
        assert!(!Attribution::new(open.clone(), OPENED, []).is_settled(&open, week));
    }

    #[test]
    fn of_many_touches_those_are_kept_that_decide() {
        let many = (0..300).map(|day| touch(TouchKind::Activity, -day));
        let first = touch(TouchKind::CameInByForm, -2000);
        let one = Attribution::new(
            facts(Outcome::Open, "5", "EUR"),
            OPENED,
            many.chain([first]),
        );
        assert_eq!(one.touches.len(), MOST_TOUCHES);
        assert!(one.is_in(Part::Sourced, 0) && one.is_in(Part::Influenced, 0));
        let forms = (400..500).map(|day| touch(TouchKind::CameInByForm, -day));
        let act = touch(TouchKind::Activity, -10);
        let one = Attribution::new(facts(Outcome::Open, "5", "EUR"), OPENED, forms.chain([act]));
        assert_eq!(one.touches.len(), MOST_TOUCHES);
        assert!(one.is_in(Part::Sourced, 0) && one.is_in(Part::Influenced, 10));
    }

    #[test]
    fn values_are_summed_in_one_currency_and_without_a_rate_told() {
        let rates = rates(&[("USD", "1"), ("EUR", "0.8"), ("JPY", "150")]);
        let of = |outcome, amount, currency| {
            let touches = [touch(TouchKind::Activity, 0)];
            Attribution::new(facts(outcome, amount, currency), OPENED, touches)
        };
        let all = [
            of(Outcome::Won, "100.10", "USD"),
            of(Outcome::Lost, "3000", "JPY"),
            of(Outcome::Open, "0.005", "EUR"),
            of(Outcome::Won, "7", "CHF"),
        ];
        let (total, rows) = figures(&all, &question(90), &rates);
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].period, "2026-Q3");
        assert_eq!(total.influenced, rows[0].all);
        let all = &total.all;
        assert_eq!(
            (all.opportunities, all.open, all.won, all.lost),
            (4, 1, 2, 1)
        );
        assert_eq!(all.win_permille, Some(667));
        assert_eq!(all.without_rate, 1);
        // 80.08 + 16 + 0.005
        assert_eq!(all.value.0.to_cents(), "96.09");
        assert_eq!(all.won_value.0, money("80.08"));
        assert_eq!(total.others, RoiFigures::default());
    }

    #[test]
    fn facts_are_read_of_both_crms() {
        let values = |json: Value| match json {
            Value::Object(values) => values,
            _ => Values::new(),
        };
        let salesforce = values(json!({
            "OwnerId": "005", "Amount": 10.5, "IsClosed": true, "IsWon": true, "CloseDate": "2026-09-30",
            "CreatedDate": "2026-09-01T00:00:00.000Z", "CurrencyIsoCode": "EUR",
        }));
        let crm = CrmKind::Salesforce;
        let none = BTreeMap::new();
        let one = Opportunity::of(crm, "006", &salesforce);
        let one = Facts::of(crm, &one, &salesforce, Some("Unheard__c"), &none).unwrap();
        assert_eq!(one.amount, Some(money("10.5")));
        assert_eq!(
            (one.outcome, one.currency.as_deref()),
            (Outcome::Won, Some("EUR"))
        );
        assert_eq!(one.closed.unwrap().to_string(), "2026-09-30T23:59:59.999Z");
        let dynamics = values(json!({
            "estimatedvalue": 5, "actualvalue": 7, "statecode": 1, "actualclosedate": "2026-10-01",
            "createdon": "2026-09-01T00:00:00Z", "_transactioncurrencyid_value": "c",
        }));
        let crm = CrmKind::Dynamics365;
        let codes = BTreeMap::from([("c".to_owned(), "USD".to_owned())]);
        let one = Opportunity::of(crm, "o", &dynamics);
        let one = Facts::of(crm, &one, &dynamics, None, &codes).unwrap();
        assert_eq!(
            (one.amount, one.currency.as_deref()),
            (Some(money("7")), Some("USD"))
        );
        let open = values(
            json!({"createdon": "2026-09-01T00:00:00Z", "estimatedvalue": 5, "actualvalue": 7}),
        );
        let one = Opportunity::of(crm, "o", &open);
        let one = Facts::of(crm, &one, &open, None, &codes).unwrap();
        assert_eq!(
            (one.amount, one.closed, one.outcome),
            (Some(money("5")), None, Outcome::Open)
        );
    }

    #[test]
    fn periods_have_names() {
        let at: Timestamp = "2026-12-31T23:59:59Z".parse().unwrap();
        let at = Millis(at.as_millisecond());
        let names = [Period::Month, Period::Quarter, Period::Year].map(|period| period.name_of(at));
        assert_eq!(names, ["2026-12", "2026-Q4", "2026"]);
    }

    #[test]
    fn numbers_that_are_written_with_an_exponent_are_read() {
        assert_eq!(Money::of(&json!(2e16)), Some(money("20000000000000000")));
        let Value::Object(values) = json!({"IsoCode": "EUR", "ConversionRate": 0.000_009_5}) else {
            unreachable!("an object");
        };
        let (code, rate) = Rates::of(CrmKind::Salesforce, &values, None).unwrap();
        assert_eq!((code.as_str(), rate.rate.as_str()), ("EUR", "0.0000095"));
    }

    #[test]
    fn amounts_that_are_no_plain_decimals_are_none() {
        for text in ["", ".", "1.", "x", "1e5", "+1", "1_0", "--1", "1.2.3"] {
            let expected = (text == "1.").then(|| money("1"));
            assert_eq!(text.parse::<Money>().ok(), expected, "{text}");
        }
        assert_eq!(money("-0.0000005").to_string(), "-0.000001");
        assert_eq!(money("-0.001").to_cents(), "0.00");
    }

    #[test]
    fn months_are_counted_back_over_years() {
        for (month, back, before) in [
            ("2026-11", 0, "2026-11"),
            ("2026-11", 10, "2026-01"),
            ("2026-01", 1, "2025-12"),
            ("2026-01", 25, "2023-12"),
            ("none", 1, "none"),
        ] {
            assert_eq!(super::months_before(month, back), before, "{month} {back}");
        }
    }

    proptest! {
        #[test]
        fn an_amount_is_written_as_it_was_read(units in -1_000_000_000_000_i64..1_000_000_000_000, fraction in 0..1_000_000_u32) {
            let text = format!("{units}.{fraction:06}");
            let read = money(&text);
            prop_assert_eq!(money(&read.to_string()), read);
            let json = serde_json::to_string(&read).unwrap();
            prop_assert_eq!(serde_json::from_str::<Money>(&json).unwrap(), read);
        }

        #[test]
        fn a_conversion_there_and_back_loses_less_than_a_cent(cents in 0..1_000_000_000_000_i64, rate in 1..5_000_u32) {
            let eur = format!("{}.{:03}", rate / 1000, rate % 1000);
            let rates = rates(&[("USD", "1"), ("EUR", eur.as_str())]);
            let amount = money(&format!("{}.{:02}", cents / 100, cents % 100));
            let there = rates.convert(amount, Some("USD"), "EUR").unwrap();
            let back = rates.convert(there, Some("EUR"), "USD").unwrap();
            prop_assert!((back.0 - amount.0).abs() <= SCALE / 100);
        }
    }
}
