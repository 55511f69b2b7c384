//! What is known before anything is learned.

use crate::compare::{self, FIELDS, SHARED};
use crate::model::{Class, FieldModel, Model};
use crate::rarity::Rarity;
use crate::{Kind, learn};

/// Frequencies of the levels of a field, from 1 on.
type Levels<'a> = &'a [f64];

/// Frequencies for a kind of pair of people.
struct People<'a> {
    class: &'a str,
    is_match: bool,
    share: f64,
    last: Levels<'a>,
    first: Levels<'a>,
    swapped: f64,
    email: Levels<'a>,
    phone: Levels<'a>,
    company: Levels<'a>,
    domain: Levels<'a>,
    title: Levels<'a>,
    street: Levels<'a>,
    area: Levels<'a>,
}

const SAME_LAST: &[f64] = &[0.02, 0.015, 0.03, 0.055, 0.88];
const OTHER_LAST: &[f64] = &[0.9, 0.06, 0.005, 0.005, 0.03];
const SAME_FIRST: &[f64] = &[0.03, 0.02, 0.02, 0.05, 0.08, 0.8];
const OTHER_FIRST: &[f64] = &[0.86, 0.06, 0.05, 0.005, 0.005, 0.02];
//                           differ, of domain, fit, role, local, near, same
const PEOPLE: [People<'static>; 6] = [
    People {
        class: "one who stayed", is_match: true, share: 0.85,
        last: SAME_LAST, first: SAME_FIRST, swapped: 0.012,
        email: &[0.06, 0.01, 0.16, 0.01, 0.03, 0.03, 0.7],
        phone: &[0.35, 0.08, 0.02, 0.03, 0.52],
        company: &[0.02, 0.01, 0.02, 0.02, 0.07, 0.04, 0.07, 0.75],
        domain: &[0.02, 0.98],
        title: &[0.06, 0.04, 0.12, 0.78],
        street: &[0.06, 0.03, 0.1, 0.81],
        area: &[0.005, 0.03, 0.04, 0.06, 0.05, 0.05, 0.2, 0.1, 0.465],
    },
    People {
        class: "one who moved", is_match: true, share: 0.15,
        last: SAME_LAST, first: SAME_FIRST, swapped: 0.012,
        email: &[0.2, 0.01, 0.65, 0.01, 0.06, 0.01, 0.06],
        phone: &[0.78, 0.05, 0.01, 0.01, 0.15],
        company: &[0.93, 0.02, 0.01, 0.005, 0.01, 0.005, 0.005, 0.015],
        domain: &[0.97, 0.03],
        title: &[0.75, 0.12, 0.03, 0.1],
        street: &[0.8, 0.02, 0.02, 0.16],
        area: &[0.15, 0.35, 0.06, 0.02, 0.06, 0.02, 0.12, 0.04, 0.18],
    },
    People {
        class: "two strangers", is_match: false, share: 0.35,
        last: &[0.72, 0.08, 0.01, 0.02, 0.17], first: &[0.72, 0.07, 0.04, 0.01, 0.03, 0.13], swapped: 0.0005,
        email: &[0.85, 0.02, 0.1, 0.005, 0.01, 0.003, 0.012],
        phone: &[0.93, 0.03, 0.003, 0.007, 0.03],
        company: &[0.85, 0.03, 0.03, 0.005, 0.02, 0.005, 0.005, 0.055],
        domain: &[0.95, 0.05],
        title: &[0.72, 0.14, 0.04, 0.1],
        street: &[0.86, 0.04, 0.02, 0.08],
        area: &[0.1, 0.45, 0.1, 0.03, 0.07, 0.02, 0.14, 0.04, 0.05],
    },
    People {
        class: "two colleagues", is_match: false, share: 0.35,
        last: OTHER_LAST, first: OTHER_FIRST, swapped: 0.0003,
        email: &[0.18, 0.72, 0.02, 0.05, 0.005, 0.005, 0.02],
        phone: &[0.55, 0.25, 0.02, 0.02, 0.16],
        company: &[0.02, 0.01, 0.02, 0.02, 0.07, 0.04, 0.07, 0.75],
        domain: &[0.03, 0.97],
        title: &[0.7, 0.15, 0.06, 0.09],
        street: &[0.12, 0.02, 0.1, 0.76],
        area: &[0.01, 0.05, 0.05, 0.05, 0.05, 0.04, 0.22, 0.1, 0.43],
    },
    People {
        class: "two of one name", is_match: false, share: 0.2,
        last: &[0.03, 0.03, 0.02, 0.04, 0.88], first: &[0.03, 0.03, 0.03, 0.04, 0.09, 0.78], swapped: 0.003,
        email: &[0.3, 0.01, 0.6, 0.005, 0.07, 0.005, 0.01],
        phone: &[0.94, 0.035, 0.003, 0.002, 0.02],
        company: &[0.9, 0.03, 0.03, 0.005, 0.015, 0.005, 0.005, 0.01],
        domain: &[0.99, 0.01],
        title: &[0.8, 0.12, 0.03, 0.05],
        street: &[0.96, 0.02, 0.01, 0.01],
        area: &[0.25, 0.5, 0.1, 0.02, 0.04, 0.01, 0.05, 0.01, 0.02],
    },
    People {
        class: "two of one family", is_match: false, share: 0.1,
        last: &[0.02, 0.02, 0.03, 0.05, 0.88], first: &[0.84, 0.07, 0.06, 0.005, 0.005, 0.02], swapped: 0.0005,
        email: &[0.5, 0.1, 0.3, 0.01, 0.01, 0.01, 0.07],
        phone: &[0.6, 0.05, 0.01, 0.01, 0.33],
        company: &[0.7, 0.03, 0.03, 0.005, 0.015, 0.005, 0.015, 0.2],
        domain: &[0.8, 0.2],
        title: &[0.78, 0.14, 0.03, 0.05],
        street: &[0.08, 0.03, 0.1, 0.79],
        area: &[0.01, 0.05, 0.05, 0.06, 0.05, 0.05, 0.2, 0.1, 0.43],
    },
];

