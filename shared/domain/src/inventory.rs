//! What a connected CRM lets its user read, and what it offers as choices for the settings
//! (CN-4, CN-9, CN-10).
//!
//! [`objects`] is the one list of what is imported (IM-1): the permission check compares it with
//! what the CRM shows, and the import reads it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::schema::CrmKind;
use crate::clock::Millis;
use crate::problem::Problem;

/// What a user may do with the records of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// See them.
    Read,
    /// Make new ones.
    Create,
    /// Change them.
    Update,
}

/// One object (Dataverse: table) of a CRM, with what is needed of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectSpec {
    /// The CRM's name for it: Salesforce's API name, Dataverse's logical name.
    pub name: &'static str,
    /// What people call it.
    pub label: &'static str,
    /// Nothing can be imported without it.
    pub required: bool,
    /// It is there only where the organisation has several currencies.
    pub several_currencies_only: bool,
    /// The fields that are imported, as the CRM's API sends them (a Dataverse look-up:
    /// `_owninguser_value`).
    pub fields: &'static [&'static str],
    /// Further fields, which are there only where the organisation has several currencies.
    pub currency_fields: &'static [&'static str],
    /// What the connected user has to be allowed. Leads and contacts are also written.
    pub rights: &'static [Right],
}

impl ObjectSpec {
    /// The fields that an organisation with one or with several currencies has.
    pub fn fields(&self, several_currencies: bool) -> impl Iterator<Item = &'static str> {
        let more: &'static [&'static str] = if several_currencies {
            self.currency_fields
        } else {
            &[]
        };
        self.fields.iter().chain(more).copied()
    }
}

const READ: &[Right] = &[Right::Read];
const READ_AND_WRITE: &[Right] = &[Right::Read, Right::Create, Right::Update];

const fn object(
    name: &'static str,
    label: &'static str,
    required: bool,
    rights: &'static [Right],
    fields: &'static [&'static str],
) -> ObjectSpec {
    ObjectSpec {
        name,
        label,
        required,
        several_currencies_only: false,
        fields,
        currency_fields: &[],
        rights,
    }
}

/// The field of every Salesforce record with an amount, where there are several currencies. It
/// has no field-level security, so that an object without it tells that there is one currency.
pub const SALESFORCE_CURRENCY_FIELD: &str = "CurrencyIsoCode";

/// The whitepaper's appendix "Objects and Fields Imported from CRM", field by field.
const DYNAMICS: &[ObjectSpec] = &[
    object(
        "account",
        "Account",
        true,
        READ,
        &[
            "accountid",
            "_owninguser_value",
            "_parentaccountid_value",
            "customertypecode",
            "revenue",
            "fax",
            "name",
            "numberofemployees",
            "telephone1",
            "industrycode",
            "tickersymbol",
            "websiteurl",
            "createdon",
            "modifiedon",
        ],
    ),
    object(
        "contact",
        "Contact",
        true,
        READ_AND_WRITE,
        &[
            "contactid",
            "_owninguser_value",
            "_parentcustomerid_value",
            "department",
            "emailaddress1",
            "fax",
            "firstname",
            "fullname",
            "jobtitle",
            "lastname",
            "leadsourcecode",
            "telephone1",
            "createdon",
            "modifiedon",
            "address1_line1",
            "address1_city",
            "address1_stateorprovince",
            "address1_postalcode",
            "address1_country",
            "address2_line1",
            "address2_city",
            "address2_stateorprovince",
            "address2_postalcode",
            "address2_country",
        ],
    ),
    object(
        "lead",
        "Lead",
        true,
        READ_AND_WRITE,
        &[
            "leadid",
            "_owninguser_value",
            "_qualifyingopportunityid_value",
            "statecode",
            "revenue",
            "companyname",
            "emailaddress1",
            "fax",
            "firstname",
            "fullname",
            "numberofemployees",
            "jobtitle",
            "lastname",
            "leadsourcecode",
            "mobilephone",
            "telephone1",
            "industrycode",
            "_transactioncurrencyid_value",
            "websiteurl",
            "createdon",
            "modifiedon",
            "address1_line1",
            "address1_city",
            "address1_stateorprovince",
            "address1_postalcode",
            "address1_country",
            "address2_line1",
            "address2_city",
            "address2_stateorprovince",
            "address2_postalcode",
            "address2_country",
        ],
    ),
    object(
        "opportunity",
        "Opportunity",
        true,
        READ,
        &[
            "opportunityid",
            "_owninguser_value",
            "_parentaccountid_value",
            "estimatedvalue",
            "statecode",
            "actualclosedate",
            "name",
            "stepname",
            "createdon",
            "modifiedon",
            "_parentcontactid_value",
        ],
    ),
    object(
        "systemuser",
        "User",
        true,
        READ,
        &[
            "systemuserid",
            "_positionid_value",
            "isdisabled",
            "fullname",
            "firstname",
            "lastname",
            "internalemailaddress",
            "mobilephone",
            "title",
            "createdon",
            "modifiedon",
        ],
    ),
    object(
        "position",
        "Position",
        false,
        READ,
        &[
            "positionid",
            "name",
            "_parentpositionid_value",
            "createdon",
            "modifiedon",
        ],
    ),
];

