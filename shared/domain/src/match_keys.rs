//! Match keys: normal forms of values by which records are found again (LG-5, MA-1).
//!
//! Keys find candidates; comparing values decides whether two records are the same. So a key may be coarse,
//! and must never be too fine.

use std::collections::HashMap;
use std::fmt::{self, Display};
use std::sync::LazyLock;

use matching::tables::free_mail;

use super::mirror::Values;
use super::normalize;
use super::schema::CrmKind;
use super::vocabulary::{ObjectSpec, Role, Subject, vocabulary};

/// Version of the rules below, and of the engine's rules for distinguishing companies. It is part of the
/// digest that marks a mirrored record as changed: after a change of the rules the next pass over all records
/// writes them with their new keys.
pub const VERSION: u8 = 3;
/// Most keys of a record.
pub const MAX_KEYS: usize = 6;
/// Maximum length of a key, in bytes; longer ones are cut.
pub const MAX_KEY_BYTES: usize = 200;

/// The kind of value that a key is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// An e-mail address.
    Email,
    /// A phone number.
    Phone,
    /// A last name and a company.
    Person,
    /// A first and a last name.
    Name,
    /// A company's name.
    Company,
    /// The host of a website.
    Domain,
}

impl KeyKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Person => "person",
            Self::Name => "name",
            Self::Company => "company",
            Self::Domain => "domain",
        }
    }
}

/// A key for finding records. The table stores its text form, `{kind}:{normal form}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MatchKey(String);

impl MatchKey {
    fn new(kind: KeyKind, normal: &str) -> Option<Self> {
        if normal.is_empty() {
            return None;
        }
        let mut key = format!("{}:{normal}", kind.as_str());
        key.truncate(key.floor_char_boundary(MAX_KEY_BYTES));
        Some(Self(key))
    }

    /// The key of an e-mail address.
    #[must_use]
    pub fn email(text: &str) -> Option<Self> {
        Self::new(KeyKind::Email, &normalize::email(text)?)
    }

    /// The key of a phone number; `region` (ISO 3166 alpha-2) is for numbers without a country code.
    #[must_use]
    pub fn phone(text: &str, region: Option<&str>) -> Option<Self> {
        Self::new(KeyKind::Phone, &normalize::phone(text, region)?)
    }

    /// The key of a person with a first and a last name.
    #[must_use]
    pub fn name(first: &str, last: &str) -> Option<Self> {
        let (first, last) = (normalize::fold(first), normalize::fold(last));
        if first.is_empty() || last.is_empty() {
            return None;
        }
        Self::new(KeyKind::Name, &format!("{first} {last}"))
    }

    /// The key of a person of that last name at a company.
    #[must_use]
    pub fn person(last: &str, company: &str) -> Option<Self> {
        let last = normalize::fold(last);
        let core = matching::person::last_core(&last);
        let last = if core.is_empty() { last } else { core };
        let company = company_core(company);
        if last.is_empty() || company.is_empty() {
            return None;
        }
        // Folded text holds no `@`.
        Self::new(KeyKind::Person, &format!("{last}@{company}"))
    }

    /// The key of a company. Its legal form and other parts that do not identify it do not count.
    #[must_use]
    pub fn company(name: &str) -> Option<Self> {
        Self::new(KeyKind::Company, &company_core(name))
    }

    /// The key for the domain of a company's website; `None` for the domain of a public mailbox provider.
    #[must_use]
    pub fn domain(website: &str) -> Option<Self> {
        let host = normalize::web_url(website)?.host_str()?.to_lowercase();
        let host = host.strip_prefix("www.").unwrap_or(&host);
        Self::new(
            KeyKind::Domain,
            Some(host).filter(|host| !free_mail::is_free(host))?,
        )
    }

    /// The key for the company domain of an e-mail address; `None` for an address of a public mailbox
    /// provider.
    #[must_use]
    pub fn email_domain(address: &str) -> Option<Self> {
        Self::domain(normalize::email(address)?.rsplit_once('@')?.1)
    }

