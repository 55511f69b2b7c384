//! Made-up people and companies in the records of two systems, with the true pairs: for linking that was not
//! tuned to them.
//!
//! Six in ten records of the left have a counterpart on the right, which holds the same facts as
//! other people entered them at another time: misspelled, abbreviated, out of date, half empty. The
//! rest of either side is chosen to be mistaken for somebody of the other: colleagues, namesakes,
//! families at one address; firms with nearly the same name, or the same house.

use std::collections::{HashMap, HashSet};

use words::{
    ADJECTIVES, COINED, COINED_ENDINGS, COUNTRIES, Country, DEPARTMENTS, NOUNS, RANKS, TITLES,
};

mod words;

/// Two tables to link. The first column of each is `id`.
pub struct Tables {
    /// Records as people enter them about themselves.
    pub left: Table,
    /// Records after years in a CRM.
    pub right: Table,
    /// Rows of the left and of the right that are the same person or company.
    pub truth: Vec<(usize, usize)>,
}

/// The export of a system.
pub struct Table {
    /// The names of the columns.
    pub header: Vec<&'static str>,
    /// The cells of each row, in the order of the columns.
    pub rows: Vec<Vec<String>>,
}

/// Tables with `count` people on either side.
#[must_use]
pub fn people(seed: u64, count: usize) -> Tables {
    let mut world = World::new(seed, count / 8 + 20, false);
    let matched = count * 6 / 10;
    let mut everybody: Vec<Person> = (0..matched).map(|_| world.person()).collect();
    let mut sides: [Vec<usize>; 2] = [(0..matched).collect(), (0..matched).collect()];
    for side in &mut sides {
        while side.len() < count {
            let base = world.chance.below(matched);
            if let Some(base) = everybody.get_mut(base) {
                let person = world.mistakable(base);
                side.push(everybody.len());
                everybody.push(person);
            }
        }
        world.chance.shuffle(side);
    }
    let [left, right] = sides;
    Tables {
        truth: pairs(&left, &right),
        left: Table {
            header: vec![
                "id",
                "first_name",
                "last_name",
                "email",
                "phone",
                "mobile",
                "job_title",
                "company",
                "website",
                "street",
                "city",
                "state",
                "postcode",
                "country",
            ],
            rows: rows(&left, "L", &everybody, |person| {
                world.person_row(person, &CLEAN)
            }),
        },
        right: Table {
            header: vec![
                "id",
                "First Name",
                "Last Name",
                "Email",
                "Business Phone",
                "Mobile",
                "Title",
                "Account Name",
                "Website",
                "Mailing Street",
                "Mailing City",
                "Mailing State/Province",
                "Mailing Zip/Postal Code",
                "Mailing Country",
            ],
            rows: rows(&right, "R", &everybody, |person| {
                world.person_row(person, &WORN)
            }),
        },
    }
}

/// Tables with `count` companies on either side.
#[must_use]
pub fn companies(seed: u64, count: usize) -> Tables {
    let matched = count * 6 / 10;
    let mut world = World::new(seed, matched, false);
    let mut sides: [Vec<usize>; 2] = [(0..matched).collect(), (0..matched).collect()];
    for side in &mut sides {
        while side.len() < count {
            let base = world.chance.below(matched);
            let company = world.mistakable_company(base);
            side.push(world.companies.len());
            world.companies.push(company);
        }
        world.chance.shuffle(side);
    }
    let [left, right] = sides;
    let all = std::mem::take(&mut world.companies);
    Tables {
        truth: pairs(&left, &right),
        left: Table {
            header: vec![
                "id", "name", "website", "phone", "street", "city", "state", "postcode", "country",
            ],
            rows: rows(&left, "L", &all, |company| {
                world.company_row(company, &CLEAN)
            }),
        },
        right: Table {
            header: vec![
                "id",
                "Account Name",
                "Website",
                "Phone",
                "Billing Street",
                "Billing City",
                "Billing State/Province",
                "Billing Zip/Postal Code",
                "Billing Country",
            ],
            rows: rows(&right, "R", &all, |company| {
                world.company_row(company, &WORN)
            }),
        },
    }
}

/// Companies and the people who work for them, as a sales organisation meets them. Their domains end in
/// `.example`.
pub struct Market {
    /// The companies.
    pub companies: Vec<Firm>,
    /// The people. Few companies employ many of them.
    pub people: Vec<Member>,
}

/// The values of a company; empty where a system has none.
#[derive(Debug, Clone, Default)]
pub struct Firm {
    /// Its name, often with the legal form.
    pub name: String,
    /// The address of its website.
    pub website: String,
    /// The number of its switchboard.
    pub phone: String,
    /// Its place.
    pub place: Place,
}

/// An address in its parts; empty where a system has none.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// Street and number.
    pub street: String,
    /// The city.
    pub city: String,
    /// State or province.
    pub state: String,
    /// The postal code.
    pub postcode: String,
    /// The country's name.
    pub country: String,
}

/// A person of a market.
#[derive(Debug, Clone)]
pub struct Member {
    /// The index of the employer among the market's companies.
    pub company: usize,
    /// The address at work. Nobody else has it.
    pub work_email: String,
    /// The values that the person types into a form.
    pub typed: Values,
    /// The values that a CRM has of the same person after years.
    pub kept: Values,
}

/// The values of a person in one system; empty where it has none.
#[derive(Debug, Clone, Default)]
pub struct Values {
    /// Given names.
    pub first_name: String,
    /// The surname.
    pub last_name: String,
    /// An e-mail address, at work or personal.
    pub email: String,
    /// A telephone number at work.
    pub phone: String,
    /// A mobile number.
    pub mobile: String,
    /// The job title.
    pub title: String,
    /// The employer's name.
    pub company: String,
    /// The employer's website.
    pub website: String,
    /// The address, at work or at home.
    pub place: Place,
}

impl Place {
    /// Of the last cells of a row.
    fn of(mut cells: impl Iterator<Item = String>) -> Self {
        let mut next = || cells.next().unwrap_or_default();
        Self {
            street: next(),
            city: next(),
            state: next(),
            postcode: next(),
            country: next(),
        }
    }
}

impl Firm {
    fn of(row: Vec<String>) -> Self {
        let mut cells = row.into_iter();
        Self {
            name: cells.next().unwrap_or_default(),
            website: cells.next().unwrap_or_default(),
            phone: cells.next().unwrap_or_default(),
            place: Place::of(cells),
        }
    }
}

impl Values {
    fn of(row: Vec<String>) -> Self {
        let mut cells = row.into_iter();
        let mut next = || cells.next().unwrap_or_default();
        Self {
            first_name: next(),
            last_name: next(),
            email: next(),
            phone: next(),
            mobile: next(),
            title: next(),
            company: next(),
            website: next(),
            place: Place::of(cells),
        }
    }
}

