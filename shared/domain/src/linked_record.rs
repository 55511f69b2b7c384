//! The CRM's records as the matching engine sees them (MA-1): contacts and leads are people, accounts are
//! companies.
//!
//! Field names are those of [`objects`](super::inventory::objects).

use matching::Record;
use serde_json::{Map, Value};

use super::directory::{EntryKind, RecordRef};
use super::schema::CrmKind;

/// What the mirror has of a record.
pub type Values = Map<String, Value>;

/// What is known of a contact's account, for its contacts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Its website.
    pub website: String,
}

/// Where an object keeps what the engine compares.
struct Fields {
    first: &'static str,
    last: &'static str,
    name: &'static str,
    title: &'static str,
    company: &'static str,
    website: &'static str,
    emails: &'static [&'static str],
    phones: &'static [&'static str],
    /// Street, city, state, postal code, country; the first address that has anything.
    addresses: &'static [[&'static str; 5]],
    owner: &'static str,
    account: &'static str,
}

const NONE: Fields = Fields {
    first: "",
    last: "",
    name: "",
    title: "",
    company: "",
    website: "",
    emails: &[],
    phones: &[],
    addresses: &[],
    owner: "",
    account: "",
};

const SALESFORCE_CONTACT: Fields = Fields {
    first: "FirstName",
    last: "LastName",
    title: "Title",
    emails: &["Email"],
    phones: &["Phone"],
    addresses: &[
        [
            "MailingStreet",
            "MailingCity",
            "MailingState",
            "MailingPostalCode",
            "MailingCountry",
        ],
        [
            "OtherStreet",
            "OtherCity",
            "OtherState",
            "OtherPostalCode",
            "OtherCountry",
        ],
    ],
    owner: "OwnerId",
    account: "AccountId",
    ..NONE
};

const SALESFORCE_LEAD: Fields = Fields {
    first: "FirstName",
    last: "LastName",
    title: "Title",
    company: "Company",
    website: "Website",
    emails: &["Email"],
    phones: &["Phone", "MobilePhone"],
    addresses: &[["Street", "City", "State", "PostalCode", "Country"]],
    owner: "OwnerId",
    ..NONE
};

const SALESFORCE_ACCOUNT: Fields = Fields {
    name: "Name",
    website: "Website",
    phones: &["Phone"],
    owner: "OwnerId",
    ..NONE
};

const DYNAMICS_ADDRESSES: &[[&str; 5]] = &[
    [
        "address1_line1",
        "address1_city",
        "address1_stateorprovince",
        "address1_postalcode",
        "address1_country",
    ],
    [
        "address2_line1",
        "address2_city",
        "address2_stateorprovince",
        "address2_postalcode",
        "address2_country",
    ],
];

const DYNAMICS_CONTACT: Fields = Fields {
    first: "firstname",
    last: "lastname",
    title: "jobtitle",
    emails: &["emailaddress1"],
    phones: &["telephone1"],
    addresses: DYNAMICS_ADDRESSES,
    owner: "_owninguser_value",
    account: "_parentcustomerid_value",
    ..NONE
};

const DYNAMICS_LEAD: Fields = Fields {
    company: "companyname",
    website: "websiteurl",
    phones: &["telephone1", "mobilephone"],
    account: "",
    ..DYNAMICS_CONTACT
};

const DYNAMICS_ACCOUNT: Fields = Fields {
    name: "name",
    website: "websiteurl",
    phones: &["telephone1"],
    owner: "_owninguser_value",
    ..NONE
};

impl Fields {
    /// Whether it is a lead's.
    const fn has_company(&self) -> bool {
        !self.company.is_empty()
    }
}

fn fields(crm: CrmKind, object: &str) -> Option<&'static Fields> {
    Some(match (crm, object) {
        (CrmKind::Salesforce, "Contact") => &SALESFORCE_CONTACT,
        (CrmKind::Salesforce, "Lead") => &SALESFORCE_LEAD,
        (CrmKind::Salesforce, "Account") => &SALESFORCE_ACCOUNT,
        (CrmKind::Dynamics365, "contact") => &DYNAMICS_CONTACT,
        (CrmKind::Dynamics365, "lead") => &DYNAMICS_LEAD,
        (CrmKind::Dynamics365, "account") => &DYNAMICS_ACCOUNT,
        _ => return None,
    })
}

