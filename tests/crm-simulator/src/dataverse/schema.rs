//! Tables and columns, as a sales organisation has them, and their custom additions.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A column's type, by the name metadata gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    Uniqueidentifier,
    String,
    Memo,
    Picklist,
    Integer,
    BigInt,
    Decimal,
    Double,
    Money,
    Boolean,
    DateTime,
    State,
    Status,
    Lookup,
    Owner,
    Customer,
}

impl Kind {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        serde_json::from_value(Value::from(text)).ok()
    }

    pub(crate) fn name(self) -> String {
        format!("{self:?}")
    }

    pub(crate) fn is_lookup(self) -> bool {
        matches!(self, Self::Lookup | Self::Owner | Self::Customer)
    }

    pub(crate) fn has_options(self) -> bool {
        matches!(self, Self::Picklist | Self::State | Self::Status)
    }

    /// The metadata type's name without the suffix.
    pub(crate) fn cast(self) -> &'static str {
        match self {
            Self::Uniqueidentifier => "UniqueIdentifier",
            Self::String => "String",
            Self::Memo => "Memo",
            Self::Picklist => "Picklist",
            Self::Integer => "Integer",
            Self::BigInt => "BigInt",
            Self::Decimal => "Decimal",
            Self::Double => "Double",
            Self::Money => "Money",
            Self::Boolean => "Boolean",
            Self::DateTime => "DateTime",
            Self::State => "State",
            Self::Status => "Status",
            Self::Lookup | Self::Owner | Self::Customer => "Lookup",
        }
    }
}

/// One choice of an option set; a status reason knows its state.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Choice {
    pub(crate) value: i64,
    pub(crate) label: String,
    pub(crate) state: Option<i64>,
}

/// One column.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "metadata answers with these switches"
)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) schema: String,
    pub(crate) label: String,
    pub(crate) kind: Kind,
    pub(crate) max_length: usize,
    pub(crate) min: Option<f64>,
    pub(crate) max: Option<f64>,
    pub(crate) precision: u32,
    pub(crate) format: String,
    pub(crate) required: bool,
    pub(crate) create: bool,
    pub(crate) update: bool,
    pub(crate) choices: Vec<Choice>,
    /// Tables a look-up may point at.
    pub(crate) targets: Vec<String>,
    /// One navigation property a target; the column's own name when there is a single one.
    pub(crate) nav: Vec<String>,
    pub(crate) default: Option<Value>,
    /// Column-level security is on.
    #[serde(default)]
    pub(crate) secured: bool,
}

impl Column {
    pub(crate) fn custom(&self) -> bool {
        self.name.contains('_') && !self.name.starts_with("address")
    }

    /// The name of its value in a row's JSON.
    pub(crate) fn wire(&self) -> String {
        if self.kind.is_lookup() {
            format!("_{}_value", self.name)
        } else {
            self.name.clone()
        }
    }

    pub(crate) fn is_date_only(&self) -> bool {
        self.kind == Kind::DateTime && self.format == "DateOnly"
    }

