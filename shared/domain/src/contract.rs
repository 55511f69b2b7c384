//! A contract's configuration and the rules that hold across it (LG-2, LG-5, LG-7).
//!
//! Every operation is a pure function from a configuration to the changes it makes, or to the
//! problem that forbids it. The store applies the changes in one transaction that assumes the
//! configuration was not changed meanwhile, so every rule here holds under concurrency too.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::crm_settings::CrmSettings;
use super::environment::Environment;
use super::form::{Form, secret_logged};
use super::ids::{ContractId, FormId, SeatId, StrategyId};
use super::mapping::{DEFAULT_PLACEHOLDER, FieldMapping};
use super::schema::{CrmKind, LeadSchema};
use super::scoring::ScoringRule;
use super::strategy::{MAX_MATCHING_FIELDS, MatchingStrategy};
use crate::clock::Millis;
use crate::problem::Problem;

/// Most strategies, mappings or forms of one contract: they are read together.
pub const MAX_ITEMS: usize = 500;

/// Longest id that a source has for a form, in characters.
const MAX_FORM_ID: usize = 200;
/// Longest address of a page, in characters.
const MAX_ADDRESS: usize = 2000;

/// Settings of a contract that are not lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// ISO 3166 alpha-2 region in which phone numbers without a country code are read.
    #[serde(default)]
    pub default_region: Option<String>,
    /// The text for fields that the CRM requires and a form does not give.
    #[serde(default = "default_placeholder")]
    pub placeholder: String,
    /// Sends test leads to the CRM like any other.
    #[serde(default)]
    pub send_test_leads: bool,
    /// Deletes the lead that a withdrawn submission created, if nothing else is attached to that lead.
    #[serde(default)]
    pub delete_withdrawn_leads: bool,
}

fn default_placeholder() -> String {
    DEFAULT_PLACEHOLDER.to_owned()
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            default_region: None,
            placeholder: default_placeholder(),
            send_test_leads: false,
            delete_withdrawn_leads: false,
        }
    }
}

/// The contract itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contract {
    /// Its id.
    pub id: ContractId,
    /// The customer's name.
    pub name: String,
    /// The CRM it uses.
    pub crm: CrmKind,
    /// The one active strategy (LG-2). One attribute of one item, so there is never none and never two.
    pub active_strategy: StrategyId,
    /// All other settings.
    #[serde(default)]
    pub settings: Settings,
    /// The seats that can act as administrators. One attribute of one item, so that the last one
    /// cannot be lost to two changes at once.
    #[serde(default)]
    pub administrators: BTreeSet<SeatId>,
    /// Number of days for which answers are kept; 0 keeps them for ever.
    #[serde(default)]
    pub keep_answers_days: u32,
    /// Number of days for which the content of activities is kept after they were written; 0 keeps it for ever.
    #[serde(default)]
    pub keep_activities_days: u32,
    /// Number of days for which imported records are kept after their CRM was disconnected; 0 keeps them for
    /// ever.
    #[serde(default)]
    pub keep_mirror_days: u32,
    /// Time when its deletion began. From then on there is no such contract for anybody but the deletion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaving_since: Option<Millis>,
    /// Counts changes of the configuration; every change names the version it replaces.
    pub config_version: u64,
    /// Time of creation.
    pub created_at: Millis,
}

/// The range of days for which answers can be kept, besides 0 for ever. Not shorter than the time for which a
/// source may deliver a response again, so that a repeat still finds the first.
pub const KEEP_ANSWERS_DAYS: std::ops::RangeInclusive<u32> = 30..=3650;

/// The range of days for which the content of activities can be kept, besides 0 for ever.
pub const KEEP_ACTIVITIES_DAYS: std::ops::RangeInclusive<u32> = 30..=3650;

/// The range of days for which imported records can be kept after their CRM was disconnected, besides 0 for
/// ever. Not shorter than it takes to notice and mend a connection that was ended by mistake.
pub const KEEP_MIRROR_DAYS: std::ops::RangeInclusive<u32> = 7..=3650;

