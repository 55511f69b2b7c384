//! Choices that a CRM offers for the settings (CN-9, CN-10).

use serde::{Deserialize, Serialize};

use crate::clock::Millis;
use crate::problem::Problem;
use crate::schema::CrmKind;

/// A stage of an opportunity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct Stage {
    /// The value that the setting stores (Salesforce: the API name; Dataverse: the option's number, as text).
    pub value: String,
    /// Display name.
    pub label: String,
    /// Its place in the pipeline, from 0.
    pub position: u32,
    /// True if an opportunity in this stage is closed. Dynamics closes by a separate state, not by a stage.
    pub closed: bool,
    /// True if an opportunity in this stage is won.
    pub won: bool,
}

/// The type of a value field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ValueKind {
    /// An amount of money.
    Currency,
    /// Another number.
    Number,
}

/// A field of the opportunity that can hold the value of a won one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct ValueField {
    /// The CRM's name for it.
    pub name: String,
    /// Display name.
    pub label: String,
    /// Its type.
    pub kind: ValueKind,
}

/// One choice of a picklist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct Choice {
    /// The value that is sent to the CRM (Dataverse: the number, as text).
    pub value: String,
    /// Display name.
    pub label: String,
}

/// A currency of the CRM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct Currency {
    /// ISO 4217.
    pub code: String,
    /// Display name, or the code if the CRM has no name for it.
    pub name: String,
}

/// Choices that the CRM offers for the settings. A list that the CRM did not return is empty, and its note
/// gives the reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct CrmOptions {
    /// The CRM that was asked.
    pub crm: CrmKind,
    /// Time of the request.
    #[cfg_attr(feature = "http-api", schema(value_type = i64))]
    pub fetched_at: Millis,
    /// The opportunity's stages, in the pipeline's order.
    pub stages: Vec<Stage>,
    /// The reason for an empty list of stages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stages_note: Option<String>,
    /// The opportunity's currency fields, then its other numeric fields.
    pub value_fields: Vec<ValueField>,
    /// The reason for an empty list of value fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_fields_note: Option<String>,
    /// The lead sources.
    pub lead_sources: Vec<Choice>,
    /// The reason for an empty list of lead sources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lead_sources_note: Option<String>,
    /// The active currencies.
    pub currencies: Vec<Currency>,
    /// The reason for an empty list of currencies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currencies_note: Option<String>,
}