    /// Reads `name;Kind;length;flag;key=value`.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut parts = line.split(';').map(str::trim);
        let name = parts.next()?.to_owned();
        let kind = Kind::parse(parts.next()?)?;
        let max_length = parts.next().and_then(|n| n.parse().ok()).unwrap_or(0);
        let (min, max) = match kind {
            Kind::Integer => (Some(-2_147_483_648.0), Some(2_147_483_647.0)),
            Kind::Decimal | Kind::Double => (Some(-100_000_000_000.0), Some(100_000_000_000.0)),
            Kind::Money => (Some(-922_337_203_685_477.0), Some(922_337_203_685_477.0)),
            _ => (None, None),
        };
        let mut column = Self {
            schema: schema_name(&name),
            label: label_of(&name),
            name,
            kind,
            max_length,
            min,
            max,
            precision: if matches!(kind, Kind::Decimal | Kind::Double | Kind::Money) {
                2
            } else {
                0
            },
            format: match kind {
                Kind::String => "Text",
                Kind::Memo => "TextArea",
                Kind::DateTime => "DateAndTime",
                _ => "None",
            }
            .into(),
            required: false,
            create: true,
            update: true,
            choices: Vec::new(),
            targets: Vec::new(),
            nav: Vec::new(),
            default: (kind == Kind::Boolean).then_some(Value::Bool(false)),
            secured: false,
        };
        for flag in parts {
            match flag.split_once('=').unwrap_or((flag, "")) {
                ("req", _) => column.required = true,
                ("ro", _) => (column.create, column.update) = (false, false),
                ("noupd", _) => column.update = false,
                ("format", value) => value.clone_into(&mut column.format),
                ("label", value) => value.clone_into(&mut column.label),
                ("schema", value) => value.clone_into(&mut column.schema),
                ("min", value) => column.min = value.parse().ok(),
                ("max", value) => column.max = value.parse().ok(),
                ("prec", value) => column.precision = value.parse().unwrap_or(2),
                ("def", value) => column.default = serde_json::from_str(value).ok(),
                ("opts", list) => column.choices = list.split('|').filter_map(choice).collect(),
                ("to", list) => column.targets = list.split('|').map(str::to_owned).collect(),
                ("nav", list) => column.nav = list.split('|').map(str::to_owned).collect(),
                _ => {}
            }
        }
        if column.nav.is_empty() {
            column.nav = if column.targets.len() == 1 || column.kind == Kind::Owner {
                column.targets.iter().map(|_| column.name.clone()).collect()
            } else {
                column
                    .targets
                    .iter()
                    .map(|target| format!("{}_{target}", column.name))
                    .collect()
            };
        }
        Some(column)
    }
}

/// `1:Hot` or, for a status reason, `1:New@0`.
fn choice(text: &str) -> Option<Choice> {
    let (value, label) = text.split_once(':')?;
    let (label, state) = label
        .split_once('@')
        .map_or((label, None), |(l, s)| (l, s.parse().ok()));
    Some(Choice {
        value: value.parse().ok()?,
        label: label.to_owned(),
        state,
    })
}

fn schema_name(name: &str) -> String {
    let known = [
        ("first", "First"),
        ("last", "Last"),
        ("full", "Full"),
        ("company", "Company"),
        ("email", "EMail"),
        ("job", "Job"),
    ];
    let mut out = match name.split_once('_') {
        Some((head, tail)) if head.starts_with("address") => {
            format!("{}_{}", capital(head), capital(tail))
        }
        Some((head, tail)) => return format!("{head}_{}", capital(tail)),
        None => capital(name),
    };
    for (from, to) in known {
        if let Some(tail) = name.strip_prefix(from) {
            out = format!("{to}{}", capital(tail));
        }
    }
    out
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}

fn label_of(name: &str) -> String {
    let labels = [
        ("firstname", "First Name"),
        ("lastname", "Last Name"),
        ("fullname", "Name"),
        ("companyname", "Company Name"),
        ("jobtitle", "Job Title"),
        ("emailaddress1", "Email"),
        ("telephone1", "Business Phone"),
        ("mobilephone", "Mobile Phone"),
        ("subject", "Topic"),
        ("websiteurl", "Website"),
        ("address1_line1", "Street 1"),
        ("address1_city", "City"),
        ("address1_stateorprovince", "State/Province"),
        ("address1_postalcode", "ZIP/Postal Code"),
        ("address1_country", "Country/Region"),
        ("address2_line1", "Address 2: Street 1"),
        ("address2_city", "Address 2: City"),
        ("address2_stateorprovince", "Address 2: State/Province"),
        ("address2_postalcode", "Address 2: ZIP/Postal Code"),
        ("address2_country", "Address 2: Country/Region"),
        ("transactioncurrencyid", "Currency"),
        ("owninguser", "Owning User"),
        ("owningteam", "Owning Team"),
        ("leadsourcecode", "Lead Source"),
        ("industrycode", "Industry"),
        ("leadqualitycode", "Rating"),
        ("numberofemployees", "No. of Employees"),
        ("revenue", "Annual Revenue"),
        ("estimatedclosedate", "Est. Close Date"),
        ("donotbulkemail", "Do not allow Bulk Emails"),
        ("donotemail", "Do not allow Emails"),
        ("donotphone", "Do not allow Phone Calls"),
        ("statecode", "Status"),
        ("statuscode", "Status Reason"),
        ("ownerid", "Owner"),
        ("createdon", "Created On"),
        ("modifiedon", "Modified On"),
        ("parentcontactid", "Parent Contact for lead"),
        ("parentaccountid", "Parent Account for lead"),
    ];
    labels.iter().find(|(key, _)| *key == name).map_or_else(
        || capital(name.split_once('_').map_or(name, |(_, tail)| tail)),
        |(_, label)| (*label).to_owned(),
    )
}