/// The time that many days before `now`; `None` for 0 days, which mean for ever.
fn days_before(now: Millis, days: u32) -> Option<Millis> {
    (days > 0).then(|| now.plus_seconds(-i64::from(days) * 24 * 3600))
}

impl Contract {
    /// Time before which an activity was written whose content is no longer kept at `now`; `None` if content is
    /// kept for ever.
    #[must_use]
    pub fn activities_kept_from(&self, now: Millis) -> Option<Millis> {
        days_before(now, self.keep_activities_days)
    }

    /// Time before which a CRM was disconnected whose imported records are no longer kept at `now`; `None` if
    /// they are kept for ever.
    #[must_use]
    pub fn mirror_kept_from(&self, now: Millis) -> Option<Millis> {
        days_before(now, self.keep_mirror_days)
    }

    /// Time until which a submission that was received at `received` is kept; `None` for ever.
    #[must_use]
    pub fn kept_until(&self, received: Millis) -> Option<Millis> {
        let days = i64::from(self.keep_answers_days);
        (days > 0).then(|| received.plus_seconds(days * 24 * 3600))
    }
}

/// LinkedIn lead sync of a contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct LinkedInSettings {
    /// The sealed client secret of the LinkedIn app that signs notifications.
    #[serde(default)]
    pub sealed_client_secret: Option<String>,
    /// The sealed secret before the last change: still accepted.
    #[serde(default)]
    pub sealed_previous_client_secret: Option<String>,
    /// Owners whose leads are synced: `urn:li:sponsoredAccount:123` or `urn:li:organization:123`.
    #[serde(default)]
    pub owners: Vec<String>,
}

impl LinkedInSettings {
    /// The settings as the audit log shows them; `before` holds the settings before a change, if this is one.
    fn logged_over(&self, before: Option<&Self>) -> Value {
        let was = before.map(|before| before.sealed_client_secret.as_deref());
        serde_json::json!({
            "owners": self.owners,
            "client_secret": secret_logged(self.sealed_client_secret.as_deref(), was),
            "previous_client_secret":
                secret_logged(self.sealed_previous_client_secret.as_deref(), None),
        })
    }
}

/// The whole configuration that decides how a contract's submissions are handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContractConfig {
    /// The contract itself.
    pub contract: Contract,
    /// Its strategies, active and inactive.
    pub strategies: BTreeMap<StrategyId, MatchingStrategy>,
    /// Its mappings by the field's name on the form.
    pub mappings: BTreeMap<String, FieldMapping>,
    /// Its forms.
    pub forms: BTreeMap<FormId, Form>,
    /// Its scoring rule.
    pub scoring: ScoringRule,
    /// Its LinkedIn lead sync.
    pub linkedin: LinkedInSettings,
    /// The CRM settings of each environment.
    pub crm_settings: BTreeMap<Environment, CrmSettings>,
}

/// One stored thing that an operation replaces or removes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The contract's own item changes (its version always does).
    Contract,
    /// A strategy is new or changed.
    PutStrategy(MatchingStrategy),
    /// A strategy is gone.
    DeleteStrategy(StrategyId),
    /// A mapping is new or changed.
    PutMapping(FieldMapping),
    /// A mapping is gone.
    DeleteMapping(String),
    /// A form is new or changed.
    PutForm(Box<Form>),
    /// A form is gone.
    DeleteForm(FormId),
    /// The scoring rule changed.
    PutScoring(ScoringRule),
    /// LinkedIn lead sync changed.
    PutLinkedIn(LinkedInSettings),
    /// The settings of an environment's CRM changed.
    PutCrmSettings(CrmSettings),
    /// The settings of an environment's CRM are gone.
    DeleteCrmSettings(Environment),
    /// No change, but a condition: the environment must have no CRM connected.
    AssumeNotConnected(Environment),
}

/// One entry of the audit log: an action and its actor (OP-2). `before` and `after` hold no secrets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct AuditEntry {
    /// Time of the action.
    #[cfg_attr(feature = "http-api", schema(value_type = i64))]
    pub at: Millis,
    /// The actor: a token's id, `seat:` and a seat's id, or the name of a part of the system.
    pub actor: String,
    /// The action, e.g. `strategy.activate`.
    pub action: String,
    /// The object of the action.
    pub target: String,
    /// Its value before the action.
    #[serde(default)]
    pub before: Value,
    /// Its value after the action.
    #[serde(default)]
    pub after: Value,
}

