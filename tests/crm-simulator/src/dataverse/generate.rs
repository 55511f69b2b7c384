//! Made-up rows in any number.

use serde_json::{Value, json};

use super::Dataverse;
use super::schema::TableType;
use crate::clock::{dataverse_time, format_ms};
use crate::generate::Chance;
use crate::record::Record;

/// The columns of a row that is being made.
type Columns<'a> = Vec<(&'a str, Value)>;

/// The rows that generated rows refer to, read once.
struct Around {
    users: Vec<String>,
    positions: Vec<String>,
    /// Accounts, and the domain of their web site.
    accounts: Vec<(String, String)>,
    contacts: Vec<String>,
    currency: Option<&'static str>,
    unit: String,
    now_ms: i64,
}

fn link(list: &[String], chance: &mut Chance) -> Value {
    chance.pick(list).map_or(Value::Null, |id| json!(id))
}

fn one(chance: &mut Chance, list: &[i64]) -> Value {
    chance.pick(list).map_or(Value::Null, |value| json!(value))
}

impl Dataverse {
    /// Adds rows of a table; the same ones for the same seed in the same organisation. Returns the
    /// first and the last id, or nothing for a table that is not made up.
    pub(crate) fn generate(
        &mut self,
        ty: &TableType,
        count: usize,
        seed: u64,
        now_ms: i64,
    ) -> Option<(String, String)> {
        let make = match ty.name.as_str() {
            "account" => account,
            "contact" => contact,
            "lead" => lead,
            "opportunity" => opportunity,
            "systemuser" => user,
            "position" => position,
            _ => return None,
        };
        let around = self.around(&ty.name, now_ms);
        let defaults: Vec<(&str, &Value)> = ty
            .columns
            .iter()
            .zip(&ty.wires)
            .filter_map(|(column, wire)| Some((wire.as_str(), column.default.as_ref()?)))
            .collect();
        let mut chance = Chance::new(seed, &ty.name);
        let start = self.store.len(&ty.name);
        let (mut first, mut last) = (String::new(), String::new());
        for number in start..start + count {
            let id = self.next_id();
            self.version += 1;
            let mut row: Columns<'_> = Vec::with_capacity(64);
            row.extend(
                defaults
                    .iter()
                    .map(|(name, value)| (*name, (*value).clone())),
            );
            row.extend(make(&mut chance, number, &around));
            row.push((ty.primary_id.as_str(), json!(id)));
            row.push(("versionnumber", json!(self.version)));
            finish(ty, &mut row, &mut chance, &around);
            row.retain(|(_, value)| !value.is_null());
            self.store.put(&ty.name, &id, Record::of(row));
            if first.is_empty() {
                first.clone_from(&id);
            }
            last = id;
        }
        Some((first, last))
    }

    fn around(&self, table: &str, now_ms: i64) -> Around {
        let ids = |name: &str, wanted: bool| -> Vec<String> {
            let rows = self.store.rows(name).filter(|_| wanted);
            rows.filter(|(_, row)| row.get("isdisabled") != Some(&json!(true)))
                .map(|(id, _)| id.clone())
                .collect()
        };
        let accounts = self.store.rows("account").filter(|_| table != "systemuser");
        Around {
            users: ids("systemuser", true),
            positions: ids("position", matches!(table, "systemuser" | "position")),
            accounts: accounts
                .map(|(id, row)| {
                    let site = row
                        .get("websiteurl")
                        .and_then(Value::as_str)
                        .unwrap_or_default();
                    let site = site
                        .trim_start_matches("https://")
                        .trim_start_matches("www.");
                    (id.clone(), site.to_owned())
                })
                .collect(),
            contacts: ids("contact", matches!(table, "opportunity" | "account")),
            currency: super::CURRENCIES.first().map(|(id, ..)| *id),
            unit: self.business_unit.clone(),
            now_ms,
        }
    }
}

/// Adds the columns the system keeps itself.
fn finish(ty: &TableType, row: &mut Columns<'_>, chance: &mut Chance, around: &Around) {
    let times = chance.times(around.now_ms);
    row.push(("createdon", json!(dataverse_time(times.created))));
    row.push(("modifiedon", json!(dataverse_time(times.modified))));
    row.push(("_createdby_value", link(&around.users, chance)));
    row.push(("_modifiedby_value", link(&around.users, chance)));
    if ty.column("ownerid").is_some() {
        let owner = link(&around.users, chance);
        row.push(("_ownerid_value", owner.clone()));
        row.push(("_ownerid_value/type", json!("systemuser")));
        row.push(("_owninguser_value", owner));
        row.push(("_owningbusinessunit_value", json!(around.unit)));
    }
    if ty.column("transactioncurrencyid").is_some() {
        row.push(("_transactioncurrencyid_value", json!(around.currency)));
    }
}

fn account(chance: &mut Chance, number: usize, around: &Around) -> Columns<'static> {
    let (company, place) = (chance.company(number), chance.place());
    let parent = chance.pick(&around.accounts).filter(|_| number % 20 == 19);
    vec![
        ("name", json!(company.name)),
        ("accountnumber", json!(format!("A-{number:07}"))),
        (
            "websiteurl",
            json!(format!("https://www.{}", company.domain)),
        ),
        ("emailaddress1", json!(format!("info@{}", company.domain))),
        ("telephone1", json!(chance.phone())),
        ("customertypecode", one(chance, &[3, 5, 8, 12])),
        ("industrycode", one(chance, &[1, 6, 7, 12, 16, 33])),
        ("numberofemployees", json!(1 + chance.below(20_000))),
        ("revenue", json!(chance.below(500_000) * 1000)),
        ("_parentaccountid_value", json!(parent.map(|(id, _)| id))),
        ("_primarycontactid_value", link(&around.contacts, chance)),
        ("address1_line1", json!(place.street)),
        ("address1_city", json!(place.city)),
        ("address1_stateorprovince", json!(place.state)),
        ("address1_postalcode", json!(place.code)),
        ("address1_country", json!(place.country)),
        ("description", json!(chance.note())),
    ]
}

