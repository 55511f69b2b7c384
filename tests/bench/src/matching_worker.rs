//! The worker process of the matching bench: its peak memory is that of one link run and nothing else.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};
use matching::bulk::{self, Options, Outcome};
use matching::columns::record;
use matching::{Bits, Clean, Kind, Model, Record};
use serde::{Deserialize, Serialize};

use crate::matching_paths;
use crate::matching_sets::{
    Cut, Judge, Mode, Reading, Rows, kind, open, read, read_truth, write_links,
};
use crate::meter::{peak_memory, thread_cpu};

/// The region of phone numbers without a country code, as a contract's default region.
const REGION: Option<&str> = Some("US");
/// Candidates of a record that comes in alone.
const CANDIDATES: usize = 50;
/// From here on the engine links: `Outcome::ranked` is in bits for and against.
const OWN_THRESHOLD: Bits = 0;

/// A worker's task in a folder with `left.csv` and `right.csv`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Link and compare with `truth.csv`; answers a [`Judged`].
    Judge {
        folder: PathBuf,
        /// The files for all pairs, and for the links.
        dump: Option<[PathBuf; 2]>,
        /// The number of wrong links and of missed links to show.
        errors: usize,
    },
    /// From CSV files to `links.csv`; answers a [`Linked`].
    Link { folder: PathBuf },
    /// The same by equal e-mail addresses alone.
    Join { folder: PathBuf },
    /// Links the set as users have it linked; answers each [`Way`](matching_paths::Way).
    Paths { folder: PathBuf },
    /// One record at a time; answers the seconds of processor time for each.
    Online { folder: PathBuf, times: usize },
}

/// The results of linking a labelled set.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Judged {
    pub(crate) kind: Kind,
    pub(crate) linked: Linked,
    pub(crate) candidate_recall: f64,
    pub(crate) one_to_one: Verdict,
    pub(crate) per_record: Verdict,
    pub(crate) left_out: Vec<String>,
    /// Wrong and missed links, for people to read.
    pub(crate) errors: Vec<String>,
}

/// At our threshold and at the best one.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Verdict {
    pub(crate) own: Cut,
    pub(crate) best: Cut,
}

/// The cost of a link run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Linked {
    pub(crate) left: usize,
    pub(crate) right: usize,
    pub(crate) links: usize,
    pub(crate) candidates: u64,
    pub(crate) seconds: f64,
    pub(crate) stages: Vec<(String, f64)>,
    pub(crate) peak_megabytes: f64,
    /// The keys that were cut, and the number of records that share each on either side.
    pub(crate) cut: Vec<(String, u64, u64)>,
}

/// Reads the task from standard input and writes the results to standard output.
pub(crate) fn run() -> Result<()> {
    let answer = match serde_json::from_reader(std::io::stdin())? {
        Task::Judge {
            folder,
            dump,
            errors,
        } => serde_json::to_string(&judge(&folder, dump.as_ref(), errors)?),
        Task::Link { folder } => serde_json::to_string(&stream(&folder)?),
        Task::Join { folder } => serde_json::to_string(&join(&folder)?),
        Task::Paths { folder } => serde_json::to_string(&matching_paths::run(&folder)?),
        Task::Online { folder, times } => serde_json::to_string(&online(&folder, times)?),
    };
    println!("{}", answer?);
    Ok(())
}

