//! Quality of links on labelled sets. The sets are not ours to distribute: `LEADBRIDGE_MATCHING` names a
//! folder that has some (`left.csv`, `right.csv`, `truth.csv`), and without it these tests check nothing.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use matching::bulk::{self, Options};
use matching::columns::{self, Column};
use matching::{Kind, Record};

/// Minimum harmonic mean of precision and recall at our own threshold.
const GOOD: f64 = 0.945;

fn folders(folder: &Path, found: &mut Vec<PathBuf>) {
    if folder.join("truth.csv").exists() {
        found.push(folder.to_owned());
    }
    for inner in std::fs::read_dir(folder).unwrap() {
        let inner = inner.unwrap().path();
        if inner.is_dir() {
            folders(&inner, found);
        }
    }
}

fn header(file: &Path) -> Vec<String> {
    let mut reader = csv::Reader::from_path(file).unwrap();
    let header = reader.headers().unwrap();
    header.iter().map(str::to_owned).collect()
}

fn read(file: &Path, kind: Kind) -> (HashMap<String, u32>, Vec<Record>) {
    let header = header(file);
    let names: Vec<&str> = header.iter().map(String::as_str).collect();
    let id = names.iter().position(|name| *name == "id").unwrap();
    let columns: Vec<Option<Column>> = columns::suggest(kind, &names);
    let (mut ids, mut records) = (HashMap::new(), Vec::new());
    for row in csv::Reader::from_path(file).unwrap().records() {
        let row = row.unwrap();
        ids.insert(
            row.get(id).unwrap().to_owned(),
            u32::try_from(records.len()).unwrap(),
        );
        let cells = row.iter().enumerate();
        let cells = cells.map(|(at, cell)| if at == id { "" } else { cell });
        records.push(columns::record(&columns, cells));
    }
    (ids, records)
}

#[test]
fn links_of_labelled_sets_are_good_at_our_own_threshold() {
    #[expect(clippy::disallowed_methods, reason = "a test asks where its data are")]
    let Some(folder) = std::env::var_os("LEADBRIDGE_MATCHING") else {
        return;
    };
    let mut sets = Vec::new();
    folders(Path::new(&folder), &mut sets);
    assert!(!sets.is_empty(), "no sets in {}", folder.display());
    for set in sets {
        let columns = columns::suggest(
            Kind::Person,
            &header(&set.join("left.csv"))
                .iter()
                .map(String::as_str)
                .collect::<Vec<_>>(),
        );
        let kind = if columns.contains(&Some(Column::FirstName)) {
            Kind::Person
        } else {
            Kind::Company
        };
        let (left_ids, left) = read(&set.join("left.csv"), kind);
        let (right_ids, right) = read(&set.join("right.csv"), kind);
        let truth: HashSet<(u32, u32)> = csv::Reader::from_path(set.join("truth.csv"))
            .unwrap()
            .records()
            .map(|row| {
                let row = row.unwrap();
                (
                    left_ids[row.get(0).unwrap()],
                    right_ids[row.get(1).unwrap()],
                )
            })
            .collect();
        let outcome = bulk::link(kind, &left, &right, None, &Options::default());
        let found = outcome
            .links
            .iter()
            .filter(|link| truth.contains(&(link.left, link.right)))
            .count();
        let f1 = 2.0 * f64::from(u32::try_from(found).unwrap())
            / f64::from(u32::try_from(outcome.links.len() + truth.len()).unwrap());
        assert!(f1 >= GOOD, "{}: {f1}", set.display());
    }
}
