//! Objects and fields, as a freshly made organisation has them, and their custom additions.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A field's type, by the name describe gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Id,
    Boolean,
    String,
    Email,
    Phone,
    Url,
    Textarea,
    Picklist,
    Multipicklist,
    Int,
    Double,
    Currency,
    Percent,
    Date,
    Datetime,
    Reference,
    Address,
}

impl Kind {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        serde_json::from_value(Value::from(text.to_ascii_lowercase())).ok()
    }

    pub(crate) fn name(self) -> String {
        serde_json::to_value(self)
            .ok()
            .and_then(|v| v.as_str().map(str::to_owned))
            .unwrap_or_default()
    }

    pub(crate) fn soap(self) -> &'static str {
        match self {
            Self::Id | Self::Reference => "tns:ID",
            Self::Boolean => "xsd:boolean",
            Self::Int => "xsd:int",
            Self::Double | Self::Currency | Self::Percent => "xsd:double",
            Self::Date => "xsd:date",
            Self::Datetime => "xsd:dateTime",
            Self::Address => "urn:address",
            _ => "xsd:string",
        }
    }

    pub(crate) fn is_number(self) -> bool {
        matches!(
            self,
            Self::Int | Self::Double | Self::Currency | Self::Percent
        )
    }

    pub(crate) fn is_text(self) -> bool {
        matches!(
            self,
            Self::String
                | Self::Email
                | Self::Phone
                | Self::Url
                | Self::Textarea
                | Self::Picklist
                | Self::Multipicklist
        )
    }
}

/// One field.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "describe answers with these switches"
)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) label: String,
    pub(crate) kind: Kind,
    pub(crate) length: usize,
    pub(crate) nillable: bool,
    pub(crate) createable: bool,
    pub(crate) updateable: bool,
    pub(crate) default: Option<Value>,
    pub(crate) defaulted: bool,
    pub(crate) digits: u32,
    pub(crate) scale: u32,
    pub(crate) values: Vec<String>,
    pub(crate) restricted: bool,
    pub(crate) reference_to: Vec<String>,
    pub(crate) relationship: Option<String>,
    pub(crate) external_id: bool,
    pub(crate) unique: bool,
}

impl Field {
    pub(crate) fn custom(&self) -> bool {
        self.name.ends_with("__c")
    }

    pub(crate) fn is_required(&self) -> bool {
        !self.nillable && !self.defaulted && self.createable && self.kind != Kind::Boolean
    }

    pub(crate) fn id_lookup(&self) -> bool {
        self.external_id || self.kind == Kind::Id || self.kind == Kind::Email
    }

    /// Reads `Name;type;length;flag;key=value`.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut parts = line.split(';').map(str::trim);
        let name = parts.next()?.to_owned();
        let kind = Kind::parse(parts.next()?)?;
        let length = parts.next().and_then(|n| n.parse().ok()).unwrap_or(0);
        let mut field = Self {
            label: label_of(&name),
            name,
            kind,
            length,
            nillable: kind != Kind::Boolean,
            createable: true,
            updateable: true,
            default: (kind == Kind::Boolean).then_some(Value::Bool(false)),
            defaulted: kind == Kind::Boolean,
            digits: if kind == Kind::Int { 8 } else { 0 },
            scale: 0,
            values: Vec::new(),
            restricted: false,
            reference_to: Vec::new(),
            relationship: None,
            external_id: false,
            unique: false,
        };
        for flag in parts {
            match flag.split_once('=').unwrap_or((flag, "")) {
                ("req", _) => field.nillable = false,
                ("ro", _) => (field.createable, field.updateable) = (false, false),
                ("noupd", _) => field.updateable = false,
                ("auto", _) => (field.nillable, field.defaulted) = (false, true),
                ("restricted", _) => field.restricted = true,
                ("ext", _) => field.external_id = true,
                ("unique", _) => field.unique = true,
                ("def", value) => {
                    field.default = Some(Value::from(value));
                    field.defaulted = true;
                }
                ("pick", values) => field.values = values.split('|').map(str::to_owned).collect(),
                ("ref", names) => {
                    field.reference_to = names.split('|').map(str::to_owned).collect();
                }
                ("rel", value) => field.relationship = Some(value.to_owned()),
                ("label", value) => value.clone_into(&mut field.label),
                ("scale", value) => field.scale = value.parse().unwrap_or(0),
                _ => {}
            }
        }
        Some(field)
    }
}

