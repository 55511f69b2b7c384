#![no_main]
//! A file that people upload: split into rows and read, or refused.

use domain::csv_upload::{MAX_COLUMNS, MAX_ROWS, Mapping, Table, Written};
use domain::testing::hostile;
use domain::directory::{EntryKind, NewEntry, Origin};

/// Hostile cells that are written as a table come back from it.
fn written_is_read(body: &[u8]) {
    let cells: Vec<String> = body.chunks(5).take(12).map(hostile).collect();
    let lines = cells.chunks(3).filter(|row| row.len() == 3).map(|row| {
        let quoted = row.iter().map(|cell| format!("\"{}\"", cell.replace('"', "\"\"")));
        format!("x;{}\n", quoted.collect::<Vec<_>>().join(";"))
    });
    let text = format!("a;b;c;d\n{}", lines.collect::<String>());
    let table = Table::read(text.as_bytes(), Written::default()).expect("a table");
    let read = table.rows.iter().map(|row| row.cells.as_ref().expect("a row"));
    for (read, row) in read.zip(cells.chunks(3)) {
        for (read, cell) in read.iter().skip(1).zip(row) {
            assert!(read == cell.trim() || cell.trim().starts_with("=\""), "{read:?} {cell:?}");
        }
    }
}

libfuzzer_sys::fuzz_target!(|body: &[u8]| {
    written_is_read(body);
    let Ok(table) = Table::read(body, Written::default()) else {
        return;
    };
    assert!(table.rows.len() <= MAX_ROWS && table.header.len() <= MAX_COLUMNS);
    assert!(table.rows.is_sorted_by(|a, b| a.number < b.number));
    let contract = "fuzz".parse().expect("a contract id");
    for kind in EntryKind::ALL {
        let Ok(mapping) = Mapping::suggested(kind, &table.header) else {
            continue;
        };
        let again = Mapping::parse(kind, &mapping.to_string(), &table.header);
        assert_eq!(again.as_ref(), Ok(&mapping));
        for cells in table.rows.iter().filter_map(|row| row.cells.as_ref().ok()) {
            assert_eq!(cells.len(), table.header.len());
            let (external_id, record) = mapping.read(cells);
            let new = NewEntry::new(
                &contract,
                kind,
                external_id.as_deref(),
                record.clone(),
                Origin::Csv,
                None,
            );
            // A row that was taken once is taken again, as the same entry.
            if let Ok(new) = new {
                let again = NewEntry::new(
                    &contract,
                    kind,
                    new.external_id.as_deref(),
                    new.record.clone(),
                    Origin::Csv,
                    None,
                );
                assert_eq!(again.map(|again| again.id), Ok(new.id));
            }
        }
    }
});
