#![no_main]
//! A page of a query job's results: read into rows or refused, with the same result for all splits into
//! chunks.

use domain::inventory::objects;
use domain::mirror::Change;
use domain::schema::CrmKind;
use domain::rows::csv::{BATCH, CsvRows};
use domain::rows::{Layout, Malformed};

fn read(body: &[u8], chunk: usize) -> Result<Vec<Change>, Malformed> {
    let spec = objects(CrmKind::Salesforce)
        .iter()
        .find(|spec| spec.name == "Opportunity")
        .expect("the inventory has it");
    let fields = ["Id", "Amount", "CloseDate", "IsWon", "Name", "IsDeleted"];
    let mut rows = CsvRows::new(Layout::new(CrmKind::Salesforce, spec, &fields, None));
    let (mut out, mut all) = (Vec::new(), Vec::new());
    for piece in body.chunks(chunk.max(1)) {
        let mut used = 0;
        while used < piece.len() {
            used += rows.feed(&piece[used..], &mut out)?;
            assert!(out.len() <= BATCH);
            all.append(&mut out);
        }
    }
    let count = rows.finish(&mut all)?;
    assert_eq!(count, all.len() as u64);
    Ok(all)
}

libfuzzer_sys::fuzz_target!(|body: &[u8]| {
    let whole = read(body, body.len());
    let pieces = read(
        body,
        1 + body.first().map_or(0, |byte| usize::from(byte % 13)),
    );
    assert_eq!(whole.as_ref().ok(), pieces.as_ref().ok());
    for change in whole.unwrap_or_default() {
        assert!(!change.id().is_empty() && change.modified().is_some());
    }
});