/// One table.
#[derive(Clone, Debug)]
pub(crate) struct TableType {
    pub(crate) name: String,
    pub(crate) schema: String,
    pub(crate) set: String,
    pub(crate) label: String,
    pub(crate) primary_id: String,
    pub(crate) primary_name: String,
    pub(crate) code: u32,
    pub(crate) columns: Vec<Column>,
    /// The columns' names in a row's JSON, in the order of the columns.
    pub(crate) wires: Vec<String>,
    /// True if changes are tracked.
    pub(crate) tracked: bool,
    by_name: HashMap<String, usize>,
}

impl TableType {
    fn new(row: &Definition, columns: Vec<Column>) -> Self {
        let by_name = columns
            .iter()
            .enumerate()
            .map(|(at, c)| (c.name.clone(), at))
            .collect();
        Self {
            name: row.name.into(),
            schema: capital(row.name),
            set: row.set.into(),
            label: row.label.into(),
            primary_id: row.id.into(),
            primary_name: row.title.into(),
            code: row.code,
            wires: columns.iter().map(Column::wire).collect(),
            tracked: true,
            columns,
            by_name,
        }
    }

    pub(crate) fn column(&self, name: &str) -> Option<&Column> {
        self.by_name.get(name).and_then(|at| self.columns.get(*at))
    }

    /// The column whose value has this name on the wire.
    pub(crate) fn wire(&self, name: &str) -> Option<&Column> {
        if let Some(inner) = name
            .strip_prefix('_')
            .and_then(|n| n.strip_suffix("_value"))
        {
            return self.column(inner).filter(|column| column.kind.is_lookup());
        }
        self.column(name).filter(|column| !column.kind.is_lookup())
    }

    /// The look-up and target behind a navigation property.
    pub(crate) fn navigation(&self, name: &str) -> Option<(&Column, Vec<&str>)> {
        self.columns
            .iter()
            .filter(|c| c.kind.is_lookup())
            .find_map(|column| {
                let targets: Vec<&str> = column
                    .nav
                    .iter()
                    .zip(&column.targets)
                    .filter(|(nav, _)| nav.as_str() == name)
                    .map(|(_, target)| target.as_str())
                    .collect();
                (!targets.is_empty()).then_some((column, targets))
            })
    }
}

struct Definition {
    name: &'static str,
    set: &'static str,
    label: &'static str,
    id: &'static str,
    title: &'static str,
    code: u32,
    columns: &'static str,
}

const PERSON: &str = "salutation;String;100
firstname;String;50
middlename;String;50
lastname;String;50
fullname;String;160;ro
jobtitle;String;100
emailaddress1;String;100;format=Email
emailaddress2;String;100;format=Email
telephone1;String;50;format=Phone
telephone2;String;50;format=Phone
mobilephone;String;20;format=Phone
fax;String;50;format=Phone
websiteurl;String;200;format=Url
address1_line1;String;250
address1_line2;String;250
address1_line3;String;250
address1_city;String;80
address1_stateorprovince;String;50
address1_postalcode;String;20
address1_country;String;80
address2_line1;String;250
address2_city;String;80
address2_stateorprovince;String;50
address2_postalcode;String;20
address2_country;String;80
transactioncurrencyid;Lookup;0;to=transactioncurrency
description;Memo;2000
donotbulkemail;Boolean
donotemail;Boolean
donotphone;Boolean";

const SYSTEM: &str = "createdon;DateTime;0;ro
modifiedon;DateTime;0;ro
overriddencreatedon;DateTime;0;noupd;format=DateOnly
versionnumber;BigInt;0;ro
createdby;Lookup;0;ro;to=systemuser
modifiedby;Lookup;0;ro;to=systemuser";

