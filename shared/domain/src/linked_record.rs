//! The CRM's records as the matching engine sees them (MA-1): contacts and leads are people, accounts are
//! companies.
//!
//! The [`vocabulary`](super::vocabulary) defines which fields hold the values that the engine compares.

use matching::Record;
use serde_json::{Map, Value};

use super::directory::{EntryKind, RecordRef};
use super::schema::CrmKind;
use super::vocabulary::{ObjectSpec, Role, Subject, vocabulary};

/// A record's values in the mirror.
pub type Values = Map<String, Value>;

/// The known values of a contact's account, for matching its contacts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Its website.
    pub website: String,
}

/// The specification of an object whose records are matched; `None` for others.
fn matched(crm: CrmKind, object: &str) -> Option<&'static ObjectSpec> {
    let spec = vocabulary(crm).object(object)?;
    match spec.subject {
        Subject::Contact | Subject::Lead | Subject::Account => Some(spec),
        Subject::User | Subject::Opportunity | Subject::ContactRole | Subject::Other => None,
    }
}

/// The objects whose records an entry can be linked to (MA-1). Of records that match equally well, one of the
/// first object is chosen.
#[must_use]
pub fn linked_objects(crm: CrmKind, kind: EntryKind) -> &'static [&'static str] {
    let known = vocabulary(crm);
    match kind {
        EntryKind::Profile => &known.people,
        EntryKind::Company => &known.companies,
    }
}

/// The CRM's name for accounts.
#[must_use]
pub fn account_object(crm: CrmKind) -> &'static str {
    vocabulary(crm).account.name
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
    // A placeholder in a required field stands for a missing value.
    if text.trim() == placeholder { "" } else { text }
}

/// Converts a record of an object to the engine's form; `None` for an object that is not matched. `account`
/// is the account of a contact, `placeholder` the contract's text for required fields that a form left empty.
#[must_use]
pub fn record(
    crm: CrmKind,
    object: &str,
    values: &Values,
    account: Option<&Account>,
    placeholder: &str,
) -> Option<Record> {
    let spec = matched(crm, object)?;
    let mut record = record_by(crm, object, |field| text(values, field, placeholder))?;
    if let Some(account) = account.filter(|_| spec.subject == Subject::Contact) {
        record.company.clone_from(&account.name);
        record.website.clone_from(&account.website);
    }
    Some(record)
}

/// Converts a record as [`record`] does, but without its account. `value` gives the text of a field, empty
/// where there is none.
#[must_use]
pub fn record_by<'v>(
    crm: CrmKind,
    object: &str,
    value: impl Fn(&str) -> &'v str,
) -> Option<Record> {
    let spec = matched(crm, object)?;
    let one = |field: &str| value(field).to_owned();
    let of_role = |role: Role| one(spec.read_as(role));
    let several = |roles: &[Role]| -> Vec<String> {
        let texts = roles.iter().map(|role| of_role(*role));
        texts.filter(|text| !text.is_empty()).collect()
    };
    let mut addresses = spec.addresses();
    let address = addresses.find(|address| address.iter().any(|field| !value(field).is_empty()));
    let [street, city, state, postcode, country] =
        address.map_or_else(Default::default, |address| address.map(one));
    let is_company = spec.subject == Subject::Account;
    let mut record = Record {
        first_name: of_role(Role::FirstName),
        last_name: of_role(Role::LastName),
        // A person's is made of first and last name, which are compared.
        name: if is_company {
            of_role(Role::Name)
        } else {
            String::new()
        },
        title: of_role(Role::JobTitle),
        company: of_role(Role::Company),
        website: of_role(Role::Website),
        emails: several(&[Role::Email]),
        phones: several(&[Role::Phone, Role::Mobile]),
        street,
        city,
        state,
        postcode,
        country,
        ..Record::default()
    };
    // Forms with one field for the whole name write it into the last name.
    if spec.subject == Subject::Lead
        && record.first_name.is_empty()
        && record.last_name.contains(' ')
    {
        record.name = std::mem::take(&mut record.last_name);
    }
    Some(record)
}

