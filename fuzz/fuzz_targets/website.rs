#![no_main]
//! A website form's body in either encoding: read whole within the form's limits, or refused with
//! a client error; and what is read never holds what no form may send.

use domain::clock::Millis;
use domain::field::has_control_characters;
use domain::form::{Form, FormKind, MAX_NAME_CHARS, MAX_VALUE_CHARS};
use domain::source::website::{Encoding, parse, redirect_target};

libfuzzer_sys::fuzz_target!(|body: &[u8]| {
    let form = Form {
        id: "fuzzed-form".parse().expect("a valid id"),
        kind: FormKind::Website,
        name: "Fuzzed".into(),
        enabled: true,
        campaign: None,
        allowed_origins: vec![],
        redirect_urls: vec!["https://www.example.com/thanks".into()],
        required_fields: vec![],
        multi_value_fields: vec!["m".into()],
        honeypot_field: None,
        max_body_bytes: 65_536,
        max_fields: 50,
        sealed_secret: None,
        sealed_previous_secret: None,
        body_signatures_until: None,
        posts_per_minute: shared::domain::form::DEFAULT_POSTS_PER_MINUTE,
        created_at: Millis(0),
        updated_at: Millis(0),
    };
    for encoding in [Encoding::Json, Encoding::UrlEncoded] {
        match parse(body, encoding, &form) {
            Ok(fields) => {
                assert!(fields.len() <= form.max_fields);
                for field in &fields {
                    assert!(field.name.chars().count() <= MAX_NAME_CHARS);
                    assert!(field.value.chars().count() <= MAX_VALUE_CHARS);
                    assert!(!has_control_characters(&field.name) && !has_control_characters(&field.value));
                }
            }
            Err(problem) => assert!((400..500).contains(&problem.status)),
        }
    }
    if let Some(target) = redirect_target(body, &form) {
        assert!(form.redirect_urls.iter().any(|url| url == target));
    }
});
