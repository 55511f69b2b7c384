//! The search for leads that a submission matches under a strategy (LG-5), for the worker that writes it and for
//! people who try a strategy out. Reads only.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::crm::{Criterion, Crm, CrmError, LeadRecord, LeadSearch};
use crate::domain::contract::Contract;
use crate::domain::environment::Environment;
use crate::domain::mapping::comparable;
use crate::domain::match_keys::{best_key, lead_object};
use crate::domain::normalize::Comparison;
use crate::domain::schema::{LeadField, LeadSchema};
use crate::store::{Store, StoreError};

/// Leads that the mirror adds to a search at most.
const MAX_MIRRORED: i32 = 20;

/// A submission's values beside the leads that they could match.
#[derive(Debug, Clone, Copy)]
pub struct LeadMatch<'a> {
    /// The contract.
    pub contract: &'a Contract,
    /// The CRM's lead fields.
    pub schema: &'a LeadSchema,
    /// The submission's lead fields, as they would be written.
    pub values: &'a BTreeMap<String, Value>,
    /// The normal form of each matching field's value; none where the submission has none.
    pub normals: &'a BTreeMap<String, Option<String>>,
}

impl LeadMatch<'_> {
    /// Leads that the mirror knows under a key of the submission's values. What they hold now, the CRM
    /// says: the mirror may be hours old.
    ///
    /// Only for strategies of text alone. E-mail addresses and phone numbers the CRM itself finds however
    /// they are written, so the mirror would add a read and no lead.
    pub async fn mirrored(self, store: &Store) -> Result<Vec<String>, StoreError> {
        let selective = |name: &String| {
            let comparison = self.schema.field(name).map(LeadField::comparison);
            matches!(comparison, Some(Comparison::Email | Comparison::Phone))
        };
        if self.normals.keys().any(selective) {
            return Ok(Vec::new());
        }
        let contract = self.contract;
        let object = lead_object(contract.crm);
        let value = |name: &str| {
            self.normals.get(name)?.as_ref()?;
            self.values.get(name)?.as_str()
        };
        let region = contract.settings.default_region.as_deref();
        let Some(key) = best_key(contract.crm, object, value, region) else {
            return Ok(Vec::new());
        };
        let found = store
            .by_match_key(
                &contract.id,
                Environment::Production,
                &key,
                Some(object),
                MAX_MIRRORED,
            )
            .await?;
        Ok(found.into_iter().map(|(_, id)| id).collect())
    }

    /// Open leads that match on every field of the strategy, oldest first, with the fields `read`. One call to
    /// the CRM.
    pub async fn leads(
        self,
        crm: &dyn Crm,
        mirrored: &[String],
        read: &[String],
    ) -> Result<Vec<LeadRecord>, CrmError> {
        let criteria: Vec<Criterion<'_>> = self
            .normals
            .iter()
            .filter_map(|(name, normal)| {
                Some(Criterion {
                    field: self.schema.field(name)?,
                    value: self.values.get(name)?,
                    normal: normal.clone()?,
                })
            })
            .collect();
        let search = LeadSearch {
            criteria: &criteria,
            ids: mirrored,
            read,
            created_since: None,
        };
        let found = crm.find_leads(self.schema, &search).await?;
        Ok(found
            .into_iter()
            .filter(|lead| lead.open && self.agrees(lead))
            .collect())
    }

    /// True if a lead's values match on every field of the strategy (LG-5).
    #[must_use]
    pub fn agrees(self, lead: &LeadRecord) -> bool {
        let region = self.contract.settings.default_region.as_deref();
        !self.normals.is_empty()
            && self.normals.iter().all(|(name, normal)| {
                let theirs = lead
                    .values
                    .get(name)
                    .zip(self.schema.field(name))
                    .and_then(|(value, field)| comparable(value, field, region));
                normal.is_some() && *normal == theirs
            })
    }
}
