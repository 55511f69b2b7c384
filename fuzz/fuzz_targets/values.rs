#![no_main]
//! A typed value, for a field of each kind: brought into its normal form or left out with a reason, with the
//! same result when it is read again.

use domain::mapping::convert;
use domain::normalize::{Comparison, normalize};
use domain::schema::{FieldType, LeadField};
use domain::testing::{hostile, visible};

fn field(field_type: FieldType) -> LeadField {
    LeadField {
        name: "F".into(),
        label: "F".into(),
        field_type,
        required: false,
        createable: true,
        updateable: true,
    }
}

fn check(typed: &str) {
    const LONG: u32 = 1_000_000;
    for (field_type, is_text) in [
        (FieldType::Text { max_length: LONG }, true),
        (FieldType::LongText { max_length: LONG }, true),
        (FieldType::Email { max_length: LONG }, false),
        (FieldType::Phone { max_length: LONG }, false),
        (FieldType::Url { max_length: LONG }, false),
        (FieldType::Integer { min: None, max: None }, false),
        (FieldType::Decimal { min: None, max: None }, false),
        (FieldType::Date, false),
        (FieldType::DateTime, false),
        (FieldType::Boolean, false),
    ] {
        let field = field(field_type);
        match convert(typed, &field, Some("DE")) {
            Err(reason) => assert!(!is_text && !reason.is_empty(), "{typed:?}: {reason}"),
            Ok((value, _)) => {
                let Some(value) = value.as_str() else { continue };
                if is_text {
                    assert_eq!(visible(value), visible(typed));
                }
                let again = convert(value, &field, Some("DE"));
                assert_eq!(again.expect("it was read before").0, value, "{typed:?}");
            }
        }
    }
    for comparison in [Comparison::Email, Comparison::Phone, Comparison::Url, Comparison::Text] {
        if let Some(once) = normalize(comparison, typed, Some("DE")) {
            assert_eq!(normalize(comparison, &once, Some("DE")), Some(once), "{comparison:?} {typed:?}");
        }
    }
}

libfuzzer_sys::fuzz_target!(|body: &[u8]| {
    check(&hostile(body.get(..200).unwrap_or(body)));
    check(&String::from_utf8_lossy(body.get(..2_000).unwrap_or(body)));
});
