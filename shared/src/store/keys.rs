//! Every key string of the table. Nothing else writes one.
//!
//! `PK` starts with the contract in every item: one contract cannot reach another's.
//!
//! | item | PK | SK | read by |
//! | --- | --- | --- | --- |
//! | contract | `C#{c}` | `CONTRACT` | one query of `C#{c}` gives the whole configuration |
//! | strategy | `C#{c}` | `STRATEGY#{id}` | |
//! | mapping | `C#{c}` | `MAPPING#{name}` | |
//! | form | `C#{c}` | `FORM#{id}` | also alone, by form-intake |
//! | scoring rule | `C#{c}` | `SCORING` | |
//! | LinkedIn settings | `C#{c}` | `LINKEDIN` | also alone, by form-intake |
//! | connection | `C#{c}#CONNECTION#{kind}` | `CONNECTION` | get |
//! | API token | `C#{c}#TOKEN#{id}` | `TOKEN` | get |
//! | submission | `C#{c}#SUBMISSION#{id}` | `SUBMISSION` | get; GSI1 by time; GSI2 by due time |
//! | claim of a match key | `C#{c}#CLAIM#{hash}` | `CLAIM` | get |
//! | attachment to a lead | `C#{c}#LEAD#{lead}` | `SUBMISSION#{id}` | query |
//! | discovered name | `C#{c}#DISCOVERED` | `NAME#{name}` | query |
//! | lead schema | `C#{c}#SCHEMA` | `LEAD` | get |
//! | LinkedIn form | `C#{c}#LINKEDINFORM#{id}` | `FORM` | get |
//! | pull cursor | `C#{c}#CURSOR` | `LINKEDIN#{owner}` | get |
//! | audit entry | `C#{c}#AUDIT` | `{time}#{id}` | query, newest first |
//! | OAuth attempt | `C#{c}#OAUTH#{hash}` | `ATTEMPT` | taken once; its time to live removes it |
//!
//! `GSI1PK` of contracts is the one partition without a contract: schedules walk it.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::clock::Millis;
use crate::domain::ids::{ContractId, FormId, StrategyId, SubmissionId, TokenId};

/// Names come from outside; encoded, they can hold no separator of ours.
const NAME: &AsciiSet = &CONTROLS.add(b'#').add(b'%').add(b' ');

/// A primary key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) pk: String,
    pub(super) sk: String,
}

impl Key {
    pub(super) fn attributes(&self) -> HashMap<String, AttributeValue> {
        HashMap::from([
            ("PK".to_owned(), AttributeValue::S(self.pk.clone())),
            ("SK".to_owned(), AttributeValue::S(self.sk.clone())),
        ])
    }
}

fn key(pk: String, sk: impl Into<String>) -> Key {
    Key { pk, sk: sk.into() }
}

/// Zero-padded, so that text order is time order (13 digits last until the year 2286).
fn padded(at: Millis) -> String {
    format!("{:013}", at.0.max(0))
}

pub(super) fn config_partition(contract: &ContractId) -> String {
    format!("C#{contract}")
}

pub(super) fn contract(contract: &ContractId) -> Key {
    key(config_partition(contract), "CONTRACT")
}

pub(super) const STRATEGY_PREFIX: &str = "STRATEGY#";
pub(super) const MAPPING_PREFIX: &str = "MAPPING#";
pub(super) const FORM_PREFIX: &str = "FORM#";

pub(super) fn strategy(contract: &ContractId, id: StrategyId) -> Key {
    key(config_partition(contract), format!("{STRATEGY_PREFIX}{id}"))
}

pub(super) fn mapping(contract: &ContractId, name: &str) -> Key {
    key(
        config_partition(contract),
        format!("{MAPPING_PREFIX}{}", utf8_percent_encode(name, NAME)),
    )
}

pub(super) fn form(contract: &ContractId, id: &FormId) -> Key {
    key(config_partition(contract), format!("{FORM_PREFIX}{id}"))
}

pub(super) fn scoring(contract: &ContractId) -> Key {
    key(config_partition(contract), "SCORING")
}

pub(super) fn linkedin_settings(contract: &ContractId) -> Key {
    key(config_partition(contract), "LINKEDIN")
}

pub(super) fn connection(contract: &ContractId, kind: &str) -> Key {
    key(format!("C#{contract}#CONNECTION#{kind}"), "CONNECTION")
}

pub(super) fn token(contract: &ContractId, id: &TokenId) -> Key {
    key(format!("C#{contract}#TOKEN#{id}"), "TOKEN")
}

