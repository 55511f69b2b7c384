//! Words of addresses: street types, directions, units, ordinals, words in city names.
//!
//! Street types and directions are those of USPS Publication 28 (appendices C1 and C2, public domain), with
//! Australia's and Canada's usual ones. Those of other languages were written for this project; `libpostal`'s
//! dictionaries (MIT) have more. The short form is the standard form.

use rustc_hash::FxHashSet as HashSet;
use std::sync::LazyLock;

use super::{Spellings, spellings, words};

/// `short form: other spellings`.
const STREET_WORDS: &str = "
aly: alley, allee, ally
anx: annex, anex, annx
arc: arcade
ave: avenue, av, aven, avenu, avn, avnue, avda, avenida, avd, avinguda, avgda
byu: bayou, bayoo
bch: beach
bnd: bend
blf: bluff, bluf, bluffs, blfs
btm: bottom, bot, bottm
blvd: boulevard, boul, boulv, bvd, blv, bd, bld, bulevar, bulvari, bulevardul, bul, bulvar
br: branch, brnch
brg: bridge, brdge
brk: brook, brooks, brks
byp: bypass, bypa, bypas, byps
cp: camp, cmp
cyn: canyon, canyn, cnyn
cpe: cape
cswy: causeway, causwa
ctr: center, centre, cen, cent, centr, cntr, cnter
chase: chse
cir: circle, circ, circl, crcl, crcle
cct: circuit, circt, cirt
clf: cliff, cliffs, clfs
cl: close, clos
clb: club
cmn: common, commons, cmns
cnr: corner, cor, corners, cors
crse: course
ct: court, crt, courts, cts, cort
cv: cove, coves, cvs
crk: creek
cres: crescent, crsent, crsnt, cresc, cr, crst
xing: crossing, crssng
xrd: crossroad, crossroads, xrds
curv: curve
dl: dale
dm: dam
dv: divide, div, dvd
dr: drive, driv, drv, dve, drives, drs, drwy, driveway
elb: elbow
esp: esplanade
est: estate, estates, ests
expy: expressway, exp, expr, express, expw
ext: extension, extn, extnsn, exts
fls: falls, fall
fry: ferry, frry
fld: field, fields, flds
flt: flat, flats, flts
frd: ford, fords
frst: forest, forests
frg: forge, forg
frk: fork, forks, frks
fwy: freeway, freewy, frway, frwy
gdn: garden, gardens, gdns, gardn, grden, grdn
gtwy: gateway, gatewy, gatway, gtway
gld: glade
gln: glen, glens
gr: green, grn, greens, grns
grv: grove, grov, groves, gro
hbr: harbor, harbour, harb, harbr, hrbor
hvn: haven, havn
hts: heights, ht
hwy: highway, highwy, hiway, hiwy, hway, hgwy
hl: hill, hills, hls
holw: hollow, hllw, hollows, holws
inlt: inlet
is: island, islnd, islands, iss, islnds, isle, isles
jct: junction, jction, jctn, junctn, juncton, jnc
ky: key, keys, kys
knl: knoll, knol, knolls
lk: lake, lakes, lks
lndg: landing, lndng
ln: lane, lanes
lgt: light, lights
lck: lock, locks
ldg: lodge, ldge, lodg
lp: loop, loops
mall
mnr: manor, manors
mdw: meadow, meadows, mdws, medows
mews: mew
ml: mill, mills, mls
msn: mission, missn, mssn
mtwy: motorway
mt: mount, mnt
mtn: mountain, mntain, mntn, mountin, mountains, mtns
nck: neck
orch: orchard, orchrd
oval: ovl
opas: overpass
pde: parade, prde
park: parks, prk, pk
pkwy: parkway, parkwy, pkway, pky, pkwys, parkways
pass: passage, psge
path: paths
pike: pikes
pne: pine, pines, pnes
pl: place, plac, plce
pln: plain, plains, plns
plz: plaza, plza, pza
pt: point, points, pts
prom: promenade, promenada
prt: port, ports
pr: prairie, prr
qy: quay, kai, quai, quays
radl: radial, rad, radiel
rnch: ranch, ranches, rnchs
rpd: rapid, rapids
rst: rest
rtt: retreat
rdg: ridge, rdge, ridges, rdgs
riv: river, rvr, rivr
rd: road, roads, rds
rte: route, rt
row: rows
rs: rise
run: runs
shl: shoal, shoals
shr: shore, shoar, shores, shrs
skwy: skyway
spg: spring, springs, spgs, sprng, sprngs, spng
sq: square, sqr, sqre, squ, squares, sqrs
sta: station, statn, stn
stra: stravenue
strm: stream, streme
st: street, str, strt, streets, sts, stret
smt: summit, sumit, sumitt
ter: terrace, terr, tce, trce
trk: track, tracks, trak
trl: trail, trails, trls
trlr: trailer
tunl: tunnel, tunel
tpke: turnpike, trnpk, turnpk, tpk
un: union
upas: underpass
vly: valley, vally, vlly, valleys
via: viaduct, vdct
vw: view, views, vws
vlg: village, vill, villag, villg, villages
vl: ville
vis: vista, vist, vst, vsta
wk: walk, walks
way: wy, ways
wl: well, wells, wls
whf: wharf
yd: yard
# Directions
n: north, no, nord, norte, noord
s: south, so, sud, sur, zuid
e: east, ost, oost, este
w: west, oeste, ouest, ovest
ne: northeast, nordost, noreste
nw: northwest, nordwest, noroeste
se: southeast, sudost, sureste
sw: southwest, sudwest, suroeste
# German, Dutch, Scandinavian
strasse: strasze, strassen
platz: plaetze
gasse: gas, gasz
weg: wg
ufer: uf
damm
ring: rg
hof: hoefe
chaussee: chau
steig: stg
straat
laan
plein
gracht
kade: kd
singel: sngl
dreef
steenweg: stwg, stw
gata: gatan, gt, gaten, gade, gatu
vag: vagen, vej, vei, veien, vegen, veg
plads: plass, plats, platsen, plassen
torg: torget, torvet, torv
katu: tie
# French
r: rue
all: allees
chem: chemin, che
imp: impasse
fbg: faubourg, fg
crs: cours
ruelle: rlle
sent: sentier
res: residence
lot: lotissement
rpt: rondpoint
za: zac
# Spanish, Portuguese, Italian, Catalan
c: calle, cll, carrer
cra: carrera, kra, kr
ctra: carretera, carr
cjon: callejon
pso: paseo, passeig, pg
placa: praca, pca, plca
rda: ronda
trav: travesia, travessia, travessera
urb: urbanizacion
pol: poligono
cno: camino, cam
rua
tv: travessa
rod: rodovia
estr: estrada
alam: alameda, al
lgo: largo
viale: vle
piazza: pzza
pzle: piazzale
corso: cso
vic: vicolo
strada
lungo
loc: localita
# Polish, Czech, Hungarian, Romanian, Turkish, Russian
ul: ulica, ulice, ulitsa, ulitza, vulytsia, uliczka
aleja: aleje
os: osiedle
nam: namesti, namestie
tr: trida
utca: u, utcai
ut: utja
tere
cad: caddesi, cd, cadde
sok: sokak, sk, sokagi
mah: mahallesi, mh, mahalle
prosp: prospekt, prospect
per: pereulok
jalan: jln, jl
odos: od
";