/// The objects whose records an entry can be linked to (MA-1). Of records that match equally well one
/// of the first object is taken.
#[must_use]
pub const fn linked_objects(crm: CrmKind, kind: EntryKind) -> &'static [&'static str] {
    match (crm, kind) {
        (CrmKind::Salesforce, EntryKind::Profile) => &["Contact", "Lead"],
        (CrmKind::Salesforce, EntryKind::Company) => &["Account"],
        (CrmKind::Dynamics365, EntryKind::Profile) => &["contact", "lead"],
        (CrmKind::Dynamics365, EntryKind::Company) => &["account"],
    }
}

/// The CRM's name for accounts.
#[must_use]
pub const fn account_object(crm: CrmKind) -> &'static str {
    match crm {
        CrmKind::Salesforce => "Account",
        CrmKind::Dynamics365 => "account",
    }
}

/// The kind of entry that a record of an object can be linked to.
#[must_use]
pub fn kind_of(crm: CrmKind, object: &str) -> Option<EntryKind> {
    EntryKind::ALL
        .into_iter()
        .find(|kind| linked_objects(crm, *kind).contains(&object))
}

fn text<'v>(values: &'v Values, field: &str, placeholder: &str) -> &'v str {
    let text = values.get(field).and_then(Value::as_str).unwrap_or("");
    // What stands in a required field for nothing says nothing.
    if text.trim() == placeholder { "" } else { text }
}

/// A record of an object as the engine sees it; `None` for an object that is not matched. `account` is
/// the account of a contact, `placeholder` what the contract writes into required fields for which a
/// form gave nothing.
#[must_use]
pub fn record(
    crm: CrmKind,
    object: &str,
    values: &Values,
    account: Option<&Account>,
    placeholder: &str,
) -> Option<Record> {
    let fields = fields(crm, object)?;
    let one = |field: &str| text(values, field, placeholder).to_owned();
    let several = |fields: &[&str]| -> Vec<String> {
        let texts = fields.iter().map(|field| one(field));
        texts.filter(|text| !text.is_empty()).collect()
    };
    let address = fields.addresses.iter().find(|address| {
        address
            .iter()
            .any(|field| !text(values, field, placeholder).is_empty())
    });
    let [street, city, state, postcode, country] =
        address.map_or_else(Default::default, |address| address.map(one));
    let mut record = Record {
        first_name: one(fields.first),
        last_name: one(fields.last),
        name: one(fields.name),
        title: one(fields.title),
        company: one(fields.company),
        website: one(fields.website),
        emails: several(fields.emails),
        phones: several(fields.phones),
        street,
        city,
        state,
        postcode,
        country,
        ..Record::default()
    };
    // Forms that ask for a name in one have it written into the last name.
    if fields.has_company() && record.first_name.is_empty() && record.last_name.contains(' ') {
        record.name = std::mem::take(&mut record.last_name);
    }
    if let Some(account) = account.filter(|_| !fields.account.is_empty()) {
        record.company.clone_from(&account.name);
        record.website.clone_from(&account.website);
    }
    Some(record)
}

/// The account as its contacts see it.
#[must_use]
pub fn account(crm: CrmKind, values: &Values) -> Option<Account> {
    let fields = fields(crm, account_object(crm))?;
    Some(Account {
        name: text(values, fields.name, "").to_owned(),
        website: text(values, fields.website, "").to_owned(),
    })
}

/// The CRM's id of a record's account. Dataverse's customer of a contact can be a contact too: then no
/// account has the id.
#[must_use]
pub fn account_of<'v>(crm: CrmKind, object: &str, values: &'v Values) -> Option<&'v str> {
    let field = fields(crm, object)?.account;
    values.get(field)?.as_str()
}

/// The CRM's id of a record's owner.
#[must_use]
pub fn owner_of<'v>(crm: CrmKind, object: &str, values: &'v Values) -> Option<&'v str> {
    let field = fields(crm, object)?.owner;
    values.get(field)?.as_str()
}

