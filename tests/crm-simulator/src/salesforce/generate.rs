//! Made-up rows in any number.

use serde_json::{Value, json};

use super::Org;
use crate::clock::{format_ms, salesforce_time};
use crate::generate::Chance;
use crate::record::Record;

/// The fields of a row that is being made.
type Fields = Vec<(&'static str, Value)>;

/// The rows that generated rows refer to, read once.
struct Around {
    users: Vec<String>,
    roles: Vec<String>,
    /// Accounts, and the domain of their web site.
    accounts: Vec<(String, String)>,
    contacts: Vec<String>,
    opportunities: Vec<String>,
    stages: Vec<Record>,
    now_ms: i64,
}

impl Around {
    fn pick(list: &[String], chance: &mut Chance) -> Value {
        chance.pick(list).map_or(Value::Null, |id| json!(id))
    }
}

impl Org {
    /// Adds rows of an object; the same ones for the same seed in the same organisation. Returns the
    /// first and the last id, or nothing for an object that is not made up.
    pub(crate) fn generate(
        &mut self,
        object: &str,
        count: usize,
        seed: u64,
        now_ms: i64,
    ) -> Option<(String, String)> {
        let make = match object {
            "Account" => account,
            "Contact" => contact,
            "Lead" => lead,
            "Opportunity" => opportunity,
            "OpportunityContactRole" => contact_role,
            "User" => user,
            "UserRole" => role,
            _ => return None,
        };
        let around = self.around(object, now_ms);
        let mut chance = Chance::new(seed, object);
        let start = self.store.len(object);
        let (mut first, mut last) = (String::new(), String::new());
        for number in start..start + count {
            let id = self.next_id(object);
            let mut fields = make(&mut chance, number, &around);
            self.finish(object, &id, &mut fields, &mut chance, &around);
            fields.retain(|(_, value)| !value.is_null());
            self.store.put(object, &id, Record::of(fields));
            if first.is_empty() {
                first.clone_from(&id);
            }
            last = id;
        }
        self.rebuild_for(object);
        Some((first, last))
    }

    fn around(&self, object: &str, now_ms: i64) -> Around {
        let ids = |name: &str, wanted: bool| -> Vec<String> {
            let rows = self.store.rows(name).filter(|_| wanted);
            rows.filter(|(_, row)| row.get("IsDeleted") != Some(&json!(true)))
                .filter(|(_, row)| row.get("IsActive") != Some(&json!(false)))
                .map(|(id, _)| id.clone())
                .collect()
        };
        let role = object == "OpportunityContactRole";
        let accounts = self
            .store
            .rows("Account")
            .filter(|_| object != "User" && !role);
        let accounts = accounts.filter(|(_, row)| row.get("IsDeleted") != Some(&json!(true)));
        Around {
            users: ids("User", true),
            roles: ids("UserRole", matches!(object, "User" | "UserRole")),
            accounts: accounts
                .map(|(id, row)| {
                    let site = row
                        .get("Website")
                        .and_then(Value::as_str)
                        .unwrap_or_default();
                    let site = site
                        .trim_start_matches("https://")
                        .trim_start_matches("www.");
                    (id.clone(), site.to_owned())
                })
                .collect(),
            contacts: ids("Contact", role),
            opportunities: ids("Opportunity", role),
            stages: self
                .store
                .rows("OpportunityStage")
                .map(|(_, row)| Record::from(row.to_row()))
                .collect(),
            now_ms,
        }
    }

    /// Adds the fields the system keeps itself.
    fn finish(
        &self,
        object: &str,
        id: &str,
        fields: &mut Fields,
        chance: &mut Chance,
        around: &Around,
    ) {
        let times = chance.times(around.now_ms);
        let modified = json!(salesforce_time(times.modified));
        fields.push(("Id", json!(id)));
        if !matches!(object, "User" | "UserRole") {
            fields.push(("IsDeleted", json!(false)));
            if object != "OpportunityContactRole" {
                fields.push(("OwnerId", Around::pick(&around.users, chance)));
            }
        }
        if object != "UserRole" {
            fields.push(("CreatedDate", json!(salesforce_time(times.created))));
            fields.push(("CreatedById", Around::pick(&around.users, chance)));
        }
        fields.push(("LastModifiedDate", modified.clone()));
        fields.push(("LastModifiedById", Around::pick(&around.users, chance)));
        fields.push(("SystemModstamp", modified));
        if self.settings.multi_currency && !matches!(object, "UserRole") {
            fields.push(("CurrencyIsoCode", json!(self.currencies().first())));
        }
    }
}

fn choice(chance: &mut Chance, list: &[&str]) -> Value {
    chance.pick(list).map_or(Value::Null, |text| json!(text))
}

const INDUSTRIES: &[&str] = &[
    "Banking",
    "Consulting",
    "Energy",
    "Machinery",
    "Retail",
    "Technology",
];
const SOURCES: &[&str] = &[
    "Web",
    "Phone Inquiry",
    "Partner Referral",
    "Purchased List",
    "Other",
];

fn account(chance: &mut Chance, number: usize, around: &Around) -> Fields {
    let (company, place) = (chance.company(number), chance.place());
    let parent = chance.pick(&around.accounts).filter(|_| number % 20 == 19);
    vec![
        ("Name", json!(company.name)),
        ("Website", json!(format!("https://www.{}", company.domain))),
        (
            "Type",
            choice(
                chance,
                &[
                    "Prospect",
                    "Customer - Direct",
                    "Customer - Channel",
                    "Other",
                ],
            ),
        ),
        ("Industry", choice(chance, INDUSTRIES)),
        ("AnnualRevenue", json!(chance.below(500_000) * 1000)),
        ("NumberOfEmployees", json!(1 + chance.below(20_000))),
        ("Phone", json!(chance.phone())),
        ("ParentId", json!(parent.map(|(id, _)| id))),
        ("BillingStreet", json!(place.street)),
        ("BillingCity", json!(place.city)),
        ("BillingState", json!(place.state)),
        ("BillingPostalCode", json!(place.code)),
        ("BillingCountry", json!(place.country)),
        ("Description", json!(chance.note())),
    ]
}

fn contact(chance: &mut Chance, number: usize, around: &Around) -> Fields {
    let (person, place) = (chance.person(number), chance.place());
    // Some contacts have no account.
    let account = chance.pick(&around.accounts).filter(|_| number % 25 != 24);
    let domain = account
        .map(|(_, domain)| domain.as_str())
        .filter(|it| !it.is_empty());
    let email = format!("{}@{}", person.mailbox, domain.unwrap_or("mail.example"));
    vec![
        ("AccountId", json!(account.map(|(id, _)| id))),
        ("FirstName", json!(person.first)),
        ("LastName", json!(person.last)),
        ("Name", json!(format!("{} {}", person.first, person.last))),
        ("Title", json!(person.title)),
        ("Department", json!(person.department)),
        ("Email", json!((!chance.once_in(7)).then_some(email))),
        ("Phone", json!(chance.phone())),
        (
            "MobilePhone",
            json!(chance.once_in(3).then(|| chance.phone())),
        ),
        ("MailingStreet", json!(place.street)),
        ("MailingCity", json!(place.city)),
        ("MailingState", json!(place.state)),
        ("MailingPostalCode", json!(place.code)),
        ("MailingCountry", json!(place.country)),
        ("LeadSource", choice(chance, SOURCES)),
        ("Description", json!(chance.note())),
        ("HasOptedOutOfEmail", json!(chance.once_in(10))),
        ("DoNotCall", json!(chance.once_in(10))),
    ]
}

fn lead(chance: &mut Chance, number: usize, _: &Around) -> Fields {
    let (person, company, place) = (
        chance.person(number),
        chance.company(number),
        chance.place(),
    );
    vec![
        ("FirstName", json!(person.first)),
        ("LastName", json!(person.last)),
        ("Name", json!(format!("{} {}", person.first, person.last))),
        ("Title", json!(person.title)),
        ("Company", json!(company.name)),
        (
            "Email",
            json!(format!("{}@{}", person.mailbox, company.domain)),
        ),
        ("Phone", json!(chance.phone())),
        ("Website", json!(format!("https://{}", company.domain))),
        ("Street", json!(place.street)),
        ("City", json!(place.city)),
        ("State", json!(place.state)),
        ("PostalCode", json!(place.code)),
        ("Country", json!(place.country)),
        ("LeadSource", choice(chance, SOURCES)),
        (
            "Status",
            choice(
                chance,
                &[
                    "Open - Not Contacted",
                    "Working - Contacted",
                    "Closed - Not Converted",
                ],
            ),
        ),
        ("Industry", choice(chance, INDUSTRIES)),
        ("Rating", choice(chance, &["Hot", "Warm", "Cold"])),
        ("AnnualRevenue", json!(chance.below(500_000) * 1000)),
        ("NumberOfEmployees", json!(1 + chance.below(20_000))),
        ("Description", json!(chance.note())),
        ("IsConverted", json!(false)),
        ("HasOptedOutOfEmail", json!(chance.once_in(10))),
        ("DoNotCall", json!(chance.once_in(10))),
        ("IsUnreadByOwner", json!(chance.once_in(2))),
        ("Consent__c", json!(chance.once_in(2))),
    ]
}

fn opportunity(chance: &mut Chance, number: usize, around: &Around) -> Fields {
    let account = chance.pick(&around.accounts);
    let stage = chance.pick(&around.stages);
    let of_stage = |name: &str| {
        stage
            .and_then(|row| row.get(name))
            .cloned()
            .unwrap_or_default()
    };
    let amount = (!chance.once_in(10)).then(|| chance.below(4_000_000));
    let percent = of_stage("DefaultProbability").as_f64().unwrap_or(0.0);
    let cents = |amount: u64| f64::from(u32::try_from(amount).unwrap_or(0)) / 4.0;
    let day = i64::try_from(chance.below(720)).unwrap_or(0) - 360;
    let close = format_ms(around.now_ms + day * 86_400_000, "%Y-%m-%d");
    vec![
        (
            "Name",
            json!(format!(
                "Deal {number}: {} seats, \"phase\" {}",
                1 + chance.below(500),
                1 + chance.below(3)
            )),
        ),
        ("AccountId", json!(account.map(|(id, _)| id))),
        ("StageName", of_stage("ApiName")),
        ("Probability", of_stage("DefaultProbability")),
        ("ForecastCategory", of_stage("ForecastCategory")),
        ("ForecastCategoryName", of_stage("ForecastCategoryName")),
        ("IsClosed", of_stage("IsClosed")),
        ("IsWon", of_stage("IsWon")),
        ("Amount", json!(amount.map(cents))),
        (
            "ExpectedRevenue",
            json!(amount.map(|amount| cents(amount) * percent / 100.0)),
        ),
        ("CloseDate", json!(close)),
        (
            "Type",
            choice(chance, &["Existing Customer - Upgrade", "New Customer"]),
        ),
        ("LeadSource", choice(chance, SOURCES)),
        ("Description", json!(chance.note())),
    ]
}

fn contact_role(chance: &mut Chance, _: usize, around: &Around) -> Fields {
    vec![
        ("OpportunityId", Around::pick(&around.opportunities, chance)),
        ("ContactId", Around::pick(&around.contacts, chance)),
        (
            "Role",
            choice(
                chance,
                &[
                    "Decision Maker",
                    "Evaluator",
                    "Influencer",
                    "Economic Buyer",
                ],
            ),
        ),
        ("IsPrimary", json!(chance.once_in(3))),
    ]
}

fn user(chance: &mut Chance, number: usize, around: &Around) -> Fields {
    let person = chance.person(number);
    let address = format!("{}@leadbridge.example", person.mailbox);
    vec![
        ("Username", json!(address)),
        ("Email", json!(address)),
        ("FirstName", json!(person.first)),
        ("LastName", json!(person.last)),
        ("Name", json!(format!("{} {}", person.first, person.last))),
        ("Alias", json!(format!("u{number}"))),
        ("Title", json!(person.title)),
        ("Department", json!(person.department)),
        ("IsActive", json!(!chance.once_in(12))),
        ("UserType", json!("Standard")),
        ("UserRoleId", Around::pick(&around.roles, chance)),
        ("TimeZoneSidKey", json!("Europe/Berlin")),
        ("LanguageLocaleKey", json!("en_US")),
        ("LocaleSidKey", json!("en_US")),
    ]
}

fn role(chance: &mut Chance, number: usize, around: &Around) -> Fields {
    vec![
        ("Name", json!(format!("Sales Team {number}"))),
        ("DeveloperName", json!(format!("SalesTeam{number}"))),
        ("ParentRoleId", Around::pick(&around.roles, chance)),
        ("OpportunityAccessForAccountOwner", json!("Edit")),
        ("PortalType", json!("None")),
    ]
}