/// Frequencies for a kind of pair of companies.
struct Companies<'a> {
    class: &'a str,
    is_match: bool,
    share: f64,
    name: Levels<'a>,
    web: Levels<'a>,
    phone: Levels<'a>,
    email: Levels<'a>,
    form: Levels<'a>,
    street: Levels<'a>,
    area: Levels<'a>,
}

const COMPANIES: [Companies<'static>; 6] = [
    Companies {
        class: "one that stayed", is_match: true, share: 0.85,
        name: &[0.03, 0.02, 0.03, 0.02, 0.09, 0.06, 0.12, 0.63],
        web: &[0.08, 0.03, 0.89], phone: &[0.2, 0.06, 0.03, 0.03, 0.68], email: &[0.2, 0.2, 0.6], form: &[0.15, 0.85],
        street: &[0.06, 0.03, 0.12, 0.79], area: &[0.005, 0.04, 0.04, 0.06, 0.05, 0.05, 0.2, 0.1, 0.455],
    },
    Companies {
        class: "one that moved", is_match: true, share: 0.1,
        name: &[0.02, 0.02, 0.02, 0.02, 0.08, 0.06, 0.12, 0.66],
        web: &[0.3, 0.05, 0.65], phone: &[0.7, 0.08, 0.02, 0.02, 0.18], email: &[0.4, 0.2, 0.4], form: &[0.2, 0.8],
        street: &[0.85, 0.03, 0.02, 0.1], area: &[0.03, 0.35, 0.12, 0.05, 0.1, 0.05, 0.15, 0.05, 0.1],
    },
    Companies {
        class: "one under two names", is_match: true, share: 0.05,
        name: &[0.45, 0.15, 0.2, 0.05, 0.1, 0.02, 0.02, 0.01],
        web: &[0.2, 0.05, 0.75], phone: &[0.25, 0.05, 0.03, 0.02, 0.65], email: &[0.2, 0.2, 0.6], form: &[0.4, 0.6],
        street: &[0.06, 0.03, 0.12, 0.79], area: &[0.005, 0.04, 0.04, 0.06, 0.05, 0.05, 0.2, 0.1, 0.455],
    },
    Companies {
        class: "two others", is_match: false, share: 0.5,
        name: &[0.6, 0.16, 0.12, 0.01, 0.07, 0.02, 0.01, 0.01],
        web: &[0.94, 0.03, 0.03], phone: &[0.93, 0.04, 0.005, 0.005, 0.02], email: &[0.93, 0.05, 0.02], form: &[0.6, 0.4],
        street: &[0.86, 0.04, 0.02, 0.08], area: &[0.1, 0.4, 0.12, 0.04, 0.07, 0.02, 0.15, 0.04, 0.06],
    },
    Companies {
        class: "two at one address", is_match: false, share: 0.3,
        name: &[0.7, 0.14, 0.1, 0.005, 0.04, 0.01, 0.003, 0.002],
        web: &[0.7, 0.05, 0.25], phone: &[0.4, 0.15, 0.02, 0.02, 0.41], email: &[0.6, 0.2, 0.2], form: &[0.55, 0.45],
        street: &[0.05, 0.03, 0.12, 0.8], area: &[0.005, 0.03, 0.05, 0.06, 0.05, 0.05, 0.2, 0.1, 0.455],
    },
    Companies {
        class: "two of like names", is_match: false, share: 0.2,
        name: &[0.02, 0.03, 0.15, 0.03, 0.3, 0.17, 0.1, 0.2],
        web: &[0.88, 0.08, 0.04], phone: &[0.93, 0.04, 0.005, 0.005, 0.02], email: &[0.93, 0.05, 0.02], form: &[0.6, 0.4],
        street: &[0.95, 0.02, 0.01, 0.02], area: &[0.2, 0.5, 0.1, 0.03, 0.06, 0.01, 0.06, 0.01, 0.03],
    },
];

