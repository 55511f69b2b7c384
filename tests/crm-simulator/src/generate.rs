//! Made-up people and companies, many and fast: the same ones for the same seed.

/// A source of chance that a seed decides (`splitmix64`).
pub(crate) struct Chance(u64);

impl Chance {
    /// The chance of one kind of rows: another kind's rows are not alike.
    pub(crate) fn new(seed: u64, kind: &str) -> Self {
        let start = kind
            .bytes()
            .fold(seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        Self(start)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut out = self.0;
        out = (out ^ (out >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        out = (out ^ (out >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        out ^ (out >> 31)
    }

    /// A number below another one; 0 below 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next().checked_rem(end).unwrap_or(0)
    }

    /// True once in `times` calls on average.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn pick<'a, T>(&mut self, list: &'a [T]) -> Option<&'a T> {
        let at = self.below(u64::try_from(list.len()).unwrap_or(0));
        list.get(usize::try_from(at).unwrap_or(0))
    }

    fn text(&mut self, list: &[&'static str]) -> &'static str {
        self.pick(list).copied().unwrap_or_default()
    }

    fn pair(&mut self, list: &[(&'static str, &'static str)]) -> (&'static str, &'static str) {
        self.pick(list).copied().unwrap_or_default()
    }

    /// A phone number of a block that is kept free for fiction.
    pub(crate) fn phone(&mut self) -> String {
        let country = self.text(&[
            "+49 30", "+1 212", "+44 20", "+33 1", "(212)", "0043 1", "+48 22",
        ]);
        format!("{country} 555{:05}", self.below(100_000))
    }
}

/// As written, and in the letters of an address.
const FIRST: &[(&str, &str)] = &[
    ("Anna", "anna"),
    ("Jürgen", "juergen"),
    ("Zoë", "zoe"),
    ("Łukasz", "lukasz"),
    ("Søren", "soren"),
    ("François", "francois"),
    ("Αλέξανδρος", "alexandros"),
    ("Дмитрий", "dmitri"),
    ("美咲", "misaki"),
    ("José María", "jose.maria"),
    ("Siân", "sian"),
    ("Mary-Jane", "mary-jane"),
    ("Wei", "wei"),
    ("Fatima", "fatima"),
    ("Olu", "olu"),
    ("Priya", "priya"),
    ("Emma", "emma"),
    ("Noah", "noah"),
    ("Lena", "lena"),
    ("Tom", "tom"),
    ("Ines", "ines"),
    ("Pavel", "pavel"),
    ("Nil", "nil"),
    ("Aylin", "aylin"),
];

const LAST: &[(&str, &str)] = &[
    ("Müller", "mueller"),
    ("O'Neil", "oneil"),
    ("Ødegård", "odegard"),
    ("Nguyễn", "nguyen"),
    ("González Díaz", "gonzalez"),
    ("Kowalczyk", "kowalczyk"),
    ("陈", "chen"),
    ("Иванов", "ivanov"),
    ("D’Angelo", "dangelo"),
    ("Smith", "smith"),
    ("van der Berg", "vanderberg"),
    ("Schmidt-Weiß", "schmidt-weiss"),
    ("Papadopoulou", "papadopoulou"),
    ("Okafor", "okafor"),
    ("Şahin", "sahin"),
    ("Lindqvist", "lindqvist"),
    ("Null", "null"),
    ("García", "garcia"),
    ("Jones", "jones"),
    ("Tanaka", "tanaka"),
    ("Rossi", "rossi"),
    ("Dupont", "dupont"),
    ("Meyer", "meyer"),
    ("Singh", "singh"),
    ("St. James \"Jim\"", "stjames"),
    ("Horvat", "horvat"),
];

const TITLES: &[&str] = &[
    "CEO",
    "CTO",
    "CFO",
    "VP Sales",
    "Head of Purchasing",
    "Einkaufsleiterin",
    "Sales Manager",
    "Software Engineer",
    "Directeur général",
    "Marketing, Events & PR",
    "Account Executive",
    "Operations Manager",
    "Assistant",
    "Consultant",
    "Team Lead \"Platform\"",
];

const DEPARTMENTS: &[&str] = &[
    "Sales",
    "IT",
    "Purchasing",
    "Finance",
    "Geschäftsführung",
    "R&D",
];

const NAMES: &[(&str, &str)] = &[
    ("Nordwind", "nordwind"),
    ("Blue Harbor", "blueharbor"),
    ("Grünwald", "gruenwald"),
    ("Société Lumière", "lumiere"),
    ("Kestrel", "kestrel"),
    ("Ångström", "angstrom"),
    ("Acme", "acme"),
    ("東海", "tokai"),
    ("Vektor", "vektor"),
    ("Smith & Sons", "smithandsons"),
    ("Initech", "initech"),
    ("Córdoba", "cordoba"),
    ("Alpine", "alpine"),
    ("Pied \"Piper\"", "piedpiper"),
    ("Sigma", "sigma"),
    ("Contoso", "contoso"),
];

const FIELDS: &[(&str, &str)] = &[
    ("Technik", "technik"),
    ("Software", "software"),
    ("Logistics", "logistics"),
    ("Medical", "medical"),
    ("Energie", "energie"),
    ("Foods", "foods"),
    ("Consulting", "consulting"),
    ("Robotics", "robotics"),
    ("Bank", "bank"),
    ("Maschinenbau", "maschinenbau"),
];

const FORMS: &[&str] = &[
    "GmbH",
    "Inc.",
    "Ltd",
    "S.A.",
    "AG",
    "B.V.",
    "株式会社",
    "Sp. z o.o.",
    "",
    "LLC",
];

/// City, postal code, state, country.
const PLACES: &[(&str, &str, &str, &str)] = &[
    ("Berlin", "10115", "", "Germany"),
    ("München", "80331", "Bayern", "Deutschland"),
    ("Wien", "1010", "", "Austria"),
    ("Zürich", "8001", "ZH", "Switzerland"),
    ("Paris", "75001", "Île-de-France", "France"),
    ("London", "SW1A 1AA", "", "United Kingdom"),
    ("New York", "10001", "NY", "USA"),
    ("São Paulo", "01000-000", "SP", "Brasil"),
    ("東京", "100-0001", "", "日本"),
    ("Kraków", "30-001", "", "Poland"),
    ("Dublin", "D01 F5P2", "", "Ireland"),
    ("San Francisco", "94105", "CA", "United States"),
];

const STREETS: &[&str] = &[
    "Hauptstraße",
    "High Street",
    "Rue de la Paix",
    "Market St",
    "ul. Długa",
    "中央通り",
];

/// A made-up person.
pub(crate) struct Person {
    pub(crate) first: &'static str,
    pub(crate) last: &'static str,
    pub(crate) title: &'static str,
    pub(crate) department: &'static str,
    /// The part of an address before the `@`; the number makes it the person's own.
    pub(crate) mailbox: String,
}

/// Some company.
pub(crate) struct Company {
    pub(crate) name: String,
    pub(crate) domain: String,
}

/// Some address.
pub(crate) struct Place {
    pub(crate) street: String,
    pub(crate) city: &'static str,
    pub(crate) code: &'static str,
    pub(crate) state: Option<&'static str>,
    pub(crate) country: &'static str,
}

/// The creation and last change of a row, in milliseconds and whole seconds.
pub(crate) struct Times {
    pub(crate) created: i64,
    pub(crate) modified: i64,
}

impl Chance {
    pub(crate) fn person(&mut self, number: usize) -> Person {
        let (first, first_letters) = self.pair(FIRST);
        let (last, last_letters) = self.pair(LAST);
        Person {
            first,
            last,
            title: self.text(TITLES),
            department: self.text(DEPARTMENTS),
            mailbox: format!("{first_letters}.{last_letters}{number}"),
        }
    }

    pub(crate) fn company(&mut self, number: usize) -> Company {
        let (name, letters) = self.pair(NAMES);
        let (field, field_letters) = self.pair(FIELDS);
        let form = self.text(FORMS);
        // Some companies are there twice under nearly the same name: work for the matching.
        let number = if self.once_in(20) {
            number.saturating_sub(1)
        } else {
            number
        };
        let name = format!("{name} {field} {number} {form}");
        Company {
            name: name.trim_end().to_owned(),
            domain: format!("{letters}-{field_letters}-{number}.example"),
        }
    }

    pub(crate) fn place(&mut self) -> Place {
        let (city, code, state, country) = self.pick(PLACES).copied().unwrap_or_default();
        let mut street = format!("{} {}", self.text(STREETS), 1 + self.below(200));
        if self.once_in(15) {
            street.push_str("\n2. OG, \"Hinterhaus\"");
        }
        Place {
            street,
            city,
            code,
            state: (!state.is_empty()).then_some(state),
            country,
        }
    }

    /// A note, now and then: with the letters that formats stumble over.
    pub(crate) fn note(&mut self) -> Option<String> {
        self.once_in(12).then(|| {
            let times = 1 + self.below(4);
            "Met at \"Messe\";\nwants a call, soon – 100 % sure 😀.\r\nTab\there. "
                .repeat(usize::try_from(times).unwrap_or(1))
                .trim_end()
                .to_owned()
        })
    }

    /// Within the last three years; many rows share the instant of an import.
    pub(crate) fn times(&mut self, now_ms: i64) -> Times {
        const SPAN_S: u64 = 3 * 365 * 86_400;
        let today = now_ms.div_euclid(1000);
        let ago = |seconds: u64| today - i64::try_from(seconds).unwrap_or(0);
        let age = if self.once_in(4) {
            self.below(50) * (SPAN_S / 50)
        } else {
            self.below(SPAN_S)
        };
        let since = if self.once_in(2) {
            age
        } else {
            self.below(age + 1)
        };
        Times {
            created: ago(age) * 1000,
            modified: ago(since) * 1000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Chance;

    #[test]
    fn a_seed_decides() {
        let names = |seed| {
            let mut chance = Chance::new(seed, "Contact");
            (0..50)
                .map(|n| chance.person(n).mailbox)
                .collect::<Vec<_>>()
        };
        assert_eq!(names(7), names(7));
        assert_ne!(names(7), names(8));
    }

    #[test]
    fn times_are_in_order_and_in_whole_seconds() {
        let now = 1_790_000_000_123;
        let mut chance = Chance::new(1, "x");
        for _ in 0..1000 {
            let times = chance.times(now);
            assert!(times.created <= times.modified && times.modified <= now);
            assert_eq!((times.created % 1000, times.modified % 1000), (0, 0));
        }
    }
}
