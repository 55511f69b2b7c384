//! The scoring rule (LG-6): points for each attached submission.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The rule by which submissions score a lead. A lead's score is the sum of the points of every submission
/// attached to it, up to the maximum. It only ever raises the score that the CRM shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ScoringRule {
    /// The lead field that holds the score; `None` keeps the score in Leadbridge only.
    #[serde(default)]
    pub lead_field: Option<String>,
    /// Points for the submission that created the lead.
    pub new_lead_points: u32,
    /// Points for each further submission that matched it.
    pub matched_points: u32,
    /// Points instead of the two above for submissions of these forms (by form id).
    #[serde(default)]
    pub form_points: BTreeMap<String, u32>,
    /// The highest score a lead reaches.
    #[serde(default)]
    pub maximum: Option<u32>,
}

impl Default for ScoringRule {
    fn default() -> Self {
        Self {
            lead_field: None,
            new_lead_points: 10,
            matched_points: 5,
            form_points: BTreeMap::new(),
            maximum: Some(100),
        }
    }
}

impl ScoringRule {
    /// Points for one submission.
    #[must_use]
    pub fn points(&self, form: &str, created_lead: bool) -> u32 {
        let usual = if created_lead {
            self.new_lead_points
        } else {
            self.matched_points
        };
        self.form_points.get(form).copied().unwrap_or(usual)
    }

    /// The score of a lead with these submissions' points.
    #[must_use]
    pub fn score(&self, points: impl IntoIterator<Item = u32>) -> u32 {
        let sum = points.into_iter().fold(0_u32, u32::saturating_add);
        self.maximum.map_or(sum, |maximum| sum.min(maximum))
    }
}
