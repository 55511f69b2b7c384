//! Reference keys: the keys by which the records that name another one are found (SV-4, SV-5).
//!
//! They lie beside the match keys and are written, changed and removed with them, so the children of a record
//! are found by one query, and a clean-up empties both. The contacts and opportunities of an account, the
//! parts of contacts in an opportunity, the opportunities of a contact, the leads of an opportunity, and the
//! opportunities of an owner have one. Records of other objects have none by their owner: nothing looks for
//! them, and one owner can have all of them, in one partition.

use super::match_keys::{KeyKind, MatchKey};
use super::mirror::{Value, Values};
use super::schema::CrmKind;
use super::vocabulary::{ObjectSpec, Role, Subject, vocabulary};

/// The record that is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// An account.
    Account,
    /// A contact.
    Contact,
    /// An opportunity.
    Opportunity,
    /// A user who owns opportunities.
    Owner,
}

impl Named {
    const fn kind(self) -> KeyKind {
        match self {
            Self::Account => KeyKind::OfAccount,
            Self::Contact => KeyKind::OfContact,
            Self::Opportunity => KeyKind::OfOpportunity,
            Self::Owner => KeyKind::OfOwner,
        }
    }

    /// The key of the records that name the record of this id, opportunities excepted; `None` for an empty
    /// id.
    #[must_use]
    pub fn records(self, id: &str) -> Option<MatchKey> {
        MatchKey::referring(self.kind(), id, "")
    }

    /// The key of the open or the closed opportunities that name the record of this id; `None` for an empty
    /// id.
    #[must_use]
    pub fn opportunities(self, id: &str, open: bool) -> Option<MatchKey> {
        MatchKey::referring(self.kind(), id, if open { "open" } else { "closed" })
    }
}

/// True if an opportunity is open. `value` gives a field as the mirror's JSON has it.
pub(crate) fn is_open<'v>(
    spec: &ObjectSpec,
    value: impl Fn(&str) -> Option<&'v serde_json::Value>,
) -> bool {
    let closed = value(spec.read_as(Role::Closed)).and_then(serde_json::Value::as_bool);
    let state = value(spec.read_as(Role::Status)).and_then(serde_json::Value::as_i64);
    // What the CRM does not tell counts as open: such a record is shown rather than lost.
    !closed.unwrap_or(false) && state.is_none_or(|state| state == 0)
}

/// The reference keys of a record, each once.
#[must_use]
pub fn keys(crm: CrmKind, object: &str, values: &Values) -> Vec<MatchKey> {
    let Some(spec) = vocabulary(crm).object(object) else {
        return Vec::new();
    };
    let id = |role: Role| values.text(spec.read_as(role)).unwrap_or_default();
    if spec.subject == Subject::Opportunity {
        let closed = values.get(spec.read_as(Role::Closed)) == Some(&Value::Bool(true));
        let state = values.get(spec.read_as(Role::Status));
        let open = !closed && state.is_none_or(|state| *state == Value::Number(0.0));
        let named = [
            (Named::Account, Role::Account),
            (Named::Contact, Role::Contact),
            (Named::Owner, Role::Owner),
        ];
        let keys = named.map(|(named, role)| named.opportunities(id(role), open));
        return keys.into_iter().flatten().collect();
    }
    let named: &[(Named, Role)] = match spec.subject {
        Subject::Contact => &[(Named::Account, Role::Account)],
        Subject::Lead => &[(Named::Opportunity, Role::Opportunity)],
        Subject::ContactRole => &[
            (Named::Opportunity, Role::Opportunity),
            (Named::Contact, Role::Contact),
        ],
        Subject::Account | Subject::User | Subject::Opportunity | Subject::Other => &[],
    };
    let keys = named.iter().map(|(named, role)| named.records(id(*role)));
    keys.flatten().collect()
}

/// The opportunity that a change of this record bears on, for what is saved because of it (SV-4): the record
/// itself, or the one that it names.
#[must_use]
pub fn opportunity_of<'v>(
    crm: CrmKind,
    object: &str,
    id: &'v str,
    values: &'v Values,
) -> Option<&'v str> {
    let spec = vocabulary(crm).object(object)?;
    match spec.subject {
        Subject::Opportunity => Some(id),
        Subject::Lead | Subject::ContactRole => values.text(spec.read_as(Role::Opportunity)),
        Subject::Account | Subject::Contact | Subject::User | Subject::Other => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Named, keys, opportunity_of};
    use crate::match_keys::MatchKey;
    use crate::mirror::{Value, Values};
    use crate::schema::CrmKind;

    fn texts(crm: CrmKind, object: &str, of: Vec<(&'static str, Value)>) -> Vec<String> {
        let keys = keys(crm, object, &Values(of));
        keys.iter().map(ToString::to_string).collect()
    }

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn an_opportunity_is_found_by_account_contact_and_owner_while_it_is_open_and_after() {
        let of = |closed| {
            vec![
                ("AccountId", text("001")),
                ("OwnerId", text("005")),
                ("IsClosed", Value::Bool(closed)),
            ]
        };
        let found = texts(CrmKind::Salesforce, "Opportunity", of(false));
        assert_eq!(found, ["of-account:001>open", "of-owner:005>open"]);
        let found = texts(CrmKind::Salesforce, "Opportunity", of(true));
        assert_eq!(found, ["of-account:001>closed", "of-owner:005>closed"]);
        let of = |state| {
            vec![
                ("_parentcontactid_value", text("c")),
                ("statecode", Value::Number(state)),
            ]
        };
        let found = texts(CrmKind::Dynamics365, "opportunity", of(0.0));
        assert_eq!(found, ["of-contact:c>open"]);
        let found = texts(CrmKind::Dynamics365, "opportunity", of(2.0));
        assert_eq!(found, ["of-contact:c>closed"]);
        let key = Named::Account.opportunities("001", true);
        assert_eq!(key, Some(MatchKey::stored("of-account:001>open")));
    }

    #[test]
    fn records_are_found_by_those_that_they_name() {
        let role = vec![("OpportunityId", text("006")), ("ContactId", text("003"))];
        let found = texts(CrmKind::Salesforce, "OpportunityContactRole", role.clone());
        assert_eq!(found, ["of-opportunity:006>", "of-contact:003>"]);
        let role = Values(role);
        let bears_on = opportunity_of(CrmKind::Salesforce, "OpportunityContactRole", "00K", &role);
        assert_eq!(bears_on, Some("006"));
        let connection = vec![
            ("_record1id_value", text("o")),
            ("_record2id_value", text("c")),
        ];
        let found = texts(CrmKind::Dynamics365, "connection", connection);
        assert_eq!(found, ["of-opportunity:o>", "of-contact:c>"]);
        let contact = vec![("AccountId", text("001"))];
        let found = texts(CrmKind::Salesforce, "Contact", contact);
        assert_eq!(found, ["of-account:001>"]);
        assert_eq!(Named::Account.records(""), None);
        assert!(texts(CrmKind::Salesforce, "User", vec![("Id", text("005"))]).is_empty());
    }
}
