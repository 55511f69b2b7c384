//! Business values and rules, and the external formats in which they arrive.
//!
//! Pure: no async, no I/O; the time comes in through [`clock::Clock`].
//!
//! Read in this order:
//! - [`contract`]: the configuration of a contract, and every rule of it.
//! - [`submission`], [`mapping`], [`normalize`], [`strategy`], [`scoring`]: a form response on its way to a lead.
//! - [`preview`]: the result of a mapping on submissions that are there.
//! - [`activity`]: what seat holders do, on its way to their CRM.
//! - [`user_writes`]: leads and contacts that seat holders create and update, and their limits.
//! - [`vocabulary`]: the names, kinds and roles of the CRMs' objects and fields; every other module asks it.
//! - [`schema`], [`inventory`], [`linked_record`], [`mirror`], [`match_keys`], [`references`]: the CRM's objects, fields and records.
//! - [`opportunity`], [`lists`]: open opportunities, and what is saved because of them.
//! - [`champions`]: people of won opportunities who moved to another company.
//! - [`hosts`]: the exact forms of the host names that calls go to.
//! - [`directory`]: the people and companies that a contract knows outside its CRM.
//! - [`privacy`]: what names a person, and the erasure of their data.
//! - [`source`]: the lead-form sources; a source is one file that turns a request into a submission.
//! - [`rows`]: rows as the CRMs write them, read into the mirror's form.
//! - [`problem`]: the one shape of every error that a person or a client sees.
//! - [`run`]: work that outlives an invocation.
//! - [`connection_kind`]: connections of a contract, by the system that they lead to.
//! - [`clock`], [`cache`], [`signature`]: time as a port, values kept for a short time, hashes and signatures.

pub mod activity;
pub mod cache;
pub mod champions;
pub mod clock;
pub mod connection_kind;
pub mod contract;
pub mod crm_choice;
pub mod crm_settings;
pub mod crm_user;
pub mod csv_upload;
pub mod default_mappings;
pub mod directory;
pub mod employer;
pub mod environment;
pub mod field;
pub mod form;
pub mod guide;
pub mod hosts;
pub mod ids;
pub mod inventory;
pub mod linked_record;
pub mod lists;
pub mod log_choice;
pub mod mapping;
pub mod match_keys;
pub mod mirror;
pub mod normalize;
pub mod opportunity;
pub mod preview;
pub mod privacy;
pub mod problem;
pub mod provider;
pub mod references;
pub mod roi;
pub mod role;
pub mod rows;
pub mod run;
pub mod schema;
pub mod scoring;
pub mod seat;
pub mod signature;
pub mod source;
pub mod strategy;
pub mod submission;
pub mod sync;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod user_writes;
pub mod vocabulary;
