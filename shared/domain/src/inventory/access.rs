//! Access of a connected CRM's user, object by object, and the permissions that are missing (CN-4).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::clock::Millis;
use crate::schema::CrmKind;
use crate::vocabulary::{ObjectSpec, Right, objects};

/// The name of a Dataverse privilege: `prv`, the right, and the table's schema name; users are
/// the one standard table whose privileges have another name. Table metadata names them too.
#[must_use]
pub fn dataverse_privilege(table: &str, right: Right) -> String {
    let stem = match table {
        "systemuser" => "User".to_owned(),
        "connectionrole" => "ConnectionRole".to_owned(),
        "transactioncurrency" => "TransactionCurrency".to_owned(),
        table => {
            let mut letters = table.chars();
            letters.next().map_or_else(String::new, |first| {
                first.to_uppercase().chain(letters).collect()
            })
        }
    };
    let verb = match right {
        Right::Read => "Read",
        Right::Create => "Create",
        Right::Update => "Write",
    };
    format!("prv{verb}{stem}")
}

/// Access of the connected user to one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct ObjectAccess {
    /// The CRM's name for the object.
    pub object: String,
    /// Display name.
    pub label: String,
    /// True if nothing can be imported without it.
    pub required: bool,
    /// True if records can be read.
    pub readable: bool,
    /// True if the user can read every record (Dataverse: at organisation level). Salesforce reports this
    /// only for objects that everybody in the organisation may see; for others, sharing decides record by
    /// record, and this is absent.
    pub all_records: Option<bool>,
    /// Imported fields that the user cannot see; empty if nothing can be read.
    pub missing_fields: Vec<String>,
    /// Required rights that the user does not have.
    pub missing_rights: Vec<Right>,
    /// Instructions for the CRM's administrator; absent if nothing is missing.
    pub next_step: Option<String>,
    /// The options that the CRM currently lists for each imported choice. Known only during the check, and
    /// not part of the report that is stored and shown.
    #[serde(skip)]
    pub options: BTreeMap<String, BTreeSet<String>>,
}

impl ObjectAccess {
    /// True if the import can read the object. Dataverse refuses change tracking to a user who reads less
    /// than the whole organisation's records.
    #[must_use]
    pub fn is_importable(&self) -> bool {
        self.readable && self.all_records != Some(false)
    }

    /// True if nothing is missing.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.is_importable() && self.missing_fields.is_empty() && self.missing_rights.is_empty()
    }
}

/// Access of the connected user, object by object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct AccessReport {
    /// The CRM that was asked.
    pub crm: CrmKind,
    /// Time of the check.
    #[cfg_attr(feature = "http-api", schema(value_type = i64))]
    pub checked_at: Millis,
    /// Access by object, in the order of [`objects`].
    pub objects: Vec<ObjectAccess>,
}

impl AccessReport {
    /// The labels of required objects that cannot be imported.
    #[must_use]
    pub fn unreadable_required(&self) -> Vec<&str> {
        self.objects
            .iter()
            .filter(|object| object.required && !object.is_importable())
            .map(|object| object.label.as_str())
            .collect()
    }

    /// The fields of one of its objects that exist and can be read, in the inventory's order.
    #[must_use]
    pub fn readable_fields(
        &self,
        spec: &'static ObjectSpec,
        access: &ObjectAccess,
    ) -> Vec<&'static str> {
        // The report includes an object of several currencies only for organisations that have them.
        let several_currencies = objects(self.crm)
            .iter()
            .filter(|spec| spec.several_currencies_only)
            .any(|spec| self.objects.iter().any(|object| object.object == spec.name));
        spec.fields(several_currencies)
            .filter(|field| !access.missing_fields.iter().any(|missing| missing == field))
            .collect()
    }

    /// True if the import can run: every required object can be read. A missing field is left out, and a
    /// right to write is checked again when something is written.
    #[must_use]
    pub fn is_sufficient(&self) -> bool {
        self.unreadable_required().is_empty()
    }

    /// True if nothing at all is missing.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.objects.iter().all(ObjectAccess::is_complete)
    }
}

/// The form in which an object appears in the CRM's metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appearance {
    /// It is described.
    Described,
    /// The CRM knows no such object, or hides it.
    Absent,
    /// The description is not as documented.
    NotUnderstood,
}

