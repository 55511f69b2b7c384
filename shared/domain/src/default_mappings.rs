//! The mappings that a new contract starts with, in both CRMs' names.

use super::schema::CrmKind;

/// Field names that forms use, with the Salesforce and the Dynamics 365 lead field. The upper-case
/// ones are LinkedIn's predefined fields and Google's column ids.
pub const DEFAULT_MAPPINGS: &[(&str, &str, &str)] = &[
    ("email", "Email", "emailaddress1"),
    ("first_name", "FirstName", "firstname"),
    ("last_name", "LastName", "lastname"),
    ("company", "Company", "companyname"),
    ("phone", "Phone", "telephone1"),
    ("title", "Title", "jobtitle"),
    ("country", "Country", "address1_country"),
    ("city", "City", "address1_city"),
    ("website", "Website", "websiteurl"),
    ("message", "Description", "description"),
    ("EMAIL", "Email", "emailaddress1"),
    ("WORK_EMAIL", "Email", "emailaddress1"),
    ("FIRST_NAME", "FirstName", "firstname"),
    ("LAST_NAME", "LastName", "lastname"),
    ("FULL_NAME", "LastName", "lastname"),
    ("PHONE_NUMBER", "Phone", "telephone1"),
    ("COMPANY_NAME", "Company", "companyname"),
    ("JOB_TITLE", "Title", "jobtitle"),
];

/// The CRM's name of a lead field by the usual form field name; empty for other names.
#[must_use]
pub fn lead_field(name: &str, crm: CrmKind) -> &'static str {
    DEFAULT_MAPPINGS
        .iter()
        .find(|(known, ..)| *known == name)
        .map_or("", |(_, salesforce, dynamics)| match crm {
            CrmKind::Salesforce => salesforce,
            CrmKind::Dynamics365 => dynamics,
        })
}

/// What the other CRM calls a lead field, where there is a usual counterpart.
#[must_use]
pub fn counterpart(lead_field: &str, to: CrmKind) -> Option<&'static str> {
    DEFAULT_MAPPINGS
        .iter()
        .find_map(|(_, salesforce, dynamics)| match to {
            CrmKind::Salesforce => (*dynamics == lead_field).then_some(*salesforce),
            CrmKind::Dynamics365 => (*salesforce == lead_field).then_some(*dynamics),
        })
}

#[cfg(test)]
mod tests {
    use super::{counterpart, lead_field};
    use crate::schema::CrmKind;

    #[test]
    fn a_lead_field_is_found_in_the_other_crm() {
        assert_eq!(lead_field("email", CrmKind::Dynamics365), "emailaddress1");
        assert_eq!(lead_field("shoe_size", CrmKind::Salesforce), "");
        assert_eq!(
            counterpart("Email", CrmKind::Dynamics365),
            Some("emailaddress1")
        );
        assert_eq!(
            counterpart("telephone1", CrmKind::Salesforce),
            Some("Phone")
        );
        assert_eq!(counterpart("Email", CrmKind::Salesforce), None);
    }
}
