//! States, provinces and regions by name and code.
//!
//! Names and codes of ISO 3166-2, with the usual English and local spellings, folded.

use rustc_hash::FxHashMap as HashMap;
use std::sync::LazyLock;

use super::lines;

/// `COUNTRY` lines start a country; the others are `CODE: names`. The code itself is a spelling.
const TEXT: &str = "
= US
AL: alabama, ala
AK: alaska
AZ: arizona, ariz
AR: arkansas, ark
CA: california, calif, cal
CO: colorado, colo
CT: connecticut, conn
DE: delaware, del
DC: district of columbia, washington dc, washington d c, d c
FL: florida, fla
GA: georgia
HI: hawaii
ID: idaho
IL: illinois, ill
IN: indiana, ind
IA: iowa
KS: kansas, kans, kan
KY: kentucky
LA: louisiana
ME: maine
MD: maryland
MA: massachusetts, mass
MI: michigan, mich
MN: minnesota, minn
MS: mississippi, miss
MO: missouri
MT: montana, mont
NE: nebraska, nebr, neb
NV: nevada, nev
NH: new hampshire, n h
NJ: new jersey, n j
NM: new mexico, n m
NY: new york, n y, new york state
NC: north carolina, n c, n carolina
ND: north dakota, n d, n dakota
OH: ohio
OK: oklahoma, okla
OR: oregon, ore
PA: pennsylvania, penn, penna
RI: rhode island, r i
SC: south carolina, s c, s carolina
SD: south dakota, s d, s dakota
TN: tennessee, tenn
TX: texas, tex
UT: utah
VT: vermont
VA: virginia
WA: washington, wash, washington state
WV: west virginia, w va, w virginia
WI: wisconsin, wis, wisc
WY: wyoming, wyo
AS: american samoa
GU: guam
MP: northern mariana islands
PR: puerto rico, p r
VI: virgin islands, us virgin islands, u s virgin islands
FM: micronesia, federated states of micronesia
MH: marshall islands
PW: palau
AA: armed forces americas
AE: armed forces europe
AP: armed forces pacific
= CA
AB: alberta, alta
BC: british columbia, b c, colombie britannique
MB: manitoba, man
NB: new brunswick, n b, nouveau brunswick
NL: newfoundland, newfoundland and labrador, newfoundland labrador, nfld, nf
NS: nova scotia, n s, nouvelle ecosse
NT: northwest territories, nwt
NU: nunavut
ON: ontario, ont
PE: prince edward island, pei, p e i
QC: quebec, que, pq
SK: saskatchewan, sask
YT: yukon, yukon territory
= AU
ACT: australian capital territory, a c t
NSW: new south wales, n s w
NT: northern territory, n t
QLD: queensland
SA: south australia
TAS: tasmania
VIC: victoria
WA: western australia
= BR
AC: acre
AL: alagoas
AP: amapa
AM: amazonas
BA: bahia
CE: ceara
DF: distrito federal
ES: espirito santo
GO: goias
MA: maranhao
MT: mato grosso
MS: mato grosso do sul
MG: minas gerais
PA: para
PB: paraiba
PR: parana
PE: pernambuco
PI: piaui
RJ: rio de janeiro
RN: rio grande do norte
RS: rio grande do sul
RO: rondonia
RR: roraima
SC: santa catarina
SP: sao paulo
SE: sergipe
TO: tocantins
= MX
AGU: aguascalientes, ags
BCN: baja california, bc
BCS: baja california sur
CAM: campeche, camp
CHP: chiapas, chis
CHH: chihuahua, chih
CMX: ciudad de mexico, cdmx, distrito federal, df, mexico city
COA: coahuila, coahuila de zaragoza, coah
COL: colima
DUR: durango, dgo
GUA: guanajuato, gto
GRO: guerrero
HID: hidalgo, hgo
JAL: jalisco
MEX: estado de mexico, edo de mexico, edomex, mexico
MIC: michoacan, michoacan de ocampo, mich
MOR: morelos
NAY: nayarit
NLE: nuevo leon, nl
OAX: oaxaca
PUE: puebla
QUE: queretaro, qro
ROO: quintana roo, qroo
SLP: san luis potosi
SIN: sinaloa
SON: sonora
TAB: tabasco
TAM: tamaulipas, tamps
TLA: tlaxcala, tlax
VER: veracruz, veracruz de ignacio de la llave
YUC: yucatan
ZAC: zacatecas
= IN
AN: andaman and nicobar islands, andaman and nicobar
AP: andhra pradesh
AR: arunachal pradesh
AS: assam
BR: bihar
CH: chandigarh
CT: chhattisgarh, chattisgarh, cg
DH: dadra and nagar haveli and daman and diu, daman and diu, dadra and nagar haveli
DL: delhi, new delhi, nct of delhi
GA: goa
GJ: gujarat
HR: haryana
HP: himachal pradesh
JK: jammu and kashmir, jammu kashmir
JH: jharkhand
KA: karnataka
KL: kerala
LA: ladakh
LD: lakshadweep
MP: madhya pradesh
MH: maharashtra
MN: manipur
ML: meghalaya
MZ: mizoram
NL: nagaland
OR: odisha, orissa, od
PY: puducherry, pondicherry
PB: punjab
RJ: rajasthan
SK: sikkim
TN: tamil nadu, tamilnadu
TG: telangana, ts
TR: tripura
UP: uttar pradesh
UT: uttarakhand, uttaranchal, uk
WB: west bengal
= DE
BW: baden wurttemberg, baden wuerttemberg, bade wurtemberg
BY: bayern, bavaria
BE: berlin
BB: brandenburg
HB: bremen
HH: hamburg
HE: hessen, hesse
MV: mecklenburg vorpommern, mecklenburg western pomerania
NI: niedersachsen, lower saxony
NW: nordrhein westfalen, north rhine westphalia, nrw
RP: rheinland pfalz, rhineland palatinate, rlp
SL: saarland
SN: sachsen, saxony
ST: sachsen anhalt, saxony anhalt
SH: schleswig holstein
TH: thuringen, thuringia, thueringen
= IT
65: abruzzo
77: basilicata
78: calabria
72: campania
45: emilia romagna
36: friuli venezia giulia, friuli
62: lazio, latium
42: liguria
25: lombardia, lombardy
57: marche
67: molise
21: piemonte, piedmont
75: puglia, apulia
88: sardegna, sardinia
82: sicilia, sicily
52: toscana, tuscany
32: trentino alto adige, trentino sudtirol, sudtirol, south tyrol
55: umbria
23: valle d aosta, aosta valley, vallee d aoste, valle daosta, vallee daoste
34: veneto
= ES
AN: andalucia, andalusia
AR: aragon
AS: asturias, principado de asturias
CN: canarias, canary islands, islas canarias
CB: cantabria
CL: castilla y leon, castile and leon
CM: castilla la mancha, castile la mancha
CT: cataluna, catalunya, catalonia
CE: ceuta
EX: extremadura
GA: galicia
IB: illes balears, islas baleares, balearic islands, baleares
RI: la rioja, rioja
MD: madrid, comunidad de madrid
ML: melilla
MC: murcia, region de murcia
NC: navarra, comunidad foral de navarra, navarre
PV: pais vasco, euskadi, basque country
VC: comunidad valenciana, comunitat valenciana, valencia, valencian community
";

