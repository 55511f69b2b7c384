//! The users of the CRM as the mirror has them, and the seat of each (SV-4, SV-6).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures::future::BoxFuture;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::domain::environment::Environment;
use crate::domain::ids::{ContractId, SeatId};
use crate::domain::match_keys::MatchKey;
use crate::domain::rows::record_id;
use crate::domain::schema::CrmKind;
use crate::domain::seat::{Seat, SeatStatus};
use crate::domain::vocabulary::vocabulary;
use crate::store::{
    Connection, ConnectionKind, MIRROR_SHARDS, Mirror, MirrorRecord, Store, StoreError,
};

/// Items that are read in one call.
const PAGE: i32 = 500;
/// Shards that are read side by side.
const AT_ONCE: usize = 8;
/// Records of a shard after which no more are read.
const MOST_OF_SHARD: usize = 2_500;
/// Users of the CRM with one e-mail address that are looked at.
const MOST_USERS: i32 = 10;

/// The CRM whose users are read.
#[derive(Debug, Clone, Copy)]
pub struct CrmUsers<'a> {
    /// The contract.
    pub contract: &'a ContractId,
    /// The environment.
    pub environment: Environment,
    /// The environment's CRM.
    pub crm: CrmKind,
}

/// The records of an object.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AllRecords {
    /// The records, in no particular order.
    pub records: Vec<MirrorRecord>,
    /// False if there are so many that some were not read.
    pub complete: bool,
}

impl CrmUsers<'_> {
    /// The mirror of an object.
    #[must_use]
    pub fn mirror<'m>(&'m self, object: &'m str) -> Mirror<'m> {
        Mirror {
            contract: self.contract,
            environment: self.environment,
            crm: self.crm,
            object,
            default_region: None,
        }
    }

    /// All records of an object of which there are few, such as users or roles; some 40,000 at most.
    pub async fn all(&self, store: &Store, object: &str) -> Result<AllRecords, StoreError> {
        let mirror = self.mirror(object);
        let mut readings: Vec<BoxFuture<'_, _>> = Vec::new();
        for shard in 0..MIRROR_SHARDS {
            readings.push(Box::pin(of_shard(store, mirror, shard)));
        }
        let read: Vec<(Vec<MirrorRecord>, bool)> = stream::iter(readings)
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        let complete = read.iter().all(|(_, complete)| *complete);
        let there = read.into_iter().flat_map(|(records, _)| records);
        Ok(AllRecords {
            // Without values only the survivor of a merge is known.
            records: there.filter(|record| record.values.is_some()).collect(),
            complete,
        })
    }

    /// The CRM's ids of the users as whom seat holders signed in to an organisation themselves.
    pub async fn signed_in(
        &self,
        store: &Store,
        organization: &str,
        seats: &[Seat],
    ) -> Result<BTreeMap<SeatId, String>, StoreError> {
        let mut users = BTreeMap::new();
        let connections = store.user_connections(self.contract, self.environment);
        for connection in connections.await? {
            let ConnectionKind::User(seat, _) = connection.kind else {
                continue;
            };
            let known = seats.iter().any(|known| known.id == seat);
            if let Some(user) = self.signed_in_as(&connection, organization)
                && known
            {
                users.insert(seat, user);
            }
        }
        Ok(users)
    }

    /// The CRM's id of the user as whom a seat holder signed in to an organisation; `None` for another
    /// organisation's.
    fn signed_in_as(&self, connection: &Connection, organization: &str) -> Option<String> {
        let user = connection.user.as_ref()?;
        let is_own = connection.organization == organization;
        is_own.then(|| record_id(self.crm, &user.id))
    }

    /// The CRM's ids of the users who are the holder of a seat: the one as whom they signed in to the CRM
    /// themselves, else those with the seat's e-mail address as whom nobody else signed in.
    ///
    /// It is the rule of [`of_seats`](Self::of_seats) for one seat. It reads the connections of the contract
    /// and of the seat, and by the address the users; the sign-ins of others only if there are such users.
    pub async fn of_seat(
        &self,
        store: &Store,
        seat: &Seat,
    ) -> Result<BTreeSet<String>, StoreError> {
        let (contract, environment) = (self.contract, self.environment);
        let organization = store.organization(contract, environment).await?;
        if let Some(organization) = &organization {
            let own = ConnectionKind::User(seat.id, environment);
            let own = store.connection(contract, own).await?;
            let user = own.and_then(|own| self.signed_in_as(&own, organization));
            if let Some(user) = user {
                return Ok(BTreeSet::from([user]));
            }
        }
        let (_, users) = self.with_address_of(store, seat).await?;
        let mut users: BTreeSet<String> = users.into_iter().collect();
        let Some(organization) = organization.filter(|_| !users.is_empty()) else {
            return Ok(users);
        };
        for connection in store.user_connections(contract, environment).await? {
            let ConnectionKind::User(other, _) = connection.kind else {
                continue;
            };
            let user = self.signed_in_as(&connection, &organization);
            let Some(user) = user.filter(|user| other != seat.id && users.contains(user)) else {
                continue;
            };
            let other = store.seat(contract, other).await?;
            if other.is_some_and(|other| other.status != SeatStatus::Disabled) {
                users.remove(&user);
            }
        }
        Ok(users)
    }

    /// The seat of each user of the CRM who has one of these seats: see [`seats_of_users`]. Users are looked
    /// up for each seat by itself.
    pub async fn of_seats(
        &self,
        store: &Store,
        organization: &str,
        seats: &[Seat],
    ) -> Result<BTreeMap<String, SeatId>, StoreError> {
        let signed_in = self.signed_in(store, organization, seats).await?;
        let mut readings: Vec<BoxFuture<'_, _>> = Vec::new();
        for seat in seats {
            if !signed_in.contains_key(&seat.id) {
                readings.push(Box::pin(self.with_address_of(store, seat)));
            }
        }
        let by_email: Vec<(SeatId, Vec<String>)> = stream::iter(readings)
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        Ok(seats_of_users(&signed_in, by_email))
    }

    /// The users of the CRM with the e-mail address of a seat.
    async fn with_address_of(
        &self,
        store: &Store,
        seat: &Seat,
    ) -> Result<(SeatId, Vec<String>), StoreError> {
        let object = vocabulary(self.crm).user.name;
        let Some(key) = MatchKey::email(&seat.email) else {
            return Ok((seat.id, Vec::new()));
        };
        let (contract, environment) = (self.contract, self.environment);
        let found = store
            .by_match_key(contract, environment, &key, Some(object), MOST_USERS)
            .await?;
        let ids: Vec<&str> = found.iter().map(|(_, id)| id.as_str()).collect();
        if ids.is_empty() {
            return Ok((seat.id, Vec::new()));
        }
        let users = self.mirror(object).records(store, &ids).await?.into_iter();
        // A key can outlive its values.
        let own = users.filter(|user| user.keys.contains(key.as_str()));
        Ok((seat.id, own.map(|user| user.id).collect()))
    }
}

