//! Recognition of the field that a column of a file holds, from its header.
//!
//! Headers come in English, German, French, Spanish, Dutch and Italian, and as Salesforce,
//! Dynamics, `HubSpot`, LinkedIn and Google Contacts export them.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::{Kind, Record};

/// The meaning of a column: a field of [`Record`], or a part of its street.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Column {
    /// A person's given name.
    FirstName,
    /// A person's family name.
    LastName,
    /// A person's whole name, or a company's name.
    Name,
    /// A person's job title.
    Title,
    /// The name of a person's employer.
    Company,
    /// A website or domain.
    Website,
    /// A house number that has a column of its own.
    StreetNumber,
    /// The street, or the whole first line of the address.
    Street,
    /// The second line of the address.
    Street2,
    /// The city.
    City,
    /// The state, province or region.
    State,
    /// The postal code.
    Postcode,
    /// The country's name or code.
    Country,
    /// An e-mail address; a file may have several such columns.
    Email,
    /// A telephone number; a file may have several such columns.
    Phone,
}

impl Column {
    /// Every column, in the order in which a person would list them.
    pub const ALL: [Self; 15] = [
        Self::FirstName,
        Self::LastName,
        Self::Name,
        Self::Title,
        Self::Company,
        Self::Website,
        Self::StreetNumber,
        Self::Street,
        Self::Street2,
        Self::City,
        Self::State,
        Self::Postcode,
        Self::Country,
        Self::Email,
        Self::Phone,
    ];

    /// The column's name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FirstName => "first_name",
            Self::LastName => "last_name",
            Self::Name => "name",
            Self::Title => "title",
            Self::Company => "company",
            Self::Website => "website",
            Self::StreetNumber => "street_number",
            Self::Street => "street",
            Self::Street2 => "street_2",
            Self::City => "city",
            Self::State => "state",
            Self::Postcode => "postcode",
            Self::Country => "country",
            Self::Email => "email",
            Self::Phone => "phone",
        }
    }

    /// The column with that [name](Self::as_str).
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|column| column.as_str() == name)
    }

    /// True if several columns of a file may hold it.
    #[must_use]
    pub const fn is_list(self) -> bool {
        matches!(self, Self::Email | Self::Phone)
    }

    /// Puts a cell's text into a record. An empty text changes nothing, and of two texts for one field the
    /// first is used.
    ///
    /// The parts of a street become lines, the number before the street and its second line after it, in any
    /// order of arrival. A second line that comes first is kept after an empty one until the street comes.
    /// Several e-mail addresses or numbers in one cell are separated by `;`, a line break or ` ::: ` (Google
    /// Contacts), and e-mail addresses also by `,`.
    pub fn set(self, record: &mut Record, text: &str) {
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        let field = match self {
            Self::Email => {
                return add(&mut record.emails, text.split([';', ',', '\n', '\r']));
            }
            Self::Phone => return add(&mut record.phones, text.split([';', '\n', '\r'])),
            Self::StreetNumber => {
                let rest = std::mem::take(&mut record.street);
                let gap = if rest.is_empty() || rest.starts_with('\n') {
                    ""
                } else {
                    " "
                };
                record.street = format!("{text}{gap}{rest}");
                return;
            }
            Self::Street => {
                let rest = std::mem::take(&mut record.street);
                let (number, second) = rest.split_once('\n').unwrap_or((&rest, ""));
                record.street = if number.is_empty() {
                    text.to_owned()
                } else {
                    format!("{number} {text}")
                };
                if !second.is_empty() {
                    record.street.push('\n');
                    record.street.push_str(second);
                }
                return;
            }
            Self::Street2 => {
                record.street.push('\n');
                record.street.push_str(text);
                return;
            }
            Self::FirstName => &mut record.first_name,
            Self::LastName => &mut record.last_name,
            Self::Name => &mut record.name,
            Self::Title => &mut record.title,
            Self::Company => &mut record.company,
            Self::Website => &mut record.website,
            Self::City => &mut record.city,
            Self::State => &mut record.state,
            Self::Postcode => &mut record.postcode,
            Self::Country => &mut record.country,
        };
        if field.is_empty() {
            text.clone_into(field);
        }
    }
}

