//! Salesforce's objects and fields. The names are those of the object reference.
//!
//! Beside the counterparts of the fields imported from Dynamics 365, there are the fields that a delta of
//! changes, deletions and merges needs (`SystemModstamp`, `IsDeleted`, `MasterRecordId`, if the object has
//! it); `UserRole` has no `CreatedDate` and no `IsDeleted`.

use super::{
    Field, Kind, ObjectSpec, Read, Role, Subject, date, flag, id, instant, lookup, money, number,
    text,
};

/// The currency field of every record with an amount, in organisations with several currencies. It has no
/// field-level security, so an object without it shows that there is only one currency.
pub const CURRENCY_FIELD: &str = "CurrencyIsoCode";

const fn choice(name: &'static str) -> Field {
    Field::new(name, Kind::Choice)
}

const ID: Field = id("Id");
const OWNER: Field = lookup("OwnerId").role(Role::Owner);
const CREATED: Field = instant("CreatedDate").role(Role::Created);
const EDITED: Field = instant("LastModifiedDate");
const MODIFIED: Field = instant("SystemModstamp").role(Role::Modified).control();
const DELETED: Field = flag("IsDeleted").role(Role::Deleted).control();
const SURVIVOR: Field = lookup("MasterRecordId").role(Role::Survivor).control();
const CURRENCY: Field = text(CURRENCY_FIELD, Role::Currency).read(Read::SeveralCurrencies);

const ACCOUNT: &[Field] = &[
    ID,
    OWNER,
    lookup("ParentId"),
    choice("Type"),
    money("AnnualRevenue").role(Role::Revenue),
    text("Fax", Role::Fax),
    text("Name", Role::Name),
    number("NumberOfEmployees").role(Role::Employees),
    text("Phone", Role::Phone),
    choice("Industry").role(Role::Industry),
    text("TickerSymbol", Role::Plain),
    text("Website", Role::Website),
    CREATED,
    EDITED,
    MODIFIED,
    DELETED,
    SURVIVOR,
    text("BillingStreet", Role::Street).read(Read::Besides),
    text("BillingCity", Role::City).read(Read::Besides),
    text("BillingState", Role::State).read(Read::Besides),
    text("BillingPostalCode", Role::PostalCode).read(Read::Besides),
    text("BillingCountry", Role::Country).read(Read::Besides),
];

const CONTACT: &[Field] = &[
    ID,
    OWNER,
    lookup("AccountId").role(Role::Account),
    text("Department", Role::Plain),
    text("Email", Role::Email),
    text("Fax", Role::Fax),
    text("FirstName", Role::FirstName),
    text("Name", Role::Name),
    text("Title", Role::JobTitle),
    text("LastName", Role::LastName),
    choice("LeadSource").role(Role::Source),
    text("Phone", Role::Phone),
    CREATED,
    EDITED,
    MODIFIED,
    DELETED,
    SURVIVOR,
    text("MailingStreet", Role::Street),
    text("MailingCity", Role::City),
    text("MailingState", Role::State),
    text("MailingPostalCode", Role::PostalCode),
    text("MailingCountry", Role::Country),
    text("OtherStreet", Role::OtherStreet),
    text("OtherCity", Role::OtherCity),
    text("OtherState", Role::OtherState),
    text("OtherPostalCode", Role::OtherPostalCode),
    text("OtherCountry", Role::OtherCountry),
];

