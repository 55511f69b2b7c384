//! Words in company names that do not distinguish companies: legal forms, abbreviations, notes.
//!
//! Written for this project: the forms that are usual in names, not every entry of a register. The
//! full list is ISO 20275 (Entity Legal Forms), which GLEIF publishes; `cleanco` (MIT) has another.

use rustc_hash::{FxHashMap as HashMap, FxHashSet as HashSet};
use std::sync::LazyLock;

use super::{Spellings, lines, spellings, words};
use crate::text;

/// Comma-separated forms by country. A form that ends in `.` also comes with its letters apart:
/// `s.r.l.` is folded to `srl` or to `s r l`.
const FORMS: &str = "
# United States, Canada, Puerto Rico, Philippines, Liberia
inc, incorporated, incorporation, corp, corporation, co, company, llc., l l c, llp., lllp., lp., pllc., plc., pc., ltd, limited
limited liability company, limited liability co, limited liability partnership, limited partnership, professional corporation, professional association
pa., na., n a, co inc, co llc, co ltd, co limited, company inc, company llc, company ltd, company limited, corp inc, corp ltd, ltd co, ltd liability co
ltd partnership, public benefit corporation, pbc., ulc., unlimited liability company, ltee, limitee, inc ltee, cie, compagnie, enr, senc., sencrl., opc., gp.
# United Kingdom, Ireland, Gibraltar, Isle of Man, Channel Islands, Malta, Cyprus
public limited company, public limited co, cic., community interest company, cio., private limited, private limited company, pvt limited, ultd, unlimited, unltd
dac., designated activity company, clg., company limited by guarantee, cpt., teo, teoranta, uc., pcc., icc., icav, limited by guarantee
# Australia, New Zealand, South Africa, Botswana, Namibia, Zimbabwe, Eswatini
pty, pty ltd, pty limited, proprietary limited, proprietary, p l, ptyltd, nl., no liability, soc ltd, npc., rf pty ltd, cc., pvt ltd, pvtltd, pte ltd
# India, Pakistan, Bangladesh, Sri Lanka, Nepal, Maldives
p ltd, private ltd, pvt, pvt co ltd, opc private limited, smc private limited, smc pvt ltd
# Singapore, Malaysia, Brunei, Indonesia, Thailand, Vietnam, Cambodia, Myanmar
pte, pte limited, pteltd, private limited company, sdn bhd, sdn, bhd, sendirian berhad, berhad, plt., tbk, persero, persero tbk, pcl., pcl ltd, public company limited
co ltd thailand, thailand co ltd, jsc., joint stock company, joint stock co, tnhh, cong ty tnhh, cong ty co phan, cp., one member co ltd
# China, Hong Kong, Taiwan, Japan, Korea
kk., k k, kabushiki kaisha, kabushiki gaisha, gk., godo kaisha, yk., yugen kaisha, yugen gaisha, zhu shi hui she, you xian hui she, he tong hui she, you xian gong si, gu fen you xian gong si, you xian ze ren gong si
jusik hoesa, yuhan hoesa, chusik hoesa, jusighoesa, yuhanhoesa, holding co ltd, group co ltd, industrial co ltd
# Germany, Austria, Switzerland, Liechtenstein, Luxembourg
gmbh, g m b h, mbh, m b h, gmbh co kg, gmbh u co kg, gmbh und co kg, gmbh co kgaa, gmbh co ohg, gmbh cokg, gmbhco kg, gesmbh, ges m b h, ges mbh, ggmbh, gesellschaft mit beschrankter haftung
gemeinnutzige gmbh, gemeinnutzige gesellschaft mit beschrankter haftung, ag., ag co kg, ag co kgaa, ag co ohg, aktiengesellschaft, kg., kgaa, kommanditgesellschaft, co kg, und co kg
ohg., offene handelsgesellschaft, gbr, gesellschaft burgerlichen rechts, ug., ug haftungsbeschrankt, ug co kg, ug haftungsbeschrankt co kg, unternehmergesellschaft, unternehmergesellschaft haftungsbeschrankt, haftungsbeschrankt
eg., e g, eingetragene genossenschaft, genossenschaft, ev., e v, eingetragener verein, ek., e k, ekfm, eingetragener kaufmann, e kfr, partg, partg mbb, partgmbb, partnerschaft mbb, mbb, partnerschaftsgesellschaft, se., se co kg, se co kgaa, stiftung co kg, kdor, aor., vvag, invag
og., keg., flexco, eu., e u, einzelunternehmen, kollektivgesellschaft, klg., kmg., anstalt
sarl., sarl s, s a r l, societe a responsabilite limitee, sa., societe anonyme, societe cooperative, scsp., sca., sicav, secs, sas., sasu., sagl., societa anonima
# France, Monaco, Belgium, French-speaking Africa (OHADA)
eurl., snc., scs., sci., scp., scm., selarl., selas., scop., scic, sem., societe par actions simplifiee, societe en nom collectif, societe civile, gie., ei., eirl., earl., gaec, sarlu, sam., et cie, cie sa, et fils, suarl, scrl., sprl., sprlu, asbl., aisbl, srl., sc.
# Netherlands, Belgium, Suriname, Dutch Caribbean
bv., b v, nv., n v, bvba., besloten vennootschap, naamloze vennootschap, besloten vennootschap met beperkte aansprakelijkheid, vof., v o f, vennootschap onder firma, cv., c v, cvba., ebvba, gcv., comm v, commv, vzw., ivzw, cooperatief ua, ua., wa., u a, cooperatie ua, cooperatieve vereniging, maatschap, eenmanszaak, en zn, holding bv
# Italy, San Marino
spa., s p a, societa per azioni, s r l, societa a responsabilita limitata, srls., srl s, srlu, srlcr, sapa., sas di, snc di, ss., societa semplice, societa in nome collettivo, societa in accomandita semplice, scarl., s c a r l, scrl, scpa., soc coop, soc coop arl, soc coop a r l, societa cooperativa, cooperativa sociale, onlus, societa benefit, sb., unipersonale, srl unipersonale, srl a socio unico, a socio unico
# Spain, Latin America
sl., s l, slu., slp., sll., slne., sociedad limitada, sociedad limitada unipersonal, sociedad anonima, sau., sal., saa., sab., sociedad cooperativa, s coop, scoop, scl., scc., coop v, comanditaria, aie., ute., cb., comunidad de bienes
sa de cv, s a de c v, sadecv, sab de cv, sapi, sapi de cv, s a p i de c v, s de rl, s de r l, s de rl de cv, s de r l de c v, srl de cv, sc de rl, sociedad anonima de capital variable, sociedad civil, de cv, ac.
ltda., l t d a, limitada, sociedad de responsabilidad limitada, sociedad por acciones simplificada, sociedad por acciones, spa, eirl, s a s, saic., saci., sacif, saicf, sacifia, saeca, sac., s a c, sociedad anonima cerrada, sociedad anonima abierta, esp., s a e s p, sa esp, cia, cia ltda, y cia, y compania, compania, compania limitada, compania anonima, ca., c a, hnos
# Brazil, Portugal, Angola, Mozambique, Cabo Verde
lda., l da, limitada, sociedade anonima, s a, sociedade limitada, unipessoal, unipessoal lda, sociedade unipessoal lda, sgps, sgps sa, me., epp., mei., eireli., cia ltda me, ltda me, ltda epp, e cia, crl.
# Sweden, Finland, Norway, Denmark, Iceland, Faroe Islands, Greenland
ab., ab publ, publ, aktiebolag, aktiebolaget, hb., handelsbolag, kb., kommanditbolag, ek for, ekonomisk forening, enskild firma
oy, oyj, oy ab, oyj abp, oy ltd, osakeyhtio, julkinen osakeyhtio, ky., avoin yhtio, tmi, toiminimi, osk, abp, oy ab ltd
as., a s, asa., aksjeselskap, allmennaksjeselskap, ans., da., enk., sf., nuf., ba., bl., ks., k s
aps., ap s, a p s, anpartsselskab, aktieselskab, is., i s, ivs., ivaerksaetterselskab, interessentskab, kommanditselskab, amba., a m b a, amba, smba, fmba, p s
ehf., hf., ohf., slf., svf., einkahlutafelag, hlutafelag, sp f, spf
# Estonia, Latvia, Lithuania
ou., osauhing, aktsiaselts, sia., sabiedriba ar ierobezotu atbildibu, akciju sabiedriba, uab., uzdaroji akcine bendrove, akcine bendrove, mb., vsi., ik., tub
# Poland, Czechia, Slovakia, Hungary
sp z o o, sp zoo, spzoo, spolka z o o, sp z oo, spzo o, sp zo o, sp z o o sp k, sp z o o spk, sp z oo sp k, sp zoo sp k, sp z o o s k a, spolka z ograniczona odpowiedzialnoscia, spolka akcyjna, spolka jawna, spolka komandytowa, sp k, spk, sp j, spj, sp p, ska., sp k a, spolka cywilna, psa.
sro., s r o, spol s r o, spol sro, spolecnost s rucenim omezenym, spolocnost s rucenim obmedzenym, akciova spolecnost, akciova spolocnost, vos., v o s, ks, komanditni spolecnost, zs., z s, ops., o p s, se
kft., bt., nyrt., zrt., rt., kkt., kht., ev, korlatolt felelossegu tarsasag, zartkoruen mukodo reszvenytarsasag, nyilvanosan mukodo reszvenytarsasag, beteti tarsasag
# Slovenia, Croatia, Bosnia, Serbia, Montenegro, North Macedonia, Kosovo, Albania
doo., d o o, jdoo., j d o o, dd., d d, dno., kd., jtd., sp., s p, obrt, ad., a d, druzba z omejeno odgovornostjo, drustvo s ogranicenom odgovornoscu, drustvo sa ogranicenom odgovornoscu, dionicko drustvo, dooel., dooel skopje, doo beograd, doo zagreb, shpk., sh p k, sha., sh a, shpk
# Romania, Moldova, Bulgaria, Greece, Cyprus
srl d, pfa., sca, snc, societate cu raspundere limitata, societate pe actiuni, ood., eood., ead., ad
ae., a e, epe., e p e, ike., i k e, ee., e e, oe., o e, monoprosopi ike, monoprosopi epe, anonymi etaireia, anonume etaireia
# Russia, Ukraine, Belarus, Kazakhstan, Central Asia, Caucasus
ooo., oao., zao., pao., ao., nao., ip., tov., tdv., pat., prat., pp., too., tdo, ojsc, cjsc, pjsc, ooo, odo., mchj, mmc., llp, qsc, asc
# Turkey
as, a s, anonim sirketi, anonim sti, limited sirketi, ltd sti, ltd sirketi, san ve tic ltd sti, san ve tic a s, san ve tic as, sanayi ve ticaret as, sanayi ve ticaret a s, sanayi ve ticaret ltd sti, tic ltd sti, tic a s, san tic ltd sti, ticaret ltd sti, ticaret as, ticaret a s, as ve ticaret, kollektif sirketi, tas., t a s, sti
# Israel, Arab countries, Iran
fze., fzc., fzco, fz llc, fz co, fz, wll., w l l, saog., saoc., sao, sae., s a e, psc., p s c, pjsc., qpsc, qsc., kscp, kscc, ksc., bsc., b s c, sal holding, est, establishment, dmcc, dwc llc, co wll, pcl, pjs, jsc
# Nigeria, Ghana, Kenya, Tanzania, Ethiopia and neighbours
plc, ltd gte, nig ltd, nigeria ltd, nigeria limited, ltd by guarantee, share company, sco
# Offshore and funds
ibc., spc., segregated portfolio company, ltd partnership, sicav sif, fcp., ucits, trust, gmbh in liquidation
";