/// A market with this many companies and people.
#[must_use]
pub fn market(seed: u64, companies: usize, people: usize) -> Market {
    let mut world = World::new(seed, companies, true);
    let firms = world.companies.clone();
    let mut market = Market {
        companies: Vec::new(),
        people: Vec::new(),
    };
    for firm in &firms {
        let row = world.company_row(firm, &CLEAN);
        market.companies.push(Firm::of(row));
    }
    for _ in 0..people {
        let mut person = world.person();
        // All that is known of somebody is of the present employer.
        person.former_job = None;
        let typed = world.person_row(&person, &CLEAN);
        let kept = world.person_row(&person, &WORN);
        market.people.push(Member {
            company: person.job.company,
            work_email: person.job.email,
            typed: Values::of(typed),
            kept: Values::of(kept),
        });
    }
    market
}

/// The rows of the left and the right that hold the same person or company.
fn pairs(left: &[usize], right: &[usize]) -> Vec<(usize, usize)> {
    let places: HashMap<_, _> = right
        .iter()
        .enumerate()
        .map(|(row, one)| (*one, row))
        .collect();
    let place = |(row, one)| Some((row, *places.get(one)?));
    left.iter().enumerate().filter_map(place).collect()
}

fn rows<T>(
    order: &[usize],
    prefix: &str,
    all: &[T],
    mut row: impl FnMut(&T) -> Vec<String>,
) -> Vec<Vec<String>> {
    let one = |(number, at): (usize, &usize)| {
        let mut cells = vec![format!("{prefix}{number}")];
        cells.extend(row(all.get(*at)?));
        Some(cells)
    };
    order.iter().enumerate().filter_map(one).collect()
}

/// The rates of faults and of filled fields in a system, each in thousandths.
struct Manner {
    typo: u64,
    /// Names, companies, places and titles in another way than the usual.
    other_way: u64,
    nickname: u64,
    swapped: u64,
    whole_name: u64,
    shouted: u64,
    stale: u64,
    work_mail: u64,
    personal_mail: u64,
    phone: u64,
    mobile: u64,
    title: u64,
    website: u64,
    street: u64,
    city: u64,
    region: u64,
    postcode: u64,
    country: u64,
}

/// The manner of data that people enter about themselves.
const CLEAN: Manner = Manner {
    typo: 8,
    other_way: 100,
    nickname: 120,
    swapped: 4,
    whole_name: 4,
    shouted: 20,
    stale: 30,
    work_mail: 550,
    personal_mail: 270,
    phone: 400,
    mobile: 400,
    title: 850,
    website: 450,
    street: 350,
    city: 820,
    region: 500,
    postcode: 420,
    country: 780,
};

/// The manner of the same data after years in a CRM.
const WORN: Manner = Manner {
    typo: 40,
    other_way: 320,
    nickname: 150,
    swapped: 18,
    whole_name: 12,
    shouted: 50,
    stale: 100,
    work_mail: 640,
    personal_mail: 130,
    phone: 580,
    mobile: 430,
    title: 640,
    website: 350,
    street: 560,
    city: 760,
    region: 580,
    postcode: 560,
    country: 680,
};

/// A source of chance that a seed decides (`splitmix64`).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut out = self.0;
        out = (out ^ (out >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        out = (out ^ (out >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        out ^ (out >> 31)
    }

    /// A number below another one; 0 below 0.
    fn number(&mut self, end: u64) -> u64 {
        self.next().checked_rem(end).unwrap_or(0)
    }

    fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX);
        usize::try_from(self.number(end)).unwrap_or(0)
    }

    fn in_thousand(&mut self, often: u64) -> bool {
        self.number(1_000) < often
    }

    fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list.get(self.below(list.len()))
            .copied()
            .unwrap_or_default()
    }

    fn shuffle<T>(&mut self, list: &mut [T]) {
        for end in (2..=list.len()).rev() {
            list.swap(end - 1, self.below(end));
        }
    }

    fn digits(&mut self, count: usize) -> String {
        let mut text = String::new();
        while text.len() < count {
            // A number does not go on with 0 or 1 after its area code.
            let digit = if text.is_empty() {
                2 + self.number(8)
            } else {
                self.number(10)
            };
            text.push_str(&digit.to_string());
        }
        text
    }
}

/// A word, and the other ways to write it.
#[derive(Clone, Default, PartialEq)]
struct Ways(Vec<String>);

impl Ways {
    fn parse(text: &str) -> Self {
        Self(text.split('|').map(|way| way.replace('_', " ")).collect())
    }

    fn usual(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }

    /// The usual way, or another one so often in a thousand.
    fn write(&self, other: u64, chance: &mut Chance) -> String {
        let way = if self.0.len() > 1 && chance.in_thousand(other) {
            self.0.get(1 + chance.below(self.0.len() - 1))
        } else {
            self.0.first()
        };
        way.cloned().unwrap_or_default()
    }
}

/// Items of which the first are drawn most often, as names are (Zipf's law).
struct Skewed {
    items: Vec<Ways>,
    /// For each item, the weights up to it.
    sums: Vec<u64>,
}

impl Skewed {
    /// The more `level`, the less are the first preferred.
    fn new(items: Vec<Ways>, level: u64) -> Self {
        Self {
            sums: zipf(items.len(), level),
            items,
        }
    }

    fn parse(text: &str, level: u64) -> Self {
        Self::new(text.split_whitespace().map(Ways::parse).collect(), level)
    }

    fn draw(&self, chance: &mut Chance) -> Ways {
        self.items
            .get(draw(&self.sums, chance))
            .cloned()
            .unwrap_or_default()
    }
}

fn zipf(count: usize, level: u64) -> Vec<u64> {
    let weight = |sum: &mut u64, rank: u64| {
        *sum += 1_000_000 / (rank + level);
        Some(*sum)
    };
    (1..).take(count).scan(0, weight).collect()
}

fn draw(sums: &[u64], chance: &mut Chance) -> usize {
    let at = chance.number(sums.last().copied().unwrap_or_default());
    sums.partition_point(|sum| *sum <= at)
}

/// A country's lists, ready to draw from.
struct Land {
    country: &'static Country,
    names: Ways,
    given: Skewed,
    surnames: Skewed,
    sectors: Skewed,
    legal: Skewed,
    street_names: Skewed,
    streets: Vec<(&'static str, &'static str)>,
    cities: Vec<City>,
    area_codes: Vec<&'static str>,
}

#[derive(Clone)]
struct City {
    name: Ways,
    state: Ways,
    postcode: String,
    area_code: &'static str,
}

