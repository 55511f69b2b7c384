//! Connections of a contract, by the system that they lead to.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::environment::Environment;
use crate::ids::{InvalidId, SeatId};

/// The kind of one of a contract's connections. Its text form is part of table keys, of the vault's purpose
/// and of queue messages: `crm`, `crm-sandbox`, `linkedin`, `user.{seat}`, `user-sandbox.{seat}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ConnectionKind {
    /// Its CRM, signed in to by an administrator or integration user.
    Crm(Environment),
    /// LinkedIn lead sync.
    LinkedIn,
    /// Its CRM, signed in to by a seat holder (CN-11).
    User(SeatId, Environment),
}

impl ConnectionKind {
    /// The CRM that people work in: where leads are written.
    pub const PRODUCTION: Self = Self::Crm(Environment::Production);

    /// The vault's purpose of its tokens.
    #[must_use]
    pub fn purpose(self) -> String {
        format!("connection/{self}")
    }

    /// The environment of a connection to the CRM.
    #[must_use]
    pub const fn environment(self) -> Option<Environment> {
        match self {
            Self::Crm(environment) | Self::User(_, environment) => Some(environment),
            Self::LinkedIn => None,
        }
    }
}

impl fmt::Display for ConnectionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crm(Environment::Production) => f.write_str("crm"),
            Self::Crm(Environment::Sandbox) => f.write_str("crm-sandbox"),
            Self::LinkedIn => f.write_str("linkedin"),
            Self::User(seat, Environment::Production) => write!(f, "user.{seat}"),
            Self::User(seat, Environment::Sandbox) => write!(f, "user-sandbox.{seat}"),
        }
    }
}

impl FromStr for ConnectionKind {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let user = |seat: &str, environment| Ok(Self::User(seat.parse()?, environment));
        match text.split_once('.') {
            None if text == "crm" => Ok(Self::PRODUCTION),
            None if text == "crm-sandbox" => Ok(Self::Crm(Environment::Sandbox)),
            None if text == "linkedin" => Ok(Self::LinkedIn),
            Some(("user", seat)) => user(seat, Environment::Production),
            Some(("user-sandbox", seat)) => user(seat, Environment::Sandbox),
            _ => Err(InvalidId("connection")),
        }
    }
}

impl TryFrom<String> for ConnectionKind {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<ConnectionKind> for String {
    fn from(kind: ConnectionKind) -> Self {
        kind.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::ConnectionKind;
    use crate::environment::Environment;
    use crate::ids::SeatId;

    #[test]
    fn a_connection_reads_back_from_its_text() {
        let seat = SeatId(uuid::Uuid::from_u128(7));
        for (kind, text) in [
            (ConnectionKind::PRODUCTION, "crm"),
            (ConnectionKind::Crm(Environment::Sandbox), "crm-sandbox"),
            (ConnectionKind::LinkedIn, "linkedin"),
            (
                ConnectionKind::User(seat, Environment::Production),
                "user.00000000-0000-0000-0000-000000000007",
            ),
            (
                ConnectionKind::User(seat, Environment::Sandbox),
                "user-sandbox.00000000-0000-0000-0000-000000000007",
            ),
        ] {
            assert_eq!(kind.to_string(), text);
            assert_eq!(text.parse::<ConnectionKind>().unwrap(), kind);
        }
        for bad in ["", "CRM", "user", "user.", "user.x", "linkedin.x"] {
            assert!(bad.parse::<ConnectionKind>().is_err(), "{bad}");
        }
    }
}
