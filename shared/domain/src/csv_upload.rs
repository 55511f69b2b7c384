//! CSV tables that people upload (MA-1): detects the format, splits the text into rows numbered as a
//! spreadsheet numbers them, and reads the rows with a meaning for each column.
//!
//! A file comes from a spreadsheet or from another system. If its delimiter is not named, it is detected:
//! comma, semicolon (spreadsheets of countries with a decimal comma), tab or pipe, by how well the rows agree
//! on their number of cells. Its encoding is UTF-8, the one that its byte order mark gives, or the one that
//! the sender names. Any other would have to be guessed, and a wrong guess gives a wrong name.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::fmt;

use encoding_rs::{Encoding, UTF_8};
use matching::columns::Column;

use super::directory::EntryKind;
use super::normalize::fold;
use crate::problem::Problem;
use crate::rows::csv::Records;

/// Largest file, in bytes. With the request's frame, and quotes and line endings escaped, it stays under
/// the 6 MB that a function is called with.
pub const MAX_BYTES: usize = 5_000_000;
/// Most rows of a file, without its header and without blank ones.
pub const MAX_ROWS: usize = 5_000;
/// Most columns of a file.
pub const MAX_COLUMNS: usize = 200;

/// Delimiters to try, those that are rarer in text first.
const DELIMITERS: &[u8] = b"\t;|,";
/// Number of rows used for detecting the delimiter.
const SAMPLE_ROWS: usize = 50;

/// Encoding and delimiter of a file, as far as its sender names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// The delimiter between cells: one of `,`, `;`, tab and `|`.
    pub delimiter: Option<u8>,
    /// Its text's encoding.
    pub encoding: Option<&'static Encoding>,
}

impl Written {
    /// Reads the delimiter from its name or sign, and the encoding from its label (WHATWG: `windows-1252`,
    /// `latin1`).
    ///
    /// # Errors
    /// Returns 422 `invalid_delimiter`, or 415 `unsupported_media_type` for an unknown encoding.
    pub fn named(delimiter: Option<&str>, encoding: Option<&str>) -> Result<Self, Problem> {
        let delimiter = delimiter.map(|name| match name {
            "," | "comma" => Ok(b','),
            ";" | "semicolon" => Ok(b';'),
            "\t" | "tab" => Ok(b'\t'),
            "|" | "pipe" => Ok(b'|'),
            _ => Err(Problem::new(
                422,
                "invalid_delimiter",
                "Cells are parted by a comma, a semicolon, a tab or a pipe.",
                "Give comma, semicolon, tab or pipe, or leave it out to have it found out.",
            )
            .with_field("delimiter")),
        });
        let encoding = encoding.map(|label| {
            Encoding::for_label_no_replacement(label.as_bytes()).ok_or_else(|| {
                Problem::new(
                    415,
                    "unsupported_media_type",
                    "The charset of the Content-Type is not known.",
                    "Name one that browsers know, such as utf-8 or windows-1252.",
                )
                .with_field("content-type")
            })
        });
        Ok(Self {
            delimiter: delimiter.transpose()?,
            encoding: encoding.transpose()?,
        })
    }
}

/// A file that was split into its cells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The names of its columns, trimmed.
    pub header: Vec<String>,
    /// Its rows; blank ones are left out.
    pub rows: Vec<TableRow>,
}

/// A row of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableRow {
    /// Its number in a spreadsheet: the file's first line is 1, and cells with several lines are one row.
    pub number: usize,
    /// Its cells, trimmed, as many as the header has; or the reason why it cannot be read.
    pub cells: Result<Vec<String>, Problem>,
}

