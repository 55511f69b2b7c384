#![no_main]
//! A LinkedIn notification: never read unsigned; signed, read or refused.

use http::HeaderMap;
use domain::source::linkedin::LinkedIn;
use domain::source::{Delivery, Inbound, LeadSource as _};

libfuzzer_sys::fuzz_target!(|body: &[u8]| {
    let contract = "fuzzed".parse().expect("a valid id");
    let inbound = |headers| Inbound {
        contract: &contract,
        form: None,
        headers,
        body,
        secrets: &["a secret of the contract"],
        fresh_id: "fresh",
        now: domain::clock::Millis(0),
    };
    let none = HeaderMap::new();
    assert_eq!(
        LinkedIn.read(inbound(&none)).expect_err("unsigned").status,
        401
    );
    let mut headers = HeaderMap::new();
    let signature = domain::source::linkedin::sign("a secret of the contract", body);
    headers.insert("x-li-signature", signature.parse().expect("hexadecimal"));
    match LinkedIn.read(inbound(&headers)) {
        // The id goes into the path of a later request.
        Ok(Delivery::Submission(new)) => assert!(
            new.response_id
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        ),
        Ok(Delivery::Ignored) => {}
        Err(problem) => assert_eq!(problem.status, 400),
    }
});
