//! Activities: accepted once, taken by one worker at a time, finished once, and found by what they wait for.

use std::collections::HashSet;

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure, Select};
use futures::{StreamExt as _, stream};

use super::submissions::{Accepted, Page};
use super::transaction::{Action, Assumption, Unit};
use super::{
    Item, Store, StoreError, keys, number, page_of, read, read_each, size_of_item, text, write,
};
use domain::activity::{Activity, ActivityState, Thread};
use domain::clock::Millis;
use domain::directory::EntryRef;
use domain::ids::{ActivityId, ContractId, SeatId};

const ENTITY: &str = "activity";
/// Calls in flight for one seat holder's activities.
const AT_ONCE: usize = 16;
/// Items that a page of the list looks at in the index in one call.
const LIST_SCAN: i32 = 1000;
/// Longest wait of an activity for a time, in seconds, with room to spare.
const WAIT_ENDS_SECONDS: i64 = 7 * 24 * 3600;
/// Most activities of a thread that are read to see what goes before another.
const BEFORE_LIMIT: usize = 100;
/// Calls of the index for one page of the list.
const LIST_SCANS: usize = 10;

/// The outcome of an attempt to take an activity.
#[derive(Debug)]
pub enum TakenActivity {
    /// It is the caller's until its lease ends.
    Mine(Box<Activity>),
    /// Another worker has it, or there is nothing to do.
    Not,
    /// There is no such activity.
    Missing,
}

/// An activity whose person or company is not matched, or whose match is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unresolved {
    /// The person or company.
    pub entry: EntryRef,
    /// Its seat holder.
    pub seat: SeatId,
    /// Its id.
    pub id: ActivityId,
}

/// An activity as an item, with the index entries of its state.
fn item(activity: &Activity) -> Result<Item, StoreError> {
    let Activity {
        contract, seat, id, ..
    } = activity;
    let mut item = write(ENTITY, activity, &keys::activity(contract, *seat, *id))?;
    let mine = keys::activities_index(contract, *seat);
    let order = keys::activity_order(activity.received_at, Some(*id));
    keys::LISTS.enter(&mut item, mine, order);
    let due = || {
        (
            keys::open_activities_index(contract),
            keys::activity_order(activity.due_at, Some(*id)),
        )
    };
    let work = match activity.state {
        ActivityState::Planned if activity.backlog => Some((
            keys::backlog_of_activities_index(contract),
            keys::activity_order(activity.occurred_at, Some(*id)),
        )),
        ActivityState::Planned | ActivityState::Writing | ActivityState::Waiting => Some(due()),
        ActivityState::WaitingForSignIn => Some((
            keys::unsigned_activities_index(contract),
            keys::seat_activity_order(*seat, activity.received_at, *id),
        )),
        ActivityState::WaitingForAnswer => Some((
            keys::unanswered_activities_index(contract),
            keys::unresolved_activity_order(activity.target, *id),
        )),
        // Its person is linked, to a record that is gone: looked at from time to time.
        ActivityState::Unresolved if activity.gone.is_some() => Some(due()),
        ActivityState::Unresolved => Some((
            keys::unresolved_activities_index(contract),
            keys::unresolved_activity_order(activity.target, *id),
        )),
        ActivityState::Failed => Some((
            keys::failed_activities_index(contract),
            keys::seat_activity_order(*seat, activity.received_at, *id),
        )),
        ActivityState::Written => None,
    };
    if let Some((partition, order)) = work {
        keys::OPEN_WORK.enter(&mut item, partition, order);
    }
    Ok(item)
}

/// Seat and id of an activity by the keys that an index gave.
fn place(item: &Item) -> Result<(SeatId, ActivityId), StoreError> {
    let part = |name: &str| item.get(name)?.as_s().ok();
    part("PK")
        .zip(part("SK"))
        .and_then(|(pk, sk)| keys::of_activity(pk, sk))
        .ok_or_else(|| StoreError::corrupt(ENTITY))
}