/// Words that start a part of a building, and words for boxes. Words that street names start with as often
/// are left out: "upper", "tower", "house".
const UNIT_WORDS: &str = "
apartment apt apmt apmnt suite ste suit unit unt floor fl flr flat level lvl lv room rm rms building bldg bld blg block blk twr
office ofc off dept department door lot spc spce slip hangar hngr hanger trailer trlr penthouse ph lobby lbby basement bsmt
shop store stall kiosk mezzanine mezz gf box po pob pobox bin drawer
maildrop ms mailstop mailbox pmb cmr psc rr gpo sec townhouse twnhse
postfach postbus boite bp cedex bat batiment etage esc escalier appartement appt apartado apdo piso puerta pta
escalera interno piano palazzina wohnung whg og eg etg etage stiege hinterhaus vorderhaus verdieping verd
lejlighed lgh vaning trappa caixa postal cp andar andares conjunto conj bloco apto casella kat daire mieszk lok
lokal emelet ajto ap bl scara kv kvartira ofis korpus korp
";

const ORDINALS: &[(&str, u32)] = &[
    ("eighteenth", 18),
    ("eighth", 8),
    ("eightieth", 80),
    ("eleventh", 11),
    ("fifteenth", 15),
    ("fifth", 5),
    ("fiftieth", 50),
    ("first", 1),
    ("fortieth", 40),
    ("fourteenth", 14),
    ("fourth", 4),
    ("hundredth", 100),
    ("nineteenth", 19),
    ("ninetieth", 90),
    ("ninth", 9),
    ("second", 2),
    ("seventeenth", 17),
    ("seventh", 7),
    ("seventieth", 70),
    ("sixteenth", 16),
    ("sixth", 6),
    ("sixtieth", 60),
    ("tenth", 10),
    ("third", 3),
    ("thirteenth", 13),
    ("thirtieth", 30),
    ("twelfth", 12),
    ("twentieth", 20),
];

