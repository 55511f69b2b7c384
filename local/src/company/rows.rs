//! The rows of the company's CRMs, in each vendor's fields.

use serde_json::{Map, Value, json};
use shared::clock::Millis;
use shared::domain::schema::CrmKind;

use crate::people::{Firm, Member};

/// A seller of the company, with an account in its CRM.
pub(super) struct Seller {
    pub(super) first: &'static str,
    pub(super) last: &'static str,
    /// The e-mail address, which is also the user name.
    pub(super) email: &'static str,
    pub(super) title: &'static str,
}

/// The sellers beside the one that every demo contract has.
pub(super) const SELLERS: [Seller; 4] = [
    Seller {
        first: "Mara",
        last: "Vogel",
        email: "mara.vogel@leadbridge.example",
        title: "Head of Sales",
    },
    Seller {
        first: "Tom",
        last: "Keller",
        email: "tom.keller@leadbridge.example",
        title: "Account Executive",
    },
    Seller {
        first: "Nadia",
        last: "Rahman",
        email: "nadia.rahman@leadbridge.example",
        title: "Account Executive",
    },
    Seller {
        first: "Luis",
        last: "Ortega",
        email: "luis.ortega@leadbridge.example",
        title: "Sales Development",
    },
];

/// Users of the CRM who have no seat.
pub(super) const COLLEAGUES: [Seller; 6] = [
    Seller {
        first: "Ines",
        last: "Moreau",
        email: "ines.moreau@leadbridge.example",
        title: "Account Executive",
    },
    Seller {
        first: "Jonas",
        last: "Brandt",
        email: "jonas.brandt@leadbridge.example",
        title: "Account Executive",
    },
    Seller {
        first: "Priya",
        last: "Nair",
        email: "priya.nair@leadbridge.example",
        title: "Sales Development",
    },
    Seller {
        first: "Marek",
        last: "Nowak",
        email: "marek.nowak@leadbridge.example",
        title: "Sales Engineer",
    },
    Seller {
        first: "Elena",
        last: "Rossi",
        email: "elena.rossi@leadbridge.example",
        title: "Customer Success",
    },
    Seller {
        first: "Owen",
        last: "Hughes",
        email: "owen.hughes@leadbridge.example",
        title: "Marketing Operations",
    },
];

/// Parts of contacts in a sale.
const PARTS: [&str; 4] = [
    "Decision Maker",
    "Economic Buyer",
    "Evaluator",
    "Business User",
];
const INDUSTRIES: [&str; 5] = [
    "Manufacturing",
    "Technology",
    "Energy",
    "Consulting",
    "Retail",
];
const SOURCES: [&str; 3] = ["Web", "Phone Inquiry", "Partner Referral"];
const OPEN_STAGES: [&str; 5] = [
    "Prospecting",
    "Qualification",
    "Needs Analysis",
    "Proposal/Price Quote",
    "Negotiation/Review",
];
/// Dataverse's steps of a sale, by the number of their stage.
const STEPS: [&str; 4] = ["1-Qualify", "2-Develop", "3-Propose", "4-Close"];

/// An object of both CRMs.
#[derive(Clone, Copy)]
pub(super) enum Object {
    User,
    Account,
    Contact,
    Lead,
    Opportunity,
    /// A contact's part in an opportunity.
    Part,
    /// The role of such a part, where it is a record.
    PartRole,
}

impl Object {
    /// Its name in the CRM.
    pub(super) const fn name(self, crm: CrmKind) -> &'static str {
        match (self, crm) {
            (Self::User, CrmKind::Salesforce) => "User",
            (Self::User, CrmKind::Dynamics365) => "systemuser",
            (Self::Account, CrmKind::Salesforce) => "Account",
            (Self::Account, CrmKind::Dynamics365) => "account",
            (Self::Contact, CrmKind::Salesforce) => "Contact",
            (Self::Contact, CrmKind::Dynamics365) => "contact",
            (Self::Lead, CrmKind::Salesforce) => "Lead",
            (Self::Lead, CrmKind::Dynamics365) => "lead",
            (Self::Opportunity, CrmKind::Salesforce) => "Opportunity",
            (Self::Opportunity, CrmKind::Dynamics365) => "opportunity",
            (Self::Part, CrmKind::Salesforce) => "OpportunityContactRole",
            (Self::Part, CrmKind::Dynamics365) => "connection",
            // Salesforce has roles as values only.
            (Self::PartRole, _) => "connectionrole",
        }
    }
}