/// Forms that some countries put first: Indonesia, Russia, Baltic and French-speaking countries.
const LEADING: &str = "
pt, pt., cv, ud, fa, firma, fa., ooo., oao., zao., pao., ao., nao., ip., too., uab., ab, sia., as, mb, vsi, tov., ooo
sarl, s a r l, sas, s a s, eurl, snc, ets, etablissements, ste, societe, sci, scp, selarl, selas, gaec, earl
cong ty, cong ty tnhh, cong ty co phan, cty tnhh, zhu shi hui she, you xian hui she, he tong hui she, kk, kabushiki kaisha, jusighoesa, koninklijke
";

/// `long form: abbreviations`; a British, German or French spelling counts as one.
const ABBREVIATIONS: &str = "
academy: acad, academie, akademie, academia, accademia, akademia
accounting: acctg, acct
administration: admin, administrative, admn
advertising: advg, advert
aerospace: aero
agency: agcy
agriculture: agri, agric, ag, agricultural
aluminum: aluminium
america: amer
american: amern
analytics: analytic
apartments: apts
architects: archs, archt, architect
associates: assocs, assoc, associate, assn, association, associations, verein, vereinigung, verband, associacao, asociacion, associazione, vereniging, forening
authority: auth
automation: autom
automotive: auto, autos
bank: bk, bnk, bancorp, banque, banco, banca, banka
beverages: bev, bevs, beverage
biotechnology: biotech
board: bd
brothers: bros, bro, gebr, gebruder, gebrueder, gebroeders, freres, fratelli, hermanos, irmaos
building: bldg, bldgs, buildings
business: bus, biz
capital: cap
catering: catg
center: centre, ctr, cntr, cen, centers, centres, zentrum, centro, centrum, zentren
central: cntrl, centr
chemical: chem, chems, chemicals, chemie
church: ch, kirche, eglise, iglesia, chiesa, kerk, igreja
city: cty, stadt, ville, ciudad, citta, stad
clinic: clin, clinics, klinik, kliniken, clinique, clinica
college: coll, clg
color: colour, colors, colours
commerce: comm
commercial: coml, commercials
commission: commn
committee: cmte, cttee
communications: comms, communication, commun
community: cmty, commty
components: comp, component
computer: cmptr, computers, computing
construction: constr, constn, const, cons, constructions, construcciones, construcoes, costruzioni, construccion
consultants: consultant, consult
consulting: cnsltg, consultancy, beratung, unternehmensberatung, conseil, consultoria, consulenza
contractors: contr, contractor, contracting
cooperative: coop, cooperatives, cooperativa, genossenschaften
council: cncl
county: cnty
credit: cr
customer: cust
data: datas
defense: defence
delivery: dlvry
department: dept, dpt, depts, departement
design: dsgn, designs
development: dev, devel, dvlpmt, devt, developments
digital: digi
distribution: dist, distr, distrib, distributors, distributor, distributing
district: distt
division: div
early: erly
east: e, oost
education: educ, edu, educational, educacion, bildung
electric: elec, electr, elect, electrical, elektro, electrique, elettrica, electrica
electronics: electron, electronic, elektronik
energy: enrg, energie, energies, energia
engineering: eng, engr, engrg, engg, engineers, engineer, ingenierie, ingenieria, ingegneria, engenharia, ingenieure
enterprises: ent, entp, enterprise, entps
entertainment: entmt, ents
environment: env, environ, environmental
equipment: equip, eqpt, equipments
estate: estates
europe: eur, european, europaische, europaischer, europaisches, europeen, europeenne, europea
executive: exec
export: exp, exports
express: xpress, exprs
factory: fcty
family: fam, fmly
federal: fed, fedl
federation: fedn
fertilizer: fertiliser, fertilizers, fertilisers
fifth: 5th
finance: fin, fncl, financial, financials
first: 1st
fitness: fitn
foods: food, alimentos, alimentari, lebensmittel
foundation: fdn, fndn, found, foundations, stiftung, fondation, fundacion, fondazione, stichting, fundacao
fourth: 4th
furniture: furn, mobel, meubles, muebles, mobili, meubelen
gallery: gal, galleries
gas: gases
general: gen, genl
german: deutsche, deutscher, deutsches, dt
global: glbl
government: govt, gov, govmt
gray: grey
group: grp, groupe, gruppe, gruppo, grupo, groep, groups
hardware: hdwe
health: hlth, healthcare, healthcr, gesundheit, sante, salud, saude
heating: htg
heights: hts
high: hi
holdings: hldgs, hldg, holding, hlds
homes: home
hospital: hosp, hospitals, krankenhaus, hopital, ospedale, ziekenhuis, sykehus, szpital, sairaala
hotel: hotels, htl
import: imp, imports
independent: indep
industries: ind, inds, indus, indust, industry, industrial, industrie, industria
information: info
institute: inst, instit, institut, institution, istituto, instituto, instituut, instytut
instruments: instr, instrument
insurance: ins, insur, insce, assurance, versicherung, versicherungen, seguros, assicurazioni, assurances, verzekeringen, forsakring, forsikring
integrated: integ
interiors: interior
international: intl, int, inter, internat, internatl, intnl, internacional, internationale, internazionale, internationaler, internationales, internacionales, internazionali
investments: inv, invest, investment, invests, investors
jewelers: jewellers, jeweler, jeweller, jewelry, jewellery
laboratories: lab, labs, laboratory, labor, laboratoire, laboratoires
labour: labr
language: lang
leasing: lsg
library: lib, libr, libraries, bibliothek, bibliotheque, biblioteca, bibliotheek
license: licence
logistics: log, logistic, logistik, logistica
machinery: mach, machine, machines
maintenance: maint
management: mgmt, mgt, mngt, mgmnt
manufacturing: mfg, mfr, mfrs, manuf, manufg, manufacturers, manufacturer
marine: mar
market: mkt, markets
marketing: mktg, mrktg
materials: mat, matls, material
mechanical: mech
media: med
medical: medic, medl
memorial: mem, meml
merchandise: mdse
metals: metal
military: mil
ministry: min, ministries, ministerium, ministere, ministerio, ministero, ministerie
mobile: mob
mortgage: mtg, mtge
motors: mtr, mtrs, motor
mount: mt
mountain: mtn, mtns, mountains
municipal: mun, munic
municipality: gemeinde, commune, comune, municipio, gemeente, kommune, kommun, ayuntamiento
museum: mus, musee, museo, museu
music: msc
national: natl, nat, natnl, nationale, nacional, nazionale, nationaler, nationales
neighborhood: nbhd, neighbourhood
network: netw, networks, ntwk, networking
north: n, no, nord, norte, noord
northeast: ne
northern: nthn
northwest: nw
office: off, offices
oil: oils
operations: ops
organization: org, organisation, orgn, organizations, organisations
packaging: pkg, pkgs, packing
paper: papers, papier, papel
park: pk
partners: ptnrs, partner, ptnr, ptrs, partnership
parts: pts
performance: perf
petroleum: petro, petrol
pharmaceuticals: pharm, pharma, pharmaceutical, pharmaceut, pharms
pharmacy: phcy, apotheke, pharmacie, farmacia, apteka, apotheek
photography: photo, photog
physicians: phys
plastics: plas, plastic
plumbing: plbg
practice: pract
preparatory: prep
printing: prtg, prntg, printers, printer
production: prod, productions, prodn
products: prods, product
professional: prof, professionals
program: programme, programs, programmes, prog
project: proj, projects
properties: prop, props, property
protection: prot
psychological: psych
public: pub
publishing: publ, pubg, publishers, publications, verlag, uitgeverij, editora
purchasing: purch
railway: rail, rly, railroad, rr, railways
real: rl
recreation: rec
recycling: recyc
region: reg, regional
rehabilitation: rehab
rental: rentals, rntl
repair: rep, repairs
research: rsch, res, forschung, recherche, investigacion, ricerca
residential: resi
resources: rsrcs, resource
restaurant: rest, restaurants, restaurante, ristorante, rstrnt, restauracja, restoran
retail: rtl
saint: st, ste, sankt, san, santa
sales: sls
savings: svgs, svg
school: schl, schools, schule, ecole, escuela, scuola, escola, skola, szkola
science: sci, sciences
second: 2nd
security: sec, secur, securities, sicherheit, seguridad, securite, sicurezza, seguranca
senior: sr
services: svc, svcs, srv, srvs, serv, service, servs, servicios, servizi
shipping: shpg
shop: shoppe, shops
social: soc
society: socy
software: softw
solutions: sol, soln, solns, solution, sols
sons: son, sohne, figli, hijos, zonen, fils
south: s, so, sud, zuid
southeast: se
southern: sthn
southwest: sw
specialists: spec, specialist, specialty, speciality, specialties
sports: sport
standard: std
state: stt
station: stn
steel: stl, stahl, acier, acero, acciaio
storage: stor
store: stores, str
strategic: strat
studios: studio
supermarket: spmkt
supply: supp, sup, supplies, supl, suppliers
support: suppt
surgery: surg, surgical
systems: sys, syst, system, systemes, systeme, sistemi, sistemas
technical: techn, technische, technischer, technisches, technique, tecnica, tecnico
technology: tech, technol, technologies, techs, technologie, tecnologia
telecommunications: telecom, telco, telecoms, telecomm, telecommunication
television: tv
textile: tex, textiles
theater: theatre, theatres, theaters, thtr, teatro, teater, teatr
third: 3rd
tire: tyre, tires, tyres
tools: tool
tourism: tour, tours
township: twp
trading: trdg, tradg, traders, trade, handel, handels
training: trng
transport: trans, transp, trnsp, transportation, transports, trnspt, transporte, trucking, trasporti, transporter
travel: trvl, travels, reisen, reise, viajes, voyages, viaggi
treatment: trtmt
truck: trk, trucks
united: utd, untd
university: univ, uni, universitat, universite, universidad, universita, universiteit, universidade, universitet, universitetet, universitesi, uniwersytet, univerzita, universitatea, yliopisto, egyetem
utilities: util, utils, utility
valley: vly
vehicle: veh, vehicles
ventures: vent, venture, vntrs
veterinary: vet, veterinarian
video: vid
village: vlg, vil
warehouse: whse, whs, warehousing
water: wtr
west: w, ouest, oeste
western: wstn
wholesale: whsl, whlsl
wines: wine, weine, vins, vinos, vini
wood: wd, holz, madera, legno
works: wks, wrks, werke, werk
world: wrld, worldwide
year: yr
youth: yth
";

