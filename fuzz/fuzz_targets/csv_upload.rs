#![no_main]
//! A file that people upload: split into rows and read, or refused.

use domain::csv_upload::{MAX_COLUMNS, MAX_ROWS, Mapping, Table};
use domain::directory::{EntryKind, NewEntry, Origin};

libfuzzer_sys::fuzz_target!(|body: &[u8]| {
    let Ok(table) = Table::read(body) else {
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
            // What was taken once is taken again, as the same entry.
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