async fn of_shard(
    store: &Store,
    mirror: Mirror<'_>,
    shard: u32,
) -> Result<(Vec<MirrorRecord>, bool), StoreError> {
    let mut records = Vec::new();
    let mut after: Option<String> = None;
    while records.len() < MOST_OF_SHARD {
        let page = mirror
            .shard_page(store, shard, after.as_deref(), PAGE)
            .await?;
        records.extend(page.items);
        after = page.next;
        if after.is_none() {
            return Ok((records, true));
        }
    }
    Ok((records, false))
}

/// All seats of a contract, in the order of their ids.
pub async fn all_seats(store: &Store, contract: &ContractId) -> Result<Vec<Seat>, StoreError> {
    let mut seats: Vec<Seat> = Vec::new();
    let mut cursor = None;
    loop {
        let page = store.seats(contract, PAGE, cursor.as_deref()).await?;
        seats.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    seats.sort_by_key(|seat| seat.id);
    Ok(seats)
}

/// The seat of each user of the CRM who has one: by the seat holder's own sign-in to the CRM, else by e-mail
/// address. Of several seats of a user the first counts.
#[must_use]
pub fn seats_of_users(
    signed_in: &BTreeMap<SeatId, String>,
    by_email: impl IntoIterator<Item = (SeatId, Vec<String>)>,
) -> BTreeMap<String, SeatId> {
    let mut found = BTreeMap::new();
    for (seat, user) in signed_in {
        found.entry(user.clone()).or_insert(*seat);
    }
    for (seat, users) in by_email {
        for user in users.into_iter().filter(|_| !signed_in.contains_key(&seat)) {
            found.entry(user).or_insert(seat);
        }
    }
    found
}

/// For each seat, those of these users who have its e-mail address.
#[must_use]
pub fn users_by_email(seats: &[Seat], users: &[MirrorRecord]) -> Vec<(SeatId, Vec<String>)> {
    let mut by_key: HashMap<&str, Vec<&str>> = HashMap::new();
    for user in users {
        for key in &user.keys {
            by_key.entry(key).or_default().push(&user.id);
        }
    }
    let of_seat = |seat: &Seat| {
        let key = MatchKey::email(&seat.email)?;
        let users = by_key.get(key.as_str())?.iter();
        let users: Vec<String> = users.map(|id| (*id).to_owned()).collect();
        Some((seat.id, users))
    };
    seats.iter().filter_map(of_seat).collect()
}
