#![no_main]
//! A page of rows of either CRM: cut and read, or refused; every row is a part of the page.

use domain::inventory::objects;
use domain::schema::CrmKind;
use domain::rows::{Layout, json};

libfuzzer_sys::fuzz_target!(|body: &[u8]| {
    let pages = [
        (CrmKind::Salesforce, json::query_page(body)),
        (CrmKind::Dynamics365, json::table_page(body)),
    ];
    for (crm, page) in pages {
        let Ok(page) = page else { continue };
        let spec = &objects(crm)[0];
        let fields: Vec<&str> = spec.fields(false).collect();
        let mut layout = Layout::new(crm, spec, &fields, spec.survivor_if_there());
        for range in page.rows {
            let row = body.get(range).expect("a row is a part of the page");
            if let Ok(change) = json::row(&mut layout, row) {
                assert!(!change.id().is_empty());
            }
        }
    }
});