fn label_of(name: &str) -> String {
    let name = name.strip_suffix("__c").unwrap_or(name);
    let mut out = String::new();
    for (at, letter) in name.char_indices() {
        if letter == '_' {
            out.push(' ');
            continue;
        }
        if at > 0
            && letter.is_uppercase()
            && !out.ends_with([' '])
            && !out.ends_with(char::is_uppercase)
        {
            out.push(' ');
        }
        out.push(letter);
    }
    match out.strip_suffix(" Id") {
        Some(head) => format!("{head} ID"),
        None => out,
    }
}

/// One object.
#[derive(Clone, Debug)]
pub(crate) struct ObjectType {
    pub(crate) name: String,
    pub(crate) plural: String,
    pub(crate) prefix: String,
    pub(crate) fields: Vec<Field>,
    by_name: HashMap<String, usize>,
}

impl ObjectType {
    pub(crate) fn new(name: &str, plural: &str, prefix: &str, fields: Vec<Field>) -> Self {
        let by_name = fields
            .iter()
            .enumerate()
            .map(|(at, field)| (field.name.to_lowercase(), at))
            .collect();
        Self {
            name: name.into(),
            plural: plural.into(),
            prefix: prefix.into(),
            fields,
            by_name,
        }
    }

    pub(crate) fn field(&self, name: &str) -> Option<&Field> {
        self.by_name
            .get(&name.to_lowercase())
            .and_then(|at| self.fields.get(*at))
    }

    /// The lookup whose relationship has this name.
    pub(crate) fn relation(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|f| {
            f.relationship
                .as_deref()
                .is_some_and(|rel| rel.eq_ignore_ascii_case(name))
        })
    }

    pub(crate) fn indexed(&self) -> impl Iterator<Item = String> {
        const PARENTS: &[&str] = &["AccountId", "OpportunityId", "ContactId"];
        self.fields
            .iter()
            .filter(|f| {
                let parent = PARENTS.contains(&f.name.as_str());
                f.unique || f.external_id || f.kind == Kind::Email || parent
            })
            .map(|f| f.name.clone())
    }

    /// True if the name is built from first and last name.
    pub(crate) fn is_person(&self) -> bool {
        self.field("LastName").is_some()
    }
}

const INDUSTRIES: &str = "Agriculture|Apparel|Banking|Biotechnology|Chemicals|Communications|\
Construction|Consulting|Education|Electronics|Energy|Engineering|Entertainment|Environmental|\
Finance|Food & Beverage|Government|Healthcare|Hospitality|Insurance|Machinery|Manufacturing|Media|\
Not For Profit|Recreation|Retail|Shipping|Technology|Telecommunications|Transportation|Utilities|\
Other";
const SOURCES: &str = "Web|Phone Inquiry|Partner Referral|Purchased List|Other";

const SYSTEM: &str = "CreatedDate;datetime;0;ro;auto
CreatedById;reference;18;ro;auto;ref=User;rel=CreatedBy
LastModifiedDate;datetime;0;ro;auto
LastModifiedById;reference;18;ro;auto;ref=User;rel=LastModifiedBy
SystemModstamp;datetime;0;ro;auto";

const OWNER: &str = "OwnerId;reference;18;auto;ref=Group|User;rel=Owner";

