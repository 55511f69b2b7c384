//! Placeholder words that people and programs put into a field that needs a value. They name no company, and
//! two people who wrote the same one have nothing in common.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::fold;

/// The meaning of a placeholder text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopGap {
    /// There is no value: `n/a`, `none`, `[object Object]`.
    Nothing,
    /// There is no company: `self-employed`, `student`, `privat`.
    NoCompany,
}

/// Texts without meaning.
const NOTHING: &[&str] = &[
    // Programs.
    "object object",
    "object null",
    "object undefined",
    "undefined",
    "null",
    "nan",
    "nil",
    "none",
    "xx",
    "xxx",
    "no company",
    "not provided",
    "not available",
    "not applicable",
    "not specified",
    "not given",
    "unknown",
    "unspecified",
    "no",
    "na",
    "n a",
    "nope",
    "nothing",
    "no name",
    "tbd",
    "tba",
    "empty",
    "blank",
    "anonymous",
    "private person",
    // German, Dutch, Nordic.
    "keine",
    "kein",
    "keine angabe",
    "keine angaben",
    "k a",
    "ka",
    "keine firma",
    "ohne",
    "ohne firma",
    "nichts",
    "nicht vorhanden",
    "entfallt",
    "unbekannt",
    "geen",
    "geen bedrijf",
    "nvt",
    "n v t",
    "niet van toepassing",
    "onbekend",
    "ingen",
    "inget",
    "inga",
    "saknas",
    "ikke relevant",
    "intet",
    "ukendt",
    "ukjent",
    "okand",
    "ei ole",
    "ei mitaan",
    "ei yritysta",
    // French, Italian, Spanish, Portuguese, Romanian.
    "aucun",
    "aucune",
    "aucune entreprise",
    "neant",
    "rien",
    "sans",
    "sans objet",
    "inconnu",
    "inconnue",
    "non renseigne",
    "nessuno",
    "nessuna",
    "nessuna azienda",
    "nulla",
    "non disponibile",
    "sconosciuto",
    "niente",
    "ninguno",
    "ninguna",
    "ninguna empresa",
    "nada",
    "no aplica",
    "no tengo",
    "sin empresa",
    "desconocido",
    "nenhum",
    "nenhuma",
    "nenhuma empresa",
    "nao se aplica",
    "nao tenho",
    "sem empresa",
    "desconhecido",
    "niciuna",
    "nimic",
    // Polish, Czech, Slovak, Hungarian, Turkish, Russian, Ukrainian.
    "brak",
    "brak firmy",
    "nie dotyczy",
    "nieznany",
    "zadna",
    "zadny",
    "zadne",
    "bez firmy",
    "neuvedeno",
    "neuvedene",
    "nincs",
    "yok",
    "bilinmiyor",
    "нет",
    "нету",
    "неизвестно",
    "отсутствует",
    "немає",
    "нема",
    "невідомо",
    // Chinese, Japanese, Korean, Arabic, Hebrew.
    "无",
    "無",
    "没有",
    "沒有",
    "暂无",
    "なし",
    "無し",
    "ない",
    "없음",
    "لا يوجد",
    "لا شيء",
    "אין",
    "ללא",
];

