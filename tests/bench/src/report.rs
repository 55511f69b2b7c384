//! Rows of numbers: as a table for people, as JSON for scripts.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// The target of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Target {
    /// Our number is at most this.
    AtMost(f64),
    /// Our number is at most this multiple of the baseline's.
    Ratio(f64),
}

/// One number beside its baseline.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    what: String,
    unit: &'static str,
    ours: f64,
    baseline: Option<f64>,
    target: Option<Target>,
}

impl Row {
    /// A number on its own.
    pub(crate) fn new(what: impl Into<String>, unit: &'static str, ours: f64) -> Self {
        Self {
            what: what.into(),
            unit,
            ours,
            baseline: None,
            target: None,
        }
    }

    /// With the baseline's number.
    pub(crate) fn beside(mut self, baseline: f64) -> Self {
        self.baseline = Some(baseline);
        self
    }

    /// With a target.
    pub(crate) fn target(mut self, target: Target) -> Self {
        self.target = Some(target);
        self
    }

    fn ratio(&self) -> Option<f64> {
        self.baseline
            .filter(|baseline| *baseline > 0.0)
            .map(|baseline| self.ours / baseline)
    }

    /// True if the target is met; a ratio without a baseline is not.
    pub(crate) fn met(&self) -> Option<bool> {
        self.target.map(|target| match target {
            Target::AtMost(most) => self.ours <= most,
            Target::Ratio(most) => self.ratio().is_some_and(|ratio| ratio <= most),
        })
    }

    fn cells(&self) -> [String; 7] {
        let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        [
            self.what.clone(),
            self.unit.to_owned(),
            number(self.ours),
            or_dash(self.baseline.map(number)),
            or_dash(self.ratio().map(|ratio| format!("{ratio:.2}"))),
            or_dash(self.target.map(|target| match target {
                Target::AtMost(most) => format!("<= {}", number(most)),
                Target::Ratio(most) => format!("<= {} x", number(most)),
            })),
            or_dash(
                self.met()
                    .map(|met| if met { "met" } else { "NOT MET" }.to_owned()),
            ),
        ]
    }

    fn json(&self) -> Value {
        let target = self.target.map(|target| match target {
            Target::AtMost(most) => json!({"at_most": most}),
            Target::Ratio(most) => json!({"ratio_at_most": most}),
        });
        json!({
            "what": self.what, "unit": self.unit, "ours": self.ours, "baseline": self.baseline,
            "ratio": self.ratio(), "target": target, "met": self.met(),
        })
    }
}

/// The rows of one section, with the notes needed to read them.
#[derive(Debug, Clone)]
pub(crate) struct Section {
    name: &'static str,
    notes: Vec<String>,
    rows: Vec<Row>,
}

impl Section {
    /// A section without rows.
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            name,
            notes: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// Adds a remark.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// The rows that miss their target.
    pub(crate) fn missed(&self) -> usize {
        self.rows
            .iter()
            .filter(|row| row.met() == Some(false))
            .count()
    }

    /// The section for people.
    pub(crate) fn table(&self) -> String {
        let head = [self.name, "unit", "ours", "baseline", "ratio", "target", ""];
        let mut lines = vec![head.map(str::to_owned)];
        lines.extend(self.rows.iter().map(Row::cells));
        let mut widths = [0; 7];
        for line in &lines {
            for (width, cell) in widths.iter_mut().zip(line) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = String::new();
        for line in &lines {
            let mut shown = String::new();
            for (at, (width, cell)) in widths.into_iter().zip(line).enumerate() {
                // Words to the left, numbers to the right.
                let _ = match at {
                    2..=4 => write!(shown, "{cell:>width$}  "),
                    _ => write!(shown, "{cell:<width$}  "),
                };
            }
            text.push_str(shown.trim_end());
            text.push('\n');
        }
        for note in &self.notes {
            let _ = writeln!(text, "  {note}");
        }
        text
    }

    /// The section for scripts.
    pub(crate) fn json(&self) -> Value {
        let rows: Vec<Value> = self.rows.iter().map(Row::json).collect();
        json!({"section": self.name, "rows": rows, "notes": self.notes})
    }
}

/// Three digits that count, or all before the point.
fn number(value: f64) -> String {
    let size = value.abs();
    let text = match size {
        _ if size >= 100.0 || size == 0.0 => format!("{value:.0}"),
        _ if size >= 10.0 => format!("{value:.1}"),
        _ if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    };
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// Measurements of one thing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    /// Adds one.
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// The value below which `percent` of the samples lie (nearest rank); 0 without samples.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).copied().unwrap_or_default()
    }

    /// Half of the samples are below it.
    pub(crate) fn median(&self) -> f64 {
        self.percentile(50)
    }
}

#[cfg(test)]
mod tests {
    use super::{Row, Samples, Section, Target, number};

    #[test]
    fn percentiles_are_samples_of_the_nearest_rank() {
        let mut samples = Samples::default();
        assert!(samples.median().abs() < f64::EPSILON);
        for value in [5.0, 1.0, 4.0, 2.0, 3.0] {
            samples.push(value);
        }
        let shown = [0, 20, 50, 90, 95, 100].map(|percent| samples.percentile(percent));
        assert_eq!(shown.map(number), ["1", "1", "3", "5", "5", "5"]);
        samples.push(6.0);
        assert_eq!(number(samples.median()), "3");
    }

    #[test]
    fn numbers_keep_three_digits() {
        let shown = [0.0, 0.012_34, 0.5, 1.0, 1.234, 12.34, 123.4, 98_765.4].map(number);
        assert_eq!(
            shown,
            ["0", "0.012", "0.5", "1", "1.23", "12.3", "123", "98765"]
        );
    }

    #[test]
    fn targets_are_judged() {
        let row = Row::new("a", "ms", 3.0);
        assert_eq!(row.met(), None);
        assert_eq!(row.clone().target(Target::AtMost(3.0)).met(), Some(true));
        assert_eq!(row.clone().target(Target::Ratio(3.0)).met(), Some(false));
        let row = row.beside(2.0);
        assert_eq!(row.clone().target(Target::Ratio(1.5)).met(), Some(true));
        assert_eq!(row.target(Target::Ratio(1.4)).met(), Some(false));
    }

    #[test]
    fn a_table_lines_up() {
        let mut section = Section::new("intake");
        section.row(
            Row::new("latency, p50", "ms", 3.3)
                .beside(3.0)
                .target(Target::Ratio(1.15)),
        );
        section.row(Row::new("AWS calls", "", 3.0).target(Target::AtMost(2.0)));
        section.note("A remark.");
        let wanted = "\
intake        unit  ours  baseline  ratio  target
latency, p50  ms     3.3         3   1.10  <= 1.15 x  met
AWS calls              3         -      -  <= 2       NOT MET
  A remark.
";
        assert_eq!(section.table(), wanted);
        assert_eq!(section.missed(), 1);
        let json = section.json();
        assert_eq!(json["rows"][1]["met"], false);
        assert_eq!(json["rows"][0]["target"]["ratio_at_most"], 1.15);
    }
}
