//! What is kept of a CRM environment: its connection with all that comes with it, the guide, the
//! import, and what was read of it.

use aws_sdk_dynamodb::types::{ConditionCheck, Put, TransactWriteItem};

use super::connections::{Connection, ConnectionKind, ConnectionState};
use super::submissions::built;
use super::{Store, StoreError, keys, number, text, write};
use crate::clock::Millis;
use crate::domain::contract::AuditEntry;
use crate::domain::environment::Environment;
use crate::domain::guide::Guide;
use crate::domain::ids::ContractId;
use crate::domain::inventory::{AccessReport, CrmOptions};
use crate::domain::schema::CrmKind;
use crate::domain::sync::Sync;

/// What has to hold, or comes, with a new connection.
#[derive(Debug)]
pub enum Alongside<'a> {
    /// Of an environment's CRM: the contract still uses it; the guide and the first import.
    Crm {
        /// The CRM that the contract uses.
        crm: CrmKind,
        /// The guide with what changed.
        guide: &'a Guide,
        /// The import that was asked for; none where one waits or runs.
        sync: Option<&'a Sync>,
    },
    /// Of a seat holder: the seat is still active, and the environment still connected to that
    /// organisation.
    User {
        /// The organisation's id.
        organization: &'a str,
    },
    /// Of LinkedIn: nothing.
    Nothing,
}

impl Store {
    /// Stores a connection that somebody signed in to, with its audit entry and what comes with
    /// it, all or nothing. `replaces` is the version that stands there now; `None` when there is
    /// no connection.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when something else stands there: read it again and decide anew.
    pub async fn connect(
        &self,
        connection: &Connection,
        replaces: Option<u64>,
        alongside: &Alongside<'_>,
        audit: &AuditEntry,
        unique: uuid::Uuid,
    ) -> Result<(), StoreError> {
        let contract = &connection.contract;
        let mut with = Vec::new();
        match *alongside {
            Alongside::Crm { crm, guide, sync } => {
                let check = ConditionCheck::builder()
                    .table_name(&self.table)
                    .set_key(Some(keys::contract(contract).attributes()))
                    .condition_expression("crm = :crm")
                    .expression_attribute_values(":crm", text(crm.as_str()));
                with.push(
                    TransactWriteItem::builder()
                        .condition_check(built(check.build())?)
                        .build(),
                );
                with.push(self.guide_put(contract, guide)?);
                if let Some(sync) = sync {
                    with.push(self.sync_put(contract, sync)?);
                }
            }
            Alongside::User { organization } => {
                let ConnectionKind::User(seat, environment) = connection.kind else {
                    return Err(StoreError::Conflict);
                };
                let check = ConditionCheck::builder()
                    .table_name(&self.table)
                    .set_key(Some(keys::seat(contract, seat).attributes()))
                    .condition_expression("#status = :active")
                    .expression_attribute_names("#status", "status")
                    .expression_attribute_values(":active", text("active"));
                with.push(
                    TransactWriteItem::builder()
                        .condition_check(built(check.build())?)
                        .build(),
                );
                with.push(self.assume_connected(contract, environment, organization)?);
            }
            Alongside::Nothing => {}
        }
        self.change_connection(connection, replaces, audit, unique, with)
            .await
    }

