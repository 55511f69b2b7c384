//! Entries that are added: one, a batch, a file in CSV (MA-1).
//!
//! A single entry is linked at once. In a batch or a file each entry is taken or refused on its own, and a
//! pass links them.

use serde::Deserialize;
use shared::clock::Millis;
use shared::domain::csv_upload::{self, Mapping, Table, Written};
use shared::domain::directory::{EntryKind, NewEntry, Origin};
use shared::domain::ids::ContractId;
use shared::domain::privacy::erased_person;
use shared::erasure::is_erased;
use shared::linking::{self, Linked};
use shared::problem::Problem;
use shared::store::{Added, ConnectionKind};
use utoipa::IntoParams;

use super::shapes::{
    ColumnView, ColumnsReport, EntryBatch, EntryInput, EntryOutcome, LinkingNotice, RowPreview,
    RowReport, TakenEntry, UploadReport,
};
use super::show::View;
use crate::App;
use crate::auth::{Caller, ChangeDirectory, Needs};
use crate::extract::{Csv, check_batch, item};

/// Most items of a batch.
const MAX_BATCH: usize = 100;
/// Rows that are stored before the time is looked at.
const CHUNK: usize = 500;
/// Seconds after which no more rows are stored: the answer has to be out within API Gateway's 30.
const STORING_SECONDS: i64 = 20;
/// Rows of a file that are shown before it is taken.
const PREVIEW: usize = 5;

impl From<Added> for EntryOutcome {
    fn from(added: Added) -> Self {
        match added {
            Added::New => Self::Added,
            Added::Updated => Self::Updated,
            Added::Unchanged => Self::Unchanged,
        }
    }
}

/// Adds one entry, or new values of a known one, and links it.
pub(super) async fn one(
    app: &App,
    caller: &Caller<ChangeDirectory>,
    kind: EntryKind,
    input: EntryInput,
) -> Result<TakenEntry, Problem> {
    let contract = &caller.contract;
    let view = View::of(app, contract).await?;
    let (external_id, record) = input.into_parts();
    let new = NewEntry::new(
        contract,
        kind,
        external_id.as_deref(),
        record,
        Origin::Api,
        view.region(),
    )?;
    let tombstones = app.tombstones(contract).await?;
    if is_erased(&tombstones, &new, view.region()) {
        return Err(erased_person());
    }
    let added = view.linking().add(&new, None).await;
    let (added, Linked { entry, matched }) = added.map_err(|error| error.problem())?;
    Ok(TakenEntry {
        outcome: added.into(),
        entry: view.detail(caller, &entry, Some(&matched)).await?,
    })
}

/// A row that was read: its number, and the entry that it is or why it is none.
type Row = (usize, Result<NewEntry, Problem>);

