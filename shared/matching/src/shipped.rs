//! The shipped models, used until a contract's own data has been learned from.

use std::sync::LazyLock;

use crate::model::{Document, FieldModel, Model};
use crate::rarity::{self, Rarity, Slot};
use crate::tables::companies;
use crate::{Kind, compare, text};

/// The initial models. Their frequencies are those of labelled pairs of people and companies of several
/// sources, smoothed; a contract's own data adjusts them. Middle names, dates, named columns, numbers in
/// names, a country alone, and addresses that follow a surname are in none of those sources: their values are
/// set by hand.
static SHIPPED: LazyLock<[Model; 2]> = LazyLock::new(|| {
    [
        include_str!("shipped/person.json"),
        include_str!("shipped/company.json"),
    ]
    .map(read)
});

#[expect(clippy::expect_used, reason = "a file of the source that a test reads")]
fn read(document: &str) -> Model {
    let document: Document = serde_json::from_str(document).expect("a shipped model");
    let mut model = document.into_written();
    model.fields = compare::fields(model.kind)
        .into_iter()
        .zip(compare::level_counts(model.kind))
        .enumerate()
        .map(|(at, (field, levels))| FieldModel {
            field: field.to_owned(),
            levels: (0..levels)
                .map(|level| compare::level_text(model.kind, at, level))
                .collect(),
        })
        .collect();
    model.rarity = common();
    model
}

/// The rarity of a name or word by its rank, in eighths of a bit. Frequencies fall off a little slower than the
/// rank rises; the first name belongs to about one person in a hundred.
fn rare(first: f64, rank: usize) -> u8 {
    let bits = first + 0.65 * f64::from(u32::try_from(rank + 1).unwrap_or(1)).log2();
    (bits * 8.0).round() as u8
}

/// Rarity of the most common words of companies' names, by the hashes of their standard forms; each once.
pub(crate) fn words() -> &'static [(u64, u8)] {
    static WORDS: LazyLock<Vec<(u64, u8)>> = LazyLock::new(|| {
        let mut words: Vec<(u64, u8)> = COMPANY_WORDS
            .split_ascii_whitespace()
            .enumerate()
            .map(|(rank, word)| {
                let standard = companies::abbreviation(word).unwrap_or(word);
                (text::hash(b'w', standard), rare(4.5, rank))
            })
            .collect();
        // The most common of several spellings counts.
        words.sort_unstable();
        words.dedup_by_key(|word| word.0);
        words
    });
    &WORDS
}

/// Rarity of the most common names and words, until a contract's own records are counted.
fn common() -> Rarity {
    let mut common: Vec<(Slot, u64, u8)> = Vec::new();
    // At home a name is commoner than in the world.
    for line in HOMES.lines().filter(|line| !line.trim().is_empty()) {
        let mut parts = line.split(':').map(str::trim);
        let countries = parts.next().unwrap_or_default();
        let (firsts, lasts) = (
            parts.next().unwrap_or_default(),
            parts.next().unwrap_or_default(),
        );
        for (slot, kind, names, first) in [
            (Slot::First, b'f', firsts, 5.0),
            (Slot::Last, b'n', lasts, 6.0),
        ] {
            for (rank, name) in names.split_ascii_whitespace().enumerate() {
                let hash = text::hash(kind, name);
                common.push((slot, hash, rare(first + 3.0, rank)));
                for country in countries.split(' ') {
                    common.push((slot, rarity::in_country(hash, country), rare(first, rank)));
                }
            }
        }
    }
    let mut add = |slot: Slot, kind: u8, words: &str, first: f64| {
        for (rank, word) in words.split_ascii_whitespace().enumerate() {
            common.push((slot, text::hash(kind, word), rare(first, rank)));
        }
    };
    add(Slot::Last, b'n', LAST_NAMES, 6.8);
    add(Slot::First, b'f', FIRST_NAMES, 6.0);
    common.extend(
        words()
            .iter()
            .map(|(hash, rare)| (Slot::Word, *hash, *rare)),
    );
    // For a name in several lists the most common entry counts.
    common
        .sort_unstable_by_key(|(slot, hash, rare)| (*slot as u8, *hash, std::cmp::Reverse(*rare)));
    Rarity::shipped(&common)
}

