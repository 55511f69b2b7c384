//! Typed identifiers. A request belongs to one contract, and every stored key starts with it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A text that is not an identifier of the expected kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {0}")]
pub struct InvalidId(pub &'static str);

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
        #[cfg_attr(feature = "http-api", schema(value_type = String))]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) { Ok(Self(text.to_owned())) } else { Err(InvalidId($what)) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id!(
    /// One customer organisation, the tenant: 3 to 40 lowercase letters, digits and inner hyphens.
    ContractId,
    "contract id",
    |text| {
        (3..=40).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !text.starts_with('-')
            && !text.ends_with('-')
    }
);

text_id!(
    /// A form within its contract: 8 to 64 letters, digits, `-` and `_`.
    FormId,
    "form id",
    |text| {
        (8..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    }
);

text_id!(
    /// An API token's public half: 4 to 64 letters, digits and `-`.
    TokenId,
    "token id",
    |text| (4..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
);

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl FromStr for $name {
            type Err = InvalidId;

            /// Parses the hyphenated form only, so that one id has one spelling in keys.
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                match Uuid::try_parse(text) {
                    Ok(id) if text.len() == 36 => Ok(Self(id)),
                    _ => Err(InvalidId($what)),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

uuid_id!(
    /// One form response: a function of contract, source and the source's own response id, so that the same
    /// response has the same id, however often and by whichever way it arrives.
    SubmissionId,
    "submission id"
);

uuid_id!(
    /// An activity of a seat holder: a function of contract, seat and the client's own key, so that
    /// what is sent again is the same activity.
    ActivityId,
    "activity id"
);

uuid_id!(
    /// A matching strategy.
    StrategyId,
    "strategy id"
);

uuid_id!(
    /// A seat: a person licensed in the contract.
    SeatId,
    "seat id"
);

/// Namespace of all name-based (version 5) UUIDs of Leadbridge.
const NAMESPACE: Uuid = Uuid::from_u128(0x1eadb21d_6e00_5000_8000_6c6561646272);

/// A name-based UUID of the parts, length-prefixed so that no two lists of parts read the same.
#[must_use]
pub fn identity(contract: &ContractId, kind: &str, parts: &[&str]) -> Uuid {
    let mut name = Vec::new();
    for part in [contract.as_str(), kind].iter().chain(parts) {
        name.extend_from_slice(&(part.len() as u64).to_be_bytes());
        name.extend_from_slice(part.as_bytes());
    }
    Uuid::new_v5(&NAMESPACE, &name)
}

impl SubmissionId {
    /// The id of the response that `source` calls `response_id`.
    #[must_use]
    pub fn derive(contract: &ContractId, source: &str, response_id: &str) -> Self {
        Self(identity(contract, "submission", &[source, response_id]))
    }
}

impl ActivityId {
    /// The id of a seat holder's activity with that key of the client's.
    #[must_use]
    pub fn derive(contract: &ContractId, seat: SeatId, key: &str) -> Self {
        Self(identity(contract, "activity", &[&seat.to_string(), key]))
    }
}

/// A form's public address: `<contract>.<form id>`. It names the tenant, so that a post needs no
/// look-up outside its own contract.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FormKey {
    /// The contract that the form belongs to.
    pub contract: ContractId,
    /// The form within it.
    pub form: FormId,
}

impl FromStr for FormKey {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let (contract, form) = text.split_once('.').ok_or(InvalidId("form key"))?;
        Ok(Self {
            contract: contract.parse()?,
            form: form.parse()?,
        })
    }
}

impl fmt::Display for FormKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.contract, self.form)
    }
}

/// A bearer token: `lbt.<contract>.<token id>.<secret>`. Only the secret's hash is stored.
pub struct ApiToken {
    /// The contract that the token opens.
    pub contract: ContractId,
    /// The id of the contract's token that it claims to be.
    pub id: TokenId,
    /// The secret part.
    pub secret: String,
}

impl ApiToken {
    /// The token as its holder sends it.
    #[must_use]
    pub fn expose(&self) -> String {
        format!("lbt.{}.{}.{}", self.contract, self.id, self.secret)
    }
}

impl fmt::Debug for ApiToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiToken({}.{}, …)", self.contract, self.id)
    }
}

impl FromStr for ApiToken {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let mut parts = text.splitn(4, '.');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some("lbt"), Some(contract), Some(id), Some(secret))
                if (16..=128).contains(&secret.len()) =>
            {
                Ok(Self {
                    contract: contract.parse()?,
                    id: id.parse()?,
                    secret: secret.to_owned(),
                })
            }
            _ => Err(InvalidId("API token")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ApiToken, ContractId, FormKey, SubmissionId, identity};

    #[test]
    fn ids_that_could_break_a_key_are_refused() {
        for bad in [
            "",
            "ab",
            "-abc",
            "abc-",
            "Acme",
            "a#b",
            "a b c",
            "acme/x",
            &"a".repeat(41),
        ] {
            assert!(bad.parse::<ContractId>().is_err(), "{bad:?}");
        }
        assert!("acme-dynamics".parse::<ContractId>().is_ok());
        assert!("acme.short".parse::<FormKey>().is_err());
        assert!("acme.demo-form-000000000001".parse::<FormKey>().is_ok());
        assert!(
            "3F2504E0-4F89-41D3-9A0C-0305E82C3301"
                .parse::<SubmissionId>()
                .is_ok()
        );
        assert!(
            "3F2504E04F8941D39A0C0305E82C3301"
                .parse::<SubmissionId>()
                .is_err()
        );
    }

    #[test]
    fn a_token_survives_its_text_and_hides_in_debug() {
        let token: ApiToken = "lbt.acme-1.main.0123456789abcdef".parse().unwrap();
        assert_eq!(token.expose(), "lbt.acme-1.main.0123456789abcdef");
        assert!(!format!("{token:?}").contains("0123"));
        assert!("lbt.acme-1.main.short".parse::<ApiToken>().is_err());
    }

    #[test]
    fn identities_do_not_run_together() {
        let acme: ContractId = "acme".parse().unwrap();
        assert_ne!(
            identity(&acme, "lead", &["ab", "c"]),
            identity(&acme, "lead", &["a", "bc"])
        );
        assert_eq!(
            SubmissionId::derive(&acme, "website", "r1"),
            SubmissionId::derive(&acme, "website", "r1")
        );
    }
}
