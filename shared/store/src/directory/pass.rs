//! The link pass in the table: open work that only one worker holds at a time.

use super::super::transaction::Action;
use super::super::work::WorkKind;
use super::super::{Store, StoreError, keys, write};
use super::models::rates_item;
use domain::directory::{LinkPass, Rates};
use domain::environment::Environment;
use domain::ids::ContractId;

const PASS: &str = "link pass";

impl Store {
    /// The link pass that waits or runs, or the last one.
    pub async fn link_pass(&self, contract: &ContractId) -> Result<Option<LinkPass>, StoreError> {
        self.get(PASS, keys::link_pass(contract), true).await
    }

    /// A write of a link pass over the version before it. One that has work to do is in the index.
    fn link_pass_put(&self, contract: &ContractId, pass: &LinkPass) -> Result<Action, StoreError> {
        let mut item = write(PASS, pass, &keys::link_pass(contract))?;
        if pass.is_open() {
            WorkKind::Link.index(&mut item, contract, pass.due_at);
        }
        self.versioned_put(item, pass.version)
    }

    /// Stores a link pass over the version before it.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if it was changed meanwhile.
    pub async fn put_link_pass(
        &self,
        contract: &ContractId,
        pass: &LinkPass,
    ) -> Result<(), StoreError> {
        self.transact(vec![self.link_pass_put(contract, pass)?])
            .await
    }

    /// Takes a link pass, or stores its progress: over the version before it, and only while the production
    /// environment's connection to that organisation stands. A worker that writes matches under the pass's
    /// lease takes the pass by this method, so that no match is written after a clean-up has begun.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if another worker has taken the pass, or the connection is being
    /// ended: the caller must stop working on it.
    pub async fn checkpoint_link_pass(
        &self,
        contract: &ContractId,
        organization: &str,
        pass: &LinkPass,
    ) -> Result<(), StoreError> {
        let environment = Environment::Production;
        self.transact(vec![
            self.assume_connected(contract, environment, organization)?,
            self.link_pass_put(contract, pass)?,
        ])
        .await
    }

    /// Stores the end of a link pass, or of a worker's step, over the version before it, with its match
    /// rates. Independent of the connection's state.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if another worker has taken the pass.
    pub async fn end_link_pass(
        &self,
        contract: &ContractId,
        pass: &LinkPass,
        rates: Option<&Rates>,
    ) -> Result<(), StoreError> {
        let mut actions = vec![self.link_pass_put(contract, pass)?];
        if let Some(rates) = rates {
            actions.push(self.put_action(rates_item(contract, rates)?, None)?);
        }
        self.transact(actions).await
    }
}
