//! ROI: figures about the opportunities that Leadbridge sourced and influenced, the opportunities behind each
//! figure, and reports that are kept (RO-1).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shared::clock::Millis;
use shared::crm_users::CrmUsers;
use shared::domain::contract::ContractConfig;
use shared::domain::crm_settings::RoiReporting;
use shared::domain::directory::RecordRef;
use shared::domain::ids::ContractId;
use shared::domain::roi::{
    self, Attribution, By, Money, Outcome, Part, Period, Rates, RoiQuestion, RoiRow, Touch,
    TouchKind,
};
use shared::domain::role::Role;
use shared::domain::submission::SourceKind;
use shared::domain::vocabulary::vocabulary;
use shared::opportunities::Opportunities;
use shared::problem::Problem;
use shared::store::{KeptReport, RoiState};
use utoipa::{IntoParams, ToSchema};

use super::super::submissions::{invalid_cursor, page_size};
use super::shapes::{Badge, RecordOwner};
use super::show::{ENVIRONMENT, View};
use crate::App;
use crate::auth::{Caller, ManageContract, ReadRoi};
use crate::described::{Routes, routes};
use crate::extract::{Json, Path, Query};

/// Maximum number of years that a report covers.
const MOST_YEARS: i16 = 5;
/// Maximum number of rows of a report that is kept.
const MOST_ROWS: usize = 300;
/// Longest name of a report, in characters.
const MAX_NAME: usize = 100;

