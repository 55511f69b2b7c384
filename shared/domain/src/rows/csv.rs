//! The CSV of Salesforce's Bulk API 2.0, parsed as it arrives.
//!
//! Sources: the Bulk API 2.0 developer guide ("Get Results for a Query Job"). Every page begins
//! with a header; columns are found by its names. Empty cells are no values.

use csv_core::ReadRecordResult;

use super::{Cell, Layout, Malformed, Row};
use crate::mirror::{Change, Value};

/// Largest row that is read, in bytes: far beyond what the fields of an object can hold.
const MAX_ROW_BYTES: usize = 4 * 1024 * 1024;
/// Most columns that are read.
const MAX_COLUMNS: usize = 1024;
/// Number of rows returned at a time.
pub const BATCH: usize = 500;
pub(crate) const BYTE_ORDER_MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// Records of a CSV text, split as it arrives.
pub(crate) struct Records {
    parser: csv_core::Reader,
    /// Text of the record that is being read.
    text: Vec<u8>,
    text_len: usize,
    /// End positions of its cells.
    ends: Vec<usize>,
    ends_len: usize,
}

impl Records {
    /// Creates a splitter for a text whose cells end with `delimiter`.
    pub(crate) fn new(delimiter: u8) -> Self {
        Self {
            parser: csv_core::ReaderBuilder::new().delimiter(delimiter).build(),
            text: vec![0; 8 * 1024],
            text_len: 0,
            ends: vec![0; 64],
            ends_len: 0,
        }
    }

    /// Carries out one step; returns the number of bytes of the input that were used, and whether a record is
    /// complete. Its cells are available until [`Self::clear`], which must be called before the next record.
    ///
    /// # Errors
    /// Returns [`Malformed`] for a record that is too large.
    pub(crate) fn step(&mut self, input: &[u8]) -> Result<(usize, bool), Malformed> {
        let text = self.text.get_mut(self.text_len..).unwrap_or_default();
        let ends = self.ends.get_mut(self.ends_len..).unwrap_or_default();
        let (result, used, text_more, ends_more) = self.parser.read_record(input, text, ends);
        self.text_len += text_more;
        self.ends_len += ends_more;
        match result {
            // The end is found by `finish`.
            ReadRecordResult::InputEmpty | ReadRecordResult::End => {}
            ReadRecordResult::OutputFull if self.text.len() < MAX_ROW_BYTES => {
                self.text.resize(self.text.len() * 2, 0);
            }
            ReadRecordResult::OutputEndsFull if self.ends.len() < MAX_COLUMNS => {
                self.ends.resize(self.ends.len() * 2, 0);
            }
            ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                return Err(Malformed("a row of the page is too large"));
            }
            ReadRecordResult::Record => return Ok((used, true)),
        }
        Ok((used, false))
    }

    /// Ends the text; returns true if there is a last record without a line ending.
    ///
    /// # Errors
    /// Returns [`Malformed`] if the text ended inside a quoted cell.
    pub(crate) fn finish(&mut self) -> Result<bool, Malformed> {
        // A line ending ends every record, but is text inside quotes.
        let before = self.text_len;
        let mut end: &[u8] = b"\n";
        while !end.is_empty() {
            let (used, complete) = self.step(end)?;
            if complete {
                return Ok(true);
            }
            end = end.get(used..).unwrap_or_default();
        }
        if self.text_len > before {
            return Err(Malformed("the page ends inside a cell"));
        }
        Ok(false)
    }

    /// The number of cells in the record.
    pub(crate) const fn cells(&self) -> usize {
        self.ends_len
    }

    /// A cell of the record; a missing one is empty.
    pub(crate) fn cell(&self, place: usize) -> &[u8] {
        let ends = self.ends.get(..self.ends_len).unwrap_or_default();
        let end = ends.get(place).copied().unwrap_or_default();
        let start = place
            .checked_sub(1)
            .and_then(|before| ends.get(before))
            .copied()
            .unwrap_or_default();
        self.text.get(start..end).unwrap_or_default()
    }

    /// Advances to the next record.
    pub(crate) const fn clear(&mut self) {
        (self.text_len, self.ends_len) = (0, 0);
    }
}

