//! Secrets, opened where a request needs them and kept in memory for a short time.

use std::sync::Arc;

use shared::domain::form::Form;
use shared::domain::ids::ContractId;
use shared::problem::Problem;
use shared::vault::{Purpose, Vault, VaultError};
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

/// A current and a previous secret, each where set.
#[derive(Clone)]
pub(crate) struct Secrets(Arc<[Slot; 2]>);

struct Slot {
    sealed: Option<String>,
    open: OnceCell<Option<Zeroizing<String>>>,
}

impl Slot {
    fn holds(&self, sealed: Option<&str>) -> bool {
        self.sealed.as_deref() == sealed
    }
}

impl Secrets {
    /// Secrets in sealed form. Those that `known` has opened already are not opened again.
    pub(crate) fn new(sealed: [Option<&str>; 2], known: Option<&Self>) -> Self {
        Self(Arc::new(sealed.map(|sealed| {
            let opened = known
                .into_iter()
                .flat_map(|known| known.0.iter())
                .find(|slot| slot.holds(sealed))
                .and_then(|slot| slot.open.get().cloned());
            Slot {
                sealed: sealed.map(str::to_owned),
                open: OnceCell::new_with(opened),
            }
        })))
    }

    /// The current secret, opened.
    pub(crate) async fn current(&self, of: Sealed<'_>) -> Result<Option<&str>, Problem> {
        let [current, _] = &*self.0;
        of.open(current).await
    }

    /// The secret before the last change, opened.
    pub(crate) async fn previous(&self, of: Sealed<'_>) -> Result<Option<&str>, Problem> {
        let [_, previous] = &*self.0;
        of.open(previous).await
    }
}

/// The purpose of sealed secrets, and the vault that opens them.
#[derive(Clone, Copy)]
pub(crate) struct Sealed<'a> {
    pub(crate) vault: &'a Vault,
    pub(crate) contract: &'a ContractId,
    pub(crate) purpose: &'a str,
}

impl Sealed<'_> {
    /// Opens a secret; one that does not open counts as not set, so that checks fail closed.
    async fn open(self, slot: &Slot) -> Result<Option<&str>, Problem> {
        let Some(sealed) = &slot.sealed else {
            return Ok(None);
        };
        let Self {
            vault,
            contract,
            purpose,
        } = self;
        let opened = slot
            .open
            .get_or_try_init(async || {
                let purpose_of_seal = Purpose {
                    contract,
                    name: purpose,
                };
                match vault.open(purpose_of_seal, sealed).await {
                    Ok(secret) => Ok(Some(secret)),
                    Err(VaultError::DoesNotOpen) => {
                        tracing::error!(%contract, purpose, "a sealed secret does not open: set it anew");
                        Ok(None)
                    }
                    Err(error) => {
                        tracing::error!(%contract, error = &error as &dyn std::error::Error, "the key service did not answer");
                        Err(Problem::unavailable())
                    }
                }
            })
            .await?;
        Ok(opened.as_ref().map(|secret| secret.as_str()))
    }
}

/// A form with its secrets.
#[derive(Clone)]
pub(crate) struct OpenForm {
    pub(crate) contract: ContractId,
    pub(crate) form: Arc<Form>,
    pub(crate) secrets: Secrets,
}
