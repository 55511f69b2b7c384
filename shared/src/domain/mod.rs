//! Values and rules of the business. Pure: no async, no clock, no I/O.

pub mod contract;
pub mod crm_choice;
pub mod crm_settings;
pub mod csv_upload;
pub mod default_mappings;
pub mod directory;
pub mod environment;
pub mod field;
pub mod form;
pub mod guide;
pub mod ids;
pub mod inventory;
pub mod linked_record;
pub mod mapping;
pub mod match_keys;
pub mod mirror;
pub mod normalize;
pub mod role;
pub mod schema;
pub mod scoring;
pub mod seat;
pub mod strategy;
pub mod submission;
pub mod sync;