/// The columns that contacts and leads share.
fn person(chance: &mut Chance, number: usize, domain: &str) -> Columns<'static> {
    let (person, place) = (chance.person(number), chance.place());
    let email = format!("{}@{domain}", person.mailbox);
    vec![
        ("firstname", json!(person.first)),
        ("lastname", json!(person.last)),
        (
            "fullname",
            json!(format!("{} {}", person.first, person.last)),
        ),
        ("jobtitle", json!(person.title)),
        (
            "emailaddress1",
            json!((!chance.once_in(7)).then_some(email)),
        ),
        ("telephone1", json!(chance.phone())),
        (
            "mobilephone",
            json!(chance.once_in(3).then(|| chance.phone())),
        ),
        ("address1_line1", json!(place.street)),
        ("address1_city", json!(place.city)),
        ("address1_stateorprovince", json!(place.state)),
        ("address1_postalcode", json!(place.code)),
        ("address1_country", json!(place.country)),
        ("description", json!(chance.note())),
        ("donotemail", json!(chance.once_in(10))),
        ("donotphone", json!(chance.once_in(10))),
    ]
}

fn contact(chance: &mut Chance, number: usize, around: &Around) -> Columns<'static> {
    let account = chance.pick(&around.accounts).filter(|_| number % 25 != 24);
    let domain = account
        .map(|(_, domain)| domain.as_str())
        .filter(|it| !it.is_empty());
    let mut row = person(chance, number, domain.unwrap_or("mail.example"));
    row.push(("_parentcustomerid_value", json!(account.map(|(id, _)| id))));
    row.push((
        "_parentcustomerid_value/type",
        json!(account.map(|_| "account")),
    ));
    row
}

fn lead(chance: &mut Chance, number: usize, _: &Around) -> Columns<'static> {
    let company = chance.company(number);
    let mut row = person(chance, number, &company.domain);
    row.extend([
        ("subject", json!(format!("Inquiry {number}"))),
        ("companyname", json!(company.name)),
        ("websiteurl", json!(format!("https://{}", company.domain))),
        ("leadsourcecode", one(chance, &[1, 4, 7, 8, 10])),
        ("industrycode", one(chance, &[1, 6, 7, 12, 16, 33])),
        ("leadqualitycode", one(chance, &[1, 2, 3])),
        ("revenue", json!(chance.below(500_000) * 1000)),
        ("numberofemployees", json!(1 + chance.below(20_000))),
    ]);
    row
}

fn opportunity(chance: &mut Chance, number: usize, around: &Around) -> Columns<'static> {
    let account = chance.pick(&around.accounts).map(|(id, _)| id);
    let (state, reason) = chance
        .pick(&[(0, 1), (0, 1), (0, 2), (1, 3), (2, 4)])
        .copied()
        .unwrap_or_default();
    let amount = f64::from(u32::try_from(chance.below(4_000_000)).unwrap_or(0)) / 4.0;
    let day = i64::try_from(chance.below(720)).unwrap_or(0) - 360;
    let date = format_ms(around.now_ms + day * 86_400_000, "%Y-%m-%d");
    vec![
        (
            "name",
            json!(format!(
                "Deal {number}: \"{}\" seats",
                1 + chance.below(500)
            )),
        ),
        ("_parentaccountid_value", json!(account)),
        ("_customerid_value", json!(account)),
        ("_customerid_value/type", json!(account.map(|_| "account"))),
        ("_parentcontactid_value", link(&around.contacts, chance)),
        ("estimatedvalue", json!(amount)),
        ("actualvalue", json!((state == 1).then_some(amount))),
        ("estimatedclosedate", json!(date)),
        ("actualclosedate", json!((state > 0).then_some(date))),
        ("closeprobability", json!(chance.below(101))),
        ("salesstage", one(chance, &[0, 1, 2, 3])),
        ("stepname", json!("2-Develop")),
        ("statecode", json!(state)),
        ("statuscode", json!(reason)),
        ("description", json!(chance.note())),
    ]
}

fn user(chance: &mut Chance, number: usize, around: &Around) -> Columns<'static> {
    let person = chance.person(number);
    let address = format!("{}@leadbridge.example", person.mailbox);
    let account = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, address.as_bytes());
    vec![
        ("firstname", json!(person.first)),
        ("lastname", json!(person.last)),
        (
            "fullname",
            json!(format!("{} {}", person.first, person.last)),
        ),
        ("domainname", json!(address)),
        ("internalemailaddress", json!(address)),
        ("azureactivedirectoryobjectid", json!(account.to_string())),
        ("title", json!(person.title)),
        ("isdisabled", json!(chance.once_in(12))),
        ("_positionid_value", link(&around.positions, chance)),
        ("_businessunitid_value", json!(around.unit)),
    ]
}

fn position(chance: &mut Chance, number: usize, around: &Around) -> Columns<'static> {
    vec![
        ("name", json!(format!("Sales Team {number}"))),
        ("_parentpositionid_value", link(&around.positions, chance)),
    ]
}