/// Adds the values that are missing from the list.
fn add<'a>(list: &mut Vec<String>, values: impl Iterator<Item = &'a str>) {
    for value in values.flat_map(|value| value.split(":::")).map(str::trim) {
        if !value.is_empty() && !list.iter().any(|there| there == value) {
            list.push(value.to_owned());
        }
    }
}

/// Makes a record from a row's cells. Cells beyond the columns are left out.
#[must_use]
pub fn record<'a>(columns: &[Option<Column>], cells: impl IntoIterator<Item = &'a str>) -> Record {
    let mut record = Record::default();
    for (column, cell) in columns.iter().zip(cells) {
        if let Some(column) = column {
            column.set(&mut record, cell);
        }
    }
    if record.street.starts_with('\n') {
        record.street = record.street.trim_start().to_owned();
    }
    record
}

/// The headers of each column, the surest first; folded, and without separators between the words.
const HEADERS: &[(Column, &str)] = &[
    (
        Column::FirstName,
        "firstname givenname forename fname first given christianname vorname rufname prenom \
         primernombre nombredepila nombre nombres voornaam roepnaam nome primonome fornavn fornamn",
    ),
    (
        Column::LastName,
        "lastname surname familyname lname last family sname nachname familienname zuname \
         nomdefamille apellidos apellido primerapellido achternaam cognome nom efternavn efternamn",
    ),
    (
        Column::Name,
        "fullname name completename displayname personname nameofperson vollername \
         vollstandigername nomcomplet nometprenom prenometnom prenomnom nomprenom nombrecompleto \
         nombreyapellidos nombreyapellido volledigenaam naam nomecompleto nomeecognome nomecognome \
         ansprechpartner fileas",
    ),
    (
        Column::Title,
        "jobtitle position jobposition role jobrole title designation occupation profession \
         function organizationtitle organization1title berufsbezeichnung stellenbezeichnung \
         jobtitel beruf stelle funktion rolle titreduposte intituleduposte poste fonction titre \
         cargo puesto puestodetrabajo functie functietitel beroep qualifica ruolo mansione \
         posizione",
    ),
    (
        Column::Company,
        "companyname accountname company account organizationname organisationname organization \
         organisation companyaccount accountcompany employer employername business businessname \
         org orgname firm firmname companyorganization organization1name associatedcompany \
         primaryassociatedcompany parentaccount parentaccountname parentcustomer \
         parentcustomeridname currentcompany currentemployer firma firmenname unternehmen \
         unternehmensname arbeitgeber gesellschaft societe nomdelasociete entreprise \
         nomdelentreprise raisonsociale employeur empresa nombredelaempresa nombreempresa compania \
         razonsocial organizacion bedrijf bedrijfsnaam organisatie werkgever azienda nomeazienda \
         societa ragionesociale ditta datoredilavoro",
    ),
    (
        Column::Website,
        "website websiteurl web webpage webaddress homepage site companydomainname domainname \
         domain companydomain website1value companyurl internet www webseite internetseite \
         internetadresse siteweb siteinternet sitioweb paginaweb sito sitoweb sitointernet",
    ),
    (
        Column::StreetNumber,
        "streetnumber streetno streetnr streetnum housenumber houseno housenr buildingnumber \
         addressnumber hausnummer hausnr strassennummer hnr numerodevoie numerodelavoie \
         numerodecalle huisnummer huisnr numerocivico civico",
    ),
    (
        Column::Street,
        "street streetaddress street1 streetline1 addressline1 address1 address1line1 addressline \
         address address1street address1street1 addressstreet addressstreet1 streetname addr1 addr \
         line1 address1formatted addressformatted fulladdress address1composite strasse \
         strassehausnummer strasseundhausnummer strassehausnr strassenr strasseundnr anschrift \
         adresszeile1 adresse adresse1 rue voie lignedadresse1 adressepostale calle callenumero \
         direccion direccion1 domicilio straat straatnaam adres adresregel1 indirizzo indirizzo1 \
         via",
    ),
    (
        Column::Street2,
        "street2 streetline2 addressline2 address2 address1line2 address1street2 addressstreet2 \
         addr2 line2 streetaddress2 streetaddressline2 addresscontinued address1extendedaddress \
         extendedaddress unit suite apartment adresszusatz adresszeile2 adresse2 \
         complementadresse complementdadresse lignedadresse2 direccion2 toevoeging adresregel2 \
         indirizzo2",
    ),
    (
        Column::City,
        "city town cityname citytown locality suburb municipality postaltown place ort stadt \
         wohnort gemeinde ville localite commune ciudad localidad poblacion municipio plaats \
         woonplaats stad gemeente citta comune localita",
    ),
    (
        Column::State,
        "state stateprovince stateorprovince statename stateregion stateprovinceregion province \
         region statecode provincename stateabbreviation stateprov stateterritory territory county \
         bundesland kanton departement provincia estado comunidadautonoma provincie regione regio",
    ),
    (
        Column::Postcode,
        "postcode postalcode zip zipcode zippostalcode zippostcode postalzip postal postalzipcode \
         zippostal zip5 postleitzahl plz codepostal cp codigopostal codpostal cap codiceavviamento \
         codicepostale",
    ),
    (
        Column::Country,
        "country countryname countryregion countryorregion countrycode nation land staat \
         landercode pays pais nazione paese stato",
    ),
    (
        Column::Email,
        "email emailaddress mail mailaddress emailaddress1 emailaddress2 emailaddress3 emails \
         emailaddresses emailadresse emailadressen mailadresse courriel adresseemail adressemail \
         adressecourriel adresseelectronique mel correo correoelectronico direcciondecorreo \
         emailadres mailadres indirizzoemail posta postaelettronica",
    ),
    (
        Column::Phone,
        "phone phonenumber telephone telephonenumber tel telno telnumber phoneno phones \
         phonenumbers telephone1 telephone2 telephone3 mobile mobilephone mobilenumber mobileno \
         mobilephonenumber cell cellphone cellphonenumber cellnumber landline directline \
         directdial directphone telefon telefonnummer telefonnr telnr rufnummer handy handynummer \
         mobil mobilnummer mobiltelefon mobilfunk festnetz numerodetelephone portable \
         telephoneportable telephonemobile telephonefixe telefono numerodetelefono movil celular \
         telefonomovil telefonofijo telefoon telefoonnummer mobiel mobielnummer gsm cellulare \
         telefonocellulare telefonofisso",
    ),
];