const OWNER: &str = "ownerid;Owner;0;to=systemuser|team
owninguser;Lookup;0;ro;to=systemuser
owningteam;Lookup;0;ro;to=team
owningbusinessunit;Lookup;0;ro;to=businessunit";

const INDUSTRY: &str = "1:Accounting|2:Agriculture and Non-petrol Natural Resource Extraction|3:Broadcasting Printing and Publishing|4:Brokers|5:Building Supply Retail|6:Business Services|7:Consulting|8:Consumer Services|9:Design, Direction and Creative Management|10:Distributors, Dispatchers and Processors|11:Doctor's Offices and Clinics|12:Durable Manufacturing|13:Eating and Drinking Places|14:Entertainment Retail|15:Equipment Rental and Leasing|16:Financial|17:Food and Tobacco Processing|18:Inbound Capital Intensive Processing|19:Inbound Repair and Services|20:Insurance|21:Legal Services|22:Non-Durable Merchandise Retail|23:Outbound Consumer Service|24:Petrochemical Extraction and Distribution|25:Service Retail|26:SIG Affiliations|27:Social Services|28:Special Outbound Trade Contractors|29:Specialty Realty|30:Transportation|31:Utility Creation and Distribution|32:Vehicle Retail|33:Wholesale";
const SOURCE: &str = "1:Advertisement|2:Employee Referral|3:External Referral|4:Partner|5:Public Relations|6:Seminar|7:Trade Show|8:Web|9:Word of Mouth|10:Other";

const LEAD: &str = "subject;String;300
companyname;String;100
leadsourcecode;Picklist;0;opts=SOURCES
industrycode;Picklist;0;opts=INDUSTRIES
leadqualitycode;Picklist;0;def=2;opts=1:Hot|2:Warm|3:Cold
prioritycode;Picklist;0;def=1;opts=1:Default Value
salesstagecode;Picklist;0;def=1;opts=1:Default Value
numberofemployees;Integer;0;min=0;max=1000000
revenue;Money;0;min=0;max=100000000000000
estimatedclosedate;DateTime;0;format=DateOnly
estimatedamount;Money;0;min=0;max=1000000000000
parentcontactid;Lookup;0;to=contact
parentaccountid;Lookup;0;to=account
customerid;Customer;0;to=account|contact
qualifyingopportunityid;Lookup;0;to=opportunity
lb_score;Decimal;0;min=0;max=1000000;label=Score
lb_interest;String;200;label=Interest
lb_eventdate;DateTime;0;format=DateOnly;label=Event Date
statecode;State;0;def=0;opts=0:Open|1:Qualified|2:Disqualified
statuscode;Status;0;def=1;opts=1:New@0|2:Contacted@0|3:Qualified@1|4:Lost@2|5:Cannot Contact@2|6:No Longer Interested@2|7:Canceled@2";

const CONTACT: &str = "department;String;100
birthdate;DateTime;0;format=DateOnly
leadsourcecode;Picklist;0;def=1;opts=1:Default Value
parentcustomerid;Customer;0;to=account|contact
originatingleadid;Lookup;0;to=lead
lb_score;Decimal;0;min=0;max=1000000;label=Score
lb_interest;String;200;label=Interest
statecode;State;0;def=0;opts=0:Active|1:Inactive
statuscode;Status;0;def=1;opts=1:Active@0|2:Inactive@1";

const ACCOUNT: &str = "name;String;160;req;label=Account Name
accountnumber;String;20
emailaddress1;String;100;format=Email
telephone1;String;50;format=Phone
fax;String;50;format=Phone
websiteurl;String;200;format=Url
tickersymbol;String;10;label=Ticker Symbol
address1_line1;String;250
address1_city;String;80
address1_stateorprovince;String;50
address1_postalcode;String;20
address1_country;String;80
description;Memo;2000
customertypecode;Picklist;0;label=Relationship Type;opts=1:Competitor|2:Consultant|3:Customer|4:Investor|5:Partner|6:Influencer|7:Press|8:Prospect|9:Reseller|10:Supplier|11:Vendor|12:Other
transactioncurrencyid;Lookup;0;to=transactioncurrency
industrycode;Picklist;0;opts=INDUSTRIES
numberofemployees;Integer;0;min=0;max=1000000000
revenue;Money;0;min=0;max=100000000000000
donotbulkemail;Boolean
primarycontactid;Lookup;0;to=contact
parentaccountid;Lookup;0;to=account
statecode;State;0;def=0;opts=0:Active|1:Inactive
statuscode;Status;0;def=1;opts=1:Active@0|2:Inactive@1";

