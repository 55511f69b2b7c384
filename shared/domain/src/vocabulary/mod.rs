//! The CRMs' vocabulary: one table for each vendor that gives the name, the type and the purpose of every
//! object and field.
//!
//! All code that names a field of a CRM uses these tables: the list of imported objects (IM-1), the
//! permission check (CN-4), the form of imported values, match keys and matching (MA-1), the default
//! mappings, and the values of leads, contacts and accounts that are created. A new field is one line.

mod dynamics;
mod own;
mod salesforce;

use super::schema::CrmKind;

pub use own::own_number;
pub use salesforce::CURRENCY_FIELD as SALESFORCE_CURRENCY_FIELD;

/// The type of a field, and its format in the CRM's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The record's own id.
    Id,
    /// The id of another record.
    Lookup,
    /// Text.
    Text,
    /// A choice, written as text (Salesforce).
    Choice,
    /// A choice, written as its number (Dataverse).
    NumberedChoice,
    /// A number.
    Number,
    /// An amount of money.
    Money,
    /// A day of the calendar, in no time zone.
    Date,
    /// An instant.
    Instant,
    /// Yes or no.
    Boolean,
}

impl Kind {
    /// True for a choice whose options the CRM's administrator can change (IM-5).
    #[must_use]
    pub const fn is_choice(self) -> bool {
        matches!(self, Self::Choice | Self::NumberedChoice)
    }

    /// True for a record's id.
    #[must_use]
    pub const fn is_reference(self) -> bool {
        matches!(self, Self::Id | Self::Lookup)
    }
}

/// The purpose of a field. Two fields of one role in the two CRMs are each other's counterparts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A field that is not looked up by its role.
    Plain,
    /// The record's id.
    Identity,
    /// The user who owns the record.
    Owner,
    /// Time of the record's creation.
    Created,
    /// Time of the record's last change, by the CRM's own clock of changes.
    Modified,
    /// True if the record is deleted.
    Deleted,
    /// The record that this one was merged into.
    Survivor,
    /// First name.
    FirstName,
    /// Last name.
    LastName,
    /// Full name of a person or user, name of anything else.
    Name,
    /// Job title.
    JobTitle,
    /// E-mail address.
    Email,
    /// Phone number.
    Phone,
    /// Mobile phone number.
    Mobile,
    /// Fax number.
    Fax,
    /// Name of the company that a lead works for.
    Company,
    /// The account that a contact works for.
    Account,
    /// Website of a company.
    Website,
    /// Street of the first address.
    Street,
    /// City of the first address.
    City,
    /// State or province of the first address.
    State,
    /// Postal code of the first address.
    PostalCode,
    /// Country of the first address.
    Country,
    /// Street of the second address.
    OtherStreet,
    /// City of the second address.
    OtherCity,
    /// State or province of the second address.
    OtherState,
    /// Postal code of the second address.
    OtherPostalCode,
    /// Country of the second address.
    OtherCountry,
    /// A lead's topic.
    Topic,
    /// Free text about the record.
    Description,
    /// Lead source.
    Source,
    /// Industry.
    Industry,
    /// Number of employees.
    Employees,
    /// Yearly revenue.
    Revenue,
    /// Currency of the amounts.
    Currency,
    /// Stage of an opportunity.
    Stage,
    /// Stage of an opportunity as one of the sales stages of the CRM's list, where it is another field than its
    /// text (Dynamics 365).
    SalesStage,
    /// Value of an opportunity.
    Amount,
    /// Day on which an opportunity is expected to close.
    CloseDate,
    /// True if an opportunity is closed (Salesforce).
    Closed,
    /// State of a record as a number; 0 is open or active (Dynamics 365).
    Status,
    /// The opportunity that a record belongs to.
    Opportunity,
    /// The contact that a record is about.
    Contact,
    /// A contact's part in an opportunity.
    Part,
    /// True if a contact is the first one of an opportunity.
    Primary,
    /// True if a lead was converted.
    Converted,
    /// The contact that a lead was converted to.
    ConvertedContact,
    /// A user's place in the tree of roles (Salesforce) or positions (Dynamics 365).
    Position,
    /// The place above a role or position in that tree.
    ParentPosition,
    /// True if a user can sign in (Salesforce).
    Active,
    /// True if a user cannot sign in (Dynamics 365).
    Disabled,
    /// A user's type, which follows from the licence (Salesforce).
    UserType,
    /// A user's access mode as a number (Dynamics 365).
    AccessMode,
    /// The application that a user stands for (Dynamics 365).
    Application,
}