/// The CRM's answer about one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Its appearance in the metadata.
    pub appearance: Appearance,
    /// The fields that the user can read.
    pub fields: BTreeSet<String>,
    /// The rights that the user has.
    pub rights: Vec<Right>,
    /// See [`ObjectAccess::options`].
    pub options: BTreeMap<String, BTreeSet<String>>,
    /// See [`ObjectAccess::all_records`].
    pub all_records: Option<bool>,
}

impl Shown {
    /// An object without any metadata.
    #[must_use]
    pub const fn nothing(appearance: Appearance) -> Self {
        Self {
            appearance,
            fields: BTreeSet::new(),
            rights: Vec::new(),
            options: BTreeMap::new(),
            all_records: None,
        }
    }
}

/// Compares the requirements for an object with the CRM's answer.
#[must_use]
pub fn assess(
    crm: CrmKind,
    spec: &ObjectSpec,
    several_currencies: bool,
    shown: &Shown,
) -> ObjectAccess {
    let missing_rights: Vec<Right> = spec
        .rights
        .iter()
        .filter(|right| !shown.rights.contains(right))
        .copied()
        .collect();
    let readable =
        shown.appearance == Appearance::Described && !missing_rights.contains(&Right::Read);
    let missing_fields: Vec<String> = spec
        .fields(several_currencies)
        .filter(|field| readable && !shown.fields.contains(*field))
        .map(str::to_owned)
        .collect();
    let mut access = ObjectAccess {
        object: spec.name.to_owned(),
        label: spec.label.to_owned(),
        required: spec.required,
        readable,
        all_records: shown.all_records.filter(|_| readable),
        missing_fields,
        missing_rights,
        next_step: None,
        options: spec
            .imported(several_currencies)
            .filter(|field| field.kind.is_choice())
            .filter_map(|field| shown.options.get_key_value(field.name))
            .map(|(field, options)| (field.clone(), options.clone()))
            .collect(),
    };
    if !access.is_complete() {
        access.next_step = Some(match (crm, shown.appearance) {
            (_, Appearance::NotUnderstood) => format!(
                "{} described {} in a way that is not understood. Check again; if it stays so, tell the operator.",
                crm.label(),
                spec.name
            ),
            (CrmKind::Salesforce, _) => salesforce_step(&access),
            (CrmKind::Dynamics365, Appearance::Absent) => format!(
                "The organisation has no table {}: connect an environment with Dynamics 365 Sales, or have it installed there, then check again.",
                spec.name
            ),
            (CrmKind::Dynamics365, Appearance::Described) => dynamics_step(&access),
        });
    }
    access
}

/// Instructions for a Salesforce administrator, in the words of Salesforce's Setup.
fn salesforce_step(access: &ObjectAccess) -> String {
    let object = access.object.as_str();
    let mut grants = Vec::new();
    if matches!(
        object,
        "User" | "UserRole" | "OpportunityStage" | "CurrencyType"
    ) {
        // Objects of the set-up, which have no object permissions.
        if !access.readable {
            grants.push(format!(
                "the system permission “View Setup and Configuration” (for {object})"
            ));
        }
    } else {
        let permissions: Vec<&str> = access
            .missing_rights
            .iter()
            .map(|right| match right {
                Right::Read => "Read",
                Right::Create => "Create",
                Right::Update => "Edit",
            })
            .collect();
        if !permissions.is_empty() {
            grants.push(format!(
                "the object permissions {} on {object}",
                permissions.join(", ")
            ));
        }
    }
    if !access.missing_fields.is_empty() {
        grants.push(format!(
            "read access by field-level security to {object}’s fields {}",
            access.missing_fields.join(", ")
        ));
    }
    format!(
        "In Salesforce Setup, give the connected user’s permission set {}, then check again.",
        grants.join(", and ")
    )
}