impl Land {
    fn new(country: &'static Country) -> Self {
        let language = country.language;
        let mut surnames: Vec<_> = language
            .surnames
            .split_whitespace()
            .map(Ways::parse)
            .collect();
        // The rarer, the longer: as many surnames as a country of some size has in 100,000 people.
        for between in ["", "er", "en", "el", "in", "as"] {
            for ending in language.endings.split_whitespace() {
                for stem in language.stems.split_whitespace() {
                    surnames.push(Ways::parse(&format!("{stem}{between}{ending}")));
                }
            }
        }
        let cities: Vec<_> = country.cities.split_whitespace().map(city).collect();
        let code = |city: &City| Some(city.area_code).filter(|code| !code.is_empty());
        Self {
            country,
            names: Ways::parse(country.names),
            given: Skewed::parse(language.given, 12),
            surnames: Skewed::new(surnames, 15),
            sectors: Skewed::parse(language.sectors, 6),
            legal: Skewed::parse(country.legal, 1),
            street_names: Skewed::parse(language.street_names, 6),
            streets: language
                .streets
                .split(';')
                .filter_map(|street| street.split_once('='))
                .collect(),
            area_codes: cities.iter().filter_map(code).collect(),
            cities,
        }
    }
}

fn city(text: &'static str) -> City {
    let mut parts = text.split(':');
    let name = parts.next().unwrap_or_default();
    let state = Ways::parse(parts.next().unwrap_or_default());
    let postcode = parts.next().unwrap_or_default().to_owned();
    let area_code = parts.next().unwrap_or_default();
    let name = match parts.next() {
        Some(other) => Ways::parse(&format!("{name}|{other}")),
        None => Ways::parse(name),
    };
    City {
        name,
        state,
        postcode,
        area_code,
    }
}

#[derive(Clone)]
struct Address {
    land: usize,
    number: u64,
    /// The index of the way to name a street among the language's.
    street: usize,
    street_name: String,
    unit: Option<u64>,
    city: City,
}

#[derive(Clone)]
struct Phone {
    land: usize,
    area_code: String,
    rest: String,
}

#[derive(Clone)]
struct Company {
    land: usize,
    words: Vec<Ways>,
    legal: Ways,
    domain: String,
    /// The index of the company's pattern for making e-mail addresses from names.
    pattern: usize,
    phone: Phone,
    address: Address,
}

#[derive(Clone)]
struct Job {
    company: usize,
    title: Ways,
    email: String,
    direct: Option<Phone>,
}

#[derive(Clone)]
struct Person {
    land: usize,
    given: Ways,
    middle: String,
    surname: String,
    /// Before or after a marriage.
    other_surname: Option<String>,
    suffix: &'static str,
    job: Job,
    former_job: Option<Job>,
    home: Address,
    former_home: Option<Address>,
    mobile: Phone,
    personal_mail: String,
    /// True if their own address stands in records rather than the employer's.
    at_home: bool,
}

/// The sources to draw from.
struct World {
    chance: Chance,
    lands: Vec<Land>,
    land_sums: Vec<u64>,
    companies: Vec<Company>,
    /// Some companies employ many.
    company_sums: Vec<u64>,
    /// Addresses and domains are given once.
    taken: HashSet<String>,
    /// Domains end in `.example`, where nobody can have one.
    fictional: bool,
    titles: Titles,
    adjectives: Skewed,
    nouns: Skewed,
    coined: Vec<&'static str>,
    coined_endings: Vec<&'static str>,
}

struct Titles {
    ranks: Skewed,
    departments: Skewed,
    whole: Skewed,
}

impl World {
    fn new(seed: u64, companies: usize, fictional: bool) -> Self {
        let weight = |sum: &mut u64, country: &Country| {
            *sum += country.weight;
            Some(*sum)
        };
        let mut world = Self {
            chance: Chance(seed),
            lands: COUNTRIES.iter().map(Land::new).collect(),
            land_sums: COUNTRIES.iter().scan(0, weight).collect(),
            companies: Vec::new(),
            company_sums: zipf(companies, 30),
            taken: HashSet::new(),
            fictional,
            titles: Titles {
                ranks: Skewed::parse(RANKS, 3),
                departments: Skewed::parse(DEPARTMENTS, 3),
                whole: Skewed::parse(TITLES, 2),
            },
            adjectives: Skewed::parse(ADJECTIVES, 8),
            nouns: Skewed::parse(NOUNS, 8),
            coined: COINED.split_whitespace().collect(),
            coined_endings: COINED_ENDINGS.split_whitespace().collect(),
        };
        for _ in 0..companies {
            let land = draw(&world.land_sums, &mut world.chance);
            let company = world.company(land);
            world.companies.push(company);
        }
        world
    }

    /// A name is of the country's language, most often.
    fn language_of(&mut self, land: usize) -> usize {
        if self.chance.in_thousand(110) {
            self.chance.below(self.lands.len())
        } else {
            land
        }
    }

    fn text(&mut self, land: usize, list: fn(&Land) -> &Skewed) -> Ways {
        self.lands
            .get(land)
            .map(list)
            .map(|list| list.draw(&mut self.chance))
            .unwrap_or_default()
    }

    fn address(&mut self, land_at: usize) -> Address {
        let Self { lands, chance, .. } = self;
        let street_name = self::Land::street_name(lands, land_at, chance);
        let mut place = City {
            name: Ways::default(),
            state: Ways::default(),
            postcode: String::new(),
            area_code: "",
        };
        let mut street = 0;
        if let Some(land) = lands.get(land_at) {
            // A small place has the state and the area code of some city.
            if let Some(city) = land.cities.get(chance.below(land.cities.len())) {
                place = city.clone();
            }
            if chance.in_thousand(350) {
                let language = land.country.language;
                let stems: Vec<_> = language.stems.split_whitespace().collect();
                let endings: Vec<_> = language.town_endings.split_whitespace().collect();
                let name = format!("{}{}", chance.pick(&stems), chance.pick(&endings));
                place.name = Ways(vec![name.replace('_', " ")]);
                let digits = chance.digits(8);
                let other = |(at, letter): (usize, char)| match digits.get(at..=at) {
                    Some(digit) if letter.is_ascii_digit() => digit.to_owned(),
                    _ => letter.to_string(),
                };
                place.postcode = place.postcode.chars().enumerate().map(other).collect();
            }
            for sign in land.country.postcode.chars() {
                match sign {
                    '#' => place.postcode.push_str(&chance.number(10).to_string()),
                    '@' => place
                        .postcode
                        .push_str(chance.pick(&["A", "B", "D", "E", "H", "L", "N", "R", "T", "X"])),
                    other => place.postcode.push(other),
                }
            }
            street = chance.below(land.streets.len());
        }
        let long = land_at == 0 && chance.in_thousand(400);
        Address {
            land: land_at,
            number: 1 + chance.number(if long { 9_800 } else { 180 }),
            street,
            street_name,
            unit: chance.in_thousand(250).then(|| 1 + chance.number(900)),
            city: place,
        }
    }