const NOISE: &str = "
the and of a an y et und e en og och de la le les el los las der die das di il lo for und
hq headquarters headquarter head duplicate dup dupe dupl test testing demo sample old inactive
active closed obsolete archive archived deleted delete former formerly fka aka dba previously
prospect customer lead account vip new temp tmp unknown tbd na none null void merged merge see
use do not dont donotuse
";

/// Notes of several words that people write into a CRM's name field.
const NOISE_PHRASES: &str = "
do not use, dont use, not in use, no longer in use, do not contact, do not call, do not mail, on hold, credit hold, out of business, went out of business
doing business as, trading as, also known as, formerly known as, previously known as, now known as, d b a, f k a, a k a, t a, c o, n k a, duplicate of, merged with, merged into, see also
common stock, ordinary shares, depositary shares, american depositary shares, american depositary receipts, registered shares
head office, main office, corporate office, home office, parent account, test account, old account, new account, in liquidation, i l, i liq, in insolvenz
";

/// Legal forms with several spellings, joined: the first of each line is the standard form. Words for
/// *limited* that only name the country (`pty ltd`, `pvt ltd`, `co ltd`) are left out as often as not.
const SAME_FORMS: &str = "
ltd: limited, coltd, colimited, companyltd, companylimited, ptyltd, ptylimited, pty, proprietarylimited, proprietary, pvtltd, pvt, privateltd, privatelimited, pvtlimited, pltd, pl
ltd: pteltd, pte, ptelimited, ltdco, privatelimitedcompany, limitedcompany, ltee, limitee, nigltd, nigerialtd, nigerialimited
llc: limitedliabilitycompany, limitedliabilityco, ltdliabilityco, companyllc, collc
inc: incorporated, incorporation, coinc, companyinc
corp: corporation, corpinc
co: company, cie, compagnie, cia, compania
plc: publiclimitedcompany, publiclimitedco
llp: limitedliabilitypartnership
lp: limitedpartnership, ltdpartnership
gmbh: mbh, gesmbh, gesellschaftmitbeschrankterhaftung, ggmbh, gemeinnutzigegmbh
gmbhcokg: gmbhucokg, gmbhundcokg, cokg, undcokg
ag: aktiengesellschaft
kg: kommanditgesellschaft
ohg: offenehandelsgesellschaft
ev: eingetragenerverein
ek: ekfm, eingetragenerkaufmann
ug: ughaftungsbeschrankt, unternehmergesellschaft, unternehmergesellschafthaftungsbeschrankt, haftungsbeschrankt
sa: societeanonyme, sociedadanonima, sociedadeanonima, societaanonima
sarl: societearesponsabilitelimitee, sarlu
sas: sasu, societeparactionssimplifiee
sci: societecivile
snc: societeennomcollectif, societainnomecollettivo
bv: beslotenvennootschap, beslotenvennootschapmetbeperkteaansprakelijkheid, bvba, sprl
nv: naamlozevennootschap
vof: vennootschaponderfirma
spa: societaperazioni
srl: srls, srlunipersonale, societaaresponsabilitalimitata, sociedadderesponsabilidadlimitada, societatecuraspunderelimitata
sl: slu, sociedadlimitada, sociedadlimitadaunipersonal
sadecv: sabdecv, sociedadanonimadecapitalvariable
ltda: limitada, lda, sociedadelimitada, unipessoallda, sociedadeunipessoallda
ab: abpubl, publ, aktiebolag, aktiebolaget
oy: osakeyhtio, oyab, oyltd, oyabltd
oyj: julkinenosakeyhtio, abp, oyjabp
as: asa, aksjeselskap, allmennaksjeselskap, aktieselskab, anonimsirketi, akciovaspolecnost, akciovaspolocnost
aps: anpartsselskab
spzoo: spzoospk, spolkazoo, spolkazograniczonaodpowiedzialnoscia
spolkaakcyjna: sawpolsce
sro: spolsro, spolecnostsrucenimomezenym, spolocnostsrucenimobmedzenym
kft: korlatoltfelelossegutarsasag
doo: jdoo, druzbazomejenoodgovornostjo, drustvosogranicenomodgovornoscu, drustvosaogranicenomodgovornoscu
kk: kabushikikaisha, kabushikigaisha, zhushihuishe
yk: yugenkaisha, yugengaisha, youxianhuishe
sdnbhd: sendirianberhad, sdn
bhd: berhad
ltdsti: limitedsirketi, ltdsirketi, sanveticltdsti, ticltdsti, sanayiveticaretltdsti
youxiangongsi: youxianzerengongsi
gufenyouxiangongsi:
jusikhoesa: chusikhoesa, jusighoesa
ooo: odo
pao: oao, pjsc, ojsc
ao: zao, cjsc, jsc
";

