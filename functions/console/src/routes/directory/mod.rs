//! The directory: the people (`profiles`) and companies that the contract knows, and which records of
//! the CRM they are (MA-1 to MA-4, SV-1 to SV-3). The routes of the two are the same.

mod add;
mod archive;
mod by_user;
mod champions;
mod decide;
mod lists;
mod opportunities;
mod question;
mod roi;
mod shapes;
mod show;
mod validation;

pub(super) use self::question::{MatchQuestion, answer, questions};
pub(super) use self::shapes::{EntryHolder, EntryInput, RecordInput};
pub(super) use self::show::ENVIRONMENT;
use crate::described::{Address, Routes};

pub(super) fn routes() -> Routes {
    Routes::new()
        .merge(profiles::routes())
        .merge(companies::routes())
        .merge(opportunities::routes())
        .merge(champions::routes())
        .merge(lists::routes())
        .merge(roi::routes())
        .merge(validation::routes())
        .merge(by_user::routes())
        .merge(archive::routes())
}

/// An address that takes bodies of up to `bytes` bytes.
fn with_body_limit(address: Address, bytes: usize) -> Address {
    let limit = axum::extract::DefaultBodyLimit::max(bytes);
    Address {
        methods: address.methods.layer(limit),
        ..address
    }
}

/// The routes of a kind of entries, under their own address.
macro_rules! entries {
    ($many:ident, $at:literal, $kind:ident, $one:literal, $plural:literal) => {
        mod $many {
            use std::sync::Arc;

            use axum::extract::State;
            use http::StatusCode;
            use shared::domain::csv_upload;
            use shared::domain::directory::EntryKind;
            use shared::linking::Act;
            use shared::problem::Problem;

            use super::add::CsvQuery;
            use super::shapes::{
                EntryBatch, CandidateList, ColumnsReport, EntryDetail, EntryInput, EntryList, EntryOutcome,
                RecordInput, TakenEntry, UploadReport,
            };
            use super::show::ListQuery;
            use crate::App;
            use crate::auth::{Caller, ChangeDirectory, DecideMatches, ReadDirectory};
            use crate::described::{Routes, routes};
            use crate::extract::{Csv, Json, Path, Query};

            const KIND: EntryKind = EntryKind::$kind;

            pub(super) fn routes() -> Routes {
                let file = |address| super::with_body_limit(address, csv_upload::MAX_BYTES);
                Routes::new()
                    .routes(routes!(list, add))
                    .routes(routes!(batch))
                    .routes(file(routes!(csv)))
                    .routes(file(routes!(columns)))
                    .routes(routes!(show, delete))
                    .routes(routes!(candidates))
                    .routes(routes!(confirm))
                    .routes(routes!(unmatch))
                    .routes(routes!(rematch))
                    .routes(routes!(create))
            }

            #[utoipa::path(get, path = $at, operation_id = concat!($plural, "_list"),
                summary = concat!("A search among the ", $plural, "."),
                description = "A page reads a bounded part of the directory: with filters it can have fewer items than asked for, or none, and still have a `next`.",
                params(ListQuery), responses((status = 200, body = EntryList), (status = 400, body = Problem)))]
            async fn list(
                State(app): State<Arc<App>>,
                caller: Caller<ReadDirectory>,
                Query(query): Query<ListQuery>,
            ) -> Result<Json<EntryList>, Problem> {
                let found = super::show::list(&app, &caller.contract, KIND, query).await?;
                Ok(Json(found))
            }

            #[utoipa::path(post, path = $at, operation_id = concat!($plural, "_add"),
                summary = concat!("Adds a ", $one, ", and links it to the CRM's record."),
                description = "What comes again is the same entry: what is given replaces what was there, e-mail addresses and phone numbers are united, and nothing is emptied.",
                request_body = EntryInput,
                responses((status = 201, body = TakenEntry), (status = 200, description = "It was there.", body = TakenEntry), (status = 422, body = Problem)))]
            async fn add(
                State(app): State<Arc<App>>,
                caller: Caller<ChangeDirectory>,
                Json(input): Json<EntryInput>,
            ) -> Result<(StatusCode, Json<TakenEntry>), Problem> {
                let taken = super::add::one(&app, &caller, KIND, input).await?;
                let status = match taken.outcome {
                    EntryOutcome::Added => StatusCode::CREATED,
                    EntryOutcome::Updated | EntryOutcome::Unchanged | EntryOutcome::Refused => StatusCode::OK,
                };
                Ok((status, Json(taken)))
            }

            #[utoipa::path(post, path = concat!($at, "/batch"), operation_id = concat!($plural, "_add_batch"),
                summary = concat!("Adds up to 100 ", $plural, ", each taken or refused on its own."),
                description = "A pass over the directory links them.",
                request_body = EntryBatch, responses((status = 200, body = UploadReport), (status = 422, body = Problem)))]
            async fn batch(
                State(app): State<Arc<App>>,
                caller: Caller<ChangeDirectory>,
                Json(items): Json<EntryBatch>,
            ) -> Result<Json<UploadReport>, Problem> {
                Ok(Json(super::add::batch(&app, &caller, KIND, items).await?))
            }

            #[utoipa::path(post, path = concat!($at, "/csv"), operation_id = concat!($plural, "_add_csv"),
                summary = concat!("Adds the ", $plural, " of a file in CSV, each row taken or refused on its own."),
                description = "Up to 5 MB and 5,000 rows, with the columns' names in the first row. Its text is UTF-8, what its byte order mark says, or what the Content-Type names (`text/csv; charset=windows-1252`). The delimiter is the one that the first line (`sep=;`) or the query names, or that the rows agree on: comma, semicolon, tab or pipe. A row that ends early is filled up with empty cells. A pass over the directory links them.",
                params(CsvQuery), request_body(content = String, content_type = "text/csv"),
                responses((status = 200, body = UploadReport), (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem)))]
            async fn csv(
                State(app): State<Arc<App>>,
                caller: Caller<ChangeDirectory>,
                Query(query): Query<CsvQuery>,
                file: Csv,
            ) -> Result<Json<UploadReport>, Problem> {
                Ok(Json(super::add::csv(&app, &caller, KIND, &query, &file).await?))
            }

            #[utoipa::path(post, path = concat!($at, "/csv/columns"), operation_id = concat!($plural, "_csv_columns"),
                summary = "How a file in CSV would be read: what its columns seem to hold, and its first rows.",
                description = "Stores nothing.",
                params(CsvQuery), request_body(content = String, content_type = "text/csv"),
                responses((status = 200, body = ColumnsReport), (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem)))]
            async fn columns(
                State(app): State<Arc<App>>,
                caller: Caller<ChangeDirectory>,
                Query(query): Query<CsvQuery>,
                file: Csv,
            ) -> Result<Json<ColumnsReport>, Problem> {
                let contract = &caller.contract;
                let report = super::add::columns(&app, contract, KIND, &query, &file).await?;
                Ok(Json(report))
            }

            #[utoipa::path(get, path = concat!($at, "/{id}"), operation_id = concat!($plural, "_show"),
                summary = concat!("Everything about a ", $one, ": its record in the CRM, contact information from there, and why it is that record."),
                params(("id" = String, Path)), responses((status = 200, body = EntryDetail), (status = 404, body = Problem)))]
            async fn show(
                State(app): State<Arc<App>>,
                caller: Caller<ReadDirectory>,
                Path(id): Path<String>,
            ) -> Result<Json<EntryDetail>, Problem> {
                let contract = &caller.contract;
                let (entry, matched) = super::show::find(&app, contract, KIND, &id).await?;
                let view = super::show::View::of(&app, contract).await?;
                Ok(Json(view.detail(&caller, &entry, matched.as_ref()).await?))
            }

            #[utoipa::path(delete, path = concat!($at, "/{id}"), operation_id = concat!($plural, "_delete"),
                summary = concat!("Removes a ", $one, " from the directory. The CRM's record stays."),
                params(("id" = String, Path)), responses((status = 204), (status = 404, body = Problem)))]
            async fn delete(
                State(app): State<Arc<App>>,
                caller: Caller<ChangeDirectory>,
                Path(id): Path<String>,
            ) -> Result<StatusCode, Problem> {
                super::decide::delete(&app, &caller, KIND, &id).await?;
                Ok(StatusCode::NO_CONTENT)
            }

            #[utoipa::path(get, path = concat!($at, "/{id}/candidates"), operation_id = concat!($plural, "_candidates"),
                summary = concat!("The CRM's records that a ", $one, " may be, the best first, with the fields that agree."),
                params(("id" = String, Path)), responses((status = 200, body = CandidateList), (status = 404, body = Problem)))]
            async fn candidates(
                State(app): State<Arc<App>>,
                caller: Caller<ReadDirectory>,
                Path(id): Path<String>,
            ) -> Result<Json<CandidateList>, Problem> {
                let contract = &caller.contract;
                let (entry, _) = super::show::find(&app, contract, KIND, &id).await?;
                let view = super::show::View::of(&app, contract).await?;
                Ok(Json(view.candidates(&entry).await?))
            }

            #[utoipa::path(post, path = concat!($at, "/{id}/match"), operation_id = concat!($plural, "_match"),
                summary = concat!("Decides which of the CRM's records a ", $one, " is: the one that is shown (it is confirmed) or another."),
                description = "It holds for everybody in the contract, and no import undoes it.",
                params(("id" = String, Path)), request_body = RecordInput,
                responses((status = 200, body = EntryDetail), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
            async fn confirm(
                State(app): State<Arc<App>>,
                caller: Caller<DecideMatches>,
                Path(id): Path<String>,
                Json(record): Json<RecordInput>,
            ) -> Result<Json<EntryDetail>, Problem> {
                let act = Act::Match(record.into_record());
                Ok(Json(super::decide::decide(&app, &caller, KIND, &id, act).await?))
            }

            #[utoipa::path(post, path = concat!($at, "/{id}/unmatch"), operation_id = concat!($plural, "_unmatch"),
                summary = concat!("Decides that a ", $one, " is not the record that it is linked to."),
                description = "It is linked to none until somebody matches it or asks for automatic matching.",
                params(("id" = String, Path)),
                responses((status = 200, body = EntryDetail), (status = 404, body = Problem), (status = 409, body = Problem)))]
            async fn unmatch(
                State(app): State<Arc<App>>,
                caller: Caller<DecideMatches>,
                Path(id): Path<String>,
            ) -> Result<Json<EntryDetail>, Problem> {
                let act = Act::Unmatch;
                Ok(Json(super::decide::decide(&app, &caller, KIND, &id, act).await?))
            }

            #[utoipa::path(post, path = concat!($at, "/{id}/rematch"), operation_id = concat!($plural, "_rematch"),
                summary = concat!("Takes back what people decided about a ", $one, ", and links it automatically again."),
                description = "Records that it is not, as people said, it does not become.",
                params(("id" = String, Path)),
                responses((status = 200, body = EntryDetail), (status = 404, body = Problem), (status = 409, body = Problem)))]
            async fn rematch(
                State(app): State<Arc<App>>,
                caller: Caller<DecideMatches>,
                Path(id): Path<String>,
            ) -> Result<Json<EntryDetail>, Problem> {
                let act = Act::Automatic;
                Ok(Json(super::decide::decide(&app, &caller, KIND, &id, act).await?))
            }

            #[utoipa::path(post, path = concat!($at, "/{id}/create"), operation_id = concat!($plural, "_create"),
                summary = concat!("Creates a record in the CRM for a ", $one, " that is none there, and links the two."),
                description = "A lead for a person, an account for a company. It is written as the seat holder who asks, and who has to have signed in to the CRM (409 `user_sign_in_needed`); with a token, as the connection's user. Asked for again, it is the same record.",
                params(("id" = String, Path)),
                responses((status = 200, body = EntryDetail), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
            async fn create(
                State(app): State<Arc<App>>,
                caller: Caller<DecideMatches>,
                Path(id): Path<String>,
            ) -> Result<Json<EntryDetail>, Problem> {
                Ok(Json(super::decide::create(&app, &caller, KIND, &id).await?))
            }
        }
    };
}

entries!(profiles, "/profiles", Profile, "profile", "profiles");
entries!(companies, "/companies", Company, "company", "companies");
