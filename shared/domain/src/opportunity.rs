//! Opportunities and the parts of contacts in them, as the mirror has them (SV-4, SV-5).

use std::cmp::Reverse;

use serde_json::Value;

use super::inventory::{CrmOptions, Stage};
use super::linked_record::Values;
use super::references;
use super::schema::CrmKind;
use super::vocabulary::{ObjectSpec, Role, vocabulary};

/// An opportunity.
#[derive(Debug, Clone, PartialEq)]
pub struct Opportunity {
    /// The CRM's id.
    pub id: String,
    /// Its name; empty if it has none.
    pub name: String,
    /// True if it is neither won nor lost.
    pub open: bool,
    /// The CRM's id of its owner.
    pub owner: Option<String>,
    /// The CRM's id of its account.
    pub account: Option<String>,
    /// The CRM's id of its first contact, where the CRM keeps it with the opportunity (Dynamics 365).
    pub contact: Option<String>,
    /// The text of its stage.
    pub stage: Option<String>,
    /// The value of its stage in the CRM's list, where that is another field (Dynamics 365).
    pub sales_stage: Option<String>,
    /// Its value, in its currency.
    pub amount: Option<f64>,
    /// Its currency: an ISO 4217 code (Salesforce), or the CRM's id of a currency (Dynamics 365).
    pub currency: Option<String>,
    /// The day on which it is expected to close, `YYYY-MM-DD`.
    pub closes_on: Option<String>,
}

/// A contact's part in an opportunity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactRole {
    /// The CRM's id of the opportunity.
    pub opportunity: String,
    /// The CRM's id of the contact.
    pub contact: String,
    /// The part: its name (Salesforce), or the CRM's id of it (Dynamics 365).
    pub part: Option<String>,
    /// True for the first contact of the opportunity.
    pub primary: bool,
}

fn text(spec: &ObjectSpec, values: &Values, role: Role) -> Option<String> {
    let text = values.get(spec.read_as(role))?.as_str()?;
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

impl Opportunity {
    /// The opportunity of these values.
    #[must_use]
    pub fn of(crm: CrmKind, id: &str, values: &Values) -> Self {
        let spec = vocabulary(crm).opportunity;
        let text = |role: Role| text(spec, values, role);
        let number = |role: Role| values.get(spec.read_as(role)).and_then(Value::as_f64);
        Self {
            id: id.to_owned(),
            name: text(Role::Name).unwrap_or_default(),
            open: references::is_open(spec, |field| values.get(field)),
            owner: text(Role::Owner),
            account: text(Role::Account),
            contact: text(Role::Contact),
            stage: text(Role::Stage),
            // A choice is kept as its number.
            sales_stage: number(Role::SalesStage).map(|number| format!("{number}")),
            amount: number(Role::Amount),
            currency: text(Role::Currency),
            closes_on: text(Role::CloseDate),
        }
    }

    /// Its stage in the CRM's list; `None` if the list does not have it.
    #[must_use]
    pub fn stage_in<'o>(&self, options: &'o CrmOptions) -> Option<&'o Stage> {
        let of_list = self.sales_stage.as_deref();
        of_list
            .and_then(|value| options.stages.iter().find(|stage| stage.value == value))
            .or_else(|| options.stage_of(self.stage.as_deref()?))
    }

    /// True if it is in the pipeline: open, and at the stage at which the pipeline begins or past it. Without
    /// such a stage every open opportunity is (CN-9, *Not sure*). With one, an opportunity whose stage the
    /// CRM's list does not have is not.
    #[must_use]
    pub fn in_pipeline(&self, begins_at: Option<&str>, options: Option<&CrmOptions>) -> bool {
        if !self.open {
            return false;
        }
        let Some(begins_at) = begins_at else {
            return true;
        };
        let place = |options: &CrmOptions| {
            let begin = options.stages.iter().find(|stage| stage.value == begins_at);
            Some((self.stage_in(options)?.position, begin?.position))
        };
        options
            .and_then(place)
            .is_some_and(|(own, begin)| own >= begin)
    }

    /// The order in lists: the furthest stage first, then the nearest day of closing.
    #[must_use]
    pub fn order(&self, options: Option<&CrmOptions>) -> impl Ord + use<> {
        let stage = options.and_then(|options| self.stage_in(options));
        (
            Reverse(stage.map(|stage| stage.position)),
            self.closes_on.is_none(),
            self.closes_on.clone(),
            self.id.clone(),
        )
    }
}