/// `one spelling: others`, for words in names of cities.
const CITY_WORDS: &str = "
st: saint, ste, sainte, sankt, sint, snt
mt: mount, mte
mtn: mountain
ft: fort
pt: port, prt
n: north, nth
s: south, sth
e: east
w: west
hts: heights
spgs: springs, spg
twp: township
vlg: village
is: island
bch: beach
ctr: center, centre
jct: junction
gdns: gardens
hbr: harbor, harbour
pk: park
";

/// `one name: others`, for whole city names: short forms and the names in other languages.
const CITIES: &str = "
new york: new york city, nyc, ny, n y c, manhattan, new york ny
los angeles: la, l a
san francisco: sf, san fran, frisco
washington: washington dc, washington d c, wash dc, dc
philadelphia: phila, philly
las vegas: vegas
saint louis: st louis
saint paul: st paul
saint petersburg: st petersburg, sankt peterburg
salt lake city: slc
oklahoma city: okc
minneapolis: mpls
fort worth: ft worth
munich: munchen, muenchen
cologne: koln, koeln
nuremberg: nurnberg, nuernberg
hanover: hannover
dusseldorf: duesseldorf
frankfurt: frankfurt am main, frankfurt main, frankfurt a m, frankfurt a main, ffm
zurich: zuerich
geneva: geneve, genf
basel: basle, bale
bern: berne
lucerne: luzern
vienna: wien
salzburg: szbg
brussels: bruxelles, brussel, brussels capital
antwerp: antwerpen, anvers
ghent: gent, gand
bruges: brugge
liege: luik, luttich
the hague: den haag, s gravenhage, gravenhage
den bosch: s hertogenbosch, hertogenbosch
lisbon: lisboa
porto: oporto
seville: sevilla
zaragoza: saragossa
rome: roma
milan: milano, mailand
turin: torino
florence: firenze, florenz
venice: venezia, venedig
naples: napoli, neapel
genoa: genova
copenhagen: kobenhavn, koebenhavn, kopenhagen
gothenburg: goteborg, goeteborg
helsinki: helsingfors
prague: praha, prag
warsaw: warszawa, warschau
krakow: cracow, krakau
wroclaw: breslau
gdansk: danzig
bucharest: bucuresti, bukarest
belgrade: beograd
athens: athina, athinai
moscow: moskva, moskau
kyiv: kiev, kyiw
istanbul: constantinople
izmir: smyrna
mumbai: bombay
bengaluru: bangalore
chennai: madras
kolkata: calcutta
delhi: new delhi
gurugram: gurgaon
beijing: peking
guangzhou: canton
ho chi minh city: saigon, hcmc
hong kong: hongkong, hk
mexico city: ciudad de mexico, cdmx, mexico df, mexico d f
sao paulo: s paulo
rio de janeiro: rio
buenos aires: caba, capital federal
montreal: mtl
quebec: quebec city, ville de quebec
luxembourg: luxemburg, letzebuerg
tel aviv: tel aviv yafo, tel aviv jaffa
";

static STREETS: LazyLock<Spellings> = LazyLock::new(|| spellings(STREET_WORDS));
static UNITS: LazyLock<HashSet<&'static str>> = LazyLock::new(|| words(UNIT_WORDS));
static CITY: LazyLock<Spellings> = LazyLock::new(|| spellings(CITY_WORDS));
static CITY_NAMES: LazyLock<Spellings> = LazyLock::new(|| spellings(CITIES));