/// The name of a CRM in the simulator's controls.
pub(super) const fn system(crm: CrmKind) -> &'static str {
    match crm {
        CrmKind::Salesforce => "salesforce",
        CrmKind::Dynamics365 => "dataverse",
    }
}

/// One of a list, by a number that may be larger than the list is long.
pub(super) fn nth<'a>(list: &[&'a str], number: usize) -> &'a str {
    let at = number.checked_rem(list.len()).unwrap_or(0);
    list.get(at).copied().unwrap_or_default()
}

/// A row of the fields that have a value.
fn row<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let mut row = Map::new();
    for (name, value) in fields {
        if !value.is_null() && value.as_str() != Some("") {
            row.insert(name.to_owned(), value);
        }
    }
    Value::Object(row)
}

/// An instant, as the CRM writes it.
fn instant(crm: CrmKind, at: Millis) -> String {
    let text = at.to_string();
    let seconds = text.get(..19).unwrap_or_default();
    match crm {
        CrmKind::Salesforce => format!("{seconds}.000+0000"),
        CrmKind::Dynamics365 => format!("{seconds}Z"),
    }
}

/// A day, as both CRMs write it.
fn day(at: Millis) -> String {
    at.to_string().get(..10).unwrap_or_default().to_owned()
}

/// The making of a row: by whom it is owned, and when it was made.
#[derive(Clone, Copy)]
pub(super) struct Making<'a> {
    pub(super) crm: CrmKind,
    pub(super) number: usize,
    pub(super) owner: &'a str,
    pub(super) at: Millis,
}

impl Making<'_> {
    /// The row with what every row has.
    fn finished(self, mut row: Value) -> Value {
        let owned = match self.crm {
            CrmKind::Salesforce => vec![
                ("OwnerId", json!(self.owner)),
                ("CreatedDate", json!(instant(self.crm, self.at))),
            ],
            CrmKind::Dynamics365 => vec![
                ("_ownerid_value", json!(self.owner)),
                ("_ownerid_value/type", json!("systemuser")),
                ("createdon", json!(instant(self.crm, self.at))),
            ],
        };
        if let Some(row) = row.as_object_mut() {
            row.extend(
                owned
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value)),
            );
        }
        row
    }
}

/// A seller's user. `unit` is Dataverse's business unit.
pub(super) fn user(crm: CrmKind, number: usize, seller: &Seller, unit: &Value) -> Value {
    match crm {
        CrmKind::Salesforce => row([
            ("Username", json!(seller.email)),
            ("Email", json!(seller.email)),
            ("FirstName", json!(seller.first)),
            ("LastName", json!(seller.last)),
            ("Name", json!(format!("{} {}", seller.first, seller.last))),
            ("Alias", json!(format!("seller{number}"))),
            ("Title", json!(seller.title)),
            ("Department", json!("Sales")),
            ("IsActive", json!(true)),
            ("UserType", json!("Standard")),
            ("TimeZoneSidKey", json!("Europe/Berlin")),
            ("LanguageLocaleKey", json!("en_US")),
            ("LocaleSidKey", json!("en_US")),
        ]),
        CrmKind::Dynamics365 => row([
            // After the administrator: the first user acts for whoever is not named.
            (
                "systemuserid",
                json!(format!("5f1d0000-0000-4000-b000-{number:012}")),
            ),
            ("firstname", json!(seller.first)),
            ("lastname", json!(seller.last)),
            ("domainname", json!(seller.email)),
            ("internalemailaddress", json!(seller.email)),
            (
                "azureactivedirectoryobjectid",
                json!(format!("5f1d0000-0000-4000-9001-{number:012}")),
            ),
            ("title", json!(seller.title)),
            ("isdisabled", json!(false)),
            ("_businessunitid_value", unit.clone()),
        ]),
    }
}