const LEAD: &str = "MasterRecordId;reference;18;ro;ref=Lead;rel=MasterRecord
LastName;string;80;req
FirstName;string;40
Salutation;picklist;40;pick=Mr.|Ms.|Mrs.|Dr.|Prof.
Name;string;121;ro;req;label=Full Name
Title;string;128
Company;string;255;req
Street;textarea;255
City;string;40
State;string;80;label=State/Province
PostalCode;string;20;label=Zip/Postal Code
Country;string;80
Latitude;double;0;scale=15
Longitude;double;0;scale=15
Address;address;0;ro
Phone;phone;40
MobilePhone;phone;40
Fax;phone;40
Email;email;80
Website;url;255
Description;textarea;32000
LeadSource;picklist;255;pick=SOURCES
Status;picklist;255;req;def=Open - Not Contacted;pick=Open - Not Contacted|Working - Contacted|Closed - Converted|Closed - Not Converted
Industry;picklist;255;pick=INDUSTRIES
Rating;picklist;255;restricted;pick=Hot|Warm|Cold
AnnualRevenue;currency;0
NumberOfEmployees;int;0;label=Employees
HasOptedOutOfEmail;boolean;0;label=Email Opt Out
DoNotCall;boolean;0
IsConverted;boolean;0;ro;label=Converted
ConvertedDate;date;0;ro
ConvertedAccountId;reference;18;ro;ref=Account;rel=ConvertedAccount
ConvertedContactId;reference;18;ro;ref=Contact;rel=ConvertedContact
ConvertedOpportunityId;reference;18;ro;ref=Opportunity;rel=ConvertedOpportunity
IsUnreadByOwner;boolean;0
LastActivityDate;date;0;ro
EmailBouncedReason;string;255
EmailBouncedDate;datetime;0
Jigsaw;string;20
Score__c;double;0;scale=2
Interest__c;multipicklist;4099;pick=Product A|Product B|Product C|Newsletter
Event_Date__c;date;0
Country_Code__c;picklist;255;restricted;pick=DE|AT|CH|FR|GB|US|NL|ES|IT
Consent__c;boolean;0
Consent_Date__c;datetime;0
Campaign_Id__c;string;64
Budget__c;string;255
Utm_Campaign__c;string;255";

const CONTACT: &str = "MasterRecordId;reference;18;ro;ref=Contact;rel=MasterRecord
AccountId;reference;18;ref=Account;rel=Account
LastName;string;80;req
FirstName;string;40
Salutation;picklist;40;pick=Mr.|Ms.|Mrs.|Dr.|Prof.
Name;string;121;ro;req;label=Full Name
MailingStreet;textarea;255
MailingCity;string;40
MailingState;string;80
MailingPostalCode;string;20
MailingCountry;string;80
MailingAddress;address;0;ro
OtherStreet;textarea;255
OtherCity;string;40
OtherState;string;80
OtherPostalCode;string;20
OtherCountry;string;80
OtherAddress;address;0;ro
OtherPhone;phone;40
Phone;phone;40
Fax;phone;40
MobilePhone;phone;40
HomePhone;phone;40
Email;email;80
Title;string;128
Department;string;80
AssistantName;string;40
LeadSource;picklist;255;pick=SOURCES
Birthdate;date;0
Description;textarea;32000
ReportsToId;reference;18;ref=Contact;rel=ReportsTo
HasOptedOutOfEmail;boolean;0;label=Email Opt Out
DoNotCall;boolean;0
LastActivityDate;date;0;ro
Score__c;double;0;scale=2
Interest__c;multipicklist;4099;pick=Product A|Product B|Product C|Newsletter
Country_Code__c;picklist;255;restricted;pick=DE|AT|CH|FR|GB|US|NL|ES|IT";

const ACCOUNT: &str = "MasterRecordId;reference;18;ro;ref=Account;rel=MasterRecord
Name;string;255;req;label=Account Name
Type;picklist;255;pick=Prospect|Customer - Direct|Customer - Channel|Other
ParentId;reference;18;ref=Account;rel=Parent
BillingStreet;textarea;255
BillingCity;string;40
BillingState;string;80
BillingPostalCode;string;20
BillingCountry;string;80
BillingAddress;address;0;ro
ShippingStreet;textarea;255
ShippingCity;string;40
ShippingState;string;80
ShippingPostalCode;string;20
ShippingCountry;string;80
ShippingAddress;address;0;ro
Phone;phone;40
Fax;phone;40
AccountNumber;string;40
Website;url;255
Industry;picklist;255;pick=INDUSTRIES
AnnualRevenue;currency;0
NumberOfEmployees;int;0;label=Employees
Ownership;picklist;255;pick=Public|Private|Subsidiary|Other
TickerSymbol;string;20
Description;textarea;32000
Rating;picklist;255;pick=Hot|Warm|Cold
AccountSource;picklist;255;pick=SOURCES
LastActivityDate;date;0;ro";

