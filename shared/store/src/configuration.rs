//! A contract's configuration: read in one query, changed in one transaction.

use std::collections::BTreeMap;

use super::transaction::{Action, Assumption};
use super::{
    Item, Page, Store, StoreError, all_pages, keys, number, page_of, read, read_each, write,
};
use domain::clock::Millis;
use domain::contract::{AuditEntry, Change, Contract, ContractConfig, Effect, LinkedInSettings};
use domain::crm_settings::CrmSettings;
use domain::form::Form;
use domain::ids::{ContractId, FormId};
use domain::mapping::FieldMapping;
use domain::problem::Problem;
use domain::scoring::ScoringRule;
use domain::strategy::MatchingStrategy;

/// Maximum number of times that a change is recomputed after a concurrent change.
const MAX_TRIES: u32 = 8;

/// The reason why a change of the configuration was not made.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The rules forbid it.
    #[error("refused")]
    Refused(Problem),
    /// The table did not carry it out.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// The whole configuration that decides how a contract's submissions are handled; `None` if there is no
    /// such contract. One query.
    pub async fn config(
        &self,
        contract: &ContractId,
    ) -> Result<Option<ContractConfig>, StoreError> {
        let mut found = None;
        let mut strategies = Vec::new();
        let mut mappings = Vec::new();
        let mut forms = Vec::new();
        let mut scoring = ScoringRule::default();
        let mut linkedin = LinkedInSettings::default();
        let mut crm_settings = BTreeMap::new();
        for item in self.query_all(keys::config_partition(contract), "").await? {
            let sort_key = item
                .get("SK")
                .and_then(|value| value.as_s().ok())
                .cloned()
                .unwrap_or_default();
            match sort_key.as_str() {
                "CONTRACT" => found = Some(read::<Contract>("contract", item)?),
                "SCORING" => scoring = read("scoring rule", item)?,
                "LINKEDIN" => linkedin = read("LinkedIn settings", item)?,
                key if key.starts_with(keys::CRM_SETTINGS_PREFIX) => {
                    let settings: CrmSettings = read("CRM settings", item)?;
                    crm_settings.insert(settings.environment, settings);
                }
                key if key.starts_with(keys::STRATEGY_PREFIX) => {
                    strategies.push(read::<MatchingStrategy>("strategy", item)?);
                }
                key if key.starts_with(keys::MAPPING_PREFIX) => {
                    mappings.push(read::<FieldMapping>("mapping", item)?);
                }
                // Handling a submission depends on all the others, so an unreadable one stops it; forms are
                // independent of each other.
                key if key.starts_with(keys::FORM_PREFIX) => {
                    forms.extend(read_each("form", vec![item], |item| {
                        read::<Form>("form", item)
                    }));
                }
                _ => {}
            }
        }
        Ok(found.filter(stays).map(|contract| ContractConfig {
            contract,
            strategies: strategies
                .into_iter()
                .map(|strategy| (strategy.id, strategy))
                .collect(),
            mappings: mappings
                .into_iter()
                .map(|mapping| (mapping.name.clone(), mapping))
                .collect(),
            forms: forms
                .into_iter()
                .map(|form| (form.id.clone(), form))
                .collect(),
            scoring,
            linkedin,
            crm_settings,
        }))
    }

    /// Creates a contract with its first configuration, once.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if there is one with that id.
    pub async fn create_contract(&self, config: &ContractConfig) -> Result<(), StoreError> {
        let id = &config.contract.id;
        let contract = contract_item(&config.contract)?;
        let mut actions = vec![self.put_action(contract, Some(Assumption::absent()))?];
        let strategies = config.strategies.values().cloned();
        let mappings = config.mappings.values().cloned();
        let forms = config.forms.values().cloned();
        let changes = strategies
            .map(Change::PutStrategy)
            .chain(mappings.map(Change::PutMapping))
            .chain(forms.map(|form| Change::PutForm(Box::new(form))))
            .chain([
                Change::PutScoring(config.scoring.clone()),
                Change::PutLinkedIn(config.linkedin.clone()),
            ]);
        for change in changes {
            actions.extend(self.change_action(id, change)?);
        }
        self.transact(actions).await
    }

    /// Changes a contract's configuration: reads it, lets `decide` change it, and writes the changes with an
    /// audit entry, all of them or none, if nothing was changed meanwhile; otherwise starts again.
    ///
    /// # Errors
    /// Returns [`ChangeError::Refused`] with the problem from `decide`, or [`ChangeError::Store`] if the
    /// table did not carry out the change.
    pub async fn change_config(
        &self,
        contract: &ContractId,
        actor: &str,
        now: Millis,
        unique: uuid::Uuid,
        mut decide: impl FnMut(&mut ContractConfig) -> Result<Effect, Problem>,
    ) -> Result<ContractConfig, ChangeError> {
        for _ in 0..MAX_TRIES {
            let mut config = self
                .config(contract)
                .await?
                .ok_or_else(|| ChangeError::Refused(Problem::not_found("contract")))?;
            let effect = decide(&mut config).map_err(ChangeError::Refused)?;
            let expected = config.contract.config_version;
            config.contract.config_version += 1;
            match self
                .write_changes(&config.contract, expected, effect, actor, now, unique)
                .await
            {
                Ok(()) => return Ok(config),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(ChangeError::Refused(Problem::new(
            409,
            "configuration_busy",
            "The configuration is being changed by others at this moment.",
            "Read it again and repeat the change.",
        )))
    }

    async fn write_changes(
        &self,
        contract: &Contract,
        expected: u64,
        effect: Effect,
        actor: &str,
        now: Millis,
        unique: uuid::Uuid,
    ) -> Result<(), StoreError> {
        let id = &contract.id;
        let mut actions = vec![self.contract_put(contract, expected)?];
        for change in effect.changes {
            actions.extend(self.change_action(id, change)?);
        }
        let (action, target, before, after) = effect.audit;
        let entry = AuditEntry {
            at: now,
            actor: actor.to_owned(),
            action: action.to_owned(),
            target,
            before,
            after,
        };
        actions.push(self.audit_item(id, &entry, unique)?);
        self.transact(actions).await
    }

    /// A write of the contract's own item over the current version of its configuration.
    pub(super) fn contract_put(
        &self,
        contract: &Contract,
        expected: u64,
    ) -> Result<Action, StoreError> {
        let assumption = Assumption::attribute("config_version", Some(number(expected)));
        self.put_action(contract_item(contract)?, Some(assumption))
    }

    /// An audit entry, for the transaction that makes the change it records.
    pub(super) fn audit_item(
        &self,
        id: &ContractId,
        entry: &AuditEntry,
        unique: uuid::Uuid,
    ) -> Result<Action, StoreError> {
        let item = write("audit", entry, &keys::audit(id, entry.at, unique))?;
        self.put_action(item, None)
    }

    fn change_action(&self, id: &ContractId, change: Change) -> Result<Option<Action>, StoreError> {
        let delete = |key: keys::Key| self.delete_action(key.attributes(), None).map(Some);
        let item = match change {
            Change::Contract => return Ok(None),
            Change::DeleteStrategy(strategy) => return delete(keys::strategy(id, strategy)),
            Change::DeleteMapping(name) => return delete(keys::mapping(id, &name)),
            Change::DeleteForm(form) => return delete(keys::form(id, &form)),
            Change::DeleteCrmSettings(environment) => {
                return delete(keys::crm_settings(id, environment));
            }
            Change::AssumeNotConnected(environment) => {
                return self.assume_not_connected(id, environment).map(Some);
            }
            Change::PutCrmSettings(settings) => write(
                "CRM settings",
                &settings,
                &keys::crm_settings(id, settings.environment),
            )?,
            Change::PutStrategy(strategy) => {
                write("strategy", &strategy, &keys::strategy(id, strategy.id))?
            }
            Change::PutMapping(mapping) => {
                write("mapping", &mapping, &keys::mapping(id, &mapping.name))?
            }
            Change::PutForm(form) => write("form", &form, &keys::form(id, &form.id))?,
            Change::PutScoring(rule) => write("scoring", &rule, &keys::scoring(id))?,
            Change::PutLinkedIn(settings) => {
                write("linkedin", &settings, &keys::linkedin_settings(id))?
            }
        };
        self.put_action(item, None).map(Some)
    }

    /// The contract alone, without its strategies, mappings and forms; `None` if there is none, or it is being
    /// deleted.
    pub async fn contract(&self, contract: &ContractId) -> Result<Option<Contract>, StoreError> {
        let found = self.contract_or_leaving(contract).await?;
        Ok(found.filter(stays))
    }

    /// The contract alone, even while it is being deleted.
    pub(super) async fn contract_or_leaving(
        &self,
        contract: &ContractId,
    ) -> Result<Option<Contract>, StoreError> {
        self.get("contract", keys::contract(contract), true).await
    }

    /// A form alone, for intake.
    pub async fn form(
        &self,
        contract: &ContractId,
        id: &FormId,
    ) -> Result<Option<Form>, StoreError> {
        self.get("form", keys::form(contract, id), false).await
    }

    /// LinkedIn settings alone, for intake; `None` when there is no such contract.
    pub async fn linkedin_settings(
        &self,
        contract: &ContractId,
    ) -> Result<Option<LinkedInSettings>, StoreError> {
        self.get(
            "LinkedIn settings",
            keys::linkedin_settings(contract),
            false,
        )
        .await
    }

    /// Every contract, for the schedules.
    pub async fn contracts(&self) -> Result<Vec<ContractId>, StoreError> {
        let query = self.query_index(&keys::LISTS, keys::CONTRACTS);
        let items = all_pages(&query).await?;
        Ok(read_each("contract", items, |item| {
            let id = keys::sort_key_of(&item, &keys::LISTS);
            id.and_then(|id| id.parse().ok())
                .ok_or_else(|| StoreError::corrupt("contract"))
        }))
    }

    /// A contract's audit log, newest first. `cursor` is a page's `next`.
    pub async fn audit_log(
        &self,
        contract: &ContractId,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Page<AuditEntry>, StoreError> {
        let pk = keys::audit_partition(contract);
        let start = cursor.map(|sort_key| {
            let (pk, sk) = (pk.clone(), sort_key.to_owned());
            keys::Key { pk, sk }.attributes()
        });
        let query = self
            .query_partition(&pk)
            .consistent_read(false)
            .scan_index_forward(false)
            .limit(i32::try_from(limit).unwrap_or(100));
        let page = page_of(&query, start).await?;
        Ok(Page {
            items: read_each("audit entry", page.items, |item| read("audit entry", item)),
            next: page
                .next
                .as_ref()
                .and_then(|key| key.get("SK")?.as_s().ok().cloned()),
        })
    }

    /// Stores an audit entry alone, for an action that changes nothing else in the table.
    pub async fn put_audit(
        &self,
        contract: &ContractId,
        audit: &AuditEntry,
        unique: uuid::Uuid,
    ) -> Result<(), StoreError> {
        let item = write("audit", audit, &keys::audit(contract, audit.at, unique))?;
        self.put(item).await
    }
}

/// True unless the contract is being deleted.
const fn stays(contract: &Contract) -> bool {
    contract.leaving_since.is_none()
}

/// The contract's own item, listed among all contracts unless it is being deleted.
fn contract_item(contract: &Contract) -> Result<Item, StoreError> {
    let mut item = write("contract", contract, &keys::contract(&contract.id))?;
    if stays(contract) {
        keys::LISTS.enter(&mut item, keys::CONTRACTS, contract.id.as_str());
    }
    Ok(item)
}