/// From file to file: rows are brought to normal form as they are read, and are not kept.
fn stream(folder: &Path) -> Result<Linked> {
    let began = Instant::now();
    let kind = kind(&folder.join("left.csv"))?;
    let read = |file| -> Result<(Vec<String>, Vec<Clean>)> {
        let mut ids = Vec::new();
        let mut failed = None;
        let Reading {
            reader,
            id,
            columns,
            ..
        } = open(&folder.join(file), kind)?;
        let rows = reader.into_records().map_while(|row| match row {
            Ok(row) => {
                ids.push(row.get(id).unwrap_or_default().to_owned());
                Some(row)
            }
            Err(error) => {
                failed = Some(error.into());
                None
            }
        });
        let cleaned = bulk::clean(kind, rows, |row| record(&columns, row), REGION);
        failed.map_or(Ok((ids, cleaned)), Err)
    };
    let (left, right) = std::thread::scope(|scope| {
        let right = scope.spawn(|| read("right.csv"));
        (read("left.csv"), right.join())
    });
    let right = right.map_err(|_| anyhow::anyhow!("reading the right table failed"))?;
    let ((left_ids, left), (right_ids, right)) = (left?, right?);
    let mut stages = vec![("read and clean".to_owned(), began.elapsed().as_secs_f64())];
    let outcome = bulk::link_clean(kind, &left, &right, &Options::default());
    let seconds =
        |(stage, time): &(&str, std::time::Duration)| ((*stage).to_owned(), time.as_secs_f64());
    stages.extend(outcome.stages.iter().map(seconds));
    let writing = Instant::now();
    write_links(
        &folder.join("links.csv"),
        &outcome.links,
        &left_ids,
        &right_ids,
    )?;
    stages.push(("write".to_owned(), writing.elapsed().as_secs_f64()));
    Ok(linked(
        began,
        &outcome,
        stages,
        (left_ids.len(), right_ids.len()),
    ))
}

fn link(folder: &Path) -> Result<(Linked, Outcome, [Rows; 2], Kind)> {
    let began = Instant::now();
    let kind = kind(&folder.join("left.csv"))?;
    let read = |file| read(&folder.join(file), kind);
    let (left, right) = std::thread::scope(|scope| {
        let right = scope.spawn(|| read("right.csv"));
        (read("left.csv"), right.join())
    });
    let right = right.map_err(|_| anyhow::anyhow!("reading the right table failed"))?;
    let (left, right) = (left?, right?);
    let mut stages = vec![("read".to_owned(), began.elapsed().as_secs_f64())];
    let outcome = bulk::link(
        kind,
        &left.records,
        &right.records,
        REGION,
        &Options::default(),
    );
    let seconds =
        |(stage, time): &(&str, std::time::Duration)| ((*stage).to_owned(), time.as_secs_f64());
    stages.extend(outcome.stages.iter().map(seconds));
    let linked = linked(began, &outcome, stages, (left.ids.len(), right.ids.len()));
    Ok((linked, outcome, [left, right], kind))
}

fn linked(
    began: Instant,
    outcome: &Outcome,
    stages: Vec<(String, f64)>,
    (left, right): (usize, usize),
) -> Linked {
    Linked {
        left,
        right,
        links: outcome.links.len(),
        candidates: outcome.candidates,
        seconds: began.elapsed().as_secs_f64(),
        stages,
        peak_megabytes: peak_memory(std::process::id()).unwrap_or_default(),
        cut: outcome
            .cut
            .iter()
            .map(|cut| (cut.key.to_owned(), cut.left, cut.right))
            .collect(),
    }
}

fn judge(folder: &Path, dump: Option<&[PathBuf; 2]>, errors: usize) -> Result<Judged> {
    let (linked, outcome, sides, kind) = link(folder)?;
    let [left, right] = &sides;
    if let Some([pairs, links]) = dump {
        write_links(pairs, &outcome.ranked, &left.ids, &right.ids)?;
        write_links(links, &outcome.links, &left.ids, &right.ids)?;
    }
    let truth = read_truth(&folder.join("truth.csv"), &left.ids, &right.ids)?;
    let judge = Judge::new(truth, &left.ids, &right.ids);
    let own = Cut {
        threshold: OWN_THRESHOLD,
        quality: judge.all(&outcome.links, Mode::OneToOne),
    };
    let mut left_out = left.left_out.clone();
    left_out.extend(
        right
            .left_out
            .iter()
            .filter(|name| !left.left_out.contains(name))
            .cloned(),
    );
    Ok(Judged {
        kind,
        candidate_recall: judge.recall(&outcome.pairs),
        one_to_one: Verdict {
            own,
            best: judge.best(&outcome.ranked, Mode::OneToOne),
        },
        per_record: Verdict {
            own: judge.at(OWN_THRESHOLD, &outcome.ranked, Mode::BestPerRecord),
            best: judge.best(&outcome.ranked, Mode::BestPerRecord),
        },
        left_out,
        errors: Errors {
            judge: &judge,
            outcome: &outcome,
            sides: &sides,
            kind,
        }
        .tell(errors)?,
        linked,
    })
}