/// Whether a lead was converted: it stays in the CRM, out of sight, and what it was about is a contact
/// now.
#[must_use]
pub fn is_converted(crm: CrmKind, object: &str, values: &Values) -> bool {
    crm == CrmKind::Salesforce
        && object == "Lead"
        && values.get("IsConverted") == Some(&Value::Bool(true))
}

/// The contact that a lead was converted to. Dataverse's qualified leads do not tell.
#[must_use]
pub fn converted_to(crm: CrmKind, object: &str, values: &Values) -> Option<RecordRef> {
    if !is_converted(crm, object, values) {
        return None;
    }
    let id = values.get("ConvertedContactId")?.as_str()?;
    Some(RecordRef::new("Contact", id))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::inventory::objects;

    fn values(json: Value) -> Values {
        match json {
            Value::Object(values) => values,
            _ => Values::new(),
        }
    }

    #[test]
    fn what_is_compared_is_imported() {
        for crm in [CrmKind::Salesforce, CrmKind::Dynamics365] {
            for object in EntryKind::ALL
                .into_iter()
                .flat_map(|kind| linked_objects(crm, kind))
            {
                let spec = objects(crm)
                    .iter()
                    .find(|spec| spec.name == *object)
                    .unwrap();
                let fields = fields(crm, object).unwrap();
                let single = [
                    fields.first,
                    fields.last,
                    fields.name,
                    fields.title,
                    fields.company,
                    fields.website,
                    fields.owner,
                    fields.account,
                ];
                let several = fields.emails.iter().chain(fields.phones).copied();
                let addresses = fields.addresses.iter().flatten().copied();
                for field in single.into_iter().chain(several).chain(addresses) {
                    assert!(
                        field.is_empty() || spec.fields.contains(&field),
                        "{object}.{field}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_contact_works_for_its_account() {
        let account = account(
            CrmKind::Salesforce,
            &values(json!({"Name": "Acme Inc.", "Website": "acme.example"})),
        );
        let contact = values(json!({
            "FirstName": "Ada", "LastName": "Byron", "Email": "ada@acme.example", "AccountId": "001", "OwnerId": "005",
            "OtherCity": "Paris", "Title": "[not provided]",
        }));
        let record = record(
            CrmKind::Salesforce,
            "Contact",
            &contact,
            account.as_ref(),
            "[not provided]",
        )
        .unwrap();
        assert_eq!(
            record,
            Record {
                first_name: "Ada".to_owned(),
                last_name: "Byron".to_owned(),
                company: "Acme Inc.".to_owned(),
                website: "acme.example".to_owned(),
                emails: vec!["ada@acme.example".to_owned()],
                city: "Paris".to_owned(),
                ..Record::default()
            }
        );
        assert_eq!(
            account_of(CrmKind::Salesforce, "Contact", &contact),
            Some("001")
        );
        assert_eq!(
            owner_of(CrmKind::Salesforce, "Contact", &contact),
            Some("005")
        );
    }

    #[test]
    fn a_lead_says_where_its_person_works() {
        let lead = values(
            json!({"lastname": "Byron", "companyname": "Acme", "mobilephone": "+1", "address2_city": "Rome"}),
        );
        let other = Account {
            name: "Other".to_owned(),
            ..Account::default()
        };
        let record = record(CrmKind::Dynamics365, "lead", &lead, Some(&other), "").unwrap();
        assert_eq!(
            (record.company.as_str(), record.city.as_str()),
            ("Acme", "Rome")
        );
        assert_eq!(record.phones, ["+1"]);
        assert_eq!(
            super::record(CrmKind::Dynamics365, "opportunity", &lead, None, ""),
            None
        );
    }

    #[test]
    fn a_converted_lead_leads_to_its_contact() {
        let open = values(json!({"IsConverted": false, "ConvertedContactId": "003"}));
        let converted = values(json!({"IsConverted": true, "ConvertedContactId": "003"}));
        assert_eq!(converted_to(CrmKind::Salesforce, "Lead", &open), None);
        assert_eq!(
            converted_to(CrmKind::Salesforce, "Lead", &converted),
            Some(RecordRef::new("Contact", "003"))
        );
        assert!(!is_converted(CrmKind::Dynamics365, "lead", &converted));
    }
}