    /// Wraps a key that was read from storage.
    #[must_use]
    pub fn stored(key: &str) -> Self {
        Self(key.to_owned())
    }

    /// The key's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Display for MatchKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The distinguishing part of a company's name in normal form. Names that compare as equal have the same one.
fn company_core(name: &str) -> String {
    let folded = normalize::fold(name);
    let core = matching::company::core(&folded);
    if core.is_empty() { folded } else { core }
}

/// The fields of an object that keys are made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeyFields {
    /// The e-mail address.
    pub email: Option<&'static str>,
    /// Phone numbers: the usual one, the mobile one.
    pub phones: [Option<&'static str>; 2],
    /// The country of the first address: its numbers may lack the country code.
    pub country: Option<&'static str>,
    /// First name.
    pub first: Option<&'static str>,
    /// Last name.
    pub last: Option<&'static str>,
    /// A company's name.
    pub company: Option<&'static str>,
    /// A company's website.
    pub website: Option<&'static str>,
}

impl KeyFields {
    fn of(spec: &ObjectSpec) -> Option<Self> {
        let field = |role: Role| Some(spec.read_as(role)).filter(|name| !name.is_empty());
        match spec.subject {
            Subject::Contact | Subject::Lead => Some(Self {
                email: field(Role::Email),
                phones: [field(Role::Phone), field(Role::Mobile)],
                country: field(Role::Country),
                first: field(Role::FirstName),
                last: field(Role::LastName),
                company: field(Role::Company),
                website: None,
            }),
            Subject::Account => Some(Self {
                company: field(Role::Name),
                website: field(Role::Website),
                ..Self::default()
            }),
            Subject::User => Some(Self {
                email: field(Role::Email),
                ..Self::default()
            }),
            Subject::Other => None,
        }
    }
}

/// The CRM's name for its leads.
#[must_use]
pub fn lead_object(crm: CrmKind) -> &'static str {
    vocabulary(crm).lead.name
}

/// The fields of an object that keys are made from; `None` for an object that is not matched.
#[must_use]
pub fn key_fields(crm: CrmKind, object: &str) -> Option<KeyFields> {
    KeyFields::of(vocabulary(crm).object(object)?)
}

/// The keys of a record, the most selective first, each once, at most [`MAX_KEYS`]. Numbers without a country
/// code are read as numbers of the record's country, or else of `default_region`.
#[must_use]
pub fn keys(
    crm: CrmKind,
    object: &str,
    values: &Values,
    default_region: Option<&str>,
) -> Vec<MatchKey> {
    let Some(fields) = key_fields(crm, object) else {
        return Vec::new();
    };
    let text = |field: Option<&'static str>| field.and_then(|field| values.text(field));
    let (first, last) = (text(fields.first), text(fields.last));
    let company = text(fields.company);
    let region = text(fields.country).and_then(region_of).or(default_region);

    let mut keys = Vec::with_capacity(MAX_KEYS);
    let mut add = |key: Option<MatchKey>| {
        if let Some(key) = key.filter(|key| !keys.contains(key)) {
            keys.push(key);
        }
    };
    add(text(fields.email).and_then(MatchKey::email));
    for phone in fields.phones {
        add(text(phone).and_then(|number| MatchKey::phone(number, region)));
    }
    add(last
        .zip(company)
        .and_then(|(last, company)| MatchKey::person(last, company)));
    add(first
        .zip(last)
        .and_then(|(first, last)| MatchKey::name(first, last)));
    add(company.and_then(MatchKey::company));
    add(text(fields.website).and_then(MatchKey::domain));
    keys.truncate(MAX_KEYS);
    keys
}