pub(super) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(report))
        .routes(routes!(behind))
        .routes(routes!(list, keep))
        .routes(routes!(show))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ReportQuery {
    /// The length of the periods; a quarter unless given.
    period: Option<Period>,
    /// The first day, `YYYY-MM-DD`; that of last year unless given.
    from: Option<String>,
    /// The last day; today unless given.
    to: Option<String>,
    /// The unit by which the figures of a period are divided.
    by: Option<By>,
    /// The days before an opportunity was opened in which a touch influences it, 0 to 365; 90 unless given.
    days_before: Option<u32>,
    /// The currency of the sums, an ISO 4217 code; that of the settings unless given.
    currency: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct BehindQuery {
    /// As for the report.
    period: Option<Period>,
    /// As for the report.
    from: Option<String>,
    /// As for the report.
    to: Option<String>,
    /// As for the report.
    by: Option<By>,
    /// As for the report.
    days_before: Option<u32>,
    /// As for the report.
    currency: Option<String>,
    /// Of this period of the report only.
    in_period: Option<String>,
    /// Of this group of the report only; `-` for those without one.
    group: Option<String>,
    /// Of this part only.
    #[param(inline)]
    part: Option<Part>,
    /// Of this outcome only.
    outcome: Option<Outcome>,
    /// Items of a page, 1 to 200; 50 unless given.
    limit: Option<usize>,
    /// A page's `next`.
    cursor: Option<String>,
}

impl BehindQuery {
    /// True if an opportunity is behind the figure that is asked for.
    fn wants(&self, question: &RoiQuestion, one: &Attribution) -> bool {
        let (period, group) = question.place_of(one);
        self.part
            .is_none_or(|part| one.is_in(part, question.days_before))
            && self.in_period.as_ref().is_none_or(|of| *of == period)
            && self.group.as_ref().is_none_or(|of| is_group(of, &group))
            && self.outcome.is_none_or(|of| of == one.facts.outcome)
    }
}

#[derive(Serialize, ToSchema)]
struct CurrencyRate {
    /// ISO 4217.
    currency: String,
    /// Units of it for one of the organisation's own currency.
    rate: String,
    /// Time of the CRM's last change to the rate.
    #[schema(value_type = Option<i64>)]
    at: Option<Millis>,
}

/// A report with its definitions.
#[derive(Serialize, ToSchema)]
struct RoiReport {
    /// False while ROI reporting is off: then there are no figures.
    enabled: bool,
    /// The definitions.
    question: RoiQuestion,
    /// True if only the caller's own opportunities count.
    own: bool,
    /// The field with the value of won opportunities; `null` for the CRM's usual one.
    value_field: Option<String>,
    /// The rates by which values are converted.
    rates: Vec<CurrencyRate>,
    /// Time of the attributions; `null` before the first.
    #[schema(value_type = Option<i64>)]
    as_of: Option<Millis>,
    /// The figures of all.
    total: RoiRow,
    /// The figures of each period and group, in their order.
    rows: Vec<RoiRow>,
}

/// A reason for which an opportunity counts.
#[derive(Serialize, ToSchema)]
struct RoiReason {
    kind: TouchKind,
    #[schema(value_type = i64)]
    at: Millis,
    /// The person's record.
    record: Badge,
    /// The id of the submission or activity, or of the person in the directory.
    id: String,
    /// The seat holder's name.
    seat_name: Option<String>,
    /// The submission's source.
    source: Option<SourceKind>,
    /// The name of the submission's form, or its id.
    form: Option<String>,
    /// The submission's campaign.
    campaign: Option<String>,
    /// True if the opportunity is sourced by it.
    sources: bool,
    /// True if the opportunity is influenced by it.
    influences: bool,
}

/// An opportunity behind a figure.
#[derive(Serialize, ToSchema)]
struct RoiOpportunity {
    /// The opportunity in the CRM.
    record: Badge,
    /// Its name.
    name: String,
    owner: Option<RecordOwner>,
    /// The period of the report that it is in.
    period: String,
    /// Time of its creation in the CRM.
    #[schema(value_type = i64)]
    opened: Millis,
    /// The end of the day on which it was closed.
    #[schema(value_type = Option<i64>)]
    closed: Option<Millis>,
    outcome: Outcome,
    /// Its value, a decimal text.
    amount: Option<String>,
    /// The value's currency; `null` in an organisation with one.
    currency: Option<String>,
    /// Its value in the report's currency, with two decimal places; `null` without a rate.
    converted: Option<String>,
    sourced: bool,
    influenced: bool,
    /// The reasons, the earliest first.
    reasons: Vec<RoiReason>,
}

#[derive(Serialize, ToSchema)]
struct RoiOpportunities {
    /// The newest first.
    items: Vec<RoiOpportunity>,
    /// Give it as `cursor` for the next page; none after the last.
    next: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct KeepInput {
    /// The report's name, 1 to 100 characters.
    name: String,
    /// The definitions.
    question: RoiQuestion,
}

/// A report that was kept.
#[derive(Serialize, ToSchema)]
struct KeptRoiReport {
    id: String,
    name: String,
    /// Time of keeping.
    #[schema(value_type = i64)]
    at: Millis,
    /// The keeper: a token's id, or `seat:` and a seat's id.
    by: String,
    /// The report as it was then.
    report: RoiReport,
}

#[derive(Serialize, ToSchema)]
struct KeptRoiReports {
    /// The newest first.
    items: Vec<KeptRoiReport>,
    next: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct KeptQuery {
    /// A page's `next`.
    cursor: Option<String>,
}

fn invalid(field: &str, detail: impl Into<String>, next: &str) -> Problem {
    Problem::new(400, "invalid_report", detail, next).with_field(field)
}

/// The settings, if ROI reporting is on.
fn settings_of(config: &ContractConfig) -> Option<RoiReporting> {
    let settings = config.crm_settings(ENVIRONMENT).roi;
    settings.filter(|settings| settings.enabled)
}

fn turned_off() -> Problem {
    Problem::new(
        409,
        "roi_is_off",
        "ROI reporting is off.",
        "Have an administrator turn it on in the CRM's settings, and import once.",
    )
}

/// The checked definitions; what is not given is as usual.
fn question(
    query: ReportQuery,
    config: &ContractConfig,
    now: Millis,
) -> Result<RoiQuestion, Problem> {
    let settings = settings_of(config).ok_or_else(turned_off)?;
    let (first, today) = roi::usual_days(now);
    let question = RoiQuestion {
        period: query.period.unwrap_or_default(),
        from: query.from.unwrap_or(first),
        to: query.to.unwrap_or(today),
        by: query.by.unwrap_or_default(),
        days_before: query.days_before.unwrap_or(roi::USUAL_DAYS),
        currency: query.currency.or(settings.currency).unwrap_or_default(),
    };
    check(&question)?;
    Ok(question)
}

fn check(question: &RoiQuestion) -> Result<(), Problem> {
    let (from, to) = (&question.from, &question.to);
    for (field, day) in [("from", from), ("to", to)] {
        if !roi::is_day(day) {
            let next = "Send a day as YYYY-MM-DD.";
            return Err(invalid(field, format!("{field} is no day."), next));
        }
    }
    let year = |day: &str| day.get(..4).and_then(|year| year.parse::<i16>().ok());
    let years = year(to).unwrap_or(0) - year(from).unwrap_or(0);
    // Days of one year are in the order of their texts.
    let longer = years == MOST_YEARS && to.get(4..) >= from.get(4..);
    if from > to || years > MOST_YEARS || longer {
        let detail = format!("A report is of up to {MOST_YEARS} years, from its first day on.");
        return Err(invalid("from", detail, "Send other days."));
    }
    if question.days_before > roi::MOST_DAYS {
        let detail = format!("days_before is 0 to {}.", roi::MOST_DAYS);
        return Err(invalid("days_before", detail, "Send fewer days."));
    }
    let currency = &question.currency;
    if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
        let detail = "A currency is an ISO 4217 code of three capital letters.";
        return Err(invalid("currency", detail, "Send for example EUR."));
    }
    Ok(())
}

/// The opportunities that a caller may see figures of.
enum Seen {
    /// All of the contract.
    All,
    /// Those that these users of the CRM own, who are the caller.
    Of(BTreeSet<String>),
}

impl Seen {
    /// For an administrator all, and for everybody where the settings say so; else the caller's own.
    async fn of<P>(
        app: &App,
        caller: &Caller<P>,
        config: &ContractConfig,
    ) -> Result<Self, Problem> {
        let of_team = settings_of(config).is_some_and(|settings| settings.team_figures);
        if caller.role == Role::Administrator {
            return Ok(Self::All);
        }
        let seat = &caller.signed_in()?.seat;
        if of_team {
            return Ok(Self::All);
        }
        let users = CrmUsers {
            contract: &caller.contract,
            environment: ENVIRONMENT,
            crm: config.contract.crm,
        };
        let users = Box::pin(users.of_seat(&app.remote.store, seat)).await;
        Ok(Self::Of(users.map_err(|error| error.problem())?))
    }

    fn has(&self, attribution: &Attribution) -> bool {
        match self {
            Self::All => true,
            Self::Of(users) => attribution
                .facts
                .owner
                .as_ref()
                .is_some_and(|owner| users.contains(owner)),
        }
    }
}

/// The attributions of a question that a caller may see, and the state that they are of.
async fn attributions(
    app: &App,
    contract: &ContractId,
    question: &RoiQuestion,
    seen: &Seen,
) -> Result<(Vec<Attribution>, RoiState), Problem> {
    let store = &app.remote.store;
    let month = |day: &str| day.get(..7).unwrap_or_default().to_owned();
    let (from, to) = (month(&question.from), month(&question.to));
    let found = store.attributions(contract, &from, &to).await;
    let mut found = found.map_err(|error| error.problem())?;
    found.retain(|one| seen.has(one) && question.covers(one));
    let state = store.roi_state(contract).await;
    Ok((found, state.map_err(|error| error.problem())?))
}

fn rates_of(rates: &Rates) -> Vec<CurrencyRate> {
    let rates = rates.0.iter();
    rates
        .map(|(currency, rate)| CurrencyRate {
            currency: currency.clone(),
            rate: rate.rate.clone(),
            at: rate.at,
        })
        .collect()
}

/// A form's name for people: ours by its name, another source's by its id.
fn form_name(config: &ContractConfig, id: &str) -> String {
    let own = config.forms.values().find(|form| form.id.as_str() == id);
    own.map_or_else(|| id.to_owned(), |form| form.name.clone())
}

/// Puts the names of groups into rows.
async fn name_rows(
    view: &View<'_>,
    config: &ContractConfig,
    by: By,
    rows: &mut [RoiRow],
) -> Result<(), Problem> {
    let named = rows.iter().filter(|row| !row.group.is_empty());
    let owners = match by {
        By::Owner => {
            let ids: BTreeSet<&str> = named.map(|row| row.group.as_str()).collect();
            view.owners(ids).await?
        }
        _ => BTreeMap::new(),
    };
    for row in rows.iter_mut().filter(|row| !row.group.is_empty()) {
        row.name = match by {
            By::Owner => owners.get(&row.group).cloned(),
            By::Form => Some(form_name(config, &row.group)),
            By::Nothing | By::Source | By::Campaign => None,
        };
    }
    Ok(())
}

async fn reported<P>(
    app: &App,
    caller: &Caller<P>,
    config: &ContractConfig,
    question: RoiQuestion,
) -> Result<(RoiReport, Rates), Problem> {
    let seen = Seen::of(app, caller, config).await?;
    let contract = &caller.contract;
    let (found, state) = attributions(app, contract, &question, &seen).await?;
    let (total, mut rows) = roi::figures(&found, &question, &state.rates);
    let view = View::of(app, contract).await?;
    name_rows(&view, config, question.by, &mut rows).await?;
    let settings = config.crm_settings(ENVIRONMENT).roi.unwrap_or_default();
    let report = RoiReport {
        enabled: true,
        question,
        own: matches!(seen, Seen::Of(_)),
        value_field: settings.won_value_field,
        rates: rates_of(&state.rates),
        as_of: state.at,
        total,
        rows,
    };
    Ok((report, state.rates))
}

/// The report while ROI reporting is off.
fn off(now: Millis) -> RoiReport {
    let (from, to) = roi::usual_days(now);
    RoiReport {
        enabled: false,
        question: RoiQuestion {
            period: Period::default(),
            from,
            to,
            by: By::default(),
            days_before: roi::USUAL_DAYS,
            currency: String::new(),
        },
        own: false,
        value_field: None,
        rates: Vec::new(),
        as_of: None,
        total: RoiRow::default(),
        rows: Vec::new(),
    }
}

/// The figures of opportunities that Leadbridge sourced and influenced, beside those of all others.
///
/// An opportunity is in the period in which it was opened. It is *sourced* if one of its people came in by a
/// form or was created through Leadbridge before it was opened; *influenced* if an activity, a list save or a
/// form response touches one of them from `days_before` days before it was opened until it was closed. As of the
/// last import. Administrators see the figures of all; other seat holders too where the settings say so, else those of the opportunities that they own.
#[utoipa::path(get, path = "/roi", operation_id = "roi_report", params(ReportQuery),
    responses((status = 200, body = RoiReport), (status = 400, body = Problem), (status = 409, body = Problem)))]