/// The CRM's id of a record's account, empty where there is none. `value` gives the text of a field.
#[must_use]
pub fn account_by<'v>(crm: CrmKind, object: &str, value: impl Fn(&str) -> &'v str) -> &'v str {
    matched(crm, object)
        .and_then(|spec| spec.of_role(Role::Account))
        .map_or("", |field| value(field.name))
}

/// The account as its contacts see it.
#[must_use]
pub fn account(crm: CrmKind, values: &Values) -> Option<Account> {
    let spec = vocabulary(crm).account;
    Some(Account {
        name: text(values, spec.read_as(Role::Name), "").to_owned(),
        website: text(values, spec.read_as(Role::Website), "").to_owned(),
    })
}

/// The CRM's id of a record's account. Dataverse's customer of a contact can also be a contact: then no
/// account has the id.
#[must_use]
pub fn account_of<'v>(crm: CrmKind, object: &str, values: &'v Values) -> Option<&'v str> {
    let field = matched(crm, object)?.of_role(Role::Account)?;
    values.get(field.name)?.as_str()
}

/// The CRM's id of a record's owner.
#[must_use]
pub fn owner_of<'v>(crm: CrmKind, object: &str, values: &'v Values) -> Option<&'v str> {
    let field = matched(crm, object)?.of_role(Role::Owner)?;
    values.get(field.name)?.as_str()
}

/// True if a lead was converted. It stays in the CRM, out of sight, and a contact has taken its place.
#[must_use]
pub fn is_converted(crm: CrmKind, object: &str, values: &Values) -> bool {
    matched(crm, object)
        .and_then(|spec| spec.of_role(Role::Converted))
        .is_some_and(|field| values.get(field.name) == Some(&Value::Bool(true)))
}

/// The contact that a lead was converted to. Dataverse's qualified leads do not name it.
#[must_use]
pub fn converted_to(crm: CrmKind, object: &str, values: &Values) -> Option<RecordRef> {
    if !is_converted(crm, object, values) {
        return None;
    }
    let known = vocabulary(crm);
    let field = known.object(object)?.of_role(Role::ConvertedContact)?;
    let id = values.get(field.name)?.as_str()?;
    Some(RecordRef::new(known.contact.name, id))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::vocabulary::objects;

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
                let values: Values = spec
                    .vocabulary
                    .iter()
                    .map(|field| (field.name.to_owned(), Value::from(field.name)))
                    .collect();
                let record = record(crm, object, &values, None, "").unwrap();
                let compared = [
                    record.first_name,
                    record.last_name,
                    record.name,
                    record.title,
                    record.company,
                    record.website,
                    record.street,
                    record.city,
                    record.state,
                    record.postcode,
                    record.country,
                ];
                let compared = compared.into_iter().chain(record.emails);
                let owner = owner_of(crm, object, &values).map(str::to_owned);
                let account = account_of(crm, object, &values).map(str::to_owned);
                let all = compared.chain(record.phones).chain(owner).chain(account);
                for field in all.filter(|field| !field.is_empty()) {
                    assert!(
                        spec.fields(false).any(|name| name == field),
                        "{object}.{field}"
                    );
                }
            }
        }
    }

    #[test]
    fn an_account_is_at_its_first_address() {
        let account =
            values(json!({"name": "Acme", "address1_city": "Bonn", "address1_country": "DE"}));
        let record = record(CrmKind::Dynamics365, "account", &account, None, "").unwrap();
        assert_eq!(
            (record.city.as_str(), record.country.as_str()),
            ("Bonn", "DE")
        );
        let account =
            values(json!({"Name": "Acme", "BillingStreet": "Main 1", "ShippingCity": "Rome"}));
        let record = super::record(CrmKind::Salesforce, "Account", &account, None, "").unwrap();
        assert_eq!(
            (record.street.as_str(), record.city.as_str()),
            ("Main 1", "")
        );
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
