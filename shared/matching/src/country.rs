//! Countries by their codes and names.

use std::sync::LazyLock;

use rustc_hash::FxHashMap;

/// The region (ISO 3166 alpha-2) of a country's code or name, in English or in its own language;
/// `folded` is in folded form.
#[must_use]
pub fn region_of(folded: &str) -> Option<&'static str> {
    static REGIONS: LazyLock<FxHashMap<String, &'static str>> = LazyLock::new(|| {
        let mut regions = FxHashMap::default();
        for entry in COUNTRIES.split_ascii_whitespace() {
            let mut names = entry.split('=');
            let Some(code) = names.next() else { continue };
            regions.insert(code.to_ascii_lowercase(), code);
            for name in names.flat_map(|names| names.split(',')) {
                regions.insert(name.replace('_', " "), code);
            }
        }
        regions
    });
    REGIONS.get(folded).copied()
}

/// Regions with their countries' folded names (`_` for a space): ISO 3166-1, with the other names that
/// CRMs and people use most.
const COUNTRIES: &str = "
AD=andorra AE=united_arab_emirates,uae AF=afghanistan AG=antigua_and_barbuda AL=albania AM=armenia AO=angola
AR=argentina AT=austria,osterreich,aut AU=australia,aus AZ=azerbaijan BA=bosnia_and_herzegovina BB=barbados
BD=bangladesh BE=belgium,belgie,belgique,belgien,bel BF=burkina_faso BG=bulgaria BH=bahrain BI=burundi BJ=benin
BM=bermuda BN=brunei,brunei_darussalam BO=bolivia,bolivia_plurinational_state_of BR=brazil,brasil,bra BS=bahamas
BT=bhutan BW=botswana BY=belarus BZ=belize CA=canada,can CD=democratic_republic_of_the_congo
CF=central_african_republic CG=congo CH=switzerland,schweiz,suisse,svizzera,che CI=cote_d_ivoire,cote_divoire,ivory_coast
CL=chile CM=cameroon CN=china,people_s_republic_of_china,peoples_republic_of_china,chn CO=colombia CR=costa_rica
CU=cuba CV=cape_verde,cabo_verde CY=cyprus CZ=czech_republic,czechia,cesko,cze DE=germany,deutschland,allemagne,deu,ger
DJ=djibouti DK=denmark,danmark,dnk DM=dominica DO=dominican_republic DZ=algeria EC=ecuador EE=estonia,eesti EG=egypt
ER=eritrea ES=spain,espana,esp ET=ethiopia FI=finland,suomi,fin FJ=fiji FM=micronesia FO=faroe_islands
FR=france,frankreich,fra GA=gabon
GB=united_kingdom,uk,great_britain,england,scotland,wales,northern_ireland,gbr,united_kingdom_of_great_britain_and_northern_ireland
GD=grenada GE=georgia GG=guernsey GH=ghana GI=gibraltar GL=greenland GM=gambia GN=guinea GQ=equatorial_guinea
GR=greece,hellas GT=guatemala GU=guam GW=guinea_bissau GY=guyana HK=hong_kong,hong_kong_sar HN=honduras
HR=croatia,hrvatska HT=haiti HU=hungary,magyarorszag ID=indonesia IE=ireland,eire,irl IL=israel IM=isle_of_man
IN=india,ind IQ=iraq IR=iran,iran_islamic_republic_of IS=iceland,island IT=italy,italia,italien,ita JE=jersey
JM=jamaica JO=jordan JP=japan,nippon,jpn KE=kenya KG=kyrgyzstan KH=cambodia KI=kiribati KM=comoros
KN=saint_kitts_and_nevis KP=north_korea KR=south_korea,korea,republic_of_korea,korea_republic_of,kor KW=kuwait
KY=cayman_islands KZ=kazakhstan LA=laos,lao_people_s_democratic_republic LB=lebanon LC=saint_lucia LI=liechtenstein
LK=sri_lanka LR=liberia LS=lesotho LT=lithuania,lietuva LU=luxembourg,luxemburg LV=latvia,latvija LY=libya
MA=morocco,maroc MC=monaco MD=moldova,moldova_republic_of ME=montenegro MG=madagascar MH=marshall_islands
MK=north_macedonia,macedonia ML=mali MM=myanmar MN=mongolia MO=macao,macau MR=mauritania MT=malta MU=mauritius
MV=maldives MW=malawi MX=mexico,mex MY=malaysia MZ=mozambique NA=namibia NE=niger NG=nigeria NI=nicaragua
NL=netherlands,the_netherlands,nederland,holland,niederlande,nld NO=norway,norge,nor NP=nepal NR=nauru
NZ=new_zealand,nzl OM=oman PA=panama PE=peru PG=papua_new_guinea PH=philippines,pilipinas PK=pakistan
PL=poland,polska,polen,pol PR=puerto_rico PS=palestine PT=portugal,prt PW=palau PY=paraguay QA=qatar RO=romania
RS=serbia,srbija RU=russia,russian_federation RW=rwanda SA=saudi_arabia SB=solomon_islands SC=seychelles SD=sudan
SE=sweden,sverige,schweden,swe SG=singapore,sgp SI=slovenia,slovenija SK=slovakia,slovensko SL=sierra_leone
SM=san_marino SN=senegal SO=somalia SR=suriname SS=south_sudan ST=sao_tome_and_principe SV=el_salvador SY=syria
SZ=eswatini,swaziland TD=chad TG=togo TH=thailand TJ=tajikistan TL=timor_leste TM=turkmenistan TN=tunisia TO=tonga
TR=turkey,turkiye TT=trinidad_and_tobago TV=tuvalu TW=taiwan TZ=tanzania,tanzania_united_republic_of UA=ukraine
UG=uganda US=united_states,usa,united_states_of_america,u_s_a,u_s,america UY=uruguay UZ=uzbekistan
VA=vatican_city,holy_see VC=saint_vincent_and_the_grenadines VE=venezuela,venezuela_bolivarian_republic_of
VN=vietnam,viet_nam VU=vanuatu WS=samoa XK=kosovo YE=yemen ZA=south_africa,zaf ZM=zambia ZW=zimbabwe
";
