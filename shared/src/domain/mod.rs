//! Values and rules of the business. Pure: no async, no clock, no I/O.

pub mod contract;
pub mod field;
pub mod form;
pub mod ids;
pub mod inventory;
pub mod mapping;
pub mod normalize;
pub mod role;
pub mod schema;
pub mod scoring;
pub mod strategy;
pub mod submission;
