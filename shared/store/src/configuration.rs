//! A contract's configuration: read in one query, changed in one transaction.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, TransactWriteItem};

use super::submissions::built;
use super::{Item, Page, Store, StoreError, all_pages, keys, number, read, text, write};
use domain::clock::Millis;
use domain::contract::{AuditEntry, Change, Contract, ContractConfig, Effect, LinkedInSettings};
use domain::crm_settings::CrmSettings;
use domain::form::Form;
use domain::ids::{ContractId, FormId};
use domain::mapping::FieldMapping;
use domain::problem::Problem;
use domain::scoring::ScoringRule;
use domain::strategy::MatchingStrategy;

/// How often a change is decided anew because another one came between.
const MAX_TRIES: u32 = 8;

/// Why a change of the configuration was not made.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The rules forbid it.
    #[error("refused")]
    Refused(Problem),
    /// The table did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Everything that decides what becomes of a contract's submissions; `None` when there is no
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
                key if key.starts_with(keys::FORM_PREFIX) => {
                    forms.push(read::<Form>("form", item)?);
                }
                _ => {}
            }
        }
        Ok(found.map(|contract| ContractConfig {
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
    /// [`StoreError::Conflict`] when there is one of that id.
    pub async fn create_contract(&self, config: &ContractConfig) -> Result<(), StoreError> {
        let id = &config.contract.id;
        let mut item = write("contract", &config.contract, &keys::contract(id))?;
        item.insert("GSI1PK".to_owned(), text(keys::CONTRACTS));
        item.insert("GSI1SK".to_owned(), text(id.as_str()));
        let mut puts = vec![
            Put::builder()
                .table_name(&self.table)
                .set_item(Some(item))
                .condition_expression("attribute_not_exists(PK)"),
        ];
        let mut add = |item: Item| {
            puts.push(Put::builder().table_name(&self.table).set_item(Some(item)));
        };
        for strategy in config.strategies.values() {
            add(write(
                "strategy",
                strategy,
                &keys::strategy(id, strategy.id),
            )?);
        }
        for mapping in config.mappings.values() {
            add(write(
                "mapping",
                mapping,
                &keys::mapping(id, &mapping.name),
            )?);
        }
        for form in config.forms.values() {
            add(write("form", form, &keys::form(id, &form.id))?);
        }
        add(write("scoring", &config.scoring, &keys::scoring(id))?);
        add(write(
            "linkedin",
            &config.linkedin,
            &keys::linkedin_settings(id),
        )?);
        let mut transaction = self.client.transact_write_items();
        for put in puts {
            transaction = transaction.transact_items(
                TransactWriteItem::builder()
                    .put(built(put.build())?)
                    .build(),
            );
        }
        transaction.send().await?;
        Ok(())
    }

    /// Changes a contract's configuration: reads it, lets `decide` change it, and writes the
    /// changes with an audit entry, all of them or none, if nothing was changed meanwhile;
    /// otherwise decides anew.
    ///
    /// # Errors
    /// [`ChangeError::Refused`] with what `decide` says; [`ChangeError::Store`].
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
        let mut transaction = self
            .client
            .transact_write_items()
            .transact_items(self.contract_put(contract, expected)?);
        for change in effect.changes {
            if let Some(item) = self.change_item(id, change)? {
                transaction = transaction.transact_items(item);
            }
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
        transaction
            .transact_items(self.audit_item(id, &entry, unique)?)
            .send()
            .await?;
        Ok(())
    }

    /// A write of the contract's own item over the version of its configuration that stands there.
    pub(super) fn contract_put(
        &self,
        contract: &Contract,
        expected: u64,
    ) -> Result<TransactWriteItem, StoreError> {
        let mut item = write("contract", contract, &keys::contract(&contract.id))?;
        item.insert("GSI1PK".to_owned(), text(keys::CONTRACTS));
        item.insert("GSI1SK".to_owned(), text(contract.id.as_str()));
        let guard = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("config_version = :expected")
            .expression_attribute_values(":expected", number(expected));
        Ok(TransactWriteItem::builder()
            .put(built(guard.build())?)
            .build())
    }

    /// An audit entry, for the transaction of what it tells about.
    pub(super) fn audit_item(
        &self,
        id: &ContractId,
        entry: &AuditEntry,
        unique: uuid::Uuid,
    ) -> Result<TransactWriteItem, StoreError> {
        let item = write("audit", entry, &keys::audit(id, entry.at, unique))?;
        self.put_action(item, None)
    }

    fn change_item(
        &self,
        id: &ContractId,
        change: Change,
    ) -> Result<Option<TransactWriteItem>, StoreError> {
        let item = match change {
            Change::Contract => return Ok(None),
            Change::DeleteStrategy(strategy) => {
                return self.delete_item(&keys::strategy(id, strategy)).map(Some);
            }
            Change::DeleteMapping(name) => {
                return self.delete_item(&keys::mapping(id, &name)).map(Some);
            }
            Change::AssumeNotConnected(environment) => {
                return self.assume_not_connected(id, environment).map(Some);
            }
            Change::DeleteCrmSettings(environment) => {
                return self
                    .delete_item(&keys::crm_settings(id, environment))
                    .map(Some);
            }
            Change::PutCrmSettings(settings) => write(
                "CRM settings",
                &settings,
                &keys::crm_settings(id, settings.environment),
            )?,
            Change::DeleteForm(form) => return self.delete_item(&keys::form(id, &form)).map(Some),
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
        let put = Put::builder().table_name(&self.table).set_item(Some(item));
        Ok(Some(
            TransactWriteItem::builder()
                .put(built(put.build())?)
                .build(),
        ))
    }

    fn delete_item(&self, key: &keys::Key) -> Result<TransactWriteItem, StoreError> {
        let delete = Delete::builder()
            .table_name(&self.table)
            .set_key(Some(key.attributes()));
        Ok(TransactWriteItem::builder()
            .delete(built(delete.build())?)
            .build())
    }

    /// The contract alone, without what belongs to it.
    pub async fn contract(&self, contract: &ContractId) -> Result<Option<Contract>, StoreError> {
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
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .index_name("GSI1")
            .key_condition_expression("GSI1PK = :pk")
            .expression_attribute_values(":pk", text(keys::CONTRACTS));
        let items = all_pages(&query).await?.into_iter();
        items
            .map(|item| read::<Contract>("contract", item).map(|contract| contract.id))
            .collect()
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
            Item::from([
                ("PK".to_owned(), text(&pk)),
                ("SK".to_owned(), AttributeValue::S(sort_key.to_owned())),
            ])
        });
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("PK = :pk")
            .expression_attribute_values(":pk", text(&pk))
            .scan_index_forward(false)
            .limit(i32::try_from(limit).unwrap_or(100))
            .set_exclusive_start_key(start)
            .send()
            .await?;
        let next = answer
            .last_evaluated_key
            .as_ref()
            .and_then(|key| key.get("SK"))
            .and_then(|value| value.as_s().ok())
            .cloned();
        let items = answer
            .items
            .unwrap_or_default()
            .into_iter()
            .map(|item| read("audit entry", item))
            .collect::<Result<_, _>>()?;
        Ok(Page { items, next })
    }
}