/// Qualifiers that may stand before or after one of [`HEADERS`], and the uncertainty that each adds.
const QUALIFIERS: &[(&str, u32)] = &[
    ("primary", 1),
    ("main", 1),
    ("mailing", 1),
    ("billing", 1),
    ("business", 2),
    ("work", 2),
    ("office", 2),
    ("contact", 2),
    ("lead", 2),
    ("person", 2),
    ("customer", 2),
    ("personal", 3),
    ("address1", 2),
    ("address", 2),
    ("addr", 2),
    ("current", 2),
    ("postal", 2),
    ("account", 4),
    ("company", 4),
    ("organization", 4),
    ("organisation", 4),
    ("firma", 4),
    ("firmen", 4),
    ("shipping", 5),
    ("home", 5),
    ("private", 5),
    ("privat", 5),
    ("mobile", 2),
    ("direct", 2),
    ("assistant", 30),
    ("other", 8),
    ("secondary", 8),
    ("alternate", 8),
    ("alternative", 8),
    ("additional", 8),
    ("address2", 9),
    ("address3", 9),
    ("hs", 1),
    ("value", 1),
    ("1", 1),
    ("2", 6),
    ("3", 7),
    ("4", 8),
    ("geschaftlich", 2),
    ("dienstlich", 2),
    ("beruflich", 2),
    ("professionnel", 2),
    ("pro", 3),
    ("trabajo", 2),
    ("zakelijk", 2),
    ("lavoro", 2),
];

