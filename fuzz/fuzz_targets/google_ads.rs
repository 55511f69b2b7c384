#![no_main]
//! A Google Ads lead: read with the right key only, or refused.

use http::HeaderMap;
use domain::source::google_ads::GoogleAds;
use domain::source::{Delivery, Inbound, LeadSource as _};

use domain::clock::Millis;
use domain::form::{Form, FormKind};

libfuzzer_sys::fuzz_target!(|body: &[u8]| {
    let contract = "fuzzed".parse().expect("a valid id");
    let form = Form {
        id: "fuzzed-form".parse().expect("a valid id"),
        kind: FormKind::GoogleAds,
        name: "Fuzzed".into(),
        enabled: true,
        campaign: None,
        allowed_origins: vec![],
        redirect_urls: vec![],
        required_fields: vec![],
        multi_value_fields: vec![],
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
    let headers = HeaderMap::new();
    let inbound =
        Inbound { contract: &contract, form: Some(&form), headers: &headers, body, secrets: &["demo-google-key"], fresh_id: "f", now: Millis(0) };
    match GoogleAds.read(inbound) {
        Ok(Delivery::Submission(new)) => assert!(!new.response_id.is_empty() && new.response_id.len() <= 255),
        Ok(Delivery::Ignored) => unreachable!("every lead of Google's is stored"),
        Err(problem) => assert!((400..500).contains(&problem.status)),
    }
    let unset = Inbound { secrets: &[""], ..inbound };
    assert!(GoogleAds.read(unset).is_err(), "an unset key lets nobody in");
});