/// Legal forms whose countries write them in English as *Ltd*, *LLC* or *Inc* abroad.
const TRANSLATED: &str = "
kk yk ooo pao ao jusikhoesa youxiangongsi gufenyouxiangongsi tnhh congtytnhh congtycophan spzoo sro doo kft ltdsti as pt
";

/// Placeholders that people without a company enter where a form asks for one, by language. Compared folded
/// and without spaces.
const STOP_GAPS: &str = "
# English
self employed, self-employed, selfemployed, self employment, self, myself, me, self employed person, self employed consultant, self-employed / freelance
freelance, freelancer, freelancing, freelance consultant, independent, independent consultant, independent contractor, independent professional, contractor, sole trader, sole proprietor, sole proprietorship
own business, own company, my own business, my own company, my company, my business, business owner, entrepreneur, private, private person, private individual, private citizen, individual, personal, person, home, at home, household, housewife, homemaker, stay at home
student, students, pupil, university student, college student, graduate, retired, retiree, pensioner, unemployed, not employed, not working, no job, jobless, job seeker, jobseeker, looking for work, looking for a job, seeking new opportunities, open to work, between jobs, in transition, career break
none, no, nope, nothing, nil, null, nan, na, n/a, n.a., n a, n.v.t., not applicable, not available, not provided, not specified, no company, no company name, no organization, no organisation, no employer, without company, unknown, unknown company, undefined, undisclosed, confidential, stealth, stealth mode, stealth startup, stealth mode startup
tbd, tba, tbc, to be determined, test, tests, testing, test company, test test, demo, dummy, sample, example, example company, asdf, asdfasdf, qwerty, xxx, xx, x, xyz, aaa, company, company name, your company, your company name, name of company, organization, organisation, employer, business, firm, anonymous, various, other, others, misc, same, same as above, see above, empty, blank, default, object object, [object Object], #n/a, #ref!, false, true, 0, 00, 000, 1, 123, 1234, 12345, ., -, --, ---, ?, ??, ???, *, /
# German
selbständig, selbstständig, selbständiger, selbstständiger, selbständige, selbstständige, freiberuflich, freiberufler, freiberuflerin, freier mitarbeiter, freischaffend, einzelunternehmer, privat, privatperson, privatkunde, private person, privater, rentner, rentnerin, pensionär, pensionärin, im ruhestand, ruhestand, student, studentin, studierende, studierender, schüler, schülerin, azubi, hausfrau, hausmann, arbeitslos, arbeitssuchend, arbeitsuchend, keine, keiner, keins, kein, keine firma, ohne, ohne firma, keine angabe, k.a., k. a., ka, nicht zutreffend, nicht angegeben, entfällt, unbekannt, nichts, nein, firma, firmenname, unternehmen, arbeitgeber, sonstige, test firma, testfirma
# French
indépendant, indépendante, indépendants, travailleur indépendant, travailleuse indépendante, auto entrepreneur, auto-entrepreneur, autoentrepreneur, micro entrepreneur, micro-entreprise, profession libérale, à mon compte, à son compte, particulier, particuliers, privé, personnel, étudiant, étudiante, élève, lycéen, retraité, retraitée, retraite, chômage, sans emploi, demandeur d'emploi, demandeuse d'emploi, en recherche d'emploi, aucun, aucune, aucune entreprise, sans, néant, rien, non, non renseigné, non communiqué, non applicable, sans objet, s.o., inconnu, inconnue, sans entreprise, pas d'entreprise, mère au foyer, femme au foyer, entreprise, société, nom de l'entreprise, autre
# Spanish
autónomo, autónoma, autonomos, trabajador autónomo, por cuenta propia, cuenta propia, trabajador independiente, independiente, particular, particulares, privado, personal, estudiante, alumno, alumna, jubilado, jubilada, pensionista, desempleado, desempleada, en paro, parado, sin empleo, sin trabajo, ama de casa, ninguno, ninguna, ninguna empresa, nada, no aplica, no tengo, no tiene, sin empresa, sin compañía, desconocido, desconocida, no disponible, no procede, empresa, mi empresa, nombre de la empresa, otro, otra, prueba
# Italian
libero professionista, libera professionista, libera professione, lavoratore autonomo, autonomo, autonoma, in proprio, privato, privata, privati, persona fisica, studente, studentessa, pensionato, pensionata, disoccupato, disoccupata, in cerca di lavoro, casalinga, nessuno, nessuna, nessuna azienda, niente, nulla, non applicabile, non disponibile, non specificato, sconosciuto, sconosciuta, azienda, società, nome azienda, altro, prova
# Portuguese
autônomo, autônoma, autónomo, profissional liberal, trabalhador independente, conta própria, por conta própria, pessoa física, pessoa singular, estudante, aposentado, aposentada, reformado, reformada, desempregado, desempregada, dona de casa, nenhum, nenhuma, nenhuma empresa, não aplicável, não se aplica, não tem, não tenho, sem empresa, desconhecido, desconhecida, particular, outro, outra, teste
# Dutch
zelfstandig, zelfstandige, zelfstandig ondernemer, zzp, zzper, zzp'er, eigen bedrijf, eigen zaak, eenmanszaak, particulier, privé, prive, leerling, gepensioneerd, gepensioneerde, met pensioen, werkloos, werkzoekend, werkzoekende, huisvrouw, geen, geen bedrijf, niet van toepassing, nvt, onbekend, niets, nee, bedrijf, bedrijfsnaam, anders
# Swedish, Danish, Norwegian, Finnish
egenföretagare, egen företagare, egen, eget företag, enskild, privatperson, pensionär, arbetslös, arbetssökande, ingen, inget, inget företag, inga, okänd, okänt, ej tillämpligt, saknas, selvstændig, selvstændig erhvervsdrivende, selvstendig, selvstendig næringsdrivende, pensionist, pensjonist, ledig, arbejdsløs, arbeidsledig, studerende, ingen firma, ukendt, ukjent, ikke relevant, annet, yrittäjä, yksityinen, yksityishenkilö, opiskelija, eläkeläinen, työtön, ei ole, ei mitään, ei yritystä
# Polish, Czech, Slovak, Hungarian, Romanian
samozatrudniony, samozatrudniona, samozatrudnienie, własna działalność, działalność gospodarcza, jednoosobowa działalność gospodarcza, osoba prywatna, osoba fizyczna, prywatny, prywatna, prywatnie, emeryt, emerytka, bezrobotny, bezrobotna, brak, brak firmy, nie dotyczy, nie mam, żadna, nieznana, osvč, osoba samostatně výdělečně činná, živnostník, fyzická osoba, soukromá osoba, soukromník, důchodce, důchodkyně, nezaměstnaný, nezaměstnaná, žádná, žádný, není, bez firmy, szčo, súkromná osoba, dôchodca, nezamestnaný, žiadna, egyéni vállalkozó, magánszemély, nyugdíjas, diák, tanuló, munkanélküli, nincs, liber profesionist, persoană fizică, pensionar, șomer, niciuna, nu am
# Turkish, Greek, Russian, Ukrainian
serbest, serbest meslek, serbest çalışan, kendi işim, kendi işi, bireysel, şahıs, öğrenci, emekli, işsiz, çalışmıyor, yok, hiçbiri, bilinmiyor, ελεύθερος επαγγελματίας, αυτοαπασχολούμενος, ιδιώτης, φοιτητής, φοιτήτρια, συνταξιούχος, άνεργος, άνεργη, καμία, κανένα, όχι, самозанятый, самозанятая, фрилансер, фриланс, частное лицо, физическое лицо, физлицо, частный предприниматель, студент, студентка, пенсионер, пенсионерка, безработный, безработная, домохозяйка, нет, нету, не указано, не работаю, неизвестно, отсутствует, самозайнятий, фізична особа, пенсіонер, безробітний, немає, ні
# Japanese, Chinese, Korean, Arabic, Hebrew, Hindi
フリーランス, フリー, 自営業, 自営, 個人事業主, 個人, 無職, 学生, 主婦, 定年退職, なし, 無し, 無, 特になし, 該当なし, 不明, 未定, 自由职业, 自由職業, 自由职业者, 个体户, 个体, 个人, 個人戶, 学生党, 退休, 无业, 待业, 无, 没有, 無業, 暂无, 未知, 프리랜서, 자영업, 개인, 개인사업자, 학생, 무직, 주부, 은퇴, 없음, 없습니다, 해당없음, عمل حر, عمل خاص, أعمال حرة, مستقل, فرد, طالب, طالبة, متقاعد, عاطل, لا يوجد, لا شيء, غير معروف, עצמאי, עצמאית, פרטי, סטודנט, פנסיונר, מובטל, אין, ללא, स्वरोजगार, छात्र, कोई नहीं
";

