//! The quality of linking on labelled sets, and the cost of a link run, beside a bare join by equal e-mail
//! addresses.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use local::people::{Table, Tables, companies, people};
use matching::Kind;
use serde::de::DeserializeOwned;

use crate::matching_paths::Way;
use crate::matching_sets::{Quality, find};
use crate::matching_worker::{Judged, Linked, Task, Verdict, quality};
use crate::prices::Prices;
use crate::report::{Row, Section, Target};
use crate::rig::Units;

/// The variable with the folder of labelled sets, used without `--sets`.
const SETS: &str = "LEADBRIDGE_MATCHING";
/// Limits on the seconds and megabytes of a link run of 100,000 by 100,000 people on two cores.
const MOST_SECONDS: f64 = 3.0;
const MOST_MEGABYTES: f64 = 500.0;

/// The options of the measurement.
pub(crate) struct Options {
    pub(crate) quick: bool,
    pub(crate) sets: Option<PathBuf>,
    pub(crate) dump: Option<PathBuf>,
    pub(crate) errors: usize,
}

/// Measures.
pub(crate) fn run(options: &Options) -> Result<Section> {
    let mut section = Section::new("matching");
    let mut lines = vec![HEAD.map(str::to_owned)];
    let mut ways = vec![WAYS_HEAD.map(str::to_owned)];
    let made = tempfile::tempdir()?;
    let count = if options.quick { 1_000 } else { 5_000 };
    for (name, tables) in [
        ("people", people(20, count)),
        ("companies", companies(21, count)),
    ] {
        let name = format!("generated/{name}");
        let folder = made.path().join(&name);
        write(&folder, &tables, true)?;
        let judged = judge(&name, &folder, options, &mut lines, &mut section)?;
        as_users_have_it(&name, &folder, &mut ways, &mut section)?;
        // Every column of these says something.
        ensure!(
            judged.left_out.is_empty(),
            "columns were not understood: {}",
            judged.left_out.join(", ")
        );
    }
    if let Some(sets) = options.sets.clone().or_else(sets_of_the_environment) {
        let folders = find(&sets)?;
        ensure!(
            !folders.is_empty(),
            "{} has no folder with left.csv, right.csv and truth.csv",
            sets.display()
        );
        for folder in folders {
            let name = folder.strip_prefix(&sets).unwrap_or(&folder);
            let name = name.display().to_string();
            judge(&name, &folder, options, &mut lines, &mut section)?;
            as_users_have_it(&name, &folder, &mut ways, &mut section)?;
        }
    }
    costs(options.quick, &mut section)?;
    for line in table(&lines).into_iter().chain(table(&ways)) {
        section.note(line);
    }
    section.note("F1 stands beside that at the best threshold for the set, which looks at the truth. “One-to-one” uses each record once; “each left” lets several of the left have one of the right.");
    section.note("Each run has a process of its own, from CSV files to a CSV file of links, learning included. Baseline: reads the same files and joins by equal e-mail addresses in lowercase.");
    Ok(section)
}

#[expect(clippy::disallowed_methods, reason = "the bench's one variable")]
fn sets_of_the_environment() -> Option<PathBuf> {
    std::env::var_os(SETS).map(PathBuf::from)
}

/// One set: its F1 for the section, everything for the table below.
fn judge(
    name: &str,
    folder: &Path,
    options: &Options,
    lines: &mut Vec<[String; COLUMNS]>,
    section: &mut Section,
) -> Result<Judged> {
    let dump = match &options.dump {
        Some(dump) => {
            fs::create_dir_all(dump)?;
            let file =
                |end: &str| dump.join(format!("{}{end}.csv", name.replace(['/', '\\'], "-")));
            Some([file(""), file(".links")])
        }
        None => None,
    };
    let judged: Judged = worker(&Task::Judge {
        folder: folder.to_owned(),
        dump,
        errors: options.errors,
    })?;
    for error in &judged.errors {
        println!("{name}: {error}");
    }
    for (mode, verdict) in [
        ("one-to-one", &judged.one_to_one),
        ("each left", &judged.per_record),
    ] {
        section.row(
            Row::new(format!("{name}, F1 {mode}"), "", verdict.own.quality.f1)
                .beside(verdict.best.quality.f1),
        );
        lines.push(line(name, mode, verdict, &judged));
    }
    Ok(judged)
}

const COLUMNS: usize = 14;
const HEAD: [&str; COLUMNS] = [
    "set",
    "",
    "records",
    "mode",
    "precision",
    "recall",
    "F1",
    "best F1",
    "at bits",
    "candidates each",
    "their recall",
    "records/s",
    "MB",
    "left out",
];

