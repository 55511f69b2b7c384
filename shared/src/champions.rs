//! Champions (SV-7): decides who was in a won opportunity of a seller's customer and is at another company now.

use std::collections::BTreeSet;

use matching::Record;
use matching::employer::{Employer, Verdict, stated};

use crate::crm_users::CrmUsers;
use crate::domain::champions::{Champion, Move, Stated, Won};
use crate::domain::directory::{Entry, EntryId, EntryKind, Match, RecordRef, ValidatedField};
use crate::domain::employer::employer;
use crate::domain::environment::Environment;
use crate::domain::ids::SeatId;
use crate::domain::linked_record::Values;
use crate::domain::match_keys::MatchKey;
use crate::domain::normalize::fold;
use crate::domain::opportunity::Opportunity;
use crate::domain::schema::CrmKind;
use crate::domain::seat::Seat;
use crate::domain::vocabulary::vocabulary;
use crate::linking::{CrmRecord, Linking};
use crate::opportunities::Opportunities;
use crate::store::{Store, StoreError};

const PRODUCTION: Environment = Environment::Production;
/// Maximum number of records with one address or number that are looked at.
const MOST_SECOND: i32 = 10;
/// Addresses and numbers of a person by which second records are looked for.
const MOST_KEYS: usize = 6;
/// Saved companies of a page.
const PAGE: i32 = 200;

/// A seller's customers.
#[derive(Debug, Clone, Default)]
pub struct Seller {
    /// The users of the CRM who are the seller: their opportunities are the seller's own.
    pub users: BTreeSet<String>,
    /// The accounts in the seller's lists.
    pub accounts: BTreeSet<String>,
}

/// A person at another company, with what is shown of it.
#[derive(Debug, Clone)]
pub struct Found {
    /// The evidence.
    pub won: Won,
    /// The move.
    pub moved: Move,
    /// The contact's record.
    pub contact: RecordRef,
    /// The name of the opportunity.
    pub opportunity: String,
    /// The person's name.
    pub name: String,
    /// The company of now.
    pub company: String,
    /// The job title of now.
    pub title: String,
    /// The customer.
    pub customer: String,
    /// The person's entry in the directory.
    pub entry: Option<EntryId>,
}

/// A statement of a person's company.
struct Statement {
    moved: Move,
    company: String,
    title: String,
    elsewhere: bool,
}

fn full_name(record: &Record) -> String {
    let name = format!("{} {}", record.first_name, record.last_name);
    match name.trim() {
        "" => record.name.clone(),
        name => name.to_owned(),
    }
}

fn is_won(crm: CrmKind, values: &Values) -> bool {
    match crm {
        CrmKind::Salesforce => {
            values.get("IsWon").and_then(serde_json::Value::as_bool) == Some(true)
        }
        CrmKind::Dynamics365 => {
            values.get("statecode").and_then(serde_json::Value::as_i64) == Some(1)
        }
    }
}

/// Looks for champions of a contract.
#[derive(Clone, Copy)]
pub struct Champions<'a> {
    /// The reader of records and entries.
    pub linking: Linking<'a>,
}