const OPPORTUNITY: &str = "name;String;300;req;label=Topic
description;Memo;2000
estimatedvalue;Money;0;label=Est. revenue
actualvalue;Money;0;label=Actual Revenue
budgetamount;Money;0;min=0;max=1000000000000;label=Budget Amount
totalamount;Money;0;ro;label=Total Amount
discountpercentage;Decimal;0;min=0;max=100;label=Opportunity Discount (%)
exchangerate;Decimal;0;ro;prec=12;label=Exchange Rate
estimatedclosedate;DateTime;0;format=DateOnly
actualclosedate;DateTime;0;format=DateOnly;label=Actual Close Date
closeprobability;Integer;0;min=0;max=100;label=Probability
stepname;String;200;label=Pipeline Phase
salesstage;Picklist;0;label=Sales Stage;opts=0:Qualify|1:Develop|2:Propose|3:Close
salesstagecode;Picklist;0;def=1;label=Process Code;opts=1:Default Value
transactioncurrencyid;Lookup;0;to=transactioncurrency
customerid;Customer;0;to=account|contact
parentcontactid;Lookup;0;to=contact
parentaccountid;Lookup;0;to=account
originatingleadid;Lookup;0;to=lead
statecode;State;0;def=0;opts=0:Open|1:Won|2:Lost
statuscode;Status;0;def=1;opts=1:In Progress@0|2:On Hold@0|3:Won@1|4:Canceled@2|5:Out-Sold@2";

const USER: &str = "fullname;String;200;ro
firstname;String;256
lastname;String;256
domainname;String;1024;label=User Name
internalemailaddress;String;100;format=Email
azureactivedirectoryobjectid;Uniqueidentifier
title;String;128
mobilephone;String;64;format=Phone
isdisabled;Boolean
accessmode;Picklist;0;def=0;label=Access Mode;opts=0:Read-Write|1:Administrative|2:Read|3:Support User|4:Non-interactive|5:Delegated Admin
applicationid;Uniqueidentifier
positionid;Lookup;0;to=position
businessunitid;Lookup;0;to=businessunit";

const POSITION: &str = "name;String;100;req
description;Memo;2000
parentpositionid;Lookup;0;to=position";

const CONNECTION: &str = "name;String;500
record1id;Lookup;0;to=account|contact|lead|opportunity|systemuser;label=Connected From
record2id;Lookup;0;to=account|contact|lead|opportunity|systemuser;label=Connected To
record1roleid;Lookup;0;to=connectionrole;label=Role (From)
record2roleid;Lookup;0;to=connectionrole;label=Role (To)
description;Memo;2000
effectivestart;DateTime
effectiveend;DateTime
statecode;State;0;def=0;opts=0:Active|1:Inactive
statuscode;Status;0;def=1;opts=1:Active@0|2:Inactive@1";

const CONNECTION_ROLE: &str = "name;String;100;req
description;Memo;2000
category;Picklist;0;def=1000;opts=1:Business|2:Family|3:Social|4:Sales|5:Other|1000:Stakeholder|1001:Sales Team|1002:Service
statecode;State;0;def=0;opts=0:Active|1:Inactive
statuscode;Status;0;def=1;opts=1:Active@0|2:Inactive@1";

const CURRENCY: &str = "currencyname;String;100;req;label=Currency Name
isocurrencycode;String;5;req;noupd;label=Currency Code
currencysymbol;String;13;req;label=Currency Symbol
currencyprecision;Integer;0;min=0;max=4;def=2;label=Currency Precision
exchangerate;Decimal;0;prec=12;min=0.0000000001;label=Exchange Rate
statecode;State;0;def=0;opts=0:Active|1:Inactive
statuscode;Status;0;def=1;opts=1:Active@0|2:Inactive@1";

const ORGANIZATION: &str = "name;String;160;req
basecurrencyid;Lookup;0;ro;to=transactioncurrency";