/// Adds several entries.
pub(super) async fn batch<P: Needs>(
    app: &App,
    caller: &Caller<P>,
    kind: EntryKind,
    batch: EntryBatch,
) -> Result<UploadReport, Problem> {
    let instead = "Send it in parts, or upload a file in CSV.";
    check_batch(batch.items.len(), MAX_BATCH, instead)?;
    let contract = &caller.contract;
    let config = app.config(contract).await?;
    let region = config.contract.settings.default_region.as_deref();
    let read = |value: serde_json::Value| -> Result<NewEntry, Problem> {
        let input: EntryInput = item(value)?;
        let (external_id, record) = input.into_parts();
        NewEntry::new(
            contract,
            kind,
            external_id.as_deref(),
            record,
            Origin::Api,
            region,
        )
    };
    let rows = batch.items.into_iter().zip(1..);
    let rows = rows.map(|(item, row)| (row, read(item))).collect();
    store_rows(app, caller, region, rows).await
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct CsvQuery {
    /// The fields of the file's columns: a field's name for each column in its order, separated by commas,
    /// and nothing for a column that is not to be read: `external_id,last_name,,emails`. The default is the
    /// suggestion of POST `…/csv/columns`.
    map: Option<String>,
    /// Delimiter of the file's cells: `comma`, `semicolon`, `tab` or `pipe`. Without it, the rows decide.
    delimiter: Option<String>,
}

/// A file, split as it and its sender say.
fn table(query: &CsvQuery, file: &Csv) -> Result<Table, Problem> {
    let written = Written::named(query.delimiter.as_deref(), file.charset.as_deref())?;
    Table::read(&file.body, written)
}

fn mapping(kind: EntryKind, table: &Table, query: &CsvQuery) -> Result<Mapping, Problem> {
    match &query.map {
        Some(map) => Mapping::parse(kind, map, &table.header),
        None => Mapping::suggested(kind, &table.header),
    }
}

/// Reports the reading of a file without storing anything.
pub(super) async fn columns(
    app: &App,
    contract: &ContractId,
    kind: EntryKind,
    query: &CsvQuery,
    file: &Csv,
) -> Result<ColumnsReport, Problem> {
    let table = table(query, file)?;
    let mapping = match mapping(kind, &table, query) {
        // The columns are to be chosen now.
        Err(problem) if problem.code == "nothing_mapped" => Mapping::nothing(&table.header),
        mapping => mapping?,
    };
    let config = app.config(contract).await?;
    let region = config.contract.settings.default_region.as_deref();
    let fields: Vec<Option<&'static str>> = mapping.fields().collect();
    let preview = table.rows.iter().take(PREVIEW).map(|row| {
        let (external_id, record) = match &row.cells {
            Ok(cells) => mapping.read(cells),
            Err(problem) => {
                return RowPreview {
                    row: row.number,
                    external_id: None,
                    record: None,
                    problem: Some(problem.clone()),
                };
            }
        };
        let shown = record.clone().into();
        let new = NewEntry::new(
            contract,
            kind,
            external_id.as_deref(),
            record,
            Origin::Csv,
            region,
        );
        RowPreview {
            row: row.number,
            external_id,
            record: Some(shown),
            problem: new.err(),
        }
    });
    Ok(ColumnsReport {
        map: mapping.to_string(),
        preview: preview.collect(),
        columns: table
            .header
            .iter()
            .zip(&fields)
            .map(|(name, field)| ColumnView {
                name: name.clone(),
                field: *field,
            })
            .collect(),
        fields: csv_upload::targets(kind)
            .map(csv_upload::Target::as_str)
            .collect(),
        rows: table.rows.len(),
    })
}

/// Adds the entries of a file.
pub(super) async fn csv(
    app: &App,
    caller: &Caller<ChangeDirectory>,
    kind: EntryKind,
    query: &CsvQuery,
    file: &Csv,
) -> Result<UploadReport, Problem> {
    let table = table(query, file)?;
    let mapping = mapping(kind, &table, query)?;
    let contract = &caller.contract;
    let config = app.config(contract).await?;
    let region = config.contract.settings.default_region.as_deref();
    let rows = table.rows.into_iter().map(|row| {
        let new = row.cells.and_then(|cells| {
            let (external_id, record) = mapping.read(&cells);
            NewEntry::new(
                contract,
                kind,
                external_id.as_deref(),
                record,
                Origin::Csv,
                region,
            )
        });
        (row.number, new)
    });
    store_rows(app, caller, region, rows.collect()).await
}

fn out_of_time() -> Problem {
    Problem::new(
        503,
        "not_processed",
        "There was not enough time for this row; it was not stored.",
        "Send the same file again: what is stored already is left as it is.",
    )
}

/// Stores rows, reports the outcome of each, and asks for a link pass.
async fn store_rows<P: Needs>(
    app: &App,
    caller: &Caller<P>,
    region: Option<&str>,
    rows: Vec<Row>,
) -> Result<UploadReport, Problem> {
    let contract = &caller.contract;
    let clock = &app.remote.clock;
    let until: Millis = clock.now().plus_seconds(STORING_SECONDS);
    let mut numbers = Vec::new();
    let mut entries = Vec::new();
    let mut results = Vec::with_capacity(rows.len());
    let report = |row: usize, outcome, id, problem| RowReport {
        row,
        outcome,
        id,
        problem,
    };
    let tombstones = app.tombstones(contract).await?;
    for (row, new) in rows {
        let new = new.and_then(|new| {
            let erased = is_erased(&tombstones, &new, region);
            if erased {
                Err(erased_person())
            } else {
                Ok(new)
            }
        });
        match new {
            Ok(new) => {
                numbers.push(row);
                entries.push(new);
            }
            Err(problem) => results.push(report(row, EntryOutcome::Refused, None, Some(problem))),
        }
    }
    for (entries, numbers) in entries.chunks(CHUNK).zip(numbers.chunks(CHUNK)) {
        let now = clock.now();
        if now >= until {
            let rest = numbers.iter();
            results.extend(
                rest.map(|row| report(*row, EntryOutcome::Refused, None, Some(out_of_time()))),
            );
            continue;
        }
        let stored = app.remote.store.add_entries(contract, entries, now).await;
        for ((stored, new), row) in stored.into_iter().zip(entries).zip(numbers) {
            results.push(match stored {
                Some(added) => report(*row, added.into(), Some(new.id), None),
                None => report(
                    *row,
                    EntryOutcome::Refused,
                    None,
                    Some(Problem::unavailable()),
                ),
            });
        }
    }
    results.sort_by_key(|result| result.row);
    let count = |outcome| {
        let of = results.iter().filter(|result| result.outcome == outcome);
        of.count()
    };
    let (added, updated) = (count(EntryOutcome::Added), count(EntryOutcome::Updated));
    Ok(UploadReport {
        rows: results.len(),
        added,
        updated,
        unchanged: count(EntryOutcome::Unchanged),
        refused: count(EntryOutcome::Refused),
        linking: ask(app, contract, &caller.actor, added + updated).await,
        results,
    })
}

/// The API path at which passes are shown.
const PASSES: &str = "/api/v1/matching";

/// Asks for a pass that links what was stored. The stored entries stay if that fails.
async fn ask(app: &App, contract: &ContractId, actor: &str, changed: usize) -> LinkingNotice {
    let not_asked = |message: &str| LinkingNotice {
        asked: false,
        message: message.to_owned(),
        see: None,
    };
    if changed == 0 {
        return not_asked("Nothing is new, so there is nothing to link.");
    }
    let connection = app.connection(contract, ConnectionKind::PRODUCTION).await;
    let connected = connection.map(|found| found.is_some_and(|found| found.stands()));
    // Where the state is unknown, a pass does no harm.
    if !connected.unwrap_or(true) {
        return not_asked("No CRM is connected: they are linked after its first import.");
    }
    let (store, queue) = (&app.remote.store, &app.import_queue);
    let now = app.remote.clock.now();
    let asked = linking::request_link_pass(store, queue, contract, actor, now).await;
    match asked {
        Ok(_) => LinkingNotice {
            asked: true,
            message: "A pass over the directory links them within minutes.".to_owned(),
            see: Some(PASSES),
        },
        Err(error) => {
            tracing::warn!(%contract, error = &error as &dyn std::error::Error, "no link pass was asked for");
            not_asked(
                "They are stored. They are linked after the next import: no pass could be asked for now.",
            )
        }
    }
}