/// The model before it learns.
pub(crate) fn model(kind: Kind) -> Model {
    let classes = match kind {
        Kind::Person => PEOPLE.iter().map(people).collect(),
        Kind::Company => COMPANIES.iter().map(companies).collect(),
    };
    let fields = compare::fields(kind)
        .into_iter()
        .zip(compare::level_counts(kind))
        .enumerate()
        .map(|(at, (field, levels))| FieldModel {
            field: field.to_owned(),
            levels: (0..levels).map(|level| compare::level_text(kind, at, level)).collect(),
        })
        .collect();
    Model {
        version: 0,
        kind,
        threshold: 1000,
        margin: 1000,
        pairs: 0,
        matches: 0,
        fields,
        classes,
        rates: [90; SHARED],
        rarity: Rarity::shipped(&[]),
    }
}

/// Frequencies of two things together: nothing is known at 0, and where both are 0.
fn both(outer: Levels<'_>, inner: Levels<'_>) -> Vec<f64> {
    let mut all = Vec::with_capacity((outer.len() + 1) * (inner.len() + 1));
    for outer in std::iter::once(&1.0).chain(outer) {
        for inner in std::iter::once(&1.0).chain(inner) {
            all.push(outer * inner);
        }
    }
    all
}

fn logs(levels: &[f64]) -> Vec<i32> {
    let mut logs: Vec<i32> = levels.iter().map(|level| learn::log(*level)).collect();
    if let Some(unknown) = logs.first_mut() {
        *unknown = 0;
    }
    logs
}

fn one(levels: Levels<'_>) -> Vec<f64> {
    std::iter::once(1.0).chain(levels.iter().copied()).collect()
}

fn class(name: &str, is_match: bool, share: f64, levels: [Vec<f64>; FIELDS], usual: [u8; SHARED]) -> Class {
    Class {
        class: name.to_owned(),
        is_match,
        share: learn::log(share),
        levels: levels.iter().map(|levels| logs(levels)).collect(),
        usual,
    }
}

fn people(of: &People<'_>) -> Class {
    let mut names = both(of.last, of.first);
    names.push(of.swapped * 0.7);
    names.push(of.swapped * 0.3);
    let levels = [names, one(of.email), one(of.phone), both(of.company, of.domain), one(of.title), both(of.street, of.area)];
    class(of.class, of.is_match, of.share, levels, [70, 60, 90, 90, 80, 60, 90, 60])
}

fn companies(of: &Companies<'_>) -> Class {
    let levels = [one(of.name), one(of.web), one(of.phone), one(of.email), one(of.form), both(of.street, of.area)];
    class(of.class, of.is_match, of.share, levels, [100, 60, 90, 90, 90, 60, 90, 60])
}