async fn report(
    State(app): State<Arc<App>>,
    caller: Caller<ReadRoi>,
    Query(query): Query<ReportQuery>,
) -> Result<Json<RoiReport>, Problem> {
    let config = app.config(&caller.contract).await?;
    let now = app.remote.clock.now();
    if settings_of(&config).is_none() {
        return Ok(Json(off(now)));
    }
    let question = question(query, &config, now)?;
    let (report, _) = reported(&app, &caller, &config, question).await?;
    Ok(Json(report))
}

/// The opportunities behind a figure, each with the reasons for which it counts.
#[utoipa::path(get, path = "/roi/opportunities", operation_id = "roi_opportunities", params(BehindQuery),
    responses((status = 200, body = RoiOpportunities), (status = 400, body = Problem), (status = 409, body = Problem)))]
async fn behind(
    State(app): State<Arc<App>>,
    caller: Caller<ReadRoi>,
    Query(query): Query<BehindQuery>,
) -> Result<Json<RoiOpportunities>, Problem> {
    let limit = page_size(query.limit)?;
    let after = query.cursor.as_deref().map(place).transpose()?;
    let config = app.config(&caller.contract).await?;
    let asked = ReportQuery {
        period: query.period,
        from: query.from.clone(),
        to: query.to.clone(),
        by: query.by,
        days_before: query.days_before,
        currency: query.currency.clone(),
    };
    let question = question(asked, &config, app.remote.clock.now())?;
    let seen = Seen::of(&app, &caller, &config).await?;
    let contract = &caller.contract;
    let (shown, next) = newest(&app, contract, (&question, &query, &seen), after, limit).await?;
    let state = app.remote.store.roi_state(contract).await;
    let state = state.map_err(|error| error.problem())?;
    let page = BehindPage {
        app: &app,
        contract,
        config: &config,
        question: &question,
        rates: &state.rates,
    };
    Ok(Json(RoiOpportunities {
        next,
        items: page.items(shown).await?,
    }))
}