/// The parts of an address, in the order of [`ObjectSpec::addresses`].
const ADDRESSES: [[Role; 5]; 2] = [
    [
        Role::Street,
        Role::City,
        Role::State,
        Role::PostalCode,
        Role::Country,
    ],
    [
        Role::OtherStreet,
        Role::OtherCity,
        Role::OtherState,
        Role::OtherPostalCode,
        Role::OtherCountry,
    ],
];

/// The condition on which the import reads a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    /// Yes.
    Always,
    /// Yes, though the whitepaper's appendix does not list it.
    Besides,
    /// Only if the organisation has several currencies: others do not have the field.
    SeveralCurrencies,
    /// Only if the table turns out to have it.
    IfThere,
    /// Not at all: it is only written.
    Never,
}

/// One field of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// The CRM's name for it, as its API sends it (a Dataverse look-up: `_owninguser_value`).
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Its purpose.
    pub role: Role,
    /// For a lead's field, the contact's field that takes its value; empty if there is none.
    pub contact: &'static str,
    /// True if it only describes the record's fate (time of change, deletion, merge), and is not part of its
    /// values.
    pub control: bool,
    read: Read,
}

impl Field {
    const fn new(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            kind,
            role: Role::Plain,
            contact: "",
            control: false,
            read: Read::Always,
        }
    }

    const fn control(self) -> Self {
        Self {
            control: true,
            ..self
        }
    }

    const fn role(self, role: Role) -> Self {
        Self { role, ..self }
    }

    const fn contact(self, contact: &'static str) -> Self {
        Self { contact, ..self }
    }

    const fn read(self, read: Read) -> Self {
        Self { read, ..self }
    }
}

const fn id(name: &'static str) -> Field {
    Field::new(name, Kind::Id).role(Role::Identity)
}

const fn lookup(name: &'static str) -> Field {
    Field::new(name, Kind::Lookup)
}

const fn text(name: &'static str, role: Role) -> Field {
    Field::new(name, Kind::Text).role(role)
}

const fn number(name: &'static str) -> Field {
    Field::new(name, Kind::Number)
}

const fn money(name: &'static str) -> Field {
    Field::new(name, Kind::Money)
}

const fn date(name: &'static str) -> Field {
    Field::new(name, Kind::Date)
}

const fn instant(name: &'static str) -> Field {
    Field::new(name, Kind::Instant)
}

const fn flag(name: &'static str) -> Field {
    Field::new(name, Kind::Boolean)
}

/// The role of an object's records in matching.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// People who can be linked to profiles, as contacts.
    Contact,
    /// People who can be linked to profiles, as leads.
    Lead,
    /// Companies.
    Account,
    /// Users of the CRM.
    User,
    /// Opportunities.
    Opportunity,
    /// The parts that contacts have in opportunities.
    ContactRole,
    /// Records that are not looked up by what they are.
    Other,
}

/// A user's right to the records of an object.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
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

const READ: &[Right] = &[Right::Read];
const READ_AND_WRITE: &[Right] = &[Right::Read, Right::Create, Right::Update];

/// One object (Dataverse: table) of a CRM, with its rights and fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectSpec {
    /// The CRM's name for it: Salesforce's API name, Dataverse's logical name.
    pub name: &'static str,
    /// Display name.
    pub label: &'static str,
    /// True if nothing can be imported without it.
    pub required: bool,
    /// True if it exists only in organisations with several currencies.
    pub several_currencies_only: bool,
    /// The role of its records in matching.
    pub subject: Subject,
    /// The rights that the connected user needs. Leads and contacts are also written.
    pub rights: &'static [Right],
    /// All of its known fields, including those that are only written.
    pub vocabulary: &'static [Field],
}

impl ObjectSpec {
    const fn new(
        subject: Subject,
        name: &'static str,
        label: &'static str,
        vocabulary: &'static [Field],
    ) -> Self {
        Self {
            name,
            label,
            required: !matches!(subject, Subject::ContactRole | Subject::Other),
            several_currencies_only: false,
            subject,
            rights: match subject {
                Subject::Contact | Subject::Lead => READ_AND_WRITE,
                Subject::Account
                | Subject::User
                | Subject::Opportunity
                | Subject::ContactRole
                | Subject::Other => READ,
            },
            vocabulary,
        }
    }