/// The most common first and last names of countries, roughly in the order of their frequency, from the
/// publications of their statistical offices: `countries: first names: last names`.
const HOMES: &str = "
US CA: james mary michael john robert david jennifer william linda elizabeth joseph jessica thomas sarah daniel matthew anthony karen mark lisa nancy ashley emily steven paul andrew kevin brian emma olivia: smith johnson williams brown jones garcia miller davis rodriguez martinez hernandez lopez gonzalez wilson anderson thomas taylor moore jackson martin
GB IE AU NZ: david john paul james andrew mark sarah susan michael richard peter stephen robert emma claire helen karen karen thomas jack oliver emily charlotte sophie laura rachel simon christopher daniel matthew: smith jones taylor brown williams wilson johnson davies robinson wright thompson evans walker white roberts green hall wood jackson clarke murphy kelly ryan
DE AT CH: michael thomas andreas peter stefan christian hans wolfgang klaus martin anna maria sabine susanne petra monika claudia andrea julia katharina sandra birgit jan lukas daniel alexander markus jurgen frank uwe: muller schmidt schneider fischer weber meyer wagner becker schulz hoffmann schafer koch bauer richter klein wolf schroder neumann schwarz zimmermann braun kruger hofmann hartmann lange meier mayer huber gruber keller
FR BE LU: jean marie pierre michel philippe nathalie isabelle alain patrick catherine sylvie christophe nicolas sophie julien camille thomas laurent anne martine francois valerie christine david stephane sandrine: martin bernard thomas petit robert richard durand dubois moreau laurent simon michel lefebvre leroy roux david bertrand morel fournier girard bonnet dupont lambert fontaine rousseau peeters janssens maes
IT: giuseppe giovanni maria antonio anna mario luigi francesco angelo vincenzo roberto marco andrea paolo alessandro laura giulia francesca rosa angela stefano carlo salvatore luca matteo chiara sara elena: rossi russo ferrari esposito bianchi romano colombo ricci marino greco bruno gallo conti deluca costa giordano mancini rizzo lombardi moretti barbieri fontana santoro mariani
ES MX AR CO CL PE: maria jose antonio juan manuel francisco carmen ana luis carlos javier laura david miguel jesus daniel pedro cristina marta alejandro rafael fernando angel isabel lucia pablo sergio jorge: garcia rodriguez gonzalez fernandez lopez martinez sanchez perez gomez martin jimenez ruiz hernandez diaz moreno alvarez munoz romero alonso gutierrez torres ramirez flores
BR PT AO MZ: maria jose ana joao antonio francisco carlos paulo pedro lucas luiz marcos luis gabriel rafael daniel marcelo bruno eduardo felipe rui manuel mariana juliana fernanda patricia adriana: silva santos oliveira souza rodrigues ferreira alves pereira lima gomes costa ribeiro martins carvalho almeida lopes soares fernandes vieira sousa
NL: jan johannes maria anna peter hendrik willem cornelis anne johanna mark erik martijn jeroen sandra marieke linda pieter henk hans: jong jansen vries berg bakker dijk visser janssen smit meijer boer mulder groot bos vos peters hendriks leeuwen dekker brouwer
SE NO DK FI IS: anna maria lars erik anders karin eva mikael per peter hans jan johan kristina inger anne jens morten mette kirsten ole thomas juha matti timo: andersson johansson karlsson nilsson eriksson larsson olsson persson hansen johansen olsen larsen jensen nielsen pedersen andersen christensen korhonen virtanen makinen
PL CZ SK: anna maria jan krzysztof piotr katarzyna andrzej tomasz jana petr pavel marek agnieszka malgorzata barbara ewa jiri josef martin tomas peter eva: nowak kowalski wisniewski wojcik kowalczyk kaminski lewandowski zielinski novak svoboda novotny dvorak cerny horvath kovac varga
TR: mehmet mustafa ahmet ali fatma ayse emine hasan huseyin ibrahim murat zeynep elif hatice osman yusuf emre: yilmaz kaya demir celik sahin yildiz yildirim ozturk aydin ozdemir arslan dogan kilic aslan
RU UA BY KZ: aleksandr sergei elena olga tatiana natalia andrei dmitrii aleksei irina svetlana ivan mikhail anna maria ekaterina vladimir yulia alexander sergey dmitry andrey: ivanov smirnov kuznetsov popov vasiliev petrov sokolov mikhailov novikov fedorov morozov volkov ivanova smirnova kuznetsova popova petrova shevchenko melnyk bondarenko
IN PK BD: rahul amit priya raj sanjay rajesh sunil anil pooja neha vijay ravi deepak muhammad mohammed suresh ramesh manoj anita sunita ali ahmed: kumar singh sharma patel khan gupta das shah reddy rao verma mishra yadav joshi mehta nair iyer ahmed ali hussain
CN TW HK SG MY: wei fang min jing li yan jie lei tao jun ying hui xin yu ming hong: wang li zhang liu chen yang huang zhao wu zhou xu sun ma zhu hu lin guo he gao tan lim lee ng
JP: hiroshi takashi kenji akira yoko keiko makoto satoshi kazuo yuki yuko naoki daisuke takuya hiroko akiko noriko junko kenichi taro: sato suzuki takahashi tanaka watanabe ito yamamoto nakamura kobayashi kato yoshida yamada sasaki yamaguchi matsumoto inoue kimura hayashi saito shimizu
KR: minjun jihoon seojun minsu jiyoung hyunwoo sungmin jisoo minji youngsoo: kim lee park choi jung kang cho yoon jang lim
SA AE EG JO LB KW QA MA DZ TN IQ: mohamed mohammed ahmed ali fatima omar khalid hassan hussein abdullah ibrahim mariam youssef mahmoud maryam sara layla noor karim said: ali ahmed mohamed hassan khan ibrahim hussein mohammed abdullah saleh said alami benali haddad khoury mansour
VN: anh minh huong lan hoa linh thu tuan hung dung nam: nguyen tran le pham hoang phan vu dang bui do
ID PH TH: maria agus siti budi sri jose dewi andi john mark: santos reyes cruz bautista garcia setiawan saputra wijaya
";