struct Forms {
    all: Vec<Vec<&'static str>>,
    by_last: HashMap<&'static str, Vec<usize>>,
    leading: HashMap<&'static str, Vec<Vec<&'static str>>>,
}

static LEGAL: LazyLock<Forms> = LazyLock::new(|| {
    let all = sequences(FORMS);
    let mut by_last: HashMap<&'static str, Vec<usize>> = HashMap::default();
    for (index, form) in all.iter().enumerate() {
        if let Some(last) = form.last() {
            by_last.entry(last).or_default().push(index);
        }
    }
    let mut leading: HashMap<&'static str, Vec<Vec<&'static str>>> = HashMap::default();
    for form in sequences(LEADING) {
        if let Some(first) = form.first() {
            leading.entry(first).or_default().push(form);
        }
    }
    Forms {
        all,
        by_last,
        leading,
    }
});
static LONG: LazyLock<Spellings> = LazyLock::new(|| spellings(ABBREVIATIONS));
static FORMS_ALIKE: LazyLock<Spellings> = LazyLock::new(|| spellings(SAME_FORMS));
static FORMS_TRANSLATED: LazyLock<HashSet<&'static str>> = LazyLock::new(|| words(TRANSLATED));
static NOTHING: LazyLock<HashSet<String>> = LazyLock::new(|| {
    lines(STOP_GAPS)
        .flat_map(|line| line.split(','))
        // Without umlauts, and with letters in their place.
        .flat_map(|text| [text.to_owned(), umlauts_spelled(text)])
        .map(|text| stop_gap(&text))
        .filter(|text| !text.is_empty())
        .collect()
});
static NOISE_WORDS: LazyLock<HashSet<&'static str>> = LazyLock::new(|| words(NOISE));
static PHRASES: LazyLock<Vec<Vec<&'static str>>> = LazyLock::new(|| sequences(NOISE_PHRASES));

