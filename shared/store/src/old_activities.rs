//! Retention of activities: those that were stored long ago, page by page, and the erasure of their content.

use super::submissions::Page;
use super::transaction::Assumption;
use super::{Store, StoreError, keys, page_of, read, read_each, write};
use domain::activity::Activity;
use domain::clock::Millis;
use domain::directory::EntryKind;
use domain::ids::{ContractId, SeatId};
use domain::roi::TouchKind;
use domain::run::Run;

const ENTITY: &str = "activity";
/// Activities of a page.
const PAGE: i32 = 100;

/// Maximum number of activities whose content is erased at once: each takes two writes of a transaction of 100,
/// and the run one.
pub const MAX_ERASED: usize = 40;

impl Store {
    /// The seats that a contract has and had, in the order of their ids. Reads the whole audit log.
    pub async fn seats_ever(&self, contract: &ContractId) -> Result<Vec<SeatId>, StoreError> {
        Ok(self.all_seats_ever(contract).await?.into_iter().collect())
    }

    /// A page of a seat holder's activities that were stored before `before`, the oldest first. `cursor` is the
    /// `next` of the page before. Those whose content was erased are not listed.
    pub async fn old_activities(
        &self,
        contract: &ContractId,
        seat: SeatId,
        before: Millis,
        cursor: Option<&str>,
    ) -> Result<Page<Activity>, StoreError> {
        let partition = keys::activities_index(contract, seat);
        let end = keys::activity_order(before, None);
        let query = self.query_index_before(&keys::LISTS, &partition, end);
        let start = cursor.and_then(|order| {
            let id = order.split_once('#')?.1.parse().ok()?;
            let key = keys::activity(contract, seat, id);
            Some(keys::LISTS.start(&key, &partition, order))
        });
        let page = page_of(&query.limit(PAGE), start).await?;
        let last = page.next.as_ref();
        let next = last.and_then(|last| keys::sort_key_of(last, &keys::LISTS));
        let items = self.read_in_order(keys::of_items(&page.items)).await?;
        let items = read_each(ENTITY, items, |item| read::<Activity>(ENTITY, item));
        Ok(Page { items, next })
    }

    /// Erases the content of activities, each at the version that was read, and the record of whom they reached,
    /// in one transaction with the run, whose counts and version are the next ones. Takes at most [`MAX_ERASED`].
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if an activity or the run was changed meanwhile; nothing is erased then.
    pub async fn erase_activities(
        &self,
        contract: &ContractId,
        run: &Run,
        activities: &[&Activity],
        now: Millis,
    ) -> Result<(), StoreError> {
        let mut actions = vec![self.run_put_action(contract, run)?];
        for activity in activities {
            let key = keys::activity(contract, activity.seat, activity.id);
            // In no index: it is neither listed nor found again.
            let item = write(ENTITY, &activity.erased(now), &key)?;
            let as_read = Assumption::version(activity.version);
            actions.push(self.put_action(item, Some(as_read))?);
            if activity.target.kind == EntryKind::Profile {
                let (kind, id) = (TouchKind::Activity.as_str(), activity.id.to_string());
                let key = keys::reach(contract, activity.target.id, kind, &id);
                actions.push(self.delete_action(key.attributes(), None)?);
            }
        }
        self.transact(actions).await
    }
}