/// The effect of an operation: its changes, and its entry in the audit log.
#[derive(Debug, Clone, PartialEq)]
pub struct Effect {
    /// The changes to store.
    pub changes: Vec<Change>,
    /// The audit entry: action, target, before, after.
    pub audit: (&'static str, String, Value, Value),
}

fn json<T: Serialize>(value: &T) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

/// User input for creating or editing a strategy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct StrategyInput {
    /// Display name: 1 to 100 characters.
    pub name: String,
    /// `true` activates it, and deactivates the one that was active. Changing the active one to `false` is
    /// refused: activate another instead. If left out, it stays unchanged.
    #[serde(default)]
    pub active: Option<bool>,
    /// Creates a new lead for every submission (LG-3).
    #[serde(default)]
    pub always_create_lead: bool,
    /// Creates a new contact for each new lead (LG-4).
    #[serde(default = "yes")]
    pub enable_contact_creation: bool,
    /// Lead fields that must all match (LG-5). Each needs a mapping.
    #[serde(default)]
    pub matching_lead_fields: Vec<String>,
}

const fn yes() -> bool {
    true
}

impl ContractConfig {
    /// The active strategy.
    #[must_use]
    pub fn active_strategy(&self) -> Option<&MatchingStrategy> {
        self.strategies.get(&self.contract.active_strategy)
    }

    /// The strategies that list this lead field.
    #[must_use]
    pub fn strategies_using(&self, lead_field: &str) -> Vec<&MatchingStrategy> {
        self.strategies
            .values()
            .filter(|strategy| {
                strategy
                    .matching_lead_fields
                    .iter()
                    .any(|field| field == lead_field)
            })
            .collect()
    }

    fn check_strategy(
        &self,
        input: &StrategyInput,
        schema: Option<&LeadSchema>,
    ) -> Result<(), Problem> {
        check_name("name", &input.name)?;
        let fields = &input.matching_lead_fields;
        if fields.len() > MAX_MATCHING_FIELDS {
            return Err(Problem::new(
                422,
                "too_many_matching_fields",
                format!("A strategy lists at most {MAX_MATCHING_FIELDS} lead fields."),
                "Keep the fields that tell people apart; often the e-mail address alone is enough.",
            )
            .with_field("matching_lead_fields"));
        }
        for (index, field) in fields.iter().enumerate() {
            if fields.iter().take(index).any(|earlier| earlier == field) {
                return Err(Problem::new(
                    422,
                    "duplicate_matching_field",
                    format!("{field} is listed twice."),
                    "List each lead field once.",
                )
                .with_field("matching_lead_fields"));
            }
            if !self
                .mappings
                .values()
                .any(|mapping| mapping.lead_field == *field)
            {
                return Err(Problem::new(
                    422,
                    "matching_field_not_mapped",
                    format!("No field mapping leads to {field}, so no submission could ever match on it."),
                    "Create a field mapping to this lead field first, then list it.",
                )
                .with_field("matching_lead_fields"));
            }
            if let Some(described) = schema.and_then(|schema| schema.field(field))
                && !described.is_matchable()
            {
                return Err(Problem::new(
                    422,
                    "matching_field_not_comparable",
                    format!("The CRM cannot search leads by {field}."),
                    "Choose a field with one short value, such as the e-mail address.",
                )
                .with_field("matching_lead_fields"));
            }
        }
        Ok(())
    }

    /// Checks that a strategy can be active (LG-2): without matching fields it would never match anything.
    pub(super) fn check_can_be_active(strategy: &MatchingStrategy) -> Result<(), Problem> {
        if !strategy.always_create_lead && strategy.matching_lead_fields.is_empty() {
            return Err(Problem::new(
                422,
                "strategy_without_matching_fields",
                "The active strategy must list at least one matching lead field, or always create a lead.",
                "Add a matching lead field, or set always_create_lead.",
            )
            .with_field("matching_lead_fields"));
        }
        Ok(())
    }

