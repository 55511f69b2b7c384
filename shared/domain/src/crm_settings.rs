//! Administrator's settings for an environment's CRM: sync settings (CN-9) and ROI reporting (CN-10).

use serde::{Deserialize, Deserializer, Serialize};

use super::environment::Environment;

/// The kinds of records that are saved for seat holders automatically.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AutoSave {
    /// Leads tied to open opportunities.
    #[serde(default)]
    pub leads: bool,
    /// Contacts of open opportunities.
    #[serde(default)]
    pub contacts: bool,
    /// Accounts of open opportunities.
    #[serde(default)]
    pub accounts: bool,
}

/// Sync settings of a CRM (CN-9). Every option that writes to the CRM is off until an administrator turns it
/// on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own in CN-9"
)]
pub struct SyncSettings {
    /// Kinds of records that are saved automatically; all off means none.
    #[serde(default)]
    pub auto_save: AutoSave,
    /// The stage at which an opportunity enters the pipeline, one of the CRM's own. `null` is
    /// *Not sure*: all open opportunities.
    #[serde(default)]
    pub pipeline_stage: Option<String>,
    /// Flag leads and contacts whose company is out of date, in the CRM too where it has the package's field.
    #[serde(default)]
    pub validate_crm_data: bool,
    /// Seat holders may create leads.
    #[serde(default)]
    pub create_leads: bool,
    /// Seat holders may update leads.
    #[serde(default)]
    pub update_leads: bool,
    /// Seat holders may create contacts.
    #[serde(default)]
    pub create_contacts: bool,
    /// Seat holders may update contacts.
    #[serde(default)]
    pub update_contacts: bool,
    /// Messages and `InMails` are logged.
    #[serde(default)]
    pub log_messages_and_inmails: bool,
    /// Views of smart links are logged.
    #[serde(default)]
    pub log_smart_links: bool,
    /// Notes are logged.
    #[serde(default)]
    pub log_notes: bool,
    /// Calls are logged.
    #[serde(default)]
    pub log_calls: bool,
    /// The name that the subjects of activities call the product by (WB-1), 1 to 80 characters on one
    /// line.
    #[serde(default = "product_name")]
    pub product_name: String,
    /// The lead source of leads and contacts that seat holders create, one of the CRM's own; `null`
    /// leaves it empty.
    #[serde(default)]
    pub lead_source: Option<String>,
    /// Syncs every seat holder; otherwise each one is switched on individually.
    #[serde(default = "yes")]
    pub auto_sync_seat_holders: bool,
    /// The share of the organisation's daily API calls that imports may use, in percent, 1 to 100 (IM-3).
    /// Dataverse reports no daily number, so it has no effect there.
    #[serde(default = "api_share", deserialize_with = "percent")]
    pub api_share_percent: u8,
}

impl SyncSettings {
    /// True if records of any kind are saved for seat holders automatically (SV-4).
    #[must_use]
    pub const fn saves(&self) -> bool {
        let kinds = self.auto_save;
        kinds.accounts || kinds.contacts || kinds.leads
    }
}

impl Default for SyncSettings {
    fn default() -> Self {
        Self {
            auto_save: AutoSave::default(),
            pipeline_stage: None,
            validate_crm_data: false,
            create_leads: false,
            update_leads: false,
            create_contacts: false,
            update_contacts: false,
            log_messages_and_inmails: false,
            log_smart_links: false,
            log_notes: false,
            log_calls: false,
            product_name: product_name(),
            lead_source: None,
            auto_sync_seat_holders: yes(),
            api_share_percent: api_share(),
        }
    }
}

const fn yes() -> bool {
    true
}

/// Longest name of the product, in characters.
pub const MAX_PRODUCT_NAME: usize = 80;

fn product_name() -> String {
    "Sales Navigator".to_owned()
}

const fn api_share() -> u8 {
    super::sync::DEFAULT_API_SHARE_PERCENT
}

/// Reads a percentage. A number that is not a share becomes 0, which is refused with the field's name when
/// the settings are saved.
fn percent<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
    let number = i64::deserialize(deserializer)?;
    Ok(u8::try_from(number).unwrap_or(0))
}

/// ROI reporting (CN-10).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RoiReporting {
    /// True if ROI reporting is on.
    pub enabled: bool,
    /// The opportunity's field with the value of a won opportunity, one of the CRM's own numeric and
    /// currency fields. `null` is *Not sure*: the CRM's usual one.
    #[serde(default)]
    pub won_value_field: Option<String>,
    /// The currency to report in, one of the CRM's own, as an ISO 4217 code. Required if ROI reporting is on.
    #[serde(default)]
    pub currency: Option<String>,
    /// True if every seat holder sees the figures of all opportunities, and not only of their own.
    #[serde(default)]
    pub team_figures: bool,
}

/// The settings of one environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrmSettings {
    /// The environment.
    pub environment: Environment,
    /// Sync settings (CN-9); `None` until they are first saved, and the defaults apply.
    #[serde(default)]
    pub sync: Option<SyncSettings>,
    /// ROI reporting (CN-10); `None` until it is first saved, and it is off.
    #[serde(default)]
    pub roi: Option<RoiReporting>,
}

impl CrmSettings {
    /// The default settings, before any were saved.
    #[must_use]
    pub const fn new(environment: Environment) -> Self {
        Self {
            environment,
            sync: None,
            roi: None,
        }
    }
}