/// The form in which stop-gaps are compared. In other scripts than Latin it is the text itself: `нет` must
/// not be taken for the company *Net*.
fn stop_gap(text: &str) -> String {
    let latin = |c: char| c <= '\u{24f}' || matches!(c, '\u{1e00}'..='\u{1eff}');
    if text.chars().any(|c| c.is_alphabetic() && !latin(c)) {
        let letters = text.chars().filter(|c| c.is_alphanumeric());
        letters.flat_map(char::to_lowercase).collect()
    } else {
        text::squash(&text::fold(text))
    }
}

fn umlauts_spelled(text: &str) -> String {
    text.replace('ä', "ae")
        .replace('ö', "oe")
        .replace('ü', "ue")
}

/// The comma-separated sequences of a table, longest first and then by their words, each once.
fn sequences(text: &'static str) -> Vec<Vec<&'static str>> {
    let mut all = Vec::new();
    for form in lines(text).flat_map(|line| line.split(',')).map(str::trim) {
        let (form, dotted) = form
            .strip_suffix('.')
            .map_or((form, false), |form| (form, true));
        if form.is_empty() {
            continue;
        }
        all.push(form.split(' ').collect());
        if dotted {
            let letters = form
                .char_indices()
                .filter_map(|(at, c)| form.get(at..at + c.len_utf8()));
            all.push(letters.collect::<Vec<_>>());
        }
    }
    all.sort_by(|a: &Vec<_>, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    all.dedup();
    all
}

fn same_words(form: &[&str], tokens: &[impl AsRef<str>]) -> bool {
    form.len() == tokens.len() && form.iter().zip(tokens).all(|(a, b)| *a == b.as_ref())
}

/// Every legal form as a sequence of folded tokens, the longest first.
#[must_use]
pub fn legal_forms() -> &'static [Vec<&'static str>] {
    &LEGAL.all
}

/// The number of tokens at the end of a folded name that are its legal form (the longest that fits), else 0.
/// May be all of them.
#[must_use]
pub fn legal_suffix(tokens: &[impl AsRef<str>]) -> usize {
    let forms = tokens
        .last()
        .and_then(|last| LEGAL.by_last.get(last.as_ref()));
    let forms = forms
        .into_iter()
        .flatten()
        .filter_map(|index| LEGAL.all.get(*index));
    let ends = |form: &&Vec<&str>| {
        let start = tokens.len().checked_sub(form.len());
        start
            .and_then(|start| tokens.get(start..))
            .is_some_and(|end| same_words(form, end))
    };
    forms.filter(ends).map(Vec::len).next().unwrap_or(0)
}

/// The number of tokens at the start of a folded name that are a legal form which comes first in its country
/// (Indonesian `pt`, Russian `ooo`, Lithuanian `uab`, French `sarl`), else 0.
#[must_use]
pub fn legal_prefix(tokens: &[impl AsRef<str>]) -> usize {
    let forms = tokens
        .first()
        .and_then(|first| LEGAL.leading.get(first.as_ref()));
    let starts = |form: &&Vec<&str>| {
        tokens
            .get(..form.len())
            .is_some_and(|start| same_words(form, start))
    };
    forms
        .into_iter()
        .flatten()
        .filter(starts)
        .map(Vec::len)
        .next()
        .unwrap_or(0)
}

/// The standard spelling of a token of a company name: the long form of an abbreviation, the usual singular
/// or plural, the American spelling. `None` for a word without other spellings.
#[must_use]
pub fn abbreviation(token: &str) -> Option<&'static str> {
    LONG.get(token).copied()
}