    /// Creates a strategy, active at once if the input says so.
    ///
    /// # Errors
    /// Returns a problem with the input.
    pub fn create_strategy(
        &mut self,
        id: StrategyId,
        input: StrategyInput,
        schema: Option<&LeadSchema>,
        now: Millis,
    ) -> Result<Effect, Problem> {
        check_room("strategies", self.strategies.len())?;
        self.check_strategy(&input, schema)?;
        let strategy = MatchingStrategy {
            id,
            name: input.name,
            always_create_lead: input.always_create_lead,
            enable_contact_creation: input.enable_contact_creation,
            matching_lead_fields: input.matching_lead_fields,
            created_at: now,
            updated_at: now,
        };
        if input.active == Some(true) {
            Self::check_can_be_active(&strategy)?;
            self.contract.active_strategy = id;
        }
        let audit = (
            "strategy.create",
            id.to_string(),
            Value::Null,
            json(&strategy),
        );
        self.strategies.insert(id, strategy.clone());
        Ok(Effect {
            changes: vec![Change::PutStrategy(strategy)],
            audit,
        })
    }

    /// Edits a strategy; `active: true` activates it.
    ///
    /// # Errors
    /// Returns a problem with the input, or `strategy_must_stay_active` for switching the active one off.
    pub fn edit_strategy(
        &mut self,
        id: StrategyId,
        input: StrategyInput,
        schema: Option<&LeadSchema>,
        now: Millis,
    ) -> Result<Effect, Problem> {
        let before = self
            .strategies
            .get(&id)
            .cloned()
            .ok_or_else(|| Problem::not_found("strategy"))?;
        self.check_strategy(&input, schema)?;
        let was_active = self.contract.active_strategy == id;
        if was_active && input.active == Some(false) {
            return Err(Problem::new(
                409,
                "strategy_must_stay_active",
                "The active strategy cannot be switched off: exactly one is always active.",
                "Activate another strategy; this one is then deactivated.",
            )
            .with_field("active"));
        }
        let strategy = MatchingStrategy {
            id,
            name: input.name,
            always_create_lead: input.always_create_lead,
            enable_contact_creation: input.enable_contact_creation,
            matching_lead_fields: input.matching_lead_fields,
            created_at: before.created_at,
            updated_at: now,
        };
        if was_active || input.active == Some(true) {
            Self::check_can_be_active(&strategy)?;
            self.contract.active_strategy = id;
        }
        let audit = (
            "strategy.edit",
            id.to_string(),
            json(&before),
            json(&strategy),
        );
        self.strategies.insert(id, strategy.clone());
        Ok(Effect {
            changes: vec![Change::PutStrategy(strategy)],
            audit,
        })
    }

    /// Activates a strategy and deactivates the one that was active. Activating the active one changes
    /// nothing.
    ///
    /// # Errors
    /// Returns `not_found` or `strategy_without_matching_fields`.
    pub fn activate_strategy(&mut self, id: StrategyId) -> Result<Effect, Problem> {
        let strategy = self
            .strategies
            .get(&id)
            .ok_or_else(|| Problem::not_found("strategy"))?;
        Self::check_can_be_active(strategy)?;
        let before = self.contract.active_strategy;
        self.contract.active_strategy = id;
        let audit = (
            "strategy.activate",
            id.to_string(),
            json(&before),
            json(&id),
        );
        Ok(Effect {
            changes: vec![Change::Contract],
            audit,
        })
    }

    /// Deletes an inactive strategy.
    ///
    /// # Errors
    /// Returns `not_found` or `strategy_is_active`.
    pub fn delete_strategy(&mut self, id: StrategyId) -> Result<Effect, Problem> {
        if !self.strategies.contains_key(&id) {
            return Err(Problem::not_found("strategy"));
        }
        if self.contract.active_strategy == id {
            return Err(Problem::new(
                409,
                "strategy_is_active",
                "The active strategy cannot be deleted.",
                "Activate another strategy first, then delete this one.",
            ));
        }
        let before = self.strategies.remove(&id);
        let audit = (
            "strategy.delete",
            id.to_string(),
            json(&before),
            Value::Null,
        );
        Ok(Effect {
            changes: vec![Change::DeleteStrategy(id)],
            audit,
        })
    }

