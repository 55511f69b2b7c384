//! Matching strategies (LG-2 to LG-5): when a submission joins an existing lead.

use serde::{Deserialize, Serialize};

use super::ids::StrategyId;
use crate::clock::Millis;

/// The most fields a strategy may list.
pub const MAX_MATCHING_FIELDS: usize = 10;

/// A matching strategy. Which one is active is the contract's to say, in one place, so that there
/// is always exactly one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct MatchingStrategy {
    /// Its id.
    pub id: StrategyId,
    /// What people call it.
    pub name: String,
    /// LG-3: a new lead for every submission, even where a lead already exists.
    pub always_create_lead: bool,
    /// LG-4: a new contact for each new lead.
    pub enable_contact_creation: bool,
    /// LG-5: lead fields (the CRM's names) that must all have matching values.
    pub matching_lead_fields: Vec<String>,
    /// When it was created.
    #[cfg_attr(feature = "http-api", schema(value_type = i64))]
    pub created_at: Millis,
    /// When it was last changed.
    #[cfg_attr(feature = "http-api", schema(value_type = i64))]
    pub updated_at: Millis,
}