/// True if a folded word with a point behind it abbreviates another word, and is not a legal form or a word
/// without meaning: forms with a point in them come in letters.
#[must_use]
pub fn is_short_for_a_word(word: &str) -> bool {
    let usual = matches!(
        word,
        "inc"
            | "corp"
            | "co"
            | "ltd"
            | "llc"
            | "plc"
            | "cie"
            | "cia"
            | "ltda"
            | "lda"
            | "mbh"
            | "bhd"
            | "sdn"
            | "pty"
            | "pvt"
            | "pte"
            | "sti"
            | "tic"
            | "san"
            | "gmbh"
            | "ag"
            | "sa"
            | "ab"
            | "bv"
            | "nv"
            | "kg"
            | "oy"
    );
    !usual
        && (LONG.contains_key(word)
            || matches!(word, "en" | "el" | "la" | "de" | "do" | "an" | "di"))
}

/// Compares two legal forms, each joined to one word; `None` if one is not known or may be the other in
/// another language.
#[must_use]
pub fn same_form(a: &str, b: &str) -> Option<bool> {
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let usual = |form| FORMS_ALIKE.get(form).copied();
    let (a, b) = (usual(a).unwrap_or(a), usual(b).unwrap_or(b));
    let english = |form: &str| matches!(form, "ltd" | "llc" | "inc" | "corp" | "co");
    let translated = |one: &str, other: &str| english(one) && FORMS_TRANSLATED.contains(other);
    if a == b {
        Some(true)
    } else if translated(a, b) || translated(b, a) {
        None
    } else {
        Some(false)
    }
}

