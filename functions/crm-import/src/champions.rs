//! The run that looks for champions (SV-7): for each seller the won opportunities that are their own, and those
//! of the accounts in their lists; then the champions that are stored already.
//!
//! It reads what belongs to sellers by keys, nothing else. A page that is done again writes the same.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared::champions::{Champions, Seller};
use shared::domain::champions::{Champion, Move, Won};
use shared::domain::contract::ContractConfig;
use shared::domain::directory::RecordRef;
use shared::domain::environment::Environment;
use shared::domain::ids::{ContractId, SeatId};
use shared::domain::match_keys::MatchKey;
use shared::domain::references::Named;
use shared::domain::run::{Run, RunKind};
use shared::domain::seat::SeatStatus;
use shared::domain::vocabulary::vocabulary;
use shared::linking::Linking;
use shared::store::{Connection, ConnectionKind, Store, StoreError};

use crate::App;
use crate::runs::{Next, Steps};

const PRODUCTION: Environment = Environment::Production;
/// Opportunities, or champions, of a step.
const PAGE: i32 = 20;

/// The run.
pub(crate) struct Finding;

/// The position from which the next step continues.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Place {
    /// The seat that is looked at.
    seat: Option<SeatId>,
    /// The start of the next page of seats; `None` at the first, and behind the last.
    seats: Option<String>,
    /// True after the first page of seats was read.
    begun: bool,
    /// The user or account whose opportunities were looked at last.
    source: Option<Source>,
    /// The last of its opportunities that was looked at; `None` if all were.
    after: Option<String>,
    /// True while the seller's stored champions are looked at.
    sweeps: bool,
    /// The last of them that was looked at.
    swept: Option<String>,
}

/// A user whose opportunities are looked at, or an account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Source {
    User(String),
    Account(String),
}

impl Source {
    fn key(&self) -> Option<MatchKey> {
        match self {
            Self::User(id) => Named::Owner.opportunities(id, false),
            Self::Account(id) => Named::Account.opportunities(id, false),
        }
    }
}

/// True if champions are looked for: an administrator has turned on the lists that fill themselves (CN-9).
pub(crate) fn is_on(config: &ContractConfig) -> bool {
    let settings = config.crm_settings(PRODUCTION).sync;
    settings.is_some_and(|settings| settings.saves())
}

/// A step's work.
struct Worker<'a> {
    store: &'a Store,
    contract: &'a ContractId,
    organization: String,
    champions: Champions<'a>,
}

impl Steps for Finding {
    const KIND: RunKind = RunKind::Champions;
    type State = Place;

    async fn step(
        app: &App,
        contract: &ContractId,
        run: &mut Run,
        state: &mut Place,
    ) -> Result<Next, StoreError> {
        let (store, now) = (&app.remote.store, app.now());
        let connection = store
            .connection(contract, ConnectionKind::PRODUCTION)
            .await?;
        let config = app.cached.config(contract, now).await?;
        let connection = connection.filter(Connection::stands);
        let (Some(connection), Some(config)) = (connection, config) else {
            return Ok(Next::Done);
        };
        let worker = Worker {
            store,
            contract,
            organization: connection.organization,
            champions: Champions {
                linking: Linking::new(store, &config.contract, now),
            },
        };
        let Some(seat) = state.seat else {
            return worker.next_seat(state).await;
        };
        let holder = store.seat(contract, seat).await?;
        let settings = config.crm_settings(PRODUCTION).sync.unwrap_or_default();
        let usable = holder.filter(|seat| {
            seat.status != SeatStatus::Disabled && seat.crm.syncs(&settings) && settings.saves()
        });
        // Without the setting, or a seat that is synced, nothing is found, and what is stored goes.
        let seller = match usable {
            Some(holder) => Box::pin(worker.champions.seller(&holder)).await?,
            None => Seller::default(),
        };
        if state.sweeps {
            let removed = Box::pin(worker.sweep(seat, &seller, state)).await?;
            run.count("removed_champion", removed);
        } else {
            let found = Box::pin(worker.look(seat, &seller, state)).await?;
            run.count("champion", found);
        }
        Ok(Next::Step)
    }
}

