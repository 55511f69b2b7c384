//! Matching strategies (LG-2 to LG-5): the rules by which a submission joins an existing lead.

use serde::{Deserialize, Serialize};

use super::ids::StrategyId;
use crate::clock::Millis;

/// Maximum number of fields in a strategy.
pub const MAX_MATCHING_FIELDS: usize = 10;

/// A matching strategy. The contract stores which one is active, in one place, so that there is always
/// exactly one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct MatchingStrategy {
    /// Its id.
    pub id: StrategyId,
    /// Display name.
    pub name: String,
    /// Creates a new lead for every submission, even if a lead already exists (LG-3).
    pub always_create_lead: bool,
    /// Creates a new contact for each new lead (LG-4).
    pub enable_contact_creation: bool,
    /// Lead fields (the CRM's names) that must all have matching values (LG-5).
    pub matching_lead_fields: Vec<String>,
    /// Time of creation.
    #[cfg_attr(feature = "http-api", schema(value_type = i64))]
    pub created_at: Millis,
    /// Time of the last change.
    #[cfg_attr(feature = "http-api", schema(value_type = i64))]
    pub updated_at: Millis,
}