/// The place of an opportunity in the order of pages, from a cursor: its time of creation and its id.
fn place(cursor: &str) -> Result<(Millis, String), Problem> {
    let (opened, id) = cursor.split_once('#').ok_or_else(invalid_cursor)?;
    let opened = opened.parse().map_err(|_| invalid_cursor())?;
    Ok((Millis(opened), id.to_owned()))
}

/// A page of the opportunities behind a figure, the newest first, and the cursor of the next. The months are read
/// from the latest back, in spans that double while the page is not full.
async fn newest(
    app: &App,
    contract: &ContractId,
    (question, query, seen): (&RoiQuestion, &BehindQuery, &Seen),
    after: Option<(Millis, String)>,
    limit: usize,
) -> Result<(Vec<Attribution>, Option<String>), Problem> {
    let store = &app.remote.store;
    let month = |day: &str| day.get(..7).unwrap_or_default().to_owned();
    let (first, mut last) = (month(&question.from), month(&question.to));
    if let Some((opened, _)) = &after {
        last = last.min(roi::month_of(*opened));
    }
    let is_after = |one: &Attribution| {
        after.as_ref().is_none_or(|(opened, id)| {
            (opened.0, one.facts.id.as_str()) > (one.facts.opened.0, id.as_str())
        })
    };
    let mut shown: Vec<Attribution> = Vec::new();
    let mut span = 1;
    while first <= last {
        let begin = roi::months_before(&last, span - 1).max(first.clone());
        let found = store.attributions(contract, &begin, &last).await;
        let mut found = found.map_err(|error| error.problem())?;
        found.retain(|one| {
            seen.has(one) && question.covers(one) && query.wants(question, one) && is_after(one)
        });
        found.sort_by(|a, b| (b.facts.opened, &a.facts.id).cmp(&(a.facts.opened, &b.facts.id)));
        shown.extend(found);
        if shown.len() > limit {
            break;
        }
        last = roi::months_before(&begin, 1);
        span *= 2;
    }
    let goes_on = shown.len() > limit;
    shown.truncate(limit);
    let end = shown.last().filter(|_| goes_on);
    let next = end.map(|end| format!("{}#{}", end.facts.opened.0, end.facts.id));
    Ok((shown, next))
}

