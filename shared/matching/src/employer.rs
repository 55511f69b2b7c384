//! Two statements of a person's employer, or of a job title: the same, or a change (SV-7, SV-8).
//!
//! Linking asks which records are one and may be wrong either way. Here an error towards *different* tells a
//! user of a move that never was. So spelling, abbreviation, acronym, legal form and members of one family of
//! companies are no change, and where the names differ but something else speaks for one company, the verdict
//! is [`Verdict::Unknown`].

use std::sync::LazyLock;

use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::company::{self, CompanyName, SameName};
use crate::rarity::Rarity;
use crate::tables::titles;
use crate::{Kind, Model, Record, clean, contact, similar, text};

/// Maximum number of other names of an employer that are compared.
const MAX_ALIASES: usize = 4;
/// Rarity of a word, in eighths of a bit, from which on it names a company rather than its trade.
const NAMES_A_COMPANY: u32 = 100;

/// Rarity of words in companies' names, as it is shipped: the verdict on two employers is the same in every
/// contract.
static RARITY: LazyLock<Rarity> = LazyLock::new(|| Model::shipped(Kind::Company).rarity);

/// The likelihood that two employers are two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// The names differ, and nothing else is known.
    Likely,
    /// The names have nothing in common, or the domains differ as well.
    Sure,
}

/// The result of comparing two statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The same, however it is written.
    Same,
    /// Another one.
    Different(Certainty),
    /// One of them says nothing, or the evidence is contradictory.
    Unknown,
}

impl Verdict {
    /// The certainty of a change; `None` where there is none, or none that is known.
    #[must_use]
    pub const fn change(self) -> Option<Certainty> {
        match self {
            Self::Different(certainty) => Some(certainty),
            Self::Same | Self::Unknown => None,
        }
    }
}

/// An employer, as one source states it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Employer {
    name: CompanyName,
    /// Initials of all words of the name, of those that say nothing too, and of all but small words.
    acronyms: SmallVec<[CompactString; 4]>,
    /// Former names, names in brackets, owners.
    aliases: SmallVec<[CompanyName; 1]>,
    /// True if the name is written in Latin letters.
    latin: bool,
    /// The registered domain; empty if it is not known or is a public mailbox provider's.
    domain: CompactString,
    /// True for the domain of its website: that of an address may be the person's own.
    own_domain: bool,
}

/// Words that part a name from another name of the same company, or from its owner's.
const BETWEEN: [&str; 20] = [
    " formerly known as ",
    " previously known as ",
    " also known as ",
    " now known as ",
    " doing business as ",
    " trading as ",
    " formerly ",
    " previously ",
    " vormals ",
    " anciennement ",
    " fka ",
    " aka ",
    " dba ",
    " d/b/a ",
    " f/k/a ",
    " a/k/a ",
    " t/a ",
    " now ",
    " part of ",
    " division of ",
];