const OPPORTUNITY: &str = "AccountId;reference;18;ref=Account;rel=Account
ContactId;reference;18;noupd;ref=Contact;rel=Contact
Name;string;120;req
Description;textarea;32000
StageName;picklist;255;req;pick=Prospecting|Qualification|Needs Analysis|Value Proposition|Id. Decision Makers|Perception Analysis|Proposal/Price Quote|Negotiation/Review|Closed Won|Closed Lost
Amount;currency;0;scale=2
Probability;percent;0
ExpectedRevenue;currency;0;ro;scale=2;label=Expected Amount
TotalOpportunityQuantity;double;0;scale=2;label=Quantity
CloseDate;date;0;req
Type;picklist;255;pick=Existing Customer - Upgrade|New Customer
NextStep;string;255
LeadSource;picklist;255;pick=SOURCES
IsClosed;boolean;0;ro
IsWon;boolean;0;ro
ForecastCategory;picklist;40;ro;auto;restricted;pick=Omitted|Pipeline|BestCase|MostLikely|Forecast|Closed
ForecastCategoryName;picklist;255;restricted;pick=Omitted|Pipeline|Best Case|Most Likely|Commit|Closed;label=Forecast Category
LastActivityDate;date;0;ro";

const CONTACT_ROLE: &str = "OpportunityId;reference;18;req;noupd;ref=Opportunity;rel=Opportunity
ContactId;reference;18;req;ref=Contact;rel=Contact
Role;picklist;255;pick=Business User|Decision Maker|Economic Buyer|Economic Decision Maker|Evaluator|Executive Sponsor|Influencer|Technical Buyer|Other
IsPrimary;boolean;0;label=Primary";

const STAGE: &str = "MasterLabel;string;255;ro
ApiName;string;255;ro;label=API Name
IsActive;boolean;0;ro
SortOrder;int;0;ro
IsClosed;boolean;0;ro;label=Closed
IsWon;boolean;0;ro;label=Won
ForecastCategory;picklist;40;ro;restricted;pick=Omitted|Pipeline|BestCase|MostLikely|Forecast|Closed
ForecastCategoryName;picklist;255;ro;restricted;pick=Omitted|Pipeline|Best Case|Most Likely|Commit|Closed
DefaultProbability;percent;0;ro;label=Probability (%)
Description;string;255;ro";

const CURRENCY: &str =
    "IsoCode;picklist;40;ro;req;restricted;pick=EUR|USD|GBP;label=Currency ISO Code
ConversionRate;double;0;ro;scale=6
DecimalPlaces;int;0;ro
IsActive;boolean;0;ro;label=Active
IsCorporate;boolean;0;ro;label=Corporate Currency";

const ROLE: &str = "Name;string;80;req
ParentRoleId;reference;18;ref=UserRole
RollupDescription;string;80
OpportunityAccessForAccountOwner;picklist;40;restricted;def=Edit;pick=None|Read|Edit
DeveloperName;string;80;req
PortalType;picklist;40;restricted;def=None;pick=None|CustomerPortal|Partner";

const USER: &str = "Username;string;80;req
LastName;string;80;req
FirstName;string;40
Name;string;121;ro;req;label=Full Name
Email;email;128;req
Alias;string;8;req
IsActive;boolean;0
UserType;picklist;40;ro;auto;pick=Standard|PowerPartner|CsnOnly|Guest
TimeZoneSidKey;picklist;40;restricted;def=Europe/Berlin;pick=Europe/Berlin|America/New_York|UTC
LanguageLocaleKey;picklist;40;restricted;def=en_US;pick=en_US|de
LocaleSidKey;picklist;40;restricted;def=en_US;pick=en_US|de_DE
FederationIdentifier;string;512
Title;string;80
Department;string;80
Phone;phone;40
MobilePhone;phone;40
UserRoleId;reference;18;ref=UserRole;rel=UserRole
ManagerId;reference;18;ref=User;rel=Manager
ProfileId;reference;18;ref=Profile";

