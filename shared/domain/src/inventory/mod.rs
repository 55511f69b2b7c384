//! Access of a connected CRM's user, and the choices that the CRM offers for the settings (CN-4, CN-9,
//! CN-10).
//!
//! [`objects`] is the one list of imported objects (IM-1): the permission check compares it with the CRM's
//! metadata, and the import reads it.

mod access;
mod options;

pub use access::{AccessReport, Appearance, ObjectAccess, Shown, assess, dataverse_privilege};
pub use options::{Choice, CrmOptions, Currency, Stage, ValueField, ValueKind};

pub use super::vocabulary::{ObjectSpec, Right, SALESFORCE_CURRENCY_FIELD, objects};