impl ContactRole {
    /// The part of these values; `None` if it names no opportunity or no contact, or is no longer active.
    #[must_use]
    pub fn of(crm: CrmKind, values: &Values) -> Option<Self> {
        let spec = vocabulary(crm).contact_role;
        let state = values
            .get(spec.read_as(Role::Status))
            .and_then(Value::as_i64);
        if state.is_some_and(|state| state != 0) {
            return None;
        }
        let primary = values.get(spec.read_as(Role::Primary));
        Some(Self {
            opportunity: text(spec, values, Role::Opportunity)?,
            contact: text(spec, values, Role::Contact)?,
            part: text(spec, values, Role::Part),
            primary: primary.and_then(Value::as_bool).unwrap_or(false),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{ContactRole, Opportunity};
    use crate::clock::Millis;
    use crate::inventory::{CrmOptions, Stage};
    use crate::linked_record::Values;
    use crate::schema::CrmKind;

    fn values(json: Value) -> Values {
        match json {
            Value::Object(values) => values,
            _ => Values::new(),
        }
    }

    fn options(crm: CrmKind, stages: &[(&str, &str)]) -> CrmOptions {
        let stages = stages.iter().zip(0..);
        CrmOptions {
            crm,
            fetched_at: Millis(0),
            stages: stages
                .map(|((value, label), position)| Stage {
                    value: (*value).to_owned(),
                    label: (*label).to_owned(),
                    position,
                    closed: false,
                    won: false,
                })
                .collect(),
            stages_note: None,
            value_fields: Vec::new(),
            value_fields_note: None,
            lead_sources: Vec::new(),
            lead_sources_note: None,
            currencies: Vec::new(),
            currencies_note: None,
        }
    }

    #[test]
    fn the_pipeline_begins_at_the_chosen_stage() {
        let options = options(
            CrmKind::Salesforce,
            &[
                ("Prospecting", "P"),
                ("Proposal", "Q"),
                ("Negotiation", "N"),
            ],
        );
        let of = |stage: &str, closed: bool| {
            let fields = json!({"StageName": stage, "IsClosed": closed, "Amount": 5});
            Opportunity::of(CrmKind::Salesforce, "006", &values(fields))
        };
        let begins = Some("Proposal");
        for (stage, closed, expected) in [
            ("Prospecting", false, false),
            ("Proposal", false, true),
            ("Negotiation", false, true),
            ("Negotiation", true, false),
            ("Unheard of", false, false),
        ] {
            let opportunity = of(stage, closed);
            assert_eq!(opportunity.in_pipeline(begins, Some(&options)), expected);
            assert!(!opportunity.in_pipeline(begins, None));
            assert_eq!(opportunity.in_pipeline(None, None), !closed);
        }
    }

    #[test]
    fn a_sales_stage_counts_before_the_text_of_a_stage() {
        let options = options(
            CrmKind::Dynamics365,
            &[("0", "Qualify"), ("1", "Develop"), ("2", "Propose")],
        );
        let stage = |fields: Value| {
            let opportunity = Opportunity::of(CrmKind::Dynamics365, "o", &values(fields));
            opportunity.stage_in(&options).map(|stage| stage.position)
        };
        let both = json!({"salesstage": 2, "stepname": "1-Qualify", "statecode": 0});
        assert_eq!(stage(both), Some(2));
        assert_eq!(stage(json!({"stepname": "2-Develop"})), Some(1));
        assert_eq!(stage(json!({"stepname": "Own"})), None);
        let lost = values(json!({"statecode": 2}));
        assert!(!Opportunity::of(CrmKind::Dynamics365, "o", &lost).open);
    }

    #[test]
    fn a_part_names_an_opportunity_and_a_contact() {
        let role = json!({"OpportunityId": "006", "ContactId": "003", "Role": "Evaluator", "IsPrimary": true});
        let role = ContactRole::of(CrmKind::Salesforce, &values(role)).unwrap();
        assert_eq!(
            (role.part.as_deref(), role.primary),
            (Some("Evaluator"), true)
        );
        let ended = json!({"_record1id_value": "o", "_record2id_value": "c", "statecode": 1});
        assert_eq!(ContactRole::of(CrmKind::Dynamics365, &values(ended)), None);
        let half = json!({"_record1id_value": "o"});
        assert_eq!(ContactRole::of(CrmKind::Dynamics365, &values(half)), None);
    }
}
