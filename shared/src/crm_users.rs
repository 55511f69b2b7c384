//! The users of the CRM as the mirror has them, and the seat of each (SV-4, SV-6).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures::future::BoxFuture;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::domain::environment::Environment;
use crate::domain::ids::{ContractId, SeatId};
use crate::domain::match_keys::MatchKey;
use crate::domain::rows::record_id;
use crate::domain::schema::CrmKind;
use crate::domain::seat::{ChosenUser, Seat, SeatStatus};
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

    /// The CRM's ids of the users as whom seat holders are signed in to an organisation themselves.
    async fn signed_in(
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

    /// The CRM's id of the user as whom a seat holder is signed in to an organisation; `None` for another
    /// organisation's, and for a sign-in that was ended: the seat can be another person's by now.
    fn signed_in_as(&self, connection: &Connection, organization: &str) -> Option<String> {
        let user = connection.user.as_ref()?;
        let is_own = connection.organization == organization && connection.stands();
        is_own.then(|| record_id(self.crm, &user.id))
    }

    /// For each of these seats whose user of the CRM is known, the user's id: the one who was chosen by hand,
    /// else the one as whom its holder signed in themselves, if that one was not chosen for another seat.
    pub async fn known(
        &self,
        store: &Store,
        organization: &str,
        seats: &[Seat],
    ) -> Result<BTreeMap<SeatId, String>, StoreError> {
        let signed_in = self.signed_in(store, organization, seats).await?;
        Ok(chosen_first(organization, seats, signed_in))
    }

    /// The CRM's ids of the users who are the holder of a seat: the one who was chosen by hand; else the one as
    /// whom they signed in to the CRM themselves; else those with the seat's e-mail address. None of them was
    /// chosen for another seat, and as none of the last somebody else signed in.
    ///
    /// It is the rule of [`of_seats`](Self::of_seats) for one seat. The sign-ins of others are read only if
    /// there are users with the address.
    pub async fn of_seat(
        &self,
        store: &Store,
        seat: &Seat,
    ) -> Result<BTreeSet<String>, StoreError> {
        let (contract, environment) = (self.contract, self.environment);
        let connection = ConnectionKind::Crm(environment);
        // After its end too: what was imported of the organisation can still be there.
        let Some(connection) = store.connection(contract, connection).await? else {
            let (_, users) = self.with_address_of(store, seat).await?;
            return Ok(users.into_iter().collect());
        };
        let organization = connection.organization;
        if let Some(chosen) = seat.crm.user_of(&organization) {
            return Ok(BTreeSet::from([chosen.to_owned()]));
        }
        let own = ConnectionKind::User(seat.id, environment);
        let own = store.connection(contract, own).await?;
        let own = own.and_then(|own| self.signed_in_as(&own, &organization));
        if let Some(user) = own
            && !self.is_chosen(store, &organization, &user).await?
        {
            return Ok(BTreeSet::from([user]));
        }
        let mut users = BTreeSet::new();
        for user in self.with_address_of(store, seat).await?.1 {
            if !self.is_chosen(store, &organization, &user).await? {
                users.insert(user);
            }
        }
        if users.is_empty() {
            return Ok(users);
        }
        for connection in store.user_connections(contract, environment).await? {
            let ConnectionKind::User(other, _) = connection.kind else {
                continue;
            };
            let user = self.signed_in_as(&connection, &organization);
            let Some(user) = user.filter(|user| other != seat.id && users.contains(user)) else {
                continue;
            };
            let other = store.seat(contract, other).await?;
            let holds = other.is_some_and(|other| {
                let elsewhere = other.crm.user_of(&organization).is_some();
                other.status != SeatStatus::Disabled && !elsewhere
            });
            if holds {
                users.remove(&user);
            }
        }
        Ok(users)
    }

    /// True if a user was chosen by hand for a seat that can be used.
    async fn is_chosen(
        &self,
        store: &Store,
        organization: &str,
        user: &str,
    ) -> Result<bool, StoreError> {
        let chosen = ChosenUser {
            organization: organization.to_owned(),
            user: user.to_owned(),
        };
        let Some(seat) = store.seat_of_user(self.contract, &chosen).await? else {
            return Ok(false);
        };
        let seat = store.seat(self.contract, seat).await?;
        Ok(seat.is_some_and(|seat| seat.status != SeatStatus::Disabled))
    }

    /// The seat of each user of the CRM who has one of these seats: see [`seats_of_users`]. Users are looked
    /// up for each seat by itself.
    pub async fn of_seats(
        &self,
        store: &Store,
        organization: &str,
        seats: &[Seat],
    ) -> Result<BTreeMap<String, SeatId>, StoreError> {
        let known = self.known(store, organization, seats).await?;
        let mut readings: Vec<BoxFuture<'_, _>> = Vec::new();
        for seat in seats {
            if !known.contains_key(&seat.id) {
                readings.push(Box::pin(self.with_address_of(store, seat)));
            }
        }
        let by_email: Vec<(SeatId, Vec<String>)> = stream::iter(readings)
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        Ok(seats_of_users(&known, by_email))
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

/// For each seat the user who was chosen by hand in an organisation, else the one as whom its holder signed in,
/// if that one was not chosen for another seat.
fn chosen_first(
    organization: &str,
    seats: &[Seat],
    mut signed_in: BTreeMap<SeatId, String>,
) -> BTreeMap<SeatId, String> {
    let chosen = seats.iter().filter_map(|seat| {
        let user = seat.crm.user_of(organization)?;
        Some((seat.id, user.to_owned()))
    });
    let chosen: BTreeMap<SeatId, String> = chosen.collect();
    let taken: BTreeSet<&String> = chosen.values().collect();
    signed_in.retain(|_, user| !taken.contains(user));
    signed_in.extend(chosen);
    signed_in
}

/// The seat of each user of the CRM who has one: by `known`, the users that [`CrmUsers::known`] gives, else by
/// e-mail address. Of several seats of a user the first counts.
#[must_use]
pub fn seats_of_users(
    known: &BTreeMap<SeatId, String>,
    by_email: impl IntoIterator<Item = (SeatId, Vec<String>)>,
) -> BTreeMap<String, SeatId> {
    let mut found = BTreeMap::new();
    for (seat, user) in known {
        found.entry(user.clone()).or_insert(*seat);
    }
    for (seat, users) in by_email {
        for user in users.into_iter().filter(|_| !known.contains_key(&seat)) {
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{chosen_first, seats_of_users};
    use crate::clock::Millis;
    use crate::domain::ids::SeatId;
    use crate::domain::role::Role;
    use crate::domain::seat::{ChosenUser, Invitation, Seat, SeatInput};

    fn seat(number: u128, chosen: Option<(&str, &str)>) -> Seat {
        let input = SeatInput {
            name: "Ada".to_owned(),
            email: format!("{number}@example.com"),
            role: Role::Salesperson,
        };
        let invitation = Invitation {
            secret_hash: String::new(),
            valid_until: Millis(0),
        };
        let id = SeatId(uuid::Uuid::from_u128(number));
        let mut seat = Seat::invited(id, input, invitation, Millis(0));
        seat.crm.user = chosen.map(|(organization, user)| ChosenUser {
            organization: organization.to_owned(),
            user: user.to_owned(),
        });
        seat
    }

    #[test]
    fn a_user_who_was_chosen_counts_before_a_sign_in_and_that_before_an_address() {
        let seats = [
            seat(1, None),
            seat(2, Some(("here", "ada"))),
            seat(3, None),
            seat(4, Some(("elsewhere", "bob"))),
        ];
        let [one, two, three, four] = seats.each_ref().map(|seat| seat.id);
        let text = str::to_owned;
        // The first signed in as the user who was chosen for the second.
        let signed_in =
            BTreeMap::from([(one, text("ada")), (two, text("eve")), (three, text("cyd"))]);
        let known = chosen_first("here", &seats, signed_in);
        assert_eq!(
            known,
            BTreeMap::from([(two, text("ada")), (three, text("cyd"))])
        );
        let by_email = [
            (one, vec![text("ada"), text("eve")]),
            (three, vec![text("dan")]),
            (four, vec![text("cyd"), text("fay")]),
        ];
        let expected = [("ada", two), ("cyd", three), ("eve", one), ("fay", four)];
        let expected = expected.map(|(user, seat)| (text(user), seat));
        assert_eq!(seats_of_users(&known, by_email), BTreeMap::from(expected));
    }
}
