//! Roles (LG-1) and their permissions.

use serde::{Deserialize, Serialize};

/// A caller's role within its contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// *Lead Gen Forms Administrator*: strategies, mappings, settings, failed writes.
    Administrator,
    /// *Lead Gen Forms Salesperson*: authorises a LinkedIn profile, sees synced submissions.
    Salesperson,
    /// *Service-to-service inbound*: the sync itself, and systems that bring people and companies.
    Service,
}

/// A permission that a route requires of the caller's role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Read submissions and their outcome.
    ReadSubmissions,
    /// Read strategies, mappings, forms, settings, audit log and failed writes.
    ReadConfiguration,
    /// Change strategies, mappings, forms, scoring and settings.
    ChangeConfiguration,
    /// Send failed or held submissions again.
    SendAgain,
    /// Start a re-sync.
    StartSync,
    /// Authorise a LinkedIn profile to sync.
    AuthorizeLinkedIn,
    /// Connect and disconnect the CRM, check its permissions, import from it.
    ConnectCrm,
    /// Sign in to the CRM with the caller's own user (CN-11).
    ConnectOwnUser,
    /// Read the directory: people and companies, and their links to CRM records.
    ReadDirectory,
    /// Add people and companies to the directory, change and remove them.
    ChangeDirectory,
    /// Confirm and undo matches, and create records in the CRM (MA-4).
    DecideMatches,
    /// Log one's own activities to the CRM, and read their results (WB-6).
    LogActivities,
    /// Keep lists of people and companies of one's own (SV-4).
    KeepLists,
    /// Read figures about the opportunities that Leadbridge sourced and influenced (RO-1).
    ReadRoi,
    /// Invite people, assign and remove roles, end sessions.
    ManageSeats,
    /// Make and revoke API tokens.
    ManageTokens,
    /// Export the whole contract, delete it, and set how long its answers are kept.
    ManageContract,
    /// Look up everything about a person, and erase it (OP-3).
    HandlePersonalData,
}

impl Role {
    /// Every role, for tables and tests.
    pub const ALL: [Self; 3] = [Self::Administrator, Self::Salesperson, Self::Service];

    /// True if this role has a permission.
    #[must_use]
    pub const fn may(self, permission: Permission) -> bool {
        match self {
            Self::Administrator => true,
            Self::Salesperson => {
                matches!(
                    permission,
                    Permission::ReadSubmissions
                        | Permission::AuthorizeLinkedIn
                        | Permission::ConnectOwnUser
                        | Permission::ReadDirectory
                        | Permission::DecideMatches
                        | Permission::LogActivities
                        | Permission::KeepLists
                        | Permission::ReadRoi
                )
            }
            Self::Service => matches!(
                permission,
                Permission::StartSync | Permission::ReadDirectory | Permission::ChangeDirectory
            ),
        }
    }
}
