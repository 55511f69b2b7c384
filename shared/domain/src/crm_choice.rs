//! Configuration rules for the CRM itself: the choice of a CRM (CN-2), sync settings (CN-9), ROI reporting
//! (CN-10).

use serde_json::{Value, json};

use super::contract::{Change, ContractConfig, Effect};
use super::crm_settings::{CrmSettings, MAX_PRODUCT_NAME, RoiReporting, SyncSettings};
use super::default_mappings::counterpart;
use super::environment::Environment;
use super::inventory::CrmOptions;
use super::normalize::invisible::{Form, clean};
use super::schema::CrmKind;
use crate::clock::Millis;
use crate::problem::Problem;

/// Most items that a choice of the CRM may change: a transaction takes 100.
const MAX_CHANGES: usize = 90;

impl ContractConfig {
    /// The settings of an environment, or the defaults if none were saved.
    #[must_use]
    pub fn crm_settings(&self, environment: Environment) -> CrmSettings {
        let saved = self.crm_settings.get(&environment).cloned();
        saved.unwrap_or_else(|| CrmSettings::new(environment))
    }

    /// Changes the CRM that the contract uses. Mappings and strategies are moved to the other CRM's lead
    /// fields if those have a usual counterpart, and lose fields without one; the score no longer has a lead
    /// field. Takes effect only while neither environment is connected.
    ///
    /// # Errors
    /// Returns `strategy_without_matching_fields` if the active strategy would be left without fields, or
    /// `too_many_mappings` if there are more than one transaction takes.
    /// `too_many_mappings` when there are more than one transaction takes.
    pub fn choose_crm(&mut self, crm: CrmKind, now: Millis) -> Result<Effect, Problem> {
        let before = self.contract.crm;
        let mut changes = vec![Change::Contract];
        let mut dropped = Vec::new();
        if before != crm {
            self.contract.crm = crm;
            changes.extend(Environment::ALL.map(Change::AssumeNotConnected));
            for (name, mut mapping) in std::mem::take(&mut self.mappings) {
                if let Some(field) = counterpart(&mapping.lead_field, crm) {
                    field.clone_into(&mut mapping.lead_field);
                    mapping.updated_at = now;
                    changes.push(Change::PutMapping(mapping.clone()));
                    self.mappings.insert(name, mapping);
                } else {
                    changes.push(Change::DeleteMapping(name.clone()));
                    dropped.push(name);
                }
            }
            let mapped: Vec<&str> = self
                .mappings
                .values()
                .map(|mapping| mapping.lead_field.as_str())
                .collect();
            for strategy in self.strategies.values_mut() {
                strategy.matching_lead_fields = strategy
                    .matching_lead_fields
                    .iter()
                    .filter_map(|field| counterpart(field, crm))
                    .filter(|field| mapped.contains(field))
                    .map(str::to_owned)
                    .collect();
                strategy.updated_at = now;
                changes.push(Change::PutStrategy(strategy.clone()));
            }
            if let Some(active) = self.strategies.get(&self.contract.active_strategy) {
                Self::check_can_be_active(active)?;
            }
            if self.scoring.lead_field.take().is_some() {
                changes.push(Change::PutScoring(self.scoring.clone()));
            }
            // Settings with options of the other CRM mean nothing here.
            for environment in std::mem::take(&mut self.crm_settings).into_keys() {
                changes.push(Change::DeleteCrmSettings(environment));
            }
        }
        if changes.len() > MAX_CHANGES {
            return Err(Problem::new(
                409,
                "too_many_mappings",
                format!(
                    "More than {MAX_CHANGES} mappings, strategies and settings would change at once."
                ),
                "Delete field mappings that the other CRM will not need, then choose it again.",
            ));
        }
        Ok(Effect {
            changes,
            audit: (
                "crm.choose",
                "crm".to_owned(),
                json!(before),
                json!({ "crm": crm, "dropped_mappings": dropped }),
            ),
        })
    }

    /// Saves the sync settings of an environment (CN-9).
    ///
    /// # Errors
    /// Returns `invalid_api_share` or `invalid_product_name`, or a problem with a stage or lead source that
    /// the CRM does not have.
    pub fn set_sync_settings(
        &mut self,
        environment: Environment,
        settings: SyncSettings,
        options: Option<&CrmOptions>,
    ) -> Result<Effect, Problem> {
        let mut after = self.crm_settings(environment);
        if !(1..=100).contains(&settings.api_share_percent) {
            return Err(Problem::new(
                422,
                "invalid_api_share",
                "The share of API calls is 1 to 100 percent.",
                "Send another share.",
            )
            .with_field("api_share_percent"));
        }
        let product = &settings.product_name;
        let on_one_line = clean(product, Form::Line).text == *product;
        if !on_one_line || !(1..=MAX_PRODUCT_NAME).contains(&product.chars().count()) {
            return Err(Problem::new(
                422,
                "invalid_product_name",
                format!(
                    "The product's name is 1 to {MAX_PRODUCT_NAME} characters on one line, without space around them."
                ),
                "Send another name, such as Sales Navigator.",
            )
            .with_field("product_name"));
        }
        if let Some(options) = options {
            if let Some(stage) = &settings.pipeline_stage {
                options.check_stage(stage)?;
            }
            if let Some(source) = &settings.lead_source {
                options.check_lead_source(source)?;
            }
        }
        let before = json!(after.sync);
        after.sync = Some(settings);
        let logged = json!(after.sync);
        Ok(self.put_crm_settings(after, "crm.sync_settings", before, logged))
    }

    /// Saves the ROI reporting of an environment (CN-10).
    ///
    /// # Errors
    /// Returns `currency_needed`, or a problem with a field or currency that the CRM does not have.
    pub fn set_roi_reporting(
        &mut self,
        environment: Environment,
        roi: RoiReporting,
        options: Option<&CrmOptions>,
    ) -> Result<Effect, Problem> {
        let mut after = self.crm_settings(environment);
        if roi.enabled && roi.currency.is_none() {
            return Err(Problem::new(
                422,
                "currency_needed",
                "ROI reporting needs a currency to report in.",
                "Choose one of the CRM's currencies.",
            )
            .with_field("currency"));
        }
        if let Some(options) = options {
            if let Some(field) = &roi.won_value_field {
                options.check_value_field(field)?;
            }
            if let Some(currency) = &roi.currency {
                check_currency(options, currency)?;
            }
        }
        let before = json!(after.roi);
        after.roi = Some(roi);
        let logged = json!(after.roi);
        Ok(self.put_crm_settings(after, "crm.roi_reporting", before, logged))
    }

    fn put_crm_settings(
        &mut self,
        after: CrmSettings,
        action: &'static str,
        before: Value,
        logged: Value,
    ) -> Effect {
        let environment = after.environment;
        self.crm_settings.insert(environment, after.clone());
        Effect {
            changes: vec![Change::PutCrmSettings(after)],
            audit: (action, environment.to_string(), before, logged),
        }
    }
}

/// Checks that a currency is one of the CRM's own. If the CRM names none, as an organisation with one
/// currency may do, any code is accepted.
fn check_currency(options: &CrmOptions, code: &str) -> Result<(), Problem> {
    if !options.currencies.is_empty() {
        return options.check_currency(code);
    }
    if code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Ok(());
    }
    Err(Problem::new(
        422,
        "unknown_currency",
        "A currency is an ISO 4217 code of three capital letters.",
        "Send for example EUR, GBP or USD.",
    )
    .with_field("currency"))
}