/// Texts that mean that a person has no company.
const NO_COMPANY: &[&str] = &[
    "test",
    "test test",
    "testing",
    "asdf",
    "asdfgh",
    "qwerty",
    "qwertz",
    "dummy",
    "self",
    "self employed",
    "selfemployed",
    "self employment",
    "freelance",
    "freelancer",
    "freelancing",
    "independent",
    "independent contractor",
    "independent consultant",
    "contractor",
    "sole trader",
    "sole proprietor",
    "sole proprietorship",
    "private",
    "private individual",
    "individual",
    "personal",
    "myself",
    "me",
    "home",
    "student",
    "students",
    "retired",
    "retiree",
    "pensioner",
    "unemployed",
    "not employed",
    "not working",
    "between jobs",
    "job seeker",
    "jobseeker",
    "looking for work",
    "looking for a job",
    "seeking opportunities",
    "housewife",
    "homemaker",
    "stay at home",
    "stay at home mom",
    // German, Dutch, Nordic.
    "selbstandig",
    "selbststandig",
    "selbstandiger",
    "selbststandiger",
    "freiberufler",
    "freiberuflerin",
    "freiberuflich",
    "freier mitarbeiter",
    "einzelunternehmer",
    "privat",
    "privatperson",
    "privatkunde",
    "rentner",
    "rentnerin",
    "pensionar",
    "in rente",
    "im ruhestand",
    "ruhestand",
    "studentin",
    "studierender",
    "studierende",
    "schuler",
    "schulerin",
    "arbeitslos",
    "arbeitssuchend",
    "arbeitsuchend",
    "hausfrau",
    "hausmann",
    "zelfstandig",
    "zelfstandige",
    "zzp",
    "zzper",
    "zzp er",
    "particulier",
    "gepensioneerd",
    "werkloos",
    "egenforetagare",
    "eget foretag",
    "egen foretagare",
    "enskild firma",
    "frilans",
    "frilansare",
    "studerande",
    "pensionerad",
    "arbetslos",
    "selvstaendig",
    "selvstendig",
    "selvstendig naeringsdrivende",
    "privatperson",
    "pensionist",
    "arbejdslos",
    "arbeidsledig",
    "studerende",
    "yrittaja",
    "yksityinen",
    "yksityishenkilo",
    "opiskelija",
    "elakelainen",
    "tyoton",
    // French, Italian, Spanish, Portuguese, Romanian.
    "independant",
    "independante",
    "travailleur independant",
    "auto entrepreneur",
    "autoentrepreneur",
    "micro entrepreneur",
    "a mon compte",
    "profession liberale",
    "particuliere",
    "prive",
    "personnel",
    "etudiant",
    "etudiante",
    "retraite",
    "retraitee",
    "sans emploi",
    "chomage",
    "demandeur d emploi",
    "demandeur demploi",
    "libero professionista",
    "libera professionista",
    "lavoratore autonomo",
    "autonomo",
    "autonoma",
    "partita iva",
    "privato",
    "privata",
    "studente",
    "studentessa",
    "pensionato",
    "pensionata",
    "in pensione",
    "disoccupato",
    "disoccupata",
    "casalinga",
    "trabajador autonomo",
    "por cuenta propia",
    "cuenta propia",
    "independiente",
    "particular",
    "estudiante",
    "jubilado",
    "jubilada",
    "desempleado",
    "desempleada",
    "en paro",
    "ama de casa",
    "conta propria",
    "por conta propria",
    "profissional liberal",
    "pessoa fisica",
    "estudante",
    "aposentado",
    "aposentada",
    "reformado",
    "reformada",
    "desempregado",
    "desempregada",
    "persoana fizica",
    "liber profesionist",
    "somer",
    "pensionar",
    "particular",
    // Polish, Czech, Slovak, Hungarian, Turkish, Russian, Ukrainian.
    "samozatrudniony",
    "samozatrudniona",
    "wlasna dzialalnosc",
    "dzialalnosc gospodarcza",
    "jednoosobowa dzialalnosc gospodarcza",
    "osoba prywatna",
    "prywatnie",
    "prywatny",
    "emeryt",
    "emerytka",
    "bezrobotny",
    "bezrobotna",
    "osvc",
    "szco",
    "zivnostnik",
    "soukroma osoba",
    "sukromna osoba",
    "duchodce",
    "dochodca",
    "nezamestnany",
    "egyeni vallalkozo",
    "maganszemely",
    "nyugdijas",
    "munkanelkuli",
    "diak",
    "hallgato",
    "serbest",
    "serbest meslek",
    "serbest calisan",
    "ogrenci",
    "emekli",
    "issiz",
    "bireysel",
    "sahis",
    "самозанятый",
    "самозанятая",
    "фриланс",
    "фрилансер",
    "частное лицо",
    "физлицо",
    "физическое лицо",
    "студент",
    "студентка",
    "пенсионер",
    "пенсионерка",
    "безработный",
    "безработная",
    "фоп",
    "самозайнятий",
    "приватна особа",
    // Chinese, Japanese, Korean, Arabic, Hebrew.
    "个人",
    "個人",
    "自由职业",
    "自由職業",
    "自由职业者",
    "学生",
    "學生",
    "退休",
    "待业",
    "个体",
    "个体户",
    "個人事業主",
    "自営業",
    "フリーランス",
    "無職",
    "개인",
    "프리랜서",
    "자영업",
    "학생",
    "무직",
    "عمل حر",
    "طالب",
    "متقاعد",
    "עצמאי",
    "סטודנט",
    "פנסיונר",
];