/// The wrong and missed links, for people to read.
struct Errors<'a> {
    judge: &'a Judge,
    outcome: &'a Outcome,
    sides: &'a [Rows; 2],
    kind: Kind,
}

impl Errors<'_> {
    /// Up to `count` wrong links and as many missed ones, from all over the list of each.
    fn tell(&self, count: usize) -> Result<Vec<String>> {
        let mut told = Vec::new();
        if count == 0 {
            return Ok(told);
        }
        let mut wrong: Vec<_> = self
            .outcome
            .links
            .iter()
            .filter(|link| !self.judge.is_true(link))
            .collect();
        wrong.sort_by_key(|link| (std::cmp::Reverse(link.score), link.left));
        for link in spread(&wrong, count) {
            let known = self.judge.truth().iter();
            let known = known.filter(|(left, right)| *left == link.left || *right == link.right);
            let known: Vec<_> = known
                .map(|(left, right)| self.names(*left, *right))
                .collect();
            let title = format!(
                "WRONG {} at {:.1} bits; in truth: {}",
                self.names(link.left, link.right),
                bulk::bits(link.score),
                list(&known)
            );
            told.push(self.pair(&title, link.left, link.right)?);
        }
        let linked: HashSet<_> = self
            .outcome
            .links
            .iter()
            .map(|link| (link.left, link.right))
            .collect();
        let ranked: HashMap<_, _> = self
            .outcome
            .ranked
            .iter()
            .map(|link| ((link.left, link.right), link.score))
            .collect();
        let mut missed: Vec<_> = self.judge.truth().difference(&linked).copied().collect();
        missed.sort_unstable();
        for (left, right) in spread(&missed, count).copied() {
            let instead = self
                .outcome
                .links
                .iter()
                .filter(|link| link.left == left || link.right == right);
            let instead: Vec<_> = instead
                .map(|link| {
                    format!(
                        "{} at {:.1}",
                        self.names(link.left, link.right),
                        bulk::bits(link.score)
                    )
                })
                .collect();
            let score = ranked
                .get(&(left, right))
                .map_or("no candidate".to_owned(), |score| {
                    format!("{:.1} bits", bulk::bits(*score))
                });
            let title = format!(
                "MISSED {}, {score}; linked instead: {}",
                self.names(left, right),
                list(&instead)
            );
            told.push(self.pair(&title, left, right)?);
        }
        Ok(told)
    }

    fn names(&self, left: u32, right: u32) -> String {
        let [lefts, rights] = self.sides;
        let id = |side: &Rows, at: u32| side.ids.get(index(at)).cloned().unwrap_or_default();
        format!("{} = {}", id(lefts, left), id(rights, right))
    }

    fn pair(&self, title: &str, left: u32, right: u32) -> Result<String> {
        let [lefts, rights] = self.sides;
        let record = |side: &Rows, at: u32| {
            side.records
                .get(index(at))
                .cloned()
                .context("no such record")
        };
        let (left, right) = (record(lefts, left)?, record(rights, right)?);
        let clean = |record: &Record| Clean::new(self.kind, record, REGION);
        let explanation = self.outcome.model.explain(&clean(&left), &clean(&right));
        let mut text = format!(
            "{title}\n    {}\n    {}\n    score {:.1}, threshold {:.1}:",
            serde_json::to_string(&left)?,
            serde_json::to_string(&right)?,
            bulk::bits(explanation.score),
            bulk::bits(explanation.threshold)
        );
        for field in &explanation.fields {
            text.push_str(&format!(
                " {} {} {:+.1},",
                field.field,
                field.level,
                bulk::bits(field.weight)
            ));
        }
        Ok(text.trim_end_matches(',').to_owned())
    }
}

fn list(items: &[String]) -> String {
    if items.is_empty() {
        "nothing".to_owned()
    } else {
        items.join(", ")
    }
}

/// Up to `count` items in equal steps.
fn spread<T>(items: &[T], count: usize) -> impl Iterator<Item = &T> {
    items
        .iter()
        .step_by(items.len().div_ceil(count.max(1)).max(1))
}