/// Maximum number of qualifiers in one header.
const MOST_QUALIFIERS: usize = 3;
/// Uncertainty of one qualifier, relative to the place in the list of headers.
const QUALIFIED: u32 = 100;

static KNOWN: LazyLock<HashMap<&'static str, (Column, u32)>> = LazyLock::new(|| {
    let mut known = HashMap::new();
    for (column, headers) in HEADERS {
        for (place, header) in (0..).zip(headers.split_whitespace()) {
            known.entry(header).or_insert((*column, place));
        }
    }
    known
});

/// Lower case, without accents and without characters that are not letters or digits.
fn compact(header: &str) -> String {
    let custom = header
        .trim()
        .trim_end_matches("__c")
        .trim_end_matches("__C");
    let mut text = String::with_capacity(custom.len());
    for c in custom.chars().flat_map(char::to_lowercase) {
        match c {
            'à'..='å' => text.push('a'),
            'æ' => text.push_str("ae"),
            'ç' => text.push('c'),
            'è'..='ë' => text.push('e'),
            'ì'..='ï' => text.push('i'),
            'ñ' => text.push('n'),
            'ò'..='ö' | 'ø' => text.push('o'),
            'ù'..='ü' => text.push('u'),
            'ß' => text.push_str("ss"),
            c if c.is_alphanumeric() => text.push(c),
            _ => {}
        }
    }
    text
}

/// The meaning of a header, and its uncertainty.
fn meaning(kind: Kind, header: &str, qualifiers: usize, person: bool) -> Option<(Column, u32)> {
    if let Some((column, place)) = KNOWN.get(header) {
        return of_kind(kind, *column, person, header).map(|column| (column, *place));
    }
    if qualifiers == 0 {
        return None;
    }
    let shorter = QUALIFIERS.iter().flat_map(|(qualifier, weight)| {
        let before = header.strip_prefix(qualifier);
        let after = header.strip_suffix(qualifier);
        let of_person = matches!(*qualifier, "contact" | "lead" | "person" | "personal");
        [before, after]
            .into_iter()
            .flatten()
            .map(move |rest| (rest, *weight, of_person))
    });
    let meanings = shorter.filter_map(|(rest, weight, of_person)| {
        let (column, unsure) = meaning(kind, rest, qualifiers - 1, person || of_person)?;
        Some((column, unsure + weight * QUALIFIED))
    });
    meanings.min_by_key(|(column, unsure)| (*unsure, *column))
}

/// The meaning of a column in a file of that kind. `person` is true if the header speaks of a contact.
fn of_kind(kind: Kind, column: Column, person: bool, header: &str) -> Option<Column> {
    match (kind, column) {
        (Kind::Company, Column::FirstName | Column::LastName) => {
            // The languages that use the same word for a person's and for a company's name.
            (!person && matches!(header, "nom" | "nombre" | "nome")).then_some(Column::Name)
        }
        (Kind::Company, Column::Title) => None,
        (Kind::Company, Column::Name) => {
            let of_person = person
                || matches!(header, "personname" | "nameofperson" | "ansprechpartner")
                || header.contains("prenom")
                || header.contains("apellido")
                || header.contains("cognome");
            (!of_person).then_some(Column::Name)
        }
        (Kind::Company, Column::Company) => {
            let parent = header.starts_with("parent") || header.contains("associated");
            (!parent && !person).then_some(Column::Name)
        }
        (Kind::Person | Kind::Company, column) => Some(column),
    }
}