impl Store {
    /// Stores activities, each unless it is already stored. Returns the outcomes in their order. One call for
    /// each.
    pub async fn accept_activities(
        &self,
        activities: &[Activity],
    ) -> Vec<Result<Accepted<Activity>, StoreError>> {
        let accepting: Vec<_> = activities
            .iter()
            .map(|activity| self.accept_activity(activity))
            .collect();
        stream::iter(accepting).buffered(AT_ONCE).collect().await
    }

    async fn accept_activity(&self, activity: &Activity) -> Result<Accepted<Activity>, StoreError> {
        let accepted = |stored: Option<Activity>| match stored {
            None => Accepted::New,
            Some(stored) => Accepted::Repeat(Box::new(stored)),
        };
        let Some(in_thread) = self.thread_action(activity)? else {
            return Ok(accepted(self.put_new(ENTITY, item(activity)?).await?));
        };
        let put = self.put_action(item(activity)?, Some(Assumption::absent()))?;
        let error = match self.transact(vec![put, in_thread]).await {
            Ok(()) => return Ok(Accepted::New),
            Err(error) if !error.did_nothing() => return Err(error),
            Err(error) => error,
        };
        let Activity {
            contract, seat, id, ..
        } = activity;
        let stored = self.activity(contract, *seat, *id).await?;
        Ok(accepted(Some(stored.ok_or(error)?)))
    }

    /// The write that goes with one of an activity of a thread: one that goes first is found in its thread,
    /// and any other is not.
    fn thread_action(&self, activity: &Activity) -> Result<Option<Action>, StoreError> {
        let Some(thread) = activity.order_in() else {
            return Ok(None);
        };
        let (contract, place) = (&activity.contract, activity.place());
        let key = keys::in_thread(contract, activity.seat, &thread, place).attributes();
        let action = if activity.goes_first() {
            self.put_action(key, None)?
        } else {
            self.delete_action(key, None)?
        };
        Ok(Some(action))
    }

    /// The activities of a thread that go before a place in its order, the earliest first, but for some ids.
    /// One call, and one more if there are any.
    pub async fn open_before(
        &self,
        contract: &ContractId,
        seat: SeatId,
        thread: &Thread,
        before: (Millis, ActivityId),
        but: &HashSet<ActivityId>,
    ) -> Result<Vec<Activity>, StoreError> {
        let order = keys::activity_order(before.0, Some(before.1));
        let query = self
            .query_partition(keys::thread_of(contract, seat, thread))
            .key_condition_expression("PK = :pk AND SK < :before")
            .expression_attribute_values(":before", text(order));
        let found = page_of(&query, None).await?.items;
        let ids = found.iter().filter_map(|item| {
            let order = item.get("SK")?.as_s().ok()?;
            keys::of_thread_order(order)
        });
        let others = ids.filter(|id| !but.contains(id)).take(BEFORE_LIMIT);
        let others = others.map(|id| keys::activity(contract, seat, id).attributes());
        let items = self.read_in_order(others.collect()).await?;
        // An activity that cannot be read stops no other.
        let mut before = read_each(ENTITY, items, |item| read::<Activity>(ENTITY, item));
        before.retain(Activity::goes_first);
        Ok(before)
    }

    /// A seat holder's activity.
    pub async fn activity(
        &self,
        contract: &ContractId,
        seat: SeatId,
        id: ActivityId,
    ) -> Result<Option<Activity>, StoreError> {
        let key = keys::activity(contract, seat, id);
        self.get(ENTITY, key, true).await
    }

    /// Takes activities of a seat holder for one worker until `lease_until`. Returns the outcomes in their
    /// order. One call for each.
    pub async fn take_activities(
        &self,
        contract: &ContractId,
        seat: SeatId,
        ids: &[ActivityId],
        now: Millis,
        lease_until: Millis,
    ) -> Vec<Result<TakenActivity, StoreError>> {
        let taking: Vec<_> = ids
            .iter()
            .map(|id| self.take_activity(contract, seat, *id, now, lease_until))
            .collect();
        stream::iter(taking).buffered(AT_ONCE).collect().await
    }

