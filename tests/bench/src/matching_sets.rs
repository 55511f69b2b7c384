//! Labelled sets: two tables, and the true pairs of their rows. Reads them from CSV, and judges link runs on
//! them.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use matching::assign::Link;
use matching::columns::{Column, record, suggest};
use matching::{Bits, Kind, Record};
use serde::{Deserialize, Serialize};

/// Folders below this one, at any depth, that hold a labelled set, in the order of their names.
pub(crate) fn find(folder: &Path) -> Result<Vec<PathBuf>> {
    let complete = ["left.csv", "right.csv", "truth.csv"]
        .iter()
        .all(|file| folder.join(file).is_file());
    let mut found = Vec::new();
    if complete {
        found.push(folder.to_owned());
    }
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut below = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            below.push(path);
        }
    }
    below.sort();
    for path in below {
        found.extend(find(&path)?);
    }
    Ok(found)
}

/// One table.
pub(crate) struct Rows {
    pub(crate) ids: Vec<String>,
    pub(crate) records: Vec<Record>,
    /// Columns that say nothing of a person or company.
    pub(crate) left_out: Vec<String>,
}

/// People have a first or a last name; all else are companies.
pub(crate) fn kind(file: &Path) -> Result<Kind> {
    let mut reader = csv::Reader::from_path(file)?;
    let header: Vec<_> = reader.headers()?.iter().map(str::to_owned).collect();
    let header: Vec<_> = header.iter().map(String::as_str).collect();
    let columns = suggest(Kind::Person, &header);
    let named = columns
        .into_iter()
        .flatten()
        .any(|column| matches!(column, Column::FirstName | Column::LastName));
    Ok(if named { Kind::Person } else { Kind::Company })
}

/// The layout of a table: the column that identifies rows, and the fields of the others.
pub(crate) struct Reading {
    pub(crate) reader: csv::Reader<fs::File>,
    pub(crate) id: usize,
    pub(crate) columns: Vec<Option<Column>>,
    left_out: Vec<String>,
}

/// Opens a table whose column `id` identifies rows; the fields of the other columns follow from their names.
pub(crate) fn open(file: &Path, kind: Kind) -> Result<Reading> {
    let mut reader =
        csv::Reader::from_path(file).with_context(|| format!("cannot read {}", file.display()))?;
    let header = reader.headers()?.clone();
    let names: Vec<&str> = header.iter().collect();
    let id = names.iter().position(|name| *name == "id");
    let id = id.with_context(|| format!("{} has no column `id`", file.display()))?;
    let mut columns = suggest(kind, &names);
    let left_out = names.iter().zip(&columns).enumerate();
    let left_out = left_out.filter(|(at, (_, column))| *at != id && column.is_none());
    let left_out = left_out.map(|(_, (name, _))| (*name).to_owned()).collect();
    if let Some(column) = columns.get_mut(id) {
        *column = None;
    }
    Ok(Reading {
        reader,
        id,
        columns,
        left_out,
    })
}

impl Reading {
    fn rows(self) -> impl Iterator<Item = Result<(String, Record)>> + use<> {
        let Self {
            mut reader,
            id,
            columns,
            ..
        } = self;
        let mut row = csv::StringRecord::new();
        std::iter::from_fn(move || match reader.read_record(&mut row) {
            Ok(true) => Some(Ok((
                row.get(id).unwrap_or_default().to_owned(),
                record(&columns, &row),
            ))),
            Ok(false) => None,
            Err(error) => Some(Err(error.into())),
        })
    }
}

/// A table as a whole.
pub(crate) fn read(file: &Path, kind: Kind) -> Result<Rows> {
    let mut reading = open(file, kind)?;
    let left_out = std::mem::take(&mut reading.left_out);
    let all: Vec<(String, Record)> = reading.rows().collect::<Result<_>>()?;
    let (ids, records) = all.into_iter().unzip();
    Ok(Rows {
        ids,
        records,
        left_out,
    })
}

/// The pairs that are one, by the places of their rows.
pub(crate) fn read_truth(
    file: &Path,
    left: &[String],
    right: &[String],
) -> Result<HashSet<(u32, u32)>> {
    let places = |ids: &[String]| -> Result<HashMap<String, u32>> {
        let places: HashMap<_, _> = ids.iter().cloned().zip(0..).collect();
        ensure!(
            places.len() == ids.len(),
            "an id stands twice beside {}",
            file.display()
        );
        Ok(places)
    };
    let (lefts, rights) = (places(left)?, places(right)?);
    let mut truth = HashSet::new();
    let mut reader = csv::Reader::from_path(file)?;
    for row in reader.records() {
        let row = row?;
        let place =
            |places: &HashMap<String, u32>, at| row.get(at).and_then(|id| places.get(id)).copied();
        let pair = place(&lefts, 0).zip(place(&rights, 1));
        truth.insert(
            pair.with_context(|| format!("{} names a row that is not there", file.display()))?,
        );
    }
    Ok(truth)
}