const LEAD: &[Field] = &[
    ID,
    OWNER,
    lookup("ConvertedOpportunityId").role(Role::Opportunity),
    lookup("ConvertedContactId").role(Role::ConvertedContact),
    lookup("ConvertedAccountId"),
    flag("IsConverted").role(Role::Converted),
    choice("Status"),
    money("AnnualRevenue").role(Role::Revenue),
    text("Company", Role::Company),
    text("Email", Role::Email).contact("Email"),
    text("Fax", Role::Fax).contact("Fax"),
    text("FirstName", Role::FirstName).contact("FirstName"),
    text("Name", Role::Name),
    number("NumberOfEmployees").role(Role::Employees),
    text("Title", Role::JobTitle).contact("Title"),
    text("LastName", Role::LastName).contact("LastName"),
    choice("LeadSource")
        .role(Role::Source)
        .contact("LeadSource"),
    text("MobilePhone", Role::Mobile).contact("MobilePhone"),
    text("Phone", Role::Phone).contact("Phone"),
    choice("Industry").role(Role::Industry),
    text("Website", Role::Website),
    CREATED,
    EDITED,
    MODIFIED,
    DELETED,
    SURVIVOR,
    text("Street", Role::Street).contact("MailingStreet"),
    text("City", Role::City).contact("MailingCity"),
    text("State", Role::State).contact("MailingState"),
    text("PostalCode", Role::PostalCode).contact("MailingPostalCode"),
    text("Country", Role::Country).contact("MailingCountry"),
    CURRENCY,
    choice("Salutation").contact("Salutation").read(Read::Never),
    choice("StateCode")
        .contact("MailingStateCode")
        .read(Read::Never),
    choice("CountryCode")
        .contact("MailingCountryCode")
        .read(Read::Never),
    text("Description", Role::Description)
        .contact("Description")
        .read(Read::Never),
    flag("HasOptedOutOfEmail")
        .contact("HasOptedOutOfEmail")
        .read(Read::Never),
    flag("DoNotCall").contact("DoNotCall").read(Read::Never),
];

const OPPORTUNITY: &[Field] = &[
    ID,
    OWNER,
    lookup("AccountId").role(Role::Account),
    money("Amount").role(Role::Amount),
    flag("IsClosed").role(Role::Closed),
    flag("IsWon"),
    date("CloseDate").role(Role::CloseDate),
    text("Name", Role::Name),
    choice("StageName").role(Role::Stage),
    CREATED,
    EDITED,
    MODIFIED,
    DELETED,
    CURRENCY,
];

const CONTACT_ROLE: &[Field] = &[
    ID,
    lookup("OpportunityId").role(Role::Opportunity),
    lookup("ContactId").role(Role::Contact),
    choice("Role").role(Role::Part),
    flag("IsPrimary").role(Role::Primary),
    CREATED,
    EDITED,
    MODIFIED,
    DELETED,
];

const USER: &[Field] = &[
    ID,
    lookup("UserRoleId").role(Role::Position),
    flag("IsActive").role(Role::Active),
    text("UserType", Role::UserType).read(Read::Besides),
    text("Name", Role::Name),
    text("FirstName", Role::FirstName),
    text("LastName", Role::LastName),
    text("Email", Role::Email),
    text("MobilePhone", Role::Mobile),
    text("Title", Role::JobTitle),
    CREATED,
    EDITED,
    MODIFIED,
];

const USER_ROLE: &[Field] = &[
    ID,
    text("Name", Role::Name),
    lookup("ParentRoleId").role(Role::ParentPosition),
    EDITED,
    MODIFIED,
];

const STAGE: &[Field] = &[
    ID,
    text("ApiName", Role::Stage),
    text("MasterLabel", Role::Name),
    flag("IsActive"),
    flag("IsClosed"),
    flag("IsWon"),
    number("SortOrder"),
    MODIFIED,
];

const CURRENCY_TYPE: &[Field] = &[
    ID,
    text("IsoCode", Role::Currency),
    flag("IsActive"),
    flag("IsCorporate"),
    number("ConversionRate"),
    number("DecimalPlaces"),
    MODIFIED,
];

/// All known objects of Salesforce.
pub(super) const OBJECTS: &[ObjectSpec] = &[
    ObjectSpec::new(Subject::Account, "Account", "Account", ACCOUNT),
    ObjectSpec::new(Subject::Contact, "Contact", "Contact", CONTACT),
    ObjectSpec::new(Subject::Lead, "Lead", "Lead", LEAD),
    ObjectSpec::new(
        Subject::Opportunity,
        "Opportunity",
        "Opportunity",
        OPPORTUNITY,
    ),
    ObjectSpec::new(
        Subject::ContactRole,
        "OpportunityContactRole",
        "Opportunity contact role",
        CONTACT_ROLE,
    ),
    ObjectSpec::new(Subject::User, "User", "User", USER),
    ObjectSpec::new(Subject::Other, "UserRole", "Role", USER_ROLE),
    ObjectSpec::new(
        Subject::Other,
        "OpportunityStage",
        "Opportunity stage",
        STAGE,
    ),
    ObjectSpec {
        several_currencies_only: true,
        ..ObjectSpec::new(Subject::Other, "CurrencyType", "Currency", CURRENCY_TYPE)
    },
];
