//! The end-to-end tests in headless Chromium: our pages, and the sign-in at a certified server.
//!
//! Without Chromium or the server's packages the tests report that and check nothing, unless
//! `LEADBRIDGE_SIGN_IN_TESTS` is `required`.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test that cannot go on stops, and says what it skips"
)]

mod certified_server;
mod pages;
