//! The remote services that a contract connects: CRMs, sign-in servers and LinkedIn.

use serde::{Deserialize, Serialize};

use crate::schema::CrmKind;

/// A remote service.
///
/// Every call to the outside names the provider that it is meant for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// Salesforce.
    Salesforce,
    /// Dataverse, the Web API of Dynamics 365.
    Dataverse,
    /// Microsoft's sign-in.
    Entra,
    /// LinkedIn.
    #[serde(rename = "linkedin")]
    LinkedIn,
}

impl Provider {
    /// The name in addresses, keys and the OAuth apps file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Salesforce => "salesforce",
            Self::Dataverse => "dataverse",
            Self::Entra => "entra",
            Self::LinkedIn => "linkedin",
        }
    }

    /// The name people know.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Salesforce => CrmKind::Salesforce.label(),
            Self::Dataverse => CrmKind::Dynamics365.label(),
            Self::Entra => "Microsoft",
            Self::LinkedIn => "LinkedIn",
        }
    }

    /// The CRM that it is the API of.
    #[must_use]
    pub const fn crm(self) -> Option<CrmKind> {
        match self {
            Self::Salesforce => Some(CrmKind::Salesforce),
            Self::Dataverse => Some(CrmKind::Dynamics365),
            Self::Entra | Self::LinkedIn => None,
        }
    }
}