impl Employer {
    /// Creates the normal form of an employer.
    ///
    /// `domains` are those of its website and of the person's e-mail addresses, or whole addresses and
    /// websites. Public mailbox providers' do not count. Of several the one counts that resembles the name,
    /// since a person may keep an address of a former employer.
    #[must_use]
    pub fn new<'a>(name: &str, domains: impl IntoIterator<Item = &'a str>) -> Self {
        let name = clean::value(text::cut(name));
        let name = if company::says_nothing(name) {
            ""
        } else {
            name
        };
        let (main, aliases) = parts(name);
        let mut employer = Self {
            acronyms: company::acronyms(main),
            name: CompanyName::new(main),
            aliases: aliases
                .iter()
                .map(|alias| CompanyName::new(alias))
                .filter(|alias| !alias.is_empty())
                .take(MAX_ALIASES)
                .collect(),
            latin: is_latin(name),
            domain: CompactString::default(),
            own_domain: false,
        };
        let mut known: SmallVec<[CompactString; 2]> = SmallVec::new();
        for domain in domains {
            let host = domain.rsplit_once('@').map_or(domain, |(_, host)| host);
            let Some(domain) = contact::website(host) else {
                continue;
            };
            let domain = CompactString::from(domain);
            if !known.contains(&domain) {
                known.push(domain);
            }
        }
        if known.len() > 1 {
            known.retain(|domain| employer.is_named_by(domain));
        }
        if let [domain] = known.as_slice() {
            employer.domain.clone_from(domain);
        }
        employer
    }

    /// The employer, whose domain is that of its own website.
    #[must_use]
    pub fn at_own_domain(mut self) -> Self {
        self.own_domain = true;
        self
    }

    /// True if the employer has a name. One without is compared with nothing.
    #[must_use]
    pub fn has_name(&self) -> bool {
        !self.name.is_empty()
    }

    /// Compares two employers; the result does not depend on their order.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Verdict {
        if !self.has_name() || !other.has_name() {
            return Verdict::Unknown;
        }
        let domains = self.same_domain(other);
        let same = company::same_name(&self.name, &other.name, &RARITY);
        let numbers = company::same_numbers(&self.name, &other.name);
        if numbers == Some(false) {
            // "School 7" and "School 12".
            return match domains {
                Some(true) => Verdict::Unknown,
                _ => Verdict::Different(Certainty::Likely),
            };
        }
        if same >= SameName::Near || self.is_alias_of(other) || other.is_alias_of(self) {
            return Verdict::Same;
        }
        let short_for = self.is_short_for(other) || other.is_short_for(self);
        if same >= SameName::Initials || short_for {
            // A part of another's name with another domain may be a member of its group, or a namesake.
            return match domains {
                Some(false) if same < SameName::Most => Verdict::Unknown,
                _ => Verdict::Same,
            };
        }
        let family = self.first_word_names() && self.shares_first_word(other);
        // A company that was renamed or bought keeps its domain; so does a person with an old address.
        let crossed = self.is_named_by(&other.domain) || other.is_named_by(&self.domain);
        let kept = domains == Some(true) && (self.own_domain || other.own_domain);
        if kept || crossed || family || self.latin != other.latin {
            return Verdict::Unknown;
        }
        // One domain that names neither of the two is the person's own.
        if domains == Some(false) || domains.is_none() && same == SameName::Different {
            Verdict::Different(Certainty::Sure)
        } else {
            Verdict::Different(Certainty::Likely)
        }
    }

    /// Compares the domains; `None` if one is not known. Those that differ only in their end are one.
    fn same_domain(&self, other: &Self) -> Option<bool> {
        if self.domain.is_empty() || other.domain.is_empty() {
            return None;
        }
        let (a, b) = (label(&self.domain), label(&other.domain));
        Some(self.domain == other.domain || a.len() >= 4 && a == b)
    }

    /// True if one of the other's names beside its first is this one's.
    fn is_alias_of(&self, other: &Self) -> bool {
        other
            .aliases
            .iter()
            .any(|alias| company::same_name(&self.name, alias, &RARITY) >= SameName::Near)
    }

    /// True if the name is an acronym of the other's, alone or with further words: `IBM Research`.
    fn is_short_for(&self, other: &Self) -> bool {
        let is_one = |word: &str| other.acronyms.iter().any(|acronym| *acronym == *word);
        if self.name.words.len() == 1 {
            return is_one(&self.name.core);
        }
        let mut words = self.name.words.iter();
        words.any(|word| word.text.len() >= 3 && is_one(&word.text))
    }

    /// True if the first word of the name is rare.
    fn first_word_names(&self) -> bool {
        let first = self.name.words.first();
        first.is_some_and(|word| {
            word.text.len() >= 3 && company::rare(word, &RARITY) >= NAMES_A_COMPANY
        })
    }

    fn shares_first_word(&self, other: &Self) -> bool {
        let first = |employer: &Self| employer.name.words.first().map(|word| word.hash);
        first(self) == first(other)
    }

    /// True if a domain is made of the name: `acme-tools.com` of *Acme Tools*, `ibm.com` of *International
    /// Business Machines*.
    fn is_named_by(&self, domain: &str) -> bool {
        let label = label(domain);
        if label.len() < 2 || !self.has_name() {
            return false;
        }
        let core: &str = &self.name.core;
        let starts = |long: &str, short: &str| short.len() >= 4 && long.starts_with(short);
        label == core
            || self.acronyms.iter().any(|acronym| **acronym == label)
            || starts(&label, core)
            || starts(core, &label)
            || self.first_word_names()
                && self
                    .name
                    .words
                    .first()
                    .is_some_and(|word| starts(&label, &word.text))
            || core.len() >= 5 && similar::one_edit(core, &label)
    }
}

/// Hashes of the employer and the job title that a person's record states, in normal form; 0 for one that it
/// does not state. Of two records whose hashes are the same nothing is a change: most pairs need no comparison.
#[must_use]
pub fn stated(record: &Record) -> [u64; 2] {
    let name = clean::value(text::cut(&record.company));
    let name = if company::says_nothing(name) {
        String::new()
    } else {
        company::core(name)
    };
    let mut words = title(&record.title);
    words.sort_unstable();
    words.dedup();
    [(b'c', name), (b't', words.join(" "))].map(|(kind, text)| match text.as_str() {
        "" => 0,
        text => text::hash(kind, text),
    })
}