impl Table {
    /// Splits a file.
    ///
    /// # Errors
    /// Returns a [`Problem`] if the file as a whole is unusable: too large, not in its encoding, without a
    /// header, or cut off inside a cell.
    pub fn read(body: &[u8], written: Written) -> Result<Self, Problem> {
        if body.len() > MAX_BYTES {
            return Err(too_large());
        }
        let text = decoded(body, written.encoding)?;
        let (named, text, lines) = without_separator_line(&text);
        let delimiter = written.delimiter.or(named);
        let delimiter = delimiter.unwrap_or_else(|| delimiter_of(text));
        let mut split = Split::new(text, delimiter);
        split.number = lines;
        let Some((_, header)) = split.next_row()? else {
            return Err(unreadable(
                "csv_no_header",
                "The file has no first row with the names of its columns.",
                "Put the columns' names into the first row.",
            ));
        };
        if header.len() > MAX_COLUMNS {
            return Err(unreadable(
                "csv_too_many_columns",
                format!("The file has more than {MAX_COLUMNS} columns."),
                "Leave out columns that are not needed.",
            ));
        }
        let mut rows = Vec::new();
        while let Some((number, mut cells)) = split.next_row()? {
            if rows.len() == MAX_ROWS {
                return Err(too_many_rows());
            }
            let found = cells.len();
            // Spreadsheets leave empty cells behind where a row was once longer.
            while cells.len() > header.len() && cells.last().is_some_and(String::is_empty) {
                cells.pop();
            }
            // Others leave out the empty cells at a row's end.
            if cells.len() < header.len() {
                cells.resize(header.len(), String::new());
            }
            let cells = if cells.len() == header.len() {
                Ok(cells)
            } else {
                Err(Problem::new(
                    422,
                    "wrong_cell_count",
                    format!("The row has {found} cells, the header {}.", header.len()),
                    "Check its delimiters, and put quotes around cells that contain one or a quote.",
                ))
            };
            rows.push(TableRow { number, cells });
        }
        Ok(Self { header, rows })
    }
}

/// The 413 for a file that is too large.
#[must_use]
pub fn too_large() -> Problem {
    let megabytes = MAX_BYTES / 1_000_000;
    Problem::new(
        413,
        "body_too_large",
        format!("The file is larger than {megabytes} MB."),
        "Split it, and upload the parts one after the other.",
    )
}

fn too_many_rows() -> Problem {
    Problem::new(
        413,
        "csv_too_many_rows",
        format!("The file has more than {MAX_ROWS} rows."),
        "Split it, and upload the parts one after the other. Nothing of it was stored.",
    )
}

fn unreadable(code: &str, detail: impl Into<String>, next_step: &str) -> Problem {
    Problem::new(422, code, detail, next_step)
}

/// A file's text in UTF-8.
fn decoded<'b>(body: &'b [u8], named: Option<&'static Encoding>) -> Result<Cow<'b, [u8]>, Problem> {
    let (encoding, mark) = match (Encoding::for_bom(body), named) {
        (Some(marked), _) => marked,
        (None, Some(named)) => (named, 0),
        (None, None) => (UTF_8, 0),
    };
    let text = body.get(mark..).unwrap_or_default();
    if encoding == UTF_8 {
        let Err(error) = std::str::from_utf8(text) else {
            return Ok(Cow::Borrowed(text));
        };
        let before = text.get(..error.valid_up_to()).unwrap_or_default();
        let line = before.split(|byte| *byte == b'\n').count();
        return Err(unreadable(
            "csv_not_utf8",
            format!("The file is not UTF-8 text (line {line})."),
            "Save it as \"CSV UTF-8\" and upload that file, or name its encoding in the Content-Type: text/csv; charset=windows-1252.",
        ));
    }
    let decoded = encoding.decode_without_bom_handling_and_without_replacement(text);
    let decoded = decoded.ok_or_else(|| {
        unreadable(
            "csv_wrong_encoding",
            format!("The file is not {} text.", encoding.name()),
            "Save it as \"CSV UTF-8\" and upload that file.",
        )
    })?;
    Ok(Cow::Owned(decoded.into_owned().into_bytes()))
}

/// The delimiter that a spreadsheet's first line names (`sep=;`), the text after that line, and the number of
/// lines removed.
fn without_separator_line(text: &[u8]) -> (Option<u8>, &[u8], usize) {
    let named = || {
        let line = text.strip_prefix(b"\"").unwrap_or(text);
        let (key, rest) = line.split_at_checked(4)?;
        let (delimiter, rest) = rest.split_first()?;
        let rest = rest.strip_prefix(b"\"").unwrap_or(rest);
        let after = after_line_ending(rest)?;
        let is_one = key.eq_ignore_ascii_case(b"sep=") && DELIMITERS.contains(delimiter);
        is_one.then_some((*delimiter, after))
    };
    match named() {
        Some((delimiter, after)) => (Some(delimiter), after, 1),
        None => (None, text, 0),
    }
}

