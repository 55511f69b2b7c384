//! Dataverse's tables and columns: the whitepaper's appendix "Objects and Fields Imported from CRM", column
//! by column, with the further columns that are read or written.
//!
//! The appendix has no address of an account. The place distinguishes companies of one name, so the first
//! address is read too. It has no contacts of an opportunity but the first, and of its currency and stage no
//! more than texts, so the opportunity's connections with contacts, the currencies, and the columns that name
//! them are read too.

use super::{
    Field, Kind, ObjectSpec, Read, Role, Subject, date, flag, id, instant, lookup, money, number,
    text,
};

const fn choice(name: &'static str) -> Field {
    Field::new(name, Kind::NumberedChoice)
}

const OWNER: Field = lookup("_owninguser_value").role(Role::Owner);
const CREATED: Field = instant("createdon").role(Role::Created);
const MODIFIED: Field = instant("modifiedon").role(Role::Modified);
/// Set on the loser of a merge, which stays, inactive.
const SURVIVOR: Field = lookup("_masterid_value")
    .role(Role::Survivor)
    .control()
    .read(Read::IfThere);

const ACCOUNT: &[Field] = &[
    id("accountid"),
    OWNER,
    lookup("_parentaccountid_value"),
    choice("customertypecode"),
    money("revenue").role(Role::Revenue),
    text("fax", Role::Fax),
    text("name", Role::Name),
    number("numberofemployees").role(Role::Employees),
    text("telephone1", Role::Phone),
    choice("industrycode").role(Role::Industry),
    text("tickersymbol", Role::Plain),
    text("websiteurl", Role::Website),
    CREATED,
    MODIFIED,
    SURVIVOR,
    text("address1_line1", Role::Street).read(Read::Besides),
    text("address1_city", Role::City).read(Read::Besides),
    text("address1_stateorprovince", Role::State).read(Read::Besides),
    text("address1_postalcode", Role::PostalCode).read(Read::Besides),
    text("address1_country", Role::Country).read(Read::Besides),
];

const CONTACT: &[Field] = &[
    id("contactid"),
    OWNER,
    lookup("_parentcustomerid_value").role(Role::Account),
    text("department", Role::Plain),
    text("emailaddress1", Role::Email),
    text("fax", Role::Fax),
    text("firstname", Role::FirstName),
    text("fullname", Role::Name),
    text("jobtitle", Role::JobTitle),
    text("lastname", Role::LastName),
    choice("leadsourcecode").role(Role::Source),
    text("telephone1", Role::Phone),
    CREATED,
    MODIFIED,
    SURVIVOR,
    text("address1_line1", Role::Street),
    text("address1_city", Role::City),
    text("address1_stateorprovince", Role::State),
    text("address1_postalcode", Role::PostalCode),
    text("address1_country", Role::Country),
    text("address2_line1", Role::OtherStreet),
    text("address2_city", Role::OtherCity),
    text("address2_stateorprovince", Role::OtherState),
    text("address2_postalcode", Role::OtherPostalCode),
    text("address2_country", Role::OtherCountry),
];

const LEAD: &[Field] = &[
    id("leadid"),
    OWNER,
    lookup("_qualifyingopportunityid_value").role(Role::Opportunity),
    choice("statecode"),
    money("revenue").role(Role::Revenue),
    text("companyname", Role::Company),
    text("emailaddress1", Role::Email).contact("emailaddress1"),
    text("fax", Role::Fax).contact("fax"),
    text("firstname", Role::FirstName).contact("firstname"),
    text("fullname", Role::Name),
    number("numberofemployees").role(Role::Employees),
    text("jobtitle", Role::JobTitle).contact("jobtitle"),
    text("lastname", Role::LastName).contact("lastname"),
    choice("leadsourcecode").role(Role::Source),
    text("mobilephone", Role::Mobile).contact("mobilephone"),
    text("telephone1", Role::Phone).contact("telephone1"),
    choice("industrycode").role(Role::Industry),
    lookup("_transactioncurrencyid_value").role(Role::Currency),
    text("websiteurl", Role::Website).contact("websiteurl"),
    CREATED,
    MODIFIED,
    SURVIVOR,
    text("address1_line1", Role::Street).contact("address1_line1"),
    text("address1_city", Role::City).contact("address1_city"),
    text("address1_stateorprovince", Role::State).contact("address1_stateorprovince"),
    text("address1_postalcode", Role::PostalCode).contact("address1_postalcode"),
    text("address1_country", Role::Country).contact("address1_country"),
    text("address2_line1", Role::OtherStreet),
    text("address2_city", Role::OtherCity),
    text("address2_stateorprovince", Role::OtherState),
    text("address2_postalcode", Role::OtherPostalCode),
    text("address2_country", Role::OtherCountry),
    text("subject", Role::Topic).read(Read::Never),
    text("salutation", Role::Plain)
        .contact("salutation")
        .read(Read::Never),
    text("middlename", Role::Plain)
        .contact("middlename")
        .read(Read::Never),
    text("emailaddress2", Role::Plain)
        .contact("emailaddress2")
        .read(Read::Never),
    text("telephone2", Role::Plain)
        .contact("telephone2")
        .read(Read::Never),
    text("description", Role::Description)
        .contact("description")
        .read(Read::Never),
    text("address1_line2", Role::Plain)
        .contact("address1_line2")
        .read(Read::Never),
    text("address1_line3", Role::Plain)
        .contact("address1_line3")
        .read(Read::Never),
    flag("donotbulkemail")
        .contact("donotbulkemail")
        .read(Read::Never),
    flag("donotemail").contact("donotemail").read(Read::Never),
    flag("donotphone").contact("donotphone").read(Read::Never),
];