/// True if a group is the one that is asked for.
fn is_group(asked: &str, group: &str) -> bool {
    asked == group || (asked == "-" && group.is_empty())
}

/// The context for showing opportunities behind a figure.
struct BehindPage<'a> {
    app: &'a App,
    contract: &'a ContractId,
    config: &'a ContractConfig,
    question: &'a RoiQuestion,
    rates: &'a Rates,
}

impl BehindPage<'_> {
    async fn items(&self, shown: Vec<Attribution>) -> Result<Vec<RoiOpportunity>, Problem> {
        let view = View::of(self.app, self.contract).await?;
        let known = vocabulary(view.crm());
        let opportunities = Opportunities {
            contract: self.contract,
            environment: ENVIRONMENT,
            crm: view.crm(),
        };
        let ids: Vec<&str> = shown.iter().map(|one| one.facts.id.as_str()).collect();
        let found = opportunities.several(view.store(), &ids).await;
        let found = found.map_err(|error| error.problem())?.into_iter();
        let mut names: BTreeMap<String, String> = found.map(|one| (one.id, one.name)).collect();
        let owners = shown.iter().filter_map(|one| one.facts.owner.as_deref());
        let owners = view.owners(owners.collect()).await?;
        let touches = shown.iter().flat_map(|one| &one.touches);
        let seats = touches.filter_map(|touch| touch.seat);
        let seats: BTreeSet<String> = seats.map(|seat| format!("seat:{seat}")).collect();
        let seats = seats.iter().map(String::as_str);
        let seats = self.app.names_of(self.contract, seats).await?;
        let items = shown.into_iter().map(|one| {
            let facts = &one.facts;
            let record = RecordRef::new(known.opportunity.name, facts.id.clone());
            let (period, _) = self.question.place_of(&one);
            RoiOpportunity {
                record: view.badge(&record),
                name: names.remove(&facts.id).unwrap_or_default(),
                owner: facts.owner.as_deref().map(|id| View::owner(id, &owners)),
                period,
                opened: facts.opened,
                closed: facts.closed,
                outcome: facts.outcome,
                amount: facts.amount.map(|amount| amount.to_string()),
                currency: facts.currency.clone(),
                converted: self.converted(&one).map(Money::to_cents),
                sourced: one.is_in(Part::Sourced, self.question.days_before),
                influenced: one.is_in(Part::Influenced, self.question.days_before),
                reasons: self.reasons(&one, &view, &seats),
            }
        });
        Ok(items.collect())
    }

    fn converted(&self, one: &Attribution) -> Option<Money> {
        let (from, to) = (one.facts.currency.as_deref(), &self.question.currency);
        self.rates.convert(one.facts.amount?, from, to)
    }

    /// The reasons that count.
    fn reasons(
        &self,
        one: &Attribution,
        view: &View<'_>,
        seats: &BTreeMap<String, String>,
    ) -> Vec<RoiReason> {
        let first: Vec<&Touch> = one.sourced().collect();
        let during: Vec<&Touch> = one.influenced(self.question.days_before).collect();
        let counts = one.touches.iter().map(|touch| {
            let (sources, influences) = (first.contains(&touch), during.contains(&touch));
            (touch, sources, influences)
        });
        counts
            .filter(|(_, sources, influences)| *sources || *influences)
            .map(|(touch, sources, influences)| RoiReason {
                kind: touch.kind,
                at: touch.at,
                record: view.badge(&touch.record),
                id: touch.id.clone(),
                seat_name: touch
                    .seat
                    .and_then(|seat| seats.get(&format!("seat:{seat}")).cloned()),
                source: touch.source,
                form: touch.form.as_deref().map(|id| form_name(self.config, id)),
                campaign: touch.campaign.clone(),
                sources,
                influences,
            })
            .collect()
    }
}

