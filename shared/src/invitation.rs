//! Invitations to seats, made in the same way by the API and at deployment.

use serde::{Deserialize, Serialize};
use url::Url;

use crate::clock::Millis;
use crate::domain::ids::{ContractId, SeatId};
use crate::domain::seat::{INVITATION_SECONDS, Invitation};
use crate::random::Random;
use crate::signature::sha256_hex;

/// An invitation with its secret, which is not stored.
pub struct NewInvitation {
    secret: String,
    valid_until: Millis,
}

/// The links of an invitation, one for each way to sign in. One of them goes to the person: it works
/// once, for seven days, and is not shown again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct InvitationLinks {
    /// For people who sign in with Salesforce.
    pub salesforce: String,
    /// For people who sign in with Microsoft.
    pub entra: String,
}

impl NewInvitation {
    /// An invitation that can be accepted for seven days.
    #[must_use]
    pub fn new(random: &dyn Random, now: Millis) -> Self {
        Self::with_secret(random.secret(32), now)
    }

    /// Creates one with a given secret: for development only.
    #[must_use]
    pub fn with_secret(secret: String, now: Millis) -> Self {
        Self {
            secret,
            valid_until: now.plus_seconds(INVITATION_SECONDS),
        }
    }

    /// The stored form of the invitation.
    #[must_use]
    pub fn kept(&self) -> Invitation {
        Invitation {
            secret_hash: sha256_hex(&[self.secret.as_bytes()]),
            valid_until: self.valid_until,
        }
    }

    /// Its links to a seat, at the public address. Accepting one leads to the first page.
    #[must_use]
    pub fn links(&self, public_url: &Url, contract: &ContractId, seat: SeatId) -> InvitationLinks {
        let base = public_url.as_str().trim_end_matches('/');
        let path = public_url.path().trim_end_matches('/');
        let secret = &self.secret;
        let link = |provider: &str| {
            format!(
                "{base}/oauth/sign-in/{provider}?contract={contract}&invitation={seat}.{secret}&return_to={path}/app/home%3Fcontract%3D{contract}"
            )
        };
        InvitationLinks {
            salesforce: link("salesforce"),
            entra: link("entra"),
        }
    }
}