    fn check_lead_field(lead_field: &str, schema: &LeadSchema) -> Result<(), Problem> {
        match schema.field(lead_field) {
            None => Err(Problem::new(
                422,
                "unknown_lead_field",
                format!(
                    "{} has no lead field of this name that the connected user can see.",
                    schema.crm.label()
                ),
                "Choose one from the lead fields list; refresh the list if the field is new.",
            )
            .with_field("lead_field")),
            Some(field) if !field.is_mappable() => Err(Problem::new(
                422,
                "lead_field_not_writable",
                format!(
                    "{} does not let this lead field be set from a form value.",
                    schema.crm.label()
                ),
                "Choose a field that is marked as mappable in the lead fields list.",
            )
            .with_field("lead_field")),
            Some(_) => Ok(()),
        }
    }

    /// Creates a mapping.
    ///
    /// # Errors
    /// Returns a problem with the name or the lead field, or `mapping_exists`.
    pub fn create_mapping(
        &mut self,
        name: &str,
        lead_field: &str,
        schema: &LeadSchema,
        now: Millis,
    ) -> Result<Effect, Problem> {
        check_room("mappings", self.mappings.len())?;
        check_field_name("name", name)?;
        Self::check_lead_field(lead_field, schema)?;
        if self.mappings.contains_key(name) {
            return Err(Problem::new(
                409,
                "mapping_exists",
                "A mapping for this field name is there already.",
                "Edit the existing mapping.",
            )
            .with_field("name"));
        }
        let mapping = FieldMapping {
            name: name.to_owned(),
            lead_field: lead_field.to_owned(),
            created_at: now,
            updated_at: now,
        };
        let audit = (
            "mapping.create",
            name.to_owned(),
            Value::Null,
            json(&mapping),
        );
        self.mappings.insert(name.to_owned(), mapping.clone());
        Ok(Effect {
            changes: vec![Change::PutMapping(mapping)],
            audit,
        })
    }

    fn check_mapping_unused(&self, mapping: &FieldMapping) -> Result<(), Problem> {
        let users = self.strategies_using(&mapping.lead_field);
        if users.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = users
            .iter()
            .map(|strategy| strategy.name.as_str())
            .collect();
        Err(Problem::new(
            409,
            "mapping_in_use",
            format!(
                "The mapping to {} is used by the matching {} {}.",
                mapping.lead_field,
                if names.len() == 1 {
                    "strategy"
                } else {
                    "strategies"
                },
                names.join(", ")
            ),
            "Take the lead field out of these strategies first.",
        ))
    }

    /// Points a mapping to another lead field.
    ///
    /// # Errors
    /// Returns `not_found`, `unknown_lead_field`, or `mapping_in_use` under the same conditions as for
    /// deleting it.
    pub fn edit_mapping(
        &mut self,
        name: &str,
        lead_field: &str,
        schema: &LeadSchema,
        now: Millis,
    ) -> Result<Effect, Problem> {
        let before = self
            .mappings
            .get(name)
            .cloned()
            .ok_or_else(|| Problem::not_found("field mapping"))?;
        Self::check_lead_field(lead_field, schema)?;
        if before.lead_field != lead_field {
            self.check_mapping_unused(&before)?;
        }
        let mapping = FieldMapping {
            lead_field: lead_field.to_owned(),
            updated_at: now,
            ..before.clone()
        };
        let audit = (
            "mapping.edit",
            name.to_owned(),
            json(&before),
            json(&mapping),
        );
        self.mappings.insert(name.to_owned(), mapping.clone());
        Ok(Effect {
            changes: vec![Change::PutMapping(mapping)],
            audit,
        })
    }