    fn phone(&mut self, land: usize, area_code: &str) -> Phone {
        let Self { lands, chance, .. } = self;
        let (area_code, digits) = match lands.get(land) {
            Some(land) if area_code.is_empty() => {
                (chance.pick(&land.area_codes), land.country.digits)
            }
            Some(land) => (area_code, land.country.digits),
            None => (area_code, 10),
        };
        Phone {
            land,
            area_code: area_code.to_owned(),
            rest: chance.digits(digits.saturating_sub(area_code.len())),
        }
    }

    fn mobile(&mut self, land_at: usize) -> Phone {
        let Self { lands, chance, .. } = self;
        let country = lands.get(land_at).map(|land| land.country);
        match country.filter(|country| !country.mobiles.is_empty()) {
            Some(country) => {
                let begin: Vec<_> = country.mobiles.split_whitespace().collect();
                let begin = chance.pick(&begin);
                Phone {
                    land: land_at,
                    area_code: begin.to_owned(),
                    rest: chance.digits(country.mobile_digits.saturating_sub(begin.len())),
                }
            }
            None => self.phone(land_at, ""),
        }
    }

    fn company(&mut self, land: usize) -> Company {
        let address = self.address(land);
        let sector = self.text(land, |land| &land.sectors);
        let surname = |world: &mut Self| {
            let language = world.language_of(land);
            world.text(language, |land| &land.surnames)
        };
        let mut words = match self.chance.number(20) {
            0..=5 => vec![surname(self)],
            6..=7 => vec![surname(self), Ways::parse("&|and|+"), surname(self)],
            8..=12 => vec![
                self.adjectives.draw(&mut self.chance),
                self.nouns.draw(&mut self.chance),
            ],
            13..=16 => {
                let (begin, end) = (
                    self.chance.pick(&self.coined),
                    self.chance.pick(&self.coined_endings),
                );
                vec![Ways::parse(&format!("{begin}{end}"))]
            }
            17..=18 => vec![address.city.name.clone()],
            _ => {
                let letters = (0..3).map(|_| {
                    self.chance.pick(&[
                        "A", "B", "C", "D", "E", "G", "K", "L", "M", "N", "P", "R", "S", "T", "V",
                    ])
                });
                vec![Ways(vec![letters.collect()])]
            }
        };
        let before =
            self.chance
                .in_thousand(match self.lands.get(land).map(|land| land.country.trunk) {
                    // The trade comes first in Spain, Mexico, Italy, Portugal.
                    Some("") if land > 1 => 450,
                    _ => 20,
                });
        let second = self
            .chance
            .in_thousand(300)
            .then(|| self.text(land, |land| &land.sectors));
        if before {
            words.insert(0, sector);
        } else if !self.chance.in_thousand(120) {
            words.push(sector);
        }
        if let Some(second) = second.filter(|second| !words.contains(second)) {
            words.push(second);
        }
        let domain = self.domain(land, &words);
        Company {
            land,
            legal: self.text(land, |land| &land.legal),
            domain,
            pattern: draw(&[50, 75, 85, 90, 95, 100], &mut self.chance),
            phone: self.phone(land, address.city.area_code),
            address,
            words,
        }
    }

    fn domain(&mut self, land: usize, words: &[Ways]) -> String {
        let parts: Vec<_> = words
            .iter()
            .map(|word| slug(word.usual()))
            .filter(|part| !part.is_empty())
            .collect();
        let name = match self.chance.number(10) {
            0 if parts.len() > 2 => parts.iter().filter_map(|part| part.get(..1)).collect(),
            1 => parts.join("-"),
            2..=4 if parts.len() > 1 => parts.iter().take(parts.len() - 1).cloned().collect(),
            5 if parts.len() > 1 => parts
                .iter()
                .map(|part| part.get(..4).unwrap_or(part))
                .collect(),
            _ => parts.concat(),
        };
        let own = self.lands.get(land).filter(|_| !self.fictional);
        let ends: Vec<_> = own
            .map_or("example", |land| land.country.domains)
            .split_whitespace()
            .collect();
        let end = self.chance.pick(&ends);
        self.unique(|number| match number {
            0 => format!("{name}.{end}"),
            1 => format!("{name}-group.{end}"),
            _ => format!("{name}{number}.{end}"),
        })
    }

    /// The first of these names that is not taken yet.
    fn unique(&mut self, name: impl Fn(u64) -> String) -> String {
        for number in 0.. {
            let one = name(number);
            if self.taken.insert(one.clone()) {
                return one;
            }
        }
        String::new()
    }

    fn title(&mut self) -> Ways {
        let Self { titles, chance, .. } = self;
        if chance.in_thousand(250) {
            return titles.whole.draw(chance);
        }
        let (rank, department) = (titles.ranks.draw(chance), titles.departments.draw(chance));
        let mut ways: Vec<_> = rank
            .0
            .iter()
            .map(|rank| rank.replace('*', department.usual()))
            .collect();
        if let Some(short) = department.0.get(1) {
            let shorter: Vec<_> = rank.0.iter().map(|rank| rank.replace('*', short)).collect();
            ways.extend(shorter);
        }
        Ways(ways)
    }

    fn job(&mut self, company: usize, given: &Ways, surname: &str) -> Job {
        let title = self.title();
        let nick = self.chance.in_thousand(80);
        let given = slug(&given.write(if nick { 1_000 } else { 0 }, &mut self.chance));
        let surname = slug(surname);
        let (domain, pattern, land, area) = match self.companies.get(company) {
            Some(company) => {
                let area = company.phone.area_code.clone();
                (company.domain.clone(), company.pattern, company.land, area)
            }
            None => (String::new(), 0, 0, String::new()),
        };
        let initial = given.get(..1).unwrap_or_default();
        let local = match pattern {
            0 => format!("{given}.{surname}"),
            1 => format!("{initial}{surname}"),
            2 => given.clone(),
            3 => format!("{initial}.{surname}"),
            4 => format!("{given}_{surname}"),
            _ => format!("{surname}{initial}"),
        };
        let direct = self
            .chance
            .in_thousand(450)
            .then(|| self.phone(land, &area));
        let email = self.unique(|number| match number {
            0 => format!("{local}@{domain}"),
            _ => format!("{local}{number}@{domain}"),
        });
        Job {
            company,
            title,
            email,
            direct,
        }
    }

