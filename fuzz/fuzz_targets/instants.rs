#![no_main]
//! Instants and days as the CRMs write them: a value that is read is written again unchanged.

use domain::rows::instant::{date, instant};

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Some(at) = instant(text) {
        // Years that need a sign are written by no CRM, and not read again.
        let again = at.to_string();
        if again.len() == 24 && again.ends_with('Z') {
            assert_eq!(instant(&again), Some(at));
        }
    }
    if let Some(day) = date(text) {
        assert_eq!(date(&day.to_string()), Some(day));
        assert!(text.starts_with(&day.to_string()));
    }
});