impl From<KeptReport> for KeptRoiReport {
    fn from(kept: KeptReport) -> Self {
        Self {
            id: kept.id,
            name: kept.name,
            at: kept.at,
            by: kept.by,
            report: RoiReport {
                enabled: true,
                question: kept.question,
                own: false,
                value_field: kept.value_field,
                rates: rates_of(&kept.rates),
                as_of: kept.as_of,
                total: kept.total,
                rows: kept.rows,
            },
        }
    }
}

/// Keeps a report of the whole contract, with its definitions, rates and figures: it reads the same later.
#[utoipa::path(post, path = "/roi/reports", operation_id = "roi_keep_report", request_body = KeepInput,
    responses((status = 201, body = KeptRoiReport), (status = 400, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn keep(
    State(app): State<Arc<App>>,
    caller: Caller<ManageContract>,
    Json(input): Json<KeepInput>,
) -> Result<(StatusCode, Json<KeptRoiReport>), Problem> {
    let name = input.name.trim().to_owned();
    let length = name.chars().count();
    if !(1..=MAX_NAME).contains(&length) || name.chars().any(char::is_control) {
        let detail = format!("A report's name has 1 to {MAX_NAME} characters on one line.");
        let problem = Problem::new(422, "invalid_name", detail, "Send another name.");
        return Err(problem.with_field("name"));
    }
    let (contract, store) = (&caller.contract, &app.remote.store);
    let config = app.config(contract).await?;
    check(&input.question)?;
    if settings_of(&config).is_none() {
        return Err(turned_off());
    }
    // Before the figures: those of one organisation are not kept for another that is connected meanwhile.
    let organization = store.organization(contract, ENVIRONMENT).await;
    let organization = organization.map_err(|error| error.problem())?;
    let gone = || {
        let next = "Connect the CRM, and import once.";
        Problem::new(409, "not_connected", "The CRM is not connected.", next)
    };
    let organization = organization.ok_or_else(gone)?;
    let (report, rates) = reported(&app, &caller, &config, input.question).await?;
    if report.rows.len() > MOST_ROWS {
        let detail = format!("A report that is kept has at most {MOST_ROWS} rows.");
        let next = "Choose longer periods, fewer days, or divide by something else.";
        return Err(Problem::new(422, "report_too_long", detail, next));
    }
    let mut kept = KeptReport {
        id: String::new(),
        name,
        at: app.remote.clock.now(),
        by: caller.actor.clone(),
        question: report.question,
        value_field: report.value_field,
        rates,
        as_of: report.as_of,
        total: report.total,
        rows: report.rows,
    };
    let named = kept.rows.clone();
    if kept.question.by == By::Owner {
        // Names of people are looked up when the report is read.
        for row in &mut kept.rows {
            row.name = None;
        }
    }
    let unique = app.remote.random.uuid();
    let id = store.keep_report(contract, &organization, &kept, unique);
    kept.id = id.await.map_err(|error| error.problem())?;
    kept.rows = named;
    Ok((StatusCode::CREATED, Json(kept.into())))
}

/// The reports that were kept, the newest first.
#[utoipa::path(get, path = "/roi/reports", operation_id = "roi_reports", params(KeptQuery),
    responses((status = 200, body = KeptRoiReports), (status = 400, body = Problem)))]