/// A company's account.
pub(super) fn account(making: Making<'_>, firm: &Firm) -> Value {
    let (place, number) = (&firm.place, making.number);
    let customer = number.is_multiple_of(3);
    let row = match making.crm {
        CrmKind::Salesforce => row([
            ("Name", json!(firm.name)),
            ("Website", json!(firm.website)),
            ("Phone", json!(firm.phone)),
            (
                "Type",
                json!(if customer {
                    "Customer - Direct"
                } else {
                    "Prospect"
                }),
            ),
            ("Industry", json!(nth(&INDUSTRIES, number))),
            ("NumberOfEmployees", json!(12 + number * 37 % 900)),
            ("BillingStreet", json!(place.street)),
            ("BillingCity", json!(place.city)),
            ("BillingState", json!(place.state)),
            ("BillingPostalCode", json!(place.postcode)),
            ("BillingCountry", json!(place.country)),
        ]),
        CrmKind::Dynamics365 => row([
            ("name", json!(firm.name)),
            ("websiteurl", json!(firm.website)),
            ("telephone1", json!(firm.phone)),
            ("customertypecode", json!(if customer { 3 } else { 8 })),
            ("numberofemployees", json!(12 + number * 37 % 900)),
            ("address1_line1", json!(place.street)),
            ("address1_city", json!(place.city)),
            ("address1_stateorprovince", json!(place.state)),
            ("address1_postalcode", json!(place.postcode)),
            ("address1_country", json!(place.country)),
        ]),
    };
    making.finished(row)
}

/// A person's contact, at an account if their employer has one.
pub(super) fn contact(making: Making<'_>, person: &Member, account: Option<&String>) -> Value {
    let (values, place) = (&person.kept, &person.kept.place);
    let row = match making.crm {
        CrmKind::Salesforce => row([
            ("FirstName", json!(values.first_name)),
            ("LastName", json!(values.last_name)),
            ("AccountId", json!(account)),
            ("Title", json!(values.title)),
            ("Email", json!(values.email)),
            ("Phone", json!(values.phone)),
            ("MobilePhone", json!(values.mobile)),
            ("MailingStreet", json!(place.street)),
            ("MailingCity", json!(place.city)),
            ("MailingState", json!(place.state)),
            ("MailingPostalCode", json!(place.postcode)),
            ("MailingCountry", json!(place.country)),
        ]),
        CrmKind::Dynamics365 => row([
            ("firstname", json!(values.first_name)),
            ("lastname", json!(values.last_name)),
            ("_parentcustomerid_value", json!(account)),
            (
                "_parentcustomerid_value/type",
                json!(account.map(|_| "account")),
            ),
            ("jobtitle", json!(values.title)),
            ("emailaddress1", json!(values.email)),
            ("telephone1", json!(values.phone)),
            ("mobilephone", json!(values.mobile)),
            ("address1_line1", json!(place.street)),
            ("address1_city", json!(place.city)),
            ("address1_stateorprovince", json!(place.state)),
            ("address1_postalcode", json!(place.postcode)),
            ("address1_country", json!(place.country)),
        ]),
    };
    making.finished(row)
}

/// A person's lead, which is open.
pub(super) fn lead(making: Making<'_>, person: &Member, email: &str, company: &str) -> Value {
    let (values, place) = (&person.kept, &person.kept.place);
    let row = match making.crm {
        CrmKind::Salesforce => row([
            ("FirstName", json!(values.first_name)),
            ("LastName", json!(values.last_name)),
            ("Company", json!(company)),
            ("Title", json!(values.title)),
            ("Email", json!(email)),
            ("Phone", json!(values.phone)),
            (
                "Status",
                json!(if making.number.is_multiple_of(3) {
                    "Working - Contacted"
                } else {
                    "Open - Not Contacted"
                }),
            ),
            ("LeadSource", json!(nth(&SOURCES, making.number))),
            ("City", json!(place.city)),
            ("State", json!(place.state)),
            ("Country", json!(place.country)),
        ]),
        CrmKind::Dynamics365 => row([
            ("subject", json!(format!("Inquiry from {company}"))),
            ("firstname", json!(values.first_name)),
            ("lastname", json!(values.last_name)),
            ("companyname", json!(company)),
            ("jobtitle", json!(values.title)),
            ("emailaddress1", json!(email)),
            ("telephone1", json!(values.phone)),
            ("leadsourcecode", json!(8)),
            ("address1_city", json!(place.city)),
            ("address1_stateorprovince", json!(place.state)),
            ("address1_country", json!(place.country)),
        ]),
    };
    making.finished(row)
}

/// The state of a sale.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Open,
    Won,
    Lost,
}

/// A sale.
pub(super) struct Deal<'a> {
    pub(super) name: String,
    pub(super) account: &'a str,
    pub(super) contact: Option<&'a String>,
    /// In whole units of the currency.
    pub(super) amount: u32,
    /// The time at which it was or should be closed.
    pub(super) close: Millis,
    pub(super) outcome: Outcome,
}

