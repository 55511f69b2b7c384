//! Submissions (LG-8): search, detail, send again; and the failed writes.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use shared::clock::Millis;
use shared::domain::field::{Field, FieldKind};
use shared::domain::ids::SubmissionId;
use shared::domain::mapping::FieldReport;
use shared::domain::normalize::email::is_address;
use shared::domain::submission::{
    CrmWrite, Decision, Failure, LeadRef, Origin, SWEEP_AFTER_SECONDS, SourceKind, State as Stage,
    Submission,
};
use shared::problem::Problem;
use shared::queue::WritebackMessage;
use shared::store::{Page, SubmissionFilter};
use utoipa::{IntoParams, ToSchema};

use crate::App;
use crate::auth::{Caller, ReadConfiguration, ReadSubmissions, SendAgain, StartSync};
use crate::described::{Routes, routes};
use crate::extract::{Json, Path, Query};

/// Most items of a page.
const MAX_PAGE: usize = 200;
/// Failed submissions sent again in one go.
const MAX_SEND_AGAIN: usize = 200;

pub(super) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list))
        .routes(routes!(detail))
        .routes(routes!(send_again))
        .routes(routes!(failed_writes))
        .routes(routes!(send_all_again))
        .routes(routes!(sweep))
}

#[derive(Serialize, ToSchema)]
struct Summary {
    id: SubmissionId,
    source: SourceKind,
    /// The submission's state.
    state: Stage,
    /// The form's name, or its id at the source.
    form: String,
    /// The form's id at the source, as the filter `form` takes it.
    form_id: String,
    /// The first answer that is an e-mail address, as it arrived: for lists that people read.
    sender: Option<String>,
    campaign: Option<String>,
    test: bool,
    #[schema(value_type = i64)]
    received_at: Millis,
    #[schema(value_type = Option<i64>)]
    finished_at: Option<Millis>,
    lead: Option<LeadRef>,
    /// The next step, where a person has to act.
    next_step: Option<String>,
    /// The code of the last error, while it is not finished.
    error: Option<String>,
}

fn last_failure(submission: &Submission) -> Option<&Failure> {
    let unfinished = !matches!(submission.state, Stage::Created | Stage::Attached);
    submission.failures.last().filter(|_| unfinished)
}

fn next_step(submission: &Submission) -> Option<String> {
    match submission.state {
        Stage::HeldTest => Some(
            "It is a test lead. Send it again with include_test to write it to the CRM.".to_owned(),
        ),
        _ => last_failure(submission).map(|failure| failure.problem.next_step.clone()),
    }
}

pub(super) fn sender(submission: &Submission) -> Option<String> {
    let answers = submission.answers.iter().flatten();
    let mut values = answers
        .filter(|field| field.kind == FieldKind::Answer)
        .map(|field| field.value.trim());
    values.find(|value| is_address(value)).map(str::to_owned)
}

impl From<&Submission> for Summary {
    fn from(submission: &Submission) -> Self {
        Self {
            id: submission.id,
            source: submission.source,
            state: submission.state,
            form: submission.form_label().to_owned(),
            form_id: submission.origin.form_id.clone(),
            sender: sender(submission),
            campaign: submission.origin.campaign.clone(),
            test: submission.test,
            received_at: submission.received_at,
            finished_at: submission.finished_at,
            lead: submission.lead.clone(),
            next_step: next_step(submission),
            error: last_failure(submission).map(|failure| failure.problem.code.clone()),
        }
    }
}

#[derive(Serialize, ToSchema)]
struct Detail {
    #[serde(flatten)]
    summary: Summary,
    /// The source's own id of the response.
    response_id: String,
    origin: Origin,
    #[schema(value_type = Option<i64>)]
    submitted_at: Option<Millis>,
    #[schema(value_type = Option<i64>)]
    withdrawn_at: Option<Millis>,
    /// The answers that arrived. None before they are fetched from LinkedIn, and after a withdrawal.
    answers: Option<Vec<Field>>,
    /// The result of mapping each field.
    mapping: Vec<FieldReport>,
    /// The rule that decided, and the matched lead if any.
    decision: Option<Decision>,
    /// The writes to the CRM, with their times.
    writes: Vec<CrmWrite>,
    points: u32,
    lead_score: Option<u32>,
    /// The lead has no contact (LG-4).
    orphaned: bool,
    attempts: u32,
    /// The time of the next attempt, while it goes on by itself.
    #[schema(value_type = Option<i64>)]
    due_at: Option<Millis>,
    /// Every error with its next step, the newest last.
    failures: Vec<Failure>,
}