    /// A company in that country, most often.
    fn company_in(&mut self, land: usize) -> usize {
        let mut company = 0;
        for _ in 0..20 {
            company = draw(&self.company_sums, &mut self.chance);
            if self
                .companies
                .get(company)
                .is_some_and(|company| company.land == land)
            {
                break;
            }
        }
        company
    }

    fn person(&mut self) -> Person {
        let company = draw(&self.company_sums, &mut self.chance);
        self.employee(company)
    }

    fn employee(&mut self, company: usize) -> Person {
        let land = self
            .companies
            .get(company)
            .map_or(0, |company| company.land);
        let language = self.language_of(land);
        let given = self.text(language, |land| &land.given);
        let mut surname = self
            .text(language, |land| &land.surnames)
            .usual()
            .to_owned();
        let spanish = matches!(self.lands.get(language), Some(land) if land.country.language.surnames.starts_with("García"));
        if self.chance.in_thousand(if spanish { 600 } else { 25 }) {
            let second = self.text(language, |land| &land.surnames);
            let between = if spanish { " " } else { "-" };
            surname = format!("{surname}{between}{}", second.usual());
        }
        self.named(company, given, surname)
    }

    /// A person of that name who works there.
    fn named(&mut self, company: usize, given: Ways, surname: String) -> Person {
        let land = self
            .companies
            .get(company)
            .map_or(0, |company| company.land);
        let job = self.job(company, &given, &surname);
        let former_job = self.chance.in_thousand(600).then(|| {
            let former = self.company_in(land);
            self.job(former, &given, &surname)
        });
        let other_surname = self
            .chance
            .in_thousand(40)
            .then(|| self.text(land, |land| &land.surnames).usual().to_owned());
        let former_home = self.chance.in_thousand(400).then(|| self.address(land));
        let personal_mail = self.personal_mail(land, &given, &surname);
        Person {
            land,
            middle: self.text(land, |land| &land.given).usual().to_owned(),
            given,
            surname,
            other_surname,
            suffix: "",
            job,
            former_job,
            home: self.address(land),
            former_home,
            mobile: self.mobile(land),
            personal_mail,
            at_home: self.chance.in_thousand(320),
        }
    }

    fn personal_mail(&mut self, land: usize, given: &Ways, surname: &str) -> String {
        let own = self.lands.get(land).filter(|_| !self.fictional);
        let hosts: Vec<_> = own
            .map_or("mail.example", |land| land.country.free_mail)
            .split_whitespace()
            .collect();
        let host = self.chance.pick(&hosts);
        let given = slug(&given.write(300, &mut self.chance));
        let surname = slug(surname);
        let initial = given.get(..1).unwrap_or_default().to_owned();
        let year = 50 + self.chance.number(50);
        let style = self.chance.number(6);
        self.unique(|number| {
            let more = if number == 0 {
                String::new()
            } else {
                number.to_string()
            };
            match style {
                0 => format!("{given}.{surname}{more}@{host}"),
                1 => format!("{given}{surname}{more}@{host}"),
                2 => format!("{given}.{surname}{year}{more}@{host}"),
                3 => format!("{initial}{surname}{year}{more}@{host}"),
                4 => format!("{given}{year}{more}@{host}"),
                _ => format!("{surname}.{given}{more}@{host}"),
            }
        })
    }

    /// Another person who looks like this one.
    fn mistakable(&mut self, base: &mut Person) -> Person {
        match self.chance.number(100) {
            // A colleague, some of them with part of the name.
            0..=39 => {
                let mut colleague = self.employee(base.job.company);
                match self.chance.number(20) {
                    0..=2 => {
                        colleague =
                            self.named(base.job.company, base.given.clone(), colleague.surname);
                    }
                    3..=4 => {
                        colleague =
                            self.named(base.job.company, colleague.given, base.surname.clone());
                    }
                    _ => {}
                }
                colleague
            }
            // A namesake elsewhere; some in the same town, some by a short form.
            40..=64 => {
                let company = self.company_in(base.land);
                let mut namesake = self.named(company, base.given.clone(), base.surname.clone());
                if self.chance.in_thousand(300) {
                    namesake.home.city = base.home.city.clone();
                    namesake.at_home = true;
                    base.at_home = true;
                }
                namesake
            }
            // Family at the same address; some with the same name, some with one mailbox for all.
            65..=79 => {
                let company = self.company_in(base.land);
                let given = self.text(base.land, |land| &land.given);
                let same = self.chance.in_thousand(60);
                let given = if same { base.given.clone() } else { given };
                let mut relative = self.named(company, given, base.surname.clone());
                relative.land = base.land;
                relative.home = base.home.clone();
                relative.at_home = true;
                base.at_home = true;
                if same {
                    relative.suffix = "Jr.";
                }
                if self.chance.in_thousand(100) {
                    relative.personal_mail.clone_from(&base.personal_mail);
                }
                relative
            }
            // The present holder of the job.
            80..=86 => {
                let mut successor = self.employee(base.job.company);
                successor.job.title = base.job.title.clone();
                successor.job.direct.clone_from(&base.job.direct);
                successor
            }
            _ => self.person(),
        }
    }

    /// A company that is not this one and looks like it.
    fn mistakable_company(&mut self, base: usize) -> Company {
        let land = self.companies.get(base).map_or(0, |company| company.land);
        let elsewhere = draw(&self.land_sums, &mut self.chance);
        let kind = self.chance.number(100);
        let land = if kind < 50 && !self.chance.in_thousand(200) {
            land
        } else {
            elsewhere
        };
        let mut other = self.company(land);
        let Some(base) = self.companies.get(base).cloned() else {
            return other;
        };
        match kind {
            // Nearly the same name, or the same name in another place.
            0..=24 => {
                let replaced = if self.chance.in_thousand(750) {
                    self.chance.below(base.words.len())
                } else {
                    base.words.len()
                };
                other.words.clone_from(&base.words);
                let sector = self.text(land, |land| &land.sectors);
                let noun = self.nouns.draw(&mut self.chance);
                let last = replaced + 1 == base.words.len();
                if let Some(word) = other.words.get_mut(replaced) {
                    *word = if last { sector } else { noun };
                }
                other.domain = self.domain(land, &other.words);
            }
            // In the same house.
            25..=39 => other.address = base.address,
            // A sister company: the first word, the house and the switchboard.
            40..=49 => {
                if let (Some(first), Some(word)) = (base.words.first(), other.words.first_mut()) {
                    *word = first.clone();
                }
                other.domain = self.domain(land, &other.words);
                other.address = base.address;
                other.phone = base.phone;
            }
            _ => {}
        }
        other
    }
}