pub(super) fn submission(contract: &ContractId, id: SubmissionId) -> Key {
    key(format!("C#{contract}#SUBMISSION#{id}"), "SUBMISSION")
}

pub(super) fn claim(contract: &ContractId, hash: &str) -> Key {
    key(format!("C#{contract}#CLAIM#{hash}"), "CLAIM")
}

pub(super) fn lead_partition(contract: &ContractId, lead_id: &str) -> String {
    format!("C#{contract}#LEAD#{}", utf8_percent_encode(lead_id, NAME))
}

pub(super) fn attachment(contract: &ContractId, lead_id: &str, id: SubmissionId) -> Key {
    key(
        lead_partition(contract, lead_id),
        format!("SUBMISSION#{id}"),
    )
}

pub(super) fn discovered_partition(contract: &ContractId) -> String {
    format!("C#{contract}#DISCOVERED")
}

pub(super) fn discovered(contract: &ContractId, name: &str) -> Key {
    key(
        discovered_partition(contract),
        format!("NAME#{}", utf8_percent_encode(name, NAME)),
    )
}

pub(super) fn lead_schema(contract: &ContractId) -> Key {
    key(format!("C#{contract}#SCHEMA"), "LEAD")
}

pub(super) fn linkedin_form(contract: &ContractId, id: &str) -> Key {
    key(
        format!(
            "C#{contract}#LINKEDINFORM#{}",
            utf8_percent_encode(id, NAME)
        ),
        "FORM",
    )
}

pub(super) fn cursor(contract: &ContractId, owner: &str) -> Key {
    key(
        format!("C#{contract}#CURSOR"),
        format!("LINKEDIN#{}", utf8_percent_encode(owner, NAME)),
    )
}

pub(super) fn audit_partition(contract: &ContractId) -> String {
    format!("C#{contract}#AUDIT")
}

pub(super) fn audit(contract: &ContractId, at: Millis, unique: uuid::Uuid) -> Key {
    key(
        audit_partition(contract),
        format!("{}#{unique}", padded(at)),
    )
}

pub(super) fn oauth_attempt(contract: &ContractId, state_hash: &str) -> Key {
    key(format!("C#{contract}#OAUTH#{state_hash}"), "ATTEMPT")
}

/// GSI1 partition of all contracts.
pub(super) const CONTRACTS: &str = "CONTRACTS";

/// GSI1 partition of a contract's submissions.
pub(super) fn submissions_index(contract: &ContractId) -> String {
    format!("C#{contract}#SUBMISSIONS")
}

/// GSI1 sort key of a submission: by time of arrival.
pub(super) fn submission_order(at: Millis, id: Option<SubmissionId>) -> String {
    id.map_or_else(|| padded(at), |id| format!("{}#{id}", padded(at)))
}

/// GSI2 partition of submissions that go on by themselves.
pub(super) fn open_index(contract: &ContractId) -> String {
    format!("C#{contract}#OPEN")
}

/// GSI2 partition of submissions that need a person.
pub(super) fn failed_index(contract: &ContractId) -> String {
    format!("C#{contract}#FAILED")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_key_starts_with_its_contract_and_only_its_own(a in "[a-z][a-z0-9-]{1,20}[a-z0-9]", b in "[a-z][a-z0-9-]{1,20}[a-z0-9]", name in "\\PC{1,30}") {
            prop_assume!(a != b);
            let id = SubmissionId(uuid::Uuid::nil());
            let keys = |contract: &str| {
                let c: ContractId = contract.parse().unwrap();
                vec![
                    super::contract(&c), mapping(&c, &name), connection(&c, "CRM"), submission(&c, id), claim(&c, &name),
                    attachment(&c, &name, id), discovered(&c, &name), lead_schema(&c), linkedin_form(&c, &name),
                    cursor(&c, &name), audit(&c, Millis(1), uuid::Uuid::nil()), oauth_attempt(&c, "h"),
                ]
            };
            for (of_a, of_b) in keys(&a).into_iter().zip(keys(&b)) {
                let own = format!("C#{a}");
                let inside = of_a.pk == own || of_a.pk.starts_with(&format!("{own}#"));
                prop_assert!(inside);
                prop_assert_ne!(of_a, of_b);
            }
        }

        #[test]
        fn different_names_have_different_keys(x in "\\PC{1,20}", y in "\\PC{1,20}") {
            let c: ContractId = "acme".parse().unwrap();
            prop_assert_eq!(x == y, mapping(&c, &x) == mapping(&c, &y));
        }
    }
}
