//! The opportunities of a record and the contacts in them, read from the mirror by its reference keys (SV-4,
//! SV-5).

use std::collections::{BTreeMap, BTreeSet};

use futures::future::BoxFuture;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::domain::directory::RecordRef;
use crate::domain::environment::Environment;
use crate::domain::ids::ContractId;
use crate::domain::linked_record::Values;
use crate::domain::match_keys::MatchKey;
use crate::domain::opportunity::{ContactRole, Opportunity};
use crate::domain::references::Named;
use crate::domain::schema::CrmKind;
use crate::domain::vocabulary::{Role, Vocabulary, vocabulary};
use crate::store::{Mirror, Store, StoreError};

/// Maximum number of opportunities of a record, and of a contact's parts, that are read.
pub const MOST_OPPORTUNITIES: i32 = 500;
/// Maximum number of contacts and leads of an opportunity that are read.
pub const MOST_CONTACTS: i32 = 100;
/// Opportunities whose contacts are read at once.
const AT_ONCE: usize = 8;

/// Reads the opportunities of a contract's environment.
#[derive(Debug, Clone, Copy)]
pub struct Opportunities<'a> {
    /// The contract.
    pub contract: &'a ContractId,
    /// The environment.
    pub environment: Environment,
    /// The environment's CRM.
    pub crm: CrmKind,
}

/// Somebody in an opportunity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InOpportunity {
    /// The contact's id in the CRM.
    pub contact: String,
    /// The name of the part; `None` if the CRM has none.
    pub part: Option<String>,
    /// True for the first contact of the opportunity.
    pub primary: bool,
}

