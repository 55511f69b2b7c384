#![no_main]
//! A website form's body in either encoding: read whole within the form's limits, or refused with
//! a client error; and hostile values, however they are sent, arrive as they are.

use domain::clock::Millis;
use domain::form::{Form, FormKind, MAX_NAME_CHARS, MAX_VALUE_CHARS};
use domain::source::website::{Encoding, Syntax, parse, redirect_target};
use domain::testing::hostile;

const LATIN: Encoding = Encoding { syntax: Syntax::UrlEncoded, charset: Some(encoding_rs::WINDOWS_1252) };

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
        posts_per_minute: domain::form::DEFAULT_POSTS_PER_MINUTE,
        created_at: Millis(0),
        updated_at: Millis(0),
    };
    for encoding in [Encoding::JSON, Encoding::URL_ENCODED, LATIN] {
        match parse(body, encoding, &form) {
            Ok(fields) => {
                assert!(fields.len() <= form.max_fields);
                for field in &fields {
                    assert!(field.name.chars().count() <= MAX_NAME_CHARS);
                    assert!(field.value.chars().count() <= MAX_VALUE_CHARS);
                }
            }
            Err(problem) => assert!((400..500).contains(&problem.status)),
        }
    }
    if let Some(target) = redirect_target(body, Encoding::URL_ENCODED, &form) {
        assert!(form.redirect_urls.iter().any(|url| url == target));
    }
    let value = hostile(body.get(..400).unwrap_or(body));
    let mut encoded = String::from("a=");
    for byte in value.bytes() {
        encoded.push_str(&format!("%{byte:02X}"));
    }
    let fields = parse(encoded.as_bytes(), Encoding::URL_ENCODED, &form).expect("a form");
    assert_eq!(fields.first().map(|field| field.value.as_str()), Some(value.as_str()));
});