    /// The imported fields, the identity first, in an organisation with one or with several currencies.
    pub fn fields(&self, several_currencies: bool) -> impl Iterator<Item = &'static str> + use<> {
        self.imported(several_currencies).map(|field| field.name)
    }

    /// See [`Self::fields`].
    pub fn imported(
        &self,
        several_currencies: bool,
    ) -> impl Iterator<Item = &'static Field> + use<> {
        let read = |field: &&Field| matches!(field.read, Read::Always | Read::Besides);
        let more =
            move |field: &&Field| several_currencies && field.read == Read::SeveralCurrencies;
        let fields = self.vocabulary.iter();
        fields.clone().filter(read).chain(fields.filter(more))
    }

    /// The fields that are imported because the whitepaper's appendix lists them, or (Salesforce) as their
    /// counterparts.
    pub fn listed(&self) -> impl Iterator<Item = &'static Field> + use<> {
        self.imported(false)
            .filter(|field| field.read == Read::Always)
    }

    /// The field of that name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.vocabulary.iter().find(|field| field.name == name)
    }

    /// The field of a role.
    #[must_use]
    pub fn of_role(&self, role: Role) -> Option<&'static Field> {
        self.vocabulary.iter().find(|field| field.role == role)
    }

    /// The name of the field of a role; empty if there is none.
    #[must_use]
    pub const fn named(&self, role: Role) -> &'static str {
        let mut rest = self.vocabulary;
        while let [field, more @ ..] = rest {
            if field.role as u8 == role as u8 {
                return field.name;
            }
            rest = more;
        }
        ""
    }

    /// As [`Self::named`], but only for an imported field.
    pub(crate) const fn read_as(&self, role: Role) -> &'static str {
        let mut rest = self.vocabulary;
        while let [field, more @ ..] = rest {
            if field.role as u8 == role as u8 && !matches!(field.read, Read::Never) {
                return field.name;
            }
            rest = more;
        }
        ""
    }

    /// Its imported addresses: street, city, state, postal code, country; the first is the main one.
    pub fn addresses(&self) -> impl Iterator<Item = [&'static str; 5]> + use<> {
        let spec = *self;
        ADDRESSES
            .into_iter()
            .map(move |roles| roles.map(|role| spec.read_as(role)))
            .filter(|names| names.iter().any(|name| !name.is_empty()))
    }

    /// The field with the records' ids.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        self.named(Role::Identity)
    }

    /// The look-up from the loser of a merge to its survivor, which is requested if the table has it
    /// (Dataverse).
    #[must_use]
    pub fn survivor_if_there(&self) -> Option<&'static Field> {
        self.of_role(Role::Survivor)
            .filter(|field| field.read == Read::IfThere)
    }
}

/// A CRM's objects, in the order of the permission check and the import.
#[derive(Debug, Clone, Copy)]
pub struct Vocabulary {
    /// All of them.
    pub objects: &'static [ObjectSpec],
    /// Companies.
    pub account: &'static ObjectSpec,
    /// People who are customers.
    pub contact: &'static ObjectSpec,
    /// People who may become customers.
    pub lead: &'static ObjectSpec,
    /// The CRM's users.
    pub user: &'static ObjectSpec,
    /// Opportunities.
    pub opportunity: &'static ObjectSpec,
    /// The parts that contacts have in opportunities.
    pub contact_role: &'static ObjectSpec,
    /// The names of the objects whose records can be linked to profiles, the preferred one first.
    pub people: [&'static str; 2],
    /// The names of the objects whose records can be linked to companies.
    pub companies: [&'static str; 1],
}

impl Vocabulary {
    const fn of(objects: &'static [ObjectSpec]) -> Self {
        let account = only(objects, Subject::Account);
        let contact = only(objects, Subject::Contact);
        let lead = only(objects, Subject::Lead);
        Self {
            objects,
            account,
            contact,
            lead,
            user: only(objects, Subject::User),
            opportunity: only(objects, Subject::Opportunity),
            contact_role: only(objects, Subject::ContactRole),
            people: [contact.name, lead.name],
            companies: [account.name],
        }
    }

    /// The object of that name.
    #[must_use]
    pub fn object(&self, name: &str) -> Option<&'static ObjectSpec> {
        self.objects.iter().find(|spec| spec.name == name)
    }
}

/// The object of a subject; a table without one does not compile.
#[expect(
    clippy::panic,
    reason = "it happens while the tables are compiled, or never"
)]
const fn only(objects: &'static [ObjectSpec], subject: Subject) -> &'static ObjectSpec {
    let mut rest = objects;
    while let [object, more @ ..] = rest {
        if object.subject as u8 == subject as u8 {
            return object;
        }
        rest = more;
    }
    panic!("each vendor has accounts, contacts, leads, users, opportunities and contact roles")
}

static SALESFORCE: Vocabulary = Vocabulary::of(salesforce::OBJECTS);
static DYNAMICS: Vocabulary = Vocabulary::of(dynamics::OBJECTS);

/// A CRM's vocabulary.
#[must_use]
pub fn vocabulary(crm: CrmKind) -> &'static Vocabulary {
    match crm {
        CrmKind::Salesforce => &SALESFORCE,
        CrmKind::Dynamics365 => &DYNAMICS,
    }
}