/// The counterparts in Salesforce, with what a delta of changes, deletions and merges needs
/// (`SystemModstamp`, `IsDeleted`, `MasterRecordId`, where the object has it). The names are those of
/// the object reference; `UserRole` has no `CreatedDate` and no `IsDeleted`.
const SALESFORCE: &[ObjectSpec] = &[
    object(
        "Account",
        "Account",
        true,
        READ,
        &[
            "Id",
            "OwnerId",
            "ParentId",
            "Type",
            "AnnualRevenue",
            "Fax",
            "Name",
            "NumberOfEmployees",
            "Phone",
            "Industry",
            "TickerSymbol",
            "Website",
            "CreatedDate",
            "LastModifiedDate",
            "SystemModstamp",
            "IsDeleted",
            "MasterRecordId",
        ],
    ),
    object(
        "Contact",
        "Contact",
        true,
        READ_AND_WRITE,
        &[
            "Id",
            "OwnerId",
            "AccountId",
            "Department",
            "Email",
            "Fax",
            "FirstName",
            "Name",
            "Title",
            "LastName",
            "LeadSource",
            "Phone",
            "CreatedDate",
            "LastModifiedDate",
            "SystemModstamp",
            "IsDeleted",
            "MasterRecordId",
            "MailingStreet",
            "MailingCity",
            "MailingState",
            "MailingPostalCode",
            "MailingCountry",
            "OtherStreet",
            "OtherCity",
            "OtherState",
            "OtherPostalCode",
            "OtherCountry",
        ],
    ),
    ObjectSpec {
        currency_fields: &[SALESFORCE_CURRENCY_FIELD],
        ..object(
            "Lead",
            "Lead",
            true,
            READ_AND_WRITE,
            &[
                "Id",
                "OwnerId",
                "ConvertedOpportunityId",
                "ConvertedContactId",
                "ConvertedAccountId",
                "IsConverted",
                "Status",
                "AnnualRevenue",
                "Company",
                "Email",
                "Fax",
                "FirstName",
                "Name",
                "NumberOfEmployees",
                "Title",
                "LastName",
                "LeadSource",
                "MobilePhone",
                "Phone",
                "Industry",
                "Website",
                "CreatedDate",
                "LastModifiedDate",
                "SystemModstamp",
                "IsDeleted",
                "MasterRecordId",
                "Street",
                "City",
                "State",
                "PostalCode",
                "Country",
            ],
        )
    },
    ObjectSpec {
        currency_fields: &[SALESFORCE_CURRENCY_FIELD],
        ..object(
            "Opportunity",
            "Opportunity",
            true,
            READ,
            &[
                "Id",
                "OwnerId",
                "AccountId",
                "Amount",
                "IsClosed",
                "IsWon",
                "CloseDate",
                "Name",
                "StageName",
                "CreatedDate",
                "LastModifiedDate",
                "SystemModstamp",
                "IsDeleted",
            ],
        )
    },
    object(
        "OpportunityContactRole",
        "Opportunity contact role",
        false,
        READ,
        &[
            "Id",
            "OpportunityId",
            "ContactId",
            "Role",
            "IsPrimary",
            "CreatedDate",
            "LastModifiedDate",
            "SystemModstamp",
            "IsDeleted",
        ],
    ),
    object(
        "User",
        "User",
        true,
        READ,
        &[
            "Id",
            "UserRoleId",
            "IsActive",
            "Name",
            "FirstName",
            "LastName",
            "Email",
            "MobilePhone",
            "Title",
            "CreatedDate",
            "LastModifiedDate",
            "SystemModstamp",
        ],
    ),
    object(
        "UserRole",
        "Role",
        false,
        READ,
        &[
            "Id",
            "Name",
            "ParentRoleId",
            "LastModifiedDate",
            "SystemModstamp",
        ],
    ),
    object(
        "OpportunityStage",
        "Opportunity stage",
        false,
        READ,
        &[
            "Id",
            "ApiName",
            "MasterLabel",
            "IsActive",
            "IsClosed",
            "IsWon",
            "SortOrder",
            "SystemModstamp",
        ],
    ),
    ObjectSpec {
        several_currencies_only: true,
        ..object(
            "CurrencyType",
            "Currency",
            false,
            READ,
            &[
                "Id",
                "IsoCode",
                "IsActive",
                "IsCorporate",
                "ConversionRate",
                "DecimalPlaces",
                "SystemModstamp",
            ],
        )
    },
];