/// A page that is being read.
pub struct CsvRows {
    layout: Layout,
    records: Records,
    /// Bytes of the byte order mark that were met; all of them if there is none.
    mark: usize,
    /// The cell of each column of the layout, and the number of cells of a row, once the header is read.
    header: Option<(Vec<usize>, usize)>,
    rows: u64,
}

impl CsvRows {
    /// Creates a reader of a page with these columns, in any order.
    #[must_use]
    pub fn new(layout: Layout) -> Self {
        Self {
            layout,
            records: Records::new(b','),
            mark: 0,
            header: None,
            rows: 0,
        }
    }

    /// The layout of the rows.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Reads from a chunk, until it is used up or `out` has [`BATCH`] rows. Returns the number of bytes that
    /// were used.
    ///
    /// # Errors
    /// Returns [`Malformed`] if it is not such a page.
    pub fn feed(&mut self, chunk: &[u8], out: &mut Vec<Change>) -> Result<usize, Malformed> {
        let mut used = self.skip_mark(chunk)?;
        while let Some(rest) = chunk.get(used..).filter(|rest| !rest.is_empty()) {
            if out.len() >= BATCH {
                break;
            }
            let (step, complete) = self.records.step(rest)?;
            used += step;
            if complete {
                self.row(out)?;
            }
        }
        Ok(used)
    }

    /// Ends the page: reads the last row, if no line ending follows it. Returns the number of rows.
    ///
    /// # Errors
    /// Returns [`Malformed`] if the page ended inside a row, or before its header.
    pub fn finish(&mut self, out: &mut Vec<Change>) -> Result<u64, Malformed> {
        if self.records.finish()? {
            self.row(out)?;
        }
        if self.header.is_none() {
            return Err(Malformed("the page has no header"));
        }
        Ok(self.rows)
    }

    /// Bytes of a chunk that belong to a byte order mark at the beginning of the body.
    fn skip_mark(&mut self, chunk: &[u8]) -> Result<usize, Malformed> {
        let mut used = 0;
        while let (Some(expected), Some(byte)) = (BYTE_ORDER_MARK.get(self.mark), chunk.get(used)) {
            if byte == expected {
                self.mark += 1;
                used += 1;
            } else if self.mark == 0 {
                self.mark = BYTE_ORDER_MARK.len();
            } else {
                return Err(Malformed("the page has no header"));
            }
        }
        Ok(used)
    }