/// The most common last names of the United States (census of 2010) and of Western Europe, roughly in the
/// order of their frequency.
const LAST_NAMES: &str = "smith johnson williams brown jones garcia miller davis rodriguez martinez
    hernandez lopez gonzalez wilson anderson thomas taylor moore jackson martin lee perez thompson white
    harris sanchez clark ramirez lewis robinson walker young allen king wright scott torres nguyen hill
    flores green adams nelson baker hall rivera campbell mitchell carter roberts muller schmidt schneider
    fischer weber meyer wagner becker hoffmann schulz dubois durand leroy moreau rossi russo ferrari
    bianchi silva santos fernandez jansen visser smit andersson johansson hansen nielsen kumar singh
    patel khan wang li zhang chen liu kim park";

/// Common first names, roughly in the order of their frequency.
const FIRST_NAMES: &str = "james john robert michael mary david william jennifer richard maria linda
    thomas elizabeth susan joseph jessica charles sarah christopher karen daniel lisa matthew nancy
    anthony mark sandra paul steven andrew ashley kimberly emily donna peter michelle carol amanda anna
    laura stephanie martin thomas jan hans klaus andreas stefan christian julia sophie marie pierre jean
    nicolas marco luca giulia andrea francesco jose carlos juan antonio ana joao pedro lars erik mohamed
    ali ahmed wei raj priya";

/// Words that occur in the names of very many companies.
const COMPANY_WORDS: &str = "group services international solutions global systems technology
    technologies management consulting company associates partners industries national holdings
    capital health medical care center american first united digital media design construction energy
    engineering software financial insurance logistics marketing products manufacturing development
    properties research school college university hospital bank restaurant hotel city new general
    east west north south central";

pub(crate) fn model(kind: Kind) -> Model {
    let [person, company] = &*SHIPPED;
    match kind {
        Kind::Person => person.clone(),
        Kind::Company => company.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::model;
    use crate::Kind;
    use crate::compare::{self, FIELDS};

    #[test]
    fn shipped_models_have_a_frequency_for_each_level() {
        for kind in [Kind::Person, Kind::Company] {
            let model = model(kind);
            assert_eq!(model.kind, kind);
            for class in &model.classes {
                let counts: Vec<usize> = class.levels.iter().map(Vec::len).collect();
                assert_eq!(counts, compare::level_counts(kind), "{}", class.name);
                assert_eq!(class.levels.len(), FIELDS);
                for levels in &class.levels {
                    assert_eq!(levels.first(), Some(&0), "what is not known says nothing");
                    let sum: f64 = levels
                        .iter()
                        .skip(1)
                        .map(|level| (f64::from(*level) / 1000.0).exp2())
                        .sum();
                    assert!((0.98..1.03).contains(&sum), "{}: {sum}", class.name);
                }
            }
            for is_match in [true, false] {
                let classes = model
                    .classes
                    .iter()
                    .filter(|class| class.is_match == is_match);
                let shares: f64 = classes
                    .map(|class| (f64::from(class.share) / 1000.0).exp2())
                    .sum();
                assert!(
                    (0.9..1.1).contains(&shares),
                    "{kind:?} {is_match}: {shares}"
                );
            }
        }
    }

    #[test]
    fn levels_have_their_own_words() {
        for kind in [Kind::Person, Kind::Company] {
            for field in model(kind).fields {
                let mut words = field.levels;
                assert_eq!(words.remove(0), "", "not known");
                assert!(words.iter().all(|text| !text.is_empty()), "{}", field.field);
                let all = words.len();
                words.sort_unstable();
                words.dedup();
                assert_eq!(words.len(), all, "{}", field.field);
            }
        }
    }
}
