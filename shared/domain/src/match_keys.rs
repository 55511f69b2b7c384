//! Match keys: normal forms of values by which records are found again (LG-5, MA-1).
//!
//! Keys find candidates; comparing values decides whether two records are the same. So a key may be coarse,
//! and must never be too fine.

use std::collections::HashMap;
use std::fmt::{self, Display};
use std::sync::LazyLock;

use matching::{company, contact, person, text};

use super::directory::EntryKind;
use super::linked_record;
use super::mirror::Values;
use super::normalize;
use super::schema::CrmKind;
use super::vocabulary::{Role, Subject, vocabulary};

/// Version of the rules below, and of the engine's rules for distinguishing companies. It is part of the
/// digest that marks a mirrored record as changed: after a change of the rules the next pass over all records
/// writes them with their new keys.
pub const VERSION: u8 = 6;
/// Most keys of a record.
pub const MAX_KEYS: usize = 8;
/// Maximum length of a key, in bytes; longer ones are cut.
pub const MAX_KEY_BYTES: usize = 200;
/// Separator behind the head of a key. The head is looked for as a whole, the rest by as much of its
/// beginning as is known. No normal form contains it.
const REST: char = '>';
/// Number of letters of a company's name in the head of its key.
const CALLED: usize = 4;
/// Maximum number of words of a company's name that are keys of their own.
const MAX_WORDS: usize = 3;
/// Maximum number of records that a look-up leads to: a key that more records share is not used, however few
/// entries share it. Two records of one person that share it with so many also share a finer key.
const MOST: usize = 50;
/// Maximum number of keys that are listed; the records of those that fit are compared.
const MOST_LISTED: usize = 200;

/// The kind of value that a key is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// An e-mail address.
    Email,
    /// A phone number.
    Phone,
    /// A person by the sound of the last name; then the names.
    Name,
    /// A person by the company's domain.
    At,
    /// A person by the company's name.
    Staff,
    /// A person by the CRM's id of the company.
    Account,
    /// A person by the city.
    City,
    /// A company by the beginning of its name; then the name.
    Called,
    /// A company by a word of its name, or by its acronym.
    Word,
    /// A company by the domain of its website.
    Domain,
    /// A record by the CRM's id of its account ([`references`](super::references)).
    OfAccount,
    /// A record by the CRM's id of its contact.
    OfContact,
    /// A record by the CRM's id of its opportunity.
    OfOpportunity,
    /// An opportunity by the CRM's id of its owner.
    OfOwner,
}

impl KeyKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Name => "name",
            Self::At => "at",
            Self::Staff => "staff",
            Self::Account => "account",
            Self::City => "city",
            Self::Called => "called",
            Self::Word => "word",
            Self::Domain => "domain",
            Self::OfAccount => "of-account",
            Self::OfContact => "of-contact",
            Self::OfOpportunity => "of-opportunity",
            Self::OfOwner => "of-owner",
        }
    }
}

/// A key for finding records. The table stores its text form, `{kind}:{normal form}`; some kinds have more
/// behind a `>`, of which a look-up gives as much as it knows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MatchKey {
    text: String,
    open: bool,
}

impl MatchKey {
    fn new(kind: KeyKind, normal: &str) -> Option<Self> {
        if normal.is_empty() {
            return None;
        }
        let mut text = format!("{}:{normal}", kind.as_str());
        text.truncate(text.floor_char_boundary(MAX_KEY_BYTES));
        Some(Self { text, open: false })
    }

    /// The key with more parts behind its head.
    fn with(mut self, rest: &[&str]) -> Self {
        for part in rest {
            self.text.push(REST);
            self.text.push_str(part);
        }
        let end = self.text.floor_char_boundary(MAX_KEY_BYTES);
        self.text.truncate(end);
        self
    }

    /// The open key: all keys that begin with this text.
    fn open(mut self) -> Self {
        self.open = true;
        self
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

    /// The key for the registered domain of a company's website; `None` for the domain of a public mailbox
    /// provider.
    #[must_use]
    pub fn domain(website: &str) -> Option<Self> {
        Self::new(KeyKind::Domain, &contact::website(website)?)
    }

    /// The key of a company. Its legal form and other parts that do not identify it do not count.
    #[must_use]
    pub fn called(name: &str) -> Option<Self> {
        called(&company_core(name))
    }

    /// The key of the records that name this one, by its id; `rest` divides them.
    pub(crate) fn referring(kind: KeyKind, id: &str, rest: &str) -> Option<Self> {
        Some(Self::new(kind, id)?.with(&[rest]))
    }

    /// Wraps a key that was read from storage.
    #[must_use]
    pub fn stored(key: &str) -> Self {
        Self {
            text: key.to_owned(),
            open: false,
        }
    }

    /// The key's text; for an open key, the beginning of the texts that it stands for.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// True for an open key, which stands for all keys that begin with its text.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.open
    }