/// The objects and fields that are imported from a CRM (IM-1).
#[must_use]
pub const fn objects(crm: CrmKind) -> &'static [ObjectSpec] {
    match crm {
        CrmKind::Salesforce => SALESFORCE,
        CrmKind::Dynamics365 => DYNAMICS,
    }
}

/// The name of a Dataverse privilege: `prv`, the right, and the table's schema name; users are
/// the one standard table whose privileges have another name. Table metadata names them too.
#[must_use]
pub fn dataverse_privilege(table: &str, right: Right) -> String {
    let stem = match table {
        "systemuser" => "User".to_owned(),
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

/// What the connected user can do with one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct ObjectAccess {
    /// The CRM's name for the object.
    pub object: String,
    /// What people call it.
    pub label: String,
    /// Nothing can be imported without it.
    pub required: bool,
    /// Records can be read.
    pub readable: bool,
    /// Whether every record can be read, and not only some: Dataverse's organisation level.
    /// Salesforce tells only of objects that everybody in the organisation may see; for others
    /// sharing decides record by record, and this is absent.
    pub all_records: Option<bool>,
    /// Imported fields that the user cannot see; none are listed where nothing can be read.
    pub missing_fields: Vec<String>,
    /// Needed rights that the user does not have.
    pub missing_rights: Vec<Right>,
    /// What the CRM's administrator has to do; absent where nothing is missing.
    pub next_step: Option<String>,
}

impl ObjectAccess {
    /// Whether the import can read it. Dataverse refuses change tracking to a user who reads less
    /// than the whole organisation's records.
    #[must_use]
    pub fn is_importable(&self) -> bool {
        self.readable && self.all_records != Some(false)
    }

    /// Whether nothing is missing.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.is_importable() && self.missing_fields.is_empty() && self.missing_rights.is_empty()
    }
}