const TASK: &str = "WhoId;reference;18;ref=Contact|Lead;rel=Who
WhatId;reference;18;ref=Account|Opportunity;rel=What
Subject;string;255
ActivityDate;date;0;label=Due Date Only
Status;picklist;255;req;def=Not Started;pick=Not Started|In Progress|Completed|Waiting on someone else|Deferred
Priority;picklist;255;req;def=Normal;pick=High|Normal|Low
IsHighPriority;boolean;0;ro
Description;textarea;32000
Type;picklist;255;pick=Call|Email|Meeting|Other
AccountId;reference;18;ro;ref=Account;rel=Account
IsClosed;boolean;0;ro
TaskSubtype;picklist;40;noupd;restricted;def=Task;pick=Task|Email|ListEmail|Cadence|Call|LinkedIn
CallDurationInSeconds;int;0
CallType;picklist;40;restricted;pick=Internal|Inbound|Outbound
CallDisposition;string;255
CallObject;string;255
IsArchived;boolean;0;ro";

const TASK_STATUS: &str = "MasterLabel;string;255;ro
ApiName;string;255;ro;label=API Name
SortOrder;int;0;ro
IsDefault;boolean;0;ro;label=Default
IsClosed;boolean;0;ro;label=Closed";

const CONTENT_NOTE: &str = "Title;string;255;req
Content;textarea;0
TextPreview;string;255;ro
ContentSize;int;0;ro
FileType;string;20;ro
OwnerId;reference;18;ro;auto;ref=User;rel=Owner";

const CONTENT_LINK: &str =
    "ContentDocumentId;reference;18;req;noupd;ref=ContentNote;rel=ContentDocument
LinkedEntityId;reference;18;req;noupd;ref=Account|Contact|Lead|Opportunity|User;rel=LinkedEntity
ShareType;picklist;40;req;restricted;pick=V|C|I
Visibility;picklist;40;restricted;pick=AllUsers|InternalUsers|SharedUsers";

const NOTE: &str = "ParentId;reference;18;req;noupd;ref=Account|Contact|Lead|Opportunity;rel=Parent
Title;string;80;req
Body;textarea;32000
IsPrivate;boolean;0";

const ORGANIZATION: &str = "Name;string;80;ro;req
Division;string;80;ro
Street;textarea;255;ro
City;string;40;ro
State;string;80;ro
PostalCode;string;20;ro
Country;string;80;ro
Address;address;0;ro
Phone;phone;40;ro
Fax;phone;40;ro
PrimaryContact;string;80;ro
FiscalYearStartMonth;int;0;ro
DefaultAccountAccess;picklist;40;ro;pick=None|Read|Edit|ControlledByLeadOrContact|ControlledByCampaign
DefaultContactAccess;picklist;40;ro;pick=None|Read|Edit|ControlledByParent
DefaultOpportunityAccess;picklist;40;ro;pick=None|Read|Edit|ControlledByLeadOrContact
DefaultLeadAccess;picklist;40;ro;pick=None|Read|Edit|ReadEditTransfer
SignupCountryIsoCode;string;2;ro
OrganizationType;picklist;40;ro;pick=Enterprise Edition|Developer Edition|Unlimited Edition
InstanceName;string;5;ro
IsSandbox;boolean;0;ro
TrialExpirationDate;datetime;0;ro
NamespacePrefix;string;15;ro
DefaultLocaleSidKey;picklist;40;ro;pick=en_US|de_DE
TimeZoneSidKey;picklist;40;ro;pick=Europe/Berlin|UTC
LanguageLocaleKey;picklist;40;ro;pick=en_US|de";

/// Fields the product's own metadata package adds.
pub(crate) const PACKAGE: &[(&str, &str)] = &[
    (
        "Lead",
        "Leadbridge_Id__c;string;36;ext;unique;label=Leadbridge Id",
    ),
    (
        "Lead",
        "Leadbridge_Contact__c;reference;18;ref=Contact;rel=Leadbridge_Contact__r;label=Leadbridge Contact",
    ),
    (
        "Contact",
        "Leadbridge_Id__c;string;36;ext;unique;label=Leadbridge Id",
    ),
    (
        "Account",
        "Leadbridge_Id__c;string;36;ext;unique;label=Leadbridge Id",
    ),
    // Whether a field of activities can be unique is not documented: here it is not.
    ("Task", "Leadbridge_Id__c;string;36;ext;label=Leadbridge Id"),
];

