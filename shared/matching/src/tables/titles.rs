//! Words of job titles, forms of address, name suffixes, and particles of surnames.
//!
//! Written for this project, for English with the usual German, French, Dutch, Spanish and Italian.

use rustc_hash::{FxHashMap as HashMap, FxHashSet as HashSet};
use std::sync::LazyLock;

use super::{Spellings, spellings, words};

/// `standard words: spellings`.
const WORDS: &str = "
accounting: acctg, buchhaltung
accountant: acct, acctnt, cpa
administrator: admin, adm, admr, administrateur, administrador
administrative: adminstrative
advisor: adviser, adv
analyst: anlst, analist
architect: arch, architekt
assistant: asst, ass, asstt, assistent, assistentin, assistente, asistente, assistante
associate: assoc
attorney: atty, lawyer
business: bus, biz
business development: bizdev, bd
chairman: chair, chairwoman, chairperson, chmn
chief executive officer: ceo
chief financial officer: cfo
chief technology officer: cto
chief information officer: cio
chief operating officer: coo
chief marketing officer: cmo
chief human resources officer: chro
chief people officer: cpo
chief revenue officer: cro
chief information security officer: ciso
chief security officer: cso
chief data officer: cdo
chief commercial officer: cco
communications: comms, communication
consultant: consult, berater, beraterin, consultor
coordinator: coord, coordinater, koordinator, coordinateur
corporate: corp
customer: cust, kunden
data: dta
deputy: dep, dpty
department: dept
designer: dsgnr
developer: dev, entwickler, entwicklerin, desarrollador
development: dvlpmt, devel
director: dir, direktor, direktorin, directeur, directrice, direttore, diretor, directora
district: dist
division: div
engineer: eng, engr, ingenieur, ingeniero, ingegnere, engenheiro, ing
engineering: engg, engrg
environmental: env
executive: exec
facilities: facility
finance: fin, finanzen
financial: fncl
founder: cofounder, grunder, fondateur, fundador, fondatore
general: gen, gral
general manager: gm
head: leiter, leiterin, hd
human resources: hr, rh, rrhh, personal
information: info
information technology: it, edv
international: intl
junior: jr, jnr
logistics: logistik, log
maintenance: maint
management: mgmt, mgt
manager: mgr, mngr, man, manger, gerente, mgr s
managing: mng
managing director: md, geschaftsfuhrer, geschaftsfuhrerin, geschaeftsfuehrer, gf, zaakvoerder, pdg
manufacturing: mfg, mfr
marketing: mktg, mkt, mrktg, mkting
national: natl
north america: na
officer: off, ofcr, ofc
operations: ops, oper, operation
operator: opr
owner: inhaber, inhaberin, proprietor, proprietaire, propietario, titolare, eigenaar, eigentumer
partner: ptnr
president: pres, presidente, prasident
principal: princ, prin
procurement: procmt
product: prod
production: prdn, produktion
professional: prof
programme: prog
program: pgm, prgm
project: proj, projekt, projet, proyecto
public relations: pr
purchasing: purch, einkauf, purchaser, buyer
quality: qual, qualitat
quality assurance: qa
regional: reg
relations: rel
representative: rep, repr, representant
research: rsch, forschung
research development: rd
sales: sls, vertrieb, ventas, vendite, verkauf, ventes, vente
scientist: sci
secretary: sec, secy, sekretarin, sekretar, secretaire, secretaria
security: secur
senior: sr, snr, sen
service: svc, serv, srvc
services: svcs, servs
software: sw, softw
specialist: spec, spclst, spezialist, especialista
strategy: strat
superintendent: supt, super
supervisor: supv, supvr, spvr, superv
support: supp, supt s
system: sys, syst
systems: systs
technical: techn
technician: technicien, techniker, tecnico
technology: tech, technologies
territory: terr
trainee: trn
transportation: transp
treasurer: treas
vice president: vp, vicepresident, vizeprasident
assistant vice president: avp
senior vice president: svp
executive vice president: evp
group vice president: gvp
regional vice president: rvp
worldwide: ww, wwide, global
";

/// Words that carry no meaning of their own in a title.
const FILLERS: &str = "
of the and for a an to in at de des du da do la le el y et und fur von der die und e di del della dei van voor
";

/// Words by rank, the highest first, in the form that [`title_word`] returns.
const RANKS: [(u8, &str); 9] = [
    (9, "chief owner founder president chairman"),
    (8, "vice partner"),
    (7, "director principal"),
    (6, "head"),
    (5, "manager superintendent"),
    (4, "lead supervisor foreman"),
    (3, "senior"),
    (1, "assistant junior secretary clerk"),
    (
        0,
        "intern trainee apprentice student praktikant praktikantin stagiaire azubi",
    ),
];

const HONORIFICS: &str = "
mr mrs ms miss mx mister missus messrs sir madam maam dame lord lady dr drs doctor prof professor rev reverend fr father pastor rabbi imam hon honorable honourable capt captain
maj major col colonel lt lieutenant sgt sergeant gen general cmdr commander adm admiral judge justice ambassador amb sen senator rep congressman pres president
herr frau hr fr frl fraulein dipl ing dipling mag univprof privatdoz monsieur madame mademoiselle m mme mlle mlles me maitre docteur dhr mevr mevrouw mw meneer dhr ir drs jhr jkvr
sr sra srta don dona senor senora senorita ing lic licda arq sig signor signora signorina sigra dott dottssa dottoressa dottore avv avvocato rag geom ingegner
senhor senhora sres eng enga engo hr fru froken herra rouva neiti pan pani pana panie pane slecna mgr inz bay bayan sayin hoca shri smt sri kum kumari sheikh sheik haji hajji datuk dato tan
";