fn line(name: &str, mode: &str, verdict: &Verdict, judged: &Judged) -> [String; COLUMNS] {
    let linked = &judged.linked;
    let own = &verdict.own.quality;
    let records = linked.left + linked.right;
    let kind = match judged.kind {
        Kind::Person => "people",
        Kind::Company => "companies",
    };
    [
        name.to_owned(),
        kind.to_owned(),
        format!("{} x {}", linked.left, linked.right),
        mode.to_owned(),
        format!("{:.4}", own.precision),
        format!("{:.4}", own.recall),
        format!("{:.4}", own.f1),
        format!("{:.4}", verdict.best.quality.f1),
        format!("{:.2}", matching::bulk::bits(verdict.best.threshold)),
        format!("{:.1}", each(linked)),
        format!("{:.4}", judged.candidate_recall),
        format!("{:.0}", decimal(records) / linked.seconds),
        format!("{:.0}", linked.peak_megabytes),
        judged.left_out.join(" "),
    ]
}

const WAYS: usize = 14;
const WAYS_HEAD: [&str; WAYS] = [
    "set",
    "CRM",
    "records",
    "way",
    "precision",
    "recall",
    "F1",
    "best F1",
    "recall of kept",
    "keys each",
    "reads each",
    "read units each",
    "write units each",
    "USD for a million",
];

/// One set as the product links it: by a pass, and entry by entry.
fn as_users_have_it(
    name: &str,
    folder: &Path,
    lines: &mut Vec<[String; WAYS]>,
    section: &mut Section,
) -> Result<()> {
    let prices = Prices::list()?;
    let ways: Vec<Way> = worker(&Task::Paths {
        folder: folder.to_owned(),
    })?;
    for way in &ways {
        let (crm, of) = (way.crm.as_str(), if way.online { "online" } else { "pass" });
        section.row(
            Row::new(format!("{name}, F1 {of}, {crm}"), "", way.own.quality.f1)
                .beside(way.best.quality.f1),
        );
        let each = |count: f64| count / decimal(way.entries.max(1));
        if way.online {
            let processor = each(way.processor) * 1e3;
            let row = Row::new(
                format!("{name}, processor time of a link online, {crm}"),
                "ms",
                processor,
            );
            section.row(row);
        }
        let (units, own) = (Units::of(&way.usage), &way.own.quality);
        let price = each(prices.table(&way.usage)) * 1e6;
        lines.push([
            name.to_owned(),
            crm.to_owned(),
            format!("{} x {}", way.entries, way.records),
            of.to_owned(),
            format!("{:.4}", own.precision),
            format!("{:.4}", own.recall),
            format!("{:.4}", own.f1),
            format!("{:.4}", way.best.quality.f1),
            format!("{:.4}", way.candidate_recall),
            format!("{:.2}", way.keys),
            format!("{:.2}", each(units.reads)),
            format!("{:.2}", each(units.read_capacity)),
            format!("{:.2}", each(units.write_capacity)),
            format!("{price:.2}"),
        ]);
    }
    Ok(())
}

/// Cells in columns, words to the left and numbers to the right.
fn table(lines: &[[String; COLUMNS]]) -> Vec<String> {
    let mut widths = [0; COLUMNS];
    for line in lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let shown = lines.iter().map(|line| {
        let cells = line.iter().zip(widths).enumerate();
        let cells: Vec<_> = cells
            .map(|(at, (cell, width))| match at {
                4..=12 => format!("{cell:>width$}"),
                _ => format!("{cell:<width$}"),
            })
            .collect();
        cells.join("  ").trim_end().to_owned()
    });
    shown.collect()
}

/// Time and memory of large and of unkind inputs.
fn costs(quick: bool, section: &mut Section) -> Result<()> {
    let count = if quick { 5_000 } else { 100_000 };
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let tables = people(22, count);
    write(folder, &tables, false)?;
    let id = |table: &Table, row: usize| table.rows.get(row).and_then(|row| row.first()).cloned();
    let pair =
        |(left, right): &(usize, usize)| id(&tables.left, *left).zip(id(&tables.right, *right));
    let truth: HashSet<_> = tables.truth.iter().filter_map(pair).collect();
    drop(tables);
    let ours: Linked = worker(&Task::Link {
        folder: folder.to_owned(),
    })?;
    let bare: Linked = worker(&Task::Join {
        folder: folder.to_owned(),
    })?;
    let found = quality(folder, &truth)?;
    large(&ours, &bare, &found, quick, section);
    let online: f64 = worker(&Task::Online {
        folder: folder.to_owned(),
        times: if quick { 1_000 } else { 10_000 },
    })?;
    section.row(Row::new(
        "one record with 50 candidates, processor time",
        "us",
        online * 1e6,
    ));

    let count = if quick { 2_000 } else { 20_000 };
    let mut tables = people(23, count);
    for table in [&mut tables.left, &mut tables.right] {
        for cell in table.rows.iter_mut().filter_map(|row| row.get_mut(3)) {
            "info@shared-mailbox.com".clone_into(cell);
        }
    }
    unkind("one e-mail address for all", &tables, section)?;
    let count = if quick { 5_000 } else { 100_000 };
    unkind("the same record throughout", &alike(count), section)
}