/// The objects that are imported from a CRM (IM-1).
#[must_use]
pub fn objects(crm: CrmKind) -> &'static [ObjectSpec] {
    vocabulary(crm).objects
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const BOTH: [CrmKind; 2] = [CrmKind::Salesforce, CrmKind::Dynamics365];

    #[test]
    fn every_object_has_one_identity_which_is_imported_first() {
        for spec in BOTH.into_iter().flat_map(objects) {
            let ids = spec
                .vocabulary
                .iter()
                .filter(|field| field.role == Role::Identity);
            assert_eq!(ids.count(), 1, "{}", spec.name);
            assert_eq!(spec.fields(true).next(), Some(spec.key()), "{}", spec.name);
            let id = spec.field(spec.key()).unwrap();
            assert_eq!(id.kind, Kind::Id);
            let changed = spec.of_role(Role::Modified).unwrap();
            assert_eq!(changed.kind, Kind::Instant, "{}", spec.name);
        }
    }

    #[test]
    fn each_role_and_each_name_is_there_once() {
        for spec in BOTH.into_iter().flat_map(objects) {
            let mut names = BTreeSet::new();
            let mut roles = BTreeSet::new();
            for field in spec.vocabulary {
                assert!(names.insert(field.name), "{}.{}", spec.name, field.name);
                let alone = field.role == Role::Plain || roles.insert(format!("{:?}", field.role));
                assert!(alone, "{}.{:?}", spec.name, field.role);
            }
        }
    }

    #[test]
    fn what_a_role_holds_suits_it() {
        for spec in BOTH.into_iter().flat_map(objects) {
            for field in spec.vocabulary {
                let suits = match field.role {
                    Role::Identity => field.kind == Kind::Id,
                    Role::Owner
                    | Role::Account
                    | Role::Survivor
                    | Role::ConvertedContact
                    | Role::Opportunity
                    | Role::Contact
                    | Role::Position
                    | Role::ParentPosition => field.kind == Kind::Lookup,
                    Role::Created | Role::Modified => field.kind == Kind::Instant,
                    Role::Deleted
                    | Role::Converted
                    | Role::Closed
                    | Role::Primary
                    | Role::Active
                    | Role::Disabled => field.kind == Kind::Boolean,
                    Role::CloseDate => field.kind == Kind::Date,
                    Role::Amount | Role::Revenue => field.kind == Kind::Money,
                    Role::Employees | Role::AccessMode => field.kind == Kind::Number,
                    Role::Source | Role::Industry | Role::SalesStage | Role::Status => {
                        field.kind.is_choice()
                    }
                    Role::Plain | Role::Stage | Role::Currency | Role::Part => true,
                    _ => field.kind == Kind::Text,
                };
                assert!(suits, "{}.{} {:?}", spec.name, field.name, field.kind);
            }
        }
    }

    #[test]
    fn a_contacts_fields_are_named_by_leads_only() {
        for crm in BOTH {
            let known = vocabulary(crm);
            for spec in known.objects {
                let named = spec.vocabulary.iter().filter(|f| !f.contact.is_empty());
                let mut counterparts = BTreeSet::new();
                for field in named {
                    assert_eq!(spec.subject, Subject::Lead, "{}", field.name);
                    assert!(counterparts.insert(field.contact), "{}", field.contact);
                }
            }
        }
    }

    #[test]
    fn both_crms_have_the_fields_that_people_are_known_by() {
        for crm in BOTH {
            let known = vocabulary(crm);
            for role in [
                Role::FirstName,
                Role::LastName,
                Role::Email,
                Role::Phone,
                Role::JobTitle,
                Role::Owner,
            ] {
                assert!(!known.lead.read_as(role).is_empty(), "{crm:?} {role:?}");
                assert!(!known.contact.read_as(role).is_empty(), "{crm:?} {role:?}");
            }
            for role in [Role::Name, Role::Website, Role::Phone, Role::Owner] {
                assert!(!known.account.read_as(role).is_empty(), "{crm:?} {role:?}");
            }
            for (spec, addresses) in [(known.account, 1), (known.contact, 2)] {
                assert_eq!(spec.addresses().count(), addresses, "{}", spec.name);
                assert!(spec.addresses().flatten().all(|name| !name.is_empty()));
            }
        }
    }
}