/// Writes pairs as `left_id,right_id,score`.
pub(crate) fn write_links(
    file: &Path,
    links: &[Link],
    left: &[String],
    right: &[String],
) -> Result<()> {
    let mut writer =
        csv::Writer::from_path(file).with_context(|| format!("cannot write {}", file.display()))?;
    writer.write_record(["left_id", "right_id", "score"])?;
    for link in links {
        let id =
            |ids: &[String], at: u32| usize::try_from(at).ok().and_then(|at| ids.get(at)).cloned();
        let (left, right) = (id(left, link.left), id(right, link.right));
        writer.write_record([
            left.context("a link without its left")?,
            right.context("a link without its right")?,
            link.score.to_string(),
        ])?;
    }
    writer.flush()?;
    Ok(())
}

/// The mode of linking: a record of the right is taken once at most, or by several of the left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    OneToOne,
    BestPerRecord,
}

/// The quality of links, rounded to five digits after the point.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Quality {
    pub(crate) precision: f64,
    pub(crate) recall: f64,
    pub(crate) f1: f64,
    pub(crate) right: u32,
    pub(crate) predicted: u32,
    pub(crate) truth: u32,
}

impl Quality {
    pub(crate) fn new(right: u32, predicted: u32, truth: u32) -> Self {
        let part = |of: u32| match of {
            0 => 0.0,
            of => f64::from(right) / f64::from(of),
        };
        let (precision, recall) = (part(predicted), part(truth));
        let f1 = if right > 0 {
            2.0 * precision * recall / (precision + recall)
        } else {
            0.0
        };
        let rounded = |value: f64| format!("{value:.5}").parse().unwrap_or(value);
        Self {
            precision: rounded(precision),
            recall: rounded(recall),
            f1: rounded(f1),
            right,
            predicted,
            truth,
        }
    }
}

/// A threshold, and the quality of the links from there on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cut {
    pub(crate) threshold: Bits,
    pub(crate) quality: Quality,
}

/// The judge of pairs on labelled data.
pub(crate) struct Judge {
    truth: HashSet<(u32, u32)>,
    /// The order of the ids of each side as texts: it decides between equal scores.
    ranks: [Vec<u32>; 2],
}

impl Judge {
    pub(crate) fn new(truth: HashSet<(u32, u32)>, left: &[String], right: &[String]) -> Self {
        let ranks = |ids: &[String]| {
            let mut order: Vec<_> = ids.iter().zip(0_u32..).collect();
            order.sort();
            let mut ranks: Vec<_> = order.into_iter().map(|(_, place)| place).zip(0..).collect();
            ranks.sort_unstable();
            ranks.into_iter().map(|(_, rank)| rank).collect()
        };
        Self {
            truth,
            ranks: [ranks(left), ranks(right)],
        }
    }

    pub(crate) fn truth(&self) -> &HashSet<(u32, u32)> {
        &self.truth
    }

    pub(crate) fn is_true(&self, link: &Link) -> bool {
        self.truth.contains(&(link.left, link.right))
    }

    /// The share of the true pairs that is among these pairs.
    pub(crate) fn recall(&self, pairs: &[Link]) -> f64 {
        let found: HashSet<_> = pairs
            .iter()
            .filter(|pair| self.is_true(pair))
            .map(|pair| (pair.left, pair.right))
            .collect();
        Quality::new(count(found.len()), 0, count(self.truth.len())).recall
    }

    /// The quality of pairs, once each record is used as often as the mode allows.
    pub(crate) fn all(&self, pairs: &[Link], mode: Mode) -> Quality {
        self.quality(&self.assign(pairs, mode))
    }

    /// The quality of the pairs whose score reaches a threshold.
    pub(crate) fn at(&self, threshold: Bits, pairs: &[Link], mode: Mode) -> Cut {
        let mut kept = self.assign(pairs, mode);
        kept.retain(|pair| pair.score >= threshold);
        Cut {
            threshold,
            quality: self.quality(&kept),
        }
    }

