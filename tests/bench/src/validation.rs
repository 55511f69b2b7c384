//! The quality of data validation (SV-8) on a labelled set of the generator: people who moved to another
//! employer, and people whose employer is only called otherwise.

use std::time::Instant;

use anyhow::{Result, ensure};
use local::people::{Firm, Member, Values, market};
use matching::Record;
use matching::company::core;
use shared::domain::employer::employer;

use crate::report::{Row, Section, Target};

/// Greatest share of flags that are wrong: precision is at least 0.97.
const MOST_WRONG: f64 = 0.03;
/// Greatest share of moves without a flag: recall is at least 0.9.
const MOST_MISSED: f64 = 0.1;
/// Wrong flags and missed moves that are shown of each kind.
const SHOWN: usize = 5;

/// The kinds of pairs, with their share of each nine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Another employer.
    Moved,
    /// The same, as two people write it.
    Unchanged,
    /// Another legal form.
    Renamed,
    /// Bought and called as its buyer; the domain is as before.
    Acquired,
    /// Its initials, or its words cut short.
    Abbreviated,
    /// A company of the same group.
    Subsidiary,
}

const KINDS: [(Kind, usize); 6] = [
    (Kind::Moved, 3),
    (Kind::Unchanged, 2),
    (Kind::Renamed, 1),
    (Kind::Acquired, 1),
    (Kind::Abbreviated, 1),
    (Kind::Subsidiary, 1),
];

/// A person in the directory and in the CRM.
struct Pair {
    kind: Kind,
    ours: Record,
    theirs: Record,
}

fn record(company: &str, website: &str, email: &str) -> Record {
    Record {
        company: company.to_owned(),
        website: website.to_owned(),
        emails: vec![email.to_owned()],
        ..Record::default()
    }
}

fn of(values: &Values) -> Record {
    record(&values.company, &values.website, &values.email)
}

/// The labelled set: `count` people of a market.
fn pairs(count: usize) -> Vec<Pair> {
    let market = market(23, count / 8 + 20, count);
    let plan: Vec<Kind> = KINDS
        .iter()
        .flat_map(|(kind, share)| std::iter::repeat_n(*kind, *share))
        .collect();
    let mut pairs = Vec::with_capacity(count);
    for (at, person) in market.people.iter().enumerate() {
        let Some(kind) = plan.get(at % plan.len()).copied() else {
            continue;
        };
        let Some(firm) = market.companies.get(person.company) else {
            continue;
        };
        let mut others = market.people.iter().cycle().skip(at + 1).take(count);
        let other = others.find(|other| other.company != person.company);
        let other = other.filter(|other| !other.kept.company.is_empty());
        pairs.extend(pair(kind, person, firm, other, at));
    }
    pairs
}

/// A pair of a kind; `None` where the person gives no company.
fn pair(
    kind: Kind,
    person: &Member,
    firm: &Firm,
    other: Option<&Member>,
    at: usize,
) -> Option<Pair> {
    let mut ours = of(&person.typed);
    let mut theirs = of(&person.kept);
    let name = core(&firm.name);
    let words: Vec<&str> = name.split(' ').collect();
    let pick = |texts: &[&'static str]| texts.get(at / 9 % texts.len()).copied().unwrap_or("");
    match kind {
        Kind::Unchanged => {}
        // The CRM has the employer before.
        Kind::Moved => theirs = of(&other?.kept),
        Kind::Renamed => {
            let ending = pick(&[
                "GmbH", "AG", "Ltd.", "Limited", "Inc.", "LLC", "S.A.", "B.V.",
            ]);
            ours.company = format!("{name} {ending}");
        }
        Kind::Acquired => {
            ours = record(&other?.typed.company, "", &person.work_email);
            theirs = record(&firm.name, &firm.website, &person.work_email);
        }
        Kind::Abbreviated if words.len() > 2 => {
            let initials = words.iter().filter_map(|word| word.chars().next());
            ours.company = initials.collect::<String>().to_uppercase();
        }
        Kind::Abbreviated => {
            let short = words.iter().map(|word| match word.char_indices().nth(5) {
                Some((end, _)) => format!("{}.", word.get(..end).unwrap_or(word)),
                None => (*word).to_owned(),
            });
            ours.company = short.collect::<Vec<_>>().join(" ");
        }
        Kind::Subsidiary => {
            let part = pick(&[
                "Deutschland",
                "Services",
                "Digital",
                "Logistics",
                "UK",
                "Research",
            ]);
            ours.company = format!("{name} {part}");
        }
    }
    let said = !ours.company.is_empty() && !theirs.company.is_empty();
    said.then_some(Pair { kind, ours, theirs })
}

/// Measures.
pub(crate) fn run(quick: bool) -> Result<Section> {
    let mut section = Section::new("validation");
    let pairs = pairs(if quick { 2_000 } else { 20_000 });
    let began = Instant::now();
    let flagged: Vec<bool> = pairs
        .iter()
        .map(|pair| {
            let verdict = employer(&pair.ours).compare(&employer(&pair.theirs));
            verdict.change().is_some()
        })
        .collect();
    let seconds = began.elapsed().as_secs_f64();
    let (mut right, mut wrong, mut moves) = (0_u32, 0_u32, 0_u32);
    for (pair, flagged) in pairs.iter().zip(&flagged) {
        let is_move = pair.kind == Kind::Moved;
        moves += u32::from(is_move);
        right += u32::from(is_move && *flagged);
        wrong += u32::from(!is_move && *flagged);
    }
    ensure!(moves > 0, "nobody of the set moved");
    let share = |part: u32, of: u32| f64::from(part) / f64::from(of.max(1));
    section.row(
        Row::new("flags that are wrong", "share", share(wrong, right + wrong))
            .target(Target::AtMost(MOST_WRONG)),
    );
    section.row(
        Row::new("moves without a flag", "share", share(moves - right, moves))
            .target(Target::AtMost(MOST_MISSED)),
    );
    let each = f64::from(u32::try_from(pairs.len())?);
    section.row(Row::new(
        "comparing two employers",
        "us",
        seconds * 1e6 / each,
    ));
    for (kind, _) in KINDS {
        let of_kind = pairs
            .iter()
            .zip(&flagged)
            .filter(|(pair, _)| pair.kind == kind);
        let all = of_kind.clone().count();
        let flags = of_kind.clone().filter(|(_, flagged)| **flagged).count();
        section.note(format!("{kind:?}: {flags} of {all} flagged."));
        let errors = of_kind.filter(|(_, flagged)| **flagged != (kind == Kind::Moved));
        for (pair, _) in errors.take(SHOWN) {
            let shown = |record: &Record| {
                let at = record.emails.join(" ");
                format!("“{}” ({} {at})", record.company, record.website)
            };
            section.note(format!("  {} / {}", shown(&pair.ours), shown(&pair.theirs)));
        }
    }
    section.note("A flag says that the employer is another one. Right is a flag of somebody who moved; whose employer was renamed, bought with its domain, abbreviated or is of the same group did not.");
    Ok(section)
}