/// True for a placeholder of people who have no company, or do not name it: `Self-employed`, `none`,
/// `privat`, `N/A`, in the languages that the tables know. `text` is as it was entered.
#[must_use]
pub fn says_nothing(text: &str) -> bool {
    const LONGEST: usize = 80;
    let text = text.trim();
    if text.is_empty() || text.len() > LONGEST {
        return false;
    }
    let nothing = |text: &str| {
        let text = stop_gap(text);
        // Signs alone.
        text.is_empty() || NOTHING.contains(&text)
    };
    // "Self-employed (freelance)", "privat / keine Firma".
    let parts = || text.split(['/', '(', ')', '[', ']', ',', ';', '|']);
    nothing(text)
        || text.contains(['/', '(', '[', ',', ';', '|'])
            && parts().any(|part| !part.trim().is_empty())
            && parts().all(|part| part.trim().is_empty() || nothing(part))
}

/// True if a folded token of a company name does not help to identify the company.
#[must_use]
pub fn is_noise(token: &str) -> bool {
    NOISE_WORDS.contains(token)
}

/// The number of tokens at the start of `tokens` that are a note such as "do not use", else 0.
#[must_use]
pub fn noise_phrase(tokens: &[impl AsRef<str>]) -> usize {
    let starts = |phrase: &&Vec<&str>| {
        tokens
            .get(..phrase.len())
            .is_some_and(|start| same_words(phrase, start))
    };
    PHRASES.iter().find(starts).map_or(0, Vec::len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::{check, is_folded};

    fn suffix(name: &str) -> usize {
        legal_suffix(&name.split(' ').collect::<Vec<_>>())
    }

    fn prefix(name: &str) -> usize {
        legal_prefix(&name.split(' ').collect::<Vec<_>>())
    }

    #[test]
    fn tables_are_folded_and_say_one_thing() {
        check(ABBREVIATIONS);
        let notes = PHRASES.iter().flatten().chain(NOISE_WORDS.iter());
        for token in legal_forms().iter().flatten().chain(notes) {
            assert!(is_folded(token), "{token}");
        }
        assert!(legal_forms().len() > 600, "{}", legal_forms().len());
        assert!(legal_forms().windows(2).all(|pair| {
            pair.first().map(Vec::len) >= pair.get(1).map(Vec::len) && pair.first() != pair.get(1)
        }));
        assert!(FORMS.lines().count() > 30);
        for (from, to) in LONG.iter() {
            assert_eq!(
                LONG.get(to),
                Some(to),
                "{from} leads to {to}, which leads elsewhere"
            );
        }
    }

    #[test]
    fn the_longest_form_is_found_at_the_end() {
        for (name, tokens) in [
            ("acme inc", 1),
            ("acme gmbh", 1),
            ("acme gmbh co kg", 3),
            ("acme g m b h", 4),
            ("acme srl", 1),
            ("acme s r l", 3),
            ("acme a s", 2),
            ("acme ab publ", 2),
            ("acme pty ltd", 2),
            ("acme oy", 1),
            ("acme kk", 1),
            ("acme sdn bhd", 2),
            ("acme sp z o o", 4),
            ("acme s a de c v", 5),
            ("acme san ve tic ltd sti", 5),
            ("acme", 0),
            ("inc", 1),
        ] {
            assert_eq!(suffix(name), tokens, "{name}");
        }
        assert_eq!(legal_suffix(&[""; 0]), 0);
    }

    #[test]
    fn forms_that_come_first_are_found_there() {
        assert_eq!(prefix("pt astra"), 1);
        assert_eq!(prefix("ooo romashka"), 1);
        assert_eq!(prefix("cong ty tnhh abc"), 3);
        assert_eq!(prefix("acme pt"), 0);
    }

    #[test]
    fn abbreviations_have_one_long_form() {
        for (short, long) in [
            ("intl", "international"),
            ("mfg", "manufacturing"),
            ("svcs", "services"),
            ("grp", "group"),
            ("centre", "center"),
            ("univ", "university"),
            ("bros", "brothers"),
            ("mgmt", "management"),
        ] {
            assert_eq!(abbreviation(short), Some(long));
            assert_eq!(abbreviation(long), Some(long));
        }
        assert_eq!(abbreviation("acme"), None);
    }

    #[test]
    fn forms_are_one_however_they_are_written() {
        for (a, b) in [
            ("ltd", "limited"),
            ("ptyltd", "ltd"),
            ("inc", "incorporated"),
            ("corp", "corporation"),
            ("gmbh", "gesellschaftmitbeschrankterhaftung"),
        ] {
            assert_eq!(same_form(a, b), Some(true), "{a} {b}");
            assert_eq!(same_form(b, a), Some(true), "{b} {a}");
        }
        assert_eq!(same_form("gmbh", "ag"), Some(false));
        assert_eq!(same_form("ooo", "llc"), None, "Russians translate theirs");
        assert_eq!(same_form("", "ltd"), None);
    }

    #[test]
    fn stop_gaps_say_nothing_in_every_language() {
        for text in [
            "Self-employed",
            "SELF EMPLOYED",
            "none",
            "None.",
            "Student",
            "privat",
            "N/A",
            "n.a.",
            "null",
            "0",
            "[object Object]",
            "-",
            "???",
            "freelance",
            "selbständig",
            "Selbstständig",
            "selbstaendig",
            "indépendant",
            "Independant",
            "autónomo",
            "libero professionista",
            "ZZP'er",
            "egenföretagare",
            "brak",
            "нет",
            "フリーランス",
            "无",
            "없음",
            "لا يوجد",
            "Self-employed (Freelance)",
            "privat / keine Firma",
        ] {
            assert!(says_nothing(text), "{text}");
        }
        for text in [
            "",
            "Acme",
            "Student Loans Company",
            "Private Bank AG",
            "No Limits GmbH",
            "Home Depot",
            "Self Storage Ltd",
            "3M",
            "X Corp",
            "Test Valley Council",
            "Independent News & Media",
            "Net",
            "Wu",
        ] {
            assert!(!says_nothing(text), "{text}");
        }
    }

    #[test]
    fn notes_are_noise() {
        assert!(is_noise("the") && is_noise("dba") && is_noise("hq") && !is_noise("acme"));
        assert_eq!(noise_phrase(&["do", "not", "use", "acme"]), 3);
        assert_eq!(noise_phrase(&["acme"]), 0);
    }
}
