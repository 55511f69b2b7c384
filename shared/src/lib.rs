//! Leadbridge's core: everything two functions agree on.
//!
//! Read in this order:
//! - [`domain`]: values and rules. No async, no clock, no I/O.
//! - [`source`]: the lead-form sources; a source is one file that turns a request into a submission.
//! - [`rows`]: rows as the CRMs write them, read into the mirror's form.
//! - [`problem`]: the one shape of every error that a person or a client sees.
//! - [`clock`], [`random`]: time and randomness as ports. [`cache`]: values kept for a short time.
//! - [`store`]: the table. The only place that writes a key string.
//! - [`queue`]: the queues.
//! - [`vault`]: sealing of tokens and secrets before they reach the table.
//! - [`outbound`]: the one door for calls to the outside.
//! - [`oauth`], [`session`]: tokens, their refresh, and authenticated calls.
//! - [`crm`]: the CRM port with its Salesforce and Dataverse adapters.
//! - [`crm_setup`]: the permission check, the options of the settings, and imports.
//! - [`linkedin`]: LinkedIn's lead-sync API.
//! - [`linking`]: which record of the CRM an entry of the directory is.
//! - [`cached`]: configuration and metadata as the workers see them.
//! - [`web_session`]: sessions of people who signed in. [`api_auth`]: who calls, by API token or session.
//! - [`invitation`]: invitations to seats.
//! - [`config`], [`telemetry`], [`aws`], [`wiring`]: how a function starts.
//!
//! What is absent on purpose: no Lambda event type, nothing that knows an emulator or the simulator.

pub mod domain;
pub mod rows;
pub mod source;

pub mod cache;
pub mod clock;
pub mod invitation;
pub mod problem;
pub mod random;
pub mod signature;

#[cfg(feature = "adapters")]
pub mod api_auth;
#[cfg(feature = "adapters")]
pub mod aws;
#[cfg(feature = "adapters")]
pub mod cached;
#[cfg(feature = "adapters")]
pub mod config;
#[cfg(feature = "adapters")]
pub mod crm;
#[cfg(feature = "adapters")]
pub mod crm_setup;
#[cfg(feature = "adapters")]
pub mod linkedin;
#[cfg(feature = "adapters")]
pub mod linking;
#[cfg(feature = "adapters")]
pub mod oauth;
#[cfg(feature = "adapters")]
pub mod outbound;
#[cfg(feature = "adapters")]
pub mod queue;
#[cfg(feature = "adapters")]
pub mod session;
#[cfg(feature = "adapters")]
pub mod store;
#[cfg(feature = "adapters")]
pub mod telemetry;
#[cfg(feature = "adapters")]
pub mod vault;
#[cfg(feature = "adapters")]
pub mod web_session;
#[cfg(feature = "adapters")]
pub mod wiring;

#[cfg(feature = "testing")]
pub mod testing;