/// What the connected user can do, object by object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct AccessReport {
    /// Which CRM was asked.
    pub crm: CrmKind,
    /// When it was asked.
    #[cfg_attr(feature = "http-api", schema(value_type = i64))]
    pub checked_at: Millis,
    /// In the order of [`objects`].
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

    /// The fields of one of its objects that are there and can be read, in the inventory's order.
    #[must_use]
    pub fn readable_fields(
        &self,
        spec: &'static ObjectSpec,
        access: &ObjectAccess,
    ) -> Vec<&'static str> {
        // An object of organisations with several currencies is in the report of those alone.
        let several_currencies = objects(self.crm)
            .iter()
            .filter(|spec| spec.several_currencies_only)
            .any(|spec| self.objects.iter().any(|object| object.object == spec.name));
        spec.fields(several_currencies)
            .filter(|field| !access.missing_fields.iter().any(|missing| missing == field))
            .collect()
    }

    /// Whether the import can run: every required object can be read. A field that is missing is
    /// left out, and a right to write is asked for again when something is written.
    #[must_use]
    pub fn is_sufficient(&self) -> bool {
        self.unreadable_required().is_empty()
    }

    /// Whether nothing at all is missing.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.objects.iter().all(ObjectAccess::is_complete)
    }
}

/// How an object appears in the CRM's metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appearance {
    /// It is described.
    Described,
    /// The CRM knows no such object, or hides it.
    Absent,
    /// The description is not as documented.
    NotUnderstood,
}

/// What the CRM showed of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// How it appears.
    pub appearance: Appearance,
    /// The fields that the user can read.
    pub fields: BTreeSet<String>,
    /// The rights that the user has.
    pub rights: Vec<Right>,
    /// See [`ObjectAccess::all_records`].
    pub all_records: Option<bool>,
}

impl Shown {
    /// An object of which nothing is seen.
    #[must_use]
    pub const fn nothing(appearance: Appearance) -> Self {
        Self {
            appearance,
            fields: BTreeSet::new(),
            rights: Vec::new(),
            all_records: None,
        }
    }
}

/// Compares what is needed of an object with what the CRM showed.
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

/// What a Salesforce administrator has to do, in the words of Salesforce's Setup.
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

/// What a Dynamics 365 administrator has to do, in the words of the Power Platform admin centre.
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

/// A stage of an opportunity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct Stage {
    /// What the setting keeps (Salesforce: the API name; Dataverse: the option's number, as text).
    pub value: String,
    /// What people see.
    pub label: String,
    /// Its place in the pipeline, from 0.
    pub position: u32,
    /// An opportunity in this stage is closed. Dynamics closes by a state of its own, and no stage.
    pub closed: bool,
    /// An opportunity in this stage is won.
    pub won: bool,
}

/// What a value field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ValueKind {
    /// An amount of money.
    Currency,
    /// Another number.
    Number,
}

/// A field of the opportunity that can hold the value of a won one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct ValueField {
    /// The CRM's name for it.
    pub name: String,
    /// What people see.
    pub label: String,
    /// What it holds.
    pub kind: ValueKind,
}

/// One choice of a picklist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct Choice {
    /// What is sent to the CRM (Dataverse: the number, as text).
    pub value: String,
    /// What people see.
    pub label: String,
}

/// A currency of the CRM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct Currency {
    /// ISO 4217.
    pub code: String,
    /// What people see; the code, where the CRM has no name for it.
    pub name: String,
}

/// What the CRM offers for the settings. A list that the CRM did not give is empty, and its note
/// says why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct CrmOptions {
    /// Which CRM was asked.
    pub crm: CrmKind,
    /// When it was asked.
    #[cfg_attr(feature = "http-api", schema(value_type = i64))]
    pub fetched_at: Millis,
    /// The opportunity's stages, in the pipeline's order.
    pub stages: Vec<Stage>,
    /// Why there are no stages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stages_note: Option<String>,
    /// The opportunity's currency fields, then its other numeric fields.
    pub value_fields: Vec<ValueField>,
    /// Why there are no value fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_fields_note: Option<String>,
    /// The lead sources.
    pub lead_sources: Vec<Choice>,
    /// Why there are no lead sources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lead_sources_note: Option<String>,
    /// The active currencies.
    pub currencies: Vec<Currency>,
    /// Why there are no currencies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currencies_note: Option<String>,
}