    fn row(&mut self, out: &mut Vec<Change>) -> Result<(), Malformed> {
        let cells = self.records.cells();
        let Some((places, expected)) = &self.header else {
            self.header = Some((self.places()?, cells));
            self.records.clear();
            return Ok(());
        };
        if cells != *expected {
            return Err(Malformed("a row has not as many cells as the header"));
        }
        let mut row = Row::default();
        let mut values: Vec<(&'static str, Value)> = Vec::with_capacity(cells);
        for (index, place) in places.iter().enumerate() {
            let bytes = self.records.cell(*place);
            let cell = std::str::from_utf8(bytes).map_or(Cell::Other, Cell::Text);
            if let Some(value) = self.layout.take(&mut row, index, cell)
                && let Some(column) = self.layout.columns.get(index)
            {
                values.push((column.name, value));
            }
        }
        values.shrink_to_fit();
        out.push(row.finish(values)?);
        self.rows += 1;
        self.records.clear();
        Ok(())
    }

    /// The positions of the layout's columns in the header, which is the row read last.
    fn places(&self) -> Result<Vec<usize>, Malformed> {
        self.layout
            .names()
            .map(|name| {
                (0..self.records.cells())
                    .find(|place| self.records.cell(*place) == name.as_bytes())
                    .ok_or(Malformed("a column is not in the header"))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{CsvRows, Layout, Malformed};
    use crate::mirror::Change;
    use crate::schema::CrmKind;
    use crate::vocabulary::objects;

    const FIELDS: &[&str] = &["Id", "Name", "ParentRoleId", "SystemModstamp"];

    fn rows() -> CsvRows {
        let spec = objects(CrmKind::Salesforce)
            .iter()
            .find(|spec| spec.name == "UserRole")
            .unwrap();
        CsvRows::new(Layout::new(CrmKind::Salesforce, spec, FIELDS, None))
    }

    fn read(body: &[u8], chunk: usize) -> Result<Vec<Change>, Malformed> {
        let (mut rows, mut out, mut all) = (rows(), Vec::new(), Vec::new());
        for piece in body.chunks(chunk) {
            let mut used = 0;
            while used < piece.len() {
                used += rows.feed(&piece[used..], &mut out)?;
                assert!(out.len() <= super::BATCH);
                all.append(&mut out);
            }
        }
        let count = rows.finish(&mut all)?;
        assert_eq!(count, all.len() as u64);
        Ok(all)
    }

    #[test]
    fn a_page_is_read_whatever_its_order_marks_and_chunks() {
        let body = "\u{feff}\"SystemModstamp\",\"Name\",\"Id\",\"Other\",\"ParentRoleId\"\r\n\
            \"2026-01-02T03:04:05.000Z\",\"Å \"\"B\"\"\n株\",\"00E000000000001AAA\",\"x\",\"\"\r\n\
            \"2026-01-02T03:04:05.000Z\",\"\",\"00E000000000002AAA\",\"\",\"00E000000000001\"";
        let whole = read(body.as_bytes(), body.len()).unwrap();
        for chunk in 1..9 {
            assert_eq!(read(body.as_bytes(), chunk).unwrap(), whole, "{chunk}");
        }
        let [Change::Present(first), Change::Present(second)] = whole.as_slice() else {
            panic!("{whole:?}");
        };
        assert_eq!(first.values.text("Name"), Some("Å \"B\"\n株"));
        assert_eq!(first.values.get("ParentRoleId"), None);
        assert_eq!(
            second.values.text("ParentRoleId"),
            Some("00E000000000001EAA")
        );
    }

    #[test]
    fn what_is_no_page_is_an_error() {
        let good = "\"Id\",\"Name\",\"ParentRoleId\",\"SystemModstamp\"\n\"00E000000000001AAA\",\"a\",\"\",\"2026-01-02T03:04:05.000Z\"\n";
        assert_eq!(read(good.as_bytes(), 7).unwrap().len(), 1);
        let cuts = (1..good.len() - 1).filter(|cut| good.is_char_boundary(*cut));
        for cut in cuts {
            let cut = &good.as_bytes()[..cut];
            // Only whole rows: a cut between two rows shows in their number.
            assert!(
                read(cut, 5).is_err() || read(cut, 5).unwrap().is_empty(),
                "{}",
                String::from_utf8_lossy(cut)
            );
        }
        for bad in [
            "",
            "<html><body>Down for maintenance</body></html>",
            "\"Id\",\"Name\"\n",
            "\u{feff}",
        ] {
            assert!(read(bad.as_bytes(), 4).is_err(), "{bad}");
        }
        assert!(read(&[0xEF, 0xBB, b'"'], 1).is_err());
    }

    #[test]
    fn a_row_that_never_ends_is_refused() {
        let mut rows = rows();
        let mut out = Vec::new();
        rows.feed(
            b"\"Id\",\"Name\",\"ParentRoleId\",\"SystemModstamp\"\n\"",
            &mut out,
        )
        .unwrap();
        let endless = vec![b'x'; 1 << 20];
        assert!((0..9).any(|_| rows.feed(&endless, &mut out).is_err()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused_the_same_in_any_chunks(
            body in prop::collection::vec(prop_oneof![
                any::<u8>().prop_map(|byte| vec![byte]),
                Just(b"\"".to_vec()), Just(b",".to_vec()), Just(b"\n".to_vec()),
                Just(b"\"Id\",\"Name\",\"ParentRoleId\",\"SystemModstamp\"\n".to_vec()),
                Just(b"\"00E000000000001AAA\",\"a\",\"\",\"2026-01-02T03:04:05.000Z\"\n".to_vec()),
            ], 0..20).prop_map(|parts| parts.concat()),
            chunk in 1_usize..9,
        ) {
            let whole = read(&body, body.len().max(1));
            let pieces = read(&body, chunk);
            prop_assert_eq!(whole.ok(), pieces.ok());
        }
    }
}