/// Name, plural, key prefix, fields, whether rows have an owner, whether they can be deleted.
const OBJECTS: &[(&str, &str, &str, &str, bool, bool)] = &[
    ("Lead", "Leads", "00Q", LEAD, true, true),
    ("Contact", "Contacts", "003", CONTACT, true, true),
    ("Account", "Accounts", "001", ACCOUNT, true, true),
    (
        "Opportunity",
        "Opportunities",
        "006",
        OPPORTUNITY,
        true,
        true,
    ),
    (
        "OpportunityContactRole",
        "Opportunity Contact Roles",
        "00K",
        CONTACT_ROLE,
        false,
        true,
    ),
    (
        "OpportunityStage",
        "Opportunity Stages",
        "01J",
        STAGE,
        false,
        false,
    ),
    (
        "CurrencyType",
        "Currency Types",
        "01L",
        CURRENCY,
        false,
        false,
    ),
    ("UserRole", "Roles", "00E", ROLE, false, false),
    ("User", "Users", "005", USER, false, false),
    ("Task", "Tasks", "00T", TASK, true, true),
    (
        "ContentNote",
        "Content Notes",
        "069",
        CONTENT_NOTE,
        false,
        true,
    ),
    (
        "ContentDocumentLink",
        "Content Document Links",
        "06A",
        CONTENT_LINK,
        false,
        true,
    ),
    ("Note", "Notes", "002", NOTE, true, true),
    (
        "TaskStatus",
        "Task Status Values",
        "01I",
        TASK_STATUS,
        false,
        false,
    ),
    (
        "Organization",
        "Organizations",
        "00D",
        ORGANIZATION,
        false,
        false,
    ),
];

/// The additional fields of organisations with several currencies, by object; the values come from their
/// currencies.
pub(crate) const SEVERAL_CURRENCIES: &[(&str, &str)] = &[
    ("Account", CURRENCY_OF_ROW),
    ("Contact", CURRENCY_OF_ROW),
    ("Lead", CURRENCY_OF_ROW),
    ("Opportunity", CURRENCY_OF_ROW),
    ("OpportunityContactRole", CURRENCY_OF_ROW),
    ("Task", CURRENCY_OF_ROW),
    ("User", CURRENCY_OF_ROW),
    (
        "User",
        "DefaultCurrencyIsoCode;picklist;255;restricted;label=Default Currency ISO Code",
    ),
];
const CURRENCY_OF_ROW: &str = "CurrencyIsoCode;picklist;255;restricted;label=Currency ISO Code";

/// Objects whose rows are an organisation's set-up: the API only reads them.
pub(crate) fn is_setup(object: &str) -> bool {
    matches!(
        object,
        "Organization" | "OpportunityStage" | "CurrencyType" | "TaskStatus"
    )
}

/// Objects whose rows cannot be deleted.
pub(crate) fn is_kept(object: &str) -> bool {
    is_setup(object) || matches!(object, "User" | "UserRole")
}

/// The objects without custom additions of a single organisation.
pub(crate) fn base() -> BTreeMap<String, ObjectType> {
    let read = |text: &str| -> Vec<Field> {
        text.lines()
            .map(|line| {
                line.replace("INDUSTRIES", INDUSTRIES)
                    .replace("SOURCES", SOURCES)
            })
            .filter_map(|line| Field::parse(&line))
            .collect()
    };
    OBJECTS
        .iter()
        .map(|&(name, plural, prefix, own, owned, deletable)| {
            let mut fields = read("Id;id;18;ro;auto");
            if deletable {
                fields.extend(read("IsDeleted;boolean;0;ro;label=Deleted"));
            }
            fields.extend(read(own));
            if owned {
                fields.extend(read(OWNER));
            }
            fields.extend(read(SYSTEM));
            if name == "UserRole" {
                // A role has neither a creator nor a creation time.
                fields.retain(|field| !field.name.starts_with("Created"));
            }
            if let Some(id) = fields.first_mut() {
                id.label = format!("{name} ID");
            }
            (
                name.to_owned(),
                ObjectType::new(name, plural, prefix, fields),
            )
        })
        .collect()
}