/// The delimiter on which the rows agree best: the one by which most of the first rows have the same number
/// of cells as the first, more than one; then the one that leaves the fewest quotes open; then the one with
/// the most cells.
fn delimiter_of(text: &[u8]) -> u8 {
    let mut best = ((0, Reverse(usize::MAX), 0), b',');
    for delimiter in DELIMITERS {
        let mut split = Split::new(text, *delimiter);
        let (mut rows, mut open): (Vec<usize>, usize) = (Vec::new(), 0);
        // With a wrong one a row can be endless.
        while rows.len() < SAMPLE_ROWS && split.next_record().unwrap_or(false) {
            let found = split.records.cells();
            let blank = (0..found).all(|place| split.records.cell(place).trim_ascii().is_empty());
            let quotes = |place: &usize| {
                let cell = split.records.cell(*place).iter();
                cell.fold(false, |odd, byte| odd ^ (*byte == b'"'))
            };
            open += (0..found).filter(quotes).count();
            split.records.clear();
            if !blank {
                rows.push(found);
            }
        }
        let header = rows.first().copied().unwrap_or_default();
        if header < 2 {
            continue;
        }
        // A row that ends early agrees, one that is longer does not.
        let agreeing = rows.iter().map(|cells| match cells.cmp(&header) {
            std::cmp::Ordering::Equal => 4,
            std::cmp::Ordering::Less if *cells > 1 => 1,
            _ => 0,
        });
        let agreement = agreeing.sum::<usize>() * 100 / (rows.len() * 4);
        let fit = (agreement, Reverse(open), header);
        if fit > best.0 {
            best = (fit, *delimiter);
        }
    }
    best.1
}

/// The intended text of a cell: removes the form by which a spreadsheet keeps a text from being read as a
/// number (`="007"`).
fn cell_text(cell: &str) -> String {
    let cell = cell.trim();
    let formula = cell
        .strip_prefix("=\"")
        .and_then(|inner| inner.strip_suffix('"'))
        .map(|inner| inner.replace("\"\"", "\""));
    // Another quote is another formula.
    match formula {
        Some(inner) if !inner.contains('"') => inner.trim().to_owned(),
        _ => cell.to_owned(),
    }
}

/// The meaning of a column of an uploaded file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The id in the system that the file comes from.
    ExternalId,
    /// A field of the person or company.
    Field(Column),
}

impl Target {
    /// The name of the field.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ExternalId => EXTERNAL_ID,
            Self::Field(column) => column.as_str(),
        }
    }

    /// True if several columns may have this target.
    const fn repeats(self) -> bool {
        matches!(self, Self::Field(column) if column.is_list())
    }
}

const EXTERNAL_ID: &str = "external_id";
/// Folded names of columns that hold the other system's ids.
const EXTERNAL_ID_NAMES: &[&str] = &["external id", "externalid", "external identifier"];

/// The possible targets of the columns of a file of people or of companies.
pub fn targets(kind: EntryKind) -> impl Iterator<Item = Target> {
    let personal = [
        Column::FirstName,
        Column::LastName,
        Column::Title,
        Column::Company,
    ];
    let fields = Column::ALL.into_iter();
    let fields =
        fields.filter(move |column| kind == EntryKind::Profile || !personal.contains(column));
    std::iter::once(Target::ExternalId).chain(fields.map(Target::Field))
}

/// The mapping of a file's columns to their targets, by position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping(Vec<Option<Target>>);

impl Mapping {
    /// A mapping that reads no column.
    #[must_use]
    pub fn nothing(header: &[String]) -> Self {
        Self(vec![None; header.len()])
    }

