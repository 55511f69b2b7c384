//! Calls to the outside: every call, the tokens it carries, and their storage.
//!
//! Read in this order:
//! - [`outbound`]: the one door for calls to the outside.
//! - [`random`]: randomness as a port.
//! - [`vault`]: sealing of tokens and secrets before they reach the table.
//! - [`oauth`]: authorization-code flows, tokens, identity tokens.
//! - [`session`]: authenticated calls to a CRM or LinkedIn, with the refresh of their tokens.

pub mod oauth;
pub mod outbound;
pub mod random;
pub mod session;
pub mod vault;
