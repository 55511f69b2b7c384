//! Shared code of the functions: the core crates under one name, and the modules on top of them.
//!
//! The core, from the bottom up; each crate depends only on those before it:
//! - [`domain`]: values and rules. No async, no clock, no I/O.
//! - `matching`: the record linker.
//! - [`store`]: the table. The only place that writes a key string.
//! - `remote`: the one door for calls to the outside ([`outbound`]), [`oauth`], [`session`], [`vault`].
//! - [`crm`]: the CRM port with its Salesforce and Dataverse adapters, and [`linkedin`].
//!
//! On top of them:
//! - [`queue`]: the queues.
//! - [`crm_setup`]: the permission check, the options of the settings, and imports.
//! - [`crm_users`]: the users of the CRM, and the seat of each.
//! - [`texts`]: the words of every error, by audience. [`writing`]: creating and changing records of the CRM.
//! - [`by_user`]: leads and contacts that seat holders create and update themselves.
//! - [`lead_match`]: finds the leads that a submission matches.
//! - [`linking`]: finds the CRM record of each directory entry.
//! - [`opportunities`]: the opportunities of a record, and the contacts in them. [`runs`]: asks for runs that
//!   follow from a change.
//! - [`cached`]: configuration and metadata as the workers see them.
//! - [`web_session`]: sessions of signed-in people. [`api_auth`]: authentication by API token or session.
//! - [`erasure`]: the erasure of a person's data, and its tombstones.
//! - [`invitation`]: invitations to seats.
//! - [`edge`]: the layer around every HTTP function. [`throttle`]: counting in a process.
//! - [`config`], [`telemetry`], [`aws`], [`wiring`]: the start of a function.
//!
//! Absent on purpose: Lambda event types, and any knowledge of an emulator or the simulator.

pub use crm::{self, linkedin};
pub use domain::{self, cache, problem, rows, signature, source};
pub use remote::{oauth, outbound, random, session, vault};
pub use store;

pub mod api_auth;
pub mod aws;
pub mod by_user;
pub mod cached;
pub mod champions;
pub mod clock;
pub mod config;
pub mod crm_setup;
pub mod crm_users;
#[cfg(feature = "http-api")]
pub mod edge;
pub mod erasure;
pub mod invitation;
pub mod lead_match;
pub mod linking;
pub mod opportunities;
pub mod queue;
pub mod runs;
pub mod telemetry;
pub mod texts;
pub mod throttle;
pub mod web_session;
pub mod wiring;
pub mod writing;

#[cfg(feature = "testing")]
pub mod testing;