    /// The threshold that would have been best, chosen by looking at the truth.
    pub(crate) fn best(&self, pairs: &[Link], mode: Mode) -> Cut {
        let kept = self.assign(pairs, mode);
        let truth = count(self.truth.len());
        let mut best: Option<Cut> = None;
        let (mut right, mut predicted) = (0, 0);
        let mut following = kept.iter().skip(1);
        for pair in &kept {
            right += u32::from(self.is_true(pair));
            predicted += 1;
            // A threshold does not part equal scores.
            if following
                .next()
                .is_some_and(|next| next.score == pair.score)
            {
                continue;
            }
            let quality = Quality::new(right, predicted, truth);
            if best.is_none_or(|best| quality.f1 > best.quality.f1) {
                best = Some(Cut {
                    threshold: pair.score,
                    quality,
                });
            }
        }
        best.unwrap_or_default()
    }

    fn quality(&self, kept: &[Link]) -> Quality {
        let right = kept.iter().filter(|pair| self.is_true(pair)).count();
        Quality::new(count(right), count(kept.len()), count(self.truth.len()))
    }

    /// Pairs by falling score (equal ones by id), each record used as often as the mode lets it.
    fn assign(&self, pairs: &[Link], mode: Mode) -> Vec<Link> {
        let [left, right] = &self.ranks;
        let rank = |ranks: &[u32], at: u32| {
            usize::try_from(at)
                .ok()
                .and_then(|at| ranks.get(at))
                .copied()
        };
        let mut sorted = pairs.to_vec();
        sorted.sort_by_key(|pair| {
            (
                std::cmp::Reverse(pair.score),
                rank(left, pair.left),
                rank(right, pair.right),
            )
        });
        let (mut lefts, mut rights) = (HashSet::new(), HashSet::new());
        sorted.retain(|pair| {
            let taken = lefts.contains(&pair.left)
                || mode == Mode::OneToOne && rights.contains(&pair.right);
            if !taken {
                lefts.insert(pair.left);
                rights.insert(pair.right);
            }
            !taken
        });
        sorted
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use matching::assign::Link;

    use super::{Judge, Mode, Quality};

    fn judge() -> Judge {
        let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        // As texts: L1 < L10 < L2, and the same on the right.
        let (left, right) = (ids(&["L2", "L10", "L1"]), ids(&["R2", "R10", "R1"]));
        Judge::new([(0, 0), (1, 1), (2, 2)].into(), &left, &right)
    }

    fn link(left: u32, right: u32, score: i32) -> Link {
        Link { left, right, score }
    }

    #[test]
    fn pairs_are_taken_by_score_and_equal_ones_by_id() {
        let judge = judge();
        let pairs = [
            link(0, 1, 5),
            link(1, 1, 5),
            link(0, 0, 5),
            link(2, 2, 1),
            link(2, 1, 3),
        ];
        let ones = judge.assign(&pairs, Mode::OneToOne);
        assert_eq!(ones, [link(1, 1, 5), link(0, 0, 5), link(2, 2, 1)]);
        assert_eq!(judge.all(&pairs, Mode::OneToOne), Quality::new(3, 3, 3));
        // L2's best are R10 and R2 alike: R10 is the first text. L1 keeps its best, which L10 has too.
        let best = judge.assign(&pairs, Mode::BestPerRecord);
        assert_eq!(best, [link(1, 1, 5), link(0, 1, 5), link(2, 1, 3)]);
        assert_eq!(
            judge.all(&pairs, Mode::BestPerRecord),
            Quality::new(1, 3, 3)
        );
        assert!((judge.recall(&pairs) - 1.0).abs() < 1e-9);
        assert!((judge.recall(&pairs[..2]) - 0.33333).abs() < 1e-9);
    }

    #[test]
    fn the_best_threshold_does_not_part_equal_scores() {
        let judge = judge();
        let pairs = [link(1, 1, 9), link(0, 0, 4), link(2, 0, 4)];
        let best = judge.best(&pairs, Mode::OneToOne);
        // L1 comes before L2 and takes R2: one right of two from 4 on, one of one at 9.
        assert_eq!((best.threshold, best.quality), (9, Quality::new(1, 1, 3)));
        assert_eq!(
            judge.at(4, &pairs, Mode::OneToOne).quality,
            Quality::new(1, 2, 3)
        );
        assert_eq!(
            judge.at(5, &pairs, Mode::OneToOne).quality,
            Quality::new(1, 1, 3)
        );
        // The first of two equal ones alone would be better.
        let equal = judge.best(&[link(0, 1, 4), link(2, 2, 4)], Mode::OneToOne);
        assert_eq!((equal.threshold, equal.quality), (4, Quality::new(1, 2, 3)));
        assert!((best.quality.f1 - 0.5).abs() < 1e-9);
        assert_eq!(judge.best(&[], Mode::OneToOne).quality, Quality::default());
    }
}
