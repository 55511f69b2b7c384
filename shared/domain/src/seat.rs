//! Seats: the people licensed in a contract, their roles, and the identities they sign in with.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::crm_settings::SyncSettings;
use super::ids::SeatId;
use super::log_choice::LogChoices;
use super::role::Role;
use crate::clock::Millis;
use crate::problem::Problem;
use crate::signature::secrets_equal;

/// Validity of an invitation, in seconds: 7 days.
pub const INVITATION_SECONDS: i64 = 7 * 24 * 3600;

/// Longest name, in characters.
const MAX_NAME: usize = 100;
/// Longest e-mail address, in bytes (RFC 5321).
const MAX_EMAIL: usize = 254;

/// A user's identity at a sign-in provider: the organisation or tenant, and the user in it. Never an e-mail
/// address, which can be reassigned to another person.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(tag = "provider", rename_all = "snake_case")]
pub enum Identity {
    /// A user of a Salesforce organisation; both ids in their 15-character form.
    Salesforce {
        /// The organisation.
        organization: String,
        /// The user.
        user: String,
    },
    /// A user of an Entra tenant: the claims `tid` and `oid`, which are the same for every app.
    Entra {
        /// The tenant.
        tenant: String,
        /// The user.
        object_id: String,
    },
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Salesforce { organization, user } => {
                write!(f, "salesforce/{organization}/{user}")
            }
            Self::Entra { tenant, object_id } => write!(f, "entra/{tenant}/{object_id}"),
        }
    }
}

/// The status of a seat, which decides whether it can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SeatStatus {
    /// Its holder has not signed in yet.
    Invited,
    /// Its holder can sign in.
    Active,
    /// Its holder cannot sign in, and every session has ended.
    Disabled,
}

/// An invitation that has not been accepted yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// SHA-256 of its secret, in hexadecimal.
    pub secret_hash: String,
    /// End of its validity.
    pub valid_until: Millis,
}

/// The user of the CRM whom an administrator chose for a seat (SV-6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChosenUser {
    /// The id of the CRM's organisation; in another one the choice does not count.
    pub organization: String,
    /// The CRM's id of the user.
    pub user: String,
}

/// A seat in the CRM, as an administrator set it (SV-4, SV-6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SeatCrm {
    /// The user who was chosen by hand; `None`: the user is known by the holder's own sign-in to the CRM, else
    /// by the e-mail address.
    pub user: Option<ChosenUser>,
    /// The switch of the sync; `None`: as *auto-sync all seat holders* says.
    pub sync: Option<bool>,
    /// False: nothing is saved to the holder's lists automatically, although the seat is synced.
    pub auto_save: bool,
}

impl Default for SeatCrm {
    fn default() -> Self {
        Self {
            user: None,
            sync: None,
            auto_save: true,
        }
    }
}

impl SeatCrm {
    /// The CRM's id of the user who was chosen by hand in an organisation.
    #[must_use]
    pub fn user_of(&self, organization: &str) -> Option<&str> {
        let chosen = self.user.as_ref();
        let chosen = chosen.filter(|chosen| chosen.organization == organization);
        chosen.map(|chosen| chosen.user.as_str())
    }

    /// True if the seat is synced with the CRM by these settings (CN-9).
    #[must_use]
    pub fn syncs(&self, settings: &SyncSettings) -> bool {
        self.sync.unwrap_or(settings.auto_sync_seat_holders)
    }

    /// True if by these settings records are saved to the holder's lists automatically (SV-4).
    #[must_use]
    pub fn auto_saves(&self, settings: &SyncSettings) -> bool {
        self.auto_save && self.syncs(settings) && settings.saves()
    }
}

/// A person licensed in the contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seat {
    /// Its id.
    pub id: SeatId,
    /// The holder's name.
    pub name: String,
    /// The holder's e-mail address, in lower case.
    pub email: String,
    /// The holder's role, which decides their permissions.
    pub role: Role,
    /// Its status.
    pub status: SeatStatus,
    /// The holder's identity at the sign-in provider, once known.
    #[serde(default)]
    pub identity: Option<Identity>,
    /// The pending invitation.
    #[serde(default)]
    pub invitation: Option<Invitation>,
    /// Time of creation.
    pub created_at: Millis,
    /// Time of the last change.
    pub updated_at: Millis,
    /// Time of the holder's last sign-in.
    #[serde(default)]
    pub last_sign_in_at: Option<Millis>,
    /// Number of times that all its sessions were ended: sessions of an earlier generation are invalid.
    #[serde(default)]
    pub session_generation: u64,
    /// The holder's choices to log activities to the CRM (WB-6).
    #[serde(default)]
    pub log_to_crm: LogChoices,
    /// The seat in the CRM (SV-6).
    #[serde(default)]
    pub crm: SeatCrm,
    /// Counts its changes.
    pub version: u64,
}