const TASK: &str = "subject;String;200;req
description;Memo;2000
scheduledstart;DateTime
scheduledend;DateTime
actualstart;DateTime
actualend;DateTime
actualdurationminutes;Integer;0;min=0;max=2147483647
prioritycode;Picklist;0;def=1;opts=0:Low|1:Normal|2:High
percentcomplete;Integer;0;min=0;max=100
category;String;250
regardingobjectid;Lookup;0;to=lead|contact|account|opportunity;nav=regardingobjectid_lead_task|regardingobjectid_contact_task|regardingobjectid_account_task|regardingobjectid_opportunity_task
statecode;State;0;def=0;opts=0:Open|1:Completed|2:Canceled
statuscode;Status;0;def=2;opts=2:Not Started@0|3:In Progress@0|4:Waiting on someone else@0|7:Deferred@0|5:Completed@1|6:Canceled@2";

const PHONECALL: &str = "subject;String;200;req
description;Memo;2000
phonenumber;String;200
directioncode;Boolean;0;def=true
scheduledend;DateTime
actualstart;DateTime
actualend;DateTime
actualdurationminutes;Integer;0;min=0;max=2147483647
regardingobjectid;Lookup;0;to=lead|contact|account|opportunity;nav=regardingobjectid_lead_phonecall|regardingobjectid_contact_phonecall|regardingobjectid_account_phonecall|regardingobjectid_opportunity_phonecall
statecode;State;0;def=0;opts=0:Open|1:Completed|2:Canceled
statuscode;Status;0;def=1;opts=1:Open@0|2:Made@1|4:Received@1|3:Canceled@2";

const ANNOTATION: &str = "subject;String;500;label=Title
notetext;Memo;100000
filename;String;255
mimetype;String;256
documentbody;Memo;1073741823
isdocument;Boolean
objectid;Lookup;0;to=lead|contact|account|opportunity|task|phonecall";

const DEFINITIONS: &[Definition] = &[
    Definition {
        name: "lead",
        set: "leads",
        label: "Lead",
        id: "leadid",
        title: "fullname",
        code: 4,
        columns: LEAD,
    },
    Definition {
        name: "contact",
        set: "contacts",
        label: "Contact",
        id: "contactid",
        title: "fullname",
        code: 2,
        columns: CONTACT,
    },
    Definition {
        name: "account",
        set: "accounts",
        label: "Account",
        id: "accountid",
        title: "name",
        code: 1,
        columns: ACCOUNT,
    },
    Definition {
        name: "opportunity",
        set: "opportunities",
        label: "Opportunity",
        id: "opportunityid",
        title: "name",
        code: 3,
        columns: OPPORTUNITY,
    },
    Definition {
        name: "systemuser",
        set: "systemusers",
        label: "User",
        id: "systemuserid",
        title: "fullname",
        code: 8,
        columns: USER,
    },
    Definition {
        name: "team",
        set: "teams",
        label: "Team",
        id: "teamid",
        title: "name",
        code: 9,
        columns: "name;String;160;req",
    },
    Definition {
        name: "businessunit",
        set: "businessunits",
        label: "Business Unit",
        id: "businessunitid",
        title: "name",
        code: 10,
        columns: "name;String;160;req",
    },
    Definition {
        name: "organization",
        set: "organizations",
        label: "Organization",
        id: "organizationid",
        title: "name",
        code: 1019,
        columns: ORGANIZATION,
    },
    Definition {
        name: "position",
        set: "positions",
        label: "Position",
        id: "positionid",
        title: "name",
        code: 50,
        columns: POSITION,
    },
    Definition {
        name: "transactioncurrency",
        set: "transactioncurrencies",
        label: "Currency",
        id: "transactioncurrencyid",
        title: "currencyname",
        code: 9105,
        columns: CURRENCY,
    },
    Definition {
        name: "connection",
        set: "connections",
        label: "Connection",
        id: "connectionid",
        title: "name",
        code: 3234,
        columns: CONNECTION,
    },
    Definition {
        name: "connectionrole",
        set: "connectionroles",
        label: "Connection Role",
        id: "connectionroleid",
        title: "name",
        code: 3231,
        columns: CONNECTION_ROLE,
    },
    Definition {
        name: "task",
        set: "tasks",
        label: "Task",
        id: "activityid",
        title: "subject",
        code: 4212,
        columns: TASK,
    },
    Definition {
        name: "phonecall",
        set: "phonecalls",
        label: "Phone Call",
        id: "activityid",
        title: "subject",
        code: 4210,
        columns: PHONECALL,
    },
    Definition {
        name: "annotation",
        set: "annotations",
        label: "Note",
        id: "annotationid",
        title: "subject",
        code: 5,
        columns: ANNOTATION,
    },
];