    /// The part of the key that is looked for as a whole.
    #[must_use]
    pub fn head(&self) -> &str {
        self.text.split(REST).next().unwrap_or_default()
    }
}

impl Display for MatchKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Text in small Latin letters and digits. Texts that are equal by [`normalize::fold`] stay so.
fn plain(text: &str) -> String {
    text::fold(&normalize::fold(text))
}

/// The distinguishing part of a company's name in normal form. Names that compare as equal have the same one.
fn company_core(name: &str) -> String {
    let folded = plain(name);
    let core = company::core(&folded);
    text::squash(if core.is_empty() { &folded } else { &core })
}

/// A person's name as keys have it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Name {
    /// The first name without further ones.
    first: String,
    /// The last name without particles.
    last: String,
    first_sound: String,
    last_sound: String,
}

impl Name {
    fn new(first: &str, last: &str) -> Self {
        let (first, folded) = (plain(first), plain(last));
        let core = person::last_core(&folded);
        let last = text::squash(if core.is_empty() { &folded } else { &core });
        let first = first.split(' ').next().unwrap_or_default().to_owned();
        Self {
            first_sound: text::sound(&first),
            last_sound: text::sound(&last),
            first,
            last,
        }
    }

    fn of(record: &matching::Record) -> Self {
        if record.last_name.is_empty() {
            let (first, last) = person::split(&record.name);
            Self::new(&first, &last)
        } else {
            Self::new(&record.first_name, &record.last_name)
        }
    }

    /// The key of somebody of this name in a group of people.
    fn within(&self, kind: KeyKind, group: &str) -> Option<MatchKey> {
        if self.last.is_empty() {
            return None;
        }
        let rest = [self.last_sound.as_str(), &self.first, &self.last];
        Some(MatchKey::new(kind, group)?.with(&rest))
    }

    /// Compares with another name; true if it may be the same person's: the first or the last names sound
    /// alike, or both begin alike. `rest` has the form that [`within`](Self::within) writes.
    fn may_be(&self, rest: &str) -> bool {
        let mut parts = rest.split(REST);
        let mut next = || parts.next().unwrap_or_default();
        let (last_sound, first, last) = (next(), next(), next());
        let first_sound = text::sound(first);
        let same = |a: &str, b: &str| !a.is_empty() && a == b;
        let begins = |a: &str, b: &str| {
            let (a, b) = (a.chars().next(), b.chars().next());
            a.is_some() && a == b
        };
        same(&self.last_sound, last_sound)
            || same(&self.first_sound, &first_sound)
            || same(&self.last_sound, &first_sound)
            || begins(&self.first, first) && begins(&self.last, last)
    }
}

/// The domains of a person's company: of the e-mail addresses and of the website.
fn domains(record: &matching::Record) -> Vec<String> {
    let emails = record.emails.iter();
    let of_emails = emails.filter_map(|email| contact::website(email.trim().rsplit_once('@')?.1));
    let mut domains: Vec<String> = Vec::new();
    for domain in of_emails.chain(contact::website(&record.website)) {
        if !domains.contains(&domain) {
            domains.push(domain);
        }
    }
    domains
}

/// Keys, each once.
#[derive(Default)]
struct Keys(Vec<MatchKey>);

impl Keys {
    fn add(&mut self, keys: impl IntoIterator<Item = MatchKey>) {
        for key in keys {
            if !self.0.contains(&key) {
                self.0.push(key);
            }
        }
    }

    fn few(mut self) -> Vec<MatchKey> {
        self.0.truncate(MAX_KEYS);
        self.0
    }
}

/// The keys of a company.
fn company_keys(record: &matching::Record, region: Option<&str>) -> Keys {
    let mut keys = Keys::default();
    let core = company_core(&record.name);
    keys.add(called(&core));
    keys.add(MatchKey::domain(&record.website));
    let domains = domains(record).into_iter();
    keys.add(domains.filter_map(|domain| MatchKey::new(KeyKind::Domain, &domain)));
    let phones = record.phones.iter();
    keys.add(
        phones
            .filter_map(|number| MatchKey::phone(number, region))
            .take(2),
    );
    keys.add(
        words(&record.name)
            .take(MAX_WORDS)
            .filter_map(|word| MatchKey::new(KeyKind::Word, &word)),
    );
    keys.add(acronym(&record.name).and_then(|acronym| MatchKey::new(KeyKind::Word, &acronym)));
    keys
}