impl CrmOptions {
    /// The stage of an opportunity, by the text that is imported of it: Salesforce's `StageName` is
    /// a stage's value; Dynamics' `stepname` is a sales stage's label, which the standard process
    /// puts a number before (`1-Qualify`).
    #[must_use]
    pub fn stage_of(&self, imported: &str) -> Option<&Stage> {
        let imported = imported.trim();
        if let Some(stage) = self.stages.iter().find(|stage| stage.value == imported) {
            return Some(stage);
        }
        if self.crm == CrmKind::Salesforce {
            return None;
        }
        let by_label = |text: &str| {
            self.stages
                .iter()
                .find(|stage| stage.label.to_lowercase() == text.to_lowercase())
        };
        by_label(imported).or_else(|| {
            let (number, label) = imported.split_once('-')?;
            let number = number.trim();
            let numbered = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit());
            numbered.then(|| by_label(label.trim())).flatten()
        })
    }

    /// Refuses a stage that the CRM does not have.
    pub fn check_stage(&self, value: &str) -> Result<(), Problem> {
        let known = self.stages.iter().map(|stage| stage.value.as_str());
        self.check(
            value,
            known,
            "unknown_stage",
            "pipeline_stage",
            "opportunity stage",
            "Choose one of the stages that the CRM has now, or “Not sure” for all open opportunities.",
        )
    }

    /// Refuses a field that is none of the opportunity's numeric and currency fields.
    pub fn check_value_field(&self, name: &str) -> Result<(), Problem> {
        let known = self.value_fields.iter().map(|field| field.name.as_str());
        self.check(
            name,
            known,
            "unknown_value_field",
            "won_value_field",
            "numeric or currency field on the opportunity",
            "Choose one of the fields that the CRM has now, or “Not sure”.",
        )
    }

    /// Refuses a lead source that is not in the CRM's picklist.
    pub fn check_lead_source(&self, value: &str) -> Result<(), Problem> {
        let known = self.lead_sources.iter().map(|choice| choice.value.as_str());
        self.check(
            value,
            known,
            "unknown_lead_source",
            "lead_source",
            "active lead source",
            "Choose one of the lead sources that the CRM has now, or none.",
        )
    }

    /// Refuses a currency that is not one of the CRM's.
    pub fn check_currency(&self, code: &str) -> Result<(), Problem> {
        let known = self
            .currencies
            .iter()
            .map(|currency| currency.code.as_str());
        self.check(
            code,
            known,
            "unknown_currency",
            "currency",
            "active currency",
            "Choose one of the currencies that the CRM has now.",
        )
    }

    fn check<'a>(
        &self,
        value: &str,
        mut known: impl Iterator<Item = &'a str>,
        code: &str,
        field: &str,
        what: &str,
        next_step: &str,
    ) -> Result<(), Problem> {
        if known.any(|known| known == value) {
            return Ok(());
        }
        // The value is not repeated: it is whatever the caller sent.
        Err(Problem::new(
            422,
            code,
            format!("{} has no such {what}.", self.crm.label()),
            next_step,
        )
        .with_field(field))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOTH: [CrmKind; 2] = [CrmKind::Salesforce, CrmKind::Dynamics365];

    fn full(spec: &ObjectSpec) -> Shown {
        Shown {
            appearance: Appearance::Described,
            fields: spec.fields(true).map(str::to_owned).collect(),
            rights: spec.rights.to_vec(),
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

    fn options(crm: CrmKind) -> CrmOptions {
        let stage = |position: u32, value: &str, label: &str| Stage {
            value: value.to_owned(),
            label: label.to_owned(),
            position,
            closed: false,
            won: false,
        };
        CrmOptions {
            crm,
            fetched_at: Millis(1),
            stages: vec![
                stage(0, "0", "Qualify"),
                stage(1, "1", "Develop"),
                stage(2, "Needs Analysis", "Besoin"),
            ],
            stages_note: None,
            value_fields: vec![ValueField {
                name: "Amount".to_owned(),
                label: "Amount".to_owned(),
                kind: ValueKind::Currency,
            }],
            value_fields_note: None,
            lead_sources: vec![Choice {
                value: "Web".to_owned(),
                label: "Web".to_owned(),
            }],
            lead_sources_note: None,
            currencies: vec![Currency {
                code: "EUR".to_owned(),
                name: "Euro".to_owned(),
            }],
            currencies_note: None,
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
        // The appendix's counts: what it lists, and nothing else (IM-1).
        let counts: Vec<(&str, usize)> = DYNAMICS
            .iter()
            .map(|spec| (spec.name, spec.fields.len()))
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
                &SALESFORCE[0],
                false,
                &Shown {
                    all_records: None,
                    ..full(&SALESFORCE[0])
                },
            )],
            ..report
        };
        assert!(unknown.is_complete(), "what cannot be told is no finding");
    }

    #[test]
    fn currency_fields_are_needed_only_where_there_are_several_currencies() {
        let lead = SALESFORCE.iter().find(|spec| spec.name == "Lead").unwrap();
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

    #[test]
    fn settings_take_only_what_the_crm_offers() {
        for crm in BOTH {
            let options = options(crm);
            options.check_stage("0").unwrap();
            options.check_value_field("Amount").unwrap();
            options.check_lead_source("Web").unwrap();
            options.check_currency("EUR").unwrap();
            let refused = [
                (
                    options.check_stage("Qualify"),
                    "unknown_stage",
                    "pipeline_stage",
                ),
                (
                    options.check_value_field("amount"),
                    "unknown_value_field",
                    "won_value_field",
                ),
                (
                    options.check_lead_source(""),
                    "unknown_lead_source",
                    "lead_source",
                ),
                (
                    options.check_currency("eur"),
                    "unknown_currency",
                    "currency",
                ),
            ];
            for (result, code, field) in refused {
                let problem = result.unwrap_err();
                assert_eq!((problem.status, problem.code.as_str()), (422, code));
                assert_eq!(problem.field.as_deref(), Some(field));
                assert!(problem.next_step.starts_with("Choose"));
            }
        }
    }

    #[test]
    fn an_opportunitys_stage_is_found_by_what_is_imported() {
        let dynamics = options(CrmKind::Dynamics365);
        let position = |text: &str| dynamics.stage_of(text).map(|stage| stage.position);
        assert_eq!(
            position("1-Qualify"),
            Some(0),
            "the label counts, not the number"
        );
        assert_eq!(position("2-Develop"), Some(1));
        assert_eq!(position(" develop "), Some(1));
        assert_eq!(position("10 - Besoin"), Some(2));
        for unknown in ["", "-", "x-Qualify", "-Qualify", "3-Propose"] {
            assert_eq!(position(unknown), None, "{unknown}");
        }
        let salesforce = options(CrmKind::Salesforce);
        assert!(salesforce.stage_of("Needs Analysis").is_some());
        assert!(
            salesforce.stage_of("1-Qualify").is_none() && salesforce.stage_of("Besoin").is_none()
        );
    }

    proptest! {
        #[test]
        fn any_stage_text_is_read_or_unknown(text in "\\PC{0,20}") {
            for crm in BOTH {
                let options = options(crm);
                if let Some(stage) = options.stage_of(&text) {
                    prop_assert!(options.stages.contains(stage));
                }
            }
        }

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