/// Compares two job titles; the result does not depend on their order. Abbreviations, translations that the
/// tables know, and a title that only says more than the other are no change, unless the rank differs.
#[must_use]
pub fn same_title(a: &str, b: &str) -> Verdict {
    let (a, b) = (title(a), title(b));
    if a.is_empty() || b.is_empty() {
        return Verdict::Unknown;
    }
    let within = |a: &[String], b: &[String]| a.iter().all(|word| b.contains(word));
    let (a_in_b, b_in_a) = (within(&a, &b), within(&b, &a));
    if a_in_b && b_in_a {
        return Verdict::Same;
    }
    let same_rank = titles::seniority(&a) == titles::seniority(&b);
    if (a_in_b || b_in_a) && same_rank {
        return Verdict::Unknown;
    }
    let alike = |a: &[String], b: &[String]| {
        a.iter().any(|word| {
            b.iter().any(|other| {
                word == other || word.len().min(other.len()) >= 5 && similar::one_edit(word, other)
            })
        })
    };
    if alike(&a, &b) {
        Verdict::Different(Certainty::Likely)
    } else {
        Verdict::Different(Certainty::Sure)
    }
}

/// The words of a title in their standard forms, without those that say nothing.
fn title(title: &str) -> Vec<String> {
    let folded = text::fold(clean::value(title));
    let words = folded.split(' ').filter(|word| !word.is_empty());
    let long = words.flat_map(|word| titles::title_word(word).unwrap_or(word).split(' '));
    let said = long.filter(|word| !titles::is_title_filler(word));
    said.take(12).map(str::to_owned).collect()
}

/// The name, and the other names that stand with it: in brackets, or after a word such as *formerly*.
fn parts(name: &str) -> (&str, Vec<&str>) {
    let mut main = name;
    let mut others = Vec::new();
    if let Some((before, rest)) = name.split_once(['(', '['])
        && !before.trim().is_empty()
    {
        let inside = rest.split([')', ']']).next().unwrap_or_default();
        others.push(inside.trim());
        main = before;
    }
    // Lowercase letters of ASCII are as long as capitals, so places in one are places in the other.
    let lower = main.to_ascii_lowercase();
    let first = BETWEEN
        .iter()
        .filter_map(|between| lower.find(*between).map(|at| (at, between.len())))
        .min_by_key(|(at, len)| (*at, std::cmp::Reverse(*len)));
    if let Some((at, len)) = first {
        let whole = main;
        let before = whole.get(..at).unwrap_or_default();
        if !before.trim().is_empty() {
            others.push(whole.get(at + len..).unwrap_or_default().trim());
            main = before;
        }
    }
    let mut others: Vec<&str> = others.into_iter().map(without_prefix).collect();
    others.retain(|other| !other.is_empty());
    (main.trim().trim_end_matches([',', ';', '-']), others)
}

/// Another name without the word that says which one it is: `formerly Acme`.
fn without_prefix(name: &str) -> &str {
    let prefixes = [
        "formerly ",
        "previously ",
        "now ",
        "part of ",
        "a division of ",
        "fka ",
        "ex ",
    ];
    let named = prefixes.iter().find_map(|prefix| {
        let start = name.get(..prefix.len())?;
        let rest = name.get(prefix.len()..)?;
        start.eq_ignore_ascii_case(prefix).then_some(rest)
    });
    named.unwrap_or(name)
}

/// The first label of a domain, without hyphens.
fn label(domain: &str) -> String {
    let first = domain.split('.').next().unwrap_or_default();
    first.replace('-', "")
}

/// True if no letter of a text is of another script than Latin: transliterated names differ in spelling.
fn is_latin(text: &str) -> bool {
    let latin = |c: char| c <= '\u{24f}' || matches!(c, '\u{1e00}'..='\u{1eff}');
    !text.chars().any(|c| c.is_alphabetic() && !latin(c))
}

#[cfg(test)]
mod tests {
    use super::{Certainty, Employer, Verdict, same_title, stated};
    use crate::Record;

    fn compare(a: (&str, &str), b: (&str, &str)) -> Verdict {
        let employer = |(name, domains): (&str, &str)| Employer::new(name, domains.split(' '));
        let (a, b) = (employer(a), employer(b));
        assert_eq!(a.compare(&b), b.compare(&a));
        a.compare(&b)
    }

    fn names(a: &str, b: &str) -> Verdict {
        compare((a, ""), (b, ""))
    }