/// The order of countries in which a name of several countries is looked up if no country is known.
const ORDER: [&str; 9] = ["US", "CA", "AU", "BR", "MX", "IN", "DE", "IT", "ES"];
/// Number of countries whose codes are understood without a country: the others' codes are too short to be
/// clear.
const CODES_ALONE: usize = 3;

struct Tables {
    by_country: HashMap<&'static str, HashMap<&'static str, &'static str>>,
    anywhere: HashMap<&'static str, &'static str>,
    /// Codes in lower case, as they appear in folded text. Used like [`anywhere`](Self::anywhere).
    codes: HashMap<&'static str, Vec<&'static str>>,
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let mut tables = Tables {
        by_country: HashMap::default(),
        anywhere: HashMap::default(),
        codes: HashMap::default(),
    };
    let mut country = "";
    for line in lines(TEXT) {
        if let Some(code) = line.strip_prefix("= ") {
            country = code;
            continue;
        }
        let (code, names) = line.split_once(':').unwrap_or((line, ""));
        tables.codes.entry(country).or_default().push(code);
        for name in names.split(',').map(str::trim) {
            tables
                .by_country
                .entry(country)
                .or_default()
                .insert(name, code);
        }
    }
    for country in ORDER {
        for (name, code) in tables.by_country.get(country).into_iter().flatten() {
            // "bc", "nl" or "mich" alone does not mean Mexico.
            if name.len() > 4 || matches!(country, "US" | "CA" | "AU") {
                tables.anywhere.entry(name).or_insert(code);
            }
        }
    }
    tables
});