async fn list(
    State(app): State<Arc<App>>,
    caller: Caller<ManageContract>,
    Query(query): Query<KeptQuery>,
) -> Result<Json<KeptRoiReports>, Problem> {
    let (store, after) = (&app.remote.store, query.cursor.as_deref());
    if after.is_some_and(str::is_empty) {
        return Err(invalid_cursor());
    }
    let page = store.kept_reports(&caller.contract, after, 20).await;
    let page = page.map_err(|error| error.problem())?;
    Ok(Json(KeptRoiReports {
        items: page.items.into_iter().map(KeptRoiReport::from).collect(),
        next: page.next,
    }))
}

/// A report that was kept.
#[utoipa::path(get, path = "/roi/reports/{id}", operation_id = "roi_kept_report", params(("id" = String, Path)),
    responses((status = 200, body = KeptRoiReport), (status = 404, body = Problem)))]
async fn show(
    State(app): State<Arc<App>>,
    caller: Caller<ManageContract>,
    Path(id): Path<String>,
) -> Result<Json<KeptRoiReport>, Problem> {
    let kept = app.remote.store.kept_report(&caller.contract, &id).await;
    let kept = kept.map_err(|error| error.problem())?;
    let mut kept = kept.ok_or_else(|| Problem::not_found("report"))?;
    if kept.question.by == By::Owner {
        let config = app.config(&caller.contract).await?;
        let view = View::of(&app, &caller.contract).await?;
        name_rows(&view, &config, By::Owner, &mut kept.rows).await?;
    }
    Ok(Json(kept.into()))
}