    /// Suggests a mapping from the columns' names.
    ///
    /// # Errors
    /// Returns `nothing_mapped` if no column's name is known.
    pub fn suggested(kind: EntryKind, header: &[String]) -> Result<Self, Problem> {
        let names: Vec<&str> = header.iter().map(String::as_str).collect();
        let columns = matching::columns::suggest(kind.matching(), &names);
        let mut targets: Vec<Option<Target>> = names
            .iter()
            .zip(columns)
            .map(|(name, column)| {
                if EXTERNAL_ID_NAMES.contains(&fold(name).as_str()) {
                    return Some(Target::ExternalId);
                }
                let target = column.map(Target::Field);
                target.filter(|target| targets(kind).any(|known| known == *target))
            })
            .collect();
        // The first of several columns with the same target.
        let mut met = Vec::new();
        for target in &mut targets {
            match *target {
                Some(found) if !found.repeats() && met.contains(&found) => *target = None,
                Some(found) => met.push(found),
                None => {}
            }
        }
        Self(targets).checked()
    }

    /// Parses a mapping given by people: a field's name for each column, separated by commas, and nothing for
    /// a column that is not read.
    ///
    /// # Errors
    /// Returns a [`Problem`] that names the column if it does not fit the file.
    pub fn parse(kind: EntryKind, map: &str, header: &[String]) -> Result<Self, Problem> {
        let invalid = |detail: String| {
            let fields: Vec<_> = targets(kind).map(Target::as_str).collect();
            Problem::new(
                422,
                "invalid_map",
                detail,
                format!(
                    "Give a field for each column, with commas between them, or nothing: {}.",
                    fields.join(", ")
                ),
            )
            .with_field("map")
        };
        let names: Vec<&str> = map.split(',').map(str::trim).collect();
        if names.len() != header.len() {
            return Err(invalid(format!(
                "The map has {} columns, the file {}.",
                names.len(),
                header.len()
            )));
        }
        let mut mapped: Vec<Option<Target>> = Vec::with_capacity(names.len());
        for (index, name) in names.iter().enumerate() {
            if name.is_empty() {
                mapped.push(None);
                continue;
            }
            let target = targets(kind).find(|target| target.as_str() == *name);
            let target = target
                .ok_or_else(|| invalid(format!("Column {} holds no known field.", index + 1)))?;
            if !target.repeats() && mapped.contains(&Some(target)) {
                return Err(invalid(format!("Two columns hold {}.", target.as_str())));
            }
            mapped.push(Some(target));
        }
        Self(mapped).checked()
    }

    fn checked(self) -> Result<Self, Problem> {
        if self.0.iter().any(Option::is_some) {
            return Ok(self);
        }
        Err(Problem::new(
            422,
            "nothing_mapped",
            "None of the file's columns is known.",
            "Name them in the first row as the fields are called, or say what each holds (map).",
        )
        .with_field("map"))
    }

    /// The name of the field that each column holds.
    pub fn fields(&self) -> impl Iterator<Item = Option<&'static str>> {
        self.0.iter().map(|target| target.map(Target::as_str))
    }

    /// The external id of a row, and its person or company.
    #[must_use]
    pub fn read(&self, cells: &[String]) -> (Option<String>, matching::Record) {
        let columns = self.0.iter().map(|target| match target {
            Some(Target::Field(column)) => Some(*column),
            Some(Target::ExternalId) | None => None,
        });
        let columns: Vec<Option<Column>> = columns.collect();
        let record = matching::columns::record(&columns, cells.iter().map(String::as_str));
        let external_id = self
            .0
            .iter()
            .position(|target| *target == Some(Target::ExternalId));
        let external_id = external_id.and_then(|place| cells.get(place)).cloned();
        let external_id = external_id.filter(|id| !id.is_empty());
        (external_id, record)
    }
}

/// As [`Mapping::parse`] reads it.
impl fmt::Display for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, field) in self.fields().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{}", field.unwrap_or_default())?;
        }
        Ok(())
    }
}

/// Rows of a text, one after the other.
struct Split<'t> {
    records: Records,
    rest: &'t [u8],
    /// Rows so far, blank ones too.
    number: usize,
    ended: bool,
}