impl Land {
    fn street_name(lands: &[Self], at: usize, chance: &mut Chance) -> String {
        let Some(land) = lands.get(at) else {
            return String::new();
        };
        // Half of the streets have a name that few have.
        if chance.in_thousand(500) {
            let stems: Vec<_> = land.country.language.stems.split_whitespace().collect();
            let endings: Vec<_> = land.country.language.endings.split_whitespace().collect();
            format!("{}{}", chance.pick(&stems), chance.pick(&endings))
        } else {
            land.street_names.draw(chance).usual().to_owned()
        }
    }
}

// The entering of records.
impl World {
    fn person_row(&mut self, person: &Person, manner: &Manner) -> Vec<String> {
        let stale = self.chance.in_thousand(manner.stale);
        let job = match &person.former_job {
            Some(former) if stale => former,
            _ => &person.job,
        };
        let company = self.companies.get(job.company).cloned();
        let home = match &person.former_home {
            Some(former) if stale || self.chance.in_thousand(manner.stale) => former.clone(),
            _ => person.home.clone(),
        };
        let usual_place = !self.chance.in_thousand(120);
        let address = match &company {
            Some(company) if person.at_home != usual_place => company.address.clone(),
            _ => home,
        };
        let [first, last] = self.name(person, manner);
        let email = match self.chance.number(1_000) {
            roll if roll < manner.work_mail => job.email.clone(),
            roll if roll < manner.work_mail + manner.personal_mail => person.personal_mail.clone(),
            _ => String::new(),
        };
        let email = if self.chance.in_thousand(manner.typo / 3) {
            misspelled(&email, &mut self.chance)
        } else {
            email
        };
        let phone = self.kept(manner.phone, |world| match (&job.direct, &company) {
            (Some(direct), _) if world.chance.in_thousand(600) => world.phone_text(direct, manner),
            (_, Some(company)) => world.phone_text(&company.phone, manner),
            _ => String::new(),
        });
        let mobile = self.kept(manner.mobile, |world| {
            world.phone_text(&person.mobile, manner)
        });
        let title = self.kept(manner.title, |world| {
            if world.chance.in_thousand(manner.stale) {
                return world.title().usual().to_owned();
            }
            let title = job.title.write(manner.other_way, &mut world.chance);
            world.worn(title, manner)
        });
        let employer = self.kept(920, |world| {
            company
                .as_ref()
                .map(|company| world.company_name(company, manner))
                .unwrap_or_default()
        });
        let website = self.kept(manner.website, |world| {
            company
                .as_ref()
                .map(|company| world.website(&company.domain))
                .unwrap_or_default()
        });
        let mut row = vec![first, last, email, phone, mobile, title, employer, website];
        row.extend(self.address_cells(&address, manner));
        row
    }

    fn company_row(&mut self, company: &Company, manner: &Manner) -> Vec<String> {
        let mut shown = company.clone();
        // Renamed; a branch; a domain for each country.
        if self.chance.in_thousand(manner.stale / 4) {
            let noun = self.nouns.draw(&mut self.chance);
            if let Some(word) = shown.words.first_mut() {
                *word = noun;
            }
        }
        if self.chance.in_thousand(manner.stale * 2 / 3) {
            shown.address = self.address(company.land);
            if self.chance.in_thousand(500) {
                shown.phone = self.phone(company.land, shown.address.city.area_code);
            }
        }
        if self.chance.in_thousand(manner.stale / 4) {
            let name = shown
                .domain
                .split('.')
                .next()
                .unwrap_or_default()
                .to_owned();
            shown.domain = format!(
                "{name}.{}",
                self.chance.pick(&["com", "net", "eu", "de", "co"])
            );
        }
        let name = self.company_name(&shown, manner);
        let website = self.kept(manner.website + 200, |world| world.website(&shown.domain));
        let phone = self.kept(manner.phone + 100, |world| {
            world.phone_text(&shown.phone, manner)
        });
        let mut row = vec![name, website, phone];
        row.extend(self.address_cells(&shown.address, manner));
        row
    }

    fn kept(&mut self, often: u64, text: impl FnOnce(&mut Self) -> String) -> String {
        if self.chance.in_thousand(often) {
            text(self)
        } else {
            String::new()
        }
    }

    /// With the errors of people in a hurry.
    fn worn(&mut self, text: String, manner: &Manner) -> String {
        let mut text = text;
        if self.chance.in_thousand(manner.typo) {
            text = misspelled(&text, &mut self.chance);
        }
        if !text.is_ascii() && self.chance.in_thousand(manner.other_way) {
            let german = self.chance.in_thousand(500);
            text = text.chars().map(|letter| plain(letter, german)).collect();
        }
        match self.chance.number(1_000) {
            roll if roll < manner.shouted => text.to_uppercase(),
            roll if roll < manner.shouted * 2 => text.to_lowercase(),
            _ => text,
        }
    }

    fn name(&mut self, person: &Person, manner: &Manner) -> [String; 2] {
        let mut first = person.given.write(manner.nickname, &mut self.chance);
        match self.chance.number(1_000) {
            0..=14 => first = first.chars().take(1).chain(['.']).collect(),
            15..=59 => first = format!("{first} {}.", person.middle.chars().next().unwrap_or('A')),
            60..=84 => first = format!("{first} {}", person.middle),
            85..=94 => first = format!("Dr. {first}"),
            _ => {}
        }
        let mut last = match &person.other_surname {
            Some(other) if self.chance.in_thousand(manner.stale * 3) => other.clone(),
            _ => person.surname.clone(),
        };
        // One of two surnames, as many write them.
        if !last.to_lowercase().starts_with(['v', 'd']) && self.chance.in_thousand(manner.other_way)
        {
            last.truncate(last.find([' ', '-']).unwrap_or(last.len()));
        }
        if !person.suffix.is_empty() && self.chance.in_thousand(500) {
            last = format!("{last} {}", person.suffix);
        }
        let names = [self.worn(first, manner), self.worn(last, manner)];
        let [first, last] = names;
        match self.chance.number(1_000) {
            roll if roll < manner.swapped => [last, first],
            roll if roll < manner.swapped + manner.whole_name => {
                [String::new(), format!("{first} {last}")]
            }
            _ => [first, last],
        }
    }

    fn company_name(&mut self, company: &Company, manner: &Manner) -> String {
        if company.words.len() > 2 && self.chance.in_thousand(manner.other_way / 10) {
            let initials = company
                .words
                .iter()
                .filter_map(|word| word.usual().chars().next());
            return initials.filter(|letter| letter.is_alphanumeric()).collect();
        }
        let mut name = String::new();
        for word in &company.words {
            if !name.is_empty() {
                name.push(' ');
            }
            name.push_str(&word.write(manner.other_way / 2, &mut self.chance));
        }
        let mut name = self.worn(name, manner);
        if !self.chance.in_thousand(manner.other_way + 100) {
            let legal = company.legal.write(manner.other_way, &mut self.chance);
            if !legal.starts_with(',') {
                name.push(' ');
            }
            name.push_str(&legal);
        }
        if self.chance.in_thousand(manner.other_way / 10) {
            let place = company.address.city.name.usual();
            name = match self.chance.number(4) {
                0 => format!("{name} - {place}"),
                1 => format!("{name} ({place})"),
                2 => format!("{name} - HQ"),
                _ => format!("The {name}"),
            };
        }
        name
    }