const SUFFIXES: &str = "
jr sr jnr snr junior senior ii iii iv v vi 2nd 3rd 4th esq esquire phd md dds dmd do dvm jd llb llm mba msc bsc ma ba bs ms meng beng mphil dphil pharmd psyd edd rn np pa cpa cfa cfp pe pmp cissp cisa
shrm phr sphr clu chfc crna aprn fnp lcsw pt dpt od dpm dc cma cia aca acca fcca fca obe mbe cbe kbe frcs mrcs mrics frics qc kc facs facp faan usn usaf usmc usa ret retired
filho neto junior neta sobrinho fils pere hijo ing mgr csc drsc dipl habil emeritus em
";

const PARTICLES: &str = "
van von vom zu zum zur de der den des del della delle dello degli dei di da das dos do du d la le les lo li los las el al ul ibn bin binti bint ben bar abu abd mc mac o st saint san santa santo
ter ten te op aan het t in y e und i af av til zer zur dal dalla dallo
";

static TITLE: LazyLock<Spellings> = LazyLock::new(|| spellings(WORDS));
static FILLER: LazyLock<HashSet<&'static str>> = LazyLock::new(|| words(FILLERS));
static HONORIFIC: LazyLock<HashSet<&'static str>> = LazyLock::new(|| words(HONORIFICS));
static SUFFIX: LazyLock<HashSet<&'static str>> = LazyLock::new(|| words(SUFFIXES));
static PARTICLE: LazyLock<HashSet<&'static str>> = LazyLock::new(|| words(PARTICLES));
static RANK: LazyLock<HashMap<&'static str, u8>> = LazyLock::new(|| {
    let ranked = |(rank, words): &(u8, &'static str)| {
        let rank = *rank;
        words
            .split(' ')
            .map(move |word| (word, rank))
            .collect::<Vec<_>>()
    };
    RANKS.iter().flat_map(ranked).collect()
});

/// The standard form of a folded token of a job title, in one word or several with spaces between (`vp` for
/// `vice president`); `None` if the token is a standard form itself.
#[must_use]
pub fn title_word(token: &str) -> Option<&'static str> {
    TITLE.get(token).copied()
}

/// True if a folded token of a job title carries no meaning: "of", "the".
#[must_use]
pub fn is_title_filler(token: &str) -> bool {
    FILLER.contains(token)
}

/// The rank of a title, from 0 (intern) to 9 (chief), by its highest word; 2 if no word has a rank. Tokens
/// are as [`title_word`] returns them. A vice president is 8, an assistant of anyone 1.
#[must_use]
pub fn seniority(tokens: &[impl AsRef<str>]) -> u8 {
    let ranks = || {
        tokens
            .iter()
            .filter_map(|token| RANK.get(token.as_ref()).copied())
    };
    let first = ranks().next();
    if matches!(first, Some(0 | 1)) && !tokens.iter().any(|token| token.as_ref() == "vice") {
        return first.unwrap_or(2);
    }
    if tokens.iter().any(|token| token.as_ref() == "vice") {
        return 8;
    }
    ranks().max().unwrap_or(2)
}

/// True if a folded token before a name is a form of address or an academic degree.
///
/// `sr` is one (señor), and a name suffix too: its position decides.
#[must_use]
pub fn is_honorific(token: &str) -> bool {
    HONORIFIC.contains(token)
}

/// True if a folded token after a name is a generation, a degree or an award.
#[must_use]
pub fn is_name_suffix(token: &str) -> bool {
    SUFFIX.contains(token)
}

/// True if a folded token is a particle that belongs to the surname after it: `van`, `de`, `al`.
#[must_use]
pub fn is_particle(token: &str) -> bool {
    PARTICLE.contains(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::{check, is_folded};

    #[test]
    fn tables_are_folded_and_say_one_thing() {
        check(WORDS);
        let sets = [&HONORIFIC, &SUFFIX, &PARTICLE, &FILLER];
        for token in sets.iter().flat_map(|set| set.iter()).chain(RANK.keys()) {
            assert!(is_folded(token), "{token}");
        }
        for (from, to) in TITLE.iter() {
            for token in to.split(' ') {
                let again = title_word(token);
                assert!(
                    again.is_none_or(|again| again == token),
                    "{from} leads to {token}"
                );
            }
        }
    }

    #[test]
    fn title_words() {
        assert_eq!(title_word("vp"), Some("vice president"));
        assert_eq!(title_word("mgr"), Some("manager"));
        assert_eq!(title_word("manager"), Some("manager"));
        assert_eq!(title_word("ceo"), Some("chief executive officer"));
        assert_eq!(title_word("it"), Some("information technology"));
        assert_eq!(title_word("xyzzy"), None);
        assert!(is_title_filler("of") && !is_title_filler("sales"));
    }

    #[test]
    fn ranks_of_titles() {
        assert_eq!(seniority(&["chief", "executive", "officer"]), 9);
        assert_eq!(seniority(&["vice", "president"]), 8);
        assert_eq!(seniority(&["senior", "vice", "president"]), 8);
        assert_eq!(seniority(&["assistant", "director"]), 1);
        assert_eq!(seniority(&["sales", "manager"]), 5);
        assert_eq!(seniority(&["plumber"]), 2);
        assert_eq!(seniority(&[""; 0]), 2);
    }

    #[test]
    fn what_surrounds_a_name() {
        assert!(is_honorific("dr") && is_honorific("frau") && !is_honorific("anna"));
        assert!(is_name_suffix("jr") && is_name_suffix("phd") && !is_name_suffix("smith"));
        assert!(is_particle("van") && is_particle("mc") && !is_particle("smith"));
    }
}