impl<'t> Split<'t> {
    fn new(text: &'t [u8], delimiter: u8) -> Self {
        Self {
            records: Records::new(delimiter),
            rest: text,
            number: 0,
            ended: false,
        }
    }

    /// The next row that is not blank, with its number.
    fn next_row(&mut self) -> Result<Option<(usize, Vec<String>)>, Problem> {
        while self.next_record()? {
            let cells: Vec<String> = (0..self.records.cells())
                .map(|place| cell_text(&String::from_utf8_lossy(self.records.cell(place))))
                .collect();
            self.records.clear();
            if cells.iter().any(|cell| !cell.is_empty()) {
                return Ok(Some((self.number, cells)));
            }
        }
        Ok(None)
    }

    /// Advances to the next row with a cell, which may be empty; returns false if there is none left.
    fn next_record(&mut self) -> Result<bool, Problem> {
        // The parser passes over empty lines, which are rows of a spreadsheet.
        while let Some(after) = after_line_ending(self.rest) {
            self.number += 1;
            self.rest = after;
        }
        self.number += 1;
        Ok(!self.ended && self.record()?)
    }

    /// Reads one record and its line ending; returns false if there is none left.
    fn record(&mut self) -> Result<bool, Problem> {
        let malformed = |number: usize| {
            unreadable(
                "csv_malformed",
                format!(
                    "The file ends inside of a cell in quotes, or a row is too large (row {number})."
                ),
                "Look for a quote that is not closed in or before that row; a quote inside of a cell in quotes is written twice.",
            )
        };
        while !self.rest.is_empty() {
            let step = self.records.step(self.rest);
            let (used, complete) = step.map_err(|_| malformed(self.number))?;
            let (done, rest) = self.rest.split_at_checked(used).unwrap_or_default();
            self.rest = rest;
            if complete {
                if done.last() == Some(&b'\r') {
                    self.rest = rest.strip_prefix(b"\n").unwrap_or(rest);
                }
                return Ok(true);
            }
        }
        self.ended = true;
        let last = self.records.finish();
        last.map_err(|_| malformed(self.number))
    }
}