impl Champions<'_> {
    fn store(&self) -> &Store {
        self.linking.store
    }

    fn reading(&self) -> Opportunities<'_> {
        Opportunities {
            contract: self.linking.contract,
            environment: PRODUCTION,
            crm: self.linking.crm,
        }
    }

    /// The customers of a seat holder.
    pub async fn seller(&self, seat: &Seat) -> Result<Seller, StoreError> {
        let users = CrmUsers {
            contract: self.linking.contract,
            environment: PRODUCTION,
            crm: self.linking.crm,
        };
        Ok(Seller {
            users: Box::pin(users.of_seat(self.store(), seat)).await?,
            accounts: self.accounts(seat.id).await?,
        })
    }

    async fn accounts(&self, seat: SeatId) -> Result<BTreeSet<String>, StoreError> {
        let (store, contract) = (self.store(), self.linking.contract);
        let (kind, object) = (
            EntryKind::Company,
            vocabulary(self.linking.crm).account.name,
        );
        let mut accounts = BTreeSet::new();
        let mut after: Option<RecordRef> = None;
        loop {
            let page = store
                .saved_page(contract, seat, kind, after.as_ref(), PAGE)
                .await?;
            let records = page.items.into_iter().map(|saved| saved.record);
            let records = records.filter(|record| record.object == object);
            accounts.extend(records.map(|record| record.id));
            let next = page.next.as_deref().and_then(|next| next.split_once('/'));
            after = next.map(|(object, id)| RecordRef::new(object, id));
            if after.is_none() {
                break;
            }
        }
        let by_hand = store.saved_in_any_list(contract, seat).await?;
        let ids: Vec<EntryId> = by_hand.into_iter().collect();
        let matches = store
            .entry_matches(contract, PRODUCTION, kind, &ids)
            .await?;
        let records = matches.values().filter_map(Match::record);
        let records = records.filter(|record| record.object == object);
        accounts.extend(records.map(|record| record.id.clone()));
        Ok(accounts)
    }

    /// The people of these opportunities who are at another company now, of those that a seller's customers
    /// won. `only`: of this contact alone.
    pub async fn found(
        &self,
        seller: &Seller,
        opportunities: &[&str],
        only: Option<&RecordRef>,
    ) -> Result<Vec<Found>, StoreError> {
        let (store, crm, reading) = (self.store(), self.linking.crm, self.reading());
        let known = vocabulary(crm);
        let values = reading
            .values(store, known.opportunity.name, opportunities)
            .await?;
        let mut all = Vec::new();
        for (id, values) in &values {
            let opportunity = Opportunity::of(crm, id, values);
            let is_own = opportunity.owner.as_ref();
            let is_own = is_own.is_some_and(|owner| seller.users.contains(owner));
            let Some(account) = opportunity.account.clone() else {
                continue;
            };
            let is_tied = is_own || seller.accounts.contains(&account);
            if opportunity.open || !is_tied || !is_won(crm, values) {
                continue;
            }
            let account_record = RecordRef::new(known.account.name, account.clone());
            let customer = Box::pin(self.linking.record_of(&account_record)).await?;
            let Some(customer) = customer else {
                continue;
            };
            for person in reading.contacts(store, &opportunity).await? {
                let contact = RecordRef::new(known.contact.name, person.contact.clone());
                let won = Won {
                    opportunity: opportunity.id.clone(),
                    account: account.clone(),
                    role: person.part.clone(),
                    closed_on: opportunity.closes_on.clone(),
                };
                let found = Box::pin(self.judged(&contact, &customer.shown, won)).await?;
                let wanted = found
                    .filter(|found| only.is_none_or(|only| *only == found.contact))
                    .map(|found| Found {
                        opportunity: opportunity.name.clone(),
                        ..found
                    });
                all.extend(wanted);
            }
        }
        Ok(all)
    }

    /// Decides whether a contact of a customer is at another company now.
    async fn judged(
        &self,
        person: &RecordRef,
        customer: &Record,
        won: Won,
    ) -> Result<Option<Found>, StoreError> {
        let (store, contract) = (self.store(), self.linking.contract);
        let Some(own) = Box::pin(self.linking.record_of(person)).await? else {
            return Ok(None);
        };
        let then = employer(&Record {
            company: customer.name.clone(),
            website: customer.website.clone(),
            ..Record::default()
        });
        let linked = store
            .linked(contract, PRODUCTION, std::slice::from_ref(&own.record))
            .await?;
        let linked = linked.get(&own.record).map(|entry| entry.id);
        let entry = match linked {
            Some(id) => match store.entry(contract, EntryKind::Profile, id).await {
                // An entry that cannot be read says nothing, and stops no other.
                Err(error @ StoreError::Corrupt { .. }) => {
                    error.log();
                    None
                }
                entry => entry?,
            },
            None => None,
        };
        let mut statements: Vec<Statement> = Vec::new();
        statements.extend(of_record(&own, &won.account, &then));
        statements.extend(entry.as_ref().and_then(|entry| of_entry(entry, &then)));
        let second = Box::pin(self.second_records(&own, entry.as_ref()));
        for second in second.await? {
            statements.extend(of_record(&second, &won.account, &then));
        }
        // The latest statement counts; one of the same time is decided by its source, so that the order of
        // reading does not matter.
        statements.sort_by_key(|one| (one.moved.at, format!("{:?}", one.moved.stated)));
        let latest = statements.pop().filter(|latest| latest.elsewhere);
        Ok(latest.map(|latest| Found {
            contact: own.record.clone(),
            opportunity: String::new(),
            name: full_name(&own.shown),
            company: latest.company,
            title: latest.title,
            customer: customer.name.clone(),
            entry: entry.map(|entry| entry.id),
            moved: latest.moved,
            won,
        }))
    }

    /// Other contacts of the same name with one of the person's addresses or numbers.
    async fn second_records(
        &self,
        own: &CrmRecord,
        entry: Option<&Entry>,
    ) -> Result<Vec<CrmRecord>, StoreError> {
        let (store, contract) = (self.store(), self.linking.contract);
        let object = own.record.object.as_str();
        let known = [Some(&own.shown), entry.map(|entry| &entry.record)];
        let mut keys: Vec<MatchKey> = Vec::new();
        for record in known.into_iter().flatten() {
            keys.extend(
                record
                    .emails
                    .iter()
                    .filter_map(|text| MatchKey::email(text)),
            );
            let region = self.linking.region;
            let phones = record.phones.iter();
            keys.extend(phones.filter_map(|text| MatchKey::phone(text, region)));
        }
        let mut ids: BTreeSet<String> = BTreeSet::new();
        for key in keys.iter().take(MOST_KEYS) {
            let found = store
                .by_match_key(contract, PRODUCTION, key, Some(object), MOST_SECOND)
                .await?;
            ids.extend(found.into_iter().map(|(_, id)| id));
        }
        ids.remove(&own.record.id);
        let name = fold(&full_name(&own.shown));
        let mut second = Vec::new();
        for id in ids {
            let record = RecordRef::new(object, id);
            let found = Box::pin(self.linking.record_of(&record)).await?;
            let other = found.filter(|found| found.record != own.record);
            second.extend(other.filter(|other| fold(&full_name(&other.shown)) == name));
        }
        Ok(second)
    }

    /// A seller's champion as it is by the evidence of now; `None` if nothing is left of it.
    pub async fn renewed(
        &self,
        seller: &Seller,
        champion: &Champion,
    ) -> Result<Option<Champion>, StoreError> {
        let ids: Vec<&str> = champion
            .won
            .iter()
            .map(|won| won.opportunity.as_str())
            .collect();
        let found = Box::pin(self.found(seller, &ids, Some(&champion.contact))).await?;
        let found = found.into_iter().map(|one| (one.won, one.moved)).collect();
        let (seat, now) = (champion.seat, self.linking.now);
        Ok(Champion::of(
            Some(champion),
            seat,
            &champion.contact,
            found,
            now,
        ))
    }
}