impl From<Submission> for Detail {
    fn from(submission: Submission) -> Self {
        Self {
            summary: Summary::from(&submission),
            orphaned: submission
                .lead
                .as_ref()
                .is_some_and(|lead| lead.contact_id.is_none()),
            due_at: submission.state.is_open().then_some(submission.due_at),
            response_id: submission.response_id,
            origin: submission.origin,
            submitted_at: submission.submitted_at,
            withdrawn_at: submission.withdrawn_at,
            answers: submission.answers,
            mapping: submission.mapping,
            decision: submission.decision,
            writes: submission.writes,
            points: submission.points,
            lead_score: submission.lead_score,
            attempts: submission.attempts,
            failures: submission.failures,
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// In this state only.
    state: Option<Stage>,
    /// From this source only.
    source: Option<SourceKind>,
    /// Of this form only (its id at the source).
    form: Option<String>,
    /// Of this campaign only.
    campaign: Option<String>,
    /// Submissions with this text in their answers, form, campaign or ids, in any case.
    q: Option<String>,
    /// Received at or after this (milliseconds).
    from: Option<i64>,
    /// Received before this (milliseconds).
    to: Option<i64>,
    /// Items of a page, 1 to 200; 50 unless given.
    limit: Option<usize>,
    /// A page's `next`.
    cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct SubmissionList {
    items: Vec<Summary>,
    /// Give it as `cursor` for the next page; none after the last.
    next: Option<String>,
}

impl From<Page<Submission>> for SubmissionList {
    fn from(page: Page<Submission>) -> Self {
        Self {
            items: page.items.iter().map(Summary::from).collect(),
            next: page.next,
        }
    }
}

pub(super) fn page_size(limit: Option<usize>) -> Result<usize, Problem> {
    match limit.unwrap_or(50) {
        limit @ 1..=MAX_PAGE => Ok(limit),
        _ => Err(Problem::new(
            400,
            "invalid_limit",
            format!("limit is 1 to {MAX_PAGE}."),
            "Send another limit.",
        )
        .with_field("limit")),
    }
}

/// Submissions, newest first.
#[utoipa::path(get, path = "/submissions", params(ListQuery), responses((status = 200, body = SubmissionList)))]
async fn list(
    State(app): State<Arc<App>>,
    caller: Caller<ReadSubmissions>,
    Query(query): Query<ListQuery>,
) -> Result<Json<SubmissionList>, Problem> {
    let limit = page_size(query.limit)?;
    if query.from.zip(query.to).is_some_and(|(from, to)| from > to) {
        return Err(Problem::new(
            400,
            "invalid_period",
            "The period ends before it begins.",
            "Send a from that is not after to.",
        )
        .with_field("from"));
    }
    let filter = SubmissionFilter {
        state: query.state,
        source: query.source,
        form: query.form,
        campaign: query.campaign,
        text: query.q.filter(|text| !text.is_empty()),
        from: query.from.map(Millis),
        to: query.to.map(Millis),
    };
    check_cursor(query.cursor.as_deref())?;
    let page = app
        .remote
        .store
        .list_submissions(&caller.contract, &filter, limit, query.cursor.as_deref())
        .await
        .map_err(|error| error.problem())?;
    Ok(Json(app.kept(page).into()))
}

/// Checks a cursor of a list by time: `{time}#{id}`.
pub(super) fn check_cursor(cursor: Option<&str>) -> Result<(), Problem> {
    let valid = cursor.is_none_or(|cursor| {
        cursor.split_once('#').is_some_and(|(time, id)| {
            time.len() == 13
                && time.bytes().all(|b| b.is_ascii_digit())
                && id.parse::<SubmissionId>().is_ok()
        })
    });
    if valid { Ok(()) } else { Err(invalid_cursor()) }
}

pub(super) fn invalid_cursor() -> Problem {
    Problem::new(
        400,
        "invalid_cursor",
        "The cursor is not one of ours.",
        "Use a page's next as it is.",
    )
    .with_field("cursor")
}

pub(super) async fn find(
    app: &App,
    contract: &shared::domain::ids::ContractId,
    id: &str,
) -> Result<Submission, Problem> {
    let id: SubmissionId = id.parse().map_err(|_| Problem::not_found("submission"))?;
    let found = app
        .remote
        .store
        .submission(contract, id)
        .await
        .map_err(|error| error.problem())?;
    let now = app.remote.clock.now();
    let found = found.filter(|submission| !submission.has_expired(now));
    found.ok_or_else(|| Problem::not_found("submission"))
}

impl App {
    /// A page without the submissions that have expired: the table deletes them late.
    pub(super) fn kept(&self, mut page: Page<Submission>) -> Page<Submission> {
        let now = self.remote.clock.now();
        page.items.retain(|submission| !submission.has_expired(now));
        page
    }
}

/// A submission in detail: its answers, their mapping, the matched lead, and the writes to the CRM.
#[utoipa::path(get, path = "/submissions/{id}", params(("id" = String, Path)), responses((status = 200, body = Detail), (status = 404, body = Problem)))]
async fn detail(
    State(app): State<Arc<App>>,
    caller: Caller<ReadSubmissions>,
    Path(id): Path<String>,
) -> Result<Json<Detail>, Problem> {
    Ok(Json(find(&app, &caller.contract, &id).await?.into()))
}

#[derive(Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields)]
struct SendAgainInput {
    /// Write it to the CRM although it is a test lead.
    #[serde(default)]
    include_test: bool,
}

async fn set_to_work(
    app: &App,
    submission: &mut Submission,
    include_test: bool,
) -> Result<(), Problem> {
    match submission.state {
        Stage::Created | Stage::Attached => {
            return Err(Problem::new(
                409,
                "already_in_crm",
                "The submission is in the CRM already; sending it again would double it.",
                "Nothing to do. Its lead is in the submission's detail.",
            ));
        }
        Stage::Withdrawn => {
            return Err(Problem::new(
                409,
                "withdrawn",
                "The person withdrew this submission.",
                "Nothing to do: it must not reach the CRM.",
            ));
        }
        Stage::HeldTest if !include_test => {
            return Err(Problem::new(
                409,
                "test_lead",
                "It is a test lead and is held back from the CRM.",
                "Send it again with include_test: true.",
            )
            .with_field("include_test"));
        }
        // A worker holds it: it goes on by itself.
        Stage::Processing => return Ok(()),
        Stage::HeldTest | Stage::NeedsAttention | Stage::Waiting | Stage::Received => {}
    }
    let now = app.remote.clock.now();
    submission.test_released |= include_test;
    submission.state = Stage::Received;
    submission.attempts = 0;
    submission.due_at = now.plus_seconds(SWEEP_AFTER_SECONDS);
    submission.finished_at = None;
    app.remote
        .store
        .save_submission(submission)
        .await
        .map_err(|error| error.problem())?;
    let message = WritebackMessage::submission(&submission.contract, submission.id);
    if let Err(error) = app.queue.send(&message, 0).await {
        tracing::warn!(contract = %submission.contract, submission.id = %submission.id,
            error = &error as &dyn std::error::Error, "set to work, but not announced: the sweep will");
    }
    Ok(())
}

/// Sends a submission to the CRM again that waits, failed, or is a held test lead. One that is in
/// the CRM already is refused.
#[utoipa::path(post, path = "/submissions/{id}/send-again", params(("id" = String, Path)), request_body = Option<SendAgainInput>, responses((status = 202, body = Detail), (status = 409, body = Problem)))]
async fn send_again(
    State(app): State<Arc<App>>,
    caller: Caller<SendAgain>,
    Path(id): Path<String>,
    body: axum::body::Bytes,
) -> Result<(http::StatusCode, Json<Detail>), Problem> {
    let input: SendAgainInput = if body.is_empty() {
        SendAgainInput::default()
    } else {
        serde_json::from_slice(&body).map_err(|_| {
            Problem::new(
                400,
                "malformed_body",
                "The body is not of the expected form.",
                "Send {\"include_test\": true}, or no body.",
            )
        })?
    };
    let mut submission = find(&app, &caller.contract, &id).await?;
    set_to_work(&app, &mut submission, input.include_test).await?;
    tracing::info!(contract = %caller.contract, submission.id = %submission.id, actor = caller.actor, "sent again");
    Ok((http::StatusCode::ACCEPTED, Json(submission.into())))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct PageQuery {
    /// Items of a page, 1 to 200; 50 unless given.
    limit: Option<usize>,
    /// A page's `next`.
    cursor: Option<String>,
}

/// Submissions that need a person, longest waiting first, each with its last error and next step.
#[utoipa::path(get, path = "/failed-writes", params(PageQuery), responses((status = 200, body = SubmissionList)))]
async fn failed_writes(
    State(app): State<Arc<App>>,
    caller: Caller<ReadConfiguration>,
    Query(query): Query<PageQuery>,
) -> Result<Json<SubmissionList>, Problem> {
    check_cursor(query.cursor.as_deref())?;
    let page = app
        .remote
        .store
        .failed_submissions(
            &caller.contract,
            page_size(query.limit)?,
            query.cursor.as_deref(),
        )
        .await
        .map_err(|error| error.problem())?;
    Ok(Json(app.kept(page).into()))
}

#[derive(Serialize, ToSchema)]
struct Announced {
    /// Submissions set to work.
    count: usize,
    /// There are more: call again.
    more: bool,
}

/// Sends every failed write again, up to 200 in one go: after signing in again, say.
#[utoipa::path(post, path = "/failed-writes/send-again", responses((status = 202, body = Announced)))]
async fn send_all_again(
    State(app): State<Arc<App>>,
    caller: Caller<SendAgain>,
) -> Result<(http::StatusCode, Json<Announced>), Problem> {
    let page = app
        .remote
        .store
        .failed_submissions(&caller.contract, MAX_SEND_AGAIN, None)
        .await
        .map_err(|error| error.problem())?;
    let page = app.kept(page);
    let mut count = 0;
    for listed in &page.items {
        let mut submission = find(&app, &caller.contract, &listed.id.to_string()).await?;
        if submission.state != Stage::NeedsAttention {
            continue;
        }
        match set_to_work(&app, &mut submission, false).await {
            Ok(()) => count += 1,
            // Changed at this moment: another request sends it.
            Err(problem) if problem.code == "changed_meanwhile" => {}
            Err(problem) => return Err(problem),
        }
    }
    Ok((
        http::StatusCode::ACCEPTED,
        Json(Announced {
            count,
            more: page.next.is_some(),
        }),
    ))
}

/// Announces every submission that is due and has no worker, as the schedule does each minute.
#[utoipa::path(post, path = "/sweep", responses((status = 202, body = Announced)))]
async fn sweep(
    State(app): State<Arc<App>>,
    caller: Caller<StartSync>,
) -> Result<(http::StatusCode, Json<Announced>), Problem> {
    let now = app.remote.clock.now();
    let due = app
        .remote
        .store
        .due_submissions(&caller.contract, now, 100)
        .await
        .map_err(|error| error.problem())?;
    let messages: Vec<WritebackMessage> = due
        .into_iter()
        .map(|submission| WritebackMessage::submission(&caller.contract, submission))
        .collect();
    let mut count = 0;
    for batch in messages.chunks(10) {
        let refused = app.queue.send_batch(batch).await.map_err(|error| {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the queue did not take the messages"
            );
            Problem::unavailable()
        })?;
        count += batch.len() - refused.len();
    }
    Ok((
        http::StatusCode::ACCEPTED,
        Json(Announced {
            count,
            more: messages.len() == 100,
        }),
    ))
}