/// The keys of an entry of the directory: the same that [`keys`] makes of a record of the same person or
/// company, the most selective first, each once, at most [`MAX_KEYS`].
#[must_use]
pub fn entry_keys(
    kind: matching::Kind,
    record: &matching::Record,
    default_region: Option<&str>,
) -> Vec<MatchKey> {
    let mut keys = Vec::with_capacity(MAX_KEYS);
    let mut add = |key: Option<MatchKey>| {
        if let Some(key) = key.filter(|key| !keys.contains(key)) {
            keys.push(key);
        }
    };
    match kind {
        matching::Kind::Person => {
            let region = region_of(&record.country).or(default_region);
            let (first, last) = if record.last_name.is_empty() {
                matching::person::split(&record.name)
            } else {
                (record.first_name.clone(), record.last_name.clone())
            };
            // One of each kind first: a long list of numbers must not keep the name out.
            let mut emails = record.emails.iter().map(|email| MatchKey::email(email));
            let mut phones = record
                .phones
                .iter()
                .map(|number| MatchKey::phone(number, region));
            add(emails.next().flatten());
            add(phones.next().flatten());
            add(MatchKey::person(&last, &record.company));
            add(MatchKey::name(&first, &last));
            emails.chain(phones).for_each(add);
        }
        matching::Kind::Company => {
            add(MatchKey::company(&record.name));
            add(MatchKey::domain(&record.website));
            let emails = record.emails.iter();
            emails
                .map(|email| MatchKey::email_domain(email))
                .for_each(add);
        }
    }
    keys.truncate(MAX_KEYS);
    keys
}

/// The most selective key from values of lead fields; `value` returns a field's value.
#[must_use]
pub fn best_key<'v>(
    crm: CrmKind,
    object: &str,
    value: impl Fn(&str) -> Option<&'v str>,
    region: Option<&str>,
) -> Option<MatchKey> {
    let fields = key_fields(crm, object)?;
    let text = |field: Option<&'static str>| field.and_then(&value);
    let (first, last) = (text(fields.first), text(fields.last));
    let company = text(fields.company);
    text(fields.email)
        .and_then(MatchKey::email)
        .or_else(|| {
            let mut numbers = fields.phones.into_iter().filter_map(&text);
            numbers.find_map(|number| MatchKey::phone(number, region))
        })
        .or_else(|| MatchKey::person(last?, company?))
        .or_else(|| MatchKey::name(first?, last?))
        .or_else(|| MatchKey::company(company?))
}

/// The region (ISO 3166 alpha-2) of a country's code or name, in English or in its own language.
#[must_use]
pub fn region_of(country: &str) -> Option<&'static str> {
    static REGIONS: LazyLock<HashMap<String, &'static str>> = LazyLock::new(|| {
        let mut regions = HashMap::new();
        for entry in COUNTRIES.split_ascii_whitespace() {
            let mut names = entry.split('=');
            let Some(code) = names.next() else { continue };
            regions.insert(code.to_ascii_lowercase(), code);
            for name in names.flat_map(|names| names.split(',')) {
                regions.insert(name.replace('_', " "), code);
            }
        }
        regions
    });
    // The longest name of a country is far shorter.
    if country.len() > 100 {
        return None;
    }
    REGIONS.get(&normalize::fold(country)).copied()
}