/// Every table without custom additions of a single organisation.
pub(crate) fn base() -> Vec<TableType> {
    let read = |text: &str| -> Vec<Column> {
        text.lines()
            .map(|line| {
                line.replace("INDUSTRIES", INDUSTRY)
                    .replace("SOURCES", SOURCE)
            })
            .filter_map(|line| Column::parse(&line))
            .collect()
    };
    DEFINITIONS
        .iter()
        .map(|row| {
            let mut columns = read(&format!(
                "{};Uniqueidentifier;0;noupd;label={}",
                row.id, row.label
            ));
            if matches!(row.name, "lead" | "contact") {
                columns.extend(read(PERSON));
            }
            columns.extend(read(row.columns));
            if !matches!(
                row.name,
                "systemuser"
                    | "team"
                    | "businessunit"
                    | "organization"
                    | "position"
                    | "transactioncurrency"
                    | "connectionrole"
            ) {
                columns.extend(read(OWNER));
            }
            if matches!(row.name, "lead" | "contact" | "account") {
                columns.extend(read(&format!(
                    "merged;Boolean;0;ro\nmasterid;Lookup;0;ro;to={};label=Master ID",
                    row.name
                )));
            }
            columns.extend(read(SYSTEM));
            TableType::new(row, columns)
        })
        .collect()
}

/// Rebuilds a table with changed columns.
pub(crate) fn with_columns(table: &TableType, columns: Vec<Column>) -> TableType {
    let by_name = columns
        .iter()
        .enumerate()
        .map(|(at, c)| (c.name.clone(), at))
        .collect();
    TableType {
        wires: columns.iter().map(Column::wire).collect(),
        columns,
        by_name,
        ..table.clone()
    }
}

/// A custom column as the control API describes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewColumn {
    pub(crate) name: String,
    #[serde(rename = "type", default)]
    pub(crate) kind: Option<String>,
    #[serde(default)]
    pub(crate) label: Option<String>,
    #[serde(default)]
    pub(crate) length: Option<usize>,
    #[serde(default)]
    pub(crate) required: bool,
    /// `{"1":"Small","2":"Large"}`
    #[serde(default)]
    pub(crate) restricted_values: Option<std::collections::BTreeMap<i64, String>>,
    #[serde(default)]
    pub(crate) min: Option<f64>,
    #[serde(default)]
    pub(crate) max: Option<f64>,
    #[serde(default)]
    pub(crate) format: Option<String>,
    #[serde(default)]
    pub(crate) reference_to: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) read_only: bool,
}

impl NewColumn {
    pub(crate) fn build(self) -> Option<Column> {
        let kind = self.kind.unwrap_or_else(|| {
            if self.restricted_values.is_some() {
                "Picklist"
            } else {
                "String"
            }
            .to_owned()
        });
        let kind = match kind.to_ascii_lowercase().as_str() {
            "date" => "DateTime;0;format=DateOnly".to_owned(),
            "datetime" => "DateTime;0".to_owned(),
            lower => format!("{};{}", capital(lower), self.length.unwrap_or(100)),
        };
        let targets = self
            .reference_to
            .map(|to| format!(";to={}", to.join("|")))
            .unwrap_or_default();
        let mut column = Column::parse(&format!("{};{kind}{targets}", self.name))?;
        if let Some(label) = self.label {
            column.label = label;
        }
        if let Some(format) = self.format {
            column.format = format;
        }
        column.required = self.required;
        column.min = self.min.or(column.min);
        column.max = self.max.or(column.max);
        column.choices = self
            .restricted_values
            .unwrap_or_default()
            .into_iter()
            .map(|(value, label)| Choice {
                value,
                label,
                state: None,
            })
            .collect();
        if self.read_only {
            (column.create, column.update) = (false, false);
        }
        Some(column)
    }
}
