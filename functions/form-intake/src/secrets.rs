//! Opened secrets, kept in memory for a short time.

use std::sync::Arc;

use shared::domain::form::Form;
use shared::domain::ids::ContractId;
use shared::problem::Problem;
use shared::vault::{Purpose, Vault, VaultError};

/// A current and a previous secret, each where set.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Arc<[Option<zeroize::Zeroizing<String>>; 2]>);

impl Secrets {
    /// Opens what is sealed; what does not open counts as not set, so that checks fail closed.
    pub(crate) async fn open(
        vault: &Vault,
        contract: &ContractId,
        purpose: &str,
        sealed: [Option<&str>; 2],
    ) -> Result<Self, Problem> {
        let mut open = [None, None];
        for (slot, sealed) in open.iter_mut().zip(sealed) {
            let Some(sealed) = sealed else { continue };
            match vault
                .open(
                    Purpose {
                        contract,
                        name: purpose,
                    },
                    sealed,
                )
                .await
            {
                Ok(secret) => *slot = Some(secret),
                Err(VaultError::DoesNotOpen) => {
                    tracing::error!(%contract, purpose, "a sealed secret does not open: set it anew");
                }
                Err(error) => {
                    tracing::error!(%contract, error = &error as &dyn std::error::Error, "the key service did not answer");
                    return Err(Problem::unavailable());
                }
            }
        }
        Ok(Self(Arc::new(open)))
    }

    /// The current secret.
    pub(crate) fn current(&self) -> Option<&str> {
        let [current, _] = &*self.0;
        current.as_ref().map(|secret| secret.as_str())
    }

    /// The current secret and the previous one.
    pub(crate) fn both(&self) -> Vec<&str> {
        self.0
            .iter()
            .flatten()
            .map(|secret| secret.as_str())
            .collect()
    }
}

/// A form with its opened secrets.
#[derive(Clone)]
pub(crate) struct OpenForm {
    pub(crate) contract: ContractId,
    pub(crate) form: Arc<Form>,
    pub(crate) secrets: Secrets,
}