    fn website(&mut self, domain: &str) -> String {
        match self.chance.number(6) {
            0 => format!("https://www.{domain}/"),
            1 => format!("https://{domain}"),
            2 => format!("http://www.{domain}/en/contact"),
            3 => format!("www.{domain}"),
            _ => domain.to_owned(),
        }
    }

    /// Street, city, state, postcode, country.
    fn address_cells(&mut self, address: &Address, manner: &Manner) -> [String; 5] {
        let street = self.kept(manner.street, |world| {
            let text = world.street_text(address, manner);
            world.worn(text, manner)
        });
        let city = self.kept(manner.city, |world| {
            let text = address.city.name.write(manner.other_way, &mut world.chance);
            world.worn(text, manner)
        });
        let state = self.kept(manner.region, |world| {
            address
                .city
                .state
                .write(manner.other_way, &mut world.chance)
        });
        let postcode = self.kept(manner.postcode, |world| match world.chance.number(1_000) {
            // A spreadsheet took it for a number.
            roll if roll < manner.other_way => {
                address.city.postcode.trim_start_matches('0').to_owned()
            }
            roll if roll < manner.other_way + manner.typo => {
                misspelled(&address.city.postcode, &mut world.chance)
            }
            roll if roll < manner.other_way * 2 && address.land == 0 => {
                format!("{}-{}", address.city.postcode, world.chance.digits(4))
            }
            _ => address.city.postcode.clone(),
        });
        let names = self
            .lands
            .get(address.land)
            .map(|land| land.names.clone())
            .unwrap_or_default();
        let country = self.kept(manner.country, |world| {
            names.write(manner.other_way * 2, &mut world.chance)
        });
        [street, city, state, postcode, country]
    }

    fn street_text(&mut self, address: &Address, manner: &Manner) -> String {
        let streets = self
            .lands
            .get(address.land)
            .and_then(|land| land.streets.get(address.street));
        let (long, short) = streets.copied().unwrap_or_default();
        let pattern = if self.chance.in_thousand(manner.other_way * 2) {
            short
        } else {
            long
        };
        let number = if self.chance.in_thousand(manner.typo) {
            address.number + 2
        } else {
            address.number
        };
        let name = address.street_name.replace('_', " ");
        // German compounds join; a name of two words does not.
        let text = pattern
            .replace('#', &number.to_string())
            .replace('*', &name);
        match address.unit {
            Some(unit) if self.chance.in_thousand(700) => match self.chance.number(4) {
                0 => format!("{text}, Suite {unit}"),
                1 => format!("{text} Ste {unit}"),
                2 => format!("{text}, #{unit}"),
                _ => format!("Unit {unit}, {text}"),
            },
            _ => text,
        }
    }

    fn phone_text(&mut self, phone: &Phone, manner: &Manner) -> String {
        let Self { lands, chance, .. } = self;
        let Some(country) = lands.get(phone.land).map(|land| land.country) else {
            return String::new();
        };
        let (code, trunk, area) = (country.calling_code, country.trunk, &phone.area_code);
        let mut rest = phone.rest.clone();
        if chance.in_thousand(manner.typo / 2) {
            rest.pop();
            rest.push_str(&chance.number(10).to_string());
        }
        let sign = chance.pick(&["", " ", "-", ".", " "]);
        let american = code == "1";
        let grouped = grouped(&rest, sign, if american { 1 } else { chance.number(3) });
        let mut text = match chance.number(10) {
            0..=2 => format!("+{code}{area}{rest}"),
            3 => format!("+{code} {area} {grouped}"),
            4 if !trunk.is_empty() => format!("+{code} ({trunk}){area} {grouped}"),
            5 if american => format!("1-{area}-{grouped}"),
            5 => format!("00{code} {area} {grouped}"),
            6 | 7 => format!("({trunk}{area}) {grouped}"),
            8 => format!("{trunk}{area}{rest}"),
            _ if american => format!("{area}-{grouped}"),
            _ => format!("{trunk}{area}/{grouped}"),
        };
        if chance.in_thousand(manner.other_way / 8) {
            text.push_str(chance.pick(&[" ext. ", " x", " Ext "]));
            text.push_str(&chance.digits(2));
        }
        text
    }
}

/// Digits in twos, threes or halves.
fn grouped(digits: &str, between: &str, style: u64) -> String {
    let size = match style {
        0 => 2,
        1 => 3,
        _ => digits.len() / 2,
    };
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && at % size.max(1) == 0 && at + 1 < digits.len() {
            text.push_str(between);
        }
        text.push(digit);
    }
    text
}

/// With one slip of the finger or of the ear.
fn misspelled(text: &str, chance: &mut Chance) -> String {
    const HEARD: &[(&str, &str)] = &[
        ("ph", "f"),
        ("ie", "ei"),
        ("ei", "ie"),
        ("ck", "k"),
        ("c", "k"),
        ("y", "i"),
        ("ss", "s"),
        ("th", "t"),
        ("z", "s"),
        ("w", "v"),
        ("nn", "n"),
        ("ll", "l"),
    ];
    // Keys and their neighbours.
    const KEYS: &[&str] = &["qwertyuiop", "asdfghjkl", "zxcvbnm", "1234567890"];
    if chance.in_thousand(200) {
        let (said, heard) = HEARD
            .get(chance.below(HEARD.len()))
            .copied()
            .unwrap_or_default();
        if text.contains(said) {
            return text.replacen(said, heard, 1);
        }
    }
    let mut letters: Vec<char> = text.chars().collect();
    // First letters are seldom wrong.
    let places: Vec<_> = letters
        .iter()
        .enumerate()
        .skip(1)
        .filter(|(_, letter)| letter.is_alphanumeric())
        .map(|(at, _)| at)
        .collect();
    let Some(at) = places.get(chance.below(places.len())).copied() else {
        return text.to_owned();
    };
    let Some(letter) = letters.get(at).copied() else {
        return text.to_owned();
    };
    match chance.number(4) {
        0 if letters.len() > 2 => {
            letters.remove(at);
        }
        1 => letters.insert(at, letter),
        2 if at > 1 => letters.swap(at - 1, at),
        _ => {
            let key = letter.to_ascii_lowercase();
            let row = KEYS
                .iter()
                .find(|row| row.contains(key))
                .copied()
                .unwrap_or("aeiou");
            let place = row.find(key).unwrap_or(0);
            let other = row
                .chars()
                .nth(if place > 0 { place - 1 } else { place + 1 });
            if let (Some(slot), Some(other)) = (letters.get_mut(at), other) {
                *slot = other;
            }
        }
    }
    letters.into_iter().collect()
}