/// The lists in the form that names are compared in.
static WORDS: LazyLock<HashMap<String, StopGap>> = LazyLock::new(|| {
    let of = |list: &'static [&'static str], what| list.iter().map(move |text| (fold(text), what));
    of(NO_COMPANY, StopGap::NoCompany)
        .chain(of(NOTHING, StopGap::Nothing))
        .collect()
});

/// The meaning of a placeholder in place of a company's name; `None` for a real name.
#[must_use]
pub fn of_company(text: &str) -> Option<StopGap> {
    let folded = fold(text);
    // "-", "...", "0", "000", "1"
    let fills =
        |c: char| c.is_whitespace() || c.is_numeric() || "-–—_.·…,;:?!*/\\|'\"()+=~".contains(c);
    if text.chars().all(fills) && folded.trim_matches([' ', '0']).len() < 2 {
        return Some(StopGap::Nothing);
    }
    // One letter again and again. Names of three equal letters exist.
    let mut letters = folded.chars();
    let first = letters.next();
    if folded.chars().count() > 3 && letters.all(|letter| Some(letter) == first) {
        return Some(StopGap::Nothing);
    }
    WORDS.get(&folded).copied()
}

/// True for text that programs write in place of a lost value; no person types it.
#[must_use]
pub fn is_lost(text: &str) -> bool {
    let text = text.trim();
    text.starts_with("[object ") && text.ends_with(']') && !text.contains('\n')
        || matches!(
            text,
            "undefined"
                | "NaN"
                | "#N/A"
                | "#REF!"
                | "#VALUE!"
                | "#NAME?"
                | "#NULL!"
                | "#DIV/0!"
                | "#NUM!"
        )
}

#[cfg(test)]
mod tests {
    use super::{StopGap, is_lost, of_company};

    #[test]
    fn words_that_fill_a_field_name_no_company() {
        for text in [
            "none",
            "N/A",
            "n.a.",
            "null",
            "0",
            "-",
            "—",
            "...",
            "[object Object]",
            "k. A.",
            "Néant",
            "xxx",
            "aaaa",
            "нет",
            "なし",
        ] {
            assert_eq!(of_company(text), Some(StopGap::Nothing), "{text}");
        }
        for text in [
            "Self-employed",
            "self employed",
            "Student",
            "privat",
            "Selbständig",
            "Freelance",
            "Étudiant",
            "autónomo",
            "ZZP'er",
            "個人",
            "Retired",
            "безработный",
            "프리랜서",
        ] {
            assert_eq!(of_company(text), Some(StopGap::NoCompany), "{text}");
        }
        for text in [
            "Acme",
            "3M",
            "7-Eleven",
            "A1",
            "Student Agency",
            "Nil Desperandum Ltd",
            "Privat Bank AG",
            "1&1",
            "N26",
            "42",
            "X",
            "ÖBB",
            "AAA",
        ] {
            assert_eq!(of_company(text), None, "{text}");
        }
    }

    #[test]
    fn what_programs_write_for_a_lost_value_is_known() {
        for text in ["[object Object]", "undefined", " NaN ", "#N/A"] {
            assert!(is_lost(text), "{text}");
        }
        for text in ["Nan", "Null", "none", "[object]", "Undefined Ltd"] {
            assert!(!is_lost(text), "{text}");
        }
    }
}