fn after_line_ending(text: &[u8]) -> Option<&[u8]> {
    let endings: [&[u8]; 3] = [b"\r\n", b"\n", b"\r"];
    endings.iter().find_map(|ending| text.strip_prefix(*ending))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::directory::EntryKind;
    use super::{MAX_BYTES, MAX_COLUMNS, MAX_ROWS, Mapping, Table, Written, targets};

    /// Rows with their numbers; for those that cannot be read, the code.
    fn read(text: &str) -> Vec<(usize, Result<Vec<String>, String>)> {
        let table = Table::read(text.as_bytes(), Written::default()).unwrap();
        let row = |row: super::TableRow| (row.number, row.cells.map_err(|problem| problem.code));
        table.rows.into_iter().map(row).collect()
    }

    fn cells(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|cell| (*cell).to_owned()).collect()
    }

    fn code(body: &[u8]) -> String {
        Table::read(body, Written::default()).unwrap_err().code
    }

    #[test]
    fn rows_have_the_numbers_that_a_spreadsheet_shows() {
        let text = "\u{feff}\r\nName,City\r\n\r\n\"Ada\r\nLovelace\", London \r\n,\r\n\n\"B \"\"C\"\"\",\"Bonn, Köln\"";
        assert_eq!(
            read(text),
            [
                (4, Ok(cells(&["Ada\r\nLovelace", "London"]))),
                (7, Ok(cells(&["B \"C\"", "Bonn, Köln"]))),
            ]
        );
        let old = "Name\rAda\r\rBob\r";
        assert_eq!(
            read(old),
            [(2, Ok(cells(&["Ada"]))), (4, Ok(cells(&["Bob"])))]
        );
    }

    #[test]
    fn a_row_that_ends_early_is_filled_up_and_one_with_too_many_cells_is_told() {
        let text = "a,b\n1\n1,2\n1,2,3\n1,2,,\n\"1,2\n";
        assert_eq!(code(text.as_bytes()), "csv_malformed");
        let wrong = || Err("wrong_cell_count".to_owned());
        assert_eq!(
            read("a,b\n1\n1,2\n1,2,3\n1,2,,\n5\" pipe,x"),
            [
                (2, Ok(cells(&["1", ""]))),
                (3, Ok(cells(&["1", "2"]))),
                (4, wrong()),
                (5, Ok(cells(&["1", "2"]))),
                // A quote that does not begin a cell is text.
                (6, Ok(cells(&["5\" pipe", "x"]))),
            ]
        );
    }

    #[test]
    fn the_delimiter_is_the_one_that_the_rows_agree_on() {
        for (text, header, first) in [
            (
                "Nachname;Vorname;E-Mail (privat, dienstlich, weitere)\nMeier;Ann;ann@b.example\n",
                3,
                "Meier",
            ),
            ("Name, first;City\nMeier, Ann;Bonn\n", 2, "Meier, Ann"),
            ("Name|City|Phone\nAnn, B|Bonn;Köln|1\n", 3, "Ann, B"),
            ("Name\tNote, if any\nAnn\tx\nBob\ty\n", 2, "Ann"),
            ("Name,Price;EUR\nAnn,1\nBob,2\n", 2, "Ann"),
            ("Name,\"City; state\"\nAnn,\"Bonn; NRW\"\n", 2, "Ann"),
            ("Name;City;Zip\nAnn;Bonn\nBob\n", 3, "Ann"),
            ("Name\nMeier, Ann\n", 1, "Meier"),
        ] {
            let table = Table::read(text.as_bytes(), Written::default()).unwrap();
            assert_eq!(table.header.len(), header, "{text}");
            let cells = table.rows.first().unwrap().cells.as_ref();
            match cells {
                Ok(cells) => assert_eq!(cells[0], first, "{text}"),
                Err(problem) => {
                    assert_eq!((problem.code.as_str(), header), ("wrong_cell_count", 1));
                }
            }
        }
        let text = b"a,b;c\n1,2;3\n";
        for (name, header) in [("comma", 2), (";", 2), ("tab", 1), ("|", 1)] {
            let written = Written::named(Some(name), None).unwrap();
            assert_eq!(
                Table::read(text, written).unwrap().header.len(),
                header,
                "{name}"
            );
        }
        assert_eq!(
            Written::named(Some("x"), None).unwrap_err().code,
            "invalid_delimiter"
        );
        assert_eq!(
            Written::named(None, Some("klingon")).unwrap_err().code,
            "unsupported_media_type"
        );
    }

    #[test]
    fn a_first_line_of_a_spreadsheet_names_the_delimiter() {
        for text in [
            "sep=;\r\na;b,c\r\n1;2\r\n",
            "\u{feff}\"sep=;\"\na;b,c\n1;2\n",
            "SEP=;\na;b,c\n1;2",
        ] {
            let table = Table::read(text.as_bytes(), Written::default()).unwrap();
            assert_eq!(table.header, ["a", "b,c"], "{text}");
            assert_eq!(table.rows[0].number, 3, "{text}");
        }
        let table = Table::read(b"sep=x,b\n1,2\n", Written::default()).unwrap();
        assert_eq!(table.header, ["sep=x", "b"]);
    }

    #[test]
    fn files_are_read_in_the_encoding_that_they_are_marked_or_named_with() {
        let utf16 = |text: &str, big: bool| -> Vec<u8> {
            let units = std::iter::once(0xFEFF).chain(text.encode_utf16());
            units
                .flat_map(|unit| {
                    if big {
                        unit.to_be_bytes()
                    } else {
                        unit.to_le_bytes()
                    }
                })
                .collect()
        };
        let text = "Name\tCity\r\nJosé\tMünchen\r\n";
        for body in [
            utf16(text, false),
            utf16(text, true),
            text.as_bytes().to_vec(),
        ] {
            let table = Table::read(&body, Written::default()).unwrap();
            assert_eq!(table.rows[0].cells, Ok(cells(&["José", "München"])));
        }
        for label in ["windows-1252", "latin1", "ISO-8859-1"] {
            let written = Written::named(None, Some(label)).unwrap();
            let table = Table::read(b"Name;City\nJos\xE9;M\xFCnchen", written).unwrap();
            assert_eq!(
                table.rows[0].cells,
                Ok(cells(&["José", "München"])),
                "{label}"
            );
        }
    }

    #[test]
    fn a_text_that_a_spreadsheet_keeps_by_a_formula_is_that_text() {
        assert_eq!(
            read("a,b,c,d\n\"=\"\"+44 20 7946 0958\"\"\",=\"007\",=1+1,\"=\"\"a\"\"&\"\"b\"\"\"\n"),
            [(
                2,
                Ok(cells(&["+44 20 7946 0958", "007", "=1+1", "=\"a\"&\"b\""]))
            )]
        );
    }

    #[test]
    fn what_is_no_table_is_refused_as_a_whole() {
        for (body, expected) in [
            (&b""[..], "csv_no_header"),
            (b"\xEF\xBB\xBF", "csv_no_header"),
            (b"\n\r\n,,\n", "csv_no_header"),
            (b"name\nJos\xE9\n", "csv_not_utf8"),
            (b"\xFF\xFEn\0a\0\0", "csv_wrong_encoding"),
            (b"name\n\"Ada", "csv_malformed"),
            (b"\"name", "csv_malformed"),
        ] {
            assert_eq!(code(body), expected, "{}", String::from_utf8_lossy(body));
        }
        let problem = Table::read(b"name\nok\nJos\xE9\n", Written::default()).unwrap_err();
        assert!(problem.detail.contains("line 3"), "{problem}");
        let columns = vec!["a"; MAX_COLUMNS + 1].join(",");
        assert_eq!(code(columns.as_bytes()), "csv_too_many_columns");
        let rows = "a\n".repeat(MAX_ROWS + 1);
        assert_eq!(
            Table::read(rows.as_bytes(), Written::default())
                .unwrap()
                .rows
                .len(),
            MAX_ROWS
        );
        let rows = "a\n".repeat(MAX_ROWS + 2);
        assert_eq!(code(rows.as_bytes()), "csv_too_many_rows");
        assert_eq!(code(&vec![b'a'; MAX_BYTES + 1]), "body_too_large");
    }

    fn header(names: &str) -> Vec<String> {
        names.split('|').map(str::to_owned).collect()
    }

    #[test]
    fn columns_are_suggested_and_can_be_said() {
        let names = header("External ID|First name|Last name|E-mail|Mobile|Phone|Shoe size|City");
        let suggested = Mapping::suggested(EntryKind::Profile, &names).unwrap();
        let map = "external_id,first_name,last_name,email,phone,phone,,city";
        assert_eq!(suggested.to_string(), map);
        let parsed = Mapping::parse(EntryKind::Profile, map, &names);
        assert_eq!(parsed, Ok(suggested.clone()));
        let cells = header("7|Ada|Lovelace|ada@example.com|1|2|41|London");
        let (external_id, record) = suggested.read(&cells);
        assert_eq!(external_id.as_deref(), Some("7"));
        assert_eq!(
            (
                record.name.as_str(),
                record.first_name.as_str(),
                record.city.as_str()
            ),
            ("", "Ada", "London")
        );
        assert_eq!(record.emails, ["ada@example.com"]);
        assert_eq!(record.phones, ["1", "2"]);
        // A company has no first name.
        let company = Mapping::suggested(EntryKind::Company, &names).unwrap();
        assert_eq!(company.fields().nth(1), Some(None));
    }

    #[test]
    fn a_map_that_does_not_fit_the_file_is_refused() {
        let names = header("a|b|c");
        let code = |kind, map: &str| {
            let problem = Mapping::parse(kind, map, &names).unwrap_err();
            assert_eq!(problem.field.as_deref(), Some("map"));
            problem.code
        };
        for map in [
            "",
            "name",
            "name,,,",
            "name,name,",
            "name,Name,",
            "external_id,,external_id",
        ] {
            assert_eq!(code(EntryKind::Profile, map), "invalid_map", "{map}");
        }
        assert_eq!(code(EntryKind::Company, "name,last_name,"), "invalid_map");
        assert_eq!(code(EntryKind::Profile, ",,"), "nothing_mapped");
        let unknown = Mapping::suggested(EntryKind::Profile, &header("xyzzy|qwert"));
        assert_eq!(unknown.unwrap_err().code, "nothing_mapped");
        for kind in EntryKind::ALL {
            assert!(
                targets(kind)
                    .all(|target| { Mapping::parse(kind, target.as_str(), &header("x")).is_ok() })
            );
        }
    }

    fn cell() -> impl Strategy<Value = String> {
        prop_oneof![
            4 => "[a-zA-Z0-9@. -]{0,12}",
            2 => "[,;\t\"\r\n'=a]{0,8}",
            2 => "\\PC{0,12}",
            1 => (1_usize..12_000).prop_map(|length| "x".repeat(length)),
            2 => prop::collection::vec(any::<u8>(), 0..8).prop_map(|choices| crate::testing::hostile(&choices)),
            1 => Just("株式会社 \"Ångström\",\r\nK.K.".to_owned()),
        ]
    }

    fn quoted(cell: &str, delimiter: char, always: bool) -> String {
        let special = |c: char| matches!(c, '"' | '\r' | '\n') || c == delimiter;
        if always || cell.contains(special) {
            format!("\"{}\"", cell.replace('"', "\"\""))
        } else {
            cell.to_owned()
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn a_table_comes_back_however_it_is_written(
            (header, rows) in (1_usize..6).prop_flat_map(|columns| (
                prop::collection::vec("[A-Za-z][A-Za-z ]{0,6}[a-z]", columns),
                prop::collection::vec(prop::collection::vec(cell(), columns), 0..6),
            )),
            delimiter in prop::sample::select(vec![',', ';', '\t', '|']),
            ending in prop::sample::select(vec!["\n", "\r\n"]),
            (mark, always, last) in any::<(bool, bool, bool)>(),
        ) {
            // One column does not tell.
            let delimiter = if header.len() == 1 { ',' } else { delimiter };
            let line = |cells: &[String]| {
                let cells: Vec<_> = cells.iter().map(|cell| quoted(cell, delimiter, always)).collect();
                cells.join(&delimiter.to_string())
            };
            let mut lines = vec![line(&header)];
            lines.extend(rows.iter().map(|row| line(row)));
            let mut text = String::from(if mark { "\u{feff}" } else { "" });
            text.push_str(&lines.join(ending));
            if last {
                text.push_str(ending);
            }
            let table = Table::read(text.as_bytes(), Written::default()).unwrap();
            prop_assert_eq!(&table.header, &header);
            let expected: Vec<_> = rows
                .iter()
                .enumerate()
                .map(|(index, row)| {
                    let row: Vec<_> = row.iter().map(|cell| super::cell_text(cell)).collect();
                    (index + 2, row)
                })
                .filter(|(_, row)| row.iter().any(|cell| !cell.is_empty()))
                .collect();
            let read: Vec<_> = table.rows.into_iter().map(|row| (row.number, row.cells.unwrap())).collect();
            prop_assert_eq!(read, expected);
        }

        #[test]
        fn any_bytes_are_a_table_or_refused(
            body in prop::collection::vec(prop_oneof![
                any::<u8>().prop_map(|byte| vec![byte]),
                Just(b"\"".to_vec()), Just(b",".to_vec()), Just(b"\r".to_vec()), Just(b"\n".to_vec()),
                Just(b"name,city\n".to_vec()), Just("\u{feff}".as_bytes().to_vec()),
            ], 0..24).prop_map(|parts| parts.concat()),
        ) {
            if let Ok(table) = Table::read(&body, Written::default()) {
                prop_assert!(table.rows.is_sorted_by(|a, b| a.number < b.number));
                for cells in table.rows.iter().filter_map(|row| row.cells.as_ref().ok()) {
                    prop_assert_eq!(cells.len(), table.header.len());
                    prop_assert!(cells.iter().any(|cell| !cell.is_empty()));
                }
            }
        }
    }
}