    #[test]
    fn one_employer_is_the_same_however_it_is_written() {
        for (a, b) in [
            ("Acme", "Acme"),
            ("Acme Ltd", "ACME Limited"),
            ("Acme GmbH", "Acme AG"),
            ("Müller & Söhne GmbH & Co. KG", "Müller und Söhne"),
            ("IBM", "International Business Machines"),
            ("IBM Corp.", "International Business Machines Corporation"),
            ("ISG", "International Services Group"),
            ("BoA", "Bank of America"),
            ("IBM Research", "International Business Machines"),
            ("Crimson Glass", "Crimsom Glass"),
            ("Acme Intl Svcs", "Acme International Services"),
            ("Initech (formerly Globex)", "Globex"),
            (
                "Initech, formerly known as Globex Corporation",
                "Globex Corp",
            ),
            ("Globex (an Initech company)", "Globex"),
            ("International Business Machines (IBM)", "IBM"),
            ("Siemens", "Siemens Healthineers"),
        ] {
            assert_eq!(names(a, b), Verdict::Same, "{a} / {b}");
        }
    }

    #[test]
    fn another_employer_is_a_change() {
        for (a, b) in [
            ("Globex", "Initech"),
            ("Globex Corporation", "Initech Corporation"),
            ("Vandelay Industries", "Umbrella Industries"),
        ] {
            assert!(names(a, b).change().is_some(), "{a} / {b}");
        }
        assert_eq!(
            compare(
                ("Globex", "ann@globex.com"),
                ("Initech", "https://www.initech.com/about")
            ),
            Verdict::Different(Certainty::Sure)
        );
        // An address of the former employer is kept beside the new one.
        assert_eq!(
            compare(
                ("Globex", "ann@globex.com"),
                ("Initech", "ann@globex.com ann@initech.com")
            ),
            Verdict::Different(Certainty::Sure)
        );
        // An address of the person's own domain, and one of a mailbox provider, say nothing of either.
        assert_eq!(
            compare(("Globex", "ann@meier.de"), ("Initech", "ann@meier.de")),
            Verdict::Different(Certainty::Likely)
        );
        assert!(
            compare(("Globex", "ann@gmail.com"), ("Initech", "ann@gmail.com"))
                .change()
                .is_some()
        );
        assert_eq!(
            names("Public School 7", "Public School 12"),
            Verdict::Different(Certainty::Likely)
        );
    }

    #[test]
    fn contradictory_evidence_is_no_change() {
        // Renamed or bought, with its domain; or an old address with a new employer.
        assert_eq!(
            compare(("Globex", "globex.com"), ("Initech", "ann@globex.com")),
            Verdict::Unknown
        );
        // The address at the other's domain.
        assert_eq!(
            compare(("Globex", "ann@initech.com"), ("Initech", "")),
            Verdict::Unknown
        );
        // Members of one family.
        assert_eq!(
            names("Siemens Energy", "Siemens Healthineers"),
            Verdict::Unknown
        );
        // A name of part of another's, at another domain.
        assert_ne!(
            compare(
                ("Siemens", "siemens.com"),
                ("Siemens Healthineers Deutschland", "healthineers.de")
            )
            .change(),
            Some(Certainty::Sure)
        );
        // Another script.
        assert_eq!(names("トヨタ自動車", "Toyota Motor"), Verdict::Unknown);
    }

    #[test]
    fn a_placeholder_is_no_employer() {
        for nothing in [
            "",
            "  ",
            "Self-employed",
            "n/a",
            "-",
            "privat",
            "[not provided]",
        ] {
            assert_eq!(names("Globex", nothing), Verdict::Unknown, "{nothing}");
        }
        assert_eq!(names("", ""), Verdict::Unknown);
    }

    #[test]
    fn records_that_state_the_same_have_the_same_hashes() {
        let of = |company: &str, title: &str| {
            stated(&Record {
                company: company.to_owned(),
                title: title.to_owned(),
                ..Record::default()
            })
        };
        assert_eq!(
            of("Globex Ltd", "VP Sales"),
            of("GLOBEX", "Vice President, Sales")
        );
        assert_ne!(of("Globex", "CEO")[0], of("Initech", "CEO")[0]);
        assert_ne!(of("Globex", "CEO")[1], of("Globex", "CFO")[1]);
        assert_eq!(of("n/a", ""), [0, 0]);
    }

    #[test]
    fn titles_are_compared_by_meaning() {
        for (a, b) in [
            ("VP Sales", "Vice President of Sales"),
            ("CEO", "Chief Executive Officer"),
            ("Sr. Mgr., Marketing", "Marketing Senior Manager"),
        ] {
            assert_eq!(same_title(a, b), Verdict::Same, "{a} / {b}");
        }
        assert_eq!(
            same_title("Head of Sales", "Head of Sales EMEA"),
            Verdict::Unknown
        );
        assert_eq!(same_title("CEO", ""), Verdict::Unknown);
        assert_eq!(
            same_title("Sales Manager", "Sales Director"),
            Verdict::Different(Certainty::Likely)
        );
        assert_eq!(
            same_title("Accountant", "Head of Sales"),
            Verdict::Different(Certainty::Sure)
        );
    }
}