/// User input for creating or editing a seat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SeatInput {
    /// The holder's name: 1 to 100 characters.
    pub name: String,
    /// The holder's e-mail address. The invitation can only be accepted by signing in with it.
    pub email: String,
    /// `administrator` or `salesperson`.
    pub role: Role,
}

impl SeatInput {
    /// Returns the input with its text cleaned.
    ///
    /// # Errors
    /// Returns a problem with a field.
    pub fn checked(self) -> Result<Self, Problem> {
        let name = self.name.trim().to_owned();
        if name.is_empty() || name.chars().count() > MAX_NAME || name.chars().any(char::is_control)
        {
            return Err(Problem::new(
                422,
                "invalid_name",
                format!("A name has 1 to {MAX_NAME} characters."),
                "Send the person's name.",
            )
            .with_field("name"));
        }
        let email = normal_email(&self.email).ok_or_else(|| {
            Problem::new(
                422,
                "invalid_email",
                "That is not an e-mail address.",
                "Send the address that the person signs in to the CRM with.",
            )
            .with_field("email")
        })?;
        if self.role == Role::Service {
            return Err(Problem::new(
                422,
                "invalid_role",
                "The service role is for API tokens, not for people.",
                "Choose administrator or salesperson.",
            )
            .with_field("role"));
        }
        Ok(Self {
            name,
            email,
            role: self.role,
        })
    }
}

/// An e-mail address in the form that seats are compared by; `None` for other text.
#[must_use]
pub fn normal_email(text: &str) -> Option<String> {
    let text = text.trim().to_lowercase();
    let (local, domain) = text.split_once('@')?;
    let plain = |part: &str| {
        !part.is_empty()
            && !part
                .chars()
                .any(|c| c.is_whitespace() || c.is_control() || c == '@')
    };
    (plain(local) && plain(domain) && domain.contains('.') && text.len() <= MAX_EMAIL)
        .then_some(text)
}

impl Seat {
    /// A new seat with an invitation.
    #[must_use]
    pub fn invited(id: SeatId, input: SeatInput, invitation: Invitation, now: Millis) -> Self {
        Self {
            id,
            name: input.name,
            email: input.email,
            role: input.role,
            status: SeatStatus::Invited,
            identity: None,
            invitation: Some(invitation),
            created_at: now,
            updated_at: now,
            last_sign_in_at: None,
            session_generation: 0,
            log_to_crm: LogChoices::default(),
            crm: SeatCrm::default(),
            version: 1,
        }
    }

    /// True if the holder is an administrator who can act.
    #[must_use]
    pub fn is_acting_administrator(&self) -> bool {
        self.role == Role::Administrator && self.status == SeatStatus::Active
    }

    /// True if `secret_hash` belongs to the invitation that is valid at `now`.
    #[must_use]
    pub fn is_invited_by(&self, secret_hash: &str, now: Millis) -> bool {
        self.invitation.as_ref().is_some_and(|invitation| {
            secrets_equal(&invitation.secret_hash, secret_hash) && invitation.valid_until > now
        })
    }

    /// Accepts an invitation at the first sign-in, and ties the seat to the holder's identity at the
    /// provider. The e-mail address that the provider vouches for must be the seat's, so that a misdirected
    /// invitation opens nothing.
    ///
    /// # Errors
    /// Returns `invitation_for_another` if it is not.
    pub fn accept(
        &mut self,
        identity: Identity,
        email: Option<&str>,
        now: Millis,
    ) -> Result<(), Problem> {
        let own = email.and_then(normal_email).as_deref() == Some(self.email.as_str());
        if !own {
            return Err(Problem::new(
                403,
                "invitation_for_another",
                "The invitation is for another e-mail address than the one you signed in with.",
                "Sign in as the person who was invited, or ask an administrator to correct the address of your seat.",
            ));
        }
        self.identity = Some(identity);
        self.invitation = None;
        self.status = SeatStatus::Active;
        self.signed_in(now);
        Ok(())
    }