fn large(ours: &Linked, bare: &Linked, found: &Quality, quick: bool, section: &mut Section) {
    let name = |what: &str| format!("{} x {} people, {what}", ours.left, ours.right);
    let time = Row::new(name("time"), "s", ours.seconds).beside(bare.seconds);
    let memory =
        Row::new(name("peak memory"), "MB", ours.peak_megabytes).beside(bare.peak_megabytes);
    if quick {
        section.row(time);
        section.row(memory);
    } else {
        section.row(time.target(Target::AtMost(MOST_SECONDS)));
        section.row(memory.target(Target::AtMost(MOST_MEGABYTES)));
    }
    for (stage, seconds) in &ours.stages {
        section.row(Row::new(format!("  of which {stage}"), "s", *seconds));
    }
    section.row(Row::new(name("candidates for a record"), "", each(ours)));
    section.row(Row::new(name("links"), "", decimal(ours.links)).beside(decimal(bare.links)));
    section.row(Row::new(name("precision"), "", found.precision));
    section.row(Row::new(name("recall"), "", found.recall));
    section.row(Row::new(name("F1"), "", found.f1));
    cut(&name(""), ours, section);
}

/// The first of some people, again and again.
fn alike(count: usize) -> Tables {
    let mut tables = people(24, 200);
    for table in [&mut tables.left, &mut tables.right] {
        let full = table
            .rows
            .iter()
            .max_by_key(|row| row.iter().filter(|cell| !cell.is_empty()).count());
        let full = full.cloned().unwrap_or_default();
        table.rows = (0..count)
            .map(|number| {
                let mut row = full.clone();
                if let Some(id) = row.first_mut() {
                    *id = number.to_string();
                }
                row
            })
            .collect();
    }
    tables.right.rows.clone_from(&tables.left.rows);
    tables
}

fn unkind(what: &str, tables: &Tables, section: &mut Section) -> Result<()> {
    let folder = tempfile::tempdir()?;
    write(folder.path(), tables, false)?;
    let linked: Linked = worker(&Task::Link {
        folder: folder.path().to_owned(),
    })?;
    let name = |of: &str| format!("{} x {} people, {what}: {of}", linked.left, linked.right);
    section.row(Row::new(name("time"), "s", linked.seconds));
    section.row(Row::new(name("peak memory"), "MB", linked.peak_megabytes));
    section.row(Row::new(name("candidates for a record"), "", each(&linked)));
    section.row(Row::new(name("links"), "", decimal(linked.links)));
    cut(&name(""), &linked, section);
    Ok(())
}

/// Reports the keys that too many records share to compare them all.
fn cut(of: &str, linked: &Linked, section: &mut Section) {
    let most = linked.cut.iter().take(8);
    let most: Vec<_> = most
        .map(|(key, left, right)| format!("{key} ({left} x {right})"))
        .collect();
    if !most.is_empty() {
        let of = of.trim_end_matches([' ', ',', ':']);
        section.note(format!(
            "{of}: {} blocks were cut, such as {}.",
            linked.cut.len(),
            most.join(", ")
        ));
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn each(linked: &Linked) -> f64 {
    linked.candidates as f64 / decimal(linked.left.max(1))
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn decimal(count: usize) -> f64 {
    count as f64
}

/// Writes `left.csv` and `right.csv`, and `truth.csv` if it is needed for judging a link run.
pub(crate) fn write(folder: &Path, tables: &Tables, with_truth: bool) -> Result<()> {
    fs::create_dir_all(folder)?;
    for (file, table) in [("left.csv", &tables.left), ("right.csv", &tables.right)] {
        let mut writer = csv::Writer::from_path(folder.join(file))?;
        writer.write_record(&table.header)?;
        for row in &table.rows {
            writer.write_record(row)?;
        }
        writer.flush()?;
    }
    if with_truth {
        let mut writer = csv::Writer::from_path(folder.join("truth.csv"))?;
        writer.write_record(["left_id", "right_id"])?;
        for (left, right) in &tables.truth {
            let id = |table: &Table, row: usize| {
                table.rows.get(row).and_then(|row| row.first()).cloned()
            };
            let ids = id(&tables.left, *left).zip(id(&tables.right, *right));
            let (left, right) = ids.context("a row of the truth is missing")?;
            writer.write_record([left, right])?;
        }
        writer.flush()?;
    }
    Ok(())
}

/// Runs a task in a process of its own.
fn worker<T: DeserializeOwned>(task: &Task) -> Result<T> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--worker", "matching"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    if let Some(stdin) = child.stdin.take() {
        serde_json::to_writer(stdin, task)?;
    }
    let output = child.wait_with_output()?;
    ensure!(
        output.status.success(),
        "the worker failed: {}",
        output.status
    );
    Ok(serde_json::from_slice(&output.stdout)?)
}