fn index(at: u32) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

/// The baseline without a linking engine: a join by equal e-mail addresses.
fn join(folder: &Path) -> Result<Linked> {
    let began = Instant::now();
    let read = |file: &str| -> Result<Vec<[String; 2]>> {
        let mut reader = csv::Reader::from_path(folder.join(file))?;
        let at = |header: &csv::StringRecord, name: &str| {
            let place = header
                .iter()
                .position(|column| column.eq_ignore_ascii_case(name));
            place.with_context(|| format!("{file} has no {name}"))
        };
        let header = reader.headers()?.clone();
        let (id, email) = (at(&header, "id")?, at(&header, "email")?);
        let mut rows = Vec::new();
        for row in reader.records() {
            let row = row?;
            rows.push([
                row.get(id).unwrap_or_default().to_owned(),
                row.get(email).unwrap_or_default().to_lowercase(),
            ]);
        }
        Ok(rows)
    };
    let (left, right) = (read("left.csv")?, read("right.csv")?);
    let mut owners = HashMap::new();
    for [id, email] in &right {
        if !email.is_empty() {
            owners.entry(email).or_insert(id);
        }
    }
    let mut writer = csv::Writer::from_path(folder.join("joined.csv"))?;
    writer.write_record(["left_id", "right_id"])?;
    let mut links = 0;
    for [id, email] in &left {
        if let Some(other) = owners.get(email) {
            writer.write_record([id, *other])?;
            links += 1;
        }
    }
    writer.flush()?;
    Ok(Linked {
        left: left.len(),
        right: right.len(),
        links,
        seconds: began.elapsed().as_secs_f64(),
        peak_megabytes: peak_memory(std::process::id()).unwrap_or_default(),
        ..Linked::default()
    })
}

/// Processor seconds to bring a record into normal form and to find its best candidate. The candidates are
/// the records with the nearest names in the alphabet: none is ruled out at the first look.
fn online(folder: &Path, times: usize) -> Result<f64> {
    let kind = kind(&folder.join("left.csv"))?;
    let left = read(&folder.join("left.csv"), kind)?.records;
    let mut right = read(&folder.join("right.csv"), kind)?.records;
    let name = |record: &Record| {
        (
            record.last_name.to_lowercase(),
            record.first_name.to_lowercase(),
        )
    };
    right.sort_by_cached_key(name);
    let names: Vec<_> = right.iter().map(name).collect();
    let clean: Vec<_> = right
        .iter()
        .map(|record| Clean::new(kind, record, REGION))
        .collect();
    let model = Model::shipped(kind);
    let work: Vec<_> = left
        .iter()
        .cycle()
        .take(times)
        .map(|record| {
            let place = names.partition_point(|other| *other < name(record));
            let first = place
                .saturating_sub(CANDIDATES / 2)
                .min(clean.len().saturating_sub(CANDIDATES));
            (
                record,
                clean.iter().zip(0_u32..).skip(first).take(CANDIDATES),
            )
        })
        .collect();
    let began = thread_cpu();
    for (record, candidates) in work {
        let one = Clean::new(kind, black_box(record), REGION);
        black_box(model.best(&one, candidates.map(|(candidate, at)| (at, candidate))));
    }
    let took = thread_cpu().saturating_sub(began);
    Ok(took.as_secs_f64() / f64::from(u32::try_from(times)?.max(1)))
}

/// The quality of the links that a worker wrote.
pub(crate) fn quality(
    folder: &Path,
    truth: &HashSet<(String, String)>,
) -> Result<crate::matching_sets::Quality> {
    let mut reader = csv::Reader::from_reader(fs::File::open(folder.join("links.csv"))?);
    let (mut right, mut predicted) = (0, 0);
    for row in reader.records() {
        let row = row?;
        let id = |at| row.get(at).unwrap_or_default().to_owned();
        right += u32::from(truth.contains(&(id(0), id(1))));
        predicted += 1;
    }
    Ok(crate::matching_sets::Quality::new(
        right,
        predicted,
        u32::try_from(truth.len())?,
    ))
}