impl CrmOptions {
    /// The stage of an opportunity, by its imported text: Salesforce's `StageName` is a stage's value;
    /// Dynamics' `stepname` is a sales stage's label, preceded by a number in the standard process
    /// (`1-Qualify`).
    #[must_use]
    pub fn stage_of(&self, imported: &str) -> Option<&Stage> {
        let imported = imported.trim();
        if let Some(stage) = self.stages.iter().find(|stage| stage.value == imported) {
            return Some(stage);
        }
        if self.crm == CrmKind::Salesforce {
            return None;
        }
        let by_label = |text: &str| {
            self.stages
                .iter()
                .find(|stage| stage.label.to_lowercase() == text.to_lowercase())
        };
        by_label(imported).or_else(|| {
            let (number, label) = imported.split_once('-')?;
            let number = number.trim();
            let numbered = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit());
            numbered.then(|| by_label(label.trim())).flatten()
        })
    }

    /// Refuses a stage that the CRM does not have.
    pub fn check_stage(&self, value: &str) -> Result<(), Problem> {
        let known = self.stages.iter().map(|stage| stage.value.as_str());
        self.check(
            value,
            known,
            "unknown_stage",
            "pipeline_stage",
            "opportunity stage",
            "Choose one of the stages that the CRM has now, or “Not sure” for all open opportunities.",
        )
    }

    /// Refuses a field that is not one of the opportunity's numeric and currency fields.
    pub fn check_value_field(&self, name: &str) -> Result<(), Problem> {
        let known = self.value_fields.iter().map(|field| field.name.as_str());
        self.check(
            name,
            known,
            "unknown_value_field",
            "won_value_field",
            "numeric or currency field on the opportunity",
            "Choose one of the fields that the CRM has now, or “Not sure”.",
        )
    }

    /// Refuses a lead source that is not in the CRM's picklist.
    pub fn check_lead_source(&self, value: &str) -> Result<(), Problem> {
        let known = self.lead_sources.iter().map(|choice| choice.value.as_str());
        self.check(
            value,
            known,
            "unknown_lead_source",
            "lead_source",
            "active lead source",
            "Choose one of the lead sources that the CRM has now, or none.",
        )
    }

    /// Refuses a currency that is not one of the CRM's.
    pub fn check_currency(&self, code: &str) -> Result<(), Problem> {
        let known = self
            .currencies
            .iter()
            .map(|currency| currency.code.as_str());
        self.check(
            code,
            known,
            "unknown_currency",
            "currency",
            "active currency",
            "Choose one of the currencies that the CRM has now.",
        )
    }

    fn check<'a>(
        &self,
        value: &str,
        mut known: impl Iterator<Item = &'a str>,
        code: &str,
        field: &str,
        what: &str,
        next_step: &str,
    ) -> Result<(), Problem> {
        if known.any(|known| known == value) {
            return Ok(());
        }
        // The value is not repeated: it is whatever the caller sent.
        Err(Problem::new(
            422,
            code,
            format!("{} has no such {what}.", self.crm.label()),
            next_step,
        )
        .with_field(field))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOTH: [CrmKind; 2] = [CrmKind::Salesforce, CrmKind::Dynamics365];

    fn options(crm: CrmKind) -> CrmOptions {
        let stage = |position: u32, value: &str, label: &str| Stage {
            value: value.to_owned(),
            label: label.to_owned(),
            position,
            closed: false,
            won: false,
        };
        CrmOptions {
            crm,
            fetched_at: Millis(1),
            stages: vec![
                stage(0, "0", "Qualify"),
                stage(1, "1", "Develop"),
                stage(2, "Needs Analysis", "Besoin"),
            ],
            stages_note: None,
            value_fields: vec![ValueField {
                name: "Amount".to_owned(),
                label: "Amount".to_owned(),
                kind: ValueKind::Currency,
            }],
            value_fields_note: None,
            lead_sources: vec![Choice {
                value: "Web".to_owned(),
                label: "Web".to_owned(),
            }],
            lead_sources_note: None,
            currencies: vec![Currency {
                code: "EUR".to_owned(),
                name: "Euro".to_owned(),
            }],
            currencies_note: None,
        }
    }

    #[test]
    fn settings_take_only_what_the_crm_offers() {
        for crm in BOTH {
            let options = options(crm);
            options.check_stage("0").unwrap();
            options.check_value_field("Amount").unwrap();
            options.check_lead_source("Web").unwrap();
            options.check_currency("EUR").unwrap();
            let refused = [
                (
                    options.check_stage("Qualify"),
                    "unknown_stage",
                    "pipeline_stage",
                ),
                (
                    options.check_value_field("amount"),
                    "unknown_value_field",
                    "won_value_field",
                ),
                (
                    options.check_lead_source(""),
                    "unknown_lead_source",
                    "lead_source",
                ),
                (
                    options.check_currency("eur"),
                    "unknown_currency",
                    "currency",
                ),
            ];
            for (result, code, field) in refused {
                let problem = result.unwrap_err();
                assert_eq!((problem.status, problem.code.as_str()), (422, code));
                assert_eq!(problem.field.as_deref(), Some(field));
                assert!(problem.next_step.starts_with("Choose"));
            }
        }
    }

    #[test]
    fn an_opportunitys_stage_is_found_by_what_is_imported() {
        let dynamics = options(CrmKind::Dynamics365);
        let position = |text: &str| dynamics.stage_of(text).map(|stage| stage.position);
        assert_eq!(
            position("1-Qualify"),
            Some(0),
            "the label counts, not the number"
        );
        assert_eq!(position("2-Develop"), Some(1));
        assert_eq!(position(" develop "), Some(1));
        assert_eq!(position("10 - Besoin"), Some(2));
        for unknown in ["", "-", "x-Qualify", "-Qualify", "3-Propose"] {
            assert_eq!(position(unknown), None, "{unknown}");
        }
        let salesforce = options(CrmKind::Salesforce);
        assert!(salesforce.stage_of("Needs Analysis").is_some());
        assert!(
            salesforce.stage_of("1-Qualify").is_none() && salesforce.stage_of("Besoin").is_none()
        );
    }

    proptest! {
        #[test]
        fn any_stage_text_is_read_or_unknown(text in "\\PC{0,20}") {
            for crm in BOTH {
                let options = options(crm);
                if let Some(stage) = options.stage_of(&text) {
                    prop_assert!(options.stages.contains(stage));
                }
            }
        }
    }
}