/// As it stands in addresses of mail and web.
fn slug(text: &str) -> String {
    let plain = text
        .chars()
        .map(|letter| plain(letter, true))
        .collect::<String>();
    plain
        .to_lowercase()
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect()
}

/// A letter without its accent; in the German way, `ä` becomes `ae`.
fn plain(letter: char, german: bool) -> String {
    let one = match letter {
        'ä' if german => "ae",
        'ö' if german => "oe",
        'ü' if german => "ue",
        'Ä' if german => "Ae",
        'Ö' if german => "Oe",
        'Ü' if german => "Ue",
        'ß' => "ss",
        'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' | 'ą' => "a",
        'Á' | 'Â' | 'Ä' | 'Å' => "A",
        'ç' | 'ć' => "c",
        'Ç' => "C",
        'è' | 'é' | 'ê' | 'ë' | 'ę' => "e",
        'É' => "E",
        'ğ' => "g",
        'ì' | 'í' | 'î' | 'ï' | 'ı' => "i",
        'İ' | 'Î' => "I",
        'ł' => "l",
        'Ł' => "L",
        'ñ' | 'ń' => "n",
        'ò' | 'ó' | 'ô' | 'õ' | 'ö' | 'ø' | 'º' => "o",
        'Ö' | 'Ó' => "O",
        'ś' | 'ş' => "s",
        'Ş' | 'Ś' => "S",
        'ù' | 'ú' | 'û' | 'ü' => "u",
        'Ü' | 'Ú' => "U",
        'ź' | 'ż' => "z",
        'Ż' => "Z",
        other => return other.to_string(),
    };
    one.to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::words::COUNTRIES;
    use super::{Chance, Land, Tables, companies, grouped, market, misspelled, people};

    fn check(tables: &Tables, count: usize) {
        for table in [&tables.left, &tables.right] {
            assert_eq!(table.rows.len(), count);
            assert!(table.rows.iter().all(|row| row.len() == table.header.len()));
            let ids: BTreeSet<_> = table.rows.iter().map(|row| &row[0]).collect();
            assert_eq!(ids.len(), count);
            // Every column is filled somewhere and empty somewhere, but for ids and company names.
            for column in 1..table.header.len() {
                assert!(
                    table.rows.iter().any(|row| !row[column].is_empty()),
                    "{}",
                    table.header[column]
                );
            }
            assert!(
                !table
                    .rows
                    .iter()
                    .flatten()
                    .any(|cell| cell.contains('_') && !cell.contains('@'))
            );
        }
        assert_eq!(tables.truth.len(), count * 6 / 10);
        let left: BTreeSet<_> = tables.truth.iter().map(|(left, _)| left).collect();
        let right: BTreeSet<_> = tables.truth.iter().map(|(_, right)| right).collect();
        assert_eq!(
            (left.len(), right.len()),
            (tables.truth.len(), tables.truth.len())
        );
    }

    #[test]
    fn a_seed_decides_both_tables_and_what_belongs_together() {
        let (one, again, other) = (people(1, 300), people(1, 300), people(2, 300));
        check(&one, 300);
        assert_eq!(
            (&one.left.rows, &one.right.rows, &one.truth),
            (&again.left.rows, &again.right.rows, &again.truth)
        );
        assert_ne!(one.left.rows, other.left.rows);
        check(&companies(1, 300), 300);
        assert_ne!(companies(1, 300).left.rows, companies(2, 300).left.rows);
    }

    #[test]
    fn counterparts_share_facts_and_seldom_all() {
        let tables = people(3, 2_000);
        let cell =
            |rows: &[Vec<String>], row: usize, column: usize| rows[row][column].to_lowercase();
        let (mut same_name, mut same_mail, mut all) = (0, 0, 0);
        for (left, right) in &tables.truth {
            let (left, right) = (*left, *right);
            let equal = |column| {
                let (one, other) = (
                    cell(&tables.left.rows, left, column),
                    cell(&tables.right.rows, right, column),
                );
                one == other && !one.is_empty()
            };
            same_name += u32::from(equal(1) && equal(2));
            same_mail += u32::from(equal(3));
            all += u32::from((1..14).all(equal));
        }
        // Of 1,200: an exact join by name or by address finds some, and far from all.
        assert!((500..1_000).contains(&same_name), "{same_name}");
        assert!((250..700).contains(&same_mail), "{same_mail}");
        assert_eq!(all, 0);
    }

    #[test]
    fn a_market_is_the_seeds_and_nobodys_own() {
        let (one, again) = (market(5, 40, 200), market(5, 40, 200));
        assert_eq!((one.companies.len(), one.people.len()), (40, 200));
        let addresses: BTreeSet<_> = one.people.iter().map(|one| &one.work_email).collect();
        assert_eq!(addresses.len(), 200);
        for (person, same) in one.people.iter().zip(&again.people) {
            assert!(person.work_email.ends_with(".example"));
            assert!(person.company < 40 && !person.typed.last_name.is_empty());
            assert_eq!(person.work_email, same.work_email);
            assert_eq!(person.kept.place.street, same.kept.place.street);
        }
    }

    #[test]
    fn surnames_are_many_and_some_are_common() {
        let mut known = BTreeSet::new();
        for country in COUNTRIES {
            let land = Land::new(country);
            known.extend(
                land.surnames
                    .items
                    .iter()
                    .map(|ways| ways.usual().to_owned()),
            );
        }
        assert!(known.len() >= 10_000, "{}", known.len());
        let mut counts = BTreeMap::new();
        for row in people(4, 5_000).left.rows {
            *counts.entry(row[2].to_lowercase()).or_insert(0) += 1;
        }
        let most = counts.values().max().copied().unwrap_or(0);
        assert!((20..250).contains(&most), "{most}");
        assert!(counts.len() > 1_000, "{}", counts.len());
    }

    #[test]
    fn a_slip_changes_little() {
        let mut chance = Chance(5);
        for _ in 0..1_000 {
            let wrong = misspelled("Christopherson", &mut chance);
            assert!(wrong.len().abs_diff(14) <= 1, "{wrong}");
            assert!(wrong.starts_with('C') || wrong.starts_with('K'));
        }
        assert_eq!(misspelled("A", &mut chance), "A");
        assert_eq!(grouped("1234567", "-", 1), "123-4567");
    }
}