impl Opportunities<'_> {
    fn known(&self) -> &'static Vocabulary {
        vocabulary(self.crm)
    }

    fn mirror<'m>(&'m self, object: &'m str) -> Mirror<'m> {
        Mirror {
            contract: self.contract,
            environment: self.environment,
            crm: self.crm,
            object,
            default_region: None,
        }
    }

    /// The values of an object's records, by id; those that are gone are left out.
    pub async fn values(
        &self,
        store: &Store,
        object: &str,
        ids: &[&str],
    ) -> Result<BTreeMap<String, Values>, StoreError> {
        if ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let records = self.mirror(object).records(store, ids).await?.into_iter();
        let there = records.filter_map(|record| Some((record.id, record.values?)));
        Ok(there.collect())
    }

    /// Ids of an object's records that have a key, at most `most`.
    async fn ids(
        &self,
        store: &Store,
        key: Option<MatchKey>,
        object: &str,
        most: i32,
    ) -> Result<Vec<String>, StoreError> {
        let Some(key) = key else {
            return Ok(Vec::new());
        };
        let found = store.ids_by_key(self.contract, self.environment, &key, object, None, most);
        Ok(found.await?.items)
    }

    /// An opportunity; `None` if it is not in the mirror.
    pub async fn one(&self, store: &Store, id: &str) -> Result<Option<Opportunity>, StoreError> {
        let mut found = self.several(store, &[id]).await?;
        Ok(found.pop())
    }

    /// The opportunities of these ids that are in the mirror, in the order of their ids.
    pub async fn several(
        &self,
        store: &Store,
        ids: &[&str],
    ) -> Result<Vec<Opportunity>, StoreError> {
        let found = self.values(store, self.known().opportunity.name, ids).await;
        let found = found?.into_iter();
        Ok(found
            .map(|(id, values)| Opportunity::of(self.crm, &id, &values))
            .collect())
    }

    /// The open opportunities of an account, a contact or a lead, at most [`MOST_OPPORTUNITIES`], in the order
    /// of their ids.
    pub async fn open_of(
        &self,
        store: &Store,
        record: &RecordRef,
    ) -> Result<Vec<Opportunity>, StoreError> {
        let known = self.known();
        let (opportunity, most) = (known.opportunity.name, MOST_OPPORTUNITIES);
        let mut ids: BTreeSet<String> = BTreeSet::new();
        // Those that the record's own values, or those of its parts, name.
        let mut named: BTreeSet<String> = BTreeSet::new();
        if record.object == known.account.name {
            let key = Named::Account.opportunities(&record.id, true);
            ids.extend(self.ids(store, key, opportunity, most).await?);
        } else if record.object == known.contact.name {
            let key = Named::Contact.opportunities(&record.id, true);
            ids.extend(self.ids(store, key, opportunity, most).await?);
            let key = Named::Contact.records(&record.id);
            let roles = self.ids(store, key, known.contact_role.name, most).await?;
            let roles = self.roles(store, &roles).await?.into_iter();
            let own = roles.filter(|role| role.contact == record.id);
            named.extend(own.map(|role| role.opportunity));
        } else if record.object == known.lead.name {
            let field = known.lead.named(Role::Opportunity);
            let of = self
                .values(store, known.lead.name, &[record.id.as_str()])
                .await?;
            let became = of.values().filter_map(|values| values.get(field)?.as_str());
            named.extend(became.map(str::to_owned));
        }
        ids.extend(named.iter().cloned());
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let mut found = self.several(store, &ids).await?;
        // A key can outlive what it was made of.
        let id = Some(record.id.as_str());
        found.retain(|opportunity| {
            let (account, contact) = (&opportunity.account, &opportunity.contact);
            let own = account.as_deref() == id || contact.as_deref() == id;
            opportunity.open && (own || named.contains(&opportunity.id))
        });
        Ok(found)
    }

    /// The contacts' parts of these ids, as far as they are active.
    async fn roles(&self, store: &Store, ids: &[String]) -> Result<Vec<ContactRole>, StoreError> {
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let roles = self.values(store, self.known().contact_role.name, &ids);
        let roles = roles.await?;
        let roles = roles.values();
        Ok(roles
            .filter_map(|values| ContactRole::of(self.crm, values))
            .collect())
    }

    /// The contacts of an opportunity, each once, the first one first, at most [`MOST_CONTACTS`] and one.
    /// Dynamics 365 connects opportunities with records of other kinds too, so the caller has to read the
    /// contacts.
    pub async fn contacts(
        &self,
        store: &Store,
        opportunity: &Opportunity,
    ) -> Result<Vec<InOpportunity>, StoreError> {
        let role = self.known().contact_role.name;
        let key = Named::Opportunity.records(&opportunity.id);
        let ids = self.ids(store, key, role, MOST_CONTACTS).await?;
        let roles = self.roles(store, &ids).await?;
        let names = self.parts(store, &roles).await?;
        let mut found: Vec<InOpportunity> = Vec::new();
        for role in roles {
            // A key can outlive what it was made of.
            if role.opportunity != opportunity.id {
                continue;
            }
            let primary = role.primary || opportunity.contact.as_ref() == Some(&role.contact);
            let part = role.part.map(|part| match names.get(&part) {
                Some(name) => name.clone(),
                None => part,
            });
            match found.iter_mut().find(|one| one.contact == role.contact) {
                Some(one) => {
                    one.primary |= primary;
                    one.part = one.part.take().or(part);
                }
                None => found.push(InOpportunity {
                    contact: role.contact,
                    part,
                    primary,
                }),
            }
        }
        if let Some(contact) = &opportunity.contact
            && !found.iter().any(|one| one.contact == *contact)
        {
            found.push(InOpportunity {
                contact: contact.clone(),
                part: None,
                primary: true,
            });
        }
        found.sort_by(|a, b| (b.primary, &a.contact).cmp(&(a.primary, &b.contact)));
        Ok(found)
    }

    /// The contacts of each of these opportunities, in their order. See [`contacts`](Self::contacts).
    pub async fn contacts_of_each(
        &self,
        store: &Store,
        opportunities: &[Opportunity],
    ) -> Result<Vec<Vec<InOpportunity>>, StoreError> {
        // Boxed one by one: a closure over them would be too general for a future that threads share.
        let mut readings: Vec<BoxFuture<'_, _>> = Vec::new();
        for opportunity in opportunities {
            readings.push(Box::pin(self.contacts(store, opportunity)));
        }
        stream::iter(readings).buffered(AT_ONCE).try_collect().await
    }

    /// The names of parts that are kept as ids (Dynamics 365).
    async fn parts(
        &self,
        store: &Store,
        roles: &[ContactRole],
    ) -> Result<BTreeMap<String, String>, StoreError> {
        if self.crm == CrmKind::Salesforce {
            return Ok(BTreeMap::new());
        }
        let ids: BTreeSet<&str> = roles
            .iter()
            .filter_map(|role| role.part.as_deref())
            .collect();
        let ids: Vec<&str> = ids.into_iter().collect();
        self.texts(store, "connectionrole", Role::Name, &ids).await
    }

    /// The codes of currencies that opportunities name by an id (Dynamics 365).
    pub async fn currencies(
        &self,
        store: &Store,
        opportunities: &[Opportunity],
    ) -> Result<BTreeMap<String, String>, StoreError> {
        if self.crm == CrmKind::Salesforce {
            return Ok(BTreeMap::new());
        }
        let ids = opportunities
            .iter()
            .filter_map(|one| one.currency.as_deref());
        let ids: BTreeSet<&str> = ids.collect();
        let ids: Vec<&str> = ids.into_iter().collect();
        self.texts(store, "transactioncurrency", Role::Currency, &ids)
            .await
    }

    /// The text in the field of a role of an object's records, by id.
    pub async fn texts(
        &self,
        store: &Store,
        object: &str,
        role: Role,
        ids: &[&str],
    ) -> Result<BTreeMap<String, String>, StoreError> {
        let Some(spec) = self.known().object(object) else {
            return Ok(BTreeMap::new());
        };
        let field = spec.named(role);
        let found = self.values(store, object, ids).await?.into_iter();
        let named = found.filter_map(|(id, values)| {
            let text = values.get(field)?.as_str()?.to_owned();
            Some((id, text))
        });
        Ok(named.collect())
    }

    /// Ids of the leads that became an opportunity, at most [`MOST_CONTACTS`].
    pub async fn leads(
        &self,
        store: &Store,
        opportunity: &Opportunity,
    ) -> Result<Vec<String>, StoreError> {
        let lead = self.known().lead;
        let key = Named::Opportunity.records(&opportunity.id);
        let ids = self.ids(store, key, lead.name, MOST_CONTACTS).await?;
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let field = lead.named(Role::Opportunity);
        let leads = self.values(store, lead.name, &ids).await?.into_iter();
        let own = leads.filter(|(_, values)| {
            let named = values.get(field).and_then(serde_json::Value::as_str);
            named == Some(opportunity.id.as_str())
        });
        Ok(own.map(|(id, _)| id).collect())
    }
}