    async fn take_activity(
        &self,
        contract: &ContractId,
        seat: SeatId,
        id: ActivityId,
        now: Millis,
        lease_until: Millis,
    ) -> Result<TakenActivity, StoreError> {
        use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
        let states = [
            (":planned", ActivityState::Planned),
            (":waiting", ActivityState::Waiting),
            (":unsigned", ActivityState::WaitingForSignIn),
            (":unanswered", ActivityState::WaitingForAnswer),
            (":unresolved", ActivityState::Unresolved),
            (":writing", ActivityState::Writing),
        ];
        let mut update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(keys::activity(contract, seat, id).attributes()))
            .update_expression(
                "SET #state = :writing, due_at = :lease, #partition = :open, #sort = :order, \
                 planned_at = if_not_exists(planned_at, :now) \
                 ADD version :one, attempts :one, takes :one",
            )
            .condition_expression(
                "attribute_exists(PK) AND \
                 (#state IN (:planned, :waiting, :unsigned, :unanswered, :unresolved) OR (#state = :writing AND due_at <= :now)) \
                 AND (attribute_not_exists(quiet_until) OR quiet_until <= :now)",
            )
            .expression_attribute_names("#state", "state")
            .expression_attribute_names("#partition", keys::OPEN_WORK.partition)
            .expression_attribute_names("#sort", keys::OPEN_WORK.sort)
            .expression_attribute_values(":lease", number(lease_until.0))
            .expression_attribute_values(":now", number(now.0))
            .expression_attribute_values(":open", text(keys::open_activities_index(contract)))
            .expression_attribute_values(
                ":order",
                text(keys::activity_order(lease_until, Some(id))),
            )
            .expression_attribute_values(":one", number(1))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        for (place, state) in states {
            update = update.expression_attribute_values(place, text(state.as_str()));
        }
        match update.send().await {
            Ok(answer) => {
                let item = answer.attributes.ok_or(StoreError::Conflict)?;
                Ok(TakenActivity::Mine(Box::new(read(ENTITY, item)?)))
            }
            Err(error) => {
                let Some(UpdateItemError::ConditionalCheckFailedException(refused)) =
                    error.as_service_error()
                else {
                    return Err(error.into());
                };
                let there = match &refused.item {
                    Some(item) if !item.is_empty() => true,
                    // An endpoint that does not return the old item costs one more call.
                    _ => self.activity(contract, seat, id).await?.is_some(),
                };
                Ok(if there {
                    TakenActivity::Not
                } else {
                    TakenActivity::Missing
                })
            }
        }
    }

    /// Saves activities, each over the version that was read, and raises their versions. Returns those that
    /// another writer changed, as given.
    pub async fn save_activities(
        &self,
        activities: Vec<Activity>,
    ) -> Result<Vec<Activity>, StoreError> {
        let mut units = Vec::with_capacity(activities.len());
        for activity in activities {
            let expected = activity.version;
            let item = item(&Activity {
                version: expected + 1,
                ..activity.clone()
            })?;
            let bytes = size_of_item(&item);
            let put = self.put_action(item, Some(Assumption::version(expected)))?;
            let in_thread = self.thread_action(&activity)?;
            units.push(Unit {
                bytes,
                actions: std::iter::once(put).chain(in_thread).collect(),
                of: activity,
            });
        }
        let (_, lost) = self.run_units(units).await?;
        Ok(lost)
    }

    /// A seat holder's activities, newest first. `cursor` is a page's `next`.
    pub async fn list_activities(
        &self,
        contract: &ContractId,
        seat: SeatId,
        state: Option<ActivityState>,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Page<Activity>, StoreError> {
        let partition = keys::activities_index(contract, seat);
        let mut query = self
            .query_index(&keys::LISTS, &partition)
            .scan_index_forward(false);
        query = match state {
            Some(state) => query
                .filter_expression("#state = :state")
                .expression_attribute_names("#state", "state")
                .expression_attribute_values(":state", text(state.as_str()))
                .limit(LIST_SCAN),
            None => query.limit(i32::try_from(limit + 1).unwrap_or(LIST_SCAN)),
        };
        let mut start = cursor.and_then(|order| {
            let id = order.split_once('#')?.1.parse().ok()?;
            let key = keys::activity(contract, seat, id);
            Some(keys::LISTS.start(&key, &partition, order))
        });
        let mut found: Vec<Item> = Vec::new();
        for _ in 0..LIST_SCANS {
            let page = page_of(&query, start).await?;
            found.extend(page.items);
            start = page.next;
            if start.is_none() || found.len() > limit {
                break;
            }
        }
        let last = if found.len() > limit {
            found.truncate(limit);
            found.last()
        } else {
            start.as_ref()
        };
        let next = last.and_then(|last| keys::sort_key_of(last, &keys::LISTS));
        let items = self.read_in_order(keys::of_items(&found)).await?;
        let mut items = read_each(ENTITY, items, |item| read::<Activity>(ENTITY, item));
        // The index is a moment behind the items.
        items.retain(|activity| state.is_none_or(|state| activity.state == state));
        Ok(Page { items, next })
    }

    /// Activities that were due before `now` and that no worker has.
    pub async fn due_activities(
        &self,
        contract: &ContractId,
        now: Millis,
        limit: i32,
    ) -> Result<Vec<(SeatId, ActivityId)>, StoreError> {
        let before = keys::activity_order(now, None);
        let partition = keys::open_activities_index(contract);
        let query = self.query_index_before(&keys::OPEN_WORK, partition, before);
        let found = page_of(&query.limit(limit), None).await?.items;
        Ok(read_each(ENTITY, found, |item| place(&item)))
    }

    /// Old activities that wait behind newer ones, those that happened first before others. One call.
    pub async fn backlog_of_activities(
        &self,
        contract: &ContractId,
        limit: i32,
    ) -> Result<Vec<(SeatId, ActivityId)>, StoreError> {
        let partition = keys::backlog_of_activities_index(contract);
        let found = self.parked(partition, None, limit).await?;
        Ok(read_each(ENTITY, found, |item| place(&item)))
    }

    /// The next seat holder with activities that wait for a sign-in, in the order of seats after `after`. One
    /// call.
    pub async fn next_without_sign_in(
        &self,
        contract: &ContractId,
        after: Option<SeatId>,
    ) -> Result<Option<SeatId>, StoreError> {
        // A sort key of the seat before is its id and a `#`, which comes before this.
        let behind = after.map_or_else(|| " ".to_owned(), |seat| format!("{seat}$"));
        let query = self
            .query_index(&keys::OPEN_WORK, keys::unsigned_activities_index(contract))
            .key_condition_expression("#partition = :pk AND #sort > :behind")
            .expression_attribute_names("#sort", keys::OPEN_WORK.sort)
            .expression_attribute_values(":behind", text(behind))
            .limit(1);
        let found = page_of(&query, None).await?.items;
        let order = found
            .first()
            .and_then(|item| keys::sort_key_of(item, &keys::OPEN_WORK));
        Ok(order.and_then(|order| keys::seat_of_activity_order(&order)))
    }

    /// Activities of a seat holder that wait for a sign-in, the oldest first.
    pub async fn activities_without_sign_in(
        &self,
        contract: &ContractId,
        seat: SeatId,
        limit: i32,
    ) -> Result<Vec<ActivityId>, StoreError> {
        let partition = keys::unsigned_activities_index(contract);
        let prefix = keys::seat_activities_of(seat);
        let found = self.parked(partition, Some(prefix), limit).await?;
        let ids = read_each(ENTITY, found, |item| place(&item));
        Ok(ids.into_iter().map(|(_, id)| id).collect())
    }

    /// The number of a seat holder's activities that wait for a sign-in, counted up to `most`. One call.
    pub async fn count_without_sign_in(
        &self,
        contract: &ContractId,
        seat: SeatId,
        most: i32,
    ) -> Result<u64, StoreError> {
        let partition = keys::unsigned_activities_index(contract);
        let query = self
            .parked_query(partition, Some(keys::seat_activities_of(seat)), most)
            .select(Select::Count);
        Ok(page_of(&query, None).await?.count)
    }

    /// Unresolved activities of an entry.
    pub async fn unresolved_of(
        &self,
        contract: &ContractId,
        entry: EntryRef,
        limit: i32,
    ) -> Result<Vec<Unresolved>, StoreError> {
        let partition = keys::unresolved_activities_index(contract);
        self.parked_of(partition, entry, limit).await
    }

    /// Activities of an entry whose match is asked for.
    pub async fn unanswered_of(
        &self,
        contract: &ContractId,
        entry: EntryRef,
        limit: i32,
    ) -> Result<Vec<Unresolved>, StoreError> {
        let partition = keys::unanswered_activities_index(contract);
        self.parked_of(partition, entry, limit).await
    }

    async fn parked_of(
        &self,
        partition: String,
        entry: EntryRef,
        limit: i32,
    ) -> Result<Vec<Unresolved>, StoreError> {
        let prefix = keys::unresolved_activities_of(entry);
        let found = self.parked(partition, Some(prefix), limit).await?;
        Ok(read_each(ENTITY, found, |item| unresolved(&item)))
    }

    /// The first items of a partition, or of those whose sort keys have a prefix.
    async fn parked(
        &self,
        partition: String,
        prefix: Option<String>,
        limit: i32,
    ) -> Result<Vec<Item>, StoreError> {
        let query = self.parked_query(partition, prefix, limit);
        Ok(page_of(&query, None).await?.items)
    }

    /// The query of those items.
    fn parked_query(
        &self,
        partition: String,
        prefix: Option<String>,
        limit: i32,
    ) -> QueryFluentBuilder {
        let query = self.query_index(&keys::OPEN_WORK, partition).limit(limit);
        match prefix {
            Some(prefix) => query
                .key_condition_expression("#partition = :pk AND begins_with(#sort, :prefix)")
                .expression_attribute_names("#sort", keys::OPEN_WORK.sort)
                .expression_attribute_values(":prefix", text(prefix)),
            None => query,
        }
    }

    /// Failed activities of a contract, or of one of its seat holders, by seat and time. One call.
    pub async fn failed_activities(
        &self,
        contract: &ContractId,
        seat: Option<SeatId>,
        limit: i32,
    ) -> Result<Vec<(SeatId, ActivityId)>, StoreError> {
        let partition = keys::failed_activities_index(contract);
        let prefix = seat.map(keys::seat_activities_of);
        let found = self.parked(partition, prefix, limit).await?;
        Ok(read_each(ENTITY, found, |item| place(&item)))
    }

    /// Activities of a contract, or of one of its seat holders, that wait for a time or for a sign-in: up to
    /// `limit` of each. Two calls, and for a seat holder more if those of many others come before.
    pub async fn waiting_activities(
        &self,
        contract: &ContractId,
        seat: Option<SeatId>,
        now: Millis,
        limit: i32,
    ) -> Result<Vec<(SeatId, ActivityId)>, StoreError> {
        let partition = keys::unsigned_activities_index(contract);
        let prefix = seat.map(keys::seat_activities_of);
        let found = self.parked(partition, prefix, limit).await?;
        let mut waiting = read_each(ENTITY, found, |item| place(&item));
        // Every wait for a time ends sooner.
        let before = keys::activity_order(now.plus_seconds(WAIT_ENDS_SECONDS), None);
        let partition = keys::open_activities_index(contract);
        let query = self.query_index_before(&keys::OPEN_WORK, partition, before);
        let query = query.limit(LIST_SCAN);
        let most = usize::try_from(limit).unwrap_or_default();
        let (mut start, mut due) = (None, Vec::new());
        // Those of other seat holders may come before.
        for _ in 0..LIST_SCANS {
            let page = page_of(&query, start).await?;
            let found = read_each(ENTITY, page.items, |item| place(&item));
            let found = found.into_iter();
            due.extend(found.filter(|(of, _)| seat.is_none_or(|seat| seat == *of)));
            start = page.next;
            if start.is_none() || due.len() >= most {
                break;
            }
        }
        due.truncate(most);
        waiting.extend(due);
        Ok(waiting)
    }

    /// A contract's activities that wait for people, in the order of their index: unresolved ones and
    /// those whose match is asked for by their entry, failed ones and those without a sign-in by their seat holder. None in any other state.
    /// `cursor` is a page's `next`.
    pub async fn activities_for_people(
        &self,
        contract: &ContractId,
        state: ActivityState,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Page<Activity>, StoreError> {
        let partition = match state {
            ActivityState::Unresolved => keys::unresolved_activities_index(contract),
            ActivityState::Failed => keys::failed_activities_index(contract),
            ActivityState::WaitingForSignIn => keys::unsigned_activities_index(contract),
            ActivityState::WaitingForAnswer => keys::unanswered_activities_index(contract),
            ActivityState::Planned
            | ActivityState::Writing
            | ActivityState::Waiting
            | ActivityState::Written => {
                return Ok(Page {
                    items: Vec::new(),
                    next: None,
                });
            }
        };
        let query = self
            .query_index(&keys::OPEN_WORK, partition)
            .limit(i32::try_from(limit).unwrap_or(LIST_SCAN));
        let query = match cursor {
            Some(cursor) => query
                .key_condition_expression("#partition = :pk AND #sort > :after")
                .expression_attribute_names("#sort", keys::OPEN_WORK.sort)
                .expression_attribute_values(":after", text(cursor)),
            None => query,
        };
        let page = page_of(&query, None).await?;
        let last = page.next.as_ref();
        let next = last.and_then(|last| keys::sort_key_of(last, &keys::OPEN_WORK));
        let items = self.read_in_order(keys::of_items(&page.items)).await?;
        let mut items = read_each(ENTITY, items, |item| read::<Activity>(ENTITY, item));
        // The index is a moment behind the items.
        items.retain(|activity| activity.state == state);
        Ok(Page { items, next })
    }

    /// Unresolved activities in the order of their entries' ids, from `from` on, and after the last again
    /// from the first: at most `limit` of them. One call, or two.
    pub async fn unresolved_from(
        &self,
        contract: &ContractId,
        from: uuid::Uuid,
        limit: usize,
    ) -> Result<Vec<Unresolved>, StoreError> {
        let partition = keys::unresolved_activities_index(contract);
        self.parked_from(partition, from, limit).await
    }

    /// Activities whose match is asked for, in the same order. One call, or two.
    pub async fn unanswered_from(
        &self,
        contract: &ContractId,
        from: uuid::Uuid,
        limit: usize,
    ) -> Result<Vec<Unresolved>, StoreError> {
        let partition = keys::unanswered_activities_index(contract);
        self.parked_from(partition, from, limit).await
    }

    async fn parked_from(
        &self,
        partition: String,
        from: uuid::Uuid,
        limit: usize,
    ) -> Result<Vec<Unresolved>, StoreError> {
        let mut found: Vec<Item> = Vec::new();
        for condition in ["#sort >= :from", "#sort < :from"] {
            let left = limit.saturating_sub(found.len());
            if left == 0 {
                break;
            }
            let query = self
                .query_index(&keys::OPEN_WORK, &partition)
                .key_condition_expression(format!("#partition = :pk AND {condition}"))
                .expression_attribute_names("#sort", keys::OPEN_WORK.sort)
                .expression_attribute_values(":from", text(from.to_string()))
                .limit(i32::try_from(left).unwrap_or(i32::MAX));
            found.extend(page_of(&query, None).await?.items);
        }
        Ok(read_each(ENTITY, found, |item| unresolved(&item)))
    }
}

fn unresolved(item: &Item) -> Result<Unresolved, StoreError> {
    let (seat, id) = place(item)?;
    let order = keys::sort_key_of(item, &keys::OPEN_WORK);
    let entry = order.and_then(|order| keys::entry_of_unresolved(&order));
    Ok(Unresolved {
        entry: entry.ok_or_else(|| StoreError::corrupt(ENTITY))?,
        seat,
        id,
    })
}