    /// Deletes a mapping that no strategy uses.
    ///
    /// # Errors
    /// Returns `not_found` or `mapping_in_use`.
    pub fn delete_mapping(&mut self, name: &str) -> Result<Effect, Problem> {
        let before = self
            .mappings
            .get(name)
            .cloned()
            .ok_or_else(|| Problem::not_found("field mapping"))?;
        self.check_mapping_unused(&before)?;
        self.mappings.remove(name);
        let audit = (
            "mapping.delete",
            name.to_owned(),
            json(&before),
            Value::Null,
        );
        Ok(Effect {
            changes: vec![Change::DeleteMapping(name.to_owned())],
            audit,
        })
    }

    /// Creates or replaces a form.
    ///
    /// # Errors
    /// Returns a problem with its name, origins, redirects or limits.
    pub fn put_form(&mut self, form: Form, now: Millis) -> Result<Effect, Problem> {
        if !self.forms.contains_key(&form.id) {
            check_room("forms", self.forms.len())?;
        }
        check_form(&form, now)?;
        let before = self.forms.get(&form.id);
        let audit = (
            "form.put",
            form.id.to_string(),
            before.map_or(Value::Null, Form::logged),
            form.logged_over(before),
        );
        self.forms.insert(form.id.clone(), form.clone());
        Ok(Effect {
            changes: vec![Change::PutForm(Box::new(form))],
            audit,
        })
    }

    /// Deletes a form; its submissions stay.
    ///
    /// # Errors
    /// Returns `not_found`.
    pub fn delete_form(&mut self, id: &FormId) -> Result<Effect, Problem> {
        let before = self
            .forms
            .remove(id)
            .ok_or_else(|| Problem::not_found("form"))?;
        let audit = ("form.delete", id.to_string(), before.logged(), Value::Null);
        Ok(Effect {
            changes: vec![Change::DeleteForm(id.clone())],
            audit,
        })
    }

    /// Sets the scoring rule.
    ///
    /// # Errors
    /// Returns `unknown_lead_field` or `lead_field_not_numeric` for its lead field, or `invalid_form_points`.
    pub fn set_scoring(
        &mut self,
        rule: ScoringRule,
        schema: Option<&LeadSchema>,
    ) -> Result<Effect, Problem> {
        use super::schema::FieldType;
        if let (Some(lead_field), Some(schema)) = (&rule.lead_field, schema) {
            Self::check_lead_field(lead_field, schema)?;
            let numeric = schema.field(lead_field).is_some_and(|field| {
                field.updateable
                    && matches!(
                        field.field_type,
                        FieldType::Integer { .. } | FieldType::Decimal { .. }
                    )
            });
            if !numeric {
                return Err(Problem::new(
                    422,
                    "lead_field_not_numeric",
                    "The score needs a lead field that holds a number and can be changed.",
                    "Choose a numeric field, or none to keep the score in Leadbridge only.",
                )
                .with_field("lead_field"));
            }
        }
        check_form_points(&rule)?;
        let audit = (
            "scoring.set",
            "scoring-rule".to_owned(),
            json(&self.scoring),
            json(&rule),
        );
        self.scoring = rule.clone();
        Ok(Effect {
            changes: vec![Change::PutScoring(rule)],
            audit,
        })
    }

    /// Sets the contract's settings.
    ///
    /// # Errors
    /// Returns `invalid_region` or `invalid_value`.
    pub fn set_settings(&mut self, settings: Settings) -> Result<Effect, Problem> {
        if let Some(region) = &settings.default_region
            && !(region.len() == 2 && region.bytes().all(|b| b.is_ascii_uppercase()))
        {
            return Err(Problem::new(
                422,
                "invalid_region",
                "The region is an ISO 3166 code of two capital letters.",
                "Send for example DE, GB or US.",
            )
            .with_field("default_region"));
        }
        check_name("placeholder", &settings.placeholder)?;
        let audit = (
            "settings.set",
            "settings".to_owned(),
            json(&self.contract.settings),
            json(&settings),
        );
        self.contract.settings = settings;
        Ok(Effect {
            changes: vec![Change::Contract],
            audit,
        })
    }