/// A sale's opportunity. `currency` is Dataverse's.
pub(super) fn opportunity(making: Making<'_>, deal: &Deal<'_>, currency: &Value) -> Value {
    let amount = json!(f64::from(deal.amount));
    let (number, closes) = (making.number, day(deal.close));
    let mut row = match making.crm {
        CrmKind::Salesforce => row([
            ("Name", json!(deal.name)),
            ("AccountId", json!(deal.account)),
            ("StageName", json!(nth(&OPEN_STAGES, number))),
            ("Amount", amount),
            ("CloseDate", json!(closes)),
            ("LeadSource", json!(nth(&SOURCES, number))),
        ]),
        CrmKind::Dynamics365 => row([
            ("name", json!(deal.name)),
            ("_parentaccountid_value", json!(deal.account)),
            ("_customerid_value", json!(deal.account)),
            ("_customerid_value/type", json!("account")),
            ("_parentcontactid_value", json!(deal.contact)),
            ("estimatedvalue", amount),
            ("estimatedclosedate", json!(closes)),
            ("salesstage", json!(number % STEPS.len())),
            ("stepname", json!(nth(&STEPS, number))),
            ("_transactioncurrencyid_value", currency.clone()),
        ]),
    };
    if deal.outcome != Outcome::Open {
        let won = deal.outcome == Outcome::Won;
        let change = closed(making.crm, deal.amount, deal.close, won);
        if let (Some(row), Value::Object(change)) = (row.as_object_mut(), change) {
            row.extend(change);
        }
    }
    making.finished(row)
}

/// A contact's part in a sale. `role` is Dataverse's.
pub(super) fn part(making: Making<'_>, deal: &str, contact: &str, role: &Value) -> Value {
    match making.crm {
        CrmKind::Salesforce => row([
            ("OpportunityId", json!(deal)),
            ("ContactId", json!(contact)),
            ("Role", json!(nth(&PARTS, making.number))),
            ("IsPrimary", json!(true)),
        ]),
        CrmKind::Dynamics365 => row([
            ("_record1id_value", json!(deal)),
            ("_record1id_value/type", json!("opportunity")),
            ("_record2id_value", json!(contact)),
            ("_record2id_value/type", json!("contact")),
            ("_record2roleid_value", role.clone()),
        ]),
    }
}

/// The change that closes an opportunity.
pub(super) fn closed(crm: CrmKind, amount: u32, at: Millis, won: bool) -> Value {
    match crm {
        CrmKind::Salesforce => json!({
            "StageName": if won { "Closed Won" } else { "Closed Lost" }, "CloseDate": day(at),
        }),
        CrmKind::Dynamics365 => json!({
            "statecode": if won { 1 } else { 2 }, "statuscode": if won { 3 } else { 4 },
            "actualvalue": if won { f64::from(amount) } else { 0.0 }, "actualclosedate": day(at),
        }),
    }
}

/// The change that qualifies a lead: a sale begins with it.
pub(super) fn qualified(
    crm: CrmKind,
    deal: &str,
    account: &str,
    contact: Option<&str>,
    at: Millis,
) -> Value {
    match crm {
        CrmKind::Salesforce => row([
            ("IsConverted", json!(true)),
            ("ConvertedDate", json!(day(at))),
            ("ConvertedAccountId", json!(account)),
            ("ConvertedContactId", json!(contact)),
            ("ConvertedOpportunityId", json!(deal)),
            ("Status", json!("Closed - Converted")),
        ]),
        CrmKind::Dynamics365 => row([
            ("statecode", json!(1)),
            ("statuscode", json!(3)),
            ("_qualifyingopportunityid_value", json!(deal)),
        ]),
    }
}

/// The change that gives a contact another job title.
pub(super) fn promoted(crm: CrmKind, title: &str) -> Value {
    match crm {
        CrmKind::Salesforce => json!({ "Title": title }),
        CrmKind::Dynamics365 => json!({ "jobtitle": title }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use shared::clock::Millis;
    use shared::domain::schema::CrmKind;

    use super::{day, instant, row};

    #[test]
    fn instants_are_in_each_vendors_form() {
        let at = Millis(1_689_894_599_288);
        assert_eq!(
            instant(CrmKind::Salesforce, at),
            "2023-07-20T23:09:59.000+0000"
        );
        assert_eq!(instant(CrmKind::Dynamics365, at), "2023-07-20T23:09:59Z");
        assert_eq!(day(at), "2023-07-20");
    }

    #[test]
    fn a_row_has_no_empty_fields() {
        let made = row([("a", json!("")), ("b", json!(null)), ("c", json!(0))]);
        assert_eq!(made, json!({ "c": 0 }));
    }
}