/// The acronym that a company is most likely called by, as a record has it whose name is the acronym.
fn acronym(name: &str) -> Option<String> {
    let acronyms = company::acronyms(&plain(name));
    let long = acronyms.into_iter().find(|acronym| acronym.len() >= 3);
    long.map(|acronym| acronym.to_string())
}

/// The key of a company's name in normal form.
fn called(core: &str) -> Option<MatchKey> {
    let beginning: String = core.chars().take(CALLED).collect();
    Some(MatchKey::new(KeyKind::Called, &beginning)?.with(&[core]))
}

/// The words of a company's name that distinguish it.
fn words(name: &str) -> impl Iterator<Item = String> {
    let core = company::core(&plain(name));
    let words: Vec<String> = core.split(' ').map(str::to_owned).collect();
    words.into_iter().filter(|word| word.len() >= 3)
}

/// The CRM's name for its leads.
#[must_use]
pub fn lead_object(crm: CrmKind) -> &'static str {
    vocabulary(crm).lead.name
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
    let value = |field: &str| values.text(field).unwrap_or_default();
    let Some(record) = linked_record::record_by(crm, object, value) else {
        let spec = vocabulary(crm).object(object);
        let user = spec.filter(|spec| spec.subject == Subject::User);
        let email = user.and_then(|user| values.text(user.read_as(Role::Email)));
        return email.and_then(MatchKey::email).into_iter().collect();
    };
    let region = region_of(&record.country).or(default_region);
    if linked_record::kind_of(crm, object) == Some(EntryKind::Company) {
        return company_keys(&record, region).few();
    }
    let name = Name::of(&record);
    let mut keys = Keys::default();
    keys.add(
        record
            .emails
            .iter()
            .filter_map(|email| MatchKey::email(email)),
    );
    let phones = record.phones.iter();
    keys.add(phones.filter_map(|number| MatchKey::phone(number, region)));
    keys.add(named(&name));
    let domain = domains(&record).into_iter().next();
    keys.add(domain.and_then(|domain| name.within(KeyKind::At, &domain)));
    let company = company_core(&record.company);
    let staff = name.within(KeyKind::Staff, &company);
    // Somebody without a last name is found by the company alone.
    keys.add(staff.or_else(|| {
        let nobody = MatchKey::new(KeyKind::Staff, &company)?;
        Some(nobody.with(&["", &name.first, ""]))
    }));
    let account = linked_record::account_by(crm, object, value);
    keys.add(name.within(KeyKind::Account, account));
    keys.add(name.within(KeyKind::City, &text::squash(&plain(&record.city))));
    keys.few()
}

/// The key of a person by name.
fn named(name: &Name) -> Option<MatchKey> {
    let key = MatchKey::new(KeyKind::Name, &name.last_sound)?;
    Some(key.with(&[&name.first, &name.last]))
}

/// A look-up of records: keys from the widest to the narrowest. The first key that leads to at most its number
/// of records is used; if none does, the look-up finds nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    keys: Vec<(MatchKey, usize)>,
    /// The name that records have to be similar to; with none, all that are found are compared.
    like: Option<Name>,
}

impl Lookup {
    fn one(key: MatchKey) -> Self {
        Self {
            keys: vec![(key, MOST)],
            like: None,
        }
    }

    /// The keys, the widest first, each with the maximum number of records that it may lead to.
    pub fn keys(&self) -> impl Iterator<Item = (&MatchKey, usize)> {
        self.keys.iter().map(|(key, most)| (key, *most))
    }

    /// True if a record that was found is worth comparing; `key` is the text of its key.
    #[must_use]
    pub fn fits(&self, key: &str) -> bool {
        let rest = key.split_once(REST).map_or("", |(_, rest)| rest);
        self.like.as_ref().is_none_or(|name| name.may_be(rest))
    }
}

/// The look-up of an entry among the people of a group.
fn among(kind: KeyKind, group: &str, name: &Name) -> Option<Lookup> {
    let all = MatchKey::new(kind, group)?;
    let mut keys = vec![(all.clone().with(&[""]).open(), MOST_LISTED)];
    if !name.last_sound.is_empty() {
        keys.push((all.clone().with(&[&name.last_sound, ""]).open(), MOST));
        if !name.first.is_empty() {
            let narrow = [name.last_sound.as_str(), &name.first, ""];
            keys.push((all.with(&narrow).open(), MOST));
        }
    }
    Some(Lookup {
        keys,
        like: Some(name.clone()),
    })
}