fn code_in(country: &str, folded: &str) -> Option<&'static str> {
    let codes = TABLES.codes.get(country)?;
    codes
        .iter()
        .copied()
        .find(|code| code.eq_ignore_ascii_case(folded))
}

/// The ISO 3166-2 code (without the country) of a folded name or code of a state.
///
/// `country` is the ISO 3166-1 code in upper case: of the United States, Canada, Australia, Brazil,
/// Mexico, India, Germany, Italy (regions) and Spain (communities) the states are known. Without a
/// country, names are looked up in that order, and codes of the first three.
#[must_use]
pub fn state(country: Option<&str>, folded: &str) -> Option<&'static str> {
    if let Some(country) = country {
        let name = TABLES
            .by_country
            .get(country)
            .and_then(|names| names.get(folded))
            .copied();
        return name.or_else(|| code_in(country, folded));
    }
    let codes = ORDER
        .iter()
        .take(CODES_ALONE)
        .find_map(|country| code_in(country, folded));
    codes.or_else(|| TABLES.anywhere.get(folded).copied())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::tables::is_folded;

    #[test]
    fn every_country_has_distinct_folded_names() {
        for country in ORDER {
            let codes = TABLES.codes.get(country).unwrap();
            assert_eq!(
                codes.iter().collect::<HashSet<_>>().len(),
                codes.len(),
                "{country}"
            );
            let names = TABLES.by_country.get(country).unwrap();
            for (name, code) in names {
                assert!(is_folded(name), "{country} {name}");
                assert!(codes.contains(code));
                let other = code_in(country, name);
                assert!(other.is_none_or(|other| other == *code), "{country} {name}");
            }
        }
        let lines = TEXT
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(_, names)| names);
        let written = lines.flat_map(|names| names.split(',')).count();
        assert_eq!(
            written,
            TABLES.by_country.values().map(HashMap::len).sum::<usize>()
        );
    }

    #[test]
    fn names_and_codes_in_their_country() {
        assert_eq!(state(Some("US"), "california"), Some("CA"));
        assert_eq!(state(Some("US"), "ca"), Some("CA"));
        assert_eq!(state(Some("AU"), "new south wales"), Some("NSW"));
        assert_eq!(state(Some("AU"), "wa"), Some("WA"));
        assert_eq!(state(Some("DE"), "bavaria"), Some("BY"));
        assert_eq!(state(Some("IT"), "lombardia"), Some("25"));
        assert_eq!(state(Some("GB"), "ca"), None);
        assert_eq!(state(Some("US"), "ontario"), None);
    }

    #[test]
    fn without_a_country_the_first_that_has_it() {
        assert_eq!(state(None, "wa"), Some("WA"));
        assert_eq!(state(None, "nsw"), Some("NSW"));
        assert_eq!(state(None, "on"), Some("ON"));
        assert_eq!(state(None, "nt"), Some("NT"));
        assert_eq!(state(None, "sao paulo"), Some("SP"));
        assert_eq!(state(None, "bayern"), Some("BY"));
        assert_eq!(state(None, "by"), None);
        assert_eq!(state(None, "25"), None);
        assert_eq!(state(None, "nowhere"), None);
    }
}