impl Worker<'_> {
    async fn next_seat(&self, place: &mut Place) -> Result<Next, StoreError> {
        if place.begun && place.seats.is_none() {
            return Ok(Next::Done);
        }
        let page = self
            .store
            .seats(self.contract, 1, place.seats.as_deref())
            .await?;
        *place = Place {
            seat: page.items.first().map(|seat| seat.id),
            seats: page.next,
            begun: true,
            ..Place::default()
        };
        Ok(Next::Step)
    }

    /// Looks at a page of opportunities; returns the number of champions that were stored.
    async fn look(
        &self,
        seat: SeatId,
        seller: &Seller,
        place: &mut Place,
    ) -> Result<u64, StoreError> {
        let users = seller.users.iter().cloned().map(Source::User);
        let accounts = seller.accounts.iter().cloned().map(Source::Account);
        // In order: users come before accounts.
        let mut sources = users.chain(accounts);
        let source = match (&place.source, &place.after) {
            (Some(current), Some(_)) => Some(current.clone()),
            (last, _) => sources.find(|source| last.as_ref().is_none_or(|last| source > last)),
        };
        let Some(source) = source else {
            place.sweeps = true;
            return Ok(0);
        };
        let mut stored = 0;
        let mut next = None;
        if let Some(key) = source.key() {
            let object = vocabulary(self.champions.linking.crm).opportunity.name;
            let page = self
                .store
                .ids_by_key(
                    self.contract,
                    PRODUCTION,
                    &key,
                    object,
                    place.after.as_deref(),
                    PAGE,
                )
                .await?;
            let ids: Vec<&str> = page.items.iter().map(String::as_str).collect();
            stored = self.store_found(seat, seller, &ids).await?;
            next = page.next;
        }
        place.source = Some(source);
        place.after = next;
        Ok(stored)
    }

    async fn store_found(
        &self,
        seat: SeatId,
        seller: &Seller,
        opportunities: &[&str],
    ) -> Result<u64, StoreError> {
        let found = Box::pin(self.champions.found(seller, opportunities, None)).await?;
        let mut by_contact: BTreeMap<RecordRef, Vec<(Won, Move)>> = BTreeMap::new();
        for one in found {
            let of = by_contact.entry(one.contact).or_default();
            of.push((one.won, one.moved));
        }
        let mut stored = 0;
        for (contact, mut found) in by_contact {
            let before = match self.store.champion(self.contract, seat, &contact).await {
                // One that cannot be read stays as it is, and stops no other.
                Err(error @ StoreError::Corrupt { .. }) => {
                    error.log();
                    continue;
                }
                before => before?,
            };
            for won in before.iter().flat_map(|before| &before.won) {
                if found
                    .iter()
                    .any(|(one, _)| one.opportunity == won.opportunity)
                {
                    continue;
                }
                // The sweep looks at it again.
                let moved = before.as_ref().map(|before| before.moved.clone());
                found.extend(moved.map(|moved| (won.clone(), moved)));
            }
            let now = self.champions.linking.now;
            let after = Champion::of(before.as_ref(), seat, &contact, found, now);
            let after = after.filter(|after| before.as_ref().is_none_or(|b| !after.same(b)));
            if let Some(after) = after {
                self.put(&after).await?;
                stored += 1;
            }
        }
        Ok(stored)
    }

    async fn put(&self, champion: &Champion) -> Result<(), StoreError> {
        self.store
            .put_champion(self.contract, &self.organization, champion)
            .await
    }

    /// Looks at a page of stored champions; returns the number of those that were removed.
    async fn sweep(
        &self,
        seat: SeatId,
        seller: &Seller,
        place: &mut Place,
    ) -> Result<u64, StoreError> {
        let object = vocabulary(self.champions.linking.crm).contact.name;
        let after = place.swept.as_deref();
        let after = after.map(|id| RecordRef::new(object, id));
        let page = self
            .store
            .champions(self.contract, seat, after.as_ref(), PAGE)
            .await?;
        let mut removed = 0;
        for champion in &page.items {
            let renewed = Box::pin(self.champions.renewed(seller, champion)).await?;
            match renewed {
                Some(renewed) if renewed.same(champion) => {}
                Some(renewed) => self.put(&renewed).await?,
                None => {
                    self.store.remove_champion(self.contract, champion).await?;
                    removed += 1;
                }
            }
        }
        place.swept = page.next;
        if place.swept.is_none() {
            place.seat = None;
        }
        Ok(removed)
    }
}