/// The look-ups that find the records an entry may be, except those by its company ([`colleagues`]).
#[must_use]
pub fn lookups(
    kind: matching::Kind,
    record: &matching::Record,
    default_region: Option<&str>,
) -> Vec<Lookup> {
    let region = region_of(&record.country).or(default_region);
    if kind == matching::Kind::Company {
        let keys = company_keys(record, region).0.into_iter();
        let mut lookups: Vec<Lookup> = keys
            .filter(|key| !key.head().starts_with(KeyKind::Called.as_str()))
            .map(Lookup::one)
            .collect();
        let core = company_core(&record.name);
        // As much of the name as leaves few.
        let mut beginnings: Vec<(MatchKey, usize)> = Vec::new();
        for letters in [6, 10, 16, usize::MAX] {
            let beginning: String = core.chars().take(letters).collect();
            let key = called(&beginning).map(MatchKey::open);
            beginnings.extend(key.map(|key| (key, MOST)));
        }
        beginnings.dedup();
        lookups.push(Lookup {
            keys: beginnings,
            like: None,
        });
        return lookups;
    }
    let name = Name::of(record);
    let mut keys = Keys::default();
    // Each is a query, so only the first four of each are looked up.
    keys.add(
        record
            .emails
            .iter()
            .filter_map(|email| MatchKey::email(email))
            .take(4),
    );
    let phones = record.phones.iter();
    keys.add(
        phones
            .filter_map(|number| MatchKey::phone(number, region))
            .take(4),
    );
    let mut lookups: Vec<Lookup> = keys.0.into_iter().map(Lookup::one).collect();
    if let Some(sound) = MatchKey::new(KeyKind::Name, &name.last_sound) {
        let mut keys = vec![(sound.clone().with(&[""]).open(), MOST)];
        if let Some(initial) = name.first.chars().next() {
            keys.push((sound.clone().with(&[&initial.to_string()]).open(), MOST));
            keys.push((sound.clone().with(&[&name.first, ""]).open(), MOST));
            keys.push((sound.with(&[&name.first, &name.last]), MOST));
        }
        lookups.push(Lookup { keys, like: None });
        // First and last name may be swapped.
        let swapped = MatchKey::new(KeyKind::Name, &name.first_sound);
        let swapped = swapped.map(|key| key.with(&[&name.last, ""]).open());
        lookups.extend(swapped.map(Lookup::one));
    }
    let domains = domains(record).into_iter().take(3);
    lookups.extend(domains.filter_map(|domain| among(KeyKind::At, &domain, &name)));
    lookups.extend(among(KeyKind::Staff, &company_core(&record.company), &name));
    let city = text::squash(&plain(&record.city));
    lookups.extend(among(KeyKind::City, &city, &name).map(|mut lookup| {
        // A city is too many people to list.
        lookup.keys.remove(0);
        lookup.like = None;
        lookup
    }));
    lookups.retain(|lookup| !lookup.keys.is_empty());
    lookups
}

/// The look-ups that find the accounts a person's company may be.
#[must_use]
pub fn employers(record: &matching::Record) -> Vec<Lookup> {
    let domains = domains(record).into_iter().take(3);
    let keys = domains.filter_map(|domain| MatchKey::new(KeyKind::Domain, &domain));
    let mut lookups: Vec<Lookup> = keys.map(Lookup::one).collect();
    lookups.extend(MatchKey::called(&record.company).map(Lookup::one));
    lookups
}

/// The look-up that finds the contacts of an account that an entry may be.
#[must_use]
pub fn colleagues(record: &matching::Record, account: &str) -> Option<Lookup> {
    among(KeyKind::Account, account, &Name::of(record))
}

