//! Champions (SV-7): computed from the CRM's records, written on the condition that the connection stands, and
//! emptied by a clean-up.

use super::{Page, Store, StoreError, keys, page_of, read, read_each, write};
use domain::champions::Champion;
use domain::directory::RecordRef;
use domain::environment::Environment;
use domain::ids::{ContractId, SeatId};

const CHAMPION: &str = "champion";
const PRODUCTION: Environment = Environment::Production;

impl Store {
    /// A seller's champion.
    pub async fn champion(
        &self,
        contract: &ContractId,
        seat: SeatId,
        person: &RecordRef,
    ) -> Result<Option<Champion>, StoreError> {
        let key = keys::champion(contract, PRODUCTION, seat, person);
        self.get(CHAMPION, key, true).await
    }

    /// Stores a champion over the version before it, while the connection to that organisation stands.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if it does not, or the champion was changed meanwhile.
    pub async fn put_champion(
        &self,
        contract: &ContractId,
        organization: &str,
        champion: &Champion,
    ) -> Result<(), StoreError> {
        let key = keys::champion(contract, PRODUCTION, champion.seat, &champion.contact);
        let item = write(CHAMPION, champion, &key)?;
        self.transact(vec![
            self.assume_connected(contract, PRODUCTION, organization)?,
            self.versioned_put(item, champion.version)?,
        ])
        .await
    }

    /// Removes a champion. One that is gone is no error.
    pub async fn remove_champion(
        &self,
        contract: &ContractId,
        champion: &Champion,
    ) -> Result<(), StoreError> {
        let key = keys::champion(contract, PRODUCTION, champion.seat, &champion.contact);
        let delete = self.delete_action(key.attributes(), None)?;
        self.transact(vec![delete]).await
    }

    /// A page of a seller's champions, in the order of their contacts, from the beginning or after a contact;
    /// `next` is the last one's id.
    pub async fn champions(
        &self,
        contract: &ContractId,
        seat: SeatId,
        after: Option<&RecordRef>,
        limit: i32,
    ) -> Result<Page<Champion>, StoreError> {
        let (partition, prefix) = keys::champions_of(contract, PRODUCTION, seat);
        let start =
            after.map(|contact| keys::champion(contract, PRODUCTION, seat, contact).attributes());
        let query = self.query_prefix(partition, prefix).limit(limit);
        let page = page_of(&query, start).await?;
        let last = page.next.as_ref().and_then(keys::record_at_end);
        Ok(Page {
            items: read_each(CHAMPION, page.items, |item| read(CHAMPION, item)),
            next: last.map(|contact| contact.id),
        })
    }
}