    /// Sets LinkedIn lead sync. The audit log shows the owners, and of the secrets only whether they are set
    /// and whether one was changed.
    ///
    /// # Errors
    /// Returns `invalid_owner` for an owner that is not the URN of an ad account or an organization, or for
    /// more than 50 owners.
    pub fn set_linkedin(&mut self, linkedin: LinkedInSettings) -> Result<Effect, Problem> {
        let valid = |owner: &String| {
            ["urn:li:sponsoredAccount:", "urn:li:organization:"]
                .iter()
                .any(|prefix| {
                    owner.strip_prefix(prefix).is_some_and(|id| {
                        !id.is_empty() && id.len() <= 20 && id.bytes().all(|b| b.is_ascii_digit())
                    })
                })
        };
        if linkedin.owners.len() > 50 || !linkedin.owners.iter().all(valid) {
            return Err(Problem::new(
                422,
                "invalid_owner",
                "An owner is a LinkedIn URN of an ad account or an organization; at most 50 are synced.",
                "Send for example urn:li:sponsoredAccount:123456789.",
            )
            .with_field("owners"));
        }
        let audit = (
            "linkedin.set",
            "linkedin".to_owned(),
            self.linkedin.logged_over(None),
            linkedin.logged_over(Some(&self.linkedin)),
        );
        self.linkedin = linkedin.clone();
        Ok(Effect {
            changes: vec![Change::PutLinkedIn(linkedin)],
            audit,
        })
    }
}

fn check_room(what: &str, count: usize) -> Result<(), Problem> {
    if count >= MAX_ITEMS {
        return Err(Problem::new(
            409,
            "too_many_items",
            format!("A contract has at most {MAX_ITEMS} {what}."),
            format!("Delete {what} that are no longer used."),
        ));
    }
    Ok(())
}

fn check_name(field: &str, name: &str) -> Result<(), Problem> {
    if name.trim().is_empty()
        || name.chars().count() > 100
        || super::field::has_control_characters(name)
    {
        return Err(Problem::new(
            422,
            "invalid_value",
            format!("{field} has 1 to 100 characters, none of them control characters."),
            "Send another text.",
        )
        .with_field(field));
    }
    Ok(())
}

fn check_field_name(field: &str, name: &str) -> Result<(), Problem> {
    let length = name.chars().count();
    if !(1..=super::form::MAX_NAME_CHARS).contains(&length)
        || super::field::has_control_characters(name)
        || name.trim() != name
    {
        return Err(Problem::new(
            422,
            "invalid_field_name",
            format!(
                "A form field's name has 1 to {} characters, no control characters and no space around it.",
                super::form::MAX_NAME_CHARS
            ),
            "Send the name exactly as it is on the form.",
        )
        .with_field(field));
    }
    Ok(())
}

/// Checks the points of single forms, which are keyed by the forms' ids at their sources.
fn check_form_points(rule: &ScoringRule) -> Result<(), Problem> {
    let is_id = |id: &String| {
        (1..=MAX_FORM_ID).contains(&id.chars().count())
            && !super::field::has_control_characters(id)
            && id.trim() == id
    };
    if rule.form_points.len() <= MAX_ITEMS && rule.form_points.keys().all(is_id) {
        return Ok(());
    }
    Err(Problem::new(
        422,
        "invalid_form_points",
        format!(
            "Points are given for at most {MAX_ITEMS} forms, each by its id of 1 to {MAX_FORM_ID} characters."
        ),
        "Send the ids as the submissions show them.",
    )
    .with_field("form_points"))
}