/// A custom field as the control API describes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the request names these switches"
)]
pub(crate) struct NewField {
    pub(crate) name: String,
    #[serde(rename = "type", default)]
    pub(crate) kind: Option<String>,
    #[serde(default)]
    pub(crate) label: Option<String>,
    #[serde(default)]
    pub(crate) length: Option<usize>,
    #[serde(default)]
    pub(crate) required: bool,
    #[serde(default)]
    pub(crate) restricted_values: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) values: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) external_id: bool,
    #[serde(default)]
    pub(crate) unique: bool,
    #[serde(default)]
    pub(crate) reference_to: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) read_only: bool,
}

impl NewField {
    pub(crate) fn build(self) -> Option<Field> {
        let picked = self.restricted_values.is_some() || self.values.is_some();
        let fallback = if picked { "picklist" } else { "string" };
        let kind = self.kind.unwrap_or_else(|| fallback.to_owned());
        let length = self.length.unwrap_or(255);
        let mut field = Field::parse(&format!("{};{kind};{length}", self.name))?;
        if !field.kind.is_text() {
            field.length = if field.kind == Kind::Reference { 18 } else { 0 };
        }
        if let Some(label) = self.label {
            field.label = label;
        }
        field.nillable = field.nillable && !self.required;
        field.restricted = self.restricted_values.is_some();
        field.values = self.restricted_values.or(self.values).unwrap_or_default();
        field.external_id = self.external_id;
        field.unique = self.unique;
        if let Some(targets) = self.reference_to {
            field.relationship = self
                .name
                .strip_suffix("__c")
                .map(|head| format!("{head}__r"));
            field.reference_to = targets;
        }
        if self.read_only {
            (field.createable, field.updateable) = (false, false);
        }
        Some(field)
    }
}

/// The describe entry of one field.
pub(crate) fn describe_field(field: &Field) -> Value {
    let values: Vec<Value> = field
        .values
        .iter()
        .map(|value| {
            json!({
                "active": true, "label": value, "validFor": null, "value": value,
                "defaultValue": field.default.as_ref().is_some_and(|d| d == value.as_str()),
            })
        })
        .collect();
    let kind = field.kind;
    let precision = if matches!(kind, Kind::Double | Kind::Currency | Kind::Percent) {
        18
    } else {
        0
    };
    let long = kind == Kind::Textarea && field.length > 255;
    let mut out = json!({
        "aggregatable": !long, "aiPredictionField": false, "autoNumber": false,
        "byteLength": field.length * if matches!(kind, Kind::Id | Kind::Reference) { 1 } else { 3 },
        "calculated": false, "calculatedFormula": null, "cascadeDelete": false,
        "caseSensitive": false, "compoundFieldName": null, "controllerName": null,
        "createable": field.createable, "custom": field.custom(),
        "defaultValue": if kind == Kind::Boolean { json!(false) } else { Value::Null },
        "defaultValueFormula": null, "defaultedOnCreate": field.defaulted,
        "dependentPicklist": false, "deprecatedAndHidden": false, "digits": field.digits,
        "displayLocationInDecimal": false, "encrypted": false, "externalId": field.external_id,
        "extraTypeInfo": null, "filterable": !long && kind != Kind::Address,
        "filteredLookupInfo": null, "formulaTreatNullNumberAsZero": false,
        "groupable": !long && !kind.is_number(), "highScaleNumber": false, "htmlFormatted": false,
        "idLookup": field.id_lookup(), "inlineHelpText": null, "label": field.label,
        "length": field.length, "mask": null, "maskType": null, "name": field.name,
    });
    let more = json!({
        "nameField": field.name == "Name", "namePointing": field.reference_to.len() > 1,
        "nillable": field.nillable, "permissionable": field.nillable && field.createable,
        "picklistValues": values, "polymorphicForeignKey": field.reference_to.len() > 1,
        "precision": precision, "queryByDistance": false, "referenceTargetField": null,
        "referenceTo": field.reference_to, "relationshipName": field.relationship,
        "relationshipOrder": null, "restrictedDelete": false,
        "restrictedPicklist": field.restricted, "scale": field.scale,
        "searchPrefilterable": false, "soapType": kind.soap(), "sortable": !long,
        "type": kind.name(), "unique": field.unique, "updateable": field.updateable,
        "writeRequiresMasterRead": false,
    });
    if let (Value::Object(out), Value::Object(more)) = (&mut out, more) {
        out.extend(more);
    }
    out
}