/// Endings of street names that German, Dutch and Scandinavian addresses write as one word, with the standard
/// form of each.
const ENDINGS: &[(&str, &str)] = &[
    ("strasse", "str"),
    ("strase", "str"),
    ("straat", "str"),
    ("str", "str"),
    ("gatan", "gata"),
    ("gaten", "gata"),
    ("gade", "gata"),
    ("vagen", "vag"),
    ("veien", "vag"),
    ("vegen", "vag"),
    ("vej", "vag"),
    ("platz", "pl"),
    ("plein", "pl"),
];

/// The standard short form of a folded word of a street: a street type or a direction.
#[must_use]
pub fn street_word(token: &str) -> Option<&'static str> {
    STREETS.get(token).copied()
}

/// Takes a street type off a word such as `hauptstrasse` or `hauptstr`; returns the rest, and the standard
/// form of the type. `None` if it has none, or nothing before it.
#[must_use]
pub fn street_ending(token: &str) -> Option<(&str, &'static str)> {
    ENDINGS.iter().find_map(|(ending, stands)| {
        let name = token.strip_suffix(ending)?;
        (name.chars().count() >= 3).then_some((name, *stands))
    })
}

/// True if a folded word starts (or is) a part of a building or a post-office box.
#[must_use]
pub fn unit_word(token: &str) -> bool {
    UNITS.contains(token)
}

/// The number of an English ordinal (`first`, `twentieth`) or of one in digits (`1st`, `22nd`).
#[must_use]
pub fn ordinal(token: &str) -> Option<u32> {
    if let Ok(at) = ORDINALS.binary_search_by_key(&token, |(word, _)| word) {
        return ORDINALS.get(at).map(|(_, number)| *number);
    }
    let digits = ["st", "nd", "rd", "th"]
        .iter()
        .find_map(|end| token.strip_suffix(end))?;
    (digits.len() < 6 && digits.bytes().all(|b| b.is_ascii_digit()))
        .then(|| digits.parse().ok())
        .flatten()
}

/// The standard form of a folded word in the name of a city (`saint` to `st`).
#[must_use]
pub fn city_word(token: &str) -> Option<&'static str> {
    CITY.get(token).copied()
}

/// The standard name of a whole folded city name (`nyc` to `new york`, `koln` to `cologne`).
#[must_use]
pub fn city(name: &str) -> Option<&'static str> {
    CITY_NAMES.get(name).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::{check, is_folded};

    #[test]
    fn tables_are_folded_and_say_one_thing() {
        check(STREET_WORDS);
        check(CITY_WORDS);
        check(CITIES);
        assert!(UNITS.iter().all(|word| is_folded(word)));
        assert!(ORDINALS.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn street_words_have_one_short_form() {
        for (word, short) in [
            ("street", "st"),
            ("avenue", "ave"),
            ("av", "ave"),
            ("boulevard", "blvd"),
            ("crescent", "cres"),
            ("terrace", "ter"),
            ("parkway", "pkwy"),
            ("circuit", "cct"),
            ("northeast", "ne"),
            ("calle", "c"),
            ("avenida", "ave"),
        ] {
            assert_eq!(street_word(word), Some(short));
            assert_eq!(street_word(short), Some(short));
        }
        assert_eq!(street_word("maple"), None);
        assert_eq!(street_ending("hauptstrasse"), Some(("haupt", "str")));
        assert_eq!(street_ending("hauptstr"), Some(("haupt", "str")));
        assert_eq!(street_ending("strasse"), None);
    }

    #[test]
    fn units_and_ordinals() {
        assert!(unit_word("suite") && unit_word("ste") && unit_word("po") && !unit_word("main"));
        assert_eq!(ordinal("first"), Some(1));
        assert_eq!(ordinal("twentieth"), Some(20));
        assert_eq!(ordinal("22nd"), Some(22));
        assert_eq!(ordinal("st"), None);
        assert_eq!(ordinal("99999999999th"), None);
        assert_eq!(ordinal("twenty"), None);
    }

    #[test]
    fn cities_have_one_name() {
        assert_eq!(city_word("saint"), Some("st"));
        assert_eq!(city("nyc"), Some("new york"));
        assert_eq!(city("munchen"), Some("munich"));
        assert_eq!(city("springfield"), None);
    }
}