/// Suggests the meaning of each column of a file; `None` for a column that fits no field.
///
/// If two headers fit one field, the surer one gets it, and the first of equals; e-mail addresses and
/// telephone numbers get all that fit. In a file of people "company" is the employer; in one of companies it
/// is the name, and columns of their contacts' names fit nothing.
#[must_use]
pub fn suggest(kind: Kind, header: &[&str]) -> Vec<Option<Column>> {
    let headers: Vec<_> = header.iter().map(|header| compact(header)).collect();
    let mut found: Vec<_> = headers
        .iter()
        .map(|header| meaning(kind, header, MOST_QUALIFIERS, false))
        .collect();
    for at in 0..found.len() {
        let Some(Some((column, unsure))) = found.get(at).copied() else {
            continue;
        };
        let better = |(other, there): (usize, &Option<(Column, u32)>)| {
            there.is_some_and(|(c, u)| c == column && (u, other) < (unsure, at))
        };
        let lost = !column.is_list() && found.iter().enumerate().any(better);
        if let (true, Some(slot)) = (lost, found.get_mut(at)) {
            *slot = None;
        }
    }
    let mut columns: Vec<_> = found
        .iter()
        .map(|found| found.map(|(column, _)| column))
        .collect();
    if kind == Kind::Person {
        settle_names(&headers, &mut columns);
    }
    columns
}