/// Instructions for a Dynamics 365 administrator, in the words of the Power Platform admin centre.
fn dynamics_step(access: &ObjectAccess) -> String {
    let table = access.object.as_str();
    let mut steps = Vec::new();
    if !access.is_importable() {
        steps.push(format!(
            "give a security role of the connected user the privilege {} at organisation level",
            dataverse_privilege(table, Right::Read)
        ));
    }
    let writes: Vec<String> = access
        .missing_rights
        .iter()
        .filter(|right| **right != Right::Read)
        .map(|right| dataverse_privilege(table, *right))
        .collect();
    if !writes.is_empty() {
        steps.push(format!(
            "give a security role of the connected user the privileges {} (with Append and Append To on {})",
            writes.join(", "),
            access.label
        ));
    }
    if !access.missing_fields.is_empty() {
        steps.push(format!(
            "allow Read on the columns {} of {table} in a column security profile of the connected user; a column that the table does not have is left out of the import",
            access.missing_fields.join(", ")
        ));
    }
    format!(
        "In the Power Platform admin centre, {}. Then check again.",
        steps.join("; ")
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::vocabulary::{SALESFORCE_CURRENCY_FIELD, vocabulary};

    const BOTH: [CrmKind; 2] = [CrmKind::Salesforce, CrmKind::Dynamics365];

    fn full(spec: &ObjectSpec) -> Shown {
        Shown {
            appearance: Appearance::Described,
            fields: spec.fields(true).map(str::to_owned).collect(),
            rights: spec.rights.to_vec(),
            options: BTreeMap::new(),
            all_records: Some(true),
        }
    }

    fn report(crm: CrmKind, mut shown: impl FnMut(&ObjectSpec) -> Shown) -> AccessReport {
        AccessReport {
            crm,
            checked_at: Millis(1),
            objects: objects(crm)
                .iter()
                .map(|spec| assess(crm, spec, true, &shown(spec)))
                .collect(),
        }
    }

    #[test]
    fn the_list_names_each_object_and_field_once() {
        for crm in BOTH {
            let names: BTreeSet<&str> = objects(crm).iter().map(|spec| spec.name).collect();
            assert_eq!(names.len(), objects(crm).len());
            for spec in objects(crm) {
                let fields: Vec<&str> = spec.fields(true).collect();
                let unique: BTreeSet<&str> = fields.iter().copied().collect();
                assert_eq!(unique.len(), fields.len(), "{}", spec.name);
                assert_eq!(spec.rights.first(), Some(&Right::Read));
            }
        }
        // The appendix's counts: its fields, and nothing else (IM-1).
        let counts: Vec<(&str, usize)> = objects(CrmKind::Dynamics365)
            .iter()
            .map(|spec| (spec.name, spec.listed().count()))
            .filter(|(_, listed)| *listed > 0)
            .collect();
        assert_eq!(
            counts,
            [
                ("account", 14),
                ("contact", 24),
                ("lead", 31),
                ("opportunity", 11),
                ("systemuser", 11),
                ("position", 5)
            ]
        );
    }

    #[test]
    fn what_is_required_is_what_the_import_needs() {
        let required = |crm| -> Vec<&str> {
            let specs = objects(crm).iter().filter(|spec| spec.required);
            specs.map(|spec| spec.name).collect()
        };
        assert_eq!(
            required(CrmKind::Salesforce),
            ["Account", "Contact", "Lead", "Opportunity", "User"]
        );
        assert_eq!(
            required(CrmKind::Dynamics365),
            ["account", "contact", "lead", "opportunity", "systemuser"]
        );
    }

    #[test]
    fn full_access_is_complete_and_asks_for_nothing() {
        for crm in BOTH {
            let report = report(crm, full);
            assert!(report.is_complete() && report.is_sufficient());
            assert!(
                report
                    .objects
                    .iter()
                    .all(|object| object.next_step.is_none())
            );
        }
    }

    #[test]
    fn each_thing_taken_away_is_exactly_that_finding() {
        for crm in BOTH {
            for spec in objects(crm) {
                for field in spec.fields(true) {
                    let mut shown = full(spec);
                    shown.fields.remove(field);
                    let access = assess(crm, spec, true, &shown);
                    assert_eq!(access.missing_fields, [field]);
                    assert!(access.missing_rights.is_empty() && access.readable);
                    assert!(access.next_step.unwrap().contains(field));
                }
                for right in spec.rights {
                    let mut shown = full(spec);
                    shown.rights.retain(|held| held != right);
                    let access = assess(crm, spec, true, &shown);
                    assert_eq!(access.missing_rights, [*right]);
                    assert_eq!(access.readable, *right != Right::Read);
                    assert!(access.missing_fields.is_empty());
                    assert!(
                        access
                            .next_step
                            .unwrap()
                            .to_lowercase()
                            .contains("then check again")
                    );
                }
                for appearance in [Appearance::Absent, Appearance::NotUnderstood] {
                    let access = assess(crm, spec, true, &Shown::nothing(appearance));
                    assert!(!access.readable && access.missing_fields.is_empty());
                    assert!(access.next_step.unwrap().contains(spec.name));
                }
            }
        }
    }

    #[test]
    fn less_than_the_organisations_records_is_a_finding() {
        let report = report(CrmKind::Dynamics365, |spec| Shown {
            all_records: Some(spec.name != "lead"),
            ..full(spec)
        });
        assert_eq!(report.unreadable_required(), ["Lead"]);
        assert!(!report.is_sufficient() && !report.is_complete());
        let lead = report.objects.iter().find(|object| object.object == "lead");
        let step = lead.and_then(|lead| lead.next_step.as_deref()).unwrap();
        assert!(step.contains("prvReadLead at organisation level"), "{step}");
    }

    #[test]
    fn optional_objects_fields_and_writes_do_not_stop_the_import() {
        let report = report(CrmKind::Salesforce, |spec| match spec.name {
            "UserRole" => Shown::nothing(Appearance::Absent),
            "Lead" => Shown {
                rights: vec![Right::Read],
                ..full(spec)
            },
            "Account" => Shown {
                fields: BTreeSet::from(["Id".to_owned()]),
                ..full(spec)
            },
            _ => full(spec),
        });
        assert!(report.is_sufficient() && !report.is_complete());
        let unknown = AccessReport {
            objects: vec![assess(
                CrmKind::Salesforce,
                &objects(CrmKind::Salesforce)[0],
                false,
                &Shown {
                    all_records: None,
                    ..full(&objects(CrmKind::Salesforce)[0])
                },
            )],
            ..report
        };
        assert!(unknown.is_complete(), "what cannot be told is no finding");
    }

    #[test]
    fn currency_fields_are_needed_only_where_there_are_several_currencies() {
        let lead = vocabulary(CrmKind::Salesforce).lead;
        let mut shown = full(lead);
        shown.fields.remove(SALESFORCE_CURRENCY_FIELD);
        assert!(assess(CrmKind::Salesforce, lead, false, &shown).is_complete());
        assert_eq!(
            assess(CrmKind::Salesforce, lead, true, &shown).missing_fields,
            [SALESFORCE_CURRENCY_FIELD]
        );
    }

    #[test]
    fn privileges_have_dataverses_names() {
        assert_eq!(
            dataverse_privilege("account", Right::Read),
            "prvReadAccount"
        );
        assert_eq!(dataverse_privilege("lead", Right::Update), "prvWriteLead");
        assert_eq!(
            dataverse_privilege("systemuser", Right::Read),
            "prvReadUser"
        );
        assert_eq!(dataverse_privilege("", Right::Create), "prvCreate");
    }

    proptest! {
        #[test]
        fn a_report_finds_what_is_missing_and_nothing_else(
            hidden in proptest::collection::vec(any::<bool>(), 40),
            rights in proptest::sample::subsequence(vec![Right::Read, Right::Create, Right::Update], 0..=3),
            index in 0_usize..6,
        ) {
            for crm in BOTH {
                let spec = &objects(crm)[index];
                let kept: BTreeSet<String> = spec
                    .fields(true)
                    .zip(&hidden)
                    .filter(|(_, hidden)| !**hidden)
                    .map(|(name, _)| name.to_owned())
                    .collect();
                let shown = Shown {
                    appearance: Appearance::Described,
                    fields: kept.clone(),
                    rights: rights.clone(),
                    options: BTreeMap::new(),
                    all_records: None,
                };
                let access = assess(crm, spec, true, &shown);
                prop_assert_eq!(access.next_step.is_none(), access.is_complete());
                for field in spec.fields(true) {
                    let missing = access.missing_fields.iter().any(|name| name == field);
                    prop_assert_eq!(missing, access.readable && !kept.contains(field));
                }
                for right in spec.rights {
                    prop_assert_eq!(access.missing_rights.contains(right), !rights.contains(right));
                }
            }
        }
    }
}
