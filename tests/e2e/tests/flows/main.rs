//! The end-to-end tests that need nothing but Rust: one module for each flow, in one program, so
//! that a change links once.
//!
//! `submissions` and `connect_flow` also run against a deployed stack (`cargo xtask stack-test`).
//! Tests that need a browser are in the other program, `browser`.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on stops"
)]

mod activities;
mod activity_questions;
mod activity_settings;
mod champions;
mod company;
mod connect_flow;
mod costs;
mod crm_connection;
mod crm_queries;
mod crm_users;
mod data_validation;
mod data_validation_flags;
mod directory_api;
mod directory_store;
mod edge;
mod erasure;
mod exactly_once;
mod histories;
mod import;
mod import_clients;
mod import_odata;
mod import_sources;
mod inventory;
mod lead_by_user;
mod leaving;
mod linking;
mod lists;
mod mirror;
mod oauth;
mod oauth_attacks;
mod previews;
mod retention;
mod roi;
mod seat_crm;
mod setbacks;
mod sign_in;
mod submissions;
mod sync_api;
mod table;
mod template;