/// Regions with their countries' folded names (`_` for a space): ISO 3166-1, with the other names that
/// CRMs and people use most.
const COUNTRIES: &str = "
AD=andorra AE=united_arab_emirates,uae AF=afghanistan AG=antigua_and_barbuda AL=albania AM=armenia AO=angola
AR=argentina AT=austria,osterreich,aut AU=australia,aus AZ=azerbaijan BA=bosnia_and_herzegovina BB=barbados
BD=bangladesh BE=belgium,belgie,belgique,belgien,bel BF=burkina_faso BG=bulgaria BH=bahrain BI=burundi BJ=benin
BM=bermuda BN=brunei,brunei_darussalam BO=bolivia,bolivia_plurinational_state_of BR=brazil,brasil,bra BS=bahamas
BT=bhutan BW=botswana BY=belarus BZ=belize CA=canada,can CD=democratic_republic_of_the_congo
CF=central_african_republic CG=congo CH=switzerland,schweiz,suisse,svizzera,che CI=cote_d_ivoire,cote_divoire,ivory_coast
CL=chile CM=cameroon CN=china,people_s_republic_of_china,peoples_republic_of_china,chn CO=colombia CR=costa_rica
CU=cuba CV=cape_verde,cabo_verde CY=cyprus CZ=czech_republic,czechia,cesko,cze DE=germany,deutschland,allemagne,deu,ger
DJ=djibouti DK=denmark,danmark,dnk DM=dominica DO=dominican_republic DZ=algeria EC=ecuador EE=estonia,eesti EG=egypt
ER=eritrea ES=spain,espana,esp ET=ethiopia FI=finland,suomi,fin FJ=fiji FM=micronesia FO=faroe_islands
FR=france,frankreich,fra GA=gabon
GB=united_kingdom,uk,great_britain,england,scotland,wales,northern_ireland,gbr,united_kingdom_of_great_britain_and_northern_ireland
GD=grenada GE=georgia GG=guernsey GH=ghana GI=gibraltar GL=greenland GM=gambia GN=guinea GQ=equatorial_guinea
GR=greece,hellas GT=guatemala GU=guam GW=guinea_bissau GY=guyana HK=hong_kong,hong_kong_sar HN=honduras
HR=croatia,hrvatska HT=haiti HU=hungary,magyarorszag ID=indonesia IE=ireland,eire,irl IL=israel IM=isle_of_man
IN=india,ind IQ=iraq IR=iran,iran_islamic_republic_of IS=iceland,island IT=italy,italia,italien,ita JE=jersey
JM=jamaica JO=jordan JP=japan,nippon,jpn KE=kenya KG=kyrgyzstan KH=cambodia KI=kiribati KM=comoros
KN=saint_kitts_and_nevis KP=north_korea KR=south_korea,korea,republic_of_korea,korea_republic_of,kor KW=kuwait
KY=cayman_islands KZ=kazakhstan LA=laos,lao_people_s_democratic_republic LB=lebanon LC=saint_lucia LI=liechtenstein
LK=sri_lanka LR=liberia LS=lesotho LT=lithuania,lietuva LU=luxembourg,luxemburg LV=latvia,latvija LY=libya
MA=morocco,maroc MC=monaco MD=moldova,moldova_republic_of ME=montenegro MG=madagascar MH=marshall_islands
MK=north_macedonia,macedonia ML=mali MM=myanmar MN=mongolia MO=macao,macau MR=mauritania MT=malta MU=mauritius
MV=maldives MW=malawi MX=mexico,mex MY=malaysia MZ=mozambique NA=namibia NE=niger NG=nigeria NI=nicaragua
NL=netherlands,the_netherlands,nederland,holland,niederlande,nld NO=norway,norge,nor NP=nepal NR=nauru
NZ=new_zealand,nzl OM=oman PA=panama PE=peru PG=papua_new_guinea PH=philippines,pilipinas PK=pakistan
PL=poland,polska,polen,pol PR=puerto_rico PS=palestine PT=portugal,prt PW=palau PY=paraguay QA=qatar RO=romania
RS=serbia,srbija RU=russia,russian_federation RW=rwanda SA=saudi_arabia SB=solomon_islands SC=seychelles SD=sudan
SE=sweden,sverige,schweden,swe SG=singapore,sgp SI=slovenia,slovenija SK=slovakia,slovensko SL=sierra_leone
SM=san_marino SN=senegal SO=somalia SR=suriname SS=south_sudan ST=sao_tome_and_principe SV=el_salvador SY=syria
SZ=eswatini,swaziland TD=chad TG=togo TH=thailand TJ=tajikistan TL=timor_leste TM=turkmenistan TN=tunisia TO=tonga
TR=turkey,turkiye TT=trinidad_and_tobago TV=tuvalu TW=taiwan TZ=tanzania,tanzania_united_republic_of UA=ukraine
UG=uganda US=united_states,usa,united_states_of_america,u_s_a,u_s,america UY=uruguay UZ=uzbekistan
VA=vatican_city,holy_see VC=saint_vincent_and_the_grenadines VE=venezuela,venezuela_bolivarian_republic_of
VN=vietnam,viet_nam VU=vanuatu WS=samoa XK=kosovo YE=yemen ZA=south_africa,zaf ZM=zambia ZW=zimbabwe
";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{MAX_KEY_BYTES, MAX_KEYS, MatchKey, best_key, entry_keys, keys, region_of};
    use crate::mirror::{Value, Values};
    use crate::normalize::{Comparison, normalize};
    use crate::schema::CrmKind;
    use crate::vocabulary::objects;

    fn values(of: &[(&'static str, &str)]) -> Values {
        let of = of
            .iter()
            .map(|(name, text)| (*name, Value::Text((*text).to_owned())));
        Values(of.collect())
    }

    fn check(crm: CrmKind, object: &str, of: &[(&'static str, &str)], expected: &[&str]) {
        let found = keys(crm, object, &values(of), Some("US"));
        let found: Vec<&str> = found.iter().map(MatchKey::as_str).collect();
        assert_eq!(found, expected, "{object} {of:?}");
    }

    #[test]
    fn each_object_has_its_keys() {
        check(
            CrmKind::Salesforce,
            "Lead",
            &[
                ("Company", "Müller & Söhne GmbH"),
                ("Email", " Jürgen@Example.com "),
                ("FirstName", "Jürgen"),
                ("LastName", "Müller"),
                ("MobilePhone", "+49 30 901820"),
                ("Phone", "030 901820"),
                ("Country", "Deutschland"),
            ],
            &[
                "email:jürgen@example.com",
                "phone:+4930901820",
                "person:muller@muller sons",
                "name:jurgen muller",
                "company:muller sons",
            ],
        );
        check(
            CrmKind::Dynamics365,
            "contact",
            &[
                ("emailaddress1", "ada@example.com"),
                ("firstname", "Ada"),
                ("lastname", "O’Brien"),
                ("telephone1", "415 555 2671"),
            ],
            &[
                "email:ada@example.com",
                "phone:+14155552671",
                "name:ada obrien",
            ],
        );
        check(
            CrmKind::Dynamics365,
            "account",
            &[
                ("name", "Ångström AB"),
                ("websiteurl", "https://www.Example.com/about?x=1"),
            ],
            &["company:angstrom", "domain:example.com"],
        );
        check(
            CrmKind::Salesforce,
            "User",
            &[("Email", "a@b.example")],
            &["email:a@b.example"],
        );
        check(
            CrmKind::Salesforce,
            "Opportunity",
            &[("Name", "Big deal")],
            &[],
        );
        check(CrmKind::Salesforce, "Lead", &[("LastName", "Only")], &[]);
    }

    #[test]
    fn an_entry_has_the_keys_of_its_record() {
        let person = matching::Record {
            first_name: "Jürgen".to_owned(),
            last_name: "von Müller".to_owned(),
            company: "Müller & Söhne".to_owned(),
            country: "Deutschland".to_owned(),
            emails: ["j@example.com", "J@EXAMPLE.com", "second@gmail.com"]
                .map(str::to_owned)
                .to_vec(),
            phones: ["030 901820", "+1 415 555 2671"]
                .map(str::to_owned)
                .to_vec(),
            ..matching::Record::default()
        };
        let found = entry_keys(matching::Kind::Person, &person, Some("US"));
        let found: Vec<&str> = found.iter().map(MatchKey::as_str).collect();
        assert_eq!(
            found,
            [
                "email:j@example.com",
                "phone:+4930901820",
                "person:muller@muller sons",
                "name:jurgen von muller",
                "email:second@gmail.com",
                "phone:+14155552671",
            ]
        );
        let unsplit = matching::Record {
            name: "Jürgen von Müller".to_owned(),
            ..matching::Record::default()
        };
        let found = entry_keys(matching::Kind::Person, &unsplit, None);
        assert_eq!(found, [MatchKey::name("Jürgen", "von Müller").unwrap()]);
        let company = matching::Record {
            name: "The Example Company, Inc.".to_owned(),
            website: "http://gmail.com".to_owned(),
            emails: ["info@web.de", "info@www.example.com"]
                .map(str::to_owned)
                .to_vec(),
            ..matching::Record::default()
        };
        let found = entry_keys(matching::Kind::Company, &company, None);
        assert!(found.contains(&MatchKey::company("Example Company").unwrap()));
        assert_eq!(
            found.get(1).map(MatchKey::as_str),
            Some("domain:example.com")
        );
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn a_country_is_read_by_code_or_name() {
        for (country, region) in [
            ("DE", Some("DE")),
            ("germany", Some("DE")),
            ("Österreich", Some("AT")),
            ("U.S.A.", Some("US")),
            ("Côte d'Ivoire", Some("CI")),
            ("United Kingdom", Some("GB")),
            ("Viet Nam", Some("VN")),
            ("Elsewhere", None),
            ("", None),
            ("ZZ", None),
        ] {
            assert_eq!(region_of(country), region, "{country}");
        }
        // Phone numbers can be read with each of them.
        for entry in super::COUNTRIES.split_ascii_whitespace() {
            let (code, names) = entry.split_once('=').unwrap();
            assert!(code.parse::<rlibphonenumber::Region>().is_ok(), "{code}");
            for name in names.split(',') {
                let name = name.replace('_', " ");
                assert_eq!(crate::normalize::fold(&name), name, "{name}");
                assert_eq!(region_of(&name), Some(code), "{name} is listed twice");
            }
        }
    }

    #[test]
    fn fields_of_keys_are_imported() {
        for crm in [CrmKind::Salesforce, CrmKind::Dynamics365] {
            for spec in objects(crm) {
                let Some(fields) = super::key_fields(crm, spec.name) else {
                    continue;
                };
                let named = [
                    fields.email,
                    fields.country,
                    fields.first,
                    fields.last,
                    fields.company,
                    fields.website,
                ];
                for field in named
                    .into_iter()
                    .flatten()
                    .chain(fields.phones.into_iter().flatten())
                {
                    assert!(
                        spec.fields(false).any(|name| name == field),
                        "{}.{field}",
                        spec.name
                    );
                }
            }
        }
    }

    proptest! {
        #[test]
        fn keys_are_short_few_and_distinct(texts in proptest::collection::vec("\\PC{0,300}", 8), region in proptest::option::of("[A-Z]{2}")) {
            for crm in [CrmKind::Salesforce, CrmKind::Dynamics365] {
                for spec in objects(crm) {
                    let values = Values(spec.fields(false).zip(texts.iter().cycle().map(|text| Value::Text(text.clone()))).collect());
                    let found = keys(crm, spec.name, &values, region.as_deref());
                    prop_assert!(found.len() <= MAX_KEYS);
                    for (index, key) in found.iter().enumerate() {
                        prop_assert!(key.as_str().len() <= MAX_KEY_BYTES);
                        prop_assert!(!found[..index].contains(key));
                    }
                }
            }
        }

        // People whom intake compares as equal are found by key.
        #[test]
        fn people_who_match_by_normal_form_share_their_keys(
            first in "[a-zA-ZäöüéßØ' -]{1,12}", last in "[a-zA-ZäöüéßØ' -]{1,12}", company in "[a-zA-ZäöüéßØ&. -]{1,20}",
        ) {
            let other = |text: &str| format!("  {} ", text.to_uppercase());
            let form = |text: &str| normalize(Comparison::Text, text, None);
            prop_assume!([&first, &last, &company].iter().all(|text| form(text).is_some() && form(text) == form(&other(text))));
            let crm = CrmKind::Salesforce;
            let (upper_first, upper_last, upper_company) = (other(&first), other(&last), other(&company));
            let mirrored = keys(crm, "Lead", &values(&[("FirstName", &upper_first), ("LastName", &upper_last), ("Company", &upper_company)]), None);
            for given in [&["LastName", "Company"][..], &["FirstName", "LastName"], &["Company"]] {
                let key = best_key(crm, "Lead", |name| given.contains(&name).then_some(match name {
                    "FirstName" => first.as_str(),
                    "LastName" => last.as_str(),
                    _ => company.as_str(),
                }), None);
                prop_assert!(mirrored.contains(&key.unwrap()));
            }
        }
    }
}