const OPPORTUNITY: &[Field] = &[
    id("opportunityid"),
    OWNER,
    lookup("_parentaccountid_value").role(Role::Account),
    money("estimatedvalue").role(Role::Amount),
    choice("statecode").role(Role::Status),
    date("actualclosedate"),
    text("name", Role::Name),
    // A text without a list of values: the sales process writes the stage's name.
    text("stepname", Role::Stage),
    CREATED,
    MODIFIED,
    lookup("_parentcontactid_value").role(Role::Contact),
    choice("salesstage")
        .role(Role::SalesStage)
        .read(Read::Besides),
    // Set when the opportunity is won.
    money("actualvalue").read(Read::Besides),
    date("estimatedclosedate")
        .role(Role::CloseDate)
        .read(Read::Besides),
    lookup("_transactioncurrencyid_value")
        .role(Role::Currency)
        .read(Read::Besides),
];

/// A connection of two records. The CRM keeps two for each pair, one from each side: that of an opportunity
/// with a contact is also there as one of the contact with the opportunity, which names no opportunity as its
/// first record.
const CONNECTION: &[Field] = &[
    id("connectionid").read(Read::Besides),
    lookup("_record1id_value")
        .role(Role::Opportunity)
        .read(Read::Besides),
    lookup("_record2id_value")
        .role(Role::Contact)
        .read(Read::Besides),
    lookup("_record2roleid_value")
        .role(Role::Part)
        .read(Read::Besides),
    choice("statecode").role(Role::Status).read(Read::Besides),
    CREATED.read(Read::Besides),
    MODIFIED.read(Read::Besides),
];

/// The names of the parts that a connection gives its records.
const CONNECTION_ROLE: &[Field] = &[
    id("connectionroleid").read(Read::Besides),
    text("name", Role::Name).read(Read::Besides),
    MODIFIED.read(Read::Besides),
];

/// The currencies, each with its rate against the organisation's own.
const CURRENCY: &[Field] = &[
    id("transactioncurrencyid").read(Read::Besides),
    text("isocurrencycode", Role::Currency).read(Read::Besides),
    number("exchangerate").read(Read::Besides),
    MODIFIED.read(Read::Besides),
];

const USER: &[Field] = &[
    id("systemuserid"),
    lookup("_positionid_value").role(Role::Position),
    flag("isdisabled").role(Role::Disabled),
    number("accessmode")
        .role(Role::AccessMode)
        .read(Read::Besides),
    text("applicationid", Role::Application).read(Read::Besides),
    text("fullname", Role::Name),
    text("firstname", Role::FirstName),
    text("lastname", Role::LastName),
    text("internalemailaddress", Role::Email),
    text("mobilephone", Role::Mobile),
    text("title", Role::JobTitle),
    CREATED,
    MODIFIED,
];

const POSITION: &[Field] = &[
    id("positionid"),
    text("name", Role::Name),
    lookup("_parentpositionid_value").role(Role::ParentPosition),
    CREATED,
    MODIFIED,
];

/// All known objects of Dynamics 365.
pub(super) const OBJECTS: &[ObjectSpec] = &[
    ObjectSpec::new(Subject::Account, "account", "Account", ACCOUNT),
    ObjectSpec::new(Subject::Contact, "contact", "Contact", CONTACT),
    ObjectSpec::new(Subject::Lead, "lead", "Lead", LEAD),
    ObjectSpec::new(
        Subject::Opportunity,
        "opportunity",
        "Opportunity",
        OPPORTUNITY,
    ),
    ObjectSpec::new(Subject::User, "systemuser", "User", USER),
    ObjectSpec::new(Subject::Other, "position", "Position", POSITION),
    ObjectSpec::new(Subject::ContactRole, "connection", "Connection", CONNECTION),
    ObjectSpec::new(
        Subject::Other,
        "connectionrole",
        "Connection role",
        CONNECTION_ROLE,
    ),
    ObjectSpec::new(Subject::Other, "transactioncurrency", "Currency", CURRENCY),
];