    /// Ends all its sessions, in the same write as the change that requires it. No session comes back when
    /// the seat is enabled again, or when it passes to another holder.
    pub fn end_sessions(&mut self) {
        self.session_generation += 1;
    }

    /// Records a sign-in.
    pub fn signed_in(&mut self, now: Millis) {
        self.last_sign_in_at = Some(now);
    }

    /// The seat as the audit log shows it.
    #[must_use]
    pub fn logged(&self) -> Value {
        json!({
            "name": self.name, "email": self.email, "role": self.role, "status": self.status,
            "identity": self.identity, "crm": self.crm,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Identity, Invitation, Seat, SeatCrm, SeatInput, SeatStatus, normal_email};
    use crate::clock::Millis;
    use crate::crm_settings::{AutoSave, SyncSettings};
    use crate::ids::SeatId;
    use crate::role::Role;

    fn input(name: &str, email: &str, role: Role) -> SeatInput {
        SeatInput {
            name: name.to_owned(),
            email: email.to_owned(),
            role,
        }
    }

    #[test]
    fn a_seat_needs_a_name_an_address_and_a_role_for_people() {
        let checked = input(" Ada ", "Ada@Example.com ", Role::Administrator)
            .checked()
            .unwrap();
        assert_eq!(
            checked,
            input("Ada", "ada@example.com", Role::Administrator)
        );
        for (bad, field) in [
            (input(" ", "a@b.example", Role::Salesperson), "name"),
            (
                input(&"x".repeat(101), "a@b.example", Role::Salesperson),
                "name",
            ),
            (input("Ada", "a@b", Role::Salesperson), "email"),
            (input("Ada", "a b@c.example", Role::Salesperson), "email"),
            (input("Ada", "a@b@c.example", Role::Salesperson), "email"),
            (input("Ada", "a@b.example", Role::Service), "role"),
        ] {
            assert_eq!(bad.checked().unwrap_err().field.as_deref(), Some(field));
        }
        assert_eq!(normal_email("@b.example"), None);
    }

    #[test]
    fn a_switch_of_a_seat_counts_before_the_setting_for_all() {
        let settings = |all: bool| SyncSettings {
            auto_sync_seat_holders: all,
            auto_save: AutoSave {
                accounts: true,
                ..AutoSave::default()
            },
            ..SyncSettings::default()
        };
        for (sync, all, expected) in [
            (None, true, true),
            (None, false, false),
            (Some(true), false, true),
            (Some(false), true, false),
        ] {
            let crm = SeatCrm {
                sync,
                ..SeatCrm::default()
            };
            assert_eq!(crm.syncs(&settings(all)), expected, "{sync:?} {all}");
            assert_eq!(crm.auto_saves(&settings(all)), expected, "{sync:?} {all}");
            let off = SeatCrm {
                auto_save: false,
                ..crm
            };
            assert_eq!(off.syncs(&settings(all)), expected);
            assert!(!off.auto_saves(&settings(all)));
        }
        // A seat that was stored before it had switches.
        let stored: SeatCrm = serde_json::from_str("{}").unwrap();
        assert_eq!(stored, SeatCrm::default());
        assert!(!stored.auto_saves(&SyncSettings::default()));
    }

    #[test]
    fn an_invitation_is_accepted_by_its_secret_in_time_and_by_its_person_only() {
        let invitation = Invitation {
            secret_hash: "h".to_owned(),
            valid_until: Millis(100),
        };
        let seat = Seat::invited(
            SeatId(uuid::Uuid::nil()),
            input("Ada", "ada@example.com", Role::Salesperson),
            invitation,
            Millis(0),
        );
        assert!(seat.is_invited_by("h", Millis(99)));
        assert!(!seat.is_invited_by("h", Millis(100)));
        assert!(!seat.is_invited_by("", Millis(0)));
        assert!(!seat.is_invited_by("x", Millis(0)));
        let identity = Identity::Entra {
            tenant: "t".to_owned(),
            object_id: "o".to_owned(),
        };
        let mut other = seat.clone();
        let refused = other.accept(identity.clone(), Some("eve@example.com"), Millis(1));
        assert_eq!(refused.unwrap_err().code, "invitation_for_another");
        assert_eq!(other, seat);
        let mut own = seat;
        own.accept(identity.clone(), Some("ADA@example.com"), Millis(1))
            .unwrap();
        assert_eq!(
            (own.status, own.identity.as_ref(), &own.invitation),
            (SeatStatus::Active, Some(&identity), &None)
        );
    }
}
