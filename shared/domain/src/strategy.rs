//! Matching strategies (LG-2 to LG-5): the rules by which a submission joins an existing lead.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ids::StrategyId;
use super::mapping::{MappedLead, comparable};
use super::schema::LeadSchema;
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

impl MatchingStrategy {
    /// The normal form of each matching field's value; none where the submission has none. A placeholder is
    /// none.
    #[must_use]
    pub fn normal_values(
        &self,
        lead: &MappedLead,
        schema: &LeadSchema,
        region: Option<&str>,
    ) -> BTreeMap<String, Option<String>> {
        let normal = |name: &String| {
            lead.values
                .get(name)
                .filter(|_| !lead.filled_in.contains(name))
                .zip(schema.field(name))
                .and_then(|(value, field)| comparable(value, field, region))
        };
        let names = self.matching_lead_fields.iter();
        names.map(|name| (name.clone(), normal(name))).collect()
    }

    /// The reason for creating or joining a lead, for users. `matching`: number of leads that matched.
    #[must_use]
    pub fn reason(&self, normals: &BTreeMap<String, Option<String>>, matching: usize) -> String {
        if self.always_create_lead {
            return "The strategy always creates a lead.".to_owned();
        }
        if normals.is_empty() || normals.values().any(Option::is_none) {
            let missing = normals.iter().filter(|(_, normal)| normal.is_none());
            let missing: Vec<&str> = missing.map(|(name, _)| name.as_str()).collect();
            return format!(
                "The submission has no value to match on for {}, so no lead can match.",
                missing.join(", ")
            );
        }
        let fields: Vec<&str> = normals.keys().map(String::as_str).collect();
        let fields = fields.join(", ");
        match matching {
            0 => format!("No open lead matched on {fields}."),
            1 => format!("One open lead matched on {fields}."),
            count => format!("{count} open leads matched on {fields}; the oldest was chosen."),
        }
    }
}
