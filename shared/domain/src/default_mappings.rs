//! The mappings that a new contract starts with, in both CRMs' names.

use super::schema::CrmKind;
use super::vocabulary::{Role, vocabulary};

/// Common field names of forms, with the role of their values. The upper-case ones are LinkedIn's predefined
/// fields and Google's column ids.
pub const DEFAULT_MAPPINGS: &[(&str, Role)] = &[
    ("email", Role::Email),
    ("first_name", Role::FirstName),
    ("last_name", Role::LastName),
    ("company", Role::Company),
    ("phone", Role::Phone),
    ("title", Role::JobTitle),
    ("country", Role::Country),
    ("city", Role::City),
    ("website", Role::Website),
    ("message", Role::Description),
    ("EMAIL", Role::Email),
    ("WORK_EMAIL", Role::Email),
    ("FIRST_NAME", Role::FirstName),
    ("LAST_NAME", Role::LastName),
    ("FULL_NAME", Role::LastName),
    ("PHONE_NUMBER", Role::Phone),
    ("COMPANY_NAME", Role::Company),
    ("JOB_TITLE", Role::JobTitle),
];

/// The CRM's name of the lead field for a usual form field name; empty for other names.
#[must_use]
pub fn lead_field(name: &str, crm: CrmKind) -> &'static str {
    DEFAULT_MAPPINGS
        .iter()
        .find(|(known, _)| *known == name)
        .map_or("", |(_, role)| vocabulary(crm).lead.named(*role))
}

/// The other CRM's name for a lead field that has a usual counterpart, one that forms are mapped to by
/// default.
#[must_use]
pub fn counterpart(lead_field: &str, to: CrmKind) -> Option<&'static str> {
    let role = vocabulary(to.other()).lead.field(lead_field)?.role;
    let usual = DEFAULT_MAPPINGS.iter().any(|(_, known)| *known == role);
    let name = vocabulary(to).lead.named(role);
    (usual && !name.is_empty()).then_some(name)
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