/// "Vorname, Name" are a first and a last name; "Nombre" or "Nom" alone is the whole name.
fn settle_names(headers: &[String], columns: &mut [Option<Column>]) {
    let has = |columns: &[Option<Column>], column| columns.contains(&Some(column));
    let first = has(columns, Column::FirstName);
    let last = has(columns, Column::LastName);
    for (column, header) in columns.iter_mut().zip(headers) {
        let header = header.as_str();
        *column = match *column {
            Some(Column::Name) if first && !last && matches!(header, "name" | "naam") => {
                Some(Column::LastName)
            }
            Some(Column::FirstName) if !last && matches!(header, "nombre" | "nombres" | "nome") => {
                Some(Column::Name)
            }
            Some(Column::LastName) if !first && header == "nom" => Some(Column::Name),
            other => other,
        };
    }
    // If the file has a full name too, that one was first.
    let mut named = false;
    for column in columns
        .iter_mut()
        .filter(|column| **column == Some(Column::Name))
    {
        if std::mem::replace(&mut named, true) {
            *column = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn names(kind: Kind, header: &[&str]) -> Vec<&'static str> {
        suggest(kind, header)
            .into_iter()
            .map(|c| c.map_or("-", Column::as_str))
            .collect()
    }

    #[test]
    fn every_header_is_compact_and_there_once() {
        let mut seen = HashSet::new();
        for header in HEADERS
            .iter()
            .flat_map(|(_, headers)| headers.split_whitespace())
        {
            assert_eq!(compact(header), header);
            assert!(seen.insert(header), "{header} is there twice");
        }
        for column in Column::ALL {
            assert_eq!(Column::parse(column.as_str()), Some(column));
            assert_eq!(HEADERS.iter().filter(|(of, _)| *of == column).count(), 1);
        }
        assert_eq!(Column::parse("id"), None);
    }

    #[test]
    fn people_of_several_systems() {
        for (header, columns) in [
            (
                "id,given_name,surname,street_number,address_1,address_2,suburb,postcode,state",
                "-,first_name,last_name,street_number,street,street_2,city,postcode,state",
            ),
            (
                "id,record_type,first_name,last_name,email,phone,job_title,company,website,street",
                "-,-,first_name,last_name,email,phone,title,company,website,street",
            ),
            (
                "First Name,Last Name,URL,Email Address,Company,Position,Connected On",
                "first_name,last_name,-,email,company,title,-",
            ),
            (
                "FirstName,LastName,Company / Account,MailingStreet,Mailing Zip/Postal Code,Other City,MobilePhone,Fax",
                "first_name,last_name,company,street,postcode,city,phone,-",
            ),
            (
                "firstname,lastname,emailaddress1,telephone1,address1_line1,address1_stateorprovince,address2_city,address1_city",
                "first_name,last_name,email,phone,street,state,-,city",
            ),
            (
                "Address 1: Street 1,Address 1: ZIP/Postal Code,Address 1: Country/Region,Business Phone,Account Name",
                "street,postcode,country,phone,company",
            ),
            (
                "Name,E-mail 1 - Type,E-mail 1 - Value,E-mail 2 - Value,Phone 1 - Value,Address 1 - Region,Organization Name",
                "name,-,email,email,phone,state,company",
            ),
            (
                "Vorname,Name,Firma,Straße,Hausnummer,PLZ,Ort,Bundesland,Land,Telefon,E-Mail",
                "first_name,last_name,company,street,street_number,postcode,city,state,country,phone,email",
            ),
            (
                "Prénom,Nom,Société,Rue,Code postal,Ville,Pays,Téléphone,Courriel,Fonction",
                "first_name,last_name,company,street,postcode,city,country,phone,email,title",
            ),
            (
                "Nombre,Apellidos,Empresa,Calle,Código postal,Ciudad,País,Teléfono,Correo electrónico,Cargo",
                "first_name,last_name,company,street,postcode,city,country,phone,email,title",
            ),
            (
                "voornaam,achternaam,bedrijf,straat,huisnummer,plaats,telefoon,functie",
                "first_name,last_name,company,street,street_number,city,phone,title",
            ),
            (
                "Nome,Cognome,Azienda,Indirizzo,CAP,Città,Provincia,Cellulare",
                "first_name,last_name,company,street,postcode,city,state,phone",
            ),
            ("Nombre,Email", "name,email"),
            ("Email__c,Email Opt Out,Status,Owner Email", "email,-,-,-"),
        ] {
            let header: Vec<_> = header.split(',').collect();
            assert_eq!(
                names(Kind::Person, &header).join(","),
                columns,
                "{header:?}"
            );
        }
    }

    #[test]
    fn companies() {
        for (header, columns) in [
            (
                "id,name,website,phone,street,zip",
                "-,name,website,phone,street,postcode",
            ),
            ("id,name,addr,city,phone,type", "-,name,street,city,phone,-"),
            (
                "Account Name,Billing City,Shipping City,First Name",
                "name,city,-,-",
            ),
            ("Company,Contact Name,Contact Email", "name,-,email"),
            ("Company Name,Company Domain Name,Title", "name,website,-"),
        ] {
            let header: Vec<_> = header.split(',').collect();
            assert_eq!(
                names(Kind::Company, &header).join(","),
                columns,
                "{header:?}"
            );
        }
    }

    #[test]
    fn the_parts_of_a_street_come_in_any_order() {
        let parts = [
            (Column::StreetNumber, "5"),
            (Column::Street, "Main St"),
            (Column::Street2, "Apt 3"),
        ];
        for order in [
            [0, 1, 2],
            [0, 2, 1],
            [1, 0, 2],
            [1, 2, 0],
            [2, 0, 1],
            [2, 1, 0],
        ] {
            let columns: Vec<_> = order.iter().map(|at| Some(parts[*at].0)).collect();
            let made = record(&columns, order.iter().map(|at| parts[*at].1));
            assert_eq!(made.street, "5 Main St\nApt 3", "{order:?}");
        }
        assert_eq!(record(&[Some(Column::Street2)], ["Apt 3"]).street, "Apt 3");
    }

    #[test]
    fn lists_take_all_and_fields_the_first() {
        let columns = [
            Some(Column::Email),
            Some(Column::Email),
            Some(Column::City),
            None,
        ];
        let made = record(
            &columns,
            [
                "a@x.example ::: b@x.example",
                "a@x.example; c@x.example",
                " Bern ",
                "x",
            ],
        );
        assert_eq!(made.emails, ["a@x.example", "b@x.example", "c@x.example"]);
        assert_eq!(made.city, "Bern");
        let mut made = made;
        Column::City.set(&mut made, "Basel");
        Column::City.set(&mut made, "");
        assert_eq!(made.city, "Bern");
    }
}
