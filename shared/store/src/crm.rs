//! Stored data of a CRM environment: its connection with its dependents, the guide, the import, and the data
//! read from the CRM.

use super::connections::{Connection, ConnectionState};
use super::transaction::{Action, Assumption};
use super::{Store, StoreError, keys, number, text, write};
use domain::clock::Millis;
use domain::connection_kind::ConnectionKind;
use domain::contract::AuditEntry;
use domain::environment::Environment;
use domain::guide::Guide;
use domain::ids::ContractId;
use domain::inventory::{AccessReport, CrmOptions};
use domain::schema::{CrmKind, LeadSchema};
use domain::sync::Sync;

/// Conditions and further writes of a new connection, by its kind.
#[derive(Debug)]
pub enum Alongside<'a> {
    /// For an environment's CRM: the contract still uses it; the guide and the first import are stored with
    /// it.
    Crm {
        /// The CRM that the contract uses.
        crm: CrmKind,
        /// The changed guide.
        guide: &'a Guide,
        /// The requested import; `None` if one waits or runs.
        sync: Option<&'a Sync>,
    },
    /// For a seat holder: the seat is still active, and the environment still connected to that organisation.
    User {
        /// The organisation's id.
        organization: &'a str,
    },
    /// For LinkedIn: nothing.
    Nothing,
}

impl Store {
    /// Stores a connection after a sign-in, with its audit entry and the writes in `alongside`, all or
    /// nothing. `replaces` is the current version of the connection; `None` if there is no connection.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if a different version is stored: read it again and decide anew.
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
                let uses = Assumption::attribute("crm", Some(text(crm.as_str())));
                with.push(self.check_action(&keys::contract(contract), uses)?);
                with.push(self.guide_put(contract, guide)?);
                if let Some(sync) = sync {
                    with.push(self.sync_put(contract, sync)?);
                }
            }
            Alongside::User { organization } => {
                let ConnectionKind::User(seat, environment) = connection.kind else {
                    return Err(StoreError::Conflict);
                };
                let active = Assumption::attribute("status", Some(text("active")));
                with.push(self.check_action(&keys::seat(contract, seat), active)?);
                with.push(self.assume_connected(contract, environment, organization)?);
            }
            Alongside::Nothing => {}
        }
        self.change_connection(connection, replaces, audit, unique, with)
            .await
    }

    /// A condition for a transaction: the environment has no CRM connected.
    pub(super) fn assume_not_connected(
        &self,
        contract: &ContractId,
        environment: Environment,
    ) -> Result<Action, StoreError> {
        let key = keys::connection(contract, ConnectionKind::Crm(environment));
        let assumption = Assumption::new(
            "attribute_not_exists(PK) OR #state = :disconnected",
            &[("#state", "state")],
            vec![(":disconnected", text("disconnected"))],
        );
        self.check_action(&key, assumption)
    }

    /// Begins to end a connection: from then on it is used only for disconnecting. Does not wait for a
    /// refresh: one that is under way has to end first, or its new tokens would never be revoked.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if it was changed meanwhile, or is being refreshed.
    pub async fn begin_disconnect(
        &self,
        connection: &Connection,
        replaces: u64,
        now: Millis,
        audit: &AuditEntry,
        unique: uuid::Uuid,
    ) -> Result<(), StoreError> {
        let assumption = Assumption::new(
            "version = :version AND (attribute_not_exists(refresh_until) OR refresh_until < :now)",
            &[],
            vec![(":version", number(replaces)), (":now", number(now.0))],
        );
        self.transact(vec![
            self.put_action(Self::connection_item(connection)?, Some(assumption))?,
            self.audit_item(&connection.contract, audit, unique)?,
        ])
        .await
    }

    /// Stores the progress of ending a connection, over its current version.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if another worker continued it meanwhile.
    pub async fn save_disconnect(
        &self,
        connection: &Connection,
        replaces: u64,
    ) -> Result<(), StoreError> {
        self.transact(vec![self.connection_put(connection, Some(replaces))?])
            .await
    }

    /// Ends a connection for good, with its audit entry; for a CRM also its guide, and its import if that
    /// changes.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if something was changed meanwhile.
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

    /// The guide of an environment.
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
    fn guide_put(&self, contract: &ContractId, guide: &Guide) -> Result<Action, StoreError> {
        let key = keys::guide(contract, guide.environment);
        self.versioned_put(write("guide", guide, &key)?, guide.version)
    }

    /// Changes a guide by `change`, and repeats this if the guide was changed meanwhile.
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
            match self.transact(vec![self.guide_put(contract, &after)?]).await {
                Ok(()) => return Ok(after),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The connected user's access at the last check (CN-4).
    pub async fn access_report(
        &self,
        contract: &ContractId,
        environment: Environment,
    ) -> Result<Option<AccessReport>, StoreError> {
        let key = keys::access_report(contract, environment);
        self.get("access report", key, true).await
    }

    /// Stores an access report, if the connection that it was made with still stands.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if it does not: data from an ended connection is not stored.
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

    /// Stores the CRM's options, if the connection that they were read with still stands.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if it does not.
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

    /// The CRM's lead fields as last read.
    pub async fn lead_schema(
        &self,
        contract: &ContractId,
    ) -> Result<Option<LeadSchema>, StoreError> {
        self.get("lead schema", keys::lead_schema(contract), false)
            .await
    }

    /// Stores the CRM's lead fields, if the connection that they were read with still stands.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if it does not.
    pub async fn put_lead_schema(
        &self,
        contract: &ContractId,
        organization: &str,
        schema: &LeadSchema,
    ) -> Result<(), StoreError> {
        let item = write("lead schema", schema, &keys::lead_schema(contract))?;
        self.put_imported(contract, Environment::Production, organization, item)
            .await
    }

    /// Puts an item with data of an organisation, if the environment's connection to it stands: a clean-up
    /// that has begun must not be followed by a late write, and another organisation's data must not be mixed
    /// with it.
    pub(super) async fn put_imported(
        &self,
        contract: &ContractId,
        environment: Environment,
        organization: &str,
        item: super::Item,
    ) -> Result<(), StoreError> {
        self.transact(vec![
            self.assume_connected(contract, environment, organization)?,
            self.put_action(item, None)?,
        ])
        .await
    }

    /// A condition for a transaction: the environment's connection to an organisation stands.
    pub(super) fn assume_connected(
        &self,
        contract: &ContractId,
        environment: Environment,
        organization: &str,
    ) -> Result<Action, StoreError> {
        let key = keys::connection(contract, ConnectionKind::Crm(environment));
        let assumption = Assumption::new(
            "organization = :organization AND #state IN (:connected, :sign_in_needed)",
            &[("#state", "state")],
            vec![
                (":organization", text(organization)),
                (":connected", text("connected")),
                (":sign_in_needed", text("sign_in_needed")),
            ],
        );
        self.check_action(&key, assumption)
    }
}