/// The most selective key from values of lead fields; `value` returns a field's value.
#[must_use]
pub fn best_key<'v>(
    crm: CrmKind,
    object: &str,
    value: impl Fn(&str) -> Option<&'v str>,
    region: Option<&str>,
) -> Option<MatchKey> {
    let spec = vocabulary(crm).object(object)?;
    let text = |role: Role| {
        let name = spec.read_as(role);
        Some(name).filter(|name| !name.is_empty()).and_then(&value)
    };
    let (first, last) = (text(Role::FirstName), text(Role::LastName));
    let company = text(Role::Company);
    text(Role::Email)
        .and_then(MatchKey::email)
        .or_else(|| {
            let mut numbers = [Role::Phone, Role::Mobile].into_iter().filter_map(text);
            numbers.find_map(|number| MatchKey::phone(number, region))
        })
        .or_else(|| {
            let company = company_core(company?);
            let name = Name::new(first.unwrap_or_default(), last?);
            if !name.first.is_empty() {
                return name.within(KeyKind::Staff, &company);
            }
            // Of one that has no first name, the last is read as a whole name ([`linked_record`]).
            let is_one = !name.last.is_empty() && !last?.trim().contains(' ');
            let staff = MatchKey::new(KeyKind::Staff, &company)?;
            is_one.then(|| staff.with(&[&name.last_sound, ""]).open())
        })
        .or_else(|| {
            let name = Name::new(first?, last?);
            let key = MatchKey::new(KeyKind::Name, &name.last_sound)?;
            (!name.first.is_empty()).then(|| key.with(&[&name.first, &name.last]))
        })
        .or_else(|| {
            let staff = MatchKey::new(KeyKind::Staff, &company_core(company?))?;
            Some(staff.with(&[""]).open())
        })
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

    use super::{
        MAX_KEY_BYTES, MAX_KEYS, MatchKey, best_key, colleagues, employers, keys, lookups,
        region_of,
    };
    use crate::mirror::{Value, Values};
    use crate::normalize::{Comparison, normalize};
    use crate::schema::CrmKind;
    use crate::vocabulary::{Role, Subject, objects};

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
                "name:nlr>jurgen>muller",
                "at:example.com>nlr>jurgen>muller",
                "staff:mullersons>nlr>jurgen>muller",
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
                ("_parentcustomerid_value", "a1"),
                ("address1_city", "Austin, TX"),
            ],
            &[
                "email:ada@example.com",
                "phone:+14155552671",
                "name:aprn>ada>obrien",
                "at:example.com>aprn>ada>obrien",
                "account:a1>aprn>ada>obrien",
                "city:austintx>aprn>ada>obrien",
            ],
        );
        check(
            CrmKind::Dynamics365,
            "account",
            &[
                ("name", "The Ångström Paper Works of Uppsala AB"),
                ("websiteurl", "https://news.Example.com/about?x=1"),
                ("telephone1", "415 555 2671"),
            ],
            &[
                "called:angs>angstrompaperworksuppsala",
                "domain:example.com",
                "phone:+14155552671",
                "word:angstrom",
                "word:paper",
                "word:works",
                "word:apwu",
            ],
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
        check(
            CrmKind::Salesforce,
            "Lead",
            &[("LastName", "Only")],
            &["name:anl>>only"],
        );
    }

    /// True if a look-up leads to a record by one of its keys when no other record shares them.
    fn leads(lookup: &super::Lookup, keys: &[MatchKey]) -> bool {
        let (first, _) = lookup.keys().next().unwrap();
        keys.iter().any(|key| {
            let same = if first.is_open() {
                key.as_str().starts_with(first.as_str())
            } else {
                key.as_str() == first.as_str()
            };
            same && lookup.fits(key.as_str())
        })
    }

    fn found(record: &matching::Record, object: &str, of: &[(&'static str, &str)]) -> usize {
        let keys = keys(CrmKind::Salesforce, object, &values(of), Some("US"));
        let kind = match object {
            "Account" => matching::Kind::Company,
            _ => matching::Kind::Person,
        };
        let lookups = lookups(kind, record, Some("US")).into_iter();
        let account = of.iter().find(|(name, _)| *name == "AccountId");
        let colleagues = account.and_then(|(_, account)| colleagues(record, account));
        let all = lookups.chain(colleagues);
        all.filter(|lookup| leads(lookup, &keys)).count()
    }

    #[test]
    fn an_entry_finds_its_record_however_it_is_written() {
        let person = matching::Record {
            first_name: "Jürgen K.".to_owned(),
            last_name: "von Müller".to_owned(),
            company: "Müller & Söhne".to_owned(),
            website: "mueller-soehne.de".to_owned(),
            city: "Köln".to_owned(),
            country: "Deutschland".to_owned(),
            emails: ["j@example.com", "second@gmail.com"]
                .map(str::to_owned)
                .to_vec(),
            phones: vec!["030 901820".to_owned()],
            ..matching::Record::default()
        };
        let lead = |of: &[(&'static str, &str)]| found(&person, "Lead", of);
        // Without the further first name, misspelled, swapped, by a short name at the company.
        assert_eq!(lead(&[("FirstName", "Jurgen"), ("LastName", "Mueller")]), 1);
        assert_eq!(lead(&[("FirstName", "J."), ("LastName", "Miller")]), 1);
        assert_eq!(lead(&[("FirstName", "Müller"), ("LastName", "Jürgen")]), 1);
        assert_eq!(lead(&[("FirstName", "Jürgen"), ("LastName", "Schmidt")]), 0);
        let at = [("Email", "js@news.mueller-soehne.de")];
        let married = [("FirstName", "Jürgen"), ("LastName", "Schmidt")];
        assert_eq!(lead(&[&married[..], &at].concat()), 1);
        let other = [("FirstName", "Anna"), ("LastName", "Schmidt")];
        assert_eq!(lead(&[&other[..], &at].concat()), 0);
        let staff = [("Company", "Mueller & Soehne GmbH")];
        assert_eq!(lead(&[&married[..], &staff].concat()), 0);
        let staff = [("Company", "Müller & Söhne GmbH")];
        assert_eq!(lead(&[&married[..], &staff].concat()), 1);
        assert_eq!(lead(&[("LastName", "Muller"), ("City", "KÖLN")]), 2);
        // A contact by its account, which the employer's name or domain leads to.
        let contact = [("LastName", "Miller"), ("AccountId", "001")];
        assert_eq!(found(&person, "Contact", &contact), 2);
        let account = [
            ("Name", "Müller & Söhne AG"),
            ("Website", "www.mueller-soehne.de"),
        ];
        let account = keys(CrmKind::Salesforce, "Account", &values(&account), None);
        let employers = employers(&person);
        assert_eq!(employers.iter().filter(|of| leads(of, &account)).count(), 2);
        let unsplit = matching::Record {
            name: "Jürgen von Müller".to_owned(),
            ..matching::Record::default()
        };
        assert_eq!(found(&unsplit, "Lead", &[("LastName", "Muller")]), 1);
    }

    #[test]
    fn a_company_is_found_by_the_beginning_of_its_name_and_by_its_words() {
        let company = |name: &str| matching::Record {
            name: name.to_owned(),
            ..matching::Record::default()
        };
        let account =
            |name: &str, other: &str| found(&company(name), "Account", &[("Name", other)]);
        assert!(account("The Example Company, Inc.", "Example") > 0);
        assert!(account("Stanwick Therapeutics", "Stanwick Therapeut. GmbH") > 0);
        assert!(account("Burley Elementary School", "Public School Burley") > 0);
        assert!(account("Bank of Example", "BOE") > 0);
        assert!(account("IBM Corp.", "International Business Machines") > 0);
        assert_eq!(account("Burley", "Yale"), 0);
        let record = matching::Record {
            emails: ["info@web.de", "info@www.example.com"]
                .map(str::to_owned)
                .to_vec(),
            phones: vec!["(415) 555-2671".to_owned()],
            website: "http://gmail.com".to_owned(),
            ..company("Nobody knows")
        };
        let by = |of: &[(&'static str, &str)]| found(&record, "Account", of);
        assert_eq!(by(&[("Name", "X"), ("Website", "example.com")]), 1);
        assert_eq!(by(&[("Name", "X"), ("Phone", "415 555 2671")]), 1);
        assert_eq!(by(&[("Name", "X"), ("Website", "gmail.com")]), 0);
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
        let person = [
            Role::Email,
            Role::Phone,
            Role::Mobile,
            Role::City,
            Role::Country,
            Role::FirstName,
            Role::LastName,
            Role::Company,
            Role::Account,
        ];
        for crm in [CrmKind::Salesforce, CrmKind::Dynamics365] {
            for spec in objects(crm) {
                let roles: &[Role] = match spec.subject {
                    Subject::Contact | Subject::Lead => &person,
                    Subject::Account => &[Role::Name, Role::Website, Role::Phone],
                    Subject::User => &[Role::Email],
                    Subject::Opportunity | Subject::ContactRole | Subject::Other => &[],
                };
                for name in roles.iter().map(|role| spec.read_as(*role)) {
                    assert!(
                        name.is_empty() || spec.fields(false).any(|field| field == name),
                        "{}.{name}",
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
                // What is not known of it is left open.
                let key = key.unwrap();
                prop_assert!(mirrored.iter().any(|mirrored| mirrored.as_str().starts_with(key.as_str())), "{key} {mirrored:?}");
            }
        }
    }
}