fn check_form(form: &Form, now: Millis) -> Result<(), Problem> {
    check_name("name", &form.name)?;
    if let Some(campaign) = &form.campaign {
        check_name("campaign", campaign)?;
    }
    for origin in &form.allowed_origins {
        let valid = origin == "*"
            || origin.chars().count() <= MAX_ADDRESS
                && normalize_origin(origin)
                    .is_some_and(|normal| normal == origin.to_ascii_lowercase());
        if !valid {
            return Err(Problem::new(
                422,
                "invalid_origin",
                "An allowed origin is a scheme and a host (and a port), without a path, or *.",
                "Send for example https://www.example.com.",
            )
            .with_field("allowed_origins"));
        }
    }
    for redirect in &form.redirect_urls {
        // The parser drops line breaks and tabs, and blanks around the URL, but the header carries the text
        // unchanged.
        let plain = !redirect
            .chars()
            .any(|c| c.is_control() || c.is_whitespace());
        let short = redirect.chars().count() <= MAX_ADDRESS;
        let valid = plain
            && short
            && url::Url::parse(redirect).is_ok_and(|url| {
                matches!(url.scheme(), "https" | "http")
                    && url.has_host()
                    && url.username().is_empty()
                    && url.password().is_none()
            });
        if !valid {
            return Err(Problem::new(
                422,
                "invalid_redirect_url",
                "A redirect URL is a full http or https address, without blanks or line breaks.",
                "Send for example https://www.example.com/thanks.",
            )
            .with_field("redirect_urls"));
        }
    }
    let names = form
        .required_fields
        .iter()
        .chain(&form.multi_value_fields)
        .chain(&form.honeypot_field);
    for name in names {
        check_field_name("required_fields", name)?;
    }
    if form
        .honeypot_field
        .as_ref()
        .is_some_and(|honeypot| form.required_fields.contains(honeypot))
    {
        return Err(Problem::new(
            422,
            "honeypot_required",
            "The honeypot field cannot be a required field: people leave it empty.",
            "Choose another honeypot field.",
        )
        .with_field("honeypot_field"));
    }
    if form
        .body_signatures_until
        .is_some_and(|until| until > now.plus_seconds(super::form::MAX_BODY_SIGNATURES_SECONDS))
    {
        return Err(Problem::new(
            422,
            "invalid_body_signatures",
            "Signatures over the body alone are accepted for 90 days at most.",
            "Name a time that is at most 90 days ahead, or none.",
        )
        .with_field("body_signatures_until"));
    }
    if !(1..=super::form::MAX_POSTS_PER_MINUTE).contains(&form.posts_per_minute) {
        return Err(Problem::new(
            422,
            "invalid_limit",
            format!(
                "posts_per_minute is 1 to {}.",
                super::form::MAX_POSTS_PER_MINUTE
            ),
            "Send a value within these limits.",
        )
        .with_field("posts_per_minute"));
    }
    let limits_ok = (256..=super::form::MAX_BODY_BYTES).contains(&form.max_body_bytes)
        && (1..=super::form::MAX_FIELDS).contains(&form.max_fields);
    if !limits_ok
        || form.allowed_origins.len() > 50
        || form.redirect_urls.len() > 50
        || form.required_fields.len() > 100
        || form.multi_value_fields.len() > 100
    {
        return Err(Problem::new(
            422,
            "invalid_limit",
            format!(
                "max_body_bytes is 256 to {}, max_fields 1 to {}, and lists have at most 50 entries.",
                super::form::MAX_BODY_BYTES,
                super::form::MAX_FIELDS
            ),
            "Send values within these limits.",
        ));
    }
    Ok(())
}

fn normalize_origin(origin: &str) -> Option<String> {
    let url = url::Url::parse(origin).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.has_host())
        .then(|| url.origin().ascii_serialization())
}

/// The key under which two submissions of one person meet (LG-5): a hash of the listed fields and their
/// normal values. `None` if a listed field is missing: then nothing matches.
#[must_use]
pub fn match_key(
    strategy: &MatchingStrategy,
    normal_values: &BTreeMap<String, Option<String>>,
) -> Option<String> {
    if strategy.always_create_lead || strategy.matching_lead_fields.is_empty() {
        return None;
    }
    let mut fields: Vec<&String> = strategy.matching_lead_fields.iter().collect();
    fields.sort();
    let mut text = Vec::new();
    for field in fields {
        let value = normal_values.get(field)?.as_ref()?;
        for part in [field, value] {
            text.extend_from_slice(&(part.len() as u64).to_be_bytes());
            text.extend_from_slice(part.as_bytes());
        }
    }
    Some(crate::signature::sha256_hex(&[&text]))
}