    /// That an environment has no CRM connected, for a transaction that assumes it.
    pub(super) fn assume_not_connected(
        &self,
        contract: &ContractId,
        environment: Environment,
    ) -> Result<TransactWriteItem, StoreError> {
        let key = keys::connection(contract, ConnectionKind::Crm(environment));
        let check = ConditionCheck::builder()
            .table_name(&self.table)
            .set_key(Some(key.attributes()))
            .condition_expression("attribute_not_exists(PK) OR #state = :disconnected")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":disconnected", text("disconnected"));
        Ok(TransactWriteItem::builder()
            .condition_check(built(check.build())?)
            .build())
    }

    /// Begins to end a connection: from then on nothing but that is done with it. Waits for no
    /// refresh: one that is under way has to end first, or its new tokens would never be revoked.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it was changed meanwhile, or is being refreshed.
    pub async fn begin_disconnect(
        &self,
        connection: &Connection,
        replaces: u64,
        now: Millis,
        audit: &AuditEntry,
        unique: uuid::Uuid,
    ) -> Result<(), StoreError> {
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(Self::connection_item(connection)?))
            .condition_expression(
                "version = :version AND (attribute_not_exists(refresh_until) OR refresh_until < :now)",
            )
            .expression_attribute_values(":version", number(replaces))
            .expression_attribute_values(":now", number(now.0));
        let put = TransactWriteItem::builder()
            .put(built(put.build())?)
            .build();
        self.client
            .transact_write_items()
            .transact_items(put)
            .transact_items(self.audit_item(&connection.contract, audit, unique)?)
            .send()
            .await?;
        Ok(())
    }

    /// Keeps how far the end of a connection has come, over the version that stands there.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when another worker went on with it meanwhile.
    pub async fn save_disconnect(
        &self,
        connection: &Connection,
        replaces: u64,
    ) -> Result<(), StoreError> {
        self.client
            .transact_write_items()
            .transact_items(self.connection_put(connection, Some(replaces))?)
            .send()
            .await?;
        Ok(())
    }

    /// Ends a connection for good, with its audit entry; of a CRM also its guide, and its import where
    /// that changes.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when something was changed meanwhile.
    pub async fn finish_disconnect(
        &self,
        connection: &Connection,
        replaces: u64,
        guide: Option<&Guide>,
        sync: Option<&Sync>,
        audit: &AuditEntry,
        unique: uuid::Uuid,
    ) -> Result<(), StoreError> {
        debug_assert_eq!(connection.state, ConnectionState::Disconnected);
        let contract = &connection.contract;
        let mut with = Vec::new();
        if let Some(guide) = guide {
            with.push(self.guide_put(contract, guide)?);
        }
        if let Some(sync) = sync {
            with.push(self.sync_put(contract, sync)?);
        }
        self.change_connection(connection, Some(replaces), audit, unique, with)
            .await
    }

    /// Where the guide of an environment stands.
    pub async fn guide(
        &self,
        contract: &ContractId,
        environment: Environment,
    ) -> Result<Guide, StoreError> {
        let found = self
            .get("guide", keys::guide(contract, environment), true)
            .await?;
        Ok(found.unwrap_or_else(|| Guide::new(environment)))
    }

    /// A write of a guide over the version before it.
    fn guide_put(
        &self,
        contract: &ContractId,
        guide: &Guide,
    ) -> Result<TransactWriteItem, StoreError> {
        let key = keys::guide(contract, guide.environment);
        self.versioned_put(write("guide", guide, &key)?, guide.version)
    }

    /// A write over the version before `version`, which the item has; 1 is the first.
    pub(super) fn versioned_put(
        &self,
        item: super::Item,
        version: u64,
    ) -> Result<TransactWriteItem, StoreError> {
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression(
                "version = :before OR (attribute_not_exists(PK) AND :before = :none)",
            )
            .expression_attribute_values(":before", number(version.saturating_sub(1)))
            .expression_attribute_values(":none", number(0));
        Ok(TransactWriteItem::builder()
            .put(built(put.build())?)
            .build())
    }

    /// Changes a guide by `change`, deciding anew when it was changed meanwhile.
    pub async fn change_guide(
        &self,
        contract: &ContractId,
        environment: Environment,
        now: Millis,
        change: impl Fn(&mut Guide),
    ) -> Result<Guide, StoreError> {
        loop {
            let before = self.guide(contract, environment).await?;
            let mut after = before.clone();
            change(&mut after);
            if after == before {
                return Ok(after);
            }
            after.version += 1;
            after.updated_at = now;
            let stored = self
                .client
                .transact_write_items()
                .transact_items(self.guide_put(contract, &after)?)
                .send()
                .await;
            match stored.map_err(StoreError::from) {
                Ok(_) => return Ok(after),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// What the connected user could read when it was last checked (CN-4).
    pub async fn access_report(
        &self,
        contract: &ContractId,
        environment: Environment,
    ) -> Result<Option<AccessReport>, StoreError> {
        let key = keys::access_report(contract, environment);
        self.get("access report", key, true).await
    }

    /// Keeps an access report, while the connection that it was made with stands.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it does not: what was read of an ended connection is not kept.
    pub async fn put_access_report(
        &self,
        contract: &ContractId,
        environment: Environment,
        organization: &str,
        report: &AccessReport,
    ) -> Result<(), StoreError> {
        let key = keys::access_report(contract, environment);
        self.put_imported(
            contract,
            environment,
            organization,
            write("access report", report, &key)?,
        )
        .await
    }

    /// The CRM's options for the settings, as last read.
    pub async fn crm_options(
        &self,
        contract: &ContractId,
        environment: Environment,
    ) -> Result<Option<CrmOptions>, StoreError> {
        let key = keys::crm_options(contract, environment);
        self.get("CRM options", key, true).await
    }

    /// Keeps the CRM's options, while the connection that they were read with stands.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it does not.
    pub async fn put_crm_options(
        &self,
        contract: &ContractId,
        environment: Environment,
        organization: &str,
        options: &CrmOptions,
    ) -> Result<(), StoreError> {
        let key = keys::crm_options(contract, environment);
        self.put_imported(
            contract,
            environment,
            organization,
            write("CRM options", options, &key)?,
        )
        .await
    }

    /// Puts something that was read of an organisation, if the environment's connection to it
    /// stands: a clean-up that has begun must not be followed by a late write, nor another
    /// organisation's data be mixed with it.
    pub(super) async fn put_imported(
        &self,
        contract: &ContractId,
        environment: Environment,
        organization: &str,
        item: super::Item,
    ) -> Result<(), StoreError> {
        let put = Put::builder().table_name(&self.table).set_item(Some(item));
        self.client
            .transact_write_items()
            .transact_items(self.assume_connected(contract, environment, organization)?)
            .transact_items(
                TransactWriteItem::builder()
                    .put(built(put.build())?)
                    .build(),
            )
            .send()
            .await?;
        Ok(())
    }

    /// That an environment's connection to an organisation stands, for a transaction that assumes
    /// it.
    pub(super) fn assume_connected(
        &self,
        contract: &ContractId,
        environment: Environment,
        organization: &str,
    ) -> Result<TransactWriteItem, StoreError> {
        let key = keys::connection(contract, ConnectionKind::Crm(environment));
        let check = ConditionCheck::builder()
            .table_name(&self.table)
            .set_key(Some(key.attributes()))
            .condition_expression(
                "organization = :organization AND #state IN (:connected, :sign_in_needed)",
            )
            .expression_attribute_values(":organization", text(organization))
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":connected", text("connected"))
            .expression_attribute_values(":sign_in_needed", text("sign_in_needed"));
        Ok(TransactWriteItem::builder()
            .condition_check(built(check.build())?)
            .build())
    }
}