fn hash_of(record: &Record) -> String {
    let [company, _] = stated(record);
    format!("{company:016x}")
}

/// The statement of a record of the CRM; only one at another account than the customer's says anything.
fn of_record(record: &CrmRecord, account: &str, then: &Employer) -> Option<Statement> {
    let at = record.account.as_ref()?;
    let verdict = employer(&record.shown).compare(then);
    let elsewhere = at.id != account && verdict.change().is_some();
    elsewhere.then(|| Statement {
        moved: Move {
            stated: Stated::Record(record.record.clone()),
            employer: hash_of(&record.shown),
            at: record.modified,
        },
        company: record.shown.company.clone(),
        title: record.shown.title.clone(),
        elsewhere,
    })
}

/// The statement of an entry of the directory; one that says the customer again counts too.
fn of_entry(entry: &Entry, then: &Employer) -> Option<Statement> {
    let now = employer(&entry.record);
    let verdict = now.compare(then);
    let says = now.has_name() && !matches!(verdict, Verdict::Unknown);
    says.then(|| Statement {
        moved: Move {
            stated: Stated::Entry(entry.id),
            employer: hash_of(&entry.record),
            at: entry.given_at(ValidatedField::Company),
        },
        company: entry.record.company.clone(),
        title: entry.record.title.clone(),
        elsewhere: verdict.change().is_some(),
    })
}
